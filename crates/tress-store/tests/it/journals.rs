//! Journals and stores: what was appended is read back, torn tails are cut, damage is reported,
//! copies get replicas of their own.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use tress_model::clock::HybridTime;
use tress_model::codec::{FORMAT, encode_segment};
use tress_model::event::Record;
use tress_model::{Author, EventId, Operation, ReplicaId, Role, Segment, StoreId, TodoId};
use tress_store::frame::{self, FrameKind, HEADER_BYTES};
use tress_store::journal::{FILE_BYTES, JournalHeader};
use tress_store::{
    Batch, Call, Fault, FaultyFiles, Files, JournalPosition, JournalReader, JournalWriter,
    MemoryFiles, RealFiles, RunStore, Store, StoreError,
};

pub(crate) fn segment(
    replica: ReplicaId,
    store: StoreId,
    first: u64,
    previous: EventId,
) -> Segment {
    let operation = Operation::NoteAdded {
        todo: TodoId::from_external("x"),
        text: format!("note {first}"),
        layout: None,
    };
    let time = HybridTime { millis: 1000 + first, counter: 0 };
    let author = Author::new("ada", Role::Human);
    let record = Record { time, occurred: None, author, learned: Vec::new(), operation };
    Segment { replica, store, first, previous, records: vec![record] }
}

/// Appends `count` events to the run, each with a sync of its own.
pub(crate) fn write(run: &mut RunStore, from: u64, count: u64) {
    let (replica, store) = run.open_writer().unwrap();
    // Whoever writes has read what earlier holders of the replica wrote.
    run.poll().unwrap();
    for number in from..from + count {
        // The store does not check chains: that is the engine's business.
        let written = (&segment(replica, store, number, EventId::GENESIS)).try_into().unwrap();
        run.append(&[written], &[]).unwrap();
    }
}

pub(crate) fn numbers(batch: &Batch) -> Vec<u64> {
    batch.segments.iter().map(|segment| segment.first).collect()
}

pub(crate) fn memory() -> (MemoryFiles, Store) {
    let files = MemoryFiles::new();
    let store = open_memory(&files, "here");
    (files, store)
}

pub(crate) fn open_memory(files: &MemoryFiles, identity: &str) -> Store {
    let dir = Path::new("/project/.tress");
    Store::create_on(Arc::new(files.clone()), dir, identity.to_owned()).unwrap()
}

pub(crate) fn journal(files: &dyn Files) -> PathBuf {
    let journals = Path::new("/project/.tress/runs/main/journals");
    let entries = files.list(journals).unwrap();
    journals.join(&entries[0].name).join("000001.log")
}

/// Where it is noted which files the journals are.
fn origins(store: &Store) -> PathBuf {
    let place = store.place().unwrap().to_string();
    Path::new("/project/.tress/local").join(place).join("origins")
}

/// As if nobody had noted yet which files the journals are.
fn forget_origins(files: &MemoryFiles, store: &Store) {
    for noted in files.list(&origins(store)).unwrap() {
        files.remove(&origins(store).join(noted.name)).unwrap();
    }
}

fn round_trip(store: &Store) {
    let mut run = store.run("main", true).unwrap();
    write(&mut run, 1, 5);
    let mut reader = store.run("main", false).unwrap();
    assert_eq!(numbers(&reader.poll().unwrap()), [1, 2, 3, 4, 5]);
    assert!(reader.poll().unwrap().segments.is_empty());
    write(&mut run, 6, 2);
    assert_eq!(numbers(&reader.poll().unwrap()), [6, 7]);
    assert!(run.poll().unwrap().segments.is_empty(), "a writer does not read its own");
    assert_eq!(store.runs().unwrap(), ["main"]);
}

#[test]
fn what_is_appended_is_read_back() {
    let dir = tempfile::tempdir().unwrap();
    round_trip(&Store::create(&dir.path().join(".tress")).unwrap());
    round_trip(&memory().1);
}

#[test]
fn what_was_synced_survives_a_crash() {
    let (files, store) = memory();
    let mut run = store.run("main", true).unwrap();
    write(&mut run, 1, 3);
    files.crash();
    drop((run, store));
    let store = open_memory(&files, "here");
    assert_eq!(numbers(&store.run("main", false).unwrap().poll().unwrap()), [1, 2, 3]);
}

