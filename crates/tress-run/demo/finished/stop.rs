//! Stop words: words that say nothing about a text.

const STOP_WORDS: [&str; 12] =
    ["a", "an", "and", "as", "at", "in", "is", "it", "of", "or", "the", "to"];

/// `words` without those that say nothing.
pub fn without_stop_words(words: Vec<String>) -> Vec<String> {
    words.into_iter().filter(|word| !STOP_WORDS.contains(&word.as_str())).collect()
}
