//! `undo`: the effect of one event taken back.

use std::collections::BTreeSet;
use std::sync::Arc;

use clap::Args;
use serde::Serialize;
use tress::operation::ProseTarget;
use tress::{Event, Operation, Refused, Run, State, UndoError, VersionVector};

use super::claim::not_yours;
use super::log::{EventView, sentence};
use crate::context::Context;
use crate::failure::Failure;
use crate::time::clock;
use crate::words::{describe, short};

/// Take back the effect of one event, by new events
#[derive(Debug, Args)]
#[command(after_help = "\
What others did later stays. What cannot be taken back is said, with what to do instead.
`tress replay --without event:ID --as NAME` makes a path that is the run without it.

Example:
  tress log --limit 5
  tress undo 3f9c2a71b0 -m \"closed the wrong one\"")]
pub(crate) struct Undo {
    /// The event: its id, or the beginning of it (`tress log`)
    event: String,
    /// Why
    #[arg(long, short = 'm', value_name = "TEXT", default_value = "", hide_default_value = true)]
    message: String,
    /// Even if it ends what somebody else holds
    #[arg(long)]
    force: bool,
}

#[derive(Serialize)]
struct Undone {
    event: String,
    appended: Vec<EventView>,
}

/// Does `undo`.
pub(crate) async fn undo(context: &Context, args: &Undo) -> Result<(), Failure> {
    let writer = context.writer().await?;
    let agent = &writer.agent;
    let event = agent.run().event(&args.event).await?;
    let (name, force, undone) = (agent.name().to_owned(), args.force, Arc::clone(&event));
    let allowed = move |state: &State| may_end(state, &undone, &name, force);
    let events = match agent.undo_if(event.dot, &args.message, allowed).await {
        Ok(events) => events,
        Err(Refused::Error(error)) => return Err(error.into()),
        Err(Refused::Condition(Kept::Held(failure))) => return Err(failure),
        Err(Refused::Condition(Kept::For(error))) => {
            return Err(refused(agent.run(), &event, error).await?);
        }
    };
    let (state, now) = (agent.run().state(), tress::now());
    let views = events.iter().map(|event| EventView::new(event, &state, now));
    let undone = Undone { event: event.id.to_string(), appended: views.collect() };
    let touched: BTreeSet<_> = events.iter().map(|event| event.dot).collect();
    let lost = state.ledger.iter().rev().take(64).filter(|entry| touched.contains(&entry.loser));
    let lost =
        lost.map(|entry| format!("\nnote: {} (rule {})", short(&entry.detail, 200), entry.rule));
    let lost = lost.collect::<String>();
    context.out.answer(&undone, || {
        let done = events.iter().map(|event| format!("\n  {}", sentence(&state, event, now)));
        let (at, done) = (clock(event.moment(), now), done.collect::<String>());
        let what = event.operation.name();
        format!("took back {what} {} of {at}, by:{done}{lost}", event.id.short())
    })
}

/// Why an event is not undone.
enum Kept {
    /// It would end what somebody else holds.
    Held(Failure),
    For(UndoError),
}

impl From<UndoError> for Kept {
    fn from(error: UndoError) -> Self {
        Self::For(error)
    }
}

/// Whether `agent` may undo an event: it ends no claim of somebody else, or that is what is wanted.
fn may_end(state: &State, event: &Event, agent: &str, force: bool) -> Result<(), Kept> {
    let now = tress::now();
    if !force
        && let Some(held) = event.operation.todo().and_then(|todo| state.todo(todo))
        && let Some(holder) = held.holder(now)
        && &*holder.agent != agent
        && ends_claims(&event.operation, holder.token == event.dot)
    {
        let refused = not_yours(state, held, agent, now);
        return Err(Kept::Held(refused.hint("--force ends the claim all the same")));
    }
    Ok(())
}

/// Whether to undo it ends whatever claim there is on its todo, or the one that it is.
fn ends_claims(operation: &Operation, is_claim: bool) -> bool {
    match operation {
        Operation::Claimed { .. } => is_claim,
        Operation::TodoAdded { .. }
        | Operation::Reopened { .. }
        | Operation::CompletionClaimed { .. }
        | Operation::Integrated { .. } => true,
        _ => false,
    }
}

