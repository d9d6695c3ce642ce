//! The events of a run one after the other, and what each changed.

use std::io::{BufRead, IsTerminal};
use std::pin::Pin;
use std::time::Duration;

use serde::Serialize;
use tokio::sync::mpsc;
use tress::diff::statuses;
use tress::{Event, Millis, State};

use super::Filter;
use super::source::Source;
use crate::commands::log::{EventView, sentence_at};
use crate::context::Context;
use crate::failure::Failure;
use crate::interrupt::interrupted;
use crate::output::{Output, Tone};
use crate::time::clock_seconds;
use crate::words::{clean, count, short};

/// The longest wait between two events.
const WAIT_MAX: Duration = Duration::from_secs(2);
/// So much text is gathered before it is written, where nobody waits for each line.
const GATHERED: usize = 1 << 16;
/// So many todos that an event set free are named in a line.
const NAMED: usize = 3;

/// How fast events are told.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Speed {
    /// So many times as fast as life.
    Times(f64),
    /// Without waiting.
    Max,
}

impl Speed {
    /// What `--speed` says.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        if text == "max" {
            return Ok(Self::Max);
        }
        match text.trim_end_matches('x').parse::<f64>() {
            Ok(times) if times.is_finite() && times > 0.0 => Ok(Self::Times(times)),
            _ => Err("a speed is a number above 0 (60: an hour in a minute), or max".to_owned()),
        }
    }

    /// How long to wait where life waited `apart`.
    fn wait(self, apart: Millis) -> Duration {
        match self {
            Self::Max => Duration::ZERO,
            // In seconds, of which a float holds more than anybody lives.
            Self::Times(times) => {
                let seconds = Duration::from_millis(apart).as_secs_f64() / times;
                Duration::try_from_secs_f64(seconds).unwrap_or(WAIT_MAX).min(WAIT_MAX)
            }
        }
    }
}

/// What comes between two events.
pub(super) enum Pace {
    /// Nothing.
    Through,
    /// The time that passed in life, more or less.
    Speed(Speed),
    /// Somebody at the keyboard.
    Keys,
}

impl Pace {
    /// What the options ask for; keys only where somebody can press them.
    pub(super) fn new(step: bool, speed: Option<Speed>) -> Self {
        let people = std::io::stdin().is_terminal() && std::io::stdout().is_terminal();
        match speed {
            Some(speed) => Self::Speed(speed),
            None if step && people => Self::Keys,
            None => Self::Through,
        }
    }
}

/// An event, and what it changed, as scripts see it.
#[derive(Serialize)]
pub(super) struct StepView {
    #[serde(flatten)]
    event: EventView,
    /// What it changed, in words.
    changed: Vec<String>,
}

/// How far it was played.
pub(super) struct Played {
    /// How many events were folded.
    pub(super) folded: usize,
    /// How many of them were told.
    pub(super) told: usize,
    /// What they fold to.
    pub(super) state: State,
    /// Whether somebody ended it.
    pub(super) stopped: bool,
}

