//! At rest the documents equal the state, and no damage to sled can cost anything.

use std::path::Path;

use tress::operation::{ProseField, ProseTarget, Splice, Strand, TodoEdit};
use tress::{Operation, Role, Run};
use tress_documents::project;

use super::{human, open};

async fn assert_documents_equal_state(run: &Run) -> Vec<Vec<[u8; 32]>> {
    let mut documents = run.documents().await.unwrap();
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

#[tokio::test]
async fn documents_come_back_the_same_when_sled_is_damaged() {
    let dir = tempfile::tempdir().unwrap();
    let run = busy(dir.path()).await;
    let heads = assert_documents_equal_state(&run).await;
    drop(run);
    let path = dir.path().join(".tress/documents/db");
    let whole = std::fs::read(&path).unwrap();
    let used = whole.iter().rposition(|&byte| byte != 0).unwrap();
    for hit in 0..8 {
        let mut damaged = whole.clone();
        let at = used * hit / 8;
        for byte in &mut damaged[at..(at + 256).min(used)] {
            *byte = !*byte;
        }
        std::fs::write(&path, damaged).unwrap();
        let run = open(dir.path()).await;
        assert_eq!(assert_documents_equal_state(&run).await, heads, "hit at {at}");
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
