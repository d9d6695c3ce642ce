//! Implementers: each claims what fits, works on it in a work tree of its own, and hands it in,
//! until nothing is left.

use std::sync::Arc;
use std::time::Duration;

use tress::operation::{BlockerKind, Check, FailureClass, Layer, Severity, Verdict};
use tress::{
    Agent, Claimed, Dot, Operation, Refused, Role, Start, State, TodoId, WorkRefused, now,
};
use tress_plan as plan;

use super::decide::STUCK;
use super::driver::{Task, prompt};
use super::orchestrator::{RunError, Team};
use super::process::{Ending, Finished};
use crate::git::{GitError, Signature, Tree};

/// The longest wait between two looks at the state, for what only time brings: retries, leases.
const LOOK_AGAIN: Duration = Duration::from_millis(250);

/// One implementer, until nothing is left.
pub(super) async fn implement(team: Arc<Team>, number: u32) -> Result<(), RunError> {
    let agent = team.run.agent(&plan::implementer(number), Role::Implementer);
    let (capabilities, about) = (team.options.capabilities(number), team.options.command.clone());
    agent.append([Operation::AgentJoined { capabilities, about }]).await?;
    let mut updates = team.run.updates();
    let reason = loop {
        if team.stopped() {
            break "stopped";
        }
        match team.take(&agent, number).await {
            Ok(claims) => {
                if claims.iter().any(|claim| !claim.losses.is_empty()) {
                    team.tell(&agent).await?;
                }
                team.work(&agent, claims).await?;
            }
            Err(Refused::Error(error)) => return Err(error.into()),
            Err(Refused::Condition(_)) => {
                if let Some(reason) = team.why_leave() {
                    if reason == STUCK {
                        team.say_why().await?;
                    }
                    break reason;
                }
                tokio::select! {
                    _ = updates.changed() => {}
                    () = tokio::time::sleep(LOOK_AGAIN) => {}
                    () = team.stopping() => {}
                }
            }
        }
    };
    team.tell(&agent).await?;
    agent.append([Operation::AgentLeft { reason: reason.to_owned() }]).await?;
    Ok(())
}

/// Work that is being handed in.
struct Work<'a> {
    agent: &'a Agent,
    task: &'a Task,
    tree: &'a Tree,
}

impl Team {
    /// Claims what the planner picks for the agent.
    async fn take(
        &self,
        agent: &Agent,
        number: u32,
    ) -> Result<Vec<Claimed>, Refused<tress::ClaimRefused>> {
        let picker = self.picker(agent, self.options.capabilities(number));
        agent.claim_chosen(&self.coordinator(), Some(self.options.lease_ms()), picker).await
    }

    /// Works on claimed todos in one work tree.
    async fn work(&self, agent: &Agent, mut claims: Vec<Claimed>) -> Result<(), RunError> {
        let state = self.run.state();
        let risky = |claim: &&Claimed| state.todo(claim.todo).is_some_and(|todo| todo.high_risk);
        if let Some(claim) = claims.iter().find(risky) {
            let reason = format!("before {}", state.name(claim.todo));
            self.coordinator().checkpoint("high-risk", &reason).await?;
        }
        let base = self.tree.commit(&self.options.branch).await?;
        let dir = self.work.join(agent.name());
        let tree = self.tree.worktree(&dir, &base, None).await?;
        for claim in std::mem::take(&mut claims) {
            let start = Start { base: Some(base.clone()), ..Start::default() };
            match agent.begin(&claim, start).await {
                Ok(_) => claims.push(claim),
                Err(Refused::Condition(refused)) => {
                    self.lost(agent, &claim, None, &refused).await?
                }
                Err(Refused::Error(error)) => return Err(error.into()),
            }
        }
        if let Some(first) = claims.first() {
            self.go_on(agent, first.todo, &tree).await?;
            let task = self.task(agent.name(), &claims, &tree);
            let stop = Box::pin(self.interrupted(first.todo, first.token));
            let finished = tokio::select! {
                finished = self.driver.work(&task, stop) => finished,
                error = self.keep_alive(agent, &claims) => return Err(error),
            };
            self.hand_in(Work { agent, task: &task, tree: &tree }, &claims, finished).await?;
        }
        self.tree.remove_worktree(&dir).await;
        Ok(())
    }

