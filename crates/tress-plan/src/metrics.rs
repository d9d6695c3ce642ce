//! Metrics: how a run goes, measured from its events. docs/PLANNING.md defines each figure.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use tress_model::operation::{Operation, Verdict};
use tress_model::{Dot, Event, Millis, Role, TodoId};

/// The window of rates: so many outcomes, the latest.
pub const OUTCOMES: usize = 20;
/// The window of idle time and velocity: since the completion of so many todos.
pub const COMPLETIONS: usize = 10;

const HOUR: f64 = 3_600_000.0;

/// The figures of a run at a moment. Rates are shares from 0 to 1.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Figures {
    /// The share of attempts to integrate that failed.
    pub conflict_rate: f64,
    /// How many attempts to integrate that share is of.
    pub integrations: u64,
    /// The share of the active implementers' time in which they held no claim; of those, no more
    /// count than may work at once.
    pub idle: f64,
    /// The share of decided claims of completion that came to nothing.
    pub rework_rate: f64,
    /// How many decided claims of completion that share is of.
    pub decided: u64,
    /// The share of verifications that were not passed.
    pub verification_failure_rate: f64,
    /// How many verifications that share is of.
    pub verifications: u64,
    /// The share of the implementers' time, over the whole run, that went into work that was
    /// completed.
    pub parallel_efficiency: f64,
    /// Completed todos an hour.
    pub velocity: f64,
    /// Completed todos an hour before the window of `velocity`; `None` while there is too little.
    pub history_velocity: Option<f64>,
    /// How good the work is at first: the share of the last completed todos whose first claim of
    /// completion was accepted, in the mean with the quality that assessments give.
    pub quality: f64,
    /// How many todos were completed.
    pub completed: u64,
    /// How many completed todos the window of `idle` and `velocity` spans.
    pub window: u64,
    /// How many todos were completed since the strategy last changed; `None` while it never did.
    pub completed_since_change: Option<u64>,
    /// Claims that lost against another, whose agents said that they know.
    pub lost_claims: u64,
    /// How long the team has been at work, without pauses, in milliseconds.
    pub elapsed: Millis,
}

impl Figures {
    /// The figures by name, as the log has them.
    pub fn named(&self) -> Vec<(String, f64)> {
        let mut named = vec![
            ("conflict_rate", self.conflict_rate),
            ("idle_time", self.idle),
            ("rework_rate", self.rework_rate),
            ("verification_failure_rate", self.verification_failure_rate),
            ("parallel_efficiency", self.parallel_efficiency),
            ("velocity", self.velocity),
            ("quality", self.quality),
            ("completed", self.completed as f64),
        ];
        named.extend(self.history_velocity.map(|velocity| ("history_velocity", velocity)));
        named.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
    }

    /// The figures as an operation of the coordinator.
    pub fn operations(&self) -> Vec<Operation> {
        vec![Operation::MetricsRecorded { figures: self.named() }]
    }
}

/// The latest outcomes of one kind: the event that each is of, and whether it was bad.
#[derive(Debug, Clone, Default)]
struct Outcomes(VecDeque<(Dot, bool)>);

impl Outcomes {
    fn push(&mut self, of: Dot, bad: bool) {
        if self.0.len() >= OUTCOMES {
            self.0.pop_front();
        }
        self.0.push_back((of, bad));
    }

    /// Takes back what was of the event `of`.
    fn forget(&mut self, of: Dot) {
        self.0.retain(|(other, _)| *other != of);
    }

    fn rate(&self) -> f64 {
        let bad = self.0.iter().filter(|(_, bad)| *bad).count();
        if self.0.is_empty() { 0.0 } else { bad as f64 / self.0.len() as f64 }
    }

    fn len(&self) -> u64 {
        self.0.len() as u64
    }
}

/// Time that agents had, and used, in milliseconds.
#[derive(Debug, Clone, Copy, Default)]
struct Clocked {
    elapsed: Millis,
    active: Millis,
    busy: Millis,
}

/// A claim that is worked on.
#[derive(Debug, Clone)]
struct Working {
    agent: Arc<str>,
    todo: TodoId,
    since: Millis,
    lease: Option<Millis>,
    until: Option<Millis>,
}

