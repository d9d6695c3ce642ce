//! A state in which every field of the schema has a value.

use tress_model::operation::{
    BlockerKind, Check, EdgeKind, FailureClass, Layer, Operation as O, Outcome, ProseField,
    Severity, TodoEdit as E, Verdict,
};
use tress_model::{Dot, EventId, State, StoreId, VersionVector};

use crate::log::{Log, replica, todo};

fn text(words: &str) -> String {
    words.to_owned()
}

fn some(words: &str) -> Option<String> {
    Some(words.to_owned())
}

/// Replicas whose agents have these roles (see [`Log`]).
const IMPLEMENTER: u8 = 0;
const SECOND: u8 = 5;
const VERIFIER: u8 = 2;
const COORDINATOR: u8 = 3;

pub(crate) fn rich() -> State {
    let mut log = Log::default();
    run(&mut log);
    design(&mut log);
    todos(&mut log);
    graph(&mut log);
    claims(&mut log);
    finished(&mut log);
    let mut state = log.state;
    state.ledger_cut = 3;
    state
}

fn run(log: &mut Log) {
    let settings = vec![(text("isolation"), text("worktree"))];
    let (base, branch) = (some("abc123"), some("main"));
    log.write(COORDINATOR, O::RunStarted { title: text("Parser"), base, branch, settings });
    log.write(
        COORDINATOR,
        O::AgentJoined { capabilities: vec![text("rust")], about: text("codex") },
    );
    log.write(COORDINATOR, O::AgentReported { activity: text("planning") });
    log.write(
        COORDINATOR,
        O::PlanMade { summary: text("three agents"), implementers: 3, coordinators: 1 },
    );
    let alert = |name: &str| O::AlertRaised {
        alert: text(name),
        priority: Severity::High,
        message: text("velocity is down"),
        todo: Some(todo(1)),
    };
    log.write(VERIFIER, alert("velocity"));
    log.write(COORDINATOR, O::AlertAcknowledged { alert: text("velocity") });
    log.write(COORDINATOR, O::AlertCleared { alert: text("velocity") });
    log.write(COORDINATOR, O::MetricsRecorded { figures: vec![(text("rework_rate"), 0.25)] });
    log.write(COORDINATOR, O::LearningRecorded { topic: text("batching"), body: text("{}") });
    log.write(COORDINATOR, O::BudgetSpent { todo: None, unit: text("tokens"), amount: 1200.5 });
    let version = VersionVector::from_iter([(replica(0), 4)]);
    let root = EventId([9; 32]);
    log.write(
        COORDINATOR,
        O::CheckpointTaken {
            name: text("start"),
            version: version.clone(),
            root,
            form: 1,
            reason: text("plan"),
        },
    );
    log.write(COORDINATOR, O::Forked { from: text("main"), version: version.clone() });
    log.write(COORDINATOR, O::Merged { from: text("spike"), version });
    log.write(COORDINATOR, O::Undone { event: Dot::new(replica(0), 1), reason: text("oops") });
    let (store, successor) = (StoreId([3; 16]), StoreId([4; 16]));
    log.write(COORDINATOR, O::ReplicaRetired { store, successor });
    log.write(COORDINATOR, O::MemberAdded { store: successor, key: [7; 32] });
    log.write(COORDINATOR, O::RunFinished { summary: text("all done") });
}

fn design(log: &mut Log) {
    log.write(
        COORDINATOR,
        O::SectionAdded {
            section: text("parser/lexer"),
            heading: text("Lexer"),
            level: 2,
            position: 1,
            body: text("Turns characters into tokens. ✓ 🦀"),
        },
    );
    log.write(
        COORDINATOR,
        O::RequirementAdded {
            requirement: text("R1"),
            section: text("parser/lexer"),
            text: text("it is fast"),
            kind: text("performance"),
            criticality: Severity::Medium,
        },
    );
    let (rule, body) = (text("no-panic"), text("forbid panic in src/**"));
    log.write(COORDINATOR, O::DesignRuleAdded { rule, text: body, criticality: Severity::Low });
    let decision = |title: &str, supersedes| O::DecisionRecorded {
        title: text(title),
        context: text("tokens repeat"),
        decision: text("intern them"),
        rationale: text("memory"),
        consequences: text("an arena"),
        supersedes,
    };
    let first = log.write(COORDINATOR, decision("Intern", Vec::new()));
    log.write(COORDINATOR, decision("Intern less", vec![first]));
    log.write(
        1,
        O::AssessmentGiven {
            todo: Some(todo(1)),
            about: text("R1"),
            compliance: 80,
            quality: 95,
            evidence: text("bench"),
        },
    );
    let deviation = log.write(
        1,
        O::DeviationFound {
            todo: Some(todo(1)),
            about: text("no-panic"),
            description: text("an index"),
            impact: Severity::Critical,
            quality: 60,
            compliance: 70,
            evidence: text("line 3"),
        },
    );
    log.write(
        COORDINATOR,
        O::DeviationDecided {
            deviation,
            outcome: Outcome::FixCode,
            rationale: text("the design is right"),
            follow_up: Some(todo(2)),
        },
    );
}

