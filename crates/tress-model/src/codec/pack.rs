//! Packed blocks: whoever opens a run unpacks and decodes what it looks at, and nothing else.
//!
//! In most runs nearly all todos are finished, and what is asked, asks of the others. So finished todos
//! are in blocks of their own, and of those it is known without a look that they are finished.

use std::ops::Range;
use std::sync::{Arc, OnceLock};

use bincode::Decode;
use bincode::error::DecodeError;
use serde::{Deserialize, Serialize};

use super::snapshot::decode_in;
use super::{CodecError, encode};
use crate::ids::TodoId;
use crate::limits;
use crate::state::Todo;

/// How much is put into a block before the next one is begun. LZ4 looks back 64 KiB. Tests have many blocks.
const BLOCK_BYTES: usize = if cfg!(test) { 300 } else { 64 << 10 };

/// A block, packed by LZ4.
#[derive(Serialize)]
pub(super) struct Packed {
    plain: usize,
    #[serde(with = "super::bytes")]
    lz4: Vec<u8>,
}

impl Packed {
    pub(super) fn new(plain: &[u8]) -> Self {
        Self { plain: plain.len(), lz4: lz4_flex::block::compress(plain) }
    }
}

/// A block of a body that was read.
#[derive(Debug, Clone)]
pub(super) struct Block {
    plain: usize,
    lz4: Range<usize>,
}

impl Block {
    /// Takes a block off the beginning of what is left of `body`.
    pub(super) fn take(body: &[u8], left: &mut Range<usize>) -> Result<Self, DecodeError> {
        let rest = body.get(left.clone()).unwrap_or_default();
        let config = bincode::config::standard();
        let ((plain, len), used): ((usize, usize), _) = bincode::decode_from_slice(rest, config)?;
        let lz4 = left.start + used..(left.start + used).saturating_add(len);
        if lz4.end > left.end {
            return Err(DecodeError::UnexpectedEnd { additional: lz4.end - left.end });
        }
        // Nothing is shrunk to less than a 255th: a size that is not so is made up.
        if plain > len.saturating_mul(256).min(limits::SNAPSHOT_BYTES_MAX) {
            return Err(DecodeError::LimitExceeded);
        }
        left.start = lz4.end;
        Ok(Self { plain, lz4 })
    }

    /// Takes a list of blocks off it.
    pub(super) fn take_all(body: &[u8], left: &mut Range<usize>) -> Result<Vec<Self>, DecodeError> {
        let rest = body.get(left.clone()).unwrap_or_default();
        let (count, used): (usize, _) =
            bincode::decode_from_slice(rest, bincode::config::standard())?;
        left.start += used;
        (0..count).map(|_| Self::take(body, left)).collect()
    }

    pub(super) fn unpack(&self, body: &[u8]) -> Option<Vec<u8>> {
        let unpacked = lz4_flex::block::decompress(body.get(self.lz4.clone())?, self.plain).ok()?;
        Some(unpacked).filter(|unpacked| unpacked.len() == self.plain)
    }
}

/// A stretch of an unpacked block.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, Decode)]
pub(crate) struct Part {
    block: u32,
    at: u32,
    len: u32,
}

impl Part {
    fn of_block(self, unpacked: &[u8]) -> &[u8] {
        let bytes = unpacked.get(self.at as usize..).and_then(|rest| rest.get(..self.len as usize));
        bytes.unwrap_or_default()
    }

    /// Takes `len` bytes off its beginning.
    pub(crate) fn take(&mut self, len: u32) -> Option<Self> {
        let rest = Self {
            block: self.block,
            at: self.at.checked_add(len)?,
            len: self.len.checked_sub(len)?,
        };
        Some(Self { len, ..std::mem::replace(self, rest) })
    }
}

