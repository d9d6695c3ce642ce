//! What the engine promises, on random histories.
#![expect(clippy::indexing_slicing, reason = "a test fails by panicking")]

mod admission;
mod diff;
mod explore;
mod graph;
mod history;
mod holes;
mod invariants;
mod limits;
mod operations;
mod properties;
mod rules;
mod selective;
mod sync;
mod told;

use history::{merged, play, singles, steps};
use invariants::Watch;
use proptest::prelude::*;
use tress_engine::{Draft, Log, Rejection, When};
use tress_model::codec::{EventHasher, decode_hashed, decode_segment, encode_segment};
use tress_model::operation::Verdict;
use tress_model::{
    Author, Dot, Operation, ReplicaId, Role, Rule, Segment, State, Status, StoreId, TodoId,
    VersionVector,
};

/// A permutation of `0..len`, made from random keys.
fn shuffled(segments: &[Segment], keys: &[u32]) -> Vec<Segment> {
    let mut order: Vec<usize> = (0..segments.len()).collect();
    order.sort_by_key(|&index| {
        keys.get(index % keys.len().max(1)).map(|key| key.wrapping_mul(index as u32 + 7))
    });
    order.into_iter().map(|index| segments[index].clone()).collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, ..ProptestConfig::default() })]

    #[test]
    fn any_order_of_delivery_gives_the_same_root(
        history in steps(4, 60),
        keys in prop::collection::vec(any::<u32>(), 1..60),
        chunk in 1_usize..7,
    ) {
        let (team, segments) = play(4, &history);
        let expected = merged(&segments);
        prop_assert!(Watch::all(expected.events()).is_ok());
        let mut log = Log::new();
        for part in shuffled(&segments, &keys).chunks(chunk) {
            let admission = log.admit_all(part.iter().cloned(), None);
            prop_assert!(admission.rejected.is_empty());
        }
        prop_assert_eq!(log.version(), expected.version());
        prop_assert_eq!(log.state(), expected.state());
        prop_assert_eq!(log.state().root(), expected.state().root());
        for replica in team {
            let mut log = replica.log;
            log.admit_all(segments.iter().cloned(), None);
            prop_assert_eq!(log.state().root(), expected.state().root());
        }
    }

    #[test]
    fn admitting_twice_changes_nothing(history in steps(3, 40)) {
        let (_, segments) = play(3, &history);
        let mut log = merged(&segments);
        let before = log.state().root();
        let again = log.admit_all(segments, None);
        prop_assert!(again.admitted.is_empty() && again.rejected.is_empty());
        prop_assert_eq!(log.state().root(), before);
    }

    #[test]
    fn every_state_on_the_way_can_be_opened_again(history in steps(3, 40)) {
        let segments = singles(&play(3, &history).1);
        let whole = merged(&segments);
        let mut log = Log::new();
        for event in whole.events() {
            let version = event.version();
            let part = segments.iter().filter(|s| version.get(s.replica) >= s.last());
            let mut fresh = Log::new();
            fresh.admit_all(part.cloned().collect::<Vec<_>>(), None);
            let past = whole.state_at(&version).expect("a version of this log");
            prop_assert_eq!(past.root(), fresh.state().root());
            log = fresh;
        }
        drop(log);
        for check in whole.check_checkpoints() {
            prop_assert!(check.holds(), "{:?}", check);
        }
    }

    #[test]
    fn a_log_goes_on_from_a_snapshot(history in steps(3, 60), cut in 0_usize..60) {
        let segments = singles(&play(3, &history).1);
        let whole = merged(&segments);
        let cut = cut.min(whole.events().len());
        let version: VersionVector =
            whole.events()[..cut].iter().map(|e| (e.dot.replica, e.dot.number)).collect();
        let mut early = Log::new();
        let (before, after): (Vec<_>, Vec<_>) =
            segments.into_iter().partition(|s| version.get(s.replica) >= s.last());
        early.admit_all(before, None);
        let mut late = Log::from_snapshot(early.snapshot());
        let admission = late.admit_all(after, None);
        prop_assert!(admission.rejected.is_empty());
        prop_assert_eq!(late.state().root(), whole.state().root());
    }

    #[test]
    fn a_segment_survives_the_codec(history in steps(2, 40)) {
        let (_, segments) = play(2, &history);
        for segment in segments {
            let bytes = encode_segment(&segment).expect("it encodes");
            let Segment { replica, store, first, previous, .. } = segment;
            let back = decode_segment(replica, store, first, previous, &bytes);
            prop_assert_eq!(back.expect("it decodes"), segment);
        }
    }

    /// Ids that are hashed where a segment is decoded change nothing: neither what is admitted nor what is refused.
    #[test]
    fn what_is_hashed_ahead_is_admitted_as_what_is_not(
        history in steps(3, 40),
        forged in prop::option::of(any::<prop::sample::Index>()),
        cut in prop::option::of(any::<prop::sample::Index>()),
    ) {
        let mut segments = play(3, &history).1;
        if segments.is_empty() {
            return Ok(());
        }
        if let Some(at) = forged {
            let at = at.index(segments.len());
            segments[at].records[0].author = Author::new("mallory", Role::Human);
        }
        let cut = cut.map(|at| at.index(segments.len()));
        let nobody = StoreId([0; 16]);
        let mut hasher = EventHasher::new(nobody);
        let ahead = segments.iter().enumerate().map(|(at, segment)| {
            let body = encode_segment(segment).expect("it encodes");
            let Segment { replica, store, first, previous, .. } = *segment;
            let read = decode_hashed(replica, nobody, first, previous, &body, &mut hasher);
            let mut read = read.expect("it decodes").of_store(store);
            if cut == Some(at) {
                read.truncate(1);
            }
            read
        });
        let ahead: Vec<_> = ahead.collect();
        if let Some(at) = cut {
            segments[at].records.truncate(1);
        }
        let (mut one, mut other) = (Log::new(), Log::new());
        let (plain, hashed) = (one.admit_all(segments, None), other.admit_all(ahead, None));
        prop_assert_eq!(plain.rejected, hashed.rejected);
        prop_assert_eq!(plain.admitted, hashed.admitted);
        prop_assert_eq!(plain.waiting, hashed.waiting);
        prop_assert_eq!(one.ends(), other.ends());
    }

    #[test]
    fn bytes_from_outside_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
        let replica = ReplicaId([1; 16]);
        let store = StoreId([1; 16]);
        if let Ok(segment) =
            decode_segment(replica, store, 1, tress_model::EventId::GENESIS, &bytes)
        {
            let mut log = Log::new();
            log.admit(segment, Some(0));
        }
    }
}

