//! Journals: one replica's append-only files, read by all and written by one process at a time.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use tress_model::Segment;
use tress_model::codec::{self, EventHasher, FORMAT, FormatVersion};
use tress_model::event::{Hashed, Seal};
use tress_model::ids::{ReplicaId, StoreId};

use crate::ahead::{self, Ahead};
use crate::files::Files;
use crate::frame::{self, Frame, FrameKind};
use crate::place::Mark;
use crate::repairs::Skip;
use crate::store::StoreError;

/// A journal goes on in a new file when one has this many bytes (8 MiB). Whoever opens it for
/// writing checks its last file whole, which at this length takes some milliseconds.
pub const FILE_BYTES: u64 = 8 << 20;
/// How often a stretch is read that is never the same twice.
const READS_MAX: usize = 8;
/// How much of a file is read to find its header; what it says takes some 150 bytes.
pub(crate) const HEADER_READ: u64 = 4096;

/// Whose journal a file is, and in which format. The body of its first frame, as JSON.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct JournalHeader {
    /// The format of everything behind it.
    pub format: FormatVersion,
    /// The replica that writes it.
    pub replica: ReplicaId,
    /// The store that the replica belongs to.
    pub store: StoreId,
    /// The run.
    pub run: String,
}

impl JournalHeader {
    pub(crate) fn body(&self) -> Result<Vec<u8>, StoreError> {
        serde_json::to_vec(self)
            .map_err(|error| StoreError::Internal(format!("a header does not encode: {error}")))
    }
}

/// How far a journal was read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct JournalPosition {
    /// The number of the file, from 1.
    pub file: u32,
    /// Where in it.
    pub offset: u64,
}

impl JournalPosition {
    /// How many bytes lie before it, where each file was gone on with until it was full.
    fn bytes(self) -> u64 {
        u64::from(self.file.saturating_sub(1))
            .saturating_mul(FILE_BYTES)
            .saturating_add(self.offset)
    }
}

impl Default for JournalPosition {
    fn default() -> Self {
        Self { file: 1, offset: 0 }
    }
}

/// Bytes in which no valid frame begins although valid ones follow, or that cannot be understood.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Damage {
    /// The file.
    pub path: PathBuf,
    /// Where in it.
    pub offset: u64,
    /// What is wrong.
    pub reason: String,
}

impl std::fmt::Display for Damage {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} at byte {}: {}", self.path.display(), self.offset, self.reason)
    }
}

/// How far each journal was read.
pub type Positions = Vec<(ReplicaId, JournalPosition)>;

/// What a journal holds.
#[derive(Debug, Clone, PartialEq)]
pub enum Item {
    /// Events.
    Segment(Hashed),
    /// An Automerge change.
    Seal(Seal),
}

impl From<Segment> for Item {
    fn from(segment: Segment) -> Self {
        Self::Segment(segment.into())
    }
}

impl Item {
    /// The events, if it is events.
    pub fn as_segment(&self) -> Option<&Segment> {
        match self {
            Self::Segment(segment) => Some(segment),
            Self::Seal(_) => None,
        }
    }

    /// The events, if it is events.
    pub fn into_segment(self) -> Option<Segment> {
        self.into_hashed().map(Hashed::into_segment)
    }

    /// The events with their ids, if it is events.
    pub fn into_hashed(self) -> Option<Hashed> {
        match self {
            Self::Segment(segment) => Some(segment),
            Self::Seal(_) => None,
        }
    }
}

/// What lies before the zeros at the end.
pub(crate) fn without_room(bytes: &[u8]) -> &[u8] {
    let mut end = bytes.len();
    for stretch in bytes.rchunks(STRETCH) {
        if is_zero(stretch) {
            end -= stretch.len();
            continue;
        }
        end -= stretch.iter().rev().take_while(|byte| **byte == 0).count();
        break;
    }
    bytes.get(..end).unwrap_or(bytes)
}

/// How many bytes are looked at as one: a look at each by itself takes ten times as long.
const STRETCH: usize = 256;

fn is_zero(stretch: &[u8]) -> bool {
    stretch.iter().fold(0, |all, byte| all | byte) == 0
}

