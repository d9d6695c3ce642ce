//! `claim`, `begin`, `release`, `progress`: who is at work on what.

use std::sync::Arc;

use clap::Args;
use tress::state::todo::Claim as Held;
use tress::{
    ClaimRefused, Claimed, Event, Millis, Operation, Refused, Run, State, Status, Todo, TodoId,
    limits,
};

use super::blockers::Kind;
use crate::context::{Context, Writer, alive, name_title};
use crate::failure::{Code, Failure};
use crate::time::{clock, length, parse_duration};
use crate::told::Told;
use crate::words::{blocked, short, standing};

/// Take a todo, so that nobody else does; of all who try, one wins
#[derive(Debug, Args)]
#[command(after_help = "\
A claim lapses when its lease ends without a sign of life; `tress progress` is one, and so is
claiming again. What lost the race exits with 5 and says what is ready instead.

Examples:
  tress claim --next
  tress claim t-7f3a --lease 2h
  tress claim --next --can sql,rust
  tress claim --next --label backend --json | jq -r .data.id")]
pub(crate) struct Claim {
    /// The todo
    #[arg(required_unless_present = "next", conflicts_with = "next")]
    id: Option<String>,
    /// The most urgent one that is ready and not meant for somebody else
    #[arg(long)]
    next: bool,
    /// How long the claim holds without a sign of life
    #[arg(long, value_name = "DURATION", default_value = "30m", value_parser = parse_duration)]
    lease: Millis,
    /// With --next: only with this label; may be given several times
    #[arg(long = "label", value_name = "LABEL", value_delimiter = ',', requires = "next")]
    labels: Vec<String>,
    /// With --next: what you can do, `*` for everything; what needs more (`tress add --capability`) is left for
    /// others
    #[arg(long = "can", value_name = "NAME", value_delimiter = ',', requires = "next")]
    can: Vec<String>,
}

/// Say that work on a claimed todo begins: how long it may take, what it needs
#[derive(Debug, Args)]
#[command(after_help = "\
Renews the lease. What was estimated is held against how long it took when teams are planned.

Example:
  tress begin t-7f3a --estimate 45m --needs t-11c0 --base \"$(git rev-parse HEAD)\"")]
pub(crate) struct Begin {
    /// The todo
    id: String,
    /// How long it may take
    #[arg(long, value_name = "DURATION", value_parser = parse_duration)]
    #[arg(allow_negative_numbers = true)]
    estimate: Option<Millis>,
    /// A todo that it is expected to need; may be given several times
    #[arg(long = "needs", value_name = "ID", value_delimiter = ',')]
    needs: Vec<String>,
    /// The commit that it starts from
    #[arg(long, value_name = "COMMIT")]
    base: Option<String>,
    /// The branch that it is done on
    #[arg(long, value_name = "BRANCH")]
    branch: Option<String>,
}

/// Give a claimed todo back
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  tress release t-7f3a -m \"needs somebody who knows sled\"")]
pub(crate) struct Release {
    /// The todo
    id: String,
    /// Why
    #[arg(short, long, visible_alias = "reason", value_name = "TEXT", default_value = "")]
    #[arg(hide_default_value = true)]
    message: String,
    /// Even if somebody else holds it
    #[arg(long)]
    force: bool,
}

/// Report how far the work is; renews the lease
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  tress progress t-7f3a 60 -m \"tokens done\" --next-milestone \"the tree\"
  tress progress t-7f3a 60 --blocker \"the grammar is ambiguous\" --blocker-kind requirement")]
pub(crate) struct Progress {
    /// The todo
    id: String,
    /// 0 to 100
    #[arg(allow_negative_numbers = true)]
    percent: i64,
    /// What was done
    #[arg(short, long, value_name = "TEXT", default_value = "", hide_default_value = true)]
    message: String,
    /// What comes next
    #[arg(long, value_name = "TEXT")]
    next_milestone: Option<String>,
    /// Something that is in the way (see also `tress block`)
    #[arg(long, value_name = "TEXT")]
    blocker: Option<String>,
    /// Of what kind that is
    #[arg(long, value_enum, default_value = "technical", requires = "blocker")]
    blocker_kind: Kind,
}

/// `until 11:04`, or nothing.
fn until(claim_until: Option<Millis>, now: Millis) -> String {
    claim_until.map_or(String::new(), |until| format!(" until {}", clock(until, now)))
}

/// Until when the claim on a todo holds: `until 11:04`, or nothing.
fn held_until(state: &State, todo: TodoId) -> String {
    let claim = state.todo(todo).and_then(|todo| todo.claim.as_deref());
    until(claim.and_then(|claim| claim.until), tress::now())
}

