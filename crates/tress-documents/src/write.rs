//! The difference between a document and what it should hold, as a plan of edits, and the writing
//! of that plan. A plan is made before a transaction is opened, so that a document that needs no
//! change is not touched.

use std::collections::{BTreeMap, HashMap};

use automerge::transaction::{Transactable, Transaction};
use automerge::{
    Automerge, AutomergeError, ObjId, ObjType, ReadDoc, ScalarValue, ScalarValueRef, TextEncoding,
    Value, ValueRef, hydrate,
};
use tress_model::state::prose::difference;

use crate::limits::{SEAL_OPS_MAX, TEXT_DIFF_MAX};
use crate::node::{Node, same_float};

/// Texts are counted in Unicode scalar values, here and in every other program that shares the
/// workspace's build of Automerge.
pub(crate) const ENCODING: TextEncoding = TextEncoding::UnicodeCodePoint;

enum Edit<'a> {
    Put { object: ObjId, key: String, node: &'a Node },
    Delete { object: ObjId, key: String },
    Text { text: ObjId, old: String, new: &'a str },
}

/// What has to be written, in as many parts as there are to be changes.
#[derive(Default)]
pub(crate) struct Plan<'a> {
    parts: Vec<Part<'a>>,
    /// How many operations the last of them takes.
    operations: u64,
}

/// What is written as one change.
#[derive(Default)]
pub(crate) struct Part<'a>(Vec<Edit<'a>>);

impl<'a> Plan<'a> {
    /// What does not fit any more begins the next part.
    fn push(&mut self, edit: Edit<'a>, operations: u64) {
        self.operations = self.operations.saturating_add(operations);
        match self.parts.last_mut().filter(|_| self.operations <= SEAL_OPS_MAX) {
            Some(part) => part.0.push(edit),
            None => {
                self.parts.push(Part(vec![edit]));
                self.operations = operations;
            }
        }
    }

    /// Plans what makes the map `object` hold exactly `desired`.
    pub(crate) fn map(
        &mut self,
        doc: &Automerge,
        object: &ObjId,
        desired: &'a BTreeMap<String, Node>,
    ) -> Result<(), AutomergeError> {
        let mut missing: BTreeMap<&str, &Node> =
            desired.iter().map(|(key, node)| (key.as_str(), node)).collect();
        for item in doc.map_range(object, ..) {
            let key = item.key.as_ref();
            let Some(node) = missing.remove(key) else {
                self.push(Edit::Delete { object: object.clone(), key: key.to_owned() }, 1);
                continue;
            };
            let child = match item.value {
                ValueRef::Object(_) => Some(item.id()),
                ValueRef::Scalar(_) => None,
            };
            self.value(doc, (object, key), (&item.value, child), node)?;
        }
        for (key, node) in missing {
            self.put(object, key, node);
        }
        Ok(())
    }

    /// Plans what makes the map `object` hold these entries, whatever others it holds.
    pub(crate) fn entries(
        &mut self,
        doc: &Automerge,
        object: &ObjId,
        entries: &'a BTreeMap<String, Option<Node>>,
    ) -> Result<(), AutomergeError> {
        for (key, node) in entries {
            match (doc.get(object, key.as_str())?, node) {
                (Some((Value::Object(kind), child)), Some(node)) => {
                    let value = ValueRef::Object(kind);
                    self.value(doc, (object, key), (&value, Some(child)), node)?;
                }
                (Some((Value::Scalar(value), _)), Some(node)) => {
                    let value = ValueRef::Scalar(value.into_owned().into());
                    self.value(doc, (object, key), (&value, None), node)?;
                }
                (None, Some(node)) => self.put(object, key, node),
                (Some(_), None) => {
                    self.push(Edit::Delete { object: object.clone(), key: key.clone() }, 1);
                }
                (None, None) => {}
            }
        }
        Ok(())
    }

    fn put(&mut self, object: &ObjId, key: &str, node: &'a Node) {
        let edit = Edit::Put { object: object.clone(), key: key.to_owned(), node };
        self.push(edit, node.operations());
    }

    fn value(
        &mut self,
        doc: &Automerge,
        (object, key): (&ObjId, &str),
        (value, child): (&ValueRef<'_>, Option<ObjId>),
        node: &'a Node,
    ) -> Result<(), AutomergeError> {
        match (value, child, node) {
            (ValueRef::Object(ObjType::Map), Some(child), Node::Map(desired)) => {
                self.map(doc, &child, desired)?;
            }
            (ValueRef::Object(ObjType::Text), Some(text), Node::Text(new)) => {
                let old = doc.text(&text)?;
                if old != *new {
                    let operations = old.chars().count().saturating_add(new.chars().count());
                    self.push(Edit::Text { text, old, new }, operations as u64);
                }
            }
            (ValueRef::Scalar(old), _, node) if is_scalar(old, node) => {}
            _ => self.put(object, key, node),
        }
        Ok(())
    }
}

impl<'a> IntoIterator for Plan<'a> {
    type Item = Part<'a>;
    type IntoIter = std::vec::IntoIter<Part<'a>>;

