//! Finished code is mutilated mechanically, and what the layers see of it is counted.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use tress_inspect::completeness::inspect;
use tress_inspect::function::functions;
use tress_inspect::{Function, Language};

/// The files of a corpus: `=== path`, then the text.
pub(crate) fn files(corpus: &str) -> Vec<(String, String)> {
    let corpus = corpus.strip_prefix("=== ").expect("a corpus begins with a path");
    let parts = corpus.split("\n=== ");
    let file = |part: &str| {
        let (path, text) = part.split_once('\n').expect("a path and a text");
        (path.trim().to_owned(), text.to_owned())
    };
    parts.map(file).collect()
}

pub(crate) const SEEN: [(&str, &str); 6] = [
    ("rust", include_str!("../corpus/rust.txt")),
    ("python", include_str!("../corpus/python.txt")),
    ("typescript", include_str!("../corpus/typescript.txt")),
    ("javascript", include_str!("../corpus/javascript.txt")),
    ("go", include_str!("../corpus/go.txt")),
    ("java", include_str!("../corpus/java.txt")),
];

/// The ways in which a body is spoilt, and what counts as having seen it.
const MARKED: &str = "marked stub";
const UNMARKED: &str = "unmarked stub";
const UNMARKED_BASE: &str = "unmarked stub, base known";
const TRUNCATED: &str = "truncated";
const SWALLOWED: &str = "swallowed error";

fn replace(text: &str, range: std::ops::Range<usize>, with: &str) -> String {
    format!("{}{with}{}", &text[..range.start], &text[range.end..])
}

/// A function that has something to lose: without it, its stub could not be told from it.
fn substantial(text: &str, function: &Function) -> bool {
    let Some(body) = &function.body else { return false };
    let lines = text[body.clone()].lines().filter(|line| line.trim().len() > 2).count();
    !function.test
        && !function.in_tests
        && !function.constructor
        && !function.declaration
        && lines >= 2
}

fn marked_bodies(language: Language, nth: usize) -> &'static str {
    let styles: &[&str] = match language {
        Language::Rust => &[
            "{ todo!() }",
            "{ unimplemented!(\"later\") }",
            "{ panic!(\"not implemented yet\") }",
            "{\n    // TODO: write this\n    Default::default()\n}",
            "{\n    // FIXME(ann) this is only a start\n    unreachable!()\n}",
            "{ todo!(\"the rest\") }",
            "{\n    // Placeholder until the parser is there.\n    return Default::default();\n}",
        ],
        Language::Python => &[
            "raise NotImplementedError",
            "raise NotImplementedError(\"later\")",
            "# TODO: write this\n        pass",
            "raise RuntimeError(\"not implemented\")",
            "\"\"\"Does it.\"\"\"\n        raise NotImplementedError()",
            "return None  # FIXME: real value",
            "# placeholder implementation\n        return None",
        ],
        Language::Go => &[
            "{\n\tpanic(\"TODO\")\n}",
            "{\n\tpanic(\"not implemented\")\n}",
            "{\n\t// TODO: write this\n\treturn\n}",
            "{\n\tpanic(errors.New(\"unimplemented\"))\n}",
            "{\n\t// FIXME: real code\n\treturn\n}",
            "{\n\t// Not implemented yet.\n\treturn\n}",
        ],
        Language::Java => &[
            "{ throw new UnsupportedOperationException(\"not implemented\"); }",
            "{\n    // TODO: write this\n    return null;\n}",
            "{ throw new UnsupportedOperationException(); }",
            "{ throw new RuntimeException(\"Not implemented yet\"); }",
            "{\n    // TODO Auto-generated method stub\n    return null;\n}",
            "{ throw new IllegalStateException(\"TODO\"); }",
        ],
        _ => &[
            "{ throw new Error(\"not implemented\"); }",
            "{ throw new Error(\"Not implemented yet\"); }",
            "{\n  // TODO: write this\n  return undefined;\n}",
            "{ throw new NotImplementedError(); }",
            "{\n  /* FIXME: real code */\n  return null;\n}",
            "{ throw new TypeError('TODO'); }",
            "{\n  // implementation goes here\n}",
        ],
    };
    styles[nth % styles.len()]
}

