//! The codec: the one module in which bytes become events, seals and snapshots, and back.
//!
//! Bodies are bincode (pinned, with a size limit), each behind a format version that its frame
//! carries. A checksum is verified before anything here sees a byte, and every decoder checks that
//! it consumed all of its input. docs/FORMAT.md is normative.

mod block;
mod lists;
mod message;
mod pack;
mod places;
mod segment;
mod snapshot;

use bincode::error::DecodeError;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::event::Seal;
use crate::ids::EventId;
use crate::limits;
use crate::state::State;

pub use lists::Room;
pub use message::{
    Received, decode_message, encode_message, ends_events, holds_events, message_number,
};
pub(crate) use pack::{Blocks, Packer, Part, Parts, Passing, Shelf};
use segment::decode_within;
pub use segment::{
    EventHasher, Staged, Written, decode_hashed, decode_segment, encode_segment, withhold,
};
pub use snapshot::{
    SNAPSHOT_FORM, Snapshot, SnapshotLayout, decode_snapshot, decode_snapshot_parts,
    encode_snapshot, smaller_snapshot,
};
pub(crate) use snapshot::{decode_part, decode_whole, encode_part};

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
/// The version of a store in which files of journals may be packed; else as [`FORMAT`].
pub const FORMAT_PACKED: FormatVersion = FormatVersion { major: 2, minor: 0 };

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
pub const STATE_FORM: u16 = 5;

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

    use super::segment::{
        OPERATIONS_KNOWN, WireRecord, WireSegment, decode_operation, encode_operation,
    };
    use super::*;
    use crate::clock::{HybridTime, Millis, VersionVector};
    use crate::event::{Cause, Head, Record, Segment};
    use crate::ids::{Author, Dot, ReplicaId, Role, StoreId, TodoId};
    use crate::operation::{Operation, Strand};

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
        let body = encode_snapshot(&snapshot).expect("it encodes");
        let back = decode_snapshot(body.clone()).expect("it decodes");
        let unseen = back.clone();
        assert_eq!(back, snapshot);
        for read in [&back, &unseen] {
            assert_eq!(root(&read.state), root(&snapshot.state));
            assert_eq!(encode_snapshot(read).as_ref(), Ok(&body));
        }
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
            hasher.size() - limits::EVENT_BYTES_MAX / 2
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
            operation: &operation,
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
        assert!(decode_operation(&[]).is_err(), "it stands for what is lost");
        for bytes in [long, more, vec![5, 1, 2]] {
            let mut written = record(1, 0, 1, String::new());
            written.operation = Operation::Unknown(bytes.clone());
            let segment = segment(vec![written]);
            let body = encode_segment(&segment).expect("it encodes");
            assert_eq!(read(&body), Ok(segment), "{bytes:?}");
        }
        assert_eq!(decode_operation(&resumed), Ok(Operation::RunResumed));
    }

    /// Whatever is written is read as what it is, also where it takes much more in memory: it would be unknown,
    /// and have no effect.
    #[test]
    fn an_operation_of_the_largest_lists_is_read_as_what_it_is() {
        use crate::operation::{Splice, TodoEdit};
        let (todo, most) = (TodoId::from_external("x"), limits::EVENT_BYTES_MAX - 100);
        let none = String::new;
        let files = TodoEdit::Files(vec![none(); most]);
        let splice = || Splice { at: 0, delete: 0, insert: none() };
        let settings = vec![(none(), none()); most / 2];
        for operation in [
            Operation::LabelsChanged { todo, added: vec![none(); most], removed: Vec::new() },
            Operation::TodoEdited { todo, edits: vec![files] },
            Operation::TodoEdited { todo, edits: vec![TodoEdit::Pinned(true); most / 2] },
            Operation::ProseEdited {
                target: crate::operation::ProseTarget::Section(none()),
                splices: (0..most / 3).map(|_| splice()).collect(),
            },
            Operation::RunStarted { title: none(), base: None, branch: None, settings },
            Operation::MetricsRecorded { figures: vec![(none(), 0.5); most / 9] },
        ] {
            let bytes = encode_operation(&operation).expect("it is within the limit");
            assert!(bytes.len() > most * 9 / 10, "{} bytes", bytes.len());
            assert_eq!(decode_operation(&bytes).as_ref(), Ok(&operation));
        }
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
        let labels = encode_operation(&labels).expect("it encodes");
        let record = |at| WireRecord {
            delta: at,
            counter: 0,
            occurred: None,
            author: 0,
            learned: Vec::new(),
            operation: &labels,
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
