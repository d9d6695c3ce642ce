//! `start`, `resume`: a team of agents does the todo list.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use clap::Args;
use serde::Serialize;
use tokio::sync::watch;
use tress::formats::{Import, Planned, Problem, markdown};
use tress::state::Phase;
use tress::{DIR, Millis, Role, Run, State, Store};
use tress_run::execute::branch::own_branch;
use tress_run::verify::Lint;
use tress_run::{CommandDriver, Options, Orchestrator, Outcome, RunError, Summary, Tree};

use super::import::draft;
use super::live::Live;
use super::optimize::learned;
use crate::context::Context;
use crate::failure::{Code, Failure};
use crate::interrupt::Interrupts;
use crate::time::{length, parse_duration};
use crate::words::circles::{self, CircleView};
use crate::words::{count, short};

/// Let a team of agents do a todo list, in parallel, each in a git worktree of its own
///
/// Every todo is claimed through the log, done by the agent command in a fresh worktree, verified
/// by another agent in a clean one (a real change, the files that the todo names, its check), and
/// only then merged into the run's branch. Ctrl-C stops cleanly (exit code 130), and
/// so does SIGTERM (143); `tress resume` goes on.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  tress start --todo TODO.md --command 'codex exec \"$(cat {prompt})\"'
  tress start --design DESIGN.md --todo TODO.md --command ./agent.sh --scale 4
  tress start --todo TODO.md --plan           who would do what; changes nothing

The agent command runs in its worktree by `sh -c`; an exit code of 0 says that the work is done. It
may name {id} {title} {agent} {worktree} {prompt} {task}: {prompt} is a file with the whole task in
Markdown, {task} the same in JSON. The environment has TRESS_TODO, TRESS_PROMPT, TRESS_TASK,
TRESS_AGENT, TRESS_FILES, TRESS_CHECK, TRESS_ATTEMPT and more, so `tress progress` and `tress block`
work inside it as that agent. What it starts ends with it: all that is in its process group or, on
Linux, has its TRESS_JOB. What is to stay is started without: `env -u TRESS_JOB setsid COMMAND`.")]
pub(crate) struct Start {
    /// The design, in Markdown
    #[arg(long, value_name = "FILE")]
    design: Option<PathBuf>,
    /// The todo list, in Markdown; without it, what the run has already
    #[arg(long, value_name = "FILE")]
    todo: Option<PathBuf>,
    /// The command line of an agent
    #[arg(long, value_name = "COMMAND", env = "TRESS_COMMAND")]
    command: Option<String>,
    /// How many implementers (default: by the number of todos)
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=256))]
    scale: Option<u32>,
    /// The command that must succeed for todos that name none
    #[arg(long, value_name = "COMMAND")]
    check: Option<String>,
    /// The command that runs the project's tests; failures that were there before do not count
    #[arg(long, value_name = "COMMAND")]
    tests: Option<String>,
    /// The linter, of which only new findings count (default: those that the project configures)
    #[arg(long, value_name = "COMMAND")]
    lint: Option<String>,
    /// Run no linter
    #[arg(long, conflicts_with = "lint")]
    no_lint: bool,
    /// Test the tests, too: old ones as they were, new ones without the change, and whether any
    /// misses a changed function whose body is gone
    #[arg(long)]
    thorough: bool,
    /// The command that is run on each alert; it finds TRESS_ALERT, TRESS_ALERT_MESSAGE and more
    #[arg(long, value_name = "COMMAND")]
    on_alert: Option<String>,
    /// What may be used up (tokens=N, usd=N, seconds=N; may be given several times)
    #[arg(long = "budget", value_name = "UNIT=AMOUNT", value_parser = budget)]
    budgets: Vec<(String, f64)>,
    /// What an implementer can do, in words (once for each of them, the last for all others)
    #[arg(long = "can", value_name = "WORDS")]
    can: Vec<String>,
    /// What decides between equals, instead of the order in which they were made
    #[arg(long, value_name = "N", default_value_t = 0, hide_default_value = true)]
    seed: u64,
    /// The branch that work is integrated into (default: tress/RUN)
    #[arg(long, value_name = "BRANCH")]
    branch: Option<String>,
    /// How long an agent may work on a todo
    #[arg(long, value_name = "TIME", default_value = "1h", value_parser = duration)]
    timeout: Duration,
    /// How long a check may take
    #[arg(long, value_name = "TIME", default_value = "10m", value_parser = duration)]
    check_timeout: Duration,
    /// How often a todo is tried before somebody has to look at it
    #[arg(long, value_name = "N", default_value_t = 6)]
    attempts: usize,
    /// Go on though the branch lacks work that was integrated; an alert says so
    #[arg(long)]
    as_it_is: bool,
    /// Only say who would do what
    #[arg(long)]
    plan: bool,
}

