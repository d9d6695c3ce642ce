//! Both sides as operations on the base, and what the fold makes of them.
//!
//! The base is folded first. Each version that a side has is a replica that saw the base and
//! nothing else. Its edits happened at the issue's `updated_at`; within one millisecond a hash of
//! what is said decides the order, never the side that says it, so that a merge is symmetric and a
//! result that is merged again meets the same order.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use tress_model::clock::{HybridTime, VersionVector};
use tress_model::ids::{Author, Dot, EventId, ReplicaId, Role, TodoId};
use tress_model::operation::{Operation, TodoEdit};
use tress_model::{Event, State};

use super::super::read::edge_kind;
use super::facts::{EdgeKey, Facts};
use crate::formats::merge::Side;

/// The replica of the base.
const BASE: ReplicaId = ReplicaId([0; 16]);

/// What of a side's operations on one todo comes first.
#[derive(Debug, Clone, Copy)]
enum Phase {
    Reopen,
    Edit,
    Close,
    Delete,
}

/// Operations before they are in order.
pub(super) struct Plan {
    base: Vec<Operation>,
    sides: Vec<(HybridTime, ReplicaId, Operation)>,
}

/// The folded state, and the events that made it.
pub(super) struct Folded {
    pub(super) state: State,
    events: BTreeMap<Dot, Operation>,
}

/// A replica for the `number`-th version that a side has of an issue.
fn replica(side: Side, number: usize) -> ReplicaId {
    let number = u32::try_from(number).unwrap_or(u32::MAX).to_be_bytes();
    let mut bytes = [0; 16];
    for (byte, value) in
        bytes.iter_mut().zip([1 + u8::from(side == Side::Theirs)].iter().chain(&number))
    {
        *byte = *value;
    }
    ReplicaId(bytes)
}

/// The side that a replica stands for.
fn side(replica: ReplicaId) -> Option<Side> {
    match replica.0.first() {
        Some(1) => Some(Side::Ours),
        Some(2) => Some(Side::Theirs),
        _ => None,
    }
}

impl Plan {
    pub(super) const fn new() -> Self {
        Self { base: Vec::new(), sides: Vec::new() }
    }

    /// The issue `id` as the base has it; where the base has none, a stub on which both sides can
    /// say what they have. Of an issue that nobody changed only the edges matter.
    pub(super) fn base(&mut self, id: &str, facts: Option<&Facts>, changed: bool) {
        let todo = TodoId::from_external(id);
        let mut edits = Vec::new();
        if let Some(facts) = facts.filter(|_| changed) {
            let plain = facts.plain.iter();
            edits.extend(plain.map(|(name, raw)| TodoEdit::Extra(name.clone(), Some(raw.clone()))));
            edits.push(TodoEdit::Stage(Some(facts.standing.clone())));
        }
        let labels = facts.map_or(&[][..], |facts| facts.list("labels"));
        self.base.push(Operation::TodoAdded {
            todo,
            external_id: Some(id.to_owned()),
            title: id.to_owned(),
            edits,
            prose: Vec::new(),
            labels: labels.iter().map(|label| label.key.clone()).collect(),
            layout: None,
        });
        for edge in facts.map_or(&[][..], |facts| &facts.edges) {
            self.base.push(edge_added(todo, edge));
        }
        if let Some(facts) = facts.filter(|facts| changed && facts.finished) {
            self.base.push(Operation::Closed { todo, reason: facts.standing.clone() });
        }
    }

    /// What the `number`-th version of a side says otherwise than the base.
    pub(super) fn version(
        &mut self,
        (side, number): (Side, usize),
        id: &str,
        base: Option<&Facts>,
        facts: &Facts,
    ) {
        let todo = TodoId::from_external(id);
        let nothing = Facts::default();
        let known = base.unwrap_or(&nothing);
        let mut put = |phase: Phase, what: &str, value: &str, operation: Operation| {
            let time = moment(facts.updated, phase, &[id, what, value]);
            self.sides.push((time, replica(side, number), operation));
        };
        for name in known.plain.keys().chain(facts.plain.keys()).collect::<BTreeSet<_>>() {
            let value = facts.plain.get(name);
            if known.plain.get(name) != value {
                let edits = vec![TodoEdit::Extra(name.clone(), value.cloned())];
                let text = value.map_or("", String::as_str);
                put(Phase::Edit, name, text, Operation::TodoEdited { todo, edits });
            }
        }
        if known.standing != facts.standing {
            let standing = &facts.standing;
            if facts.finished {
                let reason = standing.clone();
                put(Phase::Close, "status", standing, Operation::Closed { todo, reason });
            } else {
                if known.finished {
                    let reason = standing.clone();
                    put(Phase::Reopen, "status", standing, Operation::Reopened { todo, reason });
                }
                let edits = vec![TodoEdit::Stage(Some(standing.clone()))];
                put(Phase::Edit, "status", standing, Operation::TodoEdited { todo, edits });
            }
        }
        self.lists((side, number), id, known, facts);
    }

