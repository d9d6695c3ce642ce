//! What a conversation does about documents: the seals of each side come to the other.
//!
//! The changes come in like those of anybody: checked one by one, and proved on a copy. They ride the
//! log of this store with its own seals. So whoever reads the documents here finds what others sealed,
//! and need not make it a second time under another actor.

use tress_engine::SyncError;
use tress_engine::sync::{Paperwork, Session};

use crate::error::Error;
use crate::run::Run;
use crate::seal::Shelf;

/// Does what a session wants done about documents. What cannot be done is told to the log of this
/// process, and the conversation goes on: events do not depend on it. How many changes came in.
///
/// # Errors
/// When what is to be said is too large.
pub async fn attend(
    run: &Run,
    session: &mut Session,
    paperwork: Paperwork,
) -> Result<usize, SyncError> {
    let shelf = Shelf::new(run);
    match paperwork {
        Paperwork::Look => session.stand(or_none(shelf.stand().await)),
        Paperwork::Compare { strand, heads } => {
            session.lack(strand, or_none(shelf.compare(strand, heads).await));
        }
        Paperwork::Give { strand, clock } => {
            let lacking = or_none(shelf.lacking(strand, clock).await);
            session.give(strand, lacking.into_iter().map(|change| change.bytes).collect())?;
        }
        Paperwork::Take { strand, changes } => {
            let new = or_none(shelf.take(strand, changes).await);
            session.took(strand, new > 0);
            return Ok(new);
        }
    }
    Ok(0)
}

fn or_none<T: Default>(done: Result<T, Error>) -> T {
    done.unwrap_or_else(|error| {
        tracing::warn!(%error, "documents are not exchanged now");
        T::default()
    })
}
