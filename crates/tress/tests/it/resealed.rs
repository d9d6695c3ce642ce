//! A process that lives holds its documents from one seal to the next; whatever others do in between, they
//! equal the state.

use std::path::Path;

use tress::operation::{ProseField, ProseTarget, Splice, TodoEdit};
use tress::{Documents, Operation, Run, Strand, TodoId};
use tress_documents::project;

use super::seals::{meet, place};
use super::{human, open, tried};

/// Numbers that look like chance, the same for the same seed.
struct Random(u64);

impl Random {
    fn below(&mut self, end: usize) -> usize {
        self.0 =
            self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as usize % end
    }
}

async fn sealed(run: &Run, what: &str) -> Documents {
    let documents = run.documents().await.unwrap();
    let state = run.state();
    assert_eq!(documents.version, state.version, "{what}");
    for strand in Strand::ALL {
        let read = documents.read(strand).unwrap();
        assert_eq!(read, project(&state, strand), "{} {what}", strand.name());
    }
    documents
}

/// One small thing or another.
async fn change(run: &Run, random: &mut Random, todos: &mut Vec<TodoId>) {
    let ada = human(run);
    if todos.len() < 3 || random.below(5) == 0 {
        return todos.push(ada.add(&format!("number {}", todos.len())).await.unwrap());
    }
    let mut any = || todos.get(random.below(todos.len())).copied().unwrap();
    let (todo, other) = (any(), any());
    let text = "word ".repeat(1 + random.below(9));
    let edit = |edit| Operation::TodoEdited { todo, edits: vec![edit] };
    let operation = match random.below(9) {
        0 => edit(TodoEdit::Priority(random.below(5) as u8)),
        1 => edit(TodoEdit::Title(text)),
        2 => Operation::NoteAdded { todo, text, layout: None },
        3 => Operation::ProseEdited {
            target: ProseTarget::Todo(todo, ProseField::Description),
            splices: vec![Splice { at: 0, delete: 0, insert: text }],
        },
        4 => Operation::DependencyAdded {
            todo,
            on: other,
            external_id: None,
            kind: tress::operation::EdgeKind::Blocks,
            layout: None,
        },
        5 => Operation::DependencyRemoved {
            todo,
            on: other,
            kind: tress::operation::EdgeKind::Blocks,
        },
        6 => Operation::SectionAdded {
            section: format!("s{}", random.below(3)),
            heading: text.clone(),
            level: 1,
            position: 1,
            body: text,
        },
        7 => Operation::RunPaused { reason: text },
        _ => {
            let codex = run.agent("codex-1", tress::Role::Implementer);
            if let Ok(claim) = codex.claim(todo, None).await {
                codex.progress(&claim, random.below(100) as u8, &text).await.unwrap();
            }
            return;
        }
    };
    // What cannot be, such as a circle, is in the ledger then.
    ada.append([operation]).await.unwrap();
}

fn remove_documents(store: &Path) {
    std::fs::remove_dir_all(store.join("documents")).unwrap();
}

/// Two processes work on a store, one after the other in any order, and meet another store that seals, too. The
/// documents are deleted at times, and at times somebody still has those of before.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_held_between_seals_is_never_older_than_what_others_sealed() {
    for seed in 0..tried(3, 100) as u64 {
        let (mut random, mut todos) = (Random(seed), Vec::new());
        let (dir, far) = (tempfile::tempdir().unwrap(), place().await);
        let runs = [open(dir.path()).await, open(dir.path()).await];
        let mut before: Option<(Documents, Vec<_>)> = None;
        sealed(&runs[0], "at first").await;
        for round in 0..60 {
            let run = &runs[random.below(2)];
            for _ in 0..1 + random.below(3) {
                change(run, &mut random, &mut todos).await;
            }
            let what = format!("(seed {seed}, round {round})");
            match random.below(12) {
                0 => remove_documents(run.store_dir()),
                1 => {
                    sealed(&far.run, &what).await;
                    meet(run, &far.run).await;
                }
                2 => {
                    meet(run, &far.run).await;
                    change(&far.run, &mut random, &mut todos).await;
                    sealed(&far.run, &what).await;
                    meet(run, &far.run).await;
                }
                // Only looked at.
                3 => drop(run.document_heads().await.unwrap()),
                4 => drop(runs[random.below(2)].seal().await.unwrap()),
                _ => {}
            }
            let documents = sealed(run, &what).await;
            if let Some((before, read)) = &before {
                // What somebody was given stays as it was.
                let now = Strand::ALL.map(|strand| before.read(strand).unwrap());
                assert_eq!(&now[..], &read[..], "{what}");
            }
            if random.below(3) == 0 {
                let read = Strand::ALL.map(|strand| documents.read(strand).unwrap());
                before = Some((documents, read.into()));
            }
        }
        // The same comes of the journals alone.
        let last = sealed(&runs[0], "at last").await;
        let heads = Strand::ALL.map(|strand| last.heads(strand));
        drop(runs);
        let store = tress::Store::open(dir.path().join(".tress")).unwrap();
        assert!(store.check_documents().unwrap());
        drop(store);
        remove_documents(&dir.path().join(".tress"));
        let anew = sealed(&open(dir.path()).await, "anew").await;
        assert_eq!(Strand::ALL.map(|strand| anew.heads(strand)), heads);
    }
}
