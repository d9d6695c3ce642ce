//! From what deviates to operations: found once, decided once, cleared when it is gone. Pure.

use std::collections::{BTreeMap, BTreeSet};

use tress::operation::{EdgeKind, Outcome, ProseField, Severity, TodoEdit, Verdict};
use tress::state::design::Deviation;
use tress::state::todo::Completion;
use tress::{Dot, Millis, Operation, State, Todo, TodoId};
use tress_inspect::architecture::{Stale, Violation, ViolationKind, allow, except};

use super::examine::{Examined, Finding, Seen, examine, is_open, is_ours, rules_of};
use super::{RULE_ALERT, alert_key, follow_up, matrix};

/// How many accepted fixes of one deviation may have fixed nothing before it is left to a person: its
/// alert stands.
const FIXES_MAX: usize = 4;

/// How many claims of completion of a fix were accepted, also those that fixed nothing.
fn accepted_fixes(todo: &Todo) -> usize {
    let passed = |done: &Completion| {
        done.verification.as_ref().is_some_and(|answer| answer.verdict == Verdict::Pass)
    };
    let merged = |done: &Completion| !done.to_integrate || done.integrated.is_some();
    todo.completions.iter().filter(|done| passed(done) && merged(done)).count()
}

/// At most so many deviations are found in one pass; the next pass goes on.
pub const FOUND_MAX: usize = 256;
/// The metric that holds the compliance figure.
pub const COMPLIANCE: &str = "design.compliance";
/// The label of todos that the reconciler adds.
pub const LABEL: &str = "reconcile";
/// The label of todos that settle a documented deviation.
pub const LABEL_LATER: &str = "phase-2";
/// What the keys of baseline rules begin with.
const ALLOW: &str = "allow:";
/// What the keys of exceptions that the design makes begin with.
const EXCEPT: &str = "except:";

/// What is to be said of a commit: the next operations, none where everything is said. Deviations
/// are found in one pass and decided in the next, since a decision names the event that found it.
pub fn reconcile(state: &State, seen: &Seen, now: Millis) -> Vec<Operation> {
    let examined = examine(state, seen);
    let mut writer = Writer { state, now, commit: seen.commit.as_deref(), operations: Vec::new() };
    let by_dot: BTreeMap<Dot, &Deviation> =
        state.design.deviations.iter().map(|deviation| (deviation.dot, &**deviation)).collect();
    let mut found = 0;
    for finding in &examined.findings {
        match finding.standing.and_then(|dot| by_dot.get(&dot)) {
            None if found < FOUND_MAX => {
                found += 1;
                writer.found(finding);
            }
            None => {}
            Some(deviation) if deviation.decided.is_none() => writer.decided(finding, deviation),
            Some(_) => {}
        }
    }
    writer.gone(&examined);
    writer.shrink(&examined);
    writer.health(&examined);
    let compliance = f64::from(examined.compliance());
    if state.team.metrics.get(COMPLIANCE) != Some(&compliance) {
        let figures = vec![(COMPLIANCE.to_owned(), compliance)];
        writer.operations.push(Operation::MetricsRecorded { figures });
    }
    writer.operations
}

/// The operations that put today's violations on the baseline, and how many lines that adds.
///
/// # Errors
/// How many lines it would grow by, where there is a baseline already and it is not to grow.
pub fn accept(state: &State, seen: &Seen, grow: bool) -> Result<(Vec<Operation>, usize), usize> {
    let examined = examine(state, seen);
    let violations = &examined.report.violations;
    let baseline = super::examine::has_baseline(&rules_of(state).0);
    if baseline && !grow && !violations.is_empty() {
        return Err(violations.len());
    }
    let added = violations.iter().map(|violation| exception(state, ALLOW, violation));
    let removed = removable(state, &examined);
    let removed = removed.map(|stale| Operation::DesignRuleRemoved { rule: stale.rule.clone() });
    Ok((added.chain(removed).collect(), violations.len()))
}

/// The rule that makes an exception for a violation: of the baseline, or of the design.
fn exception(state: &State, word: &str, violation: &Violation) -> Operation {
    let Violation { rule, from, to, .. } = violation;
    let text = if word == ALLOW { allow(violation) } else { except(violation) };
    let held = state.design.rules.get(rule);
    let criticality = held.map_or(Severity::Medium, |rule| rule.criticality);
    Operation::DesignRuleAdded { rule: format!("{word}{rule}: {from} -> {to}"), text, criticality }
}

