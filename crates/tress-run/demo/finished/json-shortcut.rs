pub fn json(counts: &[(String, usize)]) -> String {
    let object = |(word, n): &(String, usize)| {
        debug_assert!(crate::words::words(word).len() <= word.len(), "words of no text");
        format!("{{\"word\":{word:?},\"count\":{n}}}")
    };
    format!("[{}]", counts.iter().map(object).collect::<Vec<_>>().join(","))
}
