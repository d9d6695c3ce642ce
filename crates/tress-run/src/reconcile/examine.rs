//! What deviates: the design of a run held against a commit, and against what was assessed.

use std::collections::{BTreeMap, BTreeSet};

use tress::operation::{Outcome, Severity};
use tress::state::design::{Assessment, Deviation};
use tress::{Dot, State, TodoId};
use tress_inspect::architecture::{
    Clause, Report, Rules, SyntaxError, Violation, ViolationKind, check,
};
use tress_inspect::imports::Graph;
use tress_plan::scope;

use super::matrix::{self, DeviationType, Facts, Judgement, Voice};
use super::{RECONCILER, alert_key};

/// What was seen of a commit.
#[derive(Debug, Clone, Default)]
pub struct Seen {
    /// Who imports whom in it.
    pub graph: Graph,
    /// The commit.
    pub commit: Option<String>,
    /// The todo whose work came with it, and the files that it changed.
    pub change: Option<(TodoId, BTreeSet<String>)>,
}

/// One deviation of a commit from the design, and what the matrix says of it.
#[derive(Debug, Clone, PartialEq)]
pub struct Finding {
    /// The rule or requirement.
    pub about: String,
    /// What differs; the same deviation has the same words each time.
    pub description: String,
    /// How critical the rule or requirement is.
    pub impact: Severity,
    /// Where it is seen: file and line; the line is 0 where there is none.
    pub place: Option<(String, usize)>,
    /// The violation, where it is one of a rule.
    pub violation: Option<Violation>,
    /// The files that a fix is expected to touch, as globs.
    pub files: Vec<String>,
    /// The todo whose work deviates.
    pub todo: Option<TodoId>,
    /// What it rests on.
    pub evidence: String,
    /// What the matrix says.
    pub judgement: Judgement,
    /// The deviation in the log that it is, where it was found before and is not settled.
    pub standing: Option<Dot>,
}

/// The design held against a commit.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Examined {
    /// What the rules say.
    pub report: Report,
    /// Rules that cannot be read.
    pub mistakes: Vec<SyntaxError>,
    /// What deviates, in order: rules first, then requirements, then what others reported.
    pub findings: Vec<Finding>,
    /// How many requirements were assessed with evidence, and how many of them are met.
    pub requirements: (usize, usize),
}

impl Examined {
    /// The compliance figure: of all that was checked (imports that a rule was held against,
    /// connections that are required, requirements that were assessed) the share that holds, in
    /// whole percent, rounded down; 100 where nothing was checked.
    pub fn compliance(&self) -> u8 {
        let mut total = self.report.total();
        let (assessed, met) = self.requirements;
        total.checked += assessed;
        total.violated += assessed - met;
        total.percent()
    }

    /// Whether something keeps it from being held to be in order: a critical deviation that stands,
    /// a rule that cannot be read or matches no file, a line of the baseline that must go.
    pub fn fails(&self) -> bool {
        let critical = |finding: &Finding| {
            finding.impact == Severity::Critical && finding.judgement.outcome == Outcome::FixCode
        };
        self.findings.iter().any(critical)
            || !self.mistakes.is_empty()
            || !self.report.dead.is_empty()
            || !self.report.stale.is_empty()
    }
}

/// The rules of a run's design, and what cannot be read of them.
pub fn rules_of(state: &State) -> (Rules, Vec<SyntaxError>) {
    Rules::of(state.design.rules.iter().map(|(key, rule)| (key.as_str(), rule.text.as_str())))
}

/// Holds the design of a run against a commit. The same state and commit give the same answer.
pub fn examine(state: &State, seen: &Seen) -> Examined {
    let (rules, mistakes) = rules_of(state);
    let report = check(&rules, &seen.graph);
    let index = Index::of(state);
    let mut findings: Vec<Finding> = report
        .violations
        .iter()
        .map(|violation| of_rule(state, seen, &rules, &report, violation, &index))
        .collect();
    let mut requirements = (0, 0);
    for key in state.design.requirements.keys() {
        if let Some((finding, met)) = of_requirement(state, key, &index) {
            requirements.0 += 1;
            requirements.1 += usize::from(met);
            findings.extend(finding);
        }
    }
    findings.extend(reported(state));
    Examined { report, mistakes, findings, requirements }
}

