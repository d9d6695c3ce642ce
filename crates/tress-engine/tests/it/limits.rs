//! Every limit that the engine and the fold keep, at its bound: what is at the bound is taken, what
//! is one over it is refused, or bounded as docs/FORMAT.md says.

use std::sync::Arc;

use tress_engine::admit::check;
use tress_engine::{Draft, Log, PrepareError, Rejection};
use tress_model::event::{Head, Record};
use tress_model::limits::{
    AGENT_NAME_BYTES_MAX, CLOCK_DRIFT_MAX, HEADS_SIGNED_MAX, LEASE_MAX, LEDGER_ENTRIES_MAX,
    PRIORITY_MAX, REPLICAS_MAX, SPLICES_MAX, WAITING_ALIKE_MAX, WAITING_SEGMENTS_MAX,
};
use tress_model::operation::{ProseField, ProseTarget, SignedHead, Splice, TodoEdit};
use tress_model::{
    Author, Dot, Event, EventId, HybridTime, Operation, ReplicaId, Role, Segment, State, StoreId,
    TodoId,
};

use crate::{Side, draft, two_sides};

const STORE: StoreId = StoreId([1; 16]);

fn named(name: &str) -> Author {
    Author::new(name, Role::Human)
}

/// Whether an operation is one that an agent could mean.
fn means(operation: &Operation) -> bool {
    check(&named("ada"), operation).is_ok()
}

/// One event of the `number`th replica.
fn segment(number: usize, first: u64, author: &Author) -> Segment {
    let mut id = [0; 16];
    id.iter_mut().zip((number as u64).to_be_bytes()).for_each(|(to, from)| *to = from);
    let time = HybridTime { millis: 1000, counter: 0 };
    let operation = Operation::RunResumed;
    let (author, learned) = (author.clone(), Vec::new());
    let record = Record { time, occurred: None, author, learned, operation };
    let (replica, previous) = (ReplicaId(id), EventId::GENESIS);
    Segment { replica, store: STORE, first, previous, records: vec![record] }
}

#[test]
fn the_name_of_an_agent_has_its_most_bytes_and_no_more() {
    let (most, over) = ("n".repeat(AGENT_NAME_BYTES_MAX), "n".repeat(AGENT_NAME_BYTES_MAX + 1));
    assert!(check(&named(&most), &Operation::RunResumed).is_ok());
    assert!(check(&named(&over), &Operation::RunResumed).is_err());
    let mut log = Log::new();
    assert_eq!(log.admit(segment(1, 1, &named(&most)), None).admitted.len(), 1);
    let refused = log.admit(segment(2, 1, &named(&over)), None).rejected;
    assert!(matches!(refused.as_slice(), [(_, Rejection::Invalid { .. })]), "{refused:?}");
}

#[test]
fn percentages_end_at_100_and_priorities_at_4() {
    let todo = TodoId::from_external("a");
    let token = Dot::new(ReplicaId([1; 16]), 1);
    let progress = |percent| {
        let (message, next_milestone) = (String::new(), None);
        means(&Operation::ProgressReported { todo, token, percent, message, next_milestone })
    };
    assert!(progress(0) && progress(100) && !progress(101));
    let assessed = |compliance, quality| {
        let (about, evidence) = (String::new(), String::new());
        means(&Operation::AssessmentGiven { todo: None, about, compliance, quality, evidence })
    };
    assert!(assessed(100, 100) && !assessed(101, 0) && !assessed(0, 101));
    let priority = |priority| {
        means(&Operation::TodoEdited { todo, edits: vec![TodoEdit::Priority(priority)] })
    };
    assert!(priority(0) && priority(PRIORITY_MAX) && !priority(PRIORITY_MAX + 1));
}

#[test]
fn an_edit_has_its_most_splices_and_no_more() {
    let target = ProseTarget::Todo(TodoId::from_external("a"), ProseField::Notes);
    let edit = |count: usize| {
        let splice = |at| Splice { at, delete: 0, insert: "x".to_owned() };
        let splices = (0..count as u32).map(splice).collect();
        means(&Operation::ProseEdited { target: target.clone(), splices })
    };
    assert!(edit(SPLICES_MAX) && !edit(SPLICES_MAX + 1));
    let head = SignedHead { dot: Dot::new(ReplicaId([1; 16]), 1), id: EventId::GENESIS };
    let sign = |count: usize| {
        means(&Operation::HeadsSigned { heads: vec![head.clone(); count], signature: vec![0; 64] })
    };
    assert!(sign(HEADS_SIGNED_MAX) && !sign(HEADS_SIGNED_MAX + 1));
}

#[test]
fn the_numbers_of_a_replica_end_below_2_to_the_63() {
    let last = u64::MAX / 2 - 1;
    for (number, taken) in [(last, true), (last + 1, false)] {
        let head = Head { number: number - 1, id: EventId::GENESIS, ..Head::genesis(STORE) };
        let resolved = segment(1, number, &named("ada")).resolve(&head);
        assert_eq!(resolved.is_ok(), taken, "{number}");
    }
}

