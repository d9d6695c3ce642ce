//! `init` and `runs`: stores and the runs in them.

use std::path::Path;

use clap::Args;
use serde::Serialize;
use tress::Store;

use super::git_merge::{Registered, Repository};
use crate::context::Context;
use crate::failure::Failure;
use crate::output::{Cell, Tone};
use crate::time::{ago, rfc3339};
use crate::words::count;

/// Make a store here, with a run
#[derive(Debug, Args)]
#[command(after_help = "\
The store is the directory `.tress`. It can be kept in git; what must not travel is ignored.
With --git, git merges beads files and run files with `tress merge-file` from then on: what is
missing is added to .gitattributes and to the repository's git config, and shown.

Examples:
  tress init
  tress init --dir ../elsewhere
  tress init --run experiment             another run in the same store
  tress init --git                        and no more merge conflicts in .beads/issues.jsonl")]
pub(crate) struct Init {
    /// Make a store here although there is one in a directory above
    #[arg(long)]
    nested: bool,
    /// Make Tress git's merge driver for beads files and run files in this repository
    #[arg(long)]
    git: bool,
}

/// List the runs of the store
#[derive(Debug, Args)]
pub(crate) struct Runs {}

#[derive(Serialize)]
struct Initialised {
    dir: String,
    run: String,
    /// Whether there was no store before.
    created: bool,
    /// Whether there was no such run before.
    run_created: bool,
    /// What was written for git, where that was asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    git: Option<Registered>,
}

/// Refuses a directory for a store below another store: which of them a command meant would depend on where
/// it is called. `run` is the run that was asked for.
fn none_above(dir: &Path, run: Option<&str>) -> Result<(), Failure> {
    // The directory may be yet to be made.
    let dir = std::path::absolute(dir).unwrap_or_else(|_| dir.to_owned());
    let there = dir.ancestors().skip(1).find(|dir| dir.is_dir());
    let there = there.and_then(|dir| dir.canonicalize().ok());
    let Some(above) = there.and_then(|dir| Store::discover(&dir)) else { return Ok(()) };
    let above = above.display();
    let use_it = match run {
        None => "every command here uses it".to_owned(),
        Some(run) => format!("`tress init --dir {above} --run {run}` makes the run there"),
    };
    Err(Failure::conflict(format!("there is a store above: {above}"))
        .hint(format!("{use_it}; `tress init --nested` makes another store here")))
}

/// Does `init`.
pub(crate) async fn init(context: &Context, args: &Init) -> Result<(), Failure> {
    context.no_at()?;
    let dir = context.new_dir()?;
    // First of all, so that nothing is made where there is no repository.
    let repository = args.git.then(|| Repository::of(&dir)).transpose()?;
    let created = !dir.join("store").is_file();
    if created && !args.nested {
        none_above(&dir, context.given.run.as_deref())?;
    }
    let store = Store::create(&dir)?;
    let run = &context.global.run;
    let run_created = !store.runs()?.contains(run);
    store.create_run(run).await?;
    let git = repository.map(|repository| repository.register()).transpose()?;
    let (dir, run) = (dir.display().to_string(), run.clone());
    let done = Initialised { dir, run, created, run_created, git };
    context.out.answer(&done, || {
        let (place, run) = (&done.dir, &done.run);
        let made = match (created, run_created) {
            (true, _) => format!(
                "made a store in {place} with the run {run}\nnext: tress add \"what is to be done\""
            ),
            (false, true) => format!("made the run {run}; there was a store in {place} already"),
            (false, false) => format!("there is a store in {place} already, with the run {run}"),
        };
        match &done.git {
            Some(git) => format!("{made}\n{}", git.text()),
            None => made,
        }
    })
}

#[derive(Serialize)]
struct RunRow {
    run: String,
    /// The run that it branched off.
    from: Option<String>,
    title: String,
    phase: tress::state::Phase,
    events: u64,
    todos: usize,
    open: usize,
    agents: usize,
    last_event_at: Option<String>,
    #[serde(skip)]
    last: Option<tress::Millis>,
}

/// Does `runs`.
pub(crate) async fn runs(context: &Context) -> Result<(), Failure> {
    context.no_at()?;
    let store = context.store()?;
    let mut rows = Vec::new();
    for name in store.runs()? {
        let opening = store.run(&name);
        let run = context.out.waiting("reading the runs", opening).await?;
        let state = run.state();
        let alive = || state.todos.values().filter(|todo| todo.deletion().is_none());
        let last = state.last.map(|last| last.time.millis);
        let from = run.origin().await?.map(|origin| origin.from.clone());
        rows.push(RunRow {
            run: name,
            from,
            title: state.team.title.clone(),
            phase: state.team.phase,
            events: state.events(),
            todos: alive().count(),
            open: alive().filter(|todo| !todo.finished()).count(),
            agents: state.team.agents.len(),
            last_event_at: last.map(rfc3339),
            last,
        });
    }
    context.out.answer(&rows, || {
        let now = tress::now();
        let cells = rows.iter().map(|row| {
            let last = row.last.map_or("-".to_owned(), |at| ago(at, now));
            vec![
                row.run.as_str().into(),
                Cell::toned(row.from.as_deref().unwrap_or("-"), Tone::Dim),
                row.open.to_string().into(),
                row.todos.to_string().into(),
                row.events.to_string().into(),
                row.agents.to_string().into(),
                Cell::toned(last, Tone::Dim),
                row.title.as_str().into(),
            ]
        });
        let header = ["RUN", "FROM", "OPEN", "TODOS", "EVENTS", "AGENTS", "LAST", "TITLE"];
        let table = context.out.table(&header, &[7], cells);
        format!("{table}\n\n{}", count(rows.len(), "run"))
    })
}
