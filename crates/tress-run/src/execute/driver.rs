//! Drivers: how an agent is reached. Here: any command.

use std::path::PathBuf;
use std::pin::Pin;
use std::time::Duration;

use tress::operation::ProseField;
use tress::{State, TodoId};

use super::process::{self, Finished, Job};

/// What an agent is asked to do.
#[derive(Debug, Clone)]
pub struct Task {
    /// The name of the agent.
    pub agent: String,
    /// The run.
    pub run: String,
    /// The todo, as people see it: its external id or its short id.
    pub id: String,
    /// Its title.
    pub title: String,
    /// The whole task, in Markdown.
    pub prompt: String,
    /// The paths it is expected to touch.
    pub files: Vec<String>,
    /// The design section that it implements: its key and its text.
    pub section: Option<(String, String)>,
    /// The command that must succeed.
    pub check: Option<String>,
    /// Other todos that are done along with it.
    pub also: Vec<String>,
    /// Which attempt at the todo it is, by whichever agent, from 1.
    pub attempt: usize,
    /// The work tree to work in.
    pub worktree: PathBuf,
    /// The store that the run is in.
    pub store: PathBuf,
    /// Where the task's files are kept, outside the work tree.
    pub dir: PathBuf,
    /// How long the agent may work on it.
    pub timeout: Duration,
}

/// A future that a [`Driver`] gives; boxed, so that drivers can be chosen at run time.
pub type Working<'a> = Pin<Box<dyn Future<Output = Finished> + Send + 'a>>;

/// How an agent is reached.
pub trait Driver: Send + Sync {
    /// Lets an agent work on a task until it says that it is done, fails, or `stop` is ready.
    fn work<'a>(
        &'a self,
        task: &'a Task,
        stop: Pin<Box<dyn Future<Output = ()> + Send + 'a>>,
    ) -> Working<'a>;
}

/// Runs a command line in the task's work tree, by the shell. An exit code of 0 says: done.
///
/// The command line may name `{id}`, `{title}`, `{agent}`, `{worktree}`, `{prompt}` (the path of
/// the whole task in Markdown) and `{task}` (the same as JSON); each is quoted for the shell. The
/// environment has them too, as `TRESS_TODO`, `TRESS_TITLE`, `TRESS_AGENT`, `TRESS_WORKTREE`,
/// `TRESS_PROMPT` and `TRESS_TASK`, beside `TRESS_RUN`, `TRESS_DIR`, `TRESS_ROLE`,
/// `TRESS_ATTEMPT`, `TRESS_SECTION`, `TRESS_CHECK` and `TRESS_FILES` (one a line), so that an agent
/// can call `tress progress` and `tress block` as itself. `TRESS_ALSO` has the todos (one a line) that
/// are to be done along with it, in the same commit. `TRESS_JOB` marks what the attempt starts: it ends
/// with it.
#[derive(Debug, Clone)]
pub struct CommandDriver {
    /// The command line.
    pub command: String,
}

/// `text` as one word of the shell.
fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', r"'\''"))
}

/// The command line with each `{name}` that has a value replaced by it, in one pass: what a value
/// says is never looked at again.
fn filled(template: &str, value: impl Fn(&str) -> Option<String>) -> String {
    let mut filled = String::with_capacity(template.len());
    let mut rest = template;
    while let Some((before, after)) = rest.split_once('{') {
        filled.push_str(before);
        let named = after.split_once('}').and_then(|(name, rest)| Some((value(name)?, rest)));
        match named {
            Some((value, behind)) => {
                filled.push_str(&value);
                rest = behind;
            }
            None => {
                filled.push('{');
                rest = after;
            }
        }
    }
    filled.push_str(rest);
    filled
}

impl Driver for CommandDriver {
    fn work<'a>(
        &'a self,
        task: &'a Task,
        stop: Pin<Box<dyn Future<Output = ()> + Send + 'a>>,
    ) -> Working<'a> {
        Box::pin(async move {
            match self.job(task).await {
                Ok(job) => process::run(&job, stop).await,
                Err(error) => Finished::not_started(&error),
            }
        })
    }
}

