//! Frames: how every file of a store is cut into checked pieces.
//!
//! ```text
//! offset  size  field
//!      0     4  magic "TRF1"
//!      4     1  kind: 0 header, 1 segment, 2 seal, 3 snapshot, 4 origin, 5 end, 6 repair,
//!                  7 packed; others are passed over
//!      5     3  reserved, zero
//!      8     4  length of the body, little-endian
//!     12     4  CRC-32C of everything but this field
//!     16     8  number of the first event (segments), little-endian
//!     24    32  id of the event before it (segments)
//!     56     n  body
//! ```
//!
//! A frame is valid as a whole or not at all. Bytes in which no valid frame begins are either a
//! *torn tail* (nothing valid follows: a write that did not complete) or *damage* (something valid
//! follows).

use tress_model::ids::EventId;
use tress_model::limits;

/// What a frame begins with.
pub const MAGIC: [u8; 4] = *b"TRF1";
/// The length of a frame without its body.
pub const HEADER_BYTES: usize = 56;
/// Where its checksum is.
pub(crate) const SUM: std::ops::Range<usize> = 12..16;

/// What a frame holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FrameKind {
    /// The first frame of a file: whose it is, and in which format.
    Header,
    /// Events.
    Segment,
    /// An Automerge change.
    Seal,
    /// A folded state.
    Snapshot,
    /// Where the run of a run file branched off.
    Origin,
    /// The end of a run file; its number is that of the frames before it.
    End,
    /// What is passed over in damaged journals.
    Repair,
    /// A piece of a packed file; its number is where the piece was in the file.
    Packed,
    /// Something that a newer minor version writes, to be passed over.
    Unknown(u8),
}

impl FrameKind {
    const fn code(self) -> u8 {
        match self {
            Self::Header => 0,
            Self::Segment => 1,
            Self::Seal => 2,
            Self::Snapshot => 3,
            Self::Origin => 4,
            Self::End => 5,
            Self::Repair => 6,
            Self::Packed => 7,
            Self::Unknown(code) => code,
        }
    }

    const fn from_code(code: u8) -> Self {
        match code {
            0 => Self::Header,
            1 => Self::Segment,
            2 => Self::Seal,
            3 => Self::Snapshot,
            4 => Self::Origin,
            5 => Self::End,
            6 => Self::Repair,
            7 => Self::Packed,
            code => Self::Unknown(code),
        }
    }

    const fn bytes_max(self) -> usize {
        match self {
            Self::Snapshot => limits::SNAPSHOT_BYTES_MAX,
            Self::Seal => limits::SEAL_BYTES_MAX,
            _ => limits::SEGMENT_BYTES_MAX,
        }
    }
}

/// A frame that was read and found valid.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Frame<'a> {
    /// What it holds.
    pub kind: FrameKind,
    /// The number of its first event.
    pub first: u64,
    /// The id of the event before that.
    pub previous: EventId,
    /// What it holds.
    pub body: &'a [u8],
}

impl Frame<'_> {
    /// Its length in the file.
    pub fn len(&self) -> usize {
        HEADER_BYTES + self.body.len()
    }

    /// A frame is never empty.
    pub fn is_empty(&self) -> bool {
        false
    }
}

/// The bytes of a frame.
pub fn encode(kind: FrameKind, first: u64, previous: EventId, body: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(HEADER_BYTES + body.len());
    bytes.extend_from_slice(&MAGIC);
    bytes.extend_from_slice(&[kind.code(), 0, 0, 0]);
    bytes.extend_from_slice(&u32::try_from(body.len()).unwrap_or(u32::MAX).to_le_bytes());
    let head = crc32c::crc32c(&bytes);
    let mut rest = Vec::with_capacity(40);
    rest.extend_from_slice(&first.to_le_bytes());
    rest.extend_from_slice(previous.as_bytes());
    let crc = crc32c::crc32c_append(crc32c::crc32c_append(head, &rest), body);
    bytes.extend_from_slice(&crc.to_le_bytes());
    bytes.extend_from_slice(&rest);
    bytes.extend_from_slice(body);
    bytes
}

/// What a frame says of itself before its body.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Head {
    pub(crate) kind: FrameKind,
    /// The length of its body.
    pub(crate) len: usize,
    pub(crate) first: u64,
    previous: EventId,
    /// The checksum of all of it, and of what is before the body.
    sums: [u32; 2],
}

