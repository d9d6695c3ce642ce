//! What an export needs to know, beside the values, to write a line as it was.
//!
//! A layout holds the order of the keys and, for each key whose value an export would write
//! otherwise, the text that stood there. That text is used for as long as it still means the
//! value of the state. It is kept as JSON text in the `layout` of the operation.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::json::{self, Entries, Escape, Out, Style};
use super::keys::{self, key};

/// The version of this form.
const VERSION: u8 = 1;

/// In place of what a value was: it is left out, or written as it came, whatever it is now.
pub(super) const WHATEVER: &str = "*";

/// How a line was written.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct Layout {
    /// The version of the form; marks it as one of ours.
    beads: u8,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    spaced: bool,
    #[serde(skip_serializing_if = "is_plain")]
    escape: Escape,
    /// Whether the keys are in alphabetical order.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    sorted: bool,
    /// The keys in their order, where that is neither the format's own nor the alphabet's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) keys: Option<Vec<String>>,
    /// Whether the line has counts, and `parent`.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub(super) counts: bool,
    /// Values as they were written.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub(super) raw: BTreeMap<String, String>,
    /// What an export would have written for a key whose raw text means something else, or that
    /// was not there.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub(super) was: BTreeMap<String, Option<String>>,
    /// The whole line, where it is written in no regular style.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) line: Option<String>,
    /// Blank lines and marks before it.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub(super) before: String,
    /// What ends it, where that is not a newline.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) end: Option<String>,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks for a reference")]
fn is_plain(escape: &Escape) -> bool {
    *escape == Escape::Plain
}

fn is_time(name: &str) -> bool {
    matches!(name, "created_at" | "updated_at" | "closed_at" | "deleted_at")
}

impl Layout {
    /// A layout in a style, with nothing else to say.
    pub(super) fn new(style: Style, counts: bool) -> Self {
        Self {
            beads: VERSION,
            spaced: style.spaced,
            escape: style.escape,
            counts,
            ..Self::default()
        }
    }

    /// Reads a stored layout; `None` where it is of another format, or newer.
    pub(super) fn read(text: &str) -> Option<Self> {
        let layout: Self = serde_json::from_str(text).ok()?;
        (layout.beads == VERSION).then_some(layout)
    }

    /// The layout as it is stored.
    pub(super) fn store(&self) -> Option<String> {
        serde_json::to_string(self).ok()
    }

    /// The style of the line's values.
    pub(super) const fn style(&self) -> Style {
        Style { spaced: self.spaced, escape: self.escape }
    }

    /// The layout with which an export of `rendered` gives the members of `entries` back. With
    /// `all`, every value is kept as it was written.
    pub(super) fn of(
        style: Style,
        entries: &Entries<'_>,
        rendered: &BTreeMap<String, Out>,
        all: bool,
    ) -> Self {
        let counts = entries.get("dependency_count").is_some();
        let mut layout = Self::new(style, counts);
        // What names no time at all gets those of the events that it is imported by.
        let moments = ["updated_at", "closed_at", "created_at"].into_iter();
        let mut moments = moments.filter_map(|name| json::time(entries.get(name)?).ok()?);
        let timeless = moments.next().is_none();
        for (name, raw) in &entries.0 {
            let now = rendered.get(name);
            let regular = now.is_some_and(|now| now.write(style) == *raw);
            layout.raw.remove(name);
            layout.was.remove(name);
            if regular && !all {
                continue;
            }
            layout.raw.insert(name.clone(), (*raw).to_owned());
            let meaning = match key(name) {
                Some(key) => key.canonical(raw),
                None => Some(Out::Raw((*raw).to_owned())),
            };
            if meaning.map(|out| out.plain()) != now.map(Out::plain) {
                let was = now.map(Out::plain);
                let was = if timeless && is_time(name) { Some(WHATEVER.to_owned()) } else { was };
                layout.was.insert(name.clone(), was);
            }
        }
        for (name, now) in rendered.iter().filter(|(name, _)| entries.get(name).is_none()) {
            let settled = matches!(name.as_str(), "created_at" | "updated_at" | "deleted_by")
                || (timeless && is_time(name));
            let was = if settled { WHATEVER.to_owned() } else { now.plain() };
            if key(name).is_none_or(|key| !key.derived()) || counts {
                layout.was.insert(name.clone(), Some(was));
            }
        }
        layout.keep_order(entries);
        layout
    }

