//! Links over sockets: a WebSocket over a Unix socket, TCP, or TLS. One message is one binary frame.

use std::io;
use std::path::Path;
use std::sync::Arc;

use futures_util::{SinkExt, StreamExt};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio_rustls::{TlsAcceptor, TlsConnector};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::http::HeaderValue;
use tokio_tungstenite::tungstenite::http::header::AUTHORIZATION;
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use tokio_tungstenite::tungstenite::{Error as SocketError, Message};
use tress_model::limits;

use super::{Address, HEARTBEAT, LINK_MESSAGES, Link, PATIENCE};

/// What is asked for: the run stands behind it.
pub(super) const PATH: &str = "/v1/runs/";

/// Why there is no link to a hub.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// Nobody answers there.
    #[error("nobody answers at {address} ({error}): is `tress serve` running there?")]
    Unreachable {
        /// Where.
        address: Address,
        /// What the system says.
        error: io::Error,
    },
    /// The hub refuses.
    #[error("the hub refuses (HTTP {status}): {reason}")]
    Refused {
        /// The HTTP status.
        status: u16,
        /// What it says.
        reason: String,
    },
    /// Whoever answers is no hub, or it broke off.
    #[error("what answers at {address} is no hub of Tress: {reason}")]
    NoHub {
        /// Where.
        address: Address,
        /// What happened.
        reason: String,
    },
    /// The token has letters that no token has.
    #[error("TRESS_TOKEN is no token: copy the whole last line of `tress token create`")]
    Token,
    /// The certificates cannot be used.
    #[error("the certificates in {path} cannot be used: {reason}")]
    Certificates {
        /// The file.
        path: String,
        /// Why.
        reason: String,
    },
    /// This system has no Unix sockets.
    #[error("there are no Unix sockets on this system")]
    NoUnix,
}

impl ConnectError {
    /// Whether to try again later may help.
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Unreachable { .. } => true,
            Self::Refused { status, .. } => matches!(status, 408 | 429 | 500..=599),
            Self::NoHub { .. } | Self::Token | Self::Certificates { .. } | Self::NoUnix => false,
        }
    }
}

/// What a WebSocket may cost.
pub(super) fn config() -> WebSocketConfig {
    WebSocketConfig::default()
        .max_message_size(Some(limits::MESSAGE_BYTES_MAX))
        .max_frame_size(Some(limits::MESSAGE_BYTES_MAX))
        .read_buffer_size(8 << 10)
        .write_buffer_size(0)
}

/// The certificates of a hub, or of who signed a hub's.
#[derive(Debug, Clone, Default)]
pub struct Certificates {
    /// A file with certificates that are trusted beside those that the system trusts.
    pub trusted: Option<std::path::PathBuf>,
}

fn unusable(path: &Path, reason: impl ToString) -> ConnectError {
    ConnectError::Certificates { path: path.display().to_string(), reason: reason.to_string() }
}

/// TLS as a hub, with the certificates in `chain` (PEM, its own first) and its key in `key`.
pub(super) fn acceptor(chain: &Path, key: &Path) -> Result<TlsAcceptor, ConnectError> {
    let certificates = CertificateDer::pem_file_iter(chain).map_err(|e| unusable(chain, e))?;
    let certificates: Result<Vec<_>, _> = certificates.collect();
    let certificates = certificates.map_err(|error| unusable(chain, error))?;
    let key_of = PrivateKeyDer::from_pem_file(key).map_err(|error| unusable(key, error))?;
    let config = rustls::ServerConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()
        .map_err(|error| unusable(chain, error))?
        .with_no_client_auth()
        .with_single_cert(certificates, key_of)
        .map_err(|error| unusable(chain, error))?;
    Ok(TlsAcceptor::from(Arc::new(config)))
}

fn provider() -> Arc<rustls::crypto::CryptoProvider> {
    Arc::new(rustls::crypto::ring::default_provider())
}

/// TLS as a client that trusts the system's certificates, and those.
pub(super) fn client_config(
    certificates: &Certificates,
) -> Result<rustls::ClientConfig, ConnectError> {
    let mut roots = rustls::RootCertStore::empty();
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    if let Some(path) = &certificates.trusted {
        let more = CertificateDer::pem_file_iter(path).map_err(|error| unusable(path, error))?;
        for certificate in more {
            let certificate = certificate.map_err(|error| unusable(path, error))?;
            roots.add(certificate).map_err(|error| unusable(path, error))?;
        }
    }
    Ok(rustls::ClientConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()
        .map_err(|error| unusable(Path::new("this program"), error))?
        .with_root_certificates(roots)
        .with_no_client_auth())
}

