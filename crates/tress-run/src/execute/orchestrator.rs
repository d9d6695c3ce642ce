//! The team: what its members share, how it begins and how it ends. All members see only the run's
//! state and speak only through its log.
//!
//! Implementers claim and do (`implement`), verifiers answer claims of completion
//! (`review`), the coordinator integrates (`integrate`) and watches over how it
//! goes (`steward`).

use std::collections::BTreeSet;
use std::fs::{File, TryLockError};
use std::path::PathBuf;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::watch;
use tokio::task::JoinSet;
use tress::state::Phase;
use tress::{Agent, Dot, Operation, Role, Run, State, Status, TodoId, now};
use tress_plan::{self as plan, Figures};

use super::branch::Lacking;
use super::driver::Driver;
use super::options::Options;
use super::steward::Hooks;
use super::{implement, integrate, learned, recover, review, steward};
use crate::git::{GitError, Tree};

/// The name of the agent that plans and integrates.
pub const COORDINATOR: &str = "coordinator";
/// The name of the agent that verifies.
pub(crate) const VERIFIER: &str = "verifier";

/// Why a run could not go on.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// The engine could not.
    #[error(transparent)]
    Engine(#[from] tress::Error),
    /// Git could not.
    #[error(transparent)]
    Git(#[from] GitError),
    /// The branch lacks what the log says to be in it.
    #[error(transparent)]
    Lacking(#[from] Box<Lacking>),
    /// Another orchestrator is at this run.
    #[error("another `tress start` or `tress resume` is at the run {0}; let it end, or stop it")]
    AlreadyRunning(String),
    /// A todo that is to be explored cannot be taken.
    #[error("it cannot be explored: {0}")]
    NotOpen(String),
    /// Nothing to go on with.
    #[error("the run {0} was not started with `tress start`: there is nothing to resume")]
    NotStarted(String),
    /// A directory or a file could not be used.
    #[error("cannot use {}: {source}", path.display())]
    Io {
        /// Which.
        path: PathBuf,
        /// What the file system said.
        source: std::io::Error,
    },
    /// One of the team's own tasks ended in a panic.
    #[error("a part of the orchestrator failed: {0}")]
    Internal(String),
}

/// How a run ended for now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// Everything is finished.
    Done,
    /// What is left cannot go on by itself.
    Stuck,
    /// It was stopped; `resume` goes on.
    Stopped,
}

impl Outcome {
    /// The outcome as a word.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Done => "done",
            Self::Stuck => "stuck",
            Self::Stopped => "stopped",
        }
    }
}

/// What came of a run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Summary {
    /// How it ended.
    pub outcome: Outcome,
    /// How many todos are completed.
    pub completed: usize,
    /// How many todos are not finished.
    pub left: usize,
    /// How many claims of completion were refused.
    pub refused: usize,
    /// How many attempts failed.
    pub failed: usize,
    /// The unit of a budget that is used up, where that is why work is left.
    pub used_up: Option<&'static str>,
    /// The branch that holds the integrated work.
    pub branch: String,
    /// How long the team was at it, this time.
    pub took: Duration,
}

/// What all parts of the team share.
pub(crate) struct Team {
    pub(crate) run: Run,
    pub(crate) tree: Tree,
    pub(crate) options: Options,
    pub(crate) driver: Arc<dyn Driver>,
    pub(crate) stop: watch::Receiver<bool>,
    /// Becomes true when a part of the team has failed: the others stop, too.
    pub(crate) halt: watch::Sender<bool>,
    pub(crate) work: PathBuf,
    pub(crate) tasks: PathBuf,
    /// How many implementers there are at most.
    pub(crate) implementers: u32,
    /// What the steward measured last.
    pub(crate) figures: Mutex<Figures>,
    /// The commands that are still being told of alerts when the steward has left.
    pub(crate) hooks: Mutex<Option<Hooks>>,
    /// Whether something is being integrated, or held against the design after that.
    pub(crate) integrating: AtomicBool,
    /// The claims of completion that a verifier is at.
    pub(crate) reviewing: Mutex<BTreeSet<Dot>>,
    /// When it began.
    began: Instant,
}

/// A team at work on a run.
pub struct Orchestrator {
    team: Arc<Team>,
    verifiers: u32,
    _lock: File,
}

