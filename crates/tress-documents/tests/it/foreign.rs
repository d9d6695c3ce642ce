//! What comes from outside: damaged bytes, hostile changes, the edits of stock clients.

use automerge::transaction::Transactable;
use automerge::{
    ActorId, AutoCommit, Change, ExpandedChange, ObjType, ROOT, ReadDoc, ScalarValue, legacy,
};
use tress_documents::{Document, DocumentError, Node, genesis, limits, project};
use tress_model::{State, StoreId, Strand};

use crate::log::todo;
use crate::rich::rich;

const STORE: StoreId = StoreId([1; 16]);

fn sealed(strand: Strand) -> (Document, Vec<u8>) {
    let mut document = Document::new(strand, STORE);
    let changes = document.seal(&project(&rich(), strand), "rich").expect("it can be sealed");
    let change = changes.into_iter().next();
    (document, change.expect("a rich state differs from none"))
}

/// The document as a stock client has it.
fn stock(document: &Document) -> AutoCommit {
    let client = AutoCommit::load(&document.save()).expect("any client can load it");
    client.with_actor(ActorId::from([0x55; 16]))
}

fn changes_since(client: &mut AutoCommit, document: &Document) -> Vec<Vec<u8>> {
    let heads: Vec<_> = document.heads().into_iter().map(automerge::ChangeHash).collect();
    let changes = client.get_changes(&heads);
    changes.into_iter().map(|mut change| change.bytes().into_owned()).collect()
}

/// A change as it is hashed.
fn raw(change: &[u8]) -> Vec<u8> {
    Change::try_from(change).expect("it was just made").raw_bytes().to_vec()
}

#[test]
fn damaged_bytes_are_errors() {
    let (document, deflated) = sealed(Strand::Design);
    let mut other = Document::new(Strand::Design, StoreId([2; 16]));
    let untouched = other.heads();
    let change = raw(&deflated);
    for at in 0..change.len() {
        let mut damaged = change.clone();
        damaged[at] ^= 1 << (at % 8);
        assert!(other.apply(&[damaged]).is_err(), "byte {at}");
        assert!(other.apply(&[change[..at].to_vec()]).is_err(), "cut at {at}");
    }
    for at in 0..deflated.len() {
        let mut damaged = deflated.clone();
        damaged[at] ^= 1 << (at % 8);
        // Some bits behind the end of what is deflated say nothing.
        let mut one = Document::new(Strand::Design, StoreId([2; 16]));
        assert!(one.apply(&[damaged]).is_err() || one.heads() == document.heads(), "byte {at}");
        assert!(other.apply(&[deflated[..at].to_vec()]).is_err(), "cut at {at}");
    }
    assert_eq!(other.heads(), untouched);
    let saved = document.save();
    for at in (0..saved.len()).step_by(7) {
        let mut damaged = saved.clone();
        damaged[at] ^= 1 << (at % 8);
        assert!(Document::load(Strand::Design, STORE, &damaged).is_err(), "byte {at}");
        assert!(Document::load(Strand::Design, STORE, &saved[..at]).is_err(), "cut at {at}");
    }
    let wrong = Document::load(Strand::Todo, STORE, &saved).err();
    assert_eq!(wrong, Some(DocumentError::Foreign { strand: "todo" }));
    other.apply(&[change]).expect("the true change still applies");
}

fn hostile(document: &Document, change: impl FnOnce(&mut ExpandedChange)) -> Vec<u8> {
    let mut client = stock(document);
    client.put(ROOT, "x", 1).expect("the root takes any key");
    client.commit();
    let made = client.get_last_local_change().expect("it was just made");
    let mut expanded = made.decode();
    change(&mut expanded);
    Change::from(expanded).raw_bytes().to_vec()
}

