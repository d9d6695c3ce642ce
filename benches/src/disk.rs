//! Stores on disk that hold a history, as long-running processes would have left them.

use std::fs;
use std::path::{Path, PathBuf};

use tempfile::TempDir;
use tress::{Segment, Store};

use tress_bench::durable::RUN;

use crate::Failure;

/// How many segments arrive between two looks at the journals.
const LOOK: usize = 1_000;

/// A store on disk, gone when it is dropped.
#[derive(Debug)]
pub(crate) struct Disk {
    dir: TempDir,
}

impl Disk {
    /// A store to which the segments came bit by bit, while a process had the run open.
    pub(crate) async fn make(segments: &[Segment]) -> Result<Self, Failure> {
        let disk = Self { dir: TempDir::new().map_err(Failure::other)? };
        let store = Store::create(disk.path()).map_err(Failure::other)?;
        let run = store.create_run(RUN).await.map_err(Failure::other)?;
        for part in segments.chunks(LOOK) {
            write(&disk.path(), part)?;
            run.refresh().await.map_err(Failure::other)?;
        }
        Ok(disk)
    }

    /// The same, with everything that is in it now.
    pub(crate) fn copy(&self) -> Result<Self, Failure> {
        let copy = Self { dir: TempDir::new().map_err(Failure::other)? };
        copy_dir(&self.path(), &copy.path()).map_err(Failure::other)?;
        Ok(copy)
    }

    pub(crate) fn path(&self) -> PathBuf {
        self.dir.path().join("store")
    }

    pub(crate) fn run_dir(&self, run: &str) -> PathBuf {
        self.path().join("runs").join(run)
    }

    /// A handle as another process would have it.
    pub(crate) fn open(&self) -> Result<Store, Failure> {
        Store::open(self.path()).map_err(Failure::other)
    }
}

/// Writes segments to the journals of their replicas, beside whoever has the run open.
pub(crate) fn write(store: &Path, segments: &[Segment]) -> Result<(), Failure> {
    let store = tress_store::Store::open(store).map_err(Failure::other)?;
    let mut run = store.run(RUN, false).map_err(Failure::other)?;
    run.receive(segments).map_err(Failure::other)
}

fn copy_dir(from: &Path, to: &Path) -> std::io::Result<()> {
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let (from, to) = (entry.path(), to.join(entry.file_name()));
        if from.is_dir() {
            copy_dir(&from, &to)?;
        } else {
            fs::copy(&from, &to)?;
        }
    }
    Ok(())
}
