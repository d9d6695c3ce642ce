//! An exhaustive explorer of small scopes: three replicas, short scripts, every interleaving of
//! appends and deliveries, each segment delivered to each replica by itself. What runs is the
//! production code, [`Log`] with its admission, order, rewinding and fold; only time is given.
//!
//! The enumeration is our own and not `stateright`'s: a log is no value that is cheap to hash and
//! to compare, and need not be one. What a replica is, is which segments it has; so each such
//! *view* is computed once, checked once and numbered, and a *world* is three numbers. Worlds are
//! told apart by the ids of their events, which are chained and hold what each author had seen: no
//! two worlds that could go on differently are taken for one. Worlds are visited by the number of
//! actions behind them, so the interleavings that lead to each are counted on the way.

mod planted;
mod scripts;

use std::collections::HashMap;

use tress_engine::{Draft, Log};
use tress_model::{
    Dot, EventId, Operation, ReplicaId, Rule, Segment, State, StoreId, TodoId, VersionVector,
};

use self::scripts::{Clock, SCRIPTS, Script, draft, seed};
use crate::invariants::Watch;

pub(crate) const REPLICAS: usize = 3;
/// More worlds than this are too many for a test: the script is too long.
const WORLDS_MAX: usize = 2_000_000;

/// What keeps a replica: the log, or a log with a bug.
trait Engine: Clone {
    /// Whether its state is promised to be what folding its events gives.
    const FOLDS: bool;
    fn new(seed: &Segment) -> Self;
    fn append(&mut self, replica: ReplicaId, draft: Draft, now: u64) -> Segment;
    fn deliver(&mut self, segment: Segment);
    fn log(&self) -> &Log;
    fn state(&self) -> &State;
}

fn store() -> StoreId {
    StoreId([1; 16])
}

fn append(log: &mut Log, replica: ReplicaId, draft: Draft, now: u64) -> Segment {
    let prepared = log.prepare(replica, store(), vec![draft], now).expect("a valid operation");
    let segment = prepared.segment();
    log.commit(prepared);
    segment
}

fn deliver(log: &mut Log, segment: Segment) {
    let admission = log.admit(segment, None);
    assert!(admission.rejected.is_empty(), "{:?}", admission.rejected);
}

/// The production code.
impl Engine for Log {
    const FOLDS: bool = true;

    fn new(seed: &Segment) -> Self {
        let mut log = Log::new();
        deliver(&mut log, seed.clone());
        log
    }

    fn append(&mut self, replica: ReplicaId, draft: Draft, now: u64) -> Segment {
        append(self, replica, draft, now)
    }

    fn deliver(&mut self, segment: Segment) {
        deliver(self, segment);
    }

    fn log(&self) -> &Log {
        self
    }

    fn state(&self) -> &State {
        self.state()
    }
}

/// What one replica has: the segments of each replica, by number.
type Key = (usize, [Vec<u32>; REPLICAS]);

/// A replica as it can be.
struct View<E> {
    key: Key,
    engine: E,
}

/// The views of the three replicas, by number.
type World = [u32; REPLICAS];

/// What was explored.
#[derive(Debug, Default)]
struct Explored {
    views: usize,
    worlds: usize,
    ends: usize,
    interleavings: u128,
}

struct Explorer<'a, E> {
    script: &'a Script,
    clock: &'a Clock,
    views: Vec<View<E>>,
    numbers: HashMap<Key, u32>,
    segments: Vec<Segment>,
    segment_numbers: HashMap<EventId, u32>,
    appended: HashMap<u32, u32>,
    delivered: HashMap<(u32, u32), u32>,
    /// Folds on the way, as a tree: from a fold by the next event to a fold.
    folds: Vec<Watch>,
    next: HashMap<(usize, EventId), usize>,
}

fn explore<E: Engine>(script: &Script, clock: &Clock) -> Result<Explored, String> {
    let mut explorer = Explorer::<E> {
        script,
        clock,
        views: Vec::new(),
        numbers: HashMap::new(),
        segments: Vec::new(),
        segment_numbers: HashMap::new(),
        appended: HashMap::new(),
        delivered: HashMap::new(),
        folds: vec![Watch::default()],
        next: HashMap::new(),
    };
    explorer.run().map_err(|found| format!("{} ({}): {found}", script.name, clock.name))
}

