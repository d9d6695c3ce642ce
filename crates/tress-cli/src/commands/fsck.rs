//! `fsck`: everything read again, every chain checked, every damage told.

use std::path::Path;
use std::sync::Arc;

use clap::Args;
use serde::Serialize;
use tress::{DocumentsError, Error, Log, Store};

use crate::context::Context;
use crate::failure::Failure;
use crate::output::Tone;
use crate::words::{clean, count};

/// Read everything again, and list every damage
#[derive(Debug, Args)]
#[command(after_help = "\
It changes nothing. It checks every frame, every hash chain, the causes of every event, the root of every
checkpoint, and the documents. Damage is never skipped silently: the exit code is 6.")]
pub(crate) struct Fsck {}

#[derive(Serialize)]
struct Checked {
    store: String,
    runs: Vec<RunChecked>,
    damage: Vec<Found>,
}

#[derive(Serialize)]
struct RunChecked {
    run: String,
    events: u64,
    seals: usize,
    replicas: usize,
    checkpoints: usize,
}

#[derive(Serialize)]
struct Found {
    run: String,
    file: String,
    /// Where in the file, in bytes, where that is known.
    offset: Option<u64>,
    reason: String,
}

/// Does `fsck`.
pub(crate) async fn run(context: &Context) -> Result<(), Failure> {
    let store = context.store()?;
    let mut checked =
        Checked { store: store.dir().display().to_string(), runs: Vec::new(), damage: Vec::new() };
    for name in store.runs()? {
        check_run(&store, &name, &mut checked);
    }
    let documents = store.dir().join("documents");
    match store.check_documents() {
        Ok(_) => {}
        Err(Error::Documents(DocumentsError::Busy)) => {
            context.out.warn("another process has the documents open; they were not looked at");
        }
        Err(error) => checked.damage.push(found("", &documents, None, error.to_string())),
    }
    if checked.damage.is_empty() {
        return context.out.answer(&checked, || text(context, &checked));
    }
    let number = count(checked.damage.len(), "damaged place");
    let failure = Failure::damaged(format!("{number} in {}", checked.store))
        .hint("what is undamaged stays readable; fetch the rest from a copy or a peer that has it");
    if context.out.json() {
        let first = checked.damage.iter().map(line).collect::<Vec<_>>().join("; ");
        return Err(Failure::damaged(format!("{number}: {first}")).details(&checked));
    }
    context.out.text(&text(context, &checked))?;
    Err(failure)
}

fn found(run: &str, file: &Path, offset: Option<u64>, reason: String) -> Found {
    Found { run: run.to_owned(), file: file.display().to_string(), offset, reason }
}

/// Reads a run from its first byte, as if nothing of it were known.
fn check_run(store: &Store, name: &str, checked: &mut Checked) {
    let dir = store.dir().join("runs").join(name);
    let read = store.files().run(name, false).and_then(|mut run| {
        let left_out = run.origin().map(|origin| Arc::new(origin.left_out.clone()));
        Ok((run.poll()?, left_out.unwrap_or_default()))
    });
    let (batch, left_out) = match read {
        Ok(read) => read,
        Err(error) => {
            checked.damage.push(found(name, &dir, None, error.to_string()));
            return;
        }
    };
    for damage in batch.damage {
        checked.damage.push(found(name, &damage.path, Some(damage.offset), damage.reason));
    }
    let seals = batch.seals.len();
    let mut log = Log::new().leaving_out(left_out);
    let admission = log.admit_all(batch.segments, None);
    for (segment, reason) in &admission.rejected {
        let journal = dir.join("journals").join(segment.replica.to_string());
        let reason = format!("events {} to {}: {reason}", segment.first, segment.last());
        checked.damage.push(found(name, &journal, None, reason));
    }
    if admission.waiting > 0 {
        let reason = format!(
            "{} of events wait for events that are in no journal here",
            count(admission.waiting, "stretch")
        );
        checked.damage.push(found(name, &dir.join("journals"), None, reason));
    }
    let checks = log.check_checkpoints();
    for check in checks.iter().filter(|check| check.differs()) {
        let reason = format!("the checkpoint {} does not come out as it was taken", check.name);
        checked.damage.push(found(name, &dir, None, reason));
    }
    checked.runs.push(RunChecked {
        run: name.to_owned(),
        events: log.version().events(),
        seals,
        replicas: log.version().len(),
        checkpoints: checks.len(),
    });
}

fn line(found: &Found) -> String {
    let offset = found.offset.map_or(String::new(), |at| format!(" at byte {at}"));
    format!("{}{offset}: {}", clean(&found.file), clean(&found.reason))
}

fn text(context: &Context, checked: &Checked) -> String {
    let mut lines: Vec<String> = checked
        .runs
        .iter()
        .map(|run| {
            let (events, seals) = (count(run.events, "event"), count(run.seals, "seal"));
            let (replicas, checkpoints) =
                (count(run.replicas, "replica"), count(run.checkpoints, "checkpoint"));
            format!("{}: {events} by {replicas}, {seals}, {checkpoints}", run.run)
        })
        .collect();
    lines.extend(checked.damage.iter().map(|found| context.out.paint(Tone::Bad, &line(found))));
    if checked.damage.is_empty() {
        lines.push("no damage".to_owned());
    }
    lines.join("\n")
}
