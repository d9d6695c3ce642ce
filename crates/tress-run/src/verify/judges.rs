//! The scripts by which work is judged: what a check's command line runs is not for the work to change
//! unseen. Where it did, the command runs once more with those scripts as they were before.

use std::collections::BTreeSet;
use std::path::Path;

use tress::Todo;
use tress::operation::{Check, Layer, Verdict};
use tress_inspect::function::is_test_path;
use tress_inspect::weakened::test_names;
use tress_inspect::{Finding, Severity};
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
/// `base`. A script that the todo names among its files is the todo's to change, and so is a file of tests, which is
/// held against what it was by itself; that is told. The tree shows `commit` afterwards.
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
        let mut held_against = Vec::new();
        for (path, text) in touched(bench, command, (base, commit), changed).await? {
            let why = if todo.files.iter().any(|pattern| names(pattern, path)) {
                "which the todo names"
            } else if has_tests(path, &text) {
                "which is a file of tests"
            } else {
                held_against.push((path, text));
                continue;
            };
            let detail = format!("`{command}` runs {path}, {why}");
            held.push(look(Layer::Testing, NAME, Verdict::Pass, detail));
        }
        if held_against.is_empty() {
            continue;
        }
        bench.tree.show_only(commit).await?;
        let back = put_back(bench.tree.dir(), &held_against).await;
        let check = match back {
            Ok(()) => with_them(bench, command, &held_against).await,
            // That says nothing about the work.
            Err(why) => {
                look(Layer::Testing, NAME, Verdict::Unknown, format!("`{command}` runs {why}"))
            }
        };
        bench.tree.show_only(commit).await?;
        held.push(check);
    }
    Ok(held)
}

const NAME: &str = "its check passes with the scripts as they were";

/// The scripts of a command that were there and are not the same now, with their texts before.
async fn touched<'a>(
    bench: Bench<'_>,
    command: &str,
    (base, commit): (&str, &str),
    changed: &'a [String],
) -> Result<Vec<(&'a str, Vec<u8>)>, GitError> {
    let named = scripts(command);
    let (mut paths, mut olds) = (Vec::new(), Vec::new());
    for path in changed.iter().filter(|path| named.contains(*path)) {
        let (old, new) = (bench.tree.blob(base, path).await, bench.tree.blob(commit, path).await);
        // One that is new has nothing to be held against; one that may be run now is the same.
        if let Some(old) = old.filter(|old| new.as_ref() != Some(old)) {
            paths.push(path.as_str());
            olds.push(old);
        }
    }
    if olds.is_empty() {
        return Ok(Vec::new());
    }
    let olds: Vec<&str> = olds.iter().map(String::as_str).collect();
    Ok(paths.into_iter().zip(bench.tree.blobs(&olds).await?).collect())
}

/// What the command comes to now that these scripts are there as they were.
async fn with_them(bench: Bench<'_>, command: &str, scripts: &[(&str, Vec<u8>)]) -> Check {
    let mut check = bench.must_succeed(Layer::Testing, NAME, command).await;
    if check.verdict != Verdict::Pass {
        let message = format!(
            "the work changes what it is judged by, and `{command}` fails with it as it was ({}); leave it, or \
             let the todo name it among its files",
            check.detail.lines().next().unwrap_or_default()
        );
        let found = scripts.iter().map(|(path, _)| {
            Finding::new("changed-check", Severity::Error, path, 1, &message).to_string()
        });
        let found = found.collect::<Vec<_>>().join("\n");
        check.detail = format!("{found}\n{}", check.detail);
    } else {
        let names: Vec<&str> = scripts.iter().map(|(path, _)| *path).collect();
        check.detail = names.join(", ");
    }
    check
}

/// Whether a pattern of a todo's files names the script. One that covers whatever there is names nothing.
fn names(pattern: &str, path: &str) -> bool {
    const ANY: [&str; 4] = ["\u{1}", "\u{1}.\u{1}", "\u{1}/\u{1}", "\u{1}/\u{1}.\u{1}"];
    scope::covers(pattern, path) && !ANY.iter().any(|any| scope::covers(pattern, any))
}

/// Whether a script was a file of tests: a change that needs other tests cannot pass the old ones, and what became
/// easier of these is seen by another look.
fn has_tests(path: &str, before: &[u8]) -> bool {
    let text = std::str::from_utf8(before).unwrap_or_default();
    is_test_path(path) && !test_names(path, text).is_empty()
}

/// Writes the scripts into the work tree; where one cannot be written, says which, and why.
async fn put_back(top: &Path, scripts: &[(&str, Vec<u8>)]) -> Result<(), String> {
    for (path, text) in scripts {
        let put = put(top, path, text).await;
        put.map_err(|error| format!("{path}, which cannot be put back as it was: {error}"))?;
    }
    Ok(())
}

/// Writes a script into the work tree, so that it can be run.
async fn put(top: &Path, path: &str, text: &[u8]) -> std::io::Result<()> {
    let path = top.join(path);
    // What a link leads to is another file, and where a directory was there may be something else now.
    let mut above: Vec<_> = path.ancestors().take_while(|dir| *dir != top).skip(1).collect();
    above.reverse();
    for dir in above {
        match tokio::fs::symlink_metadata(dir).await {
            Ok(there) if !there.is_dir() => tokio::fs::remove_file(dir).await?,
            _ => {}
        }
    }
    match tokio::fs::symlink_metadata(&path).await {
        Ok(there) if there.is_dir() => tokio::fs::remove_dir_all(&path).await?,
        Ok(_) => tokio::fs::remove_file(&path).await?,
        Err(_) => {}
    }
    if let Some(dir) = path.parent() {
        tokio::fs::create_dir_all(dir).await?;
    }
    tokio::fs::write(&path, text).await?;
    #[cfg(unix)]
    {
        let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
        tokio::fs::set_permissions(&path, mode).await?;
    }
    Ok(())
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
    fn a_pattern_names_a_script_unless_it_covers_everything() {
        for pattern in ["ci/check.sh", "./ci/check.sh", "ci", "ci/", "ci/*.sh", "ci/**", "**/*.sh"]
        {
            assert!(names(pattern, "ci/check.sh"), "{pattern}");
        }
        for pattern in ["**", "**/*", "*/**", "*/*", "**/?*", "{**,x}", "", ".", "src/", "ci/*.py"]
        {
            assert!(!names(pattern, "ci/check.sh"), "{pattern}");
        }
        for pattern in ["*", "*.*", "**"] {
            assert!(!names(pattern, "check.sh"), "{pattern}");
        }
    }

    #[tokio::test]
    async fn a_script_is_put_where_something_else_is_now() {
        let dir = tempfile::tempdir().unwrap();
        let (top, beside) = (dir.path().join("tree"), dir.path().join("beside"));
        std::fs::create_dir_all(top.join("run/within")).unwrap();
        std::fs::create_dir_all(&beside).unwrap();
        std::fs::write(top.join("ci"), "a file").unwrap();
        #[cfg(unix)]
        std::os::unix::fs::symlink(&beside, top.join("link")).unwrap();
        for path in ["run", "ci/check.sh", "link/check.sh", "new/check.sh"] {
            put(&top, path, b"exit 0\n").await.unwrap();
            assert_eq!(std::fs::read(top.join(path)).unwrap(), b"exit 0\n", "{path}");
        }
        assert_eq!(std::fs::read_dir(&beside).unwrap().count(), 0, "not through a link");
        assert!(put(&top, &"x".repeat(300), b"").await.is_err());
    }

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
