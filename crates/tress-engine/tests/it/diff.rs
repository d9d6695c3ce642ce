//! What differs between two states: each kind of difference, and what holds of all of them.

mod random;

use std::collections::BTreeMap;

use tress_engine::diff::{Difference, Fact, Field, Part, Presence, Value};
use tress_engine::{Draft, Log, difference};
use tress_model::operation::{
    BlockerKind, EdgeKind, FailureClass, Operation as O, Outcome, ProseField, ProseTarget,
    Severity, Splice, TodoEdit, Verdict,
};
use tress_model::{
    Author, Dot, ReplicaId, Role, Rule, State, Status, StoreId, TodoId, VersionVector,
};

/// A run of one replica, at whose state one can look now and then.
struct Story {
    log: Log,
    replica: ReplicaId,
    clock: u64,
}

impl Story {
    fn new(replica: u8, clock: u64) -> Self {
        Self { log: Log::new(), replica: ReplicaId([replica; 16]), clock }
    }

    fn by(&mut self, agent: &str, operation: O) -> Dot {
        self.clock += 10;
        let author =
            Author::new(agent, if agent == "judge" { Role::Verifier } else { Role::Human });
        let draft = Draft { author, occurred: None, operation };
        let store = StoreId([1; 16]);
        let prepared = self.log.prepare(self.replica, store, vec![draft], self.clock);
        let prepared = prepared.expect("a valid operation");
        let dot = prepared.events().first().expect("one event").dot;
        self.log.commit(prepared);
        dot
    }

    fn ada(&mut self, operation: O) -> Dot {
        self.by("ada", operation)
    }

    fn state(&self) -> State {
        State::clone(self.log.state())
    }
}

fn id(name: &str) -> TodoId {
    TodoId::from_external(name)
}

fn add(name: &str) -> O {
    O::TodoAdded {
        todo: id(name),
        external_id: Some(name.to_owned()),
        title: format!("the {name}"),
        edits: Vec::new(),
        prose: Vec::new(),
        labels: Vec::new(),
        layout: None,
    }
}

fn edit(name: &str, edits: Vec<TodoEdit>) -> O {
    O::TodoEdited { todo: id(name), edits }
}

fn needs(name: &str, on: &str, kind: EdgeKind) -> O {
    O::DependencyAdded { todo: id(name), on: id(on), external_id: None, kind, layout: None }
}

fn done(name: &str, token: Option<Dot>) -> O {
    O::CompletionClaimed {
        todo: id(name),
        token,
        commit: None,
        to_integrate: false,
        implementation: "all of it".to_owned(),
        tests: String::new(),
        integration: String::new(),
    }
}

fn verified(name: &str, completion: Dot) -> O {
    O::Verified {
        todo: id(name),
        completion,
        verdict: Verdict::Pass,
        reason: "tests pass".to_owned(),
        percent: 100,
        gaps: Vec::new(),
    }
}

fn decided(title: &str, supersedes: Vec<Dot>) -> O {
    O::DecisionRecorded {
        title: title.to_owned(),
        context: String::new(),
        decision: String::new(),
        rationale: String::new(),
        consequences: String::new(),
        supersedes,
    }
}

/// What the operations of `tell` change, after those of `before`.
fn told<T, U>(
    before: impl FnOnce(&mut Story) -> T,
    tell: impl FnOnce(&mut Story, T) -> U,
) -> Difference {
    let mut story = Story::new(1, 1000);
    let known = before(&mut story);
    let from = story.state();
    tell(&mut story, known);
    let found = difference(&from, &story.state(), (story.clock, story.clock));
    let back = difference(&story.state(), &from, (story.clock, story.clock));
    assert_eq!(normal(&reversed(&found)), normal(&back), "the way back is the way there");
    found
}

fn fact<'a>(found: &'a Difference, name: &str, field: Field) -> &'a Fact {
    let todo = found.todos.iter().find(|todo| todo.todo == id(name)).expect("the todo differs");
    let mut facts = todo.facts.iter().filter(|fact| fact.field == field);
    facts.next().unwrap_or_else(|| panic!("no {} in {todo:?}", field.name()))
}

