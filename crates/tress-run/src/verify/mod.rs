//! The verifier: holds a claimed commit against its todo, in a clean work tree, and says what it
//! saw. It runs what the todo names; it believes nothing that an agent says.

use std::path::Path;
use std::time::Duration;

use tress::Todo;
use tress::operation::{Check, Layer, Verdict};

use crate::execute::process::{self, Ending, Job};
use crate::git::{GitError, Tree};
use tress_plan::scope;

/// Ways to say "not done yet" that compile or parse. What they stand in is prose and tests apart.
const STUBS: [&str; 8] = [
    "todo!(",
    "unimplemented!(",
    "raise NotImplementedError",
    "throw new Error(\"not implemented",
    "throw new Error('not implemented",
    "panic(\"not implemented",
    "panic!(\"not implemented",
    "UnsupportedOperationException(\"not implemented",
];

/// What a verification came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    /// What was seen, layer by layer.
    pub checks: Vec<Check>,
    /// Pass only where every check passed.
    pub verdict: Verdict,
    /// Why, in one line.
    pub reason: String,
    /// How many of the checks passed, in percent.
    pub percent: u8,
    /// What is missing.
    pub gaps: Vec<String>,
    /// The paths that the commit changes.
    pub changed: Vec<String>,
}

/// A claim to be verified.
#[derive(Debug, Clone, Copy)]
pub struct Claim<'a> {
    /// The todo.
    pub todo: &'a Todo,
    /// The commit that work started from.
    pub base: &'a str,
    /// The commit that is claimed to be the work.
    pub commit: &'a str,
    /// How its check is run.
    pub terms: Terms<'a>,
}

/// How a check is run.
#[derive(Debug, Clone, Copy)]
pub struct Terms<'a> {
    /// The command that must succeed, if one is named.
    pub command: Option<&'a str>,
    /// How long it may take.
    pub timeout: Duration,
    /// Where its process id is kept while it runs.
    pub pid_file: Option<&'a Path>,
}

/// Verifies `claim` in `tree`, which is made to show the claimed commit and nothing else.
///
/// # Errors
/// When git fails; that says nothing about the work.
pub async fn verify(
    tree: &Tree,
    claim: Claim<'_>,
    env: &[(String, String)],
    stop: impl Future<Output = ()>,
) -> Result<Report, GitError> {
    tree.show_only(claim.commit).await?;
    let hash = tree.tree_hash(claim.commit).await?;
    let changed = tree.changed(claim.base, claim.commit).await?;
    let mut checks = vec![real_change(&changed), touches(claim.todo, &changed)];
    let added = tree.added_lines(claim.base, claim.commit).await?;
    checks.push(no_stubs(&added));
    let sound = checks.iter().all(|check| check.verdict == Verdict::Pass);
    if sound {
        checks.push(run_check(tree.dir(), claim.terms, env, stop).await);
    }
    for check in &mut checks {
        check.tree = Some(hash.clone());
    }
    Ok(report(checks, changed))
}

fn check(layer: Layer, name: &str, verdict: Verdict, detail: String) -> Check {
    let name = name.to_owned();
    Check { layer, name, command: None, exit_code: None, tree: None, verdict, detail, took: 0 }
}

fn verdict(pass: bool) -> Verdict {
    if pass { Verdict::Pass } else { Verdict::Fail }
}

fn real_change(changed: &[String]) -> Check {
    let detail = match changed {
        [] => "the commit changes nothing".to_owned(),
        paths => format!("changes {}", paths.join(", ")),
    };
    check(Layer::Existence, "it is a real change", verdict(!changed.is_empty()), detail)
}

fn touches(todo: &Todo, changed: &[String]) -> Check {
    let name = "it touches what the todo names";
    if todo.files.is_empty() {
        let detail = "the todo names no files".to_owned();
        return check(Layer::Existence, name, Verdict::Pass, detail);
    }
    let touched = |pattern: &&String| changed.iter().any(|path| scope::covers(pattern, path));
    let found = todo.files.iter().any(|pattern| touched(&pattern));
    let detail = if found {
        let outside = changed
            .iter()
            .filter(|path| !todo.files.iter().any(|pattern| scope::covers(pattern, path)));
        match outside.cloned().collect::<Vec<_>>().as_slice() {
            [] => "all changes are within".to_owned(),
            paths => format!("also changes {}", paths.join(", ")),
        }
    } else {
        format!("nothing in {} was changed", todo.files.join(", "))
    };
    check(Layer::Existence, name, verdict(found), detail)
}