fn draft(agent: &str, role: Role, operation: Operation) -> Draft {
    Draft { author: Author::new(agent, role), occurred: None, operation }
}

fn added(todo: TodoId) -> Operation {
    Operation::TodoAdded {
        todo,
        external_id: None,
        title: "work".to_owned(),
        edits: Vec::new(),
        prose: Vec::new(),
        labels: Vec::new(),
        layout: None,
    }
}

fn claimed(todo: TodoId) -> Operation {
    Operation::Claimed { todo, lease: None, scope: Vec::new() }
}

fn done(todo: TodoId, token: tress_model::Dot) -> Operation {
    Operation::CompletionClaimed {
        todo,
        token: Some(token),
        commit: None,
        to_integrate: false,
        implementation: String::new(),
        tests: String::new(),
        integration: String::new(),
    }
}

/// One replica of a small story.
#[derive(Clone)]
struct Side {
    log: Log,
    replica: ReplicaId,
    written: Vec<Segment>,
}

impl Side {
    fn new(number: u8) -> Self {
        Self { log: Log::new(), replica: ReplicaId([number; 16]), written: Vec::new() }
    }

    fn append(&mut self, now: u64, draft: Draft) -> tress_model::Dot {
        let prepared = self.log.prepare(self.replica, StoreId([1; 16]), vec![draft], now);
        let prepared = prepared.expect("a valid operation");
        let dot = prepared.events()[0].dot;
        self.written.push(prepared.segment());
        self.log.commit(prepared);
        dot
    }

