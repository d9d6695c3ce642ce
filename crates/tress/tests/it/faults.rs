//! What must hold when disks fail, journals are damaged or replaced, and processes meet in the
//! worst moment. Each test is named for what once went wrong.

use std::collections::BTreeSet;
use std::io::ErrorKind::{self, Other, StorageFull};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use tress::{Error, Fork, MemoryFiles, Operation, Role, Run, Store, TodoId, VersionVector};
use tress_store::{Call, Fault, FaultyFiles, Files, Tuning};

use super::human;

const DIR: &str = "/project/.tress";

/// A process's view of a disk, which fails when it is told to.
type Faulty = FaultyFiles;

fn disk() -> Faulty {
    FaultyFiles::on(&MemoryFiles::new())
}

async fn open(files: &Faulty) -> Run {
    let store = tress_store::Store::create_on(Arc::new(files.clone()), DIR.as_ref(), "here".into());
    Store::on(store.unwrap()).create_run("main").await.unwrap()
}

/// The journals there are, each with its first file.
fn journals(files: &Faulty) -> Vec<PathBuf> {
    let dir = Path::new(DIR).join("runs/main/journals");
    let entries = files.list(&dir).unwrap();
    entries.iter().map(|entry| dir.join(&entry.name).join("000001.log")).collect()
}

fn titles(run: &Run) -> Vec<String> {
    let mut titles: Vec<_> = run.state().todos.values().map(|todo| todo.title.clone()).collect();
    titles.sort();
    titles
}

#[tokio::test]
async fn what_could_not_be_written_is_not_there_and_what_comes_later_is() {
    let files = disk();
    let run = open(&files).await;
    human(&run).add("before").await.unwrap();
    files.plan(|_, call, _| (call == Call::Append).then_some(Fault::Short(40, StorageFull)));
    let refused = human(&run).add("never").await.unwrap_err();
    assert!(matches!(refused, tress::Error::Group(_) | tress::Error::Unknown(_)), "{refused}");
    files.heal();
    human(&run).add("after").await.unwrap();
    assert_eq!(titles(&run), ["after", "before"]);
    drop(run);
    assert_eq!(titles(&open(&files).await), ["after", "before"]);
}

/// A failed sync was reported as "nothing was appended", and the retry doubled the note.
#[tokio::test]
async fn after_a_failed_sync_nobody_is_told_that_nothing_happened() {
    let files = disk();
    let run = open(&files).await;
    human(&run).add("before").await.unwrap();
    let mut once = true;
    files.plan(move |_, call, _| {
        let now = call == Call::Sync && std::mem::take(&mut once);
        now.then_some(Fault::Error(Other))
    });
    let unsure = human(&run).add("perhaps").await.unwrap_err();
    assert!(matches!(unsure, tress::Error::Unknown(_)), "{unsure}");
    human(&run).add("after").await.unwrap();
    drop(run);
    assert_eq!(journals(&files).len(), 2, "the journal that failed is not written any more");
    let run = open(&files).await;
    assert!(titles(&run).contains(&"after".to_owned()));
    assert!(run.damage().is_empty());
}

/// After a failed sync the system says yes to the next one, and has not written what it was asked for
/// before. What was appended then cited what was not there after a power cut, and waited for it for ever.
#[tokio::test]
async fn what_cites_what_could_not_be_synced_is_there_after_a_power_cut() {
    let files = disk();
    let run = open(&files).await;
    let mut failed = None;
    human(&run).add("before").await.unwrap();
    files.plan(move |_, call, path| {
        if call != Call::Sync || path.extension().is_none_or(|extension| extension != "log") {
            return None;
        }
        let fault = if failed.is_none() { Fault::Error(Other) } else { Fault::Vanish };
        (failed.get_or_insert_with(|| path.to_owned()) == path).then_some(fault)
    });
    human(&run).add("perhaps").await.unwrap_err();
    human(&run).add("after").await.unwrap();
    drop(run);
    files.disk().crash();
    assert_eq!(titles(&open(&FaultyFiles::on(files.disk())).await), ["after", "before", "perhaps"]);
}

