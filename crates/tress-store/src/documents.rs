//! The documents in sled: what the user asked to have there, and what no damage can cost anything,
//! for the journals hold every change.
//!
//! sled 0.34.7 is used as it was measured to be sound: no background flush, values in chunks that are a 256th of a
//! segment at most, since larger ones would go to files of their own that are never synced, our own fdatasync of its file after each flush (its flush
//! does not survive a power cut), an fsync of its directories at creation, and a fence around
//! every call, since a flipped bit makes it panic.

use std::fs::File;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use tress_model::operation::Strand;
use tress_model::{EventId, VersionVector};

use crate::files::{Files, Lock};
use crate::journal::Positions;
use crate::real::RealFiles;

const CHUNK_BYTES: usize = 16 << 10;
/// What is saved behind a document: no more than this part of it, since changes take longer to load than what is
/// saved whole, unless it is little anyway; and in no more pieces.
const BEHIND_PART: usize = 32;
const BEHIND_BYTES: usize = 16 << 10;
const BEHIND_PIECES: usize = 64;
/// A database of more bytes than this, and of more than four times those of what is in it, is written anew: sled
/// keeps what was overwritten for long.
const WASTE_BYTES: u64 = 8 << 20;
const WASTE: u64 = 4;
/// Fixed when a database is made; sled gives its file so much at once.
const SEGMENT_BYTES: usize = 4 << 20;
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
    /// A hash of what it says, where it was compared with that: whoever wants it to say the same need not compare it
    /// again.
    pub shows: Option<EventId>,
}

/// What tells one saving of a document from any other that has other changes.
#[derive(Debug, Clone, PartialEq)]
pub struct Stamp(Entry);

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Entry {
    len: usize,
    chunks: usize,
    /// How much of it was saved whole, in bytes and pieces; the rest was saved behind it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    whole: Option<(usize, usize)>,
    crc: u32,
    version: VersionVector,
    positions: Positions,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    shows: Option<EventId>,
}

