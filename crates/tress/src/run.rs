//! An open run: append, read, follow, go back.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};

use tokio::sync::{oneshot, watch};
use tress_engine::log::Draft;
use tress_engine::{CheckpointCheck, When};
use tress_model::clock::Millis;
use tress_model::ids::Author;
use tress_model::{Event, Operation, Role, State, StoreId, Strands, VersionVector};
use tress_store::{Damage, Item, RunStore};

use crate::copies::Copies;
use crate::core::{self, Command, Core};
use crate::driver::{Driver, Parts};
use crate::error::{Error, Refused};
use crate::seal::{Holding, Kept};
use crate::show::Published;
use crate::subscription::Subscription;

/// An open run. Cheap to clone; the run is closed when the last clone is dropped.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use tress::{Operation, Role, Store, TodoId};
///
/// let store = Store::in_memory()?;
/// let run = store.create_run("main").await?;
/// let ada = run.agent("ada", Role::Human);
/// ada.append([tress::todo(TodoId::from_external("first"), "write it down")]).await?;
/// assert_eq!(run.state().todos.len(), 1);
/// # Ok(()) }
/// ```
#[derive(Debug, Clone)]
pub struct Run {
    inner: Arc<Inner>,
}

#[derive(Debug)]
pub(crate) struct Inner {
    name: String,
    strands: Strands,
    driver: Driver,
    published: watch::Receiver<Published>,
    followers: Arc<AtomicUsize>,
    pub(crate) files: tress_store::Store,
    holding: Arc<Mutex<Holding>>,
    /// What conversations know of the documents, while there are any.
    kept: Mutex<Weak<tokio::sync::Mutex<Kept>>>,
    copies: Copies,
}

impl Inner {
    /// Opens a run: its work is done in the calls, or by a thread.
    pub(crate) async fn open(files: RunStore, in_place: bool) -> Result<Arc<Self>, Error> {
        let (publish, published) = watch::channel(Published::default());
        let followers = Arc::new(AtomicUsize::new(0));
        let (name, strands) = (files.name().to_owned(), files.strands());
        let store = files.store().clone();
        let holding = Arc::default();
        let parts = Parts {
            files,
            publish,
            followers: Arc::clone(&followers),
            holding: Arc::clone(&holding),
        };
        let driver = match in_place {
            true => Driver::in_place(parts)?,
            false => Driver::on_a_thread(parts).await?,
        };
        Ok(Arc::new(Self {
            name,
            strands,
            driver,
            published,
            followers,
            files: store,
            holding,
            kept: Mutex::default(),
            copies: Copies::default(),
        }))
    }
}

impl Run {
    pub(crate) fn from_inner(inner: Arc<Inner>) -> Self {
        Self { inner }
    }

    /// The run's name.
    pub fn name(&self) -> &str {
        &self.inner.name
    }

    /// The strands that are kept of it; see [`crate::Store::create_run_of`].
    pub fn strands(&self) -> Strands {
        self.inner.strands
    }

    /// The directory of the store that the run is in.
    pub fn store_dir(&self) -> &std::path::Path {
        self.inner.files.dir()
    }

    /// The place that the store is in: what tells two copies of a store apart.
    ///
    /// # Errors
    /// When `local/` cannot be read.
    pub fn place(&self) -> Result<StoreId, Error> {
        Ok(self.inner.files.place()?)
    }

    /// What other places and relays have of the run, as they told this process.
    pub(crate) fn copies(&self) -> &Copies {
        &self.inner.copies
    }

    /// The documents, for one who works on them.
    pub(crate) fn holding(&self) -> &Mutex<Holding> {
        &self.inner.holding
    }

    /// What this process shares of the documents among its conversations.
    pub(crate) fn kept_documents(&self) -> Arc<tokio::sync::Mutex<Kept>> {
        let mut known = self.inner.kept.lock().unwrap_or_else(PoisonError::into_inner);
        known.upgrade().unwrap_or_else(|| {
            let fresh = Arc::default();
            *known = Arc::downgrade(&fresh);
            fresh
        })
    }

    /// How many seals were written or read since the run was opened.
    pub(crate) fn seals(&self) -> u64 {
        self.inner.published.borrow().seals
    }

    pub(crate) fn store_files(&self) -> &tress_store::Store {
        &self.inner.files
    }

    /// The state as this process knows it. Never waits for a disk, and for no more than the fold of a small
    /// group of events (about a millisecond). What other processes wrote since is there after [`Run::refresh`]. As long as what
    /// it gives is kept, appending copies what it changes of it.
    pub fn state(&self) -> Arc<State> {
        Arc::clone(&self.inner.published.borrow().state)
    }

    /// Journals that could not be read to their end. Their replicas' later events are missing.
    pub fn damage(&self) -> Arc<Vec<Damage>> {
        Arc::clone(&self.inner.published.borrow().damage)
    }

