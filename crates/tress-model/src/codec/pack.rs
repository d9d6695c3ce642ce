//! Packed blocks: whoever opens a run unpacks and decodes what it looks at, and nothing else.
//!
//! In most runs nearly all todos are finished, and what is asked, asks of the others. So finished todos
//! are in blocks of their own, and of those it is known without a look that they are finished.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use bincode::Decode;
use bincode::error::DecodeError;
use serde::{Deserialize, Serialize};

use super::block::{Block, Packed};
use super::places::{Counts, encode_places};
use super::snapshot::decode_in;
use super::{CodecError, encode};
use crate::ids::TodoId;
use crate::limits;
use crate::state::Todo;
use crate::state::overlay::ascend;

/// How much is put into a block before the next one is begun. LZ4 looks back 64 KiB. Tests have many blocks.
const BLOCK_BYTES: usize = if cfg!(test) { 300 } else { 64 << 10 };

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
    /// The blocks that `body` is a list of.
    pub(super) fn new(body: Vec<u8>) -> Result<Self, DecodeError> {
        let blocks = Block::all(&body)?.into_iter().map(|block| (block, OnceLock::new())).collect();
        Ok(Self { body, blocks })
    }

    /// One block, with these bytes in it, and where they are.
    #[cfg(test)]
    pub(crate) fn of(bytes: &[u8]) -> (Arc<Self>, Part) {
        let body = encode(&[Packed::new(bytes)].as_slice(), "blocks", usize::MAX);
        let part = Part { block: 0, at: 0, len: u32::try_from(bytes.len()).expect("it is short") };
        (Arc::new(Self::new(body.expect("it encodes")).expect("it is a list")), part)
    }

    /// How many bytes each has unpacked.
    pub(super) fn lengths(&self) -> impl Iterator<Item = usize> {
        self.blocks.iter().map(|(block, _)| block.plain())
    }

    /// How many bytes they have unpacked.
    fn plain(&self) -> u64 {
        self.lengths().map(|len| len as u64).sum()
    }

    /// Whether these can be parts of it that are apart from each other.
    ///
    /// # Errors
    /// When one lies outside of its block, or they are of more than there is.
    pub(crate) fn check(&self, parts: impl Iterator<Item = Part>) -> Result<(), DecodeError> {
        let mut placed = 0;
        for part in parts.filter(|part| part.len > 0) {
            let block = self.blocks.get(part.block as usize);
            let len = block.map_or(0, |(block, _)| block.plain() as u64);
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

    /// The block that a part is in, unpacked.
    fn unpack(&self, part: Part) -> Option<Vec<u8>> {
        self.block(part).and_then(|(block, _)| block.unpack(&self.body))
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
        if block.plain() > Passing::BYTES {
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
/// declared; and the todo's id, which stands beside it.
#[derive(Clone)]
pub(crate) struct Parts {
    pub(crate) id: TodoId,
    pub(crate) blocks: Arc<Blocks>,
    pub(crate) left: Part,
}

/// Where a todo is in the blocks, and what is known of it without a look.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Place {
    /// Its id.
    pub(crate) id: TodoId,
    /// Whether it is finished.
    pub(crate) finished: bool,
    /// Whether its id is made of its external id, or it has none.
    pub(crate) regular: bool,
    pub(super) todo: Part,
    pub(super) parts: Part,
}

impl Part {
    pub(super) const NONE: Self = Self { block: 0, at: 0, len: 0 };

    pub(super) const fn new(block: u32, at: u32, len: u32) -> Self {
        Self { block, at, len }
    }
}

#[cfg(test)]
impl Place {
    pub(super) fn at(id: TodoId, todo: Part) -> Self {
        Self { id, finished: false, regular: true, todo, parts: Part { len: 0, ..todo } }
    }
}

/// What is put into a snapshot of a todo.
pub(super) struct Put {
    pub(super) id: TodoId,
    pub(super) finished: bool,
    pub(super) regular: bool,
    /// How many bytes it has, and its parts.
    pub(super) lens: (u32, u32),
}

/// Puts todos into blocks.
#[derive(Default)]
pub(crate) struct Packer {
    puts: Vec<Put>,
    plain: usize,
    unfinished: Filling,
    finished: Filling,
    edges: Vec<Packed>,
}

/// The blocks that are being filled with todos, with their parts that are decoded later, and with their edges.
#[derive(Default)]
struct Filling {
    todos: Stream,
    parts: Stream,
    edges: (u32, Vec<u8>),
}

/// Blocks that are filled one after the other.
#[derive(Default)]
struct Stream {
    blocks: Vec<Packed>,
    filled: Vec<u8>,
}

impl Stream {
    /// Puts bytes behind those that are there already; how many they are.
    fn put(&mut self, bytes: &[u8]) -> u32 {
        self.filled.extend_from_slice(bytes);
        if self.filled.len() >= BLOCK_BYTES {
            self.close();
        }
        short(bytes.len())
    }

    fn close(&mut self) {
        if !self.filled.is_empty() {
            self.blocks.push(Packed::new(&self.filled));
            self.filled.clear();
        }
    }
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
        let lens = (filling.todos.put(todo), filling.parts.put(parts));
        self.puts.push(Put { id, finished, regular, lens });
    }

    /// Puts edges of a todo.
    pub(crate) fn put_edges(&mut self, finished: bool, edges: &[u8]) -> Part {
        self.plain += edges.len();
        let filling = if finished { &mut self.finished } else { &mut self.unfinished };
        fill(&mut self.edges, &mut filling.edges, edges)
    }

    /// The body of a snapshot: what `rest` makes of what says where they are, and the blocks.
    pub(super) fn finish(
        mut self,
        rest: impl FnOnce(Vec<u8>) -> Result<Vec<u8>, CodecError>,
    ) -> Result<Vec<u8>, CodecError> {
        for filling in [&mut self.unfinished, &mut self.finished] {
            filling.todos.close();
            filling.parts.close();
            close(&mut self.edges, &mut filling.edges);
        }
        let (hot, mut blocks) = (self.unfinished.todos.blocks, self.edges);
        let todos = [self.finished.todos.blocks, self.unfinished.parts.blocks];
        let counts = Counts::new(blocks.len(), todos.each_ref().map(Vec::len));
        blocks.extend(todos.into_iter().flatten().chain(self.finished.parts.blocks));
        let (what, limit) = ("snapshot", limits::SNAPSHOT_BYTES_MAX);
        let rest = rest(encode_places(counts, &self.puts)?)?;
        let size = self.plain.saturating_add(rest.len());
        if size > limit {
            return Err(CodecError::TooLarge { what, size, limit });
        }
        body(&Packed::new(&rest), &hot, &blocks)
    }
}

/// The body of a snapshot.
fn body(rest: &Packed, hot: &[Packed], blocks: &[Packed]) -> Result<Vec<u8>, CodecError> {
    let (what, limit) = ("snapshot", limits::SNAPSHOT_BYTES_MAX);
    let rest = encode(rest, what, limit)?;
    let hot = encode(&hot, what, limit)?;
    let blocks = encode(&blocks, what, limit)?;
    let mut body = encode(&(rest.len(), hot.len()), what, limit)?;
    let size = body.len() + rest.len() + hot.len() + blocks.len();
    if size > limit {
        return Err(CodecError::TooLarge { what, size, limit });
    }
    body.reserve_exact(size - body.len());
    [rest, hot, blocks].iter().for_each(|part| body.extend_from_slice(part));
    Ok(body)
}

/// The body of which these are the parts, in fewer bytes.
pub(super) fn smaller(
    rest: &[u8],
    hot: &[u8],
    blocks: &[u8],
) -> Result<Result<Vec<u8>, CodecError>, DecodeError> {
    let whole = || DecodeError::Other("a block that cannot be unpacked");
    let all = |body: &[u8]| -> Result<Vec<Packed>, DecodeError> {
        let blocks = Block::all(body)?;
        blocks.iter().map(|block| block.smaller(body).ok_or_else(whole)).collect()
    };
    let places = Block::take(rest, &mut (0..rest.len()))?.smaller(rest).ok_or_else(whole)?;
    Ok(body(&places, &all(hot)?, &all(blocks)?))
}

/// Of what is over the limit, which is far below that, nothing is made.
fn short(number: usize) -> u32 {
    u32::try_from(number).unwrap_or(u32::MAX)
}

/// Puts bytes behind those that are in the block already.
fn fill(blocks: &mut Vec<Packed>, filling: &mut (u32, Vec<u8>), bytes: &[u8]) -> Part {
    if bytes.is_empty() {
        return Part::NONE;
    }
    let (block, filled) = filling;
    if filled.is_empty() {
        // Where it is stands in what is in it: it gets its number before it is packed.
        *block = short(blocks.len());
        blocks.push(Packed::later());
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
    /// Blocks of unfinished todos; none where all of these were decoded, and so are in `todos`.
    hot: Mutex<Option<Arc<Blocks>>>,
    /// How many unfinished todos were not decoded yet, or not kept.
    hot_left: AtomicUsize,
    todos: Vec<Shelved>,
    /// The blocks of unfinished and of finished todos, unpacked until the last todo in them was decoded.
    unpacked: [Vec<Mutex<Unpacked>>; 2],
    /// The block that was unpacked last although all of its todos had been decoded.
    recent: Mutex<Option<Recent>>,
    names: Mutex<Names>,
}

/// A todo of a snapshot.
struct Shelved {
    place: Place,
    /// Whether it was decoded for somebody who does not ask again.
    decoded: AtomicBool,
    /// What it is, once somebody looked.
    todo: OnceLock<Arc<Todo>>,
}

/// Whether a block is of finished todos, its number, and what is in it.
type Recent = (bool, u32, Arc<Vec<u8>>);

/// A block of todos.
struct Unpacked {
    /// How many of its todos were not decoded yet.
    left: usize,
    bytes: Option<Arc<Vec<u8>>>,
}

/// Names of agents, so that all todos of an agent share its name: the latest one for each of so many hashes.
#[derive(Default)]
struct Names(Vec<Option<Arc<str>>>);

impl Names {
    const MOST: usize = 64;

    /// Puts the one that is known in place of an equal one, which becomes known otherwise.
    fn share(&mut self, name: &mut Arc<str>) {
        self.0.resize(Self::MOST, None);
        let hash = name.bytes().fold(0_u32, |hash, byte| hash.rotate_left(5) ^ u32::from(byte));
        let hash = hash ^ hash >> 16;
        let Some(known) = self.0.get_mut(hash as usize % Self::MOST) else { return };
        match known {
            Some(known) if known == name => *name = Arc::clone(known),
            _ => *known = Some(Arc::clone(name)),
        }
    }
}

impl Shelved {
    fn new(place: Place) -> Self {
        Self { place, decoded: AtomicBool::new(false), todo: OnceLock::new() }
    }
}

impl Shelf {
    /// # Errors
    /// When the blocks would be unpacked to more than a snapshot may have, or the places are of more than that.
    pub(super) fn new(
        blocks: Blocks,
        hot: Blocks,
        places: Vec<Place>,
    ) -> Result<Self, DecodeError> {
        if blocks.plain().saturating_add(hot.plain()) > limits::SNAPSHOT_BYTES_MAX as u64 {
            return Err(DecodeError::LimitExceeded);
        }
        if !ascend(places.iter().map(|place| &place.id)) {
            return Err(DecodeError::Other("the todos do not lie in the order of their ids"));
        }
        let todos_of = |finished: bool| {
            let of = move |place: &&Place| place.finished == finished;
            places.iter().filter(of).map(|place| place.todo).filter(|todo| todo.len > 0)
        };
        hot.check(todos_of(false))?;
        let parts = || places.iter().map(|place| place.parts).filter(|part| part.len > 0);
        blocks.check(todos_of(true).chain(parts()))?;
        let count = |blocks: &Blocks, finished| {
            let mut left = vec![0_usize; blocks.blocks.len()];
            for todo in todos_of(finished) {
                if let Some(left) = left.get_mut(todo.block as usize) {
                    *left += 1;
                }
            }
            left
        };
        let left = [count(&hot, false), count(&blocks, true)];
        let [_, of_todos] = &left;
        if parts().any(|part| of_todos.get(part.block as usize).is_some_and(|todos| *todos > 0)) {
            // It would be unpacked twice.
            return Err(DecodeError::Other("a block has todos and parts of some"));
        }
        let unpacked = |left| Mutex::new(Unpacked { left, bytes: None });
        Ok(Self {
            unpacked: left.map(|left| left.into_iter().map(unpacked).collect()),
            hot_left: AtomicUsize::new(places.iter().filter(|place| !place.finished).count()),
            hot: Mutex::new(Some(Arc::new(hot))),
            blocks: Arc::new(blocks),
            todos: places.into_iter().map(Shelved::new).collect(),
            recent: Mutex::default(),
            names: Mutex::default(),
        })
    }

    /// The blocks in which a todo is, unless it need not be decoded again.
    fn blocks_of(&self, place: &Place) -> Option<Arc<Blocks>> {
        if place.finished { Some(Arc::clone(&self.blocks)) } else { held(&self.hot).clone() }
    }

    /// The blocks in which they are.
    pub(crate) fn blocks(&self) -> &Arc<Blocks> {
        &self.blocks
    }

    /// What is known of each todo, in order of their ids.
    pub(crate) fn places(&self) -> impl ExactSizeIterator<Item = &Place> {
        self.todos.iter().map(|shelved| &shelved.place)
    }

    fn at(&self, index: usize) -> &Shelved {
        match self.todos.get(index) {
            Some(found) => found,
            None => unreachable!("an index of another shelf"),
        }
    }

    /// The place with this index; the indices are those of [`Shelf::places`].
    pub(crate) fn place(&self, index: usize) -> &Place {
        &self.at(index).place
    }

    /// The todo at a place. It is kept.
    pub(crate) fn todo(&self, index: usize) -> &Arc<Todo> {
        let Shelved { place, todo, .. } = self.at(index);
        let mut fresh = false;
        let todo = todo.get_or_init(|| {
            fresh = true;
            // The blocks are there as long as one todo in them is not kept.
            self.decode(index, true).unwrap_or_else(|| Arc::new(Todo::unreadable(place.id)))
        });
        if fresh && !place.finished && self.hot_left.fetch_sub(1, Ordering::AcqRel) == 1 {
            *held(&self.hot) = None;
        }
        todo
    }

    /// The todo at a place, for whoever will not ask for it again. It is not kept.
    pub(crate) fn take(&self, index: usize) -> Arc<Todo> {
        self.decoded(index, true)
    }

    /// The todo at a place. It is not kept, unless somebody looked at it before.
    pub(crate) fn read(&self, index: usize) -> Arc<Todo> {
        self.decoded(index, false)
    }

    fn decoded(&self, index: usize, last: bool) -> Arc<Todo> {
        let kept = self.at(index).todo.get().cloned();
        // Where the blocks are gone, all todos in them are kept by now.
        kept.or_else(|| self.decode(index, last)).unwrap_or_else(|| Arc::clone(self.todo(index)))
    }

    /// The todo at a place; none where its blocks are gone. Whoever decodes it for the `last` time does not ask
    /// again.
    fn decode(&self, index: usize, last: bool) -> Option<Arc<Todo>> {
        let Shelved { place, decoded, .. } = self.at(index);
        let first = last && !decoded.swap(true, Ordering::Relaxed);
        let unpacked = self.unpacked(place, first)?;
        let (id, blocks) = (place.id, Arc::clone(&self.blocks));
        let parts = Parts { id, blocks, left: place.parts };
        let read = decode_in::<Todo, _>(place.todo.of_block(&unpacked), "todo", parts);
        let Ok(mut read) = read else {
            return Some(Arc::new(Todo::unreadable(place.id)));
        };
        let mut names = held(&self.names);
        read.agents_mut(|name| names.share(name));
        Some(Arc::new(read))
    }

    /// The block that a todo is in, unpacked; none where it is gone. It stays so until each of its todos was decoded
    /// for the `last` time.
    fn unpacked(&self, place: &Place, last: bool) -> Option<Arc<Vec<u8>>> {
        let [hot, others] = &self.unpacked;
        let blocks = if place.finished { others } else { hot };
        let number = place.todo.block;
        let block = blocks.get(number as usize).filter(|_| place.todo.len > 0);
        let Some(block) = block else { return Some(Arc::default()) };
        let mut block = held(block);
        let Unpacked { left, bytes } = &mut *block;
        let recent = || {
            let recent = held(&self.recent);
            let (_, _, bytes) = recent
                .as_ref()
                .filter(|(finished, block, _)| (*finished, *block) == (place.finished, number))?;
            Some(Arc::clone(bytes))
        };
        let unpacked = match bytes.take().or_else(recent) {
            Some(unpacked) => unpacked,
            // What cannot be unpacked is not tried again for each todo.
            None => Arc::new(self.blocks_of(place)?.unpack(place.todo).unwrap_or_default()),
        };
        *left = left.saturating_sub(last.into());
        if *left > 0 {
            *bytes = Some(Arc::clone(&unpacked));
        } else if !last {
            *held(&self.recent) = Some((place.finished, number, Arc::clone(&unpacked)));
        }
        Some(unpacked)
    }

    /// Puts the todo at a place into another snapshot. Nothing is decoded, nor kept unpacked. Where it is no longer
    /// there undecoded, or its parts cannot be unpacked, nothing is put.
    pub(crate) fn put(
        &self,
        index: usize,
        packer: &mut Packer,
        [todos, parts]: &mut [Passing; 2],
    ) -> bool {
        let place = self.place(index);
        let Some(blocks) = self.blocks_of(place) else { return false };
        let todo = blocks.pass(place.todo, todos);
        let parts = self.blocks.pass(place.parts, parts);
        // The todo says how many they are.
        let whole = parts.len() == place.parts.len as usize;
        if whole {
            packer.put(place.id, (place.finished, place.regular), (todo, parts));
        }
        whole
    }
}

/// What is held by a lock is whole between any two statements.
fn held<T>(lock: &Mutex<T>) -> MutexGuard<'_, T> {
    lock.lock().unwrap_or_else(PoisonError::into_inner)
}
