//! Review: claims of completion are answered by agents who did not do the work.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use tokio::sync::watch;
use tress::operation::{
    EdgeKind, FailureClass, ProseField, ProseTarget, Severity, TodoEdit, Verdict,
};
use tress::state::todo::Completion;
use tress::{Agent, Dot, Operation, Refused, Role, State, Todo, TodoId, When, verifiable};

use super::orchestrator::{RunError, Team, VERIFIER};
use crate::git::Tree;
use crate::verify::bench::Bench;
use crate::verify::{self, Claim, Report, Terms};

/// The fields by which work is judged.
const TERMS: [&str; 2] = ["check", "files"];
const LOOK_AGAIN: Duration = Duration::from_millis(250);
/// How many of the gaps of one claim become subtasks.
const SUBTASKS_MAX: usize = 12;
/// The kind of those subtasks.
pub const GAP: &str = "gap";

/// Whether a claim of completion is one that the team answers: a person's is left to a person.
pub(super) fn ours(completion: &&Completion) -> bool {
    completion.to_integrate && completion.commit.is_some()
}

/// The name of the `number`th verifier, from 1.
fn verifier(number: u32) -> String {
    if number == 1 { VERIFIER.to_owned() } else { format!("{VERIFIER}-{number}") }
}

/// One verifier, until the implementers have `finished` and nothing is left to verify, or the team
/// is stopped.
pub(super) async fn verify(
    team: Arc<Team>,
    number: u32,
    mut finished: watch::Receiver<bool>,
) -> Result<(), RunError> {
    let agent = team.run.agent(&verifier(number), Role::Verifier);
    let about = "holds each claim of completion against five layers of evidence".to_owned();
    agent.append([Operation::AgentJoined { capabilities: Vec::new(), about }]).await?;
    let mut updates = team.run.updates();
    while !team.stopped() {
        match team.next_to_verify(&agent) {
            Some((todo, completion)) => {
                let verified = team.verify(&agent, todo, completion).await;
                team.put_down(completion);
                verified?;
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
    agent.append([Operation::AgentLeft { reason: "nothing is left".to_owned() }]).await?;
    Ok(())
}

impl Team {
    /// The claim of completion that has waited longest and that no other verifier is at.
    fn next_to_verify(&self, verifier: &Agent) -> Option<(TodoId, Dot)> {
        let state = self.run.state();
        let mut reviewing = self.reviewing.lock().unwrap_or_else(PoisonError::into_inner);
        let pending = state.todos.unfinished().filter_map(|todo| {
            let pending =
                todo.pending_completion().filter(ours).filter(|_| self.concerns(todo.id))?;
            let author = verifier.author();
            let open = verifiable(&state, todo.id, pending.dot, author).is_ok();
            (open && !reviewing.contains(&pending.dot)).then_some((
                pending.at,
                todo.id,
                pending.dot,
            ))
        });
        let (_, todo, completion) = pending.min()?;
        reviewing.insert(completion);
        Some((todo, completion))
    }

    fn put_down(&self, completion: Dot) {
        let mut reviewing = self.reviewing.lock().unwrap_or_else(PoisonError::into_inner);
        reviewing.remove(&completion);
    }

    pub(super) fn env(&self) -> Vec<(String, String)> {
        let dir = self.run.store_dir().to_string_lossy().into_owned();
        [("TRESS_RUN", self.run.name().to_owned()), ("TRESS_DIR", dir)]
            .map(|(name, value)| (name.to_owned(), value))
            .into()
    }

    /// The bench on which work is tested in `tree`.
    pub(super) fn bench<'a>(
        &'a self,
        tree: &'a Tree,
        env: &'a [(String, String)],
        pid_file: &'a Path,
        stop: &'a (dyn Fn() -> verify::bench::Stopping<'a> + Sync),
    ) -> Bench<'a> {
        Bench { tree, env, timeout: self.options.check_timeout, pid_file: Some(pid_file), stop }
    }

    /// The command that must succeed for `todo`.
    pub(super) fn check_of<'a>(&'a self, todo: &'a Todo) -> Option<&'a str> {
        todo.check.as_deref().or(self.options.check.as_deref())
    }

    /// Verifies one claim of completion, and says in the log what was seen.
    async fn verify(
        &self,
        verifier: &Agent,
        todo: TodoId,
        completion: Dot,
    ) -> Result<(), RunError> {
        let state = self.run.state();
        let Some(found) = state.todo(todo) else {
            return Ok(());
        };
        let claimed = found.completions.iter().find(|c| c.dot == completion);
        let Some((claimed, commit)) =
            claimed.and_then(|claimed| Some((claimed, claimed.commit.clone()?)))
        else {
            return Ok(());
        };
        let mut operations: Vec<Operation> = Vec::new();
        let report = match self.own_terms(found, claimed).await? {
            Some((what, put_back)) => {
                operations.extend(put_back);
                let who = &claimed.agent;
                Report::refused(format!("{who} changed {what} of what it had claimed itself"))
            }
            None => self.hold_against(verifier, found, &commit).await?,
        };
        if self.stopped() {
            // What was interrupted says nothing; it is verified after the resume.
            return Ok(());
        }
        operations.extend(report.checks.iter().map(|check| Operation::CheckRecorded {
            todo,
            completion,
            check: check.clone(),
        }));
        operations.push(Operation::Verified {
            todo,
            completion,
            verdict: report.verdict,
            reason: report.reason.clone(),
            percent: report.percent,
            gaps: report.gaps.clone(),
        });
        if report.verdict == Verdict::Pass {
            for path in &report.changed {
                let blob = self.tree.blob(&commit, path).await;
                operations.push(Operation::ArtifactRecorded { todo, path: path.clone(), blob });
            }
            operations.extend(close_subtasks(&state, todo));
        } else {
            let name = state.name(todo);
            let who = &claimed.agent;
            operations.push(Operation::AlertRaised {
                alert: format!("false-completion:{name}"),
                priority: Severity::Medium,
                message: format!("{who} claimed {name} as done, and it is not: {}", report.reason),
                todo: Some(todo),
            });
            operations.extend(subtasks(&state, found, &report));
            if self.escalates(&state, found, who, FailureClass::Logic) {
                operations.extend(self.escalation(todo, format!("{who}: {}", report.reason)));
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

    /// What of the terms it is judged by the claimant changed itself since it claimed the todo, and
    /// what puts that back; nothing where it left them alone.
    async fn own_terms(
        &self,
        todo: &Todo,
        made: &Completion,
    ) -> Result<Option<(String, Vec<Operation>)>, RunError> {
        let Some(token) = made.token else { return Ok(None) };
        let Ok(claimed) = self.run.event(&token.to_string()).await else { return Ok(None) };
        let since = self.run.events_since(claimed.version()).await?;
        let own = since.iter().filter(|event| event.author.name == made.agent);
        let own = own.filter(|event| event.operation.todo() == Some(todo.id));
        let terms: BTreeSet<&str> = own
            .flat_map(|event| match &event.operation {
                Operation::TodoEdited { edits, .. } => edits
                    .iter()
                    .map(TodoEdit::field)
                    .filter(|field| TERMS.contains(field))
                    .collect(),
                Operation::ProseEdited {
                    target: ProseTarget::Todo(_, field @ ProseField::Acceptance),
                    ..
                } => vec![field.name()],
                _ => Vec::new(),
            })
            .collect();
        if terms.is_empty() {
            return Ok(None);
        }
        let then = self.run.state_at(When::Event(token)).await?;
        let mut edits = Vec::new();
        if let Some(then) = then.todo(todo.id) {
            for like in [TodoEdit::Check(None), TodoEdit::Files(Vec::new())] {
                let (old, new) = (then.value(&like), todo.value(&like));
                if old != new && terms.contains(old.field()) {
                    edits.push(old);
                }
            }
        }
        let put_back = if edits.is_empty() {
            Vec::new()
        } else {
            vec![Operation::TodoEdited { todo: todo.id, edits }]
        };
        Ok(Some((terms.into_iter().collect::<Vec<_>>().join(" and "), put_back)))
    }

    /// Looks at the claimed commit in a clean work tree of the verifier's own.
    async fn hold_against(
        &self,
        verifier: &Agent,
        todo: &Todo,
        commit: &str,
    ) -> Result<Report, RunError> {
        let Ok(commit) = self.tree.commit(commit).await else {
            return Ok(Report::refused(format!("there is no commit {commit}")));
        };
        // Everything that the branch does not have is judged, wherever the agent says it began.
        let base = self.tree.merge_base(&self.options.branch, &commit).await?;
        let tree = self.tree.worktree(&self.work.join(verifier.name()), &commit, None).await?;
        let (env, pid_file) = (self.env(), self.tasks.join(format!("{}.pid", verifier.name())));
        let stop = || -> verify::bench::Stopping<'_> { Box::pin(self.stopping()) };
        let bench = self.bench(&tree, &env, &pid_file, &stop);
        let state = self.run.state();
        let terms = Terms {
            check: self.check_of(todo),
            tests: self.options.tests.as_deref(),
            lint: &self.options.lint,
            thorough: self.thorough(todo),
            used_later: state.dependents(todo.id).any(|id| {
                state.todo(id).is_some_and(|other| !other.finished() && other.kind != GAP)
            }),
        };
        let claim = Claim { todo, base: &base, commit: &commit, terms };
        Ok(verify::verify(bench, claim).await?)
    }
}

/// The id of the subtask that a verifier makes of a gap of `todo`; the same for the same gap.
fn subtask(todo: &Todo, gap: &str) -> TodoId {
    TodoId::from_external(&format!("{}/gap/{gap}", todo.id))
}

/// The gaps of a refused claim as subtasks: they are seen with the todo and done with it, so nobody
/// takes them by themselves.
fn subtasks(state: &State, todo: &Todo, report: &Report) -> Vec<Operation> {
    let mut operations = Vec::new();
    for gap in report.gaps.iter().take(SUBTASKS_MAX) {
        let id = subtask(todo, gap);
        if state.todo(id).is_some() {
            continue;
        }
        let title: String = gap.lines().next().unwrap_or(gap).chars().take(200).collect();
        if title.trim().is_empty() {
            continue;
        }
        operations.push(Operation::TodoAdded {
            todo: id,
            external_id: None,
            title,
            edits: vec![
                TodoEdit::Kind(GAP.to_owned()),
                TodoEdit::Priority(todo.priority),
                TodoEdit::Ephemeral(true),
            ],
            prose: Vec::new(),
            labels: Vec::new(),
            layout: None,
        });
        operations.push(Operation::DependencyAdded {
            todo: id,
            on: todo.id,
            external_id: None,
            kind: EdgeKind::ParentChild,
            layout: None,
        });
    }
    operations
}

/// Closes what is left of the subtasks that verifiers made of `todo`, since it is accepted.
fn close_subtasks(state: &State, todo: TodoId) -> Vec<Operation> {
    let gap = |id: &TodoId| {
        let child = state.todo(*id).filter(|child| child.kind == GAP && !child.finished());
        child.is_some_and(|_| {
            state.edges(*id).iter().any(|e| e.on == todo && e.kind == EdgeKind::ParentChild)
        })
    };
    let open = state.dependents(todo).filter(gap);
    let reason = "the work was accepted";
    open.map(|todo| Operation::Closed { todo, reason: reason.to_owned() }).collect()
}
