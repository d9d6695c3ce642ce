//! Random histories: several replicas that append all kinds of operations and exchange now and
//! then, with clocks that disagree.

use std::sync::Arc;

use proptest::prelude::*;
use tress_engine::{Draft, Log};
use tress_model::operation::{
    BlockerKind, Check, EdgeKind, FailureClass, Layer, Outcome, ProseField, ProseTarget, Severity,
    Splice, TodoEdit, Verdict,
};
use tress_model::{Author, Dot, Operation, ReplicaId, Role, Segment, State, StoreId, TodoId};

/// One step of a history.
#[derive(Debug, Clone)]
pub(crate) enum Step {
    /// A replica appends an operation of some kind, made from some numbers.
    Append { replica: usize, kind: u8, a: u8, b: u8, delay: u16 },
    /// A replica learns everything that another knows.
    Exchange { from: usize, to: usize },
}

pub(crate) fn steps(replicas: usize, len: usize) -> impl Strategy<Value = Vec<Step>> {
    let append = (0..replicas, any::<u8>(), any::<u8>(), any::<u8>(), 0_u16..2000)
        .prop_map(|(replica, kind, a, b, delay)| Step::Append { replica, kind, a, b, delay });
    let exchange = (0..replicas, 0..replicas).prop_map(|(from, to)| Step::Exchange { from, to });
    prop::collection::vec(prop_oneof![6 => append, 1 => exchange], 1..len)
}

pub(crate) struct Replica {
    pub id: ReplicaId,
    pub store: StoreId,
    pub log: Log,
    clock: u64,
}

/// Plays a history; gives the replicas and every segment that was written, in order.
pub(crate) fn play(replicas: usize, steps: &[Step]) -> (Vec<Replica>, Vec<Segment>) {
    let mut team: Vec<Replica> = (0..replicas)
        .map(|number| Replica {
            id: ReplicaId([number as u8 + 1; 16]),
            store: StoreId([number as u8 % 2 + 1; 16]),
            log: Log::new(),
            // Clocks that disagree by up to some seconds.
            clock: 1_000_000 + number as u64 * 700,
        })
        .collect();
    let mut segments = Vec::new();
    for step in steps {
        match step {
            Step::Append { replica, kind, a, b, delay } => {
                let me = &mut team[*replica];
                me.clock += u64::from(*delay);
                let role = Role::ALL[usize::from(*a) % Role::ALL.len()];
                let author = Author::new(format!("agent-{}", b % 4), role);
                let operation = operation(me.log.state(), *kind, *a, *b);
                let draft = Draft { author, occurred: None, operation };
                let prepared = me.log.prepare(me.id, me.store, vec![draft], me.clock);
                let prepared = prepared.expect("a valid operation");
                segments.push(prepared.segment.clone());
                me.log.commit(prepared);
            }
            Step::Exchange { from, to } => {
                let known = team[*from].log.version().clone();
                let lacks = segments.iter().filter(|s| known.get(s.replica) >= s.last());
                let admission = team[*to].log.admit_all(lacks.cloned().collect::<Vec<_>>(), None);
                assert!(admission.rejected.is_empty(), "{:?}", admission.rejected);
            }
        }
    }
    (team, segments)
}

fn todo(number: u8) -> TodoId {
    TodoId::from_external(&format!("todo-{}", number % 5))
}

/// A dot that fits: of a claim, a completion, a blocker … of the todo, or of nothing.
fn token(state: &State, id: TodoId, pick: u8) -> Dot {
    let nowhere = Dot::new(ReplicaId([99; 16]), 1);
    let Some(todo) = state.todo(id) else {
        return nowhere;
    };
    let claims = todo.claim.iter().chain(&todo.lost).map(|claim| claim.token);
    let claims: Vec<_> = claims.collect();
    claims.get(usize::from(pick) % claims.len().max(1)).copied().unwrap_or(nowhere)
}

fn completion(state: &State, id: TodoId, pick: u8) -> Dot {
    let dots: Vec<_> = state.todo(id).map_or(Vec::new(), |todo| {
        todo.completions.iter().map(|completion| completion.dot).collect()
    });
    let nowhere = Dot::new(ReplicaId([98; 16]), 1);
    dots.get(usize::from(pick) % dots.len().max(1)).copied().unwrap_or(nowhere)
}