fn text(text: &str) -> Option<Value> {
    Some(Value::Text(text.to_owned()))
}

fn changed(found: &Difference, name: &str, field: Field) -> (Option<Value>, Option<Value>) {
    let fact = fact(found, name, field);
    (fact.before.clone(), fact.after.clone())
}

/// The facts of an item of the design or the team, and where it is.
fn item(found: &Difference, part: Part, key: &str) -> (Presence, BTreeMap<Field, Option<Value>>) {
    let mut items = found.design.iter().chain(&found.team);
    let item = items.find(|item| item.part == part && item.key == key);
    let item = item.unwrap_or_else(|| panic!("no {} {key:?} in {found:?}", part.name()));
    let facts = item.facts.iter().map(|fact| (fact.field, fact.after.clone()));
    (item.presence, facts.collect())
}

/// The same difference, seen from the other side.
fn reversed(found: &Difference) -> Difference {
    let mut back = found.clone();
    let turn = |presence: &mut Presence| {
        *presence = match *presence {
            Presence::Added => Presence::Gone,
            Presence::Gone => Presence::Added,
            Presence::Changed => Presence::Changed,
        }
    };
    let swap = |facts: &mut Vec<Fact>| {
        facts.iter_mut().for_each(|fact| std::mem::swap(&mut fact.before, &mut fact.after));
    };
    for todo in &mut back.todos {
        turn(&mut todo.presence);
        swap(&mut todo.facts);
    }
    for item in back.design.iter_mut().chain(&mut back.team) {
        turn(&mut item.presence);
        swap(&mut item.facts);
    }
    std::mem::swap(&mut back.ledger.added, &mut back.ledger.gone);
    back
}

/// A difference without the order in which it is told.
fn normal(found: &Difference) -> Vec<String> {
    let facts = |facts: &[Fact]| {
        let mut lines: Vec<String> = facts.iter().map(|fact| format!("{fact:?}")).collect();
        lines.sort_unstable();
        lines
    };
    let items = found.design.iter().chain(&found.team);
    let items = items.map(|item| {
        let facts = facts(&item.facts);
        format!("{:?} {} {:?} {:?} {facts:?}", item.part, item.key, item.todo, item.presence)
    });
    let todos = found.todos.iter();
    let todos = todos.map(|t| format!("{} {:?} {:?}", t.todo, t.presence, facts(&t.facts)));
    let ledger = found.ledger.added.iter().map(|entry| format!("+{entry:?}"));
    let gone = found.ledger.gone.iter().map(|entry| format!("-{entry:?}"));
    let mut lines: Vec<String> = items.chain(todos).chain(ledger).chain(gone).collect();
    lines.sort_unstable();
    lines
}

#[test]
fn todos_come_and_go() {
    let found = told(|story| story.ada(add("parser")), |story, _| story.ada(add("floats")));
    assert_eq!(found.todos.len(), 1);
    let floats = found.todos.first().expect("one");
    assert_eq!((floats.todo, floats.presence), (id("floats"), Presence::Added));
    assert_eq!(fact(&found, "floats", Field::Title).after, text("the floats"));
    let delete = O::Deleted { todo: id("parser"), reason: "not needed".to_owned() };
    let found = told(|story| story.ada(add("parser")), |story, _| story.ada(delete));
    assert_eq!(found.todos.first().map(|todo| todo.presence), Some(Presence::Gone));
    assert_eq!(changed(&found, "parser", Field::Deleted), (None, text("not needed")));
}

