//! The reducer: how one event changes the state, by the rules of [`crate::rules`].

use std::sync::Arc;

use super::State;
use super::design::Objection;
use super::graph::Edge;
use super::prose::Prose;
use super::todo::Todo;
use super::todo::{Blocker, Claim, Closing, Completion, Failure, Note, Progress, Verification};
use crate::clock::Millis;
use crate::event::Event;
use crate::ids::{Dot, TodoId};
use crate::limits;
use crate::operation::{Operation, ProseField, ProseTarget, Splice, TodoEdit, Verdict};
use crate::rules::{LedgerEntry, Rule};

/// What the fold of one operation has to say to the ledger.
struct Ruling {
    rule: Rule,
    /// The event that lost; `None` for the event at hand.
    loser: Option<(Dot, Arc<str>)>,
    winner: Option<Dot>,
    detail: String,
}

impl Ruling {
    fn against(rule: Rule, winner: Option<Dot>, detail: impl Into<String>) -> Self {
        Self { rule, loser: None, winner, detail: detail.into() }
    }

    fn precondition(detail: impl Into<String>) -> Self {
        Self::against(Rule::Precondition, None, detail)
    }
}

impl From<Objection> for Ruling {
    fn from(objection: Objection) -> Self {
        Self::against(objection.rule, objection.winner, objection.detail)
    }
}

type Rulings = Vec<Ruling>;

impl State {
    /// Folds the next event. Events come in canonical order, each once.
    pub fn apply(&mut self, event: &Event) {
        debug_assert!(self.last.is_none_or(|last| last < event.order()), "canonical order");
        debug_assert_eq!(self.version.get(event.dot.replica) + 1, event.dot.number, "no holes");
        self.version.insert(event.dot);
        self.last = Some(event.order());
        self.team.heard(event);
        let rulings = self.fold(event);
        for ruling in rulings {
            self.record(event, ruling);
        }
    }

    fn record(&mut self, event: &Event, ruling: Ruling) {
        let (loser, agent) =
            ruling.loser.unwrap_or_else(|| (event.dot, Arc::clone(&event.author.name)));
        if self.ledger.len() >= limits::LEDGER_ENTRIES_MAX {
            self.ledger.pop_front();
            self.ledger_cut += 1;
        }
        let winner = if loser == event.dot { ruling.winner } else { Some(event.dot) };
        self.ledger.push_back(Arc::new(LedgerEntry {
            rule: ruling.rule,
            loser,
            winner,
            agent,
            todo: event.operation.todo(),
            detail: ruling.detail,
            at: event.time.millis,
            told: false,
        }));
    }

    fn fold(&mut self, event: &Event) -> Rulings {
        use Operation as O;
        match &event.operation {
            O::LossAcknowledged { event: lost } => {
                for entry in self.ledger.iter_mut() {
                    if entry.loser == *lost && !entry.told {
                        Arc::make_mut(entry).told = true;
                    }
                }
                Vec::new()
            }
            O::ProseEdited { target: ProseTarget::Section(key), splices } => {
                self.design.edit_section(event, key, splices).map(Into::into).into_iter().collect()
            }
            O::AlertRaised { .. }
            | O::BudgetSpent { .. }
            | O::AssessmentGiven { .. }
            | O::DeviationFound { .. } => self.fold_elsewhere(event),
            O::TodoAdded { todo, title, .. } => self.fold_added(event, *todo, title),
            operation => match operation.todo() {
                Some(todo) => self.fold_todo(event, todo),
                None => self.fold_elsewhere(event),
            },
        }
    }

    fn fold_elsewhere(&mut self, event: &Event) -> Rulings {
        let design = self.design.apply(event);
        let team = self.team.apply(event);
        design.into_iter().chain(team).map(Into::into).collect()
    }

    fn fold_added(&mut self, event: &Event, id: TodoId, title: &str) -> Rulings {
        if self.todos.contains_key(&id) {
            return self.fold_todo(event, id);
        }
        let (name, at) = (&event.author.name, event.moment());
        let mut todo = Todo::new(id, event.dot, title.to_owned(), name, at);
        let Operation::TodoAdded { external_id, edits, prose, labels, layout, .. } =
            &event.operation
        else {
            return Vec::new();
        };
        todo.external_id.clone_from(external_id);
        todo.layout.clone_from(layout);
        for edit in edits {
            todo.set(edit);
        }
        for (field, text) in prose {
            todo.prose.insert(*field, Prose::new(event.dot, text.clone()));
        }
        for label in labels {
            todo.labels.insert(label.clone(), vec![event.dot]);
        }
        todo.touched.insert(event.dot);
        self.todos.insert(id, Arc::new(todo));
        Vec::new()
    }

