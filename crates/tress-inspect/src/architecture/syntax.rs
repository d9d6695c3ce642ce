//! The rule language: from text to statements.

use std::collections::{BTreeMap, BTreeSet};

use super::{
    Clause, Exception, Part, Pattern, RULES_BYTES_MAX, Rules, STATEMENTS_MAX, Statement,
    SyntaxError,
};

const STATEMENTS: &str =
    "component, layers, strict layers, forbid, require, cover, allow or except";

/// A word or a sign of a statement, and its column.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Token {
    text: String,
    column: usize,
    /// `->`, `>`, `=` or `,`.
    sign: bool,
}

/// A mistake: its column, and what to write.
type Mistake = (usize, String);

/// The words and signs of a line, up to its comment.
fn tokens(line: &str) -> Result<Vec<Token>, Mistake> {
    let mut found: Vec<Token> = Vec::new();
    let mut chars = line.chars().enumerate().peekable();
    let mut word: Option<Token> = None;
    let mut depth = 0_usize;
    while let Some((at, c)) = chars.next() {
        let column = at + 1;
        let next = chars.peek().map(|(_, c)| *c);
        if c == '#' && word.is_none() {
            break;
        }
        let arrow = c == '-' && next == Some('>');
        let sign = arrow || c == '>' || c == '=' || (c == ',' && depth == 0);
        if c.is_whitespace() || sign || c == '"' {
            found.extend(word.take());
            depth = 0;
        }
        if c.is_whitespace() {
            continue;
        }
        if sign {
            if arrow {
                chars.next();
            }
            let text = if arrow { "->".to_owned() } else { c.to_string() };
            found.push(Token { text, column, sign: true });
            continue;
        }
        if c == '"' {
            let mut text = String::new();
            let mut closed = false;
            while let Some((_, c)) = chars.next() {
                match c {
                    '"' => {
                        closed = true;
                        break;
                    }
                    '\\' => text.extend(chars.next().map(|(_, c)| match c {
                        'n' => '\n',
                        'r' => '\r',
                        c => c,
                    })),
                    c => text.push(c),
                }
            }
            if !closed {
                return Err((column, "the quote has no end; close it with \"".to_owned()));
            }
            found.push(Token { text, column, sign: false });
            continue;
        }
        match c {
            '{' | '[' => depth += 1,
            '}' | ']' => depth = depth.saturating_sub(1),
            _ => {}
        }
        let begun = word.get_or_insert_with(|| Token { text: String::new(), column, sign: false });
        begun.text.push(c);
    }
    found.extend(word);
    Ok(found)
}

/// What a statement is about: lists of words.
type Operands = Vec<Vec<Token>>;

/// A statement whose names are not looked up yet.
struct Raw {
    rule: String,
    line: usize,
    written: String,
    verb: Verb,
    operands: Operands,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Verb {
    Component,
    Layers { strict: bool },
    Forbid,
    Require,
    Cover,
    Allow,
    Except,
}

/// Walks along the tokens of a statement.
struct Cursor<'t> {
    rest: &'t [Token],
    end: usize,
}

impl<'t> Cursor<'t> {
    fn next(&mut self) -> Option<&'t Token> {
        let (first, rest) = self.rest.split_first()?;
        self.rest = rest;
        Some(first)
    }

    fn column(&self) -> usize {
        self.rest.first().map_or(self.end, |token| token.column)
    }

    fn sign(&mut self, sign: &str) -> bool {
        let found = self.rest.first().is_some_and(|token| token.sign && token.text == sign);
        if found {
            self.next();
        }
        found
    }

    fn word(&mut self, what: &str) -> Result<Token, Mistake> {
        let column = self.column();
        match self.next() {
            Some(token) if !token.sign && !token.text.is_empty() => Ok(token.clone()),
            Some(token) if token.sign => Err((column, format!("{:?} where {what}", token.text))),
            Some(_) => Err((column, format!("an empty name where {what}"))),
            None => Err((column, format!("the line ends where {what}"))),
        }
    }

    fn list(&mut self, what: &str) -> Result<Vec<Token>, Mistake> {
        let mut words = vec![self.word(what)?];
        while self.sign(",") {
            words.push(self.word(what)?);
        }
        Ok(words)
    }

    fn done(&self, form: &str) -> Result<(), Mistake> {
        match self.rest.first() {
            None => Ok(()),
            Some(token) => {
                Err((token.column, format!("{:?} is too much; write {form}", token.text)))
            }
        }
    }
}

