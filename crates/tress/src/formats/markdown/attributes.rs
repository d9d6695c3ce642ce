//! Attributes in parentheses behind a title: `(needs: lexer, parser)`.

/// One attribute as it stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Attribute<'a> {
    /// Its name.
    pub(super) name: &'a str,
    /// Its value.
    pub(super) value: &'a str,
}

/// Takes the attributes off the end of a line: the title, and the attributes.
///
/// Parentheses inside a value are balanced; where they are not, those in quotes do not count.
pub(super) fn split(line: &str) -> (&str, Vec<Attribute<'_>>) {
    let line = line.trim();
    let opens = line.match_indices('(').map(|(at, _)| at);
    for at in opens.filter(|&at| at == 0 || line.get(..at).is_some_and(|l| l.ends_with(' '))) {
        let (Some(title), Some(rest)) = (line.get(..at), line.get(at..)) else {
            continue;
        };
        if let Some(found) = groups(rest, false).or_else(|| groups(rest, true)) {
            return (title.trim_end(), found);
        }
    }
    (line, Vec::new())
}

/// The attributes that `text` consists of, if it consists of attributes.
fn groups(mut text: &str, quotes: bool) -> Option<Vec<Attribute<'_>>> {
    let mut found = Vec::new();
    while !text.is_empty() {
        let end = balanced(text, quotes)?;
        let inner = text.get(1..end)?;
        let (name, value) = inner.split_once(':')?;
        let name = name.trim();
        let word = |c: char| c.is_ascii_alphabetic() || matches!(c, '-' | '_');
        if name.is_empty() || !name.chars().all(word) || value.starts_with("//") {
            return None;
        }
        found.push(Attribute { name, value: value.trim() });
        text = text.get(end + 1..)?.trim_start();
    }
    Some(found)
}

/// Where the parenthesis that opens `text` closes.
fn balanced(text: &str, quotes: bool) -> Option<usize> {
    let mut depth = 0_usize;
    let mut quoted = None;
    for (at, c) in text.char_indices() {
        match (quoted, c) {
            (Some(quote), c) if c == quote => quoted = None,
            (Some(_), _) => {}
            (None, '"' | '\'' | '`') if quotes => quoted = Some(c),
            (None, '(') => depth += 1,
            (None, ')') => {
                depth = depth.checked_sub(1)?;
                if depth == 0 {
                    return Some(at);
                }
            }
            (None, _) if depth == 0 => return None,
            (None, _) => {}
        }
    }
    None
}

/// The parts of a list, at the commas outside braces: `src/{a,b}.rs` is one.
pub(super) fn parts(value: &str) -> Vec<String> {
    let mut parts = vec![String::new()];
    let mut depth = 0_usize;
    for c in value.chars() {
        match c {
            '{' => depth += 1,
            '}' => depth = depth.saturating_sub(1),
            ',' if depth == 0 => {
                parts.push(String::new());
                continue;
            }
            _ => {}
        }
        if let Some(part) = parts.last_mut() {
            part.push(c);
        }
    }
    let parts = parts.iter().map(|part| part.trim().to_owned());
    parts.filter(|part| !part.is_empty()).collect()
}

/// Minutes: `45`, `30m`, `2h`, `1h30m`, `1d` (a working day of eight hours).
pub(super) fn minutes(value: &str) -> Option<u32> {
    let value = value.replace(' ', "");
    if let Ok(minutes) = value.parse() {
        return Some(minutes);
    }
    let mut sum = 0_u32;
    let mut rest = value.as_str();
    while !rest.is_empty() {
        let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
        let (number, tail) = rest.split_at_checked(digits)?;
        let letters = tail.bytes().take_while(u8::is_ascii_alphabetic).count();
        let (unit, tail) = tail.split_at_checked(letters)?;
        let unit = match unit {
            "m" | "min" => 1,
            "h" => 60,
            "d" => 8 * 60,
            _ => return None,
        };
        sum = sum.checked_add(number.parse::<u32>().ok()?.checked_mul(unit)?)?;
        rest = tail;
    }
    (sum > 0).then_some(sum)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(line: &str) -> (&str, Vec<(&str, &str)>) {
        let (title, attributes) = split(line);
        (title, attributes.into_iter().map(|a| (a.name, a.value)).collect())
    }

    #[test]
    fn attributes_come_off_the_end_only() {
        assert_eq!(
            found("Parse (id: p) (needs: a, b)"),
            ("Parse", vec![("id", "p"), ("needs", "a, b")])
        );
        assert_eq!(found("Parse (fast) files (id: p)"), ("Parse (fast) files", vec![("id", "p")]));
        assert_eq!(found("Parse (see: x) later"), ("Parse (see: x) later", vec![]));
        assert_eq!(found("See (https://x.y/z)"), ("See (https://x.y/z)", vec![]));
        assert_eq!(found("f(id: x)"), ("f(id: x)", vec![]));
        assert_eq!(found("(id: x)"), ("", vec![("id", "x")]));
    }

    #[test]
    fn parentheses_in_a_value_are_balanced() {
        assert_eq!(
            found("A (check: (cd x && make) || false)").1,
            [("check", "(cd x && make) || false")]
        );
        assert_eq!(
            found("A (check: echo \")\") (id: a)").1,
            [("check", "echo \")\""), ("id", "a")]
        );
        assert_eq!(found("A (check: grep '(' x)").1, [("check", "grep '(' x")]);
        assert_eq!(found("A (check: don't) (id: a)").1, [("check", "don't"), ("id", "a")]);
        assert_eq!(found("A (check: grep ( x)"), ("A (check: grep ( x)", vec![]));
    }

    #[test]
    fn times_and_lists_are_read_as_people_write_them() {
        assert_eq!(
            ["30m", "2h", "1h 30m", "45", "1d"].map(minutes),
            [30, 120, 90, 45, 480].map(Some)
        );
        assert_eq!(["", "soon", "h", "0m", "99999999999m"].map(minutes), [None; 5]);
        assert_eq!(parts("src/{a,b}.rs, c , ,"), ["src/{a,b}.rs", "c"]);
    }
}
