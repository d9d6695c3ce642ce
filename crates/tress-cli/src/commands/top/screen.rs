//! What is on the screen: what is looked at, what is chosen, what is open.

use std::sync::Arc;

use ratatui::Frame;
use ratatui::Terminal;
use ratatui::backend::TestBackend;
use ratatui::buffer::Cell;
use tress::state::Readiness;
use tress::{Event, Millis, State, TodoId};

use super::draw;
use super::graph;

/// A run at one moment.
pub(super) struct View {
    /// The run's name.
    pub(super) run: String,
    /// Its state.
    pub(super) state: Arc<State>,
    /// What is ready and what is blocked in it.
    pub(super) readiness: Readiness,
    /// When leases are judged.
    pub(super) now: Millis,
    /// Where in the history; `None` is live.
    pub(super) place: Option<Place>,
    /// The last events that count.
    pub(super) log: Vec<Arc<Event>>,
}

/// A place in the history.
#[derive(Debug, Clone, Copy)]
pub(super) struct Place {
    /// How many events count.
    pub(super) event: usize,
    /// Of how many.
    pub(super) of: usize,
}

/// What is laid over the rest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Over {
    /// The story of the chosen todo.
    Story,
    /// The keys.
    Help,
}

/// What the person in front of it has chosen.
#[derive(Debug)]
pub(super) struct Screen {
    pub(super) colour: bool,
    pub(super) chosen: Option<TodoId>,
    pub(super) all: bool,
    pub(super) over: Option<Over>,
}

impl Screen {
    pub(super) const fn new(colour: bool) -> Self {
        Self { colour, chosen: None, all: false, over: None }
    }

    /// The lines of the todo list.
    pub(super) fn lines(&self, view: &View) -> Vec<graph::Line> {
        let wanted = |id| {
            let todo = view.state.todo(id).filter(|todo| todo.deletion().is_none());
            todo.is_some_and(|todo| self.all || !todo.finished())
        };
        let lines = graph::list(&view.state, wanted);
        // A list that is all done is shown, rather than nothing.
        if lines.is_empty() && !self.all {
            let alive = |id| view.state.todo(id).is_some_and(|todo| todo.deletion().is_none());
            return graph::list(&view.state, alive);
        }
        lines
    }

    /// Chooses the todo so many lines further down.
    pub(super) fn choose(&mut self, view: &View, by: isize) {
        let lines = self.lines(view);
        let here = lines.iter().position(|line| Some(line.todo) == self.chosen);
        let there = match here {
            Some(here) => here.saturating_add_signed(by).min(lines.len().saturating_sub(1)),
            None => 0,
        };
        self.chosen = lines.get(there).map(|line| line.todo);
    }

    pub(super) const fn toggle_all(&mut self) {
        self.all = !self.all;
    }

    pub(super) fn toggle_story(&mut self) {
        let open = self.over == Some(Over::Story);
        self.over = if open || self.chosen.is_none() { None } else { Some(Over::Story) };
    }

    pub(super) fn toggle_help(&mut self) {
        self.over = if self.over == Some(Over::Help) { None } else { Some(Over::Help) };
    }

    /// Closes what is laid over the rest; whether there was anything.
    pub(super) fn close(&mut self) -> bool {
        self.over.take().is_some()
    }

    pub(super) fn draw(&self, frame: &mut Frame<'_>, view: &View) {
        draw::screen(frame, self, view);
    }

    /// The screen as text.
    pub(super) fn to_text(&self, view: &View, width: u16, height: u16) -> String {
        let Ok(mut terminal) = Terminal::new(TestBackend::new(width.max(40), height));
        let Ok(_) = terminal.draw(|frame| draw::screen(frame, self, view));
        let buffer = terminal.backend().buffer();
        let lines = buffer.content().chunks(usize::from(buffer.area.width));
        let line = |cells: &[Cell]| {
            let (mut text, mut at) = (String::new(), 0);
            while let Some(cell) = cells.get(at) {
                text.push_str(cell.symbol());
                // What lies behind a wide character is covered by it.
                at += draw::wide_as(cell.symbol()).max(1);
            }
            text
        };
        let lines = lines.map(line);
        let lines: Vec<String> = lines.map(|line| line.trim_end().to_owned()).collect();
        lines.join("\n").trim_end().to_owned()
    }
}
