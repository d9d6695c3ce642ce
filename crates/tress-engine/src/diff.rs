//! What differs between two states, in the words of the domain: two moments of a run, or two runs.
//!
//! Contents are compared, never what only tells how they came about: dots, clocks, versions, who
//! wrote a field last. So two runs that came to the same content by different events differ in
//! nothing. What a side has is matched by what it says, not by the event that said it.
//!
//! Two moments of one run share most of their maps, and what is shared is not looked at. Where the
//! two sides are judged at different times, all todos are looked at once, for leases that ended.

mod design;
mod field;
mod team;
mod todo;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::fmt::Display;
use std::sync::Arc;

use imbl::ordmap::DiffItem;
use imbl::{OrdMap, Vector};
use serde::Serialize;
use tress_model::clock::Millis;
use tress_model::operation::EdgeKind;
use tress_model::{LedgerEntry, Rule, State, Status, TodoId};

pub use self::field::{Field, Part, Value};

/// What differs between two states.
#[derive(Debug, Clone, PartialEq, Default, Serialize)]
pub struct Difference {
    /// Todos that one side has and the other has not, or has otherwise; by id.
    pub todos: Vec<TodoDifference>,
    /// The same of the design.
    pub design: Vec<ItemDifference>,
    /// The same of the team and the run itself.
    pub team: Vec<ItemDifference>,
    /// Conflicts that were decided in one only.
    pub ledger: LedgerDifference,
}

impl Difference {
    /// Whether nothing differs.
    pub fn is_empty(&self) -> bool {
        self.todos.is_empty()
            && self.design.is_empty()
            && self.team.is_empty()
            && self.ledger.added.is_empty()
            && self.ledger.gone.is_empty()
    }
}

/// On which side something is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Presence {
    /// Only on the side that is compared to.
    Added,
    /// Only on the side that is compared from.
    Gone,
    /// On both, and not the same.
    Changed,
}

impl Presence {
    fn of<T, U>(before: Option<T>, after: Option<U>) -> Self {
        match (before, after) {
            (None, Some(_)) => Self::Added,
            (Some(_), None) => Self::Gone,
            _ => Self::Changed,
        }
    }
}

/// A todo that differs. One that is deleted is as one that is not there.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct TodoDifference {
    /// The todo.
    pub todo: TodoId,
    /// Where it is.
    pub presence: Presence,
    /// What differs. Of one that is only on one side, all that it has.
    pub facts: Vec<Fact>,
}

/// Something else that differs: a section, a decision, an agent, an alert …
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ItemDifference {
    /// What it is.
    pub part: Part,
    /// What it is called; empty for the run itself.
    pub key: String,
    /// The todo it is about.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub todo: Option<TodoId>,
    /// Where it is.
    pub presence: Presence,
    /// What differs. Of something that is only on one side, all that it has.
    pub facts: Vec<Fact>,
}

/// One fact that differs.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Fact {
    /// Of what.
    pub field: Field,
    /// Of which, where a todo has several: the label, the kind of the edge, the text of the note.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub item: Option<String>,
    /// The todo at the other end of an edge.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub target: Option<TodoId>,
    /// What it was; none where there was none.
    pub before: Option<Value>,
    /// What it is; none where there is none.
    pub after: Option<Value>,
}

/// Conflicts that were decided on one side only.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct LedgerDifference {
    /// Only on the side that is compared to.
    pub added: Vec<Decided>,
    /// Only on the side that is compared from.
    pub gone: Vec<Decided>,
}

/// A conflict that was decided, without the events that it was between.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Decided {
    /// The rule that decided.
    pub rule: Rule,
    /// The agent that lost.
    pub agent: Arc<str>,
    /// The todo it was about.
    pub todo: Option<TodoId>,
    /// What was decided, in one line.
    pub detail: String,
}

impl From<&LedgerEntry> for Decided {
    fn from(entry: &LedgerEntry) -> Self {
        let LedgerEntry { rule, agent, todo, detail, .. } = entry;
        Self { rule: *rule, agent: Arc::clone(agent), todo: *todo, detail: detail.clone() }
    }
}

