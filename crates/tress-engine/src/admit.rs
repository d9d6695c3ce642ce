//! Admit: the one door. An event from a journal, a peer or a file becomes part of a log only here.
//!
//! A segment is admitted, waits for the events that its authors had seen, or is rejected with a
//! reason. It is all or nothing. What is admitted continues its replica's hash chain, cites only
//! known causes, is later than each of them, and keeps the limits of the model; so the canonical
//! order extends causality, and the fold can rely on it.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use tress_model::clock::Millis;
use tress_model::event::{Cause, ChainError, Chained, Hashed, Head, OrderKey, Record};
use tress_model::ids::{Author, Dot, EventId, ReplicaId};
use tress_model::operation::{Operation, TodoEdit};
use tress_model::{Event, Segment, Strands, limits};

use crate::log::{BehindSnapshot, Log};

/// Why a segment was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Rejection {
    /// It does not continue its replica's chain.
    #[error(transparent)]
    Chain(#[from] ChainError),
    /// Another event has the same dot: somebody used a replica in two places.
    #[error("event {dot} is already here with other content: its replica was used in two places")]
    Equivocation {
        /// The dot.
        dot: Dot,
    },
    /// An event claims to be earlier than what its author had seen.
    #[error("event {dot} is earlier than {cause}, which its author had seen")]
    BeforeCause {
        /// The event.
        dot: Dot,
        /// The event that its author had seen.
        cause: Dot,
    },
    /// An event cites one that has the same dot as one that is here, and is another.
    #[error("it cites another event than the one that is here as {cause}")]
    OtherCause {
        /// The dot.
        cause: Dot,
    },
    /// An event claims to be from the future.
    #[error("event {dot} is {ahead_ms} ms ahead of the clock here: check the clocks")]
    Future {
        /// The event.
        dot: Dot,
        /// How far ahead.
        ahead_ms: Millis,
    },
    /// An operation is not one that any agent could mean.
    #[error("event {dot} is not valid: {reason}")]
    Invalid {
        /// The event.
        dot: Dot,
        /// What is wrong with it.
        reason: String,
    },
    /// An event comes without its operation, and this log keeps all of them.
    #[error(
        "event {dot} comes without its operation: its sender keeps only some strands of the run"
    )]
    Withheld {
        /// The event.
        dot: Dot,
    },
    /// It belongs before what this log remembers.
    #[error(transparent)]
    Behind(#[from] BehindSnapshot),
    /// It is of a replica that is written here, by somebody else than who takes it in.
    #[error("another process here writes the replica {replica}: what it says is what counts")]
    WrittenHere {
        /// The replica.
        replica: ReplicaId,
    },
    /// Too much is waiting already.
    #[error("{} segments wait for their causes already", limits::WAITING_SEGMENTS_MAX)]
    TooManyWaiting,
}

/// What became of segments that were handed in.
#[derive(Debug, Default)]
pub struct Admission {
    /// Events that are now part of the log, in canonical order.
    pub admitted: Vec<Arc<Event>>,
    /// How many segments wait for their causes.
    pub waiting: usize,
    /// Segments that were refused, with the reason.
    pub rejected: Vec<(Segment, Rejection)>,
}

