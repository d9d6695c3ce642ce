//! Scopes: which files a todo is about, as globs.

use globset::{Glob, GlobBuilder};

fn glob(pattern: &str) -> Option<Glob> {
    GlobBuilder::new(pattern).literal_separator(true).build().ok()
}

/// What stands before the first wildcard.
fn prefix(pattern: &str) -> &str {
    let end = pattern.find(['*', '?', '[', '{']).unwrap_or(pattern.len());
    pattern.get(..end).unwrap_or(pattern)
}

/// Whether `pattern` covers `path`: the path itself, a directory above it, or a glob.
pub fn covers(pattern: &str, path: &str) -> bool {
    let pattern = pattern.trim_start_matches("./");
    let directory = pattern.trim_end_matches('/');
    path == directory
        || path.strip_prefix(directory).is_some_and(|rest| rest.starts_with('/'))
        || glob(pattern).is_some_and(|glob| glob.compile_matcher().is_match(path))
}

/// Whether some path could be in both scopes. Errs on the side of yes for two globs.
pub fn overlap(left: &[String], right: &[String]) -> bool {
    left.iter().any(|left| right.iter().any(|right| patterns_overlap(left, right)))
}

fn patterns_overlap(left: &str, right: &str) -> bool {
    let (left, right) = (left.trim_start_matches("./"), right.trim_start_matches("./"));
    let (start, other) = (prefix(left), prefix(right));
    match (start == left, other == right) {
        (true, _) if covers(right, left) => true,
        (_, true) if covers(left, right) => true,
        (true, _) | (_, true) => false,
        (false, false) => start.starts_with(other) || other.starts_with(start),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scope(patterns: &[&str]) -> Vec<String> {
        patterns.iter().map(|&pattern| pattern.to_owned()).collect()
    }

    #[test]
    fn scopes_overlap_where_a_path_could_be_in_both() {
        for (left, right, expected) in [
            ("src/a.rs", "src/a.rs", true),
            ("src/a.rs", "src/b.rs", false),
            ("src", "src/b.rs", true),
            ("src/*.rs", "src/b.rs", true),
            ("src/*.rs", "src/deep/b.rs", false),
            ("src/**", "src/deep/b.rs", true),
            ("src/**", "tests/**", false),
            ("src/**/x.rs", "src/deep/*.rs", true),
        ] {
            assert_eq!(overlap(&scope(&[left]), &scope(&[right])), expected, "{left} {right}");
            assert_eq!(overlap(&scope(&[right]), &scope(&[left])), expected, "{right} {left}");
        }
        assert!(!overlap(&[], &scope(&["src/**"])));
    }
}
