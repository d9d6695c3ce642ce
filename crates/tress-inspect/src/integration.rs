//! Whether what is new is wired in: referenced from code that is no test, its file declared.
//!
//! What counts as a reference is an identifier of that name (or a string that is exactly the name)
//! in code that is no test, outside of the item itself and of its own methods. Names are not
//! resolved, so an item that shares its name with another passes: this layer would rather be silent
//! than wrong. An item that is public in a library is only a warning, since its users may be
//! elsewhere: in Rust a `pub` item where the crate has a `lib.rs`; in JavaScript an exported one
//! where a `package.json` has `main` or `exports`; in Python, Go and Java a public one where no file
//! is an entry point (`__main__`, `func main`, `static void main`).

use std::collections::{BTreeMap, BTreeSet};

use crate::function::{Function, family, is_test_path, of_syntax};
use crate::grammar::{attributes, rust_in_tests};
use crate::syntax::{Id, Syntax, parse};
use crate::{Finding, Language, Severity};

/// A file that a change touched.
#[derive(Debug, Clone, Copy)]
pub struct Change<'a> {
    /// Its path from the root.
    pub path: &'a str,
    /// Its text before; `None` where it is new.
    pub base: Option<&'a str>,
    /// Its text now.
    pub new: &'a str,
}

/// A new item that somebody should use.
struct Item {
    name: String,
    symbol: String,
    path: String,
    line: usize,
    family: &'static str,
    /// Others can see it.
    public: bool,
    method: bool,
    what: &'static str,
}

/// Every name that the text defines: functions (with and without what they belong to), types,
/// constants, modules, variables, fields.
pub fn symbols_defined(path: &str, text: &str) -> BTreeSet<String> {
    let Some(tree) = Language::of(path).and_then(|language| parse(language, text)) else {
        return BTreeSet::new();
    };
    let syntax = Syntax::of(&tree);
    let mut symbols = BTreeSet::new();
    for function in of_syntax(path, &syntax) {
        symbols.insert(function.short_name().to_owned());
        symbols.insert(function.name);
    }
    for id in syntax.all() {
        let kind = syntax.kind(id);
        let defines = kind.ends_with("_item")
            || kind.ends_with("_declaration")
            || kind.ends_with("_definition")
            || kind.ends_with("_spec")
            || kind.ends_with("declarator")
            || kind.ends_with("_signature")
            || matches!(
                kind,
                "enum_variant" | "enum_constant" | "const_spec" | "type_alias" | "enum_assignment"
            );
        let name =
            if kind == "assignment" { syntax.field(id, "left") } else { syntax.field(id, "name") };
        if let Some(name) = name.filter(|_| defines || kind == "assignment")
            && syntax.leaf(name)
        {
            symbols.insert(syntax.text(name).to_owned());
        }
    }
    symbols
}

/// New functions, types and files that nothing uses (rules `unreferenced`, `unwired-file`).
///
/// `tree` has every text of the project as it is now, those of `changed` among them; texts whose
/// language is not known (manifests, configuration, templates) count as they stand.
pub fn unreferenced<'a>(
    changed: &[Change<'_>],
    tree: impl IntoIterator<Item = (&'a str, &'a str)>,
) -> Vec<Finding> {
    let mut items = Vec::new();
    for change in
        changed.iter().filter(|change| !is_test_path(change.path) && !is_apart(change.path))
    {
        items.extend(new_items(change));
    }
    let mut files: BTreeMap<&str, String> = BTreeMap::new();
    for change in changed.iter().filter(|change| change.base.is_none()) {
        files.extend(module_name(change.path, change.new).map(|name| (change.path, name)));
    }
    if items.is_empty() && files.is_empty() {
        return Vec::new();
    }
    let mut world = World::default();
    let names: BTreeSet<&str> = items.iter().map(|item| item.name.as_str()).collect();
    for (path, text) in tree {
        world.read(path, text, &names, &mut files);
    }
    let mut findings = Vec::new();
    for item in items.iter().filter(|item| !world.used.contains(&(item.family, item.name.clone())))
    {
        let public = item.public && world.is_library(item);
        let severity = if public || item.method { Severity::Warning } else { Severity::Error };
        let message =
            format!("{} `{}` is new, and nothing but tests refers to it", item.what, item.symbol);
        findings.push(
            Finding::new("unreferenced", severity, &item.path, item.line, &message)
                .about(&item.symbol),
        );
    }
    for (path, name) in files {
        let message = format!("the file is new, and nothing declares or imports `{name}`");
        findings.push(Finding::new("unwired-file", Severity::Error, path, 1, &message));
    }
    findings.sort();
    findings
}

