//! What is left when events are lost, and what happens when they turn up again.

use std::sync::Arc;

use proptest::prelude::*;
use tress_engine::Log;
use tress_model::event::Hole;
use tress_model::{Segment, VersionVector};

use crate::history::{merged, play, singles, steps};

/// The hole that `lost` leaves, with the id that what follows it says it ends with.
fn hole_of(lost: &Segment, all: &[Segment]) -> Hole {
    let next = all.iter().find(|s| s.replica == lost.replica && s.first == lost.last() + 1);
    Hole {
        replica: lost.replica,
        store: lost.store,
        first: lost.first,
        last: lost.last(),
        end: next.map(|next| next.previous),
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    /// Everything but what was lost is given back, whatever was lost, and in whatever order the
    /// rest comes; and when the lost events turn up, nothing is left of the holes.
    #[test]
    fn everything_but_the_lost_events_comes_back(
        history in steps(4, 50),
        hits in prop::collection::vec(any::<prop::sample::Index>(), 1..5),
        backwards in any::<bool>(),
    ) {
        let (_, segments) = play(4, &history);
        let segments = singles(&segments);
        prop_assume!(!segments.is_empty());
        let mut lost: Vec<usize> = hits.iter().map(|hit| hit.index(segments.len())).collect();
        lost.sort_unstable();
        lost.dedup();
        let holes: Arc<[Hole]> = lost.iter().map(|&at| hole_of(&segments[at], &segments)).collect();
        let rest = segments.iter().enumerate().filter(|(at, _)| !lost.contains(at));
        let mut rest: Vec<Segment> = rest.map(|(_, segment)| segment.clone()).collect();
        if backwards {
            rest.reverse();
        }
        let mut log = Log::new().with_holes(Arc::clone(&holes));
        let admission = log.admit_all(rest.iter().cloned(), None);
        prop_assert!(admission.rejected.is_empty(), "{:?}", admission.rejected);
        prop_assert_eq!(admission.waiting, 0);
        let dots: Vec<_> = log.events().iter().filter(|e| !e.is_lost()).map(|e| e.dot).collect();
        prop_assert_eq!(dots.len(), rest.iter().map(|s| s.records.len()).sum::<usize>());
        prop_assert_eq!(log.lost().count(), lost.len());
        prop_assert!(log.lost().all(|event| holes.iter().any(|hole| hole.contains(event.dot))));
        let whole = merged(&segments);
        prop_assert_eq!(log.version(), whole.version());
        // One piece at a time, as a reader of several files gets them.
        let mut piecemeal = Log::new().with_holes(Arc::clone(&holes));
        for segment in &rest {
            piecemeal.admit_all([segment.clone()], None);
        }
        piecemeal.admit_all(Vec::<Segment>::new(), None);
        prop_assert_eq!(piecemeal.state().root(), log.state().root());
        // What turns up is told apart from a second history, and takes its place on a new reading.
        for &at in &lost {
            let admission = log.admit_all([segments[at].clone()], None);
            let late = matches!(&*admission.rejected, [(_, tress_engine::Rejection::Behind(_))]);
            prop_assert!(late, "{:?}", admission.rejected);
        }
        let mut filled = Log::new().with_holes(holes);
        filled.admit_all(segments.iter().cloned(), None);
        prop_assert_eq!(filled.lost().count(), 0);
        prop_assert_eq!(filled.state().root(), whole.state().root());
    }
}

#[test]
fn an_unreasonably_large_hole_is_not_gone_on_from() {
    let replica = tress_model::ReplicaId([1; 16]);
    let store = tress_model::StoreId([1; 16]);
    let hole = |last| Hole { replica, store, first: 1, last, end: None };
    for (last, lost) in [
        (tress_model::limits::HOLE_EVENTS_MAX, tress_model::limits::HOLE_EVENTS_MAX),
        (tress_model::limits::HOLE_EVENTS_MAX + 1, 0),
        (u64::MAX, 0),
    ] {
        let mut log = Log::new().with_holes(Arc::from([hole(last)]));
        log.admit_all(Vec::<Segment>::new(), None);
        assert_eq!(log.version().get(replica), lost);
        assert_eq!(log.version().join(&VersionVector::new()).events(), lost);
    }
}
