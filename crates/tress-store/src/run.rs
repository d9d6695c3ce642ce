//! One run on disk: all of its journals are read, one is written.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use tress_model::codec::{FORMAT, Snapshot, Written};
use tress_model::event::{Hashed, Seal};
use tress_model::ids::{ReplicaId, StoreId};
use tress_model::{OrderKey, Strands};

use crate::files::{DirEntry, Files, Lock};
use crate::frame;
use crate::journal::{
    Damage, Item, JournalHeader, JournalPosition, JournalReader, Positions, file_number,
};
use crate::origin::Origin;
use crate::place::Place;
use crate::place::{Mark, ReplicaHold};
use crate::repairs::Repairs;
use crate::snapshots::{self, StoredSnapshot};
use crate::store::{Store, StoreError, Tuning, lock_of_run};
use crate::writer::JournalWriter;

/// How many events are given away at once that are taken as they are read.
const EVENTS_AT_ONCE: usize = 1024;

/// Takes events as they are read; whether it wants more.
type Take<'a> = &'a mut dyn FnMut(Vec<Hashed>) -> bool;

/// What a look at the journals brought.
#[derive(Debug, Default)]
pub struct Batch {
    /// Events, by journal in the order in which they were written.
    pub segments: Vec<Hashed>,
    /// Automerge changes.
    pub seals: Vec<Seal>,
    /// Journals that could not be read to their end.
    pub damage: Vec<Damage>,
}

/// What a place knows of the journals of a run. Read before they are.
#[derive(Debug, Default)]
pub(crate) struct Known {
    /// The replicas that the place made.
    pub(crate) native: BTreeSet<ReplicaId>,
    pub(crate) marks: BTreeMap<ReplicaId, Mark>,
    pub(crate) repairs: Repairs,
}

/// What the places that a store was before it was copied kept of a run.
#[derive(Debug, Default)]
pub(crate) struct Elsewhere {
    /// The replicas that they made, and which of them made each.
    pub(crate) made: BTreeMap<ReplicaId, StoreId>,
    /// How far they had written their journals at the least.
    pub(crate) marks: BTreeMap<ReplicaId, Mark>,
}

/// How far the journals of a run were read.
#[derive(Debug)]
pub struct Readers {
    own: BTreeMap<ReplicaId, JournalReader>,
    received: BTreeMap<(StoreId, ReplicaId), JournalReader>,
    shared: Vec<JournalReader>,
}

/// One run on disk: reads all of its journals, and writes one.
#[derive(Debug)]
pub struct RunStore {
    pub(crate) store: Store,
    pub(crate) name: String,
    pub(crate) dir: PathBuf,
    pub(crate) readers: BTreeMap<ReplicaId, JournalReader>,
    /// Readers of the copies that were received, by the place that wrote them.
    pub(crate) received: BTreeMap<(StoreId, ReplicaId), JournalReader>,
    /// Readers of what it shares with other runs.
    pub(crate) shared: Vec<JournalReader>,
    pub(crate) origin: Option<Arc<Origin>>,
    pub(crate) strands: Strands,
    /// What is known of its journals here, beside what they say.
    pub(crate) known: Known,
    pub(crate) writer: Option<Writing>,
    /// The number of the last event that was written to it here; 0 where there was none yet.
    pub(crate) written: u64,
    /// Files of which something was read that may not be durable yet.
    pub(crate) unsynced: BTreeSet<PathBuf>,
    /// Those that could not be synced once: another sync of them proves nothing.
    pub(crate) doubted: BTreeSet<PathBuf>,
}

impl RunStore {
    /// The run's name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The store that it is in.
    pub fn store(&self) -> &Store {
        &self.store
    }

    /// Where it branched off another run, if it did.
    pub fn origin(&self) -> Option<&Arc<Origin>> {
        self.origin.as_ref()
    }

    /// The strands that are kept of it.
    pub fn strands(&self) -> Strands {
        self.strands
    }

    pub(crate) fn files(&self) -> Arc<dyn Files> {
        Arc::clone(self.store.files())
    }

