//! What admission does with segments that somebody made up, beside those that replicas wrote.

use tress_engine::{Log, Rejection};
use tress_model::event::Cause;
use tress_model::{ReplicaId, Role, Segment, TodoId};

use crate::{Side, added, draft};

/// One that cites an event of which nobody has ever heard.
fn made_up(segment: &Segment) -> Segment {
    let mut made_up = segment.clone();
    let nobody = Cause { replica: ReplicaId([9; 16]), number: 1 << 40, mark: [0; 8] };
    made_up.records[0].learned.push(nobody);
    made_up
}

fn one_event(name: &str) -> Side {
    let mut side = Side::new(1);
    side.append(100, draft("ada", Role::Human, added(TodoId::from_external(name))));
    side
}

/// One event, and another replica that has seen it when it writes its own.
fn answered(replica: u8) -> (Side, Side) {
    let (first, mut right) = (one_event("a"), Side::new(replica));
    right.learn(&first);
    right.append(200, draft("bob", Role::Human, added(TodoId::from_external("b"))));
    (first, right)
}

/// A segment that waited for causes that do not exist stood before the true one of the same
/// replica, which was never tried; where it came after the true one, it did no harm.
#[test]
fn a_made_up_segment_does_not_hold_up_its_replica() {
    let side = one_event("a");
    let (honest, made_up) = (side.written[0].clone(), made_up(&side.written[0]));
    for order in [[made_up.clone(), honest.clone()], [honest, made_up]] {
        let mut log = Log::new();
        for segment in order {
            log.admit(segment, None);
        }
        assert_eq!(log.state().root(), side.log.state().root());
    }
}

/// Of two segments that wait and say different things of the same events, the later one took the
/// place of the other, and a true one was lost.
#[test]
fn a_made_up_segment_does_not_take_the_place_of_one_that_waits() {
    let (first, right) = answered(2);
    let mut log = Log::new();
    log.admit(right.written[0].clone(), None);
    log.admit(made_up(&right.written[0]), None);
    log.admit(right.written[0].clone(), None);
    assert_eq!(log.waiting_segments(), 2, "the same one waits once");
    log.admit(first.written[0].clone(), None);
    assert_eq!(log.state().root(), right.log.state().root());
}

/// A segment that says something else of a known event, and cites what does not exist, waited for
/// ever; while anything waits, no snapshot is made.
#[test]
fn another_event_under_a_known_dot_does_not_wait() {
    let mut side = one_event("a");
    let admission = side.log.admit(made_up(&side.written[0]), None);
    assert!(matches!(admission.rejected.as_slice(), [(_, Rejection::Equivocation { .. })]));
    assert!(!side.log.has_waiting());
}

/// Two replicas that answer each other event by event were admitted two events a pass, and in each pass all
/// that waits was tried again: one message held up a run for minutes.
#[test]
fn what_waits_for_others_is_not_tried_in_vain() {
    let (mut logs, mut segments) = ([Log::new(), Log::new()], Vec::new());
    for turn in 0..6_000 {
        let (from, to) = (turn % 2, (turn + 1) % 2);
        let id = from as u8 + 1;
        let drafts = vec![draft("ada", Role::Human, tress_model::Operation::RunResumed)];
        let (replica, store) = (ReplicaId([id; 16]), tress_model::StoreId([id; 16]));
        let prepared = logs[from].prepare(replica, store, drafts, turn as u64).unwrap();
        segments.push(prepared.segment());
        logs[from].commit(prepared);
        logs[to].admit(segments[turn].clone(), None);
    }
    let mut stranger = one_event("x").written.remove(0);
    stranger.replica = ReplicaId([3; 16]);
    for number in 0..30_000 {
        let mut segment = made_up(&stranger);
        segment.records[0].time.millis = number;
        segments.push(segment);
    }
    let mut log = Log::new();
    assert_eq!(log.admit_all(segments, None).admitted.len(), 6_000);
    assert_eq!(log.state().root(), logs[0].state().root());
}

/// What waited in a store's own journals changed places with what a peer had made up, and was forgotten in
/// its stead.
#[test]
fn what_a_peer_made_up_is_forgotten_and_not_what_waited_before() {
    let (first, right) = answered(2);
    let ours = right.written[0].clone();
    let made_up = |number: u8| {
        let mut made_up = ours.clone();
        let nobody = Cause { replica: ReplicaId([0; 16]), number: 1, mark: [number; 8] };
        made_up.records[0].learned = vec![nobody];
        made_up
    };
    let mut log = Log::new();
    log.admit(ours.clone(), None);
    let known = log.waits();
    log.admit_all((0..100).map(made_up), Some(1000));
    log.forget_waiting(&known);
    assert_eq!(log.waiting().collect::<Vec<_>>(), [&ours]);
    let admitted = log.admit(first.written[0].clone(), None).admitted;
    assert_eq!(admitted.iter().filter(|event| known.holds(event)).count(), 1);
    assert_eq!(log.state().root(), right.log.state().root());
}

/// Where more came than may wait, what had waited before was looked at last, and let go.
#[test]
fn what_waited_before_keeps_its_room() {
    let (first, right) = answered(255);
    let mut log = Log::new();
    log.admit(right.written[0].clone(), None);
    let known = log.waits();
    let stranger = |number: usize| {
        let mut stranger = right.written[0].clone();
        (stranger.replica, stranger.first) = (ReplicaId([0; 16]), number as u64 + 2);
        stranger
    };
    let most = tress_model::limits::WAITING_SEGMENTS_MAX;
    let admission = log.admit_all((0..most).map(stranger), Some(1000));
    assert_eq!((admission.waiting, admission.rejected.len()), (most, 1));
    log.forget_waiting(&known);
    assert_eq!(log.waiting().collect::<Vec<_>>(), [&right.written[0]]);
    log.admit(first.written[0].clone(), None);
    assert_eq!(log.state().root(), right.log.state().root());
}

/// A segment was looked through from its first cause on each time that one of them came.
#[test]
fn a_segment_with_more_causes_than_there_can_be_is_refused() {
    let mut segment = one_event("a").written.remove(0);
    let cause = |number| Cause { replica: ReplicaId([9; 16]), number, mark: [0; 8] };
    let most = tress_model::limits::REPLICAS_MAX as u64;
    segment.records[0].learned = (1..=most).map(cause).collect();
    assert_eq!(Log::new().admit(segment.clone(), None).waiting, 1);
    segment.records[0].learned.push(cause(most + 1));
    let refused = Log::new().admit(segment, None).rejected;
    assert!(matches!(refused.as_slice(), [(_, Rejection::Invalid { .. })]), "{refused:?}");
}