    fn learn(&mut self, other: &Self) {
        let admission = self.log.admit_all(other.written.clone(), None);
        assert!(admission.rejected.is_empty(), "{:?}", admission.rejected);
    }

    fn rules(&self) -> Vec<Rule> {
        self.log.state().ledger.iter().map(|entry| entry.rule).collect()
    }

    fn status(&self, todo: TodoId, now: u64) -> Status {
        let state = self.log.state();
        state.status_unblocked(state.todo(todo).expect("it was added"), now)
    }
}

fn two_sides() -> (Side, Side, TodoId) {
    let (mut left, mut right) = (Side::new(1), Side::new(2));
    let todo = TodoId::from_external("the one");
    left.append(100, draft("ada", Role::Human, added(todo)));
    right.learn(&left);
    (left, right, todo)
}

#[test]
fn rule_first_claim() {
    let (mut left, mut right, todo) = two_sides();
    right.append(200, draft("late", Role::Implementer, claimed(todo)));
    let token = left.append(150, draft("early", Role::Implementer, claimed(todo)));
    left.learn(&right);
    right.learn(&left);
    for side in [&left, &right] {
        let state = side.log.state();
        let claim = state.todo(todo).and_then(|todo| todo.claim.as_deref()).expect("a claim");
        assert_eq!((claim.token, &*claim.agent), (token, "early"));
        assert_eq!(side.rules(), [Rule::FirstClaim]);
        assert_eq!(&*state.ledger[0].agent, "late");
    }
}

#[test]
fn rule_finished_work_holds() {
    let (mut left, mut right, todo) = two_sides();
    // An old claim, made offline, that turns up after the work was done and verified.
    left.append(150, draft("offline", Role::Implementer, claimed(todo)));
    let token = right.append(200, draft("worker", Role::Implementer, claimed(todo)));
    let completion = right.append(300, draft("worker", Role::Implementer, done(todo, token)));
    let verified = Operation::Verified {
        todo,
        completion,
        verdict: tress_model::operation::Verdict::Pass,
        reason: String::new(),
        percent: 100,
        gaps: Vec::new(),
    };
    right.append(400, draft("judge", Role::Verifier, verified));
    right.learn(&left);
    left.learn(&right);
    for side in [&left, &right] {
        assert_eq!(side.status(todo, 500), Status::Completed);
        assert!(side.rules().contains(&Rule::FinishedWorkHolds));
        let told = side.log.state().ledger.iter().any(|entry| &*entry.agent == "offline");
        assert!(told, "the late claimant is in the ledger");
    }
}

#[test]
fn rule_closed_stays_closed() {
    let (mut left, mut right, todo) = two_sides();
    left.append(200, draft("ada", Role::Human, Operation::Closed { todo, reason: String::new() }));
    let edit = vec![tress_model::operation::TodoEdit::Title("other".to_owned())];
    right.append(300, draft("bob", Role::Human, Operation::TodoEdited { todo, edits: edit }));
    right.append(
        301,
        draft("bob", Role::Human, Operation::Reopened { todo, reason: String::new() }),
    );
    left.learn(&right);
    assert_eq!(left.status(todo, 400), Status::Closed);
    // A reopening that has seen the closing undoes it.
    left.append(
        500,
        draft("ada", Role::Human, Operation::Reopened { todo, reason: String::new() }),
    );
    assert_eq!(left.status(todo, 600), Status::Open);
}

#[test]
fn rule_edit_beats_delete() {
    for (delete_at, edit_at) in [(200, 300), (300, 200)] {
        let (mut left, mut right, todo) = two_sides();
        let delete = Operation::Deleted { todo, reason: String::new() };
        left.append(delete_at, draft("ada", Role::Human, delete));
        let note = Operation::NoteAdded { todo, text: "still needed".to_owned(), layout: None };
        right.append(edit_at, draft("bob", Role::Human, note));
        left.learn(&right);
        right.learn(&left);
        for side in [&left, &right] {
            assert_eq!(side.status(todo, 400), Status::Open);
            assert_eq!(side.rules(), [Rule::EditBeatsDelete]);
        }
    }
}