    /// The newest snapshot, or the newest of those that an event at `before` does not belong into;
    /// the journals are read from its positions on.
    pub fn load_snapshot(&mut self, before: Option<OrderKey>) -> Option<Snapshot> {
        let dir = self.dir.join("snapshots");
        let stored = snapshots::newest(&*self.files(), &dir, before, &self.known.repairs.holes())?;
        self.readers.clear();
        let journals = self.dir.join("journals");
        for (replica, position) in stored.positions {
            let dir = journals.join(replica.to_string());
            let skips = self.known.repairs.skips(&self.dir, &dir);
            let reader = JournalReader::new(&self.name, dir, replica, position);
            let mark = self.known.marks.get(&replica).copied();
            self.readers.insert(replica, reader.passing_over(skips).at_least(mark));
        }
        self.received.clear();
        for (place, replica, position) in stored.received {
            let dir = self.received_dir(place, replica);
            let skips = self.known.repairs.skips(&self.dir, &dir);
            let reader = JournalReader::new(&self.name, dir, replica, position);
            let reader = reader.passing_over(skips);
            self.received.insert((place, replica), reader);
        }
        // A snapshot is made of everything that is shared.
        self.shared.clear();
        Some(stored.snapshot)
    }

    /// The seals that were written to the run's journals behind `positions` (from the beginning
    /// for a journal that is not named), and how far the journals go now.
    ///
    /// # Errors
    /// When they cannot be read, or are of a newer format.
    pub fn seals_since(
        &self,
        positions: &[(ReplicaId, JournalPosition)],
    ) -> Result<(Vec<Seal>, Positions), StoreError> {
        let files = self.files();
        let journals = self.dir.join("journals");
        let listed = files.list(&journals);
        let listed = listed.map_err(|error| StoreError::io("list", &journals, error))?;
        let mut missed = Batch::default();
        self.miss(&listed, &mut missed);
        if let Some(damage) = missed.damage.into_iter().next() {
            return Err(StoreError::Damaged(damage));
        }
        let (mut seals, mut ends) = (Vec::new(), Vec::new());
        for entry in listed.into_iter().filter(|entry| entry.is_dir) {
            let Ok(replica) = entry.name.parse() else {
                continue;
            };
            let known = positions.iter().find(|(known, _)| *known == replica);
            let from = known.map(|(_, position)| *position).unwrap_or_default();
            let dir = journals.join(&entry.name);
            let skips = self.known.repairs.skips(&self.dir, &dir);
            let reader = JournalReader::new(&self.name, dir, replica, from);
            let mark = self.known.marks.get(&replica).copied();
            let mut reader = reader.passing_over(skips).at_least(mark).seals_only();
            for item in reader.poll(&*files)? {
                if let Item::Seal(seal) = item {
                    seals.push(seal);
                }
            }
            // A place that lost sight of a seal of its own would make another under its number.
            if let Some(damage) = reader.damage().filter(|_| self.is_native(replica)) {
                return Err(StoreError::Damaged(damage.clone()));
            }
            ends.push((replica, reader.position()));
        }
        Ok((seals, ends))
    }

    /// Whether this place made the replica.
    pub fn is_native(&self, replica: ReplicaId) -> bool {
        self.known.native.contains(&replica)
    }

    /// How often a repair passed over something in journals of this place.
    pub fn repaired(&self) -> usize {
        let native = |dir: &Path| {
            let name = dir.file_name().and_then(|name| name.to_str());
            name.and_then(|name| name.parse().ok()).is_some_and(|replica| self.is_native(replica))
        };
        self.known.repairs.journals().filter(|journal| native(journal)).count()
    }

    /// Everything that all journals hold, read anew.
    ///
    /// # Errors
    /// When they cannot be read, are of a newer format, or damaged.
    pub fn read_all(&self) -> Result<Vec<Item>, StoreError> {
        let mut whole = self.store.run(&self.name, false)?;
        let batch = whole.poll()?;
        // Whoever gets it may make it durable elsewhere.
        whole.doubted.clone_from(&self.doubted);
        whole.sync_what_was_read(None)?;
        if let Some(damage) = batch.damage.into_iter().next() {
            return Err(StoreError::Damaged(damage));
        }
        let segments = batch.segments.into_iter().map(Item::Segment);
        Ok(segments.chain(batch.seals.into_iter().map(Item::Seal)).collect())
    }

    /// How many bytes its journals have up to where they were read, about.
    pub fn bytes_read(&self) -> u64 {
        let readers = self.readers.values().chain(self.received.values());
        readers.map(JournalReader::bytes).fold(0, u64::saturating_add)
    }

