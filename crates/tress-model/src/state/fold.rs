//! The reducer: how one event changes the state, by the rules of [`crate::rules`].

use std::sync::Arc;

use super::State;
use super::change::Change;
use super::graph::Edge;
use super::prose::Prose;
use super::todo::Closing;
use super::todo::Todo;
use crate::event::Event;
use crate::ids::{Dot, TodoId};
use crate::limits;
use crate::operation::{Operation, ProseTarget, TodoEdit, Verdict};
use crate::rules::{LedgerEntry, Rule};

/// What the fold of one operation has to say to the ledger.
pub(super) struct Ruling {
    pub(super) rule: Rule,
    /// The event that lost; `None` for the event at hand.
    pub(super) loser: Option<(Dot, Arc<str>)>,
    pub(super) winner: Option<Dot>,
    pub(super) detail: String,
}

impl Ruling {
    pub(super) fn against(rule: Rule, winner: Option<Dot>, detail: impl Into<String>) -> Self {
        Self { rule, loser: None, winner, detail: detail.into() }
    }

    pub(super) fn precondition(detail: impl Into<String>) -> Self {
        Self::against(Rule::Precondition, None, detail)
    }
}

pub(super) type Rulings = Vec<Ruling>;

impl State {
    /// Folds the next event. Events come in canonical order, each once.
    pub fn apply(&mut self, event: &Event) {
        self.advance(event);
        self.team.heard(event);
        let rulings = self.fold(event);
        for ruling in rulings {
            self.record(event, ruling);
        }
    }

    /// Passes over the next event: it is known and has no effect. Only in prose it is taken note
    /// of, for the places in which those who saw it wrote.
    pub fn pass_over(&mut self, event: &Event) {
        self.advance(event);
        match &event.operation {
            Operation::ProseEdited { target: ProseTarget::Section(key), splices } => {
                self.design.leave_out(key, |body| body.leave_out(event, splices));
            }
            Operation::ProseEdited { target: ProseTarget::Todo(id, field), splices } => {
                if let Some(todo) = self.todos.get_mut(id) {
                    Arc::make_mut(todo.prose.entry(*field).or_default()).leave_out(event, splices);
                }
            }
            Operation::SectionAdded { section: key, body, .. } => {
                self.design
                    .leave_out(key, |prose| prose.leave_out(event, &[prose.whole(event, body)]));
            }
            Operation::TodoAdded { todo: id, prose: texts, .. } => {
                if let Some(todo) = self.todos.get_mut(id) {
                    for (field, text) in texts {
                        let prose = Arc::make_mut(todo.prose.entry(*field).or_default());
                        prose.leave_out(event, &[prose.whole(event, text)]);
                    }
                }
            }
            _ => {}
        }
    }

    fn advance(&mut self, event: &Event) {
        debug_assert!(self.last.is_none_or(|last| last < event.order()), "canonical order");
        debug_assert_eq!(self.version.get(event.dot.replica) + 1, event.dot.number, "no holes");
        self.version.insert(event.dot);
        self.last = Some(event.order());
    }

