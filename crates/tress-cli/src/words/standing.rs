//! How a todo stands, and what holds it back.

use std::sync::Arc;

use serde::Serialize;
use tress::operation::EdgeKind;
use tress::state::{BlockReason, Readiness};
use tress::{Millis, State, Status, Todo, TodoId};

use super::{after_colon, count, quoted, short};
use crate::time::{ago, clock};

/// One reason for which a todo is not ready.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Why {
    /// `depends_on`, `waits_for_children`, `parent`, `blocker` or `stage`.
    because: &'static str,
    /// The todo that is in the way.
    id: Option<String>,
    /// The id that it has in another system.
    external_id: Option<String>,
    /// The same in words.
    pub(crate) text: String,
}

impl Why {
    /// Whether somebody reported it as something in the way.
    pub(crate) fn is_blocker(&self) -> bool {
        self.because == "blocker"
    }
}

/// Why `id` is not ready.
pub(crate) fn reasons(state: &State, readiness: &Readiness, id: TodoId, now: Millis) -> Vec<Why> {
    let reasons = readiness.blocked.get(&id).map(Vec::as_slice).unwrap_or_default();
    let mut reasons: Vec<Why> = reasons.iter().map(|reason| why(state, reason, now)).collect();
    let staged = state.todo(id).filter(|todo| set_aside(state, todo, now) == Some("blocked"));
    reasons.extend(staged.map(|todo| Why {
        because: "stage",
        id: None,
        external_id: None,
        text: format!("another system says so; {}", opens(state, todo)),
    }));
    reasons
}

/// The word of another system by which `todo` is not open: `tress reopen` takes it away.
pub(crate) fn set_aside<'a>(state: &State, todo: &'a Todo, now: Millis) -> Option<&'a str> {
    let word = todo.stage.as_deref()?;
    let says = match state.status_unblocked(todo, now) {
        Status::InProgress => {
            matches!(word, "in_progress" | "hooked") && todo.holder(now).is_none()
        }
        Status::Pinned => word == "pinned",
        Status::Deferred => word == "deferred",
        Status::Blocked => word == "blocked",
        _ => false,
    };
    says.then_some(word)
}

/// What something holds back: what `list` calls blocked, and what is blocked besides.
pub(crate) fn blocked<'a>(
    state: &'a State,
    readiness: &Readiness,
    now: Millis,
) -> impl Iterator<Item = &'a Arc<Todo>> {
    state.todos.unfinished().filter(move |todo| {
        readiness.blocked.contains_key(&todo.id) || set_aside(state, todo, now) == Some("blocked")
    })
}

fn opens(state: &State, todo: &Todo) -> String {
    format!("`tress reopen {}` opens it", short(&state.name(todo.id), 60))
}

fn why(state: &State, reason: &BlockReason, now: Millis) -> Why {
    let (because, other, text) = match reason {
        BlockReason::DependsOn { on, status } => {
            let holder = state.todo(*on).and_then(|todo| todo.holder(now));
            let holder =
                holder.map_or(String::new(), |claim| format!(", {}", short(&claim.agent, 40)));
            let text = format!("needs {} ({}{holder})", named(state, *on), status.name());
            ("depends_on", Some(*on), text)
        }
        BlockReason::WaitsForChildren { of, open } => {
            let children = if *open == 1 { "open child" } else { "open children" };
            let text = format!("waits for {open} {children} of {}", named(state, *of));
            ("waits_for_children", Some(*of), text)
        }
        BlockReason::Parent { parent } => {
            let text = format!("is part of {}, which is blocked", named(state, *parent));
            ("parent", Some(*parent), text)
        }
        BlockReason::Blocker { kind, description, .. } => {
            let text = format!("{} blocker{}", kind.name(), after_colon(description));
            ("blocker", None, text)
        }
    };
    let external_id = other.and_then(|other| state.todo(other)?.external_id.clone());
    Why { because, id: other.map(|other| state.short_id(other)), external_id, text }
}

/// A todo by name and title.
pub(super) fn named(state: &State, id: TodoId) -> String {
    let title = state.todo(id).map(|todo| quoted(&todo.title));
    let name = short(&state.name(id), 60);
    title.map_or(name.clone(), |title| format!("{name} {title}"))
}

