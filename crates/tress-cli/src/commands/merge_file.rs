//! `merge-file`: three versions of a file into one, as git asks its merge drivers to.

use std::path::{Path, PathBuf};

use clap::Args;
use serde::Serialize;
use tress::formats::merge::{MergeError, Merged, Report, merge};

use super::export;
use crate::context::Context;
use crate::failure::Failure;
use crate::words::{clean, count};

/// How many decisions people are told; `--json` lists all.
const TOLD: usize = 20;

/// Merge beads files or run files three ways: a merge driver for git
#[derive(Debug, Args)]
#[command(after_help = "\
What only one side changed is taken as it is. What both changed is merged field by field, by the
rules of the log: a closing is not undone by an edit, an edit keeps what the other side deleted, of
two values the later holds. It always ends in a whole file. Needs no store, and touches none.
`tress init --git` makes git call it.

Examples:
  tress merge-file base.jsonl ours.jsonl theirs.jsonl             writes ours.jsonl
  tress merge-file base.jsonl ours.jsonl theirs.jsonl --output -  writes to stdout
  tress merge-file %O %A %B --path %P                             in git's merge.tress.driver")]
pub(crate) struct MergeFile {
    /// What both sides began with; an empty file if there was none
    #[arg(value_name = "BASE")]
    base: PathBuf,
    /// The version of this branch; the result goes there
    #[arg(value_name = "OURS")]
    ours: PathBuf,
    /// The version that is merged into it
    #[arg(value_name = "THEIRS")]
    theirs: PathBuf,
    /// Where the result goes instead (`-` for stdout)
    #[arg(long, value_name = "FILE")]
    output: Option<PathBuf>,
    /// What to call the file in messages: git merges temporary files, and gives its path as %P
    #[arg(long, value_name = "NAME")]
    path: Option<PathBuf>,
}

#[derive(Serialize)]
struct Summary {
    output: String,
    todos: usize,
    unchanged: usize,
    /// Both sides changed them.
    merged: usize,
    only_ours: usize,
    only_theirs: usize,
    deleted: usize,
    /// Of run files.
    #[serde(skip_serializing_if = "Option::is_none")]
    events: Option<usize>,
    decisions: Vec<DecisionView>,
    problems: Vec<ProblemView>,
}

#[derive(Serialize)]
struct DecisionView {
    rule: &'static str,
    id: String,
    field: Option<String>,
    /// The side that holds.
    kept: &'static str,
    detail: String,
}

#[derive(Serialize)]
struct ProblemView {
    side: &'static str,
    line: usize,
    column: Option<usize>,
    message: String,
}

/// Does `merge-file`.
pub(crate) fn run(context: &Context, args: &MergeFile) -> Result<(), Failure> {
    context.no_at()?;
    let output = args.output.as_ref().unwrap_or(&args.ours);
    let stdout = output == Path::new("-");
    if stdout && context.out.json() {
        return Err(Failure::usage("--json and --output - both want stdout")
            .hint("name a file: --output FILE"));
    }
    let read =
        |path: &Path| std::fs::read(path).map_err(|error| Failure::file("read", path, &error));
    let (base, ours, theirs) = (read(&args.base)?, read(&args.ours)?, read(&args.theirs)?);
    let Merged { bytes, report } =
        merge(&base, &ours, &theirs).map_err(|error| failure(error, args.path.as_deref()))?;
    if !context.out.json() {
        for found in &report.problems {
            let problem = clean(&found.problem.to_string());
            let file =
                args.path.as_ref().map(|path| format!("{}, ", clean(&path.to_string_lossy())));
            let file = file.unwrap_or_default();
            context.out.warn(&format!("warning: {file}{}: {problem}", found.side));
        }
    }
    if stdout {
        return context.out.bytes(&bytes);
    }
    // Where nothing changes, nothing is written.
    if args.output.is_some() || bytes != ours {
        export::write(output, &bytes)?;
    }
    let summary = summary(args.path.as_ref().unwrap_or(output), report);
    context.out.answer(&summary, || text(&summary))
}

fn failure(error: MergeError, path: Option<&Path>) -> Failure {
    let file = path.map(|path| format!("{}: ", path.display())).unwrap_or_default();
    let message = format!("{file}{error}");
    match error {
        MergeError::RunFile { source, .. } => {
            let failure = Failure::from(*source);
            failure.hint("export the run again: tress export run FILE")
        }
        MergeError::View { .. } | MergeError::NotLines { .. } => Failure::invalid(message).hint(
            "`tress export beads FILE` and `tress export run FILE` write files that can be merged",
        ),
        MergeError::Mixed => {
            Failure::invalid(message).hint("keep run files and beads files under different names")
        }
        MergeError::Runs { .. } => Failure::invalid(message)
            .hint("keep the two under different names: they are no versions of one file"),
        MergeError::Log(_) => Failure::invalid(message)
            .hint("one replica was written in two places; export both runs again and keep both"),
    }
}

fn summary(output: &Path, report: Report) -> Summary {
    let decisions = report.decisions.into_iter().map(|decision| DecisionView {
        rule: decision.rule.name(),
        id: decision.id,
        field: decision.field,
        kept: decision.kept.name(),
        detail: decision.detail,
    });
    let problems = report.problems.into_iter().map(|found| ProblemView {
        side: found.side.name(),
        line: found.problem.line,
        column: found.problem.column,
        message: found.problem.message,
    });
    Summary {
        output: output.display().to_string(),
        todos: report.todos,
        unchanged: report.unchanged,
        merged: report.merged,
        only_ours: report.only_ours,
        only_theirs: report.only_theirs,
        deleted: report.deleted,
        events: Some(report.events).filter(|&events| events > 0),
        decisions: decisions.collect(),
        problems: problems.collect(),
    }
}

fn text(summary: &Summary) -> String {
    let mut lines: Vec<String> = summary
        .decisions
        .iter()
        .take(TOLD)
        .map(|decision| {
            let field = decision.field.as_ref().map(|field| format!(" {field}"));
            let (id, field) = (clean(&decision.id), clean(&field.unwrap_or_default()));
            format!("{id}{field}: {} (rule {})", clean(&decision.detail), decision.rule)
        })
        .collect();
    if summary.decisions.len() > TOLD {
        lines.push(format!("and {} more; --json lists all", summary.decisions.len() - TOLD));
    }
    let mut parts = vec![count(summary.todos, "todo")];
    for (number, words) in [
        (summary.merged, "merged"),
        (summary.only_ours, "changed by us only"),
        (summary.only_theirs, "changed by them only"),
        (summary.deleted, "deleted"),
    ] {
        if number > 0 {
            parts.push(format!("{number} {words}"));
        }
    }
    parts.extend(summary.events.map(|events| count(events, "event")));
    parts.push(count(summary.decisions.len(), "decision"));
    if !summary.problems.is_empty() {
        parts.push(count(summary.problems.len(), "problem"));
    }
    lines.push(format!("merged into {}: {}", clean(&summary.output), parts.join(", ")));
    lines.join("\n")
}
