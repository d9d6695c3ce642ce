//! What differs between two designs.

use std::collections::BTreeMap;
use std::sync::Arc;

use tress_model::operation::Outcome;
use tress_model::state::Design;
use tress_model::state::design::{
    Assessment, Decision, DesignRule, Deviation, Requirement, Section,
};

use super::{Facts, Field, ItemDifference, Items, Part, Value};

/// What differs.
pub(super) fn differences(from: &Design, to: &Design) -> Vec<ItemDifference> {
    let mut items = Items::default();
    items.of(Part::Section).map(&from.sections, &to.sections, |_| None, |s| Some(section(s)));
    let (before, after) = (&from.requirements, &to.requirements);
    items.of(Part::Requirement).map(before, after, |_| None, |r| Some(requirement(r)));
    items.of(Part::Rule).map(&from.rules, &to.rules, |_| None, |rule| Some(design_rule(rule)));
    decisions(items.of(Part::Decision), from, to);
    let key = |deviation: &Arc<Deviation>| {
        let Deviation { agent, todo, about, description, .. } = &**deviation;
        (Arc::clone(agent), *todo, about.clone(), description.clone())
    };
    let tell = |before: Option<&Arc<Deviation>>, after: Option<&Arc<Deviation>>| {
        let one = before.or(after);
        let text = one.map(|one| format!("{}: {}", one.about, one.description));
        let facts = |side: Option<&Arc<Deviation>>| side.map(|one| deviation(one));
        (text.unwrap_or_default(), one.and_then(|one| one.todo), facts(before), facts(after))
    };
    items.of(Part::Deviation).list(&from.deviations, &to.deviations, Arc::ptr_eq, key, tell);
    let key = |one: &Arc<Assessment>| {
        let Assessment { agent, todo, about, compliance, quality, evidence, .. } = &**one;
        (Arc::clone(agent), *todo, about.clone(), (*compliance, *quality), evidence.clone())
    };
    let tell = |before: Option<&Arc<Assessment>>, after: Option<&Arc<Assessment>>| {
        let one = before.or(after);
        let facts = |side: Option<&Arc<Assessment>>| side.map(|one| assessment(one));
        let text = one.map(|one| one.about.clone()).unwrap_or_default();
        (text, one.and_then(|one| one.todo), facts(before), facts(after))
    };
    items.of(Part::Assessment).list(&from.assessments, &to.assessments, Arc::ptr_eq, key, tell);
    items.found
}

fn section(section: &Section) -> Facts {
    vec![
        (Field::Heading, Value::text(&section.heading)),
        (Field::Level, Value::number(section.level)),
        (Field::Position, Value::number(section.position)),
        (Field::Body, Value::text(section.body.text())),
    ]
}

fn requirement(requirement: &Requirement) -> Facts {
    vec![
        (Field::Text, Value::text(&requirement.text)),
        (Field::Kind, Value::text(&requirement.kind)),
        (Field::Criticality, Value::text(requirement.criticality.name())),
        (Field::Section, Value::text(&requirement.section)),
    ]
}

fn design_rule(rule: &DesignRule) -> Facts {
    vec![
        (Field::Text, Value::text(&rule.text)),
        (Field::Criticality, Value::text(rule.criticality.name())),
    ]
}

fn decisions(items: &mut Items, from: &Design, to: &Design) {
    let titles = [from, to].map(|design| {
        let titles = design.decisions.iter().map(|one| (one.dot, one.title.clone()));
        titles.collect::<BTreeMap<_, _>>()
    });
    let facts = |one: &Decision, titles: &BTreeMap<_, String>| {
        let mut newer: Vec<String> =
            one.superseded_by.iter().filter_map(|dot| titles.get(dot).cloned()).collect();
        newer.sort_unstable();
        vec![
            (Field::Agent, Value::text(&one.agent)),
            (Field::Context, Value::text(&one.context)),
            (Field::Decision, Value::text(&one.decision)),
            (Field::Rationale, Value::text(&one.rationale)),
            (Field::Consequences, Value::text(&one.consequences)),
            (Field::SupersededBy, Value::list(&newer)),
        ]
    };
    let [old, new] = &titles;
    let key = |one: &Arc<Decision>| {
        let Decision { agent, title, context, decision, rationale, consequences, .. } = &**one;
        let texts = [title, context, decision, rationale, consequences].map(String::clone);
        (Arc::clone(agent), texts)
    };
    let tell = |before: Option<&Arc<Decision>>, after: Option<&Arc<Decision>>| {
        let title = before.or(after).map(|one| one.title.clone()).unwrap_or_default();
        let (before, after) = (before.map(|one| facts(one, old)), after.map(|one| facts(one, new)));
        (title, None, before, after)
    };
    items.list(&from.decisions, &to.decisions, Arc::ptr_eq, key, tell);
}

fn deviation(deviation: &Deviation) -> Facts {
    let decided = deviation.decided.as_ref();
    vec![
        (Field::Agent, Value::text(&deviation.agent)),
        (Field::Impact, Value::text(deviation.impact.name())),
        (Field::Quality, Value::number(deviation.quality)),
        (Field::Compliance, Value::number(deviation.compliance)),
        (Field::Evidence, Value::text(&deviation.evidence)),
        (Field::Outcome, decided.and_then(|(what, ..)| Value::text(outcome(*what)))),
        (Field::Rationale, decided.and_then(|(_, why, _)| Value::text(why))),
        (Field::FollowUp, decided.and_then(|(_, _, todo)| todo.map(Value::Todo))),
    ]
}

fn assessment(assessment: &Assessment) -> Facts {
    vec![
        (Field::Agent, Value::text(&assessment.agent)),
        (Field::Compliance, Value::number(assessment.compliance)),
        (Field::Quality, Value::number(assessment.quality)),
        (Field::Evidence, Value::text(&assessment.evidence)),
    ]
}

const fn outcome(outcome: Outcome) -> &'static str {
    match outcome {
        Outcome::UpdateDesign => "update_design",
        Outcome::FixCode => "fix_code",
        Outcome::DocumentDeviation => "document_deviation",
    }
}
