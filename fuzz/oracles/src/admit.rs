//! Oracle of admission and of the fold: honest and hostile segments, in two orders.

use std::collections::{BTreeMap, BTreeSet};

use tress_engine::{Draft, Log, Without};
use tress_model::event::{Cause, Record};
use tress_model::{Author, Dot, EventId, HybridTime, Role, Segment, State, Strand, codec, limits};

use crate::bytes::Bytes;
use crate::state::{NOON, author, begin, replica, store};

/// The most steps of one history.
const STEPS: usize = 48;
const REPLICAS: usize = 4;

/// Plays a history that the bytes describe: replicas append anything, exchange what they have, and
/// somebody hands in segments that are cut anew, chained wrongly, made up, late or from the future.
/// Then all of it is admitted in two orders, and must come to the same.
pub fn admit(data: &[u8]) {
    let mut bytes = Bytes::new(data);
    let now = (bytes.byte() & 1 == 0).then_some(NOON);
    let segments = history(&mut bytes, now);
    let mut forth = Log::new();
    for segment in &segments {
        forth.admit(segment.clone(), now);
        assert!(forth.waiting_segments() <= limits::WAITING_SEGMENTS_MAX);
    }
    // What waited for its causes has them by now.
    forth.admit_all(Vec::<Segment>::new(), now);
    let mut back = Log::new();
    let mut reversed: Vec<_> = segments.iter().rev().cloned().collect();
    let late = reversed.split_off(reversed.len() / 2);
    back.admit_all(reversed, now);
    back.admit_all(late, now);
    back.admit_all(Vec::<Segment>::new(), now);
    for log in [&forth, &back] {
        coherent(log);
    }
    if agree(&forth, &back) {
        assert_eq!(forth.version(), back.version(), "the order decided what was admitted");
        assert_eq!(forth.state().root(), back.state().root(), "the order decided the state");
    }
    again(&forth, &segments, now);
    use_it(&forth);
}

/// One replica, as it is while the history is played.
struct Side {
    number: usize,
    log: Log,
    clock: u64,
}

fn history(bytes: &mut Bytes<'_>, now: Option<u64>) -> Vec<Segment> {
    let mut first = Log::new();
    let mut segments = vec![begin(&mut first)];
    let side = |number| Side { number, log: first.clone(), clock: NOON };
    let mut sides: Vec<Side> = (0..REPLICAS).map(side).collect();
    for _ in 0..STEPS {
        if bytes.is_empty() {
            break;
        }
        let what = bytes.pick(8);
        let at = bytes.pick(REPLICAS);
        let Some(side) = sides.get_mut(at) else { continue };
        match what {
            0..=3 => segments.extend(side.append(bytes)),
            4 => {
                side.log.admit_all(segments.iter().cloned(), now);
            }
            5 => segments.extend(cut(bytes, &segments)),
            6 => segments.extend(forged(bytes, &segments)),
            _ => segments.push(made_up(bytes, at)),
        }
    }
    segments
}

impl Side {
    fn append(&mut self, bytes: &mut Bytes<'_>) -> Option<Segment> {
        let author = author(bytes);
        let count = 1 + bytes.pick(3);
        self.clock += u64::from(bytes.byte()) * 1000;
        let drafts = (0..count).map(|_| {
            let occurred = (bytes.byte() & 7 == 7).then_some(NOON / 2);
            Draft { author: author.clone(), occurred, operation: bytes.operation() }
        });
        let (replica, store) = (replica(self.number), store(self.number));
        let prepared = self.log.prepare(replica, store, drafts.collect(), self.clock).ok()?;
        let segment = prepared.segment();
        self.log.commit(prepared);
        Some(segment)
    }
}

/// A part of a segment: the same events in another parcel.
fn cut(bytes: &mut Bytes<'_>, segments: &[Segment]) -> Option<Segment> {
    let mut segment = segments.get(bytes.pick(segments.len()))?.clone();
    let end = bytes.pick(segment.records.len()) + 1;
    segment.records.truncate(end);
    Some(segment)
}

/// A segment with something in it changed.
fn forged(bytes: &mut Bytes<'_>, segments: &[Segment]) -> Option<Segment> {
    let mut segment = segments.get(bytes.pick(segments.len()))?.clone();
    let at = bytes.pick(segment.records.len());
    let other = segments.get(bytes.pick(segments.len()))?;
    match bytes.pick(12) {
        0 => segment.first = bytes.number(),
        1 => segment.previous = EventId([bytes.byte(); 32]),
        2 => segment.store = store(bytes.pick(2)),
        3 => segment.replica = replica(bytes.pick(6)),
        4 => segment.records.extend(other.records.iter().cloned()),
        what => {
            let record = segment.records.get_mut(at)?;
            match what {
                5 => record.time.millis = NOON.wrapping_add(bytes.number()),
                6 => record.time = HybridTime { millis: bytes.number(), counter: u32::MAX },
                7 => record.occurred = Some(bytes.number()),
                8 => record.author = Author::new(bytes.text(), Role::Human),
                9 => record.learned.push(cause(bytes)),
                10 => record.learned.clear(),
                _ => record.operation = bytes.operation(),
            }
        }
    }
    Some(segment)
}

