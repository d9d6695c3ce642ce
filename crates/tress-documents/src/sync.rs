//! Automerge's own sync protocol, for stock clients that follow a document.
//!
//! What a client sends is taken apart first: its changes come in by
//! [`Document::apply_foreign`] like all that nobody vouches for, and only then the message moves the
//! state of the conversation on. So a hostile message costs its own conversation and nothing else.
//!
//! Only the first form of the messages is spoken (single changes), and nothing else is offered: in the
//! second one a client sends bundles or whole documents, which cannot be checked change by change.

use automerge::sync::{ChunkList, Message, State, SyncDoc};

use crate::document::{Document, fence};
use crate::error::DocumentError;
use crate::limits::{SYNC_FILTERS_MAX, SYNC_HASHES_MAX, SYNC_PROBES_MAX};

/// What this side knows of a client that follows a document.
#[derive(Debug, Default)]
pub struct Follower {
    state: State,
}

/// A message of a client, taken apart.
#[derive(Debug)]
pub struct Heard {
    /// The changes in it, each in its own bytes.
    pub changes: Vec<Vec<u8>>,
    rest: Message,
}

impl Heard {
    /// Reads a message of Automerge's sync protocol.
    ///
    /// # Errors
    /// When it is none, or brings anything but single changes.
    pub fn read(bytes: &[u8]) -> Result<Self, DocumentError> {
        let refused = |reason: String| DocumentError::Batch { reason };
        let message = fence(|| Message::decode(bytes)).map_err(refused)?;
        let mut rest = message.map_err(|error| refused(error.to_string()))?;
        check(&rest).map_err(|reason| refused(reason.to_owned()))?;
        let mut changes = Vec::new();
        for chunks in rest.changes.iter() {
            split(chunks, &mut changes).map_err(refused)?;
        }
        rest.changes = ChunkList::empty();
        rest.flags = None;
        Ok(Self { changes, rest })
    }
}

/// What a message may make Automerge do: it allocates as many probes of a Bloom filter as the filter says,
/// divides by its bits, and looks at each change of the document once for each filter.
fn check(message: &Message) -> Result<(), &'static str> {
    let hashes = [message.heads.len(), message.need.len(), message.have.len()];
    let most = [SYNC_HASHES_MAX, SYNC_HASHES_MAX, SYNC_FILTERS_MAX];
    if hashes.iter().zip(most).any(|(found, most)| *found > most) {
        return Err("it names more heads, needs or filters than are looked at");
    }
    for have in &message.have {
        if have.last_sync.len() > SYNC_HASHES_MAX {
            return Err("it names more heads than are looked at");
        }
        let filter = have.bloom.to_bytes();
        let mut rest = filter.as_slice();
        if rest.is_empty() {
            continue;
        }
        let _entries = number(&mut rest);
        let (bits, probes) = (number(&mut rest), number(&mut rest));
        if !(1..=64).contains(&bits) || !(1..=SYNC_PROBES_MAX).contains(&probes) || rest.is_empty()
        {
            return Err("its filter is none that Automerge makes");
        }
    }
    Ok(())
}

/// The number (LEB128) that `bytes` begin with; they go on behind it.
fn number(bytes: &mut &[u8]) -> u64 {
    let (mut value, mut shift) = (0, 0);
    while let Some((byte, rest)) = bytes.split_first() {
        *bytes = rest;
        value |= u64::from(byte & 0x7f).checked_shl(shift).unwrap_or(0);
        shift += 7;
        if byte & 0x80 == 0 {
            break;
        }
    }
    value
}

