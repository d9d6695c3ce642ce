//! What a log keeps in memory and on disk besides its events.
//!
//! Memory is the resident memory of fresh processes: one that has the run open as any process does that asks
//! what is ready, one that has looked at all of each todo besides, one that holds a log of the whole history with its
//! marks, one that holds the same events and the same state and nothing else.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::{Command, ExitCode};
use std::sync::Arc;

use tress::{Item, ReplicaId, RunFile, Segment, State};
use tress_engine::Log;
use tress_model::event::Head;

use crate::{Failure, Ground};
use tress_bench::durable::RUN;
use tress_bench::figure::Figure;

/// The argument that makes the program one of those processes.
pub(crate) const CHILD: &str = "--memory";

/// Resident memory of this process, in bytes; `None` where the system does not say.
fn resident() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("RssAnon:"))?;
    let kilobytes: u64 = line.trim().strip_suffix(" kB")?.parse().ok()?;
    Some(kilobytes * 1024)
}

/// Reads a run file or opens a store, holds what `kind` says, and prints how much memory that takes.
pub(crate) fn child(kind: &str, file: &Path) -> ExitCode {
    let Ok(held) = hold(kind, file) else { return ExitCode::FAILURE };
    let resident = resident().unwrap_or(0);
    println!("{resident}");
    drop(held);
    ExitCode::SUCCESS
}

/// What a process holds; all of it stays until it is measured.
#[expect(dead_code, reason = "it is held, not looked at")]
enum Held {
    Run(tress::Run),
    Log(Box<Log>),
    Plain(Vec<Arc<tress::Event>>, Arc<State>),
}

fn hold(kind: &str, file: &Path) -> Result<Held, Failure> {
    if kind == "open" || kind == "seen" || kind == "held" {
        let runtime = crate::runtime()?;
        let store = tress::Store::open(file).map_err(Failure::other)?.in_place();
        let run = runtime.block_on(store.run(RUN)).map_err(Failure::other)?;
        if kind == "held" {
            runtime.block_on(run.seal()).map_err(Failure::other)?;
            return Ok(Held::Run(run));
        }
        let state = run.state();
        std::hint::black_box(state.readiness(tress::now()));
        if kind == "seen" {
            // To encode a todo is to look at all of it.
            let seen =
                |todo: &Arc<tress::Todo>| serde_json::to_string(&**todo).map(|text| text.len());
            let seen: Result<Vec<_>, _> = state.todos.values().map(seen).collect();
            std::hint::black_box(seen.map_err(Failure::other)?);
        }
        return Ok(Held::Run(run));
    }
    let bytes = std::fs::read(file).map_err(Failure::other)?;
    let run = tress::decode_run_file(file, &bytes).map_err(Failure::other)?;
    drop(bytes);
    let segments: Vec<Segment> =
        run.items.into_iter().filter_map(tress::Item::into_segment).collect();
    match kind {
        "log" => {
            let mut log = Log::new();
            log.admit_all(segments, None);
            Ok(Held::Log(Box::new(log)))
        }
        "plain" => plain(segments),
        _ => Err(Failure::History("no such process")),
    }
}

/// The events and the state that a log of them has, and nothing else.
fn plain(segments: Vec<Segment>) -> Result<Held, Failure> {
    let mut heads: BTreeMap<ReplicaId, Head> = BTreeMap::new();
    let mut events = Vec::new();
    for segment in segments {
        let replica = segment.replica;
        let head = heads.remove(&replica).unwrap_or_else(|| Head::genesis(segment.store));
        let (fresh, head) = segment.resolve(&head).map_err(Failure::other)?;
        heads.insert(replica, head);
        events.extend(fresh);
    }
    events.sort_by_key(|event| event.order());
    let mut state = State::default();
    events.iter().for_each(|event| state.apply(event));
    Ok(Held::Plain(events, Arc::new(state)))
}

/// How much memory a fresh process has that holds what `kind` says, in bytes.
fn ask(kind: &str, file: &Path) -> Result<f64, Failure> {
    let program = std::env::current_exe().map_err(Failure::other)?;
    let output = Command::new(program).arg(CHILD).arg(kind).arg(file).output();
    let output = output.map_err(Failure::other)?;
    let text = String::from_utf8_lossy(&output.stdout);
    let bytes = text.trim().parse().ok().filter(|_| output.status.success());
    bytes.ok_or(Failure::History("a process that measures memory failed"))
}

/// What a process holds for each of so many events that has the run in `store` open and asked what is ready, and
/// one that looked at each todo besides.
pub(crate) fn open(store: &Path, events: usize) -> Result<Vec<Figure>, Failure> {
    let figure = |kind| Ok(each(kind, store, events)?.below(100.0));
    ["open", "seen"].into_iter().map(figure).collect()
}

/// What a process holds for each of so many events that has sealed the run in `store`, as long as it holds its documents.
pub(crate) fn sealed(store: &Path, events: usize) -> Result<Figure, Failure> {
    each("held", store, events)
}

fn each(kind: &str, store: &Path, events: usize) -> Result<Figure, Failure> {
    let held = ask(kind, store)? / events as f64;
    Ok(Figure::new(format!("work/memory/{kind}/{events}"), held, "B/event"))
}

fn in_memory(ground: &Ground) -> Result<Vec<Figure>, Failure> {
    let events = ground.log.events().len() as f64;
    let items = ground.history.segments.iter().cloned().map(Item::from).collect();
    let run = RunFile { run: RUN.to_owned(), origin: None, items };
    let bytes = tress::encode_run_file(&run).map_err(Failure::other)?;
    let dir = tempfile::TempDir::new().map_err(Failure::other)?;
    let file = dir.path().join("run.tressrun");
    std::fs::write(&file, &bytes).map_err(Failure::other)?;
    let (log, plain) = (ask("log", &file)?, ask("plain", &file)?);
    if log == 0.0 {
        eprintln!("the system does not say how much memory a process has");
        return Ok(Vec::new());
    }
    let marks = Figure::new("history/memory/marks", (log - plain) / events, "B/event");
    let whole = Figure::new("history/memory/log", log / events, "B/event");
    let marks = marks.against("events and state alone", plain / events);
    Ok(vec![whole, marks.below(plain / events)])
}

fn on_disk(ground: &Ground) -> Result<Vec<Figure>, Failure> {
    let events = ground.log.events().len() as f64;
    let dir = ground.disk.run_dir(RUN);
    let (files, snapshots) = tress_bench::size(&dir.join("snapshots")).map_err(Failure::other)?;
    // The history comes in as events of other replicas do.
    let (_, journals) = tress_bench::size(&dir.join("received")).map_err(Failure::other)?;
    let (snapshots, journals) = (snapshots as f64, journals as f64);
    let figure = Figure::new("history/memory/snapshots", snapshots / events, "B/event");
    Ok(vec![
        Figure::new("history/memory/journals", journals / events, "B/event"),
        figure.against("the journals", journals / events).below(2.0 * journals / events),
        // One for each binary digit of the events, and the newest two.
        Figure::new("history/memory/snapshot_files", files as f64, "files")
            .below(events.log2() + 3.0),
    ])
}

pub(crate) fn measure_all(ground: &Ground) -> Result<Vec<Figure>, Failure> {
    let mut figures = in_memory(ground)?;
    figures.extend(on_disk(ground)?);
    Ok(figures)
}
