//! Oracle of the importers and of the three-way merge: any text is taken or reported, what is
//! planned can be appended, and what was imported is known again.

use tress::formats::history::{Sources, agreement};
use tress::formats::merge::{MergeError, merge};
use tress::formats::{Import, beads, history, markdown, taskmaster};
use tress_engine::{Draft, Log};
use tress_model::{Author, Role, State};

use crate::bytes::Bytes;
use crate::state::{NOON, replica, rich, store};

/// How many formats the first byte chooses among.
pub(crate) const WAYS: usize = 6;
/// What stands between the parts of an input that has several.
pub(crate) const BETWEEN: &[u8] = b"\n====\n";

/// Beads, Task Master, Markdown todos and designs, beads histories, and merges of beads files: the
/// first byte says which.
pub fn import(data: &[u8]) {
    let mut bytes = Bytes::new(data);
    let way = bytes.pick(WAYS);
    let text = String::from_utf8_lossy(bytes.rest());
    match way {
        0 => of_beads(bytes.rest()),
        1 => {
            let import = taskmaster::import_over(&State::default(), &text);
            appended(&mut Log::new(), import);
            taskmaster::import_over(rich(), &text);
        }
        2 => of_markdown(&text, markdown::todos_over),
        3 => of_markdown(&text, markdown::design_over),
        4 => {
            let [issues, events] = parts(bytes.rest());
            let mut log = Log::new();
            appended(&mut log, history::import(&Sources::new(issues, events)));
            agreement(log.state(), issues, events);
        }
        _ => of_merge(parts(bytes.rest())),
    }
}

/// The parts of an input; those that are missing are empty.
fn parts<const N: usize>(bytes: &[u8]) -> [&[u8]; N] {
    let mut rest = bytes;
    std::array::from_fn(|_| {
        let end = rest.windows(BETWEEN.len()).position(|window| window == BETWEEN);
        let (part, after) = rest.split_at(end.unwrap_or(rest.len()));
        rest = after.get(BETWEEN.len()..).unwrap_or_default();
        part
    })
}

/// Appends what is planned, as `tress import` does. All of it is valid.
fn appended(log: &mut Log, import: Import) {
    let drafts = import.operations.into_iter().map(|planned| Draft {
        author: match planned.author {
            Some(name) => Author::new(name, Role::Implementer),
            None => Author::new("ada", Role::Human),
        },
        occurred: planned.occurred,
        operation: planned.operation,
    });
    let drafts: Vec<_> = drafts.collect();
    if drafts.is_empty() {
        return;
    }
    let prepared = log.prepare(replica(1), store(1), drafts, NOON);
    log.commit(prepared.expect("what an importer plans can be appended"));
}

fn of_beads(text: &[u8]) {
    let mut log = Log::new();
    let import = beads::import(text);
    // Blank lines alone have no issue that could keep them.
    let exact = import.report.left_out == 0 && import.report.read > 0;
    appended(&mut log, import);
    let written = beads::export(log.state(), NOON);
    if exact && std::str::from_utf8(text).is_ok() {
        assert_eq!(written.as_bytes(), text, "an export gives back what was imported");
    }
    let again = beads::import_over(log.state(), text).operations;
    assert_eq!(again, [], "what was imported is known again");
    let mut other = Log::new();
    appended(&mut other, beads::import(&written));
    assert_eq!(beads::export(other.state(), NOON), written, "an export means what it came of");
    beads::import_over(rich(), text);
}

type Importer = fn(&State, &str) -> Result<Import, Vec<tress::formats::Problem>>;

fn of_markdown(text: &str, over: Importer) {
    let Ok(import) = over(&State::default(), text) else { return };
    let mut log = Log::new();
    appended(&mut log, import);
    let again = over(log.state(), text).expect("it was taken before").operations;
    assert_eq!(again, [], "what was imported is known again");
    over(rich(), text).ok();
}

fn of_merge([base, ours, theirs]: [&[u8]; 3]) {
    let (one, other) = (merge(base, ours, theirs), merge(base, theirs, ours));
    match (one, other) {
        (Ok(one), Ok(other)) => {
            assert!(one.bytes == other.bytes, "the sides decide");
            // What is cut, or has an id twice, may change once more.
            if !one.report.problems.is_empty() {
                return;
            }
            let bytes = &one.bytes;
            for again in
                [merge(bytes, bytes, bytes), merge(base, bytes, theirs), merge(base, ours, bytes)]
            {
                let again = again.expect("what was merged can be merged").bytes;
                let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
                assert_eq!(text(&again), text(bytes), "what was merged changes");
            }
        }
        (Err(one), Err(other)) => {
            let mirrored = |error: &MergeError| std::mem::discriminant(error);
            assert_eq!(mirrored(&one), mirrored(&other));
        }
        (one, other) => panic!("{one:?} one way, {other:?} the other"),
    }
}