/// A link to the hub at `address`, about `run`.
pub(super) async fn connect(
    address: &Address,
    run: &str,
    token: Option<&str>,
    certificates: &Certificates,
) -> Result<Link, ConnectError> {
    let unreachable = |error| ConnectError::Unreachable { address: address.clone(), error };
    let connected = async {
        match address {
            #[cfg(unix)]
            Address::Unix(path) => {
                let stream = tokio::net::UnixStream::connect(path).await.map_err(unreachable)?;
                greet(stream, address, "localhost", run, token).await
            }
            #[cfg(not(unix))]
            Address::Unix(_) => Err(ConnectError::NoUnix),
            Address::Tcp { host, port, tls } => {
                let stream =
                    TcpStream::connect((host.as_str(), *port)).await.map_err(unreachable)?;
                stream.set_nodelay(true).map_err(unreachable)?;
                let named = if host.contains(':') { format!("[{host}]") } else { host.clone() };
                let named = format!("{named}:{port}");
                if !tls {
                    return greet(stream, address, &named, run, token).await;
                }
                let name = ServerName::try_from(host.clone());
                let name = name.map_err(|error| unreachable(io::Error::other(error)))?;
                let connector = TlsConnector::from(Arc::new(client_config(certificates)?));
                let stream = connector.connect(name, stream).await;
                greet(stream.map_err(unreachable)?, address, &named, run, token).await
            }
        }
    };
    let late = || unreachable(io::Error::new(io::ErrorKind::TimedOut, "it took too long"));
    tokio::time::timeout(PATIENCE, connected).await.map_err(|_| late())?
}

async fn greet<S: AsyncRead + AsyncWrite + Unpin + Send + 'static>(
    stream: S,
    address: &Address,
    host: &str,
    run: &str,
    token: Option<&str>,
) -> Result<Link, ConnectError> {
    let no_hub = |reason: String| ConnectError::NoHub { address: address.clone(), reason };
    let request = format!("ws://{host}{PATH}{run}").into_client_request();
    let mut request = request.map_err(|error| no_hub(error.to_string()))?;
    if let Some(token) = token {
        let value = HeaderValue::from_str(&format!("Bearer {}", token.trim()));
        let mut value = value.map_err(|_| ConnectError::Token)?;
        value.set_sensitive(true);
        request.headers_mut().insert(AUTHORIZATION, value);
    }
    let answer = tokio_tungstenite::client_async_with_config(request, stream, Some(config())).await;
    match answer {
        Ok((socket, _)) => Ok(carry(socket)),
        Err(SocketError::Http(response)) => {
            let status = response.status().as_u16();
            let body = response.body().as_deref().map(String::from_utf8_lossy);
            let reason = body.unwrap_or_default().chars().take(500).collect();
            Err(ConnectError::Refused { status, reason })
        }
        Err(error) => Err(no_hub(error.to_string())),
    }
}

/// Carries messages between a socket and a link, until either is closed or the socket falls silent.
pub(super) fn carry<S: AsyncRead + AsyncWrite + Unpin + Send + 'static>(
    socket: WebSocketStream<S>,
) -> Link {
    let (to, mut out) = mpsc::channel::<Vec<u8>>(LINK_MESSAGES);
    let (incoming, from) = mpsc::channel::<Vec<u8>>(LINK_MESSAGES);
    let (mut sink, mut stream) = socket.split();
    // Two tasks, since two sides that both wait until the other reads would wait for ever.
    let mut reader = tokio::spawn(async move {
        loop {
            match tokio::time::timeout(4 * HEARTBEAT, stream.next()).await {
                Ok(Some(Ok(Message::Binary(bytes)))) => {
                    // Where the conversation is behind, the socket waits, and so does the peer. Where it is
                    // over, what still comes is read all the same: a socket that is closed with something
                    // unread takes back what was said last.
                    let _ = incoming.send(bytes.into()).await;
                }
                Ok(Some(Ok(Message::Ping(_) | Message::Pong(_)))) => {}
                Ok(other) => {
                    tracing::debug!(?other, "the link is closed");
                    break;
                }
                Err(_) => {
                    tracing::debug!("the link is silent");
                    break;
                }
            }
        }
    });
    tokio::spawn(async move {
        let mut heartbeat = tokio::time::interval(HEARTBEAT);
        loop {
            let message = tokio::select! {
                message = out.recv() => match message {
                    Some(bytes) => Message::Binary(bytes.into()),
                    None => break,
                },
                _ = heartbeat.tick() => Message::Ping(Vec::new().into()),
            };
            let sent = tokio::time::timeout(PATIENCE, sink.send(message)).await;
            if !matches!(sent, Ok(Ok(()))) {
                tracing::debug!(?sent, "the peer takes nothing");
                break;
            }
        }
        let _ = tokio::time::timeout(PATIENCE / 10, sink.close()).await;
        // The last words of the peer, and its end.
        let _ = tokio::time::timeout(PATIENCE / 10, &mut reader).await;
        reader.abort();
    });
    Link { to, from }
}
