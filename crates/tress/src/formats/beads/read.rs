//! Lines to issues.

use std::collections::{BTreeMap, BTreeSet};

use tress_model::clock::Millis;
use tress_model::limits::{AGENT_NAME_BYTES_MAX, EVENT_BYTES_MAX};
use tress_model::operation::{EdgeKind, ProseField};

use super::export::{EDGE_ORDER, NOTE_ORDER, edge_members, note_members};
use super::json::{self, Entries, Style};
use super::keys::{self, Key, TressFields, key};
use super::layout::ItemLayout;
use crate::formats::words::did_you_mean;
use crate::formats::{Problem, ProblemKind, Report};

/// The longest line that is taken: what an event can hold, and room for its layout.
const LINE_MAX: usize = EVENT_BYTES_MAX - (EVENT_BYTES_MAX >> 3);
/// The status words that the beads format knows.
const STATUS_WORDS: [&str; 8] =
    ["open", "in_progress", "blocked", "deferred", "closed", "tombstone", "pinned", "hooked"];
/// The edge words that it knows.
const EDGE_WORDS: [&str; 20] = [
    "blocks",
    "parent-child",
    "conditional-blocks",
    "waits-for",
    "related",
    "relates-to",
    "discovered-from",
    "duplicates",
    "supersedes",
    "replies-to",
    "authored-by",
    "assigned-to",
    "approved-by",
    "attests",
    "tracks",
    "until",
    "caused-by",
    "validates",
    "delegated-from",
    "relates",
];

/// A line of a file.
pub(super) struct Line<'a> {
    /// Its number, from 1.
    pub(super) number: usize,
    /// Blank lines and marks before it.
    pub(super) before: String,
    /// What it says.
    pub(super) text: &'a str,
    /// What ends it, blank lines behind it included.
    pub(super) end: String,
}

/// Where the file says that a todo stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Standing {
    /// To be done, perhaps under a word of its own.
    Open(Option<String>),
    /// Closed.
    Closed,
    /// Deleted.
    Deleted,
}

/// An edge of the file.
pub(super) struct EdgeLine {
    /// The target's id.
    pub(super) on: String,
    /// What it says.
    pub(super) kind: EdgeKind,
    /// When it was made.
    pub(super) at: Option<Millis>,
    /// How it was written.
    pub(super) layout: Option<String>,
}

/// A remark of the file.
pub(super) struct NoteLine {
    /// Who made it.
    pub(super) author: Option<String>,
    /// When.
    pub(super) at: Option<Millis>,
    /// What it says.
    pub(super) text: String,
    /// How it was written.
    pub(super) layout: Option<String>,
}

/// A todo as the file has it.
pub(super) struct Issue<'a> {
    pub(super) line: Line<'a>,
    pub(super) entries: Entries<'a>,
    pub(super) id: String,
    pub(super) title: String,
    pub(super) standing: Standing,
    pub(super) kind: String,
    pub(super) priority: u8,
    pub(super) assignee: Option<String>,
    pub(super) owner: Option<String>,
    pub(super) estimate: Option<u32>,
    pub(super) created_at: Option<Millis>,
    pub(super) created_by: Option<String>,
    pub(super) updated_at: Option<Millis>,
    pub(super) closed_at: Option<Millis>,
    pub(super) close_reason: Option<String>,
    pub(super) deleted_at: Option<Millis>,
    pub(super) deleted_by: Option<String>,
    pub(super) delete_reason: Option<String>,
    pub(super) due_at: Option<Millis>,
    pub(super) defer_until: Option<Millis>,
    pub(super) external_ref: Option<String>,
    pub(super) pinned: bool,
    pub(super) ephemeral: bool,
    pub(super) prose: BTreeMap<ProseField, String>,
    pub(super) labels: BTreeSet<String>,
    pub(super) edges: Vec<EdgeLine>,
    pub(super) notes: Vec<NoteLine>,
    pub(super) tress: Option<TressFields>,
    pub(super) extra: BTreeMap<String, String>,
}

