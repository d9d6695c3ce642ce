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

/// How long git's marks of a conflict are where nothing else is said.
const MARK: usize = 7;

/// A conflict in a text: its line, and what it says.
type Conflict = (usize, Vec<u8>);

/// The conflicts in a text that somebody was to settle: all of what git writes around the two sides, in its order,
/// with marks of `size` signs.
fn conflicts_in(text: &[u8], size: usize) -> Vec<Conflict> {
    let is_mark = |line: &[u8], sign: u8| {
        let (mark, rest) = line.split_at(size.min(line.len()));
        mark.len() == size
            && mark.iter().all(|&byte| byte == sign)
            && if sign == b'=' { rest.is_empty() } else { rest.starts_with(b" ") }
    };
    let (mut found, mut begun, mut parted) = (Vec::new(), None, false);
    for (number, line) in (1..).zip(text.split(|&byte| byte == b'\n')) {
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        if is_mark(line, b'<') {
            (begun, parted) = (Some((number, Vec::new())), false);
        } else if is_mark(line, b'=') {
            parted = begun.is_some();
        }
        if let Some((_, said)) = &mut begun {
            said.extend_from_slice(line);
            said.push(b'\n');
        }
        if is_mark(line, b'>') && parted {
            found.extend(begun.take());
            parted = false;
        }
    }
    found
}

/// The conflicts that the files called `changed` have `now`, and that neither they had `before` nor a file from which
/// they came. The tree shows what is looked at.
async fn conflicts(
    tree: &Tree,
    (before, now): (&[FileAt], &[FileAt]),
    changed: &BTreeSet<&str>,
) -> Result<Vec<(String, usize)>, GitError> {
    // What was there under any name is not the change's, and what tests read may have to look like this.
    let there: BTreeSet<&str> = before.iter().map(|file| &*file.blob).collect();
    let touched = |file: &&FileAt| changed.contains(&*file.path) && file.size <= TEXT_MAX as u64;
    let apart = |path: &str| is_test_path(path) && !is_code(path);
    let new = |file: &&FileAt| !there.contains(&*file.blob) && !apart(&file.path);
    let left = conflicts_of(tree, now.iter().filter(touched).filter(new).collect()).await?;
    if left.is_empty() {
        return Ok(Vec::new());
    }
    let old = conflicts_of(tree, before.iter().filter(touched).collect()).await?;
    let known: BTreeSet<&Vec<u8>> = old.values().flatten().map(|(_, said)| said).collect();
    let mut found = Vec::new();
    for (path, conflicts) in &left {
        // One more of the same in one file is new; in a file that had none, it moved.
        let own = old.get(path).map_or(0, Vec::len);
        let new = conflicts.iter().skip(own).filter(|(_, said)| own > 0 || !known.contains(said));
        found.extend(new.map(|(line, _)| (path.clone(), *line)));
    }
    Ok(found)
}

/// The conflicts in `files`, by path, of those that have any. Many are read at a time. Where the project says how long
/// the marks of a file are, for git and for us, shorter ones are text.
async fn conflicts_of(
    tree: &Tree,
    files: Vec<&FileAt>,
) -> Result<BTreeMap<String, Vec<Conflict>>, GitError> {
    let mut found = BTreeMap::new();
    let mut rest = files.as_slice();
    while !rest.is_empty() {
        let mut bytes = 0;
        let fits = rest.iter().take_while(|file| {
            let begun = bytes < TREE_BYTES_MAX;
            bytes += file.size;
            begun
        });
        let (some, others) = rest.split_at(fits.count());
        rest = others;
        let blobs: Vec<&str> = some.iter().map(|file| file.blob.as_str()).collect();
        for (file, text) in some.iter().zip(tree.blobs(&blobs).await?) {
            if !text.split(|&byte| byte == b'\n').any(|line| line.starts_with(&[b'<'; MARK])) {
                continue;
            }
            let size = tree.attribute("conflict-marker-size", &file.path).await?;
            let size = size.and_then(|size| size.parse().ok()).unwrap_or(MARK).max(MARK);
            let conflicts = conflicts_in(&text, size);
            if !conflicts.is_empty() {
                found.insert(file.path.clone(), conflicts);
            }
        }
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
        let lines = |text: &str, size: usize| -> Vec<usize> {
            conflicts_in(text.as_bytes(), size).into_iter().map(|(line, _)| line).collect()
        };
        assert_eq!(lines(text, MARK), [2]);
        assert_eq!(lines(&text.replace('\n', "\r\n"), MARK), [2]);
        let long = ["<<<<<<<", "=======", ">>>>>>>"];
        let long =
            long.iter().fold(text.to_owned(), |text, mark| text.replace(mark, &mark.repeat(2)));
        assert!(lines(&long, MARK).is_empty() && lines(text, 2 * MARK).is_empty());
        assert_eq!(lines(&format!("{text}{long}"), 2 * MARK), [9]);
        for part in
            ["Title\n=======\n>>>>>>> quoted\n", "<<<<<<< x\n>>>>>>> y\n", " <<<<<<< x\n=======\n"]
        {
            assert!(lines(part, MARK).is_empty(), "{part}");
        }
    }
}
