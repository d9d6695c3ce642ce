//! What merges decide about todos, edges and the design: closed-stays-closed, edit-beats-delete,
//! field-merge, no-cycles, decisions-stand, precondition.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use tress_model::operation::{EdgeKind, TodoEdit};
use tress_model::state::todo::Closing;
use tress_model::state::{Edge, Todo};
use tress_model::{Dot, Event, Operation, Rule, State, TodoId};

use super::{Found, Past, Step, changes_todo, edits_section, ensure, writes};

pub(super) fn step(step: &Step<'_>) -> Found {
    closed_stays_closed(step)?;
    field_merge(step)?;
    decisions_stand(step)?;
    precondition(step)
}

pub(super) fn state(past: &Past, state: &State) -> Found {
    for todo in state.todos.values() {
        let closed = todo.closings.iter().any(|closing| !closing.undone);
        ensure(!closed || todo.finished(), "closed-stays-closed", || todo.name())?;
        deletions(past, todo)?;
        labels(past, todo)?;
    }
    for ((id, field), (edit, _)) in &past.fields {
        let holds = state.todo(*id).is_some_and(|todo| has(todo, edit));
        ensure(holds, "field-merge", || format!("{field} of {id} is not {edit:?}"))?;
    }
    edges(past, state)?;
    design(past, state)?;
    no_cycles(state)
}

/// A closing is undone by a reopening that saw it, a deletion also by a change that had not.
fn closed_stays_closed(step: &Step<'_>) -> Found {
    let (Some(before), Some(after)) = step.todos() else { return Ok(()) };
    let event = step.event;
    let reopens = matches!(event.operation, Operation::Reopened { .. });
    let undone = |old: &[Closing], new: &[Closing]| -> Vec<Dot> {
        let undone = old.iter().zip(new).filter(|(old, new)| !old.undone && new.undone);
        undone.map(|(old, _)| old.dot).collect()
    };
    let late = before.closing().is_some() && before.completed().is_none() && !reopens;
    ensure(!late || after.completed().is_none(), "closed-stays-closed", || {
        format!("what was closed is completed by {event:?}")
    })?;
    for closing in undone(&before.closings, &after.closings) {
        ensure(reopens && event.saw(closing), "closed-stays-closed", || {
            format!("{closing} was undone by {event:?}")
        })?;
    }
    for deletion in undone(&before.deletions, &after.deletions) {
        let knew = reopens && event.saw(deletion);
        let beaten = !event.saw(deletion) && step.lost(Rule::EditBeatsDelete, deletion);
        ensure(knew || beaten, "edit-beats-delete", || {
            format!("{deletion} was undone by {event:?}")
        })?;
    }
    Ok(())
}

/// No deletion holds against a change that is concurrent with it.
fn deletions(past: &Past, todo: &Todo) -> Found {
    let holding = todo.deletions.iter().filter(|deletion| !deletion.undone);
    for deletion in holding {
        for event in &past.order {
            let about = event.operation.todo() == Some(todo.id) && changes_todo(&event.operation);
            let concurrent = !event.saw(deletion.dot) && !past.saw(deletion.dot, event.dot);
            let void = past.void.contains(&event.dot);
            ensure(!about || !concurrent || void, "edit-beats-delete", || {
                format!("{deletion:?} holds against {event:?}")
            })?;
        }
    }
    Ok(())
}

/// What was added and not removed by somebody who had seen that.
fn standing<K: Ord + Clone>(adds: &[(K, &Event)], removals: &[(K, &Event)]) -> BTreeSet<K> {
    let removed = |key: &K, add: &Event| {
        removals.iter().any(|(other, removal)| other == key && removal.saw(add.dot))
    };
    let standing = adds.iter().filter(|(key, add)| !removed(key, add));
    standing.map(|(key, _)| key.clone()).collect()
}

