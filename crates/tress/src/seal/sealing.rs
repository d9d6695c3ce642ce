//! The work on the three documents, and what a process holds of them from one piece of it to the next.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tress_documents::{Applied, Document, DocumentError, Shown, project, project_changed};
use tress_model::clock::Millis;
use tress_model::event::Seal;
use tress_model::operation::Strand;
use tress_model::{EventId, State, StoreId, VersionVector};
use tress_store::documents::move_aside;
use tress_store::{DocumentsError, Item, Positions, RunStore, SavedDocument, SledDocuments, Stamp};

use super::{Documents, Sealed};
use crate::error::Error;
use crate::run::Run;

/// How often, and how long apart, a busy database is asked again.
const BUSY_TRIES: u32 = 60;
const BUSY_WAIT: Duration = Duration::from_millis(50);

/// What is to be done with the documents once they hold what the journals have.
pub(crate) enum Work {
    /// Nothing.
    Gather,
    /// They are to equal the newest state.
    Seal,
    /// These changes of another store are to be taken in.
    Take(Strand, Vec<Vec<u8>>),
}

/// Where an open run keeps its documents; whoever has it does the work on them.
#[derive(Debug, Default)]
pub(crate) struct Holding {
    /// What the last work left, unless it failed, or nobody needed it for a while.
    held: Option<Held>,
    /// How many pieces of work there were.
    works: u64,
}

impl Holding {
    /// Does `work`, unless the documents are those that the piece of work number `unless` left; what `then` makes of
    /// them.
    pub(super) fn work<T>(
        &mut self,
        run: &Run,
        (work, unless): (&Work, Option<u64>),
        (newest, append): (
            impl Fn() -> Result<Arc<State>, Error>,
            impl Fn(Vec<Seal>) -> Result<(), Error>,
        ),
        then: impl FnOnce(&mut Held) -> T,
    ) -> Result<T, Error> {
        // Where something fails, nobody knows what the documents hold.
        let mut held = match self.held.take() {
            Some(held) if unless == Some(held.works) => held,
            held => {
                self.works += 1;
                Held { works: self.works, ..Sealing::new(run)?.work(work, held, newest, append)? }
            }
        };
        let done = then(&mut held);
        let store = run.store_files();
        if !held.spoiled && !store.tuning().documents_for.is_zero() {
            held.used = store.host().now();
            self.held = Some(held);
        }
        Ok(done)
    }

    /// How long it is until they are let go, in milliseconds; `None` where there are none.
    pub(crate) fn left(&self, now: Millis, held_for: Duration) -> Option<Millis> {
        let held_for = Millis::try_from(held_for.as_millis()).unwrap_or(Millis::MAX);
        self.held.as_ref().map(|held| held.used.saturating_add(held_for).saturating_sub(now))
    }

    /// Lets them go.
    pub(crate) fn let_go(&mut self) -> Option<Held> {
        self.held.take()
    }
}

/// The documents between two pieces of work.
#[derive(Debug)]
pub(crate) struct Held {
    pub(super) documents: Documents,
    /// Which piece of work left them.
    pub(super) works: u64,
    /// How many changes of another store it took in.
    pub(super) taken: usize,
    /// Whether somebody failed with them in hand: they are not used again.
    pub(super) spoiled: bool,
    /// Under whose actor they are written.
    store: StoreId,
    /// What is known of each.
    known: [Known; 3],
    used: Millis,
}

/// What is known of a document besides what it holds.
#[derive(Debug, Default)]
struct Known {
    /// The version that it was last to show.
    version: VersionVector,
    /// How far each journal's seals are in it.
    positions: Positions,
    /// What it was seen to say, as long as nothing came to it.
    says: Option<Says>,
    /// The stamp under which all of it is saved.
    stamp: Option<Stamp>,
}

/// What a document says.
#[derive(Debug)]
struct Says {
    hash: EventId,
    /// The state that it says, and the hashes of that, where this process has seen it.
    seen: Option<(Arc<State>, Shown)>,
}

/// A document as it is found: `None` where there is none, or none that can be read.
type Found = (Option<Arc<Document>>, Known);

/// What is to be done, when nobody else can do any.
#[derive(Default)]
struct Task<'a> {
    state: Option<Arc<State>>,
    take: Option<(Strand, &'a [Vec<u8>])>,
}

/// What came of one document.
struct Done {
    document: Arc<Document>,
    known: Known,
    /// Where it stood as it was found, if it was saved so.
    heads: Option<Vec<[u8; 32]>>,
    /// Whether it is to be saved.
    dirty: bool,
    /// To be appended to the journal.
    seals: Vec<Seal>,
    /// How many of these bring it up to the state; the others were taken in.
    changes: usize,
    /// How many changes came with the journals, and how many others were new.
    applied: usize,
    taken: usize,
    refused: Vec<(Seal, String)>,
}

