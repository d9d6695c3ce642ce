//! A file system that fails on purpose, for tests and simulations: any call can fail, do a part of
//! its work, claim to have done it, or be the last of its process.

use std::fmt::{self, Debug};
use std::io;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::files::{AppendFile, DirEntry, Files, Lock};
use crate::memory::MemoryFiles;

/// What is asked of a file system.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Call {
    /// [`Files::read`].
    Read,
    /// [`Files::rewrite`].
    Rewrite,
    /// [`Files::open`].
    Open,
    /// [`Files::list`].
    List,
    /// [`Files::create_dir`].
    CreateDir,
    /// [`Files::rename`].
    Rename,
    /// [`Files::remove`].
    Remove,
    /// [`Files::sync_dir`].
    SyncDir,
    /// [`Files::lock`].
    Lock,
    /// [`AppendFile::append`].
    Append,
    /// [`AppendFile::sync`], [`Files::sync`].
    Sync,
    /// [`AppendFile::reserve`].
    Reserve,
    /// [`AppendFile::end`].
    End,
    /// [`AppendFile::truncate`].
    Truncate,
}

impl Call {
    /// Whether it needs room on the disk.
    pub const fn needs_room(self) -> bool {
        matches!(
            self,
            Self::Open | Self::CreateDir | Self::Rename | Self::Append | Self::Reserve | Self::Lock
        )
    }
}

/// What goes wrong with a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// Nothing is done, and an error is given back.
    Error(io::ErrorKind),
    /// So many bytes are written, and an error is given back. As `Error` where nothing is written.
    Short(usize, io::ErrorKind),
    /// The work is done, and an error is given back.
    Late(io::ErrorKind),
    /// Nothing is done, and nothing is said of it.
    Vanish,
    /// A bit of what is read is flipped, this time; the disk is as it was.
    Flip(usize),
    /// So many bytes are written, and the process is dead: every later call fails.
    Die(usize),
}

type Plan = dyn FnMut(u64, Call, &Path) -> Option<Fault> + Send;

#[derive(Default)]
struct State {
    calls: u64,
    dead: bool,
    plan: Option<Box<Plan>>,
}

/// One process's view of a disk. Clones share the view and its faults.
#[derive(Clone)]
pub struct FaultyFiles {
    disk: MemoryFiles,
    state: Arc<Mutex<State>>,
}

impl Debug for FaultyFiles {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FaultyFiles").field("calls", &self.calls()).finish_non_exhaustive()
    }
}

fn held(state: &Mutex<State>) -> MutexGuard<'_, State> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

fn dead() -> io::Error {
    io::Error::other("the process is dead")
}

impl FaultyFiles {
    /// The view that a new process has of `disk`. Nothing fails yet.
    pub fn on(disk: &MemoryFiles) -> Self {
        Self { disk: disk.clone(), state: Arc::default() }
    }

    /// The disk beneath.
    pub fn disk(&self) -> &MemoryFiles {
        &self.disk
    }

    /// From now on, `plan` says what goes wrong with each call, which it is given by its number
    /// (from 1, over the life of the view), what it is, and on what.
    pub fn plan(&self, plan: impl FnMut(u64, Call, &Path) -> Option<Fault> + Send + 'static) {
        held(&self.state).plan = Some(Box::new(plan));
    }

    /// From now on nothing fails, unless the process is dead.
    pub fn heal(&self) {
        held(&self.state).plan = None;
    }

    /// How many calls there were.
    pub fn calls(&self) -> u64 {
        held(&self.state).calls
    }

    /// Whether the process is dead.
    pub fn is_dead(&self) -> bool {
        held(&self.state).dead
    }

    fn next(&self, call: Call, path: &Path) -> io::Result<Option<Fault>> {
        let mut state = held(&self.state);
        if state.dead {
            return Err(dead());
        }
        state.calls += 1;
        let number = state.calls;
        let fault = state.plan.as_mut().and_then(|plan| plan(number, call, path));
        state.dead = matches!(fault, Some(Fault::Die(_)));
        Ok(fault)
    }

    /// Does `work`, as far as the plan lets it.
    fn call<T>(
        &self,
        call: Call,
        path: &Path,
        pretended: impl FnOnce() -> Option<T>,
        work: impl FnOnce(&MemoryFiles) -> io::Result<T>,
    ) -> io::Result<T> {
        match self.next(call, path)? {
            None | Some(Fault::Flip(_)) => work(&self.disk),
            Some(Fault::Error(kind) | Fault::Short(_, kind)) => Err(kind.into()),
            Some(Fault::Late(kind)) => work(&self.disk).and_then(|_| Err(kind.into())),
            Some(Fault::Vanish) => match pretended() {
                Some(value) => Ok(value),
                None => work(&self.disk),
            },
            Some(Fault::Die(after)) => {
                // A call that is not a write is done, or not.
                if after > 0 {
                    let _ = work(&self.disk);
                }
                Err(dead())
            }
        }
    }
}

