//! The implementation strand: the run, its agents, its checkpoints, its alerts, its figures. What
//! belongs to one todo (attempts, evidence, artifacts) is kept with that todo.

use std::sync::Arc;

use imbl::{OrdMap, Vector};
use serde::{Deserialize, Serialize};

pub use super::agents::{Agent, Agents, Profile};
use super::fold::Ruling;
use crate::clock::{Millis, VersionVector};
use crate::event::Event;
use crate::ids::{Dot, EventId, StoreId, TodoId};
use crate::operation::{Operation, Severity};

/// Where a run is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Phase {
    /// Nothing was started.
    #[default]
    New,
    /// Agents are at work.
    Running,
    /// Stopped for now.
    Paused,
    /// Over.
    Finished,
}

/// How the run went.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Team {
    /// Where it is.
    pub phase: Phase,
    /// What it is about.
    pub title: String,
    /// The commit it started from.
    pub base: Option<String>,
    /// The branch that work is integrated into.
    pub branch: Option<String>,
    /// When it began.
    pub started_at: Option<Millis>,
    /// When it ended, or stopped for now.
    pub ended_at: Option<Millis>,
    /// What was said at the end.
    pub summary: String,
    /// Settings, by name.
    #[serde(deserialize_with = "super::bounded::map")]
    pub settings: OrdMap<String, String>,
    /// How work is distributed: implementers, coordinators, the reason.
    pub plan: Option<(u32, u32, String)>,
    /// Its agents, by name.
    pub agents: Agents,
    /// Work that came into the run's branch, in canonical order.
    #[serde(deserialize_with = "super::bounded::list")]
    pub integrations: Vector<Integration>,
    /// Moments to come back to, in canonical order.
    #[serde(deserialize_with = "super::bounded::list")]
    pub checkpoints: Vector<Arc<Checkpoint>>,
    /// What needs attention, by key.
    #[serde(deserialize_with = "super::bounded::map")]
    pub alerts: OrdMap<String, Arc<Alert>>,
    /// The latest figures, by name.
    #[serde(deserialize_with = "super::bounded::map")]
    pub metrics: OrdMap<String, f64>,
    /// What was used up, by unit.
    #[serde(deserialize_with = "super::bounded::map")]
    pub budget: OrdMap<String, f64>,
    /// What the run teaches, in canonical order: topic and JSON text.
    #[serde(deserialize_with = "super::bounded::list")]
    pub learning: Vector<(String, String)>,
    /// Runs that this one branched off or took in: name, version, whether it was taken in.
    #[serde(deserialize_with = "super::bounded::list")]
    pub lineage: Vector<(String, VersionVector, bool)>,
    /// Events whose effect was taken back.
    #[serde(deserialize_with = "super::bounded::list")]
    pub undone: Vector<Dot>,
    /// Stores that are gone, and who seals in their place.
    #[serde(deserialize_with = "super::bounded::map")]
    pub retired: OrdMap<StoreId, StoreId>,
    /// Member stores and their signing keys.
    #[serde(deserialize_with = "super::bounded::map")]
    pub members: OrdMap<StoreId, [u8; 32]>,
}

/// Work that came into the run's branch.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Integration {
    /// The todo.
    pub todo: TodoId,
    /// The claim of completion.
    pub completion: Dot,
    /// The commit on the run's branch.
    pub commit: String,
    /// When.
    pub at: Millis,
}

/// A moment to come back to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Checkpoint {
    /// The event that took it.
    pub dot: Dot,
    /// Its name.
    pub name: String,
    /// What it covers.
    pub version: VersionVector,
    /// The root of the state at that version.
    pub root: EventId,
    /// The form of state that the root is of.
    pub form: u16,
    /// Why it was taken.
    pub reason: String,
    /// Who took it.
    pub agent: Arc<str>,
    /// When.
    pub at: Millis,
}

/// Something that needs attention.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Alert {
    /// How urgent.
    pub priority: Severity,
    /// What is the matter.
    pub message: String,
    /// The todo it concerns.
    pub todo: Option<TodoId>,
    /// When it was first raised.
    pub raised_at: Millis,
    /// How often it was raised since it was last cleared.
    pub times: u32,
    /// Who looks after it.
    pub acknowledged_by: Option<Arc<str>>,
    /// When it was cleared.
    pub cleared_at: Option<Millis>,
}

impl Team {
    /// The latest checkpoint called `name`.
    pub fn checkpoint(&self, name: &str) -> Option<&Checkpoint> {
        self.checkpoints.iter().rev().find(|checkpoint| checkpoint.name == name).map(Arc::as_ref)
    }

