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

/// Two edges of different families cannot close a cycle together.
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
    fn unfinished(&self, todo: TodoId) -> Option<&Arc<Todo>> {
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

    /// What is ready and what is blocked at `now`. Linear in todos and edges.
    pub fn readiness(&self, now: Millis) -> Readiness {
        let mut blocked: BTreeMap<TodoId, Vec<BlockReason>> = BTreeMap::new();
        let left = |id: &TodoId| self.todos.is_finished(id) == Some(false);
        // Nothing is in the way of what is finished.
        for (id, edges) in self.edges.of(left) {
            let reasons = edges.iter().filter(|edge| !edge.suspended);
            let reasons = reasons.filter_map(|edge| self.block_reason(id, edge, now));
            let reasons: Vec<_> = reasons.collect();
            if !reasons.is_empty() {
                blocked.insert(id, reasons);
            }
        }
        for todo in self.todos.unfinished() {
            for blocker in todo.open_blockers() {
                blocked.entry(todo.id).or_default().push(BlockReason::Blocker {
                    blocker: blocker.dot,
                    kind: blocker.kind,
                    description: blocker.description.clone(),
                });
            }
        }
        let passes_on = |(&parent, reasons): (&TodoId, &Vec<BlockReason>)| {
            reasons.iter().any(|reason| self.comes_from_outside(parent, reason)).then_some(parent)
        };
        let mut queue: VecDeque<TodoId> = blocked.iter().filter_map(passes_on).collect();
        let mut queued: BTreeSet<TodoId> = queue.iter().copied().collect();
        while let Some(parent) = queue.pop_front() {
            if self.todos.is_finished(&parent) == Some(true) {
                // Nor is anything in the way of what is part of it.
                continue;
            }
            for child in self.children(parent) {
                let (reasons, reason) =
                    (blocked.entry(child).or_default(), BlockReason::Parent { parent });
                if !reasons.contains(&reason) {
                    reasons.push(reason);
                }
                if queued.insert(child) {
                    queue.push_back(child);
                }
            }
        }
        let free = self.todos.unfinished().filter(|todo| !blocked.contains_key(&todo.id));
        let ready = free.filter(|todo| self.workable(todo, now));
        let mut ready: Vec<_> =
            ready.map(|todo| (todo.priority, todo.created_at, todo.dot, todo.id)).collect();
        ready.sort_unstable();
        let ready = ready.into_iter().map(|(_, _, _, id)| id).collect();
        blocked.retain(|id, _| left(id));
        Readiness { ready, blocked }
    }

    /// Whether something holds `todo` back: whether [`State::readiness`] would list it as blocked.
    /// Costs what it and the todos that it is part of depend on.
    pub fn is_blocked(&self, todo: TodoId) -> bool {
        let mut queue = vec![todo];
        let mut seen = BTreeSet::from([todo]);
        while let Some(id) = queue.pop() {
            // Nothing is in the way of what is finished, nor of what is part of it.
            let Some(found) = self.unfinished(id) else { continue };
            if found.open_blockers().next().is_some() {
                return true;
            }
            for edge in self.edges(id).iter().filter(|edge| !edge.suspended) {
                // The time decides only how the reason is worded.
                let reason = self.block_reason(id, edge, 0);
                if reason.is_some_and(|reason| id == todo || self.comes_from_outside(id, &reason)) {
                    return true;
                }
                if edge.kind == EdgeKind::ParentChild && seen.insert(edge.on) {
                    queue.push(edge.on);
                }
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

    /// Whether what blocks a todo holds back what is part of it, too: what is part of it itself does not, or
    /// neither could ever be done.
    fn comes_from_outside(&self, todo: TodoId, reason: &BlockReason) -> bool {
        match reason {
            BlockReason::DependsOn { on: target, .. }
            | BlockReason::WaitsForChildren { of: target, .. } => {
                *target != todo && !self.reaches(*target, todo, &EdgeKind::ParentChild)
            }
            BlockReason::Parent { .. } | BlockReason::Blocker { .. } => true,
        }
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