/// Takes a text apart into lines; blank ones go to their neighbours, so that nothing is lost.
pub(super) fn lines<'a>(bytes: &'a [u8], report: &mut Report) -> Vec<Line<'a>> {
    let mut lines: Vec<Line<'a>> = Vec::new();
    let mut before = String::new();
    // Whether the last line that was kept is the one just above.
    let mut joined = false;
    for (at, chunk) in bytes.split_inclusive(|&byte| byte == b'\n').enumerate() {
        let number = at + 1;
        let Ok(chunk) = std::str::from_utf8(chunk) else {
            report.lines += 1;
            let message = "the line is not UTF-8; save the file as UTF-8 and import it again";
            report.problem(number, ProblemKind::NotUtf8, message);
            joined = false;
            continue;
        };
        let (mark, chunk) = match chunk.strip_prefix('\u{feff}') {
            Some(rest) if number == 1 => ("\u{feff}", rest),
            _ => ("", chunk),
        };
        before.push_str(mark);
        let text = chunk.trim_end_matches(['\n', '\r']);
        if text.trim().is_empty() {
            match lines.last_mut().filter(|_| joined) {
                Some(last) => last.end.push_str(chunk),
                None => before.push_str(chunk),
            }
            continue;
        }
        report.lines += 1;
        let end = chunk.get(text.len()..).unwrap_or_default().to_owned();
        lines.push(Line { number, before: std::mem::take(&mut before), text, end });
        joined = true;
    }
    lines
}

/// Whether a line is what a merge leaves behind.
pub(super) fn conflict_marker(text: &str) -> bool {
    ["<<<<<<<", "|||||||", "=======", ">>>>>>>"].iter().any(|mark| {
        text.strip_prefix(mark).is_some_and(|rest| rest.is_empty() || rest.starts_with(' '))
    })
}

/// The members of a line, or `None` where it is reported and left out.
pub(super) fn members<'a>(
    number: usize,
    text: &'a str,
    report: &mut Report,
) -> Option<Entries<'a>> {
    if conflict_marker(text) {
        let message = "a conflict marker of a merge; resolve the merge, both sides were read";
        report.problem(number, ProblemKind::ConflictMarker, message);
        return None;
    }
    if text.len() > LINE_MAX {
        let message = format!("the line has {} bytes, more than {LINE_MAX}", text.len());
        report.problem(number, ProblemKind::TooLarge, message);
        return None;
    }
    match Entries::read(text) {
        Ok(entries) => Some(entries),
        Err(error) => {
            let column = error.column();
            let place = format!(" at line {} column {column}", error.line());
            let reason = error.to_string();
            let reason = reason.strip_suffix(&place).unwrap_or(&reason);
            report.problems.push(Problem {
                line: number,
                column: Some(column).filter(|&column| column > 0),
                kind: ProblemKind::BadJson,
                message: format!("not a JSON object ({reason}); mend the line and import again"),
            });
            None
        }
    }
}

impl<'a> Issue<'a> {
    /// The issue of a line, or `None` where the line is reported and left out.
    pub(super) fn read(line: Line<'a>, report: &mut Report) -> Option<Self> {
        let entries = members(line.number, line.text, report)?;
        let number = line.number;
        let id = entries.get("id").and_then(|raw| json::text(raw).ok()?);
        let Some(id) = id else {
            let message = "the issue has no id; give it one";
            report.problem(number, ProblemKind::MissingId, message);
            return None;
        };
        let mut names = BTreeSet::new();
        for (name, _) in entries.0.iter().filter(|(name, _)| !names.insert(name.as_str())) {
            let message = format!("{id} has the key {name} twice; the last holds");
            report.problems.push(problem(number, ProblemKind::DuplicateKey, message));
        }
        let mut issue = Self::empty(line, id);
        for (name, raw) in &entries.0 {
            issue.take(name, raw, report);
        }
        if issue.title.is_empty() {
            let message = format!("{} has no title; it goes by its id", issue.id);
            report.problem(number, ProblemKind::MissingTitle, message);
            issue.title.clone_from(&issue.id);
        }
        issue.read_graph(&entries, report);
        issue.entries = entries;
        Some(issue)
    }

