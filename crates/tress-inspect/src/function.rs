//! The functions of a file, and which of them a change touched.

use std::collections::BTreeMap;
use std::ops::Range;

use crate::Language;
use crate::syntax::{Id, Syntax, parse};

/// A function, method, constructor or test case.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Function {
    /// The qualified name: `parse`, `Type::method` (Rust), `Class.method` (the others); the title of
    /// a test case in JavaScript and TypeScript.
    pub name: String,
    /// The type, class, trait or interface it belongs to.
    pub container: Option<String>,
    /// Its bytes, with decorators and attributes left out.
    pub range: Range<usize>,
    /// The bytes of its body, braces included; `None` where it has none.
    pub body: Option<Range<usize>>,
    /// Its first line, from 1.
    pub line: usize,
    /// Its last line, from 1.
    pub last_line: usize,
    /// The names of its parameters, the receiver left out.
    pub parameters: Vec<String>,
    /// The type that it returns, as written, where one is written.
    pub returns: Option<String>,
    /// Whether it is a test itself.
    pub test: bool,
    /// Whether it stands in test code: a test, a helper of tests, a file of tests.
    pub in_tests: bool,
    /// Whether it only declares: abstract, an overload, a signature of a trait or an interface.
    pub declaration: bool,
    /// Whether it is one of a trait, base class or interface that others define.
    pub overrides: bool,
    /// Whether it constructs (`new` in Rust is an ordinary function).
    pub constructor: bool,
    /// Whether others can see it: `pub`, exported, capitalised (Go), without underscore (Python).
    pub public: bool,
    /// Decorators, attributes and annotations, as written.
    pub marks: Vec<String>,
    /// What the body says, whatever its layout and comments.
    pub hash: u64,
    pub(crate) node: Id,
    pub(crate) body_node: Option<Id>,
}

impl Function {
    /// The name without what it belongs to.
    pub fn short_name(&self) -> &str {
        let name = self.name.rsplit_once("::").map_or(self.name.as_str(), |(_, name)| name);
        match &self.container {
            Some(container) => name
                .strip_prefix(container.as_str())
                .and_then(|name| name.strip_prefix('.'))
                .unwrap_or(name),
            None => name,
        }
    }
}

/// A changed function and what stood in its place in the base.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Changed {
    /// The function now.
    pub now: Function,
    /// The function of the same name before; `None` where it is new.
    pub before: Option<Function>,
}

/// The functions of the file at `path`, in the order of the text; none where the language is not
/// known or the text is too long.
pub fn functions(path: &str, text: &str) -> Vec<Function> {
    let tree = Language::of(path).and_then(|language| parse(language, text));
    tree.map(|tree| of_syntax(path, &Syntax::of(&tree))).unwrap_or_default()
}

/// The functions of `new` that are new or whose body says something else than in `base`.
pub fn changed(path: &str, base: Option<&str>, new: &str) -> Vec<Changed> {
    let before = base.map(|base| functions(path, base)).unwrap_or_default();
    pair(before, functions(path, new))
}

pub(crate) fn pair(before: Vec<Function>, now: Vec<Function>) -> Vec<Changed> {
    let mut by_name: BTreeMap<String, Vec<Function>> = BTreeMap::new();
    for function in before {
        by_name.entry(function.name.clone()).or_default().push(function);
    }
    let mut changed = Vec::new();
    for function in now {
        // Several may bear a name (implementations of one trait for several types); the ones that
        // say the same are each other's, the rest pair up in order.
        let same = by_name.get_mut(&function.name);
        match same.map(|same| (same.iter().position(|old| old.hash == function.hash), same)) {
            Some((Some(at), same)) => drop(same.remove(at)),
            _ => changed.push(function),
        }
    }
    let mut take = |name: &str| {
        let same = by_name.get_mut(name)?;
        (!same.is_empty()).then(|| same.remove(0))
    };
    changed.into_iter().map(|now| Changed { before: take(&now.name), now }).collect()
}

/// Whether `path` is a file of tests by where it is or what it is called.
pub fn is_test_path(path: &str) -> bool {
    let path = path.replace('\\', "/");
    let (dirs, name) = path.rsplit_once('/').unwrap_or(("", &path));
    let stem = name.split_once('.').map_or(name, |(stem, _)| stem);
    let dir = |name: &str| dirs.split('/').any(|dir| dir == name);
    dir("tests")
        || dir("test")
        || dir("__tests__")
        || dir("testdata")
        || dir("benches")
        || match Language::of(&path) {
            Some(Language::Python) => {
                stem.starts_with("test_")
                    || stem.ends_with("_test")
                    || stem == "conftest"
                    || stem == "tests"
            }
            Some(Language::Go) => stem.ends_with("_test"),
            Some(Language::Rust) => stem == "tests" || stem.ends_with("_tests"),
            Some(Language::Java) => {
                stem.ends_with("Test") || stem.ends_with("Tests") || stem.ends_with("IT")
            }
            Some(_) => name.contains(".test.") || name.contains(".spec."),
            None => false,
        }
}

/// The family whose grammar a language shares.
pub(crate) const fn family(language: Language) -> &'static str {
    match language {
        Language::TypeScript | Language::Tsx | Language::JavaScript => "js",
        other => other.name(),
    }
}

pub(crate) fn of_syntax(path: &str, syntax: &Syntax<'_>) -> Vec<Function> {
    let in_test_file = is_test_path(path);
    let stub_file = path.ends_with(".pyi") || path.ends_with(".d.ts");
    let reachable = syntax.all().filter(|id| !syntax.too_deep(*id));
    let found = reachable.filter_map(|id| match family(syntax.language) {
        "rust" => crate::grammar::rust(syntax, id),
        "python" => crate::grammar::python(syntax, id),
        "js" => crate::grammar::js(syntax, id),
        "go" => crate::grammar::go(syntax, id),
        _ => crate::grammar::java(syntax, id),
    });
    found
        .map(|mut function| {
            function.in_tests |= in_test_file || function.test;
            function.declaration |= stub_file;
            function
        })
        .collect()
}