/// Folds the events one after the other, and gives each that is wanted with the states before and
/// after it. States are persistent, so that keeping the one before costs next to nothing.
fn fold<'a>(
    source: &'a Source,
    filter: &'a Filter,
) -> impl Iterator<Item = (usize, &'a Event, State, State)> + 'a {
    let mut state = State::default();
    source.events.iter().enumerate().filter_map(move |(index, event)| {
        let wanted = !source.before.contains(event.dot) && filter.wants(event);
        let before = wanted.then(|| state.clone());
        if source.left_out.contains(&event.dot) {
            state.pass_over(event);
        } else {
            state.apply(event);
        }
        before.map(|before| (index, &**event, before, state.clone()))
    })
}

/// Every event that is wanted, for scripts.
pub(super) fn steps(source: &Source, filter: &Filter) -> Vec<StepView> {
    let view = |(_, event, before, after): (usize, &Event, State, State)| StepView {
        event: EventView::new(event, &source.state, source.now),
        changed: changed(&before, &after, event, &source.state),
    };
    fold(source, filter).map(view).collect()
}

/// What an event changed, in words: where todos stand now, and what a rule decided.
fn changed(before: &State, after: &State, event: &Event, names: &State) -> Vec<String> {
    let now = event.time.millis;
    let own = event.operation.todo();
    let mut told = Vec::new();
    let (mine, others): (Vec<_>, Vec<_>) = statuses(before, after, (now, now))
        .into_iter()
        .filter_map(|(id, before, after)| Some((id, before?, after?)))
        .partition(|(id, ..)| own == Some(*id));
    let turn = |before: tress::Status, after: tress::Status| format!("{before} -> {after}");
    told.extend(mine.into_iter().map(|(_, before, after)| turn(before, after)));
    for (id, before, after) in others.iter().take(NAMED) {
        told.push(format!("{}: {}", short(&names.name(*id), 60), turn(*before, *after)));
    }
    if let Some(more) = others.len().checked_sub(NAMED).filter(|more| *more > 0) {
        told.push(format!("and {} more", count(more, "todo")));
    }
    let all = |state: &State| state.ledger.len() as u64 + state.ledger_cut;
    let new = usize::try_from(all(after).saturating_sub(all(before))).unwrap_or(usize::MAX);
    let entries = after.ledger.iter().skip(after.ledger.len().saturating_sub(new));
    told.extend(entries.map(|entry| {
        let (rule, agent) = (entry.rule, short(&entry.agent, 40));
        format!("rule {rule}: {agent} lost, {}", short(&entry.detail, 100))
    }));
    told
}

/// One event and what it changed, in a line or two.
fn line(out: &Output, names: &State, event: &Event, changed: &[String], now: Millis) -> String {
    let sentence = clean(&sentence_at(&clock_seconds(event.moment(), now), names, event, now));
    if changed.is_empty() {
        return sentence;
    }
    let tone =
        if changed.iter().any(|what| what.starts_with("rule ")) { Tone::Bad } else { Tone::Busy };
    let what = changed.join("; ");
    let room = out.columns().unwrap_or(usize::MAX);
    let between = if sentence.chars().count() + what.chars().count() + 5 > room {
        "\n         "
    } else {
        "  "
    };
    format!("{sentence}{between}{}", out.paint(tone, &format!("[{what}]")))
}

/// Tells the events that are wanted at the pace that was asked for, and says how far it came.
pub(super) async fn play(
    context: &Context,
    source: &Source,
    filter: &Filter,
    pace: Pace,
) -> Result<Played, Failure> {
    let (out, now) = (&context.out, tress::now());
    let all = State::clone(&source.state);
    let mut played = Played { folded: source.events.len(), told: 0, state: all, stopped: false };
    let wanted = |event: &Event| !source.before.contains(event.dot) && filter.wants(event);
    let count = source.events.iter().filter(|event| wanted(event)).count();
    let mut between = Between::new(pace, count);
    let mut gathered = String::new();
    let mut last: Option<Millis> = None;
    for (index, event, before, after) in fold(source, filter) {
        let apart = last.map_or(0, |last| event.moment().saturating_sub(last));
        if between.waits(apart) && !gathered.is_empty() {
            out.text(&std::mem::take(&mut gathered))?;
        }
        if !between.go_on(out, apart, played.told).await? {
            played.stopped = true;
            played.folded = index;
            played.state = before;
            break;
        }
        last = Some(event.moment());
        played.told += 1;
        let changed = changed(&before, &after, event, &source.state);
        gathered.push_str(&line(out, &source.state, event, &changed, now));
        gathered.push('\n');
        if between.waits(0) || gathered.len() >= GATHERED {
            out.text(&std::mem::take(&mut gathered))?;
        }
    }
    if !gathered.is_empty() {
        out.text(&gathered)?;
    }
    Ok(played)
}

/// What comes between two events, while they are told.
struct Between {
    pace: Pace,
    count: usize,
    /// How many events may pass before a key is asked for again.
    free: usize,
    keys: Option<mpsc::UnboundedReceiver<String>>,
    stop: Pin<Box<dyn Future<Output = ()>>>,
}

impl Between {
    fn new(pace: Pace, count: usize) -> Self {
        let keys = matches!(pace, Pace::Keys).then(lines);
        Self { pace, count, free: 1, keys, stop: Box::pin(interrupted()) }
    }

    /// Whether there is a wait before an event that came `apart` after the one before.
    fn waits(&self, apart: Millis) -> bool {
        match self.pace {
            Pace::Through => false,
            Pace::Keys => true,
            Pace::Speed(speed) => !speed.wait(apart).is_zero(),
        }
    }

    /// Waits; says whether to go on.
    async fn go_on(&mut self, out: &Output, apart: Millis, told: usize) -> Result<bool, Failure> {
        let Some(keys) = &mut self.keys else {
            let wait = match self.pace {
                Pace::Speed(speed) => speed.wait(apart),
                _ => Duration::ZERO,
            };
            return Ok(tokio::select! {
                biased;
                () = &mut self.stop => false,
                () = pause(wait) => true,
            });
        };
        if self.free > 0 {
            self.free -= 1;
            return Ok(true);
        }
        loop {
            let ask = format!("{told} of {}: enter, a number, or q ", self.count);
            out.bytes(out.paint(Tone::Dim, &ask).as_bytes())?;
            let key = tokio::select! {
                () = &mut self.stop => None,
                key = keys.recv() => key,
            };
            let Some(key) = key else {
                out.text("")?;
                return Ok(false);
            };
            // The question goes, so that the events stand one below the other.
            if out.colours() {
                out.bytes(b"\x1b[1A\x1b[2K")?;
            }
            match key.trim() {
                "" => return Ok(true),
                "q" | "quit" => return Ok(false),
                number => match number.parse::<usize>() {
                    Ok(number) if number > 0 => {
                        self.free = number - 1;
                        return Ok(true);
                    }
                    _ => continue,
                },
            }
        }
    }
}

async fn pause(wait: Duration) {
    if wait.is_zero() {
        tokio::task::yield_now().await;
    } else {
        tokio::time::sleep(wait).await;
    }
}

/// The lines that somebody types. They are read by a thread of their own, which nobody waits for.
fn lines() -> mpsc::UnboundedReceiver<String> {
    let (send, receive) = mpsc::unbounded_channel();
    std::thread::spawn(move || {
        for line in std::io::stdin().lock().lines().map_while(Result::ok) {
            if send.send(line).is_err() {
                return;
            }
        }
    });
    receive
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn speeds_are_read_and_waits_are_bounded() {
        assert_eq!(Speed::parse("max"), Ok(Speed::Max));
        assert_eq!(Speed::parse("60x"), Ok(Speed::Times(60.0)));
        for wrong in ["0", "-1", "nan", "inf", "fast", ""] {
            assert!(Speed::parse(wrong).is_err(), "{wrong}");
        }
        assert_eq!(Speed::Max.wait(3_600_000), Duration::ZERO);
        assert_eq!(Speed::Times(60.0).wait(60_000), Duration::from_secs(1));
        assert_eq!(Speed::Times(1.0).wait(3_600_000), WAIT_MAX);
        assert_eq!(Speed::Times(f64::MIN_POSITIVE).wait(Millis::MAX), WAIT_MAX);
    }
}
