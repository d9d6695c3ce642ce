//! A world: machines and the network between them, and one action after the other.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use tress::{Author, Dot, Draft, Error, Event, EventId, Refused, Role, Run, State};
use tress_engine::sync::Session;
use tress_plan::random::Random;
use tress_plan::{Candidate, Strategy, Terms};
use tress_store::{Call, Fault, Tuning};

use crate::action::{Action, Kind, Setting};
use crate::canary::Canary;
use crate::machine::{Machine, Process};
use crate::network::Network;
use crate::operations;
use crate::talk::Talk;

/// What happened in a world.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Tally {
    /// Actions that were played.
    pub actions: u64,
    /// Processes that died in the middle of something.
    pub deaths: u64,
    /// Machines whose power went.
    pub power_cuts: u64,
    /// Events that were acknowledged.
    pub acknowledged: u64,
    /// Calls to file systems that failed.
    pub failed_calls: u64,
    /// Messages that were sent.
    pub messages: u64,
    /// Events that came to a machine from another.
    pub exchanged: u64,
    /// How many changes of documents came from another machine.
    pub sealed: u64,
    /// Files of journals that were packed.
    pub packed: u64,
    /// Faults that messages met with.
    pub message_faults: u64,
    /// How often everything was checked.
    pub checks: u64,
    /// The events of the run in the end.
    pub events: u64,
}

impl Tally {
    /// Deaths and power cuts.
    pub fn crashes(&self) -> u64 {
        self.deaths + self.power_cuts
    }

    /// Adds another world.
    pub fn add(&mut self, other: &Self) {
        self.actions += other.actions;
        self.deaths += other.deaths;
        self.power_cuts += other.power_cuts;
        self.acknowledged += other.acknowledged;
        self.failed_calls += other.failed_calls;
        self.messages += other.messages;
        self.exchanged += other.exchanged;
        self.sealed += other.sealed;
        self.packed += other.packed;
        self.message_faults += other.message_faults;
        self.checks += other.checks;
        self.events += other.events;
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { actions, deaths, power_cuts, acknowledged, failed_calls, .. } = self;
        let Self { messages, message_faults, exchanged, sealed, packed, checks, events, .. } = self;
        write!(
            f,
            "{} crashes ({deaths} deaths, {power_cuts} power cuts), {message_faults} message \
             faults of {messages} messages, {exchanged} events and {sealed} seals exchanged, {failed_calls} failed \
             calls, {acknowledged} acknowledged of {events} events, {packed} files packed, {actions} actions, {checks} \
             checks",
            self.crashes()
        )
    }
}

/// How a world ended: what happened, and which promise was broken, if one was.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outcome {
    /// What happened.
    pub tally: Tally,
    /// The root of the state that all came to.
    pub root: Option<String>,
    /// What was broken, and at which action.
    pub broken: Option<String>,
}

/// Machines, and the network between them.
pub struct World {
    pub(crate) machines: Vec<Machine>,
    pub(crate) network: Network,
    pub(crate) time: Arc<AtomicU64>,
    /// Every event that was ever sure anywhere: no dot has two.
    pub(crate) truth: BTreeMap<Dot, EventId>,
    pub(crate) tally: Tally,
    pub(crate) canary: Option<Canary>,
    pub(crate) setting: Setting,
    failed: Arc<AtomicU64>,
    /// Conversations under way, each end by itself.
    pub(crate) talks: BTreeMap<Talk, Session>,
    pub(crate) talked: u64,
    /// Every end that there ever was: none is begun twice.
    pub(crate) begun: BTreeSet<Talk>,
}

/// A promise that was broken.
pub(crate) type Broken = Result<(), String>;

impl World {
    /// A world in which nothing has happened.
    pub fn new(seed: u64, setting: Setting, canary: Option<Canary>) -> Self {
        let time = Arc::new(AtomicU64::new(0));
        let Setting { snapshot_events, file_bytes, .. } = setting;
        // Soon: processes do not live long here.
        let room_after = (tress_plan::random::mix(seed, 999) % 4) as u32;
        let history_events = (tress_plan::random::mix(seed, 998) % 16) as usize;
        let more = Tuning::default();
        let tuning = Tuning { snapshot_events, file_bytes, room_after, history_events, ..more };
        let machine = |site| {
            let seed = tress_plan::random::mix(seed, 1000 + site);
            Machine::new(seed, Arc::clone(&time), tuning, canary)
        };
        Self {
            machines: (0..setting.sites).map(machine).collect(),
            network: Network::default(),
            time,
            truth: BTreeMap::new(),
            tally: Tally::default(),
            canary,
            setting,
            failed: Arc::default(),
            talks: BTreeMap::new(),
            talked: 0,
            begun: BTreeSet::new(),
        }
    }

