//! The design strand: sections, requirements, rules, decisions, deviations.

use std::sync::Arc;

use imbl::OrdMap;
use serde::{Deserialize, Serialize};

use super::fold::{Ruling, Rulings};
use super::prose::Prose;
use super::removal::{self, Gone, Part};
use super::writers::Writers;
use crate::clock::{Millis, VersionVector};
use crate::event::Event;
use crate::ids::{Dot, TodoId};
use crate::operation::{Operation, Outcome, Severity, Splice};
use crate::rules::Rule;

/// What is to be built, and what was decided about it.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Design {
    /// Its sections, by key.
    #[serde(deserialize_with = "super::bounded::map")]
    pub sections: OrdMap<String, Arc<Section>>,
    /// Its requirements, by key.
    #[serde(deserialize_with = "super::bounded::map")]
    pub requirements: OrdMap<String, Arc<Requirement>>,
    /// Its machine-checkable rules, by key.
    #[serde(deserialize_with = "super::bounded::map")]
    pub rules: OrdMap<String, Arc<DesignRule>>,
    /// Its decisions, in canonical order.
    #[serde(deserialize_with = "super::bounded::list")]
    pub decisions: imbl::Vector<Arc<Decision>>,
    /// Where the implementation deviates from it, in canonical order.
    #[serde(deserialize_with = "super::bounded::list")]
    pub deviations: imbl::Vector<Arc<Deviation>>,
    /// What was said of implementations, in canonical order.
    #[serde(deserialize_with = "super::bounded::list")]
    pub assessments: imbl::Vector<Arc<Assessment>>,
    #[serde(deserialize_with = "super::bounded::map")]
    removed_sections: Gone<Section>,
    #[serde(deserialize_with = "super::bounded::map")]
    removed_requirements: Gone<Requirement>,
    #[serde(deserialize_with = "super::bounded::map")]
    removed_rules: Gone<DesignRule>,
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
    /// Who wrote what its heading and place are.
    writers: Writers,
    /// Every event that touched it.
    touched: VersionVector,
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
    /// Who wrote what it says.
    writers: Writers,
    /// Every event that touched it.
    touched: VersionVector,
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
    /// Who wrote what it says.
    writers: Writers,
    /// Every event that touched it.
    touched: VersionVector,
}

/// Makes a type a part of the design that can be removed.
macro_rules! part {
    ($part:ty, $what:literal) => {
        impl Part for $part {
            const WHAT: &'static str = $what;
            fn touched(&self) -> &VersionVector {
                &self.touched
            }
            fn dot(&self) -> Dot {
                self.dot
            }
        }
    };
}
part!(Section, "section");
part!(Requirement, "requirement");
part!(DesignRule, "design rule");

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

impl Design {
    /// The sections in the order in which they stand.
    pub fn ordered_sections(&self) -> Vec<(&str, &Section)> {
        let mut sections: Vec<_> =
            self.sections.iter().map(|(key, section)| (key.as_str(), section.as_ref())).collect();
        sections.sort_by_key(|(key, section)| (section.position, *key));
        sections
    }

    /// Takes note of an edit of a section that is left out ([`Prose::leave_out`]).
    pub(super) fn leave_out(&mut self, key: &str, note: impl FnOnce(&mut Prose)) {
        let gone = self.removed_sections.get_mut(key).map(|removed| &mut removed.was);
        if let Some(section) = self.sections.get_mut(key).or(gone) {
            note(&mut Arc::make_mut(section).body);
        }
    }

    pub(super) fn edit_section(&mut self, event: &Event, key: &str, splices: &[Splice]) -> Rulings {
        let (live, gone) = (&mut self.sections, &mut self.removed_sections);
        let mut rulings = removal::revive(live, gone, event, key, false);
        let Some(section) = live.get_mut(key) else {
            rulings.extend(removal::missing(gone, key));
            return rulings;
        };
        let section = Arc::make_mut(section);
        section.body.edit(event, splices);
        section.updated_at = event.moment();
        section.touched.insert(event.dot);
        rulings
    }

    /// Folds an operation of the design strand.
    pub(super) fn apply(&mut self, event: &Event) -> Rulings {
        use Operation as O;
        match &event.operation {
            O::SectionAdded { section, heading, level, position, body } => {
                self.add_section(event, section, (heading, *level, *position), body)
            }
            O::RequirementAdded { requirement, section, text, kind, criticality } => {
                self.add_requirement(event, requirement, (section, text, kind), *criticality)
            }
            O::DesignRuleAdded { rule, text, criticality } => {
                self.add_rule(event, rule, text, *criticality)
            }
            O::SectionRemoved { section } => {
                removal::remove(&mut self.sections, &mut self.removed_sections, event, section)
            }
            O::RequirementRemoved { requirement } => {
                let (live, gone) = (&mut self.requirements, &mut self.removed_requirements);
                removal::remove(live, gone, event, requirement)
            }
            O::DesignRuleRemoved { rule } => {
                removal::remove(&mut self.rules, &mut self.removed_rules, event, rule)
            }
            _ => self.judge(event).into_iter().collect(),
        }
    }

