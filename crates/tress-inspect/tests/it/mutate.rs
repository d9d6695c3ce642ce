//! Bodies replaced by defaults.

use tress_inspect::function::functions;
use tress_inspect::mutate::with_default_body;

fn mutant(path: &str, text: &str) -> Option<String> {
    let function = functions(path, text).into_iter().last().unwrap();
    with_default_body(path, text, &function)
}

#[test]
fn defaults_are_of_the_type_that_is_returned() {
    for (kind, default) in [
        ("bool", "false"),
        ("u32", "0"),
        ("f64", "0.0"),
        ("String", "String::new()"),
        ("&'static str", "\"\""),
        ("Option<Vec<u8>>", "None"),
        ("io::Result<(u8, String)>", "Ok((0, String::new()))"),
        ("Result<Vec<u8>, Box<dyn Error>>", "Ok(Vec::new())"),
        ("std::collections::BTreeMap<String, u8>", "Default::default()"),
        ("Box<u8>", "Box::new(0)"),
        ("impl Iterator<Item = u8>", "std::iter::empty()"),
        ("Self", "Default::default()"),
    ] {
        let text = format!("fn f(a: u8) -> {kind} {{ g(a) }}");
        let wanted = format!("fn f(a: u8) -> {kind} {{ {default} }}");
        assert_eq!(mutant("a.rs", &text), Some(wanted));
    }
    for kind in ["&T", "!", "impl Fn(u8) -> u8", "Box<dyn Error>", "Result<&'a T, E>"] {
        assert_eq!(mutant("a.rs", &format!("fn f(a: u8) -> {kind} {{ g(a) }}")), None, "{kind}");
    }
}

#[test]
fn each_language_has_its_defaults() {
    for (path, text, wanted) in [
        ("a.rs", "fn f(a: u8) { g(a); }", "fn f(a: u8) {}"),
        ("a.py", "def f(a):\n    b = g(a)\n    return b\n", "def f(a):\n    return None\n"),
        ("a.py", "def f(a): return g(a)\n", "def f(a): return None\n"),
        (
            "a.ts",
            "function f(a: A): B { return g(a); }",
            "function f(a: A): B { return undefined as any; }",
        ),
        ("a.ts", "const f = (a: A) => g(a);", "const f = (a: A) => (undefined as any);"),
        ("a.ts", "function f(a: A): void { g(a); }", "function f(a: A): void {}"),
        ("a.js", "function f(a) { return g(a); }", "function f(a) { return undefined; }"),
        (
            "A.java",
            "class A { boolean f(int a) { return g(a); } }",
            "class A { boolean f(int a) { return false; } }",
        ),
        (
            "A.java",
            "class A { List<A> f(int a) { return g(a); } }",
            "class A { List<A> f(int a) { return null; } }",
        ),
        ("A.java", "class A { void f(int a) { g(a); } }", "class A { void f(int a) {} }"),
    ] {
        assert_eq!(mutant(path, text).as_deref(), Some(wanted));
    }
    let go =
        mutant("a.go", "package a\nfunc F(a int) (map[string]int, T, error) {\n\treturn g(a)\n}\n")
            .unwrap();
    assert!(go.contains("return nil, *new(T), nil\n"), "{go}");
    // What it used stays used, or Go would not compile it.
    assert!(go.contains("return g(a)"), "{go}");
    let named = mutant("a.go", "package a\nfunc F(a int) (n int, err error) {\n\treturn g(a)\n}\n")
        .unwrap();
    assert!(named.contains("{\n\treturn \n"), "{named}");
}

#[test]
fn where_nothing_would_change_there_is_no_mutant() {
    for (path, text) in [
        ("a.rs", "fn f(a: u8) -> u8 { 0 }"),
        ("a.rs", "fn f(a: u8) {}"),
        ("a.rs", "trait T { fn f(&self) -> u8; }"),
        ("a.py", "def f(a):\n    return None\n"),
        ("a.py", "class A:\n    def __init__(self, a):\n        self.a = a\n"),
        ("a.js", "function f() {}"),
        ("A.java", "class A { A() { g(); } }"),
        ("a.go", "package a\nfunc F() {}"),
    ] {
        assert_eq!(mutant(path, text), None, "{text}");
    }
}
