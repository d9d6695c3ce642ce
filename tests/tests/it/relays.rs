//! One suite that every relay passes: a list in memory, a git remote, PostgreSQL.

use std::path::Path;
use std::process::Command;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tress::sync::relay::{Clock, Git, Numbered, Postgres, Relay, RelayError, exchange};
use tress::sync::{Certificates, Exchanged, follow_store};
use tress::{Agent, Operation, Role, Run, Segment, Store, StoreId, Strand, Strands, VersionVector};
use tress::{new_todo_id, todo};
use tress_torture::cluster::{self, Cluster};

/// The simplest relay that there can be.
#[derive(Clone)]
struct Memory {
    kept: Arc<Mutex<Vec<Segment>>>,
    changes: Arc<Mutex<Vec<(Strand, Numbered)>>>,
    changed: Arc<tokio::sync::Notify>,
}

impl Memory {
    fn new() -> Self {
        Self { kept: Arc::default(), changes: Arc::default(), changed: Arc::default() }
    }
}

impl Relay for Memory {
    fn id(&self) -> StoreId {
        StoreId([1; 16])
    }

    async fn holds(&mut self) -> Result<VersionVector, RelayError> {
        let kept = self.kept.lock().unwrap();
        Ok(kept.iter().map(|segment| (segment.replica, segment.last())).collect())
    }

    async fn put(&mut self, segments: &[Segment]) -> Result<(), RelayError> {
        self.kept.lock().unwrap().extend_from_slice(segments);
        self.changed.notify_waiters();
        Ok(())
    }

    async fn get(&mut self, than: &VersionVector) -> Result<Vec<Segment>, RelayError> {
        let kept = self.kept.lock().unwrap();
        let lacking = kept.iter().filter(|segment| segment.last() > than.get(segment.replica));
        Ok(lacking.take(3).cloned().collect())
    }

    async fn clocks(&mut self) -> Result<[Clock; 3], RelayError> {
        let mut clocks = <[Clock; 3]>::default();
        for (strand, change) in self.changes.lock().unwrap().iter() {
            let clock = clocks.get_mut(strand.index()).unwrap();
            clock.insert(change.actor.clone(), change.number);
        }
        Ok(clocks)
    }

    async fn put_changes(&mut self, changes: &[(Strand, Numbered)]) -> Result<(), RelayError> {
        self.changes.lock().unwrap().extend_from_slice(changes);
        self.changed.notify_waiters();
        Ok(())
    }

    async fn get_changes(
        &mut self,
        strand: Strand,
        than: &Clock,
    ) -> Result<Vec<Vec<u8>>, RelayError> {
        let changes = self.changes.lock().unwrap();
        let lacking = changes.iter().filter(|(of, change)| *of == strand && !change.is_in(than));
        Ok(lacking.take(2).map(|(_, change)| change.bytes.clone()).collect())
    }

    async fn changed(&mut self) -> Result<(), RelayError> {
        let _ = tokio::time::timeout(Duration::from_millis(20), self.changed.notified()).await;
        Ok(())
    }
}

/// Waits for what is to come; that it never comes is a failure, and not a hang.
async fn soon<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(60), future).await.expect("it never came")
}

/// A machine: a store in a directory of its own.
struct Machine {
    _dir: tempfile::TempDir,
    run: Run,
}

impl Machine {
    async fn new(run: &str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::create(dir.path().join(".tress")).unwrap();
        let run = store.create_run(run).await.unwrap();
        Self { _dir: dir, run }
    }

    fn agent(&self) -> Agent {
        self.run.agent("ada", Role::Human)
    }

    async fn add(&self, titles: impl IntoIterator<Item = String>) {
        let todos = titles.into_iter().map(|title| todo(new_todo_id().unwrap(), title));
        self.agent().append(todos.collect::<Vec<_>>()).await.unwrap();
    }

    async fn once<R: Relay>(&self, mut relay: R) -> Exchanged {
        soon(exchange(&self.run, &mut relay, false, |_| {})).await.unwrap()
    }

    fn root(&self) -> String {
        self.run.state().root().to_string()
    }
}

