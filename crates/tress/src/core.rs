//! The core of an open run: one thread that owns its log and its files.
//!
//! Everything that touches the log is a command in one queue. The thread takes what is queued,
//! stamps all of it, writes it, syncs once, and only then shows it and acknowledges it: the sync
//! before is the wait in which the next group gathers (group commit), so there is no timer.
//! Readers of the state never wait for the thread; they read what it published last.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, oneshot, watch};
use tress_engine::log::Draft;
use tress_engine::{Log, PrepareError};
use tress_model::{Event, ReplicaId, Segment, State, StoreId, VersionVector, limits};
use tress_store::{Damage, RunStore};

use crate::error::Error;

/// The most commands that wait; whoever appends more waits for room.
pub(crate) const QUEUE_MAX: usize = 1024;
/// How often the journals of other processes are looked at while somebody follows the run.
const FOLLOW: Duration = Duration::from_millis(50);
/// How many events may lie behind the newest snapshot before a new one is made.
const SNAPSHOT_AFTER: u64 = 2048;

/// What the thread published last.
#[derive(Debug, Clone, Default)]
pub(crate) struct Published {
    pub(crate) state: Arc<State>,
    /// Grows with every event that arrives, in whatever place of the order.
    pub(crate) arrivals: usize,
    pub(crate) damage: Arc<Vec<Damage>>,
}

pub(crate) type Appended = Result<Vec<Arc<Event>>, Error>;
/// Decides on the state what to append; gives back what the caller gets to see in any case.
type Decide = Box<dyn FnOnce(&Arc<State>) -> Option<Vec<Draft>> + Send>;

pub(crate) enum Command {
    Append { drafts: Vec<Draft>, reply: oneshot::Sender<Appended> },
    Conditional { decide: Decide, reply: oneshot::Sender<Appended> },
    Query(Box<dyn FnOnce(&mut Core) + Send>),
}

/// The log and the files of an open run.
pub(crate) struct Core {
    pub(crate) log: Log,
    pub(crate) files: RunStore,
    /// Events in order of arrival, since the run was opened.
    pub(crate) arrivals: Vec<Arc<Event>>,
    /// What was there when the run was opened, and what arrived since.
    arrived: VersionVector,
    damage: Vec<Damage>,
    ids: Option<(ReplicaId, StoreId)>,
    snapshot_events: u64,
    publish: watch::Sender<Published>,
}

/// One append whose events are in the log and not yet durable.
struct Waiting {
    reply: oneshot::Sender<Appended>,
    events: Vec<Arc<Event>>,
}

impl Core {
    /// Opens the run's log: the newest snapshot, and what the journals have behind it.
    pub(crate) fn open(
        mut files: RunStore,
        publish: watch::Sender<Published>,
    ) -> Result<Self, Error> {
        let snapshot = files.load_snapshot();
        let snapshot_events = snapshot.as_ref().map_or(0, |snapshot| snapshot.state.events());
        let log = snapshot.map_or_else(Log::new, Log::from_snapshot);
        let mut core = Self {
            log,
            files,
            arrivals: Vec::new(),
            arrived: VersionVector::new(),
            damage: Vec::new(),
            ids: None,
            snapshot_events,
            publish,
        };
        core.poll()?;
        core.arrivals.clear();
        core.arrived = core.log.version().clone();
        core.show();
        Ok(core)
    }

    /// Reads everything again, from the first event on.
    pub(crate) fn make_whole(&mut self) -> Result<(), Error> {
        if !self.log.is_whole() {
            tracing::debug!(run = self.files.name(), "reading the whole history");
            self.files.rewind();
            self.log = Log::new();
            self.poll_once()?;
        }
        Ok(())
    }

    /// Takes in what other processes wrote.
    pub(crate) fn poll(&mut self) -> Result<(), Error> {
        if self.poll_once()? {
            self.make_whole()?;
        }
        Ok(())
    }

    /// Whether something came that lies before the snapshot.
    fn poll_once(&mut self) -> Result<bool, Error> {
        let batch = self.files.poll()?;
        self.damage = batch.damage;
        let mut behind = false;
        if !batch.segments.is_empty() {
            let admission = self.log.admit_all(batch.segments, None);
            for (segment, reason) in admission.rejected {
                if matches!(reason, tress_engine::Rejection::Behind(_)) {
                    behind = true;
                    continue;
                }
                let replica = segment.replica;
                tracing::error!(%replica, first = segment.first, %reason, "refused a segment");
                self.damage.push(Damage {
                    path: format!("journal of replica {replica}").into(),
                    offset: segment.first,
                    reason: reason.to_string(),
                });
            }
            self.arrive(&admission.admitted);
        }
        Ok(behind)
    }

    fn arrive(&mut self, events: &[Arc<Event>]) {
        for event in events.iter().filter(|event| !self.arrived.contains(event.dot)) {
            self.arrivals.push(Arc::clone(event));
        }
        for event in events {
            self.arrived.insert(event.dot);
        }
    }

    /// Lets readers and subscribers see the log as it is.
    pub(crate) fn show(&self) {
        let published = Published {
            state: Arc::clone(self.log.state()),
            arrivals: self.arrivals.len(),
            damage: Arc::new(self.damage.clone()),
        };
        self.publish.send_replace(published);
    }

    fn writer(&mut self) -> Result<(ReplicaId, StoreId), Error> {
        let ids = self.files.open_writer()?;
        if self.ids != Some(ids) {
            // Earlier holders of the replica may have written since the last look.
            self.ids = Some(ids);
            self.poll()?;
        }
        Ok(ids)
    }

