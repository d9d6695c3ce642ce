//! The documents of a run as conversations read them.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tress_documents::Numbered;
use tress_model::message::{Clock, Heads};
use tress_model::operation::Strand;
use tress_model::{VersionVector, limits};
use tress_store::DocumentsError;

use super::Documents;
use super::sealing::{Held, Work};
use crate::error::Error;
use crate::run::Run;

/// What a message takes besides the changes in it.
const ENVELOPE: usize = 1 << 10;
/// How often a conversation settles at one state what others settle otherwise: where two stores come to
/// different states for good (events of one are lost, or they are of different versions), they would for ever.
const SETTLE_MAX: u32 = 3;
/// How long nothing is tried after the documents could not be had.
const PAUSE: Duration = Duration::from_secs(1);

/// The documents of a run as several conversations share them: what one of them brought up to date, or settled in
/// vain, the others need not.
#[derive(Debug, Clone)]
pub(crate) struct Shelf {
    run: Run,
    kept: Arc<tokio::sync::Mutex<Kept>>,
}

/// When the documents were up to date.
#[derive(Debug, Default)]
pub(crate) struct Kept {
    /// Which piece of work on them it was that brought them there.
    works: Option<u64>,
    /// How many seals were known then, with ours.
    seals: u64,
    /// The version that they equalled, if they did.
    sealed: Option<VersionVector>,
    /// How often they were sealed at the same state, and at which.
    settled: u32,
    at: VersionVector,
    failed: Option<Instant>,
}

impl Shelf {
    pub(crate) fn new(run: &Run) -> Self {
        Self { run: run.clone(), kept: run.kept_documents() }
    }

    /// What `read` makes of the documents, brought up to date; where they are `sealed`, they equal the state,
    /// unless others will not have it.
    pub(crate) async fn read<T: Send + 'static>(
        &self,
        sealed: bool,
        read: impl FnOnce(&mut Documents) -> Result<T, Error> + Send + 'static,
    ) -> Result<T, Error> {
        let mut kept = self.kept.lock().await;
        let (seals, version) = (self.run.seals(), self.run.state().version.clone());
        if kept.at != version {
            (kept.at, kept.settled) = (version.clone(), 0);
        }
        let sealed = sealed && kept.settled < SETTLE_MAX;
        let current = kept.seals == seals && (!sealed || kept.sealed.as_ref() == Some(&version));
        let unless = kept.works.filter(|_| current);
        let work = if sealed { Work::Seal } else { Work::Gather };
        let then = |held: &mut Held| {
            let read = read(&mut held.documents);
            held.spoiled = read.is_err();
            let Documents { version, sealed, .. } = &held.documents;
            (held.works, version.clone(), sealed.changes, read)
        };
        let (works, version, changes, read) = self.work(&mut kept, work, unless, then).await?;
        if unless == Some(works) {
            return read;
        }
        if changes > 0 {
            kept.settled += 1;
            if kept.settled == SETTLE_MAX {
                tracing::warn!(
                    "another store settles the documents otherwise: are both whole, and of one version?"
                );
            }
        }
        kept.seals = seals + changes as u64;
        (kept.works, kept.sealed) = (Some(works), sealed.then_some(version));
        read
    }

    /// Does work on the documents; not again and again where another process has them.
    async fn work<T: Send + 'static>(
        &self,
        kept: &mut Kept,
        work: Work,
        unless: Option<u64>,
        then: impl FnOnce(&mut Held) -> T + Send + 'static,
    ) -> Result<T, Error> {
        if kept.failed.is_some_and(|failed| failed.elapsed() < PAUSE) {
            return Err(DocumentsError::Busy.into());
        }
        let done = self.run.work(work, unless, then).await;
        kept.failed = done.is_err().then(Instant::now);
        done
    }

    /// Takes in changes that another store made to the document of `strand`, as anybody may have made them; what
    /// does not fit is refused, and kept in `quarantine/`. How many were new.
    pub(crate) async fn take(&self, strand: Strand, changes: Vec<Vec<u8>>) -> Result<usize, Error> {
        let mut kept = self.kept.lock().await;
        let seals = self.run.seals();
        let then = |held: &mut Held| (held.works, held.taken);
        let work = Work::Take(strand, changes);
        let (works, new) = self.work(&mut kept, work, None, then).await?;
        (kept.works, kept.sealed, kept.seals) = (Some(works), None, seals + new as u64);
        Ok(new)
    }

    /// Where they stand, without making any.
    pub(crate) async fn stand(&self) -> Result<Heads, Error> {
        match self.run.has_documents() {
            true => self.read(false, |documents| Ok(documents.stand())).await,
            false => Ok(Heads::default()),
        }
    }

    /// What a document holds, unless it holds `heads`; without making one.
    pub(crate) async fn compare(
        &self,
        strand: Strand,
        heads: Vec<[u8; 32]>,
    ) -> Result<Option<Clock>, Error> {
        match self.run.has_documents() {
            true => self.read(false, move |documents| documents.compare(strand, &heads)).await,
            false => Ok(Some(Clock::new())),
        }
    }

    /// What a document holds, without making one.
    pub(crate) async fn clock(&self, strand: Strand) -> Result<Clock, Error> {
        match self.run.has_documents() {
            true => self.read(false, move |documents| documents.clock(strand)).await,
            false => Ok(Clock::new()),
        }
    }

    /// What a document has and `clock` lacks, as much as goes into one message; without making one. All of it
    /// is durable here.
    pub(crate) async fn lacking(
        &self,
        strand: Strand,
        clock: Clock,
    ) -> Result<Vec<Numbered>, Error> {
        if !self.run.has_documents() {
            return Ok(Vec::new());
        }
        // Another process may have written a seal and not synced it yet: after a power cut its number would be
        // used again, and somebody would have the first.
        self.run.durable().await?;
        let most = limits::MESSAGE_BYTES_MAX - ENVELOPE;
        let lacking = move |documents: &mut Documents| {
            Ok(documents.document(strand)?.lacking(&clock, limits::BATCH_BYTES, most))
        };
        self.read(false, lacking).await
    }
}

