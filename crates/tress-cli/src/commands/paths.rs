//! `fork` and `merge`: a run branches off, and comes back.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use clap::Args;
use serde::Serialize;
use tress::{Agent, Fork as Terms, LedgerEntry, Run, RunFile, State, Store, When};
use tress_run::execute::branch::{Lacking, is_new_path};
use tress_run::{GitError, Tree};

use super::without::Replayed;
use crate::context::{Context, name_title};
use crate::failure::Failure;
use crate::output::Tone;
use crate::time::parse_when;
use crate::words::circles::{self, CircleView};
use crate::words::{count, short};

/// How many things are told one by one; --json tells all.
pub(super) const TOLD: usize = 20;

/// Branch a run off, here or anywhere in its past; nothing is copied
#[derive(Debug, Args)]
#[command(after_help = "\
The path shares its past with the run and goes its own way from there. The run must stay as long as \
the path is used; once it is merged, the path can go.

Examples:
  tress fork try-nom                       from the run as it is now
  tress fork before --at before-refactor   from a checkpoint, event, version or time
  tress --run try-nom claim --next         work on the path
  tress merge try-nom                      bring it back")]
pub(crate) struct Fork {
    /// The name of the path
    name: String,
    /// What it is for
    #[arg(long, short = 'm', value_name = "TEXT", default_value = "", hide_default_value = true)]
    message: String,
}

/// Bring the events of a path, or of a run file, into the run
#[derive(Debug, Args)]
#[command(after_help = "\
Both histories are one then. Where they disagree the rules decide, and the ledger says how \
(`tress conflicts`). To merge twice changes nothing. A run that was started keeps its own branch and \
terms; the branch is taken forward to the path's work where that needs no merge, and else it is said \
what it lacks, and how that comes in.

Examples:
  tress merge try-nom --dry-run            what would come, and what would be decided
  tress merge try-nom
  tress merge monday.tressrun              from another machine: tress export run monday.tressrun")]
pub(crate) struct Merge {
    /// The path, or a run file
    #[arg(value_name = "NAME|FILE")]
    from: PathBuf,
    /// Change nothing
    #[arg(long)]
    dry_run: bool,
}

#[derive(Serialize)]
struct Forked {
    run: String,
    from: String,
    /// How many events it shares.
    events: u64,
    version: String,
    root: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    replayed: Option<Replayed>,
}

/// Does `fork`.
pub(crate) async fn fork(context: &Context, args: &Fork) -> Result<(), Failure> {
    let at = context.global.at.as_deref().map(|at| parse_when(at, tress::now()));
    let terms = Terms { at, without: Vec::new(), reason: args.message.clone() };
    branch(context, &args.name, terms, None).await
}

/// Makes a path, and tells of it.
pub(super) async fn branch(
    context: &Context,
    name: &str,
    terms: Terms,
    replayed: Option<(Replayed, String)>,
) -> Result<(), Failure> {
    let store = context.store()?;
    let run = context.open_run(&store, &context.global.run).await?;
    let agent = run.agent(&context.agent_name()?, context.global.role);
    let named = matches!(parse_when(name, tress::now()), When::Name(_));
    if !named || run.event(name).await.is_ok() {
        return Err(Failure::usage(format!(
            "{name} is a moment of the run, and cannot name a path"
        ))
        .hint("`tress diff A B` could not tell them apart; choose another name"));
    }
    let path = context.out.waiting("reading the history", agent.fork(&store, name, terms)).await?;
    let origin = path.origin().await?.ok_or_else(|| Failure::internal("the path has no origin"))?;
    let (replayed, told) = replayed.unzip();
    let made = Forked {
        run: name.to_owned(),
        from: origin.from.clone(),
        events: origin.version.events(),
        version: origin.version.to_string(),
        root: path.state().root().to_string(),
        replayed,
    };
    context.out.answer(&made, || {
        let shares = count(made.events, "event");
        let told = told.map(|told| format!("{told}\n")).unwrap_or_default();
        format!(
            "{told}made the path {name}, which shares {shares} with {from}\n\
             next: tress --run {name} list; tress diff {from} {name}; tress merge {name}",
            from = made.from
        )
    })
}

