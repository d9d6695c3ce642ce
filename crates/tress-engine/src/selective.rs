//! Selective replay: a run as it would stand without some of its events.
//!
//! What is left out stays in the log and has no effect ([`Log::leaving_out`]), so nothing is
//! rewritten: every other event keeps its name, its time and what its author had seen, and the
//! rules decide again with what is left.
//!
//! What depends on a left-out event goes by one rule. An event is **left out with it** when it means
//! nothing without it:
//!
//! * it rests on it by name: a report under a left-out claim, the answer to a left-out claim of
//!   completion, the resolution of a left-out blocker, the decision on a left-out deviation, the
//!   acknowledgement or undoing of a left-out event;
//! * it is about something that is not there any more: a todo, section, requirement, design rule or
//!   alert whose coming into being is left out; or it is an edge to such a todo.
//!
//! Everything else is **kept**, also when its author had seen what is left out. Where a kept event
//! has no effect any more by a rule, it is listed with that rule.

use std::collections::BTreeSet;
use std::sync::Arc;

use tress_model::ids::{Dot, TodoId};
use tress_model::operation::ProseTarget;
use tress_model::{Event, Operation, Rule, State, VersionVector};

use crate::log::Log;
use crate::replay::{When, WhenError};

/// What is to be left out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Without {
    /// Everything that an agent did.
    Agent(String),
    /// One event.
    Event(Dot),
    /// Everything about a todo.
    Todo(TodoId),
    /// Everything after a moment.
    After(When),
}

/// Why an event is left out, or what became of one that was kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fate {
    /// It is one of those that were to be left out.
    Chosen,
    /// It rests on an event that is left out.
    RestsOn(Dot),
    /// What it is about is not there any more.
    Gone(String),
    /// It is kept, and has no effect any more.
    NoEffect {
        /// By which rule.
        rule: Rule,
        /// What the rule says.
        detail: String,
    },
}

impl Fate {
    /// Whether the event is left out.
    pub const fn left_out(&self) -> bool {
        !matches!(self, Self::NoEffect { .. })
    }
}

/// What a selective replay comes to.
#[derive(Debug, Clone, Default)]
pub struct Selection {
    /// Up to where the run is replayed.
    pub version: VersionVector,
    /// What is left out of that.
    pub left_out: BTreeSet<Dot>,
    /// Every event that does not have the effect that it had, with the reason, in canonical order.
    /// Events after [`Selection::version`] are not among them.
    pub fates: Vec<(Arc<Event>, Fate)>,
    /// How many events lie after [`Selection::version`].
    pub after: u64,
    /// The state as it would stand.
    pub state: Arc<State>,
}

impl Log {
    /// What the run would be without what `without` names. Two folds of the run; the log must be
    /// whole.
    ///
    /// # Errors
    /// When a moment or an event that is named is not here.
    pub fn select(&self, without: &[Without]) -> Result<Selection, WhenError> {
        let mut version = self.version().clone();
        for without in without {
            match without {
                Without::After(when) => version = version.meet(&self.version_at(when)?),
                Without::Event(dot) if self.event(*dot).is_none() => {
                    return Err(WhenError::Unknown(dot.to_string()));
                }
                _ => {}
            }
        }
        let version = self.closed(&version);
        let mut replay = Replay::default();
        replay.left_out.clone_from(self.left_out());
        for event in self.events().iter().filter(|event| version.contains(event.dot)) {
            replay.step(event, without);
        }
        let Replay { kept, left_out, fates, .. } = replay;
        let after = self.version().events() - version.events();
        let mut left_out = Arc::unwrap_or_clone(left_out);
        left_out.retain(|&dot| version.contains(dot));
        Ok(Selection { version, left_out, fates, after, state: Arc::new(kept) })
    }
}

impl Log {
    /// Of `version`, the events whose causes are in it, too.
    fn closed(&self, version: &VersionVector) -> VersionVector {
        let mut closed = VersionVector::new();
        for event in self.events().iter().filter(|event| version.contains(event.dot)) {
            let next = event.dot.number == closed.get(event.dot.replica) + 1;
            if next && *event.seen <= closed {
                closed.insert(event.dot);
            }
        }
        closed
    }
}

