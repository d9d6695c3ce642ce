//! Realistic histories, made from a seed: thirty-two agents on eight replicas that work through
//! todos for a month, and exchange what they wrote every few turns.
//!
//! Each replica decides on what it knows, as an agent would: it claims what looks free to it,
//! reports under its own claims, verifies what it has heard of. The last replica is seldom online,
//! so its events were written in ignorance of much.

use std::sync::Arc;

use tress_engine::{Draft, Log};
use tress_model::event::Segment;
use tress_model::operation::{
    EdgeKind, ProseField, ProseTarget, Severity, Splice, TodoEdit, Verdict,
};
use tress_model::{Author, Dot, Event, Millis, Operation, ReplicaId, Role, StoreId, TodoId};

use crate::Failure;
use crate::random::Random;
use crate::words;

/// How many replicas there are; the last of them is seldom online.
pub const REPLICAS: usize = 8;
/// How many agents there are, on all replicas together.
const AGENTS: usize = 32;
/// How many events there are for each todo, about.
const EVENTS_A_TODO: usize = 40;
/// How many checkpoints are taken.
pub const CHECKPOINTS: usize = 50;
/// How many sections the design gets.
const SECTIONS: usize = 30;
/// When the history begins, in milliseconds since 1970.
pub const START: Millis = 1_767_225_600_000;
/// How long it lasts: a month.
pub const MONTH: Millis = 30 * 24 * 60 * 60 * 1000;
/// How long claims last here.
const LEASE: Millis = 8 * 60 * 60 * 1000;

/// A work in progress: the todo, and the token of its claim.
#[derive(Debug, Clone, Copy)]
struct Work {
    todo: TodoId,
    token: Dot,
    percent: u8,
    steps: u8,
}

#[derive(Debug)]
struct Agent {
    author: Author,
    work: Option<Work>,
}

#[derive(Debug)]
struct Site {
    id: ReplicaId,
    store: StoreId,
    log: Log,
    agents: Vec<Agent>,
    /// What it wrote and has not published.
    unpublished: Vec<Segment>,
    /// How many of the published segments it knows.
    pulled: usize,
    /// How far its clock is ahead.
    skew: Millis,
}

/// A team at work.
#[derive(Debug)]
pub struct Team {
    random: Random,
    sites: Vec<Site>,
    published: Vec<Segment>,
    now: Millis,
    pace: Millis,
    events: usize,
    target: usize,
    todos: usize,
    open: Vec<TodoId>,
    reviews: Vec<(TodoId, Dot)>,
    sections: usize,
    checkpoints: usize,
}

/// A history, ready to be measured.
#[derive(Debug)]
pub struct History {
    /// Every segment, each behind those that its author had seen.
    pub segments: Vec<Segment>,
    /// What a replica wrote that was away for the whole month.
    pub late: Vec<Segment>,
}

/// The history of `events` events that `seed` gives, and `late` events of a replica that left with
/// the first hundredth of it and was offline until the end.
pub fn make(events: usize, late: usize, seed: u64) -> Result<History, Failure> {
    let mut team = Team::new(events, seed);
    team.work_until(events / 100)?;
    let mut away = Team::new(late, seed ^ 0xA11);
    let known = team.published.clone();
    away.take_over(&team, &known)?;
    team.work_until(events)?;
    team.publish_all()?;
    away.work_until(late)?;
    away.publish_all()?;
    Ok(History { segments: team.published, late: away.published })
}

impl Team {
    fn new(target: usize, seed: u64) -> Self {
        let site = |number: usize| {
            let byte = u8::try_from(number).unwrap_or(u8::MAX);
            let names = (number..AGENTS).step_by(REPLICAS);
            Site {
                id: ReplicaId([byte + 1; 16]),
                store: StoreId([byte + 1; 16]),
                log: Log::new(),
                agents: names.map(|n| Agent { author: author(n), work: None }).collect(),
                unpublished: Vec::new(),
                pulled: 0,
                skew: 137 * number as Millis,
            }
        };
        Self {
            random: Random::new(seed),
            sites: (0..REPLICAS).map(site).collect(),
            published: Vec::new(),
            now: START,
            pace: MONTH / target.max(1) as Millis,
            events: 0,
            target,
            todos: 0,
            open: Vec::new(),
            reviews: Vec::new(),
            sections: 0,
            checkpoints: 0,
        }
    }

