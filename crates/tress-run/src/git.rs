//! Git, as a program: worktrees, commits, merges. Every call is one `git` process with a clean
//! environment for what we depend on, and fails with what git said.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::Arc;

use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::process::Command;
use tokio::sync::Mutex;

/// Why git could not do what it was asked for.
#[derive(Debug, thiserror::Error)]
pub enum GitError {
    /// There is no git.
    #[error("git cannot be run: {0}; install git and try again")]
    Missing(std::io::Error),
    /// It is not a repository.
    #[error("{} is not in a git repository: run `git init` there and commit what is there", .0.display())]
    NotARepository(PathBuf),
    /// The repository has no commit to start from.
    #[error("the repository has no commit yet: commit something to start from")]
    NoCommit,
    /// Its path is no text.
    #[error("the path {} is not UTF-8, and agents could not be told it: rename the directory", .0.display())]
    NotText(PathBuf),
    /// There are changes that are not committed.
    #[error("the work tree has changes that are not committed ({}): commit or stash them", list(.0))]
    Dirty(Vec<String>),
    /// Two sides changed the same lines.
    #[error("it conflicts in {}", list(.0))]
    Conflict(Vec<String>),
    /// The branch of the run is checked out, and would be moved under whoever works there.
    #[error("the branch {branch} is checked out in {}, and the team moves it: check out another there", dir.display())]
    CheckedOut {
        /// The branch.
        branch: String,
        /// Where.
        dir: PathBuf,
    },
    /// Anything else.
    #[error("git {command} failed: {message}")]
    Failed {
        /// What was asked for.
        command: String,
        /// What git said.
        message: String,
    },
}

/// The mode by which git keeps the name of a commit of another repository.
const LINK: &str = "160000";
/// How deep repositories within repositories are looked for.
const NESTED_MAX: u32 = 8;

fn list(names: &[String]) -> String {
    let shown: Vec<_> = names.iter().take(5).map(String::as_str).collect();
    let more = if names.len() > 5 { ", …" } else { "" };
    format!("{}{more}", shown.join(", "))
}

/// Does `work`, to its end also where nobody waits for it any more: git that is killed leaves its locks behind, in the
/// user's own repository.
async fn to_its_end<T: Send + 'static>(
    work: impl Future<Output = T> + Send + 'static,
) -> Result<T, GitError> {
    tokio::spawn(work).await.map_err(|error| GitError::Failed {
        command: "was not waited for".to_owned(),
        message: error.to_string(),
    })
}

/// A git work tree.
#[derive(Debug, Clone)]
pub struct Tree {
    dir: PathBuf,
    /// Whether `dir` is its top: then no repository further up is ever taken for it. An agent may have removed what
    /// made its work tree one, and the user's own lies above.
    top: bool,
    /// Two `git worktree` commands at once see each other's half-made entries, and prune them.
    worktrees: Arc<Mutex<()>>,
}

/// A file of a commit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileAt {
    /// Its path from the top of the tree, with slashes.
    pub path: String,
    /// The name of the blob that holds it.
    pub blob: String,
    /// Its size in bytes.
    pub size: u64,
}

impl FileAt {
    /// Reads `MODE TYPE BLOB SIZE<tab>PATH`.
    fn read(entry: &[u8]) -> Option<Self> {
        let (facts, path) = std::str::from_utf8(entry).ok()?.split_once('\t')?;
        let mut facts = facts.split_whitespace();
        let (mode, blob) = (facts.next()?, facts.nth(1)?);
        let size = facts.next()?.parse().ok()?;
        let file = mode.starts_with("100");
        file.then(|| Self { path: path.to_owned(), blob: blob.to_owned(), size })
    }
}

/// What came of committing all that is in a work tree.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Whole {
    /// The commit.
    pub commit: String,
    /// Where repositories of their own lay, whose files are in it.
    pub nested: Vec<String>,
    /// Where further work trees of the repository lay, which are not, and the commits of all that was in them, where
    /// that could be committed.
    pub trees: Vec<(String, Option<String>)>,
}