    /// Plays the actions and checks every promise. The same arguments, the same outcome.
    pub fn play(
        seed: u64,
        setting: Setting,
        actions: &[Action],
        canary: Option<Canary>,
    ) -> Outcome {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build();
        let runtime = match runtime {
            Ok(runtime) => runtime,
            Err(error) => {
                let broken = Some(format!("no runtime: {error}"));
                return Outcome { tally: Tally::default(), root: None, broken };
            }
        };
        runtime.block_on(async {
            let mut world = Self::new(seed, setting, canary);
            let mut root = None;
            let mut broken = None;
            for (number, action) in actions.iter().enumerate() {
                world.tally.actions += 1;
                if let Err(what) = world.act(action).await {
                    broken = Some(format!("action {number} ({:?}): {what}", action.kind));
                    break;
                }
            }
            if broken.is_none() {
                match world.end().await {
                    Ok(state) => root = Some(state.root().to_string()),
                    Err(what) => broken = Some(format!("in the end: {what}")),
                }
            }
            world.tally.failed_calls = world.failed.load(Ordering::Relaxed);
            world.tally.messages = world.network.faults.sent;
            world.tally.message_faults = world.network.faults.total();
            Outcome { tally: world.tally, root, broken }
        })
    }

    pub(crate) fn now(&self) -> u64 {
        self.time.load(Ordering::Relaxed)
    }

    async fn act(&mut self, action: &Action) -> Broken {
        let mut random = Random::new(action.mix);
        let site = (action.at % self.setting.sites) as usize;
        let nth = (action.at / self.setting.sites) as usize;
        match action.kind {
            Kind::Start => self.start(site, &mut random).await?,
            Kind::Stop => {
                let machine = self.machine(site);
                if !machine.processes.is_empty() {
                    let nth = nth % machine.processes.len();
                    drop(machine.processes.remove(nth));
                }
            }
            Kind::Append => self.append(site, nth, &mut random).await?,
            Kind::Claim => self.claim(site, nth, &mut random).await?,
            Kind::Work => self.work(site, nth, &mut random).await?,
            Kind::Review => self.review(site, nth, &mut random).await?,
            Kind::Refresh => {
                if let Some(process) = self.process(site, nth) {
                    let _ = process.run.refresh().await;
                }
            }
            Kind::Seal => {
                if let Some(process) = self.process(site, nth) {
                    let _ = process.run.seal().await;
                }
                self.tell_of_seals(site, nth, &mut random).await?;
            }
            Kind::Compact => {
                if let Some(process) = self.process(site, nth) {
                    let compacted = process.store.compact(process.run.name());
                    self.tally.packed += compacted.map_or(0, |compacted| compacted.files as u64);
                }
            }
            Kind::Checkpoint => {
                if let Some(process) = self.process(site, nth) {
                    let agent = process.run.agent("agent-0", Role::Coordinator);
                    let taken = agent.checkpoint("", "a while has passed").await;
                    self.sure(site, taken.map(|event| vec![event]))?;
                }
            }
            Kind::Die => self.doom(site, nth, &mut random),
            Kind::PowerCut => self.power_cut(site, &mut random).await?,
            Kind::Trouble => self.trouble(site, nth, &mut random),
            Kind::Tell => self.tell(site, nth, &mut random).await?,
            Kind::Partition => self.network.partition(random.next()),
            Kind::Heal => self.network.partition(0),
            Kind::Pass => self.pass(&mut random).await?,
            Kind::SetClock => {
                let skew = random.below(7_200_000).cast_signed() - 3_600_000;
                self.machine(site).host.skew.store(skew, Ordering::Relaxed);
            }
            Kind::Check => self.check(site).await?,
        }
        self.bury(site).await
    }

    #[expect(clippy::indexing_slicing, reason = "the number of a machine is taken modulo")]
    pub(crate) fn machine(&mut self, site: usize) -> &mut Machine {
        &mut self.machines[site]
    }

    pub(crate) fn process(&mut self, site: usize, nth: usize) -> Option<&mut Process> {
        let processes = &mut self.machine(site).processes;
        let count = processes.len().max(1);
        processes.get_mut(nth % count)
    }

