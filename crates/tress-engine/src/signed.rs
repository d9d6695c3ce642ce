//! Who wrote what: signatures, and what they cover.
//!
//! Each event is chained to the one before it by its hash, so whoever vouches for an event vouches for
//! all of its replica before it. A *member* is a store whose key the run lists. It signs heads now and then, by an
//! event ([`Operation::HeadsSigned`]): those of its own replicas, and of all others that no member has signed yet and
//! that it holds all the same, since its own events build on them. What it signs is the run's name and the id that this event
//! would have without its signature: so the signature is of this event and no other, and of all
//! that its replica wrote before. What is covered can be forged by nobody who lacks the key, whoever
//! carried it.
//!
//! Whom to trust is said from outside: *roots*, keys that somebody pinned. From there on the run says it
//! itself: [`Operation::MemberAdded`] and [`Operation::MemberRemoved`], written by a member, take effect with the
//! signature that covers them. Signatures are gone through in canonical order, each judged by the members that those
//! before it left; so everybody with the same events and roots comes to the same members, and nothing is ever
//! taken back by what comes later in that order.
//!
//! What this cannot do: it does not show that something was held back; a member that was removed can
//! sign as of a time before that, behind what it had signed; and a member vouches for what it held when it began
//! to trust.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use tress_model::clock::Millis;
use tress_model::codec::EventHasher;
use tress_model::operation::SignedHead;
use tress_model::{Author, Dot, Event, EventId, Operation, ReplicaId, StoreId, limits};

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
    /// Whether an event was written by a member, or a member vouches for it.
    pub fn covers(&self, dot: Dot) -> bool {
        dot.number <= self.last(dot.replica)
    }

    fn last(&self, replica: ReplicaId) -> u64 {
        self.covered.get(&replica).copied().unwrap_or_default()
    }
}

/// Signatures that were found sound once, by the event and the key: each costs next to nothing again.
#[derive(Debug, Default)]
pub struct Sound(BTreeSet<(EventId, Key)>);

impl Sound {
    fn insert(&mut self, place: (EventId, Key)) {
        if self.0.len() >= limits::SIGNATURES_KNOWN_MAX {
            self.0.clear();
        }
        self.0.insert(place);
    }
}

/// What is signed of an event of `run` that would have the id `id` without its signature: bytes that mean
/// nothing else.
fn to_sign(run: &str, id: EventId) -> Vec<u8> {
    // The id is as long as it is, so the rest is the name.
    [b"tress 2026 signed heads, v1\0".as_slice(), id.as_bytes(), run.as_bytes()].concat()
}

impl Log {
    /// Prepares the event by which `author` signs `heads` of `run`, and what `replica` wrote before, in the name of
    /// `store`.
    ///
    /// # Errors
    /// As [`Log::prepare`].
    pub fn prepare_signature(
        &self,
        run: &str,
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
        prepare(sign(&to_sign(run, id)))
    }

    /// The heads that nobody has signed, [`limits::HEADS_SIGNED_MAX`] at most: what there is for `store` to sign. Of
    /// its own replicas only those that say something besides signatures. Linear in the events that are not covered.
    pub fn unsigned_heads(&self, store: StoreId, signed: &Signed) -> Vec<SignedHead> {
        let speaks = |event: &Arc<Event>| !matches!(event.operation, Operation::HeadsSigned { .. });
        let heads = self.version().iter().filter_map(|(replica, number)| {
            let new = signed.last(replica) + 1..=number;
            let own = self.store_of(replica) == Some(store);
            let mut events = new.filter_map(|n| self.event(Dot::new(replica, n)));
            let any = if own { events.any(speaks) } else { events.next().is_some() };
            let head = any.then(|| self.event(Dot::new(replica, number))).flatten()?;
            // Of a lost event the id may not be known.
            (head.id != EventId::GENESIS).then_some(SignedHead { dot: head.dot, id: head.id })
        });
        heads.take(limits::HEADS_SIGNED_MAX).collect()
    }

