//! The bytes of messages between peers.
//!
//! ```text
//! kind: u8   number: u64 LE   body
//!
//! 1 greeting    "tress"  oldest: u16 LE  newest: u16 LE  Hello
//! 2 events      0  chains   |   1  size: u32 LE  chains in LZ4   |   2  size: u32 LE  chains in DEFLATE
//!               chains: replica, store, first, previous, body of a segment's frame
//! 3 have        version, taken
//! 4 up to date
//! 5 leave       why, reason
//! 6 documents   the heads of each
//! 7 lacking     strand, clock
//! 8 changes     strand, changes
//! 9 settled
//! ```
//!
//! A transport keeps messages apart and in order. Their numbers count up from 1 on each side, so that
//! one that is lost or comes twice is noticed.

use std::io::{Read, Write};

use flate2::Compression;
use flate2::read::DeflateDecoder;
use flate2::write::DeflateEncoder;
use serde::{Deserialize, Serialize};

use super::{CodecError, Room, decode, decode_within, encode, encode_segment, lists};
use crate::clock::VersionVector;
use crate::event::Segment;
use crate::ids::{EventId, ReplicaId, StoreId};
use crate::limits;
use crate::message::{Clock, Heads, Hello, Leave, Message, PROTOCOL, bounded};
use crate::operation::Strand;

/// What a message is; the first byte of its bytes. A kind that is not known is passed over.
mod kind {
    pub(super) const HELLO: u8 = 1;
    pub(super) const EVENTS: u8 = 2;
    pub(super) const HAVE: u8 = 3;
    pub(super) const UP_TO_DATE: u8 = 4;
    pub(super) const LEAVE: u8 = 5;
    pub(super) const DOCUMENTS: u8 = 6;
    pub(super) const LACKING: u8 = 7;
    pub(super) const CHANGES: u8 = 8;
    pub(super) const SETTLED: u8 = 9;
}

/// What stands before the versions of a greeting.
const GREETING: [u8; 5] = *b"tress";
/// Events that have at least so many bytes are compressed.
const COMPRESS_FROM: usize = 256;
/// Up to so many bytes are compressed well, and more of them fast: a few messages are to be small, and
/// a long history is to come soon.
const DEFLATE_TO: usize = 256 << 10;

/// How events are packed; the first byte of their body.
mod packing {
    pub(super) const PLAIN: u8 = 0;
    pub(super) const LZ4: u8 = 1;
    /// RFC 1951.
    pub(super) const DEFLATE: u8 = 2;
}

#[derive(Serialize, Deserialize)]
struct WireChain {
    replica: ReplicaId,
    store: StoreId,
    first: u64,
    previous: EventId,
    #[serde(with = "super::bytes")]
    body: Vec<u8>,
}

#[derive(Deserialize)]
struct WireChanges(
    Strand,
    #[serde(deserialize_with = "lists::at_most::<_, _, { limits::CHANGES_MAX }>")] Vec<Vec<u8>>,
);

/// A message that was read.
#[derive(Debug, Clone, PartialEq)]
pub enum Received {
    /// One that is known.
    Message(Message),
    /// One of a kind that only a newer version knows: to be passed over.
    Unknown,
    /// A greeting in versions of the protocol that are not spoken here.
    OtherProtocol {
        /// The oldest that the peer speaks.
        oldest: u16,
        /// The newest.
        newest: u16,
    },
}

