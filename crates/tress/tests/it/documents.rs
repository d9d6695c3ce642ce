//! At rest the documents equal the state, and no damage to sled can cost anything.

use std::num::NonZeroU64;
use std::path::Path;

use automerge::transaction::Transactable;
use automerge::{ActorId, AutoCommit, Change, ExpandedChange, ROOT, legacy};
use tress::operation::{ProseField, ProseTarget, Splice, Strand, TodoEdit};
use tress::{EventId, Operation, Role, Run, Sealed, Store, StoreId, VersionVector};
use tress_documents::{Shown, genesis, limits, project};
use tress_model::event::Seal;
use tress_store::{SavedDocument, SledDocuments};

use super::{human, open, tried};

async fn assert_documents_equal_state(run: &Run) -> Vec<Vec<[u8; 32]>> {
    let documents = run.documents().await.unwrap();
    let state = run.state();
    assert_eq!(documents.version, state.version);
    for strand in Strand::ALL {
        assert_eq!(documents.read(strand).unwrap(), project(&state, strand), "{}", strand.name());
    }
    Strand::ALL.map(|strand| documents.heads(strand)).into()
}

/// A run with something in each document.
async fn busy(dir: &Path) -> Run {
    let run = open(dir).await;
    let ada = human(&run);
    let todo = ada.add("write the parser").await.unwrap();
    ada.append([
        Operation::TodoEdited { todo, edits: vec![TodoEdit::Priority(1)] },
        Operation::ProseEdited {
            target: ProseTarget::Todo(todo, ProseField::Description),
            splices: vec![Splice { at: 0, delete: 0, insert: "tokens first".to_owned() }],
        },
        Operation::SectionAdded {
            section: "parser".to_owned(),
            heading: "The parser".to_owned(),
            level: 2,
            position: 1,
            body: "It reads tokens.".to_owned(),
        },
    ])
    .await
    .unwrap();
    let codex = run.agent("codex-1", Role::Implementer);
    let claim = codex.claim(todo, None).await.unwrap();
    codex.progress(&claim, 50, "half").await.unwrap();
    let done = codex.complete(&claim, None, "parser").await.unwrap();
    run.agent("judge", Role::Verifier).verify(todo, done.dot(), true, "fine").await.unwrap();
    ada.checkpoint("one", "to come back").await.unwrap();
    run
}

#[tokio::test]
async fn at_rest_each_document_equals_the_state() {
    let dir = tempfile::tempdir().unwrap();
    let run = busy(dir.path()).await;
    let first = assert_documents_equal_state(&run).await;
    assert_eq!(assert_documents_equal_state(&run).await, first, "sealing twice changes nothing");
    human(&run).add("and the printer").await.unwrap();
    assert_ne!(assert_documents_equal_state(&run).await, first);
}

#[tokio::test]
async fn documents_come_back_the_same_when_sled_is_gone() {
    let dir = tempfile::tempdir().unwrap();
    let run = busy(dir.path()).await;
    assert_documents_equal_state(&run).await;
    human(&run).add("another, sealed apart").await.unwrap();
    let heads = assert_documents_equal_state(&run).await;
    drop(run);
    std::fs::remove_dir_all(dir.path().join(".tress/documents")).unwrap();
    let run = open(dir.path()).await;
    assert_eq!(assert_documents_equal_state(&run).await, heads);
}

/// What comes to a document is saved behind it, by one process after another, and it is the same as made anew.
#[tokio::test]
async fn documents_that_are_sealed_again_and_again_stay_the_same() {
    let dir = tempfile::tempdir().unwrap();
    let mut run = busy(dir.path()).await;
    let mut heads = assert_documents_equal_state(&run).await;
    for number in 0..80 {
        human(&run).add(&format!("number {number} {}", "x".repeat(number * 20))).await.unwrap();
        if number % 7 == 0 {
            drop(run);
            run = open(dir.path()).await;
        }
        heads = assert_documents_equal_state(&run).await;
    }
    drop(run);
    let store = Store::open(dir.path().join(".tress")).unwrap();
    assert!(store.check_documents().unwrap());
    drop(store);
    std::fs::remove_dir_all(dir.path().join(".tress/documents")).unwrap();
    let run = open(dir.path()).await;
    assert_eq!(assert_documents_equal_state(&run).await, heads);
}

/// A document that says what it is to say is not compared with that again; one of which that is not known is.
#[tokio::test]
async fn what_a_document_shows_is_looked_at_once() {
    let dir = tempfile::tempdir().unwrap();
    let saved = || {
        let (documents, lock) = (dir.path().join(".tress/documents"), dir.path().join("lock"));
        SledDocuments::open(&documents, &lock).unwrap()
    };
    let load = || saved().load("main", Strand::Todo).unwrap().unwrap();
    let run = busy(dir.path()).await;
    assert_documents_equal_state(&run).await;
    let before = load();
    human(&run).add("and the printer").await.unwrap();
    // The next process takes in the seal that this one has written; nothing is left to do then.
    for _ in 0..2 {
        assert_documents_equal_state(&run).await;
    }
    let mut shown = Shown::of(&project(&run.state(), Strand::Todo));
    let wanted = Some(EventId(shown.digest()));
    drop(run);
    let now = load();
    assert_eq!(now.shows, wanted);
    assert_ne!(before.shows, wanted);
    // The document as it was before, as if all seals were in it.
    for (shows, equal) in [(wanted, false), (before.shows, true), (None, true)] {
        let older = SavedDocument { bytes: before.bytes.clone(), shows, ..now.clone() };
        saved().save("main", Strand::Todo, &older).unwrap();
        let run = open(dir.path()).await;
        let documents = run.documents().await.unwrap();
        let read = documents.read(Strand::Todo).unwrap();
        assert_eq!(read == project(&run.state(), Strand::Todo), equal, "{shows:?}");
        // The last of them finds the seal that the one before it wrote.
        let Sealed { changes, applied, .. } = documents.sealed;
        assert_eq!(changes + applied > 0, equal, "{shows:?}");
        drop((documents, run));
        assert_eq!(load().shows, wanted);
    }
}

