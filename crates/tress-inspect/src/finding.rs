//! What was found, where, and by which rule; and its one line of text.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// How much a finding weighs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// The work fails on it.
    Error,
    /// It is told, and nothing fails on it.
    Warning,
}

impl Severity {
    /// `error` or `warning`, the levels of SARIF.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Warning => "warning",
        }
    }
}

/// One finding.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Finding {
    /// The file, with `/`, from the root of the project.
    pub path: String,
    /// The line, from 1.
    pub line: usize,
    /// The column, from 1, in bytes; 1 where only the line is known.
    pub column: usize,
    /// The rule that found it, such as `stub-call`.
    pub rule: String,
    /// How much it weighs.
    pub severity: Severity,
    /// The function, class or symbol it is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub symbol: Option<String>,
    /// What is wrong, in one line.
    pub message: String,
}

impl Finding {
    /// A finding at a line.
    pub fn new(rule: &str, severity: Severity, path: &str, line: usize, message: &str) -> Self {
        Self {
            path: path.to_owned(),
            line: line.max(1),
            column: 1,
            rule: rule.to_owned(),
            severity,
            symbol: None,
            message: message.split_whitespace().collect::<Vec<_>>().join(" "),
        }
    }

    /// The same, about `symbol`.
    #[must_use]
    pub fn about(mut self, symbol: impl Into<String>) -> Self {
        self.symbol = Some(symbol.into());
        self
    }

    /// The same, at a column (from 1).
    #[must_use]
    pub fn column(mut self, column: usize) -> Self {
        self.column = column.max(1);
        self
    }
}

/// `path:line: message (rule)`; a warning has `(rule, warning)`. Column and symbol are not in it.
impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let told = if self.severity == Severity::Warning { ", warning" } else { "" };
        write!(f, "{}:{}: {} ({}{told})", self.path, self.line, self.message, self.rule)
    }
}

/// A line that is not of a finding's form.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("a finding is written `path:line: message (rule)`, this is not: {0}")]
pub struct NotAFinding(pub String);

impl FromStr for Finding {
    type Err = NotAFinding;

    fn from_str(line: &str) -> Result<Self, NotAFinding> {
        let parts = || {
            let (head, rule) = line.trim_end().strip_suffix(')')?.rsplit_once(" (")?;
            let (rule, severity) = match rule.strip_suffix(", warning") {
                Some(rule) => (rule, Severity::Warning),
                None => (rule, Severity::Error),
            };
            // A path may hold a colon; the line is the first number that stands between two.
            let (at, number) = head.match_indices(": ").find_map(|(at, _)| {
                let (path, number) = head.get(..at)?.rsplit_once(':')?;
                let number: usize = number.parse().ok().filter(|number| *number > 0)?;
                (!path.is_empty()).then_some(((path, at), number))
            })?;
            let fits = !rule.is_empty() && !rule.contains(char::is_whitespace);
            fits.then(|| Self {
                path: at.0.to_owned(),
                line: number,
                column: 1,
                rule: rule.to_owned(),
                severity,
                symbol: None,
                message: head.get(at.1 + 2..).unwrap_or_default().to_owned(),
            })
        };
        parts().ok_or_else(|| NotAFinding(line.to_owned()))
    }
}
