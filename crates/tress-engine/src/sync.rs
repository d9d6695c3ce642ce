//! The sync session: what one side says to the other about one run, and when. Sans-I/O: messages and
//! news of the log come in, [`Effect`]s go out; somebody else moves bytes, reads and writes.
//!
//! ```text
//! Hello(have A) ->                 <- Hello(have B)        both at once, nobody waits
//! Events, Events … UpToDate ->     <- Events, … UpToDate   what the other lacks, causes first
//! Have(version, taken) ->          <- Have(version, taken) durable; makes room for more
//! Documents, … Settled ->          <- Documents, … Settled seals, where both want them (documents)
//! Events ->                        <- Events               what comes later, where both are live
//! Leave(why) ->
//! ```
//!
//! Both sides are equal. One round trip brings everything: the answer to a greeting is what its
//! sender lacks. Nothing has to be remembered between two sessions, since a greeting says all, so
//! a session that breaks off anywhere is begun anew and goes on.
//!
//! *Invariant:* memory is bounded. A side sends at most [`limits::BATCHES_UNDER_WAY`] messages with
//! events before the other has said that they are durable there. So a slow peer holds up itself.
//!
//! *Invariant:* whatever the other side says, the worst that comes of it is an error that ends the
//! session. What it sends is taken in by [`crate::admit`] like everything else.

mod documents;

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use tress_model::codec::{self, CodecError, EventHasher, Received, Room};
use tress_model::event::{Cause, Record};
use tress_model::message::{self, Clock, Heads, Hello, Leave, Message};
use tress_model::{
    Dot, Event, EventId, ReplicaId, Segment, Strand, Strands, VersionVector, limits,
};

use self::documents::{Documents, Step};
use crate::log::Log;

pub use self::documents::Paperwork;

/// What a session wants done. Effects are done in the order in which they come.
#[derive(Debug, PartialEq)]
pub enum Effect {
    /// Send this message.
    Send(Vec<u8>),
    /// Look for what the log has and `than` lacks, and hand it in with [`Session::supply`].
    Read {
        /// What the peer has, or is being sent.
        than: VersionVector,
        /// The strands that it wants.
        strands: Strands,
    },
    /// Take this in, and say with [`Session::taken`] when it is durable.
    Take(Vec<Segment>),
    /// Both have the events that the other had when they met.
    UpToDate,
    /// Something about documents; only where both sides exchange them.
    Paperwork(Paperwork),
    /// The session is over; nothing comes behind it.
    End {
        /// Why.
        why: Leave,
        /// In words.
        reason: String,
        /// Whether it was the peer that left.
        by_peer: bool,
    },
}

/// Why a session cannot go on. The peer has been told, where that makes sense.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SyncError {
    /// What came is no message, or cannot be sent as one.
    #[error(transparent)]
    Codec(#[from] CodecError),
    /// A message was lost on the way, or one came twice.
    #[error("message {expected} of the peer was expected, and {found} came: connect again")]
    Lost {
        /// The number of the message that should have come.
        expected: u64,
        /// The number of the one that came.
        found: u64,
    },
    /// The peer speaks other versions of the protocol.
    #[error(
        "the peer speaks the versions {oldest} to {newest} of the protocol, and this is version {}: \
         update the older side",
        tress_model::message::PROTOCOL
    )]
    Protocol {
        /// The oldest that it speaks.
        oldest: u16,
        /// The newest.
        newest: u16,
    },
    /// It said something at the wrong time.
    #[error("the peer said what it may not say now: {0}")]
    OutOfTurn(&'static str),
    /// It speaks about another run.
    #[error("the peer speaks about the run {0:?}")]
    OtherRun(String),
    /// It is this very store.
    #[error("this is the store itself: sync with another one")]
    Itself,
    /// It sends although it was told that nothing is taken.
    #[error("nothing is taken from this peer: it may only read")]
    ReadOnly,
}

impl SyncError {
    /// What the peer is told.
    pub const fn leave(&self) -> Leave {
        match self {
            Self::Codec(_) | Self::OutOfTurn(_) => Leave::Malformed,
            Self::Lost { .. } => Leave::Closing,
            Self::Protocol { .. } => Leave::Protocol,
            Self::OtherRun(_) | Self::Itself | Self::ReadOnly => Leave::Forbidden,
        }
    }
}

