//! What must hold when disks fail, journals are damaged or replaced, and processes meet in the
//! worst moment. Each test is named for what once went wrong.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tress::{MemoryFiles, Operation, Role, Run, Store, VersionVector};
use tress_store::files::{AppendFile, DirEntry, Files, Lock};

use super::human;

const DIR: &str = "/project/.tress";

/// A file system that fails when it is told to.
#[derive(Debug, Clone, Default)]
struct Faulty {
    disk: MemoryFiles,
    full: Arc<AtomicBool>,
    no_sync: Arc<AtomicBool>,
}

#[derive(Debug)]
struct FaultyFile {
    file: Box<dyn AppendFile>,
    faults: Faulty,
}

impl AppendFile for FaultyFile {
    fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        if self.faults.full.load(Ordering::Acquire) {
            self.file.append(bytes.split_at(bytes.len() / 2).0)?;
            return Err(io::Error::from(io::ErrorKind::StorageFull));
        }
        self.file.append(bytes)
    }

    fn sync(&mut self) -> io::Result<()> {
        if self.faults.no_sync.swap(false, Ordering::AcqRel) {
            return Err(io::Error::other("the disk did not answer"));
        }
        self.file.sync()
    }

    fn end(&self) -> io::Result<u64> {
        self.file.end()
    }

    fn truncate(&mut self, len: u64) -> io::Result<()> {
        self.file.truncate(len)
    }
}

impl Files for Faulty {
    fn read(&self, path: &Path, offset: u64) -> io::Result<Vec<u8>> {
        self.disk.read(path, offset)
    }

    fn open(&self, path: &Path) -> io::Result<Box<dyn AppendFile>> {
        let file = self.disk.open(path)?;
        Ok(Box::new(FaultyFile { file, faults: self.clone() }))
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<DirEntry>> {
        self.disk.list(dir)
    }

    fn create_dir(&self, dir: &Path) -> io::Result<()> {
        self.disk.create_dir(dir)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.disk.rename(from, to)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        self.disk.remove(path)
    }

    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        self.disk.sync_dir(dir)
    }

    fn lock(&self, path: &Path, wait: bool) -> io::Result<Option<Box<dyn Lock>>> {
        self.disk.lock(path, wait)
    }
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
    let files = Faulty::default();
    let run = open(&files).await;
    human(&run).add("before").await.unwrap();
    files.full.store(true, Ordering::Release);
    let refused = human(&run).add("never").await.unwrap_err();
    assert!(matches!(refused, tress::Error::Group(_) | tress::Error::Unknown(_)), "{refused}");
    files.full.store(false, Ordering::Release);
    human(&run).add("after").await.unwrap();
    assert_eq!(titles(&run), ["after", "before"]);
    drop(run);
    assert_eq!(titles(&open(&files).await), ["after", "before"]);
}

/// A failed sync was reported as "nothing was appended", and the retry doubled the note.
#[tokio::test]
async fn after_a_failed_sync_nobody_is_told_that_nothing_happened() {
    let files = Faulty::default();
    let run = open(&files).await;
    human(&run).add("before").await.unwrap();
    files.no_sync.store(true, Ordering::Release);
    let unsure = human(&run).add("perhaps").await.unwrap_err();
    assert!(matches!(unsure, tress::Error::Unknown(_)), "{unsure}");
    human(&run).add("after").await.unwrap();
    drop(run);
    assert_eq!(journals(&files).len(), 2, "the journal that failed is not written any more");
    let run = open(&files).await;
    assert!(titles(&run).contains(&"after".to_owned()));
    assert!(run.damage().is_empty());
}

/// While a replica's own events waited for causes that another journal had lost, new events took
/// their dots, were acknowledged, and were gone after the next opening.
#[tokio::test]
async fn a_replica_whose_events_wait_is_not_written() {
    let files = Faulty::default();
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
    files.disk.damage(&path.unwrap(), |bytes| {
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
    let files = Faulty::default();
    let run = open(&files).await;
    human(&run).add("first").await.unwrap();
    let path = journals(&files).remove(0);
    let old = files.read(&path, 0).unwrap();
    human(&run).add("second").await.unwrap();
    drop(run);
    files.disk.replace(&path, old);
    let run = open(&files).await;
    human(&run).add("third").await.unwrap();
    assert_eq!(titles(&run), ["first", "third"]);
    assert_eq!(journals(&files).len(), 2, "another replica goes on");
    assert_eq!(run.state().version.iter().map(|(_, number)| number).max(), Some(1));
}

/// A refused condition swallowed what the look before it had brought.
#[tokio::test]
async fn what_a_refused_condition_saw_is_seen_by_all() {
    let files = Faulty::default();
    let (one, two) = (open(&files).await, open(&files).await);
    human(&one).add("mine").await.unwrap();
    human(&two).add("theirs").await.unwrap();
    let refused = human(&one).append_if(|_| Err::<Vec<Operation>, _>("no")).await;
    assert!(refused.is_err());
    assert_eq!(titles(&one), ["mine", "theirs"]);
}

#[tokio::test]
async fn a_condition_that_panics_harms_nobody_else() {
    let run = open(&Faulty::default()).await;
    let panicked =
        human(&run).append_if(|_| -> Result<Vec<Operation>, ()> { panic!("mine") }).await;
    assert!(panicked.is_err());
    human(&run).add("goes on").await.unwrap();
    assert_eq!(titles(&run), ["goes on"]);
}

/// Appends that waited together were merged into one segment without a look at their size.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn large_appends_at_once_all_succeed() {
    let run = open(&Faulty::default()).await;
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
    let files = Faulty::default();
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
    let files = Faulty::default();
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
