//! Forty real merges of a beads file, out of a git history: what is lost, and what is not.

#![expect(clippy::indexing_slicing, reason = "a value that is missing fails the test")]

use std::collections::BTreeMap;
use std::io::Read;
use std::path::Path;
use std::process::{Command, Stdio};

use serde_json::Value;
use tress::formats::ProblemKind;
use tress::formats::merge::{Merged, merge};

/// The archive was made with `--long=27`.
const WINDOW: u64 = 128 << 20;

type Blobs = BTreeMap<String, Vec<u8>>;

/// One merge: what both sides began with, the sides, and what was committed.
struct Case {
    name: String,
    base: Vec<u8>,
    ours: Vec<u8>,
    theirs: Vec<u8>,
    committed: Vec<u8>,
}

fn cases() -> Option<Vec<Case>> {
    let Some(root) = std::env::var_os("TRESS_CORPUS") else {
        println!("skipped: TRESS_CORPUS does not say where the corpus is");
        return None;
    };
    let dir = Path::new(&root).join("merge3");
    let archive = std::fs::File::open(dir.join("blobs.tar.zst")).expect("the archive is there");
    let decoder = ruzstd::decoding::StreamingDecoder::new_with_max_window_size(archive, WINDOW);
    let mut blobs = Blobs::new();
    let mut tar = tar::Archive::new(decoder.expect("it is zstd"));
    for entry in tar.entries().expect("it is a tar archive") {
        let mut entry = entry.expect("an entry");
        let path = entry.path().expect("a path");
        let Some(name) = path.file_stem().map(|name| name.to_string_lossy().into_owned()) else {
            continue;
        };
        let mut bytes = Vec::new();
        entry.read_to_end(&mut bytes).expect("it can be read");
        blobs.insert(name, bytes);
    }
    let list = std::fs::read_to_string(dir.join("merges.jsonl")).expect("the list is there");
    let cases = list.lines().map(|line| {
        let case: Value = serde_json::from_str(line).expect("it is JSON");
        let blob = |which: &str| {
            let name = case[format!("blob_{which}")].as_str().expect("a blob");
            blobs.get(name).unwrap_or_else(|| panic!("{name} is missing")).clone()
        };
        Case {
            name: case["merge"].as_str().expect("a name").chars().take(8).collect(),
            base: blob("base"),
            ours: blob("ours"),
            theirs: blob("theirs"),
            committed: blob("result"),
        }
    });
    Some(cases.collect())
}

/// The status of each issue. A line that is not JSON counts by what stands in it; of two lines the
/// last counts.
fn statuses(bytes: &[u8]) -> BTreeMap<String, String> {
    let text = String::from_utf8_lossy(bytes);
    let mut found = BTreeMap::new();
    for line in text.lines().filter(|line| line.starts_with('{')) {
        let member = |name: &str| match serde_json::from_str::<Value>(line) {
            Ok(issue) => issue[name].as_str().map(str::to_owned),
            Err(_) => {
                let (_, rest) = line.split_once(&format!("\"{name}\":\""))?;
                rest.split_once('"').map(|(value, _)| value.to_owned())
            }
        };
        found.extend(member("id").zip(member("status")));
    }
    found
}

fn closed(status: &str) -> bool {
    matches!(status, "closed" | "tombstone")
}

/// Issues that one side closed, whose status the other had not touched, and that `result` has open.
fn lost_closures(case: &Case, result: &[u8]) -> usize {
    let (base, ours) = (statuses(&case.base), statuses(&case.ours));
    let (theirs, result) = (statuses(&case.theirs), statuses(result));
    let lost = base.iter().filter(|(id, was)| {
        let Some((ours, theirs)) = ours.get(*id).zip(theirs.get(*id)) else { return false };
        let one = (closed(ours) && theirs == *was) || (closed(theirs) && ours == *was);
        !closed(was) && one && !result.get(*id).is_some_and(|status| closed(status))
    });
    lost.count()
}

/// Issues that a side had and nobody deleted, and that `result` lacks.
fn lost_issues(case: &Case, result: &[u8]) -> usize {
    let (base, ours) = (statuses(&case.base), statuses(&case.ours));
    let (theirs, result) = (statuses(&case.theirs), statuses(result));
    let had = ours.iter().chain(&theirs).filter(|(id, _)| !result.contains_key(*id));
    let deleted =
        |id: &String| base.contains_key(id) && !(ours.contains_key(id) && theirs.contains_key(id));
    had.filter(|(id, status)| !deleted(id) && *status != "tombstone").count()
}

