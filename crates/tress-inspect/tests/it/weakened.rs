//! Tests that check less than before.

use std::collections::BTreeSet;

use tress_inspect::weakened::{compare_tests, test_names};
use tress_inspect::{Finding, Severity};

/// What stands in for the attribute that no source of this house may hold.
fn rust(text: &str) -> String {
    text.replace("#IGNORE", &format!("#{}ignore]", '['))
        .replace("#PANIC", &format!("#{}should_panic]", '['))
}

fn compare(path: &str, base: &str, new: &str) -> Vec<Finding> {
    compare_tests(path, Some(&rust(base)), Some(&rust(new)), &BTreeSet::new())
}

const RUST: &str = "#[test]\nfn a() {\n    let x = f();\n    assert_eq!(x.len(), 3);\n    assert!(x.is_sorted());\n}\n\n#[test]\nfn b() { assert!(g()); }\n";
const PYTHON: &str = "def test_a():\n    x = f()\n    assert len(x) == 3\n    assert g(x)\n\ndef test_b():\n    with pytest.raises(ValueError):\n        h()\n";
const JS: &str = "describe('x', () => {\n  it('a', () => {\n    expect(f()).toBe(3);\n    expect(g()).toEqual([1]);\n  });\n  it('b', () => { expect(h()).not.toBeNull(); });\n});\n";
const GO: &str = "package a\nfunc TestA(t *testing.T) {\n\tif f() != 3 {\n\t\tt.Fatalf(\"no\")\n\t}\n\trequire.Equal(t, 1, g())\n}\nfunc TestB(t *testing.T) { assert.True(t, h()) }\n";
const JAVA: &str = "class ATest {\n    @Test\n    void a() {\n        assertEquals(3, f());\n        assertTrue(g());\n    }\n    @Test\n    void b() { assertNotNull(h()); }\n}\n";
const FILES: [(&str, &str); 5] = [
    ("src/a.rs", RUST),
    ("test_a.py", PYTHON),
    ("a.test.ts", JS),
    ("a_test.go", GO),
    ("ATest.java", JAVA),
];

fn check(path: &str, from: &str, to: &str, rule: &str) {
    let base = FILES.iter().find(|(file, _)| *file == path).unwrap().1;
    assert!(base.contains(from), "{path}: {from}");
    let found = compare(path, base, &base.replacen(from, to, 1));
    assert_eq!(
        found.iter().map(|f| f.rule.as_str()).collect::<Vec<_>>(),
        [rule],
        "{path}: {to}: {found:?}"
    );
}

#[test]
fn a_test_that_is_the_same_is_not_told() {
    for (path, text) in FILES {
        assert_eq!(compare(path, text, text), [], "{path}");
        assert_eq!(compare(path, text, &text.replace("f()", "other()")), [], "{path}");
        assert_eq!(compare_tests(path, None, Some(text), &BTreeSet::new()), [], "{path}");
        assert_eq!(test_names(path, text).len(), 2, "{path}");
    }
}

#[test]
fn a_lost_assertion_is_told() {
    check("src/a.rs", "    assert!(x.is_sorted());\n", "", "fewer-assertions");
    check("test_a.py", "    assert g(x)\n", "", "fewer-assertions");
    check("a.test.ts", "    expect(g()).toEqual([1]);\n", "", "fewer-assertions");
    check("a_test.go", "\trequire.Equal(t, 1, g())\n", "", "fewer-assertions");
    check("ATest.java", "        assertTrue(g());\n", "", "fewer-assertions");
    check(
        "test_a.py",
        "    with pytest.raises(ValueError):\n        h()\n",
        "    h()\n",
        "fewer-assertions",
    );
}

#[test]
fn a_trivial_assertion_is_told() {
    check("src/a.rs", "assert!(x.is_sorted())", "assert!(true)", "trivial-assertion");
    check("src/a.rs", "assert_eq!(x.len(), 3)", "assert_eq!(3, 3)", "trivial-assertion");
    check("test_a.py", "assert g(x)", "assert True", "trivial-assertion");
    check("test_a.py", "assert len(x) == 3", "assert x == x", "trivial-assertion");
    check("a.test.ts", "expect(f()).toBe(3)", "expect(true).toBe(true)", "trivial-assertion");
    check("a_test.go", "require.Equal(t, 1, g())", "require.True(t, true)", "trivial-assertion");
    check("ATest.java", "assertTrue(g())", "assertTrue(true)", "trivial-assertion");
}

