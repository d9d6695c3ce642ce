//! Who has been told of what, and where a claim stands.

use proptest::prelude::*;
use tress_model::state::Standing;
use tress_model::{Dot, Operation, Role, Rule, TodoId};

use super::{Side, added, claimed, done, draft, two_sides};

fn note(event: Dot) -> Operation {
    Operation::LossAcknowledged { event }
}

#[test]
fn only_the_agent_that_lost_can_say_that_it_has_been_told() {
    let (mut left, mut right, todo) = two_sides();
    let lost = right.append(200, draft("late", Role::Implementer, claimed(todo)));
    left.append(150, draft("early", Role::Implementer, claimed(todo)));
    right.learn(&left);
    let untold = |side: &Side| side.log.state().losses("late").count();
    assert_eq!(untold(&right), 1);
    right.append(300, draft("early", Role::Implementer, note(lost)));
    assert_eq!(untold(&right), 1, "another cannot say it");
    right.append(310, draft("late", Role::Implementer, note(lost)));
    assert_eq!(untold(&right), 0);
    left.learn(&right);
    assert_eq!(untold(&left), 0);
}

/// An acknowledgement counted for whatever was ever decided against the event: an agent that had
/// taken note of one lost field passed for told of another, which a late event took from it.
#[test]
fn what_a_late_event_decides_is_not_told_by_an_earlier_acknowledgement() {
    use tress_model::operation::TodoEdit;
    let edited = |todo, edits| Operation::TodoEdited { todo, edits };
    let (mut left, mut right, todo) = two_sides();
    let mut far = Side::new(3);
    far.learn(&left);
    let both = vec![TodoEdit::Title("mine".into()), TodoEdit::Priority(0)];
    let lost = left.append(200, draft("bo", Role::Implementer, edited(todo, both)));
    right.append(210, draft("cy", Role::Human, edited(todo, vec![TodoEdit::Title("hers".into())])));
    far.append(220, draft("di", Role::Human, edited(todo, vec![TodoEdit::Priority(4)])));
    left.learn(&right);
    left.append(300, draft("bo", Role::Implementer, note(lost)));
    assert_eq!(left.log.state().losses("bo").count(), 0);
    left.learn(&far);
    let told: Vec<bool> = left.log.state().ledger.iter().map(|entry| entry.told).collect();
    assert_eq!(told, [true, false], "the priority went later");
    left.append(400, draft("bo", Role::Implementer, note(lost)));
    assert_eq!(left.log.state().losses("bo").count(), 0);
}

/// What an agent does next; the numbers choose the agent, the token and the time.
#[derive(Debug, Clone)]
struct Step {
    agent: usize,
    token: usize,
    what: u8,
    later: u64,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = (0_usize..3, any::<usize>(), 0_u8..9, 0_u64..40);
    let step = step.prop_map(|(agent, token, what, later)| Step { agent, token, what, later });
    prop::collection::vec(step, 1..60)
}

fn operation(step: &Step, todo: TodoId, token: Dot, completion: Option<Dot>) -> Operation {
    match step.what {
        0 | 1 => Operation::Claimed { todo, lease: Some(50), scope: Vec::new() },
        2 | 3 => Operation::ProgressReported {
            todo,
            token,
            percent: 1,
            message: String::new(),
            next_milestone: None,
        },
        4 => Operation::Released { todo, token, reason: String::new() },
        5 => done(todo, token),
        6 => Operation::Closed { todo, reason: String::new() },
        7 => Operation::Reopened { todo, reason: String::new() },
        _ => Operation::Verified {
            todo,
            completion: completion.unwrap_or(token),
            verdict: tress_model::operation::Verdict::Fail,
            reason: String::new(),
            percent: 0,
            gaps: Vec::new(),
        },
    }
}

proptest! {
    /// What is asked before a report is appended and what the fold makes of it must be one thing.
    #[test]
    fn where_a_claim_stands_is_what_the_fold_will_say(steps in steps()) {
        let todo = TodoId::from_external("the one");
        let (mut here, mut away) = (Side::new(1), Side::new(2));
        here.append(1, draft("ada", Role::Human, added(todo)));
        away.learn(&here);
        let mut tokens = vec![here.append(2, draft("agent-0", Role::Implementer, claimed(todo)))];
        // One claim that nobody here knows of at first, so that some are lost.
        tokens.push(away.append(3, draft("agent-1", Role::Implementer, claimed(todo))));
        here.learn(&away);
        let mut now = 10;
        for step in steps {
            now += step.later;
            let state = here.log.state().clone();
            let held = state.todo(todo).expect("it was added");
            let token = tokens[step.token % tokens.len()];
            let standing = held.standing(token);
            let completion = held.pending_completion().map(|made| made.dot);
            let operation = operation(&step, todo, token, completion);
            let (report, complete) = (matches!(step.what, 2..=4), step.what == 5);
            let claims = step.what <= 1;
            let author = format!("agent-{}", step.agent);
            let role = if step.what == 8 { Role::Verifier } else { Role::Implementer };
            let dot = here.append(now, draft(&author, role, operation));
            if claims {
                tokens.push(dot);
            }
            let after = here.log.state();
            let against = after.ledger.iter().any(|entry| entry.loser == dot);
            let stale = after.ledger.iter().any(|entry| {
                entry.loser == dot && entry.rule == Rule::StaleToken
            });
            match standing {
                Standing::Holds(_) => prop_assert!(!(report || complete) || !against),
                Standing::Taken(_) | Standing::Ended => {
                    prop_assert!(!(report || complete) || stale);
                }
                Standing::Finished => prop_assert!(!report || stale),
            }
        }
    }
}
