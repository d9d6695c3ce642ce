//! A design to sections, requirements and rules.

use std::collections::BTreeSet;

use tress_model::State;
use tress_model::operation::{Operation, ProseTarget, Severity};
use tress_model::state::prose::difference;

use super::{closes, fence, heading};
use crate::formats::words::{closest, slug, unique};
use crate::formats::{Import, Planned, Problem, ProblemKind, Report};

/// What a fenced block of rules is called.
const RULES: &str = "tress-rules";
const SEVERITIES: [(&str, Severity); 4] = [
    ("low", Severity::Low),
    ("medium", Severity::Medium),
    ("high", Severity::High),
    ("critical", Severity::Critical),
];

struct Section {
    key: String,
    heading: String,
    level: u8,
    body: Vec<String>,
}

struct Requirement {
    key: String,
    section: String,
    text: String,
    kind: String,
    criticality: Severity,
}

struct Rule {
    key: String,
    text: String,
    criticality: Severity,
}

#[derive(Default)]
struct Reader {
    sections: Vec<Section>,
    requirements: Vec<Requirement>,
    rules: Vec<Rule>,
    /// The keys of the headings above, with their levels.
    path: Vec<(u8, String)>,
    /// Whether an indented line goes on with the last requirement.
    within: bool,
    problems: Vec<Problem>,
}

pub(super) fn import(state: &State, text: &str) -> Result<Import, Vec<Problem>> {
    let reader = Reader::read(text);
    if !reader.problems.is_empty() {
        return Err(reader.problems);
    }
    let lines = text.lines().filter(|line| !line.trim().is_empty()).count();
    let read = reader.sections.len() + reader.requirements.len() + reader.rules.len();
    let mut report = Report { lines, read, ..Report::default() };
    let mut operations = Vec::new();
    let mut plan = |known: bool, operation: Option<Operation>| {
        match (known, &operation) {
            (false, _) => report.added += 1,
            (true, Some(_)) => report.changed += 1,
            (true, None) => report.unchanged += 1,
        }
        operations.extend(operation.map(|operation| Planned::new(None, operation)));
    };
    for (position, section) in reader.sections.iter().enumerate() {
        let known = state.design.sections.contains_key(&section.key);
        plan(known, section_change(state, section, position));
    }
    for requirement in &reader.requirements {
        let held = state.design.requirements.get(&requirement.key);
        let same = held.is_some_and(|held| {
            held.section == requirement.section
                && held.text == requirement.text
                && held.kind == requirement.kind
                && held.criticality == requirement.criticality
        });
        let added = || Operation::RequirementAdded {
            requirement: requirement.key.clone(),
            section: requirement.section.clone(),
            text: requirement.text.clone(),
            kind: requirement.kind.clone(),
            criticality: requirement.criticality,
        };
        plan(held.is_some(), (!same).then(added));
    }
    for rule in &reader.rules {
        let held = state.design.rules.get(&rule.key);
        let same =
            held.is_some_and(|held| held.text == rule.text && held.criticality == rule.criticality);
        let (key, text) = (rule.key.clone(), rule.text.clone());
        let criticality = rule.criticality;
        let added = || Operation::DesignRuleAdded { rule: key, text, criticality };
        plan(held.is_some(), (!same).then(added));
    }
    report.absent = absent(state, &reader);
    Ok(Import { operations, report })
}

fn section_change(state: &State, section: &Section, position: usize) -> Option<Operation> {
    let body = body(&section.body);
    let position = u32::try_from(position).unwrap_or(u32::MAX);
    if let Some(held) = state.design.sections.get(&section.key)
        && (held.heading.as_str(), held.level, held.position)
            == (section.heading.as_str(), section.level, position)
    {
        // Only what differs is written, so that concurrent edits of the text merge.
        let splice = difference(&held.body.text(), &body)?;
        let target = ProseTarget::Section(section.key.clone());
        return Some(Operation::ProseEdited { target, splices: vec![splice] });
    }
    Some(Operation::SectionAdded {
        section: section.key.clone(),
        heading: section.heading.clone(),
        level: section.level,
        position,
        body,
    })
}

