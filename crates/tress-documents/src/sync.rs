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
        let mut changes = Vec::new();
        for chunks in rest.changes.iter() {
            split(chunks, &mut changes).map_err(refused)?;
        }
        rest.changes = ChunkList::empty();
        rest.flags = None;
        Ok(Self { changes, rest })
    }
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