#[test]
fn a_tail_torn_at_any_byte_is_cut_and_the_journal_goes_on() {
    let (files, store) = memory();
    let mut run = store.run("main", true).unwrap();
    write(&mut run, 1, 2);
    let (path, lock) = (journal(&files), lock_file(&store, &mut run));
    let two = files.read(&path, 0).unwrap().len();
    let mark = files.read(&lock, 0).unwrap();
    write(&mut run, 3, 1);
    let whole = files.read(&path, 0).unwrap();
    drop((run, store));
    for cut in two..whole.len() {
        files.damage(&path, |bytes| *bytes = whole[..cut].to_vec());
        // Its writer died before it had synced and left its mark.
        files.damage(&lock, |bytes| *bytes = mark.clone());
        let store = open_memory(&files, "here");
        let mut run = store.run("main", false).unwrap();
        let batch = run.poll().unwrap();
        assert_eq!((numbers(&batch), batch.damage.len()), (vec![1, 2], 0), "cut at {cut}");
        write(&mut run, 3, 1);
        let mut again = store.run("main", false).unwrap();
        assert_eq!(numbers(&again.poll().unwrap()), [1, 2, 3], "cut at {cut}");
    }
}

/// A journal that had been cut between two frames looked whole, and its numbers were used again.
#[test]
fn what_was_acknowledged_and_is_cut_off_is_damage() {
    let (files, store) = memory();
    let mut run = store.run("main", true).unwrap();
    write(&mut run, 1, 3);
    let (replica, _) = run.open_writer().unwrap();
    let (path, lock) = (journal(&files), lock_file(&store, &mut run));
    let whole = files.read(&path, 0).unwrap();
    let mark = files.read(&lock, 0).unwrap();
    drop((run, store));
    let ends: Vec<usize> =
        (1..whole.len()).filter(|&at| whole[at..].starts_with(b"TRF1")).collect();
    for cut in 0..whole.len() {
        files.damage(&path, |bytes| *bytes = whole[..cut].to_vec());
        files.damage(&lock, |bytes| *bytes = mark.clone());
        let store = open_memory(&files, "here");
        let batch = store.run("main", false).unwrap().poll().unwrap();
        let left = ends.iter().filter(|&&end| end <= cut).count().saturating_sub(1) as u64;
        assert_eq!(numbers(&batch), (1..=left).collect::<Vec<_>>(), "cut at {cut}");
        let [damage] = &*batch.damage else { panic!("cut at {cut}: {:?}", batch.damage) };
        assert!(damage.reason.contains("event 3"), "{damage}");
    }
    let store = open_memory(&files, "here");
    let mut run = store.run("main", false).unwrap();
    assert_ne!(run.open_writer().unwrap().0, replica, "its numbers are not used again");
    files.remove(&path).unwrap();
    let batch = store.run("main", false).unwrap().poll().unwrap();
    assert!(batch.damage[0].reason.contains("event 3"), "{:?}", batch.damage);
}

/// The lock file of the replica that `run` writes.
fn lock_file(store: &Store, run: &mut RunStore) -> PathBuf {
    let (replica, _) = run.open_writer().unwrap();
    let local = Path::new("/project/.tress/local").join(store.place().unwrap().to_string());
    local.join("replicas/main").join(replica.to_string())
}

#[test]
fn damage_before_valid_frames_is_reported_and_its_replica_written_no_more() {
    let (files, store) = memory();
    let mut run = store.run("main", true).unwrap();
    write(&mut run, 1, 3);
    let (replica, _) = run.open_writer().unwrap();
    let path = journal(&files);
    let whole = files.read(&path, 0).unwrap();
    drop((run, store));
    // Every byte of the second segment, which ends where the third begins.
    let frames: Vec<usize> =
        (0..whole.len()).filter(|&at| whole[at..].starts_with(b"TRF1")).collect();
    assert_eq!(frames.len(), 4, "a header and three segments");
    for at in frames[2]..frames[3] {
        let mut damaged = whole.clone();
        damaged[at] ^= 0x20;
        files.damage(&path, |bytes| *bytes = damaged);
        let store = open_memory(&files, &format!("byte {at}"));
        let mut run = store.run("main", false).unwrap();
        let batch = run.poll().unwrap();
        assert_eq!(numbers(&batch), [1], "byte {at}");
        assert_eq!(batch.damage[0].offset, frames[2] as u64, "byte {at}");
    }
    let store = open_memory(&files, "here");
    let mut run = store.run("main", false).unwrap();
    assert_ne!(run.open_writer().unwrap().0, replica, "the damaged journal is not written");
}

