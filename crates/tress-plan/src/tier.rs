//! Tiers: how many agents a todo list is for, and what they begin with.

use tress_model::{Millis, State, TodoId};

use crate::select::{Board, Candidate, Terms};
use crate::strategy::Strategy;

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

/// The most implementers of one run.
pub const IMPLEMENTERS_MAX: u32 = 1024;

/// The name of the `number`th implementer, from 1.
pub fn implementer(number: u32) -> String {
    format!("implementer-{number}")
}

/// Whether `name` is that of an implementer of an orchestrated team.
pub fn is_implementer(name: &str) -> bool {
    let number = name.strip_prefix("implementer-");
    number.is_some_and(|number| number.parse::<u32>().is_ok())
}

/// Plans the distribution of what is left to do at `now`. `scale` overrides the number of
/// implementers; without it the setting `implementers` does, which `tress optimize` learns from
/// earlier runs; without that the number of todos decides.
pub fn plan(state: &State, now: Millis, scale: Option<u32>) -> Plan {
    let left = state.todos.unfinished().filter(|todo| !todo.ephemeral).count();
    let (tier, coordinators, why) = match left {
        0..5 => (1, 0, "fewer than 5 todos: one implementer"),
        5..15 => (3, 0, "fewer than 15 todos: three implementers"),
        15..30 => (5, 0, "fewer than 30 todos: five implementers"),
        _ => (8, 2, "30 todos or more: eight implementers and two coordinators"),
    };
    let learned = state.team.settings.get("implementers");
    let learned = learned.and_then(|value| value.parse::<u32>().ok()).filter(|&size| size > 0);
    let counted = |size: u32| count(size.max(1) as usize, "implementer");
    let (implementers, why) = match (scale, learned) {
        (Some(scale), _) => (scale, format!("{}, as asked for", counted(scale))),
        (None, Some(size)) => (size, format!("{}, by the setting `implementers`", counted(size))),
        (None, None) => (tier, why.to_owned()),
    };
    let implementers = implementers.clamp(1, IMPLEMENTERS_MAX);
    let assignments = first(state, now, implementers);
    let summary = format!("{} left; {why}", count(left, "todo"));
    Plan { implementers, coordinators, summary, assignments }
}

/// `1 todo`, `2 todos`.
fn count(number: usize, one: &str) -> String {
    format!("{number} {one}{}", if number == 1 { "" } else { "s" })
}

/// What the implementers begin with. Who they are is not known yet, so what they can do is not
/// looked at.
fn first(state: &State, now: Millis, implementers: u32) -> Vec<(String, TodoId)> {
    let strategy = Strategy { batch: 1, ..Strategy::starting(implementers) };
    let terms = Terms { seed: 0, pause_ms: 0, strategy };
    let mut board = Board::new(state, now);
    let mut assignments = Vec::new();
    for number in 1..=implementers {
        let name = implementer(number);
        let candidate = Candidate::generalist(&name);
        let Some(choice) = board.choose(&candidate, &terms) else { break };
        board.reserve(&name, choice.todo, &choice.scope);
        assignments.push((name, choice.todo));
    }
    assignments
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_is_counted_as_one() {
        let summary = |scale| plan(&State::default(), 0, Some(scale)).summary;
        assert_eq!(summary(1), "0 todos left; 1 implementer, as asked for");
        assert_eq!(summary(2), "0 todos left; 2 implementers, as asked for");
    }
}
