//! Exploration: one todo, done by several agents on several paths of the run at once; the one that
//! holds up best comes back, with its history, and the others stay beside it.

use std::sync::Arc;

use tokio::sync::watch;
use tokio::task::JoinSet;
use tress::operation::Verdict;
use tress::{Fork, Millis, Operation, Refused, Role, Run, Store, TodoId};

use super::branch::own_branch;
use super::driver::Driver;
use super::options::Options;
use super::orchestrator::{COORDINATOR, Orchestrator, RunError};
use crate::git::{GitError, Signature, Tree};
use crate::verify::bench::{Bench, Stopping};
use crate::verify::testing;

/// How many paths are explored at once, at the most.
pub const PATHS_MAX: u32 = 16;

/// What came of one path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Explored {
    /// The path: the name of a run.
    pub path: String,
    /// Whether the todo was completed on it.
    pub completed: bool,
    /// How many checks its verifier made of the accepted work.
    pub checks: usize,
    /// How many remarks the verifier had on the accepted work.
    pub remarks: usize,
    /// How many attempts came to nothing before.
    pub in_vain: usize,
    /// How many lines it changed.
    pub lines: usize,
    /// How long it took from the claim to the integration, in milliseconds.
    pub took: Millis,
    /// Its branch.
    pub branch: String,
}

impl Explored {
    /// What the paths are compared by, the better one less: completed, with fewer remarks, after
    /// fewer attempts in vain, more checks, the smaller change, the shorter time.
    fn rank(&self) -> impl Ord + use<> {
        let checks = std::cmp::Reverse(self.checks);
        (!self.completed, self.remarks, self.in_vain, checks, self.lines, self.took)
    }

    /// In one line.
    pub fn told(&self) -> String {
        if !self.completed {
            return format!("{}: not completed, {} attempts in vain", self.path, self.in_vain);
        }
        format!(
            "{}: {} checks, {} remarks, {} attempts in vain, {} lines changed, {} s",
            self.path,
            self.checks,
            self.remarks,
            self.in_vain,
            self.lines,
            self.took / 1000
        )
    }
}

/// Lets `paths` agents do `todo` on as many paths, merges the best into the run and its branch, and
/// says why. The todo is held for as long as that takes. The order of the answer is that of the
/// rank; the first was merged, if it was completed.
///
/// `stop` becoming true stops the agents cleanly; what they have not completed then is not merged.
///
/// # Errors
/// When the todo is not ready, or the log, git or the file system fail.
pub async fn explore(
    (store, run): (&Store, &Run),
    tree: &Tree,
    options: &Options,
    driver: Arc<dyn Driver>,
    (todo, paths): (TodoId, u32),
    stop: watch::Receiver<bool>,
) -> Result<Vec<Explored>, RunError> {
    let coordinator = run.agent(COORDINATOR, Role::Coordinator);
    let state = run.refresh().await?;
    let name = state.short_id(todo);
    // The paths would begin with a claim that nobody on them holds.
    if let Some(holder) = state.todo(todo).and_then(|todo| todo.holder(tress::now())) {
        return Err(RunError::NotOpen(format!("{name} is held by {}", holder.agent)));
    }
    // Where it cannot be claimed no paths are left behind.
    tress::claimable(&state, todo, COORDINATOR, tress::now())
        .map_err(|refused| RunError::NotOpen(refused.to_string()))?;
    let mut forks = Vec::new();
    let taken = store.runs()?;
    let free = (1_u32..).map(|number| format!("{}.{name}.{number}", run.name()));
    let free = free.filter(|path| !taken.contains(path));
    for path in free.take(paths.clamp(1, PATHS_MAX) as usize) {
        let reason = format!("explores {name}");
        let fork = Fork { reason, ..Fork::default() };
        forks.push(coordinator.fork(store, &path, fork).await?);
    }
    // Forked first: what is done on the paths does not know of this claim, and so it stands.
    let held = match coordinator.claim(todo, None).await {
        Ok(held) => held,
        Err(Refused::Condition(refused)) => return Err(RunError::NotOpen(refused.to_string())),
        Err(Refused::Error(error)) => return Err(error.into()),
    };
    let base = options.from.as_deref().unwrap_or("HEAD");
    let head = tree.commit(&options.branch).await.or(tree.commit(base).await)?;
    let mut teams = JoinSet::new();
    for (number, path) in forks.into_iter().enumerate() {
        let mut options = options.clone();
        options.only = Some(todo);
        options.branch = own_branch(path.name());
        options.from = Some(head.clone());
        options.seed = options.seed.wrapping_add(number as u64);
        let (tree, driver, from) = (tree.clone(), Arc::clone(&driver), head.clone());
        let stopped = stop.clone();
        teams.spawn(async move {
            let branch = options.branch.clone();
            let team = Orchestrator::prepare(path.clone(), tree.clone(), options, driver, stopped);
            team.await?.run().await?;
            look(&tree, &path, todo, branch, &from).await
        });
    }
    let mut explored = Vec::new();
    let mut failed = None;
    loop {
        let ended = tokio::select! {
            ended = teams.join_next() => ended,
            () = tokio::time::sleep(options.lease / 3) => {
                // The todo is held for as long as it takes. Where it was taken all the same, the
                // rules decide when the paths come back.
                match coordinator.renew(&held, Some(options.lease_ms())).await {
                    Ok(_) | Err(Refused::Condition(_)) => continue,
                    Err(Refused::Error(error)) => return Err(error.into()),
                }
            }
        };
        let Some(ended) = ended else { break };
        let ended = ended.map_err(|error| RunError::Internal(error.to_string()));
        match ended.and_then(|ended| ended) {
            Ok(path) => explored.push(path),
            Err(error) => failed = Some(error),
        }
    }
    explored.sort_by_key(Explored::rank);
    let reason = "the exploration is over".to_owned();
    let released = Operation::Released { todo, token: held.token, reason };
    coordinator.append([released]).await?;
    if explored.is_empty() {
        return failed.map_or(Ok(explored), Err);
    }
    merge_best((store, run), tree, options, todo, &explored).await?;
    Ok(explored)
}

