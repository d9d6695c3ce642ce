//! One strand's Automerge document in the hands of one store.

use std::collections::{BTreeMap, BTreeSet};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::OnceLock;

use automerge::transaction::{CommitOptions, Transactable};
use automerge::{ActorId, Automerge, AutomergeError, Change, ChangeHash, LoadOptions};
use automerge::{ObjType, ROOT, ReadDoc, Value, VerificationMode};
use tress_model::{State, StoreId, Strand};

use crate::error::DocumentError;
use crate::history::{self, History, Incoming, Sorted};
use crate::limits::{
    CHANGE_BYTES_MAX, DOCUMENT_BYTES_MAX, FOREIGN_BYTES_MAX, FOREIGN_OPS_MAX, PEER_OPS_MAX,
};
use crate::node::Node;
use crate::projection::{Changes, project, project_changed};
use crate::read::Walk;
use crate::schema;
use crate::write::{ENCODING, Part, Plan};

/// The actor of the genesis. It sorts first, and is there first.
const GENESIS_ACTOR: [u8; 16] = [0; 16];

/// What [`Document::apply`] did with a batch.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Applied {
    /// How many changes the document did not hold before.
    pub new: usize,
    /// Their places in the batch, causes first.
    pub taken: Vec<usize>,
    /// The places in the batch of changes whose causes are neither in the document nor in the
    /// batch. They were left out: keep them, and try again with their causes.
    pub waiting: Vec<usize>,
}

/// A change, and which one of its actor it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Numbered {
    /// Its actor.
    pub actor: Vec<u8>,
    /// Its number, from 1.
    pub number: u64,
    /// The change, in Automerge's own bytes.
    pub bytes: Vec<u8>,
}

impl Numbered {
    fn of(change: &Change, bytes: Vec<u8>) -> Self {
        let actor = change.actor_id().to_bytes().to_vec();
        Self { actor, number: change.seq(), bytes }
    }

    /// A change that comes from anywhere; `None` where it is none.
    pub fn read(bytes: &[u8]) -> Option<Self> {
        let parsed = fence(|| history::parse(0, bytes)).ok()?.ok()?;
        Some(Self::of(&parsed.change, bytes.to_vec()))
    }

    /// Whether `clock` ([`Document::clock`]) knows it.
    pub fn is_in(&self, clock: &BTreeMap<Vec<u8>, u64>) -> bool {
        clock.get(&self.actor).is_some_and(|last| self.number <= *last)
    }
}

/// One strand's Automerge document, written under one store's actor.
///
/// ```
/// use tress_documents::{Document, project};
/// use tress_model::{State, StoreId, Strand};
///
/// let state = State::default();
/// let mut document = Document::new(Strand::Todo, StoreId([7; 16]));
/// let desired = project(&state, Strand::Todo);
/// document.seal(&desired, "a first seal")?;
/// assert_eq!(document.read()?, desired);
/// # Ok::<(), tress_documents::DocumentError>(())
/// ```
#[derive(Debug, Clone)]
pub struct Document {
    strand: Strand,
    doc: Automerge,
    /// Made when it is first needed.
    history: OnceLock<History>,
    /// Whether Automerge panicked while it wrote.
    broken: bool,
}

/// How many bad changes are looked for in one batch: each costs a look at all others.
const REFUSED_MAX: usize = 64;

/// What is left of what changes of which nobody vouches may take together, in one batch.
struct Bounds {
    bytes: usize,
    operations: usize,
    /// Whether changes under the actors of stores are among them.
    stores: bool,
}

impl Default for Bounds {
    fn default() -> Self {
        Self { bytes: FOREIGN_BYTES_MAX, operations: FOREIGN_OPS_MAX, stores: true }
    }
}

impl Bounds {
    fn take(&mut self, change: &Change) -> Result<(), String> {
        let over = || {
            format!(
                "it and those before it have more than {FOREIGN_BYTES_MAX} bytes, or too many operations"
            )
        };
        let actor = change.actor_id().to_bytes();
        if !self.stores && actor.len() == 20 && actor.starts_with(&STORES) {
            return Err("it is written under the actor of a store".to_owned());
        }
        self.bytes = self.bytes.checked_sub(change.raw_bytes().len()).ok_or_else(over)?;
        self.operations = self.operations.checked_sub(change.len()).ok_or_else(over)?;
        Ok(())
    }
}

