//! How the screen is drawn: a head, todos beside agents and alerts, the log, the keys.

use ratatui::Frame;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::style::{Color, Modifier, Style};
use ratatui::text::{Line, Span};
use ratatui::widgets::{Block, Borders, Clear, Paragraph, Wrap};
use tress::state::Phase;
use tress::{State, Status};

use super::graph;
use super::screen::{Over, Screen, View};
use crate::commands::status::{self, AgentView};
use crate::time::{clock_seconds, length};
use crate::words::{describe, short, standing};

const KEYS: &str =
    "←→ time  [ ] checkpoints  End live  ↑↓ todo  Enter story  a all  ? help  q quit";
const HELP: &str = "\
left, right, h, l   one event back or on
PgUp, PgDn          a hundredth of the run back or on
[ ]                 the checkpoint before, after
Home, End           the beginning; live again
up, down, k, j      choose a todo
Enter               the story of the chosen todo
a                   all todos, or only those that are not finished
q, Esc, Ctrl-C      leave";

/// How a word is shown.
#[derive(Clone, Copy)]
enum Look {
    Plain,
    Dim,
    Strong,
    Good,
    Busy,
    Bad,
}

impl Look {
    fn style(self, colour: bool) -> Style {
        let style = Style::default();
        match (self, colour) {
            (Self::Plain, _) => style,
            (Self::Dim, _) => style.add_modifier(Modifier::DIM),
            (Self::Strong, _) => style.add_modifier(Modifier::BOLD),
            (Self::Good, true) => style.fg(Color::Green),
            (Self::Busy, true) => style.fg(Color::Yellow),
            (Self::Bad, true) => style.fg(Color::Red),
            (Self::Good, false) => style,
            (Self::Busy | Self::Bad, false) => style.add_modifier(Modifier::BOLD),
        }
    }
}

struct Pen {
    colour: bool,
}

impl Pen {
    fn text(&self, text: impl Into<String>, look: Look) -> Span<'static> {
        Span::styled(text.into(), look.style(self.colour))
    }
}

/// A bar of so many characters.
fn bar(percent: usize, wide: usize) -> (String, String) {
    let full = wide * percent.min(100) / 100;
    ("━".repeat(full), "─".repeat(wide - full))
}

pub(super) fn screen(frame: &mut Frame<'_>, screen: &Screen, view: &View) {
    let pen = Pen { colour: screen.colour };
    let area = frame.area();
    let log = (area.height / 3).clamp(4, 12);
    let [head, middle, log, foot] = Layout::vertical([
        Constraint::Length(2),
        Constraint::Min(5),
        Constraint::Length(log),
        Constraint::Length(1),
    ])
    .areas(area);
    let [left, right] =
        Layout::horizontal([Constraint::Percentage(55), Constraint::Percentage(45)]).areas(middle);
    let (run, seen) = status::of(&view.run, &view.state, &view.readiness, view.now);
    frame.render_widget(Paragraph::new(heading(&pen, view, &run)), head);
    todos(frame, left, &pen, screen, view);
    side(frame, right, &pen, view, &run, &seen);
    tail(frame, log, &pen, view);
    frame.render_widget(Paragraph::new(pen.text(KEYS, Look::Dim)), foot);
    match screen.over {
        Some(Over::Help) => over(frame, area, " keys ", HELP.lines().map(Line::from).collect()),
        Some(Over::Story) => story(frame, area, &pen, screen, view),
        None => {}
    }
}

fn heading(pen: &Pen, view: &View, run: &status::Whole) -> Vec<Line<'static>> {
    let phase = match run.phase {
        Phase::New => "not started",
        Phase::Running => "running",
        Phase::Paused => "paused",
        Phase::Finished => "finished",
    };
    let when = match view.place {
        None => pen.text("live", Look::Good),
        Some(place) => {
            let at = clock_seconds(view.now, tress::now());
            pen.text(format!("event {} of {}, {at}", place.event, place.of), Look::Busy)
        }
    };
    let title = if run.title.is_empty() { &run.run } else { &run.title };
    let elapsed = run.elapsed_ms.map(|elapsed| format!(" {}", length(elapsed)));
    let (full, rest) = bar(run.percent, 20);
    let (todos, finished, percent) = (run.todos, run.finished, run.percent);
    vec![
        Line::from(vec![
            pen.text(fit(title, 40), Look::Strong),
            pen.text(format!("  {phase}{}  ", elapsed.unwrap_or_default()), Look::Plain),
            when,
        ]),
        Line::from(vec![
            pen.text(full, Look::Good),
            pen.text(rest, Look::Dim),
            pen.text(format!("  {finished} of {todos} ({percent} %)  "), Look::Plain),
            pen.text(run.counted(), Look::Dim),
        ]),
    ]
}

