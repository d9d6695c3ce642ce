//! Which changes a document holds, and whether further ones fit: the structure that Automerge takes
//! for granted, and panics or writes unreadable documents without.

use std::collections::{BTreeMap, BTreeSet};

use automerge::legacy::{Key, ObjectId, OpId};
use automerge::{ActorId, Automerge, Change, ChangeHash};

use crate::chunk;
use crate::limits::OP_NUMBER_MAX;

/// The operation numbers of one change, from the first up to, not including, the last.
type Range = (u64, u64);

/// The changes of a document.
#[derive(Debug, Clone, Default)]
pub(crate) struct History {
    /// Where the operation numbers of each change end, and its causes.
    ends: BTreeMap<ChangeHash, (u64, Vec<ChangeHash>)>,
    /// The changes of each actor, in order.
    actors: BTreeMap<ActorId, Vec<Range>>,
    /// The last change of each actor.
    last: BTreeMap<ActorId, ChangeHash>,
}

/// A change from outside, parsed.
pub(crate) struct Incoming {
    /// Its place in the batch.
    pub(crate) index: usize,
    /// The change.
    pub(crate) change: Change,
}

/// Parses a change from outside. May panic on what Automerge panics on: to be called in a fence.
pub(crate) fn parse(index: usize, bytes: &[u8]) -> Result<Incoming, String> {
    let checked = chunk::check(bytes)?;
    let change = Change::try_from(checked.bytes.as_ref()).map_err(|error| error.to_string())?;
    if !change.hash().0.starts_with(&checked.checksum) {
        return Err("its checksum does not fit".to_owned());
    }
    Ok(Incoming { index, change })
}

/// A batch, sorted: what can be applied, causes first, and what waits for causes.
#[derive(Default)]
pub(crate) struct Sorted {
    /// To be applied, in this order.
    pub(crate) ready: Vec<Incoming>,
    /// The places in the batch of those that wait.
    pub(crate) waiting: Vec<usize>,
}

impl History {
    /// The changes of `doc`. Linear in their number.
    pub(crate) fn of(doc: &Automerge) -> Self {
        let mut history = Self::default();
        let mut changes = doc.get_changes_meta(&[]);
        changes.sort_by_key(|change| change.seq);
        for change in changes {
            let range = (change.start_op, change.max_op + 1);
            history.note(change.hash, &change.actor, range, change.deps.clone());
        }
        history
    }

    /// How many changes there are of each actor.
    pub(crate) fn clock(&self) -> BTreeMap<Vec<u8>, u64> {
        let actors = self.actors.iter();
        actors.map(|(actor, changes)| (actor.to_bytes().to_vec(), changes.len() as u64)).collect()
    }

    fn note(&mut self, hash: ChangeHash, actor: &ActorId, range: Range, deps: Vec<ChangeHash>) {
        self.ends.insert(hash, (range.1, deps));
        self.last.insert(actor.clone(), hash);
        self.actors.entry(actor.clone()).or_default().push(range);
    }

    /// Takes note of a change that the document holds by now.
    pub(crate) fn add(&mut self, change: &Change) {
        let first = change.start_op().get();
        let range = (first, first + change.len() as u64);
        self.note(change.hash(), change.actor_id(), range, change.deps().to_vec());
    }

    /// Whether the document holds `change` already.
    pub(crate) fn holds(&self, change: &Change) -> bool {
        self.ends.contains_key(&change.hash())
    }

