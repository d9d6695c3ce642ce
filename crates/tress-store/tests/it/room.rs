//! Room: the zeros that a busy writer keeps behind the last frame of its journal.

use std::path::Path;
use std::sync::Arc;

use tress_model::codec::Written;
use tress_model::{EventId, ReplicaId, StoreId};
use tress_store::frame;
use tress_store::{
    Batch, Call, Content, Fault, FaultyFiles, Files, MemoryFiles, RunStore, Store, StoreError,
    Tuning,
};

use crate::journals::{journal, memory, numbers, open_memory, segment};

/// A store whose writers make room at once.
fn roomy(store: Store) -> Store {
    store.tuned(Tuning { room_after: 0, ..Tuning::default() })
}

/// A run with an event and room behind it, on a disk that may fail.
fn faulty() -> (FaultyFiles, RunStore) {
    let files = FaultyFiles::on(&MemoryFiles::new());
    let dir = Path::new("/project/.tress");
    let store = Store::create_on(Arc::new(files.clone()), dir, "here".to_owned()).unwrap();
    let mut run = roomy(store).run("main", true).unwrap();
    append(&mut run, 1, 1).unwrap();
    (files, run)
}

/// A store with a run of so many events and room behind them; where each of its frames ends.
fn with_events(count: u64) -> (MemoryFiles, RunStore, Vec<usize>) {
    let (files, store) = memory();
    let mut run = roomy(store).run("main", true).unwrap();
    let mut ends = Vec::new();
    for number in 1..=count {
        append(&mut run, number, 1).unwrap();
        let bytes = files.read(&journal(&files), 0).unwrap();
        ends.push(frame::end(&bytes));
        assert!(frame::end(&bytes) < bytes.len(), "there is room");
    }
    (files, run, ends)
}

/// Event `number`, in a frame of some pages.
fn large(replica: ReplicaId, store: StoreId, number: u64) -> Written {
    let one = segment(replica, store, number, EventId::GENESIS);
    let records = vec![one.records; 100].concat();
    (&tress_model::Segment { records, ..one }).try_into().unwrap()
}

/// Appends events, the first of which is `first`, in one group.
fn append(run: &mut RunStore, first: u64, count: u64) -> Result<(), StoreError> {
    let (replica, store) = run.open_writer()?;
    let one = |number| (&segment(replica, store, number, EventId::GENESIS)).try_into().unwrap();
    let group: Vec<Written> = (first..first + count).map(one).collect();
    run.append(&group, &[])
}

fn sound(batch: &Batch) -> Vec<u64> {
    assert_eq!(batch.damage, [], "nothing is damaged");
    numbers(batch)
}

fn every_event_is_read_when_it_is_written(store: &Store, file: &dyn Fn() -> Vec<u8>) {
    let mut run = store.run("main", true).unwrap();
    let mut reader = store.run("main", false).unwrap();
    for number in 1..=40 {
        append(&mut run, number, 1).unwrap();
        assert_eq!(sound(&reader.poll().unwrap()), [number]);
        assert_eq!(sound(&reader.poll().unwrap()), [0_u64; 0]);
        let bytes = file();
        assert!(frame::end(&bytes) < bytes.len(), "there is room");
        let whole = store.run("main", false).unwrap().examine(&Default::default()).unwrap();
        let torn = |content: &Content| matches!(content, Content::Torn | Content::Bad { .. });
        assert!(!whole.iter().flat_map(|one| &one.pieces).any(|piece| torn(&piece.content)));
    }
    drop(run);
    let bytes = file();
    assert_eq!(frame::end(&bytes), bytes.len(), "the room was given back");
    append(&mut store.run("main", false).unwrap(), 41, 1).unwrap();
    assert_eq!(sound(&reader.poll().unwrap()), [41]);
}

#[test]
fn who_reads_sees_each_event_and_no_room() {
    let (files, store) = memory();
    every_event_is_read_when_it_is_written(&roomy(store), &|| {
        files.read(&journal(&files), 0).unwrap()
    });
    let dir = tempfile::tempdir().unwrap();
    let store = roomy(Store::create(&dir.path().join(".tress")).unwrap());
    let journals = dir.path().join(".tress/runs/main/journals");
    every_event_is_read_when_it_is_written(&store, &|| {
        let replica = std::fs::read_dir(&journals).unwrap().next().unwrap().unwrap();
        std::fs::read(replica.path().join("000001.log")).unwrap()
    });
}