impl Whole {
    /// What there is to say about it, by `agent`'s name.
    pub fn remark(&self, agent: &str) -> Option<String> {
        let nested = (!self.nested.is_empty()).then(|| {
            let nested = self.nested.join(", ");
            format!("{agent} made a git repository of its own in {nested}: its files are in the commit, its history is not")
        });
        let trees = self.trees.iter().map(|(path, commit)| {
            let went = match commit {
                Some(commit) => format!("what was in it is kept as {commit}"),
                None => "what was in it could not be kept".to_owned(),
            };
            format!("{agent} left a work tree of the repository in {path}: it is not in the commit, {went}")
        });
        let said: Vec<String> = nested.into_iter().chain(trees).collect();
        (!said.is_empty()).then(|| said.join("; "))
    }
}

/// The name and address that commits of agents carry.
#[derive(Debug, Clone)]
pub struct Signature {
    /// The agent's name.
    pub name: String,
}

impl Tree {
    fn at(dir: &Path) -> Self {
        Self { dir: dir.to_owned(), top: true, worktrees: Arc::default() }
    }

    /// The work tree that `dir` is in.
    ///
    /// # Errors
    /// When there is none, or no commit in it.
    pub async fn discover(dir: &Path) -> Result<Self, GitError> {
        let here = Self { top: false, ..Self::at(dir) };
        let top = match here.git(&["rev-parse", "--show-toplevel"]).await {
            Ok(top) => top,
            Err(GitError::Missing(error)) => return Err(GitError::Missing(error)),
            Err(_) => return Err(GitError::NotARepository(dir.to_owned())),
        };
        // What is no text came out as something else.
        if !Path::new(&top).is_dir() {
            return Err(GitError::NotText(dir.to_owned()));
        }
        let tree = Self::at(Path::new(&top));
        match tree.git(&["rev-parse", "--verify", "--quiet", "HEAD^{commit}"]).await {
            Ok(_) => Ok(tree),
            Err(_) => Err(GitError::NoCommit),
        }
    }

    /// Makes a repository of what is in `dir`, with one commit by `by`, on the branch `main`.
    ///
    /// # Errors
    /// When git fails.
    pub async fn create(dir: &Path, by: &Signature, message: &str) -> Result<Self, GitError> {
        let tree = Self::at(dir);
        tree.git(&["init", "--quiet"]).await?;
        tree.git(&["symbolic-ref", "HEAD", "refs/heads/main"]).await?;
        tree.commit_all(by, message).await?;
        Ok(tree)
    }

