//! The guard: ratios of what was measured in one run, side by side, with bounds that a change must keep.
//!
//! A bound lies well above what is there, so that a busy machine does not cross it, and well below what a
//! step back costs: a cost that grows with the history, a second hashing, a form that got larger.

use std::time::Duration;

use tress_bench::figure::{Figure, Times};
use tress_bench::workload::{self, STORE, Step};
use tress_engine::Log;
use tress_model::codec::{self, EventHasher};
use tress_model::event::Record;
use tress_model::{Dot, EventId, Segment};

use crate::Failure;

/// How often each is measured, in turns.
const ROUNDS: usize = 7;
/// A short history, and one that is ten times as long.
const SIZES: (usize, usize) = (3_000, 30_000);
/// How many events of an append come together on disk.
const GROUP: usize = 100;

/// Appends each step by itself.
fn append(steps: &[Step], replica: Dot) -> Result<(Log, Vec<Segment>), Failure> {
    let (mut log, mut segments) = (Log::new(), Vec::with_capacity(steps.len()));
    for step in steps {
        let prepared = step.prepare(&log, replica.replica, step.now)?;
        segments.push(prepared.segment.clone());
        log.commit(prepared);
    }
    Ok((log, segments))
}

/// The least that an event costs: it is encoded and hashed, once.
fn hash(records: &[Record], replica: Dot) -> Result<EventId, Failure> {
    let mut hasher = EventHasher::new(STORE);
    let mut id = EventId::GENESIS;
    for (number, record) in (1..).zip(records) {
        id = hasher.id(id, Dot { number, ..replica }, record).map_err(Failure::other)?;
    }
    Ok(id)
}

fn timed<T>(times: &mut Times, work: impl FnOnce() -> Result<T, Failure>) -> Result<T, Failure> {
    let began = std::time::Instant::now();
    let done = work()?;
    times.push(began.elapsed());
    Ok(done)
}

/// What [`SIZES`] cost, in turns.
#[derive(Default)]
struct Costs {
    append: [Times; 2],
    replay: [Times; 2],
    hash: Times,
}

pub(crate) fn measure_all() -> Result<Vec<Figure>, Failure> {
    let replica = *workload::replicas(1).first().ok_or(Failure::History("no replica"))?;
    let steps = [SIZES.0, SIZES.1].map(|events| workload::make(events, 16, &[replica]));
    let mut costs = Costs::default();
    let mut bytes = 0;
    for _ in 0..ROUNDS {
        for ((steps, append_times), replay_times) in
            steps.iter().zip(&mut costs.append).zip(&mut costs.replay)
        {
            let (log, segments) = timed(append_times, || append(steps, replica))?;
            let joined = join(&segments);
            let records: Vec<_> = joined.iter().flat_map(|s| s.records.iter().cloned()).collect();
            bytes =
                joined.iter().filter_map(|s| codec::encode_segment(s).ok()).map(|b| b.len()).sum();
            let again = timed(replay_times, || {
                let mut log = Log::new();
                log.admit_all(joined, None);
                Ok(log)
            })?;
            if again.version() != log.version() {
                return Err(Failure::History("what was appended is not what is admitted"));
            }
            if steps.len() == SIZES.1 {
                timed(&mut costs.hash, || hash(&records, replica))?;
            }
        }
    }
    let grows =
        |[short, long]: &[Times; 2]| (long.min() / SIZES.1 as f64) / (short.min() / SIZES.0 as f64);
    let floor = costs.hash.min();
    let times = |times: &[Times; 2]| times.last().map_or(0.0, Times::min) / floor;
    let events = SIZES.1 as f64;
    Ok(vec![
        Figure::new("guard/append", times(&costs.append), "x hashing").below(9.0),
        Figure::new("guard/append/growth", grows(&costs.append), "x at ten times the events")
            .below(1.8),
        Figure::new("guard/replay", times(&costs.replay), "x hashing").below(7.0),
        Figure::new("guard/replay/growth", grows(&costs.replay), "x at ten times the events")
            .below(1.8),
        Figure::new("guard/bytes", bytes as f64 / events, "B/event").below(66.0),
        Figure::new("guard/waiting", waiting(&append(&steps[0], replica)?.1)?, "x alone")
            .below(3.0),
    ])
}

/// Neighbouring appends as they are on disk.
fn join(segments: &[Segment]) -> Vec<Segment> {
    let groups = segments.chunks(GROUP).filter_map(|group| {
        let mut joined = group.first()?.clone();
        for next in group.iter().skip(1) {
            joined.records.extend(next.records.iter().cloned());
        }
        Some(joined)
    });
    groups.collect()
}

/// What admitting costs that comes from the last event to the first, against the order in which it was written.
fn waiting(segments: &[Segment]) -> Result<f64, Failure> {
    let (mut forwards, mut backwards) = (Times::default(), Times::default());
    for _ in 0..ROUNDS {
        for (times, reversed) in [(&mut forwards, false), (&mut backwards, true)] {
            let mut given = segments.to_vec();
            if reversed {
                given.reverse();
            }
            timed(times, || {
                Log::new().admit_all(given, None);
                Ok(())
            })?;
        }
    }
    Ok(backwards.min() / forwards.min().max(Duration::from_nanos(1).as_secs_f64()))
}
