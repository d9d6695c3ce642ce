//! Forks, merges, selective replay and undoing, in stores on disk.

use std::path::Path;

use tress::operation::TodoEdit;
use tress::{
    Agent, Error, Fate, Fork, Operation, Refused, Role, Rule, Run, Status, Store, TodoId,
    UndoError, When, Without, now,
};

use super::{human, open};

fn store(dir: &Path) -> Store {
    Store::create(dir.join(".tress")).unwrap()
}

fn retitle(todo: TodoId, title: &str) -> Operation {
    Operation::TodoEdited { todo, edits: vec![TodoEdit::Title(title.to_owned())] }
}

fn title(run: &Run, todo: TodoId) -> String {
    run.state().todo(todo).unwrap().title.clone()
}

fn agent(run: &Run, name: &str) -> Agent {
    run.agent(name, Role::Implementer)
}

/// The bytes of all files in `dir`.
fn bytes(dir: &Path) -> u64 {
    let entries = std::fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path());
    entries
        .map(|path| if path.is_dir() { bytes(&path) } else { path.metadata().unwrap().len() })
        .sum()
}

#[tokio::test]
async fn a_path_and_the_run_it_branched_off_go_their_own_ways() {
    let dir = tempfile::tempdir().unwrap();
    let run = open(dir.path()).await;
    let todo = human(&run).add("one").await.unwrap();
    let path = human(&run).fork(&store(dir.path()), "path", Fork::default()).await.unwrap();
    assert_eq!(title(&path, todo), "one");
    human(&run).one(retitle(todo, "in the run")).await.unwrap();
    human(&path).one(retitle(todo, "on the path")).await.unwrap();
    drop((run, path));
    // Another process sees the same.
    let (run, path) = (open(dir.path()).await, store(dir.path()).run("path").await.unwrap());
    assert_eq!(
        (title(&run, todo).as_str(), title(&path, todo).as_str()),
        ("in the run", "on the path")
    );
    let origin = path.origin().await.unwrap().unwrap();
    assert_eq!((origin.from.as_str(), origin.version.events(), &*origin.by), ("main", 1, "ada"));
    assert!(run.origin().await.unwrap().is_none());
}

#[tokio::test]
async fn a_fork_copies_nothing_and_can_begin_anywhere_in_the_past() {
    let dir = tempfile::tempdir().unwrap();
    let run = open(dir.path()).await;
    let ada = human(&run);
    let mut moments = Vec::new();
    for number in 0..3000 {
        let operation = tress::todo(tress::new_todo_id().unwrap(), format!("todo {number}"));
        moments.push(ada.one(operation).await.unwrap());
        if number == 1500 {
            ada.checkpoint("half", "a place to come back to").await.unwrap();
        }
    }
    let at = Some(When::Name("half".to_owned()));
    let path = ada.fork(&store(dir.path()), "half", Fork { at, ..Fork::default() }).await.unwrap();
    assert_eq!(path.state().todos.len(), 1501);
    let event = &moments[10];
    let at = Some(When::Event(event.dot));
    let early =
        ada.fork(&store(dir.path()), "early", Fork { at, ..Fork::default() }).await.unwrap();
    assert_eq!(early.state().todos.len(), 11);
    // A path of a path.
    let nested = human(&path).add("only here").await.unwrap();
    let third = human(&path).fork(&store(dir.path()), "third", Fork::default()).await.unwrap();
    assert!(third.state().todo(nested).is_some());
    assert_eq!(third.state().todos.len(), 1502);
    drop((path, early, third));
    for name in ["half", "early", "third"] {
        let size = bytes(&dir.path().join(".tress/runs").join(name).join("journals"));
        assert!(size < 2000, "{name} has {size} bytes of its own");
        let again = store(dir.path()).run(name).await.unwrap();
        assert!(again.damage().is_empty());
    }
}

#[tokio::test]
async fn to_fork_and_merge_without_changes_is_the_identity() {
    let dir = tempfile::tempdir().unwrap();
    let run = open(dir.path()).await;
    human(&run).add("one").await.unwrap();
    let before = run.state().root();
    let path = human(&run).fork(&store(dir.path()), "path", Fork::default()).await.unwrap();
    let merge = human(&run).merge(&path).await.unwrap();
    assert!(merge.events.is_empty() && merge.recorded.is_none());
    assert_eq!(run.refresh().await.unwrap().root(), before);
}