/// What a file holds, as two looks at it agree: where it is written meanwhile, the first may have seen a page
/// before, and the next one after.
pub(crate) fn read_settled(files: &dyn Files, path: &Path) -> Result<Vec<u8>, StoreError> {
    let read = || files.read(path, 0).map_err(|error| StoreError::io("read", path, error));
    let mut bytes = read()?;
    for _ in 0..READS_MAX {
        let again = read()?;
        if again.starts_with(without_room(&bytes)) {
            return Ok(bytes);
        }
        bytes = again;
    }
    let error = std::io::Error::other("two reads gave different bytes, again and again");
    Err(StoreError::io("read", path, error))
}

/// Whether there are only zeros: room for what is yet to be written.
pub(crate) fn is_room(bytes: &[u8]) -> bool {
    bytes.chunks(STRETCH).all(is_zero)
}

/// The name of a journal's `number`th file.
pub(crate) fn file_name(number: u32) -> String {
    format!("{number:06}.log")
}

/// The number of the journal's file that is called `name`; other files are no part of it.
pub(crate) fn file_number(name: &str) -> Option<u32> {
    let number = name.strip_suffix(".log")?.parse().ok()?;
    (file_name(number) == name).then_some(number)
}

/// Reads one journal, from where it stopped the last time.
#[derive(Debug)]
pub struct JournalReader {
    run: String,
    dir: PathBuf,
    replica: ReplicaId,
    store: Option<StoreId>,
    position: JournalPosition,
    damage: Option<Damage>,
    /// Whether the damage is that a file is shorter than it was, or gone. Whoever carries a store may write a
    /// file anew, and it is short until that is done: so it is looked at again each time.
    short: bool,
    /// How many bytes the files had less than full ones have of which the end was read. Where a run is compacted, the last
    /// file is closed before it is full.
    less: u64,
    /// Behind which there were only zeros, and how long the file was then.
    room: Option<(JournalPosition, u64)>,
    skips: Vec<Skip>,
    /// How far it must go at the least, until that was seen.
    mark: Option<Mark>,
    seals_only: bool,
    /// The last event that is wanted, where it is not all.
    until: Option<u64>,
    /// Whether that was read.
    done: bool,
    /// The number of the first event that was read.
    first: Option<u64>,
    /// The number of the last event that was read.
    last: u64,
}

impl JournalReader {
    /// A reader of `replica`'s journal of `run` in `dir`, from `position` on.
    pub fn new(run: &str, dir: PathBuf, replica: ReplicaId, position: JournalPosition) -> Self {
        Self {
            run: run.to_owned(),
            dir,
            replica,
            store: None,
            position,
            damage: None,
            short: false,
            less: 0,
            room: None,
            skips: Vec::new(),
            mark: None,
            seals_only: false,
            until: None,
            done: false,
            first: None,
            last: 0,
        }
    }

    /// A reader that passes over `skips`.
    #[must_use]
    pub(crate) fn passing_over(mut self, skips: Vec<Skip>) -> Self {
        self.skips = skips;
        self
    }

    /// A reader that finds it damaged where it ends before `mark`, which must be older than the
    /// first look.
    #[must_use]
    pub(crate) fn at_least(mut self, mark: Option<Mark>) -> Self {
        self.mark = mark;
        self
    }

    /// A reader of the events up to number `last`, and of nothing else.
    #[must_use]
    pub fn until(mut self, last: u64) -> Self {
        self.until = Some(last);
        self
    }

    /// The number of the first event that it has read.
    pub fn first(&self) -> Option<u64> {
        self.first
    }

    /// The number of the last event that it has read; 0 where it has read none.
    pub fn last(&self) -> u64 {
        self.last
    }

    /// Whether a reader that goes up to some event has read it.
    pub fn done(&self) -> bool {
        self.done
    }

    /// A reader that passes over events.
    #[must_use]
    pub fn seals_only(mut self) -> Self {
        self.seals_only = true;
        self
    }

    /// How far it has read.
    pub fn position(&self) -> JournalPosition {
        self.position
    }

    /// Where it could not go on.
    pub fn damage(&self) -> Option<&Damage> {
        self.damage.as_ref()
    }

    /// How many bytes the journal has up to where it was read, about.
    pub(crate) fn bytes(&self) -> u64 {
        self.position.bytes().saturating_sub(self.less)
    }

    /// Goes on with the next file.
    fn go_on(&mut self) {
        let JournalPosition { file, offset } = self.position;
        self.less = self.less.saturating_add(FILE_BYTES.saturating_sub(offset));
        self.position = JournalPosition { file: file + 1, offset: 0 };
    }

