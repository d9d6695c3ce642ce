//! Selection: who takes what next, and which files are reserved for it.

use std::cell::{OnceCell, RefCell};
use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};

use tress_model::operation::FailureClass;
use tress_model::state::{Readiness, Todo};
use tress_model::{Millis, Role, State, TodoId};

use crate::critical::CriticalPaths;
use crate::failure::backoff;
use crate::predict::{self, Examples, Prediction};
use crate::random::{mix, of_text};
use crate::scope::{self, Taken};
use crate::strategy::{Isolation, Strategy};

/// How often one agent may fail at a todo before it goes to another.
pub const TRIES_PER_AGENT: usize = 2;
/// The capability of an agent that can do everything.
pub const ANYTHING: &str = "*";
/// When so many todos were finished on the files of a todo since it became ready, it is next:
/// nothing else is started that would keep its files from becoming free. Those that are more
/// urgent count a quarter.
pub const PATIENCE: usize = 8;
/// How often the pause may pass in which a todo is left to an agent that tried it less.
const PASSING: u64 = 8;
/// A prediction has to be this sure to keep todos apart.
pub const CONFIDENCE_MIN: f64 = 0.1;
/// So many of the longest waiting todos are looked at for one whose patience is over.
const OLDEST: usize = 16;
/// So many of the last finished todos are looked at for what went before a waiting one.
const LATEST: usize = 64;
/// So many predictions are made for one decision; todos beyond count as ones of which nothing is
/// known.
const PREDICTIONS_MAX: usize = 256;
/// A todo is small when its estimate is no longer than this, in minutes.
pub const SMALL_MINUTES: u32 = 10;
/// The todos of a batch take no longer than this together, in minutes.
const BATCH_MINUTES: u32 = 20;
/// Several are taken only where so many are ready for each agent.
const PLENTY: usize = 4;
/// Todos of one batch are at least this similar.
const BATCH_SIMILARITY: f64 = 0.25;

/// What each reason weighs among todos of the same priority; each of them lies between 0 and 1.
mod weight {
    /// The critical path behind it, or the work that is left on one of its files where that is
    /// more, as a share of the most.
    pub(super) const PATH: f64 = 1.0;
    /// How many todos wait for it, as a share of the most.
    pub(super) const WAITING: f64 = 0.25;
    /// Whether its time runs out.
    pub(super) const DUE: f64 = 0.5;
    /// The coordinator gave it to this agent.
    pub(super) const ASSIGNED: f64 = 2.0;
    /// How much of what the agent can do it needs.
    pub(super) const FIT: f64 = 0.3;
    /// How similar it is to what the agent finished.
    pub(super) const AFFINITY: f64 = 0.2;
    /// How often the agent tried it in vain; this much for each time.
    pub(super) const TRIED: f64 = 0.3;
}

/// An agent that asks for work.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Candidate<'a> {
    /// Its name.
    pub name: &'a str,
    /// What it can do; [`ANYTHING`] is all.
    pub capabilities: Vec<String>,
}

impl<'a> Candidate<'a> {
    /// An agent that can do everything.
    pub fn generalist(name: &'a str) -> Self {
        Self { name, capabilities: vec![ANYTHING.to_owned()] }
    }
}

/// The terms on which work is chosen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Terms {
    /// Decides ties, and the jitter of retries. With 0, what was made first comes first of equals.
    pub seed: u64,
    /// How long a todo is left alone after its second refusal, in milliseconds; doubles with each.
    pub pause_ms: Millis,
    /// How the team works.
    pub strategy: Strategy,
}

/// What an agent should take.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Choice {
    /// The todo.
    pub todo: TodoId,
    /// What is to be reserved with the claim, for it and what comes with it.
    pub scope: Vec<String>,
    /// Small similar todos that the same agent takes with it.
    pub also: Vec<TodoId>,
    /// Why this one, in one line.
    pub reasons: String,
}

/// What `candidate` should take at `now`, if anything: see [`Board::choose`].
pub fn choose(
    state: &State,
    candidate: &Candidate<'_>,
    now: Millis,
    terms: &Terms,
) -> Option<Choice> {
    Board::new(state, now).choose(candidate, terms)
}

