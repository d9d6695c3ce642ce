//! What is not there: stubs, empty and truncated bodies, markers, swallowed errors, in what a
//! change touched.
//!
//! A finding counts when it is new: when the base has fewer of its rule, in the same function, with
//! the same text of the line. So moving code about, or touching a file that was never perfect,
//! accuses nobody.

use std::collections::BTreeMap;

use ast_grep_core::Matcher as _;
use ast_grep_core::matcher::MatcherExt as _;

use crate::body::{Body, judge, look, statements};
use crate::function::{Function, family, of_syntax, pair};
use crate::language::Tree;
use crate::rules::{NodeRule, PatternRule, patterns, rules};
use crate::syntax::{Id, Syntax, parse};
use crate::{Finding, Language, Severity};

/// What is unfinished in the file at `path`, and was not so in `base` (`None`: the file is new).
///
/// Findings come in the order of the text. Nothing is said of a file whose language is not known.
pub fn inspect(path: &str, base: Option<&str>, new: &str) -> Vec<Finding> {
    let Some(language) = Language::of(path) else { return Vec::new() };
    let Some(tree) = parse(language, new) else { return Vec::new() };
    let base_tree = base.and_then(|base| parse(language, base));
    let before = base_tree.as_ref().map(|tree| File::of(path, tree));
    let now = File::of(path, &tree);
    let mut known = before.as_ref().map(|file| count(&file.marked(), file)).unwrap_or_default();
    let mut findings: Vec<Finding> = Vec::new();
    for finding in now.marked() {
        match known.get_mut(&now.key(&finding)).filter(|left| **left > 0) {
            Some(left) => *left -= 1,
            None => findings.push(finding),
        }
    }
    findings.extend(now.broken(before.as_ref().map_or(0, File::errors)));
    findings.extend(now.unmarked(before.as_ref()));
    findings.sort_by_key(|finding| (finding.line, finding.column));
    // One function is accused once for one body: a marked stub says it all.
    let marked: Vec<String> = findings
        .iter()
        .filter(|f| f.rule == "stub-call")
        .filter_map(|f| f.symbol.clone())
        .collect();
    let bodies = [
        "empty-body",
        "constant-return",
        "gutted-body",
        "log-only",
        "truncated-body",
        "missing-return",
    ];
    findings.retain(|f| {
        !bodies.contains(&f.rule.as_str())
            || !f.symbol.as_ref().is_some_and(|symbol| marked.contains(symbol))
    });
    findings
}

/// Whether a comment's line (without its signs) marks unfinished code.
pub(crate) fn is_marker(line: &str) -> bool {
    let line = line.trim().trim_start_matches(['-', '@', '<', '[', '(', '.', ' ', '"']);
    let lower = line.to_lowercase();
    let comments = &rules().comments;
    comments
        .openings
        .iter()
        .any(|opening| lower.starts_with(opening.trim_start_matches(['.', '(', ' '])))
        || comments.words.iter().any(|word| marks(line, word))
}

/// Whether `word` stands in the line as a mark: at its beginning, or followed by `:` or `(`.
fn marks(line: &str, word: &str) -> bool {
    line.match_indices(word).any(|(at, _)| {
        let before = line.get(..at).unwrap_or_default();
        let after = line.get(at + word.len()..).unwrap_or_default();
        let whole = !before
            .ends_with(|c: char| c.is_alphanumeric() || matches!(c, '_' | '-' | '"' | '`' | '\''));
        let colon = after.starts_with(':') || after.starts_with('(') && !before.trim().is_empty();
        let opens = before.trim().is_empty()
            && (after.is_empty() || after.starts_with([' ', ':', '(', ',', '.', '-', '!', '/']));
        // `XXX-1234` is a format, `TODO list` a thing, `TODOs` more than one.
        whole
            && (colon
                || opens && !after.starts_with("-X") && !after.to_lowercase().starts_with(" list"))
    })
}

