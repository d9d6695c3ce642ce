//! What differs between two moments or two runs, as people and scripts see it.

use serde_json::Value;

use crate::{Bench, text, texts};

/// The facts of the todo called `id`, as `field before after`.
fn facts(diff: &Value, id: &str) -> Vec<String> {
    let todos = diff.pointer("/todos").and_then(Value::as_array).expect("todos");
    let todo = todos.iter().find(|todo| text(todo, "id") == id);
    let todo = todo.unwrap_or_else(|| panic!("{id} does not differ: {diff}"));
    let facts = todo.pointer("/facts").and_then(Value::as_array).expect("facts");
    let words = |fact: &Value| {
        format!("{} {} {}", text(fact, "field"), text(fact, "before"), text(fact, "after"))
    };
    facts.iter().map(words).collect()
}

/// A run with a checkpoint `one`, and what was done since.
fn bench() -> (Bench, String, String) {
    let bench = Bench::new();
    let first = bench.add("write the parser");
    let gone = bench.add("not needed");
    bench.ok(&["edit", &first, "--description", "tokens\nnumbers\nstrings\n"]);
    bench.ok(&["checkpoint", "one"]);
    bench.ok_as("bo", &["claim", &first]);
    bench.ok(&["edit", &first, "-p", "1", "--description", "tokens\nfloats\nstrings\n"]);
    bench.ok(&["note", &first, "careful"]);
    bench.ok(&["add", "floats", "--needs", &first]);
    bench.ok(&["delete", &gone, "-m", "a duplicate"]);
    (bench, first, gone)
}

#[test]
fn a_moment_is_compared_with_now() {
    let (bench, first, gone) = bench();
    let diff = bench.json(&["diff", "one"]);
    assert_eq!((text(&diff, "from/when"), text(&diff, "to/when")), ("one".into(), "null".into()));
    assert_eq!((text(&diff, "from/run"), text(&diff, "differs")), ("main".into(), "true".into()));
    assert_eq!(text(&diff, "counts/todos"), r#"{"added":1,"changed":1,"gone":1}"#);
    let changed = facts(&diff, &first);
    for fact in ["status open in_progress", "holder null bo", "priority 2 1", "note null ada"] {
        assert!(changed.iter().any(|one| one == fact), "no {fact} in {changed:?}");
    }
    assert!(facts(&diff, &gone).contains(&"deleted null a duplicate".to_owned()), "{diff}");
    let told = bench.ok(&["diff", "one"]);
    let line = |mark: &str| {
        let mut lines = told.lines().filter(|line| line.starts_with(mark));
        lines.next().unwrap_or_else(|| panic!("no {mark} in {told}")).to_owned()
    };
    let line_of = line(&format!("~ {first} \"write the parser\": open -> in_progress; "));
    for words in ["held by bo", "priority 2 -> 1", "description changed (+1 -1 lines)"] {
        assert!(line_of.contains(words), "no {words} in {line_of}");
    }
    assert!(line("+ t-").contains(&format!("blocked; +depends on {first} (blocks)")), "{told}");
    assert_eq!(line("- t-"), format!("- {gone} \"not needed\": deleted: a duplicate"));
    assert!(!told.contains('\u{1b}'), "no colours where nobody sees them");
}

#[test]
fn the_way_back_is_the_way_there() {
    let (bench, first, _) = bench();
    let back = bench.json(&["diff", "@now", "one"]);
    assert_eq!(text(&back, "counts/todos"), r#"{"added":1,"changed":1,"gone":1}"#);
    assert!(facts(&back, &first).contains(&"status in_progress open".to_owned()), "{back}");
    let none = bench.ok(&["diff", "one", "one"]);
    assert!(none.ends_with("nothing differs\n"), "{none}");
    let none = bench.json(&["diff", "one", "--at", "one"]);
    assert_eq!((text(&none, "differs"), text(&none, "todos")), ("false".into(), "[]".into()));
    bench.run(&["diff", "one", "one", "--at", "one"]).fails(2, "names a moment already");
}

#[test]
fn counts_one_todo_and_lines_are_shown_when_asked_for() {
    let (bench, first, _) = bench();
    let stat = bench.ok(&["diff", "one", "--stat"]);
    assert!(stat.contains("todos      1 new, 1 changed, 1 gone\n"), "{stat}");
    assert!(stat.lines().count() <= 5, "{stat}");
    let stat = bench.json(&["diff", "one", "--stat"]);
    assert!(stat.pointer("/todos").is_none() && stat.pointer("/counts/team").is_some(), "{stat}");
    let one = bench.json(&["diff", "one", "--todo", &first]);
    assert_eq!(texts(one.pointer("/todos").expect("todos"), "id"), [first.as_str()]);
    assert_eq!(text(&one, "team"), "[]");
    let lines = bench.ok(&["diff", "one", "--todo", &first, "--prose"]);
    assert!(lines.contains("      - numbers\n      + floats\n"), "{lines}");
    bench.run(&["diff", "one", "--todo", "t-zzzz"]).fails(3, "there is no todo");
}

#[test]
fn a_run_beats_a_checkpoint_of_the_same_name() {
    let (bench, first, _) = bench();
    bench.ok(&["init", "--run", "one"]);
    let other = bench.json(&["diff", "one"]);
    assert_eq!(
        (text(&other, "from/run"), text(&other, "from/when")),
        ("one".into(), "null".into())
    );
    assert_eq!(text(&other, "counts/todos/added"), "2", "the other run is empty: {other}");
    let moment = bench.json(&["diff", "@one"]);
    assert_eq!(text(&moment, "from/run"), "main");
    assert_eq!(text(&moment, "counts/todos/changed"), "1");
    let across = bench.json(&["diff", "one", "main@one"]);
    assert_eq!((text(&across, "to/run"), text(&across, "to/when")), ("main".into(), "one".into()));
    assert!(facts(&across, &first).contains(&"status null open".to_owned()), "{across}");
    assert_eq!(text(&bench.json(&["diff", "main", "main"]), "differs"), "false");
}

#[test]
fn what_is_not_there_is_said_with_what_is() {
    let (bench, ..) = bench();
    bench.ok(&["init", "--run", "try-2"]);
    let unknown = bench.run(&["diff", "onne"]);
    unknown.fails(3, "\"onne\" is no run of this store, and no moment of the run main");
    assert!(unknown.stderr.contains("hint: runs: main, try-2;"), "{unknown:?}");
    bench.run(&["diff", "try-2@one"]).fails(3, "\"one\" is no moment of the run try-2");
    bench.run(&["diff", "main", "nowhere@one"]).fails(3, "\"nowhere@one\" is no moment");
    assert_eq!(text(&bench.run(&["diff", "onne", "--json"]).error(), "code"), "not_found");
    bench.run(&["diff"]).fails(2, "");
    Bench::bare().run(&["diff", "one"]).fails(3, "there is no store");
}

#[test]
fn the_same_content_by_another_way_differs_in_nothing() {
    let bench = Bench::new();
    bench.ok(&["init", "--run", "other"]);
    for (run, first, then) in [("main", "1", "3"), ("other", "3", "1")] {
        bench.ok(&["add", "it", "--external-id", "x-1", "-p", first, "--run", run]);
        bench.ok(&["edit", "x-1", "-p", then, "--run", run]);
    }
    bench.ok(&["edit", "x-1", "-p", "3", "--run", "other"]);
    let diff = bench.json(&["diff", "main", "other"]);
    assert_eq!(text(&diff, "differs"), "false", "{diff}");
    assert!(text(&diff, "from/version") != text(&diff, "to/version"));
}
