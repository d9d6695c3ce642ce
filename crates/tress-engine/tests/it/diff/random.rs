//! What holds of the differences between any two states of random histories.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Debug;

use proptest::prelude::*;
use tress_engine::diff::statuses;
use tress_engine::difference;
use tress_model::operation::{Check, ProseField};
use tress_model::state::design::{Assessment, Decision, Deviation, Requirement, Section};
use tress_model::state::team::{Alert, Profile};
use tress_model::state::todo::{Claim, Fields, Seldom};
use tress_model::state::{Design, Team};
use tress_model::{State, Todo, TodoId, VersionVector};

use super::{normal, reversed};
use crate::history::{Step, merged, play, steps};

/// What is to be seen of a state, gathered another way: all that an operation can say, but no times
/// at which things came about, and no events.
fn visible(state: &State, now: u64) -> String {
    let readiness = state.readiness(now);
    let todos = state.todos.values().filter(|todo| todo.deletion().is_none());
    let todos = todos.map(|todo| {
        let status = state.status(todo, &readiness, now);
        let edges = state.edges(todo.id).iter();
        let edges = sorted(edges.map(|edge| (edge.on, &edge.kind, edge.suspended)));
        format!("{:?} {status} {edges:?} {:?} {}", todo.id, content(todo, now), work(todo))
    });
    let mut seen: Vec<String> = todos.collect();
    seen.extend(designed(&state.design));
    seen.extend(team(&state.team));
    let ledger = state.ledger.iter();
    seen.extend(sorted(
        ledger.map(|e| format!("{} {} {:?} {}", e.rule, e.agent, e.todo, e.detail)),
    ));
    seen.join("\n")
}

fn sorted<T: Ord>(things: impl Iterator<Item = T>) -> Vec<T> {
    let mut things: Vec<T> = things.collect();
    things.sort();
    things
}

/// What there is one of in a todo, and what has a name in it.
fn content(todo: &Todo, now: u64) -> impl Debug {
    let Fields { external_id, title, kind, priority, assignee, owner, created_by, .. } =
        Fields::clone(&todo.fields);
    let Seldom { stage, check, estimate_minutes, files, section, capabilities, .. } =
        Seldom::clone(&todo.fields);
    let Seldom { external_ref, high_risk, pinned, ephemeral, defer_until, due_at, .. } =
        Seldom::clone(&todo.fields);
    let fields = (
        (external_id, title, kind, priority, assignee, owner, stage, check),
        (estimate_minutes, files, section, capabilities, external_ref, created_by),
        (high_risk, pinned, ephemeral, defer_until, due_at),
    );
    let labels: Vec<_> = todo.labels.keys().cloned().collect();
    let prose = ProseField::ALL.map(|field| todo.prose(field));
    let claim = todo.holder(now).map(|claim| {
        let Claim { agent, scope, base, branch, progress, started_at, .. } = claim.clone();
        let progress = progress.map(|p| (p.percent, p.message, p.next_milestone));
        (agent, scope, base, branch, progress, started_at.is_some())
    });
    let closing = todo.closing().map(|closing| (closing.agent.clone(), closing.reason.clone()));
    let named = (labels, BTreeMap::clone(&todo.extra), BTreeMap::clone(&todo.artifacts));
    (fields, prose, claim, todo.assigned.clone(), closing, named)
}

/// What was said and done about a todo.
fn work(todo: &Todo) -> String {
    let notes = sorted(todo.notes.iter().map(|note| (&note.agent, &note.text)));
    let lost = sorted(todo.lost.iter().map(|claim| &claim.agent));
    let blockers = sorted(
        todo.blockers
            .iter()
            .map(|b| (&b.agent, b.kind, &b.description, &b.tried, &b.escalated, &b.resolved)),
    );
    let failures = sorted(todo.failures.iter().map(|f| (&f.agent, f.class, &f.message)));
    let completions = sorted(todo.completions.iter().map(|c| {
        let answer = c.verification.as_ref();
        let answer = answer.map(|v| (v.verdict, &v.agent, &v.reason, v.percent, &v.gaps));
        let checks = sorted(c.checks.iter().map(|check| {
            let Check { layer, name, command, exit_code, verdict, detail, .. } = check;
            (layer, name, command, exit_code, verdict, detail)
        }));
        let integrated = c.integrated.as_deref().map(|(commit, _)| commit);
        let texts = (&c.implementation, &c.tests, &c.integration);
        let claim = (&c.agent, &c.commit, c.to_integrate, texts);
        format!("{:?}", (claim, c.pending(), &c.void, answer, checks, integrated))
    }));
    format!("{notes:?} {lost:?} {blockers:?} {failures:?} {completions:?}")
}

fn designed(design: &Design) -> Vec<String> {
    let sections = design.sections.iter().map(|(key, section)| {
        let Section { heading, level, position, body, .. } = &**section;
        format!("{key} {:?}", (heading, level, position, body.text()))
    });
    let requirements = design.requirements.iter().map(|(key, requirement)| {
        let Requirement { text, kind, criticality, section, .. } = &**requirement;
        format!("{key} {:?}", (text, kind, criticality, section))
    });
    let rules = design.rules.iter();
    let rules = rules.map(|(key, rule)| format!("{key} {:?}", (&rule.text, rule.criticality)));
    let decisions = design.decisions.iter().map(|one| {
        let newer = sorted(one.superseded_by.iter().map(|dot| {
            let newer = design.decisions.iter().find(|newer| newer.dot == *dot);
            newer.map(|newer| &newer.title)
        }));
        let Decision { agent, title, context, decision, rationale, consequences, .. } = &**one;
        format!("{:?}", (agent, title, context, decision, rationale, consequences, newer))
    });
    let deviations = design.deviations.iter().map(|one| {
        let Deviation { agent, todo, about, description, impact, evidence, decided, .. } = &**one;
        let figures = (impact, one.quality, one.compliance);
        format!("{:?}", (agent, todo, about, description, figures, evidence, decided))
    });
    let assessments = design.assessments.iter().map(|one| {
        let Assessment { agent, todo, about, compliance, quality, evidence, .. } = &**one;
        format!("{:?}", (agent, todo, about, compliance, quality, evidence))
    });
    let judged = sorted(decisions.chain(deviations).chain(assessments));
    sections.chain(requirements).chain(rules).chain(judged).collect()
}

