//! Decoding a long journal on several threads, ahead of whoever reads it step by step.
//!
//! Its segments are cut into stretches. Each thread takes the next one that nobody has, and so does the reader where the
//! one that it has come to is not decoded yet: then whatever the reader does with segments, such as to fold them,
//! goes on beside.

use std::collections::{BTreeMap, VecDeque};
use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;

use tress_model::codec::{self, EventHasher};
use tress_model::event::Hashed;
use tress_model::ids::{ReplicaId, StoreId};

use crate::frame::{self, Frame, FrameKind, Head};

/// From how many bytes on it is worth a thread.
const BYTES_MIN: usize = 256 << 10;
/// About how many bytes a stretch has.
const STRETCH_BYTES: usize = 32 << 10;
/// The most threads that read one journal.
const THREADS_MAX: usize = 8;

/// Where in the bytes a segment begins, how long its frame is, and what it says, but for its store.
type Decoded = (usize, usize, Hashed);

/// What is decoded of a journal, by whom.
struct Shared<'a> {
    replica: ReplicaId,
    bytes: &'a [u8],
    /// Where the frames of segments begin.
    starts: Vec<usize>,
    /// Which of them are a stretch.
    stretches: Vec<Range<usize>>,
    /// The next stretch that nobody has.
    next: AtomicUsize,
    /// Those that are decoded, and that the reader has not come to.
    decoded: Mutex<BTreeMap<usize, VecDeque<Decoded>>>,
    more: Condvar,
}

/// Segments that were decoded before the reader came to them.
#[derive(Default)]
pub(crate) struct Ahead<'a> {
    shared: Option<&'a Shared<'a>>,
    /// The next stretch.
    next: usize,
    segments: VecDeque<Decoded>,
}

/// Has `read` read the `bytes` of the journal of `replica`, while what they hold is decoded on other threads, where it is
/// worth that and `wanted`.
pub(crate) fn reading<T>(
    replica: ReplicaId,
    bytes: &[u8],
    wanted: bool,
    read: impl FnOnce(&mut Ahead<'_>) -> T,
) -> T {
    let threads = thread::available_parallelism().map_or(1, usize::from).min(THREADS_MAX);
    if !wanted || threads < 2 || bytes.len() < BYTES_MIN {
        return read(&mut Ahead::default());
    }
    let shared = Shared::of(replica, bytes);
    thread::scope(|scope| {
        for _ in 1..threads {
            // Where no thread can be had, the reader does all of it.
            let _ = thread::Builder::new().spawn_scoped(scope, || shared.work());
        }
        let read = read(&mut Ahead { shared: Some(&shared), ..Ahead::default() });
        shared.next.store(shared.stretches.len(), Ordering::Relaxed);
        read
    })
}

impl<'a> Shared<'a> {
    fn of(replica: ReplicaId, bytes: &'a [u8]) -> Self {
        let (mut starts, mut stretches) = (Vec::new(), Vec::new());
        let (mut at, mut first, mut full) = (0, 0, STRETCH_BYTES);
        while let Some(head) = bytes.get(at..).and_then(Head::of) {
            if at >= full {
                stretches.push(first..starts.len());
                (first, full) = (starts.len(), at + STRETCH_BYTES);
            }
            if head.kind == FrameKind::Segment {
                starts.push(at);
            }
            at += head.frame_len();
        }
        stretches.push(first..starts.len());
        let (next, decoded, more) = (AtomicUsize::new(0), Mutex::default(), Condvar::new());
        Self { replica, bytes, starts, stretches, next, decoded, more }
    }

    /// A stretch that nobody has.
    fn claim(&self) -> Option<usize> {
        let next = self.next.fetch_add(1, Ordering::Relaxed);
        (next < self.stretches.len()).then_some(next)
    }

    /// Decodes until nothing is left to do.
    fn work(&self) {
        while let Some(stretch) = self.claim() {
            self.put(stretch, self.decode(stretch));
        }
    }

    fn put(&self, stretch: usize, segments: VecDeque<Decoded>) {
        self.decoded().insert(stretch, segments);
        self.more.notify_all();
    }

    fn decoded(&self) -> MutexGuard<'_, BTreeMap<usize, VecDeque<Decoded>>> {
        self.decoded.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The segments of a stretch. Where something is wrong with one, it and those behind it are not among them: the
    /// reader reads them himself, and learns what it is.
    fn decode(&self, stretch: usize) -> VecDeque<Decoded> {
        let store = StoreId([0; 16]);
        let mut hasher = EventHasher::new(store);
        let starts = self.stretches.get(stretch).and_then(|range| self.starts.get(range.clone()));
        let decoded = starts.unwrap_or_default().iter().map_while(|&at| {
            let frame = frame::decode(self.bytes.get(at..)?)?;
            let Frame { first, previous, body, .. } = frame;
            let hasher = &mut hasher;
            let read = codec::decode_hashed(self.replica, store, first, previous, body, hasher);
            Some((at, frame.len(), read.ok()?))
        });
        // Somebody waits for it.
        catch_unwind(AssertUnwindSafe(|| decoded.collect())).unwrap_or_default()
    }

    /// What is decoded of a stretch that the reader has come to.
    fn take(&self, stretch: usize) -> VecDeque<Decoded> {
        loop {
            if let Some(segments) = self.decoded().remove(&stretch) {
                return segments;
            }
            match self.claim() {
                Some(claimed) if claimed == stretch => return self.decode(stretch),
                Some(claimed) => self.put(claimed, self.decode(claimed)),
                // Another thread is at it.
                None => {
                    let there = |decoded: &mut BTreeMap<_, _>| !decoded.contains_key(&stretch);
                    drop(self.more.wait_while(self.decoded(), there));
                }
            }
        }
    }
}

impl Ahead<'_> {
    /// The segment that begins at `at`, and the length of its frame. What lies before it is dropped.
    pub(crate) fn take(&mut self, at: usize) -> Option<(usize, Hashed)> {
        loop {
            while self.segments.front().is_some_and(|(start, ..)| *start < at) {
                self.segments.pop_front();
            }
            if !self.segments.is_empty() {
                break;
            }
            let shared = self.shared.filter(|shared| self.next < shared.stretches.len())?;
            self.segments = shared.take(self.next);
            self.next += 1;
        }
        self.segments.front().filter(|(start, ..)| *start == at)?;
        self.segments.pop_front().map(|(_, len, segment)| (len, segment))
    }
}
