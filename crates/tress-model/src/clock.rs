//! Clocks: version vectors, which order knowledge, and hybrid logical time, which orders events.

use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use bincode::de::Decoder;
use bincode::enc::Encoder;
use bincode::error::{DecodeError, EncodeError};
use bincode::serde::Compat;
use bincode::{Decode, Encode};
use imbl::OrdMap;
use serde::ser::SerializeMap;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::ids::{Dot, IdError, ReplicaId};
use crate::limits;

/// Milliseconds since 1970-01-01T00:00:00Z.
pub type Millis = u64;

/// Hybrid logical time: physical milliseconds and a counter that breaks ties, so that an event is
/// always later than everything its author had seen, and close to the wall clock.
/// (Kulkarni, Demirbas, Madappa, Avva, Leone: *Logical Physical Clocks*, OPODIS 2014.)
#[derive(
    Debug,
    Clone,
    Copy,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    Default,
    Serialize,
    Deserialize,
    Encode,
    Decode,
)]
pub struct HybridTime {
    /// Physical milliseconds.
    pub millis: Millis,
    /// Orders events within one millisecond.
    pub counter: u32,
}

impl HybridTime {
    /// The next time after `self` when the wall clock shows `now`.
    #[must_use]
    pub fn tick(self, now: Millis) -> Self {
        if now > self.millis {
            Self { millis: now, counter: 0 }
        } else {
            match self.counter.checked_add(1) {
                Some(counter) => Self { millis: self.millis, counter },
                // At the end of time it stands still, and the chain refuses the event.
                None => Self { millis: self.millis.saturating_add(1), counter: 0 },
            }
        }
    }
}

/// A version vector: how many events of each replica are known.
/// (Parker et al.: *Detection of Mutual Inconsistency in Distributed Systems*, 1983.)
///
/// Versions are partially ordered by [`PartialOrd`]: `a <= b` when `b` knows everything that `a`
/// knows; two that each know something the other does not are concurrent and do not compare.
///
/// Each event says what its author had seen. A version of many replicas is a persistent map, so that one that
/// goes on from another shares with it all that is the same: a copy for each event of a run with a thousand
/// replicas would take more than everything else. One of few is a list, which is smaller and faster.
///
/// ```
/// use tress_model::{Dot, ReplicaId, VersionVector};
/// let (a, b) = (ReplicaId([1; 16]), ReplicaId([2; 16]));
/// let left = VersionVector::from_iter([(a, 3)]);
/// let right = VersionVector::from_iter([(a, 1), (b, 2)]);
/// assert!(left.concurrent(&right));
/// assert!(left <= left.join(&right));
/// assert!(left.meet(&right).contains(Dot::new(a, 1)));
/// ```
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct VersionVector(Entries);

/// Up to how many replicas lie in a list.
const FEW: usize = 16;

#[derive(Clone, PartialEq, Eq, Hash)]
enum Entries {
    /// At most [`FEW`], sorted.
    Few(Vec<(ReplicaId, u64)>),
    /// More than that.
    Many(OrdMap<ReplicaId, u64>),
}

impl Default for VersionVector {
    fn default() -> Self {
        Self::new()
    }
}

impl Serialize for VersionVector {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.len()))?;
        self.iter().try_for_each(|(replica, number)| map.serialize_entry(&replica, &number))?;
        map.end()
    }
}

impl<'de> Deserialize<'de> for VersionVector {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let read = BTreeMap::<ReplicaId, u64>::deserialize(deserializer)?;
        let few = read.len() <= FEW;
        let read = read.into_iter();
        Ok(Self(if few { Entries::Few(read.collect()) } else { Entries::Many(read.collect()) }))
    }
}

impl Encode for VersionVector {
    fn encode<E: Encoder>(&self, encoder: &mut E) -> Result<(), EncodeError> {
        (self.len() as u64).encode(encoder)?;
        self.iter().try_for_each(|entry| entry.encode(encoder))
    }
}

impl<Context> Decode<Context> for VersionVector {
    fn decode<D: Decoder<Context = Context>>(decoder: &mut D) -> Result<Self, DecodeError> {
        Compat::decode(decoder).map(|Compat(version)| version)
    }
}
bincode::impl_borrow_decode!(VersionVector);

impl VersionVector {
    /// The version that knows nothing.
    pub const fn new() -> Self {
        Self(Entries::Few(Vec::new()))
    }

    /// How many events of `replica` are known.
    pub fn get(&self, replica: ReplicaId) -> u64 {
        let known = match &self.0 {
            Entries::Few(few) => place(few, replica).ok().and_then(|at| few.get(at)).map(|e| e.1),
            Entries::Many(many) => many.get(&replica).copied(),
        };
        known.unwrap_or(0)
    }

