//! The content of a document as plain values, without Automerge.

use std::collections::BTreeMap;

/// One value of a document. There is no null (what is not there has no key) and no list (sets and
/// sequences are maps, so that concurrent additions do not clash).
#[derive(Debug, Clone)]
pub enum Node {
    /// A map.
    Map(BTreeMap<String, Node>),
    /// A text that merges character by character: an Automerge text object.
    Text(String),
    /// A string that is replaced as a whole: an Automerge scalar.
    Str(String),
    /// A whole number.
    Int(i64),
    /// Any other number.
    Float(f64),
    /// Yes or no.
    Bool(bool),
    /// Milliseconds since 1970-01-01T00:00:00Z.
    Timestamp(i64),
}

/// Two nodes are equal where no seal could tell them apart: one NaN is as good as another.
impl PartialEq for Node {
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Map(a), Self::Map(b)) => a == b,
            (Self::Text(a), Self::Text(b)) | (Self::Str(a), Self::Str(b)) => a == b,
            (Self::Int(a), Self::Int(b)) | (Self::Timestamp(a), Self::Timestamp(b)) => a == b,
            (Self::Float(a), Self::Float(b)) => same_float(*a, *b),
            (Self::Bool(a), Self::Bool(b)) => a == b,
            _ => false,
        }
    }
}

pub(crate) fn same_float(a: f64, b: f64) -> bool {
    a == b || (a.is_nan() && b.is_nan())
}

impl Node {
    /// The value under `key`, if this is a map that has one.
    pub fn get(&self, key: &str) -> Option<&Self> {
        self.as_map().and_then(|map| map.get(key))
    }

    /// The value that the keys of `path` lead to.
    pub fn at(&self, path: &[&str]) -> Option<&Self> {
        path.iter().try_fold(self, |node, key| node.get(key))
    }

    /// The entries, if this is a map.
    pub fn as_map(&self) -> Option<&BTreeMap<String, Self>> {
        match self {
            Self::Map(map) => Some(map),
            _ => None,
        }
    }

    /// The characters, if this is a string or a text.
    pub fn as_str(&self) -> Option<&str> {
        match self {
            Self::Str(text) | Self::Text(text) => Some(text),
            _ => None,
        }
    }

    /// A hash of it: equal nodes have the same. Linear in its size; `bytes` is room for it.
    pub(crate) fn digest(&self, bytes: &mut Vec<u8>) -> [u8; 32] {
        bytes.clear();
        self.put(bytes);
        *blake3::hash(bytes).as_bytes()
    }

    fn put(&self, to: &mut Vec<u8>) {
        let text = |text: &str, to: &mut Vec<u8>| {
            to.extend_from_slice(&(text.len() as u64).to_le_bytes());
            to.extend_from_slice(text.as_bytes());
        };
        match self {
            Self::Map(map) => {
                to.push(0);
                to.extend_from_slice(&(map.len() as u64).to_le_bytes());
                for (key, node) in map {
                    text(key, to);
                    node.put(to);
                }
            }
            Self::Text(said) | Self::Str(said) => {
                to.push(if matches!(self, Self::Text(_)) { 1 } else { 2 });
                text(said, to);
            }
            Self::Int(number) | Self::Timestamp(number) => {
                to.push(if matches!(self, Self::Int(_)) { 3 } else { 4 });
                to.extend_from_slice(&number.to_le_bytes());
            }
            Self::Float(number) => {
                to.push(5);
                // One NaN is as good as another, and so is one zero.
                let number = if number.is_nan() { f64::NAN } else { *number + 0.0 };
                to.extend_from_slice(&number.to_le_bytes());
            }
            Self::Bool(yes) => to.extend_from_slice(&[6, u8::from(*yes)]),
        }
    }

    /// How much it takes to write it: Automerge operations, with eight bytes of a string for one
    /// more, so that a change is bounded in bytes, too.
    pub(crate) fn operations(&self) -> u64 {
        match self {
            Self::Map(map) => 1 + map.values().map(Self::operations).sum::<u64>(),
            Self::Text(text) => 1 + text.chars().count() as u64,
            Self::Str(text) => 1 + text.len() as u64 / 8,
            _ => 1,
        }
    }
}