/// One side of a conversation.
#[derive(Debug)]
pub struct Session {
    me: Hello,
    peer: Option<Hello>,
    effects: VecDeque<Effect>,
    /// What is durable here; what the peer was told of it.
    have: VersionVector,
    told: VersionVector,
    /// What is durable at the peer; what it has or was sent.
    theirs: VersionVector,
    sent: VersionVector,
    /// What the peer was given by us, and what it showed to have by giving it.
    given: VersionVector,
    shown: VersionVector,
    sent_messages: u64,
    received_messages: u64,
    /// How many messages with events were sent, and taken in by the peer.
    batches: u64,
    acknowledged: u64,
    /// How many came, and were taken in here.
    came: u64,
    taken: u64,
    reading: bool,
    all_sent: bool,
    all_received: bool,
    met: bool,
    documents: Documents,
    gives_only: bool,
    /// Whether it does not leave before the peer has taken in all that it was sent, or [`Session::enough`].
    waits_for_taking: bool,
    over: bool,
}

impl Session {
    /// A session of a side that introduces itself with `me`. It begins to speak at once.
    pub fn new(me: Hello) -> Self {
        let mut session = Self {
            peer: None,
            effects: VecDeque::new(),
            have: me.have.clone(),
            told: me.have.clone(),
            theirs: VersionVector::new(),
            sent: VersionVector::new(),
            given: VersionVector::new(),
            shown: VersionVector::new(),
            sent_messages: 0,
            received_messages: 0,
            batches: 0,
            acknowledged: 0,
            came: 0,
            taken: 0,
            reading: false,
            all_sent: false,
            all_received: false,
            met: false,
            documents: Documents::default(),
            gives_only: false,
            waits_for_taking: false,
            over: false,
            me,
        };
        let hello = Message::Hello(session.me.clone());
        // A version is far smaller than a message may be.
        let sent = session.say(&hello);
        debug_assert!(sent.is_ok(), "a greeting encodes: {sent:?}");
        session
    }

    /// What is to be done next.
    pub fn next_effect(&mut self) -> Option<Effect> {
        self.effects.pop_front()
    }

    /// What the peer has, durably, as far as it said.
    pub fn theirs(&self) -> &VersionVector {
        &self.theirs
    }

    /// How the peer introduced itself, once it has.
    pub fn peer(&self) -> Option<&Hello> {
        self.peer.as_ref()
    }

    /// How many messages with events the peer has not acknowledged yet.
    pub fn under_way(&self) -> u64 {
        self.batches - self.acknowledged
    }

    /// How many events the peer was given, said that it got, and has not taken in: it refused them, or nobody whom
    /// it trusts has signed them yet.
    pub fn untaken(&self) -> u64 {
        if self.under_way() > 0 {
            return 0;
        }
        let has = |replica| self.theirs.get(replica).max(self.shown.get(replica));
        self.given.iter().map(|(replica, given)| given.saturating_sub(has(replica))).sum()
    }

    /// Does not leave by itself before the peer has taken in what it was sent, since it may yet, or until
    /// [`Session::enough`].
    pub const fn wait_for_taking(&mut self) {
        self.waits_for_taking = true;
    }

    /// Whether nothing else is waited for than that the peer takes in what it was sent.
    pub fn only_waits_for_taking(&self) -> bool {
        self.waits_for_taking && !self.over && self.met && self.untaken() > 0
    }

    /// It was waited long enough that the peer takes in what it was sent.
    pub fn enough(&mut self) {
        self.waits_for_taking = false;
        self.go_on();
    }

    /// Whether it is over.
    pub fn is_over(&self) -> bool {
        self.over
    }

    /// A message came.
    ///
    /// # Errors
    /// When it makes no sense. The session is over then, and the peer is told.
    pub fn receive(&mut self, bytes: &[u8]) -> Result<(), SyncError> {
        if self.over {
            return Ok(());
        }
        self.hear(bytes).inspect_err(|error| self.leave(error.leave(), &error.to_string()))
    }

