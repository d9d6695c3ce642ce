//! Undo: the effect of one event taken back, by new events beside it.
//!
//! The run is folded again without the event. Where what the event changed stands otherwise then,
//! operations are planned that bring it there. What others did later stays: a title that somebody
//! has changed again since is left as it is. Some events cannot be taken back by others, since
//! somebody acted on them or since a rule forbids it; the answer then says what to do instead.

use std::collections::BTreeSet;
use std::sync::Arc;

use tress_model::ids::{Dot, TodoId};
use tress_model::operation::{ProseField, ProseTarget, TodoEdit};
use tress_model::state::design::Section;
use tress_model::state::prose::difference;
use tress_model::{Event, Millis, Operation, State, Todo};

use crate::log::Log;

/// Why an event cannot be undone.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum UndoError {
    /// It is not here.
    #[error("there is no event {0}")]
    Unknown(Dot),
    /// It was undone before.
    #[error(
        "it was undone already; if its effect is there again, undo the event that brought it back"
    )]
    Already,
    /// It is left out of this run.
    #[error("it is left out of this path, so it has no effect to take back")]
    LeftOut,
    /// Nothing of its effect is left.
    #[error("nothing of its effect is left: it lost, or what it said was changed again since")]
    NothingLeft,
    /// Others built on it.
    #[error("{} built on it since: {instead}", agents.join(", "))]
    OthersBuilt {
        /// Who.
        agents: Vec<String>,
        /// What can be done instead.
        instead: &'static str,
    },
    /// It cannot be taken back.
    #[error("{operation} cannot be taken back: {instead}")]
    Final {
        /// What it is.
        operation: &'static str,
        /// What can be done instead.
        instead: &'static str,
    },
}

/// A run with an event and without it.
struct Undoing<'a> {
    event: &'a Event,
    with: &'a State,
    without: State,
    reason: &'a str,
    now: Millis,
}

type Planned = Result<Vec<Operation>, UndoError>;

impl Log {
    /// The operations that take back the effect of the event `dot`, the last of them `Undone`.
    /// Folds from the event on; the log must be whole. Leases are judged at `now`.
    ///
    /// # Errors
    /// When the event is not here, or cannot be taken back.
    pub fn undo(&self, dot: Dot, reason: &str, now: Millis) -> Planned {
        let event = self.event(dot).ok_or(UndoError::Unknown(dot))?;
        if self.left_out().contains(&dot) {
            return Err(UndoError::LeftOut);
        }
        if self.state().team.undone.contains(&dot) {
            return Err(UndoError::Already);
        }
        let without = self.without(event);
        let undoing = Undoing { event, with: self.state(), without, reason, now };
        let mut operations = undoing.plan(self)?;
        operations.push(Operation::Undone { event: dot, reason: reason.to_owned() });
        Ok(operations)
    }

    fn without(&self, event: &Event) -> State {
        let place = self.events().partition_point(|other| other.order() < event.order());
        let (from, state) = self.state_before(place);
        let mut state = Arc::unwrap_or_clone(state);
        for other in self.events().iter().skip(from) {
            if other.dot == event.dot || self.left_out().contains(&other.dot) {
                state.pass_over(other);
            } else {
                state.apply(other);
            }
        }
        state
    }
}

