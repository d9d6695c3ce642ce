//! What is left: whether anything can go on, what nobody can do, what is to be integrated first.

use std::cmp::Reverse;

use tress_model::state::team::Agent;
use tress_model::state::{Readiness, Todo};
use tress_model::{Dot, Millis, Role, State, TodoId};

use crate::critical::CriticalPaths;
use crate::scope;
use crate::select::{Terms, able, not_before};

/// The implementers that are active.
pub(crate) fn implementers(state: &State) -> impl Iterator<Item = Agent> {
    let agents = state.team.agents.values();
    agents.filter(|agent| agent.active && agent.role == Role::Implementer)
}

/// The ready todos that no active implementer can do, with the capabilities that they need; none
/// where no implementer is active. They wait for somebody who can, and hold up nothing else.
pub fn unable(state: &State, readiness: &Readiness) -> Vec<(TodoId, Vec<String>)> {
    let agents: Vec<_> = implementers(state).collect();
    if agents.is_empty() {
        return Vec::new();
    }
    let ready = readiness.ready.iter().filter_map(|&id| state.todo(id));
    let ready = ready
        .filter(|todo| !agents.iter().any(|agent| able(&agent.capabilities, &todo.capabilities)));
    ready.map(|todo| (todo.id, todo.capabilities.clone())).collect()
}

/// What is left for implementers at one moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outlook {
    /// Everything is finished.
    Done,
    /// Something may become ready: others are at work, or a retry is due later.
    Wait,
    /// Nothing is ready that anybody active can do, and nobody is at anything that could change
    /// that.
    Stuck,
}

/// Whether the files of a ready todo are those of one that a person says to have done, which waits
/// for a person: nobody of the team can bring that to an end.
fn behind_a_person(state: &State, id: TodoId, now: Millis) -> bool {
    let Some(todo) = state.todo(id) else { return false };
    state.todos.unfinished().any(|other| {
        let waits = other.pending_completion().is_some_and(|made| !made.to_integrate);
        waits && other.holder(now).is_some() && scope::overlap(&other.files, &todo.files)
    })
}

/// What is left at `now`.
pub fn outlook(state: &State, readiness: &Readiness, now: Millis, terms: &Terms) -> Outlook {
    // What is not worth keeping is not waited for.
    let left = state.todos.unfinished().filter(|todo| !todo.ephemeral);
    let mut left = left.peekable();
    if left.peek().is_none() {
        return Outlook::Done;
    }
    let moving = left.any(|todo| {
        // What a person claims to have done, a person has to verify.
        let ours = todo.pending_completion().is_none_or(|c| c.to_integrate && c.commit.is_some());
        let held = ours && todo.holder(now).is_some();
        // What somebody has to settle first is not tried again, whatever its pause.
        let later = todo.open_blockers().next().is_none()
            && (not_before(todo, terms) > now
                || todo.failures.last().is_some_and(|f| f.retry_at > Some(now)));
        held || later
    });
    let doable = readiness.ready.len() > unable(state, readiness).len();
    let doable = doable && readiness.ready.iter().any(|&id| !behind_a_person(state, id, now));
    if moving || doable { Outlook::Wait } else { Outlook::Stuck }
}

/// The verified work that waits to be integrated, in the order in which it should be: what most
/// work waits for first, then what has waited longest. Integration is a pipeline beside the
/// implementers: they go on with the next todo meanwhile.
pub fn integration_order(state: &State) -> Vec<(TodoId, Dot)> {
    let verified: Vec<_> = state
        .todos
        .values()
        .filter(|todo| !todo.finished())
        .filter_map(|todo| Some((todo, todo.verified()?)))
        .filter(|(_, made)| made.to_integrate && made.commit.is_some())
        .collect();
    if verified.len() < 2 {
        return verified.into_iter().map(|(todo, made)| (todo.id, made.dot)).collect();
    }
    let paths = CriticalPaths::of(state);
    let behind = |todo: &Todo| paths.minutes(todo.id).saturating_sub(paths.estimate(todo));
    let mut order: Vec<_> = verified
        .into_iter()
        .map(|(todo, made)| {
            (paths.urgency(todo), Reverse(behind(todo)), made.at, todo.id, made.dot)
        })
        .collect();
    order.sort_unstable();
    order.into_iter().map(|(_, _, _, todo, dot)| (todo, dot)).collect()
}
