//! The foreign formats, on small fixtures and on real files.

mod beads_corpus;
mod beads_small;
mod history;
mod markdown;
mod merge;
mod merge_corpus;
mod support;
