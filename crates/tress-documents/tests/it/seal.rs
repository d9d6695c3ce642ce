//! Sealing: what is sealed is what is read.

use proptest::prelude::*;
use tress_documents::project_changed;
use tress_documents::{Applied, Document, DocumentError, Node, Shown, genesis, limits, project};
use tress_model::operation::{EdgeKind, Operation as O};
use tress_model::{State, StoreId, Strand};

use crate::log::{Log, todo};
use crate::random::{add, operation, splice};
use crate::rich::rich;

const STORE: StoreId = StoreId([1; 16]);
const OTHER: StoreId = StoreId([2; 16]);

/// The head of each strand's genesis.
const GENESIS_HEADS: [&str; 3] = [
    "7d2758d3527ab0a756ab18aab785952ff948c860ab8d240b605a7e7988620961",
    "f2aefa5d655b703d19891eb89df2095f2038f4a5681ad53d38f6cfafc621b75e",
    "96993b8aab78041fe3d233b7bf1387fe7f3c6e3c2830aecb4f026ae684f9a8e0",
];

fn seal(document: &mut Document, state: &State) -> Vec<Vec<u8>> {
    let desired = project(state, document.strand());
    let changes = document.seal(&desired, "a seal").expect("it can be sealed");
    assert_eq!(document.read().expect("it can be read"), desired);
    changes
}

fn description(document: &Document, n: u64) -> String {
    let content = document.read().expect("it can be read");
    let text = content.at(&["todos", &todo(n).to_string(), "description"]);
    let Some(Node::Text(text)) = text else { panic!("no text: {text:?}") };
    text.clone()
}

#[test]
fn a_rich_state_is_sealed_read_saved_and_rebuilt() {
    for strand in Strand::ALL {
        let mut document = Document::new(strand, STORE);
        let changes = seal(&mut document, &rich());
        assert_eq!(changes.len(), 1, "one seal is one change");
        assert_eq!(document.seal(&project(&rich(), strand), "again"), Ok(Vec::new()));

        let loaded = Document::load(strand, STORE, &document.save()).expect("it was just saved");
        assert_eq!(loaded.heads(), document.heads());
        assert_eq!(loaded.read(), document.read());

        let mut rebuilt = Document::new(strand, OTHER);
        let applied = rebuilt.apply(&changes).expect("they were just sealed");
        assert_eq!(applied, Applied { new: 1, taken: vec![0], waiting: Vec::new() });
        assert_eq!(rebuilt.heads(), document.heads());
        assert_eq!(rebuilt.read(), document.read());
    }
}

/// Seals are most of what a run that is sealed has in its journals.
#[test]
fn a_large_seal_takes_a_fraction_of_its_text() {
    let mut log = Log::default();
    let mut titles = 0;
    for n in 1..=300 {
        let title = format!("todo number {n}, that somebody has to do some day");
        titles += title.len();
        log.write(1, add(n, &title));
    }
    let mut document = Document::new(Strand::Todo, STORE);
    let changes = seal(&mut document, &log.state);
    assert_eq!(changes.len(), 1);
    assert!(changes[0].len() < titles, "{} bytes for {titles}", changes[0].len());
    let mut rebuilt = Document::new(Strand::Todo, OTHER);
    rebuilt.apply(&changes).expect("it was just sealed");
    assert_eq!(rebuilt.read(), document.read());
    let given = document.lacking(&Default::default(), usize::MAX, usize::MAX);
    assert!(given.iter().any(|change| change.bytes == changes[0]), "others get it as it is");
}

/// Should an upgrade of Automerge change these bytes, stores of before and after would no longer
/// share the maps that every document begins with.
#[test]
fn genesis_is_identical_everywhere() {
    let expected = GENESIS_HEADS;
    for (strand, head) in Strand::ALL.into_iter().zip(expected) {
        assert_eq!(genesis(strand), genesis(strand));
        let (one, two) = (Document::new(strand, STORE), Document::new(strand, OTHER));
        assert_eq!(one.heads(), two.heads());
        let hex: String = one.heads()[0].iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(hex, head, "{}", strand.name());
        assert_eq!(one.read(), Ok(without_info(project(&State::default(), strand))));
    }
}

/// The phase is the one thing that is said of a run before its first event.
fn without_info(mut node: Node) -> Node {
    if let Node::Map(root) = &mut node
        && let Some(Node::Map(info)) = root.get_mut("info")
    {
        info.clear();
    }
    node
}

