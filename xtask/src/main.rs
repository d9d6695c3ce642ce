//! The workspace's own commands: `cargo xtask tidy` (the house rules that a program can check),
//! `cargo xtask deps` (which crate may know what), `cargo xtask bench` (the benchmarks) and
//! `cargo xtask sim` (the simulator).

mod deps;
mod tidy;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

const HELP: &str = "\
usage: cargo xtask COMMAND

  tidy   check the house rules that a program can check
  deps   check that each crate knows only what it may know
  bench [--json FILE] [FIGURES]
         measure, in a release build; FIGURES is the beginning of their names
  sim [--seed N] [OPTIONS]
         play simulated worlds, in a release build; see `cargo xtask sim --help`";

/// The root of the workspace.
fn root() -> PathBuf {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.parent().unwrap_or(here).to_owned()
}

/// Builds a package for release and runs it with the arguments behind the command.
fn release(package: &str) -> ExitCode {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let run = ["run", "--release", "--quiet", "--locked", "--package", package, "--"];
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
    match command.as_deref() {
        Some("bench") => return release("tress-bench"),
        Some("sim") => return release("tress-sim"),
        _ => {}
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
