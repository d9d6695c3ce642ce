//! A storm: many clients at once that each run one command of the binary `tress` after the other,
//! as agents do, and some of whose commands are killed.

use std::collections::BTreeMap;
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use clap::Args;
use tress::{EventId, Store, VersionVector};

use crate::Common;
use crate::check::{self, Place, documents_equal_the_state};
use crate::client::{Client, Done};
use crate::random::Random;
use crate::trouble::{Trouble, While, violation};

/// How many todos there are at first.
const TODOS: usize = 12;

/// Run many commands at once
#[derive(Debug, Args)]
pub(crate) struct Storm {
    /// How many clients there are at once
    #[arg(long, default_value_t = 30)]
    processes: usize,
    /// How many commands each runs
    #[arg(long, default_value_t = 100)]
    commands: usize,
    #[command(flatten)]
    pub(crate) common: Common,
}

/// Does `storm`.
pub(crate) fn run(args: &Storm, seed: u64) -> Result<(), Trouble> {
    let tress = check::binary(args.common.tress.as_deref())?;
    let dir = tempfile::tempdir().harness("a directory for the store")?;
    let place = Place { store: dir.path().join(".tress"), tress };
    prepare(&place)?;
    let ended = blow(args, &place, seed).and_then(|done| {
        hold(&place, &done)?;
        place.few_journals(args.processes)?;
        Ok(done)
    });
    match ended {
        Ok(done) => {
            report(args, &done, place.journals()?);
            Ok(())
        }
        Err(trouble) => {
            trouble.keep(dir);
            Err(trouble)
        }
    }
}

fn prepare(place: &Place) -> Result<(), Trouble> {
    let call = |args: &[&str]| {
        let mut command = Command::new(&place.tress);
        let dir = place.store.parent().unwrap_or(&place.store);
        let output = command.args(args).current_dir(dir).env("TRESS_AGENT", "harness").output();
        let output = output.harness("running tress")?;
        if output.status.success() {
            return Ok(());
        }
        let said = String::from_utf8_lossy(&output.stderr).trim().to_owned();
        Err(Trouble::Harness(format!("tress {args:?}: {}: {said}", output.status)))
    };
    call(&["init"])?;
    (0..TODOS).try_for_each(|number| call(&["add", &format!("todo {number}")]))
}

/// All clients at once; what they did.
fn blow(args: &Storm, place: &Place, seed: u64) -> Result<Done, Trouble> {
    let mut random = Random::new(seed);
    let failed = AtomicBool::new(false);
    let ended: Vec<Result<Done, Trouble>> = std::thread::scope(|scope| {
        let mut threads = Vec::new();
        for number in 0..args.processes {
            let mut client = Client::new(place, number, random.next());
            let failed = &failed;
            threads.push(scope.spawn(move || {
                for number in 0..args.commands {
                    if failed.load(Ordering::Relaxed) {
                        break;
                    }
                    client.step(number).inspect_err(|_| failed.store(true, Ordering::Relaxed))?;
                }
                Ok(client.done)
            }));
        }
        let join = |thread: std::thread::ScopedJoinHandle<'_, _>| {
            thread.join().unwrap_or_else(|_| Err(Trouble::Harness("a client panicked".to_owned())))
        };
        threads.into_iter().map(join).collect()
    });
    let mut all = Done::default();
    for done in ended {
        all.join(done?);
    }
    Ok(all)
}

/// Everything that was acknowledged is there, under its id and by who wrote it.
fn hold(place: &Place, done: &Done) -> Result<(), Trouble> {
    place.fsck()?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.harness("starting a runtime")?.block_on(async {
        let store = Store::open(&place.store).must("opening the store")?;
        let run = store.run("main").await.must("opening the run")?;
        let events = run.events_since(VersionVector::new()).await.must("reading all events")?;
        let there: BTreeMap<EventId, &str> =
            events.iter().map(|event| (event.id, &*event.author.name)).collect();
        for (id, (agent, what)) in &done.acknowledged {
            if there.get(id) != Some(&agent.as_str()) {
                return violation(format!(
                    "{what} of {agent} was acknowledged as {id} and is gone"
                ));
            }
        }
        documents_equal_the_state(&run).await
    })
}

fn report(args: &Storm, done: &Done, journals: usize) {
    println!(
        "torture storm: {} clients ran {} commands each; {} killed, {} conflicts, {} to be tried \
         again; all {} acknowledged writes are there; {journals} journals",
        args.processes,
        args.commands,
        done.killed,
        done.conflicts,
        done.busy,
        done.acknowledged.len()
    );
    for (what, times) in [("reads", &done.reads), ("writes", &done.writes)] {
        let mut times = times.clone();
        times.sort();
        let at = |percent: usize| {
            let found = times.get((times.len() * percent / 100).min(times.len().saturating_sub(1)));
            found.copied().unwrap_or(Duration::ZERO).as_millis()
        };
        println!(
            "{what}: {}; median {} ms, 99th percentile {} ms, slowest {} ms",
            times.len(),
            at(50),
            at(99),
            at(100)
        );
    }
}
