//! What leads from todo to todo, by one end. Out of a snapshot, what is at a todo is decoded when it is first
//! looked at.

use std::fmt;
use std::sync::Arc;

use bincode::Decode;
use bincode::de::Decoder;
use bincode::error::DecodeError;
use serde::{Serialize, Serializer};

use super::lazy::{Lazy, Stored};
use super::overlay::{self, At, Layer, Overlay};
use crate::codec::{CodecError, Packer, Part, Passing, Shelf};
use crate::ids::TodoId;

/// What is at the todos, by their ids: edges that leave them, or where edges come from.
#[derive(Clone)]
pub(super) struct AtTodos<T: Stored>(Overlay<Found<T>, Lazy<T>>);

/// What a snapshot has.
struct Found<T>(Box<[(TodoId, Lazy<T>)]>);

impl<T> Layer for Found<T> {
    fn len(&self) -> usize {
        self.0.len()
    }

    fn id(&self, place: usize) -> &TodoId {
        &self.found(place).0
    }
}

impl<T> Found<T> {
    fn found(&self, place: usize) -> &(TodoId, Lazy<T>) {
        match self.0.get(place) {
            Some(found) => found,
            None => unreachable!("a place in another snapshot"),
        }
    }
}

fn lazy<'a, T>(at: At<'a, Found<T>, Lazy<T>>) -> &'a Lazy<T> {
    match at {
        At::Over(lazy) => lazy,
        At::Under(found, place) => &found.found(place).1,
    }
}

impl<T: Stored> Default for AtTodos<T> {
    fn default() -> Self {
        Self(Overlay::default())
    }
}

impl<T: Stored + Clone> PartialEq for AtTodos<T> {
    fn eq(&self, other: &Self) -> bool {
        self.0.len() == other.0.len() && self.changed(other).is_empty()
    }
}

impl<T: Stored + Clone + fmt::Debug> fmt::Debug for AtTodos<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.of(|_| true)).finish()
    }
}

impl<T: Stored + Clone> AtTodos<T> {
    pub(super) fn get(&self, todo: TodoId) -> Option<&T> {
        self.0.get(&todo).map(|found| &**lazy(found))
    }

    pub(super) fn get_mut(&mut self, todo: TodoId) -> Option<&mut T> {
        self.0.get_mut(&todo, |found, place| found.found(place).1.clone()).map(|found| &mut **found)
    }

    /// What is at a todo, to be added to.
    pub(super) fn at(&mut self, todo: TodoId) -> &mut T {
        if !self.contains(todo) {
            self.0.insert(todo, Lazy::default());
        }
        match self.get_mut(todo) {
            Some(found) => found,
            None => unreachable!("it was just put there"),
        }
    }

    pub(super) fn contains(&self, todo: TodoId) -> bool {
        self.0.get(&todo).is_some()
    }

    /// What is at those todos for which `wanted` holds, in order of their ids.
    pub(super) fn of(
        &self,
        wanted: impl Fn(&TodoId) -> bool,
    ) -> impl Iterator<Item = (TodoId, &T)> {
        let wanted = self.0.iter().filter(move |(id, _)| wanted(id));
        wanted.map(|(&id, found)| (id, &**lazy(found)))
    }

    /// The todos at which there is something else in `other`. What they share is not looked at.
    pub(super) fn changed(&self, other: &Self) -> Vec<TodoId> {
        self.0.changed(&other.0, |one, two| lazy(one) == lazy(two)).collect()
    }

    /// Puts it into a snapshot, and says where.
    pub(super) fn pack(
        &self,
        packer: &mut Packer,
        finished: impl Fn(&TodoId) -> bool,
    ) -> Result<Vec<(TodoId, Part)>, CodecError> {
        let (mut passing, mut bytes) = (Passing::default(), Vec::new());
        let mut put = |(id, found): (&TodoId, At<'_, Found<T>, Lazy<T>>)| {
            bytes.clear();
            lazy(found).put(&mut bytes, &mut passing)?;
            Ok((*id, packer.put_edges(finished(id), &bytes)))
        };
        self.0.iter().map(&mut put).collect()
    }
}

/// As a map.
impl<T: Stored + Clone> Serialize for AtTodos<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.serialize(serializer, |found| &**lazy(found))
    }
}

/// Out of a snapshot, which says where it is.
impl<T: Stored + Clone> Decode<Arc<Shelf>> for AtTodos<T> {
    fn decode<D: Decoder<Context = Arc<Shelf>>>(decoder: &mut D) -> Result<Self, DecodeError> {
        let places: Vec<(TodoId, Part)> = Decode::decode(decoder)?;
        let blocks = decoder.context().blocks();
        blocks.check(places.iter().map(|(_, part)| *part))?;
        if !overlay::ascend(places.iter().map(|(id, _)| id)) {
            return Err(DecodeError::Other("what is at the todos does not lie in their order"));
        }
        let found = places.into_iter().map(|(id, part)| (id, Lazy::at(blocks, part))).collect();
        Ok(Self(Overlay::on(Arc::new(Found(found)))))
    }
}