/// Each of these has a valid hash. Applied by Automerge 0.12 as they are, they panic, or make a
/// document that panics or fails when it is next written, saved or loaded.
#[test]
fn hostile_changes_are_refused_by_name() {
    let (mut document, _) = sealed(Strand::Todo);
    let before = (document.heads(), document.read());
    let start = |op: u64| std::num::NonZeroU64::new(op).expect("not zero");
    let own = ActorId::from([0x55; 16]);
    let attacks: [(&str, Vec<u8>); 7] = [
        ("its actor's next change is 1", hostile(&document, |change| change.seq = 2)),
        ("its actor's next change is 1", hostile(&document, |change| change.seq = u64::MAX)),
        (
            "too large",
            hostile(&document, |change| change.start_op = start(u64::from(u32::MAX) + 5)),
        ),
        ("too high", hostile(&document, |change| change.start_op = start(limits::OP_NUMBER_MAX))),
        ("those of its causes", hostile(&document, |change| change.start_op = start(1))),
        (
            "does not exist",
            hostile(&document, |change| {
                let ghost = legacy::OpId::new(3, &own);
                change.operations[0].pred = vec![ghost].into();
            }),
        ),
        (
            "does not exist",
            hostile(&document, |change| {
                let ghost = legacy::OpId::new(1 << 20, &ActorId::from([0xff; 16]));
                change.operations[0].obj = legacy::ObjectId::Id(ghost);
            }),
        ),
    ];
    for (expected, attack) in attacks {
        for index in 0..2 {
            let batch: Vec<_> = vec![genesis(Strand::Todo), attack.clone()].split_off(1 - index);
            let error = document.apply(&batch).expect_err(expected);
            let DocumentError::Change { index: found, reason } = &error else {
                panic!("{expected}: {error}")
            };
            assert_eq!(*found, index, "{error}");
            assert!(reason.contains(expected), "{error}");
        }
    }
    assert_eq!((document.heads(), document.read()), before);
    let honest = hostile(&document, |_| {});
    document.apply_foreign(&[honest]).expect("the honest change is welcome");
}

#[test]
fn an_operation_has_the_highest_number_and_no_higher() {
    let (document, _) = sealed(Strand::Todo);
    let start = |op: u64| std::num::NonZeroU64::new(op).expect("not zero");
    // The number behind that of the last operation counts.
    for (first, taken) in [(limits::OP_NUMBER_MAX - 1, true), (limits::OP_NUMBER_MAX, false)] {
        let change = hostile(&document, |change| change.start_op = start(first));
        assert_eq!(document.clone().apply_foreign(&[change]).is_ok(), taken, "{first}");
    }
}

#[test]
fn a_saved_document_at_its_limit_is_looked_at_and_one_over_it_is_not() {
    for (len, over) in [(limits::DOCUMENT_BYTES_MAX, false), (limits::DOCUMENT_BYTES_MAX + 1, true)]
    {
        let refused = Document::load(Strand::Todo, STORE, &vec![0; len]).expect_err("zeros");
        assert_eq!(matches!(refused, DocumentError::TooLarge { .. }), over, "{refused}");
    }
}

#[test]
fn a_document_nests_as_deep_as_is_allowed_and_no_deeper() {
    for (depth, taken) in [(limits::DEPTH_MAX, true), (limits::DEPTH_MAX + 1, false)] {
        let (mut document, _) = sealed(Strand::Design);
        let mut client = stock(&document);
        let mut object = ROOT;
        for _ in 0..depth {
            object = client.put_object(&object, "deep", ObjType::Map).expect("a map takes any key");
        }
        client.commit();
        let changes = changes_since(&mut client, &document);
        assert_eq!(document.apply_foreign(&changes).is_ok(), taken, "{depth}");
    }
}

#[test]
fn an_actor_cannot_tell_two_stories() {
    let (mut document, _) = sealed(Strand::Todo);
    let one = hostile(&document, |_| {});
    let two = hostile(&document, |change| change.time = 77);
    document.apply(&[one]).expect("the first story");
    let heads = document.heads();
    assert!(document.apply(&[two]).is_err());
    assert_eq!(document.heads(), heads);
}

#[test]
fn the_edits_of_a_stock_client_are_read_and_settled() {
    let (mut document, _) = sealed(Strand::Todo);
    let mut client = stock(&document);
    let (_, todos) = client.get(ROOT, "todos").expect("a map").expect("genesis made it");
    let id = todo(1).to_string();
    let (_, one) = client.get(&todos, id.as_str()).expect("a map").expect("it was sealed");
    // As JavaScript does it: every string is a text object.
    let title = client.put_object(&one, "title", ObjType::Text).expect("a map takes any key");
    client.splice_text(&title, 0, 0, "Lex all numbers").expect("it is a text");
    let (_, prose) = client.get(&one, "description").expect("a map").expect("always there");
    client.splice_text(&prose, 0, 0, "The ").expect("prose is a text object");
    // As Rust does it: a scalar where prose belongs.
    client.put(&one, "notes", "plain").expect("a map takes any key");
    client.put(&one, "owner", ScalarValue::Null).expect("a map takes any key");
    let list = client.put_object(&one, "files", ObjType::List).expect("a map takes any key");
    client.insert(&list, 0, "src/*").expect("it is a list");
    client.put(&one, "blob", ScalarValue::Bytes(vec![1, 0xff])).expect("a map takes any key");
    client.delete(&todos, todo(2).to_string()).expect("it is there");
    client.commit();
    let changes = changes_since(&mut client, &document);
    document.apply_foreign(&changes).expect("it is an honest client");

    let read = document.read().expect("it can be read");
    let field = |field: &str| read.at(&["todos", &id, field]).cloned();
    assert_eq!(field("title"), Some(Node::Str("Lex all numbers".to_owned())));
    assert_eq!(field("description"), Some(Node::Text("The description".to_owned())));
    assert_eq!(field("notes"), Some(Node::Text("plain".to_owned())));
    assert_eq!(field("owner"), None);
    assert_eq!(field("files").and_then(|f| f.get("00000000").cloned()), Some("src/*".into()));
    assert_eq!(field("blob"), Some("01ff".into()));

    let desired = project(&rich(), Strand::Todo);
    assert!(!document.seal(&desired, "settle").expect("it can be sealed").is_empty());
    assert_eq!(document.read(), Ok(desired.clone()));
    assert_eq!(document.seal(&desired, "again"), Ok(Vec::new()));
}

