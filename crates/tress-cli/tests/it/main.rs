//! The command line as people and scripts see it: the binary, driven in fresh directories.

mod care;
mod claims;
mod contract;
mod diff;
mod evidence;
mod formats;
mod history;
mod merge_file;
mod orchestrate;
mod paths;
mod reconcile;
mod replay;
mod repo;
mod sync;
mod todos;
mod told;

use std::path::Path;
use std::process::{Command, Output, Stdio};

use serde_json::Value;
use tempfile::TempDir;

/// A directory of its own, and the binary in it.
struct Bench {
    dir: TempDir,
}

/// What a command answered.
#[derive(Debug)]
struct Answer {
    code: i32,
    stdout: String,
    stderr: String,
}

impl From<Output> for Answer {
    fn from(output: Output) -> Self {
        Self {
            code: output.status.code().expect("it ended by itself"),
            stdout: String::from_utf8(output.stdout).expect("it prints UTF-8"),
            stderr: String::from_utf8(output.stderr).expect("it prints UTF-8"),
        }
    }
}

impl Answer {
    /// The answer as JSON: one envelope and nothing else.
    fn envelope(&self) -> Value {
        let value: Value = serde_json::from_str(&self.stdout)
            .unwrap_or_else(|error| panic!("not one JSON value ({error}): {self:?}"));
        assert_eq!(value.get("schema_version"), Some(&Value::from(1)), "{self:?}");
        value
    }

    fn data(&self) -> Value {
        assert_eq!(self.code, 0, "{self:?}");
        self.envelope().get("data").cloned().unwrap_or_else(|| panic!("no data: {self:?}"))
    }

    fn error(&self) -> Value {
        assert_eq!(self.stderr, "", "with --json, stderr stays empty");
        self.envelope().get("error").cloned().unwrap_or_else(|| panic!("no error: {self:?}"))
    }

    /// Asserts an exit code, and that what is said contains `words`.
    #[track_caller]
    fn fails(&self, code: i32, words: &str) {
        assert_eq!(self.code, code, "{self:?}");
        assert!(self.stderr.starts_with("error: "), "{self:?}");
        assert!(self.stderr.contains(words), "no {words:?} in {self:?}");
        assert_eq!(self.stdout, "", "an error says nothing on stdout");
    }
}

impl Bench {
    /// A directory with a store.
    fn new() -> Self {
        let bench = Self::bare();
        bench.ok(&["init"]);
        bench
    }

    /// An empty directory.
    fn bare() -> Self {
        Self { dir: tempfile::tempdir().expect("a temporary directory") }
    }

    fn path(&self) -> &Path {
        self.dir.path()
    }

    /// Writes a file in the directory.
    fn write(&self, name: &str, text: impl AsRef<[u8]>) {
        std::fs::write(self.path().join(name), text).expect("it can be written");
    }

    fn read(&self, name: &str) -> Vec<u8> {
        std::fs::read(self.path().join(name)).expect("it can be read")
    }

    /// The command, ready to be run under the name `agent`.
    fn command(&self, agent: &str, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_tress"));
        for name in ["TRESS_DIR", "TRESS_RUN", "TRESS_ROLE", "TRESS_LOG", "TRESS_TOKEN", "COLUMNS"]
        {
            command.env_remove(name);
        }
        command
            .args(args)
            .current_dir(self.path())
            .env("TRESS_AGENT", agent)
            .env("NO_COLOR", "1")
            .env("TZ", "UTC")
            .stdin(Stdio::null());
        command
    }

    fn run_as(&self, agent: &str, args: &[&str]) -> Answer {
        self.command(agent, args).output().expect("the binary runs").into()
    }

    fn run(&self, args: &[&str]) -> Answer {
        self.run_as("ada", args)
    }

    /// Runs a command that must succeed, and gives what it printed.
    #[track_caller]
    fn ok(&self, args: &[&str]) -> String {
        self.ok_as("ada", args)
    }

    #[track_caller]
    fn ok_as(&self, agent: &str, args: &[&str]) -> String {
        let answer = self.run_as(agent, args);
        assert_eq!(answer.code, 0, "{args:?}: {answer:?}");
        answer.stdout
    }

    /// Runs a command with `--json` that must succeed, and gives its data.
    #[track_caller]
    fn json(&self, args: &[&str]) -> Value {
        self.json_as("ada", args)
    }

    #[track_caller]
    fn json_as(&self, agent: &str, args: &[&str]) -> Value {
        let args: Vec<&str> = args.iter().copied().chain(["--json"]).collect();
        self.run_as(agent, &args).data()
    }

    /// Adds a todo, and gives its id.
    #[track_caller]
    fn add(&self, title: &str) -> String {
        text(&self.json(&["add", title]), "id")
    }
}

/// The text at `path` (`/` between names) in `value`.
#[track_caller]
fn text(value: &Value, path: &str) -> String {
    let found = value.pointer(&format!("/{path}"));
    let found = found.unwrap_or_else(|| panic!("no {path} in {value}"));
    found.as_str().map_or_else(|| found.to_string(), str::to_owned)
}

/// The texts of `field`, of each value of an array.
#[track_caller]
fn texts(values: &Value, field: &str) -> Vec<String> {
    let values = values.as_array().unwrap_or_else(|| panic!("no array: {values}"));
    values.iter().map(|value| text(value, field)).collect()
}
