//! `demo`: the whole thing, on a small sample project, in a fresh directory.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use clap::Args;
use tress::{DIR, Store};
use tress_run::execute::branch::own_branch;
use tress_run::{Options, Outcome, demo};

use super::start::{Texts, take_in, tell, work};
use crate::context::Context;
use crate::failure::Failure;

/// See it work: scripted agents do the todo list of a sample project, in a fresh directory
///
/// Real edits in real worktrees. One agent claims a stub as done and is caught, one crashes, two
/// want the same file, two change the same lines without having said so, and one breaks a rule of the
/// design, which the reconciler finds and has mended.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  tress demo
  tress demo ~/tress-demo && cd ~/tress-demo && tress why count")]
pub(crate) struct Demo {
    /// Where; must be empty or not there (default: a new temporary directory)
    directory: Option<PathBuf>,
}

/// The scripted agent of the demo; `tress demo` starts it.
#[derive(Debug, Args)]
pub(crate) struct DemoAgent {}

/// Does `demo`.
pub(crate) async fn demo(context: &Context, args: &Demo) -> Result<(), Failure> {
    context.no_at()?;
    if Command::new("cargo").arg("--version").output().is_err() {
        return Err(Failure::not_found("the sample project is in Rust, and cargo cannot be run")
            .hint("install a Rust toolchain, or try `tress start` on a project of yours"));
    }
    let dir = match &args.directory {
        Some(dir) => dir.clone(),
        None => fresh()?,
    };
    let filled = std::fs::read_dir(&dir).is_ok_and(|mut entries| entries.next().is_some());
    if filled {
        return Err(Failure::conflict(format!("{} is not empty", dir.display()))
            .hint("name a directory that is empty or not there"));
    }
    std::fs::create_dir_all(&dir).map_err(|error| Failure::file("create", &dir, &error))?;
    let dir = dir.canonicalize().map_err(|error| Failure::file("find", &dir, &error))?;
    if !context.out.json() {
        context.out.text(&format!("a sample project in {}", dir.display()))?;
    }
    let tree = demo::create(&dir).await?;
    let run = Store::create(dir.join(DIR))?.create_run(&context.global.run).await?;
    let named = |name: &str, text: &str| Some((name.to_owned(), text.to_owned()));
    let texts =
        Texts { design: named("DESIGN.md", demo::DESIGN), todo: named("TODO.md", demo::TODO) };
    take_in(context, &run, &texts).await?;
    let myself = std::env::current_exe()
        .map_err(|error| Failure::internal(format!("it is not known where tress is: {error}")))?;
    let command = format!("{} demo-agent", quoted(&myself));
    let mut options = Options::new(command, own_branch(run.name()));
    options.title = "Tally".to_owned();
    options.scale = Some(3);
    // What the reconciler asks for names no check of its own.
    options.check = Some("cargo test --quiet --test json".to_owned());
    options.retry_after = Duration::from_millis(200);
    let summary = work(context, run.clone(), tree.clone(), options).await?;
    if summary.outcome == Outcome::Done {
        tree.fast_forward(&summary.branch).await?;
    }
    if !context.out.json() {
        context.out.text(&format!("\n{}", super::status::page_of(context, &run)))?;
    }
    let next = format!(
        "see for yourself:\n  cd {}\n  git log --graph --oneline && cargo test\n  \
         tress status; tress why count; tress log; tress replay --check",
        dir.display()
    );
    tell(context, &run, &summary, &next)
}

fn quoted(path: &Path) -> String {
    format!("'{}'", path.display().to_string().replace('\'', r"'\''"))
}

/// A new directory among the temporary ones.
fn fresh() -> Result<PathBuf, Failure> {
    let base = std::env::temp_dir();
    let names = (1..10_000).map(|number| base.join(format!("tress-demo-{number}")));
    for dir in names {
        match std::fs::create_dir(&dir) {
            Ok(()) => return Ok(dir),
            Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {}
            Err(error) => return Err(Failure::file("create", &dir, &error)),
        }
    }
    Err(Failure::conflict("there are thousands of demos in the temporary directory already")
        .hint("name a directory: `tress demo DIR`"))
}

/// Does `demo-agent`: what the environment of an agent says.
pub(crate) fn demo_agent() -> Result<(), Failure> {
    let var = |name: &str| {
        let missing =
            || Failure::usage(format!("{name} is not set")).hint("`tress demo` starts this");
        std::env::var(name).map_err(|_| missing())
    };
    let (todo, dir) = (var("TRESS_TODO")?, PathBuf::from(var("TRESS_WORKTREE")?));
    let attempt = var("TRESS_ATTEMPT")?.parse().unwrap_or(1);
    let myself = std::env::current_exe();
    // Reports as any agent would: with the command line, in a process of its own.
    let report = |percent: u8, message: &str| {
        if let Ok(myself) = &myself {
            let percent = percent.to_string();
            let args = ["progress", todo.as_str(), percent.as_str(), "-m", message];
            let _ = Command::new(myself).args(args).output();
        }
    };
    let done = demo::act((&todo, &var("TRESS_TITLE")?), attempt, &dir, report);
    println!("{}", done.map_err(|error| Failure::invalid(error.to_string()))?);
    Ok(())
}