/// The claim of `agent` on `todo`; one whose lease has ended is good until somebody takes over.
pub(super) fn own_claim<'a>(todo: &'a Todo, agent: &str) -> Option<&'a Held> {
    todo.claim.as_deref().filter(|claim| &*claim.agent == agent)
}

/// What could be claimed in place of `id`.
fn next_ready(state: &State, id: TodoId, now: Millis) -> Option<TodoId> {
    state.readiness(now).ready.into_iter().find(|&ready| ready != id)
}

/// Another agent has it.
fn lost(state: &State, id: TodoId, holder: &str, held_until: Option<Millis>) -> Failure {
    let now = tress::now();
    let holder = short(holder, 60);
    let mut message =
        format!("{} is held by {holder}{}", name_title(state, id), until(held_until, now));
    let next = next_ready(state, id, now);
    if let Some(next) = next {
        message.push_str(&format!("; next ready: {}", name_title(state, next)));
    }
    Failure::new(Code::ClaimLost, message).hint(match next {
        Some(_) => "`tress claim --next` takes the next ready one",
        None => "nothing else is ready; `tress blocked` says why",
    })
}

/// Why `agent` cannot report work on `todo`, which it does not hold.
pub(super) fn not_yours(state: &State, todo: &Todo, agent: &str, now: Millis) -> Failure {
    let name = name_title(state, todo.id);
    let id = state.name(todo.id);
    if let Some(holder) = todo.holder(now).filter(|holder| &*holder.agent != agent) {
        return lost(state, todo.id, &holder.agent, holder.until);
    }
    let next = next_ready(state, todo.id, now).map(|next| name_title(state, next));
    let next = next.map_or_else(String::new, |next| format!("; next ready: {next}"));
    if todo.finished() {
        let readiness = state.readiness(now);
        let how = standing(state, &readiness, todo, now);
        return Failure::conflict(format!("{name} is finished ({how}){next}"))
            .hint(format!("`tress reopen {id}` opens it again"));
    }
    let who = match todo.claim.as_deref().filter(|claim| &*claim.agent != agent) {
        Some(taken) => format!("{} held it last", short(&taken.agent, 60)),
        None => "nobody does".to_owned(),
    };
    Failure::conflict(format!("{agent} does not hold {name}; {who}{next}"))
        .hint(format!("`tress claim {id}` takes it"))
}

/// Does `claim`.
pub(crate) async fn claim(context: &Context, args: &Claim) -> Result<(), Failure> {
    if args.lease == 0 || args.lease > limits::LEASE_MAX {
        let most = length(limits::LEASE_MAX);
        return Err(Failure::invalid(format!("a lease is longer than nothing and at most {most}")));
    }
    let writer = context.writer().await?;
    let agent = &writer.agent;
    let lease = Some(args.lease);
    let claimed = match &args.id {
        Some(id) => {
            let todo = writer.find_alive(id)?;
            let own = own_claim(todo, agent.name()).filter(|_| todo.pending_completion().is_none());
            if own.is_some_and(|claim| claim.holds(writer.now)) {
                return renew(context, &writer, todo.id, args.lease).await;
            }
            let id = todo.id;
            agent.claim(id, lease).await.map_err(|refused| explain(agent.run(), id, refused))?
        }
        None => {
            let (name, labels) = (agent.name().to_owned(), args.labels.clone());
            let mut can = args.can.clone();
            // And what it said when it joined.
            let joined = writer.state.team.agents.get(agent.name());
            can.extend(joined.iter().flat_map(|agent| agent.capabilities.iter().cloned()));
            let filter = move |state: &State, id| {
                let todo = state.todo(id);
                todo.is_some_and(|todo| {
                    meant_for(todo, &name)
                        && labels.iter().all(|l| todo.labels.contains_key(l))
                        && tress_run::plan::able(&can, &todo.capabilities)
                })
            };
            let claimed = agent.claim_next(lease, filter).await;
            claimed.map_err(|refused| explain_next(agent.run(), refused))?
        }
    };
    let event = event_of(agent.run(), &claimed).await?;
    context.changed(agent.run(), claimed.todo, &[event], |state| {
        let now = tress::now();
        format!("claimed {}{}", name_title(state, claimed.todo), until(claimed.until, now))
    })
}