    /// Whether the event named by `dot` is known.
    pub fn contains(&self, dot: Dot) -> bool {
        dot.number <= self.get(dot.replica)
    }

    /// Learns of `replica`'s events up to `number`; never forgets.
    pub fn advance(&mut self, replica: ReplicaId, number: u64) {
        match &mut self.0 {
            Entries::Few(few) => match place(few, replica) {
                Ok(at) => {
                    if let Some((_, known)) = few.get_mut(at) {
                        *known = number.max(*known);
                    }
                }
                Err(_) if number == 0 => {}
                Err(at) => {
                    few.insert(at, (replica, number));
                    if few.len() > FEW {
                        self.0 = Entries::Many(few.drain(..).collect());
                    }
                }
            },
            Entries::Many(many) => {
                if number > many.get(&replica).copied().unwrap_or(0) {
                    many.insert(replica, number);
                }
            }
        }
    }

    /// Learns of `dot` and all of its replica's earlier events.
    pub fn insert(&mut self, dot: Dot) {
        // It is news in nearly all cases: one look is enough.
        if let Entries::Many(many) = &mut self.0
            && let Some(known) = many.get_mut(&dot.replica)
        {
            *known = dot.number.max(*known);
            return;
        }
        self.advance(dot.replica, dot.number);
    }

    /// What either knows: the least upper bound.
    #[must_use]
    pub fn join(&self, other: &Self) -> Self {
        let mut joined = self.clone();
        joined.merge(other);
        joined
    }

    /// Learns all that `other` knows.
    pub fn merge(&mut self, other: &Self) {
        for (replica, number) in other.iter() {
            self.advance(replica, number);
        }
    }

    /// What both know: the greatest lower bound.
    #[must_use]
    pub fn meet(&self, other: &Self) -> Self {
        self.iter().map(|(replica, number)| (replica, number.min(other.get(replica)))).collect()
    }

    /// Whether each knows something that the other does not.
    pub fn concurrent(&self, other: &Self) -> bool {
        self.partial_cmp(other).is_none()
    }

    /// The replicas and how many of their events are known, in order of replica.
    pub fn iter(&self) -> impl Iterator<Item = (ReplicaId, u64)> + '_ {
        let (few, many) = match &self.0 {
            Entries::Few(few) => (few.as_slice(), None),
            Entries::Many(many) => (&[][..], Some(many)),
        };
        let many = many.into_iter().flatten().map(|(&replica, &number)| (replica, number));
        few.iter().copied().chain(many)
    }

    /// The number of replicas of which anything is known.
    pub fn len(&self) -> usize {
        match &self.0 {
            Entries::Few(few) => few.len(),
            Entries::Many(many) => many.len(),
        }
    }

    /// Whether nothing is known.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The number of events that are known.
    pub fn events(&self) -> u64 {
        self.iter().fold(0, |sum, (_, number)| sum.saturating_add(number))
    }
}

/// Where `replica` is among sorted entries, or would be.
fn place(few: &[(ReplicaId, u64)], replica: ReplicaId) -> Result<usize, usize> {
    few.binary_search_by(|(other, _)| other.cmp(&replica))
}

impl FromIterator<(ReplicaId, u64)> for VersionVector {
    fn from_iter<I: IntoIterator<Item = (ReplicaId, u64)>>(entries: I) -> Self {
        let mut version = Self::new();
        for (replica, number) in entries {
            version.advance(replica, number);
        }
        version
    }
}

impl PartialOrd for VersionVector {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        let below = |a: &Self, b: &Self| a.iter().all(|(replica, n)| n <= b.get(replica));
        match (below(self, other), below(other, self)) {
            (true, true) => Some(Ordering::Equal),
            (true, false) => Some(Ordering::Less),
            (false, true) => Some(Ordering::Greater),
            (false, false) => None,
        }
    }
}

/// `REPLICA:NUMBER+REPLICA:NUMBER…`, or `0` for the version that knows nothing.
impl fmt::Display for VersionVector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_empty() {
            return f.write_str("0");
        }
        for (at, (replica, number)) in self.iter().enumerate() {
            let plus = if at == 0 { "" } else { "+" };
            write!(f, "{plus}{replica}:{number}")?;
        }
        Ok(())
    }
}

impl fmt::Debug for VersionVector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.iter().map(|(replica, n)| (replica.short(), n))).finish()
    }
}

