//! The line of an issue that both sides changed: what the fold decided, in the words of the sides.
//!
//! Each member is written as a side wrote it, wherever a side has the value that holds. Of two ways
//! to write one value the choice depends on the texts alone, so that the sides can change places.

use std::collections::{BTreeMap, BTreeSet};

use tress_model::Todo;

use super::super::json::{Escape, Out, Style, number};
use super::super::keys::position;
use super::facts::{Facts, Item, LISTS, TEXTS, TRESS, UPDATED, meaning, tress_member};

/// The versions of one issue that have to become one.
pub(super) struct Versions<'a> {
    pub(super) base: Option<&'a Facts>,
    pub(super) sides: Vec<&'a Facts>,
}

impl Versions<'_> {
    /// The line, and what ends it.
    pub(super) fn write(&self, todo: &Todo) -> (String, String) {
        let mut raws: BTreeMap<String, String> = BTreeMap::new();
        for (name, wanted) in &todo.extra {
            let raw =
                self.choose(|facts| facts.raws.get(name).filter(|raw| meaning(raw) == *wanted));
            raws.insert(name.clone(), raw.unwrap_or_else(|| self.text(name, wanted)));
        }
        raws.extend(self.standing(todo));
        let updated = self.sides.iter().filter_map(|f| Some((f.updated, f.raws.get(UPDATED)?)));
        raws.extend(updated.max().map(|(_, raw)| (UPDATED.to_owned(), raw.clone())));
        for name in LISTS {
            if self.sides.iter().all(|facts| facts.is_list(name)) {
                raws.extend(self.list(name).map(|raw| (name.to_owned(), raw)));
            }
        }
        self.count(&mut raws);
        let text = self.line(&raws);
        let ends = self.choose(|facts| Some(&facts.end));
        (text, ends.unwrap_or_else(|| "\n".to_owned()))
    }

    /// Of what the sides have, what differs from the base; of several, the greatest.
    fn choose<'f>(&'f self, of: impl Fn(&'f Facts) -> Option<&'f String>) -> Option<String> {
        let old = self.base.and_then(&of);
        let sides = self.sides.iter().filter_map(|facts| of(facts));
        sides.filter(|raw| Some(*raw) != old).max().or(old).cloned()
    }

    /// A value that no side has: a merged text.
    fn text(&self, name: &str, wanted: &str) -> String {
        match serde_json::from_str::<String>(wanted) {
            Ok(text) if TEXTS.contains(&name) => Out::Text(text).write(self.style()),
            _ => wanted.to_owned(),
        }
    }

    fn style(&self) -> Style {
        let styles = || self.sides.iter().map(|facts| facts.style());
        Style {
            spaced: styles().all(|style| style.spaced),
            escape: styles().map(|style| style.escape).find(|e| *e != Escape::Plain).map_or(
                Escape::Plain,
                |_| {
                    let html = styles().any(|style| style.escape == Escape::Html);
                    if html { Escape::Html } else { Escape::Ascii }
                },
            ),
        }
    }

    /// Where it stands: all of that comes from one version.
    fn standing(&self, todo: &Todo) -> Vec<(String, String)> {
        let wanted = todo.closing().map(|closing| &closing.reason).or(todo.stage.as_ref());
        let known = self.sides.iter().copied().chain(self.base);
        let known = known.filter(|facts| Some(&facts.standing) == wanted);
        let raws = known.map(Facts::standing_raws).max().unwrap_or_default();
        raws.into_iter().map(|(name, raw)| (name.to_owned(), raw.clone())).collect()
    }

    /// A list: what one side took out is gone, what one side put in is there, each item once.
    fn list(&self, name: &str) -> Option<String> {
        let old = self.base.map_or(&[][..], |facts| facts.list(name));
        let items = merged_items(old, self.sides.iter().map(|facts| facts.list(name)));
        let same = |facts: &&Facts| {
            let mut list: Vec<&Item> = facts.list(name).iter().collect();
            let mut wanted: Vec<&Item> = items.iter().collect();
            list.sort_by(|a, b| (&a.key, &a.raw).cmp(&(&b.key, &b.raw)));
            wanted.sort_by(|a, b| (&a.key, &a.raw).cmp(&(&b.key, &b.raw)));
            list == wanted
        };
        // Whoever has just these items has them in a good order.
        let raw = |facts: &&Facts| facts.raws.get(name).cloned();
        let was = self.base.and_then(|base| raw(&base));
        let known: Vec<_> = self.sides.iter().copied().filter(same).collect();
        if !known.is_empty() {
            let new = known.iter().map(raw).filter(|raw| *raw != was).max();
            return new.unwrap_or(was);
        }
        let items: Vec<Out> = items.into_iter().map(|item| Out::Raw(item.raw)).collect();
        Some(items)
            .filter(|items| !items.is_empty())
            .map(|items| Out::List(items).write(self.style()))
    }

    /// The counts that follow the lists, where they did so on both sides.
    fn count(&self, raws: &mut BTreeMap<String, String>) {
        for (name, list) in [("comment_count", "comments"), ("dependency_count", "dependencies")] {
            let length = |raw: Option<&String>| {
                raw.and_then(|raw| super::super::json::items(raw).ok())
                    .map_or(0, |items| items.len())
            };
            let follows = |facts: &&Facts| -> bool {
                let count = facts.raws.get(name).and_then(|raw| number(raw).ok()?);
                count == i64::try_from(length(facts.raws.get(list))).ok()
            };
            if raws.contains_key(name) && self.sides.iter().all(follows) {
                let count = length(raws.get(list));
                raws.insert(name.to_owned(), count.to_string());
            }
        }
    }

    /// The members as one line: as a side has it, if one has just these.
    fn line(&self, raws: &BTreeMap<String, String>) -> String {
        let same = self.sides.iter().filter(|facts| facts.raws == *raws);
        if let Some(text) = same.map(|facts| &facts.text).max() {
            return text.clone();
        }
        let style = self.style();
        let mut members: Vec<(&str, String)> = Vec::new();
        let mut tress: Vec<(&str, &String)> = Vec::new();
        for (name, raw) in raws {
            match tress_member(name) {
                Some(member) => tress.push((member, raw)),
                None => members.push((name, raw.clone())),
            }
        }
        if !tress.is_empty() {
            members.push((TRESS, style.object(&tress)));
        }
        let ordered = |facts: &&Facts| facts.names.is_sorted_by_key(|name| position(name));
        let alphabetical = |facts: &&Facts| facts.names.is_sorted();
        let all = |test: &dyn Fn(&&Facts) -> bool| self.sides.iter().all(test);
        if all(&ordered) || !all(&alphabetical) {
            members.sort_by_key(|(name, _)| position(name));
        }
        style.object(&members)
    }
}

