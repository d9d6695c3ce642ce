//! Processes: agents' commands and checks, each in a process group of its own that is ended as a
//! whole, always, and with it what left the group and carries the job's mark.

use std::collections::VecDeque;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::time::{Duration, Instant};

use process_wrap::tokio::{ChildWrapper, CommandWrap, KillOnDrop, ProcessGroup};
use rustix::io::Errno;
use rustix::process::{Pid, Signal, kill_process_group, test_kill_process_group};
use tokio::io::{AsyncRead, AsyncReadExt};

use super::log_file::LogFile;
use super::mark::{self, Mark};

/// How many lines of what a process printed go into a report.
const TAIL_LINES: usize = 40;
/// How much of what a process prints is kept in memory: the end of it.
const OUTPUT_BYTES: usize = 1 << 20;
/// The longest line that is kept whole.
const LINE_BYTES: usize = 2000;
/// How long a process group gets to end by itself when it is asked to.
pub(super) const GRACE: Duration = Duration::from_secs(2);
/// How long to wait between two looks at what of a group still runs.
const LOOK_AGAIN: Duration = Duration::from_millis(20);

/// What to run, and where.
#[derive(Debug, Clone)]
pub struct Job {
    /// The command line, for the shell.
    pub command: String,
    /// The directory it runs in.
    pub dir: PathBuf,
    /// Variables beside those of this process.
    pub env: Vec<(String, String)>,
    /// Where what it prints is kept; of very much, the beginning and the end.
    pub log: Option<PathBuf>,
    /// Where its process id and its mark are kept while it runs, so that a later process can end
    /// what a killed one left behind.
    pub pid_file: Option<PathBuf>,
    /// How long it may take.
    pub timeout: Option<Duration>,
}

/// How a process ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ending {
    /// By itself, with this exit code.
    Exited(i32),
    /// By a signal.
    Signalled(i32),
    /// It took too long, and was ended.
    TimedOut,
    /// It was ended because the work is being stopped.
    Stopped,
    /// It could not be started.
    NotStarted(String),
}

impl std::fmt::Display for Ending {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Exited(code) => write!(f, "exit code {code}"),
            Self::Signalled(signal) => write!(f, "killed by signal {signal}"),
            Self::TimedOut => f.write_str("took too long and was ended"),
            Self::Stopped => f.write_str("stopped"),
            Self::NotStarted(error) => write!(f, "could not be started: {error}"),
        }
    }
}

/// How a process ended, and the end of what it printed.
#[derive(Debug, Clone)]
pub struct Finished {
    /// How it ended.
    pub ending: Ending,
    /// What it printed; of more than a mebibyte, the end.
    pub output: String,
    /// How long it took.
    pub took: Duration,
}

impl Finished {
    /// Whether it ended by itself, with success.
    pub fn success(&self) -> bool {
        self.ending == Ending::Exited(0)
    }

    /// One that could not be started.
    pub fn not_started(error: &std::io::Error) -> Self {
        let ending = Ending::NotStarted(error.to_string());
        Self { ending, output: String::new(), took: Duration::ZERO }
    }

    /// Whether it may have printed more than is kept.
    pub fn cut(&self) -> bool {
        self.output.len() + 2 * LINE_BYTES >= OUTPUT_BYTES
    }

    /// The last lines that it printed.
    pub fn tail(&self) -> &str {
        let ends = self.output.rmatch_indices('\n').map(|(at, _)| at);
        let start = { ends }.nth(TAIL_LINES - 1).map_or(0, |at| at + 1);
        self.output.get(start..).unwrap_or_default()
    }
}

/// Runs a job to its end, or until `stop` is ready; then its whole process group is ended, and
/// what it started in sessions of their own. Where the future is dropped before, all of them are
/// killed at once.
pub async fn run(job: &Job, stop: impl Future<Output = ()>) -> Finished {
    run_as(job, Some(&Mark::new()), stop).await
}

/// Runs a job of the user's own, as [`run`] does; what it starts in sessions of their own stays.
pub async fn run_unmarked(job: &Job, stop: impl Future<Output = ()>) -> Finished {
    run_as(job, None, stop).await
}

