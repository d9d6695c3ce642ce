//! Run files: a whole run, with its history, as one portable file.

use std::path::Path;

use tress_model::codec::{self, EventHasher, FORMAT};
use tress_model::ids::{EventId, ReplicaId, StoreId};

use crate::frame::{self, FrameKind};
use crate::journal::{Damage, Item, JournalHeader};
use crate::origin::Origin;
use crate::store::StoreError;

/// A run as one portable file says it.
#[derive(Debug, Clone, PartialEq)]
pub struct RunFile {
    /// The name of the run.
    pub run: String,
    /// Where it branched off, if it did. What it shares is in the file, too.
    pub origin: Option<Origin>,
    /// What its journals hold. Everything has yet to be admitted.
    pub items: Vec<Item>,
}

/// A run as one portable file: its origin, each journal's header, then what it holds. The same run
/// gives the same bytes.
///
/// # Errors
/// When something is too large.
pub fn encode_run_file(file: &RunFile) -> Result<Vec<u8>, StoreError> {
    let run = &file.run;
    let (mut bytes, mut frames) = (Vec::new(), 0);
    let mut current = None;
    let mut sorted: Vec<&Item> = file.items.iter().collect();
    sorted.sort_by_key(|item| match item {
        Item::Segment(segment) => (0, segment.replica, segment.first),
        Item::Seal(seal) => (1, ReplicaId(*seal.store.as_bytes()), seal.number),
    });
    let header = |replica, store| {
        let header = JournalHeader { format: FORMAT, replica, store, run: run.clone() };
        let body = header.body()?;
        Ok::<_, StoreError>(frame::encode(FrameKind::Header, 0, EventId::GENESIS, &body))
    };
    if let Some(origin) = &file.origin {
        bytes.extend(header(ReplicaId([0; 16]), StoreId([0; 16]))?);
        bytes.extend(frame::encode(FrameKind::Origin, 0, EventId::GENESIS, &origin.encode()?));
        frames += 2;
    }
    for item in sorted {
        let (replica, store) = match item {
            Item::Segment(segment) => (segment.replica, segment.store),
            Item::Seal(seal) => (ReplicaId([0; 16]), seal.store),
        };
        if current != Some((replica, store)) {
            current = Some((replica, store));
            bytes.extend(header(replica, store)?);
            frames += 1;
        }
        frames += 1;
        bytes.extend(match item {
            Item::Segment(segment) => {
                let body = codec::encode_segment(segment)?;
                frame::encode(FrameKind::Segment, segment.first, segment.previous, &body)
            }
            Item::Seal(seal) => {
                frame::encode(FrameKind::Seal, 0, EventId::GENESIS, &codec::encode_seal(seal)?)
            }
        });
    }
    if frames == 0 {
        bytes.extend(header(ReplicaId([0; 16]), StoreId([0; 16]))?);
        frames += 1;
    }
    bytes.extend(frame::encode(FrameKind::End, frames, EventId::GENESIS, &[]));
    Ok(bytes)
}

/// Reads a run file. Everything in it has yet to be admitted.
///
/// # Errors
/// When the bytes are not such a file, are cut or damaged, or are of a newer format.
pub fn decode_run_file(path: &Path, bytes: &[u8]) -> Result<RunFile, StoreError> {
    let damaged = |offset: usize, reason: &str| {
        let (path, reason) = (path.to_owned(), reason.to_owned());
        StoreError::Damaged(Damage { path, offset: offset as u64, reason })
    };
    let (mut items, mut run, mut origin) = (Vec::new(), None, None);
    let mut header: Option<JournalHeader> = None;
    let mut hasher = EventHasher::new(StoreId([0; 16]));
    let (mut at, mut frames, mut ended) = (0, 0, false);
    while at < bytes.len() {
        if ended {
            return Err(damaged(at, "there is something behind its end"));
        }
        let frame = bytes.get(at..).and_then(frame::decode);
        let frame = frame.ok_or_else(|| {
            let what = if at == 0 && !bytes.starts_with(&frame::MAGIC) {
                "this is not a run file"
            } else {
                "the file is cut or damaged"
            };
            damaged(at, what)
        })?;
        match (frame.kind, &header) {
            (FrameKind::Header, _) => {
                let next: JournalHeader = serde_json::from_slice(frame.body)
                    .map_err(|error| damaged(at, &error.to_string()))?;
                if !next.format.readable() {
                    let (path, found) = (path.to_owned(), next.format);
                    return Err(StoreError::NewerFormat { path, found, known: FORMAT });
                }
                run.get_or_insert_with(|| next.run.clone());
                header = Some(next);
            }
            (FrameKind::Segment, Some(header)) => {
                let (replica, store) = (header.replica, header.store);
                let (first, previous) = (frame.first, frame.previous);
                let body = frame.body;
                let read =
                    codec::decode_hashed(replica, store, first, previous, body, &mut hasher)?;
                items.push(Item::Segment(read));
            }
            (FrameKind::Origin, Some(_)) => origin = Some(Origin::decode(path, frame.body)?),
            (FrameKind::End, Some(_)) if frame.first == frames => ended = true,
            (FrameKind::Unknown(_), _) => {}
            (FrameKind::Seal, _) => items.push(Item::Seal(codec::decode_seal(frame.body)?)),
            _ => return Err(damaged(at, "a frame that has no place here")),
        }
        at += frame.len();
        frames += 1;
    }
    // Files of version 1.0 had no end of their own.
    let marked = header.as_ref().is_some_and(|header| header.format.minor > 0);
    if marked && !ended {
        return Err(damaged(at, "the file is cut or damaged"));
    }
    let run = run.ok_or_else(|| damaged(0, "the file is empty"))?;
    Ok(RunFile { run, origin, items })
}
