//! `status`: how a run stands, on one page.

use std::collections::BTreeMap;
use std::sync::Arc;

use clap::Args;
use serde::Serialize;
use tress::operation::Severity;
use tress::state::team::Agent;
use tress::state::{Phase, Readiness};
use tress::{Millis, Role, State, Status, Todo};
use tress_run::execute::GAP;

use crate::context::Context;
use crate::failure::Failure;
use crate::output::{Cell, Output, Tone};
use crate::time::{ago, length, rfc3339};
use crate::words::circles::{self, CircleView};
use crate::words::{beside, count, short};

/// How many characters the bar has.
const BAR: usize = 24;

/// How the run stands: what is done, who is at what, what needs attention
#[derive(Debug, Args)]
#[command(
    name = "status",
    after_help = "\
Examples:
  tress status
  tress status --at \"10m ago\"
  tress status --json | jq .data.counts"
)]
pub(crate) struct StatusArgs {}

#[derive(Serialize)]
struct View {
    #[serde(flatten)]
    whole: Whole,
    /// Whether it is said to run, and the process that coordinated it here is gone.
    abandoned: bool,
    agents: Vec<AgentView>,
    alerts: Vec<AlertView>,
    /// Circles in which todos wait for each other.
    circles: Vec<CircleView>,
}

/// The run as a whole.
#[derive(Serialize)]
pub(super) struct Whole {
    pub(super) run: String,
    pub(super) title: String,
    pub(super) phase: Phase,
    started_at: Option<String>,
    ended_at: Option<String>,
    pub(super) elapsed_ms: Option<Millis>,
    branch: Option<String>,
    /// How the work is distributed, and why.
    plan: Option<String>,
    pub(super) todos: usize,
    pub(super) finished: usize,
    pub(super) percent: usize,
    /// Unfinished subtasks that verifiers made of what they missed: they are done with their todo, and not counted.
    subtasks: usize,
    /// Unfinished todos that are not worth keeping, and not counted either: other systems have such.
    ephemeral: usize,
    counts: BTreeMap<&'static str, usize>,
    ready: usize,
    /// When everything will be done at the pace of the run, in milliseconds from now.
    eta_ms: Option<Millis>,
    metrics: Metrics,
    /// The figures that the coordinator recorded last; docs/PLANNING.md defines them.
    figures: BTreeMap<String, f64>,
    /// What was used up, by unit.
    spent: BTreeMap<String, f64>,
    /// Settings that the adaptive strategy works by.
    strategy: BTreeMap<String, String>,
    deviations: Deviations,
    checkpoint: Option<String>,
    conflicts: u64,
    events: u64,
}

/// Where the implementation deviates from the design.
#[derive(Serialize)]
struct Deviations {
    found: usize,
    undecided: usize,
}

/// An agent, and what it is at.
#[derive(Serialize)]
pub(super) struct AgentView {
    pub(super) name: String,
    pub(super) role: Role,
    pub(super) active: bool,
    pub(super) todo: Option<String>,
    pub(super) title: Option<String>,
    pub(super) percent: Option<u8>,
    /// What comes next, as it said.
    next_milestone: Option<String>,
    /// How long the todo still takes, by its progress or its estimate.
    pub(super) eta_ms: Option<Millis>,
    pub(super) activity: String,
    completed: u64,
    refused: u64,
    last_seen: String,
    #[serde(skip)]
    last_seen_at: Millis,
}

#[derive(Serialize)]
struct AlertView {
    key: String,
    priority: Severity,
    message: String,
    acknowledged_by: Option<String>,
    since: String,
}

#[derive(Serialize)]
struct Metrics {
    claims_of_completion: usize,
    accepted: usize,
    refused: usize,
    failed_attempts: usize,
    integrations_failed: usize,
    rework_rate: f64,
}

/// Does `status`.
pub(crate) async fn run(context: &Context) -> Result<(), Failure> {
    let moment = context.moment().await?;
    let mut view = View::new(moment.run.name(), &moment.state, &moment.readiness, moment.now);
    let past = context.global.at.is_some();
    if !past && tress_run::is_abandoned(&moment.run, &moment.state) {
        // It may have ended just now.
        view.abandoned = moment.run.refresh().await?.team.phase == Phase::Running;
    }
    context.out.answer(&view, || page(context, &view, moment.now))
}

