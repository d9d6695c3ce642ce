//! The texts that a verification looks at: what changed, before and after, and the whole tree.

use std::collections::{BTreeMap, BTreeSet};

use tress_inspect::function::is_test_path;
use tress_inspect::{Language, TEXT_MAX};

use crate::git::{FileAt, GitError, Tree};

/// How many bytes of texts are held at once; what lies beyond in the order of paths is not looked at
/// for references.
const TREE_BYTES_MAX: u64 = 64 << 20;

/// A file that a change touched.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Touched {
    pub(super) path: String,
    /// Its text before, where it was there.
    pub(super) base: Option<String>,
    /// Its text now, where it is still there.
    pub(super) new: Option<String>,
}

/// What there is to look at.
#[derive(Debug, Clone, Default)]
pub(super) struct Sources {
    /// What the change touched, of languages whose syntax is known.
    pub(super) touched: Vec<Touched>,
    /// Every path of the tree as it is now.
    pub(super) paths: BTreeSet<String>,
    /// The texts of the tree as it is now.
    pub(super) tree: BTreeMap<String, String>,
    /// Where the change left a conflict of a merge, in files of any kind: path and line.
    pub(super) conflicts: Vec<(String, usize)>,
}

impl Sources {
    /// Reads them: `base` is the commit that work began from, `commit` the work.
    pub(super) async fn read(
        tree: &Tree,
        (base, commit): (&str, &str),
        changed: &[String],
    ) -> Result<Self, GitError> {
        let now = tree.files(commit).await?;
        let paths = now.iter().map(|file| file.path.clone()).collect();
        let texts = texts(tree, &now, is_text).await?;
        let began = tree.merge_base(base, commit).await?;
        let known: BTreeSet<&str> = changed.iter().map(String::as_str).collect();
        let before = tree.files(&began).await?;
        let conflicts = conflicts(tree, (&before, &now), &known).await?;
        let before =
            self::texts(tree, &before, |path| known.contains(path) && is_code(path)).await?;
        let mut touched = Vec::new();
        for path in changed.iter().filter(|path| is_code(path)) {
            let (base, new) = (before.get(path).cloned(), texts.get(path).cloned());
            if base.is_some() || new.is_some() {
                touched.push(Touched { path: path.clone(), base, new });
            }
        }
        Ok(Self { touched, paths, tree: texts, conflicts })
    }
}

/// The lines at which a text has a conflict that somebody was to settle: all of what git writes around the two sides,
/// in its order.
fn conflict_lines(text: &[u8]) -> Vec<usize> {
    let (mut found, mut begun, mut parted) = (Vec::new(), None, false);
    for (number, line) in (1..).zip(text.split(|&byte| byte == b'\n')) {
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        if line.starts_with(b"<<<<<<< ") {
            (begun, parted) = (Some(number), false);
        } else if line == b"=======" {
            parted = begun.is_some();
        } else if line.starts_with(b">>>>>>> ") && parted {
            found.extend(begun.take());
            parted = false;
        }
    }
    found
}

/// The conflicts that the files called `changed` have `now`, and had not `before`.
async fn conflicts(
    tree: &Tree,
    (before, now): (&[FileAt], &[FileAt]),
    changed: &BTreeSet<&str>,
) -> Result<Vec<(String, usize)>, GitError> {
    // What was there under any name is not the change's, and what tests read may have to look like this.
    let known: BTreeSet<&str> = before.iter().map(|file| &*file.blob).collect();
    let new = |file: &&FileAt| changed.contains(&*file.path) && !known.contains(&*file.blob);
    let apart = |path: &str| is_test_path(path) && !is_code(path);
    let files = now.iter().filter(new).filter(|file| !apart(&file.path));
    let files: Vec<&FileAt> = files.filter(|file| file.size <= TEXT_MAX as u64).collect();
    let mut found = Vec::new();
    for file in files {
        let text = tree.blobs(&[&file.blob]).await?.pop().unwrap_or_default();
        let lines = conflict_lines(&text);
        if lines.is_empty() {
            continue;
        }
        let old = before.iter().find(|old| old.path == file.path);
        let old = match old {
            Some(old) => tree.blobs(&[&old.blob]).await?.pop().unwrap_or_default(),
            None => Vec::new(),
        };
        // What was there before is not the change's.
        let known = conflict_lines(&old).len();
        found.extend(lines.into_iter().skip(known).map(|line| (file.path.clone(), line)));
    }
    Ok(found)
}

fn is_code(path: &str) -> bool {
    Language::of(path).is_some()
}

/// Whether a file can say who uses what: code, and what configures it.
fn is_text(path: &str) -> bool {
    const ENDINGS: [&str; 12] = [
        ".toml",
        ".json",
        ".yaml",
        ".yml",
        ".xml",
        ".html",
        ".gradle",
        ".cfg",
        ".ini",
        ".mod",
        ".properties",
        ".sh",
    ];
    is_code(path) || ENDINGS.iter().any(|ending| path.ends_with(ending))
}

async fn texts(
    tree: &Tree,
    files: &[FileAt],
    wanted: impl Fn(&str) -> bool,
) -> Result<BTreeMap<String, String>, GitError> {
    let mut bytes = 0;
    let wanted: Vec<&FileAt> = files
        .iter()
        .filter(|file| wanted(&file.path) && file.size <= TEXT_MAX as u64)
        .take_while(|file| {
            bytes += file.size;
            bytes <= TREE_BYTES_MAX
        })
        .collect();
    let blobs: Vec<&str> = wanted.iter().map(|file| file.blob.as_str()).collect();
    if blobs.is_empty() {
        return Ok(BTreeMap::new());
    }
    let read = tree.blobs(&blobs).await?;
    let text = |(file, bytes): (&FileAt, Vec<u8>)| {
        Some((file.path.clone(), String::from_utf8(bytes).ok()?))
    };
    Ok(wanted.into_iter().zip(read).filter_map(text).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_conflict_is_all_of_its_marks_in_order() {
        let text = "a\n<<<<<<< ours\none\n=======\ntwo\n>>>>>>> theirs\nb\n";
        assert_eq!(conflict_lines(text.as_bytes()), [2]);
        assert_eq!(conflict_lines(text.replace('\n', "\r\n").as_bytes()), [2]);
        for part in
            ["Title\n=======\n>>>>>>> quoted\n", "<<<<<<< x\n>>>>>>> y\n", " <<<<<<< x\n=======\n"]
        {
            assert!(conflict_lines(part.as_bytes()).is_empty(), "{part}");
        }
    }
}
