//! Events in bytes: what their ids are hashed from, and the bodies of the segments in which they are
//! written. Operations are encoded and decoded by bincode itself, in the bytes that serde would give: serde
//! would read and write an id a byte at a time.

use std::collections::BTreeMap;
use std::sync::Arc;

use bincode::Encode;
use bincode::enc::write::Writer;
use bincode::error::EncodeError;
use serde::{Deserialize, Serialize};

use super::{CodecError, Room, bytes, lists, whole};
use crate::clock::{HybridTime, Millis};
use crate::event::{Cause, Chain, ChainError, Event, Hashed, Record, Segment};
use crate::ids::{Author, Dot, EventId, ReplicaId, StoreId};
use crate::limits;
use crate::operation::Operation;

/// Computes event ids: BLAKE3 over the previous id and the event's own content. It does not depend
/// on how events are grouped into segments.
#[derive(Debug)]
pub struct EventHasher {
    store: StoreId,
    /// Of the event at hand, its operation in its canonical bytes, and behind it what is hashed.
    bytes: Vec<u8>,
    /// Where the operation ends.
    operation: usize,
    size: usize,
}

impl EventHasher {
    /// A hasher for events of a replica of `store`.
    pub fn new(store: StoreId) -> Self {
        Self { store, bytes: Vec::with_capacity(512), operation: 0, size: 0 }
    }

    /// How many bytes the last event had, by itself.
    pub fn size(&self) -> usize {
        self.size
    }

    /// The canonical bytes of the last event's operation.
    pub(crate) fn operation(&self) -> &[u8] {
        self.bytes.get(..self.operation).unwrap_or_default()
    }

    /// The id of the event `dot` with the content `record`, after `previous`.
    ///
    /// # Errors
    /// When the event is larger than [`limits::EVENT_BYTES_MAX`].
    pub fn id(
        &mut self,
        previous: EventId,
        dot: Dot,
        record: &Record,
    ) -> Result<EventId, CodecError> {
        self.bytes.clear();
        write_operation(&record.operation, &mut self.bytes)?;
        self.finish(previous, dot, record)
    }

    /// The same, of an event with an operation of which the canonical bytes are at hand.
    fn id_of(
        &mut self,
        previous: EventId,
        dot: Dot,
        record: &Record,
        operation: &[u8],
    ) -> Result<EventId, CodecError> {
        self.bytes.clear();
        self.bytes.extend_from_slice(operation);
        self.finish(previous, dot, record)
    }

    /// Hashes what is there of the event, and the rest of it.
    fn finish(
        &mut self,
        previous: EventId,
        dot: Dot,
        record: &Record,
    ) -> Result<EventId, CodecError> {
        self.operation = self.bytes.len();
        // The operation by its hash: who holds an event without it can still check the chain.
        let withheld = record.operation.withheld_hash();
        let hash = withheld.unwrap_or_else(|| *blake3::hash(&self.bytes).as_bytes());
        let hashed = &mut self.bytes;
        hashed.extend_from_slice(previous.as_bytes());
        if previous == EventId::GENESIS {
            hashed.extend_from_slice(self.store.as_bytes());
            hashed.extend_from_slice(dot.replica.as_bytes());
        }
        hashed.extend_from_slice(&dot.number.to_le_bytes());
        hashed.extend_from_slice(&hash);
        let before = hashed.len();
        write(&(record.time, record.occurred, &record.author, &record.learned), hashed, "event")?;
        let size = hashed.len() - before + self.operation;
        self.size = size;
        if size > limits::EVENT_BYTES_MAX {
            let limit = limits::EVENT_BYTES_MAX;
            return Err(CodecError::TooLarge { what: "event", size, limit });
        }
        let hashed = hashed.get(self.operation..).unwrap_or_default();
        Ok(EventId(*blake3::hash(hashed).as_bytes()))
    }
}

/// Takes what bincode writes.
struct Out<'a>(&'a mut Vec<u8>);

impl Writer for Out<'_> {
    #[inline]
    fn write(&mut self, bytes: &[u8]) -> Result<(), EncodeError> {
        match *bytes {
            // Most of it is numbers of one byte.
            [byte] => self.0.push(byte),
            _ => self.0.extend_from_slice(bytes),
        }
        Ok(())
    }
}

