//! The design reconciler, on states made with the library and on real repositories.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;

use tress::operation::{EdgeKind, Outcome, Severity, TodoEdit, Verdict};
use tress::state::design::Deviation;
use tress::{Operation, Role, Run, State, Status, Store, TodoId, now};
use tress_inspect::imports::Graph;
use tress_run::git::{Signature, Tree};
use tress_run::reconcile::{
    COMPLIANCE, Seen, accept, adr, alert_key, early, examine, reconcile, reconcile_commit, record,
};

use super::{git, repository};

const CLEAN: [(&str, &str); 3] =
    [("ui/page.py", "import app.core\n"), ("app/core.py", ""), ("db/store.py", "")];
const FORBIDDEN: [(&str, &str); 3] = [
    ("ui/page.py", "import app.core\nimport db.store\n"),
    ("app/core.py", ""),
    ("db/store.py", ""),
];

fn rule(key: &str, text: &str, criticality: Severity) -> Operation {
    Operation::DesignRuleAdded { rule: key.to_owned(), text: text.to_owned(), criticality }
}

fn rules(criticality: Severity) -> [Operation; 3] {
    [
        rule("ui", "component ui = ui/**", Severity::Medium),
        rule("db", "component db = db/**", Severity::Medium),
        rule("no-db", "forbid ui -> db", criticality),
    ]
}

fn assessed(todo: &str, about: &str, figures: (u8, u8), evidence: &str) -> Operation {
    Operation::AssessmentGiven {
        todo: Some(TodoId::from_external(todo)),
        about: about.to_owned(),
        compliance: figures.0,
        quality: figures.1,
        evidence: evidence.to_owned(),
    }
}

/// A run whose design has these operations.
async fn run(operations: impl IntoIterator<Item = Operation>) -> Run {
    let run = Store::in_memory().unwrap().create_run("main").await.unwrap();
    say(&run, "ada", operations).await;
    run
}

async fn say(run: &Run, agent: &str, operations: impl IntoIterator<Item = Operation>) {
    run.agent(agent, Role::Human).append(operations).await.unwrap();
}

fn seen(files: &[(&str, &str)]) -> Arc<Seen> {
    let graph = Graph::of(files.iter().copied());
    Arc::new(Seen { graph, commit: Some("c1".to_owned()), change: None })
}

/// The names of the operations that are said of a commit.
async fn said(run: &Run, seen: &Arc<Seen>) -> Vec<&'static str> {
    let events = record(run, seen).await.unwrap().events;
    events.iter().map(|event| event.operation.name()).collect()
}

fn deviation(state: &State) -> &Deviation {
    state.design.deviations.last().unwrap()
}

fn outcome(state: &State) -> Outcome {
    deviation(state).decided.as_ref().unwrap().0
}

fn follow_up(state: &State) -> &tress::Todo {
    state.todo(deviation(state).decided.as_ref().unwrap().2.unwrap()).unwrap()
}

fn edges(state: &State) -> Vec<(TodoId, EdgeKind)> {
    let edges = state.edges(follow_up(state).id).iter();
    edges.map(|edge| (edge.on, edge.kind.clone())).collect()
}

#[tokio::test]
async fn a_violation_is_found_once_decided_once_and_cleared_when_it_is_gone() {
    let run = run(rules(Severity::Critical)).await;
    let forbidden = seen(&FORBIDDEN);
    assert_eq!(
        said(&run, &forbidden).await,
        ["deviation_found", "metrics_recorded", "todo_added", "alert_raised", "deviation_decided",]
    );
    let state = run.state();
    assert_eq!(outcome(&state), Outcome::FixCode);
    let fix = follow_up(&state);
    assert_eq!((fix.priority, &*fix.files), (0, &["ui/page.py".to_owned()][..]));
    assert_eq!(fix.title, "take the import of db/store.py out of ui/page.py (rule no-db)");
    assert_eq!(deviation(&state).evidence, "ui/page.py:2 at c1");
    assert!(said(&run, &forbidden).await.is_empty(), "it is said once");

    let clean = seen(&CLEAN);
    assert_eq!(said(&run, &clean).await, ["alert_cleared", "closed", "metrics_recorded"]);
    assert!(said(&run, &clean).await.is_empty());
    assert_eq!(run.state().team.metrics.get(COMPLIANCE), Some(&100.0));

    // It comes back: that is another deviation.
    assert_eq!(said(&run, &forbidden).await.first(), Some(&"deviation_found"));
    assert_eq!(run.state().design.deviations.len(), 2);
}

