//! Circles in a graph of names.

use std::collections::{BTreeMap, BTreeSet};

/// The circles of a graph: its strongly connected components of more than one node, each in the
/// order in which they were found. Linear, and without recursion.
/// (Tarjan: *Depth-First Search and Linear Graph Algorithms*, 1972.)
pub(crate) fn cycles<'a>(edges: &[(&'a str, &'a str)]) -> Vec<Vec<&'a str>> {
    let mut next: BTreeMap<&'a str, Vec<&'a str>> = BTreeMap::new();
    for &(from, to) in edges.iter().filter(|(from, to)| from != to) {
        next.entry(from).or_default().push(to);
    }
    let mut search = Search {
        next: &next,
        order: BTreeMap::new(),
        low: BTreeMap::new(),
        open: Vec::new(),
        settled: BTreeSet::new(),
        found: Vec::new(),
    };
    for &(start, _) in edges {
        if !search.order.contains_key(start) {
            search.walk(start);
        }
    }
    search.found
}

struct Search<'g, 'a> {
    next: &'g BTreeMap<&'a str, Vec<&'a str>>,
    order: BTreeMap<&'a str, usize>,
    low: BTreeMap<&'a str, usize>,
    open: Vec<&'a str>,
    settled: BTreeSet<&'a str>,
    found: Vec<Vec<&'a str>>,
}

impl<'a> Search<'_, 'a> {
    fn enter(&mut self, node: &'a str) {
        let number = self.order.len();
        self.order.insert(node, number);
        self.low.insert(node, number);
        self.open.push(node);
    }

    fn lower(&mut self, node: &'a str, to: usize) {
        if let Some(low) = self.low.get_mut(node) {
            *low = (*low).min(to);
        }
    }

    fn walk(&mut self, start: &'a str) {
        self.enter(start);
        let mut path = vec![(start, 0_usize)];
        while let Some((node, at)) = path.last_mut() {
            let node = *node;
            let target = self.next.get(node).and_then(|targets| targets.get(*at)).copied();
            *at += 1;
            match target {
                Some(target) => match self.order.get(target).copied() {
                    None => {
                        self.enter(target);
                        path.push((target, 0));
                    }
                    Some(number) if !self.settled.contains(target) => self.lower(node, number),
                    Some(_) => {}
                },
                None => {
                    path.pop();
                    self.leave(node);
                    let low = self.low.get(node).copied().unwrap_or_default();
                    if let Some(&(parent, _)) = path.last() {
                        self.lower(parent, low);
                    }
                }
            }
        }
    }

    /// Ends a component where `node` is the first of it that was met.
    fn leave(&mut self, node: &'a str) {
        if self.low.get(node) != self.order.get(node) {
            return;
        }
        let first = self.open.iter().rposition(|&open| open == node).unwrap_or(0);
        let members = self.open.split_off(first);
        self.settled.extend(members.iter().copied());
        if members.len() > 1 {
            self.found.push(members);
        }
    }
}

/// Names in one line, as a circle.
pub(crate) fn circle(names: &[&str]) -> String {
    const SHOWN: usize = 8;
    let mut shown: Vec<&str> = names.iter().copied().take(SHOWN).collect();
    if names.len() > SHOWN {
        shown.push("…");
    }
    shown.extend(names.first());
    shown.join(" -> ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn circles_are_found_and_chains_are_not() {
        let edges = [("a", "b"), ("b", "c"), ("c", "a"), ("c", "d"), ("d", "e"), ("x", "x")];
        assert_eq!(cycles(&edges), [["a", "b", "c"]]);
        assert!(cycles(&[("a", "b"), ("a", "c"), ("b", "c")]).is_empty());
        let names: Vec<String> = (0..100_000).map(|n| n.to_string()).collect();
        let chain: Vec<_> =
            names.iter().zip(names.iter().skip(1)).map(|(a, b)| (a.as_str(), b.as_str())).collect();
        assert!(cycles(&chain).is_empty());
    }
}
