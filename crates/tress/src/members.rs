//! Members: stores whose keys a run lists, so that whoever carries its events cannot forge any.
//!
//! ```text
//! local/PLACE/key                   this store's ed25519 key (RFC 8032), as hexadecimal digits; made when asked for
//! local/PLACE/trusted/RUN.members   the members that somebody here trusts, from whom all others follow
//! ```
//!
//! A store that trusts somebody takes from others only what members have
//! signed ([`Intake`]): what comes without is held back until its signature comes, and let go at the end
//! of the conversation. It takes no documents of others, which nobody signs: it seals its own. Where it is a member
//! itself, it signs what it holds when it meets others, and a moment after it wrote something ([`Run::sign`]).
//! Stores that trust nobody take everything, as ever, and so sign nothing; signatures are events to them.
//!
//! What this does not do: what is there when trust begins is taken as it is, and so are journals that come by another
//! way than a conversation (a synced folder). Keys and trust are in `local/`, which is to stay on its machine.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::sync::Arc;

use ring::signature::{ED25519, Ed25519KeyPair, KeyPair, UnparsedPublicKey};
use tress_engine::signed::{Key, Signed, Sound};
use tress_engine::{Log, Rejection};
use tress_model::event::Record;
use tress_model::operation::SignedHead;
use tress_model::{
    Author, Dot, Event, Operation, Role, Segment, StoreId, VersionVector, codec, limits,
};
use tress_store::StoreError;
use tress_store::files::write_whole;

use crate::core::Core;
use crate::error::Error;
use crate::exchange::{TakenIn, cut};
use crate::paths::end_of;
use crate::run::Run;

/// Who signs in the name of a store.
const SIGNER: &str = "tress";

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

    /// The members that somebody here trusts, from whom all others follow. Where there are some, only what
    /// members have signed is taken from others.
    ///
    /// # Errors
    /// When they cannot be read.
    pub fn trusted(&self) -> Result<BTreeMap<StoreId, Key>, Error> {
        let path = self.own_dir()?.join("trusted").join(format!("{}.members", self.name()));
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

    /// Trusts a member from now on. What is here already is taken as it is.
    ///
    /// # Errors
    /// When that cannot be written.
    pub fn trust(&self, member: Member) -> Result<(), Error> {
        let mut trusted = self.trusted()?;
        trusted.insert(member.store, member.key);
        self.write_trusted(self.name(), trusted)
    }

    /// Trusts in the run `name`, which is about to branch off, whom it trusts in this one.
    pub(crate) fn trust_alike(&self, name: &str) -> Result<(), Error> {
        let trusted = self.trusted()?;
        if trusted.is_empty() { Ok(()) } else { self.write_trusted(name, trusted) }
    }

    fn write_trusted(&self, name: &str, trusted: BTreeMap<StoreId, Key>) -> Result<(), Error> {
        // Not every name is one of a file.
        self.store_files().run_dir(name)?;
        let dir = self.own_dir()?.join("trusted");
        let path = dir.join(format!("{name}.members"));
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
            Ok(core.signatures.read(&core.log, &name, &trusted))
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
        let Some(secret) = secret else { return Ok(None) };
        let (name, store, trusted) = (self.name().to_owned(), self.place()?, self.trusted()?);
        if trusted.is_empty() {
            return Ok(None);
        }
        self.query(move |core| {
            core.poll()?;
            // Many conversations may ask for the same.
            if core.signatures.at.as_ref() == Some(core.log.version()) {
                return Ok(None);
            }
            core.make_whole()?;
            let signed = core.signatures.read(&core.log, &name, &trusted);
            core.signatures.at = Some(core.log.version().clone());
            if signed.members.get(&store) != Some(&secret.public()) {
                return Ok(None);
            }
            let heads = core.log.unsigned_heads(store, &signed);
            if heads.is_empty() {
                return Ok(None);
            }
            let all = heads.len() < limits::HEADS_SIGNED_MAX;
            let sign = |message: &[u8]| secret.0.sign(message).as_ref().to_vec();
            let event = core.sign(&name, heads, sign)?;
            core.signatures.at = all.then(|| core.log.version().clone());
            Ok(Some(event))
        })
        .await?
    }
}

/// What a run's core knows of signatures.
#[derive(Debug, Default)]
pub(crate) struct Signatures {
    sound: Sound,
    /// Where there was nothing to sign.
    at: Option<VersionVector>,
}

impl Signatures {
    fn read(&mut self, log: &Log, run: &str, roots: &BTreeMap<StoreId, Key>) -> Signed {
        log.signed(run, roots, &mut self.sound, &verify)
    }
}

impl Core {
    fn sign(
        &mut self,
        run: &str,
        heads: Vec<SignedHead>,
        sign: impl FnOnce(&[u8]) -> Vec<u8>,
    ) -> Result<Arc<Event>, Error> {
        let ids = self.writer()?;
        let author = Author::new(SIGNER, Role::Coordinator);
        let prepared = self.log.prepare_signature(run, ids, author, heads, self.now(), sign)?;
        let appended = self.append_prepared(prepared)?;
        appended.into_iter().next().ok_or(Error::Closed)
    }

    /// Takes in of `segments` what members have signed, with what is here.
    fn take_signed(
        &mut self,
        run: &str,
        segments: &[Segment],
        trusted: &BTreeMap<StoreId, Key>,
    ) -> Result<TakenIn, Error> {
        self.poll()?;
        self.make_whole()?;
        let mut pieces = Vec::new();
        let mut refused = Vec::new();
        cut(segments.to_vec(), &mut pieces, &mut refused);
        let part = self.signed_part(run, pieces, trusted);
        let mut taken = self.take_in(part)?;
        taken.refused.append(&mut refused);
        Ok(taken)
    }

