//! A peer that is 1,000 events behind of 100,000: our sync session, and Automerge's own sync protocol
//! on a document with the same events, one change each, a field a put.
//!
//! The first 99,000 changes are made by actors that know everything, so the document has one head then: in
//! its favour. The last 1,000, those that are sent, know what their events knew.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::sync::Arc;
use std::time::{Duration, Instant};

use automerge::sync::{State as SyncState, SyncDoc};
use automerge::transaction::Transactable;
use automerge::{ActorId, AutoCommit, Change, ObjId, ObjType, ROOT, ReadDoc};
use serde_json::Value;
use tress_bench::Failure;
use tress_bench::figure::{Figure, Times};
use tress_bench::history::History;
use tress_bench::sync::{self, BEHIND};
use tress_engine::Log;
use tress_model::{Dot, Event, Operation, ReplicaId, VersionVector};

/// How much less we are to send.
const LESS: f64 = 10.0;

pub(crate) fn measure_all(history: &History) -> Result<Vec<Figure>, Failure> {
    let mut whole = Log::new();
    whole.admit_all(history.segments.iter().cloned(), None);
    let behind = sync::behind(history)?;
    let mut ours = Times::default();
    let mut talked = sync::Talked::default();
    for _ in 0..5 {
        talked = sync::talk(behind.clone(), whole.clone())?;
        ours.push(talked.took);
    }
    eprintln!("an Automerge document of the same events");
    let mut document = Document::new()?;
    let (first, last) = whole.events().split_at(whole.events().len().saturating_sub(BEHIND));
    for event in first {
        document.add(event)?;
    }
    let old = document.doc.save();
    let mut ahead = concurrently(&mut document, last)?;
    let mut behind = AutoCommit::load(&old).map_err(Failure::other)?;
    let theirs = catch_up(&mut behind, &mut ahead)?;
    let mut equal = ahead.fork();
    let told = catch_up(&mut equal, &mut ahead)?;
    let rival = "Automerge's sync";
    let bytes = talked.bytes as f64;
    Ok(vec![
        Figure::new("rivals/sync/catch_up/bytes", bytes, "B")
            .against(rival, theirs.bytes as f64)
            .below(theirs.bytes as f64 / LESS),
        Figure::new("rivals/sync/catch_up/round_trips", talked.trips as f64, "trips")
            .against(rival, theirs.trips as f64),
        Figure::median("rivals/sync/catch_up/time", &ours)
            .against(rival, theirs.took.as_secs_f64() * 1e3)
            .below(theirs.took.as_secs_f64() * 1e3 / 100.0),
        Figure::new("rivals/sync/automerge/catch_up/bytes", theirs.bytes as f64, "B"),
        Figure::new("rivals/sync/automerge/equal/bytes", told.bytes as f64, "B"),
    ])
}

/// Adds `events` to forks of a document, one for each replica, each of which knows what its events knew
/// and no more; gives one with all of them.
fn concurrently(document: &mut Document, events: &[Arc<Event>]) -> Result<AutoCommit, Failure> {
    let mut forks: BTreeMap<ReplicaId, (Document, VersionVector)> = BTreeMap::new();
    let mut changes: BTreeMap<Dot, Change> = BTreeMap::new();
    let mut all = document.doc.fork();
    for event in events {
        let replica = event.dot.replica;
        let (fork, known) = match forks.entry(replica) {
            Entry::Occupied(entry) => entry.into_mut(),
            Entry::Vacant(entry) => entry.insert((document.fork(), VersionVector::new())),
        };
        // What is in no map was there before.
        let learned =
            changes.keys().filter(|dot| event.version().contains(**dot) && !known.contains(**dot));
        let learned: Vec<Dot> = learned.copied().collect();
        // In the order of their numbers; Automerge waits for causes by itself.
        let new = learned.iter().filter_map(|dot| changes.get(dot)).cloned();
        fork.doc.apply_changes(new).map_err(Failure::other)?;
        known.merge(&event.version());
        known.insert(event.dot);
        fork.add(event)?;
        let change = fork.doc.get_last_local_change();
        let change = change.ok_or(Failure::History("an event made no change"))?.clone();
        all.apply_changes([change.clone()]).map_err(Failure::other)?;
        changes.insert(event.dot, change);
    }
    Ok(all)
}

/// An Automerge document that events are written to.
struct Document {
    doc: AutoCommit,
    todos: ObjId,
    objects: BTreeMap<String, ObjId>,
}

