//! Random operations, all that there are, made so that they fit the state that their author sees:
//! tokens of claims that are there, completions that wait, edits within the text.

use tress_model::operation::{
    BlockerKind, Check, EdgeKind, FailureClass, Layer, Outcome, ProseField, ProseTarget, Severity,
    Splice, TodoEdit, Verdict,
};
use tress_model::{Dot, Operation, ReplicaId, State, StoreId, TodoId};

/// What an operation is made from: what its author sees, and two random numbers.
struct Pick<'a> {
    state: &'a State,
    a: u8,
    b: u8,
}

type Maker = fn(&Pick<'_>) -> Operation;

pub(crate) fn todo(number: u8) -> TodoId {
    TodoId::from_external(&format!("todo-{}", number % 5))
}

fn nowhere() -> Dot {
    Dot::new(ReplicaId([99; 16]), 1)
}

fn one_of<T: Clone>(choices: &[T], pick: u8) -> Option<T> {
    choices.get(usize::from(pick) % choices.len().max(1)).cloned()
}

impl Pick<'_> {
    fn todo(&self) -> TodoId {
        todo(self.a)
    }

    fn text(&self) -> String {
        format!("text {}", self.b % 7)
    }

    fn key(&self, what: &str) -> String {
        format!("{what}-{}", self.a % 3)
    }

    /// The token of a claim of the todo that holds, lost or ended, or of nothing.
    fn token(&self) -> Dot {
        let Some(todo) = self.state.todo(self.todo()) else { return nowhere() };
        let claims = todo.claim.as_deref().into_iter().chain(&todo.lost).map(|claim| claim.token);
        let mut claims: Vec<_> = claims.chain(todo.ended.iter().map(|end| end.token)).collect();
        // Mostly the one that holds.
        claims.extend(todo.claim.iter().flat_map(|claim| [claim.token; 2]));
        one_of(&claims, self.b).unwrap_or_else(nowhere)
    }

    fn completion(&self) -> Dot {
        let completions = self.state.todo(self.todo()).map(|todo| &todo.completions);
        let dots: Vec<_> = completions.into_iter().flatten().map(|made| made.dot).collect();
        let last = dots.last().copied();
        let pick = if self.b.is_multiple_of(2) { last } else { one_of(&dots, self.b) };
        pick.unwrap_or_else(nowhere)
    }

    fn blocker(&self) -> Dot {
        let todo = self.state.todo(self.todo());
        let last = todo.and_then(|todo| todo.blockers.last().map(|blocker| blocker.dot));
        last.unwrap_or_else(nowhere)
    }

    fn verdict(&self) -> Verdict {
        let verdicts = [Verdict::Pass, Verdict::Fail, Verdict::Unknown, Verdict::Pass];
        one_of(&verdicts, self.b).unwrap_or(Verdict::Pass)
    }

    fn splices(&self, text: &str) -> Vec<Splice> {
        let len = text.chars().count() as u32;
        let at = u32::from(self.a) % (len + 1);
        let delete = u32::from(self.b % 4).min(len - at);
        let insert = one_of(&["", "x", "äö", "word "], self.b / 4).unwrap_or_default().to_owned();
        vec![Splice { at, delete, insert }]
    }

    fn edge(&self) -> EdgeKind {
        let kinds = [
            EdgeKind::Blocks,
            EdgeKind::ParentChild,
            EdgeKind::WaitsFor,
            EdgeKind::ConditionalBlocks,
            EdgeKind::RelatesTo,
        ];
        one_of(&kinds, self.b / 8).unwrap_or(EdgeKind::Blocks)
    }

    fn edit(&self) -> TodoEdit {
        let (text, number) = (Some(self.text()), u64::from(self.b));
        let edits = [
            TodoEdit::Title(self.text()),
            TodoEdit::Priority(self.b % 5),
            TodoEdit::Kind(self.text()),
            TodoEdit::Assignee(text.clone()),
            TodoEdit::Owner(text.clone()),
            TodoEdit::Stage(one_of(&[None, Some("deferred".to_owned())], self.b).flatten()),
            TodoEdit::Estimate(Some(u32::from(self.b % 3))),
            TodoEdit::Check(text.clone()),
            TodoEdit::Files(vec![self.text()]),
            TodoEdit::Section(text.clone()),
            TodoEdit::Capabilities(vec![self.text()]),
            TodoEdit::HighRisk(self.b.is_multiple_of(2)),
            TodoEdit::Pinned(self.b.is_multiple_of(2)),
            TodoEdit::Ephemeral(self.b.is_multiple_of(2)),
            TodoEdit::DeferUntil(Some(number)),
            TodoEdit::DueAt(Some(number)),
            TodoEdit::ExternalRef(text.clone()),
            TodoEdit::CreatedAt(number),
            TodoEdit::CreatedBy(text.clone()),
            TodoEdit::UpdatedAt(number),
            TodoEdit::Extra("key".to_owned(), text.filter(|_| !self.b.is_multiple_of(3))),
        ];
        // Titles and priorities mostly, so that edits meet.
        let pick = if self.a < 128 { self.a % 2 } else { self.a };
        one_of(&edits, pick).unwrap_or(TodoEdit::Priority(0))
    }
}

