//! The todos of a state, by id. Out of a snapshot, each is decoded when it is first looked at.

use std::fmt;
use std::ops::RangeBounds;
use std::sync::Arc;

use serde::{Serialize, Serializer};

use super::overlay::{self, At, Layer, Overlay};
use super::todo::Todo;
use crate::codec::{CodecError, Packer, Passing, Shelf};
use crate::ids::TodoId;

/// The todos of a run, by id; deleted ones too. A clone is cheap and shares what does not change.
///
/// [`Todos::unfinished`] and [`Todos::is_finished`] do not look at what a snapshot says to be finished:
/// where a run is opened, that is the difference between some of it and all of it.
#[derive(Clone, Default)]
pub struct Todos(Overlay<Shelf, Folded>);

/// What the fold made. What is shared is the same without a look.
#[derive(Clone)]
struct Folded(Arc<Todo>);

impl PartialEq for Folded {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0) || self.0 == other.0
    }
}

/// What a todo is: as the fold made it, or as it is in a snapshot.
type Slot<'a> = At<'a, Shelf, Folded>;

impl Layer for Shelf {
    fn len(&self) -> usize {
        self.places().len()
    }

    fn id(&self, place: usize) -> &TodoId {
        &self.place(place).id
    }
}

impl<'a> Slot<'a> {
    fn todo(self) -> &'a Arc<Todo> {
        match self {
            Self::Over(Folded(todo)) => todo,
            Self::Under(shelf, place) => shelf.todo(place),
        }
    }

    /// The todo, decoded anew where nobody looked at it yet.
    fn read(self) -> Arc<Todo> {
        match self {
            Self::Over(Folded(todo)) => Arc::clone(todo),
            Self::Under(shelf, place) => shelf.read(place),
        }
    }

    fn is_finished(self) -> bool {
        match self {
            Self::Over(Folded(todo)) => todo.finished(),
            Self::Under(shelf, place) => shelf.place(place).finished,
        }
    }

    /// Whether the todo's id is made of its external id, or it has none.
    fn is_regular(self) -> bool {
        match self {
            Self::Over(Folded(todo)) => {
                let external = todo.external_id.as_deref();
                external.is_none_or(|external| TodoId::from_external(external) == todo.id)
            }
            Self::Under(shelf, place) => shelf.place(place).regular,
        }
    }

    fn same(self, other: Self) -> bool {
        let same = match (self, other) {
            (Self::Over(one), Self::Over(two)) => return one == two,
            (Self::Under(one, at), Self::Under(two, place)) => Arc::ptr_eq(one, two) && at == place,
            _ => false,
        };
        same || self.todo() == other.todo()
    }
}

impl PartialEq for Todos {
    fn eq(&self, other: &Self) -> bool {
        self.len() == other.len() && self.changed(other).next().is_none()
    }
}

impl Todos {
    /// The todos that a snapshot has.
    pub(super) fn on(shelf: &Arc<Shelf>) -> Self {
        Self(Overlay::on(Arc::clone(shelf)))
    }

    /// Puts them into a snapshot.
    pub(crate) fn pack(&self, packer: &mut Packer) -> Result<(), CodecError> {
        let (mut passing, mut folded) = (<[Passing; 2]>::default(), Passing::default());
        for (&id, slot) in self.0.iter() {
            if let Slot::Under(shelf, place) = slot
                && shelf.put(place, packer, &mut passing)
            {
                continue;
            }
            let known = (slot.is_finished(), slot.is_regular());
            let mut parts = Vec::new();
            let todo = slot.read().hollow(&mut parts, &mut folded)?;
            packer.put(id, known, (&todo, &parts));
        }
        Ok(())
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Whether there is one with this id.
    pub fn contains_key(&self, id: &TodoId) -> bool {
        self.0.get(id).is_some()
    }

    /// The todo with this id.
    pub fn get(&self, id: &TodoId) -> Option<&Arc<Todo>> {
        self.0.get(id).map(Slot::todo)
    }

    /// The todo with this id, to be changed: copied where it is shared with another state.
    pub fn get_mut(&mut self, id: &TodoId) -> Option<&mut Todo> {
        let folded = self.0.get_mut(id, |shelf, place| Folded(shelf.take(place)))?;
        Some(Arc::make_mut(&mut folded.0))
    }

    pub(super) fn insert(&mut self, todo: Todo) {
        self.0.insert(todo.id, Folded(Arc::new(todo)));
    }

    /// The ids, in order.
    pub fn keys(&self) -> impl DoubleEndedIterator<Item = &TodoId> {
        self.0.iter().map(|(id, _)| id)
    }

    fn slots(&self) -> impl DoubleEndedIterator<Item = Slot<'_>> {
        self.0.iter().map(|(_, slot)| slot)
    }

    /// The todos, in order of their ids.
    pub fn values(&self) -> impl DoubleEndedIterator<Item = &Arc<Todo>> {
        self.slots().map(Slot::todo)
    }

    /// The todos with their ids, in order of these.
    pub fn iter(&self) -> Iter<'_> {
        Iter(self.0.iter())
    }

    /// The ids in a range, in order.
    pub fn keys_in(
        &self,
        range: impl RangeBounds<TodoId>,
    ) -> impl DoubleEndedIterator<Item = TodoId> {
        self.0.range(range).map(|(&id, _)| id)
    }

    /// The todos of which something is left to do, in order of their ids.
    pub fn unfinished(&self) -> impl Iterator<Item = &Arc<Todo>> {
        self.slots().filter(|slot| !slot.is_finished()).map(Slot::todo)
    }

    /// Whether nothing is left to do of the todo with this id; `None` where there is no such.
    pub fn is_finished(&self, id: &TodoId) -> Option<bool> {
        self.0.get(id).map(Slot::is_finished)
    }

    /// All todos but those that a snapshot says to have an id that is made of their external id, or none.
    pub(super) fn maybe_irregular(&self) -> impl Iterator<Item = &Arc<Todo>> {
        let known = |slot: &Slot<'_>| matches!(slot, Slot::Over(_)) || !slot.is_regular();
        self.slots().filter(known).map(Slot::todo)
    }

    /// The ids of the todos that are otherwise in `other`, or in one of the two only. What they share is not
    /// looked at.
    pub fn changed<'a>(&'a self, other: &'a Self) -> impl Iterator<Item = TodoId> + 'a {
        self.0.changed(&other.0, Slot::same)
    }
}

/// The todos with their ids, in order of these.
pub struct Iter<'a>(overlay::Iter<'a, Shelf, Folded>);

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
        self.0.serialize(serializer, Slot::read)
    }
}
