//! What differs between the two sides of one todo.

use std::collections::BTreeSet;
use std::sync::Arc;

use tress_model::clock::Millis;
use tress_model::operation::{BlockerKind, FailureClass, ProseField, Verdict};
use tress_model::state::Edge;
use tress_model::state::todo::{Blocker, Closing, Completion, Failure, Note};
use tress_model::{State, Todo, TodoId};

use super::{Fact, Facts, Field, Presence, TodoDifference, Value, facts, pairs};

/// A todo as it stands on one side.
struct Side<'a> {
    state: &'a State,
    todo: &'a Todo,
    now: Millis,
}

impl<'a> Side<'a> {
    fn new(state: &'a State, id: TodoId, now: Millis) -> Option<Self> {
        let todo = state.todo(id).filter(|todo| todo.deletion().is_none())?;
        Some(Self { state, todo, now })
    }
}

/// What differs of the todo `id`, if anything does.
pub(super) fn difference(
    from: &State,
    to: &State,
    at: (Millis, Millis),
    id: TodoId,
) -> Option<TodoDifference> {
    let sides = [Side::new(from, id, at.0), Side::new(to, id, at.1)];
    let [before, after] = &sides;
    if before.is_none() && after.is_none() {
        return None;
    }
    let mut found = Found { facts: Vec::new() };
    let deleted = |state: &State| state.todo(id)?.deletion().map(reason);
    found.put(Field::Deleted, None, deleted(from), deleted(to));
    let [old, new] = sides.each_ref().map(|side| side.as_ref().map(scalars).unwrap_or_default());
    found.facts.extend(facts(old, new));
    let todos = sides.each_ref().map(|side| side.as_ref().map(|side| side.todo));
    prose(&mut found, todos);
    collections(&mut found, todos);
    let edges = sides.each_ref().map(|side| side.as_ref().map_or(&[][..], |s| s.state.edges(id)));
    dependencies(&mut found, edges);
    work(&mut found, todos);
    let presence = Presence::of(before.as_ref(), after.as_ref());
    let facts = found.facts;
    let differs = presence != Presence::Changed || !facts.is_empty();
    differs.then_some(TodoDifference { todo: id, presence, facts })
}

fn reason(closing: &Closing) -> Value {
    Value::Text(closing.reason.clone())
}

/// What there is one of.
fn scalars(side: &Side<'_>) -> Facts {
    let Side { state, todo, now } = side;
    let text = |text: &Option<String>| text.as_deref().and_then(Value::text);
    let claim = todo.holder(*now);
    let progress = claim.and_then(|claim| claim.progress.as_ref());
    let milestone = progress.and_then(|progress| progress.next_milestone.as_deref());
    let closing = todo.closing();
    vec![
        (Field::Status, Some(Value::Status(state.status_of(todo, *now)))),
        (Field::Title, Value::text(&todo.title)),
        (Field::Kind, Value::text(&todo.kind)),
        (Field::Priority, Value::number(todo.priority)),
        (Field::ExternalId, text(&todo.external_id)),
        (Field::Holder, claim.and_then(|claim| Value::text(&claim.agent))),
        (Field::Started, claim.and_then(|claim| Value::flag(claim.started_at.is_some()))),
        (Field::Progress, progress.and_then(|progress| Value::number(progress.percent))),
        (Field::Report, progress.and_then(|progress| Value::text(&progress.message))),
        (Field::Milestone, milestone.and_then(Value::text)),
        (Field::Scope, claim.and_then(|claim| Value::list(&claim.scope))),
        (Field::Base, claim.and_then(|claim| claim.base.as_deref().and_then(Value::text))),
        (Field::Branch, claim.and_then(|claim| claim.branch.as_deref().and_then(Value::text))),
        (Field::Assigned, text(&todo.assigned)),
        (Field::Assignee, text(&todo.assignee)),
        (Field::Owner, text(&todo.owner)),
        (Field::Stage, text(&todo.stage)),
        (Field::Estimate, todo.estimate_minutes.and_then(Value::number)),
        (Field::Check, text(&todo.check)),
        (Field::Files, Value::list(&todo.files)),
        (Field::Section, text(&todo.section)),
        (Field::Capabilities, Value::list(&todo.capabilities)),
        (Field::HighRisk, Value::flag(todo.high_risk)),
        (Field::Pinned, Value::flag(todo.pinned)),
        (Field::Ephemeral, Value::flag(todo.ephemeral)),
        (Field::DeferUntil, todo.defer_until.map(Value::Time)),
        (Field::DueAt, todo.due_at.map(Value::Time)),
        (Field::ExternalRef, text(&todo.external_ref)),
        (Field::CreatedBy, text(&todo.created_by)),
        (Field::Closed, closing.map(reason)),
        (Field::ClosedBy, closing.and_then(|closing| Value::text(&closing.agent))),
    ]
}

