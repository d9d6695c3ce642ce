//! W(n, a): what each event costs, and how that grows with the history.

use std::path::Path;
use std::time::Instant;

use tokio::runtime::Runtime;
use tress::{Store, When};
use tress_bench::durable::{Bare, OnDisk, RUN, appended};
use tress_bench::figure::{Figure, Times, measure};
use tress_bench::growth::{self, Growth};
use tress_bench::random::Random;
use tress_bench::workload;
use tress_engine::Log;
use tress_model::codec;

use crate::Failure;

/// How many agents there are.
const AGENTS: usize = 16;
/// How many events of a durable append come together.
const GROUPS: [usize; 4] = [10, 64, 100, 1_000];
/// How often a process seals again, and how many events come in between.
const SEALS: usize = 15;
const BETWEEN_SEALS: usize = 50;

/// Appending in memory: stamped, chained, folded, one by one.
fn in_memory(events: usize) -> Result<Vec<Figure>, Failure> {
    let replicas = workload::replicas(1);
    let steps = workload::make(events, AGENTS, &replicas);
    let times = measure(
        3,
        || Ok::<_, Failure>(Log::new()),
        |mut log| {
            for step in &steps {
                let replica = replicas.first().ok_or(Failure::History("no replica"))?.replica;
                let prepared = step.prepare(&log, replica, step.now)?;
                log.commit(prepared);
            }
            Ok(log)
        },
    )?;
    let rate = events as f64 / times.median() * 1e3;
    Ok(vec![Figure::new("work/memory/append", rate, "events/s").at_least(1e6)])
}

/// Appending durably, in groups and one by one, where a thread does the run's work and where it is done in
/// place, against a bare file that is synced as often.
fn durable(events: usize) -> Result<Vec<Figure>, Failure> {
    let (runtime, mut figures) = (crate::runtime()?, Vec::new());
    for group in GROUPS.into_iter().chain([1]) {
        // So many appends that the sync is what is measured.
        let events = if group == 1 { 2_000 } else { events.min(group * 400) };
        let (mut single, mut rates) = (<[Times; 3]>::default(), <[Vec<f64>; 3]>::default());
        for _ in 0..3 {
            let append = |in_place| runtime.block_on(appended(in_place, (events, AGENTS), group));
            let (threads, bytes) = append(false)?;
            let (in_place, _) = append(true)?;
            let count = events / group;
            let each = vec![0x5A; bytes as usize / count.max(1)];
            let mut file = Bare::new(bytes as usize).map_err(Failure::other)?;
            let mut bare = Vec::with_capacity(count);
            for _ in 0..count {
                let began = Instant::now();
                file.append(&each).map_err(Failure::other)?;
                bare.push(began.elapsed());
            }
            let measured = single.iter_mut().zip(&mut rates).zip([threads, in_place, bare]);
            for ((single, rates), times) in measured {
                rates.push(tress_bench::rate(events, times.iter().sum()));
                times.into_iter().for_each(|took| single.push(took));
            }
        }
        let bare_file = "a bare file, synced as often";
        let [threads, in_place, bare] = single;
        let [threads_rate, in_place_rate, rival] = rates.map(median);
        for (name, times, rate) in
            [("durable", threads, threads_rate), ("durable/in-place", in_place, in_place_rate)]
        {
            figures.push(if group == 1 {
                let figure = Figure::median(format!("work/{name}/single"), &times);
                figure.against(bare_file, bare.median()).below(1.3 * bare.median())
            } else {
                let figure = Figure::new(format!("work/{name}/{group}"), rate, "events/s");
                figure.outrun(bare_file, rival).at_least(0.8 * rival)
            });
        }
    }
    Ok(figures)
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or_default()
}

/// A run on disk with so many events, in groups of 100, and as its last process left it.
async fn kept(events: usize) -> Result<OnDisk, Failure> {
    let disk = OnDisk::new().await?;
    let steps = workload::make(events, AGENTS, &[disk.replica]);
    disk.append(&steps, 100).await?;
    Ok(disk)
}

