//! A map by todo in two layers: what a snapshot has, and what was put there since.
//!
//! A snapshot has its todos in order, so they are found by bisection where they are, and whoever opens a run puts
//! none of them anywhere: to make a map of them had been half of the work of opening it. Nothing is ever taken out.

use std::ops::{Bound, Range, RangeBounds};
use std::sync::Arc;

use imbl::OrdMap;
use imbl::ordmap::DiffItem;
use imbl::shared_ptr::DefaultSharedPtr;
use serde::ser::SerializeMap;
use serde::{Serialize, Serializer};

use crate::ids::TodoId;

/// What a snapshot has, by places from 0 on, in ascending order of the todos.
pub(super) trait Layer {
    /// How many places there are.
    fn len(&self) -> usize;

    /// The todo at a place.
    fn id(&self, place: usize) -> &TodoId;

    /// The first place at which the todo is not before `id`, and whether it is `id`. Logarithmic.
    fn find(&self, id: &TodoId) -> Result<usize, usize> {
        let (mut low, mut high) = (0, self.len());
        while low < high {
            let middle = low.midpoint(high);
            match self.id(middle).cmp(id) {
                std::cmp::Ordering::Less => low = middle + 1,
                std::cmp::Ordering::Equal => return Ok(middle),
                std::cmp::Ordering::Greater => high = middle,
            }
        }
        Err(low)
    }
}

/// Whether they ascend, so that each of them is found.
pub(crate) fn ascend<'a>(mut ids: impl Iterator<Item = &'a TodoId>) -> bool {
    let Some(mut last) = ids.next() else { return true };
    ids.all(|id| std::mem::replace(&mut last, id) < id)
}

/// A map by todo. A clone is cheap and shares what does not change.
pub(super) struct Overlay<L, V> {
    under: Option<Arc<L>>,
    over: OrdMap<TodoId, V>,
    /// How many are in `over` alone.
    added: usize,
}

/// What is at a todo.
pub(super) enum At<'a, L, V> {
    /// What was put there.
    Over(&'a V),
    /// What a snapshot has, at a place.
    Under(&'a Arc<L>, usize),
}

impl<L, V> Clone for At<'_, L, V> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<L, V> Copy for At<'_, L, V> {}

impl<L, V> Clone for Overlay<L, V> {
    fn clone(&self) -> Self {
        Self { under: self.under.clone(), over: self.over.clone(), added: self.added }
    }
}

impl<L, V> Default for Overlay<L, V> {
    fn default() -> Self {
        Self { under: None, over: OrdMap::new(), added: 0 }
    }
}

impl<L: Layer, V: Clone> Overlay<L, V> {
    /// What a snapshot has.
    pub(super) fn on(under: Arc<L>) -> Self {
        Self { under: Some(under), ..Self::default() }
    }

    /// How many todos there are.
    pub(super) fn len(&self) -> usize {
        self.under.as_ref().map_or(0, |under| under.len()) + self.added
    }

    fn find(&self, id: &TodoId) -> Option<(&Arc<L>, usize)> {
        let under = self.under.as_ref()?;
        Some((under, under.find(id).ok()?))
    }

    pub(super) fn get(&self, id: &TodoId) -> Option<At<'_, L, V>> {
        // In a run that was just opened, nothing was put anywhere.
        let over = if self.over.is_empty() { None } else { self.over.get(id) };
        over.map(At::Over).or_else(|| self.find(id).map(|(under, place)| At::Under(under, place)))
    }

    /// What is at a todo, to be changed: what a snapshot has is put there first.
    pub(super) fn get_mut(
        &mut self,
        id: &TodoId,
        put: impl FnOnce(&L, usize) -> V,
    ) -> Option<&mut V> {
        let put_before = self.under.is_none() || self.over.contains_key(id);
        if !put_before && let Some((under, place)) = self.find(id) {
            let put = put(under, place);
            self.over.insert(*id, put);
        }
        self.over.get_mut(id)
    }

    pub(super) fn insert(&mut self, id: TodoId, value: V) {
        if self.over.insert(id, value).is_none() && self.find(&id).is_none() {
            self.added += 1;
        }
    }

    pub(super) fn iter(&self) -> Iter<'_, L, V> {
        self.range(..)
    }

    /// What is at the todos in a range, in order.
    pub(super) fn range(&self, range: impl RangeBounds<TodoId>) -> Iter<'_, L, V> {
        let bounds = (range.start_bound().cloned(), range.end_bound().cloned());
        let places = self.under.as_ref().map(|under| (under, places_in(&**under, bounds)));
        let (under, places) = places.unzip();
        let over = self.over.range(bounds);
        Iter { under, places: places.unwrap_or_default(), over, first: None, last: None }
    }

    /// Encodes it as a map of what is `read` at each todo.
    pub(super) fn serialize<'a, S: Serializer, T: Serialize>(
        &'a self,
        serializer: S,
        read: impl Fn(At<'a, L, V>) -> T,
    ) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.len()))?;
        for (id, at) in self.iter() {
            map.serialize_entry(id, &read(at))?;
        }
        map.end()
    }

    /// The todos at which the two are not the `same`. What they share is not looked at.
    pub(super) fn changed<'a>(
        &'a self,
        other: &'a Self,
        same: impl Fn(At<'a, L, V>, At<'a, L, V>) -> bool + 'a,
    ) -> Box<dyn Iterator<Item = TodoId> + 'a>
    where
        V: PartialEq,
    {
        let differs = move |id: &TodoId| match (self.get(id), other.get(id)) {
            (Some(one), Some(two)) => !same(one, two),
            (None, None) => false,
            _ => true,
        };
        let shared = match (&self.under, &other.under) {
            (Some(one), Some(two)) => Arc::ptr_eq(one, two),
            (one, two) => one.is_none() && two.is_none(),
        };
        if shared {
            let keys = self.over.diff(&other.over).map(|item| match item {
                DiffItem::Add(&id, _) | DiffItem::Remove(&id, _) => id,
                DiffItem::Update { new: (&id, _), .. } => id,
            });
            return Box::new(keys.filter(differs));
        }
        let mine = self.iter().map(|(id, _)| *id);
        let others = other.iter().map(|(id, _)| *id).filter(|id| self.get(id).is_none());
        Box::new(mine.chain(others).filter(differs))
    }
}