fn count(findings: &[Finding], file: &File<'_>) -> BTreeMap<(String, String, String), usize> {
    let mut counted = BTreeMap::new();
    for finding in findings {
        *counted.entry(file.key(finding)).or_insert(0) += 1;
    }
    counted
}

struct File<'t> {
    path: &'t str,
    tree: &'t Tree,
    syntax: Syntax<'t>,
    functions: Vec<Function>,
    lines: Vec<&'t str>,
}

impl<'t> File<'t> {
    fn of(path: &'t str, tree: &'t Tree) -> Self {
        let syntax = Syntax::of(tree);
        let functions = of_syntax(path, &syntax);
        let lines = syntax.text.lines().collect();
        Self { path, tree, functions, lines, syntax }
    }

    /// What makes two findings of two versions the same.
    fn key(&self, finding: &Finding) -> (String, String, String) {
        let line = self.lines.get(finding.line - 1).map_or("", |line| line.trim());
        (finding.rule.clone(), finding.symbol.clone().unwrap_or_default(), line.to_owned())
    }

    /// The innermost function around a byte.
    fn around(&self, at: usize) -> Option<&Function> {
        // Functions come in the order of their beginnings; the last one that is still open is it.
        let upto = self.functions.partition_point(|function| function.range.start <= at);
        let before = self.functions.get(..upto)?;
        before.iter().rev().take(512).find(|function| at < function.range.end)
    }

    fn finding(&self, rule: &str, severity: Severity, id: Id, message: &str) -> Finding {
        let line = self.syntax.line(id);
        let finding =
            Finding::new(rule, severity, self.path, line, message).column(self.syntax.column(id));
        match self.around(self.syntax.range(id).start) {
            Some(function) => finding.about(function.name.clone()),
            None => finding,
        }
    }

    /// Everything that is marked as unfinished, or swallows an error, old or new.
    fn marked(&self) -> Vec<Finding> {
        let mut findings = Vec::new();
        let root = self.tree.root();
        for (rule, pattern) in patterns(self.syntax.language) {
            let kinds = pattern.potential_kinds();
            for node in root.dfs() {
                if kinds.as_ref().is_some_and(|kinds| !kinds.contains(node.kind_id().into())) {
                    continue;
                }
                if let Some(found) = pattern.match_node(node)
                    && let Some(id) = self.syntax.at(&found.range())
                    && self.convicts(rule, id)
                {
                    // A method that has to be there may refuse; whoever reads the finding decides.
                    let asked =
                        self.around(self.syntax.range(id).start).is_some_and(|f| f.overrides);
                    let asked = asked && rule.unless.as_deref() == Some("override");
                    let severity = if asked { Severity::Warning } else { Severity::Error };
                    findings.push(self.finding(&rule.id, severity, id, &rule.message));
                }
            }
        }
        for id in self.syntax.all() {
            if self.syntax.comment(id) {
                self.comment(id, &mut findings);
            }
            let mine = rules().nodes.iter();
            let mine = mine.filter(|rule| rule.kind == self.syntax.kind(id));
            for rule in
                mine.filter(|rule| rule.languages.iter().any(|l| l == family(self.syntax.language)))
            {
                if self.swallows(rule, id) {
                    let told = rule.told
                        || rule.calls
                            && !self
                                .called(id)
                                .is_some_and(|name| rules().first_word("lossy", &name));
                    let severity = if told { Severity::Warning } else { Severity::Error };
                    findings.push(self.finding(&rule.id, severity, id, &rule.message));
                }
            }
        }
        findings.sort();
        findings.dedup_by(|a, b| a.line == b.line && a.rule == b.rule);
        findings
    }