#[test]
fn only_what_differs_is_written() {
    let mut log = Log::default();
    for n in 0..50 {
        log.write(0, add(n, "a description that is not written again"));
    }
    let before = log.state.clone();
    let mut document = Document::new(Strand::Todo, STORE);
    let whole = seal(&mut document, &before);
    log.write(0, splice(7, 2, 0, "short "));
    let changes = project_changed(&before, &log.state, Strand::Todo);
    assert_eq!(changes.maps["todos"].len(), 1);
    let change = document.seal_changed(&before, &log.state, "one").expect("it can be sealed");
    let [change] = change.as_slice() else { panic!("a text differs") };
    assert!(change.len() * 10 < whole[0].len(), "{} bytes", change.len());
    assert_eq!(document.read(), Ok(project(&log.state, Strand::Todo)));
    assert_eq!(document.seal_changed(&before, &log.state, "again"), Ok(Vec::new()));
    assert_eq!(document.seal_changed(&log.state, &log.state, "nothing"), Ok(Vec::new()));
}

#[test]
fn concurrent_edits_of_a_text_both_stay() {
    let mut log = Log::default();
    log.write(0, add(1, "the quick brown fox ✓ jumps"));
    let mut one = Document::new(Strand::Todo, STORE);
    let common = seal(&mut one, &log.state);
    let mut two = Document::new(Strand::Todo, OTHER);
    two.apply(&common).expect("they were just sealed");

    let mut left = Log::default();
    left.write(0, add(1, "the quick brown fox ✓ jumps"));
    left.write(0, splice(1, 4, 5, "slow"));
    left.write(0, splice(1, 0, 0, "🦀 "));
    log.write(0, splice(1, 27, 0, " over the dog"));
    let from_one = seal(&mut one, &left.state);
    let from_two = seal(&mut two, &log.state);
    one.apply(&from_two).expect("they were just sealed");
    two.apply(&from_one).expect("they were just sealed");
    assert_eq!(description(&one, 1), "🦀 the slow brown fox ✓ jumps over the dog");
    assert_eq!(one.heads(), two.heads());
    assert_eq!(one.read(), two.read());
}

#[test]
fn additions_to_one_todo_by_two_stores_both_stay() {
    let mut log = Log::default();
    log.write(0, add(1, ""));
    let mut one = Document::new(Strand::Todo, STORE);
    let common = seal(&mut one, &log.state);
    let mut two = Document::new(Strand::Todo, OTHER);
    two.apply(&common).expect("they were just sealed");
    let label = |label: &str| O::LabelsChanged {
        todo: todo(1),
        added: vec![label.to_owned()],
        removed: Vec::new(),
    };
    let base = log.state.clone();
    log.write(0, label("left"));
    let with_left = log.state.clone();
    log.write(0, label("right"));
    let from_one = one.seal_changed(&base, &with_left, "left").expect("it can be sealed");
    let from_two = two.seal_changed(&with_left, &log.state, "right").expect("it can be sealed");
    assert_eq!((from_one.len(), from_two.len()), (1, 1), "a label differs");
    one.apply(&from_two).expect("it was just sealed");
    two.apply(&from_one).expect("it was just sealed");
    assert_eq!(one.read(), two.read());
    assert_eq!(one.read(), Ok(project(&log.state, Strand::Todo)));
}

/// Two stores that seal one and the same event make two objects for one todo, and one of them is
/// lost from sight: the next seals settle it.
#[test]
fn two_stores_that_seal_the_same_settle() {
    for strand in Strand::ALL {
        let (mut one, mut two) = (Document::new(strand, STORE), Document::new(strand, OTHER));
        let mut state = rich();
        for round in 0..3 {
            let from_one = seal(&mut one, &state);
            let from_two = seal(&mut two, &state);
            one.apply(&from_two).expect("they were just sealed");
            two.apply(&from_one).expect("they were just sealed");
            state.team.title = format!("round {round}");
        }
        let rest = seal(&mut one, &state);
        two.apply(&rest).expect("they were just sealed");
        assert_eq!(one.heads(), two.heads());
        assert_eq!(two.read(), Ok(project(&state, strand)));
        assert_eq!(two.seal(&project(&state, strand), "nothing"), Ok(Vec::new()));
    }
}

