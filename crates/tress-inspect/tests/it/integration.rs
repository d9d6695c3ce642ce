//! What is new and nothing uses.

use tress_inspect::integration::{Change, symbols_defined, unreferenced};
use tress_inspect::{Finding, Severity};

/// The first file is changed (new where `base` is `None`), all are the tree.
fn judge(base: Option<&str>, tree: &[(&str, &str)]) -> Vec<Finding> {
    let (path, new) = tree[0];
    unreferenced(&[Change { path, base, new }], tree.iter().copied())
}

fn told(findings: &[Finding]) -> Vec<(&str, Option<&str>, Severity)> {
    findings.iter().map(|f| (f.rule.as_str(), f.symbol.as_deref(), f.severity)).collect()
}

#[test]
fn a_function_that_only_tests_use_is_told_in_each_language() {
    let error = |name| vec![("unreferenced", Some(name), Severity::Error)];
    for (path, base, new, main, uses, test) in [
        (
            "src/a.rs",
            "fn old() {}\n",
            "fn old() {}\nfn fresh() -> u8 { fresh() }\n#[cfg(test)]\nmod tests { #[test] fn t() { fresh(); } }\n",
            "src/main.rs",
            "mod a; fn main() { a::fresh(); }",
            "",
        ),
        ("app/x/a.py", "", "", "app/x/b.py", "", ""),
        (
            "lib/a.py",
            "def old(): pass\n",
            "def old(): pass\ndef fresh(): return 1\n",
            "lib/b.py",
            "from lib.a import fresh\nif __name__ == '__main__':\n    fresh()\n",
            "from lib.a import fresh\ndef test_f(): fresh()\n",
        ),
        (
            "src/a.ts",
            "",
            "export function fresh() { return 1; }\n",
            "src/main.ts",
            "import { fresh } from './a';\nfresh();\n",
            "import { fresh } from './a';\nfresh();\n",
        ),
        (
            "a.go",
            "package main\n",
            "package main\nfunc fresh() int { return 1 }\n",
            "main.go",
            "package main\nfunc main() { fresh() }\n",
            "",
        ),
        (
            "src/A.java",
            "class A { }",
            "class A { }\nclass Fresh { Fresh() {} Fresh copy() { return new Fresh(); } }",
            "src/B.java",
            "class B { public static void main(String[] a) { new Fresh(); } }",
            "class T { Fresh f; }",
        ),
    ] {
        if new.is_empty() {
            continue;
        }
        let name = if path.ends_with("java") { "Fresh" } else { "fresh" };
        let unused = uses
            .replace("fresh()", "other()")
            .replace("Fresh", "Other")
            .replace("import fresh", "import old")
            .replace("{ fresh }", "{ other }");
        let test_path = "tests/test_a.py".replace("py", path.rsplit('.').next().unwrap());
        let alone = judge(Some(base), &[(path, new), (main, &unused), (&test_path, test)]);
        assert_eq!(told(&alone), error(name), "{path}");
        assert_eq!(
            judge(Some(base), &[(path, new), (main, uses), (&test_path, test)]),
            [],
            "{path}"
        );
    }
}

#[test]
fn what_is_public_in_a_library_is_only_a_warning() {
    let found = judge(
        Some(""),
        &[
            (
                "src/a.rs",
                "pub fn fresh() -> u8 { 1 }\npub struct Fresh;\nimpl Fresh { fn f(self) -> Fresh { self } }\n",
            ),
            ("src/lib.rs", "pub mod a;"),
        ],
    );
    assert_eq!(
        told(&found),
        [
            ("unreferenced", Some("fresh"), Severity::Warning),
            ("unreferenced", Some("Fresh"), Severity::Warning)
        ]
    );
    let found = judge(Some(""), &[("lib/a.py", "def fresh(): return 1\ndef _own(): return 2\n")]);
    assert_eq!(
        told(&found),
        [
            ("unreferenced", Some("fresh"), Severity::Warning),
            ("unreferenced", Some("_own"), Severity::Error)
        ]
    );
    // What is exported again is used.
    assert_eq!(
        judge(
            Some(""),
            &[("src/a.rs", "pub fn fresh() {}"), ("src/lib.rs", "mod a;\npub use a::fresh;")]
        ),
        []
    );
    assert_eq!(
        judge(Some(""), &[("lib/a.py", "__all__ = [\"fresh\"]\ndef fresh(): return 1\n")]),
        []
    );
}