/// Claims of completion that a verifier refused were counted as fixes, and the todo was left to a person sooner.
#[tokio::test]
async fn a_fix_that_fixes_nothing_is_open_again_three_times_however_often_it_was_refused() {
    let run = run(rules(Severity::Critical)).await;
    let forbidden = seen(&FORBIDDEN);
    said(&run, &forbidden).await;
    let todo = follow_up(&run.state()).id;
    let done = Operation::CompletionClaimed {
        todo,
        token: None,
        commit: None,
        to_integrate: false,
        implementation: String::new(),
        tests: String::new(),
        integration: String::new(),
    };
    for round in 0..4 {
        for verdict in [Verdict::Fail, Verdict::Fail, Verdict::Pass] {
            let claimed = run.agent("bob", Role::Implementer).append([done.clone()]).await.unwrap();
            let (completion, reason) = (claimed[0].dot, "so".to_owned());
            let (percent, gaps) = (100, Vec::new());
            let answer = Operation::Verified { todo, completion, verdict, reason, percent, gaps };
            run.agent("vera", Role::Verifier).append([answer]).await.unwrap();
        }
        assert!(run.state().todo(todo).unwrap().completed().is_some());
        let reopened = said(&run, &forbidden).await.contains(&"reopened");
        assert_eq!(reopened, round < 3, "round {round}");
    }
}

#[tokio::test]
async fn what_the_same_state_gives_does_not_depend_on_when_it_is_asked() {
    let run = run(rules(Severity::Low)).await;
    let state = run.state();
    let forbidden = seen(&FORBIDDEN);
    assert_eq!(reconcile(&state, &forbidden, now()), reconcile(&state, &forbidden, now() + 99));
    assert_eq!(examine(&state, &forbidden), examine(&state, &forbidden));
}

#[tokio::test]
async fn a_minor_violation_among_many_imports_is_documented_and_goes_on_the_baseline() {
    let run = run(rules(Severity::Medium)).await;
    let mut files: Vec<(String, String)> =
        (0..9).map(|at| (format!("ui/p{at}.py"), "import app.core\n".to_owned())).collect();
    files.extend(FORBIDDEN.map(|(path, text)| (path.to_owned(), text.to_owned())));
    let graph = Graph::of(files.iter().map(|(path, text)| (path, text)));
    let some = Arc::new(Seen { graph, commit: None, change: None });
    said(&run, &some).await;
    let state = run.state();
    assert_eq!(outcome(&state), Outcome::DocumentDeviation);
    assert_eq!(deviation(&state).compliance, 90);
    let later = follow_up(&state);
    assert!(later.labels.contains_key("phase-2"));
    assert_eq!(later.priority, 3);
    let key = "allow:no-db: ui/page.py -> db/store.py";
    assert_eq!(state.design.rules[key].text, "allow ui/page.py -> db/store.py for no-db");
    let (_, record) = adr::records(&state).pop().unwrap();
    for part in [
        "status: \"accepted\"",
        "# Accept for now: ui/page.py -> db/store.py [no-db]",
        "## Context and Problem Statement",
        "* Fix the code.",
        "Chosen option: \"Document the deviation, and settle it in phase 2\", because its \
         compliance is 90 %",
        "### Consequences",
    ] {
        assert!(record.contains(part), "no {part:?} in {record}");
    }
    assert!(said(&run, &some).await.is_empty());

    // Once it is mended, the baseline shrinks and its todo has nothing left to do.
    let mut names = said(&run, &seen(&CLEAN)).await;
    names.sort_unstable();
    assert_eq!(names, ["closed", "design_rule_removed", "metrics_recorded"]);
    assert!(said(&run, &seen(&CLEAN)).await.is_empty());
}

