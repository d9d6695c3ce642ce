//! Shrinking: from a list of actions that breaks a promise, to as few as are needed for that.
//! (Zeller, Hildebrandt: *Simplifying and Isolating Failure-Inducing Input*, 2002.)

use crate::action::{Action, Setting};
use crate::canary::Canary;
use crate::world::World;

/// How many worlds are played at the most.
const TRIES_MAX: usize = 2_000;

/// As few of `actions` as still break a promise, whichever.
pub fn shrink(
    seed: u64,
    setting: Setting,
    actions: &[Action],
    canary: Option<Canary>,
) -> Vec<Action> {
    let mut left = actions.to_vec();
    let mut tries = 0;
    let mut size = left.len().div_ceil(2);
    while size > 0 && tries < TRIES_MAX {
        let mut at = 0;
        let mut smaller = false;
        while at < left.len() && tries < TRIES_MAX {
            let end = (at + size).min(left.len());
            let kept = left.iter().take(at).chain(left.iter().skip(end));
            let without: Vec<Action> = kept.cloned().collect();
            tries += 1;
            if World::play(seed, setting, &without, canary).broken.is_some() {
                left = without;
                smaller = true;
            } else {
                at = end;
            }
        }
        if size == 1 && !smaller {
            break;
        }
        size = if size == 1 { 1 } else { size.div_ceil(2) };
    }
    left
}