/// The sled database that holds the documents of all runs of a store. One process at a time.
#[derive(Debug)]
pub struct SledDocuments {
    /// There until it is dropped.
    db: Option<sled::Db>,
    path: PathBuf,
    beside: Beside,
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
        let beside = Beside::of(lock);
        beside.settle(dir).map_err(failed(dir))?;
        let mut this = Self { db: Some(open_in(dir)?), path: dir.to_owned(), beside, _lock: held };
        if this.bytes() > WASTE_BYTES && this.wastes()? {
            this.write_anew()?;
            this.db = Some(open_in(dir)?);
        }
        Ok(this)
    }

    /// Closes the database, and writes it anew where a third of it or more holds what was overwritten, or nothing. How
    /// many bytes it had, and how many it has now.
    ///
    /// # Errors
    /// When it cannot be read or written. It is as it was then, or can be made anew from the journals.
    pub fn compact(mut self) -> Result<(u64, u64), DocumentsError> {
        let before = self.bytes();
        if before > self.live()?.saturating_mul(3) / 2 {
            self.write_anew()?;
        }
        Ok((before, self.bytes()))
    }

    /// How many bytes its file has.
    fn bytes(&self) -> u64 {
        std::fs::metadata(self.path.join("db")).map_or(0, |db| db.len())
    }

    /// Whether it has more than four times the bytes of what is in it. Reads no more of that than it takes to know.
    fn wastes(&self) -> Result<bool, DocumentsError> {
        let (bytes, mut live) = (self.bytes(), 0_u64);
        fenced(&self.path, || {
            for item in self.db()?.iter() {
                let (key, value) = item?;
                live += key.len() as u64 + value.len() as u64;
                if live.saturating_mul(WASTE) >= bytes {
                    return Ok(false);
                }
            }
            Ok(true)
        })
    }

    /// How many bytes what is in it has.
    fn live(&self) -> Result<u64, DocumentsError> {
        fenced(&self.path, || {
            self.db()?.iter().try_fold(0, |bytes, item| {
                let (key, value) = item?;
                Ok(bytes + key.len() as u64 + value.len() as u64)
            })
        })
    }

    /// Writes what is in it to another database, which takes its place, and is not opened yet.
    fn write_anew(&mut self) -> Result<(), DocumentsError> {
        let before = self.bytes();
        let fresh = open_in(&self.beside.new)?;
        fenced(&self.path, || {
            let mut batch = sled::Batch::default();
            for item in self.db()?.iter() {
                let (key, value) = item?;
                begin(&fresh, &key)?;
                batch.insert(key, value);
            }
            fresh.apply_batch(batch)
        })?;
        sync(&fresh, &self.beside.new)?;
        close(fresh, &self.beside.new)?;
        let path = self.path.clone();
        if let Some(db) = self.db.take() {
            close(db, &path)?;
        }
        let put = self.beside.put_in_place(&path);
        put.map_err(|source| DocumentsError::Io { path, source })?;
        tracing::info!(before, after = self.bytes(), "wrote the documents anew");
        Ok(())
    }

    fn sync(&self) -> Result<(), DocumentsError> {
        let db = fenced(&self.path, || self.db())?;
        sync(db, &self.path)
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
        let Some(entry) = self.entry(&key)? else {
            return Ok(None);
        };
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
        let Entry { version, positions, shows, .. } = entry;
        Ok(Some(SavedDocument { bytes, version, positions, shows }))
    }

    /// The stamp of a document of a run, if it was saved. Looks at nothing of what it holds.
    ///
    /// # Errors
    /// When the database is damaged.
    pub fn stamp(&self, run: &str, strand: Strand) -> Result<Option<Stamp>, DocumentsError> {
        Ok(self.entry(&format!("{run}/{}", strand.name()))?.map(Stamp))
    }

    fn entry(&self, key: &str) -> Result<Option<Entry>, DocumentsError> {
        let entry = fenced(&self.path, || self.db()?.get(key))?;
        let read = |entry: sled::IVec| {
            let read = serde_json::from_slice(&entry);
            read.map_err(|error| self.damaged(&format!("{key}: {error}")))
        };
        entry.map(read).transpose()
    }

    /// Saves what has come to a document of a run since it was loaded or saved here, durably; `saved` has those bytes
    /// only. Gives the stamp of it; where too much was saved so already, `None`: the whole is to be saved.
    ///
    /// # Errors
    /// When it cannot be written, or what is there cannot be read.
    pub fn save_behind(
        &self,
        run: &str,
        strand: Strand,
        saved: &SavedDocument,
    ) -> Result<Option<Stamp>, DocumentsError> {
        let key = format!("{run}/{}", strand.name());
        let Some(entry) = self.entry(&key)? else { return Ok(None) };
        let (whole, pieces) = entry.whole.unwrap_or((entry.len, entry.chunks));
        let (len, before) = (entry.len + saved.bytes.len(), entry.chunks);
        let chunks = before + saved.bytes.len().div_ceil(CHUNK_BYTES);
        let most = (whole / BEHIND_PART).max(BEHIND_BYTES);
        if len > whole + most || chunks > pieces + BEHIND_PIECES {
            return Ok(None);
        }
        let mut batch = sled::Batch::default();
        for (chunk, bytes) in (before..).zip(saved.bytes.chunks(CHUNK_BYTES)) {
            let name = format!("{key}/{chunk:06}");
            if chunks - before > 1 {
                fenced(&self.path, || begin(self.db()?, name.as_bytes()))?;
            }
            batch.insert(name.as_bytes(), bytes);
        }
        let crc = crc32c::crc32c_append(entry.crc, &saved.bytes);
        let (version, positions) = (saved.version.clone(), saved.positions.clone());
        let (whole, shows) = (Some((whole, pieces)), saved.shows);
        let entry = Entry { len, chunks, whole, crc, version, positions, shows };
        self.write(&key, batch, entry).map(Some)
    }

    fn write(
        &self,
        key: &str,
        mut batch: sled::Batch,
        entry: Entry,
    ) -> Result<Stamp, DocumentsError> {
        let bytes = serde_json::to_vec(&entry).map_err(|error| self.damaged(&error.to_string()))?;
        batch.insert(key.as_bytes(), bytes);
        fenced(&self.path, || self.db()?.apply_batch(batch))?;
        self.sync()?;
        Ok(Stamp(entry))
    }

    /// Saves a document of a run, durably; all of it or nothing. Gives the stamp of it.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn save(
        &self,
        run: &str,
        strand: Strand,
        document: &SavedDocument,
    ) -> Result<Stamp, DocumentsError> {
        let key = format!("{run}/{}", strand.name());
        // What cannot be read is overwritten.
        let before = self.entry(&key).ok().flatten().map_or(0, |entry| entry.chunks);
        let mut batch = sled::Batch::default();
        let mut chunks = 0;
        for chunk in document.bytes.chunks(CHUNK_BYTES) {
            let name = format!("{key}/{chunks:06}");
            if chunks >= before {
                fenced(&self.path, || begin(self.db()?, name.as_bytes()))?;
            }
            batch.insert(name.as_bytes(), chunk);
            chunks += 1;
        }
        // Of a longer document, or of what was saved behind it.
        for chunk in chunks..before {
            batch.remove(format!("{key}/{chunk:06}").as_bytes());
        }
        let entry = Entry {
            len: document.bytes.len(),
            chunks,
            whole: None,
            crc: crc32c::crc32c(&document.bytes),
            version: document.version.clone(),
            positions: document.positions.clone(),
            shows: document.shows,
        };
        self.write(&key, batch, entry)
    }
}