#[test]
fn the_number_of_replicas_is_that_of_simultaneous_writers() {
    let (_, store) = memory();
    let mut seen = std::collections::BTreeSet::new();
    for _ in 0..10 {
        let place = store.hold("main").unwrap().replica;
        seen.insert(place);
    }
    assert_eq!(seen.len(), 1, "one process holds one replica");
    let files = MemoryFiles::new();
    for _ in 0..5 {
        let (one, two) = (open_memory(&files, "here"), open_memory(&files, "here"));
        let (first, second) = (one.hold("main").unwrap(), two.hold("main").unwrap());
        assert_ne!(first.replica, second.replica);
        seen.extend([first.replica, second.replica]);
    }
    assert_eq!(seen.len(), 3, "what was let go of is taken again");
}

#[test]
fn a_copied_store_gets_replicas_of_its_own() {
    let dir = tempfile::tempdir().unwrap();
    let (here, there) = (dir.path().join("here/.tress"), dir.path().join("there/.tress"));
    let store = Store::create(&here).unwrap();
    let mut run = store.run("main", true).unwrap();
    write(&mut run, 1, 2);
    let (replica, place) = run.open_writer().unwrap();
    copy(&here, &there);
    let copied = Store::open(&there).unwrap();
    let mut run = copied.run("main", false).unwrap();
    assert_eq!(numbers(&run.poll().unwrap()), [1, 2]);
    let (other, elsewhere) = run.open_writer().unwrap();
    assert_ne!((replica, place), (other, elsewhere));
    assert_ne!(place, elsewhere);
}

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.path().is_dir() {
            copy(&entry.path(), &target);
        } else {
            std::fs::copy(entry.path(), target).unwrap();
        }
    }
}

#[test]
fn a_newer_format_is_refused_and_a_missing_store_named() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join(".tress");
    assert!(matches!(Store::open(&path), Err(StoreError::NotAStore { .. })));
    drop(Store::create(&path).unwrap());
    let file = path.join("store");
    let text = std::fs::read_to_string(&file).unwrap();
    std::fs::write(&file, text.replace("\"major\":1", "\"major\":3")).unwrap();
    let refused = Store::open(&path).unwrap_err();
    assert!(matches!(refused, StoreError::NewerFormat { .. }), "{refused}");
    std::fs::write(&file, "not json").unwrap();
    assert!(matches!(Store::open(&path), Err(StoreError::Damaged(_))));
}

#[test]
fn a_snapshot_leads_past_what_it_covers() {
    let (_, store) = memory();
    let mut run = store.run("main", true).unwrap();
    write(&mut run, 1, 3);
    let snapshot = tress_model::codec::Snapshot { heads: Vec::new(), state: Arc::default() };
    run.begin_snapshot(snapshot.clone()).unwrap().write().unwrap();
    write(&mut run, 4, 1);
    for _ in 0..3 {
        run.begin_snapshot(snapshot.clone()).unwrap().write().unwrap();
    }
    let mut reader = store.run("main", false).unwrap();
    assert_eq!(reader.load_snapshot(None), Some(snapshot));
    assert!(reader.poll().unwrap().segments.is_empty());
    reader.rewind();
    assert_eq!(numbers(&reader.poll().unwrap()), [1, 2, 3, 4]);
    let kept = RealFiles.list(Path::new("/nowhere"));
    assert!(kept.is_err());
    let dir = Path::new("/project/.tress/runs/main/snapshots");
    assert_eq!(store.files().list(dir).unwrap().len(), 1, "all of them have the same events");
}

#[test]
fn run_names_are_checked() {
    let (_, store) = memory();
    for name in ["", ".", "..", "a/b", "a b", &"x".repeat(65)] {
        assert!(matches!(store.run(name, true), Err(StoreError::RunName { .. })), "{name:?}");
    }
    assert!(matches!(store.run("other", false), Err(StoreError::NoRun { .. })));
}

