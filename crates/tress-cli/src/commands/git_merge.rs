//! What `init --git` writes: which files git merges with Tress, and how.

use std::path::{Path, PathBuf};
use std::process::Command;

use serde::Serialize;

use super::export;
use crate::failure::Failure;

/// What goes into `.gitattributes`.
const ATTRIBUTES: [&str; 3] =
    [".beads/*.jsonl merge=tress", "*.beads.jsonl merge=tress", "*.tressrun merge=tress"];
/// What goes into the configuration of the repository.
const CONFIG: [(&str, &str); 2] = [
    ("merge.tress.name", "Tress: todos merge by rule"),
    ("merge.tress.driver", "tress merge-file %O %A %B --path %P"),
];

/// A git repository in which Tress is to be a merge driver.
pub(crate) struct Repository {
    top: PathBuf,
}

/// What was written.
#[derive(Serialize)]
pub(crate) struct Registered {
    /// The file that names the files to merge.
    attributes: String,
    /// The lines that were added to it.
    lines_added: Vec<&'static str>,
    /// The settings that were made.
    config_set: Vec<Setting>,
}

#[derive(Serialize)]
struct Setting {
    key: &'static str,
    value: &'static str,
    /// What it was before, if it was something else.
    #[serde(skip_serializing_if = "Option::is_none")]
    was: Option<String>,
}

impl Repository {
    /// The repository that `dir` is in.
    pub(crate) fn of(dir: &Path) -> Result<Self, Failure> {
        // The directory may be yet to be made.
        let there = dir.ancestors().find(|dir| dir.is_dir()).unwrap_or(Path::new("."));
        let top = git(there, &["rev-parse", "--show-toplevel"])?.ok_or_else(|| {
            Failure::invalid(format!("{} is in no git repository", dir.display()))
                .hint("`git init` makes one; without --git, `tress init` needs none")
        })?;
        Ok(Self { top: PathBuf::from(top) })
    }

    /// Makes Tress the merge driver of its files. What is there already stays as it is.
    pub(crate) fn register(&self) -> Result<Registered, Failure> {
        let path = self.top.join(".gitattributes");
        let mut text = match std::fs::read(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Vec::new(),
            Err(error) => return Err(Failure::file("read", &path, &error)),
        };
        let known: Vec<String> =
            String::from_utf8_lossy(&text).lines().map(|line| line.trim().to_owned()).collect();
        let new = ATTRIBUTES.into_iter().filter(|line| known.iter().all(|known| known != line));
        let lines_added: Vec<&str> = new.collect();
        if !lines_added.is_empty() {
            if !text.is_empty() && !text.ends_with(b"\n") {
                text.push(b'\n');
            }
            text.extend(lines_added.iter().flat_map(|line| line.bytes().chain([b'\n'])));
            export::write(&path, &text)?;
        }
        let mut config_set = Vec::new();
        for (key, value) in CONFIG {
            let was = git(&self.top, &["config", "--local", "--get", key])?;
            if was.as_deref() == Some(value) {
                continue;
            }
            git(&self.top, &["config", "--local", key, value])?.ok_or_else(|| {
                Failure::invalid(format!("git cannot set {key}"))
                    .hint(format!("set it yourself: git config {key} \"{value}\""))
            })?;
            config_set.push(Setting { key, value, was });
        }
        Ok(Registered { attributes: path.display().to_string(), lines_added, config_set })
    }
}

/// What git prints; `None` where it refuses.
pub(super) fn git(dir: &Path, args: &[&str]) -> Result<Option<String>, Failure> {
    let output = Command::new("git").arg("-C").arg(dir).args(args).output().map_err(|error| {
        Failure::not_found(format!("git cannot be run: {error}"))
            .hint("install git, or do without it")
    })?;
    let text = String::from_utf8_lossy(&output.stdout).trim_end().to_owned();
    Ok(output.status.success().then_some(text))
}

impl Registered {
    /// What was written, for people.
    pub(crate) fn text(&self) -> String {
        let mut lines = Vec::new();
        if !self.lines_added.is_empty() {
            lines.push(format!("added to {}:", self.attributes));
            lines.extend(self.lines_added.iter().map(|line| format!("  {line}")));
        }
        if !self.config_set.is_empty() {
            lines.push("set in the repository's git config:".to_owned());
        }
        for Setting { key, value, was } in &self.config_set {
            let was = was.as_ref().map_or(String::new(), |was| format!(" (was {was})"));
            lines.push(format!("  {key} = {value}{was}"));
        }
        if lines.is_empty() {
            return "git merges beads files and run files with Tress already".to_owned();
        }
        lines.push(
            "commit .gitattributes; the config is this clone's: `tress init --git` in each clone"
                .to_owned(),
        );
        lines.join("\n")
    }
}
