//! A document read into nodes. What a foreign tool may have put there is read as what comes nearest.

use std::collections::BTreeMap;

use automerge::{Automerge, AutomergeError, ObjId, ObjType, ReadDoc, ScalarValueRef, ValueRef};
use tress_model::Strand;

use crate::error::DocumentError;
use crate::limits::DEPTH_MAX;
use crate::node::{Node, int, place};
use crate::schema;

/// Reads maps, and knows where it is.
pub(crate) struct Walk<'a> {
    doc: &'a Automerge,
    strand: Strand,
    path: Vec<String>,
}

impl<'a> Walk<'a> {
    pub(crate) fn new(doc: &'a Automerge, strand: Strand) -> Self {
        Self { doc, strand, path: Vec::new() }
    }

    pub(crate) fn map(&mut self, object: &ObjId) -> Result<Node, DocumentError> {
        let mut entries = BTreeMap::new();
        for item in self.doc.map_range(object, ..) {
            let key = item.key.to_string();
            let child = || item.id();
            if let Some(node) = self.value(key.clone(), &item.value, child)? {
                entries.insert(key, node);
            }
        }
        Ok(Node::Map(entries))
    }

    fn list(&mut self, object: &ObjId) -> Result<Node, DocumentError> {
        let mut entries = BTreeMap::new();
        let doc = self.doc;
        for (at, item) in doc.list_range(object, ..).enumerate() {
            let child = || item.id();
            if let Some(node) = self.value(place(at), &item.value, child)? {
                entries.insert(place(at), node);
            }
        }
        Ok(Node::Map(entries))
    }

    /// The value under `key`; `None` where there is a null.
    fn value(
        &mut self,
        key: String,
        value: &ValueRef<'_>,
        child: impl FnOnce() -> ObjId,
    ) -> Result<Option<Node>, DocumentError> {
        self.path.push(key);
        if self.path.len() > DEPTH_MAX {
            return Err(DocumentError::TooDeep { path: self.path.join("/") });
        }
        let node = match value {
            ValueRef::Object(ObjType::Text) => {
                let text = self.doc.text(child()).map_err(unreadable)?;
                Some(self.string(text))
            }
            ValueRef::Object(ObjType::List) => Some(self.list(&child())?),
            ValueRef::Object(_) => Some(self.map(&child())?),
            ValueRef::Scalar(value) => self.scalar(value),
        };
        self.path.pop();
        Ok(node)
    }

    /// A string is prose or not by its place, whichever way it was written.
    fn string(&self, text: String) -> Node {
        let path: Vec<&str> = self.path.iter().map(String::as_str).collect();
        if schema::is_text(self.strand, &path) { Node::Text(text) } else { Node::Str(text) }
    }

    fn scalar(&self, value: &ScalarValueRef<'_>) -> Option<Node> {
        let hexadecimal = |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        Some(match value {
            ScalarValueRef::Str(text) => self.string(text.to_string()),
            ScalarValueRef::Int(value) | ScalarValueRef::Counter(value) => Node::Int(*value),
            ScalarValueRef::Uint(value) => int(*value),
            ScalarValueRef::F64(value) => Node::Float(*value),
            ScalarValueRef::Boolean(value) => Node::Bool(*value),
            ScalarValueRef::Timestamp(at) => Node::Timestamp(*at),
            ScalarValueRef::Bytes(bytes) | ScalarValueRef::Unknown { bytes, .. } => {
                Node::Str(hexadecimal(bytes))
            }
            ScalarValueRef::Null => return None,
        })
    }
}

fn unreadable(error: AutomergeError) -> DocumentError {
    DocumentError::Unreadable { reason: error.to_string() }
}