    /// Takes note that what lies before `position` need not be read: its own writer wrote it.
    pub fn skip_to(&mut self, position: JournalPosition) {
        self.position = position;
    }

    /// Forgets what it met behind `position`, to read it again, and at least up to `mark`.
    pub(crate) fn go_back(&mut self, position: JournalPosition, mark: Option<Mark>) {
        self.position = position;
        self.damage = None;
        self.short = false;
        self.room = None;
        self.mark = mark;
    }

    /// Takes note that its own writer wrote events up to number `last`.
    pub fn skip_events(&mut self, last: u64) {
        self.last = self.last.max(last);
    }

    /// The file that it reads.
    pub(crate) fn path(&self) -> PathBuf {
        self.dir.join(file_name(self.position.file))
    }

    /// What was written since the last time. Stops in front of a frame that is not whole yet, and
    /// for good in front of damage.
    ///
    /// # Errors
    /// When the files cannot be read, or are of a newer format.
    pub fn poll(&mut self, files: &dyn Files) -> Result<Vec<Item>, StoreError> {
        let mut items = Vec::new();
        self.poll_into(files, &mut |item| items.push(item))?;
        Ok(items)
    }

    /// The same, which gives `to` what was written as it is read; also what was read before an error.
    ///
    /// # Errors
    /// As [`JournalReader::poll`].
    pub fn poll_into(
        &mut self,
        files: &dyn Files,
        to: &mut dyn FnMut(Item),
    ) -> Result<(), StoreError> {
        if std::mem::take(&mut self.short) {
            self.damage = None;
        }
        if self.damage.is_some() || self.done {
            return Ok(());
        }
        let listed = files.list(&self.dir);
        let listed = listed.map_err(|error| StoreError::io("list", &self.dir, error))?;
        if self.store.is_none() && self.position.offset > 0 {
            self.read_header(files)?;
        }
        loop {
            let name = file_name(self.position.file);
            let path = self.path();
            let mut numbers = listed.iter().filter_map(|entry| file_number(&entry.name));
            let after = numbers.any(|number| number > self.position.file);
            let Some(entry) = listed.iter().find(|entry| entry.name == name) else {
                let passed = self.pass_over(&[]);
                if !after {
                    break;
                }
                if !passed {
                    self.damaged(&path, 0, "the file is gone, and others follow".to_owned());
                    // Whoever carries a store may remove it before its packed form is there.
                    self.short = true;
                    break;
                }
                self.go_on();
                continue;
            };
            if entry.len < self.position.offset && !self.passed_over(entry.len) {
                let reason = format!("it was {} bytes long before", self.position.offset);
                self.damaged(&path, entry.len, reason);
                self.short = true;
                break;
            }
            let cut = self.skips.iter().any(|skip| self.is_at(skip));
            if entry.len > self.position.offset || cut {
                let whole = self.read_file(files, &path, entry.len, to)?;
                if !whole {
                    if after && self.damage.is_none() {
                        // A file that another follows was whole when that was begun.
                        let reason = "its end is no valid frame, and another file follows";
                        self.damaged(&path, self.position.offset, reason.to_owned());
                        // Whoever carries a store may not have written all of it yet.
                        self.short = self.room.is_some();
                    }
                    break;
                }
            }
            if !after {
                break;
            }
            self.go_on();
        }
        if let Some(mark) = self.mark.take()
            && self.damage.is_none()
            && self.position < mark.position
        {
            let (file, number) = (mark.position.file, mark.number);
            let reason = format!(
                "it ends here, and went on to byte {} of {} with event {number}",
                mark.position.offset,
                file_name(file)
            );
            self.damaged(&self.path(), self.position.offset, reason);
        }
        Ok(())
    }

