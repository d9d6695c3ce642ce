//! What leads from todo to todo, by one end. Out of a snapshot, what is at a todo is decoded when it is first
//! looked at.

use std::sync::Arc;

use bincode::Decode;
use bincode::de::Decoder;
use bincode::error::DecodeError;
use imbl::OrdMap;
use imbl::ordmap::DiffItem;
use serde::{Serialize, Serializer};

use super::lazy::{Lazy, Stored};
use crate::codec::{CodecError, Packer, Part, Passing, Shelf};
use crate::ids::TodoId;

/// What is at the todos, by their ids: edges that leave them, or where edges come from.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct AtTodos<T: Stored>(OrdMap<TodoId, Lazy<T>>);

impl<T: Stored> Default for AtTodos<T> {
    fn default() -> Self {
        Self(OrdMap::new())
    }
}

impl<T: Stored + Clone> AtTodos<T> {
    pub(super) fn get(&self, todo: TodoId) -> Option<&T> {
        self.0.get(&todo).map(|found| &**found)
    }

    pub(super) fn get_mut(&mut self, todo: TodoId) -> Option<&mut T> {
        self.0.get_mut(&todo).map(|found| &mut **found)
    }

    /// What is at a todo, to be added to.
    pub(super) fn at(&mut self, todo: TodoId) -> &mut T {
        self.0.entry(todo).or_default()
    }

    pub(super) fn contains(&self, todo: TodoId) -> bool {
        self.0.contains_key(&todo)
    }

    /// What is at those todos for which `wanted` holds, in order of their ids.
    pub(super) fn of(
        &self,
        wanted: impl Fn(&TodoId) -> bool,
    ) -> impl Iterator<Item = (TodoId, &T)> {
        let wanted = self.0.iter().filter(move |(id, _)| wanted(id));
        wanted.map(|(&id, found)| (id, &**found))
    }

    /// The todos at which there is something else in `other`. What they share is not looked at.
    pub(super) fn changed(&self, other: &Self) -> Vec<TodoId> {
        self.0.diff(&other.0).map(changed_key).collect()
    }

    /// Puts it into a snapshot, and says where.
    pub(super) fn pack(
        &self,
        packer: &mut Packer,
        finished: impl Fn(&TodoId) -> bool,
    ) -> Result<Vec<(TodoId, Part)>, CodecError> {
        let (mut passing, mut bytes) = (Passing::default(), Vec::new());
        let mut put = |(id, found): (&TodoId, &Lazy<T>)| {
            bytes.clear();
            found.put(&mut bytes, &mut passing)?;
            Ok((*id, packer.put_edges(finished(id), &bytes)))
        };
        self.0.iter().map(&mut put).collect()
    }
}

/// Where two maps differ.
pub(super) fn changed_key<V>(item: DiffItem<'_, '_, TodoId, V>) -> TodoId {
    match item {
        DiffItem::Add(&id, _) | DiffItem::Remove(&id, _) => id,
        DiffItem::Update { new: (&id, _), .. } => id,
    }
}

/// As a map.
impl<T: Stored> Serialize for AtTodos<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter().map(|(id, found)| (id, &**found)))
    }
}

/// Out of a snapshot, which says where it is.
impl<T: Stored> Decode<Arc<Shelf>> for AtTodos<T> {
    fn decode<D: Decoder<Context = Arc<Shelf>>>(decoder: &mut D) -> Result<Self, DecodeError> {
        let places: Vec<(TodoId, Part)> = Decode::decode(decoder)?;
        let blocks = decoder.context().blocks();
        blocks.check(places.iter().map(|(_, part)| *part))?;
        let mut found = OrdMap::new();
        for (id, part) in places {
            found.insert(id, Lazy::at(blocks, part));
        }
        Ok(Self(found))
    }
}
