//! Sessions between logs in memory: whatever the histories, and wherever a session breaks off,
//! both sides end with everything; and nothing that a peer says does worse than end the session.

use std::collections::VecDeque;

use proptest::prelude::*;
use tress_engine::sync::{Paperwork, cut, lacking};
use tress_engine::{Draft, Effect, Log, Session, SyncError};
use tress_model::codec::{Received, decode_message, encode_message};
use tress_model::event::{Cause, Record};
use tress_model::message::{Clock, Hello, Leave, Message};
use tress_model::{
    Author, EventId, HybridTime, Operation, ReplicaId, Role, StoreId, Strand, Strands,
    VersionVector, limits,
};

use super::history::{Step, histories, merged, play, steps};

/// One side: a log and its end of the conversation.
struct Side {
    log: Log,
    session: Session,
    out: VecDeque<Vec<u8>>,
    /// How many messages with events it read for, and bytes it sent.
    reads: usize,
    bytes: usize,
    end: Option<Leave>,
    up_to_date: bool,
    /// Its documents, and how many changes it was given.
    clocks: [Clock; 3],
    given: usize,
    /// Whether it may be given what lacks causes.
    lenient: bool,
    /// Whether its documents cannot be had now.
    broken: bool,
}

fn hello(place: u8, log: &Log, live: bool) -> Hello {
    Hello { live, ..Hello::new("main", StoreId([place; 16]), log.version().clone()) }
}

impl Side {
    fn new(place: u8, log: Log, live: bool) -> Self {
        let session = Session::new(hello(place, &log, live));
        let mut side = Self::of(session, log, Default::default());
        side.act();
        side
    }

    fn of(session: Session, log: Log, clocks: [Clock; 3]) -> Self {
        let (end, up_to_date, out) = (None, false, VecDeque::new());
        let (reads, bytes, given, lenient, broken) = (0, 0, 0, false, false);
        Self { log, session, out, reads, bytes, end, up_to_date, clocks, given, lenient, broken }
    }

    /// One with documents.
    fn with(place: u8, clocks: [Clock; 3], live: bool, takes: bool) -> Self {
        let log = Log::new();
        let me = Hello { documents: true, takes, ..hello(place, &log, live) };
        let mut side = Self::of(Session::new(me), log, clocks);
        side.act();
        side
    }

    /// Does all that the session wants.
    fn act(&mut self) {
        while let Some(effect) = self.session.next_effect() {
            match effect {
                Effect::Send(bytes) => {
                    self.bytes += bytes.len();
                    self.out.push_back(bytes);
                }
                Effect::Read { than, strands } => {
                    self.reads += 1;
                    let segments = lacking(&self.log, &than, strands).expect("the log is whole");
                    self.session.supply(segments).expect("it fits");
                }
                Effect::Take(segments) => {
                    let admission = self.log.admit_all(cut(segments).expect("it fits"), None);
                    assert_eq!(admission.rejected.len(), 0);
                    assert!(admission.waiting == 0 || self.lenient, "causes come first");
                    self.log.forget_waiting(&Log::new().waits());
                    self.session.taken(self.log.version());
                }
                Effect::UpToDate => self.up_to_date = true,
                Effect::Paperwork(paperwork) => self.attend(paperwork),
                Effect::End { why, .. } => self.end = Some(why),
            }
        }
    }