/// An inode is given to the next file as soon as its own is gone, so it tells nothing by itself.
#[test]
fn a_journal_that_was_replaced_on_disk_is_not_written() {
    let dir = tempfile::tempdir().unwrap();
    let place = dir.path().join(".tress");
    let store = Store::create(&place).unwrap();
    let mut run = store.run("main", true).unwrap();
    write(&mut run, 1, 1);
    let (replica, _) = run.open_writer().unwrap();
    let path = place.join(format!("runs/main/journals/{replica}/000001.log"));
    let old = std::fs::read(&path).unwrap();
    write(&mut run, 2, 1);
    drop((run, store));
    std::fs::remove_file(&path).unwrap();
    std::fs::write(&path, old).unwrap();
    let store = Store::open(&place).unwrap();
    let mut run = store.run("main", false).unwrap();
    assert_ne!(run.open_writer().unwrap().0, replica);
}

/// A process was killed, or the power was cut, when its journal was begun and it was not yet noted
/// which file that is. The next writer took the file for one that was put there by somebody else,
/// and gave the replica up: with each such death the run had a replica more than it ever had
/// writers. So it was when the note was written and not yet in its place.
#[test]
fn a_replica_whose_writer_died_before_its_first_event_is_gone_on_with() {
    for (torn, half_noted) in [(false, false), (true, false), (false, true)] {
        let (files, store) = memory();
        let mut run = store.run("main", true).unwrap();
        let (replica, _) = run.open_writer().unwrap();
        drop(run);
        forget_origins(&files, &store);
        if half_noted {
            files.open(&origins(&store).join(format!("main.{replica}.000001.new"))).unwrap();
        }
        if torn {
            files.damage(&journal(&files), |bytes| bytes.truncate(40));
        }
        let mut run = store.run("main", false).unwrap();
        assert_eq!(run.open_writer().unwrap().0, replica, "{torn} {half_noted}");
        write(&mut run, 1, 2);
        drop(run);
        let mut run = store.run("main", false).unwrap();
        assert_eq!(run.open_writer().unwrap().0, replica, "{torn} {half_noted}");
        assert_eq!(numbers(&run.poll().unwrap()), [1, 2]);
    }
}

/// What is in a journal that this place never noted was written by somebody else.
#[test]
fn a_journal_with_events_that_was_never_noted_is_not_written() {
    let (files, store) = memory();
    let mut run = store.run("main", true).unwrap();
    write(&mut run, 1, 1);
    let (replica, _) = run.open_writer().unwrap();
    drop(run);
    forget_origins(&files, &store);
    let mut run = store.run("main", false).unwrap();
    assert_ne!(run.open_writer().unwrap().0, replica);
}

/// A replica was listed as free, retired by its holder, and then locked under its old name, which
/// made a new lock file: the retired replica was written again, and used its numbers twice.
#[test]
fn a_retired_replica_is_not_taken_by_whoever_saw_it_before() {
    let (files, store) = memory();
    let mut run = store.run("main", true).unwrap();
    write(&mut run, 1, 1);
    let (replica, _) = run.open_writer().unwrap();
    run.retire_writer().unwrap();
    let local = Path::new("/project/.tress/local").join(store.place().unwrap().to_string());
    let lock = local.join("replicas/main").join(replica.to_string());
    files.open(&lock).unwrap();
    assert_ne!(store.hold("main").unwrap().replica, replica);
}

/// What came in goes on being received when the copy that it was kept in is damaged.
#[test]
fn a_damaged_copy_stays_and_another_is_begun_beside_it() {
    let (files, store) = memory();
    let mut run = store.run("main", true).unwrap();
    run.poll().unwrap();
    let (replica, elsewhere) = (ReplicaId([7; 16]), StoreId([8; 16]));
    let of = |number| segment(replica, elsewhere, number, EventId::GENESIS);
    run.receive(&[of(1), of(2)]).unwrap();
    run.poll().unwrap();
    let copies = Path::new("/project/.tress/runs/main/received");
    let place = copies.join(&files.list(copies).unwrap()[0].name);
    let path = place.join(replica.to_string()).join("000001.log");
    let second = files.read(&path, 0).unwrap();
    let second = (0..second.len()).filter(|&at| second[at..].starts_with(b"TRF1")).nth(1).unwrap();
    files.damage(&path, |bytes| bytes[second + 20] ^= 1);
    run.receive(&[of(3)]).unwrap();
    let mut again = store.run("main", false).unwrap();
    let batch = again.poll().unwrap();
    assert_eq!((numbers(&batch), batch.damage.len()), (vec![3], 1), "the damage is told");
    run.receive(&[of(4)]).unwrap();
    assert_eq!(numbers(&store.run("main", false).unwrap().poll().unwrap()), [3, 4]);
}

