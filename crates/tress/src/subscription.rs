//! Following a run.

use std::collections::VecDeque;
use std::sync::Arc;

use tokio::sync::watch;
use tress_model::Event;

use crate::core::Published;
use crate::error::Error;
use crate::run::{Following, Run};

/// The events of a run, from a version on, each once, without a gap. Events that were there already
/// come in canonical order, later ones in the order in which they arrive.
///
/// It pulls: a subscriber that does not ask costs no memory, however far it falls behind.
#[derive(Debug)]
pub struct Subscription {
    run: Run,
    published: watch::Receiver<Published>,
    _following: Following,
    ready: VecDeque<Arc<Event>>,
    cursor: usize,
}

/// How many events one pull brings.
const PULL_MAX: usize = 4096;

impl Subscription {
    pub(crate) fn new(
        run: Run,
        published: watch::Receiver<Published>,
        following: Following,
    ) -> Self {
        Self { run, published, _following: following, ready: VecDeque::new(), cursor: 0 }
    }

    pub(crate) fn start(&mut self, (events, cursor): (Vec<Arc<Event>>, usize)) {
        self.ready = events.into();
        self.cursor = cursor;
    }

    /// The next event; waits for it.
    ///
    /// # Errors
    /// When the run was closed.
    pub async fn next(&mut self) -> Result<Arc<Event>, Error> {
        loop {
            if let Some(event) = self.ready.pop_front() {
                return Ok(event);
            }
            let arrivals = self.published.borrow_and_update().arrivals;
            if arrivals > self.cursor {
                let from = self.cursor;
                let pulled = self.run.query(move |core| {
                    let fresh = core.arrivals.get(from..).unwrap_or_default();
                    fresh.iter().take(PULL_MAX).cloned().collect::<Vec<_>>()
                });
                let pulled = pulled.await?;
                self.cursor += pulled.len();
                self.ready = pulled.into();
            } else {
                self.published.changed().await.map_err(|_| Error::Closed)?;
            }
        }
    }

    /// The next event of those that were fetched already.
    pub fn try_next(&mut self) -> Option<Arc<Event>> {
        self.ready.pop_front()
    }
}
