//! Who wrote what: signatures, and what they cover.
//!
//! Each event is chained to the one before it by its hash, so whoever vouches for an event vouches for
//! all of its replica before it. A *member* is a store whose key the run lists. It signs heads now and then, by an
//! event ([`Operation::HeadsSigned`]): those of its own replicas, and of all others that it holds, since its own
//! events build on them. What it signs is the run's name and the id that this event
//! would have without its signature: so the signature is of this event and no other, and of all
//! that its replica wrote before. What is covered can be forged by nobody who lacks the key, whoever
//! carried it.
//!
//! Whom to trust is said from outside: *roots*, keys that somebody pinned. From there on the run says it
//! itself: [`Operation::MemberAdded`] and [`Operation::MemberRemoved`] take effect with the first sound signature behind
//! them in their own chain, which nobody else can go on with: that others vouch for an event does not make it a word of
//! the store that it names. Nobody changes its own key, and that of a root stays what it is here until
//! the root is removed. Signatures are gone through in canonical order, each judged by the members that those
//! before it left; so everybody with the same events and roots comes to the same members.
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
    /// The same, by which member.
    vouched: BTreeMap<(StoreId, ReplicaId), u64>,
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

/// Signatures that were found to be sound, or not, by the event and the key: each is verified once.
#[derive(Debug, Default)]
pub struct Known {
    /// Of what is in a log: a small part of what that is itself.
    kept: BTreeMap<(EventId, Key), bool>,
    /// Of what may never be in one; [`limits::SIGNATURES_KNOWN_MAX`] of them.
    tried: BTreeMap<(EventId, Key), bool>,
    /// How many more are verified; all, and for good, where that is not said.
    left: Option<usize>,
}

impl Known {
    /// Verifies all signatures from now on, and remembers each: for a log that stays.
    pub fn keep_all(&mut self) {
        self.left = None;
    }

    /// Verifies `count` signatures from now on, and takes the others that are not known for unsound: for
    /// a log that is tried.
    pub fn allow(&mut self, count: usize) {
        self.left = Some(count);
    }

    /// Whether some signatures were not verified, since no more were allowed.
    pub fn is_exhausted(&self) -> bool {
        self.left == Some(0)
    }

