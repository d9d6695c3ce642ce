//! Coverage in the format of LCOV: which lines ran.

use std::collections::{BTreeMap, BTreeSet};

/// What ran of one file.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct FileCoverage {
    /// Lines that ran, from 1.
    pub covered: BTreeSet<usize>,
    /// Lines that could have run and did not.
    pub missed: BTreeSet<usize>,
}

/// Reads an LCOV file: by path, as written in it. Several records of a file are joined; a line that
/// ran in one of them ran. What cannot be read is passed over.
pub fn read_lcov(text: &str) -> BTreeMap<String, FileCoverage> {
    let mut files: BTreeMap<String, FileCoverage> = BTreeMap::new();
    let mut path: Option<String> = None;
    for line in text.lines().map(str::trim) {
        if let Some(name) = line.strip_prefix("SF:") {
            let name = name.trim().replace('\\', "/");
            files.entry(name.clone()).or_default();
            path = Some(name);
        } else if line == "end_of_record" {
            path = None;
        } else if let Some((number, rest)) =
            line.strip_prefix("DA:").and_then(|data| data.split_once(','))
        {
            let hits = rest.split(',').next().unwrap_or_default().trim();
            // Some tools write counts with a fraction or in scientific notation.
            let ran = hits.parse::<f64>().map(|hits| hits > 0.0);
            if let (Ok(number), Ok(ran), Some(file)) = (
                number.trim().parse::<usize>(),
                ran,
                path.as_ref().and_then(|path| files.get_mut(path)),
            ) {
                if ran {
                    file.covered.insert(number);
                    file.missed.remove(&number);
                } else if !file.covered.contains(&number) {
                    file.missed.insert(number);
                }
            }
        }
    }
    files
}

/// The coverage of the file at `path` (from the root of the project), whatever the directory that
/// the tool wrote in front of it.
pub fn of_file<'c>(
    coverage: &'c BTreeMap<String, FileCoverage>,
    path: &str,
) -> Option<&'c FileCoverage> {
    let fits = |name: &str| {
        name == path
            || name.ends_with(path) && name.strip_suffix(path).is_some_and(|dir| dir.ends_with('/'))
    };
    coverage.iter().find(|(name, _)| fits(name)).map(|(_, file)| file)
}

/// The share of changed lines that ran, from 0 to 1, of those that can run; `None` where none can.
/// `changed` has the changed lines (from 1) of each path.
pub fn share_covered(
    coverage: &BTreeMap<String, FileCoverage>,
    changed: &BTreeMap<String, BTreeSet<usize>>,
) -> Option<f64> {
    let (mut ran, mut all) = (0_usize, 0_usize);
    for (path, lines) in changed {
        let Some(file) = of_file(coverage, path) else { continue };
        ran += lines.intersection(&file.covered).count();
        all += lines
            .iter()
            .filter(|line| file.covered.contains(line) || file.missed.contains(line))
            .count();
    }
    #[expect(clippy::cast_precision_loss, reason = "counts of lines are small")]
    (all > 0).then(|| ran as f64 / all as f64)
}
