//! Taking in what somebody changed in a document with a tool of Automerge.
//!
//! The changes are applied to a copy of the document, what differs from the state is read as
//! operations, and these are appended under whoever made the changes. The changes themselves ride the
//! log with the seals, and what they may not change is settled back by the next one.

use std::sync::Arc;

use tress_documents::{Applied, Edits, RefusedEdit};
use tress_engine::admit::check;
use tress_model::{Event, Strand};

use crate::error::Error;
use crate::run::Agent;

/// How often it is begun anew, where others append meanwhile.
const TRIES: usize = 16;

/// What became of changes to a document.
#[derive(Debug, Default)]
pub struct Edited {
    /// What they said, as events.
    pub events: Vec<Arc<Event>>,
    /// What they may not say, or what cannot be appended. The document is settled back there.
    pub refused: Vec<RefusedEdit>,
    /// How many changes were new.
    pub changes: usize,
    /// The places of changes whose causes are not here. They were left out.
    pub waiting: Vec<usize>,
}

impl Agent {
    /// Takes in `changes` that this agent made to the document of `strand`, each in Automerge's own
    /// bytes, in any order, also ones that are known.
    ///
    /// # Errors
    /// When a change is damaged or does not fit, or others append all the while. Nothing was taken then. Where the
    /// documents cannot be sealed behind it, what the changes say is in the log all the same.
    pub async fn edit_document(
        &self,
        strand: Strand,
        changes: Vec<Vec<u8>>,
    ) -> Result<Edited, Error> {
        self.edit(strand, changes, false).await
    }

    /// The same; a client that is connected (`of_client`) writes under no store's actor.
    pub(crate) async fn edit(
        &self,
        strand: Strand,
        changes: Vec<Vec<u8>>,
        of_client: bool,
    ) -> Result<Edited, Error> {
        for _ in 0..TRIES {
            let foreign = self.run().read_changes(strand, &changes, of_client).await?;
            let Applied { new, taken, waiting } = foreign.applied;
            if new == 0 {
                return Ok(Edited { waiting, ..Edited::default() });
            }
            let Edits { operations, mut refused } = foreign.edits;
            let mut valid = Vec::new();
            for operation in operations {
                match check(self.author(), &operation) {
                    Ok(()) => valid.push(operation),
                    Err(reason) => {
                        let about = operation.todo().map(|todo| format!("todos/{todo}"));
                        let path = about.unwrap_or_else(|| operation.name().to_owned());
                        refused.push(RefusedEdit { path, reason });
                    }
                }
            }
            let kept: Vec<_> = taken.iter().filter_map(|at| changes.get(*at)).cloned().collect();
            let drafts = valid.into_iter().map(|operation| self.draft(operation)).collect();
            // Edits of texts count characters of what was compared: nothing may come between. And the
            // changes are known exactly where what they say is, or it would be said twice.
            let run = self.run();
            let appended = run.append_edits(strand, &foreign.state, drafts, kept.clone()).await;
            let appended = match appended {
                Err(Error::Prepare(reason)) => {
                    // Too large, and so none of it can be; the document is put back.
                    let (path, reason) = (strand.name().to_owned(), reason.to_string());
                    refused.push(RefusedEdit { path, reason });
                    run.append_edits(strand, &foreign.state, Vec::new(), kept).await
                }
                appended => appended,
            };
            let Some(events) = appended? else { continue };
            self.run().seal().await?;
            return Ok(Edited { events, refused, changes: new, waiting });
        }
        Err(Error::Group("others append all the while: try again".to_owned()))
    }
}
