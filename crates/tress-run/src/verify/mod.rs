//! The verifier: holds a claimed commit against its todo, in a clean work tree, on five layers, and
//! says what it saw. It runs what the todo and the project name; it believes nothing that an agent
//! says. Only what the change touched is judged.

pub mod bench;
mod judges;
pub mod outcome;
pub mod quality;
mod reports;
mod sources;
mod statics;
pub mod testing;
mod thorough;

use tress::operation::{Check, Verdict};
use tress::{State, Todo, TodoId};
use tress_inspect::{Finding, Severity};

use self::bench::Bench;
use self::reports::Reports;
use self::sources::Sources;
use crate::git::GitError;

/// How many gaps a report names.
const GAPS_MAX: usize = 20;

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
    /// Whether others wait for the todo: they may be what uses it.
    pub used_later: bool,
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
    let sources = Sources::read(tree, (base, commit), &changed).await?;
    let mut checks = statics::existence(todo, &changed, &sources);
    checks.push(statics::completeness(&sources));
    checks.extend(statics::conflicts(&sources));
    checks.push(statics::integration(&sources, terms.used_later));
    checks.push(statics::suppressions(&sources));
    checks.push(statics::weakened(&sources));
    run_layers(bench, claim, &changed, &sources, &mut checks).await?;
    for check in &mut checks {
        check.tree = Some(hash.clone());
    }
    checks.sort_by_key(|check| check.layer);
    Ok(report(checks, changed))
}

/// The layers that run something. What costs most comes last, and only where it can still matter.
async fn run_layers(
    bench: Bench<'_>,
    claim: Claim<'_>,
    changed: &[String],
    sources: &Sources,
    checks: &mut Vec<Check>,
) -> Result<(), GitError> {
    let Claim { todo, base, commit, terms } = claim;
    let sound = |checks: &[Check]| checks.iter().all(|check| check.verdict == Verdict::Pass);
    if !sound(checks) {
        return Ok(());
    }
    let mut own = testing::own_check(bench, terms.check).await;
    let lines = bench.tree.added_lines(base, commit).await?;
    let reports = Reports::read(bench.tree.dir(), &lines);
    if own.verdict == Verdict::Pass {
        own.detail = [own.detail, reports.told()]
            .into_iter()
            .filter(|t| !t.is_empty())
            .collect::<Vec<_>>()
            .join("; ");
    }
    checks.push(own);
    if let Some(tests) = terms.tests.filter(|_| sound(checks)) {
        checks.push(testing::suite(bench, tests, (base, commit), &lines).await?);
    }
    if sound(checks) {
        let linters = match terms.lint {
            Lint::Off => Vec::new(),
            Lint::Command(command) => vec![command.clone()],
            Lint::Configured => quality::configured(bench.tree, (base, commit)).await?,
        };
        let asked_for = matches!(terms.lint, Lint::Command(_));
        checks.extend(quality::lint(bench, &linters, asked_for, (base, commit), changed).await?);
    }
    if sound(checks) {
        let held = judges::as_they_were(bench, todo, (base, commit), changed, checks).await?;
        checks.extend(held);
    }
    let command = [terms.check, terms.tests].into_iter().flatten().collect::<Vec<_>>().join(" && ");
    if terms.thorough && sound(checks) && !command.is_empty() {
        checks.extend(thorough::thorough(bench, &command, (base, commit), sources).await?);
    }
    Ok(())
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

/// What verifiers found in the work of a run, or of the todo `only`, as SARIF 2.1.0. Of each todo the
/// last claim of completion counts.
pub fn sarif(state: &State, only: Option<TodoId>) -> String {
    let todos = state.todos.values().filter(|todo| only.is_none_or(|only| only == todo.id));
    let last = todos.filter_map(|todo| todo.completions.last());
    let lines = last.flat_map(|made| &made.checks).flat_map(|check| check.detail.lines());
    let findings: Vec<Finding> = lines.filter_map(|line| line.parse().ok()).collect();
    tress_inspect::sarif::sarif(env!("CARGO_PKG_VERSION"), &findings)
}

fn report(checks: Vec<Check>, changed: Vec<String>) -> Report {
    let bad = checks.iter().filter(|check| check.verdict != Verdict::Pass);
    let failed = bad.clone().count();
    let gaps: Vec<String> = bad.clone().flat_map(gaps_of).take(GAPS_MAX).collect();
    let passed = checks.len() - failed;
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

/// What a failed check says is missing: its findings, or itself in one line.
fn gaps_of(check: &Check) -> Vec<String> {
    let error = |line: &&str| {
        line.parse::<Finding>().is_ok_and(|finding| finding.severity == Severity::Error)
    };
    let findings = check.detail.lines().filter(error);
    let found: Vec<String> =
        findings.map(|finding| format!("{}: {finding}", check.layer.name())).collect();
    if found.is_empty() { vec![first_line(check)] } else { found }
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