/// The blocks of a snapshot. Each is unpacked when somebody looks into it.
///
/// The checksum of the snapshot's frame is held against it before it comes here, so a block that cannot be
/// unpacked does not come about by accident: it is empty.
#[derive(Debug, Clone)]
pub(crate) struct Blocks {
    body: Vec<u8>,
    blocks: Vec<(Block, OnceLock<Vec<u8>>)>,
}

impl Blocks {
    pub(super) fn new(body: Vec<u8>, blocks: Vec<Block>) -> Self {
        let blocks = blocks.into_iter().map(|block| (block, OnceLock::new())).collect();
        Self { body, blocks }
    }

    /// One block, with these bytes in it, and where they are.
    #[cfg(test)]
    pub(crate) fn of(bytes: &[u8]) -> (Arc<Self>, Part) {
        let Packed { plain, lz4 } = Packed::new(bytes);
        let block = Block { plain, lz4: 0..lz4.len() };
        let part = Part { block: 0, at: 0, len: u32::try_from(plain).expect("it is short") };
        (Arc::new(Self::new(lz4, vec![block])), part)
    }

    /// How many bytes they have unpacked.
    fn plain(&self) -> u64 {
        self.blocks.iter().map(|(block, _)| block.plain as u64).sum()
    }

    /// Whether these can be parts of it that are apart from each other.
    ///
    /// # Errors
    /// When one lies outside of its block, or they are of more than there is.
    pub(crate) fn check(&self, parts: impl Iterator<Item = Part>) -> Result<(), DecodeError> {
        let mut placed = 0;
        for part in parts.filter(|part| part.len > 0) {
            let block = self.blocks.get(part.block as usize);
            let len = block.map_or(0, |(block, _)| block.plain as u64);
            if u64::from(part.at) + u64::from(part.len) > len {
                return Err(DecodeError::Other("a part lies outside of its block"));
            }
            placed += u64::from(part.len);
        }
        if placed > self.plain() { Err(DecodeError::LimitExceeded) } else { Ok(()) }
    }

    /// The block that a part is in; none for a part without bytes.
    fn block(&self, part: Part) -> Option<&(Block, OnceLock<Vec<u8>>)> {
        self.blocks.get(part.block as usize).filter(|_| part.len > 0)
    }

    /// What is there; nothing where there is no such place.
    pub(crate) fn bytes(&self, part: Part) -> &[u8] {
        let Some((block, unpacked)) = self.block(part) else { return &[] };
        let unpacked = unpacked.get_or_init(|| block.unpack(&self.body).unwrap_or_default());
        part.of_block(unpacked)
    }

    /// The same, of a block that is not kept unpacked for it, but for those that were looked into last.
    pub(crate) fn pass<'a>(&'a self, part: Part, passing: &'a mut Passing) -> &'a [u8] {
        let Some((block, unpacked)) = self.block(part) else { return &[] };
        if let Some(unpacked) = unpacked.get() {
            return part.of_block(unpacked);
        }
        if block.plain > Passing::BYTES {
            // To unpack it again and again would cost too much.
            return self.bytes(part);
        }
        let key = (std::ptr::from_ref(self).addr(), part.block);
        let known = passing.0.iter().position(|(known, _)| *known == key);
        let place = known.unwrap_or_else(|| {
            passing.0.truncate(Passing::MOST - 1);
            passing.0.insert(0, (key, block.unpack(&self.body).unwrap_or_default()));
            0
        });
        passing.0.get(place).map_or(&[], |(_, unpacked)| part.of_block(unpacked))
    }
}

/// Blocks that were unpacked for a while, the latest first, by where their like are and their number there.
#[derive(Default)]
pub(crate) struct Passing(Vec<((usize, u32), Vec<u8>)>);

impl Passing {
    /// Todos are passed in order of their ids, and lie in two blocks of each of two kinds at a time.
    const MOST: usize = 8;
    /// And are hardly larger than the 64 KiB to which blocks are filled.
    const BYTES: usize = 4 << 20;
}