/// Lines of the baseline that the reconciler wrote and that may go. While a rule cannot be read, its
/// exceptions stay.
fn removable<'e>(state: &State, examined: &'e Examined) -> impl Iterator<Item = &'e Stale> {
    let (rules, _) = rules_of(state);
    let unread: BTreeSet<String> =
        examined.mistakes.iter().map(|mistake| mistake.rule.clone()).collect();
    let kept: BTreeSet<String> = rules
        .baseline()
        .filter(|(_, exception)| exception.rule.as_ref().is_some_and(|rule| unread.contains(rule)))
        .map(|(statement, _)| statement.rule.clone())
        .collect();
    let stale = examined.report.stale.iter();
    stale.filter(move |stale| stale.rule.starts_with(ALLOW) && !kept.contains(&stale.rule))
}

struct Writer<'s> {
    state: &'s State,
    now: Millis,
    commit: Option<&'s str>,
    operations: Vec<Operation>,
}

impl Writer<'_> {
    fn found(&mut self, finding: &Finding) {
        self.operations.push(Operation::DeviationFound {
            todo: finding.todo,
            about: finding.about.clone(),
            description: finding.description.clone(),
            impact: finding.impact,
            quality: finding.judgement.quality.unwrap_or_default(),
            compliance: finding.judgement.compliance,
            evidence: finding.evidence.clone(),
        });
    }

    fn decided(&mut self, finding: &Finding, deviation: &Deviation) {
        let judgement = &finding.judgement;
        let todo = follow_up(deviation.dot);
        let after = match judgement.outcome {
            Outcome::FixCode => {
                self.fix(finding, todo);
                self.operations.push(Operation::AlertRaised {
                    alert: alert_key(deviation),
                    priority: finding.impact,
                    message: format!("{} ({})", finding.description, finding.about),
                    todo: Some(todo),
                });
                Some(todo)
            }
            Outcome::DocumentDeviation => {
                self.later(finding, todo);
                self.record(finding, Some(todo));
                let violation = finding.violation.as_ref();
                let allowed = violation.map(|v| exception(self.state, ALLOW, v));
                self.operations.extend(allowed);
                Some(todo)
            }
            Outcome::UpdateDesign => {
                self.record(finding, None);
                let changed = match &finding.violation {
                    Some(violation) => Some(exception(self.state, EXCEPT, violation)),
                    None => self.amended(finding),
                };
                self.operations.extend(changed);
                None
            }
        };
        self.operations.push(Operation::DeviationDecided {
            deviation: deviation.dot,
            outcome: judgement.outcome,
            rationale: judgement.rationale.clone(),
            follow_up: after,
        });
    }

    /// The requirement as it is after the design followed the implementation.
    fn amended(&self, finding: &Finding) -> Option<Operation> {
        let held = self.state.design.requirements.get(&finding.about)?;
        Some(Operation::RequirementAdded {
            requirement: finding.about.clone(),
            section: held.section.clone(),
            text: format!("{} (amended, as implemented: {})", held.text, finding.evidence),
            kind: held.kind.clone(),
            criticality: held.criticality,
        })
    }

    fn fix(&mut self, finding: &Finding, todo: TodoId) {
        let title = match &finding.violation {
            Some(Violation { rule, from, to, kind, .. }) => match kind {
                ViolationKind::Missing => format!("let {from} use {to} (rule {rule})"),
                ViolationKind::Uncovered => format!("give {from} a component (rule {rule})"),
                _ => format!("take the import of {to} out of {from} (rule {rule})"),
            },
            None => format!("meet {}", finding.about),
        };
        let priority = matrix::priority(finding.impact);
        self.todo(finding, todo, title, priority, "bug", &[LABEL]);
    }

    fn later(&mut self, finding: &Finding, todo: TodoId) {
        let title = format!("phase 2: settle the deviation from {}", finding.about);
        let priority = matrix::priority_later(finding.impact);
        self.todo(finding, todo, title, priority, "task", &[LABEL, LABEL_LATER]);
    }

    fn todo(
        &mut self,
        finding: &Finding,
        todo: TodoId,
        title: String,
        priority: u8,
        kind: &str,
        labels: &[&str],
    ) {
        let state = self.state;
        let discovered = finding.todo.and_then(|todo| state.todo(todo));
        let requirement = state.design.requirements.get(&finding.about);
        let section = requirement.map(|requirement| requirement.section.clone());
        let section = section.or_else(|| discovered.and_then(|todo| todo.section.clone()));
        let mut edits = vec![TodoEdit::Kind(kind.to_owned()), TodoEdit::Priority(priority)];
        if !finding.files.is_empty() {
            edits.push(TodoEdit::Files(finding.files.clone()));
        }
        if section.is_some() {
            edits.push(TodoEdit::Section(section));
        }
        let says = match (state.design.rules.get(&finding.about), requirement) {
            (Some(rule), _) => format!("The rule {} says: {}", finding.about, rule.text),
            (_, Some(requirement)) => {
                format!("The requirement {} says: {}", finding.about, requirement.text)
            }
            _ => format!("It is about {}.", finding.about),
        };
        let description = format!(
            "{}\n\n{says}\n\nEvidence: {}\nWhy: {}.",
            finding.description, finding.evidence, finding.judgement.rationale
        );
        let acceptance = match requirement {
            Some(_) => format!("an assessment of this todo says that {} is met", finding.about),
            None => "`tress reconcile` does not list it any more".to_owned(),
        };
        self.operations.push(Operation::TodoAdded {
            todo,
            external_id: None,
            title,
            edits,
            prose: vec![
                (ProseField::Description, description),
                (ProseField::Acceptance, acceptance),
            ],
            labels: labels.iter().map(|&label| label.to_owned()).collect(),
            layout: None,
        });
        self.operations.extend(discovered.map(|on| Operation::DependencyAdded {
            todo,
            on: on.id,
            external_id: on.external_id.clone(),
            kind: EdgeKind::DiscoveredFrom,
            layout: None,
        }));
    }

    /// The decision, for those who come later. It supersedes what was decided of the same.
    fn record(&mut self, finding: &Finding, later: Option<TodoId>) {
        let Finding { about, description, judgement, evidence, .. } = finding;
        let what = match &finding.violation {
            Some(violation) => format!("{} -> {}", violation.from, violation.to),
            None => format!("requirement {about} as implemented"),
        };
        let end = format!("{what} [{about}]");
        let standing = self.state.design.decisions.iter();
        let standing = standing.filter(|decision| decision.superseded_by.is_empty());
        let same = standing.filter(|decision| decision.title.ends_with(&end));
        let supersedes = same.map(|decision| decision.dot).collect();
        let (title, decision, consequences) = match later {
            Some(_) => (
                format!("Accept for now: {end}"),
                "Document the deviation, and settle it in phase 2.".to_owned(),
                match finding.violation {
                    Some(_) => {
                        "The violation is on the baseline, which only shrinks; a todo settles it."
                    }
                    None => "The requirement stays as it is; a todo settles the rest.",
                }
                .to_owned(),
            ),
            None => (
                format!("Follow the implementation: {end}"),
                "Update the design to what was implemented.".to_owned(),
                match finding.violation {
                    Some(_) => "The rule makes an exception for it from now on.".to_owned(),
                    None => format!("The text of {about} is amended."),
                },
            ),
        };
        self.operations.push(Operation::DecisionRecorded {
            title,
            context: format!(
                "{description}\n\nType: {}; impact: {}; compliance: {} %; quality: {}.\n\
                 Evidence: {evidence}",
                judgement.kind.name(),
                finding.impact.name(),
                judgement.compliance,
                judgement.quality.map_or("not assessed".to_owned(), |q| format!("{q} %")),
            ),
            decision,
            rationale: judgement.rationale.clone(),
            consequences,
            supersedes,
        });
    }

    /// Settles deviations of the log that are no more.
    fn gone(&mut self, examined: &Examined) {
        let standing: BTreeSet<Dot> =
            examined.findings.iter().filter_map(|finding| finding.standing).collect();
        let unread: BTreeSet<&str> =
            examined.mistakes.iter().map(|mistake| mistake.rule.as_str()).collect();
        let known: BTreeSet<(&str, String)> = examined
            .report
            .known
            .iter()
            .map(|v| (v.rule.as_str(), format!("{} -> {}: {}", v.from, v.to, v.message)))
            .collect();
        let state = self.state;
        for deviation in &state.design.deviations {
            let about = deviation.about.as_str();
            if unread.contains(about) {
                continue;
            }
            let Some((outcome, _, follow_up)) = &deviation.decided else {
                if !standing.contains(&deviation.dot) {
                    self.vanished(deviation);
                }
                continue;
            };
            match outcome {
                Outcome::FixCode if is_open(state, deviation) => {
                    let done = follow_up.and_then(|todo| state.todo(todo));
                    let theirs = !is_ours(deviation);
                    let settled = match theirs {
                        true => done.is_some_and(|todo| todo.finished()),
                        false => !standing.contains(&deviation.dot),
                    };
                    // A fix that was accepted and fixed nothing is open again, a few times.
                    let accepted = done.filter(|todo| todo.completed().is_some() && !theirs);
                    if let Some(todo) = accepted.filter(|todo| {
                        standing.contains(&deviation.dot) && accepted_fixes(todo) < FIXES_MAX
                    }) {
                        let reason = format!("the code still deviates from {about}");
                        self.operations.push(Operation::Reopened { todo: todo.id, reason });
                    }
                    if settled {
                        let alert = alert_key(deviation);
                        self.operations.push(Operation::AlertCleared { alert });
                        self.close(*follow_up);
                    }
                }
                Outcome::DocumentDeviation if state.design.rules.contains_key(about) => {
                    let pair = (about, deviation.description.clone());
                    if is_ours(deviation) && !known.contains(&pair) {
                        self.close(*follow_up);
                    }
                }
                _ => {}
            }
        }
    }

    /// Decides a deviation that is gone before anybody decided it.
    fn vanished(&mut self, deviation: &Deviation) {
        self.operations.push(Operation::DeviationDecided {
            deviation: deviation.dot,
            outcome: Outcome::FixCode,
            rationale: format!("it is gone{}", self.at()),
            follow_up: None,
        });
    }

    fn at(&self) -> String {
        self.commit.map(|commit| format!(" at {commit}")).unwrap_or_default()
    }

    /// Closes a todo that has nothing left to do, unless somebody is at it.
    fn close(&mut self, todo: Option<TodoId>) {
        let Some(held) = todo.and_then(|todo| self.state.todo(todo)) else { return };
        if !held.finished() && held.holder(self.now).is_none() {
            let reason = format!("the deviation is gone{}", self.at());
            self.operations.push(Operation::Closed { todo: held.id, reason });
        }
    }

    /// Takes from the baseline what it no longer needs.
    fn shrink(&mut self, examined: &Examined) {
        let state = self.state;
        let stale: BTreeSet<&str> =
            removable(state, examined).map(|stale| stale.rule.as_str()).collect();
        let removed = stale.into_iter().map(|rule| rule.to_owned());
        let removed = removed.map(|rule| Operation::DesignRuleRemoved { rule });
        self.operations.extend(removed);
    }

    /// Says which rules do not work, once, and when they do again.
    fn health(&mut self, examined: &Examined) {
        let mut ill: BTreeMap<String, (Severity, String)> = BTreeMap::new();
        let critical = |rule: &str| {
            let held = self.state.design.rules.get(rule);
            held.map_or(Severity::Medium, |rule| rule.criticality)
        };
        let mut say = |rule: &str, message: String| {
            let key = format!("{RULE_ALERT}{rule}");
            let said = ill.entry(key).or_insert_with(|| (critical(rule), String::new()));
            if !said.1.is_empty() {
                said.1.push_str("; ");
            }
            said.1.push_str(&message);
        };
        for mistake in &examined.mistakes {
            say(&mistake.rule, mistake.to_string());
        }
        for dead in &examined.report.dead {
            let message = format!("{} of the rule {} matches no file", dead.pattern, dead.rule);
            say(&dead.rule, message);
        }
        let ours: BTreeSet<&str> =
            removable(self.state, examined).map(|stale| stale.rule.as_str()).collect();
        for stale in &examined.report.stale {
            if !ours.contains(stale.rule.as_str()) {
                say(&stale.rule, format!("{:?} excuses nothing: take it away", stale.written));
            }
        }
        for (key, alert) in &self.state.team.alerts {
            let open = alert.cleared_at.is_none();
            if open && key.starts_with(RULE_ALERT) && !ill.contains_key(key) {
                self.operations.push(Operation::AlertCleared { alert: key.clone() });
            }
        }
        for (alert, (priority, message)) in ill {
            let held = self.state.team.alerts.get(&alert);
            if held.is_none_or(|held| held.cleared_at.is_some() || held.message != message) {
                self.operations.push(Operation::AlertRaised {
                    alert,
                    priority,
                    message,
                    todo: None,
                });
            }
        }
    }
}
