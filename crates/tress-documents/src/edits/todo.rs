//! Edits of the todo document.

use tress_model::operation::{BlockerKind, EdgeKind, ProseField, ProseTarget, TodoEdit, Verdict};
use tress_model::{Dot, Operation, State, Todo, TodoId, limits};

use super::{Edits, Pair, differing, members, text, whole};
use crate::node::Node;

const CLAIMS: &str = "claims are made and given back through Tress (`claim`, `release`)";
const KEPT: &str = "it is kept by Tress, and derived from events";
const HISTORY: &str = "what happened is not edited; add what is new";
const FORM: &str = "its value is of another type than the schema says";
const UNKNOWN: &str = "the schema has no such field; `extra` takes what it does not know";

impl Edits {
    pub(super) fn todos(&mut self, state: &State, known: &Node, edited: &Node) {
        for pair in differing(Some(known), Some(edited)) {
            match pair.key {
                "schema" | "strand" | "todos" => {}
                "run" => self.refuse("run", "`start` says what a run is about"),
                other => self.refuse(other, UNKNOWN),
            }
        }
        if edited.get("todos").and_then(Node::as_map).is_none() {
            return self.refuse("todos", "the todos stay: delete one by one");
        }
        for pair in differing(known.get("todos"), edited.get("todos")) {
            let id: Option<TodoId> = pair.key.parse().ok();
            let todo = id.and_then(|id| state.todo(id));
            match (todo, pair.new) {
                (_, Some(new)) if new.as_map().is_none() => {
                    self.refuse(format!("todos/{}", pair.key), FORM);
                }
                (Some(todo), Some(new)) => {
                    let todo = Here { todo, path: format!("todos/{}", pair.key) };
                    self.todo(&todo, pair.old, new);
                }
                (Some(todo), None) if todo.deletion().is_none() => {
                    let reason = "taken out of the document".to_owned();
                    self.operations.push(Operation::Deleted { todo: todo.id, reason });
                }
                (Some(_), None) => self.refuse(format!("todos/{}", pair.key), "it is deleted"),
                (None, Some(new)) => self.new_todo(id, pair.key, new),
                (None, None) => {}
            }
        }
    }

    /// A todo that is new. One whose key is no id of a todo gets one, made of the key.
    fn new_todo(&mut self, id: Option<TodoId>, key: &str, new: &Node) {
        let path = format!("todos/{key}");
        let title = text(new.get("title")).unwrap_or_default();
        if title.trim().is_empty() {
            return self.refuse(path, "a todo needs a title");
        }
        let todo = id.unwrap_or_else(|| TodoId::from_external(key));
        let prose = ProseField::ALL.into_iter().filter_map(|field| {
            let body = text(new.get(field.name()))?;
            (!body.is_empty()).then(|| (field, body.to_owned()))
        });
        let mut edits = Vec::new();
        let mut later = Self::default();
        for pair in differing(None, Some(new)) {
            match field(&pair) {
                _ if pair.key == "title" => {}
                Ok(Some(edit)) => edits.push(edit),
                Ok(None) => later.part(todo, &path, &pair),
                Err(reason) => later.refuse(format!("{path}/{}", pair.key), reason),
            }
        }
        let external = text(new.get("external_id")).map(str::to_owned);
        self.operations.push(Operation::TodoAdded {
            todo,
            external_id: external.or_else(|| id.is_none().then(|| key.to_owned())),
            title: title.to_owned(),
            edits,
            prose: prose.collect(),
            labels: members(new.get("labels")),
            layout: None,
        });
        // Its labels and its prose are in it already.
        let within = |operation: &Operation| {
            matches!(operation, Operation::LabelsChanged { .. } | Operation::ProseEdited { .. })
        };
        later.operations.retain(|operation| !within(operation));
        later.refused.retain(|refused| !refused.path.ends_with("/external_id"));
        self.operations.append(&mut later.operations);
        self.refused.append(&mut later.refused);
    }

    fn todo(&mut self, here: &Here<'_>, old: Option<&Node>, new: &Node) {
        let mut edits = Vec::new();
        let mut later = Self::default();
        for pair in differing(old, Some(new)) {
            match field(&pair) {
                Ok(Some(edit)) => edits.push(edit),
                Ok(None) if pair.key == "finished" => later.finished(here, pair.new),
                Ok(None) if pair.key == "blockers" && is_map(pair.new) => {
                    later.blockers(here, &pair);
                }
                Ok(None) => later.part(here.todo.id, &here.path, &pair),
                Err(reason) => later.refuse(format!("{}/{}", here.path, pair.key), reason),
            }
        }
        if !edits.is_empty() {
            self.operations.push(Operation::TodoEdited { todo: here.todo.id, edits });
        }
        self.operations.append(&mut later.operations);
        self.refused.append(&mut later.refused);
    }