    /// Alerts that hold, the most urgent first.
    pub fn open_alerts(&self) -> Vec<(&str, &Alert)> {
        let open = self.alerts.iter().filter(|(_, alert)| alert.cleared_at.is_none());
        let mut open: Vec<_> = open.map(|(key, alert)| (key.as_str(), alert.as_ref())).collect();
        open.sort_by_key(|(key, alert)| (std::cmp::Reverse(alert.priority), alert.raised_at, *key));
        open
    }

    /// Takes note that the author of `event` is there.
    pub(super) fn heard(&mut self, event: &Event) {
        self.agents.hear(&event.author.name, event.author.role, event.moment());
    }

    /// Folds an operation of the implementation strand that is not about one todo.
    pub(super) fn apply(&mut self, event: &Event) -> Option<Ruling> {
        use Operation as O;
        let at = event.moment();
        let name = &event.author.name;
        match &event.operation {
            O::RunStarted { title, base, branch, settings } => {
                self.phase = Phase::Running;
                self.title.clone_from(title);
                self.base.clone_from(base);
                self.branch.clone_from(branch);
                self.started_at.get_or_insert(at);
                self.ended_at = None;
                self.settings.extend(settings.iter().cloned());
            }
            O::RunPaused { reason } => {
                self.phase = Phase::Paused;
                self.ended_at = Some(at);
                self.summary.clone_from(reason);
            }
            O::RunResumed => {
                self.phase = Phase::Running;
                self.ended_at = None;
            }
            O::RunFinished { summary } => {
                self.phase = Phase::Finished;
                self.ended_at = Some(at);
                self.summary.clone_from(summary);
            }
            O::AgentJoined { capabilities, about } => {
                if let Some(agent) = self.agents.profile_mut(name) {
                    agent.active = true;
                    agent.capabilities.clone_from(capabilities);
                    agent.about.clone_from(about);
                }
            }
            O::AgentLeft { reason } => {
                if let Some(agent) = self.agents.profile_mut(name) {
                    agent.active = false;
                    agent.activity.clone_from(reason);
                }
            }
            O::AgentReported { activity } => {
                if let Some(agent) = self.agents.profile_mut(name) {
                    agent.activity.clone_from(activity);
                }
            }
            O::PlanMade { summary, implementers, coordinators } => {
                self.plan = Some((*implementers, *coordinators, summary.clone()));
            }
            O::StrategyChanged { setting, to, .. } => {
                self.settings.insert(setting.clone(), to.clone());
            }
            O::AlertRaised { alert, priority, message, todo } => {
                let held = self.alerts.get(alert).filter(|held| held.cleared_at.is_none());
                let new = Alert {
                    priority: *priority,
                    message: message.clone(),
                    todo: *todo,
                    raised_at: held.map_or(at, |held| held.raised_at),
                    times: held.map_or(1, |held| held.times.saturating_add(1)),
                    acknowledged_by: held.and_then(|held| held.acknowledged_by.clone()),
                    cleared_at: None,
                };
                self.alerts.insert(alert.clone(), Arc::new(new));
            }
            O::AlertAcknowledged { alert } | O::AlertCleared { alert } => {
                let Some(held) = self.alerts.get_mut(alert) else {
                    return Some(Ruling::precondition(format!("there is no alert {alert}")));
                };
                let held = Arc::make_mut(held);
                if matches!(event.operation, O::AlertCleared { .. }) {
                    held.cleared_at = Some(at);
                } else {
                    held.acknowledged_by = Some(Arc::clone(name));
                }
            }
            O::MetricsRecorded { figures } => self.metrics.extend(figures.iter().cloned()),
            O::LearningRecorded { topic, body } => {
                self.learning.push_back((topic.clone(), body.clone()));
            }
            O::BudgetSpent { unit, amount, .. } => {
                *self.budget.entry(unit.clone()).or_insert(0.0) += amount;
            }
            O::CheckpointTaken { name: checkpoint, version, root, form, reason } => {
                self.checkpoints.push_back(Arc::new(Checkpoint {
                    dot: event.dot,
                    name: checkpoint.clone(),
                    version: version.clone(),
                    root: *root,
                    form: *form,
                    reason: reason.clone(),
                    agent: Arc::clone(name),
                    at,
                }));
            }
            O::Forked { from, version } => {
                self.lineage.push_back((from.clone(), version.clone(), false));
            }
            O::Merged { from, version } => {
                self.lineage.push_back((from.clone(), version.clone(), true));
            }
            O::Undone { event, .. } => self.undone.push_back(*event),
            O::ReplicaRetired { store, successor } => {
                self.retired.insert(*store, *successor);
            }
            O::MemberAdded { store, key } => {
                self.members.insert(*store, *key);
            }
            O::MemberRemoved { store } => {
                self.members.remove(store);
            }
            _ => {}
        }
        None
    }
}