    /// Its documents are changes of actors, numbered from 1 on; where they stand is how many of each.
    fn attend(&mut self, paperwork: Paperwork) {
        match paperwork {
            Paperwork::Look if self.broken => {
                self.session.stand(None);
                self.session.documents_failed();
            }
            Paperwork::Compare { strand, .. } if self.broken => {
                self.session.lack(strand, None);
                self.session.documents_failed();
            }
            Paperwork::Look => {
                self.session.stand(Some(Strand::ALL.map(|strand| self.heads(strand))));
            }
            Paperwork::Compare { strand, heads } => {
                let clock =
                    (heads != self.heads(strand)).then(|| self.clocks[strand.index()].clone());
                self.session.lack(strand, clock);
            }
            Paperwork::Give { strand, clock } => {
                let mut lacking = Vec::new();
                for (actor, last) in &self.clocks[strand.index()] {
                    let known = clock.get(actor).copied().unwrap_or(0);
                    lacking.extend((known + 1..=*last).map(|n| vec![actor[0], n as u8]));
                }
                // Not all at once.
                lacking.truncate(2);
                self.session.give(strand, lacking).expect("it fits");
            }
            Paperwork::Take { strand, changes } => {
                assert!(!changes.is_empty());
                for change in &changes {
                    let last = self.clocks[strand.index()].entry(vec![change[0]]).or_default();
                    if self.lenient && u64::from(change[1]) <= *last {
                        continue;
                    }
                    assert_eq!(*last + 1, u64::from(change[1]), "causes come first, and each once");
                    *last += 1;
                }
                self.given += changes.len();
                self.session.took(strand);
            }
        }
    }

    fn heads(&self, strand: Strand) -> Vec<[u8; 32]> {
        let clock = &self.clocks[strand.index()];
        clock.iter().map(|(actor, last)| [actor[0] ^ (*last as u8).rotate_left(4); 32]).collect()
    }

    fn hear(&mut self, bytes: &[u8]) -> Result<(), SyncError> {
        let heard = self.session.receive(bytes);
        self.act();
        heard
    }
}

/// Carries messages between both until nobody has anything to say, or `most` were carried.
fn talk(a: &mut Side, b: &mut Side, most: usize) {
    let mut carried = 0;
    while !(a.out.is_empty() && b.out.is_empty()) {
        for turn in [true, false] {
            let (from, to) = if turn { (&mut *a, &mut *b) } else { (&mut *b, &mut *a) };
            // What was said until now is on its way; what is said in answer comes after it.
            for bytes in std::mem::take(&mut from.out) {
                if carried == most {
                    return;
                }
                carried += 1;
                to.hear(&bytes).expect("both keep to the protocol");
            }
        }
    }
}

/// Carries up to so many messages, and loses none.
fn carry(a: &mut Side, b: &mut Side, most: usize) {
    for turn in 0..most {
        let (from, to) = if turn % 2 == 0 { (&mut *a, &mut *b) } else { (&mut *b, &mut *a) };
        if let Some(bytes) = from.out.pop_front() {
            to.hear(&bytes).expect("both keep to the protocol");
        }
    }
}

