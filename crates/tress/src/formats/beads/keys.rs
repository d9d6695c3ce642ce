//! The fields of the beads format, and which of them Tress has a place for.

use serde::{Deserialize, Serialize};
use tress_model::Todo;
use tress_model::limits::PRIORITY_MAX;
use tress_model::operation::{ProseField, TodoEdit};

use super::json::{self, Out};

/// A field that Tress understands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Key {
    Id,
    Title,
    Prose(ProseField),
    Status,
    Priority,
    IssueType,
    Assignee,
    Owner,
    Estimate,
    CreatedAt,
    CreatedBy,
    UpdatedAt,
    ClosedAt,
    CloseReason,
    DueAt,
    DeferUntil,
    ExternalRef,
    Labels,
    Dependencies,
    Comments,
    DeletedAt,
    DeletedBy,
    DeleteReason,
    Ephemeral,
    Pinned,
    Parent,
    DependencyCount,
    DependentCount,
    CommentCount,
    Tress,
}

/// The order in which the beads format writes its fields. Those that [`key`] does not know are
/// kept as they come.
const ORDER: [&str; 58] = [
    "id",
    "content_hash",
    "title",
    "description",
    "design",
    "acceptance_criteria",
    "notes",
    "spec_id",
    "status",
    "priority",
    "issue_type",
    "assignee",
    "owner",
    "estimated_minutes",
    "created_at",
    "created_by",
    "updated_at",
    "closed_at",
    "close_reason",
    "closed_by_session",
    "due_at",
    "defer_until",
    "external_ref",
    "source_system",
    "metadata",
    "compaction_level",
    "compacted_at",
    "compacted_at_commit",
    "original_size",
    "source_repo",
    "labels",
    "dependencies",
    "comments",
    "deleted_at",
    "deleted_by",
    "delete_reason",
    "original_type",
    "sender",
    "ephemeral",
    "wisp_type",
    "pinned",
    "is_template",
    "quality_score",
    "crystallizes",
    "await_type",
    "await_id",
    "timeout_ns",
    "waiters",
    "hook_bead",
    "role_bead",
    "agent_state",
    "last_activity",
    "role_type",
    "rig",
    "dependency_count",
    "dependent_count",
    "comment_count",
    "parent",
];

/// Where `name` stands in the format's own order; what it does not know comes last.
pub(super) fn position(name: &str) -> (usize, &str) {
    let known = ORDER.iter().position(|&known| known == name);
    known.map_or((ORDER.len(), name), |at| (at, ""))
}

/// The fields that Tress understands, by name.
pub(super) fn key(name: &str) -> Option<Key> {
    Some(match name {
        "id" => Key::Id,
        "title" => Key::Title,
        "description" => Key::Prose(ProseField::Description),
        "notes" => Key::Prose(ProseField::Notes),
        "design" => Key::Prose(ProseField::Design),
        "acceptance_criteria" => Key::Prose(ProseField::Acceptance),
        "status" => Key::Status,
        "priority" => Key::Priority,
        "issue_type" => Key::IssueType,
        "assignee" => Key::Assignee,
        "owner" => Key::Owner,
        "estimated_minutes" => Key::Estimate,
        "created_at" => Key::CreatedAt,
        "created_by" => Key::CreatedBy,
        "updated_at" => Key::UpdatedAt,
        "closed_at" => Key::ClosedAt,
        "close_reason" => Key::CloseReason,
        "due_at" => Key::DueAt,
        "defer_until" => Key::DeferUntil,
        "external_ref" => Key::ExternalRef,
        "labels" => Key::Labels,
        "dependencies" => Key::Dependencies,
        "comments" => Key::Comments,
        "deleted_at" => Key::DeletedAt,
        "deleted_by" => Key::DeletedBy,
        "delete_reason" => Key::DeleteReason,
        "ephemeral" => Key::Ephemeral,
        "pinned" => Key::Pinned,
        "parent" => Key::Parent,
        "dependency_count" => Key::DependencyCount,
        "dependent_count" => Key::DependentCount,
        "comment_count" => Key::CommentCount,
        "tress" => Key::Tress,
        _ => return None,
    })
}

impl Key {
    /// Whether it is one of the counts that follow the edges and remarks.
    pub(super) const fn counts(self) -> bool {
        matches!(self, Self::DependencyCount | Self::DependentCount | Self::CommentCount)
    }

    /// Whether it only says again what edges and remarks say.
    pub(super) const fn derived(self) -> bool {
        self.counts() || matches!(self, Self::Parent)
    }

