//! What has to happen for a state to become what a file says.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use tress_model::clock::Millis;
use tress_model::ids::TodoId;
use tress_model::limits::EVENT_BYTES_MAX;
use tress_model::operation::{Operation, TodoEdit};
use tress_model::{State, Todo};

use super::changes::{closed, closed_so, deleted, field_edits, label_change, notes, prose_edits};
use super::export::{Exporter, fit};
use super::layout::Layout;
use super::read::{EdgeLine, Issue, Standing};
use crate::formats::names::{Names, external};
use crate::formats::scratch::Scratch;
use crate::formats::{Import, Planned, ProblemKind, Report};

/// What an event has room for beside a line and its layout.
const ROOM: usize = 16 << 10;

/// A layout, where an event can hold it beside `used` bytes of other things.
pub(super) fn fitting(layout: Option<String>, used: usize) -> Option<String> {
    layout.filter(|layout| layout.len() + used + ROOM < EVENT_BYTES_MAX)
}

/// What is planned for one issue.
struct Group {
    todo: TodoId,
    new: bool,
    /// Whether the todo keeps a status that is not the file's.
    held: bool,
    operations: Vec<Planned>,
}

/// Plans the import of issues over a state.
pub(super) struct Planner<'a> {
    state: &'a State,
    /// The moment at which claims are judged.
    now: Millis,
    names: &'a Names<'a>,
    /// What an export of the state would write, and in which layouts.
    exporter: Exporter<'a>,
    layouts: BTreeMap<TodoId, Layout>,
    scratch: Scratch,
    blank: Option<Arc<Todo>>,
    groups: Vec<Group>,
    /// Whether the file tells of labels, edges and remarks at all.
    whole: bool,
}

