//! Who wrote what: signatures, and what they cover.
//!
//! Each event is chained to the one before it by its hash, so whoever vouches for an event vouches for
//! all of its replica before it. A *member* is a store whose key the run lists. It signs the heads of its
//! own replicas, now and then, by an event ([`Operation::HeadsSigned`]). What it signs is the id that this
//! event would have without its signature: so the signature is of this event and no other, and of all
//! that its replica wrote before. What is covered can be forged by nobody who lacks the key, whoever
//! carried it.
//!
//! Whom to trust is said from outside: *roots*, keys that somebody pinned. From there on the run says it
//! itself: a member's covered [`Operation::MemberAdded`] makes another one a member, and
//! [`Operation::MemberRemoved`] ends that.
//!
//! What this cannot do: it does not show that something was held back, and a member that was removed can
//! sign as of a time before that, behind what it had signed.

use std::collections::{BTreeMap, BTreeSet};

use std::sync::Arc;

use tress_model::clock::Millis;
use tress_model::codec::EventHasher;
use tress_model::operation::SignedHead;
use tress_model::{Author, Dot, Event, EventId, Operation, OrderKey, ReplicaId, StoreId};

use crate::log::{Draft, Log, PrepareError, Prepared};
use crate::sync::as_written;

/// An ed25519 public key (RFC 8032).
pub type Key = [u8; 32];

/// Says whether a signature of a message is by a key. The engine knows no cryptography.
pub type Verify<'a> = &'a dyn Fn(&Key, &[u8], &[u8]) -> bool;

/// What is known of who wrote a log.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Signed {
    /// The members, with their keys.
    pub members: BTreeMap<StoreId, Key>,
    /// Up to which event each replica's chain is signed by a member.
    pub covered: BTreeMap<ReplicaId, u64>,
}

impl Signed {
    /// Whether an event was written by a member, for sure.
    pub fn covers(&self, dot: Dot) -> bool {
        self.covered.get(&dot.replica).is_some_and(|last| dot.number <= *last)
    }
}

/// What is signed of an event that would have the id `id` without its signature: bytes that mean nothing else.
fn to_sign(id: EventId) -> Vec<u8> {
    [b"tress 2026 signed heads, v1\0".as_slice(), id.as_bytes()].concat()
}

/// A signature whose makers are not members yet.
struct Open<'a> {
    event: &'a Arc<Event>,
    store: StoreId,
    heads: &'a [SignedHead],
    signature: &'a [u8],
}

impl Open<'_> {
    /// What its store has signed, if it has.
    fn message(&self, log: &Log) -> Option<Vec<u8>> {
        let (previous, mut record) = as_written(log, self.event)?;
        let (heads, signature) = (self.heads.to_vec(), Vec::new());
        record.operation = Operation::HeadsSigned { heads, signature };
        let id = EventHasher::new(self.store).id(previous, self.event.dot, &record).ok()?;
        Some(to_sign(id))
    }
}

impl Log {
    /// Prepares the event by which `author` signs `heads`, and what `replica` wrote before, in the name of `store`.
    ///
    /// # Errors
    /// As [`Log::prepare`].
    pub fn prepare_signature(
        &self,
        (replica, store): (ReplicaId, StoreId),
        author: Author,
        heads: Vec<SignedHead>,
        now: Millis,
        sign: impl FnOnce(&[u8]) -> Vec<u8>,
    ) -> Result<Prepared, PrepareError> {
        let prepare = |signature| {
            let operation = Operation::HeadsSigned { heads: heads.clone(), signature };
            let draft = Draft { author: author.clone(), occurred: None, operation };
            self.prepare(replica, store, vec![draft], now)
        };
        let unsigned = prepare(Vec::new())?;
        let id = unsigned.events.first().map_or(EventId::GENESIS, |event| event.id);
        prepare(sign(&to_sign(id)))
    }

    /// The heads of the replicas of `store` that have grown since it signed them last: what there is to
    /// sign. Linear in the events. Nothing where only signatures came.
    pub fn unsigned_heads(&self, store: StoreId, signed: &Signed) -> Vec<SignedHead> {
        let mut heads = Vec::new();
        for (replica, number) in self.version().iter() {
            let known = signed.covered.get(&replica).copied().unwrap_or_default();
            let own = self.store_of(replica) == Some(store);
            let mut new = (known + 1..=number).filter_map(|n| self.event(Dot::new(replica, n)));
            let speaks =
                |event: &Arc<Event>| !matches!(event.operation, Operation::HeadsSigned { .. });
            if own
                && new.any(speaks)
                && let Some(event) = self.event(Dot::new(replica, number))
            {
                heads.push(SignedHead { dot: event.dot, id: event.id });
            }
        }
        heads
    }