/// A claim of completion, as far as it decides which verdicts on it count: the fold's rule `done-means-verified`.
#[derive(Debug, Clone)]
struct Done {
    dot: Dot,
    /// How long was worked for it.
    took: Millis,
    to_integrate: bool,
    /// Whose work it is; nobody of them can verify it.
    by: [Option<Arc<str>>; 2],
    /// The answer to it.
    answer: Option<Dot>,
    standing: Standing,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Standing {
    Waiting,
    /// A verifier passed it.
    Passed,
    /// A verifier refused it; whether its todo had seen attempts in vain before.
    Refused(bool),
    /// It was completed.
    Counted,
    /// It does not count any more.
    Void,
}

/// Counts what happens in a run, event by event in canonical order, from its first event on.
#[derive(Debug, Clone, Default)]
pub struct Meter {
    last: Option<Millis>,
    paused: bool,
    active: BTreeSet<Arc<str>>,
    working: BTreeMap<Dot, Working>,
    clocked: Clocked,
    useful: Millis,
    /// By token, whose claim it is.
    holders: BTreeMap<Dot, Arc<str>>,
    claimed: BTreeMap<TodoId, Vec<Done>>,
    completed: u64,
    /// What was clocked at the last completions, the oldest first.
    marks: VecDeque<Clocked>,
    integrations: Outcomes,
    decided: Outcomes,
    verifications: Outcomes,
    first_pass: Outcomes,
    assessed: VecDeque<u8>,
    spoiled: BTreeSet<TodoId>,
    finished: BTreeMap<TodoId, Millis>,
    changed_at: Option<u64>,
    /// How many may work at once; who waits for nothing but this is not idle.
    parallel: Option<u64>,
    lost_claims: u64,
}

impl Meter {
    /// A meter that has seen nothing.
    pub fn new() -> Self {
        Self::default()
    }

    /// A meter that has seen these events.
    pub fn of<'a>(events: impl IntoIterator<Item = &'a Arc<Event>>) -> Self {
        let mut meter = Self::new();
        for event in events {
            meter.observe(event);
        }
        meter
    }

    /// Takes note of the next event.
    pub fn observe(&mut self, event: &Event) {
        use Operation as O;
        let at = event.time.millis;
        if matches!(event.operation, O::RunStarted { .. } | O::RunResumed) {
            // Nobody was there since the last event, or nobody knows who.
            self.last = Some(at);
            self.paused = false;
            self.active.clear();
        }
        self.pass(at);
        let name = &event.author.name;
        match &event.operation {
            O::RunPaused { .. } | O::RunFinished { .. } => {
                self.paused = true;
                self.active.clear();
            }
            O::AgentJoined { .. } if event.author.role == Role::Implementer => {
                self.active.insert(Arc::clone(name));
            }
            O::AgentLeft { .. } => {
                self.active.remove(name);
            }
            O::PlanMade { implementers, .. } => self.parallel = Some(u64::from(*implementers)),
            O::StrategyChanged { setting, to, .. } => {
                self.changed_at = Some(self.completed);
                if setting == "parallel" {
                    self.parallel = to.parse().ok();
                }
            }
            O::LossAcknowledged { event } => {
                let lost = self.working.remove(event).is_some();
                self.lost_claims += u64::from(lost);
            }
            O::AssessmentGiven { quality, .. } => {
                if self.assessed.len() >= OUTCOMES {
                    self.assessed.pop_front();
                }
                self.assessed.push_back(*quality);
            }
            _ => self.observe_work(event, at),
        }
    }

