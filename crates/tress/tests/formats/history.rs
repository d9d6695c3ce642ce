//! Histories, replayed.

use std::collections::{BTreeMap, BTreeSet};

use tress::formats::history::{self, Sources, Why};
use tress::formats::{Import, ProblemKind};
use tress_model::operation::Operation;
use tress_model::state::State;
use tress_model::{Status, TodoId};

use crate::support::{NOON, corpus, fold};

/// What the history and the issues of gastown disagree about beyond their clocks, and why.
/// docs/FORMATS.md tells each at length.
const NAMED: [(&str, &str); 12] = [
    // The sling of 27 February was lost from the issues; its entries are there.
    ("gt-94i9", "assignee"),
    ("gt-94i9", "description"),
    // The agent was there already when it was created again; the issues did not change.
    ("gt-gastown-crew-george", "updated_at"),
    ("gt-gastown-crew-gus", "updated_at"),
    ("gt-gastown-crew-jack", "updated_at"),
    ("gt-gastown-crew-joe", "updated_at"),
    ("gt-gastown-crew-mel", "updated_at"),
    ("gt-gastown-crew-tom", "updated_at"),
    // The last two entries were lost from the issues.
    ("gt-l7uq", "closed_at"),
    ("gt-l7uq", "description"),
    ("gt-l7uq", "updated_at"),
    // Its remark is by the clock of the issues, eight hours later than its entries.
    ("gt-t2nt", "updated_at"),
];

struct Gastown {
    issues: String,
    events: String,
    labels: String,
    import: Import,
    state: State,
}

fn gastown() -> Option<Gastown> {
    let events = corpus("gastown/events.jsonl")?;
    let table = |name| corpus(&format!("gastown/{name}.jsonl")).expect("the corpus is there");
    let [issues, dependencies, labels, comments] =
        ["issues", "dependencies", "labels", "comments"].map(table);
    let import = history::import(&Sources {
        issues: issues.as_bytes(),
        events: events.as_bytes(),
        dependencies: dependencies.as_bytes(),
        labels: labels.as_bytes(),
        comments: comments.as_bytes(),
    });
    let state = fold(&import.operations);
    Some(Gastown { issues, events, labels, import, state })
}

#[test]
fn gastown_replays_to_its_issues() {
    let Some(gastown) = gastown() else { return };
    let report = &gastown.import.report;
    assert_eq!((report.lines, report.read, report.added), (3667, 3667, 677));
    assert_eq!((report.edges, report.notes, report.silent), (315, 14, 6));
    let mut kinds: BTreeMap<ProblemKind, usize> = BTreeMap::new();
    for problem in &report.problems {
        *kinds.entry(problem.kind).or_default() += 1;
    }
    let dirt = [
        (ProblemKind::BadJson, 1),        // line 262 of the issues,
        (ProblemKind::MissingTitle, 1),   // whose issue has an entry all the same
        (ProblemKind::DanglingEdge, 233), // to steps of workflows that were not dumped
    ];
    assert_eq!(kinds, BTreeMap::from(dirt));
    assert!(gastown.state.ledger.is_empty(), "nothing in a linear history conflicts");

    assert_eq!(gastown.import.operations.len(), 4959);
    let agreement = history::agreement(&gastown.state, &gastown.issues, &gastown.events);
    let unexplained: BTreeSet<_> =
        agreement.unexplained().map(|d| (d.issue.as_str(), d.field.as_str())).collect();
    assert_eq!(unexplained, BTreeSet::from(NAMED));
    assert_eq!(agreement.issues, 673);
    assert_eq!(agreement.behind, 8 * 60 * 60 * 1000, "the entries are by Pacific time");
    let clock: BTreeSet<_> = agreement
        .disagreements
        .iter()
        .filter(|d| d.why == Why::Clock)
        .map(|d| d.field.as_str())
        .collect();
    assert_eq!(clock, BTreeSet::from(["closed_at", "updated_at"]));
    let compared: usize = agreement.fields.values().map(|tally| tally.compared).sum();
    let agreeing: usize = agreement.fields.values().map(|tally| tally.agreeing).sum();
    assert_eq!((compared, agreeing), (5063, 3747), "docs/FORMATS.md has the figures");
    for field in ["status", "close_reason", "title", "priority", "notes", "design"] {
        let tally = agreement.fields[field];
        assert_eq!(tally.agreeing, tally.compared, "{field}");
    }
}

