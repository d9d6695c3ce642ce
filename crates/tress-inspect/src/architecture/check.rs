//! Rules held against a graph.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::{Clause, Exception, Part, Rules, Statement};
use crate::imports::{Edge, Graph};
use crate::language::Language;

/// In which way a rule is violated.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ViolationKind {
    /// An import that `forbid` forbids.
    Forbidden,
    /// An import of a layer above, or of a neighbour in the same layer.
    Upward,
    /// An import past the next layer of `strict layers`.
    Skipped,
    /// What `require` requires is not there.
    Missing,
    /// Source code that `cover` covers and that is in no component.
    Uncovered,
}

/// A place where a rule does not hold.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Violation {
    /// The key of the rule.
    pub rule: String,
    /// The file that imports; for [`ViolationKind::Missing`] what the rule names, for
    /// [`ViolationKind::Uncovered`] the directory.
    pub from: String,
    /// The file or `pkg:NAME` that is imported; for [`ViolationKind::Missing`] what the rule names,
    /// for [`ViolationKind::Uncovered`] `component`.
    pub to: String,
    /// The line of the import, from 1; 0 where there is none.
    pub line: usize,
    /// In which way.
    pub kind: ViolationKind,
    /// The whole in a sentence, without place.
    pub message: String,
}

/// A line of the baseline that excuses nothing: it must go.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Stale {
    /// The key of the rule in which it stands.
    pub rule: String,
    /// Its line in that rule's text, from 1.
    pub line: usize,
    /// What is written.
    pub written: String,
}

/// A pattern that matches no file: the rule checks nothing.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Dead {
    /// The key of the rule.
    pub rule: String,
    /// Its line in that rule's text, from 1.
    pub line: usize,
    /// The pattern.
    pub pattern: String,
}

/// What one rule was held against.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Checked {
    /// How many imports (for `require`: rules, for `cover`: directories) it was held against.
    pub checked: usize,
    /// How many of them violate it, on the baseline or not.
    pub violated: usize,
}

impl Checked {
    /// The share that holds, in whole percent, rounded down; 100 where nothing was checked.
    pub fn percent(self) -> u8 {
        let held = self.checked.saturating_sub(self.violated) as u128;
        let percent = (held * 100).checked_div(self.checked as u128).unwrap_or(100);
        u8::try_from(percent).unwrap_or(100)
    }
}

/// What became of the rules.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Report {
    /// Where rules do not hold, in order.
    pub violations: Vec<Violation>,
    /// The same, where the baseline knows it.
    pub known: Vec<Violation>,
    /// Lines of the baseline that must go.
    pub stale: Vec<Stale>,
    /// Patterns that match no file.
    pub dead: Vec<Dead>,
    /// What each rule was held against, by key.
    pub checked: BTreeMap<String, Checked>,
}

impl Report {
    /// What all rules together were held against.
    pub fn total(&self) -> Checked {
        self.checked.values().fold(Checked::default(), |sum, rule| Checked {
            checked: sum.checked + rule.checked,
            violated: sum.violated + rule.violated,
        })
    }
}

/// The files of the tree by the parts that they belong to, looked up once.
struct Members<'r> {
    /// The parts' numbers, by what is written.
    named: BTreeMap<&'r str, usize>,
    /// The numbers of the parts that a file belongs to.
    files: BTreeMap<String, BTreeSet<usize>>,
}

impl<'r> Members<'r> {
    fn of(rules: &'r Rules, graph: &Graph) -> Self {
        let mut parts: Vec<&Part> = Vec::new();
        let mut named = BTreeMap::new();
        for statement in rules.statements() {
            for part in sides(&statement.clause) {
                named.entry(part.written.as_str()).or_insert_with(|| {
                    parts.push(part);
                    parts.len() - 1
                });
            }
        }
        let of = |path: &str| -> BTreeSet<usize> {
            let member = |part: &Part| part.patterns.iter().any(|p| p.covers_file(path));
            let members = parts.iter().enumerate().filter(|(_, part)| member(part));
            members.map(|(at, _)| at).collect()
        };
        let files = graph.files().map(|path| (path.to_owned(), of(path))).collect();
        Self { named, files }
    }

    fn has(&self, part: &Part, path: &str) -> bool {
        let at = self.named.get(part.written.as_str());
        at.is_some_and(|at| self.files.get(path).is_some_and(|members| members.contains(at)))
    }

