//! Integration: verified work is merged into the run's branch, one at a time, checked there, and
//! only then the branch is moved. After each the design is held against what came in.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::sync::watch;
use tress::operation::{FailureClass, Severity, Verdict};
use tress::state::todo::Completion;
use tress::{Dot, Operation, Refused, Role, State, TodoId, integrable};

use super::orchestrator::{COORDINATOR, RunError, Team};
use crate::git::{GitError, Signature};
use crate::reconcile::{RECONCILER, ReconcileError, reconcile_commit};
use crate::verify::bench::Stopping;
use crate::verify::testing;

const LOOK_AGAIN: Duration = Duration::from_millis(250);
/// The name of its work tree.
const TREE: &str = "integrate";

/// The line in a merge's message that ties it to the log.
pub(super) fn trailer(completion: Dot) -> String {
    format!("Tress-Completion: {completion}")
}

pub(super) fn stray_alert(name: &str) -> String {
    format!("stray-merge:{name}")
}

/// Tells a person that the branch holds work which does not count.
pub(super) fn stray(name: &str, todo: TodoId, branch: &str, commit: &str) -> Operation {
    Operation::AlertRaised {
        alert: stray_alert(name),
        priority: Severity::High,
        message: format!(
            "{branch} holds {commit}, the work on {name}, which no longer counts: \
             keep it, or revert it with `git revert -m 1 {commit}`"
        ),
        todo: Some(todo),
    }
}

/// Integrates what is verified until there is `nothing_left` to verify, or the team is stopped.
pub(super) async fn integrate(
    team: Arc<Team>,
    mut nothing_left: watch::Receiver<bool>,
) -> Result<(), RunError> {
    let mut updates = team.run.updates();
    let mut since_checkpoint = 0;
    let reconciler = team.run.agent(RECONCILER, Role::Reconciler);
    let about = "holds what is integrated against the design".to_owned();
    reconciler.append([Operation::AgentJoined { capabilities: Vec::new(), about }]).await?;
    while !team.stopped() {
        match next(&team) {
            Some(Next::Refuse(todo, completion, reason)) => {
                team.refuse(todo, completion, reason).await?;
            }
            Some(Next::Integrate(todo, completion)) => {
                // What the reconciler has to say may be more to do: nobody leaves before that.
                team.integrating.store(true, Ordering::SeqCst);
                let integrated = team.integrate(todo, completion).await;
                let reconciled = match integrated {
                    Ok(true) => team.reconcile(todo, completion).await.map(|()| true),
                    other => other,
                };
                team.integrating.store(false, Ordering::SeqCst);
                if !reconciled? {
                    continue;
                }
                since_checkpoint += 1;
                if since_checkpoint >= team.options.checkpoint_every {
                    since_checkpoint = 0;
                    let every = team.options.checkpoint_every;
                    let reason = format!("{every} more todos completed");
                    team.coordinator().checkpoint("progress", &reason).await?;
                    team.seal().await;
                }
            }
            None if *nothing_left.borrow() => break,
            None => {
                tokio::select! {
                    _ = updates.changed() => {}
                    _ = nothing_left.changed() => {}
                    () = tokio::time::sleep(LOOK_AGAIN) => {}
                    () = team.stopping() => {}
                }
            }
        }
    }
    reconciler.append([Operation::AgentLeft { reason: "nothing is left".to_owned() }]).await?;
    Ok(())
}

/// What there is to do.
enum Next {
    Integrate(TodoId, Dot),
    Refuse(TodoId, Dot, String),
}

/// The verified work that most other work waits for. What would be refused is left alone. Work that
/// shares its commit with other todos comes in with all of them, or not at all.
fn next(team: &Team) -> Option<Next> {
    let state = team.run.state();
    let order = tress_plan::integration_order(&state).into_iter();
    let mut open = order.filter(|&(todo, completion)| {
        team.concerns(todo) && integrable(&state, todo, completion).is_ok()
    });
    open.find_map(|(todo, completion)| {
        let siblings = siblings(&state, todo, completion);
        let refused = siblings.iter().find(|(_, made)| made.void.is_some());
        if let Some((other, _)) = refused {
            let name = state.name(*other);
            let reason = format!("it was done along with {name}, which was refused");
            return Some(Next::Refuse(todo, completion, reason));
        }
        let waiting = siblings.iter().any(|(_, made)| made.verification.is_none());
        (!waiting).then_some(Next::Integrate(todo, completion))
    })
}