/// One moment of a run, prepared for decisions: several agents can be given work from one board.
#[derive(Debug)]
pub struct Board<'a> {
    state: &'a State,
    now: Millis,
    readiness: Readiness,
    /// Who is at work on something, by agent.
    working: BTreeSet<String>,
    /// What was given out from this board.
    given: BTreeSet<TodoId>,
    /// The todos that are held, and what was reserved with them.
    held: Vec<(TodoId, String, Vec<String>)>,
    paths: OnceCell<CriticalPaths>,
    examples: OnceCell<Examples>,
    predictions: RefCell<BTreeMap<TodoId, Prediction>>,
    /// The work that is left on each path or pattern that unfinished todos declare, in minutes.
    loads: OnceCell<BTreeMap<&'a str, u64>>,
    /// What is taken, by the isolation that was first asked for.
    taken: OnceCell<(Isolation, Taken)>,
    /// Whose patience is over, by the terms that were first asked for.
    patient: OnceCell<Option<(TodoId, Vec<String>)>>,
}

/// A ready todo, and how well it fits.
struct Ranked<'a> {
    todo: &'a Todo,
    mine: bool,
    score: f64,
    affinity: f64,
    tie: u64,
}

impl<'a> Board<'a> {
    /// The board of `state` at `now`. Linear in todos and edges, as is each question to it.
    pub fn new(state: &'a State, now: Millis) -> Self {
        let mut working = BTreeSet::new();
        let mut held = Vec::new();
        for todo in state.todos.unfinished() {
            let Some(claim) = todo.holder(now) else { continue };
            if todo.pending_completion().is_none() && todo.verified().is_none() {
                working.insert(claim.agent.to_string());
            }
            held.push((todo.id, claim.agent.to_string(), claim.scope.clone()));
        }
        Self {
            state,
            now,
            readiness: state.readiness(now),
            working,
            given: BTreeSet::new(),
            held,
            paths: OnceCell::new(),
            examples: OnceCell::new(),
            predictions: RefCell::default(),
            loads: OnceCell::new(),
            taken: OnceCell::new(),
            patient: OnceCell::new(),
        }
    }

    /// What is ready and blocked.
    pub fn readiness(&self) -> &Readiness {
        &self.readiness
    }

    /// Takes note that `agent` was given `todo` and has reserved `scope` for it.
    pub fn reserve(&mut self, agent: &str, todo: TodoId, scope: &[String]) {
        self.given.insert(todo);
        self.working.insert(agent.to_owned());
        self.held.push((todo, agent.to_owned(), scope.to_vec()));
        self.taken = OnceCell::new();
    }

    fn paths(&self) -> &CriticalPaths {
        self.paths.get_or_init(|| CriticalPaths::of(self.state))
    }

    /// How long it takes at least until all is done that waits for `todo`: its critical path, or the
    /// work that is left on one of its files, which is done one after the other (the machine with
    /// the most work decides: Adams, Balas, Zawack: *The Shifting Bottleneck Procedure*, 1988).
    fn pressure(&self, todo: &Todo) -> u64 {
        let loads = self.loads.get_or_init(|| {
            let mut loads: BTreeMap<&str, u64> = BTreeMap::new();
            for todo in self.state.todos.unfinished() {
                let minutes = self.paths().estimate(todo);
                for file in &todo.files {
                    *loads.entry(file).or_insert(0) += minutes;
                }
            }
            loads
        });
        let loads = todo.files.iter().filter_map(|file| loads.get(file.as_str()));
        loads.copied().max().unwrap_or(0).max(self.paths().minutes(todo.id))
    }

