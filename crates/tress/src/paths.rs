//! Paths: runs that branch off, are explored, and come back.
//!
//! A fork copies nothing: the path reads its past in the journals of the run that it branched off
//! ([`tress_store::Origin`]). A merge takes the path's own events into the run's journals, through
//! the one door, [`tress_engine::admit`], so that both histories are one and the rules decide; the
//! path can then be thrown away. Merging a path that has nothing of its own appends nothing.
//!
//! What can go wrong: the events of a merge are written, and the process dies before it says so in
//! the log. Then they are part of the run all the same, and merging again finds nothing left to do.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use tress_engine::log::{Draft, Ends};
use tress_engine::{Log, Selection, UndoError, When, Without};
use tress_model::clock::Millis;
use tress_model::codec::EventHasher;
use tress_model::event::Record;
use tress_model::ids::{Dot, EventId};
use tress_model::state::Phase;
use tress_model::state::team::Team;
use tress_model::{Event, LedgerEntry, Operation, Segment, State, Strands, VersionVector};
use tress_store::{Item, Origin, RunFile};

use crate::core::Core;
use crate::error::{Error, Refused};
use crate::run::{Agent, Run};
use crate::store::Store;

/// How a run is to branch off.
#[derive(Debug, Clone, Default)]
pub struct Fork {
    /// Where; now, unless it is said.
    pub at: Option<When>,
    /// What is to be left out ([`Run::select`]).
    pub without: Vec<Without>,
    /// What for.
    pub reason: String,
}

/// What a merge brought.
#[derive(Debug, Clone, Default)]
pub struct Merge {
    /// The events that came in, in canonical order.
    pub events: Vec<Arc<Event>>,
    /// What the rules had to decide.
    pub decided: Vec<Arc<LedgerEntry>>,
    /// The state with them.
    pub state: Arc<State>,
    /// The event that records the merge; `None` where nothing was merged, or only tried.
    pub recorded: Option<Arc<Event>>,
}

impl Run {
    /// Where it branched off another run, if it did.
    ///
    /// # Errors
    /// When the run was closed.
    pub async fn origin(&self) -> Result<Option<Arc<Origin>>, Error> {
        self.query(|core| core.files.origin().cloned()).await
    }

    /// The events of the run that have no effect on it, since it is a path without them.
    ///
    /// # Errors
    /// When the run was closed.
    pub async fn left_out(&self) -> Result<Arc<BTreeSet<Dot>>, Error> {
        self.query(|core| Arc::clone(core.log.left_out())).await
    }

    /// What the run would be without some of its events, and why each is left out.
    ///
    /// # Errors
    /// When the journals cannot be read, or a moment that is named is not there.
    pub async fn select(&self, without: Vec<Without>) -> Result<Selection, Error> {
        self.query(move |core| {
            core.make_whole()?;
            Ok(core.log.select(&without)?)
        })
        .await?
    }

    /// What [`Agent::merge`] would bring, without bringing it.
    ///
    /// # Errors
    /// As [`Agent::merge`].
    pub async fn try_merge(&self, from: &Run) -> Result<Merge, Error> {
        self.try_merge_file(from.run_file().await?).await
    }

    /// What [`Agent::merge_file`] would bring, without bringing it.
    ///
    /// # Errors
    /// As [`Agent::merge_file`].
    pub async fn try_merge_file(&self, file: RunFile) -> Result<Merge, Error> {
        self.query(move |core| {
            core.poll()?;
            let trial = core.admit_on_trial(&file)?;
            Ok(trial.map(|trial| trial.merge(core)).unwrap_or_default())
        })
        .await?
    }

    /// Everything that the run is, to be kept or merged elsewhere.
    ///
    /// # Errors
    /// When the journals cannot be read.
    pub async fn run_file(&self) -> Result<RunFile, Error> {
        let run = self.name().to_owned();
        self.query(move |core| {
            let items = core.files.read_all()?;
            let origin = core.files.origin().map(|origin| Origin::clone(origin));
            Ok(RunFile { run, origin, items })
        })
        .await?
    }
}

