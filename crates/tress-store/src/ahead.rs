//! Decoding a long journal on several threads, ahead of whoever reads it step by step.

use std::collections::VecDeque;

use tress_model::codec::{self, EventHasher};
use tress_model::event::Hashed;
use tress_model::ids::{ReplicaId, StoreId};

use crate::frame::{self, Frame, FrameKind, Head};

/// Segments that were decoded on several threads before anybody came to them: what most of the reading of a
/// long journal is.
#[derive(Default)]
pub(crate) struct Ahead {
    /// Where in the bytes each begins, how long its frame is, and what it says, but for its store.
    segments: VecDeque<(usize, usize, Hashed)>,
}

impl Ahead {
    /// From how many bytes on it is worth a thread.
    const BYTES: usize = 256 << 10;

    /// The segments of `replica` in `bytes`. Where something is wrong with one, it and some behind it are not
    /// among them: whoever comes to them reads them himself, and learns what it is.
    pub(crate) fn of(replica: ReplicaId, bytes: &[u8]) -> Self {
        let threads = std::thread::available_parallelism().map_or(1, usize::from);
        if threads < 2 || bytes.len() < Self::BYTES {
            return Self::default();
        }
        let (mut starts, mut at) = (Vec::new(), 0);
        while let Some(head) = bytes.get(at..).and_then(Head::of) {
            if head.kind == FrameKind::Segment {
                starts.push(at);
            }
            at += head.frame_len();
        }
        let decode = |starts: &[usize]| {
            let store = StoreId([0; 16]);
            let mut hasher = EventHasher::new(store);
            let decoded = starts.iter().map_while(|&at| {
                let frame = frame::decode(bytes.get(at..)?)?;
                let Frame { first, previous, body, .. } = frame;
                let hasher = &mut hasher;
                let read = codec::decode_hashed(replica, store, first, previous, body, hasher);
                Some((at, frame.len(), read.ok()?))
            });
            decoded.collect::<Vec<_>>()
        };
        let segments = std::thread::scope(|scope| {
            let shares = starts.chunks(starts.len().div_ceil(threads).max(1));
            let shares: Vec<_> = shares.map(|share| scope.spawn(|| decode(share))).collect();
            let decoded = shares.into_iter().map(|share| share.join().unwrap_or_default());
            decoded.flatten().collect()
        });
        Self { segments }
    }

    /// The segment that begins at `at`, and the length of its frame. What lies before it is dropped.
    pub(crate) fn take(&mut self, at: usize) -> Option<(usize, Hashed)> {
        while self.segments.front().is_some_and(|(start, ..)| *start < at) {
            self.segments.pop_front();
        }
        self.segments.front().filter(|(start, ..)| *start == at)?;
        self.segments.pop_front().map(|(_, len, segment)| (len, segment))
    }
}
