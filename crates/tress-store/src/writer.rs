//! Writing a journal: one process at a time, frame behind frame.

use std::path::{Path, PathBuf};

use tress_model::Segment;
use tress_model::codec::{self, Written};
use tress_model::event::Seal;
use tress_model::ids::{EventId, ReplicaId, StoreId};

use crate::files::{AppendFile, Files};
use crate::frame::{self, FrameKind};
use crate::journal::{
    Damage, FILE_BYTES, JournalHeader, JournalPosition, file_name, file_number, is_room,
};
use crate::place::Mark;
use crate::store::StoreError;

/// How many directories lead to a journal in a store, its own and that of all runs among them.
const DIRS_ABOVE: usize = 5;
/// How much room a journal makes for what comes: zeros behind its last frame, for a writer that writes often. Room
/// for so many frames like the one that is written, between these bounds.
const ROOM: std::ops::RangeInclusive<u64> = 64 << 10..=256 << 10;
const ROOM_FOR: u64 = 32;

/// Makes the names of a journal's directory and of those above it in the store durable. Whoever made
/// one of them may have died before it was.
fn sync_path(files: &dyn Files, dir: &Path) -> Result<(), StoreError> {
    for dir in dir.ancestors().take(DIRS_ABOVE) {
        match files.sync_dir(dir) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => break,
            synced => synced.map_err(|error| StoreError::io("sync", dir, error))?,
        }
    }
    Ok(())
}

/// The number of the file behind the one with this number.
fn following(number: u32) -> Result<u32, StoreError> {
    let no_more = || StoreError::Internal("a journal has no more file names".to_owned());
    number.checked_add(1).ok_or_else(no_more)
}

/// Writes one journal. Its replica is held while it exists.
#[derive(Debug)]
pub struct JournalWriter {
    dir: PathBuf,
    header: JournalHeader,
    file: Box<dyn AppendFile>,
    position: JournalPosition,
    /// When the next file is begun.
    file_bytes: u64,
    /// After how many syncs more there is to be room; `None` where there never is.
    room_after: Option<u32>,
    /// Where the room ends; 0 where there is none.
    room: u64,
    /// Whether a frame lies over the room that is not synced.
    over_room: bool,
    /// Whether no room is to be made before the next sync.
    plain: bool,
    /// After a failed write or sync nothing more is written: what is on disk is not known.
    failed: bool,
}

impl JournalWriter {
    /// Opens the journal to go on with it, or begins it. A torn tail is cut; everything that is
    /// read back is made durable first, for it may have been written by one who died before
    /// syncing it.
    ///
    /// # Errors
    /// [`StoreError::Damaged`] when the last file has a damaged frame before valid ones: its
    /// replica must not be written any more.
    pub fn open(files: &dyn Files, dir: &Path, header: JournalHeader) -> Result<Self, StoreError> {
        Self::open_marked(files, dir, header, None)
    }

    /// The same, for a journal that went as far as `mark` before.
    ///
    /// # Errors
    /// As [`JournalWriter::open`]; also [`StoreError::Damaged`] when it ends before.
    pub(crate) fn open_marked(
        files: &dyn Files,
        dir: &Path,
        header: JournalHeader,
        mark: Option<Mark>,
    ) -> Result<Self, StoreError> {
        files.create_dir(dir).map_err(|error| StoreError::io("create", dir, error))?;
        let listed = files.list(dir).map_err(|error| StoreError::io("list", dir, error))?;
        let last = listed.iter().filter_map(|entry| file_number(&entry.name)).max();
        let Some(number) = last else {
            if let Some(mark) = mark {
                let path = dir.join(file_name(mark.position.file));
                let reason = format!("it is gone: it held event {} before", mark.number);
                return Err(StoreError::Damaged(Damage { path, offset: 0, reason }));
            }
            return Self::begin(files, dir, header, 1);
        };
        let path = dir.join(file_name(number));
        let error = |action| move |error| StoreError::io(action, &path, error);
        let path = dir.join(file_name(number));
        let bytes = files.read(&path, 0).map_err(error("read"))?;
        let end = frame::end(&bytes);
        if end < bytes.len() && frame::find(&bytes, end + 1).is_some() {
            let reason = "valid frames follow bytes that are none".to_owned();
            return Err(StoreError::Damaged(Damage { path, offset: end as u64, reason }));
        }
        let reached = JournalPosition { file: number, offset: end as u64 };
        if let Some(mark) = mark.filter(|mark| reached < mark.position) {
            let reason = format!("it was cut: it held event {} before", mark.number);
            return Err(StoreError::Damaged(Damage { path, offset: end as u64, reason }));
        }
        if end < bytes.len() {
            // What one read gave and another does not is no torn tail.
            let again = files.read(&path, 0).map_err(|e| StoreError::io("read", &path, e))?;
            if again != bytes {
                let error = std::io::Error::other("two reads gave different bytes");
                return Err(StoreError::io("read", &path, error));
            }
        }
        let mut file = match files.open(&path) {
            // It is packed, and what followed it is gone.
            Err(error) if error.kind() == std::io::ErrorKind::ReadOnlyFilesystem => {
                if end < bytes.len() {
                    let reason = "its end is no valid frame, and it is packed".to_owned();
                    return Err(StoreError::Damaged(Damage { path, offset: end as u64, reason }));
                }
                return Self::begin(files, dir, header, following(number)?);
            }
            opened => opened.map_err(|e| StoreError::io("open", &path, e))?,
        };
        if end < bytes.len() {
            if !bytes.get(end..).is_some_and(is_room) {
                tracing::warn!(path = %path.display(), bytes = bytes.len() - end, "cut a torn tail");
            }
            file.truncate(end as u64).map_err(|e| StoreError::io("cut", &path, e))?;
        }
        if end == 0 {
            drop(file);
            files.remove(&path).map_err(|e| StoreError::io("remove", &path, e))?;
            return Self::begin(files, dir, header, number);
        }
        // Up to the mark it is durable, and so is that it is there.
        let marked = mark.filter(|mark| mark.position.file == number);
        if marked.is_none_or(|mark| mark.position.offset < bytes.len() as u64) {
            file.sync().map_err(|e| StoreError::io("sync", &path, e))?;
        }
        if marked.is_none() {
            sync_path(files, dir)?;
        }
        Ok(Self::at(dir, header, file, reached))
    }

