//! `done` and `verify`: a claim of completion, and the answer to it.

use std::collections::BTreeSet;

use clap::Args;
use tress::operation::Verdict;
use tress::{Dot, Millis, Operation, State, Status, Todo, TodoId};

use super::claim::{not_yours, own_claim};
use super::git_merge::git;
use crate::context::{Before, Beside, Context, name_title};
use crate::failure::Failure;
use crate::told::Told;
use crate::words::{reasons, short, standing};

/// So many todos are named.
const SHOWN: usize = 5;

/// Say that a todo is done; a verifier has to agree
#[derive(Debug, Args)]
#[command(after_help = "\
It counts as completed once somebody else has verified it (`tress verify`). What is still open of it, a
dependency, a blocker or a child, is warned of.

Example:
  tress done t-7f3a --commit 1a2b3c4 -m \"parser.rs, all productions\" --tests \"cargo test parse\"")]
pub(crate) struct Done {
    /// The todo
    id: String,
    /// The commit that holds the work
    #[arg(long, value_name = "COMMIT")]
    commit: Option<String>,
    /// What was implemented
    #[arg(short, long, value_name = "TEXT", default_value = "", hide_default_value = true)]
    message: String,
    /// What was tested
    #[arg(long, value_name = "TEXT", default_value = "", hide_default_value = true)]
    tests: String,
    /// How it was wired in
    #[arg(long, value_name = "TEXT", default_value = "", hide_default_value = true)]
    integration: String,
}

/// Answer a claim of completion, as somebody who did not do the work
#[derive(Debug, Args)]
#[command(after_help = "\
It runs nothing by itself: it records the verdict of whoever looked.

Examples:
  tress verify t-7f3a --reason \"all tests pass\"
  tress verify t-7f3a --fail --reason \"floats are missing\" --gap \"parse 1e9\" --percent 70")]
pub(crate) struct Verify {
    /// The todo
    id: String,
    /// It does not hold: the todo goes back
    #[arg(long, requires = "reason")]
    fail: bool,
    /// Why
    #[arg(long, short = 'm', visible_alias = "message", value_name = "TEXT")]
    reason: Option<String>,
    /// With --fail: how much of it is there, 0 to 100
    #[arg(long, value_name = "0-100", requires = "fail", allow_negative_numbers = true)]
    #[arg(value_parser = clap::value_parser!(u8).range(0..=100))]
    percent: Option<u8>,
    /// With --fail: what is missing; may be given several times
    #[arg(long = "gap", value_name = "TEXT", requires = "fail")]
    gaps: Vec<String>,
}

/// The token under which `agent` may say that `todo` is done.
fn token(state: &State, todo: &Todo, agent: &str) -> Result<Option<Dot>, Failure> {
    let now = tress::now();
    let held = todo.holder(now).is_some_and(|holder| &*holder.agent != agent);
    if todo.finished() || held {
        return Err(not_yours(state, todo, agent, now));
    }
    if let Some(done) = todo.pending_completion().filter(|done| &*done.agent != agent) {
        let (name, who) = (name_title(state, todo.id), short(&done.agent, 60));
        return Err(Failure::conflict(format!("{who} says already that {name} is done"))
            .hint(format!("`tress verify {}` answers that", state.name(todo.id))));
    }
    Ok(own_claim(todo, agent).map(|claim| claim.token))
}

/// Does `done`.
pub(crate) async fn done(context: &Context, args: Done) -> Result<(), Failure> {
    let writer = context.writer().await?;
    let todo = writer.find_alive(&args.id)?.id;
    let mut warnings = still_open(&writer.state, todo, writer.now);
    let commit = args.commit.as_deref().map(str::trim);
    if commit == Some("") {
        return Err(Failure::invalid("the commit is empty").hint("leave --commit out, or name one"));
    }
    warnings.extend(commit.and_then(|commit| unknown_commit(context, commit)));
    let told = Told::tell(context, &writer).await?;
    let noted = told.noted();
    let name = writer.agent.name().to_owned();
    let events = writer.agent.append_if(move |state| {
        let held = state.todo(todo).ok_or_else(|| Failure::not_found("the todo is gone"))?;
        let token = token(state, held, &name)?;
        let mut operations = vec![Operation::CompletionClaimed {
            todo,
            token,
            commit: args.commit,
            to_integrate: false,
            implementation: args.message,
            tests: args.tests,
            integration: args.integration,
        }];
        operations.extend(noted(state, &name));
        Ok::<_, Failure>(operations)
    });
    let events = events.await.map_err(|refused| told.with(refused.into()))?;
    let beside = Beside { losses: &told.rows, warnings: &warnings };
    context.changed_beside(writer.agent.run(), todo, &events, beside, |state| {
        let (title, name) = (name_title(state, todo), state.name(todo));
        format!(
            "done, says {}: {title}; somebody else has to agree: tress verify {name}",
            writer.agent.name()
        )
    })
}

/// A word where the project is in a git repository that has no such commit.
fn unknown_commit(context: &Context, commit: &str) -> Option<String> {
    let project = context.project().ok()?;
    git(&project, &["rev-parse", "--is-inside-work-tree"]).ok()??;
    let named = format!("{commit}^{{commit}}");
    let known = git(&project, &["rev-parse", "--verify", "--quiet", &named]);
    let unknown = commit.starts_with('-') || known.is_ok_and(|known| known.is_none());
    unknown.then(|| format!("git knows no commit {} here", short(commit, 60)))
}

