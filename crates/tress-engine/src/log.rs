//! The log: events in their canonical order, and the states they fold to.
//!
//! A log starts from a snapshot (or from nothing) and holds the events since then. Every
//! [`limits::MARK_EVERY`] events it marks the state it had; a late event takes its place, and only
//! what lies behind the mark before it is folded again. States are persistent values, so a mark
//! costs what changed since the one before. There are at most [`limits::MARKS_MAX`] marks: when
//! there are more, every other one goes, and they lie twice as far apart.
//!
//! A log that grows can forget its oldest events: what it was asked for behind them is as it was, and what lies
//! before them is read again by whoever keeps them.
//!
//! A log can leave events out: they are in it and known, and have no effect on its states. That is
//! what a selective replay is made of.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use tress_model::clock::Millis;
use tress_model::codec::{CodecError, Snapshot, Staged};
use tress_model::event::{Cause, Chain, ChainError, Head, Hole, Record};
use tress_model::ids::{Author, Dot, EventId, ReplicaId, StoreId};
use tress_model::{Event, HybridTime, Operation, OrderKey, Segment, State, Strands};
use tress_model::{VersionVector, limits};

use crate::admit;
use crate::waits::WaitsAt;

/// What was asked for lies before the snapshot that this log started from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("this lies before the snapshot that the log was opened from: open its whole history")]
pub struct BehindSnapshot {
    /// The event in question, where it is one.
    pub dot: Option<Dot>,
}

/// Why operations cannot be appended.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PrepareError {
    /// There is nothing to append.
    #[error("there is nothing to append")]
    Empty,
    /// An operation is not valid.
    #[error("{operation}: {reason}")]
    Invalid {
        /// Its name.
        operation: &'static str,
        /// What is wrong with it.
        reason: String,
    },
    /// Too large to be stored.
    #[error(transparent)]
    Codec(#[from] CodecError),
}

/// An operation to append, as its agent means it.
#[derive(Debug, Clone, PartialEq)]
pub struct Draft {
    /// Who means it.
    pub author: Author,
    /// When it happened, if that was before now.
    pub occurred: Option<Millis>,
    /// What is meant.
    pub operation: Operation,
}

/// Operations that were stamped and wait to be made durable. Nothing changes until
/// [`Log::commit`].
#[must_use = "write it, then commit it; or drop it and nothing happened"]
#[derive(Debug)]
pub struct Prepared {
    staged: Staged,
    head: Head,
}

impl Prepared {
    /// What is to be written.
    pub fn staged(&self) -> &Staged {
        &self.staged
    }

    /// The events.
    pub fn events(&self) -> &[Arc<Event>] {
        self.staged.events()
    }

    /// What is to be written, as a segment. Copies it.
    pub fn segment(&self) -> Segment {
        self.staged.segment()
    }
}

/// A state that the log had, after the first `count` of its events.
#[derive(Debug, Clone)]
struct Mark {
    count: usize,
    state: Arc<State>,
}

/// An event in the chain of its replica, beside the first bytes of its id: events are looked for by
/// the beginning of their ids without a look at each.
#[derive(Debug, Clone)]
struct Link {
    id: u32,
    event: Arc<Event>,
}

/// The chain of one replica.
#[derive(Debug, Clone)]
struct Line {
    head: Head,
    /// Its events since the snapshot, by number, without holes.
    links: Vec<Link>,
}

/// The first bytes of an event's id, as a number.
fn beginning(event: &Event) -> u32 {
    let [a, b, c, d, ..] = event.id.0;
    u32::from_be_bytes([a, b, c, d])
}

/// The number and the id of each replica's last event.
pub type Ends = BTreeMap<ReplicaId, (u64, EventId)>;

