//! The state: what folding the events gives.
//!
//! [`State::apply`] is the whole reducer. It takes events in their canonical order and never fails:
//! an operation that cannot have its effect, and one that another loses against, leaves an entry in
//! the ledger. It does no I/O and reads no clock, so the same events give the same state
//! everywhere. Maps are persistent: a clone is cheap and shares what did not change.

mod agents;
pub(crate) mod bounded;
mod change;
mod circle;
pub mod design;
mod edges;
mod fields;
mod fold;
pub mod graph;
pub mod lazy;
mod ledger;
pub(crate) mod overlay;
pub mod prose;
mod read;
mod removal;
pub mod team;
pub mod todo;
mod todos;
mod writers;

use std::collections::BTreeSet;
use std::ops::Bound;
use std::sync::Arc;

use imbl::{OrdMap, Vector};
use serde::{Deserialize, Serialize};

pub use self::circle::Waiting;
pub use self::design::Design;
use self::edges::AtTodos;
pub use self::graph::{BlockReason, Edge, Readiness};
pub use self::ledger::Standing;
pub use self::team::{Phase, Team};
pub use self::todo::Todo;
pub use self::todos::Todos;
use crate::clock::{Millis, VersionVector};
use crate::event::OrderKey;
use crate::ids::{TODO_DIGITS, TODO_DIGITS_MIN, TodoId};
use crate::rules::LedgerEntry;

/// The folded state of a run.
#[derive(Debug, Clone, PartialEq, Default, Serialize)]
pub struct State {
    /// The events that it was folded from.
    pub version: VersionVector,
    /// The last of them in canonical order.
    pub last: Option<OrderKey>,
    /// The todos, by id; deleted ones too.
    pub todos: Todos,
    /// The edges of the todo graph, by source.
    edges: AtTodos<Vec<Edge>>,
    /// The sources of the edges, by target.
    incoming: AtTodos<BTreeSet<TodoId>>,
    /// The edges that are suspended, as their place in the canonical order, source and target.
    suspended: BTreeSet<(OrderKey, TodoId, TodoId)>,
    /// The design strand.
    pub design: Design,
    /// The implementation strand.
    pub team: Team,
    /// Every conflict that was decided, in canonical order of the deciding events.
    pub ledger: Vector<Arc<LedgerEntry>>,
    /// How many entries the ledger had before [`crate::limits::LEDGER_ENTRIES_MAX`] cut it.
    pub ledger_cut: u64,
    /// Where in the ledger, counted from its uncut beginning, the entries are that an agent was not
    /// told of, by agent.
    untold: OrdMap<Arc<str>, Vec<u64>>,
}

/// Where a todo stands. Derived from facts, never stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// To be done, and nobody is at it.
    Open,
    /// To be done, and something is in the way.
    Blocked,
    /// Not before a later time.
    Deferred,
    /// Kept in view, never worked on.
    Pinned,
    /// Claimed.
    InProgress,
    /// Claimed to be done; a verifier has to look.
    InReview,
    /// Verified; to be integrated.
    Verified,
    /// Verified, and integrated where that was asked for.
    Completed,
    /// Closed without a verified completion.
    Closed,
    /// Deleted.
    Deleted,
}

impl Status {
    /// Every status.
    pub const ALL: [Self; 10] = [
        Self::Open,
        Self::Blocked,
        Self::Deferred,
        Self::Pinned,
        Self::InProgress,
        Self::InReview,
        Self::Verified,
        Self::Completed,
        Self::Closed,
        Self::Deleted,
    ];

    /// The status as a word.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Blocked => "blocked",
            Self::Deferred => "deferred",
            Self::Pinned => "pinned",
            Self::InProgress => "in_progress",
            Self::InReview => "in_review",
            Self::Verified => "verified",
            Self::Completed => "completed",
            Self::Closed => "closed",
            Self::Deleted => "deleted",
        }
    }

    /// Whether nothing is left to do.
    pub const fn finished(self) -> bool {
        matches!(self, Self::Completed | Self::Closed | Self::Deleted)
    }
}

impl std::fmt::Display for Status {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(self.name())
    }
}

/// Why a text does not name one todo.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FindError {
    /// Nothing has that name.
    #[error("there is no todo {0}")]
    Unknown(String),
    /// Several have names that begin so.
    #[error("{text} could be {}: write more of it", candidates.join(", "))]
    Ambiguous {
        /// What was looked for.
        text: String,
        /// Some of what it could be.
        candidates: Vec<String>,
    },
}

impl State {
    /// The number of events that it was folded from.
    pub fn events(&self) -> u64 {
        self.version.events()
    }

    /// Its root. Linear in its size.
    pub fn root(&self) -> crate::ids::EventId {
        crate::codec::root(self)
    }

    /// The todo with this id.
    pub fn todo(&self, id: TodoId) -> Option<&Arc<Todo>> {
        self.todos.get(&id)
    }