    fn reaches(&self, part: &Part, edge: &Edge) -> bool {
        match &edge.to {
            crate::imports::Target::File(path) => self.has(part, path),
            target => part.patterns.iter().any(|pattern| pattern.covers(target)),
        }
    }
}

/// What a clause names, in order.
fn sides(clause: &Clause) -> Vec<&Part> {
    match clause {
        Clause::Component(part) | Clause::Cover(part) => vec![part],
        Clause::Layers { layers, .. } => layers.iter().flatten().collect(),
        Clause::Forbid(from, to) | Clause::Require(from, to) => vec![from, to],
        Clause::Allow(_) | Clause::Except(_) => Vec::new(),
    }
}

/// Holds the rules against a graph. The same rules and the same graph give the same report.
pub fn check(rules: &Rules, graph: &Graph) -> Report {
    let members = Members::of(rules, graph);
    let mut checker = Checker {
        members: &members,
        graph,
        found: Vec::new(),
        checked: BTreeMap::new(),
        excepted: exceptions(rules.statements().iter().filter_map(|statement| {
            match &statement.clause {
                Clause::Except(exception) => Some(exception),
                _ => None,
            }
        })),
    };
    for statement in rules.statements() {
        checker.statement(statement, rules);
    }
    let Checker { mut found, checked, .. } = checker;
    found.sort();
    found.dedup();
    let allowed = exceptions(rules.baseline().map(|(_, exception)| exception));
    let (known, violations): (Vec<_>, Vec<_>) =
        found.into_iter().partition(|violation| excused(&allowed, violation));
    let mut used: BTreeMap<(&str, &str), Vec<&Violation>> = BTreeMap::new();
    for violation in &known {
        used.entry((&violation.from, &violation.to)).or_default().push(violation);
    }
    let stale = rules.baseline().filter(|(_, exception)| {
        let of = used.get(&(exception.from.as_str(), exception.to.as_str()));
        !of.is_some_and(|of| of.iter().any(|known| exception.covers(known)))
    });
    let stale = stale.map(|(statement, _)| Stale {
        rule: statement.rule.clone(),
        line: statement.line,
        written: statement.written.clone(),
    });
    let stale = stale.collect();
    Report { violations, known, stale, dead: dead(rules, graph), checked }
}

/// Exceptions by what they are about.
type Exceptions<'r> = BTreeMap<(&'r str, &'r str), Vec<&'r Exception>>;

fn exceptions<'r>(all: impl Iterator<Item = &'r Exception>) -> Exceptions<'r> {
    let mut of = Exceptions::new();
    for exception in all {
        of.entry((&exception.from, &exception.to)).or_default().push(exception);
    }
    of
}

fn excused(exceptions: &Exceptions<'_>, violation: &Violation) -> bool {
    let of = exceptions.get(&(violation.from.as_str(), violation.to.as_str()));
    of.is_some_and(|of| of.iter().any(|exception| exception.covers(violation)))
}

/// Every pattern of the rules that matches no file of the tree.
fn dead(rules: &Rules, graph: &Graph) -> Vec<Dead> {
    let mut known: BTreeMap<&str, bool> = BTreeMap::new();
    let mut found = BTreeSet::new();
    // What is wrong with a component is said of the component, not of every rule that names it.
    let components: BTreeSet<&str> = rules
        .statements()
        .iter()
        .filter_map(|statement| match &statement.clause {
            Clause::Component(part) => Some(part.written.as_str()),
            _ => None,
        })
        .collect();
    for statement in rules.statements() {
        let component = matches!(statement.clause, Clause::Component(_));
        for part in sides(&statement.clause) {
            if !component && components.contains(part.written.as_str()) {
                continue;
            }
            for pattern in part.patterns.iter().filter(|pattern| !pattern.is_package()) {
                let alive = *known
                    .entry(pattern.written())
                    .or_insert_with(|| graph.files().any(|path| pattern.covers_file(path)));
                if !alive {
                    found.insert(Dead {
                        rule: statement.rule.clone(),
                        line: statement.line,
                        pattern: pattern.written().to_owned(),
                    });
                }
            }
        }
    }
    found.into_iter().collect()
}

struct Checker<'c> {
    members: &'c Members<'c>,
    graph: &'c Graph,
    found: Vec<Violation>,
    checked: BTreeMap<String, Checked>,
    excepted: Exceptions<'c>,
}

