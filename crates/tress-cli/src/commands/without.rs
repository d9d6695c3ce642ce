//! `replay --without`: a run as it would stand without some of its events.

use std::sync::Arc;

use serde::Serialize;
use tress::{Event, Fate, Fork, Run, Selection, State, Without};

use super::log::{EventView, sentence};
use super::paths::{TOLD, branch};
use crate::context::{Context, find};
use crate::failure::Failure;
use crate::output::Tone;
use crate::time::parse_when;
use crate::words::{count, short};

/// What a selective replay left out.
#[derive(Debug, Serialize)]
pub(super) struct Replayed {
    /// How many events are left out.
    left_out: usize,
    /// How many lie after the moment at which the path ends.
    after: u64,
    /// Each event that has not the effect that it had.
    events: Vec<Fated>,
}

#[derive(Debug, Serialize)]
struct Fated {
    #[serde(flatten)]
    event: EventView,
    left_out: bool,
    reason: String,
}

/// What is to be left out, as it is written: `agent:NAME`, `event:ID`, `todo:ID`, `after:WHEN`.
async fn without(run: &Run, text: &str) -> Result<Without, Failure> {
    let wrong = || {
        Failure::usage(format!("{text:?} does not say what to leave out"))
            .hint("write agent:NAME, event:ID, todo:ID or after:WHEN")
    };
    let (kind, name) = text.split_once(':').ok_or_else(wrong)?;
    match kind.trim() {
        "agent" => {
            let state = run.state();
            if !state.team.agents.contains_key(name) {
                let known = state.team.agents.keys().take(8).map(|name| short(name, 40));
                let known = known.collect::<Vec<_>>().join(", ");
                return Err(Failure::not_found(format!("no agent is called {name:?}"))
                    .hint(format!("there are {known}")));
            }
            Ok(Without::Agent(name.to_owned()))
        }
        "event" => Ok(Without::Event(run.event(name).await?.dot)),
        "todo" => Ok(Without::Todo(find(&run.state(), name)?.id)),
        "after" => Ok(Without::After(parse_when(name, tress::now()))),
        _ => Err(wrong()),
    }
}

/// Does `replay --without`: tells what a selective replay comes to, and makes a path of it where
/// it gets a name.
pub(super) async fn replay(
    context: &Context,
    texts: &[String],
    until: Option<&str>,
    name: Option<&str>,
) -> Result<(), Failure> {
    let run = context.open().await?;
    let mut chosen = Vec::new();
    for text in texts {
        chosen.push(without(&run, text).await?);
    }
    chosen.extend(until.map(|until| Without::After(parse_when(until, tress::now()))));
    let selecting = run.select(chosen.clone());
    let selection = context.out.waiting("replaying the run", selecting).await?;
    let replayed = replayed(&selection, &run.state());
    let told = tell(context, &selection, &run.state());
    match name {
        Some(name) => {
            let reason = format!("without {}", texts.join(", "));
            let terms = Fork { at: None, without: chosen, reason };
            drop(run);
            branch(context, name, terms, Some((replayed, told))).await
        }
        None => context.out.answer(&replayed, || {
            format!("{told}\nnothing was made; `--as NAME` makes a path of it")
        }),
    }
}

fn replayed(selection: &Selection, state: &State) -> Replayed {
    let now = tress::now();
    let fated = |(event, fate): &(Arc<Event>, Fate)| Fated {
        event: EventView::new(event, state, now),
        left_out: fate.left_out(),
        reason: reason(fate, selection),
    };
    Replayed {
        left_out: selection.fates.iter().filter(|(_, fate)| fate.left_out()).count(),
        after: selection.after,
        events: selection.fates.iter().map(fated).collect(),
    }
}

fn reason(fate: &Fate, selection: &Selection) -> String {
    match fate {
        Fate::Chosen => "chosen".to_owned(),
        Fate::RestsOn(dot) => {
            let on = selection.fates.iter().find(|(event, _)| event.dot == *dot);
            let on =
                on.map(|(event, _)| format!("{} {}", event.operation.name(), event.id.short()));
            format!("rests on {}, which is left out", on.unwrap_or_else(|| dot.to_string()))
        }
        Fate::Gone(what) => format!("{what} is not there"),
        Fate::NoEffect { rule, detail } => format!("no effect: {detail} (rule {rule})"),
    }
}

/// The events whose effect changes, in groups.
fn tell(context: &Context, selection: &Selection, state: &State) -> String {
    let now = tress::now();
    let mut lines = Vec::new();
    for group in ["left out", "left out with it", "kept, and without effect"] {
        let belongs = |fate: &Fate| match fate {
            Fate::Chosen => group == "left out",
            fate => {
                group
                    == if fate.left_out() { "left out with it" } else { "kept, and without effect" }
            }
        };
        let fates: Vec<_> = selection.fates.iter().filter(|(_, fate)| belongs(fate)).collect();
        if fates.is_empty() {
            continue;
        }
        let title = format!("{group}: {}", count(fates.len(), "event"));
        lines.push(context.out.paint(Tone::Strong, &title));
        for (event, fate) in fates.iter().take(TOLD) {
            let why = match fate {
                Fate::Chosen => String::new(),
                fate => format!(" ({})", reason(fate, selection)),
            };
            lines.push(format!("  {}{why}", sentence(state, event, now)));
        }
        if fates.len() > TOLD {
            lines.push(format!("  and {} more (--json lists all)", fates.len() - TOLD));
        }
    }
    if selection.after > 0 {
        lines.push(format!("left out: {} after that moment", count(selection.after, "event")));
    }
    if lines.is_empty() {
        lines.push("nothing is left out".to_owned());
    }
    lines.join("\n")
}
