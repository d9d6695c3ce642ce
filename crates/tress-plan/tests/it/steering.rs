//! Figures, reactions, alerts and failures.

use std::sync::Arc;

use tress_engine::{Draft, Log};
use tress_model::operation::{
    BlockerKind, EdgeKind, FailureClass, Operation, Severity, TodoEdit, Verdict,
};
use tress_model::state::todo::Blocker;
use tress_model::{Author, Dot, ReplicaId, Role, StoreId, TodoId};
use tress_plan::failure::{
    BACKOFF_FACTOR_MAX, Remedy, Response, Symptoms, backoff, classify, next_remedy, response,
};
use tress_plan::learn::{Proposal, RunSample, optimize, samples};
use tress_plan::strategy::{Isolation, Thoroughness};
use tress_plan::{Figures, Limits, Meter, Strategy, adapt, alerts};

const HOUR: u64 = 3_600_000;
const BEGIN: u64 = 1_000_000_000;

fn well() -> Figures {
    Figures { integrations: 20, decided: 20, completed: 30, window: 10, ..Figures::default() }
}

fn changed(strategy: &Strategy, figures: &Figures) -> Vec<(&'static str, String)> {
    let changes = adapt(strategy, figures, BEGIN, 8);
    changes.into_iter().map(|change| (change.setting, change.to)).collect()
}

#[test]
fn each_threshold_has_its_reaction_its_hysteresis_and_its_cool_down() {
    let strategy = Strategy::starting(8);
    let conflicts = Figures { conflict_rate: 0.15, ..well() };
    let changes = adapt(&strategy, &conflicts, BEGIN, 8);
    assert_eq!(
        changes[0].reason,
        "conflict rate 0.15 > 0.1 over the last 20 attempts to integrate: isolate more"
    );
    assert_eq!(changed(&strategy, &conflicts), [("isolation", "directories".to_owned())]);
    let apart = Strategy { isolation: Isolation::Directories, ..strategy.clone() };
    assert_eq!(changed(&apart, &conflicts), [("parallel", "7".to_owned())]);
    let least = Strategy { parallel: 6, ..apart.clone() };
    assert!(changed(&least, &conflicts).is_empty(), "not below three quarters");
    let rework = Figures { rework_rate: 0.2, ..well() };
    assert_eq!(changed(&strategy, &rework), [("verification", "thorough".to_owned())]);
    let thorough = Strategy { verification: Thoroughness::Thorough, ..strategy.clone() };
    let between = Figures { rework_rate: 0.1, ..well() };
    assert!(changed(&thorough, &between).is_empty());
    assert!(changed(&strategy, &between).is_empty());
    assert_eq!(changed(&thorough, &well()), [("verification", "normal".to_owned())]);
    let idle = Figures { idle: 0.3, ..well() };
    assert_eq!(changed(&strategy, &idle), [("spread", "true".to_owned())]);
    let spread = Strategy { spread: true, ..strategy.clone() };
    assert!(changed(&spread, &Figures { idle: 0.15, ..well() }).is_empty());
    assert_eq!(changed(&spread, &well()), [("spread", "false".to_owned())]);
    assert_eq!(changed(&Strategy::starting(5), &well()), [("parallel", "6".to_owned())]);
    for few in [
        Figures { integrations: 4, ..conflicts.clone() },
        Figures { completed_since_change: Some(4), ..conflicts },
    ] {
        assert!(changed(&strategy, &few).is_empty());
    }
}

fn answer(todo: TodoId, completion: Dot, passes: bool) -> Operation {
    let verdict = if passes { Verdict::Pass } else { Verdict::Fail };
    let (reason, gaps, percent) = ("so".to_owned(), Vec::new(), 100);
    Operation::Verified { todo, completion, verdict, reason, percent, gaps }
}

struct Run {
    log: Log,
    meter: Meter,
    now: u64,
}

impl Run {
    fn begin() -> Self {
        Self { log: Log::new(), meter: Meter::new(), now: BEGIN }
    }

    fn by(&mut self, name: &str, role: Role, operation: Operation) -> Dot {
        let draft = Draft { author: Author::new(name, role), occurred: None, operation };
        let (replica, store) = (ReplicaId([1; 16]), StoreId([1; 16]));
        let prepared =
            self.log.prepare(replica, store, vec![draft], self.now).expect("it is valid");
        let event = Arc::clone(&prepared.events()[0]);
        self.meter.observe(&event);
        self.log.commit(prepared);
        event.dot
    }