/// After a path had come back, the run went on with the path's branch and agents, and stood where the path did.
#[tokio::test]
async fn a_run_keeps_its_own_terms_when_a_path_comes_back() {
    let dir = tempfile::tempdir().unwrap();
    let run = open(dir.path()).await;
    human(&run).add("one").await.unwrap();
    let started = |name: &str| Operation::RunStarted {
        title: name.to_owned(),
        base: Some("1234".to_owned()),
        branch: Some(format!("tress/{name}")),
        settings: vec![("branch".to_owned(), format!("tress/{name}"))],
    };
    let paused = Operation::RunPaused { reason: "stuck".to_owned() };
    human(&run).append([started("main"), paused]).await.unwrap();
    let path = human(&run).fork(&store(dir.path()), "second", Fork::default()).await.unwrap();
    let finished = Operation::RunFinished { summary: "all".to_owned() };
    let Operation::RunStarted { title, base, branch, mut settings } = started("second") else {
        return;
    };
    settings.push(("budget_usd".to_owned(), "0.5".to_owned()));
    let second = Operation::RunStarted { title, base, branch, settings };
    human(&path).append([second, finished]).await.unwrap();
    human(&path).add("two").await.unwrap();
    let before = run.state().team.clone();
    let merge = human(&run).merge(&path).await.unwrap();
    assert!(matches!(merge.recorded.unwrap().operation, Operation::Merged { .. }));
    for team in [&merge.state.team, &run.refresh().await.unwrap().team] {
        assert_eq!((&team.branch, &team.title), (&before.branch, &before.title));
        let mut settings = team.settings.clone();
        assert_eq!(settings.remove("budget_usd").as_deref(), Some(""), "it is the path's");
        assert_eq!(settings, before.settings);
        assert_eq!((team.phase, &*team.summary), (before.phase, "stuck"));
        assert_eq!((team.started_at, team.ended_at), (before.started_at, before.ended_at));
    }
    // The path, too, and neither has something new for the other for ever.
    human(&path).merge(&run).await.unwrap();
    assert_eq!(path.state().team.branch.as_deref(), Some("tress/second"));
    assert!(human(&run).merge(&path).await.unwrap().events.is_empty());
    // What is the same run elsewhere has no terms but the run's.
    let copy = tempfile::tempdir().unwrap();
    let other = open(copy.path()).await;
    human(&other).merge_file(run.run_file().await.unwrap()).await.unwrap();
    human(&other).one(started("elsewhere")).await.unwrap();
    human(&other).add("three").await.unwrap();
    human(&run).merge_file(other.run_file().await.unwrap()).await.unwrap();
    assert_eq!(run.state().team.branch.as_deref(), Some("tress/elsewhere"));
}

#[tokio::test]
async fn a_merge_brings_the_events_of_a_path_into_one_history() {
    let dir = tempfile::tempdir().unwrap();
    let run = open(dir.path()).await;
    let todo = human(&run).add("one").await.unwrap();
    let path = human(&run).fork(&store(dir.path()), "path", Fork::default()).await.unwrap();
    let bobs = agent(&path, "bob").one(retitle(todo, "by bob")).await.unwrap();
    let only_there = agent(&path, "bob").add("two").await.unwrap();
    let eves = agent(&run, "eve").one(retitle(todo, "by eve")).await.unwrap();
    // Both may be of one millisecond.
    let later = if bobs.order() < eves.order() { "by eve" } else { "by bob" };

    let tried = run.try_merge(&path).await.unwrap();
    assert_eq!((tried.events.len(), tried.decided.len()), (3, 1));
    assert!(run.state().todo(only_there).is_none(), "it was only tried");
    let merge = human(&run).merge(&path).await.unwrap();
    assert_eq!(merge.events.len(), 3, "the fork and two events of bob");
    assert_eq!(merge.decided[0].rule, Rule::FieldMerge);
    assert_eq!(title(&run, todo), later, "the later title holds");
    assert!(run.state().todo(only_there).is_some());

    let again = human(&run).merge(&path).await.unwrap();
    assert!(again.events.is_empty(), "there is nothing left to merge");
    agent(&path, "bob").one(retitle(only_there, "three")).await.unwrap();
    let more = human(&run).merge(&path).await.unwrap();
    assert_eq!(more.events.len(), 1);

    // The other way, and both are the same but for the event that records the merge.
    human(&path).merge(&run).await.unwrap();
    assert_eq!(title(&path, todo), later);
    human(&run).merge(&path).await.unwrap();
    human(&path).merge(&run).await.unwrap();
    drop(path);
    // The path can be thrown away.
    std::fs::remove_dir_all(dir.path().join(".tress/runs/path")).unwrap();
    let root = run.refresh().await.unwrap().root();
    drop(run);
    let run = open(dir.path()).await;
    assert_eq!(run.state().root(), root);
    assert!(run.damage().is_empty());
}