/// Go on with a run that was stopped or killed, where its log says
#[derive(Debug, Args)]
#[command(after_help = "\
With --from the run goes on from a moment of its past, as a path of its own: with the todos as they
stood then, on a new branch that begins with the work that was integrated by then. The run itself
stays as it is; `tress merge NAME` brings the path back. A path that `tress fork` made has a branch of
its own, too, from the first time that a team is at it.

Examples:
  tress resume --scale 2
  tress resume --budget usd=20             a budget was used up: more of it
  tress resume --from before-refactor --as second-try")]
pub(crate) struct Resume {
    /// The moment to go on from: a checkpoint, event, version or time (default: now)
    #[arg(long, value_name = "WHEN", requires = "path")]
    from: Option<String>,
    /// With --from: the name of the path
    #[arg(long = "as", value_name = "NAME", requires = "from", id = "path")]
    path: Option<String>,
    /// How many implementers from now on
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=256))]
    scale: Option<u32>,
    /// Another command line for the agents
    #[arg(long, value_name = "COMMAND")]
    command: Option<String>,
    /// What may be used up in all, from now on (tokens=N, usd=N, seconds=N; may be given several times)
    #[arg(long = "budget", value_name = "UNIT=AMOUNT", value_parser = budget)]
    budgets: Vec<(String, f64)>,
    /// Go on though the branch lacks work that was integrated; an alert says so
    #[arg(long)]
    as_it_is: bool,
}

fn budget(text: &str) -> Result<(String, f64), String> {
    let budget = tress_run::execute::options::budget(text);
    let budget = budget.filter(|(unit, _)| ["tokens", "usd", "seconds"].contains(&unit.as_str()));
    budget.ok_or_else(|| "write it like tokens=2000000, usd=5 or seconds=3600".to_owned())
}

fn duration(text: &str) -> Result<Duration, String> {
    parse_duration(text).map(Duration::from_millis)
}

