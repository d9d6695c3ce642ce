//! The orchestrator on real repositories, with agents that are shell commands.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod branch;
#[cfg(target_os = "linux")]
mod escaped;
mod lost;
mod reconcile;
mod steward;
mod team;
mod verifier;

use std::path::Path;
use std::process::Command;

use tress_run::Tree;
use tress_run::git::Signature;

/// A git command, by itself.
fn git(dir: &Path, args: &[&str]) -> String {
    let output = Command::new("git").current_dir(dir).args(args).output().unwrap();
    assert!(output.status.success(), "git {args:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

/// A repository with one commit.
async fn repository(dir: &Path) -> Tree {
    std::fs::write(dir.join("README.md"), "# Sample\n").unwrap();
    std::fs::write(dir.join(".gitignore"), "/.tress\n").unwrap();
    Tree::create(dir, &Signature { name: "test".to_owned() }, "first").await.unwrap()
}
