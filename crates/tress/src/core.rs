//! The core of an open run: its log and its files, and what is done with them.
//!
//! Everything that touches the log is a command in one queue. A thread takes what is queued,
//! stamps all of it, writes it, syncs once, and only then folds it, shows it and acknowledges it: the
//! sync before is the wait in which the next group gathers (group commit), so there is no timer.
//! Readers of the state never wait for a disk; they read what was published last.

use std::collections::BTreeSet;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use tokio::sync::{mpsc, oneshot, watch};
use tress_engine::log::{Draft, Prepared};
use tress_engine::{Log, PrepareError};
use tress_model::codec::{Snapshot, Staged};
use tress_model::event::Seal;
use tress_model::{
    Event, Millis, OrderKey, ReplicaId, Segment, State, StoreId, VersionVector, limits,
};
use tress_store::{Damage, RunStore, StoreError};

use crate::driver::Parts;
use crate::error::{Error, Refused};
use crate::history::Arrivals;
use crate::members::Signatures;
use crate::seal::Holding;
use crate::show::Published;
use crate::snapshots::Snapshots;

/// The most commands that wait; whoever appends more waits for room.
pub(crate) const QUEUE_MAX: usize = 1024;
/// How often the journals of other processes are looked at while somebody follows the run and the
/// system cannot tell when something is written.
const FOLLOW: Duration = Duration::from_millis(50);
/// How long is waited, when the system told, for more to be written.
const GATHER: Duration = Duration::from_millis(5);

/// How much appends of one group may share a frame.
const FRAME_BYTES: usize = limits::SEGMENT_BYTES_MAX / 16;
const FRAME_EVENTS: usize = limits::SEGMENT_EVENTS_MAX / 64;

pub(crate) type Appended = Result<Vec<Arc<Event>>, Error>;
/// Decides on the state what to append; gives back what the caller gets to see in any case.
type Decide = Box<dyn FnOnce(&Arc<State>) -> Option<Vec<Draft>> + Send>;

pub(crate) enum Command {
    Append {
        drafts: Vec<Draft>,
        reply: oneshot::Sender<Appended>,
    },
    Conditional {
        decide: Decide,
        reply: oneshot::Sender<Appended>,
    },
    Query(Box<dyn FnOnce(&mut Core) + Send>),
    /// Something was written to the run's journals, by whomever.
    Look,
}

/// The log and the files of an open run.
pub(crate) struct Core {
    pub(crate) log: Log,
    pub(crate) files: RunStore,
    pub(crate) arrivals: Arrivals,
    /// What was there when the run was opened, and what arrived since.
    arrived: VersionVector,
    pub(crate) damage: Vec<Damage>,
    /// Segments that were refused, and what their replicas wrote behind them.
    pub(crate) refused: Vec<Damage>,
    refused_replicas: BTreeSet<ReplicaId>,
    /// How many events an earlier repair gave up.
    pub(crate) lost: usize,
    /// How many seals were written or read.
    pub(crate) seals: u64,
    pub(crate) signatures: Signatures,
    /// The place of the earliest event that came, lies before the snapshot, and is not in the log.
    behind: Option<OrderKey>,
    /// When somebody last needed what is old.
    pub(crate) old_needed: Option<Millis>,
    ids: Option<(ReplicaId, StoreId)>,
    snapshots: Snapshots,
    pub(crate) publish: watch::Sender<Published>,
    /// Stands where the state was that is being folded.
    pub(crate) nothing: Arc<State>,
    followers: Arc<AtomicUsize>,
    /// The documents that the run holds.
    pub(crate) holding: Arc<Mutex<Holding>>,
    looked: Instant,
    /// Whether something was written since.
    told: bool,
    /// Tells when something is written, while somebody follows the run.
    watcher: Option<notify::RecommendedWatcher>,
}

