//! Canaries: known bugs that are planted on purpose. A simulator that does not find them finds
//! nothing.

/// A bug that is planted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Canary {
    /// Appends are acknowledged without a sync of the journal.
    NoSync,
    /// New files and renames are not made durable with their directory.
    NoDirSync,
    /// One process folds as if one event in sixteen were not there.
    BrokenRule,
    /// What comes from other machines is believed to be durable as soon as it is written.
    NoSyncOfReceived,
}
