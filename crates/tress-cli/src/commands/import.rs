//! `import`: todos and designs from other formats.

use std::collections::VecDeque;
use std::io::Read;
use std::path::{Path, PathBuf};

use clap::{Subcommand, ValueEnum};
use serde::Serialize;
use tress::formats::{self, Planned, Problem, Report, beads, history, markdown, taskmaster};
use tress::{Author, Draft, Error, PrepareError, Role, Run};

use crate::context::{Context, Writer};
use crate::failure::Failure;
use crate::words::circles::{self, CircleView};
use crate::words::{clean, count};

/// How many operations are appended at once.
const GROUP: usize = 2048;

/// What is to be taken in, and from which format. Importing again takes in what changed.
#[derive(Debug, Subcommand)]
pub(crate) enum Import {
    /// A beads JSONL file (`-` for stdin)
    #[command(after_help = "\
With --events the recorded history is replayed, each change under the agent that made it and at
its time; that needs a run without todos.

Examples:
  tress import beads .beads/issues.jsonl
  tress --run past import beads issues.jsonl --events events.jsonl")]
    Beads {
        /// The issues, one a line
        file: PathBuf,
        /// The history of the issues, one change a line
        #[arg(long, value_name = "FILE")]
        events: Option<PathBuf>,
        /// With --events: the edges, where the issues do not hold them
        #[arg(long, value_name = "FILE", requires = "events")]
        dependencies: Option<PathBuf>,
        /// With --events: the labels, where the issues do not hold them
        #[arg(long, value_name = "FILE", requires = "events")]
        labels: Option<PathBuf>,
        /// With --events: the remarks, where the issues do not hold them
        #[arg(long, value_name = "FILE", requires = "events")]
        comments: Option<PathBuf>,
    },
    /// A Markdown todo list or design (`-` for stdin)
    #[command(after_help = "\
Examples:
  tress import markdown TODO.md
  tress import markdown DESIGN.md --as design")]
    Markdown {
        /// The file
        file: PathBuf,
        /// What it holds
        #[arg(long = "as", value_enum, default_value = "todo")]
        holds: Holds,
    },
    /// A document that a tool of Automerge edited (`-` for stdin)
    #[command(after_help = "\
Write the documents with `tress export automerge DIR`, edit one with any tool of Automerge, and take it
in here. What was edited becomes operations under your name; texts merge character by character with
what others wrote meanwhile. What may not be edited (a claim, what is verified) is put back, and said.

Example:
  tress export automerge out/
  tress --agent ada import automerge out/todo.automerge")]
    Automerge {
        /// The document, as Automerge saves it
        file: PathBuf,
    },
    /// A tasks.json of Task Master (`-` for stdin)
    #[command(after_help = "Example:\n  tress import taskmaster .taskmaster/tasks/tasks.json")]
    Taskmaster {
        /// The file
        file: PathBuf,
    },
}

/// What a Markdown file holds.
#[derive(Debug, Clone, Copy, ValueEnum)]
pub(crate) enum Holds {
    /// A todo list
    Todo,
    /// A design
    Design,
}

#[derive(Serialize)]
struct Imported {
    file: String,
    lines: usize,
    read: usize,
    added: usize,
    changed: usize,
    unchanged: usize,
    left_out: usize,
    dependencies: usize,
    remarks: usize,
    /// What the run has and the file does not; it was left as it is.
    absent: Vec<String>,
    /// How many events that made.
    events: usize,
    problems: Vec<ProblemView>,
    /// Circles in which todos wait for each other, and did not before.
    circles: Vec<CircleView>,
}

#[derive(Serialize)]
struct ProblemView {
    file: String,
    line: usize,
    column: Option<usize>,
    message: String,
    /// Whether what it is about was taken all the same.
    kept: bool,
}

impl ProblemView {
    fn new(file: &str, problem: &Problem) -> Self {
        Self {
            file: file.to_owned(),
            line: problem.line,
            column: problem.column,
            message: problem.message.clone(),
            kept: !problem.kind.left_out(),
        }
    }

    fn text(&self) -> String {
        let column = self.column.map_or(String::new(), |column| format!(":{column}"));
        let kept = if self.kept { "" } else { " (left out)" };
        format!("{}:{}{column}: {}{kept}", self.file, self.line, clean(&self.message))
    }
}

fn read(file: &Path) -> Result<Vec<u8>, Failure> {
    if file == Path::new("-") {
        let mut bytes = Vec::new();
        let read = std::io::stdin().lock().read_to_end(&mut bytes);
        return match read {
            Ok(_) => Ok(bytes),
            Err(error) => Err(Failure::file("read", Path::new("stdin"), &error)),
        };
    }
    std::fs::read(file).map_err(|error| Failure::file("read", file, &error))
}