/// One append whose events are in the log and not yet durable.
pub(crate) struct Waiting {
    pub(crate) reply: oneshot::Sender<Appended>,
    pub(crate) events: Vec<Arc<Event>>,
}

impl Core {
    /// Opens the run's log: the newest snapshot, and what the journals have behind it.
    pub(crate) fn open(parts: Parts) -> Result<Self, Error> {
        let Parts { mut files, publish, followers, holding } = parts;
        let snapshot = files.load_snapshot(None);
        let snapshot_events = snapshot.as_ref().map_or(0, |snapshot| snapshot.state.events());
        let snapshots = Snapshots::new(snapshot_events, files.bytes_read());
        let log = log_of(&files, snapshot);
        let mut core = Self {
            log,
            files,
            arrivals: Arrivals::default(),
            arrived: VersionVector::new(),
            damage: Vec::new(),
            refused: Vec::new(),
            refused_replicas: BTreeSet::new(),
            lost: 0,
            seals: 0,
            signatures: Signatures::default(),
            behind: None,
            old_needed: None,
            ids: None,
            snapshots,
            publish,
            nothing: Arc::default(),
            followers,
            holding,
            looked: Instant::now(),
            told: false,
            watcher: None,
        };
        core.poll()?;
        core.arrivals = Arrivals::default();
        core.arrived = core.log.version().clone();
        core.show();
        Ok(core)
    }

    /// Reads everything again, from the first event on.
    pub(crate) fn make_whole(&mut self) -> Result<(), Error> {
        self.need_old();
        if !self.log.is_whole() {
            tracing::debug!(run = self.files.name(), "reading the whole history");
            self.read_again(None)?;
        }
        Ok(())
    }

    /// Reads again what lies behind the newest snapshot into which an event at `before` does not
    /// belong, or everything. Costs what is read. What was known stays known, or it is an error.
    pub(crate) fn read_again(&mut self, before: Option<OrderKey>) -> Result<(), Error> {
        self.need_old();
        let (known, arrived) = (self.arrivals.count(), self.arrived.clone());
        let log = std::mem::take(&mut self.log);
        let readers = self.files.rewind();
        let refused = std::mem::take(&mut self.refused);
        let (lost, refused_replicas) = (self.lost, self.refused_replicas.clone());
        // Whoever writes next looks again at what is known of its replica.
        self.ids = None;
        let (late, mut before) = (before.is_some(), before);
        let mut base;
        let read = loop {
            let snapshot = before.and_then(|before| self.files.load_snapshot(Some(before)));
            base = snapshot.as_ref().map_or(0, |snapshot| snapshot.state.events());
            self.log = log_of(&self.files, snapshot);
            match self.poll_once() {
                Ok(Some(_)) if !self.log.is_whole() => {
                    before = None;
                    self.files.rewind();
                    self.refused.clear();
                }
                Ok(_) if log.version() <= self.log.version() => break Ok(()),
                Ok(_) => break Err(self.lost()),
                Err(error) => break Err(error),
            }
        };
        match read {
            Ok(()) => {
                self.behind = None;
                if late {
                    // Whoever opens the run next would do all of that again.
                    self.snapshots.went_back(base);
                }
            }
            Err(_) => {
                self.log = log;
                // What is not in the log did not arrive.
                self.arrivals.truncate(known);
                self.arrived = arrived;
                self.files.restore(readers);
                self.refused = refused;
                self.refused_replicas = refused_replicas;
                self.lost = lost;
            }
        }
        read
    }

    /// The error that what was known cannot be read any more.
    fn lost(&self) -> Error {
        let path = self.files.store().dir().join("runs").join(self.files.name());
        let known = || Damage {
            path,
            offset: 0,
            reason: "events that were known cannot be read any more".to_owned(),
        };
        let damage = self.damage.first().cloned().unwrap_or_else(known);
        Error::Store(StoreError::Damaged(damage))
    }

