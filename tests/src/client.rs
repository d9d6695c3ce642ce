//! One client of a storm: an agent that runs one command of `tress` after the other.

use std::collections::BTreeMap;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, test_kill_process_group};
use serde_json::Value;
use tress::EventId;

use crate::check::Place;
use crate::interrupt;
use crate::random::Random;
use crate::trouble::{Trouble, While, violation};

/// One of so many commands is killed.
const KILLED: usize = 15;

/// What clients did.
#[derive(Debug, Default)]
pub(crate) struct Done {
    /// The first event of each write that was acknowledged, its agent, and the command.
    pub(crate) acknowledged: BTreeMap<EventId, (String, String)>,
    pub(crate) reads: Vec<Duration>,
    pub(crate) writes: Vec<Duration>,
    pub(crate) killed: usize,
    pub(crate) conflicts: usize,
    pub(crate) busy: usize,
}

impl Done {
    /// The same with what `other` did.
    pub(crate) fn join(&mut self, other: Self) {
        self.acknowledged.extend(other.acknowledged);
        self.reads.extend(other.reads);
        self.writes.extend(other.writes);
        self.killed += other.killed;
        self.conflicts += other.conflicts;
        self.busy += other.busy;
    }
}

/// An agent.
#[derive(Debug)]
pub(crate) struct Client {
    place: Place,
    name: String,
    random: Random,
    /// The todo that it holds a claim of, as far as it knows.
    held: Option<String>,
    /// A todo that there is.
    known: Option<String>,
    pub(crate) done: Done,
}

impl Client {
    pub(crate) fn new(place: &Place, number: usize, seed: u64) -> Self {
        Self {
            place: place.clone(),
            name: format!("client-{number}"),
            random: Random::new(seed),
            held: None,
            known: None,
            done: Done::default(),
        }
    }

    /// Runs one command.
    pub(crate) fn step(&mut self, number: usize) -> Result<(), Trouble> {
        interrupt::check()?;
        let (args, writes) = self.choose(number);
        let args: Vec<&str> = args.iter().map(String::as_str).collect();
        let mut command = Command::new(&self.place.tress);
        for name in ["TRESS_DIR", "TRESS_RUN", "TRESS_ROLE", "TRESS_LOG"] {
            command.env_remove(name);
        }
        command
            .args(&args)
            .args(["--json", "--role", "implementer", "--agent", &self.name, "--dir"])
            .arg(&self.place.store)
            .process_group(0)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let started = Instant::now();
        let mut child = command.spawn().harness("running tress")?;
        let group = Pid::from_child(&child);
        let killed = self.random.one_in(KILLED);
        if killed {
            self.random.linger();
            child.kill().harness("killing a command")?;
        }
        let output = child.wait_with_output().harness("waiting for a command")?;
        let took = started.elapsed();
        if test_kill_process_group(group).is_ok() {
            return violation(format!("tress {args:?} left a process behind"));
        }
        if killed && output.status.signal() == Some(Signal::KILL.as_raw()) {
            self.done.killed += 1;
            if writes {
                // Whether it was done is not known, and so it goes for what it was done to.
                self.held = None;
            }
            return Ok(());
        }
        // One that was to be killed has ended at a time that we do not know: we lingered.
        if !killed {
            let times = if writes { &mut self.done.writes } else { &mut self.done.reads };
            times.push(took);
        }
        self.judge(&args, writes, &output)
    }

    /// What to run next, and whether it writes.
    fn choose(&mut self, number: usize) -> (Vec<String>, bool) {
        let words = |words: &[&str]| words.iter().map(|&word| word.to_owned()).collect::<Vec<_>>();
        let remark = format!("{} {number}", self.name);
        let dice = self.random.below(10);
        if dice < 6 {
            let known = self.known.clone().unwrap_or_default();
            let read = match (dice, &self.known) {
                (0 | 1, _) => words(&["ready"]),
                (2 | 3, _) => words(&["list"]),
                (4, Some(_)) => words(&["show", &known]),
                _ => words(&["stats"]),
            };
            return (read, false);
        }
        let write = match (&self.held, self.random.below(8)) {
            (Some(held), 0..3) => words(&["progress", held, "40", "-m", &remark]),
            (Some(held), 3) => words(&["release", held, "-m", &remark]),
            (Some(held), 4 | 5) => words(&["done", held, "-m", &remark]),
            (None, 0..6) => words(&["claim", "--next"]),
            (_, 6) => match &self.known {
                Some(known) => words(&["note", known, &remark]),
                None => words(&["add", &remark]),
            },
            _ => words(&["add", &remark]),
        };
        (write, true)
    }

    fn judge(&mut self, args: &[&str], writes: bool, output: &Output) -> Result<(), Trouble> {
        let said = || {
            let (out, err) = (&output.stdout, &output.stderr);
            let (out, err) = (String::from_utf8_lossy(out), String::from_utf8_lossy(err));
            format!("tress {args:?} ended with {}: {out} {err}", output.status)
        };
        let Ok(answer) = serde_json::from_slice::<Value>(&output.stdout) else {
            return violation(said());
        };
        let at = |path: &str| answer.pointer(path).and_then(Value::as_str).map(str::to_owned);
        match output.status.code() {
            Some(0) if !writes => Ok(()),
            Some(0) => {
                let event = at("/data/event").and_then(|id| id.parse().ok());
                let (Some(event), Some(todo)) = (event, at("/data/id")) else {
                    return violation(format!("no event: {}", said()));
                };
                let what = (self.name.clone(), args.join(" "));
                if self.done.acknowledged.insert(event, what).is_some() {
                    return violation(format!("{event} was acknowledged twice: {}", said()));
                }
                match args.first() {
                    Some(&"claim") => self.held = Some(todo.clone()),
                    Some(&"done" | &"release") => self.held = None,
                    _ => {}
                }
                self.known = Some(todo);
                Ok(())
            }
            // Somebody else was first. There is no other conflict that these commands may meet.
            Some(5)
                if matches!(at("/error/code").as_deref(), Some("claim_lost" | "nothing_ready")) =>
            {
                self.done.conflicts += 1;
                Ok(())
            }
            Some(6) if answer.pointer("/error/retryable") == Some(&Value::Bool(true)) => {
                self.done.busy += 1;
                Ok(())
            }
            _ => violation(said()),
        }
    }
}
