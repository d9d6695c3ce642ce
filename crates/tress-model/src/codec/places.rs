//! Where the todos of a snapshot are, in columns: what is alike lies together, and what follows from how blocks are
//! filled is not written.

use bincode::Decode;
use bincode::error::DecodeError;
use serde::Serialize;

use super::pack::{Blocks, Part, Place, Put};
use super::snapshot::decode_some;
use super::{CodecError, encode};
use crate::ids::TodoId;
use crate::limits;

/// How many of the blocks have edges, finished todos, and parts of unfinished ones, in this order. All else have parts of
/// finished ones.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Decode)]
pub(super) struct Counts {
    edges: usize,
    finished: usize,
    unfinished_parts: usize,
}

impl Counts {
    pub(super) const fn new(edges: usize, [finished, unfinished_parts]: [usize; 2]) -> Self {
        Self { edges, finished, unfinished_parts }
    }
}

/// What is known of the todos, in order of their ids.
#[derive(Serialize, Decode)]
struct Columns {
    blocks: Counts,
    /// How much each id is more than the one before: the lowest bytes of all, then those above, up to the highest.
    #[serde(with = "super::bytes")]
    ids: Vec<u8>,
    #[serde(with = "super::bytes")]
    flags: Vec<u8>,
    todos: Vec<u32>,
    parts: Vec<u32>,
}

const ID_BYTES: usize = size_of::<u64>();
const FINISHED: u8 = 1;
const REGULAR: u8 = 2;

pub(super) fn encode_places(blocks: Counts, puts: &[Put]) -> Result<Vec<u8>, CodecError> {
    let mut ids = vec![0; puts.len() * ID_BYTES];
    let mut last = 0;
    for (at, put) in puts.iter().enumerate() {
        let id = put.id.number();
        // They ascend, or nobody could read them.
        let more = id.wrapping_sub(last).to_le_bytes();
        last = id;
        let column = ids.iter_mut().skip(at).step_by(puts.len());
        column.zip(more).for_each(|(place, byte)| *place = byte);
    }
    let flags = |put: &Put| {
        let finished = if put.finished { FINISHED } else { 0 };
        finished | if put.regular { REGULAR } else { 0 }
    };
    let columns = Columns {
        blocks,
        ids,
        flags: puts.iter().map(flags).collect(),
        todos: puts.iter().map(|put| put.lens.0).collect(),
        parts: puts.iter().map(|put| put.lens.1).collect(),
    };
    encode(&columns, "snapshot", limits::SNAPSHOT_BYTES_MAX)
}

/// The places that `bytes` begin with, in these blocks; how many bytes that was.
pub(super) fn decode_places(
    bytes: &[u8],
    hot: &Blocks,
    blocks: &Blocks,
) -> Result<(Vec<Place>, usize), DecodeError> {
    let (columns, used) = decode_some::<Columns, ()>(bytes, ())?;
    let Columns { blocks: counts, ids, flags, todos, parts } = columns;
    let count = flags.len();
    if count.checked_mul(ID_BYTES) != Some(ids.len())
        || todos.len() != count
        || parts.len() != count
    {
        return Err(DecodeError::Other("columns of different lengths"));
    }
    let Counts { edges, finished, unfinished_parts } = counts;
    let [finished_at, unfinished_at, parts_at] = [
        edges,
        edges.saturating_add(finished),
        edges.saturating_add(finished).saturating_add(unfinished_parts),
    ];
    if parts_at > blocks.lengths().count() {
        return Err(DecodeError::Other("more blocks than there are"));
    }
    let mut todos_of =
        [Walk::new(hot, 0, usize::MAX), Walk::new(blocks, finished_at, unfinished_at)];
    let mut parts_of =
        [Walk::new(blocks, unfinished_at, parts_at), Walk::new(blocks, parts_at, usize::MAX)];
    let mut columns = ids.chunks_exact(count.max(1));
    let mut column = || columns.next().unwrap_or_default().iter();
    let [mut a, mut b, mut c, mut d] = [column(), column(), column(), column()];
    let [mut e, mut f, mut g, mut h] = [column(), column(), column(), column()];
    let mut next = || -> Option<u64> {
        let low = [*a.next()?, *b.next()?, *c.next()?, *d.next()?];
        let high = [*e.next()?, *f.next()?, *g.next()?, *h.next()?];
        Some(u64::from(u32::from_le_bytes(low)) | u64::from(u32::from_le_bytes(high)) << 32)
    };
    let mut places = Vec::with_capacity(count);
    let mut id = 0_u64;
    for ((flags, todo), part) in flags.iter().zip(todos).zip(parts) {
        let more = next().and_then(|more| id.checked_add(more));
        id = more.ok_or(DecodeError::Other("ids beyond what an id can be"))?;
        let finished = flags & FINISHED != 0;
        let [unfinished_todos, finished_todos] = &mut todos_of;
        let [unfinished_parts, finished_parts] = &mut parts_of;
        let (todos, parts) = match finished {
            true => (finished_todos, finished_parts),
            false => (unfinished_todos, unfinished_parts),
        };
        places.push(Place {
            id: TodoId::from_random(id),
            finished,
            regular: flags & REGULAR != 0,
            todo: todos.next(todo)?,
            parts: parts.next(part)?,
        });
    }
    Ok((places, used))
}

/// A walk through blocks that were filled one after the other: where a block ends, the next one begins.
struct Walk<'a> {
    blocks: Box<dyn Iterator<Item = (usize, usize)> + 'a>,
    /// The block, its length, and where in it the next part begins.
    block: (u32, usize, usize),
}

impl<'a> Walk<'a> {
    /// Through those from `first` up to `end`.
    fn new(blocks: &'a Blocks, first: usize, end: usize) -> Self {
        let some = blocks.lengths().enumerate().skip(first).take(end.saturating_sub(first));
        Self { blocks: Box::new(some), block: (0, 0, 0) }
    }

    fn next(&mut self, len: u32) -> Result<Part, DecodeError> {
        const OUTSIDE: DecodeError = DecodeError::Other("a part lies outside of its block");
        if len == 0 {
            return Ok(Part::NONE);
        }
        while self.block.1 == self.block.2 {
            let (number, len) = self.blocks.next().ok_or(OUTSIDE)?;
            self.block = (u32::try_from(number).map_err(|_| OUTSIDE)?, len, 0);
        }
        let (number, end, at) = &mut self.block;
        let part = Part::new(*number, u32::try_from(*at).map_err(|_| OUTSIDE)?, len);
        *at += len as usize;
        if *at > *end { Err(OUTSIDE) } else { Ok(part) }
    }
}
