//! The verifier believes nothing that an agent says.

use std::path::Path;
use std::time::Duration;

use tress::operation::{Check, Layer, ProseField, TodoEdit, Verdict};
use tress::{Operation, Role, Store, TodoId};
use tress_run::Tree;
use tress_run::git::{GitError, Signature};
use tress_run::verify::bench::{Bench, Stopping};
use tress_run::verify::{Claim, Lint, Report, Terms, verify};

use super::repository;

/// What a verification starts from.
#[derive(Default)]
struct Case<'a> {
    /// The project before.
    before: &'a [(&'a str, &'a str)],
    /// What the commit writes; an empty text takes the file out.
    files: &'a [(&'a str, &'a str)],
    edits: Vec<TodoEdit>,
    acceptance: &'a str,
    tests: Option<&'a str>,
    lint: Option<&'a str>,
    thorough: bool,
}

fn write(dir: &Path, files: &[(&str, &str)]) {
    for (name, text) in files {
        let path = dir.join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        if text.is_empty() {
            std::fs::remove_file(path).unwrap();
        } else {
            std::fs::write(path, text).unwrap();
        }
    }
}

async fn hold(case: Case<'_>) -> Report {
    let dir = tempfile::tempdir().unwrap();
    let tree = repository(dir.path()).await;
    let by = Signature { name: "agent".to_owned() };
    write(dir.path(), case.before);
    let base = tree.commit_all(&by, "before").await.unwrap();
    write(dir.path(), case.files);
    let commit = tree.commit_all(&by, "work").await.unwrap();
    hold_between(&tree, (&base, &commit), case).await
}

/// Verifies `commit`, where the project was `base`; what the case says of files is not looked at.
async fn hold_between(tree: &Tree, (base, commit): (&str, &str), case: Case<'_>) -> Report {
    let id = TodoId::from_external("x");
    let run = Store::in_memory().unwrap().create_run("main").await.unwrap();
    let mut added = tress::todo(id, "work");
    if let Operation::TodoAdded { edits, prose, .. } = &mut added {
        *edits = case.edits;
        prose.push((ProseField::Acceptance, case.acceptance.to_owned()));
    }
    run.agent("ada", Role::Human).append([added]).await.unwrap();
    let state = run.state();
    let clean = tree.dir().join(".tress/clean");
    let clean = tree.worktree(&clean, commit, None).await.unwrap();
    let todo = state.todo(id).unwrap();
    let lint = case.lint.map_or(Lint::Configured, |command| Lint::Command(command.to_owned()));
    let terms = Terms {
        check: todo.check.as_deref(),
        tests: case.tests,
        lint: &lint,
        thorough: case.thorough,
        used_later: false,
    };
    let claim = Claim { todo, base, commit, terms };
    let stop = || -> Stopping<'_> { Box::pin(std::future::pending()) };
    let timeout = Duration::from_secs(20);
    let bench = Bench { tree: &clean, env: &[], timeout, pid_file: None, stop: &stop };
    let report = verify(bench, claim).await.unwrap();
    assert_eq!(clean.commit("HEAD").await.unwrap(), commit, "the tree shows the work again");
    report
}

/// Verifies a commit that writes `files` on top of the first, for a todo with these edits.
async fn judge(files: &[(&str, &str)], edits: Vec<TodoEdit>) -> Report {
    hold(Case { files, edits, ..Case::default() }).await
}

/// The evidence of a check.
fn of<'a>(report: &'a Report, name: &str) -> &'a Check {
    report.checks.iter().find(|check| check.name == name).unwrap()
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
    assert!(report.checks.iter().all(|check| check.command.is_none()), "nothing is run");
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
    assert!(report.reason.contains("src/a.rs:2: todo!"), "{}", report.reason);
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
    let testing = good.checks.iter().find(|check| check.command.is_some()).unwrap();
    assert_eq!((testing.layer, testing.exit_code), (Layer::Testing, Some(0)));
    assert!(testing.tree.is_some() && testing.command.is_some());
    let bad =
        judge(&[("a.txt", "stub")], vec![check("echo not there >&2; grep -q done a.txt")]).await;
    assert_eq!((bad.verdict, bad.percent), (Verdict::Fail, 85));
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
    let nothing = tress_run::Tree::discover(dir.path()).await.unwrap_err();
    assert!(matches!(nothing, GitError::NotARepository(_)), "{nothing}");
    super::git(dir.path(), &["init", "--quiet"]);
    let empty = tress_run::Tree::discover(dir.path()).await.unwrap_err();
    assert!(matches!(empty, GitError::NoCommit), "{empty}");
    let tree = repository(dir.path()).await;
    assert!(tree.changes(Path::new(".tress")).await.unwrap().is_empty());
    std::fs::write(dir.path().join("new.txt"), "x").unwrap();
    assert_eq!(tree.changes(Path::new(".tress")).await.unwrap(), ["new.txt"]);
}