/// What the actors of stores begin with. They sort behind others: an actor that sorts early makes
/// Automerge renumber all that come after it.
const STORES: [u8; 4] = [0xff; 4];

/// The actor that `store` writes under.
fn actor(store: StoreId) -> ActorId {
    ActorId::from([&STORES[..], store.as_bytes()].concat())
}

/// A change in bytes, deflated where that makes it shorter: Automerge has a kind of chunk for it.
fn packed(change: &mut Change) -> Vec<u8> {
    let len = change.raw_bytes().len();
    // One that is too large to be inflated here again is too large to be written, and is found to be.
    if len <= CHANGE_BYTES_MAX {
        let packed = change.bytes();
        if packed.len() < len {
            return packed.into_owned();
        }
    }
    change.raw_bytes().to_vec()
}

/// Runs what may panic on bytes from outside.
pub(crate) fn fence<T>(run: impl FnOnce() -> T) -> Result<T, String> {
    catch_unwind(AssertUnwindSafe(run)).map_err(|panic| {
        let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
        let text = text.or_else(|| panic.downcast_ref::<String>().cloned());
        text.unwrap_or_else(|| "automerge panicked".to_owned())
    })
}

fn grow(doc: &mut Automerge, strand: Strand) -> Result<(), AutomergeError> {
    let mut tx = doc.transaction();
    tx.put(ROOT, "schema", schema::VERSION)?;
    tx.put(ROOT, "strand", strand.name())?;
    for map in schema::maps(strand) {
        tx.put_object(ROOT, *map, ObjType::Map)?;
    }
    let message = format!("the {} document", strand.name());
    tx.commit_with(CommitOptions::default().with_message(message).with_time(0));
    Ok(())
}

fn seedling(strand: Strand) -> Automerge {
    let mut doc = Automerge::new_with_encoding(ENCODING).with_actor(GENESIS_ACTOR.into());
    grow(&mut doc, strand).expect("an empty root takes any key");
    doc
}

/// The change that every document of a strand begins with, byte for byte the same everywhere: it
/// makes the named maps, so that no two stores make them apart.
pub fn genesis(strand: Strand) -> Vec<u8> {
    let change = seedling(strand).get_last_local_change();
    change.map(|change| change.raw_bytes().to_vec()).unwrap_or_default()
}

impl Document {
    /// The document that holds only its [`genesis`].
    pub fn new(strand: Strand, store: StoreId) -> Self {
        let doc = seedling(strand).with_actor(actor(store));
        Self { strand, doc, history: OnceLock::new(), broken: false }
    }

    /// The document that [`Document::save`] gave. The bytes are those that this store kept, damaged
    /// perhaps, but not forged: what a save inflates to is not bounded. Changes of others come
    /// through [`Document::apply`] and [`Document::apply_foreign`].
    ///
    /// # Errors
    /// When the bytes are damaged, over a limit, or no document of this strand.
    pub fn load(strand: Strand, store: StoreId, saved: &[u8]) -> Result<Self, DocumentError> {
        within_limit(saved)?;
        if saved.is_empty() {
            // Automerge takes no bytes for an empty document.
            return Err(DocumentError::Unreadable { reason: "it is empty".to_owned() });
        }
        let load = || load(saved);
        let unreadable = |reason| DocumentError::Unreadable { reason };
        let doc = fence(load).and_then(|loaded| loaded).map_err(unreadable)?;
        let root = seedling(strand).get_heads();
        let missing = fence(|| doc.get_missing_deps(&root)).map_err(unreadable)?;
        if !missing.is_empty() {
            return Err(DocumentError::Foreign { strand: strand.name() });
        }
        let doc = doc.with_actor(actor(store));
        Ok(Self { strand, doc, history: OnceLock::new(), broken: false })
    }

    /// The document in Automerge's compact form. Equal documents may have different bytes.
    pub fn save(&self) -> Vec<u8> {
        self.doc.save()
    }

