//! Damage: every byte of a small store is hit, every cut is tried, a large one is hit at random. What
//! is hit is told, nothing else is lost, and nothing is silently wrong.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use tress::sync::{Terms, converse, pipe};
use tress::{Checked, Dot, MemoryFiles, Run, Store};
use tress_store::Files;

use super::{human, tried};

const DIR: &str = "/project/.tress";

/// What identifies the directory in which the stores are made, and that of a copy.
const HERE: &str = "here";
const COPY: &str = "elsewhere";

fn store_at(files: &MemoryFiles, identity: &str) -> Store {
    let files = Arc::new(files.clone());
    let store = tress_store::Store::create_on(files, DIR.as_ref(), identity.to_owned());
    Store::on(store.unwrap())
}

fn store(files: &MemoryFiles) -> Store {
    store_at(files, HERE)
}

async fn open(files: &MemoryFiles) -> Run {
    store(files).create_run("main").await.unwrap()
}

/// All files of the store.
fn paths(files: &MemoryFiles, dir: &Path) -> Vec<PathBuf> {
    let mut paths = Vec::new();
    for entry in files.list(dir).unwrap() {
        let path = dir.join(&entry.name);
        if entry.is_dir {
            paths.extend(self::paths(files, &path));
        } else if entry.len > 0 {
            paths.push(path);
        }
    }
    paths
}

/// A store in which two processes wrote in turn, each seeing what the other wrote, and sealed.
async fn small(events: usize) -> MemoryFiles {
    let files = MemoryFiles::new();
    let (one, two) = (open(&files).await, open(&files).await);
    for number in 0..events {
        let run = if number % 2 == 0 { &one } else { &two };
        run.refresh().await.unwrap();
        human(run).add(&format!("todo {number}, with a title of some length")).await.unwrap();
        if number == events / 2 {
            run.seal().await.unwrap();
        }
    }
    drop((one, two));
    files
}

/// What is known of a store that is whole.
struct Whole {
    titles: BTreeMap<Dot, String>,
    root: String,
}

async fn whole(files: &MemoryFiles) -> Whole {
    let run = open(&files.deep_copy()).await;
    let events = run.events_since(tress::VersionVector::new()).await.unwrap();
    let titles = events.iter().map(|event| (event.dot, format!("{:?}", event.operation)));
    Whole { titles: titles.collect(), root: run.state().root().to_string() }
}

/// The dots that are told to be lost.
fn lost(checked: &Checked) -> BTreeSet<Dot> {
    let stretches = checked.lost.iter().chain(&checked.lost_before);
    stretches.flat_map(|s| (s.first..=s.last).map(|n| Dot::new(s.replica, n))).collect()
}

/// Everything that must hold of a store that was hit: nothing is silently wrong, a repair gives back
/// all that was not hit, a copy fills the rest, and work goes on.
async fn holds(hit: &MemoryFiles, whole: &Whole, source: &Store, may_lose: usize, what: &str) {
    holds_at(hit, HERE, whole, source, may_lose, what).await;
}

