//! The tests are tested: those from before the change have to pass as they were, new ones have to
//! fail without the change, and each changed function has to be missed by some test when its body
//! is gone. Where that is not so, the work is *untested*, whatever its tests say.

use std::collections::BTreeSet;
use std::path::Path;

use tress::operation::{Check, Layer, Verdict};
use tress_inspect::function::{Changed, changed, is_test_path};
use tress_inspect::mutate::with_default_body;

use super::bench::{Bench, look};
use super::sources::{Sources, Touched};
use crate::execute::process::Ending;
use crate::git::GitError;

/// How many changed functions are tried, at the most.
const MUTANTS_MAX: usize = 24;

/// Tests the tests, with `command`. The tree shows `commit` before and afterwards.
///
/// # Errors
/// When git fails.
pub(super) async fn thorough(
    bench: Bench<'_>,
    command: &str,
    (base, commit): (&str, &str),
    sources: &Sources,
) -> Result<Vec<Check>, GitError> {
    let mut checks = Vec::new();
    checks.extend(restored(bench, command, commit, sources).await?);
    checks.extend(without_change(bench, command, (base, commit), sources).await?);
    checks.extend(mutants(bench, command, commit, sources).await?);
    Ok(checks)
}

/// Writes a text into the work tree; says whether that was possible.
async fn write(bench: Bench<'_>, path: &str, text: &str) -> bool {
    let path = bench.tree.dir().join(path);
    if let Some(dir) = path.parent() {
        let _ = tokio::fs::create_dir_all(dir).await;
    }
    tokio::fs::write(path, text).await.is_ok()
}

/// The tests whose text the change made another.
fn changed_tests(sources: &Sources) -> impl Iterator<Item = &Touched> {
    let touched = sources.touched.iter().filter(|touched| is_test_path(&touched.path));
    touched.filter(|touched| touched.base != touched.new)
}

/// The tests that were there before still pass, as they were.
async fn restored(
    bench: Bench<'_>,
    command: &str,
    commit: &str,
    sources: &Sources,
) -> Result<Option<Check>, GitError> {
    let old: Vec<(&str, &str)> = changed_tests(sources)
        .filter_map(|touched| Some((touched.path.as_str(), touched.base.as_deref()?)))
        .collect();
    if old.is_empty() {
        return Ok(None);
    }
    for (path, text) in &old {
        write(bench, path, text).await;
    }
    let name = "the tests from before the change pass as they were";
    let mut check = bench.must_succeed(Layer::Testing, name, command).await;
    if check.verdict == Verdict::Pass {
        check.detail = old.iter().map(|(path, _)| *path).collect::<Vec<_>>().join(", ");
    }
    bench.tree.show_only(commit).await?;
    Ok(Some(check))
}

/// The new tests fail on what was there before the change.
async fn without_change(
    bench: Bench<'_>,
    command: &str,
    (base, commit): (&str, &str),
    sources: &Sources,
) -> Result<Option<Check>, GitError> {
    let new: Vec<(&str, &str)> = changed_tests(sources)
        .filter_map(|touched| Some((touched.path.as_str(), touched.new.as_deref()?)))
        .collect();
    let code = sources.touched.iter().any(|touched| !is_test_path(&touched.path));
    if new.is_empty() || !code {
        return Ok(None);
    }
    bench.tree.show_only(base).await?;
    for (path, text) in &new {
        write(bench, path, text).await;
    }
    let finished = bench.run(command).await;
    bench.tree.show_only(commit).await?;
    let name = "the new tests fail without the change";
    let paths = new.iter().map(|(path, _)| *path).collect::<Vec<_>>().join(", ");
    let (verdict, detail) = match finished.ending {
        Ending::Exited(0) => {
            (Verdict::Unknown, format!("untested: {paths} passes on the tree before it"))
        }
        Ending::Exited(126 | 127) | Ending::Stopped | Ending::NotStarted(_) => {
            (Verdict::Unknown, finished.ending.to_string())
        }
        _ => (Verdict::Pass, paths),
    };
    let mut check = look(Layer::Testing, name, verdict, detail);
    check.command = Some(command.to_owned());
    Ok(Some(check))
}

/// A changed function without its body.
struct Mutant {
    path: String,
    function: String,
    line: usize,
    text: String,
}

/// The functions that the change made or rewrote, each without its body; how many were left out.
fn all_mutants(sources: &Sources) -> (Vec<Mutant>, usize) {
    let mut found = Vec::new();
    for Touched { path, base, new } in &sources.touched {
        let Some(new) = new.as_deref().filter(|_| !is_test_path(path)) else { continue };
        for Changed { now, .. } in changed(path, base.as_deref(), new) {
            if now.in_tests {
                continue;
            }
            if let Some(text) = with_default_body(path, new, &now) {
                let (path, function, line) = (path.clone(), now.name.clone(), now.line);
                found.push(Mutant { path, function, line, text });
            }
        }
    }
    let left_out = found.len().saturating_sub(MUTANTS_MAX);
    found.truncate(MUTANTS_MAX);
    (found, left_out)
}

/// Each changed function is missed by some test when its body is gone.
async fn mutants(
    bench: Bench<'_>,
    command: &str,
    commit: &str,
    sources: &Sources,
) -> Result<Option<Check>, GitError> {
    let (mutants, left_out) = all_mutants(sources);
    if mutants.is_empty() {
        return Ok(None);
    }
    let (mut survived, mut tried, mut unknown) = (Vec::new(), 0, 0);
    let mut files = BTreeSet::new();
    for mutant in &mutants {
        let original = bench.tree.dir().join(Path::new(&mutant.path));
        let Ok(text) = tokio::fs::read(&original).await else { continue };
        if !write(bench, &mutant.path, &mutant.text).await {
            continue;
        }
        files.insert(mutant.path.as_str());
        tried += 1;
        let finished = bench.run(command).await;
        match finished.ending {
            Ending::Stopped => break,
            Ending::NotStarted(_) | Ending::Exited(126 | 127) => unknown += 1,
            _ => {}
        }
        if finished.success() {
            let Mutant { path, function, line, .. } = mutant;
            survived
                .push(format!("{path}:{line}: no test misses the body of {function} (untested)"));
        }
        let _ = tokio::fs::write(&original, text).await;
    }
    bench.tree.show_only(commit).await?;
    let name = "each changed function is tested";
    let more =
        if left_out > 0 { format!("\n{left_out} more were not tried") } else { String::new() };
    let (verdict, detail) = match survived.as_slice() {
        [] if tried == 0 || unknown > 0 => {
            (Verdict::Unknown, format!("{unknown} of {tried} could not be tried"))
        }
        [] => {
            let count = files.len();
            (Verdict::Pass, format!("{tried} functions in {count} files, each missed{more}"))
        }
        survived => (Verdict::Unknown, format!("{}{more}", survived.join("\n"))),
    };
    let mut check = look(Layer::Testing, name, verdict, detail);
    check.command = Some(command.to_owned());
    Ok(Some(check))
}