    /// Forgets everything but what is on disk. Whoever writes next reads first: to number from a log
    /// that could not be read again would use dots a second time.
    pub(crate) fn start_over(&mut self) {
        self.ids = None;
        self.files.rewind();
        self.log = log_of(&self.files, None);
        self.refused.clear();
        self.refused_replicas.clear();
        self.behind = None;
    }

    /// Takes in what other processes wrote.
    pub(crate) fn poll(&mut self) -> Result<(), Error> {
        self.poll_once()?;
        // What could not be read again the last time is tried again.
        let Some(behind) = self.behind else { return Ok(()) };
        match self.read_again(Some(behind)) {
            Err(Error::Store(StoreError::Damaged(damage))) => {
                tracing::error!(%damage, "late events cannot be put in their place");
                self.damage.push(damage);
                Ok(())
            }
            read => read,
        }
    }

    /// Has the system tell what is written, while somebody follows the run. How long to wait at the
    /// most before the next look; `None` where nobody follows.
    fn watch(&mut self, wake: &mpsc::WeakSender<Command>) -> Option<Duration> {
        if self.followers.load(Ordering::Acquire) == 0 {
            self.watcher = None;
            return None;
        }
        if self.watcher.is_none() && self.files.store().is_real() {
            let dir = self.files.store().dir().join("runs").join(self.files.name());
            let wake = wake.clone();
            self.watcher = crate::watch::watch(&dir, move || {
                if let Some(commands) = wake.upgrade() {
                    // Where the queue is full, the thread is awake.
                    let _ = commands.try_send(Command::Look);
                }
            });
            // What was written between the last look and the first watch is told by nobody.
            self.told = true;
        }
        Some(self.wait())
    }

    /// How long it is until the journals are to be looked at.
    fn wait(&self) -> Duration {
        let every = match (self.told, &self.watcher) {
            (true, _) => GATHER,
            (false, Some(_)) => self.files.store().tuning().look_every,
            (false, None) => FOLLOW,
        };
        every.saturating_sub(self.looked.elapsed())
    }

    /// Looks at what other processes wrote, if somebody follows the run and it is time.
    fn follow(&mut self) {
        if self.followers.load(Ordering::Acquire) == 0 || !self.wait().is_zero() {
            return;
        }
        self.looked = Instant::now();
        self.told = false;
        match self.poll() {
            // What was read meanwhile for whoever asked for the past is shown here, too.
            Ok(()) => self.show(),
            Err(error) => tracing::warn!(%error, "cannot follow the run"),
        }
    }

    /// The place of the earliest event that came and lies before the snapshot.
    fn poll_once(&mut self) -> Result<Option<OrderKey>, Error> {
        let (files, log, mut admissions) = (&mut self.files, &mut self.log, Vec::new());
        let mut polled = files.poll_into(&mut |segments| {
            let admission = log.admit_all(segments, None);
            // What waits would be tried again each time.
            let more = admission.waiting == 0;
            admissions.push(admission);
            more
        });
        if let Ok(batch) = &mut polled
            && !batch.segments.is_empty()
        {
            admissions.push(log.admit_all(std::mem::take(&mut batch.segments), None));
        }
        let (mut behind, came) = (None, !admissions.is_empty());
        for admission in admissions {
            for (segment, reason) in admission.rejected {
                if matches!(reason, tress_engine::Rejection::Behind(_)) {
                    behind = earlier(behind, &segment);
                    continue;
                }
                let replica = segment.replica;
                tracing::error!(%replica, first = segment.first, %reason, "refused a segment");
                self.refused_replicas.insert(replica);
                self.refused.push(Damage {
                    path: format!("journal of replica {replica}").into(),
                    offset: segment.first,
                    reason: reason.to_string(),
                });
            }
            self.arrive(&admission.admitted);
        }
        if came {
            self.lost = self.log.lost().count();
        }
        self.behind = self.behind.into_iter().chain(behind).min();
        let batch = polled?;
        self.damage = batch.damage;
        self.seals += batch.seals.len() as u64;
        Ok(behind)
    }

