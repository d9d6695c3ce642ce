//! What can be seen without running anything: existence, completeness, integration, suppressions,
//! and tests that were weakened. The work is done by `tress_inspect`; here it is asked, and what it
//! finds becomes evidence.

use std::collections::BTreeSet;

use tress::Todo;
use tress::operation::{Check, Layer, ProseField, Verdict};
use tress_inspect::integration::{Change, symbols_defined, unreferenced};
use tress_inspect::weakened::{compare_tests, test_names};
use tress_inspect::{Finding, Severity, completeness, suppression};
use tress_plan::scope;

use super::bench::look;
use super::sources::{Sources, Touched};

/// How many findings one check names.
const FINDINGS_MAX: usize = 50;

fn verdict(pass: bool) -> Verdict {
    if pass { Verdict::Pass } else { Verdict::Fail }
}

/// A check that fails on the errors among `findings`; warnings are told.
fn judged(layer: Layer, name: &str, mut findings: Vec<Finding>, nothing: &str) -> Check {
    findings.sort_by_key(|finding| (finding.severity, finding.path.clone(), finding.line));
    let fails = findings.iter().any(|finding| finding.severity == Severity::Error);
    let lines = findings.iter().take(FINDINGS_MAX).map(ToString::to_string);
    let more = findings.len().saturating_sub(FINDINGS_MAX);
    let more = (more > 0).then(|| format!("and {more} more"));
    let detail = lines.chain(more).collect::<Vec<_>>().join("\n");
    let detail = if detail.is_empty() { nothing.to_owned() } else { detail };
    look(layer, name, verdict(!fails), detail)
}

/// The commit changes something, and something of what the todo names.
pub(super) fn existence(todo: &Todo, changed: &[String], sources: &Sources) -> Vec<Check> {
    let detail = match changed {
        [] => "the commit changes nothing".to_owned(),
        paths => format!("changes {}", paths.join(", ")),
    };
    let real = look(Layer::Existence, "it is a real change", verdict(!changed.is_empty()), detail);
    let mut checks = vec![real, touches(todo, changed)];
    checks.extend(paths_there(todo, changed, sources));
    checks.extend(symbols_there(todo, sources));
    checks
}

fn touches(todo: &Todo, changed: &[String]) -> Check {
    let name = "it touches what the todo names";
    if todo.files.is_empty() {
        return look(Layer::Existence, name, Verdict::Pass, "the todo names no files");
    }
    let covered = |path: &&String| todo.files.iter().any(|pattern| scope::covers(pattern, path));
    let found = changed.iter().any(|path| covered(&path));
    let detail = if found {
        let outside: Vec<_> = changed.iter().filter(|path| !covered(path)).cloned().collect();
        match outside.as_slice() {
            [] => "all changes are within".to_owned(),
            paths => format!("also changes {}", paths.join(", ")),
        }
    } else {
        format!("nothing in {} was changed", todo.files.join(", "))
    };
    look(Layer::Existence, name, verdict(found), detail)
}

/// The files that the todo names one by one are there, or were taken out by the change.
fn paths_there(todo: &Todo, changed: &[String], sources: &Sources) -> Option<Check> {
    let plain = |path: &&String| !path.contains(['*', '?', '[', '{']) && !path.ends_with('/');
    let named: Vec<&String> = todo.files.iter().filter(plain).collect();
    if named.is_empty() {
        return None;
    }
    let there = |path: &str| {
        let path = path.trim_start_matches("./");
        let dir = format!("{path}/");
        sources.paths.contains(path)
            || changed.iter().any(|changed| changed == path)
            || sources.paths.range(dir.clone()..).next().is_some_and(|next| next.starts_with(&dir))
    };
    let missing: Vec<&str> =
        named.iter().map(|path| path.as_str()).filter(|path| !there(path)).collect();
    let detail = match missing.as_slice() {
        [] => format!("{} named, all there", named.len()),
        missing => format!("not there: {}", missing.join(", ")),
    };
    let name = "the files that the todo names are there";
    Some(look(Layer::Existence, name, verdict(missing.is_empty()), detail))
}