    /// The changes behind `heads`, which the document holds, in Automerge's own form. Behind what [`Document::save`]
    /// gave then, they are what [`Document::load`] takes, too. Linear in what is new.
    ///
    /// # Errors
    /// When the document cannot be read.
    pub fn save_behind(&self, heads: &[[u8; 32]]) -> Result<Vec<u8>, DocumentError> {
        let heads: Vec<ChangeHash> = heads.iter().copied().map(ChangeHash).collect();
        let changes = fence(|| self.doc.get_changes(&heads));
        let changes = changes.map_err(|reason| DocumentError::Unreadable { reason })?;
        Ok(changes.into_iter().flat_map(|mut change| change.bytes().into_owned()).collect())
    }

    /// Its strand.
    pub fn strand(&self) -> Strand {
        self.strand
    }

    /// The hashes of the changes that no other change follows, in order.
    pub fn heads(&self) -> Vec<[u8; 32]> {
        self.doc.get_heads().into_iter().map(|head| head.0).collect()
    }

    /// What the document holds. Linear in its size.
    ///
    /// # Errors
    /// When a foreign tool nested it deeper than the schema.
    pub fn read(&self) -> Result<Node, DocumentError> {
        self.usable()?;
        let unreadable = |reason| DocumentError::Unreadable { reason };
        fence(|| Walk::new(&self.doc, self.strand).map(&ROOT)).map_err(unreadable)?
    }

    /// Makes the document hold exactly `desired`, a [projection](project) of its strand, and gives
    /// back the changes that do so: one, several where it does not fit ([`crate::limits::SEAL_OPS_MAX`]), or
    /// none where it held that already. Texts change where they differ and nowhere else. Linear in the document.
    ///
    /// # Errors
    /// When `desired` is no projection of this strand, or the document is damaged.
    pub fn seal(&mut self, desired: &Node, message: &str) -> Result<Vec<Vec<u8>>, DocumentError> {
        self.usable()?;
        let strand = self.strand;
        let named = |map: &&str| matches!(desired.get(map), Some(Node::Map(_)));
        let whole = desired.get("strand").and_then(Node::as_str) == Some(strand.name())
            && schema::maps(strand).iter().all(named);
        let content = desired.as_map().filter(|_| whole);
        let content = content.ok_or(DocumentError::Desired { strand: strand.name() })?;
        let plan = planned(|plan| plan.map(&self.doc, &ROOT, content))?;
        self.commit(plan, message)
    }

    /// Makes a document that holds the projection of `old` hold the projection of `new`, and looks
    /// at nothing that the two states share. Where the document held something else at such a
    /// place, [`Document::seal`] settles it. Gives back the changes that do so.
    ///
    /// # Errors
    /// When the document is damaged.
    pub fn seal_changed(
        &mut self,
        old: &State,
        new: &State,
        message: &str,
    ) -> Result<Vec<Vec<u8>>, DocumentError> {
        self.seal_changes(&project_changed(old, new, self.strand), new, message)
    }

    /// As [`Document::seal_changed`], with [what changed](project_changed) up to `new`.
    ///
    /// # Errors
    /// When the document is damaged.
    pub fn seal_changes(
        &mut self,
        changes: &Changes,
        new: &State,
        message: &str,
    ) -> Result<Vec<Vec<u8>>, DocumentError> {
        self.usable()?;
        let mut maps = Vec::with_capacity(changes.maps.len());
        for (map, entries) in &changes.maps {
            match self.doc.get(ROOT, *map) {
                Ok(Some((Value::Object(ObjType::Map), object))) => maps.push((object, entries)),
                // A foreign edit took the map away.
                _ => return self.seal(&project(new, self.strand), message),
            }
        }
        let plan = planned(|plan| {
            plan.entries(&self.doc, &ROOT, &changes.root)?;
            maps.iter().try_for_each(|(object, entries)| plan.entries(&self.doc, object, entries))
        })?;
        self.commit(plan, message)
    }

    fn commit(&mut self, plan: Plan<'_>, message: &str) -> Result<Vec<Vec<u8>>, DocumentError> {
        let written = plan.into_iter().map(|part| self.commit_part(part, message));
        // A part without effect makes no change.
        written.filter_map(Result::transpose).collect()
    }