/// Whether `todo` is not meant for somebody else.
fn meant_for(todo: &Todo, agent: &str) -> bool {
    // An assignment is over when the claim that it led to has ended.
    let assigned = todo.assigned.as_deref();
    let assigned = assigned.filter(|name| todo.ended.iter().all(|ended| &*ended.agent != *name));
    let meant = assigned.or(todo.assignee.as_deref());
    meant.is_none_or(|meant| meant == agent)
}

/// The event that made a claim.
async fn event_of(run: &Run, claimed: &Claimed) -> Result<Arc<Event>, Failure> {
    let token = claimed.token;
    let state = run.state();
    let before = state.version.iter().map(|(replica, number)| {
        let ours = replica == token.replica;
        (replica, if ours { number.min(token.number.saturating_sub(1)) } else { number })
    });
    let events = run.events_since(before.collect()).await?;
    let event = events.into_iter().find(|event| event.dot == token);
    event.ok_or_else(|| Failure::internal("the claim was appended and cannot be found"))
}

/// The agent has it already: the same claim holds longer, under the same token.
async fn renew(
    context: &Context,
    writer: &Writer,
    todo: TodoId,
    lease: Millis,
) -> Result<(), Failure> {
    let name = writer.agent.name().to_owned();
    let events = writer.agent.append_if(move |state| {
        let held = state.todo(todo).ok_or_else(|| Failure::not_found("the todo is gone"))?;
        let now = tress::now();
        let claim = own_claim(held, &name).ok_or_else(|| not_yours(state, held, &name, now))?;
        let (token, lease) = (claim.token, Some(lease));
        Ok::<_, Failure>(vec![Operation::Renewed { todo, token, lease }])
    });
    let events = events.await?;
    context.changed(writer.agent.run(), todo, &events, |state| {
        let until = held_until(state, todo);
        format!("{} is yours already; renewed{until}", name_title(state, todo))
    })
}

fn explain(run: &Run, id: TodoId, refused: Refused<ClaimRefused>) -> Failure {
    let reason = match refused {
        Refused::Error(error) => return error.into(),
        Refused::Condition(reason) => reason,
    };
    let (state, now) = (run.state(), tress::now());
    match reason {
        ClaimRefused::Held { agent, until, .. } => lost(&state, id, &agent, until),
        ClaimRefused::NotOpen { status, .. } => not_open(&state, id, status, now),
        ClaimRefused::Unknown => Failure::not_found("there is no such todo"),
        ClaimRefused::NothingReady => nothing_ready(&state, now),
    }
}

fn not_open(state: &State, id: TodoId, status: Status, now: Millis) -> Failure {
    let name = name_title(state, id);
    let Some(todo) = state.todo(id) else { return Failure::not_found("there is no such todo") };
    if let Err(deleted) = alive(state, todo) {
        return deleted;
    }
    let how = standing(state, &state.readiness(now), todo, now);
    let mut message = format!("{name} cannot be claimed: {how}");
    let next = next_ready(state, id, now);
    if let Some(next) = next {
        message.push_str(&format!("; next ready: {}", name_title(state, next)));
    }
    Failure::conflict(message).hint(match (status.finished(), next) {
        (true, _) => format!("`tress reopen {}` opens it again", state.name(id)),
        (false, Some(_)) => "`tress claim --next` takes the next ready one".to_owned(),
        (false, None) => format!("`tress why {}` tells its story", state.name(id)),
    })
}

fn explain_next(run: &Run, refused: Refused<ClaimRefused>) -> Failure {
    match refused {
        Refused::Error(error) => error.into(),
        Refused::Condition(_) => nothing_ready(&run.state(), tress::now()),
    }
}

fn nothing_ready(state: &State, now: Millis) -> Failure {
    let readiness = state.readiness(now);
    let ready = readiness.ready.len();
    let blocked = blocked(state, &readiness, now).count();
    let failure = |message: &str, hint: &str| Failure::new(Code::NothingReady, message).hint(hint);
    if ready > 0 {
        let message = format!("nothing is ready for you; {ready} ready are not what you asked for");
        return failure(
            &message,
            "`tress ready` lists them; `tress claim ID` takes any, --can says what you can do",
        );
    }
    if state.todos.unfinished().next().is_none() {
        return failure("nothing is left to be claimed", "`tress add` adds what is to be done");
    }
    let message = format!("nothing is ready to be claimed; {blocked} blocked");
    failure(&message, "`tress blocked` says why, `tress list` what is under way")
}

