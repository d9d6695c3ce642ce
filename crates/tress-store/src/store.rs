//! The store: the directory `.tress/`, its runs, and who may write them.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tress_model::Strands;
use tress_model::codec::{CodecError, FORMAT, FORMAT_PACKED, FormatVersion};
use tress_model::ids::{ReplicaId, StoreId};

use crate::files::{DirEntry, Files, Lock, write_whole};
use crate::host::{Host, RealHost};
use crate::journal::{Damage, FILE_BYTES};
use crate::origin::Origin;
use crate::packed::{Unpacking, packed_file};
use crate::partial;
pub use crate::place::ReplicaHold;
use crate::place::{self, Place};
use crate::real::RealFiles;
use crate::repairs::Repairs;
use crate::run::{Elsewhere, Known, RunStore};
use crate::snapshots;

/// Why a store could not do what it was asked for.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The file system said no.
    #[error("cannot {action} {}: {source}", path.display())]
    Io {
        /// What was tried.
        action: &'static str,
        /// On what.
        path: PathBuf,
        /// What the file system said.
        source: io::Error,
    },
    /// The file system has no locks that work.
    #[error("{} is on a file system without file locks; keep the store on a local disk", path.display())]
    NoLocks {
        /// What was to be locked.
        path: PathBuf,
    },
    /// There is no store.
    #[error("there is no store in {}: make one with `tress init`", dir.display())]
    NotAStore {
        /// Where it was looked for.
        dir: PathBuf,
    },
    /// There is no such run.
    #[error("there is no run called {name}")]
    NoRun {
        /// What was looked for.
        name: String,
    },
    /// A run cannot be called so.
    #[error(
        "{name:?} cannot name a run: use 1 to 64 letters, digits, '-', '_' or '.', neither '.' nor '-' first"
    )]
    RunName {
        /// What was asked for.
        name: String,
    },
    /// There is such a run already.
    #[error("there is a run called {name} already: choose another name")]
    RunExists {
        /// Its name.
        name: String,
    },
    /// Events cannot be taken in, since they are of a replica that another process writes here.
    #[error(
        "replica {replica} is being written here, and lacks events that were taken in: end what writes it, and try again"
    )]
    ReplicaHeld {
        /// The replica.
        replica: ReplicaId,
    },
    /// A newer Tress wrote it.
    #[error("{} has format {found}, this tress reads {known}: install a newer one", path.display())]
    NewerFormat {
        /// The file.
        path: PathBuf,
        /// Its format.
        found: FormatVersion,
        /// The format that this code writes.
        known: FormatVersion,
    },
    /// Something in it is not what was written.
    #[error("damaged: {0}")]
    Damaged(Damage),
    /// Something is too large, or not what it should be.
    #[error(transparent)]
    Codec(#[from] CodecError),
    /// Something that should not happen.
    #[error("{0}")]
    Internal(String),
}

impl StoreError {
    /// The file system said no to doing `action` on `path`.
    pub fn io(action: &'static str, path: &Path, source: io::Error) -> Self {
        Self::Io { action, path: path.to_owned(), source }
    }

    pub(crate) fn lock(path: &Path, source: io::Error) -> Self {
        match source.kind() {
            io::ErrorKind::Unsupported => Self::NoLocks { path: path.to_owned() },
            _ => Self::io("lock", path, source),
        }
    }
}

/// What `.tress/store` says.
#[derive(Debug, Serialize, Deserialize)]
struct StoreFile {
    format: FormatVersion,
    id: StoreId,
}

impl StoreFile {
    fn read(files: &dyn Files, dir: &Path) -> Result<Self, StoreError> {
        let path = dir.join("store");
        let bytes = files.read(&path, 0).map_err(|error| match error.kind() {
            io::ErrorKind::NotFound => StoreError::NotAStore { dir: dir.to_owned() },
            _ => StoreError::io("read", &path, error),
        })?;
        serde_json::from_slice(&bytes).map_err(|error| {
            StoreError::Damaged(Damage { path, offset: 0, reason: error.to_string() })
        })
    }

    fn encode(&self) -> Result<Vec<u8>, StoreError> {
        serde_json::to_vec(self).map_err(|error| StoreError::Internal(error.to_string()))
    }
}

