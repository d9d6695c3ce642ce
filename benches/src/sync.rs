//! Two peers of which one is behind: how many bytes, round trips, and how long.

use std::collections::VecDeque;
use std::time::Instant;

use tress::Segment;
use tress_engine::Log;
use tress_engine::sync::{Effect, Session, cut, lacking};
use tress_model::message::Hello;
use tress_model::{StoreId, Strands};

use crate::figure::{Figure, Times};
use crate::history::History;
use crate::{EVENTS, Failure};

/// How many events the one that is behind lacks.
pub const BEHIND: usize = 1_000;
/// What that may cost; `benches/rivals` holds it against what Automerge's own sync costs.
const GOAL: f64 = 60_000.0;
/// What it may cost to learn that nothing is missing.
const EQUAL_GOAL: f64 = 1_000.0;

/// The log of one that has only the first events of `history` in canonical order, [`BEHIND`] fewer
/// than there are.
///
/// # Errors
/// When the history cannot be cut.
pub fn behind(history: &History) -> Result<Log, Failure> {
    let mut pieces = cut(history.segments.clone()).map_err(Failure::other)?;
    pieces.sort_by_key(|piece: &Segment| {
        (piece.records.first().map(|record| record.time), piece.replica, piece.first)
    });
    let mut behind = Log::new();
    let mut count = 0;
    pieces.retain(|piece| {
        count += piece.records.len();
        count <= EVENTS - BEHIND
    });
    behind.admit_all(pieces, None);
    Ok(behind)
}

/// Measures two peers of which one is behind, and two that are equal.
///
/// # Errors
/// When they do not come to the same.
pub fn measure_all(history: &History, whole: &Log) -> Result<Vec<Figure>, Failure> {
    let behind = behind(history)?;
    let lacks = whole.version().events() - behind.version().events();
    eprintln!("one is {lacks} events behind");
    let equal = talk(whole.clone(), whole.clone())?;
    let mut times = Times::default();
    let mut talked = Talked::default();
    for _ in 0..5 {
        talked = talk(behind.clone(), whole.clone())?;
        times.push(talked.took);
    }
    let mut admitting = Times::default();
    for _ in 0..5 {
        let mut log = behind.clone();
        let segments = lacking(whole, log.version(), Strands::ALL).unwrap_or_default();
        let segments = cut(segments).map_err(Failure::other)?;
        let started = Instant::now();
        log.admit_all(segments, None);
        admitting.push(started.elapsed());
    }
    let rival = "admitting the same events";
    Ok(vec![
        Figure::new("sync/equal/bytes", equal.bytes as f64, "B").below(EQUAL_GOAL),
        Figure::new("sync/equal/round_trips", equal.trips as f64, "trips").below(2.0),
        Figure::new("sync/catch_up/bytes", talked.bytes as f64, "B").below(GOAL),
        Figure::new("sync/catch_up/round_trips", talked.trips as f64, "trips").below(2.0),
        Figure::median("sync/catch_up/memory", &times).against(rival, admitting.median()),
    ])
}

/// What a conversation cost.
#[derive(Debug, Default)]
pub struct Talked {
    /// Both ways.
    pub bytes: usize,
    /// Round trips until the one that asked has everything.
    pub trips: usize,
    /// How long that took, in memory.
    pub took: std::time::Duration,
}

struct Side {
    log: Log,
    session: Session,
    out: VecDeque<Vec<u8>>,
    up_to_date: bool,
}

impl Side {
    fn new(place: u8, log: Log) -> Self {
        let me = Hello::new("bench", StoreId([place; 16]), log.version().clone());
        Self { log, session: Session::new(me), out: VecDeque::new(), up_to_date: false }
    }

    fn act(&mut self) -> Result<(), Failure> {
        while let Some(effect) = self.session.next_effect() {
            match effect {
                Effect::Send(bytes) => self.out.push_back(bytes),
                Effect::Read { than, strands } => {
                    let segments = lacking(&self.log, &than, strands);
                    let segments = segments.ok_or(Failure::History("the log is not whole"))?;
                    self.session.supply(segments).map_err(Failure::other)?;
                }
                Effect::Take(segments) => {
                    self.log.admit_all(cut(segments).map_err(Failure::other)?, None);
                    self.session.taken(self.log.version());
                }
                Effect::UpToDate => self.up_to_date = true,
                Effect::Paperwork(_) | Effect::End { .. } => {}
            }
        }
        Ok(())
    }
}

/// Lets one that is behind talk with one that is ahead, in memory.
///
/// # Errors
/// When they do not come to the same.
pub fn talk(behind: Log, ahead: Log) -> Result<Talked, Failure> {
    let (mut a, mut b) = (Side::new(1, behind), Side::new(2, ahead));
    let mut talked = Talked::default();
    let started = Instant::now();
    a.act()?;
    b.act()?;
    let mut done = false;
    while !(a.out.is_empty() && b.out.is_empty()) {
        for asks in [true, false] {
            let (from, to) = if asks { (&mut a, &mut b) } else { (&mut b, &mut a) };
            for bytes in std::mem::take(&mut from.out) {
                talked.bytes += bytes.len();
                to.session.receive(&bytes).map_err(Failure::other)?;
                to.act()?;
            }
        }
        if !done {
            talked.trips += 1;
            done = a.log.version() == b.log.version();
            talked.took = started.elapsed();
        }
    }
    if a.log.state().root() == b.log.state().root() && a.up_to_date && b.up_to_date {
        Ok(talked)
    } else {
        Err(Failure::History("the two did not come to the same"))
    }
}
