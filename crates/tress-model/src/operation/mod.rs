//! Operations: what an agent meant, as typed values. The whole vocabulary of format version 1.
//!
//! Variants and fields are encoded by position: new variants go to the end of their enum, and
//! existing ones never change (docs/FORMAT.md).

mod about;
mod terms;

use bincode::{Decode, Encode};
use serde::{Deserialize, Serialize};

pub use self::terms::*;

use crate::clock::{Millis, VersionVector};
use crate::ids::{Dot, EventId, StoreId, TodoId};

/// Which of the three documents an operation speaks of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Strand {
    /// What is to be built, and what was decided about it.
    Design,
    /// The todo graph.
    Todo,
    /// Who did what, with which evidence, and how the run went.
    Implementation,
}

impl Strand {
    /// All three, in their fixed order.
    pub const ALL: [Self; 3] = [Self::Design, Self::Todo, Self::Implementation];

    /// The strand's name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Design => "design",
            Self::Todo => "todo",
            Self::Implementation => "implementation",
        }
    }

    /// Its place in [`Strand::ALL`].
    pub const fn index(self) -> usize {
        match self {
            Self::Design => 0,
            Self::Todo => 1,
            Self::Implementation => 2,
        }
    }
}

/// Some of the three strands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Strands(u8);

impl Strands {
    /// All three.
    pub const ALL: Self = Self(0b111);
    /// None.
    pub const NONE: Self = Self(0);

    /// Whether `strand` is among them.
    pub const fn contains(self, strand: Strand) -> bool {
        self.0 & (1 << strand.index()) != 0
    }

    /// Whether they are all among `others`.
    pub const fn are_in(self, others: Self) -> bool {
        self.0 & Self::ALL.0 & !others.0 == 0
    }

    /// Those that are among both.
    #[must_use]
    pub const fn meet(self, others: Self) -> Self {
        Self(self.0 & others.0 & Self::ALL.0)
    }

    /// Each of them, in the order of [`Strand::ALL`].
    pub fn iter(self) -> impl Iterator<Item = Strand> {
        Strand::ALL.into_iter().filter(move |strand| self.contains(*strand))
    }
}

impl Default for Strands {
    fn default() -> Self {
        Self::ALL
    }
}

impl std::fmt::Display for Strands {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let names: Vec<_> = self.iter().map(Strand::name).collect();
        f.write_str(&names.join(","))
    }
}

impl std::str::FromStr for Strands {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let known = |name: &str| {
            let found = Strand::ALL.into_iter().find(|strand| strand.name() == name.trim());
            found.ok_or_else(|| format!("{name:?} is no strand: say design, todo, implementation"))
        };
        text.split(',').map(known).collect()
    }
}

impl FromIterator<Strand> for Strands {
    fn from_iter<I: IntoIterator<Item = Strand>>(strands: I) -> Self {
        Self(strands.into_iter().fold(0, |set, strand| set | 1 << strand.index()))
    }
}

/// An event that a store vouches for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Encode, Decode)]
pub struct SignedHead {
    /// Its dot.
    pub dot: Dot,
    /// Its id.
    pub id: EventId,
}

/// What an agent meant.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, Encode, Decode)]
#[serde(rename_all = "snake_case")]
pub enum Operation {
    // ---- the todo strand ---------------------------------------------------------------------
    /// A todo comes into being. For a todo that is there already (two sides imported the same
    /// list) it counts as an edit of every field it names.
    TodoAdded {
        /// The todo.
        todo: TodoId,
        /// The id it has in another system.
        external_id: Option<String>,
        /// Its title.
        title: String,
        /// Its other fields.
        edits: Vec<TodoEdit>,
        /// Its prose.
        prose: Vec<(ProseField, String)>,
        /// Its labels.
        labels: Vec<String>,
        /// How it was written where it came from, for an export without loss; opaque to the fold.
        layout: Option<String>,
    },
    /// Fields of a todo change.
    TodoEdited {
        /// The todo.
        todo: TodoId,
        /// The changes.
        edits: Vec<TodoEdit>,
    },
    /// A text changes, here and there.
    ProseEdited {
        /// Which text.
        target: ProseTarget,
        /// The changes.
        splices: Vec<Splice>,
    },
    /// Labels come and go. A label that is added and removed concurrently stays.
    LabelsChanged {
        /// The todo.
        todo: TodoId,
        /// Labels that come.
        added: Vec<String>,
        /// Labels that go.
        removed: Vec<String>,
    },
    /// A remark on a todo.
    NoteAdded {
        /// The todo.
        todo: TodoId,
        /// The remark.
        text: String,
        /// How it was written where it came from; opaque to the fold.
        layout: Option<String>,
    },
    /// An edge of the graph: `todo` depends on `on`.
    DependencyAdded {
        /// The source.
        todo: TodoId,
        /// The target; it need not exist (a dangling edge blocks nothing).
        on: TodoId,
        /// The target's id in another system, so that a dangling edge keeps its name.
        external_id: Option<String>,
        /// What the edge says.
        kind: EdgeKind,
        /// How it was written where it came from; opaque to the fold.
        layout: Option<String>,
    },
    /// An edge goes. One that was added concurrently stays.
    DependencyRemoved {
        /// The source.
        todo: TodoId,
        /// The target.
        on: TodoId,
        /// What the edge said.
        kind: EdgeKind,
    },
    /// A todo is closed without a verified completion: not needed, a duplicate, done elsewhere.
    Closed {
        /// The todo.
        todo: TodoId,
        /// Why.
        reason: String,
    },
    /// A closed or completed todo is open again. Undoes only the closings its author had seen.
    Reopened {
        /// The todo.
        todo: TodoId,
        /// Why.
        reason: String,
    },
    /// A todo is deleted. A concurrent edit keeps it alive (rule `edit-beats-delete`).
    Deleted {
        /// The todo.
        todo: TodoId,
        /// Why.
        reason: String,
    },

