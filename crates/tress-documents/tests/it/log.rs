//! Hand-made logs: several replicas write, and a state folds what they wrote.

use std::collections::BTreeMap;
use std::sync::Arc;

use tress_model::event::{Cause, Head, Record};
use tress_model::{
    Author, Dot, HybridTime, Operation, ReplicaId, Role, Segment, State, StoreId, TodoId,
};

/// When the first event happens.
const EPOCH: u64 = 1_700_000_000_000;

/// A log whose replicas write in turns, each event a millisecond after the one before.
#[derive(Default)]
pub(crate) struct Log {
    heads: BTreeMap<ReplicaId, Head>,
    written: u64,
    pub(crate) state: State,
}

pub(crate) fn replica(n: u8) -> ReplicaId {
    ReplicaId([n; 16])
}

pub(crate) fn todo(n: u64) -> TodoId {
    TodoId::from_random(n * 1_000_003)
}

impl Log {
    /// Replica `n` writes as the agent and role of that number, having seen everything.
    pub(crate) fn write(&mut self, n: u8, operation: Operation) -> Dot {
        self.append(n, operation, true)
    }

    /// Replica `n` writes, having seen nothing of others since it last did.
    pub(crate) fn write_unaware(&mut self, n: u8, operation: Operation) -> Dot {
        self.append(n, operation, false)
    }

    fn append(&mut self, n: u8, operation: Operation, aware: bool) -> Dot {
        let id = replica(n);
        let genesis = Head::genesis(StoreId([n; 16]));
        let head = self.heads.get(&id).cloned().unwrap_or(genesis);
        let mut learned = Vec::new();
        for (other, theirs) in self.heads.iter().filter(|(other, _)| aware && **other != id) {
            if theirs.number > head.seen.get(*other) {
                learned.push(Cause::at(*other, theirs));
            }
        }
        self.written += 1;
        let role = Role::ALL[usize::from(n) % Role::ALL.len()];
        let segment = Segment {
            replica: id,
            store: head.store,
            first: head.number + 1,
            previous: head.id,
            records: vec![Record {
                time: HybridTime { millis: EPOCH + self.written, counter: 0 },
                occurred: None,
                author: Author::new(format!("agent-{n}"), role),
                learned,
                operation,
            }],
        };
        let (events, head) = segment.resolve(&head).expect("it continues the chain");
        self.heads.insert(id, head);
        let event: &Arc<_> = &events[0];
        self.state.apply(event);
        event.dot
    }
}