impl std::fmt::Debug for Orchestrator {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Orchestrator").field("run", &self.team.run.name()).finish_non_exhaustive()
    }
}

impl Orchestrator {
    /// Gets a team ready: takes the run's orchestrator lock, ends what a killed one left behind,
    /// and settles what its death left open. `stop` becoming true stops the team cleanly.
    ///
    /// # Errors
    /// When another orchestrator is at the run, or the log, git or the file system fail.
    pub async fn prepare(
        run: Run,
        tree: Tree,
        options: Options,
        driver: Arc<dyn Driver>,
        stop: watch::Receiver<bool>,
    ) -> Result<Self, RunError> {
        let local = run.store_dir().join("local");
        let (work, tasks) = (local.join("trees").join(run.name()), local.join("tasks"));
        let tasks = tasks.join(run.name());
        for dir in [&work, &tasks] {
            let made = tokio::fs::create_dir_all(dir).await;
            made.map_err(|source| RunError::Io { path: dir.clone(), source })?;
        }
        let lock = lock(&lock_of(&run), run.name()).await?;
        run.refresh().await?;
        let halt = watch::Sender::new(false);
        let mut team = Team {
            run,
            tree,
            options,
            driver,
            stop,
            halt,
            work,
            tasks,
            implementers: 1,
            figures: Mutex::default(),
            hooks: Mutex::default(),
            integrating: AtomicBool::new(false),
            reviewing: Mutex::default(),
            began: Instant::now(),
        };
        let planned = team.begin().await?;
        team.implementers = planned.implementers;
        if team.options.only.is_none() {
            recover::settle(&team).await?;
        }
        let verifiers = planned.coordinators.max(1);
        Ok(Self { team: Arc::new(team), verifiers, _lock: lock })
    }

    /// Works until everything is finished, nothing can go on, or it is stopped.
    ///
    /// # Errors
    /// When the log, git or the file system fail.
    pub async fn run(self) -> Result<Summary, RunError> {
        let team = &self.team;
        let (done, finished) = watch::channel(false);
        let (reviewed, nothing_left) = watch::channel(false);
        let (integrated, all_over) = watch::channel(false);
        let mut verifiers = Members::new(team);
        for number in 1..=self.verifiers {
            verifiers.join(review::verify(Arc::clone(team), number, finished.clone()));
        }
        let mut integrator = Members::new(team);
        integrator.join(integrate::integrate(Arc::clone(team), nothing_left));
        let mut steward = Members::new(team);
        steward.join(steward::watch_over(Arc::clone(team), all_over));
        let mut implementers = Members::new(team);
        for number in 1..=team.implementers {
            implementers.join(implement::implement(Arc::clone(team), number));
        }
        // Each stage ends when nothing can come from the one before it any more.
        let mut failed = implementers.end().await.err();
        done.send_replace(true);
        failed = failed.or(verifiers.end().await.err());
        reviewed.send_replace(true);
        failed = failed.or(integrator.end().await.err());
        integrated.send_replace(true);
        failed = failed.or(steward.end().await.err());
        if let Some(error) = failed {
            let reason = format!("failed: {error}");
            // The log may be what failed; then the error says it.
            let _ = team.coordinator().one(Operation::RunPaused { reason }).await;
            team.end_hooks().await;
            return Err(error);
        }
        let summary = team.end().await;
        team.end_hooks().await;
        summary
    }
}

/// Stops the team when it is dropped before it was made silent: its member failed, or panicked.
struct Alarm {
    team: Arc<Team>,
    silent: bool,
}

impl Drop for Alarm {
    fn drop(&mut self) {
        if !self.silent {
            self.team.halt.send_replace(true);
        }
    }
}

/// Members of the team that do the same. When one fails, the whole team stops: the others would
/// wait for it for ever.
struct Members {
    team: Arc<Team>,
    tasks: JoinSet<Result<(), RunError>>,
}

impl Members {
    fn new(team: &Arc<Team>) -> Self {
        Self { team: Arc::clone(team), tasks: JoinSet::new() }
    }

    fn join(&mut self, member: impl Future<Output = Result<(), RunError>> + Send + 'static) {
        let alarm = Alarm { team: Arc::clone(&self.team), silent: false };
        self.tasks.spawn(async move {
            let mut alarm = alarm;
            let ended = member.await;
            alarm.silent = ended.is_ok();
            ended
        });
    }

