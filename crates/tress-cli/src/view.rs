//! Todos as scripts see them. The field names are a contract.

use std::collections::BTreeMap;

use serde::Serialize;
use tress::operation::ProseField;
use tress::state::todo::{Blocker, Claim, Closing, Completion, Failure, Note};
use tress::state::{Edge, Readiness};
use tress::{Millis, State, Status, Todo, TodoId};

use crate::time::rfc3339;
use crate::words::{Why, reasons};

/// A todo in a list.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct TodoRow {
    /// `t-` and as many digits as make it unique.
    pub(crate) id: String,
    /// The id it was imported under.
    pub(crate) external_id: Option<String>,
    pub(crate) title: String,
    pub(crate) status: Status,
    pub(crate) priority: u8,
    /// Who holds it, did it, or is meant to do it.
    pub(crate) agent: Option<String>,
    pub(crate) kind: String,
    /// Whether it is not worth keeping, and not counted as work.
    pub(crate) ephemeral: bool,
    pub(crate) labels: Vec<String>,
    /// How far it is, 0 to 100.
    pub(crate) percent: u8,
    /// When the claim lapses without a sign of life.
    pub(crate) until: Option<String>,
    pub(crate) created_at: String,
    pub(crate) updated_at: String,
    #[serde(skip)]
    pub(crate) changed: Millis,
    /// What holds it back.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) reasons: Option<Vec<Why>>,
}

/// Who holds a todo, did it, or is meant to do it.
pub(crate) fn agent_of(todo: &Todo, now: Millis) -> Option<String> {
    let holder = todo.holder(now).map(|claim| claim.agent.to_string());
    let done = || todo.completed().map(|done| done.agent.to_string());
    let meant = || todo.assigned.clone().or_else(|| todo.assignee.clone());
    holder.or_else(done).or_else(meant)
}

impl TodoRow {
    /// The row of `todo` at `now`.
    pub(crate) fn new(state: &State, readiness: &Readiness, todo: &Todo, now: Millis) -> Self {
        let until = todo.holder(now).and_then(|claim| claim.until);
        Self {
            id: state.short_id(todo.id),
            external_id: todo.external_id.clone(),
            title: todo.title.clone(),
            status: state.status(todo, readiness, now),
            priority: todo.priority,
            agent: agent_of(todo, now),
            kind: todo.kind.clone(),
            ephemeral: todo.ephemeral,
            labels: todo.labels.keys().cloned().collect(),
            percent: todo.percent(),
            until: until.map(rfc3339),
            created_at: rfc3339(todo.created_at),
            updated_at: rfc3339(todo.updated_at),
            changed: todo.updated_at,
            reasons: None,
        }
    }

    /// The same, with what holds it back.
    pub(crate) fn with_reasons(
        mut self,
        state: &State,
        readiness: &Readiness,
        id: TodoId,
        now: Millis,
    ) -> Self {
        self.reasons = Some(reasons(state, readiness, id, now));
        self
    }

    /// What it is called in tables: its external id, or its short id.
    pub(crate) fn name(&self) -> &str {
        self.external_id.as_deref().unwrap_or(&self.id)
    }
}

#[derive(Debug, Serialize)]
struct ClaimView {
    agent: String,
    token: String,
    at: String,
    until: Option<String>,
    scope: Vec<String>,
    started_at: Option<String>,
    base: Option<String>,
    branch: Option<String>,
    percent: Option<u8>,
    message: Option<String>,
    next_milestone: Option<String>,
}

impl From<&Claim> for ClaimView {
    fn from(claim: &Claim) -> Self {
        let progress = claim.progress.as_ref();
        Self {
            agent: claim.agent.to_string(),
            token: claim.token.to_string(),
            at: rfc3339(claim.at),
            until: claim.until.map(rfc3339),
            scope: claim.scope.clone(),
            started_at: claim.started_at.map(rfc3339),
            base: claim.base.as_deref().map(str::to_owned),
            branch: claim.branch.as_deref().map(str::to_owned),
            percent: progress.map(|progress| progress.percent),
            message: progress.map(|progress| progress.message.clone()),
            next_milestone: progress.and_then(|progress| progress.next_milestone.clone()),
        }
    }
}

