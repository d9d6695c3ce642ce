//! The `tasks.json` of Task Master: tasks with subtasks, under tags.
//!
//! A task goes by its own id (`12`, a subtask `12.3`); under a tag other than `master` the tag
//! stands before it (`mobile/12`) and becomes a label. Importing again takes in what the file has
//! otherwise than the state; a todo that an agent holds keeps its status.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;
use tress_model::operation::{EdgeKind, Operation, ProseField, ProseTarget, TodoEdit};
use tress_model::state::prose::difference;
use tress_model::{State, Todo, TodoId};

use super::words::did_you_mean;
use super::{Import, Planned, Problem, ProblemKind, Report};

/// The tag whose tasks go by their plain ids.
const PLAIN_TAG: &str = "master";
/// The status words of Task Master.
const STATUSES: [&str; 8] =
    ["pending", "in-progress", "review", "done", "completed", "deferred", "blocked", "cancelled"];

#[derive(Deserialize)]
struct RawTag<'a> {
    #[serde(borrow)]
    tasks: Vec<&'a RawValue>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RawTask<'a> {
    id: Value,
    #[serde(default)]
    title: String,
    #[serde(default)]
    description: Option<String>,
    #[serde(default)]
    details: Option<String>,
    #[serde(default)]
    test_strategy: Option<String>,
    #[serde(default)]
    status: Option<String>,
    #[serde(default)]
    priority: Option<String>,
    #[serde(default)]
    dependencies: Option<Vec<Value>>,
    #[serde(borrow, default)]
    subtasks: Option<Vec<&'a RawValue>>,
}

/// Where the file says that a task stands.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Standing {
    Open(Option<String>),
    Closed(&'static str),
}

/// A task as the file has it.
struct Task {
    line: usize,
    name: String,
    title: String,
    standing: Standing,
    priority: u8,
    prose: Vec<(ProseField, String)>,
    label: Option<String>,
    parent: Option<String>,
    /// What it depends on; each as the names that may be meant, the nearest first.
    needs: Vec<Vec<String>>,
}

/// Plans the operations that bring the todos of `state` to what a `tasks.json` says.
///
/// ```
/// use tress::formats::taskmaster;
///
/// let tasks = r#"{"tasks":[{"id":1,"title":"Write the parser","status":"pending"}]}"#;
/// let import = taskmaster::import_over(&tress::State::default(), tasks);
/// assert_eq!((import.report.added, import.report.problems.len()), (1, 0));
/// ```
pub fn import_over(state: &State, text: &str) -> Import {
    let mut reader = Reader { text, report: Report::default(), tasks: Vec::new() };
    reader.file();
    let Reader { mut report, tasks, .. } = reader;
    report.read = tasks.len();
    let mut names: BTreeMap<&str, TodoId> = BTreeMap::new();
    for task in &tasks {
        names.insert(&task.name, id(state, &task.name));
    }
    let mut operations = Vec::new();
    for task in &tasks {
        plan(state, task, &mut operations, &mut report);
    }
    for task in &tasks {
        edges(state, task, &names, &mut operations, &mut report);
    }
    report.finish();
    let operations = operations.into_iter().map(|operation| Planned::new(None, operation));
    Import { operations: operations.collect(), report }
}

/// The todo that goes by `name`.
fn id(state: &State, name: &str) -> TodoId {
    let known = state.external(name);
    known.map_or_else(|| TodoId::from_external(name), |todo| todo.id)
}

struct Reader<'a> {
    text: &'a str,
    report: Report,
    tasks: Vec<Task>,
}

impl<'a> Reader<'a> {
    /// The line on which a value begins; it is a slice of the text.
    fn line(&self, raw: &RawValue) -> usize {
        let start = raw.get().as_ptr() as usize;
        let offset = start.saturating_sub(self.text.as_ptr() as usize);
        let before = self.text.as_bytes().get(..offset).unwrap_or_default();
        before.iter().filter(|&&byte| byte == b'\n').count() + 1
    }

