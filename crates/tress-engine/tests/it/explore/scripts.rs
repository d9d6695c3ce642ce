//! What the three replicas of the explorer do, and what their clocks show.

use tress_engine::{Draft, Log};
use tress_model::operation::{EdgeKind, ProseTarget, Splice, TodoEdit, Verdict};
use tress_model::{Author, Dot, Operation, ReplicaId, Role, Segment, State, TodoId};

use super::REPLICAS;

/// One thing that a replica's agent does. Tokens and completions are those that it sees by then.
#[derive(Clone, Copy)]
pub(super) enum Act {
    /// Claims the todo, without a lease.
    Claim,
    /// Claims it for 50 ms.
    Lease,
    /// Gives back its own claim.
    Release,
    Report,
    Done,
    Pass,
    Fail,
    RollBack,
    Close,
    Reopen,
    Delete,
    Note,
    Title(&'static str),
    /// This todo depends on the other one, or the other on this.
    Needs,
    Needed,
    NeedsNot,
    WriteSection(&'static str),
    EditSection,
    RemoveSection,
}

/// What each replica does, in order.
pub(super) struct Script {
    pub name: &'static str,
    pub acts: [&'static [Act]; REPLICAS],
    /// So many worlds there are at least; fewer would mean that nothing was explored.
    pub floor: usize,
}

const fn script(
    name: &'static str,
    one: &'static [Act],
    two: &'static [Act],
    three: &'static [Act],
) -> Script {
    Script { name, acts: [one, two, three], floor: 1000 }
}

use Act as A;

pub(super) const SCRIPTS: [Script; 12] = [
    script("three claim", &[A::Claim, A::Done], &[A::Claim, A::Report], &[A::Claim]),
    script("one releases, one does it", &[A::Claim, A::Release], &[A::Claim, A::Done], &[A::Pass]),
    script("released and done", &[A::Claim, A::Release, A::Done], &[A::Claim], &[A::Pass]),
    script("leases end", &[A::Lease, A::Done], &[A::Lease, A::Done], &[A::Claim]),
    script(
        "done under a lease and accepted",
        &[A::Lease, A::Done],
        &[A::Claim],
        &[A::Pass, A::Pass],
    ),
    script("accepted and refused", &[A::Claim, A::Done], &[A::Pass], &[A::Fail, A::Claim]),
    script("accepted and taken back", &[A::Claim, A::Done], &[A::Pass, A::RollBack], &[A::Pass]),
    script("closed and reopened", &[A::Claim, A::Done], &[A::Close, A::Reopen], &[A::Pass]),
    script("deleted and at work", &[A::Claim, A::Report], &[A::Delete, A::Reopen], &[A::Delete]),
    script(
        "deleted, noted, titled",
        &[A::Delete, A::Note],
        &[A::Title("a"), A::Delete],
        &[A::Title("b")],
    ),
    script("edges in a circle", &[A::Needs, A::NeedsNot], &[A::Needed, A::Needed], &[A::NeedsNot]),
    script(
        "a section removed and edited",
        &[A::RemoveSection, A::WriteSection("a")],
        &[A::EditSection, A::RemoveSection],
        &[A::WriteSection("b")],
    ),
];

/// What the replicas' clocks show: the time of each one's first act; the next come 20 ms apart.
pub(super) struct Clock {
    pub name: &'static str,
    first: [u64; REPLICAS],
}

pub(super) const CLOCKS: [Clock; 3] = [
    Clock { name: "equal", first: [1000, 1000, 1000] },
    Clock { name: "one ahead", first: [1000, 90_000, 1010] },
    Clock { name: "backwards", first: [1060, 1030, 1000] },
];

impl Clock {
    pub(super) fn now(&self, replica: usize, written: usize) -> u64 {
        self.first[replica] + 20 * written as u64
    }
}

fn todo() -> TodoId {
    TodoId::from_external("the one")
}

fn other() -> TodoId {
    TodoId::from_external("the other")
}

fn section(heading: &str) -> Operation {
    Operation::SectionAdded {
        section: "s".to_owned(),
        heading: heading.to_owned(),
        level: 1,
        position: 0,
        body: "body".to_owned(),
    }
}

/// What everybody knows from the start: two todos and a section.
pub(super) fn seed() -> Segment {
    let added = |todo| Operation::TodoAdded {
        todo,
        external_id: None,
        title: "work".to_owned(),
        edits: Vec::new(),
        prose: Vec::new(),
        labels: Vec::new(),
        layout: None,
    };
    let log = Log::new();
    let author = Author::new("planner", Role::Coordinator);
    let drafts = [added(todo()), added(other()), section("heading")];
    let drafts =
        drafts.map(|operation| Draft { author: author.clone(), occurred: None, operation });
    let prepared = log.prepare(ReplicaId([9; 16]), super::store(), drafts.to_vec(), 100);
    prepared.expect("valid operations").segment()
}

/// What the agent of a replica means by `act` when it sees this.
pub(super) fn draft(act: Act, replica: usize, log: &Log, state: &State) -> Draft {
    let (todo, reason) = (todo(), String::new());
    let id = ReplicaId([replica as u8 + 1; 16]);
    let mut claims = log.events().iter().filter(|event| {
        event.dot.replica == id && matches!(event.operation, Operation::Claimed { .. })
    });
    let token = claims.next_back().map(|event| event.dot);
    let held = token.unwrap_or(Dot::new(id, 1));
    let edge = |todo, on| Operation::DependencyAdded {
        todo,
        on,
        external_id: None,
        kind: EdgeKind::Blocks,
        layout: None,
    };
    let operation = match act {
        A::Claim => Operation::Claimed { todo, lease: None, scope: Vec::new() },
        A::Lease => Operation::Claimed { todo, lease: Some(50), scope: Vec::new() },
        A::Release => Operation::Released { todo, token: held, reason },
        A::Report => Operation::ProgressReported {
            todo,
            token: held,
            percent: 50,
            message: reason,
            next_milestone: None,
        },
        A::Done => Operation::CompletionClaimed {
            todo,
            token,
            commit: None,
            to_integrate: false,
            implementation: String::new(),
            tests: String::new(),
            integration: String::new(),
        },
        A::Pass => answer(state, Verdict::Pass),
        A::Fail => answer(state, Verdict::Fail),
        A::RollBack => Operation::RolledBack { todo, what: "all".to_owned(), reason },
        A::Close => Operation::Closed { todo, reason },
        A::Reopen => Operation::Reopened { todo, reason },
        A::Delete => Operation::Deleted { todo, reason },
        A::Note => Operation::NoteAdded { todo, text: "note".to_owned(), layout: None },
        A::Title(title) => {
            Operation::TodoEdited { todo, edits: vec![TodoEdit::Title(title.to_owned())] }
        }
        A::Needs => edge(todo, other()),
        A::Needed => edge(other(), todo),
        A::NeedsNot => Operation::DependencyRemoved { todo, on: other(), kind: EdgeKind::Blocks },
        A::WriteSection(heading) => section(heading),
        A::EditSection => Operation::ProseEdited {
            target: ProseTarget::Section("s".to_owned()),
            splices: vec![Splice { at: 0, delete: 0, insert: "more ".to_owned() }],
        },
        A::RemoveSection => Operation::SectionRemoved { section: "s".to_owned() },
    };
    let author = match act {
        A::Pass | A::Fail => Author::new(format!("judge-{replica}"), Role::Verifier),
        _ => Author::new(format!("agent-{replica}"), Role::Implementer),
    };
    Draft { author, occurred: None, operation }
}

/// The answer to the claim of completion that waits, or else to the last that there was.
fn answer(state: &State, verdict: Verdict) -> Operation {
    let held = state.todo(todo());
    let waits = held
        .and_then(|todo| todo.pending_completion().or(todo.completions.last().map(AsRef::as_ref)));
    let completion = waits.map_or(Dot::new(ReplicaId([8; 16]), 1), |made| made.dot);
    let reason = "looked at".to_owned();
    Operation::Verified { todo: todo(), completion, verdict, reason, percent: 0, gaps: Vec::new() }
}
