//! The loop that keeps a team at work: implementers that claim and do, and a reviewer that
//! verifies and integrates. All of them see only the run's state and speak only through its log.

use std::fs::{File, TryLockError};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::JoinSet;
use tress::operation::{BlockerKind, FailureClass, Severity};
use tress::{Agent, Claimed, Dot, Operation, Refused, Role, Run, Status, TodoId, now};

use super::driver::{Driver, Task, prompt};
use super::options::Options;
use super::process::{Ending, Finished};
use super::{recover, review};
use crate::git::{GitError, Signature, Tree};
use tress_plan::{self as plan, Outlook};

/// The longest wait between two looks at the state, for what only time brings: retries, leases.
const LOOK_AGAIN: Duration = Duration::from_millis(250);
/// The name of the agent that plans and integrates.
pub(crate) const COORDINATOR: &str = "coordinator";
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
    /// Another orchestrator is at this run.
    #[error("another `tress start` or `tress resume` is at the run {0}; let it end, or stop it")]
    AlreadyRunning(String),
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
    /// The branch that holds the integrated work.
    pub branch: String,
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
}

/// A team at work on a run.
pub struct Orchestrator {
    team: Arc<Team>,
    implementers: u32,
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
        let lock = lock(&local.join(format!("{}.orchestrator", run.name())), run.name()).await?;
        let state = run.refresh().await?;
        let planned = plan::plan(&state, now(), options.scale);
        let halt = watch::Sender::new(false);
        let team = Team { run, tree, options, driver, stop, halt, work, tasks };
        team.begin(&planned).await?;
        recover::settle(&team).await?;
        Ok(Self { team: Arc::new(team), implementers: planned.implementers, _lock: lock })
    }

    /// Works until everything is finished, nothing can go on, or it is stopped.
    ///
    /// # Errors
    /// When the log, git or the file system fail.
    pub async fn run(self) -> Result<Summary, RunError> {
        let team = &self.team;
        let mut members = JoinSet::new();
        for number in 1..=self.implementers {
            let team = Arc::clone(team);
            members.spawn(async move { team.implement(&plan::implementer(number)).await });
        }
        let (done, finished) = watch::channel(false);
        let reviewing = review::review(Arc::clone(team), finished);
        let halting = Arc::clone(team);
        let reviewer = tokio::spawn(async move {
            let reviewed = reviewing.await;
            if reviewed.is_err() {
                // The others would wait for its answers for ever.
                halting.halt.send_replace(true);
            }
            reviewed
        });
        let mut failed = None;
        while let Some(ended) = members.join_next().await {
            let ended = ended.map_err(|error| RunError::Internal(error.to_string()));
            if let Err(error) = ended.and_then(|ended| ended) {
                failed.get_or_insert(error);
                team.halt.send_replace(true);
            }
        }
        done.send_replace(true);
        let reviewed = reviewer.await.map_err(|error| RunError::Internal(error.to_string()))?;
        if let Some(error) = reviewed.err().or(failed) {
            let reason = format!("failed: {error}");
            // The log may be what failed; then the error says it.
            let _ = team.coordinator().one(Operation::RunPaused { reason }).await;
            return Err(error);
        }
        team.end().await
    }
}

/// How often, and how long apart, the lock is asked for: a process that was just started by the last
/// holder may have it for a moment, until it runs its own program.
const LOCK_TRIES: u32 = 20;
const LOCK_WAIT: Duration = Duration::from_millis(25);

