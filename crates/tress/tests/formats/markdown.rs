//! Todo lists and designs that people write.

use proptest::prelude::*;
use tress::formats::{Import, Planned, Problem, ProblemKind as K, markdown};
use tress_model::operation::{EdgeKind, Operation, ProseField, Severity, TodoEdit};
use tress_model::state::State;
use tress_model::{Status, Todo, TodoId};

use crate::support::{Bench, NOON, fold};

const LIST: &str = r#"# Rewrite the query engine

What this is about, for people.

## Parsing

- [ ] Write the lexer (id: lexer) (files: src/lex.rs, src/lex/{a,b}.rs)
- [ ] Write the parser (id: parser) (needs: lexer) (priority: 1) (estimate: 1h30m)
  (check: cargo test -q -p parser && (cd fuzz && cargo run)) (can: rust, sql)

  Recursive descent, by hand.
  Errors carry a span:

  ```text
  - [ ] not an item
  	1:5: expected `)`
  ```
  - [x] Choose a grammar (kind: decision)
  - [ ] Report errors (risk: high) (labels: ux, errors)

## Storage engine

1. [ ] Page cache (section: storage)
2. [X] Page cache
"#;

fn named<'a>(state: &'a State, id: &str) -> &'a Todo {
    state.todo(TodoId::from_external(id)).unwrap_or_else(|| panic!("{id} is not there"))
}

fn wrong(text: &str) -> Vec<(usize, K)> {
    let problems = markdown::todos(text).expect_err("the list is wrong");
    problems.iter().map(|problem| (problem.line, problem.kind)).collect()
}

fn said(problems: Result<Import, Vec<Problem>>) -> String {
    let problems = problems.expect_err("the text is wrong");
    problems.iter().map(Problem::to_string).collect::<Vec<_>>().join("\n")
}

#[test]
fn a_list_becomes_todos() {
    let import = markdown::todos(LIST).expect("it is well formed");
    assert!(import.report.clean(), "{:?}", import.report);
    assert_eq!((import.report.read, import.report.added, import.report.edges), (6, 6, 3));
    let state = fold(&import.operations);
    let lexer = named(&state, "lexer");
    assert_eq!(lexer.files, ["src/lex.rs", "src/lex/{a,b}.rs"]);
    assert_eq!(lexer.labels.keys().collect::<Vec<_>>(), ["parsing"]);
    let parser = named(&state, "parser");
    assert_eq!((parser.priority, parser.estimate_minutes), (1, Some(90)));
    let check = "cargo test -q -p parser && (cd fuzz && cargo run)";
    assert_eq!(parser.check.as_deref(), Some(check));
    assert_eq!(parser.capabilities, ["rust", "sql"]);
    assert_eq!(
        parser.prose(ProseField::Description),
        "Recursive descent, by hand.\nErrors carry a span:\n\n```text\n- [ ] not an item\n    1:5: expected `)`\n```"
    );
    let edges: Vec<_> = state.edges(parser.id).iter().map(|e| (e.on, e.kind.clone())).collect();
    assert_eq!(edges, [(lexer.id, EdgeKind::Blocks)]);
    let grammar = named(&state, "choose-a-grammar");
    assert_eq!((grammar.kind.as_str(), grammar.finished()), ("decision", true));
    assert_eq!(state.children(parser.id).count(), 2);
    let errors = named(&state, "report-errors");
    assert!(errors.high_risk);
    assert_eq!(errors.labels.keys().collect::<Vec<_>>(), ["errors", "parsing", "ux"]);
    assert_eq!(named(&state, "page-cache").section.as_deref(), Some("storage"));
    assert!(named(&state, "page-cache-2").finished());
    assert_eq!(state.readiness(NOON).ready.len(), 2, "the lexer and the page cache");
    assert!(state.ledger.is_empty());
}

#[test]
fn the_same_list_again_plans_nothing() {
    let state = fold(&markdown::todos(LIST).expect("it is well formed").operations);
    let again = markdown::todos_over(&state, LIST).expect("it is well formed");
    assert_eq!((again.operations, again.report.unchanged), (vec![], 6));
}

