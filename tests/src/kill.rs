//! SIGKILL: processes that write one store die at random moments, in the middle of opening, of the
//! first write, of sealing. Each round holds the store against everything that was ever
//! acknowledged on it.

use clap::Args;

use crate::Common;
use crate::check::{self, Acknowledged, Place};
use crate::interrupt;
use crate::random::Random;
use crate::team::{Order, Team};
use crate::trouble::{Trouble, While, violation};

/// Kill writers at random moments
#[derive(Debug, Args)]
pub(crate) struct Kill {
    /// How often
    #[arg(long, default_value_t = 100)]
    rounds: usize,
    /// How many processes write at once
    #[arg(long, default_value_t = 8)]
    processes: usize,
    /// After how many rounds a store is begun anew
    #[arg(long, default_value_t = 30)]
    keep: usize,
    #[command(flatten)]
    pub(crate) common: Common,
}

/// What a torture did, for its summary.
#[derive(Debug, Default)]
struct Tally {
    started: usize,
    killed: usize,
    events: usize,
    seals: usize,
    journals: usize,
    /// How often journals were packed meanwhile, and how often whoever did was killed.
    compacted: usize,
    interrupted: usize,
}

/// Does `kill`.
pub(crate) fn run(args: &Kill, seed: u64) -> Result<(), Trouble> {
    let tress = check::binary(args.common.tress.as_deref())?;
    let mut random = Random::new(seed);
    let mut tally = Tally::default();
    let mut round = 0;
    while round < args.rounds {
        let dir = tempfile::tempdir().harness("a directory for the store")?;
        let place = Place { store: dir.path().join(".tress"), tress: tress.clone() };
        let mut known = Acknowledged::default();
        let last = args.rounds.min(round + args.keep.max(1));
        let kept = (round..last).try_for_each(|round| {
            one_round(args, &place, &mut known, &mut random, &mut tally, round)
        });
        if let Err(trouble) = kept {
            trouble.keep(dir);
            return Err(trouble);
        }
        tally.events += known.events.len();
        tally.seals += known.seals;
        tally.journals = tally.journals.max(place.journals()?);
        round = last;
    }
    let Tally { started, killed, events, seals, journals, compacted, interrupted } = tally;
    println!(
        "torture kill: {round} rounds, {started} writers, {killed} killed; all {events} \
         acknowledged events are there; {seals} seals; at most {journals} journals of {} writers; compacted \
         {compacted} times meanwhile, {interrupted} of them killed",
        args.processes
    );
    Ok(())
}

fn one_round(
    args: &Kill,
    place: &Place,
    known: &mut Acknowledged,
    random: &mut Random,
    tally: &mut Tally,
    round: usize,
) -> Result<(), Trouble> {
    interrupt::check()?;
    let mut team = Team::default();
    // In each fourth round somebody dies while it opens the run or writes for the first time.
    let early = random.one_in(4);
    let operations = 10 + random.below(40);
    let (compacts, mut compacting) = (random.one_in(2), None);
    for number in 0..args.processes {
        let order = Order {
            name: format!("r{round}p{number}"),
            operations,
            seal: random.one_in(4),
            careless: false,
            seed: random.next(),
        };
        team.start(&place.store, &order)?;
        if number == args.processes / 2 && compacts {
            compacting = place.compacting()?;
        }
        if early && random.one_in(3) {
            random.linger();
            team.kill(number)?;
        }
    }
    let moment = if early { random.below(12) } else { random.below(args.processes * operations) };
    team.listen_for(moment)?;
    random.linger();
    let victim = random.below(args.processes);
    if random.one_in(2) {
        team.kill_all()?
    } else {
        team.kill(victim)?
    }
    if let Some(mut compacting) = compacting {
        tally.compacted += 1;
        let interrupted = random.one_in(4);
        if interrupted {
            compacting.kill().harness("killing tress compact")?;
            tally.interrupted += 1;
        }
        let ended = compacting.wait().harness("waiting for tress compact")?;
        if !interrupted && !ended.success() {
            return violation(format!("tress compact: {ended}"));
        }
    }
    tally.started += team.len();
    let (killed, acks) = team.end()?;
    tally.killed += killed;
    known.take(acks)?;
    place.check(known, true, round)?;
    // Who compacts holds one at a time, too, and what it does not finish may cost one.
    place.few_journals(args.processes + 1 + tally.interrupted)?;
    if (round + 1).is_multiple_of(10) {
        let (events, journals) = (known.events.len(), place.journals()?);
        println!("round {}: {events} events here, {journals} journals", round + 1);
    }
    Ok(())
}