impl Head {
    /// The head that `bytes` begin with; none where no frame begins so.
    pub(crate) fn of(bytes: &[u8]) -> Option<Self> {
        let word = |at: usize| {
            let bytes: [u8; 4] = bytes.get(at..at + 4)?.try_into().ok()?;
            Some(u32::from_le_bytes(bytes))
        };
        if bytes.get(..4)? != MAGIC || bytes.get(5..8)? != [0; 3] {
            return None;
        }
        let kind = FrameKind::from_code(*bytes.get(4)?);
        let len = usize::try_from(word(8)?).ok().filter(|&len| len <= kind.bytes_max())?;
        let head = crc32c::crc32c(bytes.get(..12)?);
        let head = crc32c::crc32c_append(head, bytes.get(16..HEADER_BYTES)?);
        let first = u64::from_le_bytes(bytes.get(16..24)?.try_into().ok()?);
        let previous = EventId(bytes.get(24..56)?.try_into().ok()?);
        Some(Self { kind, len, first, previous, sums: [word(12)?, head] })
    }

    /// How long the frame is.
    pub(crate) fn frame_len(&self) -> usize {
        HEADER_BYTES + self.len
    }

    /// Whether its body is that of which these are the pieces.
    pub(crate) fn fits(&self, body: &[&[u8]]) -> bool {
        let [all, head] = self.sums;
        let len: usize = body.iter().map(|piece| piece.len()).sum();
        len == self.len
            && body.iter().fold(head, |sum, piece| crc32c::crc32c_append(sum, piece)) == all
    }
}

/// The valid frame that begins at the start of `bytes`; `None` where none does.
pub fn decode(bytes: &[u8]) -> Option<Frame<'_>> {
    let head = Head::of(bytes)?;
    let body = bytes.get(HEADER_BYTES..HEADER_BYTES.checked_add(head.len)?)?;
    let Head { kind, first, previous, .. } = head;
    head.fits(&[body]).then_some(Frame { kind, first, previous, body })
}

/// Where the frames at the start of `bytes` end.
pub fn end(bytes: &[u8]) -> usize {
    let mut end = 0;
    while let Some(frame) = bytes.get(end..).and_then(decode) {
        end += frame.len();
    }
    end
}

/// Where the next valid frame begins in `bytes`, from `from` on. Linear in the bytes, also where a
/// hostile file is full of headers that announce large bodies.
pub fn find(bytes: &[u8], from: usize) -> Option<usize> {
    Finder::new(bytes).next(from)
}

/// Finds frames in the same bytes again and again. All looks together are linear in the bytes, as
/// long as each begins where the one before ended.
#[derive(Debug)]
pub struct Finder<'a> {
    bytes: &'a [u8],
    sums: Sums,
}

impl<'a> Finder<'a> {
    /// A finder of frames in `bytes`.
    pub fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, sums: Sums::default() }
    }

    /// Where the next valid frame begins, from `from` on.
    pub fn next(&mut self, from: usize) -> Option<usize> {
        let (bytes, sums) = (self.bytes, &mut self.sums);
        let tail = bytes.get(from..)?;
        let starts = tail.windows(MAGIC.len()).enumerate().filter(|(_, window)| *window == MAGIC);
        let mut starts = starts.map(|(at, _)| from + at);
        starts.find(|&at| is_frame(bytes, at, sums))
    }
}

/// Bodies up to this size are looked at as they are; the checksums of larger ones are put together.
const SUM_BYTES: usize = 4096;

/// Whether a valid frame begins at `at`.
fn is_frame(bytes: &[u8], at: usize, sums: &mut Sums) -> bool {
    let Some(start) = bytes.get(at..) else { return false };
    let word = |at: usize| Some(u32::from_le_bytes(start.get(at..at + 4)?.try_into().ok()?));
    let (Some(len), Some(sum)) = (word(8), word(12)) else { return false };
    let len = usize::try_from(len).unwrap_or(usize::MAX);
    if len <= SUM_BYTES {
        return decode(start).is_some();
    }
    let kind = start.get(4).map_or(FrameKind::Unknown(u8::MAX), |code| FrameKind::from_code(*code));
    let end = at.checked_add(HEADER_BYTES).and_then(|body| body.checked_add(len));
    let Some(end) = end.filter(|&end| end <= bytes.len() && len <= kind.bytes_max()) else {
        return false;
    };
    let head = crc32c::crc32c(start.get(..12).unwrap_or_default());
    let rest = sums.of(bytes, at + 16, end);
    crc32c::crc32c_combine(head, rest, end - at - 16) == sum && decode(start).is_some()
}

/// The checksums of the beginnings of some bytes, one every [`SUM_BYTES`]: that of any stretch comes
/// out of two of them.
#[derive(Debug, Default)]
struct Sums(Vec<u32>);

