//! The recorded history of a beads project, replayed as operations.
//!
//! Beads can dump its tables: the issues as they are, and every change that made them so. Each
//! entry becomes the operations that its agent would have appended, at the entry's time, so that a
//! run can be looked at as it was at any moment. [`agreement`] holds the folded result against the
//! issues of the dump.

mod agreement;
mod entry;
mod origin;

use std::collections::BTreeMap;

pub use agreement::{Agreement, Disagreement, Tally, Why, agreement};
use tress_model::clock::Millis;
use tress_model::ids::TodoId;
use tress_model::operation::{Operation, ProseField, ProseTarget, TodoEdit};
use tress_model::state::prose::difference;
use tress_model::{State, Todo};

use self::entry::{Entry, What};
use self::origin::Origin;
use super::beads::{Saying, saying};
use super::scratch::Scratch;
use super::{Import, Planned, ProblemKind, Report};
use crate::formats::names::meant;

/// The tables of a dump, each as JSON lines.
#[derive(Debug, Clone, Copy, Default)]
pub struct Sources<'a> {
    /// The issues as they are.
    pub issues: &'a [u8],
    /// What happened.
    pub events: &'a [u8],
    /// The edges, where the issues do not hold them.
    pub dependencies: &'a [u8],
    /// The labels, where the issues do not hold them.
    pub labels: &'a [u8],
    /// The remarks, where the issues do not hold them.
    pub comments: &'a [u8],
}

impl<'a> Sources<'a> {
    /// The two tables without which there is no history.
    pub fn new(issues: &'a [u8], events: &'a [u8]) -> Self {
        Self { issues, events, ..Self::default() }
    }
}

/// Plans the operations of a whole history, for a run that has no todos. Every entry becomes at
/// least one operation, or is reported.
pub fn import(sources: &Sources<'_>) -> Import {
    let mut report = Report::default();
    let entries = entry::entries(sources.events, &mut report);
    report.read = entries.len();
    let origin = Origin::of(sources, &entries, &mut report);
    let mut replay =
        Replay { scratch: Scratch::new(&State::default()), planned: Vec::new(), report };
    for step in steps(origin, &entries) {
        match step {
            Step::Plan(planned) => replay.plan(planned),
            Step::Entry(entry) => replay.entry(entry),
        }
    }
    replay.report.added = replay.scratch.state.todos.len();
    replay.report.finish();
    Import { operations: replay.planned, report: replay.report }
}

enum Step<'a> {
    Plan(Planned),
    Entry(&'a Entry),
}

/// Brings what is known of the beginnings and what happened into one order of time. A todo comes
/// into being at its `created` entry, or before all entries; nothing happens to it before that.
fn steps<'a>(origin: Origin, entries: &'a [Entry]) -> Vec<Step<'a>> {
    let mut births: BTreeMap<&str, (Millis, &Entry)> = BTreeMap::new();
    let mut first: BTreeMap<&str, bool> = BTreeMap::new();
    for entry in entries {
        let born = first.insert(&entry.issue, false).is_none() && entry.what == What::Created;
        if born {
            births.insert(&entry.issue, (entry.at, entry));
        }
    }
    // (time, rank, order): what was there, then entries, then what hangs on todos.
    let mut steps: Vec<((Millis, u8, Millis), Step<'a>)> = Vec::new();
    for todo in origin.todos {
        let birth = births.get(todo.id.as_str());
        let since = birth.map(|(at, _)| *at);
        for planned in todo.planned {
            let own = planned.occurred.unwrap_or(0);
            let adds = matches!(planned.operation, Operation::TodoAdded { .. });
            let (key, planned) = match (adds, birth) {
                (true, Some((at, entry))) => ((*at, 1, entry.order), born(planned, entry)),
                (true, None) => ((0, 0, own), planned),
                (false, _) if todo.eventless => ((0, 0, own), planned),
                (false, _) => ((own.max(since.unwrap_or(0)), 2, own), planned),
            };
            steps.push((key, Step::Plan(planned)));
        }
    }
    for entry in entries {
        let born =
            births.get(entry.issue.as_str()).is_some_and(|(_, born)| born.line == entry.line);
        if !born {
            steps.push(((entry.at, 1, entry.order), Step::Entry(entry)));
        }
    }
    steps.sort_by_key(|(key, _)| *key);
    steps.into_iter().map(|(_, step)| step).collect()
}

/// What brings a todo into being, done by the agent of its `created` entry. The issue's own time of
/// creation stays: it is by another clock than the entries.
fn born(mut planned: Planned, entry: &Entry) -> Planned {
    if let (Operation::TodoAdded { edits, .. }, Some(at)) =
        (&mut planned.operation, planned.occurred.replace(entry.at))
    {
        edits.push(TodoEdit::CreatedAt(at));
    }
    planned.by(entry.author())
}

/// Plans while it folds, since what an entry means depends on what was before it.
struct Replay {
    scratch: Scratch,
    planned: Vec<Planned>,
    report: Report,
}

impl Replay {
    fn plan(&mut self, planned: Planned) {
        self.scratch.apply(&planned);
        self.planned.push(planned);
    }

    fn entry(&mut self, entry: &Entry) {
        let todo = meant(&entry.issue);
        if self.scratch.state.todo(todo).is_none() {
            let message = format!("there is no issue {} for the entry to be about", entry.issue);
            self.report.problem(entry.line, ProblemKind::BadEntry, message);
            return;
        }
        if let Some(snapshot) = &entry.before {
            self.silent(todo, entry, snapshot);
        }
        let before = self.planned.len();
        self.happen(todo, entry);
        for (name, raw) in &entry.after {
            self.say(todo, entry, name, raw, true);
        }
        if self.planned.len() == before {
            // It said again what was so: the todo was touched, no more.
            let edits = vec![TodoEdit::UpdatedAt(entry.at)];
            self.act(entry, Operation::TodoEdited { todo, edits });
        }
    }

