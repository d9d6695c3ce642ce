//! Import and export.

use crate::{Bench, text, texts};

const BEADS: &str = "\
{\"id\":\"bd-1\",\"title\":\"Parser\",\"status\":\"open\",\"priority\":1,\"issue_type\":\"task\",\
\"created_at\":\"2026-01-01T00:00:00Z\",\"updated_at\":\"2026-01-01T00:00:00Z\"}
{\"id\":\"bd-2\",\"title\":\"Tree\",\"status\":\"open\",\"priority\":2,\"issue_type\":\"task\",\
\"created_at\":\"2026-01-02T00:00:00Z\",\"updated_at\":\"2026-01-02T00:00:00Z\",\
\"dependencies\":[{\"issue_id\":\"bd-2\",\"depends_on_id\":\"bd-1\",\"type\":\"blocks\",\
\"created_at\":\"2026-01-02T00:00:00Z\",\"created_by\":\"ada\"}]}
";

/// What another system does not keep was told as subtasks of work that was sent back.
#[test]
fn what_is_ephemeral_in_a_file_is_no_work_that_was_sent_back() {
    let bench = Bench::new();
    let kept = r#"{"id":"a-1","title":"kept","status":"open"}"#;
    let wisp = r#"{"id":"a-2","title":"a wisp","status":"open","ephemeral":true}"#;
    bench.write("issues.jsonl", format!("{kept}\n{wisp}\n"));
    bench.ok(&["import", "beads", "issues.jsonl"]);
    let status = bench.ok(&["status"]);
    assert!(status.contains("1 open; 1 ready; 1 ephemeral beside"), "{status}");
    let status = bench.json(&["status"]);
    assert_eq!((text(&status, "subtasks"), text(&status, "ephemeral")), ("0".into(), "1".into()));
    // `list` and `blocked` counted it as work.
    assert!(bench.ok(&["list"]).ends_with("\n\n1 todo; 1 ephemeral beside\n"));
    assert_eq!(texts(&bench.json(&["list"]), "ephemeral"), ["false", "true"]);
    bench.ok(&["dep", "add", "a-2", "a-1"]);
    let blocked = bench.ok(&["blocked"]);
    assert!(blocked.ends_with("\n\n0 blocked todos; 1 ephemeral beside\n"), "{blocked}");
    assert!(bench.run(&["export", "run", "x", "--at", "1h ago"]).stderr.contains("`sarif`"));
}

#[test]
fn beads_come_in_and_go_out_as_they_were() {
    let bench = Bench::new();
    bench.write("issues.jsonl", BEADS);
    let report = bench.json(&["import", "beads", "issues.jsonl"]);
    assert_eq!((text(&report, "added"), text(&report, "left_out")), ("2".into(), "0".into()));
    assert_eq!(texts(&bench.json(&["ready"]), "external_id"), ["bd-1"]);
    assert_eq!(texts(&bench.json(&["blocked"]), "external_id"), ["bd-2"]);
    assert_eq!(bench.ok(&["export", "beads"]), BEADS);
    bench.ok(&["export", "beads", "out.jsonl"]);
    assert_eq!(bench.read("out.jsonl"), BEADS.as_bytes());
    let again = bench.json(&["import", "beads", "issues.jsonl"]);
    assert_eq!((text(&again, "unchanged"), text(&again, "events")), ("2".into(), "0".into()));
}

#[test]
fn a_line_that_is_not_json_is_reported_and_the_rest_comes_in() {
    let bench = Bench::new();
    bench.write("dirty.jsonl", format!("<<<<<<< ours\n{BEADS}not json\n"));
    let report = bench.run(&["import", "beads", "dirty.jsonl"]);
    assert_eq!(report.code, 0, "{report:?}");
    assert!(report.stderr.contains("dirty.jsonl:1: ") && report.stderr.contains("dirty.jsonl:4:"));
    assert!(report.stdout.contains("2 new") && report.stdout.contains("2 lines left out"));
    let report = bench.json(&["import", "beads", "dirty.jsonl"]);
    assert_eq!(text(&report, "problems/0/kept"), "false");
    assert_eq!(text(&report, "problems/1/line"), "4");
    bench.write("bad.jsonl", "not json\n");
    let bad = bench.run(&["import", "beads", "bad.jsonl"]);
    assert_eq!(bad.code, 4, "{bad:?}");
    assert!(bad.stderr.contains("bad.jsonl:1:"), "{bad:?}");
    let bad = bench.run(&["import", "beads", "bad.jsonl", "--json"]);
    assert_eq!((bad.code, text(&bad.error(), "code")), (4, "invalid_input".into()));
    bench.run(&["import", "beads", "missing.jsonl"]).fails(3, "missing.jsonl");
}

/// Of what was refused as a whole it was said that it was kept.
#[test]
fn nothing_of_what_is_refused_is_kept() {
    let bench = Bench::new();
    bench.write("TODO.md", "- [ ] One (id: a) (needs: b)\n- [ ] Two (id: b) (needs: a)\n");
    let refused = bench.run(&["import", "markdown", "TODO.md", "--json"]);
    assert_eq!(refused.code, 4, "{refused:?}");
    let details = refused.error()["details"].clone();
    let kept = texts(&details, "kept");
    assert!(!kept.is_empty() && kept.iter().all(|kept| kept == "false"), "{details}");
    assert_eq!(bench.json(&["list"]), serde_json::json!([]));
}

#[test]
fn a_markdown_list_and_a_design_come_in() {
    let bench = Bench::new();
    bench.write("TODO.md", "- [ ] Write the parser\n- [x] Write the lexer\n");
    let report = bench.json(&["import", "markdown", "TODO.md"]);
    assert_eq!(text(&report, "added"), "2");
    assert_eq!(texts(&bench.json(&["ready"]), "title"), ["Write the parser"]);
    bench.write(
        "DESIGN.md",
        "# Store\n\nKeeps events.\n\n- **R1** (critical, durability): nothing is lost\n",
    );
    bench.ok(&["import", "markdown", "DESIGN.md", "--as", "design"]);
    let state = bench.json(&["export", "json"]);
    assert_eq!(text(&state, "design/sections/0/heading"), "Store");
    bench.write("BAD.md", "- [ ] Parse (need: lexer)\n");
    let bad = bench.run(&["import", "markdown", "BAD.md"]);
    assert_eq!(bad.code, 4, "{bad:?}");
    assert!(
        bad.stderr.contains("BAD.md:1") && bad.stderr.contains("did you mean needs?"),
        "{bad:?}"
    );
}

#[test]
fn tasks_of_task_master_come_in() {
    let bench = Bench::new();
    bench.write(
        "tasks.json",
        r#"{"master":{"tasks":[
            {"id":1,"title":"Parser","status":"done","priority":"high","dependencies":[]},
            {"id":2,"title":"Tree","status":"pending","dependencies":[1],
             "subtasks":[{"id":1,"title":"Nodes","status":"pending","dependencies":[]}]}]}}"#,
    );
    let report = bench.json(&["import", "taskmaster", "tasks.json"]);
    assert_eq!((text(&report, "added"), text(&report, "problems")), ("3".into(), "[]".into()));
    assert_eq!(texts(&bench.json(&["list", "--all"]), "external_id"), ["2", "2.1", "1"]);
    assert_eq!(
        text(&bench.json(&["show", "2"]), "children/0"),
        text(&bench.json(&["show", "2.1"]), "id")
    );
    bench.write("tasks.json", "[]");
    assert_eq!(bench.run(&["import", "taskmaster", "tasks.json"]).code, 4);
}