    /// Forgets how far the journals were read: the next look reads everything. Gives back what was
    /// known, for [`RunStore::restore`].
    pub fn rewind(&mut self) -> Readers {
        match self.store.known(&self.name) {
            Ok(known) => self.known = known,
            Err(error) => tracing::warn!(%error, "cannot read the repairs again"),
        }
        let shared = self.stretches();
        Readers {
            own: std::mem::take(&mut self.readers),
            received: std::mem::take(&mut self.received),
            shared: std::mem::replace(&mut self.shared, shared),
        }
    }

    /// Knows again how far the journals were read.
    pub fn restore(&mut self, readers: Readers) {
        self.readers = readers.own;
        self.received = readers.received;
        self.shared = readers.shared;
    }

    /// Begins a snapshot; [`BegunSnapshot::write`] writes it, on any thread.
    ///
    /// # Errors
    /// When what it stands on cannot be made durable.
    pub fn begin_snapshot(&mut self, snapshot: Snapshot) -> Result<BegunSnapshot, StoreError> {
        // A snapshot must not stand ahead of the journals, even after a power cut.
        let own = self.writer.as_ref().map(|writing| writing.writer.replica());
        self.sync_what_was_read(own)?;
        let positions =
            self.readers.iter().map(|(&replica, reader)| (replica, reader.position())).collect();
        let received = self.received.iter();
        let received = received.map(|(&(place, replica), copy)| (place, replica, copy.position()));
        let stored = StoredSnapshot { snapshot, positions, received: received.collect() };
        let (store, dir) = (self.store.clone(), self.dir.join("snapshots"));
        Ok(BegunSnapshot { store, dir, stored })
    }

    /// What was written to the run's journals since the last look.
    ///
    /// # Errors
    /// When they cannot be read, or are of a newer format.
    pub fn poll(&mut self) -> Result<Batch, StoreError> {
        self.poll_and(None)
    }

    /// The same. Where the run has one journal alone, `take` gets its events as they are read, many at a time, in the order in
    /// which they were written: what it does with them goes on beside the reading. It says whether it wants more
    /// of that; what it does not get is in the batch. What was read before an error is read again.
    ///
    /// # Errors
    /// As [`RunStore::poll`].
    pub fn poll_into(
        &mut self,
        take: &mut dyn FnMut(Vec<Hashed>) -> bool,
    ) -> Result<Batch, StoreError> {
        self.poll_and(Some(take))
    }

    fn poll_and(&mut self, take: Option<Take<'_>>) -> Result<Batch, StoreError> {
        let before: Vec<_> =
            self.readers.iter().map(|(&replica, reader)| (replica, reader.position())).collect();
        let shared = !self.shared.is_empty();
        let polled = self.poll_all(take);
        if polled.is_err() {
            // To read something twice does no harm.
            self.received.clear();
            if shared {
                self.shared = self.stretches();
            }
            // What was read of some journals is lost with the error: read it again.
            self.readers.retain(|replica, _| before.iter().any(|(known, _)| known == replica));
            for (replica, position) in before {
                if let Some(reader) = self.readers.get_mut(&replica) {
                    let mark = self.known.marks.get(&replica).copied();
                    reader.go_back(position, mark);
                }
            }
        }
        polled
    }

    fn poll_all(&mut self, mut take: Option<Take<'_>>) -> Result<Batch, StoreError> {
        let files = self.files();
        let journals = self.dir.join("journals");
        let listed = files.list(&journals);
        let listed = listed.map_err(|error| StoreError::io("list", &journals, error))?;
        let mut batch = Batch::default();
        self.poll_shared(&*files, &mut batch)?;
        self.poll_received(&*files, &mut batch)?;
        self.miss(&listed, &mut batch);
        let many = listed.iter().filter(|entry| entry.is_dir).count() > 1;
        if many || !batch.segments.is_empty() {
            take = None;
        }
        for entry in listed.into_iter().filter(|entry| entry.is_dir) {
            let Ok(replica) = entry.name.parse() else {
                continue;
            };
            let reader = self.readers.entry(replica).or_insert_with(|| {
                let dir = journals.join(&entry.name);
                let skips = self.known.repairs.skips(&self.dir, &dir);
                let mark = self.known.marks.get(&replica).copied();
                JournalReader::new(&self.name, dir, replica, JournalPosition::default())
                    .passing_over(skips)
                    .at_least(mark)
            });
            let (mut any, mut events) = (false, 0);
            let polled = reader.poll_into(&*files, &mut |item| {
                any = true;
                match item {
                    Item::Segment(segment) => {
                        events += segment.records.len();
                        batch.segments.push(segment);
                    }
                    Item::Seal(seal) => batch.seals.push(seal),
                }
                if events >= EVENTS_AT_ONCE
                    && let Some(give) = &mut take
                {
                    events = 0;
                    if !give(std::mem::take(&mut batch.segments)) {
                        take = None;
                    }
                }
            });
            if any {
                self.unsynced.insert(reader.path());
            }
            polled?;
            batch.damage.extend(reader.damage().cloned());
        }
        Ok(batch)
    }