async fn run_as(job: &Job, mark: Option<&Mark>, stop: impl Future<Output = ()>) -> Finished {
    let started = Instant::now();
    let mut child = match spawn(job, mark) {
        Ok(child) => child,
        Err(error) => return Finished::not_started(&error),
    };
    let mut running = Running { group: child.id().and_then(pid), mark };
    if let (Some(path), Some(pid)) = (&job.pid_file, child.id()) {
        let _ = tokio::fs::write(path, pid_line(pid, mark)).await;
    }
    let output = tokio::spawn(keep(child.stdout().take(), child.stderr().take(), job.log.clone()));
    let timeout = async {
        match job.timeout {
            Some(timeout) => tokio::time::sleep(timeout).await,
            None => std::future::pending().await,
        }
    };
    let ending = tokio::select! {
        status = child.wait() => match status {
            Ok(status) => ending(status),
            Err(error) => Ending::NotStarted(error.to_string()),
        },
        () = timeout => Ending::TimedOut,
        () = stop => Ending::Stopped,
    };
    // The command may have ended and left others of its group behind: they end now.
    let gently = matches!(ending, Ending::TimedOut | Ending::Stopped);
    end(&mut *child, running.group, gently).await;
    running.group = None;
    if let Some(mark) = mark {
        mark.end().await;
    }
    running.mark = None;
    if let Some(path) = &job.pid_file {
        let _ = tokio::fs::remove_file(path).await;
    }
    let output = match tokio::time::timeout(GRACE, output).await {
        Ok(Ok(output)) => output,
        _ => String::new(),
    };
    Finished { ending, output, took: started.elapsed() }
}

fn spawn(job: &Job, mark: Option<&Mark>) -> std::io::Result<Box<dyn ChildWrapper>> {
    let mut command = CommandWrap::with_new("sh", |command| {
        command
            .arg("-c")
            .arg(&job.command)
            .current_dir(&job.dir)
            .envs(job.env.iter().map(|(name, value)| (name, value)))
            .envs(mark.map(|mark| (mark::VARIABLE, mark.text())))
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
    });
    command.wrap(ProcessGroup::leader()).wrap(KillOnDrop).spawn()
}

fn ending(status: ExitStatus) -> Ending {
    #[cfg(unix)]
    if let Some(signal) = std::os::unix::process::ExitStatusExt::signal(&status) {
        return Ending::Signalled(signal);
    }
    match status.code() {
        // The shell's way to say that what it ran was killed by a signal.
        Some(code @ 129..=159) => Ending::Signalled(code - 128),
        code => Ending::Exited(code.unwrap_or(-1)),
    }
}

/// What of a job may still run. Whoever waits no longer for the job leaves nothing of it behind.
struct Running<'a> {
    group: Option<Pid>,
    mark: Option<&'a Mark>,
}

impl Drop for Running<'_> {
    fn drop(&mut self) {
        if let Some(group) = self.group {
            let _ = kill_process_group(group, Signal::KILL);
        }
        if let Some(mark) = self.mark {
            mark.kill();
        }
    }
}

fn pid(id: u32) -> Option<Pid> {
    i32::try_from(id).ok().and_then(Pid::from_raw)
}

async fn end(child: &mut dyn ChildWrapper, group: Option<Pid>, gently: bool) {
    if gently && child.signal(Signal::TERM.as_raw()).is_ok() {
        let ended = async {
            let _ = child.wait().await;
            // The shell ends at once; what it runs may have something to put away.
            while group.is_some_and(runs) {
                tokio::time::sleep(LOOK_AGAIN).await;
            }
        };
        let _ = tokio::time::timeout(GRACE, ended).await;
    }
    let _ = child.start_kill();
    let _ = tokio::time::timeout(GRACE, child.wait()).await;
}

/// Whether anything of a process group still runs. What has ended and nobody has asked about is
/// still in its group, and does not run; that is only seen on Linux.
fn runs(group: Pid) -> bool {
    if test_kill_process_group(group) == Err(Errno::SRCH) {
        return false;
    }
    let Ok(entries) = std::fs::read_dir("/proc") else { return true };
    let mut seen = false;
    let running = entries.flatten().any(|entry| {
        let stat = std::fs::read_to_string(entry.path().join("stat")).unwrap_or_default();
        let Some((_, rest)) = stat.rsplit_once(')') else { return false };
        seen = true;
        let mut fields = rest.split_whitespace();
        let state = fields.next();
        let of = fields.nth(1).and_then(|group| group.parse().ok());
        of == Some(group.as_raw_nonzero().get()) && !matches!(state, Some("Z" | "X"))
    });
    running || !seen
}

