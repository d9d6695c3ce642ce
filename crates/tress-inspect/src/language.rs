//! The languages whose syntax is known, and their parsers.

use std::borrow::Cow;
use std::path::Path;

use ast_grep_core::matcher::PatternBuilder;
use ast_grep_core::tree_sitter::{LanguageExt, StrDoc, TSLanguage};
use ast_grep_core::{AstGrep, Pattern, PatternError};
use serde::{Deserialize, Serialize};

/// A language whose syntax trees are looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Language {
    /// Rust.
    Rust,
    /// Python.
    Python,
    /// TypeScript.
    TypeScript,
    /// TypeScript with JSX.
    Tsx,
    /// JavaScript, with or without JSX.
    JavaScript,
    /// Go.
    Go,
    /// Java.
    Java,
}

/// A parsed file.
pub type Tree = AstGrep<StrDoc<Language>>;
/// A node of a parsed file.
pub type Node<'t> = ast_grep_core::Node<'t, StrDoc<Language>>;

impl Language {
    /// Every language.
    pub const ALL: [Self; 7] = [
        Self::Rust,
        Self::Python,
        Self::TypeScript,
        Self::Tsx,
        Self::JavaScript,
        Self::Go,
        Self::Java,
    ];

    /// The language of the file at `path`, by its ending; `None` where its syntax is not known.
    pub fn of(path: &str) -> Option<Self> {
        Some(match Path::new(path).extension()?.to_str()? {
            "rs" => Self::Rust,
            "py" | "pyi" => Self::Python,
            "ts" | "mts" | "cts" => Self::TypeScript,
            "tsx" => Self::Tsx,
            "js" | "mjs" | "cjs" | "jsx" => Self::JavaScript,
            "go" => Self::Go,
            "java" => Self::Java,
            _ => return None,
        })
    }

    /// Its name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Rust => "rust",
            Self::Python => "python",
            Self::TypeScript => "typescript",
            Self::Tsx => "tsx",
            Self::JavaScript => "javascript",
            Self::Go => "go",
            Self::Java => "java",
        }
    }

    /// The syntax tree of `text`. What is not of the language's grammar is in it as error nodes.
    pub fn parse(self, text: &str) -> Tree {
        self.ast_grep(text)
    }
}

impl ast_grep_core::Language for Language {
    fn kind_to_id(&self, kind: &str) -> u16 {
        self.get_ts_language().id_for_node_kind(kind, true)
    }

    fn field_to_id(&self, field: &str) -> Option<u16> {
        self.get_ts_language().field_id_for_name(field).map(|field| field.get())
    }

    /// `$` begins no name in these; `µ` does, and stands for it while a pattern is parsed.
    fn expando_char(&self) -> char {
        match self {
            Self::Rust | Self::Python | Self::Go => 'µ',
            _ => '$',
        }
    }

    fn pre_process_pattern<'q>(&self, query: &'q str) -> Cow<'q, str> {
        match self.expando_char() {
            '$' => Cow::Borrowed(query),
            expando => Cow::Owned(query.replace('$', &expando.to_string())),
        }
    }

    fn build_pattern(&self, builder: &PatternBuilder) -> Result<Pattern, PatternError> {
        builder.build(|text| StrDoc::try_new(text, *self))
    }
}

impl LanguageExt for Language {
    fn get_ts_language(&self) -> TSLanguage {
        match self {
            Self::Rust => tree_sitter_rust::LANGUAGE.into(),
            Self::Python => tree_sitter_python::LANGUAGE.into(),
            Self::TypeScript => tree_sitter_typescript::LANGUAGE_TYPESCRIPT.into(),
            Self::Tsx => tree_sitter_typescript::LANGUAGE_TSX.into(),
            Self::JavaScript => tree_sitter_javascript::LANGUAGE.into(),
            Self::Go => tree_sitter_go::LANGUAGE.into(),
            Self::Java => tree_sitter_java::LANGUAGE.into(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pattern_is_found_in_each_language() {
        for (language, text, pattern) in [
            (Language::Rust, "fn f() { todo!() }", "todo!($$$A)"),
            (Language::Python, "def f():\n    g(1)\n", "g($A)"),
            (Language::TypeScript, "function f(): number { return g(1) }", "g($A)"),
            (Language::Tsx, "function f() { return <p>{g(1)}</p> }", "g($A)"),
            (Language::JavaScript, "function f() { return g(1) }", "g($A)"),
            (Language::Go, "package p\nfunc f() { g(1) }", "g($A)"),
            (Language::Java, "class C { int f() { return g(1); } }", "g($A)"),
        ] {
            let tree = language.parse(text);
            assert!(tree.root().find(pattern).is_some(), "{}", language.name());
        }
        assert_eq!(Language::of("src/a.tsx"), Some(Language::Tsx));
        assert_eq!(Language::of("README.md"), None);
    }
}
