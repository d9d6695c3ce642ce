//! `status`: how a run stands, on one page.

use std::collections::BTreeMap;

use clap::Args;
use serde::Serialize;
use tress::state::Phase;
use tress::{Millis, Role, State, Status};

use crate::context::{Context, Moment};
use crate::failure::Failure;
use crate::output::{Cell, Tone};
use crate::time::{ago, length, rfc3339};
use crate::words::{count, short};

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
    run: String,
    title: String,
    phase: Phase,
    started_at: Option<String>,
    ended_at: Option<String>,
    elapsed_ms: Option<Millis>,
    branch: Option<String>,
    todos: usize,
    finished: usize,
    percent: usize,
    counts: BTreeMap<&'static str, usize>,
    ready: usize,
    agents: Vec<AgentView>,
    alerts: Vec<AlertView>,
    metrics: Metrics,
    checkpoint: Option<String>,
    conflicts: u64,
    events: u64,
}

#[derive(Serialize)]
struct AgentView {
    name: String,
    role: Role,
    active: bool,
    todo: Option<String>,
    title: Option<String>,
    percent: Option<u8>,
    activity: String,
    completed: u64,
    refused: u64,
    last_seen: String,
    #[serde(skip)]
    last_seen_at: Millis,
}

#[derive(Serialize)]
struct AlertView {
    key: String,
    priority: tress::operation::Severity,
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
    let view = view(&moment);
    context.out.answer(&view, || page(context, &view, moment.now))
}

fn view(moment: &Moment) -> View {
    let (state, now) = (&*moment.state, moment.now);
    let team = &state.team;
    let mut counts = BTreeMap::new();
    for todo in state.todos.values() {
        let status = state.status(todo, &moment.readiness, now);
        *counts.entry(status.name()).or_insert(0) += 1;
    }
    let of = |status: Status| counts.get(status.name()).copied().unwrap_or(0);
    let todos = state.todos.len() - of(Status::Deleted);
    let finished = of(Status::Completed) + of(Status::Closed);
    let ended = team.ended_at.unwrap_or(now);
    View {
        run: moment.run.name().to_owned(),
        title: team.title.clone(),
        phase: team.phase,
        started_at: team.started_at.map(rfc3339),
        ended_at: team.ended_at.map(rfc3339),
        elapsed_ms: team.started_at.map(|started| ended.saturating_sub(started)),
        branch: team.branch.clone(),
        todos,
        finished,
        percent: (finished * 100).checked_div(todos).unwrap_or(0),
        ready: moment.readiness.ready.len(),
        agents: agents(state, now),
        alerts: team
            .open_alerts()
            .into_iter()
            .map(|(key, alert)| AlertView {
                key: key.to_owned(),
                priority: alert.priority,
                message: alert.message.clone(),
                acknowledged_by: alert.acknowledged_by.as_deref().map(str::to_owned),
                since: rfc3339(alert.raised_at),
            })
            .collect(),
        metrics: metrics(state),
        checkpoint: team.checkpoints.last().map(|checkpoint| checkpoint.name.clone()),
        conflicts: state.ledger.len() as u64 + state.ledger_cut,
        events: state.events(),
        counts,
    }
}

fn agents(state: &State, now: Millis) -> Vec<AgentView> {
    let view = |(name, agent): (&std::sync::Arc<str>, &tress::state::team::Agent)| {
        let held = state.todos.values().find(|todo| {
            !todo.finished() && todo.holder(now).is_some_and(|claim| claim.agent == *name)
        });
        AgentView {
            name: name.to_string(),
            role: agent.role,
            active: agent.active,
            todo: held.map(|todo| state.name(todo.id)),
            title: held.map(|todo| todo.title.clone()),
            percent: held.map(|todo| todo.percent()),
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
    let out = &context.out;
    let phase = match view.phase {
        Phase::New => "not started",
        Phase::Running => "running",
        Phase::Paused => "paused",
        Phase::Finished => "finished",
    };
    let title = if view.title.is_empty() { &view.run } else { &view.title };
    let took = view.elapsed_ms.map(|elapsed| format!(" for {}", length(elapsed)));
    let took = if view.phase == Phase::Running { took } else { None };
    let full = BAR * view.percent / 100;
    let bar = format!(
        "{}{}",
        out.paint(Tone::Good, &"━".repeat(full)),
        out.paint(Tone::Dim, &"─".repeat(BAR - full)),
    );
    let mut text = format!(
        "{}  {phase}{}\n{bar}  {} of {} ({} %)\n",
        out.paint(Tone::Strong, &short(title, 60)),
        took.unwrap_or_default(),
        view.finished,
        count(view.todos, "todo"),
        view.percent,
    );
    let counts: Vec<String> = Status::ALL
        .iter()
        .filter_map(|status| {
            let number = view.counts.get(status.name()).filter(|_| *status != Status::Deleted)?;
            Some(format!("{number} {}", status.name().replace('_', " ")))
        })
        .collect();
    text.push_str(&format!("{}; {} ready\n", counts.join(", "), view.ready));
    if !view.agents.is_empty() {
        text.push('\n');
        text.push_str(&out.table(
            &["AGENT", "ROLE", "AT", "DONE", "REFUSED", "SEEN"],
            &[2],
            view.agents.iter().map(|agent| {
                let at = match (&agent.todo, &agent.title, agent.percent) {
                    (Some(id), Some(title), Some(percent)) => format!("{id} {percent} % {title}"),
                    _ if agent.active => "waiting".to_owned(),
                    _ => agent.activity.clone(),
                };
                let tone = if agent.todo.is_some() { Tone::Busy } else { Tone::Dim };
                vec![
                    Cell::from(&agent.name),
                    Cell::toned(agent.role.name(), Tone::Dim),
                    Cell::toned(at, tone),
                    Cell::from(agent.completed.to_string()),
                    Cell::from(agent.refused.to_string()),
                    Cell::toned(ago(agent.last_seen_at, now), Tone::Dim),
                ]
            }),
        ));
        text.push('\n');
    }
    let metrics = &view.metrics;
    text.push_str(&format!(
        "\n{} of completion: {} accepted, {} refused, {} not merged; {}; rework {:.0} %\n",
        count(metrics.claims_of_completion, "claim"),
        metrics.accepted,
        metrics.refused,
        metrics.integrations_failed,
        count(metrics.failed_attempts, "failed attempt"),
        metrics.rework_rate * 100.0,
    ));
    for alert in &view.alerts {
        let line = format!("! {}", short(&alert.message, 200));
        text.push_str(&format!("{}\n", out.paint(Tone::Bad, &line)));
    }
    let checkpoint = view.checkpoint.as_deref().map(|name| format!("; last checkpoint {name}"));
    text.push_str(&format!(
        "{}; {} in the ledger{}\n",
        count(view.events, "event"),
        view.conflicts,
        checkpoint.unwrap_or_default(),
    ));
    text
}
