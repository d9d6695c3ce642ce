//! Reports that a project's tests leave behind: JUnit XML and LCOV, read where they are.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use tress_inspect::junit::read_junit;
use tress_inspect::lcov::{read_lcov, share_covered};

/// Where runners leave JUnit XML by themselves, or where they are told to by habit.
const JUNIT: [&str; 9] = [
    "junit.xml",
    "report.xml",
    "test-results.xml",
    "test-results/junit.xml",
    "reports/junit.xml",
    "target/nextest/default/junit.xml",
    "target/nextest/ci/junit.xml",
    "target/surefire-reports",
    "build/test-results/test",
];
/// Where coverage is left in the form of LCOV.
const LCOV: [&str; 4] = ["lcov.info", "coverage/lcov.info", "coverage.lcov", "target/lcov.info"];
/// A report of more bytes is passed over.
const BYTES_MAX: u64 = 32 << 20;
/// How many reports of one directory are read.
const FILES_MAX: usize = 500;

/// What the reports in a work tree say.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Reports {
    /// How many tests they have, and which of them failed; nothing where there is no report.
    pub(super) tests: Option<(usize, BTreeSet<String>)>,
    /// The share of the changed lines that ran, of those that can run.
    pub(super) covered: Option<f64>,
}

impl Reports {
    /// Reads them. `changed` has the changed lines, by path.
    pub(super) fn read(dir: &Path, changed: &BTreeMap<String, BTreeSet<usize>>) -> Self {
        let mut tests: Option<(usize, BTreeSet<String>)> = None;
        for path in JUNIT.iter().flat_map(|name| xml_files(&dir.join(name))) {
            let Some(report) = text(&path).and_then(|text| read_junit(&text)) else { continue };
            let (count, failed) = tests.get_or_insert_default();
            *count += report.tests;
            failed.extend(report.failed.into_iter().chain(report.errors));
        }
        let coverage = LCOV.iter().find_map(|name| text(&dir.join(name)));
        let covered = coverage.and_then(|text| share_covered(&read_lcov(&text), changed));
        Self { tests, covered }
    }

    /// In one line; empty where there is no report.
    pub(super) fn told(&self) -> String {
        let tests = self.tests.as_ref().map(|(count, failed)| {
            let names: Vec<&str> = failed.iter().take(10).map(String::as_str).collect();
            match names.as_slice() {
                [] => format!("JUnit report: {count} tests, none failed"),
                names => format!("JUnit report: {count} tests, failed: {}", names.join(", ")),
            }
        });
        let covered = self
            .covered
            .map(|share| format!("coverage: {:.0} % of the changed lines", share * 100.0));
        tests.into_iter().chain(covered).collect::<Vec<_>>().join("; ")
    }
}

fn text(path: &Path) -> Option<String> {
    let small =
        std::fs::metadata(path).is_ok_and(|found| found.is_file() && found.len() <= BYTES_MAX);
    small
        .then(|| std::fs::read(path).ok())
        .flatten()
        .map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
}

/// The file itself, or the XML files in the directory.
fn xml_files(path: &Path) -> Vec<PathBuf> {
    let Ok(entries) = std::fs::read_dir(path) else { return vec![path.to_owned()] };
    let paths = entries.filter_map(|entry| Some(entry.ok()?.path()));
    let mut files: Vec<PathBuf> =
        paths.filter(|path| path.extension().is_some_and(|ending| ending == "xml")).collect();
    files.sort();
    files.truncate(FILES_MAX);
    files
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reports_are_read_where_runners_leave_them() {
        let dir = tempfile::tempdir().expect("a directory");
        assert_eq!(Reports::read(dir.path(), &BTreeMap::new()), Reports::default());
        let surefire = dir.path().join("target/surefire-reports");
        std::fs::create_dir_all(&surefire).expect("made");
        let xml = "<testsuite><testcase classname=\"A\" name=\"ok\"/><testcase classname=\"A\" \
                   name=\"bad\"><failure/></testcase></testsuite>";
        std::fs::write(surefire.join("TEST-A.xml"), xml).expect("written");
        std::fs::write(
            dir.path().join("lcov.info"),
            "SF:src/a.rs\nDA:1,1\nDA:2,0\nend_of_record\n",
        )
        .expect("written");
        let changed = BTreeMap::from([("src/a.rs".to_owned(), BTreeSet::from([1, 2]))]);
        let told = Reports::read(dir.path(), &changed).told();
        assert_eq!(
            told,
            "JUnit report: 2 tests, failed: A.bad; coverage: 50 % of the changed lines"
        );
    }
}
