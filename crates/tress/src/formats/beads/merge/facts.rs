//! One version of an issue, taken apart into what merges by itself.

use std::collections::BTreeMap;

use super::super::json::{self, Entries, Style};
use super::read::Row;

/// The members that together say where an issue stands: they come from one side.
const STANDING: [&str; 8] = [
    "status",
    "closed_at",
    "close_reason",
    "closed_by_session",
    "deleted_at",
    "deleted_by",
    "delete_reason",
    "original_type",
];
/// The texts that merge line by line.
pub(super) const TEXTS: [&str; 4] = ["description", "design", "acceptance_criteria", "notes"];
/// The lists that merge item by item.
pub(super) const LISTS: [&str; 3] = ["labels", "dependencies", "comments"];
/// The one object whose members merge one by one, and what stands before their names.
pub(super) const TRESS: &str = "tress";
const TRESS_MEMBER: &str = "tress.";
/// When the issue last changed: of several, the latest.
pub(super) const UPDATED: &str = "updated_at";

/// An item of a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Item {
    /// What makes it this item and no other.
    pub(super) key: String,
    /// As it is written.
    pub(super) raw: String,
    /// Where it stands in time, if it says so.
    pub(super) at: i128,
}

/// An edge as the fold knows it: target and kind.
pub(super) type EdgeKey = (String, String);

/// A version of an issue.
#[derive(Debug, Clone, Default)]
pub(super) struct Facts {
    /// Every member as it is written.
    pub(super) raws: BTreeMap<String, String>,
    /// What each plain member means; without those that merge in another way.
    pub(super) plain: BTreeMap<String, String>,
    /// Where it stands, as one value.
    pub(super) standing: String,
    /// The word for that.
    pub(super) status: String,
    /// Whether nothing is left to do.
    pub(super) finished: bool,
    /// The lists.
    pub(super) lists: BTreeMap<&'static str, Vec<Item>>,
    /// The edges, in the order in which they stand.
    pub(super) edges: Vec<(EdgeKey, Option<String>)>,
    /// When it last changed, in nanoseconds.
    pub(super) updated: i128,
    /// When it was made.
    pub(super) created: i128,
    /// The names of its members in their order.
    pub(super) names: Vec<String>,
    /// The line that it was read from, and what ends it.
    pub(super) text: String,
    pub(super) end: String,
}

/// A moment in nanoseconds since 1970; 0 where there is none.
pub(super) fn moment(raw: Option<&str>) -> i128 {
    let text = raw.and_then(|raw| json::text(raw).ok()?);
    let time = text.and_then(|text| text.parse::<jiff::Timestamp>().ok());
    time.map_or(0, jiff::Timestamp::as_nanosecond)
}

/// What a value means, however it is written. Numbers are taken as they are written.
pub(super) fn meaning(raw: &str) -> String {
    match serde_json::from_str::<serde_json::Value>(raw) {
        Ok(value) if !value.is_number() => value.to_string(),
        _ => raw.to_owned(),
    }
}

impl Facts {
    /// Takes a line apart.
    pub(super) fn of(row: &Row) -> Self {
        let entries = Entries::read(&row.text).unwrap_or_default();
        let mut facts = Self { text: row.text.clone(), end: row.end.clone(), ..Self::default() };
        for (name, raw) in &entries.0 {
            let members = Entries::read(raw).ok().filter(|_| name == TRESS);
            if !facts.names.contains(name) {
                facts.names.push(name.clone());
            }
            match members {
                Some(members) => facts.raws.extend(
                    members.0.iter().map(|(n, raw)| (format!("{TRESS_MEMBER}{n}"), (*raw).into())),
                ),
                None => {
                    facts.raws.insert(name.clone(), (*raw).to_owned());
                }
            }
        }
        for name in LISTS {
            let list = facts.raws.get(name).and_then(|raw| items(name, raw));
            facts.lists.extend(list.map(|list| (name, list)));
        }
        facts.edges = facts.raws.get("dependencies").map_or_else(Vec::new, |raw| edges(raw));
        facts.updated = moment(entries.get(UPDATED));
        facts.created = moment(entries.get("created_at"));
        facts.stand();
        for (name, raw) in &facts.raws {
            let elsewhere = STANDING.contains(&name.as_str()) || name == UPDATED;
            if !elsewhere && !facts.lists.contains_key(name.as_str()) {
                facts.plain.insert(name.clone(), meaning(raw));
            }
        }
        facts
    }