#[test]
fn seals_apply_in_any_order_and_wait_for_their_causes() {
    let mut log = Log::default();
    let mut document = Document::new(Strand::Todo, STORE);
    let mut changes = Vec::new();
    for n in 0..5 {
        log.write(0, add(n, "text"));
        changes.extend(seal(&mut document, &log.state));
    }
    changes.push(genesis(Strand::Todo));
    changes.reverse();
    let mut other = Document::new(Strand::Todo, OTHER);
    let last = &changes[1..2];
    assert_eq!(other.apply(last), Ok(Applied { waiting: vec![0], ..Applied::default() }));
    assert_eq!(
        other.apply(&changes).map(|a| (a.new, a.taken.len(), a.waiting)),
        Ok((5, 5, Vec::new()))
    );
    assert_eq!(other.apply(&changes), Ok(Applied::default()));
    assert_eq!(other.heads(), document.heads());
}

#[test]
fn a_store_goes_on_after_its_document_was_rebuilt() {
    let mut log = Log::default();
    log.write(0, add(1, "before"));
    let mut document = Document::new(Strand::Todo, STORE);
    let changes = seal(&mut document, &log.state);
    let mut rebuilt = Document::new(Strand::Todo, STORE);
    rebuilt.apply(&changes).expect("they were just sealed");
    log.write(0, splice(1, 6, 0, " and after"));
    let more = seal(&mut rebuilt, &log.state);
    document.apply(&more).expect("it follows");
    assert_eq!(document.heads(), rebuilt.heads());
    assert_eq!(description(&document, 1), "before and after");
}

/// What a change cannot hold goes into the next.
#[test]
fn a_large_state_is_sealed_in_several_changes() {
    let mut log = Log::default();
    let long = "lorem ipsum ".repeat(usize::try_from(limits::SEAL_OPS_MAX).expect("small") / 20);
    log.write(0, add(1, &long));
    log.write(0, add(2, &long));
    let mut document = Document::new(Strand::Todo, STORE);
    let changes = seal(&mut document, &log.state);
    assert_eq!(changes.len(), 2);
    let mut other = Document::new(Strand::Todo, OTHER);
    other.apply(&changes).expect("they were just sealed");
    assert_eq!(other.heads(), document.heads());
}

#[test]
fn only_projections_of_its_strand_are_sealed() {
    let mut document = Document::new(Strand::Todo, STORE);
    let refused = Err(DocumentError::Desired { strand: "todo" });
    assert_eq!(document.seal(&project(&rich(), Strand::Design), "wrong"), refused);
    assert_eq!(document.seal(&Node::Int(1), "wrong"), refused);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    /// At rest, document = state, however the way there was cut into seals.
    #[test]
    fn a_document_at_rest_is_the_projection_of_the_state(
        steps in prop::collection::vec((0_u8..32, 0_u64..4, any::<u8>(), 0_u8..4, any::<bool>(), 0_u8..9), 1..60),
    ) {
        let mut log = Log::default();
        let mut dots = Vec::new();
        let mut documents = Strand::ALL.map(|strand| Document::new(strand, STORE));
        let mut seals = [Vec::new(), Vec::new(), Vec::new()];
        let mut sealed = None;
        for (kind, n, pick, writer, aware, cut) in steps {
            let operation = operation(kind, n, pick, &dots);
            let dot = if aware {
                log.write(writer, operation)
            } else {
                log.write_unaware(writer, operation)
            };
            dots.push(dot);
            if cut > 2 {
                continue;
            }
            for (document, seals) in documents.iter_mut().zip(&mut seals) {
                let desired = project(&log.state, document.strand());
                let change = match &sealed {
                    Some(old) if cut > 0 => document.seal_changed(old, &log.state, "part"),
                    _ => document.seal(&desired, "whole"),
                };
                seals.extend(change.expect("it can be sealed"));
                prop_assert_eq!(document.read().expect("it can be read"), desired);
            }
            sealed = Some(log.state.clone());
        }
        for (document, seals) in documents.iter_mut().zip(&mut seals) {
            let desired = project(&log.state, document.strand());
            seals.extend(document.seal(&desired, "last").expect("it can be sealed"));
            prop_assert_eq!(document.seal(&desired, "again"), Ok(Vec::new()));
            prop_assert_eq!(&document.read().expect("it can be read"), &desired);

            let loaded = Document::load(document.strand(), OTHER, &document.save());
            let loaded = loaded.expect("it was just saved");
            prop_assert_eq!(loaded.heads(), document.heads());
            prop_assert_eq!(&loaded.read().expect("it can be read"), &desired);

            seals.reverse();
            let mut rebuilt = Document::new(document.strand(), OTHER);
            rebuilt.apply(seals).expect("they were just sealed");
            prop_assert_eq!(rebuilt.heads(), document.heads());
            prop_assert_eq!(&rebuilt.read().expect("it can be read"), &desired);
        }
    }

    /// What one state adds to another, laid over the other's projection, is its own projection.
    #[test]
    fn changes_between_two_states_lead_from_one_projection_to_the_other(
        first in prop::collection::vec((0_u8..32, 0_u64..4, any::<u8>(), 0_u8..4, any::<bool>()), 0..40),
        second in prop::collection::vec((0_u8..32, 0_u64..4, any::<u8>(), 0_u8..4, any::<bool>()), 0..40),
    ) {
        // Two histories that have nothing in common: the hardest case, for a rewind is milder.
        let mut states = Vec::new();
        for steps in [first, second] {
            let (mut log, mut dots) = (Log::default(), Vec::new());
            for (kind, n, pick, writer, aware) in steps {
                let operation = operation(kind, n, pick, &dots);
                dots.push(if aware {
                    log.write(writer, operation)
                } else {
                    log.write_unaware(writer, operation)
                });
            }
            states.push(log.state);
        }
        for strand in Strand::ALL {
            let Node::Map(mut root) = project(&states[0], strand) else { panic!("a map") };
            let changes = project_changed(&states[0], &states[1], strand);
            let mut shown = Shown::of(&Node::Map(root.clone()));
            let before = shown.digest();
            shown.change(&changes);
            let digest = shown.digest();
            let wanted = project(&states[1], strand);
            prop_assert_eq!(digest, Shown::of(&wanted).digest());
            prop_assert_eq!(before == digest, Node::Map(root.clone()) == wanted);
            lay_over(&mut root, changes.root);
            for (map, entries) in changes.maps {
                let Some(Node::Map(map)) = root.get_mut(map) else { panic!("a map") };
                lay_over(map, entries);
            }
            prop_assert_eq!(Node::Map(root), wanted);
        }
    }
}