/// Every file of sled, hit at single bytes and in stretches, and cut. With `TRESS_LONG`, at many
/// places.
#[tokio::test]
async fn documents_come_back_the_same_when_sled_is_damaged() {
    let dir = tempfile::tempdir().unwrap();
    let run = busy(dir.path()).await;
    let heads = assert_documents_equal_state(&run).await;
    drop(run);
    let documents = dir.path().join(".tress/documents");
    let mut files = Vec::new();
    let mut dirs = vec![documents.clone()];
    while let Some(dir) = dirs.pop() {
        for entry in std::fs::read_dir(dir).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                dirs.push(path)
            } else {
                files.push((path.clone(), std::fs::read(path).unwrap()))
            }
        }
    }
    files.sort();
    assert!(files.iter().any(|(path, _)| path.ends_with("db")));
    let places = tried(4, 300);
    for (hit, whole) in &files {
        // Behind what was ever written a file is full of zeros.
        let used = whole.iter().rposition(|&byte| byte != 0).map_or(0, |last| last + 1);
        for place in 0..places {
            let at = used * place / places;
            for (how, length) in [("flipped", 1), ("flipped", 256), ("cut", used)] {
                let mut damaged = whole.clone();
                match how {
                    "cut" => damaged.truncate(at),
                    _ => damaged[at..(at + length).min(used)].iter_mut().for_each(|b| *b = !*b),
                }
                for (path, bytes) in &files {
                    let bytes = if path == hit { &damaged } else { bytes };
                    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
                    std::fs::write(path, bytes).unwrap();
                }
                let run = open(dir.path()).await;
                let what = format!("{} {how} at {at}", hit.display());
                assert_eq!(assert_documents_equal_state(&run).await, heads, "{what}");
                drop(run);
                std::fs::remove_dir_all(&documents).unwrap();
                let _ = std::fs::remove_dir_all(dir.path().join(".tress/quarantine"));
            }
        }
    }
}

#[tokio::test]
async fn a_store_in_memory_has_documents_too() {
    let store = tress::Store::in_memory().unwrap();
    let run = store.create_run("main").await.unwrap();
    human(&run).add("something").await.unwrap();
    let heads = assert_documents_equal_state(&run).await;
    assert_eq!(assert_documents_equal_state(&run).await, heads);
}

/// A change to the todo document by a client that this store does not know, with a valid hash.
fn hostile(change: impl FnOnce(&mut ExpandedChange)) -> Vec<u8> {
    let client = AutoCommit::load(&genesis(Strand::Todo)).unwrap();
    let mut client = client.with_actor(ActorId::from([0x55; 16]));
    client.put(ROOT, "x", 1).unwrap();
    client.commit();
    let mut expanded = client.get_last_local_change().unwrap().decode();
    change(&mut expanded);
    Change::from(expanded).raw_bytes().to_vec()
}

/// The hostile kinds that panic Automerge, or make a document that panics later. They came with a
/// journal that git had carried; one of them kept the documents from being sealed ever again.
#[tokio::test]
async fn hostile_changes_go_to_quarantine_and_the_replica_works_on() {
    let dir = tempfile::tempdir().unwrap();
    let run = busy(dir.path()).await;
    let start = |op: u64| NonZeroU64::new(op).unwrap();
    let ghost = |counter, actor: [u8; 16]| legacy::OpId::new(counter, &ActorId::from(actor));
    let attacks = [
        hostile(|change| change.seq = 2),
        hostile(|change| change.seq = u64::MAX),
        hostile(|change| change.start_op = start(u64::from(u32::MAX) + 5)),
        hostile(|change| change.start_op = start(limits::OP_NUMBER_MAX)),
        hostile(|change| change.start_op = start(1)),
        hostile(|change| change.operations[0].pred = vec![ghost(3, [0x55; 16])].into()),
        hostile(|change| {
            change.operations[0].obj = legacy::ObjectId::Id(ghost(1 << 20, [0xff; 16]));
        }),
        b"no change at all".to_vec(),
    ];
    let store = tress_store::Store::open(&dir.path().join(".tress")).unwrap();
    let mut carried = store.run("main", false).unwrap();
    carried.open_writer().unwrap();
    let seal = |change: &Vec<u8>| Seal {
        store: StoreId([9; 16]),
        strand: Strand::Todo,
        number: 1,
        version: VersionVector::new(),
        change: change.clone(),
    };
    let honest = hostile(|_| {});
    let seals: Vec<Seal> = attacks.iter().chain([&honest]).map(seal).collect();
    carried.append(&[], &seals).unwrap();
    drop((carried, store));
    let sealed = run.seal().await.unwrap();
    assert_eq!(sealed.refused.len(), attacks.len(), "{:?}", sealed.refused);
    assert_documents_equal_state(&run).await;
    let quarantine = std::fs::read_dir(dir.path().join(".tress/quarantine")).unwrap();
    assert_eq!(quarantine.count(), attacks.len(), "each is kept");
    human(&run).add("life goes on").await.unwrap();
    assert_documents_equal_state(&run).await;
    drop(run);
    std::fs::remove_dir_all(dir.path().join(".tress/documents")).unwrap();
    let run = open(dir.path()).await;
    assert_documents_equal_state(&run).await;
}
