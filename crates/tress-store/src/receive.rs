//! Receiving: events of replicas that are not written here become part of a run.
//!
//! They are kept as *copies*, `received/PLACE/REPLICA/`, each written by the one place that received
//! it, under the run's lock. So also here a file has one writer and only grows, and two copies of a
//! store that received the same do not collide; what is there twice is admitted once. Nobody goes
//! on with the numbers of a copy: only a replica that this place made for the run is ever held.

use std::collections::BTreeMap;
use std::io;
use std::path::PathBuf;

use tress_model::Segment;
use tress_model::codec::FORMAT;
use tress_model::ids::{ReplicaId, StoreId};

use crate::files::Files;
use crate::journal::{Item, JournalHeader, JournalPosition, JournalReader};
use crate::run::{Batch, RunStore};
use crate::store::{StoreError, list_if_there};
use crate::writer::JournalWriter;

/// How many copies of one replica may be damaged before no other is begun.
const COPIES_MAX: usize = 16;

/// The names under which a place keeps copies, one beside the other.
pub(crate) fn copies(place: StoreId) -> impl Iterator<Item = StoreId> {
    let first = u128::from_be_bytes(place.0);
    let ids = (0..COPIES_MAX as u128).map(move |nth| first.wrapping_add(nth));
    ids.map(|id| StoreId(id.to_be_bytes()))
}

impl RunStore {
    pub(crate) fn received_dir(&self, place: StoreId, replica: ReplicaId) -> PathBuf {
        self.dir.join("received").join(place.to_string()).join(replica.to_string())
    }

    /// Writes events of other replicas to their copies here, and makes them durable. Each segment
    /// goes on where the run knew its replica to end. The caller holds the run's lock, has read
    /// everything, and has had the events admitted.
    ///
    /// # Errors
    /// When they cannot be written. Part of them may be there then; they are read again.
    pub fn receive(&mut self, segments: &[Segment]) -> Result<(), StoreError> {
        let received = self.receive_all(segments);
        self.doubt(received)
    }

    fn receive_all(&mut self, segments: &[Segment]) -> Result<(), StoreError> {
        self.sync_what_was_read(None)?;
        let (files, place) = (self.files(), self.store.place()?);
        let mut replicas: Vec<_> = segments.iter().map(|segment| segment.replica).collect();
        replicas.sort_unstable();
        replicas.dedup();
        // What cannot be taken in is known before anything is written.
        for &replica in &replicas {
            self.give_up(replica)?;
        }
        for replica in replicas {
            let of_replica = || segments.iter().filter(|segment| segment.replica == replica);
            let Some(store) = of_replica().map(|segment| segment.store).next() else { continue };
            let run = self.name.clone();
            let header = JournalHeader { format: FORMAT, replica, store, run };
            let mut writer = self.open_copy(&*files, place, header)?;
            for segment in of_replica() {
                writer.append_segment(&*files, segment)?;
            }
            writer.sync()?;
        }
        Ok(())
    }

    /// Writes events that were lost to copies of their own, beside all that is there.
    ///
    /// # Errors
    /// As [`RunStore::receive`].
    pub fn fill(&mut self, segments: &[Segment]) -> Result<(), StoreError> {
        let filled = self.fill_all(segments);
        self.doubt(filled)
    }

    fn fill_all(&mut self, segments: &[Segment]) -> Result<(), StoreError> {
        let (files, place) = (self.files(), self.store.place()?);
        let mut copies_of: BTreeMap<ReplicaId, Vec<&Segment>> = BTreeMap::new();
        for segment in segments {
            copies_of.entry(segment.replica).or_default().push(segment);
        }
        for (replica, mut segments) in copies_of {
            self.give_up(replica)?;
            segments.sort_by_key(|segment| segment.first);
            let Some(store) = segments.first().map(|segment| segment.store) else { continue };
            let header = JournalHeader { format: FORMAT, replica, store, run: self.name.clone() };
            let free = |id: &StoreId| {
                let listed = files.list(&self.received_dir(*id, replica));
                listed.is_err_and(|error| error.kind() == io::ErrorKind::NotFound)
            };
            let copy = copies(place).find(free).ok_or_else(|| self.too_many(replica))?;
            let dir = self.received_dir(copy, replica);
            let mut writer = JournalWriter::open(&*files, &dir, header)?;
            for segment in segments {
                writer.append_segment(&*files, segment)?;
            }
            writer.sync()?;
        }
        Ok(())
    }

