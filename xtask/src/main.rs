//! The workspace's own commands: `cargo xtask tidy` (the house rules that a program can check),
//! `cargo xtask deps` (which crate may know what) and `cargo xtask bench` (the benchmarks).

mod deps;
mod tidy;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

const HELP: &str = "\
usage: cargo xtask COMMAND

  tidy   check the house rules that a program can check
  deps   check that each crate knows only what it may know
  bench [--json FILE] [FIGURES]
         measure, in a release build; FIGURES is the beginning of their names";

/// The root of the workspace.
fn root() -> PathBuf {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.parent().unwrap_or(here).to_owned()
}

/// Builds the benchmarks for release and runs them with the arguments behind `bench`.
fn bench() -> ExitCode {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let run = ["run", "--release", "--quiet", "--locked", "--package", "tress-bench", "--"];
    let status =
        std::process::Command::new(cargo).args(run).args(std::env::args_os().skip(2)).status();
    match status {
        Ok(status) if status.success() => ExitCode::SUCCESS,
        Ok(_) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("error: cargo cannot be run: {error}");
            ExitCode::FAILURE
        }
    }
}

fn main() -> ExitCode {
    let command = std::env::args().nth(1);
    if command.as_deref() == Some("bench") {
        return bench();
    }
    let found = match command.as_deref() {
        Some("tidy") => tidy::check(&root()),
        Some("deps") => deps::check(&root()),
        _ => {
            println!("{HELP}");
            return ExitCode::from(2);
        }
    };
    match found {
        Ok(problems) if problems.is_empty() => {
            println!("{}: nothing to complain of", command.unwrap_or_default());
            ExitCode::SUCCESS
        }
        Ok(problems) => {
            problems.iter().for_each(|problem| eprintln!("{problem}"));
            eprintln!("{} problems", problems.len());
            ExitCode::FAILURE
        }
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}