#[test]
fn fields_labels_and_prose_are_told_with_both_values() {
    let description = ProseTarget::Todo(id("parser"), ProseField::Description);
    let splice = Splice { at: 0, delete: 0, insert: "all tokens".to_owned() };
    let found = told(
        |story| story.ada(add("parser")),
        |story, _| {
            story.ada(edit(
                "parser",
                vec![
                    TodoEdit::Title("the lexer".to_owned()),
                    TodoEdit::Kind("bug".to_owned()),
                    TodoEdit::Priority(0),
                    TodoEdit::Assignee(Some("bo".to_owned())),
                    TodoEdit::Estimate(Some(90)),
                    TodoEdit::Check(Some("cargo test".to_owned())),
                    TodoEdit::Files(vec!["src/*.rs".to_owned()]),
                    TodoEdit::HighRisk(true),
                    TodoEdit::DueAt(Some(5)),
                    TodoEdit::Extra("sprint".to_owned(), Some("3".to_owned())),
                ],
            ));
            let added = vec!["hot".to_owned()];
            story.ada(O::LabelsChanged { todo: id("parser"), added, removed: Vec::new() });
            story.ada(O::ProseEdited { target: description, splices: vec![splice] });
        },
    );
    let facts = |field| changed(&found, "parser", field);
    assert_eq!(facts(Field::Title), (text("the parser"), text("the lexer")));
    assert_eq!(facts(Field::Kind), (text("task"), text("bug")));
    assert_eq!(facts(Field::Priority), (Some(Value::Number(2)), Some(Value::Number(0))));
    assert_eq!(facts(Field::Assignee), (None, text("bo")));
    assert_eq!(facts(Field::Estimate), (None, Some(Value::Number(90))));
    assert_eq!(facts(Field::Check), (None, text("cargo test")));
    assert_eq!(facts(Field::Files), (None, Some(Value::List(vec!["src/*.rs".to_owned()]))));
    assert_eq!(facts(Field::HighRisk), (None, Some(Value::Flag(true))));
    assert_eq!(facts(Field::DueAt), (None, Some(Value::Time(5))));
    assert_eq!(facts(Field::Extra), (None, text("3")));
    assert_eq!(facts(Field::Label), (None, Some(Value::Flag(true))));
    assert_eq!(fact(&found, "parser", Field::Label).item.as_deref(), Some("hot"));
    assert_eq!(facts(Field::Description), (None, text("all tokens")));
    assert_eq!(found.todos.first().map(|todo| todo.facts.len()), Some(12));
}

#[test]
fn edges_are_told_with_what_they_hold_back() {
    let found = told(
        |story| ["a", "b"].map(|name| story.ada(add(name))),
        |story, _| {
            story.ada(needs("a", "b", EdgeKind::Blocks));
            story.ada(needs("b", "a", EdgeKind::Blocks));
        },
    );
    let edge = fact(&found, "a", Field::Edge);
    assert_eq!((edge.item.as_deref(), edge.target), (Some("blocks"), Some(id("b"))));
    assert_eq!(edge.after, text("holds"));
    assert_eq!(changed(&found, "b", Field::Edge), (None, text("suspended")));
    let status = (Some(Value::Status(Status::Open)), Some(Value::Status(Status::Blocked)));
    assert_eq!(changed(&found, "a", Field::Status), status);
    assert_eq!(found.ledger.added.first().map(|entry| entry.rule), Some(Rule::NoCycles));
}

#[test]
fn a_todo_that_was_not_touched_differs_when_it_was_set_free() {
    let found = told(
        |story| {
            for name in ["a", "b", "c", "d", "e"] {
                story.ada(add(name));
            }
            story.ada(needs("b", "a", EdgeKind::Blocks));
            story.ada(needs("c", "b", EdgeKind::ParentChild));
            story.ada(needs("d", "c", EdgeKind::ParentChild));
            story.ada(needs("a", "c", EdgeKind::RelatesTo));
            story.ada(needs("e", "c", EdgeKind::WaitsFor));
        },
        |story, _| story.ada(O::Closed { todo: id("a"), reason: String::new() }),
    );
    let free = (Some(Value::Status(Status::Blocked)), Some(Value::Status(Status::Open)));
    for name in ["b", "c", "d"] {
        assert_eq!(changed(&found, name, Field::Status), free, "{name}");
    }
    assert!(found.todos.iter().all(|todo| todo.todo != id("e")), "e waits for d still");
}

