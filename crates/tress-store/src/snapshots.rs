//! Snapshots: the folded state at a version, beside the journals, so that opening a run does not
//! read its history. Any process may make one; all of them can be deleted.

use std::path::{Path, PathBuf};

use tress_model::codec::{self, STATE_FORM, Snapshot};
use tress_model::ids::EventId;

use crate::files::{Files, write_whole};
use crate::frame::{self, FrameKind};
use crate::journal::Positions;
use crate::store::StoreError;

/// How many snapshots of a run are kept.
const KEPT: usize = 2;

/// A snapshot, and how far the journals had been read for it.
#[derive(Debug, Clone)]
pub struct StoredSnapshot {
    /// The state and the chains.
    pub snapshot: Snapshot,
    /// Where each journal goes on.
    pub positions: Positions,
}

fn names(files: &dyn Files, dir: &Path) -> Vec<String> {
    let entries = files.list(dir).unwrap_or_default().into_iter();
    entries.map(|entry| entry.name).filter(|name| name.ends_with(".snap")).collect()
}

/// The newest snapshot in `dir` that can be read.
pub(crate) fn newest(files: &dyn Files, dir: &Path) -> Option<StoredSnapshot> {
    names(files, dir).into_iter().rev().find_map(|name| {
        let path = dir.join(name);
        let read = read(files, &path);
        if read.is_none() {
            tracing::warn!(path = %path.display(), "passed over a snapshot that cannot be read");
        }
        read
    })
}

fn read(files: &dyn Files, path: &Path) -> Option<StoredSnapshot> {
    let bytes = files.read(path, 0).ok()?;
    let positions = frame::decode(&bytes)?;
    let state = frame::decode(bytes.get(positions.len()..)?)?;
    if positions.kind != FrameKind::Header || state.kind != FrameKind::Snapshot {
        return None;
    }
    if state.first != u64::from(STATE_FORM) {
        return None;
    }
    let snapshot = codec::decode_snapshot(state.body).ok()?;
    Some(StoredSnapshot { snapshot, positions: serde_json::from_slice(positions.body).ok()? })
}

/// Writes a snapshot, and removes those that are older than the last two.
pub(crate) fn save(
    files: &dyn Files,
    dir: &Path,
    stored: &StoredSnapshot,
) -> Result<PathBuf, StoreError> {
    files.create_dir(dir).map_err(|error| StoreError::io("create", dir, error))?;
    let positions = serde_json::to_vec(&stored.positions)
        .map_err(|error| StoreError::Internal(format!("positions do not encode: {error}")))?;
    let mut bytes = frame::encode(FrameKind::Header, 0, EventId::GENESIS, &positions);
    let state = codec::encode_snapshot(&stored.snapshot)?;
    bytes.extend(frame::encode(
        FrameKind::Snapshot,
        u64::from(STATE_FORM),
        EventId::GENESIS,
        &state,
    ));
    let events = stored.snapshot.state.events();
    let unique = EventId(crate::place::random()?.repeat(2).try_into().unwrap_or([0; 32]));
    // The later of two with the same events read the journals further.
    let later = names(files, dir).last().and_then(|name| name.split('-').nth(1)?.parse().ok());
    let later = later.map_or(1, |number: u64| number.saturating_add(1));
    let path = dir.join(format!("{events:012}-{later:08}-{}.snap", unique.short()));
    write_whole(files, &path, &bytes).map_err(|error| StoreError::io("write", &path, error))?;
    let names = names(files, dir);
    for name in names.iter().take(names.len().saturating_sub(KEPT)) {
        // Another process may have removed it first.
        let _ = files.remove(&dir.join(name));
    }
    Ok(path)
}