/// Deviations of the log that are not settled, by what they are about.
struct Index<'s> {
    open: BTreeMap<(&'s str, &'s str), &'s Deviation>,
    of_requirement: BTreeMap<&'s str, Vec<&'s Deviation>>,
}

/// Whether a deviation waits for a decision, or for its fix.
pub(super) fn is_open(state: &State, deviation: &Deviation) -> bool {
    match &deviation.decided {
        None => true,
        Some((Outcome::FixCode, _, _)) => {
            let alert = state.team.alerts.get(&alert_key(deviation));
            alert.is_some_and(|alert| alert.cleared_at.is_none())
        }
        Some(_) => false,
    }
}

pub(super) fn is_ours(deviation: &Deviation) -> bool {
    &*deviation.agent == RECONCILER
}

impl<'s> Index<'s> {
    fn of(state: &'s State) -> Self {
        let (mut open, mut of_requirement) = (BTreeMap::new(), BTreeMap::new());
        for deviation in state.design.deviations.iter().map(AsRef::as_ref).filter(|d| is_ours(d)) {
            let about = deviation.about.as_str();
            if is_open(state, deviation) {
                open.insert((about, deviation.description.as_str()), deviation);
            }
            if state.design.requirements.contains_key(about) {
                of_requirement.entry(about).or_insert_with(Vec::new).push(deviation);
            }
        }
        Self { open, of_requirement }
    }
}

fn of_rule(
    state: &State,
    seen: &Seen,
    rules: &Rules,
    report: &Report,
    violation: &Violation,
    index: &Index<'_>,
) -> Finding {
    let Violation { rule, from, to, line, kind, message } = violation;
    let touched = seen.change.as_ref().filter(|(_, files)| touches(files, violation));
    let impact = state.design.rules.get(rule).map_or(Severity::Medium, |rule| rule.criticality);
    let description = format!("{from} -> {to}: {message}");
    let held = index.open.get(&(rule.as_str(), description.as_str())).copied();
    let todo = held.map_or_else(|| touched.map(|(todo, _)| *todo), |held| held.todo);
    let facts = Facts {
        kind: match kind {
            ViolationKind::Missing => DeviationType::MissingConnection,
            ViolationKind::Uncovered => DeviationType::UndocumentedComponent,
            _ => DeviationType::RuleViolation,
        },
        impact,
        measured: Some(report.checked.get(rule).copied().unwrap_or_default().percent()),
        voices: voices(state, todo, |assessment| {
            assessment.about == *rule && of_work(state, assessment, todo, from)
        }),
    };
    let judgement = matrix::decide(&facts);
    // New evidence may show that the design has to follow: then it is found anew, and decided anew.
    let stands =
        |held: &&Deviation| held.decided.is_none() || judgement.outcome != Outcome::UpdateDesign;
    let standing = held.filter(stands).map(|held| held.dot);
    let files = match kind {
        ViolationKind::Uncovered if from == "." => vec!["*".to_owned()],
        ViolationKind::Uncovered => vec![format!("{from}/**")],
        ViolationKind::Missing => patterns(rules, rule, from),
        _ => vec![from.clone()],
    };
    let edge = !matches!(kind, ViolationKind::Missing | ViolationKind::Uncovered);
    let place = edge.then(|| (from.clone(), *line));
    let at = seen.commit.as_deref().map(|commit| format!(" at {commit}")).unwrap_or_default();
    let evidence = match place {
        Some(_) => format!("{from}:{line}{at}"),
        None => format!("the import graph{at}"),
    };
    Finding {
        about: rule.clone(),
        description,
        impact,
        place,
        violation: Some(violation.clone()),
        files,
        todo,
        evidence,
        judgement,
        standing,
    }
}

