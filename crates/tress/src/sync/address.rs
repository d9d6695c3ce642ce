//! Where a hub is.

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
    "{text:?} is no address of a hub ({reason}): write ws://HOST:PORT, wss://HOST:PORT or unix:PATH"
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_read_as_people_write_them() {
        let same = [
            ("ws://127.0.0.1:7171", "ws://127.0.0.1:7171"),
            ("http://hub.example/", "ws://hub.example:80"),
            ("https://hub.example", "wss://hub.example:443"),
            ("localhost:7171", "ws://localhost:7171"),
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
        for text in ["", "unix:", "ftp://x", "ws://x:99999", "ws://:7", "ws://u@x:1", "ws://x/y"] {
            assert!(text.parse::<Address>().is_err(), "{text}");
        }
    }
}
