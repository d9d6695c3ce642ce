//! Compacting: what of a run's journals is only read is packed, and of its snapshots the newest is left.
//!
//! A file is packed beside its old form, which is removed when the new one is durable and was read back. So at each
//! moment one of the two is there whole. Of both, readers take the longer one, and of two that are as long the old
//! one. Only what this place wrote is packed: to each journal that is carried from place to place there is one that decides on its form.

use std::collections::BTreeSet;
use std::io;
use std::path::Path;

use serde::Serialize;
use tress_model::codec::FORMAT;
use tress_model::ids::ReplicaId;

use crate::files::{Files, write_whole};
use crate::frame::{self, FrameKind};
use crate::journal::{
    HEADER_READ, JournalHeader, JournalPosition, file_name, file_number, read_settled,
};
use crate::packed::{PLAIN_BYTES_MAX, counting, pack, packed_file, packed_name, unpack};
use crate::place::Mark;
use crate::receive::copies;
use crate::run::RunStore;
use crate::snapshots;
use crate::store::{Store, StoreError, dirs_in, list_if_there};
use crate::writer::JournalWriter;

/// A file that is still written is closed, and so can be packed, when it has this many bytes: less is not worth
/// a file of its own.
const CLOSED_BYTES: u64 = 64 << 10;

/// What compacting a run did.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Compacted {
    /// How many files were packed.
    pub files: usize,
    /// How many bytes they had.
    pub before: u64,
    /// How many they have now.
    pub after: u64,
    /// How many are long enough, but written by processes that run, and stay as they are for now.
    pub held: usize,
    /// How many are damaged, and stay as they are.
    pub damaged: usize,
    /// How many bytes the snapshots had, of which the newest is left.
    pub snapshots_before: u64,
    /// How many they have now.
    pub snapshots_after: u64,
}

impl Store {
    /// Packs the files of a run's journals that are not written any more, of what this place wrote. Files that no
    /// process writes just now are closed for it. Of its snapshots the newest is left, in fewer bytes. Others may read
    /// and write the run meanwhile. Linear in the bytes that were not packed before, and in those of the snapshots.
    ///
    /// From then on the store has format [`tress_model::codec::FORMAT_PACKED`], which versions of Tress that
    /// cannot read packed files refuse.
    ///
    /// # Errors
    /// When there is no such run, or its files cannot be read or written. What was packed before stays so, and
    /// nothing is lost.
    pub fn compact(&self, run: &str) -> Result<Compacted, StoreError> {
        let place = self.place()?;
        let lock = self.dir().join("local").join(format!("{run}.compact"));
        let run = self.run(run, false)?;
        let held =
            self.files().lock(&lock, true).map_err(|error| StoreError::lock(&lock, error))?;
        let mut compacted = Compacted::default();
        for &replica in &run.known.native {
            let dir = run.dir.join("journals").join(replica.to_string());
            run.close_own(&dir, replica, &mut compacted)?;
            run.pack_in(&dir, &mut compacted)?;
        }
        for place in copies(place).map(|place| run.dir.join("received").join(place.to_string())) {
            for dir in dirs_in(&**self.files(), &place)? {
                run.close_copy(&dir)?;
                run.pack_in(&dir, &mut compacted)?;
            }
        }
        let (snapshots, holes) = (run.dir.join("snapshots"), run.known.repairs.holes());
        // Where a journal is damaged, what is behind an older snapshot may be all that can be read again.
        if compacted.damaged == 0 {
            let (before, after) =
                snapshots::compact(&**self.files(), self.host(), &snapshots, &holes)?;
            (compacted.snapshots_before, compacted.snapshots_after) = (before, after);
        }
        drop(held);
        Ok(compacted)
    }
}

impl RunStore {
    /// Closes the last file of a journal that this place writes, unless another process is at it.
    fn close_own(
        &self,
        dir: &Path,
        replica: ReplicaId,
        compacted: &mut Compacted,
    ) -> Result<(), StoreError> {
        let files = self.files();
        let Some(header) = last_header(&*files, dir)? else { return Ok(()) };
        let hold = self.store.with_place(|place| place.hold_made(&*files, &self.name, replica))?;
        let Some(hold) = hold else { return Ok(()) };
        let Some(mut hold) = hold else {
            compacted.held += 1;
            return Ok(());
        };
        if !self.is_ours(dir, replica)? {
            return Ok(());
        }
        let mark = hold.mark(&*files);
        let Some(position) = close(&*files, dir, header, mark)? else { return Ok(()) };
        if let Some(mark) = mark {
            hold.leave(&*files, Mark { position, ..mark });
        }
        self.keep_origin(dir, replica)
    }

    /// Closes the last file of a copy.
    fn close_copy(&self, dir: &Path) -> Result<(), StoreError> {
        // Copies are written under the run's lock.
        let held = self.lock()?;
        let files = self.files();
        if let Some(header) = last_header(&*files, dir)? {
            close(&*files, dir, header, None)?;
        }
        drop(held);
        Ok(())
    }

