//! Prose: text that merges character by character.
//!
//! A text is the list of all spans that were ever inserted, in place, each with the dot that
//! inserted it and the dots that deleted it. An edit is counted in characters of the text as its
//! author saw it, so it is applied by counting only the spans that the author could see. Since
//! every replica folds edits in the same canonical order, any deterministic placement converges;
//! an insertion goes behind the concurrent insertions at its place, so that each author's text
//! stays in one piece. (The event graph takes the part that it has in Gentle and Kleppmann,
//! *Collaborative Text Editing with Eg-walker*, EuroSys 2025.)
//!
//! An edit that a selective replay leaves out still counts for the places of those that saw it: its
//! insertions are kept without their text, and its deletions hide nothing.

use serde::{Deserialize, Serialize};

use crate::event::Event;
use crate::ids::Dot;
use crate::operation::Splice;

/// A text and what is needed to merge further edits into it.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Prose {
    spans: Vec<Span>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Span {
    dot: Dot,
    /// In characters; a deleted span keeps its length and drops its text.
    len: u32,
    text: String,
    deleted: Vec<Dot>,
    /// Deletions that were left out: they hold for whoever saw them, and for nobody else.
    spared: Vec<Dot>,
    /// Whether its insertion was left out.
    left_out: bool,
}

impl Span {
    fn new(dot: Dot, text: String) -> Self {
        let len = chars(&text);
        Self { dot, len, text, deleted: Vec::new(), spared: Vec::new(), left_out: false }
    }

    fn live(&self) -> bool {
        self.deleted.is_empty() && !self.left_out
    }

    fn visible_to(&self, event: &Event) -> bool {
        let gone = self.deleted.iter().chain(&self.spared).any(|&dot| event.saw(dot));
        event.saw(self.dot) && !gone
    }
}

/// How an edit is merged.
#[derive(Clone, Copy, PartialEq)]
enum Mode {
    /// It counts.
    Counts,
    /// It was left out: only the places of others are counted with it.
    LeftOut,
}

fn chars(text: &str) -> u32 {
    u32::try_from(text.chars().count()).unwrap_or(u32::MAX)
}

impl Prose {
    /// The text that `dot` brought into being.
    pub fn new(dot: Dot, text: String) -> Self {
        let mut prose = Self::default();
        if !text.is_empty() {
            prose.spans.push(Span::new(dot, text));
        }
        prose
    }

    /// The text as it stands.
    pub fn text(&self) -> String {
        self.live().collect()
    }

    /// Whether there is no text.
    pub fn is_empty(&self) -> bool {
        self.live().all(str::is_empty)
    }

    /// Whether the text is exactly `text`, without building it.
    pub fn is(&self, text: &str) -> bool {
        let mut rest = Some(text);
        for span in self.live() {
            rest = rest.and_then(|rest| rest.strip_prefix(span));
        }
        rest == Some("")
    }

    fn live(&self) -> impl Iterator<Item = &str> {
        self.spans.iter().filter(|span| span.live()).map(|span| span.text.as_str())
    }

    /// The length of the text that the author of `event` saw, in characters.
    pub fn seen_len(&self, event: &Event) -> u32 {
        let seen = self.spans.iter().filter(|span| span.visible_to(event));
        seen.fold(0, |sum, span| sum.saturating_add(span.len))
    }

    /// The splice that puts `text` in place of everything that the author of `event` saw.
    pub fn whole(&self, event: &Event, text: &str) -> Splice {
        Splice { at: 0, delete: self.seen_len(event), insert: text.to_owned() }
    }

    /// Merges an edit. What lies behind the end of the text that its author saw is moved to the
    /// end. Linear in the number of spans for each splice.
    pub fn edit(&mut self, event: &Event, splices: &[Splice]) {
        self.merge(event, splices, Mode::Counts);
    }

    /// Takes note of an edit that is left out, so that the places of those who saw it are right.
    pub fn leave_out(&mut self, event: &Event, splices: &[Splice]) {
        self.merge(event, splices, Mode::LeftOut);
    }

    fn merge(&mut self, event: &Event, splices: &[Splice], mode: Mode) {
        for splice in splices {
            let at = self.seek(event, splice.at);
            self.delete(event, at, splice.delete, mode);
            if !splice.insert.is_empty() {
                let concurrent = self.spans.iter().skip(at);
                let skip = concurrent.take_while(|span| !event.saw(span.dot)).count();
                let mut span = Span::new(event.dot, splice.insert.clone());
                if mode == Mode::LeftOut {
                    span.left_out = true;
                    span.text = String::new();
                }
                self.spans.insert(at + skip, span);
            }
        }
    }

    /// The index of the span before which `at` characters are visible; splits a span if need be.
    fn seek(&mut self, event: &Event, at: u32) -> usize {
        let mut left = at;
        let mut index = 0;
        while left > 0 {
            let Some(span) = self.spans.get(index) else {
                break;
            };
            if span.visible_to(event) {
                if span.len > left {
                    self.split(index, left);
                    return index + 1;
                }
                left -= span.len;
            }
            index += 1;
        }
        index
    }

    fn delete(&mut self, event: &Event, from: usize, count: u32, mode: Mode) {
        let mut left = count;
        let mut index = from;
        while left > 0 {
            let Some(span) = self.spans.get(index) else {
                return;
            };
            if span.visible_to(event) {
                if span.len > left {
                    self.split(index, left);
                }
                if let Some(span) = self.spans.get_mut(index) {
                    left -= span.len;
                    if mode == Mode::LeftOut {
                        span.spared.push(event.dot);
                    } else {
                        span.deleted.push(event.dot);
                        span.text = String::new();
                    }
                }
            }
            index += 1;
        }
    }

    fn split(&mut self, index: usize, at: u32) {
        let Some(span) = self.spans.get_mut(index) else {
            return;
        };
        let byte = span.text.char_indices().nth(at as usize).map_or(span.text.len(), |(b, _)| b);
        let mut tail = span.clone();
        tail.len = span.len - at;
        tail.text = span.text.split_off(byte);
        span.len = at;
        self.spans.insert(index + 1, tail);
    }
}

/// The one splice that turns `old` into `new`: what lies between their common beginning and end.
/// `None` where they are equal.
pub fn difference(old: &str, new: &str) -> Option<Splice> {
    if old == new {
        return None;
    }
    let old: Vec<char> = old.chars().collect();
    let new: Vec<char> = new.chars().collect();
    let head = old.iter().zip(&new).take_while(|(a, b)| a == b).count();
    let room = old.len().min(new.len()) - head;
    let tail =
        old.iter().rev().zip(new.iter().rev()).take(room).take_while(|(a, b)| a == b).count();
    let inserted = new.iter().skip(head).take(new.len() - head - tail);
    Some(Splice {
        at: u32::try_from(head).unwrap_or(u32::MAX),
        delete: u32::try_from(old.len() - head - tail).unwrap_or(u32::MAX),
        insert: inserted.collect(),
    })
}