fn splice(text: &str, a: u8, b: u8) -> Vec<Splice> {
    let len = text.chars().count() as u32;
    let at = if len == 0 { 0 } else { u32::from(a) % (len + 1) };
    let delete = u32::from(b % 4).min(len - at);
    let insert = ["", "x", "äö", "word "][usize::from(b / 4) % 4].to_owned();
    vec![Splice { at, delete, insert }]
}

#[expect(clippy::too_many_lines, reason = "one arm for each operation")]
pub(crate) fn operation(state: &State, kind: u8, a: u8, b: u8) -> Operation {
    let id = todo(a);
    let text = format!("text {}", b % 7);
    let verdict = [Verdict::Pass, Verdict::Fail, Verdict::Unknown][usize::from(b) % 3];
    let blocker = || {
        let blocker = state.todo(id).and_then(|todo| todo.blockers.last().map(|b| b.dot));
        blocker.unwrap_or(Dot::new(ReplicaId([97; 16]), 1))
    };
    match kind % 46 {
        0..=4 => Operation::TodoAdded {
            todo: id,
            external_id: Some(format!("todo-{}", a % 5)),
            title: text.clone(),
            edits: vec![TodoEdit::Priority(b % 5)],
            prose: vec![(ProseField::Description, text)],
            labels: vec![format!("label-{}", b % 3)],
            layout: None,
        },
        5 => Operation::TodoEdited { todo: id, edits: vec![TodoEdit::Title(text)] },
        6 => Operation::TodoEdited {
            todo: id,
            edits: vec![
                TodoEdit::Priority(b % 5),
                TodoEdit::Extra("key".to_owned(), Some(b.to_string())),
            ],
        },
        7 => Operation::ProseEdited {
            target: ProseTarget::Todo(id, ProseField::Description),
            splices: splice(
                &state.todo(id).map(|t| t.prose(ProseField::Description)).unwrap_or_default(),
                a,
                b,
            ),
        },
        8 => Operation::LabelsChanged {
            todo: id,
            added: vec![format!("label-{}", b % 3)],
            removed: vec![format!("label-{}", a % 3)],
        },
        9 => Operation::NoteAdded { todo: id, text, layout: None },
        10..=12 => Operation::DependencyAdded {
            todo: id,
            on: todo(b),
            external_id: None,
            kind: [
                EdgeKind::Blocks,
                EdgeKind::ParentChild,
                EdgeKind::WaitsFor,
                EdgeKind::RelatesTo,
            ][usize::from(b / 8) % 4]
                .clone(),
            layout: None,
        },
        13 => Operation::DependencyRemoved {
            todo: id,
            on: todo(b),
            kind: [EdgeKind::Blocks, EdgeKind::ParentChild][usize::from(b / 8) % 2].clone(),
        },
        14 => Operation::Closed { todo: id, reason: text },
        15 => Operation::Reopened { todo: id, reason: text },
        16 => Operation::Deleted { todo: id, reason: text },
        17..=20 => {
            let lease = (b.is_multiple_of(2)).then_some(u64::from(b) * 20 + 1);
            Operation::Claimed { todo: id, lease, scope: Vec::new() }
        }
        21 => Operation::Renewed { todo: id, token: token(state, id, b), lease: Some(500) },
        22 => Operation::Released { todo: id, token: token(state, id, b), reason: text },
        23 => Operation::TaskStarted {
            todo: id,
            token: token(state, id, b),
            estimate: Some(5),
            base: None,
            branch: None,
            dependencies: Vec::new(),
        },
        24 => Operation::ProgressReported {
            todo: id,
            token: token(state, id, b),
            percent: b % 101,
            message: text,
            next_milestone: None,
        },
        25 => Operation::BlockerRaised {
            todo: id,
            kind: BlockerKind::Technical,
            description: text,
            tried: Vec::new(),
        },
        26 => Operation::BlockerResolved { todo: id, blocker: blocker(), resolution: text },
        27..=29 => Operation::CompletionClaimed {
            todo: id,
            token: (!b.is_multiple_of(3)).then(|| token(state, id, b)),
            commit: None,
            to_integrate: b.is_multiple_of(4),
            implementation: text,
            tests: String::new(),
            integration: String::new(),
        },
        30..=32 => Operation::Verified {
            todo: id,
            completion: completion(state, id, b),
            verdict,
            reason: text,
            percent: b % 101,
            gaps: Vec::new(),
        },
        33 => {
            Operation::Integrated { todo: id, completion: completion(state, id, b), commit: text }
        }
        34 => Operation::IntegrationFailed {
            todo: id,
            completion: completion(state, id, b),
            reason: text,
        },
        35 => Operation::AttemptFailed {
            todo: id,
            token: token(state, id, b),
            class: FailureClass::Logic,
            message: text,
            retry_at: None,
        },
        36 => Operation::CheckRecorded {
            todo: id,
            completion: completion(state, id, b),
            check: Check {
                layer: Layer::Testing,
                name: text,
                command: None,
                exit_code: Some(0),
                tree: None,
                verdict,
                detail: String::new(),
                took: 1,
            },
        },
        37 => Operation::SectionAdded {
            section: format!("section-{}", a % 3),
            heading: text.clone(),
            level: 1,
            position: u32::from(b),
            body: text,
        },
        38 => {
            let key = format!("section-{}", a % 3);
            let body = state.design.sections.get(&key).map(|section| section.body.text());
            let splices = splice(&body.unwrap_or_default(), a, b);
            Operation::ProseEdited { target: ProseTarget::Section(key), splices }
        }
        39 => Operation::RequirementAdded {
            requirement: format!("R{}", a % 3),
            section: "section-1".to_owned(),
            text,
            kind: "functional".to_owned(),
            criticality: Severity::High,
        },
        40 => Operation::DecisionRecorded {
            title: text.clone(),
            context: String::new(),
            decision: text,
            rationale: String::new(),
            consequences: String::new(),
            supersedes: state.design.decisions.iter().map(|d| d.dot).take(1).collect(),
        },
        41 => Operation::DeviationFound {
            todo: Some(id),
            about: "R1".to_owned(),
            description: text,
            impact: Severity::Low,
            quality: b % 101,
            compliance: a % 101,
            evidence: String::new(),
        },
        42 => Operation::DeviationDecided {
            deviation: state
                .design
                .deviations
                .get(0)
                .map_or(Dot::new(ReplicaId([96; 16]), 1), |deviation| deviation.dot),
            outcome: Outcome::FixCode,
            rationale: text,
            follow_up: None,
        },
        43 => Operation::AlertRaised {
            alert: format!("alert-{}", a % 3),
            priority: Severity::Medium,
            message: text,
            todo: None,
        },
        44 => Operation::AlertCleared { alert: format!("alert-{}", a % 3) },
        _ => Operation::CheckpointTaken {
            name: format!("checkpoint-{}", a % 3),
            version: state.version.clone(),
            root: state.root(),
            form: tress_model::codec::STATE_FORM,
            reason: text,
        },
    }
}

/// All events of all replicas in one log.
pub(crate) fn merged(segments: &[Segment]) -> Log {
    let mut log = Log::new();
    let admission = log.admit_all(segments.iter().cloned(), None);
    assert!(admission.rejected.is_empty(), "{:?}", admission.rejected);
    assert_eq!(admission.waiting, 0);
    log
}

/// What every state must be, whatever happened before it.
pub(crate) fn assert_invariants(state: &Arc<State>) {
    for todo in state.todos.values() {
        for completion in todo.completions.iter().filter(|c| c.complete()) {
            let verification = completion.verification.as_ref().expect("it was verified");
            assert_ne!(verification.agent, completion.agent, "done-means-verified");
        }
        if todo.finished() {
            let claim = todo.claim.is_none() || todo.completed().is_none();
            assert!(claim, "a completed todo is held by nobody");
        }
        for kind in [EdgeKind::Blocks, EdgeKind::ParentChild] {
            for edge in state.edges(todo.id).iter().filter(|e| e.kind == kind && !e.suspended) {
                assert_ne!(edge.on, todo.id, "no-cycles");
            }
        }
    }
}
