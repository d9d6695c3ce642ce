//! The todo graph as an indented list: each todo below what it waits for last.

use std::collections::{BTreeMap, BTreeSet};

use tress::operation::EdgeKind;
use tress::{State, TodoId};

/// A line of the list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Line {
    /// The todo.
    pub(super) todo: TodoId,
    /// How deep it stands.
    pub(super) depth: usize,
    /// How many others it waits for beside the one above it.
    pub(super) more: usize,
}

/// The deepest indentation.
const DEPTH_MAX: usize = 12;

/// The todos that `wanted` wants, each below its parent, or below the wanted todo that it waits for
/// and that itself waits longest. Linear in todos and edges.
pub(super) fn list(state: &State, wanted: impl Fn(TodoId) -> bool) -> Vec<Line> {
    let kept: BTreeSet<TodoId> = state.todos.keys().copied().filter(|&id| wanted(id)).collect();
    let mut levels = Levels { state, kept: &kept, known: BTreeMap::new() };
    for &id in &kept {
        levels.of(id);
    }
    let mut below: BTreeMap<Option<TodoId>, Vec<TodoId>> = BTreeMap::new();
    for &id in &kept {
        below.entry(levels.above(id)).or_default().push(id);
    }
    for children in below.values_mut() {
        let rank = |id: &TodoId| state.todo(*id).map(|todo| (todo.priority, todo.created_at));
        children.sort_by_key(|id| (rank(id), *id));
    }
    let (mut lines, mut placed) = (Vec::new(), BTreeSet::new());
    let mut open: Vec<(TodoId, usize)> = Vec::new();
    // What stands in a circle has no top; it is listed from its first.
    let roots = below.get(&None).cloned().unwrap_or_default();
    for start in roots.into_iter().chain(kept.iter().copied()) {
        open.push((start, 0));
        while let Some((todo, depth)) = open.pop() {
            if !placed.insert(todo) {
                continue;
            }
            let more = waits(state, &kept, todo).count().saturating_sub(1);
            lines.push(Line { todo, depth: depth.min(DEPTH_MAX), more });
            let children = below.get(&Some(todo)).into_iter().flatten().rev();
            open.extend(children.map(|&child| (child, depth + 1)));
        }
    }
    lines
}

/// What `id` waits for among `kept`.
fn waits<'a>(
    state: &'a State,
    kept: &'a BTreeSet<TodoId>,
    id: TodoId,
) -> impl Iterator<Item = TodoId> + 'a {
    let edges = state.edges(id).iter();
    edges
        .filter(move |edge| edge.kind.blocks() && edge.on != id && kept.contains(&edge.on))
        .map(|edge| edge.on)
}

/// How long a chain of waiting each todo stands behind.
struct Levels<'a> {
    state: &'a State,
    kept: &'a BTreeSet<TodoId>,
    known: BTreeMap<TodoId, usize>,
}

impl Levels<'_> {
    /// Without recursion: a chain may be as long as the list.
    fn of(&mut self, id: TodoId) {
        let mut path = vec![(id, false)];
        let mut entered = BTreeSet::new();
        while let Some((id, ready)) = path.pop() {
            if self.known.contains_key(&id) {
                continue;
            }
            let before: Vec<TodoId> = waits(self.state, self.kept, id).collect();
            if ready || !entered.insert(id) {
                let level = before.iter().filter_map(|on| self.known.get(on)).max();
                self.known.insert(id, level.map_or(0, |level| level + 1));
                continue;
            }
            path.push((id, true));
            path.extend(
                before.into_iter().filter(|on| !entered.contains(on)).map(|on| (on, false)),
            );
        }
    }

    fn above(&self, id: TodoId) -> Option<TodoId> {
        let parent = self.state.edges(id).iter().find(|edge| edge.kind == EdgeKind::ParentChild);
        let parent = parent.map(|edge| edge.on).filter(|on| *on != id && self.kept.contains(on));
        let level = |on: &TodoId| self.known.get(on).copied().unwrap_or(0);
        let own = level(&id);
        let longest = waits(self.state, self.kept, id).filter(|on| level(on) < own);
        parent.or_else(|| longest.max_by_key(|on| (level(on), *on)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tress::{Operation, Role, Store};

    #[tokio::test]
    async fn a_todo_stands_below_what_it_waits_for_last() {
        let run = Store::in_memory().expect("a store").create_run("main").await.expect("a run");
        let id = TodoId::from_external;
        let names = ["a", "b", "c", "d", "loop"];
        let mut operations: Vec<Operation> =
            names.iter().map(|name| tress::todo(id(name), *name)).collect();
        for (todo, on) in [("b", "a"), ("c", "a"), ("c", "b"), ("loop", "loop")] {
            operations.push(Operation::DependencyAdded {
                todo: id(todo),
                on: id(on),
                external_id: None,
                kind: EdgeKind::Blocks,
                layout: None,
            });
        }
        run.agent("ada", Role::Human).append(operations).await.expect("appended");
        let lines = list(&run.state(), |_| true);
        let of = |name: &str| lines.iter().find(|line| line.todo == id(name)).expect("listed");
        assert_eq!(lines.len(), 5);
        assert_eq!((of("a").depth, of("b").depth, of("c").depth), (0, 1, 2));
        assert_eq!((of("c").more, of("d").depth), (1, 0));
        let without_b = list(&run.state(), |todo| todo != id("b"));
        assert!(without_b.iter().any(|line| line.todo == id("c") && line.depth == 1));
    }
}