/// The two sides of a todo.
type Sides<'a> = [Option<&'a Todo>; 2];

/// What was found to differ so far.
struct Found {
    facts: Vec<Fact>,
}

impl Found {
    fn put(
        &mut self,
        field: Field,
        item: Option<String>,
        before: Option<Value>,
        after: Option<Value>,
    ) {
        if before != after {
            self.facts.push(Fact { field, item, target: None, before, after });
        }
    }

    /// Puts what `value` says of both sides of a thing called `item`.
    fn both<T>(
        &mut self,
        field: Field,
        item: &str,
        sides: (Option<&T>, Option<&T>),
        value: impl Fn(&T) -> Option<Value>,
    ) {
        let (before, after) = (sides.0.and_then(&value), sides.1.and_then(&value));
        self.put(field, Some(item.to_owned()), before, after);
    }
}

fn prose(found: &mut Found, sides: Sides<'_>) {
    for field in ProseField::ALL {
        let [before, after] = sides.map(|todo| todo.and_then(|todo| todo.prose.get(&field)));
        if before != after {
            let [before, after] = [before, after].map(|p| p.and_then(|p| Value::text(p.text())));
            found.put(Field::prose(field), None, before, after);
        }
    }
}

/// Every name that one of the sides has.
fn names<'a>(sides: Sides<'a>, of: impl Fn(&'a Todo) -> Vec<&'a String>) -> BTreeSet<&'a String> {
    sides.into_iter().flatten().flat_map(of).collect()
}

/// Labels, fields that are not known, artifacts, lost claims.
fn collections(found: &mut Found, sides: Sides<'_>) {
    for label in names(sides, |todo| todo.labels.keys().collect()) {
        let [before, after] = sides.map(|todo| {
            let there = todo.is_some_and(|todo| todo.labels.contains_key(label));
            Value::flag(there)
        });
        found.put(Field::Label, Some(label.clone()), before, after);
    }
    for name in names(sides, |todo| todo.extra.keys().collect()) {
        let [before, after] =
            sides.map(|todo| todo.and_then(|todo| todo.extra.get(name)).map(Value::text));
        found.put(Field::Extra, Some(name.clone()), before.flatten(), after.flatten());
    }
    for path in names(sides, |todo| todo.artifacts.keys().collect()) {
        let [before, after] = sides.map(|todo| {
            let blob = todo.and_then(|todo| todo.artifacts.get(path));
            blob.map(|blob| Value::Text(blob.clone().unwrap_or_else(|| "removed".to_owned())))
        });
        found.put(Field::Artifact, Some(path.clone()), before, after);
    }
    let [before, after] = sides.map(|todo| todo.map_or(&[][..], |todo| &todo.lost));
    for pair in pairs(before, after, PartialEq::eq, |claim| claim.agent.clone()) {
        let agent = pair.0.or(pair.1).map(|claim| claim.agent.to_string()).unwrap_or_default();
        found.both(Field::LostClaim, &agent, pair, |_| Value::flag(true));
    }
}

fn dependencies(found: &mut Found, sides: [&[Edge]; 2]) {
    let [before, after] = sides;
    let same = |before: &Edge, after: &Edge| before == after;
    let key = |edge: &&Edge| (edge.on, edge.kind.clone());
    let standing =
        |edge: &Edge| Value::Text(if edge.suspended { "suspended" } else { "holds" }.to_owned());
    for (before, after) in pairs(before, after, same, key) {
        let Some(edge) = before.or(after) else { continue };
        let fact = Fact {
            field: Field::Edge,
            item: Some(edge.kind.name().to_owned()),
            target: Some(edge.on),
            before: before.map(standing),
            after: after.map(standing),
        };
        if fact.before != fact.after {
            found.facts.push(fact);
        }
    }
}

