//! Places: which directory this is, and which replicas may be written here.
//!
//! A store directory can be copied, restored or carried by git. What must not travel is the right
//! to write a replica: two writers of one replica would use a dot twice. So each directory has a
//! *place*: an id of its own, kept in `local/` with what identifies the very directory. Where the
//! two do not agree (a copy), a new place is made, with new replicas.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use tress_model::ids::{ReplicaId, StoreId};

use crate::files::{AppendFile, Files, Lock, write_whole};
use crate::host::{self, Host};
use crate::journal::JournalPosition;
use crate::store::StoreError;

/// How far a journal was durable when its writer looked last. Kept in the lock file of its replica,
/// one record behind the other, never synced: after a crash it is older, never ahead. So a journal
/// that ends before its mark was cut.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Mark {
    pub(crate) position: JournalPosition,
    /// The number of the last event.
    pub(crate) number: u64,
}

impl Mark {
    const BYTES: usize = 24;
    /// When a lock file has this many bytes, it begins anew.
    const FILE_BYTES_MAX: u64 = 64 << 10;

    fn encode(self) -> [u8; Self::BYTES] {
        let mut bytes = [0; Self::BYTES];
        let JournalPosition { file, offset } = self.position;
        let fields = file.to_le_bytes().into_iter();
        let fields = fields.chain(offset.to_le_bytes()).chain(self.number.to_le_bytes());
        for (to, from) in bytes.iter_mut().zip(fields) {
            *to = from;
        }
        let (body, sum) = bytes.split_at_mut(Self::BYTES - 4);
        sum.copy_from_slice(&crc32c::crc32c(body).to_le_bytes());
        bytes
    }

    fn decode(bytes: &[u8]) -> Option<Self> {
        let (body, sum) = bytes.split_at_checked(Self::BYTES - 4)?;
        if crc32c::crc32c(body).to_le_bytes() != sum {
            return None;
        }
        let file = u32::from_le_bytes(body.get(..4)?.try_into().ok()?);
        let offset = u64::from_le_bytes(body.get(4..12)?.try_into().ok()?);
        let number = u64::from_le_bytes(body.get(12..20)?.try_into().ok()?);
        Some(Self { position: JournalPosition { file, offset }, number })
    }

    /// The furthest mark in the lock file at `path`.
    fn read(files: &dyn Files, path: &Path) -> Option<Self> {
        Self::last(&files.read(path, 0).ok()?)
    }

    /// The furthest mark in a lock file; torn and damaged ones do not count.
    fn last(bytes: &[u8]) -> Option<Self> {
        let marks = bytes.chunks_exact(Self::BYTES).filter_map(Self::decode);
        marks.reduce(|a, b| Self {
            position: a.position.max(b.position),
            number: a.number.max(b.number),
        })
    }
}

/// What `local/here` says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Here {
    place: StoreId,
    identity: String,
}

/// This directory, as one that may be written.
#[derive(Debug, Clone)]
pub(crate) struct Place {
    pub(crate) id: StoreId,
    replicas: PathBuf,
    origins: PathBuf,
    repairs: PathBuf,
}

/// The right to write a replica, as long as it exists.
#[derive(Debug)]
pub struct ReplicaHold {
    /// The replica.
    pub replica: ReplicaId,
    path: PathBuf,
    /// The lock file again, to leave marks in, and where it ends.
    marks: Option<(Box<dyn AppendFile>, u64)>,
    _lock: Box<dyn Lock>,
}

impl ReplicaHold {
    /// How far its journal was durable when it was written last.
    pub(crate) fn mark(&self, files: &dyn Files) -> Option<Mark> {
        Mark::read(files, &self.path)
    }

    /// Leaves a mark. That it could not be left is no harm: the one before it holds, too.
    pub(crate) fn leave(&mut self, files: &dyn Files, mark: Mark) {
        let left = (|| {
            let (mut file, mut end) = match self.marks.take() {
                Some(opened) => opened,
                None => {
                    let file = files.open(&self.path)?;
                    // Once: after a look at a file's times, Linux notes the time of the next write to it exactly,
                    // and a sync of another file waits until that is written, too.
                    let end = file.end()?;
                    (file, end)
                }
            };
            // After a crash a torn one may be the last.
            if end >= Mark::FILE_BYTES_MAX || end % Mark::BYTES as u64 != 0 {
                file.truncate(0)?;
                end = 0;
            }
            file.append(&mark.encode())?;
            self.marks = Some((file, end + Mark::BYTES as u64));
            Ok::<_, std::io::Error>(())
        })();
        if let Err(error) = left {
            tracing::debug!(%error, replica = %self.replica, "left no mark");
        }
    }
}

/// What tells the directory `dir` from a copy of it: device, inode and path. `None` where the
/// system has no such thing.
pub fn identity(dir: &Path) -> Option<String> {
    let whole = dir.canonicalize().ok()?;
    #[cfg(unix)]
    {
        use std::os::unix::fs::MetadataExt;
        let metadata = std::fs::metadata(&whole).ok()?;
        Some(format!("{}:{}:{}", metadata.dev(), metadata.ino(), whole.display()))
    }
    #[cfg(not(unix))]
    {
        Some(whole.display().to_string())
    }
}

