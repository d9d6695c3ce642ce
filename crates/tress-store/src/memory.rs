//! A file system in memory, which can crash: what was not synced is lost.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use crate::files::{AppendFile, DirEntry, Files, Lock};

/// A file system in memory. Clones share it.
#[derive(Debug, Clone, Default)]
pub struct MemoryFiles {
    shared: Arc<Shared>,
}

#[derive(Debug, Default)]
struct Shared {
    disk: Mutex<Disk>,
    unlocked: Condvar,
}

#[derive(Debug, Default)]
struct Disk {
    files: BTreeMap<PathBuf, Arc<Mutex<Content>>>,
    /// The names that a crash leaves, and what they lead to.
    durable: BTreeMap<PathBuf, Arc<Mutex<Content>>>,
    dirs: BTreeSet<PathBuf>,
    /// How many files there ever were.
    made: u64,
    locked: BTreeSet<PathBuf>,
}

#[derive(Debug, Default)]
struct Content {
    id: u64,
    bytes: Vec<u8>,
    synced: Vec<u8>,
}

/// The mutexes guard plain data that is whole between any two statements, so a panic elsewhere
/// leaves nothing half done.
fn held<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn not_found(path: &Path) -> io::Error {
    io::Error::new(io::ErrorKind::NotFound, format!("{} is not there", path.display()))
}

impl MemoryFiles {
    /// An empty file system.
    pub fn new() -> Self {
        Self::default()
    }

    /// Another file system with the same content, that shares nothing with this one.
    #[must_use]
    pub fn deep_copy(&self) -> Self {
        let disk = held(&self.shared.disk);
        let mut copies: BTreeMap<u64, Arc<Mutex<Content>>> = BTreeMap::new();
        let mut copied = |content: &Arc<Mutex<Content>>| {
            let content = held(content);
            let copy = copies.entry(content.id).or_insert_with(|| {
                let (bytes, synced) = (content.bytes.clone(), content.synced.clone());
                Arc::new(Mutex::new(Content { id: content.id, bytes, synced }))
            });
            Arc::clone(copy)
        };
        let mut all = |names: &BTreeMap<PathBuf, Arc<Mutex<Content>>>| -> BTreeMap<_, _> {
            names.iter().map(|(path, content)| (path.clone(), copied(content))).collect()
        };
        let (files, durable) = (all(&disk.files), all(&disk.durable));
        let (dirs, made, locked) = (disk.dirs.clone(), disk.made, BTreeSet::new());
        let disk = Mutex::new(Disk { files, durable, dirs, made, locked });
        Self { shared: Arc::new(Shared { disk, unlocked: Condvar::new() }) }
    }

    /// The power goes: bytes that were not synced and names whose directory was not synced are
    /// gone, and all locks with them.
    pub fn crash(&self) {
        let mut disk = held(&self.shared.disk);
        disk.files = disk.durable.clone();
        disk.locked.clear();
        for content in disk.files.values() {
            let mut content = held(content);
            content.bytes = content.synced.clone();
        }
        self.shared.unlocked.notify_all();
    }

    /// Puts another file with the same content in the place of one, as a restore or a checkout
    /// does.
    pub fn replace(&self, path: &Path, bytes: Vec<u8>) {
        let mut disk = held(&self.shared.disk);
        disk.made += 1;
        let content = Content { id: disk.made, synced: bytes.clone(), bytes };
        let content = Arc::new(Mutex::new(content));
        disk.files.insert(path.to_owned(), Arc::clone(&content));
        disk.durable.insert(path.to_owned(), content);
    }

    /// Overwrites a file as a fault would: durably, and behind everybody's back.
    pub fn damage(&self, path: &Path, change: impl FnOnce(&mut Vec<u8>)) {
        if let Some(content) = held(&self.shared.disk).files.get(path) {
            let mut content = held(content);
            change(&mut content.bytes);
            content.synced = content.bytes.clone();
        }
    }
}

#[derive(Debug)]
struct MemoryFile(Arc<Mutex<Content>>);

impl AppendFile for MemoryFile {
    fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        held(&self.0).bytes.extend_from_slice(bytes);
        Ok(())
    }

    fn sync(&mut self) -> io::Result<()> {
        let mut content = held(&self.0);
        content.synced = content.bytes.clone();
        Ok(())
    }

    fn end(&self) -> io::Result<u64> {
        Ok(held(&self.0).bytes.len() as u64)
    }

    fn truncate(&mut self, len: u64) -> io::Result<()> {
        let mut content = held(&self.0);
        content.bytes.truncate(usize::try_from(len).unwrap_or(usize::MAX));
        content.synced = content.bytes.clone();
        Ok(())
    }
}

