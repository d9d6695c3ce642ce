//! `doctor`: whether the surroundings are what Tress needs.

use std::process::Command;

use clap::Args;
use serde::Serialize;
use tress::{DocumentsError, Error, FORMAT, Run, Store, StoreError};

use crate::context::Context;
use crate::failure::Failure;
use crate::output::Tone;
use crate::time::{length, rfc3339};
use crate::words::{clean, count};

/// Look whether the surroundings are what Tress needs
#[derive(Debug, Args)]
#[command(after_help = "The exit code is 6 when something has to be mended.")]
pub(crate) struct Doctor {}

/// How far the clock may be behind the newest event before it is worth a word.
const DRIFT: u64 = 60_000;
/// 2024-01-01: a clock before it was never set.
const UNSET: u64 = 1_704_067_200_000;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
enum Grade {
    Ok,
    Warn,
    Fail,
}

#[derive(Debug, Serialize)]
struct Finding {
    name: &'static str,
    grade: Grade,
    detail: String,
    hint: Option<&'static str>,
}

fn ok(name: &'static str, detail: impl Into<String>) -> Finding {
    Finding { name, grade: Grade::Ok, detail: detail.into(), hint: None }
}

fn warn(name: &'static str, detail: impl Into<String>, hint: &'static str) -> Finding {
    Finding { name, grade: Grade::Warn, detail: detail.into(), hint: Some(hint) }
}

fn fail(name: &'static str, detail: impl Into<String>, hint: &'static str) -> Finding {
    Finding { name, grade: Grade::Fail, detail: detail.into(), hint: Some(hint) }
}

/// Does `doctor`.
pub(crate) async fn run(context: &Context) -> Result<(), Failure> {
    context.no_at()?;
    let mut findings = vec![git(), agent(context)];
    match context.dir() {
        Err(_) => findings.push(warn("store", "there is none here", "make one: tress init")),
        Ok(dir) => match Store::open(&dir) {
            Ok(store) => findings.extend(look(context, &store).await),
            Err(error) => {
                let hint = match error {
                    Error::Store(StoreError::Damaged(_)) => "look, and repair: tress fsck --repair",
                    _ => "what reads and writes it has to be as new as what made it",
                };
                findings.push(fail("store", error.to_string(), hint));
            }
        },
    }
    if !findings.iter().any(|finding| finding.name == "clock") {
        findings.push(clock(None));
    }
    let bad = findings.iter().filter(|finding| finding.grade == Grade::Fail).count();
    let failure = || {
        let first = findings.iter().filter(|finding| finding.grade == Grade::Fail);
        let first = first.map(|finding| format!("{}: {}", finding.name, clean(&finding.detail)));
        Failure::damaged(first.collect::<Vec<_>>().join("; "))
            .hint("`tress doctor` says how to mend it")
            .details(&findings)
    };
    if bad > 0 && context.out.json() {
        return Err(failure());
    }
    context.out.answer(&findings, || text(context, &findings))?;
    if bad > 0 { Err(failure().hint("see above")) } else { Ok(()) }
}

fn git() -> Finding {
    const HINT: &str = "install git: worktrees and integration need it";
    match Command::new("git").arg("--version").output() {
        Ok(output) if output.status.success() => {
            ok("git", String::from_utf8_lossy(&output.stdout).trim().to_owned())
        }
        Ok(output) => warn("git", String::from_utf8_lossy(&output.stderr).trim().to_owned(), HINT),
        Err(error) => warn("git", error.to_string(), HINT),
    }
}

fn agent(context: &Context) -> Finding {
    match context.agent_name() {
        Ok(name) => ok("agent", format!("{name}, as {}", context.global.role)),
        Err(failure) => {
            warn("agent", failure.to_string(), "set TRESS_AGENT, or git config user.name")
        }
    }
}

async fn look(context: &Context, store: &Store) -> Vec<Finding> {
    let mut findings = vec![ok("store", format!("{}, format {FORMAT}", store.dir().display()))];
    findings.push(match store.check_locks() {
        Ok(true) => ok("locks", "a held lock is refused to others"),
        Ok(false) => fail(
            "locks",
            "two can hold one lock: two agents could win one claim",
            "keep the store on a local disk",
        ),
        Err(error) => fail("locks", error.to_string(), "make .tress/local writable"),
    });
    let opening = store.run(&context.global.run);
    match context.out.waiting("reading the run", opening).await {
        Ok(run) => findings.extend(look_at_run(&run)),
        Err(error) => findings.push(fail("run", error.to_string(), "see: tress runs, tress fsck")),
    }
    findings.push(match store.check_documents() {
        Ok(true) => ok("documents", "they open"),
        Ok(false) => ok("documents", "none yet; the first reading of them makes them"),
        Err(Error::Documents(DocumentsError::Busy)) => {
            ok("documents", "another process has them open, and does the sealing")
        }
        Err(error) => warn(
            "documents",
            error.to_string(),
            "nothing is lost: `tress export automerge DIR` rebuilds them from the journals",
        ),
    });
    findings
}

fn look_at_run(run: &Run) -> Vec<Finding> {
    let state = run.state();
    let (events, todos) = (count(state.events(), "event"), count(state.todos.len(), "todo"));
    let name = run.name();
    let damage = run.damage();
    let finding = match damage.first() {
        None => ok("run", format!("{name}: {events}, {todos}")),
        Some(damage) => fail("run", damage.to_string(), "see the whole list: tress fsck"),
    };
    vec![finding, clock(state.last.map(|last| last.time.millis))]
}

fn clock(newest: Option<u64>) -> Finding {
    let now = tress::now();
    let shown = rfc3339(now);
    if now < UNSET {
        return fail("clock", format!("{shown} was long ago"), "set the clock");
    }
    let ahead = newest.map_or(0, |newest| newest.saturating_sub(now));
    if ahead > DRIFT {
        let behind = length(ahead);
        return warn(
            "clock",
            format!("{shown}, {behind} behind the newest event"),
            "set the clock: leases are judged by it",
        );
    }
    ok("clock", shown)
}

fn text(context: &Context, findings: &[Finding]) -> String {
    let lines = findings.iter().map(|finding| {
        let (mark, tone) = match finding.grade {
            Grade::Ok => ("ok  ", Tone::Good),
            Grade::Warn => ("warn", Tone::Busy),
            Grade::Fail => ("FAIL", Tone::Bad),
        };
        let mark = context.out.paint(tone, mark);
        let hint = finding.hint.map(|hint| format!("\n{:<17}hint: {hint}", ""));
        format!(
            "{mark} {:<11} {}{}",
            finding.name,
            clean(&finding.detail),
            hint.unwrap_or_default()
        )
    });
    lines.collect::<Vec<_>>().join("\n")
}
