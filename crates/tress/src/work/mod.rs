//! What agents do all day, in one call each: add, claim; report and complete ([`report`]), verify
//! and integrate ([`review`]), and hear what they lost ([`losses`]).

pub(crate) mod losses;
pub(crate) mod report;
pub(crate) mod review;

use std::sync::Arc;

use tress_model::ids::{Dot, TodoId};
use tress_model::{Event, Millis, Operation, State, Status, limits};

use self::losses::Loss;
use crate::error::{Error, Refused};
use crate::run::Agent;

/// A todo id that nobody else has: 62 random bits.
///
/// # Errors
/// When there is no randomness to be had.
pub fn new_todo_id() -> Result<TodoId, Error> {
    let mut bits = [0; 8];
    getrandom::fill(&mut bits).map_err(|error| Error::Group(error.to_string()))?;
    Ok(TodoId::from_random(u64::from_le_bytes(bits)))
}

/// The operation that adds a todo with a title and nothing else.
pub fn todo(todo: TodoId, title: impl Into<String>) -> Operation {
    Operation::TodoAdded {
        todo,
        external_id: None,
        title: title.into(),
        edits: Vec::new(),
        prose: Vec::new(),
        labels: Vec::new(),
        layout: None,
    }
}

/// A claim that was won.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claimed {
    /// The todo.
    pub todo: TodoId,
    /// The fencing token; every report of work under the claim carries it.
    pub token: Dot,
    /// When the claim lapses without a sign of life.
    pub until: Option<Millis>,
    /// What the agent lost before and has not been told of; see [`Agent::acknowledge`].
    pub losses: Vec<Loss>,
}

/// What a planner picks for an agent; see [`Agent::claim_chosen`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pick {
    /// The todo.
    pub todo: TodoId,
    /// Others that are done along with it, in one go.
    pub also: Vec<TodoId>,
    /// The paths, as globs, that are reserved with the claims.
    pub scope: Vec<String>,
    /// Why this one, in one line.
    pub reason: String,
}

/// Why a todo could not be claimed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ClaimRefused {
    /// There is no such todo.
    #[error("there is no such todo")]
    Unknown,
    /// Somebody else holds it.
    #[error("held by {agent}")]
    Held {
        /// Who.
        agent: Arc<str>,
        /// Until when, without a sign of life.
        until: Option<Millis>,
        /// What could be claimed instead.
        next: Option<TodoId>,
    },
    /// It is not open: finished, deferred, or something is in the way.
    #[error("it is {status}")]
    NotOpen {
        /// Where it stands.
        status: Status,
        /// What could be claimed instead.
        next: Option<TodoId>,
    },
    /// Nothing is ready.
    #[error("nothing is ready to be claimed")]
    NothingReady,
}

/// Whether `agent` may claim `todo` at `now`.
///
/// # Errors
/// The reason why it may not, and what to claim instead.
pub fn claimable(
    state: &State,
    todo: TodoId,
    agent: &str,
    now: Millis,
) -> Result<(), ClaimRefused> {
    let found = state.todo(todo).ok_or(ClaimRefused::Unknown)?;
    let readiness = state.readiness(now);
    let next = || readiness.ready.iter().copied().find(|&ready| ready != todo);
    if let Some(holder) = found.holder(now) {
        if &*holder.agent == agent && found.pending_completion().is_none() {
            return Ok(());
        }
        let (agent, until) = (Arc::clone(&holder.agent), holder.until);
        return Err(ClaimRefused::Held { agent, until, next: next() });
    }
    match state.status(found, &readiness, now) {
        Status::Open => Ok(()),
        Status::InProgress => {
            let agent = found.assignee.as_deref().unwrap_or("somebody").into();
            Err(ClaimRefused::Held { agent, until: None, next: next() })
        }
        status => Err(ClaimRefused::NotOpen { status, next: next() }),
    }
}

impl Agent {
    /// Adds a todo.
    ///
    /// # Errors
    /// When it cannot be appended.
    pub async fn add(&self, title: &str) -> Result<TodoId, Error> {
        let id = new_todo_id()?;
        self.append([todo(id, title)]).await?;
        Ok(id)
    }

