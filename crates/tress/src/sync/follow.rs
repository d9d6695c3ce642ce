//! Following a hub or a relay: connecting, and connecting again.

#[cfg(feature = "postgres")]
use std::collections::BTreeSet;
use std::time::Duration;

#[cfg(feature = "postgres")]
use tokio::task::JoinSet;

use super::relay::{self, RelayError};
use super::{Broken, Certificates, ConnectError, Exchanged, Remote, Terms, converse, socket};
use crate::error::Error;
use crate::run::Run;
#[cfg(feature = "postgres")]
use crate::store::Store;

/// The first wait before another try, and the longest.
const WAIT: (Duration, Duration) = (Duration::from_millis(200), Duration::from_secs(30));

/// How often it is looked for runs that are new.
#[cfg(feature = "postgres")]
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// How many runs of a database are followed.
#[cfg(feature = "postgres")]
const RUNS_MAX: usize = 1024;

/// Whom to follow, and how.
#[derive(Debug, Clone)]
pub struct Follow {
    /// Where it is.
    pub remote: Remote,
    /// What shows that we may: a hub's token, or the password of a database whose URL has none.
    pub token: Option<String>,
    /// Whom to trust.
    pub certificates: Certificates,
}

/// What there is to tell of a hub or a relay that is followed.
#[derive(Debug)]
pub enum News<'a> {
    /// Something was exchanged, in this conversation so far.
    Exchanged(&'a Exchanged),
    /// It broke off, or could not be begun; it is tried again after this wait.
    Broken(&'a FollowError, Duration),
}

/// Why there is nothing to follow.
#[derive(Debug, thiserror::Error)]
pub enum FollowError {
    /// There is no link.
    #[error(transparent)]
    Connect(#[from] ConnectError),
    /// The conversation ended.
    #[error(transparent)]
    Broken(#[from] Broken),
    /// The relay cannot be used.
    #[error(transparent)]
    Relay(#[from] RelayError),
}

impl From<Error> for FollowError {
    fn from(error: Error) -> Self {
        Self::Broken(error.into())
    }
}

impl FollowError {
    fn is_transient(&self) -> bool {
        match self {
            Self::Connect(error) => error.is_transient(),
            Self::Broken(broken) => broken.is_transient(),
            Self::Relay(error) => error.is_transient(),
        }
    }
}

/// Exchanges once what each side has and the other lacks.
///
/// # Errors
/// When there is nobody, it refuses, or the exchange breaks off. What came in until then stays.
pub async fn sync_once(run: &Run, follow: &Follow) -> Result<Exchanged, FollowError> {
    let exchanged = meet(run, Way::To(follow), false, |_| {}).await?;
    // Who learned just now that it is a member signs what it wrote, and then it is taken.
    if exchanged.not_taken > 0 && run.sign().await?.is_some() {
        return Ok(exchanged.then(meet(run, Way::To(follow), false, |_| {}).await?));
    }
    Ok(exchanged)
}

/// Follows a hub or a relay for as long as that makes sense: what comes in on one side comes to the
/// other.
///
/// # Errors
/// When to try again cannot help: it refuses, or the run fails.
pub async fn follow(
    run: &Run,
    follow: &Follow,
    told: impl FnMut(News<'_>) + Send,
) -> Result<std::convert::Infallible, FollowError> {
    again(run, Way::To(follow), told).await
}

/// Follows what a database holds of `run`, over a connection that others share; see [`follow`].
///
/// # Errors
/// As [`follow`].
#[cfg(feature = "postgres")]
pub async fn follow_postgres(
    run: &Run,
    database: &relay::Postgres,
    told: impl FnMut(News<'_>) + Send,
) -> Result<std::convert::Infallible, FollowError> {
    again(run, Way::Database(database), told).await
}

/// Follows what a database holds of every run that is there or in `store`, also of those that come
/// later. `told` hears what there is to tell of each.
///
/// # Errors
/// When to try again cannot help, with one of the runs.
#[cfg(feature = "postgres")]
pub async fn follow_store(
    store: &Store,
    database: &relay::Postgres,
    told: impl Fn(&str, News<'_>) + Send + Sync + Clone + 'static,
) -> Result<std::convert::Infallible, FollowError> {
    let (mut followed, mut tasks) = (BTreeSet::new(), JoinSet::new());
    let mut look = tokio::time::interval(LOOK_EVERY);
    loop {
        tokio::select! {
            _ = look.tick() => {}
            Some(ended) = tasks.join_next() => {
                // One run does not end the others.
                let (name, error): (String, FollowError) =
                    ended.map_err(|error| Error::Group(error.to_string()))?;
                if matches!(error, FollowError::Relay(_)) {
                    return Err(error);
                }
                tracing::error!(run = name, %error, "the run is not followed any more");
            }
        }
        let mut runs = store.runs()?;
        // Where it is away, those who follow say so.
        runs.extend(database.runs().await.unwrap_or_default());
        for name in runs {
            // What a database calls its runs may be no name of a run here, or more than anybody has.
            if followed.len() >= RUNS_MAX || !followed.insert(name.clone()) {
                continue;
            }
            let (store, database, told) = (store.clone(), database.clone(), told.clone());
            tasks.spawn(async move {
                let run = match store.create_run(&name).await {
                    Ok(run) => run,
                    Err(error) => return (name, error.into()),
                };
                match follow_postgres(&run, &database, |news| told(&name, news)).await {
                    Ok(never) => match never {},
                    Err(error) => (name, error),
                }
            });
        }
    }
}

/// Meets again and again, with a growing wait where that fails.
async fn again(
    run: &Run,
    way: Way<'_>,
    mut told: impl FnMut(News<'_>) + Send,
) -> Result<std::convert::Infallible, FollowError> {
    let mut wait = WAIT.0;
    loop {
        let mut met = false;
        let tell = |exchanged: &Exchanged| {
            met |= exchanged.up_to_date;
            told(News::Exchanged(exchanged));
        };
        let error = match meet(run, way, true, tell).await {
            Ok(_) => Broken::Link.into(),
            Err(error) if error.is_transient() => error,
            Err(error) => return Err(error),
        };
        if met {
            wait = WAIT.0;
        }
        // Not all at once, when a hub that many follow comes back.
        let jittered = wait.mul_f64(0.5 + fraction());
        told(News::Broken(&error, jittered));
        tokio::time::sleep(jittered).await;
        wait = (2 * wait).min(WAIT.1);
    }
}

/// How somebody is reached.
#[derive(Clone, Copy)]
enum Way<'a> {
    To(&'a Follow),
    /// Over a connection that others share.
    #[cfg(feature = "postgres")]
    Database(&'a relay::Postgres),
}

/// Connects, and exchanges.
async fn meet(
    run: &Run,
    way: Way<'_>,
    live: bool,
    told: impl FnMut(&Exchanged) + Send,
) -> Result<Exchanged, FollowError> {
    match way {
        Way::To(follow) => meet_at(run, follow, live, told).await,
        #[cfg(feature = "postgres")]
        Way::Database(database) => {
            relay::exchange(run, &mut database.run(run.name()).await?, live, told).await
        }
    }
}

async fn meet_at(
    run: &Run,
    follow: &Follow,
    live: bool,
    told: impl FnMut(&Exchanged) + Send,
) -> Result<Exchanged, FollowError> {
    let Follow { remote, token, certificates } = follow;
    let token = token.as_deref();
    match remote {
        Remote::Hub(address) => {
            let link = socket::connect(address, run.name(), token, certificates).await?;
            let terms = Terms { live, counts: true, ..Terms::default() };
            Ok(converse(run, link, &terms, told).await?)
        }
        Remote::Git(remote) => {
            relay::exchange(run, &mut relay::Git::open(run, remote).await?, live, told).await
        }
        #[cfg(feature = "postgres")]
        Remote::Postgres(url) => {
            let database = relay::Postgres::new(url, token, certificates)?;
            relay::exchange(run, &mut database.run(run.name()).await?, live, told).await
        }
        #[cfg(not(feature = "postgres"))]
        Remote::Postgres(_) => {
            let reason = "this build knows no PostgreSQL: the feature `postgres` of tress is off";
            Err(RelayError::Unusable(reason.to_owned()).into())
        }
    }
}

/// Some number from 0 up to 1.
fn fraction() -> f64 {
    let mut bytes = [0; 4];
    // Without randomness all wait equally long.
    let _ = getrandom::fill(&mut bytes);
    f64::from(u32::from_le_bytes(bytes)) / f64::from(u32::MAX)
}