impl CommandDriver {
    async fn job(&self, task: &Task) -> std::io::Result<Job> {
        tokio::fs::create_dir_all(&task.dir).await?;
        let name = format!("{}-{}", task.agent, task.attempt);
        let prompt = task.dir.join(format!("{name}.md"));
        let json = task.dir.join(format!("{name}.json"));
        tokio::fs::write(&prompt, &task.prompt).await?;
        let whole = serde_json::json!({
            "id": task.id, "title": task.title, "agent": task.agent, "run": task.run,
            "prompt": task.prompt, "files": task.files, "check": task.check,
            "section": task.section.as_ref().map(|(key, _)| key),
            "design": task.section.as_ref().map(|(_, text)| text),
            "attempt": task.attempt, "also": task.also, "worktree": task.worktree,
        });
        tokio::fs::write(&json, whole.to_string()).await?;
        let text = |path: &PathBuf| path.to_string_lossy().into_owned();
        let values = [
            ("id", "TODO", task.id.clone()),
            ("title", "TITLE", task.title.clone()),
            ("agent", "AGENT", task.agent.clone()),
            ("worktree", "WORKTREE", text(&task.worktree)),
            ("prompt", "PROMPT", text(&prompt)),
            ("task", "TASK", text(&json)),
        ];
        let named = |name: &str| {
            let found = values.iter().find(|(known, _, _)| *known == name);
            found.map(|(_, _, value)| quoted(value))
        };
        let command = filled(&self.command, named);
        let mut env: Vec<(String, String)> =
            values.into_iter().map(|(_, name, value)| (format!("TRESS_{name}"), value)).collect();
        for (name, value) in [
            ("TRESS_RUN", task.run.clone()),
            ("TRESS_DIR", text(&task.store)),
            ("TRESS_ROLE", "implementer".to_owned()),
            ("TRESS_ATTEMPT", task.attempt.to_string()),
            ("TRESS_CHECK", task.check.clone().unwrap_or_default()),
            ("TRESS_FILES", task.files.join("\n")),
            ("TRESS_ALSO", task.also.join("\n")),
            (
                "TRESS_SECTION",
                task.section.as_ref().map(|(key, _)| key.clone()).unwrap_or_default(),
            ),
        ] {
            env.push((name.to_owned(), value));
        }
        Ok(Job {
            command,
            dir: task.worktree.clone(),
            env,
            log: Some(task.dir.join(format!("{name}.log"))),
            pid_file: Some(task.dir.with_file_name(format!("{}.pid", task.agent))),
            timeout: Some(task.timeout),
        })
    }
}

/// The whole task in Markdown: what is to be done, where, how it is judged, and what went wrong
/// before.
pub fn prompt(state: &State, id: TodoId, default_check: Option<&str>) -> String {
    let Some(todo) = state.todo(id) else {
        return String::new();
    };
    let mut text = format!("# {}: {}\n", state.name(id), todo.title);
    let mut part = |heading: &str, body: &str| {
        if !body.trim().is_empty() {
            text.push_str(&format!("\n## {heading}\n\n{}\n", body.trim()));
        }
    };
    part("What is to be done", &todo.prose(ProseField::Description));
    part("How", &todo.prose(ProseField::Design));
    part("How one sees that it is done", &todo.prose(ProseField::Acceptance));
    part("Notes", &todo.prose(ProseField::Notes));
    part("Files", &todo.files.join("\n"));
    if let Some(check) = todo.check.as_deref().or(default_check) {
        part("It is accepted when this succeeds", &format!("    {check}"));
    }
    let section = todo.section.as_ref().and_then(|key| state.design.sections.get(key));
    if let Some(section) = section {
        part(&format!("The design: {}", section.heading), &section.body.text());
    }
    let wanted = state.design.requirements.iter();
    let wanted = wanted.filter(|(_, r)| Some(&r.section) == todo.section.as_ref());
    let wanted: Vec<_> = wanted.map(|(key, r)| format!("- {key}: {}", r.text)).collect();
    part("Requirements", &wanted.join("\n"));
    let remarks = todo.notes.iter().map(|note| format!("- {}: {}", note.agent, note.text.trim()));
    part("Remarks", &remarks.collect::<Vec<_>>().join("\n"));
    let failed = todo.failures.iter().map(|f| format!("- {}: {}", f.agent, f.message));
    let refused = todo.completions.iter().filter_map(|completion| {
        completion.void.as_ref().map(|why| format!("- {}: {why}", completion.agent))
    });
    part("What went wrong before", &failed.chain(refused).collect::<Vec<_>>().join("\n"));
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A todo's id was `{title}` and its title closed the quotes: what it said was run.
    #[test]
    fn what_a_value_says_is_not_filled_in_again() {
        let value = |name: &str| match name {
            "id" => Some(quoted("{title}")),
            "title" => Some(quoted("'; touch /tmp/never #")),
            _ => None,
        };
        assert_eq!(filled("a {id} {other} ${HOME} {", value), "a '{title}' {other} ${HOME} {");
        assert_eq!(filled("{title}", value), r"''\''; touch /tmp/never #'");
    }
}
