//! Rule `edit-beats-delete` for the named parts of the design: what was removed is kept, so that a
//! change whose author had not seen the removal brings it back.

use std::sync::Arc;

use imbl::OrdMap;
use serde::{Deserialize, Serialize};

use super::fold::{Ruling, Rulings};
use crate::clock::VersionVector;
use crate::event::Event;
use crate::ids::Dot;
use crate::rules::Rule;

/// A part of the design that can be removed.
pub(super) trait Part: Clone {
    /// What it is called in the ledger.
    const WHAT: &'static str;
    /// Every event that touched it.
    fn touched(&self) -> &VersionVector;
    /// The event that last wrote it.
    fn dot(&self) -> Dot;
}

/// What was removed, and the removals that hold.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Removed<T> {
    pub(super) was: Arc<T>,
    by: Vec<(Dot, Arc<str>)>,
}

pub(super) type Live<T> = OrdMap<String, Arc<T>>;
pub(super) type Gone<T> = OrdMap<String, Removed<T>>;

/// The ruling that `key` is not there, naming the removal where there was one.
pub(super) fn missing<T: Part>(gone: &Gone<T>, key: &str) -> Rulings {
    let removal = gone.get(key).and_then(|removed| removed.by.first());
    let detail = format!("{} {key} is not there", T::WHAT);
    vec![Ruling::against(Rule::Precondition, removal.map(|(dot, _)| *dot), detail)]
}

/// Removes `key`, unless somebody changed it meanwhile. Two who remove the same agree.
pub(super) fn remove<T: Part>(
    live: &mut Live<T>,
    gone: &mut Gone<T>,
    event: &Event,
    key: &str,
) -> Rulings {
    let removed = gone.get(key);
    if removed.is_some_and(|removed| removed.by.iter().any(|(dot, _)| event.saw(*dot))) {
        return missing(gone, key);
    }
    let Some(part) = live.get(key).or_else(|| removed.map(|removed| &removed.was)) else {
        return missing(gone, key);
    };
    if !event.saw_all(part.touched()) {
        let detail = format!("{} {key} was changed meanwhile", T::WHAT);
        return vec![Ruling::against(Rule::EditBeatsDelete, Some(part.dot()), detail)];
    }
    let removed = Removed { was: Arc::clone(part), by: Vec::new() };
    let removed = gone.entry(key.to_owned()).or_insert(removed);
    removed.by.push((event.dot, Arc::clone(&event.author.name)));
    live.remove(key);
    Vec::new()
}

/// Brings `key` back where `event` changes it without having seen its removal, or, with `again`,
/// adds it again. The removals that were not seen have lost.
pub(super) fn revive<T: Part>(
    live: &mut Live<T>,
    gone: &mut Gone<T>,
    event: &Event,
    key: &str,
    again: bool,
) -> Rulings {
    let Some(removed) = gone.get_mut(key) else {
        return Vec::new();
    };
    let all = std::mem::take(&mut removed.by);
    let (seen, unseen): (Vec<_>, Vec<_>) = all.into_iter().partition(|(dot, _)| event.saw(*dot));
    let back = (again || seen.is_empty()).then(|| Arc::clone(&removed.was));
    removed.by = seen;
    if let Some(was) = back {
        live.insert(key.to_owned(), was);
        gone.remove(key);
    }
    let lost = |loser| Ruling {
        rule: Rule::EditBeatsDelete,
        loser: Some(loser),
        winner: None,
        detail: format!("{} {key} was changed meanwhile", T::WHAT),
    };
    unseen.into_iter().map(lost).collect()
}
