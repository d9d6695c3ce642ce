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

type Names = BTreeMap<PathBuf, Arc<Mutex<Content>>>;

#[derive(Debug, Default)]
struct Disk {
    files: Names,
    /// The names that a crash leaves, and what they lead to.
    durable: Names,
    /// What was done to the names in each directory since it was synced, in order.
    pending: BTreeMap<PathBuf, Vec<NameOp>>,
    dirs: BTreeSet<PathBuf>,
    /// How many files and locks there ever were.
    made: u64,
    /// Which lock holds each file.
    locked: BTreeMap<PathBuf, u64>,
}

/// A change of names. Journalling file systems keep those of a directory in order.
#[derive(Debug, Clone)]
enum NameOp {
    Link(PathBuf, Arc<Mutex<Content>>),
    Unlink(PathBuf),
    Move(PathBuf, PathBuf),
}

impl NameOp {
    fn apply(self, names: &mut Names) {
        match self {
            Self::Link(path, content) => {
                names.insert(path, content);
            }
            Self::Unlink(path) => {
                names.remove(&path);
            }
            Self::Move(from, to) => {
                if let Some(content) = names.remove(&from) {
                    names.insert(to, content);
                }
            }
        }
    }
}

impl Disk {
    /// Does something to a name, durably as soon as its directory is synced.
    fn change(&mut self, path: &Path, op: NameOp) {
        op.clone().apply(&mut self.files);
        let dir = path.parent().unwrap_or(Path::new("")).to_owned();
        self.pending.entry(dir).or_default().push(op);
    }
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
        let mut all = |names: &Names| -> Names {
            names.iter().map(|(path, content)| (path.clone(), copied(content))).collect()
        };
        let (files, durable) = (all(&disk.files), all(&disk.durable));
        let mut pending = disk.pending.clone();
        for op in pending.values_mut().flatten() {
            if let NameOp::Link(_, content) = op {
                *content = copied(content);
            }
        }
        let (dirs, made, locked) = (disk.dirs.clone(), disk.made, BTreeMap::new());
        let disk = Mutex::new(Disk { files, durable, pending, dirs, made, locked });
        Self { shared: Arc::new(Shared { disk, unlocked: Condvar::new() }) }
    }

    /// The power goes: bytes that were not synced and names whose directory was not synced are
    /// gone, and all locks with them.
    pub fn crash(&self) {
        self.power_cut(&mut |_| 0);
    }

    /// The power goes, and `below(n)` says, with a number below `n`, how much of what was not synced
    /// is there afterwards: of the changes of names in a directory the first few, of the bytes of a
    /// file none, all, a first part, a first part and zeros, or, of what was written over others, a last
    /// part.
    pub fn power_cut(&self, below: &mut dyn FnMut(u64) -> u64) {
        let mut disk = held(&self.shared.disk);
        let mut durable = std::mem::take(&mut disk.durable);
        for (_, ops) in std::mem::take(&mut disk.pending) {
            let left = usize::try_from(below(ops.len() as u64 + 1)).unwrap_or(0);
            for op in ops.into_iter().take(left) {
                op.apply(&mut durable);
            }
        }
        for content in durable.values() {
            let mut content = held(content);
            let Content { bytes, synced, .. } = &mut *content;
            let same = bytes.iter().zip(&*synced).take_while(|(new, old)| new == old).count();
            if same < bytes.len() {
                let mut part = || below((bytes.len() - same) as u64);
                let (way, cut) = (part() % 5, same + usize::try_from(part()).unwrap_or(0));
                let [new, old] = [&*bytes, &*synced].map(|b| b.split_at_checked(cut));
                let (new, old) = (new.unwrap_or((bytes, &[])), old.unwrap_or((synced, &[])));
                let left = match way {
                    0 => synced.clone(),
                    1 => bytes.clone(),
                    2 => [new.0, old.1].concat(),
                    4 if bytes.len() == synced.len() => [old.0, new.1].concat(),
                    _ => {
                        let mut left = [new.0, old.1].concat();
                        left.resize(bytes.len(), 0);
                        left
                    }
                };
                *synced = left;
            }
            *bytes = synced.clone();
        }
        disk.files = durable.clone();
        disk.durable = durable;
        disk.locked.clear();
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
struct MemoryFile {
    content: Arc<Mutex<Content>>,
    /// Where what was appended ends, where there is room behind it.
    end: Option<usize>,
}

impl AppendFile for MemoryFile {
    fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        let mut content = held(&self.content);
        let from = self.end.unwrap_or(content.bytes.len());
        let to = from + bytes.len();
        if content.bytes.len() < to {
            content.bytes.resize(to, 0);
        }
        content.bytes.get_mut(from..to).unwrap_or_default().copy_from_slice(bytes);
        self.end = self.end.map(|_| to);
        Ok(())
    }

    fn sync(&mut self) -> io::Result<()> {
        let mut content = held(&self.content);
        content.synced = content.bytes.clone();
        Ok(())
    }

    fn reserve(&mut self, bytes: u64) -> io::Result<()> {
        let mut content = held(&self.content);
        let end = self.end.unwrap_or(content.bytes.len());
        let to = end.saturating_add(usize::try_from(bytes).unwrap_or(usize::MAX));
        if content.bytes.len() < to {
            content.bytes.resize(to, 0);
        }
        self.end = Some(end);
        Ok(())
    }

    fn end(&self) -> io::Result<u64> {
        Ok(self.end.unwrap_or_else(|| held(&self.content).bytes.len()) as u64)
    }

    fn truncate(&mut self, len: u64) -> io::Result<()> {
        self.end = None;
        let mut content = held(&self.content);
        content.bytes.truncate(usize::try_from(len).unwrap_or(usize::MAX));
        content.synced = content.bytes.clone();
        Ok(())
    }
}

