//! Relays: places that hold what stores have, and do not take part: a database, a git remote.
//!
//! ```text
//! run  -- lacking(there) -->  put   Relay   get(than)  -- take_in -->  run
//! ```
//!
//! A hub converses; a relay only keeps. So each store does both halves itself: it asks what is there,
//! takes what it lacks, and leaves what lacks there. Events merge without conflicts and are known by
//! their dots, so whoever leaves the same again does no harm, and no store has to wait for another.
//!
//! What can go wrong: a relay goes away (the next connection begins with the question what is there),
//! comes back without what it never acknowledged (it is left there again), holds garbage (it is
//! refused, kept in `quarantine/`, and passed over), or holds what nobody can use yet (it is asked
//! for again when more has come).
//!
//! *Invariant:* a relay never holds an event without the one before it of the same replica, and holds
//! causes first. Each store that leaves something has seen there what it goes on from.

mod git;
#[cfg(feature = "postgres")]
mod postgres;

use std::future::Future;

use tokio::time::Instant;
use tress_model::codec::CodecError;
use tress_model::{Segment, StoreId, Strand, Strands, VersionVector};

use super::{Exchanged, FollowError};
use crate::members::Intake;
use crate::run::Run;
use crate::seal::Shelf;

pub use git::Git;
#[cfg(feature = "postgres")]
pub use postgres::Postgres;
pub use tress_documents::Numbered;
pub use tress_model::message::Clock;

/// How many bytes of changes are taken from a relay at once.
const CHANGES_BYTES: usize = 16 << 20;
/// How many actors a document may have there.
const ACTORS_MAX: usize = 65_536;

/// A place that holds the segments of one run for stores that follow it.
///
/// Every method may fail at any time; after an error the relay is dropped, and another connection
/// begins anew.
pub trait Relay: Send {
    /// What tells it from others, however it is reached: it counts once, whoever follows it.
    fn id(&self) -> StoreId;

    /// What it holds, as far as can be seen.
    ///
    /// # Errors
    /// When it cannot be asked.
    fn holds(&mut self) -> impl Future<Output = Result<VersionVector, RelayError>> + Send;

    /// Leaves segments there, causes first, each going on where what is there ends or overlapping
    /// with it. When this returns, they are as durable as the relay makes anything, and so is
    /// everything that [`Relay::holds`] has told of before, also where `segments` is empty.
    ///
    /// # Errors
    /// When that cannot be said. They may be there nevertheless; to leave them again does no harm.
    fn put(&mut self, segments: &[Segment]) -> impl Future<Output = Result<(), RelayError>> + Send;

    /// What it holds and `than` lacks, causes first: as much as goes into one message
    /// ([`tress_model::limits::BATCH_BYTES`]), or one segment. Empty where there is nothing.
    ///
    /// # Errors
    /// When it cannot be asked.
    fn get(
        &mut self,
        than: &VersionVector,
    ) -> impl Future<Output = Result<Vec<Segment>, RelayError>> + Send;

    /// What it holds of the documents, in the order of [`Strand::ALL`].
    ///
    /// # Errors
    /// When it cannot be asked.
    fn clocks(&mut self) -> impl Future<Output = Result<[Clock; 3], RelayError>> + Send;

    /// Leaves changes of documents there, causes first; to leave some again does no harm.
    ///
    /// # Errors
    /// When that cannot be said.
    fn put_changes(
        &mut self,
        changes: &[(Strand, Numbered)],
    ) -> impl Future<Output = Result<(), RelayError>> + Send;

    /// The changes of a document that it holds and `than` lacks, as far as memory allows. Empty where there
    /// is nothing.
    ///
    /// # Errors
    /// When it cannot be asked.
    fn get_changes(
        &mut self,
        strand: Strand,
        than: &Clock,
    ) -> impl Future<Output = Result<Vec<Vec<u8>>, RelayError>> + Send;

    /// Waits until something may have come since [`Relay::holds`] was asked. Cancel-safe.
    ///
    /// # Errors
    /// When the relay has gone.
    fn changed(&mut self) -> impl Future<Output = Result<(), RelayError>> + Send;
}

