//! The beads files of real projects, in and out.

use std::collections::BTreeSet;

use tress::formats::{ProblemKind, beads};
use tress_model::state::State;

use crate::support::{NOON, corpus, fold};

fn first_difference(a: &str, b: &str) -> String {
    for (at, (a, b)) in a.lines().zip(b.lines()).enumerate() {
        if a != b {
            return format!("line {}:\n{a}\n{b}", at + 1);
        }
    }
    format!("{} and {} lines", a.lines().count(), b.lines().count())
}

fn assert_lossless(name: &str, operations: usize) {
    let Some(text) = corpus(name) else { return };
    let import = beads::import(&text);
    let state = fold(&import.operations);
    let out = beads::export(&state, NOON);
    assert!(out == text, "{name}: {}", first_difference(&text, &out));
    assert!(state.ledger.is_empty());
    assert_eq!(import.operations.len(), operations);
    let again = beads::import_over(&state, &text);
    assert_eq!(again.operations, [], "{name}: a second import plans nothing");
    assert_eq!(again.report.unchanged, again.report.read);
}

#[test]
fn beads_704_comes_out_as_it_went_in() {
    assert_lossless("beads/beads-704.jsonl", 1852);
}

#[test]
fn beads_rust_513_comes_out_as_it_went_in() {
    assert_lossless("beads/beads_rust-513.jsonl", 1846);
}

#[test]
fn gastown_comes_out_but_for_its_one_bad_line() {
    let Some(text) = corpus("gastown/issues.jsonl") else {
        return;
    };
    let import = beads::import(&text);
    let [problem] = import.report.problems.as_slice() else {
        panic!("one problem is expected: {:?}", import.report.problems)
    };
    assert_eq!((problem.line, problem.kind), (262, ProblemKind::BadJson));
    assert_eq!(problem.column, Some(1112));
    assert_eq!((import.report.read, import.report.left_out), (676, 1));
    let good: String = text
        .split_inclusive('\n')
        .enumerate()
        .filter(|(at, _)| *at != 261)
        .map(|(_, line)| line)
        .collect();
    let state = fold(&import.operations);
    let out = beads::export(&state, NOON);
    assert!(out == good, "{}", first_difference(&good, &out));
    assert_eq!(beads::import_over(&state, &text).operations, []);
}

fn names<'a>(
    state: &State,
    ids: impl Iterator<Item = &'a tress_model::TodoId>,
) -> BTreeSet<String> {
    ids.map(|&id| state.name(id)).collect()
}

#[test]
fn what_is_ready_and_blocked_is_what_was_computed_independently() {
    let Some(expected) = corpus("beads/expected-ready.json") else {
        return;
    };
    let expected: serde_json::Value = serde_json::from_str(&expected).expect("it is JSON");
    for file in ["beads-704.jsonl", "beads_rust-513.jsonl"] {
        let text = corpus(&format!("beads/{file}")).expect("the corpus is there");
        let state = fold(&beads::import(&text).operations);
        let readiness = state.readiness(NOON);
        let list = |what: &str| -> BTreeSet<String> {
            let ids = expected[file][what].as_array().expect("a list");
            ids.iter().filter_map(|id| id.as_str().map(str::to_owned)).collect()
        };
        let ready = names(&state, readiness.ready.iter());
        let blocked = names(&state, readiness.blocked.keys());
        assert_eq!(ready, list("ready"), "{file}: ready");
        assert_eq!(blocked, list("blocked"), "{file}: blocked");
    }
}
