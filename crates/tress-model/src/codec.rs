//! The codec: the one module in which bytes become events, seals and snapshots, and back.
//!
//! Bodies are bincode (pinned, with a size limit), each behind a format version that its frame
//! carries. A checksum is verified before anything here sees a byte, and every decoder checks that
//! it consumed all of its input. docs/FORMAT.md is normative.

mod lists;
mod message;
mod snapshot;

use std::collections::BTreeMap;

use bincode::error::DecodeError;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::clock::{HybridTime, Millis};
use crate::event::{Cause, Record, Seal, Segment};
use crate::ids::{Author, Dot, EventId, ReplicaId, StoreId};
use crate::limits;
use crate::operation::Operation;
use crate::state::State;

pub use lists::Room;
pub use message::{
    Received, decode_message, encode_message, ends_events, holds_events, message_number,
};
pub(crate) use snapshot::{Body, decode_part, encode_part};
pub use snapshot::{Snapshot, decode_snapshot, encode_snapshot};

/// The version of the stored and sent forms: a reader refuses a newer major version and reads a
/// newer minor one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct FormatVersion {
    /// Grows when an older reader could misread what is written.
    pub major: u16,
    /// Grows when something is added that an older reader may pass over.
    pub minor: u16,
}

/// The version that this code writes.
pub const FORMAT: FormatVersion = FormatVersion { major: 1, minor: 1 };

impl FormatVersion {
    /// Whether this code can read what was written under `self`.
    pub const fn readable(self) -> bool {
        self.major == FORMAT.major
    }
}

impl std::fmt::Display for FormatVersion {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}.{}", self.major, self.minor)
    }
}

/// Why bytes could not be made or read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CodecError {
    /// The bytes mean nothing in this format.
    #[error("the {what} cannot be decoded: {reason}")]
    Malformed {
        /// What they should have been.
        what: &'static str,
        /// What is wrong with them.
        reason: String,
    },
    /// There are bytes behind the end.
    #[error("the {what} has {count} bytes behind its end")]
    Trailing {
        /// What they should have been.
        what: &'static str,
        /// How many there are.
        count: usize,
    },
    /// It is larger than the format allows.
    #[error("the {what} has {size} bytes, {limit} are allowed: split it into smaller pieces")]
    TooLarge {
        /// What it is.
        what: &'static str,
        /// How large it is.
        size: usize,
        /// How large it may be.
        limit: usize,
    },
}

fn encode<T: Serialize>(
    value: &T,
    what: &'static str,
    limit: usize,
) -> Result<Vec<u8>, CodecError> {
    let bytes = bincode::serde::encode_to_vec(value, bincode::config::standard())
        .map_err(|error| CodecError::Malformed { what, reason: error.to_string() })?;
    if bytes.len() > limit {
        return Err(CodecError::TooLarge { what, size: bytes.len(), limit });
    }
    Ok(bytes)
}

/// Decodes at most `limit` bytes. bincode's own limit counts what values may take in memory, up to
/// eight bytes for one encoded byte, so `CLAIMS` is eight times `limit`.
fn decode<T: DeserializeOwned, const CLAIMS: usize>(
    bytes: &[u8],
    what: &'static str,
    limit: usize,
) -> Result<T, CodecError> {
    if bytes.len() > limit {
        return Err(CodecError::TooLarge { what, size: bytes.len(), limit });
    }
    let config = bincode::config::standard().with_limit::<CLAIMS>();
    whole(bytes, what, bincode::serde::decode_from_slice(bytes, config))
}

/// What was read, if that was all of `bytes`.
fn whole<T>(
    bytes: &[u8],
    what: &'static str,
    read: Result<(T, usize), DecodeError>,
) -> Result<T, CodecError> {
    let (value, used) =
        read.map_err(|error| CodecError::Malformed { what, reason: error.to_string() })?;
    match bytes.len() - used {
        0 => Ok(value),
        count => Err(CodecError::Trailing { what, count }),
    }
}

