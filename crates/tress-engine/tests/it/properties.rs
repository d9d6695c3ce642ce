//! What holds of every history: the same events give the same state, merging is a join, every
//! invariant of every rule holds in every state, and no event is lost.

use proptest::prelude::*;
use tress_engine::Log;
use tress_model::limits::MARK_EVERY;
use tress_model::operation::TodoEdit;
use tress_model::{Operation, Role, Segment, TodoId};

use crate::history::{histories, merged, mixed, play, recut};
use crate::invariants::Watch;
use crate::{Side, added, draft};

/// How many histories each property is tried on, unless `PROPTEST_CASES` says otherwise.
fn cases(number: u32) -> ProptestConfig {
    let said = std::env::var("PROPTEST_CASES").ok().and_then(|cases| cases.parse().ok());
    ProptestConfig { cases: said.unwrap_or(number), ..ProptestConfig::default() }
}

/// A log, and everything that was ever handed to it.
#[derive(Clone)]
struct Part {
    log: Log,
    given: Vec<Segment>,
}

impl Part {
    fn of(segments: &[Segment], chosen: u64) -> Self {
        let given = segments.iter().enumerate().filter(|(at, _)| chosen >> (at % 64) & 1 == 1);
        let given: Vec<_> = given.map(|(_, segment)| segment.clone()).collect();
        let mut log = Log::new();
        let admission = log.admit_all(given.clone(), None);
        assert!(admission.rejected.is_empty(), "{:?}", admission.rejected);
        Self { log, given }
    }

    fn merge(&self, other: &Self) -> Self {
        let mut merged = self.clone();
        let admission = merged.log.admit_all(other.given.iter().cloned(), None);
        assert!(admission.rejected.is_empty(), "{:?}", admission.rejected);
        merged.given.extend(other.given.iter().cloned());
        merged
    }

    fn shows(&self) -> (tress_model::EventId, tress_model::VersionVector) {
        (self.log.state().root(), self.log.version().clone())
    }
}

proptest! {
    #![proptest_config(cases(64))]

    #[test]
    fn up_to_eight_replicas_converge(
        (replicas, history) in histories(90),
        mix in any::<u32>(),
        chunk in 1_usize..7,
    ) {
        let (team, segments) = play(replicas, &history);
        let expected = merged(&segments);
        let mut log = Log::new();
        for part in mixed(&recut(&segments, mix), mix).chunks(chunk) {
            let admission = log.admit_all(part.iter().cloned(), None);
            prop_assert!(admission.rejected.is_empty(), "{:?}", admission.rejected);
        }
        prop_assert!(!log.has_waiting());
        prop_assert_eq!(log.version(), expected.version());
        prop_assert_eq!(log.state(), expected.state());
        prop_assert_eq!(log.state().root(), expected.state().root());
        for replica in team {
            let mut log = replica.log;
            log.admit_all(mixed(&segments, mix), None);
            prop_assert_eq!(log.version(), expected.version());
            prop_assert_eq!(log.state().root(), expected.state().root());
        }
    }

    #[test]
    fn merging_is_commutative_associative_and_idempotent(
        (replicas, history) in histories(60),
        (a, b, c) in any::<(u64, u64, u64)>(),
        mix in any::<u32>(),
    ) {
        let (_, segments) = play(replicas, &history);
        let segments = mixed(&recut(&segments, mix), mix);
        let (a, b, c) = (Part::of(&segments, a), Part::of(&segments, b), Part::of(&segments, c));
        prop_assert_eq!(a.merge(&b).shows(), b.merge(&a).shows());
        prop_assert_eq!(a.merge(&b).merge(&c).shows(), a.merge(&b.merge(&c)).shows());
        prop_assert_eq!(a.merge(&a).shows(), a.shows());
        let all = Part::of(&segments, u64::MAX);
        prop_assert_eq!(a.merge(&all).shows(), all.shows());
    }
}

proptest! {
    #![proptest_config(cases(192))]

    #[test]
    fn every_invariant_holds_in_every_state(
        (replicas, history) in histories(90),
        mix in any::<u32>(),
    ) {
        let (team, segments) = play(replicas, &history);
        let log = merged(&mixed(&segments, mix));
        let watch = Watch::all(log.events());
        let watch = watch.map_err(TestCaseError::fail)?;
        prop_assert_eq!(&watch.state, &**log.state(), "the log folds as the fold does");
        // What each replica had seen before all met.
        for replica in &team {
            let alone = Watch::all(replica.log.events()).map_err(TestCaseError::fail)?;
            prop_assert_eq!(&alone.state, &**replica.log.state());
        }
    }

    #[test]
    fn no_event_is_ever_absent_from_the_log(
        (replicas, history) in histories(90),
        mix in any::<u32>(),
    ) {
        let (team, segments) = play(replicas, &history);
        let log = merged(&mixed(&recut(&segments, mix), mix));
        let written: usize = segments.iter().map(|segment| segment.records.len()).sum();
        prop_assert_eq!(log.events().len(), written);
        for replica in team {
            for event in replica.log.events() {
                let kept = log.event(event.dot);
                prop_assert_eq!(kept.map(|kept| kept.id), Some(event.id));
            }
        }
    }
}

/// Random histories are too short for the marks that a log sets every so many events; here late
/// events arrive before, between and behind them.
#[test]
fn a_late_event_rewinds_to_the_mark_before_it() {
    let (mut left, mut right) = (Side::new(1), Side::new(2));
    let note = |number: u64, by: &str| {
        let todo = TodoId::from_external(&format!("todo-{}", number % 7));
        let edits = vec![TodoEdit::Title(format!("{by} {number}"))];
        let operation =
            if number < 7 { added(todo) } else { Operation::TodoEdited { todo, edits } };
        draft(by, Role::Human, operation)
    };
    for number in 0..MARK_EVERY as u64 + 300 {
        left.append(1000 + number * 10, note(number, "ada"));
        right.append(1005 + number * 10, note(number, "bob"));
    }
    let all: Vec<_> = left.written.iter().chain(&right.written).cloned().collect();
    let expected = merged(&all);
    for part in right.written.chunks(150) {
        left.log.admit_all(part.iter().cloned(), None);
    }
    assert_eq!(left.log.state().root(), expected.state().root());
    for event in expected.events().iter().step_by(401) {
        let version = event.version();
        let known = all.iter().filter(|segment| version.get(segment.replica) >= segment.last());
        let fresh = merged(&known.cloned().collect::<Vec<_>>());
        let past = left.log.state_at(&version).expect("a version of this log");
        assert_eq!(past.root(), fresh.state().root());
    }
}
