//! The decision matrix: from the facts of a deviation to what is done about it. Pure.
//!
//! Nobody's word alone decides. An assessment counts by its evidence, one of one's own work never
//! makes it superior, and where assessments differ, the most severe figure counts.

use std::sync::Arc;

use serde::Serialize;
use tress::operation::{Outcome, Severity};

/// The quality, in percent, from which on an implementation is better than its design.
pub const SUPERIOR_QUALITY: u8 = 90;
/// How many independent assessments it takes to say so.
pub const SUPERIOR_VOICES: usize = 1;
/// The same, where what it deviates from is critical.
pub const SUPERIOR_VOICES_CRITICAL: usize = 2;
/// The compliance, in percent, from which on a deviation is good enough to be written down.
pub const PRAGMATIC_COMPLIANCE: u8 = 90;
/// A requirement that is met to less is not met.
pub const MET_COMPLIANCE: u8 = 100;
/// Work that is left for later is less urgent than what is mended now, by so many priorities.
const LATER: u8 = 1;

/// Of what type a deviation is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum DeviationType {
    /// An import that a rule forbids.
    RuleViolation,
    /// A connection that a rule requires and that is not there.
    MissingConnection,
    /// Source code that the design does not speak of.
    UndocumentedComponent,
    /// A requirement that is not met, or not wholly.
    RequirementUnmet,
    /// What somebody else found.
    Reported,
    /// Any of these, where the implementation is better than what was designed.
    SuperiorAlternative,
}

impl DeviationType {
    /// The type in words.
    pub const fn name(self) -> &'static str {
        match self {
            Self::RuleViolation => "rule violation",
            Self::MissingConnection => "missing connection",
            Self::UndocumentedComponent => "undocumented component",
            Self::RequirementUnmet => "requirement unmet",
            Self::Reported => "reported deviation",
            Self::SuperiorAlternative => "superior alternative",
        }
    }
}

/// An assessment, as far as the matrix looks at it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Voice {
    /// Who gave it.
    pub agent: Arc<str>,
    /// How far the implementation complies, 0 to 100.
    pub compliance: u8,
    /// How good it is, 0 to 100.
    pub quality: u8,
    /// What that rests on.
    pub evidence: String,
    /// Whether it is of the agent's own work.
    pub own_work: bool,
}

impl Voice {
    /// Whether it rests on anything.
    pub fn counts(&self) -> bool {
        !self.evidence.trim().is_empty()
    }
}

/// What the matrix is asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Facts {
    /// Of what type the deviation is.
    pub kind: DeviationType,
    /// How critical what it deviates from is.
    pub impact: Severity,
    /// The measured compliance in percent; `None` where only assessments tell.
    pub measured: Option<u8>,
    /// The assessments.
    pub voices: Vec<Voice>,
}

/// What the matrix answers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Judgement {
    /// The type; [`DeviationType::SuperiorAlternative`] where it turned out to be one.
    pub kind: DeviationType,
    /// What is done.
    pub outcome: Outcome,
    /// The compliance that counted, in percent.
    pub compliance: u8,
    /// The quality that counted, in percent; `None` where nobody assessed it.
    pub quality: Option<u8>,
    /// Why, in whole sentences.
    pub rationale: String,
    /// Assessments that did not count, and why.
    pub ignored: Vec<String>,
}

/// Decides.
pub fn decide(facts: &Facts) -> Judgement {
    let counted: Vec<&Voice> = facts.voices.iter().filter(|voice| voice.counts()).collect();
    let quality = counted.iter().map(|voice| voice.quality).min();
    let lowest = counted.iter().map(|voice| voice.compliance).chain(facts.measured).min();
    // What nobody measured and nobody assessed is not known to comply.
    let compliance = lowest.unwrap_or(0).min(100);
    let independent = counted.iter().filter(|voice| !voice.own_work).count();
    let needed = match facts.impact {
        Severity::Critical => SUPERIOR_VOICES_CRITICAL,
        _ => SUPERIOR_VOICES,
    };
    let good = quality.is_some_and(|quality| quality >= SUPERIOR_QUALITY);
    let superior = good && independent >= needed;
    let impact = facts.impact.name();
    let (kind, outcome, mut rationale) = if superior {
        let why = format!(
            "the implementation is superior: {} put its quality at {} % or more \
             (threshold {SUPERIOR_QUALITY} %)",
            voices(independent),
            quality.unwrap_or_default(),
        );
        (DeviationType::SuperiorAlternative, Outcome::UpdateDesign, why)
    } else if facts.impact == Severity::Critical {
        let why = "what it deviates from is critical".to_owned();
        (facts.kind, Outcome::FixCode, why)
    } else if compliance >= PRAGMATIC_COMPLIANCE {
        let why = format!(
            "its compliance is {compliance} % (threshold {PRAGMATIC_COMPLIANCE} %) and the impact \
             is {impact}: good enough for now"
        );
        (facts.kind, Outcome::DocumentDeviation, why)
    } else {
        let why = format!(
            "its compliance is {compliance} % (threshold {PRAGMATIC_COMPLIANCE} %) and nothing \
             shows that it is superior"
        );
        (facts.kind, Outcome::FixCode, why)
    };
    if good && !superior {
        rationale.push_str(&format!(
            "; a quality of {SUPERIOR_QUALITY} % at impact {impact} takes {} that are not of \
             one's own work, and there are {independent}",
            voices(needed)
        ));
    }
    let differing = counted.iter().any(|voice| {
        Some(voice.quality) != quality
            || counted.first().map(|v| v.compliance) != Some(voice.compliance)
    });
    if differing {
        rationale.push_str("; the assessments differ, and the most severe counts");
    }
    let ignored: Vec<String> = facts
        .voices
        .iter()
        .filter(|voice| !voice.counts())
        .map(|voice| {
            format!("the assessment of {} has no evidence and does not count", voice.agent)
        })
        .collect();
    for reason in &ignored {
        rationale.push_str("; ");
        rationale.push_str(reason);
    }
    Judgement { kind, outcome, compliance, quality, rationale, ignored }
}