    pub(crate) fn arrive(&mut self, events: &[Arc<Event>]) {
        for event in events.iter().filter(|event| !self.arrived.contains(event.dot)) {
            self.arrivals.push(Arc::clone(event));
        }
        for event in events {
            self.arrived.insert(event.dot);
        }
    }

    pub(crate) fn now(&self) -> Millis {
        self.files.store().host().now()
    }

    pub(crate) fn writer(&mut self) -> Result<(ReplicaId, StoreId), Error> {
        loop {
            let ids = self.files.open_writer()?;
            if self.ids == Some(ids) {
                return Ok(ids);
            }
            // Earlier holders of the replica may have written since the last look.
            self.poll()?;
            let (replica, _) = ids;
            let behind = self.log.waits_for_causes(replica)
                || self.files.is_damaged(replica)
                || self.refused_replicas.contains(&replica)
                || self.log.ends_in_a_hole(replica);
            if !behind {
                self.ids = Some(ids);
                return Ok(ids);
            }
            // Its chain goes on in events that cannot be folded: to number from what is known here
            // would use their dots a second time.
            tracing::warn!(%replica, "cannot go on with a replica whose events are incomplete");
            self.files.retire_writer()?;
        }
    }

    fn stage(&mut self, drafts: Vec<Draft>, group: &mut Vec<Staged>) -> Appended {
        let (replica, store) = self.writer()?;
        let prepared = self.log.prepare(replica, store, drafts, self.now())?;
        self.stage_prepared(prepared, group)
    }

    fn stage_prepared(&mut self, prepared: Prepared, group: &mut Vec<Staged>) -> Appended {
        // What cannot be written must not be committed to the log either.
        let staged = prepared.staged();
        // In a segment, an event takes a few bytes more or less than by itself.
        let large = staged.bytes() > FRAME_BYTES / 2;
        if large || staged.events().len() > limits::SEGMENT_EVENTS_MAX {
            staged.encode().map_err(PrepareError::Codec)?;
        }
        let staged = self.log.stage(prepared);
        let events = staged.events().to_vec();
        group.push(staged);
        Ok(events)
    }

    /// Does what is queued until every handle is dropped.
    pub(crate) fn work(
        mut self,
        mut commands: mpsc::Receiver<Command>,
        wake: &mpsc::WeakSender<Command>,
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build();
        let runtime = match runtime {
            Ok(runtime) => runtime,
            Err(error) => {
                tracing::error!(%error, "the run's thread cannot wait");
                return;
            }
        };
        loop {
            // Whoever needs the documents no more says so to nobody.
            let wait = self.watch(wake).into_iter().chain(self.documents_held()).min();
            let first = runtime.block_on(async {
                match wait {
                    Some(wait) => tokio::time::timeout(wait, commands.recv()).await,
                    None => Ok(commands.recv().await),
                }
            });
            match first {
                Err(_) => self.follow(),
                Ok(None) => break,
                Ok(Some(first)) => {
                    let mut group = vec![first];
                    while group.len() < QUEUE_MAX
                        && let Ok(next) = commands.try_recv()
                    {
                        group.push(next);
                    }
                    self.handle(group);
                }
            }
            self.keep_snapshot(false);
        }
        self.finish();
    }

    /// What is left to do when the run is closed.
    pub(crate) fn finish(&mut self) {
        self.snapshots.finish();
        self.keep_snapshot(true);
    }

