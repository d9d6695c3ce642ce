//! The model of Tress: what a run *is*, as plain values.
//!
//! This crate owns the identifiers, the clocks, the operations, the events, the folded state, the
//! rules by which a fold decides conflicts, and the byte form of all of them. It is pure: it reads
//! no clock, no randomness, no environment and no file; time and randomness come in as arguments.
//! It never learns of Automerge, sled or tokio.
//!
//! Data flows one way: an [`Operation`] becomes an [`Event`] when a replica stamps it, and
//! [`State::apply`] folds events, in their one canonical order, into the [`State`] that everything
//! reads.

pub mod clock;
pub mod codec;
pub mod event;
pub mod ids;
pub mod limits;
pub mod message;
pub mod operation;
pub mod rules;
pub mod state;

pub use clock::{HybridTime, Millis, VersionVector};
pub use event::{Event, Hashed, OrderKey, Segment};
pub use ids::{Author, Dot, EventId, ReplicaId, Role, StoreId, TodoId};
pub use operation::{Operation, Strand, Strands};
pub use rules::{LedgerEntry, Rule};
pub use state::{State, Status, Todo};
