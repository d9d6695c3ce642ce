//! Todo lists and designs that people write by hand.
//!
//! Both are plain Markdown: what Tress does not read is prose to it. A text with mistakes is
//! refused as a whole, with every mistake and its line, since half a list is worse than none.
//! docs/FORMATS.md has complete examples of both.

mod attributes;
mod design;
mod list;
mod todos;

use tress_model::State;
use tress_model::clock::Millis;

use super::{Import, Problem};

/// Plans the import of a todo list into a run that has no todos.
///
/// ```
/// use tress::formats::markdown;
///
/// let list = "- [ ] Write the lexer\n- [ ] Write the parser (needs: write-the-lexer)\n";
/// let import = markdown::todos(list).expect("the list is well formed");
/// assert_eq!((import.report.added, import.report.edges), (2, 1));
/// let mistakes = markdown::todos("- [ ] Parse (need: lexer)\n").expect_err("a slip");
/// assert!(mistakes[0].to_string().ends_with("did you mean needs?"));
/// ```
///
/// # Errors
/// Every mistake in the list, when there is one.
pub fn todos(text: &str) -> Result<Import, Vec<Problem>> {
    todos_over(&State::default(), text)
}

/// Plans what has changed in a todo list since it was imported into `state`.
///
/// Items are known again by their ids. Only what changed *in the list* is planned: what the team
/// did since (a todo closed, a label added, a priority raised) stays. Todos that are no longer in
/// the list stay too, and are named in the report.
///
/// # Errors
/// Every mistake in the list, when there is one.
pub fn todos_over(state: &State, text: &str) -> Result<Import, Vec<Problem>> {
    todos_at(state, text, state.last.map_or(0, |last| last.time.millis), "")
}

/// The same, at `now` and in the name of the agent `by`: a tick does not close what another holds then.
///
/// # Errors
/// As [`todos_over`].
pub fn todos_at(state: &State, text: &str, now: Millis, by: &str) -> Result<Import, Vec<Problem>> {
    todos::import(state, text, (now, by))
}

/// Plans the import of a design into a run that has none.
///
/// ```
/// use tress::formats::markdown;
///
/// let design = "# Store\n\nKeeps events.\n\n- **R1** (critical, durability): nothing is lost\n";
/// let import = markdown::design(design).expect("the design is well formed");
/// assert_eq!(import.operations.len(), 2);
/// ```
///
/// # Errors
/// Every mistake in the design, when there is one.
pub fn design(text: &str) -> Result<Import, Vec<Problem>> {
    design_over(&State::default(), text)
}

/// Plans the operations that bring the sections, requirements and rules of `state` to what a
/// design says. What the design does not name stays, and is named in the report.
///
/// # Errors
/// Every mistake in the design, when there is one.
pub fn design_over(state: &State, text: &str) -> Result<Import, Vec<Problem>> {
    design::import(state, text)
}

/// The level and the text of a heading.
fn heading(line: &str) -> Option<(u8, &str)> {
    let level = line.bytes().take_while(|&byte| byte == b'#').count();
    let text = line.get(level..)?;
    let close = text.trim().trim_end_matches('#');
    let closed = close.is_empty() || close.ends_with(char::is_whitespace);
    let heading = if closed { close.trim() } else { text.trim() };
    let opens = (text.is_empty() || text.starts_with([' ', '\t'])) && (1..=6).contains(&level);
    opens.then_some((u8::try_from(level).ok()?, heading))
}

/// The characters that open a fenced block, if the line opens one, and what it is a block of.
fn fence(line: &str) -> Option<(&str, &str)> {
    let line = line.trim();
    let mark = line.chars().next().filter(|c| matches!(c, '`' | '~'))?;
    let length = line.bytes().take_while(|&byte| char::from(byte) == mark).count();
    let (opening, info) = line.split_at_checked(length)?;
    (length >= 3 && !(mark == '`' && info.contains('`'))).then_some((opening, info.trim()))
}

/// Whether the line ends the block that `opening` opened.
fn closes(opening: &str, line: &str) -> bool {
    let line = line.trim();
    line.len() >= opening.len()
        && line.starts_with(opening)
        && fence(line).is_some_and(|(mark, info)| mark.len() == line.len() && info.is_empty())
}
