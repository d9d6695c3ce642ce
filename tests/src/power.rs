//! Power cuts on a real ext4: writers are stopped at a random moment, the disk goes on from what
//! the device had been given by then ([`crate::disk`] has the reasoning), and everything that was
//! acknowledged before has to be there.

use std::path::Path;

use clap::Args;
use tempfile::TempDir;

use crate::Common;
use crate::check::{self, Acknowledged, Place};
use crate::disk::Disk;
use crate::interrupt;
use crate::random::Random;
use crate::team::{Order, Team};
use crate::trouble::{Trouble, While, violation};

/// Cut the power of a disk that is written
#[derive(Debug, Args)]
pub(crate) struct Power {
    /// How often
    #[arg(long, default_value_t = 20)]
    rounds: usize,
    /// How many processes write at once
    #[arg(long, default_value_t = 4)]
    processes: usize,
    /// After how many cuts a disk is made anew
    #[arg(long, default_value_t = 10)]
    keep: usize,
    /// The size of the disk, in MiB
    #[arg(long, default_value_t = 192)]
    size: u64,
    /// Writers leave out every sync: this must fail
    #[arg(long)]
    careless: bool,
    #[command(flatten)]
    pub(crate) common: Common,
}

/// What was done, for the summary.
#[derive(Debug, Default)]
struct Tally {
    events: usize,
    seals: usize,
    canaries: usize,
    places: usize,
}

/// Does `power`.
pub(crate) fn run(args: &Power, seed: u64) -> Result<(), Trouble> {
    let tress = check::binary(args.common.tress.as_deref())?;
    let mut random = Random::new(seed);
    let mut tally = Tally::default();
    let mut round = 0;
    while round < args.rounds {
        let mut disk = match Disk::new(args.size)? {
            Ok(disk) => disk,
            Err(reason) if round == 0 => {
                println!(
                    "torture power: skipped: there is no ext4 on a loop device here: {reason}"
                );
                return Ok(());
            }
            Err(reason) => return Err(Trouble::Harness(reason)),
        };
        let place = Place { store: disk.mount_point().join(".tress"), tress: tress.clone() };
        let mut known = Acknowledged::default();
        let last = args.rounds.min(round + args.keep.max(1));
        // A disk that comes back on another device is another place, with writers of its own.
        let mut places = 1;
        for round in round..last {
            let device = disk.device().map(Path::to_owned);
            let cut =
                one_round(args, &mut disk, &place, &mut known, &mut random, &mut tally, round);
            let held = cut.and_then(|()| {
                places += usize::from(disk.device() != device.as_deref());
                place.few_journals(places * args.processes)
            });
            if let Err(trouble) = held {
                copy(&place.store).into_iter().for_each(|dir| trouble.keep(dir));
                return Err(trouble);
            }
        }
        tally.events += known.events.len();
        tally.seals += known.seals;
        tally.places += places - 1;
        round = last;
    }
    let Tally { events, seals, canaries, places } = tally;
    println!(
        "torture power: {round} cuts; all {events} acknowledged events are there; {seals} seals; \
         {canaries} of {round} files that were not synced were lost, as they should; {places} \
         times on another device"
    );
    if canaries == 0 {
        return Err(Trouble::Harness("no cut took anything: they were none".to_owned()));
    }
    Ok(())
}

/// The store once more, in a directory that outlives the disk.
fn copy(store: &Path) -> Option<TempDir> {
    let dir = tempfile::tempdir().ok()?;
    let mut copy = std::process::Command::new("cp");
    let copied = copy.arg("-a").arg(store).arg(dir.path()).status();
    copied.is_ok_and(|status| status.success()).then_some(dir)
}

fn one_round(
    args: &Power,
    disk: &mut Disk,
    place: &Place,
    known: &mut Acknowledged,
    random: &mut Random,
    tally: &mut Tally,
    round: usize,
) -> Result<(), Trouble> {
    interrupt::check()?;
    let mut team = Team::default();
    let operations = 20 + random.below(60);
    for number in 0..args.processes {
        let order = Order {
            name: format!("r{round}p{number}"),
            operations,
            seal: random.one_in(2) && !args.careless,
            careless: args.careless,
            seed: random.next(),
        };
        team.start(&place.store, &order)?;
    }
    let early = random.one_in(5);
    let moment = if early { random.below(8) } else { random.below(args.processes * operations) };
    team.listen_for(moment)?;
    // Written and never synced: a cut takes it.
    let canary = disk.mount_point().join(format!("canary-{round}"));
    std::fs::write(&canary, [0x5a; 16384]).harness("writing the canary")?;
    random.linger();
    team.stop()?;
    known.take(std::mem::take(&mut team.acks))?;
    let copy = disk.copy()?;
    team.kill_all()?;
    let (_, late) = team.end()?;
    if !late.is_empty() {
        return violation("a writer spoke that was stopped");
    }
    disk.restore(&copy)?;
    let kept = std::fs::read(&canary).is_ok_and(|bytes| bytes.contains(&0x5a));
    tally.canaries += usize::from(!kept);
    let _ = std::fs::remove_file(&canary);
    place.check(known, true, round)?;
    println!("cut {}: {} acknowledged events are there", round + 1, known.events.len());
    Ok(())
}
