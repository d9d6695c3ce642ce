//! The simulator: several machines, each with a disk that loses what was not synced, joined by a
//! network that loses, doubles, delays and reorders, around the production code of Tress. One seed
//! makes everything: who does what and when, what fails, the clocks, and every random id. The same
//! seed gives the same history, byte for byte.
//!
//! This crate owns what is around Tress, and the promises that are checked: everything that was
//! acknowledged is there, no dot is used twice, all states and documents agree in the end, the
//! ledger is complete. It never knows how Tress keeps them.
//!
//! A world is a list of *actions* that is made first and then played, so that a failing list can be
//! cut to what is needed for the failure.

pub mod action;
pub mod canary;
mod check;
#[path = "../../crates/tress-engine/tests/it/invariants/mod.rs"]
mod invariants;
pub mod machine;
pub mod network;
#[path = "../../crates/tress-engine/tests/it/operations.rs"]
mod operations;
pub mod shrink;
mod talk;
pub mod world;

pub use action::Action;
pub use canary::Canary;
pub use world::{Outcome, Tally, World};
