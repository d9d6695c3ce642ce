//! Care: fsck, doctor, stats, conflicts, compacting.

use crate::{Answer, Bench, text, texts};

#[test]
fn a_store_that_is_whole_passes() {
    let bench = Bench::new();
    bench.add("it");
    let checked = bench.json(&["fsck"]);
    assert_eq!(
        (text(&checked, "runs/0/events"), text(&checked, "damage")),
        ("1".into(), "[]".into())
    );
    assert!(bench.ok(&["fsck"]).ends_with("no damage\n"));
    let findings = bench.json(&["doctor"]);
    let findings = findings.as_array().expect("an array");
    assert!(findings.iter().all(|finding| text(finding, "grade") != "fail"), "{findings:?}");
    assert!(findings.iter().any(|finding| text(finding, "name") == "locks"));
}

#[test]
fn damage_is_found_with_its_place() {
    let bench = Bench::new();
    for title in ["one", "two", "three", "four"] {
        bench.add(title);
    }
    let journals = bench.path().join(".tress/runs/main/journals");
    let replica = std::fs::read_dir(journals).expect("journals").next().expect("one").expect("it");
    let path = replica.path().join("000001.log");
    let mut bytes = std::fs::read(&path).expect("it can be read");
    let middle = bytes.len() / 2;
    *bytes.get_mut(middle).expect("it is there") ^= 0x40;
    std::fs::write(&path, bytes).expect("it can be written");
    let checked = bench.run(&["fsck"]);
    assert_eq!(checked.code, 6, "{checked:?}");
    assert!(checked.stdout.contains("000001.log at byte "), "{checked:?}");
    let error = bench.run(&["fsck", "--json"]).error();
    assert_eq!(text(&error, "code"), "damaged");
    assert!(text(&error, "details/damage/0/file").ends_with("000001.log"));
    assert!(text(&error, "details/damage/0/offset").parse::<u64>().is_ok_and(|offset| offset > 0));
    let listed = bench.run(&["list"]);
    assert_eq!(listed.code, 0, "what is undamaged stays readable: {listed:?}");
    assert!(listed.stderr.contains("warning: ") && listed.stderr.contains("000001.log"));
    assert_eq!(bench.run(&["doctor"]).code, 6);
    bench.ok(&["add", "life goes on"]);
}

/// The journals of the run `main`, each with its first file.
fn journals(bench: &Bench) -> Vec<std::path::PathBuf> {
    let journals = bench.path().join(".tress/runs/main/journals");
    let entries = std::fs::read_dir(journals).expect("journals");
    entries.map(|entry| entry.expect("it").path().join("000001.log")).collect()
}

#[test]
fn a_damaged_store_is_repaired_and_filled_from_a_copy() {
    let bench = Bench::new();
    for title in ["one", "two", "three"] {
        bench.add(title);
    }
    bench.ok(&["export", "run", "backup.tressrun"]);
    let path = journals(&bench).remove(0);
    let mut bytes = std::fs::read(&path).expect("it can be read");
    let at = bytes.windows(3).position(|window| window == b"two").expect("it is there");
    *bytes.get_mut(at).expect("it is there") ^= 0x20;
    std::fs::write(&path, &bytes).expect("it can be written");
    let error = bench.run(&["fsck", "--json"]).error();
    assert_eq!(text(&error, "details/damage/0/events/first"), "2");
    assert_eq!(text(&error, "details/runs/0/behind"), "1");
    assert!(text(&error, "hint").contains("--repair"), "{error}");
    let said = bench.ok(&["fsck", "--repair"]);
    assert!(said.contains("lost: event 2 of ") && said.contains("kept: "), "{said}");
    assert_eq!(std::fs::read(&path).expect("it can be read"), bytes, "no journal is rewritten");
    let titles = texts(&bench.json(&["list"]), "title");
    assert_eq!(titles, ["one", "three"], "everything else is back");
    let said = bench.ok(&["fsck"]);
    assert!(said.contains("lost before: event 2 of ") && said.ends_with("no damage\n"), "{said}");
    bench.ok(&["add", "four"]);
    let filled = bench.json(&["fsck", "--from", "backup.tressrun"]);
    assert_eq!(text(&filled, "runs/0/filled/0/first"), "2");
    assert_eq!(text(&filled, "runs/0/lost_before"), "[]");
    let titles = texts(&bench.json(&["list"]), "title");
    assert_eq!(titles, ["one", "two", "three", "four"]);
    assert!(bench.ok(&["fsck"]).ends_with("no damage\n"));
}

