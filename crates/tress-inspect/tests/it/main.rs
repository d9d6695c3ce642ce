//! What can be seen in source code, language by language.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod architecture;
mod corpus;
mod house;
mod imports;
