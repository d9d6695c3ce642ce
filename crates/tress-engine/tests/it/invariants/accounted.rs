//! No event is absent: right after an event was folded, either what it meant shows in the state, or
//! the ledger has an entry that names it as the one that lost. docs/RULES.md has the same table in
//! words. What shows may be overwritten by later events; where that takes a rule, the invariant of
//! that rule says who is told.

use std::sync::Arc;

use tress_model::operation::{ProseTarget, TodoEdit};
use tress_model::state::todo::{Claim, Completion};
use tress_model::state::{Phase, Todo};
use tress_model::{Dot, Event, Operation, State};

use super::{Found, Step, ensure};

pub(super) fn no_event_is_absent(step: &Step<'_>) -> Found {
    let known = step.after.version.contains(step.event.dot);
    let lost = step.entries.iter().any(|entry| entry.loser == step.event.dot);
    let shown = || {
        of_todo(step.event, step.after)
            .or_else(|| of_design(step.event, step.after))
            .unwrap_or_else(|| of_run(step.event, step.after))
    };
    ensure(known && (lost || shown()), "no event is absent", || {
        format!("{:?} neither shows nor lost: {:?}", step.event, step.entries)
    })
}

/// Whether an event about a todo shows; `None` for other events.
fn of_todo(event: &Event, state: &State) -> Option<bool> {
    use Operation as O;
    let operation = &event.operation;
    let todo = operation.todo().and_then(|id| state.todo(id)).map(Arc::as_ref);
    let is = |shows: &dyn Fn(&Todo) -> bool| Some(todo.is_some_and(shows));
    match operation {
        O::TodoAdded { title, edits, prose, labels, .. } => is(&|todo| {
            todo.title == *title
                && edits.iter().all(|edit| written(todo, edit))
                && prose.iter().all(|(field, text)| todo.prose(*field).contains(text))
                && labels.iter().all(|label| labelled(todo, label, event.dot))
        }),
        O::TodoEdited { edits, .. } => is(&|todo| edits.iter().all(|edit| written(todo, edit))),
        O::ProseEdited { target: ProseTarget::Todo(_, field), splices } => is(&|todo| {
            let text = todo.prose(*field);
            splices.iter().all(|splice| text.contains(&splice.insert))
        }),
        O::LabelsChanged { added, removed, .. } => is(&|todo| {
            let gone = |label: &String| {
                todo.labels.get(label).is_none_or(|dots| !dots.iter().any(|dot| event.saw(*dot)))
            };
            added.iter().all(|label| labelled(todo, label, event.dot)) && removed.iter().all(gone)
        }),
        O::NoteAdded { .. } => is(&|todo| todo.notes.iter().any(|note| note.dot == event.dot)),
        O::DependencyAdded { todo, on, kind, .. } => {
            let mut edges = state.edges(*todo).iter();
            let edge = edges.find(|edge| edge.on == *on && edge.kind == *kind);
            Some(edge.is_some_and(|edge| edge.added.contains(&event.dot)))
        }
        O::DependencyRemoved { todo, on, kind } => {
            let mut edges = state.edges(*todo).iter();
            Some(!edges.any(|edge| edge.on == *on && edge.kind == *kind))
        }
        O::Closed { .. } => {
            is(&|todo| todo.closing().map(|closing| closing.dot) == Some(event.dot))
        }
        O::Reopened { .. } => is(&|todo| !todo.finished() && todo.stage.is_none()),
        O::Deleted { .. } => {
            is(&|todo| todo.deletion().map(|deletion| deletion.dot) == Some(event.dot))
        }
        _ => of_work(event, todo).or_else(|| of_acceptance(event, todo, state)),
    }
}

fn written(todo: &Todo, edit: &TodoEdit) -> bool {
    match edit {
        TodoEdit::UpdatedAt(at) => todo.updated_at == *at,
        edit => super::merge::has(todo, edit),
    }
}

fn labelled(todo: &Todo, label: &str, by: Dot) -> bool {
    todo.labels.get(label).is_some_and(|dots| dots.contains(&by))
}

