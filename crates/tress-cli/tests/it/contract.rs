//! What scripts rely on: envelopes, exit codes, silence, no escape codes.

use std::process::Stdio;

use crate::{Bench, text};

#[test]
fn errors_are_an_envelope_on_stdout_with_json() {
    let bench = Bench::new();
    let unknown = bench.run(&["--json", "show", "t-0000"]);
    assert_eq!(unknown.code, 3);
    let error = unknown.error();
    assert_eq!(text(&error, "code"), "not_found");
    assert_eq!(text(&error, "retryable"), "false");
    assert!(text(&error, "message").contains("t-0000"));
    assert!(error.get("hint").is_some());
    let usage = bench.run(&["list", "--limt", "3", "--json"]);
    assert_eq!(usage.code, 2);
    assert_eq!(text(&usage.error(), "code"), "usage");
    assert!(text(&usage.error(), "hint").contains("--limit"));
    let missing = bench.run(&["show", "--json"]);
    assert_eq!((missing.code, text(&missing.error(), "code")), (2, "usage".into()));
    assert!(text(&missing.error(), "message").contains("<ID>"), "{missing:?}");
}

#[test]
fn help_is_no_error_and_tress_alone_is_help() {
    let bench = Bench::bare();
    for args in [[].as_slice(), &["--help"], &["claim", "--help"], &["--version"]] {
        let help = bench.run(args);
        assert_eq!((help.code, help.stderr.as_str()), (0, ""), "{args:?}");
        assert!(help.stdout.contains("tress"), "{args:?}");
    }
    assert!(bench.ok(&["dep", "add", "--help"]).contains("Examples:"));
    assert_eq!(bench.run(&["nonsense"]).code, 2);
}

/// `tress help` was no command, and what other tools call by other names was answered with what looks alike.
#[test]
fn help_is_a_command_and_other_names_lead_to_what_does_it() {
    let bench = Bench::new();
    let id = bench.add("it");
    assert_eq!(bench.ok(&["help"]), bench.ok(&["--help"]));
    assert_eq!(bench.ok(&["help", "claim"]), bench.ok(&["claim", "--help"]));
    assert!(bench.ok(&["help", "dep", "add"]).contains("waits-for-any"));
    let tips = [
        (["search", "x"].as_slice(), "`tress list --text WORDS`"),
        (&["find", "x"], "`tress list --text WORDS`"),
        (&["rename", &id, "x"], "`tress edit ID --title TEXT`"),
        (&["edit", &id, "title", "x"], "--title"),
        (&["claim"], "`tress claim --next`"),
    ];
    for (args, tip) in tips {
        let said = bench.run(args);
        assert_eq!((said.code, said.stderr.contains(tip)), (2, true), "{args:?}: {said:?}");
        let args = [args, &["--json"]].concat();
        assert!(text(&bench.run(&args).error(), "hint").contains(tip), "{args:?}");
    }
    assert!(bench.run(&["lst"]).stderr.contains("'list'"), "a slip is still told as one");
}

/// A number below the range was told to be an option that is not there.
#[test]
fn numbers_below_the_range_are_refused_with_the_range() {
    let bench = Bench::new();
    let id = bench.add("it");
    bench.run(&["add", "x", "-p", "-1"]).fails(2, "a priority is a number from 0");
    bench.run(&["edit", &id, "--priority", "-1"]).fails(2, "a priority is a number from 0");
    bench.run(&["add", "x", "--estimate", "-5"]).fails(2, "no duration");
    bench.ok(&["claim", &id]);
    bench.run(&["begin", &id, "--estimate", "-5"]).fails(2, "no duration");
    bench.run(&["progress", &id, "-5"]).fails(4, "-5 is not a percentage (0 to 100)");
    let verify = ["verify", &id, "--fail", "--reason", "no", "--percent"];
    for percent in ["-1", "101"] {
        bench.run(&[&verify[..], &[percent]].concat()).fails(2, "0..=100");
    }
}

