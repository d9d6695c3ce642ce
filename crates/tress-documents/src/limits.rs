//! Every bound of this crate in one place. What is over a bound is refused, never cut.

/// The most bytes that one saved document may have (1 GiB).
pub const DOCUMENT_BYTES_MAX: usize = 1 << 30;
/// The most bytes that one change may have, inflated (64 MiB).
pub const CHANGE_BYTES_MAX: usize = 64 << 20;
/// The most operations that one change from outside may have. Run-length encoding makes a few
/// bytes stand for any number of them, so bytes alone bound nothing.
pub const CHANGE_OPS_MAX: u64 = 1 << 23;
/// How many operations a seal puts into one change before it leaves the rest to the next.
pub const SEAL_OPS_MAX: u64 = 1 << 20;
/// The highest operation number that a change from outside may reach. Automerge counts in 32 bits
/// and panics where they end; half of them are left for what is written here.
pub const OP_NUMBER_MAX: u64 = (u32::MAX / 2) as u64;
/// How deep a document may nest. The schema needs seven levels.
pub const DEPTH_MAX: usize = 16;
/// How much of a text (characters deleted times characters inserted) is compared character by
/// character; a larger difference is written as one replacement.
pub const TEXT_DIFF_MAX: u64 = 250_000;
/// The most heads and needs of a client's sync message.
pub const SYNC_HASHES_MAX: usize = 8192;
/// The most filters in it: Automerge sends one.
pub const SYNC_FILTERS_MAX: usize = 8;
/// The most probes of such a filter: Automerge makes 7.
pub const SYNC_PROBES_MAX: u64 = 32;
/// The most bytes, inflated, that new changes of a stock client may have together in one batch.
pub const FOREIGN_BYTES_MAX: usize = 64 << 20;
/// The most operations of such changes: a text has one for each character.
pub const FOREIGN_OPS_MAX: usize = 1 << 20;
/// The most operations that new changes of another store may have together in one batch: a seal stops at
/// [`SEAL_OPS_MAX`], and its last edit may be a long text.
pub const PEER_OPS_MAX: usize = 4 << 20;
