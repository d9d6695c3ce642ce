//! What was there before the first entry.
//!
//! An issue's beginnings are put together from what its entries found: a field that an entry
//! changes was, before, what the earliest entry up to that one found it to be, or empty; a field
//! that no entry changes is what an entry found it to be, or what the file says.

use std::collections::{BTreeMap, BTreeSet};

use tress_model::ids::TodoId;

use super::Sources;
use super::entry::{Entry, What, moment, same};
use crate::formats::beads::{import, objects, saying};
use crate::formats::names::meant;
use crate::formats::{Planned, ProblemKind, Report, read_time, write_time};

/// One issue, and what brings it into being.
pub(super) struct Beginning {
    /// Its id.
    pub(super) id: String,
    /// What has to be appended for it.
    pub(super) planned: Vec<Planned>,
    /// Whether no entry is about it.
    pub(super) eventless: bool,
}

/// The beginnings of all issues.
pub(super) struct Origin {
    /// In the order of the file.
    pub(super) todos: Vec<Beginning>,
}

/// The members of an issue, in their order.
type Members = Vec<(String, String)>;

impl Origin {
    /// Puts the beginnings together.
    pub(super) fn of(sources: &Sources<'_>, entries: &[Entry], report: &mut Report) -> Self {
        let mut about: BTreeMap<&str, Vec<&Entry>> = BTreeMap::new();
        for entry in entries {
            about.entry(&entry.issue).or_default().push(entry);
        }
        let mut issues: Vec<(String, Members)> = Vec::new();
        let mut lines: Vec<usize> = Vec::new();
        let mut seen = BTreeSet::new();
        for (line, members) in table("issues", sources.issues, report) {
            let members: Members =
                members.into_iter().map(|(name, raw)| (name, raw.to_owned())).collect();
            let id = get(&members, "id").and_then(|raw| serde_json::from_str::<String>(raw).ok());
            if let Some(id) = id.filter(|id| seen.insert(id.clone())) {
                issues.push((id, members));
                lines.push(line);
            }
        }
        for entry in entries.iter().filter(|entry| seen.insert(entry.issue.clone())) {
            let message =
                format!("{} is not among the issues; only its entries are known", entry.issue);
            report.problem(entry.line, ProblemKind::MissingTitle, message);
            issues.push((entry.issue.clone(), Vec::new()));
        }
        let tables = Tables::of(sources, report);
        let mut text = String::new();
        for (id, members) in &issues {
            let about = about.get(id.as_str()).map_or(&[][..], Vec::as_slice);
            let members = beginning(id, members, about, &tables);
            text.push_str(&object(&members));
            text.push('\n');
        }
        let plan = import(&text);
        for problem in plan.report.problems {
            // An issue that only entries are about was named above.
            if let Some(&line) = lines.get(problem.line.saturating_sub(1)) {
                report.problem(line, problem.kind, format!("issues: {}", problem.message));
            }
        }
        let mut groups: BTreeMap<TodoId, Vec<Planned>> = BTreeMap::new();
        for planned in plan.operations {
            if let Some(todo) = planned.operation.todo() {
                groups.entry(todo).or_default().push(planned);
            }
        }
        let todos = issues.into_iter().map(|(id, _)| Beginning {
            planned: groups.remove(&meant(&id)).unwrap_or_default(),
            eventless: !about.contains_key(id.as_str()),
            id,
        });
        report.edges = plan.report.edges;
        report.notes = plan.report.notes;
        Self { todos: todos.collect() }
    }
}

/// The rows of a table; what is wrong with it is reported under its name.
fn table<'a>(
    name: &str,
    bytes: &'a [u8],
    report: &mut Report,
) -> Vec<(usize, Vec<(String, &'a str)>)> {
    let mut own = Report::default();
    let rows = objects(bytes, &mut own);
    for problem in own.problems {
        report.problem(problem.line, problem.kind, format!("{name}: {}", problem.message));
    }
    rows
}

fn get<'m>(members: &'m Members, name: &str) -> Option<&'m str> {
    members.iter().find(|(known, _)| known == name).map(|(_, raw)| raw.as_str())
}

fn put(members: &mut Members, name: &str, raw: &str) {
    match members.iter_mut().find(|(known, _)| known == name) {
        Some((_, held)) if same(held, raw) => {}
        Some((_, held)) => raw.clone_into(held),
        None => members.push((name.to_owned(), raw.to_owned())),
    }
}