    fn bad(&mut self, line: usize, error: &serde_json::Error) {
        let place = format!(" at line {} column {}", error.line(), error.column());
        let reason = error.to_string();
        let reason = reason.strip_suffix(&place).unwrap_or(&reason);
        let message =
            format!("this is no task of Task Master ({reason}); mend it and import again");
        let (line, column) = match line {
            0 => (error.line().max(1), Some(error.column()).filter(|&column| column > 0)),
            line => (line, None),
        };
        let kind = ProblemKind::BadJson;
        self.report.problems.push(Problem { line, column, kind, message });
    }

    fn file(&mut self) {
        self.report.lines = self.text.lines().filter(|line| !line.trim().is_empty()).count();
        let tags: BTreeMap<String, &'a RawValue> = match serde_json::from_str(self.text) {
            Ok(tags) => tags,
            Err(error) => return self.bad(0, &error),
        };
        if tags.get("tasks").is_some_and(|raw| raw.get().starts_with('[')) {
            match serde_json::from_str::<RawTag<'a>>(self.text) {
                Ok(tag) => self.tag(None, &tag),
                Err(error) => self.bad(0, &error),
            }
            return;
        }
        for (name, raw) in tags {
            match serde_json::from_str::<RawTag<'a>>(raw.get()) {
                Ok(tag) => self.tag(Some(name).filter(|name| name != PLAIN_TAG), &tag),
                Err(error) => self.bad(self.line(raw), &error),
            }
        }
    }

    fn tag(&mut self, tag: Option<String>, raw: &RawTag<'a>) {
        for task in &raw.tasks {
            self.task(tag.as_deref(), None, task);
        }
    }

    /// Reads a task, and its subtasks after it.
    fn task(&mut self, tag: Option<&str>, parent: Option<&str>, raw: &'a RawValue) {
        let line = self.line(raw);
        let task: RawTask<'a> = match serde_json::from_str(raw.get()) {
            Ok(task) => task,
            Err(error) => return self.bad(line, &error),
        };
        let Some(own) = number(&task.id) else {
            let message = "the task has no id; give it one";
            return self.report.problem(line, ProblemKind::MissingId, message);
        };
        let local = match parent {
            Some(parent) if !own.contains('.') => format!("{parent}.{own}"),
            _ => own,
        };
        let whole = |local: &str| tag.map_or(local.to_owned(), |tag| format!("{tag}/{local}"));
        let name = whole(&local);
        if self.tasks.iter().any(|other| other.name == name) {
            let message = format!("{name} is there twice; the first holds");
            return self.report.problem(line, ProblemKind::DuplicateId, message);
        }
        let needs = task.dependencies.iter().flatten().filter_map(number).map(|on| {
            let sibling = parent.map(|parent| whole(&format!("{parent}.{on}")));
            sibling.into_iter().chain([whole(&on)]).collect()
        });
        let standing = self.standing(line, &name, task.status.as_deref());
        let priority = self.priority(line, &name, task.priority.as_deref());
        let prose = [
            (ProseField::Description, task.description),
            (ProseField::Design, task.details),
            (ProseField::Acceptance, task.test_strategy),
        ];
        let title = if task.title.trim().is_empty() {
            let message = format!("{name} has no title; it goes by its id");
            self.report.problem(line, ProblemKind::MissingTitle, message);
            name.clone()
        } else {
            task.title.trim().to_owned()
        };
        self.tasks.push(Task {
            line,
            title,
            standing,
            priority,
            prose: prose.into_iter().map(|(f, text)| (f, text.unwrap_or_default())).collect(),
            label: tag.map(str::to_owned),
            parent: parent.map(whole),
            needs: needs.collect(),
            name,
        });
        for subtask in task.subtasks.into_iter().flatten() {
            self.task(tag, Some(&local), subtask);
        }
    }

    fn standing(&mut self, line: usize, name: &str, word: Option<&str>) -> Standing {
        match word.unwrap_or("pending") {
            "pending" => Standing::Open(None),
            "in-progress" | "review" => Standing::Open(Some("in_progress".to_owned())),
            "deferred" => Standing::Open(Some("deferred".to_owned())),
            "blocked" => Standing::Open(Some("blocked".to_owned())),
            "done" | "completed" => Standing::Closed("done"),
            "cancelled" => Standing::Closed("cancelled"),
            other => {
                let meant = did_you_mean(other, STATUSES);
                let message = format!("the status {other:?} of {name} is not known{meant}");
                self.report.problem(line, ProblemKind::UnknownStatus, message);
                Standing::Open(Some(other.to_owned()))
            }
        }
    }

    fn priority(&mut self, line: usize, name: &str, word: Option<&str>) -> u8 {
        match word.unwrap_or("medium") {
            "critical" => 0,
            "high" => 1,
            "medium" => 2,
            "low" => 3,
            other => {
                let meant = did_you_mean(other, ["critical", "high", "medium", "low"]);
                let message = format!("the priority {other:?} of {name} is not known{meant}");
                self.report.problem(line, ProblemKind::PriorityOutOfRange, message);
                2
            }
        }
    }
}

