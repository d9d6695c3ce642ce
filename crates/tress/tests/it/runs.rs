//! Appending, conditions, following, going back; from one process and from several.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use tress::{
    ClaimRefused, Error, Item, Log, Operation, Refused, Role, State, Status, Store, VersionVector,
    When, now,
};

use tress_store::Tuning;

use super::{human, open};

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_claim_has_one_winner_among_64_tasks() {
    let dir = tempfile::tempdir().unwrap();
    let run = open(dir.path()).await;
    for round in 0..10 {
        let todo = human(&run).add(&format!("round {round}")).await.unwrap();
        let tries: Vec<_> = (0..64)
            .map(|number| {
                let agent = run.agent(&format!("agent-{number}"), Role::Implementer);
                tokio::spawn(async move { agent.claim(todo, None).await })
            })
            .collect();
        let mut winners = 0;
        for tried in tries {
            match tried.await.unwrap() {
                Ok(_) => winners += 1,
                Err(Refused::Condition(ClaimRefused::Held { .. })) => {}
                Err(other) => panic!("{other}"),
            }
        }
        assert_eq!(winners, 1);
    }
    assert!(run.state().ledger.is_empty(), "nobody lost a claim that was won");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_claim_has_one_winner_among_replicas() {
    let dir = tempfile::tempdir().unwrap();
    let mut runs = Vec::new();
    for _ in 0..6 {
        runs.push(open(dir.path()).await);
    }
    for round in 0..10 {
        let todo = human(&runs[0]).add(&format!("round {round}")).await.unwrap();
        let tries: Vec<_> = runs
            .iter()
            .enumerate()
            .map(|(number, run)| {
                let agent = run.agent(&format!("agent-{number}"), Role::Implementer);
                tokio::spawn(async move { agent.claim(todo, None).await.is_ok() })
            })
            .collect();
        let mut winners = 0;
        for tried in tries {
            winners += usize::from(tried.await.unwrap());
        }
        assert_eq!(winners, 1, "round {round}");
    }
    let mut roots = BTreeSet::new();
    for run in &runs {
        roots.insert(run.refresh().await.unwrap().root());
    }
    assert_eq!(roots.len(), 1);
}

/// Events are folded behind their acknowledgement, in the state that readers had, where nobody holds it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_acknowledged_is_seen_and_what_was_seen_stays() {
    for store in [Store::in_memory().unwrap(), Store::in_memory().unwrap().in_place()] {
        let run = store.create_run("main").await.unwrap();
        let reader = run.clone();
        let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
        let reading = tokio::task::spawn_blocking(move || {
            let (mut stopped, mut seen) = (stopped, 0);
            while stopped.try_recv() == Err(tokio::sync::oneshot::error::TryRecvError::Empty) {
                let state = reader.state();
                assert!(state.events() >= seen && state.todos.len() as u64 == state.events());
                seen = state.events();
            }
        });
        let mut before = run.state();
        for number in 1..=300 {
            human(&run).add("one more").await.unwrap();
            let now = run.state();
            assert_eq!((now.events(), before.events()), (number, number - 1));
            before = now;
        }
        stop.send(()).unwrap();
        reading.await.unwrap();
    }
}

#[tokio::test]
async fn a_batch_is_appended_whole_or_not_at_all() {
    let run = Store::in_memory().unwrap().create_run("main").await.unwrap();
    let ada = human(&run);
    let good = tress::todo(tress::new_todo_id().unwrap(), "good");
    let bad = tress::todo(tress::new_todo_id().unwrap(), "  ");
    let refused = ada.append([good.clone(), bad]).await.unwrap_err();
    assert!(matches!(refused, Error::Prepare(_)), "{refused}");
    assert!(matches!(ada.append([]).await, Err(Error::Prepare(_))));
    assert_eq!(run.state().events(), 0);
    let events = ada.append([good.clone(), good]).await.unwrap();
    assert_eq!(events.iter().map(|event| event.dot.number).collect::<Vec<_>>(), [1, 2]);
}

