//! Test reports in the XML that JUnit began and every runner writes.
//!
//! The reader is tolerant: it looks for the elements that matter and passes over the rest, so that
//! the dialects of pytest, cargo-nextest, Jest, gotestsum, Surefire and Gradle all read.

/// What a report says.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Report {
    /// Test cases in all.
    pub tests: usize,
    /// Names of the cases that failed, as `class.name` where the class is given.
    pub failed: Vec<String>,
    /// Names of the cases that ended in an error.
    pub errors: Vec<String>,
    /// Names of the cases that did not run.
    pub skipped: Vec<String>,
    /// Names of the cases that passed.
    pub passed: Vec<String>,
}

/// A tag: its name, its attributes as written, whether it closes itself.
struct Tag<'x> {
    name: &'x str,
    attributes: &'x str,
    closed: bool,
}

/// Reads a report. `None` where the text has neither a test suite nor a test case.
pub fn read_junit(xml: &str) -> Option<Report> {
    let mut report = Report::default();
    let mut case: Option<(String, State)> = None;
    let mut suites = 0;
    let mut rest = xml;
    while let Some((tag, after)) = next_tag(rest) {
        rest = after;
        match tag.name {
            "testsuite" | "testsuites" => suites += 1,
            "testcase" => {
                // One that was never closed ends where the next begins.
                report.take(case.take());
                case = Some((case_name(tag.attributes), State::Passed));
                if tag.closed {
                    report.take(case.take());
                }
            }
            "/testcase" => report.take(case.take()),
            "failure" | "error" | "skipped" | "disabled" => {
                if let Some((_, state)) = &mut case {
                    let told = match tag.name {
                        "failure" => State::Failed,
                        "error" => State::Error,
                        _ => State::Skipped,
                    };
                    *state = told.max(*state);
                }
            }
            _ => {}
        }
    }
    report.take(case.take());
    (suites > 0 || report.tests > 0).then_some(report)
}

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum State {
    Passed,
    Skipped,
    Failed,
    Error,
}

impl Report {
    fn take(&mut self, case: Option<(String, State)>) {
        let Some((name, state)) = case else { return };
        self.tests += 1;
        match state {
            State::Passed => self.passed.push(name),
            State::Skipped => self.skipped.push(name),
            State::Failed => self.failed.push(name),
            State::Error => self.errors.push(name),
        }
    }
}

/// The next tag and what follows it; comments, CDATA sections and declarations are passed over.
fn next_tag(text: &str) -> Option<(Tag<'_>, &str)> {
    let mut text = text;
    loop {
        let (_, rest) = text.split_once('<')?;
        let past = |end: &str| rest.split_once(end).map_or("", |(_, after)| after);
        if rest.starts_with("!--") {
            text = past("-->");
            continue;
        }
        if rest.starts_with("![CDATA[") {
            text = past("]]>");
            continue;
        }
        if rest.starts_with(['?', '!']) {
            text = past(">");
            continue;
        }
        let mut quote = None;
        let end = rest.char_indices().find(|(_, c)| {
            match quote {
                Some(open) if *c == open => quote = None,
                Some(_) => {}
                None if matches!(c, '"' | '\'') => quote = Some(*c),
                None => return *c == '>',
            }
            false
        });
        let (end, _) = end?;
        let inner = rest.get(..end)?;
        let closed = inner.ends_with('/');
        let inner = inner.trim_end_matches('/');
        let (name, attributes) = inner.split_once(char::is_whitespace).unwrap_or((inner, ""));
        return Some((Tag { name, attributes, closed }, rest.get(end + 1..)?));
    }
}

fn case_name(attributes: &str) -> String {
    let name = attribute(attributes, "name").unwrap_or_default();
    match attribute(attributes, "classname").filter(|class| !class.is_empty()) {
        Some(class) => format!("{class}.{name}"),
        None => name,
    }
}

fn attribute(attributes: &str, wanted: &str) -> Option<String> {
    let mut rest = attributes;
    loop {
        let (name, after) = rest.split_once('=')?;
        let after = after.trim_start();
        let quote = after.chars().next().filter(|c| matches!(c, '"' | '\''))?;
        let (value, next) = after.get(1..)?.split_once(quote)?;
        if name.trim() == wanted {
            return Some(unescape(value));
        }
        rest = next;
    }
}

fn unescape(text: &str) -> String {
    let mut out = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('&') {
        out.push_str(before);
        let entity = after.split_once(';').filter(|(name, _)| name.len() <= 8);
        let sign = entity.and_then(|(name, _)| match name {
            "lt" => Some('<'),
            "gt" => Some('>'),
            "amp" => Some('&'),
            "quot" => Some('"'),
            "apos" => Some('\''),
            _ => {
                let number = name.strip_prefix('#')?;
                let hex = number.strip_prefix(['x', 'X']).map(|hex| u32::from_str_radix(hex, 16));
                char::from_u32(hex.unwrap_or_else(|| number.parse()).ok()?)
            }
        });
        match (sign, entity) {
            (Some(sign), Some((_, next))) => {
                out.push(sign);
                rest = next;
            }
            _ => {
                out.push('&');
                rest = after;
            }
        }
    }
    out.push_str(rest);
    out
}
