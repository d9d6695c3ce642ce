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
use tress_model::{StoreId, Strand};

use super::{Link, Pace};
use crate::error::Error;
use crate::run::{Agent, Run};
use crate::seal::Documents;

/// The version of the protocol that is spoken.
const VERSION: &str = "1";
/// How long it is waited for more to come before clients are told: sealing is warm work.
const GATHER: Duration = Duration::from_millis(50);
/// How deep what a client says may nest.
const DEPTH: usize = 16;

/// The id under which automerge-repo clients know a document of `run` in `place`: the part behind
/// `automerge:` in its URL.
pub fn document_id(place: StoreId, run: &str, strand: Strand) -> String {
    let hash = blake3::Hasher::new_derive_key("tress 2026 id of an automerge-repo document, v1")
        .update(place.as_bytes())
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
    let place = client.run.place().map_err(RepoError::Run)?;
    let ids = Strand::ALL.map(|strand| (document_id(place, client.run.name(), strand), strand));
    let mut talk = Talk {
        us: format!("tress-{place}"),
        them: None,
        ids: BTreeMap::from(ids),
        followers: BTreeMap::new(),
        documents: None,
        pace: client.rate.map(Pace::new),
    };
    let mut updates = client.run.updates();
    loop {
        let told = tokio::select! {
            message = client.link.from.recv() => {
                let bytes = message.ok_or(RepoError::Left)?;
                talk.hear(&mut client, &bytes).await
            }
            changed = updates.changed() => {
                changed.map_err(RepoError::Run)?;
                tokio::time::sleep(GATHER).await;
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
    /// The documents that the client follows.
    followers: BTreeMap<Strand, Follower>,
    /// As they were when they were looked at last: to seal and to load them is dear.
    documents: Option<Documents>,
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
                let Some(strand) = self.ids.get(&said.document).copied() else {
                    let fields = [("documentId", Value::from(said.document))];
                    return send(&client.link, &self.envelope("doc-unavailable", fields)).await;
                };
                let data = said.data.ok_or_else(|| refuse("a message of sync has no data"))?;
                self.sync(client, strand, &data.0).await
            }
            "leave" => Err(RepoError::Left),
            _ => Ok(()),
        }
    }

    async fn sync(
        &mut self,
        client: &mut Client<'_>,
        strand: Strand,
        data: &[u8],
    ) -> Result<(), RepoError> {
        let refused = |error: tress_documents::DocumentError| RepoError::Refused(error.to_string());
        let mut heard = Heard::read(data).map_err(refused)?;
        if let Some(pace) = &mut self.pace {
            // Each message costs, and each change in it.
            tokio::time::sleep(pace.came(1 + heard.changes.len()).min(super::PATIENCE / 3)).await;
        }
        let mut edited_it = false;
        let follower = self.followers.entry(strand).or_default();
        if !heard.changes.is_empty() {
            let Some(agent) = &client.agent else {
                return Err(RepoError::Refused("this token may only read".to_owned()));
            };
            let changes = follower.with_waiting(std::mem::take(&mut heard.changes));
            match agent.edit(strand, changes.clone(), true).await {
                Ok(edited) => {
                    edited_it = edited.changes > 0;
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
        let current = |known: &Documents| known.version == client.run.state().version;
        let mut documents = match self.documents.take().filter(|known| !edited_it && current(known))
        {
            Some(known) => known,
            None => client.run.documents().await?,
        };
        documents.hear(strand, follower, heard)?;
        self.tell(client, &mut documents, strand).await?;
        self.documents = Some(documents);
        Ok(())
    }

    async fn tell_all(&mut self, client: &Client<'_>) -> Result<(), RepoError> {
        let strands: Vec<_> = self.followers.keys().copied().collect();
        if strands.is_empty() {
            return Ok(());
        }
        let mut documents = client.run.documents().await?;
        for strand in strands {
            self.tell(client, &mut documents, strand).await?;
        }
        self.documents = Some(documents);
        Ok(())
    }

    async fn tell(
        &mut self,
        client: &Client<'_>,
        documents: &mut Documents,
        strand: Strand,
    ) -> Result<(), RepoError> {
        let Some(follower) = self.followers.get_mut(&strand) else { return Ok(()) };
        let Some(data) = documents.tell(strand, follower)? else { return Ok(()) };
        let id = self.ids.iter().find(|(_, of)| **of == strand).map(|(id, _)| id.clone());
        let id = Value::from(id.unwrap_or_default());
        let fields = [("documentId", id), ("data", Value::Bytes(data))];
        send(&client.link, &self.envelope("sync", fields)).await
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
