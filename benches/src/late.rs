//! Events that come late: from a replica that was offline for a month, and single ones.

use std::time::Instant;

use tress::{Draft, Operation, ReplicaId, Role, Segment, Store, StoreId};
use tress_engine::Log;
use tress_model::Author;

use crate::disk;
use crate::fold;
use crate::{Failure, Ground};
use tress_bench::durable::RUN;
use tress_bench::figure::{Figure, Times, measure};

/// What "well under a second" is, in milliseconds.
const GOAL: f64 = 500.0;

pub(crate) fn measure_all(ground: &Ground) -> Result<Vec<Figure>, Failure> {
    let (log, history) = (&ground.log, &ground.history);
    let everything: Vec<Segment> = history.segments.iter().chain(&history.late).cloned().collect();
    let whole = fold::readmit(&everything)?.median();
    let memory = measure(
        5,
        || Ok((log.clone(), history.late.clone())),
        |(mut log, late)| {
            let admission = log.admit_all(late, None);
            let all = admission.rejected.is_empty() && admission.waiting == 0;
            all.then_some((log, admission)).ok_or(Failure::History("a late event was refused"))
        },
    )?;
    let rival = "admitting everything again";
    let mut figures = vec![
        Figure::median("history/late/month/memory", &memory).against(rival, whole).below(GOAL),
    ];
    let places = [
        ("history/late/month/open_whole", Handle::Whole),
        ("history/late/month/open_from_snapshot", Handle::FromSnapshot),
        ("history/late/month/fresh_open", Handle::None),
    ];
    for (name, handle) in places {
        let mut times = Times::default();
        for _ in 0..3 {
            times.join(&ground.runtime.block_on(on_disk(ground, handle))?);
        }
        figures.push(Figure::median(name, &times).against(rival, whole).below(GOAL));
    }
    figures.extend(single(ground)?);
    Ok(figures)
}

/// What the other process has open when the late events come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Handle {
    /// The run, with its whole history in memory.
    Whole,
    /// The run, from its newest snapshot on.
    FromSnapshot,
    /// Nothing: it opens the run afterwards.
    None,
}

async fn on_disk(ground: &Ground, handle: Handle) -> Result<Times, Failure> {
    let disk = ground.disk.copy()?;
    let store: Store = disk.open()?;
    let open = match handle {
        Handle::None => None,
        _ => Some(store.run(RUN).await.map_err(Failure::other)?),
    };
    if let (Some(run), Handle::Whole) = (&open, handle) {
        let version = tress::VersionVector::new();
        run.events_since(version).await.map_err(Failure::other)?;
    }
    disk::write(&disk.path(), &ground.history.late)?;
    let started = Instant::now();
    let run = match open {
        Some(run) => run,
        None => store.run(RUN).await.map_err(Failure::other)?,
    };
    let state = run.refresh().await.map_err(Failure::other)?;
    let took = started.elapsed();
    let late: usize = ground.history.late.iter().map(|segment| segment.records.len()).sum();
    if state.events() != (ground.log.events().len() + late) as u64 {
        return Err(Failure::History("late events are missing from the store"));
    }
    let mut times = Times::default();
    times.push(took);
    Ok(times)
}

/// One event of a replica that nobody knew, `back` events before the end.
fn late_event(log: &Log, back: usize) -> Result<Segment, Failure> {
    let place = log.events().len().saturating_sub(back);
    let before = log.events().get(place).ok_or(Failure::History("no such place"))?;
    let (replica, store) = (ReplicaId([0xA2; 16]), StoreId([0xA2; 16]));
    let draft = Draft {
        author: Author::new("stranger", Role::Human),
        occurred: None,
        operation: Operation::AgentReported { activity: "was away".to_owned() },
    };
    let prepared = Log::new().prepare(replica, store, vec![draft], before.time.millis);
    Ok(prepared.map_err(Failure::other)?.segment())
}

fn single(ground: &Ground) -> Result<Vec<Figure>, Failure> {
    let log = &ground.log;
    let fold = fold::refold(log)?.median();
    let mut figures = Vec::new();
    for back in [10, 1_000, 10_000, 50_000] {
        let segment = late_event(log, back)?;
        let times = measure(
            7,
            || Ok::<_, Failure>((log.clone(), segment.clone())),
            |(mut log, segment)| {
                let admission = log.admit(segment, None);
                Ok((log, admission))
            },
        )?;
        // What lies behind it and, at most, behind the mark before it, at the price of a fold.
        let spacing = tress::limits::MARK_EVERY;
        let share = fold * (back + spacing) as f64 / log.events().len() as f64;
        let figure = Figure::median(format!("history/late/single/{back}_back"), &times);
        figures.push(figure.against("its share of a fold", share).below(3.0 * share + 1.0));
    }
    Ok(figures)
}