/// An id: a number, or a text such as `1.2`.
fn number(value: &Value) -> Option<String> {
    match value {
        Value::Number(number) => Some(number.to_string()),
        Value::String(text) => Some(text.trim().to_owned()).filter(|text| !text.is_empty()),
        _ => None,
    }
}

fn plan(state: &State, task: &Task, operations: &mut Vec<Operation>, report: &mut Report) {
    let before = operations.len();
    let id = id(state, &task.name);
    match state.todo(id) {
        Some(todo) => {
            change(todo, task, operations);
            if operations.len() == before {
                report.unchanged += 1;
            } else {
                report.changed += 1;
            }
        }
        None => {
            report.added += 1;
            let mut edits = vec![TodoEdit::Priority(task.priority)];
            if let Standing::Open(Some(stage)) = &task.standing {
                edits.push(TodoEdit::Stage(Some(stage.clone())));
            }
            let prose = task.prose.iter().filter(|(_, text)| !text.is_empty());
            operations.push(Operation::TodoAdded {
                todo: id,
                external_id: Some(task.name.clone()),
                title: task.title.clone(),
                edits,
                prose: prose.cloned().collect(),
                labels: task.label.iter().cloned().collect(),
                layout: None,
            });
            if let Standing::Closed(reason) = task.standing {
                operations.push(Operation::Closed { todo: id, reason: reason.to_owned() });
            }
        }
    }
}

fn change(todo: &Todo, task: &Task, operations: &mut Vec<Operation>) {
    let id = todo.id;
    let mut edits = Vec::new();
    if todo.title != task.title {
        edits.push(TodoEdit::Title(task.title.clone()));
    }
    if todo.priority != task.priority {
        edits.push(TodoEdit::Priority(task.priority));
    }
    let held = todo.claim.is_some() || todo.pending_completion().is_some();
    let (finished, reason) = (todo.finished(), String::new());
    match &task.standing {
        Standing::Closed(reason) if !finished && !held => {
            operations.push(Operation::Closed { todo: id, reason: (*reason).to_owned() });
        }
        Standing::Open(stage) if !held => {
            if finished {
                operations.push(Operation::Reopened { todo: id, reason });
            }
            if todo.stage != *stage {
                edits.push(TodoEdit::Stage(stage.clone()));
            }
        }
        _ => {}
    }
    if !edits.is_empty() {
        operations.push(Operation::TodoEdited { todo: id, edits });
    }
    for (field, text) in &task.prose {
        if let Some(splice) = difference(&todo.prose(*field), text) {
            let target = ProseTarget::Todo(id, *field);
            operations.push(Operation::ProseEdited { target, splices: vec![splice] });
        }
    }
    if let Some(label) = task.label.as_ref().filter(|label| !todo.labels.contains_key(*label)) {
        let added = vec![label.clone()];
        operations.push(Operation::LabelsChanged { todo: id, added, removed: Vec::new() });
    }
}