    fn empty(line: Line<'a>, id: String) -> Self {
        Self {
            line,
            entries: Entries::default(),
            id,
            title: String::new(),
            standing: Standing::Open(None),
            kind: "task".to_owned(),
            priority: 2,
            assignee: None,
            owner: None,
            estimate: None,
            created_at: None,
            created_by: None,
            updated_at: None,
            closed_at: None,
            close_reason: None,
            deleted_at: None,
            deleted_by: None,
            delete_reason: None,
            due_at: None,
            defer_until: None,
            external_ref: None,
            pinned: false,
            ephemeral: false,
            prose: BTreeMap::new(),
            labels: BTreeSet::new(),
            edges: Vec::new(),
            notes: Vec::new(),
            tress: None,
            extra: BTreeMap::new(),
        }
    }

    /// When the issue last changed, as far as it says.
    pub(super) fn moment(&self) -> Option<Millis> {
        self.updated_at.or(self.closed_at).or(self.created_at)
    }

    fn take(&mut self, name: &str, raw: &str, report: &mut Report) {
        let Some(field) = key(name) else {
            self.extra.insert(name.to_owned(), raw.to_owned());
            return;
        };
        if self.set(field, raw, report).is_err() {
            let message = format!("{name} of {} cannot be read; it is kept as it is", self.id);
            report.problem(self.line.number, ProblemKind::BadValue, message);
        }
    }

    fn set(&mut self, field: Key, raw: &str, report: &mut Report) -> Result<(), json::WrongKind> {
        match field {
            Key::Title => self.title = json::text(raw)?.unwrap_or_default(),
            Key::Prose(field) => {
                let text = json::text(raw)?;
                self.prose.extend(text.map(|text| (field, text)));
            }
            Key::Status => self.set_status(json::text(raw)?, report),
            Key::Priority => {
                let (priority, within) = keys::priority(raw)?;
                self.priority = priority;
                if !within {
                    let message = format!("the priority of {} is {raw}; 0 to 4 is meant", self.id);
                    report.problem(self.line.number, ProblemKind::PriorityOutOfRange, message);
                }
            }
            Key::IssueType => self.kind = json::text(raw)?.unwrap_or_else(|| "task".to_owned()),
            Key::Assignee => self.assignee = json::text(raw)?,
            Key::Owner => self.owner = json::text(raw)?,
            Key::Estimate => self.estimate = keys::estimate(raw)?,
            Key::CreatedAt => self.created_at = json::time(raw)?,
            Key::CreatedBy => self.created_by = json::text(raw)?,
            Key::UpdatedAt => self.updated_at = json::time(raw)?,
            Key::ClosedAt => self.closed_at = json::time(raw)?,
            Key::CloseReason => self.close_reason = json::text(raw)?,
            Key::DueAt => self.due_at = json::time(raw)?,
            Key::DeferUntil => self.defer_until = json::time(raw)?,
            Key::ExternalRef => self.external_ref = json::text(raw)?,
            Key::Labels => self.labels = json::texts(raw)?.into_iter().collect(),
            Key::DeletedAt => self.deleted_at = json::time(raw)?,
            Key::DeletedBy => self.deleted_by = json::text(raw)?.filter(|name| nameable(name)),
            Key::DeleteReason => self.delete_reason = json::text(raw)?,
            Key::Ephemeral => self.ephemeral = json::flag(raw)?,
            Key::Pinned => self.pinned = json::flag(raw)?,
            Key::Tress => match TressFields::read(raw) {
                Some(fields) => self.tress = Some(fields),
                None => {
                    self.extra.insert("tress".to_owned(), raw.to_owned());
                }
            },
            Key::DependencyCount | Key::DependentCount | Key::CommentCount => {
                json::number(raw)?;
            }
            Key::Parent => {
                json::text(raw)?;
            }
            Key::Id | Key::Dependencies | Key::Comments => {}
        }
        Ok(())
    }

    fn set_status(&mut self, word: Option<String>, report: &mut Report) {
        self.standing = match word.as_deref() {
            None | Some("open") => Standing::Open(None),
            Some("closed") => Standing::Closed,
            Some("tombstone") => Standing::Deleted,
            Some(other) => {
                if !STATUS_WORDS.contains(&other) {
                    let meant = did_you_mean(other, STATUS_WORDS);
                    let message =
                        format!("the status {other:?} of {} is not known{meant}", self.id);
                    report.problem(self.line.number, ProblemKind::UnknownStatus, message);
                }
                Standing::Open(word)
            }
        };
    }