#[test]
fn what_changed_in_the_list_is_planned_and_what_the_team_did_stays() {
    let mut bench = Bench::new();
    bench.append(&markdown::todos(LIST).expect("it is well formed").operations);
    let (lexer, parser) = (TodoId::from_external("lexer"), TodoId::from_external("parser"));
    let team = [
        Operation::Closed { todo: lexer, reason: "done".to_owned() },
        Operation::TodoEdited { todo: parser, edits: vec![TodoEdit::Priority(0)] },
        Operation::LabelsChanged { todo: parser, added: vec!["hot".to_owned()], removed: vec![] },
    ];
    bench.append(&team.map(|operation| Planned { author: None, occurred: None, operation }));
    let changed = LIST
        .replace("Write the parser (id: parser) (needs: lexer)", "Parse (id: parser)")
        .replace("by hand", "by machine")
        .replace("[x] Choose", "[ ] Choose")
        .replace("(labels: ux, errors)", "(labels: ux)")
        .replace("1. [ ] Page cache (section: storage)\n", "");
    let import = markdown::todos_over(&bench.state, &changed).expect("it is well formed");
    assert_eq!(import.report.absent, ["page-cache-2"]);
    bench.append(&import.operations);
    let state = &bench.state;
    assert!(named(state, "lexer").finished(), "an empty box does not open what the team closed");
    let parser = named(state, "parser");
    assert_eq!((parser.title.as_str(), parser.priority), ("Parse", 0));
    assert!(parser.prose(ProseField::Description).starts_with("Recursive descent, by machine."));
    assert!(parser.labels.contains_key("hot"));
    assert!(state.edges(parser.id).is_empty());
    let grammar = named(state, "choose-a-grammar");
    assert_eq!(state.status_unblocked(grammar, NOON), Status::Open);
    assert!(!named(state, "report-errors").labels.contains_key("errors"));
    assert!(named(state, "page-cache").finished(), "the ticked one moved up to its name");
    assert!(state.ledger.is_empty());
    let again = markdown::todos_over(state, &changed).expect("it is well formed");
    assert_eq!(again.operations, []);
}

#[test]
fn a_tick_does_not_close_what_somebody_holds() {
    let mut bench = Bench::new();
    bench.append(&markdown::todos("- [ ] A\n").expect("it is well formed").operations);
    let todo = TodoId::from_external("a");
    let planned = |operation| [Planned { author: None, occurred: None, operation }];
    bench.append(&planned(Operation::Claimed { todo, lease: None, scope: vec![] }));
    let token = bench.state.todo(todo).and_then(|todo| todo.claim.as_ref()).expect("a claim").token;
    let ticked = "- [x] A (priority: 1)\n";
    // As often as the list says so.
    for _ in 0..2 {
        let import = markdown::todos_over(&bench.state, ticked).expect("it is well formed");
        assert_eq!(import.report.problems.iter().map(|p| p.kind).collect::<Vec<_>>(), [K::Held]);
        bench.append(&import.operations);
        let todo = bench.state.todo(todo).expect("it is there");
        assert_eq!((todo.finished(), todo.priority), (false, 1));
    }
    bench.append(&planned(Operation::Released { todo, token, reason: String::new() }));
    let import = markdown::todos_over(&bench.state, ticked).expect("it is well formed");
    bench.append(&import.operations);
    assert!(bench.state.todo(todo).is_some_and(|todo| todo.finished()));
}

#[test]
fn what_was_deleted_is_not_changed_by_the_list() {
    let mut bench = Bench::new();
    bench.append(&markdown::todos("- [ ] A\n").expect("it is well formed").operations);
    let deleted = Operation::Deleted { todo: TodoId::from_external("a"), reason: String::new() };
    bench.append(&[Planned { author: None, occurred: None, operation: deleted }]);
    assert!(markdown::todos_over(&bench.state, "- [ ] A\n").expect("well formed").report.clean());
    let import =
        markdown::todos_over(&bench.state, "- [ ] A (priority: 0)\n").expect("well formed");
    assert_eq!(import.report.problems.iter().map(|p| p.kind).collect::<Vec<_>>(), [K::Deleted]);
    assert_eq!(import.operations, []);
}

#[test]
fn a_list_can_need_todos_of_the_run() {
    let mut bench = Bench::new();
    bench.append(&markdown::todos("- [ ] A\n").expect("it is well formed").operations);
    let import = markdown::todos_over(&bench.state, "- [ ] B (needs: a)\n").expect("a is there");
    bench.append(&import.operations);
    assert!(bench.state.readiness(NOON).blocked.contains_key(&TodoId::from_external("b")));
}