#[test]
fn who_writes_seldom_makes_no_room() {
    let (files, store) = memory();
    let mut run = store.run("main", true).unwrap();
    let after = u64::from(Tuning::default().room_after);
    for number in 1..=after + 1 {
        append(&mut run, number, 1).unwrap();
        let bytes = files.read(&journal(&files), 0).unwrap();
        assert_eq!(frame::end(&bytes) < bytes.len(), number > after, "event {number}");
    }
}

#[test]
fn a_journal_goes_on_in_a_new_file_without_room_behind_the_old_one() {
    let (files, store) = memory();
    let tuning = Tuning { room_after: 0, file_bytes: 1_000, ..Tuning::default() };
    let store = store.tuned(tuning);
    let mut run = store.run("main", true).unwrap();
    let mut reader = store.run("main", false).unwrap();
    let mut read = Vec::new();
    for number in 1..=60 {
        append(&mut run, number, 1).unwrap();
        read.extend(sound(&reader.poll().unwrap()));
    }
    assert_eq!(read, Vec::from_iter(1..=60));
    let first = journal(&files);
    assert!(files.list(first.parent().unwrap()).unwrap().len() > 3);
    let bytes = files.read(&first, 0).unwrap();
    assert_eq!(frame::end(&bytes), bytes.len());
    assert_eq!(sound(&store.run("main", false).unwrap().poll().unwrap()), Vec::from_iter(1..=60));
}

/// What lies over room becomes durable page by page, in any order: with several frames under way at once, a
/// whole one behind half a one was damage.
#[test]
fn a_power_cut_while_room_is_written_over_is_no_damage() {
    let mut torn = 0;
    for round in 0..600_u64 {
        let mut random = round.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
        let mut below = move |bound: u64| {
            random ^= random << 13;
            random ^= random >> 7;
            random ^= random << 17;
            random % bound.max(1)
        };
        let (files, mut run) = faulty();
        let disk = files.disk().clone();
        let (replica, place) = run.open_writer().unwrap();
        let mut syncs = below(12);
        files.plan(move |_, call, _| {
            syncs = syncs.saturating_sub(u64::from(call == Call::Sync));
            (call == Call::Sync && syncs == 0).then_some(Fault::Die(0))
        });
        let mut acknowledged = 1;
        for first in (2..60).step_by(3) {
            let group: Vec<_> = (first..first + 3).map(|n| large(replica, place, n)).collect();
            match run.append(&group, &[]) {
                Ok(()) => acknowledged = first + 2,
                Err(_) => break,
            }
        }
        disk.power_cut(&mut below);
        let store = open_memory(&disk, "here");
        let mut run = store.run("main", false).unwrap();
        let read = sound(&run.poll().unwrap());
        let last = *read.last().unwrap();
        assert!(last >= acknowledged, "round {round}: {last} of {acknowledged}");
        torn += u64::from(last > acknowledged);
        let before = run.open_writer().unwrap();
        assert_eq!(before, (replica, place), "round {round}: the replica is gone on with");
        append(&mut run, last + 1, 1).unwrap();
        let mut again = store.run("main", false).unwrap();
        assert_eq!(sound(&again.poll().unwrap()).last(), Some(&(last + 1)));
    }
    assert!(torn > 50, "the cuts came while something was written: {torn}");
}

#[test]
fn zeros_before_a_frame_are_damage() {
    let (files, run, ends) = with_events(3);
    files.damage(&journal(&files), |bytes| bytes[ends[0]..ends[1]].fill(0));
    let batch = run.store().run("main", false).unwrap().poll().unwrap();
    assert_eq!((numbers(&batch), batch.damage.len()), (vec![1], 1));
}

/// A reader that comes between two pages of a write sees zeros before what was written behind them.
#[test]
fn who_reads_while_room_is_written_over_sees_no_damage() {
    let dir = tempfile::tempdir().unwrap();
    let store = roomy(Store::create(&dir.path().join(".tress")).unwrap());
    let mut run = store.run("main", true).unwrap();
    let (replica, place) = run.open_writer().unwrap();
    let most = 300;
    std::thread::scope(|scope| {
        let writer = scope.spawn(move || {
            for number in 1..=most {
                run.append(&[large(replica, place, number)], &[]).unwrap();
            }
        });
        let mut reader = store.run("main", false).unwrap();
        let mut read = 0;
        while read < most && (!writer.is_finished() || read == 0) {
            for number in sound(&reader.poll().unwrap()) {
                assert_eq!(number, read + 1);
                read = number;
            }
        }
        writer.join().unwrap();
        read += sound(&reader.poll().unwrap()).len() as u64;
        assert_eq!(read, most);
    });
}