/// What does not travel with the store.
const GITIGNORE: &str = "local/\ndocuments/\nquarantine/\nruns/*/lock\nruns/*/snapshots/\n*.new\n";

/// How a store is run. What is written is the same whatever it says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Tuning {
    /// How many events come at the most before another snapshot is made: an eighth of those that
    /// it would hold, where that is less, and an eighth of this at the least.
    pub snapshot_events: u64,
    /// How many bytes a journal's file has before the next is begun.
    pub file_bytes: u64,
    /// After how many syncs a writer makes room for what comes: zeros behind the last frame of its journal.
    /// Whoever writes once and ends needs none.
    pub room_after: u32,
    /// How many events a run that is open holds in memory: where there are twice as many, the older half is
    /// forgotten, and read again when somebody asks for it.
    pub history_events: usize,
    /// How long a run that is open holds its documents in memory after they were last sealed or read, so that the next
    /// seal costs what changed.
    pub documents_for: Duration,
    /// How often journals are looked at although the system would tell if they were written: not
    /// every file system does.
    pub look_every: Duration,
}

impl Tuning {
    /// How many events come after a snapshot of `events` before another is made. Whoever opens a
    /// short run reads little behind its snapshot; over a run, snapshots cost in proportion to it.
    ///
    /// ```
    /// let tuning = tress_store::Tuning::default();
    /// assert_eq!(tuning.snapshot_after(0), 256);
    /// assert_eq!(tuning.snapshot_after(8_000), 1_000);
    /// assert_eq!(tuning.snapshot_after(50_000), 2_048);
    /// assert_eq!(tuning.snapshot_after(1_000_000), 31_250);
    /// ```
    pub fn snapshot_after(&self, events: u64) -> u64 {
        // What it costs to write one grows with the state, so in a long run they lie further apart.
        let most = self.snapshot_events.max(events / 32).max(1);
        (events / 8).max(self.snapshot_events / 8).clamp(1, most)
    }

    /// The same when the run is closed: in a long run fewer, since each process that opens it folds them, into todos
    /// that lie in the snapshot as they are until they change.
    ///
    /// ```
    /// let tuning = tress_store::Tuning::default();
    /// assert_eq!(tuning.snapshot_after_closing(8_000), 1_000);
    /// assert_eq!(tuning.snapshot_after_closing(1_000_000), 1_024);
    /// ```
    pub fn snapshot_after_closing(&self, events: u64) -> u64 {
        self.snapshot_after(events).min((self.snapshot_events / 2).max(1))
    }

    /// How many bytes the journals grow behind a snapshot, which was made when they had `bytes`, before another is
    /// made although there are few events: some events have long texts.
    ///
    /// ```
    /// let tuning = tress_store::Tuning::default();
    /// assert_eq!(tuning.snapshot_after_bytes(0), 512 << 10);
    /// assert_eq!(tuning.snapshot_after_bytes(16 << 20), 2 << 20);
    /// ```
    pub fn snapshot_after_bytes(&self, bytes: u64) -> u64 {
        (bytes / 8).max(256 * self.snapshot_events)
    }
}

impl Default for Tuning {
    fn default() -> Self {
        let look_every = Duration::from_millis(250);
        Self {
            snapshot_events: 2048,
            file_bytes: FILE_BYTES,
            room_after: 16,
            history_events: 32_768,
            documents_for: Duration::from_secs(600),
            look_every,
        }
    }
}

/// A store that is open. Clones share it.
#[derive(Debug, Clone)]
pub struct Store {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    files: Arc<dyn Files>,
    /// The same, on which packed files are what they are.
    beneath: Arc<dyn Files>,
    host: Arc<dyn Host>,
    dir: PathBuf,
    identity: String,
    tuning: Tuning,
    real: bool,
    place: Mutex<Option<Place>>,
}

impl Store {
    /// Opens the store in `dir` (the `.tress` directory itself) on the real file system.
    ///
    /// # Errors
    /// When there is none, or a newer Tress wrote it.
    pub fn open(dir: &Path) -> Result<Self, StoreError> {
        let identity = place::identity(dir).unwrap_or_default();
        Ok(Self::open_on(Arc::new(RealFiles), dir, identity)?.on_disk())
    }