/// The run with everything, and beside it without what is left out.
#[derive(Default)]
struct Replay {
    full: State,
    kept: State,
    left_out: Arc<BTreeSet<Dot>>,
    fates: Vec<(Arc<Event>, Fate)>,
}

impl Replay {
    fn step(&mut self, event: &Arc<Event>, without: &[Without]) {
        if self.left_out.contains(&event.dot) {
            // It was left out before.
            self.full.pass_over(event);
            self.kept.pass_over(event);
            return;
        }
        let reason = self.reason(event, without);
        let ruled = ruling(&mut self.full, event);
        match reason {
            Some(reason) => {
                self.kept.pass_over(event);
                Arc::make_mut(&mut self.left_out).insert(event.dot);
                self.fates.push((Arc::clone(event), reason));
            }
            None => {
                let now = ruling(&mut self.kept, event);
                if let (None, Some((rule, detail))) = (ruled, now) {
                    self.fates.push((Arc::clone(event), Fate::NoEffect { rule, detail }));
                }
            }
        }
    }

    fn reason(&self, event: &Event, without: &[Without]) -> Option<Fate> {
        let operation = &event.operation;
        let chosen = without.iter().any(|without| match without {
            Without::Agent(name) => *event.author.name == **name,
            Without::Event(dot) => event.dot == *dot,
            Without::Todo(todo) => operation.todo() == Some(*todo),
            Without::After(_) => false,
        });
        if chosen {
            return Some(Fate::Chosen);
        }
        if let Some(dot) = operation.rests_on().filter(|dot| self.left_out.contains(dot)) {
            return Some(Fate::RestsOn(dot));
        }
        self.gone(operation).map(Fate::Gone)
    }

    /// What the operation is about, where that is there with everything and not without.
    fn gone(&self, operation: &Operation) -> Option<String> {
        use Operation as O;
        let (full, kept) = (&self.full, &self.kept);
        let lost = |full: bool, kept: bool| full && !kept;
        let section = |key: &String| {
            let (full, kept) = (&full.design.sections, &kept.design.sections);
            lost(full.contains_key(key), kept.contains_key(key)).then(|| format!("section {key}"))
        };
        let todo = |id: TodoId| {
            lost(full.todos.contains_key(&id), kept.todos.contains_key(&id))
                .then(|| format!("todo {}", full.name(id)))
        };
        match operation {
            // These bring it into being.
            O::TodoAdded { .. } => None,
            // They are of the run, and speak of a todo only in passing.
            O::AssessmentGiven { .. } | O::DeviationFound { .. } | O::BudgetSpent { .. } => None,
            O::ProseEdited { target: ProseTarget::Section(key), .. }
            | O::SectionRemoved { section: key } => section(key),
            O::RequirementRemoved { requirement: key } => {
                let (full, kept) = (&full.design.requirements, &kept.design.requirements);
                lost(full.contains_key(key), kept.contains_key(key))
                    .then(|| format!("requirement {key}"))
            }
            O::DesignRuleRemoved { rule: key } => {
                let (full, kept) = (&full.design.rules, &kept.design.rules);
                lost(full.contains_key(key), kept.contains_key(key))
                    .then(|| format!("design rule {key}"))
            }
            O::AlertAcknowledged { alert } | O::AlertCleared { alert } => {
                let (full, kept) = (&full.team.alerts, &kept.team.alerts);
                lost(full.contains_key(alert), kept.contains_key(alert))
                    .then(|| format!("alert {alert}"))
            }
            O::DependencyAdded { todo: from, on, .. } => todo(*from).or_else(|| todo(*on)),
            operation => operation.todo().and_then(todo),
        }
    }
}

/// Folds an event; gives the rule by which it has no effect, or part of none.
fn ruling(state: &mut State, event: &Event) -> Option<(Rule, String)> {
    let before = state.ledger.len() as u64 + state.ledger_cut;
    state.apply(event);
    let after = state.ledger.len() as u64 + state.ledger_cut;
    let fresh = usize::try_from(after - before).unwrap_or(usize::MAX);
    let entries = state.ledger.iter().rev().take(fresh);
    let mut against = entries.filter(|entry| entry.loser == event.dot);
    against.next().map(|entry| (entry.rule, entry.detail.clone()))
}
