//! What each document has to say of a state: a pure function from the folded state to nodes.
//!
//! Every document is a root of markers and named maps (made by its [genesis](crate::genesis)), and
//! every named map has entries. An entry is the unit in which [`project_changed`] skips what two
//! states share.

mod design;
mod team;
mod todo;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use imbl::{OrdMap, Vector};
use tress_model::state::design::{Assessment, Decision, Deviation};
use tress_model::state::team::{Agent, Agents, Checkpoint, Integration};
use tress_model::{Dot, EventId, LedgerEntry, State, StoreId, Strand, TodoId};

use crate::node::{Node, place, same_float};
use crate::schema;

/// The entries of one named map: `None` where an entry has to go.
pub type Entries = BTreeMap<String, Option<Node>>;

/// What differs between two states, as one strand's document shows them.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Changes {
    /// Markers in the root of the document.
    pub root: Entries,
    /// Entries of the named maps; a map without changes is not there.
    pub maps: BTreeMap<&'static str, Entries>,
}

impl Changes {
    /// Whether there is nothing to change.
    pub fn is_empty(&self) -> bool {
        self.root.is_empty() && self.maps.is_empty()
    }

    fn put(&mut self, map: &'static str, entries: Entries) {
        if !entries.is_empty() {
            self.maps.insert(map, entries);
        }
    }
}

/// The whole content of one strand's document.
pub fn project(state: &State, strand: Strand) -> Node {
    let changes = collect(None, state, strand);
    let whole = |entries: Entries| {
        entries.into_iter().filter_map(|(key, node)| Some((key, node?))).collect()
    };
    let mut root: BTreeMap<String, Node> = whole(changes.root);
    for map in schema::maps(strand) {
        root.insert((*map).to_owned(), Node::Map(BTreeMap::new()));
    }
    for (map, entries) in changes.maps {
        root.insert(map.to_owned(), Node::Map(whole(entries)));
    }
    Node::Map(root)
}

/// What has to change in one strand's document that shows `old` for it to show `new`. What the two
/// states share is not looked at.
pub fn project_changed(old: &State, new: &State, strand: Strand) -> Changes {
    collect(Some(old), new, strand)
}

fn collect(old: Option<&State>, new: &State, strand: Strand) -> Changes {
    let mut changes = Changes { root: markers(old, new, strand), ..Changes::default() };
    match strand {
        Strand::Design => collect_design(old, new, &mut changes),
        Strand::Todo => changes.put("todos", todos(old, new)),
        Strand::Implementation => {
            collect_run(old, new, &mut changes);
            collect_history(old, new, &mut changes);
        }
    }
    changes
}

fn markers(old: Option<&State>, new: &State, strand: Strand) -> Entries {
    let mut root = Entries::new();
    if old.is_none() {
        root.insert("schema".to_owned(), Some(Node::Int(schema::VERSION)));
        root.insert("strand".to_owned(), Some(strand.name().into()));
    }
    let title = |state: &State| {
        let title = &state.team.title;
        (!title.is_empty()).then(|| Node::from(title))
    };
    if old.and_then(title) != title(new) {
        root.insert("run".to_owned(), title(new));
    }
    root
}

fn todos(old: Option<&State>, new: &State) -> Entries {
    let entry = |id| {
        let todo = new.todo(id).map(|todo| todo::todo(todo, new.edges(id)));
        (id.to_string(), todo)
    };
    match old {
        None => new.todos.keys().copied().map(entry).collect(),
        Some(old) => {
            let mut changed: BTreeSet<TodoId> = new.todos.changed(&old.todos).collect();
            // Edges of what is not there lead from nowhere.
            let there = |id: &TodoId| new.todos.contains_key(id);
            changed.extend(new.edges_changed(old).into_iter().filter(there));
            changed.into_iter().map(entry).collect()
        }
    }
}

