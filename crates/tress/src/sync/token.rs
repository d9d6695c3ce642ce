//! Tokens: who may talk to a hub, about what, and in which role.
//!
//! A token is shown once, when it is made; what is kept is a hash of its secret, in
//! `.tress/local/tokens.json`, which only the owner of the store can read. A secret has 256 random bits,
//! so a plain hash cannot be guessed backwards; hashes are compared in constant time.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use tress_model::{Millis, Role};

/// How many tokens a store keeps; those that are revoked or have expired make room.
pub const TOKENS_MAX: usize = 1024;
/// What a token begins with.
const PREFIX: &str = "tress_";

/// What a token allows.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Grant {
    /// What it is called, in lists and logs.
    pub id: String,
    /// What it is for, in the words of who made it.
    #[serde(default)]
    pub name: String,
    /// The only run, where it is limited to one.
    #[serde(default)]
    pub run: Option<String>,
    /// The only role in which its events may be written, where it is limited to one.
    #[serde(default)]
    pub role: Option<Role>,
    /// Whether its holder may write at all.
    pub write: bool,
    /// When it was made.
    pub made: Millis,
    /// When it ends, if ever.
    #[serde(default)]
    pub expires: Option<Millis>,
    /// When it was taken back, if it was.
    #[serde(default)]
    pub revoked: Option<Millis>,
}

#[derive(Serialize, Deserialize)]
struct Kept {
    #[serde(flatten)]
    grant: Grant,
    hash: String,
}

/// Why a token is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TokenRefused {
    /// There is none.
    #[error(
        "a token is needed: make one with `tress token create` where the hub is, and set TRESS_TOKEN"
    )]
    Missing,
    /// Nobody made it here, or it is not whole.
    #[error("this token is not known here")]
    Unknown,
    /// It has expired.
    #[error("the token {0} has expired: make another one")]
    Expired(String),
    /// It was taken back.
    #[error("the token {0} was revoked: ask for another one")]
    Revoked(String),
    /// It is for another run.
    #[error("the token {0} is for the run {1:?}")]
    OtherRun(String, String),
    /// The tokens cannot be read.
    #[error("the hub cannot read its tokens: {0}")]
    Unreadable(String),
}

/// The tokens of a store.
#[derive(Debug, Clone)]
pub struct Tokens {
    path: PathBuf,
}

