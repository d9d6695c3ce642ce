//! The rules of a design: which part may import which, held against the import graph.
//!
//! One statement a line; `#` begins a comment. docs/RECONCILING.md has the grammar and examples.
//!
//! ```
//! use tress_inspect::architecture::{Rules, check};
//! use tress_inspect::imports::Graph;
//!
//! let rules = Rules::parse("component ui = ui/**\ncomponent db = db/**\nforbid ui -> db").unwrap();
//! let graph = Graph::of([("ui/page.py", "import db.store\n"), ("db/store.py", "")]);
//! let report = check(&rules, &graph);
//! assert_eq!(report.violations[0].from, "ui/page.py");
//! assert_eq!(report.violations[0].to, "db/store.py");
//! ```

mod check;
mod pattern;
mod syntax;

pub use check::{Checked, Dead, Report, Stale, Violation, ViolationKind, check};
pub use pattern::Pattern;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// More text of rules is refused (1 MiB).
pub const RULES_BYTES_MAX: usize = 1 << 20;
/// More statements are refused.
pub const STATEMENTS_MAX: usize = 20_000;

/// What is wrong with a rule, where, and what to write.
#[derive(
    Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, thiserror::Error,
)]
#[error("rule {rule}, line {line}, column {column}: {message}")]
pub struct SyntaxError {
    /// The key of the rule.
    pub rule: String,
    /// The line in its text, from 1.
    pub line: usize,
    /// The column, in characters, from 1.
    pub column: usize,
    /// What is wrong, and what to write.
    pub message: String,
}

/// One side of a rule: what is written, and which files and packages it means.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Part {
    /// The name of a component, or the pattern itself.
    pub written: String,
    /// What belongs to it.
    pub patterns: Vec<Pattern>,
}

/// What a statement says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Clause {
    /// `component NAME = PATTERN, …`: gives files a name.
    Component(Part),
    /// `layers TOP > … > BOTTOM`: nobody imports from a layer above its own, nor, where strict,
    /// from one further down than the next. Parts of one layer do not import each other.
    Layers {
        /// The layers, the top first.
        layers: Vec<Vec<Part>>,
        /// Whether a layer may be left out.
        strict: bool,
    },
    /// `forbid A -> B`: no file of A, but for those that B has too, imports B.
    Forbid(Part, Part),
    /// `require A -> B`: at least one file of A imports B.
    Require(Part, Part),
    /// `cover PATTERN, …`: each source file that it means is in a component.
    Cover(Part),
    /// `allow FROM -> TO [for RULE]`: a known violation. It must exist: the baseline only shrinks.
    Allow(Exception),
    /// `except FROM -> TO [for RULE]`: the design permits it; it is no violation.
    Except(Exception),
}

/// What an `allow` or `except` is about.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Exception {
    /// The file, or what the rule names.
    pub from: String,
    /// The file or `pkg:NAME`, or what the rule names.
    pub to: String,
    /// The rule that it is an exception of; `None`: all.
    pub rule: Option<String>,
}

impl Exception {
    /// Whether it covers a violation.
    pub fn covers(&self, violation: &Violation) -> bool {
        self.from == violation.from
            && self.to == violation.to
            && self.rule.as_ref().is_none_or(|rule| *rule == violation.rule)
    }
}

/// One statement.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Statement {
    /// The key of the rule that it is of.
    pub rule: String,
    /// Its line in that rule's text, from 1.
    pub line: usize,
    /// What is written, without comment.
    pub written: String,
    /// What it says.
    pub clause: Clause,
}

/// Rules that were read.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Rules {
    statements: Vec<Statement>,
}

impl Rules {
    /// Reads one text, in which each statement is a rule whose key is the statement itself.
    ///
    /// # Errors
    /// Every mistake, with its line and column.
    pub fn parse(text: &str) -> Result<Self, Vec<SyntaxError>> {
        let (rules, mistakes) = syntax::read([(None, text)]);
        if mistakes.is_empty() { Ok(rules) } else { Err(mistakes) }
    }

    /// Reads rules that have keys, given as key and text; a text may have several statements.
    /// Gives what can be read, and every mistake: a rule with a mistake is left out as a whole.
    pub fn of<'t>(rules: impl IntoIterator<Item = (&'t str, &'t str)>) -> (Self, Vec<SyntaxError>) {
        syntax::read(rules.into_iter().map(|(key, text)| (Some(key), text)))
    }

    /// The statements, in the order in which they were given.
    pub fn statements(&self) -> &[Statement] {
        &self.statements
    }

    /// What `forbid` forbids and `require` requires, as rule and its two sides.
    pub fn pairs(&self) -> impl Iterator<Item = (&Statement, &Part, &Part)> {
        self.statements.iter().filter_map(|statement| match &statement.clause {
            Clause::Forbid(from, to) | Clause::Require(from, to) => Some((statement, from, to)),
            _ => None,
        })
    }

    /// The known violations.
    pub fn baseline(&self) -> impl Iterator<Item = (&Statement, &Exception)> {
        self.statements.iter().filter_map(|statement| match &statement.clause {
            Clause::Allow(exception) => Some((statement, exception)),
            _ => None,
        })
    }

    /// The components that the file at `path` belongs to.
    pub fn components_of(&self, path: &str) -> Vec<&str> {
        let of = |statement: &'_ Statement| match &statement.clause {
            Clause::Component(part) => {
                part.patterns.iter().any(|pattern| pattern.covers_file(path))
            }
            _ => false,
        };
        let found = self.statements.iter().filter(|statement| of(statement));
        let names = found.filter_map(|statement| match &statement.clause {
            Clause::Component(part) => Some(part.written.as_str()),
            _ => None,
        });
        names.collect()
    }
}

/// A word as the rule language reads it back: in quotes where it needs them.
pub fn quoted(word: &str) -> String {
    let plain = |c: char| !c.is_whitespace() && !c.is_control() && !"\"\\#,=>".contains(c);
    if !word.is_empty() && word.chars().all(plain) && !word.contains("->") {
        return word.to_owned();
    }
    let mut text = String::from("\"");
    for c in word.chars() {
        match c {
            '"' | '\\' => text.extend(['\\', c]),
            '\n' => text.push_str("\\n"),
            '\r' => text.push_str("\\r"),
            c => text.push(c),
        }
    }
    text.push('"');
    text
}

/// The line that puts a violation on the baseline.
pub fn allow(violation: &Violation) -> String {
    exception("allow", violation)
}

/// The line by which the design permits what was a violation.
pub fn except(violation: &Violation) -> String {
    exception("except", violation)
}

fn exception(word: &str, violation: &Violation) -> String {
    let Violation { from, to, rule, .. } = violation;
    format!("{word} {} -> {} for {}", quoted(from), quoted(to), quoted(rule))
}

/// The baseline of these violations: a line each, in order, none twice.
pub fn baseline<'v>(violations: impl IntoIterator<Item = &'v Violation>) -> String {
    let lines = violations.into_iter().map(|violation| (allow(violation), ()));
    let lines: BTreeMap<String, ()> = lines.collect();
    lines.into_keys().map(|line| line + "\n").collect()
}
