//! The same work, done by Tress and by others, one after the other in one process. Run by
//! `cargo xtask bench`; docs/BENCHMARKS.md says what each figure means.

mod automerge_sync;
mod work;

use std::path::PathBuf;
use std::process::ExitCode;

use tress_bench::figure::{self, Figure};
use tress_bench::{Failure, history};

/// What is measured, by the beginning of its figures' names.
type Bench = fn(&history::History) -> Result<Vec<Figure>, Failure>;
const BENCHES: [(&str, Bench); 3] = [
    ("rivals/sync", automerge_sync::measure_all),
    ("rivals/events/memory", work::measure_memory),
    ("rivals/events/durable", work::measure_durable),
];

fn run(filter: &str, json: Option<PathBuf>) -> Result<(), Failure> {
    let chosen = BENCHES.iter().filter(|(name, _)| name.contains(filter));
    let chosen: Vec<_> = chosen.collect();
    if chosen.is_empty() {
        return Ok(());
    }
    let history = history::make(tress_bench::EVENTS, 1, tress_bench::SEED)?;
    let mut figures = Vec::new();
    for (name, bench) in chosen {
        eprintln!("{name}");
        figures.extend(bench(&history)?);
    }
    println!("{}", figure::to_table(&figures));
    if let Some(path) = json {
        figure::add_to_json(&path, &figures)?;
    }
    Ok(())
}

fn main() -> ExitCode {
    let (mut filter, mut json) = (String::new(), None);
    let mut arguments = std::env::args().skip(1);
    while let Some(argument) = arguments.next() {
        match argument.as_str() {
            "--json" => json = arguments.next().map(PathBuf::from),
            _ => filter = argument,
        }
    }
    match run(&filter, json) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}