/// Three histories of one run: what is shared, and what each side has besides.
fn apart(replicas: usize, history: &[Step], share: u32) -> (Log, Log, Log) {
    let (_, segments) = play(replicas, history);
    let whole = merged(&segments);
    let pick = |side: u32| {
        let mut log = Log::new();
        let mine = segments.iter().enumerate().filter(|(n, _)| {
            let dice = (*n as u32).wrapping_mul(2_654_435_761).wrapping_add(share) >> 16;
            dice % 3 == side || dice % 3 == 2
        });
        log.admit_all(mine.map(|(_, segment)| segment.clone()), None);
        log.forget_waiting(&Log::new().waits());
        log
    };
    (pick(0), pick(1), whole)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 128, ..ProptestConfig::default() })]

    #[test]
    fn a_session_brings_both_sides_to_the_same_state(
        (replicas, history) in histories(60),
        share in any::<u32>(),
    ) {
        let (a, b, _) = apart(replicas, &history, share);
        let expected = a.version().join(b.version());
        let (mut a, mut b) = (Side::new(1, a, false), Side::new(2, b, true));
        talk(&mut a, &mut b, usize::MAX);
        prop_assert_eq!(a.log.version(), &expected);
        prop_assert_eq!(a.log.state().root(), b.log.state().root());
        prop_assert_eq!((a.end, b.end), (Some(Leave::Done), Some(Leave::Done)));
        prop_assert_eq!(a.session.theirs(), b.log.version());
    }

    #[test]
    fn a_session_that_breaks_off_anywhere_goes_on_in_the_next(
        (replicas, history) in histories(60),
        share in any::<u32>(),
        breaks in prop::collection::vec(0_usize..8, 0..5),
    ) {
        let (mut a, mut b, _) = apart(replicas, &history, share);
        let expected = a.version().join(b.version());
        for most in breaks.into_iter().chain([usize::MAX]) {
            let (mut one, mut two) = (Side::new(1, a, true), Side::new(2, b, false));
            talk(&mut one, &mut two, most);
            (a, b) = (one.log, two.log);
        }
        prop_assert_eq!((a.version(), b.version()), (&expected, &expected));
        prop_assert_eq!(a.state().root(), b.state().root());
    }

    #[test]
    fn what_comes_later_is_told_to_who_is_live(history in steps(2, 40), share in any::<u32>()) {
        let (a, b, whole) = apart(2, &history, share);
        let (mut a, mut b) = (Side::new(1, a, true), Side::new(2, b, true));
        talk(&mut a, &mut b, usize::MAX);
        prop_assert!(a.up_to_date && b.up_to_date && a.end.is_none());
        // One event after the other turns up at one side.
        while let Some(segments) = lacking(&whole, a.log.version(), Strands::ALL).filter(|s| !s.is_empty()) {
            let next = segments.into_iter().next().expect("there is one");
            a.log.admit_all(cut(vec![next]).expect("it fits"), None);
            a.session.advanced(a.log.version());
            a.act();
            talk(&mut a, &mut b, usize::MAX);
            prop_assert_eq!(a.log.version(), b.log.version());
        }
        prop_assert_eq!(b.log.state().root(), whole.state().root());
    }

    #[test]
    fn what_a_log_gives_is_what_was_written((replicas, history) in histories(60), share in any::<u32>()) {
        let (part, _, whole) = apart(replicas, &history, share);
        let given = lacking(&whole, part.version(), Strands::ALL).expect("the log is whole");
        let mut log = part.clone();
        let admission = log.admit_all(cut(given).expect("it fits"), None);
        prop_assert_eq!((admission.rejected.len(), admission.waiting), (0, 0));
        prop_assert_eq!(log.state().root(), whole.state().root());
        // The same from a log that begins with a snapshot, where it can say it: it knows only the
        // last event of each replica of what lies before.
        let mut later = Log::from_snapshot(part.snapshot());
        let given = lacking(&whole, part.version(), Strands::ALL).expect("the log is whole");
        if later.admit_all(cut(given.clone()).expect("it fits"), None).rejected.is_empty() {
            let again = lacking(&later, part.version(), Strands::ALL);
            prop_assert!(again.is_none_or(|again| again == given));
        }
    }

    #[test]
    fn nothing_that_a_peer_says_does_worse_than_end_the_session(
        history in steps(2, 20),
        says in prop::collection::vec((0_u8..6, any::<u64>(), prop::collection::vec(any::<u8>(), 0..40)), 1..12),
    ) {
        let (_, segments) = play(2, &history);
        let mut side = Side::new(1, merged(&segments[..segments.len() / 2]), true);
        let mut number = 0;
        for (kind, value, bytes) in says {
            number += 1;
            let version: VersionVector =
                segments.iter().map(|segment| (segment.replica, value)).collect();
            let message = match kind {
                0 => Message::Hello(Hello { have: version, ..hello(2, &Log::new(), value % 2 == 0) }),
                1 => Message::UpToDate,
                2 => Message::Have { version, taken: value % 3 },
                3 => Message::Leave { why: Leave::Busy, reason: String::new() },
                4 => Message::Events(Vec::new()),
                _ => {
                    let _ = side.session.receive(&bytes);
                    side.act();
                    continue;
                }
            };
            let bytes = encode_message(number, &message).expect("it encodes");
            let _ = side.hear(&bytes);
        }
        prop_assert!(side.reads <= 12);
    }
}

