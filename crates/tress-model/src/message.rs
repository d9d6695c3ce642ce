//! Messages: what two peers say to each other about one run. Their bytes are made and read by
//! [`crate::codec`]; what is said when is `tress-engine::sync`.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::clock::VersionVector;
use crate::event::Segment;
use crate::ids::StoreId;
use crate::limits;
use crate::operation::{Strand, Strands};

/// The version of the protocol that this code speaks, and the only one so far.
pub const PROTOCOL: u16 = 2;

/// Where the three documents of a run stand, in the order of [`Strand::ALL`]: the hashes of the changes
/// of each that no other change follows. None where there is no document.
pub type Heads = [Vec<[u8; 32]>; 3];

/// What a document holds: the number of the last change of each of its Automerge actors. A document holds
/// all changes of an actor before one that it holds.
pub type Clock = BTreeMap<Vec<u8>, u64>;

/// How a peer introduces itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hello {
    /// The run that it speaks about.
    pub run: String,
    /// The place that it is: a store never syncs with itself.
    pub place: StoreId,
    /// Whether it wants to be told what comes later, too.
    pub live: bool,
    /// Whether it takes events.
    pub takes: bool,
    /// Whether it exchanges documents, too, once both have all events.
    pub documents: bool,
    /// The strands of which it wants to know.
    pub strands: Strands,
    /// The events that it has, durably.
    pub have: VersionVector,
}

impl Hello {
    /// That of a peer that has `have` of all strands of `run`, takes events, and leaves once both have what
    /// the other had.
    pub fn new(run: &str, place: StoreId, have: VersionVector) -> Self {
        let (live, takes, documents) = (false, true, false);
        Self { run: run.to_owned(), place, live, takes, documents, strands: Strands::ALL, have }
    }
}

/// Why a peer leaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Leave {
    /// Both have what the other had.
    Done,
    /// It shuts down; come again.
    Closing,
    /// The other does not take what it is sent; come again and go on from there.
    Slow,
    /// The other may not do what it does.
    Forbidden,
    /// The other speaks no version of the protocol that this one speaks.
    Protocol,
    /// The other said what means nothing here.
    Malformed,
    /// It cannot go on, by no fault of the other.
    Failed,
    /// There are too many already; come again later.
    Busy,
}

impl Leave {
    /// Whether the same again would end in the same way.
    pub const fn is_refusal(self) -> bool {
        matches!(self, Self::Forbidden | Self::Protocol | Self::Malformed)
    }
}

/// As much of a reason as is sent and heard: [`limits::REASON_BYTES_MAX`].
pub fn bounded(mut reason: String) -> String {
    let end = (0..=limits::REASON_BYTES_MAX).rev().find(|&end| reason.is_char_boundary(end));
    reason.truncate(end.unwrap_or(0));
    reason
}

/// One message.
#[derive(Debug, Clone, PartialEq)]
pub enum Message {
    /// The first one of each side.
    Hello(Hello),
    /// Events that the other lacked: each segment goes on where its replica ends there, or another
    /// of the message does.
    Events(Vec<Segment>),
    /// What the sender has now, durably, where that is more than it said before; and how many
    /// messages with events it has taken in.
    Have {
        /// Only the replicas of which it has more.
        version: VersionVector,
        /// How many messages with events, of all that came.
        taken: u64,
    },
    /// The other has been sent all that the sender had when both met.
    UpToDate,
    /// Where the sender's documents stand.
    Documents(Heads),
    /// What the sender has of a document that stands elsewhere with the other: the rest is wanted.
    Lacking {
        /// Which document.
        strand: Strand,
        /// What the sender has of it.
        clock: Clock,
    },
    /// The answer: changes that the other lacks, each in Automerge's own bytes, causes first. None where
    /// it lacks nothing.
    Changes {
        /// Of which document.
        strand: Strand,
        /// The changes.
        changes: Vec<Vec<u8>>,
    },
    /// The sender wants nothing of what the other said last about its documents (any more).
    Settled,
    /// The last one.
    Leave {
        /// Why.
        why: Leave,
        /// In words, for people.
        reason: String,
    },
}