#[test]
fn without_a_store_every_command_says_how_to_make_one() {
    let bench = Bench::bare();
    for args in
        [["list"].as_slice(), &["add", "x"], &["log"], &["fsck"], &["stats"], &["export", "json"]]
    {
        bench.run(args).fails(3, "hint: `tress init`");
    }
    assert!(!bench.path().join(".tress").exists(), "nothing was written");
    assert_eq!(text(&bench.run(&["list", "--json"]).error(), "code"), "no_store");
    bench.run(&["list", "--dir", "nowhere"]).fails(3, "no store");
}

#[test]
fn ids_that_name_nothing_or_too_much_are_refused_helpfully() {
    let bench = Bench::new();
    for external in ["bd-12345", "bd-67890"] {
        bench.ok(&["add", "it", "--external-id", external]);
    }
    bench.run(&["show", "bd-12354"]).fails(3, "did you mean bd-12345");
    bench.run(&["show", "zzzzzz"]).fails(3, "there is no todo");
    let ambiguous = bench.run(&["show", "bd-"]);
    ambiguous.fails(4, "bd-12345");
    assert!(ambiguous.stderr.contains("bd-67890"), "{ambiguous:?}");
    bench.ok(&["show", "bd-1"]);
    bench.run(&["add", "again", "--external-id", "bd-12345"]).fails(5, "has this id already");
}

#[test]
fn input_that_is_not_valid_is_refused() {
    let bench = Bench::new();
    let id = bench.add("it");
    bench.run(&["add", ""]).fails(4, "the title is empty");
    bench.run(&["add", "two\nlines"]).fails(4, "several lines");
    bench.run(&["add", "x", "-p", "7"]).fails(4, "out of range");
    bench.run(&["add", "x", "-p", "high"]).fails(2, "a priority is a number");
    bench.run(&["add", "x", "--label", ""]).fails(4, "a label is empty");
    bench.run(&["add", "x", "--due", "someday"]).fails(4, "is no time");
    bench.run(&["add", "x", "--needs", "t-nope"]).fails(3, "there is no todo");
    bench.run(&["edit", &id, "--title", " "]).fails(4, "the title is empty");
    bench.run(&["--agent", " ", "add", "x"]).fails(4, "name is empty");
    bench.run(&["--role", "king", "list"]).fails(2, "king");
    bench.run(&["--run", "no/run", "list"]).fails(4, "cannot name a run");
    bench.run(&["--run", "other", "list"]).fails(3, "there is no run called other");
    bench.run(&["add", "x", "--at", "now"]).fails(2, "--at is for commands that read");
    assert_eq!(bench.json(&["list", "--all"]).as_array().map(Vec::len), Some(1));
}

