//! A run as it goes: a line an agent and a bar for the whole on a terminal, plain lines elsewhere,
//! nothing with `--json`.

use std::collections::BTreeMap;
use std::io::IsTerminal;
use std::time::Duration;

use indicatif::{MultiProgress, ProgressBar, ProgressStyle};
use tress::{Event, Operation, Role, State, TodoId};

use crate::output::{Output, Tone};
use crate::time::clock_seconds;
use crate::words::{describe, quoted, short};

/// How often the spinners turn.
const TICK: Duration = Duration::from_millis(120);

/// Shows a run as it goes.
pub(crate) struct Live {
    out: Output,
    bars: Option<Bars>,
}

struct Bars {
    all: MultiProgress,
    whole: ProgressBar,
    agents: BTreeMap<String, ProgressBar>,
}

impl Live {
    /// Shows on a terminal, in lines, or not at all, as fits.
    pub(crate) fn new(out: &Output, state: &State) -> Self {
        let fancy =
            !out.json() && std::io::stderr().is_terminal() && std::io::stdout().is_terminal();
        let bars = fancy.then(|| {
            let all = MultiProgress::new();
            let whole = all.add(ProgressBar::new(0));
            let style =
                ProgressStyle::with_template("  {bar:24} {pos}/{len} todos  {elapsed}  {msg}");
            if let Ok(style) = style {
                whole.set_style(style.progress_chars("━━─"));
            }
            whole.enable_steady_tick(TICK);
            Bars { all, whole, agents: BTreeMap::new() }
        });
        let mut live = Self { out: out.clone(), bars };
        live.count(state);
        live
    }

    /// Shows what an event brought.
    pub(crate) fn event(&mut self, state: &State, event: &Event) {
        self.count(state);
        self.agent(state, event);
        let shown = match self.bars {
            // What is under way is in the bars; lines are for what came of it.
            Some(_) => is_milestone(&event.operation),
            None => worth_a_line(&event.operation),
        };
        if shown {
            self.line(&self.sentence(state, event));
        }
    }

    /// Prints a line of its own, above the bars.
    pub(crate) fn line(&self, text: &str) {
        match &self.bars {
            _ if self.out.json() => {}
            Some(bars) => {
                let _ = bars.all.println(text);
            }
            None => {
                let _ = self.out.text(text);
            }
        }
    }

    /// Takes the bars away.
    pub(crate) fn end(self) {
        if let Some(bars) = self.bars {
            bars.agents.values().for_each(ProgressBar::finish_and_clear);
            bars.whole.finish_and_clear();
        }
    }

    fn count(&mut self, state: &State) {
        let Some(bars) = &self.bars else { return };
        let done = state.todos.len() - state.todos.unfinished().count();
        bars.whole.set_length(state.todos.len() as u64);
        bars.whole.set_position(done as u64);
        let alerts = state.team.open_alerts().len();
        if alerts > 0 {
            bars.whole.set_message(format!("{alerts} alerts"));
        } else {
            bars.whole.set_message("");
        }
    }

    fn agent(&mut self, state: &State, event: &Event) {
        let Some(bars) = &mut self.bars else { return };
        let name = event.author.name.to_string();
        if event.author.role == Role::Human || !worth_a_line(&event.operation) {
            return;
        }
        if matches!(event.operation, Operation::AgentLeft { .. }) {
            if let Some(bar) = bars.agents.remove(&name) {
                bar.finish_and_clear();
                bars.all.remove(&bar);
            }
            return;
        }
        let bar = bars.agents.entry(name).or_insert_with_key(|name| {
            let bar = bars.all.insert_before(&bars.whole, ProgressBar::new_spinner());
            if let Ok(style) = ProgressStyle::with_template("  {spinner} {prefix:15} {wide_msg}") {
                bar.set_style(style);
            }
            bar.set_prefix(name.clone());
            bar.enable_steady_tick(TICK);
            bar
        });
        let about = event.operation.todo().map(|todo| about(state, todo)).unwrap_or_default();
        let phrase = describe(&event.operation, state, event.moment());
        bar.set_message(match about.as_str() {
            "" => phrase,
            about => format!("{about}  {phrase}"),
        });
    }

    fn sentence(&self, state: &State, event: &Event) -> String {
        let tone = match event.operation {
            Operation::Integrated { .. } => Tone::Good,
            Operation::AttemptFailed { .. }
            | Operation::IntegrationFailed { .. }
            | Operation::BlockerRaised { .. } => Tone::Bad,
            Operation::Verified { verdict, .. } if verdict != tress::operation::Verdict::Pass => {
                Tone::Bad
            }
            _ => Tone::Plain,
        };
        let at = self.out.paint(Tone::Dim, &clock_seconds(event.moment(), event.moment()));
        let name = short(&event.author.name, 20);
        let about = event.operation.todo().map(|todo| short(&state.name(todo), 16));
        let about = about.unwrap_or_default();
        let before = 8 + 2 + name.chars().count().max(14) + 1 + about.chars().count().max(10) + 1;
        let room = self.out.columns().map_or(160, |columns| columns.saturating_sub(before).max(20));
        let phrase = short(&describe(&event.operation, state, event.moment()), room);
        format!("{at}  {name:14} {about:10} {}", self.out.paint(tone, &phrase))
    }
}

fn about(state: &State, id: TodoId) -> String {
    let title = state.todo(id).map(|todo| quoted(&short(&todo.title, 40))).unwrap_or_default();
    format!("{} {title}", short(&state.name(id), 20))
}

/// Whether an event is worth a line of its own, beside the many that only keep things going.
fn worth_a_line(operation: &Operation) -> bool {
    use Operation as O;
    !matches!(
        operation,
        O::Renewed { .. }
            | O::CheckRecorded { .. }
            | O::ArtifactRecorded { .. }
            | O::TaskStarted { .. }
            | O::AgentReported { .. }
            | O::MetricsRecorded { .. }
            | O::LossAcknowledged { .. }
            | O::AlertCleared { .. }
    ) && !repeats(operation)
}

/// Whether it says again what the event before it said.
fn repeats(operation: &Operation) -> bool {
    matches!(operation, Operation::AlertRaised { alert, .. } if alert.starts_with("false-completion"))
}

/// Whether it is something that came of work, for good or bad.
fn is_milestone(operation: &Operation) -> bool {
    use Operation as O;
    let refused = match operation {
        O::Verified { verdict, .. } => *verdict != tress::operation::Verdict::Pass,
        _ => false,
    };
    refused
        || matches!(
            operation,
            O::Integrated { .. }
                | O::IntegrationFailed { .. }
                | O::AttemptFailed { .. }
                | O::BlockerRaised { .. }
                | O::CheckpointTaken { .. }
                | O::PlanMade { .. }
                | O::RunPaused { .. }
                | O::RunFinished { .. }
        )
}