/// Does `start`.
pub(crate) async fn start(context: &Context, args: &Start) -> Result<(), Failure> {
    context.no_at()?;
    let texts = Texts::read(args)?;
    if args.plan {
        return plan(context, args, &texts).await;
    }
    let Some(command) = args.command.clone() else {
        return Err(Failure::usage("it is not said how to start an agent")
            .hint("say --command 'my-agent {prompt}', or set TRESS_COMMAND; --plan needs none"));
    };
    let tree = Tree::discover(&context.project()?).await?;
    let dir = context.store_dir().unwrap_or_else(|| tree.dir().join(DIR));
    own_project(&tree, &dir).await?;
    let changes = tree.changes(&dir).await?;
    if !changes.is_empty() {
        return Err(tress_run::GitError::Dirty(changes).into());
    }
    // What cannot be read is refused before anything is written.
    texts.operations(&State::default())?;
    let store = Store::create(dir)?;
    let run = store.create_run(&context.global.run).await?;
    let learned = learned(&store).await?;
    take_in(context, &run, &texts).await?;
    if nothing_left(&run.state()) {
        return Err(Failure::invalid("there is nothing to do")
            .hint("name a todo list with --todo FILE, or `tress add` something"));
    }
    let mut options = Options::new(command, own_branch(run.name()));
    options.begin_path(&run).await?;
    if let Some(branch) = &args.branch {
        options.branch.clone_from(branch);
    }
    // The project may have that work already, and more.
    if let Some(work) = &options.from
        && tree.is_in(work, "HEAD").await
    {
        options.from = None;
    }
    options.title = texts.title(&run);
    options.scale = args.scale;
    options.check.clone_from(&args.check);
    options.agent_timeout = args.timeout;
    options.check_timeout = args.check_timeout;
    options.attempts = args.attempts.max(1);
    options.tests.clone_from(&args.tests);
    options.lint = match (&args.lint, args.no_lint) {
        (Some(command), _) => Lint::Command(command.clone()),
        (None, true) => Lint::Off,
        (None, false) => Lint::Configured,
    };
    options.thorough = args.thorough;
    options.on_alert.clone_from(&args.on_alert);
    options.budgets.clone_from(&args.budgets);
    let words =
        |can: &String| can.split([',', ' ']).filter(|w| !w.is_empty()).map(str::to_owned).collect();
    options.can = args.can.iter().map(words).collect();
    options.seed = args.seed;
    options.as_it_is = args.as_it_is;
    if let Some(proposal) = learned {
        options.checkpoint_every = proposal.checkpoint_every.try_into().unwrap_or(5);
        options.learned = proposal.settings();
    }
    let summary = work(context, run.clone(), tree, options).await?;
    tell(context, &run, &summary, &next(&summary))
}

/// Refuses a repository within the project that the store found above is of: `resume` would go on in another one.
async fn own_project(tree: &Tree, store: &Path) -> Result<(), Failure> {
    let project = store.parent().unwrap_or(Path::new("."));
    if let Ok(own) = Tree::discover(project).await
        && (own.dir() == tree.dir() || own.is_beside(tree).await)
    {
        return Ok(());
    }
    let (store, here) = (store.display(), tree.dir().display());
    Err(Failure::conflict(format!("the store {store} is not of the repository {here}")).hint(
        format!("start from {}, or make a store here: `tress init --nested`", project.display()),
    ))
}

fn nothing_left(state: &State) -> bool {
    // Subtasks that verifiers made are done with their todo.
    state.todos.unfinished().all(|todo| todo.ephemeral)
}

/// Does `resume`.
pub(crate) async fn resume(context: &Context, args: &Resume) -> Result<(), Failure> {
    context.no_at()?;
    let store = context.shared_store()?;
    let run = context.open_run(&store, &context.global.run).await?;
    let run = match args.from.as_deref().zip(args.path.as_deref()) {
        Some((from, name)) => {
            // Where there is nothing to go on with no path is left behind.
            let at = crate::time::parse_when(from, tress::now());
            let then = context.out.waiting("reading the history", run.state_at(at)).await?;
            resumable(&then, &format!("{} at {from}", run.name()))?;
            branch_off(context, &store, &run, from, name).await?
        }
        None => run,
    };
    let mut options = resumable(&run.state(), run.name())?;
    options.begin_path(&run).await?;
    if let Some(command) = &args.command {
        options.command.clone_from(command);
    }
    options.scale = args.scale.or(options.scale);
    options.budgets.retain(|(unit, _)| args.budgets.iter().all(|(other, _)| other != unit));
    options.budgets.extend(args.budgets.iter().cloned());
    options.as_it_is = args.as_it_is;
    let project = run.store_dir().parent().unwrap_or(Path::new(".")).to_owned();
    let tree = Tree::discover(&project).await?;
    let summary = work(context, run.clone(), tree, options).await?;
    tell(context, &run, &summary, &next(&summary))
}

