//! The shape of a function's body, and whether that shape is a stub that nothing marks.
//!
//! A body that only returns a default is a stub in `parse(text)` and finished in `name()`. What
//! decides is whether the function has something to do: parameters that it does not look at, a name
//! that says an action, a body that was there before. What others define (methods of traits,
//! interfaces, base classes) may well have nothing to do, so it takes more to accuse them.

use crate::Severity;
use crate::constant::{Constant, constant};
use crate::function::{Function, family};
use crate::rules::rules;
use crate::syntax::{Id, Syntax};

/// What a body amounts to.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Body {
    /// The hashes of what it does: statements without comments, docstrings and mere discards.
    statements: Vec<u64>,
    logs: usize,
    constant: Option<Constant>,
    /// Whether anything of it looks at a parameter, log statements aside.
    uses_parameter: bool,
    logs_parameter: bool,
    /// Whether a comment in it gives a reason.
    reason: bool,
    commented_code: bool,
    returns_value: bool,
    /// Whether the last statement returns a value.
    ends: bool,
    /// Whether a log statement says no more than that the function was called.
    says_called: bool,
    diverges: bool,
    dangling: bool,
}

impl Body {
    fn empty(&self) -> bool {
        self.statements.is_empty()
    }

    /// Whether it is nothing, a constant, or log statements with or without a constant after them.
    pub(crate) fn trivial(&self) -> bool {
        let rest = self.statements.len() - self.logs.min(self.statements.len());
        rest == 0 || rest == 1 && self.constant.is_some()
    }
}

const NESTED: [&str; 12] = [
    "function_item",
    "closure_expression",
    "function_definition",
    "lambda",
    "arrow_function",
    "function_expression",
    "function_declaration",
    "method_definition",
    "func_literal",
    "lambda_expression",
    "class_body",
    "async_block",
];

/// The statements of a body: those of the block, or the one expression of an arrow function.
pub(crate) fn statements(syntax: &Syntax<'_>, body: Id) -> Vec<Id> {
    let block = matches!(syntax.kind(body), "block" | "statement_block" | "constructor_body");
    if !block {
        return vec![body];
    }
    let mut parts = syntax.parts(body);
    if let [list] = parts.as_slice()
        && syntax.kind(*list) == "statement_list"
    {
        parts = syntax.parts(*list);
    }
    let idle = |id: &Id| {
        let only = syntax.children(*id).next().map(|child| syntax.kind(child));
        match syntax.kind(*id) {
            "pass_statement" | "empty_statement" => true,
            // A docstring, an ellipsis, `'use strict'`.
            "expression_statement" => matches!(only, Some("string" | "ellipsis")),
            _ => false,
        }
    };
    parts.retain(|id| !idle(id));
    parts
}

/// The expression of a statement that is a return or an expression; whether it is a return.
fn value_of(syntax: &Syntax<'_>, statement: Id) -> (Id, bool) {
    let mut id = statement;
    let mut returns = false;
    while matches!(
        syntax.kind(id),
        "expression_statement" | "return_statement" | "return_expression"
    ) {
        returns |= syntax.kind(id) != "expression_statement";
        match syntax.parts(id).first() {
            Some(inner) => id = *inner,
            None => break,
        }
    }
    (id, returns)
}

/// Whether a statement only says something to somebody.
fn is_log(syntax: &Syntax<'_>, statement: Id) -> bool {
    const HEADS: [&str; 36] = [
        "println!",
        "print!",
        "eprintln!",
        "eprint!",
        "dbg!",
        "log::",
        "tracing::",
        "info!",
        "warn!",
        "debug!",
        "error!",
        "trace!",
        "console.",
        "print(",
        "logger.",
        "logging.",
        "log.",
        "LOG.",
        "LOGGER.",
        "self.logger.",
        "self.log.",
        "self._logger.",
        "this.logger.",
        "this.log.",
        "_logger.",
        "fmt.Print",
        "slog.",
        "System.out.",
        "System.err.",
        "process.stdout.",
        "sys.stdout.",
        "logger.log(",
        "warnings.warn(",
        "s.logger.",
        "s.log.",
        "log(",
    ];
    let (value, returns) = value_of(syntax, statement);
    let text = syntax.text(value);
    let call = matches!(
        syntax.kind(value),
        "call" | "call_expression" | "macro_invocation" | "method_invocation"
    );
    call && !returns
        && HEADS.iter().any(|head| text.starts_with(head))
        && !text.starts_with("log.Fatal")
}

