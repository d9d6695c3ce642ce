//! The todos of a state, by id. Out of a snapshot, each is decoded when it is first looked at.

use std::fmt;
use std::ops::RangeBounds;
use std::sync::Arc;

use imbl::OrdMap;
use serde::{Serialize, Serializer};

use super::edges::changed_key;
use super::todo::Todo;
use crate::codec::{self, CodecError, Packer, Passing, Shelf};
use crate::ids::TodoId;

/// The todos of a run, by id; deleted ones too. A clone is cheap and shares what does not change.
///
/// [`Todos::unfinished`] and [`Todos::is_finished`] do not look at what a snapshot says to be finished:
/// where a run is opened, that is the difference between some of it and all of it.
#[derive(Clone, Default, PartialEq)]
pub struct Todos {
    slots: OrdMap<TodoId, Slot>,
}

#[derive(Clone)]
enum Slot {
    /// What the fold made.
    Folded(Arc<Todo>),
    /// As it is in a snapshot, at this place.
    Shelved(Arc<Shelf>, u32),
}

impl Slot {
    fn todo(&self) -> &Arc<Todo> {
        match self {
            Self::Folded(todo) => todo,
            Self::Shelved(shelf, index) => shelf.todo(*index),
        }
    }

    /// The todo, decoded anew where nobody looked at it yet.
    fn read(&self) -> Arc<Todo> {
        match self {
            Self::Folded(todo) => Arc::clone(todo),
            Self::Shelved(shelf, index) => shelf.read(*index),
        }
    }

    fn is_finished(&self) -> bool {
        match self {
            Self::Folded(todo) => todo.finished(),
            Self::Shelved(shelf, index) => shelf.place(*index).finished,
        }
    }

    /// Whether the todo's id is made of its external id, or it has none.
    fn is_regular(&self) -> bool {
        match self {
            Self::Folded(todo) => {
                let external = todo.external_id.as_deref();
                external.is_none_or(|external| TodoId::from_external(external) == todo.id)
            }
            Self::Shelved(shelf, index) => shelf.place(*index).regular,
        }
    }

    fn is(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Folded(one), Self::Folded(two)) => Arc::ptr_eq(one, two),
            (Self::Shelved(one, at), Self::Shelved(two, place)) => {
                Arc::ptr_eq(one, two) && at == place
            }
            _ => false,
        }
    }
}

impl PartialEq for Slot {
    fn eq(&self, other: &Self) -> bool {
        self.is(other) || self.todo() == other.todo()
    }
}

impl Todos {
    /// The todos that a snapshot has.
    pub(super) fn on(shelf: &Arc<Shelf>) -> Self {
        let mut slots = OrdMap::new();
        for (index, place) in (0..).zip(shelf.places()) {
            slots.insert(place.id, Slot::Shelved(Arc::clone(shelf), index));
        }
        Self { slots }
    }

    /// Puts them into a snapshot.
    pub(crate) fn pack(&self, packer: &mut Packer) -> Result<(), CodecError> {
        let (mut passing, mut folded) = (<[Passing; 2]>::default(), Passing::default());
        for (&id, slot) in &self.slots {
            if let Slot::Shelved(shelf, index) = slot
                && shelf.put(*index, packer, &mut passing)
            {
                continue;
            }
            let known = (slot.is_finished(), slot.is_regular());
            let mut parts = Vec::new();
            let todo = codec::encode_part(&slot.read().hollow(&mut parts, &mut folded)?)?;
            packer.put(id, known, (&todo, &parts));
        }
        Ok(())
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.slots.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.slots.is_empty()
    }

    /// Whether there is one with this id.
    pub fn contains_key(&self, id: &TodoId) -> bool {
        self.slots.contains_key(id)
    }

    /// The todo with this id.
    pub fn get(&self, id: &TodoId) -> Option<&Arc<Todo>> {
        self.slots.get(id).map(Slot::todo)
    }

    /// The todo with this id, to be changed: copied where it is shared with another state.
    pub fn get_mut(&mut self, id: &TodoId) -> Option<&mut Todo> {
        let slot = self.slots.get_mut(id)?;
        if let Slot::Shelved(shelf, index) = slot {
            *slot = Slot::Folded(shelf.take(*index));
        }
        match slot {
            Slot::Folded(todo) => Some(Arc::make_mut(todo)),
            Slot::Shelved(..) => None,
        }
    }

    pub(super) fn insert(&mut self, todo: Todo) {
        self.slots.insert(todo.id, Slot::Folded(Arc::new(todo)));
    }

    /// The ids, in order.
    pub fn keys(&self) -> impl DoubleEndedIterator<Item = &TodoId> {
        self.slots.keys()
    }

    /// The todos, in order of their ids.
    pub fn values(&self) -> impl DoubleEndedIterator<Item = &Arc<Todo>> {
        self.slots.values().map(Slot::todo)
    }

    /// The todos with their ids, in order of these.
    pub fn iter(&self) -> Iter<'_> {
        Iter(self.slots.iter())
    }

    /// The ids in a range, in order.
    pub fn keys_in(
        &self,
        range: impl RangeBounds<TodoId>,
    ) -> impl DoubleEndedIterator<Item = TodoId> {
        self.slots.range(range).map(|(&id, _)| id)
    }

    /// The todos of which something is left to do, in order of their ids.
    pub fn unfinished(&self) -> impl Iterator<Item = &Arc<Todo>> {
        self.slots.values().filter(|slot| !slot.is_finished()).map(Slot::todo)
    }

    /// Whether nothing is left to do of the todo with this id; `None` where there is no such.
    pub fn is_finished(&self, id: &TodoId) -> Option<bool> {
        self.slots.get(id).map(Slot::is_finished)
    }

    /// All todos but those that a snapshot says to have an id that is made of their external id, or none.
    pub(super) fn maybe_irregular(&self) -> impl Iterator<Item = &Arc<Todo>> {
        let known = |slot: &&Slot| matches!(slot, Slot::Folded(_)) || !slot.is_regular();
        self.slots.values().filter(known).map(Slot::todo)
    }

    /// The ids of the todos that are otherwise in `other`, or in one of the two only. What they share is not
    /// looked at.
    pub fn changed<'a>(&'a self, other: &'a Self) -> impl Iterator<Item = TodoId> + 'a {
        self.slots.diff(&other.slots).map(changed_key)
    }
}

/// The todos with their ids, in order of these.
pub struct Iter<'a>(imbl::ordmap::Iter<'a, TodoId, Slot, imbl::shared_ptr::DefaultSharedPtr>);

impl<'a> Iterator for Iter<'a> {
    type Item = (&'a TodoId, &'a Arc<Todo>);

    fn next(&mut self) -> Option<Self::Item> {
        self.0.next().map(|(id, slot)| (id, slot.todo()))
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        self.0.size_hint()
    }
}

impl<'a> IntoIterator for &'a Todos {
    type Item = (&'a TodoId, &'a Arc<Todo>);
    type IntoIter = Iter<'a>;

    fn into_iter(self) -> Iter<'a> {
        self.iter()
    }
}

impl fmt::Debug for Todos {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self).finish()
    }
}

/// As a map. What was not looked at is not kept for it.
impl Serialize for Todos {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.slots.iter().map(|(id, slot)| (id, slot.read())))
    }
}
