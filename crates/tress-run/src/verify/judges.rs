//! The scripts by which work is judged: what a check's command line runs is not for the work to change
//! unseen. Where it did, the command runs once more with those scripts as they were before.

use std::collections::BTreeSet;

use tress::Todo;
use tress::operation::{Check, Layer, Verdict};
use tress_inspect::function::is_test_path;
use tress_inspect::{Finding, Language, Severity};
use tress_plan::scope;

use super::bench::{Bench, look};
use crate::git::GitError;

/// How deep a command line within a command line is looked into.
const NESTED_MAX: u32 = 4;
/// Programs that run the file that they are given.
const INTERPRETERS: [&str; 20] = [
    "sh", "bash", "dash", "zsh", "ksh", "fish", "python", "pypy", "node", "deno", "bun", "ruby",
    "perl", "php", "lua", "Rscript", "pwsh", "tclsh", "source", ".",
];
/// Words that come before the program that is run.
const BEFORE: [&str; 18] = [
    "if", "then", "elif", "else", "while", "until", "do", "!", "time", "exec", "command",
    "builtin", "env", "nohup", "sudo", "nice", "xargs", "timeout",
];
/// Subcommands of interpreters that come before the file.
const SUBCOMMANDS: [&str; 2] = ["run", "test"];

/// Runs each command that passed and whose scripts the change touched once more, with the scripts as they were on
/// `base`. A script that the todo names among its files is the todo's to change; that is told. The tree shows
/// `commit` afterwards.
///
/// # Errors
/// When git fails.
pub(super) async fn as_they_were(
    bench: Bench<'_>,
    todo: &Todo,
    (base, commit): (&str, &str),
    changed: &[String],
    checks: &[Check],
) -> Result<Vec<Check>, GitError> {
    let passed = checks.iter().filter(|check| check.exit_code == Some(0));
    let commands: BTreeSet<&str> = passed.filter_map(|check| check.command.as_deref()).collect();
    let mut held = Vec::new();
    for command in commands {
        let named = scripts(command);
        let mut touched = Vec::new();
        // Tests are code that a change may go along with; what became easier of them is seen by another look.
        let is_tests = |path: &str| is_test_path(path) && Language::of(path).is_some();
        for path in changed.iter().filter(|path| named.contains(*path) && !is_tests(path)) {
            let (old, new) =
                (bench.tree.blob(base, path).await, bench.tree.blob(commit, path).await);
            // One that is new has nothing to be held against; one that may be run now is the same.
            touched.extend(old.filter(|old| new.as_ref() != Some(old)).map(|old| (path, old)));
        }
        let meant = |path: &str| {
            todo.files.iter().map(|named| plain(named)).any(|named| {
                // What means everything means no script in particular.
                !named.trim_end_matches(['*', '/', '.']).is_empty()
                    && scope::covers(named, plain(path))
            })
        };
        let (told, held_against): (Vec<_>, Vec<_>) =
            touched.into_iter().partition(|(path, _)| meant(path));
        if !told.is_empty() {
            let names: Vec<&str> = told.iter().map(|(path, _)| path.as_str()).collect();
            let detail = format!("`{command}` runs {}, which the todo names", names.join(", "));
            held.push(look(Layer::Testing, NAME, Verdict::Pass, detail));
        }
        if held_against.is_empty() {
            continue;
        }
        bench.tree.show_only(commit).await?;
        for (path, old) in &held_against {
            let text = bench.tree.blobs(&[old]).await?.pop().unwrap_or_default();
            put(bench, path, &text).await;
        }
        let mut check = bench.must_succeed(Layer::Testing, NAME, command).await;
        bench.tree.show_only(commit).await?;
        if check.verdict != Verdict::Pass {
            let message = format!(
                "the work changes what it is judged by, and `{command}` fails with it as it was ({}); leave it, or \
                 let the todo name it among its files",
                check.detail.lines().next().unwrap_or_default()
            );
            let found = held_against.iter().map(|(path, _)| {
                Finding::new("changed-check", Severity::Error, path, 1, &message).to_string()
            });
            let found = found.collect::<Vec<_>>().join("\n");
            check.detail = format!("{found}\n{}", check.detail);
        } else {
            let names: Vec<&str> = held_against.iter().map(|(path, _)| path.as_str()).collect();
            check.detail = names.join(", ");
        }
        held.push(check);
    }
    Ok(held)
}

const NAME: &str = "its check passes with the scripts as they were";

fn plain(path: &str) -> &str {
    path.trim_start_matches("./")
}

/// Writes a script into the work tree, so that it can be run.
async fn put(bench: Bench<'_>, path: &str, text: &[u8]) {
    let path = bench.tree.dir().join(path);
    // What a link leads to is another file.
    let _ = tokio::fs::remove_file(&path).await;
    let _ = tokio::fs::write(&path, text).await;
    #[cfg(unix)]
    {
        let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
        let _ = tokio::fs::set_permissions(&path, mode).await;
    }
}

