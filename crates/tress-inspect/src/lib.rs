//! What can be seen in source code without running it.
//!
//! This crate owns the syntax trees: which language a file is in, the functions in it, what is
//! missing in them (stubs, empty bodies, swallowed errors), what they import and who uses them, and
//! which tests were weakened. Rules are data. It is pure: texts come in, findings come out. It
//! never reads a file, runs a program, or knows what a todo is.

pub mod architecture;
pub mod imports;
pub mod language;

pub use language::Language;
