//! What can be said of an operation without looking inside: strand, todo, name.

use super::{Operation, ProseTarget, Strand, Strands};
use crate::ids::{Dot, TodoId};

/// What stands before the hash of an operation that is withheld: a variant that there will never be.
const WITHHELD: [u8; 5] = [252, 0xff, 0xff, 0xff, 0xff];

impl Operation {
    /// The document it speaks of.
    pub const fn strand(&self) -> Strand {
        use Operation as O;
        match self {
            O::TodoAdded { .. }
            | O::TodoEdited { .. }
            | O::LabelsChanged { .. }
            | O::NoteAdded { .. }
            | O::DependencyAdded { .. }
            | O::DependencyRemoved { .. }
            | O::Closed { .. }
            | O::Reopened { .. }
            | O::Deleted { .. }
            | O::Claimed { .. }
            | O::Renewed { .. }
            | O::Released { .. }
            | O::TaskStarted { .. }
            | O::ProgressReported { .. }
            | O::BlockerRaised { .. }
            | O::BlockerResolved { .. }
            | O::BlockerEscalated { .. }
            | O::CompletionClaimed { .. }
            | O::Verified { .. }
            | O::LossAcknowledged { .. }
            | O::AttemptFailed { .. }
            | O::Assigned { .. }
            | O::ScopeReserved { .. } => Strand::Todo,
            O::ProseEdited { target, .. } => match target {
                ProseTarget::Todo(..) => Strand::Todo,
                ProseTarget::Section(_) => Strand::Design,
            },
            O::SectionAdded { .. }
            | O::SectionRemoved { .. }
            | O::RequirementAdded { .. }
            | O::RequirementRemoved { .. }
            | O::DesignRuleAdded { .. }
            | O::DesignRuleRemoved { .. }
            | O::DecisionRecorded { .. }
            | O::AssessmentGiven { .. }
            | O::DeviationFound { .. }
            | O::DeviationDecided { .. } => Strand::Design,
            _ => Strand::Implementation,
        }
    }

    /// Whether whoever keeps only `strands` of a run needs it, so that what they keep is folded as everywhere
    /// else. Much that is done to a todo is written in the implementation strand, and that strand tells of
    /// everything.
    pub const fn is_needed_by(&self, strands: Strands) -> bool {
        strands.contains(Strand::Implementation)
            || strands.contains(self.strand())
            || strands.contains(Strand::Todo) && self.todo().is_some()
            || matches!(self, Self::Undone { .. } | Self::Unknown(_))
            // Who wrote the rest is to be known to all.
            || matches!(
                self,
                Self::MemberAdded { .. } | Self::MemberRemoved { .. } | Self::HeadsSigned { .. }
            )
    }

    /// What stands in the place of an operation that somebody does not want; `hash` is the BLAKE3 hash of
    /// its canonical bytes, by which the chain of its replica goes on.
    pub fn withheld(hash: [u8; 32]) -> Self {
        Self::Unknown([&WITHHELD[..], &hash].concat())
    }

    /// The hash of the operation in whose place this stands ([`Operation::withheld`]).
    pub fn withheld_hash(&self) -> Option<[u8; 32]> {
        let Self::Unknown(bytes) = self else { return None };
        bytes.strip_prefix(&WITHHELD)?.try_into().ok()
    }

