//! The functions of a file.

use tress_inspect::function::{changed, functions, is_test_path};

fn names(path: &str, text: &str) -> Vec<String> {
    functions(path, text).into_iter().map(|function| function.name).collect()
}

#[test]
fn functions_have_qualified_names_in_every_language() {
    for (path, text, wanted) in [
        (
            "src/a.rs",
            "fn f() {} impl<T> Foo<T> { fn g(&self) {} } trait T { fn h(&self); fn i(&self) {} } impl T for &Bar { fn h(&self) {} }",
            vec!["f", "Foo::g", "T::h", "T::i", "Bar::h"],
        ),
        (
            "a.py",
            "def f(): pass\nclass C:\n    def g(self): pass\n    @staticmethod\n    def h(x): pass\ndef o():\n    def inner(): pass\n",
            vec!["f", "C.g", "C.h", "o", "inner"],
        ),
        (
            "a.ts",
            "function f(): void {}\nclass C { g() {} h = (x: number) => x; }\nconst k = () => 1;\nconst o = { p: function () {}, q() {} };\nexports.r = () => 2;\n",
            vec!["f", "C.g", "C.h", "k", "p", "q", "r"],
        ),
        (
            "a.go",
            "package a\nfunc F() {}\nfunc (t *T[K]) G(a, b int) error { return nil }\n",
            vec!["F", "T.G"],
        ),
        (
            "A.java",
            "class A { A() {} int f(int x) { return x; } interface I { void g(); } }",
            vec!["A.A", "A.f", "I.g"],
        ),
    ] {
        assert_eq!(names(path, text), wanted, "{path}");
    }
}

#[test]
fn parameters_types_and_places_are_known() {
    let text = "impl A {\n    /// Does.\n    #[inline]\n    pub fn f(&mut self, (a, b): (u8, u8), mut c: Vec<u8>) -> Option<u8> {\n        None\n    }\n}\n";
    let f = functions("src/a.rs", text).remove(0);
    assert_eq!(
        (f.parameters.as_slice(), f.returns.as_deref()),
        (&["a".to_owned(), "c".to_owned()][..], Some("Option<u8>"))
    );
    assert_eq!((f.line, f.last_line, f.public), (4, 6, true));
    assert_eq!(f.marks, ["#[inline]"]);
    assert!(text[f.body.unwrap()].starts_with("{\n        None"));
    let f = functions(
        "a.py",
        "class C:\n    def f(self, a, *b, c: int = 1, **d) -> int:\n        return a\n",
    )
    .remove(0);
    assert_eq!((f.parameters.len(), f.returns.as_deref()), (4, Some("int")));
    let f = functions("a.ts", "function f({ a }: X, b = 2, ...c: number[]): Promise<void> {}")
        .remove(0);
    assert_eq!((f.parameters.len(), f.returns.as_deref()), (3, Some("Promise<void>")));
    let f =
        functions("a.go", "package a\nfunc F(a, b int, _ string) (int, error) { return 0, nil }")
            .remove(0);
    assert_eq!((f.parameters.len(), f.returns.as_deref()), (3, Some("(int, error)")));
    let f = functions(
        "A.java",
        "class A { @Override public long f(int a, String... b) { return 1; } }",
    )
    .remove(0);
    assert_eq!((f.parameters.len(), f.returns.as_deref(), f.overrides), (2, Some("long"), true));
}

#[test]
fn tests_and_their_helpers_are_told_from_code() {
    let text = "fn a() {}\n#[test]\nfn b() {}\n#[cfg(test)]\nmod tests {\n    fn helper() {}\n    #[tokio::test]\n    async fn c() {}\n}\n";
    let found = functions("src/a.rs", text);
    let told: Vec<_> = found.iter().map(|f| (f.name.as_str(), f.test, f.in_tests)).collect();
    assert_eq!(
        told,
        [("a", false, false), ("b", true, true), ("helper", false, true), ("c", true, true)]
    );
    let js = functions(
        "a.test.ts",
        "describe('x', () => { it('does', () => { expect(f()).toBe(1); }); });",
    );
    assert_eq!((js[0].name.as_str(), js[0].test), ("does", true));
    let go = functions("a_test.go", "package a\nfunc TestA(t *testing.T) {}\nfunc help() {}");
    assert_eq!((go[0].test, go[1].test, go[1].in_tests), (true, false, true));
    let java =
        functions("A.java", "class A { @Test void a() {} @BeforeEach void b() {} void c() {} }");
    assert_eq!(
        (java[0].test, java[1].test, java[1].in_tests, java[2].in_tests),
        (true, false, true, false)
    );
    let py = functions(
        "a.py",
        "class TestX(TestCase):\n    def test_a(self): pass\n    def setUp(self): pass\n@pytest.fixture\ndef thing(): return 1\n",
    );
    assert_eq!((py[0].test, py[1].in_tests, py[2].in_tests), (true, true, true));
    for path in [
        "tests/a.rs",
        "src/x/tests.rs",
        "test_a.py",
        "a_test.go",
        "web/a.spec.tsx",
        "src/test/java/A.java",
        "src/ATest.java",
        "a/__tests__/b.js",
    ] {
        assert!(is_test_path(path), "{path}");
    }
    for path in ["src/latest.rs", "contest.py", "src/attest.go", "src/testing.ts", "Latest.java"] {
        assert!(!is_test_path(path), "{path}");
    }
}

#[test]
fn what_only_declares_is_known() {
    let declares = |path: &str, text: &str| functions(path, text).iter().all(|f| f.declaration);
    assert!(declares("a.rs", "trait T { fn f(&self) -> u8; }"));
    assert!(declares("a.py", "class P(Protocol):\n    def f(self) -> int: ...\n"));
    assert!(declares("a.py", "@overload\ndef f(a: int) -> int: ...\n"));
    assert!(declares("a.py", "class B(ABC):\n    @abstractmethod\n    def f(self): pass\n"));
    assert!(declares("a.pyi", "def f(a: int) -> int: ...\n"));
    assert!(declares(
        "a.ts",
        "abstract class A { abstract f(): void; }\nfunction g(a: string): string;\ninterface I { h(): void }"
    ));
    assert!(declares("A.java", "interface I { void f(); } abstract class B { abstract int g(); }"));
    assert!(!declares("a.py", "def f(a):\n    ...\n"));
}

#[test]
fn only_bodies_that_say_something_else_are_changed() {
    let base = "fn a() -> u8 { 1 }\nfn b() -> u8 { 2 }\nfn gone() {}\n";
    let new = "/// Now documented.\nfn a() -> u8 {\n    // the same\n    1\n}\nfn b() -> u8 { 3 }\nfn c() {}\n";
    let found = changed("src/a.rs", Some(base), new);
    let told: Vec<_> = found.iter().map(|c| (c.now.name.as_str(), c.before.is_some())).collect();
    assert_eq!(told, [("b", true), ("c", false)]);
    // Two of a name: the one that is new is the one that is changed.
    let one = "impl From<u8> for T { fn from(x: u8) -> T { T(x) } }\n";
    let two = format!("impl From<u16> for T {{ fn from(x: u16) -> T {{ T(x as u8) }} }}\n{one}");
    let found = changed("src/a.rs", Some(one), &two);
    assert_eq!((found.len(), found[0].now.line, found[0].before.is_some()), (1, 1, false));
    assert!(changed("src/a.txt", None, new).is_empty());
}
