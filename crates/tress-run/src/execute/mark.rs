//! Marks: by which the processes of a job are known, those that left its process group too.
//!
//! Whatever a job starts inherits its environment, and with it the mark of that very attempt. A
//! process that went into a session of its own is no longer in the group that is ended with the
//! job; on Linux it is found by the mark, which `/proc` shows. Elsewhere marks are given and not
//! looked for.

use std::hash::{BuildHasher, Hasher, RandomState};
use std::time::SystemTime;

/// The variable that holds the mark of a job. A process without it is never ended by a mark.
pub const VARIABLE: &str = "TRESS_JOB";

/// The mark of one job. One that is started within another has that one's mark before its own, so
/// that it ends with it; no job has the mark of another.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mark(String);

impl Mark {
    /// A mark that nothing has yet.
    pub fn new() -> Self {
        let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
        let nanos = since.map_or(0, |since| since.as_nanos());
        // Keys of its own for each call: two jobs of one moment differ.
        let chance = RandomState::new().build_hasher().finish();
        let own = format!("{}-{nanos:x}-{chance:x}", std::process::id());
        Self(match Self::around() {
            Some(around) => format!("{}/{own}", around.0),
            None => own,
        })
    }

    /// The mark that this process carries, where it was itself started by a job.
    pub fn around() -> Option<Self> {
        std::env::var(VARIABLE).ok().and_then(|mark| Self::read(&mark))
    }

    /// A mark as it was written.
    pub fn read(text: &str) -> Option<Self> {
        let mark = text.trim();
        (!mark.is_empty()).then(|| Self(mark.to_owned()))
    }

    /// The mark as text, without blanks.
    pub fn text(&self) -> &str {
        &self.0
    }

    /// Whether what carries `other` belongs to this job: it is the same, or was begun within it.
    pub fn covers(&self, other: &Self) -> bool {
        let rest = other.0.strip_prefix(&self.0);
        rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    }

    /// Ends every process of this user that carries the mark, but for this one: asks first, and
    /// kills what is still there after a moment. Gives how many there were.
    #[cfg(target_os = "linux")]
    pub async fn end(&self) -> usize {
        linux::end(self).await
    }

    /// Processes cannot be told by their marks on this system.
    #[cfg(not(target_os = "linux"))]
    pub async fn end(&self) -> usize {
        0
    }
}

impl Mark {
    /// Kills every process of this user that carries the mark, but for this one, without asking:
    /// for one who cannot wait.
    pub fn kill(&self) {
        #[cfg(target_os = "linux")]
        linux::kill(self);
    }
}

impl Default for Mark {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(target_os = "linux")]
mod linux {
    use std::collections::BTreeMap;
    use std::time::{Duration, Instant};

    use rustix::io::Errno;
    use rustix::process::{Pid, PidfdFlags, Signal, kill_process, pidfd_open, pidfd_send_signal};
    use tokio::sync::oneshot;

    use super::{Mark, VARIABLE};
    use crate::execute::process::GRACE;

    /// How long to wait between two looks at what is still there.
    const LOOK_AGAIN: Duration = Duration::from_millis(20);
    /// So many looks in a row have to find nothing where something was found: what it is just starting, or
    /// what just runs another program, may show nothing for a moment.
    const LOOKS: u32 = 2;
    /// How long one look may take. What a process shows can be kept from us by one that hangs in the
    /// kernel.
    const LOOK_TIMEOUT: Duration = Duration::from_secs(5);

    /// Processes, with the names of their commands.
    type Named = BTreeMap<i32, String>;

    pub(super) async fn end(mark: &Mark) -> usize {
        // What was told before is not told again; what it started since is.
        let look = |signal, told: Named| {
            let mark = mark.clone();
            in_time(LOOK_TIMEOUT, move || tell(&mark, signal, &told))
        };
        let known = end_all(look).await;
        for (pid, command) in &known {
            tracing::info!(pid, command, "ended what a command had left in a session of its own");
        }
        known.len()
    }

    pub(super) fn kill(mark: &Mark) {
        let (give, given) = std::sync::mpsc::channel();
        let mark = mark.clone();
        let begun = std::thread::Builder::new().name("marks".to_owned()).spawn(move || {
            for _ in 0..LOOKS {
                tell(&mark, Signal::KILL, &Named::new());
            }
            let _ = give.send(());
        });
        if begun.is_ok() {
            let _ = given.recv_timeout(LOOK_TIMEOUT);
        }
    }

