#[test]
fn words_are_split_at_what_is_no_letter() {
    assert_eq!(tally::words::words("Two, or 2: don't!"), ["two", "or", "2", "don't"]);
    assert!(tally::words::words(" \n ").is_empty());
}