/// Where a file in the middle was missing, readers stopped in front of it without a word, and the
/// writer went on with the last file: what it appended was never read, under numbers used before.
#[test]
fn a_journal_that_lacks_a_file_is_damaged() {
    for (first, last) in [("000001.log", "000003.log"), ("000002.log", "000002.log")] {
        let (files, store) = memory();
        let mut run = store.run("main", true).unwrap();
        write(&mut run, 1, 3);
        let (replica, _) = run.open_writer().unwrap();
        let path = journal(&files);
        let whole = files.read(&path, 0).unwrap();
        files.remove(&path).unwrap();
        files.replace(&path.with_file_name(first), whole.clone());
        files.replace(&path.with_file_name(last), whole);
        let mut run = open_memory(&files, "here").run("main", false).unwrap();
        let [damage] = run.poll().unwrap().damage.try_into().unwrap();
        assert!(damage.reason.contains("gone"), "{damage}");
        assert!(run.is_damaged(replica));
    }
}

/// A file called `1.log` was taken for the first of a journal, and the journal could not be opened
/// any more, since no file has that number's name.
#[test]
fn files_that_are_no_part_of_a_journal_are_passed_over() {
    let (files, store) = memory();
    let mut run = store.run("main", true).unwrap();
    write(&mut run, 1, 1);
    let (replica, _) = run.open_writer().unwrap();
    let path = journal(&files);
    for name in ["7.log", "+00002.log", "000001 (copy).log", "zzz.log"] {
        files.replace(&path.with_file_name(name), b"no frame".to_vec());
    }
    drop((run, store));
    let mut run = open_memory(&files, "here").run("main", false).unwrap();
    write(&mut run, 2, 1);
    assert_eq!(run.open_writer().unwrap().0, replica);
    let batch = open_memory(&files, "here").run("main", false).unwrap().poll().unwrap();
    assert_eq!((numbers(&batch), batch.damage.len()), (vec![1, 2], 0));
}

#[test]
fn a_journal_goes_on_in_a_new_file_at_its_limit_and_not_before() {
    let header = |replica| JournalHeader {
        format: FORMAT,
        replica,
        store: StoreId([2; 16]),
        run: "main".to_owned(),
    };
    for (short, file) in [(1, 1), (0, 2)] {
        let (files, replica) = (MemoryFiles::new(), ReplicaId([1; 16]));
        let dir = Path::new("/journal");
        let begun = JournalWriter::open(&files, dir, header(replica)).unwrap();
        // Frames that everybody passes over fill it up.
        let mut room = usize::try_from(FILE_BYTES - begun.position().offset).unwrap() - short;
        drop(begun);
        let mut filled = files.open(&dir.join("000001.log")).unwrap();
        while room > 0 {
            let body = (room - HEADER_BYTES).min(15 << 20);
            let zeros = vec![0; body];
            let kind = FrameKind::Unknown(99);
            filled.append(&frame::encode(kind, 0, EventId::GENESIS, &zeros)).unwrap();
            room -= body + HEADER_BYTES;
        }
        let mut writer = JournalWriter::open(&files, dir, header(replica)).unwrap();
        assert_eq!(writer.position().offset, FILE_BYTES - short as u64);
        let event = segment(replica, StoreId([2; 16]), 1, EventId::GENESIS);
        writer.append_segment(&files, &event).unwrap();
        writer.sync().unwrap();
        assert_eq!(writer.position().file, file);
        let start = JournalPosition::default();
        let mut reader = JournalReader::new("main", dir.to_owned(), replica, start);
        assert_eq!(reader.poll(&files).unwrap().len(), 1);
    }
}

