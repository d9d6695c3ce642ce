//! Events: operations stamped by a replica, and segments, the stretches in which they travel.

use std::ops::Deref;
use std::sync::Arc;

use bincode::{Decode, Encode};
use serde::{Deserialize, Serialize};

use crate::clock::{HybridTime, Millis, VersionVector};
use crate::codec;
use crate::ids::{Author, Dot, EventId, ReplicaId, StoreId};
use crate::operation::Operation;

/// An operation with its dot, its author, its time, and what its author had seen.
#[derive(Debug, Clone, PartialEq)]
pub struct Event {
    /// Its name: replica and number.
    pub dot: Dot,
    /// Its hash, chained over the previous event of the same replica.
    pub id: EventId,
    /// Who did it.
    pub author: Author,
    /// When it was appended: later than everything its author had seen.
    pub time: HybridTime,
    /// When it happened, where that was before it was appended (imported histories).
    pub occurred: Option<Millis>,
    /// What the author had seen of *other* replicas; of its own it had seen all earlier events.
    pub seen: Arc<VersionVector>,
    /// What was meant.
    pub operation: Operation,
}

/// The place of an event in the one canonical order, which extends causality.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, Decode,
)]
pub struct OrderKey {
    /// Its hybrid time.
    pub time: HybridTime,
    /// Ties go by replica …
    pub replica: ReplicaId,
    /// … and number.
    pub number: u64,
}

impl Event {
    /// Its place in the canonical order.
    pub fn order(&self) -> OrderKey {
        OrderKey { time: self.time, replica: self.dot.replica, number: self.dot.number }
    }

    /// Whether its author had seen the event `dot`.
    pub fn saw(&self, dot: Dot) -> bool {
        if dot.replica == self.dot.replica {
            dot.number < self.dot.number
        } else {
            self.seen.contains(dot)
        }
    }

    /// Whether its author had seen all of `version`.
    pub fn saw_all(&self, version: &VersionVector) -> bool {
        version.iter().all(|(replica, number)| self.saw(Dot::new(replica, number)))
    }

    /// Whether it only holds the place of an event that was lost ([`Hole`]).
    pub fn is_lost(&self) -> bool {
        // No operation that was ever written has no bytes.
        matches!(&self.operation, Operation::Unknown(bytes) if bytes.is_empty())
    }

    /// Whether its operation is not here, since this run keeps only some strands.
    pub fn is_withheld(&self) -> bool {
        self.operation.withheld_hash().is_some()
    }

    /// When it happened, as far as anybody says: the wall-clock time for people.
    pub fn moment(&self) -> Millis {
        self.occurred.unwrap_or(self.time.millis)
    }

    /// The version that its author saw, with the event itself.
    pub fn version(&self) -> VersionVector {
        let mut version = (*self.seen).clone();
        version.insert(self.dot);
        version
    }
}

/// The end of one replica's chain: what the next event is chained to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Head {
    /// The number of its last event.
    pub number: u64,
    /// The id of its last event.
    pub id: EventId,
    /// The time of its last event.
    pub time: HybridTime,
    /// What its last event had seen of other replicas.
    pub seen: Arc<VersionVector>,
    /// The store that it belongs to.
    pub store: StoreId,
}

impl Head {
    /// The head of a replica of `store` that has written nothing.
    pub fn genesis(store: StoreId) -> Self {
        Self {
            number: 0,
            id: EventId::GENESIS,
            time: HybridTime::default(),
            seen: Arc::default(),
            store,
        }
    }
}

/// An event that an author had seen: its dot, and the beginning of its id, so that another event
/// under the same dot is not taken for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, Encode)]
pub struct Cause {
    /// The replica that wrote it.
    pub replica: ReplicaId,
    /// Its number there; all before it were seen, too.
    pub number: u64,
    /// The first eight bytes of its id.
    pub mark: [u8; 8],
}

impl Cause {
    /// The event at `head`.
    pub fn at(replica: ReplicaId, head: &Head) -> Self {
        Self { replica, number: head.number, mark: head.id.mark() }
    }

    /// Its dot.
    pub fn dot(&self) -> Dot {
        Dot::new(self.replica, self.number)
    }
}

/// One event as it is written: relative to the event before it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Record {
    /// Its time.
    pub time: HybridTime,
    /// When it happened, if that was earlier.
    pub occurred: Option<Millis>,
    /// Who did it.
    pub author: Author,
    /// What its author had learned of other replicas since its replica's previous event.
    pub learned: Vec<Cause>,
    /// What was meant.
    pub operation: Operation,
}