/// The places of the todos within bounds.
fn places_in<L: Layer>(layer: &L, (from, to): (Bound<TodoId>, Bound<TodoId>)) -> Range<usize> {
    let find = |id: &TodoId| layer.find(id);
    let start = match &from {
        Bound::Unbounded => 0,
        Bound::Included(id) => find(id).unwrap_or_else(|place| place),
        Bound::Excluded(id) => find(id).map_or_else(|place| place, |place| place + 1),
    };
    let end = match &to {
        Bound::Unbounded => layer.len(),
        Bound::Included(id) => find(id).map_or_else(|place| place, |place| place + 1),
        Bound::Excluded(id) => find(id).unwrap_or_else(|place| place),
    };
    start..end.max(start)
}

/// What is at todos, with their ids, in order of these.
pub(super) struct Iter<'a, L, V> {
    under: Option<&'a Arc<L>>,
    places: Range<usize>,
    over: imbl::ordmap::RangedIter<'a, TodoId, V, DefaultSharedPtr>,
    /// What `over` gave from either end, and is not due yet.
    first: Option<(&'a TodoId, &'a V)>,
    last: Option<(&'a TodoId, &'a V)>,
}

type Item<'a, L, V> = (&'a TodoId, At<'a, L, V>);

impl<'a, L: Layer, V> Iter<'a, L, V> {
    /// The next of either layer: of what was put, and of the snapshot at `place`, whichever comes first by `before`.
    fn merge(
        over: &mut Option<(&'a TodoId, &'a V)>,
        under: Option<(&'a Arc<L>, usize)>,
        before: impl Fn(&TodoId, &TodoId) -> bool,
    ) -> (Option<Item<'a, L, V>>, bool) {
        let under = under.map(|(layer, place)| (layer.id(place), At::Under(layer, place)));
        match (*over, under) {
            (None, None) => (None, false),
            (Some((id, _)), Some((beneath, at))) if before(beneath, id) => {
                (Some((beneath, at)), true)
            }
            (None, Some(under)) => (Some(under), true),
            (Some((id, value)), under) => {
                *over = None;
                (Some((id, At::Over(value))), under.is_some_and(|(beneath, _)| beneath == id))
            }
        }
    }
}

impl<'a, L: Layer, V> Iterator for Iter<'a, L, V> {
    type Item = Item<'a, L, V>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.first.is_none() {
            self.first = self.over.next().or_else(|| self.last.take());
        }
        let place = self.places.clone().next();
        let under = self.under.zip(place);
        let (item, passed) = Self::merge(&mut self.first, under, |one, two| one < two);
        self.places.start += usize::from(passed);
        item
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        let kept = usize::from(self.first.is_some()) + usize::from(self.last.is_some());
        let (_, over) = self.over.size_hint();
        let most = over.map(|over| over + kept + self.places.len());
        (self.places.len().max(kept), most)
    }
}

