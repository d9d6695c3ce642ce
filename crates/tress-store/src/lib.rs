//! The stored form of Tress: journals, snapshots, and the documents in sled.
//!
//! This crate owns what is on disk: the layout of `.tress/`, the frames of a journal, who may write
//! which replica, snapshots, locks, and the sled database that holds the Automerge documents. All
//! but sled goes through one small seam, [`Files`], so that everything can be run on memory and
//! broken on purpose. It decides nothing: what an event means is the engine's business. Only this
//! crate knows sled.
//!
//! *Architecture invariant:* the journals are the source of truth. Snapshots and documents can be
//! deleted at any time and come back from them.

mod ahead;
mod compact;
pub mod documents;
pub mod examine;
pub mod faulty;
pub mod files;
pub mod frame;
pub mod host;
pub mod journal;
pub mod memory;
pub mod naming;
pub mod origin;
mod packed;
mod partial;
mod paths;
pub mod place;
pub mod real;
mod receive;
mod repairs;
pub mod run;
pub mod run_file;
pub mod snapshots;
pub mod store;
pub mod writer;

pub use compact::Compacted;
pub use documents::{DocumentsError, SavedDocument, SledDocuments, Stamp};
pub use examine::{Content, Examined, Piece};
pub use faulty::{Call, Fault, FaultyFiles};
pub use files::{AppendFile, DirEntry, Files, Lock};
pub use host::{Host, RealHost};
pub use journal::{Damage, Item, JournalPosition, JournalReader, Positions};
pub use memory::MemoryFiles;
pub use origin::{Origin, Stretch};
pub use real::RealFiles;
pub use repairs::{Repair, Skip};
pub use run::{Batch, BegunSnapshot, Readers, RunStore};
pub use run_file::{RunFile, decode_run_file, encode_run_file};
pub use snapshots::StoredSnapshot;
pub use store::{ReplicaHold, Store, StoreError, Tuning};
pub use writer::JournalWriter;