    /// The clock of the machine that the store is on.
    pub(crate) fn clock(&self) -> impl FnOnce() -> Millis + Send + 'static {
        let store = self.inner.files.clone();
        move || store.host().now()
    }

    /// How many events are lost, by the word of a repair; [`crate::Store::check_run`] says which.
    pub fn lost(&self) -> usize {
        self.inner.published.borrow().lost
    }

    /// The agent `name`, acting as `role` on this run.
    pub fn agent(&self, name: &str, role: Role) -> Agent {
        Agent { run: self.clone(), author: Author::new(name, role) }
    }

    /// Asks whoever owns the log.
    pub(crate) async fn query<T: Send + 'static>(
        &self,
        ask: impl FnOnce(&mut Core) -> T + Send + 'static,
    ) -> Result<T, Error> {
        let (reply, answer) = oneshot::channel();
        let query = Box::new(move |core: &mut Core| {
            let _ = reply.send(ask(core));
        });
        self.inner.driver.send(Command::Query(query)).await?;
        answer.await.map_err(|_| Error::Closed)
    }

    /// Appends drafts, all of them or none, and gives their events once they are durable.
    ///
    /// # Errors
    /// When one is not valid, or they cannot be written; nothing was appended then. But with
    /// [`Error::Unknown`] they may be in the log, now or after the next opening: look before you try again.
    pub async fn append(&self, drafts: Vec<Draft>) -> Result<Vec<Arc<Event>>, Error> {
        let (reply, answer) = oneshot::channel();
        self.inner.driver.send(Command::Append { drafts, reply }).await?;
        answer.await.map_err(|_| Error::Closed)?
    }

    /// Appends what `decide` makes of the newest state, of which no other process can append on a
    /// condition meanwhile. Takes the run's lock for as long as that takes.
    ///
    /// # Errors
    /// [`Refused::Condition`] with what `decide` answered; else as [`Run::append`].
    pub async fn append_if<E: Send + 'static>(
        &self,
        decide: impl FnOnce(&Arc<State>) -> Result<Vec<Draft>, E> + Send + 'static,
    ) -> Result<Vec<Arc<Event>>, Refused<E>> {
        let (reply, answer) = oneshot::channel();
        let (refuse, refused) = std::sync::mpsc::channel();
        let decide = Box::new(move |state: &Arc<State>| match decide(state) {
            Ok(drafts) => Some(drafts),
            Err(reason) => {
                let _ = refuse.send(reason);
                None
            }
        });
        self.inner.driver.send(Command::Conditional { decide, reply }).await?;
        let events = answer.await.map_err(|_| Error::Closed)??;
        match refused.try_recv() {
            Ok(reason) => Err(Refused::Condition(reason)),
            Err(_) => Ok(events),
        }
    }

    /// Takes in what other processes wrote, and gives the state then.
    ///
    /// # Errors
    /// When the journals cannot be read.
    pub async fn refresh(&self) -> Result<Arc<State>, Error> {
        self.query(|core| {
            core.poll()?;
            core.show();
            Ok(Arc::clone(core.log.state()))
        })
        .await?
    }

    /// The state at a moment of the past.
    ///
    /// # Errors
    /// When there is no such moment.
    pub async fn state_at(&self, when: When) -> Result<Arc<State>, Error> {
        self.query(move |core| {
            // These name the same moment whatever lies before what is in memory.
            if let When::Event(_) | When::Version(_) = when
                && let Ok(version) = core.log.version_at(&when)
                && let Ok(state) = core.log.state_at(&version)
            {
                return Ok(state);
            }
            core.make_whole()?;
            let version = core.log.version_at(&when)?;
            Ok(core.log.state_at(&version)?)
        })
        .await?
    }

    /// The event that `name` names: a dot, an id, or the beginning of an id.
    ///
    /// # Errors
    /// When there is none, or there are several.
    pub async fn event(&self, name: &str) -> Result<Arc<Event>, Error> {
        let name = name.trim().to_lowercase();
        self.query(move |core| {
            if let Some(event) = name.parse().ok().and_then(|dot| core.log.event(dot)) {
                return Ok(Arc::clone(event));
            }
            core.make_whole()?;
            Ok(core.log.find_event(&name)?)
        })
        .await?
    }

    /// The events that `version` does not know, in canonical order.
    ///
    /// # Errors
    /// When the journals cannot be read.
    pub async fn events_since(&self, version: VersionVector) -> Result<Vec<Arc<Event>>, Error> {
        self.query(move |core| core::catch_up(core, &version, usize::MAX).map(|(events, _)| events))
            .await?
    }

    /// Follows the run: every event that `version` does not know, then every event that comes, each
    /// once, without a gap. An event from another process comes within some milliseconds where the
    /// system tells when files are written, else within about 50 ms.
    ///
    /// # Errors
    /// When the journals cannot be read.
    pub async fn subscribe(&self, version: VersionVector) -> Result<Subscription, Error> {
        let following = Following::new(&self.inner.followers);
        let mut subscription = Subscription::new(
            self.clone(),
            self.inner.published.clone(),
            following,
            version.clone(),
        );
        self.inner.driver.follow()?;
        let caught = self.query(move |core| core::catch_up(core, &version, usize::MAX)).await??;
        subscription.pull(caught);
        Ok(subscription)
    }

    /// Tells when the state changes, for those who then look at [`Run::state`]. Where the run is used in
    /// place ([`crate::Store::in_place`]), it waits for a call that is at work.
    pub fn updates(&self) -> Updates {
        let following = Following::new(&self.inner.followers);
        if let Err(error) = self.inner.driver.follow() {
            tracing::error!(run = self.inner.name, %error, "nobody looks at what other processes write");
        }
        Updates { published: self.inner.published.clone(), _following: following }
    }

    /// Recomputes every checkpoint from the first event on, and compares roots.
    ///
    /// # Errors
    /// When the journals cannot be read.
    pub async fn check(&self) -> Result<Vec<CheckpointCheck>, Error> {
        self.query(|core| {
            core.make_whole()?;
            let left_out = Arc::clone(core.log.left_out());
            let fresh = tress_engine::Log::new().leaving_out(left_out);
            let mut fresh = fresh.keeping(core.log.strands());
            let items = core.files.read_all()?;
            let segments = items.into_iter().filter_map(Item::into_hashed);
            fresh.admit_all(segments, None);
            Ok(fresh.check_checkpoints())
        })
        .await?
    }

    /// The whole run as one portable file.
    ///
    /// # Errors
    /// When the journals cannot be read.
    pub async fn export(&self) -> Result<Vec<u8>, Error> {
        Ok(tress_store::encode_run_file(&self.run_file().await?)?)
    }
}

