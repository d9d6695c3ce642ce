//! Members: stores whose keys a run lists, so that whoever carries its events cannot forge any.
//!
//! ```text
//! local/PLACE/key        this store's ed25519 key (RFC 8032), as hexadecimal digits; made when asked for
//! local/PLACE/trusted    the members that somebody here trusts, from whom all others follow: `STORE:KEY` a line
//! ```
//!
//! A store that trusts somebody takes from others only what members have
//! signed, in all of its runs ([`Intake`]): what comes without is held back until its signature comes, and let go at
//! the end of the conversation. It takes no documents of others, which nobody signs: it seals its own. Where it is a
//! member itself, it signs what it holds when it meets others, and a moment after it wrote something ([`Run::sign`]).
//! Stores that trust nobody take everything, as ever, and so sign nothing; signatures are events to them.
//!
//! What this does not do: what is there when trust begins is taken as it is, and so are journals that come by another
//! way than a conversation (a synced folder) and run files that somebody merges. Keys and trust are in `local/`, which
//! is to stay on its machine. Whoever may write to a relay can keep others from getting what is there.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use ring::signature::{ED25519, Ed25519KeyPair, KeyPair, UnparsedPublicKey};
use tokio::time::Instant;
use tress_engine::signed::{Key, Known, Signed};
use tress_engine::{Draft, Log, Rejection};
use tress_model::event::Record;
use tress_model::operation::SignedHead;
use tress_model::{
    Author, Event, Operation, ReplicaId, Role, Segment, StoreId, Strands, VersionVector, codec,
    limits,
};
use tress_store::StoreError;
use tress_store::files::write_whole;

use crate::core::Core;
use crate::error::Error;
use crate::exchange::{TakenIn, cut};
use crate::paths::says;
use crate::run::Run;

/// Who signs in the name of a store.
const SIGNER: &str = "tress";

/// The file with those whom somebody here trusts.
const TRUSTED: &str = "trusted";

/// A store and its key, as one tells them to others: `STORE:KEY`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Member {
    /// The store: the place that it is.
    pub store: StoreId,
    /// Its ed25519 public key.
    pub key: Key,
}

impl fmt::Display for Member {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.store, hexadecimal(&self.key))
    }
}

impl FromStr for Member {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let parsed = text.trim().split_once(':').and_then(|(store, key)| {
            Some(Self { store: store.parse().ok()?, key: bytes_of(key)? })
        });
        parsed.ok_or_else(|| {
            "this is no member: copy the line that `tress members key` prints there".to_owned()
        })
    }
}

fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn bytes_of(text: &str) -> Option<[u8; 32]> {
    let digits = |pair: &[u8]| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok();
    let bytes: Option<Vec<u8>> = text.as_bytes().chunks(2).map(digits).collect();
    bytes.filter(|_| text.len() == 64)?.try_into().ok()
}

fn verify(key: &Key, message: &[u8], signature: &[u8]) -> bool {
    UnparsedPublicKey::new(&ED25519, key).verify(message, signature).is_ok()
}

/// A store's private key.
struct Secret(Ed25519KeyPair);

impl Secret {
    fn of(text: &str) -> Option<Self> {
        Ed25519KeyPair::from_seed_unchecked(&bytes_of(text.trim())?).ok().map(Self)
    }

    fn public(&self) -> Key {
        self.0.public_key().as_ref().try_into().unwrap_or_default()
    }
}

impl Run {
    fn own_dir(&self) -> Result<PathBuf, Error> {
        let local = self.store_dir().join("local");
        Ok(local.join(self.place()?.to_string()))
    }

    fn read_own(&self, path: &Path) -> Result<Option<String>, Error> {
        match self.store_files().files().read(path, 0) {
            Ok(bytes) => Ok(Some(String::from_utf8_lossy(&bytes).into_owned())),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(StoreError::io("read", path, error).into()),
        }
    }

    fn secret(&self) -> Result<Option<Secret>, Error> {
        let path = self.own_dir()?.join("key");
        let Some(text) = self.read_own(&path)? else { return Ok(None) };
        let secret = Secret::of(&text);
        secret.map(Some).ok_or_else(|| {
            let error = std::io::Error::other("it is no key: move it away, and make another");
            StoreError::io("use", &path, error).into()
        })
    }