/// The events of a run since a snapshot, and their folded state.
#[derive(Debug, Clone)]
pub struct Log {
    lines: BTreeMap<ReplicaId, Line>,
    base: Arc<State>,
    /// The heads at the snapshot.
    base_heads: Arc<BTreeMap<ReplicaId, Head>>,
    /// In canonical order.
    events: Vec<Arc<Event>>,
    /// Events on their chains that are to be folded yet.
    staged: Vec<Arc<Event>>,
    marks: Vec<Mark>,
    /// How many events lie between two marks.
    spacing: usize,
    /// How many events were forgotten since the log began: marks lie as if they were there.
    forgotten: usize,
    state: Arc<State>,
    pub(crate) waiting: BTreeMap<WaitsAt, Segment>,
    left_out: Arc<BTreeSet<Dot>>,
    /// Of which the operations are kept.
    strands: Strands,
    pub(crate) holes: Arc<[Hole]>,
    /// The events that happened before they were appended, in canonical order.
    backdated: Vec<Arc<Event>>,
}

impl Default for Log {
    fn default() -> Self {
        Self::from_snapshot(Snapshot { heads: Vec::new(), state: Arc::default() })
    }
}

impl Log {
    /// A log without events.
    pub fn new() -> Self {
        Self::default()
    }

    /// The log that goes on where `snapshot` stands.
    pub fn from_snapshot(snapshot: Snapshot) -> Self {
        let heads: BTreeMap<_, _> = snapshot.heads.into_iter().collect();
        let line = |head: &Head| Line { head: head.clone(), links: Vec::new() };
        Self {
            lines: heads.iter().map(|(&replica, head)| (replica, line(head))).collect(),
            base_heads: Arc::new(heads),
            base: Arc::clone(&snapshot.state),
            events: Vec::new(),
            staged: Vec::new(),
            marks: Vec::new(),
            spacing: limits::MARK_EVERY,
            forgotten: 0,
            state: snapshot.state,
            waiting: BTreeMap::new(),
            left_out: Arc::default(),
            strands: Strands::ALL,
            holes: Arc::from([]),
            backdated: Vec::new(),
        }
    }

    /// The same log, in which the events `left_out` have no effect. Snapshots that it goes on from
    /// must have been made of such a log, too. Folds everything again.
    #[must_use]
    pub fn leaving_out(mut self, left_out: Arc<BTreeSet<Dot>>) -> Self {
        if self.left_out != left_out {
            self.left_out = left_out;
            self.marks.clear();
            self.state = Arc::clone(&self.base);
            self.fold_from(0);
        }
        self
    }

    /// The same log, which takes events without their operations where `strands` do not need them. For a
    /// log into which nothing came yet.
    #[must_use]
    pub const fn keeping(mut self, strands: Strands) -> Self {
        self.strands = strands;
        self
    }

    /// The strands of which all operations are here.
    pub const fn strands(&self) -> Strands {
        self.strands
    }

    /// The events that have no effect here.
    pub fn left_out(&self) -> &Arc<BTreeSet<Dot>> {
        &self.left_out
    }

    /// The state and the chains as they stand, to be kept and gone on from.
    pub fn snapshot(&self) -> Snapshot {
        debug_assert!(self.staged.is_empty(), "its heads would be ahead of its state");
        Snapshot {
            heads: self.heads().map(|(replica, head)| (replica, head.clone())).collect(),
            state: Arc::clone(&self.state),
        }
    }

    /// The folded state of all events.
    pub fn state(&self) -> &Arc<State> {
        &self.state
    }

    /// Which events are known.
    pub fn version(&self) -> &VersionVector {
        &self.state.version
    }

    /// Whether the log holds every event from the first one on.
    pub fn is_whole(&self) -> bool {
        self.base.version.is_empty()
    }

    /// Which events lie before what the log holds.
    pub fn base_version(&self) -> &VersionVector {
        &self.base.version
    }

    /// The events since the snapshot, in canonical order.
    pub fn events(&self) -> &[Arc<Event>] {
        &self.events
    }