/// The same of a store that lies where `identity` says.
async fn holds_at(
    hit: &MemoryFiles,
    identity: &str,
    whole: &Whole,
    source: &Store,
    may_lose: usize,
    what: &str,
) {
    let opened = store_at(hit, identity);
    let checked = opened.check_run("main").unwrap_or_else(|error| panic!("{what}: {error}"));
    let run = opened.run("main").await.unwrap();
    let same = run.state().root().to_string() == whole.root;
    assert!(same || !run.damage().is_empty(), "{what}: silently another state");
    // What lies before a snapshot is not read when a run is opened, and does it no harm.
    assert!(!checked.is_clean() || run.damage().is_empty(), "{what}: {:?}", run.damage());
    assert!(checked.is_clean() || !run.damage().is_empty() || same, "{what}");
    assert!(lost(&checked).len() <= may_lose, "{what}: {:?}", checked.lost);
    drop(run);
    let (found, _) = opened.repair_run("main", &[]).unwrap();
    assert_eq!(lost(&found), lost(&checked), "{what}");
    // Opened anew, as after any repair.
    let opened = store_at(hit, identity);
    let now = opened.check_run("main").unwrap();
    assert!(now.damage.is_empty() && now.behind == 0, "{what}: {:?}", now.damage);
    assert_eq!(lost(&now), lost(&checked), "{what}: what is lost is what was told");
    let run = opened.run("main").await.unwrap();
    assert!(run.damage().is_empty(), "{what}: {:?}", run.damage());
    let events = run.events_since(tress::VersionVector::new()).await.unwrap();
    assert_eq!(run.lost(), lost(&checked).len(), "{what}");
    let there: BTreeMap<Dot, String> = events
        .iter()
        .filter(|event| !event.is_lost())
        .map(|event| (event.dot, format!("{:?}", event.operation)))
        .collect();
    let mut expected = whole.titles.clone();
    expected.retain(|dot, _| !lost(&checked).contains(dot));
    assert_eq!(there, expected, "{what}: everything else is there");
    human(&run).add("life goes on").await.unwrap();
    drop((run, opened));
    if lost(&checked).is_empty() {
        return;
    }
    let opened = store_at(hit, identity);
    opened.fill_run("main", &source.segments_of("main").unwrap()).unwrap();
    let opened = store_at(hit, identity);
    let filled = opened.check_run("main").unwrap();
    assert!(filled.is_clean() && lost(&filled).is_empty(), "{what}: {:?}", filled.lost);
    let run = opened.run("main").await.unwrap();
    assert!(run.damage().is_empty() && run.lost() == 0, "{what}: {:?}", run.damage());
    let events = run.events_since(tress::VersionVector::new()).await.unwrap();
    assert_eq!(events.len(), whole.titles.len() + 1, "{what}: all of it and what came since");
}

/// The files in which events are; what is in the others means nothing for what a run says.
fn journals(files: &MemoryFiles) -> Vec<PathBuf> {
    paths(files, &Path::new(DIR).join("runs"))
        .into_iter()
        .filter(|p| p.ends_with("000001.log"))
        .collect()
}

#[tokio::test]
async fn a_byte_that_is_hit_costs_its_event_and_nothing_else() {
    let files = small(tried(6, 40)).await;
    let (known, source) = (whole(&files).await, store(&files.deep_copy()));
    let mut hits = 0;
    for path in paths(&files, Path::new(DIR)) {
        let bytes = files.read(&path, 0).unwrap();
        let may_lose = usize::from(journals(&files).contains(&path));
        for at in 0..bytes.len() {
            let hit = files.deep_copy();
            hit.damage(&path, |bytes| bytes[at] ^= 1 << (at % 8));
            let what = format!("{} byte {at}", path.display());
            if path.ends_with("store") {
                // A digit of the id may be another; what cannot be read is an error.
                let opened = tress_store::Store::open_on(
                    Arc::new(hit.clone()),
                    DIR.as_ref(),
                    "here".to_owned(),
                );
                let Ok(_) = opened else { continue };
            }
            holds(&hit, &known, &source, may_lose, &what).await;
            hits += 1;
        }
    }
    println!("{hits} bytes hit");
}

/// A header says whose journal it is; in a copy that is another place.
#[tokio::test]
async fn a_copy_of_a_store_that_is_hit_loses_no_more_than_the_store() {
    let files = small(tried(6, 40)).await;
    let (known, source) = (whole(&files).await, store(&files.deep_copy()));
    for path in journals(&files) {
        let bytes = files.read(&path, 0).unwrap();
        let header = tress_store::frame::decode(&bytes).unwrap().len();
        for at in 0..bytes.len() {
            let hit = files.deep_copy();
            hit.damage(&path, |bytes| bytes[at] ^= 1 << (at % 8));
            let what = format!("{} byte {at}", path.display());
            let carried = hit.deep_copy();
            // What is hit at the end, and what is cut, is only short: nobody gives it up.
            if tress_store::frame::find(&bytes, at + 1).is_some() {
                holds_at(&hit, COPY, &known, &source, 1, &what).await;
            } else {
                is_only_short(&hit, &known, &files, &what).await;
            }
            if at % 8 == 0 {
                let cut = files.deep_copy();
                cut.damage(&path, |bytes| bytes.truncate(at));
                let what = format!("{} cut at {at}", path.display());
                is_only_short(&cut, &known, &files, &what).await;
            }
            if at >= header {
                continue;
            }
            // As whoever keeps a store in git has it: without what belongs to the place.
            for path in paths(&carried, &Path::new(DIR).join("local")) {
                carried.remove(&path).unwrap();
            }
            holds_at(&carried, COPY, &known, &source, 1, &format!("{what}, carried")).await;
        }
    }
}

