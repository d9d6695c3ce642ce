//! The text of a todo list to items.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use tress_model::limits::PRIORITY_MAX;

use super::attributes::{Attribute, minutes, parts, split};
use super::{closes, fence, heading};
use crate::formats::words::{did_you_mean, slug, unique};
use crate::formats::{Problem, ProblemKind};

/// The attributes that an item can have.
const NAMES: [&str; 11] = [
    "id", "needs", "files", "check", "priority", "risk", "section", "labels", "estimate", "kind",
    "can",
];
/// What separates the levels of a list, at least.
const STEP: usize = 2;
/// How far a whole list may be indented.
const MARGIN: usize = 3;

/// What the list says of one todo.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct Item {
    pub(super) title: String,
    pub(super) done: bool,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub(super) description: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) kind: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) priority: Option<u8>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) estimate: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) check: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) section: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) high_risk: Option<bool>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) files: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) can: Vec<String>,
    #[serde(skip_serializing_if = "BTreeSet::is_empty")]
    pub(super) labels: BTreeSet<String>,
    #[serde(skip_serializing_if = "BTreeSet::is_empty")]
    pub(super) needs: BTreeSet<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) parent: Option<String>,
}

/// An item where it stands in the list.
#[derive(Debug, Default)]
pub(super) struct Placed {
    /// Its line, from 1.
    pub(super) line: usize,
    /// Its id, given or made of its title.
    pub(super) id: String,
    /// What the list says of it.
    pub(super) item: Item,
    given: Option<String>,
    parent: Option<usize>,
    named: BTreeSet<String>,
    prose: Vec<String>,
}

/// Reads a list; what is wrong with it goes to `problems`.
pub(super) fn read(text: &str, problems: &mut Vec<Problem>) -> Vec<Placed> {
    let mut reader = Reader { items: Vec::new(), levels: Vec::new(), group: None, problems };
    let mut fenced: Option<(&str, usize, Option<usize>)> = None;
    for (at, line) in text.lines().enumerate() {
        let line = line.trim_end();
        let number = at + 1;
        if let Some((opening, _, owner)) = fenced {
            reader.prose(owner, line);
            if closes(opening, line) {
                fenced = None;
            }
            continue;
        }
        if let Some((opening, _)) = fence(line) {
            let owner = reader.owner(indent(line));
            reader.prose(owner, line);
            fenced = Some((opening, number, owner));
            continue;
        }
        reader.line(number, line);
    }
    if let Some((opening, line, _)) = fenced {
        reader.problem(
            line,
            ProblemKind::OpenFence,
            format!("the block has no end; close it with {opening}"),
        );
    }
    let mut items = reader.items;
    name(&mut items, problems);
    items
}

struct Reader<'p> {
    items: Vec<Placed>,
    /// The items that a line could belong to, with their indentation.
    levels: Vec<(usize, usize)>,
    group: Option<String>,
    problems: &'p mut Vec<Problem>,
}

