//! Runs of which only some strands are kept.
//!
//! The directory of such a run has a file `strands`, written once, before the first event, and never
//! changed: their names, with commas between them. What is kept of the other events are their places in
//! the chains, without their operations. Where the file is lost, the run takes itself for whole, and says
//! of each of these events that it comes without its operation.

use std::path::Path;

use tress_model::Strands;

use crate::files::{Files, write_whole};
use crate::store::StoreError;

const FILE: &str = "strands";

/// Which strands are kept of the run in `dir`.
pub(crate) fn load(files: &dyn Files, dir: &Path) -> Result<Strands, StoreError> {
    let path = dir.join(FILE);
    let bytes = match files.read(&path, 0) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Strands::ALL),
        Err(error) => return Err(StoreError::io("read", &path, error)),
    };
    let names = String::from_utf8_lossy(&bytes);
    names.trim().parse().map_err(|reason: String| {
        let damage = crate::journal::Damage { path, offset: 0, reason };
        StoreError::Damaged(damage)
    })
}

/// Takes back that only some strands are kept of the run in `dir`, which is none any more.
pub(crate) fn forget(files: &dyn Files, dir: &Path) -> Result<(), StoreError> {
    let path = dir.join(FILE);
    match files.remove(&path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(StoreError::io("remove", &path, error))
        }
        _ => Ok(()),
    }
}

/// Notes that only `strands` are kept of the run in `dir`, which has no events yet.
pub(crate) fn keep(files: &dyn Files, dir: &Path, strands: Strands) -> Result<(), StoreError> {
    let path = dir.join(FILE);
    let written = write_whole(files, &path, format!("{strands}\n").as_bytes());
    written.map_err(|error| StoreError::io("write", &path, error))
}
