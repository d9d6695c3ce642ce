//! Tests that check less than before: deleted, skipped, emptied, with fewer or weaker assertions.

use std::collections::{BTreeMap, BTreeSet};

use crate::function::{Function, family, is_test_path, of_syntax};
use crate::grammar::callee;
use crate::syntax::{Id, Syntax, parse};
use crate::{Finding, Language, Severity};

/// A test and what it checks.
struct Test {
    name: String,
    line: usize,
    hash: u64,
    empty: bool,
    should_panic: bool,
    assertions: Vec<String>,
}

/// The names of the tests in the file at `path`.
pub fn test_names(path: &str, text: &str) -> BTreeSet<String> {
    let functions = crate::function::functions(path, text);
    functions.into_iter().filter(|function| function.test).map(|function| function.name).collect()
}

/// How the tests of the file at `path` were weakened from `base` to `new`; `None` in their place:
/// the file was not there, or is gone. `elsewhere` has the names of the tests in all other files
/// that the change touched, so that a test that moved is not missed.
pub fn compare_tests(
    path: &str,
    base: Option<&str>,
    new: Option<&str>,
    elsewhere: &BTreeSet<String>,
) -> Vec<Finding> {
    let before = base.map(|base| Tests::of(path, base)).unwrap_or_default();
    let now = new.map(|new| Tests::of(path, new)).unwrap_or_default();
    let mut findings = Vec::new();
    if new.is_none() {
        let gone: Vec<_> =
            before.tests.iter().filter(|test| !elsewhere.contains(&test.name)).collect();
        if !gone.is_empty() {
            let message = format!("the file is gone, and with it {} tests", gone.len());
            findings.push(Finding::new("deleted-tests", Severity::Error, path, 1, &message));
        }
        return findings;
    }
    removed(path, &before, &now, elsewhere, &mut findings);
    skipped(path, &before, &now, &mut findings);
    for (old, test) in pairs(&before.tests, &now.tests) {
        if old.is_none_or(|old| old.hash != test.hash || old.should_panic != test.should_panic) {
            one(path, old, test, &mut findings);
        }
    }
    findings.sort();
    findings
}

/// The tests of now, each with its counterpart. Several may bear a title, in several groups: the
/// ones that say the same are each other's, the rest pair up in order.
fn pairs<'t>(before: &'t [Test], now: &'t [Test]) -> Vec<(Option<&'t Test>, &'t Test)> {
    let mut by_name: BTreeMap<&str, Vec<&Test>> = BTreeMap::new();
    for old in before {
        by_name.entry(&old.name).or_default().push(old);
    }
    let mut take = |test: &Test, same: bool| {
        let olds = by_name.get_mut(test.name.as_str())?;
        let at = olds.iter().position(|old| !same || old.hash == test.hash)?;
        Some(olds.remove(at))
    };
    let same: Vec<_> = now.iter().map(|test| (take(test, true), test)).collect();
    same.into_iter().map(|(old, test)| (old.or_else(|| take(test, false)), test)).collect()
}

fn removed(
    path: &str,
    before: &Tests,
    now: &Tests,
    elsewhere: &BTreeSet<String>,
    findings: &mut Vec<Finding>,
) {
    let here: BTreeSet<&str> = now.tests.iter().map(|test| test.name.as_str()).collect();
    let renamed = |old: &Test| now.tests.iter().any(|test| test.hash == old.hash && !old.empty);
    for old in &before.tests {
        if here.contains(old.name.as_str()) || elsewhere.contains(&old.name) || renamed(old) {
            continue;
        }
        // As many tests as before may be others under new names; that is for a reader to say.
        let fewer = now.tests.len() < before.tests.len();
        let severity = if fewer { Severity::Error } else { Severity::Warning };
        let message = format!("the test `{}` is gone", old.name);
        findings.push(
            Finding::new("removed-test", severity, path, old.line, &message).about(&old.name),
        );
    }
}

