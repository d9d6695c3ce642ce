//! What the output of test runners and linters says: which tests fail, what is complained of.
//!
//! Only to compare a change with what was before it. Whether a command succeeded is told by its
//! exit code alone.

use std::collections::{BTreeMap, BTreeSet};

/// The names of the tests that an output calls failed: cargo, pytest, Go, TAP, Jest and Vitest,
/// Maven Surefire. Empty where it is of no form that is known.
pub fn failing_tests(output: &str) -> BTreeSet<String> {
    output.lines().filter_map(failing_test).collect()
}

fn failing_test(line: &str) -> Option<String> {
    let line = line.trim();
    let named = |name: &str| (!name.is_empty()).then(|| name.to_owned());
    if let Some(name) = line.strip_prefix("test ").and_then(|rest| rest.strip_suffix(" ... FAILED"))
    {
        return named(name.trim());
    }
    if let Some(rest) = line.strip_prefix("FAILED ").or_else(|| line.strip_prefix("ERROR ")) {
        let name = rest.split(" - ").next().unwrap_or(rest).trim();
        return named(name).filter(|name| name.contains("::") || name.contains(".py"));
    }
    if let Some(rest) = line.strip_prefix("--- FAIL: ") {
        return named(rest.split(" (").next().unwrap_or(rest).trim());
    }
    if let Some(rest) = line.strip_prefix("not ok ") {
        let name = rest.trim_start_matches(|c: char| c.is_ascii_digit()).trim_start();
        return named(name.strip_prefix("- ").unwrap_or(name).trim());
    }
    if let Some(rest) = line.strip_prefix('✕').or_else(|| line.strip_prefix('×')) {
        let rest = rest.trim();
        let name = rest.rsplit_once(" (").filter(|(_, took)| took.ends_with("ms)"));
        return named(name.map_or(rest, |(name, _)| name).trim());
    }
    if line.starts_with("[ERROR]") && (line.contains("<<< FAILURE!") || line.contains("<<< ERROR!"))
    {
        let name = line.trim_start_matches("[ERROR]").split("Time elapsed").next()?;
        return named(name.trim().trim_end_matches("--").trim());
    }
    None
}

/// The names of the tests that an output calls passed: cargo, pytest and Go when told to be
/// verbose, TAP, Jest and Vitest. Go's packages count as tests.
pub fn passing_tests(output: &str) -> BTreeSet<String> {
    output.lines().filter_map(passing_test).collect()
}

fn passing_test(line: &str) -> Option<String> {
    let line = line.trim();
    let name = if let Some(rest) = line.strip_prefix("test ") {
        rest.strip_suffix(" ... ok")?
    } else if let Some(rest) = line.strip_prefix("--- PASS: ") {
        rest.split(" (").next()?
    } else if let Some(rest) = line.strip_prefix("ok  \t") {
        rest.split('\t').next()?
    } else if let Some(rest) = line.strip_prefix("ok ") {
        rest.trim_start_matches(|c: char| c.is_ascii_digit()).trim_start().trim_start_matches("- ")
    } else if let Some(rest) = line.strip_prefix('✓') {
        let rest = rest.trim();
        rest.rsplit_once(" (").filter(|(_, took)| took.ends_with("ms)")).map_or(rest, |(n, _)| n)
    } else {
        line.split_once(" PASSED")?.0
    };
    Some(name.trim().to_owned()).filter(|name| !name.is_empty())
}

/// A complaint of a linter: the file, and what it says there, without places in the file, so that
/// code which only moved complains of nothing new.
pub type Complaint = (String, String);

/// The complaints in an output, each with how often it is made: lines of the form
/// `PATH:LINE[:COLUMN]: MESSAGE`, as compilers and most linters can write.
pub fn complaints(output: &str) -> BTreeMap<Complaint, usize> {
    let mut found = BTreeMap::new();
    for line in output.lines() {
        if let Some(complaint) = complaint(line) {
            *found.entry(complaint).or_insert(0) += 1;
        }
    }
    found
}