    fn on_disk(mut self) -> Self {
        if let Some(shared) = Arc::get_mut(&mut self.shared) {
            shared.real = true;
        }
        self
    }

    /// The same store, run in another way. For a store that was just opened.
    #[must_use]
    pub fn tuned(mut self, tuning: Tuning) -> Self {
        if let Some(shared) = Arc::get_mut(&mut self.shared) {
            shared.tuning = tuning;
        }
        self
    }

    /// How it is run.
    pub fn tuning(&self) -> Tuning {
        self.shared.tuning
    }

    /// Whether it is on the real file system, so that sled can be used beside it.
    pub fn is_real(&self) -> bool {
        self.shared.real
    }

    /// Makes a store in `dir`, or opens the one that is there.
    ///
    /// # Errors
    /// When it cannot be made, or a newer Tress wrote it.
    pub fn create(dir: &Path) -> Result<Self, StoreError> {
        RealFiles.create_dir(dir).map_err(|error| StoreError::io("create", dir, error))?;
        let identity = place::identity(dir).unwrap_or_default();
        Ok(Self::create_on(Arc::new(RealFiles), dir, identity)?.on_disk())
    }

    /// Opens a store on any file system; `identity` tells the directory from a copy of it.
    ///
    /// # Errors
    /// When there is none, or a newer Tress wrote it.
    pub fn open_on(
        files: Arc<dyn Files>,
        dir: &Path,
        identity: String,
    ) -> Result<Self, StoreError> {
        Self::open_at(files, Arc::new(RealHost), dir, identity)
    }

    fn open_at(
        files: Arc<dyn Files>,
        host: Arc<dyn Host>,
        dir: &Path,
        identity: String,
    ) -> Result<Self, StoreError> {
        let path = dir.join("store");
        let file = StoreFile::read(&*files, dir)?;
        if !file.format.readable() && file.format.major != FORMAT_PACKED.major {
            return Err(StoreError::NewerFormat { path, found: file.format, known: FORMAT_PACKED });
        }
        let (place, beneath) = (Mutex::default(), files);
        let files: Arc<dyn Files> = Arc::new(Unpacking::new(Arc::clone(&beneath)));
        let (dir, real, tuning) = (dir.to_owned(), false, Tuning::default());
        let shared = Shared { files, beneath, host, dir, identity, tuning, real, place };
        Ok(Self { shared: Arc::new(shared) })
    }

    /// Makes a store on any file system, or opens the one that is there.
    ///
    /// # Errors
    /// When it cannot be made, or a newer Tress wrote it.
    pub fn create_on(
        files: Arc<dyn Files>,
        dir: &Path,
        identity: String,
    ) -> Result<Self, StoreError> {
        Self::create_at(files, Arc::new(RealHost), dir, identity)
    }

    /// The same, on any machine.
    ///
    /// # Errors
    /// When it cannot be made, or a newer Tress wrote it.
    pub fn create_at(
        files: Arc<dyn Files>,
        host: Arc<dyn Host>,
        dir: &Path,
        identity: String,
    ) -> Result<Self, StoreError> {
        let error = |error| StoreError::io("create", dir, error);
        files.create_dir(&dir.join("runs")).map_err(error)?;
        let path = dir.join("store");
        if files.read(&path, 0).is_err_and(|error| error.kind() == io::ErrorKind::NotFound) {
            let lock = dir.join("local");
            files.create_dir(&lock).map_err(error)?;
            let lock = lock.join("lock");
            let held = files.lock(&lock, true).map_err(|error| StoreError::lock(&lock, error))?;
            if files.read(&path, 0).is_err() {
                // It may have been lost, and packed files be there.
                let format = if any_packed(&*files, dir)? { FORMAT_PACKED } else { FORMAT };
                let file = StoreFile { format, id: StoreId(place::random(&*host)?) };
                let ignore = dir.join(".gitignore");
                write_whole(&*files, &ignore, GITIGNORE.as_bytes()).map_err(error)?;
                write_whole(&*files, &path, &file.encode()?).map_err(error)?;
            }
            drop(held);
        }
        Self::open_at(files, host, dir, identity)
    }

