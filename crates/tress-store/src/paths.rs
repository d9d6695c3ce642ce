//! Paths: runs that branched off others, made and read without copying.
//!
//! A path reads the journals of other runs up to where it branched off, in their own directories.
//! So a run that others branched off must stay; where it is gone, that is damage, and told.

use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;

use tress_model::event::Hole;
use tress_model::{Strands, VersionVector};

use crate::files::Files;
use crate::journal::{Damage, JournalPosition, JournalReader};
use crate::origin::{Origin, Stretch};
use crate::partial;
use crate::run::{Batch, Known, RunStore};
use crate::store::{Store, StoreError};

impl Store {
    /// Makes the run `name`, with `origin` as its past.
    ///
    /// # Errors
    /// [`StoreError::RunExists`] when there is such a run; else when it cannot be made.
    pub fn branch(&self, name: &str, origin: &Origin) -> Result<(), StoreError> {
        let dir = self.run_dir(name)?;
        let files = &**self.files();
        let held = self.lock_new(&dir)?;
        let journals = dir.join("journals");
        match files.list(&journals) {
            Ok(_) => return Err(StoreError::RunExists { name: name.to_owned() }),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(StoreError::io("list", &journals, error)),
        }
        self.forget(name)?;
        // The journals come last: without them it is no run yet.
        origin.save(files, &dir)?;
        let strands = partial::load(files, &self.run_dir(&origin.from)?)?;
        if strands != Strands::ALL {
            partial::keep(files, &dir, strands)?;
        }
        files.create_dir(&journals).map_err(|error| StoreError::io("create", &journals, error))?;
        drop(held);
        Ok(())
    }
}

impl RunStore {
    /// In which journals the events of `version` are, for a run that branches off here. What was
    /// read so far is made durable first, since the branch is durable when it is made.
    ///
    /// # Errors
    /// When the journals cannot be listed or synced.
    pub fn stretches_to(&mut self, version: &VersionVector) -> Result<Vec<Stretch>, StoreError> {
        self.sync_what_was_read(None)?;
        let mut stretches: Vec<Stretch> = Vec::new();
        let mut add = |run: &str, received_by, replica, end: u64| {
            let to = end.min(version.get(replica));
            let stretch = Stretch { run: run.to_owned(), received_by, replica, to };
            stretches.extend(Some(stretch).filter(|stretch| stretch.to > 0));
        };
        for shared in self.origin.iter().flat_map(|origin| &origin.stretches) {
            add(&shared.run, shared.received_by, shared.replica, shared.to);
        }
        for (&replica, reader) in &self.readers {
            add(&self.name, None, replica, reader.last());
        }
        for (&(place, replica), copy) in &self.received {
            // A copy may begin behind what is shared.
            if copy.first().is_some_and(|first| first <= version.get(replica)) {
                add(&self.name, Some(place), replica, copy.last());
            }
        }
        let held = |replica, to| stretches.iter().any(|s| s.replica == replica && s.to >= to);
        match version.iter().find(|&(replica, to)| !held(replica, to)) {
            None => Ok(stretches),
            Some((replica, to)) => {
                let what = format!("the journals of {replica} were not read up to event {to}");
                Err(StoreError::Internal(what))
            }
        }
    }

    /// Readers of what is shared with other runs, from the beginning.
    pub(crate) fn stretches(&self) -> Vec<JournalReader> {
        let mut known = BTreeMap::new();
        let mut reader = |stretch: &Stretch| {
            // What cannot name a run is nowhere, and missed.
            let run = self.store.run_dir(&stretch.run).unwrap_or_else(|_| self.dir.join("nowhere"));
            let journals = match stretch.received_by {
                Some(place) => run.join("received").join(place.to_string()),
                None => run.join("journals"),
            };
            let dir = journals.join(stretch.replica.to_string());
            let start = JournalPosition::default();
            let known = known.entry(stretch.run.clone()).or_insert_with(|| {
                let known = self.store.known(&stretch.run);
                known.unwrap_or_else(|error| {
                    tracing::warn!(%error, run = stretch.run, "cannot read its repairs");
                    Known::default()
                })
            });
            let skips = known.repairs.skips(&run, &dir);
            JournalReader::new(&stretch.run, dir, stretch.replica, start)
                .passing_over(skips)
                .until(stretch.to)
        };
        self.origin.iter().flat_map(|origin| &origin.stretches).map(&mut reader).collect()
    }

    /// What was lost of the run, and of what it shares with others.
    ///
    /// # Errors
    /// When the repairs of those cannot be read.
    pub fn holes(&self) -> Result<Arc<[Hole]>, StoreError> {
        let own = self.known.repairs.holes();
        let Some(origin) = &self.origin else { return Ok(own) };
        let mut holes = own.to_vec();
        for stretch in &origin.stretches {
            let theirs = self.store.known(&stretch.run)?.repairs.holes();
            let shared = theirs.iter().filter(|hole| hole.replica == stretch.replica);
            holes.extend(shared.filter(|hole| hole.first <= stretch.to).map(|hole| {
                let whole = hole.last <= stretch.to;
                let end = hole.end.filter(|_| whole);
                Hole { last: hole.last.min(stretch.to), end, ..*hole }
            }));
        }
        holes.sort_unstable();
        holes.dedup();
        Ok(holes.into())
    }

    /// Reads what is shared. It is there from the beginning, so what is missing is damage.
    pub(crate) fn poll_shared(
        &mut self,
        files: &dyn Files,
        batch: &mut Batch,
    ) -> Result<(), StoreError> {
        for reader in &mut self.shared {
            let items = match reader.poll(files) {
                Ok(items) => items,
                Err(StoreError::Io { source, .. }) if source.kind() == io::ErrorKind::NotFound => {
                    let reason = "the journal is gone; a path branched off its run".to_owned();
                    batch.damage.push(Damage { path: reader.path(), offset: 0, reason });
                    continue;
                }
                Err(error) => return Err(error),
            };
            batch.segments.extend(items.into_iter().filter_map(|item| item.into_hashed()));
            batch.damage.extend(reader.damage().cloned());
            if !reader.done() && reader.damage().is_none() {
                let reason = "it ends before the place where a path branched off".to_owned();
                let offset = reader.position().offset;
                batch.damage.push(Damage { path: reader.path(), offset, reason });
            }
        }
        Ok(())
    }
}
