//! The answers to a claim of completion: a verdict, and the integration of its commit. Both are
//! decided on the newest state under the run's lock, so that work which no longer counts is
//! neither verified nor integrated by those who know that it does not.

use std::sync::Arc;

use tress_model::ids::{Author, Dot, TodoId};
use tress_model::operation::Verdict;
use tress_model::state::todo::Completion;
use tress_model::{Event, Operation, State, Status, Todo};

use crate::error::{Error, Refused};
use crate::run::Agent;

/// Why a claim of completion could not be verified or integrated; nothing was appended.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ReviewRefused {
    /// There is no such claim of completion.
    #[error("there is no such claim of completion")]
    Unknown,
    /// It no longer counts: it was refused, made under a lost claim, or taken back.
    #[error("it no longer counts: {reason}")]
    Void {
        /// Why.
        reason: String,
        /// Who holds the todo by now.
        holder: Option<Arc<str>>,
    },
    /// The todo is finished without it.
    #[error("the todo is {status}")]
    Finished {
        /// How.
        status: Status,
    },
    /// Whoever did the work, or held the claim, cannot verify it.
    #[error("whoever did the work cannot verify it; let another agent look")]
    Own,
    /// The role cannot verify.
    #[error("only a verifier, a coordinator or a human can verify")]
    Role,
    /// There is an answer already.
    #[error("{by} had answered before")]
    Answered {
        /// Who gave it.
        by: Arc<str>,
        /// Which.
        verdict: Verdict,
    },
    /// Nobody has verified it yet.
    #[error("only verified work is integrated, and nobody has verified it")]
    NotVerified,
    /// It was integrated before.
    #[error("it was integrated before, as {commit}")]
    Integrated {
        /// The commit on the run's branch.
        commit: String,
    },
}

/// The claim of completion, if it counts by what `state` knows.
fn counting(
    state: &State,
    todo: TodoId,
    completion: Dot,
) -> Result<(&Todo, &Completion), ReviewRefused> {
    let found = state.todo(todo).ok_or(ReviewRefused::Unknown)?;
    let mut made = found.completions.iter();
    let made = made.find(|made| made.dot == completion).ok_or(ReviewRefused::Unknown)?;
    if let Some(reason) = &made.void {
        let holder = found.claim.as_deref().map(|claim| Arc::clone(&claim.agent));
        return Err(ReviewRefused::Void { reason: reason.clone(), holder });
    }
    if let Some((commit, _)) = made.integrated.as_deref() {
        return Err(ReviewRefused::Integrated { commit: commit.clone() });
    }
    if found.deletion().is_some() || found.closing().is_some() {
        let status = state.status_unblocked(found, crate::now());
        return Err(ReviewRefused::Finished { status });
    }
    Ok((found, made))
}

/// Whether `author` may answer the claim of completion, by what `state` knows. For those who append
/// more than [`Agent::verify`] does: ask in the condition of [`Agent::append_if`].
///
/// # Errors
/// Why not.
pub fn verifiable(
    state: &State,
    todo: TodoId,
    completion: Dot,
    author: &Author,
) -> Result<(), ReviewRefused> {
    let (_, made) = counting(state, todo, completion)?;
    if let Some(given) = &made.verification {
        let (by, verdict) = (Arc::clone(&given.agent), given.verdict);
        return Err(ReviewRefused::Answered { by, verdict });
    }
    if made.agent == author.name || made.claimant.as_ref() == Some(&author.name) {
        return Err(ReviewRefused::Own);
    }
    if !author.role.may_verify() {
        return Err(ReviewRefused::Role);
    }
    Ok(())
}

/// Whether the commit of the claim of completion may be integrated, by what `state` knows: the
/// fencing check. Ask before anything is merged, and again in the condition under which the
/// integration is appended.
///
/// It may be while another holds the todo whose claim its author could not know: finished work
/// holds. Under a claim of which its author knew better, it is void.
///
/// # Errors
/// Why not.
pub fn integrable(state: &State, todo: TodoId, completion: Dot) -> Result<(), ReviewRefused> {
    let (found, made) = counting(state, todo, completion)?;
    if made.verification.as_ref().is_none_or(|given| given.verdict != Verdict::Pass) {
        return Err(ReviewRefused::NotVerified);
    }
    if let Some((commit, _)) =
        found.completed().and_then(|other| other.integrated.as_deref().cloned())
    {
        return Err(ReviewRefused::Integrated { commit });
    }
    Ok(())
}

impl Agent {
    /// Accepts or refuses a claim of completion that counts. Whoever did the work cannot.
    ///
    /// # Errors
    /// [`Refused::Condition`] with the reason; nothing was appended then.
    pub async fn verify(
        &self,
        todo: TodoId,
        completion: Dot,
        pass: bool,
        reason: &str,
    ) -> Result<Arc<Event>, Refused<ReviewRefused>> {
        let verified = Operation::Verified {
            todo,
            completion,
            verdict: if pass { Verdict::Pass } else { Verdict::Fail },
            reason: reason.to_owned(),
            percent: if pass { 100 } else { 0 },
            gaps: Vec::new(),
        };
        let author = self.author().clone();
        self.if_so(verified, move |state| verifiable(state, todo, completion, &author)).await
    }

    /// Says that the commit of a verified claim of completion is part of the run's branch, as
    /// `commit`. Ask [`integrable`] before the branch is moved.
    ///
    /// # Errors
    /// [`Refused::Condition`] with the reason; nothing was appended then.
    pub async fn integrate(
        &self,
        todo: TodoId,
        completion: Dot,
        commit: &str,
    ) -> Result<Arc<Event>, Refused<ReviewRefused>> {
        let integrated = Operation::Integrated { todo, completion, commit: commit.to_owned() };
        self.if_so(integrated, move |state| integrable(state, todo, completion)).await
    }

    async fn if_so(
        &self,
        operation: Operation,
        check: impl FnOnce(&State) -> Result<(), ReviewRefused> + Send + 'static,
    ) -> Result<Arc<Event>, Refused<ReviewRefused>> {
        let events = self.append_if(move |state| check(state).map(|()| vec![operation])).await?;
        Ok(events.into_iter().next().ok_or(Error::Closed)?)
    }
}