/// What is still open of a todo that somebody says is done: what holds it back, and its children.
fn still_open(state: &State, todo: TodoId, now: Millis) -> Vec<String> {
    let name = name_title(state, todo);
    let blocked = reasons(state, &state.readiness(now), todo, now).into_iter();
    let blocked: Vec<String> = blocked.map(|why| why.text).collect();
    let mut warnings = Vec::new();
    if !blocked.is_empty() {
        warnings.push(format!("{name} is still blocked: {}", blocked.join("; ")));
    }
    // Subtasks that verifiers made are done with their todo.
    let left = |child: &TodoId| {
        state.todo(*child).is_some_and(|child| !child.finished() && !child.ephemeral)
    };
    let children: Vec<TodoId> = state.children(todo).filter(left).collect();
    if !children.is_empty() {
        let some = children.iter().take(SHOWN).map(|child| name_title(state, *child));
        let some = some.collect::<Vec<_>>().join(", ");
        let more = if children.len() > SHOWN { ", …" } else { "" };
        let open = if children.len() == 1 { "open child" } else { "open children" };
        warnings.push(format!("{name} has {} {open}: {some}{more}", children.len()));
    }
    warnings
}

/// The claim of completion that `agent` may answer.
fn answerable(state: &State, todo: &Todo, agent: &str) -> Result<Dot, Failure> {
    let name = name_title(state, todo.id);
    let Some(done) = todo.pending_completion() else {
        return Err(nothing_to_verify(state, todo));
    };
    if &*done.agent == agent {
        let message = format!("{name}: whoever did the work cannot verify it");
        return Err(Failure::conflict(message)
            .hint("let another agent look: `tress --agent NAME --role verifier verify …`"));
    }
    Ok(done.dot)
}

fn nothing_to_verify(state: &State, todo: &Todo) -> Failure {
    let (title, name) = (name_title(state, todo.id), state.name(todo.id));
    if todo.finished() {
        return Failure::conflict(format!("{title} is finished already"))
            .hint(format!("`tress why {name}` tells how"));
    }
    Failure::conflict(format!("nobody says that {title} is done"))
        .hint(format!("whoever did the work says so first: tress done {name}"))
}

/// Does `verify`.
pub(crate) async fn verify(context: &Context, args: Verify) -> Result<(), Failure> {
    let writer = context.writer().await?;
    let todo = writer.find_alive(&args.id)?.id;
    let role = context.global.role;
    if !role.may_verify() {
        return Err(Failure::conflict(format!("the role {role} cannot verify"))
            .hint("verifiers, coordinators and humans can: --role verifier"));
    }
    let pass = !args.fail;
    let warnings = if pass { still_open(&writer.state, todo, writer.now) } else { Vec::new() };
    let (name, gaps) = (writer.agent.name().to_owned(), args.gaps);
    let percent = if pass { 100 } else { args.percent.unwrap_or(0) };
    let before = Before::default();
    let decided = before.clone();
    let events = writer.agent.append_if(move |state| {
        decided.is(state);
        let held = state.todo(todo).ok_or_else(|| Failure::not_found("the todo is gone"))?;
        Ok::<_, Failure>(vec![Operation::Verified {
            todo,
            completion: answerable(state, held, &name)?,
            verdict: if pass { Verdict::Pass } else { Verdict::Fail },
            reason: args.reason.unwrap_or_default(),
            percent,
            gaps,
        }])
    });
    let events = events.await?;
    let beside = Beside { losses: &[], warnings: &warnings };
    let run = writer.agent.run();
    context.changed_beside(run, todo, &events, beside, |state| {
        say_verified(before.or(&writer.state), state, todo, pass)
    })
}

fn say_verified(before: &State, state: &State, todo: TodoId, pass: bool) -> String {
    let name = name_title(state, todo);
    if !pass {
        return format!("sent {name} back; {}", what_now(state, todo));
    }
    let status = state.todo(todo).map(|todo| state.status_unblocked(todo, tress::now()));
    let status = status.map_or("verified", Status::name);
    format!("verified {name}: {status}{}", now_ready(before, state))
}

/// Whether a todo that was sent back can be claimed again, or what holds it.
fn what_now(state: &State, todo: TodoId) -> String {
    let now = tress::now();
    let readiness = state.readiness(now);
    match state.todo(todo).map(|todo| (todo, state.status(todo, &readiness, now))) {
        None | Some((_, Status::Open)) => "it can be claimed again".to_owned(),
        Some((todo, Status::Blocked)) => standing(state, &readiness, todo, now),
        Some((todo, _)) => format!("it is not open: {}", standing(state, &readiness, todo, now)),
    }
}

/// `; now ready: …`, with some of what is ready and was not in `before`; or nothing.
pub(super) fn now_ready(before: &State, state: &State) -> String {
    let now = tress::now();
    let was = before.readiness(now).ready.into_iter().collect::<BTreeSet<_>>();
    let ready = state.readiness(now).ready.into_iter().filter(|todo| !was.contains(todo));
    let freed: Vec<TodoId> = ready.collect();
    let some = freed.iter().take(SHOWN).map(|todo| name_title(state, *todo));
    let some = some.collect::<Vec<_>>().join(", ");
    match freed.len() {
        0 => String::new(),
        all if all > SHOWN => format!("; now ready: {some}, and {} more", all - SHOWN),
        _ => format!("; now ready: {some}"),
    }
}
