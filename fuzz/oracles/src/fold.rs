//! Oracle of the fold alone: whatever the codec can decode folds, also what no admission would let in.

use std::collections::BTreeMap;
use std::sync::Arc;

use tress_engine::Log;
use tress_model::codec::{self, Snapshot};
use tress_model::event::{Cause, Head, Record};
use tress_model::{Author, HybridTime, Millis, ReplicaId, Segment, State, Strand};

use crate::bytes::Bytes;
use crate::state::{NOON, author, begin, replica, store};

/// The most segments of one history.
const STEPS: usize = 64;
const REPLICAS: usize = 4;

/// Folds events that the bytes describe, as the codec gives them: in order and without holes, as events stand in a log, and
/// else of any operations, by anybody, at any time, who had seen anything. Nothing panics, every question about the
/// state has an answer, and a snapshot of it is the same state.
pub fn fold(data: &[u8]) {
    let mut bytes = Bytes::new(data);
    let mut clock = [NOON, 0, u64::MAX - 1000].get(bytes.pick(3)).copied().unwrap_or(NOON);
    let (mut state, mut heads) = (State::default(), BTreeMap::new());
    if clock == NOON {
        // What is done to todos has an effect.
        add(begin(&mut Log::new()), &mut state, &mut heads, &mut bytes);
    }
    for _ in 0..STEPS {
        if bytes.is_empty() {
            break;
        }
        let segment = segment(&mut bytes, &heads, &mut clock);
        let Ok(body) = codec::encode_segment(&segment) else { continue };
        let Segment { replica, store, first, previous, .. } = segment;
        let Ok(read) = codec::decode_segment(replica, store, first, previous, &body) else {
            continue;
        };
        add(read, &mut state, &mut heads, &mut bytes);
    }
    use_it(state, heads, clock);
}

/// The next events of a replica.
fn segment(
    bytes: &mut Bytes<'_>,
    heads: &BTreeMap<ReplicaId, Head>,
    clock: &mut Millis,
) -> Segment {
    let number = bytes.pick(REPLICAS);
    let (replica, store) = (replica(number), store(number));
    let head = heads.get(&replica).cloned().unwrap_or_else(|| Head::genesis(store));
    let count = 1 + bytes.pick(3);
    let records = (0..count).map(|_| {
        let step = if bytes.byte() < 250 { u64::from(bytes.byte()) * 1000 } else { bytes.number() };
        *clock = clock.saturating_add(step.max(1));
        let cause = |bytes: &mut Bytes<'_>| Cause {
            replica: crate::state::replica(bytes.pick(6)),
            number: bytes.number(),
            mark: [bytes.byte(); 8],
        };
        let named = bytes.byte() < 200;
        Record {
            time: HybridTime { millis: *clock, counter: bytes.pick(4) as u32 },
            occurred: (bytes.byte() & 7 == 7).then(|| bytes.number()),
            author: match author(bytes) {
                known if named => known,
                other => Author::new(bytes.text(), other.role),
            },
            learned: (0..bytes.pick(3)).map(|_| cause(bytes)).collect(),
            operation: bytes.operation(),
        }
    });
    let records = records.collect();
    Segment { replica, store, first: head.number + 1, previous: head.id, records }
}

/// Folds the events of a segment, where they continue their chain and are later than all before.
fn add(
    segment: Segment,
    state: &mut State,
    heads: &mut BTreeMap<ReplicaId, Head>,
    bytes: &mut Bytes<'_>,
) {
    let replica = segment.replica;
    let head = heads.get(&replica).cloned().unwrap_or_else(|| Head::genesis(segment.store));
    let Ok((events, after)) = segment.resolve(&head) else { return };
    if events.first().is_none_or(|first| state.last >= Some(first.order())) {
        return;
    }
    for event in events {
        match bytes.byte() {
            255 => state.pass_over(&event),
            _ => state.apply(&event),
        }
    }
    heads.insert(replica, after);
}

/// Everything that is asked of a state has an answer, and so it has when it comes out of a snapshot.
fn use_it(state: State, heads: BTreeMap<ReplicaId, Head>, clock: Millis) {
    let snapshot = Snapshot { heads: heads.into_iter().collect(), state: Arc::new(state) };
    let body = codec::encode_snapshot(&snapshot).expect("it is small");
    let read = codec::decode_snapshot(body.clone()).expect("what was encoded decodes");
    assert_eq!(read.state.root(), snapshot.state.root());
    let small = codec::smaller_snapshot(&body).expect("what was encoded can be unpacked");
    let small = codec::decode_snapshot(small).expect("what was packed anew decodes");
    assert_eq!(small.state.root(), snapshot.state.root());
    for (state, now) in [(&snapshot.state, clock), (&read.state, u64::MAX), (&small.state, 0)] {
        let readiness = state.readiness(now);
        for (id, todo) in &state.todos {
            state.status(todo, &readiness, now);
            let blocked = readiness.blocked.contains_key(id);
            assert!(todo.finished() || state.is_blocked(*id) == blocked, "{id}");
        }
        for strand in Strand::ALL {
            tress_documents::project(state, strand);
        }
    }
    tress_engine::difference(&State::default(), &snapshot.state, (0, clock));
}
