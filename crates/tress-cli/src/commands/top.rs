//! `top`: a run as it goes, on the whole screen, with its past under the arrow keys.

mod draw;
mod graph;
mod screen;
mod travel;

use std::io::IsTerminal;
use std::time::Duration;

use clap::Args;
use ratatui::crossterm::event::{
    self, Event as Input, KeyCode, KeyEvent, KeyEventKind, KeyModifiers,
};
use tokio::sync::mpsc;
use tress::Run;

use self::screen::{Screen, View};
use self::travel::Travel;
use crate::context::Context;
use crate::failure::Failure;
use crate::interrupt::Interrupts;

/// How often the clock on the screen moves when nothing happens.
const TICK: Duration = Duration::from_secs(1);
/// How long the keyboard is waited for before it is asked whether anybody still wants to know.
const KEY_WAIT: Duration = Duration::from_millis(100);

/// Watch a run: todos, agents, figures, alerts and the log, live or at any moment of its past
#[derive(Debug, Args)]
#[command(after_help = "\
Keys:
  left, right      one event back or on          PgUp, PgDn   a hundredth of the run back or on
  [ ]              the checkpoint before, after  Home, End    the beginning; live again
  up, down, j, k   choose a todo                 Enter        its story
  a                all todos, or only those that are not finished
  ?                this help                     q, Esc       leave

Examples:
  tress top
  tress top --at \"10m ago\"    begin there
  tress top --once            print one screen, as wide as COLUMNS says, and end")]
pub(crate) struct Top {
    /// Print one screen and end
    #[arg(long)]
    once: bool,
    /// How many lines that one has
    #[arg(long, value_name = "N", default_value_t = 40, requires = "once")]
    lines: u16,
}

/// Does `top`.
pub(crate) async fn run(context: &Context, args: &Top) -> Result<(), Failure> {
    if context.out.json() {
        return Err(Failure::usage("top draws, and has no JSON")
            .hint("`tress status --json` has the same figures"));
    }
    let run = context.open().await?;
    let mut travel = context.out.waiting("reading the history", Travel::new(&run)).await?;
    if let Some(at) = &context.global.at {
        travel.to(crate::time::parse_when(at, tress::now())).await?;
    }
    let mut screen = Screen::new(context.out.colours());
    if args.once {
        let view = travel.view().await?;
        let width = context.out.columns().unwrap_or(100).try_into().unwrap_or(100);
        return context.out.text(&screen.to_text(&view, width, args.lines.max(12)));
    }
    if !std::io::stdout().is_terminal() || !std::io::stdin().is_terminal() {
        return Err(Failure::usage("top wants a terminal")
            .hint("`tress top --once` prints one screen; `tress status` is made for pipes"));
    }
    let mut terminal = ratatui::try_init()
        .map_err(|error| Failure::internal(format!("the terminal cannot be used: {error}")))?;
    let watched = watch(&run, &mut travel, &mut screen, &mut terminal).await;
    ratatui::restore();
    watched
}

async fn watch(
    run: &Run,
    travel: &mut Travel,
    screen: &mut Screen,
    terminal: &mut ratatui::DefaultTerminal,
) -> Result<(), Failure> {
    let mut keys = keyboard();
    let mut updates = run.updates();
    let mut interrupts = Interrupts::new();
    loop {
        travel.catch_up().await?;
        let view = travel.view().await?;
        terminal.draw(|frame| screen.draw(frame, &view)).map_err(|error| {
            Failure::internal(format!("the terminal cannot be drawn on: {error}"))
        })?;
        tokio::select! {
            input = keys.recv() => match input {
                Some(Input::Key(key)) if key.kind != KeyEventKind::Release => {
                    if press(key, travel, screen, &view).await? {
                        return Ok(());
                    }
                }
                Some(_) => {}
                None => return Ok(()),
            },
            changed = updates.changed() => {
                if changed.is_err() {
                    return Ok(());
                }
            }
            () = tokio::time::sleep(TICK) => {}
            () = interrupts.next() => return Ok(()),
        }
    }
}

/// What is pressed, from a thread that ends when nobody listens any more.
fn keyboard() -> mpsc::Receiver<Input> {
    let (send, keys) = mpsc::channel(16);
    std::thread::spawn(move || {
        while !send.is_closed() {
            let read = match event::poll(KEY_WAIT) {
                Ok(false) => continue,
                Ok(true) => event::read(),
                Err(_) => return,
            };
            let Ok(input) = read else { return };
            if send.blocking_send(input).is_err() {
                return;
            }
        }
    });
    keys
}

/// Does what a key asks for; whether to leave.
async fn press(
    key: KeyEvent,
    travel: &mut Travel,
    screen: &mut Screen,
    view: &View,
) -> Result<bool, Failure> {
    let control = key.modifiers.contains(KeyModifiers::CONTROL);
    match key.code {
        KeyCode::Char('c') if control => return Ok(true),
        KeyCode::Char('q') => return Ok(true),
        KeyCode::Esc if !screen.close() => return Ok(true),
        KeyCode::Left | KeyCode::Char('h') => travel.step(-1),
        KeyCode::Right | KeyCode::Char('l') => travel.step(1),
        KeyCode::PageUp => travel.step(-travel.stride()),
        KeyCode::PageDown => travel.step(travel.stride()),
        KeyCode::Home => travel.step(isize::MIN / 2),
        KeyCode::End | KeyCode::Char('g') => travel.live(),
        KeyCode::Char('[') => travel.checkpoint(false),
        KeyCode::Char(']') => travel.checkpoint(true),
        KeyCode::Up | KeyCode::Char('k') => screen.choose(view, -1),
        KeyCode::Down | KeyCode::Char('j') => screen.choose(view, 1),
        KeyCode::Char('a') => screen.toggle_all(),
        KeyCode::Enter => screen.toggle_story(),
        KeyCode::Char('?') => screen.toggle_help(),
        _ => {}
    }
    Ok(false)
}
