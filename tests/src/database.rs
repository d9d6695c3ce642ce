//! PostgreSQL between the machines: nodes with a store each append and follow a primary with two
//! standbys. In the middle the primary dies (and a standby is promoted), or all three servers do (and
//! are started again). With them one node dies whose store is never seen again: what was acknowledged
//! to it as replicated is in the database, or nowhere.

use std::collections::BTreeSet;
use std::process::Command;
use std::time::{Duration, Instant};

use clap::Args;
use tress_torture::cluster::{self, Cluster};

use crate::Common;
use crate::ack::Ack;
use crate::check::{self, Acknowledged, Place};
use crate::interrupt;
use crate::random::Random;
use crate::team::Team;
use crate::trouble::{Trouble, While, violation};

/// How long nodes may take to have the same, once nothing is appended any more.
const PATIENCE: Duration = Duration::from_secs(120);

/// Kill PostgreSQL servers under nodes that follow them
#[derive(Debug, Args)]
pub(crate) struct Database {
    /// How many events all nodes append together
    #[arg(long, default_value_t = 20_000)]
    events: usize,
    /// How many nodes stay to the end
    #[arg(long, default_value_t = 4)]
    nodes: usize,
    /// Kill all servers and start them again, instead of the primary alone
    #[arg(long)]
    all: bool,
    #[command(flatten)]
    pub(crate) common: Common,
}

/// Does `database`.
pub(crate) fn run(args: &Database, seed: u64) -> Result<(), Trouble> {
    let Some(bin) = cluster::installed() else {
        println!("torture database: skipped: PostgreSQL is not installed here");
        return Ok(());
    };
    let tress = check::binary(args.common.tress.as_deref())?;
    let mut random = Random::new(seed);
    let dir = tempfile::tempdir().harness("a directory for the stores")?;
    let place = |name: &str| Place { store: dir.path().join(name), tress: tress.clone() };
    let mut cluster = Cluster::start(&bin, 2).harness("a cluster")?;
    let kept = play(args, &mut cluster, &mut random, &place);
    if let Err(trouble) = kept {
        trouble.keep(dir);
        return Err(trouble);
    }
    Ok(())
}

fn play(
    args: &Database,
    cluster: &mut Cluster,
    random: &mut Random,
    place: &impl Fn(&str) -> Place,
) -> Result<(), Trouble> {
    let url = cluster.url();
    let names: Vec<_> = (0..args.nodes).map(|number| format!("n{number}")).collect();
    let mut team = Team::default();
    let share = args.events / args.nodes.max(1);
    let mut order = |events: usize| {
        let (events, seed) = (events.to_string(), random.next().to_string());
        ["--follow", &url, "--events", &events, "--seed", &seed].map(str::to_owned)
    };
    for name in &names {
        team.begin("node", &place(name).store, name, &order(share))?;
    }
    // It is not to be through before it dies.
    team.begin("node", &place("lost").store, "lost", &order(2 * args.events))?;

    // Somewhere in the middle; about three events are acknowledged at once.
    let moment = args.events / 12 + random.below(args.events / 6 + 1);
    team.listen_for(moment)?;
    let begun = Instant::now();
    cluster.kill(0).harness("killing the primary")?;
    team.kill(args.nodes)?;
    std::fs::remove_dir_all(place("lost").store).harness("losing a machine")?;
    if args.all {
        for which in 1..3 {
            cluster.kill(which).harness("killing a standby")?;
        }
        random.linger();
        // The standbys first: nothing can be acknowledged without one.
        for which in [0, 1, 2] {
            cluster.begin(which).harness("starting a server again")?;
        }
    } else {
        let which = cluster.promote().harness("promoting a standby")?;
        println!("standby {which} is the primary now");
    }
    println!("after {moment} acknowledgements; down for {:.1?}", begun.elapsed());
    let done = |said: &[Ack]| said.iter().filter(|ack| **ack == Ack::Done).count() >= args.nodes;
    team.listen_until(done)?;

    let root = converged(&names, place)?;
    team.kill_all()?;
    let (_, acks) = team.end()?;
    // Whoever comes anew learns everything from the database alone.
    let new = place("new");
    tress::Store::create(&new.store).must("making a store")?;
    ask(&new, &["sync", "--once", &url])?;
    if root_of(&new)? != root {
        return violation("who comes anew has another root than the nodes");
    }
    let mut known = Acknowledged::default();
    known.take(acks)?;
    let events = known.events.len();
    let titles = nothing_twice(&new)?;
    let of_lost = titles.iter().filter(|title| title.starts_with("lost.")).count();
    for name in names.iter().map(String::as_str).chain(["new"]) {
        place(name).check(&mut known.clone(), false, 0)?;
    }
    println!(
        "torture database: {} killed in the middle; {} nodes and one that came anew have the same \
         root; all {events} events that were acknowledged as replicated are there; {of_lost} are of \
         a machine that is gone",
        if args.all { "all three servers" } else { "the primary" },
        args.nodes
    );
    Ok(())
}

/// Waits until all nodes have one root, and gives it.
fn converged(names: &[String], place: &impl Fn(&str) -> Place) -> Result<String, Trouble> {
    let begun = Instant::now();
    loop {
        interrupt::check()?;
        let roots: Result<BTreeSet<_>, _> =
            names.iter().map(|name| root_of(&place(name))).collect();
        let roots = roots?;
        if let (Some(root), 1) = (roots.first(), roots.len()) {
            return Ok(root.clone());
        }
        if begun.elapsed() > PATIENCE {
            return violation(format!("after {PATIENCE:?} the nodes have the roots {roots:?}"));
        }
        std::thread::sleep(Duration::from_millis(100));
    }
}

/// The titles of all todos; none is there twice.
fn nothing_twice(place: &Place) -> Result<BTreeSet<String>, Trouble> {
    let listed = ask(place, &["list", "--all"])?;
    let todos =
        listed.pointer("/data").and_then(serde_json::Value::as_array).cloned().unwrap_or_default();
    let mut titles = BTreeSet::new();
    for todo in &todos {
        let title = todo.get("title").and_then(serde_json::Value::as_str);
        let title = title.unwrap_or_default().to_owned();
        if let Some(title) = titles.replace(title) {
            return violation(format!("{title:?} is there twice"));
        }
    }
    Ok(titles)
}

fn root_of(place: &Place) -> Result<String, Trouble> {
    let stats = ask(place, &["stats"])?;
    let root = stats.pointer("/data/root").and_then(serde_json::Value::as_str);
    Ok(root.unwrap_or_default().to_owned())
}

/// What a command of `tress` on a store answers.
fn ask(place: &Place, args: &[&str]) -> Result<serde_json::Value, Trouble> {
    let mut command = Command::new(&place.tress);
    let said = command.arg("--json").arg("--dir").arg(&place.store).args(args).output();
    let said = said.harness("running tress")?;
    if !said.status.success() {
        let errors = String::from_utf8_lossy(&said.stderr);
        return violation(format!("tress {args:?} in {}: {errors}", place.store.display()));
    }
    serde_json::from_slice(&said.stdout).harness("reading what tress says")
}
