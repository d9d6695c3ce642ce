//! `note`: a remark on a todo.

use clap::Args;
use tress::Operation;

use super::fields::text_or_stdin;
use crate::context::{Context, name_title};
use crate::failure::Failure;

/// Add a remark to a todo
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  tress note t-7f3a \"the lexer has the same bug\"
  git diff --stat | tress note t-7f3a -")]
pub(crate) struct Note {
    /// The todo
    id: String,
    /// The remark (`-` reads it from stdin)
    #[arg(allow_hyphen_values = true)]
    text: String,
}

/// Refuses a text that says nothing.
pub(super) fn not_empty(text: String, what: &str) -> Result<String, Failure> {
    if text.trim().is_empty() {
        return Err(Failure::invalid(format!("{what} is empty")));
    }
    Ok(text)
}

/// Does `note`.
pub(crate) async fn run(context: &Context, args: &Note) -> Result<(), Failure> {
    let writer = context.writer().await?;
    let todo = writer.find_alive(&args.id)?.id;
    let text = text_or_stdin(args.text.clone())?;
    let text = not_empty(text, "the remark")?.trim_end().to_owned();
    let noted = Operation::NoteAdded { todo, text, layout: None };
    let events = writer.agent.append([noted]).await?;
    context.changed(writer.agent.run(), todo, &events, |state| {
        format!("noted on {}", name_title(state, todo))
    })
}