/// Files that are run by themselves.
fn is_apart(path: &str) -> bool {
    let dirs = [
        "examples",
        "benches",
        "scripts",
        "bin",
        "migrations",
        "pages",
        "routes",
        "app",
        "cmd",
        "fuzz_targets",
        "docs",
    ];
    let name = path.rsplit('/').next().unwrap_or(path);
    path.split('/').rev().skip(1).any(|dir| dirs.contains(&dir))
        || matches!(name, "build.rs" | "setup.py" | "conftest.py" | "manage.py" | "__main__.py")
        || name.contains(".config.")
        || name.contains(".stories.")
}

fn new_items(change: &Change<'_>) -> Vec<Item> {
    let Some(language) = Language::of(change.path) else { return Vec::new() };
    let before = change.base.map(|base| symbols_defined(change.path, base)).unwrap_or_default();
    let Some(tree) = parse(language, change.new) else { return Vec::new() };
    let syntax = Syntax::of(&tree);
    let family = family(language);
    let mut items = Vec::new();
    for function in of_syntax(change.path, &syntax) {
        let name = function.short_name().to_owned();
        if before.contains(&function.name) || excused(&syntax, &function, &name) {
            continue;
        }
        let top = is_top(&syntax, function.node);
        let method = function.container.is_some();
        if top || method && function.public && !before.is_empty() {
            let what = if method { "the method" } else { "the function" };
            let symbol = function.name.clone();
            let (path, line, public) = (change.path.to_owned(), function.line, function.public);
            items.push(Item { name, symbol, path, line, family, public, method, what });
        }
    }
    for id in syntax.all().filter(|id| is_type(syntax.kind(*id)) && is_top(&syntax, *id)) {
        let Some(name) = syntax.field_text(id, "name").map(str::to_owned) else { continue };
        let marked = syntax
            .children(id)
            .any(|part| syntax.kind(part) == "modifiers" && syntax.text(part).contains('@'));
        let decorated =
            syntax.parent(id).is_some_and(|up| syntax.kind(up) == "decorated_definition");
        if before.contains(&name) || marked || decorated || rust_in_tests(&syntax, id) {
            continue;
        }
        let head = syntax.text(id);
        let public = match family {
            "rust" => {
                head.starts_with("pub ")
                    || syntax.children(id).any(|part| syntax.text(part) == "pub")
            }
            "go" => name.starts_with(char::is_uppercase),
            "js" => syntax.ancestors(id).any(|up| syntax.kind(up) == "export_statement"),
            "java" => head.split('{').next().is_some_and(|head| head.contains("public ")),
            _ => !name.starts_with('_'),
        };
        let (symbol, path, line) = (name.clone(), change.path.to_owned(), syntax.line(id));
        items.push(Item {
            name,
            symbol,
            path,
            line,
            family,
            public,
            method: false,
            what: "the type",
        });
    }
    items
}

/// What is called without being named: entry points, what a framework finds by its mark, what a
/// trait or base class asks for.
fn excused(syntax: &Syntax<'_>, function: &Function, name: &str) -> bool {
    const PLAIN: [&str; 12] = [
        "#[doc",
        "#[inline",
        "#[must_use",
        "#[cfg",
        "#[expect",
        "#[allow",
        "#[cold",
        "#[track_caller",
        "#[deprecated",
        "@Deprecated",
        "@SuppressWarnings",
        "@Nullable",
    ];
    let found_by_mark =
        function.marks.iter().any(|mark| !PLAIN.iter().any(|plain| mark.starts_with(plain)));
    let entry =
        ["main", "init", "handler", "default", "setup", "teardown", "activate", "deactivate"]
            .contains(&name);
    let default_export = syntax.ancestors(function.node).any(|up| {
        syntax.kind(up) == "export_statement" && syntax.text(up).starts_with("export default")
    });
    function.in_tests
        || function.overrides
        || function.constructor
        || function.declaration
        || found_by_mark
        || entry
        || default_export
        || name.starts_with("__")
        || name.starts_with("exports")
}

fn is_type(kind: &str) -> bool {
    matches!(
        kind,
        "struct_item"
            | "enum_item"
            | "trait_item"
            | "type_item"
            | "union_item"
            | "class_definition"
            | "class_declaration"
            | "abstract_class_declaration"
            | "interface_declaration"
            | "type_alias_declaration"
            | "enum_declaration"
            | "type_spec"
            | "record_declaration"
    )
}