/// What differs between `from`, as it stood at the first of the times `at`, and `to`, as it stood
/// at the second. Costs what differs, and one look at each todo where the times differ.
///
/// ```
/// use tress_engine::diff::difference;
/// use tress_model::State;
///
/// let state = State::default();
/// assert!(difference(&state, &state, (0, 0)).is_empty());
/// ```
pub fn difference(from: &State, to: &State, at: (Millis, Millis)) -> Difference {
    let todos = affected(from, to, at).into_iter();
    Difference {
        todos: todos.filter_map(|id| todo::difference(from, to, at, id)).collect(),
        design: design::differences(&from.design, &to.design),
        team: team::differences(&from.team, &to.team),
        ledger: ledger(from, to),
    }
}

/// The todos whose status differs, with both; a todo that is not there has none. Costs what
/// [`difference`] does, and is the part of it that tells what an event set free or held back.
pub fn statuses(
    from: &State,
    to: &State,
    at: (Millis, Millis),
) -> Vec<(TodoId, Option<Status>, Option<Status>)> {
    let status = |state: &State, id, now| state.todo(id).map(|todo| state.status_of(todo, now));
    let both = |id| (id, status(from, id, at.0), status(to, id, at.1));
    let affected = affected(from, to, at).into_iter().map(both);
    affected.filter(|(_, before, after)| before != after).collect()
}

/// The todos that may differ: those that were touched, those whose status depends on one that was,
/// and those whose leases or delays ended between the two times.
fn affected(from: &State, to: &State, at: (Millis, Millis)) -> BTreeSet<TodoId> {
    let mut found: BTreeSet<TodoId> = from.todos.changed(&to.todos).collect();
    let edges = from.edges_changed(to);
    let mut queue: VecDeque<TodoId> = found.iter().chain(&edges).copied().collect();
    found.extend(&edges);
    let sides = [from, to];
    let waiting = |parent: TodoId| sides.into_iter().flat_map(move |s| s.dependents(parent));
    let parents = |id: TodoId| {
        let edges = sides.into_iter().flat_map(move |state| state.edges(id));
        edges.filter(|edge| edge.kind == EdgeKind::ParentChild).map(|edge| edge.on)
    };
    // A child that came or went may be what somebody waits for.
    for id in edges {
        queue.extend(parents(id).flat_map(waiting).filter(|id| found.insert(*id)));
    }
    while let Some(id) = queue.pop_front() {
        let [before, after] = sides.map(|state| {
            let finished = state.todos.is_finished(&id);
            (finished, state.holds_back(id), state.is_blocked(id))
        });
        if before != after {
            let near = waiting(id).chain(parents(id).flat_map(waiting));
            queue.extend(near.filter(|id| found.insert(*id)));
        }
    }
    if at.0 != at.1 {
        let between = at.0.min(at.1)..at.0.max(at.1);
        let ends = |time: Option<Millis>| {
            time.and_then(|time| time.checked_sub(1)).is_some_and(|last| between.contains(&last))
        };
        let ended = to.todos.unfinished().filter(|todo| {
            ends(todo.defer_until) || ends(todo.claim.as_deref().and_then(|claim| claim.until))
        });
        found.extend(ended.map(|todo| todo.id));
    }
    found
}

fn ledger(from: &State, to: &State) -> LedgerDifference {
    // A ledger that was cut lost its oldest entries; what the other still has of them is not gone.
    let cut =
        |mine: u64, other: u64| usize::try_from(other.saturating_sub(mine)).unwrap_or(usize::MAX);
    let before = from.ledger.iter().skip(cut(from.ledger_cut, to.ledger_cut));
    let after = to.ledger.iter().skip(cut(to.ledger_cut, from.ledger_cut));
    let mut found = LedgerDifference::default();
    for pair in pairs(before, after, Arc::ptr_eq, |entry| Decided::from(&***entry)) {
        match pair {
            (Some(entry), None) => found.gone.push((&**entry).into()),
            (None, Some(entry)) => found.added.push((&**entry).into()),
            _ => {}
        }
    }
    found
}

/// Facts as one side has them: what a thing is made of.
type Facts = Vec<(Field, Option<Value>)>;

/// What differs between the facts of the two sides. Both name the same fields in the same order; a
/// side that has nothing has no facts.
fn facts(before: Facts, after: Facts) -> Vec<Fact> {
    let rows = before.len().max(after.len());
    let fill = |facts: Facts| facts.into_iter().map(Some).chain(std::iter::repeat(None)).take(rows);
    let differ = |(before, after): (Option<(Field, _)>, Option<(Field, _)>)| {
        let field = before.as_ref().or(after.as_ref())?.0;
        let [before, after] = [before, after].map(|fact| fact.and_then(|(_, value)| value));
        let fact = Fact { field, item: None, target: None, before, after };
        (fact.before != fact.after).then_some(fact)
    };
    fill(before).zip(fill(after)).filter_map(differ).collect()
}

