//! The module tree of Rust crates, and paths in it.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use super::graph::Target;
use super::resolve::{declares, directory, join};
use super::{Import, ImportKind};
use crate::language::Language;

/// Names that begin a path and are no package.
const BUILT_IN: [&str; 17] = [
    "bool", "char", "f32", "f64", "i8", "i16", "i32", "i64", "i128", "isize", "str", "u8", "u16",
    "u32", "u64", "u128", "usize",
];
/// The packages that come with the language count as one.
const STANDARD: [&str; 5] = ["std", "core", "alloc", "proc_macro", "test"];
/// A deeper module is not looked for.
const DEPTH_MAX: usize = 64;

/// The names that a file's own imports bind: a path that begins with one is no package.
#[derive(Debug, Default)]
pub(super) struct Names<'i>(BTreeSet<&'i str>);

impl<'i> Names<'i> {
    pub(super) fn of(imports: &'i [Import]) -> Self {
        let bound = imports.iter().flat_map(|import| {
            let used = import.kind == ImportKind::Use && import.target.contains("::");
            let last = import.target.rsplit("::").next().filter(|_| used);
            let name = import.renamed.as_deref().or(last);
            name.into_iter().chain(import.within.split("::"))
        });
        Self(bound.collect())
    }
}

/// Where a file stands: its crate's root file, and its module path in it.
#[derive(Debug, Clone)]
struct Place<'f> {
    root: &'f str,
    module: Vec<String>,
}

pub(super) struct RustModules<'f> {
    /// Library roots by the crate's name in code.
    libraries: BTreeMap<String, &'f str>,
    /// The file of a module, by its root and its path.
    modules: BTreeMap<(&'f str, Vec<String>), &'f str>,
    places: BTreeMap<&'f str, Place<'f>>,
    /// What a crate's `Cargo.toml` depends on: names in code and packages, by its directory.
    dependencies: BTreeMap<&'f str, BTreeMap<String, String>>,
}

impl<'f> RustModules<'f> {
    pub(super) fn new(
        files: &'f BTreeMap<String, Vec<Import>>,
        manifests: &'f BTreeMap<String, String>,
    ) -> Self {
        let mut tree = Self {
            libraries: BTreeMap::new(),
            modules: BTreeMap::new(),
            places: BTreeMap::new(),
            dependencies: BTreeMap::new(),
        };
        let file = |path: String| files.get_key_value(&path).map(|(path, _)| path.as_str());
        let homes: BTreeSet<&str> = manifests
            .keys()
            .filter(|path| *path == "Cargo.toml" || path.ends_with("/Cargo.toml"))
            .map(|path| directory(path))
            .chain(files.keys().filter_map(|path| home(path)))
            .collect();
        for &home in &homes {
            let manifest = manifests.get(&join(home, "Cargo.toml"));
            let (name, path) = manifest.map_or((None, None), |text| named(text));
            if let Some(manifest) = manifest.filter(|_| name.is_some()) {
                tree.dependencies.insert(home, dependencies(manifest));
            }
            let path = path.unwrap_or_else(|| "src/lib.rs".to_owned());
            let name = name.unwrap_or_else(|| {
                home.rsplit('/').next().filter(|name| !name.is_empty()).unwrap_or("crate").into()
            });
            if let Some(root) = file(join(home, path.trim_start_matches("./"))) {
                tree.libraries.insert(name.replace('-', "_"), root);
            }
        }
        // Libraries first: a file that both a library and a program declare is the library's.
        let mut roots: Vec<&str> = tree.libraries.values().copied().collect();
        roots.extend(files.keys().map(String::as_str).filter(|path| is_root(path)));
        for root in roots {
            if !tree.modules.contains_key(&(root, Vec::new())) {
                tree.grow(root, files);
            }
        }
        tree.adopt(files);
        tree
    }

    /// Follows the module declarations from a root on.
    fn grow(&mut self, root: &'f str, files: &'f BTreeMap<String, Vec<Import>>) {
        let mut queue = VecDeque::from([(root, Vec::new())]);
        while let Some((path, module)) = queue.pop_front() {
            if module.len() > DEPTH_MAX || self.modules.contains_key(&(root, module.clone())) {
                continue;
            }
            self.modules.insert((root, module.clone()), path);
            let place = Place { root, module: module.clone() };
            self.places.entry(path).or_insert(place);
            let imports = files.get(path).map(Vec::as_slice).unwrap_or_default();
            for import in imports.iter().filter(|import| declares(import)) {
                let home = children(path, root);
                let inner = import.within.split("::").filter(|part| !part.is_empty());
                let inner: Vec<&str> = inner.chain([import.target.as_str()]).collect();
                let base = join(&home, &inner.join("/"));
                let found = [format!("{base}.rs"), format!("{base}/mod.rs")];
                let found = found.iter().find_map(|path| files.get_key_value(path));
                if let Some((found, _)) = found {
                    let inner = inner.into_iter().map(str::to_owned);
                    queue.push_back((found, module.iter().cloned().chain(inner).collect()));
                }
            }
        }
    }

