//! Automerge's own sync protocol, for stock clients that follow a document.
//!
//! What a client sends is taken apart first: its changes come in by
//! [`Document::apply_foreign`] like all that nobody vouches for, and only then the message moves the
//! state of the conversation on. So a hostile message costs its own conversation and nothing else.
//!
//! Only the first form of the messages is spoken (single changes), and nothing else is offered: in the
//! second one a client sends bundles or whole documents, which cannot be checked change by change.

use std::collections::BTreeSet;

use automerge::ReadDoc;
use automerge::sync::{ChunkList, Message, State, SyncDoc};

use crate::document::{Document, fence};
use crate::error::DocumentError;
use crate::history;
use crate::limits::{FOREIGN_BYTES_MAX, SYNC_FILTERS_MAX, SYNC_HASHES_MAX, SYNC_PROBES_MAX};

/// What this side knows of a client that follows a document.
#[derive(Debug, Default)]
pub struct Follower {
    state: State,
    /// Changes whose causes have not come yet. A client leaves out what it takes for known here, by a Bloom
    /// filter that is wrong once in a hundred times, and says no change a second time.
    waiting: Vec<Vec<u8>>,
}

impl Follower {
    /// What waited for causes, and then `changes`: what there is to be taken in now.
    pub fn with_waiting(&mut self, changes: Vec<Vec<u8>>) -> Vec<Vec<u8>> {
        let mut all = std::mem::take(&mut self.waiting);
        all.extend(changes);
        all
    }

    /// Keeps changes whose causes have not come; the next message asks for these.
    ///
    /// # Errors
    /// When they are over [`FOREIGN_BYTES_MAX`] together.
    pub fn wait(&mut self, changes: Vec<Vec<u8>>) -> Result<(), DocumentError> {
        if changes.iter().map(Vec::len).sum::<usize>() > FOREIGN_BYTES_MAX {
            let reason = "too much of it waits for causes that do not come".to_owned();
            return Err(DocumentError::Batch { reason });
        }
        self.waiting = changes;
        Ok(())
    }
}

/// A message of a client, taken apart.
#[derive(Debug)]
pub struct Heard {
    /// The changes in it, each in its own bytes.
    pub changes: Vec<Vec<u8>>,
    rest: Message,
}

impl Heard {
    /// Reads a message of Automerge's sync protocol.
    ///
    /// # Errors
    /// When it is none, or brings anything but single changes.
    pub fn read(bytes: &[u8]) -> Result<Self, DocumentError> {
        let refused = |reason: String| DocumentError::Batch { reason };
        let message = fence(|| Message::decode(bytes)).map_err(refused)?;
        let mut rest = message.map_err(|error| refused(error.to_string()))?;
        check(&rest).map_err(|reason| refused(reason.to_owned()))?;
        let mut changes = Vec::new();
        for chunks in rest.changes.iter() {
            split(chunks, &mut changes).map_err(refused)?;
        }
        rest.changes = ChunkList::empty();
        rest.flags = None;
        Ok(Self { changes, rest })
    }
}

/// What a message may make Automerge do: it allocates as many probes of a Bloom filter as the filter says,
/// divides by its bits, and looks at each change of the document once for each filter.
fn check(message: &Message) -> Result<(), &'static str> {
    let hashes = [message.heads.len(), message.need.len(), message.have.len()];
    let most = [SYNC_HASHES_MAX, SYNC_HASHES_MAX, SYNC_FILTERS_MAX];
    if hashes.iter().zip(most).any(|(found, most)| *found > most) {
        return Err("it names more heads, needs or filters than are looked at");
    }
    for have in &message.have {
        if have.last_sync.len() > SYNC_HASHES_MAX {
            return Err("it names more heads than are looked at");
        }
        let filter = have.bloom.to_bytes();
        let mut rest = filter.as_slice();
        if rest.is_empty() {
            continue;
        }
        let _entries = number(&mut rest);
        let (bits, probes) = (number(&mut rest), number(&mut rest));
        if !(1..=64).contains(&bits) || !(1..=SYNC_PROBES_MAX).contains(&probes) || rest.is_empty()
        {
            return Err("its filter is none that Automerge makes");
        }
    }
    Ok(())
}

/// The number (LEB128) that `bytes` begin with; they go on behind it.
fn number(bytes: &mut &[u8]) -> u64 {
    let (mut value, mut shift) = (0, 0);
    while let Some((byte, rest)) = bytes.split_first() {
        *bytes = rest;
        value |= u64::from(byte & 0x7f).checked_shl(shift).unwrap_or(0);
        shift += 7;
        if byte & 0x80 == 0 {
            break;
        }
    }
    value
}