#[derive(Serialize)]
struct Merged {
    from: String,
    events: usize,
    agents: BTreeMap<String, usize>,
    decided: Vec<Decided>,
    /// Circles in which todos wait for each other, and did not before.
    circles: Vec<CircleView>,
    /// The event that records the merge.
    event: Option<String>,
    /// How the run's own branch stands, where it lacks work that came.
    #[serde(skip_serializing_if = "Option::is_none")]
    branch: Option<BranchView>,
    dry_run: bool,
    root: String,
}

/// Work that is in the branch of a path and was not in the run's own.
#[derive(Serialize)]
struct BranchView {
    branch: String,
    work: Vec<WorkView>,
    /// The commit that the branch was taken forward to; nothing where it was left as it is.
    moved_to: Option<String>,
    /// What brings the work in, where it was left out.
    remedy: Option<String>,
    #[serde(skip)]
    told: String,
}

#[derive(Serialize)]
struct WorkView {
    todo: String,
    commit: String,
}

impl BranchView {
    /// Looks at the run's own branch, and takes it forward where that is safe: it had all that was the run's before,
    /// and what came lies straight ahead of it.
    async fn of(
        run: &Run,
        before: &State,
        after: &State,
        (new, dry): (bool, bool),
    ) -> Result<Option<Self>, GitError> {
        // The branch of a path that nobody worked on is another run's.
        let Some(branch) = before.team.branch.as_ref().filter(|_| !new) else { return Ok(None) };
        let project = run.store_dir().parent().unwrap_or(Path::new(".")).to_owned();
        // A run may be looked at and merged where its project is not.
        let Ok(tree) = Tree::discover(&project).await else { return Ok(None) };
        let base = tree.commit("HEAD").await?;
        let Some(lacking) = Lacking::of(&tree, after, branch, &base).await? else {
            return Ok(None);
        };
        let moved = !dry && lacking.take_forward(run, &tree, before).await?;
        let head = lacking.heads.first().cloned().filter(|_| moved);
        Ok(Some(Self {
            branch: branch.clone(),
            moved_to: head,
            // Nothing came yet that the branch could lack.
            remedy: (!moved && !dry).then(|| lacking.remedy()),
            told: lacking.to_string(),
            work: lacking
                .work
                .into_iter()
                .map(|(todo, commit)| WorkView { todo, commit })
                .collect(),
        }))
    }

    fn line(&self) -> String {
        match (&self.moved_to, &self.remedy) {
            (Some(commit), _) => {
                let todos = count(self.work.len(), "todo");
                format!(
                    "took {} forward to {}, with the work on {todos}",
                    self.branch,
                    short(commit, 12)
                )
            }
            (None, Some(remedy)) => format!("{}\nnext: {remedy}", self.told),
            (None, None) => format!("then {}", self.told),
        }
    }
}

#[derive(Serialize)]
struct Decided {
    rule: tress::Rule,
    todo: Option<String>,
    agent: String,
    detail: String,
}