/// Takes chunks that stand one behind the other apart: magic (4 bytes), checksum (4), kind (1), length
/// (LEB128), body.
fn split(mut bytes: &[u8], into: &mut Vec<Vec<u8>>) -> Result<(), String> {
    const CHANGES: [u8; 2] = [1, 2];
    while !bytes.is_empty() {
        let kind = bytes.get(8).ok_or("a chunk is cut off")?;
        if !CHANGES.contains(kind) {
            return Err("it brings something else than changes".to_owned());
        }
        let (mut length, mut at) = (0_usize, 9);
        for shift in (0..28).step_by(7) {
            let byte = *bytes.get(at).ok_or("a chunk is cut off")?;
            length |= usize::from(byte & 0x7f) << shift;
            at += 1;
            if byte & 0x80 == 0 {
                break;
            }
        }
        let (chunk, rest) = bytes.split_at_checked(at + length).ok_or("a chunk is cut off")?;
        into.push(chunk.to_vec());
        bytes = rest;
    }
    Ok(())
}

impl Document {
    /// Moves the conversation with a client on by what it said; the document already holds those of
    /// its changes that were taken.
    ///
    /// # Errors
    /// When Automerge refuses it.
    pub fn heard(&mut self, follower: &mut Follower, heard: Heard) -> Result<(), DocumentError> {
        let refused = |reason: String| DocumentError::Batch { reason };
        let doc = self.automerge();
        let moved = fence(|| doc.receive_sync_message(&mut follower.state, heard.rest));
        moved.map_err(refused)?.map_err(|error| refused(error.to_string()))
    }

    /// What there is to tell the client; nothing where it has all, or has yet to answer.
    ///
    /// # Errors
    /// When Automerge cannot say.
    pub fn tell(&mut self, follower: &mut Follower) -> Result<Option<Vec<u8>>, DocumentError> {
        let refused = |reason: String| DocumentError::Batch { reason };
        let doc = self.automerge();
        let told = fence(|| doc.generate_sync_message(&mut follower.state)).map_err(refused)?;
        Ok(told.map(|told| Message { flags: None, ..told }.encode()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A message without heads, with one filter: so many entries, bits an entry, and probes.
    fn message(filters: usize, entries: u8, bits: u8, probes: u32) -> Vec<u8> {
        let mut bytes = vec![0x42, 0, 0];
        let leb = |bytes: &mut Vec<u8>, mut value: u32| {
            while value > 0x7f {
                bytes.push(value as u8 | 0x80);
                value >>= 7;
            }
            bytes.push(value as u8);
        };
        leb(&mut bytes, filters as u32);
        for _ in 0..filters {
            let mut filter = vec![entries, bits];
            leb(&mut filter, probes);
            filter.extend(vec![0xff; (usize::from(entries) * usize::from(bits)).div_ceil(8)]);
            bytes.push(0);
            bytes.push(filter.len() as u8);
            bytes.extend(filter);
        }
        bytes.push(0);
        bytes
    }

    #[test]
    fn a_filter_that_would_take_all_memory_is_refused_and_one_at_the_limits_is_not() {
        let read = |bytes: &[u8]| Heard::read(bytes).map(|_| ());
        let most = SYNC_PROBES_MAX as u32;
        assert_eq!(read(&message(1, 1, 10, 7)), Ok(()));
        assert_eq!(read(&message(SYNC_FILTERS_MAX, 1, 64, most)), Ok(()));
        for wrong in [
            message(1, 1, 10, u32::MAX),
            message(1, 1, 10, most + 1),
            message(1, 1, 10, 0),
            message(1, 1, 0, 7),
            message(1, 1, 65, 7),
            message(SYNC_FILTERS_MAX + 1, 1, 10, 7),
        ] {
            assert!(read(&wrong).is_err());
        }
    }

    #[test]
    fn bytes_that_are_no_message_are_refused() {
        for bytes in [&b""[..], b"x", &[0x42], &[0x43, 0xff, 0xff, 0xff, 0xff, 0x0f], &[0x42; 100]]
        {
            assert!(Heard::read(bytes).is_err());
        }
        for chunks in [&[0; 3][..], &[0; 20], &[1; 9], &[0, 0, 0, 0, 0, 0, 0, 0, 1, 0xff, 0xff]] {
            assert!(split(chunks, &mut Vec::new()).is_err(), "{chunks:?}");
        }
    }
}