fn complaint(line: &str) -> Option<Complaint> {
    let line = line.trim();
    let (path, rest) = line.split_once(':')?;
    let plausible = !path.is_empty() && path.contains(['.', '/']) && !path.contains(' ');
    let (number, rest) = rest.split_once(':')?;
    if !plausible || number.is_empty() || !number.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let message = match rest.split_once(':') {
        Some((column, message)) if column.trim().bytes().all(|byte| byte.is_ascii_digit()) => {
            message
        }
        _ => rest,
    };
    let path = path.trim_start_matches("./").to_owned();
    let message = message.trim().to_owned();
    (!message.is_empty()).then_some((path, message))
}

/// Of the complaints `after`, those that were not made as often `before`, in the `changed` files.
pub fn new_complaints(
    before: &BTreeMap<Complaint, usize>,
    after: &BTreeMap<Complaint, usize>,
    changed: &[String],
) -> Vec<Complaint> {
    let more = |(complaint, count): &(&Complaint, &usize)| {
        **count > before.get(*complaint).copied().unwrap_or(0)
    };
    let ours = |complaint: &Complaint| {
        changed
            .iter()
            .any(|path| *path == complaint.0 || path.ends_with(&format!("/{}", complaint.0)))
    };
    let new = after.iter().filter(more).map(|(complaint, _)| complaint.clone());
    new.filter(ours).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn failing_tests_are_found_in_what_runners_print() {
        for (output, expected) in [
            ("test a::b ... ok\ntest a::c ... FAILED\n", vec!["a::c"]),
            ("FAILED tests/test_x.py::test_y - assert 1 == 2\n", vec!["tests/test_x.py::test_y"]),
            ("=== RUN   TestA\n--- FAIL: TestA (0.00s)\n    a_test.go:7: no", vec!["TestA"]),
            ("ok 1 - fine\nnot ok 2 - it adds\n", vec!["it adds"]),
            ("  ✕ adds two numbers (3 ms)\n  ✓ fine", vec!["adds two numbers"]),
            ("[ERROR] AppTest.adds  Time elapsed: 0.01 s  <<< FAILURE!", vec!["AppTest.adds"]),
            ("FAILED (failures=1)", vec![]),
        ] {
            let expected: BTreeSet<String> = expected.into_iter().map(str::to_owned).collect();
            assert_eq!(failing_tests(output), expected, "{output}");
        }
    }

    #[test]
    fn passing_tests_are_found_in_what_runners_print() {
        for (line, expected) in [
            ("test a::b ... ok", Some("a::b")),
            ("test a::b ... FAILED", None),
            ("--- PASS: TestA (0.00s)", Some("TestA")),
            ("ok  \texample.org/pkg\t0.1s", Some("example.org/pkg")),
            ("ok 3 - it adds", Some("it adds")),
            ("tests/test_x.py::test_y PASSED   [ 50%]", Some("tests/test_x.py::test_y")),
            ("  ✓ adds (3 ms)", Some("adds")),
            ("nothing of the kind", None),
        ] {
            let found = passing_tests(line).into_iter().next();
            assert_eq!(found.as_deref(), expected, "{line}");
        }
    }

    #[test]
    fn only_new_complaints_about_changed_files_count() {
        let before = complaints("src/a.rs:3:1: warning: unused\nsrc/b.rs:1: warning: odd\n");
        let after = complaints(
            "./src/a.rs:9:1: warning: unused\nsrc/a.rs:12:1: warning: unused\nsrc/b.rs:1: worse\n\
             error: could not compile\nnote: see http://x.invalid:80: here\n",
        );
        let changed = ["src/a.rs".to_owned()];
        let unused = ("src/a.rs".to_owned(), "warning: unused".to_owned());
        assert_eq!(new_complaints(&before, &after, &changed), std::slice::from_ref(&unused));
        assert_eq!(new_complaints(&after, &after, &changed), []);
        assert_eq!(before.get(&unused), Some(&1));
    }
}
