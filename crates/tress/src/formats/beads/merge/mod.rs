//! Three versions of a beads file into one.
//!
//! What only one side changed is taken as that side has it, byte for byte. What both changed is
//! planned as operations on the base, folded by the rules of every Tress log, and written in the
//! words of the sides. docs/FORMATS.md, *Merging files in git*, has the rules.

mod facts;
mod fold;
mod read;
mod text;
mod write;

use std::collections::{BTreeMap, BTreeSet};

use tress_model::Rule;
use tress_model::ids::{Dot, TodoId};
use tress_model::operation::{Operation, TodoEdit};

use self::facts::{Facts, LISTS};
use self::fold::{Folded, Plan};
use self::read::{Key, Row, Table};
use self::write::Versions;
use crate::formats::merge::{Decision, MergeError, Merged, Report, Side, SideProblem};

/// The most bytes of a value that a decision quotes.
const QUOTED_MAX: usize = 60;

/// Merges; see [`crate::formats::merge::merge`].
pub(in crate::formats) fn merge(
    base: &[u8],
    ours: &[u8],
    theirs: &[u8],
) -> Result<Merged, MergeError> {
    let mut tables = [Table::read(base), Table::read(ours), Table::read(theirs)];
    for (side, table) in Side::ALL.into_iter().zip(&tables) {
        if table.foreign() {
            return Err(MergeError::NotLines { side });
        }
    }
    let [base_table, ours_table, theirs_table] = &mut tables;
    // One side that has lost all of several issues lost its file; where both did, it was meant.
    if base_table.order().len() > 1 && ours_table.rows.is_empty() != theirs_table.rows.is_empty() {
        for table in [ours_table, theirs_table].into_iter().filter(|table| table.rows.is_empty()) {
            table.emptied();
        }
    }
    let [base_table, ours_table, theirs_table] = &tables;
    let mut merging = Merging::new(base_table, ours_table, theirs_table);
    merging.take_apart();
    let rows = merging.settle();
    let mut report = merging.report;
    for (side, table) in Side::ALL.into_iter().zip(&tables) {
        let problems = table.problems.iter().cloned();
        report.problems.extend(problems.map(|problem| SideProblem { side, problem }));
    }
    let whole = if base == ours && theirs_table.clean() {
        Some(theirs)
    } else if (base == theirs || ours == theirs) && ours_table.clean() {
        Some(ours)
    } else {
        None
    };
    let bytes = match whole {
        Some(bytes) => bytes.to_vec(),
        None => join(&tables, rows),
    };
    Ok(Merged { bytes, report })
}

/// What of one issue a merge has to look at.
struct Case<'a> {
    key: &'a Key,
    /// The base's line, taken apart.
    base: Option<Facts>,
    /// The versions that differ from the base, and whose they are.
    sides: Vec<(Side, Facts)>,
    /// The side that has it no more.
    deleted: Option<Side>,
}

/// A line of the result.
struct Line {
    key: Key,
    text: String,
    end: String,
}

/// A merge under way.
struct Merging<'a> {
    base: BTreeMap<&'a Key, Vec<&'a Row>>,
    ours: BTreeMap<&'a Key, Vec<&'a Row>>,
    theirs: BTreeMap<&'a Key, Vec<&'a Row>>,
    tables: [&'a Table; 3],
    cases: Vec<Case<'a>>,
    lines: Vec<Line>,
    report: Report,
}

impl<'a> Merging<'a> {
    fn new(base: &'a Table, ours: &'a Table, theirs: &'a Table) -> Self {
        Self {
            base: base.versions(),
            ours: ours.versions(),
            theirs: theirs.versions(),
            tables: [base, ours, theirs],
            cases: Vec::new(),
            lines: Vec::new(),
            report: Report::default(),
        }
    }