    /// The todo it is about, if it is about one.
    pub const fn todo(&self) -> Option<TodoId> {
        use Operation as O;
        match self {
            O::TodoAdded { todo, .. }
            | O::TodoEdited { todo, .. }
            | O::LabelsChanged { todo, .. }
            | O::NoteAdded { todo, .. }
            | O::DependencyAdded { todo, .. }
            | O::DependencyRemoved { todo, .. }
            | O::Closed { todo, .. }
            | O::Reopened { todo, .. }
            | O::Deleted { todo, .. }
            | O::Claimed { todo, .. }
            | O::Renewed { todo, .. }
            | O::Released { todo, .. }
            | O::TaskStarted { todo, .. }
            | O::ProgressReported { todo, .. }
            | O::BlockerRaised { todo, .. }
            | O::BlockerResolved { todo, .. }
            | O::BlockerEscalated { todo, .. }
            | O::CompletionClaimed { todo, .. }
            | O::Verified { todo, .. }
            | O::AttemptFailed { todo, .. }
            | O::Assigned { todo, .. }
            | O::ScopeReserved { todo, .. }
            | O::CheckRecorded { todo, .. }
            | O::ArtifactRecorded { todo, .. }
            | O::Integrated { todo, .. }
            | O::IntegrationFailed { todo, .. }
            | O::RolledBack { todo, .. } => Some(*todo),
            O::ProseEdited { target: ProseTarget::Todo(todo, _), .. } => Some(*todo),
            O::AssessmentGiven { todo, .. }
            | O::DeviationFound { todo, .. }
            | O::AlertRaised { todo, .. }
            | O::BudgetSpent { todo, .. } => *todo,
            _ => None,
        }
    }

    /// The event without which it means nothing: the claim that it was done under, the claim of
    /// completion, blocker or deviation that it answers, the event that it undoes or takes note of.
    pub const fn rests_on(&self) -> Option<Dot> {
        use Operation as O;
        match self {
            O::Renewed { token, .. }
            | O::Released { token, .. }
            | O::TaskStarted { token, .. }
            | O::ProgressReported { token, .. }
            | O::AttemptFailed { token, .. }
            | O::ScopeReserved { token, .. } => Some(*token),
            O::CompletionClaimed { token, .. } => *token,
            O::Verified { completion, .. }
            | O::CheckRecorded { completion, .. }
            | O::Integrated { completion, .. }
            | O::IntegrationFailed { completion, .. } => Some(*completion),
            O::BlockerResolved { blocker, .. } | O::BlockerEscalated { blocker, .. } => {
                Some(*blocker)
            }
            O::DeviationDecided { deviation, .. } => Some(*deviation),
            O::LossAcknowledged { event } | O::Undone { event, .. } => Some(*event),
            _ => None,
        }
    }
    /// The name of every operation, in the order of the variants.
    pub const NAMES: [&str; 64] = [
        "todo_added",
        "todo_edited",
        "prose_edited",
        "labels_changed",
        "note_added",
        "dependency_added",
        "dependency_removed",
        "closed",
        "reopened",
        "deleted",
        "claimed",
        "renewed",
        "released",
        "task_started",
        "progress_reported",
        "blocker_raised",
        "blocker_resolved",
        "blocker_escalated",
        "completion_claimed",
        "verified",
        "loss_acknowledged",
        "attempt_failed",
        "assigned",
        "scope_reserved",
        "section_added",
        "section_removed",
        "requirement_added",
        "requirement_removed",
        "design_rule_added",
        "design_rule_removed",
        "decision_recorded",
        "assessment_given",
        "deviation_found",
        "deviation_decided",
        "run_started",
        "run_paused",
        "run_resumed",
        "run_finished",
        "agent_joined",
        "agent_left",
        "agent_reported",
        "check_recorded",
        "artifact_recorded",
        "integrated",
        "integration_failed",
        "rolled_back",
        "plan_made",
        "strategy_changed",
        "alert_raised",
        "alert_acknowledged",
        "alert_cleared",
        "metrics_recorded",
        "learning_recorded",
        "budget_spent",
        "checkpoint_taken",
        "forked",
        "merged",
        "undone",
        "replica_retired",
        "member_added",
        "member_removed",
        "custom",
        "heads_signed",
        "unknown",
    ];