fn unmarked_bodies(language: Language, function: &Function, nth: usize) -> Vec<String> {
    let kind = function.returns.clone().unwrap_or_default();
    let name = function.short_name();
    let one = |list: &[&str]| list[nth % list.len()].to_owned();
    match language {
        Language::Rust => {
            let default = if kind.is_empty() { String::new() } else { rust_default(&kind) };
            vec![
                format!("{{ {default} }}"),
                "{}".into(),
                format!("{{\n    println!(\"{name} called\");\n    {default}\n}}"),
            ]
        }
        Language::Python => vec![
            one(&[
                "return None",
                "return []",
                "return {}",
                "return False",
                "return 0",
                "return \"\"",
            ]),
            one(&["pass", "..."]),
            format!("print(\"{name} called\")"),
            format!("logger.info(\"{name}\")\n        return None"),
        ],
        Language::Go => {
            let zero = |kind: &str| match kind.trim().rsplit(' ').next().unwrap_or_default() {
                "string" => "\"\"",
                "bool" => "false",
                "int" | "int64" | "float64" => "0",
                _ => "nil",
            };
            let parts: Vec<&str> = kind.trim_matches(['(', ')']).split(',').map(zero).collect();
            let default = if kind.is_empty() {
                String::new()
            } else {
                format!("return {}", parts.join(", "))
            };
            vec![
                format!("{{ {default} }}"),
                "{}".into(),
                format!("{{\n\tfmt.Println(\"{name} called\")\n\t{default}\n}}"),
            ]
        }
        Language::Java => {
            let default = match kind.as_str() {
                "void" => "",
                "boolean" => "return false;",
                "int" | "long" | "double" => "return 0;",
                kind if kind.starts_with("List") => "return List.of();",
                kind if kind.starts_with("Map") => "return new HashMap<>();",
                kind if kind.starts_with("Optional") => "return Optional.empty();",
                "String" => "return \"\";",
                _ => "return null;",
            };
            vec![
                format!("{{ {default} }}"),
                "{ }".into(),
                format!("{{\n    System.out.println(\"{name} called\");\n    {default}\n}}"),
            ]
        }
        _ => {
            let default = one(&[
                "return null;",
                "return undefined;",
                "return {};",
                "return [];",
                "return false;",
            ]);
            let default = if kind == "void" || kind == "Promise<void>" {
                "return;".to_owned()
            } else {
                default
            };
            vec![
                format!("{{ {default} }}"),
                "{}".into(),
                format!("{{\n  console.log(\"{name} called\");\n  {default}\n}}"),
            ]
        }
    }
}

fn rust_default(kind: &str) -> String {
    let path = "src/a.rs";
    let text = format!("fn f(a: u8) -> {kind} {{ g(a) }}");
    let function = functions(path, &text).remove(0);
    let mutant = tress_inspect::mutate::with_default_body(path, &text, &function);
    let start = function.body.map_or(0, |body| body.start);
    let body = mutant.map(|mutant| mutant[start..].trim_matches(['{', '}', ' ']).to_owned());
    body.unwrap_or_else(|| "Default::default()".to_owned())
}

/// The function's text cut off after a share of the lines of its body.
fn truncations(text: &str, function: &Function) -> Vec<String> {
    let Some(body) = function.body.clone() else { return Vec::new() };
    let lines: Vec<&str> = text[body.clone()].split_inclusive('\n').collect();
    if lines.len() < 4 {
        return Vec::new();
    }
    let cut = |numerator: usize| {
        let kept: usize =
            lines[..(lines.len() * numerator / 4).max(1)].iter().map(|line| line.len()).sum();
        replace(text, body.start + kept..body.end, "\n")
    };
    vec![cut(1), cut(2), cut(3)]
}

