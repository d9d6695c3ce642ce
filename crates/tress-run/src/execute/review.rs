//! Review: claims of completion are verified by another agent, and verified work is integrated.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tress::operation::{Severity, Verdict};
use tress::{Dot, Operation, Role, Todo, TodoId};

use super::orchestrator::{COORDINATOR, RunError, Team, VERIFIER};
use crate::git::{GitError, Signature, Tree};
use crate::verify::{self, Claim, Terms};

const LOOK_AGAIN: Duration = Duration::from_millis(250);

/// The line in a merge's message that ties it to the log.
fn trailer(completion: Dot) -> String {
    format!("Tress-Completion: {completion}")
}

/// The work trees that a review uses.
pub(super) const TREES: [&str; 2] = [VERIFY, INTEGRATE];
const VERIFY: &str = "verify";
const INTEGRATE: &str = "integrate";

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
    let verifier = team.run.agent(VERIFIER, Role::Verifier);
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

/// Verified work first, so that others can build on it.
fn next(team: &Team) -> Option<Next> {
    let state = team.run.state();
    let ours = |c: &&tress::state::todo::Completion| c.to_integrate && c.commit.is_some();
    let verified = state
        .todos
        .values()
        .find_map(|todo| todo.verified().filter(ours).map(|c| Next::Integrate(todo.id, c.dot)));
    let pending = || {
        let pending = state.todos.values().filter(|todo| !todo.finished()).filter_map(|todo| {
            todo.pending_completion().filter(ours).map(|c| (c.at, todo.id, c.dot))
        });
        pending.min().map(|(_, todo, completion)| Next::Verify(todo, completion))
    };
    verified.or_else(pending)
}

impl Team {
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
        let verifier = self.run.agent(VERIFIER, Role::Verifier);
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
        verifier.append(operations).await?;
        Ok(())
    }

    /// Merges verified work into the run's branch, checks it there, and only then moves the
    /// branch; whether it did.
    async fn integrate(&self, todo: TodoId, completion: Dot) -> Result<bool, RunError> {
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
            return self.integrated(todo, completion, commit).await;
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
        if let Err(error) = self.tree.move_branch(branch, &merged, &head).await {
            if self.tree.commit(branch).await? == head {
                return Err(error.into());
            }
            // Somebody else moved the branch meanwhile: merge with what is there now.
            return Ok(false);
        }
        self.integrated(todo, completion, merged).await
    }

    async fn integrated(
        &self,
        todo: TodoId,
        completion: Dot,
        commit: String,
    ) -> Result<bool, RunError> {
        let state = self.run.state();
        let name = state.name(todo);
        let mut operations = vec![Operation::Integrated { todo, completion, commit }];
        for kind in ["false-completion", "escalated"] {
            let alert = format!("{kind}:{name}");
            if state.team.alerts.get(&alert).is_some_and(|alert| alert.cleared_at.is_none()) {
                operations.push(Operation::AlertCleared { alert });
            }
        }
        self.coordinator().append(operations).await?;
        Ok(true)
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
