//! What the stored form promises, on the real file system and in memory.
#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test fails by panicking")]

mod compact;
mod conformance;
mod journals;
mod races;
mod room;
mod sled_documents;
