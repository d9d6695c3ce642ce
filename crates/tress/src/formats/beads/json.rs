//! JSON as text: objects taken apart without losing a byte, and values written in the style of
//! their line.

use std::fmt;

use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde::{Deserialize as DeriveDeserialize, Serialize};
use serde_json::value::RawValue;
use tress_model::clock::Millis;

use crate::formats::{read_time, write_time};

/// The members of an object in their order, each value as it was written.
#[derive(Debug, Default)]
pub(super) struct Entries<'a>(pub(super) Vec<(String, &'a str)>);

impl<'de: 'a, 'a> Deserialize<'de> for Entries<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Members;
        impl<'de> Visitor<'de> for Members {
            type Value = Vec<(String, &'de str)>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("one JSON object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut members = Vec::new();
                while let Some(key) = map.next_key::<String>()? {
                    let value: &'de RawValue = map.next_value()?;
                    members.push((key, value.get()));
                }
                Ok(members)
            }
        }
        deserializer.deserialize_map(Members).map(Self)
    }
}

impl<'a> Entries<'a> {
    /// The members of the object that `text` is.
    pub(super) fn read(text: &'a str) -> Result<Self, serde_json::Error> {
        serde_json::from_str(text)
    }

    /// The value of `key`; of two, the last.
    pub(super) fn get(&self, key: &str) -> Option<&'a str> {
        self.0.iter().rev().find(|(name, _)| name == key).map(|&(_, raw)| raw)
    }
}

/// Which characters a writer escapes beyond those that it must.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, DeriveDeserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Escape {
    /// None.
    #[default]
    Plain,
    /// `<`, `>`, `&` and the two Unicode line separators (Go).
    Html,
    /// Everything that is not ASCII (Python).
    Ascii,
}

impl Escape {
    /// What the writer of `line` seems to have escaped.
    fn of(line: &str) -> Self {
        let html = ["\\u003c", "\\u003e", "\\u0026", "\\u2028", "\\u2029"];
        if line.contains("\\u") && html.iter().any(|escape| line.contains(escape)) {
            Self::Html
        } else if line.contains("\\u") && line.is_ascii() {
            Self::Ascii
        } else {
            Self::Plain
        }
    }

    fn apply(self, text: String) -> String {
        match self {
            Self::Plain => text,
            Self::Html if !text.contains(['<', '>', '&', '\u{2028}', '\u{2029}']) => text,
            Self::Ascii if text.is_ascii() => text,
            Self::Html | Self::Ascii => {
                let mut escaped = String::with_capacity(text.len() + 16);
                let mut units = [0; 2];
                for c in text.chars() {
                    let html = matches!(c, '<' | '>' | '&' | '\u{2028}' | '\u{2029}');
                    if if self == Self::Html { html } else { !c.is_ascii() } {
                        for unit in c.encode_utf16(&mut units) {
                            escaped.push_str(&format!("\\u{unit:04x}"));
                        }
                    } else {
                        escaped.push(c);
                    }
                }
                escaped
            }
        }
    }
}

/// How the values of a line are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Style {
    /// Whether a space follows each comma and colon.
    pub(super) spaced: bool,
    /// What is escaped.
    pub(super) escape: Escape,
}

impl Style {
    /// The style that `line`, whose members are `entries`, is written in.
    pub(super) fn of(line: &str, entries: &Entries<'_>) -> Self {
        let spaced = entries.0.first().is_some_and(|(key, _)| {
            let head = line.trim_start().strip_prefix('{').unwrap_or_default();
            head.strip_prefix(&string(key)).is_some_and(|rest| rest.starts_with(": "))
        });
        Self { spaced, escape: Escape::of(line) }
    }

    const fn comma(self) -> &'static str {
        if self.spaced { ", " } else { "," }
    }

    const fn colon(self) -> &'static str {
        if self.spaced { ": " } else { ":" }
    }

    /// An object of members that are already written.
    pub(super) fn object<K: AsRef<str>, V: AsRef<str>>(self, members: &[(K, V)]) -> String {
        let mut text = String::from("{");
        for (at, (key, value)) in members.iter().enumerate() {
            if at > 0 {
                text.push_str(self.comma());
            }
            text.push_str(&self.escape.apply(string(key.as_ref())));
            text.push_str(self.colon());
            text.push_str(value.as_ref());
        }
        text.push('}');
        text
    }
}

