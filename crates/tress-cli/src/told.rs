//! What an agent lost and has not been told of: said before anything else by every command that
//! works under a claim.

use serde::Serialize;
use tress::{Loss, Operation, Rule, State, acknowledgements};

use crate::context::{Context, Writer, name_title};
use crate::failure::Failure;
use crate::words::short;

/// A loss as scripts see it.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct LossRow {
    rule: Rule,
    todo: Option<String>,
    external_id: Option<String>,
    /// The agent that won.
    against: Option<String>,
    detail: String,
    /// What is ready in its place.
    next: Option<String>,
}

/// What the agent is told in this command.
#[derive(Debug, Default)]
pub(crate) struct Told {
    losses: Vec<Loss>,
    /// The same, for scripts.
    pub(crate) rows: Vec<LossRow>,
}

impl Told {
    /// Tells the agent what it lost: people at once, scripts with the answer.
    pub(crate) async fn tell(context: &Context, writer: &Writer) -> Result<Self, Failure> {
        if writer.state.losses(writer.agent.name()).next().is_none() {
            return Ok(Self::default());
        }
        let losses = writer.agent.losses().await?;
        let state = writer.agent.run().state();
        if !context.out.json() {
            for loss in &losses {
                context.out.warn(&format!("note: {}", say(&state, loss)));
            }
        }
        let rows = losses.iter().map(|loss| row(&state, loss)).collect();
        Ok(Self { losses, rows })
    }

    /// What goes into the log with the command's own operations: that the agent has been told.
    pub(crate) fn noted(&self) -> impl FnOnce(&State, &str) -> Vec<Operation> + Send + 'static {
        let losses = self.losses.clone();
        move |state, agent| acknowledgements(state, agent, &losses)
    }

    /// The same failure; scripts find in it what the agent lost.
    pub(crate) fn with(&self, failure: Failure) -> Failure {
        if self.rows.is_empty() {
            return failure;
        }
        failure.details(&serde_json::json!({ "losses": self.rows }))
    }
}

fn row(state: &State, loss: &Loss) -> LossRow {
    LossRow {
        rule: loss.rule,
        todo: loss.todo.map(|todo| state.short_id(todo)),
        external_id: loss.todo.and_then(|todo| state.todo(todo)?.external_id.clone()),
        against: loss.winner.as_ref().map(ToString::to_string),
        detail: loss.detail.clone(),
        next: loss.next.map(|next| state.name(next)),
    }
}

fn say(state: &State, loss: &Loss) -> String {
    let rule = loss.rule;
    let about = loss.todo.map(|todo| short(&state.name(todo), 60));
    let claim = matches!(rule, Rule::FirstClaim | Rule::LeasesEnd | Rule::FinishedWorkHolds);
    let mut text = match (about, &loss.winner) {
        (Some(todo), Some(winner)) if claim => {
            format!("you lost {todo} to {} ({rule})", short(winner, 60))
        }
        (Some(todo), _) => format!("{todo}: {} ({rule})", short(&loss.detail, 200)),
        (None, _) => format!("{} ({rule})", short(&loss.detail, 200)),
    };
    if let Some(next) = loss.next {
        text.push_str(&format!("; next ready: {}", name_title(state, next)));
    }
    text
}