pub(super) struct Sealing {
    name: String,
    files: RunStore,
    pub(super) store: StoreId,
    dirs: Option<Dirs>,
}

struct Dirs {
    documents: PathBuf,
    lock: PathBuf,
    quarantine: PathBuf,
}

impl Sealing {
    pub(super) fn new(run: &Run) -> Result<Self, Error> {
        let store = run.store_files();
        let dirs = store.is_real().then(|| Dirs {
            documents: store.dir().join("documents"),
            lock: store.dir().join("local").join("documents.lock"),
            quarantine: store.dir().join("quarantine"),
        });
        let files = store.run(run.name(), false)?;
        let place = store.place()?;
        let name = super::document_name(&files);
        let store = if files.origin().is_some() { place.on_path(&name) } else { place };
        // Seals that were lost had used numbers of the actor; what comes is another's.
        let store = match files.repaired() {
            0 => store,
            repaired => store.on_path(&format!("{name} repaired {repaired}")),
        };
        Ok(Self { name, files, store, dirs })
    }

    /// Does `work`; seals the state that is newest once nobody else can seal. Goes on with what is `held`, where it is
    /// what is saved.
    fn work(
        self,
        work: &Work,
        held: Option<Held>,
        newest: impl Fn() -> Result<Arc<State>, Error>,
        append: impl Fn(Vec<Seal>) -> Result<(), Error>,
    ) -> Result<Held, Error> {
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
            let found = self.held(held, [None, None, None]).unwrap_or_default();
            return self.seal(task()?, found, sealed, append, |_, _, _| Ok(None));
        };
        let (database, found) = match open(dirs).and_then(|db| Ok((self.find(&db, held)?, db))) {
            Ok((found, database)) => (database, found),
            Err(Error::Documents(DocumentsError::Damaged { path, reason })) => {
                tracing::warn!(path = %path.display(), reason, "rebuilding damaged documents");
                sealed.moved_aside = Some(move_aside(&dirs.documents, &dirs.quarantine)?);
                (open(dirs)?, Default::default())
            }
            Err(error) => return Err(error),
        };
        self.seal(task()?, found, sealed, append, |document, heads, mut saved| {
            let strand = document.strand();
            if let Some(heads) = heads {
                saved.bytes = document.save_behind(heads)?;
                if let Some(stamp) = database.save_behind(&self.name, strand, &saved)? {
                    return Ok(Some(stamp));
                }
            }
            saved.bytes = document.save();
            Ok(Some(database.save(&self.name, strand, &saved)?))
        })
    }

    /// The documents as they are saved: what is held of them, where that is the same.
    fn find(&self, database: &SledDocuments, held: Option<Held>) -> Result<[Found; 3], Error> {
        let stamps = Strand::ALL.map(|strand| database.stamp(&self.name, strand));
        let [design, todo, implementation] = stamps;
        let stamps = [design?, todo?, implementation?];
        if let Some(found) = self.held(held, stamps.clone()) {
            return Ok(found);
        }
        let [design, todo, implementation] =
            Strand::ALL.map(|strand| database.load(&self.name, strand));
        let saved = [design?, todo?, implementation?];
        let store = self.store;
        let load = |(strand, (saved, stamp))| load((strand, store), saved, stamp);
        Ok(each(zip(Strand::ALL, zip(saved, stamps)), load))
    }

    /// What is held, unless it is not what bears these stamps, or is written under another actor.
    fn held(&self, held: Option<Held>, stamps: [Option<Stamp>; 3]) -> Option<[Found; 3]> {
        let Held { documents, store, known, .. } = held?;
        let same = store == self.store && known.iter().map(|known| &known.stamp).eq(&stamps);
        let documents = documents.documents.map(|(_, document)| Some(document));
        same.then(|| zip(documents, known))
    }

    fn seal(
        &self,
        Task { state, take }: Task<'_>,
        found: [Found; 3],
        mut sealed: Sealed,
        append: impl Fn(Vec<Seal>) -> Result<(), Error>,
        save: impl Fn(&Document, Option<&Vec<[u8; 32]>>, SavedDocument) -> Result<Option<Stamp>, Error>,
    ) -> Result<Held, Error> {
        let came = self.came(&found)?;
        let (store, kept) = (self.store, self.files.strands());
        let done = each(zip(Strand::ALL, zip(found, came)), |(strand, (found, came))| {
            let state = state.as_ref();
            let shown = state.filter(|_| kept.contains(strand));
            let take = take.filter(|(of, _)| *of == strand).map(|(_, changes)| changes);
            One { strand, store, state, shown, take }.seal(found, came)
        });
        let [design, todo, implementation] = done;
        let mut done = [design?, todo?, implementation?];
        let (mut seals, mut taken) = (Vec::new(), 0);
        for done in &mut done {
            seals.append(&mut done.seals);
            sealed.changes += done.changes;
            sealed.applied += done.applied;
            taken += done.taken;
            for (seal, reason) in done.refused.drain(..) {
                self.refuse(seal, reason, &mut sealed.refused);
            }
        }
        if !seals.is_empty() {
            append(seals)?;
        }
        for Done { document, known, heads, .. } in done.iter_mut().filter(|done| done.dirty) {
            let Known { version, positions, says, .. } = &*known;
            let shows = says.as_ref().map(|says| says.hash);
            let (version, positions) = (version.clone(), positions.clone());
            let saved = SavedDocument { bytes: Vec::new(), version, positions, shows };
            known.stamp = save(document, heads.as_ref(), saved)?;
        }
        let state = state.unwrap_or_default();
        let [(design, one), (todo, two), (implementation, three)] =
            done.map(|done| (done.document, done.known));
        let documents = zip(Strand::ALL, [design, todo, implementation]);
        let documents = Documents { version: state.version.clone(), sealed, state, documents };
        let known = [one, two, three];
        let store = self.store;
        Ok(Held { documents, works: 0, taken, spoiled: false, store, known, used: 0 })
    }

    /// The seals of each document that came with the journals since, and how far that is.
    fn came(&self, found: &[Found; 3]) -> Result<[(Vec<Seal>, Positions); 3], Error> {
        let mut read: Vec<(&Positions, (Vec<Seal>, Positions))> = Vec::new();
        let mut came: [(Vec<Seal>, Positions); 3] = Default::default();
        for ((strand, (_, known)), came) in Strand::ALL.into_iter().zip(found).zip(&mut came) {
            // They are most often the same.
            if !read.iter().any(|(from, _)| **from == known.positions) {
                read.push((&known.positions, self.files.seals_since(&known.positions)?));
            }
            let read = read.iter_mut().find(|(from, _)| **from == known.positions);
            if let Some((_, (seals, ends))) = read {
                let of_strand = seals.extract_if(.., |seal| seal.strand == strand);
                *came = (of_strand.collect(), ends.clone());
            }
        }
        Ok(came)
    }

    fn refuse(&self, seal: Seal, reason: String, refused: &mut Vec<String>) {
        tracing::warn!(store = %seal.store, reason, "refused a change");
        refused.push(reason);
        if let Err(error) = self.files.keep_refused(Item::Seal(seal)) {
            tracing::warn!(%error, "what was refused could not be kept");
        }
    }
}

