//! What stock tools of Automerge change in a run's documents becomes operations, or is put back.

use automerge::transaction::Transactable;
use automerge::{AutoCommit, ObjId, ObjType, ROOT, ReadDoc};
use tress::operation::{ProseField, Verdict};
use tress::{
    Agent, Edited, Operation, Role, Rule, Run, Status, Store, Strand, TodoId, changes_of, todo,
};
use tress_documents::project;

use super::human;

async fn in_memory() -> Run {
    Store::in_memory().unwrap().create_run("main").await.unwrap()
}

/// Somebody with a stock tool: has a document, and edits it.
struct Client {
    doc: AutoCommit,
    agent: Agent,
    strand: Strand,
}

impl Client {
    async fn open(run: &Run, strand: Strand) -> Self {
        let saved = run.documents().await.unwrap().save(strand);
        let encoding = automerge::TextEncoding::UnicodeCodePoint;
        let options = automerge::LoadOptions::new().text_encoding(encoding);
        let doc = AutoCommit::load_with_options(&saved, options).unwrap();
        Self { doc, agent: run.agent("guest", Role::Human), strand }
    }

    fn at(&self, path: &[&str]) -> ObjId {
        path.iter().fold(ROOT, |object, key| self.doc.get(object, *key).unwrap().unwrap().1)
    }

    async fn send(&mut self) -> Edited {
        let (strand, changes) = changes_of(&self.doc.save()).unwrap();
        assert_eq!(strand, self.strand);
        self.agent.edit_document(strand, changes).await.unwrap()
    }
}

/// At rest, each document is what its state says.
async fn at_rest(run: &Run) {
    let documents = run.documents().await.unwrap();
    for strand in Strand::ALL {
        assert_eq!(documents.read(strand).unwrap(), project(&run.state(), strand));
    }
}

fn refused(edited: &Edited) -> Vec<&str> {
    edited.refused.iter().map(|edit| edit.path.as_str()).collect()
}

#[tokio::test]
async fn edits_of_a_document_become_operations_under_who_made_them() {
    let run = in_memory().await;
    let ada = human(&run);
    let first = ada.add("first").await.unwrap();
    let second = ada.add("second").await.unwrap();
    let mut client = Client::open(&run, Strand::Todo).await;
    let key = first.to_string();
    let one = client.at(&["todos", &key]);
    client.doc.put(&one, "title", "the first").unwrap();
    client.doc.put(&one, "priority", 1.0).unwrap();
    let labels = client.at(&["todos", &key, "labels"]);
    client.doc.put(&labels, "urgent", true).unwrap();
    let edges = client.at(&["todos", &key, "edges"]);
    client.doc.put_object(&edges, format!("{second}/blocks"), ObjType::Map).unwrap();
    let remarks = client.at(&["todos", &key, "remarks"]);
    let remark = client.doc.put_object(&remarks, "mine", ObjType::Map).unwrap();
    client.doc.put(&remark, "text", "seen in the document").unwrap();
    let notes = client.at(&["todos", &key, "notes"]);
    client.doc.splice_text(&notes, 0, 0, "a note").unwrap();
    let todos = client.at(&["todos"]);
    let new = client.doc.put_object(&todos, "from-afar", ObjType::Map).unwrap();
    client.doc.put(&new, "title", "a third").unwrap();
    client.doc.put(&new, "priority", 3).unwrap();
    client.doc.delete(&todos, second.to_string()).unwrap();
    let edited = client.send().await;
    assert!(edited.refused.is_empty(), "{:?}", edited.refused);
    assert!(edited.events.iter().all(|event| &*event.author.name == "guest"));
    let state = run.state();
    let todo = state.todo(first).unwrap();
    assert_eq!((&*todo.title, todo.priority), ("the first", 1));
    assert!(todo.labels.contains_key("urgent"));
    assert_eq!(todo.prose(ProseField::Notes), "a note");
    assert_eq!(
        todo.notes.iter().map(|note| &*note.text).collect::<Vec<_>>(),
        ["seen in the document"]
    );
    let third = state.todo(TodoId::from_external("from-afar")).unwrap();
    assert_eq!((&*third.title, third.priority), ("a third", 3));
    assert_eq!(state.status_unblocked(state.todo(second).unwrap(), tress::now()), Status::Deleted);
    at_rest(&run).await;
    // The same again says nothing new, and who opens the document sees what became of it.
    let again = client.send().await;
    assert_eq!((again.changes, again.events.len()), (0, 0));
    let mut theirs = Client::open(&run, Strand::Todo).await;
    theirs.doc.merge(&mut client.doc).unwrap();
    let nothing = theirs.send().await;
    assert_eq!(nothing.changes, 0, "the run's document holds all that the client wrote");
    // What was known already is not written again.
    let file = tress::decode_run_file("run".as_ref(), &run.export().await.unwrap()).unwrap();
    let seals = file.items.iter().filter_map(|item| match item {
        tress::Item::Seal(seal) => Some(&seal.change),
        tress::Item::Segment(_) => None,
    });
    let seals: Vec<_> = seals.collect();
    let once: std::collections::BTreeSet<_> = seals.iter().collect();
    assert_eq!(once.len(), seals.len());
}

