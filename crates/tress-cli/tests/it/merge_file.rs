//! `merge-file`, by itself and as git's merge driver.

use std::path::PathBuf;
use std::process::Command;

use crate::{Bench, text};

const OPEN: &str = r#"{"id":"bd-1","title":"Parse","status":"open","updated_at":"2026-01-01T00:00:00Z"}
{"id":"bd-2","title":"Print","status":"open","updated_at":"2026-01-01T00:00:00Z"}
"#;

/// The file with one issue closed on a day.
fn closing(id: &str, day: u8) -> String {
    let lines = OPEN.lines().map(|line| {
        if !line.contains(id) {
            return format!("{line}\n");
        }
        let day = format!("2026-01-0{day}");
        format!("{}\n", line.replace("open", "closed").replace("2026-01-01", &day))
    });
    lines.collect()
}

fn versions(bench: &Bench, base: &str, ours: &str, theirs: &str) {
    bench.write("base", base);
    bench.write("ours", ours);
    bench.write("theirs", theirs);
}

#[test]
fn both_closings_stay_and_no_store_is_made() {
    let bench = Bench::bare();
    versions(&bench, OPEN, &closing("bd-1", 2), &closing("bd-2", 3));
    let said = bench.json(&["merge-file", "base", "ours", "theirs"]);
    let merged = String::from_utf8(bench.read("ours")).expect("it is text");
    assert_eq!(merged.matches("closed").count(), 2, "{merged}");
    for (name, number) in [("todos", 2), ("merged", 0), ("only_ours", 1), ("only_theirs", 1)] {
        assert_eq!(said[name], number, "{name}: {said}");
    }
    assert!(!bench.path().join(".tress").exists());
    let again = bench.ok(&["merge-file", "base", "ours", "theirs", "--output", "-"]);
    assert_eq!(again, merged);
    bench.ok(&["merge-file", "base", "ours", "theirs", "--output", "other"]);
    assert_eq!(bench.read("other"), merged.as_bytes());
}

#[test]
fn conflict_markers_are_warned_of_with_their_lines() {
    let bench = Bench::bare();
    let torn = format!("<<<<<<< HEAD\n{}=======\n{OPEN}>>>>>>> x\n", closing("bd-1", 2));
    versions(&bench, OPEN, &torn, OPEN);
    let answer = bench.run(&["merge-file", "base", "ours", "theirs", "--output", "out"]);
    assert_eq!(answer.code, 0, "{answer:?}");
    for line in ["ours: line 1:", "ours: line 4:", "ours: line 7:"] {
        assert!(answer.stderr.contains(line), "{answer:?}");
    }
    assert_eq!(bench.read("out"), closing("bd-1", 2).as_bytes());
    let said = bench.json(&["merge-file", "base", "ours", "theirs", "--output", "out"]);
    assert_eq!(said["problems"][2]["line"], 7, "{said}");
}

#[test]
fn decisions_are_told_with_their_rules() {
    let bench = Bench::bare();
    let ours = OPEN.replace("Parse", "Parse it").replace("01T", "02T");
    let theirs = OPEN.replace("Parse", "Read").replace("01T", "03T");
    versions(&bench, OPEN, &ours, &theirs);
    let told = bench.ok(&["merge-file", "base", "ours", "theirs", "--output", "out"]);
    assert!(told.contains("(rule field-merge)") && told.contains("1 decision"), "{told}");
    let said = bench.json(&["merge-file", "base", "ours", "theirs", "--output", "out"]);
    let decision = &said["decisions"][0];
    assert_eq!((text(decision, "id"), text(decision, "field")), ("bd-1".into(), "title".into()));
    assert_eq!(
        (text(decision, "rule"), text(decision, "kept")),
        ("field-merge".into(), "theirs".into())
    );
}

#[test]
fn what_cannot_be_merged_is_refused_and_left_as_it_is() {
    let bench = Bench::new();
    bench.ok(&["add", "write the parser"]);
    bench.ok(&["export", "json", "view.json"]);
    bench.write("base", "");
    let before = bench.read("view.json");
    let refused = bench.run(&["merge-file", "base", "view.json", "view.json"]);
    refused.fails(4, "a view that cannot be merged");
    assert!(refused.stderr.contains("export beads") && refused.stderr.contains("export run"));
    assert_eq!(bench.read("view.json"), before);
    bench.run(&["merge-file", "base", "nowhere", "base"]).fails(3, "nowhere");
    bench.run(&["merge-file", "base", "base", "base", "--output", "-", "--json"]);
}

