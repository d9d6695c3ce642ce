//! Items to operations.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use tress_model::clock::Millis;
use tress_model::ids::TodoId;
use tress_model::operation::{EdgeKind, Operation, ProseField, ProseTarget, TodoEdit};
use tress_model::state::prose::difference;
use tress_model::{State, Todo};

use super::list::{Item, Placed, read};
use crate::formats::cycles::{circle, cycles};
use crate::formats::names::{Names, external};
use crate::formats::words::did_you_mean;
use crate::formats::{Import, Planned, Problem, ProblemKind, Report};

/// The version of the form in which the last import is remembered.
const VERSION: u8 = 1;

/// What the list said when it was last imported, kept as the todo's layout.
#[derive(Serialize, Deserialize)]
struct Memory {
    todo_list: u8,
    #[serde(flatten)]
    item: Item,
}

impl Memory {
    fn read(todo: &Todo) -> Option<Item> {
        let memory: Self = serde_json::from_str(todo.layout.as_deref()?).ok()?;
        (memory.todo_list == VERSION).then_some(memory.item)
    }

    fn store(item: &Item) -> Option<String> {
        serde_json::to_string(&Self { todo_list: VERSION, item: item.clone() }).ok()
    }
}

pub(super) fn import(
    state: &State,
    text: &str,
    (now, by): (Millis, &str),
) -> Result<Import, Vec<Problem>> {
    let mut problems = Vec::new();
    let items = read(text, &mut problems);
    let names = Names::of(state);
    check(&items, state, &names, &mut problems);
    problems.sort_by_key(|problem| problem.line);
    if problems.iter().any(|problem| problem.kind != ProblemKind::NotAnItem) {
        return Err(problems);
    }
    let lines = text.lines().filter(|line| !line.trim().is_empty()).count();
    let mut report = Report { lines, read: items.len(), problems, ..Report::default() };
    let mut operations = Vec::new();
    for placed in &items {
        let id = names.locate(state, &placed.id);
        report.edges += placed.item.needs.len() + usize::from(placed.item.parent.is_some());
        let planner = Planner { state, names: &names, id };
        let Some(todo) = state.todo(id) else {
            report.added += 1;
            operations.extend(planner.add(placed));
            continue;
        };
        let memory = Memory::read(todo);
        let mut item = Cow::Borrowed(&placed.item);
        let ticked = item.done && !memory.as_ref().is_some_and(|memory| memory.done);
        let other = todo.holder(now).filter(|holder| &*holder.agent != by);
        if let Some(holder) = other.filter(|_| ticked && !todo.finished()) {
            // Whoever holds it knows better, and the list says so again the next time.
            let message = format!("{} holds {}, so it was not closed", holder.agent, placed.id);
            report.problem(placed.line, ProblemKind::Held, message);
            item.to_mut().done = false;
        }
        if memory.as_ref() == Some(&*item) {
            report.unchanged += 1;
            continue;
        }
        if todo.deletion().is_some() {
            let message =
                format!("{} was deleted; reopen it before the list can change it", placed.id);
            report.problem(placed.line, ProblemKind::Deleted, message);
            continue;
        }
        let planned = planner.change(todo, memory.as_ref(), &item);
        if planned.is_empty() {
            report.unchanged += 1;
        } else {
            report.changed += 1;
        }
        operations.extend(planned);
    }
    let listed: BTreeSet<TodoId> =
        items.iter().map(|placed| names.locate(state, &placed.id)).collect();
    let here = state.todos.values().filter(|todo| todo.deletion().is_none());
    let absent = here.filter(|todo| !listed.contains(&todo.id));
    report.absent = absent.map(|todo| state.name(todo.id)).collect();
    report.finish();
    let operations = operations.into_iter().map(|operation| Planned::new(None, operation));
    Ok(Import { operations: operations.collect(), report })
}

