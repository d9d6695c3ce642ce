//! The steward: watches how it goes.

use std::sync::Arc;

use tokio::sync::watch;

use super::orchestrator::{RunError, Team};

/// Watches over the run until it is `all_over`.
pub(super) async fn watch_over(
    _team: Arc<Team>,
    mut all_over: watch::Receiver<bool>,
) -> Result<(), RunError> {
    let _ = all_over.wait_for(|over| *over).await;
    Ok(())
}
