//! Todos come, change, and go.

use std::io::Write;
use std::process::Stdio;

use crate::{Bench, text, texts};

#[test]
fn init_makes_a_store_once() {
    let bench = Bench::bare();
    let first = bench.json(&["init"]);
    assert_eq!((text(&first, "created"), text(&first, "run")), ("true".into(), "main".into()));
    let second = bench.run(&["init"]);
    assert_eq!(second.code, 0);
    assert!(second.stdout.contains("already"), "{second:?}");
    bench.ok(&["init", "--run", "other"]);
    assert_eq!(texts(&bench.json(&["runs"]), "run"), ["main", "other"]);
    bench.ok(&["--run", "other", "add", "elsewhere"]);
    assert_eq!(bench.json(&["list"]).as_array().map(Vec::len), Some(0));
}

/// In a directory below a store, a second store was made without a word.
#[test]
fn a_store_below_a_store_is_made_only_if_that_is_meant() {
    let bench = Bench::new();
    std::fs::create_dir_all(bench.path().join("sub/dir")).expect("it can be made");
    for dir in ["sub/dir", "sub/new"] {
        let refused = bench.run(&["init", "--dir", dir]);
        refused.fails(5, "there is a store above: ");
        refused.fails(5, "`tress init --nested`");
        assert!(!bench.path().join(dir).join(".tress").exists());
    }
    let mut below = bench.command("ada", &["init"]);
    let below: crate::Answer =
        below.current_dir(bench.path().join("sub/dir")).output().expect("it runs").into();
    below.fails(5, "every command here uses it");
    let named = bench.run(&["init", "--dir", "sub", "--run", "other"]);
    named.fails(5, "--run other` makes the run there");
    bench.ok(&["init", "--nested", "--dir", "sub/dir"]);
    bench.ok(&["init", "--dir", "sub/dir", "--run", "other"]);
    assert_eq!(texts(&bench.json(&["runs", "--dir", "sub/dir"]), "run"), ["main", "other"]);
}