/// Does `merge`.
pub(crate) async fn merge(context: &Context, args: &Merge) -> Result<(), Failure> {
    let store = context.store()?;
    context.no_at()?;
    let run = context.open_run(&store, &context.global.run).await?;
    let agent = run.agent(&context.agent_name()?, context.global.role);
    let file = from(context, &store, &args.from).await?;
    let source = file.run.clone();
    if run.name() == source && !args.from.is_file() {
        return Err(Failure::usage(format!("{source} is the run itself"))
            .hint("name a path (`tress runs`), or a run file"));
    }
    let (before, new) = (run.refresh().await?, is_new_path(&run).await?);
    let merging = merged(&agent, file, args.dry_run);
    let merge = context.out.waiting("merging", merging).await?;
    let mut agents: BTreeMap<String, usize> = BTreeMap::new();
    for event in &merge.events {
        *agents.entry(event.author.name.to_string()).or_default() += 1;
    }
    let state = &merge.state;
    let decided = |entry: &Arc<LedgerEntry>| Decided {
        rule: entry.rule,
        todo: entry.todo.map(|todo| state.short_id(todo)),
        agent: entry.agent.to_string(),
        detail: entry.detail.clone(),
    };
    let branch = BranchView::of(&run, &before, state, (new, args.dry_run)).await;
    let branch = branch.unwrap_or_else(|error| {
        context.out.warn(&format!("the run's branch could not be looked at: {error}"));
        None
    });
    let answer = Merged {
        branch,
        from: source,
        events: merge.events.len(),
        agents,
        decided: merge.decided.iter().map(decided).collect(),
        circles: circles::closed(&before, state),
        event: merge.recorded.as_ref().map(|event| event.id.to_string()),
        dry_run: args.dry_run,
        root: state.root().to_string(),
    };
    context.out.answer(&answer, || say_merged(context, &answer, &merge))
}

async fn merged(agent: &Agent, file: RunFile, dry: bool) -> Result<tress::Merge, tress::Error> {
    if dry { agent.run().try_merge_file(file).await } else { agent.merge_file(file).await }
}

/// What is to be merged: a run of the store, or else a run file.
async fn from(context: &Context, store: &Store, path: &Path) -> Result<RunFile, Failure> {
    let runs = store.runs()?;
    if let Some(run) = runs.iter().find(|run| path.as_os_str() == run.as_str()) {
        let run = context.out.waiting("reading the path", store.run(run)).await?;
        return Ok(run.run_file().await?);
    }
    if path.is_file() {
        let bytes = std::fs::read(path).map_err(|error| Failure::file("read", path, &error))?;
        let file = tress::decode_run_file(path, &bytes);
        return file.map_err(|error| {
            let hint = "the store is as it was; export the run again from a store that is whole";
            Failure::from(error).hint(hint)
        });
    }
    let (runs, text) = (runs.join(", "), path.display());
    Err(Failure::not_found(format!("{text} is no path of this store and no file"))
        .hint(format!("there are the runs {runs}; `tress export run FILE` makes a run file")))
}

fn say_merged(context: &Context, answer: &Merged, merge: &tress::Merge) -> String {
    let from = &answer.from;
    if merge.events.is_empty() {
        let nothing = format!("there is nothing of {from} to merge");
        let branch = answer.branch.iter().map(BranchView::line);
        return std::iter::once(nothing).chain(branch).collect::<Vec<_>>().join("\n");
    }
    let agents: Vec<_> = answer.agents.keys().take(5).map(|name| short(name, 40)).collect();
    let more = if answer.agents.len() > agents.len() { " …" } else { "" };
    let verb = if answer.dry_run { "would merge" } else { "merged" };
    let mut lines = vec![format!(
        "{verb} {} of {from}, by {}{more}",
        count(answer.events, "event"),
        agents.join(", ")
    )];
    if merge.decided.is_empty() {
        lines.push("there was nothing to decide".to_owned());
    }
    for entry in merge.decided.iter().take(TOLD) {
        let todo = entry.todo.map(|todo| format!("{}: ", name_title(&merge.state, todo)));
        lines.push(format!(
            "  {} {}{} lost; {}",
            context.out.paint(Tone::Busy, entry.rule.name()),
            todo.unwrap_or_default(),
            short(&entry.agent, 40),
            short(&entry.detail, 160)
        ));
    }
    if merge.decided.len() > TOLD {
        lines.push(format!("  and {} more: tress conflicts", merge.decided.len() - TOLD));
    }
    let circles = circles::told(&answer.circles);
    lines.extend(circles.iter().map(|line| context.out.paint(Tone::Bad, &format!("! {line}"))));
    lines.extend(answer.branch.iter().map(BranchView::line));
    lines.join("\n")
}