impl<L: Layer, V> DoubleEndedIterator for Iter<'_, L, V> {
    fn next_back(&mut self) -> Option<Self::Item> {
        if self.last.is_none() {
            self.last = self.over.next_back().or_else(|| self.first.take());
        }
        let place = self.places.clone().next_back();
        let under = self.under.zip(place);
        let (item, passed) = Self::merge(&mut self.last, under, |one, two| one > two);
        self.places.end -= usize::from(passed);
        item
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    struct Ids(Vec<TodoId>);

    impl Layer for Ids {
        fn len(&self) -> usize {
            self.0.len()
        }

        fn id(&self, place: usize) -> &TodoId {
            &self.0[place]
        }
    }

    fn id(number: u8) -> TodoId {
        TodoId::from_random(number.into())
    }

    fn number(id: TodoId) -> u32 {
        u32::from_str_radix(&id.digits()[6..], 36).expect("digits")
    }

    /// What a snapshot has is a todo's number times 100, so that it is known from what was put.
    fn value(at: At<'_, Ids, u32>) -> u32 {
        match at {
            At::Over(value) => *value,
            At::Under(ids, place) => number(*ids.id(place)) * 100,
        }
    }

    type Map = (Overlay<Ids, u32>, BTreeMap<TodoId, u32>);

    fn put((map, model): &mut Map, puts: &[(u8, u32)]) {
        for &(number, new) in puts {
            let id = id(number);
            if new % 2 == 0 {
                map.insert(id, new);
                model.insert(id, new);
            } else {
                let found = map.get_mut(&id, |ids, place| {
                    value(At::Under(&Arc::new(Ids(ids.0.clone())), place))
                });
                let found = found.map(|found| *found += new);
                assert_eq!(found, model.get_mut(&id).map(|found| *found += new));
            }
        }
    }

    proptest! {
        #[test]
        fn it_is_a_map(
            under in prop::collection::btree_set(0..30_u8, 0..20),
            puts in prop::collection::vec((0..30_u8, 0..9_u32), 0..20),
            more in prop::collection::vec((0..30_u8, 0..9_u32), 0..6),
            ends in prop::collection::vec(any::<bool>(), 40),
            (from, to) in (0..32_u8, 0..32_u8),
            (open, closed) in any::<(bool, bool)>(),
        ) {
            let model: BTreeMap<_, _> =
                under.iter().map(|&number| (id(number), u32::from(number) * 100)).collect();
            let ids = || Arc::new(Ids(model.keys().copied().collect()));
            prop_assert!(ascend(model.keys()));
            let mut one: Map = (Overlay::on(ids()), model.clone());
            put(&mut one, &puts);
            let (map, model) = &one;
            prop_assert_eq!(map.len(), model.len());
            for number in 0..32 {
                prop_assert_eq!(map.get(&id(number)).map(value), model.get(&id(number)).copied());
            }
            let from_bound = if open { Bound::Excluded(id(from)) } else { Bound::Included(id(from)) };
            let to_bound = if closed { Bound::Included(id(to)) } else { Bound::Excluded(id(to)) };
            let ranges = if from < to { vec![(from_bound, to_bound)] } else { Vec::new() };
            for bounds in ranges.into_iter().chain([(Bound::Unbounded, Bound::Unbounded)]) {
                let (mut items, mut expected) = (map.range(bounds), model.range(bounds));
                for front in ends.iter().copied().chain(std::iter::repeat(true)) {
                    let (least, most) = items.size_hint();
                    let left = expected.clone().count();
                    prop_assert!(least <= left && most.is_none_or(|most| left <= most));
                    let (item, next) = match front {
                        true => (items.next(), expected.next()),
                        false => (items.next_back(), expected.next_back()),
                    };
                    prop_assert_eq!(item.map(|(id, at)| (*id, value(at))), next.map(|(id, v)| (*id, *v)));
                    if next.is_none() {
                        break;
                    }
                }
            }
            // Beside what it shares everything with, and beside what it shares nothing with.
            let mut other = (one.0.clone(), one.1.clone());
            put(&mut other, &more);
            let mut apart: Map = (Overlay::default(), BTreeMap::new());
            for (id, value) in &other.1 {
                apart.0.insert(*id, *value);
                apart.1.insert(*id, *value);
            }
            let differ: Vec<_> = other.1.keys().filter(|id| other.1.get(id) != one.1.get(id)).collect();
            for map in [&other.0, &apart.0] {
                let same = |one, two| value(one) == value(two);
                for (one, two) in [(&one.0, map), (map, &one.0)] {
                    let mut changed: Vec<_> = one.changed(two, same).collect();
                    changed.sort_unstable();
                    prop_assert_eq!(changed.iter().collect::<Vec<_>>(), differ.clone());
                }
            }
        }
    }
}
