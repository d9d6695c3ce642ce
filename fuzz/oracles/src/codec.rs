//! Oracle of the codec: what decodes encodes again, and decodes to the same.

use std::fmt::{Debug, Display};
use std::str::FromStr;

use tress_model::codec;
use tress_model::event::Head;
use tress_model::{Dot, EventId, ReplicaId, Segment, StoreId, TodoId, VersionVector};
use tress_store::frame;

use crate::bytes::Bytes;

const REPLICA: ReplicaId = ReplicaId([1; 16]);
const STORE: StoreId = StoreId([2; 16]);

/// How many ways the first byte chooses among.
pub(crate) const WAYS: usize = 5;

/// Frames, segments, seals, snapshots and the text forms of ids: the first byte says which. What
/// is read is written again, and means the same; anything else is an error, and never a panic.
pub fn codec(data: &[u8]) {
    let mut bytes = Bytes::new(data);
    match bytes.pick(WAYS) {
        0 => frames(bytes.rest()),
        1 => {
            let first = bytes.number();
            segment(first, bytes.rest());
        }
        2 => seal(bytes.rest()),
        3 => snapshot(bytes.rest()),
        _ => texts(&String::from_utf8_lossy(bytes.rest())),
    }
}

fn frames(bytes: &[u8]) {
    let mut at = 0;
    while let Some(frame) = bytes.get(at..).and_then(frame::decode) {
        let again = frame::encode(frame.kind, frame.first, frame.previous, frame.body);
        assert_eq!(bytes.get(at..at + frame.len()), Some(again.as_slice()), "frame at {at}");
        at += frame.len();
    }
    if let Some(next) = frame::find(bytes, at) {
        assert!(next > at, "a frame that was not decoded at {at}");
        assert!(bytes.get(next..).and_then(frame::decode).is_some(), "no frame at {next}");
    }
}

/// The ids of the events of a segment, or why it continues no chain.
fn ids(segments: &[&Segment]) -> Result<Vec<EventId>, String> {
    let Some(first) = segments.first() else { return Ok(Vec::new()) };
    let mut head = Head::genesis(first.store);
    head.number = first.first - 1;
    head.id = first.previous;
    let mut ids = Vec::new();
    for segment in segments {
        let (events, after) = Segment::clone(segment).resolve(&head).map_err(|e| e.to_string())?;
        ids.extend(events.iter().map(|event| event.id));
        head = after;
    }
    Ok(ids)
}

fn segment(first: u64, body: &[u8]) {
    let previous = if first == 1 { EventId::GENESIS } else { EventId([3; 32]) };
    let read = |body: &[u8]| codec::decode_segment(REPLICA, STORE, first, previous, body);
    let Ok(segment) = read(body) else { return };
    let body = codec::encode_segment(&segment).expect("what was decoded is within its bounds");
    let again = read(&body).expect("what was encoded decodes");
    // By bytes: a figure that is not a number does not equal itself.
    assert_eq!(codec::encode_segment(&again).as_ref(), Ok(&body));
    let whole = ids(&[&segment]);
    assert_eq!(ids(&[&again]), whole);
    // How events are grouped into segments means nothing.
    let (half, Ok(whole)) = (segment.records.len() / 2, whole) else { return };
    if let Some(&previous) = half.checked_sub(1).and_then(|last| whole.get(last)) {
        let (mut front, mut back) = (segment.clone(), segment);
        back.records = front.records.split_off(half);
        back.first += half as u64;
        back.previous = previous;
        assert_eq!(ids(&[&front, &back]), Ok(whole));
    }
}

fn seal(body: &[u8]) {
    let Ok(seal) = codec::decode_seal(body) else { return };
    let body = codec::encode_seal(&seal).expect("what was decoded is within its bounds");
    assert_eq!(codec::decode_seal(&body), Ok(seal));
}

fn snapshot(body: &[u8]) {
    let Ok(snapshot) = codec::decode_snapshot(body.to_vec()) else { return };
    let body = codec::encode_snapshot(&snapshot).expect("what was decoded is within its bounds");
    let again = codec::decode_snapshot(body.clone()).expect("what was encoded decodes");
    assert_eq!(codec::encode_snapshot(&again).as_ref(), Ok(&body));
    // Parts of todos are decoded when they are looked at.
    let seen = format!("{:?}", snapshot.state.todos);
    assert_eq!(format!("{:?}", again.state.todos), seen);
    assert_eq!(again.state.root(), snapshot.state.root());
    // What was looked at is encoded anew, and means the same.
    let body = codec::encode_snapshot(&again).expect("what was decoded is within its bounds");
    let later = codec::decode_snapshot(body).expect("what was encoded decodes");
    assert_eq!(format!("{:?}", later.state.todos), seen);
    assert_eq!(later.state.root(), snapshot.state.root());
}

/// A value that can be read of `text` is the same when what it is written as is read.
fn survives<T: FromStr + Display + Debug + PartialEq>(text: &str) -> Option<String> {
    let value: T = text.parse().ok()?;
    let written = value.to_string();
    assert_eq!(written.parse().ok(), Some(value), "{text:?}");
    Some(written)
}

fn texts(text: &str) {
    // An id has one text form: two names of a file must not mean one replica.
    for written in [
        survives::<ReplicaId>(text),
        survives::<StoreId>(text),
        survives::<EventId>(text),
        survives::<tress_model::Role>(text),
    ] {
        assert!(written.as_deref().is_none_or(|written| written == text), "{text:?}");
    }
    survives::<Dot>(text);
    survives::<VersionVector>(text);
    if let Some(written) = survives::<TodoId>(text) {
        assert_eq!(written.strip_prefix("t-"), Some(text.strip_prefix("t-").unwrap_or(text)));
    }
    if let Some((first, last)) = TodoId::prefix_range(text) {
        assert!(first <= last);
        let digits = text.strip_prefix("t-").unwrap_or(text);
        assert!(first.digits().starts_with(digits) && last.digits().starts_with(digits));
    }
    assert!(!EventId::GENESIS.begins_with(text) || text.bytes().all(|byte| byte == b'0'));
    crate::state::rich().find(text).ok();
}