/// What is planned: todos, their fields and edges. Each with its weight.
const PLANNING: [(u8, Maker); 10] = [
    (5, |p| Operation::TodoAdded {
        todo: p.todo(),
        external_id: Some(format!("todo-{}", p.a % 5)),
        title: p.text(),
        edits: vec![TodoEdit::Priority(p.b % 5)],
        prose: vec![(ProseField::Description, p.text())],
        labels: vec![format!("label-{}", p.b % 3)],
        layout: None,
    }),
    (6, |p| Operation::TodoEdited { todo: p.todo(), edits: vec![p.edit()] }),
    (4, |p| {
        if p.b.is_multiple_of(2) {
            let todo = p.state.todo(p.todo());
            let text = todo.map(|todo| todo.prose(ProseField::Description)).unwrap_or_default();
            let target = ProseTarget::Todo(p.todo(), ProseField::Description);
            return Operation::ProseEdited { target, splices: p.splices(&text) };
        }
        let key = p.key("section");
        let body = p.state.design.sections.get(&key).map(|section| section.body.text());
        let splices = p.splices(&body.unwrap_or_default());
        Operation::ProseEdited { target: ProseTarget::Section(key), splices }
    }),
    (2, |p| Operation::LabelsChanged {
        todo: p.todo(),
        added: vec![format!("label-{}", p.b % 3)],
        removed: vec![format!("label-{}", p.a % 3)],
    }),
    (2, |p| Operation::NoteAdded { todo: p.todo(), text: p.text(), layout: None }),
    (7, |p| Operation::DependencyAdded {
        todo: p.todo(),
        on: todo(p.b),
        external_id: None,
        kind: p.edge(),
        layout: None,
    }),
    (4, |p| {
        let edges = p.state.edges(p.todo());
        let edge = one_of(edges, p.b).map(|edge| (edge.on, edge.kind));
        let (on, kind) = edge.unwrap_or((todo(p.b), p.edge()));
        Operation::DependencyRemoved { todo: p.todo(), on, kind }
    }),
    (2, |p| Operation::Closed { todo: p.todo(), reason: p.text() }),
    (4, |p| Operation::Reopened { todo: p.todo(), reason: p.text() }),
    (3, |p| Operation::Deleted { todo: p.todo(), reason: p.text() }),
];

/// Claims, work under them, and its acceptance.
const WORK: [(u8, Maker); 19] = [
    (9, |p| {
        let lease = (p.b.is_multiple_of(2)).then_some(u64::from(p.b) * 20 + 1);
        Operation::Claimed { todo: p.todo(), lease, scope: Vec::new() }
    }),
    (1, |p| Operation::Renewed { todo: p.todo(), token: p.token(), lease: Some(500) }),
    (4, |p| Operation::Released { todo: p.todo(), token: p.token(), reason: p.text() }),
    (1, |p| Operation::TaskStarted {
        todo: p.todo(),
        token: p.token(),
        estimate: Some(5),
        base: None,
        branch: Some(p.text()),
        dependencies: Vec::new(),
    }),
    (2, |p| Operation::ProgressReported {
        todo: p.todo(),
        token: p.token(),
        percent: p.b % 101,
        message: p.text(),
        next_milestone: None,
    }),
    (1, |p| Operation::ScopeReserved { todo: p.todo(), token: p.token(), globs: vec![p.text()] }),
    (1, |p| Operation::AttemptFailed {
        todo: p.todo(),
        token: p.token(),
        class: FailureClass::Logic,
        message: p.text(),
        retry_at: None,
    }),
    (1, |p| Operation::BlockerRaised {
        todo: p.todo(),
        kind: BlockerKind::Technical,
        description: p.text(),
        tried: Vec::new(),
    }),
    (1, |p| Operation::BlockerResolved {
        todo: p.todo(),
        blocker: p.blocker(),
        resolution: p.text(),
    }),
    (1, |p| Operation::BlockerEscalated {
        todo: p.todo(),
        blocker: p.blocker(),
        context: p.text(),
    }),
    (7, |p| Operation::CompletionClaimed {
        todo: p.todo(),
        token: (!p.b.is_multiple_of(7)).then(|| p.token()),
        commit: None,
        to_integrate: p.b.is_multiple_of(4),
        implementation: p.text(),
        tests: String::new(),
        integration: String::new(),
    }),
    (8, |p| Operation::Verified {
        todo: p.todo(),
        completion: p.completion(),
        verdict: p.verdict(),
        reason: p.text(),
        percent: p.b % 101,
        gaps: Vec::new(),
    }),
    (3, |p| Operation::Integrated { todo: p.todo(), completion: p.completion(), commit: p.text() }),
    (1, |p| Operation::IntegrationFailed {
        todo: p.todo(),
        completion: p.completion(),
        reason: p.text(),
    }),
    (1, |p| Operation::RolledBack { todo: p.todo(), what: p.text(), reason: p.text() }),
    (1, |p| Operation::CheckRecorded {
        todo: p.todo(),
        completion: p.completion(),
        check: Check {
            layer: Layer::Testing,
            name: p.text(),
            command: None,
            exit_code: Some(0),
            tree: None,
            verdict: p.verdict(),
            detail: String::new(),
            took: 1,
        },
    }),
    (1, |p| Operation::ArtifactRecorded { todo: p.todo(), path: p.text(), blob: None }),
    (1, |p| Operation::Assigned { todo: p.todo(), agent: p.text(), reason: String::new() }),
    (2, |p| {
        let losers: Vec<_> = p.state.ledger.iter().map(|entry| entry.loser).collect();
        Operation::LossAcknowledged { event: one_of(&losers, p.a).unwrap_or_else(nowhere) }
    }),
];