    /// Folds an operation about one todo that has to be there.
    fn fold_todo(&mut self, event: &Event, id: TodoId) -> Rulings {
        let Some(held) = self.todos.get_mut(&id) else {
            return vec![Ruling::precondition(format!("{id} is not there"))];
        };
        let todo = Arc::make_mut(held);
        let mut rulings = Vec::new();
        if !matches!(event.operation, Operation::Deleted { .. } | Operation::Reopened { .. }) {
            let unseen = |deletion: &&mut Closing| !deletion.undone && !event.saw(deletion.dot);
            for deletion in todo.deletions.iter_mut().filter(unseen) {
                deletion.undone = true;
                rulings.push(Ruling {
                    rule: Rule::EditBeatsDelete,
                    loser: Some((deletion.dot, Arc::clone(&deletion.agent))),
                    winner: None,
                    detail: format!("{} was edited meanwhile and stays", todo.title),
                });
            }
            if let Some(deletion) = todo.deletion() {
                let detail = format!("it was deleted by {}", deletion.agent);
                rulings.push(Ruling::against(Rule::Precondition, Some(deletion.dot), detail));
                return rulings;
            }
        }
        let change = Change { event, now: event.time.millis, at: event.moment() };
        let more = match &event.operation {
            Operation::DependencyAdded { .. } | Operation::DependencyRemoved { .. } => {
                todo.touched.insert(event.dot);
                todo.updated_at = todo.updated_at.max(change.at);
                self.fold_edge(event)
            }
            _ => {
                let more = change.apply(todo);
                todo.touched.insert(event.dot);
                if !keeps_updated_at(&event.operation) {
                    todo.updated_at = todo.updated_at.max(change.at);
                }
                if let Operation::Verified { completion, verdict, .. } = &event.operation
                    && more.is_empty()
                    && let Some(done) = todo.completions.iter().find(|c| c.dot == *completion)
                    && let Some(agent) = self.team.agents.get_mut(&done.agent)
                {
                    match verdict {
                        Verdict::Pass => agent.completed += 1,
                        Verdict::Fail | Verdict::Unknown => agent.refused += 1,
                    }
                }
                if let Operation::Integrated { completion, commit, .. } = &event.operation
                    && more.is_empty()
                {
                    self.team.integrations.push_back(super::team::Integration {
                        todo: id,
                        completion: *completion,
                        commit: commit.clone(),
                        at: change.at,
                    });
                }
                more
            }
        };
        rulings.extend(more);
        rulings
    }

    fn fold_edge(&mut self, event: &Event) -> Rulings {
        match &event.operation {
            Operation::DependencyAdded { todo, on, external_id, kind, layout } => {
                let known = |edge: &&mut Edge| edge.on == *on && edge.kind == *kind;
                if let Some(edges) = self.edges.get_mut(todo)
                    && let Some(edge) = Arc::make_mut(edges).iter_mut().find(known)
                {
                    edge.added.push(event.dot);
                    return Vec::new();
                }
                let suspended = self.reaches(*on, *todo, kind);
                let edges = self.edges.entry(*todo).or_default();
                Arc::make_mut(edges).push(Edge {
                    on: *on,
                    external_id: external_id.clone(),
                    kind: kind.clone(),
                    layout: layout.clone(),
                    since: event.order(),
                    added: vec![event.dot],
                    suspended,
                });
                Arc::make_mut(self.incoming.entry(*on).or_default()).insert(*todo);
                if !suspended {
                    return Vec::new();
                }
                self.suspended.insert((event.order(), *todo, *on));
                let detail =
                    format!("{} -> {} would close a cycle", self.name(*todo), self.name(*on));
                vec![Ruling::against(Rule::NoCycles, None, detail)]
            }
            Operation::DependencyRemoved { todo, on, kind } => {
                let Some(edges) = self.edges.get_mut(todo) else {
                    return vec![Ruling::precondition("there is no such edge")];
                };
                let edges = Arc::make_mut(edges);
                let Some(at) = edges.iter().position(|e| e.on == *on && e.kind == *kind) else {
                    return vec![Ruling::precondition("there is no such edge")];
                };
                if let Some(edge) = edges.get_mut(at) {
                    edge.added.retain(|&dot| !event.saw(dot));
                    if let Some(&stays) = edge.added.first() {
                        let detail = "the edge was added again meanwhile and stays";
                        return vec![Ruling::against(Rule::EditBeatsDelete, Some(stays), detail)];
                    }
                }
                let gone = edges.remove(at);
                if !edges.iter().any(|edge| edge.on == *on)
                    && let Some(sources) = self.incoming.get_mut(on)
                {
                    Arc::make_mut(sources).remove(todo);
                }
                self.suspended.remove(&(gone.since, *todo, *on));
                self.resume_edges();
                Vec::new()
            }
            _ => Vec::new(),
        }
    }