    /// Handles a group of commands with one sync.
    pub(crate) fn handle(&mut self, commands: Vec<Command>) {
        let conditional = commands.iter().any(|c| matches!(c, Command::Conditional { .. }));
        let mut lock = None;
        let mut refused = None;
        if conditional {
            match self.files.lock().map_err(Error::from).and_then(|lock| {
                self.writer()?;
                self.poll()?;
                // Whatever is decided, others see what it was decided on.
                self.show();
                Ok(lock)
            }) {
                Ok(held) => lock = Some(held),
                Err(error) => refused = Some(error.to_string()),
            }
        }
        let mut group = Vec::new();
        let mut waiting = Vec::new();
        let mut queries = Vec::new();
        for command in commands {
            let (drafts, reply) = match command {
                Command::Query(query) => {
                    queries.push(query);
                    continue;
                }
                Command::Look => {
                    self.told = true;
                    continue;
                }
                Command::Append { drafts, reply } => (drafts, reply),
                Command::Conditional { decide, reply } => {
                    if let Some(reason) = &refused {
                        let _ = reply.send(Err(Error::Group(reason.clone())));
                        continue;
                    }
                    self.log.fold_staged();
                    let state = Arc::clone(self.log.state());
                    match catch_unwind(AssertUnwindSafe(move || decide(&state))) {
                        Ok(Some(drafts)) => (drafts, reply),
                        Err(_) => {
                            let _ = reply.send(Err(Error::Group("the condition panicked".into())));
                            continue;
                        }
                        Ok(None) => {
                            let _ = reply.send(Ok(Vec::new()));
                            continue;
                        }
                    }
                }
            };
            match self.stage(drafts, &mut group) {
                Ok(events) => waiting.push(Waiting { reply, events }),
                Err(error) => {
                    let _ = reply.send(Err(error));
                }
            }
        }
        self.flush(group, &[], waiting);
        drop(lock);
        for query in queries {
            query(self);
        }
        // Whoever follows the run is not kept waiting by those who write it.
        self.follow();
    }

    fn flush(&mut self, group: Vec<Staged>, seals: &[Seal], waiting: Vec<Waiting>) {
        if group.is_empty() {
            return;
        }
        let written = merge(group).iter().map(Staged::encode).collect::<Result<Vec<_>, _>>();
        let written = written.map_err(StoreError::from);
        if let Err(error) = written.and_then(|written| self.files.append(&written, seals)) {
            tracing::error!(%error, "an append failed");
            let unsure = is_unsure(&error);
            self.find_out(&error.to_string(), unsure, waiting);
            return;
        }
        for Waiting { events, .. } in &waiting {
            self.arrive(events);
        }
        self.seals += seals.len() as u64;
        self.fold_and_show(waiting);
    }

    /// Appends what `decide` makes of the log as it is on disk, under the run's lock.
    pub(crate) fn append_on<E>(
        &mut self,
        decide: impl FnOnce(&Log) -> Result<Vec<Draft>, E>,
    ) -> Result<Vec<Arc<Event>>, Refused<E>> {
        let lock = self.files.lock().map_err(Error::from)?;
        self.writer()?;
        self.poll()?;
        self.show();
        let drafts = decide(&self.log).map_err(Refused::Condition)?;
        let appended = self.append_alone(drafts, &[]);
        drop(lock);
        Ok(appended?)
    }

    /// Appends drafts as a group of their own, with seals behind them in the same write.
    pub(crate) fn append_alone(&mut self, drafts: Vec<Draft>, seals: &[Seal]) -> Appended {
        let mut group = Vec::new();
        let events = self.stage(drafts, &mut group)?;
        self.flush_alone(group, seals, events)
    }

    /// Appends what was just prepared, as a group of its own.
    pub(crate) fn append_prepared(&mut self, prepared: Prepared) -> Appended {
        let mut group = Vec::new();
        let events = self.stage_prepared(prepared, &mut group)?;
        self.flush_alone(group, &[], events)
    }

    fn flush_alone(
        &mut self,
        group: Vec<Staged>,
        seals: &[Seal],
        events: Vec<Arc<Event>>,
    ) -> Appended {
        let (reply, mut answer) = oneshot::channel();
        self.flush(group, seals, vec![Waiting { reply, events }]);
        answer.try_recv().map_err(|_| Error::Closed)?
    }

