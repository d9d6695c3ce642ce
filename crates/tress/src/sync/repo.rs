//! Stock Automerge clients: the WebSocket protocol of automerge-repo, version 1, for a run's three
//! documents. (<https://github.com/automerge/automerge-repo>, *automerge-repo-network-websocket*.)
//!
//! ```text
//! join ->              <- peer
//! request, sync ->     what the client wrote becomes operations (Agent::edit_document)
//!                      <- sync        what it lacks, and what comes later
//! leave ->
//! ```
//!
//! One binary frame is one map in CBOR. What is not known is passed over. A client that says what makes
//! no sense, or may not write and does, is told so and let go: its conversation is its own.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use ciborium::Value;
use serde::de::{Deserialize, Deserializer, SeqAccess, Visitor};
use tress_documents::{Follower, Heard};
use tress_model::{StoreId, Strand, VersionVector};

use super::{Link, Pace};
use crate::error::Error;
use crate::run::{Agent, Run, Updates};
use crate::seal::Shelf;

/// The version of the protocol that is spoken.
const VERSION: &str = "1";
/// How long it is waited for more to come before clients are told: sealing is warm work.
const GATHER: Duration = Duration::from_millis(50);
/// How long it is waited for the seals of other stores, where they seal, too: what two stores seal of one
/// event is in the documents twice.
const OTHERS: Duration = Duration::from_millis(300);
/// How many stores wait one behind the other.
const RANKS: usize = 3;
/// How deep what a client says may nest.
const DEPTH: usize = 16;

impl Run {
    /// The id under which automerge-repo clients know a document of the run: the part behind `automerge:`
    /// in its URL. Each store has its own, and knows those of all stores that have sealed the run.
    ///
    /// # Errors
    /// When `local/` cannot be read.
    pub fn document_id(&self, strand: Strand) -> Result<String, Error> {
        Ok(document_id(self.seals_as()?, self.name(), strand))
    }
}

fn document_id(store: StoreId, run: &str, strand: Strand) -> String {
    let hash = blake3::Hasher::new_derive_key("tress 2026 id of an automerge-repo document, v1")
        .update(store.as_bytes())
        .update(strand.name().as_bytes())
        .update(run.as_bytes())
        .finalize();
    let id = hash.as_bytes().first_chunk::<16>().copied().unwrap_or_default();
    bs58::encode(id).with_check().into_string()
}

/// Why a conversation with a client ended.
#[derive(Debug, thiserror::Error)]
pub(crate) enum RepoError {
    /// It left, or its link broke.
    #[error("it has left")]
    Left,
    /// It said what makes no sense, or what it may not.
    #[error("{0}")]
    Refused(String),
    /// The run failed.
    #[error(transparent)]
    Run(#[from] Error),
}

/// One client.
pub(crate) struct Client<'a> {
    pub(crate) run: &'a Run,
    /// Under whom it writes; nobody, where it may only read.
    pub(crate) agent: Option<Agent>,
    pub(crate) link: Link,
    /// How much it may say a second, in the long run.
    pub(crate) rate: Option<u32>,
}

/// Talks with a client until it leaves, or `closing` ends.
pub(crate) async fn serve(
    mut client: Client<'_>,
    closing: impl Future<Output = String>,
) -> Result<(), RepoError> {
    let mut closing = std::pin::pin!(closing);
    let mut talk = Talk {
        us: format!("tress-{}", client.run.place()?),
        them: None,
        ids: BTreeMap::new(),
        followers: BTreeMap::new(),
        shelf: Shelf::new(client.run),
        pace: client.rate.map(Pace::new),
    };
    talk.know(client.run, client.run.seals_as()?);
    let mut updates = client.run.updates();
    let mut told_of = client.run.state().version.clone();
    loop {
        let told = tokio::select! {
            message = client.link.from.recv() => {
                let bytes = message.ok_or(RepoError::Left)?;
                talk.hear(&mut client, &bytes).await
            }
            changed = updates.changed() => {
                changed.map_err(RepoError::Run)?;
                tokio::time::sleep(GATHER).await;
                talk.wait_for_others(&client, &told_of, &mut updates).await?;
                told_of = client.run.state().version.clone();
                talk.tell_all(&client).await
            }
            reason = &mut closing => Err(RepoError::Refused(reason)),
        };
        if let Err(error) = told {
            if !matches!(error, RepoError::Left) {
                let reason = Value::from(error.to_string());
                let said = talk.envelope("error", [("message", reason)]);
                let _ = send(&client.link, &said).await;
            }
            return Err(error);
        }
    }
}