    /// Brings back, in canonical order, the suspended edges whose cycle is gone.
    fn resume_edges(&mut self) {
        for key in self.suspended.clone() {
            let (since, todo, on) = key;
            let Some(edges) = self.edges.get(&todo) else {
                continue;
            };
            let Some(kind) = edges.iter().find(|e| e.since == since).map(|e| e.kind.clone()) else {
                continue;
            };
            if self.reaches(on, todo, &kind) {
                continue;
            }
            self.suspended.remove(&key);
            if let Some(edges) = self.edges.get_mut(&todo)
                && let Some(edge) = Arc::make_mut(edges).iter_mut().find(|e| e.since == since)
            {
                edge.suspended = false;
            }
        }
    }
}

/// Whether the operation says itself when the todo last changed, or does not count as a change.
fn keeps_updated_at(operation: &Operation) -> bool {
    match operation {
        Operation::TodoAdded { edits, .. } | Operation::TodoEdited { edits, .. } => {
            edits.iter().any(|edit| matches!(edit, TodoEdit::UpdatedAt(_)))
        }
        Operation::CheckRecorded { .. } | Operation::ArtifactRecorded { .. } => true,
        _ => false,
    }
}

/// The event at hand, while it changes one todo.
struct Change<'a> {
    event: &'a Event,
    now: Millis,
    at: Millis,
}