#[tokio::test]
async fn a_copy_that_lacks_a_whole_journal_says_so() {
    let files = small(6).await;
    let known = whole(&files).await;
    for path in journals(&files) {
        let lacking = files.deep_copy();
        lacking.remove(&path).unwrap();
        is_only_short(&lacking, &known, &files, &format!("{} is not there", path.display())).await;
    }
    // Of a run that is gone nothing is missed in the next one of its name.
    let again = files.deep_copy();
    let runs = Path::new(DIR).join("runs");
    again.rename(&runs.join("main"), &runs.join("other")).unwrap();
    let run = store_at(&again, COPY).create_run("main").await.unwrap();
    human(&run).add("anew").await.unwrap();
    drop(run);
    let checked = store_at(&again, COPY).check_run("main").unwrap();
    assert!(checked.is_clean() && checked.events == 1, "{checked:?}");
}

/// What a copy lacks of what its places had written is told, and comes by a sync as well as from a file: a
/// repair gives up none of it, for whoever has it goes on behind it.
async fn is_only_short(short: &MemoryFiles, whole: &Whole, from: &MemoryFiles, what: &str) {
    let source = store(&from.deep_copy());
    let opened = store_at(short, COPY);
    let checked = opened.check_run("main").unwrap();
    assert!(!checked.damage.is_empty() && !checked.lost.is_empty(), "{what}: {checked:?}");
    let (_, kept) = opened.repair_run("main", &[]).unwrap();
    assert!(kept.is_empty(), "{what}: {kept:?}");
    let opened = store_at(short, COPY);
    let again = opened.check_run("main").unwrap();
    assert_eq!((again.lost, again.lost_before), (checked.lost.clone(), Vec::new()), "{what}");
    // From a file.
    let filled = short.deep_copy();
    store_at(&filled, COPY).fill_run("main", &source.segments_of("main").unwrap()).unwrap();
    let checked = store_at(&filled, COPY).check_run("main").unwrap();
    assert!(checked.is_clean(), "{what}: {checked:?}");
    assert_eq!(checked.events, whole.titles.len() as u64, "{what}");
    // By a sync, from one who has gone on.
    let (here, there) = (opened.run("main").await.unwrap(), source.run("main").await.unwrap());
    human(&here).add("in the copy").await.unwrap();
    human(&there).add("in the store").await.unwrap();
    let ((link, far), terms) = (pipe(), Terms::default());
    let (one, other) =
        tokio::join!(converse(&here, link, &terms, |_| {}), converse(&there, far, &terms, |_| {}));
    one.and(other).unwrap();
    let [here, there] = [here.refresh().await.unwrap(), there.refresh().await.unwrap()];
    assert_eq!(here.root(), there.root(), "{what}");
    drop(opened);
    let checked = store_at(short, COPY).check_run("main").unwrap();
    assert!(checked.is_clean(), "{what}: {checked:?}");
}

