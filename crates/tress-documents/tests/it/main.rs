//! The documents as a whole: what is sealed is read, what is rebuilt is the same, what is foreign
//! does no harm.

#![expect(clippy::indexing_slicing, reason = "a test that indexes wrongly has failed")]

mod foreign;
mod log;
mod random;
mod rich;
mod schema;
mod seal;