impl Sums {
    fn upto(&mut self, bytes: &[u8], end: usize) -> u32 {
        if self.0.is_empty() {
            self.0.push(0);
            for chunk in bytes.chunks_exact(SUM_BYTES) {
                let last = self.0.last().copied().unwrap_or(0);
                self.0.push(crc32c::crc32c_append(last, chunk));
            }
        }
        let whole = end / SUM_BYTES;
        let known = self.0.get(whole).copied().unwrap_or(0);
        crc32c::crc32c_append(known, bytes.get(whole * SUM_BYTES..end).unwrap_or_default())
    }

    fn of(&mut self, bytes: &[u8], from: usize, to: usize) -> u32 {
        let before = self.upto(bytes, from);
        crc32c::crc32c_combine(before, 0, to - from) ^ self.upto(bytes, to)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_frame_survives_and_any_flipped_bit_is_noticed() {
        let bytes = encode(FrameKind::Segment, 7, EventId([9; 32]), b"what was meant");
        let frame = decode(&bytes).expect("a frame");
        assert_eq!(
            (frame.kind, frame.first, frame.body),
            (FrameKind::Segment, 7, &b"what was meant"[..])
        );
        assert_eq!(frame.len(), bytes.len());
        for bit in 0..bytes.len() * 8 {
            let mut flipped = bytes.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(decode(&flipped), None, "bit {bit}");
        }
        for cut in 0..bytes.len() {
            assert_eq!(decode(&bytes[..cut]), None, "cut at {cut}");
        }
    }

    /// The bytes of a frame whose body is `len` zeros, with a checksum that is right.
    fn of_zeros(kind: FrameKind, len: usize) -> Vec<u8> {
        let mut bytes = vec![0; HEADER_BYTES + len];
        bytes[..4].copy_from_slice(&MAGIC);
        bytes[4] = kind.code();
        bytes[8..12].copy_from_slice(&(len as u32).to_le_bytes());
        let crc = crc32c::crc32c_append(crc32c::crc32c(&bytes[..12]), &bytes[16..]);
        bytes[12..16].copy_from_slice(&crc.to_le_bytes());
        bytes
    }

    #[test]
    fn a_body_at_the_limit_of_its_kind_is_a_frame_and_one_over_it_is_none() {
        for (kind, most) in [
            (FrameKind::Header, limits::SEGMENT_BYTES_MAX),
            (FrameKind::Segment, limits::SEGMENT_BYTES_MAX),
            (FrameKind::Unknown(99), limits::SEGMENT_BYTES_MAX),
            (FrameKind::Seal, limits::SEAL_BYTES_MAX),
        ] {
            assert!(decode(&of_zeros(kind, most)).is_some(), "{kind:?}");
            assert_eq!(decode(&of_zeros(kind, most + 1)), None, "{kind:?}");
        }
        // A gibibyte is not made for a test: the header alone says too much.
        assert_eq!(FrameKind::Snapshot.bytes_max(), limits::SNAPSHOT_BYTES_MAX);
        let over = limits::SEAL_BYTES_MAX + 1;
        assert!(decode(&of_zeros(FrameKind::Snapshot, over)).is_some());
    }

    #[test]
    fn a_large_frame_is_found_wherever_it_begins() {
        let body: Vec<u8> = (0..3 * SUM_BYTES).map(|at| (at * 7 % 251) as u8).collect();
        for before in [1, 57, SUM_BYTES - 1, SUM_BYTES, 2 * SUM_BYTES + 100] {
            let mut bytes = vec![b'x'; before];
            bytes.extend(encode(FrameKind::Seal, 0, EventId::GENESIS, &body));
            bytes.extend(b"and more");
            assert_eq!(find(&bytes, 0), Some(before));
            let last = bytes.len() - 20;
            bytes[last] ^= 1;
            assert_eq!(find(&bytes, 0), None);
        }
    }

    /// Each header announces all that is behind it: to check each would take hours.
    #[test]
    fn a_file_full_of_large_headers_is_looked_through_in_one_go() {
        let mut bytes = Vec::new();
        let size = 1 << 20;
        while bytes.len() < size {
            let len = (size - bytes.len()).saturating_sub(2 * HEADER_BYTES) as u32;
            bytes.extend(MAGIC);
            bytes.extend([1, 0, 0, 0]);
            bytes.extend(len.to_le_bytes());
            bytes.resize(bytes.len() + HEADER_BYTES - 12, 0);
        }
        assert_eq!(find(&bytes, 0), None);
    }

    #[test]
    fn the_next_frame_is_found_behind_garbage() {
        let mut bytes = b"garbage TRF1 garbage".to_vec();
        let at = bytes.len();
        bytes.extend(encode(FrameKind::Seal, 0, EventId::GENESIS, b"x"));
        assert_eq!(find(&bytes, 0), Some(at));
        assert_eq!(find(&bytes, at + 1), None);
    }
}