/// Why a relay cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum RelayError {
    /// It cannot be reached, or broke off.
    #[error("{at} cannot be used now: {reason}")]
    Away {
        /// Which.
        at: String,
        /// What happened.
        reason: String,
    },
    /// It refuses who we are, or what we want.
    #[error("{at} refuses: {reason}")]
    Refused {
        /// Which.
        at: String,
        /// What it says.
        reason: String,
    },
    /// It was made by a newer version of Tress.
    #[error("{at} has the schema {found}, and this version knows up to {known}: update it")]
    Newer {
        /// Which.
        at: String,
        /// The version of its schema.
        found: i32,
        /// The newest that is known here.
        known: i32,
    },
    /// What it is reached with is not there, or not usable.
    #[error("{0}")]
    Unusable(String),
    /// Something cannot be left there.
    #[error(transparent)]
    Codec(#[from] CodecError),
}

impl RelayError {
    /// Whether to try again later may help.
    pub const fn is_transient(&self) -> bool {
        matches!(self, Self::Away { .. })
    }
}

/// Keeps `run` and what a relay holds of it the same: once, or, where `live` is said, until it breaks
/// off. `told` hears after each step what came of it so far.
///
/// # Errors
/// When the relay or the run fails. What came in until then stays.
pub async fn exchange<R: Relay>(
    run: &Run,
    relay: &mut R,
    live: bool,
    mut told: impl FnMut(&Exchanged) + Send,
) -> Result<Exchanged, FollowError> {
    let mut updates = run.updates();
    run.sign().await?;
    run.refresh().await?;
    let there = relay.holds().await?;
    let mut side = Side {
        run,
        relay,
        confirmed: there.clone(),
        there,
        passed: VersionVector::new(),
        waits: false,
        shelf: Shelf::new(run),
        intake: Intake::new(run)?,
        spoiled: Default::default(),
        exchanged: Exchanged::default(),
    };
    // What is seen may be on one disk only, after a crash: what is put behind it is not before it is.
    side.relay.put(&[]).await?;
    // Where nothing was sealed here and nothing came there, nothing is asked about documents.
    let (mut sealed, mut met) = (None, false);
    loop {
        side.take_all(live && met, &mut told).await?;
        met = true;
        run.sign().await?;
        side.give_all().await?;
        if sealed != Some(run.seals()) && !side.intake.is_strict() {
            side.exchange_documents().await?;
            sealed = Some(run.seals());
        }
        side.exchanged.up_to_date = true;
        told(&side.exchanged);
        if !live {
            return Ok(side.exchanged);
        }
        let due = side.intake.due();
        tokio::select! {
            changed = updates.changed() => {
                changed?;
                side.intake.reconsider();
            }
            () = tokio::time::sleep_until(due.unwrap_or_else(Instant::now)), if due.is_some() => {}
            changed = side.relay.changed() => {
                changed?;
                let there = side.relay.holds().await?;
                side.there.merge(&there);
                sealed = None;
            }
        }
    }
}

/// Notes in `clock` what `other` has besides.
fn join(clock: &mut Clock, other: &Clock) {
    for (actor, last) in other {
        let known = clock.entry(actor.clone()).or_default();
        *known = (*known).max(*last);
    }
}

/// What a store knows of a relay that it follows.
struct Side<'a, R> {
    run: &'a Run,
    relay: &'a mut R,
    /// What is there, as far as it was seen, or left there.
    there: VersionVector,
    /// What of that is as durable as it can be, for sure.
    confirmed: VersionVector,
    /// What is there and was refused, or cannot be given: it is not asked for again.
    passed: VersionVector,
    /// Whether something of that waited for its causes.
    waits: bool,
    shelf: Shelf,
    intake: Intake,
    /// What is there of documents, and cannot be taken in.
    spoiled: [Clock; 3],
    exchanged: Exchanged,
}