/// Does `begin`.
pub(crate) async fn begin(context: &Context, args: &Begin) -> Result<(), Failure> {
    let writer = context.writer().await?;
    let todo = writer.find_alive(&args.id)?.id;
    let mut needs = Vec::new();
    for id in &args.needs {
        needs.push(writer.find_alive(id)?.id);
    }
    let minutes = args.estimate.map(|estimate| estimate.div_ceil(60_000));
    let estimate = minutes.and_then(|minutes| u32::try_from(minutes).ok());
    let told = Told::tell(context, &writer).await?;
    let (noted, name) = (told.noted(), writer.agent.name().to_owned());
    let (base, branch) = (args.base.clone(), args.branch.clone());
    let events = writer.agent.append_if(move |state| {
        let held = state.todo(todo).ok_or_else(|| Failure::not_found("the todo is gone"))?;
        let claim = own_claim(held, &name);
        let claim = claim.ok_or_else(|| not_yours(state, held, &name, tress::now()))?;
        let mut dependencies: Vec<TodoId> = state.edges(todo).iter().map(|edge| edge.on).collect();
        dependencies.extend(
            needs.into_iter().filter(|id| !state.edges(todo).iter().any(|edge| edge.on == *id)),
        );
        let mut operations = vec![Operation::TaskStarted {
            todo,
            token: claim.token,
            estimate: estimate.or(held.estimate_minutes),
            base,
            branch,
            dependencies,
        }];
        operations.extend(noted(state, &name));
        Ok::<_, Failure>(operations)
    });
    let events = events.await.map_err(|refused| told.with(refused.into()))?;
    context.changed_told(writer.agent.run(), todo, &events, &told.rows, |state| {
        let until = held_until(state, todo);
        format!("begun {}; yours{until}", name_title(state, todo))
    })
}

/// Does `release`.
pub(crate) async fn release(context: &Context, args: &Release) -> Result<(), Failure> {
    let writer = context.writer().await?;
    let todo = writer.find_alive(&args.id)?.id;
    let told = Told::tell(context, &writer).await?;
    let noted = told.noted();
    let (name, reason, force) = (writer.agent.name().to_owned(), args.message.clone(), args.force);
    let events = writer.agent.append_if(move |state| {
        let held = state.todo(todo).ok_or_else(|| Failure::not_found("the todo is gone"))?;
        let now = tress::now();
        let claim = if force { held.claim.as_deref() } else { own_claim(held, &name) };
        let claim = claim.ok_or_else(|| {
            let failure = not_yours(state, held, &name, now);
            if held.holder(now).is_some() {
                failure.hint("--force releases it all the same")
            } else {
                failure
            }
        })?;
        let mut operations = vec![Operation::Released { todo, token: claim.token, reason }];
        operations.extend(noted(state, &name));
        Ok::<_, Failure>(operations)
    });
    let events = events.await.map_err(|refused| told.with(refused.into()))?;
    context.changed_told(writer.agent.run(), todo, &events, &told.rows, |state| {
        format!("released {}", name_title(state, todo))
    })
}

/// Does `progress`.
pub(crate) async fn progress(context: &Context, args: &Progress) -> Result<(), Failure> {
    let percent = u8::try_from(args.percent).ok().filter(|&percent| percent <= 100);
    let percent = percent.ok_or_else(|| {
        Failure::invalid(format!("{} is not a percentage (0 to 100)", args.percent))
    })?;
    let writer = context.writer().await?;
    let todo = writer.find_alive(&args.id)?.id;
    let told = Told::tell(context, &writer).await?;
    let noted = told.noted();
    let name = writer.agent.name().to_owned();
    let (message, next_milestone) = (args.message.clone(), args.next_milestone.clone());
    let blocker = args.blocker.clone().map(|description| Operation::BlockerRaised {
        todo,
        kind: args.blocker_kind.into(),
        description,
        tried: Vec::new(),
    });
    let events = writer.agent.append_if(move |state| {
        let held = state.todo(todo).ok_or_else(|| Failure::not_found("the todo is gone"))?;
        let claim = own_claim(held, &name);
        let claim = claim.ok_or_else(|| not_yours(state, held, &name, tress::now()))?;
        let token = claim.token;
        let mut operations =
            vec![Operation::ProgressReported { todo, token, percent, message, next_milestone }];
        operations.extend(blocker);
        operations.extend(noted(state, &name));
        Ok::<_, Failure>(operations)
    });
    let events = events.await.map_err(|refused| told.with(refused.into()))?;
    context.changed_told(writer.agent.run(), todo, &events, &told.rows, |state| {
        let until = held_until(state, todo);
        format!("{} is at {percent}%; yours{until}", name_title(state, todo))
    })
}