impl Undoing<'_> {
    fn reason(&self) -> String {
        self.reason.to_owned()
    }

    fn plan(&self, log: &Log) -> Planned {
        use Operation as O;
        let operation = &self.event.operation;
        let planned = match operation {
            // They are withdrawn by `Undone` itself.
            O::NoteAdded { todo, .. } => {
                let there = |state: &State| {
                    let todo = state.todo(*todo);
                    todo.is_some_and(|todo| todo.notes.iter().any(|n| n.dot == self.event.dot))
                };
                return if there(self.with) { Ok(Vec::new()) } else { Err(UndoError::NothingLeft) };
            }
            O::AssessmentGiven { .. } => return Ok(Vec::new()),
            O::TodoAdded { todo, .. } => self.added(log, *todo)?,
            O::TodoEdited { todo, edits } => self.fields(*todo, edits),
            O::ProseEdited { target: ProseTarget::Todo(todo, field), .. } => {
                self.prose(*todo, &[*field])
            }
            O::LabelsChanged { todo, .. } => self.labels(*todo),
            O::DependencyAdded { todo, .. } | O::DependencyRemoved { todo, .. } => {
                self.edges(*todo)
            }
            O::Closed { todo, .. } | O::Reopened { todo, .. } | O::Deleted { todo, .. } => {
                self.standing(*todo)
            }
            O::Claimed { todo, .. } => self.claim(*todo),
            O::BlockerRaised { todo, .. } | O::BlockerResolved { todo, .. } => self.blockers(*todo),
            O::CompletionClaimed { todo, .. } => self.completion(*todo)?,
            O::AlertRaised { alert, .. } => self.alert(alert),
            operation => match self.design(operation) {
                Some(planned) => planned,
                None => return Err(cannot(operation)),
            },
        };
        if planned.is_empty() { Err(UndoError::NothingLeft) } else { Ok(planned) }
    }

    fn both(&self, todo: TodoId) -> Option<(&Todo, &Todo)> {
        Some((self.with.todo(todo)?, self.without.todo(todo)?))
    }

    fn added(&self, log: &Log, id: TodoId) -> Planned {
        let Some(todo) = self.with.todo(id) else { return Ok(Vec::new()) };
        if let Some((_, without)) = self.both(id) {
            // It was there already, or was added again: it counted as an edit.
            let mut edits = vec![TodoEdit::Title(todo.title.clone())];
            if let Operation::TodoAdded { edits: more, .. } = &self.event.operation {
                edits.extend(more.iter().cloned());
            }
            let fields: Vec<_> = without.prose.keys().chain(todo.prose.keys()).copied().collect();
            let mut planned = self.fields(id, &edits);
            planned.extend(self.prose(id, &fields));
            planned.extend(self.labels(id));
            return Ok(planned);
        }
        if todo.deletion().is_some() {
            return Ok(Vec::new());
        }
        let about = log.events().iter().filter(|event| event.operation.todo() == Some(id));
        let others: BTreeSet<String> = about
            .filter(|event| event.author.name != self.event.author.name)
            .map(|event| event.author.name.to_string())
            .collect();
        if !others.is_empty() {
            let instead = "`delete` deletes it all the same; a replay without it makes a path";
            return Err(UndoError::OthersBuilt { agents: others.into_iter().collect(), instead });
        }
        Ok(vec![Operation::Deleted { todo: id, reason: self.reason() }])
    }

    fn fields(&self, id: TodoId, touched: &[TodoEdit]) -> Vec<Operation> {
        let Some((with, without)) = self.both(id) else { return Vec::new() };
        let back = touched.iter().filter(|edit| with.value(edit) != without.value(edit));
        // When it changed last is bookkeeping, and changes with the undoing itself.
        let back = back.filter(|edit| !matches!(edit, TodoEdit::UpdatedAt(_)));
        let edits: Vec<_> = back.map(|edit| without.value(edit)).collect();
        if edits.is_empty() { Vec::new() } else { vec![Operation::TodoEdited { todo: id, edits }] }
    }

    fn prose(&self, id: TodoId, fields: &[ProseField]) -> Vec<Operation> {
        let Some((with, without)) = self.both(id) else { return Vec::new() };
        let fields: BTreeSet<ProseField> = fields.iter().copied().collect();
        let back = fields.into_iter().filter_map(|field| {
            let splice = difference(&with.prose(field), &without.prose(field))?;
            let target = ProseTarget::Todo(id, field);
            Some(Operation::ProseEdited { target, splices: vec![splice] })
        });
        back.collect()
    }

    fn labels(&self, id: TodoId) -> Vec<Operation> {
        let Some((with, without)) = self.both(id) else { return Vec::new() };
        let only = |one: &Todo, other: &Todo| {
            let labels = one.labels.keys().filter(|label| !other.labels.contains_key(*label));
            labels.cloned().collect::<Vec<_>>()
        };
        let (added, removed) = (only(without, with), only(with, without));
        if added.is_empty() && removed.is_empty() {
            return Vec::new();
        }
        vec![Operation::LabelsChanged { todo: id, added, removed }]
    }

    fn edges(&self, id: TodoId) -> Vec<Operation> {
        let only = |one: &State, other: &State| {
            let known = other.edges(id);
            let same = |a: &tress_model::state::Edge, b: &tress_model::state::Edge| {
                a.on == b.on && a.kind == b.kind
            };
            let edges = one.edges(id).iter().filter(|edge| !known.iter().any(|k| same(k, edge)));
            edges.cloned().collect::<Vec<_>>()
        };
        let gone = only(self.with, &self.without)
            .into_iter()
            .map(|edge| Operation::DependencyRemoved { todo: id, on: edge.on, kind: edge.kind });
        let back =
            only(&self.without, self.with).into_iter().map(|edge| Operation::DependencyAdded {
                todo: id,
                on: edge.on,
                external_id: edge.external_id,
                kind: edge.kind,
                layout: edge.layout,
            });
        gone.chain(back).collect()
    }

    fn standing(&self, id: TodoId) -> Vec<Operation> {
        let Some((with, without)) = self.both(id) else { return Vec::new() };
        let reason = self.reason();
        match (with.finished() || with.deletion().is_some(), without.finished()) {
            (true, false) if without.deletion().is_none() => {
                vec![Operation::Reopened { todo: id, reason }]
            }
            (false, _) if without.deletion().is_some() => {
                vec![Operation::Deleted { todo: id, reason }]
            }
            (false, true) => {
                let reason = without.closing().map(|closing| closing.reason.clone());
                vec![Operation::Closed { todo: id, reason: reason.unwrap_or_default() }]
            }
            _ => Vec::new(),
        }
    }

    fn claim(&self, id: TodoId) -> Vec<Operation> {
        let claim = self.with.todo(id).and_then(|todo| todo.holder(self.now));
        let own = claim.filter(|claim| claim.token == self.event.dot);
        let release =
            |token| Operation::Released { todo: id, token, reason: self.reason.to_owned() };
        own.map(|claim| release(claim.token)).into_iter().collect()
    }

    fn blockers(&self, id: TodoId) -> Vec<Operation> {
        let Some(todo) = self.with.todo(id) else { return Vec::new() };
        match &self.event.operation {
            Operation::BlockerResolved { blocker, .. } => {
                let raised = todo.blockers.iter().find(|raised| raised.dot == *blocker);
                let again = raised.map(|raised| Operation::BlockerRaised {
                    todo: id,
                    kind: raised.kind,
                    description: raised.description.clone(),
                    tried: raised.tried.clone(),
                });
                again.into_iter().collect()
            }
            _ => {
                let own = todo.blockers.iter().find(|raised| raised.dot == self.event.dot);
                let own = own.filter(|raised| raised.resolved.is_none());
                let resolve = |dot| Operation::BlockerResolved {
                    todo: id,
                    blocker: dot,
                    resolution: format!("taken back: {}", self.reason),
                };
                own.map(|raised| resolve(raised.dot)).into_iter().collect()
            }
        }
    }

    fn completion(&self, id: TodoId) -> Planned {
        let Some(todo) = self.with.todo(id) else { return Ok(Vec::new()) };
        let claimed = todo.completions.iter().find(|claimed| claimed.dot == self.event.dot);
        match claimed {
            Some(claimed) if claimed.pending() => Ok(vec![Operation::RolledBack {
                todo: id,
                what: "the claim of completion".to_owned(),
                reason: self.reason(),
            }]),
            Some(claimed) if claimed.void.is_none() => Err(UndoError::Final {
                operation: "a verified completion",
                instead: "`reopen` opens the todo again",
            }),
            _ => Ok(Vec::new()),
        }
    }

    fn alert(&self, key: &str) -> Vec<Operation> {
        let raised = self.with.team.alerts.get(key).filter(|alert| alert.cleared_at.is_none());
        let before = self.without.team.alerts.get(key).filter(|alert| alert.cleared_at.is_none());
        match (raised, before) {
            (Some(_), None) => vec![Operation::AlertCleared { alert: key.to_owned() }],
            _ => Vec::new(),
        }
    }

    /// `None` for what is no such operation of the design strand.
    fn design(&self, operation: &Operation) -> Option<Vec<Operation>> {
        use Operation as O;
        let (with, without) = (&self.with.design, &self.without.design);
        Some(match operation {
            O::SectionAdded { section: key, .. }
            | O::SectionRemoved { section: key }
            | O::ProseEdited { target: ProseTarget::Section(key), .. } => {
                let (with, without) = (with.sections.get(key), without.sections.get(key));
                section(key, with.map(Arc::as_ref), without.map(Arc::as_ref))
            }
            O::RequirementAdded { requirement: key, .. }
            | O::RequirementRemoved { requirement: key } => {
                match (with.requirements.get(key), without.requirements.get(key)) {
                    (Some(_), None) => vec![O::RequirementRemoved { requirement: key.clone() }],
                    (with, Some(old)) if with.is_none_or(|new| !same_requirement(new, old)) => {
                        vec![O::RequirementAdded {
                            requirement: key.clone(),
                            section: old.section.clone(),
                            text: old.text.clone(),
                            kind: old.kind.clone(),
                            criticality: old.criticality,
                        }]
                    }
                    _ => Vec::new(),
                }
            }
            O::DesignRuleAdded { rule: key, .. } | O::DesignRuleRemoved { rule: key } => {
                match (with.rules.get(key), without.rules.get(key)) {
                    (Some(_), None) => vec![O::DesignRuleRemoved { rule: key.clone() }],
                    (with, Some(old))
                        if with.is_none_or(|new| {
                            (&new.text, new.criticality) != (&old.text, old.criticality)
                        }) =>
                    {
                        let (text, criticality) = (old.text.clone(), old.criticality);
                        vec![O::DesignRuleAdded { rule: key.clone(), text, criticality }]
                    }
                    _ => Vec::new(),
                }
            }
            _ => return None,
        })
    }
}

