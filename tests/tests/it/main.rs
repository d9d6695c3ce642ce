//! Each torture, short, in a process of its own, as a person runs it. A failure prints the seed.
//! And what every relay between stores has to do.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod relays;

use std::path::PathBuf;
use std::process::{Command, Output};
use std::sync::OnceLock;

/// The binary `tress` beside the harness. It belongs to another package, so nobody has built it for
/// us where only this one is tested.
fn tress() -> PathBuf {
    static BUILT: OnceLock<PathBuf> = OnceLock::new();
    let built = BUILT.get_or_init(|| {
        let path = PathBuf::from(env!("CARGO_BIN_EXE_torture")).with_file_name("tress");
        if !path.exists() {
            let mut cargo = Command::new(env!("CARGO"));
            cargo.args(["build", "--quiet", "--locked", "--package", "tress-cli"]);
            if !cfg!(debug_assertions) {
                cargo.arg("--release");
            }
            assert!(cargo.status().expect("cargo runs").success(), "tress cannot be built");
        }
        path
    });
    built.clone()
}

fn torture(args: &[&str]) -> (Output, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_torture"));
    let output = command.args(args).arg("--tress").arg(tress()).output().expect("it runs");
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    println!("{said}{}", String::from_utf8_lossy(&output.stderr));
    (output, said)
}

/// What it said, if it broke nothing.
#[track_caller]
fn holds(args: &[&str]) -> String {
    let (output, said) = torture(args);
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{args:?}: {}\n{said}{errors}", output.status);
    said
}

#[test]
fn what_was_acknowledged_is_there_when_writers_are_killed() {
    let said = holds(&["kill", "--rounds", "12", "--processes", "4", "--keep", "6"]);
    assert!(said.contains("torture kill: 12 rounds, 48 writers, "), "{said}");
}

#[test]
fn what_was_acknowledged_is_there_when_many_commands_run_at_once_and_some_are_killed() {
    let said = holds(&["storm", "--processes", "8", "--commands", "10"]);
    assert!(said.contains("acknowledged writes are there; "), "{said}");
}

#[test]
fn what_was_acknowledged_is_there_when_the_power_is_cut() {
    let said = holds(&["power", "--rounds", "2", "--processes", "3"]);
    assert!(said.contains("skipped: ") || said.contains("torture power: 2 cuts; "), "{said}");
}

/// A harness that cannot find anything proves nothing: writers that leave out every sync lose what
/// they acknowledged, and it says so.
#[test]
fn writers_that_do_not_sync_are_found_out() {
    let (output, said) = torture(&["power", "--rounds", "5", "--processes", "2", "--careless"]);
    if said.contains("skipped: ") {
        return;
    }
    let errors = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{said}{errors}");
    assert!(errors.contains("VIOLATION: ") && errors.contains("failed with --seed "), "{errors}");
}

#[test]
fn what_was_replicated_is_there_when_the_primary_dies() {
    let said = holds(&["database", "--events", "1200", "--nodes", "3"]);
    assert!(said.contains("skipped: ") || said.contains("the same root; all "), "{said}");
}

#[test]
fn what_was_replicated_is_there_when_all_servers_die() {
    let said = holds(&["database", "--events", "1200", "--nodes", "3", "--all"]);
    assert!(said.contains("skipped: ") || said.contains("the same root; all "), "{said}");
}
