//! Snapshots of a run, written beside the work by a thread of their own.

use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use tress_store::{BegunSnapshot, StoreError, Tuning};

/// A process makes snapshots no more often than this, so that they take a small part of its time. As much as it
/// appends in between is what an opening has to read, should it be killed.
const EVERY: Duration = Duration::from_millis(500);

/// When the next snapshot is due, and the thread that writes one.
#[derive(Debug)]
pub(crate) struct Snapshots {
    /// How many events the last one has.
    events: u64,
    /// How many bytes the journals had when it was made.
    bytes: u64,
    /// Writes one, while it does; and when it began.
    writing: Option<(JoinHandle<()>, Instant)>,
}

impl Snapshots {
    pub(crate) const fn new(events: u64, bytes: u64) -> Self {
        Self { events, bytes, writing: None }
    }

    /// Those with more events than this do not help whoever opens the run: something belongs before their end.
    pub(crate) fn went_back(&mut self, events: u64) {
        self.events = self.events.min(events);
    }

    /// Whether one is due for a run of so many events, whose journals have so many bytes: one at a time, and not
    /// all the time. When the run is `closing`, whoever opens it next reads what is behind the last one.
    pub(crate) fn is_due(&self, events: u64, bytes: u64, tuning: Tuning, closing: bool) -> bool {
        let busy = self
            .writing
            .as_ref()
            .is_some_and(|(writing, began)| !writing.is_finished() || began.elapsed() < EVERY);
        let after = match closing {
            true => tuning.snapshot_after_closing(self.events),
            false => tuning.snapshot_after(self.events),
        };
        let much = events >= self.events.saturating_add(after)
            || bytes >= self.bytes.saturating_add(tuning.snapshot_after_bytes(self.bytes));
        !busy && much
    }

    /// Writes one: at once where nothing is `real`, so that all happens in the order in which it is asked for.
    pub(crate) fn write(
        &mut self,
        (events, bytes): (u64, u64),
        begun: Result<BegunSnapshot, StoreError>,
        real: bool,
    ) {
        (self.events, self.bytes) = (events, bytes);
        let write = |begun: &BegunSnapshot| {
            if let Err(error) = begun.write() {
                tracing::warn!(%error, "no snapshot was made");
            }
        };
        match begun {
            Ok(begun) if !real => write(&begun),
            Ok(begun) => {
                let thread = std::thread::Builder::new().name("tress snapshot".to_owned());
                match thread.spawn(move || write(&begun)) {
                    Ok(writing) => self.writing = Some((writing, Instant::now())),
                    Err(error) => tracing::warn!(%error, "no snapshot was made"),
                }
            }
            Err(error) => tracing::warn!(%error, "no snapshot was made"),
        }
    }

    /// Waits for the one that is being written; the next may come at once.
    pub(crate) fn finish(&mut self) {
        if let Some((writing, _)) = self.writing.take()
            && writing.join().is_err()
        {
            tracing::error!("the thread that makes snapshots panicked");
        }
    }
}

impl Drop for Snapshots {
    fn drop(&mut self) {
        self.finish();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whoever_closes_a_long_run_leaves_little_behind_its_last_snapshot() {
        let (tuning, kept) = (Tuning::default(), Snapshots::new(1_000_000, 66 << 20));
        let due = |behind: u64, closing| kept.is_due(1_000_000 + behind, 66 << 20, tuning, closing);
        assert!(!due(3_000, false) && due(1_100, true) && !due(1_000, true));
        assert!(due(31_250, false));
    }
}