/// How many columns a text takes.
pub(super) fn wide_as(text: &str) -> usize {
    Span::raw(text).width()
}

/// The first line of a text, cut to so many columns; some characters take two.
fn fit(text: &str, columns: usize) -> String {
    let line = short(text, usize::MAX);
    if wide_as(&line) <= columns {
        return line;
    }
    let mut kept = String::new();
    for character in line.chars() {
        kept.push(character);
        if wide_as(&kept) >= columns {
            kept.pop();
            break;
        }
    }
    format!("{}…", kept.trim_end())
}

/// The same, filled up to these columns, and one more.
fn padded(text: &str, columns: usize) -> String {
    let text = fit(text, columns);
    let room = columns.saturating_sub(wide_as(&text));
    format!("{text}{} ", " ".repeat(room))
}

fn panel(title: &'static str) -> Block<'static> {
    Block::default().borders(Borders::TOP).title(title)
}

fn todos(frame: &mut Frame<'_>, area: Rect, pen: &Pen, screen: &Screen, view: &View) {
    let lines = screen.lines(view);
    let room = usize::from(area.height.saturating_sub(1)).max(1);
    let chosen = lines.iter().position(|line| Some(line.todo) == screen.chosen);
    // The chosen one stays in the middle, as far as the list allows.
    let most = lines.len().saturating_sub(room);
    let from = chosen.unwrap_or(0).saturating_sub(room / 2).min(most);
    let wide = usize::from(area.width);
    let shown = lines.iter().enumerate().skip(from).take(room);
    let mut shown: Vec<Line<'static>> = shown
        .map(|(at, line)| {
            let mut drawn = todo(pen, view, line, wide);
            if Some(at) == chosen {
                drawn = drawn.style(Style::default().add_modifier(Modifier::REVERSED));
            }
            drawn
        })
        .collect();
    if lines.is_empty() {
        shown.push(Line::from(pen.text("nothing to do yet: tress add \"…\"", Look::Dim)));
    }
    let title = if screen.all { " todos (all) " } else { " todos " };
    frame.render_widget(Paragraph::new(shown).block(panel(title)), area);
}

fn todo(pen: &Pen, view: &View, line: &graph::Line, wide: usize) -> Line<'static> {
    let state = &view.state;
    let Some(todo) = state.todo(line.todo) else { return Line::default() };
    let status = state.status(todo, &view.readiness, view.now);
    let (sign, look) = match status {
        Status::Completed => ("✓", Look::Good),
        Status::Closed | Status::Deleted => ("–", Look::Dim),
        Status::InProgress => ("●", Look::Busy),
        Status::InReview => ("◐", Look::Busy),
        Status::Blocked => ("×", Look::Bad),
        Status::Open => ("○", Look::Plain),
        _ => ("·", Look::Dim),
    };
    let indent = "  ".repeat(line.depth);
    let name = fit(&state.name(line.todo), 16);
    let more = if line.more > 0 { format!(" (+{})", line.more) } else { String::new() };
    let holder = todo.holder(view.now).filter(|_| !todo.finished()).map(|claim| {
        let percent = todo.percent();
        format!(" {} {percent}%", fit(&claim.agent, 14))
    });
    let holder = holder.unwrap_or_default();
    let used = indent.len() + 2 + wide_as(&name) + 1 + more.len() + wide_as(&holder) + 1;
    let title = fit(&todo.title, wide.saturating_sub(used).max(4));
    Line::from(vec![
        Span::raw(indent),
        pen.text(format!("{sign} "), look),
        pen.text(format!("{name} "), if todo.finished() { Look::Dim } else { Look::Strong }),
        pen.text(title, if todo.finished() { Look::Dim } else { Look::Plain }),
        pen.text(more, Look::Dim),
        pen.text(holder, Look::Busy),
    ])
}

