//! The benchmarks: realistic histories, and how long things take on them. Run by `cargo xtask
//! bench [--json FILE] [FILTER]`; docs/BENCHMARKS.md says what each figure means.
//!
//! A goal that is missed is a figure that says so, not a failure: the program fails only where
//! something could not be measured.

mod disk;
mod fold;
mod guard;
mod hub;
mod late;
mod memory;
mod moment;
mod paths;
mod work;

use std::path::PathBuf;
use std::process::ExitCode;

use tress_bench::figure::{self, Figure};
use tress_bench::history::{self, History};
use tress_bench::{EVENTS, Failure, SEED};
use tress_engine::Log;

use crate::disk::Disk;

/// How many events come from the replica that was away.
const LATE: usize = 10_000;
/// What every bench starts from.
pub(crate) struct Ground {
    pub(crate) history: History,
    /// The whole run in memory, without the late replica.
    pub(crate) log: Log,
    /// The same in a store on disk, with the snapshots that a process makes as the run goes.
    pub(crate) disk: Disk,
    pub(crate) runtime: tokio::runtime::Runtime,
}

type Bench = fn(&Ground) -> Result<Vec<Figure>, Failure>;
type Alone = fn() -> Result<Vec<Figure>, Failure>;

/// Those that make what they measure themselves.
const ALONE: [(&str, Alone); 4] = [
    ("work/memory", work::measure_memory),
    ("work/durable", work::measure_durable),
    ("work/concurrent", work::measure_concurrent),
    ("work/growth", work::measure_growth),
];

/// Every other bench, by the beginning of its figures' names.
const BENCHES: [(&str, Bench); 9] = [
    ("hub", hub::measure_all),
    ("fold", fold::measure_all),
    ("history/moment", moment::measure_all),
    ("history/late", late::measure_all),
    ("history/memory", memory::measure_all),
    ("paths", paths::measure_all),
    ("replay/select", fold::measure_select),
    ("undo", fold::measure_undo),
    ("sync", |ground| tress_bench::sync::measure_all(&ground.history, &ground.log)),
];

pub(crate) fn runtime() -> Result<tokio::runtime::Runtime, Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.map_err(Failure::other)
}

fn ground() -> Result<Ground, Failure> {
    let runtime = runtime()?;
    eprintln!("making a history of {EVENTS} events");
    let history = history::make(EVENTS, LATE, SEED)?;
    let mut log = Log::new();
    log.admit_all(history.segments.clone(), None);
    eprintln!("writing it to disk");
    let disk = runtime.block_on(Disk::make(&history.segments))?;
    Ok(Ground { history, log, disk, runtime })
}

fn run(filter: &str, quick: bool, json: Option<PathBuf>) -> Result<(), Failure> {
    let chosen = |name: &str| name.contains(filter) || filter.starts_with(name);
    let mut figures = Vec::new();
    for (name, bench) in ALONE.into_iter().filter(|(name, _)| chosen(name)) {
        eprintln!("{name}");
        figures.extend(bench()?);
    }
    let mut made = None;
    for (name, bench) in BENCHES.into_iter().filter(|(name, _)| !quick && chosen(name)) {
        let ground = match &made {
            Some(ground) => ground,
            None => made.insert(ground()?),
        };
        eprintln!("{name}");
        figures.extend(bench(ground)?);
    }
    tell(&figures, json)
}

/// Measures what a change must not spoil; an error where it does.
fn keep_guard(json: Option<PathBuf>) -> Result<(), Failure> {
    let figures = guard::measure_all()?;
    tell(&figures, json)?;
    match figures.iter().find(|figure| figure.met() == Some(false)) {
        Some(figure) => Err(Failure::Other(format!("{} is over its bound", figure.name()))),
        None => Ok(()),
    }
}

fn tell(figures: &[Figure], json: Option<PathBuf>) -> Result<(), Failure> {
    println!("{}", figure::to_table(figures));
    if let Some(path) = json {
        // What others measured before is not ours to keep.
        let _ = std::fs::remove_file(&path);
        figure::add_to_json(&path, figures)?;
    }
    Ok(())
}

fn main() -> ExitCode {
    let (mut filter, mut json, mut svg) = (String::new(), None, None::<PathBuf>);
    let (mut quick, mut guard) = (false, false);
    let mut arguments = std::env::args().skip(1);
    while let Some(argument) = arguments.next() {
        match argument.as_str() {
            "--json" => json = arguments.next().map(PathBuf::from),
            memory::CHILD => {
                let kind = arguments.next().unwrap_or_default();
                let file = arguments.next().unwrap_or_default();
                return memory::child(&kind, file.as_ref());
            }
            "--quick" => quick = true,
            "--guard" => guard = true,
            "--svg" => svg = arguments.next().map(PathBuf::from),
            hub::CHILD => return hub::child(arguments.next().unwrap_or_default().as_ref()),
            _ => filter = argument,
        }
    }
    let ran = match svg {
        _ if guard => keep_guard(json),
        Some(svg) => work::draw_growth(&svg).and_then(|figures| tell(&figures, json)),
        None => run(&filter, quick, json),
    };
    match ran {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}