    /// Leaves out what is known, and sorts the others so that causes come first.
    pub(crate) fn sort(&self, batch: Vec<Incoming>) -> Sorted {
        let mut places = BTreeMap::new();
        let mut pending: Vec<(Option<Incoming>, usize)> = Vec::with_capacity(batch.len());
        for incoming in batch {
            let hash = incoming.change.hash();
            if !self.ends.contains_key(&hash) && !places.contains_key(&hash) {
                places.insert(hash, pending.len());
                pending.push((Some(incoming), 0));
            }
        }
        let mut dependents: BTreeMap<ChangeHash, Vec<usize>> = BTreeMap::new();
        let mut free = Vec::new();
        for (place, (incoming, missing)) in pending.iter_mut().enumerate() {
            let deps = incoming.as_ref().map(|one| one.change.deps()).unwrap_or_default();
            let deps: BTreeSet<_> =
                deps.iter().filter(|dep| !self.ends.contains_key(dep)).collect();
            *missing = deps.len();
            for dep in deps {
                dependents.entry(*dep).or_default().push(place);
            }
            if *missing == 0 {
                free.push(place);
            }
        }
        free.reverse();
        let mut sorted = Sorted::default();
        while let Some(place) = free.pop() {
            let Some(incoming) = pending.get_mut(place).and_then(|(one, _)| one.take()) else {
                continue;
            };
            for dependent in dependents.remove(&incoming.change.hash()).unwrap_or_default() {
                if let Some((_, missing)) = pending.get_mut(dependent) {
                    *missing -= 1;
                    if *missing == 0 {
                        free.push(dependent);
                    }
                }
            }
            sorted.ready.push(incoming);
        }
        let waiting = pending.iter().filter_map(|(one, _)| one.as_ref());
        sorted.waiting = waiting.map(|one| one.index).collect();
        sorted
    }

    /// Checks that `change`, whose causes are known, fits, and takes note of it. May panic on what
    /// Automerge panics on: to be called in a fence.
    pub(crate) fn admit(&mut self, change: &Change) -> Result<(), String> {
        let first = change.start_op().get();
        let end = first.checked_add(change.len() as u64);
        let end = end.filter(|&end| end <= OP_NUMBER_MAX);
        let end = end.ok_or("its operation numbers are too high")?;
        let own = self.actors.get(change.actor_id()).map(Vec::as_slice).unwrap_or_default();
        let next = own.len() as u64 + 1;
        if change.seq() != next {
            return Err(format!("its actor's next change is {next}, it says {}", change.seq()));
        }
        if change.author().is_some() && change.seq() != 1 {
            return Err("it names an author that its actor's first change did not".to_owned());
        }
        if self.last.get(change.actor_id()).is_some_and(|last| !self.follows(change.deps(), last)) {
            return Err("it does not follow the change before it of its actor".to_owned());
        }
        let deps = change.deps().iter().map(|dep| self.ends.get(dep).map(|(end, _)| end));
        let after = deps.chain([own.last().map(|(_, end)| end)]).flatten().max();
        if after.is_some_and(|&after| first < after) {
            return Err("its operation numbers are those of its causes".to_owned());
        }
        self.check_references(change, first)?;
        self.note(change.hash(), change.actor_id(), (first, end), change.deps().to_vec());
        Ok(())
    }

    /// Whether `last` is one of `deps`, or one of their causes. Automerge takes that for granted, and sorts
    /// batches by causes alone. Looks only at changes whose numbers do not end before those of `last`.
    fn follows(&self, deps: &[ChangeHash], last: &ChangeHash) -> bool {
        let Some((bound, _)) = self.ends.get(last) else { return true };
        let mut seen = BTreeSet::new();
        let mut next: Vec<ChangeHash> = deps.to_vec();
        while let Some(hash) = next.pop() {
            if hash == *last {
                return true;
            }
            if let Some((end, deps)) = self.ends.get(&hash)
                && end >= bound
                && seen.insert(hash)
            {
                next.extend(deps);
            }
        }
        false
    }

    fn check_references(&self, change: &Change, first: u64) -> Result<(), String> {
        let expanded = change.decode();
        for (id, operation) in (first..).zip(&expanded.operations) {
            let known = |op: &OpId| {
                let local = op.1 == expanded.actor_id && (first..id).contains(&op.0);
                local || self.has_operation(op)
            };
            let object = match &operation.obj {
                ObjectId::Root => true,
                ObjectId::Id(op) => known(op),
            };
            let element = match &operation.key {
                Key::Map(_) => true,
                key @ Key::Seq(_) => key.to_opid().is_none_or(|op| known(&op)),
            };
            if !object || !element || !operation.pred.iter().all(known) {
                return Err(format!("operation {id} refers to one that does not exist"));
            }
        }
        Ok(())
    }

    fn has_operation(&self, op: &OpId) -> bool {
        let ranges = self.actors.get(&op.1).map(Vec::as_slice).unwrap_or_default();
        let at = ranges.partition_point(|&(_, end)| end <= op.0);
        ranges.get(at).is_some_and(|&(first, _)| first <= op.0)
    }
}