/// What a history costs to read, to open, to look back into, and to keep.
fn read(runtime: &Runtime, events: usize) -> Result<Vec<Figure>, Failure> {
    let OnDisk { run, dir, replica } = runtime.block_on(kept(events))?;
    let path = dir.path().join("store");
    let name = |figure: &str| format!("work/growth/{figure}/{events}");
    drop(run);
    let mut figures = Vec::new();
    // Opened as a new process would: the newest snapshot, and what is behind it.
    let open = measure(
        9,
        || Store::open(&path).map_err(Failure::other),
        |store| runtime.block_on(store.run(RUN)).map_err(Failure::other),
    )?;
    figures.push(Figure::median(name("open"), &open).below(20.0));
    // In a short run, what any process holds is more than what it holds for events.
    if events >= 100_000 {
        figures.extend(crate::memory::open(&path, events)?);
    }
    // Frames, checksums, chains, causes, order and fold.
    let replay = measure(
        3,
        || tress_store::Store::open(&path).map_err(Failure::other),
        |store| {
            let mut run = store.run(RUN, false).map_err(Failure::other)?;
            let mut log = Log::new();
            // As whoever opens a run without a snapshot does.
            let batch = run.poll_into(&mut |segments| {
                log.admit_all(segments, None);
                true
            });
            log.admit_all(batch.map_err(Failure::other)?.segments, None);
            if log.version().events() as usize == events + 1 {
                Ok(log)
            } else {
                Err(Failure::History("some events were not read"))
            }
        },
    )?;
    let rate = events as f64 / replay.median() * 1e3;
    figures.push(Figure::new(name("replay"), rate, "events/s").at_least(2e6));
    let store = Store::open(&path).map_err(Failure::other)?;
    let run = runtime.block_on(store.run(RUN)).map_err(Failure::other)?;
    let mut moments = Times::default();
    let mut random = Random::new(9);
    // The first one reads the history.
    for number in 0..=100 {
        let dot = tress::Dot { number: 1 + random.below(events) as u64, ..replica };
        let began = Instant::now();
        runtime.block_on(run.state_at(When::Event(dot))).map_err(Failure::other)?;
        if number > 0 {
            moments.push(began.elapsed());
        }
    }
    figures.push(Figure::worst(name("moment"), &moments).below(5.0));
    let state = run.state();
    let ready = measure(9, || Ok::<_, Failure>(()), |()| Ok(state.readiness(tress::now())))?;
    figures.push(Figure::median(name("ready"), &ready));
    let journals = || {
        let bytes = tress_bench::size(&path.join("runs").join(RUN).join("journals"));
        Ok::<_, Failure>(bytes.map_err(Failure::other)?.1 as f64 / events as f64)
    };
    figures.push(Figure::new(name("journals"), journals()?, "B/event"));
    // In a store that nobody writes just now.
    let beside = Store::open(&path).map_err(Failure::other)?;
    let began = Instant::now();
    beside.compact(RUN).map_err(Failure::other)?;
    figures.push(Figure::new(name("compact"), rate_of(events, began), "events/s"));
    figures.push(Figure::new(name("compacted"), journals()?, "B/event").below(25.0));
    let began = Instant::now();
    runtime.block_on(run.seal()).map_err(Failure::other)?;
    let sealing = Figure::new(name("seal"), rate_of(events, began), "events/s");
    figures.push(sealing.at_least(20_000.0));
    drop((run, store));
    beside.compact(RUN).map_err(Failure::other)?;
    beside.compact_documents().map_err(Failure::other)?;
    let everything = tress_bench::size(&path).map_err(Failure::other)?.1 as f64 / events as f64;
    figures.push(Figure::new(name("everything"), everything, "B/event").below(40.0));
    // By whoever comes when all is sealed.
    let documents = measure(
        3,
        || {
            let store = Store::open(&path).map_err(Failure::other)?;
            runtime.block_on(store.run(RUN)).map_err(Failure::other)
        },
        |run| runtime.block_on(run.documents()).map_err(Failure::other),
    )?;
    figures.push(Figure::median(name("documents"), &documents).below(100.0));
    if events >= 100_000 {
        figures.push(crate::memory::sealed(&path, events)?);
    }
    let again = runtime.block_on(seal_again(&path, events, replica))?;
    figures.push(Figure::median(name("seal-again"), &again));
    Ok(figures)
}

/// How long a process takes that goes on living each time it seals what a few events more have changed.
async fn seal_again(path: &Path, events: usize, replica: tress::Dot) -> Result<Times, Failure> {
    let store = Store::open(path).map_err(Failure::other)?;
    let run = store.run(RUN).await.map_err(Failure::other)?;
    run.seal().await.map_err(Failure::other)?;
    let steps = workload::make(events + SEALS * BETWEEN_SEALS, AGENTS, &[replica]);
    let mut times = Times::default();
    for steps in steps.get(events..).unwrap_or_default().chunks(BETWEEN_SEALS) {
        let drafts = steps.iter().map(workload::Step::draft).collect();
        run.append(drafts).await.map_err(Failure::other)?;
        let began = Instant::now();
        run.seal().await.map_err(Failure::other)?;
        times.push(began.elapsed());
    }
    Ok(times)
}

