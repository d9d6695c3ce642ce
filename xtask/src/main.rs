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
  bench [--quick] [--json FILE] [FIGURES]
         measure, in a release build; FIGURES is the beginning of their names, `--quick` measures what each
         event costs and nothing else
  bench --guard
         measure the ratios that a change must keep, and fail where one is over its bound
  bench --svg FILE [--json FILE]
         measure how costs grow, up to a million events, and draw it
  sim [--seed N] [OPTIONS]
         play simulated worlds, in a release build; see `cargo xtask sim --help`";

/// The root of the workspace.
fn root() -> PathBuf {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.parent().unwrap_or(here).to_owned()
}

/// Builds a package for release and runs it with the arguments behind the command; whether that went
/// well.
fn release(which: &[&str]) -> bool {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = std::process::Command::new(cargo);
    command.args(["run", "--release", "--quiet", "--locked"]).args(which);
    match command.arg("--").args(std::env::args_os().skip(2)).status() {
        Ok(status) => status.success(),
        Err(error) => {
            eprintln!("error: cargo cannot be run: {error}");
            false
        }
    }
}

fn exit(well: bool) -> ExitCode {
    if well { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn main() -> ExitCode {
    let command = std::env::args().nth(1);
    match command.as_deref() {
        Some("bench") => {
            let ours = release(&["--package", "tress-bench"]);
            let alone = std::env::args()
                .any(|argument| matches!(&*argument, "--quick" | "--svg" | "--guard"));
            if alone {
                return exit(ours);
            }
            // The rest are held against rivals, which nobody else compiles.
            let manifest = root().join("benches/rivals/Cargo.toml").display().to_string();
            let target = root().join("target").display().to_string();
            let rivals = ["--manifest-path", &manifest, "--target-dir", &target];
            return exit(ours && release(&rivals));
        }
        Some("sim") => return exit(release(&["--package", "tress-sim"])),
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