    /// Waits until all have ended; gives the first error.
    async fn end(&mut self) -> Result<(), RunError> {
        let mut failed = None;
        while let Some(ended) = self.tasks.join_next().await {
            let ended = ended.map_err(|error| RunError::Internal(error.to_string()));
            if let Err(error) = ended.and_then(|ended| ended) {
                failed.get_or_insert(error);
                self.team.halt.send_replace(true);
            }
        }
        failed.map_or(Ok(()), Err)
    }
}

/// How often, and how long apart, the lock is asked for: a process that was just started by the last
/// holder may have it for a moment, until it runs its own program.
const LOCK_TRIES: u32 = 20;
const LOCK_WAIT: Duration = Duration::from_millis(25);

/// The checkpoints that are taken when a team begins, and when it goes on.
const BEGINNINGS: [&str; 2] = ["start", "resume"];

/// The file by which a run's orchestrator is known to be there: it is locked, and has the dot of the event by which
/// it began.
pub(super) fn lock_of(run: &Run) -> PathBuf {
    run.store_dir().join("local").join(format!("{}.orchestrator", run.name()))
}

/// Whether the orchestrator that `state` says to be at `run` was here, and is gone. Where that cannot be seen, or
/// another machine has gone on with the run, it is not said.
pub fn is_abandoned(run: &Run, state: &State) -> bool {
    let begun = state.team.checkpoints.iter().rev();
    let begun =
        begun.map(|taken| (&*taken.name, taken.dot)).find(|(name, _)| BEGINNINGS.contains(name));
    let path = lock_of(run);
    let ours = || std::fs::read_to_string(&path).ok()?.trim().parse().ok();
    state.team.phase == Phase::Running
        && begun.is_some_and(|(_, dot)| ours() == Some(dot))
        // Beside others who look, and not beside who holds it.
        && File::open(&path).is_ok_and(|file| file.try_lock_shared().is_ok())
}

/// The lock that keeps a second orchestrator from a run; it dies with the process.
pub(super) async fn lock(path: &std::path::Path, run: &str) -> Result<File, RunError> {
    let error = |source| RunError::Io { path: path.to_owned(), source };
    let file = File::options().append(true).create(true).open(path).map_err(error)?;
    for _ in 0..LOCK_TRIES {
        match file.try_lock() {
            Ok(()) => return Ok(file),
            Err(TryLockError::WouldBlock) => tokio::time::sleep(LOCK_WAIT).await,
            Err(TryLockError::Error(source)) => return Err(error(source)),
        }
    }
    Err(RunError::AlreadyRunning(run.to_owned()))
}

impl Team {
    pub(crate) fn stopped(&self) -> bool {
        *self.stop.borrow() || *self.halt.borrow()
    }

    /// Ready when the team is to stop.
    pub(crate) async fn stopping(&self) {
        let wanted = async |mut flag: watch::Receiver<bool>| {
            if flag.wait_for(|flag| *flag).await.is_err() {
                // Nobody can raise it any more.
                std::future::pending::<()>().await;
            }
        };
        tokio::select! {
            () = wanted(self.stop.clone()) => {}
            () = wanted(self.halt.subscribe()) => {}
        }
    }

    pub(crate) fn coordinator(&self) -> Agent {
        self.run.agent(COORDINATOR, Role::Coordinator)
    }

