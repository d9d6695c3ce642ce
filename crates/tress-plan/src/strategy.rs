//! Strategy: how careful and how parallel the team works, and when that changes.
//!
//! A strategy lives in the run's settings; each change is an event that names the figure, its
//! threshold and its window. docs/PLANNING.md has the thresholds.

use tress_model::operation::Operation;
use tress_model::{Millis, State};

use crate::metrics::Figures;

/// How far todos are kept apart that are worked on at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Isolation {
    /// By the files that they declare, and what active claims have reserved.
    Declared,
    /// Also by the files that similar todos touched.
    Predicted,
    /// By the directories of all these files.
    Directories,
}

impl Isolation {
    /// Its name in the run's settings.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Declared => "declared",
            Self::Predicted => "predicted",
            Self::Directories => "directories",
        }
    }

    const fn more(self) -> Option<Self> {
        match self {
            Self::Declared => Some(Self::Predicted),
            Self::Predicted => Some(Self::Directories),
            Self::Directories => None,
        }
    }
}

/// How closely claims of completion are looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Thoroughness {
    /// As the run's terms and the todo's risk say.
    Normal,
    /// The tests of all todos are tested, too.
    Thorough,
}

impl Thoroughness {
    /// Its name in the run's settings.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Normal => "normal",
            Self::Thorough => "thorough",
        }
    }
}

/// How the team works at a moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Strategy {
    /// How far todos are kept apart.
    pub isolation: Isolation,
    /// How closely claims of completion are looked at.
    pub verification: Thoroughness,
    /// How many agents work at once, at the most.
    pub parallel: u32,
    /// How many small similar todos one agent takes at once, at the most.
    pub batch: u32,
    /// Whether work goes to whoever is free, without regard to assignment, batches and affinity.
    pub spread: bool,
}

/// The most todos of one batch.
pub const BATCH_MAX: u32 = 8;

impl Default for Strategy {
    fn default() -> Self {
        Self {
            isolation: Isolation::Predicted,
            verification: Thoroughness::Normal,
            parallel: u32::MAX,
            batch: 3,
            spread: false,
        }
    }
}

/// One change of a strategy, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StrategyChange {
    /// The name of the setting.
    pub setting: &'static str,
    /// What it was.
    pub from: String,
    /// What it is.
    pub to: String,
    /// The figure, its threshold and its window.
    pub reason: String,
}

impl StrategyChange {
    /// The change as an operation of the coordinator.
    pub fn operation(&self) -> Operation {
        Operation::StrategyChanged {
            setting: self.setting.to_owned(),
            from: self.from.clone(),
            to: self.to.clone(),
            reason: self.reason.clone(),
        }
    }
}

impl Strategy {
    /// The strategy with which `implementers` agents begin.
    pub fn starting(implementers: u32) -> Self {
        Self { parallel: implementers.max(1), ..Self::default() }
    }

    /// The strategy that the run's settings name; what they do not name, or name wrongly, is as
    /// in [`Strategy::default`], and as many work as the plan has implementers.
    pub fn of(state: &State) -> Self {
        let planned = state.team.plan.as_ref().map(|(implementers, _, _)| *implementers);
        let base = planned.map_or_else(Self::default, Self::starting);
        let text = |name: &str| state.team.settings.get(name).map(String::as_str);
        let number = |name: &str| text(name).and_then(|value| value.parse::<u32>().ok());
        Self {
            isolation: match text("isolation") {
                Some("declared") => Isolation::Declared,
                Some("predicted") => Isolation::Predicted,
                Some("directories") => Isolation::Directories,
                _ => base.isolation,
            },
            verification: match text("verification") {
                Some("normal") => Thoroughness::Normal,
                Some("thorough") => Thoroughness::Thorough,
                _ => base.verification,
            },
            parallel: number("parallel").unwrap_or(base.parallel).max(1),
            batch: number("batch").unwrap_or(base.batch).clamp(1, BATCH_MAX),
            spread: text("spread").map_or(base.spread, |value| value == "true"),
        }
    }

    /// The strategy as settings of a run: name and value.
    pub fn settings(&self) -> [(&'static str, String); 5] {
        [
            ("isolation", self.isolation.name().to_owned()),
            ("verification", self.verification.name().to_owned()),
            ("parallel", self.parallel.to_string()),
            ("batch", self.batch.to_string()),
            ("spread", self.spread.to_string()),
        ]
    }

    /// What has to change for `self` to become `to`, because of `reason`.
    fn changes(&self, to: &Self, reason: &str) -> Vec<StrategyChange> {
        let (from, to) = (self.settings(), to.settings());
        let pairs = from.into_iter().zip(to).filter(|((_, from), (_, to))| from != to);
        let change = |((setting, from), (_, to))| StrategyChange {
            setting,
            from,
            to,
            reason: reason.to_owned(),
        };
        pairs.map(change).collect()
    }
}

/// At which value of a figure a reaction begins, and at which it ends.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Threshold {
    /// The reaction begins above this.
    pub enter: f64,
    /// The figure counts as well again at or below this.
    pub leave: f64,
}

