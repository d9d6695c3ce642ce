//! `stats`: a run in figures.

use std::collections::BTreeMap;
use std::path::Path;

use clap::Args;
use serde::Serialize;

use crate::context::Context;
use crate::failure::Failure;
use crate::time::rfc3339;
use crate::words::count;

/// Show a run in figures
#[derive(Debug, Args)]
#[command(after_help = "\
Two stores that have the same events have the same root, in whatever order they came.

Example:
  tress stats --json | jq -r .data.root")]
pub(crate) struct Stats {}

#[derive(Serialize)]
struct Figures {
    run: String,
    root: String,
    version: String,
    events: u64,
    replicas: usize,
    /// By status; only those that occur.
    todos: BTreeMap<&'static str, usize>,
    ready: usize,
    agents: usize,
    checkpoints: usize,
    conflicts: u64,
    first_event_at: Option<String>,
    last_event_at: Option<String>,
    /// Bytes on disk: of the run's journals and snapshots, and of the documents of all runs.
    bytes: Bytes,
}

#[derive(Serialize)]
struct Bytes {
    total: u64,
    journals: u64,
    snapshots: u64,
    documents: u64,
}

/// The bytes of all files in `dir` and below.
fn bytes(dir: &Path) -> u64 {
    let Ok(entries) = std::fs::read_dir(dir) else { return 0 };
    let sizes = entries.flatten().map(|entry| match entry.metadata() {
        Ok(metadata) if metadata.is_dir() => bytes(&entry.path()),
        Ok(metadata) => metadata.len(),
        Err(_) => 0,
    });
    sizes.sum()
}

/// Does `stats`.
pub(crate) async fn run(context: &Context) -> Result<(), Failure> {
    let moment = context.moment().await?;
    let (state, now) = (&moment.state, moment.now);
    let dir = context.dir()?;
    let run_dir = dir.join("runs").join(moment.run.name());
    let mut todos = BTreeMap::new();
    for todo in state.todos.values() {
        *todos.entry(state.status(todo, &moment.readiness, now).name()).or_default() += 1;
    }
    let figures = Figures {
        run: moment.run.name().to_owned(),
        root: state.root().to_string(),
        version: state.version.to_string(),
        events: state.events(),
        replicas: state.version.len(),
        todos,
        ready: moment.readiness.ready.len(),
        agents: state.team.agents.len(),
        checkpoints: state.team.checkpoints.len(),
        conflicts: state.ledger.len() as u64 + state.ledger_cut,
        first_event_at: state.team.agents.values().map(|agent| agent.since).min().map(rfc3339),
        last_event_at: state.last.map(|last| rfc3339(last.time.millis)),
        bytes: Bytes {
            total: bytes(&dir),
            journals: bytes(&run_dir.join("journals")),
            snapshots: bytes(&run_dir.join("snapshots")),
            documents: bytes(&dir.join("documents")),
        },
    };
    context.out.answer(&figures, || text(&figures))
}

fn text(figures: &Figures) -> String {
    let todos = figures.todos.iter().map(|(status, number)| format!("{number} {status}"));
    let todos = todos.collect::<Vec<_>>().join(", ");
    let total: usize = figures.todos.values().sum();
    let todos = if total == 0 { "none".to_owned() } else { format!("{total}: {todos}") };
    let bytes = &figures.bytes;
    let lines = [
        ("run", figures.run.clone()),
        ("root", figures.root.clone()),
        ("version", figures.version.clone()),
        ("events", format!("{} by {}", figures.events, count(figures.replicas, "replica"))),
        ("todos", todos),
        ("ready", figures.ready.to_string()),
        ("agents", figures.agents.to_string()),
        ("checkpoints", figures.checkpoints.to_string()),
        ("conflicts", figures.conflicts.to_string()),
        (
            "on disk",
            format!(
                "{} (journals {}, snapshots {}, documents {})",
                size(bytes.total),
                size(bytes.journals),
                size(bytes.snapshots),
                size(bytes.documents)
            ),
        ),
    ];
    let lines = lines.iter().map(|(name, value)| format!("{name:<12} {value}"));
    lines.collect::<Vec<_>>().join("\n")
}

/// A number of bytes for people.
pub(super) fn size(bytes: u64) -> String {
    const KILO: u64 = 1024;
    const MEGA: u64 = KILO * KILO;
    match bytes {
        0..KILO => format!("{bytes} B"),
        KILO..MEGA => format!("{} KiB", bytes / KILO),
        _ => format!("{} MiB", bytes / MEGA),
    }
}
