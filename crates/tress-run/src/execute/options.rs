//! The terms of a run: what is asked for at the start and kept in the log for `resume`.

use std::time::Duration;

use tress::{Millis, TodoId, limits};
use tress_plan::select::ANYTHING;

use crate::verify::Lint;

/// What the names of settings begin with that are budgets.
const BUDGET: &str = "budget_";

/// A duration as the log counts it.
fn millis(duration: Duration) -> Millis {
    Millis::try_from(duration.as_millis()).unwrap_or(Millis::MAX)
}

/// The terms of a run.
#[derive(Debug, Clone, PartialEq)]
pub struct Options {
    /// What the run is about.
    pub title: String,
    /// The command line of an agent; see [`crate::CommandDriver`] for what it may name.
    pub command: String,
    /// How many implementers; by the number of todos where it is not given.
    pub scale: Option<u32>,
    /// The command that must succeed for todos that name none.
    pub check: Option<String>,
    /// The command that runs the project's tests, for every todo.
    pub tests: Option<String>,
    /// The linters that a verifier runs.
    pub lint: Lint,
    /// Whether verifiers test the tests of every todo.
    pub thorough: bool,
    /// The command that is run when an alert is raised.
    pub on_alert: Option<String>,
    /// What may be used up, by unit (`tokens`, `usd`, `seconds`), before an alert is raised.
    pub budgets: Vec<(String, f64)>,
    /// What the implementers can do, in turn, for todos that ask for it.
    pub can: Vec<Vec<String>>,
    /// The only todo that the team is about; such a team says nothing of the run as a whole. Not
    /// kept.
    pub only: Option<TodoId>,
    /// The commit that the branch is made at; the project's own where it is not said. Not kept.
    pub from: Option<String>,
    /// Whether to go on from the branch as it is, though work that is recorded as integrated is not in it. Not kept.
    pub as_it_is: bool,
    /// Settings that were learned from earlier runs, by name.
    pub learned: Vec<(String, String)>,
    /// What makes ties fall the same way each time.
    pub seed: u64,
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
            tests: None,
            lint: Lint::Configured,
            thorough: false,
            on_alert: None,
            budgets: Vec::new(),
            can: Vec::new(),
            only: None,
            from: None,
            as_it_is: false,
            learned: Vec::new(),
            seed: 0,
            branch: branch.into(),
            agent_timeout: Duration::from_secs(60 * 60),
            check_timeout: Duration::from_secs(10 * 60),
            retry_after: Duration::from_secs(5),
            attempts: 6,
            lease: Duration::from_millis(limits::LEASE_DEFAULT),
            checkpoint_every: 5,
        }
    }

    /// What the `number`th implementer can do, from 1; anything, where it is not said.
    pub(crate) fn capabilities(&self, number: u32) -> Vec<String> {
        let place = usize::try_from(number.saturating_sub(1)).unwrap_or(usize::MAX);
        let said = self.can.get(place).or(self.can.last()).cloned().unwrap_or_default();
        if said.is_empty() { vec![ANYTHING.to_owned()] } else { said }
    }

    /// How long a claim lasts without a sign of life, as the log counts it.
    pub(crate) fn lease_ms(&self) -> Millis {
        millis(self.lease)
    }

    /// How long to wait after the first failure of an attempt, as the log counts it.
    pub(crate) fn retry_after_ms(&self) -> Millis {
        millis(self.retry_after)
    }

    /// The terms as settings of the run, for the log.
    pub fn settings(&self) -> Vec<(String, String)> {
        let mut settings = vec![
            ("command", self.command.clone()),
            ("branch", self.branch.clone()),
            ("agent_timeout_ms", millis(self.agent_timeout).to_string()),
            ("check_timeout_ms", millis(self.check_timeout).to_string()),
            ("retry_after_ms", self.retry_after_ms().to_string()),
            ("attempts", self.attempts.to_string()),
            ("lease_ms", self.lease_ms().to_string()),
            ("checkpoint_every", self.checkpoint_every.to_string()),
        ];
        settings.extend(self.scale.map(|scale| ("scale", scale.to_string())));
        settings.extend(self.check.clone().map(|check| ("check", check)));
        settings.extend(self.tests.clone().map(|tests| ("tests", tests)));
        settings.extend(self.on_alert.clone().map(|command| ("on_alert", command)));
        settings.push((
            "lint",
            match &self.lint {
                Lint::Configured => String::new(),
                Lint::Off => "off".to_owned(),
                Lint::Command(command) => command.clone(),
            },
        ));
        settings.push(("thorough", self.thorough.to_string()));
        settings.push(("seed", self.seed.to_string()));
        let can = self.can.iter().map(|can| can.join(" "));
        settings.push(("capabilities", can.collect::<Vec<_>>().join(",")));
        let named = settings.into_iter().map(|(name, value)| (name.to_owned(), value));
        let budgets = self.budgets.iter();
        let budgets = budgets.map(|(unit, most)| (format!("{BUDGET}{unit}"), most.to_string()));
        // What was asked for is said last, and holds.
        self.learned.iter().cloned().chain(named).chain(budgets).collect()
    }

    /// The terms under which a run was started; `None` where it was not started by an
    /// orchestrator.
    pub fn from_state(state: &tress::State) -> Option<Self> {
        let settings = &state.team.settings;
        // What came in with a path and is not the run's own is there and empty.
        let text = |name: &str| settings.get(name).filter(|value| !value.is_empty()).cloned();
        let number = |name: &str| settings.get(name).and_then(|value| value.parse::<u64>().ok());
        let mut options = Self::new(text("command")?, text("branch")?);
        options.title.clone_from(&state.team.title);
        options.check = text("check");
        options.tests = text("tests");
        options.on_alert = text("on_alert");
        options.lint = match text("lint").as_deref() {
            None | Some("") => Lint::Configured,
            Some("off") => Lint::Off,
            Some(command) => Lint::Command(command.to_owned()),
        };
        options.thorough = text("thorough").is_some_and(|thorough| thorough == "true");
        options.seed = number("seed").unwrap_or(0);
        let budgets = settings.iter().filter_map(|(name, most)| {
            let unit = name.strip_prefix(BUDGET)?;
            Some((unit.to_owned(), most.parse().ok()?))
        });
        options.budgets = budgets.collect();
        let can = text("capabilities").filter(|can| !can.is_empty());
        let words = |can: &str| can.split_whitespace().map(str::to_owned).collect();
        options.can = can.iter().flat_map(|can| can.split(',')).map(words).collect();
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

/// A budget as it is written: `usd=5`.
pub fn budget(text: &str) -> Option<(String, f64)> {
    let (unit, most) = text.split_once('=')?;
    let most = most.trim().parse().ok().filter(|most: &f64| most.is_finite() && *most > 0.0)?;
    Some((unit.trim().to_owned(), most)).filter(|(unit, _)| !unit.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;
    use tress::{Operation, Role, Store};

    /// `resume` goes on under the terms of the start, all of them.
    #[tokio::test]
    async fn terms_survive_the_log() {
        let mut options = Options::new("agent {prompt}", "tress/main");
        options.title = "a title".to_owned();
        options.scale = Some(4);
        options.check = Some("true".to_owned());
        options.tests = Some("cargo test".to_owned());
        options.lint = Lint::Command("ruff check".to_owned());
        options.thorough = true;
        options.on_alert = Some("notify".to_owned());
        options.budgets = vec![("tokens".to_owned(), 1e6), ("usd".to_owned(), 2.5)];
        options.can = vec![vec!["rust".to_owned(), "sql".to_owned()], Vec::new()];
        options.seed = 7;
        let run = Store::in_memory().expect("a store").create_run("main").await.expect("a run");
        let started = Operation::RunStarted {
            title: options.title.clone(),
            base: None,
            branch: None,
            settings: options.settings(),
        };
        run.agent("ada", Role::Human).append([started]).await.expect("appended");
        assert_eq!(Options::from_state(&run.state()), Some(options));
        assert_eq!(budget("usd=-1"), None);
    }
}
