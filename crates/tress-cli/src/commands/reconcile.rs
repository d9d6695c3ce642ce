//! `reconcile`: holds a commit against the design. `assess`: what somebody found, with evidence.

use std::sync::Arc;

use clap::Args;
use serde::Serialize;
use tress::operation::Severity;
use tress::{Operation, Refused, Run, State};
use tress_run::Tree;
use tress_run::reconcile::{self, Examined, Finding, Seen, matrix};

use super::fields::text_or_stdin;
use crate::context::{Context, alive, find, name_title};
use crate::failure::{Code, Failure};
use crate::output::Tone;
use crate::words::{clean, count, short};

/// Hold a commit against the design, and decide what is done about what deviates
#[derive(Debug, Args)]
#[command(after_help = "\
Each deviation is decided by a matrix: superior -> the design is updated; critical -> a todo fixes
the code; compliance of 90 % or more -> it is documented, and settled later; else it is fixed.
Exit code 5 says that a critical deviation stands, or that a rule does not work.

Examples:
  tress reconcile                          the run's branch, or HEAD
  tress reconcile my-branch --dry-run      write nothing
  tress reconcile --baseline               accept today's violations once; from then on they only
                                           get fewer")]
pub(crate) struct Reconcile {
    /// The commit (default: the run's branch where there is one, else HEAD)
    commit: Option<String>,
    /// Only say what would be decided
    #[arg(long)]
    dry_run: bool,
    /// Put the violations that there are on the baseline
    #[arg(long)]
    baseline: bool,
    /// Let a baseline that is there grow
    #[arg(long, requires = "baseline")]
    force: bool,
}

/// Say how far a todo's implementation meets a requirement or rule
#[derive(Debug, Args)]
#[command(after_help = "\
An assessment counts by its evidence; where several differ, the most severe counts. The matrix of
`tress reconcile` decides what follows, not the assessment.

Examples:
  tress assess t-7f3a --about R1 --compliance 80 --quality 60 --evidence \"kill -9 lost a page\"
  cargo bench | tress assess t-7f3a --about R2 --compliance 100 --quality 95 --evidence -")]
pub(crate) struct Assess {
    /// The todo whose implementation it is
    id: String,
    /// The requirement or rule
    #[arg(long, value_name = "KEY")]
    about: String,
    /// How far it complies, in percent
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u8).range(0..=100))]
    compliance: u8,
    /// How good it is, in percent
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u8).range(0..=100))]
    quality: u8,
    /// What that rests on: a test, a measurement, a line (`-` reads it from stdin)
    #[arg(long, value_name = "TEXT", allow_hyphen_values = true)]
    evidence: String,
}

#[derive(Serialize)]
struct DeviationView {
    about: String,
    r#type: matrix::DeviationType,
    description: String,
    impact: Severity,
    compliance: u8,
    quality: Option<u8>,
    file: Option<String>,
    line: Option<usize>,
    outcome: tress::operation::Outcome,
    why: String,
    evidence: String,
    /// The todo whose work deviates.
    todo: Option<String>,
    /// The todo that follows.
    follow_up: Option<String>,
    /// Assessments that did not count, and why.
    ignored: Vec<String>,
}

#[derive(Serialize)]
struct ReconcileView {
    commit: String,
    /// In percent.
    compliance: u8,
    /// Whether nothing critical stands and every rule works.
    passes: bool,
    /// How many events were written.
    events: usize,
    deviations: Vec<DeviationView>,
    /// How many violations the baseline knows.
    known: usize,
    /// Rules that do not work, and why.
    rules: Vec<String>,
}

/// Does `reconcile`.
pub(crate) async fn run(context: &Context, args: &Reconcile) -> Result<(), Failure> {
    context.no_at()?;
    let run = context.open().await?;
    let tree = Tree::discover(&context.project()?).await?;
    let commit = commit(&run, &tree, args.commit.as_deref()).await?;
    let seeing = context.out.waiting("reading the commit", reconcile::see(&tree, &commit, None));
    let seen = Arc::new(seeing.await?);
    if args.baseline {
        return baseline(context, &run, &seen, args).await;
    }
    let (examined, state, events) = if args.dry_run {
        let state = run.state();
        (reconcile::examine(&state, &seen), state, 0)
    } else {
        let recording = context.out.waiting("reconciling", reconcile::record(&run, &seen));
        let done = recording.await?;
        (done.examined, done.state, done.events.len())
    };
    answer(context, &state, &examined, &commit, events)?;
    if examined.fails() { Err(Failure::silent(Code::Conflict)) } else { Ok(()) }
}

