//! A lost claim reaches its agent: races, replicas apart, refusals, and who has been told.

use std::collections::BTreeSet;
use std::path::Path;

use tress::{
    Agent, ClaimRefused, Claimed, Operation, Refused, ReviewRefused, Role, Rule, Run, Status,
    Store, TodoId, WorkRefused, integrable, now,
};

use super::{human, open};

fn implementer(run: &Run, name: &str) -> Agent {
    run.agent(name, Role::Implementer)
}

/// Carries what each store wrote to every other one, as git or a synced folder would.
fn exchange(stores: &[&Path]) {
    let journals = |dir: &Path| dir.join(".tress/runs/main/journals");
    for from in stores {
        for to in stores.iter().filter(|to| *to != from) {
            for replica in std::fs::read_dir(journals(from)).unwrap() {
                let replica = replica.unwrap();
                let place = journals(to).join(replica.file_name());
                std::fs::create_dir_all(&place).unwrap();
                for file in std::fs::read_dir(replica.path()).unwrap() {
                    let file = file.unwrap().path();
                    let copy = place.join(file.file_name().unwrap());
                    // A journal that is written may have room behind it: its length says nothing.
                    let written = |path: &Path| {
                        let bytes = std::fs::read(path).unwrap_or_default();
                        bytes.iter().rposition(|byte| *byte != 0)
                    };
                    if written(&copy) < written(&file) {
                        std::fs::copy(&file, &copy).unwrap();
                    }
                }
            }
        }
    }
}

