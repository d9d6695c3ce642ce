//! What differs, in phrases.

use std::time::Duration;

use similar::{ChangeTag, TextDiff};
use tress::diff::{Fact, Field, ItemDifference, Part, Presence, Value};
use tress::{State, TodoId};

use super::{count, quoted, short};
use crate::output::{Output, Tone};
use crate::time::{length, rfc3339};

/// So long a comparison of two texts looks for the shortest way.
const PATIENCE: Duration = Duration::from_secs(1);
/// How many lines around a change are shown.
const CONTEXT: usize = 2;

/// What todos are called on either side; the newer name is meant.
pub(crate) struct Names<'a> {
    /// The side that is compared from.
    pub(crate) from: &'a State,
    /// The side that is compared to.
    pub(crate) to: &'a State,
}

impl Names<'_> {
    /// The side that knows `id`.
    pub(crate) fn side(&self, id: TodoId) -> &State {
        if self.to.todo(id).is_some() || self.from.todo(id).is_none() { self.to } else { self.from }
    }

    /// What `id` is called.
    pub(crate) fn name(&self, id: TodoId) -> String {
        short(&self.side(id).name(id), 60)
    }

    /// What the target of an edge from `source` is called; it need not exist.
    fn target(&self, source: TodoId, id: TodoId) -> String {
        if self.side(id).todo(id).is_some() {
            return self.name(id);
        }
        let mut edges = self.to.edges(source).iter().chain(self.from.edges(source));
        let known = edges.find(|edge| edge.on == id).and_then(|edge| edge.external_id.clone());
        known.map_or_else(|| self.name(id), |known| short(&known, 60))
    }
}

/// A value in a few words.
fn say(value: Option<&Value>, field: Field) -> String {
    let Some(value) = value else { return "none".to_owned() };
    match value {
        Value::Flag(yes) => if *yes { "yes" } else { "no" }.to_owned(),
        Value::Number(minutes) if field == Field::Estimate => length(minutes * 60_000),
        Value::Number(percent) if matches!(field, Field::Progress | Field::Percent) => {
            format!("{percent}%")
        }
        Value::Number(number) => number.to_string(),
        Value::Amount(amount) => amount.to_string(),
        Value::Text(text) if field == Field::Title => quoted(text),
        Value::Text(text) if field == Field::Base => short(text, 12),
        Value::Text(text) => short(text, 60),
        Value::List(list) => short(&list.join(" "), 60),
        Value::Status(status) => status.name().to_owned(),
        Value::Time(at) => rfc3339(*at),
        Value::Todo(todo) => todo.to_string(),
    }
}

fn words(field: Field) -> String {
    match field {
        Field::Estimate => "estimate".to_owned(),
        field => field.name().replace('_', " "),
    }
}

/// `+` for what came, `-` for what went.
fn sign(fact: &Fact) -> char {
    if fact.after.is_some() { '+' } else { '-' }
}

/// The facts of a todo in phrases. What another phrase tells along is left out.
pub(crate) fn phrases(out: &Output, names: &Names<'_>, id: TodoId, facts: &[Fact]) -> Vec<String> {
    let mut found = Vec::new();
    for fact in facts {
        found.extend(phrase(out, names, id, fact, facts));
    }
    for (field, what) in [(Field::Evidence, "check"), (Field::Artifact, "file")] {
        let of = |gone: bool| {
            let count = facts.iter().filter(|fact| fact.field == field);
            count.filter(|fact| fact.after.is_none() == gone).count()
        };
        for (gone, sign) in [(false, '+'), (true, '-')] {
            if of(gone) > 0 {
                found.push(format!("{sign}{}", count(of(gone), what)));
            }
        }
    }
    found
}