#[test]
fn rule_field_merge() {
    use tress_model::operation::TodoEdit;
    let (mut left, mut right, todo) = two_sides();
    let edit = |edits| Operation::TodoEdited { todo, edits };
    let title = |text: &str| TodoEdit::Title(text.to_owned());
    left.append(200, draft("ada", Role::Human, edit(vec![title("hers"), TodoEdit::Priority(0)])));
    right.append(300, draft("bob", Role::Human, edit(vec![title("his")])));
    left.learn(&right);
    let state = left.log.state();
    let merged = state.todo(todo).expect("it was added");
    assert_eq!((merged.title.as_str(), merged.priority), ("his", 0));
    assert_eq!(left.rules(), [Rule::FieldMerge]);
    assert!(state.ledger[0].detail.contains("hers"), "{}", state.ledger[0].detail);
}

#[test]
fn rule_no_cycles() {
    use tress_model::operation::EdgeKind;
    let (mut left, mut right, a) = two_sides();
    let b = TodoId::from_external("the other");
    left.append(110, draft("ada", Role::Human, added(b)));
    right.learn(&left);
    let edge = |todo, on| Operation::DependencyAdded {
        todo,
        on,
        external_id: None,
        kind: EdgeKind::Blocks,
        layout: None,
    };
    left.append(200, draft("ada", Role::Human, edge(a, b)));
    right.append(300, draft("bob", Role::Human, edge(b, a)));
    left.learn(&right);
    assert!(left.log.state().edges(b)[0].suspended && !left.log.state().edges(a)[0].suspended);
    assert_eq!(left.rules(), [Rule::NoCycles]);
    let remove = Operation::DependencyRemoved { todo: a, on: b, kind: EdgeKind::Blocks };
    left.append(400, draft("ada", Role::Human, remove));
    assert!(!left.log.state().edges(b)[0].suspended, "it comes back when the cycle is gone");
}

#[test]
fn rule_done_means_verified() {
    let (mut left, _, todo) = two_sides();
    let token = left.append(200, draft("worker", Role::Implementer, claimed(todo)));
    let completion = left.append(300, draft("worker", Role::Implementer, done(todo, token)));
    assert_eq!(left.status(todo, 350), Status::InReview);
    let verified = Operation::Verified {
        todo,
        completion,
        verdict: tress_model::operation::Verdict::Pass,
        reason: String::new(),
        percent: 100,
        gaps: Vec::new(),
    };
    left.append(400, draft("worker", Role::Verifier, verified.clone()));
    left.append(410, draft("other", Role::Implementer, verified.clone()));
    assert_eq!(left.status(todo, 420), Status::InReview);
    assert_eq!(left.rules(), [Rule::DoneMeansVerified, Rule::DoneMeansVerified]);
    left.append(500, draft("judge", Role::Verifier, verified));
    assert_eq!(left.status(todo, 600), Status::Completed);
}

#[test]
fn rule_leases_end() {
    let (mut left, _, todo) = two_sides();
    let claim = |lease| Operation::Claimed { todo, lease, scope: Vec::new() };
    left.append(200, draft("slow", Role::Implementer, claim(Some(50))));
    assert_eq!(left.status(todo, 249), Status::InProgress);
    assert_eq!(left.status(todo, 250), Status::Open);
    left.append(300, draft("next", Role::Implementer, claim(None)));
    let state = left.log.state();
    let holder = state.todo(todo).and_then(|todo| todo.claim.as_deref()).expect("a claim");
    assert_eq!(&*holder.agent, "next");
    assert_eq!(left.rules(), [Rule::LeasesEnd]);
}