/// Reads the statement on a line; `None` where there is none.
fn statement(line: &str) -> Result<Option<(Verb, Operands)>, Mistake> {
    let all = tokens(line)?;
    let mut at = Cursor { rest: &all, end: line.trim_end().chars().count() + 1 };
    let Some(first) = at.next() else { return Ok(None) };
    let mut verb = match first.text.as_str() {
        "component" => Verb::Component,
        "layers" => Verb::Layers { strict: false },
        "strict" => Verb::Layers { strict: true },
        "forbid" => Verb::Forbid,
        "require" => Verb::Require,
        "cover" => Verb::Cover,
        "allow" => Verb::Allow,
        "except" => Verb::Except,
        other => {
            let message = format!("{other:?} begins no statement; write {STATEMENTS}");
            return Err((first.column, message));
        }
    };
    if first.text == "strict" {
        let column = at.column();
        if at.next().is_none_or(|token| token.text != "layers") {
            return Err((column, "strict stands before layers: strict layers A > B".to_owned()));
        }
        verb = Verb::Layers { strict: true };
    }
    let operands = match verb {
        Verb::Component => {
            let form = "component NAME = GLOB, GLOB";
            let name = at.word("the component's name must stand: write component NAME = GLOB")?;
            if name.text.contains(['/', '*', '?', '{', '[', ':']) {
                let message = format!("{:?} looks like a pattern; write {form}", name.text);
                return Err((name.column, message));
            }
            let column = at.column();
            if !at.sign("=") {
                return Err((column, format!("= is missing; write {form}")));
            }
            let globs = at.list("a glob must stand: write component NAME = GLOB")?;
            at.done(form)?;
            vec![vec![name], globs]
        }
        Verb::Layers { .. } => {
            let form = "layers TOP > MIDDLE > BOTTOM";
            let mut layers = vec![at.list("the top layer must stand: write layers TOP > BOTTOM")?];
            while at.sign(">") {
                layers.push(at.list("a layer must stand: write layers TOP > BOTTOM")?);
            }
            at.done(form)?;
            if layers.len() < 2 {
                return Err((at.column(), format!("one layer says nothing; write {form}")));
            }
            layers
        }
        Verb::Cover => {
            let globs = at.list("a glob must stand: write cover GLOB")?;
            at.done("cover GLOB, GLOB")?;
            vec![globs]
        }
        Verb::Forbid | Verb::Require | Verb::Allow | Verb::Except => {
            let known = matches!(verb, Verb::Allow | Verb::Except);
            let word = &first.text;
            let form = match known {
                true => format!("{word} FILE -> FILE for RULE"),
                false => format!("{word} A -> B"),
            };
            let from = at.word(&format!("what imports must stand: write {form}"))?;
            let column = at.column();
            if !at.sign("->") {
                return Err((column, format!("-> is missing; write {form}")));
            }
            let to = at.word(&format!("what is imported must stand: write {form}"))?;
            let mut operands = vec![vec![from], vec![to]];
            if known && at.rest.first().is_some_and(|token| token.text == "for") {
                at.next();
                operands.push(vec![at.word(&format!("a rule's key must stand: write {form}"))?]);
            }
            at.done(&form)?;
            operands
        }
    };
    Ok(Some((verb, operands)))
}

/// Reads rules, given as key and text; without a key each statement is its own.
pub(super) fn read<'t>(
    texts: impl IntoIterator<Item = (Option<&'t str>, &'t str)>,
) -> (Rules, Vec<SyntaxError>) {
    let mut raws: Vec<Raw> = Vec::new();
    let mut mistakes: Vec<SyntaxError> = Vec::new();
    let mut bytes = 0_usize;
    for (key, text) in texts {
        bytes = bytes.saturating_add(text.len());
        let mut mistake = |line: usize, (column, message): Mistake, written: &str| {
            let rule = key.unwrap_or(written).to_owned();
            mistakes.push(SyntaxError { rule, line, column, message });
        };
        if bytes > RULES_BYTES_MAX || raws.len() > STATEMENTS_MAX {
            let message = format!(
                "the rules are more than {STATEMENTS_MAX} statements or {RULES_BYTES_MAX} bytes; \
                 use wider globs"
            );
            mistake(1, (1, message), "all rules");
            break;
        }
        for (at, line) in text.lines().enumerate() {
            let written = line.trim();
            match statement(line) {
                Ok(None) => {}
                Ok(Some((verb, operands))) => {
                    let written = uncommented(written);
                    let rule = key.unwrap_or(&written).to_owned();
                    raws.push(Raw { rule, line: at + 1, written, verb, operands });
                }
                Err(found) => mistake(at + 1, found, written),
            }
        }
    }
    let statements = look_up(raws, &mut mistakes);
    mistakes.sort();
    let broken: BTreeSet<&str> = mistakes.iter().map(|mistake| mistake.rule.as_str()).collect();
    let sound = |statement: &Statement| !broken.contains(statement.rule.as_str());
    let statements = statements.into_iter().filter(sound).collect();
    (Rules { statements }, mistakes)
}

/// A line without its comment, which begins at a `#` between words.
fn uncommented(line: &str) -> String {
    let mut quoted = false;
    let mut before = ' ';
    for (at, c) in line.char_indices() {
        match c {
            '"' if before != '\\' => quoted = !quoted,
            '#' if !quoted && before.is_whitespace() => {
                return line.get(..at).unwrap_or(line).trim_end().to_owned();
            }
            _ => {}
        }
        before = c;
    }
    line.to_owned()
}