fn work(old: Option<&State>, new: &State) -> Entries {
    let node = |state: &State, id| state.todo(id).and_then(|todo| todo::work(todo));
    let ids: Vec<TodoId> = match old {
        None => new.todos.keys().copied().collect(),
        Some(old) => new.todos.changed(&old.todos).collect(),
    };
    let both = ids.into_iter().map(|id| (id, old.and_then(|old| node(old, id)), node(new, id)));
    let differ = both.filter(|(_, old, new)| old != new);
    differ.map(|(id, _, new)| (id.to_string(), new)).collect()
}

fn collect_design(old: Option<&State>, new: &State, changes: &mut Changes) {
    let (old, new) = (old.map(|old| &old.design), &new.design);
    let before = old.map(|old| &old.sections);
    changes.put("sections", map(before, &new.sections, Arc::ptr_eq, |s| design::section(s)));
    let before = old.map(|old| &old.requirements);
    let requirements = map(before, &new.requirements, Arc::ptr_eq, |r| design::requirement(r));
    changes.put("requirements", requirements);
    let before = old.map(|old| &old.rules);
    changes.put("rules", map(before, &new.rules, Arc::ptr_eq, |rule| design::rule(rule)));

    let before = (old.map(|old| &old.decisions), 0);
    let key = |_, decision: &Arc<Decision>| decision.dot.to_string();
    let decisions = vector(before, &new.decisions, Arc::ptr_eq, key, |d| design::decision(d));
    changes.put("decisions", decisions);
    let before = (old.map(|old| &old.deviations), 0);
    let key = |_, deviation: &Arc<Deviation>| deviation.dot.to_string();
    let deviations = vector(before, &new.deviations, Arc::ptr_eq, key, |d| design::deviation(d));
    changes.put("deviations", deviations);
    let before = (old.map(|old| &old.assessments), 0);
    let key = |_, assessment: &Arc<Assessment>| assessment.dot.to_string();
    let assessments = vector(before, &new.assessments, Arc::ptr_eq, key, |a| design::assessment(a));
    changes.put("assessments", assessments);
}

/// What there is one of for each name: the run's terms, its agents, figures and members.
fn collect_run(old: Option<&State>, new: &State, changes: &mut Changes) {
    changes.put("work", work(old, new));
    let before = old.map(team::info).unwrap_or_default();
    changes.put("info", differences(before, team::info(new)));
    let (old, new) = (old.map(|old| &old.team), &new.team);
    let before = old.map(|old| &old.settings);
    changes.put("settings", map(before, &new.settings, String::eq, |value| value.into()));
    let (nobody, agent) = (Agents::default(), |agent: &Agent| team::agent(agent));
    let changed = old.map_or(&nobody, |old| &old.agents).changed(&new.agents);
    let agents = changed.map(|(name, _, now)| (name.to_string(), now.as_ref().map(agent)));
    changes.put("agents", agents.collect());
    let before = old.map(|old| &old.alerts);
    changes.put("alerts", map(before, &new.alerts, Arc::ptr_eq, |alert| team::alert(alert)));
    let float = |figure: &f64| Node::Float(*figure);
    let same = |a: &f64, b: &f64| same_float(*a, *b);
    let before = old.map(|old| &old.metrics);
    changes.put("metrics", map(before, &new.metrics, same, float));
    let before = old.map(|old| &old.budget);
    changes.put("budget", map(before, &new.budget, same, float));
    let before = old.map(|old| &old.retired);
    let store = |store: &StoreId| Node::Str(store.to_string());
    changes.put("retired", map(before, &new.retired, PartialEq::eq, store));
    let before = old.map(|old| &old.members);
    let key = |key: &[u8; 32]| Node::Str(EventId(*key).to_string());
    changes.put("members", map(before, &new.members, PartialEq::eq, key));
}

