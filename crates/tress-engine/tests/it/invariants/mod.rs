//! One named invariant for each rule of docs/RULES.md, and the promise that no event is lost. They
//! are checked on one fold, event by event in canonical order: what a step may do, and what every
//! state must be. They are written from the rules, not from the code that keeps them; what they
//! need of the past they remember themselves.

mod accounted;
mod claims;
mod merge;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use tress_model::operation::{ProseTarget, TodoEdit};
use tress_model::state::Todo;
use tress_model::{Dot, Event, LedgerEntry, Operation, Rule, State, TodoId};

/// What is wrong, beginning with the name of the rule.
pub(crate) type Found = Result<(), String>;

fn ensure(holds: bool, rule: &str, what: impl FnOnce() -> String) -> Found {
    if holds { Ok(()) } else { Err(format!("{rule}: {}", what())) }
}

/// The value of a field and who wrote it: an edit, and its events that did not see each other.
type Written = (TodoEdit, Vec<Dot>);

/// A fold that is watched.
#[derive(Clone, Default)]
pub(crate) struct Watch {
    pub state: State,
    past: Past,
}

/// What the watcher remembers of the events before.
#[derive(Clone, Default)]
struct Past {
    events: BTreeMap<Dot, Arc<Event>>,
    /// In canonical order.
    order: Vec<Arc<Event>>,
    /// Events that had no effect because something was not there or not so.
    void: BTreeSet<Dot>,
    /// Deletions and removals that lost.
    beaten: BTreeSet<Dot>,
    /// Claims that ended or lost, each with the events that ended it.
    ended: BTreeMap<Dot, Vec<Dot>>,
    /// Claims that a deletion ended, and which.
    aside: BTreeMap<TodoId, (Dot, Dot)>,
    /// Claims that were ever made on a todo that was there.
    claims: BTreeSet<Dot>,
    /// The fields of todos, as they were written.
    fields: BTreeMap<(TodoId, String), Written>,
}

/// One event, and the states before and after it.
struct Step<'a> {
    before: &'a State,
    after: &'a State,
    event: &'a Event,
    /// The entries of the ledger that it made.
    entries: Vec<Arc<LedgerEntry>>,
    past: &'a Past,
}

impl Step<'_> {
    fn lost(&self, rule: Rule, loser: Dot) -> bool {
        self.entries.iter().any(|entry| entry.rule == rule && entry.loser == loser)
    }

    /// Whether the event itself had no effect by *precondition*.
    fn void(&self) -> bool {
        self.lost(Rule::Precondition, self.event.dot)
    }

    fn todos(&self) -> (Option<&Todo>, Option<&Todo>) {
        let Some(id) = self.event.operation.todo() else { return (None, None) };
        (self.before.todo(id).map(Arc::as_ref), self.after.todo(id).map(Arc::as_ref))
    }
}

impl Watch {
    /// Folds the next event and checks what must hold.
    pub(crate) fn step(&mut self, event: &Arc<Event>) -> Found {
        let before = self.state.clone();
        self.state.apply(event);
        let known = before.ledger.len();
        let step = Step {
            before: &before,
            after: &self.state,
            event,
            entries: self.state.ledger.iter().skip(known).cloned().collect(),
            past: &self.past,
        };
        accounted::no_event_is_absent(&step)?;
        claims::step(&step)?;
        merge::step(&step)?;
        self.past.remember(&before, &self.state, event);
        check(&self.past, &self.state)
    }

    /// Folds all of `events` and checks what must hold on the way.
    pub(crate) fn all<'a>(
        events: impl IntoIterator<Item = &'a Arc<Event>>,
    ) -> Result<Self, String> {
        let mut watch = Self::default();
        events.into_iter().try_for_each(|event| watch.step(event))?;
        Ok(watch)
    }

    /// Checks another state that the same events are said to fold to.
    pub(crate) fn check(&self, state: &State) -> Found {
        check(&self.past, state)
    }
}

/// What every state must be that the events of `past` fold to.
fn check(past: &Past, state: &State) -> Found {
    claims::state(past, state)?;
    merge::state(past, state)
}

/// Whether an operation counts as a change of its todo.
fn changes_todo(operation: &Operation) -> bool {
    use Operation as O;
    operation.todo().is_some()
        && !matches!(
            operation,
            O::Deleted { .. }
                | O::AlertRaised { .. }
                | O::BudgetSpent { .. }
                | O::AssessmentGiven { .. }
                | O::DeviationFound { .. }
        )
}