#[tokio::test]
async fn texts_merge_with_what_agents_wrote_meanwhile() {
    let run = in_memory().await;
    let ada = human(&run);
    let id = ada.add("write").await.unwrap();
    let target = || tress::operation::ProseTarget::Todo(id, ProseField::Description);
    let splice = |at: u32, insert: &str| Operation::ProseEdited {
        target: target(),
        splices: vec![tress::operation::Splice { at, delete: 0, insert: insert.to_owned() }],
    };
    ada.append([splice(0, "one two three four")]).await.unwrap();
    let mut client = Client::open(&run, Strand::Todo).await;
    let text = client.at(&["todos", &id.to_string(), "description"]);
    client.doc.splice_text(&text, 0, 3, "ONE").unwrap();
    client.doc.splice_text(&text, 14, 4, "FOUR").unwrap();
    // Meanwhile, not known to the client.
    ada.append([splice(7, "-and-a-half")]).await.unwrap();
    let edited = client.send().await;
    assert!(edited.refused.is_empty(), "{:?}", edited.refused);
    let state = run.state();
    let merged = state.todo(id).unwrap().prose(ProseField::Description);
    assert_eq!(merged, "ONE two-and-a-half three FOUR");
    at_rest(&run).await;
}

#[tokio::test]
async fn what_may_not_be_edited_is_put_back_and_said() {
    let run = in_memory().await;
    let id = human(&run).add("work").await.unwrap();
    let worker = run.agent("worker", Role::Implementer);
    let claim = worker.claim(id, None).await.unwrap();
    let done = worker.complete(&claim, None, "work.rs").await.unwrap();
    let key = id.to_string();
    let mut client = Client::open(&run, Strand::Todo).await;
    client.agent = worker.clone();
    let one = client.at(&["todos", &key]);
    client.doc.put(&one, "finished", "completed").unwrap();
    client.doc.put(&one, "percent", 100).unwrap();
    client.doc.put(&one, "priority", 77).unwrap();
    client.doc.put(&one, "colour", "red").unwrap();
    client.doc.delete(&one, "title").unwrap();
    client.doc.put(ROOT, "schema", 9).unwrap();
    let edited = client.send().await;
    let mut paths = refused(&edited);
    paths.sort_unstable();
    let of = |name: &str| format!("todos/{key}/{name}");
    assert_eq!(paths, ["schema", &of("colour"), &of("percent"), &of("priority"), &of("title")]);
    let state = run.state();
    let todo = state.todo(id).unwrap();
    assert_eq!(&*todo.title, "work");
    assert_ne!(state.status_unblocked(todo, tress::now()), Status::Completed);
    // Who did the work does not verify it, and the ledger says so.
    let told: Vec<_> = state.ledger.iter().map(|entry| (entry.rule, &*entry.agent)).collect();
    assert_eq!(told, [(Rule::DoneMeansVerified, "worker")]);
    at_rest(&run).await;
    // A verdict of somebody who may give one is one.
    let mut client = Client::open(&run, Strand::Implementation).await;
    client.agent = run.agent("judge", Role::Verifier);
    let completion = client.at(&["work", &key, "completions", &done.dot().to_string()]);
    let verification = client.doc.put_object(&completion, "verification", ObjType::Map).unwrap();
    client.doc.put(&verification, "verdict", "pass").unwrap();
    let summary = client.at(&["info"]);
    client.doc.put(&summary, "summary", "all is well").unwrap();
    let edited = client.send().await;
    assert_eq!(refused(&edited), ["info"]);
    let said = edited.events.iter().map(|event| match &event.operation {
        Operation::Verified { verdict, .. } => *verdict,
        other => panic!("{other:?}"),
    });
    assert_eq!(said.collect::<Vec<_>>(), [Verdict::Pass]);
    assert_eq!(run.state().status_unblocked(run.state().todo(id).unwrap(), 0), Status::Completed);
    at_rest(&run).await;
}

