//! The beads JSONL format, in and out without loss.
//!
//! What was imported and not changed since comes out byte for byte as it went in, fields that
//! Tress does not know included. docs/FORMATS.md has the table of what becomes what.
//!
//! The importer folds what it plans onto a copy of the state and looks at what an export would
//! write. Where that is not the line that came in, it notes in the todo's layout how the line was
//! written; what a layout says holds for as long as the value it speaks of does not change.

mod changes;
mod check;
mod export;
mod json;
mod keys;
mod layout;
mod merge;
mod plan;
mod read;

use std::collections::BTreeMap;

use tress_model::clock::Millis;
use tress_model::{State, Todo};

use self::export::Exporter;
use self::json::Entries;
use self::keys::key;
pub(super) use self::keys::{Saying, saying};
pub(super) use self::merge::merge;
use self::plan::Planner;
use self::read::Issue;
pub(super) use self::read::nameable;
use super::names::Names;
use super::{Import, Report};

/// Plans the import of a beads file into a run that has no todos.
///
/// ```
/// use tress::formats::beads;
///
/// let import = beads::import(r#"{"id":"bd-1","title":"Write the parser","status":"open"}"#);
/// assert_eq!((import.report.added, import.report.problems.len()), (1, 0));
/// ```
pub fn import(text: impl AsRef<[u8]>) -> Import {
    import_over(&State::default(), text)
}

/// Plans the operations that bring the todos of `state` to what a beads file says. What the state
/// has just so needs none, and todos that the file does not name are left as they are, so a file
/// that was imported before and not changed plans nothing.
///
/// A todo that an agent holds at the time of the last event keeps its status: the claim knows better
/// than the file. A line that cannot be taken is reported and left out. Linear in the file and the
/// state.
pub fn import_over(state: &State, text: impl AsRef<[u8]>) -> Import {
    import_at(state, text, 0)
}

/// The same at `now`, by when leases may have ended of which no event tells. Times before the last
/// event count as its time.
pub fn import_at(state: &State, text: impl AsRef<[u8]>, now: Millis) -> Import {
    let now = now.max(state.last.map_or(0, |last| last.time.millis));
    let mut report = Report::default();
    let issues = read(text.as_ref(), &mut report);
    let names = Names::of(state);
    check::graph(&issues, state, &names, &mut report);
    let mut planner = Planner::new(state, &names, &issues, now);
    for issue in &issues {
        planner.issue(issue, &mut report);
    }
    planner.finish(&issues, report)
}

/// Writes the todos of `state`, as they are at `now`, as a beads file: in the order in which they
/// came to be, deleted ones as tombstones.
pub fn export(state: &State, now: Millis) -> String {
    Exporter::new(state, now).all()
}

/// The fields of `todo` that an export would write, each in the plainest style.
pub(super) fn plain_fields(state: &State, todo: &Todo, now: Millis) -> BTreeMap<String, String> {
    let fields = Exporter::new(state, now).fields(todo);
    fields.into_iter().map(|(name, value)| (name, value.plain())).collect()
}

/// What an export would write for the value `raw` of the field `name`; `None` for an empty one.
pub(super) fn plain_value(name: &str, raw: &str) -> Option<String> {
    match key(name) {
        Some(key) => key.canonical(raw).map(|value| value.plain()),
        None => Some(raw.to_owned()).filter(|raw| !matches!(raw.as_str(), "null" | "\"\"" | "0")),
    }
}

/// The members of the JSON object `text`, each value as it was written.
pub(super) fn object(text: &str) -> Option<Vec<(String, &str)>> {
    Some(Entries::read(text).ok()?.0)
}

/// The JSON objects of a file with their line numbers; what is none is reported.
pub(super) fn objects<'a>(
    bytes: &'a [u8],
    report: &mut Report,
) -> Vec<(usize, Vec<(String, &'a str)>)> {
    let lines = read::lines(bytes, report).into_iter();
    let objects = lines
        .filter_map(|line| Some((line.number, read::members(line.number, line.text, report)?.0)));
    objects.collect()
}

fn read<'a>(bytes: &'a [u8], report: &mut Report) -> Vec<Issue<'a>> {
    let lines = read::lines(bytes, report);
    let issues: Vec<_> = lines.into_iter().filter_map(|line| Issue::read(line, report)).collect();
    report.read = issues.len();
    check::unique(issues, report)
}
