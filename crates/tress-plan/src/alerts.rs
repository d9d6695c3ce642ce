//! Alerts: what needs somebody's attention, raised once, raised again when it got worse, cleared
//! when it is over.

use std::collections::{BTreeMap, BTreeSet};

use tress_model::operation::{Operation, Severity};
use tress_model::state::Waiting;
use tress_model::state::todo::Todo;
use tress_model::{Millis, State, TodoId};

use crate::metrics::Figures;
use crate::outlook;
use crate::strategy::Threshold;

/// More failed verifications than this are an alert.
pub const VERIFICATION: Threshold = Threshold { enter: 0.2, leave: 0.1 };
/// A velocity below this share of the history is an alert, until it is above the second.
pub const VELOCITY: (f64, f64) = (0.8, 0.9);
/// A budget of which this share is used up is an alert, before it is used up.
pub const BUDGET_WARNING: f64 = 0.8;
/// So many verifications there have to be.
const VERIFICATIONS_MIN: u64 = 5;

/// What a run may use up, and what is expected of it.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Limits {
    /// Tokens.
    pub tokens: Option<f64>,
    /// Money, in US dollars.
    pub usd: Option<f64>,
    /// Time at work, in seconds.
    pub seconds: Option<f64>,
    /// Completed todos an hour in earlier runs, where they are known.
    pub velocity: Option<f64>,
    /// An agent that has been silent for so long while it holds a claim is blocked, in
    /// milliseconds; `None` leaves that to the leases.
    pub silent_ms: Option<Millis>,
}

impl Limits {
    /// The limits that the run's settings name: `budget_tokens`, `budget_usd`, `budget_seconds`,
    /// `expected_velocity`, `silent_ms`.
    pub fn of(state: &State) -> Self {
        let number = |name: &str| {
            let value = state.team.settings.get(name)?.parse::<f64>().ok()?;
            Some(value).filter(|value| value.is_finite() && *value > 0.0)
        };
        Self {
            tokens: number("budget_tokens"),
            usd: number("budget_usd"),
            seconds: number("budget_seconds"),
            velocity: number("expected_velocity"),
            silent_ms: number("silent_ms").map(|ms| ms as Millis),
        }
    }

    /// How much of each budget is used up: its unit, what was used, what there was.
    pub fn used(&self, state: &State, figures: &Figures) -> Vec<(&'static str, f64, f64)> {
        let spent = |unit: &str| state.team.budget.get(unit).copied().unwrap_or(0.0);
        let time = figures.elapsed as f64 / 1000.0;
        let budgets = [
            ("tokens", spent("tokens"), self.tokens),
            ("usd", spent("usd"), self.usd),
            ("seconds", time, self.seconds),
        ];
        budgets.into_iter().filter_map(|(unit, used, all)| Some((unit, used, all?))).collect()
    }

    /// The unit of a budget that is used up: nothing new is to be started.
    pub fn exhausted(&self, state: &State, figures: &Figures) -> Option<&'static str> {
        let used = self.used(state, figures).into_iter();
        used.filter(|(_, used, all)| used >= all).map(|(unit, _, _)| unit).next()
    }
}

/// What is the matter, by the key of its alert.
type Matters = BTreeMap<String, (Severity, String, Option<TodoId>)>;

/// The kinds of alert that are raised and cleared here.
const OWN: [&str; 7] =
    ["blocked:", "silent:", NOBODY_CAN, "circle:", "lost-claims:", "budget:", "figure:"];
/// How the keys of alerts about todos begin that no active implementer can do.
const NOBODY_CAN: &str = "nobody-can:";

/// Whether it is still to be said of a todo that no active implementer can do it: a team that finds
/// nothing else to do leaves only after that.
pub fn unsaid(state: &State, now: Millis) -> bool {
    outlook::unable(state, &state.readiness(now)).into_iter().any(|(id, _)| {
        let held = state.todo(id).and_then(|todo| state.team.alerts.get(&key("nobody-can", todo)));
        held.is_none_or(|alert| alert.cleared_at.is_some())
    })
}

/// What is to be said about alerts at `now`: raised where something is newly the matter or got
/// worse, cleared where it is over. An alert that somebody acknowledged is not raised again.
pub fn due(state: &State, figures: &Figures, limits: &Limits, now: Millis) -> Vec<Operation> {
    let mut matters = Matters::new();
    blocked(state, limits, now, &mut matters);
    circles(state, &mut matters);
    measured(state, figures, limits, now, &mut matters);
    budgets(state, figures, limits, &mut matters);
    let open = state.team.alerts.iter().filter(|(_, alert)| alert.cleared_at.is_none());
    let nobody_is_there = !outlook::implementers(state).any(|_| true);
    let over = open.filter(|(key, alert)| {
        // Where no implementer is active nobody can say whether one could do it.
        let todo = alert.todo.and_then(|id| state.todo(id));
        let stands = key.starts_with(NOBODY_CAN)
            && nobody_is_there
            && todo.is_some_and(|todo| !todo.finished());
        OWN.iter().any(|own| key.starts_with(own)) && !matters.contains_key(*key) && !stands
    });
    let mut operations: Vec<Operation> =
        over.map(|(key, _)| Operation::AlertCleared { alert: key.clone() }).collect();
    for (alert, (priority, message, todo)) in matters {
        let held = state.team.alerts.get(&alert).filter(|held| held.cleared_at.is_none());
        let known =
            held.is_some_and(|held| held.acknowledged_by.is_some() || held.priority >= priority);
        if !known {
            operations.push(Operation::AlertRaised { alert, priority, message, todo });
        }
    }
    operations
}

