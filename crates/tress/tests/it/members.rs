//! Signatures: whoever trusts members takes only what they signed.

use std::time::Duration;

use tokio::task::JoinHandle;
use tress::members::Member;
use tress::sync::{Broken, Exchanged, Terms, converse, pipe};
use tress::{Operation, Run};

use super::human;
use super::seals::{meet, place};
use super::sync::soon;

/// Makes a store the first member of its run.
async fn found(run: &Run) -> Member {
    let member = run.create_member().unwrap();
    run.trust(member).unwrap();
    add(run, member).await;
    member
}

async fn add(run: &Run, Member { store, key }: Member) {
    change(run, Operation::MemberAdded { store, key }).await;
}

async fn change(run: &Run, operation: Operation) {
    let draft = human(run).draft(operation);
    run.change_members(draft).await.unwrap().expect("it is a member");
}

/// Two that talk until one of them ends it.
fn talk(one: &Run, two: &Run) -> [JoinHandle<Result<Exchanged, Broken>>; 2] {
    let (left, right) = pipe();
    [(one.clone(), left), (two.clone(), right)].map(|(run, link)| {
        let terms = Terms { live: true, ..Terms::default() };
        tokio::spawn(async move { converse(&run, link, &terms, |_| {}).await })
    })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_trusts_a_member_takes_what_members_signed_and_nothing_else() {
    let (a, b, stranger) = (place().await, place().await, place().await);
    let member = found(&a.run).await;
    let text = member.to_string();
    assert_eq!(text.parse(), Ok(member));
    b.run.trust(text.parse().unwrap()).unwrap();
    human(&a.run).add("of a member").await.unwrap();
    // Nobody is sure of what is not signed; whoever meets others signs first.
    assert!(a.run.signed().await.unwrap().covered.values().sum::<u64>() < 3);
    let (_, met) = meet(&a.run, &b.run).await;
    assert_eq!(met.unsigned, 0);
    assert_eq!(b.run.state().todos.len(), 1);
    // A stranger is taken from by those who trust nobody, and by nobody else.
    human(&stranger.run).add("of a stranger").await.unwrap();
    let (met, other) = meet(&b.run, &stranger.run).await;
    assert_eq!((met.received, met.unsigned, met.not_taken), (0, 1, 0));
    assert_eq!((other.sent, other.not_taken), (0, 1), "and both know it");
    assert_eq!(b.run.state().todos.len(), 1);
    assert_eq!(stranger.run.state().todos.len(), 2);
    // Also one with a key, until a member says so; then all of it comes.
    let joining = stranger.run.create_member().unwrap();
    assert!(stranger.run.sign().await.unwrap().is_none(), "who trusts nobody signs nothing");
    stranger.run.trust(member).unwrap();
    assert_eq!(stranger.run.create_member().unwrap(), joining, "one key for good");
    let (met, _) = meet(&b.run, &stranger.run).await;
    assert_eq!(met.received, 0);
    add(&a.run, joining).await;
    meet(&a.run, &b.run).await;
    meet(&b.run, &stranger.run).await;
    let before = b.run.state().version.events();
    human(&stranger.run).add("of a new member").await.unwrap();
    let (met, other) = meet(&b.run, &stranger.run).await;
    assert_eq!((met.unsigned, other.not_taken), (0, 0));
    // What is taken only with its signature was sent all the same.
    assert_eq!(other.sent, b.run.state().version.events() - before);
    assert_eq!(b.run.state().todos.len(), 3);
    // Who is removed is a stranger again, and what it signed stays.
    change(&a.run, Operation::MemberRemoved { store: joining.store }).await;
    meet(&a.run, &b.run).await;
    human(&stranger.run).add("too late").await.unwrap();
    let (met, _) = meet(&b.run, &stranger.run).await;
    assert!(met.unsigned > 0, "{met:?}");
    assert_eq!(b.run.state().todos.len(), 3);
    let signed = b.run.signed().await.unwrap();
    assert_eq!(signed.members.keys().copied().collect::<Vec<_>>(), [member.store]);
}

/// What the other side wrote was told as ours that it does not take.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_the_other_side_gives_is_not_kept_from_it() {
    let (a, hub, c) = (place().await, place().await, place().await);
    let (left, right) = pipe();
    let live = || Terms { live: true, ..Terms::default() };
    let run = hub.run.clone();
    let at_hub = tokio::spawn(async move { converse(&run, right, &live(), |_| {}).await });
    let (said, mut heard) = tokio::sync::mpsc::unbounded_channel();
    let run = a.run.clone();
    let told = move |exchanged: &Exchanged| {
        let _ = said.send((exchanged.received, exchanged.not_taken));
    };
    let at_a = tokio::spawn(async move { converse(&run, left, &live(), told).await });
    human(&hub.run).add("of the hub").await.unwrap();
    human(&c.run).add("of a third").await.unwrap();
    meet(&c.run, &hub.run).await;
    let mut received = 0;
    while received < 2 {
        let (came, not_taken) = soon(heard.recv()).await.expect("it talks");
        assert_eq!(not_taken, 0);
        received = came;
    }
    at_a.abort();
    at_hub.abort();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_written_live_is_signed_and_comes() {
    let (a, b) = (place().await, place().await);
    let member = found(&a.run).await;
    b.run.trust(member).unwrap();
    let talking = talk(&a.run, &b.run);
    let mut updates = b.run.updates();
    for number in 1..4 {
        human(&a.run).add(&format!("todo {number}")).await.unwrap();
        while b.run.state().todos.len() < number {
            soon(updates.changed()).await.unwrap();
        }
    }
    // And then there is rest: a signature is not signed again.
    tokio::time::sleep(Duration::from_millis(400)).await;
    let events = a.run.state().version.events();
    tokio::time::sleep(Duration::from_millis(400)).await;
    assert_eq!(a.run.state().version.events(), events);
    for task in talking {
        task.abort();
    }
}

#[cfg(unix)]
#[tokio::test]
async fn a_key_is_for_its_owner_alone() {
    use std::os::unix::fs::PermissionsExt;
    let a = place().await;
    let member = a.run.create_member().unwrap();
    let path = a.run.store_dir().join("local").join(member.store.to_string()).join("key");
    assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    std::fs::write(&path, "nonsense").unwrap();
    let error = a.run.member().unwrap_err().to_string();
    assert!(error.contains("it is no key"), "{error}");
    assert!("nonsense".parse::<Member>().is_err());
}

#[cfg(unix)]
#[tokio::test]
async fn a_key_that_is_none_ends_no_conversation() {
    let (a, b) = (place().await, place().await);
    let member = found(&a.run).await;
    let dir = a.run.store_dir().join("local").join(member.store.to_string());
    let names = std::fs::read_dir(&dir).unwrap().map(|entry| entry.unwrap().file_name());
    let keys = names.filter(|name| name.to_string_lossy().starts_with("key"));
    assert_eq!(keys.count(), 1, "what was written beside it is gone");
    std::fs::write(dir.join("key"), "nonsense").unwrap();
    human(&a.run).add("not signed").await.unwrap();
    meet(&a.run, &b.run).await;
    assert_eq!(b.run.state().todos.len(), 1);
}

/// A run that others wrote, and in which members are named only then.
#[tokio::test]
async fn a_run_with_a_past_is_vouched_for_by_its_first_member() {
    let (a, b, stranger) = (place().await, place().await, place().await);
    human(&stranger.run).add("of old").await.unwrap();
    meet(&stranger.run, &a.run).await;
    let member = found(&a.run).await;
    human(&a.run).add("of today").await.unwrap();
    b.run.trust(member).unwrap();
    let (_, met) = meet(&a.run, &b.run).await;
    assert_eq!((met.unsigned, b.run.state().todos.len()), (0, 2));
}

#[tokio::test]
async fn trust_is_of_a_store_and_a_signature_of_a_run() {
    let a = place().await;
    let member = found(&a.run).await;
    let store = tress::Store::open(a.run.store_dir()).unwrap();
    let fork = tress::Fork { reason: "to try".into(), ..Default::default() };
    let path = human(&a.run).fork(&store, "tried", fork).await.unwrap();
    assert_eq!(path.trusted().unwrap(), [(member.store, member.key)].into());
    assert!(path.signed().await.unwrap().covered.is_empty());
    path.sign().await.unwrap().expect("there is something to sign");
    let covered = path.signed().await.unwrap().covered.values().sum::<u64>();
    assert_eq!(covered, path.state().version.events());
    // What was signed there is signed here once more.
    human(&a.run).merge(&path).await.unwrap();
    a.run.sign().await.unwrap().expect("there is something to sign");
    let covered = a.run.signed().await.unwrap().covered.values().sum::<u64>();
    assert_eq!(covered, a.run.state().version.events());
}

/// Somebody begins to trust while a stranger is talking.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn trust_holds_from_the_moment_on_also_in_a_conversation() {
    let (b, stranger) = (place().await, place().await);
    let [talking, other] = talk(&b.run, &stranger.run);
    let mut updates = b.run.updates();
    human(&stranger.run).add("before").await.unwrap();
    while b.run.state().todos.is_empty() {
        soon(updates.changed()).await.unwrap();
    }
    found(&b.run).await;
    human(&stranger.run).add("after").await.unwrap();
    let ended = soon(talking).await.unwrap();
    assert!(ended.is_err_and(|why| why.is_transient()));
    assert!(soon(other).await.unwrap().is_err());
    assert_eq!(b.run.state().todos.len(), 1);
    // Nor is it signed.
    b.run.sign().await.unwrap();
    let (met, _) = meet(&b.run, &stranger.run).await;
    assert_eq!((met.received, met.unsigned), (0, 1));
}

