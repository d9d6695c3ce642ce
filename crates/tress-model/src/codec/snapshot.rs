//! Snapshots: the folded state in bytes. `pack` says where its todos are, and `state/read` how the rest is
//! decoded.

use std::ops::Range;
use std::sync::Arc;

use bincode::Decode;
use bincode::error::DecodeError;
use bincode::serde::Compat;
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::block::Block;
use super::pack::{Blocks, Packer, Shelf, smaller};
use super::places::decode_places;
use super::{CodecError, STATE_FORM, encode, whole};
use crate::event::Head;
use crate::ids::ReplicaId;
use crate::limits;
use crate::state::State;

/// How a state is put into a snapshot, and which state: a snapshot of another form is made anew. It changes
/// with [`STATE_FORM`], and with how its parts are packed.
pub const SNAPSHOT_FORM: u64 = 0x300 + STATE_FORM as u64;

/// The folded state at a version, with the ends of the chains it was folded from.
#[derive(Debug, Clone, PartialEq)]
pub struct Snapshot {
    /// The head of each replica.
    pub heads: Vec<(ReplicaId, Head)>,
    /// The state.
    pub state: Arc<State>,
}

/// The body of a snapshot file. Linear in the size of the state.
///
/// # Errors
/// When it is over [`limits::SNAPSHOT_BYTES_MAX`].
pub fn encode_snapshot(snapshot: &Snapshot) -> Result<Vec<u8>, CodecError> {
    let mut packer = Packer::default();
    snapshot.state.todos.pack(&mut packer)?;
    let state = snapshot.state.without_todos(&mut packer)?;
    packer.finish(|places| {
        let rest = encode(&(&snapshot.heads, state), WHAT, limits::SNAPSHOT_BYTES_MAX)?;
        Ok([places, rest].concat())
    })
}

/// Where the parts of a snapshot's body are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SnapshotLayout {
    /// What says where all else is, and all that is not in blocks.
    pub rest: Range<usize>,
    /// What is looked at of unfinished todos.
    pub hot: Range<usize>,
    /// Where everything else begins, which goes on to the end.
    pub blocks: usize,
}

impl SnapshotLayout {
    /// The layout of a body that begins with `bytes`, of which a few are enough.
    ///
    /// # Errors
    /// When they are not the beginning of one.
    pub fn of(bytes: &[u8]) -> Result<Self, CodecError> {
        let config = bincode::config::standard();
        let ((rest, hot), used): ((usize, usize), _) =
            bincode::decode_from_slice(bytes, config).map_err(malformed)?;
        let hot_at = used.saturating_add(rest);
        let blocks = hot_at.saturating_add(hot);
        Ok(Self { rest: used..hot_at, hot: hot_at..blocks, blocks })
    }
}

/// Reads the body of a snapshot file. Linear in the number of todos and in the size of all but the todos,
/// which are decoded when they are looked at.
///
/// # Errors
/// When the bytes are not such a body, or are over the limit.
pub fn decode_snapshot(mut body: Vec<u8>) -> Result<Snapshot, CodecError> {
    let (what, limit) = (WHAT, limits::SNAPSHOT_BYTES_MAX);
    if body.len() > limit {
        return Err(CodecError::TooLarge { what, size: body.len(), limit });
    }
    let SnapshotLayout { rest, hot, blocks } = SnapshotLayout::of(&body)?;
    if blocks > body.len() {
        let additional = blocks - body.len();
        return Err(malformed(DecodeError::UnexpectedEnd { additional }));
    }
    let blocks = body.split_off(blocks);
    let hot = body.split_off(hot.start);
    decode_snapshot_parts(body.get(rest).unwrap_or_default(), hot, blocks)
}