/// The claims of completion of other todos that name the same commit as `completion` does.
fn siblings(state: &State, todo: TodoId, completion: Dot) -> Vec<(TodoId, &Completion)> {
    let made = state.todo(todo).and_then(|todo| {
        todo.completions.iter().find(|made| made.dot == completion)?.commit.as_deref()
    });
    let Some(commit) = made else { return Vec::new() };
    let others = state.todos.values().filter(|other| other.id != todo);
    let of = others.filter_map(|other| {
        let same =
            other.completions.iter().rev().find(|made| made.commit.as_deref() == Some(commit));
        same.map(|made| (other.id, made.as_ref()))
    });
    of.collect()
}

impl Team {
    /// Holds what was just integrated against the design, and says what comes of it.
    async fn reconcile(&self, todo: TodoId, completion: Dot) -> Result<(), RunError> {
        let state = self.run.state();
        let made = state.todo(todo).and_then(|todo| {
            todo.completions
                .iter()
                .find(|made| made.dot == completion)?
                .integrated
                .as_deref()
                .cloned()
        });
        let Some((commit, _)) = made else { return Ok(()) };
        let before = format!("{commit}^1");
        let change = self.tree.commit(&before).await.ok().map(|before| (todo, before));
        let change = change.as_ref().map(|(todo, before)| (*todo, before.as_str()));
        match reconcile_commit(&self.tree, &self.run, &commit, change).await {
            Ok(_) => Ok(()),
            Err(ReconcileError::Git(error)) => Err(error.into()),
            Err(ReconcileError::Engine(error)) => Err(error.into()),
        }
    }

    /// Whether the claim of completion may be integrated, by all that is known here now.
    async fn still_counts(&self, todo: TodoId, completion: Dot) -> Result<bool, RunError> {
        let state = self.run.refresh().await?;
        if let Err(refused) = integrable(&state, todo, completion) {
            tracing::info!(%todo, %refused, "verified work is not integrated");
            return Ok(false);
        }
        Ok(true)
    }

    /// Merges verified work into the run's branch, checks it there, and only then moves the
    /// branch; whether it did. Asked before the merge, which costs most, and again right before
    /// the branch is moved; then the log takes it on the same condition, see [`Team::integrated`].
    async fn integrate(&self, todo: TodoId, completion: Dot) -> Result<bool, RunError> {
        if !self.still_counts(todo, completion).await? {
            return Ok(false);
        }
        let state = self.run.state();
        let Some(found) = state.todo(todo) else {
            return Ok(false);
        };
        let done = found.completions.iter().find(|c| c.dot == completion);
        let Some(commit) = done.and_then(|done| done.commit.as_deref()) else {
            return Ok(false);
        };
        let branch = &self.options.branch;
        let line = trailer(completion);
        if let Some(commit) = self.tree.find_commit(branch, &line).await? {
            // It was merged by one who died before saying so.
            return self.integrated(todo, completion, commit, None).await;
        }
        let head = self.tree.commit(branch).await?;
        let tree = self.tree.worktree(&self.work.join(TREE), &head, None).await?;
        let name = state.name(todo);
        let agent = done.map(|done| done.agent.to_string()).unwrap_or_default();
        // One merge brings all that was done in the commit.
        let along = siblings(&state, todo, completion);
        let along: String =
            along.iter().map(|(_, made)| format!("\n{}", trailer(made.dot))).collect();
        let message = format!(
            "{name}: {}\n\nTress-Todo: {name}\nTress-Agent: {agent}\n{line}{along}",
            found.title
        );
        let by = Signature { name: COORDINATOR.to_owned() };
        let merged = match tree.merge(&by, commit, &message).await {
            Ok(merged) => merged,
            Err(error @ GitError::Conflict(_)) => {
                return self.refuse(todo, completion, format!("merging: {error}")).await;
            }
            Err(error) => return Err(error.into()),
        };
        // Where nobody else's work came in between, the merge is what was verified.
        if tree.tree_hash(&merged).await? != tree.tree_hash(commit).await? {
            let (env, pid_file) = (self.env(), self.tasks.join(format!("{TREE}.pid")));
            let stop = || -> Stopping<'_> { Box::pin(self.stopping()) };
            let bench = self.bench(&tree, &env, &pid_file, &stop);
            let mut check = testing::own_check(bench, self.check_of(found)).await;
            if let Some(tests) = self.options.tests.as_deref()
                && check.verdict == Verdict::Pass
            {
                let lines = self.tree.added_lines(&head, &merged).await?;
                check = testing::suite(bench, tests, (&head, &merged), &lines).await?;
            }
            if self.stopped() {
                return Ok(false);
            }
            if check.verdict != Verdict::Pass {
                let reason = "its check fails once it is merged with the others' work";
                return self.refuse(todo, completion, reason.to_owned()).await;
            }
        }
        if !self.still_counts(todo, completion).await? {
            return Ok(false);
        }
        if let Err(error) = self.tree.move_branch(branch, &merged, &head).await {
            if self.tree.commit(branch).await? == head {
                return Err(error.into());
            }
            // Somebody else moved the branch meanwhile: merge with what is there now.
            return Ok(false);
        }
        self.integrated(todo, completion, merged, Some(head)).await
    }

