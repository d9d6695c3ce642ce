//! Claims that are lost while an agent works, and work that stops counting while it is integrated.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use tokio::sync::watch;
use tress::{Operation, Role, Rule, Run, Status, Store, TodoId, VersionVector};
use tress_run::{CommandDriver, Options, Orchestrator, Outcome, Summary};

use super::git;
use super::team::{GOOD, Site, todo};

/// Opens the run in `dir` as another process would.
async fn open(dir: &Path) -> Run {
    Store::create(dir.join(".tress")).unwrap().create_run("main").await.unwrap()
}

/// Carries journals from one store to another, as git or a synced folder would.
fn carry(from: &Path, to: &Path) {
    let journals = |dir: &Path| dir.join(".tress/runs/main/journals");
    for replica in std::fs::read_dir(journals(from)).unwrap() {
        let replica = replica.unwrap();
        let place = journals(to).join(replica.file_name());
        if place.exists() {
            continue;
        }
        std::fs::create_dir_all(&place).unwrap();
        for file in std::fs::read_dir(replica.path()).unwrap() {
            let file = file.unwrap().path();
            std::fs::copy(&file, place.join(file.file_name().unwrap())).unwrap();
        }
    }
}

/// Waits for an event called `name` in the log.
pub(crate) async fn seen(run: &Run, name: &str) -> Arc<tress::Event> {
    let mut events = run.subscribe(VersionVector::new()).await.unwrap();
    loop {
        let event = events.next().await.unwrap();
        if event.operation.name() == name {
            return event;
        }
    }
}

/// Starts a team of one on the site's run.
fn start(site: &Site, command: &str) -> tokio::task::JoinHandle<Summary> {
    let options = Options { scale: Some(1), ..site.options(command) };
    let driver = Arc::new(CommandDriver { command: options.command.clone() });
    let (run, tree) = (site.run.clone(), site.tree.clone());
    tokio::spawn(async move {
        let (_stop, stopped) = watch::channel(false);
        let team = Orchestrator::prepare(run, tree, options, driver, stopped).await.unwrap();
        team.run().await.unwrap()
    })
}

/// A named pipe: who writes to it waits for who reads it, and the other way round.
pub(crate) fn pipe(site: &Site, name: &str) -> PathBuf {
    let path = site.dir.path().join(".tress").join(name);
    let made = std::process::Command::new("mkfifo").arg(&path).status().unwrap();
    assert!(made.success());
    path
}

/// Waits until somebody writes to the pipe; gives what they wrote.
pub(crate) async fn hear(pipe: PathBuf) -> String {
    tokio::task::spawn_blocking(move || std::fs::read_to_string(pipe).unwrap()).await.unwrap()
}

/// An agent whose first attempt at `a` says which process it is and never ends by itself.
fn endless(site: &Site, begun: &Path) -> String {
    format!(
        "if [ $TRESS_TODO = a ] && [ ! -e {0}/once ]; then touch {0}/once; echo half > a; \
         echo $$ > {1}; while [ ! -e {0}/never ]; do sleep 0.05; done; fi; {GOOD}",
        site.dir.path().join(".tress").display(),
        begun.display()
    )
}