/// The design strand.
const DESIGN: [(u8, Maker); 10] = [
    (4, |p| Operation::SectionAdded {
        section: p.key("section"),
        heading: p.text(),
        level: p.b % 3,
        position: u32::from(p.b % 4),
        body: p.text(),
    }),
    (2, |p| Operation::SectionRemoved { section: p.key("section") }),
    (3, |p| Operation::RequirementAdded {
        requirement: p.key("R"),
        section: p.key("section"),
        text: p.text(),
        kind: format!("kind {}", p.b % 2),
        criticality: Severity::High,
    }),
    (2, |p| Operation::RequirementRemoved { requirement: p.key("R") }),
    (3, |p| {
        let criticality = one_of(&[Severity::Low, Severity::High], p.b).unwrap_or(Severity::Low);
        Operation::DesignRuleAdded { rule: p.key("D"), text: p.text(), criticality }
    }),
    (2, |p| Operation::DesignRuleRemoved { rule: p.key("D") }),
    (2, |p| Operation::DecisionRecorded {
        title: p.text(),
        context: String::new(),
        decision: p.text(),
        rationale: String::new(),
        consequences: String::new(),
        supersedes: p.state.design.decisions.iter().map(|d| d.dot).take(1).collect(),
    }),
    (1, |p| Operation::AssessmentGiven {
        todo: Some(p.todo()),
        about: p.key("R"),
        compliance: p.a % 101,
        quality: p.b % 101,
        evidence: p.text(),
    }),
    (1, |p| Operation::DeviationFound {
        todo: Some(p.todo()),
        about: p.key("R"),
        description: p.text(),
        impact: Severity::Low,
        quality: p.b % 101,
        compliance: p.a % 101,
        evidence: String::new(),
    }),
    (2, |p| {
        let found = p.state.design.deviations.get(0).map(|deviation| deviation.dot);
        Operation::DeviationDecided {
            deviation: found.unwrap_or_else(nowhere),
            outcome: Outcome::FixCode,
            rationale: p.text(),
            follow_up: None,
        }
    }),
];