#[derive(Debug, Serialize)]
struct EdgeView {
    id: Option<String>,
    external_id: Option<String>,
    kind: String,
    /// Set aside because it would close a cycle.
    suspended: bool,
    /// Where the target stands; none where it is not there.
    status: Option<Status>,
}

impl EdgeView {
    fn new(state: &State, readiness: &Readiness, edge: &Edge, now: Millis) -> Self {
        let target = state.todo(edge.on);
        Self {
            id: target.map(|_| state.short_id(edge.on)),
            external_id: target.map_or(edge.external_id.clone(), |todo| todo.external_id.clone()),
            kind: edge.kind.name().to_owned(),
            suspended: edge.suspended,
            status: target.map(|todo| state.status(todo, readiness, now)),
        }
    }
}

#[derive(Debug, Serialize)]
struct BlockerView {
    blocker: String,
    agent: String,
    at: String,
    kind: &'static str,
    description: String,
    tried: Vec<String>,
    escalated: Option<String>,
    resolved: Option<String>,
}

impl From<&Blocker> for BlockerView {
    fn from(blocker: &Blocker) -> Self {
        Self {
            blocker: blocker.dot.to_string(),
            agent: blocker.agent.to_string(),
            at: rfc3339(blocker.at),
            kind: blocker.kind.name(),
            description: blocker.description.clone(),
            tried: blocker.tried.clone(),
            escalated: blocker.escalated.clone(),
            resolved: blocker.resolved.clone(),
        }
    }
}

#[derive(Debug, Serialize)]
struct CompletionView {
    completion: String,
    agent: String,
    at: String,
    commit: Option<String>,
    implementation: String,
    tests: String,
    integration: String,
    /// `pass`, `fail`, `unknown`; none while nobody has looked.
    verdict: Option<tress::operation::Verdict>,
    verifier: Option<String>,
    reason: Option<String>,
    gaps: Vec<String>,
    integrated: Option<String>,
    /// Why it no longer counts.
    void: Option<String>,
}

impl From<&Completion> for CompletionView {
    fn from(done: &Completion) -> Self {
        let answer = done.verification.as_ref();
        Self {
            completion: done.dot.to_string(),
            agent: done.agent.to_string(),
            at: rfc3339(done.at),
            commit: done.commit.clone(),
            implementation: done.implementation.clone(),
            tests: done.tests.clone(),
            integration: done.integration.clone(),
            verdict: answer.map(|answer| answer.verdict),
            verifier: answer.map(|answer| answer.agent.to_string()),
            reason: answer.map(|answer| answer.reason.clone()),
            gaps: answer.map(|answer| answer.gaps.clone()).unwrap_or_default(),
            integrated: done.integrated.as_deref().map(|(commit, _)| commit.clone()),
            void: done.void.clone(),
        }
    }
}

/// Something that somebody said or did at some time.
#[derive(Debug, Serialize)]
struct RemarkView {
    agent: String,
    at: String,
    text: String,
}

impl From<&Note> for RemarkView {
    fn from(note: &Note) -> Self {
        Self { agent: note.agent.to_string(), at: rfc3339(note.at), text: note.text.clone() }
    }
}

impl From<&Closing> for RemarkView {
    fn from(closing: &Closing) -> Self {
        let (agent, at) = (closing.agent.to_string(), rfc3339(closing.at));
        Self { agent, at, text: closing.reason.clone() }
    }
}

impl From<&Failure> for RemarkView {
    fn from(failure: &Failure) -> Self {
        let (agent, at) = (failure.agent.to_string(), rfc3339(failure.at));
        Self { agent, at, text: failure.message.clone() }
    }
}

