//! Whom an id means.

use std::collections::BTreeMap;

use tress_model::State;
use tress_model::ids::TodoId;

/// The todos of a state by the ids that others know them under.
pub(crate) struct Names<'a>(BTreeMap<&'a str, TodoId>);

impl<'a> Names<'a> {
    /// Those of `state`. Linear in it.
    pub(crate) fn of(state: &'a State) -> Self {
        let named = state.todos.values();
        Self(named.filter_map(|todo| Some((todo.external_id.as_deref()?, todo.id))).collect())
    }

    /// The todo that `id` means: one that bears it, the one whose whole id it is, one made here whose short id
    /// it is, or the one that is to be.
    pub(crate) fn locate(&self, state: &State, id: &str) -> TodoId {
        let ours = || {
            let mut found = state.made_here(id);
            found.next().filter(|_| found.next().is_none())
        };
        let known = self.0.get(id).copied().or_else(|| whole(id)).or_else(ours);
        known.unwrap_or_else(|| meant(id))
    }
}

/// The todo whose whole id this is: wherever it is read, it means the same one.
fn whole(id: &str) -> Option<TodoId> {
    id.starts_with("t-").then(|| id.parse().ok()).flatten()
}

/// The todo that `id` means where none is known yet.
pub(crate) fn meant(id: &str) -> TodoId {
    whole(id).unwrap_or_else(|| TodoId::from_external(id))
}

/// What a todo is called in a file that others read: its external id, or its whole id.
pub(crate) fn abroad(state: &State, todo: TodoId) -> String {
    let external = state.todo(todo).and_then(|todo| todo.external_id.clone());
    external.unwrap_or_else(|| todo.to_string())
}

/// The external id of a todo that a file calls `id`: none where that is its own.
pub(crate) fn external(id: &str, todo: TodoId) -> Option<String> {
    Some(id.to_owned()).filter(|id| whole(id) != Some(todo))
}