fn rate_of(events: usize, began: Instant) -> f64 {
    tress_bench::rate(events, began.elapsed())
}

/// Replicas that all append from the same version, merged by one.
fn concurrent(replicas: usize) -> Result<Vec<Figure>, Failure> {
    let events = 16_000;
    let ids = workload::replicas(replicas);
    let first = ids.first().ok_or(Failure::History("no replica"))?.replica;
    let mut base = Log::new();
    for step in workload::make(1_000, 1, &ids) {
        let prepared = step.prepare(&base, first, step.now)?;
        base.commit(prepared);
    }
    let mut each: Vec<Log> = ids.iter().map(|_| base.clone()).collect();
    // Each goes on by itself.
    let mut last = ids.clone();
    if let Some(first) = last.first_mut() {
        first.number = 1_000;
    }
    let mut segments = Vec::new();
    for step in workload::make(events, replicas.max(AGENTS), &last) {
        let (Some(log), Some(dot)) = (each.get_mut(step.replica), ids.get(step.replica)) else {
            continue;
        };
        let now = step.now + workload::time_of(1_000);
        let prepared = step.prepare(log, dot.replica, now)?;
        segments.push(prepared.segment());
        log.commit(prepared);
    }
    drop(each);
    let bytes: usize =
        segments.iter().filter_map(|s| codec::encode_segment(s).ok()).map(|b| b.len()).sum();
    let times = measure(
        5,
        || Ok::<_, Failure>((base.clone(), segments.clone())),
        |(mut log, segments)| {
            log.admit_all(segments, None);
            Ok(log)
        },
    )?;
    let each = times.median() * 1e3 / events as f64;
    let name = |figure: &str| format!("work/concurrent/{figure}/{replicas}");
    Ok(vec![
        Figure::new(name("merge"), each, "us/event"),
        Figure::new(name("bytes"), bytes as f64 / events as f64, "B/event").below(100.0),
    ])
}

pub(crate) fn measure_memory() -> Result<Vec<Figure>, Failure> {
    in_memory(100_000)
}

pub(crate) fn measure_durable() -> Result<Vec<Figure>, Failure> {
    durable(100_000)
}

pub(crate) fn measure_concurrent() -> Result<Vec<Figure>, Failure> {
    let figures: Result<Vec<_>, _> = [8, 64, 1_000].into_iter().map(concurrent).collect();
    Ok(figures?.concat())
}

pub(crate) fn measure_growth() -> Result<Vec<Figure>, Failure> {
    growth(&[1_000, 10_000, 100_000])
}

/// The same with a million, and a drawing in `svg`.
pub(crate) fn draw_growth(svg: &Path) -> Result<Vec<Figure>, Failure> {
    let figures = growth(&[1_000, 10_000, 100_000, 1_000_000])?;
    let drawing = growth::to_svg("What a history of W(n, 16) costs", &growths(&figures));
    std::fs::write(svg, drawing).map_err(Failure::other)?;
    Ok(figures)
}

fn growth(sizes: &[usize]) -> Result<Vec<Figure>, Failure> {
    let runtime = crate::runtime()?;
    let mut figures = Vec::new();
    for &events in sizes {
        eprintln!("{events} events");
        figures.extend(read(&runtime, events)?);
    }
    for growth in growths(&figures) {
        let exponent = growth.exponent().unwrap_or_default();
        figures.push(Figure::new(format!("work/growth/{}", growth.name), exponent, "exponent"));
    }
    Ok(figures)
}

/// Figures of the form `work/growth/NAME/EVENTS`, by name.
fn growths(figures: &[Figure]) -> Vec<Growth> {
    let mut growths: Vec<Growth> = Vec::new();
    for figure in figures {
        let parts = figure.name().trim_start_matches("work/growth/").split_once('/');
        let Some((name, Ok(events))) = parts.map(|(name, size)| (name, size.parse())) else {
            continue;
        };
        let (value, unit) = figure.value();
        match growths.iter_mut().find(|growth| growth.name == name) {
            Some(growth) => growth.points.push((events, value)),
            None => {
                let points = vec![(events, value)];
                growths.push(Growth { name: name.to_owned(), unit, points });
            }
        }
    }
    growths
}