    /// Appends drafts with the changes of a document that they were read from, in one write, where the log
    /// is still what it was: `None` where it is not.
    pub(crate) fn append_edits(
        &mut self,
        seen: &VersionVector,
        drafts: Vec<Draft>,
        seals: &[Seal],
    ) -> Result<Option<Vec<Arc<Event>>>, Error> {
        let lock = self.files.lock()?;
        self.writer()?;
        self.poll()?;
        self.show();
        if self.log.version() != seen {
            return Ok(None);
        }
        let appended = match drafts.is_empty() {
            true => self.append_seals(seals).map(|()| Vec::new()),
            false => self.append_alone(drafts, seals),
        };
        drop(lock);
        appended.map(Some)
    }

    /// Forgets which replica is written, so that it is looked at again.
    pub(crate) fn forget_writer(&mut self) {
        self.ids = None;
    }

    /// Appends seals. A journal that fails with them is not written any more.
    pub(crate) fn append_seals(&mut self, seals: &[Seal]) -> Result<(), Error> {
        self.writer()?;
        if let Err(error) = self.files.append(&[], seals) {
            self.ids = None;
            if is_unsure(&error) {
                self.files.retire_writer()?;
            }
            return Err(error.into());
        }
        self.seals += seals.len() as u64;
        self.show();
        Ok(())
    }

    /// After a failed append: goes back to what the disk says, and tells each caller what came of
    /// it. What is read back is synced, so what is there then is durable.
    ///
    /// After a failed sync (`unsure`) the system may take pages for clean that it never wrote, so a
    /// second sync proves nothing: the replica is not written any more.
    fn find_out(&mut self, reason: &str, unsure: bool, waiting: Vec<Waiting>) {
        self.start_over();
        if unsure && let Err(error) = self.files.retire_writer() {
            tracing::error!(%error, "a journal that failed cannot be given up");
        }
        // Another replica may be free and taken now: then nobody has synced what is read back of the
        // one that failed.
        let opened = self.files.open_writer().map_err(Error::from).and_then(|_| {
            self.poll_once()?;
            Ok(self.files.sync_read()?)
        });
        let known = opened.is_ok();
        if let Err(error) = opened {
            tracing::error!(%error, "the run cannot be read again");
            // What is readable is better than nothing for those who read.
            let _ = self.poll_once();
        }
        for Waiting { reply, events } in waiting {
            let there = |event: &Arc<Event>| {
                self.log.event(event.dot).is_some_and(|found| found.id == event.id)
            };
            let answer = match (known && !unsure, events.iter().all(there)) {
                (true, true) => Ok(events),
                (true, false) => Err(Error::Group(reason.to_owned())),
                (false, _) => Err(Error::Unknown(reason.to_owned())),
            };
            let _ = reply.send(answer);
        }
        self.show();
    }
}

impl Core {
    /// Makes a snapshot where much was read or written since the last one, and forgets what is old where much
    /// is in memory. When the run is `closing`, whoever opens it next reads what is behind the last one.
    pub(crate) fn keep_snapshot(&mut self, closing: bool) {
        // A snapshot leads past everything that was read: all of that must be in it.
        let whole = self.damage.is_empty()
            && self.refused.is_empty()
            && self.behind.is_none()
            && !self.log.has_waiting()
            && self.lost == 0;
        let events = self.log.version().events();
        let bytes = self.files.bytes_read();
        if whole && self.snapshots.is_due(events, bytes, self.files.store().tuning(), closing) {
            let begun = self.files.begin_snapshot(self.log.snapshot());
            self.snapshots.write((events, bytes), begun, self.files.store().is_real());
        }
        self.forget_history(whole);
        self.forget_documents();
    }
}