/// Slips in names were taken without a word: a section, a commit, a time, an empty commit.
#[test]
fn slips_in_names_are_warned_of_or_refused() {
    let bench = Bench::new();
    bench.write("DESIGN.md", "# D\n\n## Store\n\nAll of it.\n");
    let added = bench.run(&["add", "x", "--section", "nosuch"]);
    assert_eq!((added.code, added.stderr.starts_with("warning: ")), (0, true), "{added:?}");
    assert!(added.stderr.contains("no section nosuch; there is no design yet"), "{added:?}");
    bench.ok(&["import", "markdown", "DESIGN.md", "--as", "design"]);
    let id = text(&bench.json(&["list"]), "0/id");
    let edited = bench.json(&["edit", &id, "--section", "nosuch"]);
    assert!(text(&edited, "warnings/0").contains("; there are "), "{edited}");
    assert_eq!(bench.run(&["edit", &id, "--section", "store"]).stderr, "");

    bench.run(&["add", "x", "--defer", "in -3d"]).fails(4, "is no time");
    bench.run(&["add", "x", "--defer", "3d ago"]).fails(4, "is past");
    bench.ok(&["add", "x", "--defer", "in 3d", "--due", "2020-01-01"]);

    bench.run(&["done", &id, "--commit", ""]).fails(4, "the commit is empty");
    let outside = bench.run(&["done", &id, "--commit", "1a2b3c4"]);
    assert_eq!((outside.code, outside.stderr.as_str()), (0, ""), "no repository, no word");
    let git = |args: &[&str]| {
        let mut git = std::process::Command::new("git");
        git.current_dir(bench.path()).args(["-c", "user.name=a", "-c", "user.email=a@b"]);
        assert!(git.args(args).output().expect("git runs").status.success(), "{args:?}");
    };
    git(&["init", "-q"]);
    git(&["commit", "-q", "--allow-empty", "-m", "x"]);
    let again = bench.add("again");
    let done = bench.run(&["done", &again, "--commit", "nonexist"]);
    assert_eq!(done.code, 0, "it is taken all the same: {done:?}");
    assert_eq!(done.stderr, "warning: git knows no commit nonexist here\n");
    let third = bench.add("third");
    assert_eq!(bench.run(&["done", &third, "--commit", "HEAD"]).stderr, "");

    let token = bench.run(&["token", "create", "--run", "nosuch"]);
    token.fails(3, "there is no run called nosuch");
    token.fails(3, "there are the runs main");
}

/// Commands that cannot go back took `--at` and answered about now.
#[test]
fn what_cannot_go_back_refuses_at() {
    let bench = Bench::new();
    for command in ["runs", "fsck", "doctor", "compact"] {
        bench.run(&[command, "--at", "1h ago"]).fails(2, "--at is for commands that read");
    }
}

#[test]
fn a_store_of_a_newer_format_is_refused() {
    let bench = Bench::new();
    let store = String::from_utf8(bench.read(".tress/store")).expect("it is text");
    bench.write(".tress/store", store.replace("\"major\":1", "\"major\":3"));
    bench.run(&["list"]).fails(6, "has format 3.");
    assert_eq!(text(&bench.run(&["list", "--json"]).error(), "code"), "newer_format");
    bench.write(".tress/store", "not json");
    bench.run(&["list"]).fails(6, "damaged");
}

#[test]
fn nothing_is_coloured_where_nobody_sees_it() {
    let bench = Bench::new();
    bench.ok(&["add", "evil \u{1b}[31m title", "-d", "and \u{1b}[2J text"]);
    let id = text(&bench.json(&["list"]), "0/id");
    for colour in [Some("1"), None] {
        for args in [
            ["list"].as_slice(),
            &["show", &id],
            &["why", &id],
            &["log"],
            &["doctor"],
            &["nonsense"],
        ] {
            let mut command = bench.command("ada", args);
            match colour {
                Some(value) => command.env("NO_COLOR", value),
                None => command.env_remove("NO_COLOR").env("TERM", "xterm-256color"),
            };
            let output = command.output().expect("the binary runs");
            let said = [output.stdout, output.stderr].concat();
            assert!(!said.contains(&0x1b), "{args:?} {}", String::from_utf8_lossy(&said));
        }
    }
}

#[test]
fn a_reader_that_goes_away_is_no_error() {
    let bench = Bench::new();
    let line = |n: usize| format!("{{\"id\":\"bd-{n}\",\"title\":\"{}\"}}\n", "x".repeat(200));
    bench.write("many.jsonl", (0..1000).map(line).collect::<String>());
    bench.ok(&["import", "beads", "many.jsonl"]);
    for args in [["list"].as_slice(), &["list", "--json"], &["log"], &["export", "beads"]] {
        let mut command = bench.command("ada", args);
        let mut child =
            command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("the binary runs");
        drop(child.stdout.take());
        let output = child.wait_with_output().expect("it ends");
        assert_eq!(
            (output.status.code(), output.stderr.as_slice()),
            (Some(0), b"".as_slice()),
            "{args:?}"
        );
    }
}

