//! The hub's door for stock Automerge clients: the protocol of automerge-repo, spoken by Automerge's own sync.

use automerge::sync::{Message as SyncMessage, State as SyncState, SyncDoc};
use automerge::transaction::Transactable;
use automerge::{AutoCommit, ROOT, ReadDoc};
use ciborium::Value;
use futures_util::{SinkExt, StreamExt};
use tokio_tungstenite::tungstenite::Message;
use tress::{Role, Strand};

use super::human;
use super::sync::{House, soon};

/// A client that is let in by the hub's socket, or by a token.
struct Stock {
    socket: tokio_tungstenite::WebSocketStream<Box<dyn Both>>,
    doc: AutoCommit,
    state: SyncState,
    id: String,
}

trait Both: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin + Send {}
impl<T: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin + Send> Both for T {}

fn map(fields: Vec<(&str, Value)>) -> Value {
    Value::Map(fields.into_iter().map(|(key, value)| (key.into(), value)).collect())
}

fn field(message: &Value, name: &str) -> Value {
    let fields = message.as_map().unwrap();
    let found = fields.iter().find(|(key, _)| key.as_text() == Some(name));
    found.map_or(Value::Null, |(_, value)| value.clone())
}

fn text(message: &Value, name: &str) -> String {
    field(message, name).into_text().unwrap_or_default()
}

impl Stock {
    async fn connect(house: &House, token: Option<&str>) -> Self {
        let stream: Box<dyn Both> = match token {
            Some(_) => Box::new(tokio::net::TcpStream::connect(house.at()).await.unwrap()),
            None => Box::new(tokio::net::UnixStream::connect(house.socket()).await.unwrap()),
        };
        let query = token.map_or("agent=guest".to_owned(), |token| format!("token={token}"));
        let url = format!("ws://localhost/v1/runs/main/automerge?{query}");
        let (socket, _) = tokio_tungstenite::client_async(url, stream).await.unwrap();
        let id = house.run.document_id(Strand::Todo).unwrap();
        Self { socket, doc: AutoCommit::new(), state: SyncState::new(), id }
    }

    async fn say(&mut self, message: &Value) {
        let mut bytes = Vec::new();
        ciborium::into_writer(message, &mut bytes).unwrap();
        self.socket.send(Message::Binary(bytes.into())).await.unwrap();
    }

    async fn hear(&mut self) -> Option<Value> {
        loop {
            match soon(self.socket.next()).await {
                Some(Ok(Message::Binary(bytes))) => {
                    return Some(ciborium::from_reader(&*bytes).unwrap());
                }
                Some(Ok(Message::Ping(_) | Message::Pong(_))) => {}
                _ => return None,
            }
        }
    }

    async fn join(&mut self) {
        let versions = Value::Array(vec!["1".into()]);
        let join = [("type", "join".into()), ("senderId", "me".into())];
        let join = join.into_iter().chain([("supportedProtocolVersions", versions)]);
        self.say(&map(join.collect())).await;
        let peer = self.hear().await.unwrap();
        assert_eq!((text(&peer, "type"), text(&peer, "targetId")), ("peer".into(), "me".into()));
        assert_eq!(text(&peer, "selectedProtocolVersion"), "1");
    }

    /// Says what there is to say about the document.
    async fn tell(&mut self) {
        let message = self.doc.sync().generate_sync_message(&mut self.state);
        if let Some(message) = message {
            let data = Value::Bytes(message.encode());
            let about = [("documentId", self.id.clone().into()), ("senderId", "me".into())];
            let sync = [("type", "sync".into()), ("data", data)].into_iter().chain(about);
            self.say(&map(sync.collect())).await;
        }
    }

    /// Talks until something holds of the document.
    async fn until(&mut self, holds: impl Fn(&mut AutoCommit) -> bool) {
        self.tell().await;
        while !holds(&mut self.doc) {
            let message = self.hear().await.expect("the hub goes on");
            assert_eq!(text(&message, "type"), "sync", "{message:?}");
            let data = field(&message, "data").into_bytes().unwrap();
            let message = SyncMessage::decode(&data).unwrap();
            self.doc.sync().receive_sync_message(&mut self.state, message).unwrap();
            self.tell().await;
        }
    }
}

