//! Foreign edits: what somebody changed in a document with a tool of Automerge, as operations.
//!
//! A document equals its state at rest. Once foreign changes are applied, whatever differs is what
//! they mean: [`edits`] compares, and says it in operations, to be appended under whoever wrote it. What
//! no operation can say, or nobody may, is refused with a reason; the next seal settles it back.
//!
//! Texts are compared as they came out of the merge, so what others wrote in them meanwhile stays.

mod design;
mod todo;
mod work;

use std::collections::BTreeMap;

use tress_model::operation::{ProseTarget, Splice};
use tress_model::state::prose::difference;
use tress_model::{Operation, State, Strand};

use crate::limits::TEXT_DIFF_MAX;
use crate::node::Node;
use crate::projection::project;

/// What foreign changes mean.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Edits {
    /// What they say, in the order in which it is to be appended.
    pub operations: Vec<Operation>,
    /// What they may not say.
    pub refused: Vec<RefusedEdit>,
}

/// An edit that means no operation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RefusedEdit {
    /// Where in the document.
    pub path: String,
    /// Why, and what to do instead.
    pub reason: String,
}

/// What the document `edited` of `strand` says other than `state`. Linear in the document.
pub fn edits(state: &State, strand: Strand, edited: &Node) -> Edits {
    let known = project(state, strand);
    let mut found = Edits::default();
    let whole = [("schema", "the schema is not edited"), ("strand", "a document keeps its strand")];
    for (key, reason) in whole {
        if known.get(key) != edited.get(key) {
            found.refuse(key, reason);
        }
    }
    match strand {
        Strand::Todo => found.todos(state, &known, edited),
        Strand::Design => found.design(state, &known, edited),
        Strand::Implementation => found.work(state, &known, edited),
    }
    found
}

const NONE: &BTreeMap<String, Node> = &BTreeMap::new();

/// What may be under the same key in both.
struct Pair<'a> {
    key: &'a str,
    old: Option<&'a Node>,
    new: Option<&'a Node>,
}

/// The entries of two maps that differ.
fn differing<'a>(old: Option<&'a Node>, new: Option<&'a Node>) -> Vec<Pair<'a>> {
    let entries = |node: Option<&'a Node>| node.and_then(Node::as_map).unwrap_or(NONE);
    let (old, new) = (entries(old), entries(new));
    let keys: std::collections::BTreeSet<&String> = old.keys().chain(new.keys()).collect();
    let pairs = keys.into_iter().map(|key| Pair { key, old: old.get(key), new: new.get(key) });
    pairs.filter(|pair| pair.old != pair.new).collect()
}

impl Edits {
    fn refuse(&mut self, path: impl Into<String>, reason: &str) {
        self.refused.push(RefusedEdit { path: path.into(), reason: reason.to_owned() });
    }

    /// A text that was edited, here and there.
    fn prose(&mut self, target: ProseTarget, old: &str, new: &str) {
        let splices = splices(old, new);
        if !splices.is_empty() {
            self.operations.push(Operation::ProseEdited { target, splices });
        }
    }
}

/// What makes `new` of `old`, counted in characters: as little as can be found out at reasonable cost
/// (Myers 1986), since what is not written keeps the edits that others make to it.
fn splices(old: &str, new: &str) -> Vec<Splice> {
    let Some(whole) = difference(old, new) else { return Vec::new() };
    let inserted = whole.insert.chars().count() as u64;
    if !(1..=TEXT_DIFF_MAX).contains(&u64::from(whole.delete).saturating_mul(inserted)) {
        return vec![whole];
    }
    let (old, new): (Vec<char>, Vec<char>) = (old.chars().collect(), new.chars().collect());
    let changes = similar::capture_diff_slices(similar::Algorithm::Myers, &old, &new);
    let changes = changes.into_iter().filter(|change| change.tag() != similar::DiffTag::Equal);
    let splices = changes.map(|change| Splice {
        at: u32::try_from(change.old_range().start).unwrap_or(u32::MAX),
        delete: u32::try_from(change.old_range().len()).unwrap_or(u32::MAX),
        insert: new.get(change.new_range()).unwrap_or_default().iter().collect(),
    });
    let splices: Vec<Splice> = splices.collect();
    // So many scattered edits are one.
    if splices.len() > tress_model::limits::SPLICES_MAX { vec![whole] } else { splices }
}

/// A string; what is of another type is none.
fn text(node: Option<&Node>) -> Option<&str> {
    node.and_then(Node::as_str)
}

/// A whole number, also where it was written as a float: JavaScript has no other.
fn whole(node: &Node) -> Option<i64> {
    match node {
        Node::Int(value) | Node::Timestamp(value) => Some(*value),
        Node::Float(value) if value.fract() == 0.0 && value.abs() < 9e15 => Some(*value as i64),
        _ => None,
    }
}

/// The members of a set: the keys of a map, or what a list of texts holds, as JavaScript writes sets.
fn members(node: Option<&Node>) -> Vec<String> {
    let entries = node.and_then(Node::as_map).unwrap_or(NONE);
    let place = |key: &String| key.len() == 8 && key.bytes().all(|byte| byte.is_ascii_digit());
    if !entries.is_empty()
        && entries.iter().all(|(key, value)| place(key) && value.as_str().is_some())
    {
        return entries.values().filter_map(Node::as_str).map(str::to_owned).collect();
    }
    let kept = entries.iter().filter(|(_, value)| **value != Node::Bool(false));
    kept.map(|(member, _)| member.clone()).collect()
}
