//! Every bound of the model in one place. What is over a bound is refused, never cut.

use crate::clock::Millis;

/// The most bytes that one encoded event may have (1 MiB).
pub const EVENT_BYTES_MAX: usize = 1 << 20;
/// The most bytes that one encoded segment may have (16 MiB).
pub const SEGMENT_BYTES_MAX: usize = 16 << 20;
/// The most bytes that one encoded seal may have (64 MiB).
pub const SEAL_BYTES_MAX: usize = 64 << 20;
/// The most events in one segment.
pub const SEGMENT_EVENTS_MAX: usize = 65_536;
/// The most items that the lists of a segment's operations have together: once it is read, an item of one byte may
/// take a hundred.
pub const LIST_ITEMS_MAX: usize = 1 << 20;
/// The most changes of documents in one message.
pub const CHANGES_MAX: usize = 65_536;
/// The most bytes that one message of the sync protocol may have: a segment of the largest size, and
/// what is said about it.
pub const MESSAGE_BYTES_MAX: usize = SEGMENT_BYTES_MAX + (64 << 10);
/// The most memory for events that are held in a conversation until a signature comes (64 MiB, some 200,000 small events).
pub const UNSIGNED_BYTES_MAX: usize = 64 << 20;
/// The most heads that one signature covers.
pub const HEADS_SIGNED_MAX: usize = 4096;
/// How many signatures are remembered that are in no log, with whether they are sound.
pub const SIGNATURES_KNOWN_MAX: usize = 1 << 16;
/// The most heads of one document that a peer may name.
pub const HEADS_MAX: usize = 4096;
/// How many events one message brings.
pub const BATCH_EVENTS: usize = 4096;
/// About how many bytes of events one message brings (1 MiB); a larger event goes alone.
pub const BATCH_BYTES: usize = 1 << 20;
/// How many messages with events may be under way before the peer has acknowledged one.
pub const BATCHES_UNDER_WAY: usize = 4;
/// The most bytes in the reason for which a peer leaves.
pub const REASON_BYTES_MAX: usize = 1024;
/// The most bytes that one snapshot may have (1 GiB).
pub const SNAPSHOT_BYTES_MAX: usize = 1 << 30;
/// The most bytes in the name of an agent.
pub const AGENT_NAME_BYTES_MAX: usize = 256;
/// The most replicas of one run, so that an event that cites them all stays within its bound.
pub const REPLICAS_MAX: usize = 16_384;
/// How far in the future an event from outside may lie: one day.
pub const CLOCK_DRIFT_MAX: Millis = 24 * 60 * 60 * 1000;
/// The most segments that wait for their causes.
pub const WAITING_SEGMENTS_MAX: usize = 16_384;
/// How many of them may say different things of the same events of one replica.
pub const WAITING_ALIKE_MAX: usize = 64;
/// The most events that one hole may stand for.
pub const HOLE_EVENTS_MAX: u64 = 1 << 20;
/// How many refused or damaged things are kept in `quarantine/`; further ones are only told.
pub const QUARANTINE_FILES_MAX: usize = 1024;
/// The most splices in one edit of a text; each costs a walk over the text.
pub const SPLICES_MAX: usize = 1024;
/// How many events lie between two states that a log keeps in mind, at the least.
pub const MARK_EVERY: usize = 1024;
/// How many states a log keeps in mind, at the most; then they lie further apart.
pub const MARKS_MAX: usize = 256;
/// How long a claim lasts unless its agent says otherwise: 30 minutes.
pub const LEASE_DEFAULT: Millis = 30 * 60 * 1000;
/// The longest lease: 30 days.
pub const LEASE_MAX: Millis = 30 * 24 * 60 * 60 * 1000;
/// The lowest priority a todo can have; 0 is the most urgent.
pub const PRIORITY_MAX: u8 = 4;
/// How many claims that ended a todo remembers; an older token counts as one whose end is known.
pub const ENDED_CLAIMS_MAX: usize = 64;
/// How many ledger entries the state carries; older ones are counted, and read from the log.
pub const LEDGER_ENTRIES_MAX: usize = 100_000;