/// Where the parts of a todo are that are decoded later: one behind the other in the order in which they are
/// declared.
#[derive(Clone)]
pub(crate) struct Parts {
    pub(crate) blocks: Arc<Blocks>,
    pub(crate) left: Part,
}

/// Where a todo is in the blocks, and what is known of it without a look.
#[derive(Debug, Clone, Copy, Serialize, Deserialize, Decode)]
pub(crate) struct Place {
    /// Its id.
    pub(crate) id: TodoId,
    /// Whether it is finished.
    pub(crate) finished: bool,
    /// Whether its id is made of its external id, or it has none.
    pub(crate) regular: bool,
    todo: Part,
    parts: Part,
}

#[cfg(test)]
impl Part {
    pub(super) fn of(at: u32, len: u32) -> Self {
        Self { block: 0, at, len }
    }
}

#[cfg(test)]
impl Place {
    pub(super) fn at(id: TodoId, todo: Part) -> Self {
        Self { id, finished: false, regular: true, todo, parts: Part { len: 0, ..todo } }
    }
}

/// Puts todos into blocks.
#[derive(Default)]
pub(crate) struct Packer {
    places: Vec<Place>,
    blocks: Vec<Packed>,
    plain: usize,
    unfinished: Filling,
    finished: Filling,
}

/// The blocks that are being filled with todos, with their parts that are decoded later, and with their edges.
#[derive(Default)]
struct Filling {
    todos: (u32, Vec<u8>),
    parts: (u32, Vec<u8>),
    edges: (u32, Vec<u8>),
}

impl Packer {
    /// Puts a todo: what is looked at of it, and its parts that are decoded later.
    pub(crate) fn put(
        &mut self,
        id: TodoId,
        (finished, regular): (bool, bool),
        (todo, parts): (&[u8], &[u8]),
    ) {
        self.plain += todo.len() + parts.len();
        let filling = if finished { &mut self.finished } else { &mut self.unfinished };
        let todo = fill(&mut self.blocks, &mut filling.todos, todo);
        let parts = fill(&mut self.blocks, &mut filling.parts, parts);
        self.places.push(Place { id, finished, regular, todo, parts });
    }

    /// Puts edges of a todo.
    pub(crate) fn put_edges(&mut self, finished: bool, edges: &[u8]) -> Part {
        self.plain += edges.len();
        let filling = if finished { &mut self.finished } else { &mut self.unfinished };
        fill(&mut self.blocks, &mut filling.edges, edges)
    }

    /// The body of a snapshot: what `rest` makes of where they are, and the blocks.
    pub(super) fn finish(
        mut self,
        rest: impl FnOnce(&[Place]) -> Result<Vec<u8>, CodecError>,
    ) -> Result<Vec<u8>, CodecError> {
        for filling in [&mut self.unfinished, &mut self.finished] {
            close(&mut self.blocks, &mut filling.todos);
            close(&mut self.blocks, &mut filling.parts);
            close(&mut self.blocks, &mut filling.edges);
        }
        let (what, limit) = ("snapshot", limits::SNAPSHOT_BYTES_MAX);
        let rest = rest(&self.places)?;
        let size = self.plain.saturating_add(rest.len());
        if size > limit {
            return Err(CodecError::TooLarge { what, size, limit });
        }
        encode(&(Packed::new(&rest), self.blocks), what, limit)
    }
}

/// Puts bytes behind those that are in the block already.
fn fill(blocks: &mut Vec<Packed>, filling: &mut (u32, Vec<u8>), bytes: &[u8]) -> Part {
    if bytes.is_empty() {
        return Part { block: 0, at: 0, len: 0 };
    }
    // Of what is over the limit, which is far below that, nothing is made.
    let short = |number: usize| u32::try_from(number).unwrap_or(u32::MAX);
    let (block, filled) = filling;
    if filled.is_empty() {
        // Where it is stands in what is in it: it gets its number before it is packed.
        *block = short(blocks.len());
        blocks.push(Packed { plain: 0, lz4: Vec::new() });
    }
    let part = Part { block: *block, at: short(filled.len()), len: short(bytes.len()) };
    filled.extend_from_slice(bytes);
    if filled.len() >= BLOCK_BYTES {
        close(blocks, filling);
    }
    part
}

