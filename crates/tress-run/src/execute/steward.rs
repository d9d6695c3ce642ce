//! The steward: the coordinator's eye on the run. It measures what happens, changes the strategy
//! where figures cross their thresholds, raises and clears alerts, and sees to blockers. What it
//! decides is in the log, with its reasons.

use std::sync::{Arc, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::watch;
use tokio::task::JoinSet;
use tress::{Event, Operation, VersionVector, now};
use tress_plan::{Limits, Meter, Strategy, adapt, alerts};

use super::orchestrator::{RunError, Team};
use super::process::{self, Job};
use crate::reconcile;

/// How often a look is taken when nothing happens: silence has to be noticed, too.
const LOOK_AGAIN: Duration = Duration::from_secs(1);
/// How long the command that is told of an alert may take.
const HOOK_TIMEOUT: Duration = Duration::from_secs(30);
/// How many of those commands run at once; of further alerts nobody is told by command.
const HOOKS_MAX: usize = 8;
/// How long those that still run are waited for when everything else has ended.
const HOOKS_GRACE: Duration = Duration::from_secs(3);
/// How long the last of them has at least, from when it began.
const LAST_HOOK: Duration = Duration::from_secs(15);
/// What takes no longer is waited for without a word.
const QUIETLY: Duration = Duration::from_secs(1);

/// The commands that are being told of alerts.
#[derive(Debug)]
pub(crate) struct Hooks {
    running: JoinSet<()>,
    over: watch::Sender<bool>,
    /// When the last was begun.
    last: Option<Instant>,
}

impl Hooks {
    pub(super) fn new() -> Self {
        Self { running: JoinSet::new(), over: watch::Sender::new(false), last: None }
    }

    /// Waits a moment for those that still run, and ends what is slower: a run is over when its work is.
    pub(super) async fn end(mut self) {
        let all = async |running: &mut JoinSet<()>| while running.join_next().await.is_some() {};
        if tokio::time::timeout(QUIETLY, all(&mut self.running)).await.is_ok() {
            return;
        }
        let rest =
            self.last.map_or(Duration::ZERO, |last| LAST_HOOK.saturating_sub(last.elapsed()));
        let rest = rest.max(HOOKS_GRACE.saturating_sub(QUIETLY));
        let (left, seconds) = (self.running.len(), rest.as_secs());
        tracing::warn!(
            left,
            seconds,
            "the work has ended; commands that are told of alerts are waited for"
        );
        if tokio::time::timeout(rest, all(&mut self.running)).await.is_err() {
            let left = self.running.len();
            tracing::warn!(left, "commands that are told of alerts are too slow, and are ended");
            self.over.send_replace(true);
            all(&mut self.running).await;
        }
    }
}

/// Watches over the run until it is `all_over`.
pub(super) async fn watch_over(
    team: Arc<Team>,
    mut all_over: watch::Receiver<bool>,
) -> Result<(), RunError> {
    let known = team.run.state().version.clone();
    let mut events = team.run.subscribe(VersionVector::new()).await?;
    let mut meter = Meter::new();
    let mut hooks = Hooks::new();
    // What was there before is measured, and not reacted to one by one.
    let mut looked_at = false;
    while !*all_over.borrow() && !team.stopped() {
        let event = tokio::select! {
            event = events.next() => Some(event?),
            () = tokio::time::sleep(LOOK_AGAIN) => None,
            _ = all_over.changed() => None,
            () = team.stopping() => None,
        };
        let idle = event.is_none();
        let mut news = Vec::from_iter(event);
        while let Ok(event) = tokio::time::timeout(Duration::ZERO, events.next()).await {
            news.push(event?);
        }
        let mut integrated = false;
        for event in &news {
            meter.observe(event);
            if !known.contains(event.dot) {
                integrated |= matches!(event.operation, Operation::Integrated { .. });
                tell(&team, event, &mut hooks);
            }
        }
        // When all have left there is nothing left to steer.
        if *all_over.borrow() || team.stopped() {
            break;
        }
        if idle || !looked_at || news.iter().any(|event| matters(&event.operation)) {
            looked_at = true;
            steer(&team, &meter, integrated).await?;
        }
        while hooks.running.try_join_next().is_some() {}
    }
    // The last alerts are told, too.
    while let Ok(event) = tokio::time::timeout(Duration::ZERO, events.next()).await {
        let event = event?;
        meter.observe(&event);
        if !known.contains(event.dot) {
            tell(&team, &event, &mut hooks);
        }
    }
    *team.hooks.lock().unwrap_or_else(PoisonError::into_inner) = Some(hooks);
    take_figures(&team, &meter).await
}

/// Takes the figures once more, when all have left: the last completion is in them then.
async fn take_figures(team: &Team, meter: &Meter) -> Result<(), RunError> {
    if team.options.only.is_some() {
        return Ok(());
    }
    let figures = meter.figures(now());
    *team.figures.lock().unwrap_or_else(PoisonError::into_inner) = figures.clone();
    team.coordinator().append(figures.operations()).await?;
    Ok(())
}

/// Whether an operation can change what the steward has to say. Its own are not among them.
const fn matters(operation: &Operation) -> bool {
    use Operation as O;
    matches!(
        operation,
        O::Claimed { .. }
            | O::Verified { .. }
            | O::Integrated { .. }
            | O::IntegrationFailed { .. }
            | O::AttemptFailed { .. }
            | O::BlockerRaised { .. }
            | O::BlockerResolved { .. }
            | O::BudgetSpent { .. }
            | O::Released { .. }
            | O::AgentJoined { .. }
    )
}

/// Decides what is to be said and changed now, and says it.
async fn steer(team: &Team, meter: &Meter, integrated: bool) -> Result<(), RunError> {
    if team.options.only.is_some() {
        return Ok(());
    }
    let state = team.run.state();
    let figures = meter.figures(now());
    *team.figures.lock().unwrap_or_else(PoisonError::into_inner) = figures.clone();
    let mut operations = Vec::new();
    if integrated {
        operations.extend(figures.operations());
    }
    let changes = adapt(&Strategy::of(&state), &figures, now(), team.implementers);
    operations.extend(changes.iter().map(tress_plan::StrategyChange::operation));
    operations.extend(super::blockers::due(&state));
    // Whether a warning is over is for the reconciler to say, who has looked at the commit.
    let early = reconcile::early(&state, None, now()).into_iter();
    operations.extend(early.filter(|early| matches!(early, Operation::AlertRaised { .. })));
    operations.extend(alerts::due(&state, &figures, &Limits::of(&state), now()));
    if !operations.is_empty() {
        team.coordinator().append(operations).await?;
    }
    Ok(())
}

/// Runs the command that the run names for alerts.
fn tell(team: &Arc<Team>, event: &Event, hooks: &mut Hooks) {
    let Some(command) = team.options.on_alert.clone() else { return };
    let Operation::AlertRaised { alert, priority, message, todo } = &event.operation else {
        return;
    };
    if hooks.running.len() >= HOOKS_MAX {
        tracing::warn!(%alert, "too many commands are being told of alerts already");
        return;
    }
    let todo = todo.map(|todo| team.run.state().name(todo)).unwrap_or_default();
    let mut env = team.env();
    for (name, value) in [
        ("TRESS_ALERT", alert.as_str()),
        ("TRESS_ALERT_PRIORITY", priority.name()),
        ("TRESS_ALERT_MESSAGE", message),
        ("TRESS_TODO", &todo),
    ] {
        env.push((name.to_owned(), value.to_owned()));
    }
    let job = Job {
        command,
        dir: team.tree.dir().to_owned(),
        env,
        log: Some(team.tasks.join("alerts.log")),
        pid_file: None,
        timeout: Some(HOOK_TIMEOUT),
    };
    let mut over = hooks.over.subscribe();
    hooks.last = Some(Instant::now());
    hooks.running.spawn(async move {
        let stop = async { drop(over.wait_for(|over| *over).await) };
        // It is the user's own, and may start what is to stay.
        let finished = process::run_unmarked(&job, stop).await;
        if !finished.success() {
            tracing::warn!(ending = %finished.ending, "the command for alerts failed");
        }
    });
}
