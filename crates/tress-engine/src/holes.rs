//! Holes: going on behind events that were lost.
//!
//! Numbers have no gaps, so events behind one that cannot be read any more would wait for ever.
//! A repair names what is lost ([`Hole`]), and the log holds its places with events that mean
//! nothing. Events that are there always go before a hole. Where lost events turn up later, they
//! are refused as lying behind what the log knows, and whoever owns the log reads it again.
//!
//! *Invariant:* a placeholder is no later than the event it stands for. Times of a replica strictly
//! ascend, so the smallest step from the event before it is never too far.

use std::sync::Arc;

use tress_model::event::{Cause, Head, Hole};
use tress_model::ids::{Author, Dot, EventId, ReplicaId};
use tress_model::{Event, Operation, Role, limits};

use crate::admit::Queues;
use crate::log::Log;

impl Log {
    /// The same log, which goes on behind `holes`. For a log into which nothing came yet.
    #[must_use]
    pub fn with_holes(mut self, holes: Arc<[Hole]>) -> Self {
        self.holes = holes;
        self
    }

    /// The places of lost events that the log holds, in canonical order.
    pub fn lost(&self) -> impl Iterator<Item = &Arc<Event>> {
        let any = !self.holes.is_empty();
        self.events().iter().filter(move |event| any && event.is_lost())
    }

    /// Whether one of the events `first` to `last` of `replica` is lost here.
    pub(crate) fn lacks(&self, replica: ReplicaId, first: u64, last: u64) -> bool {
        self.holes.iter().any(|hole| {
            let (from, to) = (hole.first.max(first), hole.last.min(last));
            let lost = |number| self.event(Dot::new(replica, number)).is_some_and(|e| e.is_lost());
            hole.replica == replica && from <= to && (lost(from) || lost(to))
        })
    }

    /// What can be cited of `replica`, whose chain ends at `head`: its last event that is not lost.
    pub(crate) fn citable(&self, replica: ReplicaId, head: &Head) -> Option<Cause> {
        if head.id != EventId::GENESIS {
            return Some(Cause::at(replica, head));
        }
        let before = |number: &u64| self.event(Dot::new(replica, *number));
        let mut known = (1..=head.number).rev().map_while(|number| before(&number));
        let last = known.find(|event| event.id != EventId::GENESIS)?;
        Some(Cause { replica, number: last.dot.number, mark: last.id.mark() })
    }

    /// The events that stand for the next stretch of a hole that nothing in `queues` fills.
    pub(crate) fn next_hole(&mut self, queues: &Queues) -> Option<Vec<Arc<Event>>> {
        let holes = Arc::clone(&self.holes);
        let (hole, last, end) = holes.iter().find_map(|hole| {
            let next = self.head_number(hole.replica) + 1;
            let bounded = hole.last.saturating_sub(hole.first) < limits::HOLE_EVENTS_MAX;
            if !bounded || !(hole.first..=hole.last).contains(&next) {
                return None;
            }
            let queued = queues.get(&hole.replica).into_iter().flatten();
            let queued = queued.map(|queued| &queued.segment);
            let comes = queued.filter(|s| s.first <= hole.last && s.last() >= next);
            match comes.min_by_key(|segment| segment.first) {
                None => Some((hole, hole.last, hole.end)),
                // What is there and waits for its causes is not lost.
                Some(segment) if segment.first <= next => None,
                Some(segment) => Some((hole, segment.first - 1, Some(segment.previous))),
            }
        })?;
        let mut head = self.head(hole.replica, hole.store);
        let mut events = Vec::new();
        while head.number < last {
            head.number += 1;
            head.time = head.time.tick(0);
            head.id = end.filter(|_| head.number == last).unwrap_or(EventId::GENESIS);
            let event = Event {
                dot: Dot::new(hole.replica, head.number),
                id: head.id,
                author: Author::new("lost", Role::Human),
                time: head.time,
                occurred: None,
                seen: Arc::clone(&head.seen),
                operation: Operation::Unknown(Vec::new()),
            };
            if self.base_last().is_some_and(|last| event.order() <= last) {
                // Its place is before what this log remembers.
                return None;
            }
            events.push(Arc::new(event));
        }
        self.link(hole.replica, head, &events);
        Some(events)
    }
}
