//! A node: one machine with a store of its own, which follows a hub or a relay, appends from several
//! tasks, and says what was acknowledged as replicated. It stays and follows until it is killed.

use std::path::PathBuf;
use std::sync::Arc;

use clap::Args;
use tress::sync::{Certificates, Follow, News, Remote, follow};
use tress::{Agent, Role, Store, new_todo_id, todo};

use crate::ack::Ack;
use crate::random::Random;
use crate::trouble::{Trouble, While};

/// Open a store, follow, and append, saying what was replicated
#[derive(Debug, Args)]
pub(crate) struct Node {
    /// The store directory; it is made where it is not there
    #[arg(long)]
    store: PathBuf,
    /// The beginning of its agents' names, which nobody else has
    #[arg(long)]
    name: String,
    /// Whom to follow
    #[arg(long)]
    follow: Remote,
    /// How many events it appends
    #[arg(long)]
    events: usize,
    /// How many tasks share them
    #[arg(long, default_value_t = 16)]
    tasks: usize,
    /// What chance begins with
    #[arg(long)]
    seed: u64,
}

/// Does `node`.
pub(crate) fn run(args: &Node) -> Result<(), Trouble> {
    // Whatever becomes of the harness, nothing is left.
    rustix::process::set_parent_process_death_signal(Some(rustix::process::Signal::KILL))
        .harness("asking to die with the harness")?;
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    runtime.harness("starting the node")?.block_on(live(args))
}

async fn live(args: &Node) -> Result<(), Trouble> {
    let store = Store::create(&args.store).must("opening the store")?;
    let run = store.create_run("main").await.must("opening the run")?;
    let by =
        Follow { remote: args.follow.clone(), token: None, certificates: Certificates::default() };
    let following = async {
        let told = |news: News<'_>| {
            if let News::Broken(error, wait) = news {
                eprintln!("{error}; again in {wait:?}");
            }
        };
        match follow(&run, &by, told).await {
            Ok(never) => match never {},
            Err(error) => Err(error).must("following"),
        }
    };
    let work = async {
        Ack::Open.say().harness("saying so")?;
        let mut tasks = Vec::new();
        for number in 0..args.tasks {
            let share = args.events / args.tasks.max(1);
            // What cannot be divided is the first one's.
            let rest = if number == 0 { args.events % args.tasks.max(1) } else { 0 };
            let agent = run.agent(&format!("{}.{number}", args.name), Role::Implementer);
            let random = Random::new(args.seed ^ (number as u64) << 56);
            tasks.push(tokio::spawn(append(agent, random, share + rest)));
        }
        for task in tasks {
            task.await.must("a task of the node")??;
        }
        Ack::Done.say().harness("saying so")?;
        std::future::pending().await
    };
    tokio::select! {
        ended = following => ended,
        ended = work => ended,
    }
}

/// Appends until there are so many events; each append says which of how many its todos are.
async fn append(agent: Agent, mut random: Random, events: usize) -> Result<(), Trouble> {
    let (mut there, mut number) = (0, 0);
    while there < events {
        let size = (1 + random.below(5)).min(events - there);
        let mut operations = Vec::new();
        for part in 1..=size {
            let id = new_todo_id().must("making an id")?;
            operations.push(todo(id, format!("{} {number} {part}/{size}", agent.name())));
        }
        let events = agent.append(operations).await.must("appending")?;
        agent.run().replicated(&events, 1).await.must("waiting for a copy")?;
        let said = Ack::events(events.iter().map(Arc::as_ref)).say();
        said.harness("saying what was replicated")?;
        there += size;
        number += 1;
    }
    Ok(())
}
