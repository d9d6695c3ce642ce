//! The terms of a run: what is asked for at the start and kept in the log for `resume`.

use std::time::Duration;

use tress::limits;

/// The terms of a run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Options {
    /// What the run is about.
    pub title: String,
    /// The command line of an agent; see [`crate::CommandDriver`] for what it may name.
    pub command: String,
    /// How many implementers; by the number of todos where it is not given.
    pub scale: Option<u32>,
    /// The command that must succeed for todos that name none.
    pub check: Option<String>,
    /// The branch that work is integrated into.
    pub branch: String,
    /// How long an agent may work on a todo.
    pub agent_timeout: Duration,
    /// How long a check may take.
    pub check_timeout: Duration,
    /// How long to wait after the first failure of an attempt; doubled with each further one.
    pub retry_after: Duration,
    /// How many attempts in vain before a todo is escalated.
    pub attempts: usize,
    /// How long a claim lasts without a sign of life.
    pub lease: Duration,
    /// A checkpoint is taken after so many completed todos.
    pub checkpoint_every: usize,
}

impl Options {
    /// The default terms for a run that integrates into `branch` with agents started by `command`.
    pub fn new(command: impl Into<String>, branch: impl Into<String>) -> Self {
        Self {
            title: String::new(),
            command: command.into(),
            scale: None,
            check: None,
            branch: branch.into(),
            agent_timeout: Duration::from_secs(60 * 60),
            check_timeout: Duration::from_secs(10 * 60),
            retry_after: Duration::from_secs(5),
            attempts: 6,
            lease: Duration::from_millis(limits::LEASE_DEFAULT),
            checkpoint_every: 5,
        }
    }

    /// The terms as settings of the run, for the log.
    pub fn settings(&self) -> Vec<(String, String)> {
        let millis = |duration: Duration| duration.as_millis().to_string();
        let mut settings = vec![
            ("command", self.command.clone()),
            ("branch", self.branch.clone()),
            ("agent_timeout_ms", millis(self.agent_timeout)),
            ("check_timeout_ms", millis(self.check_timeout)),
            ("retry_after_ms", millis(self.retry_after)),
            ("attempts", self.attempts.to_string()),
            ("lease_ms", millis(self.lease)),
            ("checkpoint_every", self.checkpoint_every.to_string()),
        ];
        settings.extend(self.scale.map(|scale| ("scale", scale.to_string())));
        settings.extend(self.check.clone().map(|check| ("check", check)));
        settings.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
    }

    /// The terms under which a run was started; `None` where it was not started by an
    /// orchestrator.
    pub fn from_state(state: &tress::State) -> Option<Self> {
        let settings = &state.team.settings;
        let text = |name: &str| settings.get(name).cloned();
        let number = |name: &str| settings.get(name).and_then(|value| value.parse::<u64>().ok());
        let mut options = Self::new(text("command")?, text("branch")?);
        options.title.clone_from(&state.team.title);
        options.check = text("check");
        options.scale = number("scale").and_then(|scale| u32::try_from(scale).ok());
        for (name, field) in [
            ("agent_timeout_ms", &mut options.agent_timeout),
            ("check_timeout_ms", &mut options.check_timeout),
            ("retry_after_ms", &mut options.retry_after),
            ("lease_ms", &mut options.lease),
        ] {
            if let Some(millis) = number(name) {
                *field = Duration::from_millis(millis);
            }
        }
        for (name, field) in [
            ("attempts", &mut options.attempts),
            ("checkpoint_every", &mut options.checkpoint_every),
        ] {
            if let Some(value) = number(name).and_then(|value| usize::try_from(value).ok()) {
                *field = value;
            }
        }
        Some(options)
    }
}