/// Whether a log statement's text is the function's name, perhaps with "called".
fn says_called(text: &str, name: &str) -> bool {
    let inner = text.split_once(['"', '\'', '`']).map_or("", |(_, rest)| rest);
    let inner = inner.split(['"', '\'', '`']).next().unwrap_or_default();
    let rest = inner.replacen(name, "", 1);
    let rest = rest.trim_matches(|c: char| !c.is_alphanumeric());
    inner.contains(name)
        && matches!(rest, "" | "called" | "invoked" | "entered" | "was called" | "running")
}

/// Whether a statement only takes note of names, as `let _ = input;` and `del input` do.
fn is_discard(syntax: &Syntax<'_>, statement: Id) -> bool {
    let text: String = syntax.text(statement).split_whitespace().collect();
    let text = text.trim_end_matches(';');
    let rest =
        ["let_=", "_=", "void", "del", "drop("].iter().find_map(|head| text.strip_prefix(head));
    rest.is_some_and(|rest| {
        let rest = rest.trim_end_matches(')').trim_start_matches(['(', '&']);
        !rest.is_empty() && rest.chars().all(|c| c.is_alphanumeric() || c == '_' || c == ',')
    })
}

/// What a comment or docstring says of a body that does nothing on purpose.
const IDLE: [&str; 13] = [
    "no-op",
    "noop",
    "nothing",
    "intentional",
    "deliberate",
    "on purpose",
    "overrid",
    "subclass",
    "called when",
    "called if",
    "called by",
    "hook",
    "default implementation",
];

/// What comments say within a node: a reason (three words or more), and code.
fn comments(syntax: &Syntax<'_>, body: Id) -> (bool, bool) {
    let (mut reason, mut code) = (false, 0);
    for id in syntax.within(body).filter(|id| syntax.comment(*id)) {
        for line in syntax.text(id).lines() {
            let line = line.trim().trim_start_matches(['/', '*', '#', '!']).trim();
            let ends =
                line.ends_with([';', '{', '}']) || line.ends_with("):") || line.ends_with("()");
            let assigns =
                line.contains(" = ") || line.contains(" := ") || line.starts_with("return ");
            if ends && line.contains(['(', '=', '{', '}']) || assigns && !line.ends_with('.') {
                code += 1;
            } else {
                let open = crate::completeness::is_marker(line);
                let lower = line.to_lowercase();
                let idle = IDLE.iter().any(|word| lower.contains(word));
                let long = line.split_whitespace().filter(|word| word.len() > 1).count() >= 3;
                reason |= !open && (long || idle);
            }
        }
    }
    let docstring = syntax.parts(body).first().copied().filter(|first| {
        syntax.language == crate::Language::Python && syntax.text(*first).starts_with(['"', '\''])
    });
    let docstring = docstring.map(|first| syntax.text(first).to_lowercase()).unwrap_or_default();
    reason |= IDLE.iter().any(|word| docstring.contains(word));
    (reason && code == 0, code >= 2)
}

fn diverges(syntax: &Syntax<'_>, statement: Id) -> bool {
    let (value, _) = value_of(syntax, statement);
    let text = syntax.text(value);
    if matches!(family(syntax.language), "python" | "js")
        && syntax.kind(value).ends_with("_statement")
    {
        return leaves(syntax, value);
    }
    const CALLS: [&str; 14] = [
        "panic",
        "unreachable!",
        "todo!",
        "unimplemented!",
        "process::exit",
        "std::process::exit",
        "os.Exit",
        "log.Fatal",
        "sys.exit",
        "System.exit",
        "process.exit",
        "exit(",
        "std::process::abort",
        "abort",
    ];
    matches!(
        syntax.kind(value),
        "raise_statement"
            | "throw_statement"
            | "while_statement"
            | "loop_expression"
            | "while_expression"
            | "for_statement"
            | "match_expression"
            | "match_statement"
            | "switch_statement"
            | "try_statement"
            | "select_statement"
            | "expression_switch_statement"
            | "type_switch_statement"
            | "switch_expression"
            | "if_statement"
            | "if_expression"
            | "with_statement"
            | "unsafe_block"
            | "block"
            | "macro_invocation"
            | "synchronized_statement"
            | "labeled_statement"
            | "do_statement"
            | "try_with_resources_statement"
            | "assert_statement"
            | "goto_statement"
    ) || CALLS.iter().any(|call| text.starts_with(call))
}