#[tokio::test]
async fn a_run_file_from_another_machine_comes_in_by_the_same_door() {
    let (here, there) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let (run, other) = (open(here.path()).await, open(there.path()).await);
    let mine = human(&run).add("mine").await.unwrap();
    let theirs = human(&other).add("theirs").await.unwrap();
    let file = tress::decode_run_file(Path::new("x"), &other.export().await.unwrap()).unwrap();
    let merge = human(&run).merge_file(file.clone()).await.unwrap();
    assert_eq!(merge.events.len(), 1);
    assert!(run.state().todo(mine).is_some() && run.state().todo(theirs).is_some());
    assert!(human(&run).merge_file(file).await.unwrap().events.is_empty());
    // What is cut out of the middle is refused, and nothing is merged.
    let second = human(&other).add("second").await.unwrap();
    human(&other).add("third").await.unwrap();
    let mut file = tress::decode_run_file(Path::new("x"), &other.export().await.unwrap()).unwrap();
    let number = |item: &tress::Item| item.as_segment().map(|segment| segment.first);
    file.items.retain(|item| number(item) != Some(2));
    let refused = human(&run).merge_file(file).await;
    assert!(matches!(refused, Err(Error::Incomplete(1))), "{refused:?}");
    assert!(run.refresh().await.unwrap().todo(second).is_none());
}

#[tokio::test]
async fn a_path_whose_run_is_gone_is_damaged_and_says_so() {
    let dir = tempfile::tempdir().unwrap();
    let run = open(dir.path()).await;
    human(&run).add("one").await.unwrap();
    drop(human(&run).fork(&store(dir.path()), "path", Fork::default()).await.unwrap());
    drop(run);
    std::fs::remove_dir_all(dir.path().join(".tress/runs/main")).unwrap();
    let path = store(dir.path()).run("path").await.unwrap();
    assert_eq!(path.damage().len(), 1);
    assert!(path.damage()[0].reason.contains("gone"), "{:?}", path.damage());
}

#[tokio::test]
async fn a_path_can_leave_out_what_an_agent_did() {
    let dir = tempfile::tempdir().unwrap();
    let run = open(dir.path()).await;
    let todo = human(&run).add("one").await.unwrap();
    let (bob, eve) = (agent(&run, "bob"), agent(&run, "eve"));
    let bobs = bob.add("of bob").await.unwrap();
    let noted = eve
        .one(Operation::NoteAdded { todo: bobs, text: "on bob's".to_owned(), layout: None })
        .await
        .unwrap();
    let kept = eve
        .one(Operation::NoteAdded { todo, text: "on the other".to_owned(), layout: None })
        .await
        .unwrap();
    let selection = run.select(vec![Without::Agent("bob".to_owned())]).await.unwrap();
    let fates: Vec<_> = selection.fates.iter().map(|(event, fate)| (event.dot, fate)).collect();
    assert_eq!(fates[0].1, &Fate::Chosen);
    assert_eq!(fates[1].0, noted.dot);
    assert!(matches!(fates[1].1, Fate::Gone(what) if what.contains("todo")));
    assert_eq!(fates.len(), 2);

    let without = vec![Without::Agent("bob".to_owned())];
    let fork = Fork { without, ..Fork::default() };
    let path = human(&run).fork(&store(dir.path()), "without-bob", fork).await.unwrap();
    let check = |path: &Run| {
        let state = path.state();
        assert!(state.todo(bobs).is_none());
        assert_eq!(state.todo(todo).unwrap().notes[0].dot, kept.dot);
        assert!(!state.team.agents.contains_key("bob"));
    };
    check(&path);
    human(&path).add("new on the path").await.unwrap();
    path.documents().await.unwrap();
    drop(path);
    let path = store(dir.path()).run("without-bob").await.unwrap();
    check(&path);
    // What was left out stays in the run when the path comes back.
    let merge = human(&run).merge(&path).await.unwrap();
    assert_eq!(merge.events.len(), 2);
    assert!(run.state().todo(bobs).is_some());
    // A run that does not know what is left out does not get it by the back door.
    let elsewhere = tempfile::tempdir().unwrap();
    let other = open(elsewhere.path()).await;
    assert!(matches!(human(&other).merge(&path).await, Err(Error::LeftOut(_))));
}

