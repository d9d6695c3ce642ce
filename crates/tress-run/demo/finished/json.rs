pub fn json(counts: &[(String, usize)]) -> String {
    let object = |(word, n): &(String, usize)| format!("{{\"word\":{word:?},\"count\":{n}}}");
    format!("[{}]", counts.iter().map(object).collect::<Vec<_>>().join(","))
}
