//! Failures: what sort an attempt ended in, when it is tried again, by whom, and what is tried
//! against a blocker.
//!
//! The rules are data: [`RULES`], the first that matches decides.

use tress_model::Millis;
use tress_model::operation::{BlockerKind, FailureClass};
use tress_model::state::todo::Blocker;

use crate::random::mix;

/// What is known of how an attempt ended.
#[derive(Debug, Clone, Copy, Default)]
pub struct Symptoms<'a> {
    /// The exit code, where the process ended by itself.
    pub exit_code: Option<i32>,
    /// The signal that ended it, where one did.
    pub signal: Option<i32>,
    /// Whether it was ended because it took too long.
    pub timed_out: bool,
    /// Whether it was ended because the team stops.
    pub stopped: bool,
    /// Why it could not be started, where it could not.
    pub not_started: Option<&'a str>,
    /// The last lines that it printed.
    pub tail: &'a str,
}

/// What a rule looks at.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum When {
    /// The team was stopped.
    Stopped,
    /// It could not be started.
    NotStarted,
    /// It took too long.
    TimedOut,
    /// It ended with one of these exit codes.
    Exit(&'static [i32]),
    /// It ended with any exit code but 0.
    AnyExit,
    /// It was ended by one of these signals.
    Signal(&'static [i32]),
    /// The end of its output, in lower case, has one of these.
    Says(&'static [&'static str]),
}

/// A rule: when it matches, what the failure is, and why.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Rule {
    /// When it matches.
    pub when: When,
    /// What the failure is.
    pub class: FailureClass,
    /// Why, in a few words.
    pub reason: &'static str,
}

const fn rule(when: When, class: FailureClass, reason: &'static str) -> Rule {
    Rule { when, class, reason }
}

use FailureClass::{Logic, Resource, Transient, Unknown};

/// The rules, the most telling first: what the process said outweighs how it ended.
pub const RULES: &[Rule] = &[
    rule(When::Stopped, Transient, "it was stopped with the team"),
    rule(
        When::Says(&[
            "out of memory",
            "outofmemoryerror",
            "cannot allocate memory",
            "memoryerror",
            "heap out of memory",
            "oom-kill",
        ]),
        Resource,
        "it ran out of memory",
    ),
    rule(
        When::Says(&["no space left on device", "disk quota exceeded", "enospc"]),
        Resource,
        "the disk is full",
    ),
    rule(
        When::Says(&["too many open files", "resource temporarily unavailable", "emfile"]),
        Resource,
        "the system has none left of something",
    ),
    rule(
        When::Says(&[
            "context length exceeded",
            "context window",
            "prompt is too long",
            "maximum context length",
            "insufficient_quota",
            "credit balance is too low",
        ]),
        Resource,
        "the model's context or quota is used up",
    ),
    rule(
        When::Says(&[
            "rate limit",
            "rate_limit",
            "too many requests",
            "overloaded",
            "service unavailable",
            "bad gateway",
            "gateway timeout",
            "internal server error",
        ]),
        Transient,
        "a service was busy",
    ),
    rule(
        When::Says(&[
            "connection reset",
            "connection refused",
            "connection timed out",
            "connection closed",
            "network is unreachable",
            "temporary failure in name resolution",
            "could not resolve host",
            "econnreset",
            "etimedout",
            "tls handshake",
        ]),
        Transient,
        "the network failed",
    ),
    rule(
        When::Says(&["could not acquire lock", "database is locked", "index.lock"]),
        Transient,
        "another process held a lock",
    ),
    rule(When::NotStarted, Unknown, "it could not be started"),
    rule(When::TimedOut, Transient, "it took too long"),
    rule(When::Exit(&[75, 69, 124]), Transient, "its exit code asks to try again later"),
    rule(
        When::Exit(&[71, 74, 137]),
        Resource,
        "its exit code says that the system lacks something",
    ),
    rule(When::Exit(&[126, 127]), Unknown, "its command cannot be run"),
    rule(When::Exit(&[64, 77, 78]), Unknown, "its exit code says that it is set up wrongly"),
    rule(
        When::Signal(&[9, 24, 25]),
        Resource,
        "it was killed, as the system does when it lacks memory",
    ),
    rule(When::Signal(&[4, 6, 7, 8, 11]), Logic, "it crashed"),
    rule(When::Signal(&[1, 2, 3, 13, 15]), Transient, "it was ended from outside"),
    rule(
        When::Says(&[
            "test result: failed",
            "assertion",
            "panicked at",
            "error[e",
            "syntaxerror",
            "traceback (most recent call last)",
            "compilation failed",
            "could not compile",
            "merge conflict",
        ]),
        Logic,
        "what it made does not work",
    ),
    rule(When::AnyExit, Logic, "it ended with a failure of its own"),
];

/// How much of the end of the output is looked at, in bytes.
const TAIL_BYTES: usize = 8 * 1024;

impl When {
    fn holds(self, symptoms: &Symptoms<'_>, tail: &str) -> bool {
        match self {
            Self::Stopped => symptoms.stopped,
            Self::NotStarted => symptoms.not_started.is_some(),
            Self::TimedOut => symptoms.timed_out,
            Self::Exit(codes) => symptoms.exit_code.is_some_and(|code| codes.contains(&code)),
            Self::AnyExit => symptoms.exit_code.is_some_and(|code| code != 0),
            Self::Signal(signals) => symptoms.signal.is_some_and(|s| signals.contains(&s)),
            Self::Says(words) => words.iter().any(|word| tail.contains(word)),
        }
    }
}

