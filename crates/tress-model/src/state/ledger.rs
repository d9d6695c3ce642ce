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
    /// It lost, and whoever won has given the todo back: nobody else is at it.
    Left(&'a Claim),
    /// It was given back, refused, or replaced, and nobody holds the todo.
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
            None => {
                let lost = self.lost.iter().find(|lost| lost.token == token);
                lost.map_or(Standing::Ended, Standing::Left)
            }
        }
    }
}

impl State {
    /// What `agent` lost and has not been told of, in the order in which it was decided. Linear in
    /// the ledger.
    pub fn losses<'a>(&'a self, agent: &'a str) -> impl Iterator<Item = &'a Arc<LedgerEntry>> {
        self.ledger.iter().filter(move |entry| !entry.told && *entry.agent == *agent)
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
        // What does not change must stay shared with older states.
        let known = self.ledger.iter().enumerate().filter(|(_, entry)| knows(entry));
        let known: Vec<usize> = known.map(|(index, _)| index).collect();
        for index in known {
            if let Some(entry) = self.ledger.get_mut(index) {
                Arc::make_mut(entry).told = true;
            }
        }
    }
}