/// The functions that the acceptance criteria name, as `` `name()` ``, are defined somewhere.
fn symbols_there(todo: &Todo, sources: &Sources) -> Option<Check> {
    let expected = expected_symbols(&todo.prose(ProseField::Acceptance));
    if expected.is_empty() || sources.tree.is_empty() {
        return None;
    }
    let mut missing: BTreeSet<&str> = expected.iter().map(String::as_str).collect();
    // The change comes first: what is looked for is most likely there.
    let touched = sources
        .touched
        .iter()
        .filter_map(|touched| touched.new.as_ref().map(|text| (&touched.path, text)));
    for (path, text) in touched.chain(&sources.tree) {
        if missing.is_empty() {
            break;
        }
        if missing.iter().any(|name| text.contains(name)) {
            let defined = symbols_defined(path, text);
            missing.retain(|name| !defined.contains(*name));
        }
    }
    let names = missing.iter().copied().collect::<Vec<_>>().join(", ");
    let detail = match names.as_str() {
        "" => format!("{} named, all defined", expected.len()),
        names => format!("nothing defines {names}"),
    };
    let name = "the functions that the criteria name are defined";
    Some(look(Layer::Existence, name, verdict(missing.is_empty()), detail))
}

/// Names in backquotes that are written as calls.
fn expected_symbols(text: &str) -> BTreeSet<String> {
    let quoted = text.split('`').skip(1).step_by(2);
    let called = quoted.filter_map(|code| {
        let (name, rest) = code.trim().split_once('(')?;
        let name = name.rsplit([':', '.']).next()?;
        let plain = name.chars().all(|c| c.is_alphanumeric() || c == '_');
        (plain && !name.is_empty() && rest.ends_with(')')).then(|| name.to_owned())
    });
    called.collect()
}

/// Nothing that the change touched is a stub, is cut short, or swallows errors.
pub(super) fn completeness(sources: &Sources) -> Check {
    let mut findings = Vec::new();
    for Touched { path, base, new } in &sources.touched {
        if let Some(new) = new {
            findings.extend(completeness::inspect(path, base.as_deref(), new));
        }
    }
    judged(Layer::Completeness, "nothing in it is a stub", findings, "none found")
}

/// No conflict of a merge was left; said only where one was.
pub(super) fn conflicts(sources: &Sources) -> Option<Check> {
    let finding = |(path, line): &(String, usize)| {
        let message = format!(
            "the marks of a conflict that was not settled; where they are meant, .gitattributes says so: \
             `{path} conflict-marker-size=32`"
        );
        Finding::new("conflict-marker", Severity::Error, path, *line, &message)
    };
    let findings: Vec<Finding> = sources.conflicts.iter().map(finding).collect();
    let name = "no conflict is left in it";
    (!findings.is_empty()).then(|| judged(Layer::Completeness, name, findings, ""))
}

/// What is new is used by code that is no test. Where other todos wait for this one, they may be
/// what uses it; then it is only told.
pub(super) fn integration(sources: &Sources, used_later: bool) -> Check {
    let changes: Vec<Change<'_>> = sources
        .touched
        .iter()
        .filter_map(|touched| {
            let Touched { path, base, new } = touched;
            Some(Change { path, base: base.as_deref(), new: new.as_deref()? })
        })
        .collect();
    let tree = sources.tree.iter().map(|(path, text)| (path.as_str(), text.as_str()));
    let mut findings = unreferenced(&changes, tree);
    if used_later {
        findings.iter_mut().for_each(|finding| finding.severity = Severity::Warning);
    }
    judged(Layer::Integration, "what is new is used", findings, "all of it is referenced")
}

/// Nothing new tells a tool to look away.
pub(super) fn suppressions(sources: &Sources) -> Check {
    let mut findings = Vec::new();
    for Touched { path, base, new } in &sources.touched {
        if let Some(new) = new {
            findings.extend(suppression::suppressions(path, base.as_deref(), new));
        }
    }
    judged(Layer::Quality, "no new suppressions", findings, "none found")
}

/// No test was deleted, skipped, emptied or made easier.
pub(super) fn weakened(sources: &Sources) -> Check {
    let names: Vec<(&str, BTreeSet<String>)> = sources
        .touched
        .iter()
        .filter_map(|touched| Some((touched.path.as_str(), touched.new.as_ref()?)))
        .map(|(path, new)| (path, test_names(path, new)))
        .collect();
    let mut findings = Vec::new();
    for Touched { path, base, new } in &sources.touched {
        let others = names.iter().filter(|(other, _)| other != path);
        let elsewhere = others.flat_map(|(_, names)| names.iter().cloned()).collect();
        findings.extend(compare_tests(path, base.as_deref(), new.as_deref(), &elsewhere));
    }
    judged(Layer::Testing, "no test was weakened", findings, "none was")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn criteria_name_functions_as_calls_in_backquotes() {
        let text = "`parse()` gives a tree; `Tree::walk(visit)` visits it; `x + 1` and parse() are \
                    not meant, nor is `a b()`";
        let names: Vec<_> = expected_symbols(text).into_iter().collect();
        assert_eq!(names, ["parse", "walk"]);
    }
}