    /// Of a line that nobody changed: the line, and its edges.
    pub(super) fn untouched(row: &Row) -> Self {
        let entries = Entries::read(&row.text).unwrap_or_default();
        let edges = entries.get("dependencies").map_or_else(Vec::new, edges);
        Self { text: row.text.clone(), end: row.end.clone(), edges, ..Self::default() }
    }

    fn stand(&mut self) {
        let word = self.raws.get("status").and_then(|raw| json::text(raw).ok()?);
        self.status = word.unwrap_or_else(|| "open".to_owned());
        self.finished = ["closed", "tombstone"].contains(&self.status.as_str());
        let members: Vec<(&str, String)> = STANDING
            .iter()
            .filter_map(|name| Some((*name, meaning(self.raws.get(*name)?))))
            .collect();
        self.standing = Style::default().object(&members);
    }

    /// The style that the line is written in.
    pub(super) fn style(&self) -> Style {
        Entries::read(&self.text).map(|entries| Style::of(&self.text, &entries)).unwrap_or_default()
    }

    /// The members that say where it stands.
    pub(super) fn standing_raws(&self) -> Vec<(&'static str, &String)> {
        STANDING.iter().filter_map(|name| Some((*name, self.raws.get(*name)?))).collect()
    }

    /// A list; empty where there is none.
    pub(super) fn list(&self, name: &str) -> &[Item] {
        self.lists.get(name).map(Vec::as_slice).unwrap_or_default()
    }

    /// The text of a member; empty where there is none, `None` where it is something else.
    pub(super) fn prose(&self, name: &str) -> Option<String> {
        match self.raws.get(name) {
            None => Some(String::new()),
            Some(raw) => json::text(raw).ok().map(Option::unwrap_or_default),
        }
    }

    /// Whether the list `name` is one, or is not there.
    pub(super) fn is_list(&self, name: &str) -> bool {
        self.lists.contains_key(name) || !self.raws.contains_key(name)
    }

    /// Takes a list that another version has as something else for a plain value.
    pub(super) fn flatten(&mut self, name: &str) {
        if self.lists.remove(name).is_some()
            && let Some(raw) = self.raws.get(name)
        {
            self.plain.insert(name.to_owned(), meaning(raw));
        }
    }
}

/// The name within the object `tress` that a member stands for.
pub(super) fn tress_member(name: &str) -> Option<&str> {
    name.strip_prefix(TRESS_MEMBER)
}

/// The items of a list, each once; `None` where it is something else.
fn items(name: &str, raw: &str) -> Option<Vec<Item>> {
    let mut list: Vec<Item> = Vec::new();
    for raw in json::items(raw).ok()? {
        let (key, at) = if name == "labels" {
            (json::text(raw).ok()??, 0)
        } else {
            let entries = Entries::read(raw).ok()?;
            let member = |name: &str| entries.get(name).map(meaning).unwrap_or_default();
            let key = match name {
                "dependencies" => [member("depends_on_id"), member("type")],
                _ => [member("author") + &member("created_at"), member("text")],
            };
            (key.concat(), moment(entries.get("created_at")))
        };
        let item = Item { key, raw: raw.to_owned(), at };
        match list.iter_mut().find(|known| known.key == item.key) {
            // Of two that say the same, the choice must not depend on which came first.
            Some(known) if known.raw < item.raw => *known = item,
            Some(_) => {}
            None => list.push(item),
        }
    }
    Some(list)
}

/// Target, kind and metadata of each edge that can be read.
fn edges(raw: &str) -> Vec<(EdgeKey, Option<String>)> {
    let edge = |raw: &str| {
        let entries = Entries::read(raw).ok()?;
        let on = json::text(entries.get("depends_on_id")?).ok()??;
        let kind = entries.get("type").and_then(|raw| json::text(raw).ok()?);
        let kind = kind.unwrap_or_else(|| "blocks".to_owned());
        Some(((on, kind), entries.get("metadata").map(str::to_owned)))
    };
    json::items(raw).unwrap_or_default().into_iter().filter_map(edge).collect()
}