fn lost<T: std::fmt::Debug>(answer: Result<T, Refused<WorkRefused>>) -> WorkRefused {
    match answer.unwrap_err() {
        Refused::Condition(refused) => refused,
        Refused::Error(error) => panic!("{error}"),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_64_agents_in_1000_rounds_one_wins_each_and_every_loser_is_told_the_holder() {
    let run = Store::in_memory().unwrap().create_run("main").await.unwrap();
    let ada = human(&run);
    let agents: Vec<Agent> =
        (0..64).map(|number| implementer(&run, &format!("agent-{number}"))).collect();
    for round in 0..1000 {
        let todo = ada.add(&format!("round {round}")).await.unwrap();
        let tries: Vec<_> = agents
            .iter()
            .map(|agent| {
                let agent = agent.clone();
                tokio::spawn(async move { (agent.claim(todo, None).await, agent) })
            })
            .collect();
        let (mut winner, mut holders) = (None, BTreeSet::new());
        for tried in tries {
            match tried.await.unwrap() {
                (Ok(claim), agent) => assert!(winner.replace((claim, agent)).is_none(), "{round}"),
                (Err(Refused::Condition(ClaimRefused::Held { agent, .. })), _) => {
                    holders.insert(agent);
                }
                (Err(other), _) => panic!("{other}"),
            }
        }
        let (claim, agent) = winner.expect("one wins");
        assert_eq!(holders.iter().map(|name| &**name).collect::<Vec<_>>(), [agent.name()]);
        assert!(claim.losses.is_empty());
        ada.append([Operation::Closed { todo, reason: String::new() }]).await.unwrap();
    }
    assert!(run.state().ledger.is_empty(), "who is refused at once has lost nothing");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_8_replicas_apart_one_holds_each_todo_and_every_loser_is_told() {
    const TODOS: usize = 20;
    let dirs: Vec<_> = (0..8).map(|_| tempfile::tempdir().unwrap()).collect();
    let paths: Vec<&Path> = dirs.iter().map(|dir| dir.path()).collect();
    let mut runs = Vec::new();
    for path in &paths {
        runs.push(open(path).await);
    }
    let mut todos = Vec::new();
    for number in 0..=TODOS {
        todos.push(human(&runs[0]).add(&format!("todo {number}")).await.unwrap());
    }
    let spare = todos.pop().unwrap();
    exchange(&paths);
    let mut claims: Vec<Vec<Claimed>> = Vec::new();
    for (number, run) in runs.iter().enumerate() {
        let agent = implementer(run, &format!("agent-{number}"));
        run.refresh().await.unwrap();
        let mut own = Vec::new();
        for &todo in &todos {
            own.push(agent.claim(todo, None).await.unwrap());
        }
        claims.push(own);
    }
    exchange(&paths);
    let mut roots = BTreeSet::new();
    for run in &runs {
        roots.insert(run.refresh().await.unwrap().root());
    }
    assert_eq!(roots.len(), 1, "the same everywhere");
    let state = runs[0].state();
    let holder = |todo: TodoId| state.todo(todo).unwrap().claim.clone().unwrap();
    assert_eq!(state.ledger.len(), 7 * TODOS);
    for (number, run) in runs.iter().enumerate() {
        let agent = implementer(run, &format!("agent-{number}"));
        let losses = agent.losses().await.unwrap();
        let held = claims[number].iter().filter(|claim| holder(claim.todo).token == claim.token);
        assert_eq!(losses.len() + held.count(), TODOS, "each of its claims holds or is told");
        for loss in &losses {
            let todo = loss.todo.unwrap();
            assert_eq!((loss.rule, loss.next), (Rule::FirstClaim, Some(spare)));
            assert_eq!(loss.winner, Some(holder(todo).agent));
            let claim = claims[number].iter().find(|claim| claim.token == loss.event).unwrap();
            let refused = lost(agent.complete(claim, None, "too late").await);
            let WorkRefused::Lost { holder: by, decided, next, .. } = refused else {
                panic!("{refused}");
            };
            assert_eq!((by, next), (holder(todo).agent, Some(spare)));
            assert_eq!(decided, Some((Rule::FirstClaim, Some(holder(todo).token))));
        }
        assert_eq!(agent.acknowledge(&losses).await.unwrap(), losses.len());
        assert!(agent.losses().await.unwrap().is_empty());
    }
    exchange(&paths);
    for run in &runs {
        let state = run.refresh().await.unwrap();
        assert_eq!(state.ledger.len(), 7 * TODOS);
        assert!(state.ledger.iter().all(|entry| entry.told), "all are told everywhere");
        assert!(state.todos.values().all(|todo| todo.completions.is_empty()));
    }
}

/// Two stores apart, in which two agents claimed one todo; what each wrote has not reached the
/// other.
struct Apart {
    dirs: [tempfile::TempDir; 2],
    runs: [Run; 2],
    todo: TodoId,
    other: TodoId,
    /// The claim of `early`, in the first store.
    early: Claimed,
    /// The claim of `late`, in the second.
    late: Claimed,
}

impl Apart {
    async fn new() -> Self {
        let dirs = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
        let runs = [open(dirs[0].path()).await, open(dirs[1].path()).await];
        let todo = human(&runs[0]).add("wanted by two").await.unwrap();
        let other = human(&runs[0]).add("free").await.unwrap();
        exchange(&[dirs[0].path(), dirs[1].path()]);
        runs[1].refresh().await.unwrap();
        let early = implementer(&runs[0], "early").claim(todo, None).await.unwrap();
        let mut late = implementer(&runs[1], "late").claim(todo, None).await.unwrap();
        while runs[1].state().last.unwrap().time <= runs[0].state().last.unwrap().time {
            // Within one millisecond either may be the earlier one: claim again, later.
            late = implementer(&runs[1], "late").claim(todo, None).await.unwrap();
        }
        Self { dirs, runs, todo, other, early, late }
    }

    fn exchange(&self) {
        exchange(&[self.dirs[0].path(), self.dirs[1].path()]);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_loss_is_waited_for_and_told_until_it_is_acknowledged() {
    let apart = Apart::new().await;
    let late = implementer(&apart.runs[1], "late");
    let waiting = tokio::spawn({
        let late = late.clone();
        async move { late.next_loss().await }
    });
    late.progress(&apart.late, 10, "nobody has said otherwise").await.unwrap();
    apart.exchange();
    let loss = waiting.await.unwrap().unwrap();
    assert_eq!((loss.todo, loss.event), (Some(apart.todo), apart.late.token));
    assert_eq!((loss.winner.as_deref(), loss.next), (Some("early"), Some(apart.other)));
    let told = loss.to_string();
    assert!(told.contains("to early (first-claim)") && told.contains("next ready: t-"), "{told}");
    // Whatever the agent does next brings it along, until it says that it knows.
    let claim = late.claim(apart.other, None).await.unwrap();
    let report = late.progress(&claim, 50, "half").await.unwrap();
    for losses in [&claim.losses, &report.losses] {
        assert_eq!((losses.len(), losses[0].event), (1, apart.late.token));
    }
    assert_eq!(late.acknowledge(&report.losses).await.unwrap(), 1);
    assert_eq!(late.acknowledge(&report.losses).await.unwrap(), 0, "once is enough");
    assert!(late.progress(&claim, 60, "more").await.unwrap().losses.is_empty());
    let early = implementer(&apart.runs[0], "early");
    assert!(early.losses().await.unwrap().is_empty(), "who won lost nothing");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_report_under_a_lost_claim_is_refused_and_leaves_no_trace() {
    let apart = Apart::new().await;
    apart.exchange();
    let late = implementer(&apart.runs[1], "late");
    let events = late.run().refresh().await.unwrap().events();
    let claim = &apart.late;
    let refused = [
        lost(late.begin(claim, tress::Start::default()).await),
        lost(late.renew(claim, None).await),
        lost(late.progress(claim, 10, "").await),
        lost(late.release(claim, "").await),
        lost(late.complete(claim, None, "").await),
    ];
    for refused in refused {
        let text = refused.to_string();
        assert!(text.starts_with("held by early (first-claim); next ready: t-"), "{text}");
        let until = apart.early.until;
        let WorkRefused::Lost { until: held, .. } = refused else { panic!("{refused}") };
        assert_eq!(held, until);
    }
    assert_eq!(late.run().state().events(), events);
}

#[tokio::test]
async fn a_refusal_says_how_the_claim_ended() {
    let run = Store::in_memory().unwrap().create_run("main").await.unwrap();
    let (ada, codex) = (human(&run), implementer(&run, "codex"));
    let (todo, next) = (ada.add("first").await.unwrap(), ada.add("second").await.unwrap());
    let claim = codex.claim(todo, None).await.unwrap();
    let newer = codex.claim(todo, None).await.unwrap();
    assert_eq!(
        lost(codex.progress(&claim, 1, "").await),
        WorkRefused::Renewed { token: newer.token }
    );
    codex.release(&newer, "not today").await.unwrap();
    let ended = WorkRefused::Ended { next: Some(next) };
    assert_eq!(lost(codex.progress(&newer, 1, "").await), ended);
    assert_eq!(lost(codex.complete(&newer, None, "").await), ended);
    // Taken from it by hand: nothing was decided by a rule.
    let claim = codex.claim(todo, None).await.unwrap();
    let token = claim.token;
    ada.append([Operation::Released { todo, token, reason: "asleep".into() }]).await.unwrap();
    implementer(&run, "other").claim(todo, None).await.unwrap();
    let refused = lost(codex.complete(&claim, None, "").await);
    assert!(matches!(refused, WorkRefused::Lost { decided: None, .. }), "{refused:?}");
    ada.append([Operation::Closed { todo, reason: String::new() }]).await.unwrap();
    let finished = WorkRefused::Finished { status: Status::Closed, next: Some(next) };
    assert_eq!(lost(codex.complete(&claim, None, "").await), finished);
    let nowhere = Claimed { todo: TodoId::from_external("no such"), ..claim };
    assert_eq!(lost(codex.progress(&nowhere, 1, "").await), WorkRefused::Unknown);
    assert!(run.state().ledger.is_empty(), "what is refused is not in the log");
}

#[tokio::test]
async fn a_lapsed_claim_is_good_until_somebody_takes_over() {
    let run = Store::in_memory().unwrap().create_run("main").await.unwrap();
    let (slow, quick) = (implementer(&run, "slow"), implementer(&run, "quick"));
    let todo = human(&run).add("it").await.unwrap();
    let claim = slow.claim(todo, Some(0)).await.unwrap();
    slow.progress(&claim, 10, "late, and nobody minds").await.unwrap();
    quick.claim(todo, None).await.unwrap();
    let refused = lost(slow.complete(&claim, None, "").await);
    let WorkRefused::Lost { holder, decided, .. } = refused else { panic!("{refused}") };
    assert_eq!((&*holder, decided.map(|(rule, _)| rule)), ("quick", Some(Rule::LeasesEnd)));
    let losses = slow.losses().await.unwrap();
    assert_eq!((losses[0].rule, losses[0].winner.as_deref()), (Rule::LeasesEnd, Some("quick")));
}

/// A completion that nobody here could doubt stands, and its integration too, although an earlier
/// claim turned up in between (`finished-work-holds`).
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn finished_work_is_integrated_although_an_earlier_claim_turns_up() {
    let apart = Apart::new().await;
    let run = &apart.runs[1];
    let done = implementer(run, "late").complete(&apart.late, Some("abc"), "all").await.unwrap();
    let judge = run.agent("judge", Role::Verifier);
    judge.verify(apart.todo, done.dot(), true, "fine").await.unwrap();
    apart.exchange();
    for run in &apart.runs {
        let state = run.refresh().await.unwrap();
        let todo = state.todo(apart.todo).unwrap();
        assert_eq!(state.status_unblocked(todo, now()), Status::Completed);
        assert_eq!(integrable(&state, apart.todo, done.dot()), Ok(()), "recorded where it is");
    }
    let early = implementer(&apart.runs[0], "early");
    let refused = lost(early.complete(&apart.early, None, "mine").await);
    assert!(matches!(refused, WorkRefused::Finished { .. }), "{refused:?}");
    assert_eq!(early.losses().await.unwrap()[0].rule, Rule::FinishedWorkHolds);
}

fn review<T: std::fmt::Debug>(answer: Result<T, Refused<ReviewRefused>>) -> ReviewRefused {
    match answer.unwrap_err() {
        Refused::Condition(refused) => refused,
        Refused::Error(error) => panic!("{error}"),
    }
}

#[tokio::test]
async fn what_no_longer_counts_is_neither_verified_nor_integrated() {
    let run = Store::in_memory().unwrap().create_run("main").await.unwrap();
    let (ada, codex) = (human(&run), implementer(&run, "codex"));
    let (judge, boss) = (run.agent("judge", Role::Verifier), run.agent("c", Role::Coordinator));
    let todo = ada.add("it").await.unwrap();
    let claim = codex.claim(todo, None).await.unwrap();
    let first = codex.complete(&claim, Some("abc"), "half").await.unwrap().dot();
    assert_eq!(review(boss.integrate(todo, first, "m").await), ReviewRefused::NotVerified);
    assert_eq!(review(codex.verify(todo, first, true, "").await), ReviewRefused::Own);
    let other = implementer(&run, "other");
    assert_eq!(review(other.verify(todo, first, true, "").await), ReviewRefused::Role);
    judge.verify(todo, first, false, "half is missing").await.unwrap();
    // Another does it; the first claim of completion is void from then on.
    let taken = other.claim(todo, None).await.unwrap();
    for refused in [
        review(judge.verify(todo, first, true, "after all").await),
        review(boss.integrate(todo, first, "m").await),
    ] {
        let ReviewRefused::Void { reason, holder } = refused else { panic!("{refused:?}") };
        assert_eq!((reason.as_str(), holder.as_deref()), ("half is missing", Some("other")));
    }
    let done = Operation::CompletionClaimed {
        todo,
        token: Some(taken.token),
        commit: Some("def".into()),
        to_integrate: true,
        implementation: String::new(),
        tests: String::new(),
        integration: String::new(),
    };
    let second = other.under(&taken, done).await.unwrap().dot();
    judge.verify(todo, second, true, "whole").await.unwrap();
    let answered = review(judge.verify(todo, second, false, "no").await);
    assert!(matches!(answered, ReviewRefused::Answered { .. }), "{answered:?}");
    boss.integrate(todo, second, "m").await.unwrap();
    let again = review(boss.integrate(todo, second, "n").await);
    assert_eq!(again, ReviewRefused::Integrated { commit: "m".into() });
    assert_eq!(review(boss.integrate(todo, claim.token, "n").await), ReviewRefused::Unknown);
    let closed = ada.add("closed").await.unwrap();
    let claim = codex.claim(closed, None).await.unwrap();
    let done = codex.complete(&claim, None, "").await.unwrap().dot();
    ada.append([Operation::Closed { todo: closed, reason: String::new() }]).await.unwrap();
    let refused = review(judge.verify(closed, done, true, "").await);
    assert_eq!(refused, ReviewRefused::Finished { status: Status::Closed });
    assert!(run.state().ledger.is_empty(), "what is refused is not in the log");
}
