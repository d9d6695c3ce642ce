//! Copies: who else has what of a run, durably; and waiting for that.

use std::collections::BTreeMap;
use std::sync::Arc;

use tokio::sync::watch;
use tress_model::{Event, StoreId, VersionVector};

use crate::error::Error;
use crate::run::Run;
use crate::sync::PEERS_MAX;

/// What each of those that count said last. At most [`PEERS_MAX`] are kept.
#[derive(Debug, Default)]
pub(crate) struct Copies {
    known: watch::Sender<BTreeMap<StoreId, VersionVector>>,
}

impl Run {
    /// Waits until `events`, which were appended here, are durable in `k` places beside this one:
    /// the level *replicated(k)*. Counted are the hubs and relays that this process follows, and
    /// those that follow a hub in this process and may write there. A database counts once it has
    /// committed, and by its own settings that may be on several machines.
    ///
    /// It waits for as long as that takes: for ever, where this process is not kept the same with `k`
    /// others. Cancel-safe.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use tress::sync::{Terms, converse, pipe};
    /// use tress::{Role, Store, TodoId};
    ///
    /// let run = Store::in_memory()?.create_run("main").await?;
    /// let other = Store::in_memory()?.create_run("main").await?;
    /// let (link, far) = pipe();
    /// let terms = Terms { live: true, counts: true, ..Terms::default() };
    /// let sync = async {
    ///     tokio::join!(converse(&run, link, &terms, |_| {}), converse(&other, far, &terms, |_| {}))
    /// };
    /// let work = async {
    ///     let ada = run.agent("ada", Role::Human);
    ///     let todo = tress::todo(TodoId::from_external("first"), "write it down");
    ///     let events = ada.append([todo]).await?;
    ///     run.replicated(&events, 1).await
    /// };
    /// tokio::select! { _ = sync => {}, done = work => done? }
    /// assert_eq!(other.refresh().await?.todos.len(), 1);
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// When the run was closed.
    pub async fn replicated(&self, events: &[Arc<Event>], k: usize) -> Result<(), Error> {
        let mut wanted = VersionVector::new();
        for event in events {
            wanted.insert(event.dot);
        }
        let mut known = self.copies().known.subscribe();
        let enough = |copies: &BTreeMap<StoreId, VersionVector>| {
            copies.values().filter(|has| wanted <= **has).count() >= k
        };
        known.wait_for(enough).await.map(|_| ()).map_err(|_| Error::Closed)
    }

    /// Takes note of what `place` has, durably.
    pub(crate) fn note_copy(&self, place: StoreId, has: &VersionVector) {
        self.copies().known.send_if_modified(|copies| {
            if copies.len() >= PEERS_MAX && !copies.contains_key(&place) {
                return false;
            }
            let known = copies.entry(place).or_default();
            let news = has.join(known) != *known;
            if news {
                known.merge(has);
            }
            news
        });
    }
}