fn object(members: &Members) -> String {
    let members: Vec<String> = members
        .iter()
        .map(|(name, raw)| format!("{}:{raw}", serde_json::Value::from(name.as_str())))
        .collect();
    format!("{{{}}}", members.join(","))
}

/// The issue as it was before its first entry.
fn beginning(id: &str, file: &Members, about: &[&Entry], tables: &Tables) -> Members {
    let mut members = file.clone();
    put(&mut members, "id", &serde_json::Value::from(id).to_string());
    let mut names: BTreeSet<&str> = members.iter().map(|(name, _)| name.as_str()).collect();
    for entry in about {
        names.extend(entry.after.iter().map(|(name, _)| name.as_str()));
        names.extend(entry.before.iter().flatten().map(|(name, _)| name.as_str()));
    }
    let names: Vec<String> = names.into_iter().map(str::to_owned).collect();
    for name in names.iter().filter(|name| *name != "id" && *name != "updated_at") {
        let first = about.iter().position(|entry| entry.touches(name));
        let until = first.map_or(about.len(), |first| first + 1);
        let found = about.iter().take(until).filter_map(|entry| entry.before.as_ref());
        let mut found = found.filter_map(|before| get(before, name));
        match (first, found.next()) {
            (_, Some(raw)) if !moment(name) || first.is_some() => put(&mut members, name, raw),
            (Some(_), None) if saying(name, empty(name)).is_ok() => {
                put(&mut members, name, empty(name));
            }
            _ => {}
        }
    }
    if let Some(entry) = about.first() {
        // By the clock of the entries, so that theirs are later.
        let created = get(&members, "created_at").and_then(|raw| serde_json::from_str(raw).ok());
        let created = created.and_then(|text: String| read_time(&text));
        let at = created.filter(|_| entry.what != What::Created).unwrap_or(entry.at).min(entry.at);
        put(&mut members, "updated_at", &format!("\"{}\"", write_time(at)));
    }
    tables.add(id, about, &mut members);
    members
}

const fn empty(name: &str) -> &'static str {
    match name.as_bytes() {
        b"status" => "\"open\"",
        b"closed_at" | b"assignee" | b"last_activity" => "null",
        _ => "\"\"",
    }
}

/// What the other tables say, by issue.
#[derive(Default)]
struct Tables {
    edges: BTreeMap<String, Vec<String>>,
    notes: BTreeMap<String, Vec<String>>,
    labels: BTreeMap<String, BTreeSet<String>>,
}

impl Tables {
    fn of(sources: &Sources<'_>, report: &mut Report) -> Self {
        let mut tables = Self::default();
        let text = |raw: Option<&str>| serde_json::from_str::<String>(raw?).ok();
        let mut each = |name: &str, bytes: &[u8], take: &mut dyn FnMut(String, Members)| {
            for (_, members) in table(name, bytes, report) {
                let members: Members =
                    members.into_iter().map(|(name, raw)| (name, raw.to_owned())).collect();
                if let Some(issue) = text(get(&members, "issue_id")) {
                    take(issue, members);
                }
            }
        };
        each("dependencies", sources.dependencies, &mut |issue, members| {
            tables.edges.entry(issue).or_default().push(object(&members));
        });
        each("comments", sources.comments, &mut |issue, members| {
            tables.notes.entry(issue).or_default().push(object(&members));
        });
        each("labels", sources.labels, &mut |issue, members| {
            let label = text(get(&members, "label"));
            tables.labels.entry(issue).or_default().extend(label);
        });
        tables
    }

    /// Adds what hangs on the issue, and the labels that it bore before its first entry.
    fn add(&self, id: &str, about: &[&Entry], members: &mut Members) {
        let mut list = |name: &str, items: Option<&Vec<String>>| {
            if let Some(items) = items {
                put(members, name, &format!("[{}]", items.join(",")));
            }
        };
        list("dependencies", self.edges.get(id));
        list("comments", self.notes.get(id));
        let mut labels = self.labels.get(id).cloned().unwrap_or_default();
        let mut touched = BTreeSet::new();
        for entry in about {
            if let What::Labelled(label, added) = &entry.what
                && touched.insert(label)
            {
                // It was there before exactly if the first thing to happen to it is that it goes.
                if *added {
                    labels.remove(label)
                } else {
                    labels.insert(label.clone())
                };
            }
        }
        if !labels.is_empty() {
            let labels: Vec<String> = labels.into_iter().collect();
            put(members, "labels", &serde_json::Value::from(labels).to_string());
        }
    }
}