    fn commit_part(
        &mut self,
        part: Part<'_>,
        message: &str,
    ) -> Result<Option<Vec<u8>>, DocumentError> {
        let unwritable = |reason: String| DocumentError::Unwritable { reason };
        let doc = &mut self.doc;
        let written = fence(|| {
            let mut tx = doc.transaction();
            part.write(&mut tx)?;
            let options = CommitOptions::default().with_message(message).with_time(0);
            let (hash, _) = tx.commit_with(options);
            Ok(hash.and_then(|hash| doc.get_change_by_hash(&hash)))
        });
        self.broken = written.is_err();
        let written: Result<Option<Change>, AutomergeError> = written.map_err(unwritable)?;
        let Some(mut change) = written.map_err(|error| unwritable(error.to_string()))? else {
            return Ok(None);
        };
        if let Some(history) = self.history.get_mut() {
            history.add(&change);
        }
        Ok(Some(packed(&mut change)))
    }

    /// Applies changes that stores sealed, in any order, all in one batch; those that the document
    /// holds already are passed over. All of them are applied, or none: one that no well-behaved
    /// writer made is an error that names it.
    ///
    /// To rebuild a document, hand over all changes at once. One by one costs the square of it.
    ///
    /// # Errors
    /// When a change is damaged, over a limit, or does not fit.
    pub fn apply(&mut self, changes: &[Vec<u8>]) -> Result<Applied, DocumentError> {
        let (next, applied) = self.with_changes(changes, None)?;
        if let Some(next) = next {
            *self = next;
        }
        Ok(applied)
    }

    /// As [`Document::apply`], for changes of which nobody vouches (a stock Automerge client made
    /// them): proves that the document with them can be saved and loaded before it takes them.
    /// Costs a save and a load.
    ///
    /// # Errors
    /// As [`Document::apply`], and when the proof fails.
    pub fn apply_foreign(&mut self, changes: &[Vec<u8>]) -> Result<Applied, DocumentError> {
        self.apply_bounded(changes, Bounds::default())
    }

    /// As [`Document::apply_foreign`], for changes that come from a client itself: it writes under no
    /// store's actor.
    ///
    /// # Errors
    /// As [`Document::apply_foreign`].
    pub fn apply_of_client(&mut self, changes: &[Vec<u8>]) -> Result<Applied, DocumentError> {
        self.apply_bounded(changes, Bounds { stores: false, ..Bounds::default() })
    }

    /// As [`Document::apply_foreign`], for what another store has of the document: any number of changes,
    /// causes first, as nearly as can be. One that is damaged or does not fit harms no other; these are
    /// given back, by their places, with the reasons. Costs a proof of the whole document for each 64 MiB
    /// or million operations.
    pub fn apply_of_peer(&mut self, changes: &[Vec<u8>]) -> (Applied, Vec<(usize, String)>) {
        let (mut all, mut refused) = (Applied::default(), Vec::new());
        let mut left = (0..changes.len()).peekable();
        while left.peek().is_some() {
            // What waited so far may find its causes now.
            let mut slice = std::mem::take(&mut all.waiting);
            let (mut bytes, mut operations) = (0, 0);
            let waited = slice.len();
            while let Some(at) = left.peek().copied() {
                let change = changes.get(at).map(Vec::as_slice).unwrap_or_default();
                match fence(|| history::parse(at, change)).and_then(|parsed| parsed) {
                    Err(reason) => refused.push((at, reason)),
                    Ok(Incoming { change, .. }) => {
                        bytes += change.raw_bytes().len();
                        operations += change.len();
                        let over = bytes > FOREIGN_BYTES_MAX / 2 || operations > FOREIGN_OPS_MAX;
                        if over && slice.len() > waited {
                            break;
                        }
                        slice.push(at);
                    }
                }
                left.next();
            }
            self.apply_slice(changes, slice, &mut all, &mut refused);
        }
        (all, refused)
    }

