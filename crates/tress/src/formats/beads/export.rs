//! State to lines.

use std::collections::BTreeMap;

use tress_model::clock::Millis;
use tress_model::ids::{Dot, TodoId};
use tress_model::operation::{EdgeKind, ProseField};
use tress_model::state::todo::Note;
use tress_model::{State, Todo};

use super::json::{self, Entries, Out, Style};
use super::keys::{self, Key, TressFields, key};
use super::layout::{ItemLayout, Layout, WHATEVER};
use crate::formats::names::abroad;
use crate::formats::write_time;

/// The usual order of the members of an edge.
pub(super) const EDGE_ORDER: [&str; 7] =
    ["issue_id", "depends_on_id", "type", "created_at", "created_by", "metadata", "thread_id"];
/// The usual order of the members of a remark.
pub(super) const NOTE_ORDER: [&str; 5] = ["id", "issue_id", "author", "text", "created_at"];
/// The metadata of an edge that waits for any one child.
const ANY_CHILD: &str = r#"{"gate":"any-children"}"#;

/// One todo as it is to be written.
pub(super) struct Written {
    /// What goes before the line.
    pub(super) before: String,
    /// The line.
    pub(super) line: String,
    /// What ends it.
    pub(super) end: String,
}

/// Writes the todos of one state as they are at one moment.
pub(super) struct Exporter<'a> {
    state: &'a State,
    now: Millis,
    /// The number that a remark made here goes by.
    numbers: BTreeMap<Dot, i64>,
}

impl<'a> Exporter<'a> {
    /// An exporter of `state` at `now`.
    pub(super) fn new(state: &'a State, now: Millis) -> Self {
        Self { state, now, numbers: number_notes(state) }
    }

    /// Every todo in the order in which they came to be, one a line.
    pub(super) fn all(&self) -> String {
        let layouts = self.layouts();
        let mut text = String::new();
        for todo in self.ordered() {
            if !text.is_empty() && !text.ends_with('\n') {
                text.push('\n');
            }
            let Some(layout) = layouts.get(&todo.id) else {
                continue;
            };
            let written = self.write(todo, layout);
            text.push_str(&written.before);
            text.push_str(&written.line);
            text.push_str(&written.end);
        }
        text
    }