    fn coordinate(&mut self, operation: Operation) -> Dot {
        self.by("coordinator", Role::Coordinator, operation)
    }

    fn add(&mut self, name: &str) -> TodoId {
        let todo = TodoId::from_external(name);
        self.coordinate(Operation::TodoAdded {
            todo,
            external_id: Some(name.to_owned()),
            title: name.to_owned(),
            edits: Vec::new(),
            prose: Vec::new(),
            labels: Vec::new(),
            layout: None,
        });
        todo
    }

    fn joins(&mut self, name: &str) {
        let (capabilities, about) = (vec!["*".to_owned()], String::new());
        self.by(name, Role::Implementer, Operation::AgentJoined { capabilities, about });
    }

    /// An hour of work, and what becomes of it.
    fn works(&mut self, todo: TodoId, passes: bool, merges: bool) {
        let completion = self.hands_in(todo, true);
        self.by("verifier", Role::Verifier, answer(todo, completion, passes));
        if passes && merges {
            let commit = "c".to_owned();
            self.coordinate(Operation::Integrated { todo, completion, commit });
        } else if passes {
            let reason = "merging".to_owned();
            self.coordinate(Operation::IntegrationFailed { todo, completion, reason });
        }
    }

    /// An hour of work, and the claim of its completion.
    fn hands_in(&mut self, todo: TodoId, to_integrate: bool) -> Dot {
        let claimed = Operation::Claimed { todo, lease: None, scope: Vec::new() };
        let token = Some(self.by("alice", Role::Implementer, claimed));
        self.now += HOUR;
        let (implementation, tests, integration) = Default::default();
        let commit = Some("c".to_owned());
        let done = Operation::CompletionClaimed {
            todo,
            token,
            commit,
            to_integrate,
            implementation,
            tests,
            integration,
        };
        self.by("alice", Role::Implementer, done)
    }

    fn due(&mut self, limits: &Limits) -> Vec<Operation> {
        let figures = self.meter.figures(self.now);
        let due = alerts::due(self.log.state(), &figures, limits, self.now);
        for operation in due.clone() {
            self.coordinate(operation);
        }
        due
    }
}

#[test]
fn the_figures_are_what_their_definitions_say() {
    let mut run = Run::begin();
    run.joins("alice");
    run.joins("bob");
    let todos: Vec<TodoId> = (0..4).map(|number| run.add(&format!("t{number}"))).collect();
    run.works(todos[0], true, true);
    run.works(todos[1], false, true);
    run.works(todos[1], true, false);
    run.works(todos[1], true, true);
    let figures = run.meter.figures(run.now);
    let share = |part: f64, whole: f64, value: f64| {
        assert!((value - part / whole).abs() < 1e-3, "{value} is not {part} / {whole}");
    };
    share(1.0, 3.0, figures.conflict_rate);
    share(1.0, 4.0, figures.verification_failure_rate);
    share(1.0, 3.0, figures.rework_rate);
    share(1.0, 2.0, figures.quality);
    share(2.0, 4.0, figures.velocity);
    share(4.0, 8.0, figures.idle);
    share(2.0, 8.0, figures.parallel_efficiency);
    // Bob is idle for another hour, and so is Alice; then the team pauses, and nothing counts.
    run.now += HOUR;
    run.coordinate(Operation::RunPaused { reason: "night".to_owned() });
    run.now += 10 * HOUR;
    run.coordinate(Operation::RunResumed);
    share(6.0, 10.0, run.meter.figures(run.now).idle);
    run.coordinate(Operation::Reopened { todo: todos[0], reason: "broken".to_owned() });
    share(2.0, 4.0, run.meter.figures(run.now).rework_rate);
    assert_eq!(run.meter.figures(run.now), Meter::of(run.log.events()).figures(run.now));
    let [Operation::MetricsRecorded { figures }] = &*run.meter.figures(run.now).operations() else {
        panic!("one operation")
    };
    assert!(figures.iter().all(|(_, value)| value.is_finite()));
}

