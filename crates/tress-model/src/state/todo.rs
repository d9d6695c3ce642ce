//! One todo: its fields, and the facts from which its status is derived.

use std::ops::{Deref, DerefMut};
use std::sync::Arc;

use bincode::Decode;
use bincode::de::Decoder;
use bincode::error::DecodeError;
use serde::{Deserialize, Serialize};

pub use super::fields::{Fields, Seldom};
use super::lazy::Lazy;
use super::writers::Writers;
use crate::clock::{Millis, VersionVector};
use crate::codec::{self, CodecError, Parts, Passing};
use crate::ids::{Dot, ReplicaId, TodoId};
use crate::limits;
use crate::operation::{BlockerKind, Check, FailureClass, ProseField, TodoEdit, Verdict};

/// A todo, its history boiled down to the facts that still count.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Todo {
    /// Its id.
    pub id: TodoId,
    /// The event that brought it into being.
    pub dot: Dot,
    /// What changes seldom; shared with earlier states of the todo. [`Todo`] gives its fields as its own.
    pub fields: Arc<Fields>,
    /// When it last changed.
    pub updated_at: Millis,
    /// Who holds it.
    pub claim: Option<Box<Claim>>,
    /// Claims that lost, while the todo is not finished.
    pub lost: Vec<Claim>,
    /// Claims that ended or lost, the latest [`limits::ENDED_CLAIMS_MAX`] of them; one that lost
    /// and then ended is here twice.
    pub ended: Lazy<Vec<Ended>>,
    /// Claims of completion, in order; shared with earlier states of the todo.
    pub completions: Vec<Arc<Completion>>,
    /// Every event that touched it.
    pub(super) touched: Lazy<VersionVector>,
}

/// Out of a snapshot, in which its id stands beside it.
impl Decode<Parts> for Todo {
    fn decode<D: Decoder<Context = Parts>>(decoder: &mut D) -> Result<Self, DecodeError> {
        Ok(Self {
            id: decoder.context().id,
            dot: Decode::decode(decoder)?,
            fields: Decode::decode(decoder)?,
            updated_at: Decode::decode(decoder)?,
            claim: Decode::decode(decoder)?,
            lost: Decode::decode(decoder)?,
            ended: Decode::decode(decoder)?,
            completions: Decode::decode(decoder)?,
            touched: Decode::decode(decoder)?,
        })
    }
}

impl Deref for Todo {
    type Target = Fields;

    fn deref(&self) -> &Fields {
        &self.fields
    }
}

impl DerefMut for Todo {
    fn deref_mut(&mut self) -> &mut Fields {
        Arc::make_mut(&mut self.fields)
    }
}

/// A remark.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Note {
    /// The event that made it.
    pub dot: Dot,
    /// Who made it.
    pub agent: Arc<str>,
    /// When.
    pub at: Millis,
    /// What it says.
    pub text: String,
    /// How it was written where it came from.
    pub layout: Option<String>,
}

/// A claim on a todo.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Decode)]
pub struct Claim {
    /// The event that made it: the fencing token.
    pub token: Dot,
    /// Who claimed.
    pub agent: Arc<str>,
    /// When.
    pub at: Millis,
    /// How long a sign of life lasts.
    pub lease: Option<Millis>,
    /// When it lapses; `None` never does.
    pub until: Option<Millis>,
    /// The paths (globs) that are reserved with it.
    pub scope: Vec<String>,
    /// When work began.
    pub started_at: Option<Millis>,
    /// The commit that work started from.
    pub base: Option<Box<str>>,
    /// The branch it is done on.
    pub branch: Option<Box<str>>,
    /// How far it is.
    pub progress: Option<Progress>,
}

impl Claim {
    /// Whether the claim holds at `now` (rule `leases-end`).
    pub fn holds(&self, now: Millis) -> bool {
        self.until.is_none_or(|until| now < until)
    }
}

/// A claim that no longer holds, and the event that ended it or that it lost against.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ended {
    /// The event that made the claim.
    pub token: Dot,
    /// Who claimed.
    pub agent: Arc<str>,
    /// The event that ended it.
    pub by: Dot,
}

/// How far the work on a todo is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Decode)]
pub struct Progress {
    /// 0 to 100.
    pub percent: u8,
    /// What was done.
    pub message: String,
    /// What comes next.
    pub next_milestone: Option<String>,
    /// When it was reported.
    pub at: Millis,
}