fn no_stubs(added: &[(String, String)]) -> Check {
    let name = "no stub was added";
    let stub = added.iter().find(|(path, line)| {
        let code = !path.ends_with(".md") && !path.ends_with(".txt");
        let line = line.trim_start();
        let comment = line.starts_with("//") || line.starts_with('#');
        code && !comment && STUBS.iter().any(|stub| line.contains(stub))
    });
    match stub {
        Some((path, line)) => {
            let detail = format!("{path}: {}", line.trim());
            check(Layer::Completeness, name, Verdict::Fail, detail)
        }
        None => check(Layer::Completeness, name, Verdict::Pass, "none found".to_owned()),
    }
}

/// Runs the command that must succeed, in `dir`.
pub async fn run_check(
    dir: &Path,
    terms: Terms<'_>,
    env: &[(String, String)],
    stop: impl Future<Output = ()>,
) -> Check {
    let name = "its check passes";
    let Some(command) = terms.command else {
        let detail = "no check is named: accepted on the change alone".to_owned();
        return check(Layer::Testing, name, Verdict::Pass, detail);
    };
    let job = Job {
        command: command.to_owned(),
        dir: dir.to_owned(),
        env: env.to_vec(),
        log: None,
        pid_file: terms.pid_file.map(Path::to_owned),
        timeout: Some(terms.timeout),
    };
    let finished = process::run(&job, stop).await;
    let (verdict, exit_code) = match &finished.ending {
        Ending::Exited(0) => (Verdict::Pass, Some(0)),
        // The shell's own words for "there is no such program" and "it cannot be run".
        Ending::Exited(code @ (126 | 127)) => (Verdict::Unknown, Some(*code)),
        Ending::Exited(code) => (Verdict::Fail, Some(*code)),
        Ending::Signalled(_) | Ending::TimedOut => (Verdict::Fail, None),
        Ending::Stopped | Ending::NotStarted(_) => (Verdict::Unknown, None),
    };
    let detail = match verdict {
        Verdict::Pass => String::new(),
        _ => format!("{}\n{}", finished.ending, finished.tail),
    };
    Check {
        layer: Layer::Testing,
        name: name.to_owned(),
        command: Some(command.to_owned()),
        exit_code,
        tree: None,
        verdict,
        detail: detail.trim_end().to_owned(),
        took: u64::try_from(finished.took.as_millis()).unwrap_or(u64::MAX),
    }
}

fn report(checks: Vec<Check>, changed: Vec<String>) -> Report {
    let bad = checks.iter().filter(|check| check.verdict != Verdict::Pass);
    let gaps: Vec<String> = bad.clone().map(first_line).collect();
    let passed = checks.len() - gaps.len();
    let percent = u8::try_from(passed * 100 / checks.len().max(1)).unwrap_or(0);
    let verdict = bad.map(|check| check.verdict).max_by_key(|verdict| match verdict {
        Verdict::Pass => 0,
        Verdict::Unknown => 1,
        Verdict::Fail => 2,
    });
    let reason = match gaps.first() {
        None => format!("{passed} checks passed"),
        Some(gap) => gap.clone(),
    };
    Report { verdict: verdict.unwrap_or(Verdict::Pass), checks, reason, percent, gaps, changed }
}

/// A failed check in one line.
fn first_line(check: &Check) -> String {
    let what = match (&check.command, check.exit_code) {
        (Some(command), Some(code)) => format!("`{command}` failed with exit code {code}"),
        (Some(command), None) => {
            let how = check.detail.lines().next().unwrap_or("did not end");
            format!("`{command}` {how}")
        }
        (None, _) => check.detail.lines().next().unwrap_or(&check.name).to_owned(),
    };
    format!("{}: {what}", check.layer.name())
}
