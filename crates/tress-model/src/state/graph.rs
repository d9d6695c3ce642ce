//! The todo graph: its edges, the rule `no-cycles`, and what is ready or blocked.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use bincode::Decode;
use serde::{Deserialize, Serialize};

use super::{State, Status, Todo};
use crate::clock::Millis;
use crate::event::OrderKey;
use crate::ids::{Dot, TodoId};
use crate::operation::{BlockerKind, EdgeKind};

/// An edge: its source depends on its target.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Decode)]
pub struct Edge {
    /// The target.
    pub on: TodoId,
    /// The target's id in another system.
    pub external_id: Option<String>,
    /// What the edge says.
    pub kind: EdgeKind,
    /// How it was written where it came from.
    pub layout: Option<String>,
    /// Where in the canonical order it was first added.
    pub since: OrderKey,
    /// The events that added it.
    pub added: Vec<Dot>,
    /// Whether it is set aside because it would close a cycle (rule `no-cycles`).
    pub suspended: bool,
}

/// Edges of different families are looked at apart: what they would close together, [`State::readiness`] leaves open.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Family {
    Order,
    Nesting,
}

fn family(kind: &EdgeKind) -> Option<Family> {
    match kind {
        EdgeKind::ParentChild => Some(Family::Nesting),
        kind if kind.blocks() => Some(Family::Order),
        _ => None,
    }
}

/// Why a todo is not ready although it is open.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "because", rename_all = "snake_case")]
pub enum BlockReason {
    /// It depends on a todo that is not finished.
    DependsOn {
        /// That todo.
        on: TodoId,
        /// How far that todo is.
        status: Status,
    },
    /// It waits for the children of a todo.
    WaitsForChildren {
        /// That todo.
        of: TodoId,
        /// How many of its children are not finished.
        open: usize,
    },
    /// A todo that it is part of is blocked.
    Parent {
        /// That todo.
        parent: TodoId,
    },
    /// Somebody reported something in the way.
    Blocker {
        /// The event that reported it.
        blocker: Dot,
        /// Of what kind.
        kind: BlockerKind,
        /// What is in the way.
        description: String,
    },
}

/// Kinds of todo that are records of something, not work to be done.
const NOT_WORK: [&str; 7] =
    ["merge-request", "gate", "molecule", "message", "agent", "role", "rig"];

/// What is ready and what is blocked, at one moment.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Readiness {
    /// Open todos that nothing holds back, the most urgent first (ties: the oldest).
    pub ready: Vec<TodoId>,
    /// Open or claimed todos that something holds back, with the reasons.
    pub blocked: BTreeMap<TodoId, Vec<BlockReason>>,
}

impl State {
    /// The edges that leave `todo`, in the order in which they were added.
    pub fn edges(&self, todo: TodoId) -> &[Edge] {
        self.edges.get(todo).map_or(&[], |edges| edges.as_slice())
    }