impl Reader<'_> {
    fn problem(&mut self, line: usize, kind: ProblemKind, message: impl Into<String>) {
        self.problems.push(Problem { line, column: None, kind, message: message.into() });
    }

    fn line(&mut self, number: usize, line: &str) {
        if line.trim().is_empty() {
            let owner = self.levels.last().map(|&(_, item)| item);
            self.prose(owner, "");
            return;
        }
        if let Some((level, text)) = heading(line) {
            self.levels.clear();
            self.group = Some(slug(split(text).0)).filter(|_| level > 1 && !text.is_empty());
            return;
        }
        let depth = indent(line);
        match checkbox(line.trim_start()) {
            Some(Bullet::Mark(done, text)) => self.item(number, depth, done, text),
            Some(Bullet::Odd(mark)) => {
                let message = format!("[{mark}] means nothing; write [ ] or [x]");
                self.problem(number, ProblemKind::BadAttribute, message);
            }
            Some(Bullet::Tight) => {
                let message = "a blank is missing between the bullet and the box: write - [ ]";
                self.problem(number, ProblemKind::BadAttribute, message);
            }
            found => match self.owner(depth) {
                Some(owner) => self.below(number, owner, line),
                None if found.is_some() => {
                    let message = "the list item has no checkbox; write - [ ] if it is to be done";
                    self.problem(number, ProblemKind::NotAnItem, message);
                }
                None => {}
            },
        }
    }

    /// The item that a line of this indentation belongs to.
    fn owner(&mut self, depth: usize) -> Option<usize> {
        while self.levels.last().is_some_and(|&(level, _)| level >= depth) {
            self.levels.pop();
        }
        self.levels.last().map(|&(_, item)| item)
    }

    fn prose(&mut self, owner: Option<usize>, line: &str) {
        if let Some(item) = owner.and_then(|owner| self.items.get_mut(owner)) {
            let text = line.trim_start_matches([' ', '\t']);
            let margin = if text.is_empty() { 0 } else { indent(line) };
            item.prose.push(format!("{}{text}", " ".repeat(margin)));
        }
    }

    /// A line below an item: more attributes, or its description.
    fn below(&mut self, number: usize, owner: usize, line: &str) {
        let bare = self.items.get(owner).is_some_and(|item| item.prose.is_empty());
        let (title, attributes) = split(line);
        if bare && title.is_empty() && !attributes.is_empty() {
            self.attributes(number, owner, &attributes);
        } else {
            self.prose(Some(owner), line);
        }
    }

    fn item(&mut self, number: usize, depth: usize, done: bool, text: &str) {
        let deepest = self.levels.last().map(|&(level, _)| level);
        while self.levels.last().is_some_and(|&(level, _)| level > depth) {
            self.levels.pop();
        }
        let above = self.levels.last().map(|&(level, _)| level);
        let fits = match (above, deepest) {
            (Some(above), _) if above == depth => true,
            (Some(above), Some(deepest)) => above == deepest && depth >= above + STEP,
            (None, Some(_)) => false,
            (_, None) => depth <= MARGIN,
        };
        if !fits {
            let message = "the item stands between two levels; line it up with its siblings, or \
                           indent it two spaces below its parent";
            self.problem(number, ProblemKind::BadIndentation, message);
        }
        if above == Some(depth) {
            self.levels.pop();
        }
        let parent = self.levels.last().map(|&(_, item)| item);
        let (title, attributes) = split(text);
        if title.is_empty() {
            self.problem(
                number,
                ProblemKind::MissingTitle,
                "the item says nothing; write what is to be done",
            );
        }
        let at = self.items.len();
        self.levels.push((depth, at));
        let item = Item {
            title: title.to_owned(),
            done,
            labels: self.group.iter().cloned().collect(),
            ..Item::default()
        };
        self.items.push(Placed { line: number, item, parent, ..Placed::default() });
        self.attributes(number, at, &attributes);
    }

    fn attributes(&mut self, number: usize, at: usize, attributes: &[Attribute<'_>]) {
        for attribute in attributes {
            let Some(placed) = self.items.get_mut(at) else {
                return;
            };
            let (name, value) = (attribute.name, attribute.value);
            let outcome = if !NAMES.contains(&name) {
                let meant = did_you_mean(name, NAMES);
                Err((ProblemKind::UnknownAttribute, format!("there is no attribute {name}{meant}")))
            } else if !placed.named.insert(name.to_owned()) {
                Err((ProblemKind::BadAttribute, format!("{name} stands here twice; write it once")))
            } else if value.is_empty() {
                Err((ProblemKind::BadAttribute, format!("{name} has no value; write ({name}: …)")))
            } else {
                placed.set(name, value).map_err(|wanted| {
                    let message = format!("{value:?} is no {name}; write {wanted}");
                    (ProblemKind::BadAttribute, message)
                })
            };
            if let Err((kind, message)) = outcome {
                self.problem(number, kind, message);
            }
        }
    }
}

