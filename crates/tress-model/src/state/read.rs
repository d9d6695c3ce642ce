//! The state to bytes and out of them, but for its todos. What there is most of, edges, is decoded by bincode
//! itself; serde, by which all of it is encoded, would read an id a byte at a time, and each field by way of
//! two results.

use std::collections::BTreeSet;
use std::mem::size_of;
use std::sync::Arc;

use bincode::Decode;
use bincode::de::Decoder;
use bincode::error::DecodeError;
use bincode::serde::Compat;
use imbl::{OrdMap, Vector};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::State;
use super::design::Design;
use super::team::Team;
use super::todos::Todos;
use crate::clock::VersionVector;
use crate::codec::{CodecError, Packer, Part, Shelf};
use crate::event::OrderKey;
use crate::ids::TodoId;
use crate::rules::LedgerEntry;

/// A state without its todos, as it is encoded: its fields in order.
#[derive(Serialize)]
pub(crate) struct WithoutTodos<'a> {
    version: &'a VersionVector,
    last: Option<OrderKey>,
    edges: Vec<(TodoId, Part)>,
    incoming: Vec<(TodoId, Part)>,
    suspended: &'a BTreeSet<(OrderKey, TodoId, TodoId)>,
    design: &'a Design,
    team: &'a Team,
    ledger: &'a Vector<Arc<LedgerEntry>>,
    ledger_cut: u64,
    untold: &'a OrdMap<Arc<str>, Vec<u64>>,
}

impl State {
    /// All but the todos, to be encoded; edges are put apart.
    pub(crate) fn without_todos(
        &self,
        packer: &mut Packer,
    ) -> Result<WithoutTodos<'_>, CodecError> {
        let finished = |id: &TodoId| self.todos.is_finished(id) != Some(false);
        Ok(WithoutTodos {
            version: &self.version,
            last: self.last,
            edges: self.edges.pack(packer, finished)?,
            incoming: self.incoming.pack(packer, finished)?,
            suspended: &self.suspended,
            design: &self.design,
            team: &self.team,
            ledger: &self.ledger,
            ledger_cut: self.ledger_cut,
            untold: &self.untold,
        })
    }
}

impl Decode<Arc<Shelf>> for State {
    fn decode<D: Decoder<Context = Arc<Shelf>>>(decoder: &mut D) -> Result<Self, DecodeError> {
        Ok(Self {
            version: by_serde(decoder)?,
            last: Decode::decode(decoder)?,
            todos: Todos::on(decoder.context()),
            edges: Decode::decode(decoder)?,
            incoming: Decode::decode(decoder)?,
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
struct Ledger(#[serde(deserialize_with = "super::bounded::list")] Vector<Arc<LedgerEntry>>);

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