/// A repair gave up what the store that it was copied from has, and no sync brought it any more.
#[test]
fn a_copy_that_is_short_says_so_and_is_filled() {
    let bench = Bench::new();
    for title in ["one", "two", "three"] {
        bench.add(title);
    }
    let copy = Bench::new();
    std::fs::remove_dir_all(copy.path().join(".tress")).expect("a store");
    copy_dir(&bench.path().join(".tress"), &copy.path().join(".tress"));
    let path = journals(&copy).remove(0);
    let bytes = std::fs::read(&path).expect("it can be read");
    let last = bytes.windows(4).rposition(|window| window == b"TRF1").expect("a frame");
    std::fs::write(&path, bytes.get(..last).expect("it is there")).expect("it can be written");
    for args in [["fsck"].as_slice(), &["fsck", "--repair"]] {
        let refused = copy.run(args);
        let said = refused.stdout + &refused.stderr;
        for words in ["lost: event 3 of ", "went on where it was copied from", "--from"] {
            assert!(said.contains(words), "no {words:?} in {said}");
        }
        assert_eq!(refused.code, 6, "{said}");
        assert!(!said.contains("no damage") && !said.contains("0 damaged"), "{said}");
    }
    let store = bench.path().join(".tress");
    let said = copy.ok(&["fsck", "--from", store.to_str().expect("text")]);
    assert!(said.contains("brought back: event 3 of "), "{said}");
    assert_eq!(texts(&copy.json(&["list"]), "title"), ["one", "two", "three"]);
    assert!(copy.ok(&["fsck"]).ends_with("no damage\n"));
}

#[test]
fn the_file_that_says_what_a_store_is_can_be_made_anew() {
    let bench = Bench::new();
    bench.add("it");
    std::fs::write(bench.path().join(".tress/store"), "{").expect("it can be written");
    // Fsck failed itself, with the hint to call fsck, and a repair did not say what it did.
    for args in [["list"].as_slice(), &["fsck"], &["doctor"]] {
        let refused = bench.run(args);
        let said = refused.stdout + &refused.stderr;
        assert_eq!((refused.code, said.contains("tress fsck --repair")), (6, true), "{said}");
    }
    let said = bench.ok(&["fsck", "--repair"]);
    for words in ["made anew: ", "kept: ", "main: 1 event ", "repaired: nothing is lost\n"] {
        assert!(said.contains(words), "no {words:?} in {said}");
    }
    assert_eq!(bench.read(".tress/quarantine/store"), b"{");
    assert_eq!(texts(&bench.json(&["list"]), "title"), ["it"]);
    assert!(bench.ok(&["fsck", "--repair"]).ends_with("no damage\n"));
}

#[test]
fn doctor_works_without_a_store() {
    let bench = Bench::bare();
    let said = bench.ok(&["doctor"]);
    assert!(said.contains("warn store") && said.contains("tress init"), "{said}");
}

#[test]
fn stats_are_figures_that_scripts_can_compare() {
    let bench = Bench::new();
    bench.add("it");
    let stats = bench.json(&["stats"]);
    assert_eq!(text(&stats, "root").len(), 64);
    assert_eq!((text(&stats, "events"), text(&stats, "todos/open")), ("1".into(), "1".into()));
    assert!(text(&stats, "version").ends_with(":1"));
    assert!(text(&stats, "bytes/journals").parse::<u64>().is_ok_and(|bytes| bytes > 0));
    assert!(bench.ok(&["stats"]).contains("on disk"));
}

