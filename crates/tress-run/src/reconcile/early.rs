//! Early warning: two agents at work where their work is about to collide with the design. Pure.

use std::collections::BTreeMap;
use std::sync::Arc;

use tress::operation::Severity;
use tress::{Millis, Operation, State, Todo};
use tress_inspect::architecture::{Clause, Part, Violation};
use tress_plan::scope;

use super::EARLY_ALERT;
use super::examine::{Examined, rules_of};

/// Of more todos at work than this, only the first are compared with each other.
pub const AT_WORK_MAX: usize = 256;

/// One warning: its key, how urgent it is, and what it says.
type Warnings = BTreeMap<String, (Severity, String, tress::TodoId)>;

/// Alerts to raise where two agents hold scopes on both sides of a `forbid`, of a `require` that is
/// not met, or of an open violation; and alerts to clear where they do no more. None where all is
/// said. `examined` is what is known of the newest commit, where one was looked at.
pub fn early(state: &State, examined: Option<&Examined>, now: Millis) -> Vec<Operation> {
    let warnings = warnings(state, examined, now);
    let mut operations = Vec::new();
    for (key, alert) in &state.team.alerts {
        let open = alert.cleared_at.is_none() && key.starts_with(EARLY_ALERT);
        if open && !warnings.contains_key(key) {
            operations.push(Operation::AlertCleared { alert: key.clone() });
        }
    }
    for (alert, (priority, message, todo)) in warnings {
        let held = state.team.alerts.get(&alert);
        if held.is_none_or(|held| held.cleared_at.is_some()) {
            let todo = Some(todo);
            operations.push(Operation::AlertRaised { alert, priority, message, todo });
        }
    }
    operations
}

/// A todo that somebody is at, with the files that it is about.
struct AtWork<'s> {
    todo: &'s Arc<Todo>,
    agent: &'s str,
    scope: &'s [String],
}

fn at_work(state: &State, now: Millis) -> Vec<AtWork<'_>> {
    let held = state.todos.unfinished().filter_map(|todo| {
        let claim = todo.holder(now)?;
        let scope = if claim.scope.is_empty() { &todo.files } else { &claim.scope };
        (!scope.is_empty()).then_some(AtWork { todo, agent: &claim.agent, scope })
    });
    held.take(AT_WORK_MAX).collect()
}

fn globs(part: &Part) -> Vec<String> {
    let files = part.patterns.iter().filter(|pattern| !pattern.is_package());
    files.map(|pattern| pattern.written().to_owned()).collect()
}

/// Two sides that must not, or must, come together, and why that is known.
struct Joint {
    rule: String,
    from: Vec<String>,
    to: Vec<String>,
    why: String,
}

fn joints(state: &State, examined: Option<&Examined>) -> Vec<Joint> {
    let (rules, _) = rules_of(state);
    let open: &[Violation] = examined.map(|e| &*e.report.violations).unwrap_or_default();
    let missing = |rule: &str, from: &str, to: &str| {
        open.iter().any(|v| v.rule == rule && v.from == from && v.to == to)
    };
    let mut joints = Vec::new();
    for (statement, from, to) in rules.pairs() {
        let why = match &statement.clause {
            Clause::Forbid(..) => {
                format!("{} must not import {}", from.written, to.written)
            }
            _ if missing(&statement.rule, &from.written, &to.written) => {
                format!("{} must come to import {}", from.written, to.written)
            }
            _ => continue,
        };
        let rule = statement.rule.clone();
        joints.push(Joint { rule, from: globs(from), to: globs(to), why });
    }
    for violation in open.iter().filter(|violation| violation.line > 0) {
        joints.push(Joint {
            rule: violation.rule.clone(),
            from: vec![violation.from.clone()],
            to: vec![violation.to.clone()],
            why: format!("{} imports {} against it", violation.from, violation.to),
        });
    }
    joints
}

fn warnings(state: &State, examined: Option<&Examined>, now: Millis) -> Warnings {
    let at_work = at_work(state, now);
    let mut found = Warnings::new();
    for Joint { rule, from, to, why } in joints(state, examined) {
        let touching = |globs: &[String]| -> Vec<&AtWork<'_>> {
            at_work.iter().filter(|work| scope::overlap(work.scope, globs)).collect()
        };
        let importing = touching(&from);
        if importing.is_empty() {
            continue;
        }
        let imported = touching(&to);
        for left in &importing {
            for right in &imported {
                // Who holds both sides needs no other to make a mistake, and none to be warned of.
                let both = importing.iter().any(|work| work.todo.id == right.todo.id)
                    && imported.iter().any(|work| work.todo.id == left.todo.id);
                if left.agent == right.agent || left.todo.id == right.todo.id || both {
                    continue;
                }
                let name = |work: &AtWork<'_>| state.name(work.todo.id);
                let key = format!("{EARLY_ALERT}{rule}:{}+{}", left.todo.id, right.todo.id);
                let message = format!(
                    "{} ({}) and {} ({}) are about to meet at the rule {rule}: {why}; let them \
                     agree before they go on",
                    name(left),
                    left.agent,
                    name(right),
                    right.agent,
                );
                let held = state.design.rules.get(&rule);
                let priority = held.map_or(Severity::Medium, |rule| rule.criticality);
                found.entry(key).or_insert((priority, message, left.todo.id));
            }
        }
    }
    found
}