    /// Who the members are and what they signed, where `roots` are members to begin with. For a log that
    /// holds everything from the first event on. Linear in the events, for each member that others made one.
    pub fn signed(&self, roots: &BTreeMap<StoreId, Key>, verify: Verify<'_>) -> Signed {
        let mut signed = Signed { members: roots.clone(), covered: BTreeMap::new() };
        let mut open: Vec<Open<'_>> = Vec::new();
        let mut changes: Vec<(&Arc<Event>, StoreId)> = Vec::new();
        for event in self.events() {
            let Some(store) = self.store_of(event.dot.replica) else { continue };
            match &event.operation {
                Operation::HeadsSigned { heads, signature } => {
                    open.push(Open { event, store, heads, signature });
                }
                Operation::MemberAdded { .. } | Operation::MemberRemoved { .. } => {
                    changes.push((event, store));
                }
                _ => {}
            }
        }
        let mut removed: BTreeMap<StoreId, OrderKey> = BTreeMap::new();
        let mut done: BTreeSet<Dot> = BTreeSet::new();
        loop {
            let mut news = false;
            open.retain(|one| {
                let Some(key) = signed.members.get(&one.store) else { return true };
                let late = removed.get(&one.store).is_some_and(|at| one.event.order() > *at);
                let message = one.message(self).filter(|_| !late);
                if message.is_some_and(|message| verify(key, &message, one.signature)) {
                    news |= self.cover(one, &mut signed);
                }
                // One that is late, or wrong, stays so.
                false
            });
            for (event, store) in &changes {
                if !signed.covers(event.dot)
                    || !signed.members.contains_key(store)
                    || !done.insert(event.dot)
                {
                    continue;
                }
                news = true;
                match &event.operation {
                    Operation::MemberAdded { store, key } => {
                        signed.members.entry(*store).or_insert(*key);
                    }
                    Operation::MemberRemoved { store } => {
                        removed.entry(*store).or_insert_with(|| event.order());
                    }
                    _ => {}
                }
            }
            if !news {
                signed.members.retain(|store, _| !removed.contains_key(store));
                return signed;
            }
        }
    }

    /// Notes what a sound signature covers: chains of its own store, as they are here.
    fn cover(&self, one: &Open<'_>, signed: &mut Signed) -> bool {
        let before = signed.covered.clone();
        for SignedHead { dot, id } in one.heads {
            let here = self.event(*dot).is_some_and(|event| event.id == *id);
            if here && self.store_of(dot.replica) == Some(one.store) {
                let last = signed.covered.entry(dot.replica).or_default();
                *last = (*last).max(dot.number);
            }
        }
        // What is signed holds the id of the event before it, and with it all of its own chain.
        let Dot { replica, number } = one.event.dot;
        let last = signed.covered.entry(replica).or_default();
        *last = (*last).max(number);
        signed.covered != before
    }
}

#[cfg(test)]
mod tests {
    use tress_model::event::Record;
    use tress_model::{Role, Segment, VersionVector};

    use super::*;

    /// A signature that only who knows the "key" makes: it is the message, and the key.
    fn sign(key: u8, message: &[u8]) -> Vec<u8> {
        [message, &[key; 32]].concat()
    }

    fn verify(key: &Key, message: &[u8], signature: &[u8]) -> bool {
        signature == [message, key].concat()
    }

    struct Writer {
        log: Log,
        now: u64,
    }

    impl Writer {
        /// `store` appends to the replica of the same number.
        fn write(&mut self, store: u8, operation: Operation) -> Dot {
            self.now += 1000;
            let author = Author::new("ada", Role::Human);
            let draft = Draft { author, occurred: None, operation };
            let (replica, store) = (ReplicaId([store; 16]), StoreId([store; 16]));
            let prepared = self.log.prepare(replica, store, vec![draft], self.now).unwrap();
            let dot = prepared.events.first().unwrap().dot;
            self.log.commit(prepared);
            dot
        }

        fn say(&mut self, store: u8) -> Dot {
            self.write(store, Operation::RunResumed)
        }

        fn sign(&mut self, store: u8, key: u8) -> Dot {
            let heads = self.log.unsigned_heads(StoreId([store; 16]), &self.signed());
            self.sign_heads(store, key, heads)
        }

        fn sign_heads(&mut self, store: u8, key: u8, heads: Vec<SignedHead>) -> Dot {
            self.now += 1000;
            let author = Author::new("ada", Role::Human);
            let ids = (ReplicaId([store; 16]), StoreId([store; 16]));
            let signed = |message: &[u8]| sign(key, message);
            let prepared =
                self.log.prepare_signature(ids, author, heads, self.now, signed).unwrap();
            let dot = prepared.events.first().unwrap().dot;
            self.log.commit(prepared);
            dot
        }

        fn add(&mut self, by: u8, store: u8, key: u8) -> Dot {
            self.write(by, Operation::MemberAdded { store: StoreId([store; 16]), key: [key; 32] })
        }

        fn signed(&self) -> Signed {
            let roots = [(StoreId([1; 16]), [1; 32])].into();
            self.log.signed(&roots, &verify)
        }

        fn covers(&self, dot: Dot) -> bool {
            self.signed().covers(dot)
        }
    }