/// The page of a run as it is now.
pub(super) fn page_of(context: &Context, run: &tress::Run) -> String {
    let (state, now) = (run.state(), tress::now());
    let view = View::new(run.name(), &state, &state.readiness(now), now);
    page(context, &view, now)
}

impl View {
    fn new(run: &str, state: &State, readiness: &Readiness, now: Millis) -> Self {
        let (whole, agents) = of(run, state, readiness, now);
        Self {
            whole,
            abandoned: false,
            agents,
            alerts: alerts(state),
            circles: circles::standing(state),
        }
    }
}

fn alerts(state: &State) -> Vec<AlertView> {
    let open = state.team.open_alerts().into_iter();
    let view = |(key, alert): (&str, &tress::state::team::Alert)| AlertView {
        key: key.to_owned(),
        priority: alert.priority,
        message: alert.message.clone(),
        acknowledged_by: alert.acknowledged_by.as_deref().map(str::to_owned),
        since: rfc3339(alert.raised_at),
    };
    open.map(view).collect()
}

/// A run as a whole, and its agents, at `now`.
pub(super) fn of(
    run: &str,
    state: &State,
    readiness: &Readiness,
    now: Millis,
) -> (Whole, Vec<AgentView>) {
    let team = &state.team;
    let mut counts = BTreeMap::new();
    // Subtasks that verifiers made are done with their todo, and count with it.
    let counted = || state.todos.values().filter(|todo| !todo.ephemeral);
    for todo in counted() {
        let status = state.status(todo, readiness, now);
        *counts.entry(status.name()).or_insert(0) += 1;
    }
    let uncounted = || state.todos.unfinished().filter(|todo| todo.ephemeral);
    let of = |status: Status| counts.get(status.name()).copied().unwrap_or(0);
    let todos = counted().count() - of(Status::Deleted);
    let finished = of(Status::Completed) + of(Status::Closed);
    let ended = team.ended_at.unwrap_or(now);
    let elapsed_ms = team.started_at.map(|started| ended.saturating_sub(started));
    let settings = ["isolation", "verification", "parallel", "batch"];
    let setting = |name: &str| Some((name.to_owned(), team.settings.get(name)?.clone()));
    let deviations = &state.design.deviations;
    let whole = Whole {
        run: run.to_owned(),
        title: team.title.clone(),
        phase: team.phase,
        started_at: team.started_at.map(rfc3339),
        ended_at: team.ended_at.map(rfc3339),
        elapsed_ms,
        branch: team.branch.clone(),
        plan: team.plan.as_ref().map(|(_, _, summary)| summary.clone()),
        todos,
        finished,
        percent: (finished * 100).checked_div(todos).unwrap_or(0),
        subtasks: uncounted().filter(|todo| todo.kind == GAP).count(),
        ephemeral: uncounted().filter(|todo| todo.kind != GAP).count(),
        ready: readiness.ready.len(),
        eta_ms: eta(state, todos - finished, elapsed_ms),
        metrics: metrics(state),
        figures: team.metrics.iter().map(|(name, value)| (name.clone(), *value)).collect(),
        spent: team.budget.iter().map(|(unit, amount)| (unit.clone(), *amount)).collect(),
        strategy: settings.into_iter().filter_map(setting).collect(),
        deviations: Deviations {
            found: deviations.len(),
            undecided: deviations.iter().filter(|found| found.decided.is_none()).count(),
        },
        checkpoint: team.checkpoints.last().map(|checkpoint| checkpoint.name.clone()),
        conflicts: state.ledger.len() as u64 + state.ledger_cut,
        events: state.events(),
        counts,
    };
    (whole, agents(state, now))
}

/// How long `left` todos take at the pace of those that the run has completed.
fn eta(state: &State, left: usize, elapsed: Option<Millis>) -> Option<Millis> {
    let done = state.team.integrations.len() as u64;
    let running = state.team.phase == Phase::Running && left > 0 && done > 0;
    elapsed.filter(|_| running).map(|elapsed| elapsed.saturating_mul(left as u64) / done)
}

impl Whole {
    /// How many todos stand where.
    pub(super) fn counted(&self) -> String {
        let counts = Status::ALL.iter().filter_map(|status| {
            let number = self.counts.get(status.name()).filter(|_| *status != Status::Deleted)?;
            Some(format!("{number} {}", status.name().replace('_', " ")))
        });
        let counts: Vec<String> = counts.collect();
        if counts.is_empty() {
            return "there are no todos".to_owned();
        }
        let beside = beside(self.subtasks, self.ephemeral);
        format!("{}; {} ready{beside}", counts.join(", "), self.ready)
    }