fn labels(past: &Past, todo: &Todo) -> Found {
    let (mut adds, mut removals) = (Vec::new(), Vec::new());
    let about = |event: &&Arc<Event>| event.operation.todo() == Some(todo.id);
    for event in past.order.iter().filter(about).filter(|e| !past.void.contains(&e.dot)) {
        match &event.operation {
            Operation::TodoAdded { labels, .. } => {
                adds.extend(labels.iter().map(|label| (label.clone(), &**event)));
            }
            Operation::LabelsChanged { added, removed, .. } => {
                adds.extend(added.iter().map(|label| (label.clone(), &**event)));
                removals.extend(removed.iter().map(|label| (label.clone(), &**event)));
            }
            _ => {}
        }
    }
    let held: BTreeSet<_> = todo.labels.keys().cloned().collect();
    let wanted = standing(&adds, &removals);
    ensure(held == wanted, "edit-beats-delete", || format!("labels {held:?}, not {wanted:?}"))
}

fn edges(past: &Past, state: &State) -> Found {
    let (mut adds, mut removals) = (Vec::new(), Vec::new());
    for event in past.order.iter().filter(|event| !past.void.contains(&event.dot)) {
        match &event.operation {
            Operation::DependencyAdded { todo, on, kind, .. } => {
                adds.push(((*todo, *on, kind.clone()), &**event));
            }
            Operation::DependencyRemoved { todo, on, kind } => {
                removals.push(((*todo, *on, kind.clone()), &**event));
            }
            _ => {}
        }
    }
    let held = all_edges(state).map(|(from, edge)| (from, edge.on, edge.kind.clone()));
    let held: BTreeSet<_> = held.collect();
    let wanted = standing(&adds, &removals);
    ensure(held == wanted, "edit-beats-delete", || format!("edges {held:?}, not {wanted:?}"))
}

/// A part of the design: whether it is the one with this key, or changes it.
type IsPart = fn(&Operation) -> Option<&str>;

/// A part of the design is there when somebody wrote it and no removal holds; and it says what
/// the last who wrote it said.
fn design(past: &Past, state: &State) -> Found {
    use Operation as O;
    let sections: (IsPart, IsPart) = (
        |operation| match operation {
            O::SectionAdded { section, .. } => Some(section),
            _ => None,
        },
        |operation| match operation {
            O::SectionRemoved { section } => Some(section),
            _ => None,
        },
    );
    let requirements: (IsPart, IsPart) = (
        |operation| match operation {
            O::RequirementAdded { requirement, .. } => Some(requirement),
            _ => None,
        },
        |operation| match operation {
            O::RequirementRemoved { requirement } => Some(requirement),
            _ => None,
        },
    );
    let rules: (IsPart, IsPart) = (
        |operation| match operation {
            O::DesignRuleAdded { rule, .. } => Some(rule),
            _ => None,
        },
        |operation| match operation {
            O::DesignRuleRemoved { rule } => Some(rule),
            _ => None,
        },
    );
    let held = &state.design;
    parts(past, sections, held.sections.keys(), |key, written| {
        let O::SectionAdded { heading, level, position, .. } = written else { return false };
        held.sections.get(key).is_some_and(|held| {
            (&held.heading, &held.level, &held.position) == (heading, level, position)
        })
    })?;
    parts(past, requirements, held.requirements.keys(), |key, written| {
        let O::RequirementAdded { section, text, kind, criticality, .. } = written else {
            return false;
        };
        held.requirements.get(key).is_some_and(|held| {
            (&held.section, &held.text, &held.kind, &held.criticality)
                == (section, text, kind, criticality)
        })
    })?;
    parts(past, rules, held.rules.keys(), |key, written| {
        let O::DesignRuleAdded { text, criticality, .. } = written else { return false };
        let held = held.rules.get(key);
        held.is_some_and(|held| (&held.text, &held.criticality) == (text, criticality))
    })
}