#[tokio::test]
async fn an_event_is_undone_and_later_work_stays() {
    let dir = tempfile::tempdir().unwrap();
    let run = open(dir.path()).await;
    let (ada, eve) = (human(&run), agent(&run, "eve"));
    let todo = ada.add("one").await.unwrap();
    let first = ada.one(retitle(todo, "two")).await.unwrap();
    let second = eve.one(retitle(todo, "three")).await.unwrap();
    let closed = eve.one(Operation::Closed { todo, reason: "done".to_owned() }).await.unwrap();
    let undone = ada.undo(first.dot, "a mistake").await;
    assert!(matches!(undone, Err(Refused::Condition(UndoError::NothingLeft))), "{undone:?}");
    ada.undo(second.dot, "a mistake").await.unwrap();
    assert_eq!(title(&run, todo), "two");
    let again = ada.undo(second.dot, "once more").await;
    assert!(matches!(again, Err(Refused::Condition(UndoError::Already))), "{again:?}");
    ada.undo(closed.dot, "not at all").await.unwrap();
    let state = run.state();
    assert_eq!(state.status_unblocked(state.todo(todo).unwrap(), now()), Status::Open);
    let built = ada.undo(tress::Dot::new(first.dot.replica, 1), "").await;
    assert!(matches!(built, Err(Refused::Condition(UndoError::OthersBuilt { .. }))), "{built:?}");
}

/// Whoever looked at a state that another process had changed since ended what somebody held by then.
#[tokio::test]
async fn whether_an_event_may_be_undone_is_decided_on_the_newest_state() {
    #[derive(Debug, PartialEq)]
    enum No {
        Held(String),
        Undo(UndoError),
    }
    impl From<UndoError> for No {
        fn from(error: UndoError) -> Self {
            Self::Undo(error)
        }
    }
    let dir = tempfile::tempdir().unwrap();
    let (here, there) = (open(dir.path()).await, open(dir.path()).await);
    let ada = human(&here);
    let todo = ada.add("one").await.unwrap();
    let reason = String::new;
    let closed = ada.one(Operation::Closed { todo, reason: reason() }).await.unwrap().dot;
    let reopened = ada.one(Operation::Reopened { todo, reason: reason() }).await.unwrap().dot;
    let free = move |state: &tress::State| match state.todo(todo).and_then(|it| it.holder(now())) {
        Some(holder) => Err(No::Held(holder.agent.to_string())),
        None => Ok(()),
    };
    there.refresh().await.unwrap();
    agent(&there, "eve").claim(todo, None).await.unwrap();
    assert_eq!(free(&here.state()), Ok(()), "here it is not known yet");
    let undone = ada.undo_if(reopened, "", free).await;
    assert!(matches!(&undone, Err(Refused::Condition(No::Held(by))) if by == "eve"), "{undone:?}");
    let undone = ada.undo_if(closed, "", |_| Ok::<(), No>(())).await;
    assert!(matches!(undone, Err(Refused::Condition(No::Undo(_)))), "{undone:?}");
    ada.undo_if(reopened, "", |_| Ok::<(), No>(())).await.unwrap();
}