/// Whether an item stands at the top of its file, or of a module in it.
fn is_top(syntax: &Syntax<'_>, id: Id) -> bool {
    syntax.ancestors(id).all(|up| {
        matches!(
            syntax.kind(up),
            "source_file"
                | "program"
                | "module"
                | "export_statement"
                | "decorated_definition"
                | "mod_item"
                | "declaration_list"
                | "lexical_declaration"
                | "variable_declaration"
                | "type_declaration"
                | "if_statement"
                | "block"
                | "try_statement"
        ) && syntax.parent(up).is_none_or(|over| {
            !matches!(
                syntax.kind(over),
                "impl_item"
                    | "trait_item"
                    | "function_item"
                    | "function_definition"
                    | "class_definition"
            )
        })
    })
}

/// The name under which other files know a new file; `None` where nobody has to.
fn module_name(path: &str, text: &str) -> Option<String> {
    let language = Language::of(path)?;
    if is_test_path(path) || is_apart(path) || path.ends_with(".d.ts") || path.ends_with(".pyi") {
        return None;
    }
    let (dirs, name) = path.rsplit_once('/').unwrap_or(("", path));
    let stem = name.split('.').next()?;
    let dir = dirs.rsplit('/').next().filter(|dir| !dir.is_empty());
    match family(language) {
        "rust" => match stem {
            "lib" | "main" => None,
            "mod" => dir.map(str::to_owned),
            _ => Some(stem.to_owned()),
        },
        "python" => {
            let script = text.contains("__main__") || stem.starts_with("__");
            (!script).then(|| stem.to_owned())
        }
        "js" => match stem {
            "index" => dir.filter(|dir| *dir != "src" && *dir != "lib").map(str::to_owned),
            "main" | "server" | "cli" | "worker" => None,
            _ => (!text.starts_with("#!"))
                .then(|| name.rsplit_once('.').map_or(name, |(stem, _)| stem).to_owned()),
        },
        _ => None,
    }
}

#[derive(Default)]
struct World {
    used: BTreeSet<(&'static str, String)>,
    /// Directories of Rust crates that have a library.
    libraries: BTreeSet<String>,
    /// Whether a `package.json` says what others get.
    exports: bool,
    /// The families that have an entry point somewhere.
    entries: BTreeSet<&'static str>,
}

impl World {
    fn read(
        &mut self,
        path: &str,
        text: &str,
        names: &BTreeSet<&str>,
        files: &mut BTreeMap<&str, String>,
    ) {
        let Some(language) = Language::of(path) else {
            return self.plain(path, text, names, files);
        };
        if is_test_path(path) {
            return;
        }
        let family = family(language);
        if let Some(dir) = path.strip_suffix("src/lib.rs") {
            self.libraries.insert(dir.to_owned());
        }
        let entry = ["if __name__ ==", "func main()", "static void main("]
            .iter()
            .any(|head| text.contains(head));
        if entry {
            self.entries.insert(family);
        }
        files
            .retain(|file, name| *file == path || !declares(family, language_of(file), text, name));
        // Parsing is dear, looking for a word is not.
        let here = words(text);
        let wanted: BTreeSet<&str> =
            names.iter().copied().filter(|name| here.contains(name)).collect();
        if !wanted.is_empty()
            && let Some(tree) = parse(language, text)
        {
            self.uses(&Syntax::of(&tree), family, &wanted);
        }
    }

    /// A manifest, a configuration, a template: any word in it is a reference. Prose is none.
    fn plain(
        &mut self,
        path: &str,
        text: &str,
        names: &BTreeSet<&str>,
        files: &mut BTreeMap<&str, String>,
    ) {
        let prose = [".md", ".txt", ".rst", ".lock", ".adoc", ".log", ".csv"]
            .iter()
            .any(|end| path.ends_with(end));
        if prose {
            return;
        }
        if path.ends_with("package.json") {
            self.exports |= text.contains("\"main\"") || text.contains("\"exports\"");
        }
        let here = words(text);
        for name in names.iter().filter(|name| here.contains(**name)) {
            for family in ["rust", "python", "js", "go", "java"] {
                self.used.insert((family, (*name).to_owned()));
            }
        }
        files.retain(|_, name| !here.contains(name.as_str()));
    }

