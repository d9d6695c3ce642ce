//! `log`: what happened, in order.

use std::sync::Arc;

use clap::Args;
use serde::Serialize;
use tress::{Event, Millis, Operation, Role, State, TodoId, VersionVector};

use crate::context::{Context, Moment};
use crate::failure::Failure;
use crate::output::{Cell, Tone};
use crate::time::{ago, clock, rfc3339};
use crate::words::{describe, short};

/// Show what happened, the latest first
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  tress log -n 20
  tress log --todo t-7f3a
  tress log --agent codex-1 --json | jq -r '.data[].operation'
  tress log --follow                       what is there, then what comes, in order")]
pub(crate) struct Log {
    /// Only what is about this todo
    #[arg(long, value_name = "ID")]
    todo: Option<String>,
    /// At most so many
    #[arg(long, short = 'n', value_name = "N")]
    limit: Option<usize>,
    /// Go on with what comes, the latest last (the last 10, unless --limit says otherwise)
    #[arg(long, short)]
    follow: bool,
}

/// An event as scripts see it.
#[derive(Debug, Serialize)]
pub(super) struct EventView {
    event: String,
    dot: String,
    /// When it happened.
    at: String,
    /// When it was appended; later for imported histories.
    appended_at: String,
    agent: String,
    role: Role,
    operation: &'static str,
    /// The todo's short id.
    todo: Option<String>,
    external_id: Option<String>,
    /// In words.
    what: String,
    details: serde_json::Value,
    /// Whether it has no effect here, since the run is a path without it.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    left_out: bool,
}

impl EventView {
    pub(super) fn new(event: &Event, state: &State, now: Millis) -> Self {
        let todo = event.operation.todo();
        Self {
            event: event.id.to_string(),
            dot: event.dot.to_string(),
            at: rfc3339(event.moment()),
            appended_at: rfc3339(event.time.millis),
            agent: event.author.name.to_string(),
            role: event.author.role,
            operation: event.operation.name(),
            todo: todo.map(|todo| state.short_id(todo)),
            external_id: todo.and_then(|todo| state.todo(todo)?.external_id.clone()),
            what: describe(&event.operation, state, now),
            details: details(&event.operation),
            left_out: false,
        }
    }
}

/// The fields of an operation.
fn details(operation: &Operation) -> serde_json::Value {
    match serde_json::to_value(operation) {
        Ok(serde_json::Value::Object(variant)) => {
            variant.into_iter().next().map(|(_, fields)| fields).unwrap_or_default()
        }
        _ => serde_json::Value::Null,
    }
}

/// Whether `event` is about `todo`: of it, or of what depends on it.
pub(super) fn about(event: &Event, todo: TodoId) -> bool {
    let on = match &event.operation {
        Operation::DependencyAdded { on, .. } | Operation::DependencyRemoved { on, .. } => {
            Some(*on)
        }
        _ => None,
    };
    event.operation.todo() == Some(todo) || on == Some(todo)
}

/// Every event that the moment's state knows, in canonical order.
pub(super) async fn events(context: &Context, moment: &Moment) -> Result<Vec<Arc<Event>>, Failure> {
    let all = moment.run.events_since(VersionVector::new());
    let mut events = context.out.waiting("reading the history", all).await?;
    events.retain(|event| moment.state.version.contains(event.dot));
    Ok(events)
}

/// Does `log`.
pub(crate) async fn run(context: &Context, args: &Log) -> Result<(), Failure> {
    let moment = context.moment().await?;
    let todo = args.todo.as_deref().map(|id| moment.find(id).map(|todo| todo.id)).transpose()?;
    let agent = context.global.agent.clone();
    let wanted = move |event: &Event| {
        todo.is_none_or(|todo| about(event, todo))
            && agent.as_deref().is_none_or(|agent| *event.author.name == *agent)
    };
    if args.follow {
        return follow(context, &moment, wanted, args.limit.unwrap_or(10)).await;
    }
    let mut events = events(context, &moment).await?;
    let all = events.len();
    events.retain(|event| wanted(event));
    let found = events.len();
    events.reverse();
    events.truncate(args.limit.unwrap_or(usize::MAX));
    let (state, left_out) = (&moment.state, moment.run.left_out().await?);
    if context.out.json() {
        let views = events.iter().map(|event| EventView {
            left_out: left_out.contains(&event.dot),
            ..EventView::new(event, state, moment.now)
        });
        return context.out.data(&views.collect::<Vec<_>>());
    }
    if events.is_empty() {
        return match (all, found) {
            (0, _) => context.out.text("nothing happened"),
            (_, 0) => context.out.text("nothing that happened is like that"),
            // None is what was asked for.
            _ => Ok(()),
        };
    }
    let cells = events.iter().map(|event| {
        let todo = event.operation.todo().map(|todo| state.name(todo));
        let what = describe(&event.operation, state, moment.now);
        let what = match left_out.contains(&event.dot) {
            true => Cell::toned(format!("(left out) {what}"), Tone::Dim),
            false => what.into(),
        };
        vec![
            Cell::toned(ago(event.moment(), moment.now), Tone::Dim),
            Cell::toned(event.id.short(), Tone::Dim),
            (&*event.author.name).into(),
            todo.unwrap_or_else(|| "-".to_owned()).into(),
            what,
        ]
    });
    let header = ["WHEN", "EVENT", "AGENT", "TODO", "WHAT"];
    context.out.text(&context.out.table(&header, &[4], cells))
}

async fn follow(
    context: &Context,
    moment: &Moment,
    wanted: impl Fn(&Event) -> bool,
    last: usize,
) -> Result<(), Failure> {
    context.no_at()?;
    let mut subscription = moment.run.subscribe(VersionVector::new()).await?;
    let mut before = Vec::new();
    while let Some(event) = subscription.try_next() {
        before.extend(Some(event).filter(|event| wanted(event)));
    }
    for event in before.iter().skip(before.len().saturating_sub(last)) {
        line(context, &moment.run.state(), event)?;
    }
    loop {
        let event = subscription.next().await?;
        if wanted(&event) {
            line(context, &moment.run.state(), &event)?;
        }
    }
}

/// One event as one line: an envelope of its own, or words.
fn line(context: &Context, state: &State, event: &Event) -> Result<(), Failure> {
    let now = tress::now();
    if context.out.json() {
        return context.out.data(&EventView::new(event, state, now));
    }
    context.out.text(&sentence(state, event, now))
}

/// An event in one sentence.
pub(super) fn sentence(state: &State, event: &Event, now: Millis) -> String {
    sentence_at(&clock(event.moment(), now), state, event, now)
}

/// The same, with the moment in other words.
pub(super) fn sentence_at(when: &str, state: &State, event: &Event, now: Millis) -> String {
    let todo = event.operation.todo().map(|todo| format!("{}: ", short(&state.name(todo), 60)));
    format!(
        "{when}  {}  {}{} {}",
        event.id.short(),
        todo.unwrap_or_default(),
        short(&event.author.name, 60),
        describe(&event.operation, state, now)
    )
}