    fn begin(
        files: &dyn Files,
        dir: &Path,
        header: JournalHeader,
        number: u32,
    ) -> Result<Self, StoreError> {
        let path = dir.join(file_name(number));
        let error = |error| StoreError::io("write", &path, error);
        let bytes = frame::encode(FrameKind::Header, 0, EventId::GENESIS, &header.body()?);
        let mut file = files.open(&path).map_err(error)?;
        file.append(&bytes).map_err(error)?;
        file.sync().map_err(error)?;
        sync_path(files, dir)?;
        let position = JournalPosition { file: number, offset: bytes.len() as u64 };
        Ok(Self::at(dir, header, file, position))
    }

    fn at(
        dir: &Path,
        header: JournalHeader,
        file: Box<dyn AppendFile>,
        position: JournalPosition,
    ) -> Self {
        let dir = dir.to_owned();
        Self {
            dir,
            header,
            file,
            position,
            file_bytes: FILE_BYTES,
            room_after: None,
            room: 0,
            over_room: false,
            plain: false,
            failed: false,
        }
    }

    /// The same, which makes room for what comes when it was synced `after` times.
    #[must_use]
    pub(crate) fn with_room(mut self, after: u32) -> Self {
        self.room_after = Some(after);
        self
    }

    /// The same, which begins its next file at `file_bytes`.
    #[must_use]
    pub(crate) fn in_files_of(mut self, file_bytes: u64) -> Self {
        self.file_bytes = file_bytes;
        self
    }

    /// Whether the journal in `dir` holds nothing but headers, whole or torn.
    ///
    /// # Errors
    /// When it cannot be read.
    pub(crate) fn is_only_begun(files: &dyn Files, dir: &Path) -> Result<bool, StoreError> {
        let listed = files.list(dir).map_err(|error| StoreError::io("list", dir, error))?;
        for entry in listed.iter().filter(|entry| entry.name.ends_with(".log")) {
            let path = dir.join(&entry.name);
            let bytes = files.read(&path, 0).map_err(|e| StoreError::io("read", &path, e))?;
            let mut at = 0;
            while let Some(found) = frame::find(&bytes, at) {
                let rest = bytes.get(found..).and_then(frame::decode);
                let Some(header) = rest.filter(|frame| frame.kind == FrameKind::Header) else {
                    return Ok(false);
                };
                at = found + header.len();
            }
        }
        Ok(true)
    }

    /// The replica that it writes.
    pub fn replica(&self) -> ReplicaId {
        self.header.replica
    }

    /// The store that the replica belongs to.
    pub fn store(&self) -> StoreId {
        self.header.store
    }

    /// Its end.
    pub fn position(&self) -> JournalPosition {
        self.position
    }

    /// Writes events. They are durable after [`JournalWriter::sync`].
    ///
    /// # Errors
    /// When they are too large, or cannot be written; then the journal must be opened anew.
    pub fn append_segment(
        &mut self,
        files: &dyn Files,
        segment: &Segment,
    ) -> Result<(), StoreError> {
        self.append_written(files, &segment.try_into()?)
    }

    /// Writes events that are encoded already. They are durable after [`JournalWriter::sync`].
    ///
    /// # Errors
    /// When they cannot be written; then the journal must be opened anew.
    pub fn append_written(
        &mut self,
        files: &dyn Files,
        events: &Written,
    ) -> Result<(), StoreError> {
        self.append(files, FrameKind::Segment, events.first, events.previous, &events.body)
    }

