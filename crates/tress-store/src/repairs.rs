//! Repairs: what of a run's journals cannot be read any more, and is not tried again.
//!
//! A journal is never rewritten. A repair notes which bytes of it are to be passed over, and which
//! events were lost with them; the bytes themselves are copied to `quarantine/`. The notes are
//! `local/PLACE/repairs/RUN`, frames that are only appended to: what is damaged here need not be
//! damaged in a copy. A note counts only as long as the bytes are the ones that it was made for, so
//! a journal that was put back whole is read whole again.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use tress_model::Millis;
use tress_model::event::Hole;
use tress_model::ids::{EventId, StoreId};

use crate::files::Files;
use crate::frame::{self, FrameKind};
use crate::store::StoreError;

/// Bytes of one journal file that are passed over.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Skip {
    /// The journal's directory, from the run's directory on.
    pub journal: PathBuf,
    /// The number of the file.
    pub file: u32,
    /// The first byte.
    pub from: u64,
    /// Behind the last byte. What is cut off lies behind the end of the file.
    pub to: u64,
    /// CRC-32C of the bytes that are there.
    pub sum: u32,
    /// Whose journal it is, where that stood in these bytes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub store: Option<StoreId>,
    /// What is wrong with them.
    pub reason: String,
    /// Where they were copied to; `None` where there were none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kept: Option<PathBuf>,
}

/// One repair of a run.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Repair {
    /// When, in milliseconds since 1970.
    pub at: Millis,
    /// What is passed over.
    pub skips: Vec<Skip>,
    /// What was lost.
    pub holes: Vec<Hole>,
}

/// All repairs of a run here.
#[derive(Debug, Clone, Default)]
pub(crate) struct Repairs {
    skips: Vec<Skip>,
    holes: Vec<Hole>,
}

impl Repairs {
    /// The repairs that are noted in `path`. A note that cannot be read does not count: what it was
    /// about is damage again.
    pub(crate) fn load(files: &dyn Files, path: &Path) -> Result<Self, StoreError> {
        let bytes = match files.read(path, 0) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Self::default()),
            Err(error) => return Err(StoreError::io("read", path, error)),
        };
        let mut all = Self::default();
        let mut at = 0;
        while at < bytes.len() {
            let Some(frame) = bytes.get(at..).and_then(frame::decode) else {
                let Some(next) = frame::find(&bytes, at + 1) else { break };
                at = next;
                continue;
            };
            if frame.kind == FrameKind::Repair
                && let Ok(repair) = serde_json::from_slice::<Repair>(frame.body)
            {
                all.skips.extend(repair.skips);
                all.holes.extend(repair.holes);
            }
            at += frame.len();
        }
        Ok(all)
    }

    /// Notes one more.
    pub(crate) fn note(files: &dyn Files, path: &Path, repair: &Repair) -> Result<(), StoreError> {
        let error = |error| StoreError::io("write", path, error);
        let body = serde_json::to_vec(repair)
            .map_err(|error| StoreError::Internal(format!("a repair does not encode: {error}")))?;
        let dir = path.parent().unwrap_or(path);
        files.create_dir(dir).map_err(error)?;
        let mut file = files.open(path).map_err(error)?;
        file.append(&frame::encode(FrameKind::Repair, 0, EventId::GENESIS, &body))
            .map_err(error)?;
        file.sync().map_err(error)?;
        files.sync_dir(dir).map_err(error)
    }

    /// What is passed over in the journal in `dir`, of the run in `run_dir`.
    pub(crate) fn skips(&self, run_dir: &Path, dir: &Path) -> Vec<Skip> {
        let Ok(journal) = dir.strip_prefix(run_dir) else { return Vec::new() };
        self.skips.iter().filter(|skip| skip.journal == journal).cloned().collect()
    }

    /// What was lost.
    pub(crate) fn holes(&self) -> Arc<[Hole]> {
        let mut holes = self.holes.clone();
        holes.sort_unstable();
        holes.dedup();
        holes.into()
    }
}