#[test]
fn a_history_needs_a_run_without_todos() {
    let bench = Bench::new();
    bench.write("issues.jsonl", BEADS);
    bench.write("events.jsonl", "");
    bench.add("in the way");
    let refused = bench.run(&["import", "beads", "issues.jsonl", "--events", "events.jsonl"]);
    refused.fails(5, "needs one without");
}

#[test]
fn the_state_goes_out_as_json_and_as_automerge() {
    let bench = Bench::new();
    let id = bench.add("it");
    let state = bench.json(&["export", "json"]);
    assert_eq!((text(&state, "todos/0/id"), text(&state, "events")), (id.clone(), "1".into()));
    let plain: serde_json::Value =
        serde_json::from_str(&bench.ok(&["export", "json", "-"])).expect("it is JSON");
    assert_eq!(text(&plain, "todos/0/title"), "it");
    let written = bench.json(&["export", "automerge", "out"]);
    assert_eq!(written.pointer("/files").and_then(|files| files.as_array()).map(Vec::len), Some(3));
    for strand in ["design", "todo", "implementation"] {
        let bytes = bench.read(&format!("out/{strand}.automerge"));
        assert!(bytes.starts_with(&[0x85, 0x6f, 0x4a, 0x83]), "Automerge's magic bytes");
    }
    assert!(bench.ok(&["doctor"]).contains("they open"));
    assert_eq!(bench.run(&["export", "run", "--json"]).code, 2, "a run file is binary");
    bench.run(&["export", "automerge", "out", "--at", "now"]).fails(2, "--at");
}