    /// The operation's name: `todo_added`, `claimed` …
    pub const fn name(&self) -> &'static str {
        use Operation as O;
        match self {
            O::TodoAdded { .. } => "todo_added",
            O::TodoEdited { .. } => "todo_edited",
            O::ProseEdited { .. } => "prose_edited",
            O::LabelsChanged { .. } => "labels_changed",
            O::NoteAdded { .. } => "note_added",
            O::DependencyAdded { .. } => "dependency_added",
            O::DependencyRemoved { .. } => "dependency_removed",
            O::Closed { .. } => "closed",
            O::Reopened { .. } => "reopened",
            O::Deleted { .. } => "deleted",
            O::Claimed { .. } => "claimed",
            O::Renewed { .. } => "renewed",
            O::Released { .. } => "released",
            O::TaskStarted { .. } => "task_started",
            O::ProgressReported { .. } => "progress_reported",
            O::BlockerRaised { .. } => "blocker_raised",
            O::BlockerResolved { .. } => "blocker_resolved",
            O::BlockerEscalated { .. } => "blocker_escalated",
            O::CompletionClaimed { .. } => "completion_claimed",
            O::Verified { .. } => "verified",
            O::LossAcknowledged { .. } => "loss_acknowledged",
            O::AttemptFailed { .. } => "attempt_failed",
            O::Assigned { .. } => "assigned",
            O::ScopeReserved { .. } => "scope_reserved",
            O::SectionAdded { .. } => "section_added",
            O::SectionRemoved { .. } => "section_removed",
            O::RequirementAdded { .. } => "requirement_added",
            O::RequirementRemoved { .. } => "requirement_removed",
            O::DesignRuleAdded { .. } => "design_rule_added",
            O::DesignRuleRemoved { .. } => "design_rule_removed",
            O::DecisionRecorded { .. } => "decision_recorded",
            O::AssessmentGiven { .. } => "assessment_given",
            O::DeviationFound { .. } => "deviation_found",
            O::DeviationDecided { .. } => "deviation_decided",
            O::RunStarted { .. } => "run_started",
            O::RunPaused { .. } => "run_paused",
            O::RunResumed => "run_resumed",
            O::RunFinished { .. } => "run_finished",
            O::AgentJoined { .. } => "agent_joined",
            O::AgentLeft { .. } => "agent_left",
            O::AgentReported { .. } => "agent_reported",
            O::CheckRecorded { .. } => "check_recorded",
            O::ArtifactRecorded { .. } => "artifact_recorded",
            O::Integrated { .. } => "integrated",
            O::IntegrationFailed { .. } => "integration_failed",
            O::RolledBack { .. } => "rolled_back",
            O::PlanMade { .. } => "plan_made",
            O::StrategyChanged { .. } => "strategy_changed",
            O::AlertRaised { .. } => "alert_raised",
            O::AlertAcknowledged { .. } => "alert_acknowledged",
            O::AlertCleared { .. } => "alert_cleared",
            O::MetricsRecorded { .. } => "metrics_recorded",
            O::LearningRecorded { .. } => "learning_recorded",
            O::BudgetSpent { .. } => "budget_spent",
            O::CheckpointTaken { .. } => "checkpoint_taken",
            O::Forked { .. } => "forked",
            O::Merged { .. } => "merged",
            O::Undone { .. } => "undone",
            O::ReplicaRetired { .. } => "replica_retired",
            O::MemberAdded { .. } => "member_added",
            O::MemberRemoved { .. } => "member_removed",
            O::Custom { .. } => "custom",
            O::HeadsSigned { .. } => "heads_signed",
            O::Unknown(bytes) if bytes.is_empty() => "lost",
            O::Unknown(bytes) if matches!(bytes.as_slice(), [252, 0xff, 0xff, 0xff, 0xff, ..]) => {
                "withheld"
            }
            O::Unknown(_) => "unknown",
        }
    }
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;
    use serde::de::value::{Error, StrDeserializer};

    use super::*;

    #[test]
    fn the_names_are_those_of_all_variants_in_order() {
        // Serde names every variant that it knows when it is given one that it does not.
        let unknown: StrDeserializer<'_, Error> = StrDeserializer::new("no such operation");
        let error = Operation::deserialize(unknown).expect_err("it is not one").to_string();
        let known: Vec<&str> = error.split('`').skip(3).step_by(2).collect();
        assert_eq!(known, Operation::NAMES);
    }
}