fn team(team: &Team) -> Vec<String> {
    let Team { phase, title, base, branch, summary, plan, settings, budget, metrics, .. } = team;
    let run = (phase, title, base, branch, summary, plan);
    let named = (settings, budget, metrics, &team.retired, &team.members);
    let agents = team.agents.iter().map(|(name, agent)| {
        let Profile { capabilities, about, activity, active, .. } = &*agent.profile;
        format!("{name} {:?}", (agent.role, capabilities, about, activity, active))
    });
    let alerts = sorted(team.open_alerts().into_iter().map(|(key, alert)| {
        let Alert { priority, message, todo, acknowledged_by, .. } = alert;
        format!("{key} {:?}", (priority, message, todo, acknowledged_by))
    }));
    let integrations =
        team.integrations.iter().map(|done| format!("{} {}", done.todo, done.commit));
    let checkpoints = team.checkpoints.iter();
    let checkpoints = checkpoints.map(|c| format!("{} {} {}", c.name, c.reason, c.agent));
    let lessons = team.learning.iter().map(|lesson| format!("{lesson:?}"));
    let lineage = team.lineage.iter().map(|(name, _, taken_in)| format!("{name} {taken_in}"));
    let grown = sorted(integrations.chain(checkpoints).chain(lessons).chain(lineage));
    let one = [format!("{run:?}"), format!("{named:?}")];
    one.into_iter().chain(agents).chain(alerts).chain(grown).collect()
}

/// One operation at a time, by one agent, so that no other difference hides what is overlooked.
#[test]
fn what_each_operation_changes_is_seen() {
    for round in 0..21 {
        let (a, b) = (128 + round, round);
        let append = |kind| Step::Append { replica: 0, kind, a, b, delay: 1, count: 1 };
        let history: Vec<Step> = (0..=u8::MAX).map(append).collect();
        let (_, segments) = play(1, &history);
        let mut before = State::default();
        for event in merged(&segments).events() {
            let mut after = before.clone();
            after.apply(event);
            let now = event.time.millis;
            let found = difference(&before, &after, (now, now));
            let same = visible(&before, now) == visible(&after, now);
            assert_eq!(found.is_empty(), same, "{:?}: {found:#?}", event.operation);
            before = after;
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, ..ProptestConfig::default() })]

    #[test]
    fn nothing_differs_exactly_where_nothing_visible_does(
        history in steps(3, 60),
        cuts in prop::collection::vec(0_usize..60, 2),
        times in prop::array::uniform2(0_u64..60_000),
    ) {
        let (_, segments) = play(3, &history);
        let log = merged(&segments);
        let count = log.events().len();
        let states = cuts.iter().map(|cut| {
            let events = log.events().iter().take((*cut).min(count));
            let version: VersionVector = events.map(|e| (e.dot.replica, e.dot.number)).collect();
            log.state_at(&version).expect("a version of this log")
        });
        let states: Vec<_> = states.collect();
        let [from, to] = states.as_slice() else { unreachable!("there are two cuts") };
        let at = (1_000_000 + times[0], 1_000_000 + times[1]);

        prop_assert!(difference(from, from, (at.0, at.0)).is_empty());
        let found = difference(from, to, at);
        let same = visible(from, at.0) == visible(to, at.1);
        prop_assert_eq!(found.is_empty(), same, "{:#?}", found);
        let back = difference(to, from, (at.1, at.0));
        prop_assert_eq!(normal(&reversed(&found)), normal(&back));

        // Whoever looks at all todos sees the same statuses as who looks at what was touched.
        let ready = [from.readiness(at.0), to.readiness(at.1)];
        let mut expected = Vec::new();
        let ids = from.todos.keys().chain(to.todos.keys());
        for id in ids.copied().collect::<BTreeSet<TodoId>>() {
            let before = from.todo(id).map(|todo| from.status(todo, &ready[0], at.0));
            let after = to.todo(id).map(|todo| to.status(todo, &ready[1], at.1));
            if before != after {
                expected.push((id, before, after));
            }
        }
        prop_assert_eq!(statuses(from, to, at), expected);
        for todo in to.todos.values() {
            prop_assert_eq!(to.status(todo, &ready[1], at.1), to.status_of(todo, at.1));
        }
    }

    #[test]
    fn sharing_changes_nothing(history in steps(3, 60), cut in 0_usize..60) {
        let (_, segments) = play(3, &history);
        let log = merged(&segments);
        let events = log.events().iter().take(cut.min(log.events().len()));
        let version: VersionVector = events.map(|e| (e.dot.replica, e.dot.number)).collect();
        let before = log.state_at(&version).expect("a version of this log");
        // The same state out of another log shares nothing with this one.
        let apart = merged(&segments);
        let at = (1_000_000, 1_030_000);
        let found = difference(&before, log.state(), at);
        prop_assert_eq!(difference(&before, apart.state(), at), found);
    }
}