/// The bytes of the `number`th message (from 1) of a side.
///
/// # Errors
/// When it is over [`limits::MESSAGE_BYTES_MAX`].
pub fn encode_message(number: u64, message: &Message) -> Result<Vec<u8>, CodecError> {
    let limit = limits::MESSAGE_BYTES_MAX;
    let (kind, body) = match message {
        Message::Hello(hello) => {
            let mut body = GREETING.to_vec();
            // The oldest and the newest version that is spoken.
            body.extend_from_slice(&PROTOCOL.to_le_bytes());
            body.extend_from_slice(&PROTOCOL.to_le_bytes());
            body.append(&mut encode(hello, "greeting", limit)?);
            (kind::HELLO, body)
        }
        Message::Events(segments) => (kind::EVENTS, encode_events(segments)?),
        Message::Have { version, taken } => (kind::HAVE, encode(&(version, taken), "have", limit)?),
        Message::UpToDate => (kind::UP_TO_DATE, Vec::new()),
        Message::Leave { why, reason } => (kind::LEAVE, encode(&(why, reason), "leave", limit)?),
        Message::Documents(heads) => (kind::DOCUMENTS, encode(heads, "documents", limit)?),
        Message::Lacking { strand, clock } => {
            (kind::LACKING, encode(&(strand, clock), "lacking", limit)?)
        }
        Message::Changes { strand, changes } => {
            (kind::CHANGES, encode(&(strand, changes), "changes", limit)?)
        }
        Message::Settled => (kind::SETTLED, Vec::new()),
    };
    let mut bytes = vec![kind];
    bytes.extend_from_slice(&number.to_le_bytes());
    bytes.extend_from_slice(&body);
    match bytes.len() {
        size if size > limit => Err(CodecError::TooLarge { what: "message", size, limit }),
        _ => Ok(bytes),
    }
}

/// Reads a message, and which one of its side it is.
///
/// # Errors
/// When the bytes are no message, or are over a limit.
pub fn decode_message(bytes: &[u8]) -> Result<(u64, Received), CodecError> {
    let (what, limit) = ("message", limits::MESSAGE_BYTES_MAX);
    if bytes.len() > limit {
        return Err(CodecError::TooLarge { what, size: bytes.len(), limit });
    }
    let malformed = |reason: &str| CodecError::Malformed { what, reason: reason.to_owned() };
    let (kind, rest) = bytes.split_first().ok_or_else(|| malformed("it is empty"))?;
    let (number, body) = rest.split_first_chunk().ok_or_else(|| malformed("it has no number"))?;
    let number = u64::from_le_bytes(*number);
    const CLAIMS: usize = 8 * limits::MESSAGE_BYTES_MAX;
    let message = match *kind {
        kind::HELLO => {
            let body = body.strip_prefix(&GREETING);
            let body = body.ok_or_else(|| malformed("it is no greeting of Tress"))?;
            let versions = || malformed("it names no versions");
            let (oldest, body) = body.split_first_chunk().ok_or_else(versions)?;
            let (newest, body) = body.split_first_chunk().ok_or_else(versions)?;
            let (oldest, newest) = (u16::from_le_bytes(*oldest), u16::from_le_bytes(*newest));
            if !(oldest..=newest).contains(&PROTOCOL) {
                return Ok((number, Received::OtherProtocol { oldest, newest }));
            }
            Message::Hello(decode::<Hello, CLAIMS>(body, "greeting", limit)?)
        }
        kind::EVENTS => Message::Events(decode_events(body)?),
        kind::HAVE => {
            let (version, taken) = decode::<(VersionVector, u64), CLAIMS>(body, "have", limit)?;
            Message::Have { version, taken }
        }
        kind::UP_TO_DATE if body.is_empty() => Message::UpToDate,
        kind::SETTLED if body.is_empty() => Message::Settled,
        kind::UP_TO_DATE | kind::SETTLED => {
            return Err(CodecError::Trailing { what, count: body.len() });
        }
        kind::DOCUMENTS => {
            let (what, limit_of) = ("documents", limits::HEADS_MAX);
            let heads = decode::<Heads, CLAIMS>(body, what, limit)?;
            if let Some(of) = heads.iter().find(|of| of.len() > limit_of) {
                return Err(CodecError::TooLarge { what, size: of.len(), limit: limit_of });
            }
            Message::Documents(heads)
        }
        kind::LACKING => {
            let (strand, clock) = decode::<(Strand, Clock), CLAIMS>(body, "lacking", limit)?;
            Message::Lacking { strand, clock }
        }
        kind::CHANGES => {
            let WireChanges(strand, changes) =
                decode::<WireChanges, CLAIMS>(body, "changes", limit)?;
            Message::Changes { strand, changes }
        }
        kind::LEAVE => {
            let (why, reason) = decode::<(Leave, String), CLAIMS>(body, "leave", limit)?;
            Message::Leave { why, reason: bounded(reason) }
        }
        _ => return Ok((number, Received::Unknown)),
    };
    Ok((number, Received::Message(message)))
}

