//! A hub: the place where many machines meet. It is a store like every other, with a door.
//!
//! Whoever comes by the Unix socket is who may read the store anyway. Everybody else shows a token. A
//! browser says where its page is from (`Origin`), and every client to whom it thinks it speaks
//! (`Host`): both are checked, so that a page on the web cannot use a hub on its visitor's machine.

use std::collections::{BTreeMap, BTreeSet};
use std::future::poll_fn;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;
use tokio_tungstenite::tungstenite::handshake::server::{ErrorResponse, Request, Response};
use tokio_tungstenite::tungstenite::http::{HeaderMap, StatusCode, header};

use tress_model::{Role, limits};

use super::Terms;
use super::repo::{self, Client, RepoError};
use super::socket::{self, ConnectError};
use super::token::{Grant, TokenRefused, Tokens};
use crate::error::Error;
use crate::run::Run;
use crate::store::Store;

/// How many peers a hub talks to at once, those that have not shown a token yet among them.
pub const PEERS_MAX: usize = 4096;
/// How many events a peer with a token may bring a second unless something else is said: many times
/// what a team of agents writes.
pub const RATE: u32 = 20_000;
/// How many wrong tokens may come from one address in [`WRONG_WITHIN`] before it has to wait.
pub const WRONG_MAX: u32 = 20;
const WRONG_WITHIN: Duration = Duration::from_secs(60);
/// Of how many addresses that is remembered.
const ADDRESSES_MAX: usize = 4096;
/// How long a peer may take to say who it is.
const HANDSHAKE: Duration = Duration::from_secs(10);
/// How often it is looked whether the token of a peer still holds.
const HOLDS_EVERY: Duration = Duration::from_secs(2);

/// How a hub is to be.
#[derive(Debug, Clone)]
pub struct HubOptions {
    /// The Unix socket to listen at.
    pub socket: Option<PathBuf>,
    /// The address to listen at.
    pub listen: Option<SocketAddr>,
    /// The certificates and the key to encrypt with, as PEM files.
    pub tls: Option<(PathBuf, PathBuf)>,
    /// Names under which it is reached, beside numbers and `localhost`.
    pub hosts: Vec<String>,
    /// Where pages that may use it come from, as browsers say it: `https://example.org`.
    pub origins: Vec<String>,
    /// How long a peer may take nothing before it is let go.
    pub patience: Duration,
    /// How many events a peer with a token may bring a second, in the long run. Who brings more waits.
    pub rate: Option<u32>,
}

impl Default for HubOptions {
    fn default() -> Self {
        Self {
            socket: None,
            listen: None,
            tls: None,
            hosts: Vec::new(),
            origins: Vec::new(),
            patience: super::PATIENCE,
            rate: Some(RATE),
        }
    }
}

/// A hub at work.
#[derive(Debug)]
pub struct Hub {
    stop: watch::Sender<bool>,
    listening: Listening,
    tasks: JoinSet<()>,
}

/// Where a hub listens.
#[derive(Debug, Clone, Default)]
pub struct Listening {
    /// The Unix socket.
    pub socket: Option<PathBuf>,
    /// The address, with the port that it has.
    pub address: Option<SocketAddr>,
}

/// Why a hub cannot be.
#[derive(Debug, thiserror::Error)]
pub enum HubError {
    /// It cannot listen.
    #[error("cannot listen at {at}: {error}")]
    Listen {
        /// Where.
        at: String,
        /// What the system says.
        error: io::Error,
    },
    /// Another hub listens at the socket.
    #[error("another hub listens at {}: it serves this store already", .0.display())]
    Running(PathBuf),
    /// Its certificates cannot be used.
    #[error(transparent)]
    Certificates(#[from] ConnectError),
}

/// What each connection needs.
struct Door {
    store: Store,
    tokens: Tokens,
    options: HubOptions,
    stop: watch::Receiver<bool>,
    wrong: Mutex<Wrong>,
    /// Runs that peers asked for and of which nothing was known here: they stay where something comes.
    made: Mutex<BTreeSet<String>>,
}

/// Who came with wrong tokens, how often, and since when.
#[derive(Default)]
struct Wrong(BTreeMap<IpAddr, (u32, Instant)>);

impl Wrong {
    /// Whether somebody there has to wait.
    fn is_over(&mut self, from: IpAddr) -> bool {
        self.0.retain(|_, (_, since)| since.elapsed() < WRONG_WITHIN);
        self.0.get(&from).is_some_and(|(count, _)| *count >= WRONG_MAX)
    }