fn read_text(file: &Path) -> Result<String, Failure> {
    String::from_utf8(read(file)?)
        .map_err(|_| Failure::invalid(format!("{} is not UTF-8", file.display())))
}

/// Does `import`.
pub(crate) async fn run(context: &Context, args: &Import) -> Result<(), Failure> {
    let writer = context.writer().await?;
    let (file, planned) = match args {
        Import::Beads { file, events: None, .. } => {
            (file, Ok(beads::import_at(&writer.state, read(file)?, writer.now)))
        }
        Import::Beads { file, events: Some(events), dependencies, labels, comments } => {
            no_todos(&writer)?;
            let optional = |file: &Option<PathBuf>| file.as_deref().map(read).transpose();
            let (issues, events) = (read(file)?, read(events)?);
            let (dependencies, labels) = (optional(dependencies)?, optional(labels)?);
            let comments = optional(comments)?;
            let sources = history::Sources {
                dependencies: dependencies.as_deref().unwrap_or_default(),
                labels: labels.as_deref().unwrap_or_default(),
                comments: comments.as_deref().unwrap_or_default(),
                ..history::Sources::new(&issues, &events)
            };
            (file, Ok(history::import(&sources)))
        }
        Import::Markdown { file, holds } => {
            let text = read_text(file)?;
            let planned = match holds {
                Holds::Todo => {
                    markdown::todos_at(&writer.state, &text, writer.now, writer.agent.name())
                }
                Holds::Design => markdown::design_over(&writer.state, &text),
            };
            (file, planned)
        }
        Import::Automerge { file } => return document(context, &writer, file).await,
        Import::Taskmaster { file } => {
            (file, Ok(taskmaster::import_over(&writer.state, &read_text(file)?)))
        }
    };
    let file = if file == Path::new("-") { "stdin".to_owned() } else { file.display().to_string() };
    let planned = planned.map_err(|problems| nothing_taken(context, &file, &problems))?;
    take(context, &writer, &file, planned).await
}

#[derive(Serialize)]
struct DocumentView {
    file: String,
    /// Which document it is.
    strand: &'static str,
    /// How many Automerge changes were new.
    changes: usize,
    events: usize,
    /// What was put back.
    refused: Vec<RefusedView>,
    /// Circles in which todos wait for each other, and did not before.
    circles: Vec<CircleView>,
}

#[derive(Serialize)]
struct RefusedView {
    path: String,
    reason: String,
}

/// Takes in what a tool of Automerge edited.
async fn document(context: &Context, writer: &Writer, file: &Path) -> Result<(), Failure> {
    let bytes = read(file)?;
    let invalid =
        |error: &dyn std::fmt::Display| Failure::invalid(format!("{}: {error}", file.display()));
    let (strand, changes) = tress::changes_of(&bytes).map_err(|error| invalid(&error))?;
    let editing = writer.agent.edit_document(strand, changes);
    let edited = context.out.waiting("comparing the document", editing).await;
    let edited = edited.map_err(|error| match error {
        Error::Document(error) => invalid(&error),
        error => error.into(),
    })?;
    if !edited.waiting.is_empty() {
        let waiting = count(edited.waiting.len(), "change");
        context.out.warn(&format!("left out {waiting}: what came before them is not in the file"));
    }
    let refused = edited.refused.into_iter();
    let view = DocumentView {
        file: file.display().to_string(),
        strand: strand.name(),
        changes: edited.changes,
        events: edited.events.len(),
        refused: refused.map(|edit| RefusedView { path: edit.path, reason: edit.reason }).collect(),
        circles: circles::closed(&writer.state, &writer.agent.run().state()),
    };
    if !context.out.json() {
        for edit in &view.refused {
            context.out.warn(&format!("put back {}: {}", clean(&edit.path), edit.reason));
        }
        for circle in circles::told(&view.circles) {
            context.out.warn(&format!("warning: {circle}"));
        }
    }
    context.out.answer(&view, || {
        let (changes, events) = (count(view.changes, "change"), count(view.events, "event"));
        let put_back = match view.refused.len() {
            0 => String::new(),
            many => format!("; {} put back", count(many, "edit")),
        };
        format!("took in {changes} of the {} document: {events}{put_back}", view.strand)
    })
}

fn no_todos(writer: &Writer) -> Result<(), Failure> {
    if writer.state.todos.is_empty() {
        return Ok(());
    }
    let name = writer.agent.run().name();
    Err(Failure::conflict(format!("the run {name} has todos, and a history needs one without"))
        .hint("make another run: tress init --run past; tress --run past import …"))
}

