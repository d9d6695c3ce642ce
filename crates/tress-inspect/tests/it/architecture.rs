//! The rule language, and what rules say of a tree.

use proptest::prelude::*;
use tress_inspect::architecture::{Report, Rules, ViolationKind, allow, baseline, check, quoted};
use tress_inspect::imports::Graph;

const FILES: [(&str, &str); 5] = [
    ("ui/page.py", "import app.core\nimport db.store\n"),
    ("ui/__init__.py", ""),
    ("app/core.py", "import db.store\nimport ui.page\nimport requests\n"),
    ("db/store.py", "import sqlite3\n"),
    ("README.md", "# Shop\n"),
];
const PARTS: &str = "component ui = ui/**\ncomponent app = app/**\ncomponent db = db\n";

fn held(rules: &str) -> Report {
    check(&Rules::parse(&format!("{PARTS}{rules}")).unwrap(), &Graph::of(FILES))
}

/// The violations as `from:line -> to`.
fn found(rules: &str) -> Vec<String> {
    let report = held(rules);
    let shown = report.violations.iter().map(|v| format!("{}:{} -> {}", v.from, v.line, v.to));
    shown.collect()
}

#[test]
fn forbid_holds_for_components_globs_and_packages() {
    assert_eq!(found("forbid ui -> db"), ["ui/page.py:2 -> db/store.py"]);
    assert_eq!(found("forbid app -> pkg:requests"), ["app/core.py:3 -> pkg:requests"]);
    assert_eq!(found("forbid **/*.py -> pkg:sql*"), ["db/store.py:1 -> pkg:sqlite3"]);
    assert!(found("forbid db -> ui").is_empty());
    assert!(found("forbid **/*.py -> {ui,app,db}/**").is_empty(), "a part may import itself");
    assert_eq!(
        found("component driver = pkg:sqlite3, pkg:requests\nforbid app -> driver"),
        ["app/core.py:3 -> pkg:requests"]
    );
}

#[test]
fn layers_forbid_what_leads_up_and_strict_ones_what_skips() {
    assert_eq!(found("layers ui > app > db"), ["app/core.py:2 -> ui/page.py"]);
    assert_eq!(
        found("strict layers ui > app > db"),
        ["app/core.py:2 -> ui/page.py", "ui/page.py:2 -> db/store.py"]
    );
    assert_eq!(
        found("layers ui, app > db"),
        ["app/core.py:2 -> ui/page.py", "ui/page.py:1 -> app/core.py"]
    );
    let report = held("strict layers ui > app > db");
    let kinds: Vec<_> = report.violations.iter().map(|violation| violation.kind).collect();
    assert_eq!(kinds, [ViolationKind::Upward, ViolationKind::Skipped]);
    let checked = report.checked["strict layers ui > app > db"];
    assert_eq!((checked.checked, checked.violated, checked.percent()), (4, 2, 50));
}

#[test]
fn require_wants_one_import_and_cover_a_component() {
    assert!(found("require ui -> app").is_empty());
    assert_eq!(found("require db -> app"), ["db:0 -> app"]);
    assert!(found("require app -> pkg:requests").is_empty());
    let rules = Rules::parse("component ui = ui/**\ncover **/*.py").unwrap();
    let report = check(&rules, &Graph::of(FILES));
    let found: Vec<_> = report.violations.iter().map(|v| v.from.as_str()).collect();
    assert_eq!(found, ["app", "db"]);
}

#[test]
fn the_baseline_excuses_what_it_names_and_nothing_else() {
    let forbid = "forbid ui -> db\n";
    let rules = Rules::parse(&format!("{PARTS}{forbid}")).unwrap();
    let report = check(&rules, &Graph::of(FILES));
    let text = baseline(&report.violations);
    assert_eq!(text, "allow ui/page.py -> db/store.py for \"forbid ui -> db\"\n");
    let after = held(&format!("{forbid}{text}"));
    assert!(after.violations.is_empty() && after.stale.is_empty());
    assert_eq!(after.known, report.violations);
    assert_eq!(after.total().percent(), report.total().percent(), "a known violation counts");
    let other = held(&format!("{forbid}allow ui/page.py -> db/store.py for elsewhere"));
    assert_eq!((other.violations.len(), other.stale.len()), (1, 1));
}

#[test]
fn the_baseline_only_shrinks() {
    let report = held("forbid ui -> db\nallow ui/old.py -> db/store.py");
    assert_eq!(report.stale.len(), 1);
    assert_eq!(report.stale[0].written, "allow ui/old.py -> db/store.py");
    assert_eq!(report.stale[0].line, 5);
}

#[test]
fn an_exception_of_the_design_is_no_violation_and_never_stale() {
    let report = held("forbid ui -> db\nexcept ui/page.py -> db/store.py\nexcept a/b -> c/d");
    assert!(report.violations.is_empty() && report.known.is_empty() && report.stale.is_empty());
    assert_eq!(report.total().percent(), 100);
}

