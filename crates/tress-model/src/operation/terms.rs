//! The terms in which operations speak: edits, edges, verdicts, evidence, severities.

use bincode::{Decode, Encode};
use serde::{Deserialize, Serialize};

use crate::clock::Millis;
use crate::ids::TodoId;

/// A change of one field of a todo. Edits of different fields both hold (rule `field-merge`).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, Encode, Decode)]
#[serde(rename_all = "snake_case")]
pub enum TodoEdit {
    /// One line that says what is to be done.
    Title(String),
    /// What kind of work it is: `task`, `bug`, `epic` …
    Kind(String),
    /// 0 (most urgent) to 4.
    Priority(u8),
    /// Whom it is meant for; a claim is stronger.
    Assignee(Option<String>),
    /// Who answers for it.
    Owner(Option<String>),
    /// The status word of another system that has no counterpart here (`hooked`, `pinned` …).
    Stage(Option<String>),
    /// Estimated minutes.
    Estimate(Option<u32>),
    /// The shell command that must succeed when the work is done.
    Check(Option<String>),
    /// The paths (globs) that the work is expected to touch.
    Files(Vec<String>),
    /// The design section it implements.
    Section(Option<String>),
    /// What an agent must be able to do to take it.
    Capabilities(Vec<String>),
    /// Whether a checkpoint is taken before it is worked on.
    HighRisk(bool),
    /// Kept in view, never worked on.
    Pinned(bool),
    /// Not worth keeping.
    Ephemeral(bool),
    /// Not before this time.
    DeferUntil(Option<Millis>),
    /// To be done by this time.
    DueAt(Option<Millis>),
    /// A reference into another system (`gh-17`).
    ExternalRef(Option<String>),
    /// When it came into being, where that was before it came here.
    CreatedAt(Millis),
    /// Who brought it into being, where that was not the event's agent.
    CreatedBy(Option<String>),
    /// When it last changed, where that was before it came here.
    UpdatedAt(Millis),
    /// A field that Tress does not know, as JSON text; `None` takes it away.
    Extra(String, Option<String>),
}

impl TodoEdit {
    /// The value that it gives the field, in words.
    pub fn shown(&self) -> String {
        let text = |text: &Option<String>| {
            text.as_ref().map_or_else(|| "nothing".to_owned(), |text| format!("{text:?}"))
        };
        let number = |number: Option<u64>| {
            number.map_or_else(|| "nothing".to_owned(), |number| number.to_string())
        };
        let list = |list: &[String]| {
            if list.is_empty() { "nothing".to_owned() } else { format!("{:?}", list.join(", ")) }
        };
        match self {
            Self::Title(value) | Self::Kind(value) => format!("{value:?}"),
            Self::Priority(value) => value.to_string(),
            Self::Assignee(value)
            | Self::Owner(value)
            | Self::Stage(value)
            | Self::Check(value)
            | Self::Section(value)
            | Self::ExternalRef(value)
            | Self::CreatedBy(value)
            | Self::Extra(_, value) => text(value),
            Self::Estimate(value) => number(value.map(u64::from)),
            Self::Files(value) | Self::Capabilities(value) => list(value),
            Self::HighRisk(value) | Self::Pinned(value) | Self::Ephemeral(value) => {
                value.to_string()
            }
            Self::DeferUntil(value) | Self::DueAt(value) => number(*value),
            Self::CreatedAt(value) | Self::UpdatedAt(value) => value.to_string(),
        }
    }

    /// The name of the field that it changes; equal for two edits exactly when they compete.
    pub fn field(&self) -> &str {
        match self {
            Self::Title(_) => "title",
            Self::Kind(_) => "kind",
            Self::Priority(_) => "priority",
            Self::Assignee(_) => "assignee",
            Self::Owner(_) => "owner",
            Self::Stage(_) => "stage",
            Self::Estimate(_) => "estimate_minutes",
            Self::Check(_) => "check",
            Self::Files(_) => "files",
            Self::Section(_) => "section",
            Self::Capabilities(_) => "capabilities",
            Self::HighRisk(_) => "high_risk",
            Self::Pinned(_) => "pinned",
            Self::Ephemeral(_) => "ephemeral",
            Self::DeferUntil(_) => "defer_until",
            Self::DueAt(_) => "due_at",
            Self::ExternalRef(_) => "external_ref",
            Self::CreatedAt(_) => "created_at",
            Self::CreatedBy(_) => "created_by",
            Self::UpdatedAt(_) => "updated_at",
            Self::Extra(key, _) => key,
        }
    }
}

/// The prose of a todo: texts that several may edit at once and that merge character by character.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, Encode, Decode,
)]
#[serde(rename_all = "snake_case")]
pub enum ProseField {
    /// What is to be done, at length.
    Description,
    /// Working notes.
    Notes,
    /// How it is to be done.
    Design,
    /// How one sees that it is done.
    Acceptance,
}

impl ProseField {
    /// All four, in their fixed order.
    pub const ALL: [Self; 4] = [Self::Description, Self::Notes, Self::Design, Self::Acceptance];

    /// The field's name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Description => "description",
            Self::Notes => "notes",
            Self::Design => "design",
            Self::Acceptance => "acceptance_criteria",
        }
    }
}

/// Which prose an edit is of.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Encode, Decode)]
#[serde(rename_all = "snake_case")]
pub enum ProseTarget {
    /// A prose field of a todo.
    Todo(TodoId, ProseField),
    /// The body of a design section.
    Section(String),
}