/// Stock Automerge, which knows nothing of Tress, finds what docs/SCHEMA.md promises.
#[test]
fn stock_automerge_reads_the_documents_that_are_written() {
    use automerge::{AutoCommit, ReadDoc, ScalarValue, Value};
    let bench = Bench::new();
    bench.ok(&["add", "write the parser", "-p", "1", "-d", "tokens first", "--label", "core"]);
    bench.ok(&["claim", "--next"]);
    bench.ok(&["checkpoint", "one"]);
    bench.ok(&["export", "automerge", "out"]);
    let load = |name: &str| {
        let path = bench.dir.path().join(format!("out/{name}.automerge"));
        AutoCommit::load(&std::fs::read(path).expect("it was written")).expect("a document")
    };
    let todos = load("todo");
    let object = |document: &AutoCommit, at: &automerge::ObjId, key: &str| {
        document.get(at, key).expect("a map").unwrap_or_else(|| panic!("{key} is missing")).1
    };
    let scalar = |document: &AutoCommit, at: &automerge::ObjId, key: &str| match document
        .get(at, key)
        .expect("a map")
    {
        Some((Value::Scalar(value), _)) => value.into_owned(),
        other => panic!("{key}: {other:?}"),
    };
    let root = automerge::ROOT;
    let map = object(&todos, &root, "todos");
    let id = todos.keys(&map).next().expect("a todo");
    let todo = object(&todos, &map, &id);
    assert_eq!(scalar(&todos, &todo, "title"), ScalarValue::Str("write the parser".into()));
    assert_eq!(scalar(&todos, &todo, "priority"), ScalarValue::Int(1));
    let description = object(&todos, &todo, "description");
    assert_eq!(todos.text(&description).expect("a text"), "tokens first");
    let labels = object(&todos, &todo, "labels");
    assert_eq!(todos.keys(&labels).collect::<Vec<_>>(), ["core"]);
    let claim = object(&todos, &todo, "claim");
    assert!(matches!(scalar(&todos, &claim, "agent"), ScalarValue::Str(_)));
    let implementation = load("implementation");
    let checkpoints = object(&implementation, &root, "checkpoints");
    assert_eq!(implementation.length(&checkpoints), 1);
    let design = load("design");
    assert_eq!(design.length(object(&design, &root, "sections")), 0);
    for document in [&todos, &implementation, &design] {
        assert_eq!(scalar(document, &root, "schema"), ScalarValue::Int(1));
    }
}

#[test]
fn a_document_that_stock_automerge_edited_is_taken_in() {
    use automerge::transaction::Transactable;
    use automerge::{AutoCommit, ROOT, ReadDoc};
    let bench = Bench::new();
    bench.ok(&["add", "write the parser", "-d", "tokens first"]);
    bench.ok(&["export", "automerge", "out"]);
    let path = bench.path().join("out/todo.automerge");
    let mut todos =
        AutoCommit::load(&std::fs::read(&path).expect("it is there")).expect("it loads");
    let at = |doc: &AutoCommit, object: &automerge::ObjId, key: &str| {
        doc.get(object, key).expect("a map").expect("it is there").1
    };
    let map = at(&todos, &ROOT, "todos");
    let id = todos.keys(&map).next().expect("a todo");
    let todo = at(&todos, &map, &id);
    todos.put(&todo, "title", "write the whole parser").expect("it is a map");
    todos.put(&todo, "percent", 99).expect("it is a map");
    let description = at(&todos, &todo, "description");
    todos.splice_text(&description, 0, 6, "Tokens").expect("it is a text");
    std::fs::write(&path, todos.save()).expect("it can be written");
    bench.ok(&["edit", &id, "-p", "0"]);
    let taken = bench.run_as("guest", &["import", "automerge", "out/todo.automerge"]);
    assert_eq!(taken.code, 0, "{taken:?}");
    assert!(
        taken.stdout.contains("took in 1 change of the todo document: 2 events; 1 edit put back"),
        "{taken:?}"
    );
    assert!(taken.stderr.contains(&format!("put back todos/{id}/percent: ")), "{taken:?}");
    let shown = bench.json(&["show", &id]);
    assert_eq!(text(&shown, "title"), "write the whole parser");
    assert_eq!(text(&shown, "priority"), "0");
    assert_eq!(text(&shown, "description"), "Tokens first");
    let log = bench.ok(&["log"]);
    assert!(log.contains("guest"), "{log}");
    bench.write("nonsense.automerge", "nonsense");
    bench.run(&["import", "automerge", "nonsense.automerge"]).fails(4, "nonsense.automerge");
}
