//! What each language imports, and which file of the tree that is.

use proptest::prelude::*;
use tress_inspect::imports::{Graph, ImportKind, imports};

/// The imports as `line kind target`.
fn seen(path: &str, text: &str) -> Vec<String> {
    let found = imports(path, text);
    let shown = |found: &tress_inspect::imports::Import| {
        let within = if found.within.is_empty() { "" } else { " in " };
        format!("{} {:?} {}{within}{}", found.line, found.kind, found.target, found.within)
    };
    found.iter().map(shown).collect()
}

/// The edges of a graph as `from -> to`.
fn edges(files: &[(&str, &str)]) -> Vec<String> {
    let graph = Graph::of(files.iter().copied());
    graph.edges().iter().map(|edge| format!("{} -> {}", edge.from, edge.to)).collect()
}

#[test]
fn rust_imports_are_seen_in_items_expressions_and_macro_arguments() {
    let text = "\
use std::collections::{BTreeMap, btree_map::{self, Entry}};
use crate::a::*;
pub(crate) mod b;
extern crate core as kernel;
use ::serde::Serialize as Ser;
fn f(x: crate::c::Thing<crate::d::Inner>) -> u8 {
    let _ = super::e::g::<u8>(self::h());
    assert_eq!(crate::i::J, vec![k::l()]);
    tress_model::ids::make()
}
mod inner {
    use super::m;
    mod deep { use super::super::n::O; }
}
";
    assert_eq!(
        seen("src/x.rs", text),
        [
            "1 Use std::collections::BTreeMap",
            "1 Use std::collections::btree_map",
            "1 Use std::collections::btree_map::Entry",
            "2 Use crate::a::*",
            "3 Module b",
            "4 ExternCrate core",
            "5 Use ::serde::Serialize",
            "6 Path crate::c::Thing",
            "6 Path crate::d::Inner",
            "7 Path super::e::g",
            "7 Path self::h",
            "8 Path crate::i::J",
            "8 Path k::l",
            "9 Path tress_model::ids::make",
            "12 Use super::m in inner",
            "13 Use super::super::n::O in inner::deep",
        ]
    );
}

#[test]
fn python_imports_are_seen_with_their_names() {
    let text = "\
import os, a.b as c
from . import d
from ..e.f import g as h, i
from j import *
def lazily():
    import k
    m = importlib.import_module('l.m')
    importlib.import_module(f'{x}')
";
    assert_eq!(
        seen("x.py", text),
        [
            "1 Import os",
            "1 Import a.b",
            "2 From .d",
            "3 From ..e.f.g",
            "3 From ..e.f.i",
            "4 From j",
            "6 Import k",
            "7 Dynamic l.m",
        ]
    );
}

#[test]
fn scripts_import_export_require_and_load() {
    let text = "\
import a, { b } from './a'
import type { T } from \"../t\"
export * from './c'
export const x = 1
const d = require('d/e')
const f = await import('./f')
const g = await import(`./${name}`)
";
    let expected =
        ["1 Import ./a", "2 Import ../t", "3 Export ./c", "5 Require d/e", "6 Dynamic ./f"];
    for path in ["x.ts", "x.tsx"] {
        assert_eq!(seen(path, text), expected, "{path}");
    }
    assert_eq!(seen("x.js", &text.replace("import type", "import")), expected);
    assert_eq!(seen("x.ts", "import y = require('z')"), ["1 Require z"]);
}

#[test]
fn go_and_java_imports_are_seen() {
    let go = "package p\nimport \"fmt\"\nimport (\n\tx \"a.b/c\"\n\t_ `d`\n)\n";
    assert_eq!(seen("p.go", go), ["2 Import fmt", "4 Import a.b/c", "5 Import d"]);
    let java =
        "package a.b;\nimport a.c.D;\nimport static a.E.f;\nimport java.util.*;\nclass X {}\n";
    assert_eq!(seen("X.java", java), ["2 Import a.c.D", "3 Import a.E.f", "4 Import java.util.*"]);
}