    /// Its top directory.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new("git");
        command
            .current_dir(&self.dir)
            .args(["-c", "core.hooksPath=/dev/null", "-c", "commit.gpgSign=false"])
            .args(["-c", "core.quotePath=false", "-c", "gc.auto=0"])
            .args(args)
            .env_remove("GIT_DIR")
            .env_remove("GIT_WORK_TREE")
            .env_remove("GIT_INDEX_FILE")
            .env("GIT_TERMINAL_PROMPT", "0")
            .env("LC_ALL", "C")
            .stdin(Stdio::null());
        // At a terminal Ctrl-C is for whoever runs the team, who lets git end what it is at.
        #[cfg(unix)]
        command.process_group(0);
        if let Some(above) = self.dir.parent().filter(|_| self.top) {
            command.env("GIT_CEILING_DIRECTORIES", above);
        }
        command
    }

    async fn git(&self, args: &[&str]) -> Result<String, GitError> {
        Self::output(self.command(args), args).await
    }

    async fn output(mut command: Command, args: &[&str]) -> Result<String, GitError> {
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        let child = command.spawn().map_err(GitError::Missing)?;
        let output = to_its_end(child.wait_with_output()).await?.map_err(GitError::Missing)?;
        if output.status.success() {
            return Ok(String::from_utf8_lossy(&output.stdout).trim_end().to_owned());
        }
        let said = String::from_utf8_lossy(&output.stderr);
        let lines: Vec<_> = said.lines().filter(|line| !line.starts_with("hint:")).collect();
        let command = args.iter().take(2).copied().collect::<Vec<_>>().join(" ");
        Err(GitError::Failed { command, message: lines.join("; ") })
    }

    /// The commit that `name` means.
    ///
    /// # Errors
    /// When there is no such commit.
    pub async fn commit(&self, name: &str) -> Result<String, GitError> {
        self.git(&["rev-parse", "--verify", "--quiet", &format!("{name}^{{commit}}")]).await
    }

    /// The newest commit that both have in their history; `one` itself where there is none.
    ///
    /// # Errors
    /// When there is no such commit.
    pub async fn merge_base(&self, one: &str, other: &str) -> Result<String, GitError> {
        match self.git(&["merge-base", one, other]).await {
            Ok(base) => Ok(base),
            Err(_) => self.commit(one).await,
        }
    }

    /// The hash of the tree of a commit.
    ///
    /// # Errors
    /// When there is no such commit.
    pub async fn tree_hash(&self, commit: &str) -> Result<String, GitError> {
        self.git(&["rev-parse", &format!("{commit}^{{tree}}")]).await
    }

    /// The branch that is checked out, if one is.
    ///
    /// # Errors
    /// When git fails.
    pub async fn branch(&self) -> Result<Option<String>, GitError> {
        let name = self.git(&["rev-parse", "--abbrev-ref", "HEAD"]).await?;
        Ok((name != "HEAD").then_some(name))
    }

    /// Paths with changes that are not committed, but for those under the directory `except`, which may be anywhere
    /// in the tree.
    ///
    /// # Errors
    /// When git fails.
    pub async fn changes(&self, except: &Path) -> Result<Vec<String>, GitError> {
        let top = tokio::fs::canonicalize(&self.dir).await;
        let top = top.unwrap_or_else(|_| self.dir.clone());
        let real = tokio::fs::canonicalize(except).await;
        let except = real.unwrap_or_else(|_| self.dir.join(except));
        let except = except.strip_prefix(&top).ok().and_then(Path::to_str);
        // A directory of which nothing is committed is named alone, unless something in it is left out.
        let but = except.map(|except| format!(":(exclude,top,literal){except}"));
        let mut args = vec!["status", "--porcelain", "--untracked-files=normal"];
        args.extend(but.as_deref().into_iter().flat_map(|but| ["--", ".", but]));
        let status = self.git(&args).await?;
        Ok(status.lines().filter_map(|line| line.get(3..)).map(str::to_owned).collect())
    }

    /// Whether it is a work tree of the same repository as `other`, still: whoever worked in it may have removed it, or
    /// made a repository of its own there.
    pub async fn is_beside(&self, other: &Self) -> bool {
        let (ours, others) = (self.common().await, other.common().await);
        ours.is_some() && ours == others
    }

    /// The directory that all work trees of the repository share.
    async fn common(&self) -> Option<PathBuf> {
        let common = self.git(&["rev-parse", "--git-common-dir"]).await.ok()?;
        tokio::fs::canonicalize(self.dir.join(common)).await.ok()
    }

    /// Whether `commit` is in the history of `branch`.
    pub async fn is_in(&self, commit: &str, branch: &str) -> bool {
        self.git(&["merge-base", "--is-ancestor", commit, branch]).await.is_ok()
    }

    /// Those of `commits` that are not in the history of `tip`, in their order. What is known to be after `base` is
    /// found in one go.
    ///
    /// # Errors
    /// When there is no such tip.
    pub async fn lacking(
        &self,
        tip: &str,
        base: Option<&str>,
        commits: Vec<String>,
    ) -> Result<Vec<String>, GitError> {
        let mut args = vec!["rev-list", tip];
        let known = match base {
            Some(base) => self.commit(base).await.is_ok(),
            None => false,
        };
        args.extend(base.filter(|_| known).into_iter().flat_map(|base| ["--not", base]));
        let there = self.git(&args).await?;
        let there: BTreeSet<&str> = there.lines().collect();
        let mut lacking = Vec::new();
        for commit in commits {
            if !there.contains(&*commit) && !self.is_in(&commit, tip).await {
                lacking.push(commit);
            }
        }
        Ok(lacking)
    }

    /// Those of `commits`, all of which are there, that are in the history of none of the others.
    ///
    /// # Errors
    /// When git fails.
    pub async fn independent(&self, commits: &[String]) -> Result<Vec<String>, GitError> {
        let mut args = vec!["merge-base", "--independent"];
        args.extend(commits.iter().map(String::as_str));
        Ok(self.git(&args).await?.lines().map(str::to_owned).collect())
    }

    /// Whether all that `commit` changes is in `tip` already, as after a squash. Where that cannot be told, it is not.
    pub async fn adds_nothing(&self, tip: &str, commit: &str) -> bool {
        let merged = self.git(&["merge-tree", "--write-tree", tip, commit]).await;
        let Ok(tree) = self.tree_hash(tip).await else { return false };
        merged.is_ok_and(|merged| merged.lines().next() == Some(&*tree))
    }

    /// Where `branch` is checked out, if it is.
    ///
    /// # Errors
    /// When git fails.
    pub async fn where_checked_out(&self, branch: &str) -> Result<Option<PathBuf>, GitError> {
        let list = self.git(&["worktree", "list", "--porcelain"]).await?;
        let wanted = format!("branch refs/heads/{branch}");
        let found = list.split("\n\n").find(|tree| tree.lines().any(|line| line == wanted));
        let dir = found.and_then(|tree| tree.lines().next()?.strip_prefix("worktree "));
        Ok(dir.map(PathBuf::from))
    }

    /// Makes `branch` at `commit`; where it is there and behind it, takes it forward.
    ///
    /// # Errors
    /// When git fails.
    pub async fn ensure_branch(&self, branch: &str, commit: &str) -> Result<(), GitError> {
        let name = format!("refs/heads/{branch}");
        match self.git(&["rev-parse", "--verify", "--quiet", &name]).await {
            Err(_) => {
                self.git(&["branch", "--no-track", branch, commit]).await?;
            }
            Ok(old) => {
                if self.git(&["merge-base", "--is-ancestor", &old, commit]).await.is_ok() {
                    self.move_branch(branch, commit, &old).await?;
                }
            }
        }
        Ok(())
    }

    /// Makes a work tree in `dir` that shows `commit`; on the branch `branch`, made anew, where one
    /// is given. What was in `dir` goes.
    ///
    /// # Errors
    /// When git fails.
    pub async fn worktree(
        &self,
        dir: &Path,
        commit: &str,
        branch: Option<&str>,
    ) -> Result<Self, GitError> {
        let alone = Arc::clone(&self.worktrees).lock_owned().await;
        let (tree, dir, commit) = (self.clone(), dir.to_owned(), commit.to_owned());
        let branch = branch.map(str::to_owned);
        to_its_end(async move {
            let _alone = alone;
            tree.remove(&dir).await;
            let path = dir.to_string_lossy();
            let mut args = vec!["worktree", "add", "--quiet"];
            match &branch {
                Some(branch) => args.extend(["-B", branch]),
                None => args.push("--detach"),
            }
            args.extend([&*path, &commit]);
            tree.git(&args).await?;
            Ok(Self::at(&dir))
        })
        .await?
    }

    /// Removes a work tree, whatever is in it.
    pub async fn remove_worktree(&self, dir: &Path) {
        let alone = Arc::clone(&self.worktrees).lock_owned().await;
        let (tree, dir) = (self.clone(), dir.to_owned());
        let removing = async move {
            let _alone = alone;
            tree.remove(&dir).await;
        };
        let _ = to_its_end(removing).await;
    }

    async fn remove(&self, dir: &Path) {
        let path = dir.to_string_lossy();
        // It may not be one, or only half of one after a crash: remove both halves.
        let _ = self.git(&["worktree", "remove", "--force", "--force", &path]).await;
        let _ = tokio::fs::remove_dir_all(dir).await;
        let _ = self.git(&["worktree", "prune"]).await;
    }

    /// Makes the work tree show exactly `commit`, with nothing else in it.
    ///
    /// # Errors
    /// When git fails.
    pub async fn show_only(&self, commit: &str) -> Result<(), GitError> {
        self.git(&["checkout", "--quiet", "--force", "--detach", commit]).await?;
        self.git(&["clean", "-ffdxq"]).await.map(|_| ())
    }

    /// Commits everything in the work tree as `by`; gives the head, whether or not there was
    /// anything to commit.
    ///
    /// # Errors
    /// When git fails.
    pub async fn commit_all(&self, by: &Signature, message: &str) -> Result<String, GitError> {
        // A store that is carried by git has other ways into a commit.
        self.git(&["add", "--all"]).await?;
        let _ = self.git(&["reset", "--quiet", "--", ".tress"]).await;
        if self.git(&["diff", "--cached", "--quiet"]).await.is_err() {
            let args = ["commit", "--quiet", "--no-verify", "-m", message];
            Self::output(self.signed(by, &args), &args).await?;
        }
        self.commit("HEAD").await
    }

    /// The paths where `commit` has no more than the name of another repository's commit, and `base` has not: somebody
    /// made a repository of its own there. Submodules that the project declares are none.
    ///
    /// # Errors
    /// When git fails.
    pub async fn nested(&self, base: &str, commit: &str) -> Result<Vec<String>, GitError> {
        let changes =
            self.git(&["diff-tree", "-r", "--no-renames", "--no-abbrev", base, commit]).await?;
        let links = changes.lines().filter_map(|line| {
            let (facts, path) = line.split_once('\t')?;
            let (old, new) = facts.strip_prefix(':')?.split_once(' ')?;
            (old != LINK && new.starts_with(LINK)).then(|| path.to_owned())
        });
        let mut links: Vec<String> = links.collect();
        if !links.is_empty() {
            let declared = format!("{commit}:.gitmodules");
            let paths = ["config", "--blob", &declared, "--get-regexp", r"^submodule\..*\.path$"];
            // Where nothing is declared, there is no such file.
            let declared = self.git(&paths).await.unwrap_or_default();
            let declared = declared.lines().filter_map(|line| Some(line.split_once(' ')?.1));
            let declared: BTreeSet<&str> = declared.collect();
            links.retain(|path| !declared.contains(&**path));
        }
        Ok(links)
    }

    /// Commits what is in the work tree as [`Tree::commit_all`] does, and the files of repositories that were made
    /// within it since `base`, of which git would keep the name only. Further work trees of this repository go, since
    /// they are no part of the project; what was in them is committed, for the caller to keep under a name.
    ///
    /// # Errors
    /// When git fails.
    pub async fn commit_whole(
        &self,
        by: &Signature,
        message: &str,
        base: &str,
    ) -> Result<Whole, GitError> {
        let commit = self.commit_all(by, message).await?;
        let mut whole = Whole { commit, ..Whole::default() };
        // One may lie within another.
        for _ in 0..NESTED_MAX {
            let nested = self.nested(base, &whole.commit).await?;
            if nested.is_empty() {
                return Ok(whole);
            }
            for path in nested {
                let dir = self.dir.join(&path);
                let inner = Self::at(&dir);
                if inner.is_beside(self).await {
                    let kept = inner.commit_apart(by, &format!("What was in {path}")).await.ok();
                    let _ = tokio::fs::remove_dir_all(&dir).await;
                    whole.trees.push((path, kept));
                    continue;
                }
                let _ = tokio::fs::remove_dir_all(dir.join(".git")).await;
                let _ = tokio::fs::remove_file(dir.join(".git")).await;
                self.git(&["rm", "--cached", "--quiet", "--force", "--", &path]).await?;
                whole.nested.push(path);
            }
            whole.commit = self.commit_all(by, message).await?;
        }
        Err(GitError::Failed {
            command: "add".to_owned(),
            message: format!("{} are repositories of their own", list(&whole.nested)),
        })
    }

    /// Commits what is in the work tree as [`Tree::commit_all`] does, on no branch.
    async fn commit_apart(&self, by: &Signature, message: &str) -> Result<String, GitError> {
        let head = self.commit("HEAD").await?;
        self.git(&["update-ref", "--no-deref", "HEAD", &head]).await?;
        self.commit_all(by, message).await
    }

    fn signed(&self, by: &Signature, args: &[&str]) -> Command {
        let mail = format!("{}@tress.invalid", by.name.replace(' ', "-"));
        let mut command = self.command(args);
        for (name, value) in [("NAME", by.name.as_str()), ("EMAIL", mail.as_str())] {
            command.env(format!("GIT_AUTHOR_{name}"), value);
            command.env(format!("GIT_COMMITTER_{name}"), value);
        }
        command
    }

    /// The paths that differ between two commits.
    ///
    /// # Errors
    /// When git fails.
    pub async fn changed(&self, from: &str, to: &str) -> Result<Vec<String>, GitError> {
        let range = format!("{from}...{to}");
        let names = self.git(&["diff", "--name-only", "--no-renames", &range]).await?;
        Ok(names.lines().map(str::to_owned).collect())
    }

    /// The numbers of the lines that `to` has and `from` had not, by path.
    ///
    /// # Errors
    /// When git fails.
    pub async fn added_lines(
        &self,
        from: &str,
        to: &str,
    ) -> Result<BTreeMap<String, BTreeSet<usize>>, GitError> {
        let range = format!("{from}...{to}");
        let diff = self.git(&["diff", "--unified=0", "--no-renames", "--no-color", &range]).await?;
        let mut path = String::new();
        let mut lines: BTreeMap<String, BTreeSet<usize>> = BTreeMap::new();
        for line in diff.lines() {
            if let Some(name) = line.strip_prefix("+++ ") {
                path = name.strip_prefix("b/").unwrap_or(name).to_owned();
            } else if let Some(hunk) = line.strip_prefix("@@ ") {
                let new = hunk.split(' ').find_map(|part| part.strip_prefix('+'));
                let (start, count) =
                    new.map_or(("", "1"), |new| new.split_once(',').unwrap_or((new, "1")));
                let number = |text: &str| text.parse::<usize>().unwrap_or(0);
                let (start, count) = (number(start), number(count));
                lines.entry(path.clone()).or_default().extend(start..start + count);
            }
        }
        Ok(lines)
    }

    /// Merges `commit` into the checked-out branch as `by`; always with a commit of its own.
    ///
    /// # Errors
    /// [`GitError::Conflict`] when both sides changed the same lines; the branch is as it was then.
    pub async fn merge(
        &self,
        by: &Signature,
        commit: &str,
        message: &str,
    ) -> Result<String, GitError> {
        let args = ["merge", "--quiet", "--no-ff", "--no-edit", "-m", message, commit];
        let merged = Self::output(self.signed(by, &args), &args).await;
        if let Err(error) = merged {
            let names = self.git(&["diff", "--name-only", "--diff-filter=U"]).await;
            let names: Vec<_> = names.unwrap_or_default().lines().map(str::to_owned).collect();
            let _ = self.git(&["merge", "--abort"]).await;
            return Err(if names.is_empty() { error } else { GitError::Conflict(names) });
        }
        self.commit("HEAD").await
    }

    /// The commit of `branch` whose message has the line `line`, if there is one.
    ///
    /// # Errors
    /// When git fails.
    pub async fn find_commit(&self, branch: &str, line: &str) -> Result<Option<String>, GitError> {
        let grep = format!("--grep=^{line}$");
        let found = self.git(&["log", "--format=%H", "-1", &grep, branch]).await?;
        Ok((!found.is_empty()).then_some(found))
    }

    /// Keeps `commit` under the name `reference`, so that git does not throw it away.
    ///
    /// # Errors
    /// When git fails.
    pub async fn keep(&self, reference: &str, commit: &str) -> Result<(), GitError> {
        self.git(&["update-ref", reference, commit]).await.map(|_| ())
    }

    /// Moves `branch` from `old` to `new`, and fails where it is not at `old` any more.
    ///
    /// # Errors
    /// When git fails.
    pub async fn move_branch(&self, branch: &str, new: &str, old: &str) -> Result<(), GitError> {
        let name = format!("refs/heads/{branch}");
        self.git(&["update-ref", &name, new, old]).await.map(|_| ())
    }

    /// Takes the checked-out branch forward to `branch`, without a merge.
    ///
    /// # Errors
    /// When it is not behind it.
    pub async fn fast_forward(&self, branch: &str) -> Result<(), GitError> {
        self.git(&["merge", "--quiet", "--ff-only", branch]).await.map(|_| ())
    }

    /// The files of `commit`: path, blob and size in bytes, in order of the paths. Links and
    /// submodules are left out, and so are names that are no text.
    ///
    /// # Errors
    /// When there is no such commit.
    pub async fn files(&self, commit: &str) -> Result<Vec<FileAt>, GitError> {
        let args = ["ls-tree", "-r", "-z", "--long", "--full-tree", commit];
        let output = self.command(&args).output().await.map_err(GitError::Missing)?;
        if !output.status.success() {
            let message = String::from_utf8_lossy(&output.stderr).trim().to_owned();
            return Err(GitError::Failed { command: "ls-tree".to_owned(), message });
        }
        let entries = output.stdout.split(|&byte| byte == 0);
        let mut files: Vec<FileAt> = entries.filter_map(FileAt::read).collect();
        files.sort_by(|left, right| left.path.cmp(&right.path));
        Ok(files)
    }

    /// What these blobs hold, in their order; by one process.
    ///
    /// # Errors
    /// When git fails, or one is not there.
    pub async fn blobs(&self, blobs: &[&str]) -> Result<Vec<Vec<u8>>, GitError> {
        let args = ["cat-file", "--batch"];
        let failed = |message: String| GitError::Failed { command: args.join(" "), message };
        let mut command = self.command(&args);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
        // It only reads.
        command.kill_on_drop(true);
        let mut child = command.spawn().map_err(GitError::Missing)?;
        let (Some(mut stdin), Some(stdout)) = (child.stdin.take(), child.stdout.take()) else {
            return Err(failed("it has no pipes".to_owned()));
        };
        let wanted = blobs.iter().map(|blob| format!("{blob}\n")).collect::<String>();
        // Asking goes on while the answers are read: neither pipe holds them all.
        let ask = async move {
            let asked = stdin.write_all(wanted.as_bytes()).await;
            drop(stdin);
            asked
        };
        let read = async {
            let mut stdout = BufReader::new(stdout);
            let mut found = Vec::with_capacity(blobs.len());
            for blob in blobs {
                let mut line = String::new();
                stdout.read_line(&mut line).await?;
                let size = line.trim_end().rsplit(' ').next().and_then(|size| size.parse().ok());
                let size: usize = size.filter(|_| line.contains(" blob ")).ok_or_else(|| {
                    let message = format!("{blob} is no blob: {}", line.trim_end());
                    std::io::Error::other(message)
                })?;
                let mut bytes = vec![0; size];
                stdout.read_exact(&mut bytes).await?;
                found.push(bytes);
                stdout.read_exact(&mut [0]).await?;
            }
            Ok::<_, std::io::Error>(found)
        };
        let (asked, found) = tokio::join!(ask, read);
        let found = found.map_err(|error| failed(error.to_string()))?;
        asked.map_err(|error| failed(error.to_string()))?;
        child.wait().await.map_err(GitError::Missing)?;
        Ok(found)
    }

    /// The blob that `path` is in `commit`; `None` where it is not there.
    pub async fn blob(&self, commit: &str, path: &str) -> Option<String> {
        let name = format!("{commit}:{path}");
        self.git(&["rev-parse", "--verify", "--quiet", &name]).await.ok()
    }

    /// The value of a git attribute that `path` is given in the work tree, where it is given one.
    ///
    /// # Errors
    /// When git fails.
    pub async fn attribute(&self, name: &str, path: &str) -> Result<Option<String>, GitError> {
        let told = self.git(&["check-attr", "-z", name, "--", path]).await?;
        let value = told.trim_end_matches('\0').rsplit('\0').next().unwrap_or_default().trim();
        Ok((!["", "unspecified", "unset"].contains(&value)).then(|| value.to_owned()))
    }
}