fn phrase(
    out: &Output,
    names: &Names<'_>,
    id: TodoId,
    fact: &Fact,
    facts: &[Fact],
) -> Option<String> {
    let field = fact.field;
    let item = fact.item.as_deref().unwrap_or_default();
    let text = || short(item, 80);
    let with = |field: Field| {
        let also = facts.iter().find(|other| other.field == field && other.item == fact.item);
        also.and_then(|also| also.after.as_ref()).map(|value| say(Some(value), field))
    };
    Some(match field {
        Field::Status => status(out, fact),
        Field::Holder => match (&fact.before, &fact.after) {
            (None, after) => format!("held by {}", say(after.as_ref(), field)),
            (before, None) => format!("no longer held by {}", say(before.as_ref(), field)),
            _ => turn(fact),
        },
        Field::Label => format!("{}label {}", sign(fact), text()),
        Field::Edge => edge(names, id, fact),
        Field::Note => format!("{}note {}", sign(fact), quoted(item)),
        Field::Blocker => format!("{}blocker {}", sign(fact), quoted(item)),
        Field::Resolved | Field::Escalated => {
            let how = fact.after.as_ref().map(|how| say(Some(how), field));
            let how = how.map_or_else(|| "not any more".to_owned(), |how| format!(": {how}"));
            format!("blocker {} {}{how}", quoted(item), words(field)).replace(" :", ":")
        }
        Field::LostClaim => format!("{}lost claim of {}", sign(fact), text()),
        Field::Attempt => format!("{}failed attempt, {}", sign(fact), text()),
        Field::Completion => completion(fact),
        Field::Verdict => {
            let by = with(Field::Verifier).map(|who| format!(" by {who}")).unwrap_or_default();
            let why = with(Field::Reason).map(|why| format!(" ({why})")).unwrap_or_default();
            format!("verdict {}{by}{why}", say(fact.after.as_ref(), field))
        }
        Field::Integrated => {
            let commit = fact.after.as_ref().or(fact.before.as_ref());
            let commit = short(&say(commit, field), 12);
            let not = if fact.after.is_none() { "not " } else { "" };
            format!("{not}integrated as {commit}")
        }
        Field::Closed => {
            let by = with(Field::ClosedBy).map(|who| format!(" by {who}")).unwrap_or_default();
            match &fact.after {
                Some(why) => format!("closed{by}: {}", say(Some(why), field)),
                None => "no longer closed".to_owned(),
            }
        }
        Field::HighRisk | Field::Pinned | Field::Ephemeral => {
            let not = if fact.after.is_none() { "no longer " } else { "" };
            format!("{not}{}", words(field))
        }
        Field::Extra => format!("{} {}", text(), turned(fact)),
        field if field.is_prose() => format!("{} changed{}", words(field), changed_lines(fact)),
        // What a claim brings along goes with it.
        Field::Started | Field::Base | Field::Branch | Field::Report | Field::Milestone => {
            return None;
        }
        Field::Progress | Field::Scope if fact.after.is_none() => return None,
        // Told with the phrases above.
        Field::Verifier | Field::Reason | Field::Percent | Field::ClosedBy => return None,
        Field::Deleted | Field::Evidence | Field::Artifact => return None,
        _ => turn(fact),
    })
}

/// `priority 2 -> 1`; `assignee bo` where there was none.
fn turn(fact: &Fact) -> String {
    format!("{} {}", words(fact.field), turned(fact))
}

fn turned(fact: &Fact) -> String {
    let after = say(fact.after.as_ref(), fact.field);
    match &fact.before {
        None => after,
        before => format!("{} -> {after}", say(before.as_ref(), fact.field)),
    }
}

fn status(out: &Output, fact: &Fact) -> String {
    let toned = |value: &Option<Value>| match value {
        Some(Value::Status(status)) => {
            Some(out.paint(crate::commands::list::tone(*status), status.name()))
        }
        _ => None,
    };
    let sides = [toned(&fact.before), toned(&fact.after)];
    sides.into_iter().flatten().collect::<Vec<_>>().join(" -> ")
}

fn edge(names: &Names<'_>, id: TodoId, fact: &Fact) -> String {
    let on = fact.target.map(|on| names.target(id, on)).unwrap_or_default();
    let kind = short(fact.item.as_deref().unwrap_or_default(), 40);
    let suspended = |value: &Option<Value>| value == &Some(Value::Text("suspended".to_owned()));
    match (&fact.before, &fact.after) {
        (Some(_), Some(_)) if suspended(&fact.after) => {
            format!("depends on {on} ({kind}) no longer: it would close a cycle")
        }
        (Some(_), Some(_)) => format!("depends on {on} ({kind}) again: the cycle is gone"),
        (_, after) => {
            let aside = if suspended(after) { ", suspended" } else { "" };
            format!("{}depends on {on} ({kind}{aside})", sign(fact))
        }
    }
}

fn completion(fact: &Fact) -> String {
    let item = quoted(fact.item.as_deref().unwrap_or_default());
    match (&fact.before, &fact.after) {
        (Some(_), Some(_)) => format!("work {item} {}", turned(fact)),
        (_, after) => {
            let standing =
                after.as_ref().map(|after| format!(", {}", say(Some(after), fact.field)));
            format!("{}work {item}{}", sign(fact), standing.unwrap_or_default())
        }
    }
}

