//! A syntax tree laid out flat: every node in the order of the text, with its parent and its end.
//!
//! Walks are loops over indices, so no text, however deeply nested, can exhaust the stack, and a
//! parent is one step away (tree-sitter finds a parent from the root, which is slow where a tree is
//! deep).

use std::ops::Range;

use crate::Language;
use crate::language::Tree;

/// A longer text is not parsed: it is generated, or data. In bytes.
pub const TEXT_MAX: usize = 2 << 20;

/// Nodes nested deeper than this are not judged, so that the work stays linear in the text.
const DEPTH_MAX: usize = 256;

/// The place of a node in its [`Syntax`].
pub(crate) type Id = usize;

#[derive(Debug, Clone, Copy)]
struct Item<'t> {
    kind: &'t str,
    field: Option<&'t str>,
    start: usize,
    end: usize,
    row: usize,
    last_row: usize,
    column: usize,
    parent: Id,
    next: Id,
    previous: Id,
    depth: usize,
    named: bool,
    broken: bool,
}

/// The flat tree.
#[derive(Debug)]
pub(crate) struct Syntax<'t> {
    pub(crate) language: Language,
    pub(crate) text: &'t str,
    items: Vec<Item<'t>>,
}

impl<'t> Syntax<'t> {
    /// Lays `tree` out.
    pub(crate) fn of(tree: &'t Tree) -> Self {
        let root = tree.root();
        let mut cursor = root.get_inner_node().walk();
        let mut items: Vec<Item<'t>> = Vec::new();
        let mut open: Vec<Id> = Vec::new();
        // The sibling before the next node; a first child has none, and names itself.
        let mut before = None;
        'walk: loop {
            let node = cursor.node();
            let position = node.start_position();
            let previous = before.take().unwrap_or(items.len());
            items.push(Item {
                kind: node.kind(),
                field: cursor.field_name(),
                start: node.start_byte(),
                end: node.end_byte(),
                row: position.row,
                last_row: node.end_position().row,
                column: position.column,
                parent: open.last().copied().unwrap_or(0),
                next: 0,
                previous,
                depth: open.len(),
                named: node.is_named(),
                broken: node.is_error() || node.is_missing(),
            });
            open.push(items.len() - 1);
            if cursor.goto_first_child() {
                continue;
            }
            loop {
                let length = items.len();
                let closed = open.pop();
                if let Some(item) = closed.and_then(|id| items.get_mut(id)) {
                    item.next = length;
                }
                before = closed;
                if cursor.goto_next_sibling() {
                    continue 'walk;
                }
                if !cursor.goto_parent() {
                    break 'walk;
                }
            }
        }
        let text = root.get_doc().src.as_str();
        Self { language: *root.lang(), text, items }
    }

    fn item(&self, id: Id) -> Item<'t> {
        self.items.get(id).copied().unwrap_or(Item {
            kind: "",
            field: None,
            start: 0,
            end: 0,
            row: 0,
            last_row: 0,
            column: 0,
            parent: 0,
            next: 0,
            previous: 0,
            depth: 0,
            named: false,
            broken: false,
        })
    }

    pub(crate) fn all(&self) -> Range<Id> {
        0..self.items.len()
    }

    pub(crate) fn kind(&self, id: Id) -> &'t str {
        self.item(id).kind
    }

    pub(crate) fn named(&self, id: Id) -> bool {
        self.item(id).named
    }

    /// Whether the node is an error, or was put in by the parser where something is missing.
    pub(crate) fn broken(&self, id: Id) -> bool {
        self.item(id).broken
    }

    pub(crate) fn range(&self, id: Id) -> Range<usize> {
        let item = self.item(id);
        item.start..item.end
    }

    pub(crate) fn text(&self, id: Id) -> &'t str {
        self.text.get(self.range(id)).unwrap_or_default()
    }

    /// The first line of the node, from 1.
    pub(crate) fn line(&self, id: Id) -> usize {
        self.item(id).row + 1
    }

    /// The column at which the node begins, from 1, in bytes.
    pub(crate) fn column(&self, id: Id) -> usize {
        self.item(id).column + 1
    }

    pub(crate) fn last_line(&self, id: Id) -> usize {
        self.item(id).last_row + 1
    }

    pub(crate) fn parent(&self, id: Id) -> Option<Id> {
        (id > 0).then(|| self.item(id).parent)
    }

    /// The nodes above, nearest first; at most [`DEPTH_MAX`].
    pub(crate) fn ancestors(&self, id: Id) -> impl Iterator<Item = Id> + '_ {
        std::iter::successors(self.parent(id), |id| self.parent(*id)).take(DEPTH_MAX)
    }

    /// The sibling before the node.
    pub(crate) fn previous(&self, id: Id) -> Option<Id> {
        Some(self.item(id).previous).filter(|previous| *previous != id)
    }

    /// Whether the node is nested deeper than anybody writes.
    pub(crate) fn too_deep(&self, id: Id) -> bool {
        self.item(id).depth > DEPTH_MAX
    }

    /// The node and all below it.
    pub(crate) fn within(&self, id: Id) -> Range<Id> {
        id..self.item(id).next
    }

    pub(crate) fn children(&self, id: Id) -> impl Iterator<Item = Id> + '_ {
        let end = self.item(id).next;
        let first = Some(id + 1).filter(|child| *child < end);
        std::iter::successors(first, move |child| {
            Some(self.item(*child).next).filter(|next| *next < end && next > child)
        })
    }

    /// The named children that are not comments.
    pub(crate) fn parts(&self, id: Id) -> Vec<Id> {
        self.children(id).filter(|child| self.named(*child) && !self.comment(*child)).collect()
    }

    pub(crate) fn comment(&self, id: Id) -> bool {
        matches!(self.kind(id), "comment" | "line_comment" | "block_comment")
    }

    pub(crate) fn field(&self, id: Id, name: &str) -> Option<Id> {
        self.children(id).find(|child| self.item(*child).field == Some(name))
    }

    pub(crate) fn field_text(&self, id: Id, name: &str) -> Option<&'t str> {
        self.field(id, name).map(|child| self.text(child))
    }

    /// The node with exactly this range that is outermost.
    pub(crate) fn at(&self, range: &Range<usize>) -> Option<Id> {
        let from = self.items.partition_point(|item| item.start < range.start);
        let rest = self.items.get(from..)?;
        let there = rest.iter().take_while(|item| item.start == range.start);
        there.enumerate().find(|(_, item)| item.end == range.end).map(|(at, _)| from + at)
    }

    /// The identifiers at or below the node.
    pub(crate) fn identifiers(&self, id: Id) -> impl Iterator<Item = &'t str> + '_ {
        self.within(id).filter(|id| self.identifier(*id)).map(|id| self.text(id))
    }

    pub(crate) fn identifier(&self, id: Id) -> bool {
        let kind = self.kind(id);
        kind.ends_with("identifier") && !kind.starts_with("scoped")
            || kind.ends_with("_pattern") && self.leaf(id)
    }

    pub(crate) fn leaf(&self, id: Id) -> bool {
        self.item(id).next == id + 1
    }

    /// What the node says whatever its layout and comments: a hash of its leaves (FNV-1a, Fowler,
    /// Noll and Vo, 1991, 64 bits).
    pub(crate) fn hash(&self, id: Id) -> u64 {
        let mut hash = 0xcbf2_9ce4_8422_2325_u64;
        let mut take = |text: &str| {
            for byte in text.bytes().chain([0]) {
                hash = (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
            }
        };
        let mut at = id;
        let end = self.item(id).next;
        while at < end {
            let whole = self.leaf(at) || self.kind(at).contains("string");
            if self.comment(at) || whole {
                if whole && !self.comment(at) {
                    take(self.text(at));
                }
                at = self.item(at).next.max(at + 1);
            } else {
                at += 1;
            }
        }
        hash
    }
}

/// The tree of `text`; `None` where it is too long to be parsed.
pub(crate) fn parse(language: Language, text: &str) -> Option<Tree> {
    (text.len() <= TEXT_MAX).then(|| language.parse(text))
}
