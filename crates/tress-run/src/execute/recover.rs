//! Recovery: what a killed orchestrator left open is settled before the team goes on.
//!
//! Claims of completion need nothing: they are verified, and verified work is integrated, by the
//! review, which finds a merge that was not yet recorded by the trailer in its message. What needs
//! settling are the claims of agents whose processes are gone, and their work trees.

use tress::Operation;

use super::orchestrator::{RunError, Team};
use super::process;
use crate::plan;

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
    for todo in state.todos.values().filter(|todo| !todo.finished()) {
        let Some(claim) = &todo.claim else { continue };
        let ours = plan::is_implementer(&claim.agent);
        let reviewed = todo.pending_completion().is_some() || todo.verified().is_some();
        if ours && !reviewed {
            let (todo, token) = (todo.id, claim.token);
            let reason = "its agent's process is gone".to_owned();
            operations.push(Operation::Released { todo, token, reason });
        }
    }
    if !operations.is_empty() {
        coordinator.append(operations).await?;
    }
    Ok(())
}
