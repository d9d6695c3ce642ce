//! Keeping runs on several machines the same: conversations over links, a hub that many talk to, and
//! who may do what there.
//!
//! ```text
//! converse(run, link)      one conversation: tress-engine's Session, with a run and a link
//! Link                     messages in order: in memory (pipe), or a WebSocket over a Unix socket,
//!                          TCP or TLS (socket)
//! Hub                      listens, asks for a token, and converses with each who may
//! repo                     the hub's door for stock Automerge clients
//! relay::exchange(run, …)  the same with what keeps and does not take part: PostgreSQL, a git remote
//! follow(run, remote)      connects, exchanges, and connects again with a growing wait
//! ```
//!
//! What can go wrong: a link breaks anywhere (the next conversation goes on from what both have), a
//! peer talks nonsense (the conversation ends with the reason), takes nothing (it is let go with a
//! reason), or says nothing (so does a link that is silent). Nothing of that touches other peers:
//! each has a task, and bounds, of its own.

mod address;
mod documents;
mod follow;
mod hub;
pub mod relay;
mod repo;
mod socket;
pub mod token;

use std::pin::pin;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::time::Instant;
use tress_engine::sync::{Effect, Session};
use tress_model::event::Record;
use tress_model::message::{Hello, Leave};
use tress_model::{Operation, Role, Segment, Strands, VersionVector, codec, limits};

use crate::error::Error;
use crate::members::Intake;
use crate::run::Run;
use crate::seal::Shelf;

pub use address::{Address, AddressError, Remote};
pub use documents::attend;
pub use follow::{Follow, FollowError, News, follow, sync_once};
#[cfg(feature = "postgres")]
pub use follow::{follow_postgres, follow_store};
pub use hub::{Hub, HubError, HubOptions, Listening, PEERS_MAX, RATE, WRONG_MAX};
pub use socket::{Certificates, ConnectError};
pub use tress_engine::SyncError;

/// How long a peer may take to greet, and to acknowledge what it was sent.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);
/// How often a word is said on a link that is silent, so that both sides know that it is there.
pub(crate) const HEARTBEAT: Duration = Duration::from_secs(15);

/// How long after something was written here it is signed, while others are told of it.
const SIGN_AFTER: Duration = Duration::from_millis(100);
/// How long is waited that a peer takes in what it got, where it trusts only what members sign.
const TAKING: Duration = Duration::from_millis(500);
/// How long whoever is done waits until the peer has heard so.
const LAST_WORD: Duration = Duration::from_secs(1);
/// When documents are tried again that could not be had.
const AGAIN: Duration = Duration::from_secs(3);

/// A way to a peer: messages, in order. It is closed when it is dropped.
#[derive(Debug)]
pub struct Link {
    pub(crate) to: mpsc::Sender<Vec<u8>>,
    pub(crate) from: mpsc::Receiver<Vec<u8>>,
}

/// How many messages wait in a link: those with events that may be under way, their
/// acknowledgements, and what begins and ends a conversation.
pub(crate) const LINK_MESSAGES: usize = 4 * limits::BATCHES_UNDER_WAY;

/// Two ends of a way within the process.
pub fn pipe() -> (Link, Link) {
    let (to_b, from_a) = mpsc::channel(LINK_MESSAGES);
    let (to_a, from_b) = mpsc::channel(LINK_MESSAGES);
    (Link { to: to_b, from: from_b }, Link { to: to_a, from: from_a })
}

/// What a conversation is to be.
#[derive(Debug, Clone)]
pub struct Terms {
    /// Whether it goes on once both have what the other had.
    pub live: bool,
    /// Whether the peer's events are taken in.
    pub takes: bool,
    /// The only role in which the peer's events may be written, where it is limited to one.
    pub role: Option<Role>,
    /// Whether documents are exchanged, too, once both have all events.
    pub documents: bool,
    /// Whether what the peer has counts as a copy; see [`Run::replicated`].
    pub counts: bool,
    /// How long the peer may take to greet, and to acknowledge what it was sent.
    pub patience: Duration,
    /// How many events of the peer are taken in a second, in the long run, where that is limited. Who
    /// sends more waits; nothing is refused.
    pub rate: Option<u32>,
}

impl Default for Terms {
    fn default() -> Self {
        let patience = PATIENCE;
        Self {
            live: false,
            takes: true,
            role: None,
            documents: true,
            counts: false,
            patience,
            rate: None,
        }
    }
}

