//! The rules of the completeness layer, which are data: `rules.json`, read once.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::LazyLock;

use ast_grep_core::Pattern;
use serde::Deserialize;

use crate::Language;
use crate::function::family;

/// A rule whose finding is a match of an ast-grep pattern.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PatternRule {
    /// The rule's id; several patterns may share one.
    pub id: String,
    /// The families of languages it is for: `rust`, `python`, `js`, `go`, `java`.
    pub languages: Vec<String>,
    /// The pattern, in ast-grep's notation.
    pub pattern: String,
    /// The kind of the node in the pattern that is looked for, where the pattern gives its context.
    #[serde(default)]
    pub selector: Option<String>,
    /// The list in `says` of which the match has to hold one.
    #[serde(default)]
    pub says: Option<String>,
    /// Whether the match has to be all that its function does.
    #[serde(default)]
    pub whole: bool,
    /// What excuses it: `abstract` (of a base class), `override` (of a method that others define).
    #[serde(default)]
    pub unless: Option<String>,
    /// What is wrong.
    pub message: String,
}

/// A rule whose finding is a node of one kind. Texts are compared without spaces that do not
/// separate words.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NodeRule {
    /// The rule's id.
    pub id: String,
    /// The families of languages it is for.
    pub languages: Vec<String>,
    /// The kind of the node in the grammar.
    pub kind: String,
    /// What the node may begin with; anything, where the list is empty.
    #[serde(default)]
    pub starts: Vec<String>,
    /// What it may end with; anything, where the list is empty.
    #[serde(default)]
    pub ends: Vec<String>,
    /// What it has to hold one of; nothing, where the list is empty.
    #[serde(default)]
    pub contains: Vec<String>,
    /// The field, or the kind of the child, that has to be empty.
    #[serde(default)]
    pub empty: Option<String>,
    /// Whether it has to call something whose result is worth heeding.
    #[serde(default)]
    pub calls: bool,
    /// Whether it is a warning only. What `calls` demands is one too, where the name of what is
    /// called is not in the list `lossy`.
    #[serde(default)]
    pub told: bool,
    /// What is wrong.
    pub message: String,
}

/// What comments say of unfinished code.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CommentRules {
    /// Words in capitals that mark a place.
    pub words: Vec<String>,
    /// How a comment begins that stands for code; in lower case.
    pub openings: Vec<String>,
}

/// All of it.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rules {
    /// Rules by pattern.
    pub patterns: Vec<PatternRule>,
    /// Rules by kind of node.
    pub nodes: Vec<NodeRule>,
    /// The lists that `says` of a pattern names; in lower case.
    pub says: BTreeMap<String, Vec<String>>,
    /// What a match may say that makes it a finished refusal after all; in lower case.
    pub unless_says: Vec<String>,
    /// What comments say.
    pub comments: CommentRules,
    /// Lists of words by which names are judged.
    pub words: BTreeMap<String, BTreeSet<String>>,
}

/// The rules of this version; a constant that has to be read, no state.
pub fn rules() -> &'static Rules {
    const RULES: &str = include_str!("rules.json");
    // A test reads the file, so that this cannot fail where it is built.
    static READ: LazyLock<Rules> =
        LazyLock::new(|| serde_json::from_str(RULES).expect("rules.json is a table of rules"));
    &READ
}

/// The patterns for a language, parsed once.
pub(crate) fn patterns(language: Language) -> &'static [(&'static PatternRule, Pattern)] {
    type Parsed = BTreeMap<Language, Vec<(&'static PatternRule, Pattern)>>;
    static PARSED: LazyLock<Parsed> = LazyLock::new(|| {
        let of = |language: Language| {
            let mine = rules().patterns.iter();
            let mine = mine.filter(|rule| rule.languages.iter().any(|l| l == family(language)));
            let parse = |rule: &'static PatternRule| Some((rule, rule.compile(language).ok()?));
            (language, mine.filter_map(parse).collect())
        };
        Language::ALL.into_iter().map(of).collect()
    });
    PARSED.get(&language).map(Vec::as_slice).unwrap_or_default()
}

impl PatternRule {
    fn compile(&self, language: Language) -> Result<Pattern, ast_grep_core::PatternError> {
        match &self.selector {
            Some(selector) => Pattern::contextual(&self.pattern, selector, language),
            None => Pattern::try_new(&self.pattern, language),
        }
    }
}

impl Rules {
    pub(crate) fn has_word(&self, list: &str, word: &str) -> bool {
        self.words.get(list).is_some_and(|words| words.contains(word))
    }

    /// Whether any word of a name such as `parseHeader` or `parse_header` is in the list.
    pub(crate) fn any_word(&self, list: &str, name: &str) -> bool {
        words(name).iter().any(|word| self.has_word(list, word))
    }

    /// Whether the first word of a name is in the list.
    pub(crate) fn first_word(&self, list: &str, name: &str) -> bool {
        words(name).first().is_some_and(|word| self.has_word(list, word))
    }
}

/// The words of a name, in lower case.
pub(crate) fn words(name: &str) -> Vec<String> {
    let mut words: Vec<String> = Vec::new();
    let mut lower = false;
    for letter in name.chars() {
        if !letter.is_alphanumeric() {
            words.push(String::new());
            lower = false;
            continue;
        }
        if words.is_empty() || letter.is_uppercase() && lower {
            words.push(String::new());
        }
        lower = !letter.is_uppercase();
        if let Some(word) = words.last_mut() {
            word.extend(letter.to_lowercase());
        }
    }
    words.retain(|word| !word.is_empty());
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_pattern_parses_in_every_language_it_names() {
        let mut parsed = 0;
        for language in Language::ALL {
            let named = rules().patterns.iter();
            let named = named.filter(|r| r.languages.iter().any(|l| l == family(language)));
            for rule in named {
                let pattern = rule.compile(language);
                let pattern = pattern.unwrap_or_else(|e| panic!("{}: {e}", rule.pattern));
                assert!(!pattern.has_error(), "{}: {}", language.name(), rule.pattern);
                parsed += 1;
            }
            assert!(!patterns(language).is_empty(), "{}", language.name());
        }
        assert!(parsed > 25);
    }

    #[test]
    fn every_kind_is_a_kind_of_its_grammar_and_every_list_exists() {
        use ast_grep_core::Language as _;
        for rule in &rules().nodes {
            for family in &rule.languages {
                let language =
                    Language::ALL.into_iter().find(|l| crate::function::family(*l) == family);
                let language = language.unwrap_or_else(|| panic!("{family}"));
                assert_ne!(language.kind_to_id(&rule.kind), 0, "{family}: {}", rule.kind);
            }
        }
        for says in rules().patterns.iter().filter_map(|rule| rule.says.as_ref()) {
            assert!(rules().says.contains_key(says), "{says}");
        }
        for list in ["doing", "lossy", "asking", "hook", "quiet", "telling", "abstract", "unheeded"]
        {
            assert!(rules().words.contains_key(list), "{list}");
        }
    }

    #[test]
    fn names_come_apart_into_words() {
        assert_eq!(words("parseHTTPHeader"), ["parse", "httpheader"]);
        assert_eq!(words("on_message"), ["on", "message"]);
        assert_eq!(words("NullLogger"), ["null", "logger"]);
        assert_eq!(words("__init__"), ["init"]);
    }
}