    /// What a version has in its lists otherwise than the base.
    fn lists(&mut self, (side, number): (Side, usize), id: &str, known: &Facts, facts: &Facts) {
        let todo = TodoId::from_external(id);
        let mut put = |what: &str, value: &str, operation: Operation| {
            let time = moment(facts.updated, Phase::Edit, &[id, what, value]);
            self.sides.push((time, replica(side, number), operation));
        };
        let labels = |facts: &Facts| -> BTreeSet<String> {
            facts.list("labels").iter().map(|label| label.key.clone()).collect()
        };
        let (was, is) = (labels(known), labels(facts));
        for label in was.symmetric_difference(&is) {
            let one = vec![label.clone()];
            let (added, removed) =
                if is.contains(label) { (one, Vec::new()) } else { (Vec::new(), one) };
            put("labels", label, Operation::LabelsChanged { todo, added, removed });
        }
        let lacks = |facts: &Facts, edge: &EdgeKey| facts.edges.iter().all(|(key, _)| key != edge);
        for edge in known.edges.iter().filter(|(key, _)| lacks(facts, key)) {
            let text = [edge.0.0.as_str(), edge.0.1.as_str()].concat();
            put("dependencies", &text, edge_removed(todo, edge));
        }
        for edge in facts.edges.iter().filter(|edge| !known.edges.contains(edge)) {
            let text = [edge.0.0.as_str(), edge.0.1.as_str()].concat();
            put("dependencies", &text, edge_added(todo, edge));
        }
        for note in facts.list("comments") {
            if known.list("comments").iter().all(|old| old.key != note.key) {
                let text = note.raw.clone();
                let operation = Operation::NoteAdded { todo, text, layout: None };
                put("comments", &note.key, operation);
            }
        }
    }

    /// A side has the issue no more.
    pub(super) fn deleted(&mut self, side: Side, id: &str, base: &Facts) {
        let time = moment(base.updated, Phase::Delete, &[id]);
        let todo = TodoId::from_external(id);
        let operation = Operation::Deleted { todo, reason: String::new() };
        self.sides.push((time, replica(side, 0), operation));
    }

    /// Folds everything in the canonical order.
    pub(super) fn fold(mut self) -> Folded {
        let mut folded = Folded { state: State::default(), events: BTreeMap::new() };
        for (counter, operation) in (1..).zip(self.base) {
            folded.apply(HybridTime { millis: 0, counter }, BASE, &Arc::default(), operation);
        }
        let seen = VersionVector::from_iter([(BASE, folded.state.version.get(BASE))]);
        let seen = Arc::new(seen);
        self.sides.sort_by_key(|&(time, replica, _)| (time, replica));
        for (time, replica, operation) in self.sides {
            folded.apply(time, replica, &seen, operation);
        }
        folded
    }
}

impl Folded {
    fn apply(
        &mut self,
        time: HybridTime,
        replica: ReplicaId,
        seen: &Arc<VersionVector>,
        operation: Operation,
    ) {
        let dot = Dot::new(replica, self.state.version.get(replica) + 1);
        let name = side(replica).map_or("base", Side::name);
        self.state.apply(&Event {
            dot,
            id: EventId::GENESIS,
            author: Author::new(name, Role::Human),
            time,
            occurred: None,
            seen: Arc::clone(seen),
            operation: operation.clone(),
        });
        if replica != BASE {
            self.events.insert(dot, operation);
        }
    }

    /// The side that made an event, and what it did; `None` for the base's.
    pub(super) fn event(&self, dot: Dot) -> Option<(Side, &Operation)> {
        Some((side(dot.replica)?, self.events.get(&dot)?))
    }
}

/// The hybrid time of an operation: when its issue was updated, then its phase, then a hash of what
/// it says.
fn moment(updated: i128, phase: Phase, what: &[&str]) -> HybridTime {
    // The base is at 0.
    let millis = u64::try_from(updated / 1_000_000).unwrap_or(0).max(1);
    // FNV-1a (Fowler, Noll, Vo), which is enough where nobody gains by a collision.
    let mut hash = 0x811c_9dc5_u32;
    for byte in what.iter().flat_map(|part| part.bytes().chain([0])) {
        hash = (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193);
    }
    HybridTime { millis, counter: (phase as u32) << 30 | hash >> 2 }
}

fn edge_added(todo: TodoId, ((on, kind), metadata): &(EdgeKey, Option<String>)) -> Operation {
    Operation::DependencyAdded {
        todo,
        on: TodoId::from_external(on),
        external_id: Some(on.clone()),
        kind: edge_kind(kind, metadata.as_deref()),
        layout: None,
    }
}

fn edge_removed(todo: TodoId, ((on, kind), metadata): &(EdgeKey, Option<String>)) -> Operation {
    let on = TodoId::from_external(on);
    Operation::DependencyRemoved { todo, on, kind: edge_kind(kind, metadata.as_deref()) }
}