#[tokio::test]
async fn an_operation_that_is_too_large_is_refused_and_the_run_goes_on() {
    let run = Store::in_memory().unwrap().create_run("main").await.unwrap();
    let ada = human(&run);
    let todo = ada.add("small").await.unwrap();
    let text = "x".repeat(tress::limits::EVENT_BYTES_MAX + 1);
    let note = Operation::NoteAdded { todo, text, layout: None };
    assert!(matches!(ada.append([note]).await, Err(Error::Prepare(_))));
    ada.add("after").await.unwrap();
    assert_eq!(run.state().todos.len(), 2);
}

#[tokio::test]
async fn a_lease_is_half_an_hour_unless_it_is_said_and_never_longer_than_its_most() {
    use tress::limits::{LEASE_DEFAULT, LEASE_MAX};
    let run = Store::in_memory().unwrap().create_run("main").await.unwrap();
    let asked =
        [(None, LEASE_DEFAULT), (Some(LEASE_MAX), LEASE_MAX), (Some(LEASE_MAX + 1), LEASE_MAX)];
    for (asked, held) in asked {
        let todo = human(&run).add("work").await.unwrap();
        run.agent("codex", Role::Implementer).claim(todo, asked).await.unwrap();
        let state = run.state();
        let claim = state.todo(todo).unwrap().claim.as_deref();
        assert_eq!(claim.and_then(|claim| claim.lease), Some(held));
    }
}

/// 1,024 commands wait in the queue of a run; whoever appends more waits for room, and is not
/// refused.
#[tokio::test]
async fn more_appends_than_the_queue_holds_wait_and_none_is_refused() {
    let run = Store::in_memory().unwrap().create_run("main").await.unwrap();
    let (go, wait) = std::sync::mpsc::channel::<()>();
    let ada = human(&run);
    let held = tokio::spawn(async move {
        ada.append_if(move |_| {
            wait.recv().unwrap();
            Ok::<_, String>(vec![Operation::RunResumed])
        })
        .await
    });
    tokio::task::yield_now().await;
    let appends: Vec<_> = (0..2 * 1024 + 1)
        .map(|_| {
            let ada = human(&run);
            tokio::spawn(async move { ada.append([Operation::RunResumed]).await })
        })
        .collect();
    tokio::task::yield_now().await;
    go.send(()).unwrap();
    held.await.unwrap().unwrap();
    for append in appends {
        append.await.unwrap().unwrap();
    }
    assert_eq!(run.state().events(), 2 * 1024 + 2);
}

/// Nothing is looked at by itself here: what comes from another process comes because the system
/// told that it was written, also by a process that makes a journal of its own for it.
#[tokio::test]
async fn the_system_tells_when_another_process_writes() {
    let dir = tempfile::tempdir().unwrap();
    let place = dir.path().join(".tress");
    let tuning = Tuning { look_every: Duration::from_secs(3600), ..Tuning::default() };
    let files = tress_store::Store::create(&place).unwrap().tuned(tuning);
    let here = Store::on(files).create_run("main").await.unwrap();
    let mut subscription = here.subscribe(VersionVector::new()).await.unwrap();
    for round in 0..3 {
        let there = open(dir.path()).await;
        let todo = human(&there).add(&format!("round {round}")).await.unwrap();
        let next = tokio::time::timeout(Duration::from_secs(60), subscription.next()).await;
        assert_eq!(next.unwrap().unwrap().operation.todo(), Some(todo));
    }
}