    fn may_send_events(&self) -> Result<(), SyncError> {
        match &self.peer {
            None => Err(SyncError::OutOfTurn("something before its greeting")),
            Some(_) if !self.me.takes => Err(SyncError::ReadOnly),
            Some(_) if self.came - self.taken >= limits::BATCHES_UNDER_WAY as u64 => {
                Err(SyncError::OutOfTurn("more events than may be under way"))
            }
            Some(_) => Ok(()),
        }
    }

    fn hear(&mut self, bytes: &[u8]) -> Result<(), SyncError> {
        let expected = self.received_messages + 1;
        if let Some(found) = codec::message_number(bytes).filter(|&found| found != expected) {
            return Err(SyncError::Lost { expected, found });
        }
        // To read what is not for us costs, too.
        if codec::holds_events(bytes) {
            self.may_send_events()?;
        }
        let (_, received) = codec::decode_message(bytes)?;
        self.received_messages = expected;
        let message = match received {
            Received::Message(message) => message,
            Received::Unknown => return Ok(()),
            Received::OtherProtocol { oldest, newest } => {
                return Err(SyncError::Protocol { oldest, newest });
            }
        };
        match message {
            Message::Hello(hello) => self.meet(hello)?,
            Message::Leave { why, reason } => self.end(why, reason, true),
            _ if self.peer.is_none() => {
                return Err(SyncError::OutOfTurn("something before its greeting"));
            }
            Message::Events(segments) => {
                self.came += 1;
                for segment in &segments {
                    // It has what it sends; it need not get it back.
                    self.sent.advance(segment.replica, segment.last());
                    self.shown.advance(segment.replica, segment.last());
                }
                self.check_replicas()?;
                self.effects.push_back(Effect::Take(segments));
            }
            Message::Have { version, taken } => {
                if taken > self.batches || taken < self.acknowledged {
                    return Err(SyncError::OutOfTurn("it took in what was not sent"));
                }
                self.acknowledged = taken;
                self.theirs.merge(&version);
                self.sent.merge(&version);
                self.check_replicas()?;
            }
            Message::UpToDate if self.all_received => {
                return Err(SyncError::OutOfTurn("that it has sent everything, for a second time"));
            }
            Message::UpToDate => self.all_received = true,
            Message::Documents(_)
            | Message::Lacking { .. }
            | Message::Changes { .. }
            | Message::Settled
                if !self.documents_go() =>
            {
                return Err(SyncError::OutOfTurn("something about documents"));
            }
            Message::Documents(heads) => self.documents.hear(heads),
            Message::Lacking { strand, clock } => {
                if !self.documents.hear_lacking(strand, clock) {
                    return Err(SyncError::OutOfTurn("a question at the wrong time"));
                }
            }
            Message::Changes { strand, changes } if self.documents.waits_for(strand) => {
                self.documents.hear_changes(strand, changes);
            }
            Message::Settled if self.documents.hear_settled() => {}
            Message::Changes { .. } | Message::Settled => {
                return Err(SyncError::OutOfTurn("an answer that nobody asked for"));
            }
        }
        self.go_on();
        Ok(())
    }

    fn meet(&mut self, hello: Hello) -> Result<(), SyncError> {
        if self.peer.is_some() {
            return Err(SyncError::OutOfTurn("a second greeting"));
        }
        if hello.run != self.me.run {
            return Err(SyncError::OtherRun(hello.run.chars().take(100).collect()));
        }
        if hello.place == self.me.place {
            return Err(SyncError::Itself);
        }
        self.theirs.merge(&hello.have);
        self.sent.merge(&hello.have);
        self.check_replicas()?;
        self.peer = Some(hello);
        Ok(())
    }

    /// What was looked for: what the log has and the peer lacks, causes first, as much as goes into
    /// one message. Nothing where nothing can be given.
    ///
    /// # Errors
    /// When it is too large for a message.
    pub fn supply(&mut self, segments: Vec<Segment>) -> Result<(), SyncError> {
        self.reading = false;
        if self.over {
            return Ok(());
        }
        if segments.is_empty() {
            // What cannot be given (it is lost, or damaged) is not asked for again.
            self.sent.merge(&self.have.clone());
        } else {
            for segment in &segments {
                self.sent.advance(segment.replica, segment.last());
                self.given.advance(segment.replica, segment.last());
            }
            self.batches += 1;
            if let Err(error) = self.say(&Message::Events(segments)) {
                self.leave(Leave::Failed, &error.to_string());
                return Err(error);
            }
        }
        self.go_on();
        Ok(())
    }

