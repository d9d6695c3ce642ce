//! The rules of the fold by name, and the ledger of what they decided. docs/RULES.md tells each at
//! length; the code that keeps a rule is in [`crate::state`].

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::clock::Millis;
use crate::ids::{Dot, TodoId};

/// A rule by which the fold decides.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Rule {
    /// Of concurrent claims the earliest in canonical order holds.
    FirstClaim,
    /// A completion whose author had no cause to doubt its claim stands.
    FinishedWorkHolds,
    /// A closing is undone only by a later reopening.
    ClosedStaysClosed,
    /// A concurrent edit keeps a deleted todo alive.
    EditBeatsDelete,
    /// Edits of one field: the later in canonical order holds.
    FieldMerge,
    /// Of the edges that would close a cycle, the last in canonical order is suspended.
    NoCycles,
    /// Only a verifier who is not the claimant completes a todo.
    DoneMeansVerified,
    /// A claim lapses when its lease ends.
    LeasesEnd,
    /// A decision is superseded, never edited.
    DecisionsStand,
    /// Work under a token that is not the holder's has no effect.
    StaleToken,
    /// An operation on something that is not there, or not so, has no effect.
    Precondition,
}

impl Rule {
    /// Every rule.
    pub const ALL: [Self; 11] = [
        Self::FirstClaim,
        Self::FinishedWorkHolds,
        Self::ClosedStaysClosed,
        Self::EditBeatsDelete,
        Self::FieldMerge,
        Self::NoCycles,
        Self::DoneMeansVerified,
        Self::LeasesEnd,
        Self::DecisionsStand,
        Self::StaleToken,
        Self::Precondition,
    ];

    /// The rule's name, as docs/RULES.md has it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::FirstClaim => "first-claim",
            Self::FinishedWorkHolds => "finished-work-holds",
            Self::ClosedStaysClosed => "closed-stays-closed",
            Self::EditBeatsDelete => "edit-beats-delete",
            Self::FieldMerge => "field-merge",
            Self::NoCycles => "no-cycles",
            Self::DoneMeansVerified => "done-means-verified",
            Self::LeasesEnd => "leases-end",
            Self::DecisionsStand => "decisions-stand",
            Self::StaleToken => "stale-token",
            Self::Precondition => "precondition",
        }
    }
}

impl std::fmt::Display for Rule {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name())
    }
}

/// One decision of the fold: which event lost, against which, by which rule.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LedgerEntry {
    /// The rule that decided.
    pub rule: Rule,
    /// The event that lost: all or part of it has no effect.
    pub loser: Dot,
    /// The event that it lost against, where there is one.
    pub winner: Option<Dot>,
    /// The agent that lost.
    pub agent: Arc<str>,
    /// The todo it was about.
    pub todo: Option<TodoId>,
    /// What was decided, in one line.
    pub detail: String,
    /// When the deciding event was appended.
    pub at: Millis,
    /// Whether the losing agent has said that it knows.
    pub told: bool,
}
