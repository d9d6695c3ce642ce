//! Recovery: what a killed orchestrator left open is settled before the team goes on.
//!
//! Claims of completion need nothing: they are verified, and verified work is integrated, by the
//! review, which finds a merge that was not yet recorded by the trailer in its message. What needs
//! settling are the claims of agents whose processes are gone, and their work trees.

use tress::Operation;
use tress::operation::Verdict;
use tress::state::todo::Completion;

use super::orchestrator::{RunError, Team};
use super::{integrate, process};
use tress_plan as plan;

/// Ends processes that were left behind, removes their work trees, and gives claims back.
pub(super) async fn settle(team: &Team) -> Result<(), RunError> {
    let ended = process::end_leftovers(&team.tasks).await;
    if ended > 0 {
        tracing::info!(ended, "ended agents that a killed orchestrator had left behind");
    }
    if let Ok(mut entries) = tokio::fs::read_dir(&team.work).await {
        while let Ok(Some(entry)) = entries.next_entry().await {
            team.tree.remove_worktree(&entry.path()).await;
        }
    }
    let state = team.run.state();
    let coordinator = team.coordinator();
    let mut operations = Vec::new();
    for todo in state.todos.unfinished() {
        let Some(claim) = &todo.claim else { continue };
        let ours = plan::is_implementer(&claim.agent);
        let reviewed = todo.pending_completion().is_some() || todo.verified().is_some();
        if ours && !reviewed {
            let (todo, token) = (todo.id, claim.token);
            let reason = "its agent's process is gone".to_owned();
            operations.push(Operation::Released { todo, token, reason });
        }
    }
    operations.extend(strays(team).await?);
    if !operations.is_empty() {
        coordinator.append(operations).await?;
    }
    Ok(())
}

/// Alerts about work that was merged by one who died before saying so, and that was taken back
/// since: the review passes it over, and the branch holds it.
async fn strays(team: &Team) -> Result<Vec<Operation>, RunError> {
    let state = team.run.state();
    let branch = &team.options.branch;
    let mut alerts = Vec::new();
    for todo in state.todos.values() {
        let passed = |c: &&Completion| {
            c.verification.as_ref().is_some_and(|given| given.verdict == Verdict::Pass)
        };
        let open = |c: &&Completion| c.to_integrate && c.void.is_some() && c.integrated.is_none();
        for made in todo.completions.iter().map(AsRef::as_ref).filter(open).filter(passed) {
            let name = state.name(todo.id);
            // Once is enough: a merge stays in the history of the branch, reverted or not.
            if state.team.alerts.contains_key(&integrate::stray_alert(&name)) {
                continue;
            }
            let merged = team.tree.find_commit(branch, &integrate::trailer(made.dot)).await?;
            alerts.extend(merged.map(|merged| integrate::stray(&name, todo.id, branch, &merged)));
        }
    }
    Ok(alerts)
}