fn absent(state: &State, reader: &Reader) -> Vec<String> {
    let sections: BTreeSet<&str> = reader.sections.iter().map(|s| s.key.as_str()).collect();
    let requirements: BTreeSet<&str> = reader.requirements.iter().map(|r| r.key.as_str()).collect();
    let rules: BTreeSet<&str> = reader.rules.iter().map(|r| r.key.as_str()).collect();
    let gone = |what: &str, key: &String, known: &BTreeSet<&str>| {
        (!known.contains(key.as_str())).then(|| format!("{what} {key}"))
    };
    let design = &state.design;
    let sections = design.sections.keys().filter_map(|key| gone("section", key, &sections));
    let requirements =
        design.requirements.keys().filter_map(|key| gone("requirement", key, &requirements));
    let rules = design.rules.keys().filter_map(|key| gone("rule", key, &rules));
    sections.chain(requirements).chain(rules).collect()
}

/// Lines as a text, without blank lines around it and without gaps of more than one.
fn body(lines: &[String]) -> String {
    let mut text = String::new();
    for line in lines {
        if line.is_empty() && (text.is_empty() || text.ends_with("\n\n")) {
            continue;
        }
        text.push_str(line);
        text.push('\n');
    }
    text.trim_end().to_owned()
}

impl Reader {
    fn read(text: &str) -> Self {
        let mut reader = Self::default();
        let mut fenced: Option<(&str, bool, usize)> = None;
        for (at, line) in text.lines().enumerate() {
            let line = line.trim_end();
            let number = at + 1;
            match fenced {
                Some((opening, rules, _)) => {
                    let end = closes(opening, line);
                    if end {
                        fenced = None;
                    }
                    match rules {
                        true if !end => reader.rule(number, line.trim()),
                        true => {}
                        false => reader.body(line),
                    }
                }
                None => match fence(line) {
                    Some((opening, info)) => {
                        fenced = Some((opening, info == RULES, number));
                        reader.within = false;
                        if info != RULES {
                            reader.block(number, info);
                            reader.body(line);
                        }
                    }
                    None => reader.line(number, line),
                },
            }
        }
        if let Some((opening, _, line)) = fenced {
            let message = format!("the block has no end; close it with {opening}");
            reader.problem(line, ProblemKind::OpenFence, message);
        }
        reader.problems.sort_by_key(|problem| problem.line);
        reader
    }

    fn problem(&mut self, line: usize, kind: ProblemKind, message: impl Into<String>) {
        self.problems.push(Problem { line, column: None, kind, message: message.into() });
    }

    /// A block that is not called `tress-rules`, but nearly.
    fn block(&mut self, number: usize, info: &str) {
        if info != RULES && closest(info, [RULES]).is_some() {
            let message = format!("a block of {info:?} is only text; did you mean {RULES}?");
            self.problem(number, ProblemKind::UnknownAttribute, message);
        }
    }

    fn line(&mut self, number: usize, line: &str) {
        if let Some((level, text)) = heading(line) {
            self.within = false;
            if text.is_empty() {
                self.problem(
                    number,
                    ProblemKind::MissingTitle,
                    "the heading is empty; name the section",
                );
                return;
            }
            self.section(level, text);
            return;
        }
        if self.requirement(number, line) {
            self.within = true;
            return;
        }
        let indented = line.starts_with([' ', '\t']);
        if self.within && indented {
            if let Some(last) = self.requirements.last_mut() {
                last.text.push(' ');
                last.text.push_str(line.trim());
            }
            return;
        }
        self.within = false;
        self.body(line);
    }

    fn section(&mut self, level: u8, text: &str) {
        while self.path.last().is_some_and(|(above, _)| *above >= level) {
            self.path.pop();
        }
        let taken = |key: &str| self.sections.iter().any(|section| section.key == key);
        let short = slug(text);
        let key = match self.path.last() {
            Some((_, parent)) if taken(&short) => unique(&format!("{parent}/{short}"), taken),
            _ => unique(&short, taken),
        };
        self.path.push((level, key.clone()));
        let heading = text.to_owned();
        self.sections.push(Section { key, heading, level, body: Vec::new() });
    }

    /// The key of the section at hand; what stands before all headings is the preamble.
    fn here(&mut self) -> String {
        if self.sections.is_empty() {
            self.section(1, "Preamble");
        }
        self.sections.last().map(|section| section.key.clone()).unwrap_or_default()
    }

    fn body(&mut self, line: &str) {
        if line.is_empty() && self.sections.is_empty() {
            return;
        }
        self.here();
        if let Some(section) = self.sections.last_mut() {
            section.body.push(line.to_owned());
        }
    }

