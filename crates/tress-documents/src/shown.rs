//! What a document shows, as hashes that change where it does.

use std::collections::BTreeMap;

use crate::node::Node;
use crate::projection::{Changes, Entries};

/// How many parts there are: a change costs a part for each of its entries.
const PARTS: usize = 256;

/// The hash of an entry's name, and of its value.
type Hash = [u8; 32];

/// The hashes of what a document shows, entry by entry, so that the [digest](Self::digest) of what it shows after a
/// change costs what changed. An entry is that of [`project_changed`](crate::project_changed).
///
/// ```
/// use tress_documents::{Shown, project, project_changed};
/// use tress_model::{State, Strand};
///
/// let (old, new) = (State::default(), State::default());
/// let mut shown = Shown::of(&project(&old, Strand::Todo));
/// shown.change(&project_changed(&old, &new, Strand::Todo));
/// assert_eq!(shown.digest(), Shown::of(&project(&new, Strand::Todo)).digest());
/// ```
#[derive(Debug, Clone)]
pub struct Shown {
    parts: Vec<Part>,
}

/// The entries whose names have hashes that begin with the same byte.
#[derive(Debug, Clone, Default)]
struct Part {
    entries: BTreeMap<Hash, Hash>,
    /// The hash of all of them, until one changes.
    digest: Option<Hash>,
}

impl Shown {
    /// What `content` shows, a [projection](crate::project). Linear in its size.
    pub fn of(content: &Node) -> Self {
        let mut shown = Self { parts: vec![Part::default(); PARTS] };
        let mut bytes = Vec::new();
        for (name, node) in content.as_map().into_iter().flatten() {
            match node {
                Node::Map(entries) => {
                    for (key, node) in entries {
                        shown.put((name, key), Some(node), &mut bytes);
                    }
                }
                marker => shown.put(("", name), Some(marker), &mut bytes),
            }
        }
        shown
    }

    /// Shows what these changes make of it. Linear in them.
    pub fn change(&mut self, changes: &Changes) {
        let mut bytes = Vec::new();
        let mut change = |map: &str, entries: &Entries| {
            for (key, node) in entries {
                self.put((map, key), node.as_ref(), &mut bytes);
            }
        };
        change("", &changes.root);
        changes.maps.iter().for_each(|(map, entries)| change(map, entries));
    }

    /// A hash of all of it: where the same is shown, it is the same. Linear in the parts that changed since the last.
    pub fn digest(&mut self) -> [u8; 32] {
        // Another version of it where a seal of what is equal by this would do something else.
        let mut all = blake3::Hasher::new_derive_key("tress 2026 what a document shows, v2");
        for part in &mut self.parts {
            let digest = *part.digest.get_or_insert_with(|| {
                let mut hasher = blake3::Hasher::new();
                for (name, value) in &part.entries {
                    hasher.update(name).update(value);
                }
                *hasher.finalize().as_bytes()
            });
            all.update(&digest);
        }
        *all.finalize().as_bytes()
    }

    fn put(&mut self, (map, key): (&str, &str), node: Option<&Node>, bytes: &mut Vec<u8>) {
        bytes.clear();
        bytes.extend_from_slice(&(map.len() as u64).to_le_bytes());
        bytes.extend_from_slice(map.as_bytes());
        bytes.extend_from_slice(key.as_bytes());
        let name = *blake3::hash(bytes).as_bytes();
        let Some(part) = self.parts.get_mut(usize::from(name[0])) else { return };
        part.digest = None;
        match node {
            Some(node) => part.entries.insert(name, node.digest(bytes)),
            None => part.entries.remove(&name),
        };
    }
}
