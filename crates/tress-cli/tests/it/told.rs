//! What an agent lost is told to it by the next command that it calls.

use std::path::Path;

use crate::{Bench, text, texts};

/// Carries journals from one store to another that has none of them yet.
fn carry(from: &Bench, to: &Bench) {
    let journals = |bench: &Bench| bench.path().join(".tress/runs/main/journals");
    let copy = |file: &Path, place: &Path| {
        let name = file.file_name().expect("a name");
        std::fs::copy(file, place.join(name)).expect("it can be copied");
    };
    for replica in std::fs::read_dir(journals(from)).expect("journals") {
        let replica = replica.expect("a journal");
        let place = journals(to).join(replica.file_name());
        std::fs::create_dir_all(&place).expect("it can be made");
        for file in std::fs::read_dir(replica.path()).expect("files") {
            copy(&file.expect("a file").path(), &place);
        }
    }
}

#[test]
fn a_claim_lost_elsewhere_is_told_first_and_until_it_was_noted() {
    let (here, there) = (Bench::new(), Bench::new());
    let (id, next) = (here.add("wanted by two"), here.add("free"));
    carry(&here, &there);
    here.ok_as("early", &["claim", &id]);
    there.ok_as("late", &["claim", &id]);
    carry(&here, &there);
    let note = format!("note: you lost {id} to early (first-claim); next ready: {next} \"free\"");
    let held = format!("error: {id} \"wanted by two\" is held by early until ");
    for args in [["progress", &id, "10"].as_slice(), &["done", &id], &["release", &id]] {
        let refused = there.run_as("late", args);
        assert_eq!((refused.code, refused.stdout.as_str()), (5, ""), "{refused:?}");
        let lines: Vec<&str> = refused.stderr.lines().collect();
        assert_eq!(lines.first(), Some(&note.as_str()), "{refused:?}");
        let error = lines.get(1).expect("an error");
        assert!(error.starts_with(&held), "{refused:?}");
        assert!(error.ends_with(&format!("; next ready: {next} \"free\"")), "{refused:?}");
    }
    let refused = there.run_as("late", &["done", &id, "--json"]);
    assert_eq!(text(&refused.error(), "code"), "claim_lost");
    assert_eq!(text(&refused.error(), "details/losses/0/against"), "early");
    let table = there.ok(&["conflicts"]);
    assert!(table.contains("TOLD") && table.contains("  no  "), "{table}");
    // What is written anyway says, too, that it has been told.
    there.ok_as("late", &["claim", &next]);
    let blocked = there.json_as("late", &["block", &next, "--reason", "a key is missing"]);
    assert_eq!(text(&blocked, "losses/0/rule"), "first-claim");
    assert_eq!(texts(&there.json(&["conflicts"]), "acknowledged"), ["true"]);
    let after = there.json_as("late", &["progress", &next, "10"]);
    assert_eq!(text(&after, "losses"), "[]");
    assert!(there.ok(&["conflicts"]).contains("  yes  "));
}