/// A history of four replicas that take turns, and hear of each other now and then.
fn long() -> Log {
    let step = |n: usize| match n % 5 {
        4 => Step::Exchange { from: n % 4, to: (n + 1) % 4, mix: n as u32 },
        _ => Step::Append { replica: n % 4, kind: n as u8, a: n as u8, b: 3, delay: 7, count: 1 },
    };
    merged(&play(4, &(0..200).map(step).collect::<Vec<_>>()).1)
}

#[test]
fn to_learn_that_nothing_is_missing_takes_one_round_and_few_bytes() {
    let log = long();
    let (mut a, mut b) = (Side::new(1, log.clone(), false), Side::new(2, log, true));
    talk(&mut a, &mut b, usize::MAX);
    assert!(a.bytes + b.bytes < 1000, "{} bytes", a.bytes + b.bytes);
    assert_eq!((a.reads, b.reads), (0, 0));
}

#[test]
fn the_answer_to_a_greeting_is_what_its_sender_lacks() {
    let (mut a, mut b) = (Side::new(1, Log::new(), false), Side::new(2, long(), true));
    let greeting = a.out.pop_front().expect("it greets");
    b.hear(&greeting).expect("a greeting");
    for bytes in std::mem::take(&mut b.out) {
        a.hear(&bytes).expect("an answer");
    }
    assert_eq!(a.log.state().root(), b.log.state().root(), "one round trip");
}

#[test]
fn a_peer_that_acknowledges_nothing_is_sent_no_more_than_may_be_under_way() {
    let (mut a, mut b) = (Side::new(1, Log::new(), true), Side::new(2, Log::new(), true));
    let greeting = b.out.pop_front().expect("it greets");
    a.hear(&greeting).expect("a greeting");
    let ada = Author::new("ada", Role::Human);
    let (replica, store) = (ReplicaId([9; 16]), StoreId([9; 16]));
    for number in 0..2 * limits::BATCHES_UNDER_WAY {
        let operation = Operation::RunResumed;
        let draft = Draft { author: ada.clone(), occurred: None, operation };
        let prepared = a.log.prepare(replica, store, vec![draft], number as u64).expect("valid");
        a.log.commit(prepared);
        a.session.advanced(a.log.version());
        a.act();
    }
    assert_eq!(a.session.under_way(), limits::BATCHES_UNDER_WAY as u64);
    assert_eq!(a.reads, limits::BATCHES_UNDER_WAY);
    talk(&mut a, &mut b, usize::MAX);
    assert_eq!(a.log.version(), b.log.version());
}

/// A log of one replica with an event for each of `notes`, a millisecond apart.
fn notes(notes: impl Iterator<Item = String>) -> Log {
    let mut log = Log::new();
    for (now, text) in (1..).zip(notes) {
        let todo = tress_model::TodoId::from_external("x");
        let operation = Operation::NoteAdded { todo, text, layout: None };
        let author = Author::new("ada", Role::Human);
        let draft = Draft { author, occurred: None, operation };
        let prepared = log.prepare(ReplicaId([9; 16]), StoreId([9; 16]), vec![draft], now);
        log.commit(prepared.expect("valid"));
    }
    log
}

#[test]
fn one_message_brings_no_more_events_and_bytes_than_it_may() {
    let first = |log: &Log| {
        let segments = lacking(log, &VersionVector::new(), Strands::ALL).expect("the log is whole");
        segments.iter().map(|segment| segment.records.len()).sum::<usize>()
    };
    let many = notes((0..limits::BATCH_EVENTS + 1).map(|number| number.to_string()));
    assert_eq!(first(&many), limits::BATCH_EVENTS);
    let fewer = notes((0..limits::BATCH_EVENTS).map(|number| number.to_string()));
    assert_eq!(first(&fewer), limits::BATCH_EVENTS);
    let large = "x".repeat(limits::BATCH_BYTES / 2);
    assert_eq!(first(&notes((0..4).map(|_| large.clone()))), 2, "the second goes over the bound");
}