    fn observe_work(&mut self, event: &Event, at: Millis) {
        use Operation as O;
        match &event.operation {
            O::Claimed { todo, lease, .. } => {
                let gone = |held: &Working| {
                    held.todo == *todo && held.until.is_some_and(|until| until <= at)
                };
                self.working.retain(|_, held| !gone(held));
                let until = lease.map(|lease| at.saturating_add(lease));
                let agent = Arc::clone(&event.author.name);
                self.holders.insert(event.dot, Arc::clone(&agent));
                let working = Working { agent, todo: *todo, since: at, lease: *lease, until };
                self.working.insert(event.dot, working);
            }
            O::Renewed { token, lease, .. } => {
                if let Some(held) = self.working.get_mut(token) {
                    held.lease = *lease;
                    held.until = lease.map(|lease| at.saturating_add(lease));
                }
            }
            O::TaskStarted { token, .. } | O::ProgressReported { token, .. } => {
                if let Some(held) = self.working.get_mut(token) {
                    held.until = held.lease.map(|lease| at.saturating_add(lease));
                }
            }
            O::Released { token, .. } => {
                self.working.remove(token);
            }
            O::AttemptFailed { todo, token, .. } => {
                self.working.remove(token);
                self.spoiled.insert(*todo);
            }
            O::CompletionClaimed { todo, token, to_integrate, .. } => {
                let worked = token.and_then(|token| self.working.remove(&token));
                let holder = token.and_then(|token| self.holders.get(&token).cloned());
                let done = Done {
                    dot: event.dot,
                    took: worked.map_or(0, |worked| at.saturating_sub(worked.since)),
                    to_integrate: *to_integrate,
                    by: [Some(Arc::clone(&event.author.name)), holder],
                    answer: None,
                    standing: match self.finished.contains_key(todo) {
                        true => Standing::Void,
                        false => Standing::Waiting,
                    },
                };
                self.claimed.entry(*todo).or_default().push(done);
            }
            O::Verified { todo, completion, verdict, .. } => {
                self.verified(event, *todo, *completion, *verdict == Verdict::Pass);
            }
            O::Integrated { todo, completion, .. } => {
                self.integrations.push(event.dot, false);
                self.complete(*todo, *completion);
            }
            O::IntegrationFailed { todo, completion, .. } => {
                self.integrations.push(event.dot, true);
                if let Some(done) = self.done(*todo, *completion)
                    && done.to_integrate
                    && matches!(done.standing, Standing::Waiting | Standing::Passed)
                {
                    done.standing = Standing::Void;
                }
                self.spoiled.insert(*todo);
            }
            O::RolledBack { todo, .. } => {
                self.take_back(event, *todo, |done| {
                    !matches!(done.standing, Standing::Refused(_)) && event.saw(done.dot)
                });
            }
            O::Reopened { todo, .. } => self.take_back(event, *todo, |done| {
                done.standing == Standing::Counted
                    && done.answer.is_some_and(|answer| event.saw(answer))
            }),
            _ => {}
        }
    }

    /// Takes note of an answer to a claim of completion, where the fold gives it an effect.
    fn verified(&mut self, event: &Event, todo: TodoId, completion: Dot, passed: bool) {
        let mut dones = self.claimed.get_mut(&todo).into_iter().flatten();
        let Some(done) = dones.find(|done| done.dot == completion) else { return };
        let own = done.by.iter().flatten().any(|agent| *agent == event.author.name);
        if own || !event.author.role.may_verify() {
            return;
        }
        match (done.standing, done.answer) {
            (Standing::Waiting, None) => {}
            // Whoever accepted it had not seen that it was refused.
            (Standing::Refused(spoiled), Some(answer)) if passed && !event.saw(answer) => {
                self.verifications.forget(answer);
                self.decided.forget(completion);
                if !spoiled {
                    self.spoiled.remove(&todo);
                }
            }
            _ => return,
        }
        done.answer = Some(event.dot);
        self.verifications.push(event.dot, !passed);
        if passed {
            done.standing = Standing::Passed;
            if !done.to_integrate {
                self.complete(todo, completion);
            }
        } else {
            done.standing = Standing::Refused(!self.spoiled.insert(todo));
            self.decided.push(completion, true);
        }
    }

    /// The claim of completion `completion` of `todo`.
    fn done(&mut self, todo: TodoId, completion: Dot) -> Option<&mut Done> {
        self.claimed.get_mut(&todo)?.iter_mut().find(|done| done.dot == completion)
    }