    /// Decides of each issue whether there is anything to merge.
    fn take_apart(&mut self) {
        let keys: BTreeSet<&Key> =
            self.base.keys().chain(self.ours.keys()).chain(self.theirs.keys()).copied().collect();
        for key in keys {
            let rows = |versions: &BTreeMap<&'a Key, Vec<&'a Row>>| -> Vec<&'a Row> {
                versions.get(key).cloned().unwrap_or_default()
            };
            let (base, mut ours, mut theirs) =
                (rows(&self.base), rows(&self.ours), rows(&self.theirs));
            // A line that cannot be read was not deleted.
            let [_, our_table, their_table] = self.tables;
            if ours.is_empty() && (our_table.torn || our_table.unread.contains(key)) {
                ours.clone_from(&base);
            }
            if theirs.is_empty() && (their_table.torn || their_table.unread.contains(key)) {
                theirs.clone_from(&base);
            }
            self.sort_out(key, &base, &ours, &theirs);
        }
    }

    /// Takes an issue that only one side changed as it is; makes a case of the others.
    fn sort_out(&mut self, key: &'a Key, base: &[&'a Row], ours: &[&'a Row], theirs: &[&'a Row]) {
        if let ([base], [ours], [theirs]) = (base, ours, theirs)
            && base.text == ours.text
            && base.text == theirs.text
        {
            self.report.unchanged += 1;
            let facts = Facts::untouched(base);
            let side = Facts { end: end_of(&[base], &[ours], &[theirs]), ..facts.clone() };
            let sides = vec![(Side::Ours, side)];
            self.cases.push(Case { key, base: Some(facts), sides, deleted: None });
            return;
        }
        let texts = |rows: &[&Row]| -> BTreeSet<String> {
            rows.iter().map(|row| row.text.clone()).collect()
        };
        let (old, mine, other) = (texts(base), texts(ours), texts(theirs));
        let new = |rows: &[&'_ Row], side: Side| -> Vec<(Side, Facts)> {
            let rows = rows.iter().filter(|row| !old.contains(&row.text));
            rows.map(|row| (side, Facts::of(row))).collect()
        };
        let all = |rows: &[&'_ Row], side: Side| -> Vec<(Side, Facts)> {
            rows.iter().map(|row| (side, Facts::of(row))).collect()
        };
        let mut deleted = None;
        let mut sides = if mine == other || other == old {
            if mine == old {
                self.report.unchanged += usize::from(!mine.is_empty());
            } else if mine != other {
                self.report.only_ours += usize::from(!mine.is_empty());
            }
            let mut sides = all(ours, Side::Ours);
            if mine == other {
                for (_, facts) in &mut sides {
                    let same = |rows: &[&'a Row]| -> Vec<&'a Row> {
                        rows.iter().copied().filter(|row| row.text == facts.text).collect()
                    };
                    facts.end = end_of(&same(base), &same(ours), &same(theirs));
                }
            }
            sides
        } else if mine == old {
            self.report.only_theirs += usize::from(!other.is_empty());
            all(theirs, Side::Theirs)
        } else {
            deleted = [(Side::Ours, &mine), (Side::Theirs, &other)]
                .into_iter()
                .find_map(|(side, texts)| texts.is_empty().then_some(side));
            let mut sides = new(ours, Side::Ours);
            sides.extend(new(theirs, Side::Theirs));
            if deleted.is_none() {
                self.report.merged += 1;
            }
            sides
        };
        sides.dedup_by(|b, a| a.1.text == b.1.text);
        let base_facts = base
            .iter()
            .map(|row| Facts::of(row))
            .max_by(|a, b| (a.updated, &a.text).cmp(&(b.updated, &b.text)));
        if sides.is_empty() && !(mine.is_empty() || other.is_empty()) {
            // Each side kept another one of several old versions.
            sides.extend(base_facts.clone().map(|facts| (Side::Ours, facts)));
        }
        self.cases.push(Case { key, base: base_facts, sides, deleted });
    }

    /// Folds what has to be folded, and writes the lines.
    fn settle(&mut self) -> Vec<Line> {
        let mut plan = Plan::new();
        for case in &mut self.cases {
            case.prepare();
            if !case.key.0 {
                plan.base(&case.key.1, case.base.as_ref(), !case.sides.is_empty());
            }
        }
        for case in self.cases.iter().filter(|case| !case.key.0) {
            case.plan(&mut plan);
        }
        let folded = plan.fold();
        self.decide(&folded);
        let cases = std::mem::take(&mut self.cases);
        for case in &cases {
            match case.write(&folded) {
                Some((text, end)) => {
                    self.report.todos += usize::from(!case.key.0);
                    self.lines.push(Line { key: case.key.clone(), text, end });
                }
                None => self.report.deleted += usize::from(case.base.is_some()),
            }
            self.report.decisions.extend(case.standings(&folded));
        }
        self.report.decisions.sort();
        self.report.decisions.dedup();
        self.ordered()
    }

    /// Tells the ledger in the words of a merge.
    fn decide(&mut self, folded: &Folded) {
        let names: BTreeMap<TodoId, &str> = self
            .cases
            .iter()
            .map(|case| (TodoId::from_external(&case.key.1), case.key.1.as_str()))
            .collect();
        for entry in &folded.state.ledger {
            let id = entry.todo.and_then(|todo| names.get(&todo));
            let Some(((side, operation), id)) = folded.event(entry.loser).zip(id) else {
                continue;
            };
            self.report.decisions.extend(decision(
                folded,
                entry.rule,
                (side, operation),
                entry.winner,
                id,
            ));
        }
    }

    /// The lines in their order: by id where the files are so, else as the base has them and then
    /// as they were made.
    fn ordered(&mut self) -> Vec<Line> {
        let mut lines = std::mem::take(&mut self.lines);
        let sorted = |table: &&Table| table.order().is_sorted();
        if self.tables.iter().all(sorted) {
            return lines;
        }
        let [base, ..] = self.tables;
        let places: BTreeMap<&Key, usize> =
            base.order().into_iter().enumerate().map(|(at, key)| (key, at)).collect();
        lines.sort_by_cached_key(|line| {
            let place = places.get(&line.key).copied().unwrap_or(usize::MAX);
            let created = if place == usize::MAX { created(&line.text) } else { 0 };
            (place, created, line.key.clone())
        });
        lines
    }
}