/// The error handling of a file with what it does taken out.
fn swallowings(language: Language, text: &str) -> Vec<String> {
    let mut out = Vec::new();
    let mut swap = |from: &str, to: &str| {
        for (at, _) in text.match_indices(from) {
            out.push(replace(text, at..at + from.len(), to));
        }
    };
    match language {
        Language::Rust => {
            swap("        file.flush()?;", "        file.sync_all().ok();");
            swap(
                "        self.file.write_all(line.as_bytes())?;",
                "        let _ = self.file.write_all(line.as_bytes());",
            );
            swap("Err(error) => eprintln!(\"{}: {error}\", path.display()),", "Err(_) => {}");
            swap(
                "        let text = fs::read_to_string(path)?;\n",
                "        let text = fs::read_to_string(path).unwrap_or(String::new());\n        if let Err(_) = fs::metadata(path) {}\n",
            );
        }
        Language::Python => {
            swap(
                "except json.JSONDecodeError as error:\n                raise OrderError(f\"line {number}: {error}\") from error",
                "except Exception:\n                pass",
            );
            swap(
                "except OSError as error:\n            logger.warning(\"attempt %d of %s: %s\", attempt, url, error)",
                "except:\n            pass",
            );
            swap(
                "except FileNotFoundError as error:\n            raise KeyError(key) from error",
                "except Exception as error:\n            pass",
            );
        }
        Language::Go => {
            for (at, _) in text.match_indices("if err != nil {\n") {
                if let Some(end) = text[at..].find("\n\t}") {
                    out.push(replace(text, at + 16..at + end, ""));
                }
            }
            if let Some(at) = text.find("if err := os.WriteFile(path, data, 0o644); err != nil {") {
                let end = at + text[at..].find("\n\t}").expect("closed") + 3;
                out.push(replace(text, at..end, "_ = os.WriteFile(path, data, 0o644)"));
            }
        }
        _ => {
            for (at, _) in text.match_indices("catch (") {
                let Some(open) = text[at..].find('{') else { continue };
                let mut depth = 0;
                let end = text[at + open..].char_indices().find(|(_, c)| {
                    depth += i32::from(*c == '{') - i32::from(*c == '}');
                    depth == 0
                });
                if let Some((end, _)) = end {
                    out.push(replace(text, at + open..at + open + end + 1, "{ }"));
                }
            }
        }
    }
    out
}

/// Of how many, how many were seen.
type Counts = BTreeMap<(&'static str, &'static str), (usize, usize)>;

pub(crate) struct Measured {
    pub(crate) counts: Counts,
    pub(crate) finished: BTreeMap<&'static str, (usize, Vec<String>)>,
    missed: Vec<String>,
}

