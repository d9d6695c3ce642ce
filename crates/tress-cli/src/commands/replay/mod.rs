//! `replay`: a run again from its first event, in the store or out of a file.

mod play;
mod source;
mod summary;

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Arc;

use clap::Args;
use tress::{Dot, Event, Operation, State, TodoId};

use self::play::Speed;
use self::source::Source;
use self::summary::Told;
use super::log::about;
use crate::context::{Context, find};
use crate::failure::Failure;
use crate::words::{count, short};

/// Replay a run from its first event, or a .tressrun file without any store
#[derive(Debug, Args)]
#[command(after_help = "\
Every event is folded again. --step tells each; on a terminal it waits for enter, a number and enter
goes on by so many, q ends. --speed tells them in their rhythm, at most 2 seconds apart; Ctrl-C ends
it with the summary of what was played. The filters restrict what is told, not what is folded.
With --check every checkpoint is recomputed; where one comes out differently, the exit code is 6.
With --json nothing waits.

Examples:
  tress replay --check
  tress export run monday.tressrun && tress replay monday.tressrun --check
  tress replay monday.tressrun --step | less
  tress replay monday.tressrun --speed 60              an hour in a minute
  tress replay --from one --until two --todo t-7f3a
  tress replay --conflicts                             only what a rule decided about
  tress replay --without agent:codex-2                 what would be, had it not been there
  tress replay --without event:3f9c2a71b0 --as clean   the same as a path, to go on from")]
pub(crate) struct Replay {
    /// A run file (default: the run of the store)
    file: Option<PathBuf>,
    /// Recompute every checkpoint
    #[arg(long)]
    check: bool,
    /// Tell every event, in order, and what it changed
    #[arg(long)]
    step: bool,
    /// Tell them as fast as life, or X times as fast; `max` does not wait
    #[arg(long, value_name = "X", value_parser = Speed::parse)]
    speed: Option<Speed>,
    /// Only up to then; the same as --at
    #[arg(long, value_name = "WHEN")]
    until: Option<String>,
    /// Tell only what came after that
    #[arg(long, visible_alias = "since", value_name = "WHEN")]
    from: Option<String>,
    #[command(flatten)]
    only: Only,
    /// The run as it would stand without these: agent:NAME, event:ID, todo:ID or after:WHEN; may
    /// be given several times
    #[arg(long, value_name = "WHAT")]
    #[arg(conflicts_with_all = ["file", "check", "step", "speed", "from", "todo", "operations"])]
    without: Vec<String>,
    /// Make a path of that
    #[arg(long = "as", value_name = "NAME", requires = "without")]
    name: Option<String>,
}

/// Which events are told; `--agent` is a global option.
#[derive(Debug, Args)]
struct Only {
    /// Tell only what is about this todo
    #[arg(long, value_name = "ID")]
    todo: Option<String>,
    /// Tell only operations of this name (claimed, todo_added …); may be repeated
    #[arg(long = "operation", value_name = "NAME", value_parser = operation)]
    operations: Vec<&'static str>,
    /// Tell only events against which, or by which, a rule decided
    #[arg(long)]
    conflicts: bool,
}

/// The operation that is called so.
fn operation(name: &str) -> Result<&'static str, String> {
    /// So many slips of the finger are forgiven, for the length of a name.
    const NEAR: usize = 3;
    let meant = name.trim().to_lowercase().replace(['-', ' '], "_");
    if let Some(found) = Operation::NAMES.into_iter().find(|name| *name == meant) {
        return Ok(found);
    }
    let slips = |name: &'static str| (strsim::osa_distance(name, &meant), name);
    let mut near: Vec<_> = Operation::NAMES.into_iter().map(slips).collect();
    let part = |name: &str| meant.len() >= 3 && name.contains(&meant);
    near.retain(|(slips, name)| *slips <= NEAR.min(meant.len() / 2) || part(name));
    near.sort_unstable();
    let near: Vec<&str> = near.into_iter().take(3).map(|(_, name)| name).collect();
    Err(match near.as_slice() {
        [] => {
            "no operation is called so; `tress log --json | jq -r '.data[].operation' | sort -u` \
               lists those of the run"
                .to_owned()
        }
        near => format!("no operation is called so; did you mean {}?", near.join(", ")),
    })
}

/// Which events are told.
struct Filter {
    agent: Option<String>,
    todo: Option<TodoId>,
    operations: Vec<&'static str>,
    conflicts: Option<BTreeSet<Dot>>,
    /// The filters in words.
    words: Vec<String>,
}

impl Filter {
    fn new(context: &Context, only: &Only, source: &Source) -> Result<Self, Failure> {
        let state = &source.state;
        let agent = context.global.agent.clone();
        let todo = only.todo.as_deref().map(|todo| find(state, todo)).transpose()?;
        let decided = |state: &State| {
            let entries = state.ledger.iter();
            entries.flat_map(|entry| [Some(entry.loser), entry.winner]).flatten().collect()
        };
        let mut words = Vec::new();
        words.extend(agent.as_ref().map(|agent| format!("agent {}", short(agent, 60))));
        words.extend(todo.map(|todo| format!("todo {}", short(&state.name(todo.id), 60))));
        words.extend(only.operations.iter().map(|name| format!("operation {name}")));
        words.extend(only.conflicts.then(|| "conflicts".to_owned()));
        Ok(Self {
            agent,
            todo: todo.map(|todo| todo.id),
            operations: only.operations.clone(),
            conflicts: only.conflicts.then(|| decided(state)),
            words,
        })
    }

    /// Whether `event` is told.
    fn wants(&self, event: &Event) -> bool {
        self.agent.as_deref().is_none_or(|agent| *event.author.name == *agent)
            && self.todo.is_none_or(|todo| about(event, todo))
            && (self.operations.is_empty() || self.operations.contains(&event.operation.name()))
            && self.conflicts.as_ref().is_none_or(|decided| decided.contains(&event.dot))
    }
}

/// Does `replay`.
pub(crate) async fn run(context: &Context, args: &Replay) -> Result<(), Failure> {
    let until = match (&args.until, &context.global.at) {
        (Some(_), Some(_)) => {
            return Err(Failure::usage("--until and --at mean the same").hint("leave one out"));
        }
        (until, at) => until.as_deref().or(at.as_deref()),
    };
    if !args.without.is_empty() {
        return super::without::replay(context, &args.without, until, args.name.as_deref()).await;
    }
    let span = source::Span { until, from: args.from.as_deref() };
    let source = match &args.file {
        Some(file) => source::from_file(file, &span, args.check)?,
        None => source::from_store(context, &span, args.check).await?,
    };
    let filter = Filter::new(context, &args.only, &source)?;
    let words = filter.words.as_slice();
    let tells = args.step || args.speed.is_some() || !words.is_empty() || span.from.is_some();
    if !tells {
        return Told::whole(&source, words).answer(context);
    }
    if context.out.json() {
        let mut told = Told::whole(&source, words);
        told.steps = Some(play::steps(&source, &filter));
        return told.answer(context);
    }
    let pace = play::Pace::new(args.step, args.speed);
    let played = play::play(context, &source, &filter, pace).await?;
    context.out.text("")?;
    Told::played(&source, words, &played).answer(context)
}

/// How many of the events were told.
fn told_of(told: usize, all: usize, words: &[String]) -> String {
    let only = if words.is_empty() { String::new() } else { format!(" ({})", words.join(", ")) };
    format!("{told} of {}{only}; all were folded", count(all, "event"))
}

/// Events in canonical order.
type Events = Vec<Arc<Event>>;