/// What every relay has to do. `connect` reaches it anew, for one store.
async fn keeps_its_promises<R: Relay + 'static>(run: &str, connect: impl AsyncFn(&Run) -> R) {
    let (a, b) = (Machine::new(run).await, Machine::new(run).await);
    // Both sides write; nobody meets anybody.
    a.add((0..5).map(|number| format!("a {number}"))).await;
    b.add((0..7).map(|number| format!("b {number}"))).await;
    let first = a.once(connect(&a.run).await).await;
    assert_eq!((first.received, first.sent, first.up_to_date), (0, 5, true));
    let second = b.once(connect(&b.run).await).await;
    assert_eq!((second.received, second.sent), (5, 7));
    let third = a.once(connect(&a.run).await).await;
    assert_eq!((third.received, third.sent), (7, 0));
    assert_eq!(a.root(), b.root());
    let again = a.once(connect(&a.run).await).await;
    assert_eq!((again.received, again.sent), (0, 0), "nothing is missing");

    // To leave the same again, also cut in another way, changes nothing.
    let mut relay = connect(&a.run).await;
    soon(relay.holds()).await.unwrap();
    let all = a.run.lacking(VersionVector::new(), Strands::ALL).await.unwrap();
    soon(relay.put(&all)).await.unwrap();
    let mut longer = connect(&a.run).await;
    let there = soon(longer.holds()).await.unwrap();
    assert_eq!(there, a.run.state().version);

    // Whoever comes anew learns everything, in messages of bounded size, causes first.
    let new = Machine::new(run).await;
    for _ in 0..6 {
        b.add((0..1000).map(|number| format!("many {number} {}", "x".repeat(300)))).await;
        a.once(connect(&a.run).await).await;
        b.once(connect(&b.run).await).await;
    }
    let mut relay = connect(&new.run).await;
    let there = soon(relay.holds()).await.unwrap();
    let (mut known, mut pieces) = (VersionVector::new(), 0);
    while there.join(&known) != known {
        let segments = soon(relay.get(&known)).await.unwrap();
        assert!(!segments.is_empty(), "what is there can be had");
        for segment in &segments {
            known.advance(segment.replica, segment.last());
        }
        let taken = new.run.take_in(segments).await.unwrap();
        assert_eq!((taken.waiting, taken.refused.len()), (0, 0), "causes come first");
        pieces += 1;
    }
    assert!(pieces > 1, "two megabytes do not come at once");
    b.run.refresh().await.unwrap();
    assert_eq!(new.root(), b.root());

    // What one store sealed comes to all, and nobody seals it again.
    b.run.seal().await.unwrap();
    assert_eq!(b.once(connect(&b.run).await).await.changes, 0);
    assert!(a.once(connect(&a.run).await).await.changes > 0);
    assert_eq!(a.run.seal().await.unwrap().changes, 0);
    a.add(["sealed by a".to_owned()]).await;
    let sealed = a.run.seal().await.unwrap().changes;
    assert!(sealed > 0);
    a.once(connect(&a.run).await).await;
    assert_eq!(b.once(connect(&b.run).await).await.changes, sealed);
    assert_eq!(b.run.seal().await.unwrap().changes, 0);
    let heads = a.run.document_heads().await.unwrap();
    assert_eq!(b.run.document_heads().await.unwrap(), heads);
    let again = a.once(connect(&a.run).await).await;
    assert_eq!((again.received, again.sent, again.changes), (0, 0, 0), "nothing is missing");

    // Those who stay are told, and what is appended is replicated.
    let (here, there) = (a.run.clone(), b.run.clone());
    let (mut one, mut two) = (connect(&here).await, connect(&there).await);
    let following = tokio::spawn(async move {
        tokio::join!(
            exchange(&here, &mut one, true, |_| {}),
            exchange(&there, &mut two, true, |_| {})
        )
    });
    let events = a.agent().append([todo(new_todo_id().unwrap(), "live")]).await.unwrap();
    soon(a.run.replicated(&events, 1)).await.unwrap();
    let mut updates = b.run.updates();
    let dot = events.first().unwrap().dot;
    while !b.run.state().version.contains(dot) {
        soon(updates.changed()).await.unwrap();
    }
    following.abort();
    let _ = following.await;

    // Another run there is another run.
    let other = Machine::new("apart").await;
    assert_eq!(other.once(connect(&other.run).await).await.received, 0);
    assert!(other.run.state().todos.is_empty());
}

