//! The beads format on small texts: bad input, updates, and todos that were made in Tress.

use proptest::prelude::*;
use tress::formats::{Import, Planned, ProblemKind as K, beads};
use tress_model::clock::Millis;
use tress_model::ids::{Dot, ReplicaId, Role, TodoId};
use tress_model::operation::{EdgeKind, Operation, ProseField, TodoEdit, Verdict};
use tress_model::state::State;
use tress_model::{Rule, Status};

use crate::support::{Bench, NOON, fold};

fn planned(operation: Operation) -> Planned {
    Planned { author: None, occurred: None, operation }
}

/// What is wrong with a text: line, kind, and a piece of the message.
fn problems(text: impl AsRef<[u8]>) -> Vec<(usize, K, String)> {
    let report = beads::import(text).report;
    report.problems.into_iter().map(|p| (p.line, p.kind, p.message)).collect()
}

fn one(text: impl AsRef<[u8]>) -> (usize, K, String) {
    let found = problems(text);
    assert_eq!(found.len(), 1, "{found:?}");
    found.into_iter().next().expect("there is one")
}

/// Imports, and asserts that the export gives the text back and a second import plans nothing.
fn lossless(text: &str) -> State {
    let import = beads::import(text);
    let state = fold(&import.operations);
    assert_eq!(beads::export(&state, NOON), text);
    assert_eq!(beads::import_over(&state, text).operations, []);
    state
}

/// Imports `after` over `before`, and asserts that the export gives `after` back.
fn update(before: &str, after: &str) -> (Import, State) {
    let mut bench = Bench::new();
    bench.append(&beads::import(before).operations);
    let import = beads::import_over(&bench.state, after);
    bench.append(&import.operations);
    assert_eq!(beads::export(&bench.state, NOON), after);
    assert_eq!(beads::import_over(&bench.state, after).operations, []);
    (import, bench.state)
}

const A: &str = r#"{"id":"a","title":"A","status":"open","priority":2,"issue_type":"task","created_at":"2026-01-01T00:00:00Z","updated_at":"2026-01-01T00:00:00Z"}"#;

#[test]
fn a_bad_line_is_reported_with_its_place_and_costs_only_itself() {
    let import = beads::import(format!(
        "{A}\n{{\"id\":\"b\",}}\nnonsense\n[1]\n{}\n",
        A.replace("\"a\"", "\"c\"")
    ));
    assert_eq!((import.report.read, import.report.left_out, import.report.added), (2, 3, 2));
    let places: Vec<_> =
        import.report.problems.iter().map(|p| (p.line, p.column, p.kind)).collect();
    assert_eq!(
        places,
        [(2, Some(11), K::BadJson), (3, Some(2), K::BadJson), (4, None, K::BadJson)]
    );
    let said = import.report.problems[0].to_string();
    assert!(said.starts_with("line 2, column 11: not a JSON object (trailing comma)"), "{said}");
}

#[test]
fn conflict_markers_are_reported_and_of_both_sides_the_later_holds() {
    let (old, new) =
        (A, A.replace("\"A\"", "\"New\"").replace("01-01T00:00:00Z\"}", "01-02T00:00:00Z\"}"));
    let import = beads::import(format!("<<<<<<< HEAD\n{new}\n=======\n{old}\n>>>>>>> theirs\n"));
    let kinds: Vec<_> = import.report.problems.iter().map(|p| (p.line, p.kind)).collect();
    let marker = K::ConflictMarker;
    assert_eq!(kinds, [(1, marker), (3, marker), (4, K::DuplicateId), (5, marker)]);
    assert_eq!(fold(&import.operations).find("a").expect("it is there").title, "New");
}

