//! Conversations, hubs, and who may do what there.

use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tress::sync::token::{Grant, Tokens};
use tress::sync::{
    Address, Broken, Certificates, ConnectError, Exchanged, Follow, FollowError, Hub, HubOptions,
    News, Terms, converse, follow, pipe, sync_once,
};
use tress::{Role, Run, Store, StoreId, Strands, VersionVector, now};
use tress_model::message::Hello;

use super::human;

async fn in_memory() -> Run {
    Store::in_memory().unwrap().create_run("main").await.unwrap()
}

/// Waits for what is to come; that it never comes is a failure, and not a hang.
pub(crate) async fn soon<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(60), future).await.expect("it never came")
}

async fn until(run: &Run, todos: usize) {
    let mut updates = run.updates();
    while run.state().todos.len() < todos {
        soon(updates.changed()).await.unwrap();
    }
}

/// A hub on a store of its own, and what to do with it.
pub(crate) struct House {
    dir: tempfile::TempDir,
    hub: Option<Hub>,
    pub(crate) run: Run,
    options: HubOptions,
}

impl House {
    pub(crate) async fn new() -> Self {
        Self::with(HubOptions::default()).await
    }

    async fn with(options: HubOptions) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::create(dir.path().join(".tress")).unwrap();
        let run = store.create_run("main").await.unwrap();
        let listen = Some(SocketAddr::from(([127, 0, 0, 1], 0)));
        let socket = Some(dir.path().join("hub.sock"));
        let options = HubOptions { listen, socket, ..options };
        let hub = Some(Hub::open(store, options.clone()).await.unwrap());
        Self { dir, hub, run, options }
    }

    pub(crate) fn socket(&self) -> &std::path::Path {
        self.options.socket.as_deref().unwrap()
    }

    pub(crate) fn at(&self) -> SocketAddr {
        self.hub.as_ref().unwrap().listening().address.unwrap()
    }

    fn tokens(&self) -> Tokens {
        Tokens::of(&self.dir.path().join(".tress"))
    }

    pub(crate) fn token(&self, run: Option<&str>, role: Option<Role>, write: bool) -> String {
        let grant = Grant {
            id: String::new(),
            name: String::new(),
            run: run.map(str::to_owned),
            role,
            write,
            made: now(),
            expires: None,
            revoked: None,
        };
        self.tokens().create(grant).unwrap().1
    }

    fn tcp(&self, token: Option<String>) -> Follow {
        let remote = format!("ws://{}", self.at()).parse().unwrap();
        Follow { remote, token, certificates: Certificates::default() }
    }

    fn unix(&self) -> Follow {
        let remote = Address::Unix(self.options.socket.clone().unwrap()).into();
        Follow { remote, token: None, certificates: Certificates::default() }
    }

    async fn close(&mut self) {
        self.hub.take().unwrap().close().await;
    }
}

async fn once(run: &Run, follow: &Follow) -> Result<Exchanged, FollowError> {
    soon(sync_once(run, follow)).await
}

#[tokio::test]
async fn a_conversation_brings_two_runs_to_the_same_state() {
    let (a, b) = (in_memory().await, in_memory().await);
    for number in 0..10 {
        human(&a).add(&format!("a {number}")).await.unwrap();
        human(&b).add(&format!("b {number}")).await.unwrap();
    }
    let (left, right) = pipe();
    let terms = Terms::default();
    let both = async {
        tokio::join!(converse(&a, left, &terms, |_| {}), converse(&b, right, &terms, |_| {}))
    };
    let (one, two) = soon(both).await;
    let (one, two) = (one.unwrap(), two.unwrap());
    assert_eq!((one.received, one.sent, one.up_to_date), (10, 10, true));
    assert_eq!((two.received, two.sent, two.up_to_date), (10, 10, true));
    assert_eq!(a.state().root(), b.state().root());
    assert_eq!(a.state().todos.len(), 20);
}