pub(crate) fn random(host: &dyn Host) -> Result<[u8; 16], StoreError> {
    host::sixteen(host)
        .map_err(|error| StoreError::Internal(format!("no randomness to be had: {error}")))
}

impl Place {
    /// The place that `local` (the directory) is, made where there is none yet.
    pub(crate) fn open(
        files: &dyn Files,
        host: &dyn Host,
        local: &Path,
        identity: &str,
    ) -> Result<Self, StoreError> {
        let error = |path: &Path| {
            let path = path.to_owned();
            move |error| StoreError::io("use", &path, error)
        };
        files.create_dir(local).map_err(error(local))?;
        let path = local.join("here");
        let known = |files: &dyn Files| -> Option<Here> {
            let bytes = files.read(&path, 0).ok()?;
            serde_json::from_slice(&bytes).ok().filter(|here: &Here| here.identity == identity)
        };
        let here = match known(files) {
            Some(here) => here,
            None => {
                let lock = local.join("lock");
                let held = files.lock(&lock, true).map_err(|e| StoreError::lock(&lock, e))?;
                // A file system that lets two hold it would let two write one replica.
                let again = files.lock(&lock, false).map_err(|e| StoreError::lock(&lock, e))?;
                if again.is_some() {
                    return Err(StoreError::NoLocks { path: lock });
                }
                let here = match known(files) {
                    Some(here) => here,
                    None => {
                        let place = StoreId(random(host)?);
                        let here = Here { place, identity: identity.to_owned() };
                        let bytes = serde_json::to_vec(&here).map_err(|error| {
                            StoreError::Internal(format!("local/here does not encode: {error}"))
                        })?;
                        write_whole(files, &path, &bytes).map_err(error(&path))?;
                        here
                    }
                };
                drop(held);
                here
            }
        };
        let this = Self::of(local, here.place);
        files.create_dir(&this.replicas).map_err(error(&this.replicas))?;
        files.create_dir(&this.origins).map_err(error(&this.origins))?;
        Ok(this)
    }

    pub(crate) fn of(local: &Path, id: StoreId) -> Self {
        let own = local.join(id.to_string());
        let (replicas, origins) = (own.join("replicas"), own.join("origins"));
        Self { id, replicas, origins, repairs: own.join("repairs") }
    }

    /// The place that `local` is, if it is one. Makes nothing, for those who only read.
    pub(crate) fn find(files: &dyn Files, local: &Path, identity: &str) -> Option<Self> {
        let bytes = files.read(&local.join("here"), 0).ok()?;
        let here: Here = serde_json::from_slice(&bytes).ok()?;
        (here.identity == identity).then(|| Self::of(local, here.place))
    }

    /// The replicas of `run` that this place made, and how far their journals were durable at the
    /// least.
    pub(crate) fn made_here(
        &self,
        files: &dyn Files,
        run: &str,
    ) -> (BTreeSet<ReplicaId>, BTreeMap<ReplicaId, Mark>) {
        let dir = self.replicas.join(run);
        let (mut made, mut marks) = (BTreeSet::new(), BTreeMap::new());
        for entry in files.list(&dir).unwrap_or_default() {
            let replica = entry.name.split('.').next().and_then(|name| name.parse().ok());
            let Some(replica) = replica.filter(|_| !entry.name.ends_with(GONE)) else { continue };
            made.insert(replica);
            if entry.len == 0 {
                continue;
            }
            let bytes = files.read(&dir.join(&entry.name), 0).unwrap_or_default();
            if let Some(mark) = Mark::last(&bytes) {
                let known = marks.entry(replica).or_insert(mark);
                if known.position < mark.position {
                    *known = mark;
                }
            }
        }
        (made, marks)
    }

    /// How far the journal of `replica`, which this place made for `run`, is durable at the least.
    pub(crate) fn mark(&self, files: &dyn Files, run: &str, replica: ReplicaId) -> Option<Mark> {
        Mark::read(files, &self.replicas.join(run).join(replica.to_string()))
    }

