//! An orchestrator in fifty lines: three agents share one todo list, and a fourth checks them.
//!
//! `cargo run -p tress --example embed`

use tress::{Agent, Claimed, Refused, Role, Run, Store, TodoId, VersionVector, WorkRefused};

/// Claims whatever is ready, works on it, and says that it is done, until nothing is left.
async fn implementer(run: Run, name: String) -> Result<(), tress::Error> {
    let agent = run.agent(&name, Role::Implementer);
    loop {
        let claim = match agent.claim_next(None, |_, _| true).await {
            Ok(claim) => claim,
            Err(Refused::Condition(_)) => return Ok(()),
            Err(Refused::Error(error)) => return Err(error),
        };
        match work(&agent, &claim).await {
            Ok(()) => {}
            // Somebody else has it by now: what is next is claimed in the next round.
            Err(Refused::Condition(lost)) => println!("{name}: {lost}"),
            Err(Refused::Error(error)) => return Err(error),
        }
    }
}

async fn work(agent: &Agent, claim: &Claimed) -> Result<(), Refused<WorkRefused>> {
    agent.progress(claim, 50, "half of it").await?;
    agent.complete(claim, None, "all of it").await?;
    Ok(())
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let store = Store::in_memory()?; // Store::create(".tress")? keeps it
    let run = store.create_run("main").await?;
    let ada = run.agent("ada", Role::Human);
    ada.append(
        (1..=6).map(|n| tress::todo(TodoId::from_random(n * 1_000_003), format!("part {n}"))),
    )
    .await?;
    let mut events = run.subscribe(VersionVector::new()).await?;
    let team: Vec<_> =
        (1..=3).map(|n| tokio::spawn(implementer(run.clone(), format!("agent-{n}")))).collect();
    for agent in team {
        agent.await??;
    }
    let judge = run.agent("judge", Role::Verifier);
    for todo in run.state().todos.values() {
        if let Some(done) = todo.pending_completion() {
            judge.verify(todo.id, done.dot, true, "looked at it").await?;
        }
    }
    for _ in 0..run.state().events() {
        let event = events.next().await?;
        println!("{:9} {}", event.author.name, event.operation.name());
    }
    Ok(())
}