    /// Gives files that nobody declares (in a macro, or not yet) the place that their path says.
    fn adopt(&mut self, files: &'f BTreeMap<String, Vec<Import>>) {
        for path in files.keys().filter(|path| Language::of(path) == Some(Language::Rust)) {
            if self.places.contains_key(path.as_str()) {
                continue;
            }
            let Some(home) = home(path) else { continue };
            let source = join(home, "src");
            let root = [join(&source, "lib.rs"), join(&source, "main.rs")];
            let root = root.iter().find_map(|root| files.get_key_value(root));
            let Some((root, _)) = root else { continue };
            let below = path.strip_prefix(&format!("{source}/")).unwrap_or(path);
            let below = below.trim_end_matches(".rs").trim_end_matches("/mod");
            let module: Vec<String> = below.split('/').map(str::to_owned).collect();
            if module.len() <= DEPTH_MAX {
                self.modules.entry((root, module.clone())).or_insert(path);
                self.places.insert(path, Place { root, module });
            }
        }
    }

    /// The file of the longest front of `module` that has one.
    fn file(&self, root: &'f str, module: &[String]) -> Option<Target> {
        let found = (0..=module.len().min(DEPTH_MAX))
            .rev()
            .find_map(|length| self.modules.get(&(root, module.get(..length)?.to_vec())).copied());
        found.map(|path| Target::File(path.to_owned()))
    }

    pub(super) fn resolve(&self, from: &str, import: &Import, names: &Names<'_>) -> Option<Target> {
        let mut parts: Vec<&str> = import.target.split("::").collect();
        if parts.last() == Some(&"*") {
            parts.pop();
        }
        // `::a::b` begins with a crate.
        let absolute = parts.first() == Some(&"");
        let mut parts: VecDeque<&str> = parts.into_iter().filter(|part| !part.is_empty()).collect();
        let place = self.places.get(from);
        let within = import.within.split("::").filter(|part| !part.is_empty());
        let mut here: Vec<String> = place.map(|place| place.module.clone()).unwrap_or_default();
        here.extend(within.map(str::to_owned));
        let own = |names: Vec<String>| self.file(place?.root, &names);
        if declares(import) {
            here.extend(owned(parts));
            let place = place?;
            let path = self.modules.get(&(place.root, here))?;
            return Some(Target::File((*path).to_owned()));
        }
        let first = *parts.front()?;
        match first {
            "crate" if !absolute => {
                parts.pop_front();
                return own(owned(parts).collect());
            }
            "self" | "super" if !absolute => {
                while let Some(part) = parts.front().copied() {
                    match part {
                        "self" => {}
                        "super" => {
                            here.pop()?;
                        }
                        _ => break,
                    }
                    parts.pop_front();
                }
                here.extend(owned(parts));
                return own(here);
            }
            "Self" | "$crate" => return None,
            _ => {}
        }
        let child = place.filter(|_| !absolute).and_then(|place| {
            let mut child = here.clone();
            child.push(first.to_owned());
            self.modules.contains_key(&(place.root, child.clone())).then_some(child)
        });
        if let Some(mut child) = child {
            parts.pop_front();
            child.extend(owned(parts));
            return own(child);
        }
        // What the file itself binds is resolved where it is bound.
        let bound = !absolute && names.0.contains(first);
        if bound && import.kind != ImportKind::ExternCrate {
            return None;
        }
        let known = home(from).and_then(|home| self.dependencies.get(home));
        let package = known.and_then(|known| known.get(first)).map_or(first, String::as_str);
        if let Some(root) = self.libraries.get(package) {
            parts.pop_front();
            return self.file(root, &owned(parts).collect::<Vec<_>>());
        }
        if STANDARD.contains(&first) {
            return Some(Target::Package("std".to_owned()));
        }
        let lower = first.chars().next().is_some_and(|c| c.is_lowercase() || c == '_');
        // Where a manifest says what there is, any other name came by a glob or a macro.
        let there = known.is_none_or(|known| known.contains_key(first));
        (lower && there && !BUILT_IN.contains(&first)).then(|| Target::Package(package.to_owned()))
    }
}