/// The work on one document.
struct One<'a> {
    strand: Strand,
    store: StoreId,
    state: Option<&'a Arc<State>>,
    /// The state that it is to say.
    shown: Option<&'a Arc<State>>,
    take: Option<&'a [Vec<u8>]>,
}

impl One<'_> {
    /// Brings it up to what `came` with the journals, to what is to be taken in, and to the state.
    fn seal(
        self,
        (document, known): Found,
        (came, ends_at): (Vec<Seal>, Positions),
    ) -> Result<Done, Error> {
        let Self { strand, store, state, shown, take } = self;
        let Known { version, positions, mut says, stamp } = known;
        let showed = says.as_ref().map(|says| says.hash);
        let version = state.map_or(version, |state| state.version.clone());
        let heads = document.as_ref().filter(|_| stamp.is_some()).map(|found| found.heads());
        let fresh = || Arc::new(Document::new(strand, store));
        let mut document = document.unwrap_or_else(fresh);
        let (mut seals, mut refused, mut taken) = (Vec::new(), Vec::new(), 0);
        let (applied, sound) = match came.is_empty() {
            true => (Applied::default(), 0),
            false => apply(Arc::make_mut(&mut document), came, &mut refused)?,
        };
        says = says.filter(|_| applied.new == 0);
        if !applied.waiting.is_empty() {
            // Their causes come with another store's journals; they are read again then.
            tracing::warn!(waiting = applied.waiting.len(), "seals wait for their causes");
        }
        let positions = if applied.waiting.is_empty() { ends_at } else { positions };
        let number = version.events();
        let seal = |change| Seal { store, strand, number, version: version.clone(), change };
        if let Some(changes) = take {
            let (applied, bad) = Arc::make_mut(&mut document).apply_of_peer(changes);
            let fit = applied.taken.iter().filter_map(|at| changes.get(*at)).cloned();
            seals.extend(fit.map(seal));
            taken = applied.new;
            says = says.filter(|_| taken == 0);
            let bad = bad.into_iter().map(|(at, reason)| Some((changes.get(at)?, reason)));
            refused.extend(bad.flatten().map(|(change, reason)| (seal(change.clone()), reason)));
        }
        let before = seals.len();
        if let Some(state) = shown {
            let write = |change| seals.push(seal(change));
            says = Some(settle(&mut document, state, says, write)?);
        }
        let shows = says.as_ref().map(|says| says.hash);
        // What nobody has written is nowhere yet.
        let begun = state.is_some() || !document.is_new();
        let dirty = heads.is_none() && begun || sound > 0 || !seals.is_empty() || shows != showed;
        let changes = seals.len() - before;
        let known = Known { version, positions, says, stamp };
        let applied = sound;
        Ok(Done { document, known, heads, dirty, seals, changes, applied, taken, refused })
    }
}