#[tokio::test]
async fn new_evidence_of_a_superior_implementation_updates_the_design() {
    let run = run(rules(Severity::High)).await;
    let forbidden = seen(&FORBIDDEN);
    said(&run, &forbidden).await;
    assert_eq!(outcome(&run.state()), Outcome::FixCode);
    let fix = follow_up(&run.state()).id;

    let blank = Operation::AssessmentGiven {
        todo: None,
        about: "no-db".to_owned(),
        compliance: 100,
        quality: 100,
        evidence: " ".to_owned(),
    };
    say(&run, "eve", [blank.clone()]).await;
    assert!(said(&run, &forbidden).await.is_empty(), "a word without evidence changes nothing");

    let mut good = blank;
    if let Operation::AssessmentGiven { evidence, .. } = &mut good {
        *evidence = "bench: 40 % faster".to_owned();
    }
    say(&run, "bob", [good]).await;
    said(&run, &forbidden).await;
    let state = run.state();
    assert_eq!(outcome(&state), Outcome::UpdateDesign);
    let key = "except:no-db: ui/page.py -> db/store.py";
    assert_eq!(state.design.rules[key].text, "except ui/page.py -> db/store.py for no-db");
    assert_eq!(state.design.decisions.len(), 1);
    assert!(state.todo(fix).unwrap().finished(), "there is nothing left to fix");
    assert!(examine(&state, &forbidden).findings.is_empty());
    assert!(said(&run, &forbidden).await.is_empty());
}

fn requirement(criticality: Severity) -> Operation {
    Operation::RequirementAdded {
        requirement: "R1".to_owned(),
        section: "storage".to_owned(),
        text: "nothing is lost".to_owned(),
        kind: "durability".to_owned(),
        criticality,
    }
}

fn todo(name: &str) -> Operation {
    let mut added = tress::todo(TodoId::from_external(name), format!("make {name}"));
    if let Operation::TodoAdded { external_id, edits, .. } = &mut added {
        *external_id = Some(name.to_owned());
        edits.push(TodoEdit::Files(vec![format!("{name}/**")]));
    }
    added
}

#[tokio::test]
async fn a_requirement_is_held_against_its_assessments_until_its_fix_is_assessed() {
    let run = run([requirement(Severity::Critical), todo("store")]).await;
    let nothing = seen(&[]);
    assert_eq!(said(&run, &nothing).await, ["metrics_recorded"], "nobody assessed it");
    say(&run, "bob", [assessed("store", "R1", (95, 40), "kill -9 lost a page")]).await;
    said(&run, &nothing).await;
    let state = run.state();
    assert_eq!(outcome(&state), Outcome::FixCode);
    let fix = follow_up(&state);
    assert_eq!(fix.section.as_deref(), Some("storage"));
    assert_eq!(edges(&state), [(TodoId::from_external("store"), EdgeKind::DiscoveredFrom)]);
    assert_eq!(examine(&state, &nothing).compliance(), 0);
    assert!(said(&run, &nothing).await.is_empty());

    // The fix is assessed and is none: a deviation of its own.
    let again = |compliance| Operation::AssessmentGiven {
        todo: Some(fix.id),
        about: "R1".to_owned(),
        compliance,
        quality: 70,
        evidence: "10 000 runs".to_owned(),
    };
    say(&run, "cyd", [again(97)]).await;
    said(&run, &nothing).await;
    assert_eq!(run.state().design.deviations.len(), 2);
    assert!(said(&run, &nothing).await.is_empty());
    // Another assessment says that it is one now; what bob said of the old work counts no more.
    say(&run, "cyd", [again(100)]).await;
    said(&run, &nothing).await;
    let state = run.state();
    assert_eq!(examine(&state, &nothing).compliance(), 100);
    let open = state.team.alerts.values().filter(|alert| alert.cleared_at.is_none());
    assert_eq!(open.count(), 0);
    assert!(said(&run, &nothing).await.is_empty());
}

