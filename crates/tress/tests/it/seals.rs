//! Seals between stores: what one sealed is what the other reads.

use std::time::Duration;

use tress::sync::{Exchanged, Terms, converse, pipe};
use tress::{Operation, Run, Store, Strand, TodoId};

use super::human;
use super::sync::soon;

pub(crate) struct Place {
    pub(crate) run: Run,
    _dir: tempfile::TempDir,
}

pub(crate) async fn place() -> Place {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::create(dir.path().join(".tress")).unwrap();
    Place { run: store.create_run("main").await.unwrap(), _dir: dir }
}

async fn note(run: &Run, todo: TodoId, text: &str) {
    let note = Operation::NoteAdded { todo, text: text.to_owned(), layout: None };
    human(run).append([note]).await.unwrap();
}

pub(crate) async fn meet(a: &Run, b: &Run) -> (Exchanged, Exchanged) {
    let (left, right) = pipe();
    let terms = Terms::default();
    let both = async {
        tokio::join!(converse(a, left, &terms, |_| {}), converse(b, right, &terms, |_| {}))
    };
    let (one, two) = soon(both).await;
    (one.unwrap(), two.unwrap())
}

async fn heads(run: &Run) -> Vec<Vec<[u8; 32]>> {
    let documents = run.documents().await.unwrap();
    Strand::ALL.into_iter().map(|strand| documents.heads(strand)).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_one_store_sealed_is_not_sealed_again_by_another() {
    let (a, b) = (place().await, place().await);
    let id = human(&a.run).add("one").await.unwrap();
    // Nobody has read a document yet: nothing of them is exchanged, and none is made.
    assert_eq!(meet(&a.run, &b.run).await.1.changes, 0);
    assert!(!b.run.store_dir().join("documents").exists());
    let sealed = a.run.seal().await.unwrap();
    assert!(sealed.changes > 0);
    let (one, two) = meet(&a.run, &b.run).await;
    assert_eq!((one.changes, two.changes), (0, sealed.changes));
    assert_eq!(b.run.seal().await.unwrap().changes, 0, "it is all there");
    assert_eq!(heads(&a.run).await, heads(&b.run).await);
    // Once more: nothing is missing.
    let (one, two) = meet(&a.run, &b.run).await;
    assert_eq!((one.changes, two.changes), (0, 0));
    // And the other way, on top of that.
    note(&b.run, id, "from b").await;
    let sealed = b.run.seal().await.unwrap();
    assert_eq!(meet(&a.run, &b.run).await.0.changes, sealed.changes);
    assert_eq!(a.run.seal().await.unwrap().changes, 0);
    assert_eq!(heads(&a.run).await, heads(&b.run).await);
    // They ride the log: a database that is lost comes back with them.
    std::fs::remove_dir_all(b.run.store_dir().join("documents")).unwrap();
    let again = b.run.seal().await.unwrap();
    assert_eq!(again.changes, 0);
    assert_eq!(heads(&a.run).await, heads(&b.run).await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_that_sealed_the_same_apart_come_to_one_document_that_is_the_state() {
    let (a, b) = (place().await, place().await);
    let id = human(&a.run).add("one").await.unwrap();
    human(&b.run).add("two").await.unwrap();
    meet(&a.run, &b.run).await;
    // Both read, and so both seal all of it.
    a.run.seal().await.unwrap();
    b.run.seal().await.unwrap();
    note(&a.run, id, "from a").await;
    note(&b.run, id, "from b").await;
    for round in 0.. {
        assert!(round < 4, "it is never settled");
        meet(&a.run, &b.run).await;
        let sealed = (a.run.seal().await.unwrap().changes, b.run.seal().await.unwrap().changes);
        if sealed == (0, 0) {
            break;
        }
    }
    assert_eq!(heads(&a.run).await, heads(&b.run).await);
    assert_eq!(a.run.state().root(), b.run.state().root());
    let documents = a.run.documents().await.unwrap();
    for strand in Strand::ALL {
        let shown = documents.read(strand).unwrap();
        assert_eq!(shown, tress_documents::project(&a.run.state(), strand), "{strand:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn seals_come_live() {
    let (a, b) = (place().await, place().await);
    human(&a.run).add("one").await.unwrap();
    let (left, right) = pipe();
    let terms = Terms { live: true, ..Terms::default() };
    let (one, two) = (a.run.clone(), b.run.clone());
    let terms_of = terms.clone();
    let talking = [
        tokio::spawn(async move { converse(&one, left, &terms_of, |_| {}).await.map(|_| ()) }),
        tokio::spawn(async move { converse(&two, right, &terms, |_| {}).await.map(|_| ()) }),
    ];
    for title in ["two", "three"] {
        human(&a.run).add(title).await.unwrap();
        a.run.seal().await.unwrap();
        let expected = a.run.document_heads().await.unwrap();
        // It is not read meanwhile, or it would be sealed.
        let arrived = async {
            loop {
                if b.run.document_heads().await.unwrap() == expected {
                    break;
                }
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        soon(arrived).await;
        assert_eq!(b.run.seal().await.unwrap().changes, 0);
    }
    for task in talking {
        task.abort();
    }
}