#[test]
fn every_entry_of_gastown_is_an_operation_of_its_agent_at_its_time() {
    let Some(gastown) = gastown() else { return };
    let mut planned: BTreeMap<(String, u64, TodoId), usize> = BTreeMap::new();
    for step in &gastown.import.operations {
        if let (Some(author), Some(at), Some(todo)) =
            (&step.author, step.occurred, step.operation.todo())
        {
            *planned.entry((author.clone(), at, todo)).or_default() += 1;
        }
    }
    let mut entries: BTreeMap<(String, u64, TodoId), usize> = BTreeMap::new();
    for line in gastown.events.lines() {
        let entry: serde_json::Value = serde_json::from_str(line).expect("it is JSON");
        let text = |name: &str| entry[name].as_str().expect("a text").to_owned();
        let at: jiff::Timestamp = text("created_at").parse().expect("a time");
        let at = u64::try_from(at.as_millisecond()).expect("since 1970");
        let todo = TodoId::from_external(&text("issue_id"));
        *entries.entry((text("actor"), at, todo)).or_default() += 1;
    }
    assert_eq!(entries.values().sum::<usize>(), 3667);
    let actors: BTreeSet<_> = entries.keys().map(|(actor, ..)| actor.clone()).collect();
    assert_eq!(actors.len(), 31);
    for (entry, count) in entries {
        assert!(planned.get(&entry).is_some_and(|found| *found >= count), "{entry:?}");
    }
}

#[test]
fn gastown_ends_with_the_labels_that_it_has() {
    let Some(gastown) = gastown() else { return };
    let mut labels: BTreeMap<TodoId, BTreeSet<String>> = BTreeMap::new();
    for line in gastown.labels.lines() {
        let row: serde_json::Value = serde_json::from_str(line).expect("it is JSON");
        let text = |name: &str| row[name].as_str().expect("a text").to_owned();
        let todo = TodoId::from_external(&text("issue_id"));
        labels.entry(todo).or_default().insert(text("label"));
    }
    for todo in gastown.state.todos.values() {
        let wanted = labels.remove(&todo.id).unwrap_or_default();
        assert_eq!(todo.labels.keys().cloned().collect::<BTreeSet<_>>(), wanted, "{}", todo.name());
    }
    assert!(labels.is_empty());
}

const ISSUES: &str = r#"{"id":"b-1","title":"One","status":"closed","priority":1,"description":"new","closed_at":"2026-01-02T10:00:03Z","close_reason":"done","created_at":"2026-01-01T10:00:00Z","updated_at":"2026-01-02T10:00:03Z","rig":"x"}
{"id":"b-2","title":"Two","status":"open","priority":2,"created_at":"2026-01-02T10:00:00Z","updated_at":"2026-01-02T10:00:06Z"}
"#;

