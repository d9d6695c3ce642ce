//! Origins: where a run branched off another, and what it shares with it.
//!
//! A run that branched off (a *path*) copies nothing. Its directory has a file `origin`, written
//! once and never changed, which says up to where the journals of other runs are its own past, and
//! which of their events have no effect on it. What the path itself appends goes to journals of its
//! own, by replicas of its own.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use tress_model::VersionVector;
use tress_model::codec::{FORMAT, FormatVersion};
use tress_model::ids::{Dot, EventId, ReplicaId, StoreId};

use crate::files::{Files, write_whole};
use crate::frame::{self, FrameKind};
use crate::journal::Damage;
use crate::store::StoreError;

/// Where a run branched off another.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Origin {
    /// The format of the file.
    pub format: FormatVersion,
    /// The run that it branched off.
    pub from: String,
    /// What it shares with that run.
    pub version: VersionVector,
    /// Of what it shares, the events that have no effect on it.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub left_out: BTreeSet<Dot>,
    /// In which journals the shared events are.
    #[serde(default)]
    pub stretches: Vec<Stretch>,
    /// Who made it.
    pub by: String,
    /// When, in milliseconds since 1970.
    pub at: u64,
    /// What for.
    #[serde(default)]
    pub reason: String,
}

/// The beginning of a journal of another run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stretch {
    /// The run in whose directory the journal is.
    pub run: String,
    /// The place whose copy it is; `None` for the journal itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub received_by: Option<StoreId>,
    /// The replica that wrote it.
    pub replica: ReplicaId,
    /// The number of the last event that is shared.
    pub to: u64,
}

impl Origin {
    /// The file in the directory of a run.
    pub(crate) fn path(run_dir: &Path) -> PathBuf {
        run_dir.join("origin")
    }

    /// The origin of the run in `run_dir`; `None` for a run that began by itself.
    pub(crate) fn load(files: &dyn Files, run_dir: &Path) -> Result<Option<Self>, StoreError> {
        let path = Self::path(run_dir);
        let bytes = match files.read(&path, 0) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(StoreError::io("read", &path, error)),
        };
        Self::decode_file(&path, &bytes).map(Some)
    }

    /// Reads the file `origin`.
    fn decode_file(path: &Path, bytes: &[u8]) -> Result<Self, StoreError> {
        let frame = frame::decode(bytes);
        let frame = frame.filter(|f| f.kind == FrameKind::Origin && f.len() == bytes.len());
        let frame = frame.ok_or_else(|| {
            let reason = "the origin is not what was written".to_owned();
            StoreError::Damaged(Damage { path: path.to_owned(), offset: 0, reason })
        })?;
        Self::decode(path, frame.body)
    }

    /// Reads an origin.
    pub(crate) fn decode(path: &Path, bytes: &[u8]) -> Result<Self, StoreError> {
        /// Enough to tell which version wrote the rest.
        #[derive(Deserialize)]
        struct Marked {
            format: FormatVersion,
        }
        let damaged = |error: serde_json::Error| {
            let (path, reason) = (path.to_owned(), format!("the origin cannot be read: {error}"));
            StoreError::Damaged(Damage { path, offset: 0, reason })
        };
        let Marked { format } = serde_json::from_slice(bytes).map_err(damaged)?;
        if !format.readable() {
            let path = path.to_owned();
            return Err(StoreError::NewerFormat { path, found: format, known: FORMAT });
        }
        serde_json::from_slice(bytes).map_err(damaged)
    }

    /// The origin as bytes.
    pub(crate) fn encode(&self) -> Result<Vec<u8>, StoreError> {
        serde_json::to_vec(self)
            .map_err(|error| StoreError::Internal(format!("an origin does not encode: {error}")))
    }

    pub(crate) fn save(&self, files: &dyn Files, run_dir: &Path) -> Result<(), StoreError> {
        let path = Self::path(run_dir);
        let bytes = frame::encode(FrameKind::Origin, 0, EventId::GENESIS, &self.encode()?);
        write_whole(files, &path, &bytes).map_err(|error| StoreError::io("write", &path, error))
    }
}