    /// One replica alone, that goes on from what `team` published.
    fn take_over(&mut self, team: &Self, known: &[Segment]) -> Result<(), Failure> {
        self.sites.truncate(1);
        let site = self.sites.first_mut().ok_or(Failure::History("no replica"))?;
        (site.id, site.store) = (ReplicaId([0xA1; 16]), StoreId([0xA1; 16]));
        site.log.admit_all(known.to_vec(), None);
        self.now = team.now;
        self.open.clone_from(&team.open);
        self.reviews.clone_from(&team.reviews);
        (self.sections, self.checkpoints) = (team.sections, CHECKPOINTS);
        // Its todos are its own.
        self.todos = 1_000_000;
        Ok(())
    }

    fn work_until(&mut self, events: usize) -> Result<(), Failure> {
        while self.events < events {
            let number = self.random.below(self.sites.len());
            self.now += self.random.between(0, 4 * self.pace);
            self.turn(number)?;
            // The last of a team is online once in about two thousand turns of all.
            let seldom = number + 1 == REPLICAS;
            let online = if seldom { self.random.one_in(250) } else { self.random.one_in(2) };
            if online {
                self.exchange(number)?;
            }
        }
        Ok(())
    }

    fn publish_all(&mut self) -> Result<(), Failure> {
        (0..self.sites.len()).try_for_each(|number| self.exchange(number))
    }

    fn site(&mut self, number: usize) -> Result<&mut Site, Failure> {
        self.sites.get_mut(number).ok_or(Failure::History("no such replica"))
    }

    /// A replica publishes what it wrote, and learns what others published.
    fn exchange(&mut self, number: usize) -> Result<(), Failure> {
        let site = self.sites.get_mut(number).ok_or(Failure::History("no such replica"))?;
        let news = self.published.get(site.pulled..).unwrap_or_default();
        let admission = site.log.admit_all(news.to_vec(), None);
        if !admission.rejected.is_empty() || admission.waiting > 0 {
            return Err(Failure::History("a segment was not admitted"));
        }
        self.published.append(&mut site.unpublished);
        site.pulled = self.published.len();
        Ok(())
    }

    /// Some agent of a replica does the next thing.
    fn turn(&mut self, number: usize) -> Result<(), Failure> {
        let agents = self.site(number)?.agents.len();
        let agent = self.random.below(agents);
        let (operations, author) = self.decide(number, agent)?;
        let now = self.now;
        let backdated = self.random.one_in(200);
        let site = self.site(number)?;
        let drafts = operations.into_iter().map(|operation| Draft {
            author: author.clone(),
            occurred: backdated.then_some(now.saturating_sub(60_000)),
            operation,
        });
        let prepared = site.log.prepare(site.id, site.store, drafts.collect(), now + site.skew);
        let prepared = prepared.map_err(Failure::other)?;
        site.unpublished.push(prepared.segment());
        let events = prepared.events().to_vec();
        site.log.commit(prepared);
        self.events += events.len();
        events.iter().try_for_each(|event| self.remember(number, agent, event))
    }

    /// What the team keeps in mind of an event.
    fn remember(&mut self, number: usize, agent: usize, event: &Arc<Event>) -> Result<(), Failure> {
        let dot = event.dot;
        let site = self.site(number)?;
        let agent = site.agents.get_mut(agent).ok_or(Failure::History("no such agent"))?;
        match &event.operation {
            Operation::TodoAdded { todo, .. } => self.open.push(*todo),
            Operation::Claimed { todo, .. } => {
                agent.work = Some(Work { todo: *todo, token: dot, percent: 0, steps: 0 });
            }
            Operation::CompletionClaimed { todo, .. } => {
                agent.work = None;
                self.reviews.push((*todo, dot));
            }
            Operation::Released { .. } => agent.work = None,
            Operation::Verified { todo, verdict: Verdict::Pass, .. }
            | Operation::Closed { todo, .. } => self.open.retain(|open| open != todo),
            _ => {}
        }
        Ok(())
    }

    fn decide(&mut self, number: usize, agent: usize) -> Result<(Vec<Operation>, Author), Failure> {
        let site = self.site(number)?;
        let agent = site.agents.get(agent).ok_or(Failure::History("no such agent"))?;
        let (author, work) = (agent.author.clone(), agent.work);
        let due = |made: usize, of: usize| made * self.target < self.events * of;
        if self.todos % 1_000_000 * EVENTS_A_TODO <= self.events {
            let mut operations = vec![self.add()];
            operations.extend(self.depend());
            return Ok((operations, author));
        }
        if due(self.sections, SECTIONS) {
            return Ok((vec![self.section()], author));
        }
        // One that is seldom online is not asked for checkpoints.
        if due(self.checkpoints, CHECKPOINTS) && number + 1 < REPLICAS {
            return Ok((vec![self.checkpoint(number)?], author));
        }
        if author.role.may_verify()
            && let Some(verdict) = self.verify(number)?
        {
            return Ok((verdict, author));
        }
        let operations = match work {
            Some(work) => self.go_on(number, author.role, work)?,
            None => match self.claim(number)? {
                Some(claim) => vec![claim],
                None => vec![self.talk(number)?],
            },
        };
        Ok((operations, author))
    }

