//! What a replay came to.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::Serialize;
use tress::{CheckpointCheck, Event, Millis, State};

use super::play::{Played, StepView};
use super::source::Source;
use super::told_of;
use crate::context::Context;
use crate::failure::Failure;
use crate::time::{clock, length, rfc3339};
use crate::words::{count, short};

#[derive(Serialize)]
struct Replayed {
    run: String,
    events: usize,
    agents: BTreeMap<String, usize>,
    first_event_at: Option<String>,
    last_event_at: Option<String>,
    span_ms: Millis,
    todos: BTreeMap<&'static str, usize>,
    conflicts: u64,
    root: String,
    version: String,
    /// Each checkpoint, where they were to be recomputed.
    #[serde(skip_serializing_if = "Option::is_none")]
    checkpoints: Option<Vec<Check>>,
    /// What restricts the steps, in words.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    filters: Vec<String>,
    /// Each event that was to be told.
    #[serde(skip_serializing_if = "Option::is_none")]
    steps: Option<Vec<StepView>>,
}

#[derive(Serialize)]
struct Check {
    name: String,
    events: u64,
    holds: bool,
    comparable: bool,
    recorded: String,
    recomputed: Option<String>,
}

impl From<&CheckpointCheck> for Check {
    fn from(check: &CheckpointCheck) -> Self {
        Self {
            name: check.name.clone(),
            events: check.events,
            holds: check.holds(),
            comparable: check.comparable,
            recorded: check.recorded.to_string(),
            recomputed: check.recomputed.map(|root| root.to_string()),
        }
    }
}

/// What there is to sum up.
pub(super) struct Told<'a> {
    source: &'a Source,
    filters: &'a [String],
    state: &'a State,
    now: Millis,
    events: &'a [Arc<Event>],
    /// Whether somebody ended it before its end.
    stopped: bool,
    /// How many events were told.
    told: Option<usize>,
    /// The events that were to be told, for scripts.
    pub(super) steps: Option<Vec<StepView>>,
}

impl<'a> Told<'a> {
    /// All of it.
    pub(super) fn whole(source: &'a Source, filters: &'a [String]) -> Self {
        Self {
            source,
            filters,
            state: &source.state,
            now: source.now,
            events: &source.events,
            stopped: false,
            told: None,
            steps: None,
        }
    }

    /// What was played, which is all of it unless somebody ended it.
    pub(super) fn played(source: &'a Source, filters: &'a [String], played: &'a Played) -> Self {
        let whole = Self { told: Some(played.told), ..Self::whole(source, filters) };
        if !played.stopped {
            return whole;
        }
        let events = source.events.get(..played.folded).unwrap_or_default();
        let now = events.last().map_or(0, |event| event.time.millis);
        Self { state: &played.state, now, events, stopped: true, ..whole }
    }

    /// Answers; a checkpoint that came out differently is a failure.
    pub(super) fn answer(self, context: &Context) -> Result<(), Failure> {
        let source = self.source;
        let differs = source.checks.iter().flatten().filter(|check| check.differs()).count();
        let (told, stopped) = (self.told, self.stopped);
        let replayed = self.replayed();
        if differs > 0 && context.out.json() {
            return Err(differing(source, differs).details(&replayed));
        }
        context.out.answer(&replayed, || text(source, &replayed, told, stopped))?;
        if differs > 0 { Err(differing(source, differs)) } else { Ok(()) }
    }

    fn replayed(self) -> Replayed {
        let (state, now) = (self.state, self.now);
        let readiness = state.readiness(now);
        let mut agents = BTreeMap::new();
        for event in self.events {
            *agents.entry(event.author.name.to_string()).or_default() += 1;
        }
        let mut todos = BTreeMap::new();
        for todo in state.todos.values() {
            *todos.entry(state.status(todo, &readiness, now).name()).or_default() += 1;
        }
        let first = self.events.iter().map(|event| event.moment()).min();
        let last = self.events.iter().map(|event| event.moment()).max();
        let checks = self.source.checks.as_ref();
        Replayed {
            run: self.source.run.clone(),
            events: self.events.len(),
            agents,
            first_event_at: first.map(rfc3339),
            last_event_at: last.map(rfc3339),
            span_ms: last.unwrap_or(0).saturating_sub(first.unwrap_or(0)),
            todos,
            conflicts: state.ledger.len() as u64 + state.ledger_cut,
            root: state.root().to_string(),
            version: state.version.to_string(),
            checkpoints: checks.map(|checks| checks.iter().map(Into::into).collect()),
            filters: self.filters.to_vec(),
            steps: self.steps,
        }
    }
}

fn differing(source: &Source, differs: usize) -> Failure {
    let names = source.checks.iter().flatten().filter(|check| check.differs());
    let names = names.map(|check| short(&check.name, 60)).collect::<Vec<_>>().join(", ");
    Failure::damaged(format!("{} did not come out as taken: {names}", count(differs, "checkpoint")))
        .hint("an event is missing or is not what was written; `tress fsck` looks for it")
}

fn text(source: &Source, replayed: &Replayed, told: Option<usize>, stopped: bool) -> String {
    let now = tress::now();
    let events = source.events.get(..replayed.events).unwrap_or_default();
    let moments = || events.iter().map(|event| event.moment());
    let span = match (moments().min(), moments().max()) {
        (Some(first), Some(last)) => {
            let length = length(last.saturating_sub(first));
            format!("{} to {} ({length})", clock(first, now), clock(last, now))
        }
        _ => "nothing happened".to_owned(),
    };
    let agents = replayed.agents.iter().take(8).map(|(name, n)| format!("{} {n}", short(name, 40)));
    let more = if replayed.agents.len() > 8 { " …" } else { "" };
    let agents = agents.collect::<Vec<_>>().join(", ");
    let agents = match replayed.agents.len() {
        0 => "none".to_owned(),
        number => format!("{number}: {agents}{more}"),
    };
    let todos = replayed.todos.iter().map(|(status, n)| format!("{n} {status}"));
    let todos = todos.collect::<Vec<_>>().join(", ");
    let of = if stopped { format!(" of {}", source.events.len()) } else { String::new() };
    let told = told.filter(|told| *told < replayed.events);
    let told = told.map(|told| told_of(told, replayed.events, &replayed.filters));
    let facts = [
        ("run", Some(short(&source.run, 64))),
        ("events", Some(format!("{}{of}", replayed.events))),
        ("told", told),
        ("agents", Some(agents)),
        ("span", Some(span)),
        ("todos", Some(if todos.is_empty() { "none".to_owned() } else { todos })),
        ("conflicts", Some(replayed.conflicts.to_string())),
        ("root", Some(replayed.root.clone())),
    ];
    let facts = facts.into_iter().filter_map(|(name, value)| Some((name, value?)));
    let mut lines: Vec<String> = facts.map(|(name, value)| format!("{name:<12} {value}")).collect();
    for check in replayed.checkpoints.iter().flatten() {
        let verdict = match (check.holds, check.comparable) {
            (true, _) => "holds",
            (false, true) => "DIFFERS",
            (false, false) => "is of a state that does not come out here, and does not compare",
        };
        let (name, events) = (short(&check.name, 60), count(check.events, "event"));
        lines.push(format!("{:<12} {name} ({events}): {verdict}", "checkpoint"));
    }
    if replayed.checkpoints.as_ref().is_some_and(Vec::is_empty) {
        lines.push("there are no checkpoints to recompute".to_owned());
    }
    lines.join("\n")
}
