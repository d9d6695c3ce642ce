//! Snapshots: the folded state at a version, beside the journals, so that opening a run does not
//! read its history. Any process may make one; all of them can be deleted.
//!
//! The last two are kept, and of the older ones one for each power of two of events that lie behind
//! it. So there are at most about as many as the number of events has binary digits, and an event
//! that comes late finds one before its place that is not much further back than it must be. Where a run is
//! compacted, the last is left, in fewer bytes: what comes late then has the journals read from their beginning, once.

use std::collections::BTreeSet;
use std::ops::Range;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use tress_model::OrderKey;
use tress_model::codec::{self, SNAPSHOT_FORM, Snapshot, SnapshotLayout};
use tress_model::event::Hole;
use tress_model::ids::{EventId, ReplicaId, StoreId};

use crate::files::{Files, write_whole};
use crate::frame::{self, FrameKind};
use crate::host::Host;
use crate::journal::{JournalPosition, Positions};
use crate::store::StoreError;

/// How many of the newest snapshots are kept, whatever lies between them.
const NEWEST: usize = 2;

/// A snapshot, and how far the journals had been read for it.
#[derive(Debug, Clone)]
pub struct StoredSnapshot {
    /// The state and the chains.
    pub snapshot: Snapshot,
    /// Where each journal goes on.
    pub positions: Positions,
    /// Where each copy goes on, by the place that received it.
    pub received: Vec<(StoreId, ReplicaId, JournalPosition)>,
}

/// What stands before the state.
#[derive(Debug, Serialize, Deserialize)]
struct Header {
    positions: Positions,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    received: Vec<(StoreId, ReplicaId, JournalPosition)>,
    /// The last event of the state.
    last: Option<OrderKey>,
}

fn entries(files: &dyn Files, dir: &Path) -> impl Iterator<Item = String> {
    files.list(dir).unwrap_or_default().into_iter().map(|entry| entry.name)
}

fn names(files: &dyn Files, dir: &Path) -> Vec<String> {
    entries(files, dir).filter(|name| name.ends_with(".snap")).collect()
}

/// How often the snapshots are listed, where others remove them while they are read.
const LISTS_MAX: usize = 4;

/// The newest snapshot in `dir` that can be read, into which an event at `before` does not belong,
/// and in which the events that are lost by now still have their effect.
pub(crate) fn newest(
    files: &dyn Files,
    dir: &Path,
    before: Option<OrderKey>,
    holes: &[Hole],
) -> Option<StoredSnapshot> {
    let mut listed = names(files, dir);
    for _ in 1..LISTS_MAX {
        let found = newest_of(files, dir, &listed, before, holes);
        // Whoever makes one, or compacts, removes others when it is there.
        let now = names(files, dir);
        if found.is_some() || now == listed {
            return found;
        }
        listed = now;
    }
    newest_of(files, dir, &listed, before, holes)
}

fn newest_of(
    files: &dyn Files,
    dir: &Path,
    names: &[String],
    before: Option<OrderKey>,
    holes: &[Hole],
) -> Option<StoredSnapshot> {
    names.iter().rev().find_map(|name| {
        let path = dir.join(name);
        match read(files, &path, before, holes) {
            Some(found) => found,
            None => {
                let path = path.display();
                tracing::warn!(%path, "passed over a snapshot that cannot be read");
                None
            }
        }
    })
}