#[test]
fn a_reason_is_cut_where_it_is_too_long() {
    let mut session = Session::new(hello(1, &Log::new(), true));
    session.leave(Leave::Failed, &"é".repeat(limits::REASON_BYTES_MAX));
    let effects = std::iter::from_fn(|| session.next_effect()).collect::<Vec<_>>();
    let Some(Effect::End { reason, .. }) = effects.last() else { panic!("{effects:?}") };
    assert_eq!(reason.len(), limits::REASON_BYTES_MAX);
    let long = Message::Leave { why: Leave::Failed, reason: "é".repeat(limits::REASON_BYTES_MAX) };
    let bytes = encode_message(1, &long).expect("it encodes");
    let Ok((_, Received::Message(Message::Leave { reason, .. }))) = decode_message(&bytes) else {
        panic!("it is read")
    };
    assert_eq!(reason.len(), limits::REASON_BYTES_MAX, "from a peer, too");
}

#[test]
fn who_is_sent_more_than_may_be_under_way_ends_the_session() {
    let mut session = Session::new(hello(1, &Log::new(), true));
    let mut say = |number: u64, message: &Message| {
        session.receive(&encode_message(number, message).expect("it encodes"))
    };
    say(1, &Message::Hello(hello(2, &Log::new(), true))).expect("a greeting");
    for number in 0..limits::BATCHES_UNDER_WAY as u64 {
        say(2 + number, &Message::Events(Vec::new())).expect("so many are fine");
    }
    let more = say(2 + limits::BATCHES_UNDER_WAY as u64, &Message::Events(Vec::new()));
    assert!(matches!(more, Err(SyncError::OutOfTurn(_))), "{more:?}");
}

#[test]
fn peers_that_cannot_talk_are_told_why() {
    let refused = |bytes: &[u8]| {
        let mut side = Side::new(1, Log::new(), true);
        let error = side.session.receive(bytes).expect_err("it makes no sense");
        side.act();
        let last = side.out.pop_back().expect("it says why");
        let (_, said) = decode_message(&last).expect("a message");
        let Received::Message(Message::Leave { why, reason }) = said else {
            panic!("{said:?}");
        };
        assert_eq!((why, side.end), (error.leave(), Some(why)));
        assert_eq!(reason, error.to_string());
        error
    };
    let greet =
        |hello: Hello| refused(&encode_message(1, &Message::Hello(hello)).expect("it encodes"));
    let other = hello(2, &Log::new(), true);
    assert_eq!(greet(Hello { run: "x".into(), ..other.clone() }), SyncError::OtherRun("x".into()));
    assert_eq!(greet(hello(1, &Log::new(), true)), SyncError::Itself);
    let twice = encode_message(2, &Message::Hello(other)).expect("it encodes");
    assert_eq!(refused(&twice), SyncError::Lost { expected: 1, found: 2 });
    let newer = [&[1_u8][..], &1_u64.to_le_bytes(), b"tress", &[7, 0, 9, 0]].concat();
    assert_eq!(refused(&newer), SyncError::Protocol { oldest: 7, newest: 9 });
    assert!(matches!(refused(b""), SyncError::Codec(_)));
}

fn clocks() -> impl Strategy<Value = [Clock; 3]> {
    let clock = prop::collection::btree_map(1_u8..5, 1_u64..6, 0..4);
    let clock = clock.prop_map(|clock| clock.into_iter().map(|(a, n)| (vec![a], n)).collect());
    prop::array::uniform3(clock)
}

/// What both hold together, as far as a document that somebody has may be joined to none.
fn joined(a: &[Clock; 3], b: &[Clock; 3]) -> [Clock; 3] {
    let mut joined = a.clone();
    for (ours, theirs) in joined.iter_mut().zip(b) {
        for (actor, last) in theirs {
            let known = ours.entry(actor.clone()).or_default();
            *known = (*known).max(*last);
        }
    }
    joined
}

