//! The scripted agent: what it does depends on the todo and on which attempt it is.

use std::io::{Error, ErrorKind, Result};
use std::path::Path;

const WORDS: &str = include_str!("../../demo/finished/words.rs");
const COUNT_STUB: &str = include_str!("../../demo/finished/count-stub.rs");
const COUNT: &str = include_str!("../../demo/finished/count.rs");
const STOP: &str = include_str!("../../demo/finished/stop.rs");
const TABLE: &str = include_str!("../../demo/finished/table.rs");
const JSON_SHORTCUT: &str = include_str!("../../demo/finished/json-shortcut.rs");
const JSON: &str = include_str!("../../demo/finished/json.rs");
const MAIN: &str = include_str!("../../demo/finished/main.rs");

const USAGE: &str = "\n## Usage\n\n    tally < text.txt\n    tally --json < text.txt\n";
const LAYOUT: &str =
    "\n## Layout\n\n`src/words.rs` splits, `src/count.rs` counts, `src/report.rs` reports.\n";

/// The rule of the design that the first report as JSON breaks.
const RULE: &str = "counts-alone";

/// Does the work on `todo` in the work tree `dir`, as on the `attempt`th attempt. What the
/// reconciler asks for is told by its `title`. `report` is called with a percentage and what was
/// done.
///
/// # Errors
/// When the work cannot be done: the todo is not one of the demo's, or a file cannot be written.
pub fn act(
    (todo, title): (&str, &str),
    attempt: usize,
    dir: &Path,
    report: impl Fn(u8, &str),
) -> Result<&'static str> {
    report(25, "read the task");
    let write = |name: &str, text: &str| std::fs::write(dir.join(name), text);
    match (todo, attempt) {
        ("words", _) => write("src/words.rs", WORDS)?,
        // Claims a stub as done; the verifier finds out.
        ("count", 1) => write("src/count.rs", COUNT_STUB)?,
        ("count", _) => write("src/count.rs", COUNT)?,
        ("stop", 1) => {
            write("src/stop.rs", STOP.get(..STOP.len() / 2).unwrap_or(STOP))?;
            report(50, "half of it is written");
            eprintln!("out of memory (as the script wants it)");
            std::process::abort();
        }
        ("stop", _) => write("src/stop.rs", STOP)?,
        ("table", _) => replace_function(dir, "pub fn table", TABLE)?,
        // Works, and breaks a rule of the design; the reconciler finds out.
        ("json", _) => replace_function(dir, "pub fn json", JSON_SHORTCUT)?,
        ("cli", _) => write("src/main.rs", MAIN)?,
        ("usage", _) => append(dir, USAGE)?,
        ("layout", _) => append(dir, LAYOUT)?,
        _ if title.contains(RULE) => replace_function(dir, "pub fn json", JSON)?,
        _ => {
            let what = format!("the demo has no todo called {todo}");
            return Err(Error::new(ErrorKind::NotFound, what));
        }
    }
    report(75, "written; the verifier may look");
    Ok("the tests named in the todo are for the verifier to run")
}

fn append(dir: &Path, text: &str) -> Result<()> {
    let path = dir.join("README.md");
    let old = std::fs::read_to_string(&path)?;
    std::fs::write(path, old + text)
}

/// Puts `new` in the place of the function of `src/report.rs` that begins with `head`.
fn replace_function(dir: &Path, head: &str, new: &str) -> Result<()> {
    let path = dir.join("src/report.rs");
    let old = std::fs::read_to_string(&path)?;
    let missing = || Error::new(ErrorKind::InvalidData, format!("src/report.rs has no {head}"));
    let (before, rest) = old.split_once(head).ok_or_else(missing)?;
    let (_, after) = rest.split_once("\n}\n").ok_or_else(missing)?;
    std::fs::write(path, format!("{before}{new}{after}"))
}
