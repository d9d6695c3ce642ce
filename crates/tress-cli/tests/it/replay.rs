//! Runs that are replayed: step by step, at any speed, in part, out of the store and out of files.

use std::process::Stdio;

use serde_json::Value;
use tress::{Author, Draft, Item, Log, ReplicaId, Role, RunFile, StoreId, TodoId, encode_run_file};

use crate::{Bench, text, texts};

/// A run in which one todo waits for another, and two claims of one todo. Gives both todos.
fn bench() -> (Bench, [String; 2]) {
    let bench = Bench::new();
    let first = bench.add("first");
    let second = text(&bench.json(&["add", "second", "--needs", &first]), "id");
    bench.ok(&["checkpoint", "one"]);
    bench.ok_as("bo", &["claim", &first]);
    bench.ok(&["close", &first, "--force", "-m", "done elsewhere"]);
    bench.ok_as("cy", &["claim", &second]);
    (bench, [first, second])
}

fn changed(replayed: &Value, operation: &str) -> Vec<Vec<String>> {
    let steps = replayed.pointer("/steps").and_then(Value::as_array).expect("steps");
    let steps = steps.iter().filter(|step| text(step, "operation") == operation);
    let words = |step: &Value| {
        let words = step.pointer("/changed").and_then(Value::as_array).expect("what it changed");
        words.iter().map(|word| word.as_str().expect("words").to_owned()).collect()
    };
    steps.map(words).collect()
}

#[test]
fn each_step_says_what_it_changed() {
    let (bench, [_, second]) = bench();
    let replayed = bench.json(&["replay", "--step"]);
    assert_eq!(changed(&replayed, "dependency_added"), [["open -> blocked"]]);
    let claims = changed(&replayed, "claimed");
    assert_eq!(claims, [["open -> in_progress"], ["open -> in_progress"]]);
    let closed = ["in_progress -> closed".to_owned(), format!("{second}: blocked -> open")];
    assert_eq!(changed(&replayed, "closed").concat(), closed);
    let told = bench.ok(&["replay", "--step"]);
    assert!(told.contains(&format!("[{}]", closed.join("; "))), "{told}");
    assert!(told.contains("\nroot "), "the summary comes last: {told}");
    assert!(!told.contains("\ntold "), "all were told: {told}");
}

#[test]
fn speeds_are_played_and_nothing_waits_at_the_highest() {
    let (bench, _) = bench();
    for speed in ["max", "1e9", "1000000x"] {
        let told = bench.ok(&["replay", "--speed", speed]);
        assert!(told.contains("bo claimed it") && told.contains("\nroot "), "{told}");
    }
    assert_eq!(text(&bench.json(&["replay", "--speed", "0.001"]), "events"), "7");
    bench.run(&["replay", "--speed", "0"]).fails(2, "a speed is a number above 0");
}

#[test]
fn filters_restrict_what_is_told_and_not_what_is_folded() {
    let (bench, [first, second]) = bench();
    let root = text(&bench.json(&["stats"]), "root");
    let told = |args: &[&str]| {
        let args: Vec<&str> = ["replay"].into_iter().chain(args.iter().copied()).collect();
        let replayed = bench.json(&args);
        assert_eq!(text(&replayed, "root"), root, "{args:?}");
        texts(replayed.pointer("/steps").expect("steps"), "operation")
    };
    assert_eq!(told(&["--agent", "bo"]), ["claimed"]);
    assert_eq!(told(&["--operation", "claimed", "--operation", "closed"]).len(), 3);
    assert_eq!(told(&["--operation", "Todo-Added"]), ["todo_added", "todo_added"]);
    assert_eq!(told(&["--todo", &second]), ["todo_added", "dependency_added", "claimed"]);
    assert_eq!(told(&["--todo", &first, "--agent", "bo"]), ["claimed"]);
    assert_eq!(told(&["--from", "one"]).len(), 4, "the checkpoint itself is behind it");
    assert_eq!(told(&["--since", "one", "--operation", "closed"]), ["closed"]);
    assert!(told(&["--conflicts"]).is_empty());
    let said = bench.ok(&["replay", "--agent", "bo", "--operation", "claimed"]);
    let summary = "told         1 of 7 events (agent bo, operation claimed); all were folded";
    assert!(said.contains(summary), "{said}");
    let unknown = bench.run(&["replay", "--operation", "clamed"]);
    unknown.fails(2, "did you mean claimed");
    bench.run(&["replay", "--operation", "xyzzy"]).fails(2, "no operation is called so");
    bench.run(&["replay", "--todo", "t-zzzz"]).fails(3, "there is no todo");
}