    #[test]
    fn a_signature_covers_what_its_store_wrote_before_it_and_nothing_else() {
        let mut run = Writer { log: Log::new(), now: 0 };
        let (one, other) = (run.say(1), run.say(2));
        assert!(!run.covers(one), "nobody has signed it");
        let signature = run.sign(1, 1);
        let later = run.say(1);
        assert!(run.covers(one) && run.covers(signature));
        assert!(!run.covers(later) && !run.covers(other));
        assert!(run.log.unsigned_heads(StoreId([1; 16]), &run.signed()).len() == 1);
        run.sign(1, 1);
        assert!(run.covers(later));
        assert!(run.log.unsigned_heads(StoreId([1; 16]), &run.signed()).is_empty());
        // No key, no cover; and nobody signs what another store wrote.
        let forged = run.sign(2, 2);
        assert!(!run.covers(other) && !run.covers(forged));
        let head = run.log.event(other).unwrap();
        let heads = vec![SignedHead { dot: head.dot, id: head.id }];
        run.sign_heads(1, 1, heads);
        assert!(!run.covers(other));
    }

    /// Somebody in between takes a signed event and says something else with it.
    #[test]
    fn a_signature_is_of_one_event_and_no_other() {
        let mut run = Writer { log: Log::new(), now: 0 };
        run.say(1);
        run.sign(1, 1);
        let given = crate::sync::lacking(&run.log, &VersionVector::new(), Default::default());
        let given = given.unwrap();
        let covered = |segments: Vec<Segment>| {
            let mut log = Log::new();
            log.admit_all(segments, None);
            Writer { log, now: 0 }.signed().covered.values().sum::<u64>()
        };
        assert_eq!(covered(given.clone()), 2);
        let forgeries: [fn(&mut Record); 4] = [
            |record| record.time.millis += 1,
            |record| record.author = Author::new("eve", Role::Human),
            |record| record.occurred = Some(1),
            |record| {
                if let Operation::HeadsSigned { signature, .. } = &mut record.operation {
                    signature.push(0);
                }
            },
        ];
        for (n, forge) in forgeries.into_iter().enumerate() {
            let mut forged = given.clone();
            forge(forged[0].records.last_mut().unwrap());
            assert_eq!(covered(forged), 0, "forgery {n}");
        }
        // The same signature, once more, in the next place.
        let mut again = given.clone();
        let mut record = again[0].records.last().unwrap().clone();
        record.time.millis += 1000;
        again[0].records.push(record);
        assert_eq!(covered(again), 2);
        // And in a chain of its own.
        let mut apart = given;
        let record = apart[0].records.pop().unwrap();
        let first =
            Segment { replica: ReplicaId([8; 16]), records: vec![record], ..apart[0].clone() };
        apart.push(first);
        assert_eq!(covered(apart), 0);
    }

    #[test]
    fn members_are_made_by_members_and_end_by_them() {
        let mut run = Writer { log: Log::new(), now: 0 };
        // Nobody makes itself a member, and what is not signed makes nobody one.
        run.add(3, 3, 3);
        run.sign(3, 3);
        run.add(1, 2, 2);
        assert_eq!(run.signed().members.len(), 1);
        run.sign(1, 1);
        assert_eq!(
            run.signed().members.keys().copied().collect::<Vec<_>>(),
            [[1; 16], [2; 16]].map(StoreId)
        );
        // A member of a member, and in any order.
        let said = run.say(4);
        run.sign(4, 4);
        run.add(2, 4, 4);
        run.sign(2, 2);
        assert!(run.covers(said));
        // Another key for a member is none.
        run.add(2, 1, 9);
        run.sign(2, 2);
        let wrong = run.say(1);
        run.sign(1, 9);
        assert!(!run.covers(wrong));
        // Who is removed signs nothing any more; what it signed stays.
        run.write(1, Operation::MemberRemoved { store: StoreId([4; 16]) });
        run.sign(1, 1);
        let late = run.say(4);
        run.sign(4, 4);
        assert!(run.covers(said) && !run.covers(late));
        assert_eq!(run.signed().members.len(), 2);
    }

    #[test]
    fn a_head_that_is_another_event_covers_nothing() {
        let mut run = Writer { log: Log::new(), now: 0 };
        let said = run.say(1);
        let (replica, store) = (ReplicaId([5; 16]), StoreId([1; 16]));
        let author = Author::new("ada", Role::Human);
        let draft = Draft { author, occurred: None, operation: Operation::RunResumed };
        let prepared = run.log.prepare(replica, store, vec![draft], 2000).unwrap();
        let other = prepared.events.first().unwrap().dot;
        run.log.commit(prepared);
        run.sign_heads(1, 1, vec![SignedHead { dot: other, id: EventId([7; 32]) }]);
        assert!(run.covers(said) && !run.covers(other));
        run.sign(1, 1);
        assert!(run.covers(other), "its own store has signed it");
    }
}
