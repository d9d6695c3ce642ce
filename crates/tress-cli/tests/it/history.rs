//! The past: log, why, checkpoints, replay, `--at`.

use std::io::{BufRead, BufReader};
use std::process::Stdio;

use tress::{EventId, Operation, Role, Store};

use crate::{Bench, text, texts};

#[test]
fn every_read_shows_the_past() {
    let bench = Bench::new();
    let first = bench.json(&["add", "first"]);
    let (id, event) = (text(&first, "id"), text(&first, "event"));
    let taken = bench.json(&["checkpoint", "one", "-m", "for later"]);
    bench.ok(&["add", "second"]);
    bench.ok_as("bo", &["claim", &id]);
    let version = text(&taken, "version");
    for when in ["one", &event, event.get(..8).expect("hex"), &version] {
        let then = bench.json(&["list", "--at", when]);
        assert_eq!(texts(&then, "title"), ["first"], "{when}");
        assert_eq!(text(&then, "0/status"), "open", "{when}");
    }
    for when in ["1h ago", "2020-01-01T00:00:00Z", "2020-01-01", "0"] {
        assert_eq!(bench.json(&["list", "--at", when]).as_array().map(Vec::len), Some(0), "{when}");
    }
    assert_eq!(bench.json(&["list", "--at", "now"]).as_array().map(Vec::len), Some(2));
    assert_eq!(text(&bench.json(&["stats", "--at", "one"]), "events"), "1");
    assert_eq!(bench.json(&["log", "--at", "one"]).as_array().map(Vec::len), Some(1));
    bench.run(&["show", &id, "--at", "1h ago"]).fails(3, "there is no todo");
    bench.run(&["list", "--at", "never"]).fails(3, "\"never\" is no checkpoint");
}

#[test]
fn the_log_tells_who_did_what() {
    let bench = Bench::new();
    let id = bench.add("it");
    bench.ok_as("bo", &["claim", &id]);
    bench.ok(&["add", "another"]);
    let log = bench.json(&["log"]);
    assert_eq!(texts(&log, "operation"), ["todo_added", "claimed", "todo_added"]);
    assert_eq!(texts(&log, "agent"), ["ada", "bo", "ada"]);
    assert_eq!(text(&log, "1/todo"), id);
    assert_eq!(text(&log, "1/details/lease"), "1800000");
    assert_eq!(texts(&bench.json(&["log", "--todo", &id]), "operation"), ["claimed", "todo_added"]);
    assert_eq!(texts(&bench.json(&["log", "--agent", "bo"]), "operation"), ["claimed"]);
    assert_eq!(texts(&bench.json(&["log", "-n", "1"]), "what"), ["added \"another\""]);
    assert!(bench.ok(&["log"]).contains("claimed it for 30m"));
    assert_eq!(bench.ok(&["log", "-n", "0"]), "", "none is what was asked for");
    assert_eq!(bench.ok(&["log", "--agent", "cy"]), "nothing that happened is like that\n");
    assert_eq!(Bench::new().ok(&["log"]), "nothing happened\n");
}

#[test]
fn following_shows_what_comes() {
    let bench = Bench::new();
    bench.add("before");
    let mut command = bench.command("ada", &["log", "--follow", "--json"]);
    let mut child = command.stdout(Stdio::piped()).spawn().expect("the binary runs");
    let mut lines = BufReader::new(child.stdout.take().expect("it is piped")).lines();
    let mut next = || -> serde_json::Value {
        let line = lines.next().expect("a line").expect("it can be read");
        serde_json::from_str(&line).expect("an envelope a line")
    };
    assert_eq!(text(&next(), "data/what"), "added \"before\"");
    bench.add("after");
    assert_eq!(text(&next(), "data/what"), "added \"after\"");
    child.kill().expect("it runs still");
    child.wait().expect("it ends");
}