#[test]
fn a_test_that_does_not_run_is_told() {
    check("src/a.rs", "#[test]\nfn b", "#[test]\n#IGNORE\nfn b", "skipped-test");
    check(
        "test_a.py",
        "def test_b",
        "@pytest.mark.skip(reason=\"slow\")\ndef test_b",
        "skipped-test",
    );
    check("test_a.py", "def test_b", "@pytest.mark.xfail\ndef test_b", "skipped-test");
    check("test_a.py", "    x = f()", "    pytest.skip(\"later\")\n    x = f()", "skipped-test");
    check("test_a.py", "def test_a", "pytestmark = pytest.mark.skip\n\ndef test_a", "skipped-test");
    check("a.test.ts", "it('a'", "it.skip('a'", "skipped-test");
    check("a.test.ts", "it('a'", "xit('a'", "skipped-test");
    check("a.test.ts", "it('a'", "it.only('a'", "skipped-test");
    check("a.test.ts", "describe('x'", "describe.skip('x'", "skipped-test");
    check("a_test.go", "\tif f()", "\tt.Skip(\"later\")\n\tif f()", "skipped-test");
    check(
        "ATest.java",
        "    @Test\n    void b",
        "    @Test\n    @Disabled(\"later\")\n    void b",
        "skipped-test",
    );
    check("ATest.java", "class ATest", "@Ignore class ATest", "skipped-test");
}

#[test]
fn an_emptied_or_removed_test_is_told() {
    check("src/a.rs", "{ assert!(g()); }", "{}", "empty-test");
    check(
        "test_a.py",
        "    with pytest.raises(ValueError):\n        h()\n",
        "    pass\n",
        "empty-test",
    );
    check("a.test.ts", "{ expect(h()).not.toBeNull(); }", "{}", "empty-test");
    check("a_test.go", "{ assert.True(t, h()) }", "{ }", "empty-test");
    check("ATest.java", "{ assertNotNull(h()); }", "{ }", "empty-test");
    check("src/a.rs", "#[test]\nfn b() { assert!(g()); }\n", "", "removed-test");
    check("src/a.rs", "#[test]\nfn b", "fn b", "removed-test");
    check("test_a.py", "def test_b():", "def unused_b():", "removed-test");
    check("a.test.ts", "  it('b', () => { expect(h()).not.toBeNull(); });\n", "", "removed-test");
    check("a_test.go", "func TestB(t *testing.T) { assert.True(t, h()) }\n", "", "removed-test");
    check("ATest.java", "    @Test\n    void b() { assertNotNull(h()); }\n", "", "removed-test");
}

#[test]
fn what_a_test_asks_for_may_not_shrink_unseen() {
    check("src/a.rs", "#[test]\nfn b", "#[test]\n#PANIC\nfn b", "should-panic-added");
    check("src/a.rs", "assert_eq!(x.len(), 3)", "assert_eq!(x.len(), 4)", "expected-changed");
    check("test_a.py", "== 3", "== 30", "expected-changed");
    check("a.test.ts", "toBe(3)", "toBe(7)", "expected-changed");
    check("ATest.java", "assertEquals(3,", "assertEquals(4,", "expected-changed");
    check("a.test.ts", "expect(f()).toBe(3)", "expect(f()).toBeDefined()", "loosened-assertion");
    check(
        "src/a.rs",
        "assert_eq!(x.len(), 3)",
        "assert!(x.first().is_some())",
        "loosened-assertion",
    );
    check("ATest.java", "assertEquals(3, f())", "assertNotNull(f())", "loosened-assertion");
}

#[test]
fn moved_and_renamed_tests_are_not_missed() {
    let moved = "#[test]\nfn a() {\n    let x = f();\n    assert_eq!(x.len(), 3);\n    assert!(x.is_sorted());\n}\n";
    let elsewhere = BTreeSet::from(["b".to_owned()]);
    assert_eq!(compare_tests("src/a.rs", Some(RUST), Some(moved), &elsewhere), []);
    assert_eq!(compare("src/a.rs", RUST, &RUST.replace("fn b()", "fn renamed()")), []);
    // Another test in its place is for a reader to judge.
    let other = compare(
        "src/a.rs",
        RUST,
        &RUST.replace("fn b() { assert!(g()); }", "fn c() { assert!(k()); }"),
    );
    assert_eq!(other.iter().map(|f| f.severity).collect::<Vec<_>>(), [Severity::Warning]);
    let both = BTreeSet::from(["a".to_owned(), "b".to_owned()]);
    assert_eq!(compare_tests("src/a.rs", Some(RUST), None, &both), []);
    let gone = compare_tests("src/a.rs", Some(RUST), None, &elsewhere);
    assert_eq!(
        gone[0].to_string(),
        "src/a.rs:1: the file is gone, and with it 1 tests (deleted-tests)"
    );
}

/// Titles repeat: the first history that was looked at had `Empty content` in two groups, and the
/// second was compared with the first.
#[test]
fn tests_of_one_title_are_compared_each_with_its_own() {
    let text = "describe('x', () => {\n  it('a', () => { expect(f()).toBe(3); expect(g()).toBe(4); });\n});\ndescribe('y', () => {\n  it('a', () => { expect(h()).toBe(3); });\n});\n";
    assert_eq!(compare("a.test.ts", text, &text.replace("h()", "k()")), []);
    let found = compare("a.test.ts", text, &text.replace(" expect(g()).toBe(4);", ""));
    assert_eq!(found.iter().map(|f| f.rule.as_str()).collect::<Vec<_>>(), ["fewer-assertions"]);
}
