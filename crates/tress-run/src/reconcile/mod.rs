//! The design reconciler: holds each commit against the design, and decides what is done about what
//! deviates.
//!
//! Everything but reading git is pure: [`examine`] says what deviates, [`matrix`] decides,
//! [`reconcile`] makes operations of it, [`early()`] warns before it happens. The same state and the
//! same commit give the same operations, and none the second time. docs/RECONCILING.md tells the
//! whole.

pub mod adr;
mod early;
mod examine;
pub mod matrix;
mod record;

pub use early::{AT_WORK_MAX, early};
pub use examine::{Examined, Finding, Seen, examine, has_baseline, rules_of};
pub use record::{COMPLIANCE, FOUND_MAX, LABEL, LABEL_LATER, accept, reconcile};

use std::sync::Arc;

use tress::state::design::Deviation;
use tress::{Dot, Event, Operation, Refused, Role, Run, State, TodoId, now};
use tress_inspect::imports::graph::text_counts;
use tress_inspect::imports::{FILE_BYTES_MAX, GraphBuilder};

use crate::git::{GitError, Tree};

/// The name of the agent that reconciles.
pub const RECONCILER: &str = "reconciler";
/// What the keys of its alerts about deviations begin with.
pub const DEVIATION_ALERT: &str = "deviation:";
/// What the keys of its alerts about rules that do not work begin with.
pub const RULE_ALERT: &str = "rule:";
/// What the keys of its early warnings begin with.
pub const EARLY_ALERT: &str = "early:";
/// How many bytes of blobs are read from git at once.
const CHUNK_BYTES: u64 = 8 << 20;
/// One pass finds, one decides, one settles what the decisions settled; after that nothing is new,
/// unless others write meanwhile, or [`FOUND_MAX`] cut a pass.
const PASSES_MAX: usize = 64;

/// The todo that follows from a deviation. Two who decide it at once mean the same todo.
pub fn follow_up(deviation: Dot) -> TodoId {
    TodoId::from_external(&format!("deviation {deviation}"))
}

/// The key of the alert that stands while a deviation waits for its fix. The same violation, come
/// again, is another deviation and has another alert.
pub fn alert_key(deviation: &Deviation) -> String {
    format!("{DEVIATION_ALERT}{}:{}", deviation.about, follow_up(deviation.dot))
}

/// Reads the files of `commit` and sees who imports whom. Where the commit is the work on a todo,
/// `change` is that todo and the commit before it: only what the change touched is the todo's.
///
/// # Errors
/// When git fails.
pub async fn see(
    tree: &Tree,
    commit: &str,
    change: Option<(TodoId, &str)>,
) -> Result<Seen, GitError> {
    let change = match change {
        Some((todo, base)) => {
            let files = tree.changed(base, commit).await?;
            Some((todo, files.into_iter().collect()))
        }
        None => None,
    };
    let mut builder = GraphBuilder::default();
    let mut chunk = Vec::new();
    let mut bytes = 0;
    for file in tree.files(commit).await? {
        if !text_counts(&file.path) || file.size > FILE_BYTES_MAX as u64 {
            builder.add(&file.path, "");
            continue;
        }
        bytes += file.size;
        chunk.push(file);
        if bytes >= CHUNK_BYTES {
            read(tree, &mut builder, &mut chunk).await?;
            bytes = 0;
        }
    }
    read(tree, &mut builder, &mut chunk).await?;
    Ok(Seen { graph: builder.finish(), commit: Some(commit.to_owned()), change })
}

async fn read(
    tree: &Tree,
    builder: &mut GraphBuilder,
    chunk: &mut Vec<crate::git::FileAt>,
) -> Result<(), GitError> {
    let blobs: Vec<&str> = chunk.iter().map(|file| file.blob.as_str()).collect();
    if !blobs.is_empty() {
        for (file, bytes) in chunk.iter().zip(tree.blobs(&blobs).await?) {
            builder.add(&file.path, &String::from_utf8_lossy(&bytes));
            // Parsing is work; others of the same thread have leases to renew.
            tokio::task::yield_now().await;
        }
    }
    chunk.clear();
    Ok(())
}

/// What a reconciliation came to.
#[derive(Debug, Clone)]
pub struct Reconciled {
    /// What deviates, after everything was said.
    pub examined: Examined,
    /// The state then.
    pub state: Arc<State>,
    /// The events that say it; none where everything had been said.
    pub events: Vec<Arc<Event>>,
}

/// What is to be said next: of what deviates, and then of what is about to.
fn next(state: &State, seen: &Seen) -> Vec<Operation> {
    let now = now();
    let operations = reconcile(state, seen, now);
    if !operations.is_empty() {
        return operations;
    }
    early(state, Some(&examine(state, seen)), now)
}

/// Everything was said already.
struct NothingNew;

/// Appends, as the reconciler, all there is to say of a commit: finds, decides, settles, warns.
/// Says nothing twice, and may be called again at any time.
///
/// # Errors
/// When the log cannot be written.
pub async fn record(run: &Run, seen: &Arc<Seen>) -> Result<Reconciled, tress::Error> {
    let reconciler = run.agent(RECONCILER, Role::Reconciler);
    let mut events = Vec::new();
    for _ in 0..PASSES_MAX {
        let state = run.refresh().await?;
        let operations = next(&state, seen);
        if operations.is_empty() {
            break;
        }
        // The log is held up by what is done here: only where another wrote meanwhile is it all.
        let seen = Arc::clone(seen);
        let appended = reconciler.append_if(move |newest| {
            let unchanged = newest.version == state.version;
            let operations = if unchanged { operations } else { next(newest, &seen) };
            if operations.is_empty() { Err(NothingNew) } else { Ok(operations) }
        });
        match appended.await {
            Ok(appended) => events.extend(appended),
            Err(Refused::Condition(NothingNew)) => break,
            Err(Refused::Error(error)) => return Err(error),
        }
    }
    let state = run.state();
    Ok(Reconciled { examined: examine(&state, seen), state, events })
}

/// Why a commit could not be reconciled.
#[derive(Debug, thiserror::Error)]
pub enum ReconcileError {
    /// Git could not.
    #[error(transparent)]
    Git(#[from] GitError),
    /// The engine could not.
    #[error(transparent)]
    Engine(#[from] tress::Error),
}

/// Holds a commit against the design of a run, and says in the log what comes of it: [`see`] and
/// [`record`]. For a run without rules, requirements and deviations it does nothing but warn.
///
/// # Errors
/// When git or the log fail.
pub async fn reconcile_commit(
    tree: &Tree,
    run: &Run,
    commit: &str,
    change: Option<(TodoId, &str)>,
) -> Result<Reconciled, ReconcileError> {
    let design = &run.state().design;
    let seen = if design.rules.is_empty() {
        // Without a rule nobody has to look at the files.
        Seen { commit: Some(commit.to_owned()), ..Seen::default() }
    } else {
        see(tree, commit, change).await?
    };
    Ok(record(run, &Arc::new(seen)).await?)
}
