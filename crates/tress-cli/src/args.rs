//! The command line as clap sees it: global options, and one variant a command.

use std::path::PathBuf;

use clap::builder::{PossibleValuesParser, TypedValueParser};
use clap::{Args, Parser, Subcommand};
use tress::Role;

use crate::commands;

const EXAMPLES: &str = "\
Examples:
  tress init                              make a store here
  tress add \"write the parser\" -p 1       add a todo
  tress claim --next                      take the most urgent ready todo
  tress done t-7f3a -m \"parser.rs\"        say that it is done; a verifier has to agree
  tress why t-7f3a                        what happened to it, and why it stands where it stands
  tress list --at \"2h ago\"                the todos of two hours ago

Environment:
  TRESS_DIR, TRESS_RUN                    defaults of --dir, --run
  TRESS_AGENT, TRESS_ROLE                 defaults of --agent, --role
  TRESS_TOKEN                             the token for a hub (tress sync)
  TRESS_LOG                               what is logged to stderr (default: warn)
  NO_COLOR                                no colours

Exit codes:
  0 ok   1 internal   2 usage   3 not found   4 invalid input
  5 conflict (a claim lost, a precondition failed)   6 store busy or damaged   7 network";

/// Shared state for teams of coding agents: todos that two can never both hold, and the whole
/// history of who did what.
#[derive(Debug, Parser)]
#[command(
    name = "tress",
    version,
    arg_required_else_help = true,
    subcommand_required = true,
    disable_help_subcommand = true,
    max_term_width = 100,
    after_help = EXAMPLES
)]
pub(crate) struct Cli {
    /// Options of every command.
    #[command(flatten)]
    pub(crate) global: Global,
    /// What is to be done.
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// Options of every command.
#[derive(Debug, Args)]
#[command(next_help_heading = "Global options")]
pub(crate) struct Global {
    /// The project directory, or the store itself (default: the nearest `.tress` above)
    #[arg(long, global = true, value_name = "DIR", env = "TRESS_DIR", hide_env = true)]
    pub(crate) dir: Option<PathBuf>,
    /// The run
    #[arg(long, global = true, value_name = "RUN", env = "TRESS_RUN", default_value = "main")]
    #[arg(hide_env = true)]
    pub(crate) run: String,
    /// In whose name (default: TRESS_AGENT, then git's user.name); `list` and `log` show only its
    #[arg(long, global = true, value_name = "NAME")]
    pub(crate) agent: Option<String>,
    /// In which role
    #[arg(long, global = true, value_name = "ROLE", env = "TRESS_ROLE", default_value = "human")]
    #[arg(hide_env = true, value_parser = roles())]
    pub(crate) role: Role,
    /// Answer in JSON
    #[arg(long, global = true)]
    pub(crate) json: bool,
    /// Read the past: an event id, checkpoint, version, time, or `2h ago`
    #[arg(long, global = true, value_name = "WHEN")]
    pub(crate) at: Option<String>,
}

fn roles() -> impl TypedValueParser<Value = Role> {
    PossibleValuesParser::new(Role::ALL.map(Role::name)).try_map(|name| name.parse::<Role>())
}

/// What is to be done.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    Demo(commands::demo::Demo),
    Start(commands::start::Start),
    Resume(commands::start::Resume),
    Status(commands::status::StatusArgs),
    Top(commands::top::Top),
    Alerts(commands::alerts::Alerts),
    Explore(commands::explore::Explore),
    Optimize(commands::optimize::Optimize),
    #[command(hide = true)]
    DemoAgent(commands::demo::DemoAgent),
    Init(commands::init::Init),
    /// Take in todos or a design from another format
    #[command(subcommand)]
    Import(commands::import::Import),
    /// Write the run in another format
    #[command(subcommand)]
    Export(commands::export::Export),
    Add(commands::add::Add),
    Edit(commands::add::Edit),
    List(commands::list::List),
    Show(commands::show::Show),
    Ready(commands::list::Ready),
    Blocked(commands::list::Blocked),
    Claim(commands::claim::Claim),
    Begin(commands::claim::Begin),
    Spend(commands::alerts::Spend),
    Release(commands::claim::Release),
    Progress(commands::claim::Progress),
    Block(commands::blockers::Block),
    Unblock(commands::blockers::Unblock),
    Done(commands::finish::Done),
    Verify(commands::finish::Verify),
    Close(commands::close::Close),
    Reopen(commands::close::Reopen),
    Delete(commands::close::Delete),
    /// Change what a todo depends on
    #[command(subcommand)]
    Dep(commands::dep::Dep),
    Note(commands::note::Note),
    Log(commands::log::Log),
    Why(commands::why::Why),
    Checkpoint(commands::checkpoints::Checkpoint),
    Checkpoints(commands::checkpoints::Checkpoints),
    Replay(commands::replay::Replay),
    Fork(commands::paths::Fork),
    Merge(commands::paths::Merge),
    Undo(commands::undo::Undo),
    Diff(commands::diff::Diff),
    Reconcile(commands::reconcile::Reconcile),
    Assess(commands::reconcile::Assess),
    Decisions(commands::decisions::Decisions),
    Conflicts(commands::conflicts::Conflicts),
    MergeFile(commands::merge_file::MergeFile),
    Runs(commands::init::Runs),
    Serve(commands::serve::Serve),
    Sync(commands::sync::Sync),
    /// Say who may use the hub of this store
    #[command(subcommand)]
    Token(commands::token::Token),
    /// Say whose events are taken where others carry them: members sign what they write
    #[command(subcommand)]
    Members(commands::members::Members),
    Documents(commands::documents::Documents),
    Fsck(commands::fsck::Fsck),
    Doctor(commands::doctor::Doctor),
    Stats(commands::stats::Stats),
    Completions(commands::completions::Completions),
}