    /// Brings the work of an attempt that was refused, but was worth something, into the tree. What
    /// does not merge any more is begun anew.
    async fn go_on(&self, agent: &Agent, todo: TodoId, tree: &Tree) -> Result<(), RunError> {
        let state = self.run.state();
        let Some(commit) = worth_keeping(&state, todo) else { return Ok(()) };
        let by = Signature { name: agent.name().to_owned() };
        let message = format!("Goes on from the attempt {commit}");
        match tree.merge(&by, &commit, &message).await {
            Ok(_) | Err(GitError::Conflict(_) | GitError::Failed { .. }) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    fn task(&self, agent: &str, claims: &[Claimed], tree: &Tree) -> Task {
        let state = self.run.state();
        let todos: Vec<TodoId> = claims.iter().map(|claim| claim.todo).collect();
        let found: Vec<_> = todos.iter().filter_map(|&id| state.todo(id)).collect();
        let first = found.first();
        let id = todos.first().map(|&id| state.name(id)).unwrap_or_default();
        let default = self.options.check.as_deref();
        let prompts: Vec<String> = todos.iter().map(|&id| prompt(&state, id, default)).collect();
        let mut checks: Vec<String> = found.iter().filter_map(|todo| todo.check.clone()).collect();
        checks.dedup();
        let section = first.and_then(|todo| todo.section.clone()).and_then(|key| {
            let section = state.design.sections.get(&key)?;
            Some((key, section.body.text()))
        });
        let mut files: Vec<String> = found.iter().flat_map(|todo| todo.files.clone()).collect();
        files.sort();
        files.dedup();
        let tries = todos.iter().map(|&id| plan::all_tries(&state, id)).max();
        Task {
            agent: agent.to_owned(),
            run: self.run.name().to_owned(),
            title: first.map(|todo| todo.title.clone()).unwrap_or_default(),
            prompt: prompts.join("\n---\n\n"),
            files,
            section,
            check: match checks.as_slice() {
                [] => self.options.check.clone(),
                checks => Some(checks.join(" && ")),
            },
            attempt: tries.unwrap_or(0) + 1,
            also: todos.iter().skip(1).map(|&id| state.name(id)).collect(),
            worktree: tree.dir().to_owned(),
            store: self.run.store_dir().to_owned(),
            dir: self.tasks.join(id.replace(['/', '\\', '.'], "-")),
            id,
            timeout: self.options.agent_timeout,
        }
    }

    /// Renews the leases while the agent works; ends only with an error.
    async fn keep_alive(&self, agent: &Agent, claims: &[Claimed]) -> RunError {
        loop {
            tokio::time::sleep(self.options.lease / 3).await;
            for claim in claims {
                match agent.renew(claim, Some(self.options.lease_ms())).await {
                    // Whoever waits for the end of the claim sees that, and ends the work.
                    Ok(_) | Err(Refused::Condition(_)) => {}
                    Err(Refused::Error(error)) => return error.into(),
                }
            }
        }
    }

    /// Ready when the work must end: the team stops, or the claim is not the agent's any more.
    async fn interrupted(&self, todo: TodoId, token: Dot) {
        let mut updates = self.run.updates();
        let lost = async {
            loop {
                let state = self.run.state();
                let claim = state.todo(todo).and_then(|todo| todo.claim.as_deref());
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

    /// Turns how the agent's process ended into what the log says, for each todo.
    async fn hand_in(
        &self,
        work: Work<'_>,
        claims: &[Claimed],
        finished: Finished,
    ) -> Result<(), RunError> {
        let Work { agent, task, tree } = work;
        let mut failed_to_commit = None;
        if finished.success() {
            match self.commit(&work, claims).await? {
                Ok(commit) => return self.say_done(&work, claims, &commit, &finished).await,
                Err(message) => failed_to_commit = Some(message),
            }
        }
        for claim in claims {
            // What the agent reported from its own process comes before what came of it.
            let state = self.run.refresh().await?;
            let answer = match claim.check(&state, agent.name()) {
                Err(refused) => Err(Refused::Condition(refused)),
                Ok(()) => match &failed_to_commit {
                    Some(message) => {
                        let class = FailureClass::Logic;
                        self.failed(agent, claim, task, class, message.clone()).await
                    }
                    None if finished.ending == Ending::Stopped => {
                        let why = ("stopped", "the team was stopped");
                        self.keep_aside(agent, claim, (task, tree), why).await;
                        agent.release(claim, "the team was stopped").await.map(|_| ())
                    }
                    None => {
                        let (class, message) = self.symptoms(&finished);
                        self.failed(agent, claim, task, class, message).await
                    }
                },
            };
            match answer {
                Ok(()) => {}
                Err(Refused::Condition(refused)) => {
                    self.lost(agent, claim, Some((task, tree)), &refused).await?;
                }
                Err(Refused::Error(error)) => return Err(error.into()),
            }
        }
        Ok(())
    }

    /// Commits what is in the work tree, and keeps that under a name for each todo; says why where
    /// it cannot be committed.
    async fn commit(
        &self,
        work: &Work<'_>,
        claims: &[Claimed],
    ) -> Result<Result<String, String>, RunError> {
        let Work { agent, task, tree } = work;
        let by = Signature { name: agent.name().to_owned() };
        let also = task.also.iter().map(|id| format!("Tress-Todo: {id}\n"));
        let message = format!(
            "{}\n\nTress-Todo: {}\n{}Tress-Agent: {}",
            task.title,
            task.id,
            also.collect::<String>(),
            agent.name()
        );
        if !tree.is_beside(&self.tree).await {
            let why =
                "its work tree is no longer one of the repository: it was removed, or made another";
            return Ok(Err(why.to_owned()));
        }
        let head = tree.commit("HEAD").await;
        let base = match &head {
            Ok(head) => self.tree.merge_base(&self.options.branch, head).await?,
            Err(error) => return Ok(Err(format!("its work cannot be committed: {error}"))),
        };
        let whole = match tree.commit_whole(&by, &message, &base).await {
            Ok(whole) => whole,
            Err(error) => return Ok(Err(format!("its work cannot be committed: {error}"))),
        };
        self.keep_trees(&task.run, &whole).await?;
        if let Some(text) = whole.remark(agent.name()) {
            let note = |claim: &Claimed| Operation::NoteAdded {
                todo: claim.todo,
                text: text.clone(),
                layout: None,
            };
            agent.append(claims.iter().map(note)).await?;
        }
        let commit = whole.commit;
        for claim in claims {
            let name = format!("refs/tress/{}/{}-{}", task.run, claim.todo, task.attempt);
            self.tree.keep(&name, &commit).await?;
        }
        Ok(Ok(commit))
    }

    /// Says that the work is done, as `commit`: all todos of it at once, or those that are the
    /// agent's still.
    async fn say_done(
        &self,
        work: &Work<'_>,
        claims: &[Claimed],
        commit: &str,
        finished: &Finished,
    ) -> Result<(), RunError> {
        let Work { agent, task, tree } = work;
        // What the agent reported from its own process comes before what came of it.
        self.run.refresh().await?;
        let (all, name) = (claims.to_vec(), agent.author().name.clone());
        let (commit, said) = (commit.to_owned(), last_line(finished.tail()));
        let completed = move |claim: &Claimed| Operation::CompletionClaimed {
            todo: claim.todo,
            token: Some(claim.token),
            commit: Some(commit.clone()),
            to_integrate: true,
            implementation: said.clone(),
            tests: String::new(),
            integration: String::new(),
        };
        let appended = agent.append_if(move |state| {
            let held = all.iter().filter(|claim| claim.check(state, &name).is_ok());
            let said: Vec<Operation> = held.map(&completed).collect();
            if said.is_empty() { Err(()) } else { Ok(said) }
        });
        let events = match appended.await {
            Ok(events) => events,
            Err(Refused::Condition(())) => Vec::new(),
            Err(Refused::Error(error)) => return Err(error.into()),
        };
        let said = |todo| events.iter().any(|event| event.operation.todo() == Some(todo));
        let state = self.run.state();
        for claim in claims.iter().filter(|claim| !said(claim.todo)) {
            if let Err(refused) = claim.check(&state, agent.name()) {
                self.lost(agent, claim, Some((task, tree)), &refused).await?;
            }
        }
        Ok(())
    }

    /// Gives a todo back after an attempt in vain; the next is the later the more there were.
    async fn failed(
        &self,
        agent: &Agent,
        claim: &Claimed,
        task: &Task,
        class: FailureClass,
        message: String,
    ) -> Result<(), Refused<WorkRefused>> {
        let (todo, token) = (claim.todo, claim.token);
        let retry_at = Some(now().saturating_add(self.backoff(task.attempt, token)));
        let latest = format!("{}: {message}", agent.name());
        let failed = Operation::AttemptFailed { todo, token, class, message, retry_at };
        let mut drafts = vec![agent.draft(failed)];
        let coordinator = self.coordinator();
        let state = self.run.state();
        let escalates = state
            .todo(todo)
            .is_some_and(|found| self.escalates(&state, found, agent.name(), class));
        let escalation = escalates.then(|| self.escalation(todo, latest)).into_iter().flatten();
        drafts.extend(escalation.map(|operation| coordinator.draft(operation)));
        let (under, name) = (claim.clone(), agent.author().name.clone());
        let appended = self.run.append_if(move |state| under.check(state, &name).map(|()| drafts));
        appended.await.map(|_| ())
    }

    /// What hands a todo to a person after `latest`, an attempt in vain. Goes into the log with that
    /// attempt, so that nobody takes the todo in between.
    pub(super) fn escalation(&self, todo: TodoId, latest: String) -> Vec<Operation> {
        let state = self.run.state();
        let Some(found) = state.todo(todo) else { return Vec::new() };
        if found.finished() || found.open_blockers().next().is_some() {
            return Vec::new();
        }
        let tries = plan::all_tries(&state, todo) + 1;
        let failed = found.failures.iter().map(|f| format!("{}: {}", f.agent, f.message));
        let refused = found.completions.iter().filter_map(|completion| {
            completion.void.as_ref().map(|why| format!("{}: {why}", completion.agent))
        });
        let tried = failed.chain(refused).chain([latest.clone()]).collect();
        let name = state.name(todo);
        let attempts = if tries == 1 { "attempt" } else { "attempts" };
        let last: String = latest.lines().next().unwrap_or_default().chars().take(200).collect();
        let description = format!("{tries} {attempts} in vain, the last by {last}");
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

/// The commit of the last attempt at a todo, where a verifier refused it and found it to be there and
/// whole: what is missing is use, quality or tests. A stub is begun anew.
fn worth_keeping(state: &State, todo: TodoId) -> Option<String> {
    let last = state.todo(todo)?.completions.last()?;
    last.verification.as_ref().filter(|given| given.verdict != Verdict::Pass)?;
    let there = |check: &Check| check.verdict == Verdict::Pass || check.layer > Layer::Completeness;
    let whole = !last.checks.is_empty() && last.checks.iter().all(there);
    let commit = last.commit.clone().filter(|_| whole)?;
    // What was done along with it may be worth nothing, and would come with it.
    let mut others = state.todos.values().filter(|other| other.id != todo);
    let shared = others
        .any(|other| other.completions.iter().any(|made| made.commit.as_ref() == Some(&commit)));
    (!shared).then_some(commit)
}

fn last_line(text: &str) -> String {
    let last = text.lines().rev().find(|line| !line.trim().is_empty()).unwrap_or_default();
    last.trim().chars().take(300).collect()
}