#[test]
fn what_was_lost_is_listed_until_it_is_acknowledged() {
    let bench = Bench::new();
    let (a, b) = (bench.add("a"), bench.add("b"));
    bench.ok(&["dep", "add", &a, &b]);
    bench.ok_as("bo", &["dep", "add", &b, &a]);
    assert_eq!(bench.json(&["conflicts", "--mine"]).as_array().map(Vec::len), Some(0));
    let mine = bench.json_as("bo", &["conflicts", "--mine", "--acknowledge"]);
    assert_eq!((text(&mine, "0/agent"), text(&mine, "0/rule")), ("bo".into(), "no-cycles".into()));
    assert_eq!(bench.json_as("bo", &["conflicts", "--mine"]).as_array().map(Vec::len), Some(0));
    assert_eq!(text(&bench.json(&["conflicts"]), "0/acknowledged"), "true");
}

#[test]
fn reading_writes_nothing() {
    let bench = Bench::new();
    let listing = || {
        let mut files = Vec::new();
        let mut dirs = vec![bench.path().join(".tress")];
        while let Some(dir) = dirs.pop() {
            for entry in std::fs::read_dir(dir).expect("a directory") {
                let path = entry.expect("an entry").path();
                if path.is_dir() {
                    dirs.push(path);
                } else {
                    files.push((path.clone(), std::fs::metadata(&path).expect("it").len()));
                }
            }
        }
        files.sort();
        files
    };
    bench.add("it");
    let before = listing();
    for args in [
        ["list"].as_slice(),
        &["ready"],
        &["blocked"],
        &["log"],
        &["stats"],
        &["fsck"],
        &["conflicts"],
    ] {
        bench.ok(args);
    }
    bench.ok(&["list", "--at", "1h ago"]);
    bench.ok(&["replay", "--check"]);
    assert_eq!(listing(), before);
}

/// Documents that another process has open are busy: a clear word, an exit code, nothing changed.
#[test]
fn documents_that_are_in_use_are_busy() {
    let bench = Bench::new();
    bench.add("it");
    bench.ok(&["export", "automerge", "before"]);
    let lock = bench.path().join(".tress/local/documents.lock");
    let held = std::fs::File::options().append(true).open(lock).expect("it was made");
    held.lock().expect("nobody else has it");
    let refused = bench.run(&["export", "automerge", "out"]);
    refused.fails(6, "another process has the documents open");
    assert!(!bench.path().join("out").exists());
    drop(held);
    bench.ok(&["export", "automerge", "out"]);
}

#[test]
fn alerts_are_looked_after_and_come_to_an_end() {
    let bench = Bench::new();
    assert_eq!(bench.ok(&["alerts"]).trim(), "nothing needs attention");
    bench.run_as("ada", &["alerts", "ack", "nothing"]).fails(3, "no alert is open");
    let run = bench.path().join(".tress");
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let raise = async {
        let run = tress::Store::open(&run).expect("a store").run("main").await.expect("a run");
        let raised = tress::Operation::AlertRaised {
            alert: "disk".to_owned(),
            priority: tress::operation::Severity::High,
            message: "the disk is nearly full".to_owned(),
            todo: None,
        };
        run.agent("watch", tress::Role::Coordinator).append([raised]).await.expect("appended");
    };
    runtime.expect("a runtime").block_on(raise);
    assert!(bench.ok(&["alerts"]).contains("the disk is nearly full"));
    bench.ok(&["alerts", "ack", "disk"]);
    assert_eq!(texts(&bench.json(&["alerts"]), "acknowledged_by"), ["ada"]);
    assert!(bench.ok(&["status"]).contains("(ada has it)"));
    bench.ok(&["alerts", "clear", "disk"]);
    assert_eq!(bench.json(&["alerts"]).as_array().map(Vec::len), Some(0));
    assert_eq!(bench.json(&["alerts", "--all"]).as_array().map(Vec::len), Some(1));
}

