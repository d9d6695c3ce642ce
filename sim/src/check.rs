//! The promises, checked.

use std::collections::BTreeSet;
use std::sync::Arc;

use tress::sync::{Terms, converse, pipe};
use tress::{Run, State, Store, Strands, VersionVector};
use tress_documents::project;
use tress_model::operation::Strand;

use crate::canary::Canary;
use crate::invariants::Watch;
use crate::world::{Broken, World};

/// How often machines exchange what they have before all must have all.
const ROUNDS_MAX: usize = 12;

impl World {
    /// Everything that was ever sure on a machine is there, for a process that opens it now.
    pub(crate) async fn all_there(&mut self, site: usize) -> Broken {
        let (_, run) = self.opened(site).await?;
        self.holds_all(site, &run).await
    }

    async fn opened(&mut self, site: usize) -> Result<(Store, Run), String> {
        let looked = self.machine(site).look().await;
        looked.map_err(|error| format!("the run cannot be opened: {error}"))
    }

    async fn holds_all(&mut self, site: usize, run: &Run) -> Broken {
        let events = run.events_since(VersionVector::new()).await;
        let events = events.map_err(|error| format!("the run cannot be read: {error}"))?;
        let machine = self.machine(site);
        let there: std::collections::BTreeMap<_, _> =
            events.iter().map(|event| (event.dot, event.id)).collect();
        for (dot, id) in &machine.sure {
            match there.get(dot) {
                Some(found) if found == id => {}
                Some(found) => return Err(format!("{dot} was {id} and is {found}")),
                None => return Err(format!("{dot} was acknowledged and is gone")),
            }
        }
        if let Some(damage) = run.damage().first() {
            return Err(format!("damage that nobody did: {damage}"));
        }
        Ok(())
    }

    /// Everything on a machine is as it should be.
    pub(crate) async fn check(&mut self, site: usize) -> Broken {
        self.tally.checks += 1;
        let (store, run) = self.opened(site).await?;
        self.holds_all(site, &run).await?;
        let checked = store.check_run("main").map_err(|error| error.to_string())?;
        if !checked.is_clean() {
            return Err(format!("not clean: {:?} {:?}", checked.damage, checked.lost));
        }
        self.documents(&run).await
    }

    async fn documents(&self, run: &Run) -> Broken {
        let documents = run.documents().await;
        let documents = documents.map_err(|error| format!("no documents: {error}"))?;
        let state = run.state();
        for strand in Strand::ALL {
            let read = documents.read(strand).map_err(|error| error.to_string())?;
            if read != project(&state, strand) {
                return Err(format!("the document {} is not the state", strand.name()));
            }
        }
        Ok(())
    }

    /// All trouble is over, everybody gets everything, and every promise is looked at.
    pub(crate) async fn end(&mut self) -> Result<Arc<State>, String> {
        self.network.partition(0);
        for machine in &mut self.machines {
            machine.processes.clear();
        }
        let mut open = Vec::new();
        for site in 0..self.machines.len() {
            open.push(self.opened(site).await?);
        }
        for _ in 0..ROUNDS_MAX {
            let mut quiet = true;
            for (from, (_, source)) in open.iter().enumerate() {
                for (to, (_, target)) in open.iter().enumerate().filter(|(to, _)| *to != from) {
                    let has = target.state().version.clone();
                    let lacking =
                        source.lacking(has, Strands::ALL).await.map_err(|e| e.to_string())?;
                    let taken = target.take_in(lacking).await.map_err(|e| e.to_string())?;
                    if let Some((segment, reason)) = taken.refused.first() {
                        return Err(format!("refused {}: {reason}", segment.replica));
                    }
                    quiet &= taken.events.is_empty();
                    for event in taken.events {
                        self.known(to, &event)?;
                    }
                }
            }
            if quiet {
                break;
            }
        }
        for (site, (_, run)) in open.iter().enumerate() {
            self.holds_all(site, run).await?;
        }
        self.agree(&open).await
    }

    async fn agree(&mut self, open: &[(Store, Run)]) -> Result<Arc<State>, String> {
        let mut agreed: Option<Arc<State>> = None;
        for (site, (_, run)) in open.iter().enumerate() {
            let state = run.state();
            let events = run.events_since(VersionVector::new()).await.map_err(|e| e.to_string())?;
            let state = if self.canary == Some(Canary::BrokenRule) && site == 0 {
                Arc::new(misfold(&events))
            } else {
                state
            };
            self.tally.events = events.len() as u64;
            let first = agreed.get_or_insert_with(|| Arc::clone(&state));
            if first.version != state.version {
                return Err(format!("machine {site} has not what the others have"));
            }
            if first.root() != state.root() {
                return Err(format!("machine {site} came to another state"));
            }
            if site == 0 {
                let watched = Watch::all(&events)?;
                if watched.state.root() != state.root() {
                    return Err("the state is not what its events fold to".to_owned());
                }
                watched.check(&state)?;
            }
            for event in &events {
                self.known(site, event)?;
            }
            self.check(site).await?;
        }
        // That costs as much as all the rest of a world.
        if self.tally.events.is_multiple_of(4) {
            one_document(open).await?;
        }
        agreed.ok_or_else(|| "a world without machines".to_owned())
    }
}

/// The documents come to be the same everywhere, although each machine sealed by itself, and stay the state.
async fn one_document(open: &[(Store, Run)]) -> Broken {
    let runs: Vec<&Run> = open.iter().map(|(_, run)| run).collect();
    for _ in 0..ROUNDS_MAX {
        // What the first one has comes to the last one, and back.
        for pair in runs.windows(2).chain(runs.windows(2).rev()) {
            let [one, two] = pair else { continue };
            let (left, right) = pipe();
            let terms = Terms::default();
            let (one, two) = tokio::join!(
                converse(one, left, &terms, |_| {}),
                converse(two, right, &terms, |_| {})
            );
            one.and(two).map_err(|error| format!("machines cannot talk: {error}"))?;
        }
        let (mut sealed, mut heads) = (0, BTreeSet::new());
        for run in &runs {
            let documents = run.documents().await.map_err(|error| error.to_string())?;
            sealed += documents.sealed.changes;
            heads.insert(Strand::ALL.map(|strand| documents.heads(strand)));
        }
        if sealed == 0 {
            return match heads.len() {
                1 => Ok(()),
                _ => Err("machines that have the same seals have different documents".to_owned()),
            };
        }
    }
    Err("the documents of the machines are never settled".to_owned())
}

/// The fold with a planted bug: some events are passed over.
fn misfold(events: &[Arc<tress::Event>]) -> State {
    let mut state = State::default();
    for event in events {
        if event.id.0.first().is_some_and(|byte| byte % 16 == 0) {
            state.pass_over(event);
        } else {
            state.apply(event);
        }
    }
    state
}
