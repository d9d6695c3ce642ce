//! The one place for exit codes: what can go wrong, as scripts and people see it.

use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, Ordering};

use serde::Serialize;
use tress::state::FindError;
use tress::sync::relay::RelayError;
use tress::sync::{Broken, ConnectError, FollowError, HubError};
use tress::{Error, Refused, StoreError};

use crate::output::Output;

/// Whether somebody asked the process to end by the signal for it, and not by Ctrl-C.
static TERMINATED: AtomicBool = AtomicBool::new(false);

/// Remembers that the process was asked to end by SIGTERM: what is interrupted ends accordingly.
pub(crate) fn terminated() {
    TERMINATED.store(true, Ordering::Relaxed);
}

/// What sort of failure, as scripts see it. Names and exit codes are a contract.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Code {
    /// Whoever reads our output has gone; there is nobody to tell.
    Closed,
    /// Somebody stopped it.
    Interrupted,
    /// Something that should not happen.
    Internal,
    /// The command line is not one.
    Usage,
    /// Nothing has that name.
    NotFound,
    /// There is no store here.
    NoStore,
    /// What was given is not valid.
    Invalid,
    /// Several things have names that begin so.
    Ambiguous,
    /// A precondition does not hold.
    Conflict,
    /// Another agent holds the todo.
    ClaimLost,
    /// Nothing could be claimed.
    NothingReady,
    /// Another process is at it.
    Busy,
    /// The store is not what was written, or cannot be read or written.
    Damaged,
    /// A newer Tress wrote it.
    NewerFormat,
    /// A peer cannot be reached.
    Network,
    /// A peer can be reached, and does not let us.
    Denied,
}

impl Code {
    /// The word for it in JSON.
    const fn name(self) -> &'static str {
        match self {
            Self::Closed => "closed",
            Self::Internal => "internal",
            Self::Usage => "usage",
            Self::NotFound => "not_found",
            Self::NoStore => "no_store",
            Self::Invalid => "invalid_input",
            Self::Ambiguous => "ambiguous",
            Self::Conflict => "conflict",
            Self::Interrupted => "interrupted",
            Self::ClaimLost => "claim_lost",
            Self::NothingReady => "nothing_ready",
            Self::Busy => "busy",
            Self::Damaged => "damaged",
            Self::NewerFormat => "newer_format",
            Self::Network => "network",
            Self::Denied => "denied",
        }
    }

    /// The exit code.
    fn exit(self) -> u8 {
        match self {
            Self::Closed => 0,
            Self::Internal => 1,
            Self::Usage => 2,
            Self::NotFound | Self::NoStore => 3,
            Self::Invalid | Self::Ambiguous => 4,
            Self::Conflict | Self::ClaimLost | Self::NothingReady => 5,
            Self::Busy | Self::Damaged | Self::NewerFormat => 6,
            Self::Network | Self::Denied => 7,
            // As the shell has it for what ends by SIGTERM, and by Ctrl-C.
            Self::Interrupted if TERMINATED.load(Ordering::Relaxed) => 143,
            Self::Interrupted => 130,
        }
    }

    /// Whether the same command may succeed later, with nothing changed by the caller.
    const fn retryable(self) -> bool {
        matches!(self, Self::Busy | Self::NothingReady | Self::Network)
    }
}

/// Why a command failed, and what to do about it.
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
pub(crate) struct Failure {
    code: Code,
    message: String,
    hint: Option<String>,
    /// What else scripts may want to know.
    details: Option<Box<serde_json::Value>>,
    /// The message is complete as it is (clap's own).
    verbatim: bool,
}

#[derive(Serialize)]
struct ErrorView<'a> {
    code: &'static str,
    message: &'a str,
    hint: Option<&'a str>,
    retryable: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    details: Option<&'a serde_json::Value>,
}

impl Failure {
    /// A failure of sort `code`.
    pub(crate) fn new(code: Code, message: impl Into<String>) -> Self {
        Self { code, message: message.into(), hint: None, details: None, verbatim: false }
    }

    /// Something that should not happen.
    pub(crate) fn internal(message: impl Into<String>) -> Self {
        Self::new(Code::Internal, message)
    }

    /// The command line is not one.
    pub(crate) fn usage(message: impl Into<String>) -> Self {
        Self::new(Code::Usage, message)
    }

    /// What was given is not valid.
    pub(crate) fn invalid(message: impl Into<String>) -> Self {
        Self::new(Code::Invalid, message)
    }