/// Takes chunks that stand one behind the other apart: magic (4 bytes), checksum (4), kind (1), length
/// (LEB128), body.
fn split(mut bytes: &[u8], into: &mut Vec<Vec<u8>>) -> Result<(), String> {
    const CHANGES: [u8; 2] = [1, 2];
    while !bytes.is_empty() {
        let kind = bytes.get(8).ok_or("a chunk is cut off")?;
        if !CHANGES.contains(kind) {
            return Err("it brings something else than changes".to_owned());
        }
        let (mut length, mut at) = (0_usize, 9);
        for shift in (0..28).step_by(7) {
            let byte = *bytes.get(at).ok_or("a chunk is cut off")?;
            length |= usize::from(byte & 0x7f) << shift;
            at += 1;
            if byte & 0x80 == 0 {
                break;
            }
        }
        let (chunk, rest) = bytes.split_at_checked(at + length).ok_or("a chunk is cut off")?;
        into.push(chunk.to_vec());
        bytes = rest;
    }
    Ok(())
}

impl Document {
    /// Moves the conversation with a client on by what it said; the document already holds those of
    /// its changes that were taken.
    ///
    /// # Errors
    /// When Automerge refuses it.
    pub fn heard(&mut self, follower: &mut Follower, heard: Heard) -> Result<(), DocumentError> {
        let refused = |reason: String| DocumentError::Batch { reason };
        let doc = self.doc_mut();
        let moved = fence(|| doc.receive_sync_message(&mut follower.state, heard.rest));
        moved.map_err(refused)?.map_err(|error| refused(error.to_string()))
    }

    /// What there is to tell the client; nothing where it has all, or has yet to answer. It is asked for
    /// the causes of what waits ([`Follower::wait`]).
    ///
    /// # Errors
    /// When Automerge cannot say.
    pub fn tell(&self, follower: &mut Follower) -> Result<Option<Vec<u8>>, DocumentError> {
        let refused = |reason: String| DocumentError::Batch { reason };
        let doc = self.doc();
        let told = fence(|| doc.generate_sync_message(&mut follower.state)).map_err(refused)?;
        let Some(mut told) = told else { return Ok(None) };
        told.flags = None;
        if !follower.waiting.is_empty() {
            let parsed = follower.waiting.iter().enumerate().map(|(index, bytes)| {
                let parsed = fence(|| history::parse(index, bytes)).and_then(|parsed| parsed);
                parsed.map(|incoming| incoming.change)
            });
            let waiting: Vec<_> = parsed.collect::<Result<_, _>>().map_err(refused)?;
            let here: BTreeSet<_> = waiting.iter().map(|change| change.hash()).collect();
            let causes = waiting.iter().flat_map(|change| change.deps()).copied();
            let need: BTreeSet<_> = told.need.iter().copied().chain(causes).collect();
            let lacks = |hash: &_| !here.contains(hash) && doc.get_change_by_hash(hash).is_none();
            told.need = need.into_iter().filter(lacks).collect();
        }
        Ok(Some(told.encode()))
    }
}

#[cfg(test)]
mod tests {
    use automerge::transaction::Transactable;
    use automerge::{AutoCommit, ROOT};
    use tress_model::{State as RunState, StoreId, Strand};

    use super::*;
    use crate::projection::project;

    /// What the client says next.
    fn next(client: &mut AutoCommit, state: &mut State) -> Option<Heard> {
        let said = client.sync().generate_sync_message(state)?;
        Some(Heard::read(&said.encode()).unwrap())
    }

    /// What is told, as the client takes it.
    fn take(client: &mut AutoCommit, state: &mut State, told: Option<Vec<u8>>) {
        let Some(told) = told else { return };
        let told = Message::decode(&told).unwrap();
        client.sync().receive_sync_message(state, told).unwrap();
    }