#[tokio::test]
async fn tests_that_are_deleted_or_made_easier_are_reported() {
    let test = "def test_adds():\n    assert add(1, 2) == 3\n    assert add(0, 0) == 0\n";
    let before = [("add.py", "def add(a, b):\n    return a - b\n"), ("test_add.py", test)];
    let work = ("add.py", "def add(a, b):\n    return a + b + 0\n");
    for (changed, rule) in [
        ("", "deleted-tests"),
        ("def test_adds():\n    assert add(1, 2) == 3\n", "fewer-assertions"),
        (
            "import pytest\n\n@pytest.mark.skip\ndef test_adds():\n    assert add(1, 2) == 3\n    assert add(0, 0) == 0\n",
            "skipped-test",
        ),
    ] {
        let files = [work, ("test_add.py", changed)];
        let report = hold(Case { before: &before, files: &files, ..Case::default() }).await;
        assert_eq!(report.verdict, Verdict::Fail, "{changed}");
        let weakened = of(&report, "no test was weakened");
        assert!(weakened.detail.contains(rule), "{rule}: {}", weakened.detail);
        assert!(report.gaps.iter().any(|gap| gap.starts_with("testing: test_add.py:")));
    }
    let report = hold(Case { before: &before, files: &[work], ..Case::default() }).await;
    assert_eq!(report.verdict, Verdict::Pass, "{}", report.reason);
}

#[tokio::test]
async fn what_tells_a_tool_to_look_away_is_a_finding() {
    let before = [("a.py", "def f(x):\n    return x + 1\n")];
    let files = [("a.py", "def f(x):\n    return x + 2  # type: ignore\n")];
    let report = hold(Case { before: &before, files: &files, ..Case::default() }).await;
    assert_eq!(of(&report, "no new suppressions").verdict, Verdict::Fail, "{}", report.reason);
}

#[tokio::test]
async fn what_nobody_uses_is_not_integrated() {
    let main = "mod used;\nfn main() { println!(\"{}\", used::one(3)); }\n";
    let before = [
        ("Cargo.toml", "[package]\nname = \"x\"\n"),
        ("src/main.rs", main),
        ("src/used.rs", "pub fn one(a: u32) -> u32 {\n    a + 1\n}\n"),
    ];
    let alone = "pub fn one(a: u32) -> u32 {\n    a + 1\n}\n\npub fn two(a: u32) -> u32 {\n    one(a) + 1\n}\n";
    let files = [("src/used.rs", alone)];
    let report = hold(Case { before: &before, files: &files, ..Case::default() }).await;
    let check = of(&report, "what is new is used");
    assert_eq!(check.verdict, Verdict::Fail, "{}", report.reason);
    assert!(check.detail.contains("two"), "{}", check.detail);
    let wired = main.replace("one(3)", "two(3)");
    let files = [("src/used.rs", alone), ("src/main.rs", &wired)];
    let report = hold(Case { before: &before, files: &files, ..Case::default() }).await;
    assert_eq!(report.verdict, Verdict::Pass, "{}", report.reason);
}

#[tokio::test]
async fn files_and_functions_that_are_expected_have_to_be_there() {
    let before = [("src/a.py", "print(1)\n")];
    let text = "def parse(text):\n    return text.split()\n\n\nprint(parse('a b'))\n";
    let files = [("src/a.py", text)];
    let expected = |names: &str| format!("{names} is there");
    let edits = || vec![self::files(&["src/a.py", "src/b.py"])];
    let report =
        hold(Case { before: &before, files: &files, edits: edits(), ..Case::default() }).await;
    assert!(report.reason.contains("src/b.py"), "{}", report.reason);
    for (names, verdict) in [("`parse(text)`", Verdict::Pass), ("`tokens()`", Verdict::Fail)] {
        let acceptance = expected(names);
        let case =
            Case { before: &before, files: &files, acceptance: &acceptance, ..Case::default() };
        assert_eq!(hold(case).await.verdict, verdict, "{names}");
    }
}