impl Document {
    fn new() -> Result<Self, Failure> {
        let mut doc = AutoCommit::new();
        let todos = doc.put_object(ROOT, "todos", ObjType::Map).map_err(Failure::other)?;
        doc.commit();
        Ok(Self { doc, todos, objects: BTreeMap::new() })
    }

    fn fork(&mut self) -> Self {
        let (todos, objects) = (self.todos.clone(), self.objects.clone());
        Self { doc: self.doc.fork(), todos, objects }
    }

    /// Writes an event as one change of its replica: each of its fields is a put in the object of what
    /// it is about.
    fn add(&mut self, event: &Event) -> Result<(), Failure> {
        let actor = ActorId::from(&event.dot.replica.as_bytes()[..]);
        if self.doc.get_actor() != &actor {
            self.doc.set_actor(actor);
        }
        let (about, fields) = fields(&event.operation)?;
        let object = match self.objects.get(&about) {
            Some(object) => object.clone(),
            None => {
                // Another replica may have made it.
                let known = self.doc.get(&self.todos, about.as_str()).map_err(Failure::other)?;
                let made = match known {
                    Some((_, id)) => Ok(id),
                    None => self.doc.put_object(&self.todos, about.as_str(), ObjType::Map),
                };
                let made = made.map_err(Failure::other)?;
                self.objects.insert(about, made.clone());
                made
            }
        };
        for (name, value) in fields {
            let put = match value {
                Value::Bool(yes) => self.doc.put(&object, name, yes),
                Value::Number(number) => {
                    self.doc.put(&object, name, number.as_i64().unwrap_or_default())
                }
                Value::String(text) => self.doc.put(&object, name, text),
                other => self.doc.put(&object, name, other.to_string()),
            };
            put.map_err(Failure::other)?;
        }
        let put = self.doc.put(&object, "by", &*event.author.name);
        put.and_then(|()| self.doc.put(&object, "at", event.time.millis as i64))
            .map_err(Failure::other)?;
        self.doc.commit();
        Ok(())
    }
}

/// What an operation is about, and its fields.
fn fields(operation: &Operation) -> Result<(String, Vec<(String, Value)>), Failure> {
    let value = serde_json::to_value(operation).map_err(Failure::other)?;
    let (kind, content) = match value {
        Value::Object(mut map) => match map.keys().next().cloned() {
            Some(kind) => {
                let content = map.remove(&kind).unwrap_or_default();
                (kind, content)
            }
            None => ("empty".to_owned(), Value::Null),
        },
        Value::String(kind) => (kind, Value::Null),
        _ => ("other".to_owned(), Value::Null),
    };
    let mut fields: Vec<(String, Value)> = match content {
        Value::Object(map) => map.into_iter().filter(|(_, value)| !value.is_null()).collect(),
        Value::Null => Vec::new(),
        other => vec![(kind.clone(), other)],
    };
    let about = fields.iter().position(|(name, _)| name == "todo");
    let about = about.map(|at| fields.remove(at).1.to_string()).unwrap_or(kind);
    Ok((about, fields))
}

/// What a conversation cost.
struct Cost {
    bytes: usize,
    trips: usize,
    took: Duration,
}

/// Lets `behind` and `ahead` talk until neither has anything to say.
fn catch_up(behind: &mut AutoCommit, ahead: &mut AutoCommit) -> Result<Cost, Failure> {
    let (mut of_behind, mut of_ahead) = (SyncState::new(), SyncState::new());
    let mut cost = Cost { bytes: 0, trips: 0, took: Duration::ZERO };
    let started = Instant::now();
    for _ in 0..20 {
        let asked = behind.sync().generate_sync_message(&mut of_behind);
        if let Some(message) = &asked {
            let message = message.clone();
            cost.bytes += message.clone().encode().len();
            ahead.sync().receive_sync_message(&mut of_ahead, message).map_err(Failure::other)?;
        }
        let answer = ahead.sync().generate_sync_message(&mut of_ahead);
        if let Some(message) = &answer {
            let message = message.clone();
            cost.bytes += message.clone().encode().len();
            behind.sync().receive_sync_message(&mut of_behind, message).map_err(Failure::other)?;
        }
        if asked.is_none() && answer.is_none() {
            break;
        }
        cost.trips += 1;
    }
    cost.took = started.elapsed();
    if behind.get_heads() == ahead.get_heads() {
        Ok(cost)
    } else {
        Err(Failure::History("the documents did not come to the same"))
    }
}
