//! A block of a snapshot, packed: in little time as a rule, and to fewer bytes where a run is compacted.

use std::io::Write as _;
use std::ops::Range;

use bincode::Decode;
use bincode::error::DecodeError;
use flate2::write::DeflateEncoder;
use flate2::{Compression, Decompress, FlushDecompress};
use serde::Serialize;

use crate::limits;

/// How a block is packed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Decode)]
pub(super) enum Packing {
    /// By LZ4: whoever works makes a snapshot now and then, and does not wait for it for long.
    Lz4,
    /// By DEFLATE, which takes eight times as long to pack and twice as long to unpack, to two thirds of the bytes.
    Deflate,
}

impl Packing {
    /// What it makes of many bytes at the least: a block that says to be more is made up.
    const fn growth_max(self) -> usize {
        match self {
            Self::Lz4 => 256,
            Self::Deflate => 1032,
        }
    }
}

/// A block, packed.
#[derive(Serialize)]
pub(super) struct Packed {
    plain: usize,
    packing: Packing,
    #[serde(with = "super::bytes")]
    bytes: Vec<u8>,
}

impl Packed {
    /// By LZ4.
    pub(super) fn new(plain: &[u8]) -> Self {
        let bytes = lz4_flex::block::compress(plain);
        Self { plain: plain.len(), packing: Packing::Lz4, bytes }
    }

    /// To as few bytes as can be had.
    fn small(plain: &[u8]) -> std::io::Result<Self> {
        let mut bytes = DeflateEncoder::new(Vec::new(), Compression::new(6));
        bytes.write_all(plain)?;
        Ok(Self { plain: plain.len(), packing: Packing::Deflate, bytes: bytes.finish()? })
    }

    /// One that is put in its place later.
    pub(super) const fn later() -> Self {
        Self { plain: 0, packing: Packing::Lz4, bytes: Vec::new() }
    }
}

/// A block of a body that was read.
#[derive(Debug, Clone)]
pub(super) struct Block {
    plain: usize,
    packing: Packing,
    bytes: Range<usize>,
}

impl Block {
    /// Takes a block off the beginning of what is left of `body`.
    pub(super) fn take(body: &[u8], left: &mut Range<usize>) -> Result<Self, DecodeError> {
        let rest = body.get(left.clone()).unwrap_or_default();
        let config = bincode::config::standard();
        let ((plain, packing, len), used): ((usize, Packing, usize), _) =
            bincode::decode_from_slice(rest, config)?;
        let bytes = left.start + used..(left.start + used).saturating_add(len);
        if bytes.end > left.end {
            return Err(DecodeError::UnexpectedEnd { additional: bytes.end - left.end });
        }
        if plain > len.saturating_mul(packing.growth_max()).min(limits::SNAPSHOT_BYTES_MAX) {
            return Err(DecodeError::LimitExceeded);
        }
        left.start = bytes.end;
        Ok(Self { plain, packing, bytes })
    }

    /// The blocks that `body` is a list of.
    pub(super) fn all(body: &[u8]) -> Result<Vec<Self>, DecodeError> {
        let (count, used): (usize, _) =
            bincode::decode_from_slice(body, bincode::config::standard())?;
        let mut left = used..body.len();
        let blocks = (0..count).map(|_| Self::take(body, &mut left)).collect::<Result<_, _>>()?;
        if left.is_empty() {
            Ok(blocks)
        } else {
            Err(DecodeError::Other("bytes behind the blocks"))
        }
    }

    /// How many bytes it has unpacked.
    pub(super) const fn plain(&self) -> usize {
        self.plain
    }

    pub(super) fn unpack(&self, body: &[u8]) -> Option<Vec<u8>> {
        let packed = body.get(self.bytes.clone())?;
        let unpacked = match self.packing {
            Packing::Lz4 => lz4_flex::block::decompress(packed, self.plain).ok()?,
            Packing::Deflate => {
                // One byte more than it is to have, so that the end of what is packed is read.
                let mut plain = Vec::with_capacity(self.plain + 1);
                let mut inflater = Decompress::new(false);
                inflater.decompress_vec(packed, &mut plain, FlushDecompress::Finish).ok()?;
                plain
            }
        };
        Some(unpacked).filter(|unpacked| unpacked.len() == self.plain)
    }

    /// The same, packed to fewer bytes; none where it cannot be unpacked.
    pub(super) fn smaller(&self, body: &[u8]) -> Option<Packed> {
        if self.packing == Packing::Deflate {
            let bytes = body.get(self.bytes.clone())?.to_vec();
            return Some(Packed { plain: self.plain, packing: self.packing, bytes });
        }
        Packed::small(&self.unpack(body)?).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_packed_to_fewer_bytes_is_the_same_and_stays_so() {
        let plain: Vec<u8> = (0..9_000_u32).flat_map(|n| (n * n % 977).to_le_bytes()).collect();
        for plain in [&plain[..], &plain[..1], &[7; 70_000]] {
            let body = |packed: &Packed| {
                let config = bincode::config::standard();
                bincode::serde::encode_to_vec(packed, config).expect("it encodes")
            };
            let read = |body: &[u8]| Block::take(body, &mut (0..body.len())).expect("it is one");
            let fast = body(&Packed::new(plain));
            assert_eq!(read(&fast).unpack(&fast).as_deref(), Some(plain));
            let small = body(&read(&fast).smaller(&fast).expect("it is whole"));
            assert_eq!(read(&small).unpack(&small).as_deref(), Some(plain));
            assert!(small.len() <= fast.len() + 4);
            assert_eq!(body(&read(&small).smaller(&small).expect("it is whole")), small);
            // Of another length than it says.
            for plain in [plain.len() - 1, plain.len() + 1] {
                let block = Block { plain, ..read(&small) };
                assert_eq!(block.unpack(&small), None);
            }
        }
    }
}