#[tokio::test]
async fn where_nothing_may_be_edited_the_document_is_put_back_all_the_same() {
    let run = in_memory().await;
    let id = human(&run).add("work").await.unwrap();
    let mut client = Client::open(&run, Strand::Todo).await;
    let one = client.at(&["todos", &id.to_string()]);
    client.doc.put(&one, "percent", 50).unwrap();
    let edited = client.send().await;
    assert_eq!((edited.changes, edited.events.len(), edited.refused.len()), (1, 0, 1));
    at_rest(&run).await;
    assert_eq!(client.send().await.changes, 0, "it is known now");
}

/// A list for a set made labels of its places, and a value of another type emptied or reopened a todo.
#[tokio::test]
async fn values_of_other_types_do_no_harm() {
    let run = in_memory().await;
    let ada = human(&run);
    let id = ada.add("work").await.unwrap();
    let other = ada.add("other").await.unwrap();
    let label = vec!["kept".to_owned()];
    let close = Operation::Closed { todo: id, reason: String::new() };
    let labels = Operation::LabelsChanged { todo: other, added: label, removed: Vec::new() };
    ada.append([close, labels]).await.unwrap();
    let mut client = Client::open(&run, Strand::Todo).await;
    let todos = client.at(&["todos"]);
    let one = client.at(&["todos", &id.to_string()]);
    client.doc.put(&one, "finished", true).unwrap();
    let two = client.at(&["todos", &other.to_string()]);
    client.doc.put(&two, "labels", "none").unwrap();
    client.doc.put(&two, "blockers", 1).unwrap();
    let third = client.doc.put_object(&todos, "third", ObjType::Map).unwrap();
    client.doc.put(&third, "title", "third").unwrap();
    let list = client.doc.put_object(&third, "labels", ObjType::List).unwrap();
    client.doc.insert(&list, 0, "bug").unwrap();
    client.doc.put(&todos, "fourth", "not a todo").unwrap();
    let edited = client.send().await;
    assert_eq!(edited.refused.len(), 4, "{:?}", edited.refused);
    let state = run.state();
    assert_eq!(state.status_unblocked(state.todo(id).unwrap(), tress::now()), Status::Closed);
    assert!(state.todo(other).unwrap().labels.contains_key("kept"));
    let third = state.todo(TodoId::from_external("third")).unwrap();
    assert_eq!(third.labels.keys().collect::<Vec<_>>(), ["bug"]);
    at_rest(&run).await;
}

/// A text that no event can hold was an error each time, and nothing that came behind it got in.
#[tokio::test]
async fn an_edit_that_is_too_large_is_put_back_and_later_ones_come_in() {
    let run = in_memory().await;
    let id = human(&run).add("work").await.unwrap();
    let mut client = Client::open(&run, Strand::Todo).await;
    let one = client.at(&["todos", &id.to_string()]);
    let extra = client.doc.put_object(&one, "extra", ObjType::Map).unwrap();
    client.doc.put(&extra, "log", "x".repeat(2 << 20)).unwrap();
    let edited = client.send().await;
    assert_eq!((edited.events.len(), edited.refused.len()), (0, 1), "{:?}", edited.refused);
    at_rest(&run).await;
    client.doc.put(&one, "title", "goes on").unwrap();
    client.send().await;
    assert_eq!(&*run.state().todo(id).unwrap().title, "goes on");
    at_rest(&run).await;
}