/// A second answer raised the rates of failure and rework, and with them the strategy, though the fold gives it no
/// effect; and so did one of an agent who may not answer.
#[test]
fn answers_without_an_effect_are_not_counted() {
    let mut run = Run::begin();
    run.joins("alice");
    let todo = run.add("t");
    let done = run.hands_in(todo, false);
    run.by("alice", Role::Verifier, answer(todo, done, false));
    run.by("bob", Role::Implementer, answer(todo, done, false));
    run.by("verifier", Role::Verifier, answer(todo, done, true));
    run.by("other", Role::Verifier, answer(todo, done, false));
    let figures = run.meter.figures(run.now);
    assert_eq!((figures.verifications, figures.verification_failure_rate), (1, 0.0));
    assert_eq!((figures.decided, figures.rework_rate), (1, 0.0));
    assert_eq!((figures.completed, figures.quality), (1, 1.0));
    assert!(run.log.state().todo(todo).expect("it is there").completed().is_some());
    // What was rolled back before it was answered does not count any more, and what was completed is claimed in vain.
    let late = run.hands_in(todo, false);
    run.by("verifier", Role::Verifier, answer(todo, late, false));
    let rolled = run.add("rolled");
    let back = run.hands_in(rolled, false);
    let what = "it".to_owned();
    run.coordinate(Operation::RolledBack { todo: rolled, what, reason: "so".to_owned() });
    run.by("verifier", Role::Verifier, answer(rolled, back, true));
    let after = run.meter.figures(run.now);
    assert_eq!((after.verifications, after.decided, after.completed), (1, 1, 1));
    assert!(run.log.state().todo(rolled).expect("it is there").completed().is_none());
}

/// Work that a verifier accepted without knowing that another had refused it was completed, and counted as refused.
#[test]
fn what_is_accepted_without_knowledge_of_a_refusal_is_counted_as_completed() {
    let mut run = Run::begin();
    run.joins("alice");
    let todo = run.add("t");
    let done = run.hands_in(todo, false);
    let mut elsewhere = run.log.clone();
    run.by("verifier", Role::Verifier, answer(todo, done, false));
    assert_eq!(run.meter.figures(run.now).rework_rate, 1.0);
    // Another machine knows nothing of that.
    let (replica, store) = (ReplicaId([2; 16]), StoreId([2; 16]));
    let author = Author::new("other", Role::Verifier);
    let draft = Draft { author, occurred: None, operation: answer(todo, done, true) };
    let prepared =
        elsewhere.prepare(replica, store, vec![draft], run.now + 1).expect("it is valid");
    let accepted = Arc::clone(&prepared.events()[0]);
    elsewhere.commit(prepared);
    run.meter.observe(&accepted);
    let figures = run.meter.figures(run.now);
    assert_eq!((figures.verifications, figures.verification_failure_rate), (1, 0.0));
    assert_eq!((figures.decided, figures.rework_rate), (1, 0.0));
    assert_eq!((figures.completed, figures.quality), (1, 1.0));
}

#[test]
fn an_alert_is_raised_once_again_when_worse_and_cleared_when_over() {
    let mut run = Run::begin();
    run.joins("alice");
    let todo = run.add("t");
    let limits = Limits { tokens: Some(100.0), ..Limits::default() };
    assert!(run.due(&limits).is_empty());
    let spent = |amount| Operation::BudgetSpent { todo: None, unit: "tokens".to_owned(), amount };
    run.coordinate(spent(85.0));
    let raised = |due: &[Operation]| match due {
        [Operation::AlertRaised { alert, priority, .. }] => (alert.clone(), *priority),
        other => panic!("{other:?}"),
    };
    let budget = "budget:tokens".to_owned();
    assert_eq!(raised(&run.due(&limits)), (budget.clone(), Severity::Medium));
    assert!(run.due(&limits).is_empty());
    run.coordinate(spent(20.0));
    assert_eq!(raised(&run.due(&limits)), (budget.clone(), Severity::Critical));
    let figures = run.meter.figures(run.now);
    assert_eq!(limits.exhausted(run.log.state(), &figures), Some("tokens"));
    let (description, tried) = ("no network".to_owned(), Vec::new());
    let kind = BlockerKind::Technical;
    let blocker = Operation::BlockerRaised { todo, kind, description, tried };
    let blocker = run.by("alice", Role::Implementer, blocker);
    let alert = "blocked:t".to_owned();
    assert_eq!(raised(&run.due(&limits)), (alert.clone(), Severity::High));
    run.by("ada", Role::Human, Operation::AlertAcknowledged { alert: alert.clone() });
    let context = "all of it".to_owned();
    run.coordinate(Operation::BlockerEscalated { todo, blocker, context });
    assert!(run.due(&limits).is_empty(), "somebody looks after it");
    let resolution = "plugged in".to_owned();
    run.coordinate(Operation::BlockerResolved { todo, blocker, resolution });
    assert_eq!(run.due(&limits), [Operation::AlertCleared { alert }]);
}