    fn complete(&mut self, todo: TodoId, completion: Dot) {
        let done = self.done(todo, completion);
        let Some(done) = done.filter(|done| done.standing == Standing::Passed) else { return };
        done.standing = Standing::Counted;
        let took = done.took;
        self.decided.push(completion, false);
        self.first_pass.push(completion, self.spoiled.remove(&todo));
        self.useful = self.useful.saturating_add(took);
        self.finished.insert(todo, took);
        self.completed += 1;
        if self.marks.len() > COMPLETIONS {
            self.marks.pop_front();
        }
        self.marks.push_back(self.clocked);
    }

    /// Claims of completion do not count any more; where one did, completed work is to be done again.
    fn take_back(&mut self, event: &Event, todo: TodoId, which: impl Fn(&Done) -> bool) {
        let mut counted = false;
        let dones = self.claimed.get_mut(&todo).into_iter().flatten();
        for done in dones.filter(|done| which(done)) {
            counted |= done.standing == Standing::Counted;
            done.standing = Standing::Void;
        }
        if !counted {
            return;
        }
        let Some(took) = self.finished.remove(&todo) else { return };
        self.decided.push(event.dot, true);
        self.useful = self.useful.saturating_sub(took);
        self.spoiled.insert(todo);
    }

    /// Counts the time up to `at`.
    fn pass(&mut self, at: Millis) {
        let from = self.last.unwrap_or(at);
        self.last = Some(from.max(at));
        self.clocked = self.clocked_until(from, at);
    }

    fn clocked_until(&self, from: Millis, at: Millis) -> Clocked {
        let mut clocked = self.clocked;
        let passed = at.saturating_sub(from);
        if self.paused || passed == 0 {
            return clocked;
        }
        clocked.elapsed += passed;
        let active = self.active.len() as u64;
        let at_once = self.parallel.map_or(active, |parallel| parallel.min(active));
        let most = passed.saturating_mul(at_once);
        clocked.active += most;
        let mut busy: BTreeMap<&Arc<str>, Millis> = BTreeMap::new();
        for held in self.working.values().filter(|held| self.active.contains(&held.agent)) {
            let end = held.until.map_or(at, |until| until.min(at));
            let time = busy.entry(&held.agent).or_insert(0);
            *time = (*time).max(end.saturating_sub(from));
        }
        clocked.busy += busy.values().sum::<Millis>().min(most);
        clocked
    }

    /// The figures at `now`.
    pub fn figures(&self, now: Millis) -> Figures {
        let clocked = self.clocked_until(self.last.unwrap_or(now), now);
        // The window begins at the completion before its first; at the start of the run until then.
        let full = self.marks.len() > COMPLETIONS;
        let mark = if full { self.marks.front().copied() } else { None }.unwrap_or_default();
        let window = if full { COMPLETIONS as u64 } else { self.completed };
        let active = clocked.active.saturating_sub(mark.active);
        let busy = clocked.busy.saturating_sub(mark.busy);
        let share =
            |part: u64, whole: u64| if whole == 0 { 0.0 } else { part as f64 / whole as f64 };
        let hourly = |count: u64, time: Millis| share(count, time) * HOUR;
        let before = self.completed - window.min(self.completed);
        let enough = full && before >= COMPLETIONS as u64 && mark.elapsed > 0;
        let first_pass = 1.0 - self.first_pass.rate();
        let assessed: u64 = self.assessed.iter().map(|&quality| u64::from(quality)).sum();
        let quality = match self.assessed.len() {
            0 => first_pass,
            count => (first_pass + assessed as f64 / (100.0 * count as f64)) / 2.0,
        };
        Figures {
            conflict_rate: self.integrations.rate(),
            integrations: self.integrations.len(),
            idle: if active == 0 { 0.0 } else { 1.0 - share(busy.min(active), active) },
            rework_rate: self.decided.rate(),
            decided: self.decided.len(),
            verification_failure_rate: self.verifications.rate(),
            verifications: self.verifications.len(),
            parallel_efficiency: share(self.useful, clocked.active).min(1.0),
            velocity: hourly(window, clocked.elapsed.saturating_sub(mark.elapsed)),
            history_velocity: enough.then(|| hourly(before, mark.elapsed)),
            quality,
            completed: self.completed,
            window,
            completed_since_change: self.changed_at.map(|at| self.completed.saturating_sub(at)),
            lost_claims: self.lost_claims,
            elapsed: clocked.elapsed,
        }
    }
}