/// What ends a line that both sides have, with the blank lines behind it: as the side that changed it has
/// it; where both did, as long as either has it. Whichever side is ours.
fn end_of(base: &[&Row], ours: &[&Row], theirs: &[&Row]) -> String {
    let end = |rows: &[&Row]| {
        rows.iter().map(|row| row.end.clone()).max_by_key(|end| (end.len(), end.clone()))
    };
    let (base, ours, theirs) = (end(base), end(ours), end(theirs));
    let end = match (ours == base, theirs == base) {
        (true, _) => theirs,
        (_, true) => ours,
        _ => ours.into_iter().chain(theirs).max_by_key(|end| (end.len(), end.clone())),
    };
    end.unwrap_or_default()
}

fn created(text: &str) -> i128 {
    let entries = super::json::Entries::read(text).unwrap_or_default();
    facts::moment(entries.get("created_at"))
}

impl Case<'_> {
    /// Brings the versions to where the fold can compare them.
    fn prepare(&mut self) {
        for name in LISTS {
            let all = self.sides.iter().map(|(_, facts)| facts).chain(&self.base);
            if !{ all }.all(|facts| facts.is_list(name)) {
                self.base.iter_mut().for_each(|facts| facts.flatten(name));
                self.sides.iter_mut().for_each(|(_, facts)| facts.flatten(name));
            }
        }
        if self.sides.len() > 1 {
            let mut facts: Vec<Facts> = self.sides.iter().map(|(_, facts)| facts.clone()).collect();
            write::merge_texts(self.base.as_ref(), &mut facts);
            for ((_, known), merged) in self.sides.iter_mut().zip(facts) {
                *known = merged;
            }
        }
    }

    fn plan(&self, plan: &mut Plan) {
        let id = &self.key.1;
        for (number, (side, facts)) in self.sides.iter().enumerate() {
            plan.version((*side, number + 1), id, self.base.as_ref(), facts);
        }
        if let (Some(side), Some(base)) = (self.deleted, &self.base) {
            plan.deleted(side, id, base);
        }
    }

    /// The line, and what ends it; `None` where the issue is gone.
    fn write(&self, folded: &Folded) -> Option<(String, String)> {
        let todo = folded.state.todo(TodoId::from_external(&self.key.1));
        let todo = todo.filter(|_| !self.key.0);
        if todo.is_some_and(|todo| todo.deletion().is_some()) {
            return None;
        }
        match (self.sides.as_slice(), todo) {
            ([], _) => None,
            ([(_, facts)], _) => Some((facts.text.clone(), facts.end.clone())),
            ([(_, facts), ..], None) => Some((facts.text.clone(), facts.end.clone())),
            (sides, Some(todo)) => {
                let sides = sides.iter().map(|(_, facts)| facts).collect();
                Some(Versions { base: self.base.as_ref(), sides }.write(todo))
            }
        }
    }

    /// What was decided about where the issue stands: the fold takes a closing and a word for two
    /// things, and two closings for one.
    fn standings(&self, folded: &Folded) -> Option<Decision> {
        let old = self.base.as_ref().map(|facts| facts.standing.as_str());
        let mut new = self.sides.iter().filter(|(_, facts)| Some(facts.standing.as_str()) != old);
        let todo = folded.state.todo(TodoId::from_external(&self.key.1))?;
        let wanted = todo.closing().map(|closing| &closing.reason).or(todo.stage.as_ref())?;
        let winner = new.clone().find(|(_, facts)| facts.standing == *wanted)?;
        let loser = new.find(|(_, facts)| facts.standing != *wanted)?;
        let one = winner.1.finished && !loser.1.finished;
        let rule = if one { Rule::ClosedStaysClosed } else { Rule::FieldMerge };
        let (kept, dropped) = (&winner.1, &loser.1);
        let told = |facts: &Facts| {
            if kept.status == dropped.status { &facts.standing } else { &facts.status }.clone()
        };
        Some(Decision {
            id: self.key.1.clone(),
            field: Some("status".to_owned()),
            rule,
            kept: winner.0,
            detail: format!(
                "{} of {} holds; {} had {}",
                quoted(&told(kept)),
                winner.0,
                loser.0,
                quoted(&told(dropped))
            ),
        })
    }
}

