//! Oracle of foreign changes: what a document takes it can be saved, loaded, read and settled with,
//! and what it refuses leaves it as it was.

use std::sync::OnceLock;

use sha2::{Digest, Sha256};
use tress_documents::{Document, Follower, Heard, project};
use tress_model::{StoreId, Strand};

use crate::bytes::Bytes;
use crate::state::rich;

const STORE: StoreId = StoreId([1; 16]);

/// A document that shows a rich state, and the change that made it so.
pub fn sealed(strand: Strand) -> &'static (Document, Vec<u8>) {
    static SEALED: [OnceLock<(Document, Vec<u8>)>; 3] = [const { OnceLock::new() }; 3];
    let place = match strand {
        Strand::Design => 0,
        Strand::Todo => 1,
        Strand::Implementation => 2,
    };
    let [design, todo, implementation] = &SEALED;
    [design, todo, implementation].into_iter().nth(place).unwrap_or(design).get_or_init(|| {
        let mut document = Document::new(strand, STORE);
        let changes = document.seal(&project(rich(), strand), "rich").expect("it can be sealed");
        let change = changes.into_iter().next();
        (document, change.expect("a rich state differs from none"))
    })
}

/// A change out of what is in it: length and hash are made to fit. (Automerge binary format,
/// <https://automerge.org/automerge-binary-format-spec>.)
pub fn change(body: &[u8]) -> Vec<u8> {
    let mut chunk = vec![1];
    let mut length = body.len();
    while length > 0x7f {
        chunk.push(length as u8 | 0x80);
        length >>= 7;
    }
    chunk.push(length as u8);
    chunk.extend_from_slice(body);
    let hash = Sha256::digest(&chunk);
    let mut change = vec![0x85, 0x6f, 0x4a, 0x83];
    change.extend(hash.iter().take(4));
    change.extend(chunk);
    change
}

/// What is in a change that is not deflated: [`change`] makes it of this.
pub fn body(change: &[u8]) -> Option<&[u8]> {
    let length = change.get(9..)?.iter().position(|byte| byte & 0x80 == 0)?;
    change.get(10 + length..)
}

/// Changes to one of the three documents, empty or rich. Bits of the first byte say to which, and
/// whether the changes are taken as they are or made with a hash that fits.
pub fn foreign(data: &[u8]) {
    let mut bytes = Bytes::new(data);
    let how = bytes.byte();
    let strand = Strand::ALL.get(usize::from(how & 3)).copied().unwrap_or(Strand::Todo);
    let before = if how & 4 == 0 { sealed(strand).0.clone() } else { Document::new(strand, STORE) };
    let raw = how & 8 != 0;
    let mut changes = Vec::new();
    while !bytes.is_empty() && changes.len() < 8 {
        let chunk = bytes.chunk();
        changes.push(if raw { chunk.to_vec() } else { change(chunk) });
    }
    said(before.clone(), data.get(1..).unwrap_or_default());
    vouched_for(before.clone(), &changes);
    unvouched(before, &changes);
    Document::load(strand, STORE, data).ok();
}

/// The same bytes as a message of a stock client: whatever it says, the document stays what it was, and
/// there is an answer.
fn said(mut document: Document, message: &[u8]) {
    let Ok(heard) = Heard::read(message) else { return };
    let (heads, mut follower) = (document.heads(), Follower::default());
    unvouched(document.clone(), &heard.changes);
    if let Ok(applied) = document.clone().apply_of_client(&heard.changes) {
        let waiting = applied.waiting.iter().filter_map(|at| heard.changes.get(*at));
        follower.wait(waiting.cloned().collect()).expect("it is small");
    }
    if document.heard(&mut follower, heard).is_ok() {
        document.tell(&mut follower).ok();
    }
    assert_eq!(document.heads(), heads, "what it said changed something by itself");
}

/// Whoever vouches for a change may be wrong: nothing panics, and what is refused changes nothing.
fn vouched_for(mut document: Document, changes: &[Vec<u8>]) {
    let heads = document.heads();
    if document.apply(changes).is_err() {
        return assert_eq!(document.heads(), heads, "it was refused, and changed something");
    }
    document.read().ok();
    document.seal(&project(rich(), document.strand()), "settle").ok();
}

fn unvouched(mut document: Document, changes: &[Vec<u8>]) {
    let (heads, strand) = (document.heads(), document.strand());
    let Ok(applied) = document.apply_foreign(changes) else {
        assert_eq!(document.heads(), heads, "it was refused, and changed something");
        return;
    };
    assert!(applied.new + applied.waiting.len() <= changes.len());
    let read = document.read().expect("what was taken can be read");
    let loaded = Document::load(strand, STORE, &document.save()).expect("it was just saved");
    assert_eq!(loaded.heads(), document.heads());
    // By their text: a number that is none does not equal itself.
    let text = |node: &tress_documents::Node| format!("{node:?}");
    assert_eq!(text(&loaded.read().expect("it is the same document")), text(&read));
    // Whatever it says means something, or is refused.
    let edits = tress_documents::edits(rich(), strand, &read);
    let same = text(&read) == text(&project(rich(), strand));
    assert!(!same || edits == tress_documents::Edits::default(), "nothing was edited: {edits:?}");
    let again = document.apply_foreign(changes).expect("it was taken before");
    assert_eq!(again.new, 0, "it is new each time");
    let desired = project(rich(), strand);
    for round in 0.. {
        match document.seal(&desired, "settle") {
            Ok(changes) if changes.is_empty() => break,
            Ok(_) => assert!(round < 4, "it is never settled"),
            Err(error) => panic!("what was taken cannot be settled: {error}"),
        }
    }
    assert_eq!(text(&document.read().expect("it was settled")), text(&desired));
}