/// Two sides had each brought a part of a circle, and the team came to rest without a word of it.
#[test]
fn todos_that_wait_for_each_other_are_an_alert() {
    let mut run = Run::begin();
    run.joins("alice");
    let [whole, part, other, within] =
        ["whole", "part", "other", "within"].map(|name| run.add(name));
    let limits = Limits::default();
    let edges = [
        (part, whole, EdgeKind::ParentChild),
        (within, other, EdgeKind::ParentChild),
        (whole, within, EdgeKind::Blocks),
    ];
    let edge = |todo, on, kind| Operation::DependencyAdded {
        todo,
        on,
        external_id: None,
        kind,
        layout: None,
    };
    for (todo, on, kind) in edges {
        run.coordinate(edge(todo, on, kind));
        assert_eq!(run.due(&limits), []);
    }
    run.coordinate(edge(other, part, EdgeKind::Blocks));
    let due = run.due(&limits);
    let [Operation::AlertRaised { alert, message, .. }] = due.as_slice() else { panic!("{due:?}") };
    assert!(alert.starts_with("circle:") && message.contains("part (part of whole)"), "{message}");
    let over = Operation::AlertCleared { alert: alert.clone() };
    assert_eq!(run.due(&limits), []);
    run.coordinate(Operation::DependencyRemoved { todo: other, on: part, kind: EdgeKind::Blocks });
    assert_eq!(run.due(&limits), [over]);
}

/// A team that had run out of work left before anybody had said why, or the alert that said it was
/// cleared when the last of the team had left: nobody was there any more who could not do it.
#[test]
fn what_nobody_can_do_is_said_and_stays_said_when_all_have_left() {
    let mut run = Run::begin();
    let (capabilities, about) = (vec!["rust".to_owned()], String::new());
    let joined = Operation::AgentJoined { capabilities, about };
    run.by("alice", Role::Implementer, joined);
    let todo = run.add("t");
    let needs = vec![TodoEdit::Capabilities(vec!["sql".to_owned()])];
    run.coordinate(Operation::TodoEdited { todo, edits: needs });
    assert!(alerts::unsaid(run.log.state(), run.now));
    let limits = Limits::default();
    let due = run.due(&limits);
    assert!(matches!(&*due, [Operation::AlertRaised { alert, .. }] if alert == "nobody-can:t"));
    assert!(!alerts::unsaid(run.log.state(), run.now));
    let reason = "nothing is left".to_owned();
    run.by("alice", Role::Implementer, Operation::AgentLeft { reason });
    assert_eq!(run.due(&limits), []);
    run.coordinate(Operation::Closed { todo, reason: String::new() });
    assert_eq!(run.due(&limits), [Operation::AlertCleared { alert: "nobody-can:t".to_owned() }]);
}

#[test]
fn failures_are_classified_by_the_first_rule_that_fits() {
    use FailureClass as F;
    let exit = |code| Symptoms { exit_code: Some(code), ..Symptoms::default() };
    let signal = |signal| Symptoms { signal: Some(signal), ..Symptoms::default() };
    let says = |tail| Symptoms { exit_code: Some(1), tail, ..Symptoms::default() };
    for (symptoms, class) in [
        (exit(75), F::Transient),
        (exit(137), F::Resource),
        (exit(127), F::Unknown),
        (exit(1), F::Logic),
        (signal(9), F::Resource),
        (signal(15), F::Transient),
        (signal(11), F::Logic),
        (signal(63), F::Unknown),
        (says("HTTP 429: Too Many Requests"), F::Transient),
        (says("error: No space left on device"), F::Resource),
        (says("test result: FAILED. 1 passed"), F::Logic),
        (Symptoms { timed_out: true, ..exit(1) }, F::Transient),
        (Symptoms { stopped: true, ..exit(1) }, F::Transient),
        (Symptoms { not_started: Some("no such file"), ..Symptoms::default() }, F::Unknown),
        (Symptoms::default(), F::Unknown),
    ] {
        assert_eq!(classify(&symptoms).0, class, "{symptoms:?}");
    }
    // A long output, cut in the middle of a character.
    assert_eq!(classify(&says(&"ß".repeat(9001))).0, F::Logic);
    assert_eq!(response(F::Transient, 1, 1, 6), Response::RetrySame);
    assert_eq!(response(F::Transient, 2, 2, 6), Response::Reallocate);
    assert_eq!(response(F::Resource, 1, 1, 6), Response::Reallocate);
    assert_eq!(response(F::Logic, 1, 1, 6), Response::RollBackAndReassign);
    assert_eq!(response(F::Unknown, 1, 1, 6), Response::Escalate);
    assert_eq!(response(F::Logic, 1, 6, 6), Response::Escalate);
}

