//! The verifier believes nothing that an agent says.

use std::time::Duration;

use tress::operation::{Layer, TodoEdit, Verdict};
use tress::{Operation, Role, Store, TodoId};
use tress_run::Tree;
use tress_run::git::{GitError, Signature};
use tress_run::verify::bench::{Bench, Stopping};
use tress_run::verify::{Claim, Lint, Report, Terms, verify};

use super::repository;

/// Verifies a commit that writes `files` on top of the first, for a todo with these edits.
async fn judge(files: &[(&str, &str)], edits: Vec<TodoEdit>) -> Report {
    let dir = tempfile::tempdir().unwrap();
    let tree = repository(dir.path()).await;
    let base = tree.commit("HEAD").await.unwrap();
    for (name, text) in files {
        let path = dir.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }
    let by = Signature { name: "agent".to_owned() };
    let commit = tree.commit_all(&by, "work").await.unwrap();
    let run = Store::in_memory().unwrap().create_run("main").await.unwrap();
    let id = TodoId::from_external("x");
    let mut added = tress::todo(id, "work");
    if let Operation::TodoAdded { edits: field, .. } = &mut added {
        *field = edits;
    }
    run.agent("ada", Role::Human).append([added]).await.unwrap();
    let state = run.state();
    let clean = dir.path().join(".tress/clean");
    let clean = tree.worktree(&clean, &base, None).await.unwrap();
    let todo = state.todo(id).unwrap();
    let terms = Terms {
        check: todo.check.as_deref(),
        tests: None,
        lint: &Lint::Configured,
        thorough: false,
    };
    let claim = Claim { todo, base: &base, commit: &commit, terms };
    let stop = || -> Stopping<'_> { Box::pin(std::future::pending()) };
    let timeout = Duration::from_secs(20);
    let bench = Bench { tree: &clean, env: &[], timeout, pid_file: None, stop: &stop };
    verify(bench, claim).await.unwrap()
}

fn files(patterns: &[&str]) -> TodoEdit {
    TodoEdit::Files(patterns.iter().map(|&pattern| pattern.to_owned()).collect())
}

fn check(command: &str) -> TodoEdit {
    TodoEdit::Check(Some(command.to_owned()))
}

#[tokio::test]
async fn a_commit_that_changes_nothing_is_refused() {
    let report = judge(&[], vec![check("true")]).await;
    assert_eq!(report.verdict, Verdict::Fail);
    assert!(report.reason.contains("changes nothing"), "{}", report.reason);
    assert!(report.checks.iter().all(|check| check.layer != Layer::Testing), "nothing to test");
}

#[tokio::test]
async fn a_commit_beside_what_the_todo_names_is_refused() {
    let report = judge(&[("other.txt", "x")], vec![files(&["src/**"])]).await;
    assert_eq!(report.verdict, Verdict::Fail);
    assert!(report.reason.contains("src/**"), "{}", report.reason);
    let report = judge(&[("src/a.txt", "x"), ("other.txt", "x")], vec![files(&["src/**"])]).await;
    assert_eq!(report.verdict, Verdict::Pass);
}

#[tokio::test]
async fn a_marked_stub_is_refused() {
    let stub = "pub fn f() {\n    todo!()\n}\n";
    let report = judge(&[("src/a.rs", stub)], vec![check("true")]).await;
    assert_eq!(report.verdict, Verdict::Fail);
    assert!(report.reason.contains("todo!()"), "{}", report.reason);
    let prose = judge(&[("NOTES.md", "never write `todo!()`")], vec![]).await;
    assert_eq!(prose.verdict, Verdict::Pass);
}

#[tokio::test]
async fn the_check_decides_and_runs_in_a_clean_tree() {
    let good = judge(
        &[("a.txt", "done")],
        vec![check("grep -q done a.txt && test ! -e dirt && touch dirt")],
    );
    let good = good.await;
    assert_eq!(good.verdict, Verdict::Pass, "{}", good.reason);
    let testing = good.checks.iter().find(|check| check.layer == Layer::Testing).unwrap();
    assert_eq!((testing.layer, testing.exit_code), (Layer::Testing, Some(0)));
    assert!(testing.tree.is_some() && testing.command.is_some());
    let bad =
        judge(&[("a.txt", "stub")], vec![check("echo not there >&2; grep -q done a.txt")]).await;
    assert_eq!((bad.verdict, bad.percent), (Verdict::Fail, 75));
    assert!(bad.checks.last().unwrap().detail.contains("not there"));
}

#[tokio::test]
async fn what_cannot_be_run_is_unknown_and_never_a_pass() {
    let report = judge(&[("a.txt", "x")], vec![check("no-such-program-anywhere")]).await;
    assert_eq!(report.verdict, Verdict::Unknown);
}

#[tokio::test]
async fn bad_repositories_are_named() {
    let dir = tempfile::tempdir().unwrap();
    let nothing = Tree::discover(dir.path()).await.unwrap_err();
    assert!(matches!(nothing, GitError::NotARepository(_)), "{nothing}");
    super::git(dir.path(), &["init", "--quiet"]);
    let empty = Tree::discover(dir.path()).await.unwrap_err();
    assert!(matches!(empty, GitError::NoCommit), "{empty}");
    let tree = repository(dir.path()).await;
    assert!(tree.changes(".tress").await.unwrap().is_empty());
    std::fs::write(dir.path().join("new.txt"), "x").unwrap();
    assert_eq!(tree.changes(".tress").await.unwrap(), ["new.txt"]);
}
