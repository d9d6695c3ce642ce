#[test]
fn counts_are_objects() {
    let counts = [("say \"hi\"".to_string(), 2)];
    assert_eq!(tally::report::json(&counts), r#"[{"word":"say \"hi\"","count":2}]"#);
}
