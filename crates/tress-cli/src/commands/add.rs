//! `add` and `edit`: todos come into being, and their fields change.

use std::sync::Arc;

use clap::Args;
use tress::operation::{EdgeKind, ProseTarget, TodoEdit};
use tress::state::prose::difference;
use tress::{Event, Operation, State, Todo, TodoId};

use super::dep::append;
use super::fields::Fields;
use crate::context::{Beside, Context, Writer, name_title, told};
use crate::failure::Failure;
use crate::words::short;

/// Add a todo
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  tress add \"write the parser\"
  tress add \"fix the lexer\" -p 0 --kind bug --label lang --needs t-7f3a
  tress add \"parse floats\" --parent t-7f3a --files 'src/parse/*' --check 'cargo test parse'
  generate-spec | tress add \"the whole spec\" -d -
  ID=$(tress add -q \"write the lexer\")    the id alone, for what comes next")]
pub(crate) struct Add {
    /// One line that says what is to be done
    #[arg(allow_hyphen_values = true)]
    title: String,
    #[command(flatten)]
    fields: Fields,
    /// The id it has in another system; the same id is the same todo everywhere
    #[arg(long, value_name = "ID")]
    external_id: Option<String>,
    /// Print the id and nothing else
    #[arg(long, short)]
    quiet: bool,
}

/// Change the fields of a todo
#[derive(Debug, Args)]
#[command(after_help = "\
Labels and --needs add to what is there; --files and --capability replace it.
An empty text takes an optional field away.

Examples:
  tress edit t-7f3a -p 0 --label urgent --unlabel later
  tress edit t-7f3a --title \"write the new parser\" --assignee \"\"
  tress edit t-7f3a --parent \"\"           take it out of its parent")]
pub(crate) struct Edit {
    /// The todo
    id: String,
    /// One line that says what is to be done
    #[arg(long)]
    title: Option<String>,
    #[command(flatten)]
    fields: Fields,
    /// A label that goes; may be given several times
    #[arg(long, value_name = "LABEL", value_delimiter = ',')]
    unlabel: Vec<String>,
}

/// A title is one line.
fn one_line(title: &str) -> Result<String, Failure> {
    let title = title.trim();
    if title.lines().count() > 1 {
        return Err(Failure::invalid("the title has several lines")
            .hint("say it in one line, and put the rest into --description"));
    }
    Ok(title.to_owned())
}

fn depends(writer: &Writer, todo: TodoId, on: &str, kind: EdgeKind) -> Result<Operation, Failure> {
    let on = writer.find_alive(on)?;
    if on.id == todo {
        return Err(Failure::invalid("a todo cannot depend on itself"));
    }
    let (on, external_id) = (on.id, on.external_id.clone());
    Ok(Operation::DependencyAdded { todo, on, external_id, kind, layout: None })
}

/// Does `add`.
pub(crate) async fn add(context: &Context, args: Add) -> Result<(), Failure> {
    let writer = context.writer().await?;
    let todo = match args.external_id.as_deref().map(str::trim) {
        Some("") => return Err(Failure::invalid("the external id is empty")),
        Some(external) => free(&writer.state, external)?,
        None => tress::new_todo_id()?,
    };
    let title = one_line(&args.title)?;
    let mut operations = vec![Operation::TodoAdded {
        todo,
        external_id: args.external_id.map(|external| external.trim().to_owned()),
        title,
        edits: args.fields.edits(writer.now)?,
        prose: args.fields.prose()?,
        labels: Fields::labels(&args.fields.labels)?,
        layout: None,
    }];
    for on in &args.fields.needs {
        operations.push(depends(&writer, todo, on, EdgeKind::Blocks)?);
    }
    if let Some(parent) = &args.fields.parent {
        operations.push(depends(&writer, todo, parent, EdgeKind::ParentChild)?);
    }
    let warnings = args.fields.warnings(&writer.state);
    let events = append(&writer, todo, operations).await?;
    let beside = Beside { losses: &[], warnings: &warnings };
    context.changed_as(writer.agent.run(), todo, &events, beside, |state, notices| {
        if args.quiet {
            return state.short_id(todo);
        }
        format!("added {}{}", name_title(state, todo), told(notices))
    })
}