/// Something in the way of a todo.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Decode)]
pub struct Blocker {
    /// The event that raised it.
    pub dot: Dot,
    /// Who raised it.
    pub agent: Arc<str>,
    /// When.
    pub at: Millis,
    /// Of what kind.
    pub kind: BlockerKind,
    /// What is in the way.
    pub description: String,
    /// What was tried.
    pub tried: Vec<String>,
    /// The context with which it was escalated.
    pub escalated: Option<String>,
    /// How it was resolved.
    pub resolved: Option<String>,
}

/// A claim of completion, and what became of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Decode)]
pub struct Completion {
    /// The event that made it.
    pub dot: Dot,
    /// Who made it.
    pub agent: Arc<str>,
    /// The claim it was made under.
    pub token: Option<Dot>,
    /// Who held that claim, where that was another.
    pub claimant: Option<Arc<str>>,
    /// When.
    pub at: Millis,
    /// The commit that holds the work.
    pub commit: Option<String>,
    /// Whether that commit has to be integrated for the todo to be completed.
    pub to_integrate: bool,
    /// What was implemented.
    pub implementation: String,
    /// What was tested.
    pub tests: String,
    /// How it was wired in.
    pub integration: String,
    /// The evidence.
    pub checks: Vec<Check>,
    /// The verifier's answer.
    pub verification: Option<Box<Verification>>,
    /// The commit on the run's branch, and when it came there.
    pub integrated: Option<Box<(String, Millis)>>,
    /// Why it no longer counts: it was refused, failed to integrate, or the todo was reopened.
    pub void: Option<String>,
}

impl Completion {
    /// Whether it completes its todo.
    pub fn complete(&self) -> bool {
        self.void.is_none()
            && self.verification.as_ref().is_some_and(|v| v.verdict == Verdict::Pass)
            && (!self.to_integrate || self.integrated.is_some())
    }

    /// Whether it waits for a verifier.
    pub fn pending(&self) -> bool {
        self.void.is_none() && self.verification.is_none()
    }
}

/// A verifier's answer to a claim of completion.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Decode)]
pub struct Verification {
    /// The event that gave it.
    pub dot: Dot,
    /// Who gave it.
    pub agent: Arc<str>,
    /// When.
    pub at: Millis,
    /// The answer.
    pub verdict: Verdict,
    /// Why.
    pub reason: String,
    /// How much is there, 0 to 100.
    pub percent: u8,
    /// What is missing.
    pub gaps: Vec<String>,
}

/// A closing or a deletion.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Decode)]
pub struct Closing {
    /// The event that made it.
    pub dot: Dot,
    /// Who made it.
    pub agent: Arc<str>,
    /// When.
    pub at: Millis,
    /// Why.
    pub reason: String,
    /// Whether a later event took it back.
    pub undone: bool,
}

/// An attempt that failed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Decode)]
pub struct Failure {
    /// The event that reported it.
    pub dot: Dot,
    /// Whose attempt it was.
    pub agent: Arc<str>,
    /// When it was reported.
    pub at: Millis,
    /// What sort of failure.
    pub class: FailureClass,
    /// What happened.
    pub message: String,
    /// Not to be tried again before.
    pub retry_at: Option<Millis>,
}

impl Todo {
    pub(super) fn new(id: TodoId, dot: Dot, title: String, agent: &str, at: Millis) -> Self {
        Self {
            id,
            dot,
            fields: Arc::new(Fields::new(title, agent, at)),
            updated_at: at,
            claim: None,
            lost: Vec::new(),
            ended: Lazy::default(),
            completions: Vec::new(),
            touched: Lazy::default(),
        }
    }

    /// The todo in bytes, as it is put into a snapshot: without its id, and with its lazy parts put behind `parts`, in
    /// the order in which they are declared.
    pub(crate) fn hollow(
        &self,
        parts: &mut Vec<u8>,
        passing: &mut Passing,
    ) -> Result<Vec<u8>, CodecError> {
        let mut todo = self.clone();
        let fields = Arc::make_mut(&mut todo.fields);
        fields.prose.put_apart(parts, passing)?;
        fields.labels.put_apart(parts, passing)?;
        fields.extra.put_apart(parts, passing)?;
        fields.layout.put_apart(parts, passing)?;
        fields.notes.put_apart(parts, passing)?;
        fields.artifacts.put_apart(parts, passing)?;
        fields.writers.put_apart(parts, passing)?;
        todo.ended.put_apart(parts, passing)?;
        todo.touched.put_apart(parts, passing)?;
        // The id comes first.
        let id = codec::encode_part(&todo.id)?.len();
        Ok(codec::encode_part(&todo)?.split_off(id))
    }