/// What the ledger says, where it is not told elsewhere.
fn decision(
    folded: &Folded,
    rule: Rule,
    (side, operation): (Side, &Operation),
    winner: Option<Dot>,
    id: &str,
) -> Option<Decision> {
    let value = |operation: &Operation| match operation {
        Operation::TodoEdited { edits, .. } => match edits.as_slice() {
            [TodoEdit::Extra(name, value)] if name != "content_hash" => {
                Some((name.clone(), value.clone().unwrap_or_else(|| "nothing".to_owned())))
            }
            _ => None,
        },
        _ => None,
    };
    let (field, kept, detail) = match rule {
        Rule::FieldMerge => {
            let (field, lost) = value(operation)?;
            let (kept, winner) = folded.event(winner?)?;
            let held = value(winner)?.1;
            let (held, lost) = (quoted(&held), quoted(&lost));
            (Some(field), kept, format!("{held} of {kept} holds; {side} had {lost}"))
        }
        Rule::EditBeatsDelete => match operation {
            Operation::Deleted { .. } => {
                let detail =
                    format!("{side} deleted it, and {} changed it: it stays", side.other());
                (None, side.other(), detail)
            }
            _ => {
                let detail =
                    format!("{side} took out an edge that {} changed: it stays", side.other());
                (Some("dependencies".to_owned()), side.other(), detail)
            }
        },
        Rule::NoCycles => {
            let Operation::DependencyAdded { external_id, .. } = operation else { return None };
            let on = external_id.as_deref().unwrap_or_default();
            let detail = format!(
                "{id} -> {on} of {side} closes a cycle; it is kept in the file, and blocks nothing"
            );
            (Some("dependencies".to_owned()), side.other(), detail)
        }
        _ => return None,
    };
    Some(Decision { id: id.to_owned(), field, rule, kept, detail })
}

/// A value, cut where it is long.
fn quoted(value: &str) -> String {
    if value.len() <= QUOTED_MAX {
        return value.to_owned();
    }
    let end = (0..=QUOTED_MAX).rev().find(|&at| value.is_char_boundary(at)).unwrap_or(0);
    format!("{}…", value.get(..end).unwrap_or_default())
}

/// The result as a file: with a byte order mark and a last line end as the sides have them.
fn join(tables: &[Table; 3], lines: Vec<Line>) -> Vec<u8> {
    let [base, ours, theirs] = tables;
    let three_way = |of: &dyn Fn(&Table) -> bool| {
        // An empty file says nothing of its style.
        let of = |table: &Table, or: bool| if table.rows.is_empty() { or } else { of(table) };
        let (ours, theirs) = (of(ours, of(theirs, false)), of(theirs, of(ours, false)));
        if ours == theirs || theirs == of(base, false) { ours } else { theirs }
    };
    let mut bytes = Vec::new();
    if three_way(&|table| table.mark) {
        bytes.extend_from_slice("\u{feff}".as_bytes());
    }
    let (returns, written) = (three_way(&|table| table.returns), || {
        tables.iter().filter(|table| !table.rows.is_empty()).map(|table| table.returns)
    });
    // Where one version changed how lines end, all lines end so.
    let anew = written().any(|other| other != returns);
    for line in lines {
        bytes.extend_from_slice(line.text.as_bytes());
        match anew {
            true => {
                let plain = line.end.replace("\r\n", "\n");
                let end = if returns { plain.replace('\n', "\r\n") } else { plain };
                bytes.extend_from_slice(end.as_bytes());
            }
            false => bytes.extend_from_slice(line.end.as_bytes()),
        }
    }
    if three_way(&|table| table.open_end) {
        for end in [b'\n', b'\r'] {
            if bytes.last() == Some(&end) {
                bytes.pop();
            }
        }
    }
    bytes
}