#[tokio::test]
async fn a_requirement_that_is_nearly_met_is_documented_and_a_better_one_amended() {
    let run = run([requirement(Severity::Medium), todo("store")]).await;
    let nothing = seen(&[]);
    say(&run, "bob", [assessed("store", "R1", (92, 50), "trace.txt")]).await;
    said(&run, &nothing).await;
    assert_eq!(outcome(&run.state()), Outcome::DocumentDeviation);
    assert!(said(&run, &nothing).await.is_empty());
    say(&run, "bob", [assessed("store", "R1", (92, 95), "a proof")]).await;
    said(&run, &nothing).await;
    let state = run.state();
    assert_eq!(outcome(&state), Outcome::UpdateDesign);
    let text = &state.design.requirements["R1"].text;
    assert_eq!(text, "nothing is lost (amended, as implemented: bob: a proof)");
    let superseded = &state.design.decisions.front().unwrap().superseded_by;
    assert_eq!(superseded.len(), 1, "the later decision takes the place of the earlier");
    let records = adr::records(&state);
    assert!(records[0].1.contains(&format!("superseded by [{}]", records[1].0)), "{records:?}");
    assert!(said(&run, &nothing).await.is_empty());
}

#[tokio::test]
async fn what_others_report_is_decided_by_the_matrix_and_settled_by_its_todo() {
    let run = run([todo("store")]).await;
    let report = Operation::DeviationFound {
        todo: Some(TodoId::from_external("store")),
        about: "naming".to_owned(),
        description: "modules are named by hand".to_owned(),
        impact: Severity::High,
        quality: 50,
        compliance: 50,
        evidence: "src/a1.rs".to_owned(),
    };
    say(&run, "bob", [report]).await;
    said(&run, &seen(&[])).await;
    let state = run.state();
    assert_eq!(outcome(&state), Outcome::FixCode);
    assert!(said(&run, &seen(&[])).await.is_empty());
    let closed = Operation::Closed { todo: follow_up(&state).id, reason: "done".to_owned() };
    say(&run, "bob", [closed]).await;
    assert_eq!(said(&run, &seen(&[])).await, ["alert_cleared"]);
    assert!(said(&run, &seen(&[])).await.is_empty());
}

#[tokio::test]
async fn only_what_a_change_touched_is_its_todo_s() {
    let run = run(rules(Severity::High).into_iter().chain([todo("page")])).await;
    let mut files = FORBIDDEN.to_vec();
    files.push(("ui/old.py", "import db.store\n"));
    let id = TodoId::from_external("page");
    let change = Some((id, BTreeSet::from(["ui/page.py".to_owned()])));
    let graph = Graph::of(files);
    said(&run, &Arc::new(Seen { graph, commit: None, change })).await;
    let state = run.state();
    let found = state.design.deviations.iter();
    let found: Vec<_> = found.map(|d| (d.description.split(' ').next().unwrap(), d.todo)).collect();
    assert_eq!(found, [("ui/old.py", None), ("ui/page.py", Some(id))]);
    assert_eq!(edges(&state), [(id, EdgeKind::DiscoveredFrom)]);
}

#[tokio::test]
async fn rules_that_do_not_work_raise_alerts_and_leave_what_they_found_alone() {
    let run = run(rules(Severity::Critical)).await;
    let forbidden = seen(&FORBIDDEN);
    said(&run, &forbidden).await;
    say(&run, "ada", [rule("no-db", "forbid ui db", Severity::Critical)]).await;
    said(&run, &forbidden).await;
    let state = run.state();
    let alert = &state.team.alerts["rule:no-db"];
    assert!(alert.message.contains("-> is missing"), "{}", alert.message);
    let held = &state.team.alerts[&alert_key(deviation(&state))];
    assert_eq!(held.cleared_at, None, "what cannot be checked is not gone");
    assert!(examine(&state, &forbidden).fails());
    assert!(said(&run, &forbidden).await.is_empty());
    say(&run, "ada", rules(Severity::Critical)).await;
    assert!(said(&run, &forbidden).await.contains(&"alert_cleared"));

    say(&run, "ada", [rule("old", "forbid ui -> legacy/**", Severity::Low)]).await;
    said(&run, &forbidden).await;
    let message = &run.state().team.alerts["rule:old"].message;
    assert_eq!(message, "legacy/** of the rule old matches no file");
}