    fn judge(&mut self, place: (EventId, Key), verify: impl FnOnce() -> bool) -> bool {
        if let Some(verdict) = self.kept.get(&place) {
            return *verdict;
        }
        let Some(left) = self.left else {
            let verdict = self.tried.remove(&place).unwrap_or_else(verify);
            self.kept.insert(place, verdict);
            return verdict;
        };
        if let Some(verdict) = self.tried.get(&place) {
            return *verdict;
        }
        let Some(left) = left.checked_sub(1) else { return false };
        self.left = Some(left);
        if self.tried.len() >= limits::SIGNATURES_KNOWN_MAX {
            self.tried.clear();
        }
        let verdict = verify();
        self.tried.insert(place, verdict);
        verdict
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
    /// `store`; behind what is to be said with it.
    ///
    /// # Errors
    /// As [`Log::prepare`].
    pub fn prepare_signature(
        &self,
        run: &str,
        (replica, store): (ReplicaId, StoreId),
        (said, author): (Option<Draft>, Author),
        heads: Vec<SignedHead>,
        now: Millis,
        sign: impl FnOnce(&[u8]) -> Vec<u8>,
    ) -> Result<Prepared, PrepareError> {
        // Its own chain is signed in any case.
        let heads: Vec<_> = heads.into_iter().filter(|head| head.dot.replica != replica).collect();
        let prepare = |signature| {
            let operation = Operation::HeadsSigned { heads: heads.clone(), signature };
            let draft = Draft { author: author.clone(), occurred: None, operation };
            self.prepare(replica, store, said.iter().cloned().chain([draft]).collect(), now)
        };
        let unsigned = prepare(Vec::new())?;
        let id = unsigned.events().last().map_or(EventId::GENESIS, |event| event.id);
        prepare(sign(&to_sign(run, id)))
    }

    /// What there is for `store` to sign, [`limits::HEADS_SIGNED_MAX`] at most: nothing where members have signed
    /// everything, else the heads that it has not signed itself, those first that nobody has. So its events can be taken
    /// also by those for whom what others signed does not count. Linear in the replicas.
    pub fn unsigned_heads(&self, store: StoreId, signed: &Signed) -> Vec<SignedHead> {
        let vouched = |replica| signed.vouched.get(&(store, replica)).copied().unwrap_or_default();
        let (mut uncovered, mut covered) = (Vec::new(), Vec::new());
        for (replica, number) in self.version().iter() {
            // Of a lost event the id may not be known.
            let head = self.event(Dot::new(replica, number));
            let Some(head) = head.filter(|head| head.id != EventId::GENESIS) else { continue };
            let head = SignedHead { dot: head.dot, id: head.id };
            if number > signed.last(replica) {
                uncovered.push(head);
            } else if number > vouched(replica) {
                covered.push(head);
            }
        }
        if uncovered.is_empty() {
            return uncovered;
        }
        uncovered.append(&mut covered);
        uncovered.truncate(limits::HEADS_SIGNED_MAX);
        uncovered
    }

    /// Who the members of `run` are and what they signed, where `roots` are members to begin with. For a log that
    /// holds everything from the first event on. Linear in the events, and verifies the signatures that are not `known`.
    pub fn signed(
        &self,
        run: &str,
        roots: &BTreeMap<StoreId, Key>,
        known: &mut Known,
        verify: Verify<'_>,
    ) -> Signed {
        let mut signed = Signed { members: roots.clone(), ..Signed::default() };
        // Up to where the words of each replica about members have been heard.
        let mut heard: BTreeMap<ReplicaId, u64> = BTreeMap::new();
        // Roots that were not removed.
        let mut pinned: BTreeSet<StoreId> = roots.keys().copied().collect();
        for event in self.events() {
            let Operation::HeadsSigned { heads, signature } = &event.operation else { continue };
            let Some(store) = self.store_of(event.dot.replica) else { continue };
            let Some(&key) = signed.members.get(&store) else {
                // What a store says while it is no member does not count later, either.
                heard.insert(event.dot.replica, event.dot.number);
                continue;
            };
            let sound = known.judge((event.id, key), || {
                let message = self.unsigned_id(event).map(|id| to_sign(run, id));
                message.is_some_and(|message| verify(&key, &message, signature))
            });
            if !sound {
                continue;
            }
            let here =
                |head: &&SignedHead| self.event(head.dot).is_some_and(|event| event.id == head.id);
            let ends = heads.iter().filter(here).map(|head| head.dot);
            // What is signed holds the id of the event before it, and with it all of its own chain.
            for Dot { replica, number } in ends.chain([event.dot]) {
                let vouched = signed.vouched.entry((store, replica)).or_default();
                *vouched = (*vouched).max(number);
                let last = signed.covered.entry(replica).or_default();
                *last = (*last).max(number);
            }
            let from = heard.insert(event.dot.replica, event.dot.number).unwrap_or_default();
            for number in from + 1..event.dot.number {
                match self.event(Dot { number, ..event.dot }).map(|event| &event.operation) {
                    Some(Operation::MemberAdded { store: other, key })
                        if *other != store && !pinned.contains(other) =>
                    {
                        signed.members.insert(*other, *key);
                    }
                    Some(Operation::MemberRemoved { store: other }) => {
                        signed.members.remove(other);
                        pinned.remove(other);
                    }
                    _ => {}
                }
            }
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
            let dot = prepared.events().first().unwrap().dot;
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
            let prepared = self
                .log
                .prepare_signature("main", ids, (None, author), heads, self.now, signed)
                .unwrap();
            let dot = prepared.events().first().unwrap().dot;
            self.log.commit(prepared);
            dot
        }

        fn add(&mut self, by: u8, store: u8, key: u8) -> Dot {
            self.write(by, Operation::MemberAdded { store: StoreId([store; 16]), key: [key; 32] })
        }

        fn signed(&self) -> Signed {
            let roots = [(StoreId([1; 16]), [1; 32])].into();
            self.log.signed("main", &roots, &mut Known::default(), &verify)
        }

        fn covers(&self, dot: Dot) -> bool {
            self.signed().covers(dot)
        }
    }

    /// Three members, of which the first ends the second; and the same run elsewhere, where nobody knows of that yet.
    fn removed_elsewhere() -> (Writer, Writer) {
        let mut run = Writer { log: Log::new(), now: 0 };
        run.add(1, 2, 2);
        run.add(1, 3, 3);
        run.sign(1, 1);
        let there = Writer { log: run.log.clone(), now: run.now + 50_000 };
        run.write(1, Operation::MemberRemoved { store: StoreId([2; 16]) });
        run.sign(1, 1);
        (run, there)
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
        let elsewhere = run.log.signed("mai", &roots, &mut Known::default(), &verify);
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
        let (run, mut there) = removed_elsewhere();
        let said = there.say(2);
        let signature = there.sign(2, 2);
        let answer = there.say(3);
        there.sign(3, 3);
        assert!(there.covers(said) && there.covers(answer));
        let all = crate::sync::lacking(&run.log, there.log.version(), Default::default());
        there.log.admit_all(all.unwrap(), None);
        assert!(there.covers(said) && there.covers(signature) && there.covers(answer));
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
    fn each_signature_is_verified_once_and_no_more_are_remembered_than_may_be() {
        let mut known = Known::default();
        let id = |number: usize| {
            let mut id = [0; 32];
            id[..8].copy_from_slice(&number.to_le_bytes());
            (EventId(id), [0; 32])
        };
        assert!(known.judge(id(1), || true) && !known.judge(id(2), || false));
        assert!(known.judge(id(1), || unreachable!()) && !known.judge(id(2), || unreachable!()));
        known.allow(1);
        assert!(known.judge(id(3), || true) && known.is_exhausted());
        assert!(!known.judge(id(4), || unreachable!()) && known.judge(id(3), || unreachable!()));
        known.allow(usize::MAX);
        for number in 0..=limits::SIGNATURES_KNOWN_MAX {
            known.judge(id(number), || true);
            assert!(known.tried.len() <= limits::SIGNATURES_KNOWN_MAX);
        }
        // Those of what is in a log are remembered, however many there are: a run with more of them than were
        // remembered took nothing any more.
        known.keep_all();
        let all = 10..limits::SIGNATURES_KNOWN_MAX + 20;
        all.clone().for_each(|number| assert!(known.judge(id(number), || true)));
        known.allow(0);
        all.for_each(|number| assert!(known.judge(id(number), || unreachable!())));
    }

    /// Anybody can write a replica that says it is of a member's store.
    #[test]
    fn who_names_the_store_of_a_member_does_not_speak_for_it() {
        let mut run = Writer { log: Log::new(), now: 0 };
        let operation = Operation::MemberAdded { store: StoreId([6; 16]), key: [6; 32] };
        let author = Author::new("eve", Role::Human);
        let draft = Draft { author, occurred: None, operation };
        let ids = (ReplicaId([9; 16]), StoreId([1; 16]));
        let prepared = run.log.prepare(ids.0, ids.1, vec![draft], 1000).unwrap();
        let forged = prepared.events().first().unwrap().dot;
        run.log.commit(prepared);
        run.now = 2000;
        run.sign(1, 1);
        assert!(run.covers(forged));
        assert_eq!(run.signed().members.len(), 1);
    }

    /// What a store signed in a run that was merged into this one is no signature here.
    #[test]
    fn a_signature_of_another_run_is_signed_like_any_other_event() {
        let mut run = Writer { log: Log::new(), now: 5000 };
        let (ids, author) =
            ((ReplicaId([8; 16]), StoreId([1; 16])), Author::new("ada", Role::Human));
        let sound = |message: &[u8]| sign(1, message);
        let prepared =
            run.log.prepare_signature("path", ids, (None, author), Vec::new(), 1000, sound);
        let prepared = prepared.unwrap();
        let other = prepared.events().first().unwrap().dot;
        run.log.commit(prepared);
        assert!(!run.covers(other));
        run.sign(1, 1);
        assert!(run.covers(other));
        assert!(run.log.unsigned_heads(StoreId([1; 16]), &run.signed()).is_empty());
    }

    #[test]
    fn a_root_keeps_the_key_that_is_pinned_here_until_it_is_removed() {
        let mut run = Writer { log: Log::new(), now: 0 };
        // It named itself with an older key, and so did another member.
        run.add(1, 1, 9);
        run.sign(1, 1);
        run.add(1, 2, 2);
        run.sign(1, 1);
        run.add(2, 1, 9);
        run.sign(2, 2);
        let said = run.say(1);
        run.sign_heads(1, 1, Vec::new());
        assert!(run.covers(said));
        run.write(2, Operation::MemberRemoved { store: StoreId([1; 16]) });
        run.add(2, 1, 9);
        run.sign(2, 2);
        let said = run.say(1);
        run.sign_heads(1, 9, Vec::new());
        assert!(run.covers(said));
    }

    /// A signed in time, and is removed; so is who had built on that, before it signed again.
    #[test]
    fn what_a_member_built_upon_is_signed_by_it_although_others_signed_it_before() {
        let (run, mut there) = removed_elsewhere();
        let said = there.say(2);
        there.sign(2, 2);
        let answer = there.say(3);
        there.sign(3, 3);
        let all = crate::sync::lacking(&run.log, there.log.version(), Default::default());
        there.log.admit_all(all.unwrap(), None);
        there.now += 50_000;
        there.write(1, Operation::MemberRemoved { store: StoreId([3; 16]) });
        there.sign_heads(1, 1, Vec::new());
        assert!(there.covers(said) && there.covers(answer));
    }

    #[test]
    fn a_head_that_is_another_event_covers_nothing() {
        let mut run = Writer { log: Log::new(), now: 0 };
        let said = run.say(1);
        let (replica, store) = (ReplicaId([5; 16]), StoreId([1; 16]));
        let author = Author::new("ada", Role::Human);
        let draft = Draft { author, occurred: None, operation: Operation::RunResumed };
        let prepared = run.log.prepare(replica, store, vec![draft], 2000).unwrap();
        let other = prepared.events().first().unwrap().dot;
        run.log.commit(prepared);
        run.sign_heads(1, 1, vec![SignedHead { dot: other, id: EventId([7; 32]) }]);
        assert!(run.covers(said) && !run.covers(other));
        run.sign(1, 1);
        assert!(run.covers(other), "its own store has signed it");
    }
}