    /// Applies the changes at `slice`, without those that do not fit.
    fn apply_slice(
        &mut self,
        changes: &[Vec<u8>],
        mut slice: Vec<usize>,
        all: &mut Applied,
        refused: &mut Vec<(usize, String)>,
    ) {
        while !slice.is_empty() {
            let batch: Vec<_> = slice.iter().filter_map(|at| changes.get(*at)).cloned().collect();
            let bounds = Bounds { operations: PEER_OPS_MAX, ..Bounds::default() };
            let place = |at: &usize| slice.get(*at).copied();
            match self.apply_bounded(&batch, bounds) {
                Ok(applied) => {
                    all.new += applied.new;
                    all.taken.extend(applied.taken.iter().filter_map(place));
                    all.waiting = applied.waiting.iter().filter_map(place).collect();
                    return;
                }
                Err(DocumentError::Change { index, reason })
                    if index < slice.len() && refused.len() < REFUSED_MAX =>
                {
                    refused.push((slice.remove(index), reason));
                }
                Err(error) => {
                    refused.extend(slice.iter().map(|at| (*at, error.to_string())));
                    return;
                }
            }
        }
    }

    /// What the document holds: the number of the last change of each actor, by its bytes. Linear in the
    /// changes, the first time.
    pub fn clock(&self) -> BTreeMap<Vec<u8>, u64> {
        self.history().clock()
    }

    /// Whether it holds nothing but what every document of its strand begins with.
    pub fn is_new(&self) -> bool {
        self.doc.get_heads() == [genesis_hash(self.strand)]
    }

    /// The stores that have written something of it.
    pub fn stores(&self) -> Vec<StoreId> {
        let actors = self.clock().into_keys();
        let ids = actors.filter_map(|actor| actor.strip_prefix(&STORES)?.try_into().ok());
        ids.map(StoreId).collect()
    }

    /// Whether it holds all these changes.
    pub fn holds(&self, changes: &[[u8; 32]]) -> bool {
        let hashes: Vec<_> = changes.iter().map(|hash| ChangeHash(*hash)).collect();
        self.doc.get_missing_deps(&hashes).is_empty()
    }

    /// The changes of which `clock` ([`Document::clock`]) knows nothing, each in its own bytes, causes first: up
    /// to so many bytes, and operations that another document takes in one batch. At least one, unless there
    /// is none, or the next has more bytes than `most`. Linear in the changes.
    pub fn lacking(
        &self,
        clock: &BTreeMap<Vec<u8>, u64>,
        bytes: usize,
        most: usize,
    ) -> Vec<Numbered> {
        let (mut lacking, mut size, mut operations) = (Vec::new(), 0, 0);
        for meta in self.doc.get_changes_meta(&[]) {
            let known = clock.get(meta.actor.to_bytes()).copied().unwrap_or_default();
            if meta.seq <= known {
                continue;
            }
            let Some(mut change) = self.doc.get_change_by_hash(&meta.hash) else { break };
            size += change.raw_bytes().len();
            operations += change.len();
            let over = size > bytes || operations > FOREIGN_OPS_MAX;
            if over && !lacking.is_empty() || change.raw_bytes().len() > most {
                break;
            }
            let packed = packed(&mut change);
            lacking.push(Numbered::of(&change, packed));
        }
        lacking
    }

    fn apply_bounded(
        &mut self,
        changes: &[Vec<u8>],
        bounds: Bounds,
    ) -> Result<Applied, DocumentError> {
        let (next, applied) = self.with_changes(changes, Some(bounds))?;
        let Some(next) = next else { return Ok(applied) };
        let refused = |reason| DocumentError::Batch { reason };
        let proof = || {
            let again = load(&next.doc.save())?;
            let same = again.get_heads() == next.doc.get_heads();
            let walked = Walk::new(&again, next.strand).map(&ROOT).is_ok();
            if same && walked { Ok(()) } else { Err("the document cannot be read back".to_owned()) }
        };
        fence(proof).and_then(|proved| proved).map_err(refused)?;
        *self = next;
        Ok(applied)
    }

