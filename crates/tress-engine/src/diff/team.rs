//! What differs between two runs themselves: their terms, their teams, what came of the work.
//!
//! Figures that follow from other facts are not compared (how many completions an agent had), nor
//! what only names events (what was taken back: its effect shows elsewhere).

use std::sync::Arc;

use tress_model::EventId;
use tress_model::clock::VersionVector;
use tress_model::state::team::{Agent, Alert, Checkpoint, Integration};
use tress_model::state::{Phase, Team};

use super::{Facts, Field, ItemDifference, Items, Part, Value};

/// What differs.
pub(super) fn differences(from: &Team, to: &Team) -> Vec<ItemDifference> {
    let mut items = Items::default();
    items.of(Part::Run).put(String::new(), None, Some(run(from)), Some(run(to)));
    let value = |value| Some(vec![(Field::Value, value)]);
    let amount = |figure: &f64| value(Some(Value::Amount(*figure)));
    let text = |text: &String| value(Value::text(text));
    items.of(Part::Setting).map(&from.settings, &to.settings, |_| None, text);
    let agents = items.of(Part::Agent);
    for (name, before, after) in from.agents.changed(&to.agents) {
        let [before, after] = [before, after].map(|one| one.as_ref().map(agent));
        agents.put(name.to_string(), None, before, after);
    }
    grown(&mut items, from, to);
    items.of(Part::Alert).map(&from.alerts, &to.alerts, |alert| alert.todo, |one| alert(one));
    items.of(Part::Budget).map(&from.budget, &to.budget, |_| None, amount);
    items.of(Part::Metric).map(&from.metrics, &to.metrics, |_| None, amount);
    let store = |store: &tress_model::StoreId| value(Some(Value::Text(store.to_string())));
    items.of(Part::Retired).map(&from.retired, &to.retired, |_| None, store);
    let key = |key: &[u8; 32]| value(Some(Value::Text(EventId(*key).to_string())));
    items.of(Part::Member).map(&from.members, &to.members, |_| None, key);
    items.found
}

/// What grows with the run.
fn grown(items: &mut Items, from: &Team, to: &Team) {
    let there = |side: Option<&Integration>| side.map(|_| Vec::new());
    let key = |one: &Integration| (one.todo, one.commit.clone());
    items.of(Part::Integration).list(
        &from.integrations,
        &to.integrations,
        PartialEq::eq,
        key,
        |before, after| {
            let one = before.or(after);
            let commit = one.map(|one| one.commit.clone()).unwrap_or_default();
            (commit, one.map(|one| one.todo), there(before), there(after))
        },
    );
    let key =
        |one: &Arc<Checkpoint>| (one.name.clone(), one.reason.clone(), Arc::clone(&one.agent));
    let facts = |side: Option<&Arc<Checkpoint>>| {
        let facts = |one: &Arc<Checkpoint>| {
            vec![(Field::Agent, Value::text(&one.agent)), (Field::Reason, Value::text(&one.reason))]
        };
        side.map(facts)
    };
    items.of(Part::Checkpoint).list(
        &from.checkpoints,
        &to.checkpoints,
        Arc::ptr_eq,
        key,
        |before, after| {
            let name = before.or(after).map(|one| one.name.clone()).unwrap_or_default();
            (name, None, facts(before), facts(after))
        },
    );
    type Lesson = (String, String);
    let facts =
        |side: Option<&Lesson>| side.map(|(_, body)| vec![(Field::Text, Value::text(body))]);
    items.of(Part::Lesson).list(
        &from.learning,
        &to.learning,
        PartialEq::eq,
        |lesson: &Lesson| lesson.clone(),
        |before, after| {
            let topic = before.or(after).map(|(topic, _)| topic.clone()).unwrap_or_default();
            (topic, None, facts(before), facts(after))
        },
    );
    type Origin = (String, VersionVector, bool);
    let facts = |side: Option<&Origin>| {
        side.map(|(_, _, taken_in)| vec![(Field::TakenIn, Some(Value::Flag(*taken_in)))])
    };
    items.of(Part::Lineage).list(
        &from.lineage,
        &to.lineage,
        PartialEq::eq,
        |(name, _, taken_in): &Origin| (name.clone(), *taken_in),
        |before, after| {
            let name = before.or(after).map(|(name, ..)| name.clone()).unwrap_or_default();
            (name, None, facts(before), facts(after))
        },
    );
}

fn run(team: &Team) -> Facts {
    let text = |text: &Option<String>| text.as_deref().and_then(Value::text);
    let plan = team.plan.as_ref();
    let phase = match team.phase {
        Phase::New => "new",
        Phase::Running => "running",
        Phase::Paused => "paused",
        Phase::Finished => "finished",
    };
    vec![
        (Field::Phase, Value::text(phase)),
        (Field::Title, Value::text(&team.title)),
        (Field::Base, text(&team.base)),
        (Field::Branch, text(&team.branch)),
        (Field::Summary, Value::text(&team.summary)),
        (Field::Implementers, plan.and_then(|(implementers, ..)| Value::number(*implementers))),
        (Field::Coordinators, plan.and_then(|(_, coordinators, _)| Value::number(*coordinators))),
        (Field::Plan, plan.and_then(|(_, _, reason)| Value::text(reason))),
    ]
}

fn agent(agent: &Agent) -> Facts {
    vec![
        (Field::Role, Value::text(agent.role.name())),
        (Field::Active, Value::flag(agent.active)),
        (Field::About, Value::text(&agent.about)),
        (Field::Capabilities, Value::list(&agent.capabilities)),
        (Field::Activity, Value::text(&agent.activity)),
    ]
}

/// An alert that holds; one that was cleared is as one that was never raised.
fn alert(alert: &Alert) -> Option<Facts> {
    alert.cleared_at.is_none().then(|| {
        vec![
            (Field::Priority, Value::text(alert.priority.name())),
            (Field::Message, Value::text(&alert.message)),
            (Field::Acknowledged, alert.acknowledged_by.as_ref().and_then(Value::text)),
        ]
    })
}