/// While a replica's own events waited for causes that another journal had lost, new events took
/// their dots, were acknowledged, and were gone after the next opening.
#[tokio::test]
async fn a_replica_whose_events_wait_is_not_written() {
    let files = disk();
    let (one, two) = (open(&files).await, open(&files).await);
    human(&two).add("cited").await.unwrap();
    one.refresh().await.unwrap();
    human(&one).add("citing").await.unwrap();
    let cited = human(&two).add("behind it").await.unwrap();
    assert!(two.state().todo(cited).is_some());
    drop((one, two));
    // Another frame follows, so the flipped byte is damage and not a torn tail.
    let path = journals(&files).into_iter().find(|path| {
        let bytes = files.read(path, 0).unwrap();
        bytes.windows(9).any(|window| window == b"behind it")
    });
    files.disk().damage(&path.unwrap(), |bytes| {
        let at = bytes.windows(5).position(|window| window == b"cited").unwrap();
        bytes[at] ^= 1;
    });
    let run = open(&files).await;
    assert_eq!(titles(&run), Vec::<String>::new());
    assert_eq!(run.damage().len(), 1);
    human(&run).add("new").await.unwrap();
    drop(run);
    let run = open(&files).await;
    assert_eq!(titles(&run), ["new"], "what was acknowledged is there");
}

/// A checkout put an older version of a journal in its place; the next event took a used dot.
#[tokio::test]
async fn a_journal_that_was_rolled_back_is_not_written() {
    let files = disk();
    let run = open(&files).await;
    human(&run).add("first").await.unwrap();
    let path = journals(&files).remove(0);
    let old = files.read(&path, 0).unwrap();
    human(&run).add("second").await.unwrap();
    drop(run);
    files.disk().replace(&path, old);
    let run = open(&files).await;
    human(&run).add("third").await.unwrap();
    assert_eq!(titles(&run), ["first", "third"]);
    assert_eq!(journals(&files).len(), 2, "another replica goes on");
    assert_eq!(run.state().version.iter().map(|(_, number)| number).max(), Some(1));
}

/// What came from a peer lay before the snapshot, and the past could not be read: the log was empty
/// from then on, the writer went on with it, and numbered its next event 1, for the second time.
#[tokio::test]
async fn what_comes_in_and_cannot_be_put_in_its_place_leaves_the_log_as_it_was() {
    let theirs = open(&disk()).await;
    human(&theirs).add("long ago").await.unwrap();
    let late = theirs.lacking(VersionVector::new(), tress::Strands::ALL).await.unwrap();
    let files = disk();
    let open = async || {
        let place = DIR.as_ref();
        let store = tress_store::Store::create_on(Arc::new(files.clone()), place, "here".into());
        let tuning = Tuning { snapshot_events: 1, ..Tuning::default() };
        Store::on(store.unwrap().tuned(tuning)).create_run("main").await.unwrap()
    };
    let run = open().await;
    for number in 1..=10 {
        human(&run).add(&format!("work {number}")).await.unwrap();
    }
    drop(run);
    let run = open().await;
    human(&run).add("work 11").await.unwrap();
    files.plan(|_, call, _| (call == Call::Read).then_some(Fault::Error(Other)));
    assert!(run.take_in(late.clone()).await.is_err(), "it lies before the snapshot");
    let next = human(&run).add("work 12").await;
    let known = run.state().events();
    files.heal();
    let next = next.unwrap();
    assert_eq!((run.state().todos.contains_key(&next), known), (true, 12));
    assert_eq!(run.take_in(late).await.unwrap().events.len(), 1);
    assert_eq!(run.state().version.iter().map(|(_, number)| number).max(), Some(12));
    drop(run);
    assert_eq!(open().await.state().todos.len(), 13);
}

