//! A run for the oracles that need one: events of every kind, of several replicas.

use std::sync::OnceLock;

use tress_engine::{Draft, Log};
use tress_model::operation::Operation;
use tress_model::{Author, ReplicaId, Role, Segment, State, StoreId, TodoId};

use crate::bytes::Bytes;

/// When everything happens here, and how late it can get.
pub const NOON: u64 = 1_795_348_800_000;

/// The id of the `number`th replica.
pub fn replica(number: usize) -> ReplicaId {
    ReplicaId([number as u8; 16])
}

/// The store that the `number`th replica belongs to.
pub fn store(number: usize) -> StoreId {
    StoreId([number as u8 % 2 + 1; 16])
}

/// Who acts; most often somebody with a name.
pub fn author(bytes: &mut Bytes<'_>) -> Author {
    let name = ["ada", "codex-1", "codex-2", "judge"];
    let role = Role::ALL.get(bytes.pick(Role::ALL.len())).copied().unwrap_or(Role::Human);
    Author::new(name.get(bytes.pick(name.len())).copied().unwrap_or("ada"), role)
}

/// The todo that operations made of small numbers speak of.
fn todo(number: u64) -> Operation {
    Operation::TodoAdded {
        todo: TodoId::from_random(number),
        external_id: Some(format!("bd-{number}")),
        title: format!("todo {number}"),
        edits: Vec::new(),
        prose: Vec::new(),
        labels: Vec::new(),
        layout: None,
    }
}

/// The first segment of a run: some todos, so that what is done to todos has an effect.
pub fn begin(log: &mut Log) -> Segment {
    let author = Author::new("ada", Role::Human);
    let draft = |number| Draft { author: author.clone(), occurred: None, operation: todo(number) };
    let prepared = log.prepare(replica(0), store(0), (0..4).map(draft).collect(), NOON);
    let prepared = prepared.expect("todos can be added");
    let segment = prepared.segment();
    log.commit(prepared);
    segment
}

/// Bytes that look random and are the same each time (xorshift64, Marsaglia 2003).
pub fn noise(seed: u64, count: usize) -> Vec<u8> {
    let mut x = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let next = || {
        x ^= x << 13;
        x ^= x >> 7;
        x ^= x << 17;
        (x >> 32) as u8
    };
    std::iter::repeat_with(next).take(count).collect()
}

/// A log in which much has happened, and its segments.
pub fn busy(seed: u64, segments: usize) -> (Log, Vec<Segment>) {
    let noise = noise(seed, segments * 64);
    let mut bytes = Bytes::new(&noise);
    let mut log = Log::new();
    let mut written = vec![begin(&mut log)];
    for number in 0..segments {
        let (at, author) = (number % 3, author(&mut bytes));
        let drafts = (0..3).map(|_| {
            let operation = bytes.operation();
            Draft { author: author.clone(), occurred: None, operation }
        });
        let drafts: Vec<_> = drafts
            .filter(|draft| log.prepare(replica(at), store(at), vec![draft.clone()], NOON).is_ok())
            .collect();
        if let Ok(prepared) = log.prepare(replica(at), store(at), drafts, NOON) {
            written.push(prepared.segment());
            log.commit(prepared);
        }
    }
    (log, written)
}

/// A state in which much has happened.
pub fn rich() -> &'static State {
    static RICH: OnceLock<State> = OnceLock::new();
    RICH.get_or_init(|| State::clone(busy(7, 60).0.state()))
}