fn skipped(path: &str, before: &Tests, now: &Tests, findings: &mut Vec<Finding>) {
    let mut known: BTreeMap<&(String, String), usize> = BTreeMap::new();
    for (_, key) in &before.skips {
        *known.entry(key).or_insert(0) += 1;
    }
    for (line, key) in &now.skips {
        match known.get_mut(key).filter(|left| **left > 0) {
            Some(left) => *left -= 1,
            None => {
                let message = format!("tests do not run: {}", key.1);
                let finding = Finding::new("skipped-test", Severity::Error, path, *line, &message);
                findings.push(if key.0.is_empty() { finding } else { finding.about(&key.0) });
            }
        }
    }
}

fn one(path: &str, old: Option<&Test>, test: &Test, findings: &mut Vec<Finding>) {
    let mut tell = |rule: &str, severity: Severity, message: String| {
        findings.push(Finding::new(rule, severity, path, test.line, &message).about(&test.name));
    };
    if test.empty && old.is_none_or(|old| !old.empty) {
        return tell("empty-test", Severity::Error, "the test does nothing".into());
    }
    let trivial =
        |test: &Test| test.assertions.iter().filter(|assertion| is_trivial(assertion)).count();
    if trivial(test) > old.map_or(0, trivial) {
        tell(
            "trivial-assertion",
            Severity::Error,
            "an assertion holds whatever the code does".into(),
        );
    }
    let Some(old) = old else { return };
    if test.should_panic && !old.should_panic {
        tell(
            "should-panic-added",
            Severity::Error,
            "the test now passes when the code panics".into(),
        );
    }
    let (was, is) = (old.assertions.len(), test.assertions.len());
    if is < was {
        return tell("fewer-assertions", Severity::Error, format!("{was} assertions became {is}"));
    }
    let weak = |test: &Test| test.assertions.iter().filter(|assertion| is_weak(assertion)).count();
    if weak(test) > weak(old) && is - weak(test) < was - weak(old) {
        tell(
            "loosened-assertion",
            Severity::Warning,
            "an assertion asks for less than before".into(),
        );
    }
    let only = |these: &[String], those: &[String]| -> Vec<String> {
        these.iter().filter(|one| !those.contains(one)).map(|one| skeleton(one)).collect()
    };
    let (lost, found) =
        (only(&old.assertions, &test.assertions), only(&test.assertions, &old.assertions));
    if lost.iter().any(|one| found.contains(one)) {
        tell("expected-changed", Severity::Warning, "the test now expects another value".into());
    }
}

#[derive(Default)]
struct Tests {
    tests: Vec<Test>,
    /// Lines, and (test, text) of what keeps tests from running.
    skips: Vec<(usize, (String, String))>,
}

impl Tests {
    fn of(path: &str, text: &str) -> Self {
        let Some(tree) = Language::of(path).and_then(|language| parse(language, text)) else {
            return Self::default();
        };
        let syntax = Syntax::of(&tree);
        let functions = of_syntax(path, &syntax);
        let tests = functions.iter().filter(|function| function.test);
        let tests: Vec<Test> = tests.map(|function| test(&syntax, function)).collect();
        let mut skips = Vec::new();
        if !tests.is_empty() || is_test_path(path) {
            for id in syntax.all().filter(|id| !syntax.too_deep(*id)) {
                if let Some(text) = skip(&syntax, id) {
                    let at = syntax.range(id).start;
                    let last = functions.iter().rev().filter(|function| function.test);
                    let around = last.clone().find(|function| function.range.contains(&at));
                    let name = around.map(|function| function.name.clone()).unwrap_or_default();
                    skips.push((syntax.line(id), (name, text)));
                }
            }
        }
        Self { tests, skips }
    }
}

fn test(syntax: &Syntax<'_>, function: &Function) -> Test {
    let mut assertions = Vec::new();
    if let Some(body) = function.body_node {
        let mut id = body;
        let end = syntax.within(body).end;
        while id < end {
            if is_assertion(syntax, id) {
                assertions.push(syntax.text(id).split_whitespace().collect());
                id = syntax.within(id).end.max(id + 1);
            } else {
                id += 1;
            }
        }
    }
    let statements = function.body_node.map(|body| crate::body::statements(syntax, body));
    Test {
        name: function.name.clone(),
        line: function.line,
        hash: function.hash,
        empty: statements.is_none_or(|statements| statements.is_empty()),
        should_panic: function.marks.iter().any(|mark| mark.contains("should_panic")),
        assertions,
    }
}