    /// The events since the snapshot that `version` does not know, in canonical order. Linear in the events behind
    /// the last mark of which it knows everything.
    pub fn events_since<'a>(
        &'a self,
        version: &'a VersionVector,
    ) -> impl Iterator<Item = &'a Arc<Event>> + 'a {
        let (from, _) = self.mark_before(|mark| mark.state.version <= *version);
        let events = self.events.get(from..).unwrap_or_default();
        events.iter().filter(|event| !version.contains(event.dot))
    }

    /// The event with this dot, where it lies after the snapshot.
    pub fn event(&self, dot: Dot) -> Option<&Arc<Event>> {
        let before = self.base.version.get(dot.replica);
        let index = usize::try_from(dot.number.checked_sub(before + 1)?).ok()?;
        self.lines.get(&dot.replica)?.links.get(index).map(|link| &link.event)
    }

    /// The end of `replica`'s chain.
    pub fn head(&self, replica: ReplicaId, store: StoreId) -> Head {
        self.line_head(replica).cloned().unwrap_or_else(|| Head::genesis(store))
    }

    pub(crate) fn head_number(&self, replica: ReplicaId) -> u64 {
        self.line_head(replica).map_or(0, |head| head.number)
    }

    /// The head of `dot`'s replica at the snapshot, where `dot` is its last event there.
    pub(crate) fn base_head(&self, dot: Dot) -> Option<&Head> {
        self.base_heads.get(&dot.replica).filter(|head| head.number == dot.number)
    }

    /// The head that `dot`'s replica had when `dot` was its last event, where that is known.
    pub(crate) fn head_at(&self, dot: Dot) -> Option<Head> {
        let Some(event) = self.event(dot) else { return self.base_head(dot).cloned() };
        Some(Head {
            number: dot.number,
            id: event.id,
            time: event.time,
            seen: Arc::clone(&event.seen),
            store: self.store_of(dot.replica)?,
        })
    }

    /// The store that `replica` belongs to.
    pub fn store_of(&self, replica: ReplicaId) -> Option<StoreId> {
        self.line_head(replica).map(|head| head.store)
    }

    fn line_head(&self, replica: ReplicaId) -> Option<&Head> {
        self.lines.get(&replica).map(|line| &line.head)
    }

    fn heads(&self) -> impl Iterator<Item = (ReplicaId, &Head)> {
        self.lines.iter().map(|(&replica, line)| (replica, &line.head))
    }

    pub(crate) fn base_last(&self) -> Option<OrderKey> {
        self.base.last
    }

    /// How many replicas are known.
    pub(crate) fn replicas(&self) -> usize {
        self.lines.len()
    }

    /// The number and the id of each replica's last event.
    pub fn ends(&self) -> Ends {
        self.heads().map(|(replica, head)| (replica, (head.number, head.id))).collect()
    }

    /// Whether `replica`'s chain ends in lost events, so that nothing can be chained to its end.
    pub fn ends_in_a_hole(&self, replica: ReplicaId) -> bool {
        self.line_head(replica).is_some_and(|head| head.number > 0 && head.id == EventId::GENESIS)
    }

    /// The latest time of any event.
    pub fn last_time(&self) -> HybridTime {
        let folded = self.state.last.map(|last| last.time);
        let staged = self.staged.last().map(|event| event.time);
        folded.max(staged).unwrap_or_default()
    }

    /// Stamps operations as the next events of `replica`, all of them or none.
    ///
    /// # Errors
    /// When there are none, one is not valid, or they are too large.
    pub fn prepare(
        &self,
        replica: ReplicaId,
        store: StoreId,
        drafts: Vec<Draft>,
        now: Millis,
    ) -> Result<Prepared, PrepareError> {
        if drafts.is_empty() {
            return Err(PrepareError::Empty);
        }
        let head = self.head(replica, store);
        if head.number == 0 && self.replicas() >= limits::REPLICAS_MAX {
            let reason = admit::too_many_replicas();
            return Err(PrepareError::Invalid { operation: "segment", reason });
        }
        let mut time = self.last_time().max(head.time);
        let mut learned: Vec<Cause> = self
            .heads()
            .filter(|&(other, _)| other != replica)
            .filter_map(|(other, at)| self.citable(other, at))
            .filter(|cause| cause.number > head.seen.get(cause.replica))
            .collect();
        let invalid = |operation, error: ChainError| match error {
            ChainError::Codec(error) => PrepareError::Codec(error),
            other => PrepareError::Invalid { operation, reason: other.to_string() },
        };
        let chain = Chain::behind(replica, store, &head);
        let mut chain = chain.map_err(|error| invalid("segment", error))?;
        let mut staged = Staged::behind(&chain);
        for Draft { author, occurred, operation } in drafts {
            let name = operation.name();
            if let Operation::Unknown(_) = operation {
                let reason = "only a newer version can mean it".to_owned();
                return Err(PrepareError::Invalid { operation: name, reason });
            }
            admit::check(&author, &operation)
                .map_err(|reason| PrepareError::Invalid { operation: name, reason })?;
            time = time.tick(now);
            let learned = std::mem::take(&mut learned);
            let record = Record { time, occurred, author, learned, operation };
            staged.append(record, &mut chain).map_err(|error| invalid(name, error))?;
        }
        Ok(Prepared { staged, head: chain.into_head() })
    }

    /// Makes prepared operations part of the log, and gives them back.
    ///
    /// # Panics
    /// When the replica's chain has moved on since they were prepared: whoever prepares holds the
    /// replica until it has committed or dropped what it prepared.
    pub fn commit(&mut self, prepared: Prepared) -> Staged {
        let staged = self.stage(prepared);
        self.fold_staged();
        staged
    }

    /// The first half of [`Log::commit`]: what is prepared next goes on behind these operations, and the state,
    /// the version and the events are as they were until [`Log::fold_staged`]. So whoever writes them first folds
    /// nothing in vain, and nothing that somebody looks at meanwhile is copied.
    ///
    /// # Panics
    /// As [`Log::commit`].
    pub fn stage(&mut self, prepared: Prepared) -> Staged {
        let Prepared { staged, head } = prepared;
        let replica = staged.replica();
        assert_eq!(
            self.head_number(replica) + 1,
            staged.first(),
            "a replica has one writer at a time"
        );
        self.link(replica, head, staged.events());
        self.staged.extend(staged.events().iter().cloned());
        staged
    }

    /// The events that were staged, and are not folded.
    pub fn staged(&self) -> &[Arc<Event>] {
        &self.staged
    }

    /// A state that the log had some time ago, for whoever finds the last one half folded.
    pub fn earlier_state(&self) -> Arc<State> {
        self.mark_before(|_| true).1
    }

    /// The second half of [`Log::commit`]. Linear in the events that were staged; a state that nobody else holds is
    /// changed where it is.
    pub fn fold_staged(&mut self) {
        let mut staged = std::mem::take(&mut self.staged);
        self.insert(&staged);
        staged.clear();
        self.staged = staged;
    }

    /// Puts events that come next in the chain of `replica` on it, to be put in their places; it ends in `head` then.
    pub(crate) fn link(&mut self, replica: ReplicaId, head: Head, events: &[Arc<Event>]) {
        let links =
            events.iter().map(|event| Link { id: beginning(event), event: Arc::clone(event) });
        match self.lines.entry(replica) {
            Entry::Occupied(mut line) => {
                let line = line.get_mut();
                line.head = head;
                line.links.extend(links);
            }
            Entry::Vacant(place) => {
                place.insert(Line { head, links: links.collect() });
            }
        }
    }

    /// Puts events that are on their chains, sorted by canonical order, in their places, and folds what
    /// that changes.
    pub(crate) fn insert(&mut self, fresh: &[Arc<Event>]) {
        let Some(first) = fresh.first() else { return };
        self.note_backdated(fresh);
        // Most come at the end.
        if self.events.last().is_none_or(|last| last.order() < first.order()) {
            let place = self.events.len();
            self.events.extend(fresh.iter().cloned());
            self.fold_from(place);
            return;
        }
        let place = self.events.partition_point(|event| event.order() < first.order());
        let (from, state) = self.mark_before(|mark| mark.count <= place);
        self.marks.retain(|mark| mark.count <= from);
        self.state = state;
        self.events.extend(fresh.iter().cloned());
        if let Some(tail) = self.events.get_mut(place..) {
            tail.sort_by_key(|event| event.order());
        }
        self.fold_from(from);
    }

    fn fold_from(&mut self, from: usize) {
        let Self { state, marks, spacing, forgotten, events, left_out, .. } = self;
        let is_marked = |count: usize, spacing: usize| (*forgotten + count).is_multiple_of(spacing);
        for (index, event) in events.iter().enumerate().skip(from) {
            fold(state, event, left_out);
            let count = index + 1;
            if is_marked(count, *spacing) {
                marks.push(Mark { count, state: Arc::clone(state) });
                if marks.len() > limits::MARKS_MAX {
                    *spacing *= 2;
                    marks.retain(|mark| is_marked(mark.count, *spacing));
                }
            }
        }
    }

    /// The last mark for which `before` holds, or the beginning: how many events it has, and the
    /// state after them. `before` holds for the marks up to some point.
    fn mark_before(&self, before: impl Fn(&Mark) -> bool) -> (usize, Arc<State>) {
        let place = self.marks.partition_point(before);
        match place.checked_sub(1).and_then(|last| self.marks.get(last)) {
            Some(mark) => (mark.count, Arc::clone(&mark.state)),
            None => (0, Arc::clone(&self.base)),
        }
    }

    /// A state no later than place `place`, and how many events it has.
    pub(crate) fn state_before(&self, place: usize) -> (usize, Arc<State>) {
        self.mark_before(|mark| mark.count <= place)
    }

    /// The version of the first `count` events. Costs a mark's distance.
    pub(crate) fn version_of(&self, count: usize) -> VersionVector {
        let (from, state) = self.mark_before(|mark| mark.count <= count);
        let mut version = state.version.clone();
        for event in self.events.iter().take(count).skip(from) {
            version.insert(event.dot);
        }
        version
    }

    /// Keeps in mind which of `fresh` happened before they were appended.
    fn note_backdated(&mut self, fresh: &[Arc<Event>]) {
        let before = self.backdated.last().map(|event| event.order());
        let mut sorted = true;
        for event in fresh.iter().filter(|event| event.occurred.is_some()) {
            sorted &= before < Some(event.order());
            self.backdated.push(Arc::clone(event));
        }
        if !sorted {
            self.backdated.sort_by_key(|event| event.order());
        }
    }

    /// The events from place `from` on that happened before they were appended.
    pub(crate) fn backdated_from(&self, from: usize) -> &[Arc<Event>] {
        let Some(order) = self.events.get(from).map(|event| event.order()) else { return &[] };
        let start = self.backdated.partition_point(|event| event.order() < order);
        self.backdated.get(start..).unwrap_or_default()
    }

    /// Forgets the oldest events, all but `keep` of them: the log goes on from the state that they fold to, as
    /// if it had been opened from a snapshot. How many that was. Costs a mark's distance, what is kept, and
    /// dropping what is forgotten.
    pub fn forget_all_but(&mut self, keep: usize) -> usize {
        let count = self.events.len().saturating_sub(keep);
        if count == 0 {
            return 0;
        }
        let (from, mut base) = self.state_before(count);
        for event in self.events.iter().take(count).skip(from) {
            fold(&mut base, event, &self.left_out);
        }
        let mut heads = BTreeMap::new();
        for (replica, number) in base.version.iter() {
            let head = self.head_at(Dot::new(replica, number));
            heads.extend(head.map(|head| (replica, head)));
        }
        for (replica, line) in &mut self.lines {
            let chain = &mut line.links;
            let gone = base.version.get(*replica) - self.base.version.get(*replica);
            chain.drain(..usize::try_from(gone).unwrap_or(chain.len()).min(chain.len()));
            chain.shrink_to_fit();
        }
        self.events.drain(..count);
        self.events.shrink_to_fit();
        self.backdated.retain(|event| Some(event.order()) > base.last);
        self.marks.retain(|mark| mark.count > count);
        self.marks.iter_mut().for_each(|mark| mark.count -= count);
        self.forgotten += count;
        self.base_heads = Arc::new(heads);
        self.base = base;
        count
    }

    /// The state that the events of `version` fold to. Folds from the last mark on that lies in
    /// the version: for what the log was at some time of its canonical order, that is less than a
    /// mark's distance; for a version that lacks an early event, all that comes behind it.
    ///
    /// # Errors
    /// When the version lies before the snapshot, or names events that are not here.
    pub fn state_at(&self, version: &VersionVector) -> Result<Arc<State>, BehindSnapshot> {
        if version == self.version() {
            return Ok(Arc::clone(&self.state));
        }
        if !(self.base.version <= *version && version <= self.version()) {
            return Err(BehindSnapshot { dot: None });
        }
        let (from, mut state) = self.mark_before(|mark| mark.state.version <= *version);
        let mut left = version.events().saturating_sub(state.events());
        for event in self.events.iter().skip(from) {
            if left == 0 {
                break;
            }
            if version.contains(event.dot) {
                left -= 1;
                fold(&mut state, event, &self.left_out);
            }
        }
        Ok(state)
    }

    /// The events whose id starts with the hexadecimal digits `prefix`, two at most, in canonical
    /// order. Linear in the events, but looks at four bytes of each.
    pub fn events_by_id(&self, prefix: &str) -> Vec<&Arc<Event>> {
        let digits = prefix.get(..prefix.len().min(8)).unwrap_or_default();
        let Ok(wanted) = u32::from_str_radix(digits, 16) else { return Vec::new() };
        let shift = 32 - 4 * digits.len() as u32;
        let links = self.lines.values().flat_map(|line| &line.links);
        let links = links.filter(|link| link.id >> shift == wanted);
        let found = links.map(|link| &link.event).filter(|event| event.id.begins_with(prefix));
        let mut found: Vec<_> = found.take(2).collect();
        found.sort_by_key(|event| event.order());
        found
    }
}

