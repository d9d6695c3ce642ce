//! The run's branch between two runs.
//!
//! A branch that was rewound or deleted was not noticed: the team built on a project without work that
//! the log had as completed, and nobody did that work again.

use std::sync::Arc;

use tokio::sync::watch;
use tress::{Operation, Role, When};
use tress_run::execute::branch::{How, Lacking};
use tress_run::git::Signature;
use tress_run::{CommandDriver, Options, Orchestrator, Outcome, RunError, Summary};

use super::git;
use super::team::{GOOD, Site, todo};

async fn go_on(site: &Site, options: Options) -> Result<Summary, RunError> {
    let driver = Arc::new(CommandDriver { command: options.command.clone() });
    let (_stop, stopped) = watch::channel(false);
    let (run, tree) = (site.run.clone(), site.tree.clone());
    Orchestrator::prepare(run, tree, options, driver, stopped).await?.run().await
}

/// A site where `a` and `b` were done, and `c` was added since.
async fn site() -> Site {
    let site = Site::new(vec![todo("a", &[], &["a"]), todo("b", &["a"], &["b"])]).await;
    assert_eq!(site.finish(GOOD).await.outcome, Outcome::Done);
    site.run.agent("ada", Role::Human).append(todo("c", &[], &["c"])).await.unwrap();
    site
}

/// What the next start is refused for.
async fn lacking(site: &Site) -> Lacking {
    match go_on(site, site.options(GOOD)).await {
        Err(RunError::Lacking(lacking)) => *lacking,
        other => panic!("it is not refused: {other:?}"),
    }
}

/// Does what the message says.
fn mend(site: &Site, lacking: &Lacking) {
    let said = lacking.remedy();
    // The first command; a second one is for where the branch is checked out.
    let command = said.split('`').nth(1).unwrap();
    let mut shell = std::process::Command::new("sh");
    shell.args(["-ec", command]).current_dir(site.dir.path());
    for who in ["AUTHOR", "COMMITTER"] {
        shell.env(format!("GIT_{who}_NAME"), "ada");
        shell.env(format!("GIT_{who}_EMAIL"), "ada@example.invalid");
    }
    let mended = shell.status().unwrap();
    assert!(mended.success(), "{command}");
}

