//! `checkpoint` and `checkpoints`: moments to come back to.

use clap::Args;
use serde::Serialize;
use tress::state::team;
use tress::{Millis, When};

use crate::context::Context;
use crate::failure::Failure;
use crate::output::{Cell, Tone};
use crate::time::{ago, parse_when, rfc3339};
use crate::words::{count, short};

/// Take a checkpoint: a moment to come back to
#[derive(Debug, Args)]
#[command(after_help = "\
Commands that read a run take it: tress list --at NAME. `tress replay --check` recomputes it.

Example:
  tress checkpoint before-refactor -m \"the parser is about to move\"")]
pub(crate) struct Checkpoint {
    /// Its name; of several with one name the latest is meant (default: checkpoint-N)
    name: Option<String>,
    /// Why
    #[arg(short, long, visible_alias = "reason", value_name = "TEXT", default_value = "")]
    #[arg(hide_default_value = true)]
    message: String,
}

/// List the checkpoints
#[derive(Debug, Args)]
pub(crate) struct Checkpoints {}

/// A checkpoint as scripts see it.
#[derive(Debug, Serialize)]
struct CheckpointView {
    name: String,
    at: String,
    agent: String,
    reason: String,
    events: u64,
    version: String,
    root: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    event: Option<String>,
    #[serde(skip)]
    millis: Millis,
}

impl From<&team::Checkpoint> for CheckpointView {
    fn from(checkpoint: &team::Checkpoint) -> Self {
        Self {
            name: checkpoint.name.clone(),
            at: rfc3339(checkpoint.at),
            agent: checkpoint.agent.to_string(),
            reason: checkpoint.reason.clone(),
            events: checkpoint.version.events(),
            version: checkpoint.version.to_string(),
            root: checkpoint.root.to_string(),
            event: None,
            millis: checkpoint.at,
        }
    }
}

/// Does `checkpoint`.
pub(crate) async fn take(context: &Context, args: &Checkpoint) -> Result<(), Failure> {
    let writer = context.writer().await?;
    let name = match args.name.as_deref().map(str::trim) {
        None => format!("checkpoint-{}", writer.state.team.checkpoints.len() + 1),
        Some("") => return Err(Failure::invalid("the name of the checkpoint is empty")),
        Some(name) => name.to_owned(),
    };
    if !matches!(parse_when(&name, writer.now), When::Name(_)) {
        return Err(Failure::invalid(format!("{name:?} means a time or a version"))
            .hint("give the checkpoint a name that means nothing else"));
    }
    let event = writer.agent.checkpoint(&name, &args.message).await?;
    let state = writer.agent.run().state();
    let taken = state.team.checkpoints.iter().find(|taken| taken.dot == event.dot);
    let taken = taken.ok_or_else(|| Failure::internal("the checkpoint was taken and is gone"))?;
    let mut view = CheckpointView::from(&**taken);
    view.event = Some(event.id.to_string());
    context.out.answer(&view, || {
        let name = short(&view.name, 60);
        let events = count(view.events, "event");
        format!("took the checkpoint {name} of {events}; tress list --at {name} goes back to it")
    })
}

/// Does `checkpoints`.
pub(crate) async fn list(context: &Context) -> Result<(), Failure> {
    let moment = context.moment().await?;
    let checkpoints = moment.state.team.checkpoints.iter();
    let views: Vec<CheckpointView> = checkpoints.map(|taken| (&**taken).into()).collect();
    context.out.answer(&views, || {
        if views.is_empty() {
            return "there are no checkpoints: `tress checkpoint NAME` takes one".to_owned();
        }
        let cells = views.iter().map(|view| {
            vec![
                view.name.as_str().into(),
                Cell::toned(ago(view.millis, moment.now), Tone::Dim),
                view.events.to_string().into(),
                view.agent.as_str().into(),
                Cell::toned(view.root.get(..10).unwrap_or_default(), Tone::Dim),
                view.reason.as_str().into(),
            ]
        });
        context.out.table(&["NAME", "TAKEN", "EVENTS", "AGENT", "ROOT", "WHY"], &[5], cells)
    })
}
