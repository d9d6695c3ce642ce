//! Examining: a run's journals read to their ends, behind damage too, piece by piece.
//!
//! Reading stops in front of damage. Examining tells what lies behind it, so that a repair can pass
//! over what is damaged and nothing else.

use std::collections::BTreeSet;
use std::io;
use std::path::{Path, PathBuf};

use tress_model::codec;
use tress_model::event::Seal;
use tress_model::ids::{ReplicaId, StoreId};
use tress_model::{EventId, Segment, limits};

use crate::files::Files;
use crate::frame::{self, Frame, FrameKind};
use crate::journal::{Damage, Item, JournalHeader, file_name, is_room, read_settled, without_room};
use crate::naming::{self, Owners};
use crate::repairs::{Repair, Repairs, Skip};
use crate::run::{Batch, RunStore};
use crate::run_file::{RunFile, encode_run_file};
use crate::store::{StoreError, dirs_in};

/// A stretch of a journal's file.
#[derive(Debug, Clone, PartialEq)]
pub struct Piece {
    /// The number of the file.
    pub file: u32,
    /// The first byte.
    pub from: u64,
    /// Behind the last byte.
    pub to: u64,
    /// What is there.
    pub content: Content,
}

/// What a stretch of a journal holds.
#[derive(Debug, Clone, PartialEq)]
pub enum Content {
    /// Events.
    Segment(Segment),
    /// An Automerge change.
    Seal(Seal),
    /// A header, or something that a newer version wrote.
    Passed,
    /// Something that is not what was written.
    Bad {
        /// Why.
        reason: String,
        /// The number of the first event and the id of the one before it, where the frame says so.
        events: Option<(u64, EventId)>,
    },
    /// A write that did not complete, at the end of everything: nobody was told that it is there.
    Torn,
    /// What a repair passed over.
    Skipped(Skip),
}

/// One journal, or one copy of one, to its end.
#[derive(Debug, Clone, PartialEq)]
pub struct Examined {
    /// Its directory.
    pub dir: PathBuf,
    /// The replica that wrote it.
    pub replica: ReplicaId,
    /// The store that the replica belongs to, where that can be told.
    pub store: Option<StoreId>,
    /// Its pieces, in order.
    pub pieces: Vec<Piece>,
    /// The number of the last event that was written here at the least, by the mark of its writer.
    pub reached: u64,
}

impl Examined {
    /// Whether nothing says whose journal it is. Then its events are not taken for anybody's, since their ids begin
    /// with the store; and nothing of it is passed over, since a copy may say whose it is.
    pub fn is_nameless(&self) -> bool {
        let events = |piece: &Piece| matches!(piece.content, Content::Segment(_));
        self.store.is_none() && self.pieces.iter().any(events)
    }
}

impl RunStore {
    /// All journals of the run and all copies, to their ends; `owners` is what is known from elsewhere of whose
    /// journals they are. Linear in their bytes.
    ///
    /// # Errors
    /// When they cannot be listed or read, or are of a newer format.
    pub fn examine(&self, owners: &Owners) -> Result<Vec<Examined>, StoreError> {
        let mut all = Vec::new();
        let files = self.files();
        let mut dirs = dirs_in(&*files, &self.dir.join("journals"))?;
        for place in dirs_in(&*files, &self.dir.join("received"))? {
            dirs.extend(dirs_in(&*files, &place)?);
        }
        let marks = &self.known.marks;
        let elsewhere = self.store.made_elsewhere(&self.name);
        for replica in marks.keys().chain(elsewhere.marks.keys()) {
            let dir = self.dir.join("journals").join(replica.to_string());
            if !dirs.contains(&dir) {
                dirs.push(dir);
            }
        }
        for dir in dirs {
            let name = dir.file_name().and_then(|name| name.to_str());
            let Some(replica) = name.and_then(|name| name.parse().ok()) else { continue };
            let own = dir.parent() == Some(self.dir.join("journals").as_path());
            let mark = marks.get(&replica).filter(|_| own);
            let mut one =
                Examiner { run: self, dir: &dir, replica, store: None, pieces: Vec::new() };
            one.read(mark.map(|mark| (mark.position.file, mark.position.offset)))?;
            one.name_what_came_before();
            let (store, pieces) = (one.store, one.pieces);
            // Of a copied store, what the one that it was copied from had written. Marks are read before journals, which grow.
            let reached = mark.or_else(|| elsewhere.marks.get(&replica).filter(|_| own));
            let reached = reached.map_or(0, |mark| mark.number);
            all.push(Examined { dir, replica, store, pieces, reached });
        }
        naming::name_stores(self, &elsewhere.made, owners, &mut all)?;
        Ok(all)
    }

    /// What the run shares with others: their journals up to where it branched off.
    ///
    /// # Errors
    /// When they cannot be read.
    pub fn shared(&mut self) -> Result<Batch, StoreError> {
        self.shared = self.stretches();
        let mut batch = Batch::default();
        self.poll_shared(&*self.files(), &mut batch)?;
        Ok(batch)
    }