    #[test]
    fn a_change_that_a_filter_hides_is_asked_for() {
        let mut document = Document::new(Strand::Todo, StoreId([7; 16]));
        let desired = project(&RunState::default(), Strand::Todo);
        document.seal(&desired, "a seal").unwrap();
        let (mut follower, mut state) = (Follower::default(), State::new());
        let mut client = AutoCommit::new();
        while let Some(heard) = next(&mut client, &mut state) {
            document.heard(&mut follower, heard).unwrap();
            take(&mut client, &mut state, document.tell(&mut follower).unwrap());
        }
        assert_eq!(client.get_heads().len(), 1);
        // Something new here, so that the next filter is not empty.
        client.put(ROOT, "run", "mine").unwrap();
        let heard = next(&mut client, &mut state).unwrap();
        document.apply_of_client(&heard.changes).unwrap();
        document.seal(&desired, "put back").unwrap();
        document.heard(&mut follower, heard).unwrap();
        take(&mut client, &mut state, document.tell(&mut follower).unwrap());
        // The first of two changes is taken for known, and only the second is said.
        let mut hidden = None;
        for number in 0..100_000 {
            let (mut one, mut its) = (client.fork(), state.clone());
            for value in [number, -1] {
                one.put(ROOT, "run", value).unwrap();
                one.commit();
            }
            let heard = next(&mut one, &mut its).unwrap();
            if heard.changes.len() == 1 {
                let applied = document.clone().apply_of_client(&heard.changes).unwrap();
                if applied.waiting == [0] {
                    hidden = Some((one, its, heard));
                    break;
                }
            }
        }
        let (mut client, mut state, mut heard) = hidden.expect("no filter is perfect");
        for _ in 0..10 {
            let changes = follower.with_waiting(std::mem::take(&mut heard.changes));
            let applied = document.apply_of_client(&changes).unwrap();
            let waiting = applied.waiting.iter().map(|at| changes[*at].clone());
            follower.wait(waiting.collect()).unwrap();
            document.heard(&mut follower, heard).unwrap();
            take(&mut client, &mut state, document.tell(&mut follower).unwrap());
            let Some(said) = next(&mut client, &mut state) else { break };
            heard = said;
        }
        let heads: Vec<[u8; 32]> = client.get_heads().iter().map(|head| head.0).collect();
        assert_eq!(document.heads(), heads);
    }

    #[test]
    fn what_waits_is_bounded() {
        let mut follower = Follower::default();
        assert!(follower.wait(vec![vec![0; FOREIGN_BYTES_MAX]]).is_ok());
        assert!(follower.wait(vec![vec![0; FOREIGN_BYTES_MAX], vec![0]]).is_err());
    }

    /// A message without heads, with one filter: so many entries, bits an entry, and probes.
    fn message(filters: usize, entries: u8, bits: u8, probes: u32) -> Vec<u8> {
        let mut bytes = vec![0x42, 0, 0];
        let leb = |bytes: &mut Vec<u8>, mut value: u32| {
            while value > 0x7f {
                bytes.push(value as u8 | 0x80);
                value >>= 7;
            }
            bytes.push(value as u8);
        };
        leb(&mut bytes, filters as u32);
        for _ in 0..filters {
            let mut filter = vec![entries, bits];
            leb(&mut filter, probes);
            filter.extend(vec![0xff; (usize::from(entries) * usize::from(bits)).div_ceil(8)]);
            bytes.push(0);
            bytes.push(filter.len() as u8);
            bytes.extend(filter);
        }
        bytes.push(0);
        bytes
    }

    #[test]
    fn a_filter_that_would_take_all_memory_is_refused_and_one_at_the_limits_is_not() {
        let read = |bytes: &[u8]| Heard::read(bytes).map(|_| ());
        let most = SYNC_PROBES_MAX as u32;
        assert_eq!(read(&message(1, 1, 10, 7)), Ok(()));
        assert_eq!(read(&message(SYNC_FILTERS_MAX, 1, 64, most)), Ok(()));
        for wrong in [
            message(1, 1, 10, u32::MAX),
            message(1, 1, 10, most + 1),
            message(1, 1, 10, 0),
            message(1, 1, 0, 7),
            message(1, 1, 65, 7),
            message(SYNC_FILTERS_MAX + 1, 1, 10, 7),
        ] {
            assert!(read(&wrong).is_err());
        }
    }

    #[test]
    fn bytes_that_are_no_message_are_refused() {
        for bytes in [&b""[..], b"x", &[0x42], &[0x43, 0xff, 0xff, 0xff, 0xff, 0x0f], &[0x42; 100]]
        {
            assert!(Heard::read(bytes).is_err());
        }
        for chunks in [&[0; 3][..], &[0; 20], &[1; 9], &[0, 0, 0, 0, 0, 0, 0, 0, 1, 0xff, 0xff]] {
            assert!(split(chunks, &mut Vec::new()).is_err(), "{chunks:?}");
        }
    }
}