    /// This document with `changes`, or `None` where they bring nothing new.
    fn with_changes(
        &self,
        changes: &[Vec<u8>],
        mut bounds: Option<Bounds>,
    ) -> Result<(Option<Self>, Applied), DocumentError> {
        self.usable()?;
        let history = self.history();
        let mut seen = BTreeSet::new();
        let mut batch: Vec<Incoming> = Vec::new();
        for (index, bytes) in changes.iter().enumerate() {
            let refused = |reason| DocumentError::Change { index, reason };
            let parsed = fence(|| history::parse(index, bytes)).and_then(|parsed| parsed);
            let parsed = parsed.map_err(refused)?;
            // One that is known, or comes twice, is not kept while the others are looked at.
            if history.holds(&parsed.change) || !seen.insert(parsed.change.hash()) {
                continue;
            }
            if let Some(bounds) = &mut bounds {
                bounds.take(&parsed.change).map_err(refused)?;
            }
            batch.push(parsed);
        }
        let Sorted { ready, waiting } = history.sort(batch);
        let taken: Vec<usize> = ready.iter().map(|one| one.index).collect();
        let applied = Applied { new: ready.len(), taken, waiting };
        if ready.is_empty() {
            return Ok((None, applied));
        }
        let mut history = history.clone();
        for Incoming { index, change } in &ready {
            let refused = |reason| DocumentError::Change { index: *index, reason };
            fence(|| history.admit(change)).and_then(|admitted| admitted).map_err(refused)?;
        }
        let mut doc = self.doc.clone();
        let expected: Vec<ChangeHash> = ready.iter().map(|one| one.change.hash()).collect();
        let apply = || -> Result<(), String> {
            let changes = ready.into_iter().map(|one| one.change);
            doc.apply_changes_batch(changes.collect::<Vec<_>>()).map_err(|e| e.to_string())?;
            let missing = doc.get_missing_deps(&expected);
            missing.is_empty().then_some(()).ok_or_else(|| "automerge left some out".to_owned())
        };
        let refused = |reason| DocumentError::Batch { reason };
        fence(apply).and_then(|applied| applied).map_err(refused)?;
        let next = Self { strand: self.strand, doc, history: history.into(), broken: false };
        Ok((Some(next), applied))
    }

    pub(crate) fn doc(&self) -> &Automerge {
        &self.doc
    }

    pub(crate) fn doc_mut(&mut self) -> &mut Automerge {
        &mut self.doc
    }

    fn history(&self) -> &History {
        self.history.get_or_init(|| History::of(&self.doc))
    }

    fn usable(&self) -> Result<(), DocumentError> {
        if self.broken { Err(DocumentError::Broken) } else { Ok(()) }
    }
}

/// The strand of a document that some tool of Automerge saved, and its changes, each in its own bytes, to
/// be handed to [`Document::apply_foreign`]. The file is somebody's own: what it inflates to is bounded
/// by nothing but its size.
///
/// # Errors
/// When it is no Automerge document, is over a limit, or does not begin as ours do.
pub fn changes_of(saved: &[u8]) -> Result<(Strand, Vec<Vec<u8>>), DocumentError> {
    within_limit(saved)?;
    let unreadable = |reason| DocumentError::NoDocument { reason };
    let doc = fence(|| load(saved)).and_then(|loaded| loaded).map_err(unreadable)?;
    let begins = |strand: &Strand| doc.get_change_by_hash(&genesis_hash(*strand)).is_some();
    let strand = Strand::ALL.into_iter().find(begins).ok_or(DocumentError::Stranger)?;
    let changes = fence(|| doc.get_changes(&[])).map_err(unreadable)?;
    Ok((strand, changes.into_iter().map(|change| change.raw_bytes().to_vec()).collect()))
}

fn within_limit(saved: &[u8]) -> Result<(), DocumentError> {
    if saved.len() <= DOCUMENT_BYTES_MAX {
        return Ok(());
    }
    Err(DocumentError::TooLarge {
        what: "saved document",
        size: saved.len() as u64,
        unit: "bytes",
        limit: DOCUMENT_BYTES_MAX as u64,
    })
}

fn genesis_hash(strand: Strand) -> ChangeHash {
    seedling(strand).get_heads().first().copied().unwrap_or(ChangeHash([0; 32]))
}

fn load(saved: &[u8]) -> Result<Automerge, String> {
    let options =
        LoadOptions::new().text_encoding(ENCODING).verification_mode(VerificationMode::Check);
    Automerge::load_with_options(saved, options).map_err(|error| error.to_string())
}

fn planned<'a>(
    make: impl FnOnce(&mut Plan<'a>) -> Result<(), AutomergeError>,
) -> Result<Plan<'a>, DocumentError> {
    let mut plan = Plan::default();
    let unwritable = |reason| DocumentError::Unwritable { reason };
    let made = fence(|| make(&mut plan)).map_err(unwritable)?;
    made.map_err(|error| unwritable(error.to_string()))?;
    Ok(plan)
}