    /// Makes the file `store` in `dir` anew where it cannot be understood, and keeps the old one in
    /// `quarantine/`. Whether it did.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn repair_file(dir: &Path) -> Result<bool, StoreError> {
        match Self::open(dir) {
            Err(StoreError::Damaged(_)) => {}
            _ => return Ok(false),
        }
        let (path, quarantine) = (dir.join("store"), dir.join("quarantine"));
        let error = |error| StoreError::io("move aside", &path, error);
        RealFiles.create_dir(&quarantine).map_err(error)?;
        RealFiles.rename(&path, &quarantine.join("store")).map_err(error)?;
        RealFiles.sync_dir(&quarantine).map_err(error)?;
        Self::create(dir).map(|_| true)
    }

    /// Where it is.
    pub fn dir(&self) -> &Path {
        &self.shared.dir
    }

    /// The file system it is on.
    pub fn files(&self) -> &Arc<dyn Files> {
        &self.shared.files
    }

    /// The file system, on which packed files are what they are.
    pub(crate) fn beneath(&self) -> &Arc<dyn Files> {
        &self.shared.beneath
    }

    /// Takes note, durably, that there may be packed files from now on.
    pub(crate) fn will_be_packed(&self) -> Result<(), StoreError> {
        let (files, dir) = (&**self.files(), self.dir());
        if StoreFile::read(files, dir)?.format >= FORMAT_PACKED {
            return Ok(());
        }
        let (path, lock) = (dir.join("store"), dir.join("local").join("lock"));
        let held = files.lock(&lock, true).map_err(|error| StoreError::lock(&lock, error))?;
        let file = StoreFile { format: FORMAT_PACKED, ..StoreFile::read(files, dir)? };
        let written = write_whole(files, &path, &file.encode()?);
        drop(held);
        written.map_err(|error| StoreError::io("write", &path, error))
    }

    /// The machine that it is on.
    pub fn host(&self) -> &dyn Host {
        &*self.shared.host
    }

    /// The id of this place: what its replicas and its Automerge actor belong to.
    ///
    /// # Errors
    /// When `local/` cannot be written.
    pub fn place(&self) -> Result<StoreId, StoreError> {
        self.with_place(|place| Ok(place.id))
    }

    pub(crate) fn with_place<T>(
        &self,
        work: impl FnOnce(&Place) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        let shared = &*self.shared;
        let mut place = shared.place.lock().unwrap_or_else(PoisonError::into_inner);
        let place = match &mut *place {
            Some(place) => place,
            none => {
                let local = shared.dir.join("local");
                none.insert(Place::open(&*shared.files, &*shared.host, &local, &shared.identity)?)
            }
        };
        work(place)
    }

    /// Takes a free replica of a run to be written, or makes one; it is held until it is dropped.
    ///
    /// # Errors
    /// When `local/` cannot be written or locked.
    pub fn hold(&self, run: &str) -> Result<ReplicaHold, StoreError> {
        self.with_place(|place| place.hold(&*self.shared.files, self.host(), run))
    }

    pub(crate) fn retire(&self, hold: &ReplicaHold) -> Result<(), StoreError> {
        self.with_place(|place| place.retire(&*self.shared.files, hold))
    }

    /// The names of its runs.
    ///
    /// # Errors
    /// When they cannot be listed.
    pub fn runs(&self) -> Result<Vec<String>, StoreError> {
        let dir = self.shared.dir.join("runs");
        match self.shared.files.list(&dir) {
            Ok(entries) => {
                // A path without journals is one that is only half made.
                let made = |name: &String| self.shared.files.list(&journals_of(&dir, name)).is_ok();
                let dirs = entries.into_iter().filter(|entry| entry.is_dir);
                Ok(dirs.map(|entry| entry.name).filter(made).collect())
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
            Err(error) => Err(StoreError::io("list", &dir, error)),
        }
    }

    /// Whether there is such a run.
    ///
    /// # Errors
    /// When no run can be called so.
    pub fn has_run(&self, name: &str) -> Result<bool, StoreError> {
        Ok(self.shared.files.list(&self.run_dir(name)?.join("journals")).is_ok())
    }

    /// Takes back that a run was made into which nothing has come yet; whether it is none any more. Whoever has it open
    /// and writes it now makes it again. Of a path, and in memory, nothing is taken back.
    ///
    /// # Errors
    /// When that cannot be read or written.
    pub fn unmake(&self, name: &str) -> Result<bool, StoreError> {
        let dir = self.run_dir(name)?;
        if !self.is_real() || !self.has_run(name)? {
            return Ok(false);
        }
        let files = &*self.shared.files;
        let held = self.lock_new(&dir)?;
        if Origin::load(files, &dir)?.is_some() {
            return Ok(false);
        }
        // A run is there as long as this directory is, and it goes only while it is empty.
        let journals = dir.join("journals");
        match crate::real::remove_empty(&journals) {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::DirectoryNotEmpty => return Ok(false),
            Err(error) => return Err(StoreError::io("remove", &journals, error)),
        }
        partial::forget(files, &dir)?;
        files.sync_dir(&dir).map_err(|error| StoreError::io("sync", &dir, error))?;
        drop(held);
        Ok(true)
    }

    /// Opens a run; makes it where it is not there and `create` is set.
    ///
    /// # Errors
    /// When there is no such run, or it cannot be made.
    pub fn run(&self, name: &str, create: bool) -> Result<RunStore, StoreError> {
        self.run_keeping(name, create.then_some(Strands::ALL))
    }

    /// Keeps only `strands` of a run from now on, where nothing has come into it yet; else it stays as it is.
    ///
    /// # Errors
    /// When there is no such run, or that cannot be written.
    pub fn keep_only(&self, name: &str, strands: Strands) -> Result<(), StoreError> {
        let dir = self.run_dir(name)?;
        let held = self.lock_new(&dir)?;
        // Under the lock: somebody may have written something just now.
        let run = self.run(name, false)?;
        let new = run.strands() == Strands::ALL && run.origin().is_none();
        if new && run.read_all()?.is_empty() {
            partial::keep(&*self.shared.files, &dir, strands)?;
        }
        drop(held);
        Ok(())
    }

    /// Opens a run; where it is not there, and strands are named, makes one of which only these are kept.
    ///
    /// # Errors
    /// When there is no such run, or it cannot be made.
    pub fn run_keeping(&self, name: &str, create: Option<Strands>) -> Result<RunStore, StoreError> {
        let dir = self.run_dir(name)?;
        let journals = dir.join("journals");
        match self.shared.files.list(&journals) {
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::NotFound && create.is_some() => {
                // Under the lock, since a path may be branching off under this very name: its
                // journals come last, and must not be taken for those of a run without a past.
                let held = self.lock_new(&dir)?;
                if self.shared.files.list(&journals).is_err() {
                    self.forget(name)?;
                    if let Some(strands) = create.filter(|strands| *strands != Strands::ALL) {
                        partial::keep(&*self.shared.files, &dir, strands)?;
                    }
                }
                let made = self.shared.files.create_dir(&journals);
                made.map_err(|error| StoreError::io("create", &journals, error))?;
                drop(held);
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Err(StoreError::NoRun { name: name.to_owned() });
            }
            Err(error) => return Err(StoreError::io("list", &journals, error)),
        }
        let origin = Origin::load(&*self.shared.files, &dir)?.map(Arc::new);
        let strands = partial::load(&*self.shared.files, &dir)?;
        let known = self.known(name)?;
        let mut run = RunStore {
            store: self.clone(),
            name: name.to_owned(),
            dir,
            readers: BTreeMap::new(),
            received: BTreeMap::new(),
            shared: Vec::new(),
            origin,
            strands,
            known,
            writer: None,
            written: 0,
            unsynced: BTreeSet::new(),
            doubted: BTreeSet::new(),
        };
        run.shared = run.stretches();
        Ok(run)
    }

    /// The place that this store is, if it is one yet.
    pub(crate) fn found_place(&self) -> Option<Place> {
        let shared = &*self.shared;
        let opened = shared.place.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let find = || Place::find(&*shared.files, &shared.dir.join("local"), &shared.identity);
        opened.or_else(find)
    }

    /// What this place knows of the journals of the run `name`.
    pub(crate) fn known(&self, name: &str) -> Result<Known, StoreError> {
        let files = &*self.shared.files;
        let Some(place) = self.found_place() else {
            return Ok(Known::default());
        };
        let repairs = Repairs::load(files, &place.repairs(name))?;
        let (native, marks) = place.made_here(files, name);
        Ok(Known { native, marks, repairs })
    }

    /// What the places that this store was before it was copied kept of the run `name`.
    pub(crate) fn made_elsewhere(&self, name: &str) -> Elsewhere {
        let mut all = Elsewhere::default();
        for place in self.places_before() {
            let (made, marks) = place.made_here(&*self.shared.files, name);
            all.made.extend(made.into_iter().map(|replica| (replica, place.id)));
            all.marks.extend(marks);
        }
        all
    }

    /// The places that this store was before it was copied.
    fn places_before(&self) -> Vec<Place> {
        let local = self.shared.dir.join("local");
        let here = self.found_place().map(|place| place.id);
        let ids = self.shared.files.list(&local).unwrap_or_default();
        let ids = ids.into_iter().filter_map(|entry| entry.name.parse().ok());
        ids.filter(|id| Some(*id) != here).map(|id| Place::of(&local, id)).collect()
    }

    /// Gives up what is kept of a run that was called `name` and is gone.
    pub(crate) fn forget(&self, name: &str) -> Result<(), StoreError> {
        let files = &*self.shared.files;
        snapshots::clear(files, &self.run_dir(name)?.join("snapshots"))?;
        let places = self.places_before().into_iter().chain(self.found_place());
        { places }.try_for_each(|place| place.forget(files, name))
    }

    /// The lock of a run that may not be there yet, in `dir`.
    pub(crate) fn lock_new(&self, dir: &Path) -> Result<Box<dyn Lock>, StoreError> {
        let files = self.files();
        files.create_dir(dir).map_err(|error| StoreError::io("create", dir, error))?;
        lock_of_run(&**files, dir)
    }

    /// The directory of the run `name`, if a run can be called so.
    pub(crate) fn run_dir(&self, name: &str) -> Result<PathBuf, StoreError> {
        let valid = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
        if name.is_empty()
            || name.len() > 64
            || name.starts_with(['.', '-'])
            || !name.chars().all(valid)
        {
            return Err(StoreError::RunName { name: name.to_owned() });
        }
        Ok(self.shared.dir.join("runs").join(name))
    }
}

