//! Stubs, markers and swallowed errors, rule by rule, and what is none of them.

use tress_inspect::completeness::inspect;

fn rules(path: &str, base: Option<&str>, new: &str) -> Vec<String> {
    inspect(path, base, new).into_iter().map(|finding| finding.rule).collect()
}

#[test]
fn each_rule_finds_what_it_is_for() {
    for (path, text, rule) in [
        ("a.rs", "fn f(a: u8) -> u8 { todo!() }", "stub-call"),
        (
            "a.rs",
            "fn f(a: u8) -> u8 { if a > 1 { unimplemented!(\"big\") } else { a } }",
            "stub-call",
        ),
        (
            "a.rs",
            "fn f(a: u8) -> Result<u8, String> { Err(\"not implemented\".into()) }",
            "stub-call",
        ),
        ("a.rs", "fn f(a: u8) -> u8 { unreachable!() }", "unreachable-only"),
        ("a.rs", "fn f(a: u8) -> u8 {\n    // TODO: count\n    a\n}", "marker-comment"),
        ("a.rs", "fn parse(text: &str) -> Vec<u8> { Vec::new() }", "constant-return"),
        ("a.rs", "fn check(user: &User) -> Result<(), Error> { Ok(()) }", "constant-return"),
        ("a.rs", "fn f(items: &[u8]) {}", "empty-body"),
        ("a.rs", "fn f(a: u8) {\n    // let x = g(a);\n    // h(x);\n}", "commented-out"),
        ("a.rs", "fn f(a: u8) { println!(\"f called\"); }", "log-only"),
        (
            "a.rs",
            "fn f(w: &mut W) {\n    w.open();\n    let _ = w.write_all(b\"x\");\n}",
            "swallowed-error",
        ),
        ("a.rs", "fn f(w: &mut W) {\n    w.open();\n    w.sync_all().ok();\n}", "swallowed-error"),
        (
            "a.rs",
            "fn f() -> u8 {\n    match g() {\n        Ok(x) => x,\n        Err(_) => {}\n    }\n}",
            "swallowed-error",
        ),
        ("a.rs", "fn f() {\n    if let Err(_) = g() {}\n    h();\n}", "swallowed-error"),
        ("a.rs", "fn f(a: u8) -> u8 {\n    let b = a + 1;\n", "syntax-error"),
        ("a.py", "def f(a):\n    raise NotImplementedError\n", "stub-call"),
        ("a.py", "def f(a):\n    pass\n", "empty-body"),
        ("a.py", "def f(a):\n    \"\"\"Counts.\"\"\"\n    ...\n", "empty-body"),
        ("a.py", "def count(items):\n    return 0\n", "constant-return"),
        (
            "a.py",
            "def f(a):\n    try:\n        g(a)\n    except Exception:\n        pass\n    return a\n",
            "swallowed-error",
        ),
        (
            "a.py",
            "def f(a):\n    try:\n        g(a)\n    except:\n        pass\n    return a\n",
            "swallowed-error",
        ),
        (
            "a.py",
            "def f(a) -> int:\n    total = 0\n    for x in a:\n        total += x\n",
            "missing-return",
        ),
        ("a.py", "def f(a):\n    for x in a:\n        g(x)\n    total = h(a)\n", "truncated-body"),
        ("a.py", "def f(a):\n    while a:\n", "syntax-error"),
        (
            "a.ts",
            "export function f(a: string): number { throw new Error('Not implemented'); }",
            "stub-call",
        ),
        ("a.ts", "export async function save(a: string): Promise<void> {}", "empty-body"),
        (
            "a.ts",
            "export function find(a: string[]): string | null { return null; }",
            "constant-return",
        ),
        ("a.js", "function f(a) { try { g(a); } catch (e) {} }", "swallowed-error"),
        ("a.js", "function f(a) { return g(a).catch(() => {}); }", "swallowed-error"),
        (
            "a.tsx",
            "export const F = (p: P) => {\n  // FIXME\n  return <p>{p.x}</p>;\n};",
            "marker-comment",
        ),
        ("a.go", "package a\nfunc F(a int) int { panic(\"not implemented\") }", "stub-call"),
        (
            "a.go",
            "package a\nfunc F(a int) error { return errors.New(\"not implemented\") }",
            "stub-call",
        ),
        (
            "a.go",
            "package a\nfunc F(a int) int {\n\tx, err := g(a)\n\tif err != nil {\n\t}\n\treturn x\n}",
            "swallowed-error",
        ),
        (
            "a.go",
            "package a\nfunc F(a int) {\n\tg(a)\n\t_ = os.WriteFile(p, d, 0o644)\n}",
            "swallowed-error",
        ),
        (
            "a.go",
            "package a\nfunc Parse(s string) (*T, error) { return nil, nil }",
            "constant-return",
        ),
        (
            "A.java",
            "class A { int f(int a) { throw new UnsupportedOperationException(); } }",
            "stub-call",
        ),
        (
            "A.java",
            "class A { void f(int a) { try { g(a); } catch (IOException e) { } } }",
            "swallowed-error",
        ),
        ("A.java", "class A { List<String> find(int a) { return null; } }", "constant-return"),
    ] {
        let found = rules(path, None, text);
        assert!(found.iter().any(|found| found == rule), "{rule} in {text}: {found:?}");
    }
}