/// While it exists, the run's thread looks at what other processes write.
#[derive(Debug)]
pub(crate) struct Following(Arc<AtomicUsize>);

impl Following {
    pub(crate) fn new(followers: &Arc<AtomicUsize>) -> Self {
        followers.fetch_add(1, Ordering::AcqRel);
        Self(Arc::clone(followers))
    }
}

impl Clone for Following {
    fn clone(&self) -> Self {
        Self::new(&self.0)
    }
}

impl Drop for Following {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::AcqRel);
    }
}

/// Tells when a run's state changes, by this process or another.
#[derive(Debug, Clone)]
pub struct Updates {
    published: watch::Receiver<Published>,
    _following: Following,
}

impl Updates {
    /// Waits for a change since the last call.
    ///
    /// # Errors
    /// When the run was closed.
    pub async fn changed(&mut self) -> Result<(), Error> {
        self.published.changed().await.map_err(|_| Error::Closed)?;
        // What is being shown just now is seen by whoever looks after this.
        self.published.borrow_and_update();
        Ok(())
    }
}

/// An agent on a run: appends under its name.
#[derive(Debug, Clone)]
pub struct Agent {
    run: Run,
    author: Author,
}

impl Agent {
    /// The agent's name.
    pub fn name(&self) -> &str {
        &self.author.name
    }

    /// The name and the role.
    pub fn author(&self) -> &Author {
        &self.author
    }

    /// The run.
    pub fn run(&self) -> &Run {
        &self.run
    }

    /// What the agent would append to mean `operation`.
    pub fn draft(&self, operation: Operation) -> Draft {
        Draft { author: self.author.clone(), occurred: None, operation }
    }

    /// The same, for something that happened at `occurred`.
    pub fn draft_at(&self, operation: Operation, occurred: Millis) -> Draft {
        Draft { author: self.author.clone(), occurred: Some(occurred), operation }
    }

    /// Appends operations, all of them or none, and gives their events once they are durable.
    ///
    /// # Errors
    /// As [`Run::append`].
    pub async fn append(
        &self,
        operations: impl IntoIterator<Item = Operation>,
    ) -> Result<Vec<Arc<Event>>, Error> {
        let drafts = operations.into_iter().map(|operation| self.draft(operation)).collect();
        self.run.append(drafts).await
    }

    /// Appends what `decide` makes of the newest state; see [`Run::append_if`].
    ///
    /// # Errors
    /// [`Refused::Condition`] with what `decide` answered; else as [`Agent::append`].
    pub async fn append_if<E: Send + 'static>(
        &self,
        decide: impl FnOnce(&Arc<State>) -> Result<Vec<Operation>, E> + Send + 'static,
    ) -> Result<Vec<Arc<Event>>, Refused<E>> {
        let author = self.author.clone();
        let draft = move |operation| Draft { author: author.clone(), occurred: None, operation };
        self.run.append_if(move |state| Ok(decide(state)?.into_iter().map(draft).collect())).await
    }

    /// Takes a checkpoint of the state as it is.
    ///
    /// # Errors
    /// When it cannot be written.
    pub async fn checkpoint(&self, name: &str, reason: &str) -> Result<Arc<Event>, Error> {
        let (name, reason) = (name.to_owned(), reason.to_owned());
        let taken = self.append_if(move |state| {
            Ok::<_, std::convert::Infallible>(vec![Operation::CheckpointTaken {
                name,
                version: state.version.clone(),
                root: state.root(),
                form: tress_model::codec::STATE_FORM,
                reason,
            }])
        });
        match taken.await {
            Ok(events) => events.into_iter().next().ok_or(Error::Closed),
            Err(Refused::Error(error)) => Err(error),
            Err(Refused::Condition(never)) => match never {},
        }
    }
}
