//! What the stored form promises, on the real file system and in memory.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod conformance;
mod journals;
mod sled_documents;