/// Makes a place for what `key` is to hold: where sled splits its pages around what is large, it writes all of it twice.
fn begin(db: &sled::Db, key: &[u8]) -> sled::Result<()> {
    db.insert(key, &[]).map(|_| ())
}

/// Flushes, and does the fdatasync that sled's own flush leaves out.
fn sync(db: &sled::Db, dir: &Path) -> Result<(), DocumentsError> {
    fenced(dir, || db.flush())?;
    let path = dir.join("db");
    let synced = File::open(&path).and_then(|file| file.sync_data());
    synced.map_err(|source| DocumentsError::Io { path, source })
}

/// Opens the database in `dir`; made, durably, where it is not there.
fn open_in(dir: &Path) -> Result<sled::Db, DocumentsError> {
    let failed = |path: &Path| {
        let path = path.to_owned();
        move |source| DocumentsError::Io { path, source }
    };
    let fresh = !dir.join("db").exists();
    RealFiles.create_dir(dir).map_err(failed(dir))?;
    // It can only be opened with what it was made with.
    let conf = std::fs::read(dir.join("conf")).unwrap_or_default();
    let made_with = String::from_utf8_lossy(&conf).lines().find_map(|line| {
        let size = line.strip_prefix("segment_size: ")?;
        size.trim().parse().ok()
    });
    let config = sled::Config::new()
        .path(dir)
        .flush_every_ms(None)
        .segment_size(made_with.unwrap_or(SEGMENT_BYTES))
        .cache_capacity(32 << 20);
    let db = open_patiently(dir, &config)?;
    if fresh {
        sync(&db, dir)?;
        let blobs = dir.join("blobs");
        for dir in [Some(blobs.as_path()), Some(dir), dir.parent()].into_iter().flatten() {
            if dir.is_dir() {
                RealFiles.sync_dir(dir).map_err(failed(dir))?;
            }
        }
    }
    Ok(db)
}

/// Where a database is written anew, and where the old one is until that is in its place.
#[derive(Debug)]
struct Beside {
    new: PathBuf,
    old: PathBuf,
}

impl Beside {
    fn of(lock: &Path) -> Self {
        Self { new: lock.with_extension("new"), old: lock.with_extension("old") }
    }

    /// Brings to an end what whoever died had begun.
    fn settle(&self, dir: &Path) -> io::Result<()> {
        if self.old.exists() && !dir.exists() {
            RealFiles.rename(&self.old, dir)?;
        }
        for left in [&self.old, &self.new] {
            if left.exists() {
                std::fs::remove_dir_all(left)?;
            }
        }
        Ok(())
    }

    fn put_in_place(&self, dir: &Path) -> io::Result<()> {
        RealFiles.rename(dir, &self.old)?;
        RealFiles.rename(&self.new, dir)?;
        for dir in [dir.parent(), self.old.parent()].into_iter().flatten() {
            RealFiles.sync_dir(dir)?;
        }
        std::fs::remove_dir_all(&self.old)
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

/// Closes the database in `dir`, and waits until no thread of sled's has it any more: it would write to whatever
/// lies there then.
fn close(db: sled::Db, dir: &Path) -> Result<(), DocumentsError> {
    fenced(dir, || {
        drop(db);
        Ok(())
    })?;
    let path = dir.join("db");
    for _ in 0..OPEN_TRIES {
        let lock = RealFiles.lock(&path, false);
        if lock.map_err(|source| DocumentsError::Io { path: path.clone(), source })?.is_some() {
            return Ok(());
        }
        std::thread::sleep(OPEN_WAIT);
    }
    Err(DocumentsError::Busy)
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
