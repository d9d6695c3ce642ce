//! What a file imports, by its syntax tree, and the graph of who imports whom.
//!
//! Seen is what is written: import statements, and in Rust also paths in expressions and in the
//! arguments of macros. Not seen is what only a run or a compiler knows: what macros make, names
//! that are put together at run time, reflection, re-exports (an import of a re-exported name
//! counts as one of the file that re-exports it), conditional compilation (every branch counts),
//! and search paths that are set elsewhere (`tsconfig.json` paths, `PYTHONPATH`, `#[path]`).

pub mod graph;
mod read;
mod resolve;
mod rust;
mod rust_modules;

pub use graph::{Edge, Graph, GraphBuilder, Target};

use serde::{Deserialize, Serialize};

use crate::language::{Language, Node};

/// A longer file is not looked at (2 MiB): nobody wrote it by hand.
pub const FILE_BYTES_MAX: usize = 2 << 20;
/// More imports of one file are not looked at.
pub const IMPORTS_MAX: usize = 20_000;
/// A longer target is no name (bytes).
pub const TARGET_BYTES_MAX: usize = 1024;

/// How an import is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ImportKind {
    /// Rust: `use a::b`.
    Use,
    /// Rust: `mod a;`.
    Module,
    /// Rust: `a::b` in an expression, a type or the arguments of a macro.
    Path,
    /// Rust: `extern crate a`.
    ExternCrate,
    /// `import a` of any other language.
    Import,
    /// Python: `from a import b`; the target is `a.b`.
    From,
    /// JavaScript and TypeScript: `export … from "a"`.
    Export,
    /// JavaScript and TypeScript: `require("a")`.
    Require,
    /// `import("a")`, `importlib.import_module("a")`.
    Dynamic,
}

/// One import of a file.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Import {
    /// Its line, from 1.
    pub line: usize,
    /// What is imported, as written; a list is one import an item.
    pub target: String,
    /// How it is written.
    pub kind: ImportKind,
    /// Rust: the name that it is given by `as`, where it is given one.
    pub renamed: Option<String>,
    /// Rust: the inline modules around it (`tests`, `a::b`); empty at the top of the file.
    pub within: String,
}

/// What the file at `path` with this text imports, in the order of the text. Nothing where its
/// language is not known or it is longer than [`FILE_BYTES_MAX`].
///
/// ```
/// let found = tress_inspect::imports::imports("a.py", "from store.files import open\n");
/// assert_eq!(found[0].target, "store.files.open");
/// assert_eq!(found[0].line, 1);
/// ```
pub fn imports(path: &str, text: &str) -> Vec<Import> {
    let Some(language) = Language::of(path).filter(|_| text.len() <= FILE_BYTES_MAX) else {
        return Vec::new();
    };
    let tree = language.parse(text);
    match language {
        Language::Rust => rust::imports(tree.root()),
        Language::Python => read::imports(tree.root(), read::python),
        Language::TypeScript | Language::Tsx | Language::JavaScript => {
            read::imports(tree.root(), read::script)
        }
        Language::Go => read::imports(tree.root(), read::go),
        Language::Java => read::imports(tree.root(), read::java),
    }
}

/// The line of a node, from 1.
fn line(node: &Node<'_>) -> usize {
    node.start_pos().line() + 1
}

/// Whether a target is one that a graph can do something with.
fn sound(target: &str) -> bool {
    !target.is_empty()
        && target.len() <= TARGET_BYTES_MAX
        && !target.contains(|c: char| c.is_control())
}