    fn add(&mut self, from: IpAddr) {
        if self.0.len() >= ADDRESSES_MAX && !self.0.contains_key(&from) {
            // Better that the oldest may try again than that memory grows.
            let oldest = self.0.iter().min_by_key(|(_, (_, since))| *since).map(|(ip, _)| *ip);
            oldest.map(|oldest| self.0.remove(&oldest));
        }
        self.0.entry(from).or_insert((0, Instant::now())).0 += 1;
    }
}

/// Who came in, and for what.
struct Guest {
    run: String,
    grant: Option<Grant>,
    /// The name under which a stock Automerge client writes, if it is one.
    client: Option<String>,
}

/// What a path behind [`socket::PATH`] ends in for a stock Automerge client.
const AUTOMERGE: &str = "/automerge";

impl Hub {
    /// Opens a hub on `store`.
    ///
    /// # Errors
    /// When it cannot listen, or not encrypt.
    pub async fn open(store: Store, options: HubOptions) -> Result<Self, HubError> {
        let (stop, stopped) = watch::channel(false);
        let tls =
            options.tls.as_ref().map(|(chain, key)| socket::acceptor(chain, key)).transpose()?;
        let tokens = Tokens::of(store.dir());
        let (options_of, wrong) = (options.clone(), Mutex::default());
        let made = Mutex::default();
        let door =
            Arc::new(Door { store, tokens, options: options_of, stop: stopped, wrong, made });
        let peers = Arc::new(Semaphore::new(PEERS_MAX));
        let mut hub = Self { stop, listening: Listening::default(), tasks: JoinSet::new() };
        #[cfg(unix)]
        if let Some(path) = &options.socket {
            let listener = listen_at(path).await?;
            hub.listening.socket = Some(path.clone());
            let (door, peers) = (Arc::clone(&door), Arc::clone(&peers));
            hub.tasks.spawn(async move {
                let next = |context: &mut Context<'_>| listener.poll_accept(context);
                let guest = |door, stream, _, permit| serve(door, stream, None, permit);
                receive(door, peers, next, guest).await;
            });
        }
        if let Some(address) = options.listen {
            let at = |error| HubError::Listen { at: address.to_string(), error };
            let listener = TcpListener::bind(address).await.map_err(at)?;
            hub.listening.address = Some(listener.local_addr().map_err(at)?);
            hub.tasks.spawn(async move {
                let next = |context: &mut Context<'_>| listener.poll_accept(context);
                let guest = move |door, stream: TcpStream, from, permit| {
                    let _ = stream.set_nodelay(true);
                    accept(door, stream, from, tls.clone(), permit)
                };
                receive(door, peers, next, guest).await;
            });
        }
        Ok(hub)
    }

    /// Where it listens.
    pub fn listening(&self) -> &Listening {
        &self.listening
    }

    /// Closes the door, and tells all peers to come again later.
    pub async fn close(mut self) {
        let _ = self.stop.send(true);
        while self.tasks.join_next().await.is_some() {}
        // Each conversation holds a receiver until it has said its last word.
        let _ = tokio::time::timeout(Duration::from_secs(3), self.stop.closed()).await;
        if let Some(path) = &self.listening.socket {
            let _ = std::fs::remove_file(path);
        }
    }
}

/// Listens at a Unix socket. One that nobody listens at any more is taken over.
#[cfg(unix)]
async fn listen_at(path: &Path) -> Result<tokio::net::UnixListener, HubError> {
    use tokio::net::{UnixListener, UnixStream};
    let at = |error| HubError::Listen { at: path.display().to_string(), error };
    if path.exists() {
        if UnixStream::connect(path).await.is_ok() {
            return Err(HubError::Running(path.to_owned()));
        }
        std::fs::remove_file(path).map_err(at)?;
    }
    let listener = UnixListener::bind(path).map_err(at)?;
    let only_us = std::os::unix::fs::PermissionsExt::from_mode(0o600);
    std::fs::set_permissions(path, only_us).map_err(at)?;
    Ok(listener)
}

/// Gives whoever comes a task of its own, until the hub is closed.
async fn receive<S, A, G: Future<Output = ()> + Send + 'static>(
    door: Arc<Door>,
    peers: Arc<Semaphore>,
    next: impl Fn(&mut Context<'_>) -> Poll<io::Result<(S, A)>>,
    guest: impl Fn(Arc<Door>, S, A, OwnedSemaphorePermit) -> G,
) {
    while let Some(permit) = door.room(&peers).await {
        let Some(accepted) = door.unless_stopped(poll_fn(&next)).await else { break };
        // The system may have no room for another one now: others go on.
        let Ok((stream, from)) = accepted else {
            tokio::time::sleep(Duration::from_millis(50)).await;
            continue;
        };
        tokio::spawn(guest(Arc::clone(&door), stream, from, permit));
    }
}

impl Door {
    /// Opens the run that a peer asks for.
    async fn open(&self, name: &str) -> Result<Run, Error> {
        if !self.store.has_run(name)? {
            self.made().insert(name.to_owned());
        }
        self.store.create_run(name).await
    }