/// Who carries a store may write a journal anew, and it is short until that is done. A process that
/// looked at it meanwhile took it for damaged for good, and whoever followed waited for ever.
#[tokio::test]
async fn a_journal_that_is_short_while_it_is_carried_is_read_on_afterwards() {
    let files = disk();
    let (one, two) = (open(&files).await, open(&files).await);
    human(&one).add("first").await.unwrap();
    two.refresh().await.unwrap();
    human(&one).add("second").await.unwrap();
    drop(one);
    let path = journals(&files).remove(0);
    let whole = files.read(&path, 0).unwrap();
    for short in [0, 1, whole.len() / 3] {
        files.disk().damage(&path, |bytes| bytes.truncate(short));
        two.refresh().await.unwrap();
        assert_eq!(two.damage().len(), 1, "at {short} bytes it is told");
    }
    files.disk().damage(&path, |bytes| bytes.clone_from(&whole));
    two.refresh().await.unwrap();
    assert!(two.damage().is_empty());
    assert_eq!(titles(&two), ["first", "second"]);
}

/// A refused condition swallowed what the look before it had brought.
#[tokio::test]
async fn what_a_refused_condition_saw_is_seen_by_all() {
    let files = disk();
    let (one, two) = (open(&files).await, open(&files).await);
    human(&one).add("mine").await.unwrap();
    human(&two).add("theirs").await.unwrap();
    let refused = human(&one).append_if(|_| Err::<Vec<Operation>, _>("no")).await;
    assert!(refused.is_err());
    assert_eq!(titles(&one), ["mine", "theirs"]);
}

#[tokio::test]
async fn a_condition_that_panics_harms_nobody_else() {
    let run = open(&disk()).await;
    let panicked =
        human(&run).append_if(|_| -> Result<Vec<Operation>, ()> { panic!("mine") }).await;
    assert!(panicked.is_err());
    human(&run).add("goes on").await.unwrap();
    assert_eq!(titles(&run), ["goes on"]);
}

/// Appends that waited together were merged into one segment without a look at their size.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn large_appends_at_once_all_succeed() {
    let run = open(&disk()).await;
    let todo = human(&run).add("full of notes").await.unwrap();
    let notes: Vec<_> = (0..40)
        .map(|_| {
            let agent = human(&run);
            let text = "x".repeat(900_000);
            tokio::spawn(async move {
                agent.append([Operation::NoteAdded { todo, text, layout: None }]).await
            })
        })
        .collect();
    for note in notes {
        note.await.unwrap().unwrap();
    }
    assert_eq!(run.state().todo(todo).unwrap().notes.len(), 40);
}

/// Whoever followed a run was starved by those who wrote it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_busy_writer_does_not_starve_those_who_follow() {
    let files = disk();
    let (here, there) = (open(&files).await, open(&files).await);
    let mut subscription = here.subscribe(VersionVector::new()).await.unwrap();
    let busy = {
        let here = here.clone();
        tokio::spawn(async move {
            for number in 0_u64.. {
                human(&here).add(&format!("busy {number}")).await.unwrap();
            }
        })
    };
    let wanted = human(&there).add("from elsewhere").await.unwrap();
    while subscription.next().await.unwrap().operation.todo() != Some(wanted) {}
    busy.abort();
}

/// A process that only sealed took over a free replica without reading what its last holder had
/// written, and used its dots again.
#[tokio::test]
async fn sealing_reads_the_tail_of_the_replica_that_it_takes() {
    let files = disk();
    let sealer = open(&files).await;
    let writer = open(&files).await;
    human(&writer).add("one").await.unwrap();
    sealer.refresh().await.unwrap();
    human(&writer).add("two").await.unwrap();
    drop(writer);
    sealer.seal().await.unwrap();
    sealer.agent("late", Role::Human).add("three").await.unwrap();
    drop(sealer);
    let run = open(&files).await;
    assert_eq!(titles(&run), ["one", "three", "two"]);
    assert_eq!(journals(&files).len(), 1);
}

