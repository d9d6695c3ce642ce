//! What can go wrong with a document.

/// Why a document could not be read, changed or brought up to date.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DocumentError {
    /// Saved bytes or a change are larger than [`crate::limits`] allow.
    #[error("the {what} has {size} {unit}, {limit} are allowed: split it or leave it out")]
    TooLarge {
        /// What it is.
        what: &'static str,
        /// How large it is.
        size: u64,
        /// In which unit.
        unit: &'static str,
        /// How large it may be.
        limit: u64,
    },
    /// Saved bytes are not a document.
    #[error("the saved document cannot be read ({reason}): rebuild it from the journals' seals")]
    Unreadable {
        /// What Automerge says.
        reason: String,
    },
    /// The document does not begin as every document of its strand does.
    #[error("this is not the {strand} document of a run: load it under its own strand")]
    Foreign {
        /// The strand that was expected.
        strand: &'static str,
    },
    /// What a tool is said to have saved is no document.
    #[error("this is no document of Automerge ({reason})")]
    NoDocument {
        /// What Automerge says.
        reason: String,
    },
    /// The document does not begin as ours do.
    #[error("this is no document of a run: edit one that `tress export automerge` wrote")]
    Stranger,
    /// A change is damaged, or no well-behaved writer made it.
    #[error("change {index} of the batch is refused ({reason}): quarantine it, apply the others")]
    Change {
        /// Its place in the batch, from 0.
        index: usize,
        /// What is wrong with it.
        reason: String,
    },
    /// Changes that pass one by one make a document that cannot be saved and loaded again.
    #[error("the changes are refused ({reason}): quarantine them")]
    Batch {
        /// What went wrong.
        reason: String,
    },
    /// What was to be sealed is no projection of this strand.
    #[error("what is to be sealed is not the {strand} strand of a state: make it with `project`")]
    Desired {
        /// The strand that was expected.
        strand: &'static str,
    },
    /// The document nests deeper than the schema.
    #[error("{path} nests too deep to be read: seal the document to bring it back to its schema")]
    TooDeep {
        /// Where.
        path: String,
    },
    /// Automerge refused an operation that this crate planned.
    #[error("the document cannot be written ({reason}): rebuild it from the journals' seals")]
    Unwritable {
        /// What Automerge says.
        reason: String,
    },
    /// An earlier operation failed half-way; what the document holds is not known.
    #[error("the document failed before: load it again, or rebuild it from the journals' seals")]
    Broken,
}
