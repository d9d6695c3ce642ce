//! New suppressions.

use tress_inspect::Severity;
use tress_inspect::suppression::suppressions;

#[test]
fn each_way_to_silence_a_checker_is_seen() {
    // Put together, so that no checker of this house takes them for its own.
    let allow = |what: &str| format!("#{}allow({what})]\nfn f() {{}}\n", '[');
    for (path, text) in [
        ("a.rs", allow("dead_code")),
        ("a.rs", format!("#!{}allow(clippy::all)]\n", '[')),
        ("a.rs", "#[cfg_attr(test, allow(unused))]\nfn f() {}\n".into()),
        ("a.rs", "#[expect(dead_code)]\nfn f() {}\n".into()),
        ("a.rs", "#[rustfmt::skip]\nfn f() {}\n".into()),
        ("a.py", "import os  # noqa: F401\n".into()),
        ("a.py", "x = f()  # type: ignore[arg-type]\n".into()),
        ("a.py", "# pylint: disable=all\n".into()),
        ("a.py", "def f():  # pragma: no cover\n    g()\n".into()),
        ("a.ts", "// eslint-disable-next-line no-console\nf();\n".into()),
        ("a.ts", "/* eslint-disable */\n".into()),
        ("a.tsx", "// @ts-ignore\nf();\n".into()),
        ("a.ts", "// @ts-nocheck\n".into()),
        ("a.js", "/* istanbul ignore next */\nf();\n".into()),
        ("a.go", "package a\nvar x = f() //nolint:errcheck\n".into()),
        ("A.java", "class A { @SuppressWarnings(\"unchecked\") void f() {} }".into()),
        ("A.java", "class A { int x = f(); // NOSONAR\n}".into()),
    ] {
        let found = suppressions(path, None, &text);
        assert_eq!(found.len(), 1, "{text}: {found:?}");
        assert_eq!(
            (found[0].severity, found[0].rule.as_str()),
            (Severity::Error, "new-suppression"),
            "{text}"
        );
        assert_eq!(suppressions(path, Some(&text), &format!("\n{text}")), [], "{text}");
    }
}

#[test]
fn a_reason_weakens_the_finding_and_prose_is_none() {
    for (path, text) in [
        ("a.ts", "// @ts-expect-error the types of the library lag behind\nf();\n"),
        ("a.ts", "// eslint-disable-next-line no-console -- this is a command line tool\nf();\n"),
        ("a.go", "package a\nvar x = f() //nolint:errcheck // the buffer cannot fail\n"),
    ] {
        let found = suppressions(path, None, text);
        assert_eq!(
            found.iter().map(|f| f.severity).collect::<Vec<_>>(),
            [Severity::Warning],
            "{text}"
        );
    }
    for (path, text) in [
        ("a.rs", "#[expect(dead_code, reason = \"used by the other platform\")]\nfn f() {}\n"),
        ("a.rs", "/// Says `allow(x)`, and never noqa.\n#[derive(Debug)]\nstruct A;\n"),
        ("a.py", "MARK = '# noqa'\n"),
        ("a.py", "# We do not use noqa here.\n"),
        ("a.ts", "// The eslint-disable comments are counted.\n"),
        ("a.md", "# noqa\n"),
    ] {
        assert_eq!(suppressions(path, None, text), [], "{text}");
    }
}

#[test]
fn one_more_of_the_same_is_one_finding() {
    let base = "a = 1  # noqa\n";
    let found = suppressions("a.py", Some(base), "a = 1  # noqa\nb = 2  # noqa\n");
    assert_eq!(found.len(), 1);
    assert_eq!(found[0].line, 2);
}