/// A lock that keeps nobody out.
#[derive(Debug)]
struct NoLock;

impl Lock for NoLock {}

#[derive(Debug)]
struct FaultyFile {
    file: Box<dyn AppendFile>,
    path: std::path::PathBuf,
    files: FaultyFiles,
}

impl FaultyFile {
    fn part(&mut self, bytes: &[u8], len: usize) {
        let _ = self.file.append(bytes.get(..len).unwrap_or(bytes));
    }
}

impl AppendFile for FaultyFile {
    fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        match self.files.next(Call::Append, &self.path)? {
            None | Some(Fault::Flip(_)) => self.file.append(bytes),
            Some(Fault::Error(kind)) => Err(kind.into()),
            Some(Fault::Short(len, kind)) => {
                self.part(bytes, len);
                Err(kind.into())
            }
            Some(Fault::Late(kind)) => self.file.append(bytes).and(Err(kind.into())),
            Some(Fault::Vanish) => Ok(()),
            Some(Fault::Die(len)) => {
                self.part(bytes, len);
                Err(dead())
            }
        }
    }

    fn sync(&mut self) -> io::Result<()> {
        let files = self.files.clone();
        files.call(Call::Sync, &self.path, || Some(()), |_| self.file.sync())
    }

    fn reserve(&mut self, bytes: u64) -> io::Result<()> {
        let files = self.files.clone();
        files.call(Call::Reserve, &self.path, || None, |_| self.file.reserve(bytes))
    }

    fn end(&self) -> io::Result<u64> {
        self.files.call(Call::End, &self.path, || None, |_| self.file.end())
    }

    fn truncate(&mut self, len: u64) -> io::Result<()> {
        let files = self.files.clone();
        files.call(Call::Truncate, &self.path, || None, |_| self.file.truncate(len))
    }
}

impl Files for FaultyFiles {
    fn read_part(&self, path: &Path, offset: u64, most: u64) -> io::Result<Vec<u8>> {
        let fault = self.next(Call::Read, path)?;
        let mut bytes = match fault {
            Some(Fault::Error(kind) | Fault::Short(_, kind) | Fault::Late(kind)) => {
                return Err(kind.into());
            }
            Some(Fault::Die(_)) => return Err(dead()),
            _ => self.disk.read_part(path, offset, most)?,
        };
        if let Some(Fault::Flip(bit)) = fault {
            let at = (bit / 8).checked_rem(bytes.len()).unwrap_or(0);
            if let Some(byte) = bytes.get_mut(at) {
                *byte ^= 1 << (bit % 8);
            }
        }
        Ok(bytes)
    }

    fn rewrite(&self, path: &Path, offset: u64, bytes: &[u8]) -> io::Result<()> {
        self.call(Call::Rewrite, path, || Some(()), |disk| disk.rewrite(path, offset, bytes))
    }

    fn sync(&self, path: &Path) -> io::Result<()> {
        self.call(Call::Sync, path, || Some(()), |disk| disk.sync(path))
    }

    fn open(&self, path: &Path) -> io::Result<Box<dyn AppendFile>> {
        let file = self.call(Call::Open, path, || None, |disk| disk.open(path))?;
        Ok(Box::new(FaultyFile { file, path: path.to_owned(), files: self.clone() }))
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<DirEntry>> {
        self.call(Call::List, dir, || None, |disk| disk.list(dir))
    }

    fn create_dir(&self, dir: &Path) -> io::Result<()> {
        self.call(Call::CreateDir, dir, || None, |disk| disk.create_dir(dir))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.call(Call::Rename, to, || None, |disk| disk.rename(from, to))
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        self.call(Call::Remove, path, || None, |disk| disk.remove(path))
    }

    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        self.call(Call::SyncDir, dir, || Some(()), |disk| disk.sync_dir(dir))
    }

    fn lock(&self, path: &Path, wait: bool) -> io::Result<Option<Box<dyn Lock>>> {
        let granted = || Some(Some(Box::new(NoLock) as Box<dyn Lock>));
        self.call(Call::Lock, path, granted, |disk| disk.lock(path, wait))
    }
}
