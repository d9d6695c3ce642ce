//! What is chosen, on small states that were made for it and on random ones.

use std::collections::BTreeSet;
use std::sync::Arc;

use proptest::prelude::{ProptestConfig, any, prop, prop_assert, prop_assert_eq, proptest};
use tress_engine::{Draft, Log};
use tress_model::operation::{EdgeKind, FailureClass, TodoEdit, Verdict};
use tress_model::{Author, Dot, Operation, ReplicaId, Role, State, Status, StoreId, TodoId};
use tress_plan::predict::Examples;
use tress_plan::{
    Board, Candidate, Outlook, Strategy, Terms, choose, integration_order, outlook, plan, scope,
    unable,
};

const NOW: u64 = 1_000_000;

#[derive(Default)]
struct Run {
    log: Log,
    now: u64,
}

impl Run {
    fn by(&mut self, name: &str, role: Role, operation: Operation) -> Dot {
        let draft = Draft { author: Author::new(name, role), occurred: None, operation };
        self.now = self.now.max(NOW - 10_000) + 1;
        let prepared =
            self.log.prepare(ReplicaId([1; 16]), StoreId([1; 16]), vec![draft], self.now);
        let prepared = prepared.expect("it is valid");
        let dot = prepared.events()[0].dot;
        self.log.commit(prepared);
        dot
    }

    fn add(&mut self, name: &str, edits: Vec<TodoEdit>) -> TodoId {
        let todo = TodoId::from_external(name);
        let added = Operation::TodoAdded {
            todo,
            external_id: Some(name.to_owned()),
            title: name.to_owned(),
            edits,
            prose: Vec::new(),
            labels: Vec::new(),
            layout: None,
        };
        self.by("planner", Role::Coordinator, added);
        todo
    }

    fn joins(&mut self, name: &str, capabilities: &[&str]) {
        let capabilities = capabilities.iter().map(|&one| one.to_owned()).collect();
        let about = String::new();
        self.by(name, Role::Implementer, Operation::AgentJoined { capabilities, about });
    }

    fn claims(&mut self, name: &str, todo: TodoId, scope: &[String]) -> Dot {
        let scope = scope.to_vec();
        self.by(name, Role::Implementer, Operation::Claimed { todo, lease: None, scope })
    }

    fn blocks(&mut self, todo: TodoId, on: TodoId) {
        let (kind, external_id, layout) = (EdgeKind::Blocks, None, None);
        let edge = Operation::DependencyAdded { todo, on, external_id, kind, layout };
        self.by("planner", Role::Coordinator, edge);
    }

    fn claims_done(&mut self, name: &str, todo: TodoId, token: Dot) -> Dot {
        let done = Operation::CompletionClaimed {
            todo,
            token: Some(token),
            commit: Some("c".to_owned()),
            to_integrate: true,
            implementation: String::new(),
            tests: String::new(),
            integration: String::new(),
        };
        self.by(name, Role::Implementer, done)
    }

    fn verified(&mut self, todo: TodoId, completion: Dot) {
        let (reason, gaps) = (String::new(), Vec::new());
        let verdict = Verdict::Pass;
        let answer = Operation::Verified { todo, completion, verdict, reason, percent: 100, gaps };
        self.by("verifier", Role::Verifier, answer);
    }

    fn finishes(&mut self, name: &str, todo: TodoId, files: &[&str]) {
        let token = self.claims(name, todo, &[]);
        let completion = self.claims_done(name, todo, token);
        for path in files {
            let (path, blob) = ((*path).to_owned(), None);
            let recorded = Operation::ArtifactRecorded { todo, path, blob };
            self.by("verifier", Role::Verifier, recorded);
        }
        self.verified(todo, completion);
        let commit = "c".to_owned();
        let integrated = Operation::Integrated { todo, completion, commit };
        self.by("coordinator", Role::Coordinator, integrated);
    }

    fn state(&self) -> Arc<State> {
        Arc::clone(self.log.state())
    }
}

