//! Work under a claim: every report is decided on the newest state under the run's lock, so an
//! agent whose claim is lost hears so before its report is in the log.
//!
//! What is refused here is what the fold would refuse (rule `stale-token`) of an author who has
//! seen all that this process has. What only other replicas know is decided when it arrives, and is
//! told as a [`Loss`].

use std::sync::Arc;

use tress_model::ids::{Dot, TodoId};
use tress_model::state::Standing;
use tress_model::{Event, Millis, Operation, Rule, State, Status, limits};

use super::Claimed;
use super::losses::{Loss, next_ready};
use crate::error::{Error, Refused};
use crate::run::Agent;

/// Why work under a claim was refused; nothing was appended.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum WorkRefused {
    /// There is no such todo.
    Unknown,
    /// Another agent holds the todo by now.
    Lost {
        /// Who.
        holder: Arc<str>,
        /// Until when, without a sign of life; may lie in the past, where nobody has taken over.
        until: Option<Millis>,
        /// The rule that decided, and the event that won, where the claim lost in a merge or to
        /// one who took over. None where it was given back by another hand.
        decided: Option<(Rule, Option<Dot>)>,
        /// What could be claimed instead.
        next: Option<TodoId>,
    },
    /// The agent itself has claimed it again; work goes on under that claim.
    Renewed {
        /// The token of the newer claim.
        token: Dot,
    },
    /// The claim has ended, and nobody holds the todo: claim it again.
    Ended {
        /// What could be claimed instead.
        next: Option<TodoId>,
    },
    /// The todo is finished.
    Finished {
        /// How.
        status: Status,
        /// What could be claimed instead.
        next: Option<TodoId>,
    },
}

impl WorkRefused {
    /// What could be claimed instead.
    pub const fn next(&self) -> Option<TodoId> {
        match self {
            Self::Unknown | Self::Renewed { .. } => None,
            Self::Lost { next, .. } | Self::Ended { next } | Self::Finished { next, .. } => *next,
        }
    }
}

impl std::fmt::Display for WorkRefused {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Unknown => return f.write_str("there is no such todo"),
            Self::Renewed { token } => {
                return write!(f, "you claimed it again; go on under the newer token {token}");
            }
            Self::Lost { holder, decided: Some((rule, _)), .. } => {
                write!(f, "held by {holder} ({rule})")?;
            }
            Self::Lost { holder, decided: None, .. } => write!(f, "held by {holder}")?,
            Self::Ended { .. } => f.write_str("the claim has ended; claim it again")?,
            Self::Finished { status, .. } => write!(f, "it is {status}")?,
        }
        next_ready(f, self.next())
    }
}

/// The moment at which the next event will be judged: a clock elsewhere may be ahead of this one.
fn moment(state: &State) -> Millis {
    state.last.map_or(0, |last| last.time.millis).max(crate::now())
}

impl Claimed {
    /// Whether `agent` may report under this claim, by what `state` knows. For those who append
    /// more than the methods of [`Agent`] do: ask in the condition of [`Agent::append_if`].
    ///
    /// # Errors
    /// Why not, and what to claim instead.
    pub fn check(&self, state: &State, agent: &str) -> Result<(), WorkRefused> {
        let now = moment(state);
        let todo = state.todo(self.todo).ok_or(WorkRefused::Unknown)?;
        let next = || state.readiness(now).ready.into_iter().find(|&next| next != self.todo);
        match todo.standing(self.token) {
            Standing::Holds(_) => Ok(()),
            Standing::Taken(own) if *own.agent == *agent => {
                Err(WorkRefused::Renewed { token: own.token })
            }
            Standing::Taken(holder) => {
                let mut entries = state.ledger.iter().rev();
                let entry = entries.find(|entry| entry.loser == self.token);
                Err(WorkRefused::Lost {
                    holder: Arc::clone(&holder.agent),
                    until: holder.until,
                    decided: entry.map(|entry| (entry.rule, entry.winner)),
                    next: next(),
                })
            }
            Standing::Ended => Err(WorkRefused::Ended { next: next() }),
            Standing::Finished => {
                let status = state.status_unblocked(todo, now);
                Err(WorkRefused::Finished { status, next: next() })
            }
        }
    }
}

/// A report that is in the log.
#[derive(Debug, Clone, PartialEq)]
pub struct Reported {
    /// Its event.
    pub event: Arc<Event>,
    /// What the agent lost and has not been told of; see [`Agent::acknowledge`].
    pub losses: Vec<Loss>,
}

/// How work under a claim begins.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Start {
    /// Estimated minutes.
    pub estimate: Option<u32>,
    /// The commit it starts from.
    pub base: Option<String>,
    /// The branch it is done on.
    pub branch: Option<String>,
    /// Todos that the agent expects to need.
    pub dependencies: Option<Vec<TodoId>>,
}

