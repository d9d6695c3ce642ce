//! What else a store needs of the machine it is on: a clock, and randomness. A seam, so that a whole
//! store can be run again from a seed.

use std::fmt::Debug;
use std::io;

use tress_model::Millis;

/// The clock and the randomness of a machine.
pub trait Host: Send + Sync + Debug {
    /// The wall clock, in milliseconds since 1970-01-01T00:00:00Z. It may jump.
    fn now(&self) -> Millis;

    /// Fills `bytes` with what nobody can guess, and no other machine comes up with.
    ///
    /// # Errors
    /// When there is no randomness to be had.
    fn random(&self, bytes: &mut [u8]) -> io::Result<()>;
}

/// The machine that the process runs on.
#[derive(Debug, Clone, Copy, Default)]
pub struct RealHost;

impl Host for RealHost {
    fn now(&self) -> Millis {
        let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
        since.map_or(0, |since| u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
    }

    fn random(&self, bytes: &mut [u8]) -> io::Result<()> {
        getrandom::fill(bytes).map_err(io::Error::other)
    }
}

/// Sixteen random bytes.
pub(crate) fn sixteen(host: &dyn Host) -> io::Result<[u8; 16]> {
    let mut bytes = [0; 16];
    host.random(&mut bytes)?;
    Ok(bytes)
}