    /// Tells of journals that were there before and are gone.
    fn miss(&self, listed: &[DirEntry], batch: &mut Batch) {
        let there = |replica: &ReplicaId| {
            let name = replica.to_string();
            listed.iter().any(|entry| entry.is_dir && entry.name == name)
        };
        let read = |replica: &ReplicaId| self.readers.get(replica).map(JournalReader::position);
        let read = self.readers.keys().map(|replica| (*replica, read(replica)));
        let marks = self.known.marks.iter();
        let known = read.chain(marks.map(|(replica, mark)| (*replica, Some(mark.position))));
        let known: BTreeMap<_, _> = known.filter(|(replica, _)| !there(replica)).collect();
        for (replica, position) in known {
            let dir = self.dir.join("journals").join(replica.to_string());
            let offset = position.map_or(0, |position| position.offset);
            // A repair has passed over all that was there.
            let skips = self.known.repairs.skips(&self.dir, &dir);
            if offset > 0 && !skips.iter().any(|skip| skip.to >= offset) {
                let reason = format!("the journal is gone; it had {offset} bytes");
                batch.damage.push(Damage { path: dir, offset: 0, reason });
            }
        }
    }

    /// Gets ready to write: takes a replica and opens its journal. What the replica's earlier
    /// holders wrote is in the next [`RunStore::poll`], so look before preparing anything.
    ///
    /// # Errors
    /// When no replica can be held, or the journal cannot be opened.
    pub fn open_writer(&mut self) -> Result<(ReplicaId, StoreId), StoreError> {
        if let Some(Writing { writer, .. }) = self.writer.as_ref().filter(|w| !w.writer.failed()) {
            return Ok((writer.replica(), writer.store()));
        }
        self.writer = None;
        self.written = 0;
        let files = self.files();
        loop {
            let hold = self.store.hold(&self.name)?;
            let replica = hold.replica;
            let header = JournalHeader {
                format: FORMAT,
                replica,
                store: self.store.place()?,
                run: self.name.clone(),
            };
            let dir = self.dir.join("journals").join(replica.to_string());
            if !self.is_ours(&dir, replica)? {
                tracing::warn!(%replica, "a journal was put in place of ours; going on with a new replica");
                self.store.retire(&hold)?;
                continue;
            }
            let mark = hold.mark(&*files);
            self.settle_doubts(&dir)?;
            let opened = JournalWriter::open_marked(&*files, &dir, header, mark);
            match self.doubt(opened) {
                Ok(writer) => {
                    let Tuning { file_bytes, room_after, .. } = self.store.tuning();
                    let writer = writer.in_files_of(file_bytes).with_room(room_after);
                    let ids = (writer.replica(), writer.store());
                    self.writer = Some(Writing { writer, hold });
                    self.keep_origin(&dir, replica)?;
                    return Ok(ids);
                }
                Err(StoreError::Damaged(damage)) => {
                    tracing::warn!(%damage, "a journal is damaged; going on with a new replica");
                    self.store.retire(&hold)?;
                }
                Err(error) => return Err(error),
            }
        }
    }

    /// Whether the journal in `dir` is the one that this place made, so that it can be gone on with.
    pub(crate) fn is_ours(&self, dir: &Path, replica: ReplicaId) -> Result<bool, StoreError> {
        let files = self.files();
        let last = self.last_file(dir, replica);
        self.store.with_place(|place| {
            if let Some((name, id)) = &last
                && place.made(&*files, name, *id)
            {
                return Ok(true);
            }
            // A journal that was here, and is gone or another, had used numbers; what it held may be
            // known elsewhere. Where nothing was ever noted, whoever made the journal died between
            // that and the note, and so before it wrote anything.
            let noted = place.made_any(&*files, &format!("{}.{replica}.", self.name));
            Ok(!noted && (last.is_none() || JournalWriter::is_only_begun(&*files, dir)?))
        })
    }