    /// Takes `run` back where a peer asked for it, nothing came, and nobody is here for it any more.
    async fn left(&self, run: Run) -> Result<(), Error> {
        let name = run.name().to_owned();
        if !self.made().contains(&name) {
            return Ok(());
        }
        let empty = run.state().version.is_empty();
        if self.store.unmake(run).await? || !empty {
            self.made().remove(&name);
        }
        Ok(())
    }

    fn made(&self) -> std::sync::MutexGuard<'_, BTreeSet<String>> {
        self.made.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What `future` gives, unless the hub is closed before.
    async fn unless_stopped<T>(&self, future: impl Future<Output = T>) -> Option<T> {
        let mut stop = self.stop.clone();
        tokio::select! {
            _ = stop.wait_for(|stopped| *stopped) => None,
            done = future => Some(done),
        }
    }

    /// Room for one peer more. Those that come while there is none wait in the system's queue.
    async fn room(&self, peers: &Arc<Semaphore>) -> Option<OwnedSemaphorePermit> {
        self.unless_stopped(Arc::clone(peers).acquire_owned()).await?.ok()
    }

    /// Whether whoever asks with `request` may come in; `from` is where it comes from, unless that is
    /// this machine's own socket.
    fn ask(
        &self,
        request: &Request,
        from: Option<SocketAddr>,
    ) -> Result<Guest, (StatusCode, String)> {
        let refuse = |status, reason: &str| Err((status, reason.to_owned()));
        let headers = request.headers();
        let text = |name| headers.get(name).and_then(|value| value.to_str().ok());
        let Some(run) = request.uri().path().strip_prefix(socket::PATH) else {
            return refuse(StatusCode::NOT_FOUND, "there is nothing here: ask for /v1/runs/RUN");
        };
        // A stock client has nothing but a URL: the token rides in it, and so does a name.
        let (run, stock) = match run.strip_suffix(AUTOMERGE) {
            Some(run) => (run, true),
            None => (run, false),
        };
        let query = |name| stock.then(|| query_of(request.uri().query(), name)).flatten();
        if from.is_some() && !self.is_ours(text(header::HOST).unwrap_or_default()) {
            return refuse(
                StatusCode::MISDIRECTED_REQUEST,
                "this is not the host that was asked for",
            );
        }
        let origin = text(header::ORIGIN);
        if origin.is_some_and(|origin| !self.options.origins.iter().any(|known| known == origin)) {
            return refuse(StatusCode::FORBIDDEN, "pages from there may not use this hub");
        }
        let grant = match from {
            None => None,
            Some(from) => {
                let now = self.store.files().host().now();
                let token = bearer(headers).map(str::to_owned).or_else(|| query("token"));
                let checked = self.tokens.check(token.as_deref(), run, now);
                // Whoever has a right one comes in, also where others come from the same address, as
                // all do behind a proxy.
                if let Err(TokenRefused::Unknown) = &checked {
                    let mut wrong = self.wrong.lock().unwrap_or_else(PoisonError::into_inner);
                    if wrong.is_over(from.ip()) {
                        let reason = "too many wrong tokens came from there: wait a minute";
                        return refuse(StatusCode::TOO_MANY_REQUESTS, reason);
                    }
                    wrong.add(from.ip());
                }
                Some(checked.map_err(|refused| (status_of(&refused), refused.to_string()))?)
            }
        };
        let may_make = grant.as_ref().is_none_or(|grant| grant.write);
        let there = self.store.runs().is_ok_and(|runs| runs.iter().any(|known| known == run));
        if !there && !may_make {
            return refuse(StatusCode::NOT_FOUND, "there is no such run here");
        }
        let client = match stock {
            true => Some(name_of(grant.as_ref(), query("agent"))?),
            false => None,
        };
        Ok(Guest { run: run.to_owned(), grant, client })
    }