#[test]
fn tables_keep_to_the_width_of_the_terminal() {
    let bench = Bench::new();
    bench.ok(&["add", &"a very long title ".repeat(20)]);
    let first = text(&bench.json(&["list"]), "0/id");
    bench.ok(&["add", &"another long title ".repeat(20), "--needs", &first]);
    for width in ["80", "120"] {
        for command in [["list"].as_slice(), &["blocked"], &["ready"], &["log"], &["checkpoints"]] {
            let output = bench.command("ada", command).env("COLUMNS", width).output();
            let text = String::from_utf8(output.expect("the binary runs").stdout).expect("UTF-8");
            let longest = text.lines().map(|line| line.chars().count()).max().unwrap_or(0);
            assert!(longest <= width.parse().expect("a number"), "{command:?} at {width}:\n{text}");
        }
    }
}

/// Each row was padded to the longest title where the output goes to a file or a pipe.
#[test]
fn rows_are_not_padded_to_the_longest_where_nobody_counts_columns() {
    let bench = Bench::new();
    bench.add(&"long ".repeat(100));
    bench.add("short");
    let listed = bench.ok(&["list"]);
    assert!(listed.contains(&"long ".repeat(99)), "all of it is there");
    let short = listed.lines().find(|line| line.contains("short")).expect("a row");
    assert!(short.len() < 120 && short.ends_with("just now"), "{short:?}");
    assert!(listed.lines().all(|line| line == line.trim_end()), "{listed}");
    let columns: Vec<_> =
        listed.lines().take(2).map(|line| line.find("TITLE").or(line.find("long"))).collect();
    assert_eq!(columns[0], columns[1], "columns begin below each other: {listed}");
}

#[test]
fn completions_are_there_for_each_shell() {
    let bench = Bench::bare();
    for shell in ["bash", "zsh", "fish"] {
        let script = bench.ok(&["completions", shell]);
        assert!(script.contains("checkpoint"), "{shell}");
    }
    bench.run(&["completions", "tcsh"]).fails(2, "tcsh");
}

/// `--version --json` was no JSON.
#[test]
fn the_version_is_json_where_that_is_asked_for() {
    let bench = Bench::new();
    let version = env!("CARGO_PKG_VERSION");
    assert_eq!(text(&bench.json(&["--version"]), "version"), version);
    assert_eq!(bench.ok(&["--version"]).trim(), format!("tress {version}"));
}

/// The exit code alone told of an answer in JSON that could not be written.
#[cfg(target_os = "linux")]
#[test]
fn an_answer_that_cannot_be_written_is_told_on_stderr() {
    let bench = Bench::new();
    for args in [["list", "--json"].as_slice(), &["show", "nothing", "--json"], &["list"]] {
        let full = std::fs::OpenOptions::new().write(true).open("/dev/full").expect("it is there");
        let told = bench.command("ada", args).stdout(full).output().expect("it runs");
        let stderr = String::from_utf8_lossy(&told.stderr).into_owned();
        assert!(!told.status.success(), "{args:?}");
        assert!(stderr.contains("error: cannot write the answer"), "{args:?}: {stderr}");
        assert_eq!(stderr.matches("cannot write").count(), 1, "{args:?}: {stderr}");
    }
}

/// Lines that were broken by hand, a little too late, left single words on lines of their own.
#[test]
fn no_word_of_a_help_stands_alone() {
    let bench = Bench::new();
    for name in ["fork", "merge"] {
        let help = bench.ok(&[name, "--help"]);
        let alone = |line: &&str| !line.starts_with([' ', '-']) && !line.contains([' ', ':']);
        let alone: Vec<_> = help.lines().filter(|line| !line.is_empty()).filter(alone).collect();
        assert!(alone.is_empty(), "{name}: {alone:?}");
    }
}
