//! What can be seen in source code without running it.
//!
//! This crate owns the syntax trees: which language a file is in, the functions in it, what is
//! missing in them (stubs, empty bodies, swallowed errors), what they import and who uses them, and
//! which tests were weakened. Rules are data. It is pure: texts come in, findings come out. It
//! never reads a file, runs a program, or knows what a todo is.

mod body;
pub mod completeness;
mod constant;
pub mod finding;
pub mod function;
mod grammar;
pub mod integration;
pub mod junit;
pub mod language;
pub mod lcov;
pub mod mutate;
pub mod rules;
pub mod sarif;
pub mod suppression;
mod syntax;
pub mod weakened;

pub use finding::{Finding, Severity};
pub use function::{Changed, Function};
pub use language::Language;
pub use syntax::TEXT_MAX;