/// Writes a value behind what is in `to`.
fn write<T: Encode>(value: &T, to: &mut Vec<u8>, what: &'static str) -> Result<(), CodecError> {
    bincode::encode_into_writer(value, Out(to), bincode::config::standard())
        .map_err(|error| CodecError::Malformed { what, reason: error.to_string() })
}

/// What stands in the place of `operation` for those who do not want it.
///
/// # Errors
/// When it is over [`limits::EVENT_BYTES_MAX`].
pub fn withhold(operation: &Operation) -> Result<Operation, CodecError> {
    match operation.withheld_hash() {
        Some(_) => Ok(operation.clone()),
        None => Ok(Operation::withheld(*blake3::hash(&encode_operation(operation)?).as_bytes())),
    }
}

/// How many operations this version knows; a variant behind them is a newer version's.
pub(super) const OPERATIONS_KNOWN: u32 = 63;

/// Writes an operation by itself, in its canonical bytes.
fn write_operation(operation: &Operation, to: &mut Vec<u8>) -> Result<(), CodecError> {
    let (before, limit) = (to.len(), limits::EVENT_BYTES_MAX);
    match operation {
        Operation::Unknown(bytes) => to.extend_from_slice(bytes),
        known => {
            write(known, to, "operation")?;
            let size = to.len() - before;
            if size > limit {
                return Err(CodecError::TooLarge { what: "operation", size, limit });
            }
        }
    }
    Ok(())
}

/// An operation by itself, in its canonical bytes.
pub(super) fn encode_operation(operation: &Operation) -> Result<Vec<u8>, CodecError> {
    let mut bytes = Vec::new();
    write_operation(operation, &mut bytes)?;
    Ok(bytes)
}

/// The operation of which `bytes` are the canonical form. Bytes of any other form are no operation that is
/// known, in this version and in every later one: they are kept as they are, under the same id, and have
/// no effect. So nobody can write today what a version of tomorrow reads as something else.
pub(super) fn decode_operation(bytes: &[u8]) -> Result<Operation, CodecError> {
    let limit = limits::EVENT_BYTES_MAX;
    if bytes.len() > limit {
        return Err(CodecError::TooLarge { what: "operation", size: bytes.len(), limit });
    }
    if bytes.is_empty() {
        // This is what stands in the place of an event that is lost.
        let reason = "it is empty".to_owned();
        return Err(CodecError::Malformed { what: "operation", reason });
    }
    let variant = bincode::decode_from_slice::<u32, _>(bytes, bincode::config::standard());
    if variant.is_ok_and(|(variant, _)| variant >= OPERATIONS_KNOWN) {
        return Ok(Operation::Unknown(bytes.to_vec()));
    }
    // A list of empty texts takes 24 bytes in memory for each of its own, and a number eight: with room for
    // both, none that was ever written is refused.
    let config = bincode::config::standard().with_limit::<{ 32 * limits::EVENT_BYTES_MAX }>();
    let known = bincode::decode_from_slice::<Operation, _>(bytes, config).ok();
    let known = known.filter(|(_, used)| *used == bytes.len());
    let canonical = known.map(|(operation, _)| operation).filter(|operation| {
        let mut rest = Same(bytes);
        let same = bincode::encode_into_writer(operation, &mut rest, bincode::config::standard());
        same.is_ok() && rest.0.is_empty()
    });
    Ok(canonical.unwrap_or_else(|| Operation::Unknown(bytes.to_vec())))
}

/// Takes what is written as long as it is what these bytes are, too.
struct Same<'a>(&'a [u8]);

impl Writer for &mut Same<'_> {
    fn write(&mut self, bytes: &[u8]) -> Result<(), EncodeError> {
        self.0 = self.0.strip_prefix(bytes).ok_or(EncodeError::Other("other bytes"))?;
        Ok(())
    }
}

