//! `replay`: a run again from its first event, in the store or out of a file.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use clap::Args;
use serde::Serialize;
use tress::{CheckpointCheck, Event, Item, Log, Millis, State, StoreError, When};

use super::log::{EventView, events, sentence};
use crate::context::Context;
use crate::failure::Failure;
use crate::time::{clock, length, parse_when, rfc3339};
use crate::words::{count, short};

/// Replay a run from its first event, or a .tressrun file without any store
#[derive(Debug, Args)]
#[command(after_help = "\
With --check every checkpoint is recomputed; where one comes out differently, the exit code is 6.

Examples:
  tress replay --check
  tress export run monday.tressrun && tress replay monday.tressrun --check
  tress replay monday.tressrun --step | less
  tress replay monday.tressrun --at before-refactor")]
pub(crate) struct Replay {
    /// A run file (default: the run of the store)
    file: Option<PathBuf>,
    /// Recompute every checkpoint
    #[arg(long)]
    check: bool,
    /// Tell every event, in order
    #[arg(long)]
    step: bool,
}

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
    /// Each event, where they were to be told.
    #[serde(skip_serializing_if = "Option::is_none")]
    steps: Option<Vec<EventView>>,
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

/// What to do about a file that is not whole.
const AGAIN: &str = "export the run again from a store that is whole";

/// What there is to tell.
struct Told {
    run: String,
    state: Arc<State>,
    now: Millis,
    events: Vec<Arc<Event>>,
    checks: Option<Vec<CheckpointCheck>>,
}

/// Does `replay`.
pub(crate) async fn run(context: &Context, args: &Replay) -> Result<(), Failure> {
    let told = match &args.file {
        Some(file) => from_file(context, file, args.check)?,
        None => from_store(context, args.check).await?,
    };
    let differs = told.checks.iter().flatten().filter(|check| check.differs()).count();
    let replayed = replayed(&told, args.step);
    if differs > 0 && context.out.json() {
        return Err(differing(&told, differs).details(&replayed));
    }
    context.out.answer(&replayed, || text(&told, &replayed, args.step))?;
    if differs > 0 { Err(differing(&told, differs)) } else { Ok(()) }
}

fn differing(told: &Told, differs: usize) -> Failure {
    let names = told.checks.iter().flatten().filter(|check| check.differs());
    let names = names.map(|check| short(&check.name, 60)).collect::<Vec<_>>().join(", ");
    Failure::damaged(format!("{} did not come out as taken: {names}", count(differs, "checkpoint")))
        .hint("an event is missing or is not what was written; `tress fsck` looks for it")
}

async fn from_store(context: &Context, check: bool) -> Result<Told, Failure> {
    let moment = context.moment().await?;
    let events = events(context, &moment).await?;
    let checks = if check {
        let checking = moment.run.check();
        Some(context.out.waiting("recomputing the checkpoints", checking).await?)
    } else {
        None
    };
    let run = moment.run.name().to_owned();
    Ok(Told { run, state: moment.state, now: moment.now, events, checks })
}

fn from_file(context: &Context, file: &Path, check: bool) -> Result<Told, Failure> {
    let bytes = std::fs::read(file).map_err(|error| Failure::file("read", file, &error))?;
    let (run, items) = tress::decode_run_file(file, &bytes).map_err(|error| match error {
        StoreError::Damaged(damage) if damage.reason.contains("not a run file") => {
            Failure::invalid(format!("{}: {}", damage.path.display(), damage.reason))
                .hint("`tress export run FILE` makes run files")
        }
        other => Failure::from(other).hint(AGAIN),
    })?;
    let segments = items.into_iter().filter_map(Item::into_segment);
    let mut log = Log::new();
    let admission = log.admit_all(segments, None);
    let place = file.display();
    if let Some((_, reason)) = admission.rejected.first() {
        return Err(Failure::damaged(format!("{place}: {reason}")).hint(AGAIN));
    }
    if admission.waiting > 0 {
        let waiting = count(admission.waiting, "stretch");
        let message = format!("{place}: {waiting} of events wait for events that are not in it");
        return Err(
            Failure::damaged(message).hint("export the run again from a store that is whole")
        );
    }
    let when = context.global.at.as_deref().map(|at| parse_when(at, tress::now()));
    let version = match &when {
        Some(when) => log.version_at(when).map_err(tress::Error::from)?,
        None => log.version().clone(),
    };
    let state = log.state_at(&version).map_err(tress::Error::from)?;
    let last = state.last.map(|last| last.time.millis).unwrap_or_default();
    let now = if let Some(When::Time(time)) = when { time } else { last };
    let known = log.events().iter().filter(|event| version.contains(event.dot));
    let events = known.cloned().collect();
    let checks = check.then(|| log.check_checkpoints());
    Ok(Told { run, state, now, events, checks })
}

fn replayed(told: &Told, step: bool) -> Replayed {
    let (state, now) = (&told.state, told.now);
    let readiness = state.readiness(now);
    let mut agents = BTreeMap::new();
    for event in &told.events {
        *agents.entry(event.author.name.to_string()).or_default() += 1;
    }
    let mut todos = BTreeMap::new();
    for todo in state.todos.values() {
        *todos.entry(state.status(todo, &readiness, now).name()).or_default() += 1;
    }
    let first = told.events.iter().map(|event| event.moment()).min();
    let last = told.events.iter().map(|event| event.moment()).max();
    let steps = told.events.iter().map(|event| EventView::new(event, state, now));
    Replayed {
        run: told.run.clone(),
        events: told.events.len(),
        agents,
        first_event_at: first.map(rfc3339),
        last_event_at: last.map(rfc3339),
        span_ms: last.unwrap_or(0).saturating_sub(first.unwrap_or(0)),
        todos,
        conflicts: state.ledger.len() as u64 + state.ledger_cut,
        root: state.root().to_string(),
        version: state.version.to_string(),
        checkpoints: told.checks.as_ref().map(|checks| checks.iter().map(Into::into).collect()),
        steps: step.then(|| steps.collect()),
    }
}

fn text(told: &Told, replayed: &Replayed, step: bool) -> String {
    let now = tress::now();
    let mut lines = Vec::new();
    if step {
        lines.extend(told.events.iter().map(|event| sentence(&told.state, event, now)));
        lines.push(String::new());
    }
    let moments = || told.events.iter().map(|event| event.moment());
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
    let todos = replayed.todos.iter().map(|(status, n)| format!("{n} {status}"));
    let todos = todos.collect::<Vec<_>>().join(", ");
    let facts = [
        ("run", told.run.clone()),
        ("events", replayed.events.to_string()),
        ("agents", format!("{}: {agents}{more}", replayed.agents.len())),
        ("span", span),
        ("todos", if todos.is_empty() { "none".to_owned() } else { todos }),
        ("conflicts", replayed.conflicts.to_string()),
        ("root", replayed.root.clone()),
    ];
    lines.extend(facts.iter().map(|(name, value)| format!("{name:<12} {value}")));
    for check in replayed.checkpoints.iter().flatten() {
        let verdict = match (check.holds, check.comparable) {
            (true, _) => "holds",
            (false, true) => "DIFFERS",
            (false, false) => "was taken by another version, and does not compare",
        };
        let (name, events) = (short(&check.name, 60), count(check.events, "event"));
        lines.push(format!("{:<12} {name} ({events}): {verdict}", "checkpoint"));
    }
    if replayed.checkpoints.as_ref().is_some_and(Vec::is_empty) {
        lines.push("there are no checkpoints to recompute".to_owned());
    }
    lines.join("\n")
}
