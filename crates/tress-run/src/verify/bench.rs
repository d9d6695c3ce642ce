//! The bench that work is tested on: one clean work tree, and commands that run in it.

use std::path::Path;
use std::pin::Pin;
use std::time::Duration;

use tress::operation::{Check, Layer, Verdict};

use crate::execute::process::{self, Ending, Finished, Job};
use crate::git::Tree;

/// Ready when the work must end.
pub type Stopping<'a> = Pin<Box<dyn Future<Output = ()> + Send + 'a>>;

/// Where commands run, and for how long.
#[derive(Clone, Copy)]
pub struct Bench<'a> {
    /// The work tree; what it shows is changed at will.
    pub tree: &'a Tree,
    /// Variables of the commands.
    pub env: &'a [(String, String)],
    /// How long one command may take.
    pub timeout: Duration,
    /// Where the process id is kept while one runs.
    pub pid_file: Option<&'a Path>,
    /// Gives a future that is ready when everything is to stop.
    pub stop: &'a (dyn Fn() -> Stopping<'a> + Sync),
}

impl std::fmt::Debug for Bench<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Bench").field("tree", &self.tree.dir()).finish_non_exhaustive()
    }
}

impl Bench<'_> {
    /// Runs a command line in the work tree.
    pub async fn run(&self, command: &str) -> Finished {
        let job = Job {
            command: command.to_owned(),
            dir: self.tree.dir().to_owned(),
            env: self.env.to_vec(),
            log: None,
            pid_file: self.pid_file.map(Path::to_owned),
            timeout: Some(self.timeout),
        };
        process::run(&job, (self.stop)()).await
    }

    /// Runs a command that must succeed, and gives the evidence.
    pub async fn must_succeed(&self, layer: Layer, name: &str, command: &str) -> Check {
        evidence(layer, name, command, &self.run(command).await)
    }
}

/// What a command that must succeed came to. That it cannot be run says nothing about the work.
pub fn evidence(layer: Layer, name: &str, command: &str, finished: &Finished) -> Check {
    let (verdict, exit_code) = match &finished.ending {
        Ending::Exited(0) => (Verdict::Pass, Some(0)),
        // The shell's own words for "there is no such program" and "it cannot be run".
        Ending::Exited(code @ (126 | 127)) => (Verdict::Unknown, Some(*code)),
        Ending::Exited(code) => (Verdict::Fail, Some(*code)),
        Ending::Signalled(_) | Ending::TimedOut => (Verdict::Fail, None),
        Ending::Stopped | Ending::NotStarted(_) => (Verdict::Unknown, None),
    };
    let detail = match verdict {
        Verdict::Pass => String::new(),
        _ => format!("{}\n{}", finished.ending, finished.tail()).trim_end().to_owned(),
    };
    Check {
        layer,
        name: name.to_owned(),
        command: Some(command.to_owned()),
        exit_code,
        tree: None,
        verdict,
        detail,
        took: u64::try_from(finished.took.as_millis()).unwrap_or(u64::MAX),
    }
}

/// Evidence of a look that was taken, without a command.
pub fn look(layer: Layer, name: &str, verdict: Verdict, detail: impl Into<String>) -> Check {
    Check {
        layer,
        name: name.to_owned(),
        command: None,
        exit_code: None,
        tree: None,
        verdict,
        detail: detail.into(),
        took: 0,
    }
}