#[tokio::test]
async fn only_what_a_linter_newly_finds_counts() {
    let lint = Some("grep -n bad a.txt b.txt | sed 's/$/ is bad/'; true");
    let before = [("a.txt", "bad\n"), ("b.txt", "bad\nfine\n")];
    let good = [("a.txt", "fine\nbad\n")];
    let report = hold(Case { before: &before, files: &good, lint, ..Case::default() }).await;
    assert_eq!(report.verdict, Verdict::Pass, "what moved is not new: {}", report.reason);
    let worse = [("a.txt", "bad\nbad\n")];
    let report = hold(Case { before: &before, files: &worse, lint, ..Case::default() }).await;
    assert_eq!(of(&report, "linter: no new findings").verdict, Verdict::Fail);
    let missing = Some("no-such-linter");
    let report =
        hold(Case { before: &before, files: &good, lint: missing, ..Case::default() }).await;
    assert_eq!(report.verdict, Verdict::Unknown, "unknown is never a pass");
}

#[tokio::test]
async fn tests_that_failed_before_are_not_held_against_the_work() {
    let tests = Some("cat result; ! grep -q FAILED result");
    let before = [("result", "test old ... FAILED\n"), ("a.txt", "x")];
    for (result, verdict) in [
        ("test old ... FAILED\n", Verdict::Pass),
        ("test old ... FAILED\ntest new ... FAILED\n", Verdict::Fail),
        ("test old ... ok\n", Verdict::Pass),
        ("something FAILED\n", Verdict::Unknown),
    ] {
        let before = if result.starts_with("something") {
            [("result", "it FAILED\n"), ("a.txt", "x")]
        } else {
            before
        };
        let files = [("result", result), ("a.txt", "y")];
        let report = hold(Case { before: &before, files: &files, tests, ..Case::default() }).await;
        assert_eq!(report.verdict, verdict, "{result}: {}", report.reason);
    }
}

#[tokio::test]
async fn thorough_verification_tests_the_tests() {
    let before = [("add.rs", "fn main() {\n    println!(\"1\");\n}\n")];
    let add = "fn add(a: i32, b: i32) -> i32 {\n    a + b\n}\n\nfn main() {\n    \
               println!(\"{}\", add(1, 2));\n}\n";
    let files = [("add.rs", add)];
    let built = "rustc --edition 2024 -o add.bin add.rs";
    // Whether anything misses the function when it is gone.
    for (test, verdict) in [
        (format!("{built} && ./add.bin"), Verdict::Unknown),
        (format!("{built} && test \"$(./add.bin)\" = 3"), Verdict::Pass),
    ] {
        let (before, files, edits) = (&before, &files, vec![check(&test)]);
        let report = hold(Case { before, files, edits, thorough: true, ..Case::default() }).await;
        assert_eq!(report.verdict, verdict, "{test}: {}", report.reason);
        let each = of(&report, "each changed function is tested");
        assert_eq!(each.detail.contains("add (untested)"), verdict == Verdict::Unknown);
    }
}

#[tokio::test]
async fn new_tests_that_pass_without_the_change_test_nothing() {
    let before = [("lib.rs", "pub fn f() -> u32 {\n    1\n}\n")];
    let work = "pub fn f() -> u32 {\n    1 + 1\n}\n";
    let test = |wanted: u32| {
        format!(
            "include!(\"../lib.rs\");\n#[test]\nfn it_gives() {{\n    assert!(f() >= {wanted});\n}}\n"
        )
    };
    for (wanted, verdict) in [(1, Verdict::Unknown), (2, Verdict::Pass)] {
        let test = test(wanted);
        let files = [("lib.rs", work), ("tests/f.rs", test.as_str())];
        let edits = vec![check("rustc --edition 2024 --test -o f.bin tests/f.rs && ./f.bin")];
        let case =
            Case { before: &before, files: &files, edits, thorough: true, ..Case::default() };
        let report = hold(case).await;
        let check = of(&report, "the new tests fail without the change");
        assert_eq!(check.verdict, verdict, "{wanted}: {}", check.detail);
    }
}

