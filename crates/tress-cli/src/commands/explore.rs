//! `explore`: one todo, done on several paths at once.

use std::path::Path;
use std::sync::Arc;

use clap::Args;
use serde::Serialize;
use tokio::sync::watch;
use tress::{State, TodoId};
use tress_run::execute::branch::own_branch;
use tress_run::execute::orchestrator::COORDINATOR;
use tress_run::{CommandDriver, Explored, Options, Tree};

use crate::context::Context;
use crate::failure::{Code, Failure};
use crate::interrupt::Interrupts;
use crate::words::count;

/// Let several agents do one todo, each on a path of its own, and keep the best
///
/// The run branches off once for each agent. What was verified with the fewest remarks, after the
/// fewest attempts in vain, comes back: into the run's branch, and with its history into the run. The
/// other paths stay, to be looked at (`tress runs`, `tress diff`). Ctrl-C stops cleanly (exit code 130), and so
/// does SIGTERM (143); a second one does not wait for that.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  tress explore parser --command 'my-agent {prompt}'
  tress explore parser --paths 3")]
pub(crate) struct Explore {
    /// The todo; it has to be ready
    id: String,
    /// How many paths
    #[arg(long, value_name = "N", default_value_t = 2, value_parser = clap::value_parser!(u32).range(2..=16))]
    paths: u32,
    /// The command line of an agent (default: the one that the run was started with)
    #[arg(long, value_name = "COMMAND", env = "TRESS_COMMAND")]
    command: Option<String>,
}

#[derive(Serialize)]
struct Row {
    path: String,
    completed: bool,
    merged: bool,
    checks: usize,
    remarks: usize,
    in_vain: usize,
    lines: usize,
    took_ms: u64,
    branch: String,
}

/// Does `explore`.
pub(crate) async fn run(context: &Context, args: &Explore) -> Result<(), Failure> {
    context.no_at()?;
    let store = context.shared_store()?;
    let run = context.open_run(&store, &context.global.run).await?;
    let state = run.state();
    let todo = crate::context::find(&state, &args.id)?.id;
    let known = Options::from_state(&state);
    let command =
        args.command.clone().or_else(|| known.as_ref().map(|known| known.command.clone()));
    let Some(command) = command else {
        return Err(Failure::usage("it is not said how to start an agent")
            .hint("say --command 'my-agent {prompt}', or set TRESS_COMMAND"));
    };
    let mut options =
        known.unwrap_or_else(|| Options::new(command.clone(), own_branch(run.name())));
    options.command.clone_from(&command);
    options.begin_path(&run).await?;
    let project = run.store_dir().parent().unwrap_or(Path::new(".")).to_owned();
    let tree = Tree::discover(&project).await?;
    let driver = Arc::new(CommandDriver { command });
    let terms = (todo, args.paths);
    let (stop, stopped) = watch::channel(false);
    let exploring = tress_run::explore((&store, &run), &tree, &options, driver, terms, stopped);
    let exploring = context.out.waiting("exploring", exploring);
    let mut exploring = std::pin::pin!(exploring);
    let (mut interrupts, mut asked) = (Interrupts::new(), false);
    let explored = loop {
        tokio::select! {
            explored = &mut exploring => break explored?,
            () = interrupts.next() => {
                if asked {
                    return Err(at_once(&run.state(), todo));
                }
                asked = true;
                stop.send_replace(true);
                context.out.warn("stopping: agents are ended and their claims given back (Ctrl-C again: at once)");
            }
        }
    };
    let merged = explored.iter().position(|path| path.completed);
    let rows: Vec<Row> =
        explored.iter().enumerate().map(|(at, path)| row(path, Some(at) == merged)).collect();
    context.out.answer(&rows, || {
        let mut lines: Vec<String> = explored.iter().map(Explored::told).collect();
        lines.push(match merged.and_then(|at| explored.get(at)) {
            Some(best) => {
                format!("{} came back into {} and {}", best.path, run.name(), options.branch)
            }
            None => format!("none of {} completed it", count(explored.len(), "path")),
        });
        lines.join("\n")
    })?;
    match merged {
        Some(_) => Ok(()),
        None if asked => Err(Failure::silent(Code::Interrupted)),
        None => Err(Failure::silent(Code::Conflict)),
    }
}

/// What is left open by an exploration that did not wait for its agents.
fn at_once(state: &State, todo: TodoId) -> Failure {
    let name = state.name(todo);
    Failure::new(Code::Interrupted, "stopped at once").hint(format!(
        "{name} is held until its lease ends; \
         `tress --agent {COORDINATOR} release {name}` gives it back; `tress runs` lists the paths"
    ))
}

fn row(path: &Explored, merged: bool) -> Row {
    Row {
        path: path.path.clone(),
        completed: path.completed,
        merged,
        checks: path.checks,
        remarks: path.remarks,
        in_vain: path.in_vain,
        lines: path.lines,
        took_ms: path.took,
        branch: path.branch.clone(),
    }
}
