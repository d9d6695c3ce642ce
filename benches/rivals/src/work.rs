//! W(n, a), written by Tress and by others: an event in memory, many of them durably, and their history read again.
//!
//! For the others an event is a change of its own of some three fields of a todo, in a map of todos.

use std::time::Duration;

use automerge::transaction::Transactable;
use automerge::{AutoCommit, ObjId, ObjType, ROOT, ReadDoc};
use loro::{ExportMode, LoroDoc, LoroMap};
use tress_bench::durable::{Bare, appended};
use tress_bench::figure::{Figure, Times};
use tress_bench::history::History;
use tress_bench::workload::{self, STORE, Step};
use tress_bench::{Failure, rate};
use tress_engine::Log;
use tress_model::codec;
use tress_model::{Operation, Segment};
use yrs::{Doc, Map, MapPrelim, ReadTxn, StateVector, Transact, Update, updates::decoder::Decode};

/// How many events are written in memory; the slowest of the others takes some seconds for them.
const EVENTS: usize = 20_000;
const AGENTS: usize = 16;
/// How many events a durable append has.
const GROUPS: [usize; 4] = [10, 64, 100, 1_000];

/// A field of a todo.
enum Field {
    Text(&'static str, String),
    Number(&'static str, i64),
}

/// What an event is for those who know only maps: which todo, and what is put.
fn fields(step: &Step) -> (String, Vec<Field>) {
    use Field::{Number, Text};
    let at = Number("at", step.now as i64);
    let by = Text("by", step.author.name.to_string());
    let todo = step.operation.todo().map(|todo| todo.digits()).unwrap_or_default();
    let fields = match &step.operation {
        Operation::TodoAdded { title, .. } => {
            vec![Text("title", title.clone()), Number("priority", 2), by]
        }
        Operation::Claimed { .. } => vec![by, at],
        Operation::ProgressReported { percent, message, .. } => {
            vec![Number("percent", i64::from(*percent)), Text("message", message.clone()), at]
        }
        Operation::CompletionClaimed { implementation, tests, .. } => {
            vec![Text("implementation", implementation.clone()), Text("tests", tests.clone()), at]
        }
        Operation::Verified { verdict, reason, .. } => {
            vec![Text("verdict", format!("{verdict:?}")), Text("reason", reason.clone()), at]
        }
        _ => vec![at],
    };
    (todo, fields)
}

/// How long each of them took.
struct Took {
    write: Duration,
    read: Duration,
}

fn timed<T>(work: impl FnOnce() -> Result<T, Failure>) -> Result<(T, Duration), Failure> {
    let began = std::time::Instant::now();
    let out = work()?;
    Ok((out, began.elapsed()))
}

fn tress(steps: &[Step]) -> Result<Took, Failure> {
    let replicas = workload::replicas(1);
    let replica = replicas.first().ok_or(Failure::History("no replica"))?.replica;
    let append = |log: &mut Log, step: &Step| {
        let prepared = step.prepare(log, replica, step.now)?;
        let segment = prepared.segment();
        log.commit(prepared);
        Ok(segment)
    };
    let (log, write) = timed(|| {
        let mut log = Log::new();
        for step in steps {
            append(&mut log, step)?;
        }
        Ok(log)
    })?;
    let mut again = Log::new();
    let segments: Result<Vec<Segment>, Failure> =
        steps.iter().map(|step| append(&mut again, step)).collect();
    let segments = segments?;
    // As they lie in the journals of those who append in groups.
    let pack = |group: &[Segment]| {
        let records = group.iter().flat_map(|segment| segment.records.iter().cloned());
        let first = group.first()?;
        let whole = Segment { records: records.collect(), ..first.clone() };
        Some((first.first, first.previous, codec::encode_segment(&whole).ok()?))
    };
    let bytes: Vec<_> = segments.chunks(100).filter_map(pack).collect();
    let (again, read) = timed(|| {
        let decode = |(first, previous, body): &(u64, _, Vec<u8>)| {
            codec::decode_segment(replica, STORE, *first, *previous, body)
        };
        let segments: Result<Vec<Segment>, _> = bytes.iter().map(decode).collect();
        let mut log = Log::new();
        log.admit_all(segments.map_err(Failure::other)?, None);
        Ok(log)
    })?;
    if again.state().root() == log.state().root() {
        Ok(Took { write, read })
    } else {
        Err(Failure::History("what was read is not what was written"))
    }
}

fn automerge(steps: &[Step]) -> Result<Took, Failure> {
    let put = |doc: &mut AutoCommit, todos: &ObjId, step: &Step| {
        let (todo, fields) = fields(step);
        let object = match doc.get(todos, todo.as_str())? {
            Some((_, object)) => object,
            None => doc.put_object(todos, todo.as_str(), ObjType::Map)?,
        };
        for field in fields {
            match field {
                Field::Text(name, text) => doc.put(&object, name, text)?,
                Field::Number(name, number) => doc.put(&object, name, number)?,
            }
        }
        doc.commit();
        Ok::<_, automerge::AutomergeError>(())
    };
    let (mut doc, write) = timed(|| {
        let mut doc = AutoCommit::new();
        let todos = doc.put_object(ROOT, "todos", ObjType::Map).map_err(Failure::other)?;
        for step in steps {
            put(&mut doc, &todos, step).map_err(Failure::other)?;
        }
        Ok(doc)
    })?;
    let bytes = doc.save();
    let (_, read) = timed(|| AutoCommit::load(&bytes).map_err(Failure::other))?;
    Ok(Took { write, read })
}

fn loro(steps: &[Step]) -> Result<Took, Failure> {
    let put = |todos: &LoroMap, step: &Step| {
        let (todo, fields) = fields(step);
        let object = todos.ensure_mergeable_map(&todo)?;
        for field in fields {
            match field {
                Field::Text(name, text) => object.insert(name, text)?,
                Field::Number(name, number) => object.insert(name, number)?,
            }
        }
        Ok::<_, loro::LoroError>(())
    };
    let (doc, write) = timed(|| {
        let doc = LoroDoc::new();
        let todos = doc.get_map("todos");
        for step in steps {
            put(&todos, step).map_err(Failure::other)?;
            doc.commit();
        }
        Ok(doc)
    })?;
    // Its history, each change as it was made: a snapshot is not replayed.
    let bytes = doc.export(ExportMode::all_updates()).map_err(Failure::other)?;
    let (_, read) = timed(|| {
        let doc = LoroDoc::new();
        doc.import(&bytes).map_err(Failure::other)?;
        Ok(doc)
    })?;
    Ok(Took { write, read })
}

fn yrs(steps: &[Step]) -> Result<Took, Failure> {
    let (doc, write) = timed(|| {
        let doc = Doc::new();
        let todos = doc.get_or_insert_map("todos");
        for step in steps {
            let (todo, fields) = fields(step);
            let mut change = doc.transact_mut();
            let object = match todos.get(&change, &todo) {
                Some(yrs::Out::YMap(object)) => object,
                _ => todos.insert(&mut change, todo, MapPrelim::default()),
            };
            for field in fields {
                match field {
                    Field::Text(name, text) => object.insert(&mut change, name, text),
                    Field::Number(name, number) => object.insert(&mut change, name, number),
                };
            }
        }
        Ok(doc)
    })?;
    let bytes = doc.transact().encode_state_as_update_v1(&StateVector::default());
    let (_, read) = timed(|| {
        let doc = Doc::new();
        let update = Update::decode_v1(&bytes).map_err(Failure::other)?;
        doc.transact_mut().apply_update(update).map_err(Failure::other)?;
        Ok(doc)
    })?;
    Ok(Took { write, read })
}

/// The median of three.
fn median(mut of: impl FnMut() -> Result<Took, Failure>) -> Result<(f64, f64), Failure> {
    let (mut write, mut read) = (Times::default(), Times::default());
    for _ in 0..3 {
        let took = of()?;
        write.push(took.write);
        read.push(took.read);
    }
    Ok((write.median(), read.median()))
}

/// SQLite with a write-ahead log, synced at each commit: a row an event.
fn sqlite(group: &[u8], events: usize, count: usize) -> Result<Duration, Failure> {
    let dir = tempfile::TempDir::new().map_err(Failure::other)?;
    let mut db =
        rusqlite::Connection::open(dir.path().join("events.db")).map_err(Failure::other)?;
    let begin = || {
        db.pragma_update(None, "journal_mode", "WAL")?;
        db.pragma_update(None, "synchronous", "FULL")?;
        db.execute("CREATE TABLE events (number INTEGER PRIMARY KEY, body BLOB NOT NULL)", ())
    };
    begin().map_err(Failure::other)?;
    let body = group.get(..group.len() / events.max(1)).unwrap_or_default();
    let mut append = || {
        let change = db.transaction()?;
        {
            let mut insert = change.prepare_cached("INSERT INTO events (body) VALUES (?1)")?;
            for _ in 0..events {
                insert.execute([body])?;
            }
        }
        change.commit()
    };
    let ((), took) = timed(|| (0..count).try_for_each(|_| append()).map_err(Failure::other))?;
    Ok(took)
}

pub(crate) fn measure_memory(_: &History) -> Result<Vec<Figure>, Failure> {
    let steps = workload::make(EVENTS, AGENTS, &workload::replicas(1));
    let (write, read) = median(|| tress(&steps))?;
    let per_second = |millis: f64| EVENTS as f64 / millis * 1e3;
    let mut figures = Vec::new();
    type Rival = fn(&[Step]) -> Result<Took, Failure>;
    let rivals: [(&str, &'static str, Rival); 3] =
        [("automerge", "Automerge's", automerge), ("loro", "Loro's", loro), ("yrs", "Yrs'", yrs)];
    for (name, whose, rival) in rivals {
        eprintln!("{name}");
        let (their_write, their_read) = median(|| rival(&steps))?;
        for (what, ours, theirs) in [("append", write, their_write), ("replay", read, their_read)] {
            let figure =
                Figure::new(format!("rivals/events/{what}/{name}"), per_second(ours), "events/s")
                    .outrun(whose, per_second(theirs));
            // The goals are said of Automerge.
            figures.push(match name {
                "automerge" => figure.at_least(20.0 * per_second(theirs)),
                _ => figure,
            });
        }
    }
    Ok(figures)
}

pub(crate) fn measure_durable(_: &History) -> Result<Vec<Figure>, Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(Failure::other)?;
    let mut figures = Vec::new();
    for group in GROUPS {
        let count = 200;
        let events = group * count;
        // With a thread that does the run's work; in place, as SQLite does it; a bare file; SQLite.
        let mut rates = <[Vec<f64>; 4]>::default();
        for _ in 0..3 {
            let append = |in_place| {
                let appended = appended(in_place, (events, AGENTS), group);
                let (took, bytes) = runtime.block_on(appended)?;
                Ok::<_, Failure>((took.iter().sum::<Duration>(), bytes))
            };
            let (threads, bytes) = append(false)?;
            let (in_place, _) = append(true)?;
            let each = vec![0x5A; bytes as usize / count];
            let mut file = Bare::new(bytes as usize).map_err(Failure::other)?;
            let write = || (0..count).try_for_each(|_| file.append(&each)).map_err(Failure::other);
            let bare = timed(write)?.1;
            let took = [threads, in_place, bare, sqlite(&each, group, count)?];
            rates.iter_mut().zip(took).for_each(|(rates, took)| rates.push(rate(events, took)));
        }
        let [threads, in_place, bare, theirs] = rates.map(|mut rates| {
            rates.sort_by(f64::total_cmp);
            rates.get(1).copied().unwrap_or_default()
        });
        for (how, ours) in [("durable", threads), ("durable/in-place", in_place)] {
            let name = |rival: &str| format!("rivals/events/{how}/{rival}/{group}");
            figures.push(
                Figure::new(name("bare"), ours, "events/s")
                    .outrun("a bare file", bare)
                    .at_least(0.8 * bare),
            );
            figures.push(
                Figure::new(name("sqlite"), ours, "events/s")
                    .outrun("SQLite (WAL, FULL)", theirs)
                    .at_least(theirs),
            );
        }
    }
    Ok(figures)
}
