//! What goes to stdout and stderr: the JSON envelope, sentences, tables.

use std::io::{self, IsTerminal, Write};
use std::sync::mpsc::RecvTimeoutError;
use std::time::Duration;

use comfy_table::presets::NOTHING;
use comfy_table::{Attribute, Color, ColumnConstraint, ContentArrangement, Row, Table};
use ratatui::text::Span;
use serde::Serialize;

use crate::failure::{Code, Failure};
use crate::words::clean;

/// The version of everything that `--json` prints.
const SCHEMA_VERSION: u32 = 1;
/// Narrower than this, tables are cut no further.
const WIDTH_MIN: u16 = 40;
/// In less than this, columns of little weight are left out.
const ROOMY: u16 = 100;
/// Where nobody counts columns, no more than this is left free to align what follows a text.
const ALIGNED_MAX: usize = 60;
/// How long people wait before they are told what is going on.
const PATIENCE: Duration = Duration::from_secs(1);

#[derive(Serialize)]
struct Envelope<'a, T> {
    schema_version: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    data: Option<&'a T>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<&'a T>,
}

/// How a word is shown where there is colour.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Tone {
    /// As it is.
    #[default]
    Plain,
    /// Of little weight.
    Dim,
    /// A heading.
    Strong,
    /// All is well.
    Good,
    /// Under way.
    Busy,
    /// To be looked at.
    Bad,
}

impl Tone {
    const fn colour(self) -> Option<Color> {
        match self {
            Self::Plain | Self::Dim | Self::Strong => None,
            Self::Good => Some(Color::Green),
            Self::Busy => Some(Color::Yellow),
            Self::Bad => Some(Color::Red),
        }
    }

    const fn code(self) -> &'static str {
        match self {
            Self::Plain => "0",
            Self::Dim => "2",
            Self::Strong => "1",
            Self::Good => "32",
            Self::Busy => "33",
            Self::Bad => "31",
        }
    }
}

/// One cell of a table.
#[derive(Debug, Clone, Default)]
pub(crate) struct Cell {
    text: String,
    tone: Tone,
}

impl Cell {
    /// A cell in a tone.
    pub(crate) fn toned(text: impl AsRef<str>, tone: Tone) -> Self {
        Self { text: clean(text.as_ref()), tone }
    }
}

impl<T: AsRef<str>> From<T> for Cell {
    fn from(text: T) -> Self {
        Self::toned(text, Tone::Plain)
    }
}

/// Where a command's answers go.
#[derive(Debug, Clone)]
pub(crate) struct Output {
    json: bool,
    colour: bool,
    width: Option<u16>,
}

fn no_colour() -> bool {
    std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty())
        || std::env::var_os("TERM").is_some_and(|term| term == "dumb")
}

impl Output {
    /// To stdout, as JSON or for people.
    pub(crate) fn new(json: bool) -> Self {
        let tty = io::stdout().is_terminal();
        let columns = std::env::var("COLUMNS").ok().and_then(|columns| columns.parse().ok());
        let width = columns.or_else(|| Table::new().width().filter(|_| tty));
        Self { json, colour: tty && !no_colour(), width: width.map(|w: u16| w.max(WIDTH_MIN)) }
    }

    /// How many columns there are; `None` where nobody counts.
    pub(crate) fn columns(&self) -> Option<usize> {
        self.width.map(usize::from)
    }

    /// Whether answers are JSON.
    pub(crate) const fn json(&self) -> bool {
        self.json
    }

    /// Whether stdout may be coloured.
    pub(crate) const fn colours(&self) -> bool {
        self.colour
    }

    /// Whether there is little room, so that columns of little weight are left out.
    pub(crate) fn narrow(&self) -> bool {
        self.width.is_some_and(|width| width < ROOMY)
    }

    /// Whether stderr may be coloured.
    pub(crate) fn colours_errors(&self) -> bool {
        io::stderr().is_terminal() && !no_colour()
    }

    /// Prints the data envelope.
    pub(crate) fn data<T: Serialize>(&self, data: &T) -> Result<(), Failure> {
        let (data, error) = (Some(data), None);
        self.envelope(&Envelope { schema_version: SCHEMA_VERSION, data, error })
    }

    /// Prints the error envelope.
    pub(crate) fn error<T: Serialize>(&self, error: &T) -> Result<(), Failure> {
        let (data, error) = (None, Some(error));
        self.envelope(&Envelope { schema_version: SCHEMA_VERSION, data, error })
    }

    fn envelope<T: Serialize>(&self, envelope: &Envelope<'_, T>) -> Result<(), Failure> {
        let text = serde_json::to_string(envelope)
            .map_err(|error| Failure::internal(format!("the answer does not encode: {error}")))?;
        self.text(&text)
    }

    /// Prints text and ends its line.
    pub(crate) fn text(&self, text: &str) -> Result<(), Failure> {
        let end = if text.ends_with('\n') { "" } else { "\n" };
        self.bytes(format!("{text}{end}").as_bytes())
    }

    /// Prints bytes as they are.
    pub(crate) fn bytes(&self, bytes: &[u8]) -> Result<(), Failure> {
        let mut stdout = io::stdout().lock();
        let written = stdout.write_all(bytes).and_then(|()| stdout.flush());
        written.map_err(|error| match error.kind() {
            io::ErrorKind::BrokenPipe => Failure::new(Code::Closed, error.to_string()),
            _ => Failure::internal(format!("cannot write the answer: {error}")),
        })
    }