#[tokio::test]
async fn the_baseline_is_written_once_and_grows_only_by_force() {
    let run = run(rules(Severity::Critical)).await;
    let forbidden = seen(&FORBIDDEN);
    let (operations, lines) = accept(&run.state(), &forbidden, false).unwrap();
    assert_eq!(lines, 1);
    say(&run, "ada", operations).await;
    let examined = examine(&run.state(), &forbidden);
    assert_eq!((examined.findings.len(), examined.report.known.len()), (0, 1));
    assert_eq!(examined.compliance(), 50, "a known violation is one");
    assert_eq!(accept(&run.state(), &forbidden, false).unwrap(), (Vec::new(), 0));
    let mut more = FORBIDDEN.to_vec();
    more.push(("ui/other.py", "import db.store\n"));
    assert_eq!(accept(&run.state(), &seen(&more), false), Err(1));
    assert_eq!(accept(&run.state(), &seen(&more), true).unwrap().1, 1);
}

#[tokio::test]
async fn two_agents_on_both_sides_of_a_rule_are_warned_until_one_has_left() {
    let run = run(rules(Severity::High).into_iter().chain([todo("ui"), todo("db")])).await;
    assert!(early(&run.state(), None, now()).is_empty());
    for (agent, name) in [("bob", "ui"), ("cyd", "db")] {
        let claimed = Operation::Claimed {
            todo: TodoId::from_external(name),
            lease: None,
            scope: Vec::new(),
        };
        say(&run, agent, [claimed]).await;
    }
    let warned = early(&run.state(), None, now());
    let [Operation::AlertRaised { alert, priority, message, .. }] = &*warned else {
        panic!("{warned:?}");
    };
    assert!(alert.starts_with("early:no-db:"), "{alert}");
    assert_eq!(*priority, Severity::High);
    assert!(message.contains("ui (bob) and db (cyd)"), "{message}");
    say(&run, "reconciler", warned.clone()).await;
    assert!(early(&run.state(), None, now()).is_empty());
    let closed = Operation::Closed { todo: TodoId::from_external("db"), reason: String::new() };
    say(&run, "cyd", [closed]).await;
    let cleared = early(&run.state(), None, now());
    assert!(matches!(&*cleared, [Operation::AlertCleared { .. }]), "{cleared:?}");
}

/// Commits files on the checked-out branch.
async fn commit(tree: &Tree, dir: &Path, files: &[(&str, &str)]) -> String {
    for (path, text) in files {
        let path = dir.join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }
    tree.commit_all(&Signature { name: "bob".to_owned() }, "work").await.unwrap()
}