    fn add(&mut self) -> Operation {
        self.todos += 1;
        let name = format!("work-{}", self.todos);
        Operation::TodoAdded {
            todo: TodoId::from_external(&name),
            external_id: Some(name),
            title: words::sentence(&mut self.random, 5),
            edits: vec![
                TodoEdit::Priority(self.random.below(5) as u8),
                TodoEdit::Files(vec![format!("src/{}.rs", words::word(&mut self.random))]),
            ],
            prose: vec![(ProseField::Description, words::sentence(&mut self.random, 30))],
            labels: vec![words::word(&mut self.random).to_owned()],
            layout: None,
        }
    }

    /// Now and then the newest todo waits for an earlier one.
    fn depend(&mut self) -> Option<Operation> {
        let on = self.random.pick(&self.open).copied()?;
        let todo = TodoId::from_external(&format!("work-{}", self.todos));
        let kind = if self.random.one_in(3) { EdgeKind::RelatesTo } else { EdgeKind::Blocks };
        let wanted = self.random.one_in(2);
        wanted.then_some(Operation::DependencyAdded {
            todo,
            on,
            external_id: None,
            kind,
            layout: None,
        })
    }

    fn section(&mut self) -> Operation {
        self.sections += 1;
        Operation::SectionAdded {
            section: format!("section-{}", self.sections),
            heading: words::sentence(&mut self.random, 3),
            level: 2,
            position: self.sections as u32,
            body: words::sentence(&mut self.random, 80),
        }
    }

    fn checkpoint(&mut self, number: usize) -> Result<Operation, Failure> {
        self.checkpoints += 1;
        let name = format!("checkpoint-{}", self.checkpoints);
        let state = self.site(number)?.log.state();
        Ok(Operation::CheckpointTaken {
            name,
            version: state.version.clone(),
            root: state.root(),
            form: tress::STATE_FORM,
            reason: "five todos were completed".to_owned(),
        })
    }

    fn claim(&mut self, number: usize) -> Result<Option<Operation>, Failure> {
        let now = self.now;
        for _ in 0..8 {
            let Some(&todo) = self.random.pick(&self.open) else { break };
            let known = self.site(number)?.log.state().todo(todo).cloned();
            if known.is_some_and(|known| !known.finished() && known.holder(now).is_none()) {
                return Ok(Some(Operation::Claimed {
                    todo,
                    lease: Some(LEASE),
                    scope: Vec::new(),
                }));
            }
        }
        Ok(None)
    }

    fn verify(&mut self, number: usize) -> Result<Option<Vec<Operation>>, Failure> {
        let Some(&(todo, completion)) = self.random.pick(&self.reviews) else { return Ok(None) };
        if !self.site(number)?.log.version().contains(completion) {
            return Ok(None);
        }
        self.reviews.retain(|(_, dot)| *dot != completion);
        let pass = !self.random.one_in(10);
        let verdict = if pass { Verdict::Pass } else { Verdict::Fail };
        let mut operations = vec![Operation::Verified {
            todo,
            completion,
            verdict,
            reason: words::sentence(&mut self.random, 6),
            percent: if pass { 100 } else { 70 },
            gaps: Vec::new(),
        }];
        if pass && self.random.one_in(8) {
            let reason = "done and verified".to_owned();
            operations.push(Operation::Closed { todo, reason });
        }
        Ok(Some(operations))
    }