fn encode_events(segments: &[Segment]) -> Result<Vec<u8>, CodecError> {
    let mut chains = Vec::with_capacity(segments.len());
    for segment in segments {
        let Segment { replica, store, first, previous, .. } = *segment;
        chains.push(WireChain { replica, store, first, previous, body: encode_segment(segment)? });
    }
    let plain = encode(&chains, "events", limits::MESSAGE_BYTES_MAX)?;
    let mut room = Room::of(plain.len());
    let mut records = segments.iter().flat_map(|segment| &segment.records);
    records.try_for_each(|record| room.take(&record.operation))?;
    let mut body = vec![packing::PLAIN];
    if plain.len() >= COMPRESS_FROM {
        let (form, packed) = if plain.len() <= DEFLATE_TO {
            (packing::DEFLATE, deflate(&plain))
        } else {
            (packing::LZ4, lz4_flex::block::compress(&plain))
        };
        if packed.len() + 4 < plain.len() {
            body = vec![form];
            // It fits: it is below the limit on messages.
            body.extend_from_slice(&(plain.len() as u32).to_le_bytes());
            body.extend_from_slice(&packed);
            return Ok(body);
        }
    }
    body.extend_from_slice(&plain);
    Ok(body)
}

fn deflate(plain: &[u8]) -> Vec<u8> {
    let mut encoder = DeflateEncoder::new(Vec::new(), Compression::new(6));
    // Writing to memory cannot fail; what is not there is larger than what is plain.
    match encoder.write_all(plain).and_then(|()| encoder.finish()) {
        Ok(packed) => packed,
        Err(_) => plain.to_vec(),
    }
}

/// As much as `size` says, and one byte more where there is more.
fn inflate(packed: &[u8], size: usize) -> std::io::Result<Vec<u8>> {
    let mut plain = Vec::with_capacity(size);
    DeflateDecoder::new(packed).take(size as u64 + 1).read_to_end(&mut plain)?;
    Ok(plain)
}

fn decode_events(body: &[u8]) -> Result<Vec<Segment>, CodecError> {
    let (what, limit) = ("events", limits::MESSAGE_BYTES_MAX);
    let malformed = |reason: String| CodecError::Malformed { what, reason };
    let (&form, rest) = body.split_first().ok_or_else(|| malformed("it is empty".to_owned()))?;
    let unpacked;
    let plain = match form {
        packing::PLAIN => rest,
        packing::LZ4 | packing::DEFLATE => {
            let size = rest.split_first_chunk();
            let (size, packed) = size.ok_or_else(|| malformed("it names no size".to_owned()))?;
            let size = u32::from_le_bytes(*size) as usize;
            // Nothing is shrunk to less than a 255th by LZ4, nor to less than a 1,032th by DEFLATE.
            let most = if form == packing::LZ4 { 256 } else { 1033 };
            if size > limit || size / most > packed.len() {
                return Err(CodecError::TooLarge { what, size, limit });
            }
            unpacked = if form == packing::LZ4 {
                let plain = lz4_flex::block::decompress(packed, size);
                plain.map_err(|error| malformed(error.to_string()))?
            } else {
                inflate(packed, size).map_err(|error| malformed(error.to_string()))?
            };
            if unpacked.len() != size {
                return Err(malformed("it has another size than it says".to_owned()));
            }
            &unpacked
        }
        other => return Err(malformed(format!("it is packed in an unknown way ({other})"))),
    };
    let chains = decode::<Vec<WireChain>, { 8 * limits::MESSAGE_BYTES_MAX }>(plain, what, limit)?;
    // All of them together have room for as much as one that is as large as they may be.
    let mut room = Room::of(plain.len());
    let mut read = |chain: WireChain| {
        let WireChain { replica, store, first, previous, body } = chain;
        decode_within((replica, store, first, previous), &body, &mut room)
    };
    chains.into_iter().map(&mut read).collect()
}

/// Which message of its side one says that it is, without reading the rest of it.
pub fn message_number(bytes: &[u8]) -> Option<u64> {
    bytes.get(1..).and_then(<[u8]>::first_chunk).map(|number| u64::from_le_bytes(*number))
}

/// Whether a message says that all events came that there are.
pub fn ends_events(bytes: &[u8]) -> bool {
    bytes.first() == Some(&kind::UP_TO_DATE)
}

