//! Paths: runs that branch off, are looked at, come back; what is left out, and what is undone.

use crate::{Bench, text, texts};

/// A run in which bo did a thing that ada did not ask for.
fn bench() -> (Bench, String, String) {
    let bench = Bench::new();
    let asked = bench.add("asked for");
    bench.ok(&["checkpoint", "early"]);
    bench.ok_as("bo", &["claim", &asked]);
    let unasked = text(&bench.json_as("bo", &["add", "not asked for"]), "id");
    bench.ok_as("bo", &["done", &asked]);
    bench.ok_as("cy", &["--role", "verifier", "verify", &asked]);
    (bench, asked, unasked)
}

#[test]
fn a_path_branches_off_anywhere_and_comes_back() {
    let (bench, asked, _) = bench();
    let made = bench.json(&["fork", "early-path", "--at", "early", "-m", "another way"]);
    assert_eq!((text(&made, "run"), text(&made, "from")), ("early-path".into(), "main".into()));
    let list = bench.json(&["--run", "early-path", "list", "--all"]);
    assert_eq!(texts(&list, "title"), ["asked for"]);
    bench.ok(&["--run", "early-path", "edit", &asked, "--title", "asked for, and more"]);
    bench.ok(&["--run", "early-path", "add", "found on the way"]);
    assert_eq!(bench.json(&["list", "--all"]).as_array().map(Vec::len), Some(2));

    let tried = bench.ok(&["merge", "early-path", "--dry-run"]);
    assert!(tried.contains("would merge 3 events"), "{tried}");
    assert_eq!(bench.json(&["list", "--all"]).as_array().map(Vec::len), Some(2));
    let merged = bench.json(&["merge", "early-path"]);
    assert_eq!(text(&merged, "events"), "3");
    assert_eq!(bench.json(&["list", "--all"]).as_array().map(Vec::len), Some(3));
    let before = text(&bench.json(&["stats"]), "root");
    let again = bench.ok(&["merge", "early-path"]);
    assert!(again.contains("nothing of early-path to merge"), "{again}");
    assert_eq!(text(&bench.json(&["stats"]), "root"), before);
    assert!(bench.ok(&["fsck"]).contains("no damage"));
}

#[test]
fn a_merge_says_what_it_decided() {
    let (bench, asked, _) = bench();
    bench.ok(&["fork", "path"]);
    bench.ok_as("bo", &["--run", "path", "edit", &asked, "--title", "by bo"]);
    bench.ok_as("cy", &["edit", &asked, "--title", "by cy"]);
    let merged = bench.ok(&["merge", "path"]);
    assert!(merged.contains("field-merge") && merged.contains("bo lost"), "{merged}");
    assert!(merged.contains("the other was \"by bo\""), "{merged}");
    assert_eq!(texts(&bench.json(&["conflicts"]), "rule"), ["field-merge"]);
}

#[test]
fn a_run_file_is_merged_like_a_path() {
    let (bench, ..) = bench();
    let other = Bench::new();
    other.add("from elsewhere");
    other.ok(&["export", "run", "other.tressrun"]);
    bench.write("other.tressrun", other.read("other.tressrun"));
    let merged = bench.json(&["merge", "other.tressrun"]);
    assert_eq!(text(&merged, "events"), "1");
    assert_eq!(bench.json(&["list", "--all"]).as_array().map(Vec::len), Some(3));
    bench.write("cut.tressrun", &other.read("other.tressrun")[..300]);
    bench.run(&["merge", "cut.tressrun"]).fails(6, "cut or damaged");
    bench.run(&["merge", "nowhere"]).fails(3, "no path of this store and no file");
    bench.run(&["merge", "main"]).fails(2, "is the run itself");
}

#[test]
fn what_an_agent_did_can_be_left_out() {
    let (bench, asked, unasked) = bench();
    let told = bench.ok(&["replay", "--without", "agent:bo"]);
    assert!(told.contains("left out: 3 events"), "{told}");
    assert!(told.contains("left out with it: 1 event"), "{told}");
    assert!(told.contains("rests on completion_claimed"), "{told}");
    let replayed = bench.json(&["replay", "--without", "agent:bo", "--as", "without-bo"]);
    assert_eq!(text(&replayed, "replayed/left_out"), "4");
    let list = bench.json(&["--run", "without-bo", "list", "--all"]);
    assert_eq!(texts(&list, "status"), ["open"]);
    assert_eq!(texts(&list, "id"), [asked.as_str()]);
    let check = bench.ok(&["--run", "without-bo", "replay", "--check"]);
    assert!(check.contains("early (1 event): holds"), "{check}");
    assert!(bench.ok(&["--run", "without-bo", "log"]).contains("(left out)"));
    let runs = bench.json(&["runs"]);
    assert_eq!(texts(&runs, "run"), ["main", "without-bo"]);
    assert_eq!(texts(&runs, "from"), ["null", "main"]);
    // It travels: a run file knows what is left out.
    bench.ok(&["--run", "without-bo", "export", "run", "x.tressrun"]);
    let file = bench.json(&["replay", "x.tressrun"]);
    assert_eq!(text(&file, "todos/open"), "1");
    assert!(bench.ok(&["replay", "x.tressrun", "--step"]).contains("not asked for"));
    let elsewhere = Bench::new();
    elsewhere.write("x.tressrun", bench.read("x.tressrun"));
    elsewhere.run(&["merge", "x.tressrun"]).fails(5, "leaves out events");

    bench.ok(&["replay", "--without", &format!("todo:{unasked}"), "--as", "without-it"]);
    assert_eq!(
        texts(&bench.json(&["--run", "without-it", "list", "--all"]), "id"),
        [asked.as_str()]
    );
    bench.ok(&["replay", "--without", "after:early", "--as", "only-early"]);
    assert_eq!(text(&bench.json(&["--run", "only-early", "stats"]), "events"), "2");
    bench.run(&["replay", "--without", "agent:nobody"]).fails(3, "no agent is called");
    bench.run(&["replay", "--without", "bo"]).fails(2, "does not say what to leave out");
    bench.run(&["replay", "--without", "agent:bo", "--as", "main"]).fails(5, "choose another name");
}

