//! What a finished run teaches: one sample of how a team of its size did. Pure.

use tress::operation::Verdict;
use tress::{Millis, State};
use tress_plan::Figures;
use tress_plan::learn::RunSample;

/// From how many completed todos on a run is a sample.
const COMPLETED_MIN: u64 = 3;

/// The sample that the run is, with a team of `agents`; `None` where too little was done.
pub(super) fn sample(state: &State, figures: &Figures, agents: u32) -> Option<RunSample> {
    if figures.completed < COMPLETED_MIN || figures.elapsed == 0 {
        return None;
    }
    let (mut work, mut beside, mut counted) = (0_u64, 0_u64, 0_u64);
    let (mut attempts, mut in_vain) = (0_u64, 0_u64);
    for todo in state.todos.values() {
        let refused = todo.completions.iter().filter(|made| {
            made.verification.as_ref().is_some_and(|given| given.verdict != Verdict::Pass)
        });
        let lost = (todo.failures.len() + refused.count()) as u64;
        attempts += lost + u64::from(todo.completed().is_some());
        in_vain += lost;
        let times = todo.completed().zip(todo.claim.as_deref()).and_then(|(made, claim)| {
            let (_, integrated) = made.integrated.as_deref()?;
            Some((claim.at, claim.started_at?, made.at, *integrated))
        });
        if let Some((claimed, started, done, integrated)) = times {
            work += done.saturating_sub(started);
            beside += started.saturating_sub(claimed) + integrated.saturating_sub(done);
            counted += 1;
        }
    }
    let minutes = |millis: Millis| {
        if counted == 0 { 0.0 } else { millis as f64 / counted as f64 / 60_000.0 }
    };
    let hours = figures.elapsed as f64 / 3_600_000.0;
    Some(RunSample {
        agents,
        throughput: figures.completed as f64 / hours,
        completed: figures.completed,
        overhead_minutes: minutes(beside),
        work_minutes: minutes(work),
        failure_rate: if attempts == 0 { 0.0 } else { in_vain as f64 / attempts as f64 },
        checkpoint_minutes: 0.0,
        interruptions: 0,
    })
}
