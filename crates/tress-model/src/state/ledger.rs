//! Who lost what and has been told of it, and where a claim stands by what is known here.

use std::sync::Arc;

use super::State;
use super::todo::{Claim, Todo};
use crate::event::Event;
use crate::ids::Dot;
use crate::rules::LedgerEntry;

/// Where a claim stands by what is known here. The fold may yet decide otherwise when it learns
/// of events from elsewhere.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing<'a> {
    /// It holds the todo, or its lease has ended and nobody has taken over.
    Holds(&'a Claim),
    /// This other claim holds the todo, or held it last.
    Taken(&'a Claim),
    /// It lost, was given back, refused, or replaced, and nobody holds the todo.
    Ended,
    /// The todo is finished.
    Finished,
}

impl Todo {
    /// Where the claim with this token stands.
    pub fn standing(&self, token: Dot) -> Standing<'_> {
        if self.finished() {
            return Standing::Finished;
        }
        match &self.claim {
            Some(claim) if claim.token == token => Standing::Holds(claim),
            Some(claim) => Standing::Taken(claim),
            None => Standing::Ended,
        }
    }
}

impl State {
    /// What `agent` lost and has not been told of, in the order in which it was decided.
    pub fn losses(&self, agent: &str) -> impl Iterator<Item = &Arc<LedgerEntry>> {
        let places = self.untold.get(agent).into_iter().flatten();
        places.filter_map(|&place| self.ledger.get(self.index(place)?))
    }

    /// Where the entry stands that was the `place`th of all.
    fn index(&self, place: u64) -> Option<usize> {
        usize::try_from(place.checked_sub(self.ledger_cut)?).ok()
    }

    /// The agent at hand says that it knows what became of its event `lost`. That is true of the
    /// decisions of which it had seen both sides, and of no other: one that a late event brings
    /// about is told when the agent has heard of that one, too.
    pub(super) fn acknowledge(&mut self, event: &Event, lost: Dot) {
        let knows = |entry: &LedgerEntry| {
            entry.loser == lost
                && !entry.told
                && entry.agent == event.author.name
                && event.saw(lost)
                && entry.winner.is_none_or(|winner| event.saw(winner))
        };
        let agent = &event.author.name;
        let Some(places) = self.untold.get(agent) else { return };
        let entry = |&place: &u64| self.ledger.get(self.index(place)?);
        let (known, rest): (Vec<u64>, Vec<u64>) =
            places.iter().copied().partition(|place| entry(place).is_some_and(|e| knows(e)));
        if known.is_empty() {
            return;
        }
        self.untold.insert(Arc::clone(agent), rest);
        for place in known {
            let index = self.index(place);
            if let Some(entry) = index.and_then(|index| self.ledger.get_mut(index)) {
                Arc::make_mut(entry).told = true;
            }
        }
    }
}