impl From<&str> for Node {
    fn from(text: &str) -> Self {
        Self::Str(text.to_owned())
    }
}

impl From<&String> for Node {
    fn from(text: &String) -> Self {
        Self::Str(text.clone())
    }
}

impl From<bool> for Node {
    fn from(value: bool) -> Self {
        Self::Bool(value)
    }
}

/// Whole numbers beyond the range of the document are the nearest it has.
pub(crate) fn int(value: impl TryInto<i64>) -> Node {
    Node::Int(value.try_into().unwrap_or(i64::MAX))
}

/// A moment, in milliseconds.
pub(crate) fn time(at: u64) -> Node {
    Node::Timestamp(at.try_into().unwrap_or(i64::MAX))
}

/// The fields of a map, while it is put together.
#[derive(Debug, Default)]
pub(crate) struct Fields(BTreeMap<String, Node>);

impl Fields {
    pub(crate) fn new() -> Self {
        Self::default()
    }

    /// A field that is there.
    #[must_use]
    pub(crate) fn with(mut self, key: impl Into<String>, value: impl Into<Node>) -> Self {
        self.0.insert(key.into(), value.into());
        self
    }

    /// A field that may not be there.
    #[must_use]
    pub(crate) fn maybe(self, key: &str, value: Option<impl Into<Node>>) -> Self {
        match value {
            Some(value) => self.with(key, value),
            None => self,
        }
    }

    /// A line of text that is left out where it is empty.
    #[must_use]
    pub(crate) fn line(self, key: &str, value: &str) -> Self {
        self.maybe(key, (!value.is_empty()).then_some(value))
    }

    /// A map that is left out where it is empty.
    #[must_use]
    pub(crate) fn group(self, key: &str, entries: BTreeMap<String, Node>) -> Self {
        self.maybe(key, (!entries.is_empty()).then_some(Node::Map(entries)))
    }

    pub(crate) fn into_map(self) -> BTreeMap<String, Node> {
        self.0
    }
}

impl From<Fields> for Node {
    fn from(fields: Fields) -> Self {
        Self::Map(fields.0)
    }
}

/// A set: a map whose keys are the members.
pub(crate) fn set<'a>(members: impl IntoIterator<Item = &'a String>) -> BTreeMap<String, Node> {
    members.into_iter().map(|member| (member.clone(), Node::Bool(true))).collect()
}

/// A sequence: a map whose keys are the places, in eight digits.
pub(crate) fn sequence(items: impl IntoIterator<Item = Node>) -> BTreeMap<String, Node> {
    items.into_iter().enumerate().map(|(at, item)| (place(at), item)).collect()
}

/// The key of a place in a sequence.
pub(crate) fn place(at: usize) -> String {
    format!("{at:08}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_digests_of_equal_nodes_are_equal_and_of_others_are_not() {
        let map = |entries: &[(&str, Node)]| {
            Node::Map(entries.iter().map(|(key, node)| ((*key).to_owned(), node.clone())).collect())
        };
        let said = || "1".to_owned();
        let nodes = [
            Node::Text(said()),
            Node::Str(said()),
            Node::Str(String::new()),
            Node::Int(1),
            Node::Timestamp(1),
            Node::Float(1.0),
            Node::Float(0.0),
            Node::Float(-0.0),
            Node::Float(f64::NAN),
            Node::Float(-f64::NAN),
            Node::Bool(true),
            Node::Bool(false),
            map(&[]),
            map(&[("a", Node::Int(1))]),
            map(&[("a", Node::Int(1)), ("b", Node::Int(1))]),
            map(&[("a", map(&[("b", Node::Int(1))]))]),
            map(&[("a", map(&[])), ("b", Node::Int(1))]),
            map(&[("ab", Node::Str("c".to_owned()))]),
            map(&[("a", Node::Str("bc".to_owned()))]),
        ];
        for one in &nodes {
            for two in &nodes {
                let same = one.digest(&mut Vec::new()) == two.digest(&mut vec![1]);
                assert_eq!(same, one == two, "{one:?}, {two:?}");
            }
        }
    }
}
