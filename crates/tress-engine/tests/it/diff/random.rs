//! What holds of the differences between any two states of random histories.

use std::collections::BTreeSet;

use proptest::prelude::*;
use tress_engine::diff::statuses;
use tress_engine::difference;
use tress_model::operation::ProseField;
use tress_model::{State, TodoId, VersionVector};

use super::{normal, reversed};
use crate::history::{merged, play, steps};

/// What is to be seen of a state with the operations of the random histories, gathered another way.
fn visible(state: &State, now: u64) -> String {
    let readiness = state.readiness(now);
    let mut seen = Vec::new();
    for todo in state.todos.values() {
        if todo.deletion().is_some() {
            continue;
        }
        let holder = todo.holder(now);
        let progress = holder.and_then(|claim| claim.progress.as_ref());
        let progress = progress.map(|progress| (progress.percent, &progress.message));
        let started = holder.map(|claim| claim.started_at.is_some());
        let status = state.status(todo, &readiness, now);
        let mut edges: Vec<_> =
            state.edges(todo.id).iter().map(|e| (e.on, &e.kind, e.suspended)).collect();
        edges.sort();
        let mut notes: Vec<_> = todo.notes.iter().map(|note| (&note.agent, &note.text)).collect();
        notes.sort();
        let blockers = todo.blockers.iter();
        let mut blockers: Vec<_> =
            blockers.map(|b| (&b.agent, &b.description, &b.resolved)).collect();
        blockers.sort();
        let completions = todo.completions.iter().map(|c| {
            let answer = c.verification.as_ref();
            let answer = answer.map(|v| (v.verdict, &v.agent, &v.reason, v.percent));
            let checks = c.checks.iter().map(|check| (&check.name, check.verdict));
            let mut checks: Vec<_> = checks.collect();
            checks.sort();
            let integrated = c.integrated.as_ref().map(|(commit, _)| commit);
            let claim = (&c.agent, &c.implementation, c.to_integrate);
            format!("{:?}", (claim, c.pending(), &c.void, answer, checks, integrated))
        });
        let mut completions: Vec<String> = completions.collect();
        completions.sort();
        let failures = todo.failures.iter().map(|f| (&f.agent, &f.message));
        let mut failures: Vec<_> = failures.collect();
        failures.sort();
        let mut lost: Vec<_> = todo.lost.iter().map(|claim| &claim.agent).collect();
        lost.sort();
        let closing = todo.closing().map(|closing| (&closing.agent, &closing.reason));
        let prose: Vec<String> = ProseField::ALL.map(|field| todo.prose(field)).to_vec();
        let labels: Vec<_> = todo.labels.keys().collect();
        let holder = holder.map(|claim| &claim.agent);
        let fields = (&todo.title, todo.priority, &todo.external_id, &todo.extra, prose, labels);
        seen.push(format!("{:?} {status} {holder:?} {progress:?} {started:?}", todo.id));
        seen.push(format!("{fields:?} {edges:?} {notes:?} {blockers:?} {completions:?}"));
        seen.push(format!("{failures:?} {lost:?} {closing:?} {:?}", todo.created_by));
    }
    for (key, section) in &state.design.sections {
        let place = (&section.heading, section.position, section.body.text());
        seen.push(format!("{key} {place:?}"));
    }
    for (key, requirement) in &state.design.requirements {
        seen.push(format!("{key} {}", requirement.text));
    }
    let mut bag = Vec::new();
    for decision in &state.design.decisions {
        let newer = decision.superseded_by.iter().map(|dot| {
            let newer = state.design.decisions.iter().find(|newer| newer.dot == *dot);
            newer.map(|newer| &newer.title)
        });
        let mut newer: Vec<_> = newer.collect();
        newer.sort();
        bag.push(format!("{} {} {newer:?}", decision.agent, decision.title));
    }
    for one in &state.design.deviations {
        let what = (&one.agent, one.todo, &one.description, one.quality, one.compliance);
        bag.push(format!("{what:?} {:?}", one.decided.as_ref().map(|(_, why, _)| why)));
    }
    for checkpoint in &state.team.checkpoints {
        bag.push(format!("{} {} {}", checkpoint.name, checkpoint.reason, checkpoint.agent));
    }
    for done in &state.team.integrations {
        bag.push(format!("{} {}", done.todo, done.commit));
    }
    for entry in &state.ledger {
        bag.push(format!("{} {} {:?} {}", entry.rule, entry.agent, entry.todo, entry.detail));
    }
    for (key, alert) in &state.team.open_alerts() {
        bag.push(format!("{key} {}", alert.message));
    }
    for (name, agent) in &state.team.agents {
        bag.push(format!("{name} {:?}", agent.role));
    }
    bag.sort();
    seen.extend(bag);
    seen.join("\n")
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