    /// The name under which the origin of a journal's last file is kept, and the file's id.
    fn last_file(&self, dir: &Path, replica: ReplicaId) -> Option<(String, u64)> {
        let listed = self.files().list(dir).ok()?;
        let numbered = listed.into_iter().filter_map(|file| Some((file_number(&file.name)?, file)));
        let (_, last) = numbered.max_by_key(|(number, _)| *number)?;
        Some((format!("{}.{replica}.{}", self.name, last.name), last.id))
    }

    pub(crate) fn keep_origin(&self, dir: &Path, replica: ReplicaId) -> Result<(), StoreError> {
        let Some((name, id)) = self.last_file(dir, replica) else { return Ok(()) };
        let files = self.files();
        self.store.with_place(|place| {
            if place.made(&*files, &name, id) { Ok(()) } else { place.keep(&*files, &name, id) }
        })
    }

    /// Gives up the replica that is written, for good: its chain cannot be continued here. The
    /// next [`RunStore::open_writer`] takes another.
    ///
    /// # Errors
    /// When `local/` cannot be written.
    pub fn retire_writer(&mut self) -> Result<(), StoreError> {
        match self.writer.take() {
            Some(Writing { writer, hold }) => {
                drop(writer);
                self.store.retire(&hold)
            }
            None => Ok(()),
        }
    }

    pub(crate) fn writes(&self, replica: ReplicaId) -> bool {
        self.writer.as_ref().is_some_and(|writing| writing.writer.replica() == replica)
    }

    /// Whether `replica`'s journal could not be read to its end.
    pub fn is_damaged(&self, replica: ReplicaId) -> bool {
        let copies = self.received.iter().filter(|((_, of), _)| *of == replica);
        let copies = copies.map(|(_, reader)| reader);
        let mut readers = self.readers.get(&replica).into_iter().chain(copies);
        readers.any(|reader| reader.damage().is_some())
    }

    /// Makes durable all that was read so far, whoever wrote it.
    ///
    /// # Errors
    /// When a journal cannot be synced.
    pub fn sync_read(&mut self) -> Result<(), StoreError> {
        self.sync_what_was_read(None)
    }

    /// Makes durable what was read of other journals: their writers may not have synced it yet,
    /// and what is written next may cite it.
    pub(crate) fn sync_what_was_read(&mut self, own: Option<ReplicaId>) -> Result<(), StoreError> {
        let files = self.files();
        let own = own.map(|own| self.dir.join("journals").join(own.to_string()));
        for path in self.unsynced.clone() {
            let ours = own.as_ref().is_some_and(|own| path.starts_with(own));
            let known = ours || (!self.doubted.contains(&path) && self.is_marked(&*files, &path));
            if !known {
                let synced = match self.doubted.contains(&path) {
                    true => self.write_again(&*files, &path),
                    false => files.sync(&path),
                };
                if let Err(error) = synced
                    && error.kind() != io::ErrorKind::NotFound
                {
                    self.doubted.insert(path.clone());
                    return Err(StoreError::io("make durable", &path, error));
                }
            }
            self.unsynced.remove(&path);
            self.doubted.remove(&path);
        }
        Ok(())
    }

    /// Whether whoever wrote the journal's file at `path` in this place had synced all that was read of it:
    /// the mark that was left says so, and it is still the very file. That is looked at in less time than a
    /// sync takes that has nothing to do.
    fn is_marked(&self, files: &dyn Files, path: &Path) -> bool {
        let journal = || {
            let (dir, name) = (path.parent()?, path.file_name()?.to_str()?);
            let replica = dir.file_name()?.to_str()?.parse().ok()?;
            let native = dir.parent()? == self.dir.join("journals");
            Some((dir, name, replica)).filter(|_| native)
        };
        let Some((dir, name, replica)) = journal() else { return false };
        let Some(reader) = self.readers.get(&replica) else { return false };
        let marked = |place: &Place| {
            let mark = place.mark(files, &self.name, replica)?;
            let listed = files.list(dir).ok()?;
            let id = listed.iter().find(|file| file.name == name)?.id;
            let made = place.made(files, &format!("{}.{replica}.{name}", self.name), id);
            Some(id != 0 && made && reader.position() <= mark.position)
        };
        // Who only reads makes no place.
        self.store.found_place().as_ref().and_then(marked).unwrap_or(false)
    }

