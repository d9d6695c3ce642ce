//! The guard: ratios of what was measured in one run, side by side, with bounds that a change must keep.
//!
//! A bound lies well above what is there, so that a busy machine does not cross it, and well below what a
//! step back costs: a cost that grows with the history, a second hashing, a form that got larger.

use tress_bench::figure::{Figure, Times};
use tress_bench::workload::{self, STORE, Step};
use tress_engine::Log;
use tress_model::codec::{self, EventHasher};
use tress_model::event::{Cause, Record};
use tress_model::{Dot, EventId, Segment};

use crate::Failure;

/// How often each is measured, in turns.
const ROUNDS: usize = 7;
/// A short history, and one that is ten times as long.
const SIZES: (usize, usize) = (3_000, 30_000);
/// How many answers two replicas give each other.
const ANSWERS: usize = 2_000;
/// How many events of an append come together on disk.
const GROUP: usize = 100;

/// Appends each step by itself.
fn append(steps: &[Step], replica: Dot) -> Result<(Log, Vec<Segment>), Failure> {
    let (mut log, mut segments) = (Log::new(), Vec::with_capacity(steps.len()));
    for step in steps {
        let prepared = step.prepare(&log, replica.replica, step.now)?;
        segments.push(prepared.segment());
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
        Figure::new("guard/append", times(&costs.append), "x hashing").below(15.0),
        Figure::new("guard/append/growth", grows(&costs.append), "x at ten times the events")
            .below(4.0),
        Figure::new("guard/replay", times(&costs.replay), "x hashing").below(12.0),
        Figure::new("guard/replay/growth", grows(&costs.replay), "x at ten times the events")
            .below(4.0),
        Figure::new("guard/bytes", bytes as f64 / events, "B/event").below(70.0),
        Figure::new("guard/waiting", waiting()?, "x the answers alone").below(10.0),
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

/// Two replicas that answer each other event by event, and as many segments of strangers that wait for what is not
/// there: what admitting all of it costs, against the answers alone.
fn waiting() -> Result<f64, Failure> {
    let ids = workload::replicas(3);
    let [one, two, stranger] = ids.as_slice() else {
        return Err(Failure::History("no three replicas"));
    };
    let steps = workload::make(ANSWERS, 2, &[*one, *two]);
    let (mut logs, mut answers) = ([Log::new(), Log::new()], Vec::new());
    for (number, step) in steps.iter().enumerate() {
        let [from, to] = &mut logs;
        let (from, to, id) = if number % 2 == 0 { (from, to, one) } else { (to, from, two) };
        let prepared = step.prepare(from, id.replica, step.now)?;
        answers.push(prepared.segment());
        to.admit(prepared.segment(), None);
        from.commit(prepared);
    }
    let waits = answers.iter().filter_map(|answer| {
        let (mut waits, mut record) = (answer.clone(), answer.records.first()?.clone());
        record.learned = vec![Cause { replica: one.replica, number: u64::MAX / 4, mark: [0; 8] }];
        (waits.replica, waits.first, waits.records) = (stranger.replica, 1, vec![record]);
        Some(waits)
    });
    let both: Vec<Segment> = answers.iter().cloned().chain(waits).collect();
    let (mut alone, mut beside) = (Times::default(), Times::default());
    for _ in 0..ROUNDS {
        for (times, given) in [(&mut alone, &answers), (&mut beside, &both)] {
            let given: Vec<Segment> = given.clone();
            let log = timed(times, || {
                let mut log = Log::new();
                log.admit_all(given, None);
                Ok(log)
            })?;
            if log.version().events() as usize != ANSWERS {
                return Err(Failure::History("not all answers were admitted"));
            }
        }
    }
    Ok(beside.min() / alone.min())
}
