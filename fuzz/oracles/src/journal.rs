//! Oracle of journals: whatever a file of one holds, the run can be gone on with, nothing that was
//! known is lost, and what was acknowledged is there after a power cut.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use tress::{Error, PrepareError, Role, Run, StoreError, VersionVector};
use tress_model::{ReplicaId, StoreId};
use tress_store::{Files, MemoryFiles};

use crate::bytes::Bytes;
use crate::files::framed;

/// The replica whose journal the bytes are.
pub const REPLICA: ReplicaId = ReplicaId([1; 16]);
/// The place that it belongs to.
pub const PLACE: StoreId = StoreId([2; 16]);
/// The run.
pub const RUN: &str = "main";

const DIR: &str = "/project/.tress";
const IDENTITY: &str = "here";

/// The file of a journal. Bits of the first byte say whether it is as it is or made of frames whose
/// checksums are right, whether the replica is one of this place, which files there are, whether the first
/// of them is packed (and what it says of its length), and whether the run is compacted meanwhile.
pub fn journal(data: &[u8]) {
    let mut bytes = Bytes::new(data);
    let how = bytes.byte();
    let file = if how & 1 == 0 { bytes.rest().to_vec() } else { framed(&mut bytes) };
    let files = MemoryFiles::new();
    lay_out(&files, &file, how).expect("memory takes everything");
    let runtime = tokio::runtime::Builder::new_current_thread().build();
    runtime.expect("a runtime on this thread").block_on(go_on(&files, how & COMPACTED != 0));
}

/// The bits that say that the first file is packed, that it says to have had more than it has, and that the run is
/// compacted.
pub(crate) const PACKED: u8 = 0x10;
const LONGER: u8 = 0x20;
const COMPACTED: u8 = 0x40;

fn write(files: &MemoryFiles, path: &Path, bytes: &[u8]) -> std::io::Result<()> {
    files.create_dir(path.parent().unwrap_or(path))?;
    tress_store::files::write_whole(files, path, bytes)
}

/// A store with one journal, as docs/FORMAT.md has it.
fn lay_out(files: &MemoryFiles, file: &[u8], how: u8) -> std::io::Result<()> {
    let dir = Path::new(DIR);
    write(
        files,
        &dir.join("store"),
        br#"{"format":{"major":1,"minor":1},"id":"03030303030303030303030303030303"}"#,
    )?;
    let here = format!(r#"{{"place":"{PLACE}","identity":"{IDENTITY}"}}"#);
    write(files, &dir.join("local/here"), here.as_bytes())?;
    let journal: PathBuf = dir.join(format!("runs/{RUN}/journals/{REPLICA}"));
    let names: &[&str] = match how >> 2 & 3 {
        0 => &["000001.log"],
        1 => &["000001.log", "000002.log"],
        2 => &["000001.log", "000003.log"],
        _ => &["000002.log"],
    };
    for (at, name) in names.iter().enumerate() {
        let packed = how & PACKED != 0 && at == 0;
        let len = file.len() * if how & LONGER != 0 { 1_000_000 } else { 1 };
        let name =
            if packed { name.replace("log", &format!("{len}.pack")) } else { (*name).to_owned() };
        write(files, &journal.join(name), file)?;
    }
    if how & 2 != 0 {
        let place = dir.join(format!("local/{PLACE}"));
        write(files, &place.join(format!("replicas/{RUN}/{REPLICA}")), b"")?;
        for entry in files.list(&journal)? {
            let origin = place.join(format!("origins/{RUN}.{REPLICA}.{}", entry.name));
            write(files, &origin, &entry.id.to_le_bytes())?;
        }
    }
    Ok(())
}

async fn open(files: &MemoryFiles) -> Result<Run, Error> {
    let files = Arc::new(files.clone());
    let store = tress_store::Store::open_on(files, Path::new(DIR), IDENTITY.to_owned())?;
    tress::Store::on(store).run(RUN).await
}

/// Whether a run may be left as it is for this reason.
fn excused(error: &Error) -> bool {
    match error {
        Error::Store(StoreError::NewerFormat { .. }) => true,
        // The numbers of a replica, and time itself, end somewhere.
        Error::Prepare(PrepareError::Invalid { operation, .. }) => *operation == "segment",
        _ => false,
    }
}

async fn go_on(files: &MemoryFiles, compacted: bool) {
    let mut known = VersionVector::new();
    let mut todos = Vec::new();
    for round in 0..3 {
        let run = match open(files).await {
            Ok(run) => run,
            Err(error) => return assert!(excused(&error), "it cannot be opened: {error}"),
        };
        let state = run.state();
        assert!(known <= state.version, "events are gone: {known:?}, {:?}", state.version);
        for todo in &todos {
            assert!(state.todo(*todo).is_some(), "what was acknowledged is gone");
        }
        let added = run.agent("ada", Role::Human).add(&format!("round {round}")).await;
        match added {
            Ok(todo) => todos.push(todo),
            Err(error) => return assert!(excused(&error), "it cannot be gone on with: {error}"),
        }
        known = run.state().version.clone();
        drop(run);
        if compacted {
            let store = tress_store::Store::open_on(
                Arc::new(files.clone()),
                Path::new(DIR),
                IDENTITY.to_owned(),
            );
            let packed = store.and_then(|store| store.compact(RUN)).map_err(Error::from);
            assert!(packed.as_ref().is_ok() || packed.as_ref().is_err_and(excused), "{packed:?}");
        }
        files.crash();
    }
}
