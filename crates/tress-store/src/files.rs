//! The file-system seam: a few methods, all fallible. The real one, the one in memory and the
//! faulty ones of the tests pass the same conformance suite (`tests/it/conformance.rs`).

use std::fmt::Debug;
use std::io;
use std::path::Path;

/// One entry of a directory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DirEntry {
    /// Its name, without the directory.
    pub name: String,
    /// Whether it is a directory itself.
    pub is_dir: bool,
    /// Its length in bytes; 0 for a directory.
    pub len: u64,
    /// What tells it from another file that takes its place (inode and time of birth); 0 where
    /// the system has no such thing.
    pub id: u64,
}

/// A file that is open for appending. Nothing is durable before [`AppendFile::sync`] returns.
pub trait AppendFile: Send + Debug {
    /// Writes at the end.
    ///
    /// # Errors
    /// As the file system says; part of the bytes may be written then.
    fn append(&mut self, bytes: &[u8]) -> io::Result<()>;

    /// Makes everything durable that was appended (fdatasync).
    ///
    /// # Errors
    /// As the file system says; what was appended since the last sync may be lost then, and the
    /// file must be opened anew before it is written again.
    fn sync(&mut self) -> io::Result<()>;

    /// Makes room for so many bytes behind the end, as zeros: what is appended is written over them, and
    /// a sync that need not note a new length is faster. Lasts until the file is cut.
    ///
    /// # Errors
    /// As the file system says; there may be some room then.
    fn reserve(&mut self, bytes: u64) -> io::Result<()>;

    /// Where what was appended ends, in bytes.
    ///
    /// # Errors
    /// As the file system says.
    fn end(&self) -> io::Result<u64>;

    /// Cuts the file, and its room, durably.
    ///
    /// # Errors
    /// As the file system says.
    fn truncate(&mut self, len: u64) -> io::Result<()>;
}

/// A lock that is held until it is dropped, or until the process ends, however it ends.
pub trait Lock: Send + Sync + Debug {}

/// What the store needs of a file system.
pub trait Files: Send + Sync + Debug {
    /// Reads from `offset` on, and no more than `most` bytes: fewer only where the file ends.
    ///
    /// # Errors
    /// `NotFound` where there is no such file; else as the file system says.
    fn read_part(&self, path: &Path, offset: u64, most: u64) -> io::Result<Vec<u8>>;

    /// Reads from `offset` to the end.
    ///
    /// # Errors
    /// As [`Files::read_part`].
    fn read(&self, path: &Path, offset: u64) -> io::Result<Vec<u8>> {
        self.read_part(path, offset, u64::MAX)
    }

    /// Writes once more, durably, what a file has from `offset` on: after a failed sync the system may
    /// take for clean what it never wrote, so that another sync proves nothing.
    ///
    /// # Errors
    /// As the file system says.
    fn rewrite(&self, path: &Path, offset: u64, bytes: &[u8]) -> io::Result<()>;

    /// Makes durable what a file has (fdatasync), whoever wrote it.
    ///
    /// # Errors
    /// `NotFound` where there is no such file; else as the file system says.
    fn sync(&self, path: &Path) -> io::Result<()>;

    /// Opens a file for appending; makes it where it is not there.
    ///
    /// # Errors
    /// As the file system says.
    fn open(&self, path: &Path) -> io::Result<Box<dyn AppendFile>>;

    /// What is in a directory, by name.
    ///
    /// # Errors
    /// `NotFound` where there is no such directory; else as the file system says.
    fn list(&self, dir: &Path) -> io::Result<Vec<DirEntry>>;

    /// Makes a directory and those above it, durably.
    ///
    /// # Errors
    /// As the file system says.
    fn create_dir(&self, dir: &Path) -> io::Result<()>;

    /// Moves a file or a directory, in place of what has the new name. Durable after
    /// [`Files::sync_dir`] of both directories.
    ///
    /// # Errors
    /// As the file system says.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;

    /// Removes a file.
    ///
    /// # Errors
    /// As the file system says.
    fn remove(&self, path: &Path) -> io::Result<()>;

    /// Makes the names in a directory durable.
    ///
    /// # Errors
    /// As the file system says.
    fn sync_dir(&self, dir: &Path) -> io::Result<()>;

    /// Locks the file at `path`, which is made where it is not there. `None` where another holds
    /// it and `wait` is false.
    ///
    /// # Errors
    /// `Unsupported` where the file system has no locks; else as the file system says.
    fn lock(&self, path: &Path, wait: bool) -> io::Result<Option<Box<dyn Lock>>>;
}

/// Writes a whole file durably: beside its place first, then in it.
///
/// # Errors
/// As the file system says; the file is then as it was.
pub fn write_whole(files: &dyn Files, path: &Path, bytes: &[u8]) -> io::Result<()> {
    let beside = path.with_extension("new");
    match files.remove(&beside) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut file = files.open(&beside)?;
    file.append(bytes)?;
    file.sync()?;
    drop(file);
    files.rename(&beside, path)?;
    path.parent().map_or(Ok(()), |dir| files.sync_dir(dir))
}
