//! What every command needs: the store, the run, the moment, and in whose name.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, OnceLock};

use serde::Serialize;
use tress::state::{FindError, Readiness};
use tress::{Agent, DIR, Event, Millis, Run, State, Store, Todo, TodoId, When};

use crate::args::{Given, Global};
use crate::failure::{Code, Failure};
use crate::output::Output;
use crate::time::parse_when;
use crate::told::LossRow;
use crate::view::TodoRow;
use crate::words::{quoted, short};

/// The global options, and where answers go.
#[derive(Debug)]
pub(crate) struct Context {
    /// The global options.
    pub(crate) global: Global,
    /// Those of them that stood on the command line.
    pub(crate) given: Given,
    /// Where answers go.
    pub(crate) out: Output,
    /// The state that a command reads, until the process ends.
    pub(crate) read: LastingState,
}

/// Keeps the first state that it is given for good. To give back the memory of every todo, one by
/// one, when the system is about to take all of it, was an eighth of what a short command takes.
#[derive(Debug, Default)]
pub(crate) struct LastingState(OnceLock<()>);

impl LastingState {
    fn keep(&self, state: &Arc<State>) {
        self.0.get_or_init(|| std::mem::forget(Arc::clone(state)));
    }
}

/// A run as a command reads it: the state at one moment.
#[derive(Debug)]
pub(crate) struct Moment {
    /// The run.
    pub(crate) run: Run,
    /// Its state then.
    pub(crate) state: Arc<State>,
    /// When leases are judged.
    pub(crate) now: Millis,
    /// What is ready and what is blocked then.
    pub(crate) readiness: Readiness,
}

impl Moment {
    /// The todo that `text` names.
    pub(crate) fn find(&self, text: &str) -> Result<&Arc<Todo>, Failure> {
        find(&self.state, text)
    }

    /// The row of a todo.
    pub(crate) fn row(&self, todo: &Todo) -> TodoRow {
        TodoRow::new(&self.state, &self.readiness, todo, self.now)
    }
}

/// A run as a command writes it.
#[derive(Debug)]
pub(crate) struct Writer {
    /// The run, under the agent's name.
    pub(crate) agent: Agent,
    /// The state before anything is written.
    pub(crate) state: Arc<State>,
    /// When the command began.
    pub(crate) now: Millis,
}

impl Writer {
    /// The todo that `text` names.
    pub(crate) fn find(&self, text: &str) -> Result<TodoId, Failure> {
        find(&self.state, text).map(|todo| todo.id)
    }

    /// The todo that `text` names, if it is not deleted.
    pub(crate) fn find_alive(&self, text: &str) -> Result<&Arc<Todo>, Failure> {
        let todo = find(&self.state, text)?;
        alive(&self.state, todo)?;
        Ok(todo)
    }
}

/// Refuses a deleted todo.
pub(crate) fn alive(state: &State, todo: &Todo) -> Result<(), Failure> {
    let Some(deletion) = todo.deletion() else { return Ok(()) };
    let name = state.name(todo.id);
    Err(Failure::conflict(format!("{name} was deleted by {}", short(&deletion.agent, 60)))
        .hint(format!("`tress reopen {name}` brings it back")))
}

/// `t-7f3a "write the parser"`.
pub(crate) fn name_title(state: &State, id: TodoId) -> String {
    let title = state.todo(id).map(|todo| quoted(&todo.title)).unwrap_or_default();
    format!("{} {title}", short(&state.name(id), 60))
}

/// The todo that `text` names; where there is none, with the nearest that there is.
pub(crate) fn find<'a>(state: &'a State, text: &str) -> Result<&'a Arc<Todo>, Failure> {
    let text = text.trim();
    let found = match state.find(text) {
        Err(FindError::Unknown(_)) => state.find(&text.to_lowercase()),
        found => found,
    };
    found.map_err(|error| match error {
        FindError::Unknown(_) => {
            let failure = Failure::from(FindError::Unknown(short(text, 60)));
            match nearest(state, text) {
                Some(near) => failure.hint(format!("did you mean {near}?")),
                None => failure,
            }
        }
        ambiguous => ambiguous.into(),
    })
}

fn nearest(state: &State, text: &str) -> Option<String> {
    const SLIPS: usize = 2;
    let text = text.to_lowercase();
    let length = text.chars().count();
    if !(3..=64).contains(&length) {
        return None;
    }
    let todos = || state.todos.values().filter(|todo| todo.deletion().is_none());
    let slips = |todo: &Arc<Todo>| {
        let names = [todo.external_id.clone(), Some(state.short_id(todo.id))];
        let slips = |name: String| strsim::osa_distance(&name.to_lowercase(), &text);
        names.into_iter().flatten().map(slips).min().unwrap_or(usize::MAX)
    };
    let near = todos().map(|todo| (slips(todo), todo.id)).min();
    let near = near.filter(|&(slips, _)| slips <= SLIPS.min(length / 2)).map(|(_, id)| id);
    let titled = || {
        let mut titled = todos().filter(|todo| todo.title.to_lowercase().contains(&text));
        titled.next().filter(|_| titled.next().is_none()).map(|todo| todo.id)
    };
    near.or_else(titled).map(|id| name_title(state, id))
}

