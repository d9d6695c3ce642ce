//! Who does the work of an open run: a thread of its own, or the calls themselves.
//!
//! With a thread, calls from many tasks gather into groups that share a sync, no task waits for a
//! disk, and the journals of other processes are looked at while somebody follows the run. A process
//! that does one thing has no use for that, and on a busy machine each change of threads is a turn
//! in the queue for a processor: there the calls do the work, in place, until somebody follows the run.

use std::sync::atomic::AtomicUsize;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::thread::{JoinHandle, ThreadId, current};

use tokio::sync::{mpsc, oneshot, watch};
use tress_store::RunStore;

use crate::core::{Command, Core, QUEUE_MAX};
use crate::error::Error;
use crate::seal::Holding;
use crate::show::Published;

/// What a run's core needs to open.
#[derive(Debug)]
pub(crate) struct Parts {
    pub(crate) files: RunStore,
    pub(crate) publish: watch::Sender<Published>,
    pub(crate) followers: Arc<AtomicUsize>,
    pub(crate) holding: Arc<Mutex<Holding>>,
}

/// The core of an open run, and who drives it.
pub(crate) struct Driver {
    name: String,
    /// The queue of the thread, once there is one.
    queue: OnceLock<mpsc::Sender<Command>>,
    thread: Mutex<Option<JoinHandle<()>>>,
    /// The core, until there is a thread that has it.
    here: Mutex<Option<Core>>,
    /// The thread in which the core is at work here.
    busy: Mutex<Option<ThreadId>>,
}

impl std::fmt::Debug for Driver {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Driver").field("name", &self.name).finish_non_exhaustive()
    }
}

impl Driver {
    /// Opens the core on a thread of its own.
    pub(crate) async fn on_a_thread(parts: Parts) -> Result<Self, Error> {
        let driver = Self::new(parts.files.name().to_owned(), None);
        let (opened, opening) = oneshot::channel();
        driver.start(move || match Core::open(parts) {
            Ok(core) => opened.send(Ok(())).is_ok().then_some(core),
            Err(error) => {
                let _ = opened.send(Err(error));
                None
            }
        })?;
        opening.await.map_err(|_| Error::Closed)??;
        Ok(driver)
    }

    /// Opens the core here. Blocks for as long as that takes.
    pub(crate) fn in_place(parts: Parts) -> Result<Self, Error> {
        let name = parts.files.name().to_owned();
        Ok(Self::new(name, Some(Core::open(parts)?)))
    }

    fn new(name: String, core: Option<Core>) -> Self {
        let (queue, thread, busy) = (OnceLock::new(), Mutex::default(), Mutex::default());
        Self { name, queue, thread, here: Mutex::new(core), busy }
    }

    /// Has `command` done: at once, or by the thread; whoever waits for the answer is told.
    pub(crate) async fn send(&self, command: Command) -> Result<(), Error> {
        let command = match self.do_here(command)? {
            None => return Ok(()),
            Some(command) => command,
        };
        let queue = self.queue.get().ok_or(Error::Closed)?;
        queue.send(command).await.map_err(|_| Error::Closed)
    }

    /// Does `command`, or gives it back where a thread has the core.
    fn do_here(&self, command: Command) -> Result<Option<Command>, Error> {
        if self.queue.get().is_some() {
            return Ok(Some(command));
        }
        let mut here = self.core()?;
        // Where a call panics the core may be between two states: it is gone then, and the run closed.
        let Some(mut core) = here.take() else { return Ok(Some(command)) };
        *self.busy.lock().unwrap_or_else(PoisonError::into_inner) = Some(current().id());
        core.handle(vec![command]);
        core.keep_snapshot(false);
        *self.busy.lock().unwrap_or_else(PoisonError::into_inner) = None;
        *here = Some(core);
        Ok(None)
    }

    /// The core, or that there is none any more. Not for what the core itself calls, such as a condition:
    /// it would wait for itself.
    fn core(&self) -> Result<MutexGuard<'_, Option<Core>>, Error> {
        let busy = *self.busy.lock().unwrap_or_else(PoisonError::into_inner);
        if busy == Some(current().id()) {
            let reason = "a condition or a query has called its own run, which is used in place";
            return Err(Error::Group(reason.to_owned()));
        }
        self.here.lock().map_err(|_| Error::Closed)
    }

    /// Has a thread look at what other processes write, from now on and while somebody follows.
    pub(crate) fn follow(&self) -> Result<(), Error> {
        if self.queue.get().is_none() {
            let mut here = self.core()?;
            // Whoever else was quicker has started it.
            if here.is_some() {
                let (give, take) = std::sync::mpsc::channel();
                // Where no thread can be had, the core stays here.
                self.start(move || take.recv().ok())?;
                if let Some(core) = here.take() {
                    let _ = give.send(core);
                }
            }
        }
        // Where the queue is full, the thread is awake.
        let _ = self.queue.get().map(|queue| queue.try_send(Command::Look));
        Ok(())
    }

    /// Starts the thread. Only ever called once.
    fn start(&self, core: impl FnOnce() -> Option<Core> + Send + 'static) -> Result<(), Error> {
        let (queue, commands) = mpsc::channel(QUEUE_MAX);
        let wake = queue.downgrade();
        let work = move || {
            if let Some(core) = core() {
                core.work(commands, &wake);
            }
        };
        let thread = std::thread::Builder::new().name(format!("tress {}", self.name));
        let thread = thread.spawn(work).map_err(|error| Error::Group(error.to_string()))?;
        *self.thread.lock().unwrap_or_else(PoisonError::into_inner) = Some(thread);
        let _ = self.queue.set(queue);
        Ok(())
    }
}

impl Drop for Driver {
    fn drop(&mut self) {
        if let Ok(Some(mut core)) = self.here.lock().map(|mut here| here.take()) {
            core.finish();
        }
        // The thread ends when the queue does; it holds the replica until then.
        self.queue.take();
        let thread = self.thread.lock().unwrap_or_else(PoisonError::into_inner).take();
        // The last handle may be dropped by the thread itself, with a condition that held it.
        let elsewhere =
            |thread: &JoinHandle<()>| thread.thread().id() != std::thread::current().id();
        if let Some(thread) = thread.filter(elsewhere)
            && thread.join().is_err()
        {
            tracing::error!(run = self.name, "the run's thread panicked");
        }
    }
}