/// A journal has more than one file, and each of them says whose it is.
#[tokio::test]
async fn a_header_that_is_hit_costs_nothing_where_another_says_the_same() {
    let files = MemoryFiles::new();
    let tuning = tress_store::Tuning { file_bytes: 600, ..Default::default() };
    let on = |files: &MemoryFiles, identity: &str| {
        let files = Arc::new(files.clone());
        let store = tress_store::Store::create_on(files, DIR.as_ref(), identity.to_owned());
        Store::on(store.unwrap().tuned(tuning))
    };
    let run = on(&files, HERE).create_run("main").await.unwrap();
    for number in 0..12 {
        human(&run).add(&format!("todo {number}, with a title of some length")).await.unwrap();
    }
    drop(run);
    let (known, source) = (whole(&files).await, store(&files.deep_copy()));
    let path = journals(&files).remove(0);
    let header = tress_store::frame::decode(&files.read(&path, 0).unwrap()).unwrap().len();
    assert!(files.read(&path.with_file_name("000003.log"), 0).is_ok());
    for identity in [HERE, COPY] {
        for at in 0..header {
            let hit = files.deep_copy();
            hit.damage(&path, |bytes| bytes[at] ^= 1 << (at % 8));
            holds_at(&hit, identity, &known, &source, 0, &format!("{identity} byte {at}")).await;
        }
        // Something behind it was passed over before.
        let hit = files.deep_copy();
        let third = path.with_file_name("000003.log");
        hit.damage(&third, |bytes| bytes[header + 70] ^= 1);
        store_at(&hit, identity).repair_run("main", &[]).unwrap();
        hit.damage(&path, |bytes| bytes[0] ^= 1);
        let checked = store_at(&hit, identity).check_run("main").unwrap();
        assert_eq!((checked.damage.len(), checked.lost.len()), (1, 0), "{checked:?}");
    }
}

/// With one event there is no chain that could say whose it is, and it is not guessed.
#[tokio::test]
async fn whose_a_journal_is_its_checksum_says_or_a_copy() {
    let files = small(1).await;
    let (known, source) = (whole(&files).await, store(&files.deep_copy()));
    let path = journals(&files).remove(0);
    let header = tress_store::frame::decode(&files.read(&path, 0).unwrap()).unwrap().len();
    for path in paths(&files, &Path::new(DIR).join("local")) {
        files.remove(&path).unwrap();
    }
    for at in [0, 5, 20] {
        let hit = files.deep_copy();
        hit.damage(&path, |bytes| bytes[at] ^= 1);
        holds_at(&hit, COPY, &known, &source, 0, &format!("byte {at}")).await;
    }
    files.damage(&path, |bytes| bytes[..header].fill(b'x'));
    let (found, kept) = store_at(&files, COPY).repair_run("main", &[]).unwrap();
    assert!(!found.is_clean() && kept.is_empty(), "{found:?}");
    assert_eq!(found.damage.len(), 1, "{found:?}");
    let named = source.segments_of("main").unwrap();
    let (_, kept) = store_at(&files, COPY).repair_run("main", &named).unwrap();
    assert_eq!(kept.len(), 1);
    let checked = store_at(&files, COPY).check_run("main").unwrap();
    assert!(checked.is_clean() && checked.events == 1, "{checked:?}");
    let run = store_at(&files, COPY).run("main").await.unwrap();
    assert_eq!(run.state().root().to_string(), known.root);
}

#[tokio::test]
async fn a_cut_at_any_offset_is_told_and_costs_what_was_cut() {
    let files = small(tried(4, 40)).await;
    let (known, source) = (whole(&files).await, store(&files.deep_copy()));
    for path in journals(&files) {
        let bytes = files.read(&path, 0).unwrap();
        for at in 0..bytes.len() {
            let hit = files.deep_copy();
            hit.damage(&path, |bytes| bytes.truncate(at));
            let what = format!("{} cut at {at}", path.display());
            holds(&hit, &known, &source, known.titles.len(), &what).await;
            let checked = store(&hit).check_run("main").unwrap();
            assert!(checked.is_clean(), "{what}");
        }
        let hit = files.deep_copy();
        hit.remove(&path).unwrap();
        holds(&hit, &known, &source, known.titles.len(), "a file that is gone").await;
    }
}

/// A generator of numbers that look random: SplitMix64 (Steele et al. 2014).
struct Random(u64);

impl Random {
    fn below(&mut self, end: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((z ^ (z >> 31)) % end as u64) as usize
    }
}

/// A store with snapshots, whose journals have thousands of events, in frames of many.
async fn large() -> MemoryFiles {
    let files = MemoryFiles::new();
    let (one, two) = (open(&files).await, open(&files).await);
    for round in 0..60 {
        for run in [&one, &two] {
            run.refresh().await.unwrap();
            let todo = |n| tress::todo(tress::new_todo_id().unwrap(), format!("{round} {n}"));
            human(run).append((0..50).map(todo)).await.unwrap();
        }
    }
    drop((one, two));
    files
}

