//! How far a replayed history agrees with the issues that it is the history of.

use std::collections::{BTreeMap, BTreeSet};

use tress_model::State;
use tress_model::clock::Millis;

use super::entry::{self, Entry};
use crate::formats::beads::{objects, plain_fields, plain_value};
use crate::formats::names::meant;
use crate::formats::{Report, read_time};

/// How far a replayed history agrees with the issues of its dump, in the fields that the history
/// speaks of.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Agreement {
    /// How many issues were compared.
    pub issues: usize,
    /// For each field, how often it was compared and agreed.
    pub fields: BTreeMap<String, Tally>,
    /// Where they do not agree, by issue and field.
    pub disagreements: Vec<Disagreement>,
    /// By how much the clock of the history runs behind that of the issues, in milliseconds.
    pub behind: Millis,
}

/// How often a field was compared, and agreed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Tally {
    /// In how many issues it was compared.
    pub compared: usize,
    /// In how many of them it agreed.
    pub agreeing: usize,
}

/// A field in which the folded state is not what the file says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Disagreement {
    /// The issue.
    pub issue: String,
    /// The field.
    pub field: String,
    /// Its value in the folded state, as JSON; empty where there is none.
    pub folded: String,
    /// Its value in the file, as JSON; empty where there is none.
    pub file: String,
    /// Why, as far as that can be told.
    pub why: Why,
}

/// Why a field disagrees.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Why {
    /// The two times are one moment by two clocks, but for the rounding to seconds.
    Clock,
    /// The file tells of a change that the history does not have.
    Unexplained,
}

/// Compares `state`, to which a history was folded, with the issues of its dump, in every field
/// that an entry names or settles. Linear in all three.
pub fn agreement(state: &State, issues: impl AsRef<[u8]>, events: impl AsRef<[u8]>) -> Agreement {
    let mut quiet = Report::default();
    let entries = entry::entries(events.as_ref(), &mut quiet);
    let mut about: BTreeMap<&str, Vec<&Entry>> = BTreeMap::new();
    for entry in &entries {
        about.entry(&entry.issue).or_default().push(entry);
    }
    let mut agreement = Agreement::default();
    let mut gaps: BTreeMap<Millis, usize> = BTreeMap::new();
    for (_, members) in objects(issues.as_ref(), &mut quiet) {
        let get = |name: &str| members.iter().find(|(known, _)| known == name).map(|(_, raw)| *raw);
        let id = get("id").and_then(|raw| serde_json::from_str::<String>(raw).ok());
        let Some((id, about)) =
            id.and_then(|id| Some((about.get(id.as_str())?, id))).map(|(a, i)| (i, a))
        else {
            continue;
        };
        let Some(todo) = state.todo(meant(&id)) else {
            continue;
        };
        agreement.issues += 1;
        let folded = plain_fields(state, todo, Millis::MAX);
        for name in settled(about) {
            let file = get(name).and_then(|raw| plain_value(name, raw)).unwrap_or_default();
            let now = folded.get(name).cloned().unwrap_or_default();
            agreement.compare(&id, name, now, file);
        }
        if let (Some(last), Some(file)) = (about.last(), get("updated_at").and_then(moment)) {
            let gap = file.saturating_sub(last.at) / MINUTE;
            *gaps.entry(gap * MINUTE).or_default() += 1;
        }
    }
    agreement.behind = gaps.into_iter().max_by_key(|&(_, count)| count).map_or(0, |(gap, _)| gap);
    agreement.explain();
    agreement
}

const MINUTE: Millis = 60_000;

fn moment(raw: &str) -> Option<Millis> {
    read_time(&serde_json::from_str::<String>(raw).ok()?)
}

/// The fields that the entries of an issue name or settle.
fn settled<'e>(about: &[&'e Entry]) -> BTreeSet<&'e str> {
    let mut names = BTreeSet::from(["updated_at"]);
    for entry in about {
        names.extend(entry.after.iter().map(|(name, _)| name.as_str()));
        names.extend(entry.before.iter().flatten().map(|(name, _)| name.as_str()));
    }
    let status = ["status", "closed_at", "close_reason"];
    names.extend(status.into_iter().filter(|name| about.iter().any(|entry| entry.touches(name))));
    names
}

impl Agreement {
    fn compare(&mut self, issue: &str, field: &str, folded: String, file: String) {
        let tally = self.fields.entry(field.to_owned()).or_default();
        tally.compared += 1;
        if entry::same(&folded, &file) {
            tally.agreeing += 1;
            return;
        }
        let (issue, field) = (issue.to_owned(), field.to_owned());
        self.disagreements.push(Disagreement { issue, field, folded, file, why: Why::Unexplained });
    }

    /// Tells the disagreements that are one moment by two clocks from the others.
    fn explain(&mut self) {
        for found in &mut self.disagreements {
            let times = (moment(&found.folded), moment(&found.file));
            if let (true, (Some(folded), Some(file))) = (entry::moment(&found.field), times)
                && file.abs_diff(folded.saturating_add(self.behind)) <= 1000
            {
                found.why = Why::Clock;
            }
        }
    }

    /// The disagreements that the two clocks do not explain.
    pub fn unexplained(&self) -> impl Iterator<Item = &Disagreement> {
        self.disagreements.iter().filter(|found| found.why == Why::Unexplained)
    }
}
