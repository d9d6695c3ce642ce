//! `dep`: what depends on what.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use clap::Subcommand;
use tress::operation::EdgeKind;
use tress::state::Waiting;
use tress::{Event, Operation, State, TodoId};

use super::fields::edge_kind;
use crate::context::{Beside, Context, Writer, name_title, told};
use crate::failure::Failure;
use crate::words::{circles, kind_word, short, verb};

/// Change what a todo depends on.
#[derive(Debug, Subcommand)]
pub(crate) enum Dep {
    /// ID depends on ON: with the kind `blocks`, ON must be finished first
    #[command(after_help = "\
Kinds:
  blocks              ON must be finished before ID can be worked on
  conditional-blocks  the same; the edge was made under a condition
  waits-for           every child of ON must be finished first; ON itself need not be
  waits-for-any       one finished child of ON is enough
  parent-child        ID is part of ON, and blocked while ON is
  relates-to          the two have to do with each other
  discovered-from     ID was found in work on ON
  duplicates          ID is the same as ON
  supersedes          ID takes the place of ON
Only the first five can hold ID back.

An edge that would close a cycle is kept and suspended: it holds nothing back until the cycle is
gone, and then comes back by itself. One that would let a todo wait for itself by way of what it is
part of is refused.

Examples:
  tress dep add t-7f3a t-91xa              t-7f3a needs t-91xa
  tress dep add t-7f3a t-epic --kind parent-child
  tress dep add t-7f3a t-epic --kind waits-for    t-7f3a waits for what is part of t-epic")]
    Add {
        /// The todo that depends
        id: String,
        /// The todo it depends on
        on: String,
        /// What the dependency means, one of those below
        #[arg(long, default_value = "blocks", value_parser = edge_kind, value_name = "KIND")]
        kind: EdgeKind,
    },
    /// ID no longer depends on ON
    #[command(after_help = "Example:\n  tress dep rm t-7f3a t-91xa")]
    Rm {
        /// The todo that depends
        id: String,
        /// The todo it depends on
        on: String,
        /// Only an edge of this kind (default: every kind)
        #[arg(long, value_parser = edge_kind, value_name = "KIND")]
        kind: Option<EdgeKind>,
    },
}

/// Does `dep`.
pub(crate) async fn run(context: &Context, args: &Dep) -> Result<(), Failure> {
    let writer = context.writer().await?;
    match args {
        Dep::Add { id, on, kind } => add(context, &writer, id, on, kind).await,
        Dep::Rm { id, on, kind } => remove(context, &writer, id, on, kind.as_ref()).await,
    }
}

async fn add(
    context: &Context,
    writer: &Writer,
    id: &str,
    on: &str,
    kind: &EdgeKind,
) -> Result<(), Failure> {
    let todo = writer.find_alive(id)?.id;
    let target = writer.find_alive(on)?;
    let (on, external_id) = (target.id, target.external_id.clone());
    if todo == on {
        return Err(Failure::invalid(format!(
            "{} cannot depend on itself",
            name_title(&writer.state, todo)
        )));
    }
    let run = writer.agent.run();
    let there = |state: &State| {
        let mut edges = state.edges(todo).iter();
        edges.find(|edge| edge.on == on && edge.kind == *kind).map(|edge| edge.suspended)
    };
    let say = |state: &State, again: &str| {
        let (source, target) = (name_title(state, todo), name_title(state, on));
        if there(state) == Some(true) {
            let cycle = path(state, on, todo, kind).join(" -> ");
            return format!(
                "suspended: {source} -> {target} would close a cycle ({cycle} -> {}); it comes \
                 into force when the cycle is gone",
                short(&state.name(on), 60)
            );
        }
        let children = "; it has no other children yet, so nothing is waited for";
        let waits = matches!(kind, EdgeKind::WaitsFor | EdgeKind::WaitsForAny);
        let alone = waits && state.children(on).all(|child| child == todo);
        let alone = if alone { children } else { "" };
        format!("{source} {} {target} ({}){again}{alone}", verb(kind), kind_word(kind))
    };
    if there(&writer.state).is_some() {
        return context.changed(run, todo, &[], |state| say(state, " already"));
    }
    let added =
        Operation::DependencyAdded { todo, on, external_id, kind: kind.clone(), layout: None };
    let events = append(writer, todo, vec![added]).await?;
    context.changed_as(run, todo, &events, Beside::default(), |state, _| say(state, ""))
}