impl Agent {
    /// Branches off: makes the run `name`, whose past is this run's. Nothing is copied. The path's
    /// first event says who made it.
    ///
    /// # Errors
    /// When there is such a run, or no such moment, or it cannot be written.
    pub async fn fork(&self, store: &Store, name: &str, fork: Fork) -> Result<Run, Error> {
        let (from, by) = (self.run().name().to_owned(), self.name().to_owned());
        let (path, reason) = (name.to_owned(), fork.reason.clone());
        let version = self
            .run()
            .query(move |core| {
                core.poll()?;
                core.make_whole()?;
                let mut without = fork.without;
                without.extend(fork.at.map(Without::After));
                let Selection { version, left_out, .. } = core.log.select(&without)?;
                let origin = Origin {
                    format: tress_model::codec::FORMAT,
                    from,
                    stretches: core.files.stretches_to(&version)?,
                    version: version.clone(),
                    left_out,
                    by,
                    at: core.now(),
                    reason,
                };
                core.files.store().branch(&path, &origin)?;
                Ok::<VersionVector, Error>(version)
            })
            .await??;
        let path = store.run(name).await?;
        let from = self.run().name().to_owned();
        path.agent(self.name(), self.author().role)
            .append([Operation::Forked { from, version }])
            .await?;
        Ok(path)
    }

    /// Takes the events of `from` into this run: both histories are one then, and the rules have
    /// decided. A run that was started keeps its own terms, its branch among them, where those of a path
    /// are later. Merging again, or a path that has nothing of its own, changes nothing.
    ///
    /// # Errors
    /// When an event cannot be admitted; nothing was merged then. [`Error::LeftOut`] for a path
    /// that leaves out events which this run does not know either.
    pub async fn merge(&self, from: &Run) -> Result<Merge, Error> {
        self.merge_file(from.run_file().await?).await
    }

    /// Takes the events of a run file into this run; see [`Agent::merge`].
    ///
    /// # Errors
    /// As [`Agent::merge`].
    pub async fn merge_file(&self, file: RunFile) -> Result<Merge, Error> {
        let author = self.author().clone();
        self.run()
            .query(move |core| {
                core.receive(&file, |from, version| Draft {
                    author,
                    occurred: None,
                    operation: Operation::Merged { from, version },
                })
            })
            .await?
    }

    /// Takes back the effect of one event, by new events; later work by others stays.
    ///
    /// # Errors
    /// [`Refused::Condition`] with the reason why it cannot be taken back.
    pub async fn undo(
        &self,
        event: Dot,
        reason: &str,
    ) -> Result<Vec<Arc<Event>>, Refused<UndoError>> {
        self.undo_if(event, reason, |_| Ok(())).await
    }

    /// Takes back the effect of one event, as [`Agent::undo`] does, where `allowed` says so of the newest state.
    /// No other process can append on a condition meanwhile.
    ///
    /// # Errors
    /// [`Refused::Condition`] with what `allowed` answered, or the reason why it cannot be taken back.
    pub async fn undo_if<E: From<UndoError> + Send + 'static>(
        &self,
        event: Dot,
        reason: &str,
        allowed: impl FnOnce(&State) -> Result<(), E> + Send + 'static,
    ) -> Result<Vec<Arc<Event>>, Refused<E>> {
        let (agent, reason) = (self.clone(), reason.to_owned());
        let undone = self.run().query(move |core| {
            core.make_whole()?;
            let now = core.now();
            core.append_on(|log| {
                allowed(log.state())?;
                let planned = log.undo(event, &reason, now)?;
                Ok(planned.into_iter().map(|operation| agent.draft(operation)).collect())
            })
        });
        undone.await?
    }
}

/// The log of a run file. Everything in it is admitted, with `now` as from another machine.
///
/// # Errors
/// When it is not whole, or an event cannot be admitted.
pub fn log_of(file: RunFile, now: Option<Millis>) -> Result<Log, Error> {
    let left_out = file.origin.map(|origin| Arc::new(origin.left_out)).unwrap_or_default();
    let mut log = Log::new().leaving_out(left_out);
    let admission = log.admit_all(file.items.into_iter().filter_map(Item::into_hashed), now);
    match admission.rejected.into_iter().next() {
        Some((segment, reason)) => Err(Error::NotAdmitted { replica: segment.replica, reason }),
        None if admission.waiting > 0 => Err(Error::Incomplete(admission.waiting)),
        None => Ok(log),
    }
}

/// A log with what is to be merged, that nobody has seen yet.
struct Trial {
    log: Log,
    events: Vec<Arc<Event>>,
    /// What has to be written for it.
    fresh: Vec<Segment>,
}

impl Trial {
    fn merge(self, core: &Core) -> Merge {
        let state = Arc::clone(self.log.state());
        let decided = decided(core.log.state(), &state);
        Merge { events: self.events, decided, state, recorded: None }
    }
}

