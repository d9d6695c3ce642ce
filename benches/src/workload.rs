//! W(n, a): n small events of a agents on a todo strand. One in ten makes a todo, three in twenty claim
//! one, half report progress, three in twenty claim completion, one in ten gives a verdict.

use tress_engine::{Draft, Log, Prepared};
use tress_model::operation::{TodoEdit, Verdict};
use tress_model::{Author, Dot, Operation, ReplicaId, Role, StoreId, TodoId};

use crate::Failure;
use crate::history::START;
use crate::random::Random;
use crate::words;

/// How long claims last.
const LEASE: u64 = 8 * 60 * 60 * 1000;

/// One event to append.
#[derive(Debug, Clone)]
pub struct Step {
    /// Which replica appends it.
    pub replica: usize,
    /// Who means it.
    pub author: Author,
    /// What.
    pub operation: Operation,
    /// When, in milliseconds since 1970.
    pub now: u64,
}

impl Step {
    /// As it is appended.
    pub fn draft(&self) -> Draft {
        let (author, operation) = (self.author.clone(), self.operation.clone());
        Draft { author, occurred: None, operation }
    }

    /// Stamps it as the next event of `replica` in `log`, at `now`.
    ///
    /// # Errors
    /// When it is not valid there.
    pub fn prepare(&self, log: &Log, replica: ReplicaId, now: u64) -> Result<Prepared, Failure> {
        log.prepare(replica, STORE, vec![self.draft()], now).map_err(Failure::other)
    }
}

/// So many replicas that have written nothing.
pub fn replicas(count: usize) -> Vec<Dot> {
    let replica = |number: usize| {
        let id = (number as u128 + 1) << 64 | 7;
        Dot::new(ReplicaId(id.to_be_bytes()), 0)
    };
    (0..count).map(replica).collect()
}

/// The store that all of them belong to.
pub const STORE: StoreId = StoreId([7; 16]);

/// When the event of this number happens, in milliseconds since 1970.
pub const fn time_of(number: usize) -> u64 {
    START + 1000 * number as u64
}

/// A todo that somebody works on, and the fencing token.
type Work = (TodoId, Dot);

#[derive(Debug, Default)]
struct Team {
    made: usize,
    open: Vec<TodoId>,
    working: Vec<(usize, Work)>,
    reviews: Vec<Work>,
}

/// W(`events`, `agents`), the agents being spread over replicas that are named with the number of their last event.
pub fn make(events: usize, agents: usize, replicas: &[Dot]) -> Vec<Step> {
    let mut random = Random::new(crate::SEED);
    let mut team = Team::default();
    let mut last = replicas.to_vec();
    let mut steps = Vec::with_capacity(events);
    for number in 0..events {
        let mut agent = random.below(agents);
        let kind = random.below(100);
        let now = time_of(number);
        // A claim is of who has no work; progress and completion are of who has.
        let claims = (10..25).contains(&kind) && !team.open.is_empty();
        let works = (25..90).contains(&kind) && !team.working.is_empty();
        let verifies = kind >= 90 && !team.reviews.is_empty();
        let at = works.then(|| random.below(team.working.len()));
        let work = at.and_then(|at| team.working.get(at)).copied();
        if let Some((holder, _)) = work {
            agent = holder;
        }
        let replica = agent % last.len().max(1);
        let Some(dot) = last.get_mut(replica) else { break };
        dot.number += 1;
        let dot = *dot;
        let mut role = Role::Implementer;
        let operation = match work {
            Some((_, work)) if kind < 75 => progress(&mut random, work),
            Some((_, (todo, token))) => {
                team.working.swap_remove(at.unwrap_or_default());
                team.reviews.push((todo, dot));
                complete(&mut random, todo, token)
            }
            None if claims => {
                let todo = team.open.swap_remove(random.below(team.open.len()));
                team.working.push((agent, (todo, dot)));
                Operation::Claimed { todo, lease: Some(LEASE), scope: Vec::new() }
            }
            None if verifies => {
                role = Role::Verifier;
                let (todo, completion) = team.reviews.swap_remove(random.below(team.reviews.len()));
                let passed = !random.one_in(3);
                if !passed {
                    team.open.push(todo);
                }
                verify(&mut random, todo, completion, passed)
            }
            None => {
                team.made += 1;
                let todo = TodoId::from_external(&format!("w-{}", team.made));
                team.open.push(todo);
                add(&mut random, todo)
            }
        };
        let name = format!("{}-{agent}", role.to_string().to_lowercase());
        steps.push(Step { replica, author: Author::new(name.as_str(), role), operation, now });
    }
    steps
}

fn add(random: &mut Random, todo: TodoId) -> Operation {
    Operation::TodoAdded {
        todo,
        external_id: None,
        title: words::sentence(random, 5),
        edits: vec![TodoEdit::Priority(random.below(5) as u8)],
        prose: Vec::new(),
        labels: Vec::new(),
        layout: None,
    }
}

fn progress(random: &mut Random, (todo, token): Work) -> Operation {
    let percent = random.below(100) as u8;
    let message = words::sentence(random, 4);
    Operation::ProgressReported { todo, token, percent, message, next_milestone: None }
}

fn complete(random: &mut Random, todo: TodoId, token: Dot) -> Operation {
    Operation::CompletionClaimed {
        todo,
        token: Some(token),
        commit: None,
        to_integrate: false,
        implementation: words::sentence(random, 4),
        tests: words::sentence(random, 3),
        integration: String::new(),
    }
}

fn verify(random: &mut Random, todo: TodoId, completion: Dot, passed: bool) -> Operation {
    let verdict = if passed { Verdict::Pass } else { Verdict::Fail };
    let (percent, reason) = (if passed { 100 } else { 60 }, words::sentence(random, 4));
    Operation::Verified { todo, completion, verdict, reason, percent, gaps: Vec::new() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_shares_are_as_said() {
        let steps = make(20_000, 16, &replicas(4));
        let share = |of: fn(&Operation) -> bool| {
            let count = steps.iter().filter(|step| of(&step.operation)).count();
            100 * count / steps.len()
        };
        let shares = [
            share(|o| matches!(o, Operation::TodoAdded { .. })),
            share(|o| matches!(o, Operation::Claimed { .. })),
            share(|o| matches!(o, Operation::ProgressReported { .. })),
            share(|o| matches!(o, Operation::CompletionClaimed { .. })),
            share(|o| matches!(o, Operation::Verified { .. })),
        ];
        for (share, wanted) in shares.into_iter().zip([10, 15, 50, 15, 10]) {
            assert!(share.abs_diff(wanted) <= 3, "{shares:?}");
        }
    }
}