/// The paths of the scripts that a command line runs, from the top of the tree.
fn scripts(command: &str) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    look_into(command, 0, &mut found);
    found
}

fn look_into(command: &str, depth: u32, found: &mut BTreeSet<String>) {
    let mut dir = String::new();
    for words in simple_commands(command) {
        let mut words = words.iter().map(String::as_str).skip_while(|word| {
            BEFORE.contains(word)
                || word.starts_with('-')
                || word.split_once('=').is_some_and(|(name, _)| !name.contains('/'))
                // How long, for `timeout`.
                || word.trim_end_matches(['s', 'm', 'h', '.']).parse::<f64>().is_ok()
        });
        let Some(program) = words.next() else { continue };
        if program == "cd" {
            let to = words.find(|word| !word.starts_with('-')).unwrap_or_default();
            dir = format!("{dir}{to}/");
            continue;
        }
        let mut add =
            |word: &str| found.extend(normal(&dir, word).into_iter().chain(normal("", word)));
        if program.contains('/') {
            add(program);
        }
        let name = program.rsplit('/').next().unwrap_or(program);
        let name = name.trim_end_matches(|c: char| c.is_ascii_digit() || c == '.');
        if !INTERPRETERS.contains(&name) && program != "." {
            continue;
        }
        while let Some(word) = words.next() {
            if word.starts_with('-') && word.ends_with('c') && !word.starts_with("--") {
                if let Some(within) = words.next().filter(|_| depth < NESTED_MAX) {
                    look_into(within, depth + 1, found);
                }
                break;
            }
            if !word.starts_with('-') && !SUBCOMMANDS.contains(&word) {
                add(word);
                break;
            }
        }
    }
}

/// A path as git has it; `None` for one that is not in the tree, or not known before it is run.
fn normal(dir: &str, word: &str) -> Option<String> {
    let word = ["$PWD/", "${PWD}/"].iter().find_map(|here| word.strip_prefix(here)).unwrap_or(word);
    let whole = if word.starts_with('/') { return None } else { format!("{dir}{word}") };
    let mut parts: Vec<&str> = Vec::new();
    for part in whole.split('/').filter(|part| !part.is_empty() && *part != ".") {
        if part == ".." {
            parts.pop()?;
        } else {
            parts.push(part);
        }
    }
    (!parts.is_empty()).then(|| parts.join("/"))
}

/// The simple commands of a command line, each in words, without their quotes.
fn simple_commands(command: &str) -> Vec<Vec<String>> {
    let mut commands = vec![Vec::new()];
    let (mut word, mut quoted, mut begun) = (String::new(), None, false);
    let mut chars = command.chars();
    while let Some(c) = chars.next() {
        let ends = quoted.is_none() && (c.is_whitespace() || ";&|(){}<>`".contains(c));
        if ends {
            if begun && let Some(words) = commands.last_mut() {
                words.push(std::mem::take(&mut word));
            }
            begun = false;
            // What is read from a file is a word of the command like any other.
            if c == '\n' || ";&|(){}`".contains(c) {
                commands.push(Vec::new());
            }
            continue;
        }
        begun = true;
        match (c, quoted) {
            ('\'' | '"', None) => quoted = Some(c),
            (c, Some(quote)) if c == quote => quoted = None,
            ('\\', None | Some('"')) => word.extend(chars.next()),
            (c, _) => word.push(c),
        }
    }
    if begun && let Some(words) = commands.last_mut() {
        words.push(word);
    }
    commands
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scripts_are_found_where_a_command_line_runs_them() {
        for (command, expected) in [
            ("./check.sh", "check.sh"),
            ("sh check.sh a.txt", "check.sh"),
            (
                "set -e; CI=1 timeout -k 5 60 bash -eu ./ci/check.sh --all && echo fine",
                "ci/check.sh",
            ),
            ("cargo build && python3.12 scripts/check.py", "scripts/check.py"),
            ("cd sub && ../ci/run", "ci/run"),
            ("cd sub && ./run", "run sub/run"),
            ("if ! \"$PWD/ci/my check\"; then exit 1; fi", "ci/my check"),
            ("bash -c 'ci/a && sh ci/b'", "ci/a ci/b"),
            ("sh < ci/a", "ci/a"),
            ("deno run -A ci/a.ts", "ci/a.ts"),
            (". ci/env && ci/a", "ci/a ci/env"),
            // What is only looked at is no script, nor is what lies elsewhere.
            ("grep -q done a.txt", ""),
            ("pytest tests/test_a.py && cargo test --test it", ""),
            ("/usr/bin/true && $HOME/check.sh", ""),
            ("", ""),
            ("'", ""),
        ] {
            let found: Vec<String> = scripts(command).into_iter().collect();
            let found: Vec<&str> =
                found.iter().map(String::as_str).filter(|path| !path.contains('$')).collect();
            assert_eq!(found.join(" "), expected, "{command}");
        }
    }
}
