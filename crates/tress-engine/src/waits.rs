//! Segments that wait for their causes.

use std::collections::BTreeMap;

use tress_model::ids::{Dot, ReplicaId};
use tress_model::{Event, Segment, limits};

use crate::log::Log;

/// By replica, first and last number; several that say different things are counted.
pub(crate) type WaitsAt = (ReplicaId, u64, u64, usize);

/// What waited for its causes at some time.
#[derive(Debug, Clone, Default)]
pub struct Waits(BTreeMap<WaitsAt, Segment>);

impl Waits {
    /// Whether an event was in it as it is.
    pub fn holds(&self, event: &Event) -> bool {
        let Dot { replica, number } = event.dot;
        let mut before = self.0.range((replica, 0, 0, 0)..=(replica, number, u64::MAX, usize::MAX));
        before.any(|(_, segment)| {
            let at = number.checked_sub(segment.first).and_then(|at| usize::try_from(at).ok());
            at.and_then(|at| segment.records.get(at)).is_some_and(|record| {
                record.time == event.time
                    && record.author == event.author
                    && record.operation == event.operation
            })
        })
    }

    fn has(&self, place: &WaitsAt, segment: &Segment) -> bool {
        let (replica, first, last, _) = *place;
        let all = (replica, first, last, 0)..=(replica, first, last, usize::MAX);
        self.0.range(all).any(|(_, known)| known == segment)
    }
}

impl Log {
    /// Whether anything waits for its causes.
    pub fn has_waiting(&self) -> bool {
        !self.waiting.is_empty()
    }

    /// What waits now, for [`Log::forget_waiting`].
    pub fn waits(&self) -> Waits {
        Waits(self.waiting.clone())
    }

    /// Forgets what waits and did not when `known` was made; how many segments that is.
    pub fn forget_waiting(&mut self, known: &Waits) -> usize {
        let before = self.waiting.len();
        self.waiting.retain(|place, segment| known.has(place, segment));
        before - self.waiting.len()
    }

    /// The segments that wait for their causes.
    pub fn waiting(&self) -> impl Iterator<Item = &Segment> {
        self.waiting.values()
    }

    /// How many segments wait for their causes.
    pub fn waiting_segments(&self) -> usize {
        self.waiting.len()
    }

    /// Whether events of `replica` wait for their causes.
    pub fn waits_for_causes(&self, replica: ReplicaId) -> bool {
        let all = (replica, 0, 0, 0)..=(replica, u64::MAX, u64::MAX, usize::MAX);
        self.waiting.range(all).next().is_some()
    }

    /// Keeps a segment until its causes are here; gives it back where too many wait. One stretch
    /// may come cut in two ways, and each may be what another waits for; two segments may say
    /// different things of the same events, and only their causes tell which is true.
    pub(crate) fn wait(&mut self, segment: Segment) -> Result<(), Segment> {
        let mut place = (segment.replica, segment.first, segment.last(), 0);
        while let Some(known) = self.waiting.get(&place) {
            if *known == segment {
                return Ok(());
            }
            place.3 += 1;
            if place.3 >= limits::WAITING_ALIKE_MAX {
                return Err(segment);
            }
        }
        if self.waiting.len() >= limits::WAITING_SEGMENTS_MAX {
            return Err(segment);
        }
        self.waiting.insert(place, segment);
        Ok(())
    }
}