    /// What of a todo is more than one value.
    fn part(&mut self, todo: TodoId, path: &str, pair: &Pair<'_>) {
        if let Some(field) = ProseField::ALL.into_iter().find(|field| field.name() == pair.key) {
            let (old, new) = (text(pair.old), text(pair.new));
            return match new.or(pair.new.is_none().then_some("")) {
                Some(new) => {
                    self.prose(ProseTarget::Todo(todo, field), old.unwrap_or_default(), new);
                }
                None => self.refuse(format!("{path}/{}", pair.key), FORM),
            };
        }
        let path = format!("{path}/{}", pair.key);
        let maps = ["labels", "edges", "remarks", "extra", "blockers"];
        if maps.contains(&pair.key) && pair.new.is_some_and(|new| new.as_map().is_none()) {
            return self.refuse(path, FORM);
        }
        match pair.key {
            "labels" => self.labels(todo, pair),
            "edges" => self.edges(todo, &path, pair),
            "remarks" => self.remarks(todo, &path, pair),
            "extra" => self.extra(todo, &path, pair),
            "claim" | "lost_claims" | "assigned" => self.refuse(path, CLAIMS),
            "closings" | "deletions" => self.refuse(path, "set `finished` instead"),
            "blockers" => self.refuse(path, HISTORY),
            "event" | "external_id" | "created_at" | "created_by" | "updated_at" | "layout"
            | "percent" | "finished_at" | "finished" => self.refuse(path, KEPT),
            _ => self.refuse(path, UNKNOWN),
        }
    }

    fn labels(&mut self, todo: TodoId, pair: &Pair<'_>) {
        let (old, new) = (members(pair.old), members(pair.new));
        let less = |from: &[String], than: &[String]| -> Vec<String> {
            from.iter().filter(|label| !than.contains(label)).cloned().collect()
        };
        let (added, removed) = (less(&new, &old), less(&old, &new));
        if !added.is_empty() || !removed.is_empty() {
            self.operations.push(Operation::LabelsChanged { todo, added, removed });
        }
    }

    fn edges(&mut self, todo: TodoId, path: &str, pair: &Pair<'_>) {
        for pair in differing(pair.old, pair.new) {
            let path = format!("{path}/{}", pair.key);
            // The key says all, and a client may write nothing else.
            let parts = pair.key.split_once('/');
            let target = parts.and_then(|(on, word)| Some((on.parse().ok()?, word)));
            let Some((on, word)) = target else {
                self.refuse(path, "the key of an edge is the target's id, a slash, and its kind");
                continue;
            };
            let kind = match word {
                "waits-for-any" => EdgeKind::WaitsForAny,
                word => match word.strip_prefix("other:") {
                    Some(word) => EdgeKind::Other(word.to_owned()),
                    None => EdgeKind::from_name(word),
                },
            };
            match (pair.old, pair.new) {
                (None, Some(_)) => {
                    let (external_id, layout) = (None, None);
                    let added = Operation::DependencyAdded { todo, on, external_id, kind, layout };
                    self.operations.push(added);
                }
                (Some(_), None) => {
                    self.operations.push(Operation::DependencyRemoved { todo, on, kind });
                }
                _ => self.refuse(path, "an edge is added or removed, and not edited"),
            }
        }
    }

    fn remarks(&mut self, todo: TodoId, path: &str, pair: &Pair<'_>) {
        for pair in differing(pair.old, pair.new) {
            let said = pair.new.and_then(|new| text(Some(new)).or_else(|| text(new.get("text"))));
            match (pair.old, said.filter(|said| !said.trim().is_empty())) {
                (None, Some(said)) => {
                    let (text, layout) = (said.to_owned(), None);
                    self.operations.push(Operation::NoteAdded { todo, text, layout });
                }
                (None, None) => {
                    self.refuse(format!("{path}/{}", pair.key), "a remark needs a text")
                }
                _ => self.refuse(format!("{path}/{}", pair.key), HISTORY),
            }
        }
    }

    fn extra(&mut self, todo: TodoId, path: &str, pair: &Pair<'_>) {
        let mut edits = Vec::new();
        for pair in differing(pair.old, pair.new) {
            match (pair.new, text(pair.new)) {
                (None, _) => edits.push(TodoEdit::Extra(pair.key.to_owned(), None)),
                (_, Some(json)) => {
                    edits.push(TodoEdit::Extra(pair.key.to_owned(), Some(json.to_owned())));
                }
                _ => self.refuse(format!("{path}/{}", pair.key), "it is a text of JSON"),
            }
        }
        if !edits.is_empty() {
            self.operations.push(Operation::TodoEdited { todo, edits });
        }
    }

    fn finished(&mut self, here: &Here<'_>, new: Option<&Node>) {
        let todo = here.todo.id;
        let reason = "in the document".to_owned();
        let operation = match new.map(|new| new.as_str().unwrap_or_default()) {
            Some("closed") => Operation::Closed { todo, reason },
            Some("deleted") => Operation::Deleted { todo, reason },
            // Only a verdict on a claim of completion completes a todo, and the fold decides whose.
            Some("completed") => verdict(here.todo, None, Verdict::Pass, reason),
            None => Operation::Reopened { todo, reason },
            Some(_) => {
                let path = format!("{}/finished", here.path);
                return self.refuse(path, "it is `completed`, `closed`, `deleted` or absent");
            }
        };
        self.operations.push(operation);
    }