/// Whether `git merge-file` leaves conflicts; `None` without git.
fn git_conflicts(case: &Case) -> Option<bool> {
    let dir = tempfile::tempdir().expect("a directory");
    let versions = [("ours", &case.ours), ("base", &case.base), ("theirs", &case.theirs)];
    for (name, bytes) in versions {
        std::fs::write(dir.path().join(name), bytes).expect("it can be written");
    }
    let mut git = Command::new("git");
    git.args(["merge-file", "-p", "-q", "ours", "base", "theirs"]).current_dir(dir.path());
    let status = git.stdout(Stdio::null()).status().ok()?;
    Some(!status.success())
}

fn merged(base: &[u8], ours: &[u8], theirs: &[u8]) -> Merged {
    merge(base, ours, theirs).unwrap_or_else(|error| panic!("{error}"))
}

#[test]
fn forty_real_merges_lose_nothing() {
    let Some(cases) = cases() else { return };
    assert_eq!(cases.len(), 40);
    let (mut committed, mut ours, mut gone, mut conflicts, mut decisions) = (0, 0, 0, 0, 0);
    let mut git = true;
    println!("merge     todos merged  ours theirs gone | lost: git's us | decisions git conflicts");
    for case in &cases {
        let result = merged(&case.base, &case.ours, &case.theirs);
        let bytes = &result.bytes;
        for line in bytes.split(|&byte| byte == b'\n').filter(|line| !line.is_empty()) {
            serde_json::from_slice::<Value>(line).expect("every line is JSON");
        }
        let (theirs_lost, ours_lost) =
            (lost_closures(case, &case.committed), lost_closures(case, bytes));
        let conflict = git_conflicts(case);
        let report = &result.report;
        println!(
            "{} {:6} {:6} {:5} {:6} {:4} | {:10} {:3} | {:9} {}",
            case.name,
            report.todos,
            report.merged,
            report.only_ours,
            report.only_theirs,
            report.deleted,
            theirs_lost,
            ours_lost,
            report.decisions.len(),
            conflict.map_or("no git", |conflict| if conflict { "yes" } else { "no" }),
        );
        committed += theirs_lost;
        ours += ours_lost;
        gone += lost_issues(case, bytes);
        decisions += report.decisions.len();
        git &= conflict.is_some();
        conflicts += usize::from(conflict == Some(true));
    }
    println!(
        "closures lost: {committed} in the committed results, {ours} here; issues lost here: \
         {gone}; decisions: {decisions}; conflicts under git merge-file: {conflicts}"
    );
    assert_eq!(committed, 36, "the counter counts what is known to be lost");
    assert_eq!((ours, gone), (0, 0));
    assert!(!git || conflicts == 34, "{conflicts} conflicts under git merge-file");
}

#[test]
fn forty_real_merges_are_symmetric_and_settled() {
    let Some(cases) = cases() else { return };
    for Case { name, base, ours, theirs, .. } in &cases {
        let result = merged(base, ours, theirs).bytes;
        let same = |what: &str, other: &[u8]| {
            if other != result {
                let lines = |bytes: &[u8]| -> Vec<String> {
                    String::from_utf8_lossy(bytes).lines().map(str::to_owned).collect()
                };
                let (a, b) = (lines(&result), lines(other));
                let at = a.iter().zip(&b).position(|(a, b)| a != b);
                let at = at.unwrap_or(a.len().min(b.len()));
                panic!("{name}: {what}, line {}:\n{:?}\n{:?}", at + 1, a.get(at), b.get(at));
            }
        };
        same("the sides swapped", &merged(base, theirs, ours).bytes);
        same("again with theirs", &merged(base, &result, theirs).bytes);
        same("again with ours", &merged(base, ours, &result).bytes);
        same("both merged", &merged(base, &result, &result).bytes);
        same("nothing to merge", &merged(&result, &result, &result).bytes);
    }
}

/// One of the committed results still holds the markers of its conflict.
#[test]
fn committed_conflict_markers_are_reported_with_their_lines() {
    let Some(cases) = cases() else { return };
    let case = cases.iter().find(|case| case.name == "3f4f7cc1").expect("it is there");
    let report = merged(&case.base, &case.committed, &case.theirs).report;
    let marker = report.problems.iter().filter(|p| p.problem.kind == ProblemKind::ConflictMarker);
    let places: Vec<_> = marker.map(|p| (p.side.name(), p.problem.line)).collect();
    assert_eq!(places, [("ours", 1), ("ours", 355), ("ours", 679)]);
}
