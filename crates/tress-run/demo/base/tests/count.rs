fn count(words: &[&str]) -> Vec<(String, usize)> {
    tally::count::count(&words.iter().map(|word| word.to_string()).collect::<Vec<_>>())
}

#[test]
fn the_most_frequent_word_comes_first() {
    let counted = count(&["b", "a", "c", "b"]);
    let expected = [("b", 2), ("a", 1), ("c", 1)];
    assert_eq!(counted, expected.map(|(word, n)| (word.to_string(), n)));
}
