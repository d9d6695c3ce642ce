//! A function with its body replaced by a default: what some test has to notice.
//!
//! This is the extreme mutation of Niedermayr, Juergens and Wagner ("Will my tests tell me if I
//! break this code?", 2016): if no test fails on it, nothing tests the function.

use crate::Language;
use crate::function::{Function, family, functions};
use crate::syntax::{Syntax, parse};

/// `text` (the file at `path`) with the body of `function` replaced by a default of what it
/// returns.
///
/// `None` where no default can be written (it returns a reference, it constructs, it declares, it
/// never returns), where it has that body already, or where the result would not be of the
/// grammar. The result may still not compile (a type without `Default`): such a mutant says nothing.
pub fn with_default_body(path: &str, text: &str, function: &Function) -> Option<String> {
    let language = Language::of(path)?;
    if function.constructor || function.declaration || function.test {
        return None;
    }
    let range = function.body.clone()?;
    let old = text.get(range.clone())?;
    let body = match family(language) {
        "rust" => rust_body(function)?,
        "python" => python_body(old)?,
        "js" => js_body(language, function, old)?,
        "go" => go_body(function, old)?,
        _ => java_body(function)?,
    };
    let mut mutant = String::with_capacity(text.len() + body.len());
    mutant.push_str(text.get(..range.start)?);
    mutant.push_str(&body);
    mutant.push_str(text.get(range.end..)?);
    let now = functions(path, &mutant);
    let differs =
        now.iter().find(|now| now.range.start == function.range.start)?.hash != function.hash;
    (differs && errors(language, &mutant)? <= errors(language, text)?).then_some(mutant)
}

fn errors(language: Language, text: &str) -> Option<usize> {
    let tree = parse(language, text)?;
    let syntax = Syntax::of(&tree);
    Some(syntax.all().filter(|id| syntax.broken(*id)).count())
}

/// Splits at commas that are in no bracket.
fn split(text: &str) -> Vec<&str> {
    let (mut depth, mut start, mut parts) = (0_i32, 0, Vec::new());
    let mut before = ' ';
    for (at, c) in text.char_indices() {
        match c {
            '(' | '[' | '{' | '<' => depth += 1,
            ')' | ']' | '}' => depth -= 1,
            '>' if before != '-' => depth -= 1,
            ',' if depth == 0 => {
                parts.extend(text.get(start..at));
                start = at + 1;
            }
            _ => {}
        }
        before = c;
    }
    parts.extend(text.get(start..));
    parts.into_iter().map(str::trim).filter(|part| !part.is_empty()).collect()
}

/// A default of a Rust type; `None` where none can be written.
pub(crate) fn rust_default(kind: &str, depth: usize) -> Option<String> {
    let kind = kind.trim();
    if depth > 8 {
        return None;
    }
    let (head, inner) = match kind.split_once('<') {
        Some((head, rest)) => (head, rest.strip_suffix('>').unwrap_or(rest)),
        None => (kind, ""),
    };
    let last = head.rsplit("::").next().unwrap_or(head).trim();
    let first = || rust_default(split(inner).first().copied().unwrap_or("()"), depth + 1);
    if let Some(list) = kind.strip_prefix('(').and_then(|rest| rest.strip_suffix(')')) {
        let parts: Option<Vec<String>> =
            split(list).iter().map(|part| rust_default(part, depth + 1)).collect();
        let parts = parts?;
        return Some(if parts.len() == 1 {
            format!("({},)", parts.concat())
        } else {
            format!("({})", parts.join(", "))
        });
    }
    if let Some(rest) = kind.strip_prefix('&') {
        let lifetime = rest.trim_start().starts_with('\'');
        let target =
            if lifetime { rest.split_once(' ').map_or("", |(_, target)| target) } else { rest };
        return match target.trim() {
            "str" => Some("\"\"".into()),
            target if target.starts_with('[') && !target.contains(';') => Some("&[]".into()),
            _ => None,
        };
    }
    Some(match last {
        "!" | "" => return None,
        "bool" => "false".into(),
        "u8" | "u16" | "u32" | "u64" | "u128" | "usize" | "i8" | "i16" | "i32" | "i64" | "i128"
        | "isize" => "0".into(),
        "f32" | "f64" => "0.0".into(),
        "char" => "'\\0'".into(),
        "String" => "String::new()".into(),
        "Option" => "None".into(),
        "Vec" => "Vec::new()".into(),
        "Result" => format!("Ok({})", first()?),
        "Box" | "Rc" | "Arc" if inner.starts_with("dyn ") => return None,
        "Box" | "Rc" | "Arc" => format!("{last}::new({})", first()?),
        _ if kind.starts_with("impl ") && kind.contains("Iterator") => "std::iter::empty()".into(),
        _ if kind.starts_with("impl ") || kind.starts_with("dyn ") || kind.starts_with('*') => {
            return None;
        }
        _ if kind.starts_with("fn") => return None,
        _ => "Default::default()".into(),
    })
}