/// A snapshot; `Some(None)` where another version made it, the event at `before` belongs into it, or lost events are
/// not in it.
fn read(
    files: &dyn Files,
    path: &Path,
    before: Option<OrderKey>,
    holes: &[Hole],
) -> Option<Option<StoredSnapshot>> {
    let mut bytes = files.read_part(path, 0, BEGINNING).ok()?;
    if frame::decode(&bytes).is_none() {
        // There may be many journals.
        bytes = files.read(path, 0).ok()?;
    }
    let header = frame::decode(&bytes).filter(|frame| frame.kind == FrameKind::Header)?;
    let Header { positions, received, last } = serde_json::from_slice(header.body).ok()?;
    if before.is_some_and(|before| last >= Some(before)) {
        return Some(None);
    }
    let body_at = header.len() + frame::HEADER_BYTES;
    let head = frame::Head::of(bytes.get(header.len()..)?)?;
    if head.kind != FrameKind::Snapshot {
        return None;
    }
    if head.first != SNAPSHOT_FORM {
        // Another version made it: that is no reason to warn anybody.
        tracing::debug!(path = %path.display(), form = head.first, "a snapshot of another form");
        return Some(None);
    }
    // Its parts are kept as they are read: it is large, and to copy it would take as long as to read it.
    let layout = SnapshotLayout::of(bytes.get(body_at..)?).ok()?;
    let part = |part: Range<usize>| {
        let (from, len) = (body_at.checked_add(part.start)?, part.len());
        if let Some(there) = bytes.get(from..from.checked_add(len)?) {
            return Some(there.to_vec());
        }
        let read = files.read_part(path, from as u64, len as u64).ok()?;
        (read.len() == len).then_some(read)
    };
    let lengths = bytes.get(body_at..body_at.checked_add(layout.rest.start)?)?;
    let (blocks, whole) = (layout.blocks, layout.blocks..head.len);
    if blocks > head.len {
        return None;
    }
    let (rest, hot, blocks) = (part(layout.rest)?, part(layout.hot)?, part(whole)?);
    if !head.fits(&[lengths, &rest, &hot, &blocks]) {
        return None;
    }
    let snapshot = codec::decode_snapshot_parts(&rest, hot, blocks).ok()?;
    let version = &snapshot.state.version;
    if holes.iter().any(|hole| version.get(hole.replica) < hole.last) {
        return Some(None);
    }
    Some(Some(StoredSnapshot { snapshot, positions, received }))
}

/// How much of a snapshot's file is read first: its header, as a rule, and where its parts are.
const BEGINNING: u64 = 16 << 10;

/// How many events a snapshot has, by its name.
fn events_of(name: &str) -> u64 {
    name.split('-').next().and_then(|events| events.parse().ok()).unwrap_or(0)
}

/// Those of `names`, the oldest first, that need not be kept.
fn superfluous(names: &[String]) -> Vec<&String> {
    let newest = names.last().map_or(0, |name| events_of(name));
    let mut rungs = BTreeSet::new();
    // Of the same events the last one read the journals furthest, and leads to all that the others do.
    let alike = |name: &&String| {
        names.iter().filter(|other| events_of(other) == events_of(name)).max() != Some(*name)
    };
    let (twins, names): (Vec<&String>, Vec<&String>) = names.iter().partition(alike);
    let (older, _) = names.split_at(names.len().saturating_sub(NEWEST));
    // Of those that are equally far back, the oldest: it grows into the next rung.
    let rung = |name: &String| (newest - events_of(name).min(newest)).checked_ilog2();
    let spare = |name: &&String| !rung(name).is_some_and(|rung| rungs.insert(rung));
    twins.into_iter().chain(older.iter().copied().filter(spare)).collect()
}

/// Writes a snapshot, and removes those that need not be kept.
pub(crate) fn save(
    files: &dyn Files,
    host: &dyn Host,
    dir: &Path,
    stored: &StoredSnapshot,
) -> Result<PathBuf, StoreError> {
    let state = codec::encode_snapshot(&stored.snapshot)?;
    let run = dir.parent().unwrap_or(dir);
    // Of a run that is gone nothing may be left for the next one of its name.
    let journals = run.join("journals");
    files.list(&journals).map_err(|error| StoreError::io("list", &journals, error))?;
    files.create_dir(dir).map_err(|error| StoreError::io("create", dir, error))?;
    let header = Header {
        positions: stored.positions.clone(),
        received: stored.received.clone(),
        last: stored.snapshot.state.last,
    };
    let header = serde_json::to_vec(&header)
        .map_err(|error| StoreError::Internal(format!("positions do not encode: {error}")))?;
    let path = write(files, host, dir, stored.snapshot.state.events(), &[&header, &state])?;
    let names = names(files, dir);
    for name in superfluous(&names) {
        // Another process may have removed it first.
        let _ = files.remove(&dir.join(name));
    }
    // What whoever died while writing one left behind.
    let oldest = names.iter().rev().nth(NEWEST - 1);
    for left in entries(files, dir).filter(|name| name.ends_with(".new")) {
        if oldest.is_some_and(|oldest| left < *oldest) {
            let _ = files.remove(&dir.join(left));
        }
    }
    Ok(path)
}

