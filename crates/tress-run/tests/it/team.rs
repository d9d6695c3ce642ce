//! Whole runs: everything that can go wrong does, and all work is done once.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tress::operation::{EdgeKind, TodoEdit};
use tress::{Operation, Role, Run, Status, Store, TodoId, VersionVector, now};
use tress_run::{CommandDriver, Options, Orchestrator, Outcome, Summary, Tree};

use super::{git, repository};

/// A todo called `name` that is done when the file `name` holds its name.
pub(crate) fn todo(name: &str, needs: &[&str], files: &[&str]) -> Vec<Operation> {
    let id = TodoId::from_external(name);
    let mut added = tress::todo(id, format!("make {name}"));
    if let Operation::TodoAdded { edits, external_id, .. } = &mut added {
        *external_id = Some(name.to_owned());
        edits.push(TodoEdit::Check(Some(format!("grep -q {name} {name}"))));
        edits.push(TodoEdit::Files(files.iter().map(|&file| file.to_owned()).collect()));
    }
    let edges = needs.iter().map(|on| Operation::DependencyAdded {
        todo: id,
        on: TodoId::from_external(on),
        external_id: None,
        kind: EdgeKind::Blocks,
        layout: None,
    });
    std::iter::once(added).chain(edges).collect()
}

pub(crate) struct Site {
    pub(crate) dir: tempfile::TempDir,
    pub(crate) tree: Tree,
    pub(crate) run: Run,
}

impl Site {
    pub(crate) async fn new(todos: Vec<Vec<Operation>>) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let tree = repository(dir.path()).await;
        let store = Store::create(dir.path().join(".tress")).unwrap();
        let run = store.create_run("main").await.unwrap();
        run.agent("ada", Role::Human).append(todos.into_iter().flatten()).await.unwrap();
        Self { dir, tree, run }
    }

    pub(crate) fn options(&self, command: &str) -> Options {
        let mut options = Options::new(command, "tress/main");
        options.retry_after = Duration::from_millis(10);
        options.scale = Some(3);
        options
    }

    pub(crate) async fn work(&self, options: Options, stop: watch::Receiver<bool>) -> Summary {
        let driver = Arc::new(CommandDriver { command: options.command.clone() });
        let (run, tree) = (self.run.clone(), self.tree.clone());
        let team = Orchestrator::prepare(run, tree, options, driver, stop).await.unwrap();
        team.run().await.unwrap()
    }

    pub(crate) async fn finish(&self, command: &str) -> Summary {
        let (_stop, stopped) = watch::channel(false);
        self.work(self.options(command), stopped).await
    }

    pub(crate) fn status(&self, name: &str) -> Status {
        let state = self.run.state();
        state.status_unblocked(state.todo(TodoId::from_external(name)).unwrap(), now())
    }

    pub(crate) async fn events(&self, name: &str) -> usize {
        let events = self.run.events_since(VersionVector::new()).await.unwrap();
        events.iter().filter(|event| event.operation.name() == name).count()
    }

    pub(crate) fn show(&self, file: &str) -> String {
        git(self.dir.path(), &["show", &format!("tress/main:{file}")])
    }
}

