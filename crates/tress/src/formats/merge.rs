//! Merging files three ways, as a git merge driver does: beads files, Tress's own among them, and
//! run files.
//!
//! Nothing depends on which side is ours: with the sides changed the result is the same, byte for
//! byte. A result that is merged again with what it was made of does not change; docs/FORMATS.md,
//! *Merging files in git*, has the rules and the one exception.

use std::path::Path;
use std::sync::Arc;

use tress_engine::Log;
use tress_model::{Rule, Segment, codec};
use tress_store::{Item, Origin, RunFile, StoreError};

use super::{Problem, beads};

/// What a run file begins with.
const RUN_FILE: &[u8] = b"TRF1";

/// One of the three versions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Side {
    /// What both sides began with.
    Base,
    /// The version of this branch.
    Ours,
    /// The version that is merged into it.
    Theirs,
}

impl Side {
    /// Every version.
    pub const ALL: [Self; 3] = [Self::Base, Self::Ours, Self::Theirs];

    /// Its name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Base => "base",
            Self::Ours => "ours",
            Self::Theirs => "theirs",
        }
    }

    /// The side against which it stands.
    pub(crate) const fn other(self) -> Self {
        match self {
            Self::Ours => Self::Theirs,
            _ => Self::Ours,
        }
    }
}

impl std::fmt::Display for Side {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(self.name())
    }
}

/// What a merge comes to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Merged {
    /// The merged file.
    pub bytes: Vec<u8>,
    /// What was done.
    pub report: Report,
}

/// What a merge did.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Report {
    /// Todos in the result.
    pub todos: usize,
    /// Todos that nobody changed.
    pub unchanged: usize,
    /// Todos that both sides changed, each in its way, or both made.
    pub merged: usize,
    /// Todos that only our side changed or made.
    pub only_ours: usize,
    /// Todos that only their side changed or made.
    pub only_theirs: usize,
    /// Todos of the base that are gone.
    pub deleted: usize,
    /// Events in the result, where it is a run file.
    pub events: usize,
    /// What had to be decided.
    pub decisions: Vec<Decision>,
    /// What could not be read as it stands.
    pub problems: Vec<SideProblem>,
}

/// Something that both sides changed, and which of them holds.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Decision {
    /// The todo.
    pub id: String,
    /// The field; `None` where it is about the whole todo.
    pub field: Option<String>,
    /// The rule of the fold that decided; docs/RULES.md has them.
    pub rule: Rule,
    /// The side that holds.
    pub kept: Side,
    /// What was decided, in one line.
    pub detail: String,
}

/// Something wrong with one of the versions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SideProblem {
    /// Which.
    pub side: Side,
    /// What is wrong with it.
    pub problem: Problem,
}

/// Why files cannot be merged. All are left as they are.
#[derive(Debug, thiserror::Error)]
pub enum MergeError {
    /// Nothing in it can be read.
    #[error("{side} is neither a beads JSONL file nor a run file")]
    NotLines {
        /// Which.
        side: Side,
    },
    /// It is a view of a run, made to be read.
    #[error("{side} is one JSON value, a view that cannot be merged")]
    View {
        /// Which.
        side: Side,
    },
    /// One is a run file, another is not.
    #[error("some of the versions are run files and others are not")]
    Mixed,
    /// Run files of several runs.
    #[error("the versions are of two runs, {one:?} and {other:?}")]
    Runs {
        /// One name.
        one: String,
        /// Another.
        other: String,
    },
    /// A run file cannot be read or written.
    #[error("{side}: {source}")]
    RunFile {
        /// Which.
        side: Side,
        /// Why.
        source: Box<StoreError>,
    },
    /// The events of the sides do not make one log.
    #[error("the events of the versions do not fit together: {0}")]
    Log(String),
}

/// Merges two versions of a file that began as `base`; an empty base is one that did not exist.
///
/// What only one side changed is taken as it stands there. What both changed is merged field by
/// field by the rules of the fold; what had to be decided is in the report.
///
/// ```
/// use tress::formats::merge::merge;
///
/// let base = r#"{"id":"bd-1","title":"Parse","status":"open","updated_at":"2026-01-01T00:00:00Z"}"#;
/// let ours = base.replace("open", "closed");
/// let theirs = base.replace("Parse", "Parse it").replace("01T", "02T");
/// let merged = merge(base.as_bytes(), ours.as_bytes(), theirs.as_bytes()).expect("they are lines");
/// let text = String::from_utf8(merged.bytes).expect("it is text");
/// assert!(text.contains("Parse it") && text.contains("closed"));
/// ```
///
/// # Errors
/// When a version is of a form that cannot be merged.
pub fn merge(base: &[u8], ours: &[u8], theirs: &[u8]) -> Result<Merged, MergeError> {
    let versions = [(Side::Base, base), (Side::Ours, ours), (Side::Theirs, theirs)];
    let written = versions.into_iter().filter(|(_, bytes)| !bytes.trim_ascii().is_empty());
    let runs = written.clone().filter(|(_, bytes)| bytes.starts_with(RUN_FILE)).count();
    if runs > 0 {
        if runs < written.clone().count() {
            return Err(MergeError::Mixed);
        }
        return runs_union(&written.collect::<Vec<_>>());
    }
    if let Some((side, _)) = { written }.find(|(_, bytes)| is_view(bytes)) {
        return Err(MergeError::View { side });
    }
    beads::merge(base, ours, theirs)
}