/// A log of the run that goes on from `snapshot`, or begins.
fn log_of(files: &RunStore, snapshot: Option<Snapshot>) -> Log {
    let left_out = files.origin().map(|origin| Arc::new(origin.left_out.clone()));
    let holes = files.holes().unwrap_or_else(|error| {
        // Then what lies behind them waits, and that is told.
        tracing::warn!(%error, "cannot read what was lost");
        Arc::from([])
    });
    let log = snapshot.map_or_else(Log::new, Log::from_snapshot);
    let log = log.leaving_out(left_out.unwrap_or_default()).with_holes(holes);
    log.keeping(files.strands())
}

/// The earlier of `known` and the first event of `segment`.
fn earlier(known: Option<OrderKey>, segment: &Segment) -> Option<OrderKey> {
    let first = segment.records.first().map(|record| OrderKey {
        time: record.time,
        replica: segment.replica,
        number: segment.first,
    });
    known.into_iter().chain(first).min()
}

/// Whether it is not known what is on disk: a sync of our own journal failed, or of its cut.
fn is_unsure(error: &StoreError) -> bool {
    matches!(error, StoreError::Io { action: "sync" | "cut", .. })
}

/// Neighbouring appends of one group share a frame as long as it stays small.
fn merge(group: Vec<Staged>) -> Vec<Staged> {
    let mut merged: Vec<Staged> = Vec::new();
    for staged in group {
        match merged.last_mut().filter(|last| share(last, &staged)) {
            Some(last) => last.join(staged),
            None => merged.push(staged),
        }
    }
    merged
}

fn share(last: &Staged, next: &Staged) -> bool {
    last.bytes() + next.bytes() <= FRAME_BYTES
        && last.events().len() + next.events().len() <= FRAME_EVENTS
        && last.last() + 1 == next.first()
        && last.replica() == next.replica()
}

/// What a subscriber that knows `version` has yet to see, at most so much, and where in the arrivals all of it ends.
pub(crate) fn catch_up(
    core: &mut Core,
    version: &VersionVector,
    most: usize,
) -> Result<(Vec<Arc<Event>>, usize), Error> {
    core.poll()?;
    let held = core.log.base_version().join(version) == *version;
    if !held {
        core.make_whole()?;
    }
    core.note_old(version);
    core.show();
    let events = core.log.events_since(version).take(most).cloned();
    Ok((events.collect(), core.arrivals.count()))
}

#[cfg(test)]
mod tests {
    use tress_model::{Author, Operation, Role};

    use super::*;

    /// Appends of so many events each, with so many bytes of text in each event.
    fn frames(appends: &[(usize, usize)]) -> usize {
        let mut log = Log::new();
        let (replica, store) = (ReplicaId([1; 16]), StoreId([1; 16]));
        let staged = appends.iter().map(|&(events, text)| {
            let author = Author::new("ada", Role::Human);
            let operation = Operation::RunPaused { reason: "x".repeat(text) };
            let draft = Draft { author, occurred: None, operation };
            let prepared = log.prepare(replica, store, vec![draft; events], 1000);
            log.commit(prepared.expect("it is valid"))
        });
        merge(staged.collect()).len()
    }

    #[test]
    fn appends_share_a_frame_up_to_its_limits_and_larger_ones_have_their_own() {
        assert_eq!(frames(&[(1, 0), (FRAME_EVENTS - 1, 0)]), 1);
        assert_eq!(frames(&[(1, 0), (FRAME_EVENTS, 0)]), 2);
        assert_eq!(frames(&[(1, 0), (2, FRAME_BYTES / 2 - 1000)]), 1);
        assert_eq!(frames(&[(1, 0), (2, FRAME_BYTES / 2)]), 2);
        assert_eq!(frames(&[(FRAME_EVENTS + 1, FRAME_BYTES / FRAME_EVENTS)]), 1);
        assert_eq!((FRAME_EVENTS, FRAME_BYTES), (1024, 1 << 20), "docs/FORMAT.md says so");
    }
}