/// `ready` and `claim --next` went by the order of the file, and a team by that of a seed.
#[test]
fn of_equals_what_was_made_first_comes_first_unless_a_seed_decides() {
    let mut run = Run::default();
    let made: Vec<TodoId> = (0..12).map(|at| run.add(&format!("t{at}"), Vec::new())).collect();
    let taken = |seed: u64| {
        let state = run.state();
        let mut board = Board::new(&state, NOW);
        let strategy = Strategy { parallel: 12, ..Strategy::default() };
        let terms = Terms { seed, pause_ms: 1000, strategy };
        let next = |at: usize| {
            let name = format!("agent-{at}");
            let choice = board.choose(&Candidate::generalist(&name), &terms).expect("one is free");
            board.reserve(&name, choice.todo, &[]);
            choice.todo
        };
        (0..12).map(next).collect::<Vec<_>>()
    };
    assert_eq!(taken(0), run.state().readiness(NOW).ready);
    assert_eq!(taken(0), made);
    assert_ne!(taken(1), made);
    assert_ne!(taken(1), taken(2));
}

fn terms() -> Terms {
    Terms { seed: 7, pause_ms: 1000, strategy: Strategy::default() }
}

fn files(names: &[&str]) -> TodoEdit {
    TodoEdit::Files(names.iter().map(|&name| name.to_owned()).collect())
}

#[test]
fn urgent_work_and_what_it_waits_for_comes_first_and_the_line_says_why() {
    let mut run = Run::default();
    run.joins("alice", &["*"]);
    let plain = run.add("plain", vec![TodoEdit::Priority(1)]);
    let first = run.add("first", vec![TodoEdit::Priority(3), files(&["src/a.rs"])]);
    let urgent = run.add("urgent", vec![TodoEdit::Priority(0), TodoEdit::Estimate(Some(120))]);
    run.blocks(urgent, first);
    let choice = choose(&run.state(), &Candidate::generalist("alice"), NOW, &terms()).unwrap();
    assert_eq!((choice.todo, &choice.scope), (first, &vec!["src/a.rs".to_owned()]));
    let reasons = "most urgent (p0 by what waits for it); \
                   1 todo waits for it (critical path 240 min); src/a.rs is free";
    assert_eq!(choice.reasons, reasons);
    let state = run.state();
    let mut board = Board::new(&state, NOW);
    board.reserve("alice", first, &choice.scope);
    let next = board.choose(&Candidate::generalist("bob"), &terms()).unwrap();
    assert_eq!(next.todo, plain);
}

#[test]
fn what_nobody_can_do_waits_for_somebody_who_can_and_says_so() {
    let mut run = Run::default();
    run.joins("alice", &["rust"]);
    let needs = TodoEdit::Capabilities(vec!["gpu".to_owned()]);
    let todo = run.add("train", vec![needs]);
    let state = run.state();
    let readiness = state.readiness(NOW);
    let alice = Candidate { name: "alice", capabilities: vec!["rust".to_owned()] };
    assert!(choose(&state, &alice, NOW, &terms()).is_none());
    assert_eq!(outlook(&state, &readiness, NOW, &terms()), Outlook::Stuck);
    assert_eq!(unable(&state, &readiness), vec![(todo, vec!["gpu".to_owned()])]);
    run.joins("bob", &["gpu"]);
    let state = run.state();
    assert_eq!(outlook(&state, &readiness, NOW, &terms()), Outlook::Wait);
    let bob = Candidate { name: "bob", capabilities: vec!["gpu".to_owned()] };
    assert_eq!(choose(&state, &bob, NOW, &terms()).unwrap().todo, todo);
}

#[test]
fn a_todo_that_declares_nothing_keeps_away_from_the_files_of_its_like() {
    let mut run = Run::default();
    run.joins("alice", &["*"]);
    let section = || TodoEdit::Section(Some("parser".to_owned()));
    let done = run.add("parser reads numbers", vec![section()]);
    run.finishes("alice", done, &["src/parser.rs"]);
    let like = run.add("parser reads names", vec![section(), TodoEdit::Priority(0)]);
    let other = run.add("the website", vec![TodoEdit::Priority(3)]);
    let held = run.add("held", vec![files(&["src/parser.rs"])]);
    run.claims("bob", held, &["src/parser.rs".to_owned()]);
    let state = run.state();
    let prediction = Examples::of(&state).predict(state.todo(like).unwrap());
    assert_eq!(prediction.paths, ["src/parser.rs"]);
    assert!(prediction.confidence > 0.3, "{prediction:?}");
    let candidate = Candidate::generalist("alice");
    assert_eq!(choose(&state, &candidate, NOW, &terms()).unwrap().todo, other);
    let isolation = tress_plan::strategy::Isolation::Declared;
    let strategy = Strategy { isolation, ..Strategy::default() };
    let careless = Terms { strategy, ..terms() };
    assert_eq!(choose(&state, &candidate, NOW, &careless).unwrap().todo, like);
}