/// The items of a list that several sides changed: those of the base in its order, then the new
/// ones as they came.
fn merged_items<'a>(old: &[Item], sides: impl Iterator<Item = &'a [Item]>) -> Vec<Item> {
    let sides: Vec<&[Item]> = sides.collect();
    let find = |list: &'a [Item], key: &str| list.iter().find(|item| item.key == key);
    let changed = |item: &Item| {
        let new = sides.iter().filter_map(|list| find(list, &item.key));
        new.filter(|new| new.raw != item.raw).max_by(|a, b| a.raw.cmp(&b.raw)).cloned()
    };
    let mut items: Vec<Item> = Vec::new();
    for item in old {
        let stays = sides.iter().all(|list| find(list, &item.key).is_some());
        items.extend(changed(item).or_else(|| stays.then(|| item.clone())));
    }
    let known: BTreeSet<&String> = old.iter().map(|item| &item.key).collect();
    let mut new: BTreeMap<&String, &Item> = BTreeMap::new();
    for item in sides.iter().flat_map(|list| list.iter()).filter(|item| !known.contains(&item.key))
    {
        let held = new.entry(&item.key).or_insert(item);
        if held.raw < item.raw {
            *held = item;
        }
    }
    let mut new: Vec<&Item> = new.into_values().collect();
    new.sort_by(|a, b| (a.at, &a.raw).cmp(&(b.at, &b.raw)));
    items.extend(new.into_iter().cloned());
    items
}

/// Merges the texts that several sides changed and gives each of them the merged text, so that the
/// fold finds them agreed. A text that cannot be merged is left to the fold.
pub(super) fn merge_texts(base: Option<&Facts>, sides: &mut [Facts]) {
    for name in TEXTS {
        let nothing = Facts::default();
        let base = base.unwrap_or(&nothing);
        let Some(old) = base.prose(name) else { continue };
        let texts: Option<Vec<String>> = sides.iter().map(|facts| facts.prose(name)).collect();
        let Some(texts) = texts else { continue };
        let new: Vec<&str> = texts.iter().map(String::as_str).filter(|text| *text != old).collect();
        let differ = new.iter().any(|text| new.first() != Some(text));
        let Some(merged) = differ.then(|| super::text::merge(&old, &new)).flatten() else {
            continue;
        };
        let wanted = meaning(&super::super::json::string(&merged));
        for (facts, _) in sides.iter_mut().zip(&texts).filter(|(_, text)| **text != old) {
            facts.plain.insert(name.to_owned(), wanted.clone());
        }
    }
}
