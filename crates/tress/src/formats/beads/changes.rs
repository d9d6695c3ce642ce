//! The single changes that bring a todo to what a file says.

use std::sync::Arc;

use tress_model::Todo;
use tress_model::ids::TodoId;
use tress_model::operation::{Operation, ProseField, ProseTarget, TodoEdit};
use tress_model::state::prose::difference;
use tress_model::state::todo::Note;

use super::export::ending;
use super::keys::TressFields;
use super::plan::fitting;
use super::read::Issue;
use crate::formats::Planned;

/// The closing that the file tells of.
pub(super) fn closed(todo: TodoId, issue: &Issue<'_>) -> Planned {
    let reason = issue.close_reason.clone().unwrap_or_default();
    Planned::new(issue.closed_at.or_else(|| issue.moment()), Operation::Closed { todo, reason })
}

/// The deletion that the file tells of.
pub(super) fn deleted(todo: TodoId, issue: &Issue<'_>) -> Planned {
    let reason = issue.delete_reason.clone().unwrap_or_default();
    let at = issue.deleted_at.or_else(|| issue.moment());
    Planned::new(at, Operation::Deleted { todo, reason }).by(issue.deleted_by.clone())
}

/// Whether the todo is closed when and why the file says so.
pub(super) fn closed_so(todo: &Todo, issue: &Issue<'_>) -> bool {
    todo.deletion().is_none()
        && ending(todo).is_some_and(|(at, reason)| {
            issue.closed_at.is_none_or(|wanted| wanted == at)
                && reason == issue.close_reason.as_deref().unwrap_or_default()
        })
}

/// The edits that bring the plain fields of `todo` to what the file says.
pub(super) fn field_edits(todo: &Todo, issue: &Issue<'_>, holder: Option<&str>) -> Vec<TodoEdit> {
    use TodoEdit as E;
    let mut edits = Vec::new();
    let mut put = |differs: bool, edit: E| edits.extend(differs.then_some(edit));
    // A holder stands in the file as the assignee.
    let assignee = issue.assignee.as_deref();
    let assigned = todo.assignee.as_deref() == assignee || (holder.is_some() && holder == assignee);
    put(todo.title != issue.title, E::Title(issue.title.clone()));
    put(todo.kind != issue.kind, E::Kind(issue.kind.clone()));
    put(todo.priority != issue.priority, E::Priority(issue.priority));
    put(!assigned, E::Assignee(issue.assignee.clone()));
    put(todo.owner != issue.owner, E::Owner(issue.owner.clone()));
    put(todo.estimate_minutes != issue.estimate, E::Estimate(issue.estimate));
    put(todo.pinned != issue.pinned, E::Pinned(issue.pinned));
    put(todo.ephemeral != issue.ephemeral, E::Ephemeral(issue.ephemeral));
    put(todo.defer_until != issue.defer_until, E::DeferUntil(issue.defer_until));
    put(todo.due_at != issue.due_at, E::DueAt(issue.due_at));
    put(todo.external_ref != issue.external_ref, E::ExternalRef(issue.external_ref.clone()));
    if let Some(at) = issue.created_at {
        put(todo.created_at != at, E::CreatedAt(at));
    }
    if issue.entries.get("created_by").is_some() {
        put(todo.created_by != issue.created_by, E::CreatedBy(issue.created_by.clone()));
    }
    if let Some(wanted) = &issue.tress {
        let now = TressFields::of(todo);
        put(now.check != wanted.check, E::Check(wanted.check.clone()));
        put(now.files != wanted.files, E::Files(wanted.files.clone()));
        put(now.section != wanted.section, E::Section(wanted.section.clone()));
        let capabilities = &wanted.capabilities;
        put(now.capabilities != *capabilities, E::Capabilities(capabilities.clone()));
        put(now.high_risk != wanted.high_risk, E::HighRisk(wanted.high_risk));
    }
    for (name, raw) in &issue.extra {
        let edit = E::Extra(name.clone(), Some(raw.clone()));
        put(todo.extra.get(name) != Some(raw), edit);
    }
    for name in todo.extra.keys().filter(|name| !issue.extra.contains_key(*name)) {
        put(true, E::Extra(name.clone(), None));
    }
    edits
}

/// The changes of the texts.
pub(super) fn prose_edits<'a>(
    todo: &'a Todo,
    issue: &'a Issue<'_>,
) -> impl Iterator<Item = Operation> + use<'a> {
    ProseField::ALL.into_iter().filter_map(|field| {
        let wanted = issue.prose.get(&field).map(String::as_str).unwrap_or_default();
        let splice = difference(&todo.prose(field), wanted)?;
        let target = ProseTarget::Todo(todo.id, field);
        Some(Operation::ProseEdited { target, splices: vec![splice] })
    })
}

/// The change of the labels, if there is one.
pub(super) fn label_change(todo: &Todo, issue: &Issue<'_>) -> Option<Operation> {
    let new = issue.labels.iter().filter(|label| !todo.labels.contains_key(*label));
    let added: Vec<String> = new.cloned().collect();
    let gone = todo.labels.keys().filter(|label| !issue.labels.contains(*label));
    let removed: Vec<String> = gone.cloned().collect();
    let change = Operation::LabelsChanged { todo: todo.id, added, removed };
    let empty = matches!(&change, Operation::LabelsChanged { added, removed, .. }
        if added.is_empty() && removed.is_empty());
    (!empty).then_some(change)
}

/// The remarks of the file that the todo does not have yet.
pub(super) fn notes(todo: TodoId, issue: &Issue<'_>, known: &[Arc<Note>]) -> Vec<Planned> {
    let mut known: Vec<_> = known.iter().collect();
    let mut planned = Vec::new();
    for note in &issue.notes {
        let same = known.iter().position(|known| {
            known.text == note.text
                && note.at.is_none_or(|at| at == known.at)
                && note.author.as_deref().is_none_or(|author| *author == *known.agent)
        });
        if let Some(at) = same {
            known.swap_remove(at);
            continue;
        }
        let text = note.text.clone();
        let layout = fitting(note.layout.clone(), text.len());
        let operation = Operation::NoteAdded { todo, text, layout };
        planned.push(Planned::new(note.at, operation).by(note.author.clone()));
    }
    planned
}