#[cfg(test)]
mod tests {
    use tress_documents::{Document, project};
    use tress_model::{Role, State, StoreId};

    use super::*;
    use crate::{Operation, Store, TodoId};

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn what_another_store_settles_otherwise_is_not_settled_for_ever() {
        let store = Store::in_memory().unwrap();
        let run = store.create_run("main").await.unwrap();
        let todo = crate::todo(TodoId::from_external("one"), "one");
        run.agent("ada", Role::Human).append([todo]).await.unwrap();
        let shelf = Shelf::new(&run);
        let sealed = || shelf.read(true, |documents| Ok(documents.sealed.changes));
        assert!(sealed().await.unwrap() > 0);
        // The other one has lost the event, and takes the todo away each time.
        let mut other = Document::new(Strand::Todo, StoreId([9; 16]));
        let nothing = project(&State::default(), Strand::Todo);
        let mut rounds = 0;
        loop {
            let lacking = shelf.lacking(Strand::Todo, other.clock()).await.unwrap();
            let lacking: Vec<_> = lacking.into_iter().map(|change| change.bytes).collect();
            assert!(other.apply_of_peer(&lacking).1.is_empty());
            let changes = other.seal(&nothing, "nothing is there").unwrap();
            if changes.is_empty() {
                break;
            }
            assert_eq!(shelf.take(Strand::Todo, changes).await.unwrap(), 1);
            sealed().await.unwrap();
            rounds += 1;
            assert!(rounds <= SETTLE_MAX, "it never ends");
        }
        assert_eq!(rounds, SETTLE_MAX);
        // Where something happens, the documents are to equal the state again.
        run.agent("ada", Role::Human)
            .append([Operation::RunPaused { reason: String::new() }])
            .await
            .unwrap();
        assert!(sealed().await.unwrap() > 0);
    }
    /// What a client says is read with the documents in hand that the next seal goes on with.
    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn documents_with_which_somebody_failed_are_not_sealed_on() {
        let store = Store::in_memory().unwrap();
        let run = store.create_run("main").await.unwrap();
        let (ada, shelf) = (run.agent("ada", Role::Human), Shelf::new(&run));
        ada.add("one").await.unwrap();
        let spoil = |documents: &mut Documents| {
            let nothing = project(&State::default(), Strand::Todo);
            documents.own(Strand::Todo)?.seal(&nothing, "nothing")?;
            Err::<(), _>(Error::Closed)
        };
        shelf.read(true, spoil).await.unwrap_err();
        ada.add("two").await.unwrap();
        let read = shelf.read(true, |documents| documents.read(Strand::Todo)).await.unwrap();
        assert_eq!(read, project(&run.state(), Strand::Todo));
    }
}