#[test]
fn a_lease_that_ends_between_the_two_times_is_a_difference() {
    let mut story = Story::new(1, 1000);
    story.ada(add("a"));
    story.by("bo", O::Claimed { todo: id("a"), lease: Some(500), scope: Vec::new() });
    let (state, end) = (story.state(), story.clock + 500);
    assert!(difference(&state, &state, (end - 1, end - 1)).is_empty());
    assert!(difference(&state, &state, (story.clock, end - 1)).is_empty());
    assert!(difference(&state, &state, (end, end + 99)).is_empty());
    let found = difference(&state, &state, (end - 1, end));
    let status = (Some(Value::Status(Status::InProgress)), Some(Value::Status(Status::Open)));
    assert_eq!(changed(&found, "a", Field::Status), status);
    assert_eq!(changed(&found, "a", Field::Holder), (text("bo"), None));
}

#[test]
fn work_is_told_from_the_claim_to_the_verdict() {
    let found = told(
        |story| {
            story.ada(add("a"));
            story.by("bo", O::Claimed { todo: id("a"), lease: None, scope: Vec::new() })
        },
        |story, token| {
            let completion = story.by("bo", done("a", Some(token)));
            story.by("judge", verified("a", completion));
        },
    );
    let status = (Some(Value::Status(Status::InProgress)), Some(Value::Status(Status::Completed)));
    assert_eq!(changed(&found, "a", Field::Status), status);
    assert_eq!(changed(&found, "a", Field::Holder), (text("bo"), None));
    assert_eq!(changed(&found, "a", Field::Completion), (None, text("completed")));
    assert_eq!(changed(&found, "a", Field::Verdict), (None, text("pass")));
    assert_eq!(changed(&found, "a", Field::Verifier), (None, text("judge")));
    assert_eq!(item(&found, Part::Agent, "judge").0, Presence::Added);
}

#[test]
fn what_was_said_of_a_todo_is_told() {
    let found = told(
        |story| {
            story.ada(add("a"));
            let todo = id("a");
            story.by("bo", O::Claimed { todo, lease: None, scope: Vec::new() });
        },
        |story, _| {
            let todo = id("a");
            story.ada(O::NoteAdded { todo, text: "careful".to_owned(), layout: None });
            let (kind, description) = (BlockerKind::Technical, "no key".to_owned());
            let raised = O::BlockerRaised { todo, kind, description, tried: Vec::new() };
            let blocker = story.ada(raised);
            story.ada(O::BlockerResolved { todo, blocker, resolution: "sent".to_owned() });
            let token = story.log.state().todo(todo).and_then(|todo| todo.claim.clone());
            let token = token.expect("bo holds it").token;
            let (class, message) = (FailureClass::Logic, "does not build".to_owned());
            story.by("bo", O::AttemptFailed { todo, token, class, message, retry_at: None });
            let path = "src/a.rs".to_owned();
            story.ada(O::ArtifactRecorded { todo, path, blob: Some("abc".to_owned()) });
            let agent = "cy".to_owned();
            story.ada(O::Assigned { todo, agent, reason: String::new() });
        },
    );
    assert_eq!(changed(&found, "a", Field::Note), (None, text("ada")));
    assert_eq!(fact(&found, "a", Field::Note).item.as_deref(), Some("careful"));
    assert_eq!(changed(&found, "a", Field::Blocker), (None, text("technical")));
    assert_eq!(changed(&found, "a", Field::Resolved), (None, text("sent")));
    assert_eq!(changed(&found, "a", Field::Attempt), (None, text("logic")));
    assert_eq!(changed(&found, "a", Field::Artifact), (None, text("abc")));
    assert_eq!(changed(&found, "a", Field::Assigned), (None, text("cy")));
    assert_eq!(changed(&found, "a", Field::Holder), (text("bo"), None));
}