/// The body of a segment's frame, as it is read.
#[derive(Serialize, Deserialize)]
pub(super) struct WireSegment<'a> {
    pub(super) base: Millis,
    #[serde(deserialize_with = "lists::at_most::<_, _, { limits::SEGMENT_EVENTS_MAX }>")]
    pub(super) authors: Vec<Author>,
    #[serde(borrow, deserialize_with = "lists::at_most::<_, _, { limits::SEGMENT_EVENTS_MAX }>")]
    pub(super) records: Vec<WireRecord<'a>>,
}

#[derive(Serialize, Deserialize)]
pub(super) struct WireRecord<'a> {
    pub(super) delta: Millis,
    pub(super) counter: u32,
    pub(super) occurred: Option<Millis>,
    pub(super) author: u32,
    pub(super) learned: Vec<Cause>,
    #[serde(borrow, serialize_with = "bytes::serialize")]
    pub(super) operation: &'a [u8],
}

/// An event as it is written: the same bytes as a [`WireRecord`].
#[derive(Encode)]
struct Line<'a> {
    delta: Millis,
    counter: u32,
    occurred: Option<Millis>,
    author: u32,
    learned: &'a [Cause],
    operation: &'a [u8],
}

/// Gathers events for the body of a segment.
#[derive(Default)]
struct Lines<'a> {
    authors: Vec<&'a Author>,
    places: BTreeMap<&'a Author, u32>,
    lines: Vec<Line<'a>>,
    base: Millis,
    last: Millis,
}

impl<'a> Lines<'a> {
    fn push(
        &mut self,
        (time, occurred): (HybridTime, Option<Millis>),
        author: &'a Author,
        learned: &'a [Cause],
        operation: &'a [u8],
    ) {
        if self.lines.is_empty() {
            (self.base, self.last) = (time.millis, time.millis);
        }
        let authors = &mut self.authors;
        let author = *self.places.entry(author).or_insert_with(|| {
            authors.push(author);
            authors.len() as u32 - 1
        });
        let delta = time.millis.saturating_sub(self.last);
        self.last = time.millis;
        let counter = time.counter;
        self.lines.push(Line { delta, counter, occurred, author, learned, operation });
    }

    /// The body, of about `size` bytes, whose operations are `operations`.
    fn body<'b>(
        &self,
        size: usize,
        mut operations: impl Iterator<Item = &'b Operation>,
    ) -> Result<Vec<u8>, CodecError> {
        let (count, limit) = (self.lines.len(), limits::SEGMENT_EVENTS_MAX);
        if count > limit {
            let what = "segment (in events)";
            return Err(CodecError::TooLarge { what, size: count, limit });
        }
        let (mut body, limit) = (Vec::with_capacity(size), limits::SEGMENT_BYTES_MAX);
        write(&(self.base, &self.authors, &self.lines), &mut body, "segment")?;
        if body.len() > limit {
            return Err(CodecError::TooLarge { what: "segment", size: body.len(), limit });
        }
        // Nothing is written that nobody reads.
        let mut room = Room::of(body.len());
        operations.try_for_each(|operation| room.take(operation))?;
        Ok(body)
    }
}

/// The body of a segment's frame. What the frame itself carries (replica, store, first number,
/// previous id) is not in it.
///
/// # Errors
/// When the segment is over a limit of [`limits`]; it could not be read back.
pub fn encode_segment(segment: &Segment) -> Result<Vec<u8>, CodecError> {
    let (mut bytes, mut ends) = (Vec::new(), Vec::with_capacity(segment.records.len()));
    for record in &segment.records {
        write_operation(&record.operation, &mut bytes)?;
        ends.push(bytes.len());
    }
    let mut lines = Lines::default();
    for (record, operation) in segment.records.iter().zip(parts(&bytes, &ends)) {
        let at = (record.time, record.occurred);
        lines.push(at, &record.author, &record.learned, operation);
    }
    lines.body(bytes.len() + 32 * ends.len(), segment.records.iter().map(|r| &r.operation))
}

/// The parts of `bytes` that end at `ends`.
fn parts<'a>(bytes: &'a [u8], ends: &'a [usize]) -> impl Iterator<Item = &'a [u8]> {
    let starts = std::iter::once(0).chain(ends.iter().copied());
    starts.zip(ends).map(|(from, &to)| bytes.get(from..to).unwrap_or_default())
}