    fn read_graph(&mut self, entries: &Entries<'a>, report: &mut Report) {
        let style = Style::of(self.line.text, entries);
        let number = self.line.number;
        let mut list = |name: &str| {
            let items = json::items(entries.get(name).unwrap_or("null"));
            items.unwrap_or_else(|_| {
                let message = format!("{name} of {} is no list; it is kept as it is", self.id);
                report.problem(number, ProblemKind::BadValue, message);
                Vec::new()
            })
        };
        let (edges, notes) = (list("dependencies"), list("comments"));
        for raw in edges {
            match self.edge(raw, style, report) {
                Some(edge) => self.edges.push(edge),
                None => {
                    let message = format!("a dependency of {} has no depends_on_id", self.id);
                    report.problem(number, ProblemKind::BadValue, message);
                }
            }
        }
        for raw in notes {
            match self.note(raw, style) {
                Some(note) => self.notes.push(note),
                None => {
                    let message = format!("a comment on {} has no text", self.id);
                    report.problem(number, ProblemKind::BadValue, message);
                }
            }
        }
        report.edges += self.edges.len();
        report.notes += self.notes.len();
    }

    fn edge(&self, raw: &str, style: Style, report: &mut Report) -> Option<EdgeLine> {
        let entries = Entries::read(raw).ok()?;
        let on = json::text(entries.get("depends_on_id")?).ok()??;
        let word = entries.get("type").and_then(|raw| json::text(raw).ok()?);
        let word = word.unwrap_or_else(|| "blocks".to_owned());
        if !EDGE_WORDS.contains(&word.as_str()) {
            let meant = did_you_mean(&word, EDGE_WORDS);
            let message = format!("{} -> {on} is of the unknown kind {word:?}{meant}", self.id);
            report.problem(self.line.number, ProblemKind::UnknownEdgeKind, message);
        }
        let kind = edge_kind(&word, entries.get("metadata"));
        let typed = edge_members(&self.id, &on, &kind);
        let at = entries.get("created_at").and_then(|raw| json::time(raw).ok()?);
        let layout = ItemLayout::of(style, &entries, &typed, &EDGE_ORDER).store();
        Some(EdgeLine { on, kind, at, layout })
    }

    fn note(&self, raw: &str, style: Style) -> Option<NoteLine> {
        let entries = Entries::read(raw).ok()?;
        let text = json::text(entries.get("text")?).ok()??;
        let author = entries.get("author").and_then(|raw| json::text(raw).ok()?);
        let author = author.filter(|author| nameable(author));
        let at = entries.get("created_at").and_then(|raw| json::time(raw).ok()?);
        let at = at.or_else(|| self.moment());
        let known = (author.as_deref(), at);
        let mut typed = note_members(&self.id, known.0.unwrap_or(""), &text, known.1.unwrap_or(0));
        // What the line does not say is known only once the remark is appended.
        typed.retain(|(name, _)| match *name {
            "author" => known.0.is_some(),
            "created_at" => known.1.is_some(),
            _ => true,
        });
        let layout = ItemLayout::of(style, &entries, &typed, &NOTE_ORDER);
        let layout = layout.telling(&entries).store();
        Some(NoteLine { author, at, text, layout })
    }
}

/// Whether an agent can bear the name.
pub(crate) fn nameable(name: &str) -> bool {
    !name.trim().is_empty() && name.len() <= AGENT_NAME_BYTES_MAX
}

/// The kind of edge that a word means, given the edge's metadata.
pub(crate) fn edge_kind(word: &str, metadata: Option<&str>) -> EdgeKind {
    let kind = EdgeKind::from_name(word);
    if kind != EdgeKind::WaitsFor {
        return kind;
    }
    let gate = |text: &str| {
        let value: serde_json::Value = serde_json::from_str(text).ok()?;
        value.get("gate")?.as_str().map(|gate| gate == "any-children")
    };
    let inner = metadata.and_then(|raw| json::text(raw).ok()?);
    let any = inner.as_deref().and_then(gate).or_else(|| metadata.and_then(gate));
    if any == Some(true) { EdgeKind::WaitsForAny } else { kind }
}

fn problem(line: usize, kind: ProblemKind, message: String) -> Problem {
    Problem { line, column: None, kind, message }
}
