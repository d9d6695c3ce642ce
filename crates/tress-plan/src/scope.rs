//! Scopes: which files a todo is about, as globs.

use std::collections::{BTreeMap, BTreeSet};

use globset::{Glob, GlobBuilder, GlobMatcher};

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
        || match whole_directory(pattern) {
            // To compile a pattern costs most, and few need it.
            Some((directory, deep)) => inside(path, directory, deep),
            None if prefix(pattern) == pattern => false,
            None => glob(pattern).is_some_and(|glob| glob.compile_matcher().is_match(path)),
        }
}

/// The directory of a pattern for all that is in it (`dir/*`) or below it (`dir/**`), and which of
/// the two it is.
fn whole_directory(pattern: &str) -> Option<(&str, bool)> {
    let deep = pattern.strip_suffix("/**");
    let directory = deep.or_else(|| pattern.strip_suffix("/*"))?;
    (prefix(directory) == directory).then_some((directory, deep.is_some()))
}

fn inside(path: &str, directory: &str, deep: bool) -> bool {
    let rest = path.strip_prefix(directory).and_then(|rest| rest.strip_prefix('/'));
    rest.is_some_and(|rest| !rest.is_empty() && (deep || !rest.contains('/')))
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
        (true, false) => below(left, right, other),
        (false, true) => below(right, left, start),
        (true, true) => false,
        (false, false) => globs_overlap(left, right),
    }
}

/// Beyond so many `**` in both patterns together nothing is compared: they count as overlapping.
const DEEP_MAX: usize = 6;

/// Whether some path could match both globs, part by part of the path.
fn globs_overlap(left: &str, right: &str) -> bool {
    fn parts_overlap(left: &[&str], right: &[&str]) -> bool {
        match (left, right) {
            ([], []) => true,
            ([first @ "**", rest @ ..], other) | (other, [first @ "**", rest @ ..]) => {
                parts_overlap(rest, other)
                    || other.split_first().is_some_and(|(_, behind)| {
                        let again: Vec<&str> =
                            std::iter::once(*first).chain(rest.iter().copied()).collect();
                        parts_overlap(&again, behind)
                    })
            }
            ([one, left @ ..], [other, right @ ..]) => {
                part_overlaps(one, other) && parts_overlap(left, right)
            }
            _ => false,
        }
    }
    let many = left.matches("**").count() + right.matches("**").count() > DEEP_MAX;
    if many || left.contains(['{', '\\']) || right.contains(['{', '\\']) {
        let (start, other) = (prefix(left), prefix(right));
        return start.starts_with(other) || other.starts_with(start);
    }
    let parts = |pattern| str::split(pattern, '/').collect::<Vec<&str>>();
    parts_overlap(&parts(left), &parts(right))
}

/// Whether some name could match both parts: by what stands before and behind their wildcards.
fn part_overlaps(left: &str, right: &str) -> bool {
    let (start, other) = (prefix(left), prefix(right));
    if start == left && other == right {
        return left == right;
    }
    if left == "*" || right == "*" {
        return true;
    }
    let tail = |part: &str| -> String {
        part.rsplit(['*', '?', ']']).next().unwrap_or_default().to_owned()
    };
    let (end, last) = (tail(left), tail(right));
    (start.starts_with(other) || other.starts_with(start))
        && (end.ends_with(&last) || last.ends_with(&end))
}

/// Whether the glob `pattern`, which begins with `start`, may match something below `path`, if that
/// is a directory: what has no extension may be one.
fn below(path: &str, pattern: &str, start: &str) -> bool {
    let directory = path.trim_end_matches('/');
    let last = directory.rsplit('/').next().unwrap_or_default();
    let may_be = path.ends_with('/') || !last.trim_start_matches('.').contains('.');
    let deeper =
        pattern.contains("**") || pattern.matches('/').count() > directory.matches('/').count();
    let inside = format!("{directory}/");
    may_be && deeper && (inside.starts_with(start) || start.starts_with(&inside))
}

/// The directory that a pattern is about, as a pattern of the files that lie in it (of all below it,
/// where the pattern goes deeper); what lies at the top stays itself, so that two files there do
/// not count as one place.
pub fn directory(pattern: &str) -> String {
    let pattern = pattern.trim_start_matches("./");
    let start = prefix(pattern);
    match start.rfind('/') {
        Some(end) => {
            let deeper = pattern.contains("**")
                || pattern.get(end + 1..).is_some_and(|rest| rest.contains('/'));
            let all = if deeper { "**" } else { "*" };
            format!("{}/{all}", start.get(..end).unwrap_or_default())
        }
        None => pattern.to_owned(),
    }
}