/// Long journals are decoded on several threads, where there are several; those of which only the beginning is wanted
/// are not.
#[test]
fn a_long_journal_is_read_as_one_that_is_read_step_by_step() {
    let (replica, stores) = (ReplicaId([1; 16]), [StoreId([2; 16]), StoreId([3; 16])]);
    let mut whole: Vec<u8> = Vec::new();
    let mut starts = Vec::new();
    for number in 1..=3000_u64 {
        let store = stores[usize::from(number > 1700)];
        if number == 1 || number == 1701 {
            let header = JournalHeader { format: FORMAT, replica, store, run: "main".to_owned() };
            let header = serde_json::to_vec(&header).unwrap();
            whole.extend(frame::encode(FrameKind::Header, 0, EventId::GENESIS, &header));
        }
        if number % 1000 == 0 {
            whole.extend(frame::encode(
                FrameKind::Unknown(99),
                0,
                EventId::GENESIS,
                b"passed over",
            ));
        }
        starts.push(whole.len());
        let body = encode_segment(&segment(replica, store, number, EventId::GENESIS)).unwrap();
        whole.extend(frame::encode(FrameKind::Segment, number, EventId::GENESIS, &body));
    }
    assert!(whole.len() > 256 << 10, "{} bytes", whole.len());
    let no_body = frame::encode(FrameKind::Segment, 1, EventId::GENESIS, b"no body of a segment");
    let cases = [None, Some(0), Some(1), Some(1234), Some(1700), Some(2999)];
    for (hit, flip) in cases.into_iter().flat_map(|hit| [(hit, true), (hit, false)]) {
        let (mut bytes, dir) = (whole.clone(), Path::new("/journal"));
        match hit {
            Some(hit) if flip => bytes[starts[hit] + HEADER_BYTES] ^= 1,
            // Its checksum is right, and nothing can be made of it.
            Some(hit) => drop(bytes.splice(starts[hit]..starts[hit], no_body.iter().copied())),
            None => {}
        }
        let files = MemoryFiles::new();
        files.create_dir(dir).unwrap();
        files.open(&dir.join("000001.log")).unwrap().append(&bytes).unwrap();
        let new =
            || JournalReader::new("main", dir.to_owned(), replica, JournalPosition::default());
        let (mut at_once, mut by_steps) = (new(), new().until(u64::MAX));
        let read = at_once.poll(&files).unwrap();
        assert_eq!(read, by_steps.poll(&files).unwrap(), "{hit:?}, {flip}");
        assert_eq!(read.len(), hit.unwrap_or(3000), "{flip}");
        assert_eq!(at_once.damage(), by_steps.damage());
        assert_eq!(at_once.position(), by_steps.position());
        let of = |at: usize| read.get(at).and_then(|item| Some(item.as_segment()?.store));
        let expected = hit.is_none_or(|hit| hit > 1700).then_some(stores[1]);
        assert_eq!(of(1700), expected);
    }
}

/// On a file system whose locks keep nobody out, two processes would write one replica.
#[test]
fn a_store_without_locks_that_hold_is_refused_with_the_reason() {
    let files = FaultyFiles::on(&MemoryFiles::new());
    files.plan(|_, call, _| (call == Call::Lock).then_some(Fault::Vanish));
    let dir = Path::new("/project/.tress");
    let store = Store::create_on(Arc::new(files), dir, "here".to_owned()).unwrap();
    let refused = store.run("main", true).unwrap().open_writer().unwrap_err();
    assert!(matches!(refused, StoreError::NoLocks { .. }), "{refused}");
    assert!(refused.to_string().contains("local disk"), "{refused}");
}

#[test]
fn a_run_is_taken_back_only_while_nothing_is_in_it() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::create(&dir.path().join(".tress")).unwrap();
    assert!(!store.unmake("typo").unwrap() && !store.has_run("typo").unwrap());
    let strands = "todo".parse().unwrap();
    drop(store.run_keeping("typo", Some(strands)).unwrap());
    assert!(store.has_run("typo").unwrap());
    assert!(store.unmake("typo").unwrap());
    assert!(store.runs().unwrap().is_empty() && !store.has_run("typo").unwrap());
    assert!(matches!(store.run("typo", false), Err(StoreError::NoRun { .. })));
    // What is made under that name later is a whole run, and whoever had it open meanwhile loses nothing.
    let mut run = store.run("typo", true).unwrap();
    assert_eq!(run.strands(), tress_model::Strands::ALL);
    assert!(store.unmake("typo").unwrap());
    let (replica, id) = run.open_writer().unwrap();
    let written = (&segment(replica, id, 1, EventId::GENESIS)).try_into().unwrap();
    run.append(&[written], &[]).unwrap();
    assert!(!store.unmake("typo").unwrap());
    assert_eq!(numbers(&store.run("typo", false).unwrap().poll().unwrap()), [1]);
}