    /// Reads what the file at `path`, which is `len` bytes long, has from here on; whether that was frames to
    /// its end.
    fn read_file(
        &mut self,
        files: &dyn Files,
        path: &Path,
        len: u64,
        to: &mut dyn FnMut(Item),
    ) -> Result<bool, StoreError> {
        let failed = |error| StoreError::io("read", path, error);
        if self.room == Some((self.position, len)) {
            // Whoever writes there begins with what is no zero.
            let first = files.read_part(path, self.position.offset, frame::MAGIC.len() as u64);
            let first = first.map_err(failed)?;
            if first.len() == frame::MAGIC.len() && is_room(&first) {
                return Ok(false);
            }
        }
        self.room = None;
        let mut bytes = files.read(path, self.position.offset).map_err(failed)?;
        for _ in 0..READS_MAX {
            let start = self.position.offset;
            if self.read_frames(path, &bytes, to)? || self.done {
                return Ok(true);
            }
            let read = usize::try_from(self.position.offset - start).unwrap_or(usize::MAX);
            let rest = bytes.get(read..).unwrap_or_default();
            if is_room(rest) {
                self.room = Some((self.position, start + bytes.len() as u64));
                return Ok(false);
            }
            // What one read gives and another does not is neither damage nor a torn tail: it is being
            // written, over zeros, or it is read wrongly.
            let again = files.read(path, self.position.offset).map_err(failed)?;
            if again.starts_with(without_room(rest)) {
                return Ok(false);
            }
            self.damage = None;
            bytes = again;
        }
        Err(failed(std::io::Error::other("two reads gave different bytes, again and again")))
    }

    fn is_at(&self, skip: &Skip) -> bool {
        skip.from < skip.to && (skip.file, skip.from) == (self.position.file, self.position.offset)
    }

    /// Whether the end of the file at `len` lies in what is passed over.
    pub(crate) fn passed_over(&self, len: u64) -> bool {
        let here = |skip: &&Skip| skip.file == self.position.file;
        self.skips.iter().filter(here).any(|skip| skip.from <= len && len < skip.to)
    }

    /// Goes behind what is passed over, if that begins here: `bytes` are what the file has from
    /// here on.
    fn pass_over(&mut self, bytes: &[u8]) -> bool {
        let there = |skip: &Skip| {
            let len = usize::try_from(skip.to.saturating_sub(skip.from)).unwrap_or(usize::MAX);
            crc32c::crc32c(bytes.get(..len).unwrap_or(bytes)) == skip.sum
        };
        let Some(skip) = self.skips.iter().find(|skip| self.is_at(skip) && there(skip)) else {
            return false;
        };
        self.position.offset = skip.to;
        self.store = self.store.or(skip.store);
        true
    }