/// Has a document say `state`, and tells the changes that it takes: by what changed, where it says a state that was
/// seen here; else all of it is compared, unless it is known to say just this.
fn settle(
    document: &mut Arc<Document>,
    state: &Arc<State>,
    says: Option<Says>,
    mut write: impl FnMut(Vec<u8>),
) -> Result<Says, Error> {
    let (strand, message) = (document.strand(), format!("seal of {} events", state.events()));
    let mut shown = match says {
        Some(Says { seen: Some((old, mut shown)), .. }) => {
            let changes = project_changed(&old, state, strand);
            if !changes.is_empty() {
                let document = Arc::make_mut(document);
                let written = document.seal_changes(&changes, state, &message)?;
                written.into_iter().for_each(&mut write);
                shown.change(&changes);
            }
            shown
        }
        said => {
            let desired = project(state, strand);
            let mut shown = Shown::of(&desired);
            let wanted = EventId(shown.digest());
            // To compare all of it takes twice as long as to load it.
            if said.is_none_or(|said| said.hash != wanted) {
                let is_new = document.is_new();
                let document = Arc::make_mut(document);
                loop {
                    let written = document.seal(&desired, &message)?;
                    // What others left in it may come to light only then.
                    let settled = is_new || written.is_empty();
                    written.into_iter().for_each(&mut write);
                    if settled {
                        break;
                    }
                }
            }
            shown
        }
    };
    let hash = EventId(shown.digest());
    Ok(Says { hash, seen: Some((Arc::clone(state), shown)) })
}

/// Applies changes that came with the journals. One that is refused harms no other. Gives also how many
/// were sound.
fn apply(
    document: &mut Document,
    mut seals: Vec<Seal>,
    refused: &mut Vec<(Seal, String)>,
) -> Result<(Applied, usize), Error> {
    loop {
        let changes: Vec<Vec<u8>> = seals.iter().map(|seal| seal.change.clone()).collect();
        match document.apply(&changes) {
            Err(DocumentError::Change { index, reason }) if index < seals.len() => {
                refused.push((seals.remove(index), reason));
            }
            applied => return Ok((applied?, changes.len())),
        }
    }
}

/// Two by two.
fn zip<A, B>(one: [A; 3], two: [B; 3]) -> [(A, B); 3] {
    let ([a, b, c], [x, y, z]) = (one, two);
    [(a, x), (b, y), (c, z)]
}

/// What `make` makes of each of the three; of the two large ones at the same time.
fn each<A: Send, B: Send>(
    [design, todo, implementation]: [A; 3],
    make: impl Fn(A) -> B + Sync,
) -> [B; 3] {
    std::thread::scope(|scope| {
        let beside = scope.spawn(|| make(todo));
        let (design, implementation) = (make(design), make(implementation));
        let todo = beside.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
        [design, todo, implementation]
    })
}