/// The commit that is meant.
async fn commit(run: &Run, tree: &Tree, named: Option<&str>) -> Result<String, Failure> {
    if let Some(named) = named {
        return tree.commit(named).await.map_err(|_| {
            Failure::not_found(format!("there is no commit {}", clean(named)))
                .hint("name a branch, a tag or a commit; `git log --oneline` lists commits")
        });
    }
    if let Some(branch) = &run.state().team.branch
        && let Ok(commit) = tree.commit(&format!("refs/heads/{branch}")).await
    {
        return Ok(commit);
    }
    Ok(tree.commit("HEAD").await?)
}

/// Rules that do not work, and what to do.
fn ill(examined: &Examined) -> Vec<String> {
    let mistakes = examined.mistakes.iter().map(ToString::to_string);
    let dead = examined.report.dead.iter().map(|dead| {
        format!("rule {}, line {}: {} matches no file", dead.rule, dead.line, dead.pattern)
    });
    let stale = examined.report.stale.iter().map(|stale| {
        let (rule, line, written) = (&stale.rule, stale.line, &stale.written);
        format!("rule {rule}, line {line}: {written:?} excuses nothing any more: take it away")
    });
    mistakes.chain(dead).chain(stale).collect()
}

fn answer(
    context: &Context,
    state: &State,
    examined: &Examined,
    commit: &str,
    events: usize,
) -> Result<(), Failure> {
    let deviations = examined.findings.iter().map(|finding| view(state, finding)).collect();
    let data = ReconcileView {
        commit: commit.to_owned(),
        compliance: examined.compliance(),
        passes: !examined.fails(),
        events,
        deviations,
        known: examined.report.known.len(),
        rules: ill(examined),
    };
    context.out.answer(&data, || {
        let mut lines = Vec::new();
        for (finding, view) in examined.findings.iter().zip(&data.deviations) {
            lines.extend(shown(context, finding, view));
        }
        for ill in &data.rules {
            lines.push(context.out.paint(Tone::Bad, &short(ill, 300)));
        }
        if !lines.is_empty() {
            lines.push(String::new());
        }
        lines.push(summary(state, examined, &data));
        lines.join("\n")
    })
}

fn summary(state: &State, examined: &Examined, data: &ReconcileView) -> String {
    if state.design.rules.is_empty() && state.design.requirements.is_empty() {
        return "the design has neither rules nor requirements: write some, and \
                `tress import markdown DESIGN.md --as design` takes them in"
            .to_owned();
    }
    let checked = examined.report.total().checked + examined.requirements.0;
    let commit = data.commit.get(..10).unwrap_or(&data.commit);
    let known = match data.known {
        0 => String::new(),
        known => format!(", {} on the baseline", count(known, "violation")),
    };
    let written = match data.events {
        0 => "nothing new".to_owned(),
        events => format!("wrote {}", count(events, "event")),
    };
    format!(
        "{commit} complies to {} %: {}, {} checked{known}; {written}",
        data.compliance,
        count(data.deviations.len(), "deviation"),
        count(checked, "connection"),
    )
}

fn shown(context: &Context, finding: &Finding, view: &DeviationView) -> Vec<String> {
    let place = match (&view.file, view.line) {
        (Some(file), Some(line)) => format!("{}:{line}", clean(file)),
        _ => clean(&finding.description),
    };
    let what = match &finding.violation {
        Some(violation) => format!(": {}", clean(&violation.message)),
        None => String::new(),
    };
    let tone = if finding.impact == Severity::Critical { Tone::Bad } else { Tone::Strong };
    let impact = finding.impact.name();
    let head = format!("{place}{what} ({}, {impact})", short(&view.about, 60));
    let after = view.follow_up.as_deref().map(|todo| format!(", {}", short(todo, 60)));
    let outcome = matrix::outcome(view.outcome);
    let why = short(&view.why, 300);
    vec![
        context.out.paint(tone, &head),
        format!("    {outcome}{}: {why}", after.unwrap_or_default()),
    ]
}

fn view(state: &State, finding: &Finding) -> DeviationView {
    let judgement = &finding.judgement;
    let held = finding
        .standing
        .and_then(|dot| state.design.deviations.iter().find(|deviation| deviation.dot == dot));
    // What was decided stands, whatever the matrix would say today.
    let decided = held.and_then(|held| held.decided.clone());
    let (outcome, why, follow_up) =
        decided.unwrap_or_else(|| (judgement.outcome, judgement.rationale.clone(), None));
    DeviationView {
        about: finding.about.clone(),
        r#type: judgement.kind,
        description: finding.description.clone(),
        impact: finding.impact,
        compliance: judgement.compliance,
        quality: judgement.quality,
        file: finding.place.as_ref().map(|(file, _)| file.clone()),
        line: finding.place.as_ref().map(|(_, line)| *line),
        outcome,
        why,
        evidence: finding.evidence.clone(),
        todo: finding.todo.map(|todo| state.name(todo)),
        follow_up: follow_up.map(|todo| state.name(todo)),
        ignored: judgement.ignored.clone(),
    }
}

