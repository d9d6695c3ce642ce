//! `list`, `ready`, `blocked`: todos, one a line.

use clap::Args;
use tress::operation::ProseField;
use tress::{Millis, State, Status, Todo};
use tress_run::execute::GAP;

use crate::context::Context;
use crate::failure::Failure;
use crate::output::{Cell, Tone};
use crate::time::ago;
use crate::view::TodoRow;
use crate::words::{self, beside, count};

/// List todos
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  tress list                               what is not finished, the most urgent first
  tress list --all --status closed --label lang
  tress list --agent codex-1               what codex-1 holds or is meant to do
  tress list --all --text \"utf-8 lexer\"    what has both words, finished or not
  tress list --json | jq -r '.data[].id'
  tress list --at \"2h ago\"")]
pub(crate) struct List {
    /// The finished ones, too (deleted ones with --status deleted)
    #[arg(long, short)]
    all: bool,
    /// Only this status: open, blocked, deferred, pinned, in_progress, in_review, verified,
    /// completed, closed, deleted; may be given several times
    #[arg(long, value_name = "STATUS", value_delimiter = ',', value_parser = status)]
    status: Vec<Status>,
    /// Only with this label; may be given several times
    #[arg(long = "label", value_name = "LABEL", value_delimiter = ',')]
    labels: Vec<String>,
    /// Only with all of these words in title, id, labels or texts; case does not matter
    #[arg(long, value_name = "WORDS", allow_hyphen_values = true)]
    text: Option<String>,
    /// At most so many
    #[arg(long, short = 'n', value_name = "N")]
    limit: Option<usize>,
}

/// List what can be claimed, the most urgent first
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  tress ready -n 1
  tress ready --json | jq -r '.data[0].id'")]
pub(crate) struct Ready {
    /// Only with this label; may be given several times
    #[arg(long = "label", value_name = "LABEL", value_delimiter = ',')]
    labels: Vec<String>,
    /// At most so many
    #[arg(long, short = 'n', value_name = "N")]
    limit: Option<usize>,
}

/// List what something holds back, and what that is
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  tress blocked --json | jq -r '.data[] | .id, .reasons[].text'")]
pub(crate) struct Blocked {
    /// At most so many
    #[arg(long, short = 'n', value_name = "N")]
    limit: Option<usize>,
}

fn status(word: &str) -> Result<Status, String> {
    let word = word.replace('-', "_").to_lowercase();
    let known = || Status::ALL.map(Status::name).join(", ");
    let found = Status::ALL.into_iter().find(|status| status.name() == word);
    found.ok_or_else(|| format!("the statuses are {}", known()))
}

/// The words of a search, in lower case.
fn words(text: Option<&str>) -> Vec<String> {
    text.unwrap_or_default().split_whitespace().map(str::to_lowercase).collect()
}

/// Whether each of the `words` is somewhere in what a todo says. Texts are looked at last: they cost most.
fn says(state: &State, todo: &Todo, words: &[String]) -> bool {
    let ids = [todo.external_id.clone(), Some(state.short_id(todo.id))].into_iter().flatten();
    let heads = ids.chain([todo.title.clone()]).chain(todo.labels.keys().cloned());
    let heads: Vec<String> = heads.map(|text| text.to_lowercase()).collect();
    let mut left = words.iter().filter(|word| !heads.iter().any(|text| text.contains(*word)));
    let Some(first) = left.next() else { return true };
    let texts = ProseField::ALL.map(|field| todo.prose(field).to_lowercase());
    std::iter::once(first).chain(left).all(|word| texts.iter().any(|text| text.contains(word)))
}

fn has_labels(todo: &Todo, labels: &[String]) -> bool {
    labels.iter().all(|label| todo.labels.contains_key(label))
}

/// Does `list`.
pub(crate) async fn list(context: &Context, args: &List) -> Result<(), Failure> {
    let moment = context.moment().await?;
    let agent = context.global.agent.as_deref();
    let wanted = |row: &TodoRow| {
        let listed = match args.status.as_slice() {
            [] if args.all => row.status != Status::Deleted,
            [] => !row.status.finished(),
            statuses => statuses.contains(&row.status),
        };
        listed && agent.is_none_or(|agent| row.agent.as_deref() == Some(agent))
    };
    let todos = &moment.state.todos;
    let todos: Vec<_> = match args.status.as_slice() {
        [] if !args.all => todos.unfinished().collect(),
        _ => todos.values().collect(),
    };
    let todos = todos.into_iter().filter(|todo| has_labels(todo, &args.labels));
    let words = words(args.text.as_deref());
    let todos = todos.filter(|todo| says(&moment.state, todo, &words));
    let rows = todos.map(|todo| (todo, moment.row(todo))).filter(|(_, row)| wanted(row));
    let mut rows: Vec<_> =
        rows.map(|(todo, row)| ((row.status.finished(), todo.urgency()), row)).collect();
    rows.sort_by_key(|(order, _)| *order);
    let rows: Vec<TodoRow> = rows.into_iter().map(|(_, row)| row).collect();
    let nothing = if moment.state.todos.is_empty() {
        "there are no todos: `tress add \"…\"` adds one, `tress import --help` takes them in"
    } else {
        "no todo is like that; `tress list --all` shows the finished ones, too"
    };
    show(context, moment.now, rows, args.limit, nothing)
}

