//! `reconcile`, `assess` and `decisions`: a design, a repository that deviates, and what is decided.

use std::process::Command;

use crate::{Bench, text, texts};

const DESIGN: &str = "\
# Shop

- **R1** (high, speed): a page is there in 50 ms

```tress-rules
component ui = ui/**
component db = db/**
no-db (critical): forbid ui -> db
```
";

fn git(bench: &Bench, args: &[&str]) {
    let output = Command::new("git")
        .current_dir(bench.path())
        .args(["-c", "user.name=ada", "-c", "user.email=ada@example.com"])
        .args(["-c", "commit.gpgSign=false"])
        .args(args)
        .output()
        .expect("git runs");
    assert!(output.status.success(), "{args:?}: {}", String::from_utf8_lossy(&output.stderr));
}

fn commit(bench: &Bench, page: &str) {
    for dir in ["ui", "db"] {
        std::fs::create_dir_all(bench.path().join(dir)).expect("it can be made");
    }
    bench.write("ui/page.py", page);
    bench.write("db/store.py", "");
    bench.write(".gitignore", "/.tress\n");
    git(bench, &["add", "--all"]);
    git(bench, &["commit", "--quiet", "--message", "work"]);
}

/// A repository whose page imports the store, and a design that forbids it.
fn deviating() -> Bench {
    let bench = Bench::new();
    git(&bench, &["init", "--quiet"]);
    commit(&bench, "import os\nimport db.store\n");
    bench.write("DESIGN.md", DESIGN);
    bench.ok(&["import", "markdown", "DESIGN.md", "--as", "design"]);
    bench
}

#[test]
fn a_critical_deviation_is_shown_with_its_place_and_exit_code_5_until_it_is_fixed() {
    let bench = deviating();
    let dry = bench.run(&["reconcile", "--dry-run"]);
    assert_eq!((dry.code, dry.stderr.as_str()), (5, ""), "{dry:?}");
    assert!(
        dry.stdout.contains("ui/page.py:2: ui must not import db (no-db, critical)"),
        "{dry:?}"
    );
    assert!(bench.ok(&["decisions"]).contains("nothing was decided yet"), "nothing was written");

    let first = bench.run(&["reconcile", "--json"]);
    assert_eq!(first.code, 5);
    let data = &first.envelope()["data"];
    assert_eq!(text(data, "passes"), "false");
    assert_eq!(text(data, "compliance"), "50");
    let deviation = &data["deviations"][0];
    assert_eq!(text(deviation, "file"), "ui/page.py");
    assert_eq!(text(deviation, "line"), "2");
    assert_eq!(text(deviation, "type"), "rule_violation");
    assert_eq!(text(deviation, "outcome"), "fix_code");
    let fix = text(deviation, "follow_up");
    assert_eq!(text(&bench.json(&["show", &fix]), "priority"), "0");
    let again = bench.run(&["reconcile", "--json"]);
    assert_eq!(text(&again.envelope()["data"], "events"), "0");
    assert_eq!(again.code, 5, "it stands");

    let decisions = bench.json(&["decisions", "--about", "no-db"]);
    assert_eq!(texts(&decisions, "what"), ["deviation"]);
    let none = bench.ok(&["decisions", "--about", "R9"]);
    assert!(none.starts_with("none is about R9; there are ") && none.contains("no-db"), "{none}");
    assert_eq!(texts(&decisions, "outcome"), ["fix the code"]);
    assert_eq!(decisions[0].get("quality"), Some(&serde_json::Value::Null), "nobody assessed it");
    // It was said that there is nothing to write, and not why.
    let none = bench.ok(&["decisions", "--adr", "adr"]);
    assert!(
        none.contains("1 deviation was decided by having the code follow the design"),
        "{none}"
    );
    assert!(!bench.path().join("adr").exists());
    assert!(text(&decisions, "0/rationale").contains("critical"));

    commit(&bench, "import os\n");
    let fixed = bench.ok(&["reconcile"]);
    assert!(fixed.contains("complies to 100 %: 0 deviations"), "{fixed}");
    assert_eq!(text(&bench.json(&["show", &fix]), "status"), "closed");
}