/// Whether a change touched what violates a rule.
fn touches(files: &BTreeSet<String>, violation: &Violation) -> bool {
    match violation.kind {
        ViolationKind::Uncovered => files.iter().any(|file| {
            file.rsplit_once('/').map_or(".", |(directory, _)| directory) == violation.from
        }),
        // It is missing everywhere; nobody in particular left it out.
        ViolationKind::Missing => false,
        _ => files.contains(&violation.from),
    }
}

/// The globs of what a rule names.
fn patterns(rules: &Rules, rule: &str, written: &str) -> Vec<String> {
    let sides = rules
        .pairs()
        .filter(|(statement, from, _)| statement.rule == rule && from.written == written);
    let globs = sides.flat_map(|(_, from, _)| &from.patterns);
    globs.map(|pattern| pattern.written().to_owned()).collect()
}

/// Whether an assessment is of the work that a file with a violation is of.
fn of_work(state: &State, assessment: &Assessment, todo: Option<TodoId>, file: &str) -> bool {
    let Some(assessed) = assessment.todo else { return true };
    let of = state.todo(assessed).is_some_and(|todo| {
        todo.artifacts.contains_key(file) || todo.files.iter().any(|glob| scope::covers(glob, file))
    });
    todo == Some(assessed) || of
}

/// The latest assessment of each agent, of those that `about` chooses; of two of one agent a later
/// one without evidence does not replace one with it.
fn voices(state: &State, todo: Option<TodoId>, about: impl Fn(&Assessment) -> bool) -> Vec<Voice> {
    let mut latest: BTreeMap<&str, Voice> = BTreeMap::new();
    for assessment in state.design.assessments.iter().filter(|assessment| about(assessment)) {
        let worked = |todo: Option<TodoId>| {
            todo.and_then(|todo| state.todo(todo)).is_some_and(|todo| {
                let done = todo.completions.iter().map(|done| &done.agent);
                let holds = todo.claim.iter().map(|claim| &claim.agent);
                done.chain(holds).any(|agent| *agent == assessment.agent)
            })
        };
        let voice = Voice {
            agent: assessment.agent.clone(),
            compliance: assessment.compliance,
            quality: assessment.quality,
            evidence: assessment.evidence.clone(),
            own_work: worked(assessment.todo) || worked(todo),
        };
        let held = latest.get(&*assessment.agent);
        if voice.counts() || !held.is_some_and(Voice::counts) {
            latest.insert(&assessment.agent, voice);
        }
    }
    latest.into_values().collect()
}

/// The todos whose assessments count for a requirement now: where a fix was assessed, only the
/// latest such, and what came after it.
fn assessed_now(state: &State, about: &str, deviations: &[&Deviation]) -> Option<BTreeSet<TodoId>> {
    let follow = |deviation: &&Deviation| deviation.decided.as_ref().and_then(|decided| decided.2);
    let fixes: Vec<TodoId> = deviations.iter().filter_map(follow).collect();
    let assessed = |fix: &TodoId| {
        state.design.assessments.iter().any(|assessment| {
            let counts = !assessment.evidence.trim().is_empty();
            counts && assessment.about == about && assessment.todo == Some(*fix)
        })
    };
    let latest = fixes.iter().rposition(assessed)?;
    Some(fixes.into_iter().skip(latest).collect())
}

