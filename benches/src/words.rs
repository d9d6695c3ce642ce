//! Words, so that texts compress and compare as real ones do.

use crate::random::Random;

const WORDS: [&str; 48] = [
    "parser", "token", "journal", "replica", "merge", "branch", "index", "cache", "handle",
    "error", "retry", "session", "stream", "buffer", "schema", "query", "render", "layout",
    "widget", "socket", "worker", "queue", "snapshot", "version", "frame", "codec", "limit",
    "lease", "claim", "verify", "test", "bench", "docs", "build", "release", "config", "option",
    "field", "state", "event", "order", "clock", "graph", "edge", "scope", "trait", "module",
    "crate",
];

pub(crate) fn word(random: &mut Random) -> &'static str {
    random.pick(&WORDS).copied().unwrap_or("word")
}

/// A sentence of `words` words.
pub(crate) fn sentence(random: &mut Random, words: usize) -> String {
    let mut text = String::new();
    for number in 0..words {
        text.push_str(if number == 0 { "" } else { " " });
        text.push_str(word(random));
    }
    text.push('.');
    text
}
