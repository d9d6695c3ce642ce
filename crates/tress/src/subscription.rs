//! Following a run.

use std::collections::VecDeque;
use std::sync::Arc;

use tokio::sync::watch;
use tress_model::{Event, VersionVector};

use crate::core;
use crate::error::Error;
use crate::run::{Following, Run};
use crate::show::Published;

/// The events of a run, from a version on, each once, without a gap. Events that were there already
/// come in canonical order, later ones in the order in which they arrive; those that it has not asked for
/// before a run forgot them (it holds tens of thousands in memory), in canonical order again.
///
/// It pulls: a subscriber that does not ask costs no memory, however far it falls behind.
#[derive(Debug)]
pub struct Subscription {
    run: Run,
    published: watch::Receiver<Published>,
    _following: Following,
    ready: VecDeque<Arc<Event>>,
    /// How many of the arrivals it has.
    cursor: usize,
    /// What it has.
    version: VersionVector,
}

/// How many events one pull brings.
const PULL_MAX: usize = if cfg!(test) { 16 } else { 4096 };

impl Subscription {
    pub(crate) fn new(
        run: Run,
        published: watch::Receiver<Published>,
        following: Following,
        version: VersionVector,
    ) -> Self {
        let ready = VecDeque::new();
        Self { run, published, _following: following, ready, cursor: 0, version }
    }

    pub(crate) fn pull(&mut self, (events, cursor): (Vec<Arc<Event>>, usize)) {
        events.iter().for_each(|event| self.version.insert(event.dot));
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
                let (from, version) = (self.cursor, self.version.clone());
                let pulled = self.run.query(move |core| {
                    if let Some(fresh) = core.arrivals.since(from, PULL_MAX) {
                        return Ok::<_, Error>(fresh);
                    }
                    // It fell far behind, and is until it has all of what it missed.
                    let (mut missed, count) = core::catch_up(core, &version, PULL_MAX + 1)?;
                    let more = missed.len() > PULL_MAX;
                    missed.truncate(PULL_MAX);
                    Ok((missed, if more { from } else { count }))
                });
                let pulled = pulled.await??;
                self.pull(pulled);
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