    /// Writes an Automerge change. It is durable after [`JournalWriter::sync`].
    ///
    /// # Errors
    /// When it is too large, or cannot be written; then the journal must be opened anew.
    pub fn append_seal(&mut self, files: &dyn Files, seal: &Seal) -> Result<(), StoreError> {
        let body = codec::encode_seal(seal)?;
        self.append(files, FrameKind::Seal, 0, EventId::GENESIS, &body)
    }

    fn append(
        &mut self,
        files: &dyn Files,
        kind: FrameKind,
        first: u64,
        previous: EventId,
        body: &[u8],
    ) -> Result<(), StoreError> {
        self.check()?;
        if self.position.offset >= self.file_bytes {
            self.begin_next(files)?;
        }
        if self.over_room {
            // What is written over room becomes durable page by page, in any order: a whole frame behind
            // half a one would look like damage.
            self.sync()?;
        }
        let bytes = frame::encode(kind, first, previous, body);
        let (start, len) = (self.position.offset, bytes.len() as u64);
        if let Err(error) = self.make_room(len) {
            // It may be the room alone that there is no room for.
            tracing::debug!(%error, path = %self.path().display(), "made no room behind a journal");
            self.room_after = None;
            self.cut()?;
        }
        let written = self.file.append(&bytes);
        self.failed = written.is_err();
        written.map_err(|error| StoreError::io("write", &self.path(), error))?;
        self.over_room = start < self.room;
        self.position.offset += len;
        Ok(())
    }

    /// Goes on in a new file.
    pub(crate) fn begin_next(&mut self, files: &dyn Files) -> Result<(), StoreError> {
        self.sync()?;
        self.give_room_back()?;
        let next = following(self.position.file)?;
        // A file that was only half begun is found, and removed, when the journal is opened.
        self.failed = true;
        let (file_bytes, room_after) = (self.file_bytes, self.room_after);
        *self = Self::begin(files, &self.dir, self.header.clone(), next)?;
        (self.file_bytes, self.room_after) = (file_bytes, room_after);
        Ok(())
    }

    /// Makes room, where it is time, for what has so many bytes, and for more. Large pieces need none: they
    /// take longer to write than a sync to note how long the file is.
    fn make_room(&mut self, bytes: u64) -> std::io::Result<()> {
        let end = self.position.offset + bytes;
        let room = (bytes * ROOM_FOR).clamp(*ROOM.start(), *ROOM.end());
        if self.plain || self.room_after != Some(0) || end <= self.room || bytes > room / 4 {
            return Ok(());
        }
        self.file.reserve(bytes + room)?;
        self.room = end + room;
        Ok(())
    }

    /// Does without room until the next sync: several frames are to come, and over room each would have to be
    /// synced by itself.
    pub(crate) fn do_without_room(&mut self) -> Result<(), StoreError> {
        self.check()?;
        self.give_room_back()?;
        self.plain = true;
        Ok(())
    }

    /// Cuts the room that was not used.
    fn give_room_back(&mut self) -> Result<(), StoreError> {
        if self.room > self.position.offset { self.cut() } else { Ok(()) }
    }

    /// Cuts what lies behind the last frame. Where that fails, nobody knows what of the file is durable.
    fn cut(&mut self) -> Result<(), StoreError> {
        self.failed = true;
        let cut = self.file.truncate(self.position.offset);
        cut.map_err(|error| StoreError::io("cut", &self.path(), error))?;
        (self.failed, self.room) = (false, 0);
        Ok(())
    }

    /// Makes durable what was appended.
    ///
    /// # Errors
    /// When that fails; then the journal must be opened anew.
    pub fn sync(&mut self) -> Result<(), StoreError> {
        self.check()?;
        let synced = self.file.sync();
        self.failed = synced.is_err();
        (self.over_room, self.plain) = (false, false);
        self.room_after = self.room_after.map(|after| after.saturating_sub(1));
        synced.map_err(|error| StoreError::io("sync", &self.path(), error))
    }

    fn check(&self) -> Result<(), StoreError> {
        if self.failed {
            let what = format!("{} failed before; open it anew", self.path().display());
            return Err(StoreError::Internal(what));
        }
        Ok(())
    }

    fn path(&self) -> PathBuf {
        self.dir.join(file_name(self.position.file))
    }

    /// Whether a write or a sync failed, so that it must be opened anew.
    pub fn failed(&self) -> bool {
        self.failed
    }
}

impl Drop for JournalWriter {
    fn drop(&mut self) {
        // Where it cannot be given back, whoever opens the journal next cuts it.
        if !self.failed
            && let Err(error) = self.give_room_back()
        {
            tracing::debug!(%error, path = %self.path().display(), "kept the room behind a journal");
        }
    }
}
