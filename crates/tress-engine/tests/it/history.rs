//! Random histories: up to eight replicas that append all kinds of operations, in groups that a
//! partition keeps apart, with clocks that disagree and messages that come twice and out of order.

use std::collections::BTreeMap;

use proptest::prelude::*;
use tress_engine::{Draft, Log};
use tress_model::event::Head;
use tress_model::operation::TodoEdit;
use tress_model::{Author, Operation, ReplicaId, Role, Segment, StoreId};

use crate::operations::{operation, todo};

pub(crate) const REPLICAS_MAX: usize = 8;

/// One step of a history.
#[derive(Debug, Clone)]
pub(crate) enum Step {
    /// A replica appends operations of some kind, made from some numbers, as one segment.
    Append { replica: usize, kind: u8, a: u8, b: u8, delay: u16, count: u8 },
    /// A replica is sent everything that another knows, some of it twice, in some order; unless
    /// a partition lies between them.
    Exchange { from: usize, to: usize, mix: u32 },
    /// From now on replicas reach only those of their own group, by two bits of a number.
    Partition { groups: u16 },
    /// All reach all again.
    Heal,
}

pub(crate) fn steps(replicas: usize, len: usize) -> impl Strategy<Value = Vec<Step>> {
    let count = prop_oneof![5 => Just(1_u8), 1 => 2_u8..4];
    let append = (0..replicas, any::<u8>(), any::<u8>(), any::<u8>(), 0_u16..2000, count).prop_map(
        |(replica, kind, a, b, delay, count)| Step::Append { replica, kind, a, b, delay, count },
    );
    let exchange = (0..replicas, 0..replicas, any::<u32>())
        .prop_map(|(from, to, mix)| Step::Exchange { from, to, mix });
    let partition = any::<u16>().prop_map(|groups| Step::Partition { groups });
    let step = prop_oneof![12 => append, 5 => exchange, 1 => partition, 1 => Just(Step::Heal)];
    prop::collection::vec(step, 1..len)
}

/// A number of replicas, and a history for them.
pub(crate) fn histories(len: usize) -> impl Strategy<Value = (usize, Vec<Step>)> {
    (2..=REPLICAS_MAX).prop_flat_map(move |replicas| (Just(replicas), steps(replicas, len)))
}

pub(crate) struct Replica {
    pub id: ReplicaId,
    pub store: StoreId,
    pub log: Log,
    clock: u64,
}

impl Replica {
    fn append(&mut self, drafts: Vec<Draft>) -> Segment {
        let prepared = self.log.prepare(self.id, self.store, drafts, self.clock);
        let prepared = prepared.expect("valid operations");
        let segment = prepared.segment();
        self.log.commit(prepared);
        segment
    }
}

/// Three todos that everybody knows from the start, so that the operations meet.
fn begin(team: &mut [Replica]) -> Vec<Segment> {
    let draft = |number| Draft {
        author: Author::new("agent-0", Role::Coordinator),
        occurred: Some(1000),
        operation: Operation::TodoAdded {
            todo: todo(number),
            external_id: Some(format!("todo-{number}")),
            title: format!("title {number}"),
            edits: vec![TodoEdit::Priority(1)],
            prose: Vec::new(),
            labels: vec!["label-0".to_owned()],
            layout: None,
        },
    };
    let segment = team[0].append((0..3).map(draft).collect());
    for replica in team {
        replica.log.admit(segment.clone(), None);
    }
    vec![segment]
}