    /// Nothing has that name.
    pub(crate) fn not_found(message: impl Into<String>) -> Self {
        Self::new(Code::NotFound, message)
    }

    /// A precondition does not hold.
    pub(crate) fn conflict(message: impl Into<String>) -> Self {
        Self::new(Code::Conflict, message)
    }

    /// The store, or a file of it, is damaged.
    pub(crate) fn damaged(message: impl Into<String>) -> Self {
        Self::new(Code::Damaged, message)
    }

    /// Whether something was looked for and is not there.
    pub(crate) fn is_not_found(&self) -> bool {
        self.code == Code::NotFound
    }

    /// Only an exit code: what there is to say was said.
    pub(crate) fn silent(code: Code) -> Self {
        Self::new(code, String::new())
    }

    /// The same, saying what to do.
    #[must_use]
    pub(crate) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// The same, with what else scripts may want to know.
    #[must_use]
    pub(crate) fn details<T: Serialize>(mut self, details: &T) -> Self {
        self.details = serde_json::to_value(details).ok().map(Box::new);
        self
    }

    /// What could not be read or written outside of the store.
    pub(crate) fn file(action: &str, path: &std::path::Path, error: &std::io::Error) -> Self {
        let message = format!("cannot {action} {}: {error}", path.display());
        match error.kind() {
            std::io::ErrorKind::NotFound => Self::not_found(message),
            std::io::ErrorKind::BrokenPipe => Self::new(Code::Closed, message),
            _ => Self::invalid(message),
        }
    }

    /// Tells whoever asked, and gives the exit code.
    pub(crate) fn report(&self, out: &Output) -> ExitCode {
        if self.code == Code::Closed {
            return ExitCode::SUCCESS;
        }
        if self.message.is_empty() {
            return ExitCode::from(self.code.exit());
        }
        if out.json() {
            let view = ErrorView {
                code: self.code.name(),
                message: &self.message,
                hint: self.hint.as_deref(),
                retryable: self.code.retryable(),
                details: self.details.as_deref(),
            };
            if let Err(unwritten) = out.error(&view)
                && unwritten.code != Code::Closed
            {
                out.warn(&format!("error: {}", self.message));
                // What was to be said is this, where the answer itself was not written.
                if unwritten.message != self.message {
                    out.warn(&format!("error: {}", unwritten.message));
                }
            }
        } else if self.verbatim {
            out.warn(&self.message);
        } else {
            out.warn(&format!("error: {}", self.message));
            if let Some(hint) = &self.hint {
                out.warn(&format!("hint: {hint}"));
            }
        }
        ExitCode::from(self.code.exit())
    }
}

/// What clap says of a command line that is not one. Asking for help is no failure.
impl From<clap::Error> for Failure {
    fn from(error: clap::Error) -> Self {
        if error.kind() == clap::error::ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand {
            return Self::usage("a command is missing").hint("see `tress --help`");
        }
        let text = error.render().to_string();
        let lines = || text.lines().map(str::trim).filter(|line| !line.is_empty());
        let told = |line: &&str| {
            !["Usage:", "tip:", "For more information"].iter().any(|end| line.starts_with(end))
        };
        let message = lines().take_while(told).collect::<Vec<_>>().join(" ");
        let message = message.strip_prefix("error: ").unwrap_or(&message);
        let tip = lines().find_map(|line| line.strip_prefix("tip: ").map(str::to_owned));
        Self::usage(message).hint(tip.unwrap_or_else(|| "see `tress --help`".to_owned()))
    }
}

