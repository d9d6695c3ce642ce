//! Where each grammar keeps a function's name, parameters, body and marks.

use crate::function::Function;
use crate::syntax::{Id, Syntax};

/// The bare name of a type: `Vec<T>` is `Vec`, `&'a mut Foo` is `Foo`, `a::B` is `B`.
fn bare(text: &str) -> String {
    let text = text.trim().trim_start_matches(['&', '*', '(', ' ']);
    let text = text.strip_prefix("mut ").or(text.strip_prefix("dyn ")).unwrap_or(text);
    let text = if text.starts_with('\'') {
        text.split_once(' ').map_or(text, |(_, rest)| rest)
    } else {
        text
    };
    let head = text.split(['<', '[', '(', ' ', ')']).next().unwrap_or_default();
    let head = head.rsplit("::").next().unwrap_or(head);
    head.rsplit('.').next().unwrap_or(head).to_owned()
}

fn base(syntax: &Syntax<'_>, node: Id, name: String, body: Option<Id>) -> Function {
    Function {
        name,
        container: None,
        range: syntax.range(node),
        body: body.map(|body| syntax.range(body)),
        line: syntax.line(node),
        last_line: syntax.last_line(node),
        parameters: Vec::new(),
        returns: None,
        test: false,
        in_tests: false,
        declaration: body.is_none(),
        overrides: false,
        constructor: false,
        public: false,
        marks: Vec::new(),
        hash: body.map_or(0, |body| syntax.hash(body)),
        node,
        body_node: body,
    }
}

fn first_name(syntax: &Syntax<'_>, id: Id) -> Option<String> {
    syntax.identifiers(id).next().map(str::to_owned)
}

/// The attributes that stand directly before an item, comments between them passed over.
pub(crate) fn attributes(syntax: &Syntax<'_>, id: Id) -> Vec<String> {
    std::iter::successors(syntax.previous(id), |id| syntax.previous(*id))
        .take_while(|before| syntax.kind(*before) == "attribute_item" || syntax.comment(*before))
        .filter(|before| !syntax.comment(*before))
        .map(|before| syntax.text(before).to_owned())
        .collect()
}

pub(crate) fn is_cfg_test(mark: &str) -> bool {
    let mark: String = mark.split_whitespace().collect();
    mark.starts_with("#[cfg(test")
        || mark.starts_with("#[cfg(all(test")
        || mark.starts_with("#[cfg(any(test")
}

fn is_rust_test(mark: &str) -> bool {
    let inner = mark.trim_start_matches("#[").trim_end_matches(']');
    let path = inner.split(['(', ' ']).next().unwrap_or_default();
    let last = path.rsplit("::").next().unwrap_or_default();
    matches!(last, "test" | "rstest" | "test_case" | "quickcheck" | "bench" | "wasm_bindgen_test")
}

/// Whether a Rust item stands in a module that is only compiled for tests.
pub(crate) fn rust_in_tests(syntax: &Syntax<'_>, id: Id) -> bool {
    std::iter::once(id)
        .chain(syntax.ancestors(id))
        .filter(|item| syntax.kind(*item).ends_with("_item"))
        .any(|item| {
            attributes(syntax, item).iter().any(|mark| is_cfg_test(mark) || is_rust_test(mark))
        })
}

