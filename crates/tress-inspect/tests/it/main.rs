//! What can be seen in source code, language by language.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test fails by panicking")]

mod architecture;
mod completeness;
mod corpus;
mod function;
mod held_out;
mod house;
mod imports;
mod integration;
mod layers;
mod mutate;
mod property;
mod reports;
mod suppression;
mod weakened;
