//! The documents in sled: what the user asked to have there, and what no damage can cost anything,
//! for the journals hold every change.
//!
//! sled 0.34.7 is used as it was measured to be sound: no background flush, segments of 16 MiB,
//! values in chunks of 64 KiB at most, our own fdatasync of its file after each flush (its flush
//! does not survive a power cut), an fsync of its directories at creation, and a fence around
//! every call, since a flipped bit makes it panic.

use std::fs::File;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use tress_model::VersionVector;
use tress_model::operation::Strand;

use crate::files::{Files, Lock};
use crate::journal::Positions;
use crate::real::RealFiles;

const CHUNK_BYTES: usize = 64 << 10;
const SEGMENT_BYTES: usize = 16 << 20;
/// How often, and how long apart, a database that is just being closed is tried again.
const OPEN_TRIES: u32 = 100;
const OPEN_WAIT: std::time::Duration = std::time::Duration::from_millis(20);

/// Why documents could not be had.
#[derive(Debug, thiserror::Error)]
pub enum DocumentsError {
    /// Another process has them open; it does the sealing.
    #[error("another process has the documents open")]
    Busy,
    /// The database is damaged; it can be moved aside and made anew from the journals.
    #[error("the documents in {} are damaged: {reason}", path.display())]
    Damaged {
        /// Where.
        path: PathBuf,
        /// What was noticed.
        reason: String,
    },
    /// The file system said no.
    #[error("cannot use {}: {source}", path.display())]
    Io {
        /// What.
        path: PathBuf,
        /// What it said.
        source: io::Error,
    },
}

/// A document as it is saved.
#[derive(Debug, Clone, PartialEq)]
pub struct SavedDocument {
    /// Automerge's own bytes.
    pub bytes: Vec<u8>,
    /// The version that it shows.
    pub version: VersionVector,
    /// How far each journal's seals are in it.
    pub positions: Positions,
}

#[derive(Serialize, Deserialize)]
struct Entry {
    len: usize,
    chunks: usize,
    crc: u32,
    version: VersionVector,
    positions: Positions,
}

/// The sled database that holds the documents of all runs of a store. One process at a time.
#[derive(Debug)]
pub struct SledDocuments {
    /// There until it is dropped.
    db: Option<sled::Db>,
    path: PathBuf,
    _lock: Box<dyn Lock>,
}

impl SledDocuments {
    /// Opens the database in `dir`, made where it is not there; `lock` is a file that is locked
    /// while it is open.
    ///
    /// # Errors
    /// [`DocumentsError::Busy`] when another process has it open, [`DocumentsError::Damaged`] when
    /// it cannot be read.
    pub fn open(dir: &Path, lock: &Path) -> Result<Self, DocumentsError> {
        let failed = |path: &Path| {
            let path = path.to_owned();
            move |source| DocumentsError::Io { path, source }
        };
        let held = RealFiles.lock(lock, false).map_err(failed(lock))?;
        let held = held.ok_or(DocumentsError::Busy)?;
        let fresh = !dir.join("db").exists();
        RealFiles.create_dir(dir).map_err(failed(dir))?;
        let config = sled::Config::new()
            .path(dir)
            .flush_every_ms(None)
            .segment_size(SEGMENT_BYTES)
            .cache_capacity(32 << 20);
        let db = open_patiently(dir, &config)?;
        let this = Self { db: Some(db), path: dir.to_owned(), _lock: held };
        if fresh {
            this.sync()?;
            let blobs = dir.join("blobs");
            for dir in [Some(blobs.as_path()), Some(dir), dir.parent()].into_iter().flatten() {
                if dir.is_dir() {
                    RealFiles.sync_dir(dir).map_err(failed(dir))?;
                }
            }
        }
        Ok(this)
    }

    /// Flushes, and does the fdatasync that sled's own flush leaves out.
    fn sync(&self) -> Result<(), DocumentsError> {
        fenced(&self.path, || self.db()?.flush())?;
        let path = self.path.join("db");
        let synced = File::open(&path).and_then(|file| file.sync_data());
        synced.map_err(|source| DocumentsError::Io { path, source })
    }

    fn db(&self) -> sled::Result<&sled::Db> {
        self.db.as_ref().ok_or_else(|| sled::Error::Unsupported("it is closed".to_owned()))
    }

    fn damaged(&self, reason: &str) -> DocumentsError {
        DocumentsError::Damaged { path: self.path.clone(), reason: reason.to_owned() }
    }