/// The state on which something was decided, for whoever tells afterwards what it changed.
#[derive(Clone, Default)]
pub(crate) struct Before(Arc<OnceLock<Arc<State>>>);

impl Before {
    /// Takes note of it.
    pub(crate) fn is(&self, state: &Arc<State>) {
        let _ = self.0.set(Arc::clone(state));
    }

    /// It, or `known` where nothing was decided.
    pub(crate) fn or<'a>(&'a self, known: &'a State) -> &'a State {
        self.0.get().map_or(known, Arc::as_ref)
    }
}

impl Context {
    /// The directory of the store: what `--dir` says, or the nearest one above.
    pub(crate) fn dir(&self) -> Result<PathBuf, Failure> {
        if let Some(dir) = &self.global.dir {
            return Ok(store_in(dir));
        }
        let here = here()?;
        Store::discover(&here).ok_or_else(|| {
            let message = format!("there is no store in {} or above it", here.display());
            Failure::new(Code::NoStore, message)
                .hint("`tress init` makes one here; `--dir` names one elsewhere")
        })
    }

    /// The directory of the store, if there is one.
    pub(crate) fn store_dir(&self) -> Option<PathBuf> {
        self.dir().ok().filter(|dir| dir.join("store").is_file())
    }

    /// The directory of the project: what `--dir` names, or where we are.
    pub(crate) fn project(&self) -> Result<PathBuf, Failure> {
        let Some(dir) = &self.global.dir else { return here() };
        let store = store_in(dir);
        Ok(if store == *dir { dir.parent().unwrap_or(dir).to_owned() } else { dir.clone() })
    }

    /// The directory in which `init` makes a store.
    pub(crate) fn new_dir(&self) -> Result<PathBuf, Failure> {
        match &self.global.dir {
            Some(dir) => Ok(store_in(dir)),
            None => Ok(here()?.join(DIR)),
        }
    }

    /// The store, for a command that does one thing after the other.
    pub(crate) fn store(&self) -> Result<Store, Failure> {
        Ok(self.shared_store()?.in_place())
    }

    /// The store, for a command that does several things at a time.
    pub(crate) fn shared_store(&self) -> Result<Store, Failure> {
        Ok(Store::open(self.dir()?)?)
    }

    /// The run, with what other processes wrote so far.
    pub(crate) async fn open(&self) -> Result<Run, Failure> {
        self.open_run(&self.store()?, &self.global.run).await
    }

    /// The run of this name, with what other processes wrote so far.
    pub(crate) async fn open_run(&self, store: &Store, name: &str) -> Result<Run, Failure> {
        let run = self.out.waiting("reading the run", store.run(name)).await?;
        for damage in run.damage().iter() {
            let missing = "what its replica wrote later is missing: see `tress fsck`";
            self.out.warn(&format!("warning: {damage}; {missing}"));
        }
        if run.lost() > 0 {
            let lost = crate::words::count(run.lost(), "event");
            self.out.warn(&format!("warning: {lost} lost: see `tress fsck`"));
        }
        Ok(run)
    }

    /// The run at the moment that `--at` names, or now. Writes nothing.
    pub(crate) async fn moment(&self) -> Result<Moment, Failure> {
        let run = self.open().await?;
        self.moment_of(run, self.global.at.as_deref(), tress::now()).await
    }

    /// `run` at a moment, or as it is.
    pub(crate) async fn moment_of(
        &self,
        run: Run,
        at: Option<&str>,
        now: Millis,
    ) -> Result<Moment, Failure> {
        let (state, now) = match at {
            None => (run.state(), now),
            Some(at) => {
                let when = parse_when(at, now);
                let state = self.out.waiting("going back", run.state_at(when.clone())).await?;
                let last = state.last.map(|last| last.time.millis).unwrap_or_default();
                let now = if let When::Time(time) = when { time } else { last };
                (state, now)
            }
        };
        self.read.keep(&state);
        let readiness = state.readiness(now);
        Ok(Moment { run, state, now, readiness })
    }

    /// The run, to be written in the agent's name.
    pub(crate) async fn writer(&self) -> Result<Writer, Failure> {
        self.no_at()?;
        let run = self.open().await?;
        let agent = run.agent(&self.agent_name()?, self.global.role);
        self.read.keep(&run.state());
        Ok(Writer { agent, state: run.state(), now: tress::now() })
    }

    /// Refuses `--at`: the past cannot be written.
    pub(crate) fn no_at(&self) -> Result<(), Failure> {
        match &self.global.at {
            None => Ok(()),
            Some(_) => Err(Failure::usage("--at is for commands that read")
                .hint("this one works on what is there now; leave --at out")),
        }
    }