struct Talk {
    us: String,
    them: Option<String>,
    ids: BTreeMap<String, Strand>,
    /// The documents that the client follows, by the ids under which it does.
    followers: BTreeMap<String, (Strand, Follower)>,
    shelf: Shelf,
    pace: Option<Pace>,
}

impl Talk {
    fn envelope<const N: usize>(&self, kind: &str, fields: [(&str, Value); N]) -> Value {
        let them = self.them.clone().unwrap_or_default();
        let about = [
            ("type", kind.into()),
            ("senderId", self.us.as_str().into()),
            ("targetId", them.into()),
        ];
        let all = about.into_iter().chain(fields);
        Value::Map(all.map(|(key, value)| (Value::from(key), value)).collect())
    }

    async fn hear(&mut self, client: &mut Client<'_>, bytes: &[u8]) -> Result<(), RepoError> {
        let refuse = |reason: &str| RepoError::Refused(reason.to_owned());
        let said: Said = ciborium::de::from_reader_with_recursion_limit(bytes, DEPTH)
            .map_err(|_| refuse("this is no message of automerge-repo"))?;
        let kind = said.kind.as_str();
        if kind == "join" {
            if !said.versions.is_some_and(|versions| versions.ours) {
                return Err(refuse("only version 1 of the protocol is spoken here"));
            }
            self.them = Some(said.sender.chars().take(200).collect());
            let metadata = Value::Map(vec![("isEphemeral".into(), Value::Bool(false))]);
            let fields = [("selectedProtocolVersion", VERSION.into()), ("peerMetadata", metadata)];
            return send(&client.link, &self.envelope("peer", fields)).await;
        }
        if self.them.is_none() {
            return Err(refuse("it has not said who it is: `join` comes first"));
        }
        match kind {
            "request" | "sync" => {
                let Some(strand) = self.strand(client.run, &said.document).await? else {
                    let fields = [("documentId", Value::from(said.document))];
                    return send(&client.link, &self.envelope("doc-unavailable", fields)).await;
                };
                let data = said.data.ok_or_else(|| refuse("a message of sync has no data"))?;
                self.sync(client, said.document, strand, &data.0).await
            }
            "leave" => Err(RepoError::Left),
            _ => Ok(()),
        }
    }

    /// Knows the ids under which `store` serves the documents.
    fn know(&mut self, run: &Run, store: StoreId) {
        let kept = run.strands().iter();
        let ids = kept.map(|strand| (document_id(store, run.name(), strand), strand));
        self.ids.extend(ids);
    }

    /// Which document is called `id`, here or in another store that has sealed the run.
    async fn strand(&mut self, run: &Run, id: &str) -> Result<Option<Strand>, RepoError> {
        if !self.ids.contains_key(id) {
            for store in self.shelf.read(false, |documents| Ok(documents.stores())).await? {
                self.know(run, store);
            }
        }
        Ok(self.ids.get(id).copied())
    }

    async fn sync(
        &mut self,
        client: &mut Client<'_>,
        id: String,
        strand: Strand,
        data: &[u8],
    ) -> Result<(), RepoError> {
        let refused = |error: tress_documents::DocumentError| RepoError::Refused(error.to_string());
        let mut heard = Heard::read(data).map_err(refused)?;
        if let Some(pace) = &mut self.pace {
            // Each message costs, and each change in it.
            tokio::time::sleep(pace.came(1 + heard.changes.len()).min(super::PATIENCE / 3)).await;
        }
        let (_, mut follower) = self.followers.remove(&id).unwrap_or((strand, Follower::default()));
        if !heard.changes.is_empty() {
            let Some(agent) = &client.agent else {
                return Err(RepoError::Refused("this token may only read".to_owned()));
            };
            let changes = follower.with_waiting(std::mem::take(&mut heard.changes));
            match agent.edit(strand, changes.clone(), true).await {
                Ok(edited) => {
                    let waiting = edited.waiting.iter().filter_map(|at| changes.get(*at));
                    follower.wait(waiting.cloned().collect()).map_err(refused)?;
                    for edit in &edited.refused {
                        let (agent, path) = (agent.name(), &edit.path);
                        tracing::info!(agent, path, reason = edit.reason, "put back an edit");
                    }
                }
                Err(Error::Document(error)) => return Err(refused(error)),
                Err(error) => return Err(error.into()),
            }
        }
        self.tell(client, id, strand, follower, Some(heard)).await
    }