#[test]
fn the_design_is_compared() {
    let section = |body: &str| O::SectionAdded {
        section: "goals".to_owned(),
        heading: "Goals".to_owned(),
        level: 2,
        position: 1,
        body: body.to_owned(),
    };
    let found = told(
        |story| {
            story.ada(section("small"));
            story.ada(decided("use sled", Vec::new()))
        },
        |story, first| {
            story.ada(section("small and fast"));
            story.ada(O::RequirementAdded {
                requirement: "R1".to_owned(),
                section: "goals".to_owned(),
                text: "in a second".to_owned(),
                kind: "performance".to_owned(),
                criticality: Severity::High,
            });
            story.ada(O::DesignRuleAdded {
                rule: "no-io".to_owned(),
                text: "engine: no std::fs".to_owned(),
                criticality: Severity::Critical,
            });
            story.ada(decided("use files", vec![first]));
            let deviation = story.ada(O::DeviationFound {
                todo: None,
                about: "R1".to_owned(),
                description: "two seconds".to_owned(),
                impact: Severity::Low,
                quality: 90,
                compliance: 50,
                evidence: String::new(),
            });
            story.ada(O::DeviationDecided {
                deviation,
                outcome: Outcome::FixCode,
                rationale: "too slow".to_owned(),
                follow_up: Some(id("a")),
            });
        },
    );
    let (presence, facts) = item(&found, Part::Section, "goals");
    assert_eq!(presence, Presence::Changed);
    assert_eq!(facts, BTreeMap::from([(Field::Body, text("small and fast"))]));
    assert_eq!(item(&found, Part::Requirement, "R1").0, Presence::Added);
    assert_eq!(item(&found, Part::Rule, "no-io").0, Presence::Added);
    assert_eq!(item(&found, Part::Decision, "use files").0, Presence::Added);
    let (presence, facts) = item(&found, Part::Decision, "use sled");
    assert_eq!(presence, Presence::Changed);
    let newer = Some(Value::List(vec!["use files".to_owned()]));
    assert_eq!(facts.get(&Field::SupersededBy), Some(&newer));
    let (_, facts) = item(&found, Part::Deviation, "R1: two seconds");
    assert_eq!(facts.get(&Field::Outcome), Some(&text("fix_code")));
    assert_eq!(facts.get(&Field::FollowUp), Some(&Some(Value::Todo(id("a")))));
}

#[test]
fn the_team_is_compared() {
    let alert = |message: &str| O::AlertRaised {
        alert: "slow".to_owned(),
        priority: Severity::High,
        message: message.to_owned(),
        todo: None,
    };
    let cleared = O::AlertCleared { alert: "slow".to_owned() };
    let found = told(
        |story| story.ada(O::RunResumed),
        |story, _| {
            story.ada(O::RunStarted {
                title: "Tally".to_owned(),
                base: None,
                branch: Some("tress/main".to_owned()),
                settings: vec![("scale".to_owned(), "3".to_owned())],
            });
            story.ada(O::RunFinished { summary: "all done".to_owned() });
            let capabilities = vec!["rust".to_owned()];
            story.by("bo", O::AgentJoined { capabilities, about: "a script".to_owned() });
            story.ada(alert("velocity is low"));
            story.ada(O::BudgetSpent { todo: None, unit: "usd".to_owned(), amount: 1.5 });
            story.ada(O::MetricsRecorded { figures: vec![("speed".to_owned(), 2.0)] });
            let (topic, body) = ("scale".to_owned(), "{}".to_owned());
            story.ada(O::LearningRecorded { topic, body });
            let (root, version) = (story.state().root(), story.state().version);
            let (name, reason, form) = ("one".to_owned(), String::new(), 1);
            story.ada(O::CheckpointTaken { name, version, root, form, reason });
            let version = VersionVector::new();
            story.ada(O::Forked { from: "main".to_owned(), version });
        },
    );
    let (presence, facts) = item(&found, Part::Run, "");
    assert_eq!(presence, Presence::Changed);
    assert_eq!(facts.get(&Field::Phase), Some(&text("finished")));
    assert_eq!(facts.get(&Field::Title), Some(&text("Tally")));
    assert_eq!(facts.get(&Field::Summary), Some(&text("all done")));
    let value = |part, key| item(&found, part, key).1.get(&Field::Value).cloned().flatten();
    assert_eq!(value(Part::Setting, "scale"), text("3"));
    assert_eq!(value(Part::Budget, "usd"), Some(Value::Amount(1.5)));
    assert_eq!(value(Part::Metric, "speed"), Some(Value::Amount(2.0)));
    let (presence, facts) = item(&found, Part::Agent, "bo");
    assert_eq!(presence, Presence::Added);
    assert_eq!(facts.get(&Field::Active), Some(&Some(Value::Flag(true))));
    assert_eq!(item(&found, Part::Alert, "slow").0, Presence::Added);
    assert_eq!(item(&found, Part::Lesson, "scale").0, Presence::Added);
    assert_eq!(item(&found, Part::Checkpoint, "one").0, Presence::Added);
    assert_eq!(item(&found, Part::Lineage, "main").0, Presence::Added);
    let found = told(|story| story.ada(alert("velocity is low")), |story, _| story.ada(cleared));
    assert_eq!(item(&found, Part::Alert, "slow").0, Presence::Gone);
}