/// What is wrong between items.
fn check(items: &[Placed], state: &State, names: &Names<'_>, problems: &mut Vec<Problem>) {
    let mut report = |line, kind, message| {
        problems.push(Problem { line, column: None, kind, message });
    };
    let lines: BTreeMap<&str, usize> =
        items.iter().map(|placed| (placed.id.as_str(), placed.line)).collect();
    let mut edges = Vec::new();
    for placed in items {
        for need in &placed.item.needs {
            if *need == placed.id {
                let message = format!("{need} needs itself; take that out");
                report(placed.line, ProblemKind::SelfEdge, message);
            } else if lines.contains_key(need.as_str()) {
                edges.push((placed.id.as_str(), need.as_str()));
            } else if state.todo(names.locate(state, need)).is_none() {
                let meant = did_you_mean(need, lines.keys().copied());
                let message =
                    format!("{} needs {need}, which is not in the list{meant}", placed.id);
                report(placed.line, ProblemKind::UnknownNeed, message);
            }
        }
    }
    for found in cycles(&edges) {
        let line = found.iter().filter_map(|id| lines.get(id)).min().copied().unwrap_or(0);
        let message = format!("{} need each other; take one need out", circle(&found));
        report(line, ProblemKind::Cycle, message);
    }
}

struct Planner<'a> {
    state: &'a State,
    names: &'a Names<'a>,
    id: TodoId,
}

impl Planner<'_> {
    fn add(&self, placed: &Placed) -> Vec<Operation> {
        let item = &placed.item;
        let description = item.description.clone();
        let prose =
            Some((ProseField::Description, description)).filter(|(_, text)| !text.is_empty());
        let mut operations = vec![Operation::TodoAdded {
            todo: self.id,
            external_id: external(&placed.id, self.id),
            title: item.title.clone(),
            edits: edits(None, None, item),
            prose: prose.into_iter().collect(),
            labels: item.labels.iter().cloned().collect(),
            layout: Memory::store(item),
        }];
        operations.extend(edges(item).into_iter().map(|edge| self.edge(edge)));
        if item.done {
            operations.push(self.closed());
        }
        operations
    }

    fn edge(&self, (name, kind): (String, EdgeKind)) -> Operation {
        let on = self.names.locate(self.state, &name);
        let external_id = Some(name).filter(|name| on == TodoId::from_external(name));
        Operation::DependencyAdded { todo: self.id, on, external_id, kind, layout: None }
    }

    fn closed(&self) -> Operation {
        Operation::Closed { todo: self.id, reason: "ticked off in the list".to_owned() }
    }

    /// What changed in the list since `old`, as far as the state is not so already.
    fn change(&self, todo: &Todo, old: Option<&Item>, new: &Item) -> Vec<Operation> {
        let mut operations = Vec::new();
        let was_done = old.is_some_and(|old| old.done);
        if was_done && !new.done && todo.finished() {
            let reason = "no longer ticked off in the list".to_owned();
            operations.push(Operation::Reopened { todo: self.id, reason });
        }
        operations.extend(self.fields(todo, old, new));
        if old.map_or(!new.description.is_empty(), |old| old.description != new.description)
            && let Some(splice) = difference(&todo.prose(ProseField::Description), &new.description)
        {
            let target = ProseTarget::Todo(self.id, ProseField::Description);
            operations.push(Operation::ProseEdited { target, splices: vec![splice] });
        }
        let none = BTreeSet::new();
        let labels = old.map_or(&none, |old| &old.labels);
        let mut added = new.labels.difference(labels).cloned().collect::<Vec<_>>();
        added.retain(|label| !todo.labels.contains_key(label));
        let mut removed = labels.difference(&new.labels).cloned().collect::<Vec<_>>();
        removed.retain(|label| todo.labels.contains_key(label));
        if !(added.is_empty() && removed.is_empty()) {
            operations.push(Operation::LabelsChanged { todo: self.id, added, removed });
        }
        self.edge_changes(old, new, &mut operations);
        if new.done && !was_done && !todo.finished() {
            operations.push(self.closed());
        }
        operations
    }

    /// The plain fields, and the memory of what the list says now; a layout that another format
    /// left is not touched.
    fn fields(&self, todo: &Todo, old: Option<&Item>, new: &Item) -> Option<Operation> {
        let edits = edits(Some(todo), old, new);
        let renamed = old.is_none_or(|old| old.title != new.title) && todo.title != new.title;
        let layout = Memory::store(new).filter(|_| old.is_some() || todo.layout.is_none());
        if layout.is_some() {
            let title = if renamed { &new.title } else { &todo.title };
            return Some(Operation::TodoAdded {
                todo: self.id,
                external_id: todo.external_id.clone(),
                title: title.clone(),
                edits,
                prose: Vec::new(),
                labels: Vec::new(),
                layout,
            });
        }
        let title = renamed.then(|| TodoEdit::Title(new.title.clone()));
        let edits: Vec<_> = title.into_iter().chain(edits).collect();
        (!edits.is_empty()).then_some(Operation::TodoEdited { todo: self.id, edits })
    }

    fn edge_changes(&self, old: Option<&Item>, new: &Item, operations: &mut Vec<Operation>) {
        let known: BTreeSet<_> =
            self.state.edges(self.id).iter().map(|e| (e.on, &e.kind)).collect();
        let before = old.map(edges).unwrap_or_default();
        let now = edges(new);
        for (name, kind) in before.iter().filter(|edge| !now.contains(edge)) {
            let on = self.names.locate(self.state, name);
            if known.contains(&(on, kind)) {
                let (todo, kind) = (self.id, kind.clone());
                operations.push(Operation::DependencyRemoved { todo, on, kind });
            }
        }
        for edge in now.iter().filter(|edge| !before.contains(edge)) {
            if !known.contains(&(self.names.locate(self.state, &edge.0), &edge.1)) {
                operations.push(self.edge(edge.clone()));
            }
        }
    }
}