#[test]
fn exports_of_tress_merge() {
    let bench = Bench::new();
    bench.ok(&["add", "write the parser"]);
    bench.ok(&["export", "run", "base.tressrun"]);
    bench.ok(&["export", "beads", "base.beads.jsonl"]);
    bench.ok(&["add", "write the printer"]);
    bench.ok(&["export", "run", "ours.tressrun"]);
    bench.ok(&["export", "beads", "ours.beads.jsonl"]);
    // Another store, which knows nothing of the first: only the name of the run is the same.
    let other = Bench::new();
    other.ok(&["add", "write the tests"]);
    other.ok(&["export", "run", "theirs.tressrun"]);
    bench.write("theirs.tressrun", other.read("theirs.tressrun"));
    let said = bench.json(&["merge-file", "base.tressrun", "ours.tressrun", "theirs.tressrun"]);
    assert_eq!(said["todos"], 3, "{said}");
    let merged = bench.read("ours.tressrun");
    bench.json(&["merge-file", "base.tressrun", "theirs.tressrun", "ours.tressrun"]);
    assert_eq!(bench.read("theirs.tressrun"), merged, "again, with the sides swapped");
    assert_eq!(bench.json(&["replay", "ours.tressrun"])["todos"]["open"], 3);
    let args = ["merge-file", "base.beads.jsonl", "base.beads.jsonl", "ours.beads.jsonl"];
    bench.ok(&args);
    assert_eq!(bench.read("base.beads.jsonl"), bench.read("ours.beads.jsonl"));
}

/// A repository, and git in it with the built binary first in its path.
struct Repository(Bench);

impl Repository {
    fn new() -> Self {
        let repository = Self(Bench::bare());
        repository.git(&["init", "-q", "-b", "main"]);
        repository.git(&["config", "user.name", "ada"]);
        repository.git(&["config", "user.email", "ada@example.invalid"]);
        repository
    }

    fn git(&self, args: &[&str]) -> String {
        let binary = PathBuf::from(env!("CARGO_BIN_EXE_tress"));
        let mut path = vec![binary.parent().expect("a directory").to_owned()];
        path.extend(std::env::split_paths(&std::env::var_os("PATH").unwrap_or_default()));
        let output = Command::new("git")
            .args(args)
            .current_dir(self.0.path())
            .env("PATH", std::env::join_paths(path).expect("a path"))
            .env("GIT_CONFIG_GLOBAL", "/dev/null")
            .output()
            .expect("git runs");
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(output.status.success(), "git {args:?}: {said}{output:?}");
        said
    }

    fn commit(&self, issues: &str) {
        std::fs::create_dir_all(self.0.path().join(".beads")).expect("it can be made");
        self.0.write(".beads/issues.jsonl", issues);
        self.git(&["add", "-A"]);
        self.git(&["commit", "-q", "-m", "issues"]);
    }
}

#[test]
fn git_merges_two_closings_without_a_conflict() {
    let repository = Repository::new();
    repository.0.ok(&["init", "--git"]);
    repository.commit(OPEN);
    repository.git(&["checkout", "-q", "-b", "side"]);
    repository.commit(&closing("bd-2", 3));
    repository.git(&["checkout", "-q", "main"]);
    repository.commit(&closing("bd-1", 2));
    repository.git(&["merge", "-q", "--no-edit", "side"]);
    let merged = String::from_utf8(repository.0.read(".beads/issues.jsonl")).expect("it is text");
    assert_eq!(merged.matches("\"closed\"").count(), 2, "{merged}");
    assert_eq!(repository.git(&["status", "--porcelain"]), "");
}

#[test]
fn files_that_both_branches_added_merge_too() {
    let repository = Repository::new();
    repository.0.ok(&["init", "--git"]);
    repository.git(&["add", "-A"]);
    repository.git(&["commit", "-q", "-m", "a store"]);
    repository.git(&["checkout", "-q", "-b", "side"]);
    repository.commit(&closing("bd-2", 3));
    repository.git(&["checkout", "-q", "main"]);
    repository.commit(&closing("bd-1", 2));
    repository.git(&["merge", "-q", "--no-edit", "side"]);
    let merged = String::from_utf8(repository.0.read(".beads/issues.jsonl")).expect("it is text");
    assert_eq!(merged.matches("\"closed\"").count(), 2, "{merged}");
}

#[test]
fn init_git_adds_what_is_missing_and_says_so() {
    let repository = Repository::new();
    let bench = &repository.0;
    bench.write(".gitattributes", "*.png binary\n*.tressrun merge=tress");
    let said = bench.ok(&["init", "--git"]);
    assert!(said.contains(".beads/*.jsonl merge=tress"), "{said}");
    assert!(said.contains("merge.tress.driver = tress merge-file %O %A %B --path %P"), "{said}");
    let wanted = "*.png binary\n*.tressrun merge=tress\n.beads/*.jsonl merge=tress\n\
                  *.beads.jsonl merge=tress\n";
    assert_eq!(bench.read(".gitattributes"), wanted.as_bytes());
    let driver = repository.git(&["config", "--local", "merge.tress.driver"]);
    assert_eq!(driver.trim(), "tress merge-file %O %A %B --path %P");
    assert!(bench.ok(&["init", "--git"]).contains("already"));
    assert_eq!(bench.read(".gitattributes"), wanted.as_bytes());
    let again = bench.json(&["init", "--git"]);
    assert_eq!(again["git"]["lines_added"], serde_json::json!([]), "{again}");
}

#[test]
fn init_git_without_a_repository_makes_nothing() {
    let bench = Bench::bare();
    bench.run(&["init", "--git"]).fails(4, "in no git repository");
    assert!(!bench.path().join(".tress").exists());
}
