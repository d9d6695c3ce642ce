//! Where a hub is, or a relay.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

/// Where a hub listens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Address {
    /// A socket on this machine: `unix:PATH`.
    Unix(PathBuf),
    /// A host and a port: `ws://HOST:PORT`, or encrypted, `wss://HOST:PORT`.
    Tcp {
        /// The name or the number of the host.
        host: String,
        /// The port.
        port: u16,
        /// Whether it is encrypted.
        tls: bool,
    },
}

/// Why a text is no address.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "{text:?} is no address ({reason}): write ws://HOST:PORT, wss://HOST:PORT or unix:PATH for a hub \
     (as in ws://hub.example.org), git:REMOTE, or postgres://…"
)]
pub struct AddressError {
    text: String,
    reason: &'static str,
}

impl FromStr for Address {
    type Err = AddressError;

    fn from_str(text: &str) -> Result<Self, AddressError> {
        let wrong = |reason| AddressError { text: text.to_owned(), reason };
        if let Some(path) = text.strip_prefix("unix:") {
            let path = path.strip_prefix("//").unwrap_or(path);
            return match path {
                "" => Err(wrong("it names no path")),
                path => Ok(Self::Unix(path.into())),
            };
        }
        // A word alone is what somebody meant as a name of something, and there are no such names. With a dot within, it
        // is a host's.
        if !text.contains(':') && !text.trim_matches('.').contains('.') {
            return Err(wrong("it names neither a kind, nor a port, nor a host with a dot"));
        }
        let (scheme, rest) = text.split_once("://").unwrap_or(("ws", text));
        let (tls, default) = match scheme {
            "ws" | "http" => (false, 80),
            "wss" | "https" => (true, 443),
            _ => return Err(wrong("its kind is not known")),
        };
        let rest = rest.strip_suffix('/').unwrap_or(rest);
        if rest.contains(['/', '?', '#', '@']) {
            return Err(wrong("there is more than a host and a port"));
        }
        // An IPv6 address stands in brackets.
        let after = rest.rfind(']').unwrap_or(0);
        let (host, port) = match rest.get(after..).and_then(|tail| tail.rfind(':')) {
            Some(at) => {
                let (host, port) = rest.split_at(after + at);
                let port = port.get(1..).and_then(|port| port.parse().ok());
                (host, port.ok_or_else(|| wrong("its port is no number up to 65535"))?)
            }
            None => (rest, default),
        };
        let host = host.trim_start_matches('[').trim_end_matches(']');
        if host.is_empty() {
            return Err(wrong("it names no host"));
        }
        Ok(Self::Tcp { host: host.to_owned(), port, tls })
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
            Self::Tcp { host, port, tls } => {
                let scheme = if *tls { "wss" } else { "ws" };
                if host.contains(':') {
                    write!(f, "{scheme}://[{host}]:{port}")
                } else {
                    write!(f, "{scheme}://{host}:{port}")
                }
            }
        }
    }
}

/// Whom a store can be kept the same with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Remote {
    /// A hub, which takes part.
    Hub(Address),
    /// A git remote, which keeps what it is given: `git:REMOTE`.
    Git(String),
    /// A database, which keeps what it is given: `postgres://…`.
    Postgres(String),
}

impl From<Address> for Remote {
    fn from(address: Address) -> Self {
        Self::Hub(address)
    }
}

impl FromStr for Remote {
    type Err = AddressError;

    fn from_str(text: &str) -> Result<Self, AddressError> {
        if let Some(remote) = text.strip_prefix("git:") {
            return match remote {
                "" => Err(AddressError {
                    text: text.to_owned(),
                    reason: "it names no remote, as git:origin does",
                }),
                remote => Ok(Self::Git(remote.to_owned())),
            };
        }
        if text.starts_with("postgres://") || text.starts_with("postgresql://") {
            return Ok(Self::Postgres(text.to_owned()));
        }
        text.parse().map(Self::Hub)
    }
}

impl fmt::Display for Remote {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Hub(address) => address.fmt(f),
            Self::Git(remote) => write!(f, "git:{}", without_secret(remote)),
            Self::Postgres(url) => f.write_str(&without_secret(url)),
        }
    }
}

/// A URL without what is secret in it, and without options. Of a web address nothing that stands before
/// its host is shown: a token stands there as well.
pub(super) fn without_secret(url: &str) -> String {
    let Some((scheme, rest)) = url.split_once("://") else { return url.to_owned() };
    let (who, hosts) = match rest.rsplit_once('@') {
        Some((who, hosts)) => (Some(who), hosts),
        None => (None, rest),
    };
    let hosts = hosts.split('?').next().unwrap_or_default();
    let name = who.and_then(|who| who.split(':').next()).filter(|_| !scheme.starts_with("http"));
    match name {
        Some(name) => format!("{scheme}://{name}@{hosts}"),
        None => format!("{scheme}://{hosts}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_followed_is_told_apart_and_secrets_are_not_shown() {
        let shown = [
            ("git:origin", "git:origin"),
            ("git:https://ada:pass@example.org/x.git", "git:https://example.org/x.git"),
            ("git:https://token@example.org/x.git", "git:https://example.org/x.git"),
            ("postgres://ada:se?cret@a/tress", "postgres://ada@a/tress"),
            ("git:git@example.org:team/x.git", "git:git@example.org:team/x.git"),
            ("postgres://ada:pass@a:1,b:2/tress?sslmode=require", "postgres://ada@a:1,b:2/tress"),
            ("ws://127.0.0.1:1", "ws://127.0.0.1:1"),
        ];
        for (text, meant) in shown {
            assert_eq!(text.parse::<Remote>().unwrap().to_string(), meant);
        }
        assert!("git:".parse::<Remote>().is_err());
        assert!("mysql://x".parse::<Remote>().is_err());
    }

    #[test]
    fn addresses_are_read_as_people_write_them() {
        let same = [
            ("ws://127.0.0.1:7171", "ws://127.0.0.1:7171"),
            ("http://hub.example/", "ws://hub.example:80"),
            ("https://hub.example", "wss://hub.example:443"),
            ("localhost:7171", "ws://localhost:7171"),
            ("hub.example.org", "ws://hub.example.org:80"),
            ("192.0.2.7", "ws://192.0.2.7:80"),
            ("ws://[::1]:7171", "ws://[::1]:7171"),
            ("ws://[::1]", "ws://[::1]:80"),
            ("unix:/run/hub.sock", "unix:/run/hub.sock"),
            ("unix:///run/hub.sock", "unix:/run/hub.sock"),
        ];
        for (text, meant) in same {
            let address: Address = text.parse().unwrap();
            assert_eq!(address.to_string(), meant);
            assert_eq!(address.to_string().parse(), Ok(address));
        }
        for text in [
            "",
            "nope",
            "nope.",
            "..",
            "./a.sock",
            "unix:",
            "ftp://x",
            "ws://x:99999",
            "ws://:7",
            "ws://u@x:1",
            "ws://x/y",
        ] {
            assert!(text.parse::<Address>().is_err(), "{text}");
        }
    }
}