#[tokio::test]
async fn a_commit_with_a_forbidden_import_is_found_decided_and_cleared_by_its_fix() {
    let dir = tempfile::tempdir().unwrap();
    let tree = repository(dir.path()).await;
    let store = Store::create(dir.path().join(".tress")).unwrap();
    let run = store.create_run("main").await.unwrap();
    say(&run, "ada", rules(Severity::Critical).into_iter().chain([todo("page")])).await;
    let first = commit(&tree, dir.path(), &CLEAN).await;
    let clean = reconcile_commit(&tree, &run, &first, None).await.unwrap();
    assert_eq!((clean.examined.findings.len(), clean.examined.compliance()), (0, 100));

    let second = commit(&tree, dir.path(), &FORBIDDEN).await;
    let page = TodoId::from_external("page");
    let change = Some((page, first.as_str()));
    let found = reconcile_commit(&tree, &run, &second, change).await.unwrap();
    assert!(found.examined.fails());
    let finding = &found.examined.findings[0];
    assert_eq!(finding.place, Some(("ui/page.py".to_owned(), 2)));
    let state = &found.state;
    assert_eq!((outcome(state), deviation(state).todo), (Outcome::FixCode, Some(page)));
    let fix = follow_up(state);
    assert_eq!(state.status_of(fix, now()), Status::Open);
    let again = reconcile_commit(&tree, &run, &second, change).await.unwrap();
    assert!(again.events.is_empty(), "{:?}", again.events);

    let third = commit(&tree, dir.path(), &CLEAN).await;
    let mended = reconcile_commit(&tree, &run, &third, None).await.unwrap();
    assert!(!mended.examined.fails() && mended.examined.findings.is_empty());
    assert_eq!(mended.state.status_of(mended.state.todo(fix.id).unwrap(), now()), Status::Closed);
}

#[tokio::test]
async fn the_files_of_a_commit_are_read_whatever_they_are_called() {
    let dir = tempfile::tempdir().unwrap();
    let tree = repository(dir.path()).await;
    let big = "x".repeat(300_000);
    let files = [("a b/ü.py", "import os"), ("empty.py", ""), ("big.txt", big.as_str())];
    let commit = commit(&tree, dir.path(), &files).await;
    let found = tree.files(&commit).await.unwrap();
    let paths: Vec<_> = found.iter().map(|file| file.path.as_str()).collect();
    assert_eq!(paths, [".gitignore", "README.md", "a b/ü.py", "big.txt", "empty.py"]);
    let blobs: Vec<_> = found.iter().map(|file| file.blob.as_str()).collect();
    let texts = tree.blobs(&blobs).await.unwrap();
    assert_eq!(texts.iter().map(Vec::len).collect::<Vec<_>>(), [8, 9, 9, 300_000, 0]);
    // More than a pipe holds, in both directions.
    let many: Vec<_> = std::iter::repeat_n(blobs[2], 20_000).collect();
    assert_eq!(tree.blobs(&many).await.unwrap().len(), 20_000);
    let error = tree.blobs(&["0000000000000000000000000000000000000000"]).await.unwrap_err();
    assert!(error.to_string().contains("is no blob"), "{error}");
    assert!(tree.files("nowhere").await.is_err());
    git(dir.path(), &["fsck"]);
}

/// Numbers that look random and are the same each time (Steele, Lea and Flood, SplitMix64, 2014).
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % sides
    }

    fn pick<T: Copy>(&mut self, choices: &[T]) -> T {
        let at = usize::try_from(self.roll(choices.len() as u64)).unwrap();
        *choices.get(at).unwrap()
    }

    fn severity(&mut self) -> Severity {
        self.pick(&[Severity::Low, Severity::Medium, Severity::High, Severity::Critical])
    }
}

/// Something that happens between two reconciliations.
fn happening(dice: &mut Dice, state: &State) -> (&'static str, Vec<Operation>) {
    let agent = dice.pick(&["ada", "bob", "cyd"]);
    let todos: Vec<_> = state.todos.values().filter(|todo| !todo.finished()).collect();
    let todo = todos.get(usize::try_from(dice.roll(4)).unwrap()).map(|todo| todo.id);
    let operation = match dice.roll(10) {
        0 | 1 | 8 | 9 => Operation::AssessmentGiven {
            todo,
            about: dice.pick(&["no-db", "R1", "R1", "layered"]).to_owned(),
            compliance: dice.pick(&[100, 100, 95, 92, 40]),
            quality: dice.pick(&[100, 95, 80, 70, 50]),
            evidence: dice.pick(&["", "measured", "traced"]).to_owned(),
        },
        2 => requirement(dice.severity()),
        3 => rule("no-db", "forbid ui -> db", dice.severity()),
        4 => rule("no-db", "forbid ui db", Severity::Low),
        5 => rule("layered", "layers ui/** > app/** > db/**", dice.severity()),
        6 => match todo {
            Some(todo) => Operation::Closed { todo, reason: "so".to_owned() },
            None => Operation::RequirementRemoved { requirement: "R1".to_owned() },
        },
        _ => match todo {
            Some(todo) => Operation::Claimed { todo, lease: None, scope: Vec::new() },
            None => Operation::DesignRuleRemoved { rule: "layered".to_owned() },
        },
    };
    (agent, vec![operation])
}