#[test]
fn every_kind_of_dirt_is_named() {
    let with = |members: &str| format!("{},{members}}}", A.trim_end_matches('}'));
    assert_eq!(one(b"\xff\xfe\n" as &[u8]).1, K::NotUtf8);
    assert_eq!(one(r#"{"title":"x"}"#).1, K::MissingId);
    assert_eq!(one(r#"{"id":"","title":"x"}"#).1, K::MissingId);
    assert_eq!(one(r#"{"id":"x"}"#).1, K::MissingTitle);
    assert_eq!(one(format!("{A}\n{A}\n")).1, K::DuplicateId);
    assert_eq!(one(with(r#""id":"a""#)).1, K::DuplicateKey);
    assert_eq!(one(A.replace(r#"priority":2"#, r#"priority":7"#)).1, K::PriorityOutOfRange);
    assert_eq!(one(A.replace(r#"priority":2"#, r#"priority":-1"#)).1, K::PriorityOutOfRange);
    assert_eq!(one(A.replace(r#"priority":2"#, r#"priority":"high""#)).1, K::BadValue);
    assert_eq!(one(with(r#""labels":"x""#)).1, K::BadValue);
    assert_eq!(one(with(r#""dependencies":[{"type":"blocks"}]"#)).1, K::BadValue);
    assert_eq!(one(with(r#""comments":[3]"#)).1, K::BadValue);
    assert_eq!(one(A.replace("2026-01-01T00:00:00Z\"}", "yesterday\"}")).1, K::BadValue);
    let (_, kind, said) = one(A.replace("\"open\"", "\"in-progres\""));
    assert_eq!((kind, said.ends_with("did you mean in_progress?")), (K::UnknownStatus, true));
    assert_eq!(one(format!("{}\n", "x".repeat(1 << 20))).1, K::TooLarge);
}

#[test]
fn edges_that_mean_nothing_are_named_and_kept() {
    let edge = |on: &str, kind: &str| {
        format!(
            r#"{},"dependencies":[{{"issue_id":"a","depends_on_id":"{on}","type":"{kind}"}}]}}"#,
            A.trim_end_matches('}')
        )
    };
    assert_eq!(one(edge("gone", "blocks")).1, K::DanglingEdge);
    assert_eq!(one(edge("a", "blocks")).1, K::SelfEdge);
    let text = format!("{}\n{}\n", edge("b", "parent_child"), A.replace("\"a\"", "\"b\""));
    let (line, kind, said) = one(&text);
    assert_eq!((line, kind), (1, K::UnknownEdgeKind));
    assert!(said.ends_with("did you mean parent-child?"), "{said}");
    let state = lossless(&text);
    let a = TodoId::from_external("a");
    assert_eq!(state.edges(a)[0].kind, EdgeKind::Other("parent_child".to_owned()));
    let back = edge("a", "blocks")
        .replace("\"id\":\"a\"", "\"id\":\"b\"")
        .replace("issue_id\":\"a", "issue_id\":\"b");
    let text = format!("{}\n{back}\n", edge("b", "blocks"));
    let (line, kind, said) = one(&text);
    assert_eq!((line, kind), (1, K::Cycle));
    assert!(said.starts_with("a -> b -> a"), "{said}");
    let state = lossless(&text);
    assert_eq!(state.ledger.iter().map(|e| e.rule).collect::<Vec<_>>(), [Rule::NoCycles]);
}

#[test]
fn odd_ways_of_writing_come_out_as_they_went_in() {
    // No newline at the end; Windows line ends; a mark and blank lines; blanks inside a line.
    lossless(A);
    lossless(&format!("{A}\r\n{}\r\n", A.replace("\"a\"", "\"b\"")));
    lossless(&format!("\u{feff}\n{A}\n\n \n{}\n\n", A.replace("\"a\"", "\"b\"")));
    lossless("  { \"id\" : \"x\" , \"title\":\"T\" }\n");
    // Keys and values in every style.
    lossless("{\"\\u0069d\":\"x\",\"title\":\"T\"}\n");
    lossless(
        "{\"title\": \"caf\\u00e9 \\ud83d\\ude00\", \"id\": \"x\", \"z\": [1, {\"a\": 1e3}]}\n",
    );
    lossless(
        "{\"id\":\"x\",\"title\":\"a \\u003c b\",\"description\":\"a\\/b\",\"notes\":\"\\u0041\"}\n",
    );
    // Empty, null and wrong values; numbers for truth values; nanoseconds and zones.
    lossless(
        "{\"id\":\"x\",\"title\":\"T\",\"labels\":[],\"assignee\":null,\"owner\":\"\",\"pinned\":0,\"ephemeral\":1}\n",
    );
    lossless(
        "{\"id\":\"x\",\"title\":5,\"status\":7,\"priority\":9.5,\"estimated_minutes\":-1,\"comments\":{}}\n",
    );
    lossless(
        "{\"id\":\"x\",\"title\":\"T\",\"updated_at\":\"2026-01-01T01:02:03.123456789-08:00\",\"closed_at\":\"soon\",\"status\":\"closed\"}\n",
    );
    // Twice the same: key, label, edge, remark.
    lossless("{\"id\":\"x\",\"title\":\"T\",\"title\":\"U\"}\n");
    lossless("{\"id\":\"x\",\"title\":\"T\",\"labels\":[\"b\",\"a\",\"b\"]}\n");
    let edge = "{\"depends_on_id\":\"y\",\"issue_id\":\"x\",\"type\":\"blocks\",\"by\":1}";
    lossless(&format!("{{\"id\":\"x\",\"title\":\"T\",\"dependencies\":[{edge},{edge}]}}\n"));
    let remark = "{\"id\":4,\"issue_id\":\"x\",\"author\":\"\",\"text\":\"hm\"}";
    lossless(&format!("{{\"id\":\"x\",\"title\":\"T\",\"comments\":[{remark},{remark}]}}\n"));
    // A tombstone, and a closed one that says neither when nor why.
    lossless("{\"id\":\"x\",\"title\":\"T\",\"status\":\"tombstone\",\"deleted_by\":\"ada\"}\n");
    lossless(
        "{\"id\":\"x\",\"title\":\"T\",\"status\":\"tombstone\",\"closed_at\":\"2026-01-01T00:00:00Z\"}\n",
    );
    lossless("{\"id\":\"x\",\"title\":\"T\",\"status\":\"closed\"}\n");
    lossless(
        "{\"id\":\"x\",\"title\":\"T\",\"status\":\"closed\",\"closed_at\":\"soon\",\"created_at\":5}\n",
    );
    lossless(
        "{\"id\":\"x\",\"title\":\"T\",\"close_reason\":\"was closed once\",\"tress\":{\"check\":\"make\"}}\n",
    );
    lossless("{\"id\":\"x\",\"title\":\"T\",\"tress\":\"something else\"}\n");
}

#[test]
fn what_an_event_cannot_hold_is_reported_and_what_it_can_is_kept() {
    let long = |count: usize, piece: &str| {
        let text = piece.repeat(count);
        format!("{},\"description\":\"{text}\"}}\n", A.trim_end_matches('}'))
    };
    lossless(&long(900_000, "x"));
    assert_eq!(one(long(1_000_000, "x")).1, K::TooLarge);
    // Here the text would have to be kept twice to be written as it was.
    let text = long(40_000, "\\u00e9\\/");
    lossless(&text);
    let (_, kind, said) = one(long(100_000, "\\u00e9\\/"));
    assert_eq!((kind, said.contains("otherwise")), (K::Inexact, true));
    for key in ["dependencies", "comments"] {
        let item =
            format!("{{\"depends_on_id\":\"a\",\"text\":\"{}\"}}", "\\\\\\\"".repeat(150_000));
        let text = format!("{},\"{key}\":[{item}]}}\n", A.trim_end_matches('}'));
        fold(&beads::import(text).operations);
    }
}

#[test]
fn a_changed_file_is_an_update() {
    let b = A.replace("\"a\"", "\"b\"");
    let before = format!("{A}\n{b}\n");
    let after = format!(
        "{}\n{b}\n",
        r#"{"id":"a","title":"Renamed","description":"long","status":"closed","priority":0,"issue_type":"bug","assignee":"bob","created_at":"2026-01-01T00:00:00Z","updated_at":"2026-01-03T00:00:00Z","closed_at":"2026-01-02T00:00:00Z","close_reason":"done","labels":["x"],"dependencies":[{"issue_id":"a","depends_on_id":"b","type":"blocks"}],"comments":[{"id":1,"issue_id":"a","author":"bob","text":"hm","created_at":"2026-01-02T00:00:00Z"}]}"#
    );
    let (import, state) = update(&before, &after);
    assert_eq!((import.report.changed, import.report.unchanged), (1, 1));
    let todo = state.find("a").expect("it is there");
    assert_eq!((todo.title.as_str(), todo.kind.as_str(), todo.priority), ("Renamed", "bug", 0));
    assert_eq!(todo.closing().map(|c| c.reason.as_str()), Some("done"));
    assert_eq!(&*todo.notes[0].agent, "bob");
    // And back: opened again, the label and the edge gone; a remark stays a remark.
    let back = before.replace(
        "2026-01-01T00:00:00Z\"}\n{\"id\":\"b\"",
        "2026-01-04T00:00:00Z\"}\n{\"id\":\"b\"",
    );
    let mut bench = Bench::new();
    bench.append(&beads::import(&after).operations);
    bench.append(&beads::import_over(&bench.state, &back).operations);
    let todo = bench.state.find("a").expect("it is there");
    assert_eq!(bench.state.status_unblocked(todo, NOON), Status::Open);
    assert!(todo.labels.is_empty() && bench.state.edges(todo.id).is_empty());
    assert_eq!(todo.assignee, None);
}

#[test]
fn status_words_and_unknown_fields_change_and_go() {
    let with = |word: &str, more: &str| {
        A.replace("\"open\"", &format!("\"{word}\"")).replace('}', &format!("{more}}}\n"))
    };
    update(&with("open", ""), &with("in_progress", ",\"hook\":\"x\""));
    update(&with("in_progress", ",\"hook\":\"x\""), &with("open", ""));
    update(&with("hooked", ""), &with("closed", ""));
    update(&with("closed", ""), &with("blocked", ""));
    update(&with("open", ""), &with("tombstone", ",\"deleted_by\":\"ada\""));
    update(&with("tombstone", ",\"deleted_by\":\"ada\""), &with("open", ""));
    update(&with("tombstone", ""), &with("tombstone", ",\"delete_reason\":\"noise\""));
    update(
        &with("open", ",\"tress\":{\"check\":\"a\"}"),
        &with("open", ",\"tress\":{\"files\":[\"b\"]}"),
    );
}

#[test]
fn counts_follow_the_edges_that_changed_here() {
    let line = |id: &str, counts: &str| {
        format!("{},{counts}}}\n", A.replace("\"a\"", &format!("\"{id}\"")).trim_end_matches('}'))
    };
    let counts = |needs: u8, needed: u8| {
        format!(r#""dependency_count":{needs},"dependent_count":{needed},"comment_count":0"#)
    };
    let text = line("a", &counts(3, 0)) + &line("b", &counts(0, 5));
    let state = lossless(&text);
    assert_eq!(state.todos.len(), 2);
    let mut bench = Bench::new();
    bench.append(&beads::import(&text).operations);
    let (a, b) = (TodoId::from_external("a"), TodoId::from_external("b"));
    let edge =
        |kind| Operation::DependencyAdded { todo: a, on: b, external_id: None, kind, layout: None };
    bench.append(&[planned(edge(EdgeKind::Blocks)), planned(edge(EdgeKind::ParentChild))]);
    let out = beads::export(&bench.state, NOON);
    assert!(
        out.contains(r#""dependency_count":4,"#) && out.contains(r#""dependent_count":6,"#),
        "{out}"
    );
    assert!(out.contains(r#""parent":"b""#), "{out}");
}

#[test]
fn what_changed_here_replaces_what_stood_there_and_nothing_else() {
    let text = "{\"zeta\": 1, \"priority\": 2, \"title\": \"caf\\u00e9\", \"id\": \"x\", \"updated_at\": \"2026-01-01T00:00:00.000000001Z\"}\n";
    let mut bench = Bench::new();
    bench.append(&beads::import(text).operations);
    let edits = vec![
        TodoEdit::Priority(1),
        TodoEdit::UpdatedAt(1_767_225_600_000),
        TodoEdit::Owner(Some("é".to_owned())),
    ];
    bench.append(&[planned(Operation::TodoEdited { todo: TodoId::from_external("x"), edits })]);
    let out = beads::export(&bench.state, NOON);
    let want = text
        .replace("\"priority\": 2", "\"priority\": 1")
        .replace("}\n", ", \"owner\": \"\\u00e9\"}\n");
    assert_eq!(out, want);
}

/// A todo made here: claimed, done, verified.
fn worked() -> Bench {
    worked_with(None)
}

fn worked_with(lease: Option<Millis>) -> Bench {
    let todo = TodoId::from_random(1);
    let mut bench = Bench::new();
    let added = Operation::TodoAdded {
        todo,
        external_id: None,
        title: "Made here".to_owned(),
        edits: vec![TodoEdit::Check(Some("make".to_owned()))],
        prose: vec![(ProseField::Description, "text".to_owned())],
        labels: vec!["l".to_owned()],
        layout: None,
    };
    bench.append(&[planned(added)]);
    bench.append(&[planned(Operation::NoteAdded { todo, text: "hm".to_owned(), layout: None })]);
    bench.append_by(
        "codex",
        Role::Implementer,
        &[planned(Operation::Claimed { todo, lease, scope: vec![] })],
    );
    bench
}

#[test]
fn todos_made_here_come_out_as_beads() {
    let todo = TodoId::from_random(1);
    let mut bench = worked();
    let whole = todo.to_string();
    let value = |bench: &Bench| -> serde_json::Value {
        serde_json::from_str(&beads::export(&bench.state, NOON)).expect("one line of JSON")
    };
    let out = value(&bench);
    assert_eq!(
        (out["id"].as_str(), out["status"].as_str()),
        (Some(whole.as_str()), Some("in_progress"))
    );
    assert_eq!(
        (out["assignee"].as_str(), out["created_by"].as_str()),
        (Some("codex"), Some("ada"))
    );
    assert_eq!(out["comments"][0]["id"], 1);
    assert_eq!(out["tress"]["check"], "make");
    let token = Dot::new(ReplicaId([1; 16]), 3);
    let done = Operation::CompletionClaimed {
        todo,
        token: Some(token),
        commit: None,
        to_integrate: false,
        implementation: String::new(),
        tests: String::new(),
        integration: String::new(),
    };
    bench.append_by("codex", Role::Implementer, &[planned(done)]);
    let completion = Dot::new(ReplicaId([1; 16]), 4);
    let (verdict, reason) = (Verdict::Pass, "all tests pass".to_owned());
    let verified =
        Operation::Verified { todo, completion, verdict, reason, percent: 100, gaps: vec![] };
    bench.append_by("judge", Role::Verifier, &[planned(verified)]);
    let out = value(&bench);
    assert_eq!(
        (out["status"].as_str(), out["close_reason"].as_str()),
        (Some("closed"), Some("all tests pass"))
    );
    // Its own export means the todo itself, and nothing new.
    let text = beads::export(&bench.state, NOON);
    let again = beads::import_over(&bench.state, &text);
    assert_eq!((again.operations, again.report.unchanged), (vec![], 1));
    bench.append(&[planned(Operation::Deleted { todo, reason: "no".to_owned() })]);
    assert_eq!(value(&bench)["status"], "tombstone");
}

#[test]
fn what_was_made_here_is_the_same_todo_where_it_is_imported() {
    let (todo, on) = (TodoId::from_random(1), TodoId::from_random(36_u64.pow(8)));
    let mut bench = worked();
    let added = Operation::TodoAdded {
        todo: on,
        external_id: None,
        title: "Needed".to_owned(),
        edits: vec![],
        prose: vec![],
        labels: vec![],
        layout: None,
    };
    let needs = |layout| Operation::DependencyAdded {
        todo,
        on,
        external_id: None,
        kind: EdgeKind::Blocks,
        layout,
    };
    bench.append(&[added, needs(None)].map(planned));
    let text = beads::export(&bench.state, NOON);
    let there = lossless(&text);
    assert_eq!(there.todos.keys().collect::<Vec<_>>(), [&todo, &on]);
    assert!(there.todos.values().all(|todo| todo.external_id.is_none()));
    assert_eq!(there.edges(todo).iter().map(|edge| edge.on).collect::<Vec<_>>(), [on]);
    // A file that has a short id means the todo that has it here; elsewhere it is another one, and says so.
    let short = bench.state.short_id(todo);
    let old = text.replace(&todo.to_string(), &short);
    let import = beads::import_over(&bench.state, &old);
    assert_eq!((import.report.added, import.operations), (0, vec![]));
    assert_eq!(beads::export(&bench.state, NOON), text, "and is mended by the next export");
    let mut twins = Bench::new();
    twins.append(&beads::import(&text).operations);
    let other = TodoId::from_external(&short);
    let added = Operation::TodoAdded {
        todo: other,
        external_id: Some(short.clone()),
        title: "Twin".to_owned(),
        edits: vec![],
        prose: vec![],
        labels: vec![],
        layout: None,
    };
    twins.append(&[planned(added)]);
    let state = &twins.state;
    assert_eq!(state.name(other), short);
    assert_ne!(state.name(todo), short);
    assert!(state.find(&short).is_err(), "either may be meant");
    for id in [todo, other] {
        assert_eq!(state.find(&id.to_string()).map(|found| found.id), Ok(id));
    }
    assert_eq!(state.find(&state.name(todo)).map(|found| found.id), Ok(todo));
}

#[test]
fn a_file_does_not_take_a_todo_from_who_holds_it() {
    let mut bench = worked();
    let text = beads::export(&bench.state, NOON);
    let stale = text.replace("in_progress", "open").replace("Made here", "Made there");
    let import = beads::import_over(&bench.state, &stale);
    assert_eq!(import.report.problems.iter().map(|p| p.kind).collect::<Vec<_>>(), [K::Held]);
    bench.append(&import.operations);
    let todo = bench.state.todo(TodoId::from_random(1)).expect("it is there");
    assert_eq!(todo.title, "Made there");
    assert_eq!(bench.state.status_unblocked(todo, NOON), Status::InProgress);
    assert_eq!(beads::import_over(&bench.state, &stale).operations, []);
}

/// Who held a todo last was said to hold it still when nothing had happened since, and the file was refused.
#[test]
fn a_lease_that_has_ended_by_the_import_holds_nothing() {
    let mut bench = worked_with(Some(60_000));
    let later = NOON + 3_600_000;
    let text = beads::export(&bench.state, later);
    assert!(text.contains("\"open\"") && !text.contains("in_progress"), "{text}");
    let import = beads::import_at(&bench.state, &text, later);
    assert_eq!(import.report.problems.iter().map(|p| p.kind).collect::<Vec<_>>(), []);
    bench.append(&import.operations);
    assert_eq!(beads::export(&bench.state, later), text);
    // A clock that is behind ends no lease.
    let import = beads::import_at(&worked_with(Some(60_000)).state, &text, NOON - 1);
    assert_eq!(import.report.problems.iter().map(|p| p.kind).collect::<Vec<_>>(), [K::Held]);
}

#[test]
fn todos_that_the_file_does_not_name_stay() {
    let mut bench = worked();
    bench.append(&beads::import(A).operations);
    let import = beads::import_over(&bench.state, A);
    assert_eq!(import.operations, []);
    assert_eq!(import.report.absent, [bench.state.short_id(TodoId::from_random(1))]);
}

/// A line of an issue, with some of it spoilt.
fn mutated() -> impl Strategy<Value = String> {
    let rich = r#"{"id":"a","title":"A é","status":"closed","priority":1,"created_at":"2026-01-01T00:00:00.5Z","updated_at":"2026-01-01T00:00:00Z","labels":["x","y"],"dependencies":[{"issue_id":"a","depends_on_id":"b","type":"waits-for","metadata":"{\"gate\":\"any-children\"}"}],"comments":[{"id":1,"author":"bob","text":"t","created_at":"2026-01-01T00:00:00Z"}],"dependency_count":1,"zeta":{"k":[1]}}"#;
    let pieces = prop::sample::select(vec![
        "\"",
        "\\",
        "{",
        "}",
        "[",
        "]",
        ",",
        ":",
        "null",
        "0",
        "-1",
        "1e999",
        "\"open\"",
        "\u{0}",
        "é",
        "\n",
        "\r",
        "\"id\":\"a\",",
        "\\u0041",
        "\\ud800",
        "<<<<<<< ",
        " ",
        "true",
        "tombstone",
    ]);
    prop::collection::vec((any::<prop::sample::Index>(), 0_usize..8, pieces), 0..6).prop_map(
        move |changes| {
            let mut line: Vec<char> = rich.chars().collect();
            for (at, delete, insert) in changes {
                let at = at.index(line.len() + 1);
                let end = (at + delete).min(line.len());
                line.splice(at..end, insert.chars());
            }
            line.into_iter().collect()
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn import_takes_any_bytes(text in prop::collection::vec(any::<u8>(), 0..200)) {
        let import = beads::import(&text);
        fold(&import.operations);
    }

    #[test]
    fn import_takes_any_mutated_line_and_gives_it_back(lines in prop::collection::vec(mutated(), 1..4)) {
        let text = lines.join("\n");
        let import = beads::import(&text);
        let state = fold(&import.operations);
        let out = beads::export(&state, NOON);
        if import.report.left_out == 0 {
            prop_assert_eq!(&out, &text);
        }
        prop_assert_eq!(beads::import_over(&state, &text).operations, vec![]);
        // What came out means what went in.
        let again = fold(&beads::import(&out).operations);
        prop_assert_eq!(beads::export(&again, NOON), out);
    }

    #[test]
    fn an_update_arrives_at_the_new_text(before in mutated(), after in mutated()) {
        let mut bench = Bench::new();
        bench.append(&beads::import(&before).operations);
        bench.append(&beads::import_over(&bench.state, &after).operations);
        prop_assert_eq!(beads::import_over(&bench.state, &after).operations, vec![]);
    }
}
