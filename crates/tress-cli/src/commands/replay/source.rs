//! Where a replay takes its events from: the store, or a run file.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;

use tress::{
    CheckpointCheck, Dot, Item, Log, Millis, Rejection, RunFile, State, StoreError, VersionVector,
    When,
};

use super::Events;
use crate::context::{Context, Moment};
use crate::failure::{Code, Failure};
use crate::time::{length, parse_when, rfc3339};
use crate::words::count;

/// What to do about a file that is not whole.
const AGAIN: &str = "export the run again from a store that is whole";

/// Which stretch is asked for.
pub(super) struct Span<'a> {
    /// Up to where events are folded.
    pub(super) until: Option<&'a str>,
    /// From where on they are told.
    pub(super) from: Option<&'a str>,
}

/// A run to be replayed.
pub(super) struct Source {
    /// Its name.
    pub(super) run: String,
    /// Its events up to the end of the stretch.
    pub(super) events: Events,
    /// Events that are not told, since they lie before the stretch.
    pub(super) before: VersionVector,
    /// Those of its events that have no effect, since it is a path without them.
    pub(super) left_out: Arc<BTreeSet<Dot>>,
    /// What they fold to.
    pub(super) state: Arc<State>,
    /// When leases are judged at the end.
    pub(super) now: Millis,
    /// Each checkpoint, where they were to be recomputed.
    pub(super) checks: Option<Vec<CheckpointCheck>>,
}

/// The run of the store.
pub(super) async fn from_store(
    context: &Context,
    span: &Span<'_>,
    check: bool,
) -> Result<Source, Failure> {
    let run = context.open().await?;
    let Moment { run, state, now, .. } = context.moment_of(run, span.until, tress::now()).await?;
    let before = match span.from {
        None => VersionVector::new(),
        Some(from) => {
            let when = parse_when(from, tress::now());
            let going = run.state_at(when);
            context.out.waiting("going back", going).await?.version.clone()
        }
    };
    let all = run.events_since(VersionVector::new());
    let mut events = context.out.waiting("reading the history", all).await?;
    events.retain(|event| state.version.contains(event.dot));
    let checks = if check {
        Some(context.out.waiting("recomputing the checkpoints", run.check()).await?)
    } else {
        None
    };
    let left_out = run.left_out().await?;
    Ok(Source { run: run.name().to_owned(), events, before, left_out, state, now, checks })
}

/// The run in a file. It comes in through the same door as one from the network.
pub(super) fn from_file(file: &Path, span: &Span<'_>, check: bool) -> Result<Source, Failure> {
    let (run, log) = open(file)?;
    let version_at = |text: &str| {
        let when = parse_when(text, tress::now());
        let version = log.version_at(&when).map_err(tress::Error::from)?;
        Ok::<_, Failure>((version, when))
    };
    let (version, when) = match span.until.map(version_at).transpose()? {
        Some((version, when)) => (version, Some(when)),
        None => (log.version().clone(), None),
    };
    let before = span.from.map(version_at).transpose()?;
    let before = before.map(|(version, _)| version).unwrap_or_default();
    let state = log.state_at(&version).map_err(tress::Error::from)?;
    let last = state.last.map(|last| last.time.millis).unwrap_or_default();
    let now = if let Some(When::Time(time)) = when { time } else { last };
    let known = log.events().iter().filter(|event| version.contains(event.dot));
    let events = known.cloned().collect();
    let checks = check.then(|| log.check_checkpoints());
    let left_out = Arc::clone(log.left_out());
    Ok(Source { run, events, before, left_out, state, now, checks })
}

/// The name of the run in a file, and its events as a log.
fn open(file: &Path) -> Result<(String, Log), Failure> {
    let bytes = std::fs::read(file).map_err(|error| Failure::file("read", file, &error))?;
    let decoded = tress::decode_run_file(file, &bytes);
    let RunFile { run, origin, items } = decoded.map_err(|error| match error {
        StoreError::Damaged(damage) if damage.reason.contains("not a run file") => {
            Failure::invalid(format!("{}: {}", damage.path.display(), damage.reason))
                .hint("`tress export run FILE` makes run files")
        }
        // Its message says what to do already.
        newer @ StoreError::NewerFormat { .. } => newer.into(),
        other => Failure::from(other).hint(AGAIN),
    })?;
    let segments = items.into_iter().filter_map(Item::into_hashed);
    let left_out = origin.map(|origin| Arc::new(origin.left_out)).unwrap_or_default();
    let (mut log, now) = (Log::new().leaving_out(left_out), tress::now());
    let admission = log.admit_all(segments, Some(now));
    let place = file.display();
    match admission.rejected.first() {
        None => {}
        Some((_, Rejection::Future { dot, ahead_ms })) => {
            let (at, ahead) = (rfc3339(now.saturating_add(*ahead_ms)), length(*ahead_ms));
            let message =
                format!("{place}: event {dot} is of {at}, {ahead} ahead of the clock here");
            return Err(Failure::new(Code::Invalid, message).hint(format!(
                "check the clocks: here it is {}, and that of the machine which wrote the run may \
                 be wrong",
                rfc3339(now)
            )));
        }
        Some((_, reason)) => {
            return Err(Failure::damaged(format!("{place}: {reason}")).hint(AGAIN));
        }
    }
    if admission.waiting > 0 {
        let waiting = count(admission.waiting, "stretch");
        let message = format!("{place}: {waiting} of events wait for events that are not in it");
        return Err(Failure::damaged(message).hint(AGAIN));
    }
    Ok((run, log))
}
