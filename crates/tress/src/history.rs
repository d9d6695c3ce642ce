//! How much an open run holds in memory.
//!
//! What is in memory are the state and the latest events ([`tress_store::Tuning::history_events`]); so a process
//! that works for weeks does not grow with what it has done, as long as all is whole and nobody asks for what is
//! old. That is read again for whoever does, and stays for a while, since whoever asks once may ask again. So do the
//! documents for whoever seals ([`tress_store::Tuning::documents_for`]).

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use tress_model::clock::Millis;
use tress_model::{Event, VersionVector};

use crate::core::Core;

/// How long what is old stays in memory for whoever may ask for more of it.
const KEPT_FOR: Millis = 600_000;

impl Core {
    /// Forgets what is old, where much is in memory. Of a log that is not `whole`, for which something waits or
    /// of which something is damaged, nothing is forgotten.
    pub(crate) fn forget_history(&mut self, whole: bool) {
        let keep = self.files.store().tuning().history_events;
        self.arrivals.forget_all_but(keep);
        let needed = || self.old_needed.is_some_and(|at| self.now() < at.saturating_add(KEPT_FOR));
        if whole && self.log.events().len() / 2 >= keep.max(1) && !needed() {
            self.log.forget_all_but(keep);
        }
    }

    /// Lets go of the documents that nobody has needed for [`tress_store::Tuning::documents_for`].
    pub(crate) fn forget_documents(&self) {
        // Whoever works on them needs them.
        let Ok(mut holding) = self.holding.try_lock() else { return };
        if holding.left(self.now(), self.files.store().tuning().documents_for) != Some(0) {
            return;
        }
        // Large ones take a moment, which no append is to wait for. Without a thread they go here.
        let held = holding.let_go();
        let thread = std::thread::Builder::new().name("tress documents".to_owned());
        let _ = thread.spawn(move || drop(held));
    }

    /// How long it is until they are to be let go; `None` where there are none.
    pub(crate) fn documents_held(&self) -> Option<Duration> {
        let held_for = self.files.store().tuning().documents_for;
        match self.holding.try_lock() {
            Ok(holding) => holding.left(self.now(), held_for).map(Duration::from_millis),
            Err(_) => Some(held_for),
        }
    }

    /// Keeps what is old for a while.
    pub(crate) fn need_old(&mut self) {
        self.old_needed = Some(self.now());
    }

    /// Does so where somebody was given what came behind `version`, and that is more than is held otherwise.
    pub(crate) fn note_old(&mut self, version: &VersionVector) {
        let behind = self.log.version().events().saturating_sub(version.events());
        if behind > self.files.store().tuning().history_events as u64 {
            self.need_old();
        }
    }
}

/// The events that came since the run was opened, in order of arrival; the latest of them.
#[derive(Debug, Default)]
pub(crate) struct Arrivals {
    events: VecDeque<Arc<Event>>,
    forgotten: usize,
}

impl Arrivals {
    pub(crate) fn push(&mut self, event: Arc<Event>) {
        self.events.push_back(event);
    }

    /// How many came.
    pub(crate) fn count(&self) -> usize {
        self.forgotten + self.events.len()
    }

    /// Those that came behind the first `count`, at most so many, and how many came up to them; `None` where
    /// not all of them are known any more.
    pub(crate) fn since(&self, count: usize, most: usize) -> Option<(Vec<Arc<Event>>, usize)> {
        let known = count.checked_sub(self.forgotten)?;
        let events: Vec<_> = self.events.iter().skip(known).take(most).cloned().collect();
        let up_to = count + events.len();
        Some((events, up_to))
    }

    /// Takes back those that came behind the first `count`.
    pub(crate) fn truncate(&mut self, count: usize) {
        self.events.truncate(count.saturating_sub(self.forgotten));
    }