/// Who waited for an update of a run at rest waited for ever: the thread that looks at the journals
/// of others slept until it was asked for something, and to begin to follow did not wake it.
#[tokio::test]
async fn who_begins_to_follow_a_run_at_rest_is_told_of_what_others_write() {
    let dir = tempfile::tempdir().unwrap();
    let (here, there) = (open(dir.path()).await, open(dir.path()).await);
    for round in 1..=50 {
        here.refresh().await.unwrap();
        let mut updates = here.updates();
        human(&there).add(&format!("round {round}")).await.unwrap();
        while here.state().todos.len() < round {
            let changed = tokio::time::timeout(Duration::from_secs(60), updates.changed()).await;
            changed.expect("nobody told").unwrap();
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_subscriber_gets_every_event_once() {
    let dir = tempfile::tempdir().unwrap();
    let (here, there) = (open(dir.path()).await, open(dir.path()).await);
    for number in 0..20 {
        human(&there).add(&format!("before {number}")).await.unwrap();
    }
    let mut subscription = here.subscribe(VersionVector::new()).await.unwrap();
    let writers: Vec<_> = [&here, &there]
        .map(|run| {
            let run = run.clone();
            tokio::spawn(async move {
                for number in 0..50 {
                    human(&run).add(&format!("while {number}")).await.unwrap();
                }
            })
        })
        .into();
    let mut seen = BTreeSet::new();
    while seen.len() < 120 {
        let event = subscription.next().await.unwrap();
        assert!(seen.insert(event.dot), "{} came twice", event.dot);
    }
    for writer in writers {
        writer.await.unwrap();
    }
    assert!(subscription.try_next().is_none());
    let version: VersionVector = seen.iter().map(|dot| (dot.replica, dot.number)).collect();
    assert_eq!(version.events(), 120);
    let mut late = here.subscribe(version).await.unwrap();
    let next = human(&here).add("one more").await.unwrap();
    assert_eq!(late.next().await.unwrap().operation.todo(), Some(next));
}

/// Calls of several tasks do the work of a run that has no thread, at the same time as another process,
/// until somebody follows it: from then on it has one.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_run_in_place_has_no_thread_until_somebody_follows_it() {
    const NAME: &str = "in-place";
    let threads = || {
        let threads = std::fs::read_dir("/proc/self/task").into_iter().flatten().flatten();
        let names =
            threads.filter_map(|thread| std::fs::read_to_string(thread.path().join("comm")).ok());
        names.filter(|name| name.trim() == format!("tress {NAME}")).count()
    };
    let dir = tempfile::tempdir().unwrap();
    let store = || Store::create(dir.path().join(".tress")).unwrap().in_place();
    let (here, there) =
        (store().create_run(NAME).await.unwrap(), store().create_run(NAME).await.unwrap());
    let write = |round: usize| {
        let writers = [&here, &there, &here].into_iter().enumerate().map(|(number, run)| {
            let run = run.clone();
            tokio::spawn(async move {
                for n in 0..20 {
                    let title = format!("{round} {number} {n}");
                    let once = title.clone();
                    human(&run).add(&title).await.unwrap();
                    let known = move |state: &Arc<State>| {
                        let known = state.todos.values().any(|todo| todo.title == once);
                        if known { Err(()) } else { Ok(Vec::new()) }
                    };
                    let refused = human(&run).append_if(known).await;
                    assert!(matches!(refused, Err(Refused::Condition(()))), "{refused:?}");
                }
            })
        });
        writers.collect::<Vec<_>>()
    };
    for writer in write(0) {
        writer.await.unwrap();
    }
    assert_eq!(threads(), 0);
    assert_eq!(here.refresh().await.unwrap().todos.len(), 60);

    // The core goes over to the thread while others use it.
    let writers = write(1);
    let mut subscription = here.subscribe(VersionVector::new()).await.unwrap();
    assert_eq!(threads(), usize::from(cfg!(target_os = "linux")));
    let mut seen = BTreeSet::new();
    while seen.len() < 120 {
        let next = tokio::time::timeout(Duration::from_secs(60), subscription.next()).await;
        assert!(seen.insert(next.unwrap().unwrap().dot));
    }
    for writer in writers {
        writer.await.unwrap();
    }
    drop((subscription, here, there));
    assert_eq!(threads(), 0);
    assert_eq!(store().run(NAME).await.unwrap().state().todos.len(), 120);
}

/// It would wait for itself, under the run's lock, for which all other processes would wait, too.
#[tokio::test]
async fn a_condition_that_calls_its_own_run_in_place_does_not_wait_for_itself() {
    let run = Store::in_memory().unwrap().in_place().create_run("main").await.unwrap();
    let (other, refused) = (run.clone(), std::sync::mpsc::channel());
    let decide = move |_: &Arc<State>| {
        let _ = other.updates();
        refused.0.send(futures_util::FutureExt::now_or_never(other.refresh())).unwrap();
        Err::<Vec<_>, ()>(())
    };
    assert!(matches!(run.append_if(decide).await, Err(Refused::Condition(()))));
    assert!(matches!(refused.1.recv().unwrap(), Some(Err(Error::Group(_)))));
    human(&run).add("what comes later").await.unwrap();
    assert_eq!(run.state().todos.len(), 1);
}

#[tokio::test]
async fn the_past_can_be_opened_and_checkpoints_hold() {
    let dir = tempfile::tempdir().unwrap();
    let run = open(dir.path()).await;
    let ada = human(&run);
    let mut past: Vec<(When, Arc<State>)> = Vec::new();
    for number in 0..40 {
        let todo = ada.add(&format!("todo {number}")).await.unwrap();
        if number % 10 == 0 {
            let event = ada.checkpoint(&format!("at {number}"), "test").await.unwrap();
            past.push((When::Event(event.dot), run.state()));
            past.push((When::Version(run.state().version.clone()), run.state()));
        }
        let reason = String::new();
        ada.append([Operation::Closed { todo, reason }]).await.unwrap();
    }
    for (when, state) in past {
        assert_eq!(run.state_at(when).await.unwrap().root(), state.root());
    }
    let at = run.state_at(When::Name("at 20".to_owned())).await.unwrap();
    assert_eq!(at.todos.len(), 21);
    assert_eq!(run.state_at(When::Time(1)).await.unwrap().todos.len(), 0);
    assert!(run.state_at(When::Name("no such".to_owned())).await.is_err());
    let checks = run.check().await.unwrap();
    assert_eq!(checks.len(), 4);
    assert!(checks.iter().all(tress::CheckpointCheck::holds));
}

/// Compacting closes a file before it is full, which counted as if eight mebibytes had been written: whoever opened the
/// run next made another snapshot in the place of the one that had been packed.
#[tokio::test]
async fn who_opens_a_run_that_was_compacted_leaves_its_snapshot_alone() {
    let dir = tempfile::tempdir().unwrap();
    let run = open(dir.path()).await;
    let todos = (0..4000).map(|number| {
        let id = tress::TodoId::from_external(&number.to_string());
        tress::todo(id, format!("todo {number}"))
    });
    human(&run).append(todos).await.unwrap();
    drop(run);
    let snapshots = || {
        let listed = std::fs::read_dir(dir.path().join(".tress/runs/main/snapshots")).unwrap();
        listed.map(|entry| entry.unwrap().file_name()).collect::<Vec<_>>()
    };
    let compacted = Store::open(dir.path().join(".tress")).unwrap().compact("main").unwrap();
    assert_eq!((compacted.files, snapshots().len()), (1, 1));
    let kept = snapshots();
    let run = open(dir.path()).await;
    assert_eq!(run.state().todos.len(), 4000);
    drop(run);
    assert_eq!(snapshots(), kept);
}

#[tokio::test]
async fn a_long_run_opens_from_a_snapshot_and_still_knows_its_history() {
    let dir = tempfile::tempdir().unwrap();
    let run = open(dir.path()).await;
    let ada = human(&run);
    for batch in 0..50 {
        let todos = (0..100).map(|number| {
            let id = tress::TodoId::from_external(&format!("{batch}-{number}"));
            tress::todo(id, format!("todo {batch}-{number}"))
        });
        ada.append(todos).await.unwrap();
    }
    let root = run.state().root();
    drop((ada, run));
    let snapshots = dir.path().join(".tress/runs/main/snapshots");
    assert!(std::fs::read_dir(snapshots).unwrap().count() > 0);
    let run = open(dir.path()).await;
    assert_eq!(run.state().root(), root);
    let events = run.events_since(VersionVector::new()).await.unwrap();
    assert_eq!(events.len(), 5000);
    let early = run.state_at(When::Event(events[99].dot)).await.unwrap();
    assert_eq!(early.todos.len(), 100);
    human(&run).add("later").await.unwrap();
    assert_eq!(run.state().todos.len(), 5001);
}

#[tokio::test]
async fn a_run_file_holds_the_whole_run() {
    let dir = tempfile::tempdir().unwrap();
    let (one, two) = (open(dir.path()).await, open(dir.path()).await);
    for number in 0..5 {
        human(&one).add(&format!("one {number}")).await.unwrap();
        human(&two).add(&format!("two {number}")).await.unwrap();
    }
    one.seal().await.unwrap();
    let bytes = one.export().await.unwrap();
    let file = tress::decode_run_file("x.tressrun".as_ref(), &bytes).unwrap();
    let (name, items) = (file.run, file.items);
    assert_eq!(name, "main");
    let segments = items.into_iter().filter_map(Item::into_segment);
    let mut log = Log::new();
    let admission = log.admit_all(segments, Some(now()));
    assert!(admission.rejected.is_empty() && admission.waiting == 0);
    assert_eq!(log.state().root(), one.refresh().await.unwrap().root());
    // Also between two frames: the last is the end, and has 56 bytes.
    for cut in [0, 10, bytes.len() / 2, bytes.len() - 56, bytes.len() - 1] {
        assert!(tress::decode_run_file("x".as_ref(), &bytes[..cut]).is_err(), "cut at {cut}");
    }
}

#[tokio::test]
async fn work_under_a_lost_claim_is_refused_with_the_holder_and_what_is_next() {
    let run = Store::in_memory().unwrap().create_run("main").await.unwrap();
    let (first, second) =
        (human(&run).add("first").await.unwrap(), human(&run).add("second").await.unwrap());
    let codex = run.agent("codex-1", Role::Implementer);
    codex.claim(first, None).await.unwrap();
    let other = run.agent("codex-2", Role::Implementer);
    match other.claim(first, None).await.unwrap_err() {
        Refused::Condition(ClaimRefused::Held { agent, next, until }) => {
            assert_eq!((&*agent, next), ("codex-1", Some(second)));
            assert!(until.is_some());
        }
        refused => panic!("{refused}"),
    }
    let again = codex.claim(first, None).await.unwrap();
    codex.complete(&again, None, "done").await.unwrap();
    let state = run.state();
    assert_eq!(state.status_unblocked(state.todo(first).unwrap(), now()), Status::InReview);
}

/// A condition that holds the last handle of its run once made the run's thread wait for itself.
#[tokio::test]
async fn the_last_handle_may_be_dropped_by_a_condition() {
    let run = Store::in_memory().unwrap().create_run("main").await.unwrap();
    let agent = human(&run);
    let inner = run.clone();
    let appended = agent.append_if(move |_| {
        drop(inner);
        Ok::<_, std::convert::Infallible>(Vec::new())
    });
    assert!(appended.await.is_err(), "nothing is nothing to append");
    drop((agent, run));
}

/// Agents that waited for work woke each other by asking for it: every refused claim counted as
/// something new, and a team with nothing to do kept the machine busy.
#[tokio::test]
async fn a_look_that_changes_nothing_wakes_nobody() {
    let run = Store::in_memory().unwrap().create_run("main").await.unwrap();
    human(&run).add("one").await.unwrap();
    let mut updates = run.updates();
    updates.changed().await.unwrap();
    let codex = run.agent("codex-1", Role::Implementer);
    for _ in 0..3 {
        let refused = codex.claim_next(None, |_, _| false).await;
        assert!(matches!(refused, Err(Refused::Condition(_))), "{refused:?}");
    }
    let woken = tokio::time::timeout(std::time::Duration::ZERO, updates.changed()).await;
    assert!(woken.is_err(), "nothing has changed");
    human(&run).add("two").await.unwrap();
    updates.changed().await.unwrap();
}