/// The fields of a todo that an operation writes.
fn writes(operation: &Operation) -> Vec<TodoEdit> {
    match operation {
        Operation::TodoAdded { title, edits, .. } => {
            let title = TodoEdit::Title(title.clone());
            std::iter::once(title).chain(edits.iter().cloned()).collect()
        }
        Operation::TodoEdited { edits, .. } => edits.clone(),
        _ => Vec::new(),
    }
}

/// The section whose text an operation edits.
fn edits_section(operation: &Operation) -> Option<&str> {
    match operation {
        Operation::ProseEdited { target: ProseTarget::Section(key), .. } => Some(key),
        _ => None,
    }
}

impl Past {
    fn saw(&self, event: Dot, other: Dot) -> bool {
        self.events.get(&event).is_some_and(|event| event.saw(other))
    }

    fn remember(&mut self, before: &State, after: &State, event: &Arc<Event>) {
        let known = before.ledger.len();
        let entries: Vec<_> = after.ledger.iter().skip(known).cloned().collect();
        for entry in &entries {
            match entry.rule {
                Rule::Precondition => self.void.insert(entry.loser),
                Rule::EditBeatsDelete => self.beaten.insert(entry.loser),
                _ => false,
            };
        }
        let void = self.void.contains(&event.dot);
        if let Some(id) = event.operation.todo() {
            self.remember_claims(before.todo(id), after.todo(id), event, &entries);
            if !void {
                self.remember_fields(id, after, event);
            }
        }
        self.events.insert(event.dot, Arc::clone(event));
        self.order.push(Arc::clone(event));
    }

    fn remember_claims(
        &mut self,
        before: Option<&Arc<Todo>>,
        after: Option<&Arc<Todo>>,
        event: &Event,
        entries: &[Arc<LedgerEntry>],
    ) {
        let Some(after) = after else { return };
        let held = before.and_then(|todo| todo.claim.as_deref()).map(|claim| claim.token);
        let holds = after.claim.as_deref().map(|claim| claim.token);
        let lost: BTreeSet<_> = after.lost.iter().map(|claim| claim.token).collect();
        let was_lost = before.into_iter().flat_map(|todo| todo.lost.iter());
        let was_lost: BTreeSet<_> = was_lost.map(|claim| claim.token).collect();
        // A deletion that loses gives its claim back; the event that beats it may end that at once.
        match (&event.operation, held) {
            (Operation::Deleted { .. }, Some(held)) if holds.is_none() => {
                self.aside.insert(after.id, (held, event.dot));
            }
            (Operation::Reopened { .. }, _) => drop(self.aside.remove(&after.id)),
            _ => {}
        }
        if let Some((token, deletion)) = self.aside.get(&after.id).copied()
            && self.beaten.contains(&deletion)
        {
            self.aside.remove(&after.id);
            if held.is_none() {
                self.ended.insert(token, vec![event.dot]);
            }
        }
        let gone = was_lost.into_iter().filter(|token| !lost.contains(token));
        for token in held.into_iter().chain(gone).filter(|token| Some(*token) != holds) {
            self.ended.entry(token).or_default().push(event.dot);
        }
        if let Some(token) = holds {
            self.ended.remove(&token);
        }
        if let Operation::Claimed { .. } = event.operation
            && !self.void.contains(&event.dot)
        {
            self.claims.insert(event.dot);
            if holds != Some(event.dot) {
                let against = entries.iter().filter(|entry| entry.loser == event.dot);
                let winners = against.filter_map(|entry| entry.winner);
                self.ended.entry(event.dot).or_default().extend(winners);
            }
        }
    }

    fn remember_fields(&mut self, id: TodoId, after: &State, event: &Event) {
        let reset = match event.operation {
            Operation::Reopened { .. } => true,
            Operation::Claimed { .. } => {
                let claim = after.todo(id).and_then(|todo| todo.claim.as_deref());
                claim.is_some_and(|claim| claim.token == event.dot)
            }
            _ => false,
        };
        if reset && after.todo(id).is_some_and(|todo| todo.stage.is_none()) {
            self.fields.insert((id, "stage".to_owned()), (TodoEdit::Stage(None), Vec::new()));
        }
        for edit in writes(&event.operation) {
            let new = (edit.clone(), Vec::new());
            let written = self.fields.entry((id, edit.field().to_owned())).or_insert(new);
            if written.0 == edit {
                written.1.retain(|writer| !event.saw(*writer));
            } else {
                *written = (edit, Vec::new());
            }
            written.1.push(event.dot);
        }
    }
}