    /// The note that `piece` of `journal` is to be passed over. Its bytes are copied to
    /// `quarantine/` first.
    ///
    /// # Errors
    /// When they cannot be read or copied.
    pub fn set_aside(&self, journal: &Examined, piece: &Piece) -> Result<Skip, StoreError> {
        let files = self.files();
        let path = journal.dir.join(file_name(piece.file));
        let bytes = match files.read(&path, piece.from) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(Vec::new()),
            read => read.map_err(|error| StoreError::io("read", &path, error)),
        }?;
        let len = usize::try_from(piece.to - piece.from).unwrap_or(usize::MAX);
        let bytes = bytes.get(..len).unwrap_or(&bytes);
        let reason = match &piece.content {
            Content::Bad { reason, .. } => reason.clone(),
            _ => "it does not fit what else is here".to_owned(),
        };
        let kept =
            if bytes.is_empty() { None } else { Some(self.quarantine(&path, piece, bytes)?) };
        Ok(Skip {
            journal: journal.dir.strip_prefix(&self.dir).unwrap_or(&journal.dir).to_owned(),
            file: piece.file,
            from: piece.from,
            to: piece.to,
            sum: crc32c::crc32c(bytes),
            store: journal.store,
            reason,
            kept,
        })
    }

    /// Keeps what was refused in `quarantine/`, as a run file, unless too much is there.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn keep_refused(&self, item: Item) -> Result<Option<PathBuf>, StoreError> {
        let dir = self.store.dir().join("quarantine");
        let files = self.files();
        let (run, items) = (self.name.clone(), vec![item]);
        let bytes = encode_run_file(&RunFile { run, origin: None, items })?;
        let sum = crc32c::crc32c(&bytes);
        let to = dir.join(format!("{}-refused-{sum:08x}.tressrun", self.name));
        let kept = files.list(&dir).unwrap_or_default();
        let known = kept.iter().any(|entry| dir.join(&entry.name) == to);
        if known || kept.len() >= limits::QUARANTINE_FILES_MAX {
            return Ok(Some(to).filter(|_| known));
        }
        let error = |error| StoreError::io("write", &to, error);
        files.create_dir(&dir).map_err(error)?;
        crate::files::write_whole(&*files, &to, &bytes).map_err(error)?;
        Ok(Some(to))
    }

    /// Copies damaged bytes to `quarantine/`, and gives their name there.
    fn quarantine(&self, path: &Path, piece: &Piece, bytes: &[u8]) -> Result<PathBuf, StoreError> {
        let inside = path.strip_prefix(&self.dir).unwrap_or(path);
        let inside: Vec<_> = inside.iter().map(|part| part.to_string_lossy()).collect();
        let sum = crc32c::crc32c(bytes);
        let name = format!("{}-{}-{}-{sum:08x}.bytes", self.name, inside.join("-"), piece.from);
        let dir = self.store.dir().join("quarantine");
        let (files, to) = (self.files(), dir.join(name));
        let error = |error| StoreError::io("write", &to, error);
        files.create_dir(&dir).map_err(error)?;
        crate::files::write_whole(&*files, &to, bytes).map_err(error)?;
        Ok(to)
    }

    /// Notes a repair: what it names is passed over from the next opening on. The caller holds the
    /// run's lock.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn repair(&mut self, repair: &Repair) -> Result<(), StoreError> {
        let path = self.store.with_place(|place| Ok(place.repairs(&self.name)))?;
        Repairs::note(&*self.files(), &path, repair)?;
        self.known = self.store.known(&self.name)?;
        Ok(())
    }
}

struct Examiner<'a> {
    run: &'a RunStore,
    dir: &'a Path,
    replica: ReplicaId,
    store: Option<StoreId>,
    pieces: Vec<Piece>,
}

