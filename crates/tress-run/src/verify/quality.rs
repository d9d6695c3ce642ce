//! Quality: the project's own linters, of which only new findings in changed files count.

use std::collections::BTreeSet;

use tress::operation::{Check, Layer, Verdict};

use super::bench::{Bench, evidence, look};
use super::outcome::{complaints, new_complaints};
use crate::execute::process::Ending;
use crate::git::{GitError, Tree};

/// How many new findings a check names.
const TOLD: usize = 20;

/// A linter that a project uses where it has one of the files, or one of them with the words.
struct Linter {
    files: &'static [(&'static str, Option<&'static str>)],
    command: &'static str,
}

/// The linters that are found by what configures them, of those whose output is of one form in all
/// versions. A project that configures none of them is not judged by any.
const LINTERS: [Linter; 4] = [
    Linter {
        files: &[
            ("clippy.toml", None),
            (".clippy.toml", None),
            ("Cargo.toml", Some("[lints")),
            ("Cargo.toml", Some("[workspace.lints")),
        ],
        command: "cargo clippy --quiet --all-targets --message-format short",
    },
    Linter {
        files: &[("ruff.toml", None), (".ruff.toml", None), ("pyproject.toml", Some("[tool.ruff"))],
        command: "ruff check --quiet --output-format concise .",
    },
    Linter { files: &[(".flake8", None)], command: "flake8 ." },
    Linter {
        files: &[("mypy.ini", None), ("pyproject.toml", Some("[tool.mypy"))],
        command: "mypy --no-error-summary .",
    },
];

/// The linters that the project configures, before the change or after it: to take the
/// configuration out takes no linter out.
///
/// # Errors
/// When git fails.
pub async fn configured(
    tree: &Tree,
    (base, commit): (&str, &str),
) -> Result<Vec<String>, GitError> {
    let mut found = BTreeSet::new();
    for commit in [base, commit] {
        for linter in &LINTERS {
            for (file, words) in linter.files {
                let Some(blob) = tree.blob(commit, file).await else { continue };
                let holds = match words {
                    None => true,
                    Some(words) => {
                        let text = tree.blobs(&[&blob]).await?.pop().unwrap_or_default();
                        String::from_utf8_lossy(&text).contains(words)
                    }
                };
                if holds {
                    found.insert(linter.command.to_owned());
                }
            }
        }
    }
    Ok(found.into_iter().collect())
}

/// Runs `commands` on the work and, where they complain of changed files, on what was before it.
/// The tree shows `commit` before and afterwards.
///
/// # Errors
/// When git fails.
pub async fn lint(
    bench: Bench<'_>,
    commands: &[String],
    asked_for: bool,
    (base, commit): (&str, &str),
    changed: &[String],
) -> Result<Vec<Check>, GitError> {
    let mut checks = Vec::new();
    for command in commands {
        let mut check = lint_by(bench, command, (base, commit), changed).await?;
        if matches!(check.exit_code, Some(126 | 127)) && !asked_for {
            // Nobody asked for it by name, and it is not the work's fault.
            check.verdict = Verdict::Pass;
            check.detail = "it cannot be run on this machine, and was not asked for".to_owned();
        }
        checks.push(check);
    }
    if checks.is_empty() {
        let detail = "the project configures no linter";
        checks.push(look(Layer::Quality, "linters", Verdict::Pass, detail));
    }
    Ok(checks)
}

async fn lint_by(
    bench: Bench<'_>,
    command: &str,
    (base, commit): (&str, &str),
    changed: &[String],
) -> Result<Check, GitError> {
    let name = "linter: no new findings";
    let after = bench.run(command).await;
    let mut check = evidence(Layer::Quality, name, command, &after);
    // One that did not come to its end has not looked at everything.
    if check.verdict == Verdict::Unknown || !matches!(after.ending, Ending::Exited(_)) {
        return Ok(check);
    }
    // Some linters write whole paths.
    let here = format!("{}/", bench.tree.dir().display());
    let found = complaints(&after.output.replace(&here, ""));
    let about_changed = new_complaints(&std::collections::BTreeMap::new(), &found, changed);
    let failed = !after.success();
    if about_changed.is_empty() && !failed {
        return Ok(check);
    }
    bench.tree.show_only(base).await?;
    let before = bench.run(command).await;
    bench.tree.show_only(commit).await?;
    let known = complaints(&before.output.replace(&here, ""));
    let new = new_complaints(&known, &found, changed);
    let elsewhere: Vec<String> = found.keys().map(|(path, _)| path.clone()).collect();
    let anywhere = new_complaints(&known, &found, &elsewhere);
    let ran = matches!(before.ending, Ending::Exited(code) if code != 126 && code != 127);
    (check.verdict, check.detail) = match (new.as_slice(), failed) {
        ([], false) => (Verdict::Pass, "no finding is new".to_owned()),
        ([], true) if before.success() => {
            (Verdict::Fail, format!("it succeeded before the change\n{}", after.tail()))
        }
        ([], true) if !anywhere.is_empty() => {
            let lines = anywhere.iter().take(TOLD).map(|(path, says)| format!("{path}: {says}"));
            (
                Verdict::Fail,
                format!("new beside the change\n{}", lines.collect::<Vec<_>>().join("\n")),
            )
        }
        ([], true) if ran && !found.is_empty() => {
            (Verdict::Pass, "it fails as it did before the change; no finding is new".to_owned())
        }
        ([], true) => (Verdict::Unknown, format!("what is new cannot be told\n{}", after.tail())),
        (new, _) => {
            let lines = new.iter().take(TOLD).map(|(path, says)| format!("{path}: {says}"));
            let more = new.len().saturating_sub(TOLD);
            let more = (more > 0).then(|| format!("and {more} more"));
            (Verdict::Fail, lines.chain(more).collect::<Vec<_>>().join("\n"))
        }
    };
    Ok(check)
}
