//! Why a torture ended before it was through.

use std::fmt::Display;
use std::process::ExitCode;

use tempfile::TempDir;

/// Why it ended.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Trouble {
    /// The promise was broken. This is what we look for.
    #[error("VIOLATION: {0}")]
    Violation(String),
    /// The harness itself could not go on; it says nothing about the promise.
    #[error("the harness failed: {0}")]
    Harness(String),
    /// Somebody asked it to end.
    #[error("interrupted")]
    Interrupted,
}

impl Trouble {
    /// Keeps what broke, to be looked at; what was only interrupted is no loss.
    pub(crate) fn keep(&self, dir: TempDir) {
        if !matches!(self, Self::Interrupted) {
            eprintln!("the store is kept in {}", dir.keep().display());
        }
    }

    /// The exit code: 1 for a broken promise, 2 for a broken harness, as shells say for the rest.
    pub(crate) fn exit(&self) -> ExitCode {
        ExitCode::from(match self {
            Self::Violation(_) => 1,
            Self::Harness(_) => 2,
            Self::Interrupted => 130,
        })
    }
}

/// A broken promise.
pub(crate) fn violation<T>(what: impl Display) -> Result<T, Trouble> {
    Err(Trouble::Violation(what.to_string()))
}

/// Says what was being done when something failed.
pub(crate) trait While<T> {
    /// It is the harness that failed.
    fn harness(self, doing: &str) -> Result<T, Trouble>;
    /// What must never fail failed.
    fn must(self, doing: &str) -> Result<T, Trouble>;
}

impl<T, E: Display> While<T> for Result<T, E> {
    fn harness(self, doing: &str) -> Result<T, Trouble> {
        self.map_err(|error| Trouble::Harness(format!("{doing}: {error}")))
    }

    fn must(self, doing: &str) -> Result<T, Trouble> {
        self.map_err(|error| Trouble::Violation(format!("{doing}: {error}")))
    }
}
