//! Persistent collections out of bytes, without trust in the length that they announce: imbl makes
//! room for as many items as there are said to be, and a few bytes of a snapshot would end the
//! process.

use std::collections::BTreeMap;

use imbl::{OrdMap, Vector};
use serde::{Deserialize, Deserializer};

/// Reads a map, and makes room for what is there.
pub(crate) fn map<'de, D, K, V>(deserializer: D) -> Result<OrdMap<K, V>, D::Error>
where
    D: Deserializer<'de>,
    K: Deserialize<'de> + Ord + Clone,
    V: Deserialize<'de> + Clone,
{
    BTreeMap::<K, V>::deserialize(deserializer).map(OrdMap::from_iter)
}

/// Reads a list, and makes room for what is there.
pub(super) fn list<'de, D, T>(deserializer: D) -> Result<Vector<T>, D::Error>
where
    D: Deserializer<'de>,
    T: Deserialize<'de> + Clone,
{
    Vec::<T>::deserialize(deserializer).map(Vector::from_iter)
}