#[test]
fn what_is_called_without_being_named_is_excused() {
    for (path, text) in [
        (
            "src/a.rs",
            "fn main() {}\nimpl Display for A { fn fmt(&self, f: &mut F) -> R { w(f) } }\n#[no_mangle]\npub extern fn hook() {}\n",
        ),
        ("lib/a.py", "@app.route('/')\ndef index(): return 1\ndef __getattr__(name): return 2\n"),
        ("src/a.ts", "export default function page() { return 1; }\n"),
        ("a.go", "package a\nfunc init() { f() }\n"),
        ("src/A.java", "@Component class A { @Bean Thing thing() { return new Thing(); } }"),
        ("examples/a.rs", "fn shown() {}\n"),
        ("tests/a.rs", "fn helper() {}\n"),
    ] {
        assert_eq!(judge(Some(""), &[(path, text)]), [], "{path}");
    }
    // A manifest may name it; a README does not wire it in.
    let python = ("lib/a.py", "def _fresh(): return 1\n");
    assert_eq!(
        judge(Some(""), &[python, ("pyproject.toml", "[project.scripts]\nrun = 'lib.a:_fresh'\n")]),
        []
    );
    assert_eq!(judge(Some(""), &[python, ("README.md", "Call _fresh.")]).len(), 1);
}

#[test]
fn a_new_file_that_nothing_declares_is_told() {
    let rule = |found: Vec<Finding>| found.into_iter().filter(|f| f.rule == "unwired-file").count();
    for (path, other, declares) in [
        ("src/fresh.rs", "src/lib.rs", "pub mod fresh;"),
        ("src/fresh.rs", "src/lib.rs", "#[path = \"fresh.rs\"]\nmod other;"),
        ("src/fresh/mod.rs", "src/main.rs", "mod  fresh ;\nfn main() {}"),
        ("shop/fresh.py", "shop/main.py", "from shop.fresh import x\n"),
        ("shop/fresh.py", "shop/main.py", "from . import (\n    other,\n    fresh,\n)\n"),
        ("shop/fresh.py", "shop/main.py", "import shop.fresh as f\n"),
        ("src/fresh.ts", "src/app.ts", "import { x } from \"./fresh\";\n"),
        ("src/fresh.ts", "src/app.ts", "export * from './fresh.js';\n"),
        ("src/fresh.js", "src/app.js", "const x = require('../src/fresh');\n"),
        ("src/fresh/index.ts", "src/app.ts", "import x from './fresh';\n"),
    ] {
        let text = if path.ends_with("py") { "x = 1\n" } else { "" };
        assert_eq!(rule(judge(None, &[(path, text), (other, declares)])), 0, "{path}: {declares}");
        let without = declares.replace("fresh", "stale");
        assert_eq!(rule(judge(None, &[(path, text), (other, &without)])), 1, "{path}: {without}");
        assert_eq!(
            rule(judge(Some(""), &[(path, text), (other, &without)])),
            0,
            "{path} is not new"
        );
    }
    for path in [
        "src/main.rs",
        "src/bin/tool.rs",
        "tests/it/fresh.rs",
        "shop/__init__.py",
        "test_fresh.py",
        "src/fresh.test.ts",
        "src/index.ts",
        "vite.config.ts",
        "fresh.go",
        "Fresh.java",
        "fresh.md",
    ] {
        assert_eq!(rule(judge(None, &[(path, "")])), 0, "{path}");
    }
    assert_eq!(
        rule(judge(None, &[("shop/tool.py", "if __name__ == \"__main__\":\n    pass\n")])),
        0
    );
}

#[test]
fn the_symbols_that_a_text_defines_are_known() {
    for (path, text, wanted) in [
        (
            "a.rs",
            "const A: u8 = 1; struct B { c: u8 } enum D { E } impl B { fn f(&self) {} } mod g {} macro_rules! h { () => {} } type I = u8;",
            vec!["A", "B", "c", "D", "E", "B::f", "f", "g", "I"],
        ),
        (
            "a.py",
            "A = 1\nclass B:\n    c: int = 2\n    def f(self): pass\n",
            vec!["A", "B", "B.f", "f"],
        ),
        (
            "a.ts",
            "export const a = 1; interface B { c(): void } type D = string; enum E { F } class G { h() {} }",
            vec!["a", "B", "D", "E", "G", "G.h", "h"],
        ),
        (
            "a.go",
            "package a\nconst A = 1\nvar b int\ntype C struct{ D int }\nfunc (c C) E() {}\n",
            vec!["A", "b", "C", "C.E", "E"],
        ),
        (
            "A.java",
            "class A { int b; enum C { D } void e() {} }",
            vec!["A", "b", "C", "D", "A.e", "e"],
        ),
    ] {
        let found = symbols_defined(path, text);
        for name in wanted {
            assert!(found.contains(name), "{path}: {name} in {found:?}");
        }
        assert!(!found.contains("u8") && !found.contains("int"), "{path}");
    }
}