    fn keep_order(&mut self, entries: &Entries<'_>) {
        let mut names: Vec<String> = Vec::new();
        for (name, _) in &entries.0 {
            if !names.contains(name) {
                names.push(name.clone());
            }
        }
        if names.is_sorted() && names.len() > 1 {
            self.sorted = true;
        } else if !names.is_sorted_by_key(|name| keys::position(name)) {
            self.keys = Some(names);
        }
    }

    /// Puts names into the order of the line; those that are new to it come last.
    pub(super) fn arrange<'a>(&self, mut names: Vec<&'a str>) -> Vec<&'a str> {
        if self.sorted {
            names.sort_unstable();
        } else {
            names.sort_by_cached_key(|name| keys::position(name));
        }
        if let Some(order) = &self.keys {
            let places: BTreeMap<&str, usize> =
                order.iter().enumerate().map(|(at, name)| (name.as_str(), at)).collect();
            names.sort_by_key(|name| places.get(name).copied().unwrap_or(usize::MAX));
        }
        names
    }
}

/// How an edge or a remark was written. Neither ever changes, so what stood there is used as it is.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct ItemLayout {
    beads: u8,
    #[serde(skip_serializing_if = "Option::is_none")]
    keys: Option<Vec<String>>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub(super) raw: BTreeMap<String, String>,
}

impl ItemLayout {
    /// The layout with which `typed`, the members that the state has, give `entries` back. `usual`
    /// is the order that needs no telling.
    pub(super) fn of(
        style: Style,
        entries: &Entries<'_>,
        typed: &[(&str, Out)],
        usual: &[&str],
    ) -> Self {
        let mut layout = Self { beads: VERSION, ..Self::default() };
        for (name, raw) in &entries.0 {
            let now = typed.iter().find(|(known, _)| known == name);
            if now.is_none_or(|(_, out)| out.write(style) != *raw) {
                layout.raw.insert(name.clone(), (*raw).to_owned());
            }
        }
        let names: Vec<String> = entries.0.iter().map(|(name, _)| name.clone()).collect();
        if layout.names(typed, usual) != names.iter().map(String::as_str).collect::<Vec<_>>() {
            layout.keys = Some(names);
        }
        layout
    }

    /// The same, saying outright which keys there are: for members that only the appended event
    /// settles.
    pub(super) fn telling(mut self, entries: &Entries<'_>) -> Self {
        let known = |name: &str| entries.get(name).is_some();
        if !(known("author") && known("created_at")) {
            self.keys = Some(entries.0.iter().map(|(name, _)| name.clone()).collect());
        }
        self
    }

    fn names<'a>(&'a self, typed: &[(&'a str, Out)], usual: &[&str]) -> Vec<&'a str> {
        if let Some(keys) = &self.keys {
            return keys.iter().map(String::as_str).collect();
        }
        let mut names: Vec<&str> = typed.iter().map(|&(name, _)| name).collect();
        let rest = self.raw.keys().map(String::as_str);
        let rest: Vec<&str> = rest.filter(|name| !names.contains(name)).collect();
        names.extend(rest);
        let place = |name: &&str| usual.iter().position(|known| known == name);
        names.sort_by_key(|name| place(name).unwrap_or(usize::MAX));
        names
    }

    /// Reads a stored layout; `None` where it is of another format, or newer.
    pub(super) fn read(text: &str) -> Option<Self> {
        let layout: Self = serde_json::from_str(text).ok()?;
        (layout.beads == VERSION).then_some(layout)
    }

    /// The layout as it is stored.
    pub(super) fn store(&self) -> Option<String> {
        serde_json::to_string(self).ok()
    }

    /// The members `typed` as they were written.
    pub(super) fn write(&self, typed: Vec<(&str, Out)>, usual: &[&str]) -> Out {
        let names = self.names(&typed, usual).into_iter();
        let members = names.filter_map(|name| {
            let raw = self.raw.get(name).map(|raw| Out::Raw(raw.clone()));
            let typed =
                || typed.iter().find(|(known, _)| *known == name).map(|(_, out)| out.clone());
            Some((name.to_owned(), raw.or_else(typed)?))
        });
        Out::Object(members.collect())
    }
}
