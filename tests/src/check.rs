//! What is held against a store after something died: everything that was acknowledged is there,
//! and life goes on.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;

use tress::{
    Dot, Event, EventId, Operation, Role, Run, Store, Strand, TodoId, VersionVector, new_todo_id,
    todo,
};
use tress_documents::project;

use crate::ack::Ack;
use crate::trouble::{Trouble, While, violation};

/// Everything that was ever acknowledged on one store.
#[derive(Debug, Clone, Default)]
pub(crate) struct Acknowledged {
    pub(crate) events: BTreeMap<Dot, EventId>,
    claims: BTreeMap<TodoId, Dot>,
    pub(crate) seals: usize,
}

impl Acknowledged {
    /// Takes in what writers said.
    pub(crate) fn take(&mut self, acks: Vec<Ack>) -> Result<(), Trouble> {
        for ack in acks {
            match ack {
                Ack::Open | Ack::Done => {}
                Ack::Sealed => self.seals += 1,
                Ack::Events(events) => {
                    for (dot, id) in events {
                        self.event(dot, id)?;
                    }
                }
                Ack::Claim(todo, dot, id) => {
                    self.event(dot, id)?;
                    if let Some(other) = self.claims.insert(todo, dot) {
                        return violation(format!("{todo} was claimed by {other} and by {dot}"));
                    }
                }
            }
        }
        Ok(())
    }

    fn event(&mut self, dot: Dot, id: EventId) -> Result<(), Trouble> {
        match self.events.insert(dot, id) {
            Some(other) => violation(format!("{dot} was acknowledged as {other} and as {id}")),
            None => Ok(()),
        }
    }
}

/// Where a store is, and the program that looks after it.
#[derive(Debug, Clone)]
pub(crate) struct Place {
    pub(crate) store: PathBuf,
    pub(crate) tress: PathBuf,
}

/// The binary `tress`: what was named, or the one beside this program.
pub(crate) fn binary(named: Option<&Path>) -> Result<PathBuf, Trouble> {
    let beside = || {
        let here = std::env::current_exe().harness("finding this program")?;
        Ok(here.with_file_name("tress"))
    };
    let path = named.map_or_else(beside, |named| Ok(named.to_owned()))?;
    let found = path.canonicalize();
    found.map_err(|error| {
        let path = path.display();
        Trouble::Harness(format!("{path}: {error}; build it, or name another with --tress"))
    })
}

impl Place {
    /// Holds the store against what was acknowledged, and appends once more.
    pub(crate) fn check(
        &self,
        known: &mut Acknowledged,
        deeply: bool,
        round: usize,
    ) -> Result<(), Trouble> {
        self.fsck()?;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let runtime = runtime.harness("starting a runtime")?;
        runtime.block_on(async {
            let run = self.open().await?;
            everything_is_there(&run, known).await?;
            if deeply {
                documents_equal_the_state(&run).await?;
            }
            let title = format!("after round {round} 1/1");
            let id = new_todo_id().must("making an id")?;
            let harness = run.agent("harness", Role::Human);
            let events = harness.append([todo(id, title)]).await.must("the next append")?;
            known.take(vec![Ack::events(events.iter().map(Arc::as_ref))])?;
            Ok(())
        })
    }

    async fn open(&self) -> Result<Run, Trouble> {
        // Those who were to make it may all have died before.
        let store = Store::create(&self.store).must("opening the store again")?;
        store.create_run("main").await.must("opening the run again")
    }

    /// Begins to pack what is only read, if there is a store yet.
    pub(crate) fn compacting(&self) -> Result<Option<Child>, Trouble> {
        if !self.store.join("store").exists() {
            return Ok(None);
        }
        let mut compact = Command::new(&self.tress);
        let compact = compact.args(["compact", "--dir"]).arg(&self.store).stdout(Stdio::null());
        compact.spawn().map(Some).harness("running tress compact")
    }

    /// `tress fsck` finds nothing.
    pub(crate) fn fsck(&self) -> Result<(), Trouble> {
        if !self.store.join("store").exists() {
            // All died before there was one.
            return Ok(());
        }
        let mut fsck = Command::new(&self.tress);
        let checked = fsck.args(["fsck", "--json", "--dir"]).arg(&self.store).output();
        let checked = checked.harness("running tress fsck")?;
        if checked.status.success() {
            return Ok(());
        }
        let said = String::from_utf8_lossy(&checked.stdout);
        violation(format!("tress fsck: {}: {said}", checked.status))
    }

    /// How many journals there are: as many as there ever were writers at once, and no more.
    pub(crate) fn journals(&self) -> Result<usize, Trouble> {
        match std::fs::read_dir(self.store.join("runs/main/journals")) {
            Ok(listed) => Ok(listed.count()),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(0),
            Err(error) => Err(error).harness("counting journals"),
        }
    }

    pub(crate) fn few_journals(&self, writers: usize) -> Result<(), Trouble> {
        let journals = self.journals()?;
        if journals > writers {
            return violation(format!("{journals} journals of {writers} writers at once"));
        }
        Ok(())
    }
}

async fn everything_is_there(run: &Run, known: &Acknowledged) -> Result<(), Trouble> {
    let damage = run.damage();
    if let Some(damage) = damage.first() {
        return violation(format!("damage: {damage}"));
    }
    let events = run.events_since(VersionVector::new()).await.must("reading all events")?;
    let there: BTreeMap<Dot, EventId> = events.iter().map(|event| (event.dot, event.id)).collect();
    for (dot, id) in &known.events {
        match there.get(dot) {
            Some(found) if found == id => {}
            Some(found) => return violation(format!("{dot} was {id} and is {found}")),
            None => return violation(format!("{dot} ({id}) was acknowledged and is gone")),
        }
    }
    // The queries of the library give the same answer, whatever snapshot they go on from.
    if let Some((dot, id)) = known.events.iter().next_back() {
        let found = run.event(&dot.to_string()).await.must("looking for an event")?;
        if found.id != *id {
            return violation(format!("{dot} was {id}, and is found as {}", found.id));
        }
    }
    appends_are_whole(&events)
}

/// Of the todos that were appended at once all are there or none; their titles say which of how
/// many they are.
fn appends_are_whole(events: &[Arc<Event>]) -> Result<(), Trouble> {
    let mut appends: BTreeMap<(&str, &str), BTreeSet<&str>> = BTreeMap::new();
    for event in events {
        let Operation::TodoAdded { title, .. } = &event.operation else { continue };
        let parts = title.rsplit_once(' ').and_then(|(append, part)| {
            let (part, of) = part.split_once('/')?;
            Some((append, part, of))
        });
        if let Some((append, part, of)) = parts {
            appends.entry((append, of)).or_default().insert(part);
        }
    }
    for ((append, of), parts) in appends {
        if parts.len().to_string() != of {
            return violation(format!("of the {of} events of {append} {} are there", parts.len()));
        }
    }
    Ok(())
}

pub(crate) async fn documents_equal_the_state(run: &Run) -> Result<(), Trouble> {
    let documents = run.documents().await.must("reading the documents")?;
    if let Some(aside) = documents.sealed.moved_aside {
        return violation(format!("the documents were damaged, and moved to {}", aside.display()));
    }
    let state = run.state();
    if documents.version != state.version {
        return violation("the documents show another version than the state");
    }
    for strand in Strand::ALL {
        let said = documents.read(strand).must("reading a document")?;
        if said != project(&state, strand) {
            return violation(format!("the document {} is not the state", strand.name()));
        }
    }
    Ok(())
}