/// Whether an operation is one that an agent could mean: its numbers in range, its names not empty.
/// Bounds on size are the codec's.
///
/// # Errors
/// What is wrong, and what to do.
pub fn check(author: &Author, operation: &Operation) -> Result<(), String> {
    if author.name.trim().is_empty() {
        return Err("the agent's name is empty".to_owned());
    }
    if author.name.len() > limits::AGENT_NAME_BYTES_MAX {
        return Err(name_too_long());
    }
    let percent = |value: u8| {
        if value > 100 { Err(format!("{value} is not a percentage (0 to 100)")) } else { Ok(()) }
    };
    let edits = |edits: &[TodoEdit]| edits.iter().try_for_each(check_edit);
    match operation {
        Operation::TodoAdded { title, edits: list, .. } => {
            check_edit(&TodoEdit::Title(title.clone()))?;
            edits(list)
        }
        Operation::TodoEdited { edits: list, .. } if list.is_empty() => {
            Err("the edit changes nothing".to_owned())
        }
        Operation::TodoEdited { edits: list, .. } => edits(list),
        Operation::HeadsSigned { heads, .. } if heads.len() > limits::HEADS_SIGNED_MAX => {
            Err(format!("it signs more than {} replicas", limits::HEADS_SIGNED_MAX))
        }
        Operation::ProseEdited { splices, .. } if splices.len() > limits::SPLICES_MAX => {
            Err(format!("an edit has at most {} splices: make several", limits::SPLICES_MAX))
        }
        Operation::ProseEdited { splices, .. } => {
            let mut end = 0_u32;
            for splice in splices {
                if splice.at < end {
                    return Err("the splices overlap or do not ascend".to_owned());
                }
                let next = splice.at.checked_add(splice.delete);
                end = next.ok_or("a splice ends behind every text")?;
            }
            Ok(())
        }
        Operation::ProgressReported { percent: value, .. }
        | Operation::Verified { percent: value, .. } => percent(*value),
        Operation::AssessmentGiven { compliance, quality, .. }
        | Operation::DeviationFound { compliance, quality, .. } => {
            percent(*compliance).and_then(|()| percent(*quality))
        }
        Operation::BudgetSpent { amount, .. } if !amount.is_finite() => {
            Err("the amount is not a number".to_owned())
        }
        Operation::MetricsRecorded { figures } if figures.iter().any(|(_, v)| !v.is_finite()) => {
            Err("a figure is not a number".to_owned())
        }
        _ => Ok(()),
    }
}

fn name_too_long() -> String {
    format!("the agent's name is longer than {} bytes", limits::AGENT_NAME_BYTES_MAX)
}

/// Why no further replica can take part in a run.
pub(crate) fn too_many_replicas() -> String {
    format!("a run has at most {} replicas", limits::REPLICAS_MAX)
}

fn cites_too_many() -> String {
    format!("it cites more than {} replicas", limits::REPLICAS_MAX)
}

fn check_edit(edit: &TodoEdit) -> Result<(), String> {
    match edit {
        TodoEdit::Title(title) if title.trim().is_empty() => {
            Err("the title is empty: say in one line what is to be done".to_owned())
        }
        TodoEdit::Priority(priority) if *priority > limits::PRIORITY_MAX => {
            Err(format!("priority {priority} is out of range (0, most urgent, to 4)"))
        }
        _ => Ok(()),
    }
}

/// A segment that is to be tried.
pub(crate) struct Queued {
    pub(crate) segment: Hashed,
    /// Where it stood when it came: what waited before goes first.
    place: usize,
    /// How many of its causes were found to be here.
    looked: usize,
}

impl Queued {
    fn key(&self) -> (u64, u64, usize) {
        (self.segment.first, self.segment.last(), self.place)
    }
}

/// The segments of each replica, in order.
pub(crate) type Queues = BTreeMap<ReplicaId, VecDeque<Queued>>;

/// Puts a segment in its place, which is near the beginning: what lies before it was admitted.
fn enqueue(queue: &mut VecDeque<Queued>, queued: Queued) {
    let key = queued.key();
    queue.insert(queue.partition_point(|other| other.key() < key), queued);
}

/// What trying one segment came to.
enum Tried {
    Admitted(Vec<Arc<Event>>),
    Known,
    /// For the events of its own replica that come before it.
    WaitsForOwn(Hashed),
    /// For what its authors had seen of others: the first such cause, and how many before it are here.
    WaitsForOthers(Dot, usize, Hashed),
    Rejected(Box<(Segment, Rejection)>),
}

impl Log {
    /// Admits one segment; see [`Log::admit_all`].
    pub fn admit(&mut self, segment: Segment, now: Option<Millis>) -> Admission {
        self.admit_all([segment], now)
    }

