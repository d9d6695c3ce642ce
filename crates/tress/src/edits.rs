//! Taking in what somebody changed in a document with a tool of Automerge.
//!
//! The changes are applied to a copy of the document, what differs from the state is read as
//! operations, and these are appended under whoever made the changes. The changes themselves ride the
//! log with the seals, and what they may not change is settled back by the next one.

use std::sync::Arc;

use tress_documents::{Applied, Edits, RefusedEdit};
use tress_engine::admit::check;
use tress_model::{Event, Strand};

use crate::error::{Error, Refused};
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
    /// When a change is damaged or does not fit, or others append all the while. Nothing was taken then.
    pub async fn edit_document(
        &self,
        strand: Strand,
        changes: Vec<Vec<u8>>,
    ) -> Result<Edited, Error> {
        for _ in 0..TRIES {
            let foreign = self.run().read_changes(strand, &changes).await?;
            let Applied { new, taken, waiting } = foreign.applied;
            if new == 0 {
                return Ok(Edited { waiting, ..Edited::default() });
            }
            let Edits { operations, mut refused } = foreign.edits;
            let (mut valid, seen) = (Vec::new(), foreign.state.version.clone());
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
            // Edits of texts count characters of what was compared: nothing may come between.
            let nothing = valid.is_empty();
            let condition = self.append_if(
                move |state| {
                    if state.version == seen { Ok(valid) } else { Err(()) }
                },
            );
            let appended = if nothing { Ok(Vec::new()) } else { condition.await };
            let events = match appended {
                Ok(events) => events,
                Err(Refused::Condition(())) => continue,
                Err(Refused::Error(error)) => return Err(error),
            };
            let kept = taken.iter().filter_map(|at| changes.get(*at)).cloned().collect();
            self.run().keep_changes(strand, kept).await?;
            self.run().seal().await?;
            return Ok(Edited { events, refused, changes: new, waiting });
        }
        Err(Error::Group("others append all the while: try again".to_owned()))
    }
}
