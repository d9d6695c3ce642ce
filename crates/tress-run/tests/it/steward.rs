//! What the coordinator sees to while the team works: blockers, alerts, budgets, batches; and what
//! an agent could claim falsely.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tress::operation::{BlockerKind, Severity, TodoEdit, Verdict};
use tress::{Event, Operation, Role, Run, Status, TodoId};
use tress_run::execute::driver::Working;
use tress_run::execute::process::{Ending, Finished};
use tress_run::{Driver, Options, Orchestrator, Outcome, Summary, Task};

use super::git;
use super::team::{Site, todo};

/// An agent that is a closure: it gets the run and the task, works in the work tree, and says how
/// it ended.
struct Scripted<F>(Run, F);

impl<F> Driver for Scripted<F>
where
    F: Fn(&Run, &Task) -> (Vec<Operation>, i32) + Send + Sync,
{
    fn work<'a>(
        &'a self,
        task: &'a Task,
        _stop: std::pin::Pin<Box<dyn Future<Output = ()> + Send + 'a>>,
    ) -> Working<'a> {
        Box::pin(async move {
            let (said, code) = (self.1)(&self.0, task);
            let agent = self.0.agent(&task.agent, Role::Implementer);
            if !said.is_empty() {
                agent.append(said).await.unwrap();
            }
            let took = Duration::from_millis(1);
            Finished { ending: Ending::Exited(code), output: String::new(), took }
        })
    }
}

async fn work<F>(site: &Site, options: Options, agent: F) -> Summary
where
    F: Fn(&Run, &Task) -> (Vec<Operation>, i32) + Send + Sync + 'static,
{
    let driver = Arc::new(Scripted(site.run.clone(), agent));
    let (_stop, stopped) = watch::channel(false);
    let (run, tree) = (site.run.clone(), site.tree.clone());
    let team = Orchestrator::prepare(run, tree, options, driver, stopped).await.unwrap();
    tokio::time::timeout(Duration::from_secs(60), team.run()).await.expect("it ends").unwrap()
}

fn id(name: &str) -> TodoId {
    TodoId::from_external(name)
}

