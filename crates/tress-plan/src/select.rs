//! Selection: how many agents, and who takes what next.

use tress_model::operation::EdgeKind;
use tress_model::state::{Readiness, Todo};
use tress_model::{Millis, Role, State, TodoId};

use crate::scope;

/// How often one agent may fail at a todo before it goes to another.
pub const TRIES_PER_AGENT: usize = 2;

/// How a todo list is to be distributed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan {
    /// How many implementers work at once.
    pub implementers: u32,
    /// How many coordinators there are beside them.
    pub coordinators: u32,
    /// Why, in one line.
    pub summary: String,
    /// Who starts with what: the name of an implementer, and a todo.
    pub assignments: Vec<(String, TodoId)>,
}

/// The name of the `number`th implementer, from 1.
pub fn implementer(number: u32) -> String {
    format!("implementer-{number}")
}

/// Whether `name` is that of an implementer of an orchestrated team.
pub fn is_implementer(name: &str) -> bool {
    let number = name.strip_prefix("implementer-");
    number.is_some_and(|number| number.parse::<u32>().is_ok())
}

/// Plans the distribution of what is left to do at `now`; `scale` overrides the number of
/// implementers that the number of todos suggests.
pub fn plan(state: &State, now: Millis, scale: Option<u32>) -> Plan {
    let left = state.todos.values().filter(|todo| !todo.finished()).count();
    let (mut implementers, coordinators, tier) = match left {
        0..5 => (1, 0, "fewer than 5 todos: one implementer"),
        5..15 => (3, 0, "fewer than 15 todos: three implementers"),
        15..30 => (5, 0, "fewer than 30 todos: five implementers"),
        _ => (8, 2, "30 todos or more: eight implementers and two coordinators"),
    };
    let mut summary = format!("{left} todos left; {tier}");
    if let Some(scale) = scale {
        implementers = scale.max(1);
        summary = format!("{left} todos left; {implementers} implementers, as asked for");
    }
    let mut busy: Vec<Vec<String>> = Vec::new();
    let mut assignments = Vec::new();
    for id in state.readiness(now).ready {
        let Some(todo) = state.todo(id) else { continue };
        if assignments.len() >= implementers as usize {
            break;
        }
        if busy.iter().any(|scope| scope::overlap(scope, &todo.files)) {
            continue;
        }
        busy.push(todo.files.clone());
        assignments.push((implementer(assignments.len() as u32 + 1), id));
    }
    Plan { implementers, coordinators, summary, assignments }
}

/// What `agent` should take at `now`: the most urgent ready todo, of those the one that most others
/// wait for, whose files nobody else is at, and at which the agent has not failed too often while
/// another could try.
/// `pause` is how long a todo is left alone after its second refusal (after the first it is tried
/// again at once); it doubles with each further one.
pub fn choose(state: &State, agent: &str, now: Millis, pause: Millis) -> Option<TodoId> {
    let readiness = state.readiness(now);
    let busy: Vec<&[String]> = state
        .todos
        .values()
        .filter(|todo| todo.holder(now).is_some())
        .map(|todo| todo.files.as_slice())
        .collect();
    let free = readiness.ready.iter().copied().filter(|&id| {
        state.todo(id).is_some_and(|todo| {
            !busy.iter().any(|scope| scope::overlap(scope, &todo.files))
                && not_before(todo, pause) <= now
                && !should_pass(state, id, agent)
        })
    });
    let urgency = |id: &TodoId| {
        let priority = state.todo(*id).map_or(u8::MAX, |todo| todo.priority);
        (priority, std::cmp::Reverse(waiting_for(state, *id)))
    };
    // `min_by_key` keeps the first of equals: the oldest.
    free.min_by_key(urgency)
}

/// When a todo may be tried again that was refused: at once after the first time.
fn not_before(todo: &Todo, pause: Millis) -> Millis {
    let refused = || todo.completions.iter().filter(|c| c.void.is_some());
    let again = refused().count().saturating_sub(1);
    let last = refused().filter_map(|c| c.verification.as_ref()).map(|v| v.at).max();
    match (again, last) {
        (0, _) | (_, None) => 0,
        (again, Some(last)) => {
            let doubled =
                2_u64.saturating_pow(u32::try_from(again - 1).unwrap_or(u32::MAX).min(10));
            last.saturating_add(pause.saturating_mul(doubled))
        }
    }
}

/// How many todos directly wait for `id`.
fn waiting_for(state: &State, id: TodoId) -> usize {
    let blocks = |&source: &TodoId| {
        let mut edges = state.edges(source).iter();
        edges.any(|e| e.on == id && e.kind.blocks() && e.kind != EdgeKind::WaitsForAny)
    };
    state.dependents(id).filter(blocks).count()
}

/// How often `agent` tried `id` in vain: failed, or claimed done what was not.
pub fn tries(state: &State, id: TodoId, agent: &str) -> usize {
    state.todo(id).map_or(0, |todo| {
        let failed = todo.failures.iter().filter(|failure| &*failure.agent == agent).count();
        let refused = todo.completions.iter().filter(|c| &*c.agent == agent && c.void.is_some());
        failed + refused.count()
    })
}

/// How often anybody tried `id` in vain.
pub fn all_tries(state: &State, id: TodoId) -> usize {
    state.todo(id).map_or(0, |todo| {
        todo.failures.len() + todo.completions.iter().filter(|c| c.void.is_some()).count()
    })
}

/// Whether `agent` should leave `id` to an active implementer who has tried it less.
fn should_pass(state: &State, id: TodoId, agent: &str) -> bool {
    let own = tries(state, id, agent);
    if own < TRIES_PER_AGENT {
        return false;
    }
    let mut others = state.team.agents.iter().filter(|(name, other)| {
        &***name != agent && other.active && other.role == Role::Implementer
    });
    others.any(|(name, _)| tries(state, id, name) < own)
}

/// What is left for implementers at one moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outlook {
    /// Everything is finished.
    Done,
    /// Something may become ready: others are at work, or a retry is due later.
    Wait,
    /// Nothing is ready, and nobody is at anything that could change that.
    Stuck,
}

/// What is left at `now`.
pub fn outlook(state: &State, readiness: &Readiness, now: Millis, pause: Millis) -> Outlook {
    let mut left = state.todos.values().filter(|todo| !todo.finished()).peekable();
    if left.peek().is_none() {
        return Outlook::Done;
    }
    let moving = left.any(|todo| {
        // What a person claims to have done, a person has to verify.
        let ours = todo.pending_completion().is_none_or(|c| c.to_integrate && c.commit.is_some());
        (ours && todo.holder(now).is_some())
            || not_before(todo, pause) > now
            || todo.failures.last().is_some_and(|f| f.retry_at > Some(now))
    });
    if moving || !readiness.ready.is_empty() { Outlook::Wait } else { Outlook::Stuck }
}