/// What is said to be done.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Completed {
    /// The commit that holds the work.
    pub commit: Option<String>,
    /// Whether that commit has yet to be integrated for the todo to be completed.
    pub to_integrate: bool,
    /// What was implemented.
    pub implementation: String,
    /// What was tested.
    pub tests: String,
    /// How it was wired in.
    pub integration: String,
}

impl Reported {
    /// Its name; that of a claim of completion, where it is one.
    pub fn dot(&self) -> Dot {
        self.event.dot
    }
}

impl Agent {
    /// Appends one operation under a claim that holds, by the newest state.
    ///
    /// # Errors
    /// [`Refused::Condition`] when the claim does not hold any more: who holds the todo, and what
    /// to claim instead. Nothing was appended then.
    pub async fn under(
        &self,
        claim: &Claimed,
        operation: Operation,
    ) -> Result<Reported, Refused<WorkRefused>> {
        let (claim, agent) = (claim.clone(), Arc::clone(&self.author().name));
        let events = self
            .append_if(move |state| {
                claim.check(state, &agent)?;
                Ok(vec![operation])
            })
            .await?;
        let event = events.into_iter().next().ok_or(Error::Closed)?;
        Ok(Reported { event, losses: self.untold().await })
    }

    /// Says that work begins under a claim, which renews its lease. What `start` leaves open is
    /// taken from the todo: its estimate, and what it depends on.
    ///
    /// # Errors
    /// As [`Agent::under`].
    pub async fn begin(
        &self,
        claim: &Claimed,
        start: Start,
    ) -> Result<Reported, Refused<WorkRefused>> {
        let state = self.run().state();
        let known = || state.todo(claim.todo).and_then(|todo| todo.estimate_minutes);
        let edges = || state.edges(claim.todo).iter().map(|edge| edge.on).collect();
        let begun = Operation::TaskStarted {
            todo: claim.todo,
            token: claim.token,
            estimate: start.estimate.or_else(known),
            base: start.base,
            branch: start.branch,
            dependencies: start.dependencies.unwrap_or_else(edges),
        };
        self.under(claim, begun).await
    }

    /// Renews the lease of a claim, under the same token.
    ///
    /// # Errors
    /// As [`Agent::under`].
    pub async fn renew(
        &self,
        claim: &Claimed,
        lease: Option<Millis>,
    ) -> Result<Reported, Refused<WorkRefused>> {
        let (todo, token) = (claim.todo, claim.token);
        let lease = Some(lease.unwrap_or(limits::LEASE_DEFAULT).min(limits::LEASE_MAX));
        self.under(claim, Operation::Renewed { todo, token, lease }).await
    }

    /// Reports progress under a claim, which renews its lease.
    ///
    /// # Errors
    /// As [`Agent::under`].
    pub async fn progress(
        &self,
        claim: &Claimed,
        percent: u8,
        message: &str,
    ) -> Result<Reported, Refused<WorkRefused>> {
        self.progress_to(claim, percent, message, None).await
    }

    /// Reports progress under a claim, and what comes next.
    ///
    /// # Errors
    /// As [`Agent::under`].
    pub async fn progress_to(
        &self,
        claim: &Claimed,
        percent: u8,
        message: &str,
        next_milestone: Option<&str>,
    ) -> Result<Reported, Refused<WorkRefused>> {
        let message = message.to_owned();
        let (todo, token) = (claim.todo, claim.token);
        let next_milestone = next_milestone.map(str::to_owned);
        let report = Operation::ProgressReported { todo, token, percent, message, next_milestone };
        self.under(claim, report).await
    }

    /// Gives a claimed todo back.
    ///
    /// # Errors
    /// As [`Agent::under`].
    pub async fn release(
        &self,
        claim: &Claimed,
        reason: &str,
    ) -> Result<Reported, Refused<WorkRefused>> {
        let (todo, token, reason) = (claim.todo, claim.token, reason.to_owned());
        self.under(claim, Operation::Released { todo, token, reason }).await
    }

    /// Claims that the work is done. A verifier has to agree. [`Reported::dot`] names the claim of
    /// completion.
    ///
    /// # Errors
    /// As [`Agent::under`].
    pub async fn complete(
        &self,
        claim: &Claimed,
        commit: Option<&str>,
        implementation: &str,
    ) -> Result<Reported, Refused<WorkRefused>> {
        let (commit, implementation) = (commit.map(str::to_owned), implementation.to_owned());
        self.complete_with(claim, Completed { commit, implementation, ..Completed::default() })
            .await
    }

    /// Claims that the work is done, and says what was implemented, tested and wired in.
    ///
    /// # Errors
    /// As [`Agent::under`].
    pub async fn complete_with(
        &self,
        claim: &Claimed,
        completed: Completed,
    ) -> Result<Reported, Refused<WorkRefused>> {
        let Completed { commit, to_integrate, implementation, tests, integration } = completed;
        let (todo, token) = (claim.todo, Some(claim.token));
        let done = Operation::CompletionClaimed {
            todo,
            token,
            commit,
            to_integrate,
            implementation,
            tests,
            integration,
        };
        self.under(claim, done).await
    }
}
