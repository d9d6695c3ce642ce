//! Learning from simulated teams whose best size is known.
#![expect(clippy::print_stdout, reason = "the figures are in docs/PLANNING.md")]

use tress_plan::learn::{RunSample, Usl, next_size};
use tress_plan::random::Random;

/// Todos in each run.
const TODOS: u64 = 400;
const MAX: u32 = 16;

fn run(truth: &Usl, agents: u32, random: &mut Random) -> RunSample {
    // How long the todos of a run take varies by half of their mean.
    let noise = 0.5 / (TODOS as f64).sqrt();
    let throughput = truth.throughput(agents) * (noise * random.normal()).exp();
    RunSample {
        agents,
        throughput,
        completed: TODOS,
        overhead_minutes: 0.5,
        work_minutes: 10.0,
        failure_rate: 0.1,
        checkpoint_minutes: 0.1,
        interruptions: 0,
    }
}

fn truth(random: &mut Random) -> Usl {
    let best = 3.0 + 9.0 * random.unit();
    let sigma = 0.01 + 0.09 * random.unit();
    let kappa = (1.0 - sigma) / (best * best);
    let lambda = 2.0 + 4.0 * random.unit();
    Usl { lambda, sigma, kappa, covariance: [[0.0; 3]; 3] }
}

#[test]
fn after_three_runs_the_size_is_within_one_agent_of_the_best() {
    let seeds = 500;
    let (mut near, mut regret, mut tier) = (0, 0.0, 0.0);
    let mut far = Vec::new();
    for seed in 0..seeds {
        let mut random = Random::new(seed);
        let truth = truth(&mut random);
        let best = truth.best(MAX);
        let mut history = Vec::new();
        for _ in 0..3 {
            let (size, _) = next_size(&history, 8, MAX, seed);
            history.push(run(&truth, size, &mut random));
        }
        let (size, _) = next_size(&history, 8, MAX, seed);
        if size.abs_diff(best) <= 1 {
            near += 1;
        } else {
            let sizes: Vec<u32> = history.iter().map(|s| s.agents).collect();
            far.push((seed, best, size, sizes));
        }
        let short = |size: u32| 1.0 - truth.throughput(size) / truth.throughput(best);
        regret += short(size);
        tier += short(8);
    }
    let share = f64::from(near) / seeds as f64;
    let (regret, tier) = (regret / seeds as f64, tier / seeds as f64);
    println!("within one agent: {share:.3}; regret {regret:.4}, of the tier's size {tier:.4}");
    println!("not: {far:?}");
    assert!(share >= 0.95, "seeds {far:?}");
}
