//! Quality: the project's own linters, of which only new findings in changed files count.

use std::path::Path;

use tress::operation::{Check, Layer, Verdict};

use super::bench::{Bench, evidence, look};
use super::outcome::{complaints, new_complaints};
use crate::execute::process::Ending;
use crate::git::GitError;

/// How many new findings a check names.
const TOLD: usize = 20;

/// A linter that a project uses where it has one of the files, or one of them with the words.
struct Linter {
    files: &'static [(&'static str, Option<&'static str>)],
    command: &'static str,
}

/// The linters that are found by what configures them. A project that configures none is not
/// judged by any.
const LINTERS: [Linter; 6] = [
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
    Linter {
        files: &[
            ("eslint.config.js", None),
            ("eslint.config.mjs", None),
            (".eslintrc.json", None),
            (".eslintrc.js", None),
        ],
        command: "npx --no-install eslint --format unix .",
    },
    Linter {
        files: &[(".golangci.yml", None), (".golangci.yaml", None)],
        command: "golangci-lint run --out-format line-number ./...",
    },
];

/// The linters that the project in `dir` configures.
pub fn configured(dir: &Path) -> Vec<&'static str> {
    let has = |&(file, words): &(&str, Option<&str>)| match words {
        None => dir.join(file).is_file(),
        Some(words) => {
            std::fs::read_to_string(dir.join(file)).is_ok_and(|text| text.contains(words))
        }
    };
    let linters = LINTERS.iter().filter(|linter| linter.files.iter().any(has));
    linters.map(|linter| linter.command).collect()
}

/// Runs `commands` on the work and, where they complain of changed files, on what was before it.
/// The tree shows `commit` before and afterwards.
///
/// # Errors
/// When git fails.
pub async fn lint(
    bench: Bench<'_>,
    commands: &[String],
    (base, commit): (&str, &str),
    changed: &[String],
) -> Result<Vec<Check>, GitError> {
    let mut checks = Vec::new();
    for command in commands {
        checks.push(lint_by(bench, command, (base, commit), changed).await?);
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
    if check.verdict == Verdict::Unknown {
        return Ok(check);
    }
    let found = complaints(&after.output);
    let about_changed = new_complaints(&std::collections::BTreeMap::new(), &found, changed);
    let failed = !after.success();
    if about_changed.is_empty() && !failed {
        return Ok(check);
    }
    bench.tree.show_only(base).await?;
    let before = bench.run(command).await;
    bench.tree.show_only(commit).await?;
    let new = new_complaints(&complaints(&before.output), &found, changed);
    let ran = matches!(before.ending, Ending::Exited(code) if code != 126 && code != 127);
    (check.verdict, check.detail) = match (new.as_slice(), failed) {
        ([], false) => (Verdict::Pass, "no finding is new".to_owned()),
        ([], true) if before.success() => {
            (Verdict::Fail, format!("it succeeded before the change\n{}", after.tail()))
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
