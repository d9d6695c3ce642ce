//! The house rules that a program can check.

use std::path::{Path, PathBuf};

/// A file longer than this holds more than one thing.
const LINES_MAX: usize = 800;

/// What must not stand in any source, and why.
const NOWHERE: [(&str, &str); 5] = [
    ("#[allow(", "say #[expect(…, reason = \"…\")]"),
    ("#[ignore", "a test runs, or goes"),
    ("#[should_panic", "assert on what is returned"),
    ("dbg!(", "left over"),
    ("unsafe {", "there is no unsafe code here"),
];

/// What must not stand in the pure crates.
const IMPURE: [(&str, &str); 8] = [
    ("SystemTime", "time comes in as an argument"),
    ("Instant", "time comes in as an argument"),
    ("std::env", "a pure crate reads no environment"),
    ("std::fs", "a pure crate reads no files"),
    ("std::net", "a pure crate knows no network"),
    ("HashMap", "its order could show; use BTreeMap"),
    ("HashSet", "its order could show; use BTreeSet"),
    ("static ", "a pure crate holds no state"),
];

fn sources(dir: &Path, found: &mut Vec<PathBuf>) -> Result<(), String> {
    let entries = std::fs::read_dir(dir).map_err(|error| format!("{}: {error}", dir.display()))?;
    for entry in entries {
        let path = entry.map_err(|error| error.to_string())?.path();
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        if path.is_dir() {
            // The sample project of the demo is data.
            let data = name == "demo" && !path.ends_with("src/demo");
            if !data && !["target", ".git", ".tress"].contains(&name) {
                sources(&path, found)?;
            }
        } else if name.ends_with(".rs") {
            found.push(path);
        }
    }
    Ok(())
}

/// Every breach of a house rule, with its place.
pub(crate) fn check(root: &Path) -> Result<Vec<String>, String> {
    let mut files = Vec::new();
    sources(root, &mut files)?;
    files.sort();
    let mut problems = Vec::new();
    for path in &files {
        let text = std::fs::read_to_string(path).map_err(|e| format!("{}: {e}", path.display()))?;
        let shown = path.strip_prefix(root).unwrap_or(path).display().to_string();
        if shown.starts_with("xtask") {
            continue;
        }
        file(&shown, &text, &mut problems);
    }
    rules(root, &mut problems)?;
    Ok(problems)
}

fn file(shown: &str, text: &str, problems: &mut Vec<String>) {
    if !text.starts_with("//!") {
        problems.push(format!("{shown}:1: a module begins with //! and says what it is for"));
    }
    let lines = text.lines().count();
    if lines > LINES_MAX {
        problems.push(format!("{shown}: {lines} lines; {LINES_MAX} are the most: split it"));
    }
    let pure = ["crates/tress-model/src", "crates/tress-engine/src", "crates/tress-plan/src"];
    let pure = pure.iter().any(|dir| shown.starts_with(dir));
    let impure: &[(&str, &str)] = if pure { &IMPURE } else { &[] };
    for (number, line) in text.lines().enumerate() {
        let code = line.split("//").next().unwrap_or_default();
        for (word, why) in NOWHERE.iter().chain(impure) {
            // A lifetime is not a static.
            let code = code.replace("&'static ", "&").replace("+ 'static", "");
            if code.contains(word) {
                problems.push(format!("{shown}:{}: {word}: {why}", number + 1));
            }
        }
    }
}

/// Every rule of the fold has its place in docs/RULES.md and a test that bears its name.
fn rules(root: &Path, problems: &mut Vec<String>) -> Result<(), String> {
    let read = |path: &str| {
        std::fs::read_to_string(root.join(path)).map_err(|error| format!("{path}: {error}"))
    };
    let code = read("crates/tress-model/src/rules.rs")?;
    let (docs, tests) = (read("docs/RULES.md")?, read("crates/tress-engine/tests/it/main.rs")?);
    let names = code.lines().filter(|line| line.trim_start().starts_with("Self::"));
    let names = names.filter_map(|line| line.split('"').nth(1));
    for name in names.filter(|name| !name.is_empty()) {
        if !docs.contains(name) {
            problems.push(format!("docs/RULES.md: the rule {name} is missing"));
        }
        let test = format!("fn rule_{}()", name.replace('-', "_"));
        if !tests.contains(&test) {
            problems.push(format!("crates/tress-engine/tests: the rule {name} has no `{test}`"));
        }
    }
    Ok(())
}
