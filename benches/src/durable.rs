//! Appending a workload so that it is on the disk: a run, and the least that this can cost.

use std::fs::{File, OpenOptions};
use std::io::Write;
use std::os::unix::fs::FileExt;
use std::time::{Duration, Instant};

use tempfile::TempDir;
use tress::{Run, Store};

use crate::Failure;
use crate::workload::{self, Step};

/// The name of the run.
pub const RUN: &str = "main";

/// A file with room for what is written, which is there already: the least that durability costs.
#[derive(Debug)]
pub struct Bare {
    file: File,
    at: u64,
    _dir: TempDir,
}

impl Bare {
    /// One with room for `bytes`.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn new(bytes: usize) -> std::io::Result<Self> {
        let dir = TempDir::new()?;
        let mut file =
            OpenOptions::new().create_new(true).write(true).open(dir.path().join("bare"))?;
        for _ in 0..=bytes >> 20 {
            file.write_all(&[0; 1 << 20])?;
        }
        file.sync_all()?;
        Ok(Self { file, at: 0, _dir: dir })
    }

    /// Writes bytes, and syncs.
    ///
    /// # Errors
    /// When they cannot be written.
    pub fn append(&mut self, bytes: &[u8]) -> std::io::Result<()> {
        self.file.write_all_at(bytes, self.at)?;
        self.at += bytes.len() as u64;
        self.file.sync_data()
    }
}

/// How long each of the appends took in which W(`events`, `agents`) comes in groups, to a run of its own that is used
/// in place or not; and how many bytes they have in its journals.
///
/// # Errors
/// When they cannot be written.
pub async fn appended(
    in_place: bool,
    (events, agents): (usize, usize),
    group: usize,
) -> Result<(Vec<Duration>, u64), Failure> {
    let disk = if in_place { OnDisk::in_place().await? } else { OnDisk::new().await? };
    let steps = workload::make(events, agents, &[disk.replica]);
    let before = disk.journals()?;
    let took = disk.append(&steps, group).await?;
    Ok((took, disk.journals()? - before))
}

/// A run on disk to which a workload is appended.
#[derive(Debug)]
pub struct OnDisk {
    /// The run.
    pub run: Run,
    /// Where its store is, as `store`.
    pub dir: TempDir,
    /// The last event of the replica that is written.
    pub replica: tress::Dot,
}

impl OnDisk {
    /// One with a first event, and a thread that does its work.
    ///
    /// # Errors
    /// When it cannot be written.
    pub async fn new() -> Result<Self, Failure> {
        Self::on(|store| store).await
    }

    /// The same, whose work is done where it is asked for.
    ///
    /// # Errors
    /// When it cannot be written.
    pub async fn in_place() -> Result<Self, Failure> {
        Self::on(Store::in_place).await
    }

    async fn on(used: fn(Store) -> Store) -> Result<Self, Failure> {
        let dir = TempDir::new().map_err(Failure::other)?;
        let store = used(Store::create(dir.path().join("store")).map_err(Failure::other)?);
        let run = store.create_run(RUN).await.map_err(Failure::other)?;
        let agent = run.agent("first", tress::Role::Human);
        let first = agent.append([tress::Operation::RunResumed]).await.map_err(Failure::other)?;
        let replica = first.first().ok_or(Failure::History("nothing was appended"))?.dot;
        Ok(Self { run, dir, replica })
    }

    /// Appends steps in groups; how long each took.
    ///
    /// # Errors
    /// When they cannot be written.
    pub async fn append(&self, steps: &[Step], group: usize) -> Result<Vec<Duration>, Failure> {
        let mut took = Vec::with_capacity(steps.len() / group + 1);
        for steps in steps.chunks(group) {
            let drafts = steps.iter().map(Step::draft).collect();
            let began = Instant::now();
            self.run.append(drafts).await.map_err(Failure::other)?;
            took.push(began.elapsed());
        }
        Ok(took)
    }

    /// How many bytes the journals of the run have, without the room that is kept behind them.
    ///
    /// # Errors
    /// When they cannot be read.
    pub fn journals(&self) -> Result<u64, Failure> {
        let journals = self.dir.path().join("store").join("runs").join(RUN).join("journals");
        let mut bytes = 0;
        for journal in std::fs::read_dir(journals).map_err(Failure::other)? {
            let files = std::fs::read_dir(journal.map_err(Failure::other)?.path());
            for file in files.map_err(Failure::other)? {
                let file = file.and_then(|file| std::fs::read(file.path()));
                let file = file.map_err(Failure::other)?;
                bytes += file.iter().rposition(|byte| *byte != 0).map_or(0, |last| last as u64 + 1);
            }
        }
        Ok(bytes)
    }
}
