//! What an agent lost, and that it has been told: the ledger from the loser's side.

use std::collections::BTreeSet;
use std::sync::Arc;

use tress_model::ids::{Dot, TodoId};
use tress_model::{LedgerEntry, Operation, Rule, State};

use crate::core::Core;
use crate::error::{Error, Refused};
use crate::run::Agent;

/// Something that an agent lost: an entry of the ledger, as its agent is told of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Loss {
    /// The todo it was about.
    pub todo: Option<TodoId>,
    /// The rule that decided.
    pub rule: Rule,
    /// The agent's event that lost; for a claim, its token.
    pub event: Dot,
    /// The event that it lost against, where there is one.
    pub against: Option<Dot>,
    /// Whose event that is.
    pub winner: Option<Arc<str>>,
    /// What was decided, in one line.
    pub detail: String,
    /// What is ready to be claimed in its place.
    pub next: Option<TodoId>,
}

impl std::fmt::Display for Loss {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { rule, detail, .. } = self;
        match (&self.todo, &self.winner) {
            (Some(todo), Some(winner)) => write!(f, "lost {todo} to {winner} ({rule}): {detail}")?,
            (Some(todo), None) => write!(f, "{todo} ({rule}): {detail}")?,
            (None, _) => write!(f, "{rule}: {detail}")?,
        }
        next_ready(f, self.next)
    }
}

/// Ends a message with what to do next.
pub(super) fn next_ready(
    f: &mut std::fmt::Formatter<'_>,
    next: Option<TodoId>,
) -> std::fmt::Result {
    match next {
        Some(next) => write!(f, "; next ready: {next}"),
        None => f.write_str("; nothing else is ready"),
    }
}

impl Loss {
    fn is(&self, entry: &LedgerEntry) -> bool {
        self.event == entry.loser
            && self.against == entry.winner
            && self.rule == entry.rule
            && self.detail == entry.detail
    }
}

/// What `agent` appends to say that it has been told of `losses`, given the newest `state`.
///
/// An acknowledgement speaks of everything that was decided against an event. So an event about
/// which there is more to tell than what is in `losses` is left out; the agent is told of all of
/// it the next time.
pub fn acknowledgements(state: &State, agent: &str, losses: &[Loss]) -> Vec<Operation> {
    let untold: Vec<_> = state.losses(agent).collect();
    let known = |event: Dot| {
        let mut all = untold.iter().filter(|entry| entry.loser == event).peekable();
        all.peek().is_some() && all.all(|entry| losses.iter().any(|loss| loss.is(entry)))
    };
    let events: BTreeSet<Dot> = losses.iter().map(|loss| loss.event).collect();
    let events = events.into_iter().filter(|&event| known(event));
    events.map(|event| Operation::LossAcknowledged { event }).collect()
}

/// The losses of `agent` in the state of the log, with the names of those who won.
fn told_of(core: &mut Core, agent: &str) -> Result<Vec<Loss>, Error> {
    let state = Arc::clone(core.log.state());
    let here = |core: &Core, dot: Dot| core.log.event(dot).is_some();
    let mut winners = state.losses(agent).filter_map(|entry| entry.winner);
    if winners.any(|winner| !here(core, winner)) {
        // The event lies before the snapshot that the log was opened from.
        core.make_whole()?;
        core.show();
    }
    let state = Arc::clone(core.log.state());
    let mut losses = state.losses(agent).peekable();
    if losses.peek().is_none() {
        return Ok(Vec::new());
    }
    let ready = state.readiness(core.now()).ready;
    let loss = |entry: &Arc<LedgerEntry>| Loss {
        todo: entry.todo,
        rule: entry.rule,
        event: entry.loser,
        against: entry.winner,
        winner: entry.winner.and_then(|dot| Some(Arc::clone(&core.log.event(dot)?.author.name))),
        detail: entry.detail.clone(),
        next: ready.iter().copied().find(|&next| Some(next) != entry.todo),
    };
    Ok(losses.map(loss).collect())
}

impl Agent {
    /// What this agent lost and has not been told of, by all that is known here now. Takes in what
    /// other processes wrote. Each comes again until it is acknowledged.
    ///
    /// # Errors
    /// When the journals cannot be read.
    pub async fn losses(&self) -> Result<Vec<Loss>, Error> {
        let agent = Arc::clone(&self.author().name);
        let losses = self.run().query(move |core| {
            core.poll()?;
            core.show();
            told_of(core, &agent)
        });
        losses.await?
    }

    /// What goes with the answer to an append that has succeeded: that it cannot be read is no
    /// reason to call the append a failure, and [`Agent::losses`] says why.
    pub(super) async fn untold(&self) -> Vec<Loss> {
        let agent = Arc::clone(&self.author().name);
        if self.run().state().losses(&agent).next().is_none() {
            return Vec::new();
        }
        let losses = self.run().query(move |core| told_of(core, &agent)).await;
        match losses.and_then(|losses| losses) {
            Ok(losses) => losses,
            Err(error) => {
                tracing::warn!(%error, "what was lost cannot be told");
                Vec::new()
            }
        }
    }

    /// Waits until there is something that this agent lost and has not been told of: at once, where
    /// there is. A loop acknowledges what it was told before it waits again.
    ///
    /// # Errors
    /// When the run was closed, or the journals cannot be read.
    pub async fn next_loss(&self) -> Result<Loss, Error> {
        let mut updates = self.run().updates();
        loop {
            if let Some(loss) = self.untold_now().await? {
                return Ok(loss);
            }
            updates.changed().await?;
        }
    }

    async fn untold_now(&self) -> Result<Option<Loss>, Error> {
        let name = &self.author().name;
        if self.run().state().losses(name).next().is_none() {
            return Ok(None);
        }
        Ok(self.losses().await?.into_iter().next())
    }

    /// Says that this agent has been told of `losses`; gives how many of its events that settles.
    /// Where more was decided against one of them meanwhile, it stays untold.
    ///
    /// # Errors
    /// When it cannot be appended.
    pub async fn acknowledge(&self, losses: &[Loss]) -> Result<usize, Error> {
        if losses.is_empty() {
            return Ok(0);
        }
        let (agent, losses) = (Arc::clone(&self.author().name), losses.to_vec());
        let told = self.append_if(move |state| {
            let told = acknowledgements(state, &agent, &losses);
            if told.is_empty() { Err(()) } else { Ok(told) }
        });
        match told.await {
            Ok(events) => Ok(events.len()),
            Err(Refused::Condition(())) => Ok(0),
            Err(Refused::Error(error)) => Err(error),
        }
    }
}