fn parts<'a>(
    past: &Past,
    (added, removed): (IsPart, IsPart),
    held: impl Iterator<Item = &'a String>,
    says: impl Fn(&str, &Operation) -> bool,
) -> Found {
    let mut last: BTreeMap<&str, &Event> = BTreeMap::new();
    let mut holding: BTreeMap<&str, BTreeSet<Dot>> = BTreeMap::new();
    for event in &past.order {
        if let Some(key) = added(&event.operation) {
            last.insert(key, event);
            // Who adds it again has seen the removals, or they have lost.
            holding.remove(key);
        }
        if let Some(key) = removed(&event.operation) {
            let lost = past.void.contains(&event.dot) || past.beaten.contains(&event.dot);
            if !lost {
                holding.entry(key).or_default().insert(event.dot);
            }
        }
    }
    // What changed it without having seen the removal must have beaten it.
    for event in &past.order {
        let key = edits_section(&event.operation).or_else(|| added(&event.operation));
        let removals = key.and_then(|key| holding.get(key)).into_iter().flatten();
        for removal in removals.filter(|_| !past.void.contains(&event.dot)) {
            let concurrent = !event.saw(*removal) && !past.saw(*removal, event.dot);
            ensure(!concurrent, "edit-beats-delete", || {
                format!("{removal} holds against {event:?}")
            })?;
        }
    }
    let held: BTreeSet<_> = held.map(String::as_str).collect();
    let wanted: BTreeSet<_> =
        last.keys().copied().filter(|key| !holding.contains_key(key)).collect();
    ensure(held == wanted, "edit-beats-delete", || format!("{held:?}, not {wanted:?}"))?;
    for key in held {
        let written = last.get(key).map(|event| &event.operation);
        ensure(written.is_some_and(|written| says(key, written)), "field-merge", || {
            format!("{key} is not {written:?}")
        })?;
    }
    Ok(())
}

/// Everybody whose value another replaced without having seen it is in the ledger.
fn field_merge(step: &Step<'_>) -> Found {
    let event = step.event;
    let Some(id) = event.operation.todo().filter(|_| !step.void()) else { return Ok(()) };
    for edit in writes(&event.operation) {
        if matches!(edit, TodoEdit::UpdatedAt(_)) {
            continue;
        }
        let Some((old, writers)) = step.past.fields.get(&(id, edit.field().to_owned())) else {
            continue;
        };
        let losers = writers.iter().filter(|writer| *old != edit && !event.saw(**writer));
        for loser in losers {
            ensure(step.lost(Rule::FieldMerge, *loser), "field-merge", || {
                format!("{loser} was not told of {event:?}")
            })?;
        }
    }
    Ok(())
}

/// Whether the field that `edit` writes has its value.
pub(super) fn has(todo: &Todo, edit: &TodoEdit) -> bool {
    use TodoEdit as E;
    match edit {
        E::Title(value) => todo.title == *value,
        E::Kind(value) => todo.kind == *value,
        E::Priority(value) => todo.priority == *value,
        E::Assignee(value) => todo.assignee == *value,
        E::Owner(value) => todo.owner == *value,
        E::Stage(value) => todo.stage == *value,
        E::Estimate(value) => todo.estimate_minutes == *value,
        E::Check(value) => todo.check == *value,
        E::Files(value) => todo.files == *value,
        E::Section(value) => todo.section == *value,
        E::Capabilities(value) => todo.capabilities == *value,
        E::HighRisk(value) => todo.high_risk == *value,
        E::Pinned(value) => todo.pinned == *value,
        E::Ephemeral(value) => todo.ephemeral == *value,
        E::DeferUntil(value) => todo.defer_until == *value,
        E::DueAt(value) => todo.due_at == *value,
        E::ExternalRef(value) => todo.external_ref == *value,
        E::CreatedAt(value) => todo.created_at == *value,
        E::CreatedBy(value) => todo.created_by == *value,
        // Every later change writes it, too.
        E::UpdatedAt(_) => true,
        E::Extra(key, value) => todo.extra.get(key) == value.as_ref(),
    }
}

fn all_edges(state: &State) -> impl Iterator<Item = (TodoId, &Edge)> {
    state.todos.keys().flat_map(|&id| state.edges(id).iter().map(move |edge| (id, edge)))
}

/// What leads from `from` along `edges`.
fn reached(edges: &[(TodoId, TodoId)], from: TodoId) -> BTreeSet<TodoId> {
    let mut reached = BTreeSet::new();
    let mut next = vec![from];
    while let Some(at) = next.pop() {
        let targets = edges.iter().filter(|(source, _)| *source == at).map(|(_, on)| *on);
        next.extend(targets.filter(|on| reached.insert(*on)));
    }
    reached
}