#[test]
fn a_rule_that_matches_no_file_is_dead() {
    let report = held("forbid ui -> legacy/**\ncomponent gone = lib/**, ui/**\nforbid gone -> db");
    let dead: Vec<_> = report.dead.iter().map(|dead| (&*dead.rule, &*dead.pattern)).collect();
    assert_eq!(
        dead,
        [("component gone = lib/**, ui/**", "lib/**"), ("forbid ui -> legacy/**", "legacy/**"),]
    );
    assert!(held("forbid ui -> pkg:nobody").dead.is_empty(), "nobody has to import a package");
}

#[test]
fn a_mistake_is_told_with_its_place_and_what_to_write() {
    for (text, line, column, words) in [
        ("forbidden a -> b", 1, 1, "write component, layers"),
        ("# fine\n  forbid ui db", 2, 13, "-> is missing; write forbid A -> B"),
        ("forbid ui/** ->", 1, 16, "the line ends where what is imported must stand"),
        ("forbid ui/** -> db/** x", 1, 23, "\"x\" is too much"),
        ("component ui ui/**", 1, 14, "= is missing; write component NAME = GLOB"),
        ("component ui/** = x", 1, 11, "looks like a pattern"),
        ("component ui =", 1, 15, "a glob must stand"),
        ("component ui = a/[", 1, 16, "is no glob"),
        ("component ui = a/**\ncomponent ui = b/**", 2, 11, "there is a component ui already"),
        ("layers ui/**", 1, 13, "one layer says nothing"),
        ("strict ui/** > db/**", 1, 8, "strict stands before layers"),
        ("component ui = ui/**\nforbid ui -> dp", 2, 14, "there is no component dp (there are ui)"),
        ("forbid pkg:x -> ui/**", 1, 8, "imports nothing here"),
        ("allow \"a b -> c/d", 1, 7, "the quote has no end"),
        ("allow a/b -> c/d for", 1, 21, "a rule's key must stand"),
        ("cover", 1, 6, "write cover GLOB"),
    ] {
        let mistakes = Rules::parse(text).unwrap_err();
        let first = &mistakes[0];
        assert_eq!((first.line, first.column), (line, column), "{text}: {first}");
        assert!(first.message.contains(words), "{text}: {first}");
    }
}

#[test]
fn a_rule_with_a_mistake_leaves_the_others_in_force() {
    let rules = [("bad", "forbid ui"), ("good", "forbid ui/** -> db/**")];
    let (rules, mistakes) = Rules::of(rules);
    assert_eq!(mistakes.len(), 1);
    assert_eq!(mistakes[0].to_string().find("rule bad, line 1"), Some(0));
    let report = check(&rules, &Graph::of(FILES));
    assert_eq!(report.violations[0].rule, "good");
}

#[test]
fn commas_in_braces_and_comments_are_read_as_they_are_meant() {
    let rules = Rules::parse(
        "component a = {ui,app}/**, db/** # both\n\nlayers a>README.md\nforbid a->pkg:c#  # c#\n",
    );
    let rules = rules.unwrap();
    let written: Vec<_> = rules.statements().iter().map(|s| s.written.as_str()).collect();
    assert_eq!(
        written,
        ["component a = {ui,app}/**, db/**", "layers a>README.md", "forbid a->pkg:c#"]
    );
    assert_eq!(rules.components_of("app/x.py"), ["a"]);
    assert!(rules.components_of("README.md").is_empty());
}

#[test]
fn dashes_and_underscores_name_the_same_package() {
    let graph = Graph::of([("src/lib.rs", "use serde_json::Value;")]);
    let rules = Rules::parse("forbid src/** -> pkg:serde-json").unwrap();
    assert_eq!(check(&rules, &graph).violations.len(), 1);
}

proptest! {
    /// No text of rules panics, and what is quoted is read back.
    #[test]
    fn no_rule_panics(
        text in "(?s).{0,60}|((component|layers|strict|forbid|require|allow|cover|a|b/\\*\\*|->|>|=|,|\"|#|pkg:|\\{|\n) ?){0,20}",
        word in "(?s).{1,20}",
    ) {
        if let Ok(rules) = Rules::parse(&text) {
            check(&rules, &Graph::of(FILES));
        }
        prop_assume!(!word.contains(|c: char| c.is_control() && c != '\n' && c != '\r'));
        let text = format!("allow {} -> b/c for {}", quoted(&word), quoted(&word));
        let rules = Rules::parse(&text).unwrap();
        let (_, exception) = rules.baseline().next().unwrap();
        prop_assert_eq!(&exception.from, &word);
        prop_assert_eq!(exception.rule.as_ref(), Some(&word));
    }

    /// The same rules and files give the same report, in whatever order the files come.
    #[test]
    fn a_report_is_the_same_in_any_order(order in Just(FILES.to_vec()).prop_shuffle()) {
        let rules = Rules::parse(&format!("{PARTS}strict layers ui > app > db")).unwrap();
        let report = check(&rules, &Graph::of(order));
        prop_assert_eq!(&report, &check(&rules, &Graph::of(FILES)));
        for violation in &report.violations {
            prop_assert!(Rules::parse(&allow(violation)).is_ok());
        }
    }
}
