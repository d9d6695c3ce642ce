//! Places: which directory this is, and which replicas may be written here.
//!
//! A store directory can be copied, restored or carried by git. What must not travel is the right
//! to write a replica: two writers of one replica would use a dot twice. So each directory has a
//! *place*: an id of its own, kept in `local/` with what identifies the very directory. Where the
//! two do not agree (a copy), a new place is made, with new replicas.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use tress_model::ids::{ReplicaId, StoreId};

use crate::files::{Files, Lock, write_whole};
use crate::store::StoreError;

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
}

/// The right to write a replica, as long as it exists.
#[derive(Debug)]
pub struct ReplicaHold {
    /// The replica.
    pub replica: ReplicaId,
    path: PathBuf,
    _lock: Box<dyn Lock>,
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

/// Sixteen random bytes.
pub(crate) fn random() -> Result<[u8; 16], StoreError> {
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes)
        .map_err(|error| StoreError::Internal(format!("no randomness to be had: {error}")))?;
    Ok(bytes)
}

impl Place {
    /// The place that `local` (the directory) is, made where there is none yet.
    pub(crate) fn open(
        files: &dyn Files,
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
                let here = match known(files) {
                    Some(here) => here,
                    None => {
                        let place = StoreId(random()?);
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
        let own = local.join(here.place.to_string());
        let (replicas, origins) = (own.join("replicas"), own.join("origins"));
        files.create_dir(&replicas).map_err(error(&replicas))?;
        files.create_dir(&origins).map_err(error(&origins))?;
        Ok(Self { id: here.place, replicas, origins })
    }

    /// Takes a free replica of a run, or makes one. A run never has more of them than it ever had
    /// writers at once. Replicas belong to one run: a fork goes on with its own.
    pub(crate) fn hold(&self, files: &dyn Files, run: &str) -> Result<ReplicaHold, StoreError> {
        let dir = self.replicas.join(run);
        files.create_dir(&dir).map_err(|error| StoreError::io("create", &dir, error))?;
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
        let replica = ReplicaId(random()?);
        let hold = try_hold(files, &dir, replica)?;
        files.sync_dir(&dir).map_err(|error| StoreError::io("sync", &dir, error))?;
        hold.ok_or_else(|| StoreError::Internal("a new replica was held already".to_owned()))
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

    /// Whether this place made any journal file whose name begins with `prefix`.
    pub(crate) fn made_any(&self, files: &dyn Files, prefix: &str) -> bool {
        let listed = files.list(&self.origins).unwrap_or_default();
        listed.iter().any(|entry| entry.name.starts_with(prefix))
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

/// The end of the name of a replica's lock file when it was retired.
const RETIRED: &str = "damaged";

/// Whether the replica that is held was retired by whoever held it before. Its lock file bears
/// another name then, and taking the lock made a new file under the old one.
fn is_retired(files: &dyn Files, hold: &ReplicaHold) -> Result<bool, StoreError> {
    match files.read(&hold.path.with_extension(RETIRED), 0) {
        Ok(_) => Ok(true),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(StoreError::io("read", &hold.path, error)),
    }
}

fn try_hold(
    files: &dyn Files,
    dir: &Path,
    replica: ReplicaId,
) -> Result<Option<ReplicaHold>, StoreError> {
    let path = dir.join(replica.to_string());
    let lock = files.lock(&path, false).map_err(|error| StoreError::lock(&path, error))?;
    Ok(lock.map(|lock| ReplicaHold { replica, path, _lock: lock }))
}
