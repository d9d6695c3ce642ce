//! Sealing: bringing the three documents up to the state.
//!
//! A store seals what its documents lack when they are read, with the seals of other stores in them; one
//! process at a time: whichever has the documents open. A seal is appended to the journal before it is
//! saved in sled, so the journals hold every change, and the database can be lost at any time. Sealing is
//! warm work: it is asked for, or done at rest; an append never waits for it.

mod sealing;
mod shelf;

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::{Arc, PoisonError};

use tress_documents::{Applied, Document, Edits, Follower, Heard, Node};
use tress_engine::Draft;
use tress_model::event::Seal;
use tress_model::message::{Clock, Heads};
use tress_model::operation::Strand;
use tress_model::{Event, State, StoreId, VersionVector};
use tress_store::RunStore;

use crate::error::Error;
use crate::run::Run;
use sealing::{Held, Sealing, Work};

pub(crate) use sealing::Holding;
pub(crate) use shelf::{Kept, Shelf};

/// What a sealing did.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Sealed {
    /// How many documents got a change.
    pub changes: usize,
    /// How many changes were taken in from the journals.
    pub applied: usize,
    /// Changes that were refused, with the reason; they are kept in `quarantine/`.
    pub refused: Vec<String>,
    /// Where a damaged database was moved to.
    pub moved_aside: Option<PathBuf>,
}

/// The three documents of a run, equal to its state at one version.
#[derive(Debug, Clone)]
pub struct Documents {
    /// The version that they show.
    pub version: VersionVector,
    /// What the sealing before the reading did.
    pub sealed: Sealed,
    state: Arc<State>,
    documents: [(Strand, Arc<Document>); 3],
}

impl Documents {
    /// A document in Automerge's own bytes, as any Automerge tool reads them.
    pub fn save(&self, strand: Strand) -> Vec<u8> {
        self.document(strand).map(|document| document.save()).unwrap_or_default()
    }

    /// The heads of a document.
    pub fn heads(&self, strand: Strand) -> Vec<[u8; 32]> {
        self.document(strand).map(|document| document.heads()).unwrap_or_default()
    }

    /// Where they stand, in the words of a conversation: a document that nobody has written stands nowhere.
    pub(crate) fn stand(&self) -> Heads {
        Strand::ALL.map(|strand| {
            let document =
                self.documents.iter().find(|(of, document)| *of == strand && !document.is_new());
            document.map(|(_, document)| document.heads()).unwrap_or_default()
        })
    }

    /// What a document holds, unless it holds `heads`.
    pub(crate) fn compare(
        &self,
        strand: Strand,
        heads: &[[u8; 32]],
    ) -> Result<Option<Clock>, Error> {
        let document = self.document(strand)?;
        Ok((!document.holds(heads)).then(|| document.clock()))
    }

    /// What a document holds: nothing, where nobody has written it.
    pub(crate) fn clock(&self, strand: Strand) -> Result<Clock, Error> {
        let document = self.document(strand)?;
        Ok(if document.is_new() { Clock::new() } else { document.clock() })
    }

    /// The stores that have written something of them.
    pub(crate) fn stores(&self) -> BTreeSet<StoreId> {
        self.documents.iter().flat_map(|(_, document)| document.stores()).collect()
    }

    fn document(&self, strand: Strand) -> Result<&Document, Error> {
        let document = self.documents.iter().find(|(of, _)| *of == strand);
        document.map(|(_, document)| &**document).ok_or(Error::Closed)
    }

    /// The document as nobody else has it: copied, where somebody has.
    fn own(&mut self, strand: Strand) -> Result<&mut Document, Error> {
        let document = self.documents.iter_mut().find(|(of, _)| *of == strand);
        document.map(|(_, document)| Arc::make_mut(document)).ok_or(Error::Closed)
    }

    /// Moves the conversation with a stock client on; see [`Document::heard`].
    pub(crate) fn hear(
        &mut self,
        strand: Strand,
        follower: &mut Follower,
        heard: Heard,
    ) -> Result<(), Error> {
        Ok(self.own(strand)?.heard(follower, heard)?)
    }

    /// What there is to tell a stock client; see [`Document::tell`].
    pub(crate) fn tell(
        &self,
        strand: Strand,
        follower: &mut Follower,
    ) -> Result<Option<Vec<u8>>, Error> {
        Ok(self.document(strand)?.tell(follower)?)
    }

    /// What a document says.
    ///
    /// # Errors
    /// When it holds something that the schema does not know.
    pub fn read(&self, strand: Strand) -> Result<Node, Error> {
        Ok(self.document(strand)?.read()?)
    }
}

impl Run {
    /// Seals what is not sealed yet. Linear in the documents the first time, and where others have sealed since; else
    /// as long as this process holds them ([`tress_store::Tuning::documents_for`]), in what changed.
    ///
    /// # Errors
    /// When the documents are busy for seconds, or cannot be written.
    pub async fn seal(&self) -> Result<Sealed, Error> {
        self.work(Work::Seal, None, |held| held.documents.sealed.clone()).await
    }