fn hash(secret: &str) -> blake3::Hash {
    blake3::Hasher::new_derive_key("tress 2026 secret of a hub token, v1")
        .update(secret.as_bytes())
        .finalize()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

impl Tokens {
    /// The tokens of the store in `dir`, which is the `.tress` directory itself.
    pub fn of(dir: &Path) -> Self {
        Self { path: dir.join("local").join("tokens.json") }
    }

    /// Makes a token that allows what `grant` says; its id is chosen here. Gives the grant as it is
    /// kept, and the token, which nobody can be told again.
    ///
    /// # Errors
    /// When it cannot be kept, or there are too many.
    pub fn create(&self, grant: Grant) -> io::Result<(Grant, String)> {
        let mut random = [0; 36];
        getrandom::fill(&mut random).map_err(io::Error::other)?;
        let (id, secret) = random.split_at(4);
        let (id, secret) = (hex(id), hex(secret));
        let grant = Grant { id: id.clone(), ..grant };
        self.change(|kept| {
            kept.retain(|known| {
                let over = known.grant.expires.is_some_and(|at| at < grant.made);
                kept_long(&known.grant, grant.made) && !over
            });
            if kept.len() >= TOKENS_MAX {
                let reason = format!("there are {TOKENS_MAX} tokens already: revoke some");
                return Err(io::Error::other(reason));
            }
            kept.push(Kept { grant: grant.clone(), hash: hash(&secret).to_hex().to_string() });
            Ok(())
        })?;
        Ok((grant, format!("{PREFIX}{id}_{secret}")))
    }

    /// All that are kept, in the order in which they were made.
    ///
    /// # Errors
    /// When they cannot be read.
    pub fn list(&self) -> io::Result<Vec<Grant>> {
        Ok(self.read()?.into_iter().map(|kept| kept.grant).collect())
    }

    /// Takes back the one whose id begins with `id`; `None` where there is none, or more than one.
    ///
    /// # Errors
    /// When that cannot be kept.
    pub fn revoke(&self, id: &str, now: Millis) -> io::Result<Option<Grant>> {
        self.change(|kept| {
            let mut found = kept.iter_mut().filter(|known| known.grant.id.starts_with(id));
            let (Some(known), None) = (found.next(), found.next()) else { return Ok(None) };
            known.grant.revoked.get_or_insert(now);
            Ok(Some(known.grant.clone()))
        })
    }

    /// What `token` allows about `run` at `now`.
    ///
    /// # Errors
    /// Why it is refused.
    pub fn check(
        &self,
        token: Option<&str>,
        run: &str,
        now: Millis,
    ) -> Result<Grant, TokenRefused> {
        let token = token.filter(|token| !token.is_empty()).ok_or(TokenRefused::Missing)?;
        let parts = token.strip_prefix(PREFIX).and_then(|rest| rest.split_once('_'));
        let (id, secret) = parts.ok_or(TokenRefused::Unknown)?;
        let kept = self.read().map_err(|error| TokenRefused::Unreadable(error.to_string()))?;
        let known = kept.into_iter().find(|known| known.grant.id == id);
        // Compared also where there is none of that id, so that time tells nothing.
        let kept_hash = known.as_ref().and_then(|known| blake3::Hash::from_hex(&known.hash).ok());
        let same = hash(secret) == kept_hash.unwrap_or_else(|| hash(""));
        let grant =
            known.filter(|_| same && kept_hash.is_some()).ok_or(TokenRefused::Unknown)?.grant;
        self.still(&grant, now)?;
        match &grant.run {
            Some(only) if only != run => Err(TokenRefused::OtherRun(grant.id, only.clone())),
            _ => Ok(grant),
        }
    }

    /// Whether a grant that was given still holds at `now`.
    ///
    /// # Errors
    /// Why it does not.
    pub fn holds(&self, grant: &Grant, now: Millis) -> Result<(), TokenRefused> {
        let kept = self.read().map_err(|error| TokenRefused::Unreadable(error.to_string()))?;
        let known = kept.into_iter().find(|known| known.grant.id == grant.id);
        self.still(&known.ok_or(TokenRefused::Unknown)?.grant, now)
    }

    fn still(&self, grant: &Grant, now: Millis) -> Result<(), TokenRefused> {
        if grant.revoked.is_some() {
            return Err(TokenRefused::Revoked(grant.id.clone()));
        }
        match grant.expires {
            Some(at) if at <= now => Err(TokenRefused::Expired(grant.id.clone())),
            _ => Ok(()),
        }
    }

    fn read(&self) -> io::Result<Vec<Kept>> {
        let text = match std::fs::read_to_string(&self.path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            read => read?,
        };
        serde_json::from_str(&text).map_err(io::Error::other)
    }

    /// Changes the tokens, one process at a time, whole or not at all.
    fn change<T>(&self, change: impl FnOnce(&mut Vec<Kept>) -> io::Result<T>) -> io::Result<T> {
        let lock = File::create(self.path.with_extension("lock"))?;
        lock.lock()?;
        let mut kept = self.read()?;
        let changed = change(&mut kept)?;
        let new = self.path.with_extension("json.new");
        let mut options = OpenOptions::new();
        options.write(true).create(true).truncate(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        let mut file = options.open(&new)?;
        file.write_all(&serde_json::to_vec_pretty(&kept)?)?;
        file.sync_all()?;
        std::fs::rename(&new, &self.path)?;
        // What was revoked stays so, also after a power cut.
        self.path.parent().map_or(Ok(()), |dir| File::open(dir)?.sync_all())?;
        Ok(changed)
    }
}

/// Whether a revoked token is still worth a line in the list: for a month.
fn kept_long(grant: &Grant, now: Millis) -> bool {
    const MONTH: Millis = 30 * 24 * 60 * 60 * 1000;
    grant.revoked.is_none_or(|at| at + MONTH > now)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn grant(run: Option<&str>, expires: Option<Millis>) -> Grant {
        Grant {
            id: String::new(),
            name: "ci".to_owned(),
            run: run.map(str::to_owned),
            role: None,
            write: true,
            made: 1_000,
            expires,
            revoked: None,
        }
    }

    #[test]
    fn each_wrong_token_gets_the_right_refusal() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir(dir.path().join("local")).unwrap();
        let tokens = Tokens::of(dir.path());
        let check = |token: &str, run: &str| tokens.check(Some(token), run, 2_000);
        assert_eq!(tokens.check(None, "main", 2_000), Err(TokenRefused::Missing));
        assert_eq!(check("", "main"), Err(TokenRefused::Missing));
        let (made, token) = tokens.create(grant(Some("main"), Some(3_000))).unwrap();
        assert_eq!(check(&token, "main"), Ok(made.clone()));
        assert_eq!(
            check(&token, "other"),
            Err(TokenRefused::OtherRun(made.id.clone(), "main".into()))
        );
        let mut wrong = token.clone();
        wrong.replace_range(wrong.len() - 1.., if token.ends_with('0') { "1" } else { "0" });
        for wrong in [wrong.as_str(), "nonsense", "tress_", "tress_00000000_", &token[..20]] {
            assert_eq!(check(wrong, "main"), Err(TokenRefused::Unknown), "{wrong}");
        }
        let late = tokens.check(Some(&token), "main", 3_000);
        assert_eq!(late, Err(TokenRefused::Expired(made.id.clone())));
        assert!(tokens.revoke("zz", 2_500).unwrap().is_none());
        assert_eq!(
            tokens.revoke(&made.id[..4], 2_500).unwrap().and_then(|g| g.revoked),
            Some(2_500)
        );
        assert_eq!(check(&token, "main"), Err(TokenRefused::Revoked(made.id.clone())));
        assert_eq!(tokens.holds(&made, 2_000), Err(TokenRefused::Revoked(made.id)));
        let kept = std::fs::read_to_string(dir.path().join("local/tokens.json")).unwrap();
        assert!(!kept.contains(&token[15..]), "the secret is not kept");
    }

    #[test]
    fn a_store_keeps_only_so_many_tokens() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir(dir.path().join("local")).unwrap();
        let tokens = Tokens::of(dir.path());
        let many = (0..TOKENS_MAX).map(|number| Kept {
            grant: Grant { id: format!("{number:08x}"), ..grant(None, None) },
            hash: String::new(),
        });
        let many = serde_json::to_vec(&many.collect::<Vec<_>>()).unwrap();
        std::fs::write(dir.path().join("local/tokens.json"), many).unwrap();
        assert!(tokens.create(grant(None, None)).is_err());
        tokens.revoke("00000007", 1_000).unwrap();
        let month = grant(None, None);
        let later = Grant { made: month.made + 31 * 24 * 60 * 60 * 1000, ..month };
        assert!(tokens.create(later).is_ok(), "what was revoked long ago makes room");
    }
}