    /// Writes events and seals and makes them durable, in one sync.
    ///
    /// # Errors
    /// When they cannot be written; none of them counts then, and the next write opens the
    /// journal anew.
    pub fn append(&mut self, events: &[Written], seals: &[Seal]) -> Result<(), StoreError> {
        let appended = self.append_all(events, seals);
        self.doubt(appended)
    }

    /// Keeps in mind which journal could not be synced, if that is what went wrong: what is read of it from
    /// now on may be in memory only.
    pub(crate) fn doubt<T>(&mut self, done: Result<T, StoreError>) -> Result<T, StoreError> {
        if let Err(StoreError::Io { action: "sync" | "cut", path, .. }) = &done {
            self.doubted.insert(path.clone());
        }
        done
    }

    /// Writes again what could not be synced of the journal in `dir`.
    pub(crate) fn settle_doubts(&mut self, dir: &Path) -> Result<(), StoreError> {
        let files = self.files();
        for path in self.doubted.clone().into_iter().filter(|path| path.parent() == Some(dir)) {
            self.write_again(&*files, &path)
                .map_err(|error| StoreError::io("make durable", &path, error))?;
            self.doubted.remove(&path);
        }
        Ok(())
    }

    /// Writes a journal's file once more, durably, as far as it was read.
    fn write_again(&self, files: &dyn Files, path: &Path) -> io::Result<()> {
        let mut bytes = match files.read(path, 0) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            read => read?,
        };
        let len = bytes.len() as u64;
        let readers = self.readers.values().chain(self.received.values());
        let here = readers.filter(|reader| reader.path() == path && !reader.passed_over(len));
        let read = here.map(|reader| reader.position().offset).max();
        let read = usize::try_from(read.unwrap_or(0)).unwrap_or(usize::MAX);
        // A system that did not write it may have forgotten it, too.
        if bytes.len() < read {
            return Err(io::Error::other("what was read of it is gone"));
        }
        bytes.truncate(frame::end(&bytes).max(read));
        // What one read gives and another does not must not be made to last.
        if !files.read(path, 0)?.starts_with(&bytes) {
            return Err(io::Error::other("two reads gave different bytes"));
        }
        files.rewrite(path, 0, &bytes)
    }

    fn append_all(&mut self, events: &[Written], seals: &[Seal]) -> Result<(), StoreError> {
        let files = self.files();
        let missing = || StoreError::Internal("open_writer comes before append".to_owned());
        let own =
            self.writer.as_ref().map(|writing| writing.writer.replica()).ok_or_else(missing)?;
        self.sync_what_was_read(Some(own))?;
        let Writing { writer, hold } = self.writer.as_mut().ok_or_else(missing)?;
        let before = writer.position();
        if events.len() + seals.len() > 2 {
            writer.do_without_room()?;
        }
        for events in events {
            writer.append_written(&*files, events)?;
        }
        for seal in seals {
            writer.append_seal(&*files, seal)?;
        }
        writer.sync()?;
        let (replica, position) = (writer.replica(), writer.position());
        self.written = events.last().map_or(self.written, |events| events.last);
        hold.leave(&*files, Mark { position, number: self.written });
        let dir = self.dir.join("journals").join(replica.to_string());
        if position.file != before.file {
            self.keep_origin(&dir, replica)?;
        }
        let run = &self.name;
        let reader = self
            .readers
            .entry(replica)
            .or_insert_with(|| JournalReader::new(run, dir, replica, JournalPosition::default()));
        // What another holder of the replica wrote before has yet to be read.
        if reader.position() == before {
            reader.skip_to(position);
            reader.skip_events(events.last().map_or(0, |events| events.last));
        }
        Ok(())
    }

    /// Takes the run's short lock, which appends on a condition need. Waits for it.
    ///
    /// # Errors
    /// When the file system has no locks.
    pub fn lock(&self) -> Result<Box<dyn Lock>, StoreError> {
        lock_of_run(&*self.files(), &self.dir)
    }
}

/// A journal that is written, and the right to. It is closed before that right is given up.
#[derive(Debug)]
pub(crate) struct Writing {
    writer: JournalWriter,
    hold: ReplicaHold,
}

/// A snapshot that is not written yet.
#[derive(Debug)]
pub struct BegunSnapshot {
    store: Store,
    dir: PathBuf,
    stored: StoredSnapshot,
}

impl BegunSnapshot {
    /// Writes it; gives its file.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn write(&self) -> Result<PathBuf, StoreError> {
        snapshots::save(&**self.store.files(), self.store.host(), &self.dir, &self.stored)
    }
}