/// What both stories end with: the agent went on with `b`, its process is gone, what it had begun
/// is kept aside and is not in the branch, and `a` was integrated once, when it was free again.
async fn settled(site: &Site, team: tokio::task::JoinHandle<Summary>, pid: &str) {
    let integrated = seen(&site.run, "integrated").await;
    let b = TodoId::from_external("b");
    assert_eq!(integrated.operation.todo(), Some(b), "it goes on with what is ready next");
    assert!(!Path::new("/proc").join(pid.trim()).exists(), "its process was ended");
    let a = TodoId::from_external("a");
    let state = site.run.state();
    let found = state.todo(a).unwrap();
    assert!(found.completions.is_empty() && found.failures.is_empty(), "nothing was handed in");
    let claim = found.claim.clone().unwrap();
    assert_eq!(&*claim.agent, "elsewhere");
    let kept =
        git(site.dir.path(), &["for-each-ref", "--format=%(refname)", "refs/tress/main/lost"]);
    assert_eq!(kept.lines().count(), 1, "{kept}");
    assert_eq!(git(site.dir.path(), &["show", &format!("{kept}:a")]), "half");
    let reason = "elsewhere is gone".to_owned();
    let released = Operation::Released { todo: a, token: claim.token, reason };
    site.run.agent("ada", Role::Human).append([released]).await.unwrap();
    let summary = team.await.unwrap();
    assert_eq!((summary.outcome, summary.completed), (Outcome::Done, 2));
    assert_eq!((summary.refused, summary.failed), (0, 0));
    assert_eq!(site.events("integrated").await, 2);
    let merges = git(site.dir.path(), &["log", "--merges", "--format=%s", "tress/main"]);
    assert_eq!(merges.lines().count(), 2, "each was merged once: {merges}");
    assert_eq!(site.show("a"), "a");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_earlier_claim_that_arrives_while_an_agent_works_ends_its_work() {
    let site = Site::new(vec![todo("a", &[], &["a"]), todo("b", &[], &["b"])]).await;
    let (here, away) = (site.dir.path(), tempfile::tempdir().unwrap());
    drop(open(away.path()).await);
    carry(here, away.path());
    let there = open(away.path()).await;
    let elsewhere = there.agent("elsewhere", Role::Implementer);
    let token = elsewhere.claim(TodoId::from_external("a"), None).await.unwrap().token;
    let begun = pipe(&site, "begun");
    let team = start(&site, &endless(&site, &begun));
    let pid = hear(begun).await;
    carry(away.path(), here);
    seen(&site.run, "loss_acknowledged").await;
    let state = site.run.state();
    let entries: Vec<_> = state.ledger.iter().collect();
    assert_eq!(entries.len(), 1, "{entries:?}");
    assert_eq!((entries[0].rule, entries[0].winner), (Rule::FirstClaim, Some(token)));
    assert!(entries[0].told && &*entries[0].agent == "implementer-1");
    settled(&site, team, &pid).await;
    assert!(site.run.state().ledger.iter().all(|entry| entry.told));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_claim_that_is_given_to_another_while_an_agent_works_ends_its_work() {
    let site = Site::new(vec![todo("a", &[], &["a"]), todo("b", &[], &["b"])]).await;
    let here = site.dir.path();
    let begun = pipe(&site, "begun");
    let team = start(&site, &endless(&site, &begun));
    let pid = hear(begun).await;
    // In one append, so that the team cannot take it again in between.
    let other = open(here).await;
    let a = TodoId::from_external("a");
    let token = other.state().todo(a).unwrap().claim.clone().unwrap().token;
    let (ada, elsewhere) =
        (other.agent("ada", Role::Human), other.agent("elsewhere", Role::Implementer));
    let released = Operation::Released { todo: a, token, reason: "taken away".to_owned() };
    let claimed = Operation::Claimed { todo: a, lease: None, scope: Vec::new() };
    other.append(vec![ada.draft(released), elsewhere.draft(claimed)]).await.unwrap();
    settled(&site, team, &pid).await;
    assert!(site.run.state().ledger.is_empty(), "nothing was decided by a merge");
}

/// Between the verdict and the merge into the branch work can stop counting: then the branch is
/// not moved.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_taken_back_while_its_merge_is_checked_is_not_integrated() {
    let site = Site::new(vec![todo("a", &[], &["a"])]).await;
    let (asked, go) = (pipe(&site, "asked"), pipe(&site, "go"));
    let here = site.dir.path();
    let place = here.join(".tress");
    let place = place.display();
    // In the tree of the integration, the first check waits until the work was taken back.
    let check = format!(
        "case $PWD in */integrate) [ -e {place}/once ] || {{ touch {place}/once; \
         echo asked > {place}/asked; cat {place}/go; }};; esac; grep -q a a"
    );
    let a = TodoId::from_external("a");
    let edits = vec![tress::operation::TodoEdit::Check(Some(check))];
    let ada = site.run.agent("ada", Role::Human);
    ada.append([Operation::TodoEdited { todo: a, edits }]).await.unwrap();
    // The agent itself moves the branch on, once, so that the merge is not what was verified.
    let command = format!(
        "if [ ! -e {place}/moved ]; then touch {place}/moved; echo x > other; git add other; \
         git -c user.name=x -c user.email=x@example.invalid commit -q -m other; \
         git update-ref refs/heads/tress/main HEAD; git reset -q --hard HEAD~1; fi; {GOOD}"
    );
    let team = start(&site, &command);
    hear(asked).await;
    let completion = site.run.state().todo(a).unwrap().completions[0].dot;
    let reason = "not wanted so".to_owned();
    let back = Operation::IntegrationFailed { todo: a, completion, reason };
    open(here).await.agent("ada", Role::Human).append([back]).await.unwrap();
    std::fs::write(go, "on").unwrap();
    let summary = team.await.unwrap();
    assert_eq!((site.status("a"), summary.outcome), (Status::Completed, Outcome::Done));
    let log = git(here, &["log", "--merges", "--format=%B", "tress/main"]);
    let state = site.run.state();
    let completions = &state.todo(a).unwrap().completions;
    assert_eq!(completions.len(), 2, "it was done again");
    assert!(completions[0].integrated.is_none() && completions[1].integrated.is_some());
    assert!(!log.contains(&completion.to_string()), "not merged: {log}");
    assert!(log.contains(&completions[1].dot.to_string()), "merged: {log}");
    assert_eq!((site.events("integrated").await, site.events("alert_raised").await), (1, 0));
}
