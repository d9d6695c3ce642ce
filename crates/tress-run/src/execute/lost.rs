//! A claim that is lost while its agent works: the work is kept aside, the agent is told, and the
//! log says so. Nothing of it is integrated.

use tress::{Agent, Claimed, Dot, WorkRefused};

use super::driver::Task;
use super::orchestrator::{RunError, Team};
use crate::git::{GitError, Signature, Tree, Whole};

impl Team {
    /// Settles work under a claim that is not the agent's any more, for the reason `refused`. Its
    /// process has ended by now.
    pub(super) async fn lost(
        &self,
        agent: &Agent,
        claim: &Claimed,
        work: Option<(&Task, &Tree)>,
        refused: &WorkRefused,
    ) -> Result<(), RunError> {
        tracing::info!(agent = agent.name(), todo = %claim.todo, %refused, "a claim is lost");
        if let Some((task, tree)) = work {
            self.keep_aside(agent, claim, (task, tree), ("lost", "the claim was lost")).await;
        }
        self.tell(agent).await
    }

    /// Says in the log, in the agent's name, that it knows what it lost. To be told is to be
    /// stopped, or to be given something else: an agent of ours starts each task anew.
    pub(super) async fn tell(&self, agent: &Agent) -> Result<(), RunError> {
        let losses = agent.losses().await?;
        for loss in &losses {
            tracing::info!(agent = agent.name(), %loss, "told");
        }
        agent.acknowledge(&losses).await?;
        Ok(())
    }

    /// Somebody may want to look at what was begun. That it cannot be kept changes nothing.
    pub(super) async fn keep_aside(
        &self,
        agent: &Agent,
        claim: &Claimed,
        (task, tree): (&Task, &Tree),
        (kind, why): (&str, &str),
    ) {
        let by = Signature { name: agent.name().to_owned() };
        let message = format!(
            "{}\n\nNot integrated: {why}.\n\nTress-Todo: {}\nTress-Agent: {}",
            task.title,
            task.id,
            agent.name()
        );
        let name = kept(&task.run, kind, claim);
        let base = match tree.commit("HEAD").await {
            Ok(head) => self.tree.merge_base(&self.options.branch, &head).await,
            Err(error) => Err(error),
        };
        let committed = match base {
            Ok(base) => tree.commit_whole(&by, &message, &base).await,
            Err(error) => Err(error),
        };
        let committed = match committed {
            Ok(whole) => {
                if let Err(error) = self.keep_trees(&task.run, &whole).await {
                    tracing::warn!(%error, kind, "what was in further work trees was not kept");
                }
                Ok(whole.commit)
            }
            Err(error) => Err(error),
        };
        let kept = match committed {
            // Nothing was begun.
            Ok(commit) if self.tree.is_in(&commit, &self.options.branch).await => return,
            Ok(commit) => self.tree.keep(&name, &commit).await,
            Err(error) => Err(error),
        };
        if let Err(error) = kept {
            tracing::warn!(%error, kind, "work was not kept");
        }
    }

    /// Keeps what was in further work trees under names of the run `run`.
    pub(super) async fn keep_trees(&self, run: &str, whole: &Whole) -> Result<(), GitError> {
        for commit in whole.trees.iter().filter_map(|(_, commit)| commit.as_ref()) {
            self.tree.keep(&format!("refs/tress/{run}/beside/{commit}"), commit).await?;
        }
        Ok(())
    }
}

/// Where the work under `claim` is kept. Tokens of two replicas may have one number.
fn kept(run: &str, kind: &str, claim: &Claimed) -> String {
    let Dot { replica, number } = claim.token;
    format!("refs/tress/{run}/{kind}/{}-{replica}-{number}", claim.todo)
}

#[cfg(test)]
mod tests {
    use tress::{ReplicaId, TodoId};

    use super::*;

    /// The second of two replicas that had the same number wrote over what the first had kept.
    #[test]
    fn claims_of_two_replicas_with_one_number_are_kept_apart() {
        let name = |replica: u8| {
            let claim = Claimed {
                todo: TodoId::from_external("a"),
                token: Dot::new(ReplicaId([replica; 16]), 7),
                until: None,
                losses: Vec::new(),
            };
            kept("main", "lost", &claim)
        };
        assert_ne!(name(1), name(2));
        assert!(name(1).starts_with("refs/tress/main/lost/"), "{}", name(1));
    }
}
