//! The simulated team.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, BinaryHeap, VecDeque};
use std::sync::Arc;

use tress_engine::{Draft, Log};
use tress_model::operation::{BlockerKind, FailureClass, Operation, Verdict};
use tress_model::{Author, Dot, ReplicaId, Role, State, StoreId, TodoId};
use tress_plan::failure::{self, Response, Symptoms, backoff};
use tress_plan::random::Random;
use tress_plan::strategy::Thoroughness;
use tress_plan::{
    Board, Candidate, Choice, Limits, Meter, Outlook, Strategy, Terms, adapt, alerts, all_tries,
    implementer, integration_order, outlook, plan, scope, select, tries,
};

use super::world::{ABILITIES, MINUTE, Setting, World};

const REPLICA: ReplicaId = ReplicaId([1; 16]);
const STORE: StoreId = StoreId([1; 16]);
const BEGIN: u64 = 1_700_000_000_000;
const LEASE: u64 = 15 * MINUTE;
const PAUSE: u64 = MINUTE;
const VERIFY: u64 = MINUTE / 4;
const INTEGRATE: u64 = MINUTE / 4;
/// An agent without work looks again after this time.
const POLL: u64 = 5 * MINUTE;
const ATTEMPTS: usize = 6;
/// The team looks at the board at full half minutes.
const GLANCE: u64 = MINUTE / 2;
/// A run that takes longer than this has come to a standstill: 20 days.
const END: u64 = BEGIN + 20 * 24 * 60 * MINUTE;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Policy {
    /// The production planner.
    Planner,
    /// Any ready todo.
    Random,
}

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Happening {
    /// Whoever is free looks for work.
    Look,
    /// An agent comes to the end of an attempt, or to its own.
    Ends(usize, Dot),
    /// An agent that works renews its leases.
    Renews(usize, Dot),
    /// An agent that died comes back.
    Returns(usize),
    /// The verifier has an answer.
    Verified(TodoId, Dot),
    /// The coordinator has merged, or could not.
    Merged(TodoId, Dot),
    /// A person has looked at a blocker.
    Settled(TodoId, Dot),
    /// Somebody notices that finished work does not work.
    Noticed(TodoId),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Being {
    Free,
    Working,
    Dead,
}

struct Agent {
    name: String,
    slow: f64,
    capabilities: Vec<String>,
    being: Being,
    /// What it has claimed and not yet begun.
    queue: VecDeque<(TodoId, Dot)>,
}

/// Work that was claimed to be done.
struct Work {
    sound: bool,
    /// How many integrations there were when it began.
    base: usize,
}

pub(super) struct Report {
    pub(super) makespan: u64,
    pub(super) bound: u64,
    pub(super) conflicts: u32,
    pub(super) integrated: u32,
    pub(super) events: usize,
    pub(super) batched: usize,
    pub(super) reactions: BTreeSet<String>,
    pub(super) alerts: BTreeSet<String>,
}

pub(super) struct Team {
    setting: Setting,
    world: World,
    truths: BTreeMap<TodoId, usize>,
    seed: u64,
    policy: Policy,
    random: Random,
    log: Log,
    meter: Meter,
    now: u64,
    heap: BinaryHeap<Reverse<(u64, u64, Happening)>>,
    serial: u64,
    agents: Vec<Agent>,
    working: BTreeMap<TodoId, usize>,
    bases: BTreeMap<TodoId, usize>,
    works: BTreeMap<Dot, Work>,
    /// The files of each integration, in order.
    integrations: Vec<BTreeSet<String>>,
    verifying: bool,
    merging: bool,
    looking: Option<u64>,
    report: Report,
    ended: Option<u64>,
    limits: Limits,
}

impl Team {
    pub(super) fn new(setting: Setting, world: World, seed: u64, policy: Policy) -> Self {
        let mut random = Random::new(seed);
        let agents = (0..setting.agents).map(|number| {
            let ability = ABILITIES[random.below(3) as usize].to_owned();
            let special = setting.capabilities && number > 0;
            Agent {
                name: implementer(number + 1),
                slow: 1.0 + (setting.slowest - 1.0) * random.unit(),
                capabilities: vec![if special { ability } else { select::ANYTHING.to_owned() }],
                being: Being::Free,
                queue: VecDeque::new(),
            }
        });
        let agents = agents.collect();
        let truths = world.truths.iter().enumerate().map(|(at, truth)| (truth.id, at)).collect();
        let bound = world.lower_bound(setting.agents, VERIFY + INTEGRATE);
        let work: u64 = world.truths.iter().map(|truth| truth.takes).sum();
        // Some runs have too small a budget of time, and say so.
        let seconds =
            seed.is_multiple_of(4).then(|| work as f64 / 1000.0 / f64::from(setting.agents));
        Self {
            setting,
            world,
            truths,
            seed,
            policy,
            random,
            log: Log::new(),
            meter: Meter::new(),
            now: BEGIN,
            heap: BinaryHeap::new(),
            serial: 0,
            agents,
            working: BTreeMap::new(),
            bases: BTreeMap::new(),
            works: BTreeMap::new(),
            integrations: Vec::new(),
            verifying: false,
            merging: false,
            looking: None,
            report: Report {
                makespan: 0,
                bound,
                conflicts: 0,
                integrated: 0,
                events: 0,
                batched: 0,
                reactions: BTreeSet::new(),
                alerts: BTreeSet::new(),
            },
            ended: None,
            limits: Limits { seconds, ..Limits::default() },
        }
    }

    fn state(&self) -> Arc<State> {
        Arc::clone(self.log.state())
    }

    fn append(&mut self, name: &str, role: Role, operations: Vec<Operation>) -> Vec<Dot> {
        if operations.is_empty() {
            return Vec::new();
        }
        let author = Author::new(name, role);
        let draft = |operation| Draft { author: author.clone(), occurred: None, operation };
        let drafts = operations.into_iter().map(draft).collect();
        let prepared = self.log.prepare(REPLICA, STORE, drafts, self.now).expect("it is valid");
        for event in prepared.events() {
            self.meter.observe(event);
        }
        let dots = prepared.events().iter().map(|event| event.dot).collect();
        self.log.commit(prepared);
        dots
    }

    fn coordinate(&mut self, operations: Vec<Operation>) -> Vec<Dot> {
        self.append("coordinator", Role::Coordinator, operations)
    }

    fn at(&mut self, when: u64, happening: Happening) {
        self.serial += 1;
        self.heap.push(Reverse((when, self.serial, happening)));
    }

    /// Whoever is free looks for work at `when`, if not earlier.
    fn look(&mut self, when: u64) {
        let when = when.next_multiple_of(GLANCE);
        if self.looking.is_none_or(|looking| looking > when) {
            self.looking = Some(when);
            self.at(when, Happening::Look);
        }
    }

    pub(super) fn play(mut self) -> Report {
        let operations = std::mem::take(&mut self.world.operations);
        self.coordinate(operations);
        let state = self.state();
        let size = (self.setting.agents * 2 / 3).max(1);
        let planned = plan(&state, self.now, Some(size));
        self.coordinate(vec![
            Operation::RunStarted {
                title: "simulated".to_owned(),
                base: None,
                branch: None,
                settings: Vec::new(),
            },
            Operation::PlanMade {
                summary: planned.summary,
                implementers: if self.policy == Policy::Planner && self.setting.slowest > 1.0 {
                    planned.implementers
                } else {
                    self.setting.agents
                },
                coordinators: planned.coordinators,
            },
        ]);
        for agent in 0..self.agents.len() {
            self.join(agent);
        }
        self.look(self.now);
        while let Some(Reverse((when, _, happening))) = self.heap.pop() {
            self.now = when.max(self.now);
            if self.now >= END {
                self.give_up();
            }
            self.happens(happening);
            if self.ended.is_some()
                && self
                    .heap
                    .iter()
                    .all(|Reverse((_, _, next))| !matches!(next, Happening::Noticed(_)))
            {
                break;
            }
        }
        let state = self.state();
        let open = state.todos.values().filter(|todo| !todo.finished()).count();
        assert_eq!(open, 0, "seed {}: {open} left: {:?}", self.seed, self.setting);
        self.report.makespan = self.ended.unwrap_or(self.now) - BEGIN;
        self.report.events = self.log.events().len();
        self.report
    }

    fn give_up(&self) -> ! {
        let state = self.log.state();
        let ready = state.readiness(self.now).ready;
        let left = state.todos.values().filter(|todo| !todo.finished());
        let left: Vec<String> = left
            .map(|todo| {
                let status = state.status_of(todo, self.now);
                format!("{} {status} ready {}", todo.name(), ready.contains(&todo.id))
            })
            .collect();
        panic!(
            "seed {}: no end of it: {:?}\n{:?}\n{left:#?}",
            self.seed,
            self.setting,
            Strategy::of(state)
        );
    }

    fn join(&mut self, agent: usize) {
        let name = self.agents[agent].name.clone();
        let capabilities = self.agents[agent].capabilities.clone();
        let about = "simulated".to_owned();
        self.append(&name, Role::Implementer, vec![Operation::AgentJoined { capabilities, about }]);
        self.agents[agent].being = Being::Free;
    }

    fn happens(&mut self, happening: Happening) {
        match happening {
            Happening::Look => {
                self.looking = None;
                self.dispatch();
            }
            Happening::Ends(agent, token) => self.ends(agent, token),
            Happening::Renews(agent, token) => self.renews(agent, token),
            Happening::Returns(agent) => {
                self.join(agent);
                self.look(self.now);
            }
            Happening::Verified(todo, completion) => self.verified(todo, completion),
            Happening::Merged(todo, completion) => self.merged(todo, completion),
            Happening::Settled(todo, blocker) => {
                let resolution = "a person looked at it".to_owned();
                self.coordinate(vec![Operation::BlockerResolved { todo, blocker, resolution }]);
                self.look(self.now);
            }
            Happening::Noticed(todo) => {
                let state = self.state();
                if state.todo(todo).is_some_and(|todo| todo.completed().is_some()) {
                    let reason = "it does not work".to_owned();
                    self.coordinate(vec![Operation::Reopened { todo, reason }]);
                    self.ended = None;
                    self.look(self.now);
                }
            }
        }
        self.review();
    }

    fn terms(&self, state: &State) -> Terms {
        Terms { seed: self.seed, pause_ms: PAUSE, strategy: Strategy::of(state) }
    }

    /// Everybody who is free asks the board of this moment.
    fn dispatch(&mut self) {
        let state = self.state();
        if state.todos.values().all(|todo| todo.finished()) {
            self.ended.get_or_insert(self.now);
            return;
        }
        if self.agents.iter().all(|agent| agent.being != Being::Free) {
            return;
        }
        let terms = self.terms(&state);
        let mut board = Board::new(&state, self.now);
        let mut idle = 0;
        let (all, first) = (self.agents.len(), self.random.below(64) as usize);
        for agent in (0..all).map(|agent| (agent + first) % all) {
            if self.agents[agent].being != Being::Free {
                continue;
            }
            if idle >= 2 {
                // What two do not find the others look for later.
                idle += 1;
                continue;
            }
            let name = self.agents[agent].name.clone();
            let choice = match self.policy {
                Policy::Planner => {
                    let capabilities = self.agents[agent].capabilities.clone();
                    board.choose(&Candidate { name: &name, capabilities }, &terms)
                }
                Policy::Random => self.any(&board.readiness().ready),
            };
            let Some(choice) = choice else {
                idle += 1;
                continue;
            };
            self.check(&state, &choice);
            board.reserve(&name, choice.todo, &choice.scope);
            for &also in &choice.also {
                board.reserve(&name, also, &choice.scope);
            }
            self.claim(agent, &choice);
        }
        if idle > 0 {
            let left = outlook(&state, board.readiness(), self.now, &terms);
            let alone = idle == self.agents.len() && self.heap.is_empty();
            assert!(
                left != Outlook::Stuck || !alone,
                "seed {}: stuck: {:?}",
                self.seed,
                self.setting
            );
            self.look(self.now + POLL);
        }
    }

    /// Any todo that is ready and not begun.
    fn any(&mut self, ready: &[TodoId]) -> Option<Choice> {
        let ready: Vec<TodoId> =
            ready.iter().copied().filter(|id| !self.working.contains_key(id)).collect();
        let place = self.random.below(ready.len() as u64) as usize;
        let todo = *ready.get(place)?;
        Some(Choice { todo, scope: Vec::new(), also: Vec::new(), reasons: String::new() })
    }

    /// What is chosen is ready, nobody is at it, and nobody has its files.
    fn check(&self, before: &State, choice: &Choice) {
        let state = self.log.state();
        for id in choice.also.iter().chain([&choice.todo]) {
            let ready = before.status_of(before.todo(*id).expect("it is there"), self.now);
            let ready = ready == tress_model::Status::Open;
            assert!(ready, "seed {}: {id} is not ready", self.seed);
            assert!(!self.working.contains_key(id), "seed {}: {id} is begun", self.seed);
            let todo = state.todo(*id).expect("it is there");
            assert!(todo.holder(self.now).is_none(), "seed {}: {id} is held", self.seed);
        }
        for other in state.todos.values() {
            let Some(claim) = other.holder(self.now) else { continue };
            let free = !scope::overlap(&claim.scope, &choice.scope);
            let free = free && !scope::overlap(&other.files, &choice.scope);
            assert!(free, "seed {}: {:?} is taken", self.seed, choice.scope);
        }
    }

    fn claim(&mut self, agent: usize, choice: &Choice) {
        let name = self.agents[agent].name.clone();
        let todos: Vec<TodoId> = [choice.todo].into_iter().chain(choice.also.clone()).collect();
        self.report.batched += choice.also.len();
        for todo in todos {
            let (lease, scope) = (Some(LEASE), choice.scope.clone());
            let claimed = Operation::Claimed { todo, lease, scope };
            let dots = self.append(&name, Role::Implementer, vec![claimed]);
            self.working.insert(todo, agent);
            self.agents[agent].queue.push_back((todo, dots[0]));
        }
        self.agents[agent].being = Being::Working;
        self.begin(agent);
    }

    /// The agent begins with the next of what it has claimed.
    fn begin(&mut self, agent: usize) {
        let Some(&(todo, token)) = self.agents[agent].queue.front() else {
            self.agents[agent].being = Being::Free;
            self.look(self.now);
            return;
        };
        let name = self.agents[agent].name.clone();
        let started = Operation::TaskStarted {
            todo,
            token,
            estimate: None,
            base: None,
            branch: None,
            dependencies: Vec::new(),
        };
        self.append(&name, Role::Implementer, vec![started]);
        self.bases.insert(todo, self.integrations.len());
        let truth = &self.world.truths[self.truths[&todo]];
        let takes = (truth.takes as f64 * self.agents[agent].slow) as u64;
        self.at(self.now + takes, Happening::Ends(agent, token));
        self.at(self.now + LEASE / 3, Happening::Renews(agent, token));
    }

    fn renews(&mut self, agent: usize, token: Dot) {
        let first = self.agents[agent].queue.front().map(|(_, token)| *token);
        if self.agents[agent].being != Being::Working || first != Some(token) {
            return;
        }
        let name = self.agents[agent].name.clone();
        let queue = self.agents[agent].queue.iter();
        let renewed = queue.map(|&(todo, token)| {
            let lease = Some(LEASE);
            Operation::Renewed { todo, token, lease }
        });
        let renewed = renewed.collect();
        self.append(&name, Role::Implementer, renewed);
        self.at(self.now + LEASE / 3, Happening::Renews(agent, token));
    }

    /// An attempt ends in one way or another.
    fn ends(&mut self, agent: usize, token: Dot) {
        let first = self.agents[agent].queue.front().copied();
        let Some((todo, _)) = first.filter(|(_, first)| *first == token) else { return };
        let setting = self.setting;
        if self.random.happens(setting.crash) {
            return self.dies(agent);
        }
        let symptoms = if self.random.happens(setting.transient) {
            Some((75, "429 Too Many Requests"))
        } else if self.random.happens(setting.resource) {
            Some((1, "fatal: out of memory"))
        } else if self.random.happens(setting.logic) {
            Some((101, "test result: FAILED"))
        } else {
            None
        };
        self.agents[agent].queue.pop_front();
        self.working.remove(&todo);
        let name = self.agents[agent].name.clone();
        if let Some((code, tail)) = symptoms {
            self.failed(agent, todo, token, code, tail);
        } else {
            let claimed = Operation::CompletionClaimed {
                todo,
                token: Some(token),
                commit: Some("c0ffee".to_owned()),
                to_integrate: true,
                implementation: String::new(),
                tests: String::new(),
                integration: String::new(),
            };
            let sound = !self.random.happens(setting.false_completion);
            let base = self.bases[&todo];
            let dots = self.append(&name, Role::Implementer, vec![claimed]);
            self.works.insert(dots[0], Work { sound, base });
        }
        self.begin(agent);
    }

    fn dies(&mut self, agent: usize) {
        for (todo, _) in std::mem::take(&mut self.agents[agent].queue) {
            self.working.remove(&todo);
        }
        self.agents[agent].being = Being::Dead;
        let away = (5 + self.random.below(60)) * MINUTE;
        self.at(self.now + away, Happening::Returns(agent));
        self.look(self.now + LEASE);
    }

    fn failed(&mut self, agent: usize, todo: TodoId, token: Dot, code: i32, tail: &str) {
        let symptoms = Symptoms { exit_code: Some(code), tail, ..Symptoms::default() };
        let (class, message) = failure::classify(&symptoms);
        let expected = match code {
            75 => FailureClass::Transient,
            1 => FailureClass::Resource,
            _ => FailureClass::Logic,
        };
        assert_eq!(class, expected);
        let name = self.agents[agent].name.clone();
        let state = self.state();
        let (own, all) = (tries(&state, todo, &name) + 1, all_tries(&state, todo) + 1);
        let wait = backoff(PAUSE, u32::try_from(all).unwrap_or(u32::MAX), token.number);
        let retry_at = Some(self.now + wait);
        let failed = Operation::AttemptFailed { todo, token, class, message, retry_at };
        self.append(&name, Role::Implementer, vec![failed]);
        let rounds = 1 + state.todo(todo).map_or(0, |todo| todo.blockers.len());
        if failure::response(class, own, all, ATTEMPTS * rounds) == Response::Escalate {
            let dots = self.coordinate(vec![Operation::BlockerRaised {
                todo,
                kind: BlockerKind::Technical,
                description: format!("{all} attempts in vain"),
                tried: Vec::new(),
            }]);
            self.at(self.now + 30 * MINUTE, Happening::Settled(todo, dots[0]));
        }
        self.look(self.now + wait);
    }

    /// The verifier and the coordinator take what comes next.
    fn review(&mut self) {
        let state = self.state();
        if !self.verifying {
            let pending = state.todos.values().filter(|todo| !todo.finished());
            let pending = pending.filter_map(|todo| Some((todo.pending_completion()?, todo.id)));
            let first = pending.map(|(made, todo)| (made.at, todo, made.dot)).min();
            if let Some((_, todo, dot)) = first {
                self.verifying = true;
                let thorough = Strategy::of(&state).verification == Thoroughness::Thorough;
                let takes = if thorough { 2 * VERIFY } else { VERIFY };
                self.at(self.now + takes, Happening::Verified(todo, dot));
            }
        }
        if !self.merging
            && let Some(&(todo, dot)) = integration_order(&state).first()
        {
            self.merging = true;
            self.at(self.now + INTEGRATE, Happening::Merged(todo, dot));
        }
    }

    fn verified(&mut self, todo: TodoId, completion: Dot) {
        self.verifying = false;
        let state = self.state();
        let thorough = Strategy::of(&state).verification == Thoroughness::Thorough;
        let sound = self.works[&completion].sound;
        // A usual look misses some of what is not done; a thorough one does not.
        let passes = sound || (!thorough && self.random.happens(0.3));
        let verdict = if passes { Verdict::Pass } else { Verdict::Fail };
        let mut operations = Vec::new();
        if passes {
            let files = &self.world.truths[self.truths[&todo]].files;
            let recorded = |path: &String| Operation::ArtifactRecorded {
                todo,
                path: path.clone(),
                blob: Some(String::new()),
            };
            operations.extend(files.iter().map(recorded));
        }
        let (reason, percent) = ("looked at it".to_owned(), if sound { 100 } else { 40 });
        let gaps = Vec::new();
        operations.push(Operation::Verified { todo, completion, verdict, reason, percent, gaps });
        self.append("verifier", Role::Verifier, operations);
        if !passes {
            self.look(self.now);
        }
        self.steer();
    }

    fn merged(&mut self, todo: TodoId, completion: Dot) {
        self.merging = false;
        let files = self.world.truths[self.truths[&todo]].files.clone();
        let work = &self.works[&completion];
        let since = &self.integrations[work.base..];
        let sound = work.sound;
        // Two changes of one file collide more often than not.
        let touched = since.iter().any(|others| !others.is_disjoint(&files));
        if touched && self.random.happens(0.7) {
            self.report.conflicts += 1;
            let reason = "merging: a conflict".to_owned();
            self.coordinate(vec![Operation::IntegrationFailed { todo, completion, reason }]);
        } else {
            self.report.integrated += 1;
            self.integrations.push(files);
            let commit = "c0ffee".to_owned();
            self.coordinate(vec![Operation::Integrated { todo, completion, commit }]);
            if !sound {
                let later = (5 + self.random.below(60)) * MINUTE;
                self.at(self.now + later, Happening::Noticed(todo));
            }
        }
        self.look(self.now);
        self.steer();
    }

    /// The coordinator measures, adapts and alerts.
    fn steer(&mut self) {
        let figures = self.meter.figures(self.now);
        let state = self.state();
        let mut operations = Vec::new();
        if self.policy == Policy::Planner {
            let strategy = Strategy::of(&state);
            let max = self.setting.agents;
            for change in adapt(&strategy, &figures, self.now, max) {
                let kind = change.reason.rsplit([':', ',']).next().unwrap_or_default().trim();
                let fewer = change.setting == "parallel" && kind == "isolate more";
                let kind = kind.to_owned() + if fewer { " (fewer)" } else { "" };
                self.report.reactions.insert(kind);
                operations.push(change.operation());
            }
        }
        let due = alerts::due(&state, &figures, &self.limits, self.now);
        for operation in &due {
            if let Operation::AlertRaised { alert, .. } = operation {
                let kind = alert.split(':').next().unwrap_or_default();
                let whole = kind == "figure";
                self.report.alerts.insert(if whole { alert } else { kind }.to_owned());
            }
        }
        operations.extend(due);
        operations.extend(figures.operations());
        self.coordinate(operations);
    }
}
