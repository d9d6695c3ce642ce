//! Members: stores whose keys a run lists, so that whoever carries its events cannot forge any.
//!
//! ```text
//! local/PLACE/key            this store's ed25519 key (RFC 8032), as hexadecimal digits; made when asked for
//! local/PLACE/trusted/RUN    the members that somebody here trusts, from whom all others follow
//! ```
//!
//! A store with a key that is a member signs what it wrote when it meets others, and a moment after it
//! wrote something ([`Run::sign`]). A store that trusts somebody takes from others only what members have
//! signed ([`Intake`]): what comes without is held back until its signature comes, and let go at the end
//! of the conversation. Stores that trust nobody take everything, as ever; signatures are events to them.
//!
//! What this does not do: journals that come by another way than a conversation (a synced folder) are
//! read as they are, and the documents are not signed.

use std::collections::BTreeMap;
use std::fmt;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::sync::Arc;

use ring::signature::{ED25519, Ed25519KeyPair, KeyPair, UnparsedPublicKey};
use tress_engine::signed::{Key, Signed};
use tress_model::event::Record;
use tress_model::operation::SignedHead;
use tress_model::{Author, Dot, Event, Operation, Role, Segment, StoreId, limits};
use tress_store::StoreError;
use tress_store::files::write_whole;

use crate::core::Core;
use crate::error::Error;
use crate::exchange::TakenIn;
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
        let mut seed = [0; 32];
        self.store_files().host().random(&mut seed).map_err(failed)?;
        std::fs::create_dir_all(&dir).map_err(failed)?;
        let mut options = std::fs::OpenOptions::new();
        options.write(true).create_new(true);
        // Nobody else reads it, not even for a moment.
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        let mut file = options.open(&path).map_err(failed)?;
        let written = file.write_all(format!("{}\n", hexadecimal(&seed)).as_bytes());
        written.and_then(|()| file.sync_all()).map_err(failed)?;
        self.member()?.ok_or(Error::Closed)
    }

    /// The members that somebody here trusts, from whom all others follow. Where there are some, only what
    /// members have signed is taken from others.
    ///
    /// # Errors
    /// When they cannot be read.
    pub fn trusted(&self) -> Result<BTreeMap<StoreId, Key>, Error> {
        let path = self.own_dir()?.join("trusted").join(self.name());
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

    /// Trusts a member from now on.
    ///
    /// # Errors
    /// When that cannot be written.
    pub fn trust(&self, member: Member) -> Result<(), Error> {
        let mut trusted = self.trusted()?;
        trusted.insert(member.store, member.key);
        let dir = self.own_dir()?.join("trusted");
        let path = dir.join(self.name());
        let lines = trusted.into_iter().map(|(store, key)| format!("{}\n", Member { store, key }));
        let text: String = lines.collect();
        let files = self.store_files().files();
        let failed = |error| StoreError::io("write", &path, error);
        files.create_dir(&dir).map_err(failed)?;
        write_whole(&**files, &path, text.as_bytes()).map_err(failed)?;
        Ok(())
    }

    /// Who the members are, and what they have signed. Reads the whole history.
    ///
    /// # Errors
    /// When it cannot be read.
    pub async fn signed(&self) -> Result<Signed, Error> {
        let trusted = self.trusted()?;
        self.query(move |core| {
            core.poll()?;
            core.make_whole()?;
            Ok(core.log.signed(&trusted, &verify))
        })
        .await?
    }

    /// Signs what this store wrote since it did so last, where it has a key and is a member, as far as it
    /// knows; and where there is something. Reads the whole history.
    ///
    /// # Errors
    /// When that cannot be read or written.
    pub async fn sign(&self) -> Result<Option<Arc<Event>>, Error> {
        let Some(secret) = self.secret()? else { return Ok(None) };
        let (store, mut trusted) = (self.place()?, self.trusted()?);
        if trusted.is_empty() {
            // Others may trust whom we do not know: we are whom we say.
            trusted.insert(store, secret.public());
        }
        self.query(move |core| {
            core.poll()?;
            // Many conversations may ask for the same.
            if core.signed_at.as_ref() == Some(core.log.version()) {
                return Ok(None);
            }
            core.make_whole()?;
            let signed = core.log.signed(&trusted, &verify);
            core.signed_at = Some(core.log.version().clone());
            if signed.members.get(&store) != Some(&secret.public()) {
                return Ok(None);
            }
            let heads = core.log.unsigned_heads(store, &signed);
            if heads.is_empty() {
                return Ok(None);
            }
            let event = core.sign(heads, |message| secret.0.sign(message).as_ref().to_vec())?;
            core.signed_at = Some(core.log.version().clone());
            Ok(Some(event))
        })
        .await?
    }
}

