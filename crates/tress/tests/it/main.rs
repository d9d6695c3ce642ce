//! What the embeddable engine promises.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod damage;
mod documents;
mod edits;
mod faults;
mod members;
mod partial;
mod paths;
mod repo;
mod resealed;
mod runs;
mod seals;
mod sync;
mod told;

use std::path::Path;

use tress::{Agent, Role, Run, Store};

/// Opens the run `main` of the store in `dir` as another process would.
async fn open(dir: &Path) -> Run {
    Store::create(dir.join(".tress")).unwrap().create_run("main").await.unwrap()
}

fn human(run: &Run) -> Agent {
    run.agent("ada", Role::Human)
}

/// How much is tried: `long` where `TRESS_LONG` is set, else `short`.
fn tried(short: usize, long: usize) -> usize {
    if std::env::var_os("TRESS_LONG").is_some() { long } else { short }
}
