//! The verifier: holds a claimed commit against its todo, in a clean work tree, on five layers, and
//! says what it saw. It runs what the todo and the project name; it believes nothing that an agent
//! says. Only what the change touched is judged.

pub mod bench;
pub mod outcome;
pub mod quality;
pub mod testing;

use tress::Todo;
use tress::operation::{Check, Layer, Verdict};
use tress_plan::scope;

use self::bench::{Bench, look};
use crate::git::GitError;

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
    /// What is run.
    pub terms: Terms<'a>,
}

/// Which linters are run.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Lint {
    /// Those that the project configures.
    #[default]
    Configured,
    /// None.
    Off,
    /// This command line.
    Command(String),
}

/// What a verifier runs.
#[derive(Debug, Clone, Copy)]
pub struct Terms<'a> {
    /// The command that must succeed, if one is named.
    pub check: Option<&'a str>,
    /// The command that runs the project's tests, if one is named.
    pub tests: Option<&'a str>,
    /// The linters.
    pub lint: &'a Lint,
    /// Whether the tests themselves are tested.
    pub thorough: bool,
}

/// Verifies `claim` on `bench`, whose tree is made to show the claimed commit and nothing else.
///
/// # Errors
/// When git fails; that says nothing about the work.
pub async fn verify(bench: Bench<'_>, claim: Claim<'_>) -> Result<Report, GitError> {
    let Claim { todo, base, commit, terms } = claim;
    let tree = bench.tree;
    tree.show_only(commit).await?;
    let hash = tree.tree_hash(commit).await?;
    let changed = tree.changed(base, commit).await?;
    let mut checks = vec![real_change(&changed), touches(todo, &changed)];
    let added = tree.added_lines(base, commit).await?;
    checks.push(no_stubs(&added));
    // What costs most comes last, and only where it can still matter.
    let sound = |checks: &[Check]| checks.iter().all(|check| check.verdict == Verdict::Pass);
    if sound(&checks) {
        checks.push(testing::own_check(bench, terms.check).await);
        if let Some(tests) = terms.tests.filter(|_| sound(&checks)) {
            checks.push(testing::suite(bench, tests, (base, commit)).await?);
        }
    }
    if sound(&checks) {
        let linters = match terms.lint {
            Lint::Off => Vec::new(),
            Lint::Command(command) => vec![command.clone()],
            Lint::Configured => {
                quality::configured(tree.dir()).into_iter().map(str::to_owned).collect()
            }
        };
        checks.extend(quality::lint(bench, &linters, (base, commit), &changed).await?);
    }
    for check in &mut checks {
        check.tree = Some(hash.clone());
    }
    Ok(report(checks, changed))
}

impl Report {
    /// A refusal without a look, for the reason `why`.
    pub fn refused(why: String) -> Self {
        Self {
            checks: Vec::new(),
            verdict: Verdict::Fail,
            reason: why.clone(),
            percent: 0,
            gaps: vec![why],
            changed: Vec::new(),
        }
    }
}

fn check(layer: Layer, name: &str, verdict: Verdict, detail: String) -> Check {
    look(layer, name, verdict, detail)
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
