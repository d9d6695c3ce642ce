//! Review: claims of completion are verified by another agent, and verified work is integrated.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tress::operation::{Severity, Verdict};
use tress::{Agent, Dot, Operation, Refused, Role, Todo, TodoId, integrable, verifiable};

use super::orchestrator::{COORDINATOR, RunError, Team, VERIFIER};
use crate::git::{GitError, Signature, Tree};
use crate::verify::{self, Claim, Terms};

const LOOK_AGAIN: Duration = Duration::from_millis(250);

/// The line in a merge's message that ties it to the log.
pub(super) fn trailer(completion: Dot) -> String {
    format!("Tress-Completion: {completion}")
}

/// The work trees that a review uses.
pub(super) const TREES: [&str; 2] = [VERIFY, INTEGRATE];
const VERIFY: &str = "verify";
const INTEGRATE: &str = "integrate";

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

/// What there is to do.
enum Next {
    Verify(TodoId, Dot),
    Integrate(TodoId, Dot),
}

/// Verifies and integrates until the implementers have `finished` and nothing is left to review,
/// or the team is stopped.
pub(super) async fn review(
    team: Arc<Team>,
    mut finished: watch::Receiver<bool>,
) -> Result<(), RunError> {
    let verifier = team.verifier();
    let about = "runs what each todo names, in a clean work tree".to_owned();
    verifier.append([Operation::AgentJoined { capabilities: Vec::new(), about }]).await?;
    let mut updates = team.run.updates();
    let mut since_checkpoint = 0;
    while !team.stopped() {
        match next(&team) {
            Some(Next::Verify(todo, completion)) => {
                team.verify(todo, completion).await?;
            }
            Some(Next::Integrate(todo, completion)) => {
                if team.integrate(todo, completion).await? {
                    since_checkpoint += 1;
                    if since_checkpoint >= team.options.checkpoint_every {
                        since_checkpoint = 0;
                        let every = team.options.checkpoint_every;
                        let reason = format!("{every} more todos completed");
                        team.coordinator().checkpoint("progress", &reason).await?;
                        team.seal().await;
                    }
                }
            }
            None if *finished.borrow() => break,
            None => {
                tokio::select! {
                    _ = updates.changed() => {}
                    _ = finished.changed() => {}
                    () = tokio::time::sleep(LOOK_AGAIN) => {}
                    () = team.stopping() => {}
                }
            }
        }
    }
    verifier.append([Operation::AgentLeft { reason: "nothing is left".to_owned() }]).await?;
    Ok(())
}

/// Verified work first, so that others can build on it. What would be refused is left alone.
fn next(team: &Team) -> Option<Next> {
    let state = team.run.state();
    let verifier = team.verifier();
    let ours = |c: &&tress::state::todo::Completion| c.to_integrate && c.commit.is_some();
    let verified = state.todos.values().find_map(|todo| {
        let verified = todo.verified().filter(ours);
        let verified = verified.filter(|c| integrable(&state, todo.id, c.dot).is_ok());
        verified.map(|c| Next::Integrate(todo.id, c.dot))
    });
    let pending = || {
        let pending = state.todos.values().filter(|todo| !todo.finished()).filter_map(|todo| {
            let pending = todo.pending_completion().filter(ours);
            let author = verifier.author();
            let pending = pending.filter(|c| verifiable(&state, todo.id, c.dot, author).is_ok());
            pending.map(|c| (c.at, todo.id, c.dot))
        });
        pending.min().map(|(_, todo, completion)| Next::Verify(todo, completion))
    };
    verified.or_else(pending)
}

impl Team {
    fn verifier(&self) -> Agent {
        self.run.agent(VERIFIER, Role::Verifier)
    }

    async fn review_tree(&self, name: &str, commit: &str) -> Result<Tree, RunError> {
        let dir = self.work.join(name);
        Ok(self.tree.worktree(&dir, commit, None).await?)
    }

    fn env(&self) -> Vec<(String, String)> {
        let dir = self.run.store_dir().to_string_lossy().into_owned();
        [("TRESS_RUN", self.run.name().to_owned()), ("TRESS_DIR", dir)]
            .map(|(name, value)| (name.to_owned(), value))
            .into()
    }