fn todos(log: &mut Log) {
    let edits = vec![
        E::Kind(text("bug")),
        E::Priority(0),
        E::Assignee(some("anna")),
        E::Owner(some("otto")),
        E::Stage(some("hooked")),
        E::Estimate(Some(90)),
        E::Check(some("cargo test")),
        E::Files(vec![text("src/**")]),
        E::Section(some("parser/lexer")),
        E::Capabilities(vec![text("rust")]),
        E::HighRisk(true),
        E::DeferUntil(Some(1_700_000_000_000)),
        E::DueAt(Some(u64::MAX)),
        E::ExternalRef(some("gh-17")),
        E::Extra(text("x_points"), some("3")),
    ];
    log.write(
        COORDINATOR,
        O::TodoAdded {
            todo: todo(1),
            external_id: some("bd-1"),
            title: text("Lex numbers"),
            edits,
            prose: ProseField::ALL.map(|field| (field, text(field.name()))).to_vec(),
            labels: vec![text("a/b"), text("")],
            layout: some("{}"),
        },
    );
    for n in 2..=6 {
        log.write(
            COORDINATOR,
            O::TodoAdded {
                todo: todo(n),
                external_id: None,
                title: format!("Todo {n}"),
                edits: Vec::new(),
                prose: Vec::new(),
                labels: Vec::new(),
                layout: None,
            },
        );
    }
    log.write(1, O::NoteAdded { todo: todo(1), text: text("look out"), layout: some("raw") });
    log.write(
        COORDINATOR,
        O::Assigned { todo: todo(1), agent: text("anna"), reason: text("free") },
    );
    let blocker = log.write(
        IMPLEMENTER,
        O::BlockerRaised {
            todo: todo(1),
            kind: BlockerKind::Requirement,
            description: text("which numbers?"),
            tried: vec![text("asked"), text("guessed")],
        },
    );
    let context = text("the whole story");
    log.write(IMPLEMENTER, O::BlockerEscalated { todo: todo(1), blocker, context });
    let resolution = text("all of them");
    log.write(COORDINATOR, O::BlockerResolved { todo: todo(1), blocker, resolution });
}

fn graph(log: &mut Log) {
    let kinds = [EdgeKind::Blocks, EdgeKind::WaitsForAny, EdgeKind::Other(text("tracks"))];
    for (n, kind) in (2..).zip(kinds) {
        log.write(
            COORDINATOR,
            O::DependencyAdded {
                todo: todo(1),
                on: todo(n),
                external_id: some("bd-2"),
                kind,
                layout: some("{}"),
            },
        );
    }
    log.write(
        COORDINATOR,
        O::DependencyAdded {
            todo: todo(2),
            on: todo(1),
            external_id: None,
            kind: EdgeKind::Blocks,
            layout: None,
        },
    );
}

fn claims(log: &mut Log) {
    let claim =
        |n| O::Claimed { todo: todo(n), lease: Some(60_000), scope: vec![text("src/lex/**")] };
    let held = log.write(IMPLEMENTER, claim(2));
    let lost = log.write_unaware(SECOND, claim(2));
    for (writer, token) in [(IMPLEMENTER, held), (SECOND, lost)] {
        log.write_unaware(
            writer,
            O::TaskStarted {
                todo: todo(2),
                token,
                estimate: Some(20),
                base: some("abc123"),
                branch: some("lex"),
                dependencies: Vec::new(),
            },
        );
        log.write_unaware(
            writer,
            O::ProgressReported {
                todo: todo(2),
                token,
                percent: 40,
                message: text("half way"),
                next_milestone: some("floats"),
            },
        );
    }
    let token = log.write(IMPLEMENTER, claim(3));
    log.write(
        IMPLEMENTER,
        O::AttemptFailed {
            todo: todo(3),
            token,
            class: FailureClass::Transient,
            message: text("no network"),
            retry_at: Some(1_700_000_060_000),
        },
    );
    let path = text("src/lex.rs");
    log.write(IMPLEMENTER, O::ArtifactRecorded { todo: todo(3), path, blob: some("b10b") });
    let path = text("src/old.rs");
    log.write(IMPLEMENTER, O::ArtifactRecorded { todo: todo(3), path, blob: None });
}

fn finished(log: &mut Log) {
    let token = log.write(IMPLEMENTER, O::Claimed { todo: todo(4), lease: None, scope: vec![] });
    let completed = |n, token| O::CompletionClaimed {
        todo: todo(n),
        token,
        commit: some("c0de"),
        to_integrate: true,
        implementation: text("a lexer"),
        tests: text("twelve"),
        integration: text("called by the parser"),
    };
    let refused = log.write(IMPLEMENTER, completed(4, Some(token)));
    let answer = |completion, verdict| O::Verified {
        todo: todo(4),
        completion,
        verdict,
        reason: text("as far as one can see"),
        percent: 80,
        gaps: vec![text("floats")],
    };
    log.write(VERIFIER, answer(refused, Verdict::Fail));
    let completion = log.write(IMPLEMENTER, completed(4, None));
    let check = Check {
        layer: Layer::Testing,
        name: text("tests"),
        command: some("cargo test"),
        exit_code: Some(-1),
        tree: some("7ree"),
        verdict: Verdict::Unknown,
        detail: text("killed"),
        took: 1500,
    };
    log.write(VERIFIER, O::CheckRecorded { todo: todo(4), completion, check });
    log.write(VERIFIER, answer(completion, Verdict::Pass));
    let commit = text("fee1");
    log.write(COORDINATOR, O::Integrated { todo: todo(4), completion, commit });
    log.write(COORDINATOR, O::Closed { todo: todo(5), reason: text("not needed") });
    log.write(COORDINATOR, O::Deleted { todo: todo(6), reason: text("a duplicate") });
    log.write(COORDINATOR, O::RunPaused { reason: text("night") });
}