#[test]
fn rule_stale_token() {
    let (mut left, _, todo) = two_sides();
    let old = left.append(
        200,
        draft(
            "slow",
            Role::Implementer,
            Operation::Claimed { todo, lease: Some(10), scope: Vec::new() },
        ),
    );
    left.append(300, draft("next", Role::Implementer, claimed(todo)));
    left.append(400, draft("slow", Role::Implementer, done(todo, old)));
    assert_eq!(left.status(todo, 500), Status::InProgress);
    assert_eq!(left.rules(), [Rule::LeasesEnd, Rule::StaleToken]);
}

#[test]
fn a_replica_used_in_two_places_is_noticed() {
    let (mut left, mut right) = (Side::new(1), Side::new(1));
    left.append(100, draft("ada", Role::Human, added(TodoId::from_external("a"))));
    right.append(100, draft("ada", Role::Human, added(TodoId::from_external("b"))));
    let admission = left.log.admit_all(right.written, None);
    let reasons: Vec<_> = admission.rejected.iter().map(|(_, reason)| reason).collect();
    assert!(matches!(reasons.as_slice(), [Rejection::Equivocation { .. }]), "{reasons:?}");
}

#[test]
fn a_changed_event_breaks_the_chain() {
    let mut left = Side::new(1);
    for number in 0..3 {
        let todo = TodoId::from_external(&number.to_string());
        left.append(100 + number, draft("ada", Role::Human, added(todo)));
    }
    let mut forged = left.written.clone();
    forged[1].records[0].author = Author::new("mallory", Role::Human);
    let mut log = Log::new();
    let admission = log.admit_all(forged, None);
    assert_eq!(log.version().get(left.replica), 2);
    assert!(matches!(admission.rejected.as_slice(), [(_, Rejection::Chain(_))]));
}

#[test]
fn events_from_the_future_are_refused_at_the_door_and_accepted_from_the_own_journal() {
    let mut left = Side::new(1);
    let far = 10 * tress_model::limits::CLOCK_DRIFT_MAX;
    left.append(far, draft("ada", Role::Human, added(TodoId::from_external("a"))));
    let mut log = Log::new();
    let admission = log.admit_all(left.written.clone(), Some(1000));
    assert!(matches!(admission.rejected.as_slice(), [(_, Rejection::Future { .. })]));
    assert_eq!(log.admit_all(left.written, None).admitted.len(), 1);
}

#[test]
fn a_time_means_everything_that_had_happened_by_then() {
    let (mut left, mut right, _) = two_sides();
    for number in 0..5 {
        let todo = TodoId::from_external(&format!("left {number}"));
        left.append(1000 + number * 100, draft("ada", Role::Human, added(todo)));
        let todo = TodoId::from_external(&format!("right {number}"));
        right.append(1050 + number * 100, draft("bob", Role::Human, added(todo)));
    }
    left.learn(&right);
    let at = |time| -> State {
        let version = left.log.version_at(&When::Time(time)).expect("a time");
        (*left.log.state_at(&version).expect("a state")).clone()
    };
    assert_eq!(at(50).todos.len(), 0);
    assert_eq!(at(1000).todos.len(), 2);
    assert_eq!(at(1160).todos.len(), 5);
    assert_eq!(at(9999).todos.len(), 11);
}

#[test]
fn rule_decisions_stand() {
    let (mut left, mut right, _) = two_sides();
    let decision = |title: &str, supersedes| Operation::DecisionRecorded {
        title: title.to_owned(),
        context: String::new(),
        decision: title.to_owned(),
        rationale: String::new(),
        consequences: String::new(),
        supersedes,
    };
    let first = left.append(200, draft("ada", Role::Reconciler, decision("sled", Vec::new())));
    right.learn(&left);
    left.append(300, draft("ada", Role::Reconciler, decision("journals", vec![first])));
    right.append(310, draft("bob", Role::Reconciler, decision("files", vec![first])));
    left.learn(&right);
    let decisions = &left.log.state().design.decisions;
    let titles: Vec<_> = decisions.iter().map(|decision| decision.title.as_str()).collect();
    assert_eq!(titles, ["sled", "journals", "files"], "nothing is edited or lost");
    assert_eq!(decisions[0].superseded_by.len(), 2);
    assert_eq!(left.rules(), [Rule::DecisionsStand]);
}