impl Placed {
    /// Sets an attribute; what should have been written, where the value is wrong.
    fn set(&mut self, name: &str, value: &str) -> Result<(), String> {
        let item = &mut self.item;
        match name {
            "id" => {
                if value.contains(|c: char| c.is_whitespace() || matches!(c, ',' | '(' | ')')) {
                    return Err("one word without commas".to_owned());
                }
                self.given = Some(value.to_owned());
            }
            "needs" => item.needs.extend(parts(value)),
            "labels" => item.labels.extend(parts(value)),
            "files" => item.files = parts(value),
            "can" => item.can = parts(value),
            "check" => item.check = Some(value.to_owned()),
            "section" => item.section = Some(value.to_owned()),
            "kind" => item.kind = Some(value.to_owned()),
            "priority" => {
                let digits = value.trim_start_matches(['p', 'P']);
                let priority = digits.parse().ok().filter(|&given: &u8| given <= PRIORITY_MAX);
                let wanted = || "0 (most urgent) to 4".to_owned();
                item.priority = Some(priority.ok_or_else(wanted)?);
            }
            "estimate" => {
                let wanted = || "a time such as 30m, 2h or 1h30m".to_owned();
                item.estimate = Some(minutes(value).ok_or_else(wanted)?);
            }
            _ => {
                let words = ["low", "medium", "high"];
                let wanted = || format!("low, medium or high{}", did_you_mean(value, words));
                let known = words.into_iter().find(|word| *word == value).ok_or_else(wanted)?;
                item.high_risk = Some(known == "high");
            }
        }
        Ok(())
    }
}

/// A list item.
enum Bullet<'a> {
    /// A checkbox, ticked or not, and what stands behind it.
    Mark(bool, &'a str),
    /// A checkbox with something else in it.
    Odd(char),
    /// One right behind the bullet.
    Tight,
    /// A list item without one.
    Plain,
}

fn checkbox(line: &str) -> Option<Bullet<'_>> {
    let digits = line.bytes().take_while(u8::is_ascii_digit).count();
    let rest = if digits > 0 {
        line.get(digits..)?.strip_prefix(['.', ')'])?
    } else {
        line.strip_prefix(['-', '*', '+'])?
    };
    if !rest.starts_with([' ', '\t']) {
        // A blank that was forgotten is not prose; emphasis and links are.
        let boxed = ["[ ]", "[x]", "[X]"].iter().find_map(|mark| rest.strip_prefix(mark));
        let forgotten = boxed.is_some_and(|text| text.is_empty() || text.starts_with([' ', '\t']));
        return forgotten.then_some(Bullet::Tight);
    }
    let Some(inner) = rest.trim_start().strip_prefix('[') else {
        return Some(Bullet::Plain);
    };
    let mut chars = inner.chars();
    let (Some(mark), Some(']')) = (chars.next(), chars.next()) else {
        return Some(Bullet::Plain);
    };
    let text = chars.as_str();
    if !(text.is_empty() || text.starts_with([' ', '\t'])) {
        return Some(Bullet::Plain);
    }
    Some(match mark {
        ' ' => Bullet::Mark(false, text.trim()),
        'x' | 'X' => Bullet::Mark(true, text.trim()),
        odd => Bullet::Odd(odd),
    })
}

fn indent(line: &str) -> usize {
    let blank = line.chars().take_while(|c| matches!(c, ' ' | '\t'));
    blank.map(|c| if c == '\t' { 4 } else { 1 }).sum()
}

/// Lines without the indentation that they share, and without blank lines around them.
fn dedent(lines: &[String]) -> String {
    let full = lines.iter().filter(|line| !line.is_empty());
    let shared = full.map(|line| indent(line)).min().unwrap_or(0);
    let lines: Vec<&str> =
        lines.iter().map(|line| line.get(shared..).unwrap_or_default()).collect();
    lines.join("\n").trim_matches('\n').to_owned()
}

/// Gives every item its id, its parent's id and its description.
fn name(items: &mut [Placed], problems: &mut Vec<Problem>) {
    let mut taken: BTreeMap<String, usize> = BTreeMap::new();
    for placed in items.iter() {
        let Some(given) = &placed.given else { continue };
        if let Some(first) = taken.insert(given.clone(), placed.line) {
            let message = format!("{given} is the id of line {first} too; choose another");
            let (line, kind) = (placed.line, ProblemKind::DuplicateId);
            problems.push(Problem { line, column: None, kind, message });
        }
    }
    for at in 0..items.len() {
        let parent = items.get(at).and_then(|placed| items.get(placed.parent?));
        let parent = parent.map(|parent| parent.id.clone());
        let Some(placed) = items.get_mut(at) else {
            continue;
        };
        placed.id = placed.given.clone().unwrap_or_else(|| {
            let id = unique(&slug(&placed.item.title), |name| taken.contains_key(name));
            taken.insert(id.clone(), placed.line);
            id
        });
        placed.item.parent = parent;
        let prose = dedent(&placed.prose);
        if !prose.is_empty() {
            placed.item.description = prose;
        }
    }
}
