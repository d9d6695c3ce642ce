//! Compacting: what was written is read as before, whatever happens meanwhile.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use tress_model::clock::HybridTime;
use tress_model::codec::{FORMAT, Snapshot};
use tress_model::event::{Head, Record};
use tress_model::{Author, EventId, Operation, ReplicaId, Role, Segment, State, StoreId, TodoId};
use tress_store::journal::JournalHeader;
use tress_store::{
    Call, Fault, FaultyFiles, Files, Item, JournalWriter, MemoryFiles, RunStore, Store, StoreError,
    Tuning,
};

use crate::journals::{memory, numbers, write};

const DIR: &str = "/project/.tress";

/// The store on `files`, whose journals go on in a new file after some events.
fn open(files: Arc<dyn Files>) -> Store {
    let store = Store::create_on(files, Path::new(DIR), "here".to_owned()).unwrap();
    store.tuned(Tuning { file_bytes: 700, ..Tuning::default() })
}

fn on(files: &MemoryFiles) -> Store {
    open(Arc::new(files.clone()))
}

/// A run with so many events, which nobody writes just now.
fn written(store: &Store, count: u64) -> RunStore {
    let mut run = store.run("main", true).unwrap();
    write(&mut run, 1, count);
    drop(run);
    store.run("main", false).unwrap()
}

fn journals(files: &dyn Files) -> PathBuf {
    let journals = Path::new(DIR).join("runs/main/journals");
    let entries = files.list(&journals).unwrap();
    journals.join(&entries[0].name)
}

fn names(files: &dyn Files) -> Vec<String> {
    files.list(&journals(files)).unwrap().into_iter().map(|entry| entry.name).collect()
}

fn all(store: &Store) -> Vec<Item> {
    store.run("main", false).unwrap().read_all().unwrap()
}

#[test]
fn what_is_packed_is_read_as_it_was() {
    let files = MemoryFiles::new();
    let store = on(&files);
    let mut reader = written(&store, 30);
    let (before, plain) = (all(&store), store.files().list(&journals(&files)).unwrap());
    assert!(plain.len() > 3, "several files");
    let contents = |files: &dyn Files| -> Vec<_> {
        plain.iter().map(|entry| files.read(&journals(files).join(&entry.name), 0)).collect()
    };
    let contents_before: Vec<_> = contents(&files).into_iter().map(Result::unwrap).collect();
    // One that has read a part of a file, and one that has read all.
    assert_eq!(numbers(&reader.poll().unwrap()).len(), 30);
    let compacted = store.compact("main").unwrap();
    assert_eq!(compacted.files, plain.len() - 1);
    assert!(compacted.after * 2 < compacted.before, "{compacted:?}");
    assert_eq!((compacted.held, compacted.damaged), (0, 0));

    let packed = names(&files).iter().filter(|name| name.ends_with(".pack")).count();
    assert_eq!(packed, compacted.files);
    let listed = store.files().list(&journals(&files)).unwrap();
    let lengths = |entries: &[tress_store::DirEntry]| -> Vec<_> {
        entries.iter().map(|entry| (entry.name.clone(), entry.len)).collect()
    };
    assert_eq!(lengths(&listed), lengths(&plain));
    let contents: Vec<_> = contents(&**store.files()).into_iter().map(Result::unwrap).collect();
    assert_eq!(contents, contents_before);
    assert_eq!(all(&store), before);
    assert!(reader.poll().unwrap().segments.is_empty());

    // It goes on, in this process and in another one.
    let mut run = store.run("main", false).unwrap();
    run.poll().unwrap();
    write(&mut run, 31, 5);
    assert_eq!(numbers(&reader.poll().unwrap()), [31, 32, 33, 34, 35]);
    drop(run);
    let other = on(&files);
    assert_eq!(all(&other).len(), 35);
    // What is packed stays so.
    let again = other.compact("main").unwrap();
    assert!(again.files < 3, "{again:?}");
    assert_eq!(other.compact("main").unwrap().files, 0);
    assert_eq!(all(&other).len(), 35);
}

