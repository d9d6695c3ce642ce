//! The past of a run, one event at a time.

use std::sync::Arc;

use tress::{Event, Operation, Run, State, Subscription, VersionVector, When};

use super::screen::{Place, View};
use crate::failure::Failure;

/// How many events back the log on the screen goes.
const LOG: usize = 200;

/// A run, and the place in its history that is looked at.
pub(super) struct Travel {
    run: Run,
    arrivals: Subscription,
    /// In canonical order.
    events: Vec<Arc<Event>>,
    /// How many of them count; `None` is live.
    place: Option<usize>,
}

impl Travel {
    /// The run as it is now.
    pub(super) async fn new(run: &Run) -> Result<Self, Failure> {
        let arrivals = run.subscribe(run.state().version.clone()).await?;
        let events = run.events_since(VersionVector::new()).await?;
        Ok(Self { run: run.clone(), arrivals, events, place: None })
    }

    /// Takes in what has come since.
    pub(super) async fn catch_up(&mut self) -> Result<(), Failure> {
        let mut fresh = Vec::new();
        while let Ok(event) =
            tokio::time::timeout(std::time::Duration::ZERO, self.arrivals.next()).await
        {
            fresh.push(event?);
        }
        if fresh.is_empty() {
            return Ok(());
        }
        let before = self.place.and_then(|place| self.events.get(place.checked_sub(1)?).cloned());
        self.events.extend(fresh);
        self.events.sort_by_key(|event| event.order());
        self.events.dedup_by_key(|event| event.dot);
        // The same event stays the last that counts, wherever late ones went.
        if let Some(before) = before {
            let upto = |event: &Arc<Event>| event.order() <= before.order();
            self.place = Some(self.events.partition_point(upto));
        }
        Ok(())
    }

    /// Goes to a moment.
    pub(super) async fn to(&mut self, when: When) -> Result<(), Failure> {
        let state = self.run.state_at(when).await?;
        let last = state.last;
        let place = self.events.partition_point(|event| Some(event.order()) <= last);
        self.place = Some(place.max(1));
        Ok(())
    }

    /// Goes so many events on, or back.
    pub(super) fn step(&mut self, by: isize) {
        let len = self.events.len();
        let here = self.place.unwrap_or(len);
        let there = here.saturating_add_signed(by).clamp(1.min(len), len);
        self.place = (there < len).then_some(there);
    }

    /// A hundredth of the run.
    pub(super) fn stride(&self) -> isize {
        isize::try_from((self.events.len() / 100).max(10)).unwrap_or(isize::MAX)
    }

    /// Goes to the end, and stays there.
    pub(super) const fn live(&mut self) {
        self.place = None;
    }

    /// Goes to the checkpoint after, or before, this place.
    pub(super) fn checkpoint(&mut self, forward: bool) {
        let here = self.place.unwrap_or(self.events.len());
        let taken =
            |event: &Arc<Event>| matches!(event.operation, Operation::CheckpointTaken { .. });
        let mut places =
            self.events.iter().enumerate().filter(|(_, e)| taken(e)).map(|(at, _)| at + 1);
        let found = match forward {
            true => places.find(|&place| place > here),
            false => places.rfind(|&place| place < here),
        };
        match found {
            Some(place) => self.place = Some(place).filter(|&place| place < self.events.len()),
            None if forward => self.live(),
            None => self.step(isize::MIN / 2),
        }
    }

    /// What is to be seen.
    pub(super) async fn view(&self) -> Result<View, Failure> {
        let place = self.place.unwrap_or(self.events.len());
        let counting = self.events.get(..place).unwrap_or_default();
        let (state, now): (Arc<State>, _) = match self.place {
            None => (self.run.state(), tress::now()),
            Some(_) => {
                let version: VersionVector =
                    counting.iter().map(|event| (event.dot.replica, event.dot.number)).collect();
                let state = self.run.state_at(When::Version(version)).await?;
                let now = counting.last().map_or(0, |event| event.time.millis);
                (state, now)
            }
        };
        let from = counting.len().saturating_sub(LOG);
        Ok(View {
            run: self.run.name().to_owned(),
            readiness: state.readiness(now),
            state,
            now,
            place: self.place.map(|place| Place { event: place, of: self.events.len() }),
            log: counting.get(from..).unwrap_or_default().to_vec(),
        })
    }
}