#[test]
fn rule_precondition() {
    let (mut left, _, todo) = two_sides();
    let nowhere = TodoId::from_external("nowhere");
    let closed = |todo| Operation::Closed { todo, reason: String::new() };
    left.append(200, draft("ada", Role::Human, closed(nowhere)));
    left.append(
        201,
        draft("ada", Role::Human, Operation::Reopened { todo, reason: String::new() }),
    );
    assert_eq!(left.rules(), [Rule::Precondition, Rule::Precondition]);
    assert_eq!(left.status(todo, 300), Status::Open);
    assert_eq!(left.log.state().events(), 3, "what had no effect is in the log all the same");
}

#[test]
fn prose_merges_character_by_character() {
    use tress_model::operation::{ProseField, ProseTarget, Splice};
    let (mut left, mut right, todo) = two_sides();
    let edit = |at, delete, insert: &str| Operation::ProseEdited {
        target: ProseTarget::Todo(todo, ProseField::Description),
        splices: vec![Splice { at, delete, insert: insert.to_owned() }],
    };
    left.append(200, draft("ada", Role::Human, edit(0, 0, "the quick fox jumps")));
    right.learn(&left);
    left.append(300, draft("ada", Role::Human, edit(4, 5, "slow")));
    left.append(301, draft("ada", Role::Human, edit(18, 0, " high")));
    right.append(302, draft("bob", Role::Human, edit(9, 0, " brown")));
    left.learn(&right);
    right.learn(&left);
    for side in [&left, &right] {
        let state = side.log.state();
        let text = state.todo(todo).map(|todo| todo.prose(ProseField::Description));
        assert_eq!(text.as_deref(), Some("the slow brown fox jumps high"));
    }
}

fn verdict(todo: TodoId, completion: Dot, verdict: Verdict) -> Operation {
    let (reason, gaps) = (format!("{verdict:?}"), Vec::new());
    Operation::Verified { todo, completion, verdict, reason, percent: 0, gaps }
}

fn to_integrate(todo: TodoId, token: Dot) -> Operation {
    let mut operation = done(todo, token);
    if let Operation::CompletionClaimed { to_integrate, commit, .. } = &mut operation {
        *to_integrate = true;
        *commit = Some("c0ffee".to_owned());
    }
    operation
}

/// A todo that was closed became completed by a verification that came too late.
#[test]
fn a_late_verification_does_not_undo_a_closing() {
    let (mut left, mut right, todo) = two_sides();
    let token = left.append(200, draft("worker", Role::Implementer, claimed(todo)));
    let completion = left.append(210, draft("worker", Role::Implementer, done(todo, token)));
    right.learn(&left);
    right.append(300, draft("ada", Role::Human, Operation::Closed { todo, reason: "no".into() }));
    left.append(400, draft("judge", Role::Verifier, verdict(todo, completion, Verdict::Pass)));
    left.learn(&right);
    assert_eq!(left.status(todo, 500), Status::Closed);
    assert!(left.rules().contains(&Rule::ClosedStaysClosed));
}

/// Work under a claim that its agent had given back was accepted when nobody else held it.
#[test]
fn work_under_a_claim_that_was_given_back_is_stale() {
    let (mut left, mut right, todo) = two_sides();
    let token = left.append(200, draft("worker", Role::Implementer, claimed(todo)));
    right.learn(&left);
    let release = Operation::Released { todo, token, reason: String::new() };
    left.append(300, draft("worker", Role::Implementer, release));
    left.append(310, draft("worker", Role::Implementer, done(todo, token)));
    assert_eq!(left.status(todo, 400), Status::Open);
    assert_eq!(left.rules(), [Rule::StaleToken]);
    // Who did not know that the claim had ended has finished its work all the same.
    right.append(320, draft("worker", Role::Implementer, done(todo, token)));
    right.learn(&left);
    assert_eq!(right.status(todo, 400), Status::InReview);
}

