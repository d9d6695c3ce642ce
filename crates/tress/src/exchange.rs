//! Exchange: what another store lacks, and taking in what another store has, piece by piece.
//!
//! Unlike a merge, which is whole or nothing and leaves a note in the log, this is how stores that
//! follow each other keep up: each piece that fits is written and shown; one whose causes are not
//! here yet is left to be sent again; one that is refused is kept in `quarantine/` with the reason in
//! the answer, and harms nobody.

use std::sync::Arc;

use tress_engine::Rejection;
use tress_model::{Event, Segment, VersionVector};
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
    /// The segments that the run has and `version` lacks. Linear in the run.
    ///
    /// # Errors
    /// When the journals cannot be read.
    pub async fn lacking(&self, version: VersionVector) -> Result<Vec<Segment>, Error> {
        self.query(move |core| {
            let segments = core.files.read_all()?.into_iter().filter_map(Item::into_segment);
            Ok(segments.filter(|s| s.last() > version.get(s.replica)).collect())
        })
        .await?
    }

    /// Takes in segments of other stores, in any order, also ones that are known: what can be
    /// admitted is durable and shown when this returns.
    ///
    /// # Errors
    /// When they cannot be written; taking them in again does no harm.
    pub async fn take_in(&self, segments: Vec<Segment>) -> Result<TakenIn, Error> {
        self.query(move |core| core.take_in(segments)).await?
    }
}

impl Core {
    fn take_in(&mut self, segments: Vec<Segment>) -> Result<TakenIn, Error> {
        let lock = self.files.lock()?;
        self.poll()?;
        let now = Some(self.now());
        let mut log = self.log.clone();
        let mut admission = log.admit_all(segments.iter().cloned(), now);
        let behind = |reason: &Rejection| matches!(reason, Rejection::Behind(_));
        if admission.rejected.iter().any(|(_, reason)| behind(reason)) && !self.log.is_whole() {
            self.make_whole()?;
            log = self.log.clone();
            admission = log.admit_all(segments.iter().cloned(), now);
        }
        let waiting = log.forget_waiting(&self.log);
        let lacking = paths::lacking(&segments, self.log.version());
        let fresh = paths::fresh(&self.log, &log, &lacking);
        if !fresh.is_empty() {
            self.write_received(&fresh)?;
        }
        self.log = log;
        self.arrive(&admission.admitted);
        if !fresh.is_empty() {
            // The replica that was written may be one of those that came in.
            self.forget_writer();
        }
        self.show();
        drop(lock);
        for (segment, reason) in &admission.rejected {
            tracing::warn!(replica = %segment.replica, first = segment.first, %reason, "refused");
            if let Err(error) = self.files.keep_refused(Item::Segment(segment.clone())) {
                tracing::warn!(%error, "what was refused could not be kept");
            }
        }
        Ok(TakenIn { events: admission.admitted, waiting, refused: admission.rejected })
    }
}
