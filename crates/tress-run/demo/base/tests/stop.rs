#[test]
fn stop_words_are_left_out() {
    let words = ["the", "cat", "and", "a", "dog"].map(String::from).to_vec();
    assert_eq!(tally::stop::without_stop_words(words), ["cat", "dog"]);
}
