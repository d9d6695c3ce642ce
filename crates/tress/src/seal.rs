//! Sealing: bringing the three documents up to the state.
//!
//! A store seals what its documents lack when they are read, with the seals of other stores in them; one
//! process at a time: whichever has the documents open. A seal is appended to the journal before it is
//! saved in sled, so the journals hold every change, and the database can be lost at any time. Sealing is
//! warm work: it is asked for, or done at rest; an append never waits for it.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::{Arc, PoisonError};
use std::time::{Duration, Instant};

use tress_documents::{
    Applied, Document, DocumentError, Edits, Follower, Heard, Node, Numbered, project,
};
use tress_engine::Draft;
use tress_model::event::Seal;
use tress_model::message::{Clock, Heads};
use tress_model::operation::Strand;
use tress_model::{Event, EventId, State, StoreId, VersionVector, limits};
use tress_store::documents::move_aside;
use tress_store::{DocumentsError, Item, RunStore, SavedDocument, SledDocuments};

use crate::error::Error;
use crate::run::Run;

/// What a message takes besides the changes in it.
const ENVELOPE: usize = 1 << 10;
/// How often, and how long apart, a busy database is asked again.
const BUSY_TRIES: u32 = 60;
const BUSY_WAIT: Duration = Duration::from_millis(50);

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
#[derive(Debug)]
pub struct Documents {
    /// The version that they show.
    pub version: VersionVector,
    /// What the sealing before the reading did.
    pub sealed: Sealed,
    state: Arc<State>,
    documents: Vec<(Strand, Document)>,
}

impl Documents {
    /// A document in Automerge's own bytes, as any Automerge tool reads them.
    pub fn save(&mut self, strand: Strand) -> Vec<u8> {
        self.document(strand).map(|document| document.save()).unwrap_or_default()
    }

    /// The heads of a document.
    pub fn heads(&mut self, strand: Strand) -> Vec<[u8; 32]> {
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
        &mut self,
        strand: Strand,
        heads: &[[u8; 32]],
    ) -> Result<Option<Clock>, Error> {
        let document = self.document(strand)?;
        Ok((!document.holds(heads)).then(|| document.clock()))
    }

    /// What a document holds: nothing, where nobody has written it.
    pub(crate) fn clock(&mut self, strand: Strand) -> Result<Clock, Error> {
        let document = self.document(strand)?;
        Ok(if document.is_new() { Clock::new() } else { document.clock() })
    }

    /// What a document has and `clock` lacks: as much as goes into one message.
    pub(crate) fn lacking(
        &mut self,
        strand: Strand,
        clock: &Clock,
    ) -> Result<Vec<Numbered>, Error> {
        let most = limits::MESSAGE_BYTES_MAX - ENVELOPE;
        Ok(self.document(strand)?.lacking(clock, limits::BATCH_BYTES, most))
    }

    /// The stores that have written something of them.
    pub(crate) fn stores(&mut self) -> BTreeSet<StoreId> {
        self.documents.iter_mut().flat_map(|(_, document)| document.stores()).collect()
    }

    fn document(&mut self, strand: Strand) -> Result<&mut Document, Error> {
        let document = self.documents.iter_mut().find(|(of, _)| *of == strand);
        document.map(|(_, document)| document).ok_or(Error::Closed)
    }

    /// Moves the conversation with a stock client on; see [`Document::heard`].
    pub(crate) fn hear(
        &mut self,
        strand: Strand,
        follower: &mut Follower,
        heard: Heard,
    ) -> Result<(), Error> {
        Ok(self.document(strand)?.heard(follower, heard)?)
    }

    /// What there is to tell a stock client; see [`Document::tell`].
    pub(crate) fn tell(
        &mut self,
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
        let document = self.documents.iter().find(|(of, _)| *of == strand);
        let (_, document) = document.ok_or(Error::Closed)?;
        Ok(document.read()?)
    }
}

impl Run {
    /// Seals what is not sealed yet.
    ///
    /// # Errors
    /// When the documents are busy for seconds, or cannot be written.
    pub async fn seal(&self) -> Result<Sealed, Error> {
        Ok(self.documents().await?.sealed)
    }

    /// The run's three documents; seals first, so that they equal the state.
    ///
    /// # Errors
    /// When the documents are busy for seconds, or cannot be read or written.
    pub async fn documents(&self) -> Result<Documents, Error> {
        Ok(self.work(Work::Seal).await?.0)
    }