pub(crate) fn rust(syntax: &Syntax<'_>, id: Id) -> Option<Function> {
    if !matches!(syntax.kind(id), "function_item" | "function_signature_item") {
        return None;
    }
    let short = syntax.field_text(id, "name")?;
    let owner = syntax
        .ancestors(id)
        .take_while(|up| syntax.kind(*up) != "function_item")
        .find(|up| matches!(syntax.kind(*up), "impl_item" | "trait_item"));
    let container = owner.and_then(|owner| {
        syntax.field_text(owner, "type").or_else(|| syntax.field_text(owner, "name")).map(bare)
    });
    let name =
        container.as_ref().map_or_else(|| short.to_owned(), |owner| format!("{owner}::{short}"));
    let mut function = base(syntax, id, name, syntax.field(id, "body"));
    function.container = container;
    function.overrides = owner.is_some_and(|owner| {
        syntax.kind(owner) == "trait_item" || syntax.field(owner, "trait").is_some()
    });
    if let Some(list) = syntax.field(id, "parameters") {
        for part in syntax.parts(list) {
            if syntax.kind(part) == "parameter" {
                let pattern = syntax.field(part, "pattern");
                let name = pattern
                    .map(|pattern| first_name(syntax, pattern).unwrap_or_else(|| "_".into()));
                function.parameters.extend(name.filter(|name| name != "self"));
            }
        }
    }
    function.returns = syntax.field_text(id, "return_type").map(str::to_owned);
    function.marks = attributes(syntax, id);
    function.test = function.marks.iter().any(|mark| is_rust_test(mark));
    function.in_tests = rust_in_tests(syntax, id);
    function.public = syntax.children(id).any(|part| syntax.text(part) == "pub");
    Some(function)
}

pub(crate) fn python(syntax: &Syntax<'_>, id: Id) -> Option<Function> {
    if syntax.kind(id) != "function_definition" {
        return None;
    }
    let short = syntax.field_text(id, "name")?;
    let owner = syntax
        .ancestors(id)
        .find(|up| matches!(syntax.kind(*up), "class_definition" | "function_definition"))
        .filter(|up| syntax.kind(*up) == "class_definition");
    let container = owner.and_then(|owner| syntax.field_text(owner, "name")).map(str::to_owned);
    let name =
        container.as_ref().map_or_else(|| short.to_owned(), |owner| format!("{owner}.{short}"));
    let mut function = base(syntax, id, name, syntax.field(id, "body"));
    let bases = owner.and_then(|owner| syntax.field(owner, "superclasses"));
    let bases: Vec<&str> = bases.map(|list| syntax.identifiers(list).collect()).unwrap_or_default();
    function.overrides = bases.iter().any(|base| *base != "object");
    if let Some(list) = syntax.field(id, "parameters") {
        function.parameters =
            syntax.parts(list).iter().filter_map(|part| first_name(syntax, *part)).collect();
    }
    if let Some(up) = syntax.parent(id).filter(|up| syntax.kind(*up) == "decorated_definition") {
        let marks = syntax.children(up).filter(|part| syntax.kind(*part) == "decorator");
        function.marks = marks.map(|part| syntax.text(part).to_owned()).collect();
    }
    let fixed = |name: &str| function.marks.iter().any(|mark| mark.contains(name));
    if container.is_some() && !fixed("staticmethod") && !function.parameters.is_empty() {
        function.parameters.remove(0);
    }
    function.declaration = fixed("abstract") || fixed("overload") || bases.contains(&"Protocol");
    function.in_tests =
        fixed("fixture") || container.as_ref().is_some_and(|name| name.starts_with("Test"));
    function.test = short.starts_with("test")
        && (container.is_none() || function.in_tests || bases.iter().any(|b| b.contains("Test")));
    function.in_tests |= bases.iter().any(|base| base.contains("TestCase"));
    function.constructor = matches!(short, "__init__" | "__new__" | "__post_init__");
    function.returns = syntax.field_text(id, "return_type").map(str::to_owned);
    function.public = !short.starts_with('_');
    function.container = container;
    Some(function)
}

/// The names of what is called in a call such as `describe.skip("…")` or `test.each(rows)("…")`.
pub(crate) fn callee<'t>(syntax: &Syntax<'t>, call: Id) -> Vec<&'t str> {
    let mut names = Vec::new();
    let mut at = Some(call);
    while let Some(id) = at {
        at = match syntax.kind(id) {
            "call_expression" | "call" => syntax.field(id, "function"),
            "member_expression" => {
                names.extend(syntax.field_text(id, "property"));
                syntax.field(id, "object")
            }
            "identifier" => {
                names.push(syntax.text(id));
                None
            }
            _ => return Vec::new(),
        };
    }
    names.reverse();
    names
}