fn texts(fact: &Fact) -> [&str; 2] {
    [&fact.before, &fact.after].map(|value| match value {
        Some(Value::Text(text)) => text.as_str(),
        _ => "",
    })
}

fn compared<'a>(fact: &'a Fact) -> TextDiff<'a, 'a, str> {
    let [before, after] = texts(fact);
    TextDiff::configure().timeout(PATIENCE).diff_lines(before, after)
}

/// ` (+3 -1 lines)`.
fn changed_lines(fact: &Fact) -> String {
    let compared = compared(fact);
    let (mut added, mut gone) = (0_usize, 0_usize);
    for change in compared.iter_all_changes() {
        match change.tag() {
            ChangeTag::Insert => added += 1,
            ChangeTag::Delete => gone += 1,
            ChangeTag::Equal => {}
        }
    }
    format!(" (+{added} -{gone} lines)")
}

/// The lines of a text that differ, with those around them, each indented.
pub(crate) fn lines(out: &Output, fact: &Fact) -> Vec<String> {
    let compared = compared(fact);
    let groups = compared.grouped_ops(CONTEXT);
    let mut found = Vec::new();
    for (index, group) in groups.iter().enumerate() {
        if index > 0 {
            found.push(format!("      {}", out.paint(Tone::Dim, "…")));
        }
        for change in group.iter().flat_map(|op| compared.iter_changes(op)) {
            let (sign, tone) = match change.tag() {
                ChangeTag::Insert => ('+', Tone::Good),
                ChangeTag::Delete => ('-', Tone::Bad),
                ChangeTag::Equal => (' ', Tone::Dim),
            };
            let line = format!("{sign} {}", super::clean(change.value()));
            found.push(format!("      {}", out.paint(tone, line.trim_end())));
        }
    }
    found
}

/// An item of the design or the team, and what differs of it, in phrases.
pub(crate) fn item(names: &Names<'_>, item: &ItemDifference) -> (String, Vec<String>) {
    let key = short(&item.key, 60);
    let about = item.todo.map(|todo| names.name(todo));
    let name = match item.part {
        Part::Run => "run".to_owned(),
        Part::Integration => {
            let todo = about.clone().unwrap_or_default();
            return (format!("integrated {todo} as {}", short(&item.key, 12)), Vec::new());
        }
        Part::Decision | Part::Deviation => format!("{} {}", item.part.name(), quoted(&item.key)),
        part => format!("{} {key}", part.name()),
    };
    let name = about.map_or(name.clone(), |todo| format!("{name} (of {todo})"));
    let changed = item.presence == Presence::Changed;
    let told = item.facts.iter().filter(|fact| changed || worth_telling(item.part, fact.field));
    let phrases = told.map(|fact| match fact.field {
        field if field.is_prose() => format!("{} changed{}", words(field), changed_lines(fact)),
        Field::Value => turned(fact),
        Field::Active if fact.after.is_some() => "joined".to_owned(),
        Field::Active => "left".to_owned(),
        Field::FollowUp => match &fact.after {
            Some(Value::Todo(todo)) => format!("follow up {}", names.name(*todo)),
            _ => turn(fact),
        },
        Field::Text | Field::Message | Field::Role | Field::Reason if !changed => {
            say(fact.after.as_ref().or(fact.before.as_ref()), fact.field)
        }
        _ if !changed => {
            let value = fact.after.as_ref().or(fact.before.as_ref());
            format!("{} {}", words(fact.field), say(value, fact.field))
        }
        _ => turn(fact),
    });
    (name, phrases.collect())
}

/// Whether a fact is told of something that is new or gone.
fn worth_telling(part: Part, field: Field) -> bool {
    match part {
        Part::Section => field == Field::Heading,
        Part::Agent => field == Field::Role,
        Part::Checkpoint => field == Field::Reason,
        Part::Decision => matches!(field, Field::Agent | Field::SupersededBy),
        Part::Deviation => matches!(field, Field::Impact | Field::Outcome | Field::FollowUp),
        Part::Assessment => matches!(field, Field::Compliance | Field::Quality),
        Part::Alert => matches!(field, Field::Priority | Field::Message),
        Part::Lineage => false,
        _ => true,
    }
}