    /// Where the documents stand, in the order of [`Strand::ALL`]: the hashes of the changes of each that no
    /// other change follows. Seals nothing; a document that nobody has read or brought yet stands nowhere.
    ///
    /// # Errors
    /// When the documents are busy for seconds, or cannot be read.
    pub async fn document_heads(&self) -> Result<Heads, Error> {
        Shelf::new(self).stand().await
    }

    /// Brings the documents up to what the journals have, and does some work on them. Gives also how many
    /// changes were taken in.
    async fn work(&self, work: Work) -> Result<(Documents, usize), Error> {
        let run = self.clone();
        let handle = tokio::runtime::Handle::current();
        let work = move || {
            // In one process one at a time; between processes the lock of the documents decides.
            let _alone = run.sealing().lock().unwrap_or_else(PoisonError::into_inner);
            let append = |seals: Vec<Seal>| handle.block_on(run.append_seals(seals));
            let newest = || handle.block_on(run.refresh());
            Sealing::new(&run)?.work(&work, newest, append)
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
        let document = documents.document(strand)?;
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

/// What is to be done with the documents once they hold what the journals have.
enum Work {
    /// Nothing.
    Gather,
    /// They are to equal the newest state.
    Seal,
    /// These changes of another store are to be taken in.
    Take(Strand, Vec<Vec<u8>>),
}

/// How often a conversation settles at one state what others settle otherwise: where two stores come to
/// different states for good (events of one are lost, or they are of different versions), they would for ever.
const SETTLE_MAX: u32 = 3;
/// How long nothing is tried after the documents could not be had.
const PAUSE: Duration = Duration::from_secs(1);

/// The documents of a run as several conversations share them: to load them is dear, and is done by one
/// of them for all.
#[derive(Debug, Clone)]
pub(crate) struct Shelf {
    run: Run,
    kept: Arc<tokio::sync::Mutex<Kept>>,
}

/// Documents, and when they were up to date.
#[derive(Debug, Default)]
pub(crate) struct Kept {
    documents: Option<Documents>,
    /// How many seals were known then, with ours.
    seals: u64,
    /// Whether they equalled the state.
    sealed: bool,
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
        let mut kept = Arc::clone(&self.kept).lock_owned().await;
        self.bring_up(&mut kept, sealed).await?;
        let read = move || read(kept.documents.as_mut().ok_or(Error::Closed)?);
        tokio::task::spawn_blocking(read).await.map_err(|error| Error::Group(error.to_string()))?
    }

    async fn bring_up(&self, kept: &mut Kept, sealed: bool) -> Result<(), Error> {
        let (seals, version) = (self.run.seals(), self.run.state().version.clone());
        if kept.at != version {
            (kept.at, kept.settled) = (version.clone(), 0);
        }
        let sealed = sealed && kept.settled < SETTLE_MAX;
        let current = kept.documents.as_ref().is_some_and(|documents| {
            kept.seals == seals && (!sealed || kept.sealed && documents.version == version)
        });
        if current {
            return Ok(());
        }
        let work = if sealed { Work::Seal } else { Work::Gather };
        let documents = self.work(kept, work).await?.0;
        if documents.sealed.changes > 0 {
            kept.settled += 1;
            if kept.settled == SETTLE_MAX {
                tracing::warn!(
                    "another store settles the documents otherwise: are both whole, and of one version?"
                );
            }
        }
        kept.seals = seals + documents.sealed.changes as u64;
        (kept.documents, kept.sealed) = (Some(documents), sealed);
        Ok(())
    }

    /// Does work on the documents; not again and again where another process has them.
    async fn work(&self, kept: &mut Kept, work: Work) -> Result<(Documents, usize), Error> {
        if kept.failed.is_some_and(|failed| failed.elapsed() < PAUSE) {
            return Err(DocumentsError::Busy.into());
        }
        let done = self.run.work(work).await;
        kept.failed = done.is_err().then(Instant::now);
        done
    }

    /// Takes in changes that another store made to the document of `strand`, as anybody may have made them; what
    /// does not fit is refused, and kept in `quarantine/`. How many were new.
    pub(crate) async fn take(&self, strand: Strand, changes: Vec<Vec<u8>>) -> Result<usize, Error> {
        let mut kept = self.kept.lock().await;
        let seals = self.run.seals();
        let (documents, new) = self.work(&mut kept, Work::Take(strand, changes)).await?;
        (kept.documents, kept.sealed, kept.seals) = (Some(documents), false, seals + new as u64);
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
        self.read(false, move |documents| documents.lacking(strand, &clock)).await
    }
}

/// The same, when nobody else can do any.
#[derive(Default)]
struct Task<'a> {
    state: Option<Arc<State>>,
    take: Option<(Strand, &'a Vec<Vec<u8>>)>,
}

struct Sealing {
    name: String,
    files: RunStore,
    store: StoreId,
    dirs: Option<Dirs>,
}

struct Dirs {
    documents: PathBuf,
    lock: PathBuf,
    quarantine: PathBuf,
}

impl Sealing {
    fn new(run: &Run) -> Result<Self, Error> {
        let store = run.store_files();
        let dirs = store.is_real().then(|| Dirs {
            documents: store.dir().join("documents"),
            lock: store.dir().join("local").join("documents.lock"),
            quarantine: store.dir().join("quarantine"),
        });
        let files = store.run(run.name(), false)?;
        let place = store.place()?;
        let name = document_name(&files);
        let store = if files.origin().is_some() { place.on_path(&name) } else { place };
        // Seals that were lost had used numbers of the actor; what comes is another's.
        let store = match files.repaired() {
            0 => store,
            repaired => store.on_path(&format!("{name} repaired {repaired}")),
        };
        Ok(Self { name, files, store, dirs })
    }

    /// Does `work`; seals the state that is newest once nobody else can seal.
    fn work(
        self,
        work: &Work,
        newest: impl Fn() -> Result<Arc<State>, Error>,
        append: impl Fn(Vec<Seal>) -> Result<(), Error>,
    ) -> Result<(Documents, usize), Error> {
        let mut sealed = Sealed::default();
        // The newest state is that of when nobody else can seal.
        let task = || -> Result<Task<'_>, Error> {
            match work {
                Work::Gather => Ok(Task::default()),
                Work::Seal => Ok(Task { state: Some(newest()?), take: None }),
                Work::Take(strand, changes) => {
                    Ok(Task { state: None, take: Some((*strand, changes)) })
                }
            }
        };
        let Some(dirs) = &self.dirs else {
            let saved = Strand::ALL.map(|_| None);
            return self.seal(task()?, saved, sealed, append, |_, _, _| Ok(()));
        };
        let (database, saved) = match open(dirs).and_then(|db| Ok((self.load(&db)?, db))) {
            Ok((saved, database)) => (database, saved),
            Err(Error::Documents(DocumentsError::Damaged { path, reason })) => {
                tracing::warn!(path = %path.display(), reason, "rebuilding damaged documents");
                sealed.moved_aside = Some(move_aside(&dirs.documents, &dirs.quarantine)?);
                (open(dirs)?, Strand::ALL.map(|_| None))
            }
            Err(error) => return Err(error),
        };
        self.seal(task()?, saved, sealed, append, |document, loaded, mut saved| {
            let strand = document.strand();
            if let Some(heads) = loaded {
                saved.bytes = document.save_behind(heads)?;
                if database.save_behind(&self.name, strand, &saved)? {
                    return Ok(());
                }
            }
            saved.bytes = document.save();
            Ok(database.save(&self.name, strand, &saved)?)
        })
    }

    fn load(&self, database: &SledDocuments) -> Result<[Option<SavedDocument>; 3], Error> {
        let [design, todo, implementation] =
            Strand::ALL.map(|strand| database.load(&self.name, strand));
        Ok([design?, todo?, implementation?])
    }

    fn seal(
        &self,
        Task { state, take }: Task<'_>,
        saved: [Option<SavedDocument>; 3],
        mut sealed: Sealed,
        append: impl Fn(Vec<Seal>) -> Result<(), Error>,
        save: impl Fn(&Document, Option<&Vec<[u8; 32]>>, SavedDocument) -> Result<(), Error>,
    ) -> Result<(Documents, usize), Error> {
        let mut documents = Vec::new();
        let (mut seals, mut dirty) = (Vec::new(), Vec::new());
        let (mut ends, mut new) = (Vec::new(), 0);
        for (strand, saved) in Strand::ALL.into_iter().zip(saved) {
            let shown = saved.as_ref().map(|saved| saved.version.clone()).unwrap_or_default();
            let version = state.as_ref().map_or(shown, |state| state.version.clone());
            let loaded =
                saved.and_then(|saved| match Document::load(strand, self.store, &saved.bytes) {
                    Ok(document) => Some((document, saved.positions, saved.shows)),
                    Err(error) => {
                        tracing::warn!(%error, strand = strand.name(), "rebuilding a document");
                        None
                    }
                });
            let heads = loaded.as_ref().map(|(document, ..)| document.heads());
            let (mut document, positions, showed) = match loaded {
                Some(loaded) => loaded,
                None => (Document::new(strand, self.store), Vec::new(), None),
            };
            let (changes, ends_at) = self.files.seals_since(&positions)?;
            let changes = changes.into_iter().filter(|seal| seal.strand == strand).collect();
            let (applied, sound) = self.apply(&mut document, changes, &mut sealed.refused)?;
            sealed.applied += sound;
            let behind = sound > 0;
            // What it showed, as long as nothing came to it.
            let mut shows = showed.filter(|_| applied.new == 0);
            if !applied.waiting.is_empty() {
                // Their causes come with another store's journals; they are read again then.
                tracing::warn!(waiting = applied.waiting.len(), "seals wait for their causes");
            }
            let positions = if applied.waiting.is_empty() { ends_at } else { positions };
            let before = seals.len();
            let (number, store) = (version.events(), self.store);
            let seal = |change| Seal { store, strand, number, version: version.clone(), change };
            if let Some((_, changes)) = take.filter(|(of, _)| *of == strand) {
                let (applied, bad) = document.apply_of_peer(changes);
                let taken = applied.taken.iter().filter_map(|at| changes.get(*at)).cloned();
                seals.extend(taken.map(seal));
                new = applied.new;
                shows = shows.filter(|_| new == 0);
                for (at, reason) in bad {
                    if let Some(change) = changes.get(at) {
                        self.refuse(seal(change.clone()), reason, &mut sealed.refused);
                    }
                }
            }
            if let Some(state) = state.as_ref().filter(|_| self.files.strands().contains(strand)) {
                let message = format!("seal of {} events", state.events());
                let desired = project(state, strand);
                let wanted = Some(EventId(desired.digest()));
                // To compare all of it takes twice as long as to load it.
                while shows != wanted
                    && let Some(change) = document.seal(&desired, &message)?
                {
                    sealed.changes += 1;
                    seals.push(seal(change));
                }
                shows = wanted;
            }
            // What nobody has written is nowhere yet.
            let begun = state.is_some() || !document.is_new();
            if heads.is_none() && begun || behind || seals.len() > before || shows != showed {
                dirty.push(strand);
            }
            // What is to be saved, but for its bytes.
            ends.push((heads, SavedDocument { bytes: Vec::new(), version, positions, shows }));
            documents.push((strand, document));
        }
        if !seals.is_empty() {
            append(seals)?;
        }
        for ((strand, document), (heads, end)) in documents.iter().zip(ends) {
            if dirty.contains(strand) {
                save(document, heads.as_ref(), end)?;
            }
        }
        let state = state.unwrap_or_default();
        Ok((Documents { version: state.version.clone(), sealed, state, documents }, new))
    }
}

impl Sealing {
    /// Applies changes that came with the journals. One that is refused harms no other: it goes to
    /// quarantine. Gives also how many were sound.
    fn apply(
        &self,
        document: &mut Document,
        mut seals: Vec<Seal>,
        refused: &mut Vec<String>,
    ) -> Result<(Applied, usize), Error> {
        loop {
            let changes: Vec<Vec<u8>> = seals.iter().map(|seal| seal.change.clone()).collect();
            match document.apply(&changes) {
                Err(DocumentError::Change { index, reason }) if index < seals.len() => {
                    self.refuse(seals.remove(index), reason, refused);
                }
                applied => return Ok((applied?, changes.len())),
            }
        }
    }

    fn refuse(&self, seal: Seal, reason: String, refused: &mut Vec<String>) {
        tracing::warn!(store = %seal.store, reason, "refused a change");
        refused.push(reason);
        if let Err(error) = self.files.keep_refused(Item::Seal(seal)) {
            tracing::warn!(%error, "what was refused could not be kept");
        }
    }
}

/// Opens the database; while another process has it, waits for seconds.
fn open(dirs: &Dirs) -> Result<SledDocuments, Error> {
    let mut tries = 0;
    loop {
        match SledDocuments::open(&dirs.documents, &dirs.lock) {
            Err(DocumentsError::Busy) if tries < BUSY_TRIES => {
                tries += 1;
                std::thread::sleep(BUSY_WAIT);
            }
            opened => return Ok(opened?),
        }
    }
}

#[cfg(test)]
mod tests {
    use tress_model::Role;

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
            let Some(change) = other.seal(&nothing, "nothing is there").unwrap() else { break };
            assert_eq!(shelf.take(Strand::Todo, vec![change]).await.unwrap(), 1);
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
}
