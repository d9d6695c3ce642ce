//! The fields of a todo, as `add` and `edit` take them.

use std::io::Read;

use clap::Args;
use tress::operation::{EdgeKind, ProseField, TodoEdit};
use tress::{Millis, State};

use crate::failure::Failure;
use crate::time::{parse_duration, parse_time};
use crate::words::{KINDS, short};

/// The fields of a todo. An empty text takes an optional field away.
#[derive(Debug, Args)]
pub(crate) struct Fields {
    /// What is to be done, at length (`-` reads it from stdin)
    #[arg(short, long, value_name = "TEXT", allow_hyphen_values = true)]
    description: Option<String>,
    /// How one sees that it is done
    #[arg(long, value_name = "TEXT")]
    acceptance: Option<String>,
    /// How it is to be done
    #[arg(long, value_name = "TEXT")]
    design: Option<String>,
    /// 0 (most urgent) to 4
    #[arg(short, long, value_name = "0-4", value_parser = priority, allow_negative_numbers = true)]
    priority: Option<u8>,
    /// What kind of work: task, bug, feature, epic …
    #[arg(long, value_name = "KIND")]
    kind: Option<String>,
    /// A label; may be given several times
    #[arg(long = "label", value_name = "LABEL", value_delimiter = ',')]
    pub(crate) labels: Vec<String>,
    /// A todo that must be finished first; may be given several times
    #[arg(long, value_name = "ID", value_delimiter = ',')]
    pub(crate) needs: Vec<String>,
    /// The todo that it is part of
    #[arg(long, value_name = "ID")]
    pub(crate) parent: Option<String>,
    /// Paths (globs) it will touch; may be given several times
    #[arg(long, value_name = "GLOB", value_delimiter = ',')]
    files: Vec<String>,
    /// The shell command that must succeed when it is done
    #[arg(long, value_name = "COMMAND", allow_hyphen_values = true)]
    check: Option<String>,
    /// Whom it is meant for; a claim is stronger
    #[arg(long, value_name = "NAME")]
    assignee: Option<String>,
    /// Who answers for it
    #[arg(long, value_name = "NAME")]
    owner: Option<String>,
    /// How long it may take: minutes, or a duration such as 2h
    #[arg(long, value_name = "DURATION", value_parser = minutes, allow_negative_numbers = true)]
    estimate: Option<u32>,
    /// The design section it implements
    #[arg(long, value_name = "KEY")]
    pub(crate) section: Option<String>,
    /// What an agent must be able to do to take it; may be given several times
    #[arg(long = "capability", value_name = "NAME", value_delimiter = ',')]
    capabilities: Vec<String>,
    /// Whether a checkpoint is taken before it is worked on
    #[arg(long, value_name = "BOOL", num_args = 0..=1, default_missing_value = "true")]
    high_risk: Option<bool>,
    /// Not before this time: RFC 3339, a date, or `in 3d`
    #[arg(long, value_name = "WHEN")]
    defer: Option<String>,
    /// To be done by this time
    #[arg(long, value_name = "WHEN")]
    due: Option<String>,
}

/// `2`, `P2` or `p2`. What is out of range is refused where all input is checked.
fn priority(text: &str) -> Result<u8, String> {
    let digits = text.strip_prefix(['p', 'P']).unwrap_or(text);
    digits.parse().map_err(|_| "a priority is a number from 0 (most urgent) to 4".to_owned())
}

/// `90`, `90m`, `1h 30m`: minutes, a part of one counted as a whole.
fn minutes(text: &str) -> Result<u32, String> {
    if let Ok(minutes) = text.trim().parse() {
        return Ok(minutes);
    }
    let minutes = parse_duration(text)?.div_ceil(60_000);
    u32::try_from(minutes).map_err(|_| format!("{text:?} is too long"))
}

fn some(text: &str) -> Option<String> {
    Some(text.trim().to_owned()).filter(|text| !text.is_empty())
}

fn list(items: &[String]) -> Vec<String> {
    items.iter().filter_map(|item| some(item)).collect()
}

fn moment(text: &str, now: Millis) -> Result<Option<Millis>, Failure> {
    if text.trim().is_empty() {
        return Ok(None);
    }
    let time = parse_time(text, now);
    time.map(Some).ok_or_else(|| Failure::invalid(format!("{text:?} is no time")).hint(TIMES))
}