/// Events of one replica in a row with the bytes that they were hashed by, so that they need not be encoded
/// again to be written.
#[derive(Debug, Clone)]
pub struct Staged {
    replica: ReplicaId,
    store: StoreId,
    previous: EventId,
    events: Vec<Arc<Event>>,
    /// What their authors had learned, by place, where that is anything.
    learned: BTreeMap<usize, Vec<Cause>>,
    /// Their operations, one behind the other.
    operations: Vec<u8>,
    ends: Vec<usize>,
    bytes: usize,
}

impl Staged {
    /// One without events, behind the end of a chain.
    pub fn behind(chain: &Chain) -> Self {
        Self {
            replica: chain.replica(),
            store: chain.head().store,
            previous: chain.head().id,
            events: Vec::new(),
            learned: BTreeMap::new(),
            operations: Vec::new(),
            ends: Vec::new(),
            bytes: 0,
        }
    }

    /// Puts an event on `chain`, and takes it.
    ///
    /// # Errors
    /// When it does not continue the chain; then the chain must not be gone on with.
    pub fn append(&mut self, record: Record, chain: &mut Chain) -> Result<(), ChainError> {
        chain.link(&record)?;
        let (head, hasher) = (chain.head(), chain.hasher());
        let dot = Dot::new(self.replica, head.number);
        let (learned, event) = record.into_event(dot, head.id, Arc::clone(&head.seen));
        if !learned.is_empty() {
            self.learned.insert(self.events.len(), learned);
        }
        self.events.push(Arc::new(event));
        self.operations.extend_from_slice(hasher.operation());
        self.ends.push(self.operations.len());
        self.bytes += hasher.size();
        Ok(())
    }

    /// The events.
    pub fn events(&self) -> &[Arc<Event>] {
        &self.events
    }

    /// The replica that wrote them.
    pub fn replica(&self) -> ReplicaId {
        self.replica
    }

    /// The number of the first event.
    pub fn first(&self) -> u64 {
        self.events.first().map_or(0, |event| event.dot.number)
    }

    /// The number of the last event.
    pub fn last(&self) -> u64 {
        self.events.last().map_or(0, |event| event.dot.number)
    }

    /// About how many bytes they have: the sum of what each has by itself.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// Takes what comes right behind it, of the same replica.
    pub fn join(&mut self, next: Self) {
        let (events, bytes) = (self.events.len(), self.operations.len());
        self.learned.extend(next.learned.into_iter().map(|(at, learned)| (events + at, learned)));
        self.events.extend(next.events);
        self.operations.extend(next.operations);
        self.ends.extend(next.ends.into_iter().map(|end| bytes + end));
        self.bytes += next.bytes;
    }

    fn learned_at(&self, at: usize) -> &[Cause] {
        self.learned.get(&at).map_or(&[], Vec::as_slice)
    }

    /// The same as a segment.
    pub fn segment(&self) -> Segment {
        let records = self.events.iter().enumerate().map(|(at, event)| Record {
            time: event.time,
            occurred: event.occurred,
            author: event.author.clone(),
            learned: self.learned_at(at).to_vec(),
            operation: event.operation.clone(),
        });
        let records = records.collect();
        let (replica, store, previous) = (self.replica, self.store, self.previous);
        Segment { replica, store, first: self.first(), previous, records }
    }

    /// What is written of them.
    ///
    /// # Errors
    /// As [`encode_segment`].
    pub fn encode(&self) -> Result<Written, CodecError> {
        let mut lines = Lines::default();
        lines.lines.reserve(self.events.len());
        let parts = parts(&self.operations, &self.ends);
        for ((at, event), operation) in self.events.iter().enumerate().zip(parts) {
            let learned = self.learned_at(at);
            lines.push((event.time, event.occurred), &event.author, learned, operation);
        }
        let operations = self.events.iter().map(|event| &event.operation);
        let body = lines.body(self.operations.len() + 32 * self.ends.len(), operations)?;
        Ok(Written { first: self.first(), last: self.last(), previous: self.previous, body })
    }
}