impl FromStr for VersionVector {
    type Err = IdError;
    fn from_str(text: &str) -> Result<Self, IdError> {
        if text == "0" {
            return Ok(Self::new());
        }
        if text.split('+').count() > limits::REPLICAS_MAX {
            return Err(IdError::new(text, "a version of a sensible size"));
        }
        let dots = text.split('+');
        dots.map(|dot| dot.parse::<Dot>().map(|dot| (dot.replica, dot.number))).collect()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn versions() -> impl Strategy<Value = VersionVector> {
        // Few replicas, and as many as no longer lie in a list.
        let few = prop::collection::vec((0_u8..5, 0_u64..6), 0..6);
        let many = prop::collection::vec((0_u8..24, 0_u64..6), 12..40);
        prop_oneof![few, many]
            .prop_map(|entries| entries.into_iter().map(|(r, n)| (ReplicaId([r; 16]), n)).collect())
    }

    #[test]
    fn a_version_of_as_many_replicas_as_are_allowed_is_read_and_of_one_more_is_not() {
        let text = |count: usize| {
            let dots = (0..count).map(|number| format!("{number:032x}:1"));
            dots.collect::<Vec<_>>().join("+")
        };
        let most = text(limits::REPLICAS_MAX).parse::<VersionVector>();
        assert_eq!(most.map(|version| version.len()), Ok(limits::REPLICAS_MAX));
        assert!(text(limits::REPLICAS_MAX + 1).parse::<VersionVector>().is_err());
    }

    proptest! {
        #[test]
        fn join_and_meet_form_a_lattice(a in versions(), b in versions(), c in versions()) {
            prop_assert_eq!(a.join(&b), b.join(&a));
            prop_assert_eq!(a.meet(&b), b.meet(&a));
            prop_assert_eq!(a.join(&b).join(&c), a.join(&b.join(&c)));
            prop_assert_eq!(a.meet(&b).meet(&c), a.meet(&b.meet(&c)));
            prop_assert_eq!(a.join(&a), a.clone());
            prop_assert_eq!(a.meet(&a), a.clone());
            prop_assert_eq!(a.join(&a.meet(&b)), a.clone());
            prop_assert_eq!(a.meet(&a.join(&b)), a.clone());
        }

        #[test]
        fn the_order_agrees_with_the_lattice(a in versions(), b in versions()) {
            prop_assert_eq!(a <= b, a.join(&b) == b);
            prop_assert_eq!(a <= b, a.meet(&b) == a);
            prop_assert!(a <= a.join(&b) && a.meet(&b) <= a);
            prop_assert_eq!(a.concurrent(&b), a.partial_cmp(&b).is_none());
            prop_assert_eq!(a == b, a.partial_cmp(&b) == Some(Ordering::Equal));
        }

        #[test]
        fn a_version_survives_its_text_form(a in versions()) {
            prop_assert_eq!(a.to_string().parse::<VersionVector>(), Ok(a));
        }

        #[test]
        fn a_version_is_a_sorted_map_however_many_it_holds(a in versions(), replica in 0_u8..24, number in 0_u64..9) {
            let mut map: BTreeMap<_, _> = a.iter().collect();
            let mut version = a;
            let replica = ReplicaId([replica; 16]);
            version.advance(replica, number);
            if number > 0 {
                let known = map.entry(replica).or_insert(0);
                *known = number.max(*known);
            }
            prop_assert_eq!(version.get(replica), map.get(&replica).copied().unwrap_or(0));
            prop_assert_eq!(version.len(), map.len());
            prop_assert!(version.iter().eq(map.iter().map(|(&replica, &number)| (replica, number))));
            let config = bincode::config::standard();
            let of_map = bincode::serde::encode_to_vec(&map, config).unwrap_or_default();
            let by_serde = bincode::serde::encode_to_vec(&version, config).unwrap_or_default();
            prop_assert_eq!(&by_serde, &of_map);
            let by_bincode = bincode::encode_to_vec(&version, config).unwrap_or_default();
            prop_assert_eq!(&by_bincode, &of_map);
            let read = bincode::serde::decode_from_slice::<VersionVector, _>(&of_map, config);
            prop_assert_eq!(read.map(|(read, _)| read).ok(), Some(version));
        }

        #[test]
        fn hybrid_time_only_goes_forward(millis in 0_u64..50, counter in prop_oneof![0_u32..3, Just(u32::MAX)], now in 0_u64..50) {
            let time = HybridTime { millis, counter };
            prop_assert!(time.tick(now) > time);
            prop_assert!(time.tick(now).millis >= now);
        }
    }
}