impl<'a> Planner<'a> {
    pub(super) fn new(
        state: &'a State,
        names: &'a Names<'a>,
        issues: &[Issue<'_>],
        now: Millis,
    ) -> Self {
        let any = |key: &str| issues.iter().any(|issue| issue.entries.get(key).is_some());
        let graph = ["labels", "dependencies", "comments"].into_iter().any(any);
        let exporter = Exporter::new(state, now);
        Self {
            state,
            now,
            names,
            layouts: exporter.layouts(),
            exporter,
            scratch: Scratch::new(state),
            blank: blank(),
            groups: Vec::with_capacity(issues.len()),
            whole: graph || !any("content_hash"),
        }
    }

    /// Plans everything but the layouts.
    pub(super) fn issue(&mut self, issue: &Issue<'_>, report: &mut Report) {
        let id = self.names.locate(self.state, &issue.id);
        let held = self.state.todo(id).cloned();
        let problems = report.problems.len();
        let operations = match &held {
            None => self.add(id, issue),
            Some(todo) if self.written_so(todo, issue) => Vec::new(),
            Some(todo) => self.update(todo, issue, report),
        };
        let new = held.is_none();
        let mut group = Group { todo: id, new, held: report.problems.len() > problems, operations };
        for planned in &group.operations {
            self.scratch.apply(planned);
        }
        let folded = self.scratch.state.todo(id);
        if let (Some(wanted), Some(todo)) = (issue.updated_at, folded)
            && todo.updated_at != wanted
            && todo.deletion().is_none()
        {
            let edits = vec![TodoEdit::UpdatedAt(wanted)];
            let planned = Planned::new(issue.moment(), Operation::TodoEdited { todo: id, edits });
            self.scratch.apply(&planned);
            group.operations.push(planned);
        }
        self.groups.push(group);
    }

    /// Whether an export would write the very line.
    fn written_so(&self, todo: &Todo, issue: &Issue<'_>) -> bool {
        let layout = self.layouts.get(&todo.id);
        layout.is_some_and(|layout| self.exporter.write(todo, layout).line == issue.line.text)
    }

    fn add(&self, id: TodoId, issue: &Issue<'_>) -> Vec<Planned> {
        let mut edits = Vec::new();
        if let Some(blank) = &self.blank {
            edits = field_edits(blank, issue, None);
            edits.retain(|edit| !matches!(edit, TodoEdit::Title(_)));
        }
        edits.retain(|edit| !matches!(edit, TodoEdit::CreatedAt(_) | TodoEdit::CreatedBy(_)));
        edits.push(TodoEdit::CreatedBy(issue.created_by.clone()));
        edits.extend(issue.updated_at.map(TodoEdit::UpdatedAt));
        if let Standing::Open(Some(word)) = &issue.standing {
            edits.push(TodoEdit::Stage(Some(word.clone())));
        }
        let prose = issue.prose.iter().map(|(field, text)| (*field, text.clone())).collect();
        let added = Operation::TodoAdded {
            todo: id,
            external_id: external(&issue.id, id),
            title: issue.title.clone(),
            edits,
            prose,
            labels: issue.labels.iter().cloned().collect(),
            layout: None,
        };
        let mut planned = vec![Planned::new(issue.created_at.or_else(|| issue.moment()), added)];
        let mut known = BTreeSet::new();
        for edge in &issue.edges {
            if known.insert((self.names.locate(self.state, &edge.on), edge.kind.clone())) {
                planned.push(self.edge(id, issue, edge));
            }
        }
        planned.extend(notes(id, issue, &[]));
        match issue.standing {
            Standing::Open(_) => {}
            Standing::Closed => planned.push(closed(id, issue)),
            Standing::Deleted => planned.push(deleted(id, issue)),
        }
        planned
    }

    fn edge(&self, todo: TodoId, issue: &Issue<'_>, edge: &EdgeLine) -> Planned {
        let on = self.names.locate(self.state, &edge.on);
        let operation = Operation::DependencyAdded {
            todo,
            on,
            external_id: Some(edge.on.clone()).filter(|_| on == TodoId::from_external(&edge.on)),
            kind: edge.kind.clone(),
            layout: fitting(edge.layout.clone(), 0),
        };
        Planned::new(edge.at.or_else(|| issue.moment()), operation)
    }

    /// The changes that bring an existing todo to what the file says.
    fn update(&self, todo: &Todo, issue: &Issue<'_>, report: &mut Report) -> Vec<Planned> {
        let gone = todo.deletion().is_some();
        let at = issue.moment();
        let plan = |operation| Planned::new(at, operation);
        let mut planned = Vec::new();
        let held = self.held(todo);
        let open = matches!(issue.standing, Standing::Open(_));
        if gone || (open && todo.finished()) {
            let reason = "changed in the imported file".to_owned();
            planned.push(plan(Operation::Reopened { todo: todo.id, reason }));
        }
        let mut edits = field_edits(todo, issue, held.as_deref());
        if let Standing::Open(word) = &issue.standing {
            match &held {
                Some(agent) if word.as_deref() != Some("in_progress") => {
                    let word = word.as_deref().unwrap_or("open");
                    let message =
                        format!("{agent} holds {}, so it was not made {word:?}", issue.id);
                    report.problem(issue.line.number, ProblemKind::Held, message);
                }
                Some(_) => {}
                None => {
                    let stage = todo.stage.as_ref().filter(|_| planned.is_empty());
                    if stage != word.as_ref() {
                        edits.push(TodoEdit::Stage(word.clone()));
                    }
                }
            }
        }
        if !edits.is_empty() {
            edits.extend(issue.updated_at.map(TodoEdit::UpdatedAt));
            planned.push(plan(Operation::TodoEdited { todo: todo.id, edits }));
        }
        planned.extend(prose_edits(todo, issue).map(plan));
        if self.whole {
            planned.extend(label_change(todo, issue).map(plan));
            self.edge_changes(todo, issue, &mut planned);
            planned.extend(notes(todo.id, issue, &todo.notes));
        }
        match issue.standing {
            Standing::Closed if !closed_so(todo, issue) => planned.push(closed(todo.id, issue)),
            Standing::Deleted => planned.push(deleted(todo.id, issue)),
            _ => {}
        }
        planned
    }

    /// Who holds the todo now.
    fn held(&self, todo: &Todo) -> Option<String> {
        if todo.finished() {
            return None;
        }
        let holder = todo.holder(self.now).map(|claim| claim.agent.to_string());
        let pending = todo.pending_completion().or_else(|| todo.verified());
        holder.or_else(|| pending.map(|completion| completion.agent.to_string()))
    }

    fn edge_changes(&self, todo: &Todo, issue: &Issue<'_>, planned: &mut Vec<Planned>) {
        let locate = |edge: &EdgeLine| (self.names.locate(self.state, &edge.on), edge.kind.clone());
        let wanted: BTreeSet<_> = issue.edges.iter().map(locate).collect();
        let mut known = BTreeSet::new();
        for edge in self.state.edges(todo.id) {
            known.insert((edge.on, edge.kind.clone()));
            if !wanted.contains(&(edge.on, edge.kind.clone())) {
                let (on, kind) = (edge.on, edge.kind.clone());
                let removed = Operation::DependencyRemoved { todo: todo.id, on, kind };
                planned.push(Planned::new(issue.moment(), removed));
            }
        }
        for edge in &issue.edges {
            if known.insert(locate(edge)) {
                planned.push(self.edge(todo.id, issue, edge));
            }
        }
    }

    /// Adds the layouts, now that it is known what the state will be.
    pub(super) fn finish(mut self, issues: &[Issue<'_>], mut report: Report) -> Import {
        let exporter = Exporter::new(&self.scratch.state, self.now);
        let layouts = exporter.layouts();
        for (group, issue) in self.groups.iter_mut().zip(issues) {
            let Some(todo) = self.scratch.state.todo(group.todo) else {
                continue;
            };
            // An export names it by its whole id, and so mends a file that does not.
            let by_short_id = !group.new && external(&issue.id, todo.id) != todo.external_id;
            if group.held || by_short_id && todo.external_id.is_none() {
                continue;
            }
            if let (false, Some(layout)) = (group.new, layouts.get(&group.todo)) {
                let written = exporter.write(todo, layout);
                let same = written.line == issue.line.text
                    && written.before == issue.line.before
                    && written.end == issue.line.end;
                if same {
                    continue;
                }
            }
            let layout = fit(&exporter, todo, issue.line.text, &issue.entries);
            let layout = layout.and_then(|layout| placed(layout, issue).store());
            let layout = fitting(layout, issue.line.text.len());
            let closed_off = todo.deletion().is_some() && group.operations.is_empty();
            if layout.is_none() || closed_off {
                let message = format!("an export may write {} otherwise than this line", issue.id);
                report.problem(issue.line.number, ProblemKind::Inexact, message);
                continue;
            }
            group.lay_out(todo, issue, layout);
        }
        let files: BTreeSet<TodoId> = self.groups.iter().map(|group| group.todo).collect();
        let here = self.state.todos.values().filter(|todo| todo.deletion().is_none());
        let absent =
            here.filter(|todo| !files.contains(&todo.id)).map(|todo| self.state.name(todo.id));
        report.absent = absent.collect();
        for group in &self.groups {
            match (group.new, group.operations.is_empty()) {
                (true, _) => report.added += 1,
                (false, true) => report.unchanged += 1,
                (false, false) => report.changed += 1,
            }
        }
        report.finish();
        let operations = self.groups.into_iter().flat_map(|group| group.operations).collect();
        Import { operations, report }
    }
}

impl Group {
    fn lay_out(&mut self, todo: &Todo, issue: &Issue<'_>, new: Option<String>) {
        if self.new {
            if let Some(Planned { operation: Operation::TodoAdded { layout, .. }, .. }) =
                self.operations.first_mut()
            {
                *layout = new;
            }
            return;
        }
        let again = Operation::TodoAdded {
            todo: todo.id,
            external_id: todo.external_id.clone(),
            title: todo.title.clone(),
            edits: vec![TodoEdit::UpdatedAt(todo.updated_at)],
            prose: Vec::new(),
            labels: Vec::new(),
            layout: new,
        };
        // Nothing can be said of a todo that is deleted.
        let last = self.operations.last().map(|planned| &planned.operation);
        let behind = matches!(last, Some(Operation::Deleted { .. }));
        let at = self.operations.len() - usize::from(behind);
        self.operations.insert(at, Planned::new(issue.moment(), again));
    }
}

/// A todo of which nothing is said but its title.
fn blank() -> Option<Arc<Todo>> {
    let mut scratch = Scratch::new(&State::default());
    let todo = TodoId::from_random(0);
    scratch.apply(&Planned::new(
        None,
        Operation::TodoAdded {
            todo,
            external_id: None,
            title: String::new(),
            edits: Vec::new(),
            prose: Vec::new(),
            labels: Vec::new(),
            layout: None,
        },
    ));
    scratch.state.todo(todo).cloned()
}

/// A layout with what stands around its line.
fn placed(mut layout: Layout, issue: &Issue<'_>) -> Layout {
    layout.before.clone_from(&issue.line.before);
    layout.end = Some(issue.line.end.clone()).filter(|end| end != "\n");
    layout
}