    fn record(&mut self, event: &Event, ruling: Ruling) {
        let (loser, agent) =
            ruling.loser.unwrap_or_else(|| (event.dot, Arc::clone(&event.author.name)));
        if self.ledger.len() >= limits::LEDGER_ENTRIES_MAX
            && let Some(cut) = self.ledger.pop_front()
        {
            if let Some(places) = self.untold.get_mut(&cut.agent) {
                places.retain(|&place| place != self.ledger_cut);
            }
            self.ledger_cut += 1;
        }
        let place = self.ledger_cut + self.ledger.len() as u64;
        self.untold.entry(Arc::clone(&agent)).or_default().push(place);
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
                self.acknowledge(event, *lost);
                Vec::new()
            }
            O::ProseEdited { target: ProseTarget::Section(key), splices } => {
                self.design.edit_section(event, key, splices)
            }
            O::Undone { event: undone, .. } => {
                self.withdraw(*undone);
                self.fold_elsewhere(event)
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

    /// Takes back what no operation takes back: a remark, an assessment.
    fn withdraw(&mut self, undone: Dot) {
        self.design.assessments.retain(|assessment| assessment.dot != undone);
        let noted = |todo: &&Arc<Todo>| todo.notes.iter().any(|note| note.dot == undone);
        let noted = self.todos.values().find(noted).map(|todo| todo.id);
        if let Some(todo) = noted.and_then(|todo| self.todos.get_mut(&todo)) {
            todo.notes.retain(|note| note.dot != undone);
        }
    }

    fn fold_elsewhere(&mut self, event: &Event) -> Rulings {
        let mut rulings = self.design.apply(event);
        rulings.extend(self.team.apply(event));
        rulings
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
        todo.layout = layout.clone().into();
        for edit in edits {
            todo.set(edit);
        }
        for (field, text) in prose {
            todo.prose.insert(*field, Arc::new(Prose::new(event.dot, text.clone())));
        }
        for label in labels {
            todo.labels.insert(label.clone(), vec![event.dot]);
        }
        todo.touched.insert(event.dot);
        self.todos.insert(todo);
        Vec::new()
    }

    /// Folds an operation about one todo that has to be there.
    fn fold_todo(&mut self, event: &Event, id: TodoId) -> Rulings {
        let Some(todo) = self.todos.get_mut(&id) else {
            return vec![Ruling::precondition(format!("{id} is not there"))];
        };
        let mut rulings = Vec::new();
        if !matches!(event.operation, Operation::Deleted { .. }) {
            let unseen = |deletion: &Closing| !deletion.undone && !event.saw(deletion.dot);
            // What nothing is done to stays shared with earlier states.
            if todo.deletions.iter().any(unseen) {
                let title = todo.title.clone();
                for deletion in todo.deletions.iter_mut().filter(|deletion| unseen(deletion)) {
                    deletion.undone = true;
                    rulings.push(Ruling {
                        rule: Rule::EditBeatsDelete,
                        loser: Some((deletion.dot, Arc::clone(&deletion.agent))),
                        winner: None,
                        detail: format!("{title} was edited meanwhile and stays"),
                    });
                }
            }
            match todo.deletion() {
                // A reopening undoes the deletions that it had seen, too.
                Some(deletion) if !matches!(event.operation, Operation::Reopened { .. }) => {
                    let detail = format!("it was deleted by {}", deletion.agent);
                    rulings.push(Ruling::against(Rule::Precondition, Some(deletion.dot), detail));
                    return rulings;
                }
                Some(_) => {}
                None => restore_claim(todo),
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
                if !matches!(event.operation, Operation::Deleted { .. }) {
                    // Two who delete a thing agree.
                    todo.touched.insert(event.dot);
                }
                if !keeps_updated_at(&event.operation) {
                    todo.updated_at = todo.updated_at.max(change.at);
                }
                if let Operation::Verified { completion, verdict, .. } = &event.operation
                    && let Some(done) = todo.completions.iter().find(|c| c.dot == *completion)
                    && done.verification.as_ref().is_some_and(|v| v.dot == event.dot)
                    && let Some(agent) = self.team.agents.figures_mut(&done.agent)
                {
                    match verdict {
                        Verdict::Pass => agent.completed += 1,
                        Verdict::Fail | Verdict::Unknown => agent.refused += 1,
                    }
                }
                if let Operation::Integrated { completion, commit, .. } = &event.operation
                    && more.iter().all(|ruling| ruling.loser.is_some())
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
                if let Some(edges) = self.edges.get_mut(*todo)
                    && let Some(edge) = edges.iter_mut().find(known)
                {
                    edge.added.push(event.dot);
                    return Vec::new();
                }
                // What nothing leads to cannot be reached.
                let led_to = self.incoming.contains(*todo) || todo == on;
                let suspended = led_to && self.reaches(*on, *todo, kind);
                self.edges.at(*todo).push(Edge {
                    on: *on,
                    external_id: external_id.clone(),
                    kind: kind.clone(),
                    layout: layout.clone(),
                    since: event.order(),
                    added: vec![event.dot],
                    suspended,
                });
                self.incoming.at(*on).insert(*todo);
                if !suspended {
                    return Vec::new();
                }
                self.suspended.insert((event.order(), *todo, *on));
                let detail =
                    format!("{} -> {} would close a cycle", self.name(*todo), self.name(*on));
                vec![Ruling::against(Rule::NoCycles, None, detail)]
            }
            Operation::DependencyRemoved { todo, on, kind } => {
                let Some(edges) = self.edges.get_mut(*todo) else {
                    return vec![Ruling::precondition("there is no such edge")];
                };
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
                    && let Some(sources) = self.incoming.get_mut(*on)
                {
                    sources.remove(todo);
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
            let Some(edges) = self.edges.get(todo) else {
                continue;
            };
            let Some(kind) = edges.iter().find(|e| e.since == since).map(|e| e.kind.clone()) else {
                continue;
            };
            if self.reaches(on, todo, &kind) {
                continue;
            }
            self.suspended.remove(&key);
            if let Some(edges) = self.edges.get_mut(todo)
                && let Some(edge) = edges.iter_mut().find(|e| e.since == since)
            {
                edge.suspended = false;
            }
        }
    }
}

/// Brings back the claim that a deletion ended, where that deletion has lost.
fn restore_claim(todo: &mut Todo) {
    if todo.put_aside.is_none() {
        return;
    }
    let Some((by, claim)) = todo.put_aside.take().map(|aside| *aside) else { return };
    let lost = todo.deletions.iter().any(|deletion| deletion.dot == by && deletion.undone);
    if lost && !todo.finished() && todo.claim.is_none() {
        todo.give_back(claim);
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
