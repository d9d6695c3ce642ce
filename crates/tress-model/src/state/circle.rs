//! Circles by way of what todos are part of: the edges of each family go in none, and together they may all the same.
//!
//! A todo waits for what its edges name, and for what holds back something that it is part of. Where that comes
//! back to the todo, nothing of it can ever be done. The fold takes such edges as they come, for two sides may each add
//! one; whoever adds one alone can be told before.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use super::{BlockReason, State};
use crate::event::Event;
use crate::ids::{Author, Dot, EventId, ReplicaId, Role, TodoId};
use crate::operation::{EdgeKind, Operation};

/// A todo of a circle, which waits for the next one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Waiting {
    /// The todo.
    pub todo: TodoId,
    /// What it is part of, where that is what the next one holds back.
    pub part_of: Option<TodoId>,
}

impl Waiting {
    /// The way round a circle in words, each todo as `name` calls it.
    pub fn round(circle: &[Self], name: impl Fn(TodoId) -> String) -> String {
        let step = |one: &Self| match one.part_of {
            Some(whole) => format!("{} (part of {})", name(one.todo), name(whole)),
            None => name(one.todo),
        };
        let first = circle.first().map(|one| name(one.todo));
        circle.iter().map(step).chain(first).collect::<Vec<_>>().join(" -> ")
    }
}

/// So many circles are looked for at the most.
const CIRCLES_MAX: usize = 64;

/// What a todo waits for, each with what it is part of for that.
type Waits = BTreeMap<TodoId, Option<TodoId>>;

impl State {
    /// The circle in which todos would wait for each other if `operations`, which change edges of `todo`, were folded
    /// next; none where they close none, or the rule `no-cycles` takes the edge that does so out. A choice of several
    /// (`waits-for-any`) closes none. Linear in the todos and edges that are come to, for each of these that others are
    /// part of.
    pub fn circle_of(&self, todo: TodoId, operations: &[Operation]) -> Option<Vec<Waiting>> {
        let after = self.supposing(operations);
        let (mut before, mut after) = (Looking::at(self), Looking::at(&after));
        // Who has to wait for more now, by what it is.
        let mut by_target: BTreeMap<TodoId, Waits> = BTreeMap::new();
        for one in after.affected(todo) {
            let known = before.waits(one);
            for (target, part_of) in after.waits(one) {
                if !known.contains_key(&target) {
                    by_target.entry(target).or_default().insert(one, part_of);
                }
            }
        }
        let mut circle =
            by_target.iter().find_map(|(&target, sources)| after.back(target, sources))?;
        if let Some(at) = circle.iter().position(|one| one.todo == todo) {
            circle.rotate_left(at);
        }
        Some(circle)
    }

    /// The circles in which todos wait for each other as it is, each from its first todo: one at least for each todo
    /// that is in any, up to a bound. Linear in the todos and edges, and for each todo on a way from circle to circle in
    /// all that are on one.
    pub fn circles(&self) -> Vec<Vec<Waiting>> {
        let mut looking = Looking::at(self);
        let unfinished = self.todos.unfinished().map(|todo| todo.id);
        let mut waits: BTreeMap<TodoId, Waits> =
            unfinished.map(|todo| (todo, looking.waits(todo))).collect();
        // Who waits for nothing that waits, and whom nothing that waits waits for, is in none.
        peel(&mut waits);
        let mut circles: Vec<Vec<Waiting>> = Vec::new();
        let mut told = BTreeSet::new();
        for &todo in waits.keys() {
            if circles.len() == CIRCLES_MAX {
                break;
            }
            if told.contains(&todo) {
                continue;
            }
            if let Some(circle) = round(todo, &waits) {
                told.extend(circle.iter().map(|one| one.todo));
                circles.push(circle);
            }
        }
        circles
    }

    /// The state as it would be with these operations, by one who knows all that is here.
    fn supposing(&self, operations: &[Operation]) -> Self {
        let mut state = self.clone();
        let (replica, seen) = (ReplicaId([0; 16]), Arc::new(self.version.clone()));
        for operation in operations {
            let last = state.last.map(|last| last.time).unwrap_or_default();
            state.apply(&Event {
                dot: Dot::new(replica, state.version.get(replica) + 1),
                id: EventId::GENESIS,
                author: Author::new("", Role::Human),
                time: last.tick(0),
                occurred: None,
                seen: Arc::clone(&seen),
                operation: operation.clone(),
            });
        }
        state
    }
}

/// A reason that holds back what is part of a todo: what is waited for, and what of it is not held back, since it is
/// needed for that.
type PassedOn = (Vec<TodoId>, BTreeSet<TodoId>);

/// A state that is looked at, and what was found out.
struct Looking<'a> {
    state: &'a State,
    /// The reasons of what others are part of.
    passed_on: BTreeMap<TodoId, Vec<PassedOn>>,
}

impl<'a> Looking<'a> {
    fn at(state: &'a State) -> Self {
        Self { state, passed_on: BTreeMap::new() }
    }

    /// Whose waiting an edge of `todo` may change: itself, what waits for the children of what it is part of, and all
    /// that is part of these.
    fn affected(&self, todo: TodoId) -> BTreeSet<TodoId> {
        let mut queue = vec![todo];
        let nests = self.state.edges(todo).iter().filter(|edge| edge.kind == EdgeKind::ParentChild);
        for parent in nests.map(|edge| edge.on) {
            queue.extend(self.state.dependents(parent).filter(|&other| {
                let mut edges = self.state.edges(other).iter().filter(|edge| edge.on == parent);
                edges.any(|edge| matches!(edge.kind, EdgeKind::WaitsFor | EdgeKind::WaitsForAny))
            }));
        }
        let mut found = BTreeSet::new();
        while let Some(one) = queue.pop() {
            if found.insert(one) {
                queue.extend(self.state.children(one));
            }
        }
        found
    }

