//! `why`: the story of a todo, and why it stands where it stands.

use std::collections::BTreeMap;
use std::sync::Arc;

use clap::Args;
use serde::Serialize;
use tress::{Dot, Event, LedgerEntry, Rule, Status, TodoId};

use super::log::{EventView, about, events};
use crate::context::{Context, Moment, name_title};
use crate::failure::Failure;
use crate::output::Tone;
use crate::time::{clock, rfc3339};
use crate::view::TodoRow;
use crate::words::{describe, more, reasons, short, standing};

/// Tell what happened to a todo, and why it stands where it stands
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  tress why t-7f3a
  tress why bd-12 --at yesterday-evening   as it was at that checkpoint")]
pub(crate) struct Why {
    /// The todo
    id: String,
}

#[derive(Serialize)]
struct Story {
    todo: TodoRow,
    /// Why it stands where it stands, in one sentence.
    standing: String,
    /// What happened, in order.
    story: Vec<Chapter>,
    /// Claims that another claim or a completion beat.
    lost_claims: Vec<Lost>,
}

#[derive(Serialize)]
struct Chapter {
    #[serde(flatten)]
    event: EventView,
    /// What the merge decided against it.
    lost: Vec<Lost>,
}

#[derive(Clone, Serialize)]
struct Lost {
    rule: Rule,
    agent: String,
    at: String,
    /// The agent of the event that it lost against.
    against: Option<String>,
    detail: String,
}

/// Does `why`.
pub(crate) async fn run(context: &Context, args: &Why) -> Result<(), Failure> {
    let moment = context.moment().await?;
    let id = moment.find(&args.id)?.id;
    let events = events(context, &moment).await?;
    let authors: BTreeMap<Dot, &Arc<str>> =
        events.iter().map(|event| (event.dot, &event.author.name)).collect();
    let ledger: Vec<&Arc<LedgerEntry>> =
        moment.state.ledger.iter().filter(|entry| entry.todo == Some(id)).collect();
    let lost = |entry: &LedgerEntry| Lost {
        rule: entry.rule,
        agent: entry.agent.to_string(),
        at: rfc3339(entry.at),
        against: entry.winner.and_then(|dot| authors.get(&dot)).map(|name| name.to_string()),
        detail: entry.detail.clone(),
    };
    let story: Vec<(&Arc<Event>, Vec<Lost>)> = events
        .iter()
        .filter(|event| about(event, id))
        .map(|event| {
            let against = ledger.iter().filter(|entry| entry.loser == event.dot);
            (event, against.map(|entry| lost(entry)).collect())
        })
        .collect();
    let claims = story.iter().filter(|(event, _)| event.operation.name() == "claimed");
    let lost_claims: Vec<Lost> = claims.flat_map(|(_, lost)| lost.iter().cloned()).collect();
    if context.out.json() {
        return json(context, &moment, id, story, lost_claims);
    }
    context.out.text(&text(context, &moment, id, &story)?)
}

fn json(
    context: &Context,
    moment: &Moment,
    id: TodoId,
    story: Vec<(&Arc<Event>, Vec<Lost>)>,
    lost_claims: Vec<Lost>,
) -> Result<(), Failure> {
    let (state, now) = (&moment.state, moment.now);
    let todo = state.todo(id).ok_or_else(|| Failure::internal("the todo is gone"))?;
    let chapter = |(event, lost): (&Arc<Event>, Vec<Lost>)| Chapter {
        event: EventView::new(event, state, now),
        lost,
    };
    context.out.data(&Story {
        todo: moment.row(todo).with_reasons(state, &moment.readiness, id, now),
        standing: standing(state, &moment.readiness, todo, now),
        story: story.into_iter().map(chapter).collect(),
        lost_claims,
    })
}

fn text(
    context: &Context,
    moment: &Moment,
    id: TodoId,
    story: &[(&Arc<Event>, Vec<Lost>)],
) -> Result<String, Failure> {
    let (out, state, now) = (&context.out, &moment.state, moment.now);
    let todo = state.todo(id).ok_or_else(|| Failure::internal("the todo is gone"))?;
    let mut lines = vec![out.paint(Tone::Strong, &name_title(state, id))];
    lines.push(standing(state, &moment.readiness, todo, now));
    let reasons = reasons(state, &moment.readiness, id, now);
    let blocked = state.status(todo, &moment.readiness, now) == Status::Blocked;
    if !blocked && !todo.finished() && !reasons.is_empty() {
        let reasons: Vec<String> = reasons.into_iter().map(|why| why.text).collect();
        lines.push(format!("although blocked: {}", reasons.join("; ")));
    }
    lines.push(String::new());
    let agents = story.iter().map(|(event, _)| short(&event.author.name, 24).chars().count());
    let wide = agents.max().unwrap_or(0);
    for (event, lost) in story {
        let when = clock(event.moment(), now);
        let agent = short(&event.author.name, 24);
        let what = if event.operation.todo() == Some(id) {
            describe(&event.operation, state, now)
        } else {
            let source = event.operation.todo().map(|todo| state.name(todo)).unwrap_or_default();
            format!("{}: {}", short(&source, 60), describe(&event.operation, state, now))
        };
        lines.push(format!(
            "{}  {agent:wide$}  {what}",
            out.paint(Tone::Dim, &format!("{when:<12}"))
        ));
        for more in more(&event.operation) {
            lines.push(format!("{:<12}    {}", "", out.paint(Tone::Dim, &more)));
        }
        for lost in lost {
            let against = lost.against.as_deref().map(|who| format!(" against {}", short(who, 40)));
            let against = against.unwrap_or_default();
            let text = format!("lost{against}: {} (rule {})", short(&lost.detail, 200), lost.rule);
            lines.push(format!("{:<12}    {}", "", out.paint(Tone::Bad, &text)));
        }
    }
    Ok(lines.join("\n"))
}