impl Record {
    /// The event `dot` that it is, and what its author had learned.
    pub(crate) fn into_event(
        self,
        dot: Dot,
        id: EventId,
        seen: Arc<VersionVector>,
    ) -> (Vec<Cause>, Event) {
        let Self { time, occurred, author, learned, operation } = self;
        (learned, Event { dot, id, author, time, occurred, seen, operation })
    }
}

/// The chain of a replica, while it is gone on with.
#[derive(Debug)]
pub struct Chain {
    replica: ReplicaId,
    head: Head,
    hasher: codec::EventHasher,
}

impl Chain {
    /// The chain of `replica`, which belongs to `store`, from `head` on.
    ///
    /// # Errors
    /// When it belonged to another store before.
    pub fn behind(replica: ReplicaId, store: StoreId, head: &Head) -> Result<Self, ChainError> {
        if head.number > 0 && store != head.store {
            return Err(ChainError::Store { number: head.number + 1 });
        }
        let head = Head { store, ..head.clone() };
        Ok(Self { replica, head, hasher: codec::EventHasher::new(store) })
    }

    /// Whose it is.
    pub fn replica(&self) -> ReplicaId {
        self.replica
    }

    /// Its end.
    pub fn head(&self) -> &Head {
        &self.head
    }

    /// Its end, when nothing more comes.
    pub fn into_head(self) -> Head {
        self.head
    }

    pub(crate) fn hasher(&self) -> &codec::EventHasher {
        &self.hasher
    }

    /// Goes on with an event.
    ///
    /// # Errors
    /// When it does not continue the chain.
    pub fn link(&mut self, record: &Record) -> Result<(), ChainError> {
        self.link_as(record, None)
    }

    /// The same with an event of which the id may be known.
    fn link_as(&mut self, record: &Record, known: Option<EventId>) -> Result<(), ChainError> {
        let head = &mut self.head;
        let number = head.number.checked_add(1).filter(|&number| number < u64::MAX / 2);
        let number = number.ok_or(ChainError::Exhausted { number: head.number })?;
        if head.number > 0 && record.time <= head.time {
            return Err(ChainError::Time { number });
        }
        let id = match known {
            Some(id) => id,
            None => self.hasher.id(head.id, Dot::new(self.replica, number), record)?,
        };
        if !record.learned.is_empty() {
            let mut seen = (*head.seen).clone();
            for &Cause { replica, number: known, .. } in &record.learned {
                if known <= seen.get(replica) || replica == self.replica {
                    return Err(ChainError::Learned { number });
                }
                seen.advance(replica, known);
            }
            head.seen = Arc::new(seen);
        }
        head.number = number;
        head.id = id;
        head.time = record.time;
        Ok(())
    }
}

/// A stretch of one replica's events: the unit of durability and of gossip. All of it or none.
#[derive(Debug, Clone, PartialEq)]
pub struct Segment {
    /// The replica that wrote it.
    pub replica: ReplicaId,
    /// The store that the replica belongs to.
    pub store: StoreId,
    /// The number of its first event.
    pub first: u64,
    /// The id of the event before its first.
    pub previous: EventId,
    /// Its events.
    pub records: Vec<Record>,
}

/// Why a segment does not continue a chain.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ChainError {
    /// It starts elsewhere.
    #[error("the segment starts at {found}, the replica's next event is {expected}")]
    Number {
        /// The number that would continue the chain.
        expected: u64,
        /// The number that the segment starts with.
        found: u64,
    },
    /// Its replica belongs to another store.
    #[error("event {number} says that its replica belongs to another store than before")]
    Store {
        /// The number of the event.
        number: u64,
    },
    /// It continues another history.
    #[error("event {number} is chained to another history than the one stored here")]
    Previous {
        /// The number of the event.
        number: u64,
    },
    /// Time runs backwards.
    #[error("event {number} is earlier than the event before it")]
    Time {
        /// The number of the event.
        number: u64,
    },
    /// What an author has seen cannot shrink, and its own replica is not "another".
    #[error("event {number} says that its author had seen less than before")]
    Learned {
        /// The number of the event.
        number: u64,
    },
    /// The numbers of a replica end somewhere.
    #[error("the replica has no number left for event {number}")]
    Exhausted {
        /// The number of the event.
        number: u64,
    },
    /// It cannot be encoded.
    #[error(transparent)]
    Codec(#[from] codec::CodecError),
}

impl Segment {
    /// The number of its last event.
    pub fn last(&self) -> u64 {
        self.first.saturating_add(self.records.len() as u64).saturating_sub(1)
    }

    /// Turns the records into events that continue the chain at `head`, and gives the head after
    /// them.
    ///
    /// # Errors
    /// When the segment does not continue that chain.
    pub fn resolve(self, head: &Head) -> Result<(Vec<Arc<Event>>, Head), ChainError> {
        let chained = self.chain(head)?;
        let head = chained.head.clone();
        Ok((self.into_events(chained), head))
    }

