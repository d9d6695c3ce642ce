//! `cargo xtask sim`: plays worlds, and tells which seed broke which promise.

use std::process::ExitCode;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use clap::Parser;
use tress_sim::action::plan;
use tress_sim::{Canary, Outcome, Tally, World, shrink};

/// Play simulated worlds around the production code, and check every promise
#[derive(Debug, Parser)]
#[command(
    name = "cargo xtask sim",
    after_help = "\
Examples:
  cargo xtask sim                        200 worlds from a fresh seed
  cargo xtask sim --seed 17              one world, exactly as it was, with all that happens
  cargo xtask sim --from 1 --worlds 3000
  cargo xtask sim --crashes 100000 --message-faults 1000000
  cargo xtask sim --canary no-sync       a planted bug, which must be found"
)]
struct Arguments {
    /// Play the world of this seed alone
    #[arg(long)]
    seed: Option<u64>,
    /// The seed of the first world; a fresh one unless it is said
    #[arg(long)]
    from: Option<u64>,
    /// How many worlds to play
    #[arg(long, default_value_t = 200)]
    worlds: u64,
    /// Go on until there were so many crashes
    #[arg(long, default_value_t = 0)]
    crashes: u64,
    /// Go on until there were so many message faults
    #[arg(long, default_value_t = 0)]
    message_faults: u64,
    /// How many actions a world has
    #[arg(long, default_value_t = 600)]
    steps: usize,
    /// Begin no world after so many seconds
    #[arg(long)]
    seconds: Option<u64>,
    /// How many worlds are played at once
    #[arg(long, default_value_t = 2)]
    threads: usize,
    /// Plant a bug, which is then to be found
    #[arg(long)]
    canary: Option<Canary>,
    /// Do not look for the fewest actions that break the promise
    #[arg(long)]
    no_shrink: bool,
}

/// What all threads share.
struct Shared {
    next: AtomicU64,
    worlds: AtomicU64,
    stop: AtomicBool,
    tally: Mutex<Tally>,
    broken: Mutex<Vec<(u64, Outcome)>>,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let first = arguments.seed.or(arguments.from).unwrap_or_else(fresh);
    let shared = Shared {
        next: AtomicU64::new(first),
        worlds: AtomicU64::new(0),
        stop: AtomicBool::new(false),
        tally: Mutex::default(),
        broken: Mutex::default(),
    };
    let began = Instant::now();
    let threads = if arguments.seed.is_some() { 1 } else { arguments.threads.max(1) };
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| play(&arguments, &shared, began));
        }
    });
    let worlds = shared.worlds.load(Ordering::Relaxed);
    let tally = shared.tally.into_inner().unwrap_or_default();
    let broken = shared.broken.into_inner().unwrap_or_default();
    let seconds = began.elapsed().as_secs();
    println!("{worlds} worlds from seed {first} in {seconds} s: {tally}");
    for (seed, outcome) in &broken {
        tell(&arguments, *seed, outcome);
    }
    match (broken.is_empty(), arguments.canary) {
        (true, None) => {
            println!("no promise was broken");
            ExitCode::SUCCESS
        }
        (false, Some(canary)) => {
            println!("the planted bug {canary:?} was found");
            ExitCode::SUCCESS
        }
        (true, Some(canary)) => {
            println!("the planted bug {canary:?} was not found");
            ExitCode::FAILURE
        }
        (false, None) => ExitCode::FAILURE,
    }
}

/// A seed that nobody played before.
fn fresh() -> u64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    since.map_or(1, |since| since.as_millis() as u64)
}

fn play(arguments: &Arguments, shared: &Shared, began: Instant) {
    while !shared.stop.load(Ordering::Relaxed) {
        let late = arguments.seconds.is_some_and(|s| began.elapsed() > Duration::from_secs(s));
        let done = shared.worlds.load(Ordering::Relaxed);
        let enough = {
            let Ok(tally) = shared.tally.lock() else { return };
            tally.crashes() >= arguments.crashes && tally.message_faults >= arguments.message_faults
        };
        let wanted = if arguments.seed.is_some() { 1 } else { arguments.worlds };
        let counted = arguments.crashes > 0 || arguments.message_faults > 0;
        let over = if counted { enough } else { done >= wanted };
        if late || over {
            return;
        }
        let seed = shared.next.fetch_add(1, Ordering::Relaxed);
        let number = shared.worlds.fetch_add(1, Ordering::Relaxed) + 1;
        let (setting, actions) = plan(seed, arguments.steps);
        let outcome = World::play(seed, setting, &actions, arguments.canary);
        if let Ok(mut tally) = shared.tally.lock() {
            tally.add(&outcome.tally);
            if number.is_multiple_of(100) {
                eprintln!("{number} worlds, {} s: {tally}", began.elapsed().as_secs());
            }
        }
        if arguments.seed.is_some() {
            println!("{setting:?}\n{outcome:?}");
        }
        if outcome.broken.is_some()
            && let Ok(mut broken) = shared.broken.lock()
        {
            broken.push((seed, outcome));
            shared.stop.store(true, Ordering::Relaxed);
        }
    }
}

/// Tells what was broken, and the fewest actions that break something.
fn tell(arguments: &Arguments, seed: u64, outcome: &Outcome) {
    let what = outcome.broken.as_deref().unwrap_or_default();
    println!("seed {seed}: {what}");
    let steps = arguments.steps;
    println!("repeat it: cargo xtask sim --seed {seed} --steps {steps}");
    if arguments.no_shrink || arguments.canary.is_some() {
        return;
    }
    let (setting, actions) = plan(seed, steps);
    let few = shrink::shrink(seed, setting, &actions, arguments.canary);
    let what = World::play(seed, setting, &few, arguments.canary).broken.unwrap_or_default();
    println!("{} of {} actions are enough: {what}", few.len(), actions.len());
    for action in few {
        println!("  {action:?}");
    }
}