    /// The events of the first effect [`Effect::Take`] that was not answered yet were taken in, as
    /// far as they are good: what is durable here now.
    pub fn taken(&mut self, have: &VersionVector) {
        self.taken += 1;
        self.advanced(have);
        self.acknowledge();
        self.go_on();
    }

    /// Something was taken in that came with events that were answered before, and is durable now.
    pub fn taken_later(&mut self, have: &VersionVector) {
        self.have.merge(have);
        self.acknowledge();
        self.go_on();
    }

    /// What a peer has, and was sent, is remembered as long as it can be a run's.
    fn check_replicas(&self) -> Result<(), SyncError> {
        if self.theirs.len().max(self.sent.len()) > 2 * limits::REPLICAS_MAX {
            return Err(SyncError::OutOfTurn("more replicas than a run has"));
        }
        Ok(())
    }

    /// Whether both sides exchange documents.
    fn documents_go(&self) -> bool {
        self.me.documents && self.peer.as_ref().is_some_and(|peer| peer.documents)
    }

    /// Nothing is to be taken of the peer's documents.
    pub const fn only_gives(&mut self) {
        self.gives_only = true;
    }

    /// Something about documents could not be done now: it is begun anew after the next
    /// [`Session::documents_changed`].
    pub fn documents_failed(&mut self) {
        self.documents.fail();
    }

    /// Whether the peer has yet to answer something.
    pub fn waits(&self) -> bool {
        self.under_way() > 0 || self.documents.is_owed()
    }

    /// Answers [`Paperwork::Look`]: where the documents stand; nothing where that cannot be said.
    pub fn stand(&mut self, heads: Option<Heads>) {
        self.documents.stand(heads);
        self.go_on();
    }

    /// Answers [`Paperwork::Compare`]: what the document holds; nothing where it lacks nothing, or cannot be
    /// used.
    pub fn lack(&mut self, strand: Strand, clock: Option<Clock>) {
        self.documents.lack(strand, clock);
        self.go_on();
    }

    /// Answers [`Paperwork::Give`]: what the peer lacks, causes first.
    ///
    /// # Errors
    /// When it is too large for a message.
    pub fn give(&mut self, strand: Strand, changes: Vec<Vec<u8>>) -> Result<(), SyncError> {
        if self.over {
            return Ok(());
        }
        if let Err(error) = self.say(&Message::Changes { strand, changes }) {
            self.leave(Leave::Failed, &error.to_string());
            return Err(error);
        }
        self.go_on();
        Ok(())
    }

    /// Answers [`Paperwork::Take`]: what of it is good is in the document.
    pub fn took(&mut self, strand: Strand) {
        self.documents.took(strand);
        self.go_on();
    }

    /// The documents may stand elsewhere by now. Who does not stay is not told: it would never end.
    pub fn documents_changed(&mut self) {
        let live = self.me.live && self.peer.as_ref().is_some_and(|peer| peer.live);
        if self.met && live && self.documents_go() {
            self.documents.look();
            self.go_on();
        }
    }

    /// There is more in the log, and it is durable.
    pub fn advanced(&mut self, have: &VersionVector) {
        self.have.merge(have);
        self.go_on();
    }

    /// Leaves, and tells the peer why.
    pub fn leave(&mut self, why: Leave, reason: &str) {
        if self.over {
            return;
        }
        let reason = message::bounded(reason.to_owned());
        let said = self.say(&Message::Leave { why, reason: reason.clone() });
        debug_assert!(said.is_ok(), "a reason encodes: {said:?}");
        self.end(why, reason, false);
    }

    fn end(&mut self, why: Leave, reason: String, by_peer: bool) {
        self.over = true;
        self.effects.push_back(Effect::End { why, reason, by_peer });
    }