/// Whatever happens between, a second reconciliation has nothing to say, and what is to be fixed
/// has exactly one open alert. The seed is in the message.
#[tokio::test]
async fn whatever_happens_the_second_time_nothing_is_said() {
    let mut decided = Vec::new();
    for seed in 0..24 {
        let mut dice = Dice(seed);
        let run = run(rules(Severity::Medium).into_iter().chain([todo("store")])).await;
        for step in 0..25 {
            let (agent, operations) = happening(&mut dice, &run.state());
            say(&run, agent, operations).await;
            let line = |dice: &mut Dice, line: &'static str| dice.pick(&[line, ""]);
            let page = format!("import app.core\n{}", line(&mut dice, "import db.store\n"));
            let core = line(&mut dice, "import ui.page\n");
            let store = line(&mut dice, "import app.core\n");
            let now_seen =
                seen(&[("ui/page.py", &page), ("app/core.py", core), ("db/store.py", store)]);
            let first = record(&run, &now_seen).await.unwrap();
            assert!(first.events.len() < 60, "seed {seed}, step {step}: {:#?}", first.events);
            let second = record(&run, &now_seen).await.unwrap();
            assert!(second.events.is_empty(), "seed {seed}, step {step}: {:#?}", second.events);
            let fixes = first.examined.findings.iter().filter(|finding| {
                let standing = finding.standing.expect("everything is found");
                let held = first.state.design.deviations.iter().find(|d| d.dot == standing);
                held.unwrap().decided.as_ref().expect("and decided").0 == Outcome::FixCode
            });
            let unread = first.examined.mistakes.len();
            let alerts = first.state.team.alerts.iter();
            let alerts = alerts
                .filter(|(key, alert)| key.starts_with("deviation:") && alert.cleared_at.is_none());
            let (fixes, alerts) = (fixes.count(), alerts.count());
            let agree = if unread == 0 { fixes == alerts } else { fixes <= alerts };
            assert!(agree, "seed {seed}, step {step}: {fixes} fixes and {alerts} alerts");
        }
        let state = run.state();
        let outcomes = state.design.deviations.iter().filter_map(|d| d.decided.clone());
        decided.extend(outcomes.map(|(outcome, _, _)| outcome));
    }
    for outcome in [Outcome::UpdateDesign, Outcome::FixCode, Outcome::DocumentDeviation] {
        let times = decided.iter().filter(|&&decided| decided == outcome).count();
        assert!(times >= 3, "{outcome:?} came {times} times");
    }
}

#[tokio::test]
async fn more_deviations_than_one_pass_finds_are_found_by_the_next() {
    let run = run(rules(Severity::Low)).await;
    let count = tress_run::reconcile::FOUND_MAX + 1;
    let pages = (0..count).map(|at| (format!("ui/p{at}.py"), "import db.store\n"));
    let files: Vec<_> = pages.chain([("db/store.py".to_owned(), "")]).collect();
    let graph = Graph::of(files);
    let many = Arc::new(Seen { graph, commit: None, change: None });
    let first = reconcile(&run.state(), &many, now());
    let found = |operation: &&Operation| operation.name() == "deviation_found";
    assert_eq!(first.iter().filter(found).count(), tress_run::reconcile::FOUND_MAX);
    said(&run, &many).await;
    let state = run.state();
    assert_eq!(state.design.deviations.len(), count);
    assert!(state.design.deviations.iter().all(|deviation| deviation.decided.is_some()));
    assert!(said(&run, &many).await.is_empty());
}