    /// Claims a todo if it is free and ready. Of all who try, in all processes, one wins.
    ///
    /// # Errors
    /// [`Refused::Condition`] with the reason, and what to claim instead.
    pub async fn claim(
        &self,
        todo: TodoId,
        lease: Option<Millis>,
    ) -> Result<Claimed, Refused<ClaimRefused>> {
        self.claim_by(lease, move |state, agent, now| {
            claimable(state, todo, agent, now).map(|()| todo)
        })
        .await
    }

    /// Claims the most urgent todo that is ready and passes `filter`.
    ///
    /// # Errors
    /// [`Refused::Condition`] with [`ClaimRefused::NothingReady`].
    pub async fn claim_next(
        &self,
        lease: Option<Millis>,
        filter: impl Fn(&State, TodoId) -> bool + Send + 'static,
    ) -> Result<Claimed, Refused<ClaimRefused>> {
        self.claim_by(lease, move |state, _, now| {
            let ready = state.readiness(now).ready.into_iter();
            let mut ready = ready.filter(|&todo| filter(state, todo));
            ready.next().ok_or(ClaimRefused::NothingReady)
        })
        .await
    }

    /// Claims what `choose` picks of the newest state, without a look at whether it is ready. In the
    /// same append `by` gives the todos to the agent, with the reason of the pick. The first claim
    /// is that of the pick's own todo; those that it takes along come behind, in their order.
    ///
    /// # Errors
    /// [`Refused::Condition`] with [`ClaimRefused::NothingReady`] when it picks nothing.
    pub async fn claim_chosen(
        &self,
        by: &Agent,
        lease: Option<Millis>,
        choose: impl FnOnce(&State, Millis) -> Option<Pick> + Send + 'static,
    ) -> Result<Vec<Claimed>, Refused<ClaimRefused>> {
        let lease = lease.unwrap_or(limits::LEASE_DEFAULT).min(limits::LEASE_MAX);
        let (agent, by) = (self.clone(), by.clone());
        let clock = self.run().clock();
        let events = self
            .run()
            .append_if(move |state| {
                let pick = choose(state, clock()).ok_or(ClaimRefused::NothingReady)?;
                let todos: Vec<TodoId> = std::iter::once(pick.todo).chain(pick.also).collect();
                let mut drafts = Vec::with_capacity(2 * todos.len());
                for todo in todos {
                    let scope = pick.scope.clone();
                    let claimed = Operation::Claimed { todo, lease: Some(lease), scope };
                    let (to, reason) = (agent.name().to_owned(), pick.reason.clone());
                    drafts.push(by.draft(Operation::Assigned { todo, agent: to, reason }));
                    drafts.push(agent.draft(claimed));
                }
                Ok(drafts)
            })
            .await?;
        let losses = self.untold().await;
        let claims = events.iter().filter_map(|event| match &event.operation {
            Operation::Claimed { todo, .. } => Some(Claimed {
                todo: *todo,
                token: event.dot,
                until: Some(event.time.millis.saturating_add(lease)),
                losses: losses.clone(),
            }),
            _ => None,
        });
        Ok(claims.collect())
    }

    async fn claim_by(
        &self,
        lease: Option<Millis>,
        choose: impl FnOnce(&State, &str, Millis) -> Result<TodoId, ClaimRefused> + Send + 'static,
    ) -> Result<Claimed, Refused<ClaimRefused>> {
        let lease = lease.unwrap_or(limits::LEASE_DEFAULT).min(limits::LEASE_MAX);
        let agent = self.author().name.clone();
        let clock = self.run().clock();
        let events = self
            .append_if(move |state| {
                let todo = choose(state, &agent, clock())?;
                let scope = state.todo(todo).map(|todo| todo.files.clone()).unwrap_or_default();
                Ok(vec![Operation::Claimed { todo, lease: Some(lease), scope }])
            })
            .await?;
        let event = events.first().ok_or(Error::Closed)?;
        let todo = event.operation.todo().ok_or(Error::Closed)?;
        let until = Some(event.time.millis.saturating_add(lease));
        Ok(Claimed { todo, token: event.dot, until, losses: self.untold().await })
    }

    /// Appends one operation.
    ///
    /// # Errors
    /// When it cannot be appended.
    pub async fn one(&self, operation: Operation) -> Result<Arc<Event>, Error> {
        self.append([operation]).await?.into_iter().next().ok_or(Error::Closed)
    }
}