    /// Admits what can be admitted of `segments` and of those that waited, in any order of arrival.
    /// With `now`, events too far in the future are rejected; without (a store's own journals),
    /// their times are taken as they are. Linear in the segments, plus what is rewound for the
    /// earliest event.
    pub fn admit_all(
        &mut self,
        segments: impl IntoIterator<Item = impl Into<Hashed>>,
        now: Option<Millis>,
    ) -> Admission {
        self.fold_staged();
        let mut queues = Queues::new();
        let waited = std::mem::take(&mut self.waiting).into_values().map(Hashed::from);
        let arrived = waited.chain(segments.into_iter().map(Into::into));
        for (place, segment) in arrived.enumerate() {
            let queue = queues.entry(segment.replica).or_default();
            queue.push_back(Queued { segment, place, looked: 0 });
        }
        for queue in queues.values_mut() {
            queue.make_contiguous().sort_by_key(Queued::key);
        }
        let mut admission = Admission::default();
        let mut fresh: Vec<Arc<Event>> = Vec::new();
        loop {
            // Whatever waits for others is tried again when those come, and only then: somebody may have
            // made up as much of it as there is room for.
            let mut parked: BTreeMap<Dot, Vec<Queued>> = BTreeMap::new();
            let mut due: BTreeSet<ReplicaId> = queues.keys().copied().collect();
            while let Some(replica) = due.pop_first() {
                let mut queue = queues.remove(&replica).unwrap_or_default();
                while let Some(queued) = queue.pop_front() {
                    let Queued { segment, place, looked } = queued;
                    match self.try_admit(segment, looked, now) {
                        Tried::Admitted(events) => {
                            fresh.extend(events);
                            if parked.is_empty() {
                                continue;
                            }
                            let upto = Dot::new(replica, self.head_number(replica));
                            while let Some((&cause, _)) =
                                parked.range(Dot::new(replica, 0)..=upto).next()
                            {
                                for queued in parked.remove(&cause).into_iter().flatten() {
                                    let of = queued.segment.replica;
                                    if of == replica {
                                        enqueue(&mut queue, queued);
                                    } else {
                                        due.insert(of);
                                        enqueue(queues.entry(of).or_default(), queued);
                                    }
                                }
                            }
                        }
                        Tried::Known => {}
                        Tried::WaitsForOwn(segment) => {
                            enqueue(&mut queue, Queued { segment, place, looked });
                            break;
                        }
                        Tried::WaitsForOthers(cause, looked, segment) => {
                            let queued = Queued { segment, place, looked };
                            parked.entry(cause).or_default().push(queued);
                        }
                        Tried::Rejected(rejected) => admission.rejected.push(*rejected),
                    }
                }
                if !queue.is_empty() {
                    queues.insert(replica, queue);
                }
            }
            for queued in parked.into_values().flatten() {
                enqueue(queues.entry(queued.segment.replica).or_default(), queued);
            }
            // Nothing that is there fits any more. What is known to be lost is gone on from.
            let Some(lost) = self.next_hole(&queues) else { break };
            fresh.extend(lost);
        }
        // What waited before keeps its room, whatever came.
        let mut left: Vec<_> = queues.into_values().flatten().collect();
        left.sort_by_key(|queued| queued.place);
        for queued in left {
            if let Err(segment) = self.wait(queued.segment.into_segment()) {
                admission.rejected.push((segment, Rejection::TooManyWaiting));
            }
        }
        admission.waiting = self.waiting.len();
        fresh.sort_unstable_by_key(|event| event.order());
        self.insert(&fresh);
        admission.admitted = fresh;
        admission
    }