#[test]
fn rust_paths_lead_to_module_files_and_other_crates() {
    let files = [
        ("core/Cargo.toml", "[package]\nname = \"my-core\"\n[dependencies]\nserde = \"1\"\n"),
        ("core/src/lib.rs", "pub mod a;\nmod b;\npub use a::A;\n"),
        ("core/src/a.rs", "use crate::b::deep::C;\nuse super::b;\npub struct A;"),
        (
            "core/src/b/mod.rs",
            "pub mod deep;\nmod tests { use super::deep::C; use super::super::a; }",
        ),
        ("core/src/b/deep.rs", "pub struct C; fn f() -> crate::a::A { serde::x(); u8::from(1) }"),
        ("core/tests/it/main.rs", "mod more;\nuse my_core::a::A;"),
        ("core/tests/it/more.rs", "fn t() { my_core::b::deep::C; }"),
        (
            "app/src/main.rs",
            "use my_core::{A, a};\nuse std::fs;\nfn main() { a::go(); fs::read(\"\"); }",
        ),
    ];
    assert_eq!(
        edges(&files),
        [
            "app/src/main.rs -> core/src/a.rs",
            "app/src/main.rs -> core/src/lib.rs",
            "app/src/main.rs -> pkg:std",
            "core/src/a.rs -> core/src/b/deep.rs",
            "core/src/a.rs -> core/src/b/mod.rs",
            "core/src/b/deep.rs -> core/src/a.rs",
            "core/src/b/deep.rs -> pkg:serde",
            "core/src/b/mod.rs -> core/src/a.rs",
            "core/src/b/mod.rs -> core/src/b/deep.rs",
            "core/src/lib.rs -> core/src/a.rs",
            "core/src/lib.rs -> core/src/b/mod.rs",
            "core/tests/it/main.rs -> core/src/a.rs",
            "core/tests/it/main.rs -> core/tests/it/more.rs",
            "core/tests/it/more.rs -> core/src/b/deep.rs",
        ]
    );
}

