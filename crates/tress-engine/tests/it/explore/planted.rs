//! Bugs that were planted on purpose: the explorer must find them, or it explores nothing.

use tress_engine::{Draft, Log};
use tress_model::{Event, ReplicaId, Segment, State};

use super::scripts::{CLOCKS, SCRIPTS};
use super::{Engine, append, deliver, explore};

/// Lets the latest of concurrent claims win.
#[derive(Clone)]
struct LaterClaimWins {
    log: Log,
    state: State,
}

impl LaterClaimWins {
    fn look(&mut self) {
        self.state = (**self.log.state()).clone();
        for id in self.log.state().todos.keys() {
            let Some(todo) = self.state.todos.get_mut(id) else { continue };
            let order = |claim: &tress_model::state::todo::Claim| {
                self.log.event(claim.token).map(|event| event.order())
            };
            let last = todo.lost.iter().max_by_key(|claim| order(claim)).cloned();
            if let (Some(last), Some(held)) = (last, todo.claim.clone()) {
                todo.lost.retain(|claim| claim.token != last.token);
                todo.lost.push(*held);
                todo.claim = Some(Box::new(last));
            }
        }
    }
}

impl Engine for LaterClaimWins {
    const FOLDS: bool = false;

    fn new(seed: &Segment) -> Self {
        let log = <Log as Engine>::new(seed);
        let state = (**log.state()).clone();
        Self { log, state }
    }

    fn append(&mut self, replica: ReplicaId, draft: Draft, now: u64) -> Segment {
        let segment = append(&mut self.log, replica, draft, now);
        self.look();
        segment
    }

    fn deliver(&mut self, segment: Segment) {
        deliver(&mut self.log, segment);
        self.look();
    }

    fn log(&self) -> &Log {
        &self.log
    }

    fn state(&self) -> &State {
        &self.state
    }
}

/// Folds events as they arrive: a late one is not put in its place, but told the time of the last.
#[derive(Clone)]
struct NeverRewinds {
    log: Log,
    state: State,
}

impl NeverRewinds {
    fn catch_up(&mut self) {
        let fresh: Vec<_> = self.log.events_since(&self.state.version).cloned().collect();
        for event in fresh {
            let last = self.state.last.map(|last| last.time).unwrap_or_default();
            let time = if event.time > last { event.time } else { last.tick(0) };
            self.state.apply(&Event { time, ..(*event).clone() });
        }
    }
}

impl Engine for NeverRewinds {
    const FOLDS: bool = false;

    fn new(seed: &Segment) -> Self {
        let log = <Log as Engine>::new(seed);
        let state = (**log.state()).clone();
        Self { log, state }
    }

    fn append(&mut self, replica: ReplicaId, draft: Draft, now: u64) -> Segment {
        let segment = append(&mut self.log, replica, draft, now);
        self.catch_up();
        segment
    }

    fn deliver(&mut self, segment: Segment) {
        deliver(&mut self.log, segment);
        self.catch_up();
    }

    fn log(&self) -> &Log {
        &self.log
    }

    fn state(&self) -> &State {
        &self.state
    }
}

#[test]
fn the_explorer_finds_that_the_later_claim_wins() {
    let found = explore::<LaterClaimWins>(&SCRIPTS[0], &CLOCKS[0]).map(|_| ());
    let found = found.expect_err("a planted bug");
    assert!(found.contains("first-claim"), "{found}");
}

#[test]
fn the_explorer_finds_that_late_events_are_not_put_in_their_place() {
    let found = explore::<NeverRewinds>(&SCRIPTS[0], &CLOCKS[0]).map(|_| ());
    let found = found.expect_err("a planted bug");
    assert!(found.contains("first-claim") || found.contains("holder"), "{found}");
}