/// Whether control may be meant to end within a statement, where falling off the end is allowed.
fn leaves(syntax: &Syntax<'_>, statement: Id) -> bool {
    let text = syntax.text(statement);
    let out =
        || ["return", "raise", "throw", "exit(", "yield"].iter().any(|word| text.contains(word));
    match syntax.kind(statement) {
        "raise_statement" | "throw_statement" => true,
        "while_statement" => {
            ["while True", "while 1", "while (true)"].iter().any(|head| text.starts_with(head))
        }
        "for_statement" => text.starts_with("for (;;)") || text.contains("yield"),
        "if_statement" => text.contains("else") && out(),
        "for_in_statement" | "do_statement" => text.contains("yield"),
        _ => out(),
    }
}

/// Whether a statement defines a local that nothing after it can use.
fn defines(syntax: &Syntax<'_>, statement: Id, body: Id) -> bool {
    let inner = syntax.parts(statement);
    let name = match syntax.kind(statement) {
        "let_declaration" => syntax.field(statement, "pattern"),
        "expression_statement" => inner
            .first()
            .filter(|id| {
                syntax.kind(**id) == "assignment" && syntax.language == crate::Language::Python
            })
            .and_then(|id| syntax.field(*id, "left")),
        "lexical_declaration" | "variable_declaration" | "local_variable_declaration" => {
            inner.last().and_then(|id| syntax.field(*id, "name"))
        }
        "short_var_declaration" => syntax.field(statement, "left"),
        _ => None,
    };
    let Some(name) = name else { return false };
    let text = syntax.text(name);
    let plain = text.chars().all(|c| c.is_alphanumeric() || c == '_') && !text.starts_with('_');
    plain && syntax.identifiers(body).filter(|other| *other == text).count() == 1
}

/// Looks at the body of `function`.
pub(crate) fn look(syntax: &Syntax<'_>, function: &Function) -> Option<Body> {
    let body = function.body_node?;
    let all = statements(syntax, body);
    let kept: Vec<Id> = all.into_iter().filter(|id| !is_discard(syntax, *id)).collect();
    let (reason, commented_code) = comments(syntax, body);
    let mut found = Body { reason, commented_code, ..Body::default() };
    let parameter = |name: &str| function.parameters.iter().any(|parameter| parameter == name);
    for id in &kept {
        let log = is_log(syntax, *id);
        found.logs += usize::from(log);
        found.says_called |= log && says_called(syntax.text(*id), function.short_name());
        found.statements.push(syntax.hash(*id));
        // Names in the text of a format string are uses too.
        let named = syntax.identifiers(*id).any(parameter)
            || function
                .parameters
                .iter()
                .any(|name| syntax.text(*id).contains(&format!("{{{name}")));
        let used = named || syntax.text(*id).contains("arguments");
        found.uses_parameter |= used && !log;
        found.logs_parameter |= used && log;
    }
    let arrow = !matches!(syntax.kind(body), "block" | "statement_block");
    if let Some(last) = kept.last() {
        let (value, returns) = value_of(syntax, *last);
        let tail = syntax.language == crate::Language::Rust && !syntax.text(*last).ends_with(';');
        let bare = returns && syntax.parts(*last).is_empty();
        if returns || tail || arrow {
            found.constant =
                if bare { Some(Constant::Default) } else { constant(syntax, value, 0) };
        }
        found.returns_value = arrow || tail;
        found.ends = arrow || tail || returns && !bare;
        found.diverges = diverges(syntax, *last);
        let loose = matches!(family(syntax.language), "python" | "js");
        found.dangling = loose && !arrow && defines(syntax, *last, body);
    }
    found.returns_value |= returns_within(syntax, body);
    Some(found)
}

/// Whether the body returns or yields a value somewhere, functions within it left out.
fn returns_within(syntax: &Syntax<'_>, body: Id) -> bool {
    let mut id = body;
    let end = syntax.within(body).end;
    while id < end {
        let kind = syntax.kind(id);
        if id != body && NESTED.contains(&kind) {
            id = syntax.within(id).end;
            continue;
        }
        if kind.starts_with("yield") || kind.starts_with("return") && !syntax.parts(id).is_empty() {
            return true;
        }
        id += 1;
    }
    false
}

/// What is wrong with a body: rule, severity, message.
type Verdict = Option<(&'static str, Severity, &'static str)>;

const EMPTY: Verdict = Some(("empty-body", Severity::Error, "the body is empty"));
const CONSTANT: Verdict = Some((
    "constant-return",
    Severity::Error,
    "the body only returns a constant and looks at nothing it is given",
));
const LOG_ONLY: Verdict =
    Some(("log-only", Severity::Error, "the body only logs, and does not do what it is named for"));
const COMMENTED: Verdict = Some(("commented-out", Severity::Error, "the body is commented out"));
const GUTTED: Verdict =
    Some(("gutted-body", Severity::Error, "the body was replaced by one that does nothing"));