pub(crate) fn measure(corpus: &[(&'static str, &str)]) -> Measured {
    let mut measured =
        Measured { counts: BTreeMap::new(), finished: BTreeMap::new(), missed: Vec::new() };
    for (name, corpus) in corpus {
        for (path, text) in files(corpus) {
            one(name, &path, &text, &mut measured);
        }
    }
    measured
}

fn one(name: &'static str, path: &str, text: &str, measured: &mut Measured) {
    let language = Language::of(path).expect("a language");
    let all = functions(path, text);
    let finished = measured.finished.entry(name).or_default();
    finished.0 += all.len();
    finished.1.extend(inspect(path, None, text).iter().map(ToString::to_string));
    let mut count = |what: &'static str,
                     base: Option<&str>,
                     spoilt: &str,
                     function: Option<&Function>| {
        let findings = inspect(path, base, spoilt);
        let about =
            |symbol: &Option<String>| function.is_none_or(|f| symbol.as_ref() == Some(&f.name));
        let cut = |rule: &str| rule == "syntax-error";
        let seen = findings.iter().any(|finding| about(&finding.symbol) || cut(&finding.rule));
        let entry = measured.counts.entry((name, what)).or_default();
        entry.0 += 1;
        entry.1 += usize::from(seen);
        if !seen {
            let body = function.map_or_else(String::new, |f| {
                let now = functions(path, spoilt).into_iter().find(|now| now.name == f.name);
                now.map_or_else(|| "gone".into(), |now| spoilt[now.body.unwrap_or(0..0)].to_owned())
            });
            let subject = function.map_or("", |f| f.name.as_str());
            measured.missed.push(format!("{name} {what}: {subject}: {body}"));
        }
    };
    for (nth, function) in all.iter().enumerate().filter(|(_, f)| substantial(text, f)) {
        let body = function.body.clone().expect("substantial");
        let spoilt = replace(text, body.clone(), marked_bodies(language, nth));
        count(MARKED, None, &spoilt, Some(function));
        for stub in unmarked_bodies(language, function, nth) {
            let spoilt = replace(text, body.clone(), &stub);
            count(UNMARKED, None, &spoilt, Some(function));
            count(UNMARKED_BASE, Some(text), &spoilt, Some(function));
        }
        for spoilt in truncations(text, function) {
            count(TRUNCATED, Some(text), &spoilt, Some(function));
        }
    }
    for spoilt in swallowings(language, text) {
        count(SWALLOWED, Some(text), &spoilt, None);
    }
}

impl Measured {
    pub(crate) fn share(&self, what: &str) -> f64 {
        let of = self.counts.iter().filter(|((_, kind), _)| *kind == what);
        let (all, seen) = of.fold((0, 0), |sum, (_, count)| (sum.0 + count.0, sum.1 + count.1));
        seen as f64 / all.max(1) as f64
    }

    pub(crate) fn false_alarms(&self) -> (usize, usize) {
        self.finished
            .values()
            .fold((0, 0), |sum, (all, alarms)| (sum.0 + all, sum.1 + alarms.len()))
    }

    pub(crate) fn table(&self, title: &str) -> String {
        let whats = [MARKED, UNMARKED, UNMARKED_BASE, TRUNCATED, SWALLOWED];
        let mut out =
            format!("{title}\n| language | finished | false alarms | {} |\n", whats.join(" | "));
        out.push_str("| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: |\n");
        for (name, (all, alarms)) in &self.finished {
            let _ = write!(out, "| {name} | {all} | {} |", alarms.len());
            for what in whats {
                let (all, seen) = self.counts.get(&(*name, what)).copied().unwrap_or_default();
                let _ = write!(out, " {seen} of {all} |");
            }
            out.push('\n');
        }
        out
    }

    pub(crate) fn told(&self) -> String {
        let alarms = self.finished.values().flat_map(|(_, alarms)| alarms);
        alarms
            .map(|alarm| format!("FALSE ALARM {alarm}\n"))
            .chain(self.missed.iter().map(|missed| format!("MISSED {missed}\n")))
            .collect()
    }
}

#[test]
fn finished_code_is_left_alone_and_mutilated_code_is_seen() {
    let measured = measure(&SEEN);
    println!("{}\n{}", measured.told(), measured.table("The corpus the rules were made on"));
    let (all, alarms) = measured.false_alarms();
    assert!(all >= 180, "{all} functions");
    for (name, (all, _)) in &measured.finished {
        assert!(*all >= 30, "{name} has {all}");
    }
    assert!(alarms * 100 <= all, "{alarms} false alarms on {all} finished functions");
    assert!(measured.share(MARKED) >= 0.97, "{}", measured.share(MARKED));
    assert!(measured.share(UNMARKED) >= 0.9, "{}", measured.share(UNMARKED));
    assert!(measured.share(UNMARKED_BASE) >= 0.97, "{}", measured.share(UNMARKED_BASE));
    assert!(measured.share(TRUNCATED) >= 0.9, "{}", measured.share(TRUNCATED));
    assert!(measured.share(SWALLOWED) >= 0.9, "{}", measured.share(SWALLOWED));
}