/// Does `ready`.
pub(crate) async fn ready(context: &Context, args: &Ready) -> Result<(), Failure> {
    let moment = context.moment().await?;
    let todos = moment.readiness.ready.iter().filter_map(|&id| moment.state.todo(id));
    let todos = todos.filter(|todo| has_labels(todo, &args.labels));
    let rows = todos.map(|todo| moment.row(todo)).collect();
    let nothing = "nothing is ready; `tress blocked` says why, `tress list` what is under way";
    show(context, moment.now, rows, args.limit, nothing)
}

/// Does `blocked`.
pub(crate) async fn blocked(context: &Context, args: &Blocked) -> Result<(), Failure> {
    let moment = context.moment().await?;
    let (state, readiness, now) = (&moment.state, &moment.readiness, moment.now);
    let mut todos: Vec<_> = words::blocked(state, readiness, now).collect();
    todos.sort_by_key(|todo| todo.urgency());
    let rows = todos.into_iter();
    let rows = rows.map(|todo| moment.row(todo).with_reasons(state, readiness, todo.id, now));
    let mut rows: Vec<TodoRow> = rows.collect();
    let total = total(&rows, args.limit, "blocked todo");
    rows.truncate(args.limit.unwrap_or(usize::MAX));
    if context.out.json() {
        return context.out.data(&rows);
    }
    if rows.is_empty() {
        return context.out.text("nothing is blocked");
    }
    let cells = rows.iter().map(|row| {
        let reasons = row.reasons.iter().flatten().map(|why| why.text.as_str());
        let reasons = reasons.collect::<Vec<_>>().join("; ");
        vec![row.name().into(), priority(row), (&row.title).into(), reasons.into()]
    });
    let table = context.out.table(&["ID", "P", "TITLE", "BECAUSE"], &[2, 3], cells);
    context.out.text(&format!("{table}\n\n{total}"))
}

/// How many there are, counted as `status` counts: what is ephemeral, beside.
fn total(rows: &[TodoRow], limit: Option<usize>, one: &str) -> String {
    let counted = |rows: &[TodoRow]| rows.iter().filter(|row| !row.ephemeral).count();
    let subtasks = rows.iter().filter(|row| row.ephemeral && row.kind == GAP).count();
    let all = counted(rows);
    let beside = beside(subtasks, rows.len() - all - subtasks);
    match limit.and_then(|limit| rows.get(..limit)).filter(|shown| shown.len() < rows.len()) {
        Some(shown) => format!("{} of {}{beside}", counted(shown), count(all, one)),
        None => format!("{}{beside}", count(all, one)),
    }
}

fn priority(row: &TodoRow) -> Cell {
    let tone = if row.priority == 0 { Tone::Bad } else { Tone::Plain };
    Cell::toned(row.priority.to_string(), tone)
}

/// How a status looks where there is colour.
pub(crate) const fn tone(status: Status) -> Tone {
    match status {
        Status::Open | Status::Pinned => Tone::Plain,
        Status::InProgress | Status::InReview | Status::Verified => Tone::Busy,
        Status::Blocked => Tone::Bad,
        Status::Completed => Tone::Good,
        Status::Deferred | Status::Closed | Status::Deleted => Tone::Dim,
    }
}

fn show(
    context: &Context,
    now: Millis,
    mut rows: Vec<TodoRow>,
    limit: Option<usize>,
    nothing: &str,
) -> Result<(), Failure> {
    let all = rows.len();
    let total = total(&rows, limit, "todo");
    rows.truncate(limit.unwrap_or(usize::MAX));
    if context.out.json() {
        return context.out.data(&rows);
    }
    if rows.is_empty() && all == 0 {
        return context.out.text(nothing);
    }
    // Where there is little room, the last column gives it to the titles.
    let columns = if context.out.narrow() { 5 } else { 6 };
    let cells = rows.iter().map(|row| {
        let status = match row.status {
            Status::InProgress if row.percent > 0 => format!("in_progress {}%", row.percent),
            status => status.name().to_owned(),
        };
        let cells = [
            row.name().into(),
            priority(row),
            Cell::toned(status, tone(row.status)),
            row.agent.as_deref().unwrap_or("-").into(),
            (&row.title).into(),
            Cell::toned(ago(row.changed, now), Tone::Dim),
        ];
        cells.into_iter().take(columns).collect()
    });
    let header = ["ID", "P", "STATUS", "AGENT", "TITLE", "CHANGED"];
    let header: Vec<&str> = header.into_iter().take(columns).collect();
    let table = context.out.table(&header, &[3, 4], cells);
    context.out.text(&format!("{table}\n\n{total}"))
}