/// What a conversation brought.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Exchanged {
    /// How many events came in.
    pub received: usize,
    /// How many events of ours the peer said that it has now and had not before.
    pub sent: u64,
    /// How many changes of documents came in.
    pub changes: usize,
    /// How many events came that no member has signed (yet), where somebody here trusts only members: they
    /// are not taken.
    pub unsigned: usize,
    /// How many segments of the peer were refused; they are in `quarantine/`.
    pub refused: usize,
    /// Whether both have what the other had when they met.
    pub up_to_date: bool,
    /// How many events are here that the peer does not take, since we may only read there.
    pub kept_back: u64,
    /// How many events the peer got and did not take in: it refused them, or takes only what members sign, and nobody
    /// it trusts has signed them.
    pub not_taken: u64,
}

impl Exchanged {
    /// The same, after another exchange that followed at once.
    pub(crate) fn then(self, next: Self) -> Self {
        Self {
            received: self.received + next.received,
            sent: self.sent + next.sent,
            changes: self.changes + next.changes,
            refused: self.refused + next.refused,
            ..next
        }
    }
}

/// Why a conversation ended before both had what the other had, or before it was to end.
#[derive(Debug, thiserror::Error)]
pub enum Broken {
    /// The link broke.
    #[error("the connection broke off")]
    Link,
    /// The peer said nothing, or took nothing, for too long.
    #[error("the peer has {0} for {secs} seconds", secs = .1.as_secs())]
    Silent(&'static str, Duration),
    /// The peer left.
    #[error("the peer ended it{}{reason}", if reason.is_empty() { "" } else { ": " })]
    Left {
        /// Why.
        why: Leave,
        /// In words.
        reason: String,
    },
    /// It made no sense.
    #[error(transparent)]
    Sync(#[from] SyncError),
    /// The peer may not do what it does.
    #[error("{0}")]
    Forbidden(String),
    /// The run failed.
    #[error(transparent)]
    Run(#[from] Error),
}

impl Broken {
    /// Whether to connect again may help.
    pub const fn is_transient(&self) -> bool {
        match self {
            Self::Link | Self::Silent(..) => true,
            Self::Left { why, .. } => !why.is_refusal(),
            Self::Sync(error) => matches!(error, SyncError::Lost { .. }),
            Self::Forbidden(_) | Self::Run(_) => false,
        }
    }
}

/// Talks with the peer at the other end of `link` about `run`, until both have what the other had,
/// or, where both are live, until one leaves or the link breaks. `told` hears after each step what
/// came of it so far.
///
/// # Errors
/// When it ends in another way than with both up to date. What was taken in until then stays.
pub async fn converse(
    run: &Run,
    link: Link,
    terms: &Terms,
    told: impl FnMut(&Exchanged) + Send,
) -> Result<Exchanged, Broken> {
    converse_until(run, link, terms, told, std::future::pending()).await
}

/// The same, until `closing` says why it is to end.
pub(crate) async fn converse_until(
    run: &Run,
    link: Link,
    terms: &Terms,
    told: impl FnMut(&Exchanged) + Send,
    closing: impl Future<Output = String>,
) -> Result<Exchanged, Broken> {
    let mut closing = pin!(closing);
    let mut updates = run.updates();
    // What is ours is signed before it is told, where this store signs.
    run.sign().await?;
    run.refresh().await?;
    let (live, takes, documents) = (terms.live, terms.takes, terms.documents);
    let intake = Intake::new(run)?;
    // Nobody signs documents: where only what members sign is taken, they are sealed here.
    let documents = documents && !intake.is_strict();
    let hello = Hello::new(run.name(), run.place()?, run.durable().await?);
    let hello = Hello { live, takes, documents, strands: run.strands(), ..hello };
    let (session, exchanged) = (Session::new(hello), Exchanged::default());
    let pace = terms.rate.map(Pace::new);
    // While one converses, the documents are kept.
    let (_shelf, mut seals) = (Shelf::new(run), run.seals());
    let (at_first, again, signs) = (None, None, run.signs()?);
    let (mut sign_at, mut taking) = (None, None);
    let mut talk =
        Talk { run, terms, link, session, exchanged, at_first, told, pace, again, intake, signs };
    if terms.role.is_some() {
        // Nobody can say in which role a change of a document was made.
        talk.session.only_gives();
    }
    talk.session.wait_for_taking();
    let mut heard = Instant::now();
    loop {
        let began = Instant::now();
        if talk.act().await? {
            return Ok(talk.end().await);
        }
        if talk.session.only_waits_for_taking() {
            taking.get_or_insert(Instant::now() + TAKING);
        }
        // While we were at work, nobody could be heard.
        heard += began.elapsed();
        let greeted = talk.session.peer().is_some();
        // Who owes nothing may be silent: the link itself has a heartbeat.
        let waits = talk.session.waits();
        if greeted && !waits {
            heard = Instant::now();
        }
        tokio::select! {
            message = talk.link.from.recv() => {
                heard = Instant::now();
                talk.hear(&message.ok_or(Broken::Link)?).await?;
            }
            changed = updates.changed() => {
                changed?;
                if signs {
                    sign_at.get_or_insert(Instant::now() + SIGN_AFTER);
                }
                talk.intake.reconsider();
                talk.session.advanced(&run.durable().await?);
                if std::mem::replace(&mut seals, run.seals()) != seals {
                    talk.session.documents_changed();
                }
            }
            reason = &mut closing => {
                talk.session.leave(Leave::Closing, &reason);
                talk.part().await;
                return Ok(talk.exchanged);
            }
            () = tokio::time::sleep_until(talk.intake.due().unwrap_or(heard)), if talk.intake.due().is_some() => {
                talk.settle().await?;
            }
            () = tokio::time::sleep_until(sign_at.unwrap_or(heard)), if sign_at.is_some() => {
                sign_at = None;
                run.sign().await?;
            }
            () = tokio::time::sleep_until(taking.unwrap_or(heard)), if taking.is_some() => {
                taking = None;
                talk.session.enough();
            }
            () = tokio::time::sleep_until(talk.again.unwrap_or(heard)), if talk.again.is_some() => {
                talk.again = None;
                talk.session.documents_changed();
            }
            () = tokio::time::sleep_until(heard + terms.patience), if !greeted || waits => {
                let what = if greeted { "taken nothing" } else { "said nothing" };
                talk.session.leave(Leave::Slow, &format!("you have {what} for too long: connect again"));
                talk.part().await;
                return Err(Broken::Silent(what, terms.patience));
            }
        }
    }
}

/// A conversation under way.
struct Talk<'a, F> {
    run: &'a Run,
    terms: &'a Terms,
    link: Link,
    session: Session,
    exchanged: Exchanged,
    /// What the peer had at first.
    at_first: Option<VersionVector>,
    told: F,
    pace: Option<Pace>,
    /// When documents are tried again that could not be had.
    again: Option<Instant>,
    intake: Intake,
    /// Whether what is written here is signed.
    signs: bool,
}

/// Holds up who sends more than so many events a second: a bucket of tokens that fills up in a second
/// (a leaky bucket as a meter; Turner 1986).
struct Pace {
    rate: f64,
    /// When it is empty again at this rate.
    empty: Instant,
}

impl Pace {
    fn new(rate: u32) -> Self {
        Self { rate: f64::from(rate.max(1)), empty: Instant::now() }
    }

    /// Notes that so many came; how long to wait before more is taken.
    fn came(&mut self, events: usize) -> Duration {
        let now = Instant::now();
        self.empty = self.empty.max(now) + Duration::from_secs_f64(events as f64 / self.rate);
        // As many as come in a second may come at once.
        self.empty.duration_since(now).saturating_sub(Duration::from_secs(1))
    }
}

impl<F: FnMut(&Exchanged)> Talk<'_, F> {
    /// Does what the session wants; whether it has come to its good end.
    async fn act(&mut self) -> Result<bool, Broken> {
        while let Some(effect) = self.session.next_effect() {
            match effect {
                Effect::Send(bytes) => {
                    // Where the peer is gone, what it said before is still to be heard.
                    let _ = self.link.to.send(bytes).await;
                }
                Effect::Read { than, strands } => {
                    let segments = self.run.lacking(than, strands).await?;
                    self.session.supply(segments)?;
                }
                Effect::Take(segments) => self.take(segments).await?,
                Effect::UpToDate => {
                    self.exchanged.up_to_date = true;
                    (self.told)(&self.exchanged);
                }
                Effect::Paperwork(paperwork) => {
                    self.trusts_as_before().await?;
                    let (came, well) = attend(self.run, &mut self.session, paperwork).await?;
                    self.exchanged.changes += came;
                    if !well {
                        self.again = Some(Instant::now() + AGAIN);
                    }
                    if let Some(pace) = &mut self.pace {
                        // Each question costs, and each change.
                        tokio::time::sleep(pace.came(1 + came).min(PATIENCE / 3)).await;
                    }
                }
                Effect::End { why: Leave::Done, .. } if self.exchanged.up_to_date => {
                    return Ok(true);
                }
                Effect::End { why, reason, by_peer: true } => {
                    return Err(Broken::Left { why, reason });
                }
                // We said why, and give the reason ourselves.
                Effect::End { .. } => {}
            }
        }
        Ok(false)
    }

    /// Tries once more what came without a signature.
    async fn settle(&mut self) -> Result<(), Broken> {
        self.trusts_as_before().await?;
        let taken = self.intake.settle(self.run).await?;
        self.exchanged.received += taken.events.len();
        let unsigned = self.intake.unsigned();
        let news = std::mem::replace(&mut self.exchanged.unsigned, unsigned) != unsigned;
        if !taken.events.is_empty() {
            self.session.taken_later(&self.run.durable().await?);
        }
        if news || !taken.events.is_empty() {
            (self.told)(&self.exchanged);
        }
        Ok(())
    }

    /// Somebody here may trust others than at the beginning: then the next conversation goes on from there.
    async fn trusts_as_before(&mut self) -> Result<(), Broken> {
        if self.intake.is_current(self.run)? {
            return Ok(());
        }
        self.session.leave(Leave::Closing, "others are trusted here from now on: connect again");
        self.part().await;
        Err(Broken::Link)
    }

    async fn take(&mut self, segments: Vec<Segment>) -> Result<(), Broken> {
        self.trusts_as_before().await?;
        if let Some(role) = self.terms.role {
            let records = segments.iter().flat_map(|segment| &segment.records);
            // A signature is of the store, in no role.
            let signs =
                |record: &&Record| matches!(record.operation, Operation::HeadsSigned { .. });
            let records = records.filter(|record| !signs(record));
            if let Some(other) = records.map(|record| record.author.role).find(|at| *at != role) {
                let reason = format!(
                    "this token writes as {role} only, and there are events of a {other}: sync them with another token"
                );
                self.session.leave(Leave::Forbidden, &reason);
                self.part().await;
                return Err(Broken::Forbidden(reason));
            }
        }
        let came = segments.iter().map(|segment| segment.records.len()).sum();
        let taken = self.intake.take(self.run, segments).await?;
        self.exchanged.unsigned = self.intake.unsigned();
        if let Some(pace) = &mut self.pace {
            // Until it is acknowledged, the peer sends no more than may be under way; it loses patience
            // where that takes too long, so the rest of the wait comes with the next piece.
            tokio::time::sleep(pace.came(came).min(PATIENCE / 3)).await;
        }
        self.exchanged.received += taken.events.len();
        self.exchanged.refused += taken.refused.len();
        self.session.taken(&self.run.durable().await?);
        (self.told)(&self.exchanged);
        Ok(())
    }

    /// Hears a message, and takes note of what the peer says that it has.
    async fn hear(&mut self, bytes: &[u8]) -> Result<(), Broken> {
        if codec::ends_events(bytes) {
            // Before both say goodbye.
            self.settle().await?;
        }
        if let Err(error) = self.session.receive(bytes) {
            self.part().await;
            return Err(error.into());
        }
        self.note();
        Ok(())
    }

    fn note(&mut self) {
        let Some(peer) = self.session.peer() else { return };
        let at_first = self.at_first.get_or_insert_with(|| peer.have.clone());
        let theirs = self.session.theirs();
        // Who keeps only some strands could not give back the rest.
        if self.terms.counts && peer.strands == Strands::ALL {
            self.run.note_copy(peer.place, theirs);
        }
        let ours = &self.run.state().version;
        let both = |version: &VersionVector| version.meet(ours).events();
        self.exchanged.sent = both(theirs).saturating_sub(both(at_first));
        if !peer.takes {
            self.exchanged.kept_back = ours.events().saturating_sub(both(theirs));
        }
        // What comes in between appending and signing is taken a moment later.
        self.exchanged.not_taken = match peer.takes && !(self.terms.live && self.signs) {
            true => self.session.untaken(),
            false => 0,
        };
    }

    /// What it came to, once the peer has heard the last word: whoever ends the process behind it would take it
    /// back.
    async fn end(self) -> Exchanged {
        let Link { to, mut from } = self.link;
        drop(to);
        let closed = async { while from.recv().await.is_some() {} };
        let _ = tokio::time::timeout(LAST_WORD, closed).await;
        self.exchanged
    }

    /// Says the last words, as far as the peer still listens.
    async fn part(&mut self) {
        while let Some(effect) = self.session.next_effect() {
            if let Effect::Send(bytes) = effect {
                let _ =
                    tokio::time::timeout(Duration::from_secs(1), self.link.to.send(bytes)).await;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_of_the_rate_may_come_at_once_and_the_rest_waits() {
        let mut pace = Pace::new(100);
        assert_eq!(pace.came(100), Duration::ZERO);
        let wait = pace.came(50);
        // Some of it may have run off meanwhile.
        assert!(wait <= Duration::from_millis(500), "{wait:?}");
        let wait = pace.came(100_000);
        assert!(wait > Duration::from_secs(900), "{wait:?}");
    }
}