/// What grows with the run: integrations, checkpoints, the ledger and the like.
fn collect_history(old: Option<&State>, new: &State, changes: &mut Changes) {
    let cut = old.map_or(0, |old| new.ledger_cut.saturating_sub(old.ledger_cut));
    let before = (old.map(|old| &old.ledger), usize::try_from(cut).unwrap_or(usize::MAX));
    let key = |_, entry: &Arc<LedgerEntry>| team::ledger_key(entry);
    changes.put("ledger", vector(before, &new.ledger, Arc::ptr_eq, key, |e| team::ledger(e)));
    let (old, new) = (old.map(|old| &old.team), &new.team);
    let before = (old.map(|old| &old.integrations), 0);
    let key = |_, done: &Integration| done.completion.to_string();
    let integrations = vector(before, &new.integrations, PartialEq::eq, key, team::integration);
    changes.put("integrations", integrations);
    let before = (old.map(|old| &old.checkpoints), 0);
    let key = |_, checkpoint: &Arc<Checkpoint>| checkpoint.dot.to_string();
    let checkpoints = vector(before, &new.checkpoints, Arc::ptr_eq, key, |c| team::checkpoint(c));
    changes.put("checkpoints", checkpoints);
    let before = (old.map(|old| &old.learning), 0);
    let learning = vector(before, &new.learning, PartialEq::eq, |at, _| place(at), team::learning);
    changes.put("learning", learning);
    let before = (old.map(|old| &old.lineage), 0);
    let lineage = vector(before, &new.lineage, PartialEq::eq, |at, _| place(at), team::lineage);
    changes.put("lineage", lineage);
    let before = (old.map(|old| &old.undone), 0);
    let key = |_, dot: &Dot| dot.to_string();
    let undone = vector(before, &new.undone, PartialEq::eq, key, |_| Node::Bool(true));
    changes.put("undone", undone);
}

/// The entries by which two small maps differ.
fn differences(old: BTreeMap<String, Node>, new: BTreeMap<String, Node>) -> Entries {
    let gone = old.keys().filter(|key| !new.contains_key(*key)).map(|key| (key.clone(), None));
    let mut entries: Entries = gone.collect();
    let changed = new.into_iter().filter(|(key, node)| old.get(key) != Some(node));
    entries.extend(changed.map(|(key, node)| (key, Some(node))));
    entries
}

/// The entries by which two persistent maps differ.
fn map<K: Ord + ToString, V>(
    old: Option<&OrdMap<K, V>>,
    new: &OrdMap<K, V>,
    same: impl Fn(&V, &V) -> bool,
    node: impl Fn(&V) -> Node,
) -> Entries {
    let mut entries = Entries::new();
    if old.is_some_and(|old| old.ptr_eq(new)) {
        return entries;
    }
    for (key, value) in new {
        let before = old.and_then(|old| old.get(key));
        if !before.is_some_and(|before| same(before, value)) {
            entries.insert(key.to_string(), Some(node(value)));
        }
    }
    for (key, _) in old.into_iter().flat_map(OrdMap::iter) {
        if !new.contains_key(key) {
            entries.insert(key.to_string(), None);
        }
    }
    entries
}

/// The entries by which two sequences differ whose items have keys. `old` comes with the number of
/// items that were dropped from its front since.
fn vector<T: Clone>(
    (old, dropped): (Option<&Vector<T>>, usize),
    new: &Vector<T>,
    same: impl Fn(&T, &T) -> bool,
    key: impl Fn(usize, &T) -> String,
    node: impl Fn(&T) -> Node,
) -> Entries {
    let mut entries = Entries::new();
    if dropped == 0 && old.is_some_and(|old| old.ptr_eq(new)) {
        return entries;
    }
    let mut kept = Vec::new();
    let mut rest = new.iter().enumerate();
    for (at, before) in old.into_iter().flat_map(Vector::iter).enumerate() {
        let after = if at < dropped { None } else { rest.next() };
        match after {
            Some((at, after)) if same(before, after) => kept.push((at, after)),
            Some((at, after)) => {
                entries.entry(key(at, before)).or_insert(None);
                entries.insert(key(at, after), Some(node(after)));
            }
            None => {
                entries.entry(key(at, before)).or_insert(None);
            }
        }
    }
    entries.extend(rest.map(|(at, item)| (key(at, item), Some(node(item)))));
    // Two items may share a key; one that goes must not take another along that stays.
    if entries.values().any(Option::is_none) {
        for (at, item) in kept {
            if let Some(entry) = entries.get_mut(&key(at, item)).filter(|entry| entry.is_none()) {
                *entry = Some(node(item));
            }
        }
    }
    entries
}