#[test]
fn what_is_spent_is_added_up() {
    let bench = Bench::new();
    let todo = bench.add("one");
    bench.ok(&["spend", "tokens=100", "usd=0.5"]);
    let spent = bench.json(&["spend", "tokens=50", "--todo", &todo]);
    assert_eq!(spent["spent"]["tokens"], 150.0);
    assert!(bench.ok(&["status"]).contains("150 tokens spent, $0.50 spent"));
    bench.run_as("ada", &["spend", "tokens=lots"]).fails(4, "no amount");
    // Two of these added up to infinity.
    bench.run(&["spend", "tokens=1e308", "tokens=1e308"]).fails(4, "is at most 1000000000000");
    assert_eq!(bench.json(&["spend", "tokens=1"])["spent"]["tokens"], 151.0);
}

#[test]
fn one_screen_of_top_is_as_wide_as_it_is_told() {
    let bench = Bench::new();
    let todo = bench.add("write the parser");
    bench.ok(&["checkpoint", "early"]);
    bench.ok(&["claim", &todo]);
    for wide in ["80", "120"] {
        let mut top = bench.command("ada", &["top", "--once", "--lines", "24"]);
        let answer: Answer = top.env("COLUMNS", wide).output().expect("it runs").into();
        let screen = answer.stdout;
        assert!(screen.contains("● ") && screen.contains("write the parser"), "{screen}");
        let widest = screen.lines().map(|line| line.chars().count()).max();
        assert!(widest <= wide.parse().ok() && !screen.contains('\u{1b}'), "{screen}");
    }
    // A title of characters that take two columns was cut by the edge, without a sign of it.
    bench.add(&"字".repeat(50));
    let mut top = bench.command("ada", &["top", "--once", "--lines", "24"]);
    let answer: Answer = top.env("COLUMNS", "80").output().expect("it runs").into();
    let screen = answer.stdout;
    assert!(screen.lines().any(|line| line.contains('字') && line.contains("字…")), "{screen}");
    let before = bench.ok(&["top", "--once", "--at", "early"]);
    assert!(before.contains("○ ") && before.contains("event "), "{before}");
    bench.run_as("ada", &["top"]).fails(2, "wants a terminal");
    bench.run_as("ada", &["top", "--at", "never", "--once"]).fails(3, "never");
}

#[test]
fn nothing_is_learned_from_nothing() {
    let bench = Bench::new();
    assert!(bench.ok(&["optimize"]).contains("no run of this store has taught anything yet"));
    bench.run_as("ada", &["optimize", "--write"]).fails(5, "no run of this store");
}

/// As much as is worth packing: so many todos, each with a text.
fn fill(bench: &Bench, todos: usize) {
    let text = "It is said at some length what is to be done, and why. ".repeat(12);
    let lines = (0..todos).map(|number| {
        let title = format!("todo {number}");
        let line = serde_json::json!({
            "id": format!("bd-{number}"), "title": title, "description": format!("{text} {number}"),
            "status": "open", "priority": 2, "issue_type": "task",
            "created_at": "2026-01-01T00:00:00Z", "updated_at": "2026-01-01T00:00:00Z",
        });
        format!("{line}\n")
    });
    bench.write("todos.jsonl", lines.collect::<String>());
    bench.ok(&["import", "beads", "todos.jsonl"]);
}