fn same_requirement(
    one: &tress_model::state::design::Requirement,
    other: &tress_model::state::design::Requirement,
) -> bool {
    (&one.section, &one.text, &one.kind, one.criticality)
        == (&other.section, &other.text, &other.kind, other.criticality)
}

fn section(key: &str, with: Option<&Section>, without: Option<&Section>) -> Vec<Operation> {
    let key = key.to_owned();
    match (with, without) {
        (Some(_), None) => vec![Operation::SectionRemoved { section: key }],
        (with, Some(old)) => {
            let place = |section: &Section| (section.level, section.position);
            let same = with.is_some_and(|new| {
                new.heading == old.heading
                    && place(new) == place(old)
                    && new.body.is(&old.body.text())
            });
            let only_text =
                with.filter(|new| new.heading == old.heading && place(new) == place(old));
            match only_text {
                _ if same => Vec::new(),
                Some(new) => {
                    let splice = difference(&new.body.text(), &old.body.text());
                    let target = ProseTarget::Section(key);
                    let edit = |splice| Operation::ProseEdited { target, splices: vec![splice] };
                    splice.map(edit).into_iter().collect()
                }
                None => vec![Operation::SectionAdded {
                    section: key,
                    heading: old.heading.clone(),
                    level: old.level,
                    position: old.position,
                    body: old.body.text(),
                }],
            }
        }
        (None, None) => Vec::new(),
    }
}

/// Why an operation cannot be undone, and what can be done instead.
fn cannot(operation: &Operation) -> UndoError {
    use Operation as O;
    let instead = match operation {
        O::Released { .. } | O::AttemptFailed { .. } => "claim the todo again",
        O::Verified { .. } | O::Integrated { .. } => "`reopen` opens the todo again",
        O::DecisionRecorded { .. } => "record a decision that supersedes it (decisions-stand)",
        O::DeviationDecided { .. } => "a deviation is decided once (decisions-stand)",
        O::Undone { .. } => "undo the events that were appended with it",
        O::RunStarted { .. } | O::RunPaused { .. } | O::RunResumed | O::RunFinished { .. } => {
            "start, pause or resume the run"
        }
        _ => "it is a record of what happened; a replay without it makes a path",
    };
    UndoError::Final { operation: operation.name(), instead }
}