    /// What `candidate` should take: of the ready todos that it can do, that are not left alone
    /// for now and whose files nobody is at, the one of the highest priority; of those the one
    /// that scores best by critical path, fit and affinity; of equals the one that was made first, or with
    /// a seed that one that it decides.
    pub fn choose(&self, candidate: &Candidate<'_>, terms: &Terms) -> Option<Choice> {
        let strategy = &terms.strategy;
        // Whoever works without having joined, a person say, takes nobody's place.
        let member = |name: &&String| {
            let agent = self.state.team.agents.get(name.as_str());
            agent.is_some_and(|agent| agent.active && agent.role == Role::Implementer)
        };
        let others = self.working.iter().filter(|name| *name != candidate.name);
        let others = others.filter(member).count();
        if others >= strategy.parallel as usize {
            return None;
        }
        let mut ranked = self.ranked(candidate, terms);
        if ranked.is_empty() {
            return None;
        }
        ranked.sort_by(|left, right| {
            let first =
                |ranked: &Ranked<'_>| (Reverse(ranked.mine), self.paths().urgency(ranked.todo));
            let rank = first(left).cmp(&first(right));
            let rank = rank.then(right.score.total_cmp(&left.score));
            let made = |ranked: &Ranked<'_>| (ranked.tie, ranked.todo.created_at, ranked.todo.dot);
            rank.then_with(|| made(left).cmp(&made(right)))
        });
        let fresh;
        let cached =
            self.taken.get_or_init(|| (strategy.isolation, self.taken(strategy.isolation)));
        let taken = if cached.0 == strategy.isolation {
            &cached.1
        } else {
            fresh = self.taken(strategy.isolation);
            &fresh
        };
        let mut kept = Taken::default();
        let patient = self.patient.get_or_init(|| self.patient(terms)).as_ref();
        if let Some((id, scope)) = patient.filter(|(id, _)| !self.given.contains(id)) {
            let (id, scope) = (*id, scope.as_slice());
            let fits = ranked.iter().any(|one| one.todo.id == id);
            if fits && taken.overlapping(scope).is_none() {
                ranked.sort_by_key(|one| one.todo.id != id);
            } else {
                ranked.retain(|one| one.todo.id != id);
                kept.add(scope, &self.state.name(id));
            }
        }
        let free =
            |scope: &[String]| taken.overlapping(scope).or(kept.overlapping(scope)).is_none();
        let (best, scope) = ranked.iter().find_map(|one| {
            let scope = self.scope(one.todo, strategy.isolation);
            free(&scope).then_some((one, scope))
        })?;
        let (also, scope) = self.batch(best, scope, &ranked, &free, terms);
        let reasons = self.reasons(best, &scope, &also, candidate);
        Some(Choice { todo: best.todo.id, scope, also, reasons })
    }

    /// The ready todos that the candidate may take, without a look at their files.
    fn ranked(&self, candidate: &Candidate<'_>, terms: &Terms) -> Vec<Ranked<'_>> {
        let ready = self.readiness.ready.iter().filter(|id| !self.given.contains(id));
        let ready = ready.filter_map(|&id| self.state.todo(id)).filter(|todo| {
            able(&candidate.capabilities, &todo.capabilities)
                && not_before(todo, terms) <= self.now
                && !self.should_pass(todo, candidate.name, terms)
                && (terms.strategy.spread || !self.kept_for_another(todo, candidate.name))
        });
        let ready: Vec<&Todo> = ready.map(|todo| &**todo).collect();
        let longest = ready.iter().map(|todo| self.pressure(todo)).max().unwrap_or(0);
        let most = ready.iter().map(|todo| self.paths().waiting(todo.id)).max().unwrap_or(0);
        let known = if terms.strategy.spread {
            Known::default()
        } else {
            Known::of(&self.done_by(candidate.name))
        };
        let rank = |todo: &'a Todo| {
            let affinity = known.affinity(todo);
            let path = self.pressure(todo);
            let share = |part: f64, whole: f64| if whole > 0.0 { part / whole } else { 0.0 };
            let due = todo
                .due_at
                .is_some_and(|due| due.saturating_sub(self.now) <= path.saturating_mul(2 * 60_000));
            let mine = todo.assigned.as_deref() == Some(candidate.name);
            let meant = todo.assignee.as_deref() == Some(candidate.name);
            let score = weight::PATH * share(path as f64, longest as f64)
                + weight::WAITING * share(self.paths().waiting(todo.id) as f64, most as f64)
                + weight::DUE * f64::from(u8::from(due))
                + weight::ASSIGNED * f64::from(u8::from(meant))
                + weight::FIT * fit(&candidate.capabilities, &todo.capabilities)
                + weight::AFFINITY * affinity
                - weight::TRIED * tries(self.state, todo.id, candidate.name) as f64;
            // Teams with seeds of their own take different ones of equals, and seldom the same.
            let tie = match terms.seed {
                0 => 0,
                seed => mix(of_text(seed, &todo.id.digits()), todo.dot.number),
            };
            Ranked { todo, mine, score, affinity, tie }
        };
        ready.into_iter().map(rank).collect()
    }

    /// What is reserved by claims, declared by what they hold, or expected of it.
    fn taken(&self, isolation: Isolation) -> Taken {
        let mut taken = Taken::default();
        for (id, _, reserved) in &self.held {
            let name = self.state.name(*id);
            taken.add(&widened(reserved, isolation), &name);
            if let Some(todo) = self.state.todo(*id) {
                taken.add(&self.scope(todo, isolation), &name);
            }
        }
        taken
    }