#[test]
fn why_tells_the_story_and_the_reason() {
    let bench = Bench::new();
    let first = bench.add("first");
    let id = text(&bench.json(&["add", "it", "--needs", &first]), "id");
    bench.ok(&["note", &id, "careful"]);
    let why = bench.json(&["why", &id]);
    assert!(text(&why, "standing").starts_with("blocked: needs"), "{why}");
    let story = why.pointer("/story").expect("a story");
    assert_eq!(texts(story, "operation"), ["todo_added", "dependency_added", "note_added"]);
    assert_eq!(text(&why, "lost_claims"), "[]");
    bench.ok(&["close", &first, "-m", "not needed"]);
    let told = bench.ok(&["why", &first]);
    assert!(told.contains("closed by ada") && told.contains("not needed"), "{told}");
    assert!(told.contains("made it depend on"), "what depends on it is part of its story: {told}");
    assert!(bench.ok(&["why", &id]).contains("ready: nothing holds it back"));
}

#[test]
fn checkpoints_are_taken_listed_and_recomputed() {
    let bench = Bench::new();
    bench.add("it");
    assert!(bench.ok(&["checkpoint"]).contains("checkpoint-1"));
    bench.ok(&["checkpoint", "named"]);
    assert_eq!(texts(&bench.json(&["checkpoints"]), "name"), ["checkpoint-1", "named"]);
    let replayed = bench.json(&["replay", "--check"]);
    assert_eq!(text(&replayed, "events"), "3");
    assert_eq!(text(&replayed, "checkpoints/1/holds"), "true");
    assert_eq!(text(&replayed, "root"), text(&bench.json(&["stats"]), "root"));
    bench.run(&["checkpoint", "2026-01-01"]).fails(4, "means a time or a version");
    bench.run(&["checkpoint", ""]).fails(4, "name of the checkpoint is empty");
}

#[test]
fn a_checkpoint_that_differs_fails_the_check() {
    let bench = Bench::new();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.expect("a runtime").block_on(async {
        let store = Store::open(bench.path().join(".tress")).expect("it opens");
        let run = store.run("main").await.expect("it opens");
        let version = run.state().version.clone();
        let forged = Operation::CheckpointTaken {
            name: "forged".to_owned(),
            version,
            root: EventId([7; 32]),
            form: tress::STATE_FORM,
            reason: String::new(),
        };
        run.agent("mallory", Role::Human).append([forged]).await.expect("it is appended");
    });
    let checked = bench.run(&["replay", "--check"]);
    assert_eq!(checked.code, 6, "{checked:?}");
    assert!(checked.stdout.contains("forged") && checked.stdout.contains("DIFFERS"), "{checked:?}");
    let error = bench.run(&["replay", "--check", "--json"]).error();
    assert_eq!(text(&error, "details/checkpoints/0/holds"), "false");
    assert_eq!(bench.run(&["replay"]).code, 0, "only the check fails");
    assert_eq!(bench.run(&["fsck"]).code, 6, "fsck sees it, too");
}

#[test]
fn a_run_file_is_replayed_without_a_store() {
    let bench = Bench::new();
    let id = bench.add("it");
    bench.ok(&["checkpoint", "one"]);
    bench.ok_as("bo", &["claim", &id]);
    bench.ok(&["export", "run", "a.tressrun"]);
    let elsewhere = Bench::bare();
    elsewhere.write("a.tressrun", bench.read("a.tressrun"));
    let replayed = elsewhere.json(&["replay", "a.tressrun", "--check", "--step"]);
    assert_eq!(text(&replayed, "root"), text(&bench.json(&["stats"]), "root"));
    assert_eq!((text(&replayed, "run"), text(&replayed, "agents/bo")), ("main".into(), "1".into()));
    assert_eq!(text(&replayed, "steps/2/operation"), "claimed");
    let then = elsewhere.json(&["replay", "a.tressrun", "--at", "one"]);
    assert_eq!(text(&then, "events"), "1");
    assert!(elsewhere.ok(&["replay", "a.tressrun", "--step"]).contains("bo claimed it"));

    let whole = bench.read("a.tressrun");
    elsewhere.write("cut.tressrun", whole.get(..whole.len() - 20).expect("it is longer"));
    elsewhere.run(&["replay", "cut.tressrun"]).fails(6, "cut or damaged");
    elsewhere.write("no.tressrun", "hello");
    elsewhere.run(&["replay", "no.tressrun"]).fails(4, "not a run file");
    elsewhere.run(&["replay", "missing.tressrun"]).fails(3, "missing.tressrun");
}