    /// Prints data as JSON, or else what `text` makes of it.
    pub(crate) fn answer<T: Serialize>(
        &self,
        data: &T,
        text: impl FnOnce() -> String,
    ) -> Result<(), Failure> {
        if self.json { self.data(data) } else { self.text(&text()) }
    }

    /// Says something on stderr, if anybody listens.
    pub(crate) fn warn(&self, text: &str) {
        let _ = writeln!(io::stderr().lock(), "{text}");
    }

    /// Text in a tone, where there is colour.
    pub(crate) fn paint(&self, tone: Tone, text: &str) -> String {
        if self.colour && tone != Tone::Plain {
            format!("\u{1b}[{}m{text}\u{1b}[0m", tone.code())
        } else {
            text.to_owned()
        }
    }

    /// A table whose columns `elastic` give way when room is short. One line a row.
    pub(crate) fn table(
        &self,
        header: &[&str],
        elastic: &[usize],
        rows: impl IntoIterator<Item = Vec<Cell>>,
    ) -> String {
        if self.width.is_none() && !self.colour {
            return piped(header, elastic, rows);
        }
        let mut table = Table::new();
        table.load_style(NOTHING);
        table.set_truncation_indicator("…");
        // Cells are cut where the room ends, not at the word before: nothing contains this.
        table.set_delimiter('\u{1f}');
        let styled = self.colour;
        if styled {
            table.enforce_styling()
        } else {
            table.force_no_tty()
        };
        let head = header.iter().map(|name| {
            let cell = comfy_table::Cell::new(name);
            if styled { cell.add_attribute(Attribute::Bold) } else { cell }
        });
        table.set_header(head.collect::<Vec<_>>());
        for row in rows {
            let mut cells = Row::from(row.into_iter().map(|cell| draw(cell, styled)));
            cells.max_height(1);
            table.add_row(cells);
        }
        for (index, column) in table.column_iter_mut().enumerate() {
            column.set_padding((0, 2));
            if !elastic.contains(&index) {
                column.set_constraint(ColumnConstraint::ContentWidth);
            }
        }
        match self.width {
            Some(width) => {
                table.set_width(width);
                table.set_content_arrangement(ContentArrangement::Dynamic);
            }
            None => {
                table.set_content_arrangement(ContentArrangement::Disabled);
            }
        }
        let lines = table.lines().map(|line| line.trim_end().to_owned());
        lines.collect::<Vec<_>>().join("\n")
    }

    /// Waits for `work`; after a second, people at a terminal are told what for.
    pub(crate) async fn waiting<T>(&self, what: &str, work: impl Future<Output = T>) -> T {
        let _busy = self.busy(what);
        work.await
    }

    /// The same; it is told until what this gives is dropped.
    pub(crate) fn busy(&self, what: &str) -> Busy {
        let (done, until) = std::sync::mpsc::channel::<()>();
        let told = !self.json && io::stderr().is_terminal();
        let what = what.to_owned();
        let tell = move || {
            if until.recv_timeout(PATIENCE) != Err(RecvTimeoutError::Timeout) {
                return;
            }
            let bar = indicatif::ProgressBar::new_spinner().with_message(what);
            bar.enable_steady_tick(Duration::from_millis(100));
            let _ = until.recv();
            bar.finish_and_clear();
        };
        // Where there is no thread to be had, nothing is told.
        let teller = told.then(|| std::thread::Builder::new().spawn(tell).ok()).flatten();
        Busy { done: Some(done), teller }
    }
}

/// While it is there, people at a terminal are told what they wait for.
pub(crate) struct Busy {
    done: Option<std::sync::mpsc::Sender<()>>,
    teller: Option<std::thread::JoinHandle<()>>,
}

impl Drop for Busy {
    fn drop(&mut self) {
        self.done = None;
        // It clears its line before anything else is said.
        let _ = self.teller.take().map(std::thread::JoinHandle::join);
    }
}

/// A table where nobody counts columns: everything is there, one line a row. What is longer than most in an
/// elastic column pushes the rest of its own row aside, and of no other.
fn piped(header: &[&str], elastic: &[usize], rows: impl IntoIterator<Item = Vec<Cell>>) -> String {
    let head = header.iter().map(Cell::from).collect();
    let rows: Vec<Vec<Cell>> = std::iter::once(head).chain(rows).collect();
    let wide = |text: &str| Span::raw(text).width();
    let widths = (0..header.len()).map(|column| {
        let cells = rows.iter().filter_map(|row| row.get(column));
        let widest = cells.map(|cell| wide(&cell.text)).max().unwrap_or(0);
        if elastic.contains(&column) { widest.min(ALIGNED_MAX) } else { widest }
    });
    let widths: Vec<usize> = widths.collect();
    let mut lines = Vec::new();
    for row in &rows {
        let mut line = String::new();
        for (cell, width) in row.iter().zip(&widths) {
            let blanks = width.saturating_sub(wide(&cell.text)) + 2;
            line.push_str(&cell.text);
            line.extend(std::iter::repeat_n(' ', blanks));
        }
        lines.push(line.trim_end().to_owned());
    }
    lines.join("\n")
}

fn draw(cell: Cell, styled: bool) -> comfy_table::Cell {
    let drawn = comfy_table::Cell::new(cell.text);
    match (styled, cell.tone.colour(), cell.tone) {
        (true, Some(colour), _) => drawn.fg(colour),
        (true, None, Tone::Dim) => drawn.add_attribute(Attribute::Dim),
        (true, None, Tone::Strong) => drawn.add_attribute(Attribute::Bold),
        _ => drawn,
    }
}