#[test]
fn every_mistake_is_named_with_its_line() {
    assert_eq!(wrong("- [ ] A (need: b)\n- [ ] B\n"), [(1, K::UnknownAttribute)]);
    assert_eq!(wrong("\n- [ ] A (needs: c)\n"), [(2, K::UnknownNeed)]);
    assert_eq!(wrong("- [ ] A (id: x)\n- [ ] B (id: x)\n"), [(2, K::DuplicateId)]);
    assert_eq!(wrong("- [ ] A (needs: a)\n"), [(1, K::SelfEdge)]);
    let circle = "- [ ] A (needs: c)\n- [ ] B (needs: a)\n- [ ] C (needs: b)\n";
    assert_eq!(wrong(circle), [(1, K::Cycle)]);
    assert!(said(markdown::todos(circle)).contains("a -> c -> b -> a need each other"));
    assert_eq!(wrong("- [ ] A\n    - [ ] B\n  - [ ] C\n"), [(3, K::BadIndentation)]);
    assert_eq!(wrong("- [ ] A\n - [ ] B\n"), [(2, K::BadIndentation)]);
    assert_eq!(wrong("        - [ ] A\n"), [(1, K::BadIndentation)]);
    assert_eq!(wrong("- [ ] A\n- [~] B\n"), [(2, K::BadAttribute)]);
    for prose in ["*[x]* means done\n", "*[x](a link)*\n"] {
        assert!(markdown::todos(prose).is_ok_and(|import| import.report.clean()), "{prose}");
    }
    assert_eq!(wrong("- [ ] A\n-[ ] B\n*[x] C\n"), [(2, K::BadAttribute), (3, K::BadAttribute)]);
    assert_eq!(wrong("- [ ]\n"), [(1, K::MissingTitle)]);
    assert_eq!(wrong("- [ ] A\n  ```\n  x\n"), [(2, K::OpenFence)]);
    for bad in ["priority: 5", "priority: x", "estimate: soon", "risk: hihg", "id: a b", "check:"] {
        assert_eq!(wrong(&format!("- [ ] A ({bad})\n")), [(1, K::BadAttribute)], "{bad}");
    }
    assert_eq!(wrong("- [ ] A (kind: bug) (kind: task)\n"), [(1, K::BadAttribute)]);
    let all = said(markdown::todos("- [ ] A (need: b)\n- [ ] B (risk: hihg) (needs: aa)\n"));
    assert_eq!(all.lines().count(), 3, "{all}");
    assert!(all.contains("line 1: there is no attribute need; did you mean needs?"), "{all}");
    assert!(all.contains("did you mean high?") && all.contains("did you mean a?"), "{all}");
}

#[test]
fn what_is_no_item_is_prose_or_reported() {
    let import = markdown::todos(
        "Some text.\n\n- a plain point\n\n- [ ] A\n  - a plain point\n- [link](x)\n",
    )
    .expect("well formed");
    let problems: Vec<_> = import.report.problems.iter().map(|p| (p.line, p.kind)).collect();
    assert_eq!(problems, [(3, K::NotAnItem), (7, K::NotAnItem)]);
    let state = fold(&import.operations);
    assert_eq!(named(&state, "a").prose(ProseField::Description), "- a plain point");
}

const DESIGN: &str = r#"Read this first.

# Query engine

An engine for queries.

## Storage

Pages in a cache.

- **R1** (critical, durability): nothing that was acknowledged
  is lost
- **R2.1**: a page is read once
- **Note**: this is text

### Errors

```rust
// # not a heading
```

## Parser ##

### Errors

They carry a span.

```tress-rules
# a comment
no-unwrap (high): forbid "unwrap(" in src/**
src/** has tests
```
"#;

#[test]
fn a_design_becomes_sections_requirements_and_rules() {
    let import = markdown::design(DESIGN).expect("it is well formed");
    assert_eq!(import.report.added, 10);
    let state = fold(&import.operations);
    let sections: Vec<_> =
        state.design.ordered_sections().iter().map(|(key, s)| (*key, s.level)).collect();
    let keys = [
        ("preamble", 1),
        ("query-engine", 1),
        ("storage", 2),
        ("errors", 3),
        ("parser", 2),
        ("parser/errors", 3),
    ];
    assert_eq!(sections, keys);
    let body = |key: &str| state.design.sections[key].body.text();
    assert_eq!(body("preamble"), "Read this first.");
    assert_eq!(body("storage"), "Pages in a cache.\n\n- **Note**: this is text");
    assert_eq!(body("errors"), "```rust\n// # not a heading\n```");
    assert_eq!(body("parser/errors"), "They carry a span.");
    assert_eq!(state.design.sections["parser"].heading, "Parser");
    let one = &state.design.requirements["R1"];
    assert_eq!(one.text, "nothing that was acknowledged is lost");
    assert_eq!(
        (one.criticality, one.kind.as_str(), one.section.as_str()),
        (Severity::Critical, "durability", "storage")
    );
    let two = &state.design.requirements["R2.1"];
    assert_eq!((two.criticality, two.kind.as_str()), (Severity::Medium, "functional"));
    assert_eq!(state.design.rules["no-unwrap"].criticality, Severity::High);
    assert_eq!(state.design.rules["no-unwrap"].text, "forbid \"unwrap(\" in src/**");
    assert_eq!(state.design.rules["src-has-tests"].text, "src/** has tests");
    let again = markdown::design_over(&state, DESIGN).expect("it is well formed");
    assert_eq!((again.operations, again.report.unchanged), (vec![], 10));
}

