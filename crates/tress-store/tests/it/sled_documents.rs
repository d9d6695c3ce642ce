//! The documents in sled: saved, loaded, busy, damaged.

use std::path::Path;

use tress_model::operation::Strand;
use tress_model::{ReplicaId, VersionVector};
use tress_store::documents::move_aside;
use tress_store::{DocumentsError, JournalPosition, SavedDocument, SledDocuments};

fn document(len: usize) -> SavedDocument {
    SavedDocument {
        bytes: (0..len).map(|at| (at * 31 % 251) as u8).collect(),
        version: VersionVector::from_iter([(ReplicaId([7; 16]), 42)]),
        positions: vec![(ReplicaId([7; 16]), JournalPosition { file: 1, offset: 99 })],
    }
}

fn open(dir: &Path) -> Result<SledDocuments, DocumentsError> {
    SledDocuments::open(&dir.join("documents"), &dir.join("lock"))
}

#[test]
fn documents_are_saved_whole() {
    let dir = tempfile::tempdir().unwrap();
    for len in [0, 1, 65_536, 65_537, 300_000] {
        let saved = document(len);
        open(dir.path()).unwrap().save("main", Strand::Todo, &saved).unwrap();
        let database = open(dir.path()).unwrap();
        assert_eq!(database.load("main", Strand::Todo).unwrap(), Some(saved), "{len}");
        assert_eq!(database.load("main", Strand::Design).unwrap(), None);
        assert_eq!(database.load("other", Strand::Todo).unwrap(), None);
    }
}

#[test]
fn one_process_at_a_time_has_them() {
    let dir = tempfile::tempdir().unwrap();
    let held = open(dir.path()).unwrap();
    assert!(matches!(open(dir.path()), Err(DocumentsError::Busy)));
    drop(held);
    assert!(open(dir.path()).is_ok());
}

#[test]
fn damage_is_an_error_and_never_a_panic() {
    let dir = tempfile::tempdir().unwrap();
    open(dir.path()).unwrap().save("main", Strand::Todo, &document(50_000)).unwrap();
    let db = dir.path().join("documents/db");
    let whole = std::fs::read(&db).unwrap();
    let used = whole.iter().rposition(|&byte| byte != 0).unwrap();
    for hit in 0..24 {
        let mut damaged = whole.clone();
        let at = used * hit / 24;
        for byte in &mut damaged[at..(at + 64).min(used)] {
            *byte = !*byte;
        }
        std::fs::write(&db, damaged).unwrap();
        let loaded = open(dir.path()).and_then(|db| db.load("main", Strand::Todo));
        if let Ok(Some(loaded)) = loaded {
            assert_eq!(loaded, document(50_000), "hit at {at}: never silently wrong");
        }
    }
    let aside = move_aside(&dir.path().join("documents"), &dir.path().join("quarantine")).unwrap();
    assert!(aside.join("db").exists());
    assert_eq!(open(dir.path()).unwrap().load("main", Strand::Todo).unwrap(), None);
}
