//! Packed files: what of a journal is only read, deflated.
//!
//! A journal's file that another follows is never written again. Packed, it lies under another name, in pieces
//! that are deflated one by one; [`Unpacking`] shows it to whoever lists and reads under the name, with the
//! length and with the bytes that it had. So whoever reads journals need not know, and what was noted of a place
//! in a file holds before and after.

use std::collections::BTreeMap;
use std::io::{self, Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use flate2::Compression;
use flate2::read::DeflateDecoder;
use flate2::write::DeflateEncoder;
use tress_model::ids::EventId;

use crate::files::{AppendFile, DirEntry, Files, Lock};
use crate::frame::{self, FrameKind};
use crate::journal::{file_name, file_number};

/// How much of a file is one piece. Deflate looks back 32 KiB.
const PIECE_BYTES: usize = 128 << 10;
/// What deflate makes of a byte at the most.
const GROWTH_MAX: u64 = 1032;
/// Longer files are not packed. Journals go on in a new file long before.
pub(crate) const PLAIN_BYTES_MAX: u64 = 128 << 20;

/// The name of the packed form of a journal's `number`th file, which had `len` bytes.
pub(crate) fn packed_name(number: u32, len: u64) -> String {
    format!("{number:06}.{len}.pack")
}

/// The number of the journal's file of which `name` is the packed form, and how many bytes it had.
pub(crate) fn packed_file(name: &str) -> Option<(u32, u64)> {
    let (number, len) = name.strip_suffix(".pack")?.split_once('.')?;
    let (number, len) = (number.parse().ok()?, len.parse().ok()?);
    (packed_name(number, len) == name).then_some((number, len))
}

/// A file's bytes, packed.
pub(crate) fn pack(plain: &[u8]) -> io::Result<Vec<u8>> {
    let mut packed = Vec::new();
    for (number, piece) in (0_u64..).zip(plain.chunks(PIECE_BYTES)) {
        let mut body = u32::try_from(piece.len()).unwrap_or(u32::MAX).to_le_bytes().to_vec();
        let mut deflated = DeflateEncoder::new(&mut body, Compression::new(6));
        deflated.write_all(piece)?;
        deflated.finish()?;
        let at = number * PIECE_BYTES as u64;
        packed.extend(frame::encode(FrameKind::Packed, at, EventId::GENESIS, &body));
    }
    Ok(packed)
}

/// The length of a file of which it is said that it had `len` bytes, and was packed to `packed`: less, where that
/// cannot be.
fn plain_len(len: u64, packed: u64) -> u64 {
    // What is shorter than it was is damaged, and so is a file of one zero.
    len.min(GROWTH_MAX.saturating_mul(packed).saturating_add(1)).min(PLAIN_BYTES_MAX)
}

/// What a file of `len` bytes had from `offset` on, `most` bytes at the most. Where a piece is damaged, there are
/// zeros: they are no valid frame, as what was there would be none.
pub(crate) fn unpack(packed: &[u8], len: u64, offset: u64, most: u64) -> Vec<u8> {
    let len = plain_len(len, packed.len() as u64);
    let wanted = offset.min(len)..offset.saturating_add(most).min(len);
    let mut plain = vec![0; usize::try_from(wanted.end - wanted.start).unwrap_or(0)];
    let (mut frames, mut at) = (frame::Finder::new(packed), 0);
    while let Some(found) = frames.next(at) {
        let Some(piece) = packed.get(found..).and_then(frame::decode) else { break };
        at = found + piece.len();
        let Some((size, deflated)) = piece.body.split_first_chunk() else { continue };
        let from = piece.first;
        let to = from.saturating_add(u32::from_le_bytes(*size).into());
        let (first, last) = (from.max(wanted.start), to.min(wanted.end));
        if piece.kind != FrameKind::Packed || first >= last || to > len {
            continue;
        }
        let mut bytes = Vec::new();
        let read = DeflateDecoder::new(deflated).take(last - from).read_to_end(&mut bytes);
        let place = |at: u64, base: u64| usize::try_from(at - base).unwrap_or(usize::MAX);
        let source = bytes.get(place(first, from)..place(last, from));
        let target = plain.get_mut(place(first, wanted.start)..place(last, wanted.start));
        if let (Ok(_), Some(source), Some(target)) = (read, source, target) {
            target.copy_from_slice(source);
        }
    }
    plain
}

/// A packed file, and how long it was.
type Packed = (PathBuf, u64);
/// Packed files by the files that they stand for.
type PackedFiles = BTreeMap<PathBuf, Packed>;

/// How often a directory is listed in which a file seems to be missing.
const LISTS_MAX: usize = 8;

/// A file system on which packed files look as they were before.
#[derive(Debug)]
pub(crate) struct Unpacking {
    files: Arc<dyn Files>,
    /// Files of which the packed form is longer, and so counts, as the last listing of their directories had it.
    shadowed: Mutex<PackedFiles>,
}

/// The packed files in a directory that count, by number: the longest of each, where the file itself is not there, or is
/// shorter. It is there once more where an old state of the directory was put over a newer one.
pub(crate) fn counting(entries: &[DirEntry]) -> BTreeMap<u32, (&str, u64)> {
    let mut packed: BTreeMap<u32, (&str, u64)> = BTreeMap::new();
    for entry in entries {
        let Some((number, len)) = packed_file(&entry.name) else { continue };
        let len = plain_len(len, entry.len);
        if packed.get(&number).is_none_or(|(_, known)| *known < len) {
            packed.insert(number, (&entry.name, len));
        }
    }
    for (number, entry) in entries.iter().filter_map(|e| Some((file_number(&e.name)?, e))) {
        if packed.get(&number).is_some_and(|(_, len)| *len <= entry.len) {
            packed.remove(&number);
        }
    }
    packed
}

impl Unpacking {
    pub(crate) fn new(files: Arc<dyn Files>) -> Self {
        Self { files, shadowed: Mutex::default() }
    }

    /// The packed form of the file at `path`, where that is what counts.
    fn packed(&self, path: &Path) -> io::Result<Option<Packed>> {
        let name = path.file_name().and_then(|name| name.to_str());
        let Some(number) = name.and_then(file_number) else { return Ok(None) };
        let Some(dir) = path.parent() else { return Ok(None) };
        let listed = match self.files.list(dir) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            listed => listed?,
        };
        let packed = counting(&listed).get(&number).map(|(name, len)| (dir.join(name), *len));
        Ok(packed)
    }

    /// The same, of a file that is there itself, too.
    fn shadowed(&self, path: &Path) -> Option<Packed> {
        let shadowed = self.shadowed.lock().unwrap_or_else(PoisonError::into_inner);
        shadowed.get(path).cloned()
    }

    /// What is listed, as it was before anything was packed; and the files that are there in two forms.
    fn unpacked(&self, dir: &Path) -> io::Result<(Vec<DirEntry>, PackedFiles)> {
        let listed = self.files.list(dir)?;
        let counting = counting(&listed);
        let (mut entries, mut shadowed) = (Vec::with_capacity(listed.len()), PackedFiles::new());
        for entry in &listed {
            if let Some((number, _)) = packed_file(&entry.name) {
                if let Some((name, len)) =
                    counting.get(&number).filter(|(name, _)| *name == entry.name)
                {
                    let plain = DirEntry { name: file_name(number), len: *len, ..entry.clone() };
                    if listed.iter().any(|entry| entry.name == plain.name) {
                        shadowed.insert(dir.join(&plain.name), (dir.join(name), *len));
                    }
                    entries.push(plain);
                }
            } else if file_number(&entry.name).is_none_or(|number| !counting.contains_key(&number))
            {
                entries.push(entry.clone());
            }
        }
        entries.sort_by(|a, b| a.name.cmp(&b.name));
        Ok((entries, shadowed))
    }

    /// What `done` with the file at `path` gave, or, where it is packed, what `packed` gives of that.
    fn or_packed<T>(
        &self,
        path: &Path,
        done: io::Result<T>,
        packed: impl FnOnce(&Path, u64) -> io::Result<T>,
    ) -> io::Result<T> {
        match done {
            Err(error) if error.kind() == io::ErrorKind::NotFound => match self.packed(path)? {
                Some((at, len)) => packed(&at, len),
                None => Err(error),
            },
            done => done,
        }
    }
}