/// With a friend to say "done" under its claim, an agent could verify its own work.
#[test]
fn whoever_held_the_claim_cannot_verify_what_was_done_under_it() {
    let (mut left, _, todo) = two_sides();
    let token = left.append(200, draft("worker", Role::Implementer, claimed(todo)));
    let completion = left.append(300, draft("friend", Role::Implementer, done(todo, token)));
    left.append(400, draft("worker", Role::Verifier, verdict(todo, completion, Verdict::Pass)));
    assert_eq!(left.status(todo, 500), Status::InReview);
    assert_eq!(left.rules(), [Rule::DoneMeansVerified]);
}

/// An answer that nobody had seen, older than the one that was given, took integrated work back.
#[test]
fn an_unseen_refusal_does_not_undo_integrated_work() {
    let (mut left, mut right, todo) = two_sides();
    let token = left.append(200, draft("worker", Role::Implementer, claimed(todo)));
    let completion =
        left.append(210, draft("worker", Role::Implementer, to_integrate(todo, token)));
    right.learn(&left);
    right.append(220, draft("second", Role::Verifier, verdict(todo, completion, Verdict::Unknown)));
    left.append(300, draft("judge", Role::Verifier, verdict(todo, completion, Verdict::Pass)));
    let integrated = Operation::Integrated { todo, completion, commit: "merge".to_owned() };
    left.append(310, draft("coordinator", Role::Coordinator, integrated));
    left.learn(&right);
    assert_eq!(left.status(todo, 400), Status::Completed);
    assert_eq!(left.log.state().team.integrations.len(), 1);
    assert_eq!(left.rules(), [Rule::DoneMeansVerified]);
}

/// `IntegrationFailed` opened what was completed, and ended a claim that was not its own.
#[test]
fn a_failed_integration_touches_only_what_waits_for_it() {
    let (mut left, _, todo) = two_sides();
    let token = left.append(200, draft("worker", Role::Implementer, claimed(todo)));
    let completion = left.append(210, draft("worker", Role::Implementer, done(todo, token)));
    left.append(300, draft("judge", Role::Verifier, verdict(todo, completion, Verdict::Pass)));
    let failed = Operation::IntegrationFailed { todo, completion, reason: String::new() };
    left.append(400, draft("mallory", Role::Human, failed));
    assert_eq!(left.status(todo, 500), Status::Completed);
    assert_eq!(left.rules(), [Rule::Precondition]);
}

#[test]
fn two_who_delete_the_same_agree() {
    let (mut left, mut right, todo) = two_sides();
    let delete = || Operation::Deleted { todo, reason: String::new() };
    left.append(200, draft("ada", Role::Human, delete()));
    right.append(300, draft("bob", Role::Human, delete()));
    left.learn(&right);
    assert_eq!(left.status(todo, 400), Status::Deleted);
    assert_eq!(left.rules(), []);
}

/// An event whose cause was another event under the same dot was believed.
#[test]
fn a_cause_is_known_by_more_than_its_dot() {
    let (mut left, mut right) = (Side::new(1), Side::new(2));
    left.append(100, draft("ada", Role::Human, added(TodoId::from_external("a"))));
    right.learn(&left);
    right.append(200, draft("bob", Role::Human, added(TodoId::from_external("b"))));
    let mut other = Side::new(1);
    other.append(100, draft("ada", Role::Human, added(TodoId::from_external("c"))));
    let admission = other.log.admit_all(right.written, None);
    assert!(matches!(admission.rejected.as_slice(), [(_, Rejection::OtherCause { .. })]));
}

/// Segments that overlap, admitted together, were taken for history before the snapshot.
#[test]
fn segments_that_overlap_are_admitted_in_one_batch() {
    let mut left = Side::new(1);
    for number in 0..5 {
        let todo = TodoId::from_external(&number.to_string());
        left.append(100 + number, draft("ada", Role::Human, added(todo)));
    }
    let joined = |range: std::ops::Range<usize>| {
        let mut segment = left.written[range.start].clone();
        segment.records = left.written[range].iter().flat_map(|s| s.records.clone()).collect();
        segment
    };
    let mut log = Log::new();
    let admission = log.admit_all([joined(0..3), joined(2..5), joined(1..2)], None);
    assert!(admission.rejected.is_empty(), "{:?}", admission.rejected);
    assert_eq!(log.state().root(), left.log.state().root());
}

