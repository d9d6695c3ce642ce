//! The state out of bytes. What there is most of, todos and edges, is decoded by bincode itself; serde,
//! by which all of it is encoded, would read an id a byte at a time, and each field by way of two results.

use std::mem::size_of;
use std::sync::Arc;

use bincode::Decode;
use bincode::de::Decoder;
use bincode::error::DecodeError;
use bincode::serde::Compat;
use imbl::OrdMap;
use serde::de::DeserializeOwned;

use super::State;
use crate::codec::Body;

impl Decode<Body> for State {
    fn decode<D: Decoder<Context = Body>>(decoder: &mut D) -> Result<Self, DecodeError> {
        Ok(Self {
            version: by_serde(decoder)?,
            last: Decode::decode(decoder)?,
            todos: map(decoder)?,
            edges: map(decoder)?,
            incoming: map(decoder)?,
            suspended: Decode::decode(decoder)?,
            design: by_serde(decoder)?,
            team: by_serde(decoder)?,
            ledger: by_serde::<Ledger, _>(decoder)?.0,
            ledger_cut: Decode::decode(decoder)?,
            untold: map(decoder)?,
        })
    }
}

#[derive(serde::Deserialize)]
struct Ledger(
    #[serde(deserialize_with = "super::bounded::list")]
    imbl::Vector<Arc<crate::rules::LedgerEntry>>,
);

fn by_serde<T: DeserializeOwned, D: Decoder>(decoder: &mut D) -> Result<T, DecodeError> {
    Compat::<T>::decode(decoder).map(|read| read.0)
}

/// Reads a map, and makes room for what is there.
fn map<K, V, D>(decoder: &mut D) -> Result<OrdMap<K, V>, DecodeError>
where
    K: Decode<D::Context> + Ord + Clone,
    V: Decode<D::Context> + Clone,
    D: Decoder,
{
    let len = usize::decode(decoder)?;
    decoder.claim_container_read::<(K, V)>(len)?;
    let mut map = OrdMap::new();
    for _ in 0..len {
        decoder.unclaim_bytes_read(size_of::<(K, V)>());
        map.insert(K::decode(decoder)?, V::decode(decoder)?);
    }
    Ok(map)
}