#[tokio::test]
async fn a_run_does_not_talk_to_itself() {
    let run = in_memory().await;
    let (left, right) = pipe();
    let terms = Terms::default();
    let both = async {
        tokio::join!(converse(&run, left, &terms, |_| {}), converse(&run, right, &terms, |_| {}))
    };
    let (one, two) = soon(both).await;
    assert!(matches!(one, Err(Broken::Sync(_) | Broken::Left { .. })), "{one:?}");
    assert!(two.is_err());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn three_machines_keep_up_with_each_other_by_a_hub() {
    let house = House::new().await;
    let token = house.token(None, None, true);
    let (a, b) = (in_memory().await, in_memory().await);
    human(&a).add("before").await.unwrap();
    let follow_of = |run: &Run, by: Follow| {
        let run = run.clone();
        tokio::spawn(async move { follow(&run, &by, |_| {}).await })
    };
    let following = [follow_of(&a, house.tcp(Some(token))), follow_of(&b, house.unix())];
    until(&b, 1).await;
    for number in 0..5 {
        human(&b).add(&format!("later {number}")).await.unwrap();
        human(&house.run).add(&format!("at the hub {number}")).await.unwrap();
    }
    for run in [&a, &b, &house.run] {
        until(run, 11).await;
    }
    assert_eq!(a.state().root(), b.state().root());
    assert_eq!(a.state().root(), house.run.state().root());
    for task in following {
        task.abort();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_follows_a_hub_that_goes_away_and_comes_back_goes_on() {
    let mut house = House::new().await;
    let a = in_memory().await;
    human(&a).add("first").await.unwrap();
    let (broke, mut broken) = tokio::sync::mpsc::unbounded_channel();
    let (run, by) = (a.clone(), house.unix());
    let following = tokio::spawn(async move {
        let told = |news: News<'_>| {
            if let News::Broken(error, _) = news {
                let _ = broke.send(error.to_string());
            }
        };
        follow(&run, &by, told).await
    });
    until(&house.run, 1).await;
    house.close().await;
    let why = soon(broken.recv()).await.unwrap();
    assert!(why.contains("come again"), "{why}");
    human(&a).add("meanwhile").await.unwrap();
    let store = Store::open(house.dir.path().join(".tress")).unwrap();
    house.hub = Some(Hub::open(store.clone(), house.options.clone()).await.unwrap());
    let run = store.run("main").await.unwrap();
    until(&run, 2).await;
    following.abort();
}

#[tokio::test]
async fn each_who_may_not_is_refused_with_the_reason() {
    let house = House::new().await;
    let run = in_memory().await;
    let refused = async |token: Option<String>, run: &Run| match once(run, &house.tcp(token)).await
    {
        Err(FollowError::Connect(ConnectError::Refused { status, reason })) => (status, reason),
        other => panic!("{other:?}"),
    };
    assert_eq!(refused(None, &run).await.0, 401);
    assert_eq!(refused(Some("tress_12345678_9".into()), &run).await.0, 401);
    let other = refused(Some(house.token(Some("other"), None, true)), &run).await;
    assert_eq!(other.0, 403);
    assert!(other.1.contains("for the run \"other\""), "{}", other.1);
    let taken_back = house.token(None, None, true);
    let id = taken_back.split('_').nth(1).unwrap();
    house.tokens().revoke(id, now()).unwrap();
    assert!(refused(Some(taken_back.clone()), &run).await.1.contains("revoked"));
    // Who only reads gets everything, and gives nothing; a run that is not there is not made.
    human(&house.run).add("to be read").await.unwrap();
    human(&run).add("mine").await.unwrap();
    let reader = house.token(None, None, false);
    let read = once(&run, &house.tcp(Some(reader.clone()))).await.unwrap();
    assert_eq!((read.received, read.sent, read.kept_back), (1, 0, 1));
    let apart = Store::in_memory().unwrap().create_run("apart").await.unwrap();
    assert_eq!(refused(Some(reader), &apart).await.0, 404);
    // Who writes in one role brings nothing in another.
    let role = house.token(None, Some(Role::Implementer), true);
    let broken = once(&run, &house.tcp(Some(role.clone()))).await.unwrap_err().to_string();
    assert!(broken.contains("implementer only"), "{broken}");
    assert_eq!(house.run.state().todos.len(), 1);
    let fine = in_memory().await;
    let todo = tress::todo(tress::new_todo_id().unwrap(), "found");
    fine.agent("codex", Role::Implementer).append([todo]).await.unwrap();
    once(&fine, &house.tcp(Some(role))).await.unwrap();
    assert_eq!(house.run.refresh().await.unwrap().todos.len(), 2);
}

#[tokio::test]
async fn a_token_that_is_taken_back_ends_its_conversation() {
    let house = House::new().await;
    let token = house.token(None, None, true);
    let run = in_memory().await;
    let (met, mut meets) = tokio::sync::mpsc::unbounded_channel();
    let (by, here) = (house.tcp(Some(token.clone())), run.clone());
    let following = tokio::spawn(async move {
        let told = |news: News<'_>| {
            let _ = met.send(matches!(news, News::Exchanged(_)));
        };
        follow(&here, &by, told).await
    });
    assert_eq!(soon(meets.recv()).await, Some(true));
    house.tokens().revoke(token.split('_').nth(1).unwrap(), now()).unwrap();
    let ended = soon(following).await.unwrap().unwrap_err().to_string();
    assert!(ended.contains("revoked"), "{ended}");
}

/// What the hub at `at` answers to a request with these lines.
async fn ask(at: SocketAddr, path: &str, lines: &str) -> String {
    let mut stream = TcpStream::connect(at).await.unwrap();
    let request = format!(
        "GET {path} HTTP/1.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n\
         Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n{lines}\r\n"
    );
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = vec![0; 4096];
    let read = soon(stream.read(&mut answer)).await.unwrap();
    String::from_utf8_lossy(answer.get(..read).unwrap_or_default()).into_owned()
}

#[tokio::test]
async fn pages_from_elsewhere_and_other_hosts_are_refused() {
    let options = HubOptions {
        hosts: vec!["hub.example".into()],
        origins: vec!["https://fine.example".into()],
        ..HubOptions::default()
    };
    let house = House::with(options).await;
    let token = format!("Authorization: Bearer {}\r\n", house.token(None, None, true));
    let answers = async |path: &str, lines: &str, status: &str| {
        let answer = ask(house.at(), path, &format!("{lines}{token}")).await;
        assert!(answer.starts_with(&format!("HTTP/1.1 {status}")), "{path} {lines}: {answer}");
    };
    let path = "/v1/runs/main";
    answers(path, "Host: 127.0.0.1:1\r\n", "101").await;
    answers(path, "Host: hub.example\r\n", "101").await;
    answers(path, "Host: evil.example\r\n", "421").await;
    answers(path, "", "421").await;
    answers(path, "Host: localhost\r\nOrigin: https://fine.example\r\n", "101").await;
    answers(path, "Host: localhost\r\nOrigin: https://evil.example\r\n", "403").await;
    answers("/", "Host: localhost\r\n", "404").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn hostile_peers_hurt_nobody_else() {
    use futures_util::{SinkExt, StreamExt};
    use tokio_tungstenite::tungstenite::Message;
    let house = House::new().await;
    // Some say nothing, some only a little, some garbage.
    let mut silent = Vec::new();
    for number in 0..50_usize {
        let mut stream = TcpStream::connect(house.at()).await.unwrap();
        let begun = ["", "GET /v1/ru", "\u{16}\u{3}\u{1}\u{ff}", "\r\n\r\n\r\n"];
        stream.write_all(begun[number % 4].as_bytes()).await.unwrap();
        silent.push(stream);
    }
    // Some are let in and talk nonsense: no messages, too large a frame, a text.
    let socket = house.options.socket.clone().unwrap();
    for nonsense in
        [vec![], vec![0; 100], vec![1; 100], [&[2; 9][..], &[1, 255, 255, 255, 127]].concat()]
    {
        let stream = tokio::net::UnixStream::connect(&socket).await.unwrap();
        let begun = tokio_tungstenite::client_async("ws://localhost/v1/runs/main", stream).await;
        let (mut peer, _) = begun.unwrap();
        peer.send(Message::Binary(nonsense.into())).await.unwrap();
        // It is told why, and the hub hangs up.
        while let Some(Ok(_)) = soon(peer.next()).await {}
    }
    let mut stream = tokio::net::UnixStream::connect(&socket).await.unwrap();
    let request = "GET /v1/runs/main HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
        Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
    stream.write_all(request.as_bytes()).await.unwrap();
    // A frame that announces an exabyte.
    stream.write_all(&[0x82, 0xff, 0x0f, 0, 0, 0, 0, 0, 0, 0, 1, 2, 3, 4]).await.unwrap();
    let mut rest = Vec::new();
    soon(stream.read_to_end(&mut rest)).await.ok();
    let fine = in_memory().await;
    human(&fine).add("work").await.unwrap();
    once(&fine, &house.unix()).await.unwrap();
    once(&fine, &house.tcp(Some(house.token(None, None, true)))).await.unwrap();
    assert_eq!(house.run.refresh().await.unwrap().todos.len(), 1);
    drop(silent);
}

#[tokio::test]
async fn what_is_encrypted_is_trusted_by_its_certificate() {
    let certificate = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let dir = tempfile::tempdir().unwrap();
    let (chain, key) = (dir.path().join("hub.pem"), dir.path().join("hub.key"));
    std::fs::write(&chain, certificate.cert.pem()).unwrap();
    std::fs::write(&key, certificate.signing_key.serialize_pem()).unwrap();
    let tls = Some((chain.clone(), key));
    let house = House::with(HubOptions { tls, ..HubOptions::default() }).await;
    let run = in_memory().await;
    human(&run).add("secret").await.unwrap();
    let address = Address::Tcp { host: "localhost".into(), port: house.at().port(), tls: true };
    let remote = address.into();
    let token = Some(house.token(None, None, true));
    let stranger = Follow { remote, token, certificates: Certificates::default() };
    assert!(once(&run, &stranger).await.is_err(), "nobody vouches for it");
    let friend = Follow { certificates: Certificates { trusted: Some(chain) }, ..stranger };
    once(&run, &friend).await.unwrap();
    assert_eq!(house.run.refresh().await.unwrap().todos.len(), 1);
    let plain = Follow { remote: format!("ws://{}", house.at()).parse().unwrap(), ..friend };
    assert!(once(&run, &plain).await.is_err(), "it is encrypted or not at all");
}

#[tokio::test]
async fn a_long_history_comes_in_pieces_and_a_conversation_that_is_cut_goes_on() {
    let (a, b) = (in_memory().await, in_memory().await);
    let ada = human(&a);
    for number in 0..12 {
        let many =
            (0..1000).map(|n| tress::todo(tress::new_todo_id().unwrap(), format!("{number} {n}")));
        ada.append(many.collect::<Vec<_>>()).await.unwrap();
    }
    // The link is cut when the first piece has come.
    let (left, right) = pipe();
    let terms = Terms::default();
    let sending = converse(&a, left, &terms, |_| {});
    let (some, came) = tokio::sync::oneshot::channel();
    let mut some = Some(some);
    let taking = converse(&b, right, &terms, |exchanged| {
        if let Some(some) = some.take_if(|_| exchanged.received > 0) {
            let _ = some.send(());
        }
    });
    tokio::select! {
        _ = sending => {}
        _ = taking => {}
        _ = came => {}
    }
    let known = b.refresh().await.unwrap().events();
    assert!((1..12_000).contains(&known), "{known}");
    let (left, right) = pipe();
    let both = async {
        tokio::join!(converse(&a, left, &terms, |_| {}), converse(&b, right, &terms, |_| {}))
    };
    let (_, rest) = soon(both).await;
    assert_eq!(rest.unwrap().received as u64, 12_000 - known);
    assert_eq!(a.state().root(), b.state().root());
    assert!(a.lacking(VersionVector::new(), Strands::ALL).await.unwrap().len() <= 2);
}

/// A peer that is let in by the socket and speaks as `session` says.
struct Slow {
    socket: tokio_tungstenite::WebSocketStream<tokio::net::UnixStream>,
    session: tress_engine::sync::Session,
}

impl Slow {
    async fn connect(house: &House) -> Self {
        let socket = house.options.socket.clone().unwrap();
        let stream = tokio::net::UnixStream::connect(&socket).await.unwrap();
        let begun = tokio_tungstenite::client_async("ws://localhost/v1/runs/main", stream).await;
        let me = Hello::new("main", StoreId([9; 16]), VersionVector::new());
        let hello = Hello { live: true, ..me };
        Self { socket: begun.unwrap().0, session: tress_engine::sync::Session::new(hello) }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_takes_nothing_is_let_go_with_a_reason_and_can_come_again() {
    use futures_util::{SinkExt, StreamExt};
    use tokio_tungstenite::tungstenite::Message;
    use tress_engine::sync::Effect;
    let patience = Duration::from_millis(300);
    let house = House::with(HubOptions { patience, ..HubOptions::default() }).await;
    human(&house.run).add("to be taken").await.unwrap();
    let mut slow = Slow::connect(&house).await;
    let why = loop {
        match slow.session.next_effect() {
            Some(Effect::Send(bytes)) => {
                slow.socket.send(Message::Binary(bytes.into())).await.unwrap();
            }
            // It never says that it has taken this.
            Some(Effect::Take(_)) => {}
            Some(Effect::Read { .. }) => slow.session.supply(Vec::new()).unwrap(),
            Some(Effect::UpToDate | Effect::Paperwork(_)) => panic!("it has taken nothing"),
            Some(Effect::End { why, reason, by_peer }) => break (why, reason, by_peer),
            None => match soon(slow.socket.next()).await {
                Some(Ok(Message::Binary(bytes))) => slow.session.receive(&bytes).unwrap(),
                other => assert!(matches!(other, Some(Ok(_))), "{other:?}"),
            },
        }
    };
    assert_eq!((why.0, why.2), (tress_model::message::Leave::Slow, true));
    assert!(why.1.contains("taken nothing for too long"), "{}", why.1);
    let again = in_memory().await;
    assert_eq!(once(&again, &house.unix()).await.unwrap().received, 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_brings_more_than_the_rate_waits_and_loses_nothing() {
    let house = House::with(HubOptions { rate: Some(100), ..HubOptions::default() }).await;
    let token = house.token(None, None, true);
    let run = in_memory().await;
    let many = (0..150).map(|n| tress::todo(tress::new_todo_id().unwrap(), format!("{n}")));
    human(&run).append(many.collect::<Vec<_>>()).await.unwrap();
    let sent = once(&run, &house.tcp(Some(token))).await.unwrap().sent;
    assert_eq!(sent, 150);
}

#[tokio::test]
async fn who_comes_with_many_wrong_tokens_has_to_wait() {
    let house = House::new().await;
    let wrong = "Host: localhost\r\nAuthorization: Bearer tress_00000000_0\r\n";
    for number in 0..=tress::sync::WRONG_MAX {
        let answer = ask(house.at(), "/v1/runs/main", wrong).await;
        let status = if number < tress::sync::WRONG_MAX { "401" } else { "429" };
        assert!(answer.starts_with(&format!("HTTP/1.1 {status}")), "{number}: {answer}");
    }
    // Whoever has a right one comes in, also from there.
    let right = house.tcp(Some(house.token(None, None, true)));
    once(&in_memory().await, &right).await.unwrap();
}

/// What is refused must not reach the disk in the place of what was taken.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_forged_segment_that_comes_with_the_true_one_is_not_what_is_kept() {
    let (a, dir) = (in_memory().await, tempfile::tempdir().unwrap());
    human(&a).add("the true one").await.unwrap();
    let first = a.lacking(VersionVector::new(), Strands::ALL).await.unwrap();
    let known = a.state().version.clone();
    human(&a).add("the second").await.unwrap();
    let second = a.lacking(known, Strands::ALL).await.unwrap();
    let forge = |how: fn(&mut tress::Segment)| {
        let mut forged = second.clone();
        forged.iter_mut().for_each(how);
        forged
    };
    let other_beginning = forge(|segment| {
        segment.previous = tress_model::EventId([7; 32]);
        segment.records.iter_mut().for_each(|record| record.time.millis += 1);
    });
    // These have the same ids.
    let withheld = forge(|segment| {
        for record in &mut segment.records {
            record.operation = tress_model::codec::withhold(&record.operation).unwrap();
        }
    });
    let other_store = forge(|segment| segment.store = tress::StoreId([7; 16]));
    let open = || Store::create(dir.path().join(".tress")).unwrap();
    let b = open().create_run("main").await.unwrap();
    b.take_in(first).await.unwrap();
    let all = [other_beginning, withheld, other_store, second].concat();
    let taken = b.take_in(all).await.unwrap();
    assert_eq!((taken.events.len(), taken.refused.len()), (1, 3), "{:?}", taken.refused);
    assert_eq!(b.state().root(), a.state().root());
    drop(b);
    let again = open().run("main").await.unwrap();
    assert_eq!(again.state().root(), a.state().root(), "what is on disk is what was taken");
}

/// One event under a replica that another process here writes was an error, and nothing came in any more.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_comes_of_a_replica_that_is_written_here_holds_up_nothing_else() {
    let (dir, a) = (tempfile::tempdir().unwrap(), in_memory().await);
    let open = || Store::create(dir.path().join(".tress")).unwrap();
    let (one, two) =
        (open().create_run("main").await.unwrap(), open().create_run("main").await.unwrap());
    human(&one).add("written here").await.unwrap();
    let mut forged = one.lacking(VersionVector::new(), Strands::ALL).await.unwrap().remove(0);
    human(&a).add("from elsewhere").await.unwrap();
    let mut all = a.lacking(VersionVector::new(), Strands::ALL).await.unwrap();
    forged.previous = one.events_since(VersionVector::new()).await.unwrap()[0].id;
    forged.first += 1;
    forged.records[0].time.millis += 1;
    all.push(forged);
    let taken = two.take_in(all).await.unwrap();
    assert_eq!((taken.events.len(), taken.refused.len()), (1, 1));
    let reason = taken.refused[0].1.to_string();
    assert!(reason.contains("another process here writes"), "{reason}");
    assert_eq!(two.state().todos.len(), 2);
    human(&one).add("goes on").await.unwrap();
    assert_eq!(one.refresh().await.unwrap().todos.len(), 3);
}

/// A part of a journal had come with a synced folder and waited. What closed the gap let all of it in, and
/// what had come behind it was in memory only.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_goes_on_behind_a_journal_that_waited_is_written() {
    let places: Vec<_> = (0..3).map(|_| tempfile::tempdir().unwrap()).collect();
    let open = |number: usize| Store::create(places[number].path().join(".tress")).unwrap();
    let first = open(0).create_run("main").await.unwrap();
    human(&first).add("the cause").await.unwrap();
    let cause = first.lacking(VersionVector::new(), Strands::ALL).await.unwrap();
    let other = open(1).create_run("main").await.unwrap();
    other.take_in(cause.clone()).await.unwrap();
    human(&other).add("what waits").await.unwrap();
    drop(open(2).create_run("main").await.unwrap());
    let journals = |number: usize| places[number].path().join(".tress/runs/main/journals");
    let journal = std::fs::read_dir(journals(1)).unwrap().next().unwrap().unwrap();
    let there = journals(2).join(journal.file_name());
    std::fs::create_dir_all(&there).unwrap();
    std::fs::copy(journal.path().join("000001.log"), there.join("000001.log")).unwrap();
    let known = other.state().version.clone();
    human(&other).add("what goes on").await.unwrap();
    let mut rest = other.lacking(known, Strands::ALL).await.unwrap();
    let third = open(2).run("main").await.unwrap();
    assert_eq!(third.state().todos.len(), 0);
    rest.extend(cause);
    third.take_in(rest).await.unwrap();
    assert_eq!(third.state().version, other.state().version);
    drop(third);
    assert_eq!(open(2).run("main").await.unwrap().state().version, other.state().version);
}