#[test]
fn an_event_is_undone_and_what_cannot_be_says_why() {
    let (bench, asked, _) = bench();
    bench.ok(&["edit", &asked, "--title", "a mistake"]);
    let event = text(&bench.json(&["log", "-n", "1"]), "0/event");
    let short = event.get(..10).expect("it is long enough");
    let undone = bench.ok(&["undo", short, "-m", "it was one"]);
    assert!(undone.contains("set title to \"asked for\""), "{undone}");
    assert!(bench.ok(&["list", "--all"]).contains("asked for"));
    bench.run(&["undo", short]).fails(5, "undone already, by ada at ");
    let verified = bench.json(&["log"]);
    let verified = verified.as_array().expect("a list");
    let verified = verified.iter().find(|event| text(event, "operation") == "verified");
    let verified = text(verified.expect("it was verified"), "event");
    bench.run(&["undo", &verified]).fails(5, "`reopen` opens the todo again");
    bench.run(&["undo", "ffffffffff"]).fails(3, "ffffffffff");
    bench.run(&["undo", short, "--at", "early"]).fails(2, "--at");
}

/// That nothing of an effect is left was said, but not why, nor what can be done.
#[test]
fn what_has_no_effect_any_more_says_what_took_it() {
    let bench = Bench::new();
    let id = bench.add("one");
    let event = |args: &[&str]| text(&bench.json(args), "event");
    let first = event(&["edit", &id, "--title", "two", "-p", "2"]);
    let second = event(&["edit", &id, "--title", "three"]);
    let short = second.get(..10).expect("it is long enough");
    let refused = bench.run(&["undo", &first]);
    refused.fails(5, "nothing of its effect is left: ada at ");
    refused.fails(5, &format!("set title to \"three\" ({short})"));
    refused.fails(5, &format!("hint: `tress undo {short}` takes that back"));
    let claimed = event(&["claim", &id]);
    bench.ok(&["release", &id]);
    let refused = bench.run(&["undo", &claimed]);
    refused.fails(5, "released it");
    refused.fails(5, "hint: there is nothing to take back");
    let nothing = event(&["edit", &id, "--title", "three"]);
    bench.run(&["undo", &nothing]).fails(5, "it changed nothing");
}

/// `diff` and `--at` take moments and paths; a path that is called like a moment could not be named.
#[test]
fn a_path_is_not_called_like_a_moment() {
    let (bench, ..) = bench();
    let event = text(&bench.json(&["log", "--limit", "1"])[0], "event");
    for name in ["now", "2h ago", "2026-01-01", &event, &event[..8]] {
        bench.run_as("ada", &["fork", name]).fails(2, "is a moment of the run");
    }
    bench.run_as("ada", &["fork", "--", "-x"]).fails(4, "cannot name a run");
    let replay = ["replay", "--without", "agent:bo", "--as", "now"];
    bench.run_as("ada", &replay).fails(2, "is a moment of the run");
    bench.ok(&["fork", "nowadays"]);
}

/// A run file with a name that is not UTF-8 was exported and replayed, and could not be merged.
#[cfg(unix)]
#[test]
fn a_run_file_is_merged_whatever_it_is_called() {
    use std::os::unix::ffi::OsStrExt;
    let (from, to) = (Bench::new(), Bench::new());
    from.add("carried");
    let name = to.path().join(std::ffi::OsStr::from_bytes(b"f\xff.tressrun"));
    for (bench, args) in [(&from, ["export", "run"].as_slice()), (&to, &["merge"])] {
        let done = bench.command("ada", args).arg(&name).output().expect("the binary runs");
        assert!(done.status.success(), "{args:?}: {done:?}");
    }
    assert_eq!(texts(&to.json(&["list"]), "title"), ["carried"]);
}