/// Why an event cannot be undone, and what to do instead.
async fn refused(run: &Run, event: &Event, error: UndoError) -> Result<Failure, Failure> {
    let (state, now, id) = (run.state(), tress::now(), event.id.short());
    let path = format!("`tress replay --without event:{id} --as NAME` makes a path without it");
    let what = sentence(&state, event, now);
    let because = |why: &str| Failure::conflict(format!("{id}: {why}"));
    match error {
        UndoError::Final { .. } | UndoError::OthersBuilt { .. } => {
            return Ok(because(&error.to_string()).hint(path));
        }
        UndoError::Unknown(_) | UndoError::LeftOut => {
            return Ok(because(&error.to_string()).hint(what));
        }
        UndoError::Already | UndoError::NothingLeft => {}
    }
    let events = run.events_since(VersionVector::new()).await?;
    let later = events.iter().rev().take_while(|later| later.order() > event.order());
    let told = |later: &Event| {
        let (who, when) = (short(&later.author.name, 60), clock(later.moment(), now));
        (format!("{who} at {when}"), later.id.short())
    };
    if error == UndoError::Already {
        let undid = |later: &&std::sync::Arc<Event>| matches!(&later.operation, Operation::Undone { event: undone, .. } if *undone == event.dot);
        let by = later.clone().find(undid).map(|later| format!(", by {}", told(later).0));
        let again =
            "if its effect is there again, undo the event that brought it back (`tress log`)";
        let by = by.unwrap_or_default();
        return Ok(because(&format!("it was undone already{by}")).hint(again));
    }
    if let Some(lost) = state.ledger.iter().rev().find(|entry| entry.loser == event.dot) {
        let (detail, rule) = (short(&lost.detail, 200), lost.rule);
        return Ok(because(&format!(
            "nothing of its effect is left: it lost, {detail} (rule {rule})"
        ))
        .hint("there is nothing to take back; `tress conflicts` says what lost against what"));
    }
    let ended_by = match &event.operation {
        Operation::Claimed { todo, .. } => state.todo(*todo).and_then(|todo| {
            let mut ended = todo.ended.iter().rev();
            ended.find(|ended| ended.token == event.dot).map(|ended| ended.by)
        }),
        _ => None,
    };
    let over = later.clone().find(|later| match ended_by {
        Some(by) => later.dot == by,
        None => takes_over(event, &later.operation),
    });
    let Some(over) = over else {
        let why = match &event.operation {
            Operation::Claimed { .. } => "the claim has ended",
            _ => "it changed nothing: what it says was so already when it came",
        };
        return Ok(because(why).hint(format!("there is nothing to take back: {what}")));
    };
    let (by, later) = told(over);
    let done = describe(&over.operation, &state, now);
    let instead = match &over.operation {
        Operation::Released { .. }
        | Operation::AttemptFailed { .. }
        | Operation::Verified { .. }
        | Operation::RolledBack { .. } => "there is nothing to take back".to_owned(),
        _ => format!("`tress undo {later}` takes that back; or change it anew"),
    };
    let why = format!("nothing of its effect is left: {by} {done} ({later})");
    Ok(because(&why).hint(instead))
}

/// Whether `later` replaces or ends what `event` did.
fn takes_over(event: &Event, later: &Operation) -> bool {
    use Operation as O;
    let ours = &event.operation;
    if ours.todo().is_some() && ours.todo() != later.todo() {
        return false;
    }
    match (ours, later) {
        (O::TodoAdded { .. }, O::Deleted { .. }) => true,
        (
            O::TodoEdited { edits, .. },
            O::TodoEdited { edits: later, .. } | O::TodoAdded { edits: later, .. },
        ) => edits.iter().any(|edit| later.iter().any(|later| later.field() == edit.field())),
        (O::ProseEdited { target, .. }, O::ProseEdited { target: later, .. }) => target == later,
        (
            O::LabelsChanged { added, removed, .. },
            O::LabelsChanged { added: more, removed: less, .. },
        ) => {
            let touched = |label: &String| more.contains(label) || less.contains(label);
            added.iter().chain(removed).any(touched)
        }
        (
            O::DependencyAdded { on, .. } | O::DependencyRemoved { on, .. },
            O::DependencyAdded { on: later, .. } | O::DependencyRemoved { on: later, .. },
        ) => on == later,
        (
            O::Closed { .. } | O::Reopened { .. } | O::Deleted { .. },
            O::Closed { .. } | O::Reopened { .. } | O::Deleted { .. } | O::Verified { .. },
        ) => true,
        (O::Claimed { .. }, O::Released { token, .. } | O::AttemptFailed { token, .. }) => {
            *token == event.dot
        }
        (
            O::Claimed { .. },
            O::Claimed { .. } | O::Verified { .. } | O::Closed { .. } | O::Deleted { .. },
        ) => true,
        (O::BlockerRaised { .. }, O::BlockerResolved { blocker, .. }) => *blocker == event.dot,
        (O::CompletionClaimed { .. }, O::Verified { completion, .. }) => *completion == event.dot,
        (O::CompletionClaimed { .. }, O::Reopened { .. } | O::RolledBack { .. }) => true,
        (
            O::AlertRaised { alert, .. },
            O::AlertRaised { alert: later, .. } | O::AlertCleared { alert: later },
        ) => alert == later,
        (ours, later) => match (design(ours), design(later)) {
            (Some(ours), Some(later)) => ours == later,
            _ => false,
        },
    }
}

/// The part of the design that an operation changes.
fn design(operation: &Operation) -> Option<(&'static str, &str)> {
    use Operation as O;
    Some(match operation {
        O::SectionAdded { section: key, .. }
        | O::SectionRemoved { section: key }
        | O::ProseEdited { target: ProseTarget::Section(key), .. } => ("section", key.as_str()),
        O::RequirementAdded { requirement: key, .. }
        | O::RequirementRemoved { requirement: key } => ("requirement", key.as_str()),
        O::DesignRuleAdded { rule: key, .. } | O::DesignRuleRemoved { rule: key } => {
            ("rule", key.as_str())
        }
        _ => return None,
    })
}
