//! The evidence of a completion, and what is still open of a todo that is said to be done.

use crate::{Bench, text};

/// What was done, tested and judged could be seen in JSON only.
#[test]
fn evidence_of_a_completion_is_shown() {
    let bench = Bench::new();
    let id = bench.add("it");
    bench.ok_as("bo", &["claim", &id]);
    bench.ok_as("bo", &["progress", &id, "60", "-m", "tokens", "--next-milestone", "the tree"]);
    let raised = ["--tried", "asked the spec", "--tried", "asked cy"];
    bench.ok_as("bo", &[["block", &id, "--reason", "UTF-16?"].as_slice(), &raised].concat());
    let has = |shown: &str, line: &str| {
        assert!(shown.lines().any(|shown| shown == line), "no {line:?} in {shown}");
    };
    let shown = bench.ok(&["show", &id]);
    has(&shown, "blocker      technical, bo just now: UTF-16?");
    has(&shown, "tried        asked the spec");
    has(&shown, "progress     60%, bo just now: tokens");
    has(&shown, "next         the tree");
    bench.ok_as("bo", &["unblock", &id]);
    let evidence = ["--commit", "1a2b3c4", "--tests", "all of them", "--integration", "in main"];
    bench.ok_as("bo", &[["done", &id, "-m", "parser.rs"].as_slice(), &evidence].concat());
    has(&bench.ok(&["show", &id]), "verdict      none yet");
    let gaps = ["--percent", "70", "--gap", "parse 1e9"];
    bench.ok(&[["verify", &id, "--fail", "--reason", "no floats"].as_slice(), &gaps].concat());
    let shown = bench.ok(&["show", &id]);
    for line in [
        "done         bo just now: parser.rs",
        "tests        all of them",
        "integration  in main",
        "commit       1a2b3c4",
        "verdict      fail, ada just now, 70% is there: no floats",
        "gap          parse 1e9",
    ] {
        has(&shown, line);
    }
    let why = bench.ok(&["why", &id]);
    for words in ["next: the tree", "tried: asked cy", "tests: all of them", "gap: parse 1e9"] {
        assert!(why.contains(words), "no {words:?} in {why}");
    }
}

/// It was said of a todo that an open blocker held that it could be claimed again.
#[test]
fn what_is_sent_back_says_what_holds_it() {
    let bench = Bench::new();
    let id = bench.add("it");
    bench.ok_as("bo", &["done", &id]);
    bench.ok(&["block", &id, "--reason", "no grammar"]);
    let back = bench.ok(&["verify", &id, "--fail", "--reason", "no"]);
    assert!(back.contains("back; blocked: technical blocker: no grammar"), "{back}");
    bench.ok(&["unblock", &id]);
    bench.ok_as("bo", &["done", &id]);
    let back = bench.ok(&["verify", &id, "--fail", "--reason", "no"]);
    assert!(back.ends_with("back; it can be claimed again\n"), "{back}");
}

/// What was blocked, or had open children, was completed without a word.
#[test]
fn what_is_still_open_of_a_todo_that_is_done_is_warned_of() {
    let bench = Bench::new();
    let needed = bench.add("needed");
    let whole = text(&bench.json(&["add", "whole", "--needs", &needed]), "id");
    let part = text(&bench.json(&["add", "part", "--parent", &whole]), "id");
    let done = bench.run_as("bo", &["done", &whole]);
    assert_eq!(done.code, 0, "it is accepted all the same: {done:?}");
    let warnings = [
        format!("warning: {whole} \"whole\" is still blocked: needs {needed} \"needed\" (open)"),
        format!("warning: {whole} \"whole\" has 1 open child: {part} \"part\""),
    ];
    assert_eq!(done.stderr.lines().collect::<Vec<_>>(), warnings);
    let verified = bench.run(&["verify", &whole, "--json"]);
    assert_eq!(verified.stderr, "", "scripts find it in the answer");
    let verified = verified.data();
    assert_eq!(text(&verified, "status"), "completed");
    assert_eq!(format!("warning: {}", text(&verified, "warnings/1")), warnings[1]);
    let id = bench.add("free");
    assert_eq!(bench.run_as("bo", &["done", &id]).stderr, "");
    assert_eq!(text(&bench.json(&["verify", &id]), "warnings"), "[]");
}