#[test]
fn a_file_that_is_long_enough_is_closed_to_be_packed() {
    let (files, store) = memory();
    drop(written(&store, 900));
    assert_eq!(names(&files), ["000001.log"]);
    let len = files.list(&journals(&files)).unwrap()[0].len;
    let compacted = store.compact("main").unwrap();
    assert_eq!((compacted.files, compacted.before), (1, len));
    assert_eq!(names(&files), [format!("000001.{len}.pack"), "000002.log".to_owned()]);
    // The replica is gone on with, by the same place and no other.
    let mut run = store.run("main", false).unwrap();
    run.poll().unwrap();
    write(&mut run, 901, 900);
    assert_eq!(files.list(&Path::new(DIR).join("runs/main/journals")).unwrap().len(), 1);
    let held = store.compact("main").unwrap();
    assert_eq!((held.files, held.held), (0, 1));
    drop(run);
    assert_eq!(numbers(&store.run("main", false).unwrap().poll().unwrap()).len(), 1800);
}

#[test]
fn an_older_tress_refuses_what_it_cannot_read() {
    let (files, store) = memory();
    let version = || String::from_utf8(files.read(&Path::new(DIR).join("store"), 0).unwrap());
    drop(written(&store, 3));
    assert_eq!(store.compact("main").unwrap().files, 0, "there is too little to pack");
    assert!(version().unwrap().contains(r#""format":{"major":1,"minor":1}"#));
    write(&mut store.run("main", false).unwrap(), 4, 900);
    assert_eq!(store.compact("main").unwrap().files, 1);
    assert!(version().unwrap().contains(r#""format":{"major":2,"minor":0}"#));
    assert!(matches!(store.compact("other"), Err(StoreError::NoRun { .. })));
}

/// The snapshots of a run: how many events each has, and how many bytes.
fn snapshots(files: &dyn Files) -> Vec<(u64, u64)> {
    let listed = files.list(&Path::new(DIR).join("runs/main/snapshots")).unwrap_or_default();
    listed.iter().map(|entry| (entry.name[..12].parse().unwrap(), entry.len)).collect()
}

/// Makes a snapshot of so many todos, each by an event.
fn snapshot(run: &mut RunStore, count: u64) {
    let mut state = State::default();
    let (replica, store) = (ReplicaId([1; 16]), StoreId([2; 16]));
    let records = (1..=count).map(|number| Record {
        time: HybridTime { millis: number, counter: 0 },
        occurred: None,
        author: Author::new("ada", Role::Human),
        learned: Vec::new(),
        operation: Operation::TodoAdded {
            todo: TodoId::from_random(number),
            external_id: None,
            title: format!("todo {number}"),
            edits: Vec::new(),
            prose: Vec::new(),
            labels: Vec::new(),
            layout: None,
        },
    });
    let (first, previous) = (1, EventId::GENESIS);
    let segment = Segment { replica, store, first, previous, records: records.collect() };
    let (events, head) = segment.resolve(&Head::genesis(store)).unwrap();
    events.iter().for_each(|event| state.apply(event));
    let snapshot = Snapshot { heads: vec![(replica, head)], state: Arc::new(state) };
    run.begin_snapshot(snapshot).unwrap().write().unwrap();
}

#[test]
fn of_the_snapshots_the_newest_is_left_in_fewer_bytes() {
    let (files, store) = memory();
    let mut run = written(&store, 3);
    [100, 200, 300].into_iter().for_each(|count| snapshot(&mut run, count));
    let before = snapshots(&files);
    assert_eq!(before.len(), 3);
    let state = run.load_snapshot(None).unwrap().state;
    // A newer one that cannot be read stays beside it.
    let dir = Path::new(DIR).join("runs/main/snapshots");
    files.replace(&dir.join("000000000400-00000009-dead.snap"), vec![7; 500]);
    let compacted = store.compact("main").unwrap();
    let after = snapshots(&files);
    assert_eq!((after.len(), after[0].0, after[1]), (2, 300, (400, 500)));
    assert!(after[0].1 * 10 < before[2].1 * 9, "{after:?} of {before:?}");
    let bytes = |snapshots: &[(u64, u64)]| snapshots.iter().map(|(_, len)| len).sum::<u64>();
    assert_eq!(compacted.snapshots_before, bytes(&before) + 500);
    assert_eq!(compacted.snapshots_after, bytes(&after));
    assert_eq!(run.load_snapshot(None).unwrap().state, state);
    // It stays as it is.
    store.compact("main").unwrap();
    assert_eq!(snapshots(&files), after);
    // Where a journal is damaged, older ones are kept.
    snapshot(&mut run, 310);
    drop(run);
    let journal = journals(&files).join("000001.log");
    files.replace(&journals(&files).join("000002.log"), files.read(&journal, 0).unwrap());
    files.damage(&journal, |bytes| bytes[300] ^= 1);
    assert_eq!(store.compact("main").unwrap().damaged, 1);
    assert_eq!(snapshots(&files).len(), 3);
}

/// A run with two snapshots, and the state of the newest.
fn with_two_snapshots() -> (MemoryFiles, Arc<State>) {
    let files = MemoryFiles::new();
    let mut run = written(&on(&files), 1);
    [100, 200].into_iter().for_each(|count| snapshot(&mut run, count));
    let state = run.load_snapshot(None).unwrap().state;
    (files, state)
}

/// Whoever had listed the snapshots found none of them, and would have read the whole history.
#[test]
fn a_snapshot_is_found_whoever_compacts_meanwhile() {
    let (files, state) = with_two_snapshots();
    let faulty = FaultyFiles::on(&files);
    let mut run = open(Arc::new(faulty.clone())).run("main", false).unwrap();
    let (beneath, mut compacts) = (files.clone(), 1);
    faulty.plan(move |_, call, path| {
        if call == Call::Read && path.to_string_lossy().contains("snapshots") && compacts > 0 {
            compacts -= 1;
            on(&beneath).compact("main").unwrap();
        }
        None
    });
    assert_eq!(run.load_snapshot(None).map(|read| read.state), Some(state));
    assert_eq!(snapshots(&files).len(), 1);
}

#[test]
fn whatever_happens_a_snapshot_is_left() {
    for fault in [Fault::Die(0), Fault::Die(7), Fault::Error(std::io::ErrorKind::StorageFull)] {
        for step in 1.. {
            let (files, state) = with_two_snapshots();
            let faulty = FaultyFiles::on(&files);
            let store = open(Arc::new(faulty.clone()));
            let first = faulty.calls() + step;
            faulty.plan(move |call, _, _| (call == first).then_some(fault));
            let _ = store.compact("main");
            let reached = faulty.calls() >= first;
            drop(store);
            files.crash();
            let left = on(&files).run("main", false).unwrap().load_snapshot(None);
            assert_eq!(left.map(|left| left.state), Some(state), "{fault:?} at {step}");
            on(&files).compact("main").unwrap();
            assert_eq!(snapshots(&files).len(), 1, "{fault:?} at {step}");
            if !reached {
                break;
            }
        }
    }
}

/// The process dies at each step in turn, with the power or without; and the file system fails at each.
#[test]
fn whatever_happens_nothing_is_lost() {
    for fault in [Fault::Die(0), Fault::Die(7), Fault::Error(std::io::ErrorKind::StorageFull)] {
        for power in [false, true] {
            let mut failures = 0;
            for step in 1.. {
                let files = MemoryFiles::new();
                drop(written(&on(&files), 30));
                let before = all(&on(&files));
                let faulty = FaultyFiles::on(&files);
                let store = open(Arc::new(faulty.clone()));
                let first = faulty.calls() + step;
                faulty.plan(move |call, _, _| (call == first).then_some(fault));
                let failed = store.compact("main").is_err();
                let reached = faulty.calls() >= first;
                drop(store);
                if power {
                    let mut seed = step;
                    files.power_cut(&mut |below| {
                        seed = seed
                            .wrapping_mul(6364136223846793005)
                            .wrapping_add(1442695040888963407);
                        (seed >> 33) % below.max(1)
                    });
                }
                let store = on(&files);
                assert_eq!(all(&store), before, "{fault:?} at {step}, power {power}");
                store.compact("main").unwrap();
                assert_eq!(all(&store), before, "{fault:?} at {step}, power {power}, again");
                assert!(names(&files).iter().filter(|name| name.ends_with(".log")).count() <= 2);
                let mut run = store.run("main", false).unwrap();
                run.poll().unwrap();
                write(&mut run, 31, 1);
                drop(run);
                assert_eq!(all(&on(&files)).len(), 31);
                failures += usize::from(failed);
                if !reached {
                    break;
                }
            }
            assert!(failures > 10, "it was hit at many steps");
        }
    }
}

#[test]
fn a_writer_that_dies_beside_it_loses_nothing() {
    let files = MemoryFiles::new();
    let store = on(&files);
    let mut run = store.run("main", true).unwrap();
    write(&mut run, 1, 30);
    // It is written: its closed files are packed, and no other.
    let compacted = store.compact("main").unwrap();
    assert_eq!(compacted.held, 1);
    assert!(compacted.files > 2);
    write(&mut run, 31, 20);
    files.crash();
    drop((run, store));
    assert_eq!(numbers(&on(&files).run("main", false).unwrap().poll().unwrap()).len(), 50);
}

#[test]
fn damage_in_what_is_packed_is_seen_and_hits_a_piece() {
    let files = MemoryFiles::new();
    let store = on(&files);
    drop(written(&store, 30));
    store.compact("main").unwrap();
    let packed = names(&files).into_iter().find(|name| name.starts_with("000002")).unwrap();
    let path = journals(&files).join(&packed);
    let whole = files.read(&path, 0).unwrap();
    let changes: [fn(&mut Vec<u8>); 3] =
        [|bytes| bytes[70] ^= 1, |bytes| bytes.truncate(60), Vec::clear];
    for change in changes {
        files.damage(&path, change);
        let mut run = store.run("main", false).unwrap();
        let batch = run.poll().unwrap();
        let [damage] = &batch.damage[..] else { panic!("{:?}", batch.damage) };
        assert!(damage.path.ends_with("000002.log"), "{damage}");
        assert!(!batch.segments.is_empty(), "what is before it is read");
        files.damage(&path, |bytes| bytes.clone_from(&whole));
    }
    // A repair passes over the piece, and what lies in other files is there.
    files.damage(&path, |bytes| bytes[70] ^= 1);
    let run = store.run("main", false).unwrap();
    let examined = run.examine(&Default::default()).unwrap();
    let bad =
        |piece: &&tress_store::Piece| matches!(piece.content, tress_store::Content::Bad { .. });
    let bad = examined[0].pieces.iter().find(bad).unwrap();
    assert_eq!(bad.file, 2);
    let held = run.lock().unwrap();
    let skip = run.set_aside(&examined[0], bad).unwrap();
    let mut run = store.run("main", false).unwrap();
    run.repair(&tress_store::Repair { at: 1, skips: vec![skip], holes: Vec::new() }).unwrap();
    drop(held);
    let batch = store.run("main", false).unwrap().poll().unwrap();
    assert_eq!(batch.damage, []);
    assert!(numbers(&batch).contains(&30) && numbers(&batch).contains(&1));
    assert!(batch.segments.len() < 30);
}

/// Only the last file is written; where that is lost, what is left is packed.
#[test]
fn a_packed_file_is_not_written_again() {
    let files = MemoryFiles::new();
    let store = on(&files);
    drop(written(&store, 30));
    store.compact("main").unwrap();
    let dir = journals(&files);
    files.remove(&dir.join(names(&files).pop().unwrap())).unwrap();
    let left = files.list(&dir).unwrap();
    assert!(left.iter().all(|entry| entry.name.ends_with(".pack")));
    let mut run = store.run("main", false).unwrap();
    assert_eq!(run.poll().unwrap().damage.len(), 1, "the mark says that there was more");
    let (replica, place) = run.open_writer().unwrap();
    assert!(!dir.ends_with(replica.to_string()), "it is gone on with under another replica");
    assert_eq!(files.list(&dir).unwrap(), left);
    let first = store.files().list(&dir).unwrap()[0].name.clone();
    let error = store.files().open(&dir.join(first)).unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::ReadOnlyFilesystem);
    // Of a copy no mark says how far it went: it goes on in the next file.
    let of = dir.file_name().unwrap().to_str().unwrap().parse().unwrap();
    let run = "main".to_owned();
    let header = JournalHeader { format: FORMAT, replica: of, store: place, run };
    let writer = JournalWriter::open(&**store.files(), &dir, header).unwrap();
    assert_eq!(writer.position().file as usize, left.len() + 1);
}

#[test]
fn the_faults_of_a_reading_are_not_packed() {
    let files = MemoryFiles::new();
    drop(written(&on(&files), 30));
    let before = all(&on(&files));
    for step in 1..60 {
        let faulty = FaultyFiles::on(&files);
        let store = open(Arc::new(faulty.clone()));
        let mut reads = 0;
        faulty.plan(move |_, call, path| {
            reads += u64::from(call == Call::Read && path.to_string_lossy().contains("journals"));
            (call == Call::Read && reads == step).then_some(Fault::Flip(4321))
        });
        let _ = store.compact("main");
        drop(store);
        assert_eq!(all(&on(&files)), before, "read {step}");
    }
}

/// As git does that puts tracked files back beside untracked ones.
#[test]
fn an_old_state_of_a_packed_file_hides_nothing() {
    let files = MemoryFiles::new();
    drop(written(&on(&files), 30));
    let before = all(&on(&files));
    let dir = journals(&files);
    let old = files.read(&dir.join("000002.log"), 0).unwrap();
    on(&files).compact("main").unwrap();
    let packed = names(&files);
    for len in [0, 300, old.len()] {
        files.replace(&dir.join("000002.log"), old[..len].to_vec());
        let store = on(&files);
        assert_eq!(all(&store), before, "{len} bytes");
        let compacted = store.compact("main").unwrap();
        assert_eq!(all(&store), before, "{len} bytes");
        assert_eq!((names(&files), compacted.damaged), (packed.clone(), 0), "{len} bytes");
    }
    // What is neither is left to people.
    files.replace(&dir.join("000002.log"), vec![7; 100]);
    assert_eq!(on(&files).compact("main").unwrap().damaged, 1);
    assert_eq!(all(&on(&files)), before);
}

/// The next writer removes what is only half begun, and goes on in the file before.
#[test]
fn a_file_whose_follower_is_only_half_begun_is_not_packed() {
    for torn in [0, 40] {
        let (files, store) = memory();
        drop(written(&store, 20));
        let dir = journals(&files);
        let header = files.read(&dir.join("000001.log"), 0).unwrap();
        files.replace(&dir.join("000002.log"), header[..torn].to_vec());
        assert_eq!(store.compact("main").unwrap().files, 0);
        assert_eq!(names(&files), ["000001.log", "000002.log"]);
    }
}

#[test]
fn a_store_file_that_was_lost_says_that_there_are_packed_files() {
    let files = MemoryFiles::new();
    drop(written(&on(&files), 30));
    on(&files).compact("main").unwrap();
    let path = Path::new(DIR).join("store");
    let version = || String::from_utf8(files.read(&path, 0).unwrap()).unwrap();
    files.remove(&path).unwrap();
    drop(on(&files));
    assert!(version().contains(r#""major":2"#));
    let older = version().replace(r#""major":2,"minor":0"#, r#""major":1,"minor":1"#);
    files.replace(&path, older.into_bytes());
    on(&files).compact("main").unwrap();
    assert!(version().contains(r#""major":2"#));
}
