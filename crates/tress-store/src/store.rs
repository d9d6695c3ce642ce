//! The store: the directory `.tress/`, its runs, and who may write them.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use serde::{Deserialize, Serialize};
use tress_model::codec::{CodecError, FORMAT, FormatVersion, Snapshot};
use tress_model::event::Seal;
use tress_model::ids::{ReplicaId, StoreId};
use tress_model::{OrderKey, Segment};

use crate::files::{Files, Lock, write_whole};
use crate::journal::{
    Damage, Item, JournalHeader, JournalPosition, JournalReader, JournalWriter, Positions,
    file_number,
};
use crate::origin::Origin;
pub use crate::place::ReplicaHold;
use crate::place::{self, Place};
use crate::real::RealFiles;
use crate::snapshots::{self, StoredSnapshot};

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
    pub(crate) fn io(action: &'static str, path: &Path, source: io::Error) -> Self {
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

/// What does not travel with the store.
const GITIGNORE: &str = "local/\ndocuments/\nquarantine/\nruns/*/lock\nruns/*/snapshots/\n*.new\n";

/// A store that is open. Clones share it.
#[derive(Debug, Clone)]
pub struct Store {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    files: Arc<dyn Files>,
    dir: PathBuf,
    identity: String,
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
        let path = dir.join("store");
        let bytes = files.read(&path, 0).map_err(|error| match error.kind() {
            io::ErrorKind::NotFound => StoreError::NotAStore { dir: dir.to_owned() },
            _ => StoreError::io("read", &path, error),
        })?;
        let damaged = |error: serde_json::Error| {
            let reason = error.to_string();
            StoreError::Damaged(Damage { path: path.clone(), offset: 0, reason })
        };
        let file: StoreFile = serde_json::from_slice(&bytes).map_err(damaged)?;
        if !file.format.readable() {
            return Err(StoreError::NewerFormat { path, found: file.format, known: FORMAT });
        }
        let place = Mutex::default();
        let (dir, real) = (dir.to_owned(), false);
        Ok(Self { shared: Arc::new(Shared { files, dir, identity, real, place }) })
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
        let error = |error| StoreError::io("create", dir, error);
        files.create_dir(&dir.join("runs")).map_err(error)?;
        let path = dir.join("store");
        if files.read(&path, 0).is_err_and(|error| error.kind() == io::ErrorKind::NotFound) {
            let lock = dir.join("local");
            files.create_dir(&lock).map_err(error)?;
            let lock = lock.join("lock");
            let held = files.lock(&lock, true).map_err(|error| StoreError::lock(&lock, error))?;
            if files.read(&path, 0).is_err() {
                let file = StoreFile { format: FORMAT, id: StoreId(place::random()?) };
                let bytes = serde_json::to_vec(&file)
                    .map_err(|error| StoreError::Internal(error.to_string()))?;
                let ignore = dir.join(".gitignore");
                write_whole(&*files, &ignore, GITIGNORE.as_bytes()).map_err(error)?;
                write_whole(&*files, &path, &bytes).map_err(error)?;
            }
            drop(held);
        }
        Self::open_on(files, dir, identity)
    }

    /// Where it is.
    pub fn dir(&self) -> &Path {
        &self.shared.dir
    }

    /// The file system it is on.
    pub fn files(&self) -> &Arc<dyn Files> {
        &self.shared.files
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
                none.insert(Place::open(&*shared.files, &local, &shared.identity)?)
            }
        };
        work(place)
    }

    /// Takes a free replica of a run to be written, or makes one; it is held until it is dropped.
    ///
    /// # Errors
    /// When `local/` cannot be written or locked.
    pub fn hold(&self, run: &str) -> Result<ReplicaHold, StoreError> {
        self.with_place(|place| place.hold(&*self.shared.files, run))
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

    /// Opens a run; makes it where it is not there and `create` is set.
    ///
    /// # Errors
    /// When there is no such run, or it cannot be made.
    pub fn run(&self, name: &str, create: bool) -> Result<RunStore, StoreError> {
        let dir = self.run_dir(name)?;
        let journals = dir.join("journals");
        match self.shared.files.list(&journals) {
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::NotFound && create => {
                // Under the lock, since a path may be branching off under this very name: its
                // journals come last, and must not be taken for those of a run without a past.
                let held = self.lock_new(&dir)?;
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
        let mut run = RunStore {
            store: self.clone(),
            name: name.to_owned(),
            dir,
            readers: BTreeMap::new(),
            received: BTreeMap::new(),
            shared: Vec::new(),
            origin,
            writer: None,
            unsynced: BTreeSet::new(),
        };
        run.shared = run.stretches();
        Ok(run)
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

fn lock_of_run(files: &dyn Files, dir: &Path) -> Result<Box<dyn Lock>, StoreError> {
    let path = dir.join("lock");
    let lock = files.lock(&path, true).map_err(|error| StoreError::lock(&path, error))?;
    lock.ok_or_else(|| StoreError::Internal("a lock that was waited for".to_owned()))
}

fn journals_of(runs: &Path, name: &str) -> PathBuf {
    runs.join(name).join("journals")
}

/// What a look at the journals brought.
#[derive(Debug, Default)]
pub struct Batch {
    /// Events, by journal in the order in which they were written.
    pub segments: Vec<Segment>,
    /// Automerge changes.
    pub seals: Vec<Seal>,
    /// Journals that could not be read to their end.
    pub damage: Vec<Damage>,
}

/// How far the journals of a run were read.
#[derive(Debug)]
pub struct Readers {
    own: BTreeMap<ReplicaId, JournalReader>,
    received: BTreeMap<(StoreId, ReplicaId), JournalReader>,
    shared: Vec<JournalReader>,
}

/// One run on disk: reads all of its journals, and writes one.
#[derive(Debug)]
pub struct RunStore {
    pub(crate) store: Store,
    pub(crate) name: String,
    pub(crate) dir: PathBuf,
    pub(crate) readers: BTreeMap<ReplicaId, JournalReader>,
    /// Readers of the copies that were received, by the place that wrote them.
    pub(crate) received: BTreeMap<(StoreId, ReplicaId), JournalReader>,
    /// Readers of what it shares with other runs.
    pub(crate) shared: Vec<JournalReader>,
    pub(crate) origin: Option<Arc<Origin>>,
    writer: Option<(ReplicaHold, JournalWriter)>,
    /// Files of which something was read that may not be durable yet.
    pub(crate) unsynced: BTreeSet<PathBuf>,
}

impl RunStore {
    /// The run's name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The store that it is in.
    pub fn store(&self) -> &Store {
        &self.store
    }

    /// Where it branched off another run, if it did.
    pub fn origin(&self) -> Option<&Arc<Origin>> {
        self.origin.as_ref()
    }

    pub(crate) fn files(&self) -> Arc<dyn Files> {
        Arc::clone(self.store.files())
    }

    /// The newest snapshot, or the newest of those that an event at `before` does not belong into;
    /// the journals are read from its positions on.
    pub fn load_snapshot(&mut self, before: Option<OrderKey>) -> Option<Snapshot> {
        let stored = snapshots::newest(&*self.files(), &self.dir.join("snapshots"), before)?;
        self.readers.clear();
        let journals = self.dir.join("journals");
        for (replica, position) in stored.positions {
            let dir = journals.join(replica.to_string());
            self.readers.insert(replica, JournalReader::new(&self.name, dir, replica, position));
        }
        self.received.clear();
        for (place, replica, position) in stored.received {
            let dir = self.received_dir(place, replica);
            let reader = JournalReader::new(&self.name, dir, replica, position);
            self.received.insert((place, replica), reader);
        }
        // A snapshot is made of everything that is shared.
        self.shared.clear();
        Some(stored.snapshot)
    }

    /// The seals that were written to the run's journals behind `positions` (from the beginning
    /// for a journal that is not named), and how far the journals go now.
    ///
    /// # Errors
    /// When they cannot be read, or are of a newer format.
    pub fn seals_since(
        &self,
        positions: &[(ReplicaId, JournalPosition)],
    ) -> Result<(Vec<Seal>, Positions), StoreError> {
        let files = self.files();
        let journals = self.dir.join("journals");
        let listed = files.list(&journals);
        let listed = listed.map_err(|error| StoreError::io("list", &journals, error))?;
        let (mut seals, mut ends) = (Vec::new(), Vec::new());
        for entry in listed.into_iter().filter(|entry| entry.is_dir) {
            let Ok(replica) = entry.name.parse() else {
                continue;
            };
            let known = positions.iter().find(|(known, _)| *known == replica);
            let from = known.map(|(_, position)| *position).unwrap_or_default();
            let dir = journals.join(&entry.name);
            let mut reader = JournalReader::new(&self.name, dir, replica, from).seals_only();
            for item in reader.poll(&*files)? {
                if let Item::Seal(seal) = item {
                    seals.push(seal);
                }
            }
            ends.push((replica, reader.position()));
        }
        Ok((seals, ends))
    }

    /// Everything that all journals hold, read anew.
    ///
    /// # Errors
    /// When they cannot be read, are of a newer format, or damaged.
    pub fn read_all(&self) -> Result<Vec<Item>, StoreError> {
        let mut whole = self.store.run(&self.name, false)?;
        let batch = whole.poll()?;
        // Whoever gets it may make it durable elsewhere.
        whole.sync_what_was_read(None)?;
        if let Some(damage) = batch.damage.into_iter().next() {
            return Err(StoreError::Damaged(damage));
        }
        let segments = batch.segments.into_iter().map(Item::Segment);
        Ok(segments.chain(batch.seals.into_iter().map(Item::Seal)).collect())
    }

    /// Forgets how far the journals were read: the next look reads everything. Gives back what was
    /// known, for [`RunStore::restore`].
    pub fn rewind(&mut self) -> Readers {
        let shared = self.stretches();
        Readers {
            own: std::mem::take(&mut self.readers),
            received: std::mem::take(&mut self.received),
            shared: std::mem::replace(&mut self.shared, shared),
        }
    }

    /// Knows again how far the journals were read.
    pub fn restore(&mut self, readers: Readers) {
        self.readers = readers.own;
        self.received = readers.received;
        self.shared = readers.shared;
    }

    /// Writes a snapshot of what was read so far.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn save_snapshot(&mut self, snapshot: Snapshot) -> Result<PathBuf, StoreError> {
        // A snapshot must not stand ahead of the journals, even after a power cut.
        let own = self.writer.as_ref().map(|(_, writer)| writer.replica());
        self.sync_what_was_read(own)?;
        let positions =
            self.readers.iter().map(|(&replica, reader)| (replica, reader.position())).collect();
        let received = self.received.iter();
        let received = received.map(|(&(place, replica), copy)| (place, replica, copy.position()));
        let stored = StoredSnapshot { snapshot, positions, received: received.collect() };
        snapshots::save(&*self.files(), &self.dir.join("snapshots"), &stored)
    }

    /// What was written to the run's journals since the last look.
    ///
    /// # Errors
    /// When they cannot be read, or are of a newer format.
    pub fn poll(&mut self) -> Result<Batch, StoreError> {
        let before: Vec<_> =
            self.readers.iter().map(|(&replica, reader)| (replica, reader.position())).collect();
        let shared = !self.shared.is_empty();
        let polled = self.poll_all();
        if polled.is_err() {
            // To read something twice does no harm.
            self.received.clear();
            if shared {
                self.shared = self.stretches();
            }
            // What was read of some journals is lost with the error: read it again.
            self.readers.retain(|replica, _| before.iter().any(|(known, _)| known == replica));
            for (replica, position) in before {
                if let Some(reader) = self.readers.get_mut(&replica) {
                    reader.skip_to(position);
                }
            }
        }
        polled
    }

    fn poll_all(&mut self) -> Result<Batch, StoreError> {
        let files = self.files();
        let journals = self.dir.join("journals");
        let listed = files.list(&journals);
        let listed = listed.map_err(|error| StoreError::io("list", &journals, error))?;
        let mut batch = Batch::default();
        self.poll_shared(&*files, &mut batch)?;
        self.poll_received(&*files, &mut batch)?;
        for entry in listed.into_iter().filter(|entry| entry.is_dir) {
            let Ok(replica) = entry.name.parse() else {
                continue;
            };
            let reader = self.readers.entry(replica).or_insert_with(|| {
                let dir = journals.join(&entry.name);
                JournalReader::new(&self.name, dir, replica, JournalPosition::default())
            });
            let items = reader.poll(&*files)?;
            if !items.is_empty() {
                self.unsynced.insert(reader.path());
            }
            for item in items {
                match item {
                    Item::Segment(segment) => batch.segments.push(segment),
                    Item::Seal(seal) => batch.seals.push(seal),
                }
            }
            batch.damage.extend(reader.damage().cloned());
        }
        Ok(batch)
    }

    /// Gets ready to write: takes a replica and opens its journal. What the replica's earlier
    /// holders wrote is in the next [`RunStore::poll`], so look before preparing anything.
    ///
    /// # Errors
    /// When no replica can be held, or the journal cannot be opened.
    pub fn open_writer(&mut self) -> Result<(ReplicaId, StoreId), StoreError> {
        if let Some((_, writer)) = self.writer.as_ref().filter(|(_, writer)| !writer.failed()) {
            return Ok((writer.replica(), writer.store()));
        }
        self.writer = None;
        let files = self.files();
        loop {
            let hold = self.store.hold(&self.name)?;
            let replica = hold.replica;
            let header = JournalHeader {
                format: FORMAT,
                replica,
                store: self.store.place()?,
                run: self.name.clone(),
            };
            let dir = self.dir.join("journals").join(replica.to_string());
            let ours = match self.last_file(&dir, replica) {
                Some((name, id)) => {
                    self.store.with_place(|place| Ok(place.made(&*files, &name, id)))?
                }
                // A journal that was here and is gone had used numbers; what it held may be known
                // elsewhere.
                None => {
                    let prefix = format!("{}.{replica}.", self.name);
                    !self.store.with_place(|place| Ok(place.made_any(&*files, &prefix)))?
                }
            };
            if !ours {
                tracing::warn!(%replica, "a journal was put in place of ours; going on with a new replica");
                self.store.retire(&hold)?;
                continue;
            }
            match JournalWriter::open(&*files, &dir, header) {
                Ok(writer) => {
                    let ids = (writer.replica(), writer.store());
                    self.writer = Some((hold, writer));
                    self.keep_origin(&dir, replica)?;
                    return Ok(ids);
                }
                Err(StoreError::Damaged(damage)) => {
                    tracing::warn!(%damage, "a journal is damaged; going on with a new replica");
                    self.store.retire(&hold)?;
                }
                Err(error) => return Err(error),
            }
        }
    }

    /// The name under which the origin of a journal's last file is kept, and the file's id.
    fn last_file(&self, dir: &Path, replica: ReplicaId) -> Option<(String, u64)> {
        let listed = self.files().list(dir).ok()?;
        let numbered = listed.into_iter().filter_map(|file| Some((file_number(&file.name)?, file)));
        let (_, last) = numbered.max_by_key(|(number, _)| *number)?;
        Some((format!("{}.{replica}.{}", self.name, last.name), last.id))
    }

    fn keep_origin(&self, dir: &Path, replica: ReplicaId) -> Result<(), StoreError> {
        let Some((name, id)) = self.last_file(dir, replica) else { return Ok(()) };
        let files = self.files();
        self.store.with_place(|place| {
            if place.made(&*files, &name, id) { Ok(()) } else { place.keep(&*files, &name, id) }
        })
    }

    /// Gives up the replica that is written, for good: its chain cannot be continued here. The
    /// next [`RunStore::open_writer`] takes another.
    ///
    /// # Errors
    /// When `local/` cannot be written.
    pub fn retire_writer(&mut self) -> Result<(), StoreError> {
        match self.writer.take() {
            Some((hold, _)) => self.store.retire(&hold),
            None => Ok(()),
        }
    }

    pub(crate) fn writes(&self, replica: ReplicaId) -> bool {
        self.writer.as_ref().is_some_and(|(_, writer)| writer.replica() == replica)
    }

    /// Whether `replica`'s journal could not be read to its end.
    pub fn is_damaged(&self, replica: ReplicaId) -> bool {
        let copies = self.received.iter().filter(|((_, of), _)| *of == replica);
        let copies = copies.map(|(_, reader)| reader);
        let mut readers = self.readers.get(&replica).into_iter().chain(copies);
        readers.any(|reader| reader.damage().is_some())
    }

    /// Makes durable what was read of other journals: their writers may not have synced it yet,
    /// and what is written next may cite it.
    pub(crate) fn sync_what_was_read(&mut self, own: Option<ReplicaId>) -> Result<(), StoreError> {
        let files = self.files();
        let own = own.map(|own| self.dir.join("journals").join(own.to_string()));
        for path in self.unsynced.clone() {
            let ours = own.as_ref().is_some_and(|own| path.starts_with(own));
            let gone = |error: io::Error| error.kind() == io::ErrorKind::NotFound;
            if !ours && !files.read(&path, u64::MAX).is_err_and(gone) {
                let synced = files.open(&path).and_then(|mut file| file.sync());
                synced.map_err(|error| StoreError::io("make durable", &path, error))?;
            }
            self.unsynced.remove(&path);
        }
        Ok(())
    }

    /// Writes segments and seals and makes them durable, in one sync.
    ///
    /// # Errors
    /// When they cannot be written; none of them counts then, and the next write opens the
    /// journal anew.
    pub fn append(&mut self, segments: &[Segment], seals: &[Seal]) -> Result<(), StoreError> {
        let files = self.files();
        let missing = || StoreError::Internal("open_writer comes before append".to_owned());
        let own = self.writer.as_ref().map(|(_, writer)| writer.replica()).ok_or_else(missing)?;
        self.sync_what_was_read(Some(own))?;
        let (_, writer) = self.writer.as_mut().ok_or_else(missing)?;
        let before = writer.position();
        for segment in segments {
            writer.append_segment(&*files, segment)?;
        }
        for seal in seals {
            writer.append_seal(&*files, seal)?;
        }
        writer.sync()?;
        let (replica, position) = (writer.replica(), writer.position());
        let dir = self.dir.join("journals").join(replica.to_string());
        if position.file != before.file {
            self.keep_origin(&dir, replica)?;
        }
        let run = &self.name;
        let reader = self
            .readers
            .entry(replica)
            .or_insert_with(|| JournalReader::new(run, dir, replica, JournalPosition::default()));
        // What another holder of the replica wrote before has yet to be read.
        if reader.position() == before {
            reader.skip_to(position);
            reader.skip_events(segments.last().map_or(0, Segment::last));
        }
        Ok(())
    }

    /// Takes the run's short lock, which appends on a condition need. Waits for it.
    ///
    /// # Errors
    /// When the file system has no locks.
    pub fn lock(&self) -> Result<Box<dyn Lock>, StoreError> {
        lock_of_run(&*self.files(), &self.dir)
    }
}