/// A run that had all of its replicas let one more append here, and refused what it had appended
/// everywhere else.
#[test]
fn a_run_has_its_most_replicas_and_no_more() {
    let author = named("ada");
    let mut log = Log::new();
    let all = (0..REPLICAS_MAX).map(|number| segment(number, 1, &author));
    assert_eq!(log.admit_all(all, None).admitted.len(), REPLICAS_MAX);
    let over = segment(REPLICAS_MAX, 1, &author);
    let replica = over.replica;
    let refused = log.admit(over, None).rejected;
    assert!(matches!(refused.as_slice(), [(_, Rejection::Invalid { .. })]), "{refused:?}");
    let draft =
        || vec![Draft { author: author.clone(), occurred: None, operation: Operation::RunResumed }];
    let refused = log.prepare(replica, STORE, draft(), 2000);
    assert!(matches!(refused, Err(PrepareError::Invalid { .. })), "{refused:?}");
    let one = segment(0, 1, &author).replica;
    assert!(log.prepare(one, STORE, draft(), 2000).is_ok(), "a known one goes on");
}

#[test]
fn an_event_lies_a_day_ahead_and_no_more() {
    for (ahead, taken) in [(CLOCK_DRIFT_MAX, true), (CLOCK_DRIFT_MAX + 1, false)] {
        let mut side = Side::new(1);
        side.append(1000 + ahead, draft("ada", Role::Human, Operation::RunResumed));
        let admission = Log::new().admit(side.written[0].clone(), Some(1000));
        assert_eq!(admission.admitted.len() == 1, taken, "{ahead}");
    }
}

#[test]
fn as_many_segments_wait_as_are_allowed_and_no_more() {
    let author = named("ada");
    let mut log = Log::new();
    let all = (0..WAITING_SEGMENTS_MAX).map(|number| segment(number, 2, &author));
    let admission = log.admit_all(all, None);
    assert_eq!((admission.waiting, admission.rejected.len()), (WAITING_SEGMENTS_MAX, 0));
    let admission = log.admit(segment(WAITING_SEGMENTS_MAX, 2, &author), None);
    assert_eq!(admission.waiting, WAITING_SEGMENTS_MAX);
    assert!(matches!(admission.rejected.as_slice(), [(_, Rejection::TooManyWaiting)]));
}

/// Each was compared with all that waited in its place.
#[test]
fn as_many_segments_wait_in_one_place_as_are_allowed_and_no_more() {
    let mut log = Log::new();
    let alike = |number: usize| segment(1, 2, &named(&number.to_string()));
    for number in 0..WAITING_ALIKE_MAX {
        assert_eq!(log.admit(alike(number), None).rejected, []);
    }
    assert_eq!(log.admit(alike(0), None).rejected, [], "it waits already");
    let refused = log.admit(alike(WAITING_ALIKE_MAX), None).rejected;
    assert!(matches!(refused.as_slice(), [(_, Rejection::TooManyWaiting)]));
}

#[test]
fn a_lease_lasts_30_days_and_a_longer_one_is_cut() {
    for (asked, held) in [(LEASE_MAX, LEASE_MAX), (LEASE_MAX + 1, LEASE_MAX)] {
        let (mut left, _, todo) = two_sides();
        let claim = Operation::Claimed { todo, lease: Some(asked), scope: Vec::new() };
        left.append(200, draft("codex", Role::Implementer, claim));
        let state = left.log.state();
        let claim = state.todo(todo).and_then(|todo| todo.claim.as_deref());
        assert_eq!(claim.and_then(|claim| claim.lease), Some(held), "{asked}");
    }
}

#[test]
fn the_ledger_keeps_its_most_entries_and_counts_the_others() {
    let note = Operation::NoteAdded {
        todo: TodoId::from_external("nowhere"),
        text: String::new(),
        layout: None,
    };
    let mut event = Event {
        dot: Dot::new(ReplicaId([1; 16]), 0),
        id: EventId::GENESIS,
        author: named("ada"),
        time: HybridTime { millis: 1000, counter: 0 },
        occurred: None,
        seen: Arc::default(),
        operation: note,
    };
    let mut state = State::default();
    for number in 1..=LEDGER_ENTRIES_MAX as u64 {
        event.dot.number = number;
        event.time.millis += 1;
        state.apply(&event);
    }
    assert_eq!((state.ledger.len(), state.ledger_cut), (LEDGER_ENTRIES_MAX, 0));
    let second = Arc::clone(&state.ledger[1]);
    event.dot.number += 1;
    event.time.millis += 1;
    state.apply(&event);
    assert_eq!((state.ledger.len(), state.ledger_cut), (LEDGER_ENTRIES_MAX, 1));
    assert_eq!(state.ledger[0], second, "the oldest goes");
}