    /// What an entry tells of beside new values of fields.
    fn happen(&mut self, todo: TodoId, entry: &Entry) {
        match &entry.what {
            What::Created | What::Reopened => self.reopen(todo, entry),
            What::Closed(reason) => {
                let reason = reason.clone();
                self.act(entry, Operation::Closed { todo, reason });
            }
            What::Changed => {}
            What::Renamed(from) => {
                let text = format!("renamed from {from} to {}", entry.issue);
                self.act(entry, Operation::NoteAdded { todo, text, layout: None });
            }
            What::Remark(text) => {
                let text = text.clone();
                self.act(entry, Operation::NoteAdded { todo, text, layout: None });
            }
            What::Labelled(label, added) => {
                let (some, none) = (vec![label.clone()], Vec::new());
                let (added, removed) = if *added { (some, none) } else { (none, some) };
                self.act(entry, Operation::LabelsChanged { todo, added, removed });
            }
        }
    }

    fn act(&mut self, entry: &Entry, operation: Operation) {
        self.plan(Planned::new(Some(entry.at), operation).by(entry.author()));
    }

    fn todo(&self, todo: TodoId) -> Option<&Todo> {
        self.scratch.state.todo(todo).map(|todo| &**todo)
    }

    fn reopen(&mut self, todo: TodoId, entry: &Entry) {
        if self.todo(todo).is_some_and(Todo::finished) {
            let reason = entry.comment.clone().unwrap_or_default();
            self.act(entry, Operation::Reopened { todo, reason });
        }
    }

    /// Plans what one member of an issue says, where that is not so yet.
    fn say(&mut self, todo: TodoId, entry: &Entry, name: &str, raw: &str, own: bool) {
        let Some(held) = self.todo(todo) else { return };
        let operation = match saying(name, raw) {
            Ok(Saying::Edit(edit)) => edit_operation(held, edit),
            Ok(Saying::Prose(field, text)) => prose_operation(held, field, &text),
            Ok(Saying::Status(word)) => {
                let steps = status_operations(held, &word);
                for operation in steps {
                    self.say_so(entry, operation, own);
                }
                None
            }
            Ok(Saying::Other) => None,
            Err(_) => {
                let message = format!("{name} cannot be read; it was left as it was");
                self.report.problem(entry.line, ProblemKind::BadValue, message);
                None
            }
        };
        if let Some(operation) = operation {
            self.say_so(entry, operation, own);
        }
    }

    fn say_so(&mut self, entry: &Entry, operation: Operation, own: bool) {
        let author = entry.author().filter(|_| own);
        self.plan(Planned::new(Some(entry.at), operation).by(author));
    }

    /// What an entry found otherwise than the entries before had left it: it changed without an
    /// entry, and nobody knows by whom.
    fn silent(&mut self, todo: TodoId, entry: &Entry, snapshot: &[(String, String)]) {
        let before = self.planned.len();
        for (name, raw) in snapshot.iter().filter(|(name, _)| !entry::moment(name)) {
            let known = self.todo(todo).and_then(|held| held.extra.get(name));
            if known.is_none_or(|known| !entry::same(known, raw)) {
                self.say(todo, entry, name, raw, false);
            }
        }
        // What is empty is left out of a snapshot.
        for name in ["assignee", "description", "notes", "design", "acceptance_criteria"] {
            if !snapshot.iter().any(|(known, _)| known == name) {
                self.say(todo, entry, name, "null", false);
            }
        }
        if self.planned.len() > before {
            self.report.silent += 1;
        }
    }
}

fn edit_operation(held: &Todo, edit: TodoEdit) -> Option<Operation> {
    use TodoEdit as E;
    let same = match &edit {
        E::Title(new) => held.title == *new,
        E::Kind(new) => held.kind == *new,
        E::Priority(new) => held.priority == *new,
        E::Assignee(new) => held.assignee == *new,
        E::Owner(new) => held.owner == *new,
        E::Estimate(new) => held.estimate_minutes == *new,
        E::DueAt(new) => held.due_at == *new,
        E::DeferUntil(new) => held.defer_until == *new,
        E::ExternalRef(new) => held.external_ref == *new,
        E::Ephemeral(new) => held.ephemeral == *new,
        E::Pinned(new) => held.pinned == *new,
        E::Extra(name, new) => held.extra.get(name) == new.as_ref(),
        _ => false,
    };
    (!same).then(|| Operation::TodoEdited { todo: held.id, edits: vec![edit] })
}

fn prose_operation(held: &Todo, field: ProseField, text: &str) -> Option<Operation> {
    let splice = difference(&held.prose(field), text)?;
    let target = ProseTarget::Todo(held.id, field);
    Some(Operation::ProseEdited { target, splices: vec![splice] })
}

/// From where the todo stands to where the word says.
fn status_operations(held: &Todo, word: &str) -> Vec<Operation> {
    let todo = held.id;
    let reason = String::new();
    let finished = held.finished();
    if matches!(word, "closed" | "tombstone") {
        return if finished { Vec::new() } else { vec![Operation::Closed { todo, reason }] };
    }
    let mut operations = Vec::new();
    if finished {
        operations.push(Operation::Reopened { todo, reason });
    }
    let stage = Some(word.to_owned()).filter(|word| word != "open");
    let now = held.stage.as_ref().filter(|_| !finished);
    if now != stage.as_ref() {
        operations.push(Operation::TodoEdited { todo, edits: vec![TodoEdit::Stage(stage)] });
    }
    operations
}
