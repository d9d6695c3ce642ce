//! Snapshots: the folded state in bytes. It is encoded by serde; `state/read` says how it is decoded.

use std::sync::Arc;

use bincode::error::DecodeError;
use bincode::serde::Compat;
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::{CodecError, decode, encode, whole};
use crate::event::Head;
use crate::ids::ReplicaId;
use crate::limits;
use crate::state::State;

/// The folded state at a version, with the ends of the chains it was folded from.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Snapshot {
    /// The head of each replica.
    pub heads: Vec<(ReplicaId, Head)>,
    /// The state.
    pub state: Arc<State>,
}

/// The body of a snapshot file.
///
/// # Errors
/// When it is over [`limits::SNAPSHOT_BYTES_MAX`].
pub fn encode_snapshot(snapshot: &Snapshot) -> Result<Vec<u8>, CodecError> {
    encode(snapshot, "snapshot", limits::SNAPSHOT_BYTES_MAX)
}

/// The body of a snapshot file, kept for the parts of it that are decoded later.
#[derive(Clone)]
pub(crate) struct Body(pub(crate) Arc<Vec<u8>>);

/// Reads the body of a snapshot file.
///
/// # Errors
/// When the bytes are not such a body, or are over the limit.
pub fn decode_snapshot(body: Vec<u8>) -> Result<Snapshot, CodecError> {
    let (what, limit) = ("snapshot", limits::SNAPSHOT_BYTES_MAX);
    if body.len() > limit {
        return Err(CodecError::TooLarge { what, size: body.len(), limit });
    }
    let len = body.len();
    let body = Body(Arc::new(body));
    let read = if len <= SMALL {
        folded::<{ CLAIMS * SMALL }>(&body)
    } else if len <= LARGE {
        folded::<{ CLAIMS * LARGE }>(&body)
    } else {
        folded::<{ CLAIMS * limits::SNAPSHOT_BYTES_MAX }>(&body)
    };
    let (Compat(heads), state) = whole(&body.0, what, read)?;
    Ok(Snapshot { heads, state })
}

/// What values of a snapshot may take in memory for each of its bytes: a text of no letters has one byte
/// there, and 24 here.
const CLAIMS: usize = 32;
/// A small body is not believed when it says that it is a large one.
const SMALL: usize = 1 << 20;
/// Nor is a large one, when it says that it is huge.
const LARGE: usize = 32 << 20;

type Folded = (Compat<Vec<(ReplicaId, Head)>>, Arc<State>);

fn folded<const CLAIMS: usize>(body: &Body) -> Result<(Folded, usize), DecodeError> {
    let config = bincode::config::standard().with_limit::<CLAIMS>();
    bincode::decode_from_slice_with_context(&body.0, config, body.clone())
}

/// A part of the folded state, by itself.
pub(crate) fn encode_part<T: Serialize>(part: &T) -> Result<Vec<u8>, CodecError> {
    // The state as a whole has a limit where it is written, and none where it is hashed.
    encode(part, "part", usize::MAX)
}

/// Reads a part of the folded state.
pub(crate) fn decode_part<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, CodecError> {
    const TINY: usize = 4 << 10;
    let (what, len) = ("part", bytes.len());
    if len <= TINY {
        decode::<_, { CLAIMS * TINY }>(bytes, what, TINY)
    } else if len <= SMALL {
        decode::<_, { CLAIMS * SMALL }>(bytes, what, SMALL)
    } else if len <= LARGE {
        decode::<_, { CLAIMS * LARGE }>(bytes, what, LARGE)
    } else {
        decode::<_, { CLAIMS * limits::SNAPSHOT_BYTES_MAX }>(bytes, what, len)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::HybridTime;
    use crate::event::{Record, Segment};
    use crate::ids::{Author, EventId, Role, StoreId, TodoId};
    use crate::operation::{Operation, TodoEdit};

    /// A list of short texts takes more in memory, for each of its bytes, than anything else.
    #[test]
    fn a_snapshot_with_many_short_texts_can_be_read() {
        for (text, count) in [("", 900_000), ("a", 400_000)] {
            let operation = Operation::TodoAdded {
                todo: TodoId::from_external("x"),
                external_id: None,
                title: "title".to_owned(),
                edits: vec![TodoEdit::Files(vec![text.to_owned(); count])],
                prose: Vec::new(),
                labels: Vec::new(),
                layout: None,
            };
            let (replica, store) = (ReplicaId([1; 16]), StoreId([2; 16]));
            let time = HybridTime { millis: 5, counter: 0 };
            let author = Author::new("ada", Role::Human);
            let (occurred, learned) = (None, Vec::new());
            let records = vec![Record { time, occurred, author, learned, operation }];
            let segment = Segment { replica, store, first: 1, previous: EventId::GENESIS, records };
            let (events, head) = segment.resolve(&Head::genesis(store)).expect("a chain");
            let mut state = State::default();
            events.iter().for_each(|event| state.apply(event));
            let snapshot = Snapshot { heads: vec![(replica, head)], state: Arc::new(state) };
            let body = encode_snapshot(&snapshot).expect("it encodes");
            assert!(body.len() <= SMALL, "{} bytes", body.len());
            assert!(
                decode_snapshot(body).is_ok_and(|read| read == snapshot),
                "{count} of {text:?}"
            );
        }
    }
}
