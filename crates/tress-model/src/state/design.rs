//! The design strand: sections, requirements, rules, decisions, deviations.

use std::sync::Arc;

use imbl::OrdMap;
use serde::{Deserialize, Serialize};

use super::fold::Ruling;
use super::prose::Prose;
use crate::clock::{Millis, VersionVector};
use crate::event::Event;
use crate::ids::{Dot, TodoId};
use crate::operation::{Operation, Outcome, Severity, Splice};
use crate::rules::Rule;

/// What is to be built, and what was decided about it.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Design {
    /// Its sections, by key.
    pub sections: OrdMap<String, Arc<Section>>,
    /// Its requirements, by key.
    pub requirements: OrdMap<String, Arc<Requirement>>,
    /// Its machine-checkable rules, by key.
    pub rules: OrdMap<String, Arc<DesignRule>>,
    /// Its decisions, in canonical order.
    pub decisions: imbl::Vector<Arc<Decision>>,
    /// Where the implementation deviates from it, in canonical order.
    pub deviations: imbl::Vector<Arc<Deviation>>,
    /// What was said of implementations, in canonical order.
    pub assessments: imbl::Vector<Arc<Assessment>>,
}

/// A section of the design.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Section {
    /// Its heading.
    pub heading: String,
    /// 1 for the title, and deeper.
    pub level: u8,
    /// Where it stands among the others.
    pub position: u32,
    /// Its text.
    pub body: Prose,
    /// When it last changed.
    pub updated_at: Millis,
    /// The event that last wrote its heading and place.
    pub dot: Dot,
    /// Who made that event.
    pub by: Arc<str>,
    /// Every event that touched it.
    pub(super) touched: VersionVector,
}

/// A requirement.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Requirement {
    /// The section it stands in.
    pub section: String,
    /// What is required.
    pub text: String,
    /// Of what kind it is.
    pub kind: String,
    /// How much it matters.
    pub criticality: Severity,
    /// The event that last wrote it.
    pub dot: Dot,
    /// Who made that event.
    pub by: Arc<str>,
}

/// A machine-checkable rule.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DesignRule {
    /// Its text.
    pub text: String,
    /// How much it matters.
    pub criticality: Severity,
    /// The event that last wrote it.
    pub dot: Dot,
    /// Who made that event.
    pub by: Arc<str>,
}

/// A decision. It is superseded, never edited.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Decision {
    /// The event that recorded it.
    pub dot: Dot,
    /// Who recorded it.
    pub agent: Arc<str>,
    /// When.
    pub at: Millis,
    /// In one line.
    pub title: String,
    /// What made it necessary.
    pub context: String,
    /// What was decided.
    pub decision: String,
    /// Why this and not another.
    pub rationale: String,
    /// What follows.
    pub consequences: String,
    /// The decisions that took its place.
    pub superseded_by: Vec<Dot>,
}

/// A place where the implementation deviates from the design.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Deviation {
    /// The event that found it.
    pub dot: Dot,
    /// Who found it.
    pub agent: Arc<str>,
    /// When.
    pub at: Millis,
    /// The todo whose implementation it is.
    pub todo: Option<TodoId>,
    /// The requirement or rule that it deviates from.
    pub about: String,
    /// What differs.
    pub description: String,
    /// How much it matters.
    pub impact: Severity,
    /// How good the implementation is, 0 to 100.
    pub quality: u8,
    /// How far it complies, 0 to 100.
    pub compliance: u8,
    /// What it rests on.
    pub evidence: String,
    /// What is done about it: outcome, reason, and the todo that follows.
    pub decided: Option<(Outcome, String, Option<TodoId>)>,
}

/// Somebody's opinion on how an implementation stands to the design.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Assessment {
    /// The event that gave it.
    pub dot: Dot,
    /// Who gave it.
    pub agent: Arc<str>,
    /// The todo whose implementation it is of.
    pub todo: Option<TodoId>,
    /// The requirement or rule it is about.
    pub about: String,
    /// How far the implementation complies, 0 to 100.
    pub compliance: u8,
    /// How good it is, 0 to 100.
    pub quality: u8,
    /// What it rests on.
    pub evidence: String,
}

fn missing(what: &str) -> Option<Ruling> {
    Some(Ruling::precondition(format!("{what} is not there")))
}

impl Design {
    /// The sections in the order in which they stand.
    pub fn ordered_sections(&self) -> Vec<(&str, &Section)> {
        let mut sections: Vec<_> =
            self.sections.iter().map(|(key, section)| (key.as_str(), section.as_ref())).collect();
        sections.sort_by_key(|(key, section)| (section.position, *key));
        sections
    }

    pub(super) fn edit_section(
        &mut self,
        event: &Event,
        key: &str,
        splices: &[Splice],
    ) -> Option<Ruling> {
        let Some(section) = self.sections.get_mut(key) else {
            return missing(&format!("section {key}"));
        };
        let section = Arc::make_mut(section);
        section.body.edit(event, splices);
        section.updated_at = event.moment();
        section.touched.insert(event.dot);
        None
    }

