//! What can go wrong, for those who embed Tress.

use tress_engine::{BehindSnapshot, PrepareError, Rejection, WhenError};
use tress_model::Strands;
use tress_model::ids::ReplicaId;
use tress_model::state::FindError;
use tress_store::{DocumentsError, StoreError};

/// Why the engine could not do what it was asked for.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The store could not be read or written.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The documents could not be had.
    #[error(transparent)]
    Documents(#[from] DocumentsError),
    /// A document is not what the schema says.
    #[error(transparent)]
    Document(#[from] tress_documents::DocumentError),
    /// The operations cannot be appended.
    #[error(transparent)]
    Prepare(#[from] PrepareError),
    /// There is no such moment.
    #[error(transparent)]
    When(#[from] WhenError),
    /// There is no such todo.
    #[error(transparent)]
    Find(#[from] FindError),
    /// What was asked for lies before what is here.
    #[error(transparent)]
    Behind(#[from] BehindSnapshot),
    /// An event of another run cannot be taken in; nothing was.
    #[error("an event of replica {replica} cannot be taken in: {reason}")]
    NotAdmitted {
        /// The replica that wrote it.
        replica: ReplicaId,
        /// Why.
        reason: Rejection,
    },
    /// What was to be merged is not whole; nothing was.
    #[error(
        "{0} stretches of its events wait for events that neither side has: export it again from a store that is whole"
    )]
    Incomplete(usize),
    /// A path that leaves out events which this run does not have.
    #[error(
        "the path {0} leaves out events that this run does not know, and would bring them along: merge it into the run that it branched off"
    )]
    LeftOut(String),
    /// A run keeps other strands than was asked for.
    #[error(
        "the run {run} keeps {kept} here, and that never changes: name another run for what you want"
    )]
    Strands {
        /// The run.
        run: String,
        /// What it keeps.
        kept: Strands,
    },
    /// The run's writer has ended.
    #[error("the run is closed")]
    Closed,
    /// The disk failed in the middle of an append, and cannot be asked what came of it.
    #[error("it is not known whether it was appended ({0}): look before you try again")]
    Unknown(String),
    /// What a group of appends shared failed; none of them counts.
    #[error("nothing was appended: {0}")]
    Group(String),
}

/// Why an append on a condition did not happen.
#[derive(Debug, thiserror::Error)]
pub enum Refused<E> {
    /// The condition did not hold, for this reason.
    #[error("{0}")]
    Condition(E),
    /// It could not be tried.
    #[error(transparent)]
    Error(#[from] Error),
}
