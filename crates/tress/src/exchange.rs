//! Exchange: what another store lacks, and taking in what another store has, piece by piece.
//!
//! Unlike a merge, which is whole or nothing and leaves a note in the log, this is how stores that
//! follow each other keep up: each piece that fits is written and shown; one whose causes are not
//! here yet is left to be sent again; one that is refused is kept in `quarantine/` with the reason in
//! the answer, and harms nobody.

use std::collections::BTreeSet;
use std::sync::Arc;

use tress_engine::{PrepareError, Rejection, sync};
use tress_model::event::Record;
use tress_model::{Dot, Event, ReplicaId, Segment, Strands, VersionVector, codec, limits};
use tress_store::Item;

use crate::core::Core;
use crate::error::Error;
use crate::paths;
use crate::run::Run;

/// What became of segments of other stores.
#[derive(Debug, Default)]
pub struct TakenIn {
    /// The events that are now part of the run, durably, in canonical order.
    pub events: Vec<Arc<Event>>,
    /// How many segments lack causes. They were not kept: send them again, with what they lack.
    pub waiting: usize,
    /// What was refused, with the reason.
    pub refused: Vec<(Segment, Rejection)>,
}

impl Run {
    /// What the run has and `version` lacks, causes first: as much as goes into one message of the
    /// sync protocol ([`limits::BATCH_EVENTS`], about [`limits::BATCH_BYTES`]), without the operations that
    /// `strands` do not need. Costs what lacks, and where some of that is not in memory also the whole history,
    /// which is then read.
    ///
    /// # Errors
    /// When the journals cannot be read.
    pub async fn lacking(
        &self,
        version: VersionVector,
        strands: Strands,
    ) -> Result<Vec<Segment>, Error> {
        self.query(move |core| core.lacking(&version, strands)).await?
    }

    /// Takes in segments of other stores, in any order, also ones that are known: what can be
    /// admitted is durable and shown when this returns.
    ///
    /// # Errors
    /// When they cannot be written; taking them in again does no harm.
    pub async fn take_in(&self, segments: Vec<Segment>) -> Result<TakenIn, Error> {
        let (mut pieces, mut refused) = (Vec::with_capacity(segments.len()), Vec::new());
        cut(segments, &mut pieces, &mut refused);
        let mut taken = self.query(move |core| core.take_in(pieces)).await??;
        taken.refused.append(&mut refused);
        Ok(taken)
    }

    /// Makes durable what is known here, whoever wrote it: what other stores may be told that the
    /// run has. Costs a sync where others wrote since the last time, and next to nothing else.
    ///
    /// # Errors
    /// When a journal cannot be synced.
    pub async fn durable(&self) -> Result<VersionVector, Error> {
        self.query(|core| {
            core.files.sync_read()?;
            Ok(core.log.version().clone())
        })
        .await?
    }
}

/// Cuts segments into pieces that fit into messages. One that cannot be hashed harms no other.
pub(crate) fn cut(
    segments: Vec<Segment>,
    pieces: &mut Vec<Segment>,
    refused: &mut Vec<(Segment, Rejection)>,
) {
    for segment in segments {
        let dot = Dot::new(segment.replica, segment.first);
        match sync::cut(vec![segment.clone()]) {
            Ok(mut cut) => pieces.append(&mut cut),
            Err(error) => {
                let reason = Rejection::Invalid { dot, reason: error.to_string() };
                refused.push((segment, reason));
            }
        }
    }
}

/// Leaves out the operations that `strands` do not need.
fn withhold(segments: &mut [Segment], strands: Strands) -> Result<(), Error> {
    if strands == Strands::ALL {
        return Ok(());
    }
    for record in segments.iter_mut().flat_map(|segment| &mut segment.records) {
        if !record.operation.is_needed_by(strands) {
            record.operation = codec::withhold(&record.operation).map_err(PrepareError::from)?;
        }
    }
    Ok(())
}

