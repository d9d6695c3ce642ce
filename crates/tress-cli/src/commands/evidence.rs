//! What is known of the work on a todo: what is in its way, how far it is, what was claimed to be done, and
//! what a verifier said to that.

use tress::operation::{Check, Verdict};
use tress::state::todo::{Completion, Verification};
use tress::{Millis, Todo};

use crate::output::{Output, Tone};
use crate::time::ago;
use crate::words::{after_colon, clean, count, short, verdict};

/// So many lines of one thing are shown; --json has them all.
const SHOWN: usize = 20;

/// Named lines.
type Lines = Vec<(&'static str, String)>;

/// The evidence on `todo` at `now`, as named lines.
pub(super) fn lines(out: &Output, todo: &Todo, now: Millis) -> Lines {
    let mut lines = Lines::new();
    blockers(todo, now, &mut lines);
    progress(todo, now, &mut lines);
    if let Some(done) = todo.completions.last() {
        completion(out, done, now, &mut lines);
    }
    lines
}

fn blockers(todo: &Todo, now: Millis, lines: &mut Lines) {
    for open in todo.open_blockers() {
        let (kind, what) = (open.kind.name(), after_colon(&open.description));
        let who = format!("{} {}", short(&open.agent, 60), ago(open.at, now));
        lines.push(("blocker", format!("{kind}, {who}{what}")));
        lines.extend(open.tried.iter().map(|tried| ("tried", short(tried, 200))));
        lines.extend(open.escalated.iter().map(|context| ("escalated", short(context, 200))));
    }
}

fn progress(todo: &Todo, now: Millis, lines: &mut Lines) {
    let Some(claim) = todo.claim.as_deref() else { return };
    let Some(progress) = &claim.progress else { return };
    let who = format!("{} {}", short(&claim.agent, 60), ago(progress.at, now));
    let what = after_colon(&progress.message);
    lines.push(("progress", format!("{}%, {who}{what}", progress.percent)));
    lines.extend(progress.next_milestone.iter().map(|next| ("next", short(next, 200))));
}

fn completion(out: &Output, done: &Completion, now: Millis, lines: &mut Lines) {
    let who = format!("{} {}", short(&done.agent, 60), ago(done.at, now));
    lines.push(("done", format!("{who}{}", after_colon(&done.implementation))));
    let mut put = |name, text: &str| {
        if !text.trim().is_empty() {
            lines.push((name, short(text, 200)));
        }
    };
    put("tests", &done.tests);
    put("integration", &done.integration);
    put("commit", done.commit.as_deref().unwrap_or_default());
    let integrated = done.integrated.as_deref();
    let integrated = integrated.map(|(commit, at)| format!("{} {}", clean(commit), ago(*at, now)));
    put("integrated", &integrated.unwrap_or_default());
    checks(out, &done.checks, lines);
    match done.verification.as_deref() {
        None if done.pending() => lines.push(("verdict", "none yet".to_owned())),
        None => {}
        Some(answer) => answered(out, answer, now, lines),
    }
    // Why a refused one no longer counts, the verdict says already.
    let refused = done.verification.as_ref().is_some_and(|v| v.verdict != Verdict::Pass);
    let void = done.void.as_ref().filter(|_| !refused);
    lines.extend(void.map(|why| ("void", short(why, 200))));
}

fn toned(out: &Output, word: Verdict) -> String {
    let tone = match word {
        Verdict::Pass => Tone::Good,
        Verdict::Fail => Tone::Bad,
        Verdict::Unknown => Tone::Busy,
    };
    out.paint(tone, verdict(word))
}

fn checks(out: &Output, checks: &[Check], lines: &mut Lines) {
    for check in checks.iter().take(SHOWN) {
        let (verdict, name) = (toned(out, check.verdict), short(&check.name, 60));
        let exit = check.exit_code.filter(|&code| code != 0);
        let exit = exit.map(|code| format!(", exit code {code}")).unwrap_or_default();
        let detail = after_colon(&check.detail);
        lines.push(("checked", format!("{verdict} {name} ({}{exit}){detail}", check.layer.name())));
    }
    if checks.len() > SHOWN {
        lines.push((
            "checked",
            format!("and {} more: --json", count(checks.len() - SHOWN, "check")),
        ));
    }
}

fn answered(out: &Output, answer: &Verification, now: Millis, lines: &mut Lines) {
    let percent = match answer.verdict {
        Verdict::Pass => String::new(),
        _ => format!(", {}% is there", answer.percent),
    };
    let who = format!("{} {}", short(&answer.agent, 60), ago(answer.at, now));
    let why = after_colon(&answer.reason);
    lines.push(("verdict", format!("{}, {who}{percent}{why}", toned(out, answer.verdict))));
    lines.extend(answer.gaps.iter().take(SHOWN).map(|gap| ("gap", short(gap, 200))));
}