/// Packs a block that was filled.
fn close(blocks: &mut [Packed], (block, filled): &mut (u32, Vec<u8>)) {
    if let Some(place) = blocks.get_mut(*block as usize).filter(|_| !filled.is_empty()) {
        *place = Packed::new(filled);
        filled.clear();
    }
}

/// The todos of a snapshot, each decoded when it is first looked at. One that nothing can be decoded from is an empty
/// one; see [`Blocks`].
pub(crate) struct Shelf {
    blocks: Arc<Blocks>,
    todos: Vec<(Place, OnceLock<Arc<Todo>>)>,
}

impl Shelf {
    /// # Errors
    /// When the blocks would be unpacked to more than a snapshot may have, or the places are of more than that.
    pub(super) fn new(blocks: Blocks, places: Vec<Place>) -> Result<Self, DecodeError> {
        if blocks.plain() > limits::SNAPSHOT_BYTES_MAX as u64 {
            return Err(DecodeError::LimitExceeded);
        }
        blocks.check(places.iter().flat_map(|place| [place.todo, place.parts]))?;
        let todos = places.into_iter().map(|place| (place, OnceLock::new())).collect();
        Ok(Self { blocks: Arc::new(blocks), todos })
    }

    /// The blocks in which they are.
    pub(crate) fn blocks(&self) -> &Arc<Blocks> {
        &self.blocks
    }

    /// What is known of each todo, in order of their ids.
    pub(crate) fn places(&self) -> impl Iterator<Item = &Place> {
        self.todos.iter().map(|(place, _)| place)
    }

    fn at(&self, index: u32) -> &(Place, OnceLock<Arc<Todo>>) {
        match self.todos.get(index as usize) {
            Some(found) => found,
            None => unreachable!("an index of another shelf"),
        }
    }

    /// The place with this index; the indices are those of [`Shelf::places`].
    pub(crate) fn place(&self, index: u32) -> &Place {
        &self.at(index).0
    }

    /// The todo at a place. It is kept.
    pub(crate) fn todo(&self, index: u32) -> &Arc<Todo> {
        self.at(index).1.get_or_init(|| self.decode(index))
    }

    /// The todo at a place. It is not kept, unless somebody looked at it before.
    pub(crate) fn read(&self, index: u32) -> Arc<Todo> {
        self.at(index).1.get().map_or_else(|| self.decode(index), Arc::clone)
    }

    fn decode(&self, index: u32) -> Arc<Todo> {
        let place = self.place(index);
        let parts = Parts { blocks: Arc::clone(&self.blocks), left: place.parts };
        let read = decode_in::<Todo, _>(self.blocks.bytes(place.todo), "todo", parts);
        let read = read.ok().filter(|todo| todo.id == place.id);
        Arc::new(read.unwrap_or_else(|| Todo::unreadable(place.id)))
    }

    /// Puts the todo at a place into another snapshot. Nothing is decoded, nor kept unpacked. Where its parts
    /// cannot be unpacked, nothing is put.
    pub(crate) fn put(
        &self,
        index: u32,
        packer: &mut Packer,
        [todos, parts]: &mut [Passing; 2],
    ) -> bool {
        let place = self.place(index);
        let todo = self.blocks.pass(place.todo, todos);
        let parts = self.blocks.pass(place.parts, parts);
        // The todo says how many they are.
        let whole = parts.len() == place.parts.len as usize;
        if whole {
            packer.put(place.id, (place.finished, place.regular), (todo, parts));
        }
        whole
    }
}