/// A segment in bytes, with what its frame says of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Written {
    /// The number of its first event.
    pub first: u64,
    /// The number of its last event.
    pub last: u64,
    /// The id of the event before its first.
    pub previous: EventId,
    /// The body of its frame.
    pub body: Vec<u8>,
}

impl TryFrom<&Segment> for Written {
    type Error = CodecError;

    fn try_from(segment: &Segment) -> Result<Self, CodecError> {
        let body = encode_segment(segment)?;
        Ok(Self { first: segment.first, last: segment.last(), previous: segment.previous, body })
    }
}

/// Reads the body of a segment's frame.
///
/// # Errors
/// When the bytes are not such a body, or are over a limit.
pub fn decode_segment(
    replica: ReplicaId,
    store: StoreId,
    first: u64,
    previous: EventId,
    body: &[u8],
) -> Result<Segment, CodecError> {
    decode_within((replica, store, first, previous), body, &mut Room::of(body.len()))
}

/// The same, with the ids that its events have if it continues the event that it says it does.
///
/// # Errors
/// As [`decode_segment`].
pub fn decode_hashed(
    replica: ReplicaId,
    store: StoreId,
    first: u64,
    previous: EventId,
    body: &[u8],
    hasher: &mut EventHasher,
) -> Result<Hashed, CodecError> {
    hasher.store = store;
    let (mut ids, mut last) = (Vec::new(), Some(previous));
    let hash = |record: &Record, operation: &[u8]| {
        // What is too large to have an id is found by whoever chains it.
        let dot = first.checked_add(ids.len() as u64).map(|number| Dot::new(replica, number));
        let id = last.zip(dot).map(|(last, dot)| hasher.id_of(last, dot, record, operation));
        last = id.and_then(Result::ok);
        ids.extend(last);
    };
    let room = &mut Room::of(body.len());
    let segment = decode_each((replica, store, first, previous), body, room, hash)?;
    Ok(Hashed::new(segment, ids))
}

/// The same as [`decode_segment`], where its lists share `room` with those of other segments.
pub(super) fn decode_within(
    of: (ReplicaId, StoreId, u64, EventId),
    body: &[u8],
    room: &mut Room,
) -> Result<Segment, CodecError> {
    decode_each(of, body, room, |_, _| ())
}

/// The same, which gives `each` its records, and the bytes of their operations.
fn decode_each(
    (replica, store, first, previous): (ReplicaId, StoreId, u64, EventId),
    body: &[u8],
    room: &mut Room,
    mut each: impl FnMut(&Record, &[u8]),
) -> Result<Segment, CodecError> {
    let what = "segment";
    let limit = limits::SEGMENT_BYTES_MAX;
    if body.len() > limit {
        return Err(CodecError::TooLarge { what, size: body.len(), limit });
    }
    let config = bincode::config::standard().with_limit::<{ 8 * limits::SEGMENT_BYTES_MAX }>();
    let read = bincode::serde::borrow_decode_from_slice(body, config);
    let wire: WireSegment<'_> = whole(body, what, read)?;
    let malformed = |reason: &str| CodecError::Malformed { what, reason: reason.to_owned() };
    if first == 0 {
        return Err(malformed("its first event has the number 0"));
    }
    let mut millis = wire.base;
    let mut records = Vec::with_capacity(wire.records.len());
    for record in wire.records {
        millis = millis.checked_add(record.delta).ok_or_else(|| malformed("its time overflows"))?;
        let author = wire.authors.get(record.author as usize);
        let operation = decode_operation(record.operation)?;
        room.take(&operation)?;
        let bytes = record.operation;
        let record = Record {
            time: HybridTime { millis, counter: record.counter },
            occurred: record.occurred,
            author: author.ok_or_else(|| malformed("it names no author"))?.clone(),
            learned: record.learned,
            operation,
        };
        each(&record, bytes);
        records.push(record);
    }
    if records.is_empty() {
        return Err(malformed("it is empty"));
    }
    Ok(Segment { replica, store, first, previous, records })
}