#[derive(Serialize)]
struct BaselineView {
    /// How many violations were put on the baseline.
    added: usize,
    /// The rules that changed, as text; an empty text is one that went.
    rules: Vec<(String, String)>,
    /// Whether it was only tried.
    dry_run: bool,
}

/// Puts the violations that there are on the baseline.
async fn baseline(
    context: &Context,
    run: &Run,
    seen: &Arc<Seen>,
    args: &Reconcile,
) -> Result<(), Failure> {
    let grown = |lines: usize| {
        Failure::conflict(format!("the baseline would grow by {}", count(lines, "violation")))
            .hint("mend them, or say --force if they really are to stay")
    };
    let (operations, added) = reconcile::accept(&run.state(), seen, args.force).map_err(grown)?;
    let changed = |operation: &Operation| match operation {
        Operation::DesignRuleAdded { rule, text, .. } => Some((rule.clone(), text.clone())),
        Operation::DesignRuleRemoved { rule } => Some((rule.clone(), String::new())),
        _ => None,
    };
    let rules = operations.iter().filter_map(changed).collect();
    if !args.dry_run && !operations.is_empty() {
        let agent = run.agent(&context.agent_name()?, context.global.role);
        let (seen, force) = (Arc::clone(seen), args.force);
        let written = agent.append_if(move |state| {
            // Somebody may have been faster: then there may be nothing left to write.
            let (operations, _) = reconcile::accept(state, &seen, force).map_err(grown)?;
            if operations.is_empty() {
                return Err(Failure::conflict("the baseline was written by another meanwhile"));
            }
            Ok::<_, Failure>(operations)
        });
        match written.await {
            Ok(_) => {}
            Err(Refused::Condition(failure)) => return Err(failure),
            Err(Refused::Error(error)) => return Err(error.into()),
        }
    }
    if !args.dry_run {
        // What waited for a fix and is on the baseline now is settled.
        let seen = Arc::clone(seen);
        reconcile::record(run, &seen).await?;
    }
    let view = BaselineView { added, rules, dry_run: args.dry_run };
    context.out.answer(&view, || {
        let mut lines: Vec<String> = view
            .rules
            .iter()
            .map(|(rule, text)| match text.as_str() {
                "" => format!("- {}", clean(rule)),
                text => format!("+ {}", clean(text)),
            })
            .collect();
        let would = if view.dry_run { "would be put" } else { "are" };
        lines.push(match view.added {
            0 => "there is nothing to put on the baseline".to_owned(),
            added => format!(
                "{} {would} on the baseline; from now on it only shrinks",
                count(added, "violation")
            ),
        });
        lines.join("\n")
    })
}

/// Does `assess`.
pub(crate) async fn assess(context: &Context, args: Assess) -> Result<(), Failure> {
    let writer = context.writer().await?;
    let state = &writer.state;
    let todo = find(state, &args.id)?;
    alive(state, todo)?;
    let about = args.about.trim().to_owned();
    let design = &state.design;
    if !design.requirements.contains_key(&about) && !design.rules.contains_key(&about) {
        let known = design.requirements.keys().chain(design.rules.keys());
        let known: Vec<String> = known.take(8).map(|key| short(key, 40)).collect();
        let hint = match known.is_empty() {
            true => {
                "the design has none; `tress import markdown DESIGN.md --as design` takes one in"
                    .to_owned()
            }
            false => format!("there are {}", known.join(", ")),
        };
        let message = format!("there is no requirement or rule {}", short(&about, 60));
        return Err(Failure::not_found(message).hint(hint));
    }
    let evidence = text_or_stdin(args.evidence)?.trim().to_owned();
    if evidence.is_empty() {
        return Err(Failure::invalid("the evidence is empty, so the assessment would not count")
            .hint("say what it rests on: a test, a measurement, a line of the code"));
    }
    let (todo, compliance, quality) = (todo.id, args.compliance, args.quality);
    let key = about.clone();
    let given =
        Operation::AssessmentGiven { todo: Some(todo), about, compliance, quality, evidence };
    let events = writer.agent.append([given]).await?;
    context.changed(writer.agent.run(), todo, &events, |state| {
        format!(
            "assessed {} of {}: complies to {compliance} %, quality {quality} %; \
             `tress reconcile` decides",
            short(&key, 60),
            name_title(state, todo)
        )
    })
}
