//! Oracles of the fuzzing: what must hold of any bytes that come from outside.
//!
//! This crate owns one function for each fuzz target. It feeds bytes to production code and asserts
//! what holds whatever they are: nothing panics, what decodes encodes again and means the same, what
//! is admitted folds to one root in any order, what was acknowledged is there. It also owns the
//! seeds, which the project's own encoders write. It never decodes, orders or merges anything
//! itself: it calls the code that does, and compares.
//!
//! The same functions run under libFuzzer (`fuzz/fuzz_targets`) and in an ordinary test, which
//! replays the seeds, mutations of them, and every find of the past (docs/TESTING.md, *Fuzzing*).

pub mod admit;
pub mod bytes;
pub mod codec;
pub mod files;
pub mod fold;
pub mod foreign;
pub mod import;
pub mod journal;
pub mod run_file;
pub mod seeds;
pub mod state;
pub mod sync;

pub use admit::admit;
pub use codec::codec;
pub use fold::fold;
pub use foreign::foreign;
pub use import::import;
pub use journal::journal;
pub use run_file::run_file;
pub use sync::sync;

/// What a fuzz target does with the bytes that it is given.
pub type Oracle = fn(&[u8]);

/// Every target, by name.
pub const TARGETS: [(&str, Oracle); 8] = [
    ("codec", codec),
    ("admit", admit),
    ("fold", fold),
    ("import", import),
    ("run_file", run_file),
    ("journal", journal),
    ("foreign", foreign),
    ("sync", sync),
];

/// Lets a panic that production code catches go on to where it is caught. libFuzzer takes every
/// panic for a find; those of Automerge are fenced, and what comes of them is what counts. A panic
/// that nothing catches still ends the process.
pub fn catch_panics() {
    let said = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        let place = panic.location().map_or("", |place| place.file());
        if !place.contains("automerge") && !place.contains("hexane") {
            said(panic);
        }
    }));
}