#[derive(Debug)]
struct MemoryLock {
    shared: Arc<Shared>,
    path: PathBuf,
    id: u64,
}

impl Lock for MemoryLock {}

impl Drop for MemoryLock {
    fn drop(&mut self) {
        let mut disk = held(&self.shared.disk);
        // After a crash another may hold it.
        if disk.locked.get(&self.path) == Some(&self.id) {
            disk.locked.remove(&self.path);
        }
        drop(disk);
        self.shared.unlocked.notify_all();
    }
}

impl Files for MemoryFiles {
    fn read_part(&self, path: &Path, offset: u64, most: u64) -> io::Result<Vec<u8>> {
        let disk = held(&self.shared.disk);
        let content = held(disk.files.get(path).ok_or_else(|| not_found(path))?);
        let offset = usize::try_from(offset).unwrap_or(usize::MAX);
        let most = usize::try_from(most).unwrap_or(usize::MAX);
        let bytes = content.bytes.get(offset..).unwrap_or_default();
        Ok(bytes.get(..most).unwrap_or(bytes).to_vec())
    }

    fn rewrite(&self, path: &Path, offset: u64, bytes: &[u8]) -> io::Result<()> {
        let disk = held(&self.shared.disk);
        let mut content = held(disk.files.get(path).ok_or_else(|| not_found(path))?);
        let from = usize::try_from(offset).unwrap_or(usize::MAX);
        let end = from.saturating_add(bytes.len());
        let Content { bytes: now, synced, .. } = &mut *content;
        // What it was told to write is durable, and nothing else.
        for file in [now, synced] {
            if file.len() < end {
                file.resize(end, 0);
            }
            file.get_mut(from..end).unwrap_or_default().copy_from_slice(bytes);
        }
        Ok(())
    }

    fn sync(&self, path: &Path) -> io::Result<()> {
        let disk = held(&self.shared.disk);
        let mut content = held(disk.files.get(path).ok_or_else(|| not_found(path))?);
        content.synced = content.bytes.clone();
        Ok(())
    }

    fn open(&self, path: &Path) -> io::Result<Box<dyn AppendFile>> {
        let mut disk = held(&self.shared.disk);
        let parent = path.parent().unwrap_or(Path::new(""));
        if !disk.dirs.contains(parent) {
            return Err(not_found(parent));
        }
        if let Some(content) = disk.files.get(path) {
            return Ok(Box::new(MemoryFile { content: Arc::clone(content), end: None }));
        }
        disk.made += 1;
        let content = Arc::new(Mutex::new(Content { id: disk.made, ..Content::default() }));
        disk.change(path, NameOp::Link(path.to_owned(), Arc::clone(&content)));
        Ok(Box::new(MemoryFile { content, end: None }))
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
        if disk.files.contains_key(from) {
            disk.change(to, NameOp::Move(from.to_owned(), to.to_owned()));
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
        let mut disk = held(&self.shared.disk);
        if !disk.files.contains_key(path) {
            return Err(not_found(path));
        }
        disk.change(path, NameOp::Unlink(path.to_owned()));
        Ok(())
    }

    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        let mut disk = held(&self.shared.disk);
        for op in disk.pending.remove(dir).into_iter().flatten() {
            op.apply(&mut disk.durable);
        }
        Ok(())
    }

    fn lock(&self, path: &Path, wait: bool) -> io::Result<Option<Box<dyn Lock>>> {
        drop(self.open(path)?);
        let mut disk = held(&self.shared.disk);
        while disk.locked.contains_key(path) {
            if !wait {
                return Ok(None);
            }
            let woken = self.shared.unlocked.wait(disk);
            disk = woken.unwrap_or_else(PoisonError::into_inner);
        }
        disk.made += 1;
        let id = disk.made;
        disk.locked.insert(path.to_owned(), id);
        let lock = MemoryLock { shared: Arc::clone(&self.shared), path: path.to_owned(), id };
        Ok(Some(Box::new(lock)))
    }
}