    /// The todos in the order in which they came to be.
    fn ordered(&self) -> Vec<&'a Todo> {
        let mut todos: Vec<&Todo> = self.state.todos.values().map(|todo| todo.as_ref()).collect();
        todos.sort_by_key(|todo| todo.dot);
        todos
    }

    /// The layout of each todo; one that has none takes the style of the todo before it.
    pub(super) fn layouts(&self) -> BTreeMap<TodoId, Layout> {
        let mut layouts = BTreeMap::new();
        let mut usual = (Style::default(), false);
        for todo in self.ordered() {
            let layout = todo.layout.as_deref().and_then(Layout::read);
            let layout = layout.unwrap_or_else(|| Layout::new(usual.0, usual.1));
            usual = (layout.style(), layout.counts);
            layouts.insert(todo.id, layout);
        }
        layouts
    }

    /// One todo in a layout.
    pub(super) fn write(&self, todo: &Todo, layout: &Layout) -> Written {
        write(&self.fields(todo), layout)
    }

    /// The values of all fields that have one.
    pub(super) fn fields(&self, todo: &Todo) -> BTreeMap<String, Out> {
        let mut fields = BTreeMap::new();
        let mut put = |name: &str, value: Option<Out>| {
            fields.extend(value.map(|value| (name.to_owned(), value)));
        };
        let optional = |text: &Option<String>| text.clone().and_then(Out::text);
        let holder = todo.holder(self.now).filter(|_| !todo.finished());
        let assignee =
            holder.map(|claim| claim.agent.to_string()).or_else(|| todo.assignee.clone());
        put("id", Some(Out::Text(abroad(self.state, todo.id))));
        put("title", Out::text(todo.title.clone()));
        for field in ProseField::ALL {
            put(field.name(), Out::text(todo.prose(field)));
        }
        put("status", Some(Out::Text(self.status(todo))));
        put("priority", Some(Out::number(todo.priority)));
        put("issue_type", Out::text(todo.kind.clone()));
        put("assignee", assignee.and_then(Out::text));
        put("owner", optional(&todo.owner));
        put("estimated_minutes", todo.estimate_minutes.map(Out::number));
        put("created_at", Some(Out::time(todo.created_at)));
        put("created_by", optional(&todo.created_by));
        put("updated_at", Some(Out::time(todo.updated_at)));
        if let Some((at, reason)) = ending(todo) {
            put("closed_at", Some(Out::time(at)));
            put("close_reason", Out::text(reason));
        }
        put("due_at", todo.due_at.map(Out::time));
        put("defer_until", todo.defer_until.map(Out::time));
        put("external_ref", optional(&todo.external_ref));
        if let Some(deletion) = todo.deletion() {
            put("deleted_at", Some(Out::time(deletion.at)));
            put("deleted_by", Out::text(&*deletion.agent));
            put("delete_reason", Out::text(deletion.reason.clone()));
        }
        put("ephemeral", keys::truth(todo.ephemeral));
        put("pinned", keys::truth(todo.pinned));
        put("tress", TressFields::of(todo).write());
        let labels: Vec<_> = todo.labels.keys().cloned().map(Out::Text).collect();
        put("labels", Some(labels).filter(|labels| !labels.is_empty()).map(Out::List));
        self.graph(todo, &mut fields);
        for (name, raw) in &todo.extra {
            fields.insert(name.clone(), Out::Raw(raw.clone()));
        }
        fields
    }

    fn graph(&self, todo: &Todo, fields: &mut BTreeMap<String, Out>) {
        let edges = self.state.edges(todo.id);
        let items: Vec<_> = edges.iter().map(|edge| self.edge(todo, edge)).collect();
        if !items.is_empty() {
            fields.insert("dependencies".to_owned(), Out::List(items));
        }
        let parent = edges.iter().find(|edge| edge.kind == EdgeKind::ParentChild);
        if let Some(parent) = parent {
            fields.insert("parent".to_owned(), Out::Text(self.target(parent)));
        }
        let notes: Vec<_> = todo.notes.iter().map(|note| self.note(todo, note)).collect();
        if !notes.is_empty() {
            fields.insert("comments".to_owned(), Out::List(notes));
        }
        let needs = edges.iter().filter(|edge| edge.kind == EdgeKind::Blocks).count();
        let needed = self.state.dependents(todo.id).filter(|&source| {
            let mut edges = self.state.edges(source).iter();
            edges.any(|edge| edge.on == todo.id && edge.kind == EdgeKind::Blocks)
        });
        fields.insert("dependency_count".to_owned(), Out::number(needs));
        fields.insert("dependent_count".to_owned(), Out::number(needed.count()));
        fields.insert("comment_count".to_owned(), Out::number(todo.notes.len()));
    }

    fn status(&self, todo: &Todo) -> String {
        if todo.deletion().is_some() {
            return "tombstone".to_owned();
        }
        if todo.finished() {
            return "closed".to_owned();
        }
        let pending = todo.pending_completion().is_some() || todo.verified().is_some();
        if pending || todo.holder(self.now).is_some() {
            return "in_progress".to_owned();
        }
        todo.stage.clone().unwrap_or_else(|| "open".to_owned())
    }

    fn target(&self, edge: &tress_model::state::Edge) -> String {
        let there = self.state.todo(edge.on).is_some();
        let known = edge.external_id.clone().filter(|_| !there);
        known.unwrap_or_else(|| abroad(self.state, edge.on))
    }

    fn edge(&self, todo: &Todo, edge: &tress_model::state::Edge) -> Out {
        let typed = edge_members(&abroad(self.state, todo.id), &self.target(edge), &edge.kind);
        if let Some(layout) = edge.layout.as_deref().and_then(ItemLayout::read) {
            return layout.write(typed, &EDGE_ORDER);
        }
        let mut members: Vec<_> =
            typed.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
        members.push(("created_at".to_owned(), Out::time(edge.since.time.millis)));
        if edge.kind == EdgeKind::WaitsForAny {
            members.push(("metadata".to_owned(), Out::Text(ANY_CHILD.to_owned())));
        }
        Out::Object(members)
    }

    fn note(&self, todo: &Todo, note: &Note) -> Out {
        let typed = note_members(&abroad(self.state, todo.id), &note.agent, &note.text, note.at);
        if let Some(layout) = note.layout.as_deref().and_then(ItemLayout::read) {
            return layout.write(typed, &NOTE_ORDER);
        }
        let number = self.numbers.get(&note.dot).copied().unwrap_or_default();
        let mut members = vec![("id".to_owned(), Out::number(number))];
        members.extend(typed.into_iter().map(|(name, value)| (name.to_owned(), value)));
        Out::Object(members)
    }
}

/// A todo with these values in a layout.
fn write(rendered: &BTreeMap<String, Out>, layout: &Layout) -> Written {
    let style = layout.style();
    let names = rendered.keys().chain(layout.raw.keys()).map(String::as_str);
    let mut names: Vec<&str> = names.collect();
    names.sort_unstable();
    names.dedup();
    let mut same = true;
    let mut members = Vec::new();
    for name in layout.arrange(names) {
        let now = rendered.get(name);
        let value = chosen(layout, name, now);
        same &= value.is_none() || value.as_ref() == layout.raw.get(name);
        members.extend(value.map(|value| (name, value)));
    }
    let line = layout.line.clone().filter(|_| same);
    Written {
        before: layout.before.clone(),
        line: line.unwrap_or_else(|| style.object(&members)),
        end: layout.end.clone().unwrap_or_else(|| "\n".to_owned()),
    }
}

