//! Naming: whose journal it is, where the header that said so was hit.
//!
//! The ids of a replica's events begin with the store that it belongs to. So a store is never guessed: somebody who
//! knows says it (the place that made the replica, a snapshot, a copy), or it must fit what is there: the checksum of
//! the header that was hit, or the hash chain. A journal that nothing says it of stays without a store.

use std::collections::{BTreeMap, BTreeSet};

use tress_model::Segment;
use tress_model::codec::{FORMAT, FormatVersion};
use tress_model::event::Head;
use tress_model::ids::{EventId, ReplicaId, StoreId};

use crate::examine::{Content, Examined, Piece};
use crate::frame::{self, FrameKind};
use crate::journal::{HEADER_READ, JournalHeader, file_name};
use crate::run::RunStore;
use crate::snapshots;
use crate::store::StoreError;

/// Whose replicas are.
pub type Owners = BTreeMap<ReplicaId, StoreId>;

/// Stands for a store that is not known.
pub(crate) const NOBODY: StoreId = StoreId([0; 16]);

/// Names the stores of the journals whose header was hit. `made` is which places made replicas before the store was
/// copied, `owners` what others know.
pub(crate) fn name_stores(
    run: &RunStore,
    made: &Owners,
    owners: &Owners,
    all: &mut [Examined],
) -> Result<(), StoreError> {
    if !all.iter().any(Examined::is_nameless) {
        return Ok(());
    }
    // The later ones are the better ones.
    let mut known: Owners = in_snapshot(run).into_iter().collect();
    known.extend(all.iter().filter_map(|one| Some((one.replica, one.store?))));
    known.extend(made);
    if let Some(place) = run.store.found_place() {
        known.extend(run.known.native.iter().map(|&replica| (replica, place.id)));
    }
    let mut stores: BTreeSet<StoreId> = known.values().chain(owners.values()).copied().collect();
    let pieces = all.iter().flat_map(|one| &one.pieces);
    stores.extend(pieces.filter_map(|piece| match &piece.content {
        Content::Seal(seal) => Some(seal.store),
        _ => None,
    }));
    for one in all.iter_mut().filter(|one| one.is_nameless()) {
        let header = Hit::read(run, one);
        if header.is_whole() {
            // It says that it is another replica's, or of another run.
            continue;
        }
        let fits =
            |store: StoreId| chain(one, store).or_else(|| header.is_of(store).then_some(true));
        let candidates = stores.iter().copied().chain(header.store());
        let proven = candidates.into_iter().find(|&store| fits(store) == Some(true));
        let said = [&known, owners].into_iter().find_map(|said| said.get(&one.replica).copied());
        let Some(store) = proven.or(said.filter(|&store| fits(store).is_none())) else { continue };
        one.store = Some(store);
        for piece in &mut one.pieces {
            if let Content::Segment(segment) = &mut piece.content {
                segment.store = store;
            }
        }
    }
    Ok(())
}

/// What the newest snapshot says.
fn in_snapshot(run: &RunStore) -> Vec<(ReplicaId, StoreId)> {
    let newest = snapshots::newest(&*run.files(), &run.dir.join("snapshots"), None, &[]);
    let heads = newest.map(|stored| stored.snapshot.heads).unwrap_or_default();
    heads.into_iter().map(|(replica, head)| (replica, head.store)).collect()
}

/// Whether the chain fits when it begins with `store`; `None` where its beginning, or what follows it, is not there.
fn chain(one: &Examined, store: StoreId) -> Option<bool> {
    let mut segments = one.pieces.iter().filter_map(|piece| match &piece.content {
        Content::Segment(segment) => Some(segment),
        _ => None,
    });
    let first = segments.next().filter(|first| first.first == 1)?;
    let second = segments.next().filter(|second| second.first == first.last() + 1)?;
    let resolved = Segment { store, ..first.clone() }.resolve(&Head::genesis(store));
    Some(resolved.is_ok_and(|(_, head)| head.id == second.previous))
}

/// The bytes of a header that was hit.
struct Hit {
    run: String,
    replica: ReplicaId,
    bytes: Vec<u8>,
}

impl Hit {
    fn read(run: &RunStore, one: &Examined) -> Self {
        let beginning = |piece: &&Piece| (piece.file, piece.from) == (1, 0);
        let there = one.pieces.iter().find(beginning).is_some();
        let read = || run.files().read_part(&one.dir.join(file_name(1)), 0, HEADER_READ).ok();
        let bytes = if there { read().unwrap_or_default() } else { Vec::new() };
        Self { run: run.name.clone(), replica: one.replica, bytes }
    }

    /// Whether it was not hit.
    fn is_whole(&self) -> bool {
        frame::decode(&self.bytes).is_some_and(|frame| frame.kind == FrameKind::Header)
    }

    /// The store that it names, as far as it can be read.
    fn store(&self) -> Option<StoreId> {
        let body = self.bytes.get(frame::HEADER_BYTES..)?;
        let mut bodies = serde_json::Deserializer::from_slice(body).into_iter::<JournalHeader>();
        let header = bodies.next()?.ok()?;
        (header.replica == self.replica && header.run == self.run).then_some(header.store)
    }

    /// Whether its checksum is that of a header of `store`.
    fn is_of(&self, store: StoreId) -> bool {
        let Some(sum) = self.bytes.get(frame::SUM) else { return false };
        (0..=FORMAT.minor).any(|minor| {
            let format = FormatVersion { minor, ..FORMAT };
            let header =
                JournalHeader { format, replica: self.replica, store, run: self.run.clone() };
            let frame = header
                .body()
                .map(|body| frame::encode(FrameKind::Header, 0, EventId::GENESIS, &body));
            frame.is_ok_and(|frame| frame.get(frame::SUM) == Some(sum))
        })
    }
}