/// An edge comes back when another todo gives up its own: the todo that it leaves is the same value
/// as before, at the same address, and is written all the same.
#[test]
fn an_edge_that_comes_back_is_written_though_its_todo_is_unchanged() {
    let mut log = Log::default();
    log.write(0, add(1, ""));
    log.write(0, add(2, ""));
    let kind = EdgeKind::Blocks;
    for (from, to) in [(1, 2), (2, 1)] {
        log.write(
            0,
            O::DependencyAdded {
                todo: todo(from),
                on: todo(to),
                external_id: None,
                kind: kind.clone(),
                layout: None,
            },
        );
    }
    let old = log.state.clone();
    let mut document = Document::new(Strand::Todo, STORE);
    seal(&mut document, &old);
    log.write(0, O::DependencyRemoved { todo: todo(1), on: todo(2), kind });
    let new = &log.state;
    let same = |state: &State| state.todos.get(&todo(2)).map(std::sync::Arc::as_ptr);
    assert_eq!(same(&old), same(new), "the story is another one by now");
    assert!(old.edges(todo(2))[0].suspended && !new.edges(todo(2))[0].suspended);
    document.seal_changed(&old, new, "back").expect("it can be sealed");
    assert_eq!(document.read(), Ok(project(new, Strand::Todo)));
}

/// The ledger drops its oldest entries; those that stay are not written again.
#[test]
fn a_ledger_that_was_cut_loses_only_what_was_cut() {
    let old = rich();
    assert!(old.ledger.len() > 1);
    let mut new = old.clone();
    new.ledger.pop_front();
    new.ledger_cut += 1;
    let changes = project_changed(&old, &new, Strand::Implementation);
    let ledger = &changes.maps["ledger"];
    assert!(ledger.len() == 1 && ledger.values().all(Option::is_none), "{ledger:?}");

    let mut document = Document::new(Strand::Implementation, STORE);
    seal(&mut document, &old);
    document.seal_changed(&old, &new, "cut").expect("it can be sealed");
    assert_eq!(document.read(), Ok(project(&new, Strand::Implementation)));
}

fn lay_over(map: &mut std::collections::BTreeMap<String, Node>, entries: tress_documents::Entries) {
    for (key, node) in entries {
        match node {
            Some(node) => map.insert(key, node),
            None => map.remove(&key),
        };
    }
}