/// What comes late lies before the newest snapshots, and is folded from an older one on.
#[tokio::test]
async fn what_comes_late_lies_before_the_snapshots_and_is_folded_all_the_same() {
    let (here, there) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let mut run = open(here.path()).await;
    let todo = human(&run).add("the one").await.unwrap();
    let other = open(there.path()).await;
    human(&other).merge_file(run.run_file().await.unwrap()).await.unwrap();
    agent(&other, "away").one(retitle(todo, "from afar")).await.unwrap();
    for round in 0..4 {
        let more = (0..2100)
            .map(|number| tress::todo(tress::TodoId::from_random(round * 10_000 + number), "x"));
        human(&run).append(more).await.unwrap();
        // Who closes it leaves a snapshot, however little time went by.
        drop(run);
        run = open(here.path()).await;
    }
    human(&run).one(retitle(todo, "here, and later")).await.unwrap();
    let snapshots = here.path().join(".tress/runs/main/snapshots");
    assert!(std::fs::read_dir(&snapshots).unwrap().count() > 1);
    drop(run);
    // Nothing but the snapshot and what lies behind it is known now.
    let run = open(here.path()).await;
    let merge = human(&run).merge_file(other.run_file().await.unwrap()).await.unwrap();
    assert_eq!(merge.events.len(), 2, "the edit, and the note of the merge there");
    assert_eq!(merge.decided.len(), 1);
    assert_eq!(title(&run, todo), "here, and later");
    let state = run.refresh().await.unwrap();
    let (root, events) = (state.root(), state.events());
    drop(run);
    let names = || -> Vec<_> {
        let names = std::fs::read_dir(&snapshots).unwrap().map(|entry| entry.unwrap().file_name());
        names.map(|name| name.into_string().unwrap()).collect()
    };
    // Compacting leaves the newest alone, into which the late ones do not fit.
    Store::open(here.path().join(".tress")).unwrap().compact("main").unwrap();
    assert_eq!(names().len(), 1);
    assert_eq!(open(here.path()).await.state().root(), root);
    // Whoever read everything for them leaves a snapshot, so that the next one need not.
    let newest = format!("{events:012}-");
    assert!(names().iter().any(|name| name.starts_with(&newest)), "{:?}", names());
    assert_eq!(open(here.path()).await.state().root(), root);
    std::fs::remove_dir_all(&snapshots).unwrap();
    assert_eq!(open(here.path()).await.state().root(), root);
}

fn files(dir: &Path, under: &Path, found: &mut Vec<(std::path::PathBuf, Vec<u8>)>) {
    for entry in std::fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files(&path, under, found);
        } else {
            found.push((
                path.strip_prefix(under).unwrap().to_owned(),
                std::fs::read(&path).unwrap(),
            ));
        }
    }
}

/// A store that is carried by git or a synced folder must never have one file written in two places.
#[tokio::test]
async fn two_copies_of_a_store_that_merge_the_same_do_not_collide() {
    let dirs = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
    let away = tempfile::tempdir().unwrap();
    let run = open(away.path()).await;
    let todo = human(&run).add("from afar").await.unwrap();
    let file = run.run_file().await.unwrap();
    let mut trees = Vec::new();
    for dir in &dirs {
        let run = open(dir.path()).await;
        human(&run).merge_file(file.clone()).await.unwrap();
        human(&run).add("of this place").await.unwrap();
        let (mut tree, root) = (Vec::new(), dir.path().join(".tress/runs/main"));
        for part in ["journals", "received"] {
            files(&root.join(part), &root, &mut tree);
        }
        trees.push(tree);
    }
    for (path, bytes) in &trees[0] {
        let other = trees[1].iter().find(|(other, _)| other == path);
        assert!(other.is_none_or(|(_, other)| other == bytes), "{} differs", path.display());
    }
    for (path, bytes) in &trees[1] {
        let path = dirs[0].path().join(".tress/runs/main").join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, bytes).unwrap();
    }
    let run = open(dirs[0].path()).await;
    assert!(run.damage().is_empty());
    assert!(run.state().todo(todo).is_some());
    assert_eq!(run.state().todos.len(), 3);
    // A path of it finds what was received twice.
    let path = human(&run).fork(&store(dirs[0].path()), "path", Fork::default()).await.unwrap();
    assert_eq!(path.state().todos.len(), 3);
}