impl Checker<'_> {
    /// Counts one thing that was checked, and takes what is wrong with it.
    fn count(&mut self, rule: &str, violation: Option<Violation>) {
        let violation = violation.filter(|violation| !excused(&self.excepted, violation));
        let checked = self.checked.entry(rule.to_owned()).or_default();
        checked.checked += 1;
        checked.violated += usize::from(violation.is_some());
        self.found.extend(violation);
    }

    fn statement(&mut self, statement: &Statement, rules: &Rules) {
        match &statement.clause {
            Clause::Component(_) | Clause::Allow(_) | Clause::Except(_) => {}
            Clause::Forbid(from, to) => self.forbid(statement, from, to),
            Clause::Require(from, to) => self.require(statement, from, to),
            Clause::Layers { layers, strict } => self.layers(statement, layers, *strict),
            Clause::Cover(part) => self.cover(statement, part, rules),
        }
    }

    fn forbid(&mut self, statement: &Statement, from: &Part, to: &Part) {
        for edge in self.graph.edges() {
            // What B's own files import of each other is B's affair.
            if !self.members.has(from, &edge.from) || self.members.has(to, &edge.from) {
                continue;
            }
            let violation = self.members.reaches(to, edge).then(|| {
                let message = format!("{} must not import {}", from.written, to.written);
                violation(statement, edge, ViolationKind::Forbidden, message)
            });
            self.count(&statement.rule, violation);
        }
    }

    fn require(&mut self, statement: &Statement, from: &Part, to: &Part) {
        let inside = |edge: &&Edge| self.members.has(from, &edge.from);
        let mut edges = self.graph.edges().iter().filter(inside);
        let met = edges.any(|edge| self.members.reaches(to, edge));
        let violation = (!met).then(|| Violation {
            rule: statement.rule.clone(),
            from: from.written.clone(),
            to: to.written.clone(),
            line: 0,
            kind: ViolationKind::Missing,
            message: format!("no file of {} imports {}", from.written, to.written),
        });
        self.count(&statement.rule, violation);
    }

    fn layers(&mut self, statement: &Statement, layers: &[Vec<Part>], strict: bool) {
        let members = self.members;
        let find = |has: &dyn Fn(&Part) -> bool| {
            layers.iter().enumerate().find_map(|(level, layer)| {
                let part = layer.iter().position(has)?;
                Some((level, part))
            })
        };
        for edge in self.graph.edges() {
            let Some(from) = find(&|part| members.has(part, &edge.from)) else { continue };
            let Some(to) = find(&|part| members.reaches(part, edge)) else { continue };
            let name = |(level, part): (usize, usize)| {
                let part = layers.get(level).and_then(|layer| layer.get(part));
                part.map(|part| part.written.as_str()).unwrap_or_default()
            };
            let (upper, lower) = (name(to), name(from));
            let (kind, message) = if to.0 < from.0 {
                let message = format!("{lower} lies below {upper} and must not import it");
                (ViolationKind::Upward, message)
            } else if to.0 == from.0 && to.1 != from.1 {
                let message = format!("{lower} lies beside {upper} and must not import it");
                (ViolationKind::Upward, message)
            } else if strict && to.0 > from.0 + 1 {
                let message = format!("{lower} must not import past the next layer to {upper}");
                (ViolationKind::Skipped, message)
            } else {
                self.count(&statement.rule, None);
                continue;
            };
            let violation = violation(statement, edge, kind, message);
            self.count(&statement.rule, Some(violation));
        }
    }

    fn cover(&mut self, statement: &Statement, part: &Part, rules: &Rules) {
        let mut directories: BTreeMap<&str, bool> = BTreeMap::new();
        let sources = self.graph.files().filter(|path| Language::of(path).is_some());
        for path in sources.filter(|path| self.members.has(part, path)) {
            let directory = path.rsplit_once('/').map_or(".", |(directory, _)| directory);
            let covered = !rules.components_of(path).is_empty();
            *directories.entry(directory).or_insert(true) &= covered;
        }
        for (directory, covered) in directories {
            let violation = (!covered).then(|| Violation {
                rule: statement.rule.clone(),
                from: directory.to_owned(),
                to: "component".to_owned(),
                line: 0,
                kind: ViolationKind::Uncovered,
                message: format!("{directory} has source code that is in no component"),
            });
            self.count(&statement.rule, violation);
        }
    }
}

fn violation(
    statement: &Statement,
    edge: &Edge,
    kind: ViolationKind,
    message: String,
) -> Violation {
    Violation {
        rule: statement.rule.clone(),
        from: edge.from.clone(),
        to: edge.to.to_string(),
        line: edge.line,
        kind,
        message,
    }
}