/// A relay adds an event of its own to what a member wrote: well chained, well numbered, and not signed.
#[tokio::test]
async fn what_a_relay_forges_is_not_taken_by_who_trusts_members() {
    let (a, b, careless) =
        (Machine::new("main").await, Machine::new("main").await, Machine::new("main").await);
    let member = a.run.create_member().unwrap();
    a.run.trust(member).unwrap();
    let added = Operation::MemberAdded { store: member.store, key: member.key };
    a.agent().append([added]).await.unwrap();
    a.add((0..5).map(|number| format!("todo {number}"))).await;
    b.run.trust(member).unwrap();
    let relay = Memory::new();
    a.once(relay.clone()).await;
    let mut log = tress::Log::new();
    log.admit_all(relay.kept.lock().unwrap().clone(), None);
    let (replica, _) = log.version().iter().next().unwrap();
    let author = tress::Author::new("ada", Role::Human);
    let operation = todo(new_todo_id().unwrap(), "forged");
    let draft = tress::Draft { author, occurred: None, operation };
    let forged = log.prepare(replica, member.store, vec![draft], tress::now()).unwrap();
    relay.kept.lock().unwrap().push(forged.segment());
    let met = b.once(relay.clone()).await;
    assert_eq!((met.unsigned, b.run.state().todos.len()), (1, 5));
    assert_eq!(careless.once(relay.clone()).await.unsigned, 0);
    assert_eq!(careless.run.state().todos.len(), 6, "who trusts nobody in particular believes it");
    // What the member writes in that place later is taken, all the same.
    a.add(["the sixth".to_owned()]).await;
    a.run.sign().await.unwrap();
    let (honest, all) = (Memory::new(), VersionVector::new());
    let given = a.run.lacking(all, Strands::ALL).await.unwrap();
    honest.kept.lock().unwrap().extend(given);
    b.once(honest).await;
    assert_eq!(b.root(), a.root());
}

/// The forged segment reaches further than what is signed, and comes first, in the same message.
#[tokio::test]
async fn what_is_forged_beside_what_is_signed_is_not_taken_in_its_place() {
    let (a, b) = (Machine::new("main").await, Machine::new("main").await);
    let member = a.run.create_member().unwrap();
    a.run.trust(member).unwrap();
    b.run.trust(member).unwrap();
    a.add(["true".to_owned()]).await;
    a.run.sign().await.unwrap().expect("it is a member by itself");
    let given = a.run.lacking(VersionVector::new(), Strands::ALL).await.unwrap();
    let mut forged = given.clone();
    for segment in &mut forged {
        segment.records.iter_mut().for_each(|record| record.time.millis += 1);
        let mut more = segment.records.last().unwrap().clone();
        more.time.millis += 1000;
        segment.records.push(more);
    }
    let relay = Memory::new();
    relay.kept.lock().unwrap().extend([forged, given].concat());
    b.once(relay).await;
    assert_eq!(b.root(), a.root());
}

/// Some of what a member wrote stands there in a forged form, and shorter; all of it once more, as it is.
#[tokio::test]
async fn a_forged_beginning_does_not_keep_out_what_is_signed() {
    let (a, b) = (Machine::new("main").await, Machine::new("main").await);
    let member = a.run.create_member().unwrap();
    a.run.trust(member).unwrap();
    b.run.trust(member).unwrap();
    a.add(["true".to_owned(), "also".to_owned()]).await;
    a.run.sign().await.unwrap().expect("it is a member by itself");
    let given = a.run.lacking(VersionVector::new(), Strands::ALL).await.unwrap();
    let relay = Memory::new();
    for later in 1..4 {
        let mut forged = given.clone();
        for segment in &mut forged {
            segment.records.truncate(1);
            segment.records.iter_mut().for_each(|record| record.time.millis += later);
        }
        relay.kept.lock().unwrap().extend(forged);
    }
    relay.kept.lock().unwrap().extend(given);
    b.once(relay).await;
    assert_eq!(b.root(), a.root());
}

#[tokio::test]
async fn a_signature_may_come_before_what_it_covers() {
    let (a, b) = (Machine::new("main").await, Machine::new("main").await);
    let member = a.run.create_member().unwrap();
    a.run.trust(member).unwrap();
    b.run.trust(member).unwrap();
    let relay = Memory::new();
    for number in 0..8 {
        let known = a.run.state().version.clone();
        a.add([format!("todo {number}")]).await;
        let given = a.run.lacking(known, Strands::ALL).await.unwrap();
        relay.kept.lock().unwrap().extend(given);
    }
    // Another process of the same store signs for both.
    let known = a.run.state().version.clone();
    let store = Store::create(a.run.store_dir()).unwrap();
    let signer = store.run("main").await.unwrap();
    let added = Operation::MemberAdded { store: member.store, key: member.key };
    let added = signer.agent("ada", Role::Human).draft(added);
    signer.change_members(added).await.unwrap().expect("it is a member");
    assert!(signer.sign().await.unwrap().is_none(), "nothing came since");
    let given = signer.lacking(known, Strands::ALL).await.unwrap();
    relay.kept.lock().unwrap().splice(0..0, given);
    let met = b.once(relay).await;
    assert_eq!((met.unsigned, met.received), (0, 10));
    assert_eq!(b.root(), signer.state().root().to_string());
}

