//! One module a command, or a tight family of them.

pub(crate) mod add;
pub(crate) mod alerts;
pub(crate) mod blockers;
pub(crate) mod checkpoints;
pub(crate) mod claim;
pub(crate) mod close;
pub(crate) mod compact;
pub(crate) mod completions;
pub(crate) mod conflicts;
pub(crate) mod decisions;
pub(crate) mod demo;
pub(crate) mod dep;
pub(crate) mod diff;
pub(crate) mod doctor;
pub(crate) mod documents;
mod evidence;
pub(crate) mod explore;
pub(crate) mod export;
pub(crate) mod fields;
pub(crate) mod finish;
pub(crate) mod fsck;
pub(crate) mod git_merge;
pub(crate) mod import;
pub(crate) mod init;
pub(crate) mod list;
pub(crate) mod live;
pub(crate) mod log;
pub(crate) mod members;
pub(crate) mod merge_file;
pub(crate) mod note;
pub(crate) mod optimize;
pub(crate) mod paths;
pub(crate) mod reconcile;
pub(crate) mod replay;
pub(crate) mod serve;
pub(crate) mod show;
pub(crate) mod start;
pub(crate) mod stats;
pub(crate) mod status;
pub(crate) mod sync;
pub(crate) mod token;
pub(crate) mod top;
pub(crate) mod undo;
pub(crate) mod why;
pub(crate) mod without;

use clap::error::ErrorKind;
use tracing_subscriber::EnvFilter;

use crate::args::{Cli, Command};
use crate::context::{Context, LastingState};
use crate::failure::Failure;
use crate::output::Output;

/// Reads the command line and does what it says.
pub(crate) fn main(out: &Output) -> Result<(), Failure> {
    let cli = match Cli::read() {
        Ok(cli) => cli,
        Err(error) if wants_help(&error) => return help(&error, out),
        Err(error) => return Err(Failure::from_clap(error, out)),
    };
    log_to_stderr();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime
        .map_err(|error| Failure::internal(format!("the runtime cannot be started: {error}")))?;
    let read = LastingState::default();
    let context = Context { global: cli.global, given: cli.given, out: out.clone(), read };
    runtime.block_on(run(&context, cli.command))
}

/// Whether help was asked for; `tress` alone does, too.
fn wants_help(error: &clap::Error) -> bool {
    let alone = std::env::args_os().len() <= 1;
    !error.use_stderr()
        || (alone && error.kind() == ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand)
}

fn help(error: &clap::Error, out: &Output) -> Result<(), Failure> {
    let text = error.render();
    if out.json() && error.kind() == ErrorKind::DisplayVersion {
        return out.data(&serde_json::json!({ "version": env!("CARGO_PKG_VERSION") }));
    }
    out.text(&if out.colours() { text.ansi().to_string() } else { text.to_string() })
}

fn log_to_stderr() {
    // What Automerge has to say of bytes from outside, we say ourselves.
    let filter = EnvFilter::try_from_env("TRESS_LOG");
    let filter = filter.unwrap_or_else(|_| EnvFilter::new("warn,automerge=off"));
    let subscriber = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(false)
        .with_target(false)
        .without_time();
    // Somebody who set one before us knows better.
    let _ = subscriber.try_init();
}

async fn run(context: &Context, command: Command) -> Result<(), Failure> {
    match command {
        Command::Demo(args) => demo::demo(context, &args).await,
        Command::Start(args) => start::start(context, &args).await,
        Command::Resume(args) => start::resume(context, &args).await,
        Command::Status(_) => status::run(context).await,
        Command::Alerts(args) => alerts::alerts(context, &args).await,
        Command::Spend(args) => alerts::spend(context, &args).await,
        Command::Explore(args) => explore::run(context, &args).await,
        Command::Optimize(args) => optimize::run(context, &args).await,
        Command::Top(args) => top::run(context, &args).await,
        Command::DemoAgent(_) => demo::demo_agent(),
        Command::Init(args) => init::init(context, &args).await,
        Command::Import(args) => import::run(context, &args).await,
        Command::Export(args) => export::run(context, &args).await,
        Command::Add(args) => add::add(context, args).await,
        Command::Edit(args) => add::edit(context, args).await,
        Command::List(args) => list::list(context, &args).await,
        Command::Show(args) => show::run(context, &args).await,
        Command::Ready(args) => list::ready(context, &args).await,
        Command::Blocked(args) => list::blocked(context, &args).await,
        Command::Claim(args) => claim::claim(context, &args).await,
        Command::Begin(args) => claim::begin(context, &args).await,
        Command::Release(args) => claim::release(context, &args).await,
        Command::Progress(args) => claim::progress(context, &args).await,
        Command::Block(args) => blockers::block(context, args).await,
        Command::Unblock(args) => blockers::unblock(context, args).await,
        Command::Done(args) => finish::done(context, args).await,
        Command::Verify(args) => finish::verify(context, args).await,
        Command::Close(args) => close::close(context, args).await,
        Command::Reopen(args) => close::reopen(context, args).await,
        Command::Delete(args) => close::delete(context, args).await,
        Command::Dep(args) => dep::run(context, &args).await,
        Command::Note(args) => note::run(context, &args).await,
        Command::Log(args) => log::run(context, &args).await,
        Command::Why(args) => why::run(context, &args).await,
        Command::Checkpoint(args) => checkpoints::take(context, &args).await,
        Command::Checkpoints(_) => checkpoints::list(context).await,
        Command::Replay(args) => replay::run(context, &args).await,
        Command::Fork(args) => paths::fork(context, &args).await,
        Command::Merge(args) => paths::merge(context, &args).await,
        Command::Undo(args) => undo::undo(context, &args).await,
        Command::Diff(args) => diff::run(context, &args).await,
        Command::Reconcile(args) => reconcile::run(context, &args).await,
        Command::Assess(args) => reconcile::assess(context, args).await,
        Command::Decisions(args) => decisions::run(context, &args).await,
        Command::Conflicts(args) => conflicts::run(context, &args).await,
        Command::MergeFile(args) => merge_file::run(context, &args),
        Command::Runs(_) => init::runs(context).await,
        Command::Fsck(args) => fsck::run(context, &args).await,
        Command::Serve(args) => serve::run(context, &args).await,
        Command::Sync(args) => sync::run(context, &args).await,
        Command::Token(args) => token::run(context, &args),
        Command::Members(args) => members::run(context, &args).await,
        Command::Compact(args) => compact::run(context, &args),
        Command::Doctor(_) => doctor::run(context).await,
        Command::Documents(_) => documents::run(context).await,
        Command::Stats(_) => stats::run(context).await,
        Command::Completions(args) => completions::run(context, &args),
    }
}