/// What stands for `name` in the line: the text that stood there, while it means what the state
/// says, or else what the state says.
fn chosen(layout: &Layout, name: &str, now: Option<&Out>) -> Option<String> {
    let was = layout.was.get(name);
    let settled =
        was.is_some_and(|was| was.as_deref() == Some(WHATEVER) || *was == now.map(Out::plain));
    let field = key(name);
    let Some(raw) = layout.raw.get(name) else {
        let left_out = settled || (field.is_some_and(Key::derived) && !layout.counts);
        return now.filter(|_| !left_out).map(|now| now.write(layout.style()));
    };
    if was.is_some() {
        if settled {
            return Some(raw.clone());
        }
        if field.is_some_and(Key::counts)
            && let Some(count) = moved(raw, was.and_then(Option::as_deref), now)
        {
            return Some(count);
        }
    } else {
        let meaning = field.map_or(Some(Out::Raw(raw.clone())), |field| field.canonical(raw));
        if meaning.map(|meaning| meaning.plain()) == now.map(Out::plain) {
            return Some(raw.clone());
        }
    }
    now.map(|now| now.write(layout.style()))
}

/// A count that came as `raw` when Tress counted `was`, now that it counts `now`.
fn moved(raw: &str, was: Option<&str>, now: Option<&Out>) -> Option<String> {
    let raw = json::number(raw).ok()??;
    let was: i64 = was?.parse().ok()?;
    let now: i64 = now?.plain().parse().ok()?;
    Some(raw.saturating_add(now - was).max(0).to_string())
}

/// When and why a todo was closed, if it is.
pub(super) fn ending(todo: &Todo) -> Option<(Millis, String)> {
    if let Some(closing) = todo.closing() {
        return Some((closing.at, closing.reason.clone()));
    }
    let completion = todo.completed()?;
    let verification = completion.verification.as_ref();
    let integrated = completion.integrated.as_deref().map(|&(_, at)| at);
    let at = integrated.or_else(|| verification.map(|v| v.at)).unwrap_or(completion.at);
    Some((at, verification.map(|v| v.reason.clone()).unwrap_or_default()))
}

/// The members of an edge that the state has.
pub(super) fn edge_members(issue: &str, on: &str, kind: &EdgeKind) -> Vec<(&'static str, Out)> {
    vec![
        ("issue_id", Out::Text(issue.to_owned())),
        ("depends_on_id", Out::Text(on.to_owned())),
        ("type", Out::Text(kind.name().to_owned())),
    ]
}

/// The members of a remark that the state has.
pub(super) fn note_members(
    issue: &str,
    author: &str,
    text: &str,
    at: Millis,
) -> Vec<(&'static str, Out)> {
    vec![
        ("issue_id", Out::Text(issue.to_owned())),
        ("author", Out::Text(author.to_owned())),
        ("text", Out::Text(text.to_owned())),
        ("created_at", Out::Text(write_time(at))),
    ]
}

/// Numbers the remarks that were made here, above all numbers that came in.
fn number_notes(state: &State) -> BTreeMap<Dot, i64> {
    let notes = || state.todos.values().flat_map(|todo| todo.notes.iter());
    let mut ours: Vec<Dot> = notes().filter(|n| n.layout.is_none()).map(|n| n.dot).collect();
    if ours.is_empty() {
        return BTreeMap::new();
    }
    let taken = notes().filter_map(|note| ItemLayout::read(note.layout.as_deref()?));
    let taken = taken.filter_map(|layout| json::number(layout.raw.get("id")?).ok()?);
    let first = taken.max().unwrap_or(0).max(0);
    ours.sort_unstable();
    ours.into_iter().zip(first.saturating_add(1)..).collect()
}

/// The layout in which an export of `todo` gives `line` back: the leanest that does.
pub(super) fn fit(
    exporter: &Exporter<'_>,
    todo: &Todo,
    line: &str,
    entries: &Entries<'_>,
) -> Option<Layout> {
    let style = Style::of(line, entries);
    let rendered = exporter.fields(todo);
    let layout = Layout::of(style, entries, &rendered, false);
    if write(&rendered, &layout).line == line {
        return Some(layout);
    }
    let mut layout = Layout::of(style, entries, &rendered, true);
    layout.line = Some(line.to_owned());
    (write(&rendered, &layout).line == line).then_some(layout)
}