/// What keeps a test from running, or others beside it; as text without spaces.
fn skip(syntax: &Syntax<'_>, id: Id) -> Option<String> {
    let kind = syntax.kind(id);
    let said = || syntax.text(id).split_whitespace().collect::<String>();
    let short = |text: String| text.chars().take(60).collect::<String>();
    match family(syntax.language) {
        "rust" if kind == "attribute_item" => Some(said()).filter(|text| {
            text.trim_start_matches("#[").starts_with("ignore")
                || text.starts_with("#[cfg(any())]")
                || text.starts_with("#[cfg_attr(") && text.contains(",ignore")
        }),
        "python" if kind == "decorator" => Some(said()).filter(|text| {
            text.contains(".skip")
                || text.starts_with("@skip")
                || text.contains("xfail")
                || text.contains("expectedFailure")
        }),
        "python" if kind == "call" => Some(said()).filter(|text| {
            ["pytest.skip(", "self.skipTest(", "pytest.xfail("]
                .iter()
                .any(|head| text.starts_with(head))
        }),
        "python" if kind == "assignment" => {
            Some(said()).filter(|text| text.starts_with("pytestmark=") && text.contains("skip"))
        }
        "js" if kind == "call_expression" => {
            let head = callee(syntax, id);
            let first = head.first().copied().unwrap_or_default();
            let runs = ["it", "test", "describe", "suite", "context", "specify"].contains(&first);
            let bars = ["skip", "only", "todo", "fixme", "failing", "skipIf"];
            let barred = runs && head.iter().skip(1).any(|name| bars.contains(name));
            let old =
                ["xit", "xtest", "xdescribe", "fit", "fdescribe", "xcontext"].contains(&first);
            // `test.skip` is said once for its call, not for the call that makes its callee.
            let outer = syntax.parent(id).is_none_or(|up| {
                syntax.kind(up) != "call_expression" && syntax.kind(up) != "member_expression"
            });
            ((barred || old) && outer).then(|| head.join("."))
        }
        "go" if kind == "call_expression" => {
            let text = said();
            let name = text.split('(').next().unwrap_or_default();
            let skips =
                ["t.Skip", "t.Skipf", "t.SkipNow", "b.Skip", "b.SkipNow", "f.Skip"].contains(&name);
            skips.then(|| name.to_owned())
        }
        "java" if kind.ends_with("annotation") => {
            Some(said()).filter(|text| text.starts_with("@Disabled") || text.starts_with("@Ignore"))
        }
        "java" if kind == "method_invocation" => Some(said()).filter(|text| {
            text.starts_with("assumeTrue(false") || text.starts_with("Assumptions.assumeTrue(false")
        }),
        _ => None,
    }
    .map(short)
}

fn is_assertion(syntax: &Syntax<'_>, id: Id) -> bool {
    let text = || syntax.text(id);
    let name =
        |text: &str| text.split(['(', '!', '{']).next().unwrap_or_default().trim().to_owned();
    let last = |name: &str| name.rsplit(['.', ':']).next().unwrap_or_default().to_owned();
    match (family(syntax.language), syntax.kind(id)) {
        ("rust", "macro_invocation") => {
            ["assert", "prop_assert", "debug_assert", "check", "insta", "expect"]
                .iter()
                .any(|head| last(&name(text())).starts_with(head))
        }
        ("rust", "call_expression") => {
            ["assert", "check_", "expect_"].iter().any(|head| last(&name(text())).starts_with(head))
        }
        ("python", "assert_statement") => true,
        ("python", "call") => {
            let name = name(text());
            let last = last(&name);
            last.starts_with("assert")
                || ["raises", "warns"].contains(&last.as_str())
                || name == "self.fail"
        }
        ("js", "call_expression") => {
            let head = callee(syntax, id);
            let first = head.first().copied().unwrap_or_default();
            // The chain as a whole is one assertion: `expect(x).not.toBe(y)`.
            ["expect", "assert", "should", "expectTypeOf", "assertThat"].contains(&first)
                || first.starts_with("assert")
        }
        ("go", "call_expression") => {
            let name = name(text());
            let last = last(&name);
            let fails =
                ["Error", "Errorf", "Fatal", "Fatalf", "Fail", "FailNow"].contains(&last.as_str());
            fails && name.len() <= last.len() + 3
                || name.starts_with("require.")
                || name.starts_with("assert.")
                || last.starts_with("assert")
        }
        ("java", "method_invocation") => {
            let name = name(text());
            ["assert", "verify", "fail", "expect"]
                .iter()
                .any(|head| last(&name).starts_with(head) || name.starts_with(head))
        }
        ("java", "assert_statement") => true,
        _ => false,
    }
}