    /// Who the members of `run` are and what they signed, where `roots` are members to begin with. For a log that
    /// holds everything from the first event on. Linear in the events, and verifies the signatures that are not in
    /// `sound`.
    pub fn signed(
        &self,
        run: &str,
        roots: &BTreeMap<StoreId, Key>,
        sound: &mut Sound,
        verify: Verify<'_>,
    ) -> Signed {
        let mut signed = Signed { members: roots.clone(), covered: BTreeMap::new() };
        for event in self.events() {
            let Operation::HeadsSigned { heads, signature } = &event.operation else { continue };
            let key = self.store_of(event.dot.replica).and_then(|store| signed.members.get(&store));
            let Some(place) = key.map(|key| (event.id, *key)) else { continue };
            if !sound.0.contains(&place) {
                let message = self.unsigned_id(event).map(|id| to_sign(run, id));
                if !message.is_some_and(|message| verify(&place.1, &message, signature)) {
                    continue;
                }
                sound.insert(place);
            }
            self.cover(event, heads, &mut signed);
        }
        signed
    }

    /// The id that an event with a signature would have without it.
    fn unsigned_id(&self, event: &Arc<Event>) -> Option<EventId> {
        let (previous, mut record) = as_written(self, event)?;
        if let Operation::HeadsSigned { signature, .. } = &mut record.operation {
            signature.clear();
        }
        let store = self.store_of(event.dot.replica)?;
        EventHasher::new(store).id(previous, event.dot, &record).ok()
    }

    /// Notes what a sound signature covers, as far as it is here, and what of that makes and ends members.
    fn cover(&self, event: &Arc<Event>, heads: &[SignedHead], signed: &mut Signed) {
        let here =
            |head: &&SignedHead| self.event(head.dot).is_some_and(|event| event.id == head.id);
        // What is signed holds the id of the event before it, and with it all of its own chain.
        let ends = heads.iter().filter(here).map(|head| head.dot).chain([event.dot]);
        let mut changes = Vec::new();
        for Dot { replica, number } in ends {
            let new = (signed.last(replica) + 1..=number).map(|n| Dot::new(replica, n));
            changes.extend(new.filter_map(|dot| self.event(dot)).filter(|event| {
                let operation = &event.operation;
                matches!(operation, Operation::MemberAdded { .. } | Operation::MemberRemoved { .. })
            }));
            let last = signed.covered.entry(replica).or_default();
            *last = (*last).max(number);
        }
        changes.sort_by_key(|event| event.order());
        for change in changes {
            // Others may have written what a member only holds.
            let writer = self.store_of(change.dot.replica);
            if !writer.is_some_and(|store| signed.members.contains_key(&store)) {
                continue;
            }
            match &change.operation {
                Operation::MemberAdded { store, key } => signed.members.insert(*store, *key),
                Operation::MemberRemoved { store } => signed.members.remove(store),
                _ => None,
            };
        }
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
                self.log.prepare_signature("main", ids, author, heads, self.now, signed).unwrap();
            let dot = prepared.events.first().unwrap().dot;
            self.log.commit(prepared);
            dot
        }

        fn add(&mut self, by: u8, store: u8, key: u8) -> Dot {
            self.write(by, Operation::MemberAdded { store: StoreId([store; 16]), key: [key; 32] })
        }

        fn signed(&self) -> Signed {
            let roots = [(StoreId([1; 16]), [1; 32])].into();
            self.log.signed("main", &roots, &mut Sound::default(), &verify)
        }