    /// The files that work on `todo` is taken to touch: what it declares, else what it touched
    /// before, else what is predicted.
    fn scope(&self, todo: &Todo, isolation: Isolation) -> Vec<String> {
        if !todo.files.is_empty() || isolation == Isolation::Declared {
            return widened(&todo.files, isolation);
        }
        let prediction = self.prediction(todo);
        if prediction.confidence < CONFIDENCE_MIN {
            return Vec::new();
        }
        widened(&prediction.paths, isolation)
    }

    fn prediction(&self, todo: &Todo) -> Prediction {
        let mut known = self.predictions.borrow_mut();
        if let Some(prediction) = known.get(&todo.id) {
            return prediction.clone();
        }
        if known.len() >= PREDICTIONS_MAX {
            return Prediction::default();
        }
        let prediction = if todo.artifacts.is_empty() {
            self.examples.get_or_init(|| Examples::of(self.state)).predict(todo)
        } else {
            // What an earlier attempt touched says it best.
            let paths = todo.artifacts.keys().cloned().collect();
            Prediction { paths, confidence: 1.0, like: Vec::new() }
        };
        known.insert(todo.id, prediction.clone());
        prediction
    }

    /// The longest waiting of the todos whose patience is over, with its files.
    fn patient(&self, terms: &Terms) -> Option<(TodoId, Vec<String>)> {
        let todos = self.state.todos.values();
        let finished = todos.filter_map(|todo| Some((todo.completed()?.at, todo.id, &**todo)));
        let mut finished: Vec<(Millis, TodoId, &Todo)> = finished.collect();
        if finished.len() < PATIENCE {
            return None;
        }
        finished.sort_unstable_by_key(|&(at, id, _)| (Reverse(at), id));
        finished.truncate(LATEST);
        let finished: Vec<_> = finished
            .into_iter()
            .map(|(at, _, todo)| (at, todo.priority, self.scope(todo, Isolation::Predicted)))
            .collect();
        let eighth = finished.get(PATIENCE - 1).map_or(0, |(at, _, _)| *at);
        let ready = self.readiness.ready.iter().filter(|id| !self.given.contains(id));
        let ready = ready.filter_map(|&id| self.state.todo(id));
        let ready = ready.filter(|todo| not_before(todo, terms) <= self.now && self.doable(todo));
        let mut waiting: Vec<_> = ready
            .map(|todo| (self.ready_since(todo), todo.id, todo))
            .filter(|(since, _, _)| *since < eighth)
            .collect();
        waiting.sort_by_key(|&(since, id, _)| (since, id));
        waiting.into_iter().take(OLDEST).find_map(|(since, id, todo)| {
            let mut own = Taken::default();
            let scope = self.scope(todo, terms.strategy.isolation);
            own.add(&scope, "");
            let before = finished
                .iter()
                .filter(|(at, _, files)| *at > since && own.overlapping(files).is_some());
            let quarters: usize =
                before.map(|(_, other, _)| if *other < todo.priority { 1 } else { 4 }).sum();
            (quarters >= 4 * PATIENCE).then_some((id, scope))
        })
    }

    /// When nothing but its files was in the way of `todo` any more.
    fn ready_since(&self, todo: &Todo) -> Millis {
        let edges = self.state.edges(todo.id).iter().filter(|edge| edge.kind.blocks());
        let ends = edges.filter_map(|edge| self.state.todo(edge.on)?.finished_at());
        let failed = todo.failures.iter().map(|failure| failure.retry_at.unwrap_or(failure.at));
        let refused =
            todo.completions.iter().filter(|made| made.void.is_some()).map(|made| made.at);
        let since = ends.chain(failed).chain(refused).max();
        since.unwrap_or(0).max(todo.created_at)
    }

    /// Whether an active implementer can do `todo`; where there are none, whoever comes can.
    fn doable(&self, todo: &Todo) -> bool {
        let mut any = false;
        for agent in self.state.team.agents.values() {
            if agent.active && agent.role == Role::Implementer {
                any = true;
                if able(&agent.capabilities, &todo.capabilities) {
                    return true;
                }
            }
        }
        !any
    }