const NO_RETURN: Verdict =
    Some(("missing-return", Severity::Error, "a value is due, and none is ever returned"));
const TRUNCATED: Verdict = Some((
    "truncated-body",
    Severity::Error,
    "the body ends where a value was just made that nothing uses",
));
const SHORTENED: Verdict =
    Some(("truncated-body", Severity::Warning, "half of the body or more was cut off its end"));

/// Whether `now` is a stub.
pub(crate) fn judge(
    syntax: &Syntax<'_>,
    function: &Function,
    now: &Body,
    before: Option<&Body>,
) -> Verdict {
    if function.declaration || function.in_tests || function.constructor {
        return None;
    }
    if now.trivial() && now.commented_code {
        return COMMENTED;
    }
    if let Some(before) = before.filter(|before| !before.trivial()) {
        if now.trivial() {
            return GUTTED;
        }
        let (old, new) = (&before.statements, &now.statements);
        if old.len() >= new.len() + 2 && old.len() >= 2 * new.len() && old.starts_with(new) {
            return SHORTENED;
        }
        // Where the type now says that nothing is returned, the signature was changed with the body.
        let loose = matches!(family(syntax.language), "python" | "js");
        let may =
            if function.returns.is_some() || !loose { owes_value(syntax, function) } else { true };
        let due = may && before.returns_value && !now.returns_value;
        let falls = may && loose && before.ends && !now.ends;
        if (due || falls) && !now.diverges {
            return NO_RETURN;
        }
    }
    let subject = Subject::of(syntax, function);
    let trivial = if now.empty() {
        subject.empty(now)
    } else if now.trivial() && now.logs > 0 {
        subject.log_only(now)
    } else if now.trivial() {
        subject.constant(now)
    } else {
        None
    };
    trivial.or_else(|| {
        if now.dangling {
            return TRUNCATED;
        }
        (subject.owes
            && !now.returns_value
            && !now.diverges
            && !now.empty()
            && !function.overrides)
            .then_some(())?;
        NO_RETURN
    })
}

/// What is known of a function that a trivial body may be right for.
struct Subject<'f> {
    function: &'f Function,
    /// It has parameters, the receiver aside.
    given: bool,
    /// Its name begins with an action.
    doing: bool,
    /// Its whole name is a verb that asks for something that it is given a key to.
    asking: bool,
    /// It is in Rust, and no parameter is marked as unused.
    warned: bool,
    /// It fills a place that wants a function: a setter, a member of an object, a lambda without
    /// parameters.
    slot: bool,
    /// Its name begins like that of a hook.
    hook: bool,
    /// It, or what it belongs to, is there to do nothing.
    quiet: bool,
    /// Its name says that it tells something.
    telling: bool,
    /// Others define it, or may.
    foreign: bool,
    /// A value is due by its return type.
    owes: bool,
    /// It is the default of a trait or interface, or one of an abstract class.
    fallback: bool,
}

impl<'f> Subject<'f> {
    fn of(syntax: &Syntax<'_>, function: &'f Function) -> Self {
        let (rules, name) = (rules(), function.short_name());
        let container = function.container.as_deref().unwrap_or_default();
        const QUIET: [&str; 14] = [
            "noop", "nop", "always", "never", "default", "ignore", "discard", "identity", "dummy",
            "fake", "mock", "unused", "empty", "disabled",
        ];
        let quiet_name =
            crate::rules::words(name).iter().any(|word| QUIET.contains(&word.as_str()));
        let go_method = family(syntax.language) == "go" && !container.is_empty();
        let owner = syntax.ancestors(function.node).find(|up| {
            matches!(
                syntax.kind(*up),
                "trait_item"
                    | "interface_declaration"
                    | "abstract_class_declaration"
                    | "class_declaration"
                    | "impl_item"
                    | "class_definition"
            )
        });
        let fallback = owner.is_some_and(|owner| {
            let head = syntax.text(owner).split('{').next().unwrap_or_default();
            matches!(
                syntax.kind(owner),
                "trait_item" | "interface_declaration" | "abstract_class_declaration"
            ) || head.contains("abstract ")
        });
        Self {
            function,
            given: !function.parameters.is_empty(),
            doing: rules.first_word("doing", name),
            asking: rules.has_word("asking", &name.to_lowercase()),
            warned: family(syntax.language) == "rust"
                && !function.parameters.iter().any(|name| name.starts_with('_')),
            slot: family(syntax.language) == "js" && {
                let own = syntax.kind(function.node);
                let inner =
                    syntax.parent(function.node).is_some_and(|up| syntax.kind(up) == "object");
                let lambda = function.parameters.is_empty()
                    && own != "function_declaration"
                    && own != "method_definition";
                // A function with a capital is a constructor by the custom of JavaScript.
                let class = own == "function_declaration" && name.starts_with(char::is_uppercase);
                class
                    || inner
                    || own == "pair"
                    || lambda
                    || syntax.text(function.node).starts_with("set ")
            },
            hook: rules.first_word("hook", name),
            quiet: quiet_name || rules.any_word("quiet", container),
            telling: rules.any_word("telling", name),
            foreign: function.overrides || go_method || fallback,
            owes: owes_value(syntax, function),
            fallback,
        }
    }

