//! Patterns: globs of files, and packages.

use globset::{GlobBuilder, GlobMatcher};

use crate::imports::Target;

/// What belongs to a side of a rule.
#[derive(Debug, Clone)]
pub struct Pattern {
    written: String,
    package: bool,
    matcher: GlobMatcher,
}

impl PartialEq for Pattern {
    fn eq(&self, other: &Self) -> bool {
        self.written == other.written
    }
}

impl Eq for Pattern {}

/// The names of a package with dashes and with underscores are the same package.
fn package(name: &str) -> String {
    name.replace('-', "_")
}

impl Pattern {
    /// The pattern that `written` is: a glob of paths, a path (a file, or a directory with all that
    /// is in it), or `pkg:NAME` with a glob of names.
    ///
    /// # Errors
    /// Why it is no glob.
    pub fn new(written: &str) -> Result<Self, String> {
        let name = written.strip_prefix("pkg:");
        let glob = match name {
            Some(name) => package(name),
            None => written.trim_start_matches("./").trim_end_matches('/').to_owned(),
        };
        let built = GlobBuilder::new(&glob).literal_separator(name.is_none()).build();
        let matcher = built.map_err(|error| error.kind().to_string())?.compile_matcher();
        Ok(Self { written: written.to_owned(), package: name.is_some(), matcher })
    }

    /// What is written.
    pub fn written(&self) -> &str {
        &self.written
    }

    /// Whether it means packages.
    pub const fn is_package(&self) -> bool {
        self.package
    }

    /// Whether it means the file at `path`.
    pub fn covers_file(&self, path: &str) -> bool {
        if self.package {
            return false;
        }
        let directory = self.matcher.glob().glob();
        let below = path.strip_prefix(directory).is_some_and(|rest| rest.starts_with('/'));
        below || self.matcher.is_match(path)
    }

    /// Whether it means what an import leads to.
    pub fn covers(&self, target: &Target) -> bool {
        match target {
            Target::File(path) => self.covers_file(path),
            Target::Package(name) => self.package && self.matcher.is_match(package(name)),
        }
    }
}