#[test]
fn the_baseline_is_accepted_once_and_then_only_shrinks() {
    let bench = deviating();
    let tried = bench.ok(&["reconcile", "--baseline", "--dry-run"]);
    assert!(tried.contains("+ allow ui/page.py -> db/store.py for no-db"), "{tried}");
    bench.ok(&["reconcile", "--baseline"]);
    let data = bench.json(&["reconcile"]);
    assert_eq!((text(&data, "known"), text(&data, "passes")), ("1".into(), "true".into()));
    assert!(bench.ok(&["reconcile", "--baseline"]).contains("there is nothing to put"));
    // Importing the design again leaves the baseline alone.
    bench.ok(&["import", "markdown", "DESIGN.md", "--as", "design"]);
    assert_eq!(text(&bench.json(&["reconcile"]), "known"), "1");

    bench.write("ui/more.py", "import db.store\n");
    commit(&bench, "import db.store\n");
    bench.run(&["reconcile", "--baseline"]).fails(5, "would grow by 1 violation");
    bench.ok(&["reconcile", "--baseline", "--force"]);
    assert_eq!(text(&bench.json(&["reconcile"]), "known"), "2");
    bench.write("ui/more.py", "");
    commit(&bench, "\n");
    assert_eq!(text(&bench.json(&["reconcile"]), "known"), "0");
    assert_eq!(bench.run(&["reconcile", "--force"]).code, 2, "--force needs --baseline");
}

#[test]
fn an_assessment_counts_by_its_evidence_and_becomes_a_record() {
    let bench = deviating();
    commit(&bench, "");
    let id = bench.add("make the page");
    let assess = |agent: &str, compliance: &str, evidence: &str| {
        let args = [
            "assess",
            &id,
            "--about",
            "R1",
            "--compliance",
            compliance,
            "--quality",
            "70",
            "--evidence",
            evidence,
        ];
        bench.run_as(agent, &args)
    };
    assess("bob", "95", " ").fails(4, "would not count");
    let unknown = ["assess", &id, "--about", "R9", "--compliance", "1", "--quality", "1"];
    let unknown = [&unknown[..], &["--evidence", "x"]].concat();
    bench.run(&unknown).fails(3, "there are R1");
    let too_much = assess("bob", "101", "x");
    assert_eq!(too_much.code, 2, "{too_much:?}");
    let given = assess("bob", "95", "p99 is 53 ms");
    assert!(given.stdout.contains("`tress reconcile` decides"), "{given:?}");

    let data = bench.json(&["reconcile"]);
    assert_eq!(text(&data, "deviations/0/outcome"), "document_deviation");
    assert_eq!(text(&data, "deviations/0/type"), "requirement_unmet");
    assert_eq!(text(&bench.json(&["decisions", "--about", "R1"]), "0/quality"), "70");
    let written = bench.json(&["decisions", "--adr", "adr"]);
    let file = text(&written, "files/0");
    assert_eq!(file, "adr/0001-accept-for-now-requirement-r1-as-implemented-r1.md");
    let record = String::from_utf8(bench.read(&file)).expect("it is text");
    assert!(record.starts_with("---\nstatus: \"accepted\"\n"), "{record}");
    assert!(record.contains("Evidence: bob: p99 is 53 ms"), "{record}");
}

#[test]
fn what_is_wrong_is_said_with_what_to_do_next() {
    let bench = Bench::new();
    bench.run(&["reconcile"]).fails(4, "is not in a git repository");
    git(&bench, &["init", "--quiet"]);
    commit(&bench, "");
    assert!(bench.ok(&["reconcile"]).contains("neither rules nor requirements"));
    bench.run(&["reconcile", "nowhere"]).fails(3, "there is no commit nowhere");
    bench.write(
        "DESIGN.md",
        "```tress-rules\nold: forbid ui/** -> legacy/**\nbad: forbid ui db\n```\n",
    );
    bench.ok(&["import", "markdown", "DESIGN.md", "--as", "design"]);
    let ill = bench.run(&["reconcile"]);
    assert_eq!(ill.code, 5, "a rule that checks nothing fails");
    assert!(ill.stdout.contains("rule old, line 1: legacy/** matches no file"), "{ill:?}");
    assert!(ill.stdout.contains("rule bad, line 1, column 11: -> is missing"), "{ill:?}");
}