    /// Whether we are who is called `host` (with a port, or without).
    fn is_ours(&self, host: &str) -> bool {
        let name = match host.strip_prefix('[') {
            Some(rest) => rest.split(']').next().unwrap_or_default(),
            None => host.split(':').next().unwrap_or_default(),
        };
        let named = |known: &String| known.eq_ignore_ascii_case(name);
        name.eq_ignore_ascii_case("localhost")
            || name.parse::<IpAddr>().is_ok()
            || self.options.hosts.iter().any(named)
    }
}

/// A value in the query of a URL, as forms write it: `+` for a space, `%` and two digits for a byte.
fn query_of(query: Option<&str>, name: &str) -> Option<String> {
    let mut pairs = query?.split('&').filter_map(|pair| pair.split_once('='));
    let value = pairs.find(|(key, _)| *key == name).map(|(_, value)| value)?;
    let (mut bytes, mut rest) = (Vec::new(), value.as_bytes());
    while let Some((&byte, after)) = rest.split_first() {
        let digits = after.get(..2).filter(|_| byte == b'%');
        let digits = digits.and_then(|two| std::str::from_utf8(two).ok());
        match digits.and_then(|two| u8::from_str_radix(two, 16).ok()) {
            Some(decoded) => {
                bytes.push(decoded);
                rest = after.get(2..).unwrap_or_default();
            }
            None => {
                bytes.push(if byte == b'+' { b' ' } else { byte });
                rest = after;
            }
        }
    }
    String::from_utf8(bytes).ok().filter(|value| !value.is_empty())
}

/// Under which name a stock client writes: that of its token, where that has one, since rules tell agents
/// apart by their names; else the one that it asks for.
fn name_of(grant: Option<&Grant>, asked: Option<String>) -> Result<String, (StatusCode, String)> {
    let of_token = grant.map(|grant| grant.name.as_str()).filter(|name| !name.is_empty());
    match (of_token, asked) {
        (Some(name), Some(asked)) if name != asked => {
            let reason = format!("this token is {name}'s, and writes under no other name");
            Err((StatusCode::FORBIDDEN, reason))
        }
        (Some(name), _) => Ok(name.to_owned()),
        (None, Some(asked))
            if asked.trim().is_empty() || asked.len() > limits::AGENT_NAME_BYTES_MAX =>
        {
            Err((StatusCode::BAD_REQUEST, "this is no name of an agent".to_owned()))
        }
        (None, Some(asked)) => Ok(asked),
        (None, None) => Ok(grant.map_or_else(|| "automerge".to_owned(), |grant| grant.id.clone())),
    }
}

fn bearer(headers: &HeaderMap) -> Option<&str> {
    let value = headers.get(header::AUTHORIZATION)?.to_str().ok()?;
    let (kind, token) = value.split_once(' ')?;
    kind.eq_ignore_ascii_case("bearer").then(|| token.trim())
}

fn status_of(refused: &TokenRefused) -> StatusCode {
    match refused {
        TokenRefused::OtherRun(..) => StatusCode::FORBIDDEN,
        TokenRefused::Unreadable(_) => StatusCode::INTERNAL_SERVER_ERROR,
        _ => StatusCode::UNAUTHORIZED,
    }
}

async fn accept(
    door: Arc<Door>,
    stream: TcpStream,
    from: SocketAddr,
    tls: Option<TlsAcceptor>,
    permit: OwnedSemaphorePermit,
) {
    let Some(tls) = tls else { return serve(door, stream, Some(from), permit).await };
    match tokio::time::timeout(HANDSHAKE, tls.accept(stream)).await {
        Ok(Ok(stream)) => serve(door, stream, Some(from), permit).await,
        Ok(Err(error)) => tracing::warn!(%from, %error, "a peer cannot be talked to in secret"),
        Err(_) => tracing::warn!(%from, "a peer took too long to begin"),
    }
}

/// Lets a peer in, or not, and talks with it until it leaves.
async fn serve<S: AsyncRead + AsyncWrite + Unpin + Send + 'static>(
    door: Arc<Door>,
    stream: S,
    from: Option<SocketAddr>,
    // Held as long as the peer is here.
    _permit: OwnedSemaphorePermit,
) {
    let who = from.map_or_else(|| "this machine".to_owned(), |from| from.to_string());
    let mut guest = None;
    #[expect(clippy::result_large_err, reason = "the shape that the library asks for")]
    let ask = |request: &Request, response: Response| match door.ask(request, from) {
        Ok(known) => {
            guest = Some(known);
            Ok(response)
        }
        Err((status, reason)) => {
            tracing::warn!(from = who, status = status.as_u16(), reason, "refused a peer");
            let mut response = ErrorResponse::new(Some(reason));
            *response.status_mut() = status;
            Err(response)
        }
    };
    let config = Some(socket::config());
    let accepted = tokio_tungstenite::accept_hdr_async_with_config(stream, ask, config);
    let socket = match tokio::time::timeout(HANDSHAKE, accepted).await {
        Ok(Ok(socket)) => socket,
        Ok(Err(error)) => return tracing::debug!(from = who, %error, "no conversation"),
        Err(_) => return tracing::warn!(from = who, "a peer took too long to say who it is"),
    };
    let Some(Guest { run, grant, client }) = guest else { return };
    let id = grant.as_ref().map_or("local", |grant| grant.id.as_str()).to_owned();
    match talk(&door, socket::carry(socket), &run, grant, client).await {
        Ok(()) => tracing::debug!(from = who, token = id, run, "a peer has left"),
        Err(reason) => tracing::warn!(from = who, token = id, run, reason, "a conversation ended"),
    }
}