/// What was said and done: notes, blockers, claims of completion, attempts.
fn work(found: &mut Found, sides: Sides<'_>) {
    let [before, after] = sides.map(|todo| todo.map_or(&[][..], |todo| &todo.notes));
    let key = |note: &&Arc<Note>| (note.agent.clone(), note.text.clone());
    for pair in pairs(before, after, PartialEq::eq, key) {
        let text = pair.0.or(pair.1).map(|note| note.text.clone()).unwrap_or_default();
        found.both(Field::Note, &text, pair, |note| Value::text(&note.agent));
    }
    let [before, after] = sides.map(|todo| todo.map_or(&[][..], |todo| &todo.blockers));
    let key = |blocker: &&Blocker| {
        let Blocker { agent, kind, description, tried, .. } = blocker;
        (agent.clone(), *kind, description.clone(), tried.clone())
    };
    for pair in pairs(before, after, PartialEq::eq, key) {
        let text = pair.0.or(pair.1).map(|blocker| blocker.description.clone());
        let text = text.unwrap_or_default();
        found.both(Field::Blocker, &text, pair, |blocker| {
            Some(Value::Text(blocker_kind(blocker.kind).to_owned()))
        });
        let said = |text: &Option<String>| text.clone().map(Value::Text);
        found.both(Field::Escalated, &text, pair, |blocker| said(&blocker.escalated));
        found.both(Field::Resolved, &text, pair, |blocker| said(&blocker.resolved));
    }
    let [before, after] = sides.map(|todo| todo.map_or(&[][..], |todo| &todo.completions));
    for pair in pairs(before, after, PartialEq::eq, |completion| Claimed::of(completion)) {
        completion(found, (pair.0.map(Arc::as_ref), pair.1.map(Arc::as_ref)));
    }
    let [before, after] = sides.map(|todo| todo.map_or(&[][..], |todo| &todo.failures));
    let key = |failure: &&Failure| (failure.agent.clone(), failure.class, failure.message.clone());
    for pair in pairs(before, after, PartialEq::eq, key) {
        let text = |failure: &Failure| format!("{}: {}", failure.agent, failure.message);
        let text = pair.0.or(pair.1).map(text).unwrap_or_default();
        found.both(Field::Attempt, &text, pair, |failure| {
            Some(Value::Text(failure_class(failure.class).to_owned()))
        });
    }
}

/// What makes two claims of completion the same.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Claimed {
    agent: Arc<str>,
    commit: Option<String>,
    to_integrate: bool,
    texts: [String; 3],
}

impl Claimed {
    fn of(completion: &Completion) -> Self {
        let Completion { agent, commit, to_integrate, implementation, tests, integration, .. } =
            completion;
        Self {
            agent: agent.clone(),
            commit: commit.clone(),
            to_integrate: *to_integrate,
            texts: [implementation.clone(), tests.clone(), integration.clone()],
        }
    }
}

fn completion(found: &mut Found, pair: (Option<&Completion>, Option<&Completion>)) {
    let Some(one) = pair.0.or(pair.1) else { return };
    let item = match one.implementation.as_str() {
        "" => one.agent.to_string(),
        text => format!("{}: {text}", one.agent),
    };
    let standing = |completion: &Completion| {
        Some(Value::Text(match &completion.void {
            Some(why) => format!("void: {why}"),
            None if completion.complete() => "completed".to_owned(),
            None if completion.pending() => "to be verified".to_owned(),
            None => "to be integrated".to_owned(),
        }))
    };
    found.both(Field::Completion, &item, pair, standing);
    let answer = |completion: &Completion| completion.verification.clone();
    found.both(Field::Verdict, &item, pair, |c| {
        answer(c).and_then(|v| Value::text(verdict(v.verdict)))
    });
    found.both(Field::Verifier, &item, pair, |c| answer(c).and_then(|v| Value::text(v.agent)));
    found.both(Field::Reason, &item, pair, |c| answer(c).and_then(|v| Value::text(v.reason)));
    found.both(Field::Percent, &item, pair, |c| answer(c).and_then(|v| Value::number(v.percent)));
    found.both(Field::Gaps, &item, pair, |c| answer(c).and_then(|v| Value::list(&v.gaps)));
    found.both(Field::Integrated, &item, pair, |c| {
        c.integrated.as_deref().and_then(|(commit, _)| Value::text(commit))
    });
    let [before, after] = [pair.0, pair.1].map(|c| c.map_or(&[][..], |c| &c.checks));
    let key = |check: &&tress_model::operation::Check| {
        let command = (check.command.clone(), check.exit_code);
        (check.layer, check.name.clone(), command, check.verdict, check.detail.clone())
    };
    for pair in pairs(before, after, PartialEq::eq, key) {
        let name = pair.0.or(pair.1).map(|check| format!("{} {}", check.layer.name(), check.name));
        found.both(Field::Evidence, &name.unwrap_or_default(), pair, |check| {
            Value::text(verdict(check.verdict))
        });
    }
}

const fn verdict(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Pass => "pass",
        Verdict::Fail => "fail",
        Verdict::Unknown => "unknown",
    }
}

const fn blocker_kind(kind: BlockerKind) -> &'static str {
    match kind {
        BlockerKind::Technical => "technical",
        BlockerKind::Requirement => "requirement",
        BlockerKind::Dependency => "dependency",
    }
}

const fn failure_class(class: FailureClass) -> &'static str {
    match class {
        FailureClass::Transient => "transient",
        FailureClass::Resource => "resource",
        FailureClass::Logic => "logic",
        FailureClass::Unknown => "unknown",
    }
}