#[test]
fn a_changed_design_plans_what_changed() {
    let mut bench = Bench::new();
    bench.append(&markdown::design(DESIGN).expect("it is well formed").operations);
    let changed = DESIGN
        .replace("in a cache", "in two caches")
        .replace("read once", "read twice")
        .replace("(high)", "(low)")
        .replace("## Parser ##", "## Parser");
    let import = markdown::design_over(&bench.state, &changed).expect("it is well formed");
    let names: Vec<_> = import.operations.iter().map(|p| p.operation.name()).collect();
    assert_eq!(names, ["prose_edited", "requirement_added", "design_rule_added"]);
    bench.append(&import.operations);
    let body = bench.state.design.sections["storage"].body.text();
    assert!(body.starts_with("Pages in two caches."), "{body}");
    let less = markdown::design_over(&bench.state, "# Query engine\n").expect("it is well formed");
    assert_eq!(less.report.absent.len(), 9);
}

#[test]
fn other_globs_of_a_component_change_its_rule() {
    let design = |globs: &str| {
        format!("```tress-rules\ncomponent web ui = {globs}\nforbid web -> db (x)\n```\n")
    };
    let mut bench = Bench::new();
    bench.append(&markdown::design(&design("ui/**")).expect("it is well formed").operations);
    let import = markdown::design_over(&bench.state, &design("ui/**, web/**"));
    bench.append(&import.expect("it is well formed").operations);
    let rules = &bench.state.design.rules;
    let keys: Vec<_> = rules.keys().map(String::as_str).collect();
    assert_eq!(keys, ["component-web-ui", "forbid-web-db-x"]);
    assert_eq!(rules["component-web-ui"].text, "component web ui = ui/**, web/**");
}

#[test]
fn every_mistake_in_a_design_is_named_with_its_line() {
    let wrong = |text: &str| {
        let problems = markdown::design(text).expect_err("the design is wrong");
        problems.iter().map(|problem| (problem.line, problem.kind)).collect::<Vec<_>>()
    };
    assert_eq!(wrong("# A\n- **R1** (critcal): x\n"), [(2, K::BadAttribute)]);
    assert!(said(markdown::design("- **R1** (critcal): x\n")).contains("did you mean critical?"));
    assert_eq!(wrong("- **R1** (security, speed): x\n"), [(1, K::BadAttribute)]);
    assert_eq!(wrong("- **R1** (low, high): x\n"), [(1, K::BadAttribute)]);
    assert_eq!(wrong("- **R1**: x\n- **R1**: y\n"), [(2, K::DuplicateId)]);
    assert_eq!(wrong("- **R1** (low):\n"), [(1, K::MissingTitle)]);
    assert_eq!(wrong("#  \n"), [(1, K::MissingTitle)]);
    assert_eq!(wrong("```tress-rules\na: x\n"), [(1, K::OpenFence)]);
    assert_eq!(
        wrong("```tress-rules\na: x\na: y\nb (urgent): z\n```\n"),
        [(3, K::DuplicateId), (4, K::BadAttribute)]
    );
    assert_eq!(wrong("```tress-rule\na: x\n```\n"), [(1, K::UnknownAttribute)]);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn any_text_is_read_or_refused(
        lines in prop::collection::vec(
            prop_oneof![
                Just("- [ ] A (needs: b)".to_owned()),
                Just("  - [x] B (id: b) (check: (x)".to_owned()),
                Just("```".to_owned()),
                Just("## H".to_owned()),
                Just("- **R1** (high, x): y".to_owned()),
                Just("```tress-rules".to_owned()),
                "[ \t]{0,6}[-*+1.\\[\\]xX #`()a-e:,é]{0,12}",
                any::<String>(),
            ],
            0..8,
        )
    ) {
        let text = lines.join("\n");
        if let Ok(import) = markdown::todos(&text) {
            let state = fold(&import.operations);
            let again = markdown::todos_over(&state, &text).expect("it was well formed");
            prop_assert_eq!(again.operations, vec![]);
        }
        if let Ok(import) = markdown::design(&text) {
            let state = fold(&import.operations);
            let again = markdown::design_over(&state, &text).expect("it was well formed");
            prop_assert_eq!(again.operations, vec![]);
        }
    }
}
