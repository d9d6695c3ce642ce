//! `undo`: the effect of one event taken back.

use std::collections::BTreeSet;

use clap::Args;
use serde::Serialize;
use tress::{Refused, UndoError};

use super::log::{EventView, sentence};
use crate::context::Context;
use crate::failure::Failure;
use crate::time::clock;
use crate::words::short;

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
    let events = agent.undo(event.dot, &args.message).await.map_err(|refused| match refused {
        Refused::Error(error) => error.into(),
        Refused::Condition(error) => {
            let what = sentence(&writer.state, &event, writer.now);
            let failure = Failure::conflict(format!("{}: {error}", event.id.short()));
            match error {
                UndoError::Final { .. } | UndoError::OthersBuilt { .. } => failure.hint(format!(
                    "`tress replay --without event:{} --as NAME` makes a path without it",
                    event.id.short()
                )),
                _ => failure.hint(what),
            }
        }
    })?;
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