    fn into_iter(self) -> Self::IntoIter {
        self.parts.into_iter()
    }
}

impl Part<'_> {
    /// Writes it.
    pub(crate) fn write(self, tx: &mut Transaction<'_>) -> Result<(), AutomergeError> {
        for edit in self.0 {
            match edit {
                Edit::Put { object, key, node } => put(tx, &object, key, node)?,
                Edit::Delete { object, key } => tx.delete(&object, key)?,
                Edit::Text { text, old, new } => splice(tx, &text, &old, new)?,
            }
        }
        Ok(())
    }
}

fn is_scalar(value: &ScalarValueRef<'_>, node: &Node) -> bool {
    match (value, node) {
        (ScalarValueRef::Str(old), Node::Str(new)) => old == new,
        (ScalarValueRef::Int(old), Node::Int(new)) => old == new,
        (ScalarValueRef::F64(old), Node::Float(new)) => same_float(*old, *new),
        (ScalarValueRef::Boolean(old), Node::Bool(new)) => old == new,
        (ScalarValueRef::Timestamp(old), Node::Timestamp(new)) => old == new,
        _ => false,
    }
}

/// New objects are made with all they hold in one go: Automerge's bulk path costs two splices of
/// its operation set and not one for each value. It sorts the keys, so the order is fixed.
fn put(
    tx: &mut Transaction<'_>,
    object: &ObjId,
    key: String,
    node: &Node,
) -> Result<(), AutomergeError> {
    match hydrated(node) {
        hydrate::Value::Scalar(value) => tx.put(object, key, value),
        value => tx.batch_create_object(object, key, &value, false).map(drop),
    }
}

fn hydrated(node: &Node) -> hydrate::Value {
    match node {
        Node::Map(map) => {
            let entries = map.iter().map(|(key, node)| (key.clone(), hydrated(node)));
            hydrate::Map::from(entries.collect::<HashMap<_, _>>()).into()
        }
        Node::Text(text) => hydrate::Value::text(ENCODING, text),
        Node::Str(text) => ScalarValue::Str(text.as_str().into()).into(),
        Node::Int(value) => ScalarValue::Int(*value).into(),
        Node::Float(value) => ScalarValue::F64(*value).into(),
        Node::Bool(value) => ScalarValue::Boolean(*value).into(),
        Node::Timestamp(at) => ScalarValue::Timestamp(*at).into(),
    }
}

/// Writes as little of a text as can be found out at reasonable cost, since what is not written
/// keeps the edits that others make to it.
fn splice(
    tx: &mut Transaction<'_>,
    text: &ObjId,
    old: &str,
    new: &str,
) -> Result<(), AutomergeError> {
    let Some(whole) = difference(old, new) else {
        return Ok(());
    };
    let inserted = whole.insert.chars().count() as u64;
    let product = u64::from(whole.delete).saturating_mul(inserted);
    if (1..=TEXT_DIFF_MAX).contains(&product) {
        return tx.update_text(text, new);
    }
    tx.splice_text(text, whole.at as usize, whole.delete as isize, &whole.insert)
}

#[cfg(test)]
mod tests {
    use automerge::ROOT;

    use super::*;

    #[test]
    fn a_change_holds_its_most_operations_and_the_rest_is_left_to_the_next() {
        let mut plan = Plan::default();
        // What fits into no change is one of its own.
        for operations in [SEAL_OPS_MAX - 1, 1, 1, SEAL_OPS_MAX + 1, 1, SEAL_OPS_MAX - 1] {
            plan.push(Edit::Delete { object: ROOT, key: "x".to_owned() }, operations);
        }
        let parts: Vec<usize> = plan.into_iter().map(|part| part.0.len()).collect();
        assert_eq!(parts, [2, 1, 1, 2]);
    }

    /// How many operations it takes to write one text over another: both have one letter in common,
    /// in the midst of `deleted` and `inserted` letters.
    fn operations(deleted: usize, inserted: usize) -> usize {
        let text = |letter: &str, count: usize| {
            format!("{}k{}", letter.repeat(count / 2), letter.repeat(count - 1 - count / 2))
        };
        let (old, new) = (text("o", deleted), text("n", inserted));
        let mut doc = automerge::Automerge::new_with_encoding(ENCODING);
        let mut tx = doc.transaction();
        let object = tx.put_object(ROOT, "t", ObjType::Text).expect("a map takes any key");
        tx.splice_text(&object, 0, 0, &old).expect("it is a text");
        tx.commit();
        let mut tx = doc.transaction();
        splice(&mut tx, &object, &old, &new).expect("it is a text");
        let (hash, _) = tx.commit();
        hash.and_then(|hash| doc.get_change_by_hash(&hash)).map_or(0, |change| change.len())
    }

    #[test]
    fn a_text_is_compared_by_characters_up_to_the_limit_and_replaced_over_it() {
        let side = (TEXT_DIFF_MAX as f64).sqrt() as usize;
        assert_eq!((side * side) as u64, TEXT_DIFF_MAX);
        assert_eq!(operations(side, side), 2 * side - 2, "the letter that both have stays");
        assert_eq!(operations(side, side + 1), 2 * side + 1, "all is replaced");
    }
}
