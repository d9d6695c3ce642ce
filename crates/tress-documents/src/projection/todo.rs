//! The todo strand, and what the implementation strand says of each todo.

use std::collections::BTreeMap;

use tress_model::operation::{BlockerKind, EdgeKind, FailureClass, ProseField, Verdict};
use tress_model::state::Edge;
use tress_model::state::todo::{
    Blocker, Claim, Closing, Completion, Failure, Note, Progress, Verification,
};
use tress_model::{Dot, Status, Todo};

use crate::node::{Fields, Node, int, sequence, set, time};

/// One todo, with the edges that leave it.
pub(crate) fn todo(todo: &Todo, edges: &[Edge]) -> Node {
    let fields = plain(todo)
        .with("labels", Node::Map(set(todo.labels.keys())))
        .with("edges", Node::Map(edges.iter().map(|one| (edge_key(one), edge(one))).collect()))
        .with("remarks", keyed(&todo.notes, |note| note.dot, |note| remark(note)))
        .with("blockers", keyed(&todo.blockers, |blocker| blocker.dot, blocker))
        .with("closings", keyed(&todo.closings, |closing| closing.dot, closing))
        .group("deletions", keyed_map(&todo.deletions, |closing| closing.dot, closing))
        .group("files", set(&todo.files))
        .group("capabilities", set(&todo.capabilities))
        .group("extra", todo.extra.iter().map(|(key, json)| (key.clone(), json.into())).collect())
        .maybe("claim", todo.claim.as_deref().map(claim))
        .group("lost_claims", keyed_map(&todo.lost, |lost| lost.token, claim));
    let prose = |fields: Fields, field: &ProseField| {
        fields.with(field.name(), Node::Text(todo.prose(*field)))
    };
    ProseField::ALL.iter().fold(fields, prose).into()
}

fn plain(todo: &Todo) -> Fields {
    Fields::new()
        .with("event", dot(todo.dot))
        .maybe("external_id", todo.external_id.as_ref())
        .with("title", &todo.title)
        .with("kind", &todo.kind)
        .with("priority", int(todo.priority))
        .maybe("assignee", todo.assignee.as_ref())
        .maybe("assigned", todo.assigned.as_ref())
        .maybe("owner", todo.owner.as_ref())
        .maybe("stage", todo.stage.as_ref())
        .maybe("estimate_minutes", todo.estimate_minutes.map(int))
        .maybe("check", todo.check.as_ref())
        .maybe("section", todo.section.as_ref())
        .with("high_risk", todo.high_risk)
        .with("pinned", todo.pinned)
        .with("ephemeral", todo.ephemeral)
        .maybe("defer_until", todo.defer_until.map(time))
        .maybe("due_at", todo.due_at.map(time))
        .maybe("external_ref", todo.external_ref.as_ref())
        .with("created_at", time(todo.created_at))
        .maybe("created_by", todo.created_by.as_ref())
        .with("updated_at", time(todo.updated_at))
        .maybe("layout", todo.layout.as_ref())
        .with("percent", int(todo.percent()))
        .maybe("finished", finished(todo))
        .maybe("finished_at", todo.finished_at().map(time))
}

/// The status where it does not depend on the time at which somebody asks.
fn finished(todo: &Todo) -> Option<&'static str> {
    let deleted = todo.deletion().map(|_| Status::Deleted);
    let completed = || todo.completed().map(|_| Status::Completed);
    let closed = || todo.closing().map(|_| Status::Closed);
    deleted.or_else(completed).or_else(closed).map(Status::name)
}

/// A dot, as users write it.
pub(crate) fn dot(dot: Dot) -> Node {
    Node::Str(dot.to_string())
}

pub(crate) fn keyed_map<T>(
    items: &[T],
    key: impl Fn(&T) -> Dot,
    value: impl Fn(&T) -> Node,
) -> BTreeMap<String, Node> {
    items.iter().map(|item| (key(item).to_string(), value(item))).collect()
}

fn keyed<T>(items: &[T], key: impl Fn(&T) -> Dot, value: impl Fn(&T) -> Node) -> Node {
    Node::Map(keyed_map(items, key, value))
}

/// Two edges are one exactly when source, target and kind agree; words that are not ours cannot
/// pose as ours.
fn edge_key(edge: &Edge) -> String {
    let word = match &edge.kind {
        EdgeKind::WaitsForAny => "waits-for-any".to_owned(),
        EdgeKind::Other(word) => format!("other:{word}"),
        kind => kind.name().to_owned(),
    };
    format!("{}/{word}", edge.on)
}

fn edge(edge: &Edge) -> Node {
    Fields::new()
        .with("on", Node::Str(edge.on.to_string()))
        .with("kind", edge.kind.name())
        .maybe("any", (edge.kind == EdgeKind::WaitsForAny).then_some(true))
        .maybe("external_id", edge.external_id.as_ref())
        .maybe("layout", edge.layout.as_ref())
        .with("added_at", time(edge.since.time.millis))
        .with("suspended", edge.suspended)
        .into()
}