    /// Packs the files of a journal that another follows.
    fn pack_in(&self, dir: &Path, compacted: &mut Compacted) -> Result<(), StoreError> {
        let files = &**self.store.beneath();
        let listed = list_if_there(files, dir)?;
        if listed.iter().any(|entry| packed_file(&entry.name).is_some()) {
            // An older form of the store's file may have been put in its place.
            self.store.will_be_packed()?;
        }
        let numbers: BTreeSet<u32> = listed.iter().filter_map(|e| file_number(&e.name)).collect();
        // A file that is only half begun is removed by the next writer, which goes on in the one before.
        let begun = |number: &&u32| {
            let read = files.read_part(&dir.join(file_name(**number)), 0, HEADER_READ);
            read.is_ok_and(|bytes| begins_with_header(&bytes))
        };
        let Some(&last) = numbers.iter().rev().find(begun) else { return Ok(()) };
        let skips = self.known.repairs.skips(&self.dir, dir);
        let counting = counting(&listed);
        for &number in numbers.range(..last) {
            let path = dir.join(file_name(number));
            let failed = |error| StoreError::io("pack", &path, error);
            let bytes = read_settled(files, &path)?;
            if bytes.len() as u64 > PLAIN_BYTES_MAX {
                continue;
            }
            if let Some((name, len)) = counting.get(&number) {
                // An old state of it was put beside its packed form.
                let packed = files.read(&dir.join(name), 0).map_err(failed)?;
                if unpack(&packed, *len, 0, u64::MAX).starts_with(&bytes) {
                    files.remove(&path).and_then(|()| files.sync_dir(dir)).map_err(failed)?;
                } else {
                    compacted.damaged += 1;
                }
                continue;
            }
            let whole = begins_with_header(&bytes) && frame::end(&bytes) == bytes.len();
            if !whole || skips.iter().any(|skip| skip.file == number) {
                compacted.damaged += 1;
                continue;
            }
            self.store.will_be_packed()?;
            let Some(after) = pack_file(files, dir, number, &bytes).map_err(failed)? else {
                compacted.held += 1;
                continue;
            };
            compacted.files += 1;
            compacted.before += bytes.len() as u64;
            compacted.after += after;
            let others = listed.iter().filter(|entry| {
                packed_file(&entry.name)
                    .is_some_and(|(of, len)| of == number && len != bytes.len() as u64)
            });
            for other in others {
                files.remove(&dir.join(&other.name)).map_err(failed)?;
            }
        }
        Ok(())
    }
}

fn begins_with_header(bytes: &[u8]) -> bool {
    frame::decode(bytes).is_some_and(|frame| frame.kind == FrameKind::Header)
}

/// Packs a file that has these bytes, and removes it; how many bytes it has now. None where it has others by now.
fn pack_file(files: &dyn Files, dir: &Path, number: u32, bytes: &[u8]) -> io::Result<Option<u64>> {
    let packed = pack(bytes)?;
    let len = bytes.len() as u64;
    let (path, to) = (dir.join(file_name(number)), dir.join(packed_name(number, len)));
    write_whole(files, &to, &packed)?;
    let read = files.read(&to, 0).map(|read| unpack(&read, len, 0, u64::MAX));
    if !read.is_ok_and(|read| read == bytes) {
        files.remove(&to)?;
        return Err(io::Error::other("what was packed is not read back"));
    }
    if files.read(&path, 0)? != bytes {
        return Ok(None);
    }
    files.remove(&path)?;
    files.sync_dir(dir)?;
    Ok(Some(packed.len() as u64))
}

/// The header of a journal's last file, where that is long enough to be closed.
fn last_header(files: &dyn Files, dir: &Path) -> Result<Option<JournalHeader>, StoreError> {
    let listed = list_if_there(files, dir)?;
    let numbered = listed.iter().filter_map(|entry| Some((file_number(&entry.name)?, entry)));
    let Some((_, last)) = numbered.max_by_key(|(number, _)| *number) else { return Ok(None) };
    if last.len < CLOSED_BYTES {
        return Ok(None);
    }
    let path = dir.join(&last.name);
    let read = files.read_part(&path, 0, HEADER_READ);
    let bytes = read.map_err(|error| StoreError::io("read", &path, error))?;
    let header = frame::decode(&bytes).filter(|frame| frame.kind == FrameKind::Header);
    let header = header.and_then(|frame| serde_json::from_slice::<JournalHeader>(frame.body).ok());
    Ok(header.filter(|header| header.format.readable()))
}

/// Begins the next file of a journal; how far it goes then. One that is damaged, or short, stays as it is.
fn close(
    files: &dyn Files,
    dir: &Path,
    header: JournalHeader,
    mark: Option<Mark>,
) -> Result<Option<JournalPosition>, StoreError> {
    let header = JournalHeader { format: FORMAT, ..header };
    let mut writer = match JournalWriter::open_marked(files, dir, header, mark) {
        Err(StoreError::Damaged(_)) => return Ok(None),
        opened => opened?,
    };
    if writer.position().offset < CLOSED_BYTES {
        return Ok(None);
    }
    writer.begin_next(files)?;
    Ok(Some(writer.position()))
}
