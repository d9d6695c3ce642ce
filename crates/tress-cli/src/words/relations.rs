//! What an edge says, read from the todo that it leaves to the one that it leads to.

use tress::operation::EdgeKind;
use tress::{Millis, State, TodoId};

/// The kinds that users can write, and what each is called, in the order in which help lists them.
pub(crate) const KINDS: [(&str, EdgeKind); 9] = [
    ("blocks", EdgeKind::Blocks),
    ("conditional-blocks", EdgeKind::ConditionalBlocks),
    ("waits-for", EdgeKind::WaitsFor),
    ("waits-for-any", EdgeKind::WaitsForAny),
    ("parent-child", EdgeKind::ParentChild),
    ("relates-to", EdgeKind::RelatesTo),
    ("discovered-from", EdgeKind::DiscoveredFrom),
    ("duplicates", EdgeKind::Duplicates),
    ("supersedes", EdgeKind::Supersedes),
];

/// The kind as users write it. In formats, both kinds of waiting are `waits-for`.
pub(crate) fn kind_word(kind: &EdgeKind) -> &str {
    KINDS.iter().find(|(_, known)| known == kind).map_or_else(|| kind.name(), |(word, _)| word)
}

/// The kind as a heading of the target: `needs`, `part of`.
pub(crate) fn relation(kind: &EdgeKind) -> &str {
    match kind {
        EdgeKind::Blocks | EdgeKind::ConditionalBlocks => "needs",
        EdgeKind::WaitsFor | EdgeKind::WaitsForAny => "waits for",
        EdgeKind::ParentChild => "part of",
        EdgeKind::RelatesTo => "relates to",
        EdgeKind::DiscoveredFrom => "found during",
        EdgeKind::Duplicates => "duplicate of",
        EdgeKind::Supersedes => "supersedes",
        EdgeKind::Other(name) => name,
    }
}

/// The kind as what stands between the names of the two todos: `depends on`, `is part of`.
pub(crate) fn verb(kind: &EdgeKind) -> String {
    let verb = match kind {
        EdgeKind::Blocks | EdgeKind::ConditionalBlocks => "depends on",
        EdgeKind::WaitsFor => "waits for the children of",
        EdgeKind::WaitsForAny => "waits for any child of",
        EdgeKind::ParentChild => "is part of",
        EdgeKind::RelatesTo => "relates to",
        EdgeKind::DiscoveredFrom => "was found in work on",
        EdgeKind::Duplicates => "is a duplicate of",
        EdgeKind::Supersedes => "takes the place of",
        EdgeKind::Other(name) => return format!("{} ->", super::short(name, 40)),
    };
    verb.to_owned()
}

/// What `relation` leaves out: of a kind, and of where the target stands.
pub(crate) fn remark(state: &State, on: TodoId, kind: &EdgeKind, now: Millis) -> String {
    let kind = match kind {
        EdgeKind::ConditionalBlocks => " (on a condition)",
        EdgeKind::WaitsFor => " (its children)",
        EdgeKind::WaitsForAny => " (any of its children)",
        _ => "",
    };
    format!("{kind}{}", whether_over(state, on, now))
}

/// ` (completed)` where a todo is finished, ` (deleted)`, ` (not there)`; else nothing.
pub(crate) fn whether_over(state: &State, id: TodoId, now: Millis) -> String {
    let Some(todo) = state.todo(id) else { return " (not there)".to_owned() };
    let status = state.status_unblocked(todo, now);
    if status.finished() { format!(" ({})", status.name()) } else { String::new() }
}