/// An append was written, and said to have failed. Looking for it, the process took another replica
/// that was free, found the event, and acknowledged it, and nobody had synced it.
#[tokio::test]
async fn what_is_found_after_a_failed_write_is_durable_before_it_is_acknowledged() {
    for _ in 0..8 {
        let files = disk();
        let run = open(&files).await;
        human(&run).add("before").await.unwrap();
        let others = [open(&files).await, open(&files).await, open(&files).await];
        for other in &others {
            human(other).add("elsewhere").await.unwrap();
        }
        drop(others);
        let mut once = true;
        files.plan(move |_, call, path| {
            let journal = path.extension().is_some_and(|extension| extension == "log");
            let now = call == Call::Append && journal && std::mem::take(&mut once);
            now.then_some(Fault::Late(Other))
        });
        let added = human(&run).add("perhaps").await;
        drop(run);
        files.disk().crash();
        let there = titles(&open(&FaultyFiles::on(files.disk())).await);
        assert!(added.is_err() || there.contains(&"perhaps".to_owned()), "it was acknowledged");
    }
}

/// A process that goes on with a journal, and cites others, syncs what nobody is known to have synced,
/// and nothing else: of thirty commands at once each waited for those before it to sync it all again.
#[tokio::test]
async fn what_a_mark_tells_is_not_synced_again() {
    let files = disk();
    let synced = Arc::new(std::sync::Mutex::new(Vec::new()));
    // Whether the marks that are left do not get there, as when a process dies before it leaves one.
    let unmarked = Arc::new(std::sync::atomic::AtomicBool::new(false));
    let (calls, lose) = (Arc::clone(&synced), Arc::clone(&unmarked));
    files.plan(move |_, call, path| {
        if matches!(call, Call::Sync | Call::SyncDir) {
            calls.lock().unwrap().push(path.file_name().unwrap().to_string_lossy().into_owned());
        }
        let mark = path.parent().is_some_and(|dir| dir.ends_with("replicas/main"));
        let lost = call == Call::Append && mark && lose.load(std::sync::atomic::Ordering::Relaxed);
        lost.then_some(Fault::Vanish)
    });
    let syncs = || std::mem::take(&mut *synced.lock().unwrap());
    // Two replicas, and so two journals.
    let held = open(&files).await;
    human(&held).add("one").await.unwrap();
    human(&open(&files).await).add("two").await.unwrap();
    syncs();
    human(&open(&files).await).add("three").await.unwrap();
    assert_eq!(syncs(), ["000001.log"], "only what was written");

    // What the last one wrote is not marked: it is synced before it is gone on with, and so is what is cited.
    unmarked.store(true, std::sync::atomic::Ordering::Relaxed);
    human(&open(&files).await).add("four").await.unwrap();
    human(&held).add("five").await.unwrap();
    syncs();
    human(&open(&files).await).add("six").await.unwrap();
    assert_eq!(syncs(), ["000001.log"; 3]);
    drop(held);
    files.disk().crash();
    assert_eq!(titles(&open(&FaultyFiles::on(files.disk())).await).len(), 6);
}

/// A restore puts files in place that nobody has synced: what their predecessors' marks say does not
/// hold for them.
#[tokio::test]
async fn the_mark_of_a_file_that_was_replaced_tells_nothing() {
    let files = disk();
    let held = open(&files).await;
    human(&held).add("one").await.unwrap();
    human(&open(&files).await).add("two").await.unwrap();
    for journal in journals(&files) {
        let bytes = files.read(&journal, 0).unwrap();
        files.remove(&journal).unwrap();
        files.open(&journal).unwrap().append(&bytes).unwrap();
        files.sync_dir(journal.parent().unwrap()).unwrap();
    }
    human(&open(&files).await).add("three").await.unwrap();
    drop(held);
    files.disk().crash();
    let there = titles(&open(&FaultyFiles::on(files.disk())).await);
    assert_eq!(there, ["one", "three", "two"], "all that was cited is there");
}