    async fn start(&mut self, site: usize, random: &mut Random) -> Broken {
        let most = self.setting.processes as usize;
        if self.machine(site).processes.len() >= most {
            return Ok(());
        }
        // One in eight dies before it has got far.
        let dies = (random.below(8) == 0).then(|| {
            let (at, part) = (1 + random.below(30), random.below(100) as usize);
            move |number: u64, _: Call, _: &Path| (number == at).then_some(Fault::Die(part))
        });
        let doomed = dies.is_some();
        let started = self.machine(site).start(dies).await.is_some();
        if !started {
            if doomed {
                self.tally.deaths += 1;
                return self.all_there(site).await;
            }
            return Err("a run that nothing happens to cannot be opened".to_owned());
        }
        Ok(())
    }

    /// Ends processes that died, and looks whether anything is missing.
    pub(crate) async fn bury(&mut self, site: usize) -> Broken {
        let processes = &mut self.machine(site).processes;
        let before = processes.len();
        processes.retain(|process| !process.files.is_dead());
        let died = before - processes.len();
        if died > 0 {
            self.tally.deaths += died as u64;
            self.all_there(site).await?;
        }
        Ok(())
    }

    /// Takes note that events were acknowledged.
    fn sure(&mut self, site: usize, appended: Result<Vec<Arc<Event>>, Error>) -> Broken {
        let Ok(events) = appended else { return Ok(()) };
        for event in events {
            self.tally.acknowledged += 1;
            self.known(site, &event)?;
        }
        Ok(())
    }

    /// Takes note that an event is durable on a machine.
    pub(crate) fn known(&mut self, site: usize, event: &Event) -> Broken {
        let known = *self.truth.entry(event.dot).or_insert(event.id);
        if known != event.id {
            return Err(format!("dot {} was used twice: {known} and {}", event.dot, event.id));
        }
        self.machine(site).sure.insert(event.dot, event.id);
        Ok(())
    }

    async fn append(&mut self, site: usize, nth: usize, random: &mut Random) -> Broken {
        let Some(process) = self.process(site, nth) else { return Ok(()) };
        let state = process.run.state();
        let draft = |random: &mut Random| {
            let [kind, a, b, who, ..] = random.next().to_le_bytes();
            let role = Role::ALL.get(usize::from(b) / 4 % Role::ALL.len()).copied();
            let author = Author::new(format!("agent-{}", who % 4), role.unwrap_or(Role::Human));
            let operation = operations::operation(&state, kind, a, b);
            Draft { author, occurred: None, operation }
        };
        let count = if random.below(6) == 0 { 2 + random.below(3) } else { 1 };
        let drafts: Vec<Draft> = (0..count).map(|_| draft(random)).collect();
        let appended = if random.below(4) == 0 {
            let decided = process.run.append_if(move |_| Ok::<_, ()>(drafts)).await;
            decided.map_err(|refused| match refused {
                Refused::Error(error) => error,
                Refused::Condition(()) => Error::Closed,
            })
        } else {
            process.run.append(drafts).await
        };
        settle(&process.run).await;
        self.sure(site, appended)
    }

    async fn claim(&mut self, site: usize, nth: usize, random: &mut Random) -> Broken {
        let Some(process) = self.process(site, nth) else { return Ok(()) };
        let name = format!("agent-{}", random.below(4));
        let by = process.run.agent("agent-0", Role::Coordinator);
        let seed = random.next();
        let agent = process.run.agent(&name, Role::Implementer);
        let who = name.clone();
        let choose = move |state: &State, now: u64| {
            let candidate = Candidate::generalist(&who);
            let terms = Terms { seed, pause_ms: 1000, strategy: Strategy::of(state) };
            let choice = tress_plan::choose(state, &candidate, now, &terms)?;
            let reason = choice.reasons;
            let (todo, also, scope) = (choice.todo, choice.also, choice.scope);
            Some(tress::Pick { todo, also, scope, reason })
        };
        let lease = Some(1 + random.below(60_000));
        let claimed = agent.claim_chosen(&by, lease, choose).await;
        settle(&process.run).await;
        let Ok(claims) = claimed else { return Ok(()) };
        for claim in claims {
            process.claims.insert(name.clone(), claim);
        }
        self.look(site, nth).await
    }

    /// Takes note of all that a process has, after work whose events are not given back.
    async fn look(&mut self, site: usize, nth: usize) -> Broken {
        let sure =
            self.machine(site).sure.keys().fold(tress::VersionVector::new(), |mut version, dot| {
                version.insert(*dot);
                version
            });
        let Some(process) = self.process(site, nth) else { return Ok(()) };
        let own = process.claims.values().map(|claim| claim.token).max();
        // What a process wrote itself was synced with its answer; of others it may have seen more.
        let events = process.run.events_since(sure).await.unwrap_or_default();
        let mine = events.into_iter().filter(|event| Some(event.dot) == own);
        self.sure(site, Ok(mine.collect()))
    }