/// Why `todo` stands where it stands, in one sentence.
pub(crate) fn standing(state: &State, readiness: &Readiness, todo: &Todo, now: Millis) -> String {
    let status = state.status(todo, readiness, now);
    match status {
        Status::Deleted | Status::Completed | Status::Closed | Status::Verified => {
            finished(todo, now)
        }
        Status::InReview => {
            let done = todo.pending_completion();
            let agent = done.map_or("somebody", |done| &*done.agent);
            format!("{} says that it is done; a verifier has to look", short(agent, 60))
        }
        Status::InProgress => in_progress(state, todo, now),
        Status::Blocked => {
            let reasons = reasons(state, readiness, todo.id, now);
            let reasons: Vec<String> = reasons.into_iter().map(|why| why.text).collect();
            format!("blocked: {}", reasons.join("; "))
        }
        Status::Deferred if set_aside(state, todo, now).is_some() => {
            format!("deferred, as another system says; {}", opens(state, todo))
        }
        Status::Deferred => match todo.defer_until {
            Some(until) => format!("deferred until {}", clock(until, now)),
            None => "deferred".to_owned(),
        },
        Status::Pinned => {
            format!("pinned: kept in view, never worked on; {}", opens(state, todo))
        }
        Status::Open => open(state, readiness, todo, now),
    }
}

fn finished(todo: &Todo, now: Millis) -> String {
    if let Some(deletion) = todo.deletion() {
        let when = ago(deletion.at, now);
        return format!(
            "deleted by {} {when}{}",
            short(&deletion.agent, 60),
            after_colon(&deletion.reason)
        );
    }
    if let Some(done) = todo.completed() {
        let judge = done.verification.as_ref();
        let judge = judge.map_or(String::new(), |v| {
            format!(", {} verified it {}", short(&v.agent, 60), ago(v.at, now))
        });
        return format!("completed: {} did it{judge}", short(&done.agent, 60));
    }
    if let Some(closing) = todo.closing() {
        let when = ago(closing.at, now);
        return format!(
            "closed by {} {when}{}",
            short(&closing.agent, 60),
            after_colon(&closing.reason)
        );
    }
    "verified; it has yet to be integrated".to_owned()
}

fn in_progress(state: &State, todo: &Todo, now: Millis) -> String {
    let Some(claim) = todo.holder(now) else {
        let who = todo.assignee.as_deref().map(|who| format!(" by {}", short(who, 60)));
        let who = who.unwrap_or_default();
        return format!("under way{who}, without a claim; {}", opens(state, todo));
    };
    let until = claim.until.map_or(String::new(), |until| format!(" until {}", clock(until, now)));
    let progress = claim.progress.as_ref().map_or(String::new(), |progress| {
        let when = ago(progress.at, now);
        format!(", {}% reported {when}{}", progress.percent, after_colon(&progress.message))
    });
    format!("held by {}{until}{progress}", short(&claim.agent, 60))
}

fn open(state: &State, readiness: &Readiness, todo: &Todo, now: Millis) -> String {
    let mut text = if readiness.ready.contains(&todo.id) {
        "ready: nothing holds it back".to_owned()
    } else {
        format!("open, and not offered as ready: {}", not_offered(state, todo, now))
    };
    if let Some(claim) = &todo.claim
        && let Some(until) = claim.until
    {
        let agent = short(&claim.agent, 60);
        text.push_str(&format!("; the lease of {agent} ended {}", clock(until, now)));
    }
    if !todo.failures.is_empty() {
        text.push_str(&format!("; it failed {}", count(todo.failures.len(), "time")));
    }
    text
}

fn not_offered(state: &State, todo: &Todo, now: Millis) -> String {
    let retry = todo.failures.last().and_then(|failure| failure.retry_at);
    if let Some(at) = retry.filter(|&at| at > now) {
        return format!("it is to be tried again {}", clock(at, now));
    }
    if todo.pinned {
        return "it is pinned".to_owned();
    }
    if todo.ephemeral {
        return "it is ephemeral".to_owned();
    }
    let mut edges = state.edges(todo.id).iter().filter(|edge| edge.kind == EdgeKind::ParentChild);
    let deferred = edges.find(|edge| {
        let parent = state.todo(edge.on);
        parent.and_then(|parent| parent.defer_until).is_some_and(|until| until > now)
    });
    match deferred {
        Some(edge) => format!("{}, which it is part of, is deferred", named(state, edge.on)),
        None => format!("a {} is a record, not work", short(&todo.kind, 40)),
    }
}