    // ---- claims and the progress protocol (todo strand) --------------------------------------
    /// The agent takes a todo. The event's dot is the fencing token of the claim.
    Claimed {
        /// The todo.
        todo: TodoId,
        /// How long the claim holds without a sign of life; `None` holds until released.
        lease: Option<Millis>,
        /// Paths (globs) that the agent reserves with it.
        scope: Vec<String>,
    },
    /// The claim holds longer.
    Renewed {
        /// The todo.
        todo: TodoId,
        /// The fencing token.
        token: Dot,
        /// From this event's time on.
        lease: Option<Millis>,
    },
    /// The agent, or whoever stands in for it, gives a claimed todo back.
    Released {
        /// The todo.
        todo: TodoId,
        /// The fencing token.
        token: Dot,
        /// Why.
        reason: String,
    },
    /// `task_start`: work on a claimed todo begins.
    TaskStarted {
        /// The todo.
        todo: TodoId,
        /// The fencing token.
        token: Dot,
        /// Estimated minutes.
        estimate: Option<u32>,
        /// The commit it starts from.
        base: Option<String>,
        /// The branch it is done on.
        branch: Option<String>,
        /// Todos that the agent expects to need.
        dependencies: Vec<TodoId>,
    },
    /// `progress_checkpoint`: how far it is. Renews the lease by its length.
    ProgressReported {
        /// The todo.
        todo: TodoId,
        /// The fencing token.
        token: Dot,
        /// 0 to 100.
        percent: u8,
        /// What was done.
        message: String,
        /// What comes next.
        next_milestone: Option<String>,
    },
    /// Work on a todo cannot go on. The event's dot names the blocker.
    BlockerRaised {
        /// The todo.
        todo: TodoId,
        /// Of what kind.
        kind: BlockerKind,
        /// What is in the way.
        description: String,
        /// What was tried.
        tried: Vec<String>,
    },
    /// What was in the way is not any more.
    BlockerResolved {
        /// The todo.
        todo: TodoId,
        /// The blocker.
        blocker: Dot,
        /// How it was resolved.
        resolution: String,
    },
    /// A blocker goes up to whoever can decide, with the whole context.
    BlockerEscalated {
        /// The todo.
        todo: TodoId,
        /// The blocker.
        blocker: Dot,
        /// The context.
        context: String,
    },
    /// `task_complete`: the agent says that it is done. Only a claim (rule `done-means-verified`);
    /// the event's dot names it.
    CompletionClaimed {
        /// The todo.
        todo: TodoId,
        /// The fencing token; `None` where nobody had claimed the todo.
        token: Option<Dot>,
        /// The commit that holds the work.
        commit: Option<String>,
        /// Whether that commit has yet to be integrated for the todo to be completed.
        to_integrate: bool,
        /// What was implemented.
        implementation: String,
        /// What was tested.
        tests: String,
        /// How it was wired in.
        integration: String,
    },
    /// A verifier's answer to a claim of completion.
    Verified {
        /// The todo.
        todo: TodoId,
        /// The claim of completion.
        completion: Dot,
        /// Pass completes the todo; fail and unknown send it back.
        verdict: Verdict,
        /// Why, in one line.
        reason: String,
        /// How much of it is there, 0 to 100.
        percent: u8,
        /// What is missing.
        gaps: Vec<String>,
    },
    /// The losing agent was told of what the ledger says against an event of its own.
    LossAcknowledged {
        /// The event that lost.
        event: Dot,
    },
    /// An attempt at a todo failed.
    AttemptFailed {
        /// The todo.
        todo: TodoId,
        /// The fencing token of the claim it was made under.
        token: Dot,
        /// What sort of failure.
        class: FailureClass,
        /// What happened.
        message: String,
        /// Not to be tried again before this time.
        retry_at: Option<Millis>,
    },
    /// The coordinator gives a todo to an agent.
    Assigned {
        /// The todo.
        todo: TodoId,
        /// The agent.
        agent: String,
        /// Why this one.
        reason: String,
    },
    /// The agent reserves paths for a claimed todo, or gives them back with an empty list.
    ScopeReserved {
        /// The todo.
        todo: TodoId,
        /// The fencing token.
        token: Dot,
        /// The paths, as globs.
        globs: Vec<String>,
    },

