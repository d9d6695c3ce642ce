//! Learning: what finished runs teach about the size of a team, the size of batches and the
//! distance of checkpoints.
//!
//! Throughput follows the universal scalability law, X(n) = λ n / (1 + σ (n − 1) + κ n (n − 1)):
//! λ is what one agent does, σ how much has to be done one after the other, κ what it costs to keep
//! each in step with each (Gunther: *A Simple Capacity Model of Massively Parallel Transaction
//! Systems*, 1993). It is greatest at n = √((1 − σ) / κ).

use serde::{Deserialize, Serialize};
use tress_model::State;
use tress_model::operation::Operation;

use crate::strategy::{BATCH_MAX, Strategy};

mod usl;

pub use usl::{Usl, fit};

/// The topic under which a run's sample is in the log.
pub const TOPIC_SAMPLE: &str = "run-sample";
/// The topic under which what was proposed is in the log.
pub const TOPIC_PROPOSAL: &str = "proposal";
/// After how many completed todos a checkpoint is taken, where nothing is known.
pub const CHECKPOINT_EVERY: u32 = 5;

/// What one run, or a stretch of one with a steady number of agents, showed.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct RunSample {
    /// How many implementers worked at once.
    pub agents: u32,
    /// Completed todos an hour.
    pub throughput: f64,
    /// How many todos were completed.
    pub completed: u64,
    /// What beginning a todo costs beside the work on it (work tree, prompt, review), in minutes.
    #[serde(default)]
    pub overhead_minutes: f64,
    /// What the work on a todo takes, in minutes.
    #[serde(default)]
    pub work_minutes: f64,
    /// The share of attempts that came to nothing.
    #[serde(default)]
    pub failure_rate: f64,
    /// What a checkpoint costs, in minutes.
    #[serde(default)]
    pub checkpoint_minutes: f64,
    /// How many times the run was interrupted, or taken back to a checkpoint.
    #[serde(default)]
    pub interruptions: u64,
}

impl RunSample {
    /// The sample as an operation of the coordinator.
    pub fn operation(&self) -> Operation {
        let body = serde_json::to_string(self).unwrap_or_default();
        Operation::LearningRecorded { topic: TOPIC_SAMPLE.to_owned(), body }
    }

    fn usable(&self) -> bool {
        self.agents > 0 && self.throughput.is_finite() && self.throughput > 0.0
    }
}

/// The samples that a run's log has. What cannot be read is passed over.
pub fn samples(state: &State) -> Vec<RunSample> {
    let learned = state.team.learning.iter().filter(|(topic, _)| topic == TOPIC_SAMPLE);
    let read = learned.filter_map(|(_, body)| serde_json::from_str::<RunSample>(body).ok());
    read.filter(RunSample::usable).collect()
}

/// What later runs should do, and what that rests on.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Proposal {
    /// How many implementers.
    pub implementers: u32,
    /// Between how many implementers the best lies, with a probability of 0.8.
    pub interval: (u32, u32),
    /// How many small todos one agent takes at once.
    pub batch: u32,
    /// After how many completed todos a checkpoint is taken.
    pub checkpoint_every: u32,
    /// The fitted law; `None` without data.
    pub fit: Option<Usl>,
    /// How many samples that rests on.
    pub samples: usize,
    /// Why, a line each.
    pub reasons: Vec<String>,
}

impl Proposal {
    /// The proposal as settings of a run, by name.
    pub fn settings(&self) -> Vec<(String, String)> {
        let settings = [
            ("implementers", self.implementers),
            ("batch", self.batch),
            ("checkpoint_every", self.checkpoint_every),
        ];
        settings.map(|(name, value)| (name.to_owned(), value.to_string())).into()
    }

    /// The proposal as an operation of the coordinator.
    pub fn operation(&self) -> Operation {
        let body = serde_json::to_string(self).unwrap_or_default();
        Operation::LearningRecorded { topic: TOPIC_PROPOSAL.to_owned(), body }
    }

    /// The last proposal that a run's log has.
    pub fn of(state: &State) -> Option<Self> {
        let mut learned = state.team.learning.iter().rev();
        let (_, body) = learned.find(|(topic, _)| topic == TOPIC_PROPOSAL)?;
        serde_json::from_str(body).ok()
    }
}

/// How many runs are spent on learning before the best known size is used.
pub const LEARNING_RUNS: usize = 3;