    /// Whether `agent` should leave `todo` to an active implementer who can do it and tried it
    /// less. Not for ever: that one may be gone without having said so.
    fn should_pass(&self, todo: &Todo, agent: &str, terms: &Terms) -> bool {
        let own = tries(self.state, todo.id, agent);
        let last = todo.failures.last().filter(|failure| &*failure.agent == agent);
        let elsewhere = last.is_some_and(|failure| {
            matches!(failure.class, FailureClass::Logic | FailureClass::Resource)
        });
        if own == 0 || (own < TRIES_PER_AGENT && !elsewhere) {
            return false;
        }
        let until = not_before(todo, terms).max(self.ready_since(todo));
        if self.now > until.saturating_add(terms.pause_ms.saturating_mul(PASSING)) {
            return false;
        }
        let mut others = self.state.team.agents.iter().filter(|(name, other)| {
            &***name != agent
                && other.active
                && other.role == Role::Implementer
                && able(&other.capabilities, &todo.capabilities)
        });
        others.any(|(name, _)| tries(self.state, todo.id, name) < own)
    }

    /// Whether the coordinator gave `todo` to another, who is there, free and able.
    fn kept_for_another(&self, todo: &Todo, agent: &str) -> bool {
        let Some(assigned) = todo.assigned.as_deref().filter(|&assigned| assigned != agent) else {
            return false;
        };
        let other = self.state.team.agents.get(assigned);
        !self.working.contains(assigned)
            && other
                .is_some_and(|other| other.active && able(&other.capabilities, &todo.capabilities))
    }

    /// The last todos that `agent` completed.
    fn done_by(&self, agent: &str) -> Vec<&'a Todo> {
        let todos = self.state.todos.values();
        let own = todos.filter_map(|todo| {
            let made = todo.completed().filter(|made| &*made.agent == agent)?;
            Some((made.at, todo.id, &**todo))
        });
        let mut own: Vec<_> = own.collect();
        own.sort_by_key(|&(at, id, _)| (Reverse(at), id));
        own.into_iter().take(8).map(|(_, _, todo)| todo).collect()
    }

    /// Small todos like `best` that the agent can take with it, and the scope of all of them.
    fn batch(
        &self,
        best: &Ranked<'_>,
        mut scope: Vec<String>,
        ranked: &[Ranked<'_>],
        free: &dyn Fn(&[String]) -> bool,
        terms: &Terms,
    ) -> (Vec<TodoId>, Vec<String>) {
        let strategy = &terms.strategy;
        let small = |todo: &Todo| todo.estimate_minutes.is_some_and(|m| m <= SMALL_MINUTES);
        let tried = |todo: &Todo| all_tries(self.state, todo.id) > 0;
        let active = self.state.team.agents.values();
        let active = active.filter(|agent| agent.active && agent.role == Role::Implementer).count();
        // Where others would go without work, nobody takes several.
        let plenty = ranked.len() >= PLENTY * active.max(self.working.len() + 1);
        // What names no files could not be seen to have been done along with another.
        let fit =
            |todo: &Todo| small(todo) && !tried(todo) && !todo.high_risk && !todo.files.is_empty();
        let mut also = Vec::new();
        let mut minutes = best.todo.estimate_minutes.unwrap_or(0);
        if strategy.spread || strategy.batch < 2 || !plenty || !fit(best.todo) {
            return (also, scope);
        }
        for one in ranked.iter().filter(|one| one.todo.id != best.todo.id && fit(one.todo)) {
            if also.len() + 1 >= strategy.batch as usize {
                break;
            }
            let own = self.scope(one.todo, strategy.isolation);
            // Two of one batch on the same files would collide when they are integrated.
            let apart = !scope.is_empty() && !own.is_empty() && !scope::overlap(&scope, &own);
            let near = apart && predict::similarity(best.todo, one.todo) >= BATCH_SIMILARITY;
            let with = minutes + one.todo.estimate_minutes.unwrap_or(0);
            let same = self.paths().urgency(one.todo) == self.paths().urgency(best.todo);
            if same && near && with <= BATCH_MINUTES && free(&own) {
                minutes = with;
                also.push(one.todo.id);
                scope.extend(own);
            }
        }
        scope.sort_unstable();
        scope.dedup();
        (also, scope)
    }

    fn reasons(
        &self,
        best: &Ranked<'_>,
        scope: &[String],
        also: &[TodoId],
        candidate: &Candidate<'_>,
    ) -> String {
        let todo = best.todo;
        let mut reasons = Vec::new();
        if best.mine {
            reasons.push(format!("given to {}", candidate.name));
        }
        let urgency = self.paths().urgency(todo);
        let heir = if urgency < todo.priority { " by what waits for it" } else { "" };
        reasons.push(format!("most urgent (p{urgency}{heir})"));
        let (waiting, path) = (self.paths().waiting(todo.id), self.paths().minutes(todo.id));
        match waiting {
            0 => {}
            1 => reasons.push(format!("1 todo waits for it (critical path {path} min)")),
            more => reasons.push(format!("{more} todos wait for it (critical path {path} min)")),
        }
        let is_free = |scope: &[String]| match scope {
            [one] => format!("{one} is free"),
            [first, rest @ ..] => format!("{first} and {} more are free", rest.len()),
            [] => "nothing is known of its files".to_owned(),
        };
        let guessed = todo.files.is_empty() && !scope.is_empty();
        let like = if guessed { " (learned from similar todos)" } else { "" };
        reasons.push(format!("{}{like}", is_free(scope)));
        if !todo.capabilities.is_empty() {
            reasons.push(format!("{} can do {}", candidate.name, todo.capabilities.join(", ")));
        }
        if best.affinity >= 0.25 {
            reasons.push(format!("{} did some like it", candidate.name));
        }
        if !also.is_empty() {
            let names: Vec<String> = also.iter().map(|id| self.state.name(*id)).collect();
            reasons.push(format!("with {}, small and like it", names.join(", ")));
        }
        reasons.join("; ")
    }
}

