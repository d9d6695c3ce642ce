//! Any moment of a run, opened while the run is open.

use std::time::Instant;

use tress::{Dot, Event, Millis, State, VersionVector, When};
use tress_model::ReplicaId;

use crate::fold;
use crate::{Failure, Ground};
use tress_bench::durable::RUN;
use tress_bench::figure::{Figure, Times};
use tress_bench::history::{MONTH, REPLICAS, START};
use tress_bench::random::Random;

/// How many moments of each kind are opened.
const MOMENTS: usize = 300;
/// Within what any moment opens, in milliseconds.
const GOAL: f64 = 10.0;

/// The moments of one kind.
struct Kind {
    name: &'static str,
    moments: Vec<When>,
}

fn kinds(ground: &Ground) -> Vec<Kind> {
    let (log, mut random) = (&ground.log, Random::new(11));
    let laggard = ReplicaId([REPLICAS as u8; 16]);
    let mut some = |name, make: &mut dyn FnMut(&mut Random) -> Option<When>| Kind {
        name,
        moments: (0..MOMENTS).filter_map(|_| make(&mut random)).collect(),
    };
    // Of replicas that are online like everybody else; those of the other come by themselves.
    let of = |random: &mut Random, seldom: bool| {
        let events = log.events().iter().skip(random.below(log.events().len()));
        let mut fitting = events.filter(|event| (event.dot.replica == laggard) == seldom);
        fitting.next().cloned()
    };
    let id = |event: &Event| When::Name(event.id.short());
    let dot = |event: &Event| event.dot;
    vec![
        some("time", &mut |random| {
            let at: Millis = START + random.between(0, MONTH);
            Some(When::Time(at))
        }),
        some("event", &mut |random| of(random, false).map(|event| id(&event))),
        some("dot", &mut |random| of(random, false).map(|event| When::Event(dot(&event)))),
        some("version", &mut |random| {
            let place = random.below(log.events().len());
            let dots = log.events().iter().take(place).map(|event| event.dot);
            Some(When::Version(version(dots)))
        }),
        some("checkpoint", &mut |random| {
            let checkpoints = &log.state().team.checkpoints;
            let place = random.below(checkpoints.len());
            checkpoints.get(place).map(|checkpoint| When::Name(checkpoint.name.clone()))
        }),
        some("lagging_replica", &mut |random| {
            of(random, true).map(|event| When::Event(dot(&event)))
        }),
    ]
}

fn version(dots: impl Iterator<Item = Dot>) -> VersionVector {
    dots.map(|dot| (dot.replica, dot.number)).collect()
}

/// In memory: how long each takes, and how long a fold from nothing to the same moment takes.
fn in_memory(ground: &Ground, kind: &Kind) -> Result<(Times, Times), Failure> {
    let (log, mut times, mut from_nothing) = (&ground.log, Times::default(), Times::default());
    let open = |when: &When| {
        let version = log.version_at(when).map_err(Failure::other)?;
        let state = log.state_at(&version).map_err(Failure::other)?;
        Ok::<_, Failure>((version, state))
    };
    for when in &kind.moments {
        let started = Instant::now();
        let opened = open(when)?;
        times.push(started.elapsed());
        drop(opened);
    }
    // Enough of them to compare with.
    for when in kind.moments.iter().step_by(12) {
        let (version, state) = open(when)?;
        let started = Instant::now();
        let mut folded = State::default();
        let events = log.events().iter().filter(|event| version.contains(event.dot));
        events.for_each(|event| folded.apply(event));
        from_nothing.push(started.elapsed());
        if folded != *state {
            return Err(Failure::History("a moment is not what its events fold to"));
        }
    }
    Ok((times, from_nothing))
}

async fn on_disk(ground: &Ground, kinds: &[Kind]) -> Result<Vec<Times>, Failure> {
    let store = ground.disk.open()?;
    let run = store.run(RUN).await.map_err(Failure::other)?;
    // Warm: the whole history was read.
    run.state_at(When::Time(START)).await.map_err(Failure::other)?;
    let mut all = Vec::new();
    for kind in kinds {
        let mut times = Times::default();
        for when in &kind.moments {
            let started = Instant::now();
            let state = run.state_at(when.clone()).await.map_err(Failure::other)?;
            times.push(started.elapsed());
            drop(state);
        }
        all.push(times);
    }
    Ok(all)
}

async fn cold(ground: &Ground) -> Result<Times, Failure> {
    let mut times = Times::default();
    for _ in 0..3 {
        let started = Instant::now();
        let store = ground.disk.open()?;
        let run = store.run(RUN).await.map_err(Failure::other)?;
        run.state_at(When::Time(START + MONTH / 2)).await.map_err(Failure::other)?;
        times.push(started.elapsed());
    }
    Ok(times)
}

pub(crate) fn measure_all(ground: &Ground) -> Result<Vec<Figure>, Failure> {
    let kinds = kinds(ground);
    let disk = ground.runtime.block_on(on_disk(ground, &kinds))?;
    let mut figures = Vec::new();
    let mut canonical = (Times::default(), Times::default());
    let mut rival = Times::default();
    for (kind, disk) in kinds.iter().zip(&disk) {
        let (memory, from_nothing) = in_memory(ground, kind)?;
        let ours = [("memory", &memory), ("store", disk)];
        for (place, times) in ours {
            let name = format!("history/moment/{}/{place}", kind.name);
            let median = from_nothing.median();
            figures.push(Figure::median(&name, times).against("a fold from nothing", median));
            let worst = Figure::worst(format!("{name}/worst"), times);
            figures.push(worst.against("a fold from nothing", from_nothing.max()));
        }
        if kind.name != "lagging_replica" {
            canonical.0.join(&memory);
            canonical.1.join(disk);
            rival.join(&from_nothing);
        }
    }
    let all = [("memory", &canonical.0), ("store", &canonical.1)];
    for (place, times) in all {
        let figure = Figure::worst(format!("history/moment/worst/{place}"), times);
        figures.push(figure.against("a fold from nothing", rival.max()).below(GOAL));
    }
    let cold = ground.runtime.block_on(cold(ground))?;
    let whole = fold::readmit(&ground.history.segments)?;
    let figure = Figure::median("history/moment/cold_store", &cold);
    figures.push(figure.against("admitting everything in memory", whole.median()));
    Ok(figures)
}