    async fn tell_all(&mut self, client: &Client<'_>) -> Result<(), RepoError> {
        for (id, (strand, follower)) in std::mem::take(&mut self.followers) {
            self.tell(client, id, strand, follower, None).await?;
        }
        Ok(())
    }

    /// Moves the conversation about one document on by what was heard, and says what there is to say.
    async fn tell(
        &mut self,
        client: &Client<'_>,
        id: String,
        strand: Strand,
        mut follower: Follower,
        heard: Option<Heard>,
    ) -> Result<(), RepoError> {
        let read = self.shelf.read(true, move |documents| {
            if let Some(heard) = heard {
                documents.hear(strand, &mut follower, heard)?;
            }
            let data = documents.tell(strand, &mut follower)?;
            Ok((follower, data))
        });
        let (follower, data) = read.await?;
        if let Some(data) = data {
            let fields = [("documentId", id.as_str().into()), ("data", Value::Bytes(data))];
            send(&client.link, &self.envelope("sync", fields)).await?;
        }
        self.followers.insert(id, (strand, follower));
        Ok(())
    }

    /// Waits a little for the seals of other stores, where they seal and all that is new is theirs.
    async fn wait_for_others(
        &self,
        client: &Client<'_>,
        told_of: &VersionVector,
        updates: &mut Updates,
    ) -> Result<(), RepoError> {
        if self.followers.is_empty() || !client.run.only_others_since(told_of).await? {
            return Ok(());
        }
        let own = client.run.seals_as()?;
        let stores = self.shelf.read(false, |documents| Ok(documents.stores())).await?;
        if stores.iter().all(|store| *store == own) {
            return Ok(());
        }
        // Where none of those who wait wrote what is new, not all of them seal it at once.
        let rank = stores.range(..own).count().min(RANKS) as u32;
        let until = tokio::time::Instant::now() + OTHERS * (1 + rank);
        let seals = client.run.seals();
        while client.run.seals() == seals {
            match tokio::time::timeout_at(until, updates.changed()).await {
                Ok(changed) => changed?,
                Err(_) => break,
            }
        }
        Ok(())
    }
}

/// What a client says, as far as it matters here. The rest is passed over and not kept, so a message
/// takes no more memory than its bytes.
#[derive(serde::Deserialize)]
struct Said {
    #[serde(rename = "type")]
    kind: String,
    #[serde(rename = "senderId", default)]
    sender: String,
    #[serde(rename = "documentId", default)]
    document: String,
    #[serde(default)]
    data: Option<Data>,
    #[serde(rename = "supportedProtocolVersions", default)]
    versions: Option<Versions>,
}

/// Bytes, as CBOR has them.
struct Data(Vec<u8>);

impl<'de> Deserialize<'de> for Data {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Bytes;
        impl Visitor<'_> for Bytes {
            type Value = Data;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("bytes")
            }
            fn visit_bytes<E>(self, bytes: &[u8]) -> Result<Data, E> {
                Ok(Data(bytes.to_vec()))
            }
            fn visit_byte_buf<E>(self, bytes: Vec<u8>) -> Result<Data, E> {
                Ok(Data(bytes))
            }
        }
        deserializer.deserialize_byte_buf(Bytes)
    }
}

/// Whether ours is among the versions that a client speaks.
struct Versions {
    ours: bool,
}

impl<'de> Deserialize<'de> for Versions {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct List;
        impl<'de> Visitor<'de> for List {
            type Value = Versions;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a list of versions")
            }
            fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Versions, A::Error> {
                let mut ours = false;
                while let Some(version) = list.next_element::<String>()? {
                    ours |= version == VERSION;
                }
                Ok(Versions { ours })
            }
        }
        deserializer.deserialize_seq(List)
    }
}

async fn send(link: &Link, message: &Value) -> Result<(), RepoError> {
    let mut bytes = Vec::new();
    // Writing to memory cannot fail.
    ciborium::into_writer(message, &mut bytes).map_err(|_| RepoError::Left)?;
    let sent = tokio::time::timeout(super::PATIENCE, link.to.send(bytes)).await;
    match sent {
        Ok(Ok(())) => Ok(()),
        _ => Err(RepoError::Left),
    }
}
