//! A file as a merge sees it: which lines there are, by issue, and what stands around them.

use std::collections::{BTreeMap, BTreeSet};

use super::super::json::{self, Entries};
use super::super::read::{conflict_marker, lines};
use crate::formats::{Problem, ProblemKind, Report};

/// What a line goes by: its issue's id, or all of it where it has none; those come last.
pub(super) type Key = (bool, String);

/// A line that could be read.
#[derive(Debug, Clone)]
pub(super) struct Row {
    /// Whose line it is.
    pub(super) key: Key,
    /// The line.
    pub(super) text: String,
    /// What ends it, blank lines behind it included.
    pub(super) end: String,
    /// Whether it stands in the part of a committed conflict that shows the base.
    old: bool,
}

/// A file.
#[derive(Debug, Default)]
pub(super) struct Table {
    /// Its lines, in their order. An id may stand in several.
    pub(super) rows: Vec<Row>,
    /// Whether it begins with a byte order mark.
    pub(super) mark: bool,
    /// Whether its first line ends as Windows ends lines, by carriage return and line feed.
    pub(super) returns: bool,
    /// Whether its last line lacks a line end.
    pub(super) open_end: bool,
    /// The ids on lines that cannot be read.
    pub(super) unread: BTreeSet<Key>,
    /// Whether it is cut, or otherwise not to be trusted on what it does not have.
    pub(super) torn: bool,
    /// What is wrong with it.
    pub(super) problems: Vec<Problem>,
}

/// What is said of a version that is cut or empty.
const TORN: &str = "this version is not whole; what is missing in it was not deleted";

impl Table {
    /// Reads a file. Conflict markers and what is no JSON are reported and left out.
    pub(super) fn read(bytes: &[u8]) -> Self {
        let mut report = Report::default();
        let mut table = Self { mark: bytes.starts_with("\u{feff}".as_bytes()), ..Self::default() };
        let mut old = false;
        let (mut end, mut last_end) = ("\n", true);
        let lines = lines(bytes, &mut report);
        for line in &lines {
            if line.end.starts_with("\r\n") {
                end = "\r\n";
            }
            if line.number == 1 {
                table.returns = end == "\r\n";
            }
            last_end = !line.end.is_empty();
            if conflict_marker(line.text) {
                old = line.text.starts_with("|||||||");
                let message = "a conflict marker of an earlier merge; it was left out, and what \
                               stands between the markers was merged";
                report.problem(line.number, ProblemKind::ConflictMarker, message);
                continue;
            }
            let Some((key, text)) = table.take(line.number, line.text, &mut report) else {
                // A file whose last line is broken has lost those behind it, too.
                table.torn |= std::ptr::eq(line, lines.last().unwrap_or(line));
                continue;
            };
            let end = if line.end.is_empty() { end } else { &line.end }.to_owned();
            table.rows.push(Row { key, text, end, old });
        }
        table.open_end = !last_end;
        let new: BTreeSet<Key> =
            table.rows.iter().filter(|row| !row.old).map(|row| row.key.clone()).collect();
        table.rows.retain(|row| !row.old || !new.contains(&row.key));
        table.torn |= !table.rows.is_empty() && table.rows.iter().all(|row| row.key.0);
        if table.torn {
            report.problem(lines.last().map_or(1, |line| line.number), ProblemKind::Inexact, TORN);
        }
        report.finish();
        table.problems = report.problems;
        table
    }

    /// Takes note that it lost all of its lines, so that it is not to be trusted.
    pub(super) fn emptied(&mut self) {
        self.torn = true;
        let mut report = Report::default();
        report.problem(1, ProblemKind::Inexact, TORN);
        self.problems.append(&mut report.problems);
    }