    /// What a reason of `todo` names that has to be done first.
    fn targets(&self, todo: TodoId, reason: &BlockReason) -> Vec<TodoId> {
        match reason {
            BlockReason::DependsOn { on, .. } => vec![*on],
            BlockReason::WaitsForChildren { of, open } => {
                let edges = self.state.edges(todo).iter().filter(|edge| edge.on == *of);
                let all = { edges }.any(|edge| edge.kind == EdgeKind::WaitsFor && !edge.suspended);
                if !all && *open > 1 {
                    return Vec::new();
                }
                let children = self.state.children(*of).filter(|&child| child != todo);
                children.filter(|child| self.state.unfinished(*child).is_some()).collect()
            }
            BlockReason::Parent { .. } | BlockReason::Blocker { .. } => Vec::new(),
        }
    }

    fn passed_on(&mut self, parent: TodoId) -> &[PassedOn] {
        if !self.passed_on.contains_key(&parent) {
            let reasons = self.state.reasons_of(parent);
            let passed = reasons.iter().filter_map(|reason| {
                let needed = self.state.needed_for(parent, reason)?;
                Some((self.targets(parent, reason), needed))
            });
            let passed = passed.collect();
            self.passed_on.insert(parent, passed);
        }
        self.passed_on.get(&parent).map_or(&[], Vec::as_slice)
    }

    fn waits(&mut self, todo: TodoId) -> Waits {
        let mut waits = Waits::new();
        for reason in self.state.reasons_of(todo) {
            waits.extend(self.targets(todo, &reason).into_iter().map(|target| (target, None)));
        }
        let (mut queue, mut seen) = (vec![todo], BTreeSet::from([todo]));
        while let Some(id) = queue.pop() {
            let state = self.state;
            for parent in state.parents(id).map(|parent| parent.id) {
                if !seen.insert(parent) {
                    continue;
                }
                queue.push(parent);
                for (targets, needed) in self.passed_on(parent) {
                    if state.is_held_back(todo, parent, needed) {
                        for &target in targets {
                            waits.entry(target).or_insert(Some(parent));
                        }
                    }
                }
            }
        }
        waits
    }

    /// The shortest way from `target`, by what it waits for, to one of `sources`, which wait for it.
    fn back(&mut self, target: TodoId, sources: &Waits) -> Option<Vec<Waiting>> {
        let mut from: BTreeMap<TodoId, Option<Waiting>> = BTreeMap::from([(target, None)]);
        let mut queue = VecDeque::from([target]);
        while let Some(todo) = queue.pop_front() {
            if let Some(&part_of) = sources.get(&todo) {
                let mut circle = vec![Waiting { todo, part_of }];
                while let Some(Some(before)) = circle.last().and_then(|last| from.get(&last.todo)) {
                    circle.push(*before);
                }
                // It was gone backwards.
                circle.reverse();
                return Some(circle);
            }
            for (next, part_of) in self.waits(todo) {
                from.entry(next).or_insert_with(|| {
                    queue.push_back(next);
                    Some(Waiting { todo, part_of })
                });
            }
        }
        None
    }
}

/// Leaves only what waits for something that is left, and is waited for by something that is left.
fn peel(waits: &mut BTreeMap<TodoId, Waits>) {
    let mut waited_for: BTreeMap<TodoId, BTreeSet<TodoId>> = BTreeMap::new();
    for (&todo, targets) in waits.iter() {
        for &target in targets.keys() {
            waited_for.entry(target).or_default().insert(todo);
        }
    }
    let alone =
        |todo: &TodoId, targets: &Waits| targets.is_empty() || !waited_for.contains_key(todo);
    let mut gone: Vec<TodoId> = waits
        .iter()
        .filter(|(todo, targets)| alone(todo, targets))
        .map(|(&todo, _)| todo)
        .collect();
    // Every one is taken out once, with its edges at both ends.
    while let Some(todo) = gone.pop() {
        for source in waited_for.remove(&todo).unwrap_or_default() {
            if let Some(targets) = waits.get_mut(&source) {
                targets.remove(&todo);
                gone.extend(targets.is_empty().then_some(source));
            }
        }
        for (target, _) in waits.remove(&todo).unwrap_or_default() {
            if let Some(sources) = waited_for.get_mut(&target) {
                sources.remove(&todo);
                gone.extend(sources.is_empty().then_some(target));
            }
        }
    }
}

/// The shortest way from `todo` back to it.
fn round(todo: TodoId, waits: &BTreeMap<TodoId, Waits>) -> Option<Vec<Waiting>> {
    let mut from: BTreeMap<TodoId, Waiting> = BTreeMap::new();
    let mut queue = VecDeque::from([todo]);
    while let Some(one) = queue.pop_front() {
        for (&next, &part_of) in waits.get(&one).into_iter().flatten() {
            from.entry(next).or_insert_with(|| {
                queue.push_back(next);
                Waiting { todo: one, part_of }
            });
            if next == todo {
                let mut circle = Vec::new();
                let mut at = todo;
                while let Some(before) = from.get(&at) {
                    circle.push(*before);
                    at = before.todo;
                    if at == todo {
                        break;
                    }
                }
                circle.reverse();
                return Some(circle);
            }
        }
    }
    None
}