async fn done(site: &Site) {
    let summary = go_on(site, site.options(GOOD)).await.unwrap();
    assert_eq!((summary.outcome, summary.completed), (Outcome::Done, 3));
    for name in ["a", "b", "c"] {
        assert_eq!(site.show(name), name);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_branch_that_was_rewound_is_noticed_and_can_be_brought_back() {
    let site = site().await;
    git(site.dir.path(), &["branch", "-f", "tress/main", "tress/main~1"]);
    let lacking = lacking(&site).await;
    assert_eq!(lacking.how, How::Behind);
    let said = lacking.to_string();
    assert!(said.contains("tress/main lacks work") && said.contains("b ("), "{said}");
    assert!(!said.contains("a ("), "what is there is not named: {said}");
    mend(&site, &lacking);
    done(&site).await;
}

/// What somebody took out of the branch does not come back by itself with what lies ahead of it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_branch_is_taken_forward_only_to_what_came_since() {
    let site = site().await;
    git(site.dir.path(), &["branch", "-f", "tress/main", "tress/main~1"]);
    let (lacking, state) = (lacking(&site).await, site.run.state());
    let at = || git(site.dir.path(), &["rev-parse", "tress/main"]);
    let rewound = at();
    assert!(!lacking.take_forward(&site.run, &site.tree, &state).await.unwrap());
    assert_eq!(at(), rewound);
    let before = site.run.state_at(When::Name("start".to_owned())).await.unwrap();
    assert!(lacking.take_forward(&site.run, &site.tree, &before).await.unwrap());
    assert_eq!(at(), lacking.heads[0]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_branch_that_was_deleted_is_noticed_and_can_be_brought_back() {
    let site = site().await;
    git(site.dir.path(), &["branch", "-D", "tress/main"]);
    let lacking = lacking(&site).await;
    assert_eq!((lacking.how, lacking.work.len()), (How::Gone, 2));
    assert_eq!(git(site.dir.path(), &["branch", "--list", "tress/main"]), "", "nothing was made");
    mend(&site, &lacking);
    done(&site).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_branch_that_went_another_way_is_merged_with_what_it_lacks() {
    let site = site().await;
    let dir = site.dir.path();
    git(dir, &["switch", "-q", "-C", "tress/main", "main"]);
    std::fs::write(dir.join("other"), "x").unwrap();
    site.tree.commit_all(&Signature { name: "ada".to_owned() }, "another way").await.unwrap();
    git(dir, &["switch", "-q", "main"]);
    let lacking = lacking(&site).await;
    assert_eq!((lacking.how, lacking.heads.len()), (How::Apart, 1));
    mend(&site, &lacking);
    done(&site).await;
    assert_eq!(site.show("other"), "x");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_the_repository_does_not_have_is_to_be_fetched() {
    let site = site().await;
    let dir = site.dir.path();
    git(dir, &["branch", "-D", "tress/main"]);
    for name in git(dir, &["for-each-ref", "--format=%(refname)", "refs/tress"]).lines() {
        git(dir, &["update-ref", "-d", name]);
    }
    git(dir, &["reflog", "expire", "--expire=now", "--all"]);
    git(dir, &["gc", "--quiet", "--prune=now"]);
    let lacking = lacking(&site).await;
    assert_eq!(lacking.how, How::Elsewhere);
    assert!(lacking.remedy().contains("git fetch"), "{}", lacking.remedy());
}

/// Work that came into the project by a squash, and work that is to be done anew, is not missed.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_there_in_another_way_or_not_wanted_any_more_is_not_missed() {
    let site = site().await;
    let dir = site.dir.path();
    git(dir, &["merge", "--quiet", "--squash", "tress/main"]);
    site.tree.commit_all(&Signature { name: "ada".to_owned() }, "squashed").await.unwrap();
    git(dir, &["branch", "-D", "tress/main"]);
    done(&site).await;

    let site = self::site().await;
    git(site.dir.path(), &["branch", "-f", "tress/main", "tress/main~1"]);
    let b = tress::TodoId::from_external("b");
    let reopened = Operation::Reopened { todo: b, reason: "it is not what was meant".to_owned() };
    site.run.agent("ada", Role::Human).append([reopened]).await.unwrap();
    done(&site).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_wants_it_goes_on_without_and_an_alert_says_so() {
    let site = site().await;
    git(site.dir.path(), &["branch", "-f", "tress/main", "tress/main~1"]);
    let lacking = lacking(&site).await;
    let options = Options { as_it_is: true, ..site.options(GOOD) };
    assert_eq!(go_on(&site, options).await.unwrap().outcome, Outcome::Done);
    let open = || site.run.state().team.open_alerts().len();
    assert_eq!(open(), 1);
    // What is integrated since is no reason to throw it away.
    let kept = format!("refs/tress/{}/lacking", site.run.name());
    let kept = git(site.dir.path(), &["for-each-ref", "--format=%(objectname)", &kept]);
    assert_eq!(kept.trim(), lacking.heads[0]);
    // It was said, and is not asked again.
    site.run.agent("ada", Role::Human).append(todo("d", &[], &["d"])).await.unwrap();
    assert_eq!(go_on(&site, site.options(GOOD)).await.unwrap().outcome, Outcome::Done);
    assert_eq!(open(), 1);
    mend(&site, &Lacking { how: How::Apart, ..lacking });
    site.run.agent("ada", Role::Human).append(todo("e", &[], &["e"])).await.unwrap();
    assert_eq!(go_on(&site, site.options(GOOD)).await.unwrap().outcome, Outcome::Done);
    assert_eq!(open(), 0, "it is back");
}
