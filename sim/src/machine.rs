//! A machine: a disk, a clock, a source of randomness, and processes that come and go.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use tress::{Claimed, Dot, EventId, MemoryFiles, Run, Store};
use tress_plan::random::Random;
use tress_store::{Call, Fault, FaultyFiles, Host, Tuning};

use crate::canary::Canary;

const DIR: &str = "/project/.tress";
/// 2026-01-01.
const EPOCH: u64 = 1_767_225_600_000;

/// The clock and the randomness of a machine.
#[derive(Debug)]
pub struct SimHost {
    /// What really is the time, the same on all machines.
    time: Arc<AtomicU64>,
    /// How far the clock is off, in milliseconds.
    pub skew: AtomicI64,
    random: Mutex<Random>,
}

impl Host for SimHost {
    fn now(&self) -> u64 {
        let now = EPOCH + self.time.load(Ordering::Relaxed);
        now.saturating_add_signed(self.skew.load(Ordering::Relaxed))
    }

    fn random(&self, bytes: &mut [u8]) -> std::io::Result<()> {
        let mut random = self.random.lock().unwrap_or_else(PoisonError::into_inner);
        for chunk in bytes.chunks_mut(8) {
            let number = random.next().to_le_bytes();
            chunk.iter_mut().zip(number).for_each(|(byte, random)| *byte = random);
        }
        Ok(())
    }
}

/// A process on a machine: what it has open.
#[derive(Debug)]
pub struct Process {
    /// Its view of the disk.
    pub files: FaultyFiles,
    /// The store.
    pub store: Store,
    /// The run.
    pub run: Run,
    /// What its agents hold, by agent.
    pub claims: BTreeMap<String, Claimed>,
}

/// A machine.
#[derive(Debug)]
pub struct Machine {
    /// Its disk.
    pub disk: MemoryFiles,
    /// Its clock.
    pub host: Arc<SimHost>,
    /// Its processes.
    pub processes: Vec<Process>,
    /// What was acknowledged here, or came in and was said to be durable.
    pub sure: BTreeMap<Dot, EventId>,
    tuning: Tuning,
    canary: Option<Canary>,
}

impl Machine {
    /// A machine whose disk is empty.
    pub fn new(seed: u64, time: Arc<AtomicU64>, tuning: Tuning, canary: Option<Canary>) -> Self {
        let (skew, random) = (AtomicI64::new(0), Mutex::new(Random::new(seed)));
        Self {
            disk: MemoryFiles::new(),
            host: Arc::new(SimHost { time, skew, random }),
            processes: Vec::new(),
            sure: BTreeMap::new(),
            tuning,
            canary,
        }
    }

    /// A store on `files`, as a process of this machine opens it.
    fn open(&self, files: &FaultyFiles) -> Result<Store, tress::StoreError> {
        let host: Arc<dyn Host> = self.host.clone();
        let dir = Path::new(DIR);
        let identity = "here".to_owned();
        let store = tress_store::Store::create_at(Arc::new(files.clone()), host, dir, identity)?;
        // A thread of the run would answer before it is done, and go on while the world does.
        Ok(Store::on(store.tuned(self.tuning)).in_place())
    }

    /// Starts a process whose calls fail as `plan` says. `None` where it did not get as far as
    /// having the run open.
    pub async fn start(
        &mut self,
        plan: Option<impl FnMut(u64, Call, &Path) -> Option<Fault> + Send + 'static>,
    ) -> Option<&mut Process> {
        let files = FaultyFiles::on(&self.disk);
        match plan {
            Some(plan) => files.plan(plan),
            None => lie(&files, self.canary),
        }
        let opened = async {
            let store = self.open(&files).ok()?;
            let run = store.create_run("main").await.ok()?;
            Some((store, run))
        };
        let (store, run) = opened.await?;
        self.processes.push(Process { files, store, run, claims: BTreeMap::new() });
        self.processes.last_mut()
    }

    /// A process for whoever checks; it is not one of the machine's.
    ///
    /// # Errors
    /// When the run cannot be opened.
    pub async fn look(&self) -> Result<(Store, Run), tress::Error> {
        let files = FaultyFiles::on(&self.disk);
        let store = self.open(&files)?;
        let run = store.create_run("main").await?;
        Ok((store, run))
    }

    /// What the planted bug makes of calls, for a process that has no trouble of its own.
    pub fn heal(&self, process: &Process) {
        process.files.heal();
        lie(&process.files, self.canary);
    }
}

/// Plants a bug beneath a process.
fn lie(files: &FaultyFiles, canary: Option<Canary>) {
    let Some(canary) = canary else { return };
    files.plan(move |_, call, path| {
        let journal = path.extension().is_some_and(|extension| extension == "log");
        let received = path.iter().any(|part| part == "received");
        let vanishes = match canary {
            Canary::NoSync => call == Call::Sync && journal && !received,
            Canary::NoDirSync => call == Call::SyncDir,
            Canary::NoSyncOfReceived => call == Call::Sync && received,
            Canary::BrokenRule => false,
        };
        vanishes.then_some(Fault::Vanish)
    });
}