#[test]
fn an_alert_about_another_todo_is_another_alert() {
    let alert = |todo| O::AlertRaised {
        alert: "slow".to_owned(),
        priority: Severity::High,
        message: "velocity is low".to_owned(),
        todo: Some(id(todo)),
    };
    let items = |found: &Difference| -> Vec<_> {
        found.team.iter().map(|item| (item.part, item.todo, item.presence)).collect()
    };
    let found = told(|story| story.ada(alert("a")), |story, _| story.ada(alert("b")));
    let [gone, added] = [("a", Presence::Gone), ("b", Presence::Added)]
        .map(|(todo, presence)| (Part::Alert, Some(id(todo)), presence));
    assert_eq!(items(&found), [gone, added]);
    let found = told(
        |story| story.ada(alert("a")),
        |story, _| {
            story.ada(alert("b"));
            story.ada(O::AlertCleared { alert: "slow".to_owned() });
        },
    );
    assert_eq!(items(&found), [gone]);
}

#[test]
fn integrated_work_and_decided_conflicts_are_told() {
    let found = told(
        |story| {
            story.ada(add("a"));
            let mut claim = done("a", None);
            if let O::CompletionClaimed { commit, to_integrate, .. } = &mut claim {
                *commit = Some("abc".to_owned());
                *to_integrate = true;
            }
            let completion = story.by("bo", claim);
            story.by("judge", verified("a", completion));
            completion
        },
        |story, completion| {
            let commit = "def".to_owned();
            story.by("judge", O::Integrated { todo: id("a"), completion, commit });
            story.by("cy", O::Claimed { todo: id("a"), lease: None, scope: Vec::new() });
        },
    );
    assert_eq!(item(&found, Part::Integration, "def").0, Presence::Added);
    assert_eq!(changed(&found, "a", Field::Integrated), (None, text("def")));
    assert_eq!(
        changed(&found, "a", Field::Completion),
        (text("to be integrated"), text("completed"))
    );
    let entry = found.ledger.added.first().expect("cy came too late");
    assert_eq!((entry.rule, &*entry.agent), (Rule::ClosedStaysClosed, "cy"));
    assert!(found.ledger.gone.is_empty());
}

/// Two runs that came to the same by different ways: other replicas, other times, detours.
#[test]
fn two_runs_with_the_same_content_differ_in_nothing() {
    let tell = |mut story: Story, detour: bool| {
        for name in ["a", "b"] {
            story.ada(add(name));
        }
        if detour {
            story.ada(edit("a", vec![TodoEdit::Priority(4)]));
            story.ada(edit("b", vec![TodoEdit::Title("something else".to_owned())]));
            story.ada(edit("b", vec![TodoEdit::Title("the b".to_owned())]));
        }
        story.ada(edit("a", vec![TodoEdit::Priority(1)]));
        story.ada(needs("b", "a", EdgeKind::Blocks));
        let todo = id("a");
        story.ada(O::NoteAdded { todo, text: "careful".to_owned(), layout: None });
        let (kind, description) = (BlockerKind::Requirement, "which?".to_owned());
        story.ada(O::BlockerRaised { todo, kind, description, tried: Vec::new() });
        story.ada(decided("use files", Vec::new()));
        story.by("bo", O::Claimed { todo: id("b"), lease: None, scope: Vec::new() });
        story
    };
    let one = tell(Story::new(1, 1000), false);
    let other = tell(Story::new(9, 5_000_000), true);
    let found = difference(one.log.state(), other.log.state(), (one.clock, other.clock));
    assert!(found.is_empty(), "{found:?}");
    assert_ne!(one.state(), other.state());
}
