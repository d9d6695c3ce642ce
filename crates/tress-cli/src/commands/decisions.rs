//! `decisions`: how the design came to be what it is.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use clap::Args;
use serde::Serialize;
use tress::operation::{Outcome, Severity};
use tress::state::design::Deviation;
use tress::{Millis, State};
use tress_run::reconcile::{RECONCILER, adr, matrix};

use crate::context::Context;
use crate::failure::Failure;
use crate::output::{Cell, Tone};
use crate::time::{ago, rfc3339};
use crate::words::{count, short};

/// Tell how the design came to be what it is: decisions and deviations, each with its reason
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  tress decisions
  tress decisions --about R1               only what is about that requirement or rule
  tress decisions --adr docs/adr           write each decision as a file in the form of MADR")]
pub(crate) struct Decisions {
    /// Only what is about this requirement or rule
    #[arg(long, value_name = "KEY")]
    about: Option<String>,
    /// Write the decisions as architecture decision records, one file each
    #[arg(long, value_name = "DIR", conflicts_with = "about")]
    adr: Option<PathBuf>,
}

#[derive(Serialize)]
struct Entry {
    /// `decision` or `deviation`.
    what: &'static str,
    at: String,
    agent: String,
    about: Option<String>,
    text: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    impact: Option<Severity>,
    #[serde(skip_serializing_if = "Option::is_none")]
    compliance: Option<u8>,
    #[serde(skip_serializing_if = "Option::is_none")]
    quality: Option<Option<u8>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    evidence: Option<String>,
    /// What was decided; nothing while it is not.
    outcome: Option<String>,
    rationale: Option<String>,
    follow_up: Option<String>,
    /// Whether another decision took its place.
    superseded: bool,
    #[serde(skip)]
    millis: Millis,
}

/// The requirement or rule that the title of a reconciler's decision ends with.
fn about(title: &str) -> Option<&str> {
    title.strip_suffix(']')?.rsplit_once('[').map(|(_, about)| about)
}

/// How good an implementation is; the reconciler writes 0 where nobody has assessed it.
fn quality(state: &State, deviation: &Deviation) -> Option<u8> {
    let assessed = || state.design.assessments.iter().any(|given| given.about == deviation.about);
    let unknown = deviation.quality == 0 && &*deviation.agent == RECONCILER && !assessed();
    (!unknown).then_some(deviation.quality)
}

fn entries(state: &State) -> Vec<Entry> {
    let decisions = state.design.decisions.iter().map(|decision| Entry {
        what: "decision",
        at: rfc3339(decision.at),
        agent: decision.agent.to_string(),
        about: about(&decision.title).map(str::to_owned),
        text: decision.title.clone(),
        impact: None,
        compliance: None,
        quality: None,
        evidence: None,
        outcome: Some(decision.decision.clone()),
        rationale: Some(decision.rationale.clone()),
        follow_up: None,
        superseded: !decision.superseded_by.is_empty(),
        millis: decision.at,
    });
    let deviations = state.design.deviations.iter().map(|deviation| {
        let (outcome, rationale, follow_up) = match &deviation.decided {
            None => (None, None, None),
            Some((outcome, rationale, todo)) => {
                // What was gone before it was decided has nothing that follows from it.
                let settled = *outcome == Outcome::FixCode && todo.is_none();
                let outcome = if settled { "settled" } else { matrix::outcome(*outcome) };
                let todo = todo.map(|todo| state.name(todo));
                (Some(outcome.to_owned()), Some(rationale.clone()), todo)
            }
        };
        Entry {
            what: "deviation",
            at: rfc3339(deviation.at),
            agent: deviation.agent.to_string(),
            about: Some(deviation.about.clone()),
            text: deviation.description.clone(),
            impact: Some(deviation.impact),
            compliance: Some(deviation.compliance),
            quality: Some(quality(state, deviation)),
            evidence: Some(deviation.evidence.clone()),
            outcome,
            rationale,
            follow_up,
            superseded: false,
            millis: deviation.at,
        }
    });
    let mut entries: Vec<Entry> = deviations.chain(decisions).collect();
    entries.sort_by_key(|entry| entry.millis);
    entries
}

/// How many there are, and what they are about; nothing where there are none.
fn others(entries: &[Entry]) -> Option<String> {
    let about: BTreeSet<&str> = entries.iter().filter_map(|entry| entry.about.as_deref()).collect();
    let about: Vec<&str> = about.into_iter().collect();
    let about = match about.as_slice() {
        [] => String::new(),
        about => format!(", about {}", short(&about.join(", "), 200)),
    };
    let of = |what| entries.iter().filter(|entry| entry.what == what).count();
    let (decisions, deviations) =
        (count(of("decision"), "decision"), count(of("deviation"), "deviation"));
    (!entries.is_empty()).then(|| format!("there are {decisions} and {deviations}{about}"))
}

/// Does `decisions`.
pub(crate) async fn run(context: &Context, args: &Decisions) -> Result<(), Failure> {
    let moment = context.moment().await?;
    if let Some(dir) = &args.adr {
        return write(context, &moment.state, dir);
    }
    let mut entries = entries(&moment.state);
    let others = others(&entries);
    if let Some(about) = &args.about {
        entries.retain(|entry| entry.about.as_ref() == Some(about));
    }
    context.out.answer(&entries, || {
        if let Some((about, others)) = args.about.as_ref().zip(others)
            && entries.is_empty()
        {
            return format!("none is about {}; {others}", short(about, 60));
        }
        if entries.is_empty() {
            return "nothing was decided yet: `tress reconcile` holds a commit against the design"
                .to_owned();
        }
        let cells = entries.iter().map(|entry| {
            let tone = if entry.superseded { Tone::Dim } else { Tone::Plain };
            vec![
                Cell::toned(ago(entry.millis, moment.now), Tone::Dim),
                entry.what.into(),
                Cell::toned(&entry.text, tone),
                match (entry.superseded, &entry.outcome) {
                    (true, _) => Cell::toned("superseded", Tone::Dim),
                    (_, Some(outcome)) => outcome.as_str().into(),
                    (_, None) => Cell::toned("undecided", Tone::Busy),
                },
                entry.follow_up.as_deref().unwrap_or("-").into(),
                entry.rationale.as_deref().unwrap_or("-").into(),
            ]
        });
        let header = ["WHEN", "WHAT", "ABOUT", "DECIDED", "TODO", "WHY"];
        context.out.table(&header, &[2, 5], cells)
    })
}

#[derive(Serialize)]
struct Written {
    files: Vec<String>,
}

fn write(context: &Context, state: &State, dir: &Path) -> Result<(), Failure> {
    let records = adr::records(state);
    if !records.is_empty() {
        std::fs::create_dir_all(dir).map_err(|error| Failure::file("make", dir, &error))?;
    }
    let mut files = Vec::new();
    for (name, text) in records {
        let path = dir.join(name);
        std::fs::write(&path, text).map_err(|error| Failure::file("write", &path, &error))?;
        files.push(path.display().to_string());
    }
    let view = Written { files };
    context.out.answer(&view, || {
        if view.files.is_empty() {
            let decided = state.design.deviations.iter().filter(|found| found.decided.is_some());
            return match decided.count() {
                0 => "there is no decision to write".to_owned(),
                fixed => format!(
                    "there is no decision to write: {} decided by having the code follow the design, which \
                     changes no design (`tress decisions`)",
                    match fixed {
                        1 => "1 deviation was".to_owned(),
                        many => format!("{many} deviations were"),
                    }
                ),
            };
        }
        format!("wrote {} to {}", count(view.files.len(), "decision"), dir.display())
    })
}
