//! Which crate may know what: the direction of the workspace, read from `cargo tree`.

use std::path::Path;
use std::process::Command;

/// A crate, and what must be nowhere below it.
const FORBIDDEN: [(&str, &[&str]); 8] = [
    ("tress-model", &["automerge", "sled", "tokio", "clap", "tress-engine", "tress-store"]),
    ("tress-engine", &["automerge", "sled", "tokio", "clap", "tress-documents", "tress-store"]),
    ("tress-documents", &["sled", "tokio", "clap", "tress-engine", "tress-store"]),
    ("tress-store", &["automerge", "tokio", "clap", "tress-engine", "tress-documents"]),
    ("tress-plan", &["automerge", "sled", "tokio", "clap", "tress-engine", "tress-store", "tress"]),
    ("tress-inspect", &["automerge", "sled", "tokio", "clap", "tress-model", "tress"]),
    ("tress", &["clap", "tress-run", "indicatif", "comfy-table"]),
    ("tress-run", &["clap", "tress-cli", "indicatif", "comfy-table"]),
];

/// A crate outside, and the only member that may depend on it directly.
const ONLY: [(&str, &str); 4] = [
    ("automerge", "tress-documents"),
    ("sled", "tress-store"),
    ("bincode", "tress-model"),
    ("ast-grep-core", "tress-inspect"),
];

fn tree(root: &Path, args: &[&str]) -> Result<String, String> {
    let output = Command::new(env!("CARGO"))
        .current_dir(root)
        .args(["tree", "--edges", "normal", "--prefix", "none", "--format", "{p}", "--locked"])
        .args(args)
        .output()
        .map_err(|error| format!("cargo tree cannot be run: {error}"))?;
    if !output.status.success() {
        return Err(format!("cargo tree failed: {}", String::from_utf8_lossy(&output.stderr)));
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// Names in a `cargo tree` listing.
fn names(listing: &str) -> Vec<&str> {
    listing.lines().filter_map(|line| line.split_whitespace().next()).collect()
}

/// Every crate that knows what it must not.
pub(crate) fn check(root: &Path) -> Result<Vec<String>, String> {
    let mut problems = Vec::new();
    for (member, forbidden) in FORBIDDEN {
        let listing = tree(root, &["--package", member])?;
        let known = names(&listing);
        for name in forbidden.iter().filter(|name| known.contains(name)) {
            problems.push(format!("{member} must not know {name}"));
        }
    }
    for (name, only) in ONLY {
        let listing = tree(root, &["--workspace", "--invert", name, "--depth", "1"])?;
        for member in names(&listing).into_iter().skip(1) {
            let ours = member.starts_with("tress") || member == "xtask";
            if ours && member != only {
                problems.push(format!("only {only} may depend on {name}, and {member} does"));
            }
        }
    }
    Ok(problems)
}