    /// This store as a member, where it has a key.
    ///
    /// # Errors
    /// When its key cannot be read.
    pub fn member(&self) -> Result<Option<Member>, Error> {
        let secret = self.secret()?;
        let store = self.place()?;
        Ok(secret.map(|secret| Member { store, key: secret.public() }))
    }

    /// This store as a member; makes its key where it has none. That stays on this machine.
    ///
    /// # Errors
    /// When the key can be neither read nor written.
    pub fn create_member(&self) -> Result<Member, Error> {
        if let Some(member) = self.member()? {
            return Ok(member);
        }
        let dir = self.own_dir()?;
        let path = dir.join("key");
        let failed = |error| StoreError::io("write", &path, error);
        if !self.store_files().is_real() {
            let reason = std::io::Error::other("a store in memory has no key of its own");
            return Err(failed(reason).into());
        }
        let (mut seed, mut name) = ([0; 32], [0; 8]);
        let host = self.store_files().host();
        host.random(&mut seed).and_then(|()| host.random(&mut name)).map_err(failed)?;
        let files = self.store_files().files();
        files.create_dir(&dir).map_err(failed)?;
        let beside = dir.join(format!("key.{:016x}", u64::from_le_bytes(name)));
        let mut options = std::fs::OpenOptions::new();
        options.write(true).create_new(true);
        // Nobody else reads it, not even for a moment.
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        let mut file = options.open(&beside).map_err(failed)?;
        let written = file.write_all(format!("{}\n", hexadecimal(&seed)).as_bytes());
        let written = written.and_then(|()| file.sync_all());
        // Whole or not at all, and never in place of another one.
        let placed = written.and_then(|()| std::fs::hard_link(&beside, &path));
        let _ = files.remove(&beside);
        match placed {
            Err(error) if error.kind() != std::io::ErrorKind::AlreadyExists => {
                return Err(failed(error).into());
            }
            _ => files.sync_dir(&dir).map_err(failed)?,
        }
        self.member()?.ok_or(Error::Closed)
    }

    /// The members that somebody here trusts, from whom all others follow, in all runs of the store. Where there are
    /// some, only what members have signed is taken from others.
    ///
    /// # Errors
    /// When they cannot be read.
    pub fn trusted(&self) -> Result<BTreeMap<StoreId, Key>, Error> {
        let path = self.own_dir()?.join(TRUSTED);
        let text = self.read_own(&path)?.unwrap_or_default();
        let mut trusted = BTreeMap::new();
        for line in text.lines() {
            let member: Member = line.parse().map_err(|reason: String| {
                StoreError::io("understand", &path, std::io::Error::other(reason))
            })?;
            trusted.insert(member.store, member.key);
        }
        Ok(trusted)
    }

    /// Trusts a member from now on, in all runs of the store. What is here already is taken as it is.
    ///
    /// # Errors
    /// When that cannot be written.
    pub fn trust(&self, member: Member) -> Result<(), Error> {
        let mut trusted = self.trusted()?;
        trusted.insert(member.store, member.key);
        let dir = self.own_dir()?;
        let path = dir.join(TRUSTED);
        let lines = trusted.into_iter().map(|(store, key)| format!("{}\n", Member { store, key }));
        let text: String = lines.collect();
        let files = self.store_files().files();
        let failed = |error| StoreError::io("write", &path, error);
        files.create_dir(&dir).map_err(failed)?;
        write_whole(&**files, &path, text.as_bytes()).map_err(failed)?;
        Ok(())
    }

    /// Whether this store signs what it holds: it has a key, and trusts somebody.
    pub(crate) fn signs(&self) -> Result<bool, Error> {
        Ok(self.secret().is_ok_and(|secret| secret.is_some()) && !self.trusted()?.is_empty())
    }