    fn too_many(&self, replica: ReplicaId) -> StoreError {
        let run = &self.name;
        let what =
            format!("{COPIES_MAX} copies of {replica} in {run} are damaged: see `tress fsck`");
        StoreError::Internal(what)
    }

    /// The copy of a replica that is written on here. One that is damaged stays where it is, with
    /// all that can be read of it, and another is begun beside it.
    fn open_copy(
        &mut self,
        files: &dyn Files,
        place: StoreId,
        header: JournalHeader,
    ) -> Result<JournalWriter, StoreError> {
        for copy in copies(place) {
            let dir = self.received_dir(copy, header.replica);
            self.settle_doubts(&dir)?;
            match JournalWriter::open(files, &dir, header.clone()) {
                Err(StoreError::Damaged(damage)) => {
                    tracing::warn!(%damage, "a copy is damaged; another is begun");
                }
                opened => return opened,
            }
        }
        Err(self.too_many(header.replica))
    }

    /// Reads the copies.
    pub(crate) fn poll_received(
        &mut self,
        files: &dyn Files,
        batch: &mut Batch,
    ) -> Result<(), StoreError> {
        let all = self.dir.join("received");
        for place in list_if_there(files, &all)?.into_iter().filter(|entry| entry.is_dir) {
            let Ok(id) = place.name.parse() else { continue };
            for copy in list_if_there(files, &all.join(&place.name))?
                .into_iter()
                .filter(|entry| entry.is_dir)
            {
                let Ok(replica) = copy.name.parse() else { continue };
                let dir = self.received_dir(id, replica);
                let reader = self.received.entry((id, replica)).or_insert_with(|| {
                    let skips = self.known.repairs.skips(&self.dir, &dir);
                    JournalReader::new(&self.name, dir, replica, JournalPosition::default())
                        .passing_over(skips)
                });
                let items = reader.poll(files)?;
                if !items.is_empty() {
                    self.unsynced.insert(reader.path());
                }
                batch.segments.extend(items.into_iter().filter_map(Item::into_hashed));
                batch.damage.extend(reader.damage().cloned());
            }
        }
        Ok(())
    }

    /// Whether another process here writes `replica` of this run.
    ///
    /// # Errors
    /// When that cannot be seen.
    pub fn is_written_elsewhere(&self, replica: ReplicaId) -> Result<bool, StoreError> {
        if self.writes(replica) {
            return Ok(false);
        }
        let files = self.files();
        let hold = self.store.with_place(|place| place.hold_made(&*files, &self.name, replica))?;
        Ok(matches!(hold, Some(None)))
    }

    /// Gives up a replica that this place writes, before events of it are taken in from elsewhere:
    /// its journal here lacks them, so its numbers were used already.
    fn give_up(&mut self, replica: ReplicaId) -> Result<(), StoreError> {
        if self.writes(replica) {
            return self.retire_writer();
        }
        let files = self.files();
        let hold = self.store.with_place(|place| place.hold_made(&*files, &self.name, replica))?;
        match hold {
            None => Ok(()),
            Some(None) => Err(StoreError::ReplicaHeld { replica }),
            Some(Some(hold)) => {
                tracing::warn!(%replica, "events of a replica that is written here came from elsewhere; it is given up");
                self.store.retire(&hold)
            }
        }
    }
}