#[test]
fn a_root_that_a_stock_client_emptied_is_settled() {
    let (mut document, _) = sealed(Strand::Implementation);
    let mut client = stock(&document);
    client.delete(ROOT, "agents").expect("it is there");
    client.delete(ROOT, "strand").expect("it is there");
    client.put(ROOT, "ledger", 5).expect("the root takes any key");
    client.commit();
    let changes = changes_since(&mut client, &document);
    document.apply_foreign(&changes).expect("it is an honest client");
    let sealed = document.seal_changed(&State::default(), &rich(), "settle");
    assert!(!sealed.expect("it can be sealed").is_empty());
    assert_eq!(document.read(), Ok(project(&rich(), Strand::Implementation)));
    let loaded = Document::load(Strand::Implementation, STORE, &document.save());
    assert_eq!(loaded.expect("it was just saved").heads(), document.heads());
}

#[test]
fn what_nests_too_deep_is_an_error_until_it_is_settled() {
    let (mut document, _) = sealed(Strand::Design);
    let mut client = stock(&document);
    let mut object = ROOT;
    for _ in 0..=limits::DEPTH_MAX {
        object = client.put_object(&object, "deep", ObjType::Map).expect("a map takes any key");
    }
    client.commit();
    let changes = changes_since(&mut client, &document);
    assert!(document.apply_foreign(&changes).is_err());
    document.apply(&changes).expect("it is well formed");
    assert!(matches!(document.read(), Err(DocumentError::TooDeep { .. })));
    let desired = project(&rich(), Strand::Design);
    assert!(!document.seal(&desired, "settle").expect("it can be sealed").is_empty());
    assert_eq!(document.read(), Ok(desired));
}

/// What is large is deflated, by a stock client, too; it is inflated here, within bounds.
#[test]
fn deflated_changes_are_taken() {
    let (mut document, deflated) = sealed(Strand::Todo);
    let change = raw(&deflated);
    assert!(deflated.len() < change.len());
    let mut other = Document::new(Strand::Todo, StoreId([2; 16]));
    other.apply(&[deflated]).expect("it is the same change");
    assert_eq!(other.heads(), document.heads());
    assert_eq!(other.read(), document.read());
    assert_eq!(document.apply(&[change]).map(|applied| applied.new), Ok(0));
}

/// Automerge sorts a batch by causes alone: a second change of an actor that does not follow its first was taken
/// live, and no document could be rebuilt with it.
#[test]
fn a_change_that_does_not_follow_the_one_before_it_of_its_actor_is_refused() {
    let (mut document, _) = sealed(Strand::Todo);
    let mut client = stock(&document);
    client.put(ROOT, "x", 1).expect("the root takes any key");
    client.commit();
    let first = client.get_last_local_change().expect("it was just made").raw_bytes().to_vec();
    document.apply_foreign(&[first]).expect("it follows what there is");
    client.put(ROOT, "x", 2).expect("the root takes any key");
    client.commit();
    let mut second = client.get_last_local_change().expect("it was just made").decode();
    let begins = Change::try_from(genesis(Strand::Todo).as_slice()).expect("a change");
    second.deps = vec![begins.hash()];
    let second = Change::from(second).raw_bytes().to_vec();
    let refused = document.apply_foreign(&[second]).expect_err("it does not follow").to_string();
    assert!(refused.contains("does not follow"), "{refused}");
    // A client of a store's own name is refused where it is one.
    let mut client = stock(&document).with_actor(ActorId::from([0xff; 20]));
    client.put(ROOT, "x", 3).expect("the root takes any key");
    client.commit();
    let change = client.get_last_local_change().expect("it was just made").raw_bytes().to_vec();
    assert!(document.clone().apply_of_client(std::slice::from_ref(&change)).is_err());
    assert!(document.apply_foreign(&[change]).is_ok());
}