/// A page that was read before it was written looks like damage until it is read again.
#[test]
fn what_one_read_gives_and_the_next_does_not_is_read_again() {
    let (disk, store) = memory();
    append(&mut store.run("main", true).unwrap(), 1, 3).unwrap();
    let files = FaultyFiles::on(&disk);
    let store =
        Store::create_on(Arc::new(files.clone()), Path::new("/project/.tress"), "here".to_owned());
    let mut reader = store.unwrap().run("main", false).unwrap();
    for wrong in [1, 3, u64::MAX] {
        let mut reads = 0;
        files.plan(move |_, call, path| {
            let journal = call == Call::Read && path.extension().is_some_and(|end| end == "log");
            reads += u64::from(journal);
            (journal && reads <= wrong).then(|| Fault::Flip(2_000 + 8 * reads as usize))
        });
        let read = reader.poll();
        if wrong == u64::MAX {
            let error = read.unwrap_err().to_string();
            assert!(error.contains("two reads gave different bytes"), "{error}");
        } else {
            assert_eq!(sound(&read.unwrap()), [1, 2, 3], "{wrong} wrong reads");
            reader.rewind();
        }
    }
}

/// What came of a peer is written as a frame for each change: a sync for each took seconds.
#[test]
fn a_group_of_many_frames_is_synced_once() {
    let (files, mut run) = faulty();
    let calls = |files: &FaultyFiles, run: &mut RunStore, first, count| {
        let syncs = Arc::new(std::sync::Mutex::new(0));
        let seen = Arc::clone(&syncs);
        files.plan(move |_, call, _| {
            *seen.lock().unwrap() += u64::from(matches!(call, Call::Sync | Call::Truncate));
            None
        });
        append(run, first, count).unwrap();
        u64::clone(&syncs.lock().unwrap())
    };
    assert_eq!(calls(&files, &mut run, 2, 1), 1);
    assert_eq!(calls(&files, &mut run, 3, 2), 2);
    assert_eq!(calls(&files, &mut run, 5, 100), 2, "the cut of the room, and the sync");
    assert_eq!(calls(&files, &mut run, 105, 100), 1, "there was no room");
    assert_eq!(calls(&files, &mut run, 205, 1), 1);
}

#[test]
fn where_there_is_no_room_for_room_appends_go_on() {
    let (files, mut run) = faulty();
    files.plan(|_, call, _| {
        let full = std::io::ErrorKind::StorageFull;
        (call == Call::Reserve).then_some(Fault::Error(full))
    });
    for number in 2..2_000 {
        append(&mut run, number, 1).unwrap();
    }
    let bytes = files.read(&journal(&files), 0).unwrap();
    assert_eq!(frame::end(&bytes), bytes.len());
}

/// A checkout may put another file in the place of a journal: it is not written over.
#[cfg(unix)]
#[test]
fn room_is_made_in_the_very_file_that_was_opened() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("journal");
    let mut file = tress_store::RealFiles.open(&path).unwrap();
    file.append(b"ours").unwrap();
    std::fs::write(dir.path().join("theirs"), b"theirs").unwrap();
    std::fs::rename(dir.path().join("theirs"), &path).unwrap();
    assert!(file.reserve(100).is_err());
    file.append(b"!").unwrap();
    assert_eq!(std::fs::read(&path).unwrap(), b"theirs");
}

/// A repair that passed over the room as well would pass over what is written there next.
#[test]
fn damage_at_the_end_goes_no_further_than_what_was_written() {
    let (files, run, ends) = with_events(2);
    files.damage(&journal(&files), |bytes| bytes[ends[0] + 20] ^= 1);
    let examined = run.store().run("main", false).unwrap().examine(&Default::default()).unwrap();
    let last = examined[0].pieces.last().unwrap();
    assert!(matches!(last.content, Content::Bad { .. }), "{last:?}");
    assert_eq!((last.from, last.to), (ends[0] as u64, ends[1] as u64));
}