/// The entries of the ledger that only `after` has.
fn decided(before: &State, after: &State) -> Vec<Arc<LedgerEntry>> {
    let mut known: BTreeMap<_, usize> = BTreeMap::new();
    for entry in &before.ledger {
        *known.entry((entry.loser, entry.winner, entry.rule, &entry.detail)).or_default() += 1;
    }
    let new = after.ledger.iter().filter(|entry| {
        let key = (entry.loser, entry.winner, entry.rule, &entry.detail);
        match known.get_mut(&key).filter(|count| **count > 0) {
            Some(count) => {
                *count -= 1;
                false
            }
            None => true,
        }
    });
    new.cloned().collect()
}

impl Core {
    /// Admits what `file` has and the log lacks to a copy of the log. What both have is compared,
    /// too: a file of another history is refused, however short it is. `None` where there is
    /// nothing to merge. Linear in both histories.
    fn admit_on_trial(&mut self, file: &RunFile) -> Result<Option<Trial>, Error> {
        self.make_whole()?;
        let left_out = file.origin.iter().flat_map(|origin| &origin.left_out);
        if left_out.clone().any(|&dot| !self.log.version().contains(dot)) {
            return Err(Error::LeftOut(file.run.clone()));
        }
        let segments = file.items.iter().filter_map(|item| item.as_segment());
        let mut log = self.log.clone();
        let admission = log.admit_all(segments.clone().cloned(), Some(self.now()));
        if let Some((segment, reason)) = admission.rejected.into_iter().next() {
            return Err(Error::NotAdmitted { replica: segment.replica, reason });
        }
        let lacking = lacking(segments, self.log.version());
        let missing = |segment: &&Segment| segment.last() > log.version().get(segment.replica);
        let missing = lacking.iter().filter(missing).count();
        if missing > 0 {
            return Err(Error::Incomplete(missing));
        }
        if only_noted(&admission.admitted) {
            return Ok(None);
        }
        let fresh = fresh(&self.log.ends(), &log, &lacking);
        Ok(Some(Trial { log, events: admission.admitted, fresh }))
    }

    /// Writes events of other replicas. Where that fails, the run is read again: part of them may be
    /// there.
    pub(crate) fn write_received(&mut self, fresh: &[Segment]) -> Result<(), Error> {
        let Err(error) = self.files.receive(fresh) else { return Ok(()) };
        tracing::error!(%error, "what came in could not be written");
        self.back_to_disk()?;
        Err(error.into())
    }

    /// Makes the log what is on disk, and shows it.
    pub(crate) fn back_to_disk(&mut self) -> Result<(), Error> {
        self.start_over();
        self.poll()?;
        self.show();
        Ok(())
    }

    /// Takes in the events of a run, writes them, and records that in the log.
    fn receive(
        &mut self,
        file: &RunFile,
        record: impl FnOnce(String, VersionVector) -> Draft,
    ) -> Result<Merge, Error> {
        let lock = self.files.lock()?;
        self.writer()?;
        self.poll()?;
        let Some(trial) = self.admit_on_trial(file)? else {
            self.show();
            return Ok(Merge { state: Arc::clone(self.log.state()), ..Merge::default() });
        };
        self.write_received(&trial.fresh)?;
        // The same run from elsewhere may have gone on on other terms; a path has terms of its own.
        let own = match file.run == self.files.name() {
            true => Vec::new(),
            false => own_terms(&self.log.state().team, &trial.log.state().team),
        };
        let log = trial.log.clone();
        let mut merge = trial.merge(self);
        self.log = log;
        self.arrive(&merge.events);
        self.show();
        // The replica that was written may be one of those that came in.
        self.forget_writer();
        let version = theirs(&merge.events);
        let record = record(file.run.clone(), version);
        let author = record.author.clone();
        let own = own.into_iter().map(|(operation, occurred)| Draft {
            author: author.clone(),
            occurred,
            operation,
        });
        let drafts = std::iter::once(record).chain(own).collect();
        merge.recorded = self.append_alone(drafts, &[])?.into_iter().next();
        merge.state = Arc::clone(self.log.state());
        drop(lock);
        Ok(merge)
    }
}

/// Those of `segments` that `version` lacks, wholly or in part.
pub(crate) fn lacking<'a>(
    segments: impl IntoIterator<Item = &'a Segment>,
    version: &VersionVector,
) -> Vec<Segment> {
    let lacks = |segment: &&Segment| segment.last() > version.get(segment.replica);
    segments.into_iter().filter(lacks).cloned().collect()
}

/// Whether events only say where runs branched off and met, and on what terms each goes on after that:
/// two runs that merge each other in turn would have something new for ever.
fn only_noted(events: &[Arc<Event>]) -> bool {
    use Operation as O;
    let met = events.iter().any(|event| matches!(event.operation, O::Merged { .. }));
    events.iter().all(|event| match &event.operation {
        O::Forked { .. } | O::Merged { .. } => true,
        O::RunStarted { .. } | O::RunPaused { .. } | O::RunFinished { .. } => met,
        _ => false,
    })
}