/// Computes event ids: BLAKE3 over the previous id and the event's own content. It does not depend
/// on how events are grouped into segments.
#[derive(Debug)]
pub struct EventHasher {
    store: StoreId,
    scratch: Vec<u8>,
    size: usize,
}

impl EventHasher {
    /// A hasher for events of a replica of `store`.
    pub fn new(store: StoreId) -> Self {
        Self { store, scratch: Vec::with_capacity(256), size: 0 }
    }

    /// How many bytes the last event had, by itself.
    pub fn size(&self) -> usize {
        self.size
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
        let operation = encode_operation(&record.operation)?;
        self.scratch.clear();
        let around = (record.time, record.occurred, &record.author, &record.learned);
        bincode::serde::encode_into_std_write(
            around,
            &mut self.scratch,
            bincode::config::standard(),
        )
        .map_err(|error| CodecError::Malformed { what: "event", reason: error.to_string() })?;
        let size = self.scratch.len() + operation.len();
        self.size = size;
        if size > limits::EVENT_BYTES_MAX {
            return Err(CodecError::TooLarge {
                what: "event",
                size,
                limit: limits::EVENT_BYTES_MAX,
            });
        }
        let mut hasher = blake3::Hasher::new();
        hasher.update(previous.as_bytes());
        if previous == EventId::GENESIS {
            hasher.update(self.store.as_bytes());
            hasher.update(dot.replica.as_bytes());
        }
        hasher.update(&dot.number.to_le_bytes());
        // The operation by its hash: who holds an event without it can still check the chain.
        let withheld = record.operation.withheld_hash();
        hasher.update(&withheld.unwrap_or_else(|| *blake3::hash(&operation).as_bytes()));
        hasher.update(&self.scratch);
        Ok(EventId(*hasher.finalize().as_bytes()))
    }
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
const OPERATIONS_KNOWN: u32 = 63;

/// An operation by itself, in its canonical bytes.
fn encode_operation(operation: &Operation) -> Result<Vec<u8>, CodecError> {
    match operation {
        Operation::Unknown(bytes) => Ok(bytes.clone()),
        known => encode(known, "operation", limits::EVENT_BYTES_MAX),
    }
}

/// The operation of which `bytes` are the canonical form. Bytes of any other form are no operation that is
/// known, in this version and in every later one: they are kept as they are, under the same id, and have
/// no effect. So nobody can write today what a version of tomorrow reads as something else.
fn decode_operation(bytes: Vec<u8>) -> Result<Operation, CodecError> {
    let limit = limits::EVENT_BYTES_MAX;
    if bytes.len() > limit {
        return Err(CodecError::TooLarge { what: "operation", size: bytes.len(), limit });
    }
    if bytes.is_empty() {
        // This is what stands in the place of an event that is lost.
        let reason = "it is empty".to_owned();
        return Err(CodecError::Malformed { what: "operation", reason });
    }
    let config = bincode::config::standard();
    let variant = bincode::decode_from_slice::<u32, _>(&bytes, config);
    if variant.is_ok_and(|(variant, _)| variant >= OPERATIONS_KNOWN) {
        return Ok(Operation::Unknown(bytes));
    }
    let known = decode::<Operation, { 8 * limits::EVENT_BYTES_MAX }>(&bytes, "operation", limit);
    let canonical = known.ok().filter(|operation| {
        let mut rest = Same(&bytes);
        let same = bincode::serde::encode_into_std_write(operation, &mut rest, config);
        same.is_ok() && rest.0.is_empty()
    });
    Ok(canonical.unwrap_or(Operation::Unknown(bytes)))
}

/// Takes what is written as long as it is what these bytes are, too.
struct Same<'a>(&'a [u8]);