fn voices(count: usize) -> String {
    if count == 1 { "one assessment".to_owned() } else { format!("{count} assessments") }
}

/// An outcome as a word.
pub const fn outcome(outcome: Outcome) -> &'static str {
    match outcome {
        Outcome::UpdateDesign => "update the design",
        Outcome::FixCode => "fix the code",
        Outcome::DocumentDeviation => "document the deviation",
    }
}

/// The priority of a todo that mends a deviation of this impact: 0 is the most urgent.
pub const fn priority(impact: Severity) -> u8 {
    match impact {
        Severity::Critical => 0,
        Severity::High => 1,
        Severity::Medium => 2,
        Severity::Low => 3,
    }
}

/// The priority of what is left for later.
pub const fn priority_later(impact: Severity) -> u8 {
    priority(impact) + LATER
}

#[cfg(test)]
mod tests {
    use super::*;

    const IMPACTS: [Severity; 4] =
        [Severity::Low, Severity::Medium, Severity::High, Severity::Critical];

    fn voice(agent: &str, compliance: u8, quality: u8) -> Voice {
        let evidence = "bench.txt, 3 runs".to_owned();
        Voice { agent: agent.into(), compliance, quality, evidence, own_work: false }
    }

    fn asked(impact: Severity, measured: Option<u8>, voices: Vec<Voice>) -> Judgement {
        decide(&Facts { kind: DeviationType::RuleViolation, impact, measured, voices })
    }

    #[test]
    fn every_cell_of_the_matrix() {
        use Outcome::{DocumentDeviation as Document, FixCode as Fix, UpdateDesign as Update};
        let at = SUPERIOR_QUALITY;
        // Measured compliance, qualities that are assessed, and the outcome by rising impact.
        let table: [(u8, &[u8], [Outcome; 4]); 9] = [
            (0, &[], [Fix, Fix, Fix, Fix]),
            (PRAGMATIC_COMPLIANCE - 1, &[], [Fix, Fix, Fix, Fix]),
            (PRAGMATIC_COMPLIANCE, &[], [Document, Document, Document, Fix]),
            (100, &[], [Document, Document, Document, Fix]),
            (0, &[at - 1], [Fix, Fix, Fix, Fix]),
            (0, &[at], [Update, Update, Update, Fix]),
            (0, &[at, 100], [Update, Update, Update, Update]),
            (0, &[at - 1, 100], [Fix, Fix, Fix, Fix]),
            (95, &[at, at], [Update, Update, Update, Update]),
        ];
        for (measured, qualities, expected) in table {
            for (impact, expected) in IMPACTS.into_iter().zip(expected) {
                let voices = qualities.iter().enumerate();
                let voices = voices.map(|(at, &quality)| voice(&format!("a{at}"), 100, quality));
                let found = asked(impact, Some(measured), voices.collect());
                assert_eq!(
                    found.outcome, expected,
                    "{measured} {qualities:?} {impact:?}: {found:?}"
                );
                let superior = found.kind == DeviationType::SuperiorAlternative;
                assert_eq!(superior, expected == Update);
            }
        }
    }

    #[test]
    fn an_assessment_without_evidence_is_ignored_and_the_reason_told() {
        let mut blank = voice("eve", 100, 100);
        blank.evidence = " \n".to_owned();
        let found = asked(Severity::Low, Some(50), vec![blank]);
        assert_eq!((found.outcome, found.quality), (Outcome::FixCode, None));
        assert_eq!(found.ignored, ["the assessment of eve has no evidence and does not count"]);
        assert!(found.rationale.contains("eve has no evidence"), "{}", found.rationale);
    }

    #[test]
    fn conflicting_assessments_count_by_the_most_severe() {
        let voices = vec![voice("ada", 95, 99), voice("bob", 40, 60)];
        let found = asked(Severity::Medium, None, voices);
        assert_eq!((found.compliance, found.quality), (40, Some(60)));
        assert_eq!(found.outcome, Outcome::FixCode);
        assert!(found.rationale.contains("the most severe counts"), "{}", found.rationale);
    }

    #[test]
    fn nobody_s_own_work_is_superior_by_their_own_word() {
        let own = Voice { own_work: true, ..voice("ada", 0, 100) };
        let found = asked(Severity::Low, Some(0), vec![own.clone()]);
        assert_eq!(found.outcome, Outcome::FixCode);
        assert!(found.rationale.contains("not of one's own work"), "{}", found.rationale);
        let found = asked(Severity::Low, Some(0), vec![own, voice("bob", 0, 95)]);
        assert_eq!(found.outcome, Outcome::UpdateDesign);
    }

    #[test]
    fn what_nobody_measured_or_assessed_does_not_comply() {
        let found = asked(Severity::Low, None, Vec::new());
        assert_eq!((found.compliance, found.outcome), (0, Outcome::FixCode));
    }

    #[test]
    fn urgency_follows_criticality() {
        assert_eq!(IMPACTS.map(priority), [3, 2, 1, 0]);
        assert_eq!(IMPACTS.map(priority_later), [4, 3, 2, 1]);
    }
}
