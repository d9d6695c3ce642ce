//! The fold, selective replay and undo, on a log in memory.

use std::sync::Arc;

use tress::{Operation, Segment, State, Without};
use tress_engine::Log;

use crate::{Failure, Ground};
use tress_bench::figure::{Figure, Times, measure};
use tress_bench::random::Random;

/// How long it takes to fold the events of `log` from nothing, without keeping anything in mind.
pub(crate) fn refold(log: &Log) -> Result<Times, Failure> {
    let fold = |mut state: State| {
        log.events().iter().for_each(|event| state.apply(event));
        Ok(state)
    };
    measure(5, || Ok(State::default()), fold)
}

/// How long it takes to admit segments to an empty log: hashes, causes, order, fold, marks.
pub(crate) fn readmit(segments: &[Segment]) -> Result<Times, Failure> {
    measure(
        3,
        || Ok((Log::new(), segments.to_vec())),
        |(mut log, segments)| {
            log.admit_all(segments, None);
            Ok(log)
        },
    )
}

pub(crate) fn measure_all(ground: &Ground) -> Result<Vec<Figure>, Failure> {
    let events = ground.log.events().len() as f64;
    let fold = refold(&ground.log)?;
    let admit = readmit(&ground.history.segments)?;
    let state = ground.log.state();
    let root = measure(5, || Ok::<_, Failure>(Arc::clone(state)), |state| Ok(state.root()))?;
    Ok(vec![
        Figure::new("fold/rate", events / fold.median() * 1e3, "events/s").at_least(500_000.0),
        Figure::median("fold/from_nothing", &fold).below(events / 500.0),
        Figure::median("fold/admit_all", &admit).against("a fold from nothing", fold.median()),
        Figure::median("fold/root", &root),
    ])
}

pub(crate) fn measure_select(ground: &Ground) -> Result<Vec<Figure>, Failure> {
    let fold = refold(&ground.log)?;
    let without = [Without::Agent("implementer-3".to_owned())];
    let times = measure(5, || Ok(()), |()| ground.log.select(&without).map_err(Failure::other))?;
    let figure = Figure::median("replay/select/without_agent", &times);
    let figure = figure.against("a fold from nothing", fold.median());
    Ok(vec![figure.below(4.0 * fold.median())])
}

pub(crate) fn measure_undo(ground: &Ground) -> Result<Vec<Figure>, Failure> {
    let (log, mut random) = (&ground.log, Random::new(5));
    let fold = refold(log)?;
    let now = log.last_time().millis;
    let note = |from: usize, random: &mut Random| {
        let events = log.events().iter().skip(from + random.below(900));
        let mut notes = events.filter(|e| matches!(e.operation, Operation::NoteAdded { .. }));
        notes.next().map(|event| event.dot)
    };
    let mut figures = Vec::new();
    let ends = [("undo/last_thousand", 1_000), ("undo/first_thousand", log.events().len())];
    for (name, back) in ends {
        let mut times = Times::default();
        for _ in 0..7 {
            let dot = note(log.events().len() - back, &mut random);
            let dot = dot.ok_or(Failure::History("no note to undo"))?;
            let one =
                measure(1, || Ok(()), |()| log.undo(dot, "wrong", now).map_err(Failure::other))?;
            times.join(&one);
        }
        let figure = Figure::median(name, &times).against("a fold from nothing", fold.median());
        let bound = if back == 1_000 { 50.0 } else { 3.0 * fold.median() };
        figures.push(figure.below(bound));
    }
    Ok(figures)
}