impl std::io::Write for Same<'_> {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0 = self.0.strip_prefix(bytes).ok_or(std::io::ErrorKind::InvalidData)?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[derive(Serialize, Deserialize)]
struct WireSegment {
    base: Millis,
    #[serde(deserialize_with = "lists::at_most::<_, _, { limits::SEGMENT_EVENTS_MAX }>")]
    authors: Vec<Author>,
    #[serde(deserialize_with = "lists::at_most::<_, _, { limits::SEGMENT_EVENTS_MAX }>")]
    records: Vec<WireRecord>,
}

#[derive(Serialize, Deserialize)]
struct WireRecord {
    delta: Millis,
    counter: u32,
    occurred: Option<Millis>,
    author: u32,
    learned: Vec<Cause>,
    #[serde(with = "bytes")]
    operation: Vec<u8>,
}

/// Bytes at once, and not one by one: the same bytes in the end.
pub(crate) mod bytes {
    use serde::{Deserializer, Serializer, de};

    pub(crate) fn serialize<S: Serializer>(bytes: &[u8], to: S) -> Result<S::Ok, S::Error> {
        if to.is_human_readable() { to.collect_seq(bytes) } else { to.serialize_bytes(bytes) }
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<u8>, D::Error> {
        if from.is_human_readable() {
            return de::Deserialize::deserialize(from);
        }
        from.deserialize_byte_buf(Bytes)
    }

    struct Bytes;

    impl de::Visitor<'_> for Bytes {
        type Value = Vec<u8>;

        fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            f.write_str("bytes")
        }

        fn visit_bytes<E: de::Error>(self, bytes: &[u8]) -> Result<Vec<u8>, E> {
            Ok(bytes.to_vec())
        }

        fn visit_byte_buf<E: de::Error>(self, bytes: Vec<u8>) -> Result<Vec<u8>, E> {
            Ok(bytes)
        }
    }
}

/// The body of a segment's frame. What the frame itself carries (replica, store, first number,
/// previous id) is not in it.
///
/// # Errors
/// When the segment is over a limit of [`limits`]; it could not be read back.
pub fn encode_segment(segment: &Segment) -> Result<Vec<u8>, CodecError> {
    let count = segment.records.len();
    if count > limits::SEGMENT_EVENTS_MAX {
        let limit = limits::SEGMENT_EVENTS_MAX;
        return Err(CodecError::TooLarge { what: "segment (in events)", size: count, limit });
    }
    let base = segment.records.first().map_or(0, |record| record.time.millis);
    let mut authors: Vec<Author> = Vec::new();
    let mut places: BTreeMap<&Author, usize> = BTreeMap::new();
    let mut records = Vec::with_capacity(count);
    let mut last = base;
    for record in &segment.records {
        let author = *places.entry(&record.author).or_insert_with(|| {
            authors.push(record.author.clone());
            authors.len() - 1
        });
        records.push(WireRecord {
            delta: record.time.millis.saturating_sub(last),
            counter: record.time.counter,
            occurred: record.occurred,
            author: author as u32,
            learned: record.learned.clone(),
            operation: encode_operation(&record.operation)?,
        });
        last = record.time.millis;
    }
    let body =
        encode(&WireSegment { base, authors, records }, "segment", limits::SEGMENT_BYTES_MAX)?;
    // Nothing is written that nobody reads.
    let mut room = Room::of(body.len());
    segment.records.iter().try_for_each(|record| room.take(&record.operation))?;
    Ok(body)
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

/// The same, where its lists share `room` with those of other segments.
fn decode_within(
    (replica, store, first, previous): (ReplicaId, StoreId, u64, EventId),
    body: &[u8],
    room: &mut Room,
) -> Result<Segment, CodecError> {
    let what = "segment";
    let wire: WireSegment =
        decode::<_, { 8 * limits::SEGMENT_BYTES_MAX }>(body, what, limits::SEGMENT_BYTES_MAX)?;
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
        records.push(Record {
            time: HybridTime { millis, counter: record.counter },
            occurred: record.occurred,
            author: author.ok_or_else(|| malformed("it names no author"))?.clone(),
            learned: record.learned,
            operation,
        });
    }
    if records.is_empty() {
        return Err(malformed("it is empty"));
    }
    Ok(Segment { replica, store, first, previous, records })
}