/// Does what the todo is about, and what is done along with it.
fn good(task: &Task) {
    for name in std::iter::once(&task.id).chain(&task.also) {
        std::fs::write(task.worktree.join(name), name).unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_blocks_an_agent_is_tried_against_and_then_escalated_while_others_go_on() {
    let site = Site::new(vec![todo("a", &[], &["a"]), todo("b", &[], &["b"])]).await;
    let summary = work(&site, site.options("scripted"), |_, task| {
        if task.id == "b" {
            good(task);
            return (Vec::new(), 0);
        }
        let blocked = Operation::BlockerRaised {
            todo: id("a"),
            kind: BlockerKind::Technical,
            description: "it does not build".to_owned(),
            tried: Vec::new(),
        };
        (vec![blocked], 75)
    })
    .await;
    assert_eq!((summary.outcome, summary.completed, summary.left), (Outcome::Stuck, 1, 1));
    let state = site.run.state();
    let todo = state.todo(id("a")).unwrap();
    let tried: Vec<_> = todo.blockers.iter().filter_map(|b| b.resolved.as_deref()).collect();
    let names: Vec<_> = tried.iter().map(|how| how.split(':').next().unwrap()).collect();
    assert_eq!(names, ["fresh-start", "another-agent", "smaller-steps"]);
    let last = todo.blockers.last().unwrap();
    let context = last.escalated.as_deref().expect("it was escalated");
    for known in ["it does not build", "tried: fresh-start", "failed: implementer-"] {
        assert!(context.contains(known), "{known} is not in {context}");
    }
    let alert = state.team.alerts.get("escalated:a").unwrap();
    assert_eq!((alert.priority, alert.cleared_at), (Severity::High, None));
}

/// Each remedy that the steward tried gave a todo as many attempts again: four times as many as were allowed.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn only_a_resolved_escalation_gives_as_many_attempts_again() {
    let site = Site::new(vec![todo("a", &[], &["a"])]).await;
    let options = Options { attempts: 4, ..site.options("scripted") };
    let agent = |run: &Run, _: &Task| {
        let blocked = Operation::BlockerRaised {
            todo: id("a"),
            kind: BlockerKind::Technical,
            description: "it does not build".to_owned(),
            tried: Vec::new(),
        };
        let before = run.state().todo(id("a")).unwrap().failures.len();
        (if before < 2 { vec![blocked] } else { Vec::new() }, 1)
    };
    for attempts in [4, 8] {
        let summary = work(&site, options.clone(), agent).await;
        assert_eq!(summary.outcome, Outcome::Stuck);
        let state = site.run.state();
        let todo = state.todo(id("a")).unwrap();
        assert_eq!(todo.failures.len(), attempts);
        let remedies = todo.blockers.iter().filter(|b| &*b.agent != "coordinator").count();
        assert_eq!(remedies, 2);
        let open: Vec<_> = todo.open_blockers().map(|blocker| blocker.dot).collect();
        assert_eq!(open.len(), 1);
        let person = site.run.agent("ada", Role::Human);
        let resolved = |blocker| Operation::BlockerResolved {
            todo: id("a"),
            blocker,
            resolution: "it builds now".to_owned(),
        };
        person.append(open.into_iter().map(resolved)).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn small_similar_todos_are_done_in_one_go() {
    const NAMES: [&str; 8] = ["one", "two", "three", "four", "five", "six", "seven", "eight"];
    let small = |name: &str| {
        let mut operations = todo(name, &[], &[&format!("notes/{name}")]);
        if let Some(Operation::TodoAdded { edits, labels, .. }) = operations.first_mut() {
            edits.retain(|edit| !matches!(edit, TodoEdit::Check(_)));
            edits.push(TodoEdit::Estimate(Some(4)));
            labels.push("notes".to_owned());
        }
        operations
    };
    let site = Site::new(NAMES.map(small).to_vec()).await;
    // Where there is plenty for all.
    let options = Options { scale: Some(1), ..site.options("scripted") };
    let summary = work(&site, options, |_, task| {
        let dir = task.worktree.join("notes");
        std::fs::create_dir_all(&dir).unwrap();
        for name in std::iter::once(&task.id).chain(&task.also) {
            std::fs::write(dir.join(name), name).unwrap();
        }
        (Vec::new(), 0)
    })
    .await;
    assert_eq!((summary.outcome, summary.completed), (Outcome::Done, NAMES.len()));
    let state = site.run.state();
    let commits: std::collections::BTreeSet<_> = NAMES
        .iter()
        .map(|name| state.todo(id(name)).unwrap().completed().unwrap().commit.clone())
        .collect();
    assert!(commits.len() < NAMES.len(), "some were done together: {commits:?}");
    for name in NAMES {
        assert_eq!(site.show(&format!("notes/{name}")), name);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_alert_runs_the_command_that_was_named() {
    let site = Site::new(vec![todo("a", &[], &["a"])]).await;
    let told = site.dir.path().join(".tress/told");
    let mut options = site.options("scripted");
    options.attempts = 1;
    let line = "$TRESS_ALERT_PRIORITY $TRESS_ALERT: $TRESS_ALERT_MESSAGE ($TRESS_JOB)";
    options.on_alert = Some(format!("echo \"{line}\" >> {}", told.display()));
    let summary = work(&site, options, |_, _| (Vec::new(), 1)).await;
    assert_eq!(summary.outcome, Outcome::Stuck);
    let told = std::fs::read_to_string(told).unwrap();
    assert!(told.contains("high escalated:a: a: 1 attempt in vain"), "{told}");
    // What it starts is the user's: it has no mark of the run's.
    let around = format!("({})", std::env::var("TRESS_JOB").unwrap_or_default());
    assert!(told.contains(&around), "{told}");
}

/// Whoever was told of the last alert and took long kept the run from ending for as long: the log said that it ended
/// only when they had been killed.
#[cfg(target_os = "linux")]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_command_for_alerts_does_not_keep_a_run_from_ending() {
    let site = Site::new(vec![todo("a", &[], &["a"])]).await;
    let (waits, told) = (super::lost::pipe(&site, "waits"), site.dir.path().join(".tress/told"));
    let mut options = site.options("scripted");
    options.attempts = 1;
    options.on_alert =
        Some(format!("read go < {} && echo told > {}", waits.display(), told.display()));
    let go_on = async {
        super::lost::seen(&site.run, "run_paused").await;
        assert!(!told.exists());
        // Open for both, so that nobody waits for it.
        let mut pipe = std::fs::File::options().read(true).write(true).open(&waits).unwrap();
        std::io::Write::write_all(&mut pipe, &[b'\n'; 8]).unwrap();
        pipe
    };
    let (summary, pipe) = tokio::join!(work(&site, options, |_, _| (Vec::new(), 1)), go_on);
    assert_eq!(summary.outcome, Outcome::Stuck);
    assert_eq!(std::fs::read_to_string(&told).unwrap(), "told\n");
    drop(pipe);
    // One that is too slow ends with it.
    let site = Site::new(vec![todo("a", &[], &["a"])]).await;
    let told = site.dir.path().join(".tress/told");
    let mut options = site.options("scripted");
    options.attempts = 1;
    options.on_alert = Some(format!("echo $$ > {}; exec sleep 60", told.display()));
    work(&site, options, |_, _| (Vec::new(), 1)).await;
    let pid = std::fs::read_to_string(told).unwrap();
    assert!(!super::escaped::lives(&pid), "{pid} is still there");
}

/// A site where `a` and then `b` were done, and all that happened there.
async fn both_done() -> (Site, Vec<Arc<Event>>) {
    let site = Site::new(vec![todo("a", &[], &["a"]), todo("b", &["a"], &["b"])]).await;
    let summary = work(&site, site.options("scripted"), |_, task| {
        good(task);
        (Vec::new(), 0)
    })
    .await;
    assert_eq!(summary.outcome, Outcome::Done);
    let events = site.run.events_since(tress::VersionVector::new()).await.unwrap();
    (site, events)
}

/// The figures were those from before the last completion.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn figures_are_taken_once_more_when_all_have_left() {
    let (site, events) = both_done().await;
    let last = |name| events.iter().rposition(|event| event.operation.name() == name).unwrap();
    assert!(last("integrated") < last("metrics_recorded"));
    assert!(last("agent_left") < last("metrics_recorded"));
    let meter = tress_run::plan::Meter::of(&events);
    let figures = meter.figures(events.last().unwrap().time.millis);
    let told = site.run.state().team.metrics.clone();
    assert_eq!((figures.completed, told.get("completed")), (2, Some(&2.0)));
    assert_eq!(told.get("rework_rate"), Some(&figures.rework_rate));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_new_is_begun_when_a_budget_is_used_up() {
    let site = Site::new(vec![todo("a", &[], &["a"]), todo("b", &["a"], &["b"])]).await;
    let mut options = site.options("scripted");
    options.budgets = vec![("tokens".to_owned(), 100.0)];
    let summary = work(&site, options, |_, task| {
        good(task);
        let todo = Some(id(&task.id));
        let spent = Operation::BudgetSpent { todo, unit: "tokens".to_owned(), amount: 150.0 };
        (vec![spent], 0)
    })
    .await;
    assert_eq!((summary.completed, summary.left), (1, 1), "what was begun is finished");
    assert_eq!(summary.used_up, Some("tokens"));
    let state = site.run.state();
    assert!(state.team.open_alerts().iter().any(|(key, _)| key.starts_with("budget:")));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_decision_is_an_event_with_its_reasons() {
    let (_site, events) = both_done().await;
    let reasons: Vec<_> = events
        .iter()
        .filter_map(|event| match &event.operation {
            Operation::Assigned { todo, reason, .. } => Some((*todo, reason.as_str())),
            _ => None,
        })
        .collect();
    assert_eq!(reasons.len(), 2, "{reasons:?}");
    let (first, why) = reasons[0];
    assert_eq!(first, id("a"));
    assert!(why.contains("1 todo waits for it") && why.contains("a is free"), "{why}");
}

/// What an agent could claim falsely in a run of the orchestrator is refused or caught; claims of
/// others' todos, stale tokens and one's own verification are refused in `told.rs` of the library
/// and by the rules of the fold.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_claim_of_completion_without_a_change_is_refused() {
    let site = Site::new(vec![todo("a", &[], &["a"])]).await;
    let mut options = site.options("scripted");
    options.attempts = 2;
    let summary = work(&site, options, |_, _| (Vec::new(), 0)).await;
    assert_eq!((summary.outcome, summary.refused), (Outcome::Stuck, 2));
    let state = site.run.state();
    let made = &state.todo(id("a")).unwrap().completions[0];
    assert_eq!(made.verification.as_ref().unwrap().verdict, Verdict::Fail);
    assert!(made.void.as_ref().unwrap().contains("changes nothing"), "{:?}", made.void);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_agent_that_says_done_by_itself_completes_nothing() {
    let site = Site::new(vec![todo("a", &[], &["a"])]).await;
    let options = site.options("scripted");
    let summary = work(&site, options, |run, task| {
        // It claims completion without a commit, and verifies itself under another role.
        let state = run.state();
        let todo = id(&task.id);
        let token = state.todo(todo).unwrap().claim.as_deref().map(|claim| claim.token);
        if task.attempt > 1 {
            good(task);
            return (Vec::new(), 0);
        }
        let done = Operation::CompletionClaimed {
            todo,
            token,
            commit: None,
            to_integrate: false,
            implementation: "trust me".to_owned(),
            tests: String::new(),
            integration: String::new(),
        };
        (vec![done], 1)
    })
    .await;
    let state = site.run.state();
    let todo = state.todo(id("a")).unwrap();
    assert_ne!(state.status_unblocked(todo, tress::now()), Status::Completed, "{summary:?}");
    assert!(todo.completed().is_none());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_attempt_that_was_most_of_it_is_gone_on_with() {
    let mut a = todo("a", &[], &[]);
    if let Some(Operation::TodoAdded { edits, .. }) = a.first_mut() {
        edits.push(TodoEdit::Check(Some("test -f one && test -f two".to_owned())));
    }
    let site = Site::new(vec![a]).await;
    let summary = work(&site, site.options("scripted"), |_, task| {
        let there = task.worktree.join("one").exists();
        let name = if there { "two" } else { "one" };
        std::fs::write(task.worktree.join(name), name).unwrap();
        (Vec::new(), 0)
    })
    .await;
    assert_eq!((summary.outcome, summary.refused), (Outcome::Done, 1));
    let state = site.run.state();
    let todo = state.todo(id("a")).unwrap();
    let gaps: Vec<_> = state.dependents(todo.id).filter_map(|id| state.todo(id)).collect();
    assert_eq!(gaps.len(), 1, "the gap became a subtask");
    assert!(gaps[0].closing().is_some(), "and was closed when the work was accepted");
    assert!(todo.completions[0].verification.as_ref().unwrap().percent >= 50);
    let merges = git(site.dir.path(), &["log", "--format=%s", "tress/main"]);
    assert!(merges.contains("Goes on from the attempt"), "{merges}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_todo_is_explored_on_paths_and_the_best_comes_back() {
    let site = Site::new(vec![todo("a", &[], &[]), todo("b", &["a"], &[])]).await;
    let store = tress::Store::open(site.dir.path().join(".tress")).unwrap();
    let options = site.options("scripted");
    // One agent claims a stub first, the other does it at once.
    let agent = |_: &Run, task: &Task| {
        if task.run.ends_with(".1") && task.attempt == 1 {
            std::fs::write(task.worktree.join("a"), "stub").unwrap();
        } else {
            good(task);
        }
        (Vec::new(), 0)
    };
    let driver = Arc::new(Scripted(site.run.clone(), agent));
    let (_stop, stopped) = tokio::sync::watch::channel(false);
    let exploring = tress_run::explore(
        (&store, &site.run),
        &site.tree,
        &options,
        driver,
        (id("a"), 2),
        stopped,
    );
    let explored = tokio::time::timeout(Duration::from_secs(60), exploring).await.unwrap().unwrap();
    assert!(explored.iter().all(|path| path.completed), "{explored:?}");
    assert!(explored[0].path.ends_with(".2") && explored[1].in_vain == 1, "{explored:?}");
    assert_eq!(site.status("a"), Status::Completed);
    assert_eq!(site.show("a"), "a");
    let state = site.run.refresh().await.unwrap();
    let todo = state.todo(id("a")).unwrap();
    assert_eq!(todo.completions.len(), 1, "only one path came back");
    assert!(todo.notes[0].text.contains("2 paths"), "{}", todo.notes[0].text);
    assert_eq!(state.readiness(tress::now()).ready, [id("b")], "what waited for it is ready");
    assert_eq!(store.runs().unwrap().len(), 3);
    assert!(state.team.settings.is_empty(), "what a path does says nothing of the run");
}

/// One commit had the work on two todos; one was refused, and came into the branch with the other.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_shares_a_commit_comes_in_with_all_of_it_or_not_at_all() {
    const NAMES: [&str; 8] = ["one", "two", "three", "four", "five", "six", "seven", "eight"];
    let small = |name: &str| {
        let mut operations = todo(name, &[], &[name]);
        if let Some(Operation::TodoAdded { edits, labels, .. }) = operations.first_mut() {
            edits.push(TodoEdit::Estimate(Some(4)));
            labels.push("words".to_owned());
        }
        operations
    };
    let site = Site::new(NAMES.map(small).to_vec()).await;
    let options = Options { scale: Some(1), ..site.options("scripted") };
    let summary = work(&site, options, |_, task| {
        for name in std::iter::once(&task.id).chain(&task.also) {
            // What is done along with another is done badly the first time.
            let bad = task.also.contains(name);
            let text = if bad { "nonsense" } else { name };
            std::fs::write(task.worktree.join(name), text).unwrap();
        }
        (Vec::new(), 0)
    })
    .await;
    assert_eq!((summary.outcome, summary.completed), (Outcome::Done, NAMES.len()));
    let history = git(site.dir.path(), &["log", "--first-parent", "--format=%H", "tress/main"]);
    for commit in history.lines() {
        let mut grep = std::process::Command::new("git");
        grep.current_dir(site.dir.path()).args(["grep", "--quiet", "nonsense", commit]);
        assert!(!grep.status().unwrap().success(), "{commit} holds what was refused");
    }
    assert!(site.events("integration_failed").await > 0, "some were done along with others");
}

/// The check of a todo was changed to `true` by the agent that had claimed it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_changes_how_its_own_work_is_judged_is_refused() {
    let site = Site::new(vec![todo("a", &[], &["a"])]).await;
    let summary = work(&site, site.options("scripted"), |_, task| {
        if task.attempt > 1 {
            good(task);
            return (Vec::new(), 0);
        }
        std::fs::write(task.worktree.join("a"), "nothing of the kind").unwrap();
        let edits = vec![TodoEdit::Check(Some("true".to_owned()))];
        (vec![Operation::TodoEdited { todo: id("a"), edits }], 0)
    })
    .await;
    assert_eq!((summary.outcome, summary.refused), (Outcome::Done, 1));
    let state = site.run.state();
    let todo = state.todo(id("a")).unwrap();
    let void = todo.completions[0].void.as_deref().unwrap();
    assert!(void.contains("changed check of what it had claimed itself"), "{void}");
    assert_eq!(todo.check.as_deref(), Some("grep -q a a"), "it was put back");
}

/// A killed team left an agent behind as active; the next team waited for it for ever.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nobody_waits_for_an_agent_of_a_team_that_is_gone() {
    let mut a = todo("a", &[], &["a"]);
    if let Some(Operation::TodoAdded { edits, .. }) = a.first_mut() {
        edits.push(TodoEdit::Capabilities(vec!["sql".to_owned()]));
    }
    let site = Site::new(vec![a]).await;
    let ghost = site.run.agent("implementer-3", Role::Implementer);
    let joined =
        Operation::AgentJoined { capabilities: vec!["sql".to_owned()], about: String::new() };
    ghost.append([joined]).await.unwrap();
    let mut options = site.options("scripted");
    options.can = vec![vec!["rust".to_owned()]];
    let summary = work(&site, options, |_, task| {
        good(task);
        (Vec::new(), 0)
    })
    .await;
    assert_eq!((summary.outcome, summary.left), (Outcome::Stuck, 1));
    let state = site.run.state();
    assert!(state.team.alerts.get("nobody-can:a").is_some_and(|a| a.cleared_at.is_none()));
}