fn cause(bytes: &mut Bytes<'_>) -> Cause {
    let mark = [bytes.byte(); 8];
    Cause { replica: replica(bytes.pick(6)), number: bytes.number(), mark }
}

/// The first segment of a replica, of which nothing need be right.
fn made_up(bytes: &mut Bytes<'_>, at: usize) -> Segment {
    let record = |bytes: &mut Bytes<'_>| Record {
        time: HybridTime { millis: NOON + bytes.number() % 10, counter: bytes.pick(4) as u32 },
        occurred: None,
        author: author(bytes),
        learned: if bytes.byte() & 3 == 0 { vec![cause(bytes)] } else { Vec::new() },
        operation: bytes.operation(),
    };
    let count = 1 + bytes.pick(3);
    let records = (0..count).map(|_| record(bytes)).collect();
    let replica = replica(at + 2);
    Segment { replica, store: store(at), first: 1, previous: EventId::GENESIS, records }
}

/// The events of a log stand in canonical order, without holes, and fold to its state.
fn coherent(log: &Log) {
    let mut state = State::default();
    for event in log.events() {
        assert!(state.last < Some(event.order()), "out of order: {event:?}");
        assert_eq!(state.version.get(event.dot.replica) + 1, event.dot.number, "a hole");
        let caused = event.seen.iter().all(|(replica, number)| {
            state.version.get(replica) >= number || replica == event.dot.replica
        });
        assert!(caused, "before its causes: {event:?}");
        state.apply(event);
    }
    assert_eq!(state.version, *log.version());
    assert_eq!(state.root(), log.state().root(), "the fold depends on how it came about");
}

/// Whether no dot means one event here and another there: nobody used a replica in two places.
fn agree(one: &Log, other: &Log) -> bool {
    let ids = |log: &Log| -> BTreeMap<Dot, EventId> {
        log.events().iter().map(|event| (event.dot, event.id)).collect()
    };
    let (one, other) = (ids(one), ids(other));
    one.iter().all(|(dot, id)| other.get(dot).is_none_or(|other| other == id))
}

/// What is known is known when it comes again, and what is exported is admitted as it is.
fn again(log: &Log, segments: &[Segment], now: Option<u64>) {
    let mut twice = log.clone();
    let admission = twice.admit_all(segments.iter().cloned(), now);
    assert!(admission.admitted.is_empty(), "it had been refused: {:?}", admission.admitted);
    assert_eq!(twice.state().root(), log.state().root());
    for (segment, reason) in admission.rejected {
        let body = codec::encode_segment(&segment).expect("it is small");
        let Segment { replica, store, first, previous, .. } = segment;
        let read = codec::decode_segment(replica, store, first, previous, &body);
        // What has no number, or runs backwards in time, is not even written.
        let Ok(read) = read else { continue };
        if read.records.iter().map(|r| r.time).eq(segment.records.iter().map(|r| r.time)) {
            let refused = twice.admit(read, now).rejected;
            assert!(!refused.is_empty(), "only in writing it is admitted: {reason}");
        }
    }
    let whole = Log::from_snapshot(log.snapshot());
    assert_eq!(whole.state().root(), log.state().root());
    assert_eq!(whole.version(), log.version());
}

/// Everything that is asked of a log has an answer.
fn use_it(log: &Log) {
    let state = log.state();
    let half = log.events().len() / 2;
    let past = log.events().get(half).map(|event| event.version()).unwrap_or_default();
    let past = log.state_at(&past).expect("what an author had seen is there");
    let readiness = state.readiness(NOON);
    for (id, todo) in &state.todos {
        state.status(todo, &readiness, NOON);
        let blocked = readiness.blocked.contains_key(id);
        assert!(todo.finished() || state.is_blocked(*id) == blocked, "{id}");
    }
    tress_engine::difference(&past, state, (NOON, NOON));
    for strand in Strand::ALL {
        tress_documents::project(state, strand);
    }
    let kinds: BTreeSet<_> = log.events().iter().map(|event| event.operation.name()).collect();
    assert!(kinds.len() <= 63);
    if let Some(event) = log.events().get(half) {
        let selection = log.select(&[Without::Event(event.dot)]).expect("the event is there");
        assert!(selection.left_out.contains(&event.dot));
        if let Ok(planned) = log.undo(event.dot, "no", NOON) {
            let author = Author::new("ada", Role::Human);
            let draft = |operation| Draft { author: author.clone(), occurred: None, operation };
            let drafts = planned.into_iter().map(draft).collect();
            let undone = log.prepare(replica(9), store(9), drafts, NOON);
            assert!(undone.is_ok(), "what is planned cannot be appended: {undone:?}");
        }
    }
}