fn js_test(syntax: &Syntax<'_>, id: Id) -> Option<Function> {
    let head = callee(syntax, id);
    if !matches!(head.first(), Some(&("it" | "test" | "xit" | "fit" | "xtest"))) {
        return None;
    }
    let list = syntax.field(id, "arguments")?;
    let arguments = syntax.parts(list);
    let title = arguments.first().filter(|title| syntax.kind(**title).contains("string"))?;
    let callback = arguments.iter().rev().find(|part| {
        matches!(syntax.kind(**part), "arrow_function" | "function_expression" | "function")
    });
    let body = callback.and_then(|callback| syntax.field(*callback, "body"));
    let title = syntax.text(*title).trim_matches(['"', '\'', '`']).to_owned();
    let mut function = base(syntax, id, title, body);
    function.test = true;
    function.declaration = false;
    function.marks = head.iter().map(|part| (*part).to_owned()).collect();
    Some(function)
}

pub(crate) fn js(syntax: &Syntax<'_>, id: Id) -> Option<Function> {
    let value = |field: &str| {
        syntax.field(id, field).filter(|value| {
            matches!(
                syntax.kind(*value),
                "arrow_function" | "function_expression" | "generator_function"
            )
        })
    };
    let (name, callable) = match syntax.kind(id) {
        "call_expression" => return js_test(syntax, id),
        "function_declaration"
        | "generator_function_declaration"
        | "method_definition"
        | "function_signature"
        | "abstract_method_signature"
        | "method_signature" => (syntax.field_text(id, "name")?, id),
        "variable_declarator" | "public_field_definition" => {
            (syntax.field_text(id, "name")?, value("value")?)
        }
        "field_definition" => (syntax.field_text(id, "property")?, value("value")?),
        "pair" => (syntax.field_text(id, "key")?, value("value")?),
        "assignment_expression" => (syntax.field_text(id, "left")?, value("right")?),
        _ => return None,
    };
    let short = name.trim_matches(['"', '\'']).rsplit('.').next().unwrap_or(name);
    let method = matches!(
        syntax.kind(id),
        "method_definition"
            | "public_field_definition"
            | "field_definition"
            | "abstract_method_signature"
            | "method_signature"
    );
    let owner = syntax.ancestors(id).filter(|_| method).find(|up| {
        matches!(
            syntax.kind(*up),
            "class_declaration"
                | "abstract_class_declaration"
                | "class"
                | "interface_declaration"
                | "object"
        )
    });
    let container = owner.and_then(|owner| syntax.field_text(owner, "name")).map(str::to_owned);
    let name =
        container.as_ref().map_or_else(|| short.to_owned(), |owner| format!("{owner}.{short}"));
    let mut function = base(syntax, id, name, syntax.field(callable, "body"));
    function.overrides = owner.is_some_and(|owner| {
        syntax.children(owner).any(|part| syntax.kind(part) == "class_heritage")
    });
    if let Some(list) = syntax.field(callable, "parameters") {
        for part in syntax.parts(list) {
            let pattern = syntax.field(part, "pattern").unwrap_or(part);
            function.parameters.push(first_name(syntax, pattern).unwrap_or_else(|| "_".into()));
        }
    } else if let Some(only) = syntax.field_text(callable, "parameter") {
        function.parameters.push(only.to_owned());
    }
    let returns = syntax.field_text(callable, "return_type");
    function.returns = returns.map(|text| text.trim_start_matches(':').trim().to_owned());
    function.constructor = short == "constructor";
    function.public = syntax.ancestors(id).any(|up| syntax.kind(up) == "export_statement");
    {
        let before = std::iter::successors(syntax.previous(id), |id| syntax.previous(*id));
        let marks = before.take_while(|part| syntax.kind(*part) == "decorator");
        function.marks = marks.map(|part| syntax.text(part).to_owned()).collect();
    }
    function.container = container;
    Some(function)
}