#[tokio::test]
async fn random_hits_on_a_large_store_are_told_and_the_rest_comes_back() {
    let files = large().await;
    let (known, source) = (whole(&files).await, store(&files.deep_copy()));
    let paths = paths(&files, &Path::new(DIR).join("runs"));
    assert!(paths.iter().any(|path| path.extension().is_some_and(|e| e == "snap")));
    let mut random = Random(20_261_124);
    for round in 0..tried(12, 200) {
        let hit = files.deep_copy();
        let path = &paths[random.below(paths.len())];
        let len = files.read(path, 0).unwrap().len();
        let (at, many) = (random.below(len), 1 + random.below(64));
        let kind = random.below(3);
        hit.damage(path, |bytes| {
            let end = (at + many).min(bytes.len());
            match kind {
                0 => bytes[at] ^= 1 << random.below(8),
                1 => bytes[at..end].fill(0),
                _ => bytes[at..end].iter_mut().for_each(|byte| *byte = !*byte),
            }
        });
        // A hit may lie on the border of two frames.
        let what = format!("round {round}: {} byte {at}, {many} bytes, {kind}", path.display());
        holds(&hit, &known, &source, 100, &what).await;
    }
}

/// The only journal of a run is folded while it is read: what comes of that is what comes of one after the other,
/// whole and hit.
#[tokio::test]
async fn a_long_journal_that_is_the_only_one_is_folded_while_it_is_read() {
    let files = MemoryFiles::new();
    let run = open(&files).await;
    for round in 0..100 {
        let title = |n| format!("{round} {n}: {}", "long ".repeat(4));
        let todo = |n| tress::todo(tress::new_todo_id().unwrap(), title(n));
        human(&run).append((0..100).map(todo)).await.unwrap();
    }
    let known = run.state();
    drop(run);
    let is = |path: &&PathBuf, end: &str| path.extension().is_some_and(|found| found == end);
    let all = paths(&files, &Path::new(DIR).join("runs"));
    all.iter().filter(|path| is(path, "snap")).for_each(|path| files.remove(path).unwrap());
    let journals: Vec<_> = all.iter().filter(|path| is(path, "log")).collect();
    let [journal] = journals[..] else { panic!("{journals:?}") };
    let len = files.read(journal, 0).unwrap().len();
    assert!(len > 256 << 10, "{len}");
    let reopened = open(&files.deep_copy()).await;
    assert_eq!(reopened.state().root(), known.root());
    // Everything before a hit, and nothing behind it.
    let hit = files.deep_copy();
    hit.damage(journal, |bytes| bytes[2 * len / 3] ^= 1);
    let stored = |files: &MemoryFiles| {
        let files = Arc::new(files.clone());
        let store = tress_store::Store::open_on(files, Path::new(DIR), "here".to_owned());
        store.unwrap().run("main", false).unwrap()
    };
    let at_once = |files: &MemoryFiles| {
        let mut log = tress::Log::new();
        log.admit_all(stored(files).poll().unwrap().segments, None);
        log.state().root()
    };
    assert_eq!(at_once(&files), known.root());
    let state = open(&hit).await.state();
    assert!((6000..7000).contains(&state.events()), "{}", state.events());
    assert_eq!(state.root(), at_once(&hit));
    // Who wants no more gets the rest at the end; of several journals nothing is given before all are read.
    let given = |files: &MemoryFiles| {
        let mut given = Vec::new();
        let batch = stored(files).poll_into(&mut |segments| {
            given.extend(segments);
            false
        });
        let count = |segments: &[tress::Hashed]| segments.iter().map(|s| s.records.len()).sum();
        let (given, left): (usize, usize) = (count(&given), count(&batch.unwrap().segments));
        (given, given + left)
    };
    let all = usize::try_from(known.events()).unwrap();
    let (some, sum) = given(&files);
    assert!((1024..2048).contains(&some) && sum == all, "{some} of {sum}");
    let (one, two) = (open(&files).await, open(&files).await);
    human(&one).add("one").await.unwrap();
    human(&two).add("two").await.unwrap();
    drop((one, two));
    assert_eq!(given(&files), (0, all + 2));
}