    fn stage(&mut self, drafts: Vec<Draft>, group: &mut Vec<Segment>) -> Appended {
        let (replica, store) = self.writer()?;
        let prepared = self.log.prepare(replica, store, drafts, crate::now())?;
        // What cannot be written must not be committed to the log either.
        tress_model::codec::encode_segment(&prepared.segment).map_err(PrepareError::Codec)?;
        let events = prepared.events.clone();
        group.push(prepared.segment.clone());
        self.log.commit(prepared);
        Ok(events)
    }

    /// Handles a group of commands with one sync.
    fn handle(&mut self, commands: Vec<Command>) {
        let conditional = commands.iter().any(|c| matches!(c, Command::Conditional { .. }));
        let mut lock = None;
        let mut refused = None;
        if conditional {
            match self.files.lock().map_err(Error::from).and_then(|lock| {
                self.writer()?;
                self.poll()?;
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
                Command::Append { drafts, reply } => (drafts, reply),
                Command::Conditional { decide, reply } => {
                    if let Some(reason) = &refused {
                        let _ = reply.send(Err(Error::Group(reason.clone())));
                        continue;
                    }
                    match decide(self.log.state()) {
                        Some(drafts) => (drafts, reply),
                        None => {
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
        self.flush(&group, waiting);
        drop(lock);
        for query in queries {
            query(self);
        }
    }

    fn flush(&mut self, group: &[Segment], waiting: Vec<Waiting>) {
        if group.is_empty() {
            return;
        }
        if let Err(error) = self.files.append(&merge(group), &[]) {
            let reason = error.to_string();
            tracing::error!(%reason, "an append failed");
            for Waiting { reply, .. } in waiting {
                let _ = reply.send(Err(Error::Group(reason.clone())));
            }
            // The log holds events that are not durable: go back to what the disk says.
            self.files.rewind();
            self.log = Log::new();
            self.ids = None;
            if let Err(error) = self.poll_once() {
                tracing::error!(%error, "the run cannot be read again");
            }
            return;
        }
        for Waiting { events, .. } in &waiting {
            self.arrive(events);
        }
        self.show();
        for Waiting { reply, events } in waiting {
            let _ = reply.send(Ok(events));
        }
    }

    /// Makes a snapshot where much was read or written since the last one.
    fn keep_snapshot(&mut self) {
        let events = self.log.version().events();
        if events < self.snapshot_events + SNAPSHOT_AFTER || !self.damage.is_empty() {
            return;
        }
        self.snapshot_events = events;
        if let Err(error) = self.files.save_snapshot(self.log.snapshot()) {
            tracing::warn!(%error, "no snapshot was made");
        }
    }
}

/// Neighbouring segments of one group, as one frame each as far as the limits go.
fn merge(group: &[Segment]) -> Vec<Segment> {
    let mut merged: Vec<Segment> = Vec::new();
    for segment in group {
        if let Some(last) = merged.last_mut() {
            let events = last.records.len() + segment.records.len();
            let small = events <= limits::SEGMENT_EVENTS_MAX / 64;
            if small && last.replica == segment.replica && last.last() + 1 == segment.first {
                last.records.extend(segment.records.iter().cloned());
                continue;
            }
        }
        merged.push(segment.clone());
    }
    merged
}

/// Runs the thread until every handle is dropped. Reports how opening went first.
pub(crate) fn run(
    files: RunStore,
    mut commands: mpsc::Receiver<Command>,
    publish: watch::Sender<Published>,
    opened: oneshot::Sender<Result<(), Error>>,
    followers: Arc<std::sync::atomic::AtomicUsize>,
) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build();
    let runtime = match runtime {
        Ok(runtime) => runtime,
        Err(error) => {
            let _ = opened.send(Err(Error::Group(error.to_string())));
            return;
        }
    };
    let mut core = match Core::open(files, publish) {
        Ok(core) => core,
        Err(error) => {
            let _ = opened.send(Err(error));
            return;
        }
    };
    if opened.send(Ok(())).is_err() {
        return;
    }
    loop {
        let following = followers.load(std::sync::atomic::Ordering::Acquire) > 0;
        let first = runtime.block_on(async {
            if following {
                tokio::time::timeout(FOLLOW, commands.recv()).await
            } else {
                Ok(commands.recv().await)
            }
        });
        match first {
            Err(_) => {
                let before = core.arrivals.len();
                match core.poll() {
                    Ok(()) if core.arrivals.len() != before => core.show(),
                    Ok(()) => {}
                    Err(error) => tracing::warn!(%error, "cannot follow the run"),
                }
            }
            Ok(None) => break,
            Ok(Some(first)) => {
                let mut group = vec![first];
                while group.len() < QUEUE_MAX
                    && let Ok(next) = commands.try_recv()
                {
                    group.push(next);
                }
                core.handle(group);
            }
        }
        core.keep_snapshot();
    }
}

/// What of the arrivals a subscriber that knows `version` has yet to see, and where it goes on.
pub(crate) fn catch_up(
    core: &mut Core,
    version: &VersionVector,
) -> Result<(Vec<Arc<Event>>, usize), Error> {
    core.poll()?;
    let held = core.log.base_version().join(version) == *version;
    if !held {
        core.make_whole()?;
    }
    core.show();
    Ok((core.log.events_since(version).cloned().collect(), core.arrivals.len()))
}