/// `text` as a JSON string.
pub(super) fn string(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

/// A value that is to be written.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Out {
    /// A string.
    Text(String),
    /// Anything, as it came.
    Raw(String),
    /// A list.
    List(Vec<Self>),
    /// An object.
    Object(Vec<(String, Self)>),
}

impl Out {
    /// A text, or nothing where it is empty.
    pub(super) fn text(text: impl Into<String>) -> Option<Self> {
        Some(text.into()).filter(|text: &String| !text.is_empty()).map(Self::Text)
    }

    /// A moment.
    pub(super) fn time(at: Millis) -> Self {
        Self::Text(write_time(at))
    }

    /// A number.
    pub(super) fn number(number: impl fmt::Display) -> Self {
        Self::Raw(number.to_string())
    }

    /// The value in a style.
    pub(super) fn write(&self, style: Style) -> String {
        match self {
            Self::Text(text) => style.escape.apply(string(text)),
            Self::Raw(raw) => raw.clone(),
            Self::List(items) => {
                let items: Vec<_> = items.iter().map(|item| item.write(style)).collect();
                format!("[{}]", items.join(style.comma()))
            }
            Self::Object(members) => {
                let members: Vec<_> =
                    members.iter().map(|(key, value)| (key, value.write(style))).collect();
                style.object(&members)
            }
        }
    }

    /// The value in the plainest style, for comparisons.
    pub(super) fn plain(&self) -> String {
        self.write(Style::default())
    }
}

/// A value was not of the kind that its field is of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::formats) struct WrongKind;

type Read<T> = Result<Option<T>, WrongKind>;

fn read<'a, T: serde::Deserialize<'a>>(raw: &'a str) -> Read<T> {
    serde_json::from_str::<Option<T>>(raw).map_err(|_| WrongKind)
}

/// A string; empty and `null` are none.
pub(super) fn text(raw: &str) -> Read<String> {
    read::<String>(raw).map(|text| text.filter(|text| !text.is_empty()))
}

/// A moment; empty and `null` are none.
pub(super) fn time(raw: &str) -> Read<Millis> {
    text(raw)?.map(|text| read_time(&text).ok_or(WrongKind)).transpose()
}

/// A whole number; `null` is none.
pub(super) fn number(raw: &str) -> Read<i64> {
    read(raw)
}

/// A truth value, as a word or as 0 or 1; `null` is false.
pub(super) fn flag(raw: &str) -> Result<bool, WrongKind> {
    match raw {
        "true" | "1" => Ok(true),
        "false" | "0" | "null" => Ok(false),
        _ => Err(WrongKind),
    }
}

/// A list of strings; `null` is empty.
pub(super) fn texts(raw: &str) -> Result<Vec<String>, WrongKind> {
    read(raw).map(Option::unwrap_or_default)
}

/// A list of anything, each item as it was written; `null` is empty.
pub(super) fn items(raw: &str) -> Result<Vec<&str>, WrongKind> {
    let items: Option<Vec<&RawValue>> = read(raw)?;
    Ok(items.unwrap_or_default().into_iter().map(RawValue::get).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn styles_write_what_their_writers_write() {
        let out = Out::List(vec![Out::Text("a<é\u{1f600}".to_owned())]);
        let style = |spaced, escape| Style { spaced, escape };
        assert_eq!(out.write(style(true, Escape::Plain)), "[\"a<é\u{1f600}\"]");
        assert_eq!(out.write(style(false, Escape::Html)), "[\"a\\u003cé\u{1f600}\"]");
        assert_eq!(out.write(style(false, Escape::Ascii)), "[\"a<\\u00e9\\ud83d\\ude00\"]");
    }

    #[test]
    fn members_keep_their_order_and_their_text() {
        let entries = Entries::read(r#"{"b": 1.0, "a":[ 1 ],"b":2}"#).expect("it is an object");
        assert_eq!(entries.0.len(), 3);
        assert_eq!(entries.get("a"), Some("[ 1 ]"));
        assert_eq!(entries.get("b"), Some("2"));
        assert!(Entries::read("[1]").is_err());
    }
}
