//! What agents and checks start in sessions of their own ends with them, and nothing else does.
//!
//! A child that called `setsid` was in no process group of ours any more: it outlived Ctrl-C, the
//! timeout, the end of the run and `resume`.

use std::path::{Path, PathBuf};

use tokio::sync::watch;
use tress_run::Outcome;
use tress_run::execute::process::{Ending, Job, end_leftovers, run, run_unmarked};

use super::lost::{hear, pipe};
use super::team::{GOOD, Site, todo};

/// A shell command that leaves a process in a session of its own, which says to `told` who it is.
fn escape(told: &Path) -> String {
    format!("setsid sh -c 'echo $$ > {0}; exec sleep 60' > {0}.out 2>&1 &", told.display())
}

pub(crate) fn lives(pid: &str) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{}/stat", pid.trim())).unwrap_or_default();
    // One that has ended and is not reaped yet is still listed.
    let state = stat.rsplit_once(") ").and_then(|(_, rest)| rest.chars().next());
    state.is_some_and(|state| !"ZX".contains(state))
}

fn job(dir: &Path, command: String) -> Job {
    Job { command, dir: dir.to_owned(), env: Vec::new(), log: None, pid_file: None, timeout: None }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_an_agent_leaves_in_a_session_of_its_own_ends_with_it() {
    let site = Site::new(vec![todo("a", &[], &["a"])]).await;
    let told = pipe(&site, "told");
    // The agent ends only when its child has said who it is.
    let command =
        format!("{} read pid < {}; echo $pid > {1}.pid; {GOOD}", escape(&told), told.display());
    let summary = site.finish(&command).await;
    assert_eq!((summary.outcome, summary.failed), (Outcome::Done, 0));
    let pid = std::fs::read_to_string(told.with_extension("pid")).unwrap();
    assert!(!lives(&pid), "{pid} is still there");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_team_that_is_stopped_leaves_no_session_behind() {
    let site = Site::new(vec![todo("a", &[], &["a"])]).await;
    let told = pipe(&site, "told");
    let command = format!("{} sleep 60", escape(&told));
    let (stop, stopped) = watch::channel(false);
    let ended = async {
        let pid = hear(told.clone()).await;
        assert!(lives(&pid));
        stop.send_replace(true);
        pid
    };
    let (pid, summary) = tokio::join!(ended, site.work(site.options(&command), stopped));
    assert_eq!(summary.outcome, Outcome::Stopped);
    assert!(!lives(&pid), "{pid} is still there");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_job_ends_nothing_of_another() {
    let site = Site::new(vec![todo("a", &[], &["a"])]).await;
    let (one, other) = (pipe(&site, "one"), pipe(&site, "other"));
    let dir = site.dir.path();
    let (stop, stopped) = watch::channel(false);
    let mut later = stopped.clone();
    let second = job(dir, format!("{} sleep 60", escape(&other)));
    let second = tokio::spawn(async move {
        run(&second, async { drop(later.wait_for(|stop| *stop).await) }).await
    });
    let beside = hear(other).await;
    let first = job(dir, format!("{} sleep 60", escape(&one)));
    let (heard, told) = tokio::sync::oneshot::channel();
    let own = async {
        let own = hear(one).await;
        heard.send(()).unwrap();
        own
    };
    let (own, finished) = tokio::join!(own, run(&first, async { told.await.unwrap() }));
    assert_eq!(finished.ending, Ending::Stopped);
    assert!(!lives(&own), "it has left something");
    assert!(lives(&beside), "another's was ended");
    assert!(lives(&std::process::id().to_string()));
    stop.send_replace(true);
    assert_eq!(second.await.unwrap().ending, Ending::Stopped);
    assert!(!lives(&beside));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_killed_team_left_in_sessions_of_their_own_is_ended_by_the_next() {
    let site = Site::new(vec![todo("a", &[], &["a"])]).await;
    let told = pipe(&site, "told");
    let pids: PathBuf = site.dir.path().join("pids");
    std::fs::create_dir(&pids).unwrap();
    let mut left = job(site.dir.path(), format!("{} sleep 60", escape(&told)));
    left.pid_file = Some(pids.join("implementer-1.pid"));
    let mut whoever = Box::pin(run(&left, std::future::pending()));
    let noted = async {
        let pid = hear(told).await;
        while std::fs::read_to_string(pids.join("implementer-1.pid")).unwrap_or_default().is_empty()
        {
            tokio::task::yield_now().await;
        }
        pid
    };
    let pid = tokio::select! {
        _ = &mut whoever => unreachable!("it takes a minute"),
        pid = noted => pid,
    };
    // As when its process is killed: nothing is ended, in order or at once.
    std::mem::forget(whoever);
    assert!(lives(&pid));
    assert!(end_leftovers(&pids).await > 0);
    assert!(!lives(&pid), "{pid} is still there");
    assert_eq!(std::fs::read_dir(&pids).unwrap().count(), 0);
}

/// What the user has told of alerts may start what is to stay.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_command_of_the_users_own_starts_stays() {
    let site = Site::new(vec![todo("a", &[], &["a"])]).await;
    let told = pipe(&site, "told");
    let own = job(site.dir.path(), format!("{} sleep 60", escape(&told)));
    let (heard, stop) = tokio::sync::oneshot::channel();
    let started = async {
        let pid = hear(told).await;
        heard.send(()).unwrap();
        pid
    };
    let (pid, finished) = tokio::join!(started, run_unmarked(&own, async { stop.await.unwrap() }));
    assert_eq!(finished.ending, Ending::Stopped);
    assert!(lives(&pid), "{pid} was ended");
    let killed = std::process::Command::new("kill").arg(pid.trim()).status().unwrap();
    assert!(killed.success());
}

/// Git that was at something when the team was stopped was killed, by the terminal's Ctrl-C or by us: its lock stayed, and
/// every later change of the user's repository failed or waited for it.
#[cfg(target_os = "linux")]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn git_that_nobody_waits_for_ends_what_it_is_at() {
    let site = Site::new(vec![todo("a", &[], &["a"])]).await;
    let (told, gate) = (pipe(&site, "told"), pipe(&site, "gate"));
    let dir = site.dir.path();
    let group = |stat: &str| stat.split_whitespace().nth(4).map(str::to_owned);
    // The index is locked as long as this runs.
    let filter =
        format!("cat /proc/self/stat > {}; read go < {}; cat", told.display(), gate.display());
    super::git(dir, &["config", "filter.slow.clean", &filter]);
    std::fs::write(dir.join(".git/info/attributes"), "slow.txt filter=slow\n").unwrap();
    std::fs::write(dir.join("slow.txt"), "slow\n").unwrap();
    let tree = tress_run::Tree::discover(dir).await.unwrap();
    let by = tress_run::git::Signature { name: "ada".to_owned() };
    let mut committing = Box::pin(tree.commit_all(&by, "slow"));
    let stat = tokio::select! {
        done = &mut committing => panic!("{done:?}"),
        stat = hear(told) => stat,
    };
    let own = std::fs::read_to_string("/proc/self/stat").unwrap();
    assert!(group(&stat).is_some() && group(&stat) != group(&own), "Ctrl-C would reach it");
    drop(committing);
    let lock = dir.join(".git/index.lock");
    assert!(lock.exists(), "git is at it");
    tokio::task::spawn_blocking(move || std::fs::write(gate, "go\n")).await.unwrap().unwrap();
    let unlocked = async {
        while lock.exists() {
            tokio::task::yield_now().await;
        }
    };
    let patience = std::time::Duration::from_secs(30);
    assert!(tokio::time::timeout(patience, unlocked).await.is_ok(), "the lock stayed");
}

/// The shell that runs an agent's command ended with the signal, and the agent was killed with it: it had no time to
/// put anything away.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_the_shell_of_a_command_runs_is_asked_first_too() {
    let site = Site::new(vec![todo("a", &[], &["a"])]).await;
    let (told, saved) = (pipe(&site, "told"), site.dir.path().join("saved"));
    let agent = format!(
        "trap 'sleep 0.2; touch {}; exit 1' TERM\necho ready > {}\nsleep 60 & wait\n",
        saved.display(),
        told.display()
    );
    std::fs::write(site.dir.path().join("agent.sh"), agent).unwrap();
    // The shell has something to do behind it, so that it does not become the agent.
    let stopped = job(site.dir.path(), "sh ./agent.sh; true".to_owned());
    let (heard, stop) = tokio::sync::oneshot::channel();
    let begun = async {
        hear(told).await;
        heard.send(()).unwrap();
    };
    let ((), finished) = tokio::join!(begun, run(&stopped, async { stop.await.unwrap() }));
    assert_eq!(finished.ending, Ending::Stopped);
    assert!(saved.exists(), "it was killed before it had put anything away");
}

/// Of a job that nobody waited for any more (a second Ctrl-C) the shell alone was killed.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_job_that_is_dropped_leaves_nothing_behind() {
    let site = Site::new(vec![todo("a", &[], &["a"])]).await;
    let (own, beside) = (pipe(&site, "own"), pipe(&site, "beside"));
    let command = format!(
        "{} sh -c 'trap \"\" TERM; echo $$ > {}; while :; do sleep 60; done'; true",
        escape(&beside),
        own.display()
    );
    let dropped = job(site.dir.path(), command);
    let mut whoever = Box::pin(run(&dropped, std::future::pending()));
    let begun = async { tokio::join!(hear(own), hear(beside)) };
    let (own, beside) = tokio::select! {
        _ = &mut whoever => unreachable!("it takes a minute"),
        pids = begun => pids,
    };
    assert!(lives(&own) && lives(&beside));
    drop(whoever);
    // A signal that cannot be refused takes effect in its time.
    let all_gone = async {
        while lives(&own) || lives(&beside) {
            tokio::task::yield_now().await;
        }
    };
    let patience = std::time::Duration::from_secs(30);
    assert!(tokio::time::timeout(patience, all_gone).await.is_ok(), "{own} or {beside} is there");
}