/// More conflicts than this: isolate more.
pub const CONFLICTS: Threshold = Threshold { enter: 0.1, leave: 0.05 };
/// More idle time than this: redistribute.
pub const IDLE: Threshold = Threshold { enter: 0.2, leave: 0.1 };
/// More rework than this: verify more.
pub const REWORK: Threshold = Threshold { enter: 0.15, leave: 0.075 };
/// So many samples a figure has to have before it is acted on.
pub const SAMPLES_MIN: u64 = 5;
/// So many todos are completed after a change of a setting before it is changed again.
pub const COOL_DOWN: u64 = 5;

/// What is to change at `now`, with `max` agents at hand: at most one reaction at a time, in the
/// order conflicts, rework, idle time; and more parallel work where all three are well.
pub fn adapt(strategy: &Strategy, figures: &Figures, now: Millis, max: u32) -> Vec<StrategyChange> {
    let _ = now;
    if figures.completed_since_change.is_some_and(|completed| completed < COOL_DOWN) {
        return Vec::new();
    }
    let mut to = strategy.clone();
    let known = |samples: u64| samples >= SAMPLES_MIN;
    let (conflicts, rework, idle) = (figures.conflict_rate, figures.rework_rate, figures.idle);
    let conflicting = known(figures.integrations);
    let reworking = known(figures.decided);
    let idling = figures.completed >= SAMPLES_MIN;
    if conflicting && conflicts > CONFLICTS.enter {
        let reason = above(
            "conflict rate",
            conflicts,
            CONFLICTS,
            figures.integrations,
            "attempts to integrate",
        );
        match strategy.isolation.more() {
            Some(more) => to.isolation = more,
            None => to.parallel = fewer(strategy.parallel, max),
        }
        let changes = strategy.changes(&to, &format!("{reason}: isolate more"));
        if !changes.is_empty() {
            return changes;
        }
    }
    if reworking && rework > REWORK.enter && strategy.verification == Thoroughness::Normal {
        let reason = above("rework rate", rework, REWORK, figures.decided, "claims of completion");
        to.verification = Thoroughness::Thorough;
        return strategy.changes(&to, &format!("{reason}: verify more"));
    }
    if idling && idle > IDLE.enter && !strategy.spread {
        let reason = above("idle time", idle, IDLE, figures.window, "completed todos");
        to.spread = true;
        return strategy.changes(&to, &format!("{reason}: redistribute"));
    }
    relax(strategy, figures, max)
}

/// One less than `parallel`, but not less than three quarters of `max`: to work on less at once
/// costs more than the conflicts do that it spares.
fn fewer(parallel: u32, max: u32) -> u32 {
    let least = max.saturating_mul(3).div_ceil(4).max(1);
    parallel.min(max).saturating_sub(1).max(least.min(parallel))
}

/// What is taken back or added because everything goes well, one step at a time.
fn relax(strategy: &Strategy, figures: &Figures, max: u32) -> Vec<StrategyChange> {
    let mut to = strategy.clone();
    let known = |samples: u64| samples >= SAMPLES_MIN;
    let calm = known(figures.integrations) && figures.conflict_rate <= CONFLICTS.leave;
    let sound = known(figures.decided) && figures.rework_rate <= REWORK.leave;
    let busy = known(figures.completed) && figures.idle <= IDLE.leave;
    if sound && strategy.verification == Thoroughness::Thorough {
        to.verification = Thoroughness::Normal;
        let reason = below(
            "rework rate",
            figures.rework_rate,
            REWORK,
            figures.decided,
            "claims of completion",
        );
        return strategy.changes(&to, &format!("{reason}: verify as usual"));
    }
    if busy && strategy.spread {
        to.spread = false;
        let reason = below("idle time", figures.idle, IDLE, figures.window, "completed todos");
        return strategy.changes(&to, &format!("{reason}: distribute as usual"));
    }
    let well = calm && figures.rework_rate <= REWORK.enter && figures.idle <= IDLE.enter;
    if well && known(figures.decided) && strategy.parallel < max {
        to.parallel = strategy.parallel + 1;
        let reason = format!(
            "conflict rate {:.2}, rework rate {:.2} and idle time {:.2} are within their bounds \
             over the last {} completed todos: more in parallel",
            figures.conflict_rate, figures.rework_rate, figures.idle, figures.window
        );
        return strategy.changes(&to, &reason);
    }
    if calm && strategy.isolation == Isolation::Directories && figures.idle > IDLE.enter {
        to.isolation = Isolation::Predicted;
        let reason = below(
            "conflict rate",
            figures.conflict_rate,
            CONFLICTS,
            figures.integrations,
            "attempts to integrate",
        );
        return strategy.changes(&to, &format!("{reason}, and agents are idle: isolate less"));
    }
    Vec::new()
}

fn above(figure: &str, value: f64, threshold: Threshold, samples: u64, of: &str) -> String {
    format!("{figure} {value:.2} > {} over the last {samples} {of}", threshold.enter)
}

fn below(figure: &str, value: f64, threshold: Threshold, samples: u64, of: &str) -> String {
    format!("{figure} {value:.2} <= {} over the last {samples} {of}", threshold.leave)
}
