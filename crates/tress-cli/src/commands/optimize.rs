//! `optimize`: what the runs of this store teach about how to set up the next.

use clap::Args;
use serde::Serialize;
use tress::Store;
use tress_run::plan::learn::{self, Proposal, RunSample};

use crate::context::Context;
use crate::failure::Failure;
use crate::output::{Cell, Tone};
use crate::words::count;

/// The size of a team where nothing is known.
const START: u32 = 3;

/// Learn from finished runs how many agents, how large batches, how many checkpoints
#[derive(Debug, Args)]
#[command(after_help = "\
Each run that `tress start` finished is a sample. The throughput of a team of n agents follows the
universal scalability law, X(n) = λ n / (1 + σ (n - 1) + κ n (n - 1)); docs/PLANNING.md has the whole.
With --write the next `tress start` of this store takes the proposal, where it is not told otherwise.

Examples:
  tress optimize
  tress optimize --max 16 --write")]
pub(crate) struct Optimize {
    /// The most agents there may be; the first runs may be asked for as many, to learn from
    #[arg(long, value_name = "N", default_value_t = 12, value_parser = clap::value_parser!(u32).range(1..=256))]
    max: u32,
    /// Keep the proposal for later runs of this store
    #[arg(long)]
    write: bool,
}

#[derive(Serialize)]
struct Answer {
    samples: Vec<Sampled>,
    proposal: Proposal,
    /// What the fitted law says of other sizes.
    curve: Vec<Point>,
    written: bool,
}

#[derive(Serialize)]
struct Sampled {
    run: String,
    #[serde(flatten)]
    sample: RunSample,
}

#[derive(Serialize)]
struct Point {
    agents: u32,
    throughput: f64,
}

/// The samples of all runs of a store, in the order of their names.
async fn samples(context: &Context, store: &Store) -> Result<Vec<Sampled>, Failure> {
    let mut samples = Vec::new();
    for name in store.runs()? {
        let run = context.out.waiting("reading the runs", store.run(&name)).await?;
        for sample in learn::samples(&run.state()) {
            samples.push(Sampled { run: name.clone(), sample });
        }
    }
    Ok(samples)
}

/// What was proposed last for later runs, by the run that it was written to last.
pub(super) async fn learned(store: &Store) -> Result<Option<Proposal>, Failure> {
    let mut newest: Option<(tress::Millis, Proposal)> = None;
    for name in store.runs()? {
        let state = store.run(&name).await?.state();
        let at = state.last.map_or(0, |last| last.time.millis);
        if let Some(proposal) = Proposal::of(&state)
            && newest.as_ref().is_none_or(|(known, _)| at > *known)
        {
            newest = Some((at, proposal));
        }
    }
    Ok(newest.map(|(_, proposal)| proposal))
}

/// Does `optimize`.
pub(crate) async fn run(context: &Context, args: &Optimize) -> Result<(), Failure> {
    context.no_at()?;
    let store = context.shared_store()?;
    let samples = samples(context, &store).await?;
    let history: Vec<RunSample> = samples.iter().map(|sampled| sampled.sample).collect();
    let proposal = learn::optimize(&history, START, args.max, 0);
    if args.write && history.is_empty() {
        return Err(Failure::conflict("no run of this store has taught anything yet")
            .hint("`tress start` teaches when it finishes a list of three todos or more"));
    }
    if args.write {
        let writer = context.writer().await?;
        writer.agent.one(proposal.operation()).await?;
    }
    let sizes = [1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64].into_iter().filter(|&n| n <= args.max);
    let curve = proposal.fit.map(|law| {
        sizes.map(|agents| Point { agents, throughput: law.throughput(agents) }).collect()
    });
    let answer =
        Answer { samples, proposal, curve: curve.unwrap_or_default(), written: args.write };
    context.out.answer(&answer, || page(context, &answer))
}

fn page(context: &Context, answer: &Answer) -> String {
    let out = &context.out;
    if answer.samples.is_empty() {
        return "no run of this store has taught anything yet\n\
                `tress start` teaches when it finishes a list of three todos or more"
            .to_owned();
    }
    let rows = answer.samples.iter().map(|Sampled { run, sample }| {
        vec![
            Cell::from(run),
            Cell::from(sample.agents.to_string()),
            Cell::from(sample.completed.to_string()),
            Cell::from(format!("{:.1}", sample.throughput)),
            Cell::from(format!("{:.2}", sample.work_minutes)),
            Cell::from(format!("{:.2}", sample.overhead_minutes)),
            Cell::from(format!("{:.0} %", sample.failure_rate * 100.0)),
        ]
    });
    let head = ["RUN", "AGENTS", "TODOS", "AN HOUR", "WORK MIN", "BESIDE MIN", "IN VAIN"];
    let mut text = out.table(&head, &[0], rows);
    if let Some(law) = &answer.proposal.fit {
        let [lambda, sigma, kappa] = law.errors();
        text.push_str(&format!(
            "\n\nλ {:.2} todos an hour (± {:.0} %), σ {:.3} (± {:.0} %), κ {:.4} (± {:.0} %)\n",
            law.lambda,
            lambda * 100.0,
            law.sigma,
            sigma * 100.0,
            law.kappa,
            kappa * 100.0
        ));
        let most = answer.curve.iter().map(|point| point.throughput).fold(0.0, f64::max);
        for point in &answer.curve {
            let wide = (30.0 * point.throughput / most.max(1e-9)).round() as usize;
            let best = point.agents == answer.proposal.implementers;
            let tone = if best { Tone::Good } else { Tone::Dim };
            let bar = out.paint(tone, &"━".repeat(wide.min(30)));
            text.push_str(&format!("{:>4} {bar} {:.1}\n", point.agents, point.throughput));
        }
    }
    let proposal = &answer.proposal;
    let (low, high) = proposal.interval;
    text.push_str(&format!(
        "\nproposed from {}: {} ({low} to {high}), batches of {}, a checkpoint each {}\n",
        count(proposal.samples, "run"),
        count(proposal.implementers, "implementer"),
        proposal.batch,
        count(proposal.checkpoint_every, "todo"),
    ));
    for reason in &proposal.reasons {
        text.push_str(&format!("  {reason}\n"));
    }
    text.push_str(match answer.written {
        true => "kept for later runs of this store",
        false => "`--write` keeps it for later runs of this store",
    });
    text
}