    fn say(&mut self, message: &Message) -> Result<(), SyncError> {
        let bytes = codec::encode_message(self.sent_messages + 1, message)?;
        self.sent_messages += 1;
        self.effects.push_back(Effect::Send(bytes));
        Ok(())
    }

    /// Tells the peer what is durable here, where that is news.
    fn acknowledge(&mut self) {
        if self.over {
            return;
        }
        let news = self.have.iter().filter(|&(replica, number)| number > self.told.get(replica));
        let version: VersionVector = news.collect();
        self.told.merge(&version);
        let said = self.say(&Message::Have { version, taken: self.taken });
        debug_assert!(said.is_ok(), "a version encodes: {said:?}");
    }

    fn go_on(&mut self) {
        let Some(peer) = self.peer.as_ref().filter(|_| !self.over) else { return };
        let (live, takes) = (self.me.live && peer.live, peer.takes);
        // Who does not stay is sent what there was when both met, or it might never end.
        let enough = self.all_sent && !live;
        let nothing_left = !takes || enough || self.have <= self.sent;
        if !nothing_left && !self.reading && self.under_way() < limits::BATCHES_UNDER_WAY as u64 {
            self.reading = true;
            let (than, strands) = (self.sent.clone(), peer.strands);
            self.effects.push_back(Effect::Read { than, strands });
        }
        if nothing_left && !self.reading && !self.all_sent {
            self.all_sent = true;
            let said = self.say(&Message::UpToDate);
            debug_assert!(said.is_ok(), "a word encodes: {said:?}");
        }
        let quiet = self.under_way() == 0 && self.came == self.taken;
        if self.all_sent && self.all_received && quiet && !self.met {
            self.met = true;
            self.effects.push_back(Effect::UpToDate);
            if self.documents_go() {
                let takes = self.me.takes && !self.gives_only;
                self.documents.wants = if takes { self.me.strands } else { Strands::NONE };
                self.documents.look();
            }
        }
        if self.met && nothing_left && !self.reading && self.under_way() == 0 {
            self.documents.go_on();
        }
        while let Some(step) = self.documents.next() {
            let said = match step {
                Step::Do(paperwork) => {
                    self.effects.push_back(Effect::Paperwork(paperwork));
                    continue;
                }
                Step::Tell(heads) => Message::Documents(heads),
                Step::Lacking(strand, clock) => Message::Lacking { strand, clock },
                Step::Settled => Message::Settled,
            };
            if let Err(error) = self.say(&said) {
                return self.leave(Leave::Failed, &error.to_string());
            }
        }
        let waits = self.waits_for_taking && self.untaken() > 0;
        if self.met && !live && !waits && (!self.documents_go() || self.documents.settled()) {
            self.leave(Leave::Done, "");
        }
    }
}

