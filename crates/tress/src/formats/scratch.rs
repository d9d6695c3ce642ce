//! A state on which an importer tries out what it plans, so that it can see what will come of it.

use std::sync::Arc;

use tress_model::clock::{HybridTime, VersionVector};
use tress_model::ids::{Author, Dot, EventId, ReplicaId, Role};
use tress_model::{Event, State};

use super::Planned;

/// The replica that a trial writes under; its events never leave the scratch state.
const TRIAL: ReplicaId = ReplicaId([0xff; 16]);

/// A copy of a state, onto which planned operations are folded as if they had been appended.
pub(crate) struct Scratch {
    /// The state with everything planned so far.
    pub(crate) state: State,
    seen: Arc<VersionVector>,
    time: HybridTime,
    importer: Author,
}

impl Scratch {
    /// A trial on a copy of `state`; cheap, since copies share what does not change.
    pub(crate) fn new(state: &State) -> Self {
        let others = state.version.iter().filter(|&(replica, _)| replica != TRIAL);
        Self {
            seen: Arc::new(others.collect()),
            time: state.last.map(|last| last.time).unwrap_or_default(),
            importer: Author::new("import", Role::Human),
            state: state.clone(),
        }
    }

    /// Folds what is planned.
    pub(crate) fn apply(&mut self, planned: &Planned) {
        self.time = self.time.tick(0);
        let author = match &planned.author {
            Some(name) => Author::new(name.as_str(), Role::Implementer),
            None => self.importer.clone(),
        };
        self.state.apply(&Event {
            dot: Dot::new(TRIAL, self.state.version.get(TRIAL) + 1),
            id: EventId::GENESIS,
            author,
            time: self.time,
            occurred: planned.occurred,
            seen: Arc::clone(&self.seen),
            operation: planned.operation.clone(),
        });
    }
}