proptest! {
    #[test]
    fn documents_come_to_be_the_same(a in clocks(), b in clocks(), live in any::<bool>()) {
        let expected = joined(&a, &b);
        let lacks = |of: &[Clock; 3]| -> u64 {
            let count = |of: &[Clock; 3]| of.iter().flat_map(|clock| clock.values()).sum::<u64>();
            count(&expected) - count(of)
        };
        let (lack_a, lack_b) = (lacks(&a), lacks(&b));
        let (mut a, mut b) = (Side::with(1, a, live, true), Side::with(2, b, live, true));
        talk(&mut a, &mut b, usize::MAX);
        prop_assert_eq!(&a.clocks, &expected);
        prop_assert_eq!(&b.clocks, &expected);
        // Each change comes once, and to whoever lacked it.
        prop_assert_eq!((a.given as u64, b.given as u64), (lack_a, lack_b));
        let done = (!live).then_some(Leave::Done);
        prop_assert_eq!((a.end, b.end), (done, done));
        if live {
            // What comes later is told, too.
            a.clocks[1].insert(vec![9], 3);
            a.session.documents_changed();
            a.act();
            talk(&mut a, &mut b, usize::MAX);
            prop_assert_eq!(&a.clocks, &b.clocks);
        }
    }

    #[test]
    fn who_takes_nothing_asks_for_no_documents(a in clocks(), b in clocks()) {
        let (mut one, mut two) = (Side::with(1, a.clone(), false, false), Side::with(2, b.clone(), true, true));
        talk(&mut one, &mut two, usize::MAX);
        prop_assert_eq!(&one.clocks, &a);
        prop_assert_eq!(&two.clocks, &joined(&a, &b));
        prop_assert_eq!(one.end, Some(Leave::Done));
    }
}

#[test]
fn what_others_bring_meanwhile_does_not_end_the_asking() {
    let of = |last: u64| -> [Clock; 3] { [Clock::new(), [(vec![1], last)].into(), Clock::new()] };
    for carried in 0..30 {
        for live in [false, true] {
            let mut a = Side::with(1, Default::default(), live, true);
            let mut b = Side::with(2, of(7), live, true);
            a.lenient = true;
            carry(&mut a, &mut b, carried);
            if a.clocks == <[Clock; 3]>::default() || a.clocks[1].values().all(|last| *last < 4) {
                // Another conversation of the same machine was faster.
                a.clocks = of(4);
            }
            talk(&mut a, &mut b, usize::MAX);
            assert_eq!(a.clocks, of(7), "after {carried} messages");
            assert_eq!(a.end, (!live).then_some(Leave::Done));
        }
    }
}

#[test]
fn who_does_not_stay_is_not_told_again_and_again() {
    let mut a = Side::with(1, Default::default(), true, true);
    let mut b = Side::with(2, Default::default(), false, true);
    for number in 1..50 {
        carry(&mut a, &mut b, 2);
        // Somebody types all the while.
        a.clocks[1].insert(vec![1], number);
        a.session.documents_changed();
        a.act();
    }
    talk(&mut a, &mut b, usize::MAX);
    assert_eq!((a.end, b.end), (Some(Leave::Done), Some(Leave::Done)));
}

#[test]
fn what_could_not_be_looked_at_is_asked_for_when_it_can() {
    let mut a = Side::with(1, Default::default(), true, true);
    let mut b = Side::with(2, [Clock::new(), [(vec![1], 3)].into(), Clock::new()], true, true);
    a.broken = true;
    talk(&mut a, &mut b, usize::MAX);
    assert!(a.clocks[1].is_empty());
    a.broken = false;
    a.session.documents_changed();
    a.act();
    talk(&mut a, &mut b, usize::MAX);
    assert_eq!(a.clocks, b.clocks);
}