    /// In whose name: `--agent`, TRESS_AGENT, git's `user.name`, the user of the system.
    pub(crate) fn agent_name(&self) -> Result<String, Failure> {
        let given = self.global.agent.clone().or_else(|| set_env("TRESS_AGENT"));
        let known =
            || git_user().or_else(|| ["USER", "LOGNAME", "USERNAME"].into_iter().find_map(set_env));
        match given.or_else(known) {
            Some(name) if name.trim().is_empty() => {
                Err(Failure::invalid("the agent's name is empty"))
            }
            Some(name) => Ok(name.trim().to_owned()),
            None => Err(Failure::invalid("it is not known who you are")
                .hint("set TRESS_AGENT, or say --agent NAME")),
        }
    }

    /// Prints what became of a change: a sentence, and what the merge decided against it; or the
    /// todo and the event.
    pub(crate) fn changed(
        &self,
        run: &Run,
        id: TodoId,
        events: &[Arc<Event>],
        say: impl FnOnce(&State) -> String,
    ) -> Result<(), Failure> {
        self.changed_told(run, id, events, &[], say)
    }

    /// The same, for scripts with what the agent lost and is told now.
    pub(crate) fn changed_told(
        &self,
        run: &Run,
        id: TodoId,
        events: &[Arc<Event>],
        losses: &[LossRow],
        say: impl FnOnce(&State) -> String,
    ) -> Result<(), Failure> {
        self.changed_beside(run, id, events, Beside { losses, warnings: &[] }, say)
    }

    /// The same, with all that is told beside the sentence.
    pub(crate) fn changed_beside(
        &self,
        run: &Run,
        id: TodoId,
        events: &[Arc<Event>],
        beside: Beside<'_>,
        say: impl FnOnce(&State) -> String,
    ) -> Result<(), Failure> {
        self.answer_change(run, id, events, beside, |state, notices| say(state) + &told(notices))
    }

    /// The same, where the sentence tells the notices, too.
    pub(crate) fn changed_as(
        &self,
        run: &Run,
        id: TodoId,
        events: &[Arc<Event>],
        beside: Beside<'_>,
        say: impl FnOnce(&State, &[String]) -> String,
    ) -> Result<(), Failure> {
        self.answer_change(run, id, events, beside, say)
    }

    fn answer_change(
        &self,
        run: &Run,
        id: TodoId,
        events: &[Arc<Event>],
        beside: Beside<'_>,
        say: impl FnOnce(&State, &[String]) -> String,
    ) -> Result<(), Failure> {
        let (state, now) = (run.state(), tress::now());
        let notices = notices(&state, events);
        if self.out.json() {
            let todo = state.todo(id).ok_or_else(|| Failure::internal("the todo is gone"))?;
            let row = TodoRow::new(&state, &state.readiness(now), todo, now);
            let event = events.first().map(|event| event.id.to_string());
            return self.out.data(&Changed { row, event, notices, beside });
        }
        for warning in beside.warnings {
            self.out.warn(&format!("warning: {warning}"));
        }
        self.out.text(&say(&state, &notices))
    }
}

/// A todo after a change, and the event that made it.
#[derive(Serialize)]
struct Changed<'a> {
    #[serde(flatten)]
    row: TodoRow,
    event: Option<String>,
    /// What the merge decided against the change.
    notices: Vec<String>,
    #[serde(flatten)]
    beside: Beside<'a>,
}

/// What is told beside a change.
#[derive(Debug, Clone, Copy, Default, Serialize)]
pub(crate) struct Beside<'a> {
    /// What the agent had lost before, and is told now; people were told at once.
    pub(crate) losses: &'a [LossRow],
    /// What was done as asked, and may not be what is wanted.
    pub(crate) warnings: &'a [String],
}

/// Notices as lines behind a sentence.
pub(crate) fn told(notices: &[String]) -> String {
    notices.iter().map(|notice| format!("\nnote: {notice}")).collect()
}

/// What the ledger says against `events`.
fn notices(state: &State, events: &[Arc<Event>]) -> Vec<String> {
    let ours = |dot| events.iter().any(|event| event.dot == dot);
    let entries =
        state.ledger.iter().rev().take(events.len() + 64).filter(|entry| ours(entry.loser));
    let notices =
        entries.map(|entry| format!("{} (rule {})", short(&entry.detail, 200), entry.rule));
    notices.collect()
}

fn here() -> Result<PathBuf, Failure> {
    std::env::current_dir()
        .map_err(|error| Failure::internal(format!("there is no current directory: {error}")))
}

/// The store directory that `dir` means: itself, or the one in it.
fn store_in(dir: &Path) -> PathBuf {
    let is_store = dir.file_name().is_some_and(|name| name == DIR) || dir.join("store").is_file();
    if is_store { dir.to_owned() } else { dir.join(DIR) }
}

fn set_env(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.trim().is_empty())
}

fn git_user() -> Option<String> {
    let output = Command::new("git").args(["config", "user.name"]).output().ok()?;
    let name = String::from_utf8(output.stdout).ok()?;
    Some(name.trim().to_owned()).filter(|name| output.status.success() && !name.is_empty())
}
