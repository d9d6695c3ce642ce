//! The foreign formats, on small fixtures and on real files.

mod beads_corpus;
mod history;
mod support;
