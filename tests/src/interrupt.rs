//! Ctrl-C and SIGTERM: the harness ends as if it had failed, so that every guard cleans up.

use std::sync::atomic::{AtomicBool, Ordering};

use crate::trouble::{Trouble, While};

static ASKED: AtomicBool = AtomicBool::new(false);

/// From now on the signals are noted instead of ending the process.
pub(crate) fn watch() -> Result<(), Trouble> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.harness("watching for signals")?;
    let signals = {
        use tokio::signal::unix::{SignalKind, signal};
        let _inside = runtime.enter();
        let interrupt = signal(SignalKind::interrupt());
        interrupt.and_then(|interrupt| Ok((interrupt, signal(SignalKind::terminate())?)))
    };
    let (mut interrupt, mut terminate) = signals.harness("watching for signals")?;
    std::thread::spawn(move || {
        runtime.block_on(async {
            loop {
                tokio::select! {
                    _ = interrupt.recv() => {}
                    _ = terminate.recv() => {}
                }
                ASKED.store(true, Ordering::Release);
            }
        });
    });
    Ok(())
}

/// Fails once somebody asked the harness to end.
pub(crate) fn check() -> Result<(), Trouble> {
    if ASKED.load(Ordering::Acquire) { Err(Trouble::Interrupted) } else { Ok(()) }
}