/// Copies what a process prints to its log, and keeps the end.
async fn keep(
    stdout: Option<impl AsyncRead + Unpin>,
    stderr: Option<impl AsyncRead + Unpin>,
    log: Option<PathBuf>,
) -> String {
    let mut file = match log {
        Some(path) => LogFile::open(&path).await.ok(),
        None => None,
    };
    let (Some(mut stdout), Some(mut stderr)) = (stdout, stderr) else { return String::new() };
    let (mut out, mut err) = ([0; 8192], [0; 8192]);
    let (mut out_open, mut err_open) = (true, true);
    let mut tail = Tail::default();
    while out_open || err_open {
        let read = tokio::select! {
            count = stdout.read(&mut out), if out_open => {
                let count = count.unwrap_or(0);
                out_open = count > 0;
                out.get(..count)
            }
            count = stderr.read(&mut err), if err_open => {
                let count = count.unwrap_or(0);
                err_open = count > 0;
                err.get(..count)
            }
        };
        let read = read.unwrap_or_default();
        if let Some(file) = &mut file {
            let _ = file.add(read).await;
        }
        tail.push(read);
    }
    if let Some(file) = file {
        let _ = file.end().await;
    }
    tail.text()
}

/// The last lines of an output, in bounded memory whatever the output is.
#[derive(Default)]
struct Tail {
    lines: VecDeque<Vec<u8>>,
    line: Vec<u8>,
    /// How many bytes the lines have.
    bytes: usize,
}

impl Tail {
    fn push(&mut self, bytes: &[u8]) {
        for &byte in bytes {
            if byte == b'\n' {
                self.end_line();
            } else if self.line.len() < LINE_BYTES {
                self.line.push(byte);
            }
        }
    }

    fn end_line(&mut self) {
        self.bytes += self.line.len() + 1;
        self.lines.push_back(std::mem::take(&mut self.line));
        while self.bytes > OUTPUT_BYTES {
            let Some(first) = self.lines.pop_front() else { break };
            self.bytes -= first.len() + 1;
        }
    }

    fn text(mut self) -> String {
        if !self.line.is_empty() {
            self.end_line();
        }
        let lines = self.lines.iter().map(|line| String::from_utf8_lossy(line));
        lines.map(|line| line.trim_end().to_owned()).collect::<Vec<_>>().join("\n")
    }
}

/// What identifies a process beyond its id, which is used again: when it started.
fn started_at(pid: u32) -> Option<String> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let (_, rest) = stat.rsplit_once(')')?;
    rest.split_whitespace().nth(19).map(str::to_owned)
}

fn pid_line(pid: u32, mark: Option<&Mark>) -> String {
    let mark = mark.map(Mark::text).unwrap_or_default();
    format!("{pid} {} {mark}", started_at(pid).unwrap_or_default())
}

/// Ends the process groups whose leaders are named by the pid files in `dir`, left behind by a
/// process that was killed, and what carries the marks beside them; gives how many.
pub async fn end_leftovers(dir: &Path) -> usize {
    let mut ended = 0;
    let Ok(mut entries) = tokio::fs::read_dir(dir).await else {
        return 0;
    };
    while let Ok(Some(entry)) = entries.next_entry().await {
        let path = entry.path();
        if path.extension().is_none_or(|extension| extension != "pid") {
            continue;
        }
        let line = tokio::fs::read_to_string(&path).await.unwrap_or_default();
        let mut parts = line.split(' ');
        let (pid, started) = (parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
        let mark = parts.next().and_then(Mark::read);
        // Whoever goes on with the run from within that very job does not end itself.
        let within = mark.as_ref().zip(Mark::around());
        if within.is_some_and(|(mark, around)| mark.covers(&around)) {
            tracing::warn!(%pid, "this is run from within an agent that was left behind: it is not ended");
            continue;
        }
        if let Ok(id) = pid.parse::<u32>()
            && !started.is_empty()
            && started_at(id).as_deref() == Some(started)
            && let Some(group) = self::pid(id)
        {
            let killed = kill_process_group(group, Signal::KILL);
            ended += usize::from(killed.is_ok());
        }
        if let Some(mark) = mark {
            ended += mark.end().await;
        }
        let _ = tokio::fs::remove_file(&path).await;
    }
    ended
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_kept_of_an_output_is_bounded() {
        let mut tail = Tail::default();
        tail.push(&vec![b'x'; 10 * LINE_BYTES]);
        assert_eq!(tail.line.len(), LINE_BYTES);
        let many = 2 * OUTPUT_BYTES / "line 123456\n".len();
        for number in 0..many {
            tail.push(format!("\nline {:6}", number).as_bytes());
        }
        let output = tail.text();
        assert!(output.len() <= OUTPUT_BYTES && output.len() > OUTPUT_BYTES / 2);
        let finished = Finished { ending: Ending::Exited(0), output, took: Duration::ZERO };
        let tail = finished.tail();
        assert_eq!(tail.lines().count(), TAIL_LINES);
        assert!(tail.ends_with(&format!("line {:6}", many - 1)));
        let short = Finished { output: "one\ntwo".to_owned(), ..finished };
        assert_eq!(short.tail(), "one\ntwo");
    }
}
