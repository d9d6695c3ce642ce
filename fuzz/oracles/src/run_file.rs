//! Oracle of run files: what is read is written again as it was meant, and folds to the same.

use std::path::Path;

use tress::formats::merge::merge;
use tress_store::{decode_run_file, encode_run_file};

use crate::bytes::Bytes;
use crate::files::framed;
use crate::state::NOON;

/// A run file, as it is or of frames whose checksums are right: the lowest bit of the first byte
/// says which.
pub fn run_file(data: &[u8]) {
    let mut bytes = Bytes::new(data);
    let how = bytes.byte();
    let file = if how & 1 == 0 { bytes.rest().to_vec() } else { framed(&mut bytes) };
    let read = |file: &[u8]| decode_run_file(Path::new("a.tressrun"), file);
    let Ok(decoded) = read(&file) else { return };
    let written = encode_run_file(&decoded).expect("what was read is within its bounds");
    let again = read(&written).expect("what was written can be read");
    let twice = encode_run_file(&again).expect("what was read is within its bounds");
    assert_eq!(twice, written, "the same run gives the same bytes");
    let now = (how & 2 == 0).then_some(NOON);
    let (log, same) = (tress::log_of(decoded, now), tress::log_of(again, now));
    match (&log, &same) {
        (Ok(log), Ok(same)) => assert_eq!(log.state().root(), same.state().root()),
        (Err(_), Err(_)) => {}
        _ => panic!("{log:?} as it is, {same:?} written anew"),
    }
    let merged = merge(&file, &file, &file);
    let twice = merge(b"", &file, &written);
    assert_eq!(merged.is_ok(), twice.is_ok());
    if let Ok(merged) = merged {
        let settled = merge(&file, &merged.bytes, &file).expect("it was merged before");
        assert_eq!(settled.bytes, merged.bytes, "merged again, it is another");
    }
}