impl<E: Engine> Explorer<'_, E> {
    fn run(&mut self) -> Result<Explored, String> {
        let mut explored = Explored::default();
        let seed = seed();
        let mut first: World = [0; REPLICAS];
        for (replica, view) in first.iter_mut().enumerate() {
            *view = self.view((replica, Default::default()), || E::new(&seed))?;
        }
        let mut layer: HashMap<World, u128> = HashMap::from([(first, 1)]);
        while !layer.is_empty() {
            explored.worlds += layer.len();
            assert!(explored.worlds <= WORLDS_MAX, "{} is too long", self.script.name);
            let mut after: HashMap<World, u128> = HashMap::new();
            for (world, ways) in layer {
                let next = self.successors(world)?;
                if next.is_empty() {
                    self.at_rest(world)?;
                    explored.ends += 1;
                    explored.interleavings += ways;
                }
                for world in next {
                    *after.entry(world).or_default() += ways;
                }
            }
            layer = after;
        }
        explored.views = self.views.len();
        Ok(explored)
    }

    fn at(&self, view: u32) -> &View<E> {
        &self.views[view as usize]
    }

    /// Every world that one more append or delivery leads to.
    fn successors(&mut self, world: World) -> Result<Vec<World>, String> {
        let mut next = Vec::new();
        for (replica, &view) in world.iter().enumerate() {
            let written = self.at(view).key.1[replica].len();
            if written < self.script.acts[replica].len() {
                let mut after = world;
                after[replica] = self.append(view, replica, written)?;
                next.push(after);
            }
            for from in (0..REPLICAS).filter(|from| *from != replica) {
                let has = self.at(view).key.1[from].len();
                let segment = self.at(world[from]).key.1[from].get(has).copied();
                if let Some(segment) = segment {
                    let mut after = world;
                    after[replica] = self.deliver(view, from, segment)?;
                    next.push(after);
                }
            }
        }
        Ok(next)
    }

    fn append(&mut self, view: u32, replica: usize, written: usize) -> Result<u32, String> {
        if let Some(&after) = self.appended.get(&view) {
            return Ok(after);
        }
        let id = ReplicaId([replica as u8 + 1; 16]);
        let mut engine = self.at(view).engine.clone();
        let act = self.script.acts[replica][written];
        let draft = draft(act, replica, engine.log(), engine.state());
        let now = self.clock.now(replica, written);
        let segment = engine.append(id, draft, now);
        let last = engine.log().event(Dot::new(id, segment.last())).expect("it was appended");
        let fresh = self.segments.len() as u32;
        let number = *self.segment_numbers.entry(last.id).or_insert(fresh);
        if number == fresh {
            self.segments.push(segment);
        }
        let mut key = self.at(view).key.clone();
        key.1[replica].push(number);
        let after = self.view(key, || engine)?;
        self.kept(view, after)?;
        self.appended.insert(view, after);
        Ok(after)
    }

    fn deliver(&mut self, view: u32, from: usize, segment: u32) -> Result<u32, String> {
        if let Some(&after) = self.delivered.get(&(view, segment)) {
            return Ok(after);
        }
        let mut key = self.at(view).key.clone();
        key.1[from].push(segment);
        let mut engine = self.at(view).engine.clone();
        engine.deliver(self.segments[segment as usize].clone());
        let after = self.view(key, || engine)?;
        self.kept(view, after)?;
        self.delivered.insert((view, segment), after);
        Ok(after)
    }

    /// The number of the view with this key, checked when it is new.
    fn view(&mut self, key: Key, engine: impl FnOnce() -> E) -> Result<u32, String> {
        if let Some(&number) = self.numbers.get(&key) {
            return Ok(number);
        }
        let number = self.views.len() as u32;
        let engine = engine();
        let fold = self.fold(engine.log()).map_err(|found| story(&found, engine.log()))?;
        let watch = &self.folds[fold];
        if !E::FOLDS {
            watch.check(engine.state()).map_err(|found| story(&found, engine.log()))?;
        } else if watch.state != *engine.state() {
            return Err(story("the log is not what its events fold to", engine.log()));
        }
        self.numbers.insert(key.clone(), number);
        self.views.push(View { key, engine });
        Ok(number)
    }

    /// Folds what a log holds, event by event, under all invariants; what was folded before is not
    /// folded again.
    fn fold(&mut self, log: &Log) -> Result<usize, String> {
        let mut at = 0;
        for event in log.events() {
            at = match self.next.get(&(at, event.id)) {
                Some(&next) => next,
                None => {
                    let mut watch = self.folds[at].clone();
                    watch.step(event)?;
                    self.folds.push(watch);
                    self.next.insert((at, event.id), self.folds.len() - 1);
                    self.folds.len() - 1
                }
            };
        }
        Ok(at)
    }

    /// What is finished stays so, whatever arrives, unless somebody reopens it or takes it back.
    fn kept(&self, before: u32, after: u32) -> Result<(), String> {
        let (before, after) = (&self.at(before).engine, &self.at(after).engine);
        for todo in before.state().todos.values() {
            let done = todo.completed().is_some() || todo.closing().is_some();
            let still = after.state().todo(todo.id).is_some_and(|todo| todo.finished());
            let taken_back = after.log().events().iter().any(|event| {
                matches!(event.operation, Operation::Reopened { .. } | Operation::RolledBack { .. })
            });
            if done && !still && !taken_back {
                return Err(story("finished work was lost", after.log()));
            }
        }
        Ok(())
    }

    /// What must hold when everybody has everything.
    fn at_rest(&self, world: World) -> Result<(), String> {
        let [one, two, three] = world.map(|view| &self.at(view).engine);
        let fail = |what: &str| Err(story(what, one.log()));
        for other in [two, three] {
            let holders = holders_of(one.state());
            if holders != holders_of(other.state()) {
                return fail("two say differently who is the holder");
            }
            if one.state() != other.state() || one.state().root() != other.state().root() {
                return fail("two have the same events and other roots");
            }
        }
        if [one, two, three].iter().any(|engine| engine.log().has_waiting()) {
            return fail("something waits although everything is there");
        }
        if let Some(claim) = untold(one.log(), one.state()) {
            return fail(&format!("nobody tells of the lost claim {claim}"));
        }
        match undone(one.log(), one.state()) {
            Some(work) => fail(&format!("the accepted work {work} is gone without a word")),
            None => Ok(()),
        }
    }
}