/// Todos with something in the way, agents that went silent, todos that nobody can do.
fn blocked(state: &State, limits: &Limits, now: Millis, matters: &mut Matters) {
    let open = state.team.alerts.iter().filter(|(_, alert)| alert.cleared_at.is_none());
    let escalated = open.filter(|(key, _)| key.starts_with("escalated:"));
    let escalated: BTreeSet<TodoId> = escalated.filter_map(|(_, alert)| alert.todo).collect();
    for todo in state.todos.unfinished() {
        // What was escalated with an alert of its own is not said twice.
        let blocker = todo.open_blockers().next();
        if let Some(blocker) = blocker.filter(|_| !escalated.contains(&todo.id)) {
            let escalated = blocker.escalated.is_some();
            let priority = if escalated { Severity::Critical } else { Severity::High };
            let message =
                format!("{} is blocked at {}: {}", blocker.agent, todo.name(), blocker.description);
            matters.insert(key("blocked", todo), (priority, message, Some(todo.id)));
        }
        let silent = limits.silent_ms.zip(todo.holder(now)).filter(|(bound, claim)| {
            let reviewed = todo.pending_completion().is_some() || todo.verified().is_some();
            let seen = state.team.agents.get(&claim.agent).map_or(claim.at, |a| a.last_seen);
            !reviewed && now.saturating_sub(seen) > *bound
        });
        // Nobody has heard of it since its lease, and nobody has taken over yet.
        let lapsed = todo.claim.as_deref().filter(|claim| !claim.holds(now));
        if let Some(claim) = lapsed.filter(|_| todo.holder(now).is_none()) {
            let message = format!(
                "{} claimed {} and let the lease end without a word: it is open again",
                claim.agent,
                todo.name()
            );
            matters.insert(key("silent", todo), (Severity::Medium, message, Some(todo.id)));
        }
        if let Some((bound, claim)) = silent {
            let message = format!(
                "{} holds {} and has said nothing for more than {} s",
                claim.agent,
                todo.name(),
                bound / 1000
            );
            matters.insert(key("silent", todo), (Severity::High, message, Some(todo.id)));
        }
    }
    for (id, needs) in outlook::unable(state, &state.readiness(now)) {
        let Some(todo) = state.todo(id) else { continue };
        let message = format!(
            "{} needs an agent that can do {}, and none is active: start one, or change the todo",
            todo.name(),
            needs.join(", ")
        );
        matters.insert(key("nobody-can", todo), (Severity::High, message, Some(id)));
    }
}

/// Todos that wait for each other: nobody can ever do any of them.
fn circles(state: &State, matters: &mut Matters) {
    for circle in state.circles() {
        let first = circle.first().and_then(|first| state.todo(first.todo));
        let Some(todo) = first else { continue };
        let way = Waiting::round(&circle, |id| state.name(id));
        let message = format!(
            "{} waits for itself: {way}; `tress dep rm ID ON` takes one of the edges away",
            todo.name()
        );
        matters.insert(key("circle", todo), (Severity::High, message, Some(todo.id)));
    }
}

/// Figures that are worse than they may be.
fn measured(state: &State, figures: &Figures, limits: &Limits, now: Millis, matters: &mut Matters) {
    let is_open =
        |key: &str| state.team.alerts.get(key).is_some_and(|alert| alert.cleared_at.is_none());
    let failures = figures.verification_failure_rate;
    let failing = "figure:verification-failures";
    let bound = if is_open(failing) { VERIFICATION.leave } else { VERIFICATION.enter };
    if figures.verifications >= VERIFICATIONS_MIN && failures > bound {
        let message = format!(
            "{failures:.2} of the last {} verifications failed (bound {})",
            figures.verifications, VERIFICATION.enter
        );
        let grave = failures > 2.0 * VERIFICATION.enter;
        let priority = if grave { Severity::High } else { Severity::Medium };
        matters.insert(failing.to_owned(), (priority, message, None));
    }
    let slow = "figure:velocity";
    let share = if is_open(slow) { VELOCITY.1 } else { VELOCITY.0 };
    // At the end of a run there is too little to do for everybody, and that is well.
    let agents = state.team.agents.values().filter(|agent| agent.active).count();
    let plenty = || state.readiness(now).ready.len() >= agents.max(1);
    if let Some(history) = limits.velocity.or(figures.history_velocity)
        && figures.completed >= crate::metrics::COMPLETIONS as u64
        && figures.velocity < share * history
        && plenty()
    {
        let message = format!(
            "{:.1} todos an hour over the last {} completed, below {} of {history:.1} before",
            figures.velocity, figures.window, VELOCITY.0
        );
        matters.insert(slow.to_owned(), (Severity::Medium, message, None));
    }
    for name in state.team.agents.keys() {
        let lost = state.losses(name).filter(|entry| entry.rule == tress_model::Rule::FirstClaim);
        let lost = lost.count();
        if lost > 0 {
            let message = format!("{name} lost {lost} claims and has not been told");
            matters.insert(format!("lost-claims:{name}"), (Severity::Low, message, None));
        }
    }
}

fn budgets(state: &State, figures: &Figures, limits: &Limits, matters: &mut Matters) {
    for (unit, used, all) in limits.used(state, figures) {
        let (priority, how) = if used >= all {
            (Severity::Critical, "is used up")
        } else if used >= BUDGET_WARNING * all {
            (Severity::Medium, "is nearly used up")
        } else {
            continue;
        };
        let message = format!("the budget of {unit} {how}: {used:.2} of {all:.2}");
        matters.insert(format!("budget:{unit}"), (priority, message, None));
    }
}

/// The key of an alert about a todo: it does not change when others come.
fn key(kind: &str, todo: &Todo) -> String {
    format!("{kind}:{}", todo.name())
}