    /// Checks that the records continue the chain at `head`.
    ///
    /// # Errors
    /// When they do not.
    pub fn chain(&self, head: &Head) -> Result<Chained, ChainError> {
        self.chain_as(head, &[])
    }

    /// The same where the ids of the first records are known, if it continues the event that it says it does.
    fn chain_as(&self, head: &Head, ids: &[EventId]) -> Result<Chained, ChainError> {
        if self.first != head.number + 1 {
            return Err(ChainError::Number { expected: head.number + 1, found: self.first });
        }
        let mut chain = Chain::behind(self.replica, self.store, head)?;
        if self.previous != head.id {
            return Err(ChainError::Previous { number: self.first });
        }
        let mut links = Vec::with_capacity(self.records.len());
        let mut ids = ids.iter().copied();
        for record in &self.records {
            chain.link_as(record, ids.next())?;
            links.push((chain.head.id, Arc::clone(&chain.head.seen)));
        }
        Ok(Chained { links, head: chain.head })
    }

    /// The records as events, as [`Segment::chain`] found them.
    pub fn into_events(self, chained: Chained) -> Vec<Arc<Event>> {
        let numbered = (self.first..).zip(self.records).zip(chained.links);
        let events = numbered.map(|((number, record), (id, seen))| {
            let (_, event) = record.into_event(Dot::new(self.replica, number), id, seen);
            Arc::new(event)
        });
        events.collect()
    }
}

/// A segment with the ids that its first events have, if it continues the event that it says it does. Whoever
/// decodes a segment has at hand what ids are hashed from, and may do it on another thread than whoever
/// chains it. So what is in it cannot be changed but cut.
#[derive(Debug, Clone)]
pub struct Hashed {
    segment: Segment,
    ids: Vec<EventId>,
}

impl From<Segment> for Hashed {
    /// No id is known: they are hashed when it is chained.
    fn from(segment: Segment) -> Self {
        Self { segment, ids: Vec::new() }
    }
}

impl Deref for Hashed {
    type Target = Segment;

    fn deref(&self) -> &Segment {
        &self.segment
    }
}

/// The ids follow from the segment.
impl PartialEq for Hashed {
    fn eq(&self, other: &Self) -> bool {
        self.segment == other.segment
    }
}

impl Hashed {
    pub(crate) const fn new(segment: Segment, ids: Vec<EventId>) -> Self {
        Self { segment, ids }
    }

    /// The same, of a replica that belongs to `store`. The beginning of a chain is hashed anew: its id depends on that.
    #[must_use]
    pub fn of_store(mut self, store: StoreId) -> Self {
        if self.segment.store != store && self.segment.previous == EventId::GENESIS {
            self.ids.clear();
        }
        self.segment.store = store;
        self
    }

    /// Keeps the first records only, so many at the most.
    pub fn truncate(&mut self, records: usize) {
        self.segment.records.truncate(records);
    }

    /// The segment alone.
    pub fn into_segment(self) -> Segment {
        self.segment
    }

    /// Checks that the records continue the chain at `head`.
    ///
    /// # Errors
    /// When they do not.
    pub fn chain(&self, head: &Head) -> Result<Chained, ChainError> {
        self.segment.chain_as(head, &self.ids)
    }
}

/// The ids of a segment's events, and what each had seen.
#[derive(Debug)]
pub struct Chained {
    /// One for each record.
    pub links: Vec<(EventId, Arc<VersionVector>)>,
    /// The head after them.
    pub head: Head,
}

/// Events that were there once and cannot be read any more, by the word of a repair. What comes
/// behind them is admitted all the same; where they turn up again, they take their places.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Hole {
    /// The replica that wrote them.
    pub replica: ReplicaId,
    /// The store that it belongs to.
    pub store: StoreId,
    /// The number of the first of them.
    pub first: u64,
    /// The number of the last of them.
    pub last: u64,
    /// The id of the last of them, where what follows it says so.
    pub end: Option<EventId>,
}

impl Hole {
    /// Whether `dot` is one of them.
    pub fn contains(&self, dot: Dot) -> bool {
        dot.replica == self.replica && (self.first..=self.last).contains(&dot.number)
    }
}

/// An Automerge change of one document: it brings it up to the state, or came from another store or a
/// client. Rides the log like a segment, later.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Seal {
    /// The store that wrote it here.
    pub store: StoreId,
    /// Which document.
    pub strand: crate::operation::Strand,
    /// Orders the seals of a store: how many events the document shows with it, or showed before it.
    pub number: u64,
    /// What the document shows with it, or showed before.
    pub version: VersionVector,
    /// The change, in Automerge's own bytes.
    #[serde(with = "codec::bytes")]
    pub change: Vec<u8>,
}