    async fn work(&mut self, site: usize, nth: usize, random: &mut Random) -> Broken {
        let Some(process) = self.process(site, nth) else { return Ok(()) };
        let held: Vec<_> = process.claims.iter().collect();
        let count = held.len().max(1);
        let Some((name, claim)) = held.get(random.next() as usize % count) else { return Ok(()) };
        let (name, claim) = ((*name).clone(), (*claim).clone());
        let agent = process.run.agent(&name, Role::Implementer);
        let reported = match random.below(5) {
            0 => agent.begin(&claim, tress::Start::default()).await,
            1 => agent.renew(&claim, Some(random.below(60_000))).await,
            2 => agent.progress(&claim, random.below(101) as u8, "on it").await,
            3 => agent.release(&claim, "something else matters more").await,
            _ => {
                let done = tress::Completed {
                    commit: Some("c0ffee".to_owned()),
                    to_integrate: random.below(2) == 0,
                    ..tress::Completed::default()
                };
                agent.complete_with(&claim, done).await
            }
        };
        settle(&process.run).await;
        match reported {
            Ok(reported) => self.sure(site, Ok(vec![reported.event])),
            Err(_) => Ok(()),
        }
    }

    async fn review(&mut self, site: usize, nth: usize, random: &mut Random) -> Broken {
        let Some(process) = self.process(site, nth) else { return Ok(()) };
        let state = process.run.state();
        let pending: Vec<_> = state
            .todos
            .values()
            .filter_map(|todo| Some((todo.id, todo.completions.last()?.dot)))
            .collect();
        let count = pending.len().max(1);
        let Some(&(todo, completion)) = pending.get(random.next() as usize % count) else {
            return Ok(());
        };
        let reviewed = if random.below(2) == 0 {
            let agent = process.run.agent("verifier", Role::Verifier);
            agent.verify(todo, completion, random.below(3) > 0, "looked at").await
        } else {
            let agent = process.run.agent("integrator", Role::Coordinator);
            agent.integrate(todo, completion, "c0ffee").await
        };
        settle(&process.run).await;
        match reviewed {
            Ok(event) => self.sure(site, Ok(vec![event])),
            Err(_) => Ok(()),
        }
    }

    /// A process dies at one of its next calls to the file system.
    fn doom(&mut self, site: usize, nth: usize, random: &mut Random) {
        let Some(process) = self.process(site, nth) else { return };
        let at = process.files.calls() + 1 + random.below(12);
        let part = random.below(200) as usize;
        process.files.plan(move |number, _, _| (number >= at).then_some(Fault::Die(part)));
    }

    /// Calls of a process fail now and then, or its disk is full, until it is healed or ends.
    fn trouble(&mut self, site: usize, nth: usize, random: &mut Random) {
        let (kind, seed) = (random.below(5), random.next());
        let failed = Arc::clone(&self.failed);
        let planted = self.canary.is_some();
        let machine = self.machine(site);
        let count = machine.processes.len().max(1);
        let Some(process) = machine.processes.get(nth % count) else { return };
        if kind == 0 || planted {
            machine.heal(process);
            return;
        }
        let until = process.files.calls() + 40;
        let mut random = Random::new(seed);
        process.files.plan(move |number, call, _| {
            let now = number < until && random.below(8) == 0;
            let part = random.below(100) as usize;
            let fault = match kind {
                1 => Fault::Error(std::io::ErrorKind::Other),
                2 if call.needs_room() => Fault::Short(part, std::io::ErrorKind::StorageFull),
                3 => Fault::Late(std::io::ErrorKind::Other),
                4 if call == Call::Read => Fault::Flip(random.next() as usize),
                _ => return None,
            };
            failed.fetch_add(u64::from(now), Ordering::Relaxed);
            now.then_some(fault)
        });
    }

    async fn power_cut(&mut self, site: usize, random: &mut Random) -> Broken {
        self.tally.power_cuts += 1;
        let machine = self.machine(site);
        for process in &machine.processes {
            // Nothing that ends now can write any more.
            process.files.plan(|_, _, _| Some(Fault::Die(0)));
        }
        machine.processes.clear();
        self.talks.retain(|&(at, ..), _| at != site as u64);
        let machine = self.machine(site);
        machine.disk.power_cut(&mut |bound| random.below(bound));
        self.all_there(site).await
    }
}

/// Waits until the run's thread has done what it does after an answer.
pub(crate) async fn settle(run: &Run) {
    let _ = run.left_out().await;
}