pub(crate) fn lock_of_run(files: &dyn Files, dir: &Path) -> Result<Box<dyn Lock>, StoreError> {
    let path = dir.join("lock");
    let lock = files.lock(&path, true).map_err(|error| StoreError::lock(&path, error))?;
    lock.ok_or_else(|| StoreError::Internal("a lock that was waited for".to_owned()))
}

/// Whether a file of any run in the store `dir` is packed.
fn any_packed(files: &dyn Files, dir: &Path) -> Result<bool, StoreError> {
    let mut dirs = vec![dir.join("runs")];
    while let Some(dir) = dirs.pop() {
        for entry in list_if_there(files, &dir)? {
            if packed_file(&entry.name).is_some() {
                return Ok(true);
            }
            if entry.is_dir {
                dirs.push(dir.join(entry.name));
            }
        }
    }
    Ok(false)
}

/// What is in a directory; nothing where it is not there.
pub(crate) fn list_if_there(files: &dyn Files, dir: &Path) -> Result<Vec<DirEntry>, StoreError> {
    match files.list(dir) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
        listed => listed.map_err(|error| StoreError::io("list", dir, error)),
    }
}

/// The directories in a directory; none where it is not there.
pub(crate) fn dirs_in(files: &dyn Files, dir: &Path) -> Result<Vec<PathBuf>, StoreError> {
    let dirs = list_if_there(files, dir)?.into_iter().filter(|entry| entry.is_dir);
    Ok(dirs.map(|entry| dir.join(entry.name)).collect())
}

fn journals_of(runs: &Path, name: &str) -> PathBuf {
    runs.join(name).join("journals")
}