    /// Checks one segment against the chain and its causes, of which the first `looked` are known to be here.
    fn try_admit(&mut self, segment: Hashed, looked: usize, now: Option<Millis>) -> Tried {
        let head = self.head(segment.replica, segment.store);
        let reject =
            |segment: Hashed, reason| Tried::Rejected(Box::new((segment.into_segment(), reason)));
        if segment.first == 0 {
            let reason = ChainError::Number { expected: head.number + 1, found: 0 };
            return reject(segment, reason.into());
        }
        if head.number == 0 && self.replicas() >= limits::REPLICAS_MAX {
            let dot = Dot::new(segment.replica, segment.first);
            return reject(segment, Rejection::Invalid { dot, reason: too_many_replicas() });
        }
        if segment.first > head.number + 1 {
            return Tried::WaitsForOwn(segment);
        }
        let overlap = segment.last().min(head.number);
        if self.lacks(segment.replica, segment.first, overlap) {
            let dot = Dot::new(segment.replica, segment.first);
            return reject(segment, BehindSnapshot { dot: Some(dot) }.into());
        }
        let from = match self.head_before(&segment, &head) {
            Some(from) => from,
            // What lies behind the snapshot was checked when it was folded.
            None if segment.last() <= head.number => return Tried::Known,
            None => {
                let dot = Dot::new(segment.replica, segment.first);
                return reject(segment, BehindSnapshot { dot: Some(dot) }.into());
            }
        };
        let known = usize::try_from(head.number - from.number).unwrap_or(usize::MAX);
        // To look for each of them costs, and no more than that can be there.
        let many = |record: &Record| record.learned.len() > limits::REPLICAS_MAX;
        if let Some(at) = segment.records.iter().position(many) {
            let dot = Dot::new(segment.replica, segment.first.saturating_add(at as u64));
            let reason = cites_too_many();
            return reject(segment, Rejection::Invalid { dot, reason });
        }
        // The causes of what is known are here: one that says otherwise is another event.
        let causes = segment.records.iter().skip(known).flat_map(|record| &record.learned);
        let missing = |cause: &Cause| cause.number > self.head_number(cause.replica);
        let mut causes = causes.enumerate().skip(if known == 0 { looked } else { 0 });
        if let Some((looked, cause)) = causes.find(|(_, cause)| missing(cause)) {
            let (cause, looked) = (cause.dot(), if known == 0 { looked } else { 0 });
            return Tried::WaitsForOthers(cause, looked, segment);
        }
        // Whether such a cause is the event that it says, only the whole history tells: of what comes
        // from outside, one log must not take what another refuses.
        let new = segment.records.iter().skip(known).flat_map(|record| &record.learned);
        let behind = new.map(Cause::dot).find(|&cause| now.is_some() && self.is_behind(cause));
        if behind.is_some() {
            return reject(segment, BehindSnapshot { dot: behind }.into());
        }
        let causes = segment.records.iter().flat_map(|record| &record.learned);
        if let Some(cause) = causes.into_iter().find(|cause| !self.is_cause(cause)) {
            let reason = Rejection::OtherCause { cause: cause.dot() };
            return reject(segment, reason);
        }
        // A name stands once in a segment and is hashed with each event: a long one is costly.
        let long = |name: &str| name.len() > limits::AGENT_NAME_BYTES_MAX;
        if let Some(at) = segment.records.iter().position(|record| long(&record.author.name)) {
            let dot = Dot::new(segment.replica, segment.first.saturating_add(at as u64));
            return reject(segment, Rejection::Invalid { dot, reason: name_too_long() });
        }
        let chained = match segment.chain(&from) {
            Ok(chained) => chained,
            Err(reason) => return reject(segment, reason.into()),
        };
        if let Some(last) = known.checked_sub(1) {
            // Where it reaches the end of what is known, that end must be in it; where it ends
            // before, its own end must be known.
            let same = match (chained.links.get(last), chained.links.last()) {
                (Some((end, _)), _) => *end == head.id,
                (None, Some((end, _))) => {
                    let ours = self.event(Dot::new(segment.replica, segment.last()));
                    ours.is_none_or(|ours| ours.id == *end)
                }
                (None, None) => true,
            };
            if !same {
                let dot = Dot::new(segment.replica, head.number.min(segment.last()));
                return reject(segment, Rejection::Equivocation { dot });
            }
        }
        if segment.records.len() <= known {
            return Tried::Known;
        }
        if let Err(reason) = self.check_records(&segment, &chained, known, &head, now) {
            return reject(segment, reason);
        }
        let (replica, after) = (segment.replica, chained.head.clone());
        let mut events = segment.into_segment().into_events(chained);
        events.drain(..known);
        self.link(replica, after, &events);
        Tried::Admitted(events)
    }