#[test]
fn a_todo_whose_files_are_always_taken_runs_in_the_end() {
    let mut run = Run::default();
    for name in ["alice", "bob"] {
        run.joins(name, &["*"]);
    }
    let wide = run.add("wide", vec![TodoEdit::Priority(4), files(&["src/**"])]);
    // One narrow todo is always at work when the next comes, and all are more urgent.
    let narrow = |run: &mut Run, number: usize| {
        let name = format!("narrow-{number}");
        run.add(&name, vec![TodoEdit::Priority(0), files(&[&format!("src/{number}.rs")])])
    };
    let mut held = narrow(&mut run, 0);
    run.claims("alice", held, &["src/0.rs".to_owned()]);
    for number in 1..200 {
        let next = narrow(&mut run, number);
        let agent = if number % 2 == 0 { "alice" } else { "bob" };
        let state = run.state();
        let choice = choose(&state, &Candidate::generalist(agent), NOW, &terms());
        match choice.map(|choice| choice.todo) {
            Some(todo) if todo == wide => return,
            Some(todo) => {
                assert_eq!(todo, next);
                run.claims(agent, todo, &[format!("src/{number}.rs")]);
                finish_held(&mut run, held);
                held = next;
            }
            None => {
                // The files become free because nobody begins on them.
                finish_held(&mut run, held);
                let state = run.state();
                let choice = choose(&state, &Candidate::generalist(agent), NOW, &terms()).unwrap();
                assert_eq!(choice.todo, wide);
                return;
            }
        }
    }
    panic!("it never ran");
}

fn finish_held(run: &mut Run, todo: TodoId) {
    let state = run.state();
    let claim = state.todo(todo).and_then(|todo| todo.claim.clone()).expect("it is held");
    let completion = run.claims_done(&claim.agent, todo, claim.token);
    run.verified(todo, completion);
    let commit = "c".to_owned();
    let integrated = Operation::Integrated { todo, completion, commit };
    run.by("coordinator", Role::Coordinator, integrated);
}

#[test]
fn logic_failures_go_to_another_who_is_there_but_not_for_ever() {
    let mut run = Run::default();
    for name in ["alice", "bob"] {
        run.joins(name, &["*"]);
    }
    let todo = run.add("hard", Vec::new());
    let token = run.claims("alice", todo, &[]);
    let (class, message) = (FailureClass::Logic, "wrong".to_owned());
    let failed = Operation::AttemptFailed { todo, token, class, message, retry_at: Some(NOW) };
    run.by("alice", Role::Implementer, failed);
    let state = run.state();
    let of = |name, now| choose(&state, &Candidate::generalist(name), now, &terms());
    assert!(of("bob", NOW - 1).is_none(), "it is left alone until its time");
    assert!(of("alice", NOW + 1).is_none());
    assert!(of("bob", NOW + 1).is_some());
    assert!(of("alice", NOW + 60_000).is_some(), "bob may be gone without a word");
}

#[test]
fn what_most_work_waits_for_is_integrated_first() {
    let mut run = Run::default();
    let early = run.add("early", Vec::new());
    let needed = run.add("needed", Vec::new());
    let after = run.add("after", Vec::new());
    run.blocks(after, needed);
    for todo in [early, needed] {
        let token = run.claims("alice", todo, &[]);
        let completion = run.claims_done("alice", todo, token);
        run.verified(todo, completion);
    }
    let order: Vec<_> = integration_order(&run.state()).into_iter().map(|(id, _)| id).collect();
    assert_eq!(order, [needed, early]);
}

#[test]
fn tiers_go_by_the_number_of_todos_and_settings_go_before_them() {
    let mut run = Run::default();
    let sizes = [(0, 1, 0), (4, 1, 0), (5, 3, 0), (14, 3, 0), (15, 5, 0), (29, 5, 0), (30, 8, 2)];
    let mut made = 0;
    for (todos, implementers, coordinators) in sizes {
        while made < todos {
            run.add(&format!("t{made}"), Vec::new());
            made += 1;
        }
        let planned = plan(&run.state(), NOW, None);
        assert_eq!((planned.implementers, planned.coordinators), (implementers, coordinators));
        assert_eq!(planned.assignments.len(), todos.min(implementers as usize));
    }
    let settings = vec![("implementers".to_owned(), "6".to_owned())];
    let (title, base, branch) = (String::new(), None, None);
    let started = Operation::RunStarted { title, base, branch, settings };
    run.by("coordinator", Role::Coordinator, started);
    assert_eq!(plan(&run.state(), NOW, None).implementers, 6);
    assert_eq!(plan(&run.state(), NOW, Some(2)).implementers, 2);
}