/// What `log` has and `than` lacks, in canonical order, so that causes come first: as much as goes
/// into one message, without the operations that `strands` do not need. `None` where the log does not hold
/// all of that, or cannot say how it was written: then the journals have it. Linear in what lacks, and in
/// the replicas.
pub fn lacking(log: &Log, than: &VersionVector, strands: Strands) -> Option<Vec<Segment>> {
    // Behind what is not here nothing can be given, but to those who do not want it either.
    let gone =
        |event: &Event| event.is_lost() || event.is_withheld() && !strands.are_in(log.strands());
    let mut lacking: Vec<&Arc<Event>> = Vec::new();
    for (replica, number) in log.version().iter() {
        let known = than.get(replica);
        if number > known && log.base_version().get(replica) > known {
            return None;
        }
        // Behind an event that is lost, nothing can be given.
        let events = (known.saturating_add(1)..=number)
            .filter_map(|number| log.event(Dot::new(replica, number)));
        lacking.extend(events.take(limits::SEGMENT_EVENTS_MAX).take_while(|event| !gone(event)));
    }
    lacking.sort_unstable_by_key(|event| event.order());
    let mut hashers: BTreeMap<ReplicaId, EventHasher> = BTreeMap::new();
    let mut segments: Vec<Segment> = Vec::new();
    let mut last_of: BTreeMap<ReplicaId, usize> = BTreeMap::new();
    let (mut bytes, mut room) = (0, Room::of(usize::MAX));
    let mut before: Option<&Event> = None;
    for (count, event) in lacking.into_iter().enumerate() {
        let replica = event.dot.replica;
        // The events of one append have one wall-clock time; they are not parted without need.
        let full = count >= limits::BATCH_EVENTS || bytes > limits::BATCH_BYTES;
        let over = count >= limits::SEGMENT_EVENTS_MAX || bytes > limits::SEGMENT_BYTES_MAX / 4;
        let together = before.is_some_and(|before| {
            before.dot.replica == replica && before.time.millis == event.time.millis
        });
        if over || full && !together {
            break;
        }
        before = Some(event);
        let store = log.store_of(replica)?;
        let hasher = hashers.entry(replica).or_insert_with(|| EventHasher::new(store));
        let (previous, mut record) = as_written(log, event)?;
        if hasher.id(previous, event.dot, &record).ok()? != event.id {
            return None;
        }
        if !record.operation.is_needed_by(strands) {
            record.operation = codec::withhold(&record.operation).ok()?;
        }
        // Who gets them counts, too.
        if room.take(&record.operation).is_err() {
            break;
        }
        bytes += hasher.size();
        let at = last_of.get(&replica).and_then(|&at| segments.get_mut(at));
        match at.filter(|segment| segment.last() + 1 == event.dot.number) {
            Some(segment) => segment.records.push(record),
            None => {
                last_of.insert(replica, segments.len());
                let (first, records) = (event.dot.number, vec![record]);
                segments.push(Segment { replica, store, first, previous, records });
            }
        }
    }
    Some(segments)
}

/// The event as its author wrote it, and the id of the one before it.
pub(crate) fn as_written(log: &Log, event: &Event) -> Option<(EventId, Record)> {
    let Dot { replica, number } = event.dot;
    let before = Dot::new(replica, number - 1);
    let (previous, seen) = match (number, log.event(before)) {
        (1, _) => (EventId::GENESIS, Arc::default()),
        (_, Some(own)) => (own.id, Arc::clone(&own.seen)),
        (_, None) => {
            let head = log.base_head(before)?;
            (head.id, Arc::clone(&head.seen))
        }
    };
    let mut learned = Vec::new();
    for (replica, number) in event.seen.iter().filter(|&(of, number)| number > seen.get(of)) {
        let cause = Dot::new(replica, number);
        let known = log.event(cause).map(|event| event.id);
        let id = known.or_else(|| log.base_head(cause).map(|head| head.id))?;
        learned.push(Cause { replica, number, mark: id.mark() });
    }
    let record = Record {
        time: event.time,
        occurred: event.occurred,
        author: event.author.clone(),
        learned,
        operation: event.operation.clone(),
    };
    Some((previous, record))
}

/// Segments as they can be admitted, one after the other: a segment whose author learned of others
/// in the middle of it is cut there, since those others may have learned of its beginning. An
/// append is never cut, because its author learns nothing within it.
///
/// # Errors
/// When an event is over a limit.
pub fn cut(segments: Vec<Segment>) -> Result<Vec<Segment>, CodecError> {
    let mut pieces = Vec::with_capacity(segments.len());
    for segment in segments {
        if segment.records.iter().skip(1).all(|record| record.learned.is_empty()) {
            pieces.push(segment);
            continue;
        }
        let Segment { replica, store, first, previous, records } = segment;
        let mut hasher = EventHasher::new(store);
        let (mut number, mut id) = (first, previous);
        // Each with memory for what is in it, and no more: there may be as many as records.
        let mut piece = Segment { replica, store, first, previous, records: Vec::with_capacity(1) };
        for record in records {
            if !record.learned.is_empty() && !piece.records.is_empty() {
                let next = Segment {
                    replica,
                    store,
                    first: number,
                    previous: id,
                    records: Vec::with_capacity(1),
                };
                pieces.push(std::mem::replace(&mut piece, next));
            }
            id = hasher.id(id, Dot::new(replica, number), &record)?;
            number = number.saturating_add(1);
            piece.records.push(record);
        }
        pieces.push(piece);
    }
    Ok(pieces)
}