#[test]
fn names_that_are_bound_or_depended_on_lead_to_what_they_are() {
    let manifest = "\
[package]
name = \"app\"
[dependencies]
serde = \"1\"
plan.workspace = true
json = { version = \"1\", package = \"serde_json\" }
# old = \"1\"
[target.'cfg(unix)'.dependencies.\"nix\"]
package = \"rustix-core\"
[workspace.dependencies]
toml = \"1\"
";
    let text = "\
use serde::{self as s, de as d};
use crate::prelude::*;
extern crate plan as p;
fn f() { s::x(); d::y(); p::z(); fs::read(); json::to(); nix::kill(); toml::x(); old::x(); core::mem::swap() }
";
    let files = [("app/Cargo.toml", manifest), ("app/src/lib.rs", text)];
    let expected = ["pkg:plan", "pkg:rustix_core", "pkg:serde", "pkg:serde_json", "pkg:std"];
    assert_eq!(edges(&files), expected.map(|to| format!("app/src/lib.rs -> {to}")));
    // The same without a manifest: nobody knows what there is.
    assert!(edges(&files[1..]).contains(&"app/src/lib.rs -> pkg:toml".to_owned()));
}

#[test]
fn python_names_lead_to_modules_of_packages_and_roots() {
    let files = [
        ("src/shop/__init__.py", ""),
        ("src/shop/cart.py", "from . import db\nfrom .db.rows import Row\nimport json\n"),
        ("src/shop/db/__init__.py", "from ..cart import Cart\n"),
        ("src/shop/db/rows.py", "from shop.cart import Cart\nimport shop\n"),
        ("tests/test_cart.py", "import shop.db.rows\nfrom helper import h\n"),
        ("tests/helper.py", "import requests.api\n"),
    ];
    assert_eq!(
        edges(&files),
        [
            "src/shop/cart.py -> src/shop/db/__init__.py",
            "src/shop/cart.py -> src/shop/db/rows.py",
            "src/shop/cart.py -> pkg:json",
            "src/shop/db/__init__.py -> src/shop/cart.py",
            "src/shop/db/rows.py -> src/shop/__init__.py",
            "src/shop/db/rows.py -> src/shop/cart.py",
            "tests/helper.py -> pkg:requests",
            "tests/test_cart.py -> src/shop/db/rows.py",
            "tests/test_cart.py -> tests/helper.py",
        ]
    );
}

#[test]
fn scripts_lead_to_files_with_endings_indexes_and_packages_of_the_tree() {
    let files = [
        (
            "web/a.ts",
            "import './b'; import './c.js'; import '../lib'; import '@me/kit/x'; import 'react/jsx'",
        ),
        ("web/b.tsx", "import fs from 'node:fs'; import '@up/ui/button'; import '../../../out'"),
        ("web/c.ts", ""),
        ("lib/index.js", "require('./gone')"),
        ("kit/package.json", "{\"name\": \"@me/kit\"}"),
        ("kit/src/x.ts", ""),
    ];
    assert_eq!(
        edges(&files),
        [
            "web/a.ts -> kit/src/x.ts",
            "web/a.ts -> lib/index.js",
            "web/a.ts -> web/b.tsx",
            "web/a.ts -> web/c.ts",
            "web/a.ts -> pkg:react",
            "web/b.tsx -> pkg:@up/ui",
            "web/b.tsx -> pkg:fs",
        ]
    );
}

#[test]
fn go_packages_and_java_classes_lead_to_files() {
    let files = [
        ("go.mod", "module example.com/shop // ours\n"),
        (
            "main.go",
            "package main\nimport (\n\"fmt\"\n\"example.com/shop/db\"\n\"example.com/shopping\"\n)",
        ),
        ("db/a_test.go", "package db"),
        ("db/rows.go", "package db"),
        (
            "j/src/org/x/A.java",
            "package org.x;\nimport org.y.B;\nimport org.y.*;\nimport java.util.List;",
        ),
        ("j/src/org/y/B.java", "package org.y;\nimport static org.x.A.Inner.f;"),
    ];
    assert_eq!(
        edges(&files),
        [
            "j/src/org/x/A.java -> j/src/org/y/B.java",
            "j/src/org/x/A.java -> pkg:java.util",
            "j/src/org/y/B.java -> j/src/org/x/A.java",
            "main.go -> db/rows.go",
            "main.go -> pkg:example.com/shopping",
            "main.go -> pkg:fmt",
        ]
    );
}

#[test]
fn an_edge_stands_once_and_names_its_first_line() {
    let graph = Graph::of([("a.py", "\nimport b\nimport b.c\n"), ("b.py", "")]);
    assert_eq!(graph.edges().len(), 1);
    let edge = graph.edges().first().unwrap();
    assert_eq!((edge.line, edge.written.as_str(), edge.kind), (2, "b", ImportKind::Import));
}

#[test]
fn deeply_nested_and_endless_texts_are_borne() {
    let deep = format!("use {}a{};", "a::{".repeat(3000), "}".repeat(3000));
    assert!(imports("a.rs", &deep).len() <= 1);
    let modules = format!("{}use super::x;{}", "mod m {".repeat(2000), "}".repeat(2000));
    assert_eq!(imports("a.rs", &modules).len(), 1);
    let paths = format!("fn f() {{ {}x }}", "a::".repeat(20_000));
    assert!(imports("a.rs", &paths).is_empty(), "a longer target is no name");
    let many = "import a\n".repeat(30_000);
    assert_eq!(imports("a.py", &many).len(), tress_inspect::imports::IMPORTS_MAX);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    /// No text panics, in any language, and the graph of it has only its own files.
    #[test]
    fn no_text_panics(
        texts in prop::collection::vec((0_usize..9, "(?s).{0,80}|(use|mod|import|from|export|require|crate|self|super|\\.|::|\\*|\\{|\\}|\\(|\\)|\"|'|a|b|;|\n| ){0,40}"), 1..6),
    ) {
        let paths = ["src/lib.rs", "src/a.rs", "b/mod.rs", "p/__init__.py", "p/b.py", "s.ts", "s.tsx", "m.go", "a/b/C.java"];
        let files = texts.iter().map(|(at, text)| (paths[*at], text.as_str()));
        let graph = Graph::of(files);
        for edge in graph.edges() {
            prop_assert!(graph.files().any(|file| file == edge.from));
            prop_assert!(edge.line >= 1);
        }
    }
}
