//! Edits of the design document.

use tress_model::operation::{ProseTarget, Severity};
use tress_model::{Operation, State};

use super::{Edits, Pair, differing, text, whole};
use crate::node::Node;

const DECISIONS: &str = "a decision stands: record one that supersedes it";
const FOUND: &str = "deviations and assessments come from the reconciler";
const STAYS: &str = "the map stays: take its entries out one by one";

impl Edits {
    pub(super) fn design(&mut self, state: &State, known: &Node, edited: &Node) {
        for pair in differing(Some(known), Some(edited)) {
            let gone = pair.new.and_then(Node::as_map).is_none();
            match pair.key {
                "schema" | "strand" => {}
                "sections" | "requirements" | "rules" | "decisions" if gone => {
                    self.refuse(pair.key, STAYS);
                }
                "sections" => {
                    let pairs = differing(pair.old, pair.new);
                    pairs.iter().for_each(|pair| self.section(state, pair));
                }
                "requirements" => {
                    let pairs = differing(pair.old, pair.new);
                    pairs.iter().for_each(|pair| self.requirement(pair));
                }
                "rules" => {
                    let pairs = differing(pair.old, pair.new);
                    pairs.iter().for_each(|pair| self.rule(pair));
                }
                "decisions" => {
                    let pairs = differing(pair.old, pair.new);
                    pairs.iter().for_each(|pair| self.decision(pair));
                }
                "deviations" | "assessments" => self.refuse(pair.key, FOUND),
                "run" => self.refuse("run", "`start` says what a run is about"),
                other => self.refuse(other, "the schema has no such field"),
            }
        }
    }

    fn section(&mut self, state: &State, pair: &Pair<'_>) {
        let section = pair.key.to_owned();
        let Some(new) = pair.new else {
            return self.operations.push(Operation::SectionRemoved { section });
        };
        let heading = text(new.get("heading")).unwrap_or_default().to_owned();
        if heading.trim().is_empty() {
            return self.refuse(format!("sections/{section}"), "a section needs a heading");
        }
        let number = |name: &str| new.get(name).and_then(whole);
        let level = number("level").and_then(|level| u8::try_from(level).ok()).unwrap_or(2);
        let behind = u32::try_from(state.design.sections.len()).unwrap_or(u32::MAX);
        let position = number("position").and_then(|at| u32::try_from(at).ok()).unwrap_or(behind);
        let known = |name: &str| text(pair.old.and_then(|old| old.get(name))).unwrap_or_default();
        let body = text(new.get("body")).unwrap_or_default();
        let changed = differing(pair.old, pair.new);
        if changed.iter().any(|change| matches!(change.key, "heading" | "level" | "position")) {
            // The text is edited for itself, so that it merges.
            let body = if pair.old.is_some() { known("body") } else { body }.to_owned();
            let section = section.clone();
            self.operations.push(Operation::SectionAdded {
                section,
                heading,
                level,
                position,
                body,
            });
        }
        if pair.old.is_some() {
            self.prose(ProseTarget::Section(section), known("body"), body);
        }
        for change in changed {
            if !matches!(change.key, "heading" | "level" | "position" | "body") {
                let path = format!("sections/{}/{}", pair.key, change.key);
                self.refuse(path, "it is kept by Tress");
            }
        }
    }

    fn requirement(&mut self, pair: &Pair<'_>) {
        let requirement = pair.key.to_owned();
        let Some(new) = pair.new else {
            return self.operations.push(Operation::RequirementRemoved { requirement });
        };
        let line = |name: &str| text(new.get(name)).unwrap_or_default().to_owned();
        if line("text").trim().is_empty() {
            return self.refuse(format!("requirements/{requirement}"), "it needs a text");
        }
        let kind = match line("kind") {
            kind if kind.is_empty() => "functional".to_owned(),
            kind => kind,
        };
        let Some(criticality) = severity(new) else {
            return self.refuse(format!("requirements/{requirement}/criticality"), SEVERITY);
        };
        let (section, text) = (line("section"), line("text"));
        let added = Operation::RequirementAdded { requirement, section, text, kind, criticality };
        self.operations.push(added);
    }

    fn rule(&mut self, pair: &Pair<'_>) {
        let rule = pair.key.to_owned();
        let Some(new) = pair.new else {
            return self.operations.push(Operation::DesignRuleRemoved { rule });
        };
        let Some(body) = text(new.get("text")).filter(|text| !text.trim().is_empty()) else {
            return self.refuse(format!("rules/{rule}"), "it needs a text");
        };
        let Some(criticality) = severity(new) else {
            return self.refuse(format!("rules/{rule}/criticality"), SEVERITY);
        };
        let text = body.to_owned();
        self.operations.push(Operation::DesignRuleAdded { rule, text, criticality });
    }

    fn decision(&mut self, pair: &Pair<'_>) {
        let path = format!("decisions/{}", pair.key);
        let (None, Some(new)) = (pair.old, pair.new) else {
            return self.refuse(path, DECISIONS);
        };
        let line = |name: &str| text(new.get(name)).unwrap_or_default().to_owned();
        let (title, decision) = (line("title"), line("decision"));
        if title.trim().is_empty() {
            return self.refuse(path, "a decision needs a title");
        }
        let (context, rationale) = (line("context"), line("rationale"));
        let (consequences, supersedes) = (line("consequences"), Vec::new());
        self.operations.push(Operation::DecisionRecorded {
            title,
            context,
            decision,
            rationale,
            consequences,
            supersedes,
        });
    }
}

const SEVERITY: &str = "it is `low`, `medium`, `high` or `critical`";

/// How much something matters; medium where it does not say.
fn severity(node: &Node) -> Option<Severity> {
    match text(node.get("criticality")) {
        None => Some(Severity::Medium),
        Some("low") => Some(Severity::Low),
        Some("medium") => Some(Severity::Medium),
        Some("high") => Some(Severity::High),
        Some("critical") => Some(Severity::Critical),
        Some(_) => None,
    }
}
