//! From what an import says to the file that it means.

use std::collections::{BTreeMap, BTreeSet};

use super::graph::Target;
use super::rust_modules::{Names, RustModules};
use super::{Import, ImportKind};
use crate::language::Language;

/// Of files with the same name no more are looked at.
const SAME_NAME_MAX: usize = 64;
/// More directories above a file are not looked at.
const DEPTH_MAX: usize = 64;
/// The endings that an import of JavaScript or TypeScript may leave out, in this order.
const SCRIPT_ENDINGS: [&str; 9] = ["ts", "tsx", "d.ts", "mts", "cts", "js", "jsx", "mjs", "cjs"];
/// What an import may say where the source is TypeScript, and what the source is called then.
const SCRIPT_COMPILED: [(&str, &[&str]); 4] =
    [(".js", &["ts", "tsx", "d.ts"]), (".jsx", &["tsx"]), (".mjs", &["mts"]), (".cjs", &["cts"])];

pub(super) struct Resolver<'f> {
    files: &'f BTreeMap<String, Vec<Import>>,
    rust: RustModules<'f>,
    /// Where a package of Python that no other holds lies.
    python_roots: BTreeSet<&'f str>,
    /// Go modules: their path, and the directory; the longest path first.
    go_modules: Vec<(String, &'f str)>,
    /// Packages of JavaScript that lie in the tree: name and directory.
    node_packages: BTreeMap<String, &'f str>,
    /// The files of Java by their name without directories.
    java: BTreeMap<&'f str, Vec<&'f str>>,
}

/// What is before the last slash.
pub(super) fn directory(path: &str) -> &str {
    path.rsplit_once('/').map_or("", |(directory, _)| directory)
}

fn file_name(path: &str) -> &str {
    path.rsplit('/').next().unwrap_or(path)
}

pub(super) fn join(directory: &str, name: &str) -> String {
    match (directory, name) {
        ("", name) => name.to_owned(),
        (directory, "") => directory.to_owned(),
        (directory, name) => format!("{directory}/{name}"),
    }
}

/// `relative` seen from `directory`; `None` where it leads out of the tree.
fn normalized(directory: &str, relative: &str) -> Option<String> {
    let mut parts: Vec<&str> = directory.split('/').filter(|part| !part.is_empty()).collect();
    for part in relative.split('/') {
        match part {
            "" | "." => {}
            ".." => {
                parts.pop()?;
            }
            part => parts.push(part),
        }
    }
    Some(parts.join("/"))
}

impl<'f> Resolver<'f> {
    pub(super) fn new(
        files: &'f BTreeMap<String, Vec<Import>>,
        manifests: &'f BTreeMap<String, String>,
    ) -> Self {
        let mut python_roots = BTreeSet::from(["", "src"]);
        let mut java: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
        for path in files.keys() {
            match Language::of(path) {
                Some(Language::Python) => {
                    python_roots.insert(python_root(files, directory(path)));
                }
                Some(Language::Java) => {
                    let same = java.entry(file_name(path)).or_default();
                    if same.len() < SAME_NAME_MAX {
                        same.push(path);
                    }
                }
                _ => {}
            }
        }
        let named =
            |name: &'static str| manifests.iter().filter(move |(path, _)| file_name(path) == name);
        let mut go_modules: Vec<(String, &str)> = named("go.mod")
            .filter_map(|(path, text)| {
                let line = text.lines().find_map(|line| line.trim().strip_prefix("module "))?;
                let name = line.split("//").next().unwrap_or_default().trim().trim_matches('"');
                Some((name.to_owned(), directory(path)))
            })
            .filter(|(name, _)| !name.is_empty())
            .collect();
        go_modules
            .sort_by(|left, right| right.0.len().cmp(&left.0.len()).then_with(|| left.cmp(right)));
        let node_packages = named("package.json").filter_map(|(path, text)| {
            let value: serde_json::Value = serde_json::from_str(text).ok()?;
            Some((value.get("name")?.as_str()?.to_owned(), directory(path)))
        });
        let node_packages = node_packages.collect();
        let rust = RustModules::new(files, manifests);
        Self { files, rust, python_roots, go_modules, node_packages, java }
    }