/// Writes a snapshot of so many events: its header, and its body.
fn write(
    files: &dyn Files,
    host: &dyn Host,
    dir: &Path,
    events: u64,
    [header, state]: &[&[u8]; 2],
) -> Result<PathBuf, StoreError> {
    let mut bytes = frame::encode(FrameKind::Header, 0, EventId::GENESIS, header);
    bytes.extend(frame::encode(FrameKind::Snapshot, SNAPSHOT_FORM, EventId::GENESIS, state));
    let unique = EventId(crate::place::random(host)?.repeat(2).try_into().unwrap_or([0; 32]));
    // The later of two with the same events read the journals further.
    let later = names(files, dir).last().and_then(|name| name.split('-').nth(1)?.parse().ok());
    let later = later.map_or(1, |number: u64| number.saturating_add(1));
    let path = dir.join(format!("{events:012}-{later:08}-{}.snap", unique.short()));
    write_whole(files, &path, &bytes).map_err(|error| {
        // Where the disk is full, a snapshot is the first thing that it has no room for.
        let _ = files.remove(&path.with_extension("new"));
        StoreError::io("write", &path, error)
    })?;
    Ok(path)
}

/// Leaves the newest snapshot in `dir` that can be read, in as few bytes as can be had, and removes those before it; how
/// many bytes they had, and how many are left. Other processes may make and read snapshots meanwhile.
///
/// # Errors
/// When it cannot be written. Those that were there are there then.
pub(crate) fn compact(
    files: &dyn Files,
    host: &dyn Host,
    dir: &Path,
    holes: &[Hole],
) -> Result<(u64, u64), StoreError> {
    let listed = names(files, dir);
    let whole = listed.iter().rev().find_map(|name| {
        let path = dir.join(name);
        read(files, &path, None, holes)??;
        Some((name, path))
    });
    let before = size(files, dir);
    let Some((name, path)) = whole else { return Ok((before, before)) };
    let bytes = files.read(&path, 0).map_err(|error| StoreError::io("read", &path, error))?;
    let header = frame::decode(&bytes);
    let state = header.and_then(|header| frame::decode(bytes.get(header.len()..)?));
    let (Some(header), Some(state)) = (header, state) else { return Ok((before, before)) };
    let Ok(small) = codec::smaller_snapshot(state.body) else { return Ok((before, before)) };
    let mut gone: Vec<_> = listed.iter().filter(|other| *other < name).collect();
    if small.len() < state.body.len() {
        let made = write(files, host, dir, events_of(name), &[header.body, &small])?;
        if !matches!(read(files, &made, None, holes), Some(Some(_))) {
            let _ = files.remove(&made);
            let error = std::io::Error::other("what was packed is not read back");
            return Err(StoreError::io("write", &made, error));
        }
        gone.push(name);
    }
    for name in gone {
        // Another process may have removed it first.
        let _ = files.remove(&dir.join(name));
    }
    Ok((before, size(files, dir)))
}

/// How many bytes the snapshots have.
fn size(files: &dyn Files, dir: &Path) -> u64 {
    let listed = files.list(dir).unwrap_or_default();
    listed.iter().filter(|entry| entry.name.ends_with(".snap")).map(|entry| entry.len).sum()
}

/// Removes the snapshots in `dir`, before a run is made whose they are not.
pub(crate) fn clear(files: &dyn Files, dir: &Path) -> Result<(), StoreError> {
    for name in entries(files, dir) {
        let path = dir.join(name);
        files.remove(&path).map_err(|error| StoreError::io("remove", &path, error))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_snapshots_of_the_same_events_the_last_one_is_kept() {
        let names = [(256, 1), (300, 2), (300, 3), (301, 4), (301, 5), (301, 6)];
        let names = names.map(|(events, later)| format!("{events:012}-{later:08}-x.snap"));
        let gone = superfluous(&names);
        assert_eq!(gone, [&names[1], &names[3], &names[4]]);
    }

    #[test]
    fn few_snapshots_are_kept_and_one_lies_not_far_before_any_place() {
        let mut kept: Vec<String> = Vec::new();
        for number in 1..=400_u64 {
            let events = number * 2048;
            kept.push(format!("{events:012}-{number:08}-x.snap"));
            let gone: Vec<String> = superfluous(&kept).into_iter().cloned().collect();
            kept.retain(|name| !gone.contains(name));
            assert!(kept.len() <= 2 + 20, "{} after {number}", kept.len());
            for place in (0..events).step_by(4096) {
                let before = kept.iter().map(|name| events_of(name)).filter(|&at| at <= place);
                let far = events - before.max().unwrap_or(0);
                let near = events - place;
                assert!(far <= 4 * near.max(2048), "{far} for {near} of {events}: {kept:?}");
            }
        }
    }
}
