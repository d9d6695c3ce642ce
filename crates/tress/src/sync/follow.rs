//! Following a hub: connecting, and connecting again.

use std::time::Duration;

use super::{Address, Broken, Certificates, ConnectError, Exchanged, Terms, converse, socket};
use crate::run::Run;

/// The first wait before another try, and the longest.
const WAIT: (Duration, Duration) = (Duration::from_millis(200), Duration::from_secs(30));

/// Whom to follow, and how.
#[derive(Debug, Clone)]
pub struct Follow {
    /// Where the hub is.
    pub address: Address,
    /// What shows that we may.
    pub token: Option<String>,
    /// Whom to trust.
    pub certificates: Certificates,
}

/// What there is to tell of a hub that is followed.
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
}

impl FollowError {
    fn is_transient(&self) -> bool {
        match self {
            Self::Connect(error) => error.is_transient(),
            Self::Broken(broken) => broken.is_transient(),
        }
    }
}

/// Exchanges once what each side has and the other lacks.
///
/// # Errors
/// When there is no hub, it refuses, or the conversation breaks off. What came in until then stays.
pub async fn sync_once(run: &Run, follow: &Follow) -> Result<Exchanged, FollowError> {
    let Follow { address, token, certificates } = follow;
    let link = socket::connect(address, run.name(), token.as_deref(), certificates).await?;
    Ok(converse(run, link, &Terms::default(), |_| {}).await?)
}

/// Follows a hub for as long as that makes sense: what comes in on one side comes to the other.
///
/// # Errors
/// When to try again cannot help: the hub refuses, or the run fails.
pub async fn follow(
    run: &Run,
    follow: &Follow,
    mut told: impl FnMut(News<'_>) + Send,
) -> Result<std::convert::Infallible, FollowError> {
    let mut wait = WAIT.0;
    loop {
        let Follow { address, token, certificates } = follow;
        let mut met = false;
        let terms = Terms { live: true, ..Terms::default() };
        let ended = match socket::connect(address, run.name(), token.as_deref(), certificates).await
        {
            Ok(link) => {
                let told = |exchanged: &Exchanged| {
                    met |= exchanged.up_to_date;
                    told(News::Exchanged(exchanged));
                };
                converse(run, link, &terms, told).await.map_err(FollowError::from)
            }
            Err(error) => Err(error.into()),
        };
        let error = match ended {
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

/// Some number from 0 up to 1.
fn fraction() -> f64 {
    let mut bytes = [0; 4];
    // Without randomness all wait equally long.
    let _ = getrandom::fill(&mut bytes);
    f64::from(u32::from_le_bytes(bytes)) / f64::from(u32::MAX)
}