/// Claims and what is reported under them.
fn of_work(event: &Event, todo: Option<&Todo>) -> Option<bool> {
    use Operation as O;
    let claim = |token: &Dot| {
        let mut claims =
            todo.into_iter().flat_map(|todo| todo.claim.as_deref().into_iter().chain(&todo.lost));
        claims.find(|claim| claim.token == *token)
    };
    let shows = |token: &Dot, is: &dyn Fn(&Claim) -> bool| Some(claim(token).is_some_and(is));
    let blocker = |dot: &Dot| todo.and_then(|todo| todo.blockers.iter().find(|b| b.dot == *dot));
    match &event.operation {
        O::Claimed { .. } => {
            let holder = todo.and_then(|todo| todo.claim.as_deref());
            Some(holder.is_some_and(|claim| claim.token == event.dot))
        }
        O::Renewed { token, lease, .. } => shows(token, &|claim| claim.lease == *lease),
        O::TaskStarted { token, branch, .. } => shows(token, &|claim| {
            claim.started_at == Some(event.moment()) && claim.branch.as_deref() == branch.as_deref()
        }),
        O::ProgressReported { token, percent, message, .. } => shows(token, &|claim| {
            let told = claim.progress.as_ref();
            told.is_some_and(|told| (told.percent, &told.message) == (*percent, message))
        }),
        O::ScopeReserved { token, globs, .. } => shows(token, &|claim| claim.scope == *globs),
        // Of a lost claim nothing is left to fail; that it is gone is what shows.
        O::Released { token, .. } | O::AttemptFailed { token, .. } => {
            Some(todo.is_some() && claim(token).is_none())
        }
        O::BlockerRaised { .. } => Some(blocker(&event.dot).is_some()),
        O::BlockerResolved { blocker: dot, resolution, .. } => {
            Some(blocker(dot).is_some_and(|b| b.resolved.as_ref() == Some(resolution)))
        }
        O::BlockerEscalated { blocker: dot, context, .. } => {
            Some(blocker(dot).is_some_and(|b| b.escalated.as_ref() == Some(context)))
        }
        O::Assigned { agent, .. } => {
            Some(todo.is_some_and(|todo| todo.assigned.as_ref() == Some(agent)))
        }
        O::ArtifactRecorded { path, blob, .. } => {
            Some(todo.is_some_and(|todo| todo.artifacts.get(path) == Some(blob)))
        }
        _ => None,
    }
}

/// Claims of completion, and what becomes of them.
fn of_acceptance(event: &Event, todo: Option<&Todo>, state: &State) -> Option<bool> {
    use Operation as O;
    let shows = |dot: &Dot, is: &dyn Fn(&Completion) -> bool| {
        let mut made = todo.into_iter().flat_map(|todo| &todo.completions);
        Some(made.find(|made| made.dot == *dot).is_some_and(|made| is(made)))
    };
    match &event.operation {
        O::CompletionClaimed { .. } => shows(&event.dot, &|made| made.void.is_none()),
        O::Verified { completion, .. } => shows(completion, &|made| {
            made.verification.as_ref().is_some_and(|answer| answer.dot == event.dot)
        }),
        O::CheckRecorded { completion, check, .. } => {
            shows(completion, &|made| made.checks.last() == Some(check))
        }
        O::Integrated { completion, commit, .. } => {
            let mut all = state.team.integrations.iter();
            Some(all.any(|one| one.completion == *completion && one.commit == *commit))
        }
        O::IntegrationFailed { completion, reason, .. } => {
            shows(completion, &|made| made.void.as_ref() == Some(reason))
        }
        O::RolledBack { .. } => Some(todo.is_some_and(|todo| {
            todo.completions.iter().all(|made| made.void.is_some() || !event.saw(made.dot))
        })),
        _ => None,
    }
}

/// Whether an event of the design strand shows; `None` for other events.
fn of_design(event: &Event, state: &State) -> Option<bool> {
    use Operation as O;
    let design = &state.design;
    Some(match &event.operation {
        O::SectionAdded { section, heading, body, .. } => {
            let held = design.sections.get(section);
            held.is_some_and(|held| held.heading == *heading && held.body.text().contains(body))
        }
        O::SectionRemoved { section } => !design.sections.contains_key(section),
        O::ProseEdited { target: ProseTarget::Section(section), splices } => {
            let held = design.sections.get(section).map(|held| held.body.text());
            held.is_some_and(|text| splices.iter().all(|splice| text.contains(&splice.insert)))
        }
        O::RequirementAdded { requirement, .. } => {
            design.requirements.get(requirement).is_some_and(|held| held.dot == event.dot)
        }
        O::RequirementRemoved { requirement } => !design.requirements.contains_key(requirement),
        O::DesignRuleAdded { rule, .. } => {
            design.rules.get(rule).is_some_and(|held| held.dot == event.dot)
        }
        O::DesignRuleRemoved { rule } => !design.rules.contains_key(rule),
        O::DecisionRecorded { supersedes, .. } => {
            let of = |old: &Dot| design.decisions.iter().find(|decision| decision.dot == *old);
            let named = |old| of(old).is_none_or(|old| old.superseded_by.contains(&event.dot));
            of(&event.dot).is_some() && supersedes.iter().all(named)
        }
        O::AssessmentGiven { .. } => design.assessments.iter().any(|one| one.dot == event.dot),
        O::DeviationFound { .. } => design.deviations.iter().any(|one| one.dot == event.dot),
        O::DeviationDecided { deviation, outcome, rationale, follow_up } => {
            let held = design.deviations.iter().find(|held| held.dot == *deviation);
            let decided = Some((*outcome, rationale.clone(), *follow_up));
            held.is_some_and(|held| held.decided == decided)
        }
        _ => return None,
    })
}