/// Edges that order have no cycle, nor have edges that nest; and each that is suspended would
/// close one.
fn no_cycles(state: &State) -> Found {
    let orders = |kind: &EdgeKind| kind.blocks();
    let nests = |kind: &EdgeKind| *kind == EdgeKind::ParentChild;
    let families: [&dyn Fn(&EdgeKind) -> bool; 2] = [&orders, &nests];
    for family in families {
        let of = |suspended: bool| {
            let edges = all_edges(state).filter(move |(_, edge)| edge.suspended == suspended);
            let edges = edges.filter(|(_, edge)| family(&edge.kind));
            edges.map(|(from, edge)| (from, edge.on)).collect::<Vec<_>>()
        };
        let live = of(false);
        for (from, on) in &live {
            let cycle = from == on || reached(&live, *on).contains(from);
            ensure(!cycle, "no-cycles", || format!("{from} -> {on} is in a cycle: {live:?}"))?;
        }
        for (from, on) in of(true) {
            let would = from == on || reached(&live, on).contains(&from);
            ensure(would, "no-cycles", || format!("{from} -> {on} is suspended for nothing"))?;
        }
    }
    for (from, edge) in all_edges(state).filter(|(_, edge)| edge.suspended) {
        let since = Dot::new(edge.since.replica, edge.since.number);
        let told =
            |entry: &tress_model::LedgerEntry| entry.rule == Rule::NoCycles && entry.loser == since;
        let told = state.ledger.iter().any(|entry| told(entry));
        ensure(told, "no-cycles", || format!("nobody was told of {from} -> {}", edge.on))?;
    }
    Ok(())
}

/// Decisions only gain successors; what was decided of a deviation stays.
fn decisions_stand(step: &Step<'_>) -> Found {
    let (before, after) = (&step.before.design, &step.after.design);
    for (at, old) in before.decisions.iter().enumerate() {
        let stands = after.decisions.get(at).is_some_and(|new| {
            let mut same = (**new).clone();
            same.superseded_by.truncate(old.superseded_by.len());
            same == **old
        });
        ensure(stands, "decisions-stand", || format!("{old:?} was changed"))?;
    }
    for (at, old) in before.deviations.iter().enumerate() {
        let new = after.deviations.get(at);
        let stands =
            new.is_some_and(|new| old.decided.is_none() && new.dot == old.dot || **new == **old);
        ensure(stands, "decisions-stand", || format!("{old:?} was changed"))?;
    }
    Ok(())
}

/// What had no effect by *precondition* changed nothing but what is kept about the todo's history.
fn precondition(step: &Step<'_>) -> Found {
    if !step.void() || step.entries.iter().any(|entry| entry.rule == Rule::EditBeatsDelete) {
        return Ok(());
    }
    let rule = "precondition";
    let event = step.event;
    let (before, after) = (step.before, step.after);
    let design = |state: &State| {
        let design = &state.design;
        (design.sections.clone(), design.requirements.clone(), design.rules.clone())
    };
    ensure(design(before) == design(after), rule, || format!("{event:?} changed the design"))?;
    let team = before.team.alerts == after.team.alerts
        && before.team.integrations == after.team.integrations;
    ensure(team, rule, || format!("{event:?} changed the team"))?;
    if let (Some(before), Some(after)) = step.todos() {
        let facts = |todo: &Todo| {
            let work = (todo.claim.clone(), todo.lost.clone(), todo.completions.clone());
            let ends = (todo.closings.clone(), todo.deletions.clone(), todo.ended.clone());
            let said = (todo.notes.clone(), todo.labels.clone(), todo.blockers.clone());
            (work, ends, said, todo.title.clone(), todo.stage.clone(), todo.assigned.clone())
        };
        ensure(facts(before) == facts(after), rule, || format!("{event:?} changed its todo"))?;
        let same = step.before.edges(before.id) == step.after.edges(before.id);
        ensure(same, rule, || format!("{event:?} changed an edge"))?;
    }
    Ok(())
}
