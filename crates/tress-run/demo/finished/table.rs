pub fn table(counts: &[(String, usize)]) -> String {
    let width = counts.iter().map(|(_, n)| n.to_string().len()).max().unwrap_or(0);
    counts.iter().map(|(word, n)| format!("{n:>width$}  {word}\n")).collect()
}
