//! A difference as scripts see it. The field names are a contract.

use std::collections::BTreeMap;

use serde::Serialize;
use tress::diff::{Decided, Difference, Fact, ItemDifference, Presence, TodoDifference, Value};

use crate::time::rfc3339;
use crate::words::Names;

/// One of the two sides.
#[derive(Serialize)]
pub(super) struct SideView {
    pub(super) run: String,
    /// The moment as it was named; none for a run as it is.
    pub(super) when: Option<String>,
    pub(super) at: String,
    pub(super) events: u64,
    pub(super) version: String,
}

/// How much differs.
#[derive(Serialize, Default, Clone, Copy, PartialEq, Eq)]
pub(super) struct Counts {
    pub(super) added: usize,
    pub(super) changed: usize,
    pub(super) gone: usize,
}

/// The whole answer.
#[derive(Serialize)]
pub(super) struct DiffView {
    pub(super) from: SideView,
    pub(super) to: SideView,
    pub(super) differs: bool,
    pub(super) counts: BTreeMap<&'static str, Counts>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[serde(flatten)]
    pub(super) whole: Option<WholeView>,
}

/// All that differs.
#[derive(Serialize)]
pub(super) struct WholeView {
    todos: Vec<TodoView>,
    design: Vec<ItemView>,
    team: Vec<ItemView>,
    ledger: LedgerView,
}

#[derive(Serialize)]
struct TodoView {
    id: String,
    external_id: Option<String>,
    title: String,
    presence: Presence,
    facts: Vec<FactView>,
}

#[derive(Serialize)]
struct ItemView {
    part: &'static str,
    key: String,
    todo: Option<String>,
    presence: Presence,
    facts: Vec<FactView>,
}

#[derive(Serialize)]
struct FactView {
    field: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    item: Option<String>,
    /// The todo at the other end of an edge.
    #[serde(skip_serializing_if = "Option::is_none")]
    target: Option<String>,
    before: serde_json::Value,
    after: serde_json::Value,
}

#[derive(Serialize)]
struct LedgerView {
    added: Vec<DecidedView>,
    gone: Vec<DecidedView>,
}

#[derive(Serialize)]
struct DecidedView {
    rule: &'static str,
    agent: String,
    todo: Option<String>,
    detail: String,
}

impl WholeView {
    /// The difference with todos called as people call them.
    pub(super) fn new(names: &Names<'_>, found: &Difference) -> Self {
        let decided = |entries: &[Decided]| {
            let view = |entry: &Decided| DecidedView {
                rule: entry.rule.name(),
                agent: entry.agent.to_string(),
                todo: entry.todo.map(|id| names.side(id).short_id(id)),
                detail: entry.detail.clone(),
            };
            entries.iter().map(view).collect()
        };
        let items = |items: &[ItemDifference]| {
            let view = |item: &ItemDifference| ItemView {
                part: item.part.name(),
                key: item.key.clone(),
                todo: item.todo.map(|id| names.side(id).short_id(id)),
                presence: item.presence,
                facts: facts(names, &item.facts),
            };
            items.iter().map(view).collect()
        };
        let todo = |found: &TodoDifference| {
            let side = names.side(found.todo);
            let todo = side.todo(found.todo);
            TodoView {
                id: side.short_id(found.todo),
                external_id: todo.and_then(|todo| todo.external_id.clone()),
                title: todo.map(|todo| todo.title.clone()).unwrap_or_default(),
                presence: found.presence,
                facts: facts(names, &found.facts),
            }
        };
        Self {
            todos: found.todos.iter().map(todo).collect(),
            design: items(&found.design),
            team: items(&found.team),
            ledger: LedgerView {
                added: decided(&found.ledger.added),
                gone: decided(&found.ledger.gone),
            },
        }
    }
}

fn facts(names: &Names<'_>, facts: &[Fact]) -> Vec<FactView> {
    let value = |value: &Option<Value>| match value {
        Some(Value::Time(at)) => rfc3339(*at).into(),
        Some(Value::Todo(id)) => names.side(*id).short_id(*id).into(),
        value => serde_json::to_value(value).unwrap_or_default(),
    };
    let view = |fact: &Fact| FactView {
        field: fact.field.name(),
        item: fact.item.clone(),
        target: fact.target.map(|id| names.side(id).short_id(id)),
        before: value(&fact.before),
        after: value(&fact.after),
    };
    facts.iter().map(view).collect()
}