    // ---- the design strand -------------------------------------------------------------------
    /// A section of the design. For one that is there already: its heading and place change, and
    /// its body is replaced where `body` differs.
    SectionAdded {
        /// Its key, unique in the design.
        section: String,
        /// Its heading.
        heading: String,
        /// 1 for the title, and deeper.
        level: u8,
        /// Where it stands among the others.
        position: u32,
        /// Its text.
        body: String,
    },
    /// A section goes.
    SectionRemoved {
        /// Its key.
        section: String,
    },
    /// A requirement, new or changed.
    RequirementAdded {
        /// Its key, unique in the design.
        requirement: String,
        /// The section it stands in.
        section: String,
        /// What is required.
        text: String,
        /// `functional`, `performance`, `security` …
        kind: String,
        /// How much it matters.
        criticality: Severity,
    },
    /// A requirement goes.
    RequirementRemoved {
        /// Its key.
        requirement: String,
    },
    /// A rule that a machine can check, new or changed.
    DesignRuleAdded {
        /// Its key.
        rule: String,
        /// Its text, in the rule language of the design.
        text: String,
        /// How much it matters.
        criticality: Severity,
    },
    /// A rule goes.
    DesignRuleRemoved {
        /// Its key.
        rule: String,
    },
    /// A decision. Never edited, only superseded (rule `decisions-stand`); the event's dot names it.
    DecisionRecorded {
        /// In one line.
        title: String,
        /// What made it necessary.
        context: String,
        /// What was decided.
        decision: String,
        /// Why this and not another.
        rationale: String,
        /// What follows.
        consequences: String,
        /// The decisions it takes the place of.
        supersedes: Vec<Dot>,
    },
    /// Somebody's opinion on how an implementation stands to the design, with evidence.
    AssessmentGiven {
        /// The todo whose implementation it is of.
        todo: Option<TodoId>,
        /// The requirement or rule it is about.
        about: String,
        /// How far the implementation complies, 0 to 100.
        compliance: u8,
        /// How good the implementation is, 0 to 100.
        quality: u8,
        /// What it rests on.
        evidence: String,
    },
    /// An implementation deviates from the design; the event's dot names the deviation.
    DeviationFound {
        /// The todo whose implementation it is.
        todo: Option<TodoId>,
        /// The requirement or rule that it deviates from.
        about: String,
        /// What differs.
        description: String,
        /// How much it matters.
        impact: Severity,
        /// How good the implementation is, 0 to 100.
        quality: u8,
        /// How far it complies, 0 to 100.
        compliance: u8,
        /// What it rests on.
        evidence: String,
    },
    /// What is done about a deviation.
    DeviationDecided {
        /// The deviation.
        deviation: Dot,
        /// What is done.
        outcome: Outcome,
        /// Why.
        rationale: String,
        /// The todo that follows from it.
        follow_up: Option<TodoId>,
    },