    /// What stands for a todo that is in a snapshot and cannot be read there.
    pub(crate) fn unreadable(id: TodoId) -> Self {
        Self::new(id, Dot::new(ReplicaId([0; 16]), 0), String::new(), "", 0)
    }

    /// Gives `each` the agents that are named in its claims and claims of completion. What is shared with other
    /// todos is passed over.
    pub(crate) fn agents_mut(&mut self, mut each: impl FnMut(&mut Arc<str>)) {
        let claims = self.claim.as_deref_mut().into_iter().chain(&mut self.lost);
        claims.for_each(|claim| each(&mut claim.agent));
        for completion in self.completions.iter_mut().filter_map(Arc::get_mut) {
            each(&mut completion.agent);
            completion.claimant.as_mut().into_iter().for_each(&mut each);
            let answer = completion.verification.as_deref_mut();
            answer.into_iter().for_each(|answer| each(&mut answer.agent));
        }
    }

    /// The text of a prose field; empty where there is none.
    pub fn prose(&self, field: ProseField) -> String {
        self.prose.get(&field).map(|prose| prose.text()).unwrap_or_default()
    }

    /// What it is called where people see it: its external id, or the whole id.
    pub fn name(&self) -> String {
        self.external_id.clone().unwrap_or_else(|| self.id.to_string())
    }

    /// The deletion that holds, if it is deleted.
    pub fn deletion(&self) -> Option<&Closing> {
        self.deletions.iter().rev().find(|deletion| !deletion.undone)
    }

    /// The closing that holds, if it is closed.
    pub fn closing(&self) -> Option<&Closing> {
        self.closings.iter().rev().find(|closing| !closing.undone)
    }

    /// The claim of completion that the event `dot` made, to be changed.
    pub(super) fn completion_mut(&mut self, dot: Dot) -> Option<&mut Completion> {
        self.completions.iter_mut().find(|completion| completion.dot == dot).map(Arc::make_mut)
    }

    /// The claim of completion that completes it, if it is completed.
    pub fn completed(&self) -> Option<&Completion> {
        self.completions.iter().map(Arc::as_ref).find(|completion| completion.complete())
    }

    /// Its place among others: the most urgent first, then the oldest; of one millisecond, as they were made.
    pub fn urgency(&self) -> (u8, Millis, Dot) {
        (self.priority, self.created_at, self.dot)
    }

    /// Whether nothing is left to do: completed, closed or deleted.
    pub fn finished(&self) -> bool {
        self.closing().is_some() || self.completed().is_some() || self.deletion().is_some()
    }

    /// When it was finished, if it is.
    pub fn finished_at(&self) -> Option<Millis> {
        let completed = self.completed().and_then(|completion| {
            let integrated = completion.integrated.as_deref().map(|(_, at)| *at);
            integrated.or_else(|| completion.verification.as_ref().map(|v| v.at))
        });
        let closed = self.closing().map(|closing| closing.at);
        completed.or(closed).or_else(|| self.deletion().map(|deletion| deletion.at))
    }

    /// The claim that holds it at `now`. A claim of completion that waits for its verification
    /// keeps it, whatever the lease says.
    pub fn holder(&self, now: Millis) -> Option<&Claim> {
        let waiting = self.pending_completion().is_some() || self.verified().is_some();
        self.claim.as_deref().filter(|claim| waiting || claim.holds(now))
    }

    /// The claim of completion that waits for a verifier.
    pub fn pending_completion(&self) -> Option<&Completion> {
        self.completions.iter().rev().map(Arc::as_ref).find(|completion| completion.pending())
    }

    /// The claim of completion that is verified and waits to be integrated.
    pub fn verified(&self) -> Option<&Completion> {
        self.completions.iter().rev().map(Arc::as_ref).find(|completion| {
            completion.void.is_none() && completion.verification.is_some() && !completion.complete()
        })
    }

    /// What is in the way and not resolved.
    pub fn open_blockers(&self) -> impl Iterator<Item = &Blocker> {
        self.blockers.iter().filter(|blocker| blocker.resolved.is_none())
    }