/// Whether an assertion (without spaces) holds whatever the code does.
fn is_trivial(assertion: &str) -> bool {
    const HOLD: [&str; 21] = [
        "assert!(true",
        "assertTrue(true",
        "self.assertTrue(True",
        "assert.ok(true",
        "assert(true",
        "assert.True(t,true",
        "require.True(t,true",
        "Assertions.assertTrue(true",
        "Assert.assertTrue(true",
        "expect(true).toBe(true)",
        "expect(true).toBeTruthy()",
        "expect(1).toBe(1)",
        "expect(true).toEqual(true)",
        "expect(false).toBe(false)",
        "assert.isTrue(true",
        "assert.equal(true,true",
        "assertThat(true).isTrue()",
        "expect(true).to.be.true",
        "expect(true).to.equal(true)",
        "assertFalse(false",
        "assert!(!false",
    ];
    if HOLD.iter().any(|head| assertion.starts_with(head)) {
        return true;
    }
    if matches!(assertion, "assertTrue" | "assert1" | "assertnotFalse" | "assert1==1") {
        return true;
    }
    // Both sides are the same text.
    let inner =
        assertion.strip_prefix("assert").filter(|rest| rest.contains("==") && !rest.contains('('));
    if let Some((left, right)) = inner.and_then(|inner| inner.split_once("==")) {
        return left == right;
    }
    let call = [
        "assert_eq!(",
        "self.assertEqual(",
        "assertEquals(",
        "assert.equal(",
        "assert.strictEqual(",
    ]
    .iter();
    let arguments = call
        .filter_map(|head| assertion.strip_prefix(head))
        .next()
        .and_then(|rest| rest.strip_suffix(')'));
    arguments
        .and_then(|arguments| arguments.split_once(','))
        .is_some_and(|(left, right)| left == right && !left.contains('('))
}

/// Whether an assertion only asks that there is something.
fn is_weak(assertion: &str) -> bool {
    const WEAK: [&str; 16] = [
        ".is_some())",
        ".is_ok())",
        "!is_empty()",
        ".toBeDefined()",
        ".toBeTruthy()",
        ".not.toThrow()",
        "assertNotNull(",
        "isnotNone",
        "assertIsNotNone(",
        ".NotNil(",
        ".not.toBeNull()",
        "isinstance(",
        ".toBeInstanceOf(",
        "assertDoesNotThrow(",
        ".not.toBeUndefined()",
        ".NotEmpty(",
    ];
    WEAK.iter().any(|weak| assertion.contains(weak))
}

/// The assertion with its literals taken out.
fn skeleton(assertion: &str) -> String {
    let mut out = String::new();
    let mut quote = None;
    let mut before = ' ';
    for c in assertion.chars() {
        match quote {
            Some(open) if c == open && before != '\\' => quote = None,
            Some(_) => {}
            None if matches!(c, '"' | '\'' | '`') => {
                quote = Some(c);
                out.push('"');
            }
            None if c.is_ascii_digit() => {
                if !out.ends_with('0') {
                    out.push('0');
                }
            }
            None => out.push(c),
        }
        before = c;
    }
    for (word, with) in
        [("true", "0"), ("false", "0"), ("True", "0"), ("False", "0"), ("None", "0"), ("null", "0")]
    {
        out = out.replace(word, with);
    }
    out
}
