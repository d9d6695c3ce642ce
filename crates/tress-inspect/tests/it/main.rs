//! What can be seen in source code, language by language.

mod completeness;
mod corpus;
mod function;
mod held_out;
mod integration;
mod mutate;
mod property;
mod reports;
mod suppression;
mod weakened;
