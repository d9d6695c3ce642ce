//! Import statements of Python, JavaScript, TypeScript, Go and Java.

use super::{IMPORTS_MAX, Import, ImportKind, line, sound};
use crate::language::Node;

/// Walks a tree without recursion, and gives what `of` finds in each node.
pub(super) fn imports(root: Node<'_>, of: fn(&Node<'_>, &mut Vec<Import>)) -> Vec<Import> {
    let mut found = Vec::new();
    for node in root.dfs() {
        of(&node, &mut found);
        if found.len() >= IMPORTS_MAX {
            found.truncate(IMPORTS_MAX);
            break;
        }
    }
    found
}

fn push(found: &mut Vec<Import>, node: &Node<'_>, target: &str, kind: ImportKind) {
    if sound(target) {
        let (line, target) = (line(node), target.to_owned());
        found.push(Import { line, target, kind, renamed: None, within: String::new() });
    }
}

/// A name as it is written, without the blanks that a parser lets stand in it.
fn name(node: &Node<'_>) -> String {
    node.text().chars().filter(|c| !c.is_whitespace()).collect()
}

/// What a string literal without anything computed in it says.
fn literal(node: &Node<'_>) -> Option<String> {
    let text = node.text();
    let mut quotes = text.chars();
    let (first, last) = (quotes.next()?, quotes.next_back()?);
    let plain = first == last && matches!(first, '"' | '\'' | '`') && text.len() >= 2;
    let inner = text.get(1..text.len().checked_sub(1)?)?;
    (plain && !inner.contains(['\\', '$', '{']) && !inner.starts_with(first))
        .then(|| inner.to_owned())
}

/// The first argument of a call, where it is a literal.
fn argument(call: &Node<'_>) -> Option<String> {
    let arguments = call.field("arguments")?;
    let first = arguments.children().find(Node::is_named)?;
    literal(&first)
}

pub(super) fn python(node: &Node<'_>, found: &mut Vec<Import>) {
    let aliased = |node: &Node<'_>| match &*node.kind() {
        "aliased_import" => node.field("name").map(|inner| name(&inner)),
        _ => Some(name(node)),
    };
    match &*node.kind() {
        "import_statement" => {
            for each in node.field_children("name") {
                if let Some(target) = aliased(&each) {
                    push(found, node, &target, ImportKind::Import);
                }
            }
        }
        "import_from_statement" => {
            let Some(module) = node.field("module_name").map(|module| name(&module)) else {
                return;
            };
            let names: Vec<Node<'_>> = node.field_children("name").collect();
            if names.is_empty() {
                push(found, node, &module, ImportKind::From);
            }
            let dot = if module.ends_with('.') { "" } else { "." };
            for each in names {
                if let Some(target) = aliased(&each) {
                    push(found, node, &format!("{module}{dot}{target}"), ImportKind::From);
                }
            }
        }
        "call" => {
            let called = node.field("function").map(|called| name(&called)).unwrap_or_default();
            if matches!(&*called, "__import__" | "importlib.import_module" | "import_module")
                && let Some(target) = argument(node)
            {
                push(found, node, &target, ImportKind::Dynamic);
            }
        }
        _ => {}
    }
}

pub(super) fn script(node: &Node<'_>, found: &mut Vec<Import>) {
    let kind = match &*node.kind() {
        "import_statement" => ImportKind::Import,
        "export_statement" => ImportKind::Export,
        "import_require_clause" => ImportKind::Require,
        "call_expression" => {
            let called = node.field("function").map(|called| name(&called)).unwrap_or_default();
            let kind = match &*called {
                "require" | "require.resolve" => ImportKind::Require,
                "import" => ImportKind::Dynamic,
                _ => return,
            };
            if let Some(target) = argument(node) {
                push(found, node, &target, kind);
            }
            return;
        }
        _ => return,
    };
    if let Some(target) = node.field("source").and_then(|source| literal(&source)) {
        push(found, node, &target, kind);
    }
}

pub(super) fn go(node: &Node<'_>, found: &mut Vec<Import>) {
    if node.kind() == "import_spec"
        && let Some(target) = node.field("path").and_then(|path| literal(&path))
    {
        push(found, node, &target, ImportKind::Import);
    }
}

pub(super) fn java(node: &Node<'_>, found: &mut Vec<Import>) {
    if node.kind() != "import_declaration" {
        return;
    }
    let mut target = String::new();
    for child in node.children() {
        match &*child.kind() {
            "scoped_identifier" | "identifier" => target = name(&child),
            "asterisk" => target.push_str(".*"),
            _ => {}
        }
    }
    push(found, node, &target, ImportKind::Import);
}