fn owned(parts: VecDeque<&str>) -> impl Iterator<Item = String> {
    parts.into_iter().map(str::to_owned)
}

/// The directory of the crate that a file seems to be of: what is above `src`, `tests` and so on.
fn home(path: &str) -> Option<&str> {
    if Language::of(path) != Some(Language::Rust) {
        return None;
    }
    let mut at = None;
    for part in ["src", "tests", "benches", "examples"] {
        let inside = path.starts_with(&format!("{part}/")).then_some(0);
        let found = path.find(&format!("/{part}/")).or(inside);
        at = match (at, found) {
            (Some(left), Some(right)) => Some(std::cmp::min::<usize>(left, right)),
            (left, right) => left.or(right),
        };
    }
    path.get(..at?)
}

/// Whether the file is the root of a crate by its place.
fn is_root(path: &str) -> bool {
    let Some(home) = home(path) else {
        return path == "build.rs" || path.ends_with("/build.rs");
    };
    let below = path.get(home.len()..).unwrap_or_default().trim_start_matches('/');
    let parts: Vec<&str> = below.split('/').collect();
    matches!(
        parts.as_slice(),
        ["src", "lib.rs" | "main.rs"]
            | ["src", "bin", _]
            | ["src", "bin", _, "main.rs"]
            | ["tests" | "benches" | "examples", _]
            | ["tests" | "benches" | "examples", _, "main.rs"]
    )
}

/// Where the files of a module's children lie.
fn children(path: &str, root: &str) -> String {
    let is_mod = path.ends_with("/mod.rs") || path == "mod.rs";
    if path == root || is_mod {
        return directory(path).to_owned();
    }
    path.trim_end_matches(".rs").to_owned()
}

/// The name of the package in a `Cargo.toml`, or of its library, and the path of the library.
fn named(manifest: &str) -> (Option<String>, Option<String>) {
    let (mut package, mut library, mut path) = (None, None, None);
    let mut section = "";
    for line in manifest.lines().map(str::trim) {
        if line.starts_with('[') {
            section = line;
            continue;
        }
        let Some((key, value)) = line.split_once('=') else { continue };
        let value = value.trim();
        let quoted = value.strip_prefix('"').and_then(|rest| rest.split('"').next());
        let Some(value) = quoted.filter(|value| !value.is_empty()) else { continue };
        match (section, key.trim()) {
            ("[package]", "name") => package = Some(value.to_owned()),
            ("[lib]", "name") => library = Some(value.to_owned()),
            ("[lib]", "path") => path = Some(value.to_owned()),
            _ => {}
        }
    }
    (library.or(package), path)
}

/// What a `Cargo.toml` depends on: the name in code, and the package that it is.
fn dependencies(manifest: &str) -> BTreeMap<String, String> {
    let in_code = |name: &str| name.trim().trim_matches('"').replace('-', "_");
    let mut found = BTreeMap::new();
    // The section is a list of dependencies, or one dependency.
    let (mut list, mut one) = (false, None);
    for line in manifest.lines().map(str::trim) {
        if let Some(section) = line.strip_prefix('[') {
            let section = section.split(']').next().unwrap_or_default();
            let is_list = |section: &str| {
                let last = section.rsplit('.').next().unwrap_or(section);
                let kinds = ["dependencies", "dev-dependencies", "build-dependencies"];
                kinds.contains(&last) && !section.starts_with("workspace")
            };
            list = is_list(section);
            one = section.rsplit_once('.').filter(|(above, _)| is_list(above));
            let name = one.map(|(_, name)| in_code(name));
            found.extend(name.map(|name| (name.clone(), name)));
            continue;
        }
        let Some((key, value)) = line.split_once('=').filter(|_| !line.starts_with('#')) else {
            continue;
        };
        let quoted = |text: &str| text.split('"').nth(1).map(&in_code);
        if let Some((_, name)) = one {
            if key.trim() == "package" {
                found.extend(quoted(value).map(|package| (in_code(name), package)));
            }
        } else if list {
            let name = in_code(key.split('.').next().unwrap_or(key));
            let package = value
                .split_once("package")
                .and_then(|(_, rest)| quoted(rest.trim_start().strip_prefix('=')?));
            let package = package.unwrap_or_else(|| name.clone());
            found.insert(name, package);
        }
    }
    found
}