    /// The figures, in lines.
    pub(super) fn figures(&self) -> Vec<String> {
        let share = |(name, words): (&str, &str)| {
            let value = self.figures.get(name)?;
            Some(format!("{words} {:.0} %", value * 100.0))
        };
        let shares = [
            ("parallel_efficiency", "parallel"),
            ("conflict_rate", "conflicts"),
            ("rework_rate", "rework"),
            ("idle_time", "idle"),
            ("quality", "quality"),
        ];
        let mut parts: Vec<String> = shares.into_iter().filter_map(share).collect();
        let velocity = self.figures.get("velocity").filter(|velocity| velocity.is_finite());
        parts.extend(velocity.map(|velocity| format!("{velocity:.1} todos an hour")));
        let spent = self.spent.iter().map(|(unit, amount)| match unit.as_str() {
            "usd" => format!("${amount:.2} spent"),
            unit => format!("{amount:.0} {unit} spent"),
        });
        let spent: Vec<String> = spent.collect();
        [parts.join(", "), spent.join(", ")].into_iter().filter(|line| !line.is_empty()).collect()
    }
}

fn agents(state: &State, now: Millis) -> Vec<AgentView> {
    let view = |(name, agent): (&Arc<str>, Agent)| {
        let mut left = state.todos.unfinished();
        let held = left.find(|todo| todo.holder(now).is_some_and(|claim| claim.agent == *name));
        let claim = held.and_then(|todo| todo.claim.as_deref());
        let progress = claim.and_then(|claim| claim.progress.as_ref());
        AgentView {
            name: name.to_string(),
            role: agent.role,
            active: agent.active,
            todo: held.map(|todo| state.name(todo.id)),
            title: held.map(|todo| todo.title.clone()),
            percent: held.map(|todo| todo.percent()),
            next_milestone: progress.and_then(|progress| progress.next_milestone.clone()),
            eta_ms: held.and_then(|todo| time_left(todo, now)),
            activity: agent.activity.clone(),
            completed: agent.completed,
            refused: agent.refused,
            last_seen: rfc3339(agent.last_seen),
            last_seen_at: agent.last_seen,
        }
    };
    let mut agents: Vec<_> = state.team.agents.iter().map(view).collect();
    agents.sort_by_key(|agent| (!agent.active, agent.todo.is_none(), agent.role));
    agents
}

/// How long a todo still takes: by how far it is, or by what it was estimated.
fn time_left(todo: &Todo, now: Millis) -> Option<Millis> {
    let claim = todo.claim.as_deref()?;
    let worked = now.saturating_sub(claim.started_at.unwrap_or(claim.at));
    let estimate = todo.estimate_minutes.map(|minutes| Millis::from(minutes) * 60_000);
    match u64::from(todo.percent()) {
        0 => estimate.map(|estimate| estimate.saturating_sub(worked)),
        percent => Some(worked.saturating_mul(100 - percent.min(100)) / percent),
    }
}

fn metrics(state: &State) -> Metrics {
    let completions = || state.todos.values().flat_map(|todo| &todo.completions);
    let verdicts = |pass: bool| {
        let verified = completions().filter_map(|c| c.verification.as_ref());
        verified.filter(|v| (v.verdict == tress::operation::Verdict::Pass) == pass).count()
    };
    let (accepted, refused) = (verdicts(true), verdicts(false));
    let failed_later = completions().filter(|c| {
        let passed = c.verification.as_ref();
        let passed = passed.is_some_and(|v| v.verdict == tress::operation::Verdict::Pass);
        passed && c.to_integrate && c.void.is_some()
    });
    let integrations_failed = failed_later.count();
    let all = completions().count();
    let again = refused + integrations_failed;
    Metrics {
        claims_of_completion: all,
        accepted,
        refused,
        failed_attempts: state.todos.values().map(|todo| todo.failures.len()).sum(),
        integrations_failed,
        rework_rate: if all == 0 { 0.0 } else { again as f64 / all as f64 },
    }
}

