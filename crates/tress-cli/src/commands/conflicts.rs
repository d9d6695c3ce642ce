//! `conflicts`: what merges had to decide.

use std::collections::BTreeMap;

use clap::Args;
use serde::Serialize;
use tress::{Dot, Millis, Operation, Rule, VersionVector};

use crate::context::{Context, Moment};
use crate::failure::Failure;
use crate::output::{Cell, Tone};
use crate::time::{ago, rfc3339};
use crate::words::count;

/// List every conflict that was decided, the latest first
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  tress conflicts
  tress conflicts --mine --acknowledge     what I lost; I have taken note

TOLD says whether the agent that lost has taken note. Commands that work under a claim tell it.")]
pub(crate) struct Conflicts {
    /// Only what I lost and have not taken note of
    #[arg(long)]
    mine: bool,
    /// Take note: they are not --mine any more
    #[arg(long, requires = "mine")]
    acknowledge: bool,
    /// At most so many
    #[arg(long, short = 'n', value_name = "N")]
    limit: Option<usize>,
}

#[derive(Serialize)]
struct Conflict {
    rule: Rule,
    at: String,
    /// The agent that lost.
    agent: String,
    /// The event that lost.
    event: Option<String>,
    /// The agent it lost against.
    against: Option<String>,
    todo: Option<String>,
    external_id: Option<String>,
    detail: String,
    /// Whether the agent has taken note.
    acknowledged: bool,
    #[serde(skip)]
    loser: Dot,
    #[serde(skip)]
    millis: Millis,
    #[serde(skip)]
    name: String,
}

/// Does `conflicts`.
pub(crate) async fn run(context: &Context, args: &Conflicts) -> Result<(), Failure> {
    let moment = context.moment().await?;
    let me = if args.mine { Some(context.agent_name()?) } else { None };
    let mut conflicts = conflicts(&moment).await?;
    if let Some(me) = &me {
        conflicts.retain(|conflict| conflict.agent == *me && !conflict.acknowledged);
    }
    conflicts.truncate(args.limit.unwrap_or(usize::MAX));
    if args.acknowledge && !conflicts.is_empty() {
        let writer = context.writer().await?;
        let mut losers: Vec<Dot> = conflicts.iter().map(|conflict| conflict.loser).collect();
        losers.sort_unstable();
        losers.dedup();
        let noted = losers.into_iter().map(|event| Operation::LossAcknowledged { event });
        writer.agent.append(noted).await?;
    }
    context.out.answer(&conflicts, || {
        if conflicts.is_empty() {
            return "there was nothing to decide".to_owned();
        }
        let cells = conflicts.iter().map(|conflict| {
            vec![
                Cell::toned(ago(conflict.millis, moment.now), Tone::Dim),
                conflict.rule.name().into(),
                conflict.name.as_str().into(),
                conflict.agent.as_str().into(),
                conflict.against.as_deref().unwrap_or("-").into(),
                match conflict.acknowledged {
                    true => Cell::toned("yes", Tone::Dim),
                    false => Cell::toned("no", Tone::Bad),
                },
                conflict.detail.as_str().into(),
            ]
        });
        let header = ["WHEN", "RULE", "TODO", "LOST", "AGAINST", "TOLD", "WHAT"];
        let table = context.out.table(&header, &[6], cells);
        let cut = moment.state.ledger_cut;
        let older =
            if cut > 0 { format!("; {cut} older ones are only counted") } else { String::new() };
        format!("{table}\n\n{}{older}", count(conflicts.len(), "conflict"))
    })
}

async fn conflicts(moment: &Moment) -> Result<Vec<Conflict>, Failure> {
    let state = &moment.state;
    if state.ledger.is_empty() {
        return Ok(Vec::new());
    }
    let events = moment.run.events_since(VersionVector::new()).await?;
    let events: BTreeMap<Dot, _> = events.into_iter().map(|event| (event.dot, event)).collect();
    let conflict = |entry: &std::sync::Arc<tress::LedgerEntry>| Conflict {
        rule: entry.rule,
        at: rfc3339(entry.at),
        agent: entry.agent.to_string(),
        event: events.get(&entry.loser).map(|event| event.id.to_string()),
        against: entry.winner.and_then(|dot| Some(events.get(&dot)?.author.name.to_string())),
        todo: entry.todo.map(|todo| state.short_id(todo)),
        external_id: entry.todo.and_then(|todo| state.todo(todo)?.external_id.clone()),
        detail: entry.detail.clone(),
        acknowledged: entry.told,
        loser: entry.loser,
        millis: entry.at,
        name: entry.todo.map_or_else(|| "-".to_owned(), |todo| state.name(todo)),
    };
    Ok(state.ledger.iter().rev().map(conflict).collect())
}