/// The same, of its parts. They are kept as they are, and none of them is copied.
///
/// # Errors
/// As [`decode_snapshot`].
pub fn decode_snapshot_parts(
    rest: &[u8],
    hot: Vec<u8>,
    blocks: Vec<u8>,
) -> Result<Snapshot, CodecError> {
    let (what, limit) = (WHAT, limits::SNAPSHOT_BYTES_MAX);
    let size = rest.len().saturating_add(hot.len()).saturating_add(blocks.len());
    if size > limit {
        return Err(CodecError::TooLarge { what, size, limit });
    }
    let mut left = 0..rest.len();
    let packed = Block::take(rest, &mut left).map_err(malformed)?;
    if !left.is_empty() {
        return Err(CodecError::Trailing { what, count: left.len() });
    }
    let hot = Blocks::new(hot).map_err(malformed)?;
    let blocks = Blocks::new(blocks).map_err(malformed)?;
    let rest = packed.unpack(rest).unwrap_or_default();
    let (places, used) = decode_places(&rest, &hot, &blocks).map_err(malformed)?;
    let shelf = Arc::new(Shelf::new(blocks, hot, places).map_err(malformed)?);
    let rest = rest.get(used..).unwrap_or_default();
    let (Compat(heads), state): (Compat<Vec<(ReplicaId, Head)>>, State) =
        decode_in(rest, what, shelf)?;
    Ok(Snapshot { heads, state: Arc::new(state) })
}

/// The body of a snapshot file in fewer bytes, for one that is kept. Whoever reads it unpacks for twice as long. Linear
/// in its bytes, a second for some sixty megabytes of them unpacked.
///
/// # Errors
/// As [`decode_snapshot`], and where a block of it cannot be unpacked.
pub fn smaller_snapshot(body: &[u8]) -> Result<Vec<u8>, CodecError> {
    let SnapshotLayout { rest, hot, blocks } = SnapshotLayout::of(body)?;
    let part = |range: Range<usize>| body.get(range).unwrap_or_default();
    smaller(part(rest), part(hot), part(blocks..body.len())).map_err(malformed)?
}

const WHAT: &str = "snapshot";

fn malformed(error: DecodeError) -> CodecError {
    CodecError::Malformed { what: WHAT, reason: error.to_string() }
}

/// What values of a snapshot may take in memory for each of its bytes: a text of no letters has one byte
/// there, and 24 here.
const CLAIMS: usize = 32;
/// A tiny body is not believed when it says that it is a small one.
const TINY: usize = 4 << 10;
/// A small body is not believed when it says that it is a large one.
const SMALL: usize = 1 << 20;
/// Nor is a large one, when it says that it is huge.
const LARGE: usize = 32 << 20;

/// Decodes what is at the beginning of `bytes`; how many bytes that was.
pub(super) fn decode_some<T: Decode<C>, C>(
    bytes: &[u8],
    context: C,
) -> Result<(T, usize), DecodeError> {
    const HUGE: usize = limits::SNAPSHOT_BYTES_MAX;
    if bytes.len() <= TINY {
        decode_claiming::<T, C, { CLAIMS * TINY }>(bytes, context)
    } else if bytes.len() <= SMALL {
        decode_claiming::<T, C, { CLAIMS * SMALL }>(bytes, context)
    } else if bytes.len() <= LARGE {
        decode_claiming::<T, C, { CLAIMS * LARGE }>(bytes, context)
    } else {
        decode_claiming::<T, C, { CLAIMS * HUGE }>(bytes, context)
    }
}

fn decode_claiming<T: Decode<C>, C, const CLAIMS: usize>(
    bytes: &[u8],
    context: C,
) -> Result<(T, usize), DecodeError> {
    let config = bincode::config::standard().with_limit::<CLAIMS>();
    bincode::decode_from_slice_with_context(bytes, config, context)
}

/// Decodes a part of a snapshot that is decoded by bincode itself.
pub(super) fn decode_in<T: Decode<C>, C>(
    bytes: &[u8],
    what: &'static str,
    context: C,
) -> Result<T, CodecError> {
    whole(bytes, what, decode_some(bytes, context))
}

/// Reads a part of the folded state by bincode itself.
pub(crate) fn decode_whole<T: Decode<()>>(bytes: &[u8]) -> Result<T, CodecError> {
    decode_in(bytes, "part", ())
}

/// A part of the folded state, by itself.
pub(crate) fn encode_part<T: Serialize>(part: &T) -> Result<Vec<u8>, CodecError> {
    // The state as a whole has a limit where it is written, and none where it is hashed.
    encode(part, "part", usize::MAX)
}