    /// The todos that have an edge to `todo`.
    pub fn dependents(&self, todo: TodoId) -> impl Iterator<Item = TodoId> + '_ {
        self.incoming.get(todo).into_iter().flat_map(|sources| sources.iter().copied())
    }

    /// The todos whose parent `todo` is.
    pub fn children(&self, todo: TodoId) -> impl Iterator<Item = TodoId> + '_ {
        self.dependents(todo).filter(move |&child| {
            let mut edges = self.edges(child).iter();
            edges.any(|e| e.on == todo && e.kind == EdgeKind::ParentChild && !e.suspended)
        })
    }

    /// Whether the edges of `kind`'s family lead from `from` to `to`. Linear in what is reached.
    pub(super) fn reaches(&self, from: TodoId, to: TodoId, kind: &EdgeKind) -> bool {
        let Some(wanted) = family(kind) else {
            return false;
        };
        let mut queue = VecDeque::from([from]);
        let mut seen = BTreeSet::from([from]);
        while let Some(todo) = queue.pop_front() {
            if todo == to {
                return true;
            }
            for edge in self.edges(todo) {
                let follow = !edge.suspended && family(&edge.kind) == Some(wanted);
                if follow && seen.insert(edge.on) {
                    queue.push_back(edge.on);
                }
            }
        }
        false
    }

    /// The todo with this id, if something is left to do of it.
    pub(super) fn unfinished(&self, todo: TodoId) -> Option<&Arc<Todo>> {
        let left = self.todos.is_finished(&todo) == Some(false);
        left.then(|| self.todos.get(&todo)).flatten()
    }

    /// Whether `todo` counts as in the way of what depends on it.
    pub fn holds_back(&self, todo: TodoId) -> bool {
        self.holding_back(todo).is_some()
    }

    fn holding_back(&self, todo: TodoId) -> Option<&Arc<Todo>> {
        self.unfinished(todo).filter(|todo| !todo.pinned && todo.stage.as_deref() != Some("pinned"))
    }

    /// What is ready and what is blocked at `now`. Linear in todos and edges, and for each blocked todo that others
    /// are part of, in these and in what it waits for.
    pub fn readiness(&self, now: Millis) -> Readiness {
        let mut blocked: BTreeMap<TodoId, Vec<BlockReason>> = BTreeMap::new();
        let left = |id: &TodoId| self.todos.is_finished(id) == Some(false);
        // Nothing is in the way of what is finished.
        for todo in self.todos.unfinished() {
            let reasons = self.reasons(todo, now);
            if !reasons.is_empty() {
                blocked.insert(todo.id, reasons);
            }
        }
        let parents = blocked.iter().filter(|(id, _)| self.children(**id).next().is_some());
        let passed_on = parents.map(|(&id, reasons)| (id, self.passed_on(id, reasons)));
        for (ancestor, sets) in passed_on.collect::<Vec<_>>() {
            for needed in sets {
                self.hold_back(ancestor, &needed, &mut blocked);
            }
        }
        let free = self.todos.unfinished().filter(|todo| !blocked.contains_key(&todo.id));
        let ready = free.filter(|todo| self.workable(todo, now));
        let mut ready: Vec<_> = ready.map(|todo| (todo.urgency(), todo.id)).collect();
        ready.sort_unstable();
        let ready = ready.into_iter().map(|(_, id)| id).collect();
        blocked.retain(|id, _| left(id));
        Readiness { ready, blocked }
    }

    /// Puts down, below `ancestor`, that it is blocked, but for what is `needed` for that to end, and what lies below.
    fn hold_back(
        &self,
        ancestor: TodoId,
        needed: &BTreeSet<TodoId>,
        blocked: &mut BTreeMap<TodoId, Vec<BlockReason>>,
    ) {
        let mut queue = vec![ancestor];
        let mut queued = BTreeSet::from([ancestor]);
        while let Some(parent) = queue.pop() {
            if self.todos.is_finished(&parent) == Some(true) {
                // Nor is anything in the way of what is part of it.
                continue;
            }
            for child in self.children(parent).filter(|child| !needed.contains(child)) {
                let (reasons, reason) =
                    (blocked.entry(child).or_default(), BlockReason::Parent { parent });
                if !reasons.contains(&reason) {
                    reasons.push(reason);
                }
                if queued.insert(child) {
                    queue.push(child);
                }
            }
        }
    }

    /// For each of the reasons of a todo that hold back what is part of it, too: what has to be done for it to end,
    /// and so is not held back, or neither could ever be done. What is part of the todo itself holds back nothing of it.
    fn passed_on(&self, todo: TodoId, reasons: &[BlockReason]) -> BTreeSet<BTreeSet<TodoId>> {
        let needed = |reason| self.needed_for(todo, reason);
        let sets: BTreeSet<_> = reasons.iter().filter_map(needed).collect();
        // Where one lets nothing out, the others add nothing.
        if sets.contains(&BTreeSet::new()) { BTreeSet::from([BTreeSet::new()]) } else { sets }
    }

    /// What has to be done for this reason of a todo to end; `None` where it holds back nothing that is part of the todo.
    pub(super) fn needed_for(
        &self,
        todo: TodoId,
        reason: &BlockReason,
    ) -> Option<BTreeSet<TodoId>> {
        match reason {
            BlockReason::DependsOn { on: target, .. } => {
                (!self.is_within(*target, todo)).then(|| self.needed([*target]))
            }
            BlockReason::WaitsForChildren { of: target, .. } => {
                (!self.is_within(*target, todo)).then(|| self.needed(self.children(*target)))
            }
            BlockReason::Blocker { .. } => Some(BTreeSet::new()),
            BlockReason::Parent { .. } => None,
        }
    }

    /// Whether `todo` is `whole`, or part of it.
    fn is_within(&self, todo: TodoId, whole: TodoId) -> bool {
        self.reaches(todo, whole, &EdgeKind::ParentChild)
    }

    /// What of `todos` is unfinished, and what that waits for. Linear in it and its edges.
    fn needed(&self, todos: impl IntoIterator<Item = TodoId>) -> BTreeSet<TodoId> {
        let mut queue: Vec<TodoId> = todos.into_iter().collect();
        let mut needed = BTreeSet::new();
        while let Some(todo) = queue.pop() {
            if self.unfinished(todo).is_none() || !needed.insert(todo) {
                continue;
            }
            for edge in self.edges(todo).iter().filter(|edge| !edge.suspended) {
                match edge.kind {
                    EdgeKind::Blocks | EdgeKind::ConditionalBlocks => queue.push(edge.on),
                    EdgeKind::WaitsFor | EdgeKind::WaitsForAny => {
                        queue.extend(self.children(edge.on));
                    }
                    _ => {}
                }
            }
        }
        needed
    }

    /// What blocks a todo itself, not for what it is part of. The time decides only how a reason is worded.
    fn reasons(&self, todo: &Todo, now: Millis) -> Vec<BlockReason> {
        let edges = self.edges(todo.id).iter().filter(|edge| !edge.suspended);
        let mut reasons: Vec<_> =
            edges.filter_map(|edge| self.block_reason(todo.id, edge, now)).collect();
        reasons.extend(todo.open_blockers().map(|blocker| BlockReason::Blocker {
            blocker: blocker.dot,
            kind: blocker.kind,
            description: blocker.description.clone(),
        }));
        reasons
    }

    /// What blocks a todo itself, where something is left to do of it.
    pub(super) fn reasons_of(&self, todo: TodoId) -> Vec<BlockReason> {
        self.unfinished(todo).map(|todo| self.reasons(todo, 0)).unwrap_or_default()
    }

    /// The unfinished todos that `todo` is part of, one step up.
    pub(super) fn parents(&self, todo: TodoId) -> impl Iterator<Item = &Arc<Todo>> {
        let nests = |edge: &&Edge| edge.kind == EdgeKind::ParentChild && !edge.suspended;
        self.edges(todo).iter().filter(nests).filter_map(|edge| self.unfinished(edge.on))
    }

    /// Whether something holds `todo` back: whether [`State::readiness`] would list it as blocked.
    /// Linear in what it is part of, for each of these that is blocked, and in what that waits for.
    pub fn is_blocked(&self, todo: TodoId) -> bool {
        let Some(found) = self.unfinished(todo) else { return false };
        if !self.reasons(found, 0).is_empty() {
            return true;
        }
        let (mut queue, mut seen) = (vec![todo], BTreeSet::from([todo]));
        while let Some(id) = queue.pop() {
            for parent in self.parents(id).filter(|parent| seen.insert(parent.id)) {
                let sets = self.passed_on(parent.id, &self.reasons(parent, 0));
                if sets.iter().any(|needed| self.is_held_back(todo, parent.id, needed)) {
                    return true;
                }
                queue.push(parent.id);
            }
        }
        false
    }

    /// Whether [`State::hold_back`] comes to `todo` from its `ancestor`.
    pub(super) fn is_held_back(
        &self,
        todo: TodoId,
        ancestor: TodoId,
        needed: &BTreeSet<TodoId>,
    ) -> bool {
        let (mut queue, mut seen) = (vec![todo], BTreeSet::new());
        while let Some(id) = queue.pop() {
            if needed.contains(&id) || !seen.insert(id) {
                continue;
            }
            for parent in self.parents(id).map(|parent| parent.id) {
                if parent == ancestor {
                    return true;
                }
                queue.push(parent);
            }
        }
        false
    }

    /// The todos whose edges are others in `other`. What the two states share is not looked at.
    pub fn edges_changed(&self, other: &Self) -> Vec<TodoId> {
        self.edges.changed(&other.edges)
    }

    /// Whether `todo` could be worked on at `now` if nothing blocked it.
    fn workable(&self, todo: &Todo, now: Millis) -> bool {
        let deferred = |todo: &Todo| todo.defer_until.is_some_and(|until| until > now);
        let backing_off = todo.failures.last().and_then(|f| f.retry_at).is_some_and(|at| at > now);
        self.status_unblocked(todo, now) == Status::Open
            && !todo.pinned
            && !todo.ephemeral
            && !NOT_WORK.contains(&todo.kind.as_str())
            && !deferred(todo)
            && !backing_off
            && !self.edges(todo.id).iter().any(|edge| {
                edge.kind == EdgeKind::ParentChild
                    && !edge.suspended
                    && self.todos.get(&edge.on).is_some_and(|parent| deferred(parent))
            })
    }

    fn block_reason(&self, source: TodoId, edge: &Edge, now: Millis) -> Option<BlockReason> {
        match edge.kind {
            EdgeKind::Blocks | EdgeKind::ConditionalBlocks => {
                let target = self.holding_back(edge.on)?;
                let status = self.status_unblocked(target, now);
                Some(BlockReason::DependsOn { on: edge.on, status })
            }
            EdgeKind::WaitsFor | EdgeKind::WaitsForAny => {
                // A child that waits for its siblings does not wait for itself.
                let children = self.children(edge.on).filter(|&child| child != source);
                let finished = children.filter_map(|child| self.todos.is_finished(&child));
                let (done, open): (Vec<_>, Vec<_>) = finished.partition(|&finished| finished);
                let enough = edge.kind == EdgeKind::WaitsForAny && !done.is_empty();
                let open = open.len();
                (open > 0 && !enough).then_some(BlockReason::WaitsForChildren { of: edge.on, open })
            }
            _ => None,
        }
    }
}
