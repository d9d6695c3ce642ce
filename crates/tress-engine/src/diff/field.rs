//! The words of a difference: fields, parts, values.

use serde::{Serialize, Serializer};
use tress_model::clock::Millis;
use tress_model::operation::ProseField;
use tress_model::{Status, TodoId};

/// Declares an enum of names.
macro_rules! names {
    ($(#[$doc:meta])* $name:ident { $($variant:ident = $text:literal,)* }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum $name {
            $(#[doc = concat!("`", $text, "`")] $variant,)*
        }

        impl $name {
            /// Every one.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)*];

            /// Its name.
            pub const fn name(self) -> &'static str {
                match self {
                    $(Self::$variant => $text,)*
                }
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(self.name())
            }
        }
    };
}

names! {
    /// What a fact is of.
    Field {
        Status = "status",
        Deleted = "deleted",
        Title = "title",
        Kind = "kind",
        Priority = "priority",
        ExternalId = "external_id",
        Holder = "holder",
        Started = "started",
        Progress = "progress",
        Report = "report",
        Milestone = "next_milestone",
        Scope = "scope",
        Base = "base",
        Branch = "branch",
        LostClaim = "lost_claim",
        Assigned = "assigned",
        Assignee = "assignee",
        Owner = "owner",
        Stage = "stage",
        Estimate = "estimate_minutes",
        Check = "check",
        Files = "files",
        Section = "section",
        Capabilities = "capabilities",
        HighRisk = "high_risk",
        Pinned = "pinned",
        Ephemeral = "ephemeral",
        DeferUntil = "defer_until",
        DueAt = "due_at",
        ExternalRef = "external_ref",
        CreatedBy = "created_by",
        Closed = "closed",
        ClosedBy = "closed_by",
        Label = "label",
        Edge = "edge",
        Description = "description",
        Notes = "notes",
        Design = "design",
        Acceptance = "acceptance_criteria",
        Note = "note",
        Blocker = "blocker",
        Escalated = "escalated",
        Resolved = "resolved",
        Completion = "completion",
        Verdict = "verdict",
        Verifier = "verifier",
        Reason = "reason",
        Percent = "percent",
        Gaps = "gaps",
        Evidence = "evidence",
        Integrated = "integrated",
        Attempt = "attempt",
        Artifact = "artifact",
        Extra = "extra",
        Heading = "heading",
        Level = "level",
        Position = "position",
        Body = "body",
        Text = "text",
        Criticality = "criticality",
        Agent = "agent",
        Context = "context",
        Decision = "decision",
        Rationale = "rationale",
        Consequences = "consequences",
        SupersededBy = "superseded_by",
        Impact = "impact",
        Quality = "quality",
        Compliance = "compliance",
        Outcome = "outcome",
        FollowUp = "follow_up",
        Phase = "phase",
        Summary = "summary",
        Plan = "plan",
        Implementers = "implementers",
        Coordinators = "coordinators",
        Role = "role",
        Active = "active",
        About = "about",
        Activity = "activity",
        Message = "message",
        Acknowledged = "acknowledged_by",
        TakenIn = "taken_in",
        Value = "value",
    }
}

impl Field {
    /// The field of a todo's prose.
    pub const fn prose(field: ProseField) -> Self {
        match field {
            ProseField::Description => Self::Description,
            ProseField::Notes => Self::Notes,
            ProseField::Design => Self::Design,
            ProseField::Acceptance => Self::Acceptance,
        }
    }

    /// Whether its values are texts of many lines, of which one wants to see the lines that differ.
    pub const fn is_prose(self) -> bool {
        matches!(
            self,
            Self::Description | Self::Notes | Self::Design | Self::Acceptance | Self::Body
        )
    }
}

names! {
    /// What something that is no todo is.
    Part {
        Section = "section",
        Requirement = "requirement",
        Rule = "rule",
        Decision = "decision",
        Deviation = "deviation",
        Assessment = "assessment",
        Run = "run",
        Setting = "setting",
        Agent = "agent",
        Integration = "integration",
        Checkpoint = "checkpoint",
        Alert = "alert",
        Budget = "budget",
        Metric = "metric",
        Lesson = "lesson",
        Lineage = "lineage",
        Retired = "retired",
        Member = "member",
    }
}

/// What a fact says.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(untagged)]
pub enum Value {
    /// Yes or no.
    Flag(bool),
    /// How many.
    Number(u64),
    /// How much.
    Amount(f64),
    /// A word or a text.
    Text(String),
    /// Several of them.
    List(Vec<String>),
    /// Where a todo stands.
    Status(Status),
    /// A moment, in milliseconds since 1970-01-01T00:00:00Z.
    Time(Millis),
    /// Another todo.
    Todo(TodoId),
}

impl Value {
    /// A text; none where it is empty.
    pub(super) fn text(text: impl AsRef<str>) -> Option<Self> {
        let text = text.as_ref();
        (!text.is_empty()).then(|| Self::Text(text.to_owned()))
    }

    /// A list; none where it is empty.
    pub(super) fn list(list: &[String]) -> Option<Self> {
        (!list.is_empty()).then(|| Self::List(list.to_vec()))
    }

    /// Yes; none where it is not so.
    pub(super) fn flag(yes: bool) -> Option<Self> {
        yes.then_some(Self::Flag(true))
    }

    /// How many.
    pub(super) fn number(number: impl Into<u64>) -> Option<Self> {
        Some(Self::Number(number.into()))
    }
}
