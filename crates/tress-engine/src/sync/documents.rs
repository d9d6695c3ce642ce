//! The part of a session that is about documents. It begins when both sides have all events.
//!
//! ```text
//! Documents(heads A) ->            <- Documents(heads B)   both say where theirs stand
//! Lacking(clock A) ->              <- Changes …            whoever stands elsewhere asks, by strand
//! Lacking(clock A) ->              <- Changes()            until there is nothing more
//! Settled ->                       <- Settled              each has what it wants of the other's
//! ```
//!
//! Who lacks something asks for it, one answer at a time: so nobody is sent more than it takes, and
//! what breaks off goes on from what is there. What is said last of the documents is what counts;
//! where it changes while the other still asks, the other looks again before it is settled.

use std::collections::VecDeque;

use tress_model::message::{Clock, Heads};
use tress_model::{Strand, Strands};

/// What is to be done about documents; each is to be answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Paperwork {
    /// Look where our documents stand, and say so with [`super::Session::stand`].
    Look,
    /// Say with [`super::Session::lack`] what our document holds, unless it holds the changes
    /// `heads` already.
    Compare {
        /// Which document.
        strand: Strand,
        /// Where the peer's stands.
        heads: Vec<[u8; 32]>,
    },
    /// Hand in with [`super::Session::give`] what our document has and `clock` lacks, causes first: as much as
    /// goes into one message.
    Give {
        /// Which document.
        strand: Strand,
        /// What the peer has of it.
        clock: Clock,
    },
    /// Take these changes in, and say with [`super::Session::took`] what came of it.
    Take {
        /// Which document.
        strand: Strand,
        /// The changes, as anybody may have made them.
        changes: Vec<Vec<u8>>,
    },
}

/// What there is to do next.
#[derive(Debug, PartialEq)]
pub(super) enum Step {
    Do(Paperwork),
    Tell(Heads),
    Lacking(Strand, Clock),
    Settled,
}

#[derive(Debug, Default)]
pub(super) struct Documents {
    steps: VecDeque<Step>,
    /// Where ours stand, as we said last; where theirs do.
    ours: Option<Heads>,
    theirs: Option<Heads>,
    looking: bool,
    /// Whether something changed since we began to look.
    stale: bool,
    /// How often we said where ours stand, and it is not settled.
    unsettled: u64,
    /// How often they said where theirs stand, and it is not settled; how many of these are being settled.
    owed: u64,
    settling: u64,
    /// What we have yet to ask for, and what we asked for.
    wanted: VecDeque<Strand>,
    asked: Option<Strand>,
    /// Whether we wait for their answer.
    waiting: bool,
    /// Of which strands something is taken.
    pub(super) wants: Strands,
}

impl Documents {
    pub(super) fn next(&mut self) -> Option<Step> {
        self.steps.pop_front()
    }

    /// Whether each has what it wants of the other's.
    pub(super) fn settled(&self) -> bool {
        let said = self.ours.is_some() && self.theirs.is_some() && !self.looking;
        said && self.unsettled == 0 && self.owed == 0 && self.steps.is_empty()
    }

    /// Ours may stand elsewhere than we said.
    pub(super) fn look(&mut self) {
        match self.looking {
            true => self.stale = true,
            false => {
                self.looking = true;
                self.steps.push_back(Step::Do(Paperwork::Look));
            }
        }
    }

    /// Ours stand at `heads`.
    pub(super) fn stand(&mut self, heads: Heads) {
        self.looking = false;
        if self.ours.as_ref() != Some(&heads) {
            self.ours = Some(heads.clone());
            self.unsettled += 1;
            self.steps.push_back(Step::Tell(heads));
        }
        if std::mem::take(&mut self.stale) {
            self.look();
        }
        self.compare();
    }

    /// Theirs stand at `heads`.
    pub(super) fn hear(&mut self, heads: Heads) {
        self.theirs = Some(heads);
        self.owed += 1;
        self.compare();
    }

    /// They have what they wanted; whether that is an answer.
    pub(super) fn hear_settled(&mut self) -> bool {
        let unsettled = self.unsettled.checked_sub(1);
        self.unsettled = unsettled.unwrap_or_default();
        unsettled.is_some()
    }

    /// Whether they may ask us: they know where ours stand.
    pub(super) fn may_be_asked(&self) -> bool {
        self.ours.is_some()
    }

    /// Whether we asked for changes of `strand`, and have no answer.
    pub(super) fn waits_for(&self, strand: Strand) -> bool {
        self.waiting && self.asked == Some(strand)
    }

    /// The answer came.
    pub(super) fn hear_changes(&mut self, strand: Strand, changes: Vec<Vec<u8>>) {
        self.waiting = false;
        match changes.is_empty() {
            true => self.ask_next(),
            false => self.steps.push_back(Step::Do(Paperwork::Take { strand, changes })),
        }
    }

    /// What our document of `strand` holds; nothing where it holds what theirs does, or cannot be used.
    pub(super) fn lack(&mut self, strand: Strand, clock: Option<Clock>) {
        match clock.filter(|_| self.asked == Some(strand)) {
            Some(clock) => {
                self.waiting = true;
                self.steps.push_back(Step::Lacking(strand, clock));
            }
            None => self.ask_next(),
        }
    }

    /// Whether some of what came was new.
    pub(super) fn took(&mut self, strand: Strand, new: bool) {
        match new {
            true => self.compare_strand(strand),
            // What is given again and again is asked for no more.
            false => self.ask_next(),
        }
    }

    fn compare(&mut self) {
        let (Some(ours), Some(theirs)) = (&self.ours, &self.theirs) else { return };
        if self.owed == 0 || self.settling > 0 {
            return;
        }
        // All that was said until now is settled by what is done now.
        self.settling = self.owed;
        let differs = |at: &Strand| {
            let (ours, theirs) = (ours.get(at.index()), theirs.get(at.index()));
            ours != theirs && theirs.is_some_and(|heads| !heads.is_empty())
        };
        self.wanted = self.wants.iter().filter(differs).collect();
        self.ask_next();
    }

    fn ask_next(&mut self) {
        self.asked = None;
        if let Some(strand) = self.wanted.pop_front() {
            return self.compare_strand(strand);
        }
        let settled = std::mem::take(&mut self.settling);
        self.owed -= settled;
        self.steps.extend((0..settled).map(|_| Step::Settled));
        // What they said meanwhile.
        self.compare();
    }

    fn compare_strand(&mut self, strand: Strand) {
        self.asked = Some(strand);
        let heads = self.theirs.as_ref().and_then(|theirs| theirs.get(strand.index()));
        let heads = heads.cloned().unwrap_or_default();
        self.steps.push_back(Step::Do(Paperwork::Compare { strand, heads }));
    }
}