    /// Gives up what was kept of a run of this name that is gone, before another is made: its
    /// replicas, their marks, and its repairs.
    pub(crate) fn forget(&self, files: &dyn Files, run: &str) -> Result<(), StoreError> {
        let dir = self.replicas.join(run);
        let error = |error| StoreError::io("retire", &dir, error);
        let entries = match files.list(&dir) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
            listed => listed.map_err(error)?,
        };
        for name in entries.into_iter().map(|entry| entry.name) {
            if name.parse::<ReplicaId>().is_ok() || name.ends_with(RETIRED) {
                let path = dir.join(name);
                files.rename(&path, &path.with_extension(GONE)).map_err(error)?;
            }
        }
        files.sync_dir(&dir).map_err(error)?;
        match files.remove(&self.repairs(run)) {
            Err(failed) if failed.kind() != std::io::ErrorKind::NotFound => Err(error(failed)),
            _ => Ok(()),
        }
    }

    /// Where the repairs of `run` are noted.
    pub(crate) fn repairs(&self, run: &str) -> PathBuf {
        self.repairs.join(run)
    }

    /// Takes a free replica of a run, or makes one. A run never has more of them than it ever had
    /// writers at once. Replicas belong to one run: a fork goes on with its own.
    pub(crate) fn hold(
        &self,
        files: &dyn Files,
        host: &dyn Host,
        run: &str,
    ) -> Result<ReplicaHold, StoreError> {
        let dir = self.replicas.join(run);
        files.create_dir(&dir).map_err(|error| StoreError::io("create", &dir, error))?;
        for _ in 0..HOLD_TRIES {
            let listed = files.list(&dir).map_err(|error| StoreError::io("list", &dir, error))?;
            for entry in listed {
                let Ok(replica) = entry.name.parse() else {
                    continue;
                };
                let Some(hold) = try_hold(files, &dir, replica)? else {
                    continue;
                };
                // Between the look and the lock its holder may have retired it.
                if !is_retired(files, &hold)? {
                    return Ok(hold);
                }
            }
            // Between the making of its file and the lock another may find it free, and take it.
            if let Some(hold) = try_hold(files, &dir, ReplicaId(random(host)?))? {
                files.sync_dir(&dir).map_err(|error| StoreError::io("sync", &dir, error))?;
                return Ok(hold);
            }
        }
        Err(StoreError::Internal(format!("{HOLD_TRIES} new replicas were taken by others")))
    }

    /// Takes `replica`, if this place made it for `run`: `None` where it did not, `Some(None)` where
    /// another process holds it.
    pub(crate) fn hold_made(
        &self,
        files: &dyn Files,
        run: &str,
        replica: ReplicaId,
    ) -> Result<Option<Option<ReplicaHold>>, StoreError> {
        let dir = self.replicas.join(run);
        let name = replica.to_string();
        let made = files.list(&dir).is_ok_and(|made| made.iter().any(|entry| entry.name == name));
        if made { try_hold(files, &dir, replica).map(Some) } else { Ok(None) }
    }

    /// Where it is kept which very file a journal's file was when this place made it.
    fn origin(&self, journal: &str) -> PathBuf {
        self.origins.join(journal)
    }

    /// Whether the journal file `journal` is the one that this place made. A restore or a checkout
    /// puts another in its place, and that one may lack events that were acknowledged.
    pub(crate) fn made(&self, files: &dyn Files, journal: &str, id: u64) -> bool {
        id == 0 || files.read(&self.origin(journal), 0).is_ok_and(|kept| kept == id.to_le_bytes())
    }

    /// Whether this place noted any journal file whose name begins with `prefix`. What whoever died
    /// in the middle of noting left behind (`.new`) is no note.
    pub(crate) fn made_any(&self, files: &dyn Files, prefix: &str) -> bool {
        let listed = files.list(&self.origins).unwrap_or_default();
        let noted = |name: &str| name.starts_with(prefix) && name.ends_with(".log");
        listed.iter().any(|entry| noted(&entry.name))
    }

    /// Keeps in mind that this place made the journal file `journal`.
    pub(crate) fn keep(&self, files: &dyn Files, journal: &str, id: u64) -> Result<(), StoreError> {
        let path = self.origin(journal);
        write_whole(files, &path, &id.to_le_bytes())
            .map_err(|error| StoreError::io("write", &path, error))
    }

    /// Never writes a replica again: its journal is damaged, or not the one that it was.
    pub(crate) fn retire(&self, files: &dyn Files, hold: &ReplicaHold) -> Result<(), StoreError> {
        let retired = hold.path.with_extension(RETIRED);
        files
            .rename(&hold.path, &retired)
            .and_then(|()| hold.path.parent().map_or(Ok(()), |dir| files.sync_dir(dir)))
            .map_err(|error| StoreError::io("retire", &hold.path, error))
    }
}

/// How often a new replica may be taken by another process before one gives up. Each time another
/// has got what it wanted, so this is how many may begin at once.
const HOLD_TRIES: usize = 1024;

/// The end of the name of a replica's lock file when it was retired.
const RETIRED: &str = "damaged";
/// The same, when its run was gone and another was made under its name.
const GONE: &str = "gone";

/// Whether the replica that is held was retired by whoever held it before. Its lock file bears
/// another name then, and taking the lock made a new file under the old one.
fn is_retired(files: &dyn Files, hold: &ReplicaHold) -> Result<bool, StoreError> {
    for extension in [RETIRED, GONE] {
        match files.read(&hold.path.with_extension(extension), 0) {
            Ok(_) => return Ok(true),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
            Err(error) => return Err(StoreError::io("read", &hold.path, error)),
        }
    }
    Ok(false)
}

fn try_hold(
    files: &dyn Files,
    dir: &Path,
    replica: ReplicaId,
) -> Result<Option<ReplicaHold>, StoreError> {
    let path = dir.join(replica.to_string());
    let lock = files.lock(&path, false).map_err(|error| StoreError::lock(&path, error))?;
    Ok(lock.map(|lock| ReplicaHold { replica, path, marks: None, _lock: lock }))
}