/// Nothing could be imported: says why, line by line.
fn nothing_taken(context: &Context, file: &str, problems: &[Problem]) -> Failure {
    let views = problems.iter().map(|problem| ProblemView::new(file, problem));
    // What it is about might have been taken with a remark, and nothing was.
    let views: Vec<_> = views.map(|view| ProblemView { kept: false, ..view }).collect();
    let first = views.first().map(ProblemView::text).unwrap_or_default();
    if !context.out.json() {
        for view in &views {
            context.out.warn(&view.text());
        }
        return Failure::invalid(format!("nothing was imported from {}", clean(file)));
    }
    Failure::invalid(format!("nothing was imported: {first}")).details(&views)
}

async fn take(
    context: &Context,
    writer: &Writer,
    file: &str,
    planned: formats::Import,
) -> Result<(), Failure> {
    let formats::Import { operations, report } = planned;
    if operations.is_empty() && report.read == 0 && report.left_out > 0 {
        return Err(nothing_taken(context, file, &report.problems));
    }
    let author = writer.agent.author();
    let drafts = operations.into_iter().map(|planned| draft(author, planned)).collect();
    let appending = append(writer.agent.run(), drafts);
    let events = context.out.waiting("importing", appending).await?;
    let mut imported = imported(file, events, report);
    imported.circles = circles::closed(&writer.state, &writer.agent.run().state());
    if !context.out.json() {
        for problem in &imported.problems {
            context.out.warn(&problem.text());
        }
        for circle in circles::told(&imported.circles) {
            context.out.warn(&format!("warning: {circle}"));
        }
    }
    context.out.answer(&imported, || text(&imported))
}

/// What is planned, as the importing agent or the one that it names means it.
pub(super) fn draft(author: &Author, planned: Planned) -> Draft {
    let by = planned.author.map(|name| Author::new(name, Role::Implementer));
    Draft {
        author: by.unwrap_or_else(|| author.clone()),
        occurred: planned.occurred,
        operation: planned.operation,
    }
}

/// Appends in groups; a group that is too large is halved.
async fn append(run: &Run, drafts: Vec<Draft>) -> Result<usize, Failure> {
    let all = drafts.len();
    let mut groups: VecDeque<Vec<Draft>> = drafts.chunks(GROUP).map(<[Draft]>::to_vec).collect();
    let mut done = 0;
    while let Some(mut group) = groups.pop_front() {
        match run.append(group.clone()).await {
            Ok(events) => done += events.len(),
            Err(Error::Prepare(PrepareError::Codec(_))) if group.len() > 1 => {
                let rest = group.split_off(group.len() / 2);
                groups.push_front(rest);
                groups.push_front(group);
            }
            Err(error) if done > 0 => {
                let failure = Failure::from(error);
                return Err(failure.hint(format!(
                    "{done} of {all} changes were taken in; import the file again to go on"
                )));
            }
            Err(error) => return Err(error.into()),
        }
    }
    Ok(done)
}

fn imported(file: &str, events: usize, report: Report) -> Imported {
    Imported {
        file: file.to_owned(),
        lines: report.lines,
        read: report.read,
        added: report.added,
        changed: report.changed,
        unchanged: report.unchanged,
        left_out: report.left_out,
        dependencies: report.edges,
        remarks: report.notes,
        absent: report.absent,
        events,
        problems: report.problems.iter().map(|problem| ProblemView::new(file, problem)).collect(),
        circles: Vec::new(),
    }
}

fn text(imported: &Imported) -> String {
    let entries = match imported.read {
        1 => "1 entry".to_owned(),
        many => format!("{many} entries"),
    };
    let mut parts = vec![
        format!("{} new", imported.added),
        format!("{} changed", imported.changed),
        format!("{} as they were", imported.unchanged),
    ];
    if imported.dependencies > 0 {
        parts.push(count(imported.dependencies, "dependency"));
    }
    if imported.remarks > 0 {
        parts.push(count(imported.remarks, "remark"));
    }
    if imported.left_out > 0 {
        parts.push(format!("{} left out", count(imported.left_out, "line")));
    }
    if !imported.absent.is_empty() {
        parts.push(format!("{} only in the run, left as they are", imported.absent.len()));
    }
    let problems = match imported.problems.len() {
        0 => String::new(),
        many => format!("; {} above", count(many, "problem")),
    };
    let events = count(imported.events, "event");
    let file = clean(&imported.file);
    format!("imported {entries} from {file}: {} ({events}){problems}", parts.join(", "))
}