fn fold(state: &mut Arc<State>, event: &Event, left_out: &BTreeSet<Dot>) {
    let state = Arc::make_mut(state);
    if left_out.contains(&event.dot) || event.is_lost() || event.is_withheld() {
        state.pass_over(event);
    } else {
        state.apply(event);
    }
}

#[cfg(test)]
mod tests {
    use tress_model::Role;

    use super::*;

    /// Nobody makes a quarter of a million events for a test: the marks lie close here.
    #[test]
    fn a_log_keeps_no_more_marks_than_are_allowed_and_opens_every_state() {
        let mut log = Log { spacing: 1, ..Log::new() };
        let (replica, store) = (ReplicaId([1; 16]), StoreId([1; 16]));
        let mut root = None;
        for number in 1..=limits::MARKS_MAX + 1 {
            let author = Author::new("ada", Role::Human);
            let draft = Draft { author, occurred: None, operation: Operation::RunResumed };
            let prepared = log.prepare(replica, store, vec![draft], 1000);
            log.commit(prepared.expect("it is valid"));
            if number == 3 {
                root = Some(log.state().root());
            }
            let expected = if number > limits::MARKS_MAX { number / 2 } else { number };
            assert_eq!(log.marks.len(), expected, "after {number}");
        }
        assert_eq!(log.spacing, 2);
        let third = log.state_at(&VersionVector::from_iter([(replica, 3)]));
        assert_eq!(third.map(|state| state.root()).ok(), root);
    }

