//! Words: what somebody may have meant, and names made of titles.

/// How many single-character changes lead from `a` to `b`, with `_` as good as `-`.
/// (Wagner and Fischer: *The String-to-String Correction Problem*, 1974.)
fn distance(a: &str, b: &str) -> usize {
    let fold = |c: char| {
        if c == '_' { '-' } else { c.to_ascii_lowercase() }
    };
    let b: Vec<char> = b.chars().map(fold).collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, left) in a.chars().map(fold).enumerate() {
        let mut diagonal = i;
        let mut last = i + 1;
        for (cell, &right) in row.iter_mut().skip(1).zip(&b) {
            let best = (diagonal + usize::from(left != right)).min(last + 1).min(*cell + 1);
            diagonal = std::mem::replace(cell, best);
            last = best;
        }
        if let Some(first) = row.first_mut() {
            *first = i + 1;
        }
    }
    row.last().copied().unwrap_or(0)
}

/// The one of `known` that `word` is most likely a slip of.
pub(crate) fn closest<'a>(word: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    const LONGEST: usize = 64;
    let length = word.chars().take(LONGEST + 1).count();
    if length > LONGEST {
        return None;
    }
    let near = known.into_iter().filter(|known| known.len() <= LONGEST * 4);
    let near = near.map(|known| (distance(word, known), known));
    let (slips, best) = near.min_by_key(|&(slips, _)| slips)?;
    (slips <= 2.min(length / 2)).then_some(best)
}

/// `; did you mean X?`, or nothing where no known word is near.
pub(crate) fn did_you_mean<'a>(word: &str, known: impl IntoIterator<Item = &'a str>) -> String {
    closest(word, known).map(|best| format!("; did you mean {best}?")).unwrap_or_default()
}

/// A name made of a title: lower-case letters and digits, joined by dashes.
pub(crate) fn slug(title: &str) -> String {
    let mut slug = String::new();
    for c in title.chars() {
        if c.is_alphanumeric() {
            slug.extend(c.to_lowercase());
        } else if !slug.is_empty() && !slug.ends_with('-') && c != '\'' {
            slug.push('-');
        }
    }
    let slug = slug.trim_end_matches('-');
    let short: String = slug.chars().take(48).collect();
    let short = short.trim_end_matches('-');
    if short.is_empty() { "untitled".to_owned() } else { short.to_owned() }
}

/// `wanted`, or `wanted-2`, `wanted-3` … : the first that is not `taken`.
pub(crate) fn unique(wanted: &str, taken: impl Fn(&str) -> bool) -> String {
    let mut name = wanted.to_owned();
    let mut number = 2_usize;
    while taken(&name) {
        name = format!("{wanted}-{number}");
        number += 1;
    }
    name
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slips_are_recognised_and_other_words_are_not() {
        let known = ["blocks", "parent-child", "waits-for"];
        assert_eq!(closest("parent_child", known), Some("parent-child"));
        assert_eq!(closest("bloks", known), Some("blocks"));
        assert_eq!(closest("tracks", known), None);
        assert_eq!(closest("", known), None);
    }

    #[test]
    fn slugs_are_short_and_unique() {
        assert_eq!(slug("Don't parse: the *whole* file!"), "dont-parse-the-whole-file");
        assert_eq!(slug("…"), "untitled");
        assert_eq!(unique("a", |name| name == "a" || name == "a-2"), "a-3");
    }
}