    fn empty(&self, now: &Body) -> Verdict {
        let function = self.function;
        let name = function.short_name();
        let dunder = name.starts_with("__") && name.ends_with("__");
        if self.owes && !self.fallback {
            return EMPTY;
        }
        let owned = function.container.is_some();
        let hook = self.hook && (owned || !self.given);
        let marker = !self.given && self.foreign;
        let unnamed = self.given && function.parameters.iter().all(|name| name.starts_with('_'));
        let slot = self.slot && !self.doing || unnamed && self.foreign;
        let excused = self.quiet || dunder || hook || now.reason || marker || self.fallback || slot;
        let main =
            matches!(name, "main" | "init" | "constructor") || name.starts_with('_') && !self.given;
        let nothing =
            !self.given && function.body.as_ref().is_some_and(|body| body.len() <= 4) && self.hook;
        (!excused && !main && !nothing).then_some(())?;
        EMPTY
    }

    fn constant(&self, now: &Body) -> Verdict {
        let name = self.function.short_name();
        if now.uses_parameter || self.quiet || self.fallback || name.starts_with("__") {
            return None;
        }
        let constant = now.constant?;
        // The compiler of Rust wants an underscore before what is not used; so it is asked for.
        let asked = self.given && constant == Constant::Default && (self.asking || self.warned);
        let by_signature = self.foreign && !self.doing && !asked;
        if self.given {
            let left = self.function.parameters.iter().all(|name| name.starts_with('_'));
            let telling = constant == Constant::Other
                && (self.foreign || !self.doing && (left || now.reason));
            let reasoned = !self.doing && (now.reason || left);
            return if by_signature || telling || reasoned { None } else { CONSTANT };
        }
        (constant == Constant::Default && self.doing && !now.reason).then_some(())?;
        CONSTANT
    }

    fn log_only(&self, now: &Body) -> Verdict {
        let only_logs = now.statements.len() == now.logs;
        if now.says_called && !self.quiet && !self.fallback {
            return LOG_ONLY;
        }
        if self.telling || self.quiet || self.hook && !self.doing || self.fallback || now.reason {
            return None;
        }
        let ignores = self.given && !now.logs_parameter && !now.uses_parameter;
        let stub = if only_logs {
            self.doing || ignores && !self.foreign
        } else {
            !now.uses_parameter && (self.doing || ignores && !self.foreign)
        };
        stub.then_some(())?;
        LOG_ONLY
    }
}

fn owes_value(syntax: &Syntax<'_>, function: &Function) -> bool {
    let Some(returns) = &function.returns else { return false };
    let returns: String = returns.split_whitespace().collect();
    let asynchronous =
        syntax.text(function.node).starts_with("async") || returns.starts_with("Promise<");
    match family(syntax.language) {
        "rust" => !matches!(returns.as_str(), "()" | "!") && !returns.starts_with("impl"),
        "python" => {
            let none = ["None", "NoReturn", "Never", "Any", "object"].contains(&returns.as_str());
            let maybe = returns.contains("None")
                || returns.contains("Optional")
                || returns.contains("Generator");
            !none && !maybe && !returns.contains("Iterator") && !returns.contains("Iterable")
        }
        "js" => {
            let none = ["void", "undefined", "never", "any", "unknown", "this"]
                .contains(&returns.as_str());
            let none = none
                || returns.contains("void")
                || returns.contains("undefined")
                || returns.starts_with("asserts");
            !(none || asynchronous && returns.contains("never"))
        }
        // Named results are returned by a bare return.
        "go" => {
            let named = returns.starts_with('(')
                && function.returns.as_ref().is_some_and(|r| {
                    r.trim_matches(['(', ')'])
                        .split(',')
                        .next()
                        .is_some_and(|one| one.trim().contains(' ') && !one.contains("func"))
                });
            !named
        }
        _ => returns != "void" && returns != "Void",
    }
}