/// A signature that covers nothing comes first, and then there is rest.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_signature_of_a_stranger_holds_up_nobody() {
    let (a, b, hub) = (place().await, place().await, place().await);
    let stranger = place().await;
    let member = found(&a.run).await;
    b.run.trust(member).unwrap();
    // The stranger is the first member of a team of its own.
    found(&stranger.run).await;
    meet(&stranger.run, &hub.run).await;
    let talking = talk(&hub.run, &b.run);
    tokio::time::sleep(Duration::from_millis(300)).await;
    human(&a.run).add("of a member").await.unwrap();
    meet(&a.run, &hub.run).await;
    let mut updates = b.run.updates();
    while b.run.state().todos.is_empty() {
        soon(updates.changed()).await.unwrap();
    }
    for task in talking {
        task.abort();
    }
}

#[tokio::test]
async fn a_store_that_is_no_member_says_nothing_about_members() {
    let a = place().await;
    let key = a.run.create_member().unwrap();
    let draft = human(&a.run).draft(Operation::MemberAdded { store: key.store, key: key.key });
    assert!(a.run.change_members(draft).await.unwrap().is_none());
    assert!(a.run.state().version.is_empty());
}

/// Documents are signed by nobody.
#[tokio::test]
async fn who_trusts_members_takes_no_documents() {
    let (a, b) = (place().await, place().await);
    let member = found(&a.run).await;
    human(&a.run).add("sealed").await.unwrap();
    a.run.seal().await.unwrap();
    b.run.trust(member).unwrap();
    let (_, met) = meet(&a.run, &b.run).await;
    assert_eq!((met.changes, b.run.state().todos.len()), (0, 1));
}