    /// Who the members are, and what they have signed. Reads the whole history.
    ///
    /// # Errors
    /// When it cannot be read.
    pub async fn signed(&self) -> Result<Signed, Error> {
        let (name, trusted) = (self.name().to_owned(), self.trusted()?);
        self.query(move |core| {
            core.poll()?;
            core.make_whole()?;
            Ok(core.signatures.read_own(&core.log, &name, &trusted))
        })
        .await?
    }

    /// Signs what nobody has signed yet, where this store trusts somebody and is a member, as far as it
    /// knows; and where there is something. Reads the whole history.
    ///
    /// # Errors
    /// When that cannot be read or written.
    pub async fn sign(&self) -> Result<Option<Arc<Event>>, Error> {
        let secret = match self.secret() {
            Ok(secret) => secret,
            Err(error) => {
                // Others go on taking what was signed before.
                tracing::warn!(%error, "nothing is signed here");
                None
            }
        };
        let (Some(secret), trusted) = (secret, self.trusted()?) else { return Ok(None) };
        if trusted.is_empty() {
            return Ok(None);
        }
        let (name, store) = (self.name().to_owned(), self.place()?);
        self.query(move |core| {
            core.poll()?;
            // Many conversations may ask for the same.
            let now = |core: &Core| Some((core.log.version().clone(), trusted.clone()));
            if core.signatures.at == now(core) {
                return Ok(None);
            }
            core.make_whole()?;
            let signed = core.signatures.read_own(&core.log, &name, &trusted);
            core.signatures.at = now(core);
            if signed.members.get(&store) != Some(&secret.public()) {
                return Ok(None);
            }
            if core.log.unsigned_heads(store, &signed).is_empty() {
                return Ok(None);
            }
            // Whoever begins to write reads once more: what is signed is all that is cited.
            core.writer()?;
            core.poll()?;
            core.make_whole()?;
            let signed = match core.signatures.at == now(core) {
                true => signed,
                false => core.signatures.read_own(&core.log, &name, &trusted),
            };
            let heads = core.log.unsigned_heads(store, &signed);
            let all = heads.len() < limits::HEADS_SIGNED_MAX;
            let event = core.sign(&name, None, heads, &secret)?;
            core.signatures.at = now(core).filter(|_| all);
            Ok(Some(event))
        })
        .await?
    }

    /// Makes and ends members, in the name of this store: what `draft` says, and the signature behind it that makes it
    /// count. `None` where this store is no member itself, as far as it knows, or has no key: nothing was said then.
    ///
    /// # Errors
    /// When it cannot be written.
    pub async fn change_members(&self, draft: Draft) -> Result<Option<Arc<Event>>, Error> {
        let Some(secret) = self.secret()? else { return Ok(None) };
        let (name, store, trusted) = (self.name().to_owned(), self.place()?, self.trusted()?);
        self.query(move |core| {
            core.writer()?;
            core.poll()?;
            core.make_whole()?;
            let signed = core.signatures.read_own(&core.log, &name, &trusted);
            if signed.members.get(&store) != Some(&secret.public()) {
                return Ok(None);
            }
            let heads = core.log.unsigned_heads(store, &signed);
            core.sign(&name, Some(draft), heads, &secret).map(Some)
        })
        .await?
    }
}

/// What a run's core knows of signatures.
#[derive(Debug, Default)]
pub(crate) struct Signatures {
    known: Known,
    /// Where there was nothing to sign, and who was trusted then.
    at: Option<(VersionVector, BTreeMap<StoreId, Key>)>,
}

impl Signatures {
    /// Who the members are, by what is in the run.
    fn read_own(&mut self, log: &Log, run: &str, roots: &BTreeMap<StoreId, Key>) -> Signed {
        self.known.keep_all();
        log.signed(run, roots, &mut self.known, &verify)
    }

    /// The same, if what is tried were in it, after [`VERIFIED_MAX`] signatures were verified that are not
    /// known, at the most.
    fn read_trial(&mut self, log: &Log, run: &str, roots: &BTreeMap<StoreId, Key>) -> Signed {
        self.known.allow(VERIFIED_MAX);
        log.signed(run, roots, &mut self.known, &verify)
    }
}