/// Reads a part of the folded state.
pub(crate) fn decode_part<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, CodecError> {
    decode_in(bytes, "part", ()).map(|Compat(part)| part)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::HybridTime;
    use crate::codec::block::Packed;
    use crate::codec::pack::{Part, Place};
    use crate::codec::places::{Counts, encode_places};
    use crate::event::{Record, Segment};
    use crate::ids::{Author, EventId, Role, StoreId, TodoId};
    use crate::operation::{EdgeKind, Operation, ProseField, TodoEdit};

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

    /// A state of some todos, of which every third is finished, and every part of some has something in it.
    fn some() -> Snapshot {
        let (replica, store) = (ReplicaId([1; 16]), StoreId([2; 16]));
        let prose = |field| (field, format!("{field:?} with more than a few words in it"));
        let operations = (0..24_u64).flat_map(|number| {
            let todo = TodoId::from_external(&format!("x-{number}"));
            let added = Operation::TodoAdded {
                todo,
                // Of some the id is not made of what they are called.
                external_id: (number % 2 == 0).then(|| format!("x-{}", number / 4 * 4)),
                title: format!("todo {number}"),
                edits: vec![TodoEdit::Extra("field".to_owned(), Some("7".to_owned()))],
                prose: [ProseField::Description, ProseField::Notes].map(prose).into(),
                labels: vec!["some".to_owned(), "labels".to_owned()],
                layout: Some("as it was".to_owned()),
            };
            let text = "a remark".to_owned();
            let noted = Operation::NoteAdded { todo, text, layout: None };
            let title = TodoEdit::Title(format!("todo {number}, said better"));
            let edited = Operation::TodoEdited { todo, edits: vec![title] };
            let closed = Operation::Closed { todo, reason: "enough".to_owned() };
            // Edges of finished and unfinished ones, some of which would close circles.
            let on = TodoId::from_external(&format!("x-{}", number * 7 % 24));
            let kind = if number % 2 == 0 { EdgeKind::Blocks } else { EdgeKind::ParentChild };
            let external_id = Some(format!("x-{number}"));
            let edge = Operation::DependencyAdded { todo, on, external_id, kind, layout: None };
            let edge = (number % 4 != 0).then_some(edge);
            let [noted, edited] =
                [noted, edited].map(|operation| (number % 5 != 0).then_some(operation));
            let closed = (number % 3 == 0).then_some(closed);
            [Some(added), edge, noted, edited, closed].into_iter().flatten()
        });
        let records = (5..).zip(operations).map(|(millis, operation)| Record {
            time: HybridTime { millis, counter: 0 },
            occurred: None,
            author: Author::new("ada", Role::Human),
            learned: Vec::new(),
            operation,
        });
        let records = records.collect();
        let segment = Segment { replica, store, first: 1, previous: EventId::GENESIS, records };
        let (events, head) = segment.resolve(&Head::genesis(store)).expect("a chain");
        let mut state = State::default();
        events.iter().for_each(|event| state.apply(event));
        Snapshot { heads: vec![(replica, head)], state: Arc::new(state) }
    }

    #[test]
    fn a_todo_is_the_same_whether_it_was_looked_at_or_not() {
        let made = some();
        let body = encode_snapshot(&made).expect("it encodes");
        let read = decode_snapshot(body.clone()).expect("it decodes");
        assert_eq!(encode_snapshot(&read), Ok(body.clone()), "nothing was looked at");
        let (some, others) = (&made.state.todos, &read.state.todos);
        for id in some.keys() {
            assert_eq!(some.is_finished(id), others.is_finished(id));
        }
        for id in some.keys() {
            let dependents = |state: &State| state.dependents(*id).collect::<Vec<_>>();
            assert_eq!(dependents(&read.state), dependents(&made.state));
        }
        assert_eq!(read.state.readiness(0), made.state.readiness(0));
        assert!(!read.state.readiness(0).blocked.is_empty());
        assert_eq!(read.state.edges_changed(&made.state), []);
        let unfinished = |todos: &crate::state::Todos| -> Vec<_> {
            todos.unfinished().map(|todo| (**todo).clone()).collect()
        };
        assert_eq!(unfinished(some), unfinished(others));
        for name in ["x-0", "x-4", "x-6", "x-7", "x-20", "nothing"] {
            let named = |state: &State| state.external(name).map(|todo| todo.dot);
            assert_eq!(named(&made.state), named(&read.state), "{name}");
        }
        assert_eq!(read, made);
        assert_eq!(others.changed(some).count(), 0);
        assert_eq!(encode_snapshot(&read), Ok(body), "each was looked at");
        assert_eq!(made.state.root(), read.state.root());
    }

    #[test]
    fn a_snapshot_in_fewer_bytes_has_the_same_state_and_stays_as_it_is() {
        let made = some();
        let body = encode_snapshot(&made).expect("it encodes");
        let small = smaller_snapshot(&body).expect("it is whole");
        assert!(small.len() < body.len(), "{} of {}", small.len(), body.len());
        let read = decode_snapshot(small.clone()).expect("it decodes");
        assert_eq!(read, made);
        assert_eq!(smaller_snapshot(&small), Ok(small));
        assert_eq!(encode_snapshot(&read), Ok(body), "and is packed in little time again");
    }

    #[test]
    fn what_is_changed_after_it_was_read_is_no_other_states_business() {
        let made = some();
        let read = |body| decode_snapshot(body).expect("it decodes");
        let earlier = read(encode_snapshot(&made).expect("it encodes"));
        let mut later = (*earlier.state).clone();
        let [seen, unseen] = [1, 2].map(|number| TodoId::from_external(&format!("x-{number}")));
        assert!(later.todos.get(&seen).is_some());
        for id in [seen, unseen] {
            let todo = later.todos.get_mut(&id).expect("it is there");
            todo.title = "another".to_owned();
            todo.labels.clear();
        }
        assert_eq!(earlier.state, made.state);
        let mut changed: Vec<_> = later.todos.changed(&earlier.state.todos).collect();
        changed.sort_by_key(|id| *id != seen);
        assert_eq!(changed, [seen, unseen]);
        let later = Snapshot { heads: made.heads, state: Arc::new(later) };
        assert_eq!(read(encode_snapshot(&later).expect("it encodes")), later);
    }

    /// Blocks are let go of when each todo in them is kept, while others are at the same todos.
    #[test]
    fn a_todo_is_there_whoever_looks_at_it_meanwhile() {
        let made = some();
        let body = encode_snapshot(&made).expect("it encodes");
        let (root, titles) = (made.state.root(), |state: &State| -> Vec<String> {
            state.todos.values().map(|todo| todo.title.clone()).collect()
        });
        for round in 0..500 {
            let read = decode_snapshot(body.clone()).expect("it decodes").state;
            std::thread::scope(|scope| {
                scope.spawn(|| assert_eq!(titles(&read), titles(&made.state), "round {round}"));
                scope.spawn(|| {
                    let mut own = (*read).clone();
                    for id in made.state.todos.keys().rev() {
                        let todo = own.todos.get_mut(id).expect("it is there");
                        todo.updated_at += 1;
                    }
                    assert_eq!(titles(&own), titles(&made.state), "round {round}");
                });
                if round % 8 == 0 {
                    scope.spawn(|| assert_eq!(read.root(), root, "round {round}"));
                }
            });
            let read = Snapshot { state: read, heads: made.heads.clone() };
            assert_eq!(encode_snapshot(&read).as_ref(), Ok(&body), "round {round}");
        }
    }

    #[test]
    fn what_a_todo_had_once_makes_no_difference() {
        let mut made = some();
        let state = Arc::make_mut(&mut made.state);
        let ids: Vec<_> = state.todos.keys().copied().collect();
        for id in ids {
            let todo = state.todos.get_mut(&id).expect("it is there");
            todo.assigned = Some("bob".to_owned());
            todo.assigned = None;
        }
        let body = encode_snapshot(&made).expect("it encodes");
        let read = decode_snapshot(body).expect("it decodes");
        assert_eq!(read, made);
        assert_eq!(read.state.todos.changed(&some().state.todos).count(), 0);
        assert_eq!(format!("{:?}", read.state), format!("{:?}", made.state));
    }

    /// Where a snapshot lies, it lies within its checksum. Nothing in it makes a reader panic, or take more
    /// memory than its size is worth.
    #[test]
    fn a_snapshot_in_which_anything_stands_is_an_error_or_a_state() {
        let body = encode_snapshot(&some()).expect("it encodes");
        let look = |bytes: Vec<u8>| {
            let small = smaller_snapshot(&bytes).ok().map(decode_snapshot);
            let Ok(read) = decode_snapshot(bytes) else { return false };
            for (id, todo) in &read.state.todos {
                assert_eq!(*id, todo.id);
                let _ = (todo.prose.len(), todo.labels.len(), todo.notes.len(), todo.ended.len());
            }
            let _ = read.state.readiness(0);
            let Ok(body) = encode_snapshot(&read) else { return false };
            let again = decode_snapshot(body.clone()).expect("what was encoded decodes");
            assert_eq!(encode_snapshot(&again).as_ref(), Ok(&body));
            assert_eq!(again.state.root(), read.state.root());
            assert_eq!(again.state.todos, read.state.todos);
            // Where no block is hit.
            let Some(small) = small else { return true };
            assert_eq!(small.map(|small| small.state.root()), Ok(read.state.root()));
            true
        };
        assert!(look(body.clone()));
        // What says where all is.
        let layout = SnapshotLayout::of(&body).expect("it is one");
        let packed = &body[layout.rest.clone()];
        let block = Block::take(packed, &mut (0..packed.len())).expect("it is there");
        let rest = block.unpack(packed).expect("it is packed");
        for at in 0..rest.len() {
            for other in [0, 0xfc] {
                let mut changed = rest.clone();
                changed[at] = other;
                let changed = encode(&Packed::new(&changed), "rest", 1 << 20).expect("it fits");
                let lens = (changed.len(), layout.hot.len());
                let lens = encode(&lens, "lengths", 100).expect("they fit");
                look([&lens, &changed, &body[layout.hot.start..]].concat());
            }
        }
        for at in (0..body.len()).step_by(11) {
            for other in [0, 1, 0x7f, 0xfc, 0xff] {
                let mut changed = body.clone();
                changed[at] = other;
                look(changed);
            }
            assert!(!look(body[..at].to_vec()), "cut at {at}");
        }
        let mut longer = body;
        longer.push(0);
        assert!(matches!(decode_snapshot(longer), Err(CodecError::Malformed { .. })));
    }

    #[test]
    fn places_that_are_of_more_than_there_is_are_refused() {
        let (blocks, part) = Blocks::of(&[7; 100]);
        let place = |times: usize| vec![Place::at(TodoId::from_external("x"), part); times];
        let blocks = || Blocks::clone(&blocks);
        assert!(Shelf::new(blocks(), blocks(), place(1)).is_ok());
        assert!(Shelf::new(blocks(), blocks(), place(2)).is_err());
        let mut far = Part::new(0, u32::MAX - 1, 5);
        assert_eq!(far.take(2), None, "it ends beyond what can be");
    }

    /// imbl made room for as many items as a map said it had: forty bytes of a snapshot ended the process.
    #[test]
    fn a_map_that_promises_too_much_allocates_nothing() {
        let state = State::default();
        let state = state.without_todos(&mut Packer::default()).expect("it encodes");
        let places = encode_places(Counts::new(0, [0, 0]), &[]).expect("it encodes");
        let rest = (Vec::<(ReplicaId, Head)>::new(), state);
        let rest = encode(&rest, "snapshot", 100).expect("it encodes");
        let rest = [places, rest].concat();
        assert!(rest.iter().all(|byte| *byte == 0), "every length in it is one byte");
        for at in 0..rest.len() {
            let mut promising = rest.clone();
            promising.splice(at..=at, [253, 0, 0, 0, 0, 0, 0, 0, 16]);
            let body = Packer::default().finish(|_| Ok(promising)).expect("it encodes");
            // Where it is no length, it is a number.
            if let Ok(read) = decode_snapshot(body.clone()) {
                assert_eq!(encode_snapshot(&read), Ok(body), "byte {at}");
            }
        }
    }
}