/// What a run goes on with, where there is something to go on with.
fn resumable(state: &State, name: &str) -> Result<Options, Failure> {
    let options = Options::from_state(state);
    let options = options.ok_or_else(|| RunError::NotStarted(name.to_owned()))?;
    if state.team.phase == Phase::Finished && nothing_left(state) {
        return Err(Failure::invalid(format!("the run {name} is finished"))
            .hint("`tress add` something that is to be done, or go on from an earlier moment: --from WHEN --as NAME"));
    }
    Ok(options)
}

/// Makes a path of `run` as it was at a moment.
async fn branch_off(
    context: &Context,
    store: &Store,
    run: &Run,
    from: &str,
    name: &str,
) -> Result<Run, Failure> {
    let at = crate::time::parse_when(from, tress::now());
    let agent = run.agent(&context.agent_name()?, context.global.role);
    let reason = format!("goes on from {from}");
    let fork = tress::Fork { at: Some(at), reason, ..tress::Fork::default() };
    Ok(context.out.waiting("reading the history", agent.fork(store, name, fork)).await?)
}

/// Lets the team work, shows how it goes, and stops it on Ctrl-C.
pub(crate) async fn work(
    context: &Context,
    run: Run,
    tree: Tree,
    options: Options,
) -> Result<Summary, Failure> {
    let mut events = run.subscribe(run.state().version.clone()).await?;
    let driver = Arc::new(CommandDriver { command: options.command.clone() });
    let (stop, stopped) = watch::channel(false);
    let mut live = Live::new(&context.out, &run.state());
    let team = Orchestrator::prepare(run.clone(), tree, options, driver, stopped).await?;
    let mut team = std::pin::pin!(team.run());
    let (mut interrupts, mut asked) = (Interrupts::new(), false);
    let summary = loop {
        tokio::select! {
            summary = &mut team => break summary,
            event = events.next() => live.event(&run.state(), &*event?),
            () = interrupts.next() => {
                if asked {
                    live.end();
                    return Err(Failure::new(Code::Interrupted, "stopped at once")
                        .hint("`tress resume` settles what was left open and goes on"));
                }
                asked = true;
                stop.send_replace(true);
                live.line("stopping: agents are ended and their claims given back (Ctrl-C again: at once)");
            }
        }
    };
    while let Ok(Ok(event)) = tokio::time::timeout(Duration::ZERO, events.next()).await {
        live.event(&run.state(), &event);
    }
    live.end();
    Ok(summary?)
}

#[derive(Serialize)]
struct SummaryView<'a> {
    outcome: &'static str,
    completed: usize,
    left: usize,
    refused: usize,
    failed: usize,
    /// The unit of a budget that is used up, where that is why work is left.
    #[serde(skip_serializing_if = "Option::is_none")]
    used_up: Option<&'static str>,
    branch: &'a str,
    run: &'a str,
}

/// Says what came of it; for scripts a run that is stuck is a conflict, and one that was stopped ends as
/// whatever is interrupted does.
pub(crate) fn tell(
    context: &Context,
    run: &Run,
    summary: &Summary,
    next: &str,
) -> Result<(), Failure> {
    let view = SummaryView {
        outcome: summary.outcome.name(),
        completed: summary.completed,
        left: summary.left,
        refused: summary.refused,
        failed: summary.failed,
        used_up: summary.used_up,
        branch: &summary.branch,
        run: run.name(),
    };
    if context.out.json() {
        context.out.data(&view)?;
    } else {
        context.out.text(&format!("{}\n{next}", sentences(run, summary)))?;
    }
    match summary.outcome {
        Outcome::Done => Ok(()),
        Outcome::Stopped => Err(Failure::silent(Code::Interrupted)),
        Outcome::Stuck => Err(Failure::silent(Code::Conflict)),
    }
}

/// Where the work is, and what shows more.
fn next(summary: &Summary) -> String {
    format!(
        "the work is on the branch {}: `git merge {0}`\n\
         more: `tress status`, `tress log`, `tress why ID`, `tress replay --check`",
        summary.branch
    )
}

/// So many todos are named that somebody has to free.
const SHOWN: usize = 10;