/// Whether an event about the run shows.
fn of_run(event: &Event, state: &State) -> bool {
    use Operation as O;
    let team = &state.team;
    let me = team.agents.get(&event.author.name);
    let is_me = |is: &dyn Fn(&tress_model::state::team::Agent) -> bool| me.as_ref().is_some_and(is);
    match &event.operation {
        O::LossAcknowledged { event: lost } => {
            // It speaks for its own agent, and of what that agent had seen.
            let known = |entry: &tress_model::rules::LedgerEntry| {
                entry.loser == *lost
                    && entry.agent == event.author.name
                    && event.saw(*lost)
                    && entry.winner.is_none_or(|winner| event.saw(winner))
            };
            state.ledger.iter().all(|entry| !known(entry) || entry.told)
        }
        O::RunStarted { title, .. } => team.phase == Phase::Running && team.title == *title,
        O::RunPaused { reason } => team.phase == Phase::Paused && team.summary == *reason,
        O::RunResumed => team.phase == Phase::Running && team.ended_at.is_none(),
        O::RunFinished { summary } => team.phase == Phase::Finished && team.summary == *summary,
        O::AgentJoined { about, .. } => is_me(&|me| me.active && me.about == *about),
        O::AgentLeft { reason } => is_me(&|me| !me.active && me.activity == *reason),
        O::AgentReported { activity } => is_me(&|me| me.activity == *activity),
        O::PlanMade { summary, implementers, coordinators } => {
            team.plan == Some((*implementers, *coordinators, summary.clone()))
        }
        O::StrategyChanged { setting, to, .. } => team.settings.get(setting) == Some(to),
        O::AlertRaised { alert, message, .. } => team.alerts.get(alert).is_some_and(|held| {
            held.cleared_at.is_none() && held.times > 0 && held.message == *message
        }),
        O::AlertAcknowledged { alert } => team
            .alerts
            .get(alert)
            .is_some_and(|held| held.acknowledged_by.as_ref() == Some(&event.author.name)),
        O::AlertCleared { alert } => {
            team.alerts.get(alert).is_some_and(|held| held.cleared_at.is_some())
        }
        O::MetricsRecorded { figures } => {
            figures.iter().all(|(name, value)| team.metrics.get(name) == Some(value))
        }
        O::LearningRecorded { topic, body } => {
            team.learning.last() == Some(&(topic.clone(), body.clone()))
        }
        O::BudgetSpent { unit, amount, .. } => {
            team.budget.get(unit).is_some_and(|spent| spent >= amount)
        }
        O::CheckpointTaken { .. } => {
            team.checkpoints.last().is_some_and(|taken| taken.dot == event.dot)
        }
        O::Forked { from, version } => {
            team.lineage.last() == Some(&(from.clone(), version.clone(), false))
        }
        O::Merged { from, version } => {
            team.lineage.last() == Some(&(from.clone(), version.clone(), true))
        }
        O::Undone { event: undone, .. } => team.undone.last() == Some(undone),
        O::ReplicaRetired { store, successor } => team.retired.get(store) == Some(successor),
        O::MemberAdded { store, key } => team.members.get(store) == Some(key),
        O::MemberRemoved { store } => !team.members.contains_key(store),
        // The fold keeps these out of the state: they show in the log, and their author is heard.
        O::Custom { .. } | O::HeadsSigned { .. } | O::Unknown(_) => {
            is_me(&|me| me.role == event.author.role)
        }
        other => unreachable!("{} is not in the table", other.name()),
    }
}
