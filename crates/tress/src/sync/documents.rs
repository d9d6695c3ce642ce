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

/// Does what a session wants done about documents. What cannot be done now is told to the log of this
/// process and to the session, and the conversation goes on: events do not depend on it. How many changes
/// came in, and whether all went well.
///
/// # Errors
/// When what is to be said is too large.
pub async fn attend(
    run: &Run,
    session: &mut Session,
    paperwork: Paperwork,
) -> Result<(usize, bool), SyncError> {
    let (shelf, mut well, mut new) = (Shelf::new(run), true, 0);
    match paperwork {
        Paperwork::Look => session.stand(noted(shelf.stand().await, &mut well)),
        Paperwork::Compare { strand, heads } => {
            let clock = noted(shelf.compare(strand, heads).await, &mut well);
            session.lack(strand, clock.flatten());
        }
        Paperwork::Give { strand, clock } => {
            let lacking = noted(shelf.lacking(strand, clock).await, &mut well).unwrap_or_default();
            session.give(strand, lacking.into_iter().map(|change| change.bytes).collect())?;
        }
        Paperwork::Take { strand, changes } => {
            new = noted(shelf.take(strand, changes).await, &mut well).unwrap_or_default();
            session.took(strand);
        }
    }
    if !well {
        session.documents_failed();
    }
    Ok((new, well))
}

fn noted<T>(done: Result<T, Error>, well: &mut bool) -> Option<T> {
    done.inspect_err(|error| {
        tracing::warn!(%error, "documents are not exchanged now");
        *well = false;
    })
    .ok()
}
