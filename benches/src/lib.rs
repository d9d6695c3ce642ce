//! What our benchmarks and those with rivals share: histories, figures, two peers that talk.

pub mod figure;
pub mod history;
pub mod random;
pub mod sync;
mod words;
pub mod workload;

/// How many events the run has.
pub const EVENTS: usize = 100_000;
/// What makes the history the same each time.
pub const SEED: u64 = 20_260_101;

/// Why something could not be measured.
#[derive(Debug)]
pub enum Failure {
    /// The history could not be made.
    History(&'static str),
    /// What was called gave an error.
    Other(String),
}

impl Failure {
    /// An error of what was called.
    pub fn other(error: impl std::fmt::Display) -> Self {
        Self::Other(error.to_string())
    }
}

impl std::fmt::Display for Failure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::History(reason) => write!(f, "no history could be made: {reason}"),
            Self::Other(reason) => f.write_str(reason),
        }
    }
}