/// What sort of failure these are the symptoms of, and why.
pub fn classify(symptoms: &Symptoms<'_>) -> (FailureClass, String) {
    let said = symptoms.not_started.unwrap_or(symptoms.tail);
    let mut start = said.len().saturating_sub(TAIL_BYTES);
    while !said.is_char_boundary(start) {
        start += 1;
    }
    let tail = said.get(start..).unwrap_or_default().to_lowercase();
    let rule = RULES.iter().find(|rule| rule.when.holds(symptoms, &tail));
    rule.map_or((Unknown, "no rule fits it".to_owned()), |rule| {
        (rule.class, rule.reason.to_owned())
    })
}

/// The longest wait between two attempts, as a multiple of the first.
pub const BACKOFF_FACTOR_MAX: u64 = 64;

/// How long to wait after the `attempt`th failure in a row, from 1: half of `base * 2^(attempt-1)`,
/// capped at [`BACKOFF_FACTOR_MAX`] times the base, and a random part of the other half, which
/// `seed` decides (equal jitter: Marc Brooker, *Exponential Backoff And Jitter*, AWS Architecture
/// Blog, 2015). Made from what is in the log, so a restart does not change it.
pub fn backoff(base: Millis, attempt: u32, seed: u64) -> Millis {
    let factor = 2_u64.saturating_pow(attempt.saturating_sub(1)).min(BACKOFF_FACTOR_MAX);
    let whole = base.saturating_mul(factor);
    let half = whole / 2;
    let rest = whole - half;
    half + mix(seed, u64::from(attempt)) % rest.saturating_add(1)
}

/// What is done about a failed attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Response {
    /// The same agent tries again, later.
    RetrySame,
    /// It goes to another agent, or to the same one started anew.
    Reallocate,
    /// The work is thrown away, and another agent begins from the start.
    RollBackAndReassign,
    /// A person decides.
    Escalate,
}

impl Response {
    /// The response as a word.
    pub const fn name(self) -> &'static str {
        match self {
            Self::RetrySame => "retry",
            Self::Reallocate => "reallocate",
            Self::RollBackAndReassign => "roll back and reassign",
            Self::Escalate => "escalate",
        }
    }
}

/// What is done about a failure of `class` when the agent has `own` attempts at the todo behind it
/// and all agents together `all`, this one counted, of at most `limit`.
pub fn response(class: FailureClass, own: usize, all: usize, limit: usize) -> Response {
    if all >= limit.max(1) {
        return Response::Escalate;
    }
    match class {
        Transient if own < crate::TRIES_PER_AGENT => Response::RetrySame,
        Transient | Resource => Response::Reallocate,
        Logic => Response::RollBackAndReassign,
        Unknown => Response::Escalate,
    }
}

/// What can be tried against a blocker before a person is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Remedy {
    /// Try again with a fresh work tree on the newest state of the branch.
    FreshStart,
    /// Give it to another agent.
    AnotherAgent,
    /// Ask for a smaller first step, and go on from there.
    SmallerSteps,
    /// Read the design again: the section, its requirements and the decisions about it.
    ReadDesign,
    /// Take the plainest reading, and say which one that is.
    PlainestReading,
    /// Wait for the todo that it depends on, with an edge in the graph.
    AddDependency,
    /// Move what it depends on forward.
    RaiseDependency,
}

impl Remedy {
    /// Its name, as a blocker's list of what was tried has it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::FreshStart => "fresh-start",
            Self::AnotherAgent => "another-agent",
            Self::SmallerSteps => "smaller-steps",
            Self::ReadDesign => "read-design",
            Self::PlainestReading => "plainest-reading",
            Self::AddDependency => "add-dependency",
            Self::RaiseDependency => "raise-dependency",
        }
    }
}

/// What is tried against a blocker of `kind`, in this order; then it is escalated.
pub const fn remedies(kind: BlockerKind) -> &'static [Remedy] {
    match kind {
        BlockerKind::Technical => &[Remedy::FreshStart, Remedy::AnotherAgent, Remedy::SmallerSteps],
        BlockerKind::Requirement => &[Remedy::ReadDesign, Remedy::PlainestReading],
        BlockerKind::Dependency => &[Remedy::AddDependency, Remedy::RaiseDependency],
    }
}

/// What is to be tried next against `blocker`; `None` says that it is to be escalated. An entry of
/// its list of what was tried counts for a remedy when it is the remedy's name, or begins with the
/// name and a colon.
pub fn next_remedy(blocker: &Blocker) -> Option<Remedy> {
    let tried = |remedy: &Remedy| {
        let named = |entry: &String| {
            let rest = entry.trim().strip_prefix(remedy.name());
            rest.is_some_and(|rest| rest.is_empty() || rest.starts_with(':'))
        };
        blocker.tried.iter().any(named)
    };
    remedies(blocker.kind).iter().find(|remedy| !tried(remedy)).copied()
}