    /// Of `pieces`, each as far as members have signed it.
    fn signed_part(
        &mut self,
        run: &str,
        mut pieces: Vec<Segment>,
        trusted: &BTreeMap<StoreId, Key>,
    ) -> Vec<Segment> {
        let mut part = Vec::new();
        for _ in 0..TRIALS {
            // What they would be, if all of them were true.
            let mut trial = self.log.clone();
            let known = trial.waits();
            let admission = trial.admit_all(pieces.iter().cloned(), Some(self.now()));
            trial.forget_waiting(&known);
            let signed = self.signatures.read(&trial, run, trusted);
            let covered = |replica| signed.covered.get(&replica).copied().unwrap_or_default();
            let covered_part = |piece: &Segment| {
                let count = (covered(piece.replica) + 1).checked_sub(piece.first)?;
                let count = usize::try_from(count).unwrap_or(usize::MAX);
                let records: Vec<_> = piece.records.iter().take(count).cloned().collect();
                is_of(&trial, Segment { records, ..piece.clone() })
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
                    && is_of(&trial, piece.clone()).is_some()
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

/// The piece, where it is what a log says: not another one under the same dots.
fn is_of(log: &Log, piece: Segment) -> Option<Segment> {
    let end = log.event(Dot::new(piece.replica, piece.last()))?.id;
    (!piece.records.is_empty() && end_of(&piece) == Some(end)).then_some(piece)
}

/// How many signatures may come until what is held is tried again, after tries that brought nothing.
const PAUSE_MAX: u32 = 64;

/// What comes in from others, in one conversation.
#[derive(Debug)]
pub(crate) struct Intake {
    trusted: BTreeMap<StoreId, Key>,
    /// What has no signature yet, or lacks causes that have none.
    held: Vec<Segment>,
    /// How many bytes that is.
    bytes: usize,
    /// A try costs the whole history: after one that brought nothing, so many signatures are passed over.
    pause: u32,
    passed: u32,
}

impl Intake {
    pub(crate) fn new(run: &Run) -> Result<Self, Error> {
        Ok(Self { trusted: run.trusted()?, held: Vec::new(), bytes: 0, pause: 0, passed: 0 })
    }

    /// Whether only what members have signed is taken.
    pub(crate) fn is_strict(&self) -> bool {
        !self.trusted.is_empty()
    }

    /// Takes in what may be taken. What is held is tried again when a signature comes.
    pub(crate) async fn take(
        &mut self,
        run: &Run,
        segments: Vec<Segment>,
    ) -> Result<TakenIn, Error> {
        if !self.is_strict() {
            return run.take_in(segments).await;
        }
        let signs = |record: &Record| matches!(record.operation, Operation::HeadsSigned { .. });
        let news = segments.iter().any(|segment| segment.records.iter().any(signs));
        self.hold(segments)?;
        if !news {
            return Ok(TakenIn::default());
        }
        if self.passed < self.pause {
            self.passed += 1;
            return Ok(TakenIn::default());
        }
        let taken = self.try_held(run).await?;
        self.pause = match taken.events.is_empty() {
            true => (2 * self.pause + 1).min(PAUSE_MAX),
            false => 0,
        };
        self.passed = 0;
        Ok(taken)
    }

    fn hold(&mut self, segments: Vec<Segment>) -> Result<(), Error> {
        for segment in segments {
            self.bytes += size(&segment);
            self.held.push(segment);
        }
        if self.bytes > limits::UNSIGNED_BYTES_MAX {
            let many = limits::UNSIGNED_BYTES_MAX >> 20;
            return Err(Error::Group(format!(
                "more than {many} MiB of events came that no member has signed: \
                 begin to trust only when all of the run is here"
            )));
        }
        Ok(())
    }

    /// Tries what is held once more: a signature may have come before what it covers.
    pub(crate) async fn settle(&mut self, run: &Run) -> Result<TakenIn, Error> {
        match self.held.is_empty() {
            true => Ok(TakenIn::default()),
            false => self.try_held(run).await,
        }
    }

    async fn try_held(&mut self, run: &Run) -> Result<TakenIn, Error> {
        let (name, held) = (run.name().to_owned(), self.held.clone());
        let trusted = self.trusted.clone();
        let taken = run.query(move |core| core.take_signed(&name, &held, &trusted)).await??;
        let version = run.durable().await?;
        self.held.retain(|segment| {
            let refused = |(other, _): &&(Segment, _)| {
                other.replica == segment.replica && other.first == segment.first
            };
            segment.last() > version.get(segment.replica)
                && !taken.refused.iter().any(|r| refused(&r))
        });
        self.bytes = self.held.iter().map(size).sum();
        Ok(taken)
    }

    /// How many events are held.
    pub(crate) fn unsigned(&self) -> usize {
        self.held.iter().map(|segment| segment.records.len()).sum()
    }
}

/// How many bytes a segment has, on the way.
fn size(segment: &Segment) -> usize {
    codec::encode_segment(segment).map_or(0, |bytes| bytes.len())
}

#[cfg(test)]
mod tests {
    use tress_model::{EventId, HybridTime, ReplicaId};

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
        let trusted = [(store, [1; 32])].into();
        let mut intake = Intake { trusted, held: Vec::new(), bytes: 0, pause: 0, passed: 0 };
        let piece = segment(1 << 19);
        let fits = limits::UNSIGNED_BYTES_MAX / size(&piece);
        intake.hold(vec![piece.clone(); fits]).unwrap();
        assert_eq!(intake.unsigned(), fits);
        let error = intake.hold(vec![piece]).unwrap_err().to_string();
        assert!(error.contains("64 MiB"), "{error}");
    }
}