/// Everything that a store does, by two processes. What was acknowledged goes to `sure`; errors are
/// passed over, as somebody would who tries the next thing.
async fn session(one: &Faulty, two: &Faulty, sure: &mut BTreeSet<TodoId>) {
    for round in 0..2 {
        for (process, files) in [one, two].into_iter().enumerate() {
            let Some((store, run)) = try_open(files).await else { continue };
            for number in 0..3 {
                let todo = TodoId::from_external(&format!("{round} {process} {number}"));
                let added = human(&run).append([tress::todo(todo, "it")]).await;
                sure.extend(added.is_ok().then_some(todo));
            }
            let todo = TodoId::from_external(&format!("{round} {process} if"));
            let add = move |_: &Arc<tress::State>| Ok::<_, ()>(vec![tress::todo(todo, "it")]);
            let added = human(&run).append_if(add).await;
            sure.extend(added.is_ok().then_some(todo));
            let _ = run.seal().await;
            let name = format!("path-{round}-{process}");
            if let Ok(path) = human(&run).fork(&store, &name, Fork::default()).await {
                let todo = TodoId::from_external(&name);
                let added = human(&path).append([tress::todo(todo, "it")]).await.is_ok();
                let merged = human(&run).merge(&path).await.is_ok();
                sure.extend((added && merged).then_some(todo));
            }
            let _ = run.refresh().await;
        }
    }
}

async fn try_open(files: &Faulty) -> Option<(Store, Run)> {
    let store =
        tress_store::Store::create_on(Arc::new(files.clone()), DIR.as_ref(), "here".into()).ok()?;
    let store = Store::on(store);
    let run = store.create_run("main").await.ok()?;
    Some((store, run))
}

/// What must hold when the disk works again: nothing that was acknowledged is gone, nothing is
/// damaged, and work goes on.
async fn holds_after(disk: &MemoryFiles, sure: &BTreeSet<TodoId>, what: &str) {
    let files = FaultyFiles::on(disk);
    let (store, run) = try_open(&files).await.unwrap_or_else(|| panic!("{what}: cannot be opened"));
    for todo in sure {
        assert!(run.state().todo(*todo).is_some(), "{what}: {todo} is gone");
    }
    assert!(run.damage().is_empty(), "{what}: {:?}", run.damage());
    human(&run).add("life goes on").await.unwrap_or_else(|error| panic!("{what}: {error}"));
    let checked = store.check_run("main").unwrap();
    assert!(checked.is_clean(), "{what}: {:?}", checked.damage);
    run.documents().await.unwrap_or_else(|error| panic!("{what}: {error}"));
}

/// Tries `fault` at each call of a session, once or from then on.
async fn tries(kind: &str, lasting: bool, applies: fn(Call) -> bool, fault: fn(u64) -> Fault) {
    let whole = disk();
    let second = FaultyFiles::on(whole.disk());
    session(&whole, &second, &mut BTreeSet::new()).await;
    let calls = whole.calls();
    println!("{kind}: {calls} calls");
    let step = super::tried(7, 1);
    let mut refused = 0;
    for at in (1..=calls).step_by(step) {
        let first = disk();
        let second = FaultyFiles::on(first.disk());
        first.plan(move |number, call, _| {
            let now = if lasting { number >= at } else { number == at };
            (now && applies(call)).then(|| fault(number))
        });
        let mut sure = BTreeSet::new();
        session(&first, &second, &mut sure).await;
        refused += usize::from(sure.len() < 20);
        holds_after(first.disk(), &sure, &format!("{kind} at call {at}")).await;
        first.disk().crash();
        holds_after(first.disk(), &sure, &format!("{kind} at call {at}, then a power cut")).await;
    }
    assert!(refused > 0, "the fault was seen");
}

#[tokio::test]
async fn an_input_output_error_at_any_call_loses_nothing() {
    tries("EIO", false, |_| true, |_| Fault::Error(Other)).await;
    tries("EIO after the work", false, |_| true, |_| Fault::Late(Other)).await;
    tries("EIO from then on", true, |_| true, |_| Fault::Error(Other)).await;
}