    fn add_section(
        &mut self,
        event: &Event,
        key: &str,
        (heading, level, position): (&str, u8, u32),
        body: &str,
    ) -> Rulings {
        let (live, gone) = (&mut self.sections, &mut self.removed_sections);
        let mut rulings = removal::revive(live, gone, event, key, true);
        let (dot, at) = (event.dot, event.moment());
        let section = live.entry(key.to_owned()).or_insert_with(|| {
            Arc::new(Section {
                heading: heading.to_owned(),
                level,
                position,
                body: Prose::new(dot, body.to_owned()),
                updated_at: at,
                dot,
                writers: Writers::default(),
                touched: VersionVector::new(),
            })
        });
        let section = Arc::make_mut(section);
        let fields = [
            differs(&format!("the heading of {key}"), &*section.heading, heading),
            differs(&format!("the level of {key}"), &section.level, &level),
            differs(&format!("the place of {key}"), &section.position, &position),
        ];
        rulings.extend(overwritten(&mut section.writers, event, fields));
        section.dot = dot;
        section.touched.insert(dot);
        heading.clone_into(&mut section.heading);
        section.level = level;
        section.position = position;
        section.updated_at = at;
        if !section.body.is(body) {
            section.body.edit(event, &[section.body.whole(event, body)]);
        }
        rulings
    }

    fn add_requirement(
        &mut self,
        event: &Event,
        key: &str,
        (section, text, kind): (&str, &str, &str),
        criticality: Severity,
    ) -> Rulings {
        let (live, gone) = (&mut self.requirements, &mut self.removed_requirements);
        let mut rulings = removal::revive(live, gone, event, key, true);
        let (mut writers, mut touched) = (Writers::default(), VersionVector::new());
        if let Some(old) = live.get(key) {
            (writers, touched) = (old.writers.clone(), old.touched.clone());
            let fields = [
                differs(&format!("requirement {key}"), &*old.text, text),
                differs(&format!("the section of requirement {key}"), &*old.section, section),
                differs(&format!("the kind of requirement {key}"), &*old.kind, kind),
                differs(
                    &format!("the criticality of requirement {key}"),
                    &old.criticality,
                    &criticality,
                ),
            ];
            rulings.extend(overwritten(&mut writers, event, fields));
        } else {
            writers.agree(event);
        }
        touched.insert(event.dot);
        let new = Requirement {
            section: section.to_owned(),
            text: text.to_owned(),
            kind: kind.to_owned(),
            criticality,
            dot: event.dot,
            writers,
            touched,
        };
        live.insert(key.to_owned(), Arc::new(new));
        rulings
    }

    fn add_rule(&mut self, event: &Event, key: &str, text: &str, criticality: Severity) -> Rulings {
        let (live, gone) = (&mut self.rules, &mut self.removed_rules);
        let mut rulings = removal::revive(live, gone, event, key, true);
        let (mut writers, mut touched) = (Writers::default(), VersionVector::new());
        if let Some(old) = live.get(key) {
            (writers, touched) = (old.writers.clone(), old.touched.clone());
            let what = format!("the criticality of design rule {key}");
            let fields = [
                differs(&format!("design rule {key}"), &*old.text, text),
                differs(&what, &old.criticality, &criticality),
            ];
            rulings.extend(overwritten(&mut writers, event, fields));
        } else {
            writers.agree(event);
        }
        touched.insert(event.dot);
        let (text, dot) = (text.to_owned(), event.dot);
        let new = DesignRule { text, criticality, dot, writers, touched };
        live.insert(key.to_owned(), Arc::new(new));
        rulings
    }

    /// Folds decisions, deviations and assessments.
    fn judge(&mut self, event: &Event) -> Option<Ruling> {
        use Operation as O;
        let (dot, agent, at) = (event.dot, &event.author.name, event.moment());
        match &event.operation {
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
                    return Some(Ruling::precondition("the deviation is not there"));
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

/// What a field was and how the ledger calls it, where it is not what it shall be.
fn differs<T: PartialEq + std::fmt::Debug + ?Sized>(
    what: &str,
    old: &T,
    new: &T,
) -> Option<(String, String)> {
    (old != new).then(|| (what.to_owned(), format!("{old:?}")))
}

/// Rule `field-merge`: one ruling for each field that differs, and for each of those who wrote what
/// it was and were not seen.
fn overwritten<const N: usize>(
    writers: &mut Writers,
    event: &Event,
    fields: [Option<(String, String)>; N],
) -> Rulings {
    if fields.iter().all(Option::is_none) {
        writers.agree(event);
        return Vec::new();
    }
    let losers = writers.replace(event);
    let fields = fields.into_iter().flatten();
    let rulings = fields.flat_map(|(what, old)| {
        let ruling = move |loser: &(Dot, Arc<str>)| Ruling {
            rule: Rule::FieldMerge,
            loser: Some(loser.clone()),
            winner: None,
            detail: format!(
                "{what} was written by two at once; the later holds, the other was {old}"
            ),
        };
        losers.iter().map(ruling).collect::<Vec<_>>()
    });
    rulings.collect()
}