/// What gives a run its own terms back where those of a path that came in are later than they: its branch,
/// above all, and where it stood. A run that nobody started has none.
fn own_terms(before: &Team, after: &Team) -> Vec<(Operation, Option<Millis>)> {
    let settings =
        before.settings.iter().filter(|&(name, own)| after.settings.get(name) != Some(own));
    // One that only the path had is nothing here: settings are never taken away.
    let theirs = after
        .settings
        .iter()
        .filter(|&(name, theirs)| !before.settings.contains_key(name) && !theirs.is_empty());
    let settings = settings.map(|(name, own)| (name.clone(), own.clone()));
    let settings: Vec<(String, String)> =
        settings.chain(theirs.map(|(name, _)| (name.clone(), String::new()))).collect();
    let terms = |team: &Team| (team.title.clone(), team.base.clone(), team.branch.clone());
    let stood = |team: &Team| (team.phase, team.ended_at, team.summary.clone());
    let same =
        settings.is_empty() && terms(before) == terms(after) && stood(before) == stood(after);
    if before.started_at.is_none() || same {
        return Vec::new();
    }
    let (title, base, branch) = terms(before);
    let mut operations = vec![(Operation::RunStarted { title, base, branch, settings }, None)];
    let summary = before.summary.clone();
    operations.extend(match before.phase {
        Phase::New | Phase::Running => None,
        Phase::Paused => Some((Operation::RunPaused { reason: summary }, before.ended_at)),
        Phase::Finished => Some((Operation::RunFinished { summary }, before.ended_at)),
    });
    operations
}

/// The version of what came in.
fn theirs(events: &[Arc<Event>]) -> VersionVector {
    events.iter().map(|event| (event.dot.replica, event.dot.number)).collect()
}

/// Whether a segment is what a log says, to the last byte. An id alone does not tell: it is the same where an operation
/// is withheld, and names the store at the beginning of a chain only.
pub(crate) fn says(log: &Log, segment: &Segment) -> bool {
    let mut hasher = EventHasher::new(segment.store);
    let mut id = segment.previous;
    // Where operations may be missing, one of two that are the same may be without its own.
    let part = log.strands() != Strands::ALL;
    let same = |event: &Event, record: &Record| {
        event.operation == record.operation
            || part && (event.is_withheld() || record.operation.withheld_hash().is_some())
    };
    let mut numbered = (segment.first..).zip(&segment.records);
    let same = numbered.all(|(number, record)| {
        let dot = Dot::new(segment.replica, number);
        let known = log.event(dot).filter(|event| same(event, record));
        let Some((known, Ok(own))) = known.map(|event| (event.id, hasher.id(id, dot, record)))
        else {
            return false;
        };
        id = own;
        own == known
    });
    same && log.store_of(segment.replica) == Some(segment.store) && !segment.records.is_empty()
}

/// What of `lacking` a log with the ends `before` did not have and `after` has, each piece going on where its
/// replica's chain ended there. A piece that says something else than `after` is left out, also where
/// it ends in the same place: it was refused.
pub(crate) fn fresh(before: &Ends, after: &Log, lacking: &[Segment]) -> Vec<Segment> {
    let mut sorted: Vec<&Segment> = lacking.iter().collect();
    // As they are admitted: of two that begin alike the shorter goes first.
    sorted.sort_by_key(|segment| (segment.replica, segment.first, segment.last()));
    let mut ends = Ends::new();
    let mut fresh = Vec::new();
    for segment in sorted {
        let end = || before.get(&segment.replica).copied().unwrap_or((0, EventId::GENESIS));
        let (number, id) = *ends.entry(segment.replica).or_insert_with(end);
        let last = segment.last();
        let end = after.event(Dot::new(segment.replica, last)).map(|event| event.id);
        let (true, Some(end)) = (last > number, end) else { continue };
        let mut segment = segment.clone();
        // What lies between was here, and waited; then it says itself what it goes on from.
        if let Some(known) = (number + 1).checked_sub(segment.first) {
            let known = usize::try_from(known).unwrap_or(usize::MAX);
            segment.records.drain(..known.min(segment.records.len()));
            (segment.first, segment.previous) = (number + 1, id);
        }
        if !says(after, &segment) {
            continue;
        }
        ends.insert(segment.replica, (last, end));
        fresh.push(segment);
    }
    fresh
}