/// The body of a seal's frame.
///
/// # Errors
/// When it is over [`limits::SEAL_BYTES_MAX`].
pub fn encode_seal(seal: &Seal) -> Result<Vec<u8>, CodecError> {
    encode(seal, "seal", limits::SEAL_BYTES_MAX)
}

/// Reads the body of a seal's frame.
///
/// # Errors
/// When the bytes are not such a body, or are over the limit.
pub fn decode_seal(body: &[u8]) -> Result<Seal, CodecError> {
    decode::<_, { 8 * limits::SEAL_BYTES_MAX }>(body, "seal", limits::SEAL_BYTES_MAX)
}

/// The form of the folded state: it changes with its fields and with the rules of the fold.
/// Snapshots of another form are made anew, and roots of different forms do not compare.
pub const STATE_FORM: u16 = 4;

/// The root of a state: a hash of its canonical form, equal wherever the same events were folded.
/// Linear in the size of the state.
pub fn root(state: &State) -> EventId {
    let mut hasher = blake3::Hasher::new_derive_key("tress 2026 root of the folded state, v1");
    // A hasher cannot fail to be written to, and the state encodes without limits; if it ever did
    // not, equal states would still have equal (truncated) roots.
    let written =
        bincode::serde::encode_into_std_write(state, &mut hasher, bincode::config::standard());
    debug_assert!(written.is_ok(), "the state encodes: {written:?}");
    EventId(*hasher.finalize().as_bytes())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use std::sync::Arc;

    use super::*;
    use crate::clock::VersionVector;
    use crate::event::Head;
    use crate::ids::{Role, TodoId};
    use crate::operation::Strand;

    const REPLICA: ReplicaId = ReplicaId([1; 16]);
    const STORE: StoreId = StoreId([2; 16]);

    fn note(text: String) -> Operation {
        Operation::NoteAdded { todo: TodoId::from_external("x"), text, layout: None }
    }

    fn record(millis: Millis, counter: u32, author: u8, text: String) -> Record {
        Record {
            time: HybridTime { millis, counter },
            occurred: (author == 0).then_some(millis / 2),
            author: Author::new(format!("agent-{author}"), Role::Implementer),
            learned: vec![Cause { replica: ReplicaId([author; 16]), number: millis, mark: [7; 8] }],
            operation: note(text),
        }
    }

    fn segment(records: Vec<Record>) -> Segment {
        Segment { replica: REPLICA, store: STORE, first: 1, previous: EventId::GENESIS, records }
    }

    fn read(body: &[u8]) -> Result<Segment, CodecError> {
        decode_segment(REPLICA, STORE, 1, EventId::GENESIS, body)
    }

    proptest! {
        #[test]
        fn a_segment_survives(records in prop::collection::vec((0_u64..1 << 50, any::<u32>(), 0_u8..4, ".{0,40}"), 1..20)) {
            let mut records = records;
            records.sort_by_key(|record| record.0);
            let records = records.into_iter().map(|(m, c, a, t)| record(m, c, a, t));
            let segment = segment(records.collect());
            let body = encode_segment(&segment).expect("it encodes");
            prop_assert_eq!(read(&body), Ok(segment));
        }

        #[test]
        fn bytes_that_are_no_body_are_an_error(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
            let _ = read(&bytes);
            let _ = decode_seal(&bytes);
            let _ = decode_snapshot(bytes.clone());
        }

        #[test]
        fn a_seal_survives(number in any::<u64>(), change in prop::collection::vec(any::<u8>(), 0..300)) {
            let version = VersionVector::from_iter([(REPLICA, number)]);
            let seal = Seal { store: STORE, strand: Strand::Todo, number, version, change };
            prop_assert_eq!(decode_seal(&encode_seal(&seal).expect("it encodes")), Ok(seal));
        }
    }

    #[test]
    fn a_snapshot_survives_with_its_root() {
        let text = "prose".to_owned();
        let added = Operation::TodoAdded {
            todo: TodoId::from_external("x"),
            external_id: Some("x".to_owned()),
            title: "title".to_owned(),
            edits: Vec::new(),
            prose: vec![(crate::operation::ProseField::Notes, text)],
            labels: vec!["label".to_owned()],
            layout: None,
        };
        let mut first = record(5, 0, 1, String::new());
        first.learned = Vec::new();
        first.operation = added;
        let (events, head) = segment(vec![first]).resolve(&Head::genesis(STORE)).expect("a chain");
        let mut state = State::default();
        events.iter().for_each(|event| state.apply(event));
        let snapshot = Snapshot { heads: vec![(REPLICA, head)], state: Arc::new(state) };
        let back = decode_snapshot(encode_snapshot(&snapshot).expect("it encodes"));
        let back = back.expect("it decodes");
        assert_eq!(back, snapshot);
        assert_eq!(root(&back.state), root(&snapshot.state));
    }

    #[test]
    fn bytes_behind_the_end_are_refused() {
        let mut body = encode_segment(&segment(vec![record(1, 0, 1, String::new())])).expect("ok");
        body.push(0);
        assert_eq!(read(&body), Err(CodecError::Trailing { what: "segment", count: 1 }));
    }

    #[test]
    fn an_event_at_the_limit_is_taken_and_one_over_it_is_not() {
        let overhead = {
            let mut hasher = EventHasher::new(STORE);
            let record = record(1, 0, 1, "x".repeat(limits::EVENT_BYTES_MAX / 2));
            hasher.id(EventId::GENESIS, Dot::new(REPLICA, 1), &record).expect("it fits");
            let operation = encode_operation(&record.operation).expect("it encodes");
            hasher.scratch.len() + operation.len() - limits::EVENT_BYTES_MAX / 2
        };
        let fits = limits::EVENT_BYTES_MAX - overhead;
        for (len, taken) in [(fits, true), (fits + 1, false)] {
            let record = record(1, 0, 1, "x".repeat(len));
            let id = EventHasher::new(STORE).id(EventId::GENESIS, Dot::new(REPLICA, 1), &record);
            assert_eq!(id.is_ok(), taken, "{len}");
        }
    }

    #[test]
    fn a_length_that_promises_too_much_allocates_nothing() {
        // Twelve bytes that claim to be a list of 2^60 authors.
        let bytes = [0, 253, 0, 0, 0, 0, 0, 0, 0, 16, 1, 2];
        assert!(matches!(read(&bytes), Err(CodecError::Malformed { .. })));
    }

    #[test]
    fn a_segment_of_as_many_events_as_are_allowed_is_taken_and_of_one_more_is_not() {
        let events = |count: usize| {
            let records = (0..count as u64).map(|millis| record(millis, 0, 1, String::new()));
            segment(records.collect())
        };
        let most = limits::SEGMENT_EVENTS_MAX;
        assert!(encode_segment(&events(most)).is_ok());
        let refused = encode_segment(&events(most + 1));
        assert!(matches!(refused, Err(CodecError::TooLarge { size, .. }) if size == most + 1));
        // And where somebody writes it all the same.
        let author = Author::new("a", Role::Human);
        let operation = encode_operation(&Operation::RunResumed).expect("it encodes");
        let one = || WireRecord {
            delta: 1,
            counter: 0,
            occurred: None,
            author: 0,
            learned: Vec::new(),
            operation: operation.clone(),
        };
        for (count, taken) in [(most, true), (most + 1, false)] {
            let records = std::iter::repeat_with(one).take(count).collect();
            let wire = WireSegment { base: 0, authors: vec![author.clone()], records };
            let body = encode(&wire, "segment", limits::SEGMENT_BYTES_MAX).expect("it is small");
            assert_eq!(read(&body).is_ok(), taken, "{count}");
        }
    }

    /// Bytes that a later version reads as an operation of its own, in a form that it would not write, had
    /// another id there: whoever wrote them today broke chains tomorrow.
    #[test]
    fn an_operation_in_any_other_form_is_kept_as_its_bytes() {
        let resumed = encode_operation(&Operation::RunResumed).expect("it encodes");
        let [variant] = *resumed else { panic!("it is a variant and nothing else: {resumed:?}") };
        let long = vec![251, variant, 0];
        let more = [resumed.as_slice(), b"more"].concat();
        assert!(decode_operation(Vec::new()).is_err(), "it stands for what is lost");
        for bytes in [long, more, vec![5, 1, 2]] {
            let mut written = record(1, 0, 1, String::new());
            written.operation = Operation::Unknown(bytes.clone());
            let segment = segment(vec![written]);
            let body = encode_segment(&segment).expect("it encodes");
            assert_eq!(read(&body), Ok(segment), "{bytes:?}");
        }
        assert_eq!(decode_operation(resumed), Ok(Operation::RunResumed));
    }

    #[test]
    fn lists_of_nothing_take_no_memory_and_are_not_written() {
        let authors = vec![Author::new("", Role::Human); limits::SEGMENT_EVENTS_MAX + 1];
        let wire = WireSegment { base: 0, authors, records: Vec::new() };
        let body = encode(&wire, "segment", limits::SEGMENT_BYTES_MAX).expect("it is small");
        assert!(read(&body).is_err_and(|error| error.to_string().contains("longer")));
        let todo = TodoId::from_external("x");
        let added = vec![String::new(); limits::LIST_ITEMS_MAX / 2];
        let labels = Operation::LabelsChanged { todo, added, removed: Vec::new() };
        let of = |count: usize| {
            let records = (0..count as u64)
                .map(|at| Record { operation: labels.clone(), ..record(at, 0, 1, String::new()) });
            segment(records.collect())
        };
        assert!(read(&encode_segment(&of(2)).expect("it encodes")).is_ok());
        let refused = encode_segment(&of(3));
        assert!(refused.is_err_and(|error| error.to_string().contains("items")));
        // And where somebody writes it all the same.
        let record = |at| WireRecord {
            delta: at,
            counter: 0,
            occurred: None,
            author: 0,
            learned: Vec::new(),
            operation: encode_operation(&labels).expect("it encodes"),
        };
        let (authors, records) =
            (vec![Author::new("a", Role::Human)], (0..3).map(record).collect());
        let wire = WireSegment { base: 0, authors, records };
        let body = encode(&wire, "segment", limits::SEGMENT_BYTES_MAX).expect("it is small");
        assert!(read(&body).is_err_and(|error| error.to_string().contains("items")));
    }

    #[test]
    fn a_segment_at_its_limit_of_bytes_is_taken_and_one_over_it_is_not() {
        // Fifteen operations of a newer version, and one that fills up the rest.
        let filled = |last: usize| {
            let bytes = |len: usize| {
                let mut bytes = vec![0; len];
                bytes.iter_mut().take(1).for_each(|first| *first = OPERATIONS_KNOWN as u8);
                Operation::Unknown(bytes)
            };
            let mut records: Vec<_> = (0..16).map(|at| record(at, 0, 1, String::new())).collect();
            for (at, record) in records.iter_mut().enumerate() {
                record.operation = bytes(if at < 15 { limits::EVENT_BYTES_MAX } else { last });
            }
            encode_segment(&segment(records))
        };
        let half = limits::EVENT_BYTES_MAX / 2;
        let room = limits::SEGMENT_BYTES_MAX - filled(half).expect("it is within the limit").len();
        let body = filled(half + room).expect("it is at the limit");
        assert_eq!(body.len(), limits::SEGMENT_BYTES_MAX);
        assert!(read(&body).is_ok());
        assert!(matches!(filled(half + room + 1), Err(CodecError::TooLarge { .. })));
        let over = vec![0; limits::SEGMENT_BYTES_MAX + 1];
        assert!(matches!(read(&over), Err(CodecError::TooLarge { .. })));
    }

    #[test]
    fn bodies_at_their_limit_are_looked_at_and_those_over_it_are_not() {
        let too_large = |error: &CodecError| matches!(error, CodecError::TooLarge { .. });
        for (len, over) in [(limits::SEAL_BYTES_MAX, false), (limits::SEAL_BYTES_MAX + 1, true)] {
            let refused = decode_seal(&vec![0; len]).expect_err("zeros are no seal");
            assert_eq!(too_large(&refused), over, "{len}");
        }
        let most = limits::SNAPSHOT_BYTES_MAX;
        for (len, over) in [(most, false), (most + 1, true)] {
            let refused = decode_snapshot(vec![0; len]).expect_err("zeros are no snapshot");
            assert_eq!(too_large(&refused), over, "{len}");
        }
        let version = VersionVector::from_iter([(REPLICA, 1)]);
        let change = vec![7; 1000];
        let seal = Seal { store: STORE, strand: Strand::Todo, number: 1, version, change };
        let body = encode_seal(&seal).expect("it encodes");
        let len = body.len();
        assert_eq!(encode(&seal, "seal", len), Ok(body));
        assert!(encode(&seal, "seal", len - 1).is_err_and(|error| too_large(&error)));
    }

    /// imbl made room for as many items as a map said it had: forty bytes of a snapshot ended the
    /// process.
    #[test]
    fn a_map_that_promises_too_much_allocates_nothing() {
        let state = State::default();
        let empty = Snapshot { heads: Vec::new(), state: Arc::new(state) };
        let body = encode_snapshot(&empty).expect("it encodes");
        let zeros = body.iter().filter(|byte| **byte == 0).count();
        assert_eq!(zeros, body.len(), "every length in it is one byte");
        for at in 0..body.len() {
            let mut promising = body.clone();
            promising.splice(at..=at, [253, 0, 0, 0, 0, 0, 0, 0, 16]);
            // Where it is no length, it is a number.
            if let Ok(read) = decode_snapshot(promising.clone()) {
                assert_eq!(encode_snapshot(&read), Ok(promising), "byte {at}");
            }
        }
    }

    #[test]
    fn an_operation_of_a_newer_version_is_kept_as_it_is() {
        let last = Operation::HeadsSigned { heads: Vec::new(), signature: Vec::new() };
        let bytes = encode_operation(&last).expect("it encodes");
        assert_eq!(u32::from(bytes[0]) + 1, OPERATIONS_KNOWN, "a new operation goes to the end");
        let newer = Operation::Unknown(vec![OPERATIONS_KNOWN as u8, 1, 2, 3]);
        let mut record = record(1, 0, 1, String::new());
        record.operation = newer;
        let segment = segment(vec![record]);
        let body = encode_segment(&segment).expect("it encodes");
        assert_eq!(read(&body), Ok(segment));
    }

    /// bincode counts a one-byte number as eight bytes: a segment well within its limit was
    /// acknowledged and could not be read again.
    #[test]
    fn a_segment_of_many_small_events_can_be_read_again() {
        let records = 0..limits::SEGMENT_EVENTS_MAX as u64;
        let records = records.map(|millis| record(millis, 0, 1, String::new()));
        let segment = segment(records.collect());
        let body = encode_segment(&segment).expect("it encodes");
        assert!(read(&body).is_ok());
    }
}
