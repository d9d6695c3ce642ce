//! Who wrote the value that stands: what rule `field-merge` names when another value replaces it.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::event::Event;
use crate::ids::Dot;

/// The events that wrote the value that stands. Several, where two wrote the same without having
/// seen each other; of those that had, only the last.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub(super) struct Writers(Vec<(Dot, Arc<str>)>);

impl Writers {
    pub(super) fn new(dot: Dot, agent: Arc<str>) -> Self {
        Self(vec![(dot, agent)])
    }

    /// `event` wrote the same value again.
    pub(super) fn agree(&mut self, event: &Event) {
        self.0.retain(|(dot, _)| !event.saw(*dot) && *dot != event.dot);
        self.0.push((event.dot, Arc::clone(&event.author.name)));
    }

    /// `event` wrote another value; gives those whose value it replaced without having seen it.
    pub(super) fn replace(&mut self, event: &Event) -> Vec<(Dot, Arc<str>)> {
        let new = vec![(event.dot, Arc::clone(&event.author.name))];
        let mut losers = std::mem::replace(&mut self.0, new);
        losers.retain(|(dot, _)| !event.saw(*dot) && *dot != event.dot);
        losers
    }
}
