//! Claims, work under them, and its acceptance: first-claim, finished-work-holds, leases-end,
//! stale-token, done-means-verified.

use std::collections::BTreeSet;

use tress_model::operation::Verdict;
use tress_model::state::Todo;
use tress_model::state::todo::{Claim, Completion};
use tress_model::{Dot, Operation, Rule, State, limits};

use super::{Found, Past, Step, ensure};

pub(super) fn step(step: &Step<'_>) -> Found {
    first_claim(step)?;
    finished_work_holds(step)?;
    leases_end(step)?;
    stale_token(step)
}

pub(super) fn state(past: &Past, state: &State) -> Found {
    for todo in state.todos.values() {
        one_holder(todo)?;
        lost_claims_are_told(past, state, todo)?;
        for completion in todo.completions.iter().filter(|completion| completion.complete()) {
            done_means_verified(past, todo, completion)?;
        }
        for claim in todo.claim.as_deref().into_iter().chain(&todo.lost) {
            let last = claim.until.unwrap_or(0);
            let bound = state.last.map_or(0, |last| last.time.millis) + limits::LEASE_MAX;
            ensure(last <= bound, "leases-end", || format!("{claim:?} lasts too long"))?;
        }
    }
    Ok(())
}

/// The claims of the todo at hand, before and after; `None` where it was or is not alive.
fn alive<'a>(step: &'a Step<'_>) -> Option<(&'a Todo, &'a Todo)> {
    let (before, after) = step.todos();
    let (before, after) = before.zip(after)?;
    (before.deletion().is_none() && after.deletion().is_none()).then_some((before, after))
}

/// A claim on a living, unfinished todo holds or has lost, and whoever held it and was alive still
/// does.
fn first_claim(step: &Step<'_>) -> Found {
    let rule = "first-claim";
    let event = step.event;
    let (Operation::Claimed { .. }, Some((before, after))) = (&event.operation, alive(step)) else {
        return Ok(());
    };
    if before.finished() {
        let told = step.lost(Rule::ClosedStaysClosed, event.dot);
        return ensure(told, "closed-stays-closed", || format!("{} was not told", event.dot));
    }
    let holder = after.claim.as_deref().map(|claim| claim.token);
    let lost = after.lost.iter().any(|claim| claim.token == event.dot);
    let told = step.entries.iter().any(|entry| {
        (entry.rule, entry.loser, entry.winner) == (Rule::FirstClaim, event.dot, holder)
    });
    let holds = holder == Some(event.dot);
    ensure(holds != lost && lost == told, rule, || {
        format!("{}: holds {holds}, lost {lost}, told {told}", event.dot)
    })?;
    let Some(first) = before.holder(event.time.millis) else {
        return ensure(holds, rule, || format!("nobody held it, and {} does not", event.dot));
    };
    let own = first.agent == event.author.name && event.saw(first.token);
    let right = if own { holds } else { holder == Some(first.token) };
    ensure(right, rule, || format!("{} held it, then {holder:?}", first.token))
}

/// At most one claim holds, and none is counted twice.
fn one_holder(todo: &Todo) -> Found {
    let tokens: Vec<_> =
        todo.claim.as_deref().into_iter().chain(&todo.lost).map(|claim| claim.token).collect();
    let distinct: BTreeSet<_> = tokens.iter().collect();
    ensure(distinct.len() == tokens.len(), "first-claim", || format!("twice: {tokens:?}"))?;
    let done = todo.completed().is_some() && todo.claim.is_some();
    ensure(!done, "done-means-verified", || format!("{} is completed and held", todo.id))
}

/// A lost claim is in the ledger, against an earlier claim or finished work.
fn lost_claims_are_told(past: &Past, state: &State, todo: &Todo) -> Found {
    let before = |winner: Option<Dot>, claim: &Claim| {
        let winner = winner.and_then(|winner| past.events.get(&winner));
        let order = past.events.get(&claim.token).map(|event| event.order());
        winner.map(|winner| winner.order()) < order
    };
    for claim in &todo.lost {
        let told = state.ledger.iter().any(|entry| {
            entry.loser == claim.token
                && entry.agent == claim.agent
                && match entry.rule {
                    Rule::FirstClaim => before(entry.winner, claim),
                    Rule::FinishedWorkHolds => true,
                    _ => false,
                }
        });
        ensure(told, "first-claim", || {
            format!("{} lost, and not to an earlier claim: {:?}", claim.token, todo.claim)
        })?;
    }
    Ok(())
}

/// What the rules say of a claim of completion: whether it is stale.
fn is_stale(step: &Step<'_>, before: &Todo, token: Option<Dot>) -> bool {
    let event = step.event;
    let holder = before.claim.as_deref();
    let own = |claim: &Claim| match token {
        Some(token) => token == claim.token,
        None => claim.agent == event.author.name,
    };
    if holder.is_some_and(own) {
        return false;
    }
    let holds = before.holder(event.time.millis).is_some();
    if holder.is_some_and(|claim| holds && event.saw(claim.token)) {
        return true;
    }
    let Some(token) = token else { return false };
    let ended = step.past.ended.get(&token);
    !step.past.claims.contains(&token)
        || ended.is_some_and(|ends| ends.iter().any(|end| event.saw(*end)))
}