    fn blockers(&mut self, here: &Here<'_>, pair: &Pair<'_>) {
        let todo = here.todo.id;
        for pair in differing(pair.old, pair.new) {
            let path = format!("{}/blockers/{}", here.path, pair.key);
            let field = |name| text(pair.new.and_then(|new| new.get(name)));
            if pair.old.is_none() {
                let kind = match field("kind") {
                    Some("requirement") => BlockerKind::Requirement,
                    Some("dependency") => BlockerKind::Dependency,
                    _ => BlockerKind::Technical,
                };
                match field("description").filter(|said| !said.trim().is_empty()) {
                    Some(said) => {
                        let (description, tried) = (said.to_owned(), Vec::new());
                        self.operations.push(Operation::BlockerRaised {
                            todo,
                            kind,
                            description,
                            tried,
                        });
                    }
                    None => self.refuse(path, "a blocker needs a description"),
                }
                continue;
            }
            let blocker: Option<Dot> = pair.key.parse().ok();
            let (Some(blocker), Some(_)) = (blocker, pair.new) else {
                self.refuse(path, HISTORY);
                continue;
            };
            for change in differing(pair.old, pair.new) {
                match (change.key, change.old, text(change.new)) {
                    ("resolved", None, Some(said)) => {
                        let resolution = said.to_owned();
                        self.operations.push(Operation::BlockerResolved {
                            todo,
                            blocker,
                            resolution,
                        });
                    }
                    ("escalated", None, Some(said)) => {
                        let context = said.to_owned();
                        self.operations.push(Operation::BlockerEscalated {
                            todo,
                            blocker,
                            context,
                        });
                    }
                    _ => self.refuse(format!("{path}/{}", change.key), HISTORY),
                }
            }
        }
    }
}

/// Whether it is a map, or nothing.
fn is_map(node: Option<&Node>) -> bool {
    node.is_none_or(|node| node.as_map().is_some())
}

/// A todo that is there, and where.
struct Here<'a> {
    todo: &'a Todo,
    path: String,
}

/// A verdict on a claim of completion; on the last, where none is named. Where there is none, it names
/// what is no such claim, and the ledger says so.
pub(super) fn verdict(
    todo: &Todo,
    completion: Option<Dot>,
    verdict: Verdict,
    reason: String,
) -> Operation {
    let last = todo.completions.last().map_or(todo.dot, |completion| completion.dot);
    let percent = if verdict == Verdict::Pass { 100 } else { 0 };
    Operation::Verified {
        todo: todo.id,
        completion: completion.unwrap_or(last),
        verdict,
        reason,
        percent,
        gaps: Vec::new(),
    }
}

/// The edit of a field that is one value; none where it is not such a field.
fn field(pair: &Pair<'_>) -> Result<Option<TodoEdit>, &'static str> {
    let new = pair.new;
    let line = || match new {
        None => Ok(None),
        Some(node) => match node.as_str() {
            Some(text) => Ok((!text.is_empty()).then(|| text.to_owned())),
            None => Err(FORM),
        },
    };
    let needed = || line()?.ok_or("it cannot be taken away");
    let yes = || match new {
        None => Ok(false),
        Some(Node::Bool(yes)) => Ok(*yes),
        Some(_) => Err(FORM),
    };
    let number = || match new {
        None => Ok(None),
        Some(node) => match whole(node).and_then(|value| u64::try_from(value).ok()) {
            Some(value) => Ok(Some(value)),
            None => Err(FORM),
        },
    };
    let set = || match new {
        None | Some(Node::Map(_)) => Ok(members(new)),
        Some(_) => Err(FORM),
    };
    Ok(Some(match pair.key {
        "title" => TodoEdit::Title(needed()?),
        "kind" => TodoEdit::Kind(needed()?),
        "priority" => {
            let value = number()?.ok_or("it cannot be taken away")?;
            let value = u8::try_from(value).ok().filter(|value| *value <= limits::PRIORITY_MAX);
            TodoEdit::Priority(value.ok_or("a priority is 0 (most urgent) to 4")?)
        }
        "assignee" => TodoEdit::Assignee(line()?),
        "owner" => TodoEdit::Owner(line()?),
        "stage" => TodoEdit::Stage(line()?),
        "estimate_minutes" => {
            let value = number()?.map(|value| u32::try_from(value).map_err(|_| FORM));
            TodoEdit::Estimate(value.transpose()?)
        }
        "check" => TodoEdit::Check(line()?),
        "section" => TodoEdit::Section(line()?),
        "external_ref" => TodoEdit::ExternalRef(line()?),
        "high_risk" => TodoEdit::HighRisk(yes()?),
        "pinned" => TodoEdit::Pinned(yes()?),
        "ephemeral" => TodoEdit::Ephemeral(yes()?),
        "defer_until" => TodoEdit::DeferUntil(number()?),
        "due_at" => TodoEdit::DueAt(number()?),
        "files" => TodoEdit::Files(set()?),
        "capabilities" => TodoEdit::Capabilities(set()?),
        _ => return Ok(None),
    }))
}