/// One replacement within a text, counted in characters (Unicode scalar values) of the text as its
/// author saw it. The splices of one edit ascend and do not overlap.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Encode, Decode)]
pub struct Splice {
    /// Where.
    pub at: u32,
    /// How many characters go.
    pub delete: u32,
    /// What comes in their place.
    pub insert: String,
}

/// What an edge of the todo graph says.
#[derive(
    Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, Encode, Decode,
)]
#[serde(rename_all = "snake_case")]
pub enum EdgeKind {
    /// The target must be finished first.
    Blocks,
    /// The target must be finished first; the edge was made under a condition.
    ConditionalBlocks,
    /// All children of the target must be finished first.
    WaitsFor,
    /// One finished child of the target is enough.
    WaitsForAny,
    /// The target is the parent.
    ParentChild,
    /// The two have to do with each other.
    RelatesTo,
    /// Found while working on the target.
    DiscoveredFrom,
    /// The same as the target.
    Duplicates,
    /// In place of the target.
    Supersedes,
    /// Any other word, kept as it came; it neither blocks nor nests.
    Other(String),
}

impl EdgeKind {
    /// The kind's name, as the beads format writes it.
    pub fn name(&self) -> &str {
        match self {
            Self::Blocks => "blocks",
            Self::ConditionalBlocks => "conditional-blocks",
            Self::WaitsFor | Self::WaitsForAny => "waits-for",
            Self::ParentChild => "parent-child",
            Self::RelatesTo => "relates-to",
            Self::DiscoveredFrom => "discovered-from",
            Self::Duplicates => "duplicates",
            Self::Supersedes => "supersedes",
            Self::Other(name) => name,
        }
    }

    /// The kind that `name` means; an unknown word is kept as [`EdgeKind::Other`].
    pub fn from_name(name: &str) -> Self {
        match name {
            "blocks" => Self::Blocks,
            "conditional-blocks" => Self::ConditionalBlocks,
            "waits-for" => Self::WaitsFor,
            "parent-child" => Self::ParentChild,
            "relates-to" => Self::RelatesTo,
            "discovered-from" => Self::DiscoveredFrom,
            "duplicates" => Self::Duplicates,
            "supersedes" => Self::Supersedes,
            other => Self::Other(other.to_owned()),
        }
    }

    /// Whether the target can hold the source back by itself.
    pub const fn blocks(&self) -> bool {
        matches!(self, Self::Blocks | Self::ConditionalBlocks | Self::WaitsFor | Self::WaitsForAny)
    }
}

/// How a check, or a verification as a whole, came out. Unknown is never a pass.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, Encode, Decode,
)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// It holds.
    Pass,
    /// It does not hold.
    Fail,
    /// It could not be found out.
    Unknown,
}

/// The five layers of verification.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, Encode, Decode,
)]
#[serde(rename_all = "snake_case")]
pub enum Layer {
    /// Is it there at all?
    Existence,
    /// Is it whole, or a stub?
    Completeness,
    /// Is it wired in?
    Integration,
    /// Is it well made?
    Quality,
    /// Does it work?
    Testing,
}

impl Layer {
    /// All five, in the order in which they are checked.
    pub const ALL: [Self; 5] =
        [Self::Existence, Self::Completeness, Self::Integration, Self::Quality, Self::Testing];

    /// The layer's name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Existence => "existence",
            Self::Completeness => "completeness",
            Self::Integration => "integration",
            Self::Quality => "quality",
            Self::Testing => "testing",
        }
    }
}

/// One piece of evidence: a check that was run, or a look that was taken.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Encode, Decode)]
pub struct Check {
    /// The layer it belongs to.
    pub layer: Layer,
    /// What was checked, in a few words.
    pub name: String,
    /// The command that was run, if one was.
    pub command: Option<String>,
    /// Its exit code, where it ended by itself.
    pub exit_code: Option<i32>,
    /// The git tree it was run on.
    pub tree: Option<String>,
    /// How it came out.
    pub verdict: Verdict,
    /// What was seen: the end of the output, or the finding.
    pub detail: String,
    /// How long it took, in milliseconds.
    pub took: Millis,
}

/// Why work cannot go on.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, Encode, Decode,
)]
#[serde(rename_all = "snake_case")]
pub enum BlockerKind {
    /// Something does not work.
    Technical,
    /// It is not clear what is wanted.
    Requirement,
    /// Something else has to come first.
    Dependency,
}

impl BlockerKind {
    /// Its word.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Technical => "technical",
            Self::Requirement => "requirement",
            Self::Dependency => "dependency",
        }
    }
}

/// What sort of failure an attempt ended in.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, Encode, Decode,
)]
#[serde(rename_all = "snake_case")]
pub enum FailureClass {
    /// May pass by itself: try again, later.
    Transient,
    /// Too little of something: give it elsewhere, or restart.
    Resource,
    /// The work is wrong: roll it back, give it to another.
    Logic,
    /// Not known: escalate with context.
    Unknown,
}

/// How urgent an alert is, or how much a requirement matters.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, Encode, Decode,
)]
#[serde(rename_all = "snake_case")]
pub enum Severity {
    /// Good to know.
    Low,
    /// To be looked at.
    Medium,
    /// To be looked at soon.
    High,
    /// Nothing else matters until it is settled.
    Critical,
}

impl Severity {
    /// Its name in documents and in speech.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Low => "low",
            Self::Medium => "medium",
            Self::High => "high",
            Self::Critical => "critical",
        }
    }
}

/// What is done about a deviation from the design.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, Encode, Decode,
)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// The implementation is better: the design follows it.
    UpdateDesign,
    /// The design is right: the implementation is mended.
    FixCode,
    /// Good enough: written down, with what follows.
    DocumentDeviation,
}