/// What waited for its signature was taken in later, and whoever had sent it was never told.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_taken_once_it_is_signed_is_acknowledged() {
    let (a, b) = (place().await, place().await);
    let member = found(&a.run).await;
    b.run.trust(member).unwrap();
    let (left, right) = pipe();
    let terms = Terms { live: true, counts: true, ..Terms::default() };
    let both = async {
        tokio::join!(
            converse(&a.run, left, &terms, |_| {}),
            converse(&b.run, right, &terms, |_| {})
        )
    };
    let work = async {
        for number in 0..3 {
            let todo = tress::TodoId::from_external(&number.to_string());
            let events =
                human(&a.run).append([tress::todo(todo, "to be had twice")]).await.unwrap();
            soon(a.run.replicated(&events, 1)).await.unwrap();
        }
    };
    tokio::select! {
        ended = both => panic!("{ended:?}"),
        () = work => {}
    }
}

/// A signature is made in the name of a store, and in no role.
#[tokio::test]
async fn a_member_signs_where_it_may_write_in_one_role_only() {
    let (a, b) = (place().await, place().await);
    let member = found(&a.run).await;
    b.run.trust(member).unwrap();
    human(&a.run).add("of a person").await.unwrap();
    let (left, right) = pipe();
    let terms = Terms { role: Some(tress::Role::Human), ..Terms::default() };
    let ours = Terms::default();
    let (one, two) = tokio::join!(
        converse(&a.run, left, &ours, |_| {}),
        converse(&b.run, right, &terms, |_| {})
    );
    assert_eq!((one.unwrap().refused, two.unwrap().unsigned), (0, 0));
    assert_eq!(b.run.state().todos.len(), 1);
}