const TIMES: &str = "write 2026-11-22T10:00:00Z, 2026-11-22, or `in 3d`";

/// Text, or what stdin has where it is `-`.
pub(crate) fn text_or_stdin(text: String) -> Result<String, Failure> {
    if text != "-" {
        return Ok(text);
    }
    let mut bytes = Vec::new();
    let stdin = std::path::Path::new("stdin");
    let read = std::io::stdin().lock().read_to_end(&mut bytes);
    read.map_err(|error| Failure::file("read", stdin, &error))?;
    String::from_utf8(bytes).map_err(|_| Failure::invalid("stdin is not UTF-8"))
}

impl Fields {
    /// The fields that are one value each.
    pub(crate) fn edits(&self, now: Millis) -> Result<Vec<TodoEdit>, Failure> {
        let mut edits = Vec::new();
        edits.extend(self.priority.map(TodoEdit::Priority));
        if let Some(kind) = &self.kind {
            let kind = some(kind).ok_or_else(|| Failure::invalid("the kind is empty"))?;
            edits.push(TodoEdit::Kind(kind));
        }
        let optional = |text: &Option<String>, edit: fn(Option<String>) -> TodoEdit| {
            text.as_deref().map(|text| edit(some(text)))
        };
        edits.extend(optional(&self.check, TodoEdit::Check));
        edits.extend(optional(&self.assignee, TodoEdit::Assignee));
        edits.extend(optional(&self.owner, TodoEdit::Owner));
        edits.extend(optional(&self.section, TodoEdit::Section));
        edits.extend(self.estimate.map(|minutes| TodoEdit::Estimate(Some(minutes))));
        edits.extend(self.high_risk.map(TodoEdit::HighRisk));
        if !self.files.is_empty() {
            edits.push(TodoEdit::Files(list(&self.files)));
        }
        if !self.capabilities.is_empty() {
            edits.push(TodoEdit::Capabilities(list(&self.capabilities)));
        }
        if let Some(defer) = &self.defer {
            let until = moment(defer, now)?;
            if until.is_some_and(|until| until < now) {
                let message = format!("{defer:?} is past: a todo is put off to a time to come");
                return Err(Failure::invalid(message).hint(TIMES));
            }
            edits.push(TodoEdit::DeferUntil(until));
        }
        if let Some(due) = &self.due {
            edits.push(TodoEdit::DueAt(moment(due, now)?));
        }
        Ok(edits)
    }

    /// The texts.
    pub(crate) fn prose(&self) -> Result<Vec<(ProseField, String)>, Failure> {
        let given = [
            (ProseField::Description, &self.description),
            (ProseField::Design, &self.design),
            (ProseField::Acceptance, &self.acceptance),
        ];
        let given = given.into_iter().filter_map(|(field, text)| Some((field, text.clone()?)));
        given.map(|(field, text)| Ok((field, text_or_stdin(text)?))).collect()
    }

    /// What was said and may be a slip; a design may come later, and a section with it.
    pub(crate) fn warnings(&self, state: &State) -> Vec<String> {
        let section = self.section.as_deref().and_then(some);
        let sections = &state.design.sections;
        let section = section.filter(|section| !sections.contains_key(section.as_str()));
        let there = match sections.len() {
            0 => "there is no design yet".to_owned(),
            _ => {
                let keys: Vec<&str> = sections.keys().map(AsRef::as_ref).collect();
                short(&format!("there are {}", keys.join(", ")), 200)
            }
        };
        let warning =
            |section: String| format!("the design has no section {}; {there}", short(&section, 60));
        section.map(warning).into_iter().collect()
    }

    /// The labels, each once; none may be empty.
    pub(crate) fn labels(labels: &[String]) -> Result<Vec<String>, Failure> {
        let mut found = Vec::new();
        for label in labels {
            let label = some(label).ok_or_else(|| Failure::invalid("a label is empty"))?;
            if !found.contains(&label) {
                found.push(label);
            }
        }
        Ok(found)
    }
}

/// The kind of an edge, as users write it; a word that means nothing is refused.
pub(crate) fn edge_kind(word: &str) -> Result<EdgeKind, String> {
    let kind = KINDS.iter().find(|(known, _)| *known == word).map(|(_, kind)| kind.clone());
    let known = || KINDS.iter().map(|(word, _)| *word).collect::<Vec<_>>().join(", ");
    kind.ok_or_else(|| format!("the kinds are {}", known()))
}