    /// The run's three documents; seals first, so that they equal the state. Takes as long as [`Run::seal`]. As long as
    /// what it gives is kept, sealing copies the documents that it changes.
    ///
    /// # Errors
    /// When the documents are busy for seconds, or cannot be read or written.
    pub async fn documents(&self) -> Result<Documents, Error> {
        self.work(Work::Seal, None, |held| held.documents.clone()).await
    }

    /// Where the documents stand, in the order of [`Strand::ALL`]: the hashes of the changes of each that no
    /// other change follows. Seals nothing; a document that nobody has read or brought yet stands nowhere.
    ///
    /// # Errors
    /// When the documents are busy for seconds, or cannot be read.
    pub async fn document_heads(&self) -> Result<Heads, Error> {
        Shelf::new(self).stand().await
    }

    /// Brings the documents up to what the journals have, and does some work on them, unless they are as the piece of
    /// work number `unless` left them. What `then` makes of them.
    async fn work<T: Send + 'static>(
        &self,
        work: Work,
        unless: Option<u64>,
        then: impl FnOnce(&mut Held) -> T + Send + 'static,
    ) -> Result<T, Error> {
        let run = self.clone();
        let handle = tokio::runtime::Handle::current();
        let work = move || {
            // In one process one at a time; between processes the lock of the documents decides.
            let mut holding = run.holding().lock().unwrap_or_else(PoisonError::into_inner);
            let append = |seals: Vec<Seal>| handle.block_on(run.append_seals(seals));
            let newest = || handle.block_on(run.refresh());
            holding.work(&run, (&work, unless), (newest, append), then)
        };
        tokio::task::spawn_blocking(work).await.map_err(|error| Error::Group(error.to_string()))?
    }

    /// The store under whose actor the run is sealed here.
    pub(crate) fn seals_as(&self) -> Result<StoreId, Error> {
        Ok(Sealing::new(self)?.store)
    }

    /// Whether all events that `version` does not know were written by other stores, and there are some.
    pub(crate) async fn only_others_since(&self, version: &VersionVector) -> Result<bool, Error> {
        let (own, version) = (self.place()?, version.clone());
        self.query(move |core| {
            let new = core.log.version().iter();
            let mut new = new.filter(|&(replica, last)| last > version.get(replica)).peekable();
            let others =
                |(replica, _)| core.log.store_of(replica).is_some_and(|store| store != own);
            new.peek().is_some() && new.all(others)
        })
        .await
    }

    /// Whether this store may have documents of its runs.
    fn has_documents(&self) -> bool {
        let store = self.store_files();
        !store.is_real() || store.dir().join("documents").is_dir()
    }

    /// What changes that others made to a document mean, and the state against which; the document that
    /// they were applied to is a copy.
    ///
    /// # Errors
    /// When one of the changes is damaged, or none can be applied.
    pub(crate) async fn read_changes(
        &self,
        strand: Strand,
        changes: &[Vec<u8>],
        of_client: bool,
    ) -> Result<Foreign, Error> {
        let mut documents = self.documents().await?;
        let document = documents.own(strand)?;
        let applied = match of_client {
            true => document.apply_of_client(changes)?,
            false => document.apply_foreign(changes)?,
        };
        let edits = match applied.new {
            0 => Edits::default(),
            _ => {
                let read = document.read()?;
                tress_documents::edits(&documents.state, strand, &read)
            }
        };
        Ok(Foreign { applied, edits, state: documents.state })
    }

    /// Appends what changes that others made say, and the changes as they are, with the seals of this
    /// store, in one write; where the run is no longer what it was, nothing, and `None`. The next seal
    /// settles what the changes changed and may not.
    pub(crate) async fn append_edits(
        &self,
        strand: Strand,
        state: &State,
        drafts: Vec<Draft>,
        changes: Vec<Vec<u8>>,
    ) -> Result<Option<Vec<Arc<Event>>>, Error> {
        let store = Sealing::new(self)?.store;
        let version = state.version.clone();
        let seals = changes.into_iter().map(|change| Seal {
            store,
            strand,
            number: state.events(),
            version: version.clone(),
            change,
        });
        let seals: Vec<_> = seals.collect();
        self.query(move |core| core.append_edits(&version, drafts, &seals)).await?
    }

    async fn append_seals(&self, seals: Vec<Seal>) -> Result<(), Error> {
        self.query(move |core| core.append_seals(&seals)).await?
    }
}

/// What foreign changes came to.
pub(crate) struct Foreign {
    pub(crate) applied: Applied,
    pub(crate) edits: Edits,
    /// What the documents showed without them.
    pub(crate) state: Arc<State>,
}

/// The name under which a run's documents are kept. A path that is made again under an old name is
/// another path.
pub(crate) fn document_name(files: &RunStore) -> String {
    match files.origin() {
        Some(origin) => format!("{}@{}", files.name(), origin.at),
        None => files.name().to_owned(),
    }
}