/// Work that was done without cause to doubt its claim stands; what is completed stays completed,
/// unless somebody who knew takes it back.
fn finished_work_holds(step: &Step<'_>) -> Found {
    let rule = "finished-work-holds";
    let event = step.event;
    let (Some(before), Some(after)) = step.todos() else { return Ok(()) };
    for old in &before.completions {
        let kept = after.completions.iter().find(|new| new.dot == old.dot);
        let taken_back = match event.operation {
            Operation::Reopened { .. } => {
                old.verification.as_ref().is_some_and(|verified| event.saw(verified.dot))
            }
            Operation::RolledBack { .. } => event.saw(old.dot),
            _ => false,
        };
        let holds = kept.is_some_and(|kept| kept.complete() || !old.complete() || taken_back);
        ensure(holds, rule, || format!("{old:?} no longer counts after {event:?}"))?;
    }
    let Operation::CompletionClaimed { token, .. } = event.operation else { return Ok(()) };
    if before.deletion().is_some() || before.finished() || step.void() {
        return Ok(());
    }
    let made = after.completions.iter().find(|made| made.dot == event.dot);
    let counts = made.is_some_and(|made| made.void.is_none());
    if is_stale(step, before, token) {
        let told = step.lost(Rule::StaleToken, event.dot);
        return ensure(!counts && told, "stale-token", || {
            format!("{event:?} was taken: {:?}", before.ended)
        });
    }
    ensure(counts, rule, || format!("{event:?} was not taken: {:?}", before.claim))?;
    let taken = before
        .claim
        .as_ref()
        .filter(|claim| after.claim.as_deref().map(|claim| claim.token) != Some(claim.token));
    let told = taken.is_none_or(|claim| step.lost(Rule::FinishedWorkHolds, claim.token));
    ensure(told, rule, || format!("the holder was not told of {event:?}"))
}

/// A lapsed claim goes to whoever claims next, and its agent is told.
fn leases_end(step: &Step<'_>) -> Found {
    let event = step.event;
    let (Operation::Claimed { .. }, Some((before, after))) = (&event.operation, alive(step)) else {
        return Ok(());
    };
    let lapsed = before.claim.as_deref().filter(|_| before.holder(event.time.millis).is_none());
    let Some(lapsed) = lapsed.filter(|_| !before.finished()) else { return Ok(()) };
    let holder = after.claim.as_deref().map(|claim| claim.token);
    let told = step.lost(Rule::LeasesEnd, lapsed.token);
    ensure(holder == Some(event.dot) && told, "leases-end", || {
        format!("{lapsed:?} had lapsed, and {holder:?} holds it")
    })
}

/// Reports under a token that neither holds nor lost unknowingly change no claim.
fn stale_token(step: &Step<'_>) -> Found {
    use Operation as O;
    let event = step.event;
    let token = match event.operation {
        O::Renewed { token, .. }
        | O::Released { token, .. }
        | O::TaskStarted { token, .. }
        | O::ProgressReported { token, .. }
        | O::AttemptFailed { token, .. }
        | O::ScopeReserved { token, .. } => token,
        _ => return Ok(()),
    };
    let Some((before, after)) = alive(step) else { return Ok(()) };
    let holder = before.claim.as_deref();
    if holder.is_some_and(|claim| claim.token == token) {
        let told = step.lost(Rule::StaleToken, event.dot);
        return ensure(!told, "stale-token", || format!("{event:?} is the holder's"));
    }
    ensure(after.claim == before.claim, "stale-token", || format!("{event:?} changed a claim"))?;
    let lost = before.lost.iter().any(|claim| claim.token == token);
    let knew_winner = holder.is_some_and(|claim| event.saw(claim.token));
    let ends = step.past.ended.get(&token);
    let knew = ends.is_some_and(|ends| ends.iter().any(|end| event.saw(*end)));
    let stale = !lost || knew_winner || knew;
    ensure(stale == step.lost(Rule::StaleToken, event.dot), "stale-token", || {
        format!("{event:?} stale: {stale}, lost: {lost}, {:?}", before.claim)
    })
}

/// What is completed was accepted by somebody who may, and who neither did the work nor held the
/// claim; and integrated, where that was asked for.
fn done_means_verified(past: &Past, todo: &Todo, completion: &Completion) -> Found {
    let rule = "done-means-verified";
    let verified = completion.verification.as_ref().and_then(|v| past.events.get(&v.dot));
    let Some(verified) = verified else {
        return Err(format!("{rule}: {} was not verified", completion.dot));
    };
    let passed = matches!(
        verified.operation,
        Operation::Verified { todo: of, completion: what, verdict: Verdict::Pass, .. }
            if of == todo.id && what == completion.dot
    );
    let by = &verified.author;
    let claim = completion.token.and_then(|token| past.events.get(&token));
    let claim = claim.filter(
        |claim| matches!(claim.operation, Operation::Claimed { todo: of, .. } if of == todo.id),
    );
    let own =
        by.name == completion.agent || claim.is_some_and(|claim| claim.author.name == by.name);
    ensure(passed && by.role.may_verify() && !own, rule, || {
        format!("{completion:?} was accepted by {by:?}")
    })?;
    let integrated = past.events.values().any(|event| {
        matches!(event.operation, Operation::Integrated { completion: what, .. }
            if what == completion.dot)
    });
    ensure(!completion.to_integrate || integrated, rule, || {
        format!("{completion:?} was not integrated")
    })
}