#[test]
fn finished_things_that_look_like_stubs_are_left_alone() {
    for (path, text) in [
        (
            "a.rs",
            "impl A { fn name(&self) -> &str { \"x\" } fn is_x(&self) -> bool { false } fn flush(&mut self) {} }",
        ),
        ("a.rs", "trait T { fn f(&self, _a: u8) -> bool { false } fn g(&mut self) {} }"),
        ("a.rs", "impl Drop for A { fn drop(&mut self) {} }"),
        (
            "a.rs",
            "impl Sink for NullSink { fn put(&mut self, _a: u8) -> Result<(), E> { Ok(()) } }",
        ),
        ("a.rs", "fn f(k: K) -> u8 { match k { K::A => 1, K::B => unreachable!() } }"),
        ("a.rs", "fn f(tx: &Tx) { let _ = tx.send(1); }"),
        (
            "a.rs",
            "fn f(p: &Path) {\n    g(p);\n    // The file may be gone already, which is as well.\n    let _ = fs::write(p, \"\");\n}",
        ),
        (
            "a.rs",
            "/// A list of `TODO` items; see the TODO list.\nfn todos(text: &str) -> usize { text.matches(\"TODO\").count() }",
        ),
        ("a.rs", "fn f(x: u8) -> Result<T, E> { Err(E::new(x, \"a whole todo id\")) }"),
        (
            "a.py",
            "class A:\n    def __init__(self, a):\n        pass\n    def __exit__(self, *a):\n        return None\n    def on_close(self, a):\n        pass\n",
        ),
        (
            "a.py",
            "class Base:\n    def run(self, a):\n        raise NotImplementedError\n\nclass Child(Base):\n    def run(self, a):\n        return a + 1\n",
        ),
        (
            "a.py",
            "def f(p):\n    try:\n        os.remove(p)\n    except FileNotFoundError:\n        pass\n",
        ),
        ("a.py", "def f(a):\n    if a:\n        return 1\n    raise ValueError(a)\n"),
        ("a.py", "def f(self) -> Iterator[int]:\n    yield 1\n"),
        (
            "a.ts",
            "export const noop = () => {};\nexport function never(a: never): never { throw new Error(`unexpected ${a}`); }",
        ),
        ("a.ts", "class A { constructor(private readonly x: X) {} onEvent(e: E): void {} }"),
        ("a.js", "function f(p) { try { g(p); } catch {\n  // the cache is only a help\n} }"),
        (
            "a.go",
            "package a\ntype E interface{ isE() }\nfunc (N) isE() {}\nfunc (NopLog) Print(a string) {}",
        ),
        ("a.go", "package a\nfunc F(f *os.File) { _ = f.Close() }"),
        (
            "A.java",
            "class A { private A() {} @Override public boolean isEmpty() { return true; } @Override public void close() {} }",
        ),
        ("A.java", "class A { void f() { try { g(); } catch (IOException ignored) { } } }"),
        ("A.java", "abstract class A { protected void changed(int a) {} abstract int g(); }"),
    ] {
        assert_eq!(inspect(path, None, text), [], "{text}");
    }
}

#[test]
fn what_was_there_before_is_not_told() {
    let base =
        "fn f(a: u8) -> u8 {\n    // TODO: faster\n    a\n}\nfn g(a: u8) -> Vec<u8> { vec![] }\n";
    let new = format!("fn h(a: u8) -> u8 {{ a + 1 }}\n{}", base.replace("    a\n", "    a + 2\n"));
    assert_eq!(inspect("a.rs", Some(base), &new), []);
    let twice = new.replace("fn g", "// TODO: slower\nfn g");
    let found = inspect("a.rs", Some(base), &twice);
    assert_eq!(found.len(), 1);
    assert_eq!((found[0].line, found[0].rule.as_str()), (6, "marker-comment"));
    // A grammar that cannot read the base cannot read the change either.
    assert_eq!(rules("a.rs", Some("fn f( { g(); "), "fn f( { h(); "), [] as [&str; 0]);
}

#[test]
fn a_body_that_was_taken_away_is_told_though_what_is_left_looks_finished() {
    let base = "impl A { fn is_x(&self) -> bool {\n    let n = self.items.iter().filter(|i| i.on).count();\n    n > 2\n} }";
    let found = inspect("a.rs", Some(base), "impl A { fn is_x(&self) -> bool { false } }");
    assert_eq!(found[0].rule, "gutted-body");
    assert_eq!(found[0].symbol.as_deref(), Some("A::is_x"));
    let base = "def f(a):\n    b = g(a)\n    if not b:\n        return None\n    c = h(b)\n    d = k(c)\n    return d\n";
    let cut = "def f(a):\n    b = g(a)\n    if not b:\n        return None\n    k(b)\n";
    assert_eq!(rules("a.py", Some(base), cut), ["missing-return"]);
}

#[test]
fn places_are_those_of_the_text() {
    let found = inspect(
        "src/a.rs",
        None,
        "mod x {\n\n    fn f(a: u8) -> u8 {\n        todo!()\n    }\n}\n",
    );
    assert_eq!((found[0].line, found[0].column, found[0].symbol.as_deref()), (4, 9, Some("f")));
    assert_eq!(found[0].to_string(), "src/a.rs:4: todo! stands where code should (stub-call)");
}
