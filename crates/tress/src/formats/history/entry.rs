//! The entries of a history.

use std::collections::BTreeMap;

use tress_model::clock::Millis;

use crate::formats::beads::{nameable, object, objects, plain_value};
use crate::formats::{ProblemKind, Report, read_time};

/// What an entry tells of, beside the new values of fields.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum What {
    /// The issue came into being, perhaps anew.
    Created,
    /// Fields changed.
    Changed,
    /// It was closed, with a reason.
    Closed(String),
    /// It was opened again.
    Reopened,
    /// It had another id before.
    Renamed(String),
    /// A label came, or went.
    Labelled(String, bool),
    /// Somebody said something.
    Remark(String),
}

/// One entry of a history.
#[derive(Debug)]
pub(super) struct Entry {
    /// Its line, from 1.
    pub(super) line: usize,
    /// Its place among the entries.
    pub(super) order: Millis,
    actor: Option<String>,
    /// When, by the clock of the history; never before the entry above.
    pub(super) at: Millis,
    /// Which issue it is about, by the id that the issue has in the end.
    pub(super) issue: String,
    /// What it tells of.
    pub(super) what: What,
    /// What was said with it.
    pub(super) comment: Option<String>,
    /// The fields that it gives a value, as JSON texts.
    pub(super) after: Vec<(String, String)>,
    /// The issue as the entry found it, where it says so.
    pub(super) before: Option<Vec<(String, String)>>,
}

impl Entry {
    /// The agent that did it, where it can be named.
    pub(super) fn author(&self) -> Option<String> {
        self.actor.clone().filter(|actor| nameable(actor))
    }

    /// Whether it says, or settles, what `name` is.
    pub(super) fn touches(&self, name: &str) -> bool {
        let status = match self.what {
            What::Created | What::Reopened | What::Closed(_) => true,
            _ => self.after.iter().any(|(known, _)| known == "status"),
        };
        match name {
            "updated_at" => true,
            "status" | "closed_at" | "close_reason" | "closed_by_session" => status,
            _ => self.after.iter().any(|(known, _)| known == name),
        }
    }
}

/// Reads the entries of a history; what cannot be taken is reported.
pub(super) fn entries(bytes: &[u8], report: &mut Report) -> Vec<Entry> {
    let mut entries = Vec::new();
    let mut at = 0;
    for (line, members) in objects(bytes, report) {
        match read(line, &members) {
            Ok(mut entry) => {
                // The order of the file is the order of things.
                at = entry.at.max(at);
                entry.at = at;
                entry.order = entries.len() as Millis;
                entries.push(entry);
            }
            Err((kind, message)) => report.problem(line, kind, message),
        }
    }
    rename(&mut entries);
    entries
}

/// Lets every entry name its issue by the last id that it got.
fn rename(entries: &mut [Entry]) {
    let mut names: BTreeMap<String, String> = BTreeMap::new();
    for entry in entries.iter() {
        if let What::Renamed(from) = &entry.what
            && *from != entry.issue
        {
            names.insert(from.clone(), entry.issue.clone());
        }
    }
    for entry in entries.iter_mut() {
        for _ in 0..names.len() {
            let Some(name) = names.get(&entry.issue) else {
                break;
            };
            entry.issue.clone_from(name);
        }
    }
}

type Refusal = (ProblemKind, String);

fn read(line: usize, members: &[(String, &str)]) -> Result<Entry, Refusal> {
    let text = |name: &str| {
        let raw = members.iter().find(|(known, _)| known == name)?.1;
        serde_json::from_str::<Option<String>>(raw).ok()?.filter(|text| !text.is_empty())
    };
    let missing =
        |name: &str| (ProblemKind::BadEntry, format!("the entry has no {name}; it was left out"));
    let at = text("created_at").and_then(|at| read_time(&at));
    let issue = text("issue_id").ok_or_else(|| missing("issue_id"))?;
    let (old, new) = (text("old_value"), text("new_value"));
    let comment = text("comment");
    let kind = text("event_type").ok_or_else(|| missing("event_type"))?;
    let after = new.as_deref().and_then(owned);
    let fields = after.is_some();
    let mut entry = Entry {
        line,
        order: 0,
        actor: text("actor"),
        at: at.ok_or_else(|| missing("created_at"))?,
        issue,
        what: What::Changed,
        comment,
        after: after.unwrap_or_default(),
        before: old.as_deref().and_then(owned).filter(|before| !before.is_empty()),
    };
    entry.what = what(&kind, &mut entry, old, new, fields)?;
    Ok(entry)
}

fn what(
    kind: &str,
    entry: &mut Entry,
    old: Option<String>,
    new: Option<String>,
    fields: bool,
) -> Result<What, Refusal> {
    let label = |old: Option<String>| {
        let said = entry.comment.as_deref().and_then(|said| said.split_once(": "));
        let label = said.map(|(_, label)| label.to_owned()).or(old);
        let message = "the entry names no label; it was left out".to_owned();
        label.ok_or((ProblemKind::BadEntry, message))
    };
    Ok(match kind {
        "created" => What::Created,
        "reopened" => What::Reopened,
        "closed" => {
            let reason = entry.after.iter().find(|(name, _)| name == "close_reason");
            let reason = reason.and_then(|(_, raw)| serde_json::from_str(raw).ok());
            entry.after.retain(|(name, _)| name != "status");
            What::Closed(reason.or(new.filter(|_| !fields)).unwrap_or_default())
        }
        "renamed" => match (old, new) {
            (Some(from), Some(to)) => {
                entry.issue = to;
                What::Renamed(from)
            }
            _ => {
                let message = "the entry does not say what was renamed; it was left out";
                return Err((ProblemKind::BadEntry, message.to_owned()));
            }
        },
        "label_added" => What::Labelled(label(new)?, true),
        "label_removed" => What::Labelled(label(old)?, false),
        _ if fields => What::Changed,
        _ => match entry.comment.clone().or(new) {
            Some(text) if kind == "commented" => What::Remark(text),
            _ => {
                let message =
                    format!("entries of the kind {kind:?} are not known; it was left out");
                return Err((ProblemKind::UnknownEntry, message));
            }
        },
    })
}

/// The members of the object that `text` is.
fn owned(text: &str) -> Option<Vec<(String, String)>> {
    let members = object(text)?;
    Some(members.into_iter().map(|(name, raw)| (name, raw.to_owned())).collect())
}

/// Whether a member is a time that entries keep by themselves.
pub(super) fn moment(name: &str) -> bool {
    matches!(name, "created_at" | "updated_at" | "closed_at")
}

/// Whether two values of one field mean the same: both empty, equal, or times that differ by no
/// more than the rounding to seconds.
pub(super) fn same(a: &str, b: &str) -> bool {
    let empty =
        |raw: &str| plain_value("", raw).is_none() || matches!(raw, "" | "false" | "\"{}\"");
    if (empty(a) && empty(b)) || a == b {
        return true;
    }
    let time = |raw: &str| read_time(&serde_json::from_str::<String>(raw).ok()?);
    matches!((time(a), time(b)), (Some(a), Some(b)) if a.abs_diff(b) <= 1000)
}