fn holders_of(state: &State) -> Vec<(TodoId, Option<Dot>)> {
    let claim = |todo: &tress_model::Todo| todo.claim.as_deref().map(|claim| claim.token);
    state.todos.values().map(|todo| (todo.id, claim(todo))).collect()
}

/// A claim that neither holds nor ended by what its agent, or somebody who had seen it, did; and
/// of which no entry of the ledger would tell its agent.
fn untold(log: &Log, state: &State) -> Option<Dot> {
    let claims = log.events().iter().filter_map(|event| match event.operation {
        Operation::Claimed { todo, .. } => Some((event, state.todo(todo)?)),
        _ => None,
    });
    let mut untold = claims.filter(|(event, todo)| {
        let holds = todo.claim.as_deref().is_some_and(|claim| claim.token == event.dot);
        let told = state.ledger.iter().any(|entry| {
            entry.loser == event.dot && !entry.told && entry.agent == event.author.name
        });
        let mut ends = todo.ended.iter().filter(|ended| ended.token == event.dot);
        let known = ends.any(|ended| log.event(ended.by).is_some_and(|by| by.saw(event.dot)));
        !holds && !told && !known
    });
    untold.next().map(|(event, _)| event.dot)
}

/// A claim of completion that its verifier saw accepted, and that neither completes its todo, nor
/// is named in the ledger, nor was taken back; where the todo is not closed.
fn undone(log: &Log, state: &State) -> Option<Dot> {
    let accepted = log.events().iter().filter_map(|event| match event.operation {
        Operation::Verified { todo, completion, .. } => Some((event, todo, completion)),
        _ => None,
    });
    for (event, id, completion) in accepted {
        let version: VersionVector = event.version();
        let then = log.state_at(&version).expect("a version of this log");
        let counts = |state: &State| {
            let mut made = state.todo(id).into_iter().flat_map(|todo| &todo.completions);
            made.any(|made| made.dot == completion && made.complete())
        };
        let named = state.ledger.iter().any(|entry| {
            entry.loser == event.dot || entry.loser == completion && entry.rule != Rule::FirstClaim
        });
        let taken_back = log.events().iter().any(|later| {
            let op = &later.operation;
            matches!(op, Operation::Reopened { .. } | Operation::RolledBack { .. })
                && later.saw(event.dot)
        });
        if counts(&then) && !counts(state) && !named && !taken_back {
            return Some(completion);
        }
    }
    None
}

/// What was found, and the events that lead to it.
fn story(found: &str, log: &Log) -> String {
    let line = |event: &std::sync::Arc<tress_model::Event>| {
        let (dot, name, seen) = (event.dot, event.operation.name(), &event.seen);
        format!("\n  {} {dot:?} {name} by {}, saw {seen:?}", event.time.millis, event.author.name)
    };
    let events: String = log.events().iter().map(line).collect();
    format!("{found}; the events in canonical order:{events}")
}

#[test]
fn no_interleaving_of_claims_and_work_breaks_a_rule() {
    explore_all(&SCRIPTS[..7]);
}

#[test]
fn no_interleaving_of_closings_removals_and_edges_breaks_a_rule() {
    explore_all(&SCRIPTS[7..]);
}

/// Explores each script under each clock.
fn explore_all(scripts: &[Script]) {
    let mut total = Explored::default();
    for script in scripts {
        for clock in &scripts::CLOCKS {
            let explored = explore::<Log>(script, clock).unwrap_or_else(|found| panic!("{found}"));
            println!(
                "{:<36} {:<12} {:>7} views {:>8} worlds {:>6} ends {:>16} interleavings",
                script.name,
                clock.name,
                explored.views,
                explored.worlds,
                explored.ends,
                explored.interleavings
            );
            assert!(explored.worlds >= script.floor, "{}: {explored:?}", script.name);
            assert!(explored.interleavings > explored.worlds as u128, "{explored:?}");
            total.views += explored.views;
            total.worlds += explored.worlds;
            total.ends += explored.ends;
            total.interleavings += explored.interleavings;
        }
    }
    println!("{total:?}");
}