/// Agents, figures and alerts.
fn side(
    frame: &mut Frame<'_>,
    area: Rect,
    pen: &Pen,
    view: &View,
    run: &status::Whole,
    agents: &[AgentView],
) {
    let wide = usize::from(area.width).saturating_sub(1);
    let mut lines: Vec<Line<'static>> = agents
        .iter()
        .filter(|agent| agent.active || agent.todo.is_some())
        .map(|agent| lane(pen, agent, wide))
        .collect();
    if lines.is_empty() {
        lines.push(Line::from(pen.text("nobody is at work", Look::Dim)));
    }
    let alerts: Vec<_> = view.state.team.open_alerts();
    let reserved = alerts.len().min(3) + usize::from(!run.figures().is_empty()) + 1;
    lines.truncate(usize::from(area.height).saturating_sub(reserved + 1).max(1));
    for figures in run.figures() {
        lines.push(Line::from(pen.text(fit(&figures, wide), Look::Dim)));
    }
    for (_, alert) in &alerts {
        let known = alert.acknowledged_by.is_some();
        let look = if known { Look::Dim } else { Look::Bad };
        lines.push(Line::from(pen.text(fit(&format!("! {}", alert.message), wide), look)));
    }
    frame.render_widget(Paragraph::new(lines).block(panel(" agents ")), area);
}

fn lane(pen: &Pen, agent: &AgentView, wide: usize) -> Line<'static> {
    let name = padded(&agent.name, 14);
    let Some(todo) = &agent.todo else {
        let at = if agent.activity.is_empty() { "waiting" } else { &agent.activity };
        let at = fit(at, wide.saturating_sub(15).max(4));
        return Line::from(vec![pen.text(name, Look::Plain), pen.text(at, Look::Dim)]);
    };
    let percent = usize::from(agent.percent.unwrap_or(0));
    let (full, rest) = bar(percent, 8);
    let eta = agent.eta_ms.map(|eta| format!(" ~{}", length(eta))).unwrap_or_default();
    let room = wide.saturating_sub(15 + 8 + 5 + 1 + eta.chars().count()).max(4);
    Line::from(vec![
        pen.text(name, Look::Plain),
        pen.text(full, Look::Busy),
        pen.text(rest, Look::Dim),
        pen.text(format!("{percent:>4}% "), Look::Plain),
        pen.text(fit(todo, room), Look::Strong),
        pen.text(eta, Look::Dim),
    ])
}

fn tail(frame: &mut Frame<'_>, area: Rect, pen: &Pen, view: &View) {
    let room = usize::from(area.height.saturating_sub(1));
    let wide = usize::from(area.width);
    let from = view.log.len().saturating_sub(room);
    let lines = view.log.iter().skip(from).map(|event| {
        let about = event.operation.todo().map(|todo| view.state.name(todo));
        let said = describe(&event.operation, &view.state, view.now);
        let text = format!("{}{said}", padded(&about.unwrap_or_default(), 12));
        Line::from(vec![
            pen.text(format!("{} ", clock_seconds(event.moment(), event.moment())), Look::Dim),
            pen.text(padded(&event.author.name, 14), Look::Strong),
            pen.text(fit(&text, wide.saturating_sub(24).max(8)), Look::Plain),
        ])
    });
    frame.render_widget(Paragraph::new(lines.collect::<Vec<_>>()).block(panel(" log ")), area);
}

fn over(frame: &mut Frame<'_>, area: Rect, title: &'static str, lines: Vec<Line<'static>>) {
    let wide = area.width.saturating_sub(4).min(90);
    let tall = u16::try_from(lines.len()).unwrap_or(u16::MAX).saturating_add(2);
    let tall = tall.min(area.height.saturating_sub(2)).max(3);
    let (x, y) = ((area.width - wide) / 2, (area.height - tall) / 2);
    let place = Rect { x, y, width: wide, height: tall };
    frame.render_widget(Clear, place);
    let block = Block::default().borders(Borders::ALL).title(title);
    frame.render_widget(Paragraph::new(lines).wrap(Wrap { trim: false }).block(block), place);
}

fn story(frame: &mut Frame<'_>, area: Rect, pen: &Pen, screen: &Screen, view: &View) {
    let state: &State = &view.state;
    let Some(todo) = screen.chosen.and_then(|id| state.todo(id)) else { return };
    let mut lines = vec![
        Line::from(
            pen.text(format!("{}: {}", state.name(todo.id), fit(&todo.title, 70)), Look::Strong),
        ),
        Line::from(standing(state, &view.readiness, todo, view.now)),
        Line::default(),
    ];
    for event in view.log.iter().filter(|event| event.operation.todo() == Some(todo.id)) {
        lines.push(Line::from(vec![
            pen.text(format!("{} ", clock_seconds(event.moment(), event.moment())), Look::Dim),
            pen.text(padded(&event.author.name, 14), Look::Plain),
            pen.text(describe(&event.operation, state, view.now), Look::Plain),
        ]));
    }
    let more = format!("all of it: tress why {}", state.name(todo.id));
    lines.push(Line::from(pen.text(more, Look::Dim)));
    over(frame, area, " story ", lines);
}