    fn read_header(&mut self, files: &dyn Files) -> Result<(), StoreError> {
        let path = self.path();
        let read = |most| match files.read_part(&path, 0, most) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
            read => read.map(Some).map_err(|error| StoreError::io("read", &path, error)),
        };
        let passes = |skip: &Skip| (skip.file, skip.from) == (self.position.file, 0) && skip.to > 0;
        let most = if self.skips.iter().any(passes) { u64::MAX } else { HEADER_READ };
        let Some(mut bytes) = read(most)? else { return Ok(()) };
        if frame::decode(&bytes).is_none() {
            // It is longer than that, or damaged: then a repair may pass over more.
            let Some(whole) = read(u64::MAX)? else { return Ok(()) };
            bytes = whole;
        }
        // A header that was hit is passed over; whose journal it is stands in the repair.
        let passed = JournalPosition { file: self.position.file, offset: 0 };
        let position = std::mem::replace(&mut self.position, passed);
        let passed = self.pass_over(&bytes);
        self.position = position;
        if passed {
            return Ok(());
        }
        let header = frame::decode(&bytes).filter(|frame| frame.kind == FrameKind::Header);
        let taken = match header {
            Some(frame) => self.take_header(&path, frame.body)?,
            None => Err("it does not begin with a header".to_owned()),
        };
        if let Err(reason) = taken {
            self.damaged(&path, 0, reason);
        }
        Ok(())
    }

    /// Reads frames until the end, a torn tail or damage; whether all bytes were used.
    fn read_frames(
        &mut self,
        path: &Path,
        bytes: &[u8],
        to: &mut dyn FnMut(Item),
    ) -> Result<bool, StoreError> {
        let wanted = !self.seals_only && self.until.is_none();
        let replica = self.replica;
        ahead::reading(replica, bytes, wanted, |ahead| self.step(path, bytes, ahead, to))
    }

    /// The same, with what was decoded of `bytes` already.
    fn step(
        &mut self,
        path: &Path,
        bytes: &[u8],
        ahead: &mut Ahead<'_>,
        to: &mut dyn FnMut(Item),
    ) -> Result<bool, StoreError> {
        let start = self.position.offset;
        let mut at = 0;
        while !self.done {
            let rest = bytes.get(at..).unwrap_or_default();
            while self.pass_over(rest) {}
            let rest = usize::try_from(self.position.offset - start).unwrap_or(usize::MAX);
            at = rest.min(bytes.len());
            let Some(rest) = bytes.get(at..).filter(|rest| !rest.is_empty()) else { break };
            if let Some(store) = self.store
                && let Some((len, segment)) = ahead.take(at)
            {
                at += len;
                self.position.offset = start + at as u64;
                to(Item::Segment(self.cut(segment.of_store(store))));
                continue;
            }
            let Some(frame) = frame::decode(rest) else {
                if !is_room(rest)
                    && let Some(next) = frame::find(bytes, at + 1)
                {
                    let reason = format!("{} bytes that are no valid frame", next - at);
                    self.damaged(path, start + at as u64, reason);
                }
                return Ok(false);
            };
            let item = match self.take(path, &frame)? {
                Ok(item) => item,
                Err(reason) => {
                    self.damaged(path, start + at as u64, reason);
                    return Ok(false);
                }
            };
            at += frame.len();
            self.position.offset = start + at as u64;
            if let Some(item) = item {
                to(item);
            }
        }
        Ok(true)
    }

    fn damaged(&mut self, path: &Path, offset: u64, reason: String) {
        self.damage = Some(Damage { path: path.to_owned(), offset, reason });
    }

    fn take_header(&mut self, path: &Path, body: &[u8]) -> Result<Result<(), String>, StoreError> {
        let header: JournalHeader = match serde_json::from_slice(body) {
            Ok(header) => header,
            Err(error) => return Ok(Err(format!("its header cannot be read: {error}"))),
        };
        if !header.format.readable() {
            return Err(StoreError::NewerFormat {
                path: path.to_owned(),
                found: header.format,
                known: FORMAT,
            });
        }
        if header.replica != self.replica {
            return Ok(Err(format!("it is the journal of replica {}", header.replica)));
        }
        if header.run != self.run {
            return Ok(Err(format!("it is a journal of the run {}", header.run)));
        }
        self.store = Some(header.store);
        Ok(Ok(()))
    }

    fn take(
        &mut self,
        path: &Path,
        frame: &Frame<'_>,
    ) -> Result<Result<Option<Item>, String>, StoreError> {
        let item = match frame.kind {
            FrameKind::Header => return Ok(self.take_header(path, frame.body)?.map(|()| None)),
            FrameKind::Unknown(_) => return Ok(Ok(None)),
            FrameKind::Snapshot => return Ok(Err("a snapshot in a journal".to_owned())),
            FrameKind::Origin | FrameKind::End | FrameKind::Repair | FrameKind::Packed => {
                return Ok(Err("a frame that has no place in a journal".to_owned()));
            }
            FrameKind::Segment if self.seals_only => return Ok(Ok(None)),
            FrameKind::Segment if self.until.is_some_and(|until| frame.first > until) => {
                self.done = true;
                return Ok(Ok(None));
            }
            FrameKind::Seal if self.until.is_some() => return Ok(Ok(None)),
            FrameKind::Seal => codec::decode_seal(frame.body).map(Item::Seal),
            FrameKind::Segment => {
                let Some(store) = self.store else {
                    return Ok(Err("events before the header".to_owned()));
                };
                let (replica, first) = (self.replica, frame.first);
                let hasher = &mut EventHasher::new(store);
                codec::decode_hashed(replica, store, first, frame.previous, frame.body, hasher)
                    .map(|segment| Item::Segment(self.cut(segment)))
            }
        };
        Ok(item.map(Some).map_err(|error| error.to_string()))
    }

    /// What is wanted of a segment.
    fn cut(&mut self, mut segment: Hashed) -> Hashed {
        if let Some(until) = self.until.filter(|&until| segment.last() >= until) {
            self.done = true;
            let wanted = until.saturating_add(1).saturating_sub(segment.first);
            segment.truncate(usize::try_from(wanted).unwrap_or(usize::MAX));
        }
        self.last = self.last.max(segment.last());
        self.first = Some(self.first.map_or(segment.first, |first| first.min(segment.first)));
        segment
    }
}