pub(crate) fn go(syntax: &Syntax<'_>, id: Id) -> Option<Function> {
    if !matches!(syntax.kind(id), "function_declaration" | "method_declaration") {
        return None;
    }
    let short = syntax.field_text(id, "name")?;
    let receiver = syntax.field(id, "receiver");
    let container = receiver.and_then(|receiver| {
        syntax
            .within(receiver)
            .find(|part| syntax.kind(*part) == "type_identifier")
            .map(|part| syntax.text(part).to_owned())
    });
    let name =
        container.as_ref().map_or_else(|| short.to_owned(), |owner| format!("{owner}.{short}"));
    let mut function = base(syntax, id, name, syntax.field(id, "body"));
    if let Some(list) = syntax.field(id, "parameters") {
        for part in syntax.parts(list) {
            let names: Vec<String> = syntax
                .children(part)
                .filter(|n| syntax.kind(*n) == "identifier")
                .map(|n| syntax.text(n).to_owned())
                .collect();
            if names.is_empty() {
                function.parameters.push("_".into())
            } else {
                function.parameters.extend(names)
            }
        }
    }
    function.returns = syntax.field_text(id, "result").map(str::to_owned);
    let first = short.chars().next();
    function.public = first.is_some_and(char::is_uppercase);
    function.test = container.is_none()
        && ["Test", "Benchmark", "Fuzz", "Example"].iter().any(|kind| {
            short.strip_prefix(kind).is_some_and(|rest| !rest.starts_with(char::is_lowercase))
        })
        && (short.starts_with("Example")
            || syntax.field_text(id, "parameters").is_some_and(|list| list.contains("testing.")));
    function.container = container;
    Some(function)
}

pub(crate) fn java(syntax: &Syntax<'_>, id: Id) -> Option<Function> {
    let kind = syntax.kind(id);
    if !matches!(
        kind,
        "method_declaration" | "constructor_declaration" | "compact_constructor_declaration"
    ) {
        return None;
    }
    let short = syntax.field_text(id, "name")?;
    let owner = syntax.ancestors(id).find(|up| {
        matches!(
            syntax.kind(*up),
            "class_declaration"
                | "interface_declaration"
                | "enum_declaration"
                | "record_declaration"
                | "object_creation_expression"
        )
    });
    let container = owner.and_then(|owner| syntax.field_text(owner, "name")).map(str::to_owned);
    let name =
        container.as_ref().map_or_else(|| short.to_owned(), |owner| format!("{owner}.{short}"));
    let mut function = base(syntax, id, name, syntax.field(id, "body"));
    if let Some(modifiers) = syntax.children(id).find(|part| syntax.kind(*part) == "modifiers") {
        let marks =
            syntax.children(modifiers).filter(|part| syntax.kind(*part).contains("annotation"));
        function.marks = marks.map(|part| syntax.text(part).to_owned()).collect();
        function.public = syntax.children(modifiers).any(|part| syntax.text(part) == "public");
    }
    if let Some(list) = syntax.field(id, "parameters") {
        for part in syntax.parts(list) {
            let name = syntax
                .field_text(part, "name")
                .map(str::to_owned)
                .or_else(|| first_name(syntax, part));
            function.parameters.extend(name);
        }
    }
    let marked = |name: &str| {
        function
            .marks
            .iter()
            .any(|mark| mark.trim_start_matches('@').split('(').next() == Some(name))
    };
    function.overrides = marked("Override")
        || owner.is_some_and(|owner| {
            matches!(syntax.kind(owner), "interface_declaration" | "object_creation_expression")
        });
    function.test = ["Test", "ParameterizedTest", "RepeatedTest", "TestFactory"]
        .iter()
        .any(|name| marked(name));
    function.in_tests = ["BeforeEach", "AfterEach", "Before", "After", "BeforeAll", "AfterAll"]
        .iter()
        .any(|name| marked(name));
    function.constructor = kind != "method_declaration";
    function.returns = syntax.field_text(id, "type").map(str::to_owned);
    function.container = container;
    Some(function)
}