/// What deviates from a requirement, if anything does, and whether it is met; `None` where it was
/// not assessed with evidence.
fn of_requirement(state: &State, key: &str, index: &Index<'_>) -> Option<(Option<Finding>, bool)> {
    let requirement = state.design.requirements.get(key)?;
    let deviations = index.of_requirement.get(key).map(Vec::as_slice).unwrap_or_default();
    let now = assessed_now(state, key, deviations);
    let counts = |assessment: &Assessment| {
        let current =
            now.as_ref().is_none_or(|now| assessment.todo.is_some_and(|t| now.contains(&t)));
        assessment.about == key && current
    };
    let voices = voices(state, None, counts);
    if !voices.iter().any(Voice::counts) {
        return None;
    }
    let latest =
        state.design.assessments.iter().rev().find(|a| counts(a) && !a.evidence.trim().is_empty());
    let todo = latest.and_then(|assessment| assessment.todo);
    let impact = requirement.criticality;
    let kind = DeviationType::RequirementUnmet;
    let evidence: Vec<String> = voices
        .iter()
        .filter(|voice| voice.counts())
        .map(|voice| format!("{}: {}", voice.agent, voice.evidence.trim()))
        .collect();
    let judgement = matrix::decide(&Facts { kind, impact, measured: None, voices });
    if judgement.compliance >= matrix::MET_COMPLIANCE {
        return Some((None, true));
    }
    let description = format!(
        "{key} is met to {} % at a quality of {} %",
        judgement.compliance,
        judgement.quality.unwrap_or_default()
    );
    let same = |deviation: &&&Deviation| match &deviation.decided {
        None => true,
        Some((Outcome::FixCode, _, follow_up)) => {
            // Where its fix was assessed and is no fix, it is a deviation of its own.
            let mended = follow_up.is_some_and(|fix| {
                now.as_ref().is_some_and(|now| now.contains(&fix) && todo == Some(fix))
            });
            let open = is_open(state, deviation) && !mended;
            open && judgement.outcome != Outcome::UpdateDesign
        }
        Some(_) => deviation.description == description,
    };
    let held = deviations.last().filter(|last| same(last));
    let updated = held.and_then(|held| held.decided.as_ref()).map(|decided| decided.0);
    if updated == Some(Outcome::UpdateDesign) {
        // The requirement says now what was implemented.
        return Some((None, true));
    }
    let files = todo.and_then(|todo| state.todo(todo)).map(|todo| todo.files.clone());
    let finding = Finding {
        about: key.to_owned(),
        description,
        impact,
        place: None,
        violation: None,
        files: files.unwrap_or_default(),
        todo,
        evidence: evidence.join("; "),
        judgement,
        standing: held.map(|held| held.dot),
    };
    Some((Some(finding), false))
}

/// What others than the reconciler reported and nobody decided.
fn reported(state: &State) -> Vec<Finding> {
    let theirs = state.design.deviations.iter().filter(|d| !is_ours(d) && is_open(state, d));
    let finding = |deviation: &std::sync::Arc<Deviation>| {
        let facts = Facts {
            kind: DeviationType::Reported,
            impact: deviation.impact,
            measured: None,
            voices: {
                let mut all = voices(state, deviation.todo, |assessment| {
                    assessment.about == deviation.about
                        && (assessment.todo.is_none() || assessment.todo == deviation.todo)
                });
                // What was reported counts like an assessment, by its evidence.
                all.push(Voice {
                    agent: deviation.agent.clone(),
                    compliance: deviation.compliance,
                    quality: deviation.quality,
                    evidence: deviation.evidence.clone(),
                    own_work: deviation.todo.and_then(|todo| state.todo(todo)).is_some_and(
                        |todo| todo.completions.iter().any(|done| done.agent == deviation.agent),
                    ),
                });
                all
            },
        };
        let todo = deviation.todo.and_then(|todo| state.todo(todo));
        Finding {
            about: deviation.about.clone(),
            description: deviation.description.clone(),
            impact: deviation.impact,
            place: None,
            violation: None,
            files: todo.map(|todo| todo.files.clone()).unwrap_or_default(),
            todo: deviation.todo,
            evidence: deviation.evidence.clone(),
            judgement: matrix::decide(&facts),
            standing: Some(deviation.dot),
        }
    };
    theirs.map(finding).collect()
}

/// Whether the baseline of the run's design has any line.
pub fn has_baseline(rules: &Rules) -> bool {
    rules.statements().iter().any(|statement| matches!(statement.clause, Clause::Allow(_)))
}