fn remark(note: &Note) -> Node {
    Fields::new()
        .with("agent", &*note.agent)
        .with("at", time(note.at))
        .with("text", &note.text)
        .maybe("layout", note.layout.as_ref())
        .into()
}

fn blocker(blocker: &Blocker) -> Node {
    let kind = match blocker.kind {
        BlockerKind::Technical => "technical",
        BlockerKind::Requirement => "requirement",
        BlockerKind::Dependency => "dependency",
    };
    Fields::new()
        .with("agent", &*blocker.agent)
        .with("at", time(blocker.at))
        .with("kind", kind)
        .with("description", &blocker.description)
        .group("tried", sequence(blocker.tried.iter().map(Node::from)))
        .maybe("escalated", blocker.escalated.as_ref())
        .maybe("resolved", blocker.resolved.as_ref())
        .into()
}

fn closing(closing: &Closing) -> Node {
    Fields::new()
        .with("agent", &*closing.agent)
        .with("at", time(closing.at))
        .with("reason", &closing.reason)
        .with("undone", closing.undone)
        .into()
}

fn claim(claim: &Claim) -> Node {
    Fields::new()
        .with("token", dot(claim.token))
        .with("agent", &*claim.agent)
        .with("at", time(claim.at))
        .maybe("lease_ms", claim.lease.map(int))
        .maybe("until", claim.until.map(time))
        .group("scope", set(&claim.scope))
        .maybe("started_at", claim.started_at.map(time))
        .maybe("base", claim.base.as_deref())
        .maybe("branch", claim.branch.as_deref())
        .maybe("progress", claim.progress.as_ref().map(progress))
        .into()
}

fn progress(progress: &Progress) -> Node {
    Fields::new()
        .with("percent", int(progress.percent))
        .with("message", &progress.message)
        .maybe("next_milestone", progress.next_milestone.as_ref())
        .with("at", time(progress.at))
        .into()
}

/// What was done for one todo; `None` where nothing was.
pub(crate) fn work(todo: &Todo) -> Option<Node> {
    if todo.completions.is_empty() && todo.failures.is_empty() && todo.artifacts.is_empty() {
        return None;
    }
    let artifacts = todo.artifacts.iter().map(|(path, blob)| {
        let blob = Fields::new().maybe("blob", blob.as_ref()).with("deleted", blob.is_none());
        (path.clone(), blob.into())
    });
    let fields = Fields::new()
        .with(
            "completions",
            keyed(&todo.completions, |completion| completion.dot, |c| completion(c)),
        )
        .with("failures", keyed(&todo.failures, |failure| failure.dot, failure))
        .with("artifacts", Node::Map(artifacts.collect()));
    Some(fields.into())
}

fn completion(completion: &Completion) -> Node {
    let integrated = completion.integrated.as_deref();
    Fields::new()
        .with("agent", &*completion.agent)
        .maybe("token", completion.token.map(dot))
        .with("at", time(completion.at))
        .maybe("commit", completion.commit.as_ref())
        .with("to_integrate", completion.to_integrate)
        .line("implementation", &completion.implementation)
        .line("tests", &completion.tests)
        .line("integration", &completion.integration)
        .group("checks", sequence(completion.checks.iter().map(check)))
        .maybe("verification", completion.verification.as_deref().map(verification))
        .maybe("integrated_commit", integrated.map(|(commit, _)| commit))
        .maybe("integrated_at", integrated.map(|&(_, at)| time(at)))
        .maybe("void", completion.void.as_ref())
        .with("complete", completion.complete())
        .into()
}

fn verdict(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Pass => "pass",
        Verdict::Fail => "fail",
        Verdict::Unknown => "unknown",
    }
}

fn check(check: &tress_model::operation::Check) -> Node {
    Fields::new()
        .with("layer", check.layer.name())
        .with("name", &check.name)
        .maybe("command", check.command.as_ref())
        .maybe("exit_code", check.exit_code.map(int))
        .maybe("tree", check.tree.as_ref())
        .with("verdict", verdict(check.verdict))
        .line("detail", &check.detail)
        .with("took_ms", int(check.took))
        .into()
}

fn verification(verification: &Verification) -> Node {
    Fields::new()
        .with("event", dot(verification.dot))
        .with("agent", &*verification.agent)
        .with("at", time(verification.at))
        .with("verdict", verdict(verification.verdict))
        .line("reason", &verification.reason)
        .with("percent", int(verification.percent))
        .group("gaps", sequence(verification.gaps.iter().map(Node::from)))
        .into()
}

fn failure(failure: &Failure) -> Node {
    let class = match failure.class {
        FailureClass::Transient => "transient",
        FailureClass::Resource => "resource",
        FailureClass::Logic => "logic",
        FailureClass::Unknown => "unknown",
    };
    Fields::new()
        .with("agent", &*failure.agent)
        .with("at", time(failure.at))
        .with("class", class)
        .with("message", &failure.message)
        .maybe("retry_at", failure.retry_at.map(time))
        .into()
}
