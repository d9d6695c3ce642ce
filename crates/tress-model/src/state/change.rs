//! How one event changes one todo: the rules about claims, completion, closing and edits.

use std::sync::Arc;

use super::fold::{Ruling, Rulings};
use super::todo::{
    Blocker, Claim, Closing, Completion, Failure, Note, Progress, Todo, Verification,
};
use crate::clock::Millis;
use crate::event::Event;
use crate::ids::Dot;
use crate::limits;
use crate::operation::{Operation, ProseField, ProseTarget, TodoEdit, Verdict};
use crate::rules::Rule;

/// The event at hand, while it changes one todo.
pub(super) struct Change<'a> {
    pub(super) event: &'a Event,
    pub(super) now: Millis,
    pub(super) at: Millis,
}

/// It is no longer meant for whom it was given to. What did not change stays shared.
fn unassign(todo: &mut Todo) {
    if todo.assigned.is_some() {
        todo.assigned = None;
    }
}

impl Change<'_> {
    fn agent(&self) -> &Arc<str> {
        &self.event.author.name
    }

    pub(super) fn apply(&self, todo: &mut Todo) -> Rulings {
        use Operation as O;
        match &self.event.operation {
            O::TodoAdded { external_id, title, edits, prose, labels, layout, .. } => {
                self.add_again(todo, external_id.as_ref(), title, edits, prose, labels, layout)
            }
            O::TodoEdited { edits, .. } => self.edit(todo, edits),
            O::ProseEdited { target: ProseTarget::Todo(_, field), splices } => {
                Arc::make_mut(todo.prose.entry(*field).or_default()).edit(self.event, splices);
                Vec::new()
            }
            O::LabelsChanged { added, removed, .. } => self.labels(todo, added, removed),
            O::NoteAdded { text, layout, .. } => {
                todo.notes.push(Arc::new(Note {
                    dot: self.event.dot,
                    agent: Arc::clone(self.agent()),
                    at: self.at,
                    text: text.clone(),
                    layout: layout.clone(),
                }));
                Vec::new()
            }
            O::Closed { reason, .. } => self.close(todo, reason),
            O::Reopened { .. } => self.reopen(todo),
            O::Deleted { reason, .. } => self.delete(todo, reason),
            O::Claimed { lease, scope, .. } => self.claim(todo, *lease, scope),
            O::Assigned { agent, .. } => {
                todo.assigned = Some(agent.clone());
                Vec::new()
            }
            O::BlockerRaised { kind, description, tried, .. } => {
                todo.blockers.push(Blocker {
                    dot: self.event.dot,
                    agent: Arc::clone(self.agent()),
                    at: self.at,
                    kind: *kind,
                    description: description.clone(),
                    tried: tried.clone(),
                    escalated: None,
                    resolved: None,
                });
                Vec::new()
            }
            O::BlockerResolved { blocker, resolution, .. } => {
                self.blocker(todo, *blocker, |blocker| blocker.resolved = Some(resolution.clone()))
            }
            O::BlockerEscalated { blocker, context, .. } => {
                self.blocker(todo, *blocker, |blocker| blocker.escalated = Some(context.clone()))
            }
            O::CompletionClaimed { token, .. } => self.complete(todo, *token),
            O::Verified { completion, .. } => self.verify(todo, *completion),
            O::CheckRecorded { completion, check, .. } => match todo.completion_mut(*completion) {
                Some(completion) => {
                    completion.checks.push(check.clone());
                    Vec::new()
                }
                None => vec![Ruling::precondition("there is no such claim of completion")],
            },
            O::Integrated { completion, commit, .. } => self.integrate(todo, *completion, commit),
            O::IntegrationFailed { completion, reason, .. } => {
                self.integration_failed(todo, *completion, reason)
            }
            O::ArtifactRecorded { path, blob, .. } => {
                todo.artifacts.insert(path.clone(), blob.clone());
                Vec::new()
            }
            O::RolledBack { what, .. } => self.roll_back(todo, what),
            O::Renewed { token, .. }
            | O::Released { token, .. }
            | O::TaskStarted { token, .. }
            | O::ProgressReported { token, .. }
            | O::AttemptFailed { token, .. }
            | O::ScopeReserved { token, .. } => self.under_claim(todo, *token),
            _ => Vec::new(),
        }
    }

    #[expect(clippy::too_many_arguments, reason = "the fields of one operation")]
    fn add_again(
        &self,
        todo: &mut Todo,
        external_id: Option<&String>,
        title: &str,
        edits: &[TodoEdit],
        prose: &[(ProseField, String)],
        labels: &[String],
        layout: &Option<String>,
    ) -> Rulings {
        if todo.external_id.is_none() {
            todo.external_id = external_id.cloned();
        }
        if layout.is_some() {
            todo.layout = layout.clone().into();
        }
        let mut rulings = self.edit(todo, &[TodoEdit::Title(title.to_owned())]);
        rulings.extend(self.edit(todo, edits));
        for (field, text) in prose {
            let prose = Arc::make_mut(todo.prose.entry(*field).or_default());
            if !prose.is(text) {
                prose.edit(self.event, &[prose.whole(self.event, text)]);
            }
        }
        rulings.extend(self.labels(todo, labels, &[]));
        rulings
    }

    /// Rule `field-merge`.
    fn edit(&self, todo: &mut Todo, edits: &[TodoEdit]) -> Rulings {
        let mut rulings = Vec::new();
        for edit in edits {
            let old = todo.set(edit);
            if matches!(edit, TodoEdit::UpdatedAt(_)) {
                continue;
            }
            let field = edit.field();
            let writers = todo.writers(field);
            let Some(old) = old else {
                writers.agree(self.event);
                continue;
            };
            rulings.extend(writers.replace(self.event).into_iter().map(|loser| Ruling {
                rule: Rule::FieldMerge,
                loser: Some(loser),
                winner: None,
                detail: format!(
                    "{field} was written by two at once; the other was {}",
                    old.shown()
                ),
            }));
        }
        rulings
    }

    fn labels(&self, todo: &mut Todo, added: &[String], removed: &[String]) -> Rulings {
        for label in removed {
            // One that is not there is not looked for in a way that would unpack all of them for good.
            if todo.labels.contains_key(label)
                && let Some(dots) = todo.labels.get_mut(label)
            {
                dots.retain(|&dot| !self.event.saw(dot));
                if dots.is_empty() {
                    todo.labels.remove(label);
                }
            }
        }
        for label in added {
            todo.labels.entry(label.clone()).or_default().push(self.event.dot);
        }
        Vec::new()
    }

    fn blocker(&self, todo: &mut Todo, dot: Dot, change: impl FnOnce(&mut Blocker)) -> Rulings {
        let at = todo.blockers.iter().position(|blocker| blocker.dot == dot);
        match at.and_then(|at| todo.blockers.get_mut(at)) {
            Some(blocker) => {
                change(blocker);
                Vec::new()
            }
            None => vec![Ruling::precondition("there is no such blocker")],
        }
    }

    fn closing(&self, reason: &str, undone: bool) -> Closing {
        Closing {
            dot: self.event.dot,
            agent: Arc::clone(self.agent()),
            at: self.at,
            reason: reason.to_owned(),
            undone,
        }
    }

    fn close(&self, todo: &mut Todo, reason: &str) -> Rulings {
        todo.closings.push(self.closing(reason, false));
        let claim = todo.end_claim(self.event.dot);
        todo.end_lost(self.event.dot);
        let loser = claim.filter(|claim| !self.event.saw(claim.token));
        let entry = |claim: Claim| Ruling {
            rule: Rule::ClosedStaysClosed,
            loser: Some((claim.token, claim.agent)),
            winner: None,
            detail: "it was closed meanwhile; the claim has ended".to_owned(),
        };
        loser.map(entry).into_iter().collect()
    }

    /// Rule `closed-stays-closed`: undoes only what its author had seen.
    fn reopen(&self, todo: &mut Todo) -> Rulings {
        let mut undone = false;
        let mut undo = |closing: &mut Closing| {
            if !closing.undone && self.event.saw(closing.dot) {
                closing.undone = true;
                undone = true;
            }
        };
        todo.closings.iter_mut().for_each(&mut undo);
        if !todo.deletions.is_empty() {
            todo.put_aside = None;
            todo.deletions.iter_mut().for_each(undo);
        }
        for completion in todo.completions.iter_mut().filter(|c| c.complete()) {
            let seen = completion.verification.as_ref().is_some_and(|v| self.event.saw(v.dot));
            if seen {
                Arc::make_mut(completion).void = Some("reopened".to_owned());
                undone = true;
            }
        }
        if todo.stage.is_some() {
            todo.stage = None;
            undone = true;
        }
        if todo.finished() {
            let winner = todo.closing().or_else(|| todo.deletion()).map(|closing| closing.dot);
            let detail = "it was finished by somebody whom the reopening had not seen";
            return vec![Ruling::against(Rule::ClosedStaysClosed, winner, detail)];
        }
        if undone { Vec::new() } else { vec![Ruling::precondition("it was not closed")] }
    }

    /// Rule `edit-beats-delete`.
    fn delete(&self, todo: &mut Todo, reason: &str) -> Rulings {
        let seen = self.event.saw_all(&todo.touched);
        todo.deletions.push(self.closing(reason, !seen));
        if seen {
            if let Some(claim) = todo.end_claim(self.event.dot) {
                todo.put_aside = Some(Box::new((self.event.dot, claim)));
            }
            return Vec::new();
        }
        let detail = format!("{} was edited meanwhile and stays", todo.title);
        vec![Ruling::against(Rule::EditBeatsDelete, None, detail)]
    }

    /// Rules `first-claim` and `leases-end`.
    fn claim(&self, todo: &mut Todo, lease: Option<Millis>, scope: &[String]) -> Rulings {
        let mut rulings = Vec::new();
        let lease = lease.map(|lease| lease.min(limits::LEASE_MAX));
        let claim = Claim {
            token: self.event.dot,
            agent: Arc::clone(self.agent()),
            at: self.at,
            lease,
            until: lease.map(|lease| self.now.saturating_add(lease)),
            scope: scope.to_vec(),
            started_at: None,
            base: None,
            branch: None,
            progress: None,
        };
        if todo.finished() {
            let done = todo.completed().and_then(|done| done.verification.as_ref());
            let winner = todo.closing().map(|closing| closing.dot).or(done.map(|done| done.dot));
            if let Some(winner) = winner {
                todo.remember_end(&claim, winner);
            }
            let detail = "it is finished";
            return vec![Ruling::against(Rule::ClosedStaysClosed, winner, detail)];
        }
        match todo.holder(self.now) {
            Some(holder) if holder.agent == *self.agent() && self.event.saw(holder.token) => {
                todo.end_claim(self.event.dot);
                todo.claim = Some(Box::new(claim));
            }
            Some(holder) => {
                let winner = holder.token;
                let detail = format!("it is held by {}", holder.agent);
                rulings.push(Ruling::against(Rule::FirstClaim, Some(winner), detail));
                todo.remember_end(&claim, winner);
                todo.lost.push(claim);
            }
            None => {
                if let Some(lapsed) = todo.end_claim(self.event.dot) {
                    rulings.push(Ruling {
                        rule: Rule::LeasesEnd,
                        loser: Some((lapsed.token, lapsed.agent)),
                        winner: None,
                        detail: "the lease had ended; another took it".to_owned(),
                    });
                }
                todo.claim = Some(Box::new(claim));
                if todo.stage.is_some() {
                    todo.stage = None;
                }
            }
        }
        rulings
    }

    /// Operations that only the holder may make; they count for a lost claim as long as its agent
    /// had no cause to doubt it.
    fn under_claim(&self, todo: &mut Todo, token: Dot) -> Rulings {
        let event = self.event;
        if let Some(holder) = todo.claim.as_mut().filter(|claim| claim.token == token) {
            let release = self.change_claim(holder);
            if let Operation::AttemptFailed { class, message, retry_at, .. } = &event.operation {
                let agent = Arc::clone(&holder.agent);
                todo.failures.push(Failure {
                    dot: event.dot,
                    agent,
                    at: self.at,
                    class: *class,
                    message: message.clone(),
                    retry_at: *retry_at,
                });
            }
            if release {
                todo.end_claim(event.dot);
                unassign(todo);
            }
            return Vec::new();
        }
        let holder = todo.claim.as_deref().map(|claim| (claim.token, Arc::clone(&claim.agent)));
        let known = self.known_end(todo, token).is_some();
        if let Some(at) = todo.lost.iter().position(|claim| claim.token == token) {
            if todo.lost.get_mut(at).is_some_and(|lost| self.change_claim(lost)) {
                let lost = todo.lost.remove(at);
                todo.remember_end(&lost, event.dot);
            }
            if !known && holder.as_ref().is_none_or(|(winner, _)| !event.saw(*winner)) {
                return Vec::new();
            }
        }
        let (winner, detail) = match holder {
            Some((winner, agent)) => (Some(winner), format!("{agent} holds it now")),
            None => (None, "nobody holds it now; claim it again".to_owned()),
        };
        vec![Ruling::against(Rule::StaleToken, winner, detail)]
    }

    /// Whether the claim ends with it.
    fn change_claim(&self, claim: &mut Claim) -> bool {
        let renewed = |lease: Option<Millis>| lease.map(|lease| self.now.saturating_add(lease));
        match &self.event.operation {
            Operation::Renewed { lease, .. } => {
                claim.lease = lease.map(|lease| lease.min(limits::LEASE_MAX));
                claim.until = renewed(claim.lease);
            }
            Operation::TaskStarted { base, branch, .. } => {
                claim.started_at = Some(self.at);
                (claim.base, claim.branch) =
                    (base.as_deref().map(Box::from), branch.as_deref().map(Box::from));
                claim.until = renewed(claim.lease);
            }
            Operation::ProgressReported { percent, message, next_milestone, .. } => {
                claim.progress = Some(Progress {
                    percent: (*percent).min(100),
                    message: message.clone(),
                    next_milestone: next_milestone.clone(),
                    at: self.at,
                });
                claim.until = renewed(claim.lease);
            }
            Operation::ScopeReserved { globs, .. } => claim.scope.clone_from(globs),
            Operation::Released { .. } | Operation::AttemptFailed { .. } => return true,
            _ => {}
        }
        false
    }

    /// Rule `finished-work-holds`.
    fn complete(&self, todo: &mut Todo, token: Option<Dot>) -> Rulings {
        let event = self.event;
        let Operation::CompletionClaimed {
            commit,
            to_integrate,
            implementation,
            tests,
            integration,
            ..
        } = &event.operation
        else {
            return Vec::new();
        };
        let claims = todo
            .claim
            .as_deref()
            .into_iter()
            .chain(&todo.lost)
            .map(|claim| (claim.token, &claim.agent));
        // Looked at last, and only where it has to be: it may have to be unpacked.
        let ended = std::iter::once(&todo.ended).flatten();
        let ended = ended.map(|ended| (ended.token, &ended.agent));
        let claimant = claims.chain(ended).find(|(claim, _)| token == Some(*claim));
        let claimant = claimant.map(|(_, agent)| agent);
        let claimant = claimant.filter(|agent| *agent != self.agent()).map(Arc::clone);
        let (void, ruling) = self.accept(todo, token);
        let completion = Completion {
            dot: event.dot,
            agent: Arc::clone(self.agent()),
            token,
            claimant,
            at: self.at,
            commit: commit.clone(),
            to_integrate: *to_integrate,
            implementation: implementation.clone(),
            tests: tests.clone(),
            integration: integration.clone(),
            checks: Vec::new(),
            verification: None,
            integrated: None,
            void,
        };
        if completion.void.is_none() {
            for older in todo.completions.iter_mut().filter(|older| older.pending()) {
                if event.saw(older.dot) {
                    Arc::make_mut(older).void = Some("claimed again".to_owned());
                }
            }
        }
        todo.completions.push(Arc::new(completion));
        ruling.into_iter().collect()
    }

    /// Whether a claim of completion under `token` counts: why not, and what the ledger says.
    fn accept(&self, todo: &mut Todo, token: Option<Dot>) -> (Option<String>, Option<Ruling>) {
        let event = self.event;
        let refused = |void: &str, rule, winner, detail: &str| {
            (Some(void.to_owned()), Some(Ruling::against(rule, winner, detail)))
        };
        let closed = todo.closing().map(|closing| closing.dot);
        let done = todo.completed().map(|completion| completion.dot);
        if let Some(winner) = closed.or(done) {
            let void = "it was finished before";
            return refused(void, Rule::ClosedStaysClosed, Some(winner), void);
        }
        let own = |(held, agent): &(Dot, Arc<str>)| {
            token.map_or(agent == self.agent(), |token| token == *held)
        };
        let lapsed = todo.holder(self.now).is_none();
        let holder = todo.claim.as_deref().map(|claim| (claim.token, Arc::clone(&claim.agent)));
        let other = holder.filter(|holder| !own(holder));
        if let Some((winner, agent)) = &other
            && event.saw(*winner)
            && !lapsed
        {
            let (void, detail) =
                (format!("{agent} held it"), format!("{agent} holds it; claim it first"));
            return refused(&void, Rule::StaleToken, Some(*winner), &detail);
        }
        if let Some(by) = token.and_then(|token| self.known_end(todo, token)) {
            let detail = "the claim had ended, and its agent knew; claim it again";
            return refused("its claim had ended", Rule::StaleToken, by, detail);
        }
        let ruling = other.map(|loser| {
            self.take_over(todo, token);
            Ruling {
                rule: Rule::FinishedWorkHolds,
                loser: Some(loser),
                winner: None,
                detail: format!("{} had finished it without knowing", self.agent()),
            }
        });
        (None, ruling)
    }

    /// Gives the todo to the claim `token`, where that had lost; whoever held it has lost now.
    fn take_over(&self, todo: &mut Todo, token: Option<Dot>) {
        let at = token.and_then(|token| todo.lost.iter().position(|lost| lost.token == token));
        let mine = at.map(|at| todo.lost.remove(at));
        if let Some(held) = todo.claim.take() {
            todo.remember_end(&held, self.event.dot);
            todo.lost.push(*held);
        }
        if let Some(mine) = mine {
            todo.give_back(mine);
        }
    }

    /// The event that ended the claim `token`, where the author at hand had seen it; or none, where
    /// no claim with that token is remembered.
    fn known_end(&self, todo: &Todo, token: Dot) -> Option<Option<Dot>> {
        if todo.claim.as_deref().is_some_and(|claim| claim.token == token) {
            return None;
        }
        let mut ends = todo.ended.iter().filter(|ended| ended.token == token).peekable();
        match ends.peek() {
            None => Some(None),
            Some(_) => ends.find(|ended| self.event.saw(ended.by)).map(|ended| Some(ended.by)),
        }
    }

    /// Rule `done-means-verified`.
    fn verify(&self, todo: &mut Todo, completion: Dot) -> Rulings {
        let event = self.event;
        let Operation::Verified { verdict, reason, percent, gaps, .. } = &event.operation else {
            return Vec::new();
        };
        let finished = todo.closing().map(|closing| closing.dot);
        let Some(done) = todo.completion_mut(completion) else {
            return vec![Ruling::precondition("there is no such claim of completion")];
        };
        if done.agent == *self.agent() || done.claimant.as_ref() == Some(self.agent()) {
            let detail = "whoever did the work cannot verify it";
            return vec![Ruling::against(Rule::DoneMeansVerified, Some(completion), detail)];
        }
        if !event.author.role.may_verify() {
            let detail = format!("a {} cannot verify", event.author.role);
            return vec![Ruling::against(Rule::DoneMeansVerified, Some(completion), detail)];
        }
        let mut rulings = Vec::new();
        if let Some(earlier) = &done.verification {
            let unseen = *verdict == Verdict::Pass && !event.saw(earlier.dot);
            let only_refused = done.void.as_ref() == Some(&earlier.reason);
            if !unseen || earlier.verdict == Verdict::Pass || !only_refused {
                let detail = format!("{} had answered before", earlier.agent);
                return vec![Ruling::against(Rule::DoneMeansVerified, Some(earlier.dot), detail)];
            }
            // Work that was accepted is not undone by an answer that its verifier never saw.
            rulings.push(Ruling {
                rule: Rule::DoneMeansVerified,
                loser: Some((earlier.dot, Arc::clone(&earlier.agent))),
                winner: None,
                detail: "another verifier accepted it without knowing of this answer".to_owned(),
            });
            done.void = None;
        }
        if done.void.is_some() {
            rulings.push(Ruling::precondition("the claim of completion no longer counts"));
            return rulings;
        }
        done.verification = Some(Box::new(Verification {
            dot: event.dot,
            agent: Arc::clone(self.agent()),
            at: self.at,
            verdict: *verdict,
            reason: reason.clone(),
            percent: *percent,
            gaps: gaps.clone(),
        }));
        if let Some(winner) = finished {
            done.void = Some("it was closed before it was verified".to_owned());
            let detail = "it was closed before it was verified";
            rulings.push(Ruling::against(Rule::ClosedStaysClosed, Some(winner), detail));
        } else if *verdict != Verdict::Pass {
            done.void = Some(reason.clone());
            self.send_back(todo, completion);
        } else if done.complete() {
            rulings.extend(self.finish_claim(todo, completion));
        }
        rulings
    }

    /// Ends the claim on a todo that is done; whoever holds it for other work is told.
    fn finish_claim(&self, todo: &mut Todo, completion: Dot) -> Option<Ruling> {
        let own = is_own(todo, completion);
        let claim = todo.end_claim(self.event.dot);
        todo.end_lost(self.event.dot);
        claim.filter(|_| !own).map(|claim| Ruling {
            rule: Rule::FinishedWorkHolds,
            loser: Some((claim.token, claim.agent)),
            winner: None,
            detail: "it was finished by another".to_owned(),
        })
    }

    /// Gives a todo back whose claim of completion did not hold; another's claim stays.
    fn send_back(&self, todo: &mut Todo, completion: Dot) {
        if is_own(todo, completion) {
            todo.end_claim(self.event.dot);
            unassign(todo);
        }
    }

    fn integrate(&self, todo: &mut Todo, completion: Dot, commit: &str) -> Rulings {
        let closed = todo.closing().map(|closing| closing.dot);
        let Some(done) = todo.completion_mut(completion) else {
            return vec![Ruling::precondition("there is no such claim of completion")];
        };
        let passed = done.verification.as_ref().is_some_and(|v| v.verdict == Verdict::Pass);
        if !passed || done.void.is_some() {
            let detail = "only verified work is integrated";
            return vec![Ruling::against(Rule::DoneMeansVerified, Some(completion), detail)];
        }
        if done.integrated.is_some() {
            return vec![Ruling::precondition("it was integrated before")];
        }
        // What counted without being integrated goes on counting.
        let counted = done.complete();
        done.integrated = Some(Box::new((commit.to_owned(), self.at)));
        if let Some(winner) = closed.filter(|_| !counted) {
            done.void = Some("it was closed before it was integrated".to_owned());
            let detail = "it was closed before it was integrated";
            return vec![Ruling::against(Rule::ClosedStaysClosed, Some(winner), detail)];
        }
        self.finish_claim(todo, completion).into_iter().collect()
    }

    /// Takes back what its author had seen; whose acceptance it had not seen is told.
    fn roll_back(&self, todo: &mut Todo, what: &str) -> Rulings {
        let mut rulings = Vec::new();
        let seen = |c: &&mut Arc<Completion>| c.void.is_none() && self.event.saw(c.dot);
        for completion in todo.completions.iter_mut().filter(seen) {
            Arc::make_mut(completion).void = Some(format!("rolled back: {what}"));
            let answer = completion.verification.as_ref();
            rulings.extend(answer.filter(|answer| !self.event.saw(answer.dot)).map(|answer| {
                Ruling {
                    rule: Rule::DoneMeansVerified,
                    loser: Some((answer.dot, Arc::clone(&answer.agent))),
                    winner: None,
                    detail: "the work was rolled back by somebody who had not seen this answer"
                        .to_owned(),
                }
            }));
        }
        rulings
    }

    fn integration_failed(&self, todo: &mut Todo, completion: Dot, reason: &str) -> Rulings {
        match todo.completion_mut(completion) {
            Some(done) if done.void.is_none() && done.to_integrate && !done.complete() => {
                done.void = Some(reason.to_owned());
                self.send_back(todo, completion);
                Vec::new()
            }
            Some(_) => vec![Ruling::precondition("it does not wait to be integrated")],
            None => vec![Ruling::precondition("there is no such claim of completion")],
        }
    }
}

/// Whether the claim that holds the todo is the one that a claim of completion was made under.
fn is_own(todo: &Todo, completion: Dot) -> bool {
    let made = todo.completions.iter().find(|made| made.dot == completion);
    made.zip(todo.claim.as_deref()).is_some_and(|(made, claim)| {
        made.token.map_or(made.agent == claim.agent, |token| token == claim.token)
    })
}
