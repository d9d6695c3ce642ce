//! Paths: branching off, and coming back.

use std::time::Instant;

use tress::{Fork, Operation, Role, Run, Store};

use crate::fold;
use crate::{Failure, Ground};
use tress_bench::durable::RUN;
use tress_bench::figure::{Figure, Times};

/// How many events a path brings back.
const BACK: usize = 1_000;

/// What was measured of paths.
#[derive(Default)]
struct Measured {
    fork: Times,
    merge: Times,
    bytes: u64,
    files: usize,
}

pub(crate) fn measure_all(ground: &Ground) -> Result<Vec<Figure>, Failure> {
    let whole = fold::readmit(&ground.history.segments)?.median();
    let measured = ground.runtime.block_on(measure(ground))?;
    let (_, journals) =
        tress_bench::size(&ground.disk.run_dir(RUN).join("journals")).map_err(Failure::other)?;
    let rival = "admitting everything in memory";
    let fork = Figure::median("paths/fork", &measured.fork).against(rival, whole);
    let bytes = Figure::new("paths/fork/bytes", measured.bytes as f64, "B");
    let merge = Figure::median("paths/merge/1000_events", &measured.merge).against(rival, whole);
    Ok(vec![
        fork.below(1_000.0),
        bytes.against("the journals", journals as f64).below(16_384.0),
        Figure::new("paths/fork/files", measured.files as f64, "files"),
        merge.below(500.0),
    ])
}

async fn measure(ground: &Ground) -> Result<Measured, Failure> {
    let mut measured = Measured::default();
    for number in 0..3 {
        let disk = ground.disk.copy()?;
        let store: Store = disk.open()?;
        let run = store.run(RUN).await.map_err(Failure::other)?;
        // Warm: the whole history was read.
        run.events_since(tress::VersionVector::new()).await.map_err(Failure::other)?;
        let ada = run.agent("ada", Role::Human);
        let name = format!("path-{number}");
        let started = Instant::now();
        let path = ada.fork(&store, &name, Fork::default()).await.map_err(Failure::other)?;
        measured.fork.push(started.elapsed());
        // The snapshot that a process makes of the path, sooner or later, is not part of the fork.
        let journals = tress_bench::size(&disk.run_dir(&name).join("journals"));
        let origin = std::fs::metadata(disk.run_dir(&name).join("origin"));
        let (files, bytes) = journals.map_err(Failure::other)?;
        (measured.files, measured.bytes) =
            (files + 1, bytes + origin.map_err(Failure::other)?.len());
        work(&path).await?;
        let started = Instant::now();
        let merge = ada.merge(&path).await.map_err(Failure::other)?;
        measured.merge.push(started.elapsed());
        if merge.events.len() <= BACK {
            return Err(Failure::History("the path lost events"));
        }
    }
    Ok(measured)
}

/// What is done on a path: todos of its own.
async fn work(path: &Run) -> Result<(), Failure> {
    let agent = path.agent("explorer", Role::Implementer);
    let operations = (0..BACK).map(|number| {
        let todo = tress::TodoId::from_external(&format!("path-{number}"));
        if number % 4 == 0 {
            return tress::todo(todo, "another way");
        }
        let todo = tress::TodoId::from_external(&format!("path-{}", number / 4 * 4));
        Operation::NoteAdded { todo, text: "tried it".to_owned(), layout: None }
    });
    agent.append(operations.collect::<Vec<_>>()).await.map_err(Failure::other)?;
    Ok(())
}