    fn uses(&mut self, syntax: &Syntax<'_>, family: &'static str, wanted: &BTreeSet<&str>) {
        let mut id = 0;
        let end = syntax.all().end;
        // Where what is new is defined or implemented: mentions of it inside are its own.
        let mut own: Vec<(usize, String)> = Vec::new();
        while id < end {
            own.retain(|(until, _)| id < *until);
            if is_test_module(syntax, id) {
                id = syntax.within(id).end;
                continue;
            }
            if let Some(name) =
                defined_here(syntax, id).filter(|name| wanted.contains(name.as_str()))
            {
                own.push((syntax.within(id).end, name));
            }
            let text = if syntax.identifier(id) && syntax.leaf(id) {
                syntax.text(id)
            } else if syntax.kind(id).contains("string") {
                syntax.text(id).trim_matches(['"', '\'', '`'])
            } else {
                ""
            };
            if wanted.contains(text) && !own.iter().any(|(_, name)| name == text) {
                self.used.insert((family, text.to_owned()));
            }
            id += 1;
        }
    }

    fn is_library(&self, item: &Item) -> bool {
        match item.family {
            "rust" => {
                let dir = item.path.split_once("src/").map_or("", |(dir, _)| dir);
                self.libraries.contains(dir)
            }
            "js" => self.exports,
            family => !self.entries.contains(family),
        }
    }
}

fn language_of(path: &str) -> &'static str {
    Language::of(path).map_or("", family)
}

/// The name that a node defines, or whose methods it holds.
fn defined_here(syntax: &Syntax<'_>, id: Id) -> Option<String> {
    let kind = syntax.kind(id);
    let bare = |text: &str| {
        text.split(['<', '[', '(']).next().unwrap_or(text).trim_start_matches(['*', '&']).to_owned()
    };
    match kind {
        "impl_item" => syntax.field_text(id, "type").map(bare),
        "function_item"
        | "function_definition"
        | "function_declaration"
        | "generator_function_declaration"
        | "method_definition"
        | "variable_declarator" => syntax.field_text(id, "name").map(str::to_owned),
        // A receiver names the type of its method.
        "method_declaration" => syntax.field(id, "receiver").map_or_else(
            || syntax.field_text(id, "name").map(str::to_owned),
            |receiver| {
                let inside =
                    syntax.within(receiver).find(|part| syntax.kind(*part) == "type_identifier");
                inside.map(|part| syntax.text(part).to_owned())
            },
        ),
        "field_identifier"
            if syntax.parent(id).is_some_and(|up| syntax.kind(up) == "method_declaration") =>
        {
            Some(syntax.text(id).to_owned())
        }
        _ if is_type(kind) => syntax.field_text(id, "name").map(str::to_owned),
        _ => None,
    }
}

fn is_test_module(syntax: &Syntax<'_>, id: Id) -> bool {
    let item = matches!(syntax.kind(id), "mod_item" | "function_item");
    item && attributes(syntax, id).iter().any(|mark| {
        let mark: String = mark.split_whitespace().collect();
        crate::grammar::is_cfg_test(&mark) || mark.ends_with("test]")
    })
}

fn words(text: &str) -> BTreeSet<&str> {
    text.split(|c: char| !c.is_alphanumeric() && c != '_' && c != '$')
        .filter(|word| !word.is_empty())
        .collect()
}

/// Whether a text declares or imports the module `name` of a file of family `of`.
fn declares(family: &str, of: &str, text: &str, name: &str) -> bool {
    if family != of {
        return false;
    }
    match family {
        "rust" => text.lines().any(|line| {
            let line = line.trim();
            let head = line.split("//").next().unwrap_or_default().trim_end();
            let rest = head.strip_suffix(';').or_else(|| head.strip_suffix('{')).map(str::trim_end);
            let declared = rest
                .and_then(|rest| rest.strip_suffix(name))
                .is_some_and(|rest| rest.trim_end().ends_with("mod"));
            declared
                || line.starts_with("#[path") && line.contains(&format!("{name}.rs"))
                || line.contains("include!") && line.contains(&format!("{name}.rs"))
        }),
        "python" => {
            // The names of an import in brackets stand on lines of their own.
            let mut open = false;
            text.lines().map(str::trim).any(|line| {
                let loads = line.contains("import_module(") || line.contains("__import__(");
                let imports =
                    open || line.starts_with("import ") || line.starts_with("from ") || loads;
                open = if open {
                    !line.contains(')')
                } else {
                    line.starts_with("from ") && line.ends_with('(')
                };
                imports && words(line).contains(name)
            })
        }
        _ => text.match_indices(name).any(|(at, _)| {
            let before = text.get(..at).unwrap_or_default();
            let after = text.get(at + name.len()..).unwrap_or_default();
            let end = [".js", ".ts", ".tsx", ".jsx", ".mjs", ".cjs", ".mts"]
                .iter()
                .find_map(|end| after.strip_prefix(end));
            before.ends_with(['/', '"', '\'', '`'])
                && end.unwrap_or(after).starts_with(['"', '\'', '`', '?'])
        }),
    }
}
