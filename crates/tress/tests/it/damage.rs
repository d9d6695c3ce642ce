//! Damage: every byte of a small store is hit, every cut is tried, a large one is hit at random. What
//! is hit is told, nothing else is lost, and nothing is silently wrong.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use tress::{Checked, Dot, MemoryFiles, Run, Store};
use tress_store::Files;

use super::{human, tried};

const DIR: &str = "/project/.tress";

fn store(files: &MemoryFiles) -> Store {
    let files = Arc::new(files.clone());
    let store = tress_store::Store::create_on(files, DIR.as_ref(), "here".to_owned());
    Store::on(store.unwrap())
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
    let opened = store(hit);
    let checked = opened.check_run("main").unwrap_or_else(|error| panic!("{what}: {error}"));
    let run = opened.run("main").await.unwrap();
    let same = run.state().root().to_string() == whole.root;
    assert!(same || !run.damage().is_empty(), "{what}: silently another state");
    // What lies before a snapshot is not read when a run is opened, and does it no harm.
    assert!(!checked.is_clean() || run.damage().is_empty(), "{what}: {:?}", run.damage());
    assert!(checked.is_clean() || !run.damage().is_empty() || same, "{what}");
    assert!(lost(&checked).len() <= may_lose, "{what}: {:?}", checked.lost);
    drop(run);
    let (found, _) = opened.repair_run("main").unwrap();
    assert_eq!(lost(&found), lost(&checked), "{what}");
    // Opened anew, as after any repair.
    let opened = store(hit);
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
    let opened = store(hit);
    opened.fill_run("main", &source.segments_of("main").unwrap()).unwrap();
    let opened = store(hit);
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
