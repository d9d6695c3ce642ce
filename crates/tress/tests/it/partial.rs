//! Runs of which only some strands are kept.

use tress::{Error, Operation, Store, Strand, Strands, VersionVector};

use super::human;
use super::seals::{meet, place};

fn todo_only() -> Strands {
    [Strand::Todo].into_iter().collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_keeps_the_todos_alone_has_them_as_everybody_and_nothing_of_the_rest() {
    let whole = place().await;
    let ada = human(&whole.run);
    let id = ada.add("one").await.unwrap();
    let secret = "a section that is nobody's business";
    let section = Operation::SectionAdded {
        section: "s".to_owned(),
        heading: secret.to_owned(),
        level: 2,
        position: 0,
        body: secret.to_owned(),
    };
    ada.append([section]).await.unwrap();
    whole.run.seal().await.unwrap();
    let dir = tempfile::tempdir().unwrap();
    let store = Store::create(dir.path().join(".tress")).unwrap();
    let part = store.create_run_of("main", todo_only()).await.unwrap();
    let (_, met) = meet(&whole.run, &part).await;
    assert_eq!(met.received, 2);
    assert!(met.changes > 0);
    assert_eq!(part.state().version, whole.run.state().version);
    assert_eq!(part.state().todos, whole.run.state().todos);
    assert!(part.state().design.sections.is_empty());
    // The document of the todos is the same; of the others there is none.
    let (ours, theirs) =
        (part.document_heads().await.unwrap(), whole.run.document_heads().await.unwrap());
    assert_eq!(ours, [Vec::new(), theirs[Strand::Todo.index()].clone(), Vec::new()]);
    assert_eq!(part.seal().await.unwrap().changes, 0);
    // What is written there comes back, whole.
    human(&part)
        .append([Operation::TodoEdited {
            todo: id,
            edits: vec![tress::operation::TodoEdit::Title("the first".to_owned())],
        }])
        .await
        .unwrap();
    part.seal().await.unwrap();
    meet(&whole.run, &part).await;
    assert_eq!(&*whole.run.state().todo(id).unwrap().title, "the first");
    // What it sealed of the todos need not be sealed again.
    whole.run.seal().await.unwrap();
    let at = Strand::Todo.index();
    let (ours, theirs) =
        (part.document_heads().await.unwrap(), whole.run.document_heads().await.unwrap());
    assert_eq!(ours[at], theirs[at]);
    // It is what it is when it is opened again, also as a path; and it is sound.
    drop((part, store));
    let store = Store::create(dir.path().join(".tress")).unwrap();
    let part = store.create_run("main").await.unwrap();
    assert_eq!(part.strands(), todo_only());
    assert_eq!(part.state().todos, whole.run.state().todos);
    assert!(store.check_run("main").unwrap().is_clean());
    let refused = store.create_run_of("main", Strands::ALL).await;
    assert!(matches!(refused, Err(Error::Strands { .. })), "{refused:?}");
    assert!(!says(dir.path(), secret), "nothing of the rest is in its files");
    // Also where somebody gives it who does not ask what is wanted, a relay for instance.
    let dir = tempfile::tempdir().unwrap();
    let store = Store::create(dir.path().join(".tress")).unwrap();
    let given_all = store.create_run_of("main", todo_only()).await.unwrap();
    let given = whole.run.lacking(VersionVector::new(), Strands::ALL).await.unwrap();
    given_all.take_in(given).await.unwrap();
    assert_eq!(given_all.state().root(), part.state().root());
    assert!(!says(dir.path(), secret));
    // Whoever wants everything is given nothing that is not whole.
    let third = place().await;
    let (_, met) = meet(&part, &third.run).await;
    assert_eq!(met.refused, 0);
    let events = third.run.events_since(VersionVector::new()).await.unwrap();
    assert!(events.iter().all(|event| !event.is_withheld()));
    // And a whole run that is given such events by mistake says so.
    let given = whole.run.lacking(VersionVector::new(), todo_only()).await.unwrap();
    let fourth = place().await;
    let taken = fourth.run.take_in(given).await.unwrap();
    assert!(
        taken
            .refused
            .iter()
            .any(|(_, reason)| reason.to_string().contains("without its operation"))
    );
}

/// Of two pieces that began alike the longer was looked at first, said something else at one place, and was
/// not written: what only it had was shown, told to be here, and gone when the run was opened again.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_two_pieces_say_of_the_same_events_is_written_to_the_end() {
    let whole = place().await;
    let titles = (0..10).map(|number| Operation::TodoAdded {
        todo: tress::TodoId::from_external(&number.to_string()),
        external_id: None,
        title: format!("todo {number}"),
        edits: Vec::new(),
        prose: Vec::new(),
        labels: Vec::new(),
        layout: None,
    });
    human(&whole.run).append(titles).await.unwrap();
    let given = whole.run.lacking(VersionVector::new(), todo_only()).await.unwrap();
    let mut long = given[0].clone();
    given.iter().skip(1).for_each(|more| long.records.extend(more.records.iter().cloned()));
    let mut short = long.clone();
    short.records.truncate(5);
    let first = &mut short.records[2].operation;
    *first = tress_model::codec::withhold(first).unwrap();
    for both in [[long.clone(), short.clone()], [short, long]] {
        let dir = tempfile::tempdir().unwrap();
        let open = || Store::create(dir.path().join(".tress")).unwrap();
        let part = open().create_run_of("main", todo_only()).await.unwrap();
        part.take_in(both.to_vec()).await.unwrap();
        let version = part.state().version.clone();
        assert_eq!(version, whole.run.state().version);
        drop(part);
        assert_eq!(open().run("main").await.unwrap().state().version, version);
    }
}

/// Whether a file in `dir` holds `text`.
fn says(dir: &std::path::Path, text: &str) -> bool {
    let mut files = vec![dir.to_owned()];
    while let Some(path) = files.pop() {
        match std::fs::read_dir(&path) {
            Ok(entries) => files.extend(entries.map(|entry| entry.unwrap().path())),
            Err(_) => {
                let bytes = std::fs::read(&path).unwrap();
                if bytes.windows(text.len()).any(|at| at == text.as_bytes()) {
                    return true;
                }
            }
        }
    }
    false
}

/// What is open as a whole run, or has something in it, does not become a part under somebody's hands.
#[tokio::test]
async fn a_run_that_is_in_use_keeps_what_it_keeps() {
    let whole = place().await;
    let store = Store::open(whole.run.store_dir()).unwrap();
    let run = store.create_run("other").await.unwrap();
    let refused = store.create_run_of("other", todo_only()).await;
    assert!(matches!(refused, Err(Error::Strands { .. })), "{refused:?}");
    human(&run).add("one").await.unwrap();
    store.files().keep_only("other", todo_only()).unwrap();
    drop((run, store));
    let store = Store::open(whole.run.store_dir()).unwrap();
    assert_eq!(store.run("other").await.unwrap().strands(), Strands::ALL);
}
