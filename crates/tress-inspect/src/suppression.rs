//! Comments and attributes that silence a checker, where there are more of them than before.

use std::collections::BTreeMap;

use crate::function::family;
use crate::syntax::{Id, Syntax, parse};
use crate::{Finding, Language, Severity};

/// A way to silence a checker: the family of languages, whether it is an attribute or annotation
/// (else a comment), and what it says.
pub const SUPPRESSIONS: [(&str, bool, &str); 38] = [
    ("rust", true, "allow("),
    ("rust", true, "expect("),
    ("rust", true, "rustfmt::skip"),
    ("rust", true, "rustfmt_skip"),
    ("rust", true, "coverage(off)"),
    ("rust", true, "mutants::skip"),
    ("python", false, "noqa"),
    ("python", false, "type: ignore"),
    ("python", false, "pylint: disable"),
    ("python", false, "pyright: ignore"),
    ("python", false, "mypy: ignore-errors"),
    ("python", false, "pragma: no cover"),
    ("python", false, "nosec"),
    ("python", false, "fmt: off"),
    ("python", false, "fmt: skip"),
    ("js", false, "eslint-disable"),
    ("js", false, "@ts-ignore"),
    ("js", false, "@ts-nocheck"),
    ("js", false, "@ts-expect-error"),
    ("js", false, "istanbul ignore"),
    ("js", false, "c8 ignore"),
    ("js", false, "v8 ignore"),
    ("js", false, "prettier-ignore"),
    ("js", false, "biome-ignore"),
    ("js", false, "tslint:disable"),
    ("js", false, "oxlint-disable"),
    ("js", false, "@flow-ignore"),
    ("go", false, "nolint"),
    ("go", false, "#nosec"),
    ("go", false, "lint:ignore"),
    ("go", false, "lint:file-ignore"),
    ("java", true, "SuppressWarnings"),
    ("java", true, "SuppressFBWarnings"),
    ("java", false, "NOSONAR"),
    ("java", false, "CHECKSTYLE:OFF"),
    ("java", false, "@formatter:off"),
    ("java", false, "noinspection"),
    ("java", false, "NOPMD"),
];

/// The suppressions of the file at `path` that `base` does not have (rule `new-suppression`): an
/// error, and a warning where the suppression gives its reason. One that moved is not new.
pub fn suppressions(path: &str, base: Option<&str>, new: &str) -> Vec<Finding> {
    let mut known: BTreeMap<String, usize> = BTreeMap::new();
    for (_, _, text) in base.map(|base| all(path, base)).unwrap_or_default() {
        *known.entry(text).or_insert(0) += 1;
    }
    let mut findings = Vec::new();
    for (line, sign, text) in all(path, new) {
        match known.get_mut(&text).filter(|left| **left > 0) {
            Some(left) => *left -= 1,
            None => {
                let severity =
                    if reasoned(&text, sign) { Severity::Warning } else { Severity::Error };
                let sign = sign.trim_end_matches('(');
                let message = format!("a checker is silenced: {sign}");
                findings.push(Finding::new("new-suppression", severity, path, line, &message));
            }
        }
    }
    findings
}

/// Whether a reason stands with it: `reason = …`, or words after `--`, `:` and a closing bracket.
fn reasoned(text: &str, sign: &str) -> bool {
    if text.contains("reason") && text.contains('=') {
        return true;
    }
    let words = |text: &str| text.split_whitespace().filter(|word| word.len() > 1).count();
    let rest = text.split_once(sign).map_or("", |(_, rest)| rest);
    let told = [" -- ", " // ", "  # ", ": "]
        .iter()
        .filter_map(|mark| rest.split_once(mark))
        .any(|(_, why)| words(why) >= 3);
    let plain = sign.starts_with("@ts-") || sign.contains("ignore") && sign.contains(' ');
    told || plain && words(rest.trim_start_matches([':', '-', ' '])) >= 3
}

fn all(path: &str, text: &str) -> Vec<(usize, &'static str, String)> {
    let Some(tree) = Language::of(path).and_then(|language| parse(language, text)) else {
        return Vec::new();
    };
    let syntax = Syntax::of(&tree);
    let mine: Vec<_> =
        SUPPRESSIONS.iter().filter(|(of, ..)| *of == family(syntax.language)).collect();
    let mut found = Vec::new();
    for id in syntax.all() {
        let attribute = is_attribute(&syntax, id);
        if !attribute && !syntax.comment(id) {
            continue;
        }
        let said = syntax.text(id);
        let one =
            mine.iter().find(|(_, mark, sign)| *mark == attribute && says(said, sign, attribute));
        if let Some((_, _, sign)) = one {
            // `#[expect]` with a reason is what a house may ask for.
            if *sign != "expect(" || !said.contains("reason") {
                let text = said.split_whitespace().collect::<Vec<_>>().join(" ");
                found.push((syntax.line(id), *sign, text));
            }
        }
    }
    found
}

fn is_attribute(syntax: &Syntax<'_>, id: Id) -> bool {
    matches!(
        syntax.kind(id),
        "attribute_item" | "inner_attribute_item" | "annotation" | "marker_annotation"
    )
}

fn says(text: &str, sign: &str, attribute: bool) -> bool {
    let inner = text.trim_start_matches(['#', '!', '[', '@', '/', '*', ' ']);
    if !attribute {
        // In a comment the sign begins it, or follows a `#` or `//` within it; prose may name it.
        let first =
            |part: &str| part.trim_start_matches(['/', '*', '#', ' ', '!']).starts_with(sign);
        return first(text)
            || text.split(['#']).any(first)
            || sign.starts_with('#') && text.contains(sign);
    }
    let squeezed: String = inner.split_whitespace().collect();
    let nested = squeezed.starts_with("cfg_attr(") && squeezed.contains(&format!(",{sign}"));
    nested
        || squeezed.starts_with(sign)
        || squeezed.split("::").last().is_some_and(|last| last.starts_with(sign))
            && !squeezed.contains('(')
}