impl Failure {
    /// The same as clap's own words, for people.
    pub(crate) fn from_clap(error: clap::Error, out: &Output) -> Self {
        if out.json() {
            return error.into();
        }
        let text = error.render();
        let text = if out.colours_errors() { text.ansi().to_string() } else { text.to_string() };
        Self { verbatim: true, ..Self::usage(text.trim_end()) }
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        use tress::{DocumentsError, PrepareError, WhenError};
        let message = error.to_string();
        match error {
            Error::Store(error) => error.into(),
            Error::Documents(DocumentsError::Busy) => {
                Self::new(Code::Busy, message).hint("try again in a moment")
            }
            Error::Documents(_) | Error::Document(_) => {
                Self::damaged(message).hint("`tress doctor` says what is wrong with it")
            }
            Error::Prepare(PrepareError::Empty) => Self::invalid(message),
            Error::Prepare(PrepareError::Invalid { reason, .. }) => Self::invalid(reason),
            Error::Prepare(PrepareError::Codec(_)) => Self::invalid(message),
            Error::When(WhenError::Ambiguous(_)) => Self::new(Code::Ambiguous, message),
            Error::When(_) => Self::not_found(message).hint(
                "WHEN is a checkpoint (`tress checkpoints`), an event id (`tress log`), a version, \
                 or a time such as `2h ago` or 2026-11-22T10:00:00Z",
            ),
            Error::Find(error) => error.into(),
            Error::NotAdmitted { .. } => Self::invalid(message)
                .hint("nothing was merged; look at it with `tress replay FILE`"),
            Error::Incomplete(_) => Self::invalid(message).hint("nothing was merged"),
            Error::LeftOut(_) => Self::conflict(message),
            Error::Strands { .. } => Self::conflict(message).hint("`--run NAME` names another run"),
            Error::Behind(_) | Error::Closed => Self::internal(message),
            Error::Unknown(_) => {
                Self::damaged(message).hint("`tress log --limit 5` shows what is there")
            }
            Error::Group(reason) => {
                let hint = io_hint(std::path::Path::new(""), system_error(&reason));
                Self::damaged(message).hint(hint)
            }
        }
    }
}

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Self {
        let message = error.to_string();
        match error {
            StoreError::NotAStore { .. } => Self::new(Code::NoStore, message)
                .hint("`tress init` makes a store; `--dir` names one elsewhere"),
            StoreError::NoRun { name } => Self::not_found(message)
                .hint(format!("`tress runs` lists the runs; `tress init --run {name}` makes it")),
            StoreError::RunName { .. } => Self::invalid(message),
            StoreError::RunExists { .. } => {
                Self::conflict(message).hint("`tress runs` lists the runs")
            }
            StoreError::ReplicaHeld { .. } => Self::new(Code::Busy, message),
            StoreError::NewerFormat { .. } => Self::new(Code::NewerFormat, message),
            StoreError::Damaged(_) => Self::damaged(message).hint(
                "`tress fsck` lists the damage; `tress fsck --repair` gives back what can be read",
            ),
            StoreError::Codec(tress::CodecError::TooLarge { .. }) => Self::invalid(message),
            StoreError::Codec(_) => Self::damaged(message),
            StoreError::Io { path, source, .. } => {
                Self::damaged(message).hint(io_hint(&path, source.kind()))
            }
            StoreError::NoLocks { .. } => {
                Self::damaged(message).hint("`tress doctor` says what is wrong with the store")
            }
            StoreError::Internal(_) => Self::internal(message),
        }
    }
}

/// What to do where the system would not let us read or write a file of the store.
fn io_hint(path: &std::path::Path, kind: std::io::ErrorKind) -> String {
    use std::io::ErrorKind as K;
    match kind {
        K::StorageFull | K::QuotaExceeded => {
            "make room on the disk, and try again; what was acknowledged is there".to_owned()
        }
        K::PermissionDenied | K::ReadOnlyFilesystem => {
            "this user may not write there: `list`, `status` and what else only reads still work, \
             and `tress doctor` says more"
                .to_owned()
        }
        K::NotADirectory | K::AlreadyExists if path.ancestors().any(|path| path.is_file()) => {
            let file = path.ancestors().find(|path| path.is_file()).unwrap_or(path);
            format!("{} is a file: move it away, or name a directory with `--dir`", file.display())
        }
        _ => "`tress doctor` says what is wrong with the store".to_owned(),
    }
}

/// What the system had said, of an error that was handed on in words.
fn system_error(text: &str) -> std::io::ErrorKind {
    let number = text.rsplit_once("(os error ").and_then(|(_, rest)| rest.split(')').next());
    let number = number.and_then(|number| number.parse().ok());
    number.map_or(std::io::ErrorKind::Other, |number| {
        std::io::Error::from_raw_os_error(number).kind()
    })
}

impl From<HubError> for Failure {
    fn from(error: HubError) -> Self {
        let message = error.to_string();
        match error {
            HubError::Running(_) => Self::new(Code::Busy, message),
            HubError::Listen { .. } => Self::new(Code::Network, message)
                .hint("--listen takes another address, --socket another path"),
            HubError::Certificates(_) => Self::invalid(message),
        }
    }
}