impl Change<'_> {
    fn agent(&self) -> &Arc<str> {
        &self.event.author.name
    }

    fn apply(&self, todo: &mut Todo) -> Rulings {
        use Operation as O;
        match &self.event.operation {
            O::TodoAdded { external_id, title, edits, prose, labels, layout, .. } => {
                self.add_again(todo, external_id.as_ref(), title, edits, prose, labels, layout)
            }
            O::TodoEdited { edits, .. } => self.edit(todo, edits),
            O::ProseEdited { target: ProseTarget::Todo(_, field), splices } => {
                todo.prose.entry(*field).or_default().edit(self.event, splices);
                Vec::new()
            }
            O::LabelsChanged { added, removed, .. } => self.labels(todo, added, removed),
            O::NoteAdded { text, layout, .. } => {
                todo.notes.push(Note {
                    dot: self.event.dot,
                    agent: Arc::clone(self.agent()),
                    at: self.at,
                    text: text.clone(),
                    layout: layout.clone(),
                });
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
            O::CheckRecorded { completion, check, .. } => {
                match todo.completions.iter_mut().find(|c| c.dot == *completion) {
                    Some(completion) => {
                        completion.checks.push(check.clone());
                        Vec::new()
                    }
                    None => vec![Ruling::precondition("there is no such claim of completion")],
                }
            }
            O::Integrated { completion, commit, .. } => self.integrate(todo, *completion, commit),
            O::IntegrationFailed { completion, reason, .. } => {
                self.integration_failed(todo, *completion, reason)
            }
            O::ArtifactRecorded { path, blob, .. } => {
                todo.artifacts.insert(path.clone(), blob.clone());
                Vec::new()
            }
            O::RolledBack { what, .. } => {
                for completion in todo.completions.iter_mut().filter(|c| c.void.is_none()) {
                    completion.void = Some(format!("rolled back: {what}"));
                }
                Vec::new()
            }
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
            todo.layout.clone_from(layout);
        }
        let mut rulings = self.edit(todo, &[TodoEdit::Title(title.to_owned())]);
        rulings.extend(self.edit(todo, edits));
        for (field, text) in prose {
            let prose = todo.prose.entry(*field).or_default();
            if !prose.is(text) {
                let delete = prose.seen_len(self.event);
                prose.edit(self.event, &[Splice { at: 0, delete, insert: text.clone() }]);
            }
        }
        rulings.extend(self.labels(todo, labels, &[]));
        rulings
    }

    /// Rule `field-merge`.
    fn edit(&self, todo: &mut Todo, edits: &[TodoEdit]) -> Rulings {
        let mut rulings = Vec::new();
        for edit in edits {
            let Some(old) = todo.set(edit) else { continue };
            let field = edit.field();
            let (writer, agent) = todo.writer(field);
            let bookkeeping = matches!(edit, TodoEdit::UpdatedAt(_));
            if !self.event.saw(writer) && writer != self.event.dot && !bookkeeping {
                rulings.push(Ruling {
                    rule: Rule::FieldMerge,
                    loser: Some((writer, agent)),
                    winner: None,
                    detail: format!("{field} was written by two at once; the other was {old:?}"),
                });
            }
            todo.writers.insert(field.to_owned(), (self.event.dot, Arc::clone(self.agent())));
        }
        rulings
    }

    fn labels(&self, todo: &mut Todo, added: &[String], removed: &[String]) -> Rulings {
        for label in removed {
            if let Some(dots) = todo.labels.get_mut(label) {
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
        match todo.blockers.iter_mut().find(|blocker| blocker.dot == dot) {
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
        let claim = todo.claim.take();
        todo.lost.clear();
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
        for closing in todo.closings.iter_mut().chain(&mut todo.deletions) {
            if !closing.undone && self.event.saw(closing.dot) {
                closing.undone = true;
                undone = true;
            }
        }
        for completion in todo.completions.iter_mut().filter(|c| c.complete()) {
            let seen = completion.verification.as_ref().is_some_and(|v| self.event.saw(v.dot));
            if seen {
                completion.void = Some("reopened".to_owned());
                undone = true;
            }
        }
        todo.stage = None;
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
            todo.claim = None;
            return Vec::new();
        }
        let detail = format!("{} was edited meanwhile and stays", todo.title);
        vec![Ruling::against(Rule::EditBeatsDelete, None, detail)]
    }

    /// Rules `first-claim` and `leases-end`.
    fn claim(&self, todo: &mut Todo, lease: Option<Millis>, scope: &[String]) -> Rulings {
        let mut rulings = Vec::new();
        if todo.finished() {
            let winner = todo.closing().map(|closing| closing.dot);
            let detail = "it is finished";
            return vec![Ruling::against(Rule::ClosedStaysClosed, winner, detail)];
        }
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
        match todo.holder(self.now) {
            Some(holder) if holder.agent == *self.agent() && self.event.saw(holder.token) => {
                todo.claim = Some(claim);
            }
            Some(holder) => {
                let detail = format!("it is held by {}", holder.agent);
                rulings.push(Ruling::against(Rule::FirstClaim, Some(holder.token), detail));
                todo.lost.push(claim);
            }
            None => {
                if let Some(lapsed) = todo.claim.take() {
                    rulings.push(Ruling {
                        rule: Rule::LeasesEnd,
                        loser: Some((lapsed.token, lapsed.agent)),
                        winner: None,
                        detail: "the lease had ended; another took it".to_owned(),
                    });
                }
                todo.claim = Some(claim);
                todo.stage = None;
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
                todo.failures.push(Failure {
                    dot: event.dot,
                    agent: Arc::clone(&holder.agent),
                    at: self.at,
                    class: *class,
                    message: message.clone(),
                    retry_at: *retry_at,
                });
            }
            if release {
                todo.claim = None;
                todo.assigned = None;
            }
            return Vec::new();
        }
        let holder = todo.claim.as_ref().map(|claim| (claim.token, Arc::clone(&claim.agent)));
        if let Some(lost) = todo.lost.iter_mut().find(|claim| claim.token == token) {
            let release = self.change_claim(lost);
            if release {
                todo.lost.retain(|claim| claim.token != token);
            }
            if holder.as_ref().is_none_or(|(winner, _)| !event.saw(*winner)) {
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
                claim.base.clone_from(base);
                claim.branch.clone_from(branch);
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
        let mut completion = Completion {
            dot: event.dot,
            agent: Arc::clone(self.agent()),
            token,
            at: self.at,
            commit: commit.clone(),
            to_integrate: *to_integrate,
            implementation: implementation.clone(),
            tests: tests.clone(),
            integration: integration.clone(),
            checks: Vec::new(),
            verification: None,
            integrated: None,
            void: None,
        };
        let mut rulings = Vec::new();
        let closed = todo.closing().map(|closing| closing.dot);
        let done = todo.completed().map(|completion| completion.dot);
        let holder = todo.claim.as_ref().map(|claim| (claim.token, Arc::clone(&claim.agent)));
        let own = |(held, agent): &(Dot, Arc<str>)| {
            token.map_or(agent == self.agent(), |token| token == *held)
        };
        if let Some(winner) = closed.or(done) {
            let rule = Rule::ClosedStaysClosed;
            rulings.push(Ruling::against(rule, Some(winner), "it was finished before"));
            completion.void = Some("it was finished before".to_owned());
        } else if let Some(holder) = holder.filter(|holder| !own(holder)) {
            let (winner, agent) = holder;
            let lapsed = todo.holder(self.now).is_none();
            if !event.saw(winner) || lapsed {
                rulings.push(Ruling {
                    rule: Rule::FinishedWorkHolds,
                    loser: Some((winner, agent)),
                    winner: None,
                    detail: format!("{} had finished it without knowing", self.agent()),
                });
                let at = token.and_then(|t| todo.lost.iter().position(|lost| lost.token == t));
                let mine = at.map(|at| todo.lost.remove(at));
                todo.lost.extend(std::mem::replace(&mut todo.claim, mine));
            } else {
                let detail = format!("{agent} holds it; claim it first");
                rulings.push(Ruling::against(Rule::StaleToken, Some(winner), detail));
                completion.void = Some(format!("{agent} held it"));
            }
        }
        if completion.void.is_none() {
            for older in todo.completions.iter_mut().filter(|older| older.pending()) {
                if event.saw(older.dot) {
                    older.void = Some("claimed again".to_owned());
                }
            }
        }
        todo.completions.push(completion);
        rulings
    }

    /// Rule `done-means-verified`.
    fn verify(&self, todo: &mut Todo, completion: Dot) -> Rulings {
        let event = self.event;
        let Operation::Verified { verdict, reason, percent, gaps, .. } = &event.operation else {
            return Vec::new();
        };
        let finished = todo.closing().map(|closing| closing.dot);
        let Some(done) = todo.completions.iter_mut().find(|c| c.dot == completion) else {
            return vec![Ruling::precondition("there is no such claim of completion")];
        };
        if done.agent == *self.agent() {
            let detail = "whoever did the work cannot verify it";
            return vec![Ruling::against(Rule::DoneMeansVerified, Some(completion), detail)];
        }
        if !event.author.role.may_verify() {
            let detail = format!("a {} cannot verify", event.author.role);
            return vec![Ruling::against(Rule::DoneMeansVerified, Some(completion), detail)];
        }
        if let Some(earlier) = &done.verification {
            let detail = format!("{} had answered before", earlier.agent);
            return vec![Ruling::against(Rule::DoneMeansVerified, Some(earlier.dot), detail)];
        }
        if done.void.is_some() {
            return vec![Ruling::precondition("the claim of completion no longer counts")];
        }
        done.verification = Some(Verification {
            dot: event.dot,
            agent: Arc::clone(self.agent()),
            at: self.at,
            verdict: *verdict,
            reason: reason.clone(),
            percent: *percent,
            gaps: gaps.clone(),
        });
        if *verdict != Verdict::Pass {
            done.void = Some(reason.clone());
            todo.claim = None;
            todo.assigned = None;
        } else if done.complete() {
            todo.claim = None;
            todo.lost.clear();
        }
        match finished {
            Some(winner) => {
                let detail = "it was closed before it was verified";
                vec![Ruling::against(Rule::ClosedStaysClosed, Some(winner), detail)]
            }
            None => Vec::new(),
        }
    }

    fn integrate(&self, todo: &mut Todo, completion: Dot, commit: &str) -> Rulings {
        let Some(done) = todo.completions.iter_mut().find(|c| c.dot == completion) else {
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
        done.integrated = Some((commit.to_owned(), self.at));
        todo.claim = None;
        todo.lost.clear();
        Vec::new()
    }

    fn integration_failed(&self, todo: &mut Todo, completion: Dot, reason: &str) -> Rulings {
        match todo.completions.iter_mut().find(|c| c.dot == completion) {
            Some(done) if done.integrated.is_none() => {
                done.void = Some(reason.to_owned());
                todo.claim = None;
                todo.assigned = None;
                Vec::new()
            }
            Some(_) => vec![Ruling::precondition("it was integrated before")],
            None => vec![Ruling::precondition("there is no such claim of completion")],
        }
    }
}
