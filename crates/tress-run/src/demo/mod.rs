//! The demo: a small project, and scripted agents that do its todo list as agents do: with real
//! edits in real work trees, one stub that is claimed to be done, one crash, and two who want the
//! same file.

mod agent;

use std::path::Path;

pub use agent::act;

use crate::git::{GitError, Signature, Tree};

/// The design of the sample project.
pub const DESIGN: &str = include_str!("../../demo/DESIGN.md");
/// Its todo list.
pub const TODO: &str = include_str!("../../demo/TODO.md");

/// The sample project as the agents find it.
const BASE: [(&str, &str); 17] = [
    ("Cargo.toml", include_str!("../../demo/base/Cargo.toml.txt")),
    ("Cargo.lock", include_str!("../../demo/base/Cargo.lock.txt")),
    (".gitignore", "/target\n/.tress\n"),
    ("README.md", include_str!("../../demo/base/README.md")),
    ("DESIGN.md", DESIGN),
    ("TODO.md", TODO),
    ("src/lib.rs", include_str!("../../demo/base/src/lib.rs")),
    ("src/words.rs", include_str!("../../demo/base/src/words.rs")),
    ("src/count.rs", include_str!("../../demo/base/src/count.rs")),
    ("src/stop.rs", include_str!("../../demo/base/src/stop.rs")),
    ("src/report.rs", include_str!("../../demo/base/src/report.rs")),
    ("src/main.rs", include_str!("../../demo/base/src/main.rs")),
    ("tests/words.rs", include_str!("../../demo/base/tests/words.rs")),
    ("tests/count.rs", include_str!("../../demo/base/tests/count.rs")),
    ("tests/stop.rs", include_str!("../../demo/base/tests/stop.rs")),
    ("tests/table.rs", include_str!("../../demo/base/tests/table.rs")),
    ("tests/json.rs", include_str!("../../demo/base/tests/json.rs")),
];
const CLI_TEST: (&str, &str) = ("tests/cli.rs", include_str!("../../demo/base/tests/cli.rs"));

/// Makes the sample project in `dir`, which is empty or not there, as a git repository with one
/// commit.
///
/// # Errors
/// When a file cannot be written, or git fails.
pub async fn create(dir: &Path) -> Result<Tree, GitError> {
    let written = write(dir);
    written.map_err(|error| GitError::Failed {
        command: format!("(writing the sample project to {})", dir.display()),
        message: error.to_string(),
    })?;
    let by = Signature { name: "tress demo".to_owned() };
    Tree::create(dir, &by, "The sample project: signatures, tests, and nothing behind them").await
}

fn write(dir: &Path) -> std::io::Result<()> {
    for (name, text) in BASE.into_iter().chain([CLI_TEST]) {
        let path = dir.join(name);
        if let Some(parent) = path.parent() {
            std::fs::create_dir_all(parent)?;
        }
        std::fs::write(path, text)?;
    }
    Ok(())
}
