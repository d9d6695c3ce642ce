//! Reports: counts as people and programs read them.

/// A table: a line a word, the counts aligned.
pub fn table(counts: &[(String, usize)]) -> String {
    todo!("a table of {counts:?}")
}

/// An array of objects with `word` and `count`.
pub fn json(counts: &[(String, usize)]) -> String {
    todo!("JSON of {counts:?}")
}
