//! The foreign formats, on small fixtures and on real files.

#![expect(clippy::indexing_slicing, reason = "a test fails by panicking")]

mod beads_corpus;
mod beads_small;
mod history;
mod markdown;
mod support;