    /// Says that the run begins, and how the work is distributed.
    async fn begin(&self) -> Result<plan::Plan, RunError> {
        let state = self.run.state();
        let base = self.options.from.as_deref().unwrap_or("HEAD");
        let base = self.tree.commit(base).await?;
        let branch = &self.options.branch;
        if let Some(dir) = self.tree.where_checked_out(branch).await? {
            return Err(GitError::CheckedOut { branch: branch.clone(), dir }.into());
        }
        let without = self.hold_branch(&state, &base).await?;
        self.tree.ensure_branch(branch, &base).await?;
        let base = state.team.base.clone().unwrap_or(base);
        let coordinator = self.coordinator();
        if self.options.only.is_some() {
            return Ok(plan::plan(&state, now(), Some(1)));
        }
        let started = Operation::RunStarted {
            title: self.options.title.clone(),
            base: Some(base),
            branch: Some(self.options.branch.clone()),
            settings: self.options.settings(),
        };
        // Whoever was here before is gone, whether or not it could say so.
        let mut drafts = Vec::new();
        for (name, _) in state.team.agents.iter().filter(|(_, agent)| agent.active) {
            if plan::is_implementer(name) {
                let reason = "its process is gone".to_owned();
                let agent = self.run.agent(name, Role::Implementer);
                drafts.push(agent.draft(Operation::AgentLeft { reason }));
            }
        }
        drafts.push(coordinator.draft(started));
        self.run.append(drafts).await?;
        let planned = plan::plan(&self.run.state(), now(), self.options.scale);
        let made = Operation::PlanMade {
            summary: planned.summary.clone(),
            implementers: planned.implementers,
            coordinators: planned.coordinators,
        };
        coordinator.append(without.into_iter().chain([made])).await?;
        let [start, resume] = BEGINNINGS;
        let begun = match state.team.started_at {
            None => coordinator.checkpoint(start, "before the first todo").await?,
            Some(_) => coordinator.checkpoint(resume, "before the team goes on").await?,
        };
        // Whoever holds the lock says which beginning was its own.
        let path = lock_of(&self.run);
        let noted = tokio::fs::write(&path, begun.dot.to_string()).await;
        noted.map_err(|source| RunError::Io { path, source })?;
        Ok(planned)
    }

    async fn end(&self) -> Result<Summary, RunError> {
        let state = self.run.refresh().await?;
        let now = now();
        // What is not worth keeping is not waited for either.
        let todos = || state.todos.values().filter(|todo| !todo.ephemeral);
        let statuses = || todos().map(|todo| state.status_unblocked(todo, now));
        let completed = statuses().filter(|&status| status == Status::Completed).count();
        let left = statuses().filter(|status| !status.finished()).count();
        let completions = state.todos.values().flat_map(|todo| &todo.completions);
        let refused = completions.filter(|c| {
            c.verification.as_ref().is_some_and(|v| v.verdict != tress::operation::Verdict::Pass)
        });
        let (refused, failed) =
            (refused.count(), state.todos.values().map(|todo| todo.failures.len()).sum());
        let outcome = match (left, self.stopped()) {
            (0, _) => Outcome::Done,
            (_, true) => Outcome::Stopped,
            (_, false) => Outcome::Stuck,
        };
        let branch = self.options.branch.clone();
        let took = self.began.elapsed();
        let used_up = plan::Limits::of(&state).exhausted(&state, &self.figures());
        let used_up = used_up.filter(|_| outcome == Outcome::Stuck);
        let summary = Summary { outcome, completed, left, refused, failed, used_up, branch, took };
        if self.options.only.is_some() {
            self.clear_away().await;
            return Ok(summary);
        }
        let coordinator = self.coordinator();
        if outcome == Outcome::Done
            && let Some(sample) = learned::sample(&state, &self.figures(), self.implementers)
        {
            coordinator.one(sample.operation()).await?;
        }
        let words = format!("{completed} completed, {left} left");
        coordinator
            .one(match outcome {
                Outcome::Done => Operation::RunFinished { summary: words },
                Outcome::Stuck => Operation::RunPaused { reason: format!("stuck: {words}") },
                Outcome::Stopped => Operation::RunPaused { reason: format!("stopped: {words}") },
            })
            .await?;
        let name = if outcome == Outcome::Done { "end" } else { "pause" };
        coordinator.checkpoint(name, "the team has stopped").await?;
        self.seal().await;
        self.clear_away().await;
        Ok(summary)
    }

    /// Waits a moment for those who are told of alerts: the log says already that the run has ended.
    async fn end_hooks(&self) {
        let hooks = self.hooks.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(hooks) = hooks {
            hooks.end().await;
        }
    }

    /// Removes the work trees of the team.
    async fn clear_away(&self) {
        if let Ok(mut entries) = tokio::fs::read_dir(&self.work).await {
            while let Ok(Some(entry)) = entries.next_entry().await {
                self.tree.remove_worktree(&entry.path()).await;
            }
        }
    }

    /// Whether the team is about `todo`.
    pub(crate) fn concerns(&self, todo: TodoId) -> bool {
        self.options.only.is_none_or(|only| only == todo)
    }

    /// Brings the documents up to the log. That they lag behind is no reason to stop.
    pub(crate) async fn seal(&self) {
        if let Err(error) = self.run.seal().await {
            tracing::warn!(%error, "the documents were not sealed");
        }
    }
}
