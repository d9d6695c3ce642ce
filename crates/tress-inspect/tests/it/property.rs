//! Whatever the text, nothing panics, overflows or hangs.

use std::collections::BTreeSet;

use proptest::prelude::*;
use tress_inspect::completeness::inspect;
use tress_inspect::function::functions;
use tress_inspect::integration::{Change, symbols_defined, unreferenced};
use tress_inspect::mutate::with_default_body;
use tress_inspect::suppression::suppressions;
use tress_inspect::weakened::compare_tests;
use tress_inspect::{Finding, TEXT_MAX};

const PATHS: [&str; 7] = ["a.rs", "test_a.py", "a.test.ts", "a.tsx", "a.js", "a_test.go", "A.java"];

fn everything(path: &str, base: Option<&str>, new: &str) {
    for finding in inspect(path, base, new).into_iter().chain(suppressions(path, base, new)) {
        assert!(finding.line >= 1 && finding.line <= new.lines().count().max(1) + 1, "{finding}");
        assert!(finding.to_string().parse::<Finding>().is_ok(), "{finding}");
    }
    compare_tests(path, base, Some(new), &BTreeSet::new());
    symbols_defined(path, new);
    unreferenced(&[Change { path, base, new }], [(path, new)]);
    for function in functions(path, new).iter().take(8) {
        if let Some(mutant) = with_default_body(path, new, function) {
            assert_ne!(mutant, new);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn any_text_is_judged(text in "\\PC{0,200}", base in "\\PC{0,80}") {
        for path in PATHS {
            everything(path, Some(&base), &text);
        }
    }

    #[test]
    fn any_heap_of_tokens_is_judged(tokens in proptest::collection::vec(prop::sample::select(vec![
        "fn f(", "def f(x):\n", "func F(", "class A ", "{", "}", "(", ")", "\n", "    ", "return", " 0", ";", "\"", "'", "é",
        "//", "/*", "*/", "# TODO", "#[test]", "@", "try", "catch", "except", ":", "=>", "->", "todo!()", "`", "${", "<", ">",
        "it('a', () => {", "assert", "let _ = f();", "impl A", "\t", "\\", "_", "=", "if err != nil {",
    ]), 0..60)) {
        let text = tokens.concat();
        for path in PATHS {
            everything(path, None, &text);
            everything(path, Some(&text), &text);
        }
    }

    #[test]
    fn what_did_not_change_is_never_told(text in "\\PC{0,120}") {
        for path in PATHS {
            prop_assert_eq!(inspect(path, Some(&text), &text), vec![]);
            prop_assert_eq!(suppressions(path, Some(&text), &text), vec![]);
            prop_assert_eq!(compare_tests(path, Some(&text), Some(&text), &BTreeSet::new()), vec![]);
        }
    }

    #[test]
    fn any_report_is_read(text in "[<>a-z=\"'/!\\[\\]&;# -]{0,120}") {
        tress_inspect::junit::read_junit(&text);
        tress_inspect::lcov::read_lcov(&text);
        let _: Result<Finding, _> = text.parse();
    }
}

#[test]
fn deep_nesting_exhausts_no_stack() {
    let openings = [
        "(",
        "[",
        "{",
        "if x {",
        "f(",
        "-",
        "!",
        "a.b(",
        "<A>",
        "fn f() {",
        "class A {",
        "() => {",
    ];
    for path in PATHS {
        for opening in openings {
            let deep = opening.repeat(6_000 / opening.len());
            everything(path, None, &deep);
        }
        inspect(path, None, &"(".repeat(100_000));
    }
}

#[test]
fn a_text_that_is_too_long_is_passed_over() {
    let long = "fn f(a: u8) { todo!() }\n".repeat(TEXT_MAX / 20);
    assert!(long.len() > TEXT_MAX);
    assert_eq!(inspect("a.rs", None, &long), []);
    assert_eq!(functions("a.rs", &long), []);
}