    /// Folds an operation of the design strand.
    pub(super) fn apply(&mut self, event: &Event) -> Option<Ruling> {
        use Operation as O;
        let (dot, agent, at) = (event.dot, &event.author.name, event.moment());
        match &event.operation {
            O::SectionAdded { section: key, heading, level, position, body } => {
                let section = self.sections.entry(key.clone()).or_insert_with(|| {
                    Arc::new(Section {
                        heading: heading.clone(),
                        level: *level,
                        position: *position,
                        body: Prose::new(dot, body.clone()),
                        updated_at: at,
                        dot,
                        by: Arc::clone(agent),
                        touched: VersionVector::new(),
                    })
                });
                let section = Arc::make_mut(section);
                let rival = section.dot != dot && !event.saw(section.dot);
                let objection = (rival && section.heading != *heading).then(|| {
                    overwritten(
                        &format!("the heading of {key}"),
                        &section.heading,
                        (section.dot, &section.by),
                    )
                });
                section.dot = dot;
                section.by = Arc::clone(agent);
                section.touched.insert(dot);
                section.heading.clone_from(heading);
                section.level = *level;
                section.position = *position;
                section.updated_at = at;
                if !section.body.is(body) {
                    section.body.edit(event, &[section.body.whole(event, body)]);
                }
                return objection;
            }
            O::SectionRemoved { section: key } => {
                let Some(section) = self.sections.get(key) else {
                    return missing(&format!("section {key}"));
                };
                if !event.saw_all(&section.touched) {
                    return Some(Ruling {
                        rule: Rule::EditBeatsDelete,
                        loser: None,
                        winner: Some(section.dot),
                        detail: format!("section {key} was edited meanwhile and stays"),
                    });
                }
                self.sections.remove(key);
            }
            O::RequirementAdded { requirement, section, text, kind, criticality } => {
                let new = Requirement {
                    section: section.clone(),
                    text: text.clone(),
                    kind: kind.clone(),
                    criticality: *criticality,
                    dot,
                    by: Arc::clone(agent),
                };
                let old = self.requirements.insert(requirement.clone(), Arc::new(new));
                return old.filter(|old| !event.saw(old.dot) && old.text != *text).map(|old| {
                    overwritten(
                        &format!("requirement {requirement}"),
                        &old.text,
                        (old.dot, &old.by),
                    )
                });
            }
            O::RequirementRemoved { requirement }
                if self.requirements.remove(requirement).is_none() =>
            {
                return missing(&format!("requirement {requirement}"));
            }
            O::DesignRuleAdded { rule, text, criticality } => {
                let by = Arc::clone(agent);
                let new = DesignRule { text: text.clone(), criticality: *criticality, dot, by };
                let old = self.rules.insert(rule.clone(), Arc::new(new));
                return old.filter(|old| !event.saw(old.dot) && old.text != *text).map(|old| {
                    overwritten(&format!("design rule {rule}"), &old.text, (old.dot, &old.by))
                });
            }
            O::DesignRuleRemoved { rule } if self.rules.remove(rule).is_none() => {
                return missing(&format!("design rule {rule}"));
            }
            O::DecisionRecorded {
                title,
                context,
                decision,
                rationale,
                consequences,
                supersedes,
            } => {
                let mut objection = None;
                for old in self.decisions.iter_mut().filter(|old| supersedes.contains(&old.dot)) {
                    if let Some(&other) = old.superseded_by.first() {
                        objection = Some(Ruling {
                            rule: Rule::DecisionsStand,
                            loser: None,
                            winner: Some(other),
                            detail: format!("{:?} was already superseded; both stand", old.title),
                        });
                    }
                    Arc::make_mut(old).superseded_by.push(dot);
                }
                self.decisions.push_back(Arc::new(Decision {
                    dot,
                    agent: Arc::clone(agent),
                    at,
                    title: title.clone(),
                    context: context.clone(),
                    decision: decision.clone(),
                    rationale: rationale.clone(),
                    consequences: consequences.clone(),
                    superseded_by: Vec::new(),
                }));
                return objection;
            }
            O::AssessmentGiven { todo, about, compliance, quality, evidence } => {
                self.assessments.push_back(Arc::new(Assessment {
                    dot,
                    agent: Arc::clone(agent),
                    todo: *todo,
                    about: about.clone(),
                    compliance: *compliance,
                    quality: *quality,
                    evidence: evidence.clone(),
                }));
            }
            O::DeviationFound {
                todo,
                about,
                description,
                impact,
                quality,
                compliance,
                evidence,
            } => {
                self.deviations.push_back(Arc::new(Deviation {
                    dot,
                    agent: Arc::clone(agent),
                    at,
                    todo: *todo,
                    about: about.clone(),
                    description: description.clone(),
                    impact: *impact,
                    quality: *quality,
                    compliance: *compliance,
                    evidence: evidence.clone(),
                    decided: None,
                }));
            }
            O::DeviationDecided { deviation, outcome, rationale, follow_up } => {
                let found = self.deviations.iter_mut().find(|found| found.dot == *deviation);
                let Some(found) = found else {
                    return missing("the deviation");
                };
                let found = Arc::make_mut(found);
                if found.decided.is_some() {
                    return Some(Ruling {
                        rule: Rule::DecisionsStand,
                        loser: None,
                        winner: None,
                        detail: "the deviation was already decided".to_owned(),
                    });
                }
                found.decided = Some((*outcome, rationale.clone(), *follow_up));
            }
            _ => {}
        }
        None
    }
}

fn overwritten(what: &str, old: &str, loser: (Dot, &Arc<str>)) -> Ruling {
    Ruling {
        rule: Rule::FieldMerge,
        loser: Some((loser.0, Arc::clone(loser.1))),
        winner: None,
        detail: format!(
            "{what} was written by two at once; the later holds, the other was {old:?}"
        ),
    }
}
