//! What happens between two steps of one process while others are at work.

use std::io;
use std::path::Path;
use std::sync::{Arc, Mutex};

use tress_store::{AppendFile, DirEntry, Files, Lock, MemoryFiles, Store};

/// Files in memory, on which somebody else takes the first so many locks that nobody waits for,
/// right after their files were made.
#[derive(Debug, Default)]
struct Thief {
    files: MemoryFiles,
    stolen: Mutex<Vec<Box<dyn Lock>>>,
    steals: usize,
}

impl Files for Thief {
    fn read_part(&self, path: &Path, offset: u64, most: u64) -> io::Result<Vec<u8>> {
        self.files.read_part(path, offset, most)
    }

    fn rewrite(&self, path: &Path, offset: u64, bytes: &[u8]) -> io::Result<()> {
        self.files.rewrite(path, offset, bytes)
    }

    fn sync(&self, path: &Path) -> io::Result<()> {
        self.files.sync(path)
    }

    fn open(&self, path: &Path) -> io::Result<Box<dyn AppendFile>> {
        self.files.open(path)
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<DirEntry>> {
        self.files.list(dir)
    }

    fn create_dir(&self, dir: &Path) -> io::Result<()> {
        self.files.create_dir(dir)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.files.rename(from, to)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        self.files.remove(path)
    }

    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        self.files.sync_dir(dir)
    }

    fn lock(&self, path: &Path, wait: bool) -> io::Result<Option<Box<dyn Lock>>> {
        let mut stolen = self.stolen.lock().unwrap();
        if !wait && stolen.len() < self.steals {
            stolen.extend(self.files.lock(path, false)?);
        }
        self.files.lock(path, wait)
    }
}

/// A writer made the file of a new replica; before it had locked it, another that began at the same
/// time saw it, found it free and took it. The first gave up: "a new replica was held already".
/// `torture kill` met it once in 700 writers that began at once.
#[test]
fn a_new_replica_that_another_takes_first_is_left_to_it() {
    let files = Arc::new(Thief { steals: 3, ..Thief::default() });
    let dir = Path::new("/project/.tress");
    let store = Store::create_on(Arc::clone(&files) as _, dir, "here".to_owned()).unwrap();
    let hold = store.hold("main").unwrap();
    assert_eq!(files.stolen.lock().unwrap().len(), 3, "three others have theirs");
    assert_ne!(store.hold("main").unwrap().replica, hold.replica);
}