    /// Looks, with the signal to be sent and what was told already, until nothing is there any more.
    async fn end_all<F>(mut look: impl FnMut(Signal, Named) -> F) -> Named
    where
        F: Future<Output = Option<Named>>,
    {
        let mut known = Named::new();
        for signal in [Signal::TERM, Signal::KILL] {
            let until = Instant::now() + GRACE;
            let (mut told, mut nothing) = (Named::new(), 0);
            loop {
                let Some(there) = look(signal, told.clone()).await else {
                    tracing::warn!(
                        "what a command left behind cannot be looked for: /proc does not answer"
                    );
                    return known;
                };
                nothing = if there.is_empty() { nothing + 1 } else { 0 };
                // Most jobs leave nothing behind.
                if nothing == LOOKS || known.is_empty() && there.is_empty() {
                    return known;
                }
                told.extend(there.iter().map(|(pid, name)| (*pid, name.clone())));
                known.extend(there);
                if Instant::now() >= until {
                    break;
                }
                tokio::time::sleep(LOOK_AGAIN).await;
            }
        }
        known
    }

    /// What `look` gives, if it does so in time. It has a thread of its own, which nothing waits for.
    async fn in_time<T: Send + 'static>(
        timeout: Duration,
        look: impl FnOnce() -> T + Send + 'static,
    ) -> Option<T> {
        let (give, given) = oneshot::channel();
        let begun = std::thread::Builder::new().name("marks".to_owned()).spawn(move || {
            let _ = give.send(look());
        });
        begun.ok()?;
        tokio::time::timeout(timeout, given).await.ok()?.ok()
    }

    /// Sends `signal` to the processes that carry the mark and were not told yet; gives all that
    /// carry it.
    fn tell(mark: &Mark, signal: Signal, told: &Named) -> Named {
        let own = std::process::id();
        let Ok(entries) = std::fs::read_dir("/proc") else { return Named::new() };
        let pids = entries.flatten().filter_map(|entry| entry.file_name().to_str()?.parse().ok());
        let marked = pids.filter(|&pid: &i32| u32::try_from(pid) != Ok(own) && carries(pid, mark));
        let named = marked.map(|pid| {
            let name = std::fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default();
            (pid, name.trim_end().to_owned())
        });
        let found: Named = named.collect();
        for &pid in found.keys().filter(|pid| !told.contains_key(pid)) {
            send(pid, mark, signal);
        }
        found
    }

    /// Whether the process carries the mark. One that has ended, or is another user's, shows
    /// nothing.
    fn carries(pid: i32, mark: &Mark) -> bool {
        let environment = std::fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
        let values = environment.split(|&byte| byte == 0).filter_map(|line| {
            let value = line.strip_prefix(VARIABLE.as_bytes())?.strip_prefix(b"=")?;
            Mark::read(std::str::from_utf8(value).ok()?)
        });
        { values }.any(|value| mark.covers(&value))
    }

    fn send(pid: i32, mark: &Mark, signal: Signal) {
        let Some(pid) = Pid::from_raw(pid) else { return };
        match pidfd_open(pid, PidfdFlags::empty()) {
            // The number may mean another process by now: what is held is looked at once more.
            Ok(held) if carries(pid.as_raw_nonzero().get(), mark) => {
                let _ = pidfd_send_signal(held, signal);
            }
            Ok(_) => {}
            Err(Errno::NOSYS | Errno::PERM) => {
                let _ = kill_process(pid, signal);
            }
            Err(_) => {}
        }
    }

    #[cfg(test)]
    mod tests {
        use super::*;

        #[tokio::test]
        async fn who_left_nothing_behind_is_looked_for_once() {
            for (found, expected) in [(0, 1), (1, 1 + LOOKS), (2, 2 + LOOKS)] {
                let mut looks = 0;
                let ended = end_all(|_, _| {
                    looks += 1;
                    let there = (looks <= found).then(|| (7, "left".to_owned()));
                    std::future::ready(Some(there.into_iter().collect()))
                });
                let ended = ended.await;
                assert_eq!((looks, ended.len()), (expected, usize::from(found > 0)));
            }
        }

        #[tokio::test]
        async fn a_look_that_hangs_keeps_nobody() {
            let long = Duration::from_secs(600);
            let hangs = in_time(Duration::from_millis(20), move || std::thread::sleep(long));
            assert_eq!(hangs.await, None);
            assert_eq!(in_time(long, || 7).await, Some(7));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An attempt's processes are its own: another attempt's, and those of the job around it, are
    /// never meant.
    #[test]
    fn a_mark_means_its_job_and_what_was_begun_within() {
        let read = |text| Mark::read(text).expect("a mark");
        let (one, within, other) = (read("7-a-1"), read("7-a-1/9-b-2"), read("7-a-12"));
        assert!(one.covers(&one) && one.covers(&within));
        assert!(!one.covers(&other) && !within.covers(&one) && !other.covers(&one));
        assert!(!Mark::new().covers(&Mark::new()));
        assert_eq!(Mark::read(" \n"), None);
    }
}
