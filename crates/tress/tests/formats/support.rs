//! Folding planned operations without a store, and finding the corpus.

use std::path::PathBuf;

use tress::formats::Planned;
use tress_model::clock::Millis;
use tress_model::event::{Head, Record, Segment};
use tress_model::ids::{Author, ReplicaId, Role, StoreId};
use tress_model::state::State;

/// 2026-11-22T12:00:00Z.
pub(crate) const NOON: Millis = 1_795_348_800_000;

/// A replica that appends what is planned and folds it.
pub(crate) struct Bench {
    pub(crate) state: State,
    head: Head,
    replica: ReplicaId,
}

impl Bench {
    pub(crate) fn new() -> Self {
        let head = Head::genesis(StoreId([7; 16]));
        Self { state: State::default(), head, replica: ReplicaId([1; 16]) }
    }

    /// Appends, at noon.
    pub(crate) fn append(&mut self, planned: &[Planned]) -> &mut Self {
        self.append_by("ada", Role::Human, planned)
    }

    /// Appends what has no author of its own as `agent`.
    pub(crate) fn append_by(&mut self, agent: &str, role: Role, planned: &[Planned]) -> &mut Self {
        let mut time = self.head.time;
        let records = planned.iter().map(|planned| {
            time = time.tick(NOON);
            let author = match &planned.author {
                Some(name) => Author::new(name.as_str(), Role::Implementer),
                None => Author::new(agent, role),
            };
            let operation = planned.operation.clone();
            Record { time, occurred: planned.occurred, author, learned: Vec::new(), operation }
        });
        let segment = Segment {
            replica: self.replica,
            store: self.head.store,
            first: self.head.number + 1,
            previous: self.head.id,
            records: records.collect(),
        };
        let (events, head) = segment.resolve(&self.head).expect("the segment continues the chain");
        for event in events {
            self.state.apply(&event);
        }
        self.head = head;
        self
    }
}

/// The state that `planned` folds to.
pub(crate) fn fold(planned: &[Planned]) -> State {
    let mut bench = Bench::new();
    bench.append(planned);
    bench.state
}

/// A file of the corpus, or `None`, with a word on it, where there is no corpus.
pub(crate) fn corpus(name: &str) -> Option<String> {
    let Some(root) = std::env::var_os("TRESS_CORPUS") else {
        println!("skipped: TRESS_CORPUS does not say where the corpus is");
        return None;
    };
    let path = PathBuf::from(root).join(name);
    Some(std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{name}: {error}")))
}