/// The size of the next run after `history`: `start` where nothing is known, then, for the first
/// [`LEARNING_RUNS`] runs, the size that says most about the best, then the best by the fit. Never
/// more than `max`; says why.
pub fn next_size(history: &[RunSample], start: u32, max: u32, seed: u64) -> (u32, String) {
    let max = max.max(1);
    let Some(law) = fit(history) else {
        return (start.clamp(1, max), "nothing is known yet: the size of the tier".to_owned());
    };
    let runs = history.iter().filter(|sample| sample.usable()).count();
    if runs < LEARNING_RUNS {
        let size = law.most_telling(max, seed);
        let known =
            if runs == 1 { "1 run is known".to_owned() } else { format!("{runs} runs are known") };
        return (size, format!("{known}; one of {size} agents would say most about the best size"));
    }
    let best = law.best(max);
    let (low, high) = law.interval(max, seed);
    (best, format!("the throughput is greatest at {best} agents ({low} to {high} by {runs} runs)"))
}

/// What later runs should do, by `history`, the samples of all earlier runs. `start` is the size
/// where nothing is known, `max` the most agents there may be.
pub fn optimize(history: &[RunSample], start: u32, max: u32, seed: u64) -> Proposal {
    let usable: Vec<RunSample> = history.iter().filter(|s| s.usable()).copied().collect();
    let law = fit(&usable);
    let (implementers, why) = next_size(&usable, start, max, seed);
    let interval = law.map_or((1, max.max(1)), |law| law.interval(max, seed));
    let mut reasons = vec![why];
    let (batch, why) = batch(&usable);
    reasons.push(why);
    let (checkpoint_every, why) = checkpoint_every(&usable);
    reasons.push(why);
    let samples = usable.len();
    Proposal { implementers, interval, batch, checkpoint_every, fit: law, samples, reasons }
}

/// The mean of a figure over samples, each weighed by its completed todos.
fn mean(samples: &[RunSample], figure: impl Fn(&RunSample) -> f64) -> f64 {
    let sane = |value: f64| if value.is_finite() { value.max(0.0) } else { 0.0 };
    let whole: f64 = samples.iter().map(|sample| sample.completed as f64).sum();
    let sum: f64 = samples.iter().map(|s| sane(figure(s)) * s.completed as f64).sum();
    if whole > 0.0 { sum / whole } else { 0.0 }
}

/// How many small todos to take at once. A batch of b pays the overhead h once instead of b times,
/// and when an attempt fails (probability p) the work w on half of the others is lost with it:
/// h / b + p w (b − 1) / 2 a todo, least at b = √(2 h / (p w)), as with order quantities (Harris
/// 1913).
fn batch(samples: &[RunSample]) -> (u32, String) {
    let overhead = mean(samples, |sample| sample.overhead_minutes);
    let work = mean(samples, |sample| sample.work_minutes);
    let failing = mean(samples, |sample| sample.failure_rate);
    if overhead <= 0.0 || work <= 0.0 {
        let usual = Strategy::default().batch;
        return (usual, format!("batches of {usual}: the overhead is not known yet"));
    }
    let most = f64::from(BATCH_MAX);
    let best = (2.0 * overhead / (failing * work).max(1e-9)).sqrt().clamp(1.0, most).round();
    let why = format!(
        "batches of {best}: a todo costs {overhead:.2} min beside {work:.2} min of work, and \
         {failing:.2} of the attempts fail"
    );
    (best as u32, why)
}

/// After how many completed todos to take a checkpoint: the distance √(2 c m) of checkpoints that
/// cost c where work is lost every m (Young: *A First Order Approximation to the Optimum
/// Checkpoint Interval*, 1974), by the throughput.
fn checkpoint_every(samples: &[RunSample]) -> (u32, String) {
    let cost = mean(samples, |sample| sample.checkpoint_minutes);
    let minutes: f64 =
        samples.iter().map(|sample| 60.0 * sample.completed as f64 / sample.throughput).sum();
    let lost: u64 = samples.iter().map(|sample| sample.interruptions).sum();
    if cost <= 0.0 || lost == 0 {
        let usual = CHECKPOINT_EVERY;
        return (usual, format!("a checkpoint every {usual} todos: nothing was lost yet"));
    }
    let between = minutes / lost as f64;
    let distance = (2.0 * cost * between).sqrt();
    let rate = mean(samples, |sample| sample.throughput) / 60.0;
    let every = (distance * rate).clamp(1.0, 100.0).round();
    let why = format!(
        "a checkpoint every {every} todos: it costs {cost:.2} min, and work was lost every \
         {between:.0} min"
    );
    (every as u32, why)
}
