//! A writer: one process that opens a store and appends from several tasks at once, and says what
//! was acknowledged. It ends on its own after its operations, or is killed before.

use std::path::PathBuf;
use std::sync::Arc;

use clap::Args;
use tress::{
    Agent, DocumentsError, Error, Operation, Refused, Role, Run, Store, TodoId, new_todo_id, todo,
};

use crate::ack::Ack;
use crate::careless;
use crate::random::Random;
use crate::trouble::{Trouble, While, violation};

/// Open a store and append, saying what was acknowledged
#[derive(Debug, Args)]
pub(crate) struct Writer {
    /// The store directory; it is made where it is not there
    #[arg(long)]
    store: PathBuf,
    /// The beginning of its agents' names, which nobody else has
    #[arg(long)]
    name: String,
    /// How many appends it makes
    #[arg(long, default_value_t = 40)]
    operations: usize,
    /// How many tasks share them
    #[arg(long, default_value_t = 3)]
    tasks: usize,
    /// Whether it also seals now and then
    #[arg(long)]
    seal: bool,
    /// Whether it leaves out every sync
    #[arg(long)]
    careless: bool,
    /// What chance begins with
    #[arg(long)]
    seed: u64,
}

/// Does `writer`.
pub(crate) fn run(args: &Writer) -> Result<(), Trouble> {
    // Whatever becomes of the harness, nothing is left.
    rustix::process::set_parent_process_death_signal(Some(rustix::process::Signal::KILL))
        .harness("asking to die with the harness")?;
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    runtime.harness("starting the writer")?.block_on(write(args))
}

async fn write(args: &Writer) -> Result<(), Trouble> {
    let store = if args.careless {
        careless::store(&args.store)?
    } else {
        Store::create(&args.store).must("opening the store")?
    };
    let run = store.create_run("main").await.must("opening the run")?;
    Ack::Open.say().harness("saying so")?;
    let mut tasks = Vec::new();
    for number in 0..args.tasks {
        let share = args.operations / args.tasks.max(1);
        let task = Task {
            agent: run.agent(&format!("{}.{number}", args.name), Role::Implementer),
            random: Random::new(args.seed ^ (number as u64) << 56),
            added: Vec::new(),
            // One of them seals; the others append meanwhile.
            seals: args.seal && number == 0,
        };
        tasks.push(tokio::spawn(task.work(share)));
    }
    for task in tasks {
        task.await.must("a task of the writer")??;
    }
    Ok(())
}

struct Task {
    agent: Agent,
    random: Random,
    added: Vec<TodoId>,
    seals: bool,
}

impl Task {
    async fn work(mut self, operations: usize) -> Result<(), Trouble> {
        for number in 0..operations {
            let ack = match self.random.below(10) {
                0..4 => self.append(number, 1).await?,
                4..6 => self.note(number).await?,
                6..8 => {
                    let size = 2 + self.random.below(4);
                    self.append(number, size).await?
                }
                _ => self.claim().await?,
            };
            if let Some(ack) = ack {
                ack.say().harness("saying what was acknowledged")?;
            }
            if self.seals && self.random.one_in(6) {
                seal(self.agent.run()).await?;
            }
        }
        Ok(())
    }

    /// Adds todos, all of them or none. Each says which of how many it is.
    async fn append(&mut self, number: usize, size: usize) -> Result<Option<Ack>, Trouble> {
        let mut operations = Vec::new();
        for part in 1..=size {
            let id = new_todo_id().must("making an id")?;
            let title = format!("{} {number} {part}/{size}", self.agent.name());
            operations.push(todo(id, title));
            self.added.push(id);
        }
        let events = self.agent.append(operations).await.must("appending")?;
        if events.len() != size {
            return violation(format!("{} of {size} events", events.len()));
        }
        Ok(Some(Ack::events(events.iter().map(Arc::as_ref))))
    }

    async fn note(&mut self, number: usize) -> Result<Option<Ack>, Trouble> {
        let Some(todo) = self.random.pick(&self.added) else { return Ok(None) };
        let text = format!("{} noted {number}", self.agent.name());
        let event = self.agent.one(Operation::NoteAdded { todo, text, layout: None }).await;
        Ok(Some(Ack::events([&*event.must("noting")?])))
    }

    async fn claim(&self) -> Result<Option<Ack>, Trouble> {
        let claimed = match self.agent.claim_next(None, |_, _| true).await {
            Ok(claimed) => claimed,
            Err(Refused::Condition(_)) => return Ok(None),
            Err(Refused::Error(error)) => return Err(error).must("claiming"),
        };
        let event = self.agent.run().event(&claimed.token.to_string()).await;
        let event = event.must("looking at the own claim")?;
        Ok(Some(Ack::Claim(claimed.todo, event.dot, event.id)))
    }
}

async fn seal(run: &Run) -> Result<(), Trouble> {
    match run.seal().await {
        Ok(sealed) => {
            if let Some(aside) = sealed.moved_aside {
                let aside = aside.display();
                return violation(format!("the documents were damaged, and moved to {aside}"));
            }
            Ack::Sealed.say().harness("saying that it is sealed")
        }
        // Others seal; they may do so for as long as they like.
        Err(Error::Documents(DocumentsError::Busy)) => Ok(()),
        Err(error) => Err(error).must("sealing"),
    }
}