    /// Whether `cause` lies before the snapshot, and is not the last event of its replica there.
    fn is_behind(&self, cause: Dot) -> bool {
        self.base_version().contains(cause) && self.base_head(cause).is_none()
    }

    /// Whether the event that `cause` cites is the one that is known. Of what lies before the
    /// snapshot only the last event of each replica is known by its id; of the store's own journals
    /// the others are believed.
    fn is_cause(&self, cause: &Cause) -> bool {
        let known = self.event(cause.dot());
        if known.is_some_and(|event| event.is_lost() && event.id == EventId::GENESIS) {
            return true;
        }
        let base = || self.base_head(cause.dot()).map(|head| head.id);
        let known = known.map(|event| event.id).or_else(base).filter(|id| *id != EventId::GENESIS);
        known.is_none_or(|id| id.mark() == cause.mark)
    }

    /// The head that `segment` continues: the replica's own, or an earlier one where the segment
    /// overlaps what is known.
    fn head_before(&self, segment: &Segment, head: &Head) -> Option<Head> {
        if segment.first == head.number + 1 {
            return Some(head.clone());
        }
        let before = segment.first.checked_sub(1)?;
        if before == 0 {
            return Some(Head::genesis(segment.store));
        }
        self.head_at(Dot::new(segment.replica, before))
    }

    /// Checks what is new in a segment, behind its first `known` records.
    fn check_records(
        &self,
        segment: &Segment,
        chained: &Chained,
        known: usize,
        head: &Head,
        now: Option<Millis>,
    ) -> Result<(), Rejection> {
        let mut last_seen = Arc::clone(&head.seen);
        let numbered = (segment.first..).zip(&segment.records).zip(&chained.links);
        for ((number, record), (_, seen)) in numbered.skip(known) {
            let dot = Dot::new(segment.replica, number);
            let withheld = record.operation.withheld_hash().is_some();
            if withheld && self.strands() == Strands::ALL {
                return Err(Rejection::Withheld { dot });
            }
            check(&record.author, &record.operation)
                .map_err(|reason| Rejection::Invalid { dot, reason })?;
            let ahead = now.map_or(0, |now| record.time.millis.saturating_sub(now));
            if ahead > limits::CLOCK_DRIFT_MAX {
                return Err(Rejection::Future { dot, ahead_ms: ahead });
            }
            let order = OrderKey { time: record.time, replica: dot.replica, number };
            if self.base_last().is_some_and(|last| order <= last) {
                return Err(BehindSnapshot { dot: Some(dot) }.into());
            }
            if seen.len() > limits::REPLICAS_MAX {
                let reason = cites_too_many();
                return Err(Rejection::Invalid { dot, reason });
            }
            if !Arc::ptr_eq(&last_seen, seen) {
                for (replica, number) in seen.iter() {
                    if number == last_seen.get(replica) {
                        continue;
                    }
                    let cause = Dot::new(replica, number);
                    let time = self.event(cause).map(|event| event.time);
                    let time = time.or_else(|| self.base_head(cause).map(|head| head.time));
                    if time.is_some_and(|time| time >= record.time) {
                        return Err(Rejection::BeforeCause { dot, cause });
                    }
                }
                last_seen = Arc::clone(seen);
            }
        }
        Ok(())
    }
}
