//! Imports of Rust: `use`, `mod`, `extern crate`, and paths wherever they are written.

use super::{IMPORTS_MAX, Import, ImportKind, TARGET_BYTES_MAX, line, sound};
use crate::language::Node;

struct Reader {
    found: Vec<Import>,
    /// The inline modules that were met, as paths; the first is the file itself.
    scopes: Vec<String>,
}

/// Where a node stands.
struct At<'t> {
    node: Node<'t>,
    /// Which of the reader's scopes it is in.
    scope: usize,
    /// Whether it is the front of a path that was taken already.
    front: bool,
}

pub(super) fn imports(root: Node<'_>) -> Vec<Import> {
    let mut reader = Reader { found: Vec::new(), scopes: vec![String::new()] };
    let mut stack = vec![At { node: root, scope: 0, front: false }];
    while let Some(at) = stack.pop() {
        if reader.found.len() >= IMPORTS_MAX {
            break;
        }
        reader.visit(at, &mut stack);
    }
    reader.found.truncate(IMPORTS_MAX);
    reader.found
}

/// A path as written, without blanks and without what stands in angle brackets behind it.
fn path(node: &Node<'_>) -> String {
    let text = node.text();
    let text = text.split('<').next().unwrap_or_default();
    let text: String = text.chars().filter(|c| !c.is_whitespace()).collect();
    text.trim_end_matches("::").to_owned()
}

fn joined(prefix: &str, name: &str) -> String {
    match (prefix, name) {
        ("", name) => name.to_owned(),
        (prefix, "" | "self") => prefix.to_owned(),
        (prefix, name) => format!("{prefix}::{name}"),
    }
}

impl Reader {
    fn push(&mut self, line: usize, target: String, kind: ImportKind, scope: usize) {
        if sound(&target) {
            let within = self.scopes.get(scope).cloned().unwrap_or_default();
            self.found.push(Import { line, target, kind, renamed: None, within });
        }
    }

    /// Gives the last import the name that stands behind `as`.
    fn rename(&mut self, alias: Option<Node<'_>>) {
        if let (Some(last), Some(alias)) = (self.found.last_mut(), alias) {
            last.renamed = Some(alias.text().into_owned());
        }
    }

    fn visit<'t>(&mut self, at: At<'t>, stack: &mut Vec<At<'t>>) {
        let At { node, mut scope, front } = at;
        let mut taken = None;
        match &*node.kind() {
            "use_declaration" => {
                if let Some(argument) = node.field("argument") {
                    self.use_tree(argument, scope);
                }
                return;
            }
            "extern_crate_declaration" => {
                if let Some(name) = node.field("name") {
                    let target = name.text().into_owned();
                    self.push(line(&node), target, ImportKind::ExternCrate, scope);
                    self.rename(node.field("alias"));
                }
                return;
            }
            "mod_item" => {
                let name = node.field("name").map(|name| name.text().into_owned());
                let name = name.unwrap_or_default();
                if node.field("body").is_none() {
                    self.push(line(&node), name, ImportKind::Module, scope);
                    return;
                }
                let outer = self.scopes.get(scope).cloned().unwrap_or_default();
                let inner = joined(&outer, &name);
                // A module nested deeper than that is nobody's.
                if inner.len() <= TARGET_BYTES_MAX {
                    scope = self.scopes.len();
                    self.scopes.push(inner);
                }
            }
            "scoped_identifier" | "scoped_type_identifier" => {
                if !front {
                    let target = path(&node);
                    if target.contains("::") {
                        self.push(line(&node), target, ImportKind::Path, scope);
                    }
                }
                taken = node.field("path").map(|path| path.node_id());
            }
            "token_tree" => self.tokens(&node, scope),
            _ => {}
        }
        let children: Vec<Node<'t>> = node.children().filter(Node::is_named).collect();
        for node in children.into_iter().rev() {
            let front = taken == Some(node.node_id());
            stack.push(At { node, scope, front });
        }
    }

    /// The items of a `use` tree, one import each.
    fn use_tree(&mut self, root: Node<'_>, scope: usize) {
        let mut stack = vec![(String::new(), root)];
        while let Some((prefix, node)) = stack.pop() {
            if prefix.len() > TARGET_BYTES_MAX || self.found.len() >= IMPORTS_MAX {
                return;
            }
            match &*node.kind() {
                "use_list" => {
                    let items: Vec<Node<'_>> = node.children().filter(Node::is_named).collect();
                    stack.extend(items.into_iter().rev().map(|item| (prefix.clone(), item)));
                }
                "scoped_use_list" => {
                    let front = node.field("path").map(|front| path(&front));
                    // `use ::{a, b}` has no path.
                    let prefix = joined(&prefix, &front.unwrap_or_default());
                    stack.extend(node.field("list").map(|list| (prefix, list)));
                }
                "use_as_clause" => {
                    let front = node.field("path").map(|front| path(&front));
                    let target = joined(&prefix, &front.unwrap_or_default());
                    self.push(line(&node), target, ImportKind::Use, scope);
                    self.rename(node.field("alias"));
                }
                "line_comment" | "block_comment" => {}
                "use_wildcard" => {
                    let front = node.children().find(Node::is_named);
                    let front = front.map(|front| path(&front)).unwrap_or_default();
                    let target = format!("{}::*", joined(&prefix, &front));
                    self.push(line(&node), target, ImportKind::Use, scope);
                }
                _ => {
                    let target = joined(&prefix, &path(&node));
                    self.push(line(&node), target, ImportKind::Use, scope);
                }
            }
        }
    }

    /// Paths among the tokens of a macro's arguments, which have no tree.
    fn tokens(&mut self, tree: &Node<'_>, scope: usize) {
        let mut path = String::new();
        let mut at = 0;
        let mut open = false;
        let mut flush = |path: &mut String, at: usize| {
            if path.contains("::") {
                self.push(at, std::mem::take(path), ImportKind::Path, scope);
            }
            path.clear();
        };
        for token in tree.children() {
            let kind = token.kind();
            match &*kind {
                "::" if !path.is_empty() && !open => open = true,
                "identifier" | "crate" | "self" | "super" => {
                    if open {
                        path.push_str("::");
                    } else {
                        flush(&mut path, at);
                        at = line(&token);
                    }
                    if path.len() <= TARGET_BYTES_MAX {
                        path.push_str(&token.text());
                    }
                    open = false;
                }
                _ => {
                    flush(&mut path, at);
                    open = false;
                }
            }
        }
        flush(&mut path, at);
    }
}