/// An agent that made the script of its check say nothing but yes was believed.
#[tokio::test]
async fn a_check_is_held_against_its_script_as_it_was() {
    let script = "#!/bin/sh\ngrep -q done a.txt && test ! -e dirt && touch dirt\n";
    let before = [("check.sh", script), ("a.txt", "begun\n")];
    let yes = "#!/bin/sh\nexit 0\n";
    let stub = [("check.sh", yes), ("a.txt", "stub\n")];
    let done = [("check.sh", yes), ("a.txt", "done\n")];
    let more =
        [("check.sh", &*format!("{script}grep -q really a.txt\n")), ("a.txt", "really done\n")];
    let name = "its check passes with the scripts as they were";
    for command in ["sh check.sh", "true && sh ./check.sh"] {
        let hold = |files, edits| hold(Case { before: &before, files, edits, ..Case::default() });
        let report = hold(&stub, vec![check(command)]).await;
        assert_eq!(report.verdict, Verdict::Fail, "{}", report.reason);
        assert!(
            report.reason.contains("check.sh:1: the work changes what it is judged by"),
            "{}",
            report.reason
        );
        assert!(report.gaps.iter().any(|gap| gap.contains("(changed-check)")), "{:?}", report.gaps);
        for honest in [&done, &more] {
            let report = hold(honest, vec![check(command)]).await;
            assert_eq!(report.verdict, Verdict::Pass, "{}", report.reason);
            assert_eq!(of(&report, name).detail, "check.sh");
        }
        // Where the todo is about the script, its author meant it to change.
        for meant in ["check.sh", "*.sh"] {
            let report = hold(&stub, vec![check(command), files(&[meant, "a.txt"])]).await;
            assert_eq!(report.verdict, Verdict::Pass, "{}", report.reason);
            assert!(of(&report, name).detail.contains("which the todo names"));
        }
        let report = hold(&stub, vec![check(command), files(&["**"])]).await;
        assert_eq!(report.verdict, Verdict::Fail, "what means everything means no script");
    }
    // What a check only looks at is the work itself.
    let edits = vec![check("grep -q done a.txt")];
    let files = [("a.txt", "done\n")];
    let report = hold(Case { before: &before, files: &files, edits, ..Case::default() }).await;
    assert_eq!(report.verdict, Verdict::Pass, "{}", report.reason);
    assert!(report.checks.iter().all(|check| check.name != name));
}

/// Who changes what `x.py` does changes its tests, too, and the old ones cannot pass. What only lies where tests do and
/// has none that could be seen to be made easier is a script like any other.
#[tokio::test]
async fn tests_and_what_a_pattern_names_may_change_with_the_work() {
    let tests = "def test_x():\n    assert 'begun' in open('a.txt').read()\n\n\ntest_x()\n";
    let changed = tests.replace("begun", "done");
    let none = "import sys\n\nsys.exit('begun' not in open('a.txt').read())\n";
    let script = "grep -q begun a.txt\n";
    let before = [
        ("tests/test_x.py", tests),
        ("tests/run.py", none),
        ("ci/check.sh", script),
        ("a.txt", "begun\n"),
    ];
    let hold = |files, edits| hold(Case { before: &before, files, edits, ..Case::default() });
    let name = "its check passes with the scripts as they were";
    let with_tests = [("tests/test_x.py", &*changed), ("a.txt", "done\n")];
    // The check need not have a Python to run.
    let python = "python() { grep -q done \"$1\" || grep -q begun a.txt; }; python";
    let edits = || vec![check(&format!("{python} tests/test_x.py")), files(&["a.txt"])];
    let report = hold(&with_tests, edits()).await;
    assert_eq!(report.verdict, Verdict::Pass, "{}", report.reason);
    assert!(of(&report, name).detail.contains("which is a file of tests"));
    let without = [("tests/run.py", "done = True\n"), ("a.txt", "done\n")];
    let edits = vec![check(&format!("{python} tests/run.py")), files(&["a.txt"])];
    let report = hold(&without, edits).await;
    assert_eq!(report.verdict, Verdict::Fail, "{}", report.reason);
    let with_script = [("ci/check.sh", "grep -q done a.txt\n"), ("a.txt", "done\n")];
    for (named, verdict) in
        [("ci/", Verdict::Pass), ("ci/*.sh", Verdict::Pass), ("**", Verdict::Fail)]
    {
        let edits = vec![check("sh ci/check.sh"), files(&[named])];
        let report = hold(&with_script, edits).await;
        assert_eq!(report.verdict, verdict, "{named}: {}", report.reason);
    }
}

