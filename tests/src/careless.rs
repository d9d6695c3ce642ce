//! A planted bug: the real file system, with every sync left out. A harness that lets it pass would
//! find nothing.

use std::io;
use std::path::Path;
use std::sync::Arc;

use tress::Store;
use tress_store::{AppendFile, DirEntry, Files, Lock, RealFiles};

use crate::trouble::{Trouble, While};

/// A store whose writers promise what they do not keep.
pub(crate) fn store(dir: &Path) -> Result<Store, Trouble> {
    std::fs::create_dir_all(dir).harness("making the store")?;
    let identity = tress_store::place::identity(dir).unwrap_or_default();
    let store = tress_store::Store::create_on(Arc::new(Careless), dir, identity);
    Ok(Store::on(store.harness("opening the store")?))
}

#[derive(Debug)]
struct Careless;

#[derive(Debug)]
struct CarelessFile(Box<dyn AppendFile>);

impl AppendFile for CarelessFile {
    fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.0.append(bytes)
    }

    fn sync(&mut self) -> io::Result<()> {
        Ok(())
    }

    fn reserve(&mut self, bytes: u64) -> io::Result<()> {
        self.0.reserve(bytes)
    }

    fn end(&self) -> io::Result<u64> {
        self.0.end()
    }

    fn truncate(&mut self, len: u64) -> io::Result<()> {
        self.0.truncate(len)
    }
}

impl Files for Careless {
    fn read_part(&self, path: &Path, offset: u64, most: u64) -> io::Result<Vec<u8>> {
        RealFiles.read_part(path, offset, most)
    }

    fn rewrite(&self, _path: &Path, _offset: u64, _bytes: &[u8]) -> io::Result<()> {
        Ok(())
    }

    fn sync(&self, _path: &Path) -> io::Result<()> {
        Ok(())
    }

    fn open(&self, path: &Path) -> io::Result<Box<dyn AppendFile>> {
        Ok(Box::new(CarelessFile(RealFiles.open(path)?)))
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<DirEntry>> {
        RealFiles.list(dir)
    }

    fn create_dir(&self, dir: &Path) -> io::Result<()> {
        std::fs::create_dir_all(dir)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        RealFiles.rename(from, to)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        RealFiles.remove(path)
    }

    fn sync_dir(&self, _dir: &Path) -> io::Result<()> {
        Ok(())
    }

    fn lock(&self, path: &Path, wait: bool) -> io::Result<Option<Box<dyn Lock>>> {
        RealFiles.lock(path, wait)
    }
}