    /// Forgets the first of them where there are twice as many as `keep`.
    fn forget_all_but(&mut self, keep: usize) {
        if self.events.len() / 2 >= keep.max(1) {
            let gone = self.events.len() - keep;
            self.events.drain(..gone);
            self.events.shrink_to_fit();
            self.forgotten += gone;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use tress_model::{Operation, Role};
    use tress_store::Tuning;

    use super::*;
    use crate::{Run, Store, When};

    const KEEP: usize = 8;
    const ROUNDS: u64 = 60;

    async fn remark(run: &Run, number: u64) -> Arc<Event> {
        let agent = run.agent("ada", Role::Human);
        let todo = crate::TodoId::from_external("x");
        let text = format!("remark {number}");
        let made = agent.append([Operation::NoteAdded { todo, text, layout: None }]).await;
        made.expect("it is appended").remove(0)
    }

    /// How many events a run has in memory: of its log, and of what arrived.
    async fn held(run: &Run) -> (usize, usize) {
        let held = |core: &mut Core| (core.log.events().len(), core.arrivals.events.len());
        run.query(held).await.expect("it is open")
    }

    async fn drain(subscription: &mut crate::Subscription, count: usize) -> BTreeSet<crate::Dot> {
        let mut seen = BTreeSet::new();
        while seen.len() < count {
            let event = subscription.next().await.expect("it is open");
            assert!(seen.insert(event.dot), "{} came twice", event.dot);
        }
        seen
    }

    /// A process forgets, and another writes beside it: whoever asks the former gets what the latter knows.
    #[tokio::test]
    async fn who_asks_a_run_that_forgets_gets_an_answer_all_the_same() {
        let dir = tempfile::tempdir().expect("a directory");
        let place = dir.path().join(".tress");
        let tuning = Tuning { history_events: KEEP, snapshot_events: 16, ..Tuning::default() };
        let files = tress_store::Store::create(&place).expect("a store").tuned(tuning);
        let here = Store::on(files).create_run("main").await.expect("a run");
        let there = Store::open(&place).expect("a store").run("main").await.expect("a run");
        let mut slow = here.subscribe(VersionVector::new()).await.expect("it follows");
        let mut quick = here.subscribe(VersionVector::new()).await.expect("it follows");
        let (mut all, mut first) = (BTreeSet::new(), None);
        for number in 0..ROUNDS {
            for run in [&here, &there] {
                let event = remark(run, number).await;
                first.get_or_insert(Arc::clone(&event));
                all.insert(event.dot);
            }
            here.refresh().await.expect("it is read");
            assert_eq!(drain(&mut quick, 2).await.len(), 2);
            let (log, arrived) = held(&here).await;
            assert!(
                log < 2 * KEEP + 2 && arrived < 2 * KEEP + 2,
                "{log} and {arrived} in {number}"
            );
        }
        assert_eq!(here.state().root(), there.refresh().await.expect("it is read").root());
        // Half of what the slow one gets is not in memory any more.
        assert_eq!(drain(&mut slow, all.len()).await, all);
        let first = first.expect("there is one");
        here.query(|core| core.old_needed = None).await.expect("it is open");
        // What is in memory is not read again.
        let latest = remark(&here, ROUNDS).await.dot;
        assert!(all.insert(latest));
        let event = here.event(&latest.to_string()).await.expect("it is there");
        let there = here.state_at(When::Event(event.dot)).await.expect("it is there");
        assert_eq!(there.events(), all.len() as u64);
        assert!(held(&here).await.0 < 2 * KEEP + 2);
        let past = here.state_at(When::Event(first.dot)).await.expect("it is there");
        assert_eq!(past.events(), 1);
        assert_eq!(held(&here).await.0, all.len(), "who asks once may ask again");
        let found = here.event(&first.id.to_string()).await.expect("it is there");
        assert_eq!(found.dot, first.dot);
        let since = here.events_since(VersionVector::new()).await.expect("they are read");
        assert_eq!(since.iter().map(|event| event.dot).collect::<BTreeSet<_>>(), all);
        remark(&here, ROUNDS + 1).await;
        assert_eq!(held(&here).await.0, all.len() + 1);
        // Ten minutes later nobody asked again.
        here.query(|core| core.old_needed = None).await.expect("it is open");
        assert_eq!(held(&here).await.0, KEEP);
        let since = here.events_since(VersionVector::new()).await.expect("they are read");
        assert_eq!(since.len(), all.len() + 1);
    }
}
