//! Files of frames out of arbitrary bytes: whose checksums are right, so that what lies behind them
//! is reached, and what is in them is anything.

use tress_model::EventId;
use tress_store::frame::{self, FrameKind};

use crate::bytes::Bytes;

/// The kinds that a frame is given, by number.
const KINDS: [FrameKind; 7] = [
    FrameKind::Header,
    FrameKind::Segment,
    FrameKind::Seal,
    FrameKind::Snapshot,
    FrameKind::Origin,
    FrameKind::End,
    FrameKind::Unknown(77),
];
/// The kind of bytes that are no frame.
const NO_FRAME: u8 = 7;

/// The file that `bytes` describe: frames, and bytes between them that are none.
pub fn framed(bytes: &mut Bytes<'_>) -> Vec<u8> {
    let mut file = Vec::new();
    while !bytes.is_empty() {
        let Some(&kind) = KINDS.get(usize::from(bytes.byte() & 7)) else {
            file.extend_from_slice(bytes.chunk());
            continue;
        };
        let first = bytes.number();
        let mut previous = EventId::GENESIS;
        if bytes.byte() & 1 == 1 {
            let taken = bytes.take(32);
            previous.0.iter_mut().zip(taken).for_each(|(to, from)| *to = *from);
        }
        file.extend(frame::encode(kind, first, previous, bytes.chunk()));
    }
    file
}

/// What [`framed`] makes `file` of, as far as its bodies are short.
pub fn unframed(file: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut at = 0;
    while let Some(frame) = file.get(at..).and_then(frame::decode) {
        at += frame.len();
        let kind = KINDS.iter().position(|kind| *kind == frame.kind).unwrap_or(KINDS.len() - 1);
        bytes.extend([kind as u8, 255]);
        bytes.extend(frame.first.to_le_bytes());
        bytes.push(u8::from(frame.previous != EventId::GENESIS));
        if frame.previous != EventId::GENESIS {
            bytes.extend(frame.previous.0);
        }
        push_chunk(&mut bytes, frame.body);
    }
    if let Some(rest) = file.get(at..).filter(|rest| !rest.is_empty()) {
        bytes.push(NO_FRAME);
        push_chunk(&mut bytes, rest);
    }
    bytes
}

/// What [`Bytes::chunk`] reads `chunk` of; of a longer one than two bytes can say, the beginning.
pub fn push_chunk(bytes: &mut Vec<u8>, chunk: &[u8]) {
    let len = u16::try_from(chunk.len()).unwrap_or(u16::MAX);
    bytes.extend(len.to_le_bytes());
    bytes.extend(chunk.iter().take(usize::from(len)));
}