impl Core {
    fn sign(
        &mut self,
        run: &str,
        said: Option<Draft>,
        heads: Vec<SignedHead>,
        secret: &Secret,
    ) -> Result<Arc<Event>, Error> {
        let ids = self.writer()?;
        let author = Author::new(SIGNER, Role::Coordinator);
        let (now, sign) = (self.now(), |message: &[u8]| secret.0.sign(message).as_ref().to_vec());
        let prepared = self.log.prepare_signature(run, ids, (said, author), heads, now, sign)?;
        let appended = self.append_prepared(prepared)?;
        appended.into_iter().last().ok_or(Error::Closed)
    }

    /// Takes in of `segments` what members have signed, with what is here; and whether there are more signatures
    /// than were verified.
    fn take_signed(
        &mut self,
        run: &str,
        segments: Vec<Segment>,
        trusted: &BTreeMap<StoreId, Key>,
    ) -> Result<(TakenIn, bool), Error> {
        self.poll()?;
        self.make_whole()?;
        let mut pieces = Vec::new();
        let mut refused = Vec::new();
        cut(segments, &mut pieces, &mut refused);
        let part = self.signed_part(run, pieces, trusted);
        let mut taken = self.take_in(part)?;
        taken.refused.append(&mut refused);
        Ok((taken, self.signatures.known.is_exhausted()))
    }

    /// Of `pieces`, each as far as members have signed it.
    fn signed_part(
        &mut self,
        run: &str,
        mut pieces: Vec<Segment>,
        trusted: &BTreeMap<StoreId, Key>,
    ) -> Vec<Segment> {
        let mut part = Vec::new();
        // What is here is known for good, and need not be verified again for what is tried.
        self.signatures.read_own(&self.log, run, trusted);
        for _ in 0..TRIALS {
            // What they would be, if all of them were true.
            let mut trial = self.log.clone();
            let known = trial.waits();
            let admission = trial.admit_all(pieces.iter().cloned(), Some(self.now()));
            trial.forget_waiting(&known);
            let signed = self.signatures.read_trial(&trial, run, trusted);
            let covered = |replica| signed.covered.get(&replica).copied().unwrap_or_default();
            let covered_part = |piece: &Segment| {
                let count = (covered(piece.replica) + 1).checked_sub(piece.first)?;
                let count = usize::try_from(count).unwrap_or(usize::MAX);
                let records: Vec<_> = piece.records.iter().take(count).cloned().collect();
                Some(Segment { records, ..piece.clone() }).filter(|part| says(&trial, part))
            };
            part = pieces.iter().filter_map(covered_part).collect();
            // Where two say different things of a chain, and the one that was believed is not signed, perhaps the
            // other is.
            let contested = |(segment, reason): &(Segment, Rejection)| {
                let differs =
                    matches!(reason, Rejection::Equivocation { .. } | Rejection::Chain(_));
                (differs && segment.last() > covered(segment.replica)).then_some(segment.replica)
            };
            let contested: BTreeSet<_> = admission.rejected.iter().filter_map(contested).collect();
            let believed = |piece: &Segment| {
                contested.contains(&piece.replica)
                    && piece.last() > covered(piece.replica)
                    && says(&trial, piece)
            };
            if !pieces.iter().any(believed) {
                break;
            }
            let next = pieces.iter().filter_map(|piece| match believed(piece) {
                true => covered_part(piece),
                false => Some(piece.clone()),
            });
            pieces = next.collect();
        }
        part
    }
}

/// How often different things that were said of the same events are tried one after the other.
const TRIALS: usize = 8;

/// How many signatures of others are verified at a time; that takes some fifty milliseconds.
const VERIFIED_MAX: usize = 1024;
/// How long what is held waits until it is tried again: the least, and the most after tries that brought nothing.
const WAIT: (Duration, Duration) = (Duration::from_millis(50), Duration::from_secs(5));

/// What comes in from others, in one conversation.
#[derive(Debug)]
pub(crate) struct Intake {
    trusted: BTreeMap<StoreId, Key>,
    /// What has no signature yet, or lacks causes that have none; each with the memory it takes.
    held: Vec<(usize, Segment)>,
    /// How much memory that is.
    bytes: usize,
    /// How many events were let go, since they were too many.
    let_go: usize,
    /// A try costs the whole history: when the next one is due, and how long after it another one.
    due: Option<Instant>,
    wait: Duration,
}

