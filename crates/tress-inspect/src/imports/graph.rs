//! Who imports whom: the imports of a tree of files, resolved to its files where they can be.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::resolve::Resolver;
use super::{Import, ImportKind, imports};
use crate::language::Language;

/// What an import leads to.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Target {
    /// A file of the tree, by its path.
    File(String),
    /// A package that is not in the tree, by its name.
    Package(String),
}

impl std::fmt::Display for Target {
    /// The path, or `pkg:NAME`.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::File(path) => f.write_str(path),
            Self::Package(name) => write!(f, "pkg:{name}"),
        }
    }
}

/// One file imports another, or a package.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Edge {
    /// The file that imports.
    pub from: String,
    /// What it imports.
    pub to: Target,
    /// The first line in which it does.
    pub line: usize,
    /// What stands there.
    pub written: String,
    /// How it stands there.
    pub kind: ImportKind,
}

/// The import graph of a tree of files.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Graph {
    files: BTreeSet<String>,
    edges: Vec<Edge>,
}

impl Graph {
    /// The graph of these files, given as path and text. Paths are relative to the top of the tree
    /// and have slashes. Of files that are neither source code nor a manifest (`Cargo.toml`,
    /// `go.mod`, `package.json`) only the path is looked at.
    pub fn of<P: AsRef<str>, T: AsRef<str>>(files: impl IntoIterator<Item = (P, T)>) -> Self {
        let mut builder = GraphBuilder::default();
        for (path, text) in files {
            builder.add(path.as_ref(), text.as_ref());
        }
        builder.finish()
    }

    /// The files, in order.
    pub fn files(&self) -> impl Iterator<Item = &str> {
        self.files.iter().map(String::as_str)
    }

    /// The edges, in order of `from` and `to`: one for each pair, whatever the number of imports.
    pub fn edges(&self) -> &[Edge] {
        &self.edges
    }
}

/// Makes a [`Graph`] file by file, and keeps no text.
#[derive(Debug, Default)]
pub struct GraphBuilder {
    files: BTreeMap<String, Vec<Import>>,
    manifests: BTreeMap<String, String>,
}

/// Whether the text of the file at `path` counts for a graph; of others only the path does.
pub fn text_counts(path: &str) -> bool {
    Language::of(path).is_some() || is_manifest(path)
}

fn is_manifest(path: &str) -> bool {
    let name = path.rsplit('/').next().unwrap_or(path);
    matches!(name, "Cargo.toml" | "go.mod" | "package.json")
}

impl GraphBuilder {
    /// Adds a file; one with the same path takes the place of the other.
    pub fn add(&mut self, path: &str, text: &str) {
        self.files.insert(path.to_owned(), imports(path, text));
        if is_manifest(path) && text.len() <= super::FILE_BYTES_MAX {
            self.manifests.insert(path.to_owned(), text.to_owned());
        }
    }

    /// The graph of what was added.
    pub fn finish(self) -> Graph {
        let resolver = Resolver::new(&self.files, &self.manifests);
        let mut edges: BTreeMap<(&str, Target), Edge> = BTreeMap::new();
        for (from, imports) in &self.files {
            let names = resolver.names(from, imports);
            for import in imports {
                let Some(to) = resolver.resolve(from, import, &names) else { continue };
                if matches!(&to, Target::File(path) if path == from) {
                    continue;
                }
                edges.entry((from, to.clone())).or_insert_with(|| Edge {
                    from: from.clone(),
                    to,
                    line: import.line,
                    written: import.target.clone(),
                    kind: import.kind,
                });
            }
        }
        let edges = edges.into_values().collect();
        Graph { files: self.files.into_keys().collect(), edges }
    }
}