fn patterns(globs: &[Token]) -> Result<Vec<Pattern>, Mistake> {
    let pattern = |glob: &Token| {
        Pattern::new(&glob.text).map_err(|why| {
            let message = format!("{:?} is no glob ({why}); write src/** or src/*.rs", glob.text);
            (glob.column, message)
        })
    };
    globs.iter().map(pattern).collect()
}

/// The same, by the names that components have.
fn look_up(raws: Vec<Raw>, mistakes: &mut Vec<SyntaxError>) -> Vec<Statement> {
    let mut components: BTreeMap<String, Vec<Pattern>> = BTreeMap::new();
    for raw in raws.iter().filter(|raw| raw.verb == Verb::Component) {
        let [name, globs] = raw.operands.as_slice() else { continue };
        let Some(name) = name.first() else { continue };
        let read = patterns(globs).and_then(|patterns| {
            if components.contains_key(&name.text) {
                let message = format!(
                    "there is a component {} already; write all its globs in one statement",
                    name.text
                );
                return Err((name.column, message));
            }
            components.insert(name.text.clone(), patterns);
            Ok(())
        });
        if let Err((column, message)) = read {
            let rule = raw.rule.clone();
            mistakes.push(SyntaxError { rule, line: raw.line, column, message });
        }
    }
    let mut statements = Vec::new();
    for raw in raws {
        match clause(&raw, &components) {
            Ok(clause) => {
                let Raw { rule, line, written, .. } = raw;
                statements.push(Statement { rule, line, written, clause });
            }
            // What is wrong with a component's own globs was said above.
            Err(_) if raw.verb == Verb::Component => {}
            Err((column, message)) => {
                mistakes.push(SyntaxError { rule: raw.rule, line: raw.line, column, message });
            }
        }
    }
    statements
}

fn part(word: &Token, components: &BTreeMap<String, Vec<Pattern>>) -> Result<Part, Mistake> {
    let written = word.text.clone();
    if let Some(patterns) = components.get(&written) {
        return Ok(Part { written, patterns: patterns.clone() });
    }
    if written.contains(['/', '*', '?', '.', ':', '{', '[']) {
        let patterns = patterns(std::slice::from_ref(word))?;
        return Ok(Part { written, patterns });
    }
    let known: Vec<&str> = components.keys().map(String::as_str).take(8).collect();
    let known = match known.is_empty() {
        true => "none is defined".to_owned(),
        false => format!("there are {}", known.join(", ")),
    };
    let message = format!(
        "there is no component {written} ({known}); write component {written} = GLOB, or a glob"
    );
    Err((word.column, message))
}

fn clause(raw: &Raw, components: &BTreeMap<String, Vec<Pattern>>) -> Result<Clause, Mistake> {
    let parts = |words: &[Token]| -> Result<Vec<Part>, Mistake> {
        words.iter().map(|word| part(word, components)).collect()
    };
    let word = |at: usize| raw.operands.get(at).and_then(|words| words.first());
    let missing = || (1, "the statement is not whole".to_owned());
    let pair = || -> Result<(Part, Part), Mistake> {
        let from = word(0).ok_or_else(missing)?;
        if from.text.starts_with("pkg:") {
            let message = "what is imported from outside imports nothing here; write it behind ->";
            return Err((from.column, message.to_owned()));
        }
        let to = word(1).ok_or_else(missing)?;
        Ok((part(from, components)?, part(to, components)?))
    };
    Ok(match raw.verb {
        Verb::Component => {
            let written = word(0).ok_or_else(missing)?.text.clone();
            let patterns = patterns(raw.operands.get(1).ok_or_else(missing)?)?;
            Clause::Component(Part { written, patterns })
        }
        Verb::Layers { strict } => {
            let layers = raw.operands.iter().map(|layer| parts(layer));
            Clause::Layers { layers: layers.collect::<Result<_, _>>()?, strict }
        }
        Verb::Forbid => {
            let (from, to) = pair()?;
            Clause::Forbid(from, to)
        }
        Verb::Require => {
            let (from, to) = pair()?;
            Clause::Require(from, to)
        }
        Verb::Cover => {
            let globs = raw.operands.first().ok_or_else(missing)?;
            let written: Vec<&str> = globs.iter().map(|glob| glob.text.as_str()).collect();
            Clause::Cover(Part { written: written.join(", "), patterns: patterns(globs)? })
        }
        Verb::Allow | Verb::Except => {
            let text = |at: usize| word(at).map(|word| word.text.clone());
            let from = text(0).ok_or_else(missing)?;
            let to = text(1).ok_or_else(missing)?;
            let exception = Exception { from, to, rule: text(2) };
            match raw.verb {
                Verb::Allow => Clause::Allow(exception),
                _ => Clause::Except(exception),
            }
        }
    })
}