impl Intake {
    pub(crate) fn new(run: &Run) -> Result<Self, Error> {
        let intake = Self::of(run.trusted()?);
        if intake.is_strict() && run.strands() != Strands::ALL {
            // A carrier could leave out who is a member.
            let reason = "a run that keeps only some strands cannot tell what members signed: \
                          begin it in a store that trusts nobody";
            return Err(Error::Group(reason.to_owned()));
        }
        Ok(intake)
    }

    const fn of(trusted: BTreeMap<StoreId, Key>) -> Self {
        Self { trusted, held: Vec::new(), bytes: 0, let_go: 0, due: None, wait: WAIT.0 }
    }

    /// Whether only what members have signed is taken.
    pub(crate) fn is_strict(&self) -> bool {
        !self.trusted.is_empty()
    }

    /// Whether those are trusted still that were when it began.
    pub(crate) fn is_current(&self, run: &Run) -> Result<bool, Error> {
        Ok(self.trusted == run.trusted()?)
    }

    /// When what is held is to be tried again.
    pub(crate) fn due(&self) -> Option<Instant> {
        self.due.filter(|_| !self.held.is_empty())
    }

    /// Takes in what may be taken. What is held is tried a moment later, where a signature came.
    pub(crate) async fn take(
        &mut self,
        run: &Run,
        segments: Vec<Segment>,
    ) -> Result<TakenIn, Error> {
        if !self.is_strict() {
            return run.take_in(segments).await;
        }
        self.hold(segments);
        // One may also have come before what it covers.
        let signs = |record: &Record| matches!(record.operation, Operation::HeadsSigned { .. });
        if self.held.iter().any(|(_, segment)| segment.records.iter().any(signs)) {
            self.due.get_or_insert_with(|| Instant::now() + self.wait);
        }
        match self.due {
            Some(due) if due <= Instant::now() => self.settle(run).await,
            _ => Ok(TakenIn::default()),
        }
    }

    /// What else is here by now may tell who signed what is held.
    pub(crate) fn reconsider(&mut self) {
        if !self.held.is_empty() {
            self.due.get_or_insert_with(|| Instant::now() + self.wait);
        }
    }

    /// Holds segments. Where that is too much, what the replicas with the most of it wrote is let go; it comes again in
    /// the next conversation.
    fn hold(&mut self, segments: Vec<Segment>) {
        self.held.extend(segments.into_iter().map(|segment| (size(&segment), segment)));
        self.bytes = self.held.iter().map(|(bytes, _)| bytes).sum();
        if self.bytes <= limits::UNSIGNED_BYTES_MAX {
            return;
        }
        let mut sizes: BTreeMap<ReplicaId, usize> = BTreeMap::new();
        for (bytes, segment) in &self.held {
            *sizes.entry(segment.replica).or_default() += bytes;
        }
        let mut largest: Vec<_> =
            sizes.into_iter().map(|(replica, bytes)| (bytes, replica)).collect();
        largest.sort_unstable_by(|a, b| b.cmp(a));
        let mut gone = BTreeSet::new();
        for (bytes, replica) in largest {
            if self.bytes <= limits::UNSIGNED_BYTES_MAX {
                break;
            }
            self.bytes -= bytes;
            gone.insert(replica);
        }
        let before = self.events();
        self.held.retain(|(_, segment)| !gone.contains(&segment.replica));
        self.let_go += before - self.events();
        let (replicas, events) = (gone.len(), before - self.events());
        tracing::warn!(replicas, events, "too many unsigned events came; these were let go");
    }

    /// Tries what is held once more: a signature may have come before what it covers.
    pub(crate) async fn settle(&mut self, run: &Run) -> Result<TakenIn, Error> {
        let mut all = TakenIn::default();
        // More than are remembered would be verified again and again.
        for _ in 0..limits::SIGNATURES_KNOWN_MAX / VERIFIED_MAX {
            if self.held.is_empty() {
                break;
            }
            let (taken, more) = self.try_held(run).await?;
            let new = !taken.events.is_empty();
            all.events.extend(taken.events);
            all.refused.extend(taken.refused);
            all.waiting = taken.waiting;
            if more {
                continue;
            }
            self.wait = if new { WAIT.0 } else { (2 * self.wait).min(WAIT.1) };
            break;
        }
        self.due = None;
        Ok(all)
    }

