//! A discrete-event simulation of a team: simulated milliseconds, a seed, the production planner,
//! a real log.
//!
//! The team is agents that ask for work and do it, a verifier, and a coordinator that integrates,
//! measures, adapts and alerts. What goes wrong is in the seed: slow and dying agents, failures of
//! each class, false completions, merge conflicts where overlapping work is integrated.

mod team;
mod world;

use std::collections::BTreeMap;

use team::{Policy, Report, Team};
use tress_plan::random::Random;
use world::{Setting, World};

fn play(setting: Setting, seed: u64, policy: Policy) -> Report {
    let mut random = Random::new(seed ^ 0x5eed);
    let world = World::new(&setting, &mut random);
    Team::new(setting, world, seed, policy).play()
}

#[test]
fn a_thousand_teams_finish_and_every_reaction_is_seen() {
    let mut reactions: BTreeMap<String, u32> = BTreeMap::new();
    let mut alerts: BTreeMap<String, u32> = BTreeMap::new();
    let (mut events, mut todos, mut batched) = (0, 0, 0);
    for seed in 0..1000 {
        let setting = Setting::any(&mut Random::new(seed));
        let report = play(setting, seed, Policy::Planner);
        for reaction in report.reactions {
            *reactions.entry(reaction).or_insert(0) += 1;
        }
        for alert in report.alerts {
            *alerts.entry(alert).or_insert(0) += 1;
        }
        events += report.events;
        todos += setting.todos;
        batched += report.batched;
    }
    println!("1000 runs, {todos} todos, {events} events, {batched} taken in batches");
    println!("reactions {reactions:?}\nalerts {alerts:?}");
    for reaction in [
        "isolate more",
        "verify more",
        "redistribute",
        "more in parallel",
        "verify as usual",
        "distribute as usual",
        "isolate less",
    ] {
        assert!(reactions.contains_key(reaction), "no run saw: {reaction}");
    }
    for alert in ["blocked", "budget", "figure:velocity", "figure:verification-failures"] {
        assert!(alerts.contains_key(alert), "no run raised: {alert}");
    }
}

/// Planner and random choice on the same teams, on the seeds that the planner was made on, and on
/// others that it was not.
#[test]
fn planning_beats_taking_any_ready_todo() {
    compare(0..8);
    println!("held out:");
    compare(1_000..1_008);
}

fn compare(seeds: std::ops::Range<u64>) {
    println!("todos agents | bound | planner (x bound) conflicts | random (x bound) conflicts");
    let (mut planned, mut taken) = (Sums::default(), Sums::default());
    for (todos, agents) in [(30, 4), (60, 4), (60, 8), (120, 8), (120, 16)] {
        let (mut one, mut other) = (Sums::default(), Sums::default());
        for seed in seeds.clone() {
            let setting = Setting::calm(todos, agents);
            one.add(&play(setting, seed, Policy::Planner));
            other.add(&play(setting, seed, Policy::Random));
        }
        println!(
            "{todos:5} {agents:6} | {:5.0} | {:7.0} ({:.2}) {:.3} | {:7.0} ({:.2}) {:.3}",
            one.bound / one.runs,
            one.makespan / one.runs,
            one.ratio(),
            one.conflicts(),
            other.makespan / other.runs,
            other.ratio(),
            other.conflicts()
        );
        planned.join(&one);
        taken.join(&other);
    }
    let faster = planned.makespan / taken.makespan;
    println!(
        "makespan {faster:.3} of random, conflict rate {:.3} against {:.3}, {:.2} x the bound",
        planned.conflicts(),
        taken.conflicts(),
        planned.ratio()
    );
    assert!(faster <= 0.96, "the planner takes {faster:.3} of the time of random choice");
    assert!(planned.conflicts() <= 0.5 * taken.conflicts(), "{planned:?} {taken:?}");
    assert!(planned.ratio() <= 1.45, "{planned:?}");
}

/// Sums over runs; times in minutes.
#[derive(Debug, Default)]
struct Sums {
    runs: f64,
    makespan: f64,
    bound: f64,
    failed: f64,
    integrations: f64,
}

impl Sums {
    fn add(&mut self, report: &Report) {
        self.runs += 1.0;
        self.makespan += report.makespan as f64 / 60_000.0;
        self.bound += report.bound as f64 / 60_000.0;
        self.failed += f64::from(report.conflicts);
        self.integrations += f64::from(report.conflicts + report.integrated);
    }

    fn join(&mut self, other: &Self) {
        self.runs += other.runs;
        self.makespan += other.makespan;
        self.bound += other.bound;
        self.failed += other.failed;
        self.integrations += other.integrations;
    }

    fn ratio(&self) -> f64 {
        self.makespan / self.bound
    }

    fn conflicts(&self) -> f64 {
        self.failed / self.integrations
    }
}