impl Core {
    fn lacking(&mut self, than: &VersionVector, strands: Strands) -> Result<Vec<Segment>, Error> {
        // What was read and not synced by its writer may be gone after a power cut, and its numbers
        // used again: nobody elsewhere may have it by then.
        self.files.sync_read()?;
        if let Some(segments) = sync::lacking(&self.log, than, strands) {
            self.note_old(than);
            return Ok(segments);
        }
        self.make_whole()?;
        // To do so may have read on.
        self.files.sync_read()?;
        if let Some(segments) = sync::lacking(&self.log, than, strands) {
            return Ok(segments);
        }
        // Somebody wrote an event in another way than we do: only its journal has its bytes.
        let segments = self.files.read_all()?.into_iter().filter_map(Item::into_segment);
        // What was written since the last look is not synced for sure.
        let known = |segment: &Segment| segment.last() <= self.log.version().get(segment.replica);
        let segments = segments.filter(known);
        let lacks = |segment: &Segment| segment.last() > than.get(segment.replica);
        let mut segments =
            sync::cut(segments.filter(lacks).collect()).map_err(PrepareError::from)?;
        segments.retain(lacks);
        segments.sort_by_key(|segment| {
            (segment.records.first().map(|record| record.time), segment.replica, segment.first)
        });
        let (mut events, mut bytes) = (0_usize, 0_usize);
        let fits = |segment: &Segment| {
            let alone = events == 0;
            events += segment.records.len();
            let size = codec::encode_segment(segment).map_or(usize::MAX, |body| body.len());
            bytes = bytes.saturating_add(size);
            alone || events <= limits::BATCH_EVENTS && bytes <= limits::BATCH_BYTES
        };
        let mut fitting: Vec<Segment> = segments.into_iter().take_while(fits).collect();
        if !strands.are_in(self.log.strands()) {
            // Behind what was withheld from us nothing can be given.
            for segment in &mut fitting {
                let gone = |record: &Record| record.operation.withheld_hash().is_some();
                let whole = segment.records.iter().position(gone);
                segment.records.truncate(whole.unwrap_or(usize::MAX));
            }
            fitting.retain(|segment| !segment.records.is_empty());
        }
        withhold(&mut fitting, strands)?;
        Ok(fitting)
    }

    /// The replicas of which something new came, and which another process writes here: its own journal
    /// would go on beside it.
    fn written_elsewhere(&self, segments: &[Segment]) -> Result<BTreeSet<ReplicaId>, Error> {
        let version = self.log.version();
        let new = segments.iter().filter(|segment| segment.last() > version.get(segment.replica));
        let replicas: BTreeSet<_> = new.map(|segment| segment.replica).collect();
        let mut held = BTreeSet::new();
        for replica in replicas {
            if self.files.is_written_elsewhere(replica)? {
                held.insert(replica);
            }
        }
        Ok(held)
    }

    pub(crate) fn take_in(&mut self, mut segments: Vec<Segment>) -> Result<TakenIn, Error> {
        // Not everybody who gives knows what is wanted.
        withhold(&mut segments, self.log.strands())?;
        let lock = self.files.lock()?;
        self.poll()?;
        let now = Some(self.now());
        let held = self.written_elsewhere(&segments)?;
        let (held, segments): (Vec<_>, Vec<_>) =
            segments.into_iter().partition(|segment| held.contains(&segment.replica));
        let behind = |(_, reason): &(_, Rejection)| matches!(reason, Rejection::Behind(_));
        // A log that begins with a snapshot is short.
        let kept = (!self.log.is_whole()).then(|| self.log.clone());
        // What waits already does so because of its own journals, and goes on doing so.
        let (mut before, mut known) = (self.log.ends(), self.log.waits());
        let mut admission = self.log.admit_all(segments.iter().cloned(), now);
        if let Some(kept) = kept.filter(|_| admission.rejected.iter().any(behind)) {
            // Nothing of it is on disk yet. Where the past cannot be read, nothing has happened.
            self.log = kept;
            self.make_whole()?;
            (before, known) = (self.log.ends(), self.log.waits());
            admission = self.log.admit_all(segments.iter().cloned(), now);
        }
        let waiting = self.log.forget_waiting(&known);
        let fresh = paths::fresh(&before, &self.log, &segments);
        // What is shown is on disk, or will be: nothing may be in the log alone.
        let written = |dot: Dot| {
            let upto = fresh.partition_point(|s| (s.replica, s.first) <= (dot.replica, dot.number));
            let piece = upto.checked_sub(1).and_then(|at| fresh.get(at));
            piece.is_some_and(|s| s.replica == dot.replica && dot.number <= s.last())
        };
        let kept = |event: &Arc<Event>| written(event.dot) || known.holds(event) || event.is_lost();
        if let Some(event) = admission.admitted.iter().find(|event| !kept(event)) {
            let reason = format!("event {} was admitted and is in no piece", event.dot);
            self.back_to_disk()?;
            return Err(Error::Group(reason));
        }
        if !fresh.is_empty() {
            // Where that fails, the log is what is on disk again.
            self.write_received(&fresh)?;
        }
        self.arrive(&admission.admitted);
        if !fresh.is_empty() {
            // The replica that was written may be one of those that came in.
            self.forget_writer();
        }
        self.show();
        drop(lock);
        let because = |segment: Segment| {
            let replica = segment.replica;
            (segment, Rejection::WrittenHere { replica })
        };
        admission.rejected.extend(held.into_iter().map(because));
        for (segment, reason) in &admission.rejected {
            tracing::warn!(replica = %segment.replica, first = segment.first, %reason, "refused");
            if let Err(error) = self.files.keep_refused(segment.clone().into()) {
                tracing::warn!(%error, "what was refused could not be kept");
            }
        }
        Ok(TakenIn { events: admission.admitted, waiting, refused: admission.rejected })
    }
}