    /// How the check of a todo is run.
    fn terms<'a>(&'a self, todo: &'a Todo, pid_file: &'a Path) -> Terms<'a> {
        Terms {
            command: todo.check.as_deref().or(self.options.check.as_deref()),
            timeout: self.options.check_timeout,
            pid_file: Some(pid_file),
        }
    }

    /// Verifies one claim of completion, and says in the log what was seen.
    async fn verify(&self, todo: TodoId, completion: Dot) -> Result<(), RunError> {
        let state = self.run.state();
        let Some(found) = state.todo(todo) else {
            return Ok(());
        };
        let claimed = found.completions.iter().find(|c| c.dot == completion);
        let Some(commit) = claimed.and_then(|claimed| claimed.commit.clone()) else {
            return Ok(());
        };
        let verifier = self.verifier();
        let base = found.claim.as_ref().and_then(|claim| claim.base.clone());
        let base = base.unwrap_or_else(|| self.options.branch.clone());
        let reviewed = match self.tree.commit(&commit).await {
            Err(_) => Err(GitError::Failed {
                command: "rev-parse".to_owned(),
                message: format!("there is no commit {commit}"),
            }),
            Ok(commit) => {
                let tree = self.review_tree(VERIFY, &commit).await?;
                let pid_file = self.tasks.join(format!("{VERIFY}.pid"));
                let terms = self.terms(found, &pid_file);
                let claim = Claim { todo: found, base: &base, commit: &commit, terms };
                verify::verify(&tree, claim, &self.env(), self.stopping()).await
            }
        };
        if self.stopped() {
            // What was interrupted says nothing; it is verified after the resume.
            return Ok(());
        }
        let report = match reviewed {
            Ok(report) => report,
            Err(error) => verify::Report {
                checks: Vec::new(),
                verdict: Verdict::Fail,
                reason: error.to_string(),
                percent: 0,
                gaps: vec![error.to_string()],
                changed: Vec::new(),
            },
        };
        let mut operations: Vec<Operation> = Vec::new();
        operations.extend(report.checks.into_iter().map(|check| Operation::CheckRecorded {
            todo,
            completion,
            check,
        }));
        operations.push(Operation::Verified {
            todo,
            completion,
            verdict: report.verdict,
            reason: report.reason.clone(),
            percent: report.percent,
            gaps: report.gaps,
        });
        if report.verdict != Verdict::Pass {
            let name = state.name(todo);
            let who = claimed.map(|claimed| claimed.agent.to_string()).unwrap_or_default();
            operations.push(Operation::AlertRaised {
                alert: format!("false-completion:{name}"),
                priority: Severity::Medium,
                message: format!("{who} claimed {name} as done, and it is not: {}", report.reason),
                todo: Some(todo),
            });
            operations.extend(self.escalation(todo, format!("{who}: {}", report.reason)));
        } else {
            let changed = report.changed.into_iter();
            for path in changed {
                let blob = self.tree.blob(&commit, &path).await;
                operations.push(Operation::ArtifactRecorded { todo, path, blob });
            }
        }
        let author = verifier.author().clone();
        let answered = verifier
            .append_if(move |state| {
                verifiable(state, todo, completion, &author).map(|()| operations)
            })
            .await;
        match answered {
            Ok(_) => Ok(()),
            Err(Refused::Condition(refused)) => {
                // It was taken back, or its claim turned out to be lost, while its check ran.
                tracing::info!(%todo, %refused, "a verdict came too late");
                Ok(())
            }
            Err(Refused::Error(error)) => Err(error.into()),
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
        let tree = self.review_tree(INTEGRATE, &head).await?;
        let name = state.name(todo);
        let agent = done.map(|done| done.agent.to_string()).unwrap_or_default();
        let message =
            format!("{name}: {}\n\nTress-Todo: {name}\nTress-Agent: {agent}\n{line}", found.title);
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
            let pid_file = self.tasks.join(format!("{INTEGRATE}.pid"));
            let terms = self.terms(found, &pid_file);
            let check = verify::run_check(tree.dir(), terms, &self.env(), self.stopping()).await;
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
            Ok(_) => return Ok(true),
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
        let escalation = self.escalation(todo, reason.clone());
        let mut operations = vec![Operation::IntegrationFailed { todo, completion, reason }];
        operations.extend(escalation);
        self.coordinator().append(operations).await?;
        Ok(false)
    }
}