    /// Says that `commit` is the branch's now, if the work still counts. What took it back in the
    /// moment since the branch was moved is answered by moving the branch `back`, where nobody has
    /// built on it; else a person is told.
    async fn integrated(
        &self,
        todo: TodoId,
        completion: Dot,
        commit: String,
        back: Option<String>,
    ) -> Result<bool, RunError> {
        let state = self.run.state();
        let name = state.name(todo);
        let merged = commit.clone();
        let mut operations = vec![Operation::Integrated { todo, completion, commit }];
        for kind in ["false-completion", "escalated"] {
            let alert = format!("{kind}:{name}");
            if state.team.alerts.get(&alert).is_some_and(|alert| alert.cleared_at.is_none()) {
                operations.push(Operation::AlertCleared { alert });
            }
        }
        let coordinator = self.coordinator();
        let appended = coordinator
            .append_if(move |state| integrable(state, todo, completion).map(|()| operations));
        let refused = match appended.await {
            Ok(_) => {
                // The branch is anybody's between two runs: what was in it can be brought back by this.
                let name = format!("refs/tress/{}/integrated", self.run.name());
                if let Err(error) = self.tree.keep(&name, &merged).await {
                    tracing::warn!(%error, "what is integrated is kept by the branch alone");
                }
                return Ok(true);
            }
            Err(Refused::Condition(refused)) => refused,
            Err(Refused::Error(error)) => return Err(error.into()),
        };
        tracing::warn!(%todo, %refused, "work was merged that no longer counts");
        let branch = &self.options.branch;
        if let Some(back) = back
            && self.tree.move_branch(branch, &back, &merged).await.is_ok()
        {
            return Ok(false);
        }
        coordinator.one(stray(&name, todo, branch, &merged)).await?;
        Ok(false)
    }

    async fn refuse(
        &self,
        todo: TodoId,
        completion: Dot,
        reason: String,
    ) -> Result<bool, RunError> {
        let state = self.run.state();
        let escalates = state.todo(todo).is_some_and(|found| {
            let made = found.completions.iter().find(|made| made.dot == completion);
            let agent = made.map(|made| made.agent.as_ref()).unwrap_or_default();
            self.escalates(&state, found, agent, FailureClass::Logic)
        });
        let escalation = escalates.then(|| self.escalation(todo, reason.clone()));
        let mut operations = vec![Operation::IntegrationFailed { todo, completion, reason }];
        operations.extend(escalation.into_iter().flatten());
        self.coordinator().append(operations).await?;
        Ok(false)
    }
}