    /// A document of a run, if it was saved.
    ///
    /// # Errors
    /// When the database is damaged.
    pub fn load(&self, run: &str, strand: Strand) -> Result<Option<SavedDocument>, DocumentsError> {
        let key = format!("{run}/{}", strand.name());
        let Some(entry) = fenced(&self.path, || self.db()?.get(&key))? else {
            return Ok(None);
        };
        let entry: Entry = serde_json::from_slice(&entry)
            .map_err(|error| self.damaged(&format!("{key}: {error}")))?;
        let mut bytes = Vec::with_capacity(entry.len.min(64 << 20));
        for chunk in 0..entry.chunks {
            let name = format!("{key}/{chunk:06}");
            let chunk = fenced(&self.path, || self.db()?.get(&name))?;
            let chunk = chunk.ok_or_else(|| self.damaged(&format!("{name} is not there")))?;
            bytes.extend_from_slice(&chunk);
        }
        if bytes.len() != entry.len || crc32c::crc32c(&bytes) != entry.crc {
            return Err(self.damaged(&format!("{key} is not what was saved")));
        }
        Ok(Some(SavedDocument { bytes, version: entry.version, positions: entry.positions }))
    }

    /// Saves a document of a run, durably; all of it or nothing.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn save(
        &self,
        run: &str,
        strand: Strand,
        document: &SavedDocument,
    ) -> Result<(), DocumentsError> {
        let key = format!("{run}/{}", strand.name());
        let mut batch = sled::Batch::default();
        let mut chunks = 0;
        for chunk in document.bytes.chunks(CHUNK_BYTES) {
            batch.insert(format!("{key}/{chunks:06}").as_bytes(), chunk);
            chunks += 1;
        }
        let entry = Entry {
            len: document.bytes.len(),
            chunks,
            crc: crc32c::crc32c(&document.bytes),
            version: document.version.clone(),
            positions: document.positions.clone(),
        };
        let entry = serde_json::to_vec(&entry).map_err(|error| self.damaged(&error.to_string()))?;
        batch.insert(key.as_bytes(), entry);
        fenced(&self.path, || self.db()?.apply_batch(batch))?;
        self.sync()
    }
}

impl Drop for SledDocuments {
    fn drop(&mut self) {
        // Closing flushes, and on a damaged database that can panic, too.
        let db = self.db.take();
        let closed = fenced(&self.path, || {
            drop(db);
            Ok(())
        });
        if let Err(error) = closed {
            tracing::warn!(%error, "the documents were not closed cleanly");
        }
    }
}

/// Opens the database. The last holder's threads may keep sled's own lock for a moment after it was
/// closed; ours says that nobody else has it.
fn open_patiently(dir: &Path, config: &sled::Config) -> Result<sled::Db, DocumentsError> {
    let mut tries = 0;
    loop {
        match fenced(dir, || config.open()) {
            Err(DocumentsError::Busy) if tries < OPEN_TRIES => {
                tries += 1;
                std::thread::sleep(OPEN_WAIT);
            }
            opened => return opened,
        }
    }
}

/// sled tells a held lock from other errors only by its words.
fn is_locked(error: &sled::Error) -> bool {
    let text = error.to_string();
    text.contains("could not acquire lock") || text.contains("WouldBlock")
}

/// Calls sled so that neither an error nor a panic of it gets any further.
fn fenced<T>(path: &Path, call: impl FnOnce() -> sled::Result<T>) -> Result<T, DocumentsError> {
    let damaged = |reason| DocumentsError::Damaged { path: path.to_owned(), reason };
    match catch_unwind(AssertUnwindSafe(call)) {
        Ok(Ok(value)) => Ok(value),
        Ok(Err(error)) if is_locked(&error) => Err(DocumentsError::Busy),
        Ok(Err(sled::Error::Io(source))) if source.kind() != io::ErrorKind::InvalidData => {
            Err(DocumentsError::Io { path: path.to_owned(), source })
        }
        Ok(Err(error)) => Err(damaged(error.to_string())),
        Err(_) => Err(damaged("sled panicked".to_owned())),
    }
}

/// Moves a damaged database aside, into `quarantine`, and gives its new name.
///
/// # Errors
/// When it cannot be moved.
pub fn move_aside(dir: &Path, quarantine: &Path) -> Result<PathBuf, DocumentsError> {
    let error = |source| DocumentsError::Io { path: dir.to_owned(), source };
    RealFiles.create_dir(quarantine).map_err(error)?;
    let free = (1_u32..).map(|n| quarantine.join(format!("documents-{n}")));
    let aside = free.into_iter().find(|path| !path.exists()).unwrap_or_default();
    RealFiles.rename(dir, &aside).map_err(error)?;
    for dir in dir.parent().into_iter().chain([quarantine]) {
        RealFiles.sync_dir(dir).map_err(error)?;
    }
    Ok(aside)
}