        fn covers(&self, dot: Dot) -> bool {
            self.signed().covers(dot)
        }
    }

    #[test]
    fn a_signature_covers_what_was_written_before_it_and_nothing_else() {
        let mut run = Writer { log: Log::new(), now: 0 };
        let one = run.say(1);
        assert!(!run.covers(one), "nobody has signed it");
        let signature = run.sign(1, 1);
        let (later, other) = (run.say(1), run.say(2));
        assert!(run.covers(one) && run.covers(signature));
        assert!(!run.covers(later) && !run.covers(other));
        // No key, no cover.
        let forged = run.sign(2, 2);
        assert!(!run.covers(other) && !run.covers(forged));
        // A member vouches for what it holds; a signature of somebody else is a part of that.
        run.sign(1, 1);
        assert!(run.covers(later) && run.covers(other) && run.covers(forged));
        assert!(run.log.unsigned_heads(StoreId([1; 16]), &run.signed()).is_empty());
    }

    #[test]
    fn a_signature_of_one_run_is_none_in_another() {
        let mut run = Writer { log: Log::new(), now: 0 };
        run.say(1);
        run.sign(1, 1);
        let roots = [(StoreId([1; 16]), [1; 32])].into();
        let elsewhere = run.log.signed("mai", &roots, &mut Sound::default(), &verify);
        assert_eq!(elsewhere.covered, BTreeMap::new());
    }

    /// A run with a past, in which strangers took part.
    #[test]
    fn who_begins_to_sign_vouches_for_what_is_there_but_not_for_the_members_of_strangers() {
        let mut run = Writer { log: Log::new(), now: 0 };
        let said = run.say(7);
        let added = run.add(7, 7, 7);
        let removed = run.write(7, Operation::MemberRemoved { store: StoreId([1; 16]) });
        run.sign(1, 1);
        assert!([said, added, removed].into_iter().all(|dot| run.covers(dot)));
        assert_eq!(run.signed().members.keys().collect::<Vec<_>>(), [&StoreId([1; 16])]);
    }

    /// One member ends another one, whose last signature a third one has seen and the first has not.
    #[test]
    fn what_was_built_upon_before_a_removal_was_known_is_vouched_for() {
        let mut run = Writer { log: Log::new(), now: 0 };
        run.add(1, 2, 2);
        run.add(1, 3, 3);
        run.sign(1, 1);
        let mut there = Writer { log: run.log.clone(), now: run.now + 50_000 };
        run.write(1, Operation::MemberRemoved { store: StoreId([2; 16]) });
        run.sign(1, 1);
        let said = there.say(2);
        let signature = there.sign(2, 2);
        let answer = there.say(3);
        there.sign(3, 3);
        assert!(there.covers(said) && there.covers(answer));
        let all = crate::sync::lacking(&run.log, there.log.version(), Default::default());
        there.log.admit_all(all.unwrap(), None);
        assert!(!there.covers(said) && there.covers(answer));
        there.sign(3, 3);
        assert!(there.covers(said) && there.covers(signature));
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
        // A member of a member.
        let said = run.say(4);
        run.sign_heads(4, 4, Vec::new());
        run.add(2, 4, 4);
        run.sign_heads(2, 2, Vec::new());
        assert!(!run.covers(said), "it signed as nobody");
        let signature = run.sign_heads(4, 4, Vec::new());
        assert!(run.covers(said) && run.covers(signature));
        // Who is removed signs nothing any more; what it signed stays. Also one that somebody trusts by name.
        for member in [4, 1] {
            run.write(2, Operation::MemberRemoved { store: StoreId([member; 16]) });
            run.sign_heads(2, 2, Vec::new());
            let late = run.say(member);
            run.sign_heads(member, member, Vec::new());
            assert!(run.covers(said) && !run.covers(late), "{member}");
        }
        assert_eq!(run.signed().members.keys().collect::<Vec<_>>(), [&StoreId([2; 16])]);
        // It may come back, with another key.
        run.add(2, 4, 44);
        run.sign_heads(2, 2, Vec::new());
        let (again, wrong) = (run.say(4), run.sign_heads(4, 4, Vec::new()));
        assert!(!run.covers(again) && !run.covers(wrong));
        run.sign_heads(4, 44, Vec::new());
        assert!(run.covers(again));
    }

    #[test]
    fn no_more_signatures_are_remembered_than_may_be() {
        let mut sound = Sound::default();
        for number in 0..=limits::SIGNATURES_KNOWN_MAX {
            assert!(sound.0.len() <= limits::SIGNATURES_KNOWN_MAX);
            let mut id = [0; 32];
            id[..8].copy_from_slice(&number.to_le_bytes());
            sound.insert((EventId(id), [0; 32]));
        }
        assert_eq!(sound.0.len(), 1);
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