#[test]
fn what_is_compacted_is_smaller_and_says_the_same() {
    let bench = Bench::new();
    assert_eq!(bench.ok(&["compact"]), "main: nothing to pack\n");
    fill(&bench, 400);
    let said = |bench: &Bench| ["list", "log", "ready"].map(|command| bench.ok(&[command]));
    let (before, root) = (said(&bench), text(&bench.json(&["stats"]), "root"));
    let answer = bench.json(&["compact"]);
    assert_eq!(
        (text(&answer, "runs/0/run"), text(&answer, "runs/0/files")),
        ("main".into(), "1".into())
    );
    let bytes =
        |name: &str| text(&answer, &format!("runs/0/{name}")).parse::<u64>().expect("bytes");
    assert!(bytes("after") * 3 < bytes("before"), "{answer}");
    assert!(
        text(&bench.json(&["stats"]), "bytes/journals")
            .parse::<u64>()
            .is_ok_and(|now| now < bytes("before") / 2)
    );
    assert_eq!(said(&bench), before);
    // Without a snapshot, everything is read out of the packed file.
    std::fs::remove_dir_all(bench.path().join(".tress/runs/main/snapshots")).expect("snapshots");
    assert_eq!((said(&bench), text(&bench.json(&["stats"]), "root")), (before, root));
    bench.ok(&["fsck"]);
    bench.add("one more");
    let told = bench.ok(&["compact", "--run", "main"]);
    assert!(told.starts_with("main: nothing to pack\n  snapshots: "), "{told}");
    assert_eq!(
        bench.ok(&["compact"]),
        "main: nothing to pack\n",
        "one is left, as small as can be"
    );
    bench.run(&["compact", "--run", "other"]).fails(3, "there is no run called other");
    // Documents that were written again and again hold mostly what was overwritten.
    for number in 0..4 {
        bench.ok(&["export", "automerge", "documents"]);
        fill(&bench, 401 + 40 * number);
    }
    bench.ok(&["export", "automerge", "documents"]);
    let documents = bench.json(&["compact"]);
    let bytes =
        |name: &str| text(&documents, &format!("documents/{name}")).parse::<u64>().expect("bytes");
    assert!(bytes("after") < bytes("before"), "{documents}");
    let exported = |to: &str| {
        bench.ok(&["export", "automerge", to]);
        bench.read(&format!("{to}/todo.automerge"))
    };
    assert_eq!(exported("documents"), exported("documents-again"));
    bench.ok(&["fsck"]);
    // It goes where the store goes, and another place goes on with it.
    let copy = Bench::new();
    std::fs::remove_dir_all(copy.path().join(".tress")).expect("a store");
    copy_dir(&bench.path().join(".tress"), &copy.path().join(".tress"));
    copy.add("and another");
    let here = bench.json(&["list"]).as_array().map(Vec::len);
    let there = copy.json(&["list"]).as_array().map(Vec::len);
    assert_eq!(there, here.map(|here| here + 1));
    copy.ok(&["fsck"]);
}

fn copy_dir(from: &std::path::Path, to: &std::path::Path) {
    std::fs::create_dir_all(to).expect("a directory");
    for entry in std::fs::read_dir(from).expect("a directory") {
        let entry = entry.expect("an entry");
        let target = to.join(entry.file_name());
        if entry.path().is_dir() {
            copy_dir(&entry.path(), &target);
        } else {
            std::fs::copy(entry.path(), target).expect("it can be copied");
        }
    }
}

/// The page of a run without todos began with a semicolon.
#[test]
fn a_run_without_todos_says_so() {
    let page = Bench::new().ok(&["status"]);
    assert!(page.lines().any(|line| line == "there are no todos"), "{page}");
}

/// A file in the place of the store was told as a store that is damaged.
#[test]
fn a_file_where_the_store_would_be_is_told() {
    let bench = Bench::bare();
    bench.write(".tress", "mine");
    bench.run(&["init"]).fails(6, ".tress is a file: move it away");
    assert_eq!(bench.read(".tress"), b"mine");
    bench.run(&["--dir", ".tress", "list"]).fails(6, ".tress is a file: move it away");
}