impl Files for Unpacking {
    fn read_part(&self, path: &Path, offset: u64, most: u64) -> io::Result<Vec<u8>> {
        let read = |packed: &Path, len| Ok(unpack(&self.files.read(packed, 0)?, len, offset, most));
        if let Some((packed, len)) = self.shadowed(path) {
            return read(&packed, len);
        }
        self.or_packed(path, self.files.read_part(path, offset, most), read)
    }

    fn rewrite(&self, path: &Path, offset: u64, bytes: &[u8]) -> io::Result<()> {
        // What is packed was durable before its old form was removed.
        if self.shadowed(path).is_some() {
            return Ok(());
        }
        self.or_packed(path, self.files.rewrite(path, offset, bytes), |_, _| Ok(()))
    }

    fn sync(&self, path: &Path) -> io::Result<()> {
        self.or_packed(path, self.files.sync(path), |_, _| Ok(()))
    }

    fn open(&self, path: &Path) -> io::Result<Box<dyn AppendFile>> {
        match self.packed(path)? {
            Some(_) => Err(io::Error::new(
                io::ErrorKind::ReadOnlyFilesystem,
                "it is packed, and not written any more",
            )),
            None => self.files.open(path),
        }
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<DirEntry>> {
        let (mut entries, mut shadowed) = self.unpacked(dir)?;
        // A listing may miss both forms of a file that is being packed.
        for _ in 0..LISTS_MAX {
            let numbers: Vec<_> = entries.iter().filter_map(|e| file_number(&e.name)).collect();
            if numbers
                .windows(2)
                .all(|two| two.first().map(|first| first + 1) == two.last().copied())
            {
                break;
            }
            let again = self.unpacked(dir)?;
            let same = again.0 == entries;
            (entries, shadowed) = again;
            if same {
                break;
            }
        }
        let mut known = self.shadowed.lock().unwrap_or_else(PoisonError::into_inner);
        known.retain(|path, _| path.parent() != Some(dir));
        known.extend(shadowed);
        Ok(entries)
    }

    fn create_dir(&self, dir: &Path) -> io::Result<()> {
        self.files.create_dir(dir)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.files.rename(from, to)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        self.files.remove(path)
    }

    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        self.files.sync_dir(dir)
    }