/// The todo of an external id that no todo has yet.
fn free(state: &State, external: &str) -> Result<TodoId, Failure> {
    let alike = || state.made_here(external).next();
    match state.external(external).map(|todo| todo.id).or_else(alike) {
        None => Ok(TodoId::from_external(external)),
        Some(todo) => {
            let message = format!("{} has this id already", name_title(state, todo));
            Err(Failure::conflict(message).hint(format!("`tress edit {external}` changes it")))
        }
    }
}

/// Does `edit`.
pub(crate) async fn edit(context: &Context, args: Edit) -> Result<(), Failure> {
    let writer = context.writer().await?;
    let todo = writer.find_alive(&args.id)?;
    let mut operations = Vec::new();
    let mut edits = args.fields.edits(writer.now)?;
    if let Some(title) = &args.title {
        edits.insert(0, TodoEdit::Title(one_line(title)?));
    }
    if !edits.is_empty() {
        operations.push(Operation::TodoEdited { todo: todo.id, edits });
    }
    let mut named = !operations.is_empty();
    for (field, text) in args.fields.prose()? {
        named = true;
        let splices = difference(&todo.prose(field), &text).into_iter().collect::<Vec<_>>();
        if !splices.is_empty() {
            let target = ProseTarget::Todo(todo.id, field);
            operations.push(Operation::ProseEdited { target, splices });
        }
    }
    let added = Fields::labels(&args.fields.labels)?;
    let mut removed = Fields::labels(&args.unlabel)?;
    named |= !removed.is_empty();
    let mut warnings = args.fields.warnings(&writer.state);
    removed.retain(|label| {
        let had = todo.labels.contains_key(label);
        if !had {
            let label = short(label, 40);
            warnings.push(format!("{} has no label {label}", name_title(&writer.state, todo.id)));
        }
        had
    });
    if !added.is_empty() || !removed.is_empty() {
        operations.push(Operation::LabelsChanged { todo: todo.id, added, removed });
    }
    for on in &args.fields.needs {
        operations.push(depends(&writer, todo.id, on, EdgeKind::Blocks)?);
    }
    if let Some(parent) = &args.fields.parent {
        named = true;
        operations.extend(move_to(&writer, todo, parent.trim())?);
    }
    if operations.is_empty() && !named {
        return Err(Failure::usage("there is nothing to change")
            .hint("name a field; `tress edit --help` lists them"));
    }
    let (id, run) = (todo.id, writer.agent.run());
    if operations.is_empty() {
        let beside = Beside { losses: &[], warnings: &warnings };
        return context.changed_beside(run, id, &[], beside, |state| {
            format!("{} is just so already", name_title(state, id))
        });
    }
    let events = append(&writer, id, operations).await?;
    let beside = Beside { losses: &[], warnings: &warnings };
    context.changed_beside(run, id, &events, beside, |state| say_edited(state, id, &events))
}

/// Out of its parents, and into `parent` where that is one.
fn move_to(writer: &Writer, todo: &Todo, parent: &str) -> Result<Vec<Operation>, Failure> {
    let edges = writer.state.edges(todo.id).iter();
    let parents = edges.filter(|edge| edge.kind == EdgeKind::ParentChild);
    let mut operations: Vec<Operation> = parents
        .map(|edge| Operation::DependencyRemoved {
            todo: todo.id,
            on: edge.on,
            kind: EdgeKind::ParentChild,
        })
        .collect();
    if !parent.is_empty() {
        operations.push(depends(writer, todo.id, parent, EdgeKind::ParentChild)?);
    }
    Ok(operations)
}

fn say_edited(state: &State, id: TodoId, events: &[Arc<Event>]) -> String {
    let now = tress::now();
    let what = events.iter().map(|event| crate::words::describe(&event.operation, state, now));
    let what: Vec<String> = what.collect();
    format!("edited {}: {}", name_title(state, id), what.join("; "))
}
