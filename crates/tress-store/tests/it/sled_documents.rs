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
        shows: Some(tress_model::EventId([9; 32])),
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

/// What came since is saved behind a document, until it is too much of it.
#[test]
fn what_came_since_is_saved_behind_a_document() {
    let dir = tempfile::tempdir().unwrap();
    let mut whole = document(200_000);
    let nothing = SavedDocument { bytes: Vec::new(), ..whole.clone() };
    let database = open(dir.path()).unwrap();
    assert_eq!(
        database.save_behind("main", Strand::Todo, &nothing).unwrap(),
        None,
        "behind nothing"
    );
    let mut database = Some(database);
    let (mut behind, mut wholly) = (0, 0);
    for number in 0..200 {
        if number % 20 == 0 {
            drop(database.take());
        }
        let database = database.get_or_insert_with(|| open(dir.path()).unwrap());
        let came = SavedDocument {
            bytes: vec![number; if number % 50 == 49 { 10_000 } else { usize::from(number) }],
            version: VersionVector::from_iter([(ReplicaId([7; 16]), 43 + u64::from(number))]),
            positions: vec![(ReplicaId([number; 16]), JournalPosition::default())],
            shows: (number % 3 > 0).then_some(tress_model::EventId([number; 32])),
        };
        whole.bytes.extend(&came.bytes);
        (whole.version, whole.positions) = (came.version.clone(), came.positions.clone());
        whole.shows = came.shows;
        // The first is saved whole.
        match number > 0 && database.save_behind("main", Strand::Todo, &came).unwrap().is_some() {
            true => behind += 1,
            false => {
                database.save("main", Strand::Todo, &whole).unwrap();
                wholly += 1;
            }
        }
        assert_eq!(database.load("main", Strand::Todo).unwrap().as_ref(), Some(&whole), "{number}");
    }
    drop(database);
    assert_eq!(open(dir.path()).unwrap().load("main", Strand::Todo).unwrap(), Some(whole));
    assert!(behind > 20 * wholly && wholly > 2, "{behind} behind, {wholly} wholly");
}

/// Of a large document a thirty-second part is more than a piece; all of it was saved whole for that.
#[test]
fn what_came_since_may_have_several_pieces() {
    let dir = tempfile::tempdir().unwrap();
    let mut whole = document(4 << 20);
    open(dir.path()).unwrap().save("main", Strand::Todo, &whole).unwrap();
    for (len, fits) in [(16 << 10, true), (100_000, true), (20_000, false), (14_000, true)] {
        let came = SavedDocument { bytes: vec![len as u8; len], ..whole.clone() };
        let database = open(dir.path()).unwrap();
        let saved = database.save_behind("main", Strand::Todo, &came).unwrap();
        assert_eq!(saved.is_some(), fits, "{len}");
        if fits {
            whole.bytes.extend(&came.bytes);
        }
        drop(database);
        let read = open(dir.path()).unwrap().load("main", Strand::Todo).unwrap();
        assert_eq!(read.as_ref(), Some(&whole), "{len}");
    }
    // In no more pieces than can be joined in little time.
    let mut pieces = 0;
    let database = open(dir.path()).unwrap();
    let came = SavedDocument { bytes: vec![1], ..whole.clone() };
    while database.save_behind("main", Strand::Todo, &came).unwrap().is_some() {
        whole.bytes.push(1);
        pieces += 1;
    }
    assert_eq!(pieces, 64 - 1 - 7 - 1);
    assert_eq!(database.load("main", Strand::Todo).unwrap(), Some(whole));
}

/// sled keeps what was overwritten: a document that was saved again and again took sixty times its bytes.
#[test]
fn what_was_overwritten_is_given_back() {
    let dir = tempfile::tempdir().unwrap();
    let (db, mut most) = (dir.path().join("documents/db"), 0);
    for round in 0..12 {
        let mut saved = document(1 << 20);
        saved.bytes[0] = round;
        let database = open(dir.path()).unwrap();
        database.save("main", Strand::Todo, &saved).unwrap();
        database.save("other", Strand::Todo, &document(10)).unwrap();
        drop(database);
        most = most.max(std::fs::metadata(&db).unwrap().len());
        let database = open(dir.path()).unwrap();
        assert_eq!(database.load("main", Strand::Todo).unwrap(), Some(saved), "{round}");
        assert_eq!(database.load("other", Strand::Todo).unwrap(), Some(document(10)));
        assert!(!dir.path().join("lock.old").exists() && !dir.path().join("lock.new").exists());
    }
    assert!(most < 20 << 20, "{most} bytes for one document of a mebibyte");
    // What is too large for sled goes there, and is never synced.
    assert_eq!(std::fs::read_dir(dir.path().join("documents/blobs")).unwrap().count(), 0);
}

/// As older versions made it: with larger segments, and a document in larger pieces.
#[test]
fn a_database_that_was_made_otherwise_is_read_and_written_anew() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("documents");
    // Nor did they say what it shows.
    let saved = SavedDocument { shows: None, ..document(200_000) };
    {
        let db = sled::Config::new().path(&path).segment_size(16 << 20).flush_every_ms(None);
        let db = db.open().unwrap();
        for (number, piece) in saved.bytes.chunks(64 << 10).enumerate() {
            db.insert(format!("main/todo/{number:06}"), piece).unwrap();
        }
        let entry = serde_json::json!({
            "len": saved.bytes.len(), "chunks": 4, "crc": crc32c::crc32c(&saved.bytes),
            "version": saved.version, "positions": saved.positions,
        });
        db.insert("main/todo", entry.to_string().as_bytes()).unwrap();
        db.flush().unwrap();
    }
    let len = || std::fs::metadata(path.join("db")).unwrap().len();
    let mut longer = saved.clone();
    longer.bytes.extend(b"and more");
    for (document, more) in [(&saved, true), (&longer, false)] {
        let database = open(dir.path()).unwrap();
        assert_eq!(database.load("main", Strand::Todo).unwrap().as_ref(), Some(document));
        let came = SavedDocument { bytes: b"and more".to_vec(), ..saved.clone() };
        assert!(!more || database.save_behind("main", Strand::Todo, &came).unwrap().is_some());
    }
    let (_, after) = open(dir.path()).unwrap().compact().unwrap();
    assert!(after < 1 << 20 && len() == after, "{after}");
    assert_eq!(open(dir.path()).unwrap().load("main", Strand::Todo).unwrap(), Some(longer));
}

#[test]
fn a_rewrite_of_the_database_that_was_cut_short_is_brought_to_an_end() {
    let dir = tempfile::tempdir().unwrap();
    let path = |name: &str| dir.path().join(name);
    let saved = document(100_000);
    open(dir.path()).unwrap().save("main", Strand::Todo, &saved).unwrap();
    let load = || open(dir.path()).unwrap().load("main", Strand::Todo).unwrap();
    // Before the first name changed, between the two, and behind both.
    std::fs::create_dir(path("lock.new")).unwrap();
    std::fs::write(path("lock.new/db"), b"half of it").unwrap();
    assert_eq!(load().as_ref(), Some(&saved));
    std::fs::rename(path("documents"), path("lock.old")).unwrap();
    std::fs::create_dir(path("lock.new")).unwrap();
    assert_eq!(load().as_ref(), Some(&saved));
    std::fs::create_dir(path("lock.old")).unwrap();
    std::fs::write(path("lock.old/db"), b"what was there before").unwrap();
    assert_eq!(load(), Some(saved));
    assert!(!path("lock.old").exists() && !path("lock.new").exists());
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