    /// What is staged changes nothing until it is folded, and comes to the same then.
    #[test]
    fn staged_operations_are_gone_on_from_and_folded_later() {
        let store = StoreId([1; 16]);
        let draft = |number: u64| Draft {
            author: Author::new("ada", Role::Human),
            occurred: None,
            operation: Operation::BudgetSpent {
                todo: None,
                unit: format!("unit {number}"),
                amount: 1.0,
            },
        };
        let (mut at_once, mut later) = (Log::new(), Log::new());
        for number in 1..=20 {
            let [own, other] = [ReplicaId([1; 16]), ReplicaId([2; 16])];
            let prepare = |log: &Log, replica| log.prepare(replica, store, vec![draft(number)], 7);
            let before = later.state().root();
            let [a, b] = [prepare(&at_once, own), prepare(&later, own)].map(Result::unwrap);
            assert_eq!(a.segment(), b.segment());
            at_once.commit(a);
            later.stage(b);
            assert_eq!(later.state().root(), before, "{number}");
            if number % 3 > 0 {
                continue;
            }
            assert_eq!(later.staged().len(), 3);
            assert_eq!(later.events().len() + later.staged().len(), at_once.events().len());
            // What comes from elsewhere finds them folded, and so does who asks for it.
            let mut elsewhere = at_once.clone();
            let theirs = prepare(&elsewhere, other).unwrap();
            let segment = theirs.segment();
            elsewhere.commit(theirs);
            for log in [&mut at_once, &mut later] {
                log.admit(segment.clone(), None);
                assert!(log.staged().is_empty());
                assert_eq!(log.state().root(), elsewhere.state().root());
                assert_eq!(log.events(), elsewhere.events());
            }
        }
        later.fold_staged();
        assert_eq!(later.state().root(), at_once.state().root());
        assert_eq!(later.version(), at_once.version());
    }