/// How much of a budget there was, and what was asked for.
fn used(state: &State, unit: &str) -> String {
    let all = state.team.settings.get(&format!("budget_{unit}")).map_or("", String::as_str);
    match state.team.budget.get(unit) {
        Some(spent) => format!("{spent} of {all} {unit} are used up"),
        None => format!("{all} {unit} are used up"),
    }
}

fn sentences(run: &Run, summary: &Summary) -> String {
    let state = run.state();
    let team = &state.team;
    let mut first =
        format!("{}: {} completed", summary.outcome.name(), count(summary.completed, "todo"));
    for (number, what) in [
        (summary.left, "left"),
        (summary.refused, "refused by the verifier"),
        (summary.failed, "failed and tried again"),
    ] {
        if number > 0 || what == "left" {
            first.push_str(&format!(", {number} {what}"));
        }
    }
    let took = Millis::try_from(summary.took.as_millis()).unwrap_or(Millis::MAX);
    first.push_str(&format!(", in {}", length(took)));
    let mut lines = vec![first];
    match summary.outcome {
        Outcome::Done => {}
        Outcome::Stopped => lines.push("`tress resume` goes on".to_owned()),
        Outcome::Stuck => {
            for (_, alert) in team.open_alerts() {
                lines.push(format!("  {}", short(&alert.message, 200)));
            }
            lines.push(match summary.used_up {
                Some(unit) => {
                    format!("`tress resume --budget {unit}=MORE` goes on: {}", used(&state, unit))
                }
                None => "`tress blocked` says why; mend it, then `tress resume`".to_owned(),
            });
            let held =
                state.todos.unfinished().filter(|todo| todo.open_blockers().next().is_some());
            for todo in held.take(SHOWN) {
                let title = short(&todo.title, 60);
                let id = state.short_id(todo.id);
                lines.push(format!("  `tress unblock {id} -m HOW` once that is mended: {title}"));
            }
        }
    }
    lines.join("\n")
}

/// The files that were named, read.
pub(crate) struct Texts {
    pub(crate) design: Option<(String, String)>,
    pub(crate) todo: Option<(String, String)>,
}

impl Texts {
    fn read(args: &Start) -> Result<Self, Failure> {
        let read = |path: &Option<PathBuf>| match path {
            None => Ok(None),
            Some(path) => match std::fs::read_to_string(path) {
                Ok(text) => Ok(Some((path.display().to_string(), text))),
                Err(error) => Err(Failure::file("read", path, &error)),
            },
        };
        Ok(Self { design: read(&args.design)?, todo: read(&args.todo)? })
    }

    fn title(&self, run: &Run) -> String {
        let text = self.todo.as_ref().or(self.design.as_ref()).map(|(_, text)| text.as_str());
        let heading = text.and_then(|text| text.lines().find_map(|line| line.strip_prefix("# ")));
        heading.map_or_else(|| run.name().to_owned(), |heading| heading.trim().to_owned())
    }

    /// What brings `state` to what the files say.
    fn operations(&self, state: &State) -> Result<Vec<Planned>, Failure> {
        let mut planned = Vec::new();
        if let Some((name, text)) = &self.design {
            planned.extend(accepted(name, markdown::design_over(state, text))?);
        }
        if let Some((name, text)) = &self.todo {
            planned.extend(accepted(name, markdown::todos_at(state, text, tress::now(), ""))?);
        }
        Ok(planned)
    }
}

/// A plan to work by must be right: any problem that loses something is an error.
fn accepted(name: &str, import: Result<Import, Vec<Problem>>) -> Result<Vec<Planned>, Failure> {
    let (planned, problems) = match import {
        Ok(import) => (import.operations, import.report.problems),
        Err(problems) => (Vec::new(), problems),
    };
    let refused = planned.is_empty();
    let fatal: Vec<String> = problems
        .iter()
        .filter(|problem| refused || problem.kind.left_out())
        .map(|problem| format!("{name}:{}: {}", problem.line, problem.message))
        .collect();
    if let Some(first) = fatal.first() {
        let more = fatal.len() - 1;
        let message = if more == 0 { first.clone() } else { format!("{first} (and {more} more)") };
        return Err(
            Failure::invalid(message).hint("mend the file and start again; nothing was changed")
        );
    }
    Ok(planned)
}