/// A path that was merged and thrown away had used numbers; one made again under its name must not
/// use them for other events.
#[tokio::test]
async fn a_path_that_is_made_again_uses_no_number_twice() {
    let dir = tempfile::tempdir().unwrap();
    let run = open(dir.path()).await;
    human(&run).add("one").await.unwrap();
    for round in 0..3 {
        let path = human(&run).fork(&store(dir.path()), "try", Fork::default()).await.unwrap();
        human(&path).add(&format!("round {round}")).await.unwrap();
        path.documents().await.unwrap();
        let merge = human(&run).merge(&path).await.unwrap();
        assert_eq!(merge.events.len(), 2, "round {round}");
        drop(path);
        std::fs::remove_dir_all(dir.path().join(".tress/runs/try")).unwrap();
    }
    assert_eq!(run.state().todos.len(), 4);
    drop(run);
    assert!(open(dir.path()).await.damage().is_empty());
}

/// A copy that was received begins behind what its replica shares; a path that branches off before
/// it must not wait for it.
#[tokio::test]
async fn a_path_that_branches_off_before_a_copy_begins_is_whole() {
    let dir = tempfile::tempdir().unwrap();
    let run = open(dir.path()).await;
    let ada = human(&run);
    let mut events = Vec::new();
    for number in 0..5 {
        events.push(
            ada.one(tress::todo(tress::new_todo_id().unwrap(), format!("{number}"))).await.unwrap(),
        );
    }
    let first = ada.fork(&store(dir.path()), "first", Fork::default()).await.unwrap();
    for number in 5..10 {
        ada.add(&format!("{number}")).await.unwrap();
    }
    human(&first).merge(&run).await.unwrap();
    assert_eq!(first.state().todos.len(), 10);
    for count in [3, 5] {
        let at = Some(When::Event(events[count - 1].dot));
        let name = format!("at-{count}");
        let fork = Fork { at, ..Fork::default() };
        let path = human(&first).fork(&store(dir.path()), &name, fork).await.unwrap();
        assert_eq!(path.state().todos.len(), count);
        assert!(path.damage().is_empty());
        let bytes = path.export().await.unwrap();
        let file = tress::decode_run_file(Path::new("x"), &bytes).unwrap();
        assert_eq!(tress::log_of(file, None).unwrap().state().root(), path.state().root());
    }
}

/// What cannot be read again stays known to a run that is open, and is not numbered anew.
#[tokio::test]
async fn a_run_that_is_open_loses_nothing_when_its_past_is_gone() {
    let dir = tempfile::tempdir().unwrap();
    let run = open(dir.path()).await;
    human(&run).add("one").await.unwrap();
    drop(human(&run).fork(&store(dir.path()), "path", Fork::default()).await.unwrap());
    let path = store(dir.path()).run("path").await.unwrap();
    let more = (0..2100).map(|number| tress::todo(tress::TodoId::from_random(number), "x"));
    human(&path).append(more).await.unwrap();
    drop(path);
    // Opened from a snapshot, in which the past is.
    let path = store(dir.path()).run("path").await.unwrap();
    let events = path.state().events();
    drop(run);
    std::fs::remove_dir_all(dir.path().join(".tress/runs/main")).unwrap();
    let gone = path.state_at(When::Time(1)).await;
    assert!(matches!(gone, Err(Error::Store(tress::StoreError::Damaged(_)))), "{gone:?}");
    let added = human(&path).one(tress::todo(tress::new_todo_id().unwrap(), "more")).await.unwrap();
    assert_eq!(path.state().events(), events + 1);
    assert!(added.dot.number > 1);
}

/// A file of a shorter history, with other events under numbers that are known here, was taken for
/// one that brings nothing new.
#[tokio::test]
async fn a_shorter_history_of_other_events_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let run = open(dir.path()).await;
    human(&run).add("one").await.unwrap();
    let early = run.run_file().await.unwrap();
    human(&run).add("two").await.unwrap();
    assert!(human(&run).merge_file(early.clone()).await.unwrap().events.is_empty());
    let mut forged = early;
    for item in &mut forged.items {
        if let Some(mut segment) = item.clone().into_segment() {
            segment.records[0].operation = tress::todo(TodoId::from_random(1), "forged");
            *item = segment.into();
        }
    }
    let refused = human(&run).merge_file(forged).await;
    assert!(matches!(refused, Err(Error::NotAdmitted { .. })), "{refused:?}");
}