/// Whether the whole is one JSON value that is not one issue.
fn is_view(bytes: &[u8]) -> bool {
    let bytes = bytes.trim_ascii();
    let Ok(value) = serde_json::from_slice::<&serde_json::value::RawValue>(bytes) else {
        return false;
    };
    let Some(members) = beads::object(value.get()) else { return true };
    let has = |wanted: &str| members.iter().any(|(name, _)| name == wanted);
    has("schema_version") || (has("todos") && has("root")) || (bytes.contains(&b'\n') && !has("id"))
}

/// Run files hold events, and events only come to be: the merge is all of them, each once.
fn runs_union(versions: &[(Side, &[u8])]) -> Result<Merged, MergeError> {
    let (mut name, mut origin): (Option<String>, Option<Origin>) = (None, None);
    let mut items: Vec<Item> = Vec::new();
    for &(side, bytes) in versions {
        let failed = |source| MergeError::RunFile { side, source: Box::new(source) };
        let RunFile { run, origin: from, items: more } =
            tress_store::decode_run_file(Path::new(side.name()), bytes).map_err(failed)?;
        // What a run leaves out is fixed when it is made.
        if name.is_some() && origin != from {
            return Err(MergeError::Log("they branched off at different places".to_owned()));
        }
        origin = from;
        match &name {
            Some(one) if *one != run => {
                return Err(MergeError::Runs {
                    one: one.clone().min(run.clone()),
                    other: one.clone().max(run),
                });
            }
            _ => name = Some(run),
        }
        items.extend(more);
    }
    let (segments, seals): (Vec<Item>, Vec<Item>) =
        items.into_iter().partition(|item| matches!(item, Item::Segment(_)));
    let segments = covering(segments.into_iter().filter_map(Item::into_segment).collect());
    let left_out = origin.as_ref().map(|origin| Arc::new(origin.left_out.clone()));
    let mut log = Log::new().leaving_out(left_out.unwrap_or_default());
    let admission = log.admit_all(segments.iter().cloned(), None);
    if let Some((_, reason)) = admission.rejected.first() {
        return Err(MergeError::Log(reason.to_string()));
    }
    let report = Report {
        todos: log.state().todos.values().filter(|todo| todo.deletion().is_none()).count(),
        events: log.events().len(),
        ..Report::default()
    };
    let mut items: Vec<Item> = segments.into_iter().map(Item::from).collect();
    items.extend(each_once(seals));
    let file = RunFile { run: name.unwrap_or_default(), origin, items };
    let encoded = tress_store::encode_run_file(&file);
    let bytes = encoded
        .map_err(|source| MergeError::RunFile { side: Side::Ours, source: Box::new(source) })?;
    Ok(Merged { bytes, report })
}

/// Segments that together hold all events, without those whose events others hold.
fn covering(segments: Vec<Segment>) -> Vec<Segment> {
    // By their bytes where they speak of the same events: a figure that is not a number does not
    // equal itself. What cannot be encoded could not have been read.
    let bytes = |segment: &Segment| codec::encode_segment(segment).unwrap_or_default();
    let mut segments: Vec<_> = segments.into_iter().map(|one| (bytes(&one), one)).collect();
    segments.sort_by(|(a_bytes, a), (b_bytes, b)| {
        let place = |one: &Segment| {
            (one.replica, one.first, std::cmp::Reverse(one.last()), one.previous, one.store)
        };
        place(a).cmp(&place(b)).then_with(|| a_bytes.cmp(b_bytes))
    });
    segments.dedup_by(|(a_bytes, a), (b_bytes, b)| {
        let chain = |one: &Segment| (one.replica, one.first, one.previous, one.store);
        chain(a) == chain(b) && a_bytes == b_bytes
    });
    let segments = segments.into_iter().map(|(_, segment)| segment);
    let mut kept: Vec<Segment> = Vec::new();
    for segment in segments {
        // Two that say different things of the same events both stay, for the log to refuse.
        let held = kept.last().is_some_and(|last| {
            last.replica == segment.replica
                && segment.first >= last.first
                && segment.last() <= last.last()
                && skipped(last, &segment).is_some_and(|records| records == segment.records)
        });
        if !held {
            kept.push(segment);
        }
    }
    kept
}

/// The records of `last` that stand for the events of `segment`.
fn skipped<'a>(last: &'a Segment, segment: &Segment) -> Option<&'a [tress_model::event::Record]> {
    let from = usize::try_from(segment.first.checked_sub(last.first)?).ok()?;
    last.records.get(from..from.checked_add(segment.records.len())?)
}

/// The seals in an order of their own, each once.
fn each_once(mut seals: Vec<Item>) -> Vec<Item> {
    let key = |item: &Item| match item {
        Item::Seal(seal) => {
            Some((seal.store, seal.number, seal.strand.name(), codec::encode_seal(seal).ok()))
        }
        Item::Segment(_) => None,
    };
    seals.sort_by_cached_key(key);
    seals.dedup();
    seals
}