/// Appends operations about `todo`, unless an edge among them would let something wait for itself by way of what it
/// is part of.
pub(super) async fn append(
    writer: &Writer,
    todo: TodoId,
    operations: Vec<Operation>,
) -> Result<Vec<Arc<Event>>, Failure> {
    let leads = |operation: &Operation| matches!(operation, Operation::DependencyAdded { .. });
    if !operations.iter().any(leads) {
        return Ok(writer.agent.append(operations).await?);
    }
    let events = writer.agent.append_if(move |state| {
        let Some(circle) = state.circle_of(todo, &operations) else { return Ok(operations) };
        let name = |id: TodoId| match state.todo(id) {
            Some(_) => short(&state.name(id), 60),
            None => "the new one".to_owned(),
        };
        let first = circle.first().map(|one| name(one.todo)).unwrap_or_default();
        let message = format!("{first} would wait for itself: {}", Waiting::round(&circle, name));
        Err(Failure::conflict(message).hint(
            "nothing was changed; `tress dep rm ID ON` takes another of these edges away, and \
             with the kind relates-to nothing waits",
        ))
    });
    Ok(events.await?)
}

/// The names on the way from `from` to `to` along edges of the kind's family.
fn path(state: &State, from: TodoId, to: TodoId, kind: &EdgeKind) -> Vec<String> {
    let follows = |other: &EdgeKind| match kind {
        EdgeKind::ParentChild => *other == EdgeKind::ParentChild,
        _ => other.blocks(),
    };
    let mut before: BTreeMap<TodoId, Option<TodoId>> = BTreeMap::from([(from, None)]);
    let mut queue = VecDeque::from([from]);
    while let Some(at) = queue.pop_front() {
        for edge in state.edges(at).iter().filter(|edge| !edge.suspended && follows(&edge.kind)) {
            if let std::collections::btree_map::Entry::Vacant(entry) = before.entry(edge.on) {
                entry.insert(Some(at));
                queue.push_back(edge.on);
            }
        }
    }
    let mut names = Vec::new();
    let mut at = Some(to);
    while let Some(here) = at {
        names.push(short(&state.name(here), 60));
        at = before.get(&here).copied().flatten();
    }
    names.reverse();
    names
}

async fn remove(
    context: &Context,
    writer: &Writer,
    id: &str,
    on: &str,
    kind: Option<&EdgeKind>,
) -> Result<(), Failure> {
    let todo = writer.find_alive(id)?.id;
    // The target of a dangling edge is not there, but the edge knows its name.
    let dangling = || {
        let mut edges = writer.state.edges(todo).iter();
        edges.find(|edge| edge.external_id.as_deref() == Some(on)).map(|edge| edge.on)
    };
    let target = match writer.find(on) {
        Ok(target) => target,
        Err(failure) => dangling().ok_or(failure)?,
    };
    let edges = writer.state.edges(todo).iter();
    let edges =
        edges.filter(|edge| edge.on == target && kind.is_none_or(|kind| *kind == edge.kind));
    let kinds: Vec<EdgeKind> = edges.map(|edge| edge.kind.clone()).collect();
    let removed = kinds.iter().cloned();
    let removed = removed.map(|kind| Operation::DependencyRemoved { todo, on: target, kind });
    let removed: Vec<_> = removed.collect();
    if removed.is_empty() {
        let (todo, on) = (name_title(&writer.state, todo), short(on, 60));
        return Err(Failure::not_found(format!("{todo} does not depend on {on}")));
    }
    let events = writer.agent.append(removed).await?;
    // What another edge had kept out of force may have come back by that.
    let closed = circles::closed(&writer.state, &writer.agent.run().state());
    let warnings = circles::told(&closed);
    let beside = Beside { warnings: &warnings, ..Beside::default() };
    context.changed_as(writer.agent.run(), todo, &events, beside, |state, notices| {
        let (source, on) = (name_title(state, todo), short(&state.name(target), 60));
        let needs = |kind: &EdgeKind| verb(kind) == verb(&EdgeKind::Blocks);
        if kinds.iter().all(needs) {
            return format!("{source} no longer depends on {on}{}", told(notices));
        }
        let gone = kinds.iter().map(|kind| format!("{} {on}", verb(kind)));
        format!("no longer: {source} {}{}", gone.collect::<Vec<_>>().join(", "), told(notices))
    })
}