/// Brings the run to what the files say.
pub(crate) async fn take_in(context: &Context, run: &Run, texts: &Texts) -> Result<(), Failure> {
    let planned = texts.operations(&run.state())?;
    if planned.is_empty() {
        return Ok(());
    }
    let agent = run.agent(&context.agent_name()?, context.global.role);
    let drafts = planned.into_iter().map(|planned| draft(agent.author(), planned));
    run.append(drafts.collect()).await?;
    Ok(())
}

#[derive(Serialize)]
struct PlanView {
    summary: String,
    implementers: u32,
    coordinators: u32,
    assignments: Vec<AssignmentView>,
    unchecked: Vec<String>,
    /// Circles in which todos wait for each other.
    circles: Vec<CircleView>,
}

#[derive(Serialize)]
struct AssignmentView {
    agent: String,
    id: String,
    external_id: Option<String>,
    title: String,
}

/// Does `start --plan`: in memory, so that nothing is changed.
async fn plan(context: &Context, args: &Start, texts: &Texts) -> Result<(), Failure> {
    let mut log = tress::Log::new();
    if let Some(dir) = context.store_dir() {
        match Store::open(dir)?.run(&context.global.run).await {
            Ok(run) => log = tress::log_of(run.run_file().await?, None)?,
            Err(tress::Error::Store(tress::StoreError::NoRun { .. })) => {}
            Err(error) => return Err(error.into()),
        }
    }
    let planned = texts.operations(log.state())?;
    if !planned.is_empty() {
        let author = tress::Author::new("plan", Role::Coordinator);
        let drafts = planned.into_iter().map(|planned| draft(&author, planned));
        let (replica, store) = (tress::ReplicaId([0; 16]), tress::StoreId([0; 16]));
        let prepared = log.prepare(replica, store, drafts.collect(), tress::now());
        log.commit(prepared.map_err(tress::Error::from)?);
    }
    let state = log.state();
    let plan = tress_run::plan::plan(state, tress::now(), args.scale);
    // Subtasks that verifiers made are checked with their todo.
    let left = state.todos.unfinished().filter(|todo| !todo.ephemeral);
    let unchecked = left.filter(|todo| todo.check.is_none() && args.check.is_none());
    let view = PlanView {
        summary: plan.summary,
        implementers: plan.implementers,
        coordinators: plan.coordinators,
        unchecked: unchecked.map(|todo| state.name(todo.id)).collect(),
        circles: circles::standing(state),
        assignments: plan
            .assignments
            .into_iter()
            .map(|(agent, todo)| AssignmentView {
                agent,
                id: state.short_id(todo),
                external_id: state.todo(todo).and_then(|todo| todo.external_id.clone()),
                title: state.todo(todo).map(|todo| todo.title.clone()).unwrap_or_default(),
            })
            .collect(),
    };
    context.out.answer(&view, || {
        let mut text = format!(
            "{}\n{} and {} beside the verifier; to begin with:\n",
            view.summary,
            count(view.implementers, "implementer"),
            count(view.coordinators, "coordinator"),
        );
        for one in &view.assignments {
            let id = one.external_id.as_deref().unwrap_or(&one.id);
            text.push_str(&format!("  {:15} {id}  {}\n", one.agent, one.title));
        }
        if !view.unchecked.is_empty() {
            let names = view.unchecked.join(", ");
            text.push_str(&format!("no check is named for {names}: say --check COMMAND\n"));
        }
        for line in circles::told(&view.circles) {
            text.push_str(&format!("{line}\n"));
        }
        text
    })
}