async fn talk(
    door: &Door,
    link: super::Link,
    name: &str,
    grant: Option<Grant>,
    client: Option<String>,
) -> Result<(), String> {
    let run = door.open(name).await.map_err(|error| error.to_string())?;
    let ended = converse(door, link, &run, grant, client).await;
    door.left(run).await.map_err(|error| error.to_string())?;
    ended
}

async fn converse(
    door: &Door,
    link: super::Link,
    run: &Run,
    grant: Option<Grant>,
    client: Option<String>,
) -> Result<(), String> {
    let may_write = grant.as_ref().is_none_or(|grant| grant.write);
    let terms = Terms {
        live: true,
        takes: may_write,
        role: grant.as_ref().and_then(|grant| grant.role),
        documents: true,
        counts: may_write,
        patience: door.options.patience,
        // Whoever comes by the socket may write the store anyway.
        rate: door.options.rate.filter(|_| grant.is_some()),
    };
    let closing = async {
        loop {
            if door.unless_stopped(tokio::time::sleep(HOLDS_EVERY)).await.is_none() {
                return "the hub is being closed: come again".to_owned();
            }
            let Some(grant) = &grant else { continue };
            if let Err(refused) = door.tokens.holds(grant, door.store.files().host().now()) {
                return refused.to_string();
            }
        }
    };
    if let Some(name) = client {
        let role = terms.role.unwrap_or(Role::Human);
        let agent = may_write.then(|| run.agent(&name, role));
        let client = Client { run, agent, link, rate: terms.rate };
        return match repo::serve(client, closing).await {
            Ok(()) | Err(RepoError::Left) => Ok(()),
            Err(error) => Err(error.to_string()),
        };
    }
    let mut unsigned = 0;
    let told = |exchanged: &super::Exchanged| unsigned = exchanged.unsigned;
    let ended = super::converse_until(run, link, &terms, told, closing).await;
    if unsigned > 0 {
        tracing::warn!(
            run = run.name(),
            unsigned,
            "events came that no member has signed: they were not taken"
        );
    }
    ended.map(|_| ()).map_err(|broken| broken.to_string())
}