#[test]
fn what_is_said_of_documents_out_of_turn_ends_it() {
    let unasked = [
        Message::Settled,
        Message::Changes { strand: Strand::Todo, changes: vec![vec![1]] },
        Message::Lacking { strand: Strand::Todo, clock: Clock::new() },
    ];
    for (message, documents) in unasked
        .into_iter()
        .map(|m| (m, true))
        .chain([(Message::Documents(Default::default()), false)])
    {
        let me = Hello { documents, ..hello(1, &Log::new(), true) };
        let mut side = Side::of(Session::new(me), Log::new(), Default::default());
        let peer = Hello { documents: true, ..hello(2, &Log::new(), true) };
        side.hear(&encode_message(1, &Message::Hello(peer)).unwrap()).unwrap();
        let heard = side.hear(&encode_message(2, &message).unwrap());
        assert!(matches!(heard, Err(SyncError::OutOfTurn(_))), "{message:?}: {heard:?}");
        assert_eq!(side.end, Some(Leave::Malformed));
    }
}

fn only(strands: &[Strand]) -> Strands {
    strands.iter().copied().collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 128, ..ProptestConfig::default() })]

    #[test]
    fn who_keeps_some_strands_folds_them_as_everybody_does(
        (replicas, history) in histories(80),
        share in any::<u32>(),
        both in any::<bool>(),
    ) {
        let (mine, theirs, _) = apart(replicas, &history, share);
        // It has written something itself, and nothing was withheld from it then.
        let strands = if both { only(&[Strand::Todo, Strand::Design]) } else { only(&[Strand::Todo]) };
        let part = mine.keeping(strands);
        let me = Hello { strands, ..hello(1, &part, false) };
        let mut a = Side::of(Session::new(me), part, Default::default());
        a.act();
        let mut b = Side::new(2, theirs, true);
        talk(&mut a, &mut b, usize::MAX);
        prop_assert_eq!((a.end, b.end), (Some(Leave::Done), Some(Leave::Done)));
        prop_assert_eq!(a.log.version(), b.log.version());
        let (part, whole) = (a.log.state(), b.log.state());
        prop_assert_eq!(&part.todos, &whole.todos);
        let edges = |state: &tress_model::State| -> Vec<_> {
            state.todos.keys().map(|todo| state.edges(*todo).to_vec()).collect()
        };
        prop_assert_eq!(edges(part), edges(whole));
        if both {
            prop_assert_eq!(&part.design, &whole.design);
        }
        // Whoever wants everything gets what is whole there, and can use what does not rest on the rest.
        let mut c = Side::new(3, Log::new(), true);
        c.lenient = true;
        let me = Hello { strands, ..hello(1, &a.log, false) };
        let mut a = Side::of(Session::new(me), a.log, Default::default());
        a.act();
        talk(&mut a, &mut c, usize::MAX);
        prop_assert_eq!(c.end, Some(Leave::Done));
        prop_assert!(c.log.events().iter().all(|event| !event.is_withheld()));
        // Whoever wants no more than it keeps gets all of that.
        let me = Hello { strands, ..hello(4, &Log::new(), false) };
        let mut d = Side::of(Session::new(me), Log::new().keeping(strands), Default::default());
        d.act();
        let me = Hello { strands, ..hello(1, &a.log, true) };
        let mut a = Side::of(Session::new(me), a.log, Default::default());
        a.act();
        talk(&mut d, &mut a, usize::MAX);
        prop_assert_eq!(d.log.version(), a.log.version());
        prop_assert_eq!(&d.log.state().todos, &a.log.state().todos);
    }
}

#[test]
fn what_comes_without_its_operation_is_refused_by_who_keeps_everything() {
    let mut whole = Log::new();
    let (replica, store) = (ReplicaId([1; 16]), StoreId([1; 16]));
    let draft = Draft {
        author: Author::new("ada", Role::Human),
        occurred: None,
        operation: Operation::RunResumed,
    };
    let prepared = whole.prepare(replica, store, vec![draft], 1000).unwrap();
    whole.commit(prepared);
    let given = lacking(&whole, &VersionVector::new(), only(&[Strand::Todo])).unwrap();
    let mut other = Log::new();
    let admission = other.admit_all(given.clone(), None);
    assert!(admission.admitted.is_empty());
    let (_, reason) = admission.rejected.first().unwrap();
    assert!(matches!(reason, tress_engine::Rejection::Withheld { .. }), "{reason}");
    let mut part = Log::new().keeping(only(&[Strand::Todo]));
    assert_eq!(part.admit_all(given, None).admitted.len(), 1);
    assert_eq!(part.events().first().unwrap().id, whole.events().first().unwrap().id);
}