impl Core {
    fn sign(
        &mut self,
        heads: Vec<SignedHead>,
        sign: impl FnOnce(&[u8]) -> Vec<u8>,
    ) -> Result<Arc<Event>, Error> {
        let ids = self.writer()?;
        let author = Author::new(SIGNER, Role::Coordinator);
        let prepared = self.log.prepare_signature(ids, author, heads, self.now(), sign)?;
        let appended = self.append_prepared(prepared)?;
        appended.into_iter().next().ok_or(Error::Closed)
    }

    /// Of `segments`, each as far as members have signed it, with what is here.
    fn signed_part(
        &mut self,
        segments: &[Segment],
        trusted: &BTreeMap<StoreId, Key>,
    ) -> Result<Vec<Segment>, Error> {
        self.poll()?;
        self.make_whole()?;
        // What they would be, if all of them were true.
        let mut trial = self.log.clone();
        let known = trial.waits();
        // One that cannot be hashed harms no other.
        let cut = |segment: &Segment| tress_engine::sync::cut(vec![segment.clone()]);
        let pieces = segments.iter().filter_map(|segment| cut(segment).ok()).flatten();
        trial.admit_all(pieces, Some(self.now()));
        trial.forget_waiting(&known);
        let signed = trial.signed(trusted, &verify);
        let part = segments.iter().filter_map(|segment| {
            let covered = signed.covered.get(&segment.replica).copied().unwrap_or_default();
            let count = (covered + 1).checked_sub(segment.first).filter(|count| *count > 0)?;
            let count = usize::try_from(count).unwrap_or(usize::MAX);
            let records: Vec<Record> = segment.records.iter().take(count).cloned().collect();
            let part = Segment { records, ..segment.clone() };
            // Not another one under the dots of one that is signed.
            let end = trial.event(Dot::new(part.replica, part.last()))?.id;
            (end_of(&part) == Some(end)).then_some(part)
        });
        Ok(part.collect())
    }
}

/// What comes in from others, in one conversation.
#[derive(Debug)]
pub(crate) struct Intake {
    trusted: BTreeMap<StoreId, Key>,
    /// What has no signature yet, or lacks causes that have none.
    held: Vec<Segment>,
}

impl Intake {
    pub(crate) fn new(run: &Run) -> Result<Self, Error> {
        Ok(Self { trusted: run.trusted()?, held: Vec::new() })
    }

    /// Takes in what may be taken. What is held is tried again when a signature comes.
    pub(crate) async fn take(
        &mut self,
        run: &Run,
        segments: Vec<Segment>,
    ) -> Result<TakenIn, Error> {
        if self.trusted.is_empty() {
            return run.take_in(segments).await;
        }
        let signs = |record: &Record| matches!(record.operation, Operation::HeadsSigned { .. });
        let news = segments.iter().any(|segment| segment.records.iter().any(signs));
        self.held.extend(segments);
        if self.unsigned() > limits::UNSIGNED_MAX {
            let many = limits::UNSIGNED_MAX;
            return Err(Error::Group(format!("more than {many} events came without a signature")));
        }
        match news {
            true => self.try_held(run).await,
            false => Ok(TakenIn::default()),
        }
    }

    /// Tries what is held once more: a signature may have come before what it covers.
    pub(crate) async fn settle(&mut self, run: &Run) -> Result<TakenIn, Error> {
        match self.held.is_empty() {
            true => Ok(TakenIn::default()),
            false => self.try_held(run).await,
        }
    }

    async fn try_held(&mut self, run: &Run) -> Result<TakenIn, Error> {
        let (held, trusted) = (self.held.clone(), self.trusted.clone());
        let part = run.query(move |core| core.signed_part(&held, &trusted)).await??;
        let taken = run.take_in(part).await?;
        let version = run.durable().await?;
        self.held.retain(|segment| {
            let refused = |(other, _): &&(Segment, _)| {
                other.replica == segment.replica && other.first == segment.first
            };
            segment.last() > version.get(segment.replica)
                && !taken.refused.iter().any(|r| refused(&r))
        });
        Ok(taken)
    }

    /// How many events are held.
    pub(crate) fn unsigned(&self) -> usize {
        self.held.iter().map(|segment| segment.records.len()).sum()
    }
}
