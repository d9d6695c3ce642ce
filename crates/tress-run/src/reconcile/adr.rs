//! Decisions as architecture decision records, in the form of MADR 4 (adr.github.io/madr). Pure.

use std::collections::BTreeMap;

use tress::state::design::Decision;
use tress::{Dot, Millis, State};

/// The file name and the text of each decision of a run, in order, numbered from 1. A decision
/// keeps its number for as long as no earlier one comes in by a merge.
pub fn records(state: &State) -> Vec<(String, String)> {
    let decisions: Vec<&Decision> = state.design.decisions.iter().map(AsRef::as_ref).collect();
    let names: BTreeMap<Dot, String> = decisions
        .iter()
        .enumerate()
        .map(|(at, decision)| (decision.dot, format!("{:04}-{}.md", at + 1, slug(&decision.title))))
        .collect();
    let name = |dot: &Dot| names.get(dot).cloned().unwrap_or_else(|| dot.to_string());
    let record = |decision: &&Decision| {
        let by: Vec<String> = decision.superseded_by.iter().map(name).collect();
        (name(&decision.dot), adr(decision, &by))
    };
    decisions.iter().map(record).collect()
}

/// A decision in the form of MADR; `superseded_by` are the files of those that took its place.
pub fn adr(decision: &Decision, superseded_by: &[String]) -> String {
    let status = match superseded_by {
        [] => "accepted".to_owned(),
        files => {
            let links = files.iter().map(|file| format!("[{file}]({file})"));
            format!("superseded by {}", links.collect::<Vec<_>>().join(", "))
        }
    };
    // The options of the matrix are what was considered, unless a person decided otherwise.
    let options = [
        "Update the design to what was implemented.",
        "Fix the code.",
        "Document the deviation, and settle it in phase 2.",
    ];
    let ours = options.contains(&decision.decision.as_str());
    let considered = match ours {
        true => options.map(|option| format!("* {option}\n")).concat(),
        false => format!("* {}\n", line(&decision.decision)),
    };
    let Decision { title, context, rationale, consequences, .. } = decision;
    let mut text = format!(
        "---\nstatus: {}\ndate: {}\ndecision-makers: {}\n---\n\n# {}\n",
        yaml(&status),
        date(decision.at),
        yaml(&decision.agent),
        line(title),
    );
    for (heading, body) in [
        ("## Context and Problem Statement", context.trim().to_owned()),
        ("## Considered Options", considered.trim_end().to_owned()),
        (
            "## Decision Outcome",
            format!(
                "Chosen option: \"{}\", because {}.",
                line(&decision.decision),
                line(rationale)
            ),
        ),
        ("### Consequences", bullets(consequences)),
        ("## More Information", format!("Recorded by Tress as event {}.", decision.dot)),
    ] {
        if !body.is_empty() {
            text.push_str(&format!("\n{heading}\n\n{body}\n"));
        }
    }
    text
}

/// A text as one line, without the dot at its end.
fn line(text: &str) -> String {
    let words: Vec<&str> = text.split_whitespace().collect();
    words.join(" ").trim_end_matches('.').to_owned()
}

fn bullets(text: &str) -> String {
    let lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
    lines.map(|line| format!("* {line}\n")).collect::<String>().trim_end().to_owned()
}

/// A value of YAML in quotes.
fn yaml(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))
}

/// A title as a part of a file name: at most 60 characters of a-z, 0-9 and dashes.
fn slug(title: &str) -> String {
    let mut slug = String::new();
    for c in title.chars().flat_map(char::to_lowercase) {
        match c {
            'a'..='z' | '0'..='9' => slug.push(c),
            _ if slug.is_empty() || slug.ends_with('-') => {}
            _ => slug.push('-'),
        }
        if slug.len() >= 60 {
            break;
        }
    }
    let slug = slug.trim_end_matches('-');
    if slug.is_empty() { "decision".to_owned() } else { slug.to_owned() }
}

/// The day of a time, in UTC, as `YYYY-MM-DD` (H. Hinnant, `civil_from_days`, 2013).
pub fn date(at: Millis) -> String {
    let days = at / 86_400_000 + 719_468;
    let (era, day) = (days / 146_097, days % 146_097);
    let year = (day - day / 1460 + day / 36_524 - day / 146_096) / 365;
    let day = day - (365 * year + year / 4 - year / 100);
    let month = (5 * day + 2) / 153;
    let of_month = day - (153 * month + 2) / 5 + 1;
    let (month, next) = if month < 10 { (month + 3, 0) } else { (month - 9, 1) };
    format!("{:04}-{month:02}-{of_month:02}", year + era * 400 + next)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_are_those_of_the_calendar() {
        for (at, expected) in [
            (0, "1970-01-01"),
            (86_399_999, "1970-01-01"),
            (951_782_400_000, "2000-02-29"),
            (1_709_251_200_000, "2024-03-01"),
            (1_796_040_000_000, "2026-11-30"),
            (4_102_444_800_000, "2100-01-01"),
        ] {
            assert_eq!(date(at), expected);
        }
    }

    #[test]
    fn names_of_files_are_plain() {
        assert_eq!(
            slug("Accept for now: ui/a.rs -> db [no-db]"),
            "accept-for-now-ui-a-rs-db-no-db"
        );
        assert_eq!(slug("…"), "decision");
        assert!(slug(&"long ".repeat(50)).len() <= 60);
    }
}