#[test]
fn a_stretch_ends_where_one_says() {
    let (bench, _) = bench();
    for end in [["--until", "one"], ["--at", "one"]] {
        assert_eq!(text(&bench.json(&["replay", end[0], end[1]]), "events"), "3", "{end:?}");
    }
    bench.run(&["replay", "--until", "one", "--at", "one"]).fails(2, "mean the same");
    bench.run(&["replay", "--until", "never"]).fails(3, "\"never\" is no checkpoint");
    let none = bench.json(&["replay", "--from", "now", "--until", "one"]);
    assert_eq!(text(&none, "steps"), "[]");
    bench.ok(&["export", "run", "a.tressrun"]);
    let part = bench.json(&["replay", "a.tressrun", "--from", "one", "--agent", "cy"]);
    assert_eq!(texts(part.pointer("/steps").expect("steps"), "operation"), ["claimed"]);
    assert_eq!(text(&part, "filters"), r#"["agent cy"]"#);
}

#[test]
fn conflicts_are_told_with_the_rule_that_decided() {
    let (bench, [first, _]) = bench();
    // A person who closes what another holds and who has seen it decides nothing; a stale token
    // does.
    bench.ok(&["reopen", &first, "-m", "again"]);
    bench.ok_as("bo", &["claim", &first]);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.expect("a runtime").block_on(async {
        let store = tress::Store::open(bench.path().join(".tress")).expect("it opens");
        let run = store.run("main").await.expect("it opens");
        let todo = run.state().find(&first).expect("it is there").id;
        let late = tress::Operation::Claimed { todo, lease: None, scope: Vec::new() };
        run.agent("di", Role::Implementer).append([late]).await.expect("it is appended");
    });
    let replayed = bench.json(&["replay", "--conflicts"]);
    let agents = texts(replayed.pointer("/steps").expect("steps"), "agent");
    assert_eq!(agents, ["bo", "di"], "the claim that won, and the one that lost");
    let lost = changed(&replayed, "claimed").pop().expect("the last");
    assert_eq!(lost, ["rule first-claim: di lost, it is held by bo"]);
}

/// A run file with one event of the time `at`.
fn file_of(at: u64) -> Vec<u8> {
    let author = Author::new("ada", Role::Human);
    let operation = tress::todo(TodoId::from_external("x"), "it");
    let draft = Draft { author, occurred: None, operation };
    let prepared = Log::new().prepare(ReplicaId([7; 16]), StoreId([8; 16]), vec![draft], at);
    let segment = prepared.expect("a valid operation").segment();
    let items = vec![Item::from(segment)];
    let file = RunFile { run: "main".to_owned(), origin: None, items };
    encode_run_file(&file).expect("it encodes")
}

#[test]
fn events_from_the_far_future_are_refused() {
    let bench = Bench::bare();
    let day = 24 * 60 * 60 * 1000;
    bench.write("near.tressrun", file_of(tress::now() + day / 2));
    assert_eq!(text(&bench.json(&["replay", "near.tressrun"]), "events"), "1");
    bench.write("far.tressrun", file_of(tress::now() + 3 * day + day / 2));
    let refused = bench.run(&["replay", "far.tressrun"]);
    refused.fails(4, "ahead of the clock here");
    assert!(refused.stderr.contains(&format!("event {}:1 is of ", "07".repeat(16))), "{refused:?}");
    assert!(refused.stderr.contains("3d 1"), "by how much: {refused:?}");
    assert!(refused.stderr.contains("hint: check the clocks"), "{refused:?}");
}

/// CRC-32C, bit by bit.
fn crc32c(bytes: impl Iterator<Item = u8>) -> u32 {
    !bytes.fold(!0_u32, |crc, byte| {
        (0..8).fold(crc ^ u32::from(byte), |crc, _| (crc >> 1) ^ (0x82f6_3b78 * (crc & 1)))
    })
}

#[test]
fn a_file_that_cannot_be_read_says_why() {
    let bench = Bench::bare();
    let whole = file_of(1_000_000);
    let mut flipped = whole.clone();
    *flipped.last_mut().expect("it is not empty") ^= 1;
    bench.write("flipped.tressrun", &flipped);
    bench.run(&["replay", "flipped.tressrun"]).fails(6, "cut or damaged");
    bench.write("empty.tressrun", "");
    bench.run(&["replay", "empty.tressrun"]).fails(6, "the file is empty");
    // The header of a later major version, under a checksum that is right.
    let major = whole.windows(9).position(|bytes| bytes == b"\"major\":1").expect("a version") + 8;
    let mut newer = whole;
    *newer.get_mut(major).expect("a digit") = b'9';
    let length = newer.get(8..12).and_then(|bytes| bytes.try_into().ok()).map(u32::from_le_bytes);
    let end = 56 + length.expect("a length") as usize;
    let checked = newer.iter().take(12).chain(newer.iter().take(end).skip(16)).copied();
    let sum = crc32c(checked).to_le_bytes();
    newer.get_mut(12..16).expect("a checksum").copy_from_slice(&sum);
    bench.write("newer.tressrun", &newer);
    let refused = bench.run(&["replay", "newer.tressrun"]);
    refused.fails(6, "has format 9.");
    assert!(refused.stderr.contains("install a newer one"), "{refused:?}");
}

#[test]
fn whoever_stops_reading_ends_the_replay() {
    let (bench, _) = bench();
    let mut command = bench.command("ada", &["replay", "--step"]);
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("it runs");
    drop(child.stdout.take());
    let output = child.wait_with_output().expect("it ends");
    assert_eq!(String::from_utf8_lossy(&output.stderr), "");
    assert!(output.status.success(), "{output:?}");
}
