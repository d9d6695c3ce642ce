//! `compact`: journals packed, to a third of their size, one snapshot left, and the documents' database written anew.

use clap::Args;
use serde::Serialize;
use tress::{Compacted, DocumentsError, Error};

use super::stats::size;
use crate::context::Context;
use crate::failure::Failure;
use crate::words::count;

/// Pack what of the journals is only read, to a third of its size
#[derive(Debug, Args)]
#[command(after_help = "\
Journals are read as before, by every command and by every process that runs; nothing is lost, and
nothing is forgotten. Do it now and then, as with `git gc`: what is packed stays so. A file that a
running process writes is packed the next time. Of the snapshots, from which runs are opened, the
newest is left. Where the documents' database holds much that was overwritten, it is written anew.

From the first time on the store has format 2: older versions of Tress, which cannot read what is
packed, refuse it, here and wherever it is carried. End their processes before.

Examples:
  tress compact                  all runs
  tress compact --run main --json")]
pub(crate) struct Compact {}

#[derive(Serialize)]
struct Answer {
    runs: Vec<Packed>,
    /// The database of the documents of all runs, where there is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    documents: Option<Documents>,
}

/// How many bytes a database has.
#[derive(Serialize)]
struct Documents {
    before: u64,
    after: u64,
}

#[derive(Serialize)]
struct Packed {
    run: String,
    #[serde(flatten)]
    compacted: Compacted,
}

/// Does `compact`.
pub(crate) fn run(context: &Context, _: &Compact) -> Result<(), Failure> {
    context.no_at()?;
    let store = context.store()?;
    let mut answer = Answer { runs: Vec::new(), documents: None };
    let runs = match &context.given.run {
        Some(run) => vec![run.clone()],
        None => store.runs()?,
    };
    for run in runs {
        let busy = context.out.busy(&format!("packing {run}"));
        let compacted = store.compact(&run)?;
        drop(busy);
        answer.runs.push(Packed { run, compacted });
    }
    let busy = context.out.busy("looking at the documents");
    let documents = store.compact_documents();
    drop(busy);
    match documents {
        Ok(bytes) => answer.documents = bytes.map(|(before, after)| Documents { before, after }),
        Err(Error::Documents(DocumentsError::Busy)) => {
            context.out.warn("another process has the documents open; they stay as they are");
        }
        // The journals hold all of it, and are packed.
        Err(error) => context.out.warn(&format!("the documents stay as they are: {error}")),
    }
    context.out.answer(&answer, || text(&answer))
}

fn text(answer: &Answer) -> String {
    let mut lines = Vec::new();
    for Packed { run, compacted } in &answer.runs {
        let Compacted { files, before, after, held, damaged, .. } = *compacted;
        lines.push(match files {
            0 => format!("{run}: nothing to pack"),
            _ => format!(
                "{run}: packed {}, {} are {} now",
                count(files, "file"),
                size(before),
                size(after)
            ),
        });
        if held > 0 {
            let them = if held == 1 { "it is" } else { "they are" };
            let held = count(held, "file");
            lines.push(format!("  {held} left: {them} being written by a process that runs"));
        }
        if damaged > 0 {
            let damaged = count(damaged, "file");
            lines.push(format!("  {damaged} left for damage: see `tress fsck`"));
        }
        let (before, after) = (compacted.snapshots_before, compacted.snapshots_after);
        if after < before {
            lines.push(format!("  snapshots: {} are {} now", size(before), size(after)));
        }
    }
    if let Some(Documents { before, after }) =
        answer.documents.as_ref().filter(|d| d.after < d.before)
    {
        lines.push(format!("documents: {} are {} now", size(*before), size(*after)));
    }
    lines.join("\n") + "\n"
}