#[test]
fn ten_thousand_todos_are_chosen_from() {
    let mut run = Run::default();
    let mut before: Option<TodoId> = None;
    for number in 0..10_000 {
        let file = format!("src/f{}.rs", number % 500);
        let todo = run.add(&format!("t{number}"), vec![files(&[&file])]);
        // Long chains, which a recursive walk would not survive.
        if let Some(on) = before.filter(|_| number % 4999 != 0) {
            run.blocks(todo, on);
        }
        before = Some(todo);
    }
    let state = run.state();
    let mut board = Board::new(&state, NOW);
    for agent in ["alice", "bob", "carol"] {
        let choice = board.choose(&Candidate::generalist(agent), &terms()).unwrap();
        board.reserve(agent, choice.todo, &choice.scope);
    }
    assert!(board.choose(&Candidate::generalist("dora"), &terms()).is_none());
}

/// A random todo: its file, whether it declares it, its priority, estimate, what it depends on,
/// whether it is claimed.
type Spec = (u8, bool, u8, u8, usize, bool);

fn spec() -> impl proptest::strategy::Strategy<Value = Spec> {
    (0_u8..6, any::<bool>(), 0_u8..4, 1_u8..40, 0_usize..20, prop::bool::weighted(0.2))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 128, ..ProptestConfig::default() })]

    #[test]
    fn only_ready_todos_with_free_files_are_chosen(
        specs in prop::collection::vec(spec(), 1..25),
        seed in any::<u64>(),
        level in 0_usize..3,
    ) {
        use tress_plan::strategy::Isolation as I;
        let mut run = Run::default();
        for name in ["alice", "bob"] {
            run.joins(name, &["*"]);
        }
        let mut ids: Vec<TodoId> = Vec::new();
        for (number, (file, declares, priority, estimate, on, claimed)) in specs.into_iter().enumerate() {
            let pattern = ["src/a.rs", "src/b.rs", "src/*.rs", "src/deep/**", "docs/x.md", "src"];
            let mut edits =
                vec![TodoEdit::Priority(priority), TodoEdit::Estimate(Some(estimate.into()))];
            let files = if declares { vec![pattern[usize::from(file)].to_owned()] } else { vec![] };
            edits.push(TodoEdit::Files(files.clone()));
            let todo = run.add(&format!("t{number}"), edits);
            if on < ids.len() {
                run.blocks(todo, ids[on]);
            }
            if claimed {
                run.claims("carol", todo, &files);
            }
            ids.push(todo);
        }
        let isolation = [I::Declared, I::Predicted, I::Directories][level];
        let strategy = Strategy { isolation, ..Strategy::default() };
        let terms = Terms { seed, pause_ms: 1000, strategy };
        let state = run.state();
        let ready: BTreeSet<TodoId> = state.readiness(NOW).ready.into_iter().collect();
        let mut board = Board::new(&state, NOW);
        let mut taken: Vec<Vec<String>> = state.todos.values()
            .filter_map(|todo| Some([todo.holder(NOW)?.scope.clone(), todo.files.clone()].concat()))
            .collect();
        let mut chosen = BTreeSet::new();
        for name in ["alice", "bob", "dora", "emil"] {
            let choice = board.choose(&Candidate::generalist(name), &terms);
            prop_assert_eq!(&choice, &board.choose(&Candidate::generalist(name), &terms));
            let Some(choice) = choice else { break };
            for id in choice.also.iter().chain([&choice.todo]) {
                prop_assert!(ready.contains(id));
                prop_assert_eq!(state.status_of(state.todo(*id).unwrap(), NOW), Status::Open);
                prop_assert!(chosen.insert(*id), "chosen twice");
                let files = &state.todo(*id).unwrap().files;
                prop_assert!(!taken.iter().any(|other| scope::overlap(other, files)));
            }
            prop_assert!(!taken.iter().any(|other| scope::overlap(other, &choice.scope)));
            board.reserve(name, choice.todo, &choice.scope);
            for also in &choice.also {
                board.reserve(name, *also, &choice.scope);
            }
            taken.push(choice.scope);
        }
        // Where something ready is free, somebody gets it.
        let free = ready.iter().filter(|id| !chosen.contains(id)).any(|id| {
            let files = &state.todo(*id).unwrap().files;
            files.is_empty()
        });
        prop_assert!(!free || chosen.len() >= 4);
    }
}