    /// A log that forgets is as one that was opened from a snapshot, wherever the cut is.
    #[test]
    fn what_is_forgotten_lies_before_a_snapshot() {
        const EVENTS: usize = 40;
        let store = StoreId([1; 16]);
        let new = || Log { spacing: 4, ..Log::new() };
        let mut log = new();
        let (mut snapshots, mut segments) = (vec![log.snapshot()], Vec::new());
        for number in 0..EVENTS {
            // One replica begins after the other.
            let replica = ReplicaId([[1, 2, 1, 3][number % 4].min(1 + number as u8 / 10); 16]);
            let author = Author::new(format!("agent-{}", number % 3), Role::Human);
            let occurred = (number % 5 == 0).then_some(900 + number as u64);
            let operation = Operation::NoteAdded {
                todo: tress_model::TodoId::from_external("x"),
                text: format!("remark {number}"),
                layout: None,
            };
            let draft = Draft { author, occurred, operation };
            let now = 1000 + 10 * number as u64;
            let prepared = log.prepare(replica, store, vec![draft], now).expect("it is valid");
            segments.push(prepared.segment());
            log.commit(prepared);
            snapshots.push(log.snapshot());
        }
        for (count, snapshot) in snapshots.into_iter().enumerate() {
            let mut opened = Log { spacing: 4, ..Log::from_snapshot(snapshot) };
            opened.admit_all(segments.iter().skip(count).cloned().collect::<Vec<_>>(), None);
            let mut forgetful = log.clone();
            assert_eq!(forgetful.forget_all_but(EVENTS - count), count);
            // Twice is as good as once.
            let mut again = log.clone();
            again.forget_all_but(EVENTS - count / 2);
            again.forget_all_but(EVENTS - count);
            for forgetful in [forgetful, again] {
                assert_eq!(forgetful.events(), opened.events(), "{count}");
                assert_eq!(forgetful.ends(), opened.ends());
                assert_eq!(forgetful.base_heads, opened.base_heads);
                assert_eq!(forgetful.base.root(), opened.base.root());
                assert_eq!(forgetful.state().root(), log.state().root());
                assert_eq!(forgetful.backdated, opened.backdated);
                assert_eq!(forgetful.is_whole(), count == 0);
                for event in log.events() {
                    let version = event.version();
                    let root = |log: &Log| log.state_at(&version).map(|state| state.root());
                    assert_eq!(forgetful.event(event.dot), opened.event(event.dot));
                    assert_eq!(root(&forgetful), root(&opened), "{count}, {}", event.dot);
                    let since = |log: &Log| log.events_since(&version).count();
                    assert_eq!(since(&forgetful), since(&opened));
                }
                for mark in &forgetful.marks {
                    assert_eq!((mark.count + count) % 4, 0);
                    let version = forgetful.version_of(mark.count);
                    assert_eq!(mark.state.version, version);
                }
            }
        }
    }
}
