//! The store, as embedders see it.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError, Weak};

use tress_model::Strands;
use tress_store::Compacted;

use crate::error::Error;
use crate::run::{Inner, Run};

/// The name of a store's directory in a project.
pub const DIR: &str = ".tress";

/// A store that is open: the home of runs. Cheap to clone; clones share everything.
#[derive(Debug, Clone)]
pub struct Store {
    files: tress_store::Store,
    runs: Arc<Mutex<HashMap<String, Weak<Inner>>>>,
    in_place: bool,
}

impl Store {
    /// Opens the store in `dir`, which is the `.tress` directory itself.
    ///
    /// # Errors
    /// When there is none, or a newer Tress wrote it.
    pub fn open(dir: impl AsRef<Path>) -> Result<Self, Error> {
        Ok(Self::on(tress_store::Store::open(dir.as_ref())?))
    }

    /// Makes a store in `dir`, or opens the one that is there.
    ///
    /// # Errors
    /// When it cannot be made, or a newer Tress wrote it.
    pub fn create(dir: impl AsRef<Path>) -> Result<Self, Error> {
        Ok(Self::on(tress_store::Store::create(dir.as_ref())?))
    }

    /// A store on any file system: in memory, for tests and for runs that nobody keeps.
    pub fn on(files: tress_store::Store) -> Self {
        Self { files, runs: Arc::default(), in_place: false }
    }

    /// The same store, whose runs are opened without a thread of their own: calls do their work where
    /// they are made, and block for as long as it takes, until somebody follows the run. For processes
    /// that do one thing and end, as a command does; a run that is open already stays as it is.
    #[must_use]
    pub fn in_place(self) -> Self {
        Self { in_place: true, ..self }
    }

    /// A store in memory, gone when the last handle is.
    ///
    /// # Errors
    /// When there is no randomness to be had.
    pub fn in_memory() -> Result<Self, Error> {
        let files = Arc::new(tress_store::MemoryFiles::new());
        let dir = Path::new("/memory").join(DIR);
        Ok(Self::on(tress_store::Store::create_on(files, &dir, "memory".to_owned())?))
    }

    /// The store directory that belongs to `start`: `.tress` in it or in the nearest directory
    /// above it.
    pub fn discover(start: &Path) -> Option<PathBuf> {
        let dirs = start.ancestors().map(|dir| dir.join(DIR));
        dirs.into_iter().find(|dir| dir.join("store").is_file())
    }

    /// Where it is.
    pub fn dir(&self) -> &Path {
        self.files.dir()
    }

    /// The stored form beneath, for tools.
    pub fn files(&self) -> &tress_store::Store {
        &self.files
    }

    /// The names of its runs.
    ///
    /// # Errors
    /// When they cannot be listed.
    pub fn runs(&self) -> Result<Vec<String>, Error> {
        Ok(self.files.runs()?)
    }

    /// Whether there is such a run.
    ///
    /// # Errors
    /// When no run can be called so.
    pub fn has_run(&self, name: &str) -> Result<bool, Error> {
        Ok(self.files.has_run(name)?)
    }

    /// Takes back that `run` was made, where nothing has come into it and nobody else in this process has it open;
    /// whether it is none any more. Another process that writes it at this moment makes it again.
    ///
    /// # Errors
    /// When it cannot be read, or that cannot be written.
    pub async fn unmake(&self, run: Run) -> Result<bool, Error> {
        if !run.refresh().await?.version.is_empty() {
            return Ok(false);
        }
        let name = run.name().to_owned();
        drop(run);
        let runs = self.runs.lock().unwrap_or_else(PoisonError::into_inner);
        if runs.get(&name).is_some_and(|open| open.strong_count() > 0) {
            return Ok(false);
        }
        Ok(self.files.unmake(&name)?)
    }

    /// Packs what of a run's journals is only read: they take a third of the room then, and are read as before. Of
    /// its snapshots the newest is left. Blocks; linear in what was not packed before. From then on an older Tress, which could not read them,
    /// refuses the store. Others may read and write the run meanwhile.
    ///
    /// # Errors
    /// When there is no such run, or its journals cannot be read or written. Nothing is lost then.
    pub fn compact(&self, run: &str) -> Result<Compacted, Error> {
        Ok(self.files.compact(run)?)
    }

    /// Opens a run that is there.
    ///
    /// # Errors
    /// When there is no such run, or it cannot be read.
    pub async fn run(&self, name: &str) -> Result<Run, Error> {
        self.open_run(name, None).await
    }

    /// Opens a run; makes it where it is not there.
    ///
    /// # Errors
    /// When it can be neither made nor read.
    pub async fn create_run(&self, name: &str) -> Result<Run, Error> {
        self.open_run(name, Some(Strands::ALL)).await
    }

    /// Opens a run of which only `strands` are kept; makes it where it is not there, or empty. Whoever it is synced with
    /// sends the other events without their operations: their places in the history are here, and nothing
    /// of what they say. So it takes less room, its state shows these strands as everywhere, and it cannot
    /// be made whole later. Its root is not that of the whole run.
    ///
    /// # Errors
    /// When it can be neither made nor read, or is there and keeps others.
    pub async fn create_run_of(&self, name: &str, strands: Strands) -> Result<Run, Error> {
        let mut run = self.open_run(name, Some(strands)).await?;
        // One into which nothing has come yet, such as the run of a new store, is as good as new.
        if run.strands() == Strands::ALL && run.refresh().await?.version.is_empty() {
            drop(run);
            if self.known(name).is_none() {
                self.files.keep_only(name, strands)?;
            }
            run = self.open_run(name, Some(strands)).await?;
        }
        match run.strands() {
            kept if kept == strands => Ok(run),
            kept => Err(Error::Strands { run: name.to_owned(), kept }),
        }
    }

    /// The run, where it is open in this process.
    fn known(&self, name: &str) -> Option<Arc<Inner>> {
        let runs = self.runs.lock().unwrap_or_else(PoisonError::into_inner);
        runs.get(name).and_then(Weak::upgrade)
    }

    async fn open_run(&self, name: &str, create: Option<Strands>) -> Result<Run, Error> {
        if let Some(inner) = self.known(name) {
            return Ok(Run::from_inner(inner));
        }
        let inner = Inner::open(self.files.run_keeping(name, create)?, self.in_place).await?;
        let mut runs = self.runs.lock().unwrap_or_else(PoisonError::into_inner);
        // Another task may have opened it meanwhile; one handle is enough.
        if let Some(other) = runs.get(name).and_then(Weak::upgrade) {
            return Ok(Run::from_inner(other));
        }
        runs.insert(name.to_owned(), Arc::downgrade(&inner));
        Ok(Run::from_inner(inner))
    }
}
