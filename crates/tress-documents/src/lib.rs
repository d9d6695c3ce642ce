//! The three documents of a run: its state as Automerge documents that any stock Automerge tool can
//! read and edit.
//!
//! This crate owns the schema of the documents ([`schema`], docs/SCHEMA.md), the projection of a
//! state into it ([`project`]), and the sealing and rebuilding of documents ([`Document`]). It is the
//! only crate that knows Automerge. It does no I/O and reads no clock and no randomness: the actor
//! under which a store writes is derived from the store's id, and changes bear the time 0. It never
//! decides anything: the log decides, and the documents reflect.
//!
//! Changes that stock tools of Automerge made are read as operations ([`edits`]).
//!
//! What comes from outside (saved bytes, changes) never panics: sizes are bounded before anything
//! is expanded, changes are checked for the structure that Automerge takes for granted, and the
//! calls into Automerge are fenced.

mod chunk;
mod document;
mod edits;
mod error;
mod history;
pub mod limits;
mod node;
mod projection;
mod read;
pub mod schema;
mod shown;
mod sync;
mod write;

pub use document::{Applied, Document, Numbered, changes_of, genesis};
pub use edits::{Edits, RefusedEdit, edits};
pub use error::DocumentError;
pub use node::Node;
pub use projection::{Changes, Entries, project, project_changed};
pub use shown::Shown;
pub use sync::{Follower, Heard};