    fn lock(&self, path: &Path, wait: bool) -> io::Result<Option<Box<dyn Lock>>> {
        self.files.lock(path, wait)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::memory::MemoryFiles;

    fn plain(len: usize) -> Vec<u8> {
        (0..len).map(|at| (at * at / 977 % 251 + 1) as u8).collect()
    }

    #[test]
    fn any_part_of_what_was_packed_is_there() {
        for len in [0, 1, 5000, PIECE_BYTES, PIECE_BYTES + 1, 3 * PIECE_BYTES - 7] {
            let plain = plain(len);
            let packed = pack(&plain).expect("it packs");
            let edge = PIECE_BYTES as u64;
            for (offset, most) in [
                (0, u64::MAX),
                (0, 100),
                (3, 0),
                (edge - 3, 6),
                (edge, 1),
                (edge + 5, 2 * edge),
                (u64::MAX, u64::MAX),
            ] {
                let read = unpack(&packed, len as u64, offset, most);
                let from = usize::try_from(offset).unwrap_or(len).min(len);
                let to = from.saturating_add(usize::try_from(most).unwrap_or(len)).min(len);
                assert!(read == plain[from..to], "{len} bytes, {offset} and {most}");
            }
        }
    }

    #[test]
    fn what_was_hit_is_zeros_and_the_rest_is_there() {
        let plain = plain(3 * PIECE_BYTES);
        let packed = pack(&plain).expect("it packs");
        let mut seen = 0;
        for at in (0..packed.len()).step_by(packed.len() / 97) {
            let mut hit = packed.clone();
            hit[at] ^= 0x20;
            let read = unpack(&hit, plain.len() as u64, 0, u64::MAX);
            let pieces = read.chunks(PIECE_BYTES).zip(plain.chunks(PIECE_BYTES));
            let wrong: Vec<_> = pieces.filter(|(read, plain)| read != plain).collect();
            assert_eq!(wrong.len(), 1, "byte {at}");
            assert!(wrong.iter().all(|(read, _)| read.iter().all(|byte| *byte == 0)));
            seen += 1;
            // A piece that is not whole is not there.
            let cut = unpack(&packed[..at], plain.len() as u64, 0, u64::MAX);
            let whole = cut.iter().zip(&plain).take_while(|(cut, plain)| cut == plain).count();
            assert!(cut.len() > whole && cut[whole..].iter().all(|byte| *byte == 0), "cut at {at}");
        }
        assert!(seen > 90);
    }

    #[test]
    fn what_says_to_hold_too_much_takes_no_room() {
        let packed = pack(&[0; 5 * PIECE_BYTES]).expect("it packs");
        let most = packed.len() * 1032 + 1;
        for len in [packed.len() as u64 * 1100, 1 << 40, u64::MAX] {
            assert_eq!(unpack(&packed, len, 0, u64::MAX).len(), most);
        }
        assert_eq!(unpack(&[], 1000, 0, u64::MAX), [0]);
        assert_eq!(plain_len(u64::MAX, u64::MAX), PLAIN_BYTES_MAX);
        // A piece that inflates to more than it says is cut there.
        let mut body = 10_u32.to_le_bytes().to_vec();
        let mut deflated = DeflateEncoder::new(&mut body, Compression::new(6));
        deflated.write_all(&[7; 1 << 20]).expect("it deflates");
        deflated.finish().expect("it deflates");
        let bomb = frame::encode(FrameKind::Packed, 0, EventId::GENESIS, &body);
        assert_eq!(unpack(&bomb, 12, 0, 99), [[7; 10].as_slice(), &[0; 2]].concat());
    }

    #[test]
    fn only_a_packed_file_has_such_a_name() {
        assert_eq!(packed_file(&packed_name(7, 8_388_700)), Some((7, 8_388_700)));
        for name in ["000007.log", "7.10.pack", "000007.010.pack", "000007.pack", "000007.1.new"] {
            assert_eq!(packed_file(name), None, "{name}");
        }
    }

    #[test]
    fn the_longest_form_counts() {
        let memory = MemoryFiles::new();
        let dir = Path::new("/journal");
        memory.create_dir(dir).expect("it is memory");
        let put = |name: &str, bytes: &[u8]| {
            memory.open(&dir.join(name)).and_then(|mut file| file.append(bytes)).expect("it fits");
        };
        let packed = pack(b"what was packed").expect("it packs");
        put("000001.15.pack", &packed);
        put("000002.log", b"the next");
        let files = Unpacking::new(Arc::new(memory.clone()));
        let log = dir.join("000001.log");
        let listed = |files: &dyn Files| -> Vec<(String, u64)> {
            let listed = files.list(dir).expect("it is there").into_iter();
            listed.map(|entry| (entry.name, entry.len)).collect()
        };
        let both = [("000001.log".to_owned(), 15), ("000002.log".to_owned(), 8)];
        assert_eq!(listed(&files), both);
        assert_eq!(files.read(&log, 5).ok().as_deref(), Some(&b"was packed"[..]));
        assert!(files.sync(&log).is_ok() && files.rewrite(&log, 0, b"x").is_ok());
        let refused = files.open(&log).expect_err("it is not written any more");
        assert_eq!(refused.kind(), io::ErrorKind::ReadOnlyFilesystem);
        // Of two that are as long, that which is not packed: packing was not finished.
        put("000001.log", b"before it ");
        put("000001.9.pack", b"of another time");
        assert_eq!(listed(&files), both);
        assert_eq!(files.read(&log, 0).ok().as_deref(), Some(&b"what was packed"[..]));
        assert!(files.open(&log).is_err());
        put("000001.log", b"was!!");
        assert_eq!(listed(&files), both);
        assert_eq!(files.read(&log, 0).ok().as_deref(), Some(&b"before it was!!"[..]));
        assert!(files.open(&log).is_ok());
        // A file that lacks another before it is listed twice, and stays missing.
        memory.remove(&log).expect("it is there");
        memory.remove(&dir.join("000001.15.pack")).expect("it is there");
        memory.remove(&dir.join("000001.9.pack")).expect("it is there");
        put("000004.log", b"x");
        let numbers: Vec<_> = listed(&files).into_iter().map(|(name, _)| name).collect();
        assert_eq!(numbers, ["000002.log", "000004.log"]);
    }
}