fn widened(scope: &[String], isolation: Isolation) -> Vec<String> {
    if isolation != Isolation::Directories {
        return scope.to_vec();
    }
    let mut directories: Vec<String> = scope.iter().map(|one| scope::directory(one)).collect();
    directories.sort_unstable();
    directories.dedup();
    directories
}

/// Whether who has these capabilities can do what needs those.
pub fn able(has: &[String], needs: &[String]) -> bool {
    needs.iter().all(|need| has.iter().any(|have| have == need || have == ANYTHING))
}

/// How much of what an agent can do a todo needs: a specialist leaves to others what others can.
fn fit(has: &[String], needs: &[String]) -> f64 {
    let special = has.iter().filter(|have| *have != ANYTHING).count();
    if special == 0 {
        return 0.0;
    }
    needs.iter().filter(|need| has.contains(need)).count() as f64 / special as f64
}

/// What an agent knows from the todos that it finished last: their files, sections, labels.
#[derive(Debug, Default)]
struct Known<'a> {
    files: Taken,
    sections: BTreeSet<&'a str>,
    labels: BTreeSet<&'a str>,
}

impl<'a> Known<'a> {
    fn of(done: &[&'a Todo]) -> Self {
        let mut known = Self::default();
        for todo in done {
            known.files.add(todo.artifacts.keys().chain(&todo.files), "");
            known.sections.extend(todo.section.as_deref());
            known.labels.extend(todo.labels.keys().map(String::as_str));
        }
        known
    }

    /// How much of `todo` is known: 1 for its files, less for its section or a label.
    fn affinity(&self, todo: &Todo) -> f64 {
        if self.files.overlapping(&todo.files).is_some() {
            1.0
        } else if todo.section.as_deref().is_some_and(|section| self.sections.contains(section)) {
            0.7
        } else if todo.labels.keys().any(|label| self.labels.contains(label.as_str())) {
            0.4
        } else {
            0.0
        }
    }
}

/// When a todo may be tried again that was refused: at once after the first time.
pub(crate) fn not_before(todo: &Todo, terms: &Terms) -> Millis {
    let refused = todo.completions.iter().filter(|made| made.void.is_some());
    let again = refused.clone().count().saturating_sub(1);
    let last = refused.filter_map(|made| made.verification.as_ref()).map(|v| (v.at, v.dot)).max();
    match (again, last) {
        (0, _) | (_, None) => 0,
        (again, Some((at, dot))) => {
            let attempt = u32::try_from(again).unwrap_or(u32::MAX);
            at.saturating_add(backoff(terms.pause_ms, attempt, mix(terms.seed, dot.number)))
        }
    }
}

/// How often `agent` tried `id` in vain: failed, or claimed done what was not.
pub fn tries(state: &State, id: TodoId, agent: &str) -> usize {
    state.todo(id).map_or(0, |todo| {
        let failed = todo.failures.iter().filter(|failure| &*failure.agent == agent).count();
        let refused = todo.completions.iter().filter(|c| &*c.agent == agent && c.void.is_some());
        failed + refused.count()
    })
}

/// How often anybody tried `id` in vain.
pub fn all_tries(state: &State, id: TodoId) -> usize {
    state.todo(id).map_or(0, |todo| {
        todo.failures.len() + todo.completions.iter().filter(|c| c.void.is_some()).count()
    })
}
