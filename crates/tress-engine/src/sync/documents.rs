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
//! where it changes while the other still asks, the other looks again before it is settled. What shows
//! events comes behind them: nothing is said or given while the peer lacks some that we have.

use std::collections::VecDeque;

use tress_model::message::{Clock, Heads};
use tress_model::{Strand, Strands, limits};

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
    /// Whether ours may stand elsewhere than we said; whether we look.
    stale: bool,
    looking: bool,
    /// How often we said where ours stand, and it is not settled.
    unsettled: u64,
    /// How often they said where theirs stand, and it is not settled; how many of these are being settled.
    owed: u64,
    settling: u64,
    /// Whether something could not be done here, so that it is compared again when we look again.
    failed: bool,
    again: bool,
    /// What we have yet to ask for, what we ask for, and with what we asked last.
    wanted: VecDeque<Strand>,
    asked: Option<Strand>,
    asked_with: Option<Clock>,
    /// Whether we wait for their answer.
    waiting: bool,
    /// What they asked for, and has yet to be looked for.
    to_give: Option<(Strand, Clock)>,
    /// Of which strands something is taken.
    pub(super) wants: Strands,
}

impl Documents {
    pub(super) fn next(&mut self) -> Option<Step> {
        self.steps.pop_front()
    }

    /// Whether each has what it wants of the other's.
    pub(super) fn settled(&self) -> bool {
        let said = self.ours.is_some() && self.theirs.is_some() && !self.looking && !self.stale;
        said && self.unsettled == 0 && self.owed == 0 && self.steps.is_empty()
    }

    /// Whether the peer has yet to answer something.
    pub(super) fn is_owed(&self) -> bool {
        self.waiting || self.unsettled > 0
    }

    /// Ours may stand elsewhere than we said.
    pub(super) fn look(&mut self) {
        self.stale = true;
    }

    /// The peer has all events that we have: seals must not come before what they show.
    pub(super) fn go_on(&mut self) {
        if !self.looking && std::mem::take(&mut self.stale) {
            self.looking = true;
            self.steps.push_back(Step::Do(Paperwork::Look));
        }
        if let Some((strand, clock)) = self.to_give.take() {
            self.steps.push_back(Step::Do(Paperwork::Give { strand, clock }));
        }
    }

    /// Ours stand at `heads`; nothing where that cannot be said now.
    pub(super) fn stand(&mut self, heads: Option<Heads>) {
        self.looking = false;
        let known = heads.filter(|heads| heads.iter().all(|of| of.len() <= limits::HEADS_MAX));
        match known {
            Some(_) => self.again |= std::mem::take(&mut self.failed),
            None => self.failed = true,
        }
        // Whoever could not look has said nothing yet: that it stands nowhere is the least.
        let heads = known.or_else(|| self.ours.clone()).unwrap_or_default();
        if self.ours.as_ref() != Some(&heads) {
            self.ours = Some(heads.clone());
            self.unsettled += 1;
            self.steps.push_back(Step::Tell(heads));
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

    /// They ask for what `clock` lacks; whether they may: they know where ours stand, and wait for nothing.
    pub(super) fn hear_lacking(&mut self, strand: Strand, clock: Clock) -> bool {
        let may = self.ours.is_some() && self.to_give.is_none();
        self.to_give = Some((strand, clock));
        may
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

    /// Something about documents could not be done here now.
    pub(super) fn fail(&mut self) {
        self.failed = true;
    }

    /// What our document of `strand` holds; nothing where it holds what theirs does, or cannot be used.
    pub(super) fn lack(&mut self, strand: Strand, clock: Option<Clock>) {
        // What brings us no further is asked for no more.
        let clock = clock
            .filter(|clock| self.asked == Some(strand) && self.asked_with.as_ref() != Some(clock));
        match clock {
            Some(clock) => {
                self.waiting = true;
                self.asked_with = Some(clock.clone());
                self.steps.push_back(Step::Lacking(strand, clock));
            }
            None => self.ask_next(),
        }
    }

    /// What came is in our document, as far as it is good; so may be what others brought.
    pub(super) fn took(&mut self, strand: Strand) {
        self.compare_strand(strand);
    }

    fn compare(&mut self) {
        let (Some(ours), Some(theirs)) = (&self.ours, &self.theirs) else { return };
        if self.owed == 0 && !self.again || self.settling > 0 || self.asked.is_some() {
            return;
        }
        // All that was said until now is settled by what is done now.
        self.settling = self.owed;
        self.again = false;
        let differs = |at: &Strand| {
            let (ours, theirs) = (ours.get(at.index()), theirs.get(at.index()));
            ours != theirs && theirs.is_some_and(|heads| !heads.is_empty())
        };
        self.wanted = self.wants.iter().filter(differs).collect();
        self.ask_next();
    }

    fn ask_next(&mut self) {
        self.asked = None;
        self.asked_with = None;
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