#[tokio::test]
async fn a_list_in_memory_is_a_relay() {
    let (main, apart) = (Memory::new(), Memory::new());
    keeps_its_promises(
        "main",
        async |run: &Run| {
            if run.name() == "main" { main.clone() } else { apart.clone() }
        },
    )
    .await;
}

fn git(dir: &Path, args: &[&str]) -> String {
    let output = Command::new("git").arg("-C").arg(dir).args(args).output().unwrap();
    assert!(output.status.success(), "{args:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).into_owned()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_git_remote_is_a_relay() {
    let dir = tempfile::tempdir().unwrap();
    git(dir.path(), &["init", "--quiet", "--bare", "hub.git"]);
    let hub = dir.path().join("hub.git");
    let remote = hub.display().to_string();
    keeps_its_promises("main", async |run: &Run| Git::open(run, &remote).await.unwrap()).await;
    let refs = git(&hub, &["for-each-ref", "--format=%(refname)"]);
    assert!(refs.lines().all(|name| name.starts_with("refs/tress/main/")), "{refs}");
    assert_eq!(refs.lines().count(), 2, "one for each that wrote");
    git(&hub, &["fsck", "--strict"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_git_remote_lost_or_never_meant_hurts_nobody() {
    let dir = tempfile::tempdir().unwrap();
    git(dir.path(), &["init", "--quiet", "--bare", "hub.git"]);
    let hub = dir.path().join("hub.git");
    let remote = hub.display().to_string();
    let (a, b) = (Machine::new("main").await, Machine::new("main").await);
    a.add(["kept".to_owned()]).await;
    a.once(Git::open(&a.run, &remote).await.unwrap()).await;
    b.once(Git::open(&b.run, &remote).await.unwrap()).await;
    // Somebody deletes what a left there: whoever has it leaves it there again.
    let own = git(&hub, &["for-each-ref", "--format=%(refname)"]);
    git(&hub, &["update-ref", "-d", own.trim()]);
    let left = b.once(Git::open(&b.run, &remote).await.unwrap()).await;
    assert_eq!((left.received, left.sent), (0, 1));
    let new = Machine::new("main").await;
    assert_eq!(new.once(Git::open(&new.run, &remote).await.unwrap()).await.received, 1);
    // A ref that is not ours, and a file of garbage, are passed over.
    let blob = dir.path().join("blob");
    std::fs::write(&blob, b"\x05\x00\x00\x00garbage").unwrap();
    let blob = git(&hub, &["hash-object", "-w", &blob.display().to_string()]);
    let text = dir.path().join("text");
    std::fs::write(&text, "1").unwrap();
    let format = git(&hub, &["hash-object", "-w", &text.display().to_string()]);
    std::fs::write(&text, format!("{} 1 7\n", "07".repeat(16))).unwrap();
    let version = git(&hub, &["hash-object", "-w", &text.display().to_string()]);
    let tree = dir.path().join("tree");
    let entry = |blob: &str, name: &str| format!("100644 blob {}\t{name}\n", blob.trim());
    let entries =
        entry(&blob, "00000001") + &entry(&format, "format") + &entry(&version, "version");
    std::fs::write(&tree, entries).unwrap();
    let mut mktree = Command::new("git");
    mktree.arg("-C").arg(&hub).arg("mktree").stdin(std::fs::File::open(&tree).unwrap());
    let tree = String::from_utf8(mktree.output().unwrap().stdout).unwrap();
    let who = ["-c", "user.name=x", "-c", "user.email=x@localhost"];
    let commit = git(&hub, &[&who[..], &["commit-tree", tree.trim(), "-m", "x"]].concat());
    git(&hub, &["update-ref", "refs/tress/main/strange", commit.trim()]);
    b.add(["later".to_owned()]).await;
    b.once(Git::open(&b.run, &remote).await.unwrap()).await;
    let after = new.once(Git::open(&new.run, &remote).await.unwrap()).await;
    assert_eq!((after.received, after.up_to_date), (1, true));
    // There is no remote at all.
    let gone = Git::open(&a.run, &dir.path().join("gone.git").display().to_string()).await;
    let error = gone.unwrap().holds().await.unwrap_err();
    assert!(error.is_transient() && error.to_string().contains("gone.git"), "{error}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn postgres_is_a_relay() {
    let Some(bin) = cluster::installed() else {
        println!("skipped: PostgreSQL is not installed here");
        return;
    };
    let cluster = Cluster::start(&bin, 0).unwrap();
    let certificates = Certificates::default();
    let database = Postgres::new(&cluster.url(), None, &certificates).unwrap();
    keeps_its_promises("main", async |run: &Run| database.run(run.name()).await.unwrap()).await;
    // Each segment is there once, and the heads are those of the segments.
    let twice =
        "SELECT count(*) FROM (SELECT 1 FROM tress_segment GROUP BY run, replica, first, last
        HAVING count(*) > 1) AS twice";
    assert_eq!(cluster.ask(0, twice).unwrap(), "0");
    let behind = "SELECT count(*) FROM tress_head h WHERE last <>
        (SELECT max(last) FROM tress_segment s WHERE s.run = h.run AND s.replica = h.replica)";
    assert_eq!(cluster.ask(0, behind).unwrap(), "0");

    // Garbage in a row is passed over, and what is behind it comes.
    let junk =
        "INSERT INTO tress_segment (run, replica, store, first, last, previous, format, body)
        VALUES ('main', decode(repeat('07', 16), 'hex'), decode(repeat('08', 16), 'hex'), 1, 9,
                decode(repeat('00', 32), 'hex'), 1, 'junk');
        INSERT INTO tress_head VALUES ('main', decode(repeat('07', 16), 'hex'), 9)";
    cluster.ask(0, junk).unwrap();
    let new = Machine::new("main").await;
    let all = new.once(database.run("main").await.unwrap()).await;
    assert!(all.up_to_date && all.received > 6_000, "{all:?}");
    // A schema of a later version is refused, and so is who may not come in.
    cluster.ask(0, "UPDATE tress_schema SET version = 9").unwrap();
    let fresh = Postgres::new(&cluster.url(), None, &certificates).unwrap();
    let refused = fresh.run("main").await.unwrap_err();
    assert!(matches!(refused, RelayError::Newer { found: 9, .. }), "{refused}");
    let stranger = cluster.url().replace("tress@", "stranger:secret@");
    let stranger = Postgres::new(&stranger, None, &certificates).unwrap();
    let refused = stranger.run("main").await.unwrap_err();
    assert!(!refused.is_transient(), "{refused}");
    assert!(!refused.to_string().contains("secret"), "{refused}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn stores_that_share_a_database_have_the_same_runs() {
    let Some(bin) = cluster::installed() else {
        println!("skipped: PostgreSQL is not installed here");
        return;
    };
    let cluster = Cluster::start(&bin, 0).unwrap();
    let stores = [(), ()].map(|()| Store::in_memory().unwrap());
    let following = stores.clone().map(|store| {
        let url = cluster.url();
        tokio::spawn(async move {
            let database = Postgres::new(&url, None, &Certificates::default()).unwrap();
            follow_store(&store, &database, |_, _| {}).await.map(|_| ())
        })
    });
    let [one, two] = stores;
    // A run that is made while they follow comes to the other side, and what is appended there back.
    let first = one.create_run("later").await.unwrap();
    let ada = first.agent("ada", Role::Human);
    ada.append([todo(new_todo_id().unwrap(), "first")]).await.unwrap();
    let begun = std::time::Instant::now();
    while !two.runs().unwrap().contains(&"later".to_owned()) {
        assert!(begun.elapsed() < Duration::from_secs(60), "the run does not come");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let second = two.create_run("later").await.unwrap();
    let bob = second.agent("bob", Role::Human);
    let events = bob.append([todo(new_todo_id().unwrap(), "second")]).await.unwrap();
    let mut updates = first.updates();
    while first.state().todos.len() < 2 {
        soon(updates.changed()).await.unwrap();
    }
    assert!(first.state().version.contains(events.first().unwrap().dot));
    for task in following {
        assert!(!task.is_finished());
        task.abort();
    }
}
