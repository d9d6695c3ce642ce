//! Circles in which todos wait for each other, told where they come to be.

use serde::Serialize;
use tress::state::Waiting;
use tress::{State, TodoId};

use super::short;

/// So many circles are told one by one; --json tells all.
const TOLD: usize = 5;

/// A circle in which todos wait for each other: none of them can ever be done.
#[derive(Debug, Serialize)]
pub(crate) struct CircleView {
    /// The todos, each of which waits for the next one, and the last for the first.
    todos: Vec<String>,
    #[serde(skip)]
    way: String,
}

impl CircleView {
    fn new(state: &State, circle: &[Waiting]) -> Self {
        Self {
            todos: circle.iter().map(|one| state.name(one.todo)).collect(),
            way: Waiting::round(circle, |id| short(&state.name(id), 60)),
        }
    }

    fn told(&self) -> String {
        let first = self.todos.first().map(|name| short(name, 60)).unwrap_or_default();
        format!("{first} waits for itself: {}", self.way)
    }
}

/// The circles of a state.
pub(crate) fn standing(state: &State) -> Vec<CircleView> {
    state.circles().iter().map(|circle| CircleView::new(state, circle)).collect()
}

/// The circles of `after` with a todo that was in none before.
pub(crate) fn closed(before: &State, after: &State) -> Vec<CircleView> {
    let circles = after.circles();
    if circles.is_empty() {
        return Vec::new();
    }
    let known: Vec<TodoId> = before.circles().iter().flatten().map(|one| one.todo).collect();
    let new = circles.iter().filter(|circle| circle.iter().any(|one| !known.contains(&one.todo)));
    new.map(|circle| CircleView::new(after, circle)).collect()
}

/// The same as sentences, with what can be done.
pub(crate) fn told(circles: &[CircleView]) -> Vec<String> {
    let mut lines: Vec<String> = circles.iter().take(TOLD).map(CircleView::told).collect();
    if circles.len() > TOLD {
        lines.push(format!("and {} more circles", circles.len() - TOLD));
    }
    if let Some(last) = lines.last_mut() {
        last.push_str("; `tress blocked` says by which edges, `tress dep rm ID ON` takes one away");
    }
    lines
}
