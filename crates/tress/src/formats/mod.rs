//! Foreign formats: text in, planned operations out, and back.
//!
//! Everything here is pure: no files, no clock, no randomness. An importer reads a text, compares
//! it with the state it is imported over, and plans the operations that bring the state to what the
//! text says; whoever calls it appends them in their order. What it could not take is in the
//! [`Report`], with its line. docs/FORMATS.md describes each format.
//!
//! ```
//! use tress::formats::markdown;
//!
//! let import = markdown::todos("- [ ] Write the parser\n").expect("the list is well formed");
//! assert_eq!(import.operations.len(), 1);
//! ```

pub mod beads;
mod cycles;
pub mod history;
pub mod markdown;
pub mod merge;
mod names;
mod scratch;
pub mod taskmaster;
mod words;

use tress_model::clock::Millis;
use tress_model::operation::Operation;

/// One operation that an importer wants appended.
#[derive(Debug, Clone, PartialEq)]
pub struct Planned {
    /// Whose operation it is; `None` for the agent that imports.
    pub author: Option<String>,
    /// When it happened, in milliseconds since 1970; `None` for now.
    pub occurred: Option<Millis>,
    /// What is to be appended.
    pub operation: Operation,
}

impl Planned {
    /// An operation of the importing agent that happened at `occurred`.
    pub(crate) const fn new(occurred: Option<Millis>, operation: Operation) -> Self {
        Self { author: None, occurred, operation }
    }

    /// The same, done by `author`.
    pub(crate) fn by(self, author: Option<String>) -> Self {
        Self { author, ..self }
    }
}

/// What an import comes to: operations to append in this order, and what there is to say.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Import {
    /// The operations, in the order in which they are to be appended.
    pub operations: Vec<Planned>,
    /// What was read, and what was wrong with it.
    pub report: Report,
}

/// What an import read, what it found new, and what was wrong.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Report {
    /// Lines that hold something.
    pub lines: usize,
    /// Todos, sections or history entries that were understood.
    pub read: usize,
    /// Those of them that are new to the state.
    pub added: usize,
    /// Those that the state has otherwise.
    pub changed: usize,
    /// Those that the state has just so.
    pub unchanged: usize,
    /// Lines that could not be taken; each has its problem.
    pub left_out: usize,
    /// Edges that were read.
    pub edges: usize,
    /// Remarks that were read.
    pub notes: usize,
    /// Changes that no history entry tells of, told by what the next entry found.
    pub silent: usize,
    /// Names that the state has and the text does not; an import leaves them as they are.
    pub absent: Vec<String>,
    /// What was wrong, in the order of the lines.
    pub problems: Vec<Problem>,
}

impl Report {
    /// Whether there is nothing to complain of.
    pub fn clean(&self) -> bool {
        self.problems.is_empty()
    }

    pub(crate) fn problem(&mut self, line: usize, kind: ProblemKind, message: impl Into<String>) {
        self.problems.push(Problem { line, column: None, kind, message: message.into() });
    }

    /// Brings the problems into the order of the lines and counts the lines they cost.
    pub(crate) fn finish(&mut self) {
        self.problems.sort_by_key(|problem| (problem.line, problem.column));
        self.left_out = self.problems.iter().filter(|problem| problem.kind.left_out()).count();
    }
}

/// Something wrong with a text, and where.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("line {line}{}: {message}", at(column))]
pub struct Problem {
    /// The line, from 1.
    pub line: usize,
    /// The column in bytes, from 1, where it is known.
    pub column: Option<usize>,
    /// What sort of problem.
    pub kind: ProblemKind,
    /// What is wrong, and what to do.
    pub message: String,
}

fn at(column: &Option<usize>) -> String {
    column.map(|column| format!(", column {column}")).unwrap_or_default()
}

/// What sort of thing is wrong with a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ProblemKind {
    /// The line is not UTF-8; it was left out.
    NotUtf8,
    /// The line is not a JSON object; it was left out.
    BadJson,
    /// The line is a conflict marker of a merge; it was left out.
    ConflictMarker,
    /// The todo has no id; it was left out.
    MissingId,
    /// The todo has no title; it is called by its id.
    MissingTitle,
    /// Another line or item has the same id.
    DuplicateId,
    /// A key stands twice in one object; the last holds.
    DuplicateKey,
    /// The target of an edge exists nowhere; the edge is kept and blocks nothing.
    DanglingEdge,
    /// The word for the kind of an edge is not known; it is kept and blocks nothing.
    UnknownEdgeKind,
    /// A todo depends on itself.
    SelfEdge,
    /// Todos depend on each other in a circle.
    Cycle,
    /// The status word is not known; it is kept as it is.
    UnknownStatus,
    /// The priority is not 0 to 4; the nearest is taken.
    PriorityOutOfRange,
    /// A value is not of its field's kind; the field is kept as text and otherwise left alone.
    BadValue,
    /// More than one event can hold; it was left out.
    TooLarge,
    /// An export would not give back the very bytes.
    Inexact,
    /// An agent holds the todo, so the status in the text was not taken.
    Held,
    /// The todo was deleted, so what the text says of it was not taken.
    Deleted,
    /// A word in parentheses that is no attribute.
    UnknownAttribute,
    /// The value of an attribute cannot be read.
    BadAttribute,
    /// What an item needs is not there.
    UnknownNeed,
    /// A line is indented to no level.
    BadIndentation,
    /// A list item has no checkbox, or one that means nothing; it was left out.
    NotAnItem,
    /// A fenced block has no end.
    OpenFence,
    /// A history entry is of a kind that is not known; it was left out.
    UnknownEntry,
    /// A history entry holds a value that cannot be read; it was left out.
    BadEntry,
}

impl ProblemKind {
    /// Whether the line it is about was left out.
    pub const fn left_out(self) -> bool {
        matches!(
            self,
            Self::NotUtf8
                | Self::BadJson
                | Self::ConflictMarker
                | Self::MissingId
                | Self::DuplicateId
                | Self::TooLarge
                | Self::NotAnItem
                | Self::UnknownEntry
                | Self::BadEntry
        )
    }
}

/// The moment that an RFC 3339 text names, to the millisecond; `None` where it names none since
/// 1970.
pub(crate) fn read_time(text: &str) -> Option<Millis> {
    let time: jiff::Timestamp = text.parse().ok()?;
    Millis::try_from(time.as_millisecond()).ok()
}

/// A moment as RFC 3339 text, with milliseconds where there are any.
pub(crate) fn write_time(at: Millis) -> String {
    let millis = i64::try_from(at).unwrap_or(i64::MAX);
    jiff::Timestamp::from_millisecond(millis).unwrap_or(jiff::Timestamp::MAX).to_string()
}