fn rust_body(function: &Function) -> Option<String> {
    match &function.returns {
        None => Some("{}".into()),
        Some(kind) if kind.trim() == "()" => Some("{}".into()),
        Some(kind) => Some(format!("{{ {} }}", rust_default(kind, 0)?)),
    }
}

fn python_body(old: &str) -> Option<String> {
    let same = matches!(old.trim(), "return None" | "return" | "pass" | "...");
    (!same).then(|| "return None".into())
}

fn js_body(language: Language, function: &Function, old: &str) -> Option<String> {
    let any = if language == Language::JavaScript { "" } else { " as any" };
    let returns = function.returns.as_deref().unwrap_or_default();
    if returns.contains("never") {
        return None;
    }
    if !old.starts_with('{') {
        return Some(format!("(undefined{any})"));
    }
    let nothing = returns == "void" || returns.replace(' ', "") == "Promise<void>";
    let same = matches!(
        old.split_whitespace().collect::<String>().as_str(),
        "{}" | "{return;}" | "{returnundefined;}"
    );
    if same {
        return None;
    }
    Some(if nothing { "{}".into() } else { format!("{{ return undefined{any}; }}") })
}

/// The old body stays behind the return: Go refuses imports and variables that nothing uses.
fn go_body(function: &Function, old: &str) -> Option<String> {
    let inner = old.strip_prefix('{')?;
    if inner.trim() == "}" || inner.trim_start().starts_with("return nil\n") {
        return None;
    }
    let values = match function.returns.as_deref().map(str::trim) {
        None => Vec::new(),
        Some(list) if list.starts_with('(') => {
            let list = list.strip_prefix('(')?.strip_suffix(')')?;
            let parts = split(list);
            let named = parts.iter().any(|part| {
                part.contains(' ')
                    && !part.starts_with("func")
                    && !part.starts_with("map[")
                    && !part.starts_with("chan ")
                    && !part.starts_with("<-chan ")
            });
            if named { Vec::new() } else { parts.iter().map(|kind| go_default(kind)).collect() }
        }
        Some(kind) => vec![go_default(kind)],
    };
    Some(format!("{{\n\treturn {}\n{inner}", values.join(", ")))
}

pub(crate) fn go_default(kind: &str) -> String {
    match kind.trim() {
        "bool" => "false".into(),
        "string" => "\"\"".into(),
        "int" | "int8" | "int16" | "int32" | "int64" | "uint" | "uint8" | "uint16" | "uint32"
        | "uint64" | "byte" | "rune" | "uintptr" | "float32" | "float64" => "0".into(),
        "error" | "any" => "nil".into(),
        kind if kind.starts_with(['*', '['])
            && !kind.starts_with("[0")
            && (kind.starts_with("[]") || kind.starts_with('*')) =>
        {
            "nil".into()
        }
        kind if kind.starts_with("map[")
            || kind.starts_with("func")
            || kind.contains("chan ")
            || kind.starts_with("interface") =>
        {
            "nil".into()
        }
        // The zero value of any type.
        kind => format!("*new({kind})"),
    }
}

fn java_body(function: &Function) -> Option<String> {
    let value = match function.returns.as_deref()?.trim() {
        "void" => return Some("{}".into()),
        "boolean" => "false",
        "int" | "long" | "short" | "byte" | "float" | "double" | "char" => "0",
        _ => "null",
    };
    Some(format!("{{ return {value}; }}"))
}