/// The lock that keeps a second orchestrator from a run; it dies with the process.
async fn lock(path: &std::path::Path, run: &str) -> Result<File, RunError> {
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

    /// On which terms work is chosen now.
    fn choosing(&self) -> plan::Terms {
        let pause_ms = u64::try_from(self.options.retry_after.as_millis()).unwrap_or(u64::MAX);
        // One agent, one todo: whoever works on several at once has to be told of all of them.
        let strategy = plan::Strategy { batch: 1, ..plan::Strategy::of(&self.run.state()) };
        plan::Terms { seed: 0, pause_ms, strategy }
    }

    pub(crate) fn coordinator(&self) -> Agent {
        self.run.agent(COORDINATOR, Role::Coordinator)
    }

    async fn begin(&self, planned: &plan::Plan) -> Result<(), RunError> {
        let state = self.run.state();
        let base = self.tree.commit("HEAD").await?;
        self.tree.ensure_branch(&self.options.branch, &base).await?;
        let base = state.team.base.clone().unwrap_or(base);
        let coordinator = self.coordinator();
        coordinator
            .append([
                Operation::RunStarted {
                    title: self.options.title.clone(),
                    base: Some(base),
                    branch: Some(self.options.branch.clone()),
                    settings: self.options.settings(),
                },
                Operation::PlanMade {
                    summary: planned.summary.clone(),
                    implementers: planned.implementers,
                    coordinators: planned.coordinators,
                },
            ])
            .await?;
        coordinator.checkpoint("start", "before the first todo").await?;
        Ok(())
    }

    async fn end(&self) -> Result<Summary, RunError> {
        let state = self.run.refresh().await?;
        let now = now();
        let statuses = || state.todos.values().map(|todo| state.status_unblocked(todo, now));
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
        let coordinator = self.coordinator();
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
        for name in review::TREES {
            self.tree.remove_worktree(&self.work.join(name)).await;
        }
        let branch = self.options.branch.clone();
        Ok(Summary { outcome, completed, left, refused, failed, branch })
    }

    /// Brings the documents up to the log. That they lag behind is no reason to stop.
    pub(crate) async fn seal(&self) {
        if let Err(error) = self.run.seal().await {
            tracing::warn!(%error, "the documents were not sealed");
        }
    }

    /// One implementer: claims what fits, works on it, until nothing is left.
    async fn implement(&self, name: &str) -> Result<(), RunError> {
        let agent = self.run.agent(name, Role::Implementer);
        let about = self.options.command.clone();
        let capabilities = vec![plan::select::ANYTHING.to_owned()];
        agent.append([Operation::AgentJoined { capabilities, about }]).await?;
        let mut updates = self.run.updates();
        let reason = loop {
            if self.stopped() {
                break "stopped";
            }
            let chosen = {
                let name = name.to_owned();
                let lease = u64::try_from(self.options.lease.as_millis()).unwrap_or(u64::MAX);
                let terms = self.choosing();
                agent.claim_chosen(Some(lease), move |state, now| {
                    let candidate = plan::Candidate::generalist(&name);
                    plan::choose(state, &candidate, now, &terms).map(|choice| choice.todo)
                })
            };
            match chosen.await {
                Ok(claim) => {
                    if !claim.losses.is_empty() {
                        self.tell(&agent).await?;
                    }
                    self.work(&agent, &claim).await?;
                }
                Err(Refused::Error(error)) => return Err(error.into()),
                Err(Refused::Condition(_)) => {
                    let state = self.run.state();
                    match plan::outlook(&state, &state.readiness(now()), now(), &self.choosing()) {
                        Outlook::Done => break "nothing is left",
                        Outlook::Stuck => break "what is left cannot go on",
                        Outlook::Wait => {}
                    }
                    tokio::select! {
                        _ = updates.changed() => {}
                        () = tokio::time::sleep(LOOK_AGAIN) => {}
                        () = self.stopping() => {}
                    }
                }
            }
        };
        self.tell(&agent).await?;
        agent.append([Operation::AgentLeft { reason: reason.to_owned() }]).await?;
        Ok(())
    }

    /// Works on one claimed todo in a work tree of its own.
    async fn work(&self, agent: &Agent, claim: &Claimed) -> Result<(), RunError> {
        let (todo, token) = (claim.todo, claim.token);
        let state = self.run.state();
        if state.todo(todo).is_some_and(|todo| todo.high_risk) {
            let reason = format!("before {}", state.name(todo));
            self.coordinator().checkpoint("high-risk", &reason).await?;
        }
        let base = self.tree.commit(&self.options.branch).await?;
        let dir = self.work.join(agent.name());
        let tree = self.tree.worktree(&dir, &base, None).await?;
        match agent.begin(claim, Some(&base), None).await {
            Ok(_) => {}
            Err(Refused::Condition(refused)) => {
                self.lost(agent, claim, None, &refused).await?;
                self.tree.remove_worktree(&dir).await;
                return Ok(());
            }
            Err(Refused::Error(error)) => return Err(error.into()),
        }
        let task = self.task(agent.name(), todo, &tree);
        let finished = tokio::select! {
            finished = self.driver.work(&task, Box::pin(self.interrupted(todo, token))) => finished,
            error = self.keep_alive(agent, claim) => return Err(error),
        };
        self.hand_in(agent, claim, &task, &tree, finished).await?;
        self.tree.remove_worktree(&dir).await;
        Ok(())
    }

    fn task(&self, agent: &str, todo: TodoId, tree: &Tree) -> Task {
        let state = self.run.state();
        let found = state.todo(todo);
        let id = state.name(todo);
        Task {
            agent: agent.to_owned(),
            run: self.run.name().to_owned(),
            title: found.map(|todo| todo.title.clone()).unwrap_or_default(),
            prompt: prompt(&state, todo, self.options.check.as_deref()),
            files: found.map(|todo| todo.files.clone()).unwrap_or_default(),
            section: found.and_then(|todo| todo.section.clone()).and_then(|key| {
                let section = state.design.sections.get(&key)?;
                Some((key, section.body.text()))
            }),
            check: found.and_then(|t| t.check.clone()).or_else(|| self.options.check.clone()),
            attempt: plan::all_tries(&state, todo) + 1,
            worktree: tree.dir().to_owned(),
            store: self.run.store_dir().to_owned(),
            dir: self.tasks.join(id.replace(['/', '\\', '.'], "-")),
            id,
            timeout: self.options.agent_timeout,
        }
    }

    /// Renews the lease while the agent works; ends only with an error.
    async fn keep_alive(&self, agent: &Agent, claim: &Claimed) -> RunError {
        let lease = u64::try_from(self.options.lease.as_millis()).unwrap_or(u64::MAX);
        loop {
            tokio::time::sleep(self.options.lease / 3).await;
            match agent.renew(claim, Some(lease)).await {
                Ok(_) => {}
                // Whoever waits for the end of the claim sees that, and ends the work.
                Err(Refused::Condition(_)) => std::future::pending().await,
                Err(Refused::Error(error)) => return error.into(),
            }
        }
    }

    /// Ready when the work must end: the team stops, or the claim is not the agent's any more.
    async fn interrupted(&self, todo: TodoId, token: Dot) {
        let mut updates = self.run.updates();
        let lost = async {
            loop {
                let state = self.run.state();
                let claim = state.todo(todo).and_then(|todo| todo.claim.as_ref());
                if claim.is_none_or(|claim| claim.token != token) {
                    return;
                }
                if updates.changed().await.is_err() {
                    return;
                }
            }
        };
        tokio::select! {
            () = self.stopping() => {}
            () = lost => {}
        }
    }

    /// Turns how the agent's process ended into what the log says.
    async fn hand_in(
        &self,
        agent: &Agent,
        claim: &Claimed,
        task: &Task,
        tree: &Tree,
        finished: Finished,
    ) -> Result<(), RunError> {
        // What the agent reported from its own process comes before what came of it.
        let state = self.run.refresh().await?;
        if let Err(refused) = claim.check(&state, agent.name()) {
            return self.lost(agent, claim, Some((task, tree)), &refused).await;
        }
        if finished.success() {
            return self.claim_completion(agent, claim, task, tree, &finished).await;
        }
        if finished.ending == Ending::Stopped {
            return match agent.release(claim, "the team was stopped").await {
                Ok(_) => Ok(()),
                Err(Refused::Condition(refused)) => {
                    self.lost(agent, claim, Some((task, tree)), &refused).await
                }
                Err(Refused::Error(error)) => Err(error.into()),
            };
        }
        let class = match &finished.ending {
            Ending::Exited(75) | Ending::TimedOut => FailureClass::Transient,
            Ending::Signalled(9) => FailureClass::Resource,
            Ending::Signalled(_) => FailureClass::Transient,
            Ending::Exited(_) => FailureClass::Logic,
            Ending::Stopped | Ending::NotStarted(_) => FailureClass::Unknown,
        };
        let said = last_line(&finished.tail);
        let message = match said.as_str() {
            "" => finished.ending.to_string(),
            said => format!("{}: {said}", finished.ending),
        };
        self.failed(agent, claim, task, class, message).await
    }

    /// Keeps the agent's work, and says that it is done.
    async fn claim_completion(
        &self,
        agent: &Agent,
        claim: &Claimed,
        task: &Task,
        tree: &Tree,
        finished: &Finished,
    ) -> Result<(), RunError> {
        let (todo, token) = (claim.todo, claim.token);
        let by = Signature { name: agent.name().to_owned() };
        let message =
            format!("{}\n\nTress-Todo: {}\nTress-Agent: {}", task.title, task.id, agent.name());
        let commit = match tree.commit_all(&by, &message).await {
            Ok(commit) => commit,
            Err(error) => {
                let message = format!("its work cannot be committed: {error}");
                let class = FailureClass::Logic;
                return self.failed(agent, claim, task, class, message).await;
            }
        };
        let name = format!("refs/tress/{}/{todo}-{}", task.run, task.attempt);
        self.tree.keep(&name, &commit).await?;
        let done = Operation::CompletionClaimed {
            todo,
            token: Some(token),
            commit: Some(commit),
            to_integrate: true,
            implementation: last_line(&finished.tail),
            tests: String::new(),
            integration: String::new(),
        };
        match agent.under(claim, done).await {
            Ok(_) => Ok(()),
            Err(Refused::Condition(refused)) => {
                self.lost(agent, claim, Some((task, tree)), &refused).await
            }
            Err(Refused::Error(error)) => Err(error.into()),
        }
    }

    /// Gives a todo back after an attempt in vain; the next is the later the more there were.
    async fn failed(
        &self,
        agent: &Agent,
        claim: &Claimed,
        task: &Task,
        class: FailureClass,
        message: String,
    ) -> Result<(), RunError> {
        let (todo, token) = (claim.todo, claim.token);
        let failures = u32::try_from(task.attempt.saturating_sub(1)).unwrap_or(u32::MAX).min(10);
        let wait = self.options.retry_after.saturating_mul(2_u32.saturating_pow(failures));
        let wait = u64::try_from(wait.as_millis()).unwrap_or(u64::MAX);
        let retry_at = Some(now().saturating_add(wait));
        let latest = format!("{}: {message}", agent.name());
        let failed = Operation::AttemptFailed { todo, token, class, message, retry_at };
        let mut drafts = vec![agent.draft(failed)];
        let coordinator = self.coordinator();
        let escalation = self.escalation(todo, latest).into_iter();
        drafts.extend(escalation.map(|operation| coordinator.draft(operation)));
        let (under, name) = (claim.clone(), agent.author().name.clone());
        let appended = self.run.append_if(move |state| under.check(state, &name).map(|()| drafts));
        match appended.await {
            Ok(_) => Ok(()),
            Err(Refused::Condition(refused)) => self.lost(agent, claim, None, &refused).await,
            Err(Refused::Error(error)) => Err(error.into()),
        }
    }

    /// What hands a todo to a person when `latest` is one attempt in vain too many. Goes into the log
    /// with that attempt, so that nobody takes the todo in between.
    pub(crate) fn escalation(&self, todo: TodoId, latest: String) -> Vec<Operation> {
        let state = self.run.state();
        let Some(found) = state.todo(todo) else { return Vec::new() };
        // Each time that somebody settled it, it gets as many attempts again.
        let rounds = 1 + found.blockers.iter().filter(|b| b.resolved.is_some()).count();
        let tries = plan::all_tries(&state, todo) + 1;
        let held = found.finished() || found.open_blockers().next().is_some();
        if held || tries < self.options.attempts * rounds {
            return Vec::new();
        }
        let failed = found.failures.iter().map(|f| format!("{}: {}", f.agent, f.message));
        let refused = found.completions.iter().filter_map(|completion| {
            completion.void.as_ref().map(|why| format!("{}: {why}", completion.agent))
        });
        let tried = failed.chain(refused).chain([latest]).collect();
        let name = state.name(todo);
        let description = format!("{tries} attempts in vain; somebody has to look at it");
        vec![
            Operation::AlertRaised {
                alert: format!("escalated:{name}"),
                priority: Severity::High,
                message: format!("{name}: {description}"),
                todo: Some(todo),
            },
            Operation::BlockerRaised { todo, kind: BlockerKind::Technical, description, tried },
        ]
    }
}

fn last_line(text: &str) -> String {
    let last = text.lines().rev().find(|line| !line.trim().is_empty()).unwrap_or_default();
    last.trim().chars().take(300).collect()
}