    /// `- **R1** (critical, security): text`
    fn requirement(&mut self, number: usize, line: &str) -> bool {
        let item = line.strip_prefix(['-', '*', '+']).map(str::trim_start);
        let Some((key, rest)) = item.and_then(|item| item.strip_prefix("**")?.split_once("**"))
        else {
            return false;
        };
        let word = |c: char| c.is_alphanumeric() || matches!(c, '-' | '_' | '.');
        let numbered = key.chars().any(|c| c.is_ascii_digit()) && key.chars().all(word);
        let Some((about, text)) = numbered.then(|| terms(rest)).flatten() else {
            return false;
        };
        let text = text.trim();
        if text.is_empty() {
            self.problem(
                number,
                ProblemKind::MissingTitle,
                format!("{key} requires nothing; say what"),
            );
        }
        if self.requirements.iter().any(|known| known.key == key) {
            let message = format!("there is a requirement {key} already; choose another key");
            self.problem(number, ProblemKind::DuplicateId, message);
        }
        let mut criticality = None;
        let mut kind = None;
        for term in about.split(',').map(str::trim).filter(|term| !term.is_empty()) {
            let twice = match severity(term) {
                Ok(Some(found)) => criticality.replace(found).is_some(),
                Ok(None) => kind.replace(term.to_owned()).is_some(),
                Err(message) => {
                    self.problem(number, ProblemKind::BadAttribute, message);
                    false
                }
            };
            if twice {
                let message = format!("{key} has two terms of one sort; write (criticality, kind)");
                self.problem(number, ProblemKind::BadAttribute, message);
            }
        }
        let section = self.here();
        self.requirements.push(Requirement {
            key: key.to_owned(),
            section,
            text: text.to_owned(),
            kind: kind.unwrap_or_else(|| "functional".to_owned()),
            criticality: criticality.unwrap_or(Severity::Medium),
        });
        true
    }

    /// `key (high): text`; key and criticality may be left out. A component without a key has its
    /// name in it, so that other globs of it are the same rule, changed.
    fn rule(&mut self, number: usize, line: &str) {
        if line.is_empty() || line.starts_with('#') {
            return;
        }
        let word = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
        let length = line.chars().take_while(|&c| word(c)).map(char::len_utf8).sum();
        let named = line.split_at_checked(length).filter(|(key, _)| !key.is_empty());
        let named = named.and_then(|(key, rest)| Some((key, terms(rest)?)));
        let (key, about, text) = match named {
            Some((key, (about, text))) => (key.to_owned(), about, text.trim()),
            None => (component(line).unwrap_or_else(|| slug(line)), "", line),
        };
        let criticality = match severity(about) {
            Ok(Some(found)) => found,
            Ok(None) if about.is_empty() => Severity::Medium,
            Ok(None) => {
                let message =
                    format!("{about:?} is no criticality; write low, medium, high or critical");
                self.problem(number, ProblemKind::BadAttribute, message);
                return;
            }
            Err(message) => {
                self.problem(number, ProblemKind::BadAttribute, message);
                return;
            }
        };
        if self.rules.iter().any(|known| known.key == key) {
            let message = format!("there is a rule {key} already; choose another key");
            self.problem(number, ProblemKind::DuplicateId, message);
            return;
        }
        self.rules.push(Rule { key, text: text.to_owned(), criticality });
    }
}

/// The key of `component NAME = …`.
fn component(line: &str) -> Option<String> {
    let (name, _) = line.strip_prefix("component ")?.split_once('=')?;
    Some(format!("component-{}", slug(name.trim())))
}

/// What stands in parentheses before a colon, and what stands behind it.
fn terms(text: &str) -> Option<(&str, &str)> {
    let text = text.trim_start();
    if let Some(text) = text.strip_prefix(": ") {
        return Some(("", text));
    }
    let (about, text) = text.strip_prefix('(')?.split_once(')')?;
    Some((about.trim(), text.trim_start().strip_prefix(':')?))
}

/// The criticality that a word is; an error where it is a slip of one.
fn severity(word: &str) -> Result<Option<Severity>, String> {
    let found = SEVERITIES.into_iter().find(|(name, _)| *name == word);
    if let Some((_, severity)) = found {
        return Ok(Some(severity));
    }
    match closest(word, SEVERITIES.map(|(name, _)| name)) {
        Some(meant) => Err(format!("{word:?} is no criticality; did you mean {meant}?")),
        None => Ok(None),
    }
}