/// The titles in a document of todos.
fn titles(doc: &AutoCommit) -> Vec<String> {
    let Ok(Some((_, todos))) = doc.get(ROOT, "todos") else { return Vec::new() };
    let title = |key: String| {
        let (_, todo) = doc.get(&todos, key).unwrap()?;
        let (title, _) = doc.get(&todo, "title").unwrap()?;
        title.as_str().map(str::to_owned)
    };
    doc.keys(&todos).filter_map(title).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stock_client_reads_follows_and_edits() {
    let house = House::new().await;
    let ada = human(&house.run);
    let id = ada.add("first").await.unwrap();
    let mut client = Stock::connect(&house, None).await;
    client.join().await;
    client.until(|doc| titles(doc) == ["first"]).await;
    ada.add("second").await.unwrap();
    client.until(|doc| titles(doc).len() == 2).await;
    let (_, todos) = client.doc.get(ROOT, "todos").unwrap().unwrap();
    let (_, todo) = client.doc.get(&todos, id.to_string()).unwrap().unwrap();
    client.doc.put(&todo, "title", "the first").unwrap();
    client.doc.put(&todo, "percent", 100).unwrap();
    // Whoever has said something goes on to read: a filter may have hidden it, and then it is asked for.
    let percent = |doc: &mut AutoCommit| doc.get(&todo, "percent").unwrap().unwrap().0.as_i64();
    client.until(|doc| percent(doc) == Some(0)).await;
    assert_eq!(&*house.run.state().todo(id).unwrap().title, "the first");
    let events = house.run.events_since(tress::VersionVector::new()).await.unwrap();
    assert_eq!(&*events.last().unwrap().author.name, "guest");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_stock_client_may_not_ends_its_own_conversation() {
    let house = House::new().await;
    human(&house.run).add("first").await.unwrap();
    // Documents that are not here are said not to be; what is not known is passed over.
    let mut client = Stock::connect(&house, None).await;
    client.join().await;
    let nonsense = map(vec![("type", "remote-heads-changed".into()), ("x", 1.5.into())]);
    client.say(&nonsense).await;
    let own = std::mem::replace(&mut client.id, "nowhere".into());
    client.tell().await;
    let answer = client.hear().await.unwrap();
    assert_eq!(text(&answer, "type"), "doc-unavailable");
    (client.id, client.state) = (own, SyncState::new());
    client.until(|doc| titles(doc) == ["first"]).await;
    // Each of these is told why, and let go.
    let versions = |version: &str| Value::Array(vec![version.into()]);
    let join = |version: &str| {
        map(vec![
            ("type", "join".into()),
            ("senderId", "me".into()),
            ("supportedProtocolVersions", versions(version)),
        ])
    };
    let sync = |data: Value| {
        let id = Value::from(client.id.as_str());
        map(vec![("type", "sync".into()), ("documentId", id), ("data", data)])
    };
    let wrong = [
        vec![join("9")],
        vec![sync(Value::Bytes(vec![1]))],
        vec![join("1"), sync(Value::Null)],
        vec![join("1"), sync(Value::Bytes(vec![0x42; 40]))],
        vec![Value::Text("hello".into())],
    ];
    for said in &wrong {
        let mut hostile = Stock::connect(&house, None).await;
        for message in said {
            hostile.say(message).await;
        }
        let mut last = None;
        while let Some(message) = hostile.hear().await {
            last = Some(message);
        }
        assert_eq!(last.map(|last| text(&last, "type")), Some("error".into()), "{said:?}");
    }
    // Who may only read reads, and is let go when it writes.
    let reader = house.token(None, Some(Role::Human), false);
    let mut reader = Stock::connect(&house, Some(&reader)).await;
    reader.join().await;
    reader.until(|doc| titles(doc) == ["first"]).await;
    reader.doc.put(ROOT, "run", "mine").unwrap();
    reader.tell().await;
    let mut told = String::new();
    while let Some(message) = reader.hear().await {
        told = text(&message, "message");
    }
    assert!(told.contains("only read"), "{told}");
    // The first one goes on all the while.
    human(&house.run).add("second").await.unwrap();
    client.until(|doc| titles(doc).len() == 2).await;
}