/// The run, its team and its history.
const RUN: [(u8, Maker); 24] = [
    (1, |p| Operation::RunStarted {
        title: p.text(),
        base: None,
        branch: Some(p.text()),
        settings: vec![(p.key("setting"), p.text())],
    }),
    (1, |p| Operation::RunPaused { reason: p.text() }),
    (1, |_| Operation::RunResumed),
    (1, |p| Operation::RunFinished { summary: p.text() }),
    (1, |p| Operation::AgentJoined { capabilities: vec![p.text()], about: p.text() }),
    (1, |p| Operation::AgentLeft { reason: p.text() }),
    (1, |p| Operation::AgentReported { activity: p.text() }),
    (1, |p| Operation::PlanMade {
        summary: p.text(),
        implementers: u32::from(p.a),
        coordinators: u32::from(p.b),
    }),
    (1, |p| Operation::StrategyChanged {
        setting: p.key("setting"),
        from: String::new(),
        to: p.text(),
        reason: String::new(),
    }),
    (1, |p| Operation::AlertRaised {
        alert: p.key("alert"),
        priority: Severity::Medium,
        message: p.text(),
        todo: p.b.is_multiple_of(2).then(|| p.todo()),
    }),
    (1, |p| Operation::AlertAcknowledged { alert: p.key("alert") }),
    (1, |p| Operation::AlertCleared { alert: p.key("alert") }),
    (1, |p| Operation::MetricsRecorded { figures: vec![(p.key("figure"), f64::from(p.b))] }),
    (1, |p| Operation::LearningRecorded { topic: p.text(), body: "{}".to_owned() }),
    (1, |p| Operation::BudgetSpent {
        todo: Some(p.todo()),
        unit: "tokens".to_owned(),
        amount: f64::from(p.b) + 1.0,
    }),
    (2, |p| Operation::CheckpointTaken {
        name: p.key("checkpoint"),
        version: p.state.version.clone(),
        root: p.state.root(),
        form: tress_model::codec::STATE_FORM,
        reason: p.text(),
    }),
    (1, |p| Operation::Forked { from: p.text(), version: p.state.version.clone() }),
    (1, |p| Operation::Merged { from: p.text(), version: p.state.version.clone() }),
    (1, |p| Operation::Undone {
        event: p.state.ledger.last().map_or_else(nowhere, |entry| entry.loser),
        reason: p.text(),
    }),
    (1, |p| Operation::ReplicaRetired {
        store: StoreId([p.a % 3; 16]),
        successor: StoreId([p.b % 3; 16]),
    }),
    (1, |p| Operation::MemberAdded { store: StoreId([p.a % 3; 16]), key: [p.b; 32] }),
    (1, |p| Operation::MemberRemoved { store: StoreId([p.a % 3; 16]) }),
    (2, |p| Operation::HeadsSigned { heads: Vec::new(), signature: vec![p.a; 64] }),
    (1, |p| Operation::Custom { kind: p.text(), body: "{}".to_owned() }),
];

fn makers() -> impl Iterator<Item = &'static (u8, Maker)> {
    PLANNING.iter().chain(&WORK).chain(&DESIGN).chain(&RUN)
}

/// An operation that somebody who sees `state` could mean, made from three random numbers.
pub(crate) fn operation(state: &State, kind: u8, a: u8, b: u8) -> Operation {
    let total: u32 = makers().map(|(weight, _)| u32::from(*weight)).sum();
    assert_ne!(total % 7, 0, "then some are never made");
    let mut left = u32::from(kind) * 7 % total;
    let pick = Pick { state, a, b };
    for (weight, maker) in makers() {
        if left < u32::from(*weight) {
            return maker(&pick);
        }
        left -= u32::from(*weight);
    }
    unreachable!("the weights add up to the total")
}

#[cfg(test)]
mod complete {
    use std::collections::BTreeSet;

    use serde::Deserialize;
    use serde::de::{Deserializer, Visitor, value::Error};

    use super::*;

    /// Learns the names of an enum's variants from its `Deserialize`.
    struct Names<'a>(&'a mut Vec<&'static str>);

    impl<'de> Deserializer<'de> for Names<'_> {
        type Error = Error;

        fn deserialize_any<V: Visitor<'de>>(self, _: V) -> Result<V::Value, Error> {
            Err(serde::de::Error::custom("not an enum"))
        }

        fn deserialize_enum<V: Visitor<'de>>(
            self,
            _: &'static str,
            variants: &'static [&'static str],
            _: V,
        ) -> Result<V::Value, Error> {
            self.0.extend(variants);
            Err(serde::de::Error::custom("only the names are wanted"))
        }

        serde::forward_to_deserialize_any! {
            bool i8 i16 i32 i64 u8 u16 u32 u64 f32 f64 char str string bytes byte_buf option unit
            unit_struct newtype_struct seq tuple tuple_struct map struct identifier ignored_any
        }
    }

    /// A new operation that no history ever has would be an operation without properties.
    #[test]
    fn the_generator_makes_every_operation() {
        let mut known = Vec::new();
        assert!(Operation::deserialize(Names(&mut known)).is_err());
        let known: BTreeSet<_> = known.into_iter().filter(|name| *name != "unknown").collect();
        let state = State::default();
        let made = (0..=u8::MAX).flat_map(|kind| [(kind, 0), (kind, 1)]);
        let made = made.map(|(kind, b)| operation(&state, kind, 0, b).name());
        assert_eq!(made.collect::<BTreeSet<_>>(), known);
        assert_eq!(makers().count(), known.len(), "one maker for each");
    }
}