/// Writes the file that the todo is about.
pub(crate) const GOOD: &str = "echo $TRESS_TODO > $TRESS_TODO";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_team_does_a_list_in_order_and_integrates_it() {
    let site = Site::new(vec![
        todo("a", &[], &["a"]),
        todo("b", &["a"], &["b"]),
        todo("c", &["a"], &["c"]),
        todo("d", &["b", "c"], &["d"]),
    ])
    .await;
    let summary = site.finish(&format!("{GOOD}; test $TRESS_TODO = a || test -f a")).await;
    assert_eq!((summary.outcome, summary.completed, summary.left), (Outcome::Done, 4, 0));
    assert_eq!((summary.refused, summary.failed), (0, 0));
    for name in ["a", "b", "c", "d"] {
        assert_eq!(site.status(name), Status::Completed);
        assert_eq!(site.show(name), name);
    }
    let merges = git(site.dir.path(), &["log", "--merges", "--format=%s", "tress/main"]);
    assert_eq!(merges.lines().count(), 4, "{merges}");
    assert_eq!(git(site.dir.path(), &["status", "--porcelain"]), "", "the work tree is untouched");
    assert!(site.run.check().await.unwrap().iter().all(tress::CheckpointCheck::holds));
    let left = std::fs::read_dir(site.dir.path().join(".tress/local/trees/main")).unwrap();
    let left: Vec<_> = left.map(|entry| entry.unwrap().file_name()).collect();
    assert!(left.iter().all(|name| name != "implementer-1"), "{left:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stub_is_caught_and_sent_back_with_the_reason() {
    let site = Site::new(vec![todo("a", &[], &["a"])]).await;
    let command = "if [ $TRESS_ATTEMPT = 1 ]; then echo stub > a; else grep -q 'What went wrong' \
                   {prompt} && echo a > a; fi";
    let summary = site.finish(command).await;
    assert_eq!((summary.outcome, summary.refused), (Outcome::Done, 1));
    let state = site.run.state();
    let completions = &state.todo(TodoId::from_external("a")).unwrap().completions;
    assert!(completions[0].void.as_ref().unwrap().contains("grep -q a a"));
    assert_eq!(site.events("alert_raised").await, 1);
    assert!(state.team.open_alerts().is_empty(), "cleared when it was done after all");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_agent_that_crashes_is_tried_again_and_then_another() {
    let site = Site::new(vec![todo("a", &[], &["a"])]).await;
    let command = "[ $TRESS_ATTEMPT -ge 4 ] && echo a > a || kill -ABRT $$";
    let summary = site.finish(command).await;
    assert_eq!((summary.outcome, summary.failed), (Outcome::Done, 3));
    let state = site.run.state();
    let failures = &state.todo(TodoId::from_external("a")).unwrap().failures;
    let agents: std::collections::BTreeSet<_> = failures.iter().map(|f| f.agent.clone()).collect();
    assert!(agents.len() > 1, "no agent tries for ever: {agents:?}");
    assert!(failures[0].message.contains("signal 6"), "{}", failures[0].message);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn work_that_conflicts_is_done_again_on_the_new_base() {
    let both = |name: &str| {
        let mut operations = todo(name, &[], &[]);
        let id = TodoId::from_external(name);
        let check = TodoEdit::Check(Some(format!("grep -q {name} README.md")));
        operations.push(Operation::TodoEdited { todo: id, edits: vec![check] });
        operations
    };
    let site = Site::new(vec![both("left"), both("right")]).await;
    // Both begin before either is merged: each waits until it sees the other's claim.
    let command = "echo $TRESS_TODO >> README.md; touch ../../../$TRESS_TODO.begun; n=0; \
                   while [ $TRESS_ATTEMPT = 1 ] && [ $n -lt 100 ] && { [ ! -f ../../../left.begun ] || \
                   [ ! -f ../../../right.begun ]; }; do n=$((n+1)); sleep 0.05; done";
    let summary = site.finish(command).await;
    assert_eq!((summary.outcome, summary.completed), (Outcome::Done, 2));
    assert_eq!(site.events("integration_failed").await, 1);
    let readme = site.show("README.md");
    assert!(readme.contains("left") && readme.contains("right"), "{readme}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_nobody_can_do_is_escalated_and_the_rest_goes_on() {
    let site = Site::new(vec![todo("bad", &[], &["bad"]), todo("good", &[], &["good"])]).await;
    let mut options = site.options("[ $TRESS_TODO = good ] && echo good > good");
    options.attempts = 3;
    let (_stop, stopped) = watch::channel(false);
    let summary = site.work(options, stopped).await;
    assert_eq!((summary.outcome, summary.completed, summary.left), (Outcome::Stuck, 1, 1));
    let state = site.run.state();
    let bad = state.todo(TodoId::from_external("bad")).unwrap();
    assert_eq!(bad.failures.len(), 3);
    assert_eq!(bad.open_blockers().count(), 1);
    assert_eq!(state.team.open_alerts().len(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_team_that_is_stopped_goes_on_where_it_was() {
    let site =
        Site::new(vec![todo("a", &[], &["a"]), todo("b", &[], &["b"]), todo("c", &["b"], &["c"])])
            .await;
    let (stop, stopped) = watch::channel(false);
    let run = site.run.clone();
    let stopper = tokio::spawn(async move {
        let mut events = run.subscribe(VersionVector::new()).await.unwrap();
        while events.next().await.unwrap().operation.name() != "integrated" {}
        stop.send_replace(true);
        // The sender lives until the team has stopped.
        std::future::pending::<()>().await;
    });
    // Only `a` can be done; the others wait for a file that is not there yet.
    let gate = site.dir.path().join(".tress/gate");
    let command = format!(
        "[ $TRESS_TODO = a ] || while [ ! -f {} ]; do sleep 0.05; done; {GOOD}",
        gate.display()
    );
    let summary = site.work(site.options(&command), stopped).await;
    stopper.abort();
    assert_eq!(summary.outcome, Outcome::Stopped);
    assert_eq!((site.status("a"), site.status("b")), (Status::Completed, Status::Open));
    std::fs::write(&gate, "").unwrap();
    let options = Options::from_state(&site.run.state()).unwrap();
    assert_eq!(options.command, command);
    let (_stop, stopped) = watch::channel(false);
    let summary = site.work(options, stopped).await;
    assert_eq!((summary.outcome, summary.completed), (Outcome::Done, 3));
    assert_eq!(site.events("integrated").await, 3, "no work is done twice");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_orchestrators_cannot_be_at_one_run() {
    let site = Site::new(vec![todo("a", &[], &["a"])]).await;
    let (_stop, stopped) = watch::channel(false);
    let prepare = || {
        let options = site.options(GOOD);
        let driver = Arc::new(CommandDriver { command: options.command.clone() });
        Orchestrator::prepare(site.run.clone(), site.tree.clone(), options, driver, stopped.clone())
    };
    let first = prepare().await.unwrap();
    let second = prepare().await.unwrap_err();
    assert!(matches!(second, tress_run::RunError::AlreadyRunning(_)), "{second}");
    assert_eq!(first.run().await.unwrap().outcome, Outcome::Done);
}

/// When the reviewer failed, the implementers waited for its answers for ever.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_branch_that_somebody_else_moves_is_merged_with() {
    let site = Site::new(vec![todo("a", &[], &["a"])]).await;
    // The check runs between the merge's base being read and the branch being moved.
    let move_it = "cd \"$TRESS_DIR/..\" && test -e moved || { touch .tress/moved && git commit -q \
                   --allow-empty -m other && git update-ref refs/heads/tress/main HEAD && cd - && \
                   touch \"$TRESS_DIR/../moved\"; }; true";
    let check = TodoEdit::Check(Some(format!("{move_it}; grep -q a a")));
    let id = TodoId::from_external("a");
    let edit = Operation::TodoEdited { todo: id, edits: vec![check] };
    site.run.agent("ada", Role::Human).append([edit]).await.unwrap();
    for args in [["config", "user.name", "x"], ["config", "user.email", "x@example.invalid"]] {
        git(site.dir.path(), &args);
    }
    let summary = site.finish(GOOD).await;
    assert_eq!(summary.outcome, Outcome::Done);
    let log = git(site.dir.path(), &["log", "--format=%s", "tress/main"]);
    assert!(log.contains("other") && log.contains("make a"), "{log}");
}

/// An agent that leaves a broken repository inside its work tree killed its implementer.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn work_that_cannot_be_committed_is_a_failed_attempt() {
    let site = Site::new(vec![todo("a", &[], &["a"])]).await;
    let command = format!("[ $TRESS_ATTEMPT != 1 ] || git init -q sub; {GOOD}");
    let summary = site.finish(&command).await;
    assert_eq!((summary.outcome, summary.completed), (Outcome::Done, 1));
    assert_eq!(summary.failed, 1);
}

/// Of a repository that an agent left in its work tree git kept a name: what was in it was gone, and the todo was done.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_files_of_a_repository_within_the_work_tree_are_committed() {
    let site = Site::new(vec![todo("a", &[], &[]), todo("b", &[], &[])]).await;
    let commit = "git -c user.name=x -c user.email=x@example.invalid commit -q -m x";
    // One leaves it to be committed, one within another; the other commits it itself.
    let nest = |dir: &str| {
        format!(
            "mkdir -p {dir} && (cd {dir} && git init -q && echo x > file && git add . && {commit})"
        )
    };
    let command = format!(
        "{GOOD}; if [ $TRESS_TODO = a ]; then {} && {}; else {} && git add . 2>/dev/null && {commit}; fi",
        nest("one/two"),
        nest("one"),
        nest("three")
    );
    let summary = site.finish(&command).await;
    assert_eq!((summary.outcome, summary.failed, summary.refused), (Outcome::Done, 0, 0));
    for file in ["one/file", "one/two/file", "three/file"] {
        assert_eq!(site.show(file), "x");
    }
    let state = site.run.state();
    let notes = &state.todo(TodoId::from_external("b")).unwrap().notes;
    let said = notes.iter().any(|note| note.text.contains("a git repository of its own in three"));
    assert!(said, "{notes:?}");
    // A further work tree of the project is no part of it.
    site.run.agent("ada", Role::Human).append(todo("c", &[], &[])).await.unwrap();
    let summary = site.finish(&format!("{GOOD}; git worktree add -q wt; echo x > wt/file")).await;
    assert_eq!((summary.outcome, summary.failed), (Outcome::Done, 0));
    let files = git(site.dir.path(), &["ls-tree", "-r", "--name-only", "tress/main"]);
    assert!(files.lines().any(|file| file == "c") && !files.contains("wt"), "{files}");
    // What was in it is not lost.
    let kept = ["for-each-ref", "--format=%(refname)", "refs/tress/main/beside/"];
    let kept = git(site.dir.path(), &kept);
    assert_eq!(git(site.dir.path(), &["show", &format!("{kept}:file")]), "x");
}

/// A todo that a person claims to have done made the team wait for ever.
/// Git took the repository further up for the work tree's: what the user was at was committed to the user's branch.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_removes_the_work_tree_or_makes_it_another_has_failed() {
    let site = Site::new(vec![
        todo("a", &[], &["a"]),
        todo("b", &["a"], &["b"]),
        todo("c", &["b"], &["c"]),
    ])
    .await;
    let (dir, at) = (site.dir.path(), ["rev-parse", "HEAD"]);
    let before = git(dir, &at);
    std::fs::write(dir.join("unfinished"), "of the user").unwrap();
    let bad = "if [ $TRESS_ATTEMPT = 1 ]; then rm -rf .git; case $TRESS_TODO in \
               b) git init -q;; c) cd ..; rm -rf \"$OLDPWD\"; exit 0;; esac; fi";
    let summary = site.finish(&format!("{bad}; {GOOD}")).await;
    assert_eq!((summary.outcome, summary.completed, summary.failed), (Outcome::Done, 3, 3));
    assert_eq!(git(dir, &at), before, "the user's branch is untouched");
    assert_eq!(git(dir, &["status", "--porcelain"]), "?? unfinished");
}

/// The branch of the run was moved under whoever had checked it out: the next commit took the work back.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_branch_that_is_checked_out_is_not_worked_on() {
    let site = Site::new(vec![todo("a", &[], &["a"])]).await;
    git(site.dir.path(), &["checkout", "-q", "-b", "tress/main"]);
    let options = site.options(GOOD);
    let driver = Arc::new(CommandDriver { command: options.command.clone() });
    let (run, tree) = (site.run.clone(), site.tree.clone());
    let (_stop, stopped) = watch::channel(false);
    let refused = Orchestrator::prepare(run, tree, options, driver, stopped).await;
    let refused = refused.expect_err("it is refused").to_string();
    assert!(refused.contains("tress/main is checked out in"), "{refused}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_person_has_to_verify_is_left_to_a_person() {
    let site = Site::new(vec![todo("mine", &[], &[]), todo("b", &[], &["b"])]).await;
    let ada = site.run.agent("ada", Role::Human);
    let claim = ada.claim(TodoId::from_external("mine"), None).await.unwrap();
    ada.complete(&claim, None, "done by hand").await.unwrap();
    let summary = site.finish(GOOD).await;
    assert_eq!((summary.outcome, summary.completed, summary.left), (Outcome::Stuck, 1, 1));
    assert_eq!(site.status("mine"), Status::InReview);
}

/// A second start worked on the branch that the first had left, behind what was done since.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_second_start_begins_where_the_project_is_now() {
    let site = Site::new(vec![todo("a", &[], &["a"])]).await;
    site.finish(GOOD).await;
    let dir = site.dir.path();
    git(dir, &["merge", "--quiet", "tress/main"]);
    std::fs::write(dir.join("by-hand"), "x").unwrap();
    let by = tress_run::git::Signature { name: "ada".to_owned() };
    site.tree.commit_all(&by, "by hand").await.unwrap();
    site.run.agent("ada", Role::Human).append(todo("b", &[], &["b"])).await.unwrap();
    let summary = site.finish(&format!("test -f by-hand && {GOOD}")).await;
    assert_eq!((summary.outcome, summary.failed), (Outcome::Done, 0));
}

/// The demo's agent, without the command line around it.
#[test]
fn the_demo_agent_edits_what_is_there() {
    let dir = tempfile::tempdir().unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(tress_run::demo::create(dir.path())).unwrap();
    let act =
        |todo: &str, attempt| tress_run::demo::act((todo, ""), attempt, dir.path(), |_, _| {});
    for todo in ["words", "count", "table", "json", "cli", "usage", "layout"] {
        act(todo, 2).unwrap();
    }
    assert!(act("nonsense", 1).is_err());
    let read = |path: &str| std::fs::read_to_string(Path::new(dir.path()).join(path)).unwrap();
    assert!(!read("src/report.rs").contains("todo!"));
    assert!(read("README.md").contains("## Layout"));
    let status = git(dir.path(), &["log", "--format=%s"]);
    assert_eq!(status.lines().count(), 1);
}
