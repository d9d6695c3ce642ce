//! The run's branch before a team begins: what the log says to be integrated has to be in it.
//!
//! Between two runs the branch is anybody's: it may have been rewound, deleted, or stayed on another
//! machine. A team that began there all the same would build on a project without that work, and the
//! todos would stay completed.

use std::fmt;

use tress::operation::Severity;
use tress::{Operation, State};

use super::orchestrator::{RunError, Team};
use crate::git::GitError;

/// How many todos a message names.
const TOLD: usize = 5;
/// How much of a commit's name a message has.
const SHORT: usize = 12;

/// What the keys of alerts about such work begin with.
const ALERT: &str = "lacking:";

/// Work that the log has as integrated and that the run's branch lacks.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "the branch {branch} lacks work that is recorded as integrated: {}",
    Work(.work)
)]
pub struct Lacking {
    /// The branch.
    pub branch: String,
    /// The todos as people see them, each with its commit.
    pub work: Vec<(String, String)>,
    /// The commits that bring everything back together, the last of each line.
    pub heads: Vec<String>,
    /// What is the matter with the branch.
    pub how: How,
}

/// What is the matter with a branch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum How {
    /// It is not there.
    Gone,
    /// It was taken back to before that work.
    Rewound,
    /// It has gone another way.
    Apart,
    /// The repository does not have the commits.
    Elsewhere,
}

struct Work<'a>(&'a [(String, String)]);

impl fmt::Display for Work<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let named = self.0.iter().take(TOLD);
        let named = named.map(|(name, commit)| format!("{name} ({})", short(commit)));
        f.write_str(&named.collect::<Vec<_>>().join(", "))?;
        match self.0.len().saturating_sub(TOLD) {
            0 => Ok(()),
            more => write!(f, " and {more} more"),
        }
    }
}

fn short(commit: &str) -> &str {
    commit.get(..SHORT).unwrap_or(commit)
}

impl Lacking {
    /// What brings the work back.
    pub fn remedy(&self) -> String {
        let branch = &self.branch;
        let heads: Vec<&str> = self.heads.iter().map(|head| short(head)).collect();
        let merges = || {
            let merges = heads.iter().map(|head| format!("git merge {head}"));
            format!(
                "`git switch {branch} && {} && git switch -`",
                merges.collect::<Vec<_>>().join(" && ")
            )
        };
        match (self.how, heads.as_slice()) {
            (How::Gone, [head]) => format!("`git branch {branch} {head}`"),
            (How::Rewound, [head]) => format!("`git branch -f {branch} {head}`"),
            (How::Elsewhere, _) => {
                let head = heads.first().unwrap_or(&"");
                format!(
                    "fetch {head} from where the run was worked on: `git fetch REMOTE {branch}:{branch}`"
                )
            }
            (How::Gone, [head, ..]) => format!("`git branch {branch} {head}`, then {}", merges()),
            _ => merges(),
        }
    }

    /// The key of the alert that stands for going on without this work.
    fn alert(head: &str) -> String {
        format!("{ALERT}{}", short(head))
    }

    /// The alerts that say that the team goes on without it.
    fn alerts(&self) -> impl Iterator<Item = Operation> + '_ {
        self.heads.iter().map(move |head| Operation::AlertRaised {
            alert: Self::alert(head),
            priority: Severity::High,
            message: format!(
                "{self}; the team goes on without it. {} brings it back, `tress reopen ID` has it done anew",
                self.remedy()
            ),
            todo: None,
        })
    }
}

impl Team {
    /// Holds the branch, as it will be when the team begins at `base`, against what the log has as
    /// integrated. Gives what is to be said of it where the team goes on without.
    pub(super) async fn hold_branch(
        &self,
        state: &State,
        base: &str,
    ) -> Result<Vec<Operation>, RunError> {
        let branch = &self.options.branch;
        let there = self.tree.commit(&format!("refs/heads/{branch}")).await.ok();
        let tip = match &there {
            Some(tip) if !self.tree.is_in(tip, base).await => tip,
            _ => base,
        };
        match self.lacking(state, tip, there.is_none()).await? {
            Some(lacking) if self.options.as_it_is => Ok(lacking.alerts().collect()),
            Some(lacking) => Err(Box::new(lacking).into()),
            None => Ok(self.back(state, tip).await),
        }
    }

    /// Clears the alerts about work that is in `tip` again.
    async fn back(&self, state: &State, tip: &str) -> Vec<Operation> {
        let mut cleared = Vec::new();
        for (key, _) in state.team.open_alerts() {
            let Some(head) = key.strip_prefix(ALERT) else { continue };
            if self.tree.is_in(head, tip).await {
                cleared.push(Operation::AlertCleared { alert: key.to_owned() });
            }
        }
        cleared
    }

    async fn lacking(
        &self,
        state: &State,
        tip: &str,
        gone: bool,
    ) -> Result<Option<Lacking>, GitError> {
        // What was taken back since is to be done anew, and may be gone.
        let counts = state.team.integrations.iter().filter(|made| {
            let done = state.todo(made.todo).and_then(|todo| todo.completed());
            done.is_some_and(|done| done.dot == made.completion)
        });
        let counts: Vec<_> = counts.collect();
        let commits = counts.iter().map(|made| made.commit.clone()).collect();
        let since = state.team.base.as_deref();
        let commits = self.tree.lacking(tip, since, commits).await?;
        if commits.is_empty() {
            return Ok(None);
        }
        let mut here = Vec::new();
        for commit in &commits {
            if self.tree.commit(commit).await.is_ok() {
                here.push(commit.clone());
            }
        }
        let (heads, elsewhere) = if here.len() < commits.len() {
            let away = commits.iter().rev().find(|commit| !here.contains(commit));
            (away.cloned().into_iter().collect(), true)
        } else {
            (self.tree.independent(&here).await?, false)
        };
        let mut open = Vec::new();
        for head in heads {
            let known = state.team.alerts.contains_key(&Lacking::alert(&head));
            if !known && (elsewhere || !self.tree.adds_nothing(tip, &head).await) {
                open.push(head);
            }
        }
        let heads = open;
        if heads.is_empty() {
            return Ok(None);
        }
        let mut behind = true;
        for head in &heads {
            behind &= self.tree.is_in(tip, head).await;
        }
        let how = match (elsewhere, gone) {
            (true, _) => How::Elsewhere,
            (false, true) => How::Gone,
            (false, false) if behind && heads.len() == 1 => How::Rewound,
            (false, false) => How::Apart,
        };
        let missing = counts.iter().filter(|made| commits.contains(&made.commit));
        let work = missing.map(|made| (state.name(made.todo), made.commit.clone())).collect();
        Ok(Some(Lacking { branch: self.options.branch.clone(), work, heads, how }))
    }
}