fn entries(lines: &[&str]) -> String {
    let lines: Vec<String> = lines
        .iter()
        .enumerate()
        .map(|(at, line)| format!(r#"{{"created_at":"2026-01-02T10:00:{at:02}Z",{line}}}"#))
        .collect();
    lines.join("\n")
}

#[test]
fn a_small_history_unfolds_as_it_happened() {
    let events = entries(&[
        r#""actor":"ada","event_type":"created","issue_id":"b-2","old_value":"","new_value":"""#,
        r#""actor":"bob","event_type":"status_changed","issue_id":"b-1","old_value":"{\"title\":\"One\",\"status\":\"open\",\"description\":\"old\"}","new_value":"{\"status\":\"in_progress\",\"assignee\":\"bob\"}""#,
        r#""actor":"bob","event_type":"updated","issue_id":"b-1","old_value":"{\"title\":\"One\",\"status\":\"in_progress\",\"description\":\"old\",\"assignee\":\"bob\"}","new_value":"{\"description\":\"new\"}""#,
        r#""actor":"bob","event_type":"closed","issue_id":"b-1","old_value":"","new_value":"done""#,
        r#""actor":"ada","event_type":"closed","issue_id":"b-2","old_value":"","new_value":"early""#,
        r#""actor":"ada","event_type":"label_added","issue_id":"b-2","comment":"Added label: x""#,
        r#""actor":"ada","event_type":"reopened","issue_id":"b-2","old_value":"{\"title\":\"Two\",\"status\":\"closed\"}","new_value":"{\"status\":\"open\"}""#,
    ]);
    let import = history::import(&Sources::new(ISSUES.as_bytes(), events.as_bytes()));
    assert!(import.report.clean(), "{:?}", import.report.problems);
    let state = fold(&import.operations);
    let (one, two) = (state.find("b-1").expect("one"), state.find("b-2").expect("two"));
    assert_eq!(state.status_unblocked(one, NOON), Status::Closed);
    assert_eq!(one.closing().map(|c| (&*c.agent, c.reason.as_str())), Some(("bob", "done")));
    assert_eq!(one.prose(tress_model::operation::ProseField::Description), "new");
    assert_eq!(one.extra.get("rig").map(String::as_str), Some("\"x\""));
    assert_eq!(state.status_unblocked(two, NOON), Status::Open);
    assert!(two.labels.contains_key("x"));
    let begun = fold(&import.operations[..2]);
    let one = begun.find("b-1").expect("one");
    assert_eq!(one.prose(tress_model::operation::ProseField::Description), "old");
    assert_eq!(begun.status_unblocked(one, NOON), Status::Open);

    let agreement = history::agreement(&state, ISSUES, &events);
    assert_eq!(agreement.issues, 2);
    let found: Vec<_> = agreement.unexplained().map(|d| (&*d.issue, &*d.field)).collect();
    assert_eq!(found, [("b-1", "assignee")], "nobody took bob off it");
}

#[test]
fn what_an_entry_finds_changed_is_told_without_an_agent() {
    let events = entries(&[
        r#""actor":"ada","event_type":"created","issue_id":"b-2","old_value":"","new_value":"""#,
        r#""actor":"ada","event_type":"updated","issue_id":"b-2","old_value":"{\"title\":\"Two\",\"status\":\"hooked\",\"notes\":\"n\"}","new_value":"{\"design\":\"d\"}""#,
        r#""actor":"ada","event_type":"updated","issue_id":"b-2","old_value":"{\"title\":\"Two\",\"status\":\"open\",\"design\":\"d\"}","new_value":"{\"design\":\"d\"}""#,
    ]);
    let import = history::import(&Sources::new(ISSUES.as_bytes(), events.as_bytes()));
    assert_eq!(import.report.silent, 2);
    let touched = import.operations.last().expect("there are operations");
    assert_eq!(
        touched.author.as_deref(),
        Some("ada"),
        "an entry without effect is one all the same"
    );
    assert!(matches!(touched.operation, Operation::TodoEdited { .. }));
}

#[test]
fn entries_that_mean_nothing_are_reported() {
    let events = entries(&[
        r#""actor":"ada","event_type":"dreamt","issue_id":"b-1""#,
        r#""actor":"ada","event_type":"label_added","issue_id":"b-1""#,
        r#""actor":"ada","event_type":"updated""#,
        r#""actor":"ada","issue_id":"b-1""#,
        r#""actor":"ada","event_type":"renamed","issue_id":"b-1""#,
        r#""actor":"ada","event_type":"updated","issue_id":"b-1","new_value":"{\"priority\":\"high\"}""#,
        r#""actor":"ada","event_type":"commented","issue_id":"b-1","comment":"hello""#,
    ]) + "\nnot json\n{\"created_at\":\"never\",\"event_type\":\"updated\",\"issue_id\":\"b-1\"}";
    let import = history::import(&Sources::new(ISSUES.as_bytes(), events.as_bytes()));
    let kinds: Vec<_> = import.report.problems.iter().map(|p| (p.line, p.kind)).collect();
    use ProblemKind as K;
    assert_eq!(
        kinds,
        [
            (1, K::UnknownEntry),
            (2, K::BadEntry),
            (3, K::BadEntry),
            (4, K::BadEntry),
            (5, K::BadEntry),
            (6, K::BadValue),
            (8, K::BadJson),
            (9, K::BadEntry),
        ]
    );
    assert_eq!(import.report.read, 2);
    let state = fold(&import.operations);
    assert_eq!(state.find("b-1").expect("it is there").notes[0].text, "hello");
}

#[test]
fn a_renamed_issue_is_one_todo_throughout() {
    let events = entries(&[
        r#""actor":"ada","event_type":"updated","issue_id":"old","old_value":"{\"title\":\"One\"}","new_value":"{\"notes\":\"n\"}""#,
        r#""actor":"ada","event_type":"renamed","issue_id":"old","old_value":"old","new_value":"b-1""#,
    ]);
    let import = history::import(&Sources::new(ISSUES.as_bytes(), events.as_bytes()));
    assert!(import.report.clean(), "{:?}", import.report.problems);
    let state = fold(&import.operations);
    assert_eq!(state.todos.len(), 2);
    let one = state.find("b-1").expect("it is there");
    assert_eq!(one.notes[0].text, "renamed from old to b-1");
}