    /// The next step of a work in progress.
    fn go_on(&mut self, number: usize, role: Role, work: Work) -> Result<Vec<Operation>, Failure> {
        let Work { todo, token, percent, steps } = work;
        let next = percent.saturating_add(self.random.below(9) as u8).min(95);
        let agents = &mut self.site(number)?.agents;
        let mine = agents.iter_mut().filter_map(|agent| agent.work.as_mut());
        if let Some(mine) = mine.into_iter().find(|mine| mine.token == token) {
            (mine.percent, mine.steps) = (next, steps.saturating_add(1));
        }
        let random = &mut self.random;
        if steps == 0 {
            return Ok(vec![Operation::TaskStarted {
                todo,
                token,
                estimate: Some(45),
                base: None,
                branch: Some(format!("work/{todo}")),
                dependencies: Vec::new(),
            }]);
        }
        // Some give up; verifiers and coordinators leave the work to others.
        if random.one_in(90) || (steps > 3 && role != Role::Implementer) {
            return Ok(vec![Operation::Released {
                todo,
                token,
                reason: "somebody else".to_owned(),
            }]);
        }
        if next >= 90 && steps > 14 {
            return Ok(vec![Operation::CompletionClaimed {
                todo,
                token: Some(token),
                commit: None,
                to_integrate: false,
                implementation: words::sentence(random, 8),
                tests: words::sentence(random, 4),
                integration: String::new(),
            }]);
        }
        Ok(match random.below(20) {
            0..12 => vec![Operation::ProgressReported {
                todo,
                token,
                percent: next,
                message: words::sentence(random, 7),
                next_milestone: None,
            }],
            12..15 => {
                let text = words::sentence(random, 12);
                vec![Operation::NoteAdded { todo, text, layout: None }]
            }
            15 => vec![Operation::Renewed { todo, token, lease: Some(LEASE) }],
            16 => vec![Operation::ArtifactRecorded {
                todo,
                path: format!("src/{}.rs", words::word(random)),
                blob: None,
            }],
            17 => {
                let edits = vec![TodoEdit::Title(words::sentence(random, 5))];
                vec![Operation::TodoEdited { todo, edits }]
            }
            18 => vec![self.describe(number, todo)?],
            _ => vec![self.talk(number)?],
        })
    }

    fn describe(&mut self, number: usize, todo: TodoId) -> Result<Operation, Failure> {
        let known = self.site(number)?.log.state().todo(todo).cloned();
        let text = known.map(|known| known.prose(ProseField::Description)).unwrap_or_default();
        let target = ProseTarget::Todo(todo, ProseField::Description);
        Ok(Operation::ProseEdited { target, splices: self.splice(&text) })
    }

    /// What is said beside the work: design, todos of others, what an agent is at.
    fn talk(&mut self, number: usize) -> Result<Operation, Failure> {
        let section = format!("section-{}", self.random.below(self.sections.max(1)) + 1);
        let body = self.site(number)?.log.state().design.sections.get(&section).cloned();
        let random = &mut self.random;
        Ok(match (random.below(10), body) {
            (0..3, Some(known)) => Operation::ProseEdited {
                target: ProseTarget::Section(section),
                splices: self.splice(&known.body.text()),
            },
            (3, _) => Operation::DecisionRecorded {
                title: words::sentence(random, 4),
                context: words::sentence(random, 12),
                decision: words::sentence(random, 8),
                rationale: words::sentence(random, 10),
                consequences: String::new(),
                supersedes: Vec::new(),
            },
            (4, _) => Operation::RequirementAdded {
                requirement: format!("requirement-{}", random.below(200)),
                section,
                text: words::sentence(random, 10),
                kind: "functional".to_owned(),
                criticality: Severity::Medium,
            },
            (5..8, _) => Operation::AgentReported { activity: words::sentence(random, 5) },
            _ => match random.pick(&self.open).copied() {
                Some(todo) => {
                    let added = vec![words::word(random).to_owned()];
                    Operation::LabelsChanged { todo, added, removed: Vec::new() }
                }
                None => Operation::AgentReported { activity: words::sentence(random, 5) },
            },
        })
    }

    /// An edit somewhere in a text, which stays of some size.
    fn splice(&mut self, text: &str) -> Vec<Splice> {
        let len = text.chars().count();
        let at = self.random.below(len + 1);
        let delete = if len > 1000 { (len - at).min(300) } else { (len - at).min(7) };
        let insert = words::sentence(&mut self.random, 4);
        vec![Splice { at: at as u32, delete: delete as u32, insert }]
    }
}

fn author(number: usize) -> Author {
    let role = match number {
        0..24 => Role::Implementer,
        24..28 => Role::Verifier,
        28..30 => Role::Reconciler,
        _ => Role::Coordinator,
    };
    Author::new(format!("{}-{number}", role.name()), role)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_gives_one_history_with_everything_in_it() {
        let history = make(3_000, 200, 7).expect("a history");
        let again = make(3_000, 200, 7).expect("the same");
        assert_eq!(history.segments, again.segments);
        let mut log = Log::new();
        assert!(log.admit_all(history.segments, None).rejected.is_empty());
        let state = Arc::clone(log.state());
        assert!(state.events() >= 3_000 && state.todos.len() >= 70);
        assert!(state.todos.values().any(|todo| todo.completed().is_some()));
        assert!(state.team.checkpoints.len() >= 40 && !state.ledger.is_empty());
        let admission = log.admit_all(history.late, None);
        assert!(admission.rejected.is_empty() && admission.admitted.len() >= 200);
        assert_eq!(log.waiting_segments(), 0);
    }
}
