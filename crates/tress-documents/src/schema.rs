//! The schema: every path that a document may have, its Automerge type and its meaning.
//! docs/SCHEMA.md shows these same tables.

mod tables;

use tress_model::Strand;
use tress_model::operation::ProseField;

/// The version of the schema, which every document names in its root.
pub const VERSION: i64 = 1;

/// The Automerge type of a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A map object.
    Map,
    /// A text object, which merges character by character.
    Text,
    /// A scalar string.
    Str,
    /// A scalar integer.
    Int,
    /// A scalar 64-bit float.
    Float,
    /// A scalar boolean.
    Bool,
    /// A scalar timestamp, in milliseconds.
    Timestamp,
}

impl Kind {
    /// The type's name, as docs/SCHEMA.md writes it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Map => "map",
            Self::Text => "text",
            Self::Str => "str",
            Self::Int => "int",
            Self::Float => "f64",
            Self::Bool => "boolean",
            Self::Timestamp => "timestamp",
        }
    }
}

/// One path of a document.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Field {
    /// The keys from the root, parted by `/`; a key in angle brackets stands for any key, which may
    /// itself contain a `/`.
    pub path: &'static str,
    /// The type of the value.
    pub kind: Kind,
    /// What it means.
    pub meaning: &'static str,
}

impl Field {
    /// Whether it describes the value that `path` leads to.
    pub fn describes(&self, path: &[&str]) -> bool {
        let mut keys = self.path.split('/');
        let same = path.iter().all(|key| {
            keys.next().is_some_and(|pattern| pattern.starts_with('<') || pattern == *key)
        });
        same && keys.next().is_none()
    }
}

/// Every path of a strand's document, parents before children.
pub const fn fields(strand: Strand) -> &'static [Field] {
    match strand {
        Strand::Design => tables::DESIGN,
        Strand::Todo => tables::TODO,
        Strand::Implementation => tables::IMPLEMENTATION,
    }
}

/// The named maps of a strand's document, which its genesis makes. Their order is part of the
/// format: it gives the maps their object ids.
pub const fn maps(strand: Strand) -> &'static [&'static str] {
    match strand {
        Strand::Design => {
            &["sections", "requirements", "rules", "decisions", "deviations", "assessments"]
        }
        Strand::Todo => &["todos"],
        Strand::Implementation => &[
            "info",
            "settings",
            "agents",
            "work",
            "integrations",
            "checkpoints",
            "alerts",
            "metrics",
            "budget",
            "learning",
            "lineage",
            "undone",
            "retired",
            "members",
            "ledger",
        ],
    }
}

/// Whether the value that `path` leads to is prose: a text object and not a scalar string.
pub fn is_text(strand: Strand, path: &[&str]) -> bool {
    match (strand, path) {
        (Strand::Todo, ["todos", _, field]) => {
            ProseField::ALL.iter().any(|prose| prose.name() == *field)
        }
        (Strand::Design, ["sections", _, field]) => *field == "body",
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tables_agree_with_the_code() {
        for strand in Strand::ALL {
            for field in fields(strand) {
                let path: Vec<&str> = field.path.split('/').collect();
                assert_eq!(is_text(strand, &path), field.kind == Kind::Text, "{}", field.path);
                assert!(field.describes(&path));
                let depth = path.len();
                assert!(depth < crate::limits::DEPTH_MAX);
            }
            for map in maps(strand) {
                let field = fields(strand).iter().find(|field| field.path == *map);
                assert_eq!(field.map(|field| field.kind), Some(Kind::Map), "{map}");
            }
        }
    }
}