    /// How far the work on it is, 0 to 100, by what was reported and verified.
    pub fn percent(&self) -> u8 {
        if self.completed().is_some() || self.closing().is_some() {
            return 100;
        }
        let reported = self.claim.as_deref().and_then(|claim| claim.progress.as_ref());
        reported.map_or(0, |progress| progress.percent)
    }

    /// Ends the claim that holds it; `by` is the event that ends it.
    pub(super) fn end_claim(&mut self, by: Dot) -> Option<Claim> {
        let claim = self.claim.take()?;
        self.remember_end(&claim, by);
        Some(*claim)
    }

    /// Ends the claims that lost, too; `by` is the event that ends them.
    pub(super) fn end_lost(&mut self, by: Dot) {
        for claim in std::mem::take(&mut self.lost) {
            self.remember_end(&claim, by);
        }
    }

    /// Remembers that `claim` ended or lost by the event `by`.
    pub(super) fn remember_end(&mut self, claim: &Claim, by: Dot) {
        if self.ended.len() >= limits::ENDED_CLAIMS_MAX {
            self.ended.remove(0);
        }
        self.ended.push(Ended { token: claim.token, agent: Arc::clone(&claim.agent), by });
    }

    /// Gives the todo back to a claim that had ended or lost.
    pub(super) fn give_back(&mut self, claim: Claim) {
        self.ended.retain(|ended| ended.token != claim.token);
        self.claim = Some(Box::new(claim));
    }

    /// Who wrote `field`.
    pub(super) fn writers(&mut self, field: &str) -> &mut Writers {
        let fields = Arc::make_mut(&mut self.fields);
        let created = || {
            let by = Arc::from(fields.created_by.as_deref().unwrap_or_default());
            Writers::new(self.dot, by)
        };
        fields.writers.entry(field.to_owned()).or_insert_with(created)
    }

    /// Sets a field; gives back the edit that would undo it, or `None` where nothing changes.
    /// The value of the field that `like` is an edit of, as an edit.
    #[must_use]
    pub fn value(&self, like: &TodoEdit) -> TodoEdit {
        match like {
            TodoEdit::Extra(key, _) => TodoEdit::Extra(key.clone(), self.extra.get(key).cloned()),
            like => self.clone().set(like).unwrap_or_else(|| like.clone()),
        }
    }

    pub(super) fn set(&mut self, edit: &TodoEdit) -> Option<TodoEdit> {
        // What does not change stays shared, and takes no room.
        macro_rules! swap {
            ($field:ident, $new:expr, $edit:ident) => {
                (self.$field != *$new)
                    .then(|| E::$edit(std::mem::replace(&mut self.$field, $new.clone())))
            };
        }
        use TodoEdit as E;
        match edit {
            E::Title(new) => swap!(title, new, Title),
            E::Kind(new) => swap!(kind, new, Kind),
            E::Priority(new) => swap!(priority, new, Priority),
            E::Assignee(new) => swap!(assignee, new, Assignee),
            E::Owner(new) => swap!(owner, new, Owner),
            E::Stage(new) => swap!(stage, new, Stage),
            E::Estimate(new) => swap!(estimate_minutes, new, Estimate),
            E::Check(new) => swap!(check, new, Check),
            E::Files(new) => swap!(files, new, Files),
            E::Section(new) => swap!(section, new, Section),
            E::Capabilities(new) => swap!(capabilities, new, Capabilities),
            E::HighRisk(new) => swap!(high_risk, new, HighRisk),
            E::Pinned(new) => swap!(pinned, new, Pinned),
            E::Ephemeral(new) => swap!(ephemeral, new, Ephemeral),
            E::DeferUntil(new) => swap!(defer_until, new, DeferUntil),
            E::DueAt(new) => swap!(due_at, new, DueAt),
            E::ExternalRef(new) => swap!(external_ref, new, ExternalRef),
            E::CreatedAt(new) => swap!(created_at, new, CreatedAt),
            E::CreatedBy(new) => swap!(created_by, new, CreatedBy),
            E::UpdatedAt(new) => swap!(updated_at, new, UpdatedAt),
            E::Extra(key, new) => {
                let old = match new {
                    Some(new) => self.extra.insert(key.clone(), new.clone()),
                    None if !self.extra.contains_key(key) => None,
                    None => self.extra.remove(key),
                };
                (old != *new).then(|| E::Extra(key.clone(), old))
            }
        }
    }
}