/// The edges of an item: what it needs, and what it is part of.
fn edges(item: &Item) -> Vec<(String, EdgeKind)> {
    let needs = item.needs.iter().map(|need| (need.clone(), EdgeKind::Blocks));
    needs.chain(item.parent.iter().map(|parent| (parent.clone(), EdgeKind::ParentChild))).collect()
}

/// The edits of plain fields that changed in the list, as far as the todo is not so already. What
/// went from the list goes back to what it is for a todo of which nothing is said.
fn edits(todo: Option<&Todo>, old: Option<&Item>, new: &Item) -> Vec<TodoEdit> {
    use TodoEdit as E;
    let blank = Item::default();
    let old = old.unwrap_or(&blank);
    let mut edits = Vec::new();
    let mut put = |changed: bool, so: bool, edit: E| edits.extend((changed && !so).then_some(edit));
    let is = |same: &dyn Fn(&Todo) -> bool| todo.is_some_and(same);
    let kind = new.kind.clone().unwrap_or_else(|| "task".to_owned());
    put(old.kind != new.kind, is(&|t| t.kind == kind), E::Kind(kind.clone()));
    let priority = new.priority.unwrap_or(2);
    put(old.priority != new.priority, is(&|t| t.priority == priority), E::Priority(priority));
    let same = is(&|t| t.estimate_minutes == new.estimate);
    put(old.estimate != new.estimate, same, E::Estimate(new.estimate));
    put(old.check != new.check, is(&|t| t.check == new.check), E::Check(new.check.clone()));
    put(old.files != new.files, is(&|t| t.files == new.files), E::Files(new.files.clone()));
    let same = is(&|t| t.section == new.section);
    put(old.section != new.section, same, E::Section(new.section.clone()));
    put(old.can != new.can, is(&|t| t.capabilities == new.can), E::Capabilities(new.can.clone()));
    let risk = new.high_risk.unwrap_or(false);
    put(old.high_risk != new.high_risk, is(&|t| t.high_risk == risk), E::HighRisk(risk));
    edits
}
