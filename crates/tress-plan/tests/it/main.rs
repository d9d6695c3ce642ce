//! The planner on states that were made for it, and in simulated teams.
#![expect(clippy::indexing_slicing, reason = "a test fails by panicking")]

mod choosing;
mod learning;
mod simulate;
mod steering;
