//! Which expressions are constants, and which of those are the default of their type.

use crate::syntax::{Id, Syntax};

/// A constant expression.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Constant {
    /// A literal default: nothing, zero, false, an empty text or collection, success without value.
    Default,
    /// A value made without arguments: `Report::new()`, `new Report()`, `Report{}`.
    Fresh,
    /// Any other: `true`, `42`, `"x"`.
    Other,
}

/// Constants nested deeper are none.
const DEPTH_MAX: usize = 5;

/// What constant the expression is; `None` where it is none.
pub(crate) fn constant(syntax: &Syntax<'_>, id: Id, depth: usize) -> Option<Constant> {
    if depth > DEPTH_MAX {
        return None;
    }
    let of = |id: Id| constant(syntax, id, depth + 1);
    let parts = || syntax.parts(id);
    let every = |parts: &[Id]| {
        let each: Option<Vec<Constant>> = parts.iter().map(|part| of(*part)).collect();
        each.map(|each| each.into_iter().max().unwrap_or(Constant::Default))
    };
    let text = syntax.text(id);
    match syntax.kind(id) {
        "integer_literal"
        | "float_literal"
        | "number"
        | "integer"
        | "float"
        | "int_literal"
        | "decimal_integer_literal"
        | "decimal_floating_point_literal"
        | "hex_integer_literal"
        | "imaginary_literal" => Some(number(text)),
        "string_literal"
        | "raw_string_literal"
        | "string"
        | "interpreted_string_literal"
        | "template_string"
        | "char_literal"
        | "rune_literal"
        | "character_literal" => {
            let filled = syntax.within(id).any(|part| {
                matches!(
                    syntax.kind(part),
                    "interpolation" | "template_substitution" | "string_interpolation"
                )
            });
            let inner = text
                .trim_start_matches(['r', 'b', 'f', 'u', '#'])
                .trim_matches(['"', '\'', '`', '#']);
            (!filled).then_some(if inner.is_empty() { Constant::Default } else { Constant::Other })
        }
        "true" | "false" | "boolean_literal" => Some(truth(text)),
        "none" | "null" | "nil" | "undefined" | "null_literal" | "unit_expression" => {
            Some(Constant::Default)
        }
        "identifier" | "field_identifier" | "type_identifier" => match text {
            "None" | "undefined" | "nil" | "null" | "False" => Some(Constant::Default),
            "true" | "True" => Some(Constant::Other),
            _ => (text.len() > 1 && !text.chars().any(char::is_lowercase)).then(|| named(text)),
        },
        "scoped_identifier"
        | "field_access"
        | "attribute"
        | "member_expression"
        | "selector_expression" => {
            let last = text.rsplit(['.', ':']).next().unwrap_or_default();
            (last.len() > 1 && !last.chars().any(char::is_lowercase) && !text.contains('('))
                .then(|| named(last))
        }
        "tuple_expression" | "tuple" | "expression_list" | "array_expression" | "list"
        | "array" | "array_initializer" => every(&parts()),
        "dictionary" | "object" | "set" => {
            let values =
                parts().into_iter().map(|pair| syntax.field(pair, "value").unwrap_or(pair));
            every(&values.collect::<Vec<_>>())
        }
        "parenthesized_expression"
        | "as_expression"
        | "satisfies_expression"
        | "non_null_expression"
        | "reference_expression"
        | "unary_expression"
        | "unary_operator"
        | "type_cast_expression" => parts().first().and_then(|inner| of(*inner)),
        "cast_expression" => syntax.field(id, "value").and_then(of),
        "composite_literal" => {
            syntax.field(id, "body").filter(|body| syntax.parts(*body).is_empty()).map(|_| {
                if text.starts_with('[') || text.starts_with("map") {
                    Constant::Default
                } else {
                    Constant::Fresh
                }
            })
        }
        "object_creation_expression" | "new_expression" => {
            let list = syntax.field(id, "arguments");
            let body = syntax.children(id).any(|part| syntax.kind(part) == "class_body");
            (!body && list.is_none_or(|list| syntax.parts(list).is_empty()))
                .then_some(Constant::Fresh)
        }
        "array_creation_expression" => {
            text.replace(' ', "").ends_with("[0]").then_some(Constant::Default)
        }
        "macro_invocation" => {
            let text: String = text.split_whitespace().collect();
            matches!(
                text.as_str(),
                "vec![]" | "vec!()" | "vec!{}" | "json!({})" | "json!(null)" | "String::new()"
            )
            .then_some(Constant::Default)
        }
        "call_expression" | "call" | "method_invocation" => call(syntax, id, depth),
        _ => None,
    }
}