/// Each piece kept the memory of all that came behind it: half a terabyte for a segment of two megabytes.
#[test]
fn the_pieces_of_a_segment_take_what_they_hold() {
    let cause = |number| Cause { replica: ReplicaId([2; 16]), number, mark: [0; 8] };
    let record = |number| Record {
        time: HybridTime { millis: number, counter: 0 },
        occurred: None,
        author: Author::new("eve", Role::Human),
        learned: vec![cause(number + 1)],
        operation: Operation::RunResumed,
    };
    let records: Vec<_> = (0..20_000).map(record).collect();
    let (replica, store, previous) = (ReplicaId([1; 16]), StoreId([1; 16]), EventId::GENESIS);
    let segment = tress_model::Segment { replica, store, first: 1, previous, records };
    let pieces = cut(vec![segment.clone()]).unwrap();
    assert!(pieces.iter().all(|piece| piece.records.len() == 1 && piece.records.capacity() == 1));
    let mut whole = segment.clone();
    whole.records.iter_mut().skip(1).for_each(|record| record.learned.clear());
    assert_eq!(cut(vec![whole.clone()]).unwrap(), [whole]);
}

#[test]
fn a_peer_names_as_many_replicas_as_there_can_be_and_no_more() {
    let of = |from: usize| {
        let ids = (from..from + limits::REPLICAS_MAX).map(|number| {
            let mut id = [0; 16];
            id[..8].copy_from_slice(&number.to_le_bytes());
            (ReplicaId(id), 1)
        });
        Message::Have { version: ids.collect(), taken: 0 }
    };
    let mut session = Session::new(hello(1, &Log::new(), true));
    let greeting = Message::Hello(hello(2, &Log::new(), true));
    let mut say =
        |number, message: &Message| session.receive(&encode_message(number, message).unwrap());
    say(1, &greeting).unwrap();
    say(2, &of(0)).unwrap();
    say(3, &of(limits::REPLICAS_MAX)).unwrap();
    let refused = say(4, &of(2 * limits::REPLICAS_MAX));
    assert!(matches!(refused, Err(SyncError::OutOfTurn(_))), "{refused:?}");
}

/// Each of two events could be read, and the message with both could not: it came again for ever.
#[test]
fn a_message_has_no_more_items_than_are_read() {
    let mut log = Log::new();
    for number in 0..3 {
        let added = vec![String::new(); 700_000];
        let todo = tress_model::TodoId::from_external("x");
        let operation = Operation::LabelsChanged { todo, added, removed: Vec::new() };
        let author = Author::new("ada", Role::Human);
        let drafts = vec![Draft { author, occurred: None, operation }];
        let (replica, store) = (ReplicaId([1; 16]), StoreId([1; 16]));
        let prepared = log.prepare(replica, store, drafts, number).unwrap();
        log.commit(prepared);
    }
    let mut than = VersionVector::new();
    while than != *log.version() {
        let segments = lacking(&log, &than, Strands::ALL).unwrap();
        let bytes = encode_message(1, &Message::Events(segments.clone())).unwrap();
        let read = decode_message(&bytes).unwrap();
        assert_eq!(read, (1, Received::Message(Message::Events(segments.clone()))));
        segments.iter().for_each(|segment| than.advance(segment.replica, segment.last()));
        let all = lacking(&log, &VersionVector::new(), Strands::ALL).unwrap();
        assert!(all.iter().map(|segment| segment.records.len()).sum::<usize>() < 3);
    }
}
