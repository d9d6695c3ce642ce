//! Replay: any moment of a run, recomputed; and whether every checkpoint comes out as it was taken.

use std::sync::Arc;

use tress_model::clock::Millis;
use tress_model::codec::STATE_FORM;
use tress_model::ids::{Dot, EventId};
use tress_model::{Event, State, Strands, VersionVector};

use crate::log::Log;

/// A moment of a run, as a user names it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum When {
    /// Right after an event, with everything that its author had seen.
    Event(Dot),
    /// All of these events.
    Version(VersionVector),
    /// Everything that had happened by then.
    Time(Millis),
    /// A checkpoint, an event id or the beginning of one.
    Name(String),
}

/// Why a moment could not be found.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum WhenError {
    /// Nothing is called so.
    #[error("{0:?} is no checkpoint, event id, version or time of this run")]
    Unknown(String),
    /// Several events have ids that begin so.
    #[error("several events have ids that begin with {0}: write more of it")]
    Ambiguous(String),
    /// The version has events that are not here.
    #[error("the version has events that are not in this run")]
    Missing,
}

/// How one checkpoint came out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CheckpointCheck {
    /// Its name.
    pub name: String,
    /// The event that took it.
    pub dot: Dot,
    /// How many events it covers.
    pub events: u64,
    /// The root that was recorded.
    pub recorded: EventId,
    /// The root that was recomputed; `None` where its events are not all here, or where it does
    /// not compare.
    pub recomputed: Option<EventId>,
    /// Whether it was taken of the form of state that this version folds, and of nothing that is
    /// left out here; others do not compare.
    pub comparable: bool,
}

impl CheckpointCheck {
    /// Whether it came out as it was taken.
    pub fn holds(&self) -> bool {
        self.recomputed == Some(self.recorded)
    }

    /// Whether it came out otherwise than it was taken. One of another form of state can do
    /// neither.
    pub fn differs(&self) -> bool {
        self.comparable && !self.holds()
    }
}

impl Log {
    /// The version that `when` means. For a time: the events that had happened by then and whose
    /// causes had, too.
    ///
    /// # Errors
    /// When there is no such moment in this log.
    pub fn version_at(&self, when: &When) -> Result<VersionVector, WhenError> {
        match when {
            When::Version(version) if version <= self.version() => Ok(version.clone()),
            When::Version(_) => Err(WhenError::Missing),
            When::Event(dot) => {
                let event = self.event(*dot);
                let event = event.ok_or_else(|| WhenError::Unknown(dot.to_string()))?;
                Ok(event.version())
            }
            When::Time(time) => {
                // Nothing happens after it is appended, so all that was appended by then counts.
                let appended = |event: &Arc<Event>| event.time.millis <= *time;
                let by_then = self.events().partition_point(appended);
                let mut version = self.version_of(by_then);
                // Of what was appended later, only what happened before its append can count.
                for event in self.backdated_from(by_then) {
                    let next = event.dot.number == version.get(event.dot.replica) + 1;
                    if next && event.moment() <= *time && *event.seen <= version {
                        version.insert(event.dot);
                    }
                }
                Ok(version)
            }
            When::Name(name) => {
                if let Some(checkpoint) = self.state().team.checkpoint(name) {
                    return Ok(checkpoint.version.clone());
                }
                Ok(self.find_event(name)?.version())
            }
        }
    }

    /// The event that `name` names: a dot, an id, or the beginning of one. Linear in the events.
    ///
    /// # Errors
    /// When there is none, or there are several.
    pub fn find_event(&self, name: &str) -> Result<Arc<Event>, WhenError> {
        if let Ok(dot) = name.parse::<Dot>() {
            let event = self.event(dot).cloned();
            return event.ok_or_else(|| WhenError::Unknown(name.to_owned()));
        }
        let hex = name.len() >= 4 && name.bytes().all(|b| b.is_ascii_hexdigit());
        let found = if hex { self.events_by_id(name) } else { Vec::new() };
        match found.as_slice() {
            [] => Err(WhenError::Unknown(name.to_owned())),
            [event] => Ok(Arc::clone(event)),
            _ => Err(WhenError::Ambiguous(name.to_owned())),
        }
    }

    /// Recomputes the state of every checkpoint, and compares roots. The log must be whole for the
    /// states to come from nothing.
    pub fn check_checkpoints(&self) -> Vec<CheckpointCheck> {
        let check = |checkpoint: &Arc<tress_model::state::team::Checkpoint>| {
            // One that was taken with events that are left out or lost here is of another state.
            let mut apart = self.left_out().iter().copied().chain(self.lost().map(|e| e.dot));
            let whole = !apart.any(|dot| checkpoint.version.contains(dot));
            // Whoever keeps only some strands has another state than it was taken of.
            let whole = whole && self.strands() == Strands::ALL;
            let comparable = checkpoint.form == STATE_FORM && whole;
            let state = self.state_at(&checkpoint.version).ok().filter(|_| comparable);
            CheckpointCheck {
                name: checkpoint.name.clone(),
                dot: checkpoint.dot,
                events: checkpoint.version.events(),
                recorded: checkpoint.root,
                comparable,
                recomputed: state.map(|state| State::root(&state)),
            }
        };
        self.state().team.checkpoints.iter().map(check).collect()
    }
}
