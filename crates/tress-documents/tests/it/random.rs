//! Operations for tests: some by name, and all by number for random histories.

use tress_model::Dot;
use tress_model::operation::{
    BlockerKind, EdgeKind, FailureClass, Operation as O, ProseField, ProseTarget, Severity, Splice,
    TodoEdit, Verdict,
};

use crate::log::{replica, todo};

pub(crate) fn add(n: u64, description: &str) -> O {
    O::TodoAdded {
        todo: todo(n),
        external_id: None,
        title: format!("Todo {n}"),
        edits: Vec::new(),
        prose: vec![(ProseField::Description, description.to_owned())],
        labels: Vec::new(),
        layout: None,
    }
}

pub(crate) fn splice(n: u64, at: u32, delete: u32, insert: &str) -> O {
    let target = ProseTarget::Todo(todo(n), ProseField::Description);
    O::ProseEdited { target, splices: vec![Splice { at, delete, insert: insert.to_owned() }] }
}

/// One step of a random history.
pub(crate) fn operation(kind: u8, n: u64, pick: u8, dots: &[Dot]) -> O {
    let id = todo(n);
    let dot = |offset: usize| {
        let at = usize::from(pick) + offset;
        dots.get(at % dots.len().max(1)).copied().unwrap_or(Dot::new(replica(0), 1))
    };
    let word = ["alpha", "beta ✓", "", "γ/δ"][usize::from(pick) % 4].to_owned();
    let label = || vec![word.clone()];
    match kind {
        0..=2 => add(n, &word),
        3 => O::TodoEdited { todo: id, edits: vec![TodoEdit::Title(word)] },
        4 => O::TodoEdited { todo: id, edits: vec![TodoEdit::Estimate(None)] },
        5 => O::TodoEdited { todo: id, edits: vec![TodoEdit::Files(label())] },
        6..=7 => splice(n, u32::from(pick) % 5, u32::from(pick) % 3, &word),
        8 => O::LabelsChanged { todo: id, added: label(), removed: Vec::new() },
        9 => O::LabelsChanged { todo: id, added: Vec::new(), removed: label() },
        10 => O::DependencyAdded {
            todo: id,
            on: todo(u64::from(pick) % 4),
            external_id: None,
            kind: EdgeKind::Blocks,
            layout: None,
        },
        11 => {
            O::DependencyRemoved { todo: id, on: todo(u64::from(pick) % 4), kind: EdgeKind::Blocks }
        }
        12 => O::Closed { todo: id, reason: word },
        13 => O::Reopened { todo: id, reason: word },
        14 => O::Deleted { todo: id, reason: word },
        15..=16 => O::Claimed { todo: id, lease: Some(20), scope: label() },
        17 => O::Released { todo: id, token: dot(0), reason: word },
        18 => O::AttemptFailed {
            todo: id,
            token: dot(0),
            class: FailureClass::Logic,
            message: word,
            retry_at: None,
        },
        19..=20 => O::CompletionClaimed {
            todo: id,
            token: None,
            commit: None,
            to_integrate: false,
            implementation: word,
            tests: String::new(),
            integration: String::new(),
        },
        21 => O::Verified {
            todo: id,
            completion: dot(0),
            verdict: if pick.is_multiple_of(2) { Verdict::Pass } else { Verdict::Fail },
            reason: word,
            percent: pick,
            gaps: Vec::new(),
        },
        22 => O::BlockerRaised {
            todo: id,
            kind: BlockerKind::Technical,
            description: word.clone(),
            tried: label(),
        },
        23 => O::NoteAdded { todo: id, text: word, layout: None },
        24 => O::SectionAdded {
            section: word.clone(),
            heading: word.clone(),
            level: 1,
            position: u32::from(pick),
            body: word,
        },
        25 => O::SectionRemoved { section: word },
        26 => O::DecisionRecorded {
            title: word,
            context: String::new(),
            decision: String::new(),
            rationale: String::new(),
            consequences: String::new(),
            supersedes: vec![dot(0)],
        },
        27 => O::AlertRaised {
            alert: word,
            priority: Severity::Low,
            message: String::new(),
            todo: None,
        },
        28 => O::MetricsRecorded {
            figures: vec![(word, [f64::NAN, 0.0, -0.0, 1.5][usize::from(pick) % 4])],
        },
        29 => O::LearningRecorded { topic: word, body: String::new() },
        30 => O::LossAcknowledged { event: dot(0) },
        _ => O::RunStarted { title: word, base: None, branch: None, settings: Vec::new() },
    }
}