fn edges(
    state: &State,
    task: &Task,
    names: &BTreeMap<&str, TodoId>,
    operations: &mut Vec<Operation>,
    report: &mut Report,
) {
    let todo = id(state, &task.name);
    let parent = task.parent.iter().map(|parent| (vec![parent.clone()], EdgeKind::ParentChild));
    let needs = task.needs.iter().map(|needs| (needs.clone(), EdgeKind::Blocks));
    for (meant, kind) in parent.chain(needs) {
        report.edges += 1;
        let found = meant.iter().find(|name| names.contains_key(name.as_str()));
        let Some(name) = found.or(meant.last()) else { continue };
        if found.is_none() && state.todo(id(state, name)).is_none() {
            let message = format!("{} depends on {name}, which is not there", task.name);
            report.problem(task.line, ProblemKind::DanglingEdge, message);
        }
        let on = names.get(name.as_str()).copied().unwrap_or_else(|| id(state, name));
        if on == todo {
            let message = format!("{} depends on itself; that is left out", task.name);
            report.problem(task.line, ProblemKind::SelfEdge, message);
            continue;
        }
        let known = state.edges(todo).iter().any(|edge| edge.on == on && edge.kind == kind);
        if !known {
            let external_id = Some(name.clone());
            operations.push(Operation::DependencyAdded {
                todo,
                on,
                external_id,
                kind,
                layout: None,
            });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::scratch::Scratch;
    use super::*;

    const TASKS: &str = r#"{
  "master": {
    "tasks": [
      {"id": 1, "title": "Parser", "status": "done", "priority": "high", "dependencies": []},
      {"id": 2, "title": "Tree", "status": "pending", "dependencies": [1, 9],
       "details": "by hand", "testStrategy": "cargo test",
       "subtasks": [
         {"id": 1, "title": "Nodes", "status": "in-progress", "dependencies": []},
         {"id": 2, "title": "Walk", "status": "pending", "dependencies": [1]}
       ]}
    ],
    "metadata": {"created": "2026-01-01"}
  },
  "mobile": {"tasks": [{"id": 1, "title": "Screen", "status": "pendign", "dependencies": []}]}
}"#;

    fn fold(state: &State, import: &Import) -> State {
        let mut scratch = Scratch::new(state);
        import.operations.iter().for_each(|planned| scratch.apply(planned));
        scratch.state
    }

    #[test]
    fn tasks_subtasks_and_tags_come_in() {
        let import = import_over(&State::default(), TASKS);
        let report = &import.report;
        assert_eq!((report.read, report.added, report.edges, report.left_out), (5, 5, 5, 0));
        let lines: Vec<_> = report.problems.iter().map(|problem| problem.line).collect();
        assert_eq!(lines, [5, 14]);
        let state = fold(&State::default(), &import);
        let status = |name: &str| {
            let todo = state.find(name).expect("it was imported");
            state.status(todo, &state.readiness(0), 0).name()
        };
        assert_eq!(status("1"), "closed");
        assert_eq!(status("2"), "open");
        assert_eq!(status("2.1"), "in_progress");
        assert_eq!(status("2.2"), "blocked");
        let screen = state.find("mobile/1").expect("it was imported");
        assert!(screen.labels.contains_key("mobile"));
        let tree = state.find("2").expect("it was imported");
        assert_eq!(tree.prose(ProseField::Acceptance), "cargo test");
    }

    #[test]
    fn importing_again_takes_in_what_changed() {
        let state = fold(&State::default(), &import_over(&State::default(), TASKS));
        let again = import_over(&state, TASKS);
        assert_eq!((again.operations.len(), again.report.unchanged), (0, 5));
        let changed =
            TASKS.replace("\"Tree\", \"status\": \"pending\"", "\"Trees\", \"status\": \"done\"");
        let import = import_over(&state, &changed);
        assert_eq!((import.report.changed, import.report.unchanged), (1, 4));
        let state = fold(&state, &import);
        let tree = state.find("2").expect("it was imported");
        assert_eq!((tree.title.as_str(), tree.finished()), ("Trees", true));
    }

    #[test]
    fn what_is_no_task_is_reported() {
        let import = import_over(&State::default(), "{\"tasks\": [{\"title\": 3}]}");
        assert_eq!((import.report.read, import.report.left_out), (0, 1));
        let import = import_over(&State::default(), "not json");
        assert_eq!((import.report.read, import.report.left_out), (0, 1));
    }
}