#[test]
fn a_todo_is_added_with_all_its_fields_and_shown() {
    let bench = Bench::new();
    let first = bench.add("write the lexer");
    let added = bench.json(&[
        "add",
        "write the parser",
        "-d",
        "all of it",
        "-p",
        "P1",
        "--kind",
        "feature",
        "--label",
        "lang,core",
        "--needs",
        &first,
        "--files",
        "src/parse/*",
        "--check",
        "cargo test",
        "--assignee",
        "bo",
        "--estimate",
        "90",
        "--high-risk",
        "--due",
        "in 3d",
        "--acceptance",
        "it parses",
    ]);
    let id = text(&added, "id");
    assert!(id.starts_with("t-"), "{id}");
    assert_eq!(text(&added, "status"), "blocked");
    assert_eq!(text(&added, "event").len(), 64);
    let shown = bench.json(&["show", &id]);
    assert_eq!(text(&shown, "description"), "all of it");
    assert_eq!(text(&shown, "acceptance_criteria"), "it parses");
    assert_eq!(text(&shown, "priority"), "1");
    assert_eq!(text(&shown, "agent"), "bo");
    assert_eq!(text(&shown, "labels"), r#"["core","lang"]"#);
    assert_eq!(text(&shown, "files"), r#"["src/parse/*"]"#);
    assert_eq!(text(&shown, "high_risk"), "true");
    assert_eq!(text(&shown, "dependencies/0/id"), first);
    assert!(text(&shown, "created_at").ends_with('Z'));
    let sentence = bench.ok(&["show", &id]);
    assert!(sentence.contains("blocked: needs"), "{sentence}");
    let added = bench.ok(&["add", "a third"]);
    assert!(added.starts_with("added t-") && added.ends_with("\"a third\"\n"), "{added}");
}

#[test]
fn edit_changes_what_is_named_and_nothing_else() {
    let bench = Bench::new();
    let parent = bench.add("the whole");
    let id = text(
        &bench.json(&["add", "old", "--label", "a", "-d", "one two three", "--check", "x"]),
        "id",
    );
    bench.ok(&[
        "edit",
        &id,
        "--title",
        "new",
        "-d",
        "one 2 three",
        "--label",
        "b",
        "--unlabel",
        "a",
        "--check",
        "",
        "--parent",
        &parent,
        "-p",
        "0",
    ]);
    let shown = bench.json(&["show", &id]);
    assert_eq!(text(&shown, "title"), "new");
    assert_eq!(text(&shown, "description"), "one 2 three");
    assert_eq!(text(&shown, "labels"), r#"["b"]"#);
    assert_eq!(text(&shown, "check"), "null");
    assert_eq!(text(&shown, "dependencies/0/kind"), "parent-child");
    assert_eq!(text(&bench.json(&["show", &parent]), "children/0"), id);
    bench.ok(&["edit", &id, "--parent", ""]);
    assert_eq!(text(&bench.json(&["show", &id]), "dependencies"), "[]");
    bench.run(&["edit", &id]).fails(2, "nothing to change");
}

/// A label that was named twice was told twice, and one that was not there was taken away without a word.
#[test]
fn labels_are_named_once_and_those_that_are_not_there_are_told() {
    let bench = Bench::new();
    let id = bench.add("it");
    let said = bench.ok(&["edit", &id, "--label", "a", "--label", "a,b"]);
    assert!(said.ends_with("labelled +a +b\n"), "{said}");
    let said = bench.run(&["edit", &id, "--unlabel", "nosuch"]);
    assert_eq!((said.code, said.stderr.contains("has no label nosuch")), (0, true), "{said:?}");
    assert!(said.stdout.contains("just so already"), "{said:?}");
    let said = bench.json(&["edit", &id, "--unlabel", "nosuch,a"]);
    assert_eq!(text(&said, "labels"), r#"["b"]"#);
    assert!(text(&said, "warnings/0").contains("has no label nosuch"), "{said}");
}

#[test]
fn an_estimate_is_minutes_or_a_duration() {
    let bench = Bench::new();
    let minutes = |id: &str| text(&bench.json(&["show", id]), "estimate_minutes");
    let id = bench.ok(&["add", "it", "--estimate", "2h", "--quiet"]);
    let id = id.strip_suffix('\n').expect("a line");
    assert_eq!(minutes(id), "120", "the id alone is printed: {id:?}");
    for (estimate, is) in [("90", "90"), ("1h 30m", "90"), ("61s", "2")] {
        bench.ok(&["edit", id, "--estimate", estimate]);
        assert_eq!(minutes(id), is);
    }
    bench.run(&["edit", id, "--estimate", "long"]).fails(2, "no duration");
}

#[test]
fn lists_are_arrays_and_filter() {
    let bench = Bench::new();
    let low = text(&bench.json(&["add", "low", "-p", "3", "--label", "x"]), "id");
    let high = text(&bench.json(&["add", "high", "-p", "0"]), "id");
    let gone = bench.add("gone");
    bench.ok(&["close", &gone, "--reason", "not needed"]);
    assert_eq!(texts(&bench.json(&["list"]), "id"), [high.clone(), low.clone()]);
    assert_eq!(texts(&bench.json(&["list", "--limit", "1"]), "title"), ["high"]);
    assert_eq!(texts(&bench.json(&["list", "--label", "x"]), "title"), ["low"]);
    assert_eq!(
        texts(&bench.json(&["list", "--all"]), "id"),
        [high.clone(), low.clone(), gone.clone()]
    );
    assert_eq!(texts(&bench.json(&["list", "--status", "closed"]), "id"), [gone]);
    bench.ok_as("bo", &["claim", &low]);
    let held = bench.json(&["list", "--agent", "bo"]);
    assert_eq!((text(&held, "0/id"), text(&held, "0/agent")), (low, "bo".into()));
    assert_eq!(text(&held, "0/status"), "in_progress");
    assert_eq!(texts(&bench.json(&["ready"]), "id"), [high]);
}

#[test]
fn words_are_looked_for_in_all_that_a_todo_says() {
    let bench = Bench::new();
    bench.ok(&["add", "Write the Lexer", "-d", "all of UTF-8", "--label", "lang"]);
    bench.ok(&["add", "write the parser", "--external-id", "bd-12"]);
    let titles = |words: &str| texts(&bench.json(&["list", "--text", words]), "title");
    assert_eq!(titles("WRITE the"), ["Write the Lexer", "write the parser"]);
    for words in ["utf-8 lexer", "lang", "lexer"] {
        assert_eq!(titles(words), ["Write the Lexer"], "{words}");
    }
    assert_eq!(titles("BD-12"), ["write the parser"]);
    assert!(titles("parser utf-8").is_empty(), "every word counts");
    assert!(bench.ok(&["list", "--text", "parser"]).contains("1 todo\n"));
}

#[test]
fn what_is_blocked_says_why() {
    let bench = Bench::new();
    let first = bench.add("first");
    let second = text(&bench.json(&["add", "second", "--needs", &first]), "id");
    let blocked = bench.json(&["blocked"]);
    assert_eq!(texts(&blocked, "title"), ["second"]);
    assert_eq!(text(&blocked, "0/reasons/0/because"), "depends_on");
    assert_eq!(text(&blocked, "0/reasons/0/id"), first);
    assert!(text(&blocked, "0/reasons/0/text").contains("\"first\" (open)"));
    assert!(bench.ok(&["blocked"]).contains("needs"), "in words, too");
    let closed = bench.ok(&["close", &first]);
    assert!(closed.contains("now ready") && closed.contains(&second), "{closed}");
    bench.ok(&["block", &second, "--kind", "requirement", "--reason", "which one?"]);
    let blocked = bench.json(&["blocked"]);
    assert_eq!(text(&blocked, "0/reasons/0/text"), "requirement blocker: which one?");
    assert!(bench.ok(&["unblock", &second]).starts_with("unblocked"));
    bench.run(&["unblock", &second]).fails(5, "nobody reported a blocker");
}

#[test]
fn dependencies_come_and_go_and_a_cycle_is_suspended() {
    let bench = Bench::new();
    let (a, b) = (bench.add("a"), bench.add("b"));
    assert!(bench.ok(&["dep", "add", &a, &b]).contains("depends on"));
    let cycle = bench.ok(&["dep", "add", &b, &a]);
    assert!(cycle.starts_with("suspended: ") && cycle.contains("cycle"), "{cycle}");
    assert_eq!(text(&bench.json(&["show", &b]), "dependencies/0/suspended"), "true");
    let conflicts = bench.json(&["conflicts"]);
    assert_eq!(text(&conflicts, "0/rule"), "no-cycles");
    bench.ok(&["dep", "rm", &a, &b]);
    assert_eq!(text(&bench.json(&["show", &b]), "dependencies/0/suspended"), "false");
    bench.run(&["dep", "rm", &a, &b]).fails(3, "does not depend on");
    bench.run(&["dep", "add", &a, &a]).fails(4, "cannot depend on itself");
    bench.run(&["dep", "add", &a, &b, "--kind", "bloks"]).fails(2, "bloks");
}

/// Each held back what the other was part of, and nothing said why nothing was ready.
#[test]
fn what_would_wait_for_itself_by_way_of_what_it_is_part_of_is_refused() {
    let bench = Bench::new();
    for name in ["whole", "part", "other", "within", "release"] {
        bench.ok(&["add", name, "--external-id", name]);
    }
    let nest = ["--kind", "parent-child"];
    bench.ok(&[&["dep", "add", "part", "whole"][..], &nest].concat());
    bench.ok(&[&["dep", "add", "within", "other"][..], &nest].concat());
    bench.ok(&["dep", "add", "whole", "within"]);
    let before = bench.json(&["log", "--limit", "1"]);
    let circle = "part of whole) -> within (part of other) -> part";
    bench.run(&["dep", "add", "other", "part"]).fails(5, circle);
    bench.run(&["edit", "other", "--needs", "part"]).fails(5, "would wait for itself");
    assert_eq!(bench.json(&["log", "--limit", "1"]), before, "nothing was appended");
    // What waits for all that is part of something, and is needed by one more part of it.
    bench.ok(&["dep", "add", "release", "whole", "--kind", "waits-for"]);
    let part = ["add", "notes", "--parent", "whole", "--needs", "release"];
    bench.run(&part).fails(5, "the new one -> release -> the new one");
    // Once it is part of nothing that waits, it may be waited for.
    bench.ok(&["edit", "part", "--parent", ""]);
    assert!(bench.ok(&["dep", "add", "other", "part"]).contains("depends on"));
}

/// A circle that no single command closed was seen in `tress blocked` alone.
#[test]
fn a_circle_is_told_where_it_comes_to_be() {
    let parts = |bench: &Bench| {
        for (name, whole) in [("whole", ""), ("part", "whole"), ("other", ""), ("within", "other")]
        {
            bench.ok(&["add", name, "--external-id", name]);
            if !whole.is_empty() {
                bench.ok(&["dep", "add", name, whole, "--kind", "parent-child"]);
            }
        }
    };
    let circle = " waits for itself: ";
    let names = |value: &serde_json::Value| {
        let mut names: Vec<String> = value["circles"][0]["todos"]
            .as_array()
            .map(|names| names.iter().filter_map(|name| name.as_str().map(str::to_owned)).collect())
            .unwrap_or_default();
        names.sort_unstable();
        names
    };

    // By a merge.
    let bench = Bench::new();
    parts(&bench);
    bench.ok(&["fork", "path"]);
    bench.ok(&["dep", "add", "whole", "within"]);
    bench.ok(&["--run", "path", "dep", "add", "other", "part"]);
    assert!(!bench.ok(&["status"]).contains(circle));
    assert_eq!(names(&bench.json(&["merge", "path", "--dry-run"])), ["part", "within"]);
    let merged = bench.ok(&["merge", "path"]);
    assert!(merged.contains(circle) && merged.contains("(part of whole)"), "{merged}");
    let status = bench.ok(&["status"]);
    assert!(status.contains(circle) && status.contains("tress dep rm"), "{status}");
    assert_eq!(names(&bench.json(&["status"])), ["part", "within"]);
    assert!(bench.ok(&["start", "--plan"]).contains(circle));
    bench.ok(&["dep", "rm", "other", "part"]);
    assert!(!bench.ok(&["status"]).contains(circle));

    // By a todo that comes back.
    bench.ok(&["close", "part"]);
    bench.ok(&["dep", "add", "other", "part"]);
    let reopened = bench.run(&["reopen", "part"]);
    assert!(reopened.code == 0 && reopened.stderr.contains(circle), "{reopened:?}");
    // What stands already is not told again by what has nothing to do with it.
    bench.ok(&["add", "beside", "--external-id", "beside"]);
    bench.ok(&["dep", "add", "part", "beside"]);
    assert_eq!(bench.run(&["dep", "rm", "part", "beside"]).stderr, "");

    // By an edge that another one had kept out of force.
    let bench = Bench::new();
    parts(&bench);
    bench.ok(&["dep", "add", "whole", "within"]);
    bench.ok(&["dep", "add", "part", "other"]);
    assert!(bench.ok(&["dep", "add", "other", "part"]).contains("suspended"));
    let removed = bench.run(&["dep", "rm", "part", "other"]);
    assert!(removed.code == 0 && removed.stderr.contains(circle), "{removed:?}");

    // By an import.
    let bench = Bench::new();
    let line = |id: &str, parent: &str, needs: &str| {
        let edges = [("parent-child", parent), ("blocks", needs)].into_iter();
        let edges = edges.filter(|(_, on)| !on.is_empty()).map(|(kind, on)| {
            format!(r#"{{"issue_id":"{id}","depends_on_id":"{on}","type":"{kind}"}}"#)
        });
        let edges = edges.collect::<Vec<_>>().join(",");
        format!(r#"{{"id":"{id}","title":"{id}","status":"open","dependencies":[{edges}]}}"#) + "\n"
    };
    let file = [("whole", "", "within"), ("part", "whole", ""), ("other", "", "part")].into_iter();
    let file: String =
        file.chain([("within", "other", "")]).map(|(a, b, c)| line(a, b, c)).collect();
    bench.write("issues.jsonl", file);
    let imported = bench.run(&["import", "beads", "issues.jsonl"]);
    assert!(imported.code == 0 && imported.stderr.contains(circle), "{imported:?}");
    assert_eq!(bench.run(&["import", "beads", "issues.jsonl"]).stderr, "", "it is known");
}

#[test]
fn closing_reopening_and_deleting_are_told() {
    let bench = Bench::new();
    let id = bench.add("it");
    assert!(bench.ok(&["close", &id, "-m", "done elsewhere"]).starts_with("closed "));
    assert!(bench.ok(&["close", &id]).contains("closed already"));
    assert_eq!(text(&bench.json(&["close", &id]), "event"), "null");
    assert!(bench.ok(&["reopen", &id]).starts_with("reopened "));
    assert!(bench.ok(&["delete", &id]).starts_with("deleted "));
    assert_eq!(bench.json(&["list", "--all"]).as_array().map(Vec::len), Some(0));
    bench.run(&["note", &id, "hello"]).fails(5, "was deleted by ada");
    bench.ok(&["reopen", &id]);
    assert_eq!(texts(&bench.json(&["list"]), "id"), [id]);
}

/// A todo that a beads file calls blocked was listed as that, `blocked` said that nothing is, and `reopen` did nothing:
/// nothing freed it.
#[test]
fn what_another_system_calls_blocked_is_shown_and_can_be_freed() {
    let bench = Bench::new();
    let words = ["blocked", "deferred", "pinned", "in_progress", "hooked", "review"];
    let line =
        |word: &str| format!("{{\"id\":\"{word}\",\"title\":\"it\",\"status\":\"{word}\"}}\n");
    bench.write("issues.jsonl", words.map(line).concat());
    bench.ok(&["import", "beads", "issues.jsonl"]);
    assert_eq!(texts(&bench.json(&["list", "--status", "blocked"]), "external_id"), ["blocked"]);
    let blocked = bench.json(&["blocked"]);
    assert_eq!(texts(&blocked, "external_id"), ["blocked"]);
    assert_eq!(text(&blocked, "0/reasons/0/because"), "stage");
    assert!(bench.ok(&["blocked"]).contains("`tress reopen blocked` opens it"));
    for word in ["blocked", "deferred", "pinned", "in_progress", "hooked"] {
        let refused = bench.run(&["claim", word]);
        assert!(refused.code == 5, "{refused:?}");
        let story = bench.ok(&["show", word]);
        assert!(story.contains(&format!("`tress reopen {word}` opens it")), "{story}");
        assert!(bench.ok(&["reopen", word]).starts_with("reopened "), "{word}");
        assert!(bench.ok(&["reopen", word]).contains("is open already"), "{word}");
        assert_eq!(text(&bench.json(&["show", word]), "stage"), "null");
        bench.ok(&["claim", word]);
        assert!(bench.ok(&["reopen", word]).contains("is in_progress already"), "{word}");
    }
    assert_eq!(bench.ok(&["blocked"]).trim(), "nothing is blocked");
    // A word that keeps nobody from it stays.
    assert!(bench.ok(&["reopen", "review"]).contains("is open already"));
    assert_eq!(text(&bench.json(&["show", "review"]), "stage"), "review");
    let id = bench.add("later");
    bench.ok(&["edit", &id, "--defer", "in 3d"]);
    let later = bench.ok(&["reopen", &id]);
    assert!(later.contains(&format!("`tress edit {id} --defer \"\"` opens it now")), "{later}");
    bench.ok(&["edit", &id, "--defer", ""]);
    bench.ok(&["claim", &id]);
}

#[test]
fn remarks_come_from_the_command_line_and_from_stdin() {
    let bench = Bench::new();
    let id = bench.add("it");
    bench.ok(&["note", &id, "first"]);
    let mut child = bench
        .command("bo", &["note", &id, "-"])
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .spawn()
        .expect("the binary runs");
    let mut stdin = child.stdin.take().expect("it is piped");
    stdin.write_all(b"second\nline\n").expect("it can be written");
    drop(stdin);
    assert!(child.wait().expect("it ends").success());
    let shown = bench.json(&["show", &id]);
    assert_eq!(
        texts(shown.pointer("/remarks").expect("remarks"), "text"),
        ["first", "second\nline"]
    );
    assert_eq!(text(&shown, "remarks/1/agent"), "bo");
    bench.run(&["note", &id, " "]).fails(4, "the remark is empty");
}

/// A dependency was shown as `blocks`, which reads the wrong way round, and as good as new when its target
/// was finished or gone.
#[test]
fn relations_read_from_the_todo_that_is_shown() {
    let bench = Bench::new();
    let (it, needed, gone) = (bench.add("it"), bench.add("needed"), bench.add("gone"));
    let (whole, seen) = (bench.add("whole"), bench.add("seen"));
    for (on, kind) in [
        (&needed, "blocks"),
        (&gone, "waits-for"),
        (&whole, "parent-child"),
        (&seen, "discovered-from"),
        (&seen, "relates-to"),
    ] {
        bench.ok(&["dep", "add", &it, on, "--kind", kind]);
    }
    bench.ok(&["close", &needed]);
    bench.ok(&["delete", &gone]);
    let shown = bench.ok(&["show", &it]);
    for line in [
        format!("needs        {needed} needed (closed)"),
        format!("waits for    {gone} gone (its children) (deleted)"),
        format!("part of      {whole} whole"),
        format!("found during {seen} seen"),
        format!("relates to   {seen} seen"),
    ] {
        assert!(shown.lines().any(|shown| shown == line), "no {line:?} in {shown}");
    }
    let line = format!("needed by    {it} it");
    assert!(bench.ok(&["show", &needed]).lines().any(|shown| shown == line));
    let line = format!("awaited by   {it} it");
    assert!(bench.ok(&["show", &gone]).lines().any(|shown| shown == line));
    let json = bench.json(&["show", &it]);
    assert_eq!(text(&json, "dependencies/0/kind"), "blocks", "scripts see what they saw");
}

/// No kind of dependency was explained, and each was told as `depends on`.
#[test]
fn kinds_of_dependencies_are_explained_and_told_as_what_they_are() {
    let bench = Bench::new();
    let help = bench.ok(&["dep", "add", "--help"]);
    for kind in [
        "blocks",
        "conditional-blocks",
        "waits-for",
        "waits-for-any",
        "parent-child",
        "relates-to",
        "discovered-from",
        "duplicates",
        "supersedes",
    ] {
        let explained = |line: &str| {
            let words = line.trim_start().strip_prefix(kind);
            words.is_some_and(|words| words.starts_with("  "))
        };
        assert!(help.lines().any(explained), "{kind} is not explained: {help}");
    }
    let (a, b) = (bench.add("a"), bench.add("b"));
    let said = bench.ok(&["dep", "add", &a, &b, "--kind", "waits-for"]);
    assert!(said.contains("waits for the children of") && said.contains("no other children"));
    bench.ok(&["add", "c", "--parent", &b]);
    let again = bench.ok(&["dep", "add", &a, &b, "--kind", "waits-for"]);
    assert!(again.ends_with("\"b\" (waits-for) already\n"), "{again}");
    assert!(bench.ok(&["log"]).contains("said that it waits for the children of"));
    let gone = bench.ok(&["dep", "rm", &a, &b]);
    assert!(gone.starts_with("no longer: ") && gone.contains("waits for the children"), "{gone}");
}

#[test]
fn deleting_says_what_became_ready() {
    let bench = Bench::new();
    let first = bench.add("first");
    let second = text(&bench.json(&["add", "second", "--needs", &first]), "id");
    let said = bench.ok(&["delete", &first]);
    assert!(said.contains(&format!("; now ready: {second} \"second\"")), "{said}");
}

/// What was ready before was told as ready now, and what is part of what became ready was not told.
#[test]
fn what_became_ready_is_told_and_nothing_else() {
    let bench = Bench::new();
    let first = bench.add("first");
    let beside = bench.add("beside");
    bench.ok(&["dep", "add", &beside, &first, "--kind", "relates-to"]);
    let second = text(&bench.json(&["add", "second", "--needs", &first]), "id");
    let part = text(&bench.json(&["add", "part", "--parent", &second]), "id");
    bench.ok_as("ann", &["claim", &first]);
    bench.ok_as("ann", &["done", &first]);
    let said = bench.ok_as("bob", &["verify", &first]);
    let (_, ready) = said.split_once("; now ready: ").expect("something became ready");
    for (name, is) in [(&second, true), (&part, true), (&beside, false), (&first, false)] {
        assert_eq!(ready.contains(name), is, "{said}");
    }
}

#[test]
fn what_another_holds_or_oneself_did_is_not_closed_by_the_way() {
    let bench = Bench::new();
    let id = bench.add("held");
    bench.ok_as("ann", &["claim", &id]);
    bench.run_as("bob", &["close", &id]).fails(5, "--force closes it");
    let log = bench.json(&["log", "--limit", "1"]);
    let claim = log.get(0).map(|event| text(event, "event")).expect("an event");
    bench.run_as("bob", &["undo", &claim]).fails(5, "--force ends the claim");
    bench.ok_as("bob", &["undo", &claim, "--force"]);
    bench.ok_as("ann", &["claim", &id]);
    let role = ["--role", "implementer"];
    bench.ok_as("ann", &[&["done", &id], &role[..]].concat());
    let own = bench.run_as("ann", &[&["close", &id], &role[..]].concat());
    own.fails(5, "whoever did the work cannot close it");
    assert!(bench.ok_as("bob", &["close", &id, "--force", "-m", "no"]).contains("ann held it"));
}