#[derive(Debug)]
struct MemoryLock {
    shared: Arc<Shared>,
    path: PathBuf,
}

impl Lock for MemoryLock {}

impl Drop for MemoryLock {
    fn drop(&mut self) {
        held(&self.shared.disk).locked.remove(&self.path);
        self.shared.unlocked.notify_all();
    }
}

impl Files for MemoryFiles {
    fn read(&self, path: &Path, offset: u64) -> io::Result<Vec<u8>> {
        let disk = held(&self.shared.disk);
        let content = held(disk.files.get(path).ok_or_else(|| not_found(path))?);
        let offset = usize::try_from(offset).unwrap_or(usize::MAX);
        Ok(content.bytes.get(offset..).unwrap_or_default().to_vec())
    }

    fn open(&self, path: &Path) -> io::Result<Box<dyn AppendFile>> {
        let mut disk = held(&self.shared.disk);
        let parent = path.parent().unwrap_or(Path::new(""));
        if !disk.dirs.contains(parent) {
            return Err(not_found(parent));
        }
        if let Some(content) = disk.files.get(path) {
            return Ok(Box::new(MemoryFile(Arc::clone(content))));
        }
        disk.made += 1;
        let content = Arc::new(Mutex::new(Content { id: disk.made, ..Content::default() }));
        disk.files.insert(path.to_owned(), Arc::clone(&content));
        Ok(Box::new(MemoryFile(content)))
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<DirEntry>> {
        let disk = held(&self.shared.disk);
        if !disk.dirs.contains(dir) {
            return Err(not_found(dir));
        }
        let name = |path: &Path| {
            (path.parent() == Some(dir)).then(|| path.file_name()?.to_str().map(str::to_owned))?
        };
        let dirs = disk.dirs.iter().filter_map(|path| {
            name(path).map(|name| DirEntry { name, is_dir: true, len: 0, id: 0 })
        });
        let files = disk.files.iter().filter_map(|(path, content)| {
            let content = held(content);
            let (len, id) = (content.bytes.len() as u64, content.id);
            name(path).map(|name| DirEntry { name, is_dir: false, len, id })
        });
        let mut entries: Vec<_> = dirs.chain(files).collect();
        entries.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(entries)
    }

    fn create_dir(&self, dir: &Path) -> io::Result<()> {
        let mut disk = held(&self.shared.disk);
        disk.dirs.extend(dir.ancestors().map(Path::to_owned));
        Ok(())
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        let mut disk = held(&self.shared.disk);
        if let Some(content) = disk.files.remove(from) {
            disk.files.insert(to.to_owned(), content);
            return Ok(());
        }
        if !disk.dirs.remove(from) {
            return Err(not_found(from));
        }
        let moved = |path: &Path| path.strip_prefix(from).map(|rest| to.join(rest)).ok();
        disk.dirs = disk.dirs.iter().map(|dir| moved(dir).unwrap_or_else(|| dir.clone())).collect();
        disk.dirs.insert(to.to_owned());
        let files = std::mem::take(&mut disk.files).into_iter();
        disk.files = files.map(|(path, c)| (moved(&path).unwrap_or(path), c)).collect();
        Ok(())
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        let removed = held(&self.shared.disk).files.remove(path);
        removed.map(|_| ()).ok_or_else(|| not_found(path))
    }

    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        let mut disk = held(&self.shared.disk);
        let inside = |path: &Path| path.parent() == Some(dir);
        disk.durable.retain(|path, _| !inside(path));
        let names: Vec<_> = disk.files.iter().filter(|(path, _)| inside(path)).collect();
        let names: Vec<_> =
            names.into_iter().map(|(path, c)| (path.clone(), Arc::clone(c))).collect();
        disk.durable.extend(names);
        Ok(())
    }

    fn lock(&self, path: &Path, wait: bool) -> io::Result<Option<Box<dyn Lock>>> {
        drop(self.open(path)?);
        let mut disk = held(&self.shared.disk);
        while disk.locked.contains(path) {
            if !wait {
                return Ok(None);
            }
            let woken = self.shared.unlocked.wait(disk);
            disk = woken.unwrap_or_else(PoisonError::into_inner);
        }
        disk.locked.insert(path.to_owned());
        let lock = MemoryLock { shared: Arc::clone(&self.shared), path: path.to_owned() };
        Ok(Some(Box::new(lock)))
    }
}