/// What is found to differ, part after part.
#[derive(Default)]
struct Items {
    part: Option<Part>,
    found: Vec<ItemDifference>,
}

impl Items {
    /// What comes now is of this part.
    fn of(&mut self, part: Part) -> &mut Self {
        self.part = Some(part);
        self
    }

    fn put(
        &mut self,
        key: String,
        todo: Option<TodoId>,
        before: Option<Facts>,
        after: Option<Facts>,
    ) {
        let presence = Presence::of(before.as_ref(), after.as_ref());
        let absent = before.is_none() && after.is_none();
        let facts = facts(before.unwrap_or_default(), after.unwrap_or_default());
        if absent || (presence == Presence::Changed && facts.is_empty()) {
            return;
        }
        let found = self.part.map(|part| ItemDifference { part, key, todo, presence, facts });
        self.found.extend(found);
    }

    /// Compares what two maps hold. What they share is not looked at. A value without facts is as
    /// one that is not there, and one about another todo is another one.
    fn map<K: Ord + Display, V: PartialEq>(
        &mut self,
        from: &OrdMap<K, V>,
        to: &OrdMap<K, V>,
        todo: impl Fn(&V) -> Option<TodoId>,
        facts: impl Fn(&V) -> Option<Facts>,
    ) {
        for item in from.diff(to) {
            let (key, before, after) = match item {
                DiffItem::Add(key, after) => (key, None, Some(after)),
                DiffItem::Remove(key, before) => (key, Some(before), None),
                DiffItem::Update { old: (_, before), new: (key, after) } => {
                    (key, Some(before), Some(after))
                }
            };
            let [old, new] = [before, after].map(|value| value.and_then(&todo));
            let [before, after] = [before, after].map(|value| value.and_then(&facts));
            if old == new {
                self.put(key.to_string(), old, before, after);
            } else {
                self.put(key.to_string(), old, before, None);
                self.put(key.to_string(), new, None, after);
            }
        }
    }

    /// Compares two lists, whose things are matched by what `key` says of them.
    fn list<T: Clone, K: Ord>(
        &mut self,
        from: &Vector<T>,
        to: &Vector<T>,
        same: impl Fn(&T, &T) -> bool,
        key: impl Fn(&T) -> K,
        tell: impl Fn(Option<&T>, Option<&T>) -> (String, Option<TodoId>, Option<Facts>, Option<Facts>),
    ) {
        for (before, after) in pairs(from, to, same, |thing| key(thing)) {
            let (key, todo, before, after) = tell(before, after);
            self.put(key, todo, before, after);
        }
    }
}

/// Pairs the things of two lists that have the same key, in order; what is left has no partner.
/// Things at the beginning that are the `same` are left out.
fn pairs<'a, T: 'a, K: Ord>(
    before: impl IntoIterator<Item = &'a T>,
    after: impl IntoIterator<Item = &'a T>,
    same: impl Fn(&T, &T) -> bool,
    key: impl Fn(&&'a T) -> K,
) -> Vec<(Option<&'a T>, Option<&'a T>)> {
    let (mut before, mut after) = (before.into_iter().peekable(), after.into_iter().peekable());
    while let (Some(left), Some(right)) = (before.peek(), after.peek()) {
        if !same(left, right) {
            break;
        }
        before.next();
        after.next();
    }
    let after: Vec<&T> = after.collect();
    let mut free: BTreeMap<K, VecDeque<usize>> = BTreeMap::new();
    for (index, thing) in after.iter().enumerate() {
        free.entry(key(thing)).or_default().push_back(index);
    }
    let mut left: Vec<Option<&T>> = after.iter().copied().map(Some).collect();
    let mut found = Vec::new();
    for thing in before {
        let partner = free.get_mut(&key(&thing)).and_then(VecDeque::pop_front);
        let partner = partner.and_then(|index| left.get_mut(index)).and_then(Option::take);
        found.push((Some(thing), partner));
    }
    found.extend(left.into_iter().flatten().map(|thing| (None, Some(thing))));
    found
}