/// Whether a message holds events: for whom it is not, it need not be read.
pub fn holds_events(bytes: &[u8]) -> bool {
    bytes.first() == Some(&kind::EVENTS)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::clock::HybridTime;
    use crate::event::Record;
    use crate::ids::{Author, Role, TodoId};
    use crate::operation::{Operation, Strands};

    const REPLICA: ReplicaId = ReplicaId([1; 16]);
    const STORE: StoreId = StoreId([2; 16]);

    fn record(millis: u64, text: &str) -> Record {
        let todo = TodoId::from_external("x");
        Record {
            time: HybridTime { millis, counter: 0 },
            occurred: None,
            author: Author::new("codex", Role::Implementer),
            learned: Vec::new(),
            operation: Operation::NoteAdded { todo, text: text.to_owned(), layout: None },
        }
    }

    proptest! {
        #[test]
        fn a_message_survives(number in any::<u64>(), texts in prop::collection::vec(".{0,200}", 1..40), taken in any::<u64>()) {
            let records = texts.iter().enumerate();
            let records = records.map(|(n, text)| record(n as u64, text)).collect();
            let (first, previous) = (1, EventId::GENESIS);
            let segment = Segment { replica: REPLICA, store: STORE, first, previous, records };
            let version = VersionVector::from_iter([(REPLICA, taken)]);
            let hello = Hello {
                run: "main".into(),
                place: STORE,
                live: true,
                takes: true,
                documents: taken % 2 == 0,
                strands: Strands::ALL,
                have: version.clone(),
            };
            let strand = Strand::Todo;
            let changes: Vec<_> = texts.iter().map(|text| text.as_bytes().to_vec()).collect();
            let clock = changes.iter().map(|actor| (actor.clone(), taken)).collect();
            let messages = [
                Message::Events(vec![segment]),
                Message::Hello(hello),
                Message::Have { version, taken },
                Message::UpToDate,
                Message::Documents([vec![[1; 32]], Vec::new(), vec![[2; 32], [3; 32]]]),
                Message::Lacking { strand, clock },
                Message::Changes { strand, changes },
                Message::Settled,
                Message::Leave { why: Leave::Slow, reason: texts.concat().chars().take(200).collect() },
            ];
            for message in messages {
                let bytes = encode_message(number, &message).expect("it encodes");
                prop_assert_eq!(decode_message(&bytes), Ok((number, Received::Message(message))));
                let _ = decode_message(&bytes[..bytes.len() - 1]);
            }
        }

        #[test]
        fn bytes_that_are_no_message_are_an_error(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
            let _ = decode_message(&bytes);
            let _ = decode_events(&bytes);
        }
    }

    #[test]
    fn kinds_and_versions_of_newer_peers_are_told() {
        let unknown = [&[99_u8][..], &[0; 8], b"whatever"].concat();
        assert_eq!(decode_message(&unknown), Ok((0, Received::Unknown)));
        let newer = [&[kind::HELLO][..], &[0; 8], b"tress", &[7, 0, 9, 0], b"whatever"].concat();
        let told = Received::OtherProtocol { oldest: 7, newest: 9 };
        assert_eq!(decode_message(&newer), Ok((0, told)));
    }

    #[test]
    fn a_message_that_unpacks_to_more_than_is_allowed_is_refused_before_it_is_unpacked() {
        let size = u32::try_from(limits::MESSAGE_BYTES_MAX + 1).expect("it fits");
        for (size, form) in
            [size, u32::MAX, 20_000].into_iter().flat_map(|size| [(size, 1), (size, 2)])
        {
            let body = [&[form][..], &size.to_le_bytes(), &[0; 16]].concat();
            assert!(matches!(decode_events(&body), Err(CodecError::TooLarge { .. })), "{size}");
        }
        // What unpacks to more than it says, or to less, is refused as well.
        let packed = deflate(&[7; 1000]);
        for size in [999_u32, 1001] {
            let body = [&[packing::DEFLATE][..], &size.to_le_bytes(), &packed].concat();
            assert!(matches!(decode_events(&body), Err(CodecError::Malformed { .. })), "{size}");
        }
        let bytes = vec![kind::UP_TO_DATE; limits::MESSAGE_BYTES_MAX + 1];
        assert!(matches!(decode_message(&bytes), Err(CodecError::TooLarge { .. })));
    }
}
