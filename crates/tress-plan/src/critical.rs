//! The critical path: how much work waits behind a todo (Kelley, Walker: *Critical-Path Planning
//! and Scheduling*, 1959).

use std::collections::BTreeMap;

use tress_model::operation::EdgeKind;
use tress_model::{State, Todo, TodoId};

/// What a todo without an estimate is taken for, where no other has one, in minutes.
pub const ESTIMATE_DEFAULT: u32 = 30;

/// The longest chain of unfinished work from each unfinished todo on, itself included.
#[derive(Debug, Clone, Default)]
pub struct CriticalPaths {
    minutes: BTreeMap<TodoId, u64>,
    waiting: BTreeMap<TodoId, usize>,
    urgency: BTreeMap<TodoId, u8>,
    estimate: u64,
}

/// A step of the walk: a todo is looked at, or all that it sets free has been.
enum Step {
    Enter(TodoId),
    Leave(TodoId),
}

impl CriticalPaths {
    /// Of all that is unfinished in `state`. Linear in todos and edges. What waits in a circle (by
    /// edges of different kinds) counts once.
    pub fn of(state: &State) -> Self {
        let mut estimates: Vec<u32> =
            state.todos.values().filter_map(|todo| todo.estimate_minutes).collect();
        estimates.sort_unstable();
        let median = estimates.get(estimates.len() / 2).copied();
        let estimate = u64::from(median.unwrap_or(ESTIMATE_DEFAULT).max(1));
        let mut paths = Self { estimate, ..Self::default() };
        let mut freed: BTreeMap<TodoId, Vec<TodoId>> = BTreeMap::new();
        for todo in state.todos.unfinished() {
            let start = todo.id;
            if freed.contains_key(&start) {
                continue;
            }
            let mut steps = vec![Step::Enter(start)];
            while let Some(step) = steps.pop() {
                match step {
                    Step::Enter(id) if freed.contains_key(&id) => {}
                    Step::Enter(id) => {
                        let next = freed_by(state, id);
                        steps.push(Step::Leave(id));
                        steps.extend(next.iter().map(|&next| Step::Enter(next)));
                        freed.insert(id, next);
                    }
                    Step::Leave(id) => paths.settle(state, id, &freed),
                }
            }
        }
        paths
    }

    fn settle(&mut self, state: &State, id: TodoId, freed: &BTreeMap<TodoId, Vec<TodoId>>) {
        let own = state.todo(id).map_or(0, |todo| self.estimate(todo));
        let next = freed.get(&id).map_or(&[][..], Vec::as_slice);
        let behind = next.iter().filter_map(|next| self.minutes.get(next)).max();
        self.minutes.insert(id, own.saturating_add(behind.copied().unwrap_or(0)));
        self.waiting.insert(id, next.len());
        let urgent = next.iter().filter_map(|next| self.urgency.get(next)).min();
        let priority = state.todo(id).map_or(u8::MAX, |todo| todo.priority);
        self.urgency.insert(id, urgent.map_or(priority, |urgent| priority.min(*urgent)));
    }

    /// The highest priority of `todo` and all that wait for it: what holds up something urgent is
    /// urgent itself (priority inheritance: Sha, Rajkumar, Lehoczky 1990).
    pub fn urgency(&self, todo: &Todo) -> u8 {
        self.urgency.get(&todo.id).copied().unwrap_or(todo.priority)
    }

    /// What `todo` is expected to take, in minutes: its estimate, or the median of the others'.
    pub fn estimate(&self, todo: &Todo) -> u64 {
        todo.estimate_minutes.map_or(self.estimate, |estimate| u64::from(estimate.max(1)))
    }

    /// How long the longest chain from `todo` on takes, itself included, in minutes.
    pub fn minutes(&self, todo: TodoId) -> u64 {
        self.minutes.get(&todo).copied().unwrap_or(0)
    }

    /// How many unfinished todos wait for `todo` directly.
    pub fn waiting(&self, todo: TodoId) -> usize {
        self.waiting.get(&todo).copied().unwrap_or(0)
    }

    /// The longest of all chains, in minutes: no team can be faster.
    pub fn longest(&self) -> u64 {
        self.minutes.values().copied().max().unwrap_or(0)
    }

    /// The work of everything unfinished together, in minutes.
    pub fn total(&self, state: &State) -> u64 {
        let left = self.minutes.keys().filter_map(|id| state.todo(*id));
        left.map(|todo| self.estimate(todo)).sum()
    }
}

/// The unfinished todos that wait for `id`: what it blocks, what waits for the children of its
/// parents, and the parts of all these.
fn freed_by(state: &State, id: TodoId) -> Vec<TodoId> {
    let mut freed = Vec::new();
    let blocked_by = |on: TodoId, kinds: &'static [EdgeKind]| {
        state.dependents(on).filter(move |&source| {
            let mut edges = state.edges(source).iter();
            edges.any(|e| e.on == on && !e.suspended && kinds.contains(&e.kind))
        })
    };
    let mut queue: Vec<TodoId> =
        blocked_by(id, &[EdgeKind::Blocks, EdgeKind::ConditionalBlocks]).collect();
    for edge in state.edges(id).iter().filter(|e| e.kind == EdgeKind::ParentChild && !e.suspended) {
        queue.extend(blocked_by(edge.on, &[EdgeKind::WaitsFor]).filter(|&other| other != id));
    }
    while let Some(next) = queue.pop() {
        let unfinished = state.todo(next).is_some_and(|todo| !todo.finished());
        if unfinished && !freed.contains(&next) {
            freed.push(next);
            queue.extend(state.children(next));
        }
    }
    freed
}
