//! `alerts` and `spend`: what needs attention, and what was used up.

use clap::{Args, Subcommand};
use serde::Serialize;
use tress::Operation;
use tress::operation::Severity;

use crate::context::Context;
use crate::failure::Failure;
use crate::output::{Cell, Tone};
use crate::time::{ago, rfc3339};
use crate::words::{count, short};

/// List what needs attention, most urgent first; acknowledge it, or say that it is over
#[derive(Debug, Args)]
#[command(after_help = "\
An alert that somebody looks after is not raised again until it got worse. Teams raise and clear
most alerts by themselves; `tress start --on-alert COMMAND` runs a command on each.

Examples:
  tress alerts
  tress alerts --all                          with those that are over
  tress alerts ack escalated:parser
  tress alerts clear escalated:parser")]
pub(crate) struct Alerts {
    /// With those that are over
    #[arg(long)]
    all: bool,
    #[command(subcommand)]
    action: Option<Action>,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Say that you look after an alert
    Ack {
        /// Its key
        key: String,
    },
    /// Say that an alert is over
    Clear {
        /// Its key
        key: String,
    },
}

/// Report what was used up: tokens, money, seconds
#[derive(Debug, Args)]
#[command(after_help = "\
What was used up is held against the budgets of `tress start --budget`.

Example:
  tress spend tokens=18200 usd=0.31 --todo t-7f3a")]
pub(crate) struct Spend {
    /// What, and how much
    #[arg(required = true, value_name = "UNIT=AMOUNT")]
    amounts: Vec<String>,
    /// On which todo
    #[arg(long, value_name = "ID", env = "TRESS_TODO", hide_env = true)]
    todo: Option<String>,
}

#[derive(Serialize)]
struct AlertRow {
    key: String,
    priority: Severity,
    message: String,
    todo: Option<String>,
    since: String,
    times: u32,
    acknowledged_by: Option<String>,
    cleared_at: Option<String>,
    #[serde(skip)]
    raised_at: tress::Millis,
}

/// Does `alerts`.
pub(crate) async fn alerts(context: &Context, args: &Alerts) -> Result<(), Failure> {
    match &args.action {
        None => list(context, args.all).await,
        Some(Action::Ack { key }) => {
            let alert = key.clone();
            change(context, key, Operation::AlertAcknowledged { alert }, "looks after").await
        }
        Some(Action::Clear { key }) => {
            let alert = key.clone();
            change(context, key, Operation::AlertCleared { alert }, "cleared").await
        }
    }
}

async fn list(context: &Context, all: bool) -> Result<(), Failure> {
    let moment = context.moment().await?;
    let alerts = moment.state.team.alerts.iter();
    let mut rows: Vec<AlertRow> = alerts
        .filter(|(_, alert)| all || alert.cleared_at.is_none())
        .map(|(key, alert)| AlertRow {
            key: key.clone(),
            priority: alert.priority,
            message: alert.message.clone(),
            todo: alert.todo.map(|todo| moment.state.name(todo)),
            since: rfc3339(alert.raised_at),
            times: alert.times,
            acknowledged_by: alert.acknowledged_by.as_deref().map(str::to_owned),
            cleared_at: alert.cleared_at.map(rfc3339),
            raised_at: alert.raised_at,
        })
        .collect();
    let urgency = |row: &AlertRow| {
        let known = row.acknowledged_by.is_some();
        (row.cleared_at.is_some(), known, std::cmp::Reverse(row.priority), row.raised_at)
    };
    rows.sort_by_key(urgency);
    context.out.answer(&rows, || {
        if rows.is_empty() {
            return "nothing needs attention".to_owned();
        }
        let cells = rows.iter().map(|row| {
            let tone =
                match (row.cleared_at.is_some() || row.acknowledged_by.is_some(), row.priority) {
                    (true, _) | (_, Severity::Low) => Tone::Dim,
                    (_, Severity::Medium) => Tone::Busy,
                    _ => Tone::Bad,
                };
            let who = match (&row.cleared_at, &row.acknowledged_by) {
                (Some(_), _) => "over".to_owned(),
                (None, Some(who)) => short(who, 20),
                (None, None) => "-".to_owned(),
            };
            vec![
                Cell::toned(row.priority.name(), tone),
                Cell::toned(ago(row.raised_at, moment.now), Tone::Dim),
                Cell::from(who),
                Cell::from(&row.key),
                Cell::from(&row.message),
            ]
        });
        context.out.table(&["PRIORITY", "SINCE", "WHO", "KEY", "WHAT"], &[4], cells)
    })
}

#[derive(Serialize)]
struct Changed {
    key: String,
    event: String,
}

async fn change(
    context: &Context,
    key: &str,
    operation: Operation,
    verb: &str,
) -> Result<(), Failure> {
    let writer = context.writer().await?;
    let held = writer.state.team.alerts.get(key).filter(|alert| alert.cleared_at.is_none());
    if held.is_none() {
        let open: Vec<&str> = writer.state.team.open_alerts().iter().map(|(key, _)| *key).collect();
        let failure = Failure::not_found(format!("no alert is open under {key:?}"));
        return Err(match open.as_slice() {
            [] => failure.hint("none is open; `tress alerts --all` lists those that are over"),
            open => failure.hint(short(&format!("there are {}", open.join(", ")), 200)),
        });
    }
    let event = writer.agent.one(operation).await?;
    let changed = Changed { key: key.to_owned(), event: event.id.to_string() };
    context.out.answer(&changed, || format!("{} {verb} {key}", writer.agent.name()))
}

/// So much of anything is spent at a time; sums of it stay exact, and far from infinite.
const AMOUNT_MAX: f64 = 1e12;

#[derive(Serialize)]
struct Spent {
    spent: std::collections::BTreeMap<String, f64>,
}

/// Does `spend`.
pub(crate) async fn spend(context: &Context, args: &Spend) -> Result<(), Failure> {
    let writer = context.writer().await?;
    let todo = args.todo.as_deref().filter(|todo| !todo.is_empty());
    let todo = todo.map(|todo| writer.find(todo)).transpose()?;
    let mut operations = Vec::new();
    for text in &args.amounts {
        let (unit, amount) = tress_run::execute::options::budget(text).ok_or_else(|| {
            Failure::invalid(format!("{text:?} is no amount")).hint("write it like tokens=1200")
        })?;
        if amount > AMOUNT_MAX {
            let message = format!("{text:?} is more than anybody spends at a time");
            let hint = format!("an amount is at most {AMOUNT_MAX}");
            return Err(Failure::invalid(message).hint(hint));
        }
        operations.push(Operation::BudgetSpent { todo, unit, amount });
    }
    let number = operations.len();
    writer.agent.append(operations).await?;
    let budget = &writer.agent.run().state().team.budget;
    let spent = Spent { spent: budget.iter().map(|(unit, sum)| (unit.clone(), *sum)).collect() };
    context.out.answer(&spent, || {
        let sums = spent.spent.iter().map(|(unit, sum)| format!("{unit} {sum}"));
        let sums = sums.collect::<Vec<_>>().join(", ");
        format!("noted {}; in all {sums}", count(number, "amount"))
    })
}
