//! Claims: one winner; progress, completion, verification.

use std::process::Stdio;

use crate::{Answer, Bench, text, texts};

#[test]
fn of_two_who_claim_one_wins_and_the_other_is_told_what_is_next() {
    let bench = Bench::new();
    let (first, other) = (bench.add("first"), bench.add("other"));
    let won = bench.ok_as("codex-1", &["claim", &first, "--lease", "2h"]);
    assert!(won.starts_with(&format!("claimed {first} \"first\" until ")), "{won}");
    let lost = bench.run_as("codex-2", &["claim", &first]);
    lost.fails(5, "is held by codex-1 until ");
    assert!(lost.stderr.contains(&format!("next ready: {other}")), "{lost:?}");
    let lost = bench.run_as("codex-2", &["claim", &first, "--json"]);
    assert_eq!(lost.code, 5);
    assert_eq!(text(&lost.error(), "code"), "claim_lost");
    let next = bench.json_as("codex-2", &["claim", "--next"]);
    assert_eq!((text(&next, "id"), text(&next, "agent")), (other, "codex-2".into()));
    bench.run_as("codex-3", &["claim", "--next"]).fails(5, "nothing is ready");
    let again = bench.ok_as("codex-1", &["claim", &first]);
    assert!(again.contains("yours already"), "{again}");
}

#[test]
fn of_sixteen_processes_that_claim_at_once_one_wins() {
    let bench = Bench::new();
    let id = bench.add("the only one");
    let claim = |n: usize| {
        let mut command = bench.command(&format!("codex-{n}"), &["claim", &id]);
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        command.spawn().expect("the binary runs")
    };
    let children: Vec<_> = (0..16).map(claim).collect();
    let answers: Vec<Answer> =
        children.into_iter().map(|c| c.wait_with_output().expect("it ends").into()).collect();
    let won: Vec<_> = answers.iter().filter(|answer| answer.code == 0).collect();
    assert_eq!(won.len(), 1, "{answers:?}");
    for lost in answers.iter().filter(|answer| answer.code != 0) {
        lost.fails(5, "is held by codex-");
    }
    let holder = text(&bench.json(&["show", &id]), "agent");
    assert!(won.iter().all(|answer| answer.stdout.starts_with("claimed")), "{holder}: {won:?}");
    bench.ok_as(&holder, &["release", &id]);
}

#[test]
fn next_is_left_for_others_where_it_needs_what_one_cannot_do() {
    let bench = Bench::new();
    bench.ok(&["add", "schema", "--capability", "sql", "--priority", "0"]);
    bench.ok(&["add", "words"]);
    let next = |agent: &str, can: &[&str]| {
        text(&bench.json_as(agent, &[&["claim", "--next"], can].concat()), "title")
    };
    assert_eq!(next("ann", &[]), "words");
    bench.run_as("bob", &["claim", "--next", "--can", "rust"]).fails(5, "nothing is ready for you");
    assert_eq!(next("bob", &["--can", "rust,sql"]), "schema");
    bench.ok(&["add", "more", "--capability", "go"]);
    assert_eq!(next("cy", &["--can", "*"]), "more");
}

#[test]
fn next_is_the_most_urgent_that_is_not_meant_for_another() {
    let bench = Bench::new();
    bench.ok(&["add", "for bo", "-p", "0", "--assignee", "bo"]);
    let mine = text(&bench.json(&["add", "for anybody", "-p", "1"]), "id");
    bench.ok(&["add", "later", "-p", "2", "--label", "x"]);
    assert_eq!(text(&bench.json_as("cy", &["claim", "--next"]), "id"), mine);
    let labelled = bench.json_as("cy", &["claim", "--next", "--label", "x"]);
    assert_eq!(text(&labelled, "title"), "later");
    bench.run_as("cy", &["claim", "--next"]).fails(5, "nothing is ready for you");
    assert_eq!(text(&bench.json_as("bo", &["claim", "--next"]), "title"), "for bo");
}

