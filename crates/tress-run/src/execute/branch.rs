//! The run's branch before a team begins: what the log says to be integrated has to be in it.
//!
//! Between two runs the branch is anybody's: it may have been rewound, deleted, or stayed on another
//! machine. A team that began there all the same would build on a project without that work, and the
//! todos would stay completed.

use std::collections::BTreeSet;
use std::fmt;

use tress::operation::Severity;
use tress::{Operation, Run, State, When};

use super::options::Options;
use super::orchestrator::{self, RunError, Team};
use crate::git::{GitError, Tree};

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
    /// It is at a moment before that work.
    Behind,
    /// It has gone another way.
    Apart,
    /// The repository does not have the commits.
    Elsewhere,
}

/// Whether the run is a path on which no team worked yet: it goes by the branch of the run that it was made of, which
/// is that one's, and is to have its own.
///
/// # Errors
/// When the run cannot be read.
pub async fn is_new_path(run: &Run) -> Result<bool, tress::Error> {
    let Some(origin) = run.origin().await? else { return Ok(false) };
    let then = run.state_at(When::Version(origin.version.clone())).await?;
    Ok(then.team.branch == run.state().team.branch)
}

/// The branch that work of the run called `name` is integrated into where nobody names another.
pub fn own_branch(name: &str) -> String {
    format!("tress/{name}")
}

impl Options {
    /// Where `run` is a path on which no team worked yet, gives it a branch of its own, which begins with the work that
    /// it shares.
    ///
    /// # Errors
    /// When the run cannot be read.
    pub async fn begin_path(&mut self, run: &Run) -> Result<(), tress::Error> {
        if is_new_path(run).await? {
            let state = run.state();
            let last = state.team.integrations.last().map(|last| last.commit.clone());
            self.from = last.or_else(|| state.team.base.clone());
            self.branch = own_branch(run.name());
        }
        Ok(())
    }
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
    /// What `branch`, or `base` where it is not there or behind it, lacks of what `state` has as integrated.
    ///
    /// # Errors
    /// When git fails.
    pub async fn of(
        tree: &Tree,
        state: &State,
        branch: &str,
        base: &str,
    ) -> Result<Option<Self>, GitError> {
        let (tip, gone) = tip(tree, branch, base).await;
        // What was taken back since is to be done anew, and may be gone.
        let counts = state.team.integrations.iter().filter(|made| {
            let done = state.todo(made.todo).and_then(|todo| todo.completed());
            done.is_some_and(|done| done.dot == made.completion)
        });
        let counts: Vec<_> = counts.collect();
        let commits = counts.iter().map(|made| made.commit.clone()).collect();
        let commits = tree.lacking(&tip, state.team.base.as_deref(), commits).await?;
        if commits.is_empty() {
            return Ok(None);
        }
        let mut here = Vec::new();
        for commit in &commits {
            if tree.commit(commit).await.is_ok() {
                here.push(commit.clone());
            }
        }
        let away = commits.iter().rev().find(|commit| !here.contains(commit));
        let heads = match away {
            Some(away) => vec![away.clone()],
            None => tree.independent(&here).await?,
        };
        let (mut open, mut behind) = (Vec::new(), true);
        for head in heads {
            let alert = state.team.alerts.get(&Self::alert(&head));
            let known = alert.is_some_and(|alert| alert.cleared_at.is_none());
            if !known && (away.is_some() || !tree.adds_nothing(&tip, &head).await) {
                behind &= tree.is_in(&tip, &head).await;
                open.push(head);
            }
        }
        if open.is_empty() {
            return Ok(None);
        }
        let how = match (away.is_some(), gone) {
            (true, _) => How::Elsewhere,
            (false, true) => How::Gone,
            (false, false) if behind && open.len() == 1 => How::Behind,
            (false, false) => How::Apart,
        };
        let missing = counts.iter().filter(|made| commits.contains(&made.commit));
        let work = missing.map(|made| (state.name(made.todo), made.commit.clone())).collect();
        Ok(Some(Self { branch: branch.to_owned(), work, heads: open, how }))
    }

    /// Takes the branch of `run` forward to what it lacks, where that needs no merge, nobody works with the branch, and
    /// nothing of it was lacking `before` already; whether it did.
    ///
    /// # Errors
    /// When git fails.
    pub async fn take_forward(
        &self,
        run: &Run,
        tree: &Tree,
        before: &State,
    ) -> Result<bool, GitError> {
        let (How::Behind, [head]) = (self.how, self.heads.as_slice()) else { return Ok(false) };
        let known = before.team.integrations.iter().map(|made| made.commit.as_str());
        let known: BTreeSet<&str> = known.collect();
        for (_, commit) in self.work.iter().filter(|(_, commit)| known.contains(&**commit)) {
            if tree.is_in(commit, head).await {
                return Ok(false);
            }
        }
        let Ok(_alone) = orchestrator::lock(&orchestrator::lock_of(run), run.name()).await else {
            return Ok(false);
        };
        if tree.where_checked_out(&self.branch).await?.is_some() {
            return Ok(false);
        }
        let old = tree.commit(&format!("refs/heads/{}", self.branch)).await?;
        // Somebody may have gone on with it since it was looked at.
        if !tree.is_in(&old, head).await {
            return Ok(false);
        }
        tree.move_branch(&self.branch, head, &old).await?;
        Ok(true)
    }

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
            // Refused where it has gone on since, or is checked out.
            (How::Behind, [head]) => format!(
                "`git push . {head}:refs/heads/{branch}` (where it is checked out, `git merge --ff-only {head}`)"
            ),
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

/// Where `branch` is when a team begins at `base`, and whether it is to be made.
async fn tip(tree: &Tree, branch: &str, base: &str) -> (String, bool) {
    match tree.commit(&format!("refs/heads/{branch}")).await {
        Ok(tip) if tree.is_in(&tip, base).await => (base.to_owned(), false),
        Ok(tip) => (tip, false),
        Err(_) => (base.to_owned(), true),
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
        match Lacking::of(&self.tree, state, branch, base).await? {
            Some(lacking) if self.options.as_it_is => {
                // What is integrated next takes the place of what kept it.
                for head in &lacking.heads {
                    let name = format!("refs/tress/{}/lacking/{}", self.run.name(), short(head));
                    if let Err(error) = self.tree.keep(&name, head).await {
                        tracing::warn!(%error, "what the branch lacks is kept by nothing");
                    }
                }
                Ok(lacking.alerts().collect())
            }
            Some(lacking) => Err(Box::new(lacking).into()),
            None => {
                let (tip, _) = tip(&self.tree, branch, base).await;
                Ok(self.back(state, &tip).await)
            }
        }
    }

    /// Clears the alerts about work that is in `tip` again, as it was or by its content.
    async fn back(&self, state: &State, tip: &str) -> Vec<Operation> {
        let mut cleared = Vec::new();
        for (key, _) in state.team.open_alerts() {
            let Some(head) = key.strip_prefix(ALERT) else { continue };
            let back = self.tree.is_in(head, tip).await;
            if back || self.tree.adds_nothing(tip, head).await {
                cleared.push(Operation::AlertCleared { alert: key.to_owned() });
            }
        }
        cleared
    }
}