    fn convicts(&self, rule: &PatternRule, id: Id) -> bool {
        let text = self.syntax.text(id);
        // `TODO` is a mark in capitals, or as all that is said; in lower case it may be a thing.
        let todo = ["TODO", "FIXME", "\"todo\"", "'todo'"].iter().any(|mark| text.contains(mark));
        let text = text.to_lowercase();
        let says = |list: &[String]| list.iter().any(|phrase| text.contains(phrase.as_str()));
        if let Some((name, list)) =
            rule.says.as_ref().and_then(|name| rules().says.get_key_value(name))
        {
            let todo = todo && name == "stub";
            if !todo && (!says(list) || says(&rules().unless_says)) {
                return false;
            }
        } else if rule.whole && says(&rules().unless_says) {
            return false;
        }
        let Some(function) = self.around(self.syntax.range(id).start) else {
            return !crate::function::is_test_path(self.path);
        };
        // A double in a test need not do what the test does not ask for.
        if function.declaration || function.in_tests && !function.test {
            return false;
        }
        // All that the function does: what is around the match in its one statement is `return`.
        let alone = || {
            let body =
                function.body_node.map(|body| statements(&self.syntax, body)).unwrap_or_default();
            let length = self.syntax.text(id).len();
            let around = |only: &Id| self.syntax.text(*only).len().saturating_sub(length) < 24;
            let plain = |only: &Id| {
                !self.syntax.text(*only).contains('{') || self.syntax.text(id).contains('{')
            };
            matches!(body.as_slice(), [only] if around(only) && plain(only))
        };
        let java = family(self.syntax.language) == "java";
        let closed =
            function.short_name() == "drop" || java && (function.constructor || function.overrides);
        if rule.whole && (!alone() || closed) {
            return false;
        }
        match rule.unless.as_deref() {
            Some("abstract") => !self.is_abstract(function),
            Some("override") => {
                !function.constructor && (!function.overrides || alone()) && !self.refuses(function)
            }
            _ => true,
        }
    }

    /// Whether a class is there to be derived from: by its name or bases, or because the file does.
    fn is_abstract(&self, function: &Function) -> bool {
        let Some(class) = function.container.as_deref() else { return false };
        let body = self.syntax.text(function.node).to_lowercase();
        let class_says = self.class_docstring(function).to_lowercase();
        let meant = ["abstract", "base class", "interface", "subclass", "derive"];
        if meant.iter().any(|word| class_says.contains(word)) {
            return true;
        }
        if body.contains("subclass")
            || body.contains("overrid")
            || rules().any_word("abstract", class)
        {
            return true;
        }
        let derives = [
            format!("({class})"),
            format!("({class},"),
            format!(", {class})"),
            format!("extends {class} "),
        ];
        derives.iter().any(|form| {
            self.lines
                .iter()
                .any(|line| line.trim_start().contains("class ") && line.contains(form.as_str()))
        }) || self.syntax.ancestors(function.node).any(|up| {
            self.syntax.kind(up) == "class_definition"
                && self.syntax.field_text(up, "superclasses").is_some_and(|bases| {
                    bases.contains("ABC") || rules().any_word("abstract", bases)
                })
        })
    }

