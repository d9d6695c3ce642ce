//! Tress: shared state for teams of coding agents.
//!
//! A *run* is one event log and the state it folds to: a design, a todo graph, and the record of
//! who did what. Agents append typed operations; what they append merges without conflicts, in any
//! order, from any number of processes; nothing is acknowledged before it is durable; and any
//! moment can be opened again.
//!
//! ```
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! use tress::{Role, Status, Store};
//!
//! let store = Store::in_memory()?; // Store::create(".tress")? keeps it
//! let run = store.create_run("main").await?;
//!
//! let ada = run.agent("ada", Role::Human);
//! let todo = ada.add("write the parser").await?;
//!
//! let codex = run.agent("codex-1", Role::Implementer);
//! let claim = codex.claim(todo, None).await?; // one winner, however many try
//! codex.progress(&claim, 50, "tokens done").await?;
//! let done = codex.complete(&claim, None, "parser.rs").await?;
//!
//! let judge = run.agent("judge", Role::Verifier);
//! judge.verify(todo, done.dot(), true, "tests pass").await?;
//!
//! let state = run.state();
//! let todo = state.todo(todo).expect("it was added");
//! assert_eq!(state.status_unblocked(todo, tress::now()), Status::Completed);
//! # Ok(()) }
//! ```
//!
//! This crate owns the handle that users embed: opening, appending with group commit, conditions,
//! subscriptions, sealing, import and export. What an operation means is decided in `tress-model`,
//! what is on disk in `tress-store`. Everything a user needs is re-exported here.
//!
//! *Architecture invariant:* an append never waits for Automerge or sled.

mod care;
mod check;
mod copies;
mod core;
mod driver;
mod edits;
mod error;
mod exchange;
pub mod formats;
mod history;
pub mod members;
mod paths;
mod run;
mod seal;
mod show;
mod snapshots;
mod store;
mod subscription;
pub mod sync;
mod watch;
mod work;

pub use check::{Checked, Found, Stretch};
pub use edits::Edited;
pub use error::{Error, Refused};
pub use exchange::TakenIn;
pub use paths::{Fork, Merge, log_of};
pub use run::{Agent, Run, Updates};
pub use seal::{Documents, Sealed};
pub use store::{DIR, Store};
pub use subscription::Subscription;
pub use tress_documents::{Node, RefusedEdit, changes_of};
pub use tress_engine::diff::{self, Difference, difference};
pub use tress_engine::log::Draft;
pub use tress_engine::{
    CheckpointCheck, Fate, Log, PrepareError, Rejection, Selection, UndoError, When, WhenError,
    Without,
};
pub use tress_model::codec::{CodecError, FORMAT, FormatVersion, STATE_FORM};
pub use tress_model::{
    Author, Dot, Event, EventId, Hashed, HybridTime, LedgerEntry, Millis, Operation, ReplicaId,
    Role, Rule, Segment, State, Status, StoreId, Strand, Strands, Todo, TodoId, VersionVector,
    limits, operation, state,
};
pub use tress_store::{
    Compacted, Damage, DocumentsError, Item, MemoryFiles, Origin, RunFile, StoreError,
    decode_run_file, encode_run_file,
};
pub use work::losses::{Loss, acknowledgements};
pub use work::report::{Completed, Reported, Start, WorkRefused};
pub use work::review::{ReviewRefused, integrable, verifiable};
pub use work::{ClaimRefused, Claimed, Pick, claimable, new_todo_id, todo};

/// The wall clock, in milliseconds since 1970-01-01T00:00:00Z.
pub fn now() -> Millis {
    tress_store::Host::now(&tress_store::RealHost)
}