    async fn try_held(&mut self, run: &Run) -> Result<(TakenIn, bool), Error> {
        let held = self.held.iter().map(|(_, segment)| segment.clone()).collect();
        let name = run.name().to_owned();
        let trusted = self.trusted.clone();
        let tried = run.query(move |core| core.take_signed(&name, held, &trusted));
        let (taken, more) = tried.await??;
        let version = run.durable().await?;
        self.held.retain(|(_, segment)| {
            let refused = |(other, _): &&(Segment, _)| {
                other.replica == segment.replica && other.first == segment.first
            };
            segment.last() > version.get(segment.replica)
                && !taken.refused.iter().any(|r| refused(&r))
        });
        self.bytes = self.held.iter().map(|(bytes, _)| bytes).sum();
        Ok((taken, more))
    }

    /// How many events came without a signature: those that are held, and those that were let go.
    pub(crate) fn unsigned(&self) -> usize {
        self.events() + self.let_go
    }

    fn events(&self) -> usize {
        self.held.iter().map(|(_, segment)| segment.records.len()).sum()
    }
}

/// About how much memory a segment takes.
fn size(segment: &Segment) -> usize {
    let content = codec::encode_segment(segment).map_or(0, |bytes| bytes.len());
    size_of::<Segment>() + segment.records.len() * size_of::<Record>() + content
}

#[cfg(test)]
mod tests {
    use tress_model::{EventId, HybridTime};

    use super::*;

    #[test]
    fn no_more_is_held_than_may_be() {
        let note = |bytes| Operation::Unknown(vec![0; bytes]);
        let record = |bytes| Record {
            time: HybridTime::default(),
            occurred: None,
            author: Author::new("ada", Role::Human),
            learned: Vec::new(),
            operation: note(bytes),
        };
        let (replica, store, previous) = (ReplicaId([1; 16]), StoreId([1; 16]), EventId::GENESIS);
        let segment =
            |bytes| Segment { replica, store, first: 1, previous, records: vec![record(bytes)] };
        let mut intake = Intake::of([(store, [1; 32])].into());
        let other = Segment { replica: ReplicaId([2; 16]), ..segment(100) };
        intake.hold(vec![other]);
        let piece = segment(1 << 19);
        let fits = (limits::UNSIGNED_BYTES_MAX - intake.bytes) / size(&piece);
        intake.hold(vec![piece.clone(); fits]);
        assert_eq!(intake.events(), fits + 1);
        intake.hold(vec![piece]);
        assert_eq!(intake.events(), 1, "the small one is not held up by the large one");
        assert_eq!(intake.unsigned(), fits + 2);
        assert!(intake.bytes < 1000);
    }

    /// Each of them was let go by itself, after all that was held had been encoded anew.
    #[test]
    fn many_small_replicas_are_let_go_at_once() {
        let mut intake = Intake::of([(StoreId([1; 16]), [1; 32])].into());
        let segment = |number: u32| {
            let mut replica = [0; 16];
            replica[..4].copy_from_slice(&number.to_be_bytes());
            let record = Record {
                time: HybridTime::default(),
                occurred: None,
                author: Author::new("eve", Role::Human),
                learned: Vec::new(),
                operation: Operation::Unknown(vec![99; 8]),
            };
            let (replica, store) = (ReplicaId(replica), StoreId([7; 16]));
            Segment { replica, store, first: 1, previous: EventId::GENESIS, records: vec![record] }
        };
        let count = (2 * limits::UNSIGNED_BYTES_MAX / size(&segment(0))) as u32;
        intake.hold((0..count).map(segment).collect());
        assert!(intake.bytes <= limits::UNSIGNED_BYTES_MAX);
        assert_eq!(intake.unsigned(), count as usize);
        assert!(intake.events() > count as usize / 3);
    }
}