#[tokio::test]
async fn a_full_disk_at_any_call_loses_nothing() {
    let short = |number: u64| Fault::Short((number % 90) as usize, StorageFull);
    tries("ENOSPC", false, Call::needs_room, short).await;
    tries("ENOSPC from then on", true, Call::needs_room, short).await;
}

/// A full disk is told as one, and nothing that was refused is there afterwards.
#[tokio::test]
async fn a_full_disk_is_told_as_one() {
    let files = disk();
    let run = open(&files).await;
    files.plan(|_, call, _| call.needs_room().then_some(Fault::Error(ErrorKind::StorageFull)));
    let refused = human(&run).add("never").await.unwrap_err();
    let words = refused.to_string();
    assert!(matches!(refused, Error::Group(_) | Error::Store(_)), "{refused:?}");
    assert!(words.contains("storage") || words.contains("space"), "{words}");
}

#[tokio::test]
async fn a_process_that_dies_at_any_call_loses_nothing() {
    tries("death", false, |_| true, |number| Fault::Die((number % 70) as usize)).await;
}

/// A snapshot for which there was no room filled the disk, and stayed.
#[tokio::test]
async fn a_snapshot_that_cannot_be_written_leaves_nothing() {
    let files = disk();
    let snapshots = Path::new(DIR).join("runs/main/snapshots");
    let open = async || {
        let store =
            tress_store::Store::create_on(Arc::new(files.clone()), DIR.as_ref(), "here".into());
        let tuning = Tuning { snapshot_events: 1, ..Tuning::default() };
        Store::on(store.unwrap().tuned(tuning)).create_run("main").await.unwrap()
    };
    let run = open().await;
    let of_snapshots = |path: &Path| path.to_string_lossy().contains("snapshots");
    files.plan(move |_, call, path| {
        (call == Call::Append && of_snapshots(path)).then_some(Fault::Short(40, StorageFull))
    });
    for number in 0..5 {
        human(&run).add(&format!("{number}")).await.unwrap();
    }
    let left = files.list(&snapshots).unwrap_or_default();
    assert!(left.is_empty(), "{left:?}");
    // Nor does what somebody leaves who dies meanwhile.
    files.heal();
    files.create_dir(&snapshots).unwrap();
    files.open(&snapshots.join("000000000001-00000001-dead.new")).unwrap();
    for number in 5..9 {
        human(&run).add(&format!("{number}")).await.unwrap();
    }
    let left: Vec<_> =
        files.list(&snapshots).unwrap().into_iter().map(|entry| entry.name).collect();
    assert!(left.iter().all(|name| name.ends_with(".snap")), "{left:?}");
}

/// Who had a run open that somebody removed left a snapshot of it to the next run of that name.
#[tokio::test]
async fn a_run_does_not_begin_with_the_snapshot_of_another() {
    let dir = tempfile::tempdir().unwrap();
    let open = || {
        let store = tress_store::Store::create(&dir.path().join(".tress")).unwrap();
        Store::on(store.tuned(Tuning { snapshot_events: 1, ..Tuning::default() }))
    };
    let gone = open().create_run("main").await.unwrap();
    human(&gone).add("of the run that is gone").await.unwrap();
    let place = dir.path().join(".tress/runs/main");
    // The snapshot of the first event is written by a thread; it is to be removed with the rest.
    let written = || std::fs::read_dir(place.join("snapshots")).into_iter().flatten().flatten();
    while !written().any(|entry| entry.path().extension().is_some_and(|end| end == "snap")) {
        tokio::time::sleep(std::time::Duration::from_millis(1)).await;
    }
    std::fs::remove_dir_all(&place).unwrap();
    let _ = human(&gone).add("and more").await;
    drop(gone);
    assert!(!place.join("snapshots").exists());
    // And where one is there all the same.
    let run = open().create_run("main").await.unwrap();
    human(&run).add("one").await.unwrap();
    drop(run);
    std::fs::remove_dir_all(place.join("journals")).unwrap();
    let run = open().create_run("main").await.unwrap();
    assert!(run.state().todos.is_empty());
}
