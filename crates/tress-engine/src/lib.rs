//! The engine of Tress: how events become a log, and a log becomes state.
//!
//! This crate owns *admit* (the one door through which events enter), *order* (their one canonical
//! sequence), *rewind* (what a late event costs), *replay* (any moment, recomputed), *selective replay*
//! and *undo* (the run without some of its events), *diff* (what differs between two moments or two
//! runs) and the *sync session* (what two peers say to each other). It is sans-I/O: segments come in,
//! events and states go out; somebody else reads files, waits for locks and moves bytes. It never learns
//! of Automerge, sled, tokio or a clock.
//!
//! ```text
//! prepare(operations) -> Prepared --(made durable by the caller)--> commit
//! segment from elsewhere -> admit -> admitted | waiting for causes | rejected
//! both -> order -> fold -> Arc<State>
//! ```

pub mod admit;
pub mod diff;
pub mod holes;
pub mod log;
pub mod replay;
pub mod selective;
pub mod signed;
pub mod sync;
pub mod undo;
pub mod waits;

pub use admit::{Admission, Rejection};
pub use diff::{Difference, difference};
pub use log::{BehindSnapshot, Draft, Log, PrepareError, Prepared};
pub use replay::{CheckpointCheck, When, WhenError};
pub use selective::{Fate, Selection, Without};
pub use sync::{Effect, Session, SyncError};
pub use undo::UndoError;