/// Scopes that are taken, by whom; made once and asked often.
#[derive(Debug, Clone, Default)]
pub struct Taken {
    /// Patterns without wildcards, and whose they are.
    plain: BTreeMap<String, String>,
    globs: Vec<(String, Option<GlobMatcher>, String)>,
    seen: BTreeSet<(String, String)>,
}

impl Taken {
    /// Adds what `by` has taken.
    pub fn add<'a>(&mut self, scope: impl IntoIterator<Item = &'a String>, by: &str) {
        for pattern in scope {
            let pattern = pattern.trim_start_matches("./");
            if !self.seen.insert((pattern.to_owned(), by.to_owned())) {
                continue;
            }
            if prefix(pattern) == pattern {
                let directory = pattern.trim_end_matches('/').to_owned();
                self.plain.entry(directory).or_insert_with(|| by.to_owned());
            } else {
                let needed = whole_directory(pattern).is_none();
                let matcher = if needed { glob(pattern) } else { None };
                let matcher = matcher.map(|glob| glob.compile_matcher());
                self.globs.push((pattern.to_owned(), matcher, by.to_owned()));
            }
        }
    }

    /// Whether nothing is taken.
    pub fn is_empty(&self) -> bool {
        self.plain.is_empty() && self.globs.is_empty()
    }

    /// Who has taken something that overlaps with `scope`: by whom and which of its patterns.
    pub fn overlapping<'a>(&'a self, scope: &'a [String]) -> Option<(&'a str, &'a str)> {
        scope.iter().find_map(|pattern| {
            self.holder(pattern.trim_start_matches("./")).map(|by| (by, pattern.as_str()))
        })
    }

    fn holder(&self, pattern: &str) -> Option<&str> {
        let start = prefix(pattern);
        if start != pattern {
            // Few todos are given as globs; they are compared one by one.
            let plain = self.plain.iter().map(|(taken, by)| (taken.as_str(), by));
            let globs = self.globs.iter().map(|(taken, _, by)| (taken.as_str(), by));
            let mut all = plain.chain(globs);
            return all.find(|(taken, _)| patterns_overlap(taken, pattern)).map(|(_, by)| &**by);
        }
        let path = pattern.trim_end_matches('/');
        let mut above = Some(path);
        while let Some(place) = above {
            if let Some(by) = self.plain.get(place) {
                return Some(by);
            }
            above = place.rfind('/').and_then(|end| place.get(..end));
        }
        let start = format!("{path}/");
        let inner = self.plain.range(start.clone()..).next();
        if let Some((_, by)) = inner.filter(|(taken, _)| taken.starts_with(&start)) {
            return Some(by);
        }
        let hit = self.globs.iter().find(|(taken, matcher, _)| {
            whole_directory(taken).is_some_and(|(directory, deep)| inside(path, directory, deep))
                || matcher.as_ref().is_some_and(|matcher| matcher.is_match(path))
                || covers(pattern, taken)
                || below(pattern, taken, prefix(taken))
        });
        hit.map(|(_, _, by)| &**by)
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
            ("src/deep", "src/**/x.rs", true),
            ("src/*", "src/deep/*", false),
            ("src/*.rs", "src/*.md", false),
            ("src/a*", "src/*b.rs", true),
            ("**/x.rs", "src/*/x.rs", true),
            ("**/x.rs", "src/*/y.rs", false),
            ("src/{a,b}.rs", "src/*", true),
            ("src/deep.rs", "src/**/x.rs", false),
            ("src", "tests/*.rs", false),
            ("./src/a.rs", "src/", true),
        ] {
            assert_eq!(overlap(&scope(&[left]), &scope(&[right])), expected, "{left} {right}");
            assert_eq!(overlap(&scope(&[right]), &scope(&[left])), expected, "{right} {left}");
            for (one, other) in [(left, right), (right, left)] {
                let mut taken = Taken::default();
                taken.add(&scope(&[one]), "someone");
                let asked = scope(&[other]);
                let found = taken.overlapping(&asked);
                assert_eq!(found, expected.then_some(("someone", other)), "{one} {other}");
            }
        }
        assert!(!overlap(&[], &scope(&["src/**"])));
        assert_eq!(directory("src/deep/a.rs"), "src/deep/*");
        assert_eq!(directory("src/*.rs"), "src/*");
        assert_eq!(directory("src/**/a.rs"), "src/**");
        assert_eq!(directory("README.md"), "README.md");
    }
}