fn number(text: &str) -> Constant {
    let digits = text.trim_start_matches("0x").trim_start_matches("0b");
    let digits =
        digits.split(['u', 'i', 'L', 'l', 'f', 'F', 'd', 'D', 'n', 'e']).next().unwrap_or_default();
    if digits.chars().all(|c| matches!(c, '0' | '.' | '_')) {
        Constant::Default
    } else {
        Constant::Other
    }
}

fn truth(text: &str) -> Constant {
    if text.eq_ignore_ascii_case("true") { Constant::Other } else { Constant::Default }
}

fn named(name: &str) -> Constant {
    if matches!(name, "ZERO" | "EMPTY" | "NONE") { Constant::Default } else { Constant::Other }
}

fn call(syntax: &Syntax<'_>, id: Id, depth: usize) -> Option<Constant> {
    let list = syntax.field(id, "arguments")?;
    let arguments = syntax.parts(list);
    let text: String = syntax.text(id).split_whitespace().collect();
    let head = text.split('(').next().unwrap_or_default();
    let of = |id: Id| constant(syntax, id, depth + 1);
    let wraps = matches!(
        head,
        "Ok" | "Some"
            | "Box::new"
            | "Arc::new"
            | "Rc::new"
            | "Cow::Borrowed"
            | "String::from"
            | "Promise.resolve"
            | "CompletableFuture.completedFuture"
            | "Optional.of"
            | "Mono.just"
            | "Poll::Ready"
            | "Cow::Owned"
    );
    if wraps {
        let each: Option<Vec<Constant>> = arguments.iter().map(|part| of(*part)).collect();
        return each.map(|each| each.into_iter().max().unwrap_or(Constant::Default));
    }
    if matches!(head, "Err" | "errors.New") {
        return arguments.first().and_then(|part| of(*part)).map(|_| Constant::Other);
    }
    // `"".to_string()`
    let function = syntax.field(id, "function").or_else(|| syntax.field(id, "object"));
    if let Some(function) = function
        && (head.starts_with('"') || head.starts_with("[]"))
        && arguments.is_empty()
    {
        let receiver = syntax.children(function).next().unwrap_or(function);
        return of(receiver);
    }
    if !arguments.is_empty() {
        let make = head == "make" && arguments.len() == 1;
        return make.then_some(Constant::Default);
    }
    let last = head.rsplit(['.', ':']).next().unwrap_or_default();
    let collection =
        ["Vec", "String", "HashMap", "BTreeMap", "HashSet", "BTreeSet", "VecDeque", "Default"];
    let owner = head.rsplit_once("::").map(|(owner, _)| owner.rsplit("::").next().unwrap_or(owner));
    let owner = owner.map(|owner| owner.split('<').next().unwrap_or(owner));
    let plain =
        matches!(
            head,
            "dict"
                | "list"
                | "set"
                | "tuple"
                | "str"
                | "int"
                | "float"
                | "bool"
                | "frozenset"
                | "bytes"
        ) || matches!(head, "List.of" | "Map.of" | "Set.of" | "Stream.of" | "ImmutableList.of")
            || head.starts_with("Collections.empty")
            || last == "empty" && head.len() > 5;
    if plain || owner.is_some_and(|owner| collection.contains(&owner)) {
        return Some(Constant::Default);
    }
    let fresh = matches!(last, "new" | "default") && head.contains("::")
        || syntax.kind(id) == "call" && head.starts_with(char::is_uppercase) && !head.contains('.');
    fresh.then_some(Constant::Fresh)
}