    /// The first string in the body of the class around a Python method.
    fn class_docstring(&self, function: &Function) -> &'t str {
        let syntax = &self.syntax;
        let class =
            syntax.ancestors(function.node).find(|up| syntax.kind(*up) == "class_definition");
        let body = class.and_then(|class| syntax.field(class, "body"));
        let first = body.and_then(|body| syntax.parts(body).first().copied());
        first
            .map(|first| syntax.text(first))
            .filter(|text| text.starts_with(['"', 'r', '\'']))
            .unwrap_or_default()
    }

    /// Whether a Java class refuses optional operations, as views and immutable collections do.
    fn refuses(&self, function: &Function) -> bool {
        let Some(class) = function.container.as_deref() else { return function.overrides };
        let optional =
            ["add", "remove", "clear", "set", "put", "addAll", "removeAll", "retainAll", "putAll"];
        function.overrides
            && (optional.contains(&function.short_name())
                || ["Immutable", "Unmodifiable", "ReadOnly"]
                    .iter()
                    .any(|word| class.contains(word)))
    }

    fn comment(&self, id: Id, findings: &mut Vec<Finding>) {
        for (offset, line) in self.syntax.text(id).lines().enumerate() {
            let text = line.trim().trim_start_matches(['/', '*', '#', '!', ' ', '\t']);
            if is_marker(text) {
                let at = self.syntax.line(id) + offset;
                let mut finding = self.finding(
                    "marker-comment",
                    Severity::Error,
                    id,
                    "a comment says that work is left",
                );
                finding.line = at;
                if self.around(self.syntax.range(id).start).is_some_and(|f| f.in_tests) {
                    finding.severity = Severity::Warning;
                }
                findings.push(finding);
            }
        }
    }

    fn swallows(&self, rule: &NodeRule, id: Id) -> bool {
        let squeezed = squeeze(
            self.syntax.text(id).get(..self.syntax.text(id).len().min(4_096)).unwrap_or(""),
        );
        let any = |list: &[String], test: &dyn Fn(&str) -> bool| {
            list.is_empty() || list.iter().any(|one| test(&squeeze(one)))
        };
        let fits = any(&rule.starts, &|head| squeezed.starts_with(head))
            && any(&rule.ends, &|tail| squeezed.ends_with(tail))
            && any(&rule.contains, &|part| {
                squeezed.split('{').next().unwrap_or_default().contains(part)
            });
        if !fits || self.around(self.syntax.range(id).start).is_some_and(|f| f.in_tests) {
            return false;
        }
        if crate::function::is_test_path(self.path) || self.has_reason(id) {
            return false;
        }
        let empty = rule.empty.as_ref().is_none_or(|field| self.is_empty(id, field));
        empty && (!rule.calls || self.calls_fallible(id)) && !self.named_ignored(id)
    }

    fn is_empty(&self, id: Id, field: &str) -> bool {
        let part = self.syntax.field(id, field);
        let part = part
            .or_else(|| self.syntax.children(id).find(|child| self.syntax.kind(*child) == field));
        part.is_some_and(|part| match self.syntax.kind(part) {
            "block" | "statement_block" => statements(&self.syntax, part).is_empty(),
            kind => kind == "unit_expression",
        })
    }

    /// Java's custom: what is caught as `ignored` or `expected` is dropped on purpose.
    fn named_ignored(&self, id: Id) -> bool {
        let head = self.syntax.text(id).split('{').next().unwrap_or_default();
        family(self.syntax.language) == "java"
            && ["ignore", "expected", "unused"].iter().any(|word| head.contains(word))
    }

    /// Whether the last thing called may fail in a way that matters.
    fn calls_fallible(&self, id: Id) -> bool {
        let ending = |function: &Function| {
            let name = function.short_name();
            ["drop", "close", "shutdown", "abort", "kill", "cleanup", "clean_up", "Close", "Stop"]
                .contains(&name)
        };
        let cleanup = self.around(self.syntax.range(id).start).is_some_and(ending);
        let assigned =
            self.syntax.children(id).any(|child| self.syntax.kind(child).contains("assignment"));
        !cleanup
            && !assigned
            && self.called(id).is_some_and(|name| !rules().has_word("unheeded", &name))
    }

    /// The name of the outermost call whose result the statement throws away.
    fn called(&self, id: Id) -> Option<String> {
        let text = squeeze(self.syntax.text(id));
        let text = text.trim_end_matches(';');
        let ends = [".ok()", ".unwrap_or_default()", ".unwrap_or(())"];
        let text = ends.iter().find_map(|end| text.strip_suffix(end)).unwrap_or(text);
        let text = text.trim_end_matches(".await");
        let open = text.ends_with(')').then(|| last_group(text)).flatten()?;
        let callee = text.get(..open)?;
        let name =
            callee.rsplit(|c: char| !c.is_alphanumeric() && c != '_').next().unwrap_or_default();
        let constructs =
            name.starts_with(char::is_uppercase) && family(self.syntax.language) != "go";
        (!callee.ends_with('!') && !name.is_empty() && !constructs).then(|| name.to_owned())
    }

    /// Whether a comment in the node, at its line or directly above gives a reason.
    fn has_reason(&self, id: Id) -> bool {
        let line = self.syntax.line(id) - 1;
        let last = self.syntax.last_line(id).min(line + 40);
        let above =
            line.checked_sub(1).and_then(|line| self.lines.get(line)).map(|line| line.trim());
        let above = above.filter(|line| {
            line.starts_with("//") || line.starts_with('#') && !line.starts_with("#[")
        });
        let inside = self.lines.get(line..last).unwrap_or_default().iter();
        let inside = inside.filter_map(|line| {
            line.split_once("//").or_else(|| line.split_once('#')).or_else(|| line.split_once("/*"))
        });
        inside.map(|(_, comment)| comment).chain(above).any(|comment| {
            let comment = comment.trim_start_matches(['/', '*', '#', ' ']);
            !is_marker(comment)
                && comment
                    .split_whitespace()
                    .filter(|word| word.len() > 1 && word.chars().any(char::is_alphabetic))
                    .count()
                    >= 3
        })
    }

    fn errors(&self) -> usize {
        self.syntax.all().filter(|id| self.is_broken(*id)).count()
    }

    /// Whether the node is an error; the grammar of Python also lets blocks be empty, and `try` alone.
    fn is_broken(&self, id: Id) -> bool {
        let python = || {
            let kinds: Vec<&str> =
                self.syntax.children(id).map(|child| self.syntax.kind(child)).collect();
            match self.syntax.kind(id) {
                "block" => kinds.is_empty(),
                "try_statement" => !kinds.iter().any(|kind| {
                    matches!(*kind, "except_clause" | "finally_clause" | "except_group_clause")
                }),
                "while_statement"
                | "for_statement"
                | "with_statement"
                | "if_statement"
                | "else_clause"
                | "elif_clause"
                | "except_clause"
                | "finally_clause"
                | "function_definition" => !kinds.contains(&"block"),
                _ => false,
            }
        };
        self.syntax.broken(id)
            || self.syntax.language == Language::Python && self.syntax.named(id) && python()
    }

    fn broken(&self, before: usize) -> Option<Finding> {
        let first = self.syntax.all().find(|id| self.is_broken(*id))?;
        let message = "the text is not of the language's grammar here: it may be cut off";
        (self.errors() > before)
            .then(|| self.finding("syntax-error", Severity::Error, first, message))
    }

    /// The changed functions whose bodies are stubs though nothing says so.
    fn unmarked(&self, base: Option<&File<'_>>) -> Vec<Finding> {
        let mut findings = Vec::new();
        let before = base.map(|file| file.functions.clone()).unwrap_or_default();
        for change in pair(before, self.functions.clone()) {
            let Some(now) = look(&self.syntax, &change.now) else { continue };
            let old: Option<Body> =
                base.zip(change.before.as_ref()).and_then(|(file, f)| look(&file.syntax, f));
            if let Some((rule, severity, message)) =
                judge(&self.syntax, &change.now, &now, old.as_ref())
            {
                let finding = Finding::new(rule, severity, self.path, change.now.line, message);
                findings.push(finding.about(change.now.name.clone()));
            }
        }
        findings
    }
}

/// The text without spaces that do not separate words.
fn squeeze(text: &str) -> String {
    let mut out = String::new();
    let word = |c: Option<char>| c.is_some_and(|c| c.is_alphanumeric() || c == '_');
    for part in text.split_whitespace() {
        if word(out.chars().last()) && word(part.chars().next()) {
            out.push(' ');
        }
        out.push_str(part);
    }
    out
}

/// Where the last bracket group of the text opens.
fn last_group(text: &str) -> Option<usize> {
    let mut depth = 0_usize;
    for (at, c) in text.char_indices().rev() {
        match c {
            ')' => depth += 1,
            '(' => {
                depth = depth.checked_sub(1)?;
                if depth == 0 {
                    return Some(at);
                }
            }
            _ => {}
        }
    }
    None
}