    /// What an export would make of the value that `raw` is, were it the state's; `None` where the
    /// value is none, or is read together with others.
    pub(super) fn canonical(self, raw: &str) -> Option<Out> {
        match self {
            Self::CreatedAt
            | Self::UpdatedAt
            | Self::ClosedAt
            | Self::DueAt
            | Self::DeferUntil
            | Self::DeletedAt => json::time(raw).ok()?.map(Out::time),
            Self::Priority => priority(raw).ok().map(|(priority, _)| Out::number(priority)),
            Self::Estimate => estimate(raw).ok()?.map(Out::number),
            Self::Ephemeral | Self::Pinned => truth(json::flag(raw).ok()?),
            Self::Labels | Self::Dependencies | Self::Comments => None,
            Self::DependencyCount | Self::DependentCount | Self::CommentCount => {
                json::number(raw).ok()?.map(Out::number)
            }
            Self::Tress => TressFields::read(raw).and_then(|fields| fields.write()),
            _ => json::text(raw).ok()?.map(Out::Text),
        }
    }
}

/// What one member of an issue says of its todo.
#[derive(Debug, Clone, PartialEq)]
pub(in crate::formats) enum Saying {
    /// A field has a value.
    Edit(TodoEdit),
    /// A text is this.
    Prose(ProseField, String),
    /// The todo stands so.
    Status(String),
    /// Something that the state has otherwise.
    Other,
}

/// What the member `name` with the value `raw` says.
///
/// # Errors
/// When the value is not of the field's kind.
pub(in crate::formats) fn saying(name: &str, raw: &str) -> Result<Saying, json::WrongKind> {
    use TodoEdit as E;
    Ok(Saying::Edit(match key(name) {
        None => E::Extra(name.to_owned(), Some(raw.to_owned())),
        Some(Key::Title) => E::Title(json::text(raw)?.ok_or(json::WrongKind)?),
        Some(Key::Priority) => E::Priority(priority(raw)?.0),
        Some(Key::IssueType) => E::Kind(json::text(raw)?.ok_or(json::WrongKind)?),
        Some(Key::Assignee) => E::Assignee(json::text(raw)?),
        Some(Key::Owner) => E::Owner(json::text(raw)?),
        Some(Key::Estimate) => E::Estimate(estimate(raw)?),
        Some(Key::DueAt) => E::DueAt(json::time(raw)?),
        Some(Key::DeferUntil) => E::DeferUntil(json::time(raw)?),
        Some(Key::ExternalRef) => E::ExternalRef(json::text(raw)?),
        Some(Key::Ephemeral) => E::Ephemeral(json::flag(raw)?),
        Some(Key::Pinned) => E::Pinned(json::flag(raw)?),
        Some(Key::Prose(field)) => {
            return Ok(Saying::Prose(field, json::text(raw)?.unwrap_or_default()));
        }
        Some(Key::Status) => {
            return Ok(Saying::Status(json::text(raw)?.unwrap_or_else(|| "open".to_owned())));
        }
        Some(_) => return Ok(Saying::Other),
    }))
}

/// `true`, or nothing.
pub(super) fn truth(flag: bool) -> Option<Out> {
    flag.then(|| Out::Raw("true".to_owned()))
}

/// A priority, brought within its bounds, and whether it was there already.
pub(super) fn priority(raw: &str) -> Result<(u8, bool), json::WrongKind> {
    let given = json::number(raw)?.ok_or(json::WrongKind)?;
    let near = given.clamp(0, i64::from(PRIORITY_MAX));
    Ok((u8::try_from(near).unwrap_or(PRIORITY_MAX), near == given))
}

/// Estimated minutes.
pub(super) fn estimate(raw: &str) -> Result<Option<u32>, json::WrongKind> {
    let minutes = json::number(raw)?;
    minutes.map(|minutes| u32::try_from(minutes).map_err(|_| json::WrongKind)).transpose()
}

/// The fields of a todo that the beads format has no word for, under its one key `tress`.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct TressFields {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) check: Option<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) files: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) section: Option<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) capabilities: Vec<String>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub(super) high_risk: bool,
}

impl TressFields {
    /// Those of `todo`.
    pub(super) fn of(todo: &Todo) -> Self {
        Self {
            check: todo.check.clone(),
            files: todo.files.clone(),
            section: todo.section.clone(),
            capabilities: todo.capabilities.clone(),
            high_risk: todo.high_risk,
        }
    }

    /// Those that `raw` holds; `None` where it is something else.
    pub(super) fn read(raw: &str) -> Option<Self> {
        serde_json::from_str(raw).ok()
    }

    /// The value to be written; `None` where all are empty.
    pub(super) fn write(&self) -> Option<Out> {
        let text = serde_json::to_string(self).ok()?;
        (*self != Self::default()).then_some(Out::Raw(text))
    }
}