    /// The status of `todo` at `now`, without a look at what blocks it.
    pub fn status_unblocked(&self, todo: &Todo, now: Millis) -> Status {
        if todo.deletion().is_some() {
            return Status::Deleted;
        }
        if todo.completed().is_some() {
            return Status::Completed;
        }
        if todo.closing().is_some() {
            return Status::Closed;
        }
        if todo.verified().is_some() {
            return Status::Verified;
        }
        if todo.pending_completion().is_some() {
            return Status::InReview;
        }
        if todo.holder(now).is_some() {
            return Status::InProgress;
        }
        match todo.stage.as_deref() {
            Some("in_progress" | "hooked") => Status::InProgress,
            Some("pinned") => Status::Pinned,
            Some("deferred") => Status::Deferred,
            Some("blocked") => Status::Blocked,
            _ if todo.defer_until.is_some_and(|until| until > now) => Status::Deferred,
            _ => Status::Open,
        }
    }

    /// The status of `todo` at `now`, given what is blocked then.
    pub fn status(&self, todo: &Todo, readiness: &Readiness, now: Millis) -> Status {
        match self.status_unblocked(todo, now) {
            Status::Open if readiness.blocked.contains_key(&todo.id) => Status::Blocked,
            status => status,
        }
    }

    /// The same, for one todo without the readiness of all.
    pub fn status_of(&self, todo: &Todo, now: Millis) -> Status {
        match self.status_unblocked(todo, now) {
            Status::Open if self.is_blocked(todo.id) => Status::Blocked,
            status => status,
        }
    }

    /// The todo with this external id.
    pub fn external(&self, id: &str) -> Option<&Arc<Todo>> {
        let named = |todo: &&Arc<Todo>| todo.external_id.as_deref() == Some(id);
        let made_of_it = self.todos.get(&TodoId::from_external(id)).filter(named);
        made_of_it.or_else(|| self.todos.maybe_irregular().find(named))
    }

    /// The todo that `text` names: an external id, a todo id, or a prefix of one that fits no
    /// other. A todo made here may be called what another's external id is: then neither is meant.
    ///
    /// # Errors
    /// When it names none, or several.
    pub fn find(&self, text: &str) -> Result<&Arc<Todo>, FindError> {
        let unknown = || FindError::Unknown(text.to_owned());
        if let Some(todo) = self.external(text) {
            return match self.made_here(text).find(|&id| id != todo.id) {
                None => Ok(todo),
                Some(other) => Err(FindError::Ambiguous {
                    text: text.to_owned(),
                    candidates: [todo.id, other].map(|id| id.to_string()).into(),
                }),
            };
        }
        let mut found: Vec<&Arc<Todo>> = Vec::new();
        if let Some((first, last)) = TodoId::prefix_range(text) {
            let within = self.todos.keys_in(first..=last).take(6);
            found.extend(within.filter_map(|id| self.todos.get(&id)));
        }
        if found.is_empty() && text.chars().count() >= 3 {
            let prefix = |todo: &&Arc<Todo>| {
                todo.external_id.as_deref().is_some_and(|external| external.starts_with(text))
            };
            found.extend(self.todos.values().filter(prefix).take(6));
        }
        match found.as_slice() {
            [] => Err(unknown()),
            [todo] => Ok(todo),
            several => Err(FindError::Ambiguous {
                text: text.to_owned(),
                candidates: several.iter().map(|todo| todo.name()).collect(),
            }),
        }
    }

    /// The todos without an external id whose id begins with `text`, where that is long enough to be shown as a
    /// todo's id.
    pub fn made_here(&self, text: &str) -> impl Iterator<Item = TodoId> {
        let digits = text.strip_prefix("t-").filter(|digits| digits.len() >= TODO_DIGITS_MIN);
        let range = digits.and_then(TodoId::prefix_range).into_iter();
        let named = range.flat_map(|(first, last)| self.todos.keys_in(first..=last));
        named.filter(|id| self.todos.get(id).is_some_and(|todo| todo.external_id.is_none()))
    }

    /// The id of a todo as it is shown: `t-` and the fewest digits (four at least, more in large
    /// runs, so that what was noted stays unique for long) that no other todo shares, nor is called.
    pub fn short_id(&self, id: TodoId) -> String {
        let count = self.todos.len() as u64;
        let roomy = (TODO_DIGITS_MIN..TODO_DIGITS)
            .find(|&digits| 36_u64.pow(digits as u32) > count.saturating_mul(count))
            .unwrap_or(TODO_DIGITS);
        let before = self.todos.keys_in(..id).next_back();
        let after = self.todos.keys_in((Bound::Excluded(id), Bound::Unbounded)).next();
        let shared = before.into_iter().chain(after);
        let shared = shared.map(|other| id.shared_digits(other) + 1).max().unwrap_or(0);
        let text = id.to_string();
        let short = |digits: usize| text.get(..2 + digits).unwrap_or(text.as_str());
        let taken = |name: &str| {
            let other = self.todos.get(&TodoId::from_external(name)).filter(|todo| todo.id != id);
            other.is_some_and(|todo| todo.external_id.as_deref() == Some(name))
        };
        let mut lengths = shared.max(roomy).min(TODO_DIGITS)..TODO_DIGITS;
        lengths.find(|&digits| !taken(short(digits))).map_or(text.as_str(), short).to_owned()
    }

    /// What a todo is called where people see it: its external id, or its short id.
    pub fn name(&self, id: TodoId) -> String {
        let external = self.todos.get(&id).and_then(|todo| todo.external_id.clone());
        external.unwrap_or_else(|| self.short_id(id))
    }
}