impl Examiner<'_> {
    /// Reads all files; those up to `mark` were written for certain.
    fn read(&mut self, mark: Option<(u32, u64)>) -> Result<(), StoreError> {
        let files = self.run.files();
        let listed = files.list(self.dir).unwrap_or_default();
        let number = |name: &str| name.strip_suffix(".log")?.parse().ok();
        let mut there: BTreeSet<u32> = listed.iter().filter_map(|e| number(&e.name)).collect();
        let last = there.last().copied().max(mark.map(|(file, _)| file)).unwrap_or(0);
        // A copy begins with file 1, too.
        for file in 1..=last {
            let wanted = mark.filter(|(of, _)| *of == file).map_or(0, |(_, offset)| offset);
            if there.remove(&file) {
                let path = self.dir.join(file_name(file));
                let bytes = read_settled(&*files, &path)?;
                self.read_file(file, &bytes, file < last, wanted)?;
            } else if let Some(bytes) = self.read_late(&*files, file)? {
                self.read_file(file, &bytes, file < last, wanted)?;
            } else {
                let skips = self.run.known.repairs.skips(&self.run.dir, self.dir);
                let passed = skips.into_iter().find(|skip| (skip.file, skip.from) == (file, 0));
                let content = passed.map_or_else(|| bad("the file is gone"), Content::Skipped);
                self.pieces.push(Piece { file, from: 0, to: wanted.max(1), content });
            }
        }
        Ok(())
    }

    /// What came before the first header that is whole belongs to the same store.
    fn name_what_came_before(&mut self) {
        let Some(store) = self.store else { return };
        for piece in &mut self.pieces {
            if let Content::Segment(segment) = &mut piece.content
                && segment.store == naming::NOBODY
            {
                segment.store = store;
            }
        }
    }

    /// A file that was not listed, and is there.
    fn read_late(&self, files: &dyn Files, file: u32) -> Result<Option<Vec<u8>>, StoreError> {
        match read_settled(files, &self.dir.join(file_name(file))) {
            Err(StoreError::Io { source, .. }) if source.kind() == io::ErrorKind::NotFound => {
                Ok(None)
            }
            read => read.map(Some),
        }
    }

    fn read_file(
        &mut self,
        file: u32,
        bytes: &[u8],
        followed: bool,
        wanted: u64,
    ) -> Result<(), StoreError> {
        let skips = self.run.known.repairs.skips(&self.run.dir, self.dir);
        let mut frames = frame::Finder::new(bytes);
        let mut at = 0;
        loop {
            let rest = bytes.get(at..).unwrap_or_default();
            let from = at as u64;
            let passed = skips.iter().find(|skip| {
                let len = usize::try_from(skip.to.saturating_sub(skip.from)).unwrap_or(usize::MAX);
                let there = rest.get(..len).unwrap_or(rest);
                let here = (skip.file, skip.from) == (file, from) && skip.from < skip.to;
                here && crc32c::crc32c(there) == skip.sum
            });
            if let Some(skip) = passed {
                self.store = self.store.or(skip.store);
                let content = Content::Skipped(skip.clone());
                self.pieces.push(Piece { file, from, to: skip.to, content });
                at = usize::try_from(skip.to).unwrap_or(usize::MAX);
                continue;
            }
            if at >= bytes.len() {
                if from < wanted {
                    let content = bad("it is cut off here");
                    self.pieces.push(Piece { file, from, to: wanted, content });
                }
                return Ok(());
            }
            let (to, content) = match frame::decode(rest) {
                Some(frame) => (at + frame.len(), self.content(file, &frame)?),
                None => match frames.next(at + 1) {
                    Some(next) => {
                        (next, bad(&format!("{} bytes that are no valid frame", next - at)))
                    }
                    None if followed => (bytes.len(), bad("its end is no valid frame")),
                    None if from < wanted => {
                        // Room behind it is not damaged, and somebody may be writing over it.
                        let written = at + without_room(rest).len();
                        let to = written.max(usize::try_from(wanted).unwrap_or(usize::MAX));
                        (to, bad("its end is not what was written"))
                    }
                    None if is_room(rest) => return Ok(()),
                    None => (bytes.len(), Content::Torn),
                },
            };
            self.pieces.push(Piece { file, from, to: to as u64, content });
            at = to;
        }
    }

    fn content(&mut self, file: u32, frame: &Frame<'_>) -> Result<Content, StoreError> {
        let bad_events =
            |reason: String| Content::Bad { reason, events: Some((frame.first, frame.previous)) };
        Ok(match frame.kind {
            FrameKind::Header => match serde_json::from_slice::<JournalHeader>(frame.body) {
                Ok(header) if !header.format.readable() => {
                    let (path, found) = (self.dir.join(file_name(file)), header.format);
                    let known = codec::FORMAT;
                    return Err(StoreError::NewerFormat { path, found, known });
                }
                Ok(header) if header.replica != self.replica => {
                    bad(&format!("it is the journal of replica {}", header.replica))
                }
                Ok(header) if header.run != self.run.name => {
                    bad(&format!("it is a journal of the run {}", header.run))
                }
                Ok(header) => {
                    self.store = Some(header.store);
                    Content::Passed
                }
                Err(error) => bad(&format!("its header cannot be read: {error}")),
            },
            FrameKind::Unknown(_) => Content::Passed,
            FrameKind::Snapshot
            | FrameKind::Origin
            | FrameKind::End
            | FrameKind::Repair
            | FrameKind::Packed => bad("a frame that has no place in a journal"),
            FrameKind::Seal => match codec::decode_seal(frame.body) {
                Ok(seal) => Content::Seal(seal),
                Err(error) => bad(&error.to_string()),
            },
            FrameKind::Segment => {
                // Where the header was hit, it is found out later.
                let store = self.store.unwrap_or(naming::NOBODY);
                let (first, previous) = (frame.first, frame.previous);
                match codec::decode_segment(self.replica, store, first, previous, frame.body) {
                    Ok(segment) => Content::Segment(segment),
                    Err(error) => bad_events(error.to_string()),
                }
            }
        })
    }
}

fn bad(reason: &str) -> Content {
    Content::Bad { reason: reason.to_owned(), events: None }
}

impl Examined {
    /// Where a piece is, for people.
    pub fn damage(&self, piece: &Piece) -> Option<Damage> {
        let Content::Bad { reason, .. } = &piece.content else { return None };
        let path = self.dir.join(file_name(piece.file));
        Some(Damage { path, offset: piece.from, reason: reason.clone() })
    }
}
