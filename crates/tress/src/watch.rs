//! Being told by the system when other processes write to a run. Where the system cannot tell (it
//! has too many watches, or the file system has none), the journals are looked at now and then.

use std::path::Path;

use notify::event::{AccessKind, AccessMode, EventKind};
use notify::{RecommendedWatcher, RecursiveMode, Watcher};

/// Calls `wake` whenever something is written below `dir`, as long as what is given back exists.
pub(crate) fn watch(dir: &Path, wake: impl Fn() + Send + 'static) -> Option<RecommendedWatcher> {
    let told = move |event: notify::Result<notify::Event>| match event.map(|event| event.kind) {
        // That somebody opened and read it, this process perhaps, is no news.
        Ok(EventKind::Access(kind)) if kind != AccessKind::Close(AccessMode::Write) => {}
        _ => wake(),
    };
    let watcher = notify::recommended_watcher(told).and_then(|mut watcher| {
        watcher.watch(dir, RecursiveMode::Recursive)?;
        Ok(watcher)
    });
    let told = |error: &notify::Error| {
        tracing::debug!(%error, dir = %dir.display(), "the system does not tell; looking now and then");
    };
    watcher.inspect_err(told).ok()
}