/// That a script could not be written as it was counted as the work's failure.
#[tokio::test]
async fn what_cannot_be_put_back_says_nothing_about_the_work() {
    let dir = tempfile::tempdir().unwrap();
    let tree = repository(dir.path()).await;
    // No file system has a file of such a name, and git may.
    let name = "x".repeat(300);
    let blob = super::git(dir.path(), &["hash-object", "-w", "README.md"]);
    let entry = format!("100755,{blob},{name}");
    super::git(dir.path(), &["update-index", "--add", "--cacheinfo", &entry]);
    let by = Signature { name: "agent".to_owned() };
    super::git(
        dir.path(),
        &["-c", "user.name=x", "-c", "user.email=x@example.org", "commit", "-qm", "before"],
    );
    let base = tree.commit("HEAD").await.unwrap();
    super::git(dir.path(), &["rm", "--quiet", "--cached", &name]);
    write(dir.path(), &[("a.txt", "done\n")]);
    let commit = tree.commit_all(&by, "work").await.unwrap();
    let edits = vec![check(&format!("grep -q done a.txt || sh {name}"))];
    let case = Case { edits, ..Case::default() };
    let report = hold_between(&tree, (&base, &commit), case).await;
    assert_eq!(report.verdict, Verdict::Unknown, "{}", report.reason);
    assert!(report.reason.contains("cannot be put back as it was"), "{}", report.reason);
}

/// The project's tests and its linter are command lines, too.
#[tokio::test]
async fn the_scripts_of_tests_and_linters_are_held_against_what_they_were() {
    let before = [
        ("ci/test", "grep -q done a.txt\n"),
        ("ci/lint", "! grep bad a.txt\n"),
        ("a.txt", "begun\n"),
    ];
    for (changed, tests, lint) in
        [("ci/test", Some("sh ci/test"), None), ("ci/lint", None, Some("sh ci/lint"))]
    {
        let files = [(changed, "exit 0\n"), ("a.txt", "bad\n")];
        let report =
            hold(Case { before: &before, files: &files, tests, lint, ..Case::default() }).await;
        assert_eq!(report.verdict, Verdict::Fail, "{}", report.reason);
        assert!(report.reason.contains(changed), "{}", report.reason);
    }
}

/// A conflict that was committed as it stood passed all looks.
#[tokio::test]
async fn a_conflict_that_was_not_settled_is_refused() {
    let conflict = "<<<<<<< HEAD\ndone\n=======\nother\n>>>>>>> theirs\n";
    let (one, two) = (format!("# a\n{conflict}"), format!("{conflict}{conflict}"));
    for (before, files, line) in [
        ([("a.md", "# a\n")], [("a.md", one.as_str())], Some("a.md:2:")),
        ([("a.md", one.as_str())], [("a.md", two.as_str())], Some("a.md:6:")),
        // It was there, or is none.
        ([("a.md", one.as_str())], [("b.md", "Title\n=======\n")], None),
        ([("a.md", one.as_str())], [("moved.md", one.as_str())], None),
        // Tests of what settles conflicts read such texts.
        ([("a.md", "# a\n")], [("tests/conflict.txt", one.as_str())], None),
    ] {
        let edits = vec![check("true")];
        let report = hold(Case { before: &before, files: &files, edits, ..Case::default() }).await;
        assert_eq!(report.verdict == Verdict::Fail, line.is_some(), "{}", report.reason);
        if let Some(line) = line {
            assert!(report.reason.contains(line), "{}", report.reason);
            assert!(report.reason.contains("conflict-marker"), "{}", report.reason);
        }
    }
    // It came with a file that was copied or moved, whether or not more was changed in it; or it is meant.
    let more = format!("{one}more\n");
    let meant = [("b.md", one.as_str()), (".gitattributes", "b.md conflict-marker-size=32\n")];
    let plain = [("a.md", "# a\n")];
    let had = [("a.md", one.as_str())];
    for (before, files, verdict) in [
        (&had, &[("b.md", one.as_str())][..], Verdict::Pass),
        (&had, &[("a.md", ""), ("b.md", more.as_str())], Verdict::Pass),
        (&had, &[("a.md", "# a\n"), ("b.md", more.as_str())], Verdict::Pass),
        (&plain, &meant, Verdict::Pass),
        (&plain, &[("b.md", one.as_str())], Verdict::Fail),
    ] {
        let edits = vec![check("true")];
        let report = hold(Case { before, files, edits, ..Case::default() }).await;
        assert_eq!(report.verdict, verdict, "{}", report.reason);
    }
}
