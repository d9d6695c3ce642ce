//! Where the planner is asked: what is taken next, when it is tried again, how close one looks.

use tress::operation::FailureClass;
use tress::{Agent, Dot, Millis, Pick, State, Todo};
use tress_plan as plan;

use super::orchestrator::Team;
use super::process::{Ending, Finished};

impl Team {
    /// What the planner picks for the agent, on the newest state under the run's lock.
    pub(super) fn picker(
        &self,
        agent: &Agent,
        _number: u32,
    ) -> impl FnOnce(&State, Millis) -> Option<Pick> + Send + 'static {
        let (name, pause) = (agent.name().to_owned(), self.pause());
        move |state, now| {
            let todo = plan::choose(state, &name, now, pause)?;
            let scope = state.todo(todo).map(|todo| todo.files.clone()).unwrap_or_default();
            Some(Pick { todo, also: Vec::new(), scope, reason: String::new() })
        }
    }

    pub(super) fn backoff(&self, attempt: usize, _token: Dot) -> Millis {
        let failures = u32::try_from(attempt.saturating_sub(1)).unwrap_or(u32::MAX).min(10);
        let wait = self.options.retry_after.saturating_mul(2_u32.saturating_pow(failures));
        u64::try_from(wait.as_millis()).unwrap_or(u64::MAX)
    }

    /// What sort of failure the end of an agent's process was, and what is said of it.
    pub(super) fn symptoms(&self, finished: &Finished) -> (FailureClass, String) {
        let class = match &finished.ending {
            Ending::Exited(75) | Ending::TimedOut => FailureClass::Transient,
            Ending::Signalled(9) => FailureClass::Resource,
            Ending::Signalled(_) => FailureClass::Transient,
            Ending::Exited(_) => FailureClass::Logic,
            Ending::Stopped | Ending::NotStarted(_) => FailureClass::Unknown,
        };
        let said = finished.tail().lines().rev().find(|line| !line.trim().is_empty());
        let message = match said {
            None => finished.ending.to_string(),
            Some(said) => format!("{}: {said}", finished.ending),
        };
        (class, message)
    }

    /// Whether the tests of `todo` are tested, too.
    pub(super) fn thorough(&self, todo: &Todo) -> bool {
        self.options.thorough || todo.high_risk
    }
}