#[test]
fn waits_grow_are_bounded_and_do_not_change_with_a_restart() {
    for attempt in 1..80 {
        let whole = 1000 * 2_u64.saturating_pow(attempt - 1).min(BACKOFF_FACTOR_MAX);
        let waits: Vec<u64> = (0..50).map(|seed| backoff(1000, attempt, seed)).collect();
        assert!(waits.iter().all(|&wait| wait >= whole / 2 && wait <= whole));
        assert!(waits.windows(2).any(|pair| pair[0] != pair[1]), "they are spread");
        assert_eq!(backoff(1000, attempt, 7), backoff(1000, attempt, 7));
    }
    assert_eq!(backoff(0, 3, 1), 0);
    assert!(backoff(u64::MAX, u32::MAX, 1) >= u64::MAX / 2);
}

#[test]
fn remedies_are_tried_in_order_and_then_a_person_is_asked() {
    let mut blocker = Blocker {
        dot: Dot::new(ReplicaId([1; 16]), 1),
        agent: "alice".into(),
        at: 0,
        kind: BlockerKind::Requirement,
        description: String::new(),
        tried: vec!["fresh-start".to_owned(), "read-designs".to_owned()],
        escalated: None,
        resolved: None,
    };
    assert_eq!(next_remedy(&blocker), Some(Remedy::ReadDesign));
    blocker.tried.push("read-design: it does not say".to_owned());
    assert_eq!(next_remedy(&blocker), Some(Remedy::PlainestReading));
    blocker.tried.push("plainest-reading".to_owned());
    assert_eq!(next_remedy(&blocker), None);
}

#[test]
fn samples_and_proposals_are_read_back_from_the_log() {
    let mut run = Run::begin();
    let sample = RunSample {
        agents: 4,
        throughput: 9.5,
        completed: 100,
        overhead_minutes: 2.0,
        work_minutes: 10.0,
        failure_rate: 0.1,
        checkpoint_minutes: 0.5,
        interruptions: 2,
    };
    run.coordinate(sample.operation());
    let (topic, body) = ("run-sample".to_owned(), "{\"agents\":".to_owned());
    run.coordinate(Operation::LearningRecorded { topic, body });
    assert_eq!(samples(run.log.state()), [sample]);
    let proposal = optimize(&[sample], 3, 16, 1);
    // √(2 · 2 / (0.1 · 10)) todos; √(2 · 0.5 min · 316 min) at 0.158 a minute.
    assert_eq!((proposal.batch, proposal.checkpoint_every), (2, 3));
    run.coordinate(proposal.operation());
    let read = Proposal::of(run.log.state()).unwrap();
    assert_eq!((read.implementers, read.batch), (proposal.implementers, 2));
    assert_eq!(optimize(&[], 3, 16, 1).implementers, 3);
}

#[test]
fn silence_past_the_lease_is_noticed_until_somebody_takes_over() {
    let mut run = Run::begin();
    run.joins("alice");
    let todo = run.add("t");
    let claim = Operation::Claimed { todo, lease: Some(60_000), scope: Vec::new() };
    run.by("alice", Role::Implementer, claim.clone());
    assert!(run.due(&Limits::default()).is_empty());
    run.now += 61_000;
    let due = run.due(&Limits::default());
    let [Operation::AlertRaised { alert, message, .. }] = due.as_slice() else { panic!("{due:?}") };
    assert_eq!(alert, "silent:t");
    assert!(message.contains("alice") && message.contains("open again"), "{message}");
    assert!(run.due(&Limits::default()).is_empty(), "it is said once");
    run.joins("bob");
    run.by("bob", Role::Implementer, claim);
    let over = Operation::AlertCleared { alert: "silent:t".to_owned() };
    assert_eq!(run.due(&Limits::default()), [over]);
}
