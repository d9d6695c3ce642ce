//! Testing: the todo's own check, and the project's tests, run by the verifier.

use std::collections::{BTreeMap, BTreeSet};

use tress::operation::{Check, Layer, Verdict};

use super::bench::{Bench, evidence, look};
use super::outcome::{failing_tests, passing_tests};
use super::reports::Reports;
use crate::execute::process::Ending;
use crate::git::GitError;

/// The name of the check that a todo names itself.
pub const OWN_CHECK: &str = "its check passes";

/// Runs the command that the todo names.
pub async fn own_check(bench: Bench<'_>, command: Option<&str>) -> Check {
    match command {
        Some(command) => bench.must_succeed(Layer::Testing, OWN_CHECK, command).await,
        None => {
            let detail = "no check is named: accepted on the change alone";
            look(Layer::Testing, OWN_CHECK, Verdict::Pass, detail)
        }
    }
}

/// Runs the project's tests. Where they fail, they are run on what was before the change, too:
/// tests that failed there already are not held against it. The tree shows `commit` afterwards.
///
/// # Errors
/// When git fails.
pub async fn suite(
    bench: Bench<'_>,
    command: &str,
    (base, commit): (&str, &str),
    lines: &BTreeMap<String, BTreeSet<usize>>,
) -> Result<Check, GitError> {
    let after = bench.run(command).await;
    let reports = Reports::read(bench.tree.dir(), lines);
    let mut check = evidence(Layer::Testing, "the project's tests pass", command, &after);
    if check.verdict == Verdict::Pass {
        check.detail = reports.told();
    }
    let told = reports.tests.map(|(_, failed)| failed).unwrap_or_default();
    if check.verdict == Verdict::Pass && !told.is_empty() {
        // A runner that fails and says so only in its report.
        (check.verdict, check.detail) =
            (Verdict::Fail, format!("it exits with 0, and {}", check.detail));
    }
    if check.verdict != Verdict::Fail {
        return Ok(check);
    }
    bench.tree.show_only(base).await?;
    let before = bench.run(command).await;
    let known_by_report = Reports::read(bench.tree.dir(), lines).tests.map(|(_, failed)| failed);
    let known_by_report = known_by_report.unwrap_or_default();
    bench.tree.show_only(commit).await?;
    if before.success() && known_by_report.is_empty() {
        return Ok(check);
    }
    let mut failing = failing_tests(&after.output);
    failing.extend(told);
    let mut known = failing_tests(&before.output);
    known.extend(known_by_report);
    let new: Vec<&String> = failing.difference(&known).collect();
    // A suite that broke in another way than before, or that stopped before tests which passed, has
    // not shown that nothing else fails.
    let (passed, passed_before) = (passing_tests(&after.output), passing_tests(&before.output));
    let gone: Vec<&String> = passed_before.difference(&passed).collect();
    let alike = matches!(after.ending, Ending::Exited(_)) && after.ending == before.ending;
    let whole = !after.cut() && !before.cut();
    (check.verdict, check.detail) = match (new.as_slice(), failing.is_empty()) {
        ([], false) if alike && whole && gone.is_empty() => {
            let count = failing.len();
            (Verdict::Pass, format!("{count} tests fail, all of which failed before the change"))
        }
        ([], _) => {
            let why = "they fail, and failed before the change; what is new cannot be told";
            (Verdict::Unknown, format!("{why}\n{}", after.tail()))
        }
        (new, _) => {
            let names: Vec<&str> = new.iter().map(|name| name.as_str()).collect();
            (Verdict::Fail, format!("newly failing: {}\n{}", names.join(", "), after.tail()))
        }
    };
    Ok(check)
}