/// A document as it is saved.
fn load(
    (strand, store): (Strand, StoreId),
    saved: Option<SavedDocument>,
    stamp: Option<Stamp>,
) -> Found {
    let Some(saved) = saved else { return Found::default() };
    let version = saved.version;
    match Document::load(strand, store, &saved.bytes) {
        Ok(document) => {
            let says = saved.shows.map(|hash| Says { hash, seen: None });
            let known = Known { version, positions: saved.positions, says, stamp };
            (Some(Arc::new(document)), known)
        }
        Err(error) => {
            tracing::warn!(%error, strand = strand.name(), "rebuilding a document");
            (None, Known { version, ..Known::default() })
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
    use std::path::Path;
    use std::sync::MutexGuard;
    use std::sync::atomic::{AtomicU64, Ordering};

    use tress_documents::Node;
    use tress_model::Role;
    use tress_store::{Host, MemoryFiles, RealHost};

    use super::*;
    use crate::Store;

    fn holding(run: &Run) -> MutexGuard<'_, Holding> {
        run.holding().lock().unwrap()
    }

    /// How many todos the document of the run has, once it is sealed.
    async fn todos(run: &Run) -> usize {
        let read = run.documents().await.unwrap().read(Strand::Todo).unwrap();
        read.get("todos").and_then(Node::as_map).map_or(0, |todos| todos.len())
    }

    /// Lets the todo document that is held say nothing, though it is taken to say the state.
    fn blank(run: &Run) {
        let mut holding = holding(run);
        let [_, (strand, document), _] = &mut holding.held.as_mut().unwrap().documents.documents;
        let nothing = project(&State::default(), *strand);
        Arc::make_mut(document).seal(&nothing, "nothing").unwrap();
    }

    /// All of the documents was loaded and compared for each seal.
    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn a_seal_looks_only_at_what_changed_since_the_last() {
        let dir = tempfile::tempdir().unwrap();
        let open =
            || async { Store::create(dir.path()).unwrap().create_run("main").await.unwrap() };
        let run = open().await;
        let add = async |title| run.agent("ada", Role::Human).add(title).await.unwrap();
        add("one").await;
        assert_eq!(todos(&run).await, 1);
        blank(&run);
        add("two").await;
        assert_eq!(todos(&run).await, 1, "nobody looks for the first");
        // What is lost is made anew, of what the journals have.
        std::fs::remove_dir_all(dir.path().join("documents")).unwrap();
        assert_eq!(todos(&run).await, 2);
        // Where another process has sealed, what it left counts.
        blank(&run);
        let other = open().await;
        other.agent("bob", Role::Human).add("three").await.unwrap();
        assert_eq!(todos(&other).await, 3);
        assert_eq!(todos(&run).await, 3);
        // Where a seal fails, nobody knows what they hold.
        blank(&run);
        let (documents, aside) = (dir.path().join("documents"), dir.path().join("aside"));
        std::fs::rename(&documents, &aside).unwrap();
        std::fs::write(&documents, b"no directory").unwrap();
        run.seal().await.unwrap_err();
        std::fs::remove_file(&documents).unwrap();
        std::fs::rename(&aside, &documents).unwrap();
        assert_eq!(todos(&run).await, 3);
    }

    #[derive(Debug, Default)]
    struct Clock(AtomicU64);

    impl Host for Clock {
        fn now(&self) -> Millis {
            self.0.load(Ordering::Relaxed)
        }

        fn random(&self, bytes: &mut [u8]) -> std::io::Result<()> {
            RealHost.random(bytes)
        }
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn documents_that_nobody_needs_for_a_while_are_let_go() {
        let clock = Arc::new(Clock(AtomicU64::new(1_000_000)));
        let (files, dir) = (Arc::new(MemoryFiles::new()), Path::new("/memory/.tress"));
        let store = tress_store::Store::create_at(files, clock.clone(), dir, "one".to_owned());
        let store = store.unwrap();
        let held_for = u64::try_from(store.tuning().documents_for.as_millis()).unwrap();
        for store in [Store::on(store.clone()), Store::on(store.clone()).in_place()] {
            let run = store.create_run("main").await.unwrap();
            let add = async || run.agent("ada", Role::Human).add("work").await.unwrap();
            let held = || holding(&run).held.is_some();
            add().await;
            assert!(!held(), "nobody has sealed");
            run.seal().await.unwrap();
            for _ in 0..2 {
                clock.0.fetch_add(held_for - 1, Ordering::Relaxed);
                run.refresh().await.unwrap();
                assert!(held());
                run.document_heads().await.unwrap();
            }
            clock.0.fetch_add(held_for, Ordering::Relaxed);
            assert!(held());
            for _ in 0..2 {
                // They go behind what the thread did.
                run.refresh().await.unwrap();
            }
            assert!(!held());
            let count = run.state().todos.len();
            assert_eq!(todos(&run).await, count);
        }
        // Whoever wants none held has none.
        let tuning = tress_store::Tuning { documents_for: Duration::ZERO, ..store.tuning() };
        let run = Store::on(store.tuned(tuning)).create_run("main").await.unwrap();
        let count = run.state().todos.len();
        assert_eq!(todos(&run).await, count);
        assert!(holding(&run).held.is_none());
    }
}