/// Behind a snapshot a segment of another history was taken for the continuation of the chain.
#[test]
fn another_history_does_not_continue_a_snapshot() {
    let (mut ours, mut theirs) = (Side::new(1), Side::new(1));
    for number in 0..3 {
        let todo = TodoId::from_external(&number.to_string());
        ours.append(100 + number, draft("ada", Role::Human, added(todo)));
    }
    for number in 0..5 {
        let todo = TodoId::from_external(&format!("other {number}"));
        theirs.append(100 + number, draft("ada", Role::Human, added(todo)));
    }
    let mut segment = theirs.written[0].clone();
    segment.records = theirs.written.iter().flat_map(|s| s.records.clone()).collect();
    let mut log = Log::from_snapshot(ours.log.snapshot());
    let admission = log.admit(segment, None);
    assert!(matches!(admission.rejected.as_slice(), [(_, Rejection::Equivocation { .. })]));
}

/// Work that was verified, closed and then integrated became completed without a word.
#[test]
fn a_closing_between_verification_and_integration_stands() {
    let (mut left, _, todo) = two_sides();
    let token = left.append(200, draft("worker", Role::Implementer, claimed(todo)));
    let completion =
        left.append(210, draft("worker", Role::Implementer, to_integrate(todo, token)));
    left.append(300, draft("judge", Role::Verifier, verdict(todo, completion, Verdict::Pass)));
    left.append(310, draft("ada", Role::Human, Operation::Closed { todo, reason: "no".into() }));
    let integrated = Operation::Integrated { todo, completion, commit: "merge".to_owned() };
    left.append(320, draft("coordinator", Role::Coordinator, integrated));
    assert_eq!(left.status(todo, 400), Status::Closed);
    assert_eq!(left.rules(), [Rule::ClosedStaysClosed]);
}

/// The ledger named the design's later author as the one that lost, although its text held.
#[test]
fn the_ledger_names_whose_text_was_overwritten() {
    let (mut left, mut right, _) = two_sides();
    let required = |text: &str| Operation::RequirementAdded {
        requirement: "R1".to_owned(),
        section: "s".to_owned(),
        text: text.to_owned(),
        kind: "functional".to_owned(),
        criticality: tress_model::operation::Severity::High,
    };
    left.append(200, draft("ada", Role::Human, required("hers")));
    right.append(300, draft("bob", Role::Human, required("his")));
    left.learn(&right);
    let state = left.log.state();
    assert_eq!(state.design.requirements["R1"].text, "his");
    assert_eq!((&*state.ledger[0].agent, state.ledger[0].rule), ("ada", Rule::FieldMerge));
}

/// A replica belongs to one store, whose id is in its chain; and its numbers begin at 1.
#[test]
fn segments_that_no_replica_wrote_are_refused() {
    let mut writer = Log::new();
    let (replica, store) = (ReplicaId([1; 16]), StoreId([1; 16]));
    let mut segments = Vec::new();
    for number in 0..2 {
        let author = Author::new("ada", Role::Human);
        let activity = format!("{number}");
        let operation = Operation::AgentReported { activity };
        let draft = Draft { author, occurred: None, operation };
        let prepared = writer.prepare(replica, store, vec![draft], 1000).expect("it is valid");
        segments.push(prepared.segment());
        writer.commit(prepared);
    }
    let mut log = Log::new();
    log.admit(segments[0].clone(), None);
    let elsewhere = Segment { store: StoreId([2; 16]), ..segments[1].clone() };
    assert_eq!(log.admit(elsewhere, None).rejected.len(), 1);
    let nothing = Segment { first: 0, ..segments[1].clone() };
    assert_eq!(log.admit(nothing, None).rejected.len(), 1);
    assert_eq!(log.admit(segments[1].clone(), None).admitted.len(), 1);
}
