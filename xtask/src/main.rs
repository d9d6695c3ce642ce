//! The workspace's own checks: `cargo xtask tidy` (the house rules that a program can check) and
//! `cargo xtask deps` (which crate may know what).

mod deps;
mod tidy;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

const HELP: &str = "\
usage: cargo xtask COMMAND

  tidy   check the house rules that a program can check
  deps   check that each crate knows only what it may know";

/// The root of the workspace.
fn root() -> PathBuf {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.parent().unwrap_or(here).to_owned()
}

fn main() -> ExitCode {
    let command = std::env::args().nth(1);
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
