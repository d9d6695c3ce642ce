//! The command line as clap sees it: global options, and one variant a command.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::builder::{PossibleValuesParser, TypedValueParser};
use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::parser::ValueSource;
use clap::{ArgMatches, Args, CommandFactory, FromArgMatches, Parser, Subcommand};
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
  5 conflict (a claim lost, a precondition failed)   6 store busy or damaged   7 network
  130 interrupted, 143 by SIGTERM (start, resume, explore)";

/// Shared state for teams of coding agents: todos that two can never both hold, and the whole
/// history of who did what.
#[derive(Debug, Parser)]
#[command(
    name = "tress",
    version,
    arg_required_else_help = true,
    subcommand_required = true,
    max_term_width = 100,
    after_help = EXAMPLES
)]
struct Top {
    #[command(flatten)]
    global: Global,
}

/// A command line that was read.
#[derive(Debug)]
pub(crate) struct Cli {
    /// Options of every command.
    pub(crate) global: Global,
    /// Those of them that stood on the command line.
    pub(crate) given: Given,
    /// What is to be done.
    pub(crate) command: Command,
}

/// Options that mean more when they are said than when they are left at their defaults.
#[derive(Debug, Default)]
pub(crate) struct Given {
    /// `--run`
    pub(crate) run: Option<String>,
    /// `--role`
    pub(crate) role: Option<Role>,
}

impl Cli {
    /// Reads what the process was called with.
    pub(crate) fn read() -> Result<Self, clap::Error> {
        let args: Vec<OsString> = std::env::args_os().collect();
        let mut line = match meant(args.get(1..).unwrap_or_default()) {
            Some(command) => Top::command().subcommand(command),
            None => whole(),
        };
        let matches = line.try_get_matches_from_mut(args).map_err(|error| tip(error, &line))?;
        let Top { global } = Top::from_arg_matches(&matches)?;
        let given = Given::of(&global, &matches);
        Ok(Self { global, given, command: Command::from_arg_matches(&matches)? })
    }
}

impl Given {
    fn of(global: &Global, matches: &ArgMatches) -> Self {
        let said = |id| matches.value_source(id) == Some(ValueSource::CommandLine);
        Self {
            run: said("run").then(|| global.run.clone()),
            role: said("role").then_some(global.role),
        }
    }
}

/// The whole command line, for those who ask what there is.
pub(crate) fn whole() -> clap::Command {
    let commands = commands();
    let mut whole = Top::command().subcommands(commands.get_subcommands().cloned());
    // What is deferred belongs to the help.
    whole.build();
    whole
}

/// The one command that is meant, where that is plain. To build them all, only to drop all but one, was a
/// quarter of what a short command takes.
fn meant(args: &[OsString]) -> Option<clap::Command> {
    let top = Top::command();
    let mut args = args.iter();
    let name = loop {
        let arg = args.next()?.to_str()?;
        if !arg.starts_with('-') {
            break arg;
        }
        let (name, value) = match arg.strip_prefix("--")?.split_once('=') {
            Some((name, value)) => (name, Some(value)),
            None => (arg.strip_prefix("--")?, None),
        };
        let option = top.get_arguments().find(|option| option.get_long() == Some(name))?;
        // What looks like an option is none's value.
        if option.get_action().takes_values()
            && value.is_none()
            && args.next()?.as_encoded_bytes().starts_with(b"-")
        {
            return None;
        }
    };
    commands().find_subcommand_mut(name).map(std::mem::take)
}

/// A command line of which only the commands are of use.
fn commands() -> clap::Command {
    Command::augment_subcommands(clap::Command::new("tress"))
}

/// What people call what has another name here: what they write, and what does it.
const OTHER_NAMES: [(&[&str], &str); 11] = [
    (&["search", "find", "grep"], "tress list --text WORDS"),
    (&["rename", "retitle"], "tress edit ID --title TEXT"),
    (&["update", "set", "modify"], "tress edit ID"),
    (&["label", "tag"], "tress edit ID --label LABEL"),
    (&["assign"], "tress edit ID --assignee NAME"),
    (&["new", "create"], "tress add TITLE"),
    (&["rm", "remove"], "tress delete ID"),
    (&["view", "get", "info"], "tress show ID"),
    (&["comment"], "tress note ID TEXT"),
    (&["next", "take"], "tress claim --next"),
    (&["finish", "complete"], "tress done ID"),
];

/// The command that was meant, where only that one was built.
fn only(line: &clap::Command) -> Option<&clap::Command> {
    let mut commands = line.get_subcommands().filter(|command| command.get_name() != "help");
    commands.next().filter(|_| commands.next().is_none())
}

/// The same error, with a tip where what was meant is plain.
fn tip(mut error: clap::Error, line: &clap::Command) -> clap::Error {
    let said = |kind| match error.get(kind) {
        Some(ContextValue::String(said)) => Some(said.clone()),
        Some(ContextValue::Strings(said)) => said.first().cloned(),
        _ => None,
    };
    let tip = match error.kind() {
        ErrorKind::InvalidSubcommand => said(ContextKind::InvalidSubcommand).and_then(|said| {
            let (_, does) = OTHER_NAMES.iter().find(|(names, _)| names.contains(&said.as_str()))?;
            // What looks alike is not what was meant.
            error.remove(ContextKind::SuggestedSubcommand);
            Some(format!("`{does}` does that"))
        }),
        // `edit ID title TEXT`: an option without its dashes.
        ErrorKind::UnknownArgument => said(ContextKind::InvalidArg).and_then(|said| {
            let command = only(line)?;
            let mut options = command.get_arguments().filter_map(clap::Arg::get_long);
            options
                .find(|option| *option == said)
                .map(|option| format!("fields are options: --{option}"))
        }),
        ErrorKind::MissingRequiredArgument => {
            let claim = only(line).is_some_and(|command| command.get_name() == "claim");
            claim
                .then(|| "`tress claim --next` takes the most urgent todo that is ready".to_owned())
        }
        _ => None,
    };
    if let Some(tip) = tip {
        error.insert(ContextKind::Suggested, ContextValue::StyledStrs(vec![tip.into()]));
    }
    error
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
    /// Read the past: an event id, checkpoint, version, time, `11:04`, or `2h ago`
    #[arg(long, global = true, value_name = "WHEN")]
    pub(crate) at: Option<String>,
}

fn roles() -> impl TypedValueParser<Value = Role> {
    PossibleValuesParser::new(Role::ALL.map(Role::name)).try_map(|name| name.parse::<Role>())
}

/// What is to be done.
#[derive(Debug, Subcommand)]
#[command(defer = true)]
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
    Compact(commands::compact::Compact),
    Doctor(commands::doctor::Doctor),
    Stats(commands::stats::Stats),
    Completions(commands::completions::Completions),
}