    /// The names that a file binds itself, so that a path that begins with one is no package.
    pub(super) fn names<'i>(&self, from: &str, imports: &'i [Import]) -> Names<'i> {
        match Language::of(from) {
            Some(Language::Rust) => Names::of(imports),
            _ => Names::default(),
        }
    }

    pub(super) fn resolve(&self, from: &str, import: &Import, names: &Names<'_>) -> Option<Target> {
        match Language::of(from)? {
            Language::Rust => self.rust.resolve(from, import, names),
            Language::Python => self.python(from, import),
            Language::TypeScript | Language::Tsx | Language::JavaScript => {
                self.script(from, &import.target)
            }
            Language::Go => self.go(&import.target),
            Language::Java => self.java(from, &import.target),
        }
    }

    fn file(&self, path: String) -> Option<Target> {
        self.files.contains_key(&path).then_some(Target::File(path))
    }

    /// The module of Python below `root` that is the longest front of `parts`.
    fn python_module(&self, root: &str, parts: &[&str]) -> Option<Target> {
        (1..=parts.len().min(DEPTH_MAX)).rev().find_map(|length| {
            let path = join(root, &parts.get(..length)?.join("/"));
            ["py", "pyi"].into_iter().find_map(|ending| {
                self.file(format!("{path}.{ending}"))
                    .or_else(|| self.file(format!("{path}/__init__.{ending}")))
            })
        })
    }

    fn python(&self, from: &str, import: &Import) -> Option<Target> {
        let here = directory(from);
        let dots = import.target.chars().take_while(|&c| c == '.').count();
        let rest = import.target.get(dots..)?;
        let parts: Vec<&str> = rest.split('.').filter(|part| !part.is_empty()).collect();
        if dots > 0 {
            let mut base = here;
            for _ in 1..dots {
                if base.is_empty() {
                    return None;
                }
                base = directory(base);
            }
            return self.python_module(base, &parts).or_else(|| {
                let package = join(base, "__init__.py");
                // `from . import name`, where the name is not a module.
                self.file(package).filter(|_| parts.len() <= 1)
            });
        }
        let first = parts.first()?;
        let mut above = vec![here];
        while let Some(&last) = above.last().filter(|last| !last.is_empty()) {
            if above.len() >= DEPTH_MAX {
                break;
            }
            above.push(directory(last));
        }
        // Its own root comes first, then what lies above, then every other root of the tree.
        let own = python_root(self.files, here);
        let roots = std::iter::once(own)
            .chain(above.into_iter().filter(|dir| dir.len() < own.len()))
            .chain(self.python_roots.iter().copied());
        let mut roots = roots;
        roots
            .find_map(|root| self.python_module(root, &parts))
            .or_else(|| Some(Target::Package((*first).to_owned())))
    }

    /// The script that `path` means: with an ending, without one, or a directory.
    fn script_file(&self, path: &str) -> Option<Target> {
        if let Some(found) = self.file(path.to_owned()) {
            return Some(found);
        }
        let compiled = SCRIPT_COMPILED
            .iter()
            .filter_map(|(ending, sources)| Some((path.strip_suffix(ending)?, *sources)));
        for (bare, sources) in compiled {
            let found = sources.iter().find_map(|ending| self.file(format!("{bare}.{ending}")));
            if found.is_some() {
                return found;
            }
        }
        let plain = SCRIPT_ENDINGS.iter().map(|ending| format!("{path}.{ending}"));
        let index = SCRIPT_ENDINGS.iter().map(|ending| join(path, &format!("index.{ending}")));
        plain.chain(index).find_map(|path| self.file(path))
    }

    fn script(&self, from: &str, target: &str) -> Option<Target> {
        // A bundler's loader options behind a question mark are no part of the path.
        let target = target.split('?').next().unwrap_or(target);
        if target.starts_with('.') {
            return self.script_file(&normalized(directory(from), target)?);
        }
        let target = target.strip_prefix("node:").unwrap_or(target);
        let scoped = usize::from(target.starts_with('@'));
        let mut parts = target.splitn(2 + scoped, '/');
        let mut name = parts.next()?.to_owned();
        if scoped == 1 {
            name = format!("{name}/{}", parts.next()?);
        }
        let rest = parts.next().unwrap_or_default();
        if let Some(home) = self.node_packages.get(&name) {
            let found = [join(home, rest), join(&join(home, "src"), rest)];
            if let Some(found) = found.iter().find_map(|path| self.script_file(path)) {
                return Some(found);
            }
        }
        (!name.is_empty() && !name.starts_with('/')).then_some(Target::Package(name))
    }

    /// The file that stands for a directory: its first source of the language that is no test.
    fn stands_for(&self, directory: &str, ending: &str) -> Option<Target> {
        let start = if directory.is_empty() { String::new() } else { format!("{directory}/") };
        let within = self.files.range(start.clone()..);
        let within = within.map(|(path, _)| path).take_while(|path| path.starts_with(&start));
        let mut direct = within.filter(|path| {
            let name = path.get(start.len()..).unwrap_or_default();
            !name.contains('/') && name.ends_with(ending) && !name.ends_with("_test.go")
        });
        direct.next().map(|path| Target::File(path.clone()))
    }

    fn go(&self, target: &str) -> Option<Target> {
        for (module, home) in &self.go_modules {
            let rest = target.strip_prefix(module.as_str());
            let rest = rest.filter(|rest| rest.is_empty() || rest.starts_with('/'));
            if let Some(rest) = rest {
                return self.stands_for(&join(home, rest.trim_start_matches('/')), ".go");
            }
        }
        (!target.starts_with('.')).then(|| Target::Package(target.to_owned()))
    }

    fn java(&self, from: &str, target: &str) -> Option<Target> {
        let parts: Vec<&str> = target.split('.').filter(|part| !part.is_empty()).collect();
        if let Some((&"*", package)) = parts.split_last() {
            let path = package.join("/");
            let beside = self.java.values().flatten().copied();
            let mut beside = beside.filter(|file| ends_with_path(directory(file), &path));
            if let Some(found) = beside.next() {
                return Some(Target::File(found.to_owned()));
            }
        }
        // A nested class or a static member: the class is further to the front.
        for length in (1..=parts.len().min(DEPTH_MAX)).rev() {
            let front = parts.get(..length)?;
            let name = format!("{}.java", front.last()?);
            let path = format!("{}.java", front.join("/"));
            let same = self.java.get(name.as_str()).into_iter().flatten().copied();
            let fitting = same.filter(|file| ends_with_path(file, &path));
            // Of several source trees it is the one that the file is in.
            let shared = fitting.map(|file| {
                let common = file.bytes().zip(from.bytes()).take_while(|(a, b)| a == b).count();
                (common, std::cmp::Reverse(file))
            });
            if let Some((_, std::cmp::Reverse(found))) = shared.max() {
                return Some(Target::File(found.to_owned()));
            }
        }
        let lower = |part: &&&str| part.chars().next().is_some_and(char::is_lowercase);
        let package: Vec<&str> = parts.iter().take_while(lower).copied().collect();
        (!package.is_empty()).then(|| Target::Package(package.join(".")))
    }
}

/// Whether `path` ends with all of the components of `end`.
fn ends_with_path(path: &str, end: &str) -> bool {
    path.strip_suffix(end).is_some_and(|front| front.is_empty() || front.ends_with('/'))
}

/// The first directory from `directory` upwards that is no package of Python.
fn python_root<'p>(files: &BTreeMap<String, Vec<Import>>, directory: &'p str) -> &'p str {
    let mut root = directory;
    for _ in 0..DEPTH_MAX {
        if root.is_empty() || !files.contains_key(&join(root, "__init__.py")) {
            break;
        }
        root = self::directory(root);
    }
    root
}

/// Whether an import is the declaration of a module.
pub(super) fn declares(import: &Import) -> bool {
    import.kind == ImportKind::Module
}
