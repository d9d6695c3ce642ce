//! The design strand.

use tress_model::operation::Outcome;
use tress_model::state::design::{
    Assessment, Decision, DesignRule, Deviation, Requirement, Section,
};

use super::todo::dot;
use crate::node::{Fields, Node, int, sequence, time};

pub(crate) fn section(section: &Section) -> Node {
    Fields::new()
        .with("heading", &section.heading)
        .with("level", int(section.level))
        .with("position", int(section.position))
        .with("body", Node::Text(section.body.text()))
        .with("updated_at", time(section.updated_at))
        .into()
}

pub(crate) fn requirement(requirement: &Requirement) -> Node {
    Fields::new()
        .with("section", &requirement.section)
        .with("text", &requirement.text)
        .with("kind", &requirement.kind)
        .with("criticality", requirement.criticality.name())
        .with("event", dot(requirement.dot))
        .into()
}

pub(crate) fn rule(rule: &DesignRule) -> Node {
    Fields::new()
        .with("text", &rule.text)
        .with("criticality", rule.criticality.name())
        .with("event", dot(rule.dot))
        .into()
}

pub(crate) fn decision(decision: &Decision) -> Node {
    Fields::new()
        .with("agent", &*decision.agent)
        .with("at", time(decision.at))
        .with("title", &decision.title)
        .line("context", &decision.context)
        .line("decision", &decision.decision)
        .line("rationale", &decision.rationale)
        .line("consequences", &decision.consequences)
        .group("superseded_by", sequence(decision.superseded_by.iter().map(|&by| dot(by))))
        .into()
}

pub(crate) fn deviation(deviation: &Deviation) -> Node {
    let fields = Fields::new()
        .with("agent", &*deviation.agent)
        .with("at", time(deviation.at))
        .maybe("todo", deviation.todo.map(|todo| Node::Str(todo.to_string())))
        .with("about", &deviation.about)
        .line("description", &deviation.description)
        .with("impact", deviation.impact.name())
        .with("quality", int(deviation.quality))
        .with("compliance", int(deviation.compliance))
        .line("evidence", &deviation.evidence);
    let Some((outcome, rationale, follow_up)) = &deviation.decided else {
        return fields.into();
    };
    let outcome = match outcome {
        Outcome::UpdateDesign => "update_design",
        Outcome::FixCode => "fix_code",
        Outcome::DocumentDeviation => "document_deviation",
    };
    fields
        .with("outcome", outcome)
        .line("rationale", rationale)
        .maybe("follow_up", follow_up.map(|todo| Node::Str(todo.to_string())))
        .into()
}

pub(crate) fn assessment(assessment: &Assessment) -> Node {
    Fields::new()
        .with("agent", &*assessment.agent)
        .maybe("todo", assessment.todo.map(|todo| Node::Str(todo.to_string())))
        .with("about", &assessment.about)
        .with("compliance", int(assessment.compliance))
        .with("quality", int(assessment.quality))
        .line("evidence", &assessment.evidence)
        .into()
}