/// What came of one path.
async fn look(
    tree: &Tree,
    path: &Run,
    todo: TodoId,
    branch: String,
    from: &str,
) -> Result<Explored, RunError> {
    let state = path.refresh().await?;
    let mut explored = Explored {
        path: path.name().to_owned(),
        completed: false,
        checks: 0,
        remarks: 0,
        in_vain: 0,
        lines: 0,
        took: 0,
        branch,
    };
    let Some(found) = state.todo(todo) else { return Ok(explored) };
    explored.in_vain = tress_plan::all_tries(&state, todo);
    let Some(made) = found.completed() else { return Ok(explored) };
    explored.completed = true;
    explored.checks = made.checks.iter().filter(|check| check.verdict == Verdict::Pass).count();
    let remarks = made.checks.iter().flat_map(|check| check.detail.lines());
    explored.remarks = remarks.filter(|line| line.ends_with(", warning)")).count();
    let changed = tree.added_lines(from, &explored.branch).await?;
    explored.lines = changed.values().map(std::collections::BTreeSet::len).sum();
    let claimed = found.claim.as_deref().map_or(made.at, |claim| claim.at);
    let ended = made.integrated.as_deref().map_or(made.at, |(_, at)| *at);
    explored.took = ended.saturating_sub(claimed);
    Ok(explored)
}

/// Whether the merge is what was verified on the path, or passes the todo's check where others' work
/// has come in between.
async fn holds_up(
    (run, options, todo): (&Run, &Options, TodoId),
    place: &Tree,
    merged: &str,
    branch: &str,
) -> Result<bool, RunError> {
    if place.tree_hash(merged).await? == place.tree_hash(branch).await? {
        return Ok(true);
    }
    let state = run.state();
    let check = state.todo(todo).and_then(|todo| todo.check.as_deref());
    let stop = || -> Stopping<'_> { Box::pin(std::future::pending()) };
    let timeout = options.check_timeout;
    let bench = Bench { tree: place, env: &[], timeout, pid_file: None, stop: &stop };
    let check = testing::own_check(bench, check.or(options.check.as_deref())).await;
    Ok(check.verdict == Verdict::Pass)
}

/// Brings the best path that merges into the run's branch, and then into the run.
async fn merge_best(
    (store, run): (&Store, &Run),
    tree: &Tree,
    options: &Options,
    todo: TodoId,
    explored: &[Explored],
) -> Result<(), RunError> {
    let coordinator = run.agent(COORDINATOR, Role::Coordinator);
    let by = Signature { name: COORDINATOR.to_owned() };
    let head = tree.commit(options.from.as_deref().unwrap_or("HEAD")).await?;
    tree.ensure_branch(&options.branch, &head).await?;
    for path in explored.iter().filter(|path| path.completed) {
        let old = tree.commit(&options.branch).await?;
        let dir = run.store_dir().join("local").join("trees").join(run.name()).join("explore");
        let place = tree.worktree(&dir, &old, None).await?;
        let message = format!("{}: explored on {}", run.state().name(todo), path.path);
        let merged = place.merge(&by, &path.branch, &message).await;
        let sound = match &merged {
            Ok(merged) => holds_up((run, options, todo), &place, merged, &path.branch).await?,
            Err(_) => false,
        };
        tree.remove_worktree(&dir).await;
        let merged = match merged {
            Ok(merged) if sound => merged,
            Ok(_) | Err(GitError::Conflict(_)) => continue,
            Err(error) => return Err(error.into()),
        };
        tree.move_branch(&options.branch, &merged, &old).await?;
        coordinator.merge(&store.run(&path.path).await?).await?;
        let others = explored.iter().map(Explored::told).collect::<Vec<_>>().join("; ");
        let text =
            format!("explored on {} paths, {} was merged. {others}", explored.len(), path.path);
        coordinator.append([Operation::NoteAdded { todo, text, layout: None }]).await?;
        return Ok(());
    }
    Ok(())
}
