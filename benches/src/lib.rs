//! What our benchmarks and those with rivals share: histories, figures, two peers that talk.

pub mod durable;
pub mod figure;
pub mod growth;
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

/// Events a second.
pub fn rate(events: usize, took: std::time::Duration) -> f64 {
    events as f64 / took.as_secs_f64()
}

/// How many files lie in `dir`, and how many bytes they have together.
///
/// # Errors
/// When it cannot be read.
pub fn size(dir: &std::path::Path) -> std::io::Result<(usize, u64)> {
    let (mut files, mut bytes) = (0, 0);
    for entry in std::fs::read_dir(dir)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            let below = size(&entry.path())?;
            (files, bytes) = (files + below.0, bytes + below.1);
        } else {
            (files, bytes) = (files + 1, bytes + entry.metadata()?.len());
        }
    }
    Ok((files, bytes))
}