/// Two who hand in the same changes at once said everything twice.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_same_changes_from_two_sides_are_taken_once() {
    let run = in_memory().await;
    let id = human(&run).add("work").await.unwrap();
    for round in 0..10 {
        let mut client = Client::open(&run, Strand::Todo).await;
        let remarks = client.at(&["todos", &id.to_string(), "remarks"]);
        client.doc.put(&remarks, format!("mine {round}"), format!("remark {round}")).unwrap();
        let (strand, changes) = changes_of(&client.doc.save()).unwrap();
        let both = [client.agent.clone(), run.agent("other", Role::Human)].map(|agent| {
            let changes = changes.clone();
            tokio::spawn(async move { agent.edit_document(strand, changes).await.unwrap() })
        });
        let mut events = 0;
        for task in both {
            events += task.await.unwrap().events.len();
        }
        assert_eq!(events, 1);
    }
    assert_eq!(run.state().todo(id).unwrap().notes.len(), 10);
    at_rest(&run).await;
}

#[tokio::test]
async fn a_design_is_edited_and_its_decisions_stand() {
    let run = in_memory().await;
    let ada = human(&run);
    let decided = ada
        .append([
            Operation::SectionAdded {
                section: "s".into(),
                heading: "Shape".into(),
                level: 2,
                position: 0,
                body: "a log".into(),
            },
            Operation::DecisionRecorded {
                title: "one log".into(),
                context: String::new(),
                decision: "one log a run".into(),
                rationale: String::new(),
                consequences: String::new(),
                supersedes: Vec::new(),
            },
        ])
        .await
        .unwrap();
    let mut client = Client::open(&run, Strand::Design).await;
    let body = client.at(&["sections", "s", "body"]);
    client.doc.splice_text(&body, 5, 0, ", and a fold").unwrap();
    let section = client.at(&["sections", "s"]);
    client.doc.put(&section, "heading", "The shape").unwrap();
    let requirements = client.at(&["requirements"]);
    let new = client.doc.put_object(&requirements, "R1", ObjType::Map).unwrap();
    client.doc.put(&new, "text", "nothing is lost").unwrap();
    client.doc.put(&new, "section", "s").unwrap();
    client.doc.put(&new, "criticality", "high").unwrap();
    let decision = decided.last().unwrap().dot.to_string();
    let decision = client.at(&["decisions", &decision]);
    client.doc.put(&decision, "decision", "no log at all").unwrap();
    let edited = client.send().await;
    assert_eq!(edited.refused.len(), 1);
    assert!(edited.refused[0].reason.contains("supersedes"), "{:?}", edited.refused);
    let state = run.state();
    let section = state.design.sections.get("s").unwrap();
    assert_eq!((&*section.heading, section.body.text()), ("The shape", "a log, and a fold".into()));
    assert_eq!(&*state.design.requirements.get("R1").unwrap().text, "nothing is lost");
    assert_eq!(&*state.design.decisions.front().unwrap().decision, "one log a run");
    at_rest(&run).await;
}

#[tokio::test]
async fn a_document_that_is_no_run_s_is_refused() {
    let mut stranger = AutoCommit::new();
    stranger.put(ROOT, "todos", "mine").unwrap();
    assert!(changes_of(&stranger.save()).is_err());
    assert!(changes_of(b"garbage").is_err());
    assert!(changes_of(b"").is_err());
    // Changes that lack their causes wait, and change nothing.
    let run = in_memory().await;
    human(&run).append([todo(TodoId::from_external("x"), "x")]).await.unwrap();
    let mut client = Client::open(&run, Strand::Todo).await;
    for n in 0..2 {
        client.doc.put(ROOT, "run", format!("{n}")).unwrap();
        client.doc.commit();
    }
    let (strand, changes) = changes_of(&client.doc.save()).unwrap();
    let last = vec![changes.last().unwrap().clone()];
    let edited = client.agent.edit_document(strand, last).await.unwrap();
    assert_eq!((edited.changes, edited.waiting), (0, vec![0]));
    at_rest(&run).await;
}
