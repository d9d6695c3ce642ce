#[test]
fn counts_are_aligned() {
    let counts = [("cat".to_string(), 12), ("a".to_string(), 3)];
    assert_eq!(tally::report::table(&counts), "12  cat\n 3  a\n");
}
