//! Who asks the process to end: by Ctrl-C, or by the signal for it.

#[cfg(unix)]
use tokio::signal::unix::{Signal, SignalKind, signal};

/// Whoever asks this process to end. It listens from the moment that it is made, so that what is
/// asked while nobody waits is heard by the next who does.
pub(crate) struct Interrupts {
    #[cfg(unix)]
    ctrl_c: Option<Signal>,
    #[cfg(unix)]
    terminate: Option<Signal>,
}

impl Interrupts {
    /// Listens from now on. What cannot be listened for ends the process, as ever.
    #[cfg(unix)]
    pub(crate) fn new() -> Self {
        let listen = |kind| signal(kind).ok();
        Self { ctrl_c: listen(SignalKind::interrupt()), terminate: listen(SignalKind::terminate()) }
    }

    /// Listens from now on.
    #[cfg(not(unix))]
    pub(crate) fn new() -> Self {
        Self {}
    }

    /// Waits until somebody asks, or has asked since the last time.
    #[cfg(unix)]
    pub(crate) async fn next(&mut self) {
        tokio::select! {
            () = heard(&mut self.ctrl_c) => {}
            () = heard(&mut self.terminate) => crate::failure::terminated(),
        }
    }

    /// Waits until somebody asks.
    #[cfg(not(unix))]
    pub(crate) async fn next(&mut self) {
        if tokio::signal::ctrl_c().await.is_err() {
            std::future::pending::<()>().await;
        }
    }
}

#[cfg(unix)]
async fn heard(listening: &mut Option<Signal>) {
    let heard = match listening {
        Some(signal) => signal.recv().await,
        None => None,
    };
    if heard.is_none() {
        std::future::pending::<()>().await;
    }
}

/// Waits until somebody asks the process to end, for one who waits once.
pub(crate) async fn interrupted() {
    Interrupts::new().next().await;
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;

    /// Who waited anew after each event heard nothing of what was asked while an event was shown.
    #[tokio::test]
    async fn what_is_asked_while_nobody_waits_is_heard() {
        let mut interrupts = Interrupts::new();
        let own = std::process::id().to_string();
        for _ in 0..2 {
            let asked = std::process::Command::new("kill").args(["-INT", &own]).status();
            assert!(asked.expect("it works").success());
            interrupts.next().await;
        }
    }
}
