//! Counting.

use std::collections::BTreeMap;

/// How often each word occurs: the most frequent first, equals by alphabet.
pub fn count(words: &[String]) -> Vec<(String, usize)> {
    let mut counts: BTreeMap<&String, usize> = BTreeMap::new();
    for word in words {
        *counts.entry(word).or_default() += 1;
    }
    let mut counts: Vec<_> = counts.into_iter().map(|(word, n)| (word.clone(), n)).collect();
    // The sort is stable, so equals stay in the order of the alphabet.
    counts.sort_by_key(|(_, n)| std::cmp::Reverse(*n));
    counts
}