    /// Whose line it is, and the line as JSON.
    fn take(&mut self, number: usize, line: &str, report: &mut Report) -> Option<(Key, String)> {
        let (text, entries) = match Entries::read(line) {
            Ok(entries) => (line.to_owned(), entries),
            Err(error) => {
                let column = error.column();
                let place = format!(" at line {} column {column}", error.line());
                let reason = error.to_string();
                let reason = reason.strip_suffix(&place).unwrap_or(&reason);
                let mended = mended(line).filter(|mended| Entries::read(mended).is_ok());
                let so = match &mended {
                    Some(_) => "its backslash was taken for a character",
                    None => "it was left out; mend the line in the version that it comes from",
                };
                report.problems.push(Problem {
                    line: number,
                    column: Some(column).filter(|&column| column > 0),
                    kind: ProblemKind::BadJson,
                    message: format!("not a JSON object ({reason}); {so}"),
                });
                if mended.is_none() {
                    self.unread.extend(guess(line).map(|id| (false, id)));
                }
                let mended = mended?;
                return Some((key(&Entries::read(&mended).ok()?, &mended), mended));
            }
        };
        let key = key(&entries, &text);
        Some((key, text))
    }

    /// Its lines by whose they are.
    pub(super) fn versions(&self) -> BTreeMap<&Key, Vec<&Row>> {
        let mut versions: BTreeMap<&Key, Vec<&Row>> = BTreeMap::new();
        for row in &self.rows {
            let rows = versions.entry(&row.key).or_default();
            if rows.iter().all(|known| known.text != row.text) {
                rows.push(row);
            }
        }
        versions
    }

    /// The ids in the order in which they first stand in it.
    pub(super) fn order(&self) -> Vec<&Key> {
        let mut known = BTreeSet::new();
        self.rows.iter().map(|row| &row.key).filter(|key| known.insert(*key)).collect()
    }

    /// Whether nothing in it is lost when it is taken as it is.
    pub(super) fn clean(&self) -> bool {
        self.problems.is_empty() && self.order().len() == self.rows.len()
    }

    /// Whether it holds something, and nothing of it could be read.
    pub(super) fn foreign(&self) -> bool {
        let marker = |problem: &Problem| problem.kind == ProblemKind::ConflictMarker;
        self.rows.is_empty() && !self.problems.iter().all(marker)
    }
}

fn key(entries: &Entries<'_>, text: &str) -> Key {
    let id = entries.get("id").and_then(|raw| json::text(raw).ok()?);
    id.map_or_else(|| (true, text.to_owned()), |id| (false, id))
}

/// The line with each backslash that escapes nothing doubled, and bare control characters escaped.
/// Tools that rewrite files as text leave such lines behind; what they say is plain all the same.
fn mended(line: &str) -> Option<String> {
    let mut text = String::with_capacity(line.len() + 8);
    let mut rest = line.chars();
    let mut quoted = false;
    while let Some(c) = rest.next() {
        match c {
            '"' => quoted = !quoted,
            '\\' if quoted => {
                let ahead = rest.as_str();
                let hex = |digits: &str| digits.bytes().all(|b| b.is_ascii_hexdigit());
                let escape = match ahead.chars().next() {
                    Some('u') => ahead.get(1..5).is_some_and(hex),
                    Some(next) => "\"\\/bfnrt".contains(next),
                    None => false,
                };
                text.push('\\');
                if escape {
                    text.extend(rest.next());
                } else {
                    text.push('\\');
                }
                continue;
            }
            c if quoted && c.is_control() && c.is_ascii() && c != '\u{7f}' => {
                text.push_str(&format!("\\u{:04x}", u32::from(c)));
                continue;
            }
            _ => {}
        }
        text.push(c);
    }
    (text != line).then_some(text)
}

/// The id that stands in a line that cannot be read.
fn guess(line: &str) -> Option<String> {
    let (_, rest) = line.split_once("\"id\"")?;
    let rest = rest.trim_start().strip_prefix(':')?.trim_start().strip_prefix('"')?;
    let (id, _) = rest.split_once('"')?;
    Some(id.to_owned()).filter(|id| !id.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_backslash_that_escapes_nothing_is_a_character() {
        assert_eq!(mended(r#"{"a":"\8\n\\8\u12"}"#).as_deref(), Some(r#"{"a":"\\8\n\\8\\u12"}"#));
        assert_eq!(mended("{\"a\":\"x\ty\"}").as_deref(), Some(r#"{"a":"x\u0009y"}"#));
        assert_eq!(mended(r#"{"a":1"#), None);
        assert_eq!(guess(r#"{"id": "bd-1","x"#).as_deref(), Some("bd-1"));
    }
}
