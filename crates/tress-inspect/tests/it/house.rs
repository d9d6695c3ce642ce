//! The rules of this house, held against this house.

use std::path::{Path, PathBuf};

use tress_inspect::architecture::{Rules, check};
use tress_inspect::imports::Graph;
use tress_inspect::imports::graph::text_counts;

const RULES: &str = include_str!("../fixtures/house.rules");

fn files(dir: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files(&path, found);
        } else {
            found.push(path);
        }
    }
}

fn house() -> Graph {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let mut found = Vec::new();
    files(&root.join("crates"), &mut found);
    Graph::of(found.into_iter().filter_map(|path| {
        let name = path.strip_prefix(&root).unwrap().to_str()?.to_owned();
        let text =
            if text_counts(&name) { std::fs::read_to_string(&path).ok()? } else { String::new() };
        Some((name, text))
    }))
}

#[test]
fn this_house_keeps_its_own_rules() {
    let graph = house();
    let rules = Rules::parse(RULES).unwrap_or_else(|mistakes| panic!("{mistakes:?}"));
    let report = check(&rules, &graph);
    assert_eq!(report.violations, []);
    assert_eq!(report.dead, []);
    let total = report.total();
    assert!(total.checked > 500, "the graph is not empty: {total:?}");
    assert_eq!(total.percent(), 100);
}

#[test]
fn a_breach_of_the_rules_of_this_house_would_be_found() {
    let rules = Rules::parse(RULES).unwrap();
    let graph = Graph::of([
        ("crates/tress-model/src/lib.rs", "fn f() { tress_store::Store::open(); }"),
        ("crates/tress-model/Cargo.toml", "[package]\nname = \"tress-model\"\n"),
        ("crates/tress-store/src/lib.rs", "use tress_engine::Log;\npub struct Store;"),
        ("crates/tress-store/Cargo.toml", "[package]\nname = \"tress-store\"\n"),
        ("crates/tress-engine/src/lib.rs", "use automerge::Automerge;"),
        (
            "crates/tress-engine/Cargo.toml",
            "[package]\nname = \"tress-engine\"\n[dependencies]\nautomerge.workspace = true\n",
        ),
    ]);
    let found = check(&rules, &graph).violations;
    let found: Vec<_> = found.iter().map(|v| format!("{} -> {}", v.from, v.to)).collect();
    for expected in [
        "crates/tress-model/src/lib.rs -> crates/tress-store/src/lib.rs",
        "crates/tress-store/src/lib.rs -> crates/tress-engine/src/lib.rs",
        "crates/tress-engine/src/lib.rs -> pkg:automerge",
    ] {
        assert!(found.iter().any(|found| found == expected), "{expected} in {found:?}");
    }
}
