//! Counting.

/// How often each word occurs: the most frequent first, equals by alphabet.
pub fn count(words: &[String]) -> Vec<(String, usize)> {
    todo!("count {words:?}")
}