impl<R: Relay> Side<'_, R> {
    async fn take_all(
        &mut self,
        waits: bool,
        told: &mut (impl FnMut(&Exchanged) + Send),
    ) -> Result<(), FollowError> {
        self.take_pieces(told).await?;
        // A try costs the whole history: after the first one, it is told when it is time for the next.
        if waits && self.intake.due().is_none_or(|due| due > Instant::now()) {
            return Ok(());
        }
        let taken = self.intake.settle(self.run).await?;
        self.exchanged.received += taken.events.len();
        self.exchanged.unsigned = self.intake.unsigned();
        Ok(())
    }

    async fn take_pieces(
        &mut self,
        told: &mut (impl FnMut(&Exchanged) + Send),
    ) -> Result<(), FollowError> {
        loop {
            if !self.intake.is_current(self.run)? {
                // What was passed over is asked for again, and the other way round.
                self.intake = Intake::new(self.run)?;
                self.passed = VersionVector::new();
            }
            let known = self.run.durable().await?.join(&self.passed);
            if self.there <= known {
                return Ok(());
            }
            let segments = self.relay.get(&known).await?;
            if segments.is_empty() {
                self.passed.merge(&self.there.clone());
                return Ok(());
            }
            let before = self.passed.clone();
            for segment in &segments {
                self.passed.advance(segment.replica, segment.last());
            }
            let taken = self.intake.take(self.run, segments).await?;
            self.exchanged.unsigned = self.intake.unsigned();
            self.exchanged.received += taken.events.len();
            self.exchanged.refused += taken.refused.len();
            if taken.events.is_empty() && self.passed == before {
                // It gives what is known already, and would do so for ever.
                self.passed.merge(&self.there.clone());
                return Ok(());
            }
            if self.waits && !taken.events.is_empty() {
                // Perhaps that is what others waited for.
                self.passed = VersionVector::new();
                self.waits = false;
            }
            // What is held waits there.
            self.waits |= taken.waiting > 0 && self.intake.unsigned() == 0;
            if !taken.events.is_empty() {
                told(&self.exchanged);
            }
        }
    }

    /// The seals of each side come to the other. Where only that fails, events go on without them.
    async fn exchange_documents(&mut self) -> Result<(), FollowError> {
        match self.exchange_changes().await {
            Err(FollowError::Relay(error)) if error.is_transient() => Err(error.into()),
            Err(error) => {
                tracing::warn!(%error, "documents are not exchanged now");
                Ok(())
            }
            Ok(()) => Ok(()),
        }
    }

    async fn exchange_changes(&mut self) -> Result<(), FollowError> {
        let mut clocks = self.relay.clocks().await?;
        for (strand, there) in Strand::ALL.into_iter().zip(&clocks) {
            if self.run.strands().contains(strand) {
                self.take_changes(strand, there).await?;
            }
        }
        loop {
            let mut lacking = Vec::new();
            for (strand, there) in Strand::ALL.into_iter().zip(&mut clocks) {
                for change in self.shelf.lacking(strand, there.clone()).await? {
                    there.insert(change.actor.clone(), change.number);
                    lacking.push((strand, change));
                }
            }
            if lacking.is_empty() {
                return Ok(());
            }
            self.relay.put_changes(&lacking).await?;
        }
    }

    /// Takes in what is there of a document.
    async fn take_changes(&mut self, strand: Strand, there: &Clock) -> Result<(), FollowError> {
        let mut before = None;
        loop {
            let mut known = self.shelf.clock(strand).await?;
            if before.as_ref() == Some(&known) {
                // What was given brings us no further, and would be given again.
                if let Some(spoiled) = self.spoiled.get_mut(strand.index()) {
                    join(spoiled, there);
                }
            }
            before = Some(known.clone());
            join(&mut known, self.spoiled.get(strand.index()).unwrap_or(&Clock::new()));
            let mut joined = known.clone();
            join(&mut joined, there);
            if joined == known {
                return Ok(());
            }
            let changes = self.relay.get_changes(strand, &known).await?;
            if !changes.is_empty() {
                self.exchanged.changes += self.shelf.take(strand, changes).await?;
            }
        }
    }

    /// Leaves what is here when it begins; what comes meanwhile has its turn in the next round.
    async fn give_all(&mut self) -> Result<(), FollowError> {
        let ours = self.run.durable().await?;
        // What cannot be given, since it is lost here, is not tried again.
        let mut given = self.there.clone();
        while ours.join(&given) != given {
            let mut segments = self.run.lacking(given.clone(), Strands::ALL).await?;
            // Behind a hole of ours nothing can be left: nobody else would fill it there.
            segments.retain(|segment| {
                let next = segment.first <= given.get(segment.replica).saturating_add(1);
                if next {
                    given.advance(segment.replica, segment.last());
                }
                next
            });
            if segments.is_empty() {
                break;
            }
            self.relay.put(&segments).await?;
            for segment in &segments {
                self.exchanged.sent += segment.records.len() as u64;
                for version in [&mut self.there, &mut self.confirmed] {
                    version.advance(segment.replica, segment.last());
                }
            }
            self.run.note_copy(self.relay.id(), &self.confirmed);
        }
        let seen = self.there.meet(&ours);
        if seen.join(&self.confirmed) != self.confirmed {
            // Others left some of it there: a write of ours behind it says that it is as durable.
            self.relay.put(&[]).await?;
            self.confirmed.merge(&seen);
        }
        self.run.note_copy(self.relay.id(), &self.confirmed);
        Ok(())
    }
}