#[test]
fn work_is_reported_under_the_own_claim_only() {
    let bench = Bench::new();
    let id = bench.add("it");
    bench.run_as("bo", &["progress", &id, "10"]).fails(5, "bo does not hold");
    bench.ok_as("bo", &["claim", &id]);
    let at = bench.json_as("bo", &["progress", &id, "40", "-m", "tokens"]);
    assert_eq!((text(&at, "percent"), text(&at, "status")), ("40".into(), "in_progress".into()));
    for args in [["progress", &id, "50"].as_slice(), &["release", &id], &["done", &id]] {
        bench.run_as("cy", args).fails(5, "is held by bo");
    }
    bench.run_as("bo", &["progress", &id, "101"]).fails(4, "101 is not a percentage");
    bench.ok_as("cy", &["release", &id, "--force", "-m", "bo is gone"]);
    assert_eq!(text(&bench.json(&["show", &id]), "status"), "open");
}

#[test]
fn done_is_a_claim_that_another_has_to_verify() {
    let bench = Bench::new();
    let id = bench.add("it");
    bench.run(&["verify", &id]).fails(5, "nobody says that");
    bench.ok_as("bo", &["claim", &id]);
    let done = bench.json_as("bo", &["done", &id, "--commit", "1a2b3c4", "-m", "all of it"]);
    assert_eq!(text(&done, "status"), "in_review");
    bench.run_as("bo", &["verify", &id]).fails(5, "whoever did the work cannot verify it");
    bench
        .run(&["--role", "implementer", "verify", &id])
        .fails(5, "the role implementer cannot verify");
    bench.run(&["verify", &id, "--fail"]).fails(2, "--reason");
    let back = bench.ok(&["verify", &id, "--fail", "--reason", "no tests", "--gap", "tests"]);
    assert!(back.starts_with("sent "), "{back}");
    assert_eq!(text(&bench.json(&["show", &id]), "status"), "open");
    bench.ok_as("bo", &["claim", &id]);
    bench.ok_as("bo", &["done", &id]);
    let verified = bench.json_as("judge", &["--role", "verifier", "verify", &id, "-m", "all pass"]);
    assert_eq!(
        (text(&verified, "status"), text(&verified, "agent")),
        ("completed".into(), "bo".into())
    );
    bench.run(&["verify", &id]).fails(5, "is finished already");
    bench.run_as("bo", &["done", &id]).fails(5, "is finished");
}

#[test]
fn what_nobody_holds_can_be_done_without_a_claim() {
    let bench = Bench::new();
    let id = bench.add("it");
    bench.ok_as("bo", &["done", &id]);
    bench.run_as("cy", &["done", &id]).fails(5, "bo says already");
    bench.ok_as("cy", &["verify", &id]);
    assert_eq!(text(&bench.json(&["show", &id]), "status"), "completed");
}

#[test]
fn a_lease_is_a_duration_within_bounds() {
    let bench = Bench::new();
    let id = bench.add("it");
    bench.run(&["claim", &id, "--lease", "soon"]).fails(2, "no duration");
    bench.run(&["claim", &id, "--lease", "90d"]).fails(4, "a lease is");
    bench.run(&["claim"]).fails(2, "");
    bench.run(&["claim", &id, "--next"]).fails(2, "cannot be used with");
}

#[test]
fn the_progress_protocol_goes_from_start_to_completion() {
    let bench = Bench::new();
    let (needed, todo) = (bench.add("needed"), bench.add("the work"));
    bench.ok(&["claim", &todo]);
    bench.ok(&["begin", &todo, "--estimate", "45m", "--needs", &needed]);
    let begun = &bench.json(&["log", "--limit", "1"])[0];
    assert_eq!(text(begun, "operation"), "task_started");
    let details = &begun["details"];
    assert_eq!(
        (&details["estimate"], details["dependencies"].as_array().map(Vec::len)),
        (&45.into(), Some(1))
    );
    let args = ["progress", &todo, "60", "--next-milestone", "the tree", "--blocker", "no grammar"];
    bench.ok(&args);
    assert_eq!(texts(&bench.json(&["blocked"]), "title"), ["the work"]);
    bench.ok(&["unblock", &todo, "-m", "found one"]);
    bench.ok(&["done", &todo, "-m", "parser", "--tests", "42", "--integration", "in main"]);
    let log = bench.json(&["log", "--limit", "1"]);
    assert_eq!(log[0]["details"]["integration"], "in main");
    bench.run_as("bo", &["begin", &needed]).fails(5, "does not hold");
}