/// A todo with everything that is known of it.
#[derive(Debug, Serialize)]
pub(crate) struct TodoDetail {
    #[serde(flatten)]
    row: TodoRow,
    /// Why it stands where it stands.
    standing: String,
    description: String,
    design: String,
    acceptance_criteria: String,
    notes: String,
    assignee: Option<String>,
    assigned: Option<String>,
    owner: Option<String>,
    stage: Option<String>,
    estimate_minutes: Option<u32>,
    check: Option<String>,
    files: Vec<String>,
    section: Option<String>,
    capabilities: Vec<String>,
    high_risk: bool,
    pinned: bool,
    defer_until: Option<String>,
    due_at: Option<String>,
    external_ref: Option<String>,
    created_by: Option<String>,
    finished_at: Option<String>,
    closed: Option<RemarkView>,
    claim: Option<ClaimView>,
    lost_claims: Vec<ClaimView>,
    dependencies: Vec<EdgeView>,
    dependents: Vec<String>,
    children: Vec<String>,
    blockers: Vec<BlockerView>,
    completions: Vec<CompletionView>,
    remarks: Vec<RemarkView>,
    failures: Vec<RemarkView>,
    artifacts: BTreeMap<String, Option<String>>,
    extra: BTreeMap<String, serde_json::Value>,
}

impl TodoDetail {
    /// All of `todo` at `now`.
    pub(crate) fn new(state: &State, readiness: &Readiness, todo: &Todo, now: Millis) -> Self {
        let row = TodoRow::new(state, readiness, todo, now);
        let edges = state.edges(todo.id).iter();
        let ids =
            |ids: &mut dyn Iterator<Item = TodoId>| ids.map(|id| state.short_id(id)).collect();
        Self {
            row: row.with_reasons(state, readiness, todo.id, now),
            standing: crate::words::standing(state, readiness, todo, now),
            description: todo.prose(ProseField::Description),
            design: todo.prose(ProseField::Design),
            acceptance_criteria: todo.prose(ProseField::Acceptance),
            notes: todo.prose(ProseField::Notes),
            assignee: todo.assignee.clone(),
            assigned: todo.assigned.clone(),
            owner: todo.owner.clone(),
            stage: todo.stage.clone(),
            estimate_minutes: todo.estimate_minutes,
            check: todo.check.clone(),
            files: todo.files.clone(),
            section: todo.section.clone(),
            capabilities: todo.capabilities.clone(),
            high_risk: todo.high_risk,
            pinned: todo.pinned,
            defer_until: todo.defer_until.map(rfc3339),
            due_at: todo.due_at.map(rfc3339),
            external_ref: todo.external_ref.clone(),
            created_by: todo.created_by.clone(),
            finished_at: todo.finished_at().map(rfc3339),
            closed: todo.closing().map(Into::into),
            claim: todo.holder(now).map(Into::into),
            lost_claims: todo.lost.iter().map(Into::into).collect(),
            dependencies: edges.map(|edge| EdgeView::new(state, readiness, edge, now)).collect(),
            dependents: ids(&mut state.dependents(todo.id)),
            children: ids(&mut state.children(todo.id)),
            blockers: todo.blockers.iter().map(Into::into).collect(),
            completions: todo
                .completions
                .iter()
                .map(|completion| completion.as_ref().into())
                .collect(),
            remarks: todo.notes.iter().map(|note| note.as_ref().into()).collect(),
            failures: todo.failures.iter().map(Into::into).collect(),
            artifacts: BTreeMap::clone(&todo.artifacts),
            extra: extra(todo),
        }
    }
}

fn extra(todo: &Todo) -> BTreeMap<String, serde_json::Value> {
    let fields = todo.extra.iter().map(|(name, text)| {
        let value = serde_json::from_str(text);
        (name.clone(), value.unwrap_or_else(|_| serde_json::Value::String(text.clone())))
    });
    fields.collect()
}