impl From<FollowError> for Failure {
    fn from(error: FollowError) -> Self {
        let message = error.to_string();
        match error {
            FollowError::Connect(ConnectError::Refused { status: 401 | 403, .. }) => {
                Self::new(Code::Denied, message)
            }
            FollowError::Connect(ConnectError::Certificates { .. } | ConnectError::Token) => {
                Self::invalid(message)
            }
            FollowError::Connect(_) => Self::new(Code::Network, message),
            FollowError::Broken(Broken::Run(error)) => error.into(),
            FollowError::Broken(Broken::Forbidden(_)) => Self::new(Code::Denied, message),
            FollowError::Broken(Broken::Left { why, .. }) if why.is_refusal() => {
                Self::new(Code::Denied, message)
            }
            FollowError::Broken(_) => Self::new(Code::Network, message)
                .hint("nothing is lost: the same again goes on from where it broke off"),
            FollowError::Relay(error) => error.into(),
        }
    }
}

impl From<RelayError> for Failure {
    fn from(error: RelayError) -> Self {
        let message = error.to_string();
        match error {
            RelayError::Away { .. } => Self::new(Code::Network, message)
                .hint("nothing is lost: the same again goes on from where it broke off"),
            RelayError::Refused { .. } => Self::new(Code::Denied, message),
            RelayError::Newer { .. } => Self::new(Code::NewerFormat, message),
            RelayError::Unusable(_) | RelayError::Codec(_) => Self::invalid(message),
        }
    }
}

impl From<tress_run::GitError> for Failure {
    fn from(error: tress_run::GitError) -> Self {
        use tress_run::GitError;
        let message = error.to_string();
        match error {
            GitError::Missing(_) => Self::not_found(message),
            GitError::NotARepository(_) | GitError::NoCommit | GitError::NotText(_) => {
                Self::invalid(message)
            }
            GitError::Dirty(_) | GitError::Conflict(_) | GitError::CheckedOut { .. } => {
                Self::conflict(message)
            }
            GitError::Failed { .. } => Self::internal(message),
        }
    }
}

impl From<tress_run::RunError> for Failure {
    fn from(error: tress_run::RunError) -> Self {
        use tress_run::RunError;
        use tress_run::execute::branch::How;
        let message = error.to_string();
        match error {
            RunError::Engine(error) => error.into(),
            RunError::Git(error) => error.into(),
            RunError::Lacking(lacking) => {
                let remedy = lacking.remedy();
                let squashed = match lacking.how {
                    How::Gone | How::Elsewhere => {
                        " (as where it was squashed or rebased, and changed since)"
                    }
                    How::Behind | How::Apart => "",
                };
                Self::conflict(message).hint(format!(
                    "{remedy} brings it back; `tress reopen ID` has it done anew, and \
                     `tress resume --as-it-is` goes on without{squashed}"
                ))
            }
            RunError::AlreadyRunning(_) => Self::new(Code::Busy, message),
            RunError::NotOpen(_) => Self::conflict(message).hint(
                "`tress ready` lists what can be explored; `tress why ID` says why this cannot",
            ),
            RunError::NotStarted(_) => {
                Self::not_found(message).hint("`tress start --todo TODO.md --command …` starts one")
            }
            RunError::Io { .. } | RunError::Internal(_) => Self::internal(message),
        }
    }
}

impl From<FindError> for Failure {
    fn from(error: FindError) -> Self {
        let message = error.to_string();
        match error {
            FindError::Unknown(_) => {
                Self::not_found(message).hint("`tress list --all` shows every todo")
            }
            FindError::Ambiguous { .. } => Self::new(Code::Ambiguous, message),
        }
    }
}

impl From<Refused<Failure>> for Failure {
    fn from(refused: Refused<Failure>) -> Self {
        match refused {
            Refused::Condition(failure) => failure,
            Refused::Error(error) => error.into(),
        }
    }
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;

    /// On a full disk, and where somebody may only read, `tress doctor` was named, which knew no help either.
    #[test]
    fn what_the_system_refuses_is_told_with_what_helps() {
        let full = Error::Group("cannot write x: No space left on device (os error 28)".to_owned());
        assert!(Failure::from(full).hint.is_some_and(|hint| hint.starts_with("make room")));
        let io = |kind: std::io::ErrorKind| StoreError::Io {
            action: "lock",
            path: "x/y".into(),
            source: kind.into(),
        };
        let denied = Failure::from(io(std::io::ErrorKind::PermissionDenied));
        assert!(denied.hint.is_some_and(|hint| hint.contains("may not write there")));
        let other = Failure::from(io(std::io::ErrorKind::NotADirectory));
        assert!(other.hint.is_some_and(|hint| hint.contains("tress doctor")));
    }
}
