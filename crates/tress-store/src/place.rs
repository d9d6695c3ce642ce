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
        let replicas = local.join(here.place.to_string()).join("replicas");
        files.create_dir(&replicas).map_err(error(&replicas))?;
        Ok(Self { id: here.place, replicas })
    }

    /// Takes a free replica, or makes one. There are never more than there ever were writers at
    /// once.
    pub(crate) fn hold(&self, files: &dyn Files) -> Result<ReplicaHold, StoreError> {
        let listed = files.list(&self.replicas);
        let listed = listed.map_err(|error| StoreError::io("list", &self.replicas, error))?;
        for entry in listed {
            let Ok(replica) = entry.name.parse() else {
                continue;
            };
            if let Some(hold) = self.try_hold(files, replica)? {
                return Ok(hold);
            }
        }
        let replica = ReplicaId(random()?);
        let hold = self.try_hold(files, replica)?;
        files
            .sync_dir(&self.replicas)
            .map_err(|error| StoreError::io("sync", &self.replicas, error))?;
        hold.ok_or_else(|| StoreError::Internal("a new replica was held already".to_owned()))
    }

    fn try_hold(
        &self,
        files: &dyn Files,
        replica: ReplicaId,
    ) -> Result<Option<ReplicaHold>, StoreError> {
        let path = self.replicas.join(replica.to_string());
        let lock = files.lock(&path, false).map_err(|error| StoreError::lock(&path, error))?;
        Ok(lock.map(|lock| ReplicaHold { replica, path, _lock: lock }))
    }

    /// Never writes a replica again: its journal is damaged.
    pub(crate) fn retire(&self, files: &dyn Files, hold: &ReplicaHold) -> Result<(), StoreError> {
        let retired = hold.path.with_extension("damaged");
        files
            .rename(&hold.path, &retired)
            .and_then(|()| files.sync_dir(&self.replicas))
            .map_err(|error| StoreError::io("retire", &hold.path, error))
    }
}
