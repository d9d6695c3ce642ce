//! Stop words: words that say nothing about a text.

/// `words` without those that say nothing.
pub fn without_stop_words(words: Vec<String>) -> Vec<String> {
    todo!("filter {words:?}")
}
