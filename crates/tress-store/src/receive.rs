//! Receiving: events of replicas that are not written here become part of a run's journals.
//!
//! The replica's journal here is a copy, and whoever receives appends to it under the run's lock.
//! Nobody goes on with its numbers: only a replica that this place made is ever held.

use tress_model::Segment;
use tress_model::codec::FORMAT;
use tress_model::ids::ReplicaId;

use crate::journal::{JournalHeader, JournalReader, JournalWriter};
use crate::store::{RunStore, StoreError};

impl RunStore {
    /// Writes events of other replicas to their journals here, and makes them durable. Each segment
    /// goes on where the replica's journal (or what is shared of it) ends. The caller holds the
    /// run's lock, has read everything, and has had the events admitted.
    ///
    /// # Errors
    /// When they cannot be written. Part of them may be there then; they are read again.
    pub fn receive(&mut self, segments: &[Segment]) -> Result<(), StoreError> {
        self.sync_what_was_read(None)?;
        let files = self.files();
        let mut replicas: Vec<_> = segments.iter().map(|segment| segment.replica).collect();
        replicas.sort_unstable();
        replicas.dedup();
        for replica in replicas {
            self.give_up(replica)?;
            let of_replica = || segments.iter().filter(|segment| segment.replica == replica);
            let Some(store) = of_replica().map(|segment| segment.store).next() else { continue };
            let dir = self.dir.join("journals").join(replica.to_string());
            let run = self.name.clone();
            let header = JournalHeader { format: FORMAT, replica, store, run };
            let mut writer = JournalWriter::open(&*files, &dir, header)?;
            let before = writer.position();
            for segment in of_replica() {
                writer.append_segment(&*files, segment)?;
            }
            writer.sync()?;
            let reader = self
                .readers
                .entry(replica)
                .or_insert_with(|| JournalReader::new(&self.name, dir, replica, before));
            if reader.position() == before {
                reader.skip_to(writer.position());
            }
        }
        Ok(())
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
