//! Where the planner is asked: what is taken next, when it is tried again, how close one looks.

use std::sync::PoisonError;
use std::sync::atomic::Ordering;

use tress::operation::FailureClass;
use tress::{Agent, Dot, Millis, Operation, Pick, State, Todo, now};
use tress_plan::failure::{self, Response, Symptoms};
use tress_plan::strategy::Thoroughness;
use tress_plan::{self as plan, Candidate, Figures, Limits, Outlook, Strategy, Terms, alerts};

use super::orchestrator::{RunError, Team};
use super::process::{Ending, Finished};

/// Why an implementer leaves a run that is stuck.
pub(super) const STUCK: &str = "what is left cannot go on";

impl Team {
    /// Says what is in the way of a run that is stuck, before those leave who could do something.
    pub(super) async fn say_why(&self) -> Result<(), RunError> {
        let state = self.run.state();
        let due = alerts::due(&state, &self.figures(), &Limits::of(&state), now());
        let raised = due.into_iter().filter(|said| matches!(said, Operation::AlertRaised { .. }));
        let raised: Vec<Operation> = raised.collect();
        if !raised.is_empty() {
            self.coordinator().append(raised).await?;
        }
        Ok(())
    }

    /// The terms on which work is chosen, by what a state says of the strategy.
    pub(super) fn terms(&self) -> impl Fn(&State) -> Terms + Send + 'static {
        let (seed, pause_ms) = (self.options.seed, self.options.retry_after_ms());
        move |state| Terms { seed, pause_ms, strategy: Strategy::of(state) }
    }

    /// What the planner picks for the agent, on the newest state under the run's lock.
    pub(super) fn picker(
        &self,
        agent: &Agent,
        capabilities: Vec<String>,
    ) -> impl FnOnce(&State, Millis) -> Option<Pick> + Send + 'static {
        let (name, terms) = (agent.name().to_owned(), self.terms());
        let (figures, only) = (self.figures(), self.options.only);
        move |state, now| {
            if let Some(todo) = only {
                let ready = state.readiness(now).ready.contains(&todo);
                let scope = state.todo(todo).map(|todo| todo.files.clone()).unwrap_or_default();
                let reason = "it is explored on this path".to_owned();
                return ready.then_some(Pick { todo, also: Vec::new(), scope, reason });
            }
            if Limits::of(state).exhausted(state, &figures).is_some() {
                return None;
            }
            let candidate = Candidate { name: &name, capabilities };
            let choice = plan::choose(state, &candidate, now, &terms(state))?;
            let plan::Choice { todo, scope, also, reasons } = choice;
            Some(Pick { todo, also, scope, reason: reasons })
        }
    }

    /// What an implementer that finds nothing to take is to do: nothing where it is to wait.
    pub(super) fn why_leave(&self) -> Option<&'static str> {
        // Asked before the state is: what the reconciler said before is in it then.
        if self.integrating.load(Ordering::SeqCst) {
            return None;
        }
        let state = &*self.run.state();
        let now = now();
        if let Some(only) = self.options.only {
            let open = state.todo(only).filter(|todo| !todo.finished());
            let stuck = open.is_none_or(|todo| todo.open_blockers().next().is_some());
            return stuck.then_some("there is nothing left to try on this path");
        }
        if Limits::of(state).exhausted(state, &self.figures()).is_some() {
            return Some("a budget is used up");
        }
        match plan::outlook(state, &state.readiness(now), now, &self.terms()(state)) {
            Outlook::Done => Some("nothing is left"),
            // What the steward can do something about is not stuck, and why it is, it says first.
            Outlook::Stuck
                if super::blockers::due(state).is_empty()
                    && !tress_plan::alerts::unsaid(state, now) =>
            {
                Some(STUCK)
            }
            Outlook::Stuck | Outlook::Wait => None,
        }
    }

    /// The figures that the steward made last.
    pub(super) fn figures(&self) -> Figures {
        self.figures.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// When a todo is tried again after the `attempt`th failure: made from what is in the log, so
    /// that a restart changes nothing.
    pub(super) fn backoff(&self, attempt: usize, token: Dot) -> Millis {
        let attempt = u32::try_from(attempt).unwrap_or(u32::MAX);
        failure::backoff(self.options.retry_after_ms(), attempt, self.options.seed ^ token.number)
    }

    /// What sort of failure the end of an agent's process was, and what is said of it.
    pub(super) fn symptoms(&self, finished: &Finished) -> (FailureClass, String) {
        let tail = finished.tail();
        let mut symptoms = Symptoms { tail, ..Symptoms::default() };
        match &finished.ending {
            Ending::Exited(code) => symptoms.exit_code = Some(*code),
            Ending::Signalled(signal) => symptoms.signal = Some(*signal),
            Ending::TimedOut => symptoms.timed_out = true,
            Ending::Stopped => symptoms.stopped = true,
            Ending::NotStarted(error) => symptoms.not_started = Some(error),
        }
        let (class, why) = failure::classify(&symptoms);
        let said = tail.lines().rev().find(|line| !line.trim().is_empty());
        let said = said.map(|said| format!(": {}", said.trim())).unwrap_or_default();
        let message: String = format!("{}, {why}{said}", finished.ending);
        (class, message.chars().take(400).collect())
    }

    /// Whether a failure of this class at a todo is for a person to look at.
    pub(super) fn escalates(
        &self,
        state: &State,
        todo: &Todo,
        agent: &str,
        class: FailureClass,
    ) -> bool {
        // Each time that somebody settled it, it gets as many attempts again.
        let rounds = 1 + super::blockers::settled(todo);
        let (own, all) = (plan::tries(state, todo.id, agent), plan::all_tries(state, todo.id));
        let limit = self.options.attempts * rounds;
        failure::response(class, own + 1, all + 1, limit) == Response::Escalate
    }

    /// Whether the tests of `todo` are tested, too.
    pub(super) fn thorough(&self, todo: &Todo) -> bool {
        let strategy = Strategy::of(&self.run.state());
        self.options.thorough || todo.high_risk || strategy.verification == Thoroughness::Thorough
    }
}