    // ---- the implementation strand -----------------------------------------------------------
    /// The run begins, or its terms change.
    RunStarted {
        /// What it is about.
        title: String,
        /// The commit it starts from.
        base: Option<String>,
        /// The branch that work is integrated into.
        branch: Option<String>,
        /// Settings, by name.
        settings: Vec<(String, String)>,
    },
    /// The run stops for now.
    RunPaused {
        /// Why.
        reason: String,
    },
    /// The run goes on.
    RunResumed,
    /// The run is over.
    RunFinished {
        /// In one line.
        summary: String,
    },
    /// The author joins the team.
    AgentJoined {
        /// What it can do.
        capabilities: Vec<String>,
        /// What it is: the command, the model.
        about: String,
    },
    /// The author leaves the team.
    AgentLeft {
        /// Why.
        reason: String,
    },
    /// What the author is doing, when that is not work on a todo.
    AgentReported {
        /// In a few words.
        activity: String,
    },
    /// Evidence for or against a claim of completion.
    CheckRecorded {
        /// The todo.
        todo: TodoId,
        /// The claim of completion.
        completion: Dot,
        /// The evidence.
        check: Check,
    },
    /// A file that work on a todo made or changed.
    ArtifactRecorded {
        /// The todo.
        todo: TodoId,
        /// The path, relative to the work tree.
        path: String,
        /// The git blob it became; `None` where it was deleted.
        blob: Option<String>,
    },
    /// Verified work is part of the run's branch.
    Integrated {
        /// The todo.
        todo: TodoId,
        /// The claim of completion.
        completion: Dot,
        /// The commit on the run's branch.
        commit: String,
    },
    /// Verified work could not become part of the run's branch; the todo goes back.
    IntegrationFailed {
        /// The todo.
        todo: TodoId,
        /// The claim of completion.
        completion: Dot,
        /// Why.
        reason: String,
    },
    /// Integrated or unintegrated work was taken back.
    RolledBack {
        /// The todo.
        todo: TodoId,
        /// What was taken back, in words.
        what: String,
        /// Why.
        reason: String,
    },
    /// How the work is to be distributed, and why.
    PlanMade {
        /// The tier and its reason, in one line.
        summary: String,
        /// How many implementers.
        implementers: u32,
        /// How many coordinators.
        coordinators: u32,
    },
    /// The strategy changes.
    StrategyChanged {
        /// Which setting.
        setting: String,
        /// What it was.
        from: String,
        /// What it is.
        to: String,
        /// Why.
        reason: String,
    },
    /// Something needs attention. One with the same key is raised again, not twice.
    AlertRaised {
        /// Its key.
        alert: String,
        /// How urgent.
        priority: Severity,
        /// What is the matter.
        message: String,
        /// The todo it concerns.
        todo: Option<TodoId>,
    },
    /// Somebody looks after an alert.
    AlertAcknowledged {
        /// Its key.
        alert: String,
    },
    /// An alert no longer holds.
    AlertCleared {
        /// Its key.
        alert: String,
    },
    /// Figures about the run.
    MetricsRecorded {
        /// Name and value.
        figures: Vec<(String, f64)>,
    },
    /// What a run teaches, for later runs.
    LearningRecorded {
        /// What about.
        topic: String,
        /// What was learned, as JSON text.
        body: String,
    },
    /// Tokens, money or time that were used up.
    BudgetSpent {
        /// The todo it was spent on.
        todo: Option<TodoId>,
        /// Of what: `tokens`, `usd`, `seconds`.
        unit: String,
        /// How much.
        amount: f64,
    },

    // ---- history -----------------------------------------------------------------------------
    /// A moment to come back to.
    CheckpointTaken {
        /// Its name; several may share one, the latest is meant.
        name: String,
        /// What it covers.
        version: VersionVector,
        /// The root of the state at that version.
        root: EventId,
        /// The form of state that the root is of ([`crate::codec::STATE_FORM`]).
        form: u16,
        /// Why it was taken.
        reason: String,
    },
    /// The run branched off another.
    Forked {
        /// The other run.
        from: String,
        /// Where.
        version: VersionVector,
    },
    /// Another run's events came into this one.
    Merged {
        /// The other run.
        from: String,
        /// Up to where.
        version: VersionVector,
    },
    /// The effect of one event was taken back, by the events beside this one.
    Undone {
        /// The event.
        event: Dot,
        /// Why.
        reason: String,
    },
    /// A store is gone for good; another seals for it.
    ReplicaRetired {
        /// The store that is gone.
        store: StoreId,
        /// The store that seals in its place.
        successor: StoreId,
    },
    /// A store's signing key, of which a run lists its members.
    MemberAdded {
        /// The store.
        store: StoreId,
        /// The ed25519 public key.
        key: [u8; 32],
    },
    /// A store is no longer a member.
    MemberRemoved {
        /// The store.
        store: StoreId,
    },
    /// Anything an embedder wants in the log; the fold keeps it out of the state.
    Custom {
        /// Its kind.
        kind: String,
        /// As JSON text.
        body: String,
    },
    /// The store that writes this vouches for what its replicas have written: each chain up to an event,
    /// which stands for all before it.
    HeadsSigned {
        /// The events, one of each replica.
        heads: Vec<SignedHead>,
        /// An ed25519 signature (RFC 8032) of them; see `tress-engine::signed`.
        signature: Vec<u8>,
    },
    /// An operation that a newer version writes, in its bytes. It is kept, passed on, and folds to
    /// nothing.
    Unknown(Vec<u8>),
}