/// Plays a history; gives the replicas and every segment that was written, in order.
pub(crate) fn play(replicas: usize, steps: &[Step]) -> (Vec<Replica>, Vec<Segment>) {
    let mut team: Vec<Replica> = (0..replicas)
        .map(|number| Replica {
            id: ReplicaId([number as u8 + 1; 16]),
            store: StoreId([number as u8 % 2 + 1; 16]),
            log: Log::new(),
            // Clocks that disagree by up to some seconds.
            clock: 1_000_000 + number as u64 * 700,
        })
        .collect();
    let mut segments = begin(&mut team);
    let mut groups = 0_u16;
    let group = |groups: u16, replica: usize| groups >> (2 * replica) & 3;
    for step in steps {
        match *step {
            Step::Append { replica, kind, a, b, delay, count } => {
                let me = &mut team[replica];
                me.clock += u64::from(delay);
                let draft = |number: u8| {
                    let (a, b) = (a.wrapping_add(number), b.wrapping_mul(number * 2 + 1));
                    let role = Role::ALL[usize::from(b) / 4 % Role::ALL.len()];
                    let author = Author::new(format!("agent-{}", b % 4), role);
                    let kind = kind.wrapping_add(number * 31);
                    let operation = operation(me.log.state(), kind, a, b);
                    Draft { author, occurred: None, operation }
                };
                let drafts = (0..count).map(draft).collect();
                segments.push(me.append(drafts));
            }
            Step::Exchange { from, to, mix } if group(groups, from) == group(groups, to) => {
                let known = team[from].log.version().clone();
                let held = segments.iter().filter(|s| known.get(s.replica) >= s.last());
                let lacks = team[to].log.version().clone();
                let twice = held.enumerate().filter(|(at, segment)| {
                    lacks.get(segment.replica) < segment.last()
                        || (*at as u32 ^ mix).is_multiple_of(3)
                });
                let sent: Vec<_> = twice.map(|(_, segment)| segment.clone()).collect();
                for part in mixed(&sent, mix).chunks(mix as usize % 5 + 1) {
                    let admission = team[to].log.admit_all(part.iter().cloned(), None);
                    assert!(admission.rejected.is_empty(), "{:?}", admission.rejected);
                }
            }
            Step::Exchange { .. } => {}
            Step::Partition { groups: new } => groups = new,
            Step::Heal => groups = 0,
        }
    }
    (team, segments)
}

/// The segments in another order.
pub(crate) fn mixed(segments: &[Segment], mix: u32) -> Vec<Segment> {
    let mut order: Vec<usize> = (0..segments.len()).collect();
    order.sort_by_key(|&index| {
        (index as u32 ^ mix).wrapping_mul(2_654_435_761).rotate_left(mix % 29)
    });
    order.into_iter().map(|index| segments[index].clone()).collect()
}

/// The same events, cut into other segments, which overlap here and there. No segment learns of
/// others behind its beginning: none that is written does, and it would wait for what waits for it.
pub(crate) fn recut(segments: &[Segment], mix: u32) -> Vec<Segment> {
    let mut turn = mix;
    cut(segments, || {
        turn = turn.wrapping_mul(1_103_515_245).wrapping_add(12_345);
        (turn as usize / 64 % 4 + 1, turn & 32 == 0)
    })
}

/// The same events, each in a segment of its own.
pub(crate) fn singles(segments: &[Segment]) -> Vec<Segment> {
    cut(segments, || (1, false))
}

/// Cuts each replica's chain anew: how many events, and whether the next segment begins with the
/// last of them.
fn cut(segments: &[Segment], mut next: impl FnMut() -> (usize, bool)) -> Vec<Segment> {
    let mut chains: BTreeMap<ReplicaId, Segment> = BTreeMap::new();
    for segment in segments {
        let begin = || Segment { records: Vec::new(), ..segment.clone() };
        let chain = chains.entry(segment.replica).or_insert_with(begin);
        chain.records.extend(segment.records.iter().cloned());
    }
    let mut pieces = Vec::new();
    for chain in chains.into_values() {
        let resolved = chain.clone().resolve(&Head::genesis(chain.store));
        let (events, _) = resolved.expect("a whole chain");
        let (mut from, mut done) = (0_usize, 0_usize);
        while done < events.len() {
            let (count, overlap) = next();
            let learns = |at: &usize| !chain.records[*at].learned.is_empty();
            let bound = (done + 1..events.len()).find(learns).unwrap_or(events.len());
            let to = (done + count).min(bound);
            let previous = from.checked_sub(1).map_or(chain.previous, |last| events[last].id);
            let (first, records) = (chain.first + from as u64, chain.records[from..to].to_vec());
            pieces.push(Segment { first, previous, records, ..chain.clone() });
            done = to;
            from = to - usize::from(overlap);
        }
    }
    pieces
}

/// All events of all replicas in one log.
pub(crate) fn merged(segments: &[Segment]) -> Log {
    let mut log = Log::new();
    let admission = log.admit_all(segments.iter().cloned(), None);
    assert!(admission.rejected.is_empty(), "{:?}", admission.rejected);
    assert_eq!(admission.waiting, 0);
    log
}
