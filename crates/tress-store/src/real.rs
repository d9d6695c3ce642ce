//! The real file system.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use crate::files::{AppendFile, DirEntry, Files, Lock};

/// The real file system.
#[derive(Debug, Clone, Copy, Default)]
pub struct RealFiles;

#[derive(Debug)]
struct RealFile {
    file: File,
    path: PathBuf,
    room: Option<Room>,
}

/// How many zeros are written at once.
const ZEROS_MAX: u64 = 512 << 10;

/// A file with zeros behind what was appended.
#[derive(Debug)]
struct Room {
    /// The same file, which stands at `end`: one that is open for appending is written at its end only.
    file: File,
    end: u64,
}

impl RealFile {
    /// The same file, opened to be written anywhere. Another one that was put in its place meanwhile is left alone.
    #[cfg(unix)]
    fn again(&self) -> io::Result<File> {
        use std::os::unix::fs::MetadataExt;
        let file = OpenOptions::new().write(true).open(&self.path)?;
        let [ours, there] = [self.file.metadata()?, file.metadata()?];
        if (ours.dev(), ours.ino()) == (there.dev(), there.ino()) {
            Ok(file)
        } else {
            Err(io::Error::other("another file was put in its place"))
        }
    }

    #[cfg(not(unix))]
    fn again(&self) -> io::Result<File> {
        Err(io::ErrorKind::Unsupported.into())
    }
}

impl AppendFile for RealFile {
    fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        let Some(room) = &mut self.room else { return self.file.write_all(bytes) };
        room.file.write_all(bytes)?;
        room.end += bytes.len() as u64;
        Ok(())
    }

    fn sync(&mut self) -> io::Result<()> {
        self.file.sync_data()
    }

    fn reserve(&mut self, bytes: u64) -> io::Result<()> {
        let end = self.end()?;
        let mut file = match self.room.take() {
            Some(room) => room.file,
            None => self.again()?,
        };
        let len = file.seek(SeekFrom::End(0))?;
        let mut lacking = end.saturating_add(bytes).saturating_sub(len);
        // Zeros that are written: room that a file system only notes has to be noted again.
        let zeros = vec![0; usize::try_from(lacking.min(ZEROS_MAX)).unwrap_or(0)];
        while lacking > 0 {
            let part = usize::try_from(lacking).unwrap_or(usize::MAX).min(zeros.len());
            file.write_all(zeros.get(..part).unwrap_or(&zeros))?;
            lacking -= part as u64;
        }
        file.seek(SeekFrom::Start(end))?;
        self.room = Some(Room { file, end });
        Ok(())
    }

    fn end(&self) -> io::Result<u64> {
        match &self.room {
            Some(room) => Ok(room.end),
            None => self.file.metadata().map(|metadata| metadata.len()),
        }
    }

    fn truncate(&mut self, len: u64) -> io::Result<()> {
        self.room = None;
        self.file.set_len(len)?;
        self.file.sync_all()
    }
}

/// Held while the file is open; the operating system lets go of it when the process ends.
#[derive(Debug)]
struct RealLock {
    _file: File,
}

impl Lock for RealLock {}

/// The inode, and when the file came into being: an inode is given to the next file as soon as its
/// own is gone.
#[cfg(unix)]
fn identity(metadata: &std::fs::Metadata) -> u64 {
    let born = metadata.created().ok();
    let born = born.and_then(|born| born.duration_since(std::time::UNIX_EPOCH).ok());
    let born =
        born.map_or(0, |born| born.as_secs().rotate_left(30) ^ u64::from(born.subsec_nanos()));
    std::os::unix::fs::MetadataExt::ino(metadata).rotate_left(40) ^ born
}

/// How often a directory is listed that changes meanwhile.
const LISTS_MAX: usize = 8;

/// What is in a directory, and whether none of it was gone when it was looked at.
fn list(dir: &Path) -> io::Result<(Vec<DirEntry>, bool)> {
    let (mut entries, mut whole) = (Vec::new(), true);
    for entry in std::fs::read_dir(dir)? {
        let entry = entry?;
        let Ok(metadata) = entry.metadata() else {
            whole = false;
            continue;
        };
        let Ok(name) = entry.file_name().into_string() else {
            continue;
        };
        let len = if metadata.is_dir() { 0 } else { metadata.len() };
        #[cfg(unix)]
        let id = identity(&metadata);
        #[cfg(not(unix))]
        let id = 0;
        entries.push(DirEntry { name, is_dir: metadata.is_dir(), len, id });
    }
    entries.sort_by(|a, b| a.name.cmp(&b.name));
    Ok((entries, whole))
}

impl Files for RealFiles {
    fn read_part(&self, path: &Path, offset: u64, most: u64) -> io::Result<Vec<u8>> {
        let mut file = File::open(path)?;
        let len = file.metadata()?.len().saturating_sub(offset).min(most);
        if offset > 0 {
            file.seek(SeekFrom::Start(offset))?;
        }
        let mut bytes = Vec::with_capacity(usize::try_from(len).unwrap_or(0));
        file.take(most).read_to_end(&mut bytes)?;
        Ok(bytes)
    }

    fn rewrite(&self, path: &Path, offset: u64, bytes: &[u8]) -> io::Result<()> {
        // A file that is open for appending is written at its end only.
        let mut file = OpenOptions::new().write(true).open(path)?;
        file.seek(SeekFrom::Start(offset))?;
        file.write_all(bytes)?;
        file.sync_data()
    }

    fn sync(&self, path: &Path) -> io::Result<()> {
        OpenOptions::new().append(true).open(path)?.sync_data()
    }

    fn open(&self, path: &Path) -> io::Result<Box<dyn AppendFile>> {
        let file = OpenOptions::new().append(true).create(true).open(path)?;
        Ok(Box::new(RealFile { file, path: path.to_owned(), room: None }))
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<DirEntry>> {
        // An entry may go between the listing and the look at it; what came in its place is in the next listing.
        for _ in 0..LISTS_MAX {
            let (entries, whole) = list(dir)?;
            if whole {
                return Ok(entries);
            }
        }
        list(dir).map(|(entries, _)| entries)
    }

    fn create_dir(&self, dir: &Path) -> io::Result<()> {
        if dir.is_dir() {
            return Ok(());
        }
        let parent = dir.parent().filter(|parent| !parent.as_os_str().is_empty());
        if let Some(parent) = parent {
            self.create_dir(parent)?;
        }
        match std::fs::create_dir(dir) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
            _ => {}
        }
        parent.map_or(Ok(()), |parent| self.sync_dir(parent))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        std::fs::rename(from, to)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        std::fs::remove_file(path)
    }

    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        // A directory cannot be opened as a file everywhere; where it cannot, there is no need.
        if cfg!(unix) { File::open(dir)?.sync_all() } else { Ok(()) }
    }

    fn lock(&self, path: &Path, wait: bool) -> io::Result<Option<Box<dyn Lock>>> {
        let file = OpenOptions::new().append(true).create(true).open(path)?;
        if wait {
            file.lock()?;
        } else {
            match file.try_lock() {
                Ok(()) => {}
                Err(TryLockError::WouldBlock) => return Ok(None),
                Err(TryLockError::Error(error)) => return Err(error),
            }
        }
        Ok(Some(Box::new(RealLock { _file: file })))
    }
}

/// Removes a directory in which nothing is.
pub(crate) fn remove_empty(dir: &Path) -> io::Result<()> {
    std::fs::remove_dir(dir)
}