fn page(context: &Context, view: &View, now: Millis) -> String {
    let (out, whole) = (&context.out, &view.whole);
    let mut text = heading(out, whole);
    if view.abandoned {
        let line = "! nobody coordinates it here any more: `tress resume` goes on";
        text.push_str(&format!("{}\n", out.paint(Tone::Bad, line)));
    }
    if !view.agents.is_empty() {
        text.push('\n');
        text.push_str(&table(out, &view.agents, now));
        text.push('\n');
    }
    let metrics = &whole.metrics;
    text.push_str(&format!(
        "\n{} of completion: {} accepted, {} refused, {} not merged; {}; rework {:.0} %\n",
        count(metrics.claims_of_completion, "claim"),
        metrics.accepted,
        metrics.refused,
        metrics.integrations_failed,
        count(metrics.failed_attempts, "failed attempt"),
        metrics.rework_rate * 100.0,
    ));
    for line in whole.figures() {
        text.push_str(&format!("{line}\n"));
    }
    if !whole.strategy.is_empty() {
        let set = whole.strategy.iter().map(|(name, value)| format!("{name} {value}"));
        text.push_str(&format!("strategy: {}\n", set.collect::<Vec<_>>().join(", ")));
    }
    if whole.deviations.found > 0 {
        text.push_str(&format!(
            "{} from the design, {} undecided (tress decisions)\n",
            count(whole.deviations.found, "deviation"),
            whole.deviations.undecided
        ));
    }
    for alert in &view.alerts {
        let known =
            alert.acknowledged_by.as_ref().map(|who| format!(" ({} has it)", short(who, 30)));
        let line = format!("! {}{}", short(&alert.message, 200), known.unwrap_or_default());
        let tone = if alert.acknowledged_by.is_some() { Tone::Dim } else { Tone::Bad };
        text.push_str(&format!("{}\n", out.paint(tone, &line)));
    }
    // While a team is at it there is an alert of each.
    if !view.alerts.iter().any(|alert| alert.key.starts_with("circle:")) {
        for line in circles::told(&view.circles) {
            text.push_str(&format!("{}\n", out.paint(Tone::Bad, &format!("! {line}"))));
        }
    }
    let checkpoint = whole.checkpoint.as_deref().map(|name| format!("; last checkpoint {name}"));
    text.push_str(&format!(
        "{}; {} in the ledger{}\n",
        count(whole.events, "event"),
        whole.conflicts,
        checkpoint.unwrap_or_default(),
    ));
    text
}

/// The title, the bar, and how many todos stand where.
fn heading(out: &Output, whole: &Whole) -> String {
    let phase = match whole.phase {
        Phase::New => "not started",
        Phase::Running => "running",
        Phase::Paused => "paused",
        Phase::Finished => "finished",
    };
    let title = if whole.title.is_empty() { &whole.run } else { &whole.title };
    let running = whole.phase == Phase::Running;
    let took = whole.elapsed_ms.filter(|_| running).map(|ms| format!(" for {}", length(ms)));
    let left = whole.eta_ms.map(|eta| format!(", about {} to go", length(eta)));
    let full = BAR * whole.percent / 100;
    let bar = format!(
        "{}{}",
        out.paint(Tone::Good, &"━".repeat(full)),
        out.paint(Tone::Dim, &"─".repeat(BAR - full)),
    );
    format!(
        "{}  {phase}{}{}\n{bar}  {} of {} ({} %)\n{}\n",
        out.paint(Tone::Strong, &short(title, 60)),
        took.unwrap_or_default(),
        left.unwrap_or_default(),
        whole.finished,
        count(whole.todos, "todo"),
        whole.percent,
        whole.counted(),
    )
}

fn table(out: &Output, agents: &[AgentView], now: Millis) -> String {
    let rows = agents.iter().map(|agent| {
        let at = match (&agent.todo, &agent.title, agent.percent) {
            (Some(id), Some(title), Some(percent)) => format!("{id} {percent} % {title}"),
            _ if agent.active && agent.activity.is_empty() => "waiting".to_owned(),
            _ => agent.activity.clone(),
        };
        let tone = if agent.todo.is_some() { Tone::Busy } else { Tone::Dim };
        let eta = agent.eta_ms.map(length).unwrap_or_default();
        vec![
            Cell::from(&agent.name),
            Cell::toned(agent.role.name(), Tone::Dim),
            Cell::toned(at, tone),
            Cell::toned(eta, Tone::Dim),
            Cell::from(agent.completed.to_string()),
            Cell::from(agent.refused.to_string()),
            Cell::toned(ago(agent.last_seen_at, now), Tone::Dim),
        ]
    });
    out.table(&["AGENT", "ROLE", "AT", "LEFT", "DONE", "REFUSED", "SEEN"], &[2], rows)
}
