//! Counts the words of a text.

pub mod count;
pub mod report;
pub mod stop;
pub mod words;
