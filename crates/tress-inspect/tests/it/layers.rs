//! The layers that look at more than one function: tests of the corpus weakened, code unwired.

use std::collections::{BTreeMap, BTreeSet};

use tress_inspect::function::{functions, is_test_path};
use tress_inspect::integration::{Change, unreferenced};
use tress_inspect::weakened::compare_tests;

use crate::corpus::{SEEN, files};

const WHATS: [&str; 5] =
    ["assertion removed", "assertion trivial", "test skipped", "test removed", "unwired"];

/// An assertion of each language, what makes it trivial, and what keeps a test from running: what
/// it is put before.
fn weakening(language: &str) -> (&'static str, &'static str, String, &'static str) {
    let ignore = format!("#{}ignore]\n    #[test]", '[');
    match language {
        "rust" => ("assert", "assert!(true);", ignore, "#[test]"),
        "python" => ("assert ", "assert True", "@pytest.mark.skip\ndef test_".into(), "def test_"),
        "go" => (
            "if got",
            "assert.True(t, true)",
            "(t *testing.T) {\n\tt.Skip()".into(),
            "(t *testing.T) {",
        ),
        "java" => ("assert", "assertTrue(true);", "@Disabled\n    @Test".into(), "@Test"),
        "typescript" => ("expect(", "expect(true).toBe(true);", "it.skip(".into(), "it("),
        _ => ("expect(", "expect(true).toBe(true);", "test.skip(".into(), "test("),
    }
}

fn fresh(language: &str) -> &'static str {
    match language {
        "rust" => "\nfn freshly_made(a: u8) -> u8 {\n    a + 1\n}\n",
        "python" => "\n\ndef _freshly_made(a):\n    return a + 1\n",
        "go" => "\nfunc freshlyMade(a int) int {\n\treturn a + 1\n}\n",
        "java" => "\nclass FreshlyMade {\n    int next(int a) {\n        return a + 1;\n    }\n}\n",
        _ => "\nfunction freshlyMade(a) {\n  return a + 1;\n}\n",
    }
}

#[test]
fn weakened_tests_and_unwired_code_are_seen() {
    let mut counts: BTreeMap<(&str, &str), (usize, usize)> = BTreeMap::new();
    let mut alarms = Vec::new();
    for (language, corpus) in SEEN {
        let all = files(corpus);
        let tree = || all.iter().map(|(path, text)| (path.as_str(), text.as_str()));
        let (head, trivial, skipped, start) = weakening(language);
        for (path, text) in &all {
            let mut count = |what, seen: bool| {
                let entry = counts.entry((language, what)).or_default();
                entry.0 += 1;
                entry.1 += usize::from(seen);
            };
            let compare = |new: &str| {
                !compare_tests(path, Some(text), Some(new), &BTreeSet::new()).is_empty()
            };
            // The whole test is written anew, and says the same.
            alarms.extend(compare_tests(
                path,
                Some(text),
                Some(&format!("{text}\n\n")),
                &BTreeSet::new(),
            ));
            for test in functions(path, text).iter().filter(|function| function.test) {
                let inside = &text[test.range.clone()];
                let spoil = |new: String| {
                    format!("{}{new}{}", &text[..test.range.start], &text[test.range.end..])
                };
                let lines: Vec<&str> = inside.lines().collect();
                for at in (0..lines.len()).filter(|at| lines[*at].trim_start().starts_with(head)) {
                    // In Go an assertion is an `if` of three lines.
                    let last = if language == "go" { at + 3 } else { at + 1 };
                    let without = [&lines[..at], &lines[last..]].concat().join("\n");
                    count("assertion removed", compare(&spoil(without)));
                    let replaced = [&lines[..at], &[trivial], &lines[last..]].concat().join("\n");
                    count("assertion trivial", compare(&spoil(replaced)));
                }
                count("test removed", compare(&spoil(String::new())));
            }
            if text.contains(start) && functions(path, text).iter().any(|function| function.test) {
                count("test skipped", compare(&text.replacen(start, &skipped, 1)));
            }
            if !is_test_path(path) {
                let new = format!("{text}{}", fresh(language));
                let change = Change { path, base: Some(text), new: &new };
                let now =
                    tree().map(
                        |(other, text)| {
                            if other == path { (other, new.as_str()) } else { (other, text) }
                        },
                    );
                count("unwired", !unreferenced(&[change], now).is_empty());
                let used = format!(
                    "{new}{}",
                    fresh(language).replace("freshly", "a").replace("Freshly", "A").replace(
                        "a + 1",
                        "freshly_made(_freshly_made(freshlyMade(FreshlyMade(a))))"
                    )
                );
                let change = Change { path, base: Some(text), new: &used };
                let now =
                    tree().map(
                        |(other, text)| {
                            if other == path { (other, used.as_str()) } else { (other, text) }
                        },
                    );
                let named = unreferenced(&[change], now).into_iter();
                alarms.extend(named.filter(|f| {
                    f.symbol
                        .as_deref()
                        .is_some_and(|symbol| symbol.to_lowercase().contains("freshly"))
                }));
            }
        }
    }
    println!("| language | {} |\n| --- | ---: | ---: | ---: | ---: | ---: |", WHATS.join(" | "));
    for (language, _) in SEEN {
        let cells = WHATS.map(|what| {
            let (all, seen) = counts.get(&(language, what)).copied().unwrap_or_default();
            format!("{seen} of {all}")
        });
        println!("| {language} | {} |", cells.join(" | "));
    }
    assert_eq!(alarms, []);
    for ((language, what), (all, seen)) in &counts {
        assert_eq!(all, seen, "{language}: {what}");
    }
    assert_eq!(counts.len(), SEEN.len() * WHATS.len(), "every layer is measured in every language");
}
