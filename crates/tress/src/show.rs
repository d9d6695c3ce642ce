//! Showing: what readers see of a run, and how what was appended comes into it.

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::Arc;

use tress_model::{Event, Operation, State};
use tress_store::Damage;

use crate::core::{Core, Waiting};

/// How much is folded while readers wait, at the most: so many events that take a microsecond or two.
const FOLD_MAX: usize = 1024;
/// As how many of them an event counts whose fold looks at more than one todo, or at a text.
const FOLD_DEAR: usize = 256;

/// What the thread published last.
#[derive(Debug, Clone, Default)]
pub(crate) struct Published {
    pub(crate) state: Arc<State>,
    /// Grows with every event that arrives, in whatever place of the order.
    pub(crate) arrivals: usize,
    pub(crate) damage: Arc<Vec<Damage>>,
    /// How many events are lost, by the word of a repair.
    pub(crate) lost: usize,
    /// How many seals were written or read since the run was opened.
    pub(crate) seals: u64,
}

impl Published {
    /// Whether there is nothing in `other` that is not here.
    fn same(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.state, &other.state)
            && self.arrivals == other.arrivals
            && self.damage == other.damage
            && self.lost == other.lost
            && self.seals == other.seals
    }
}

impl Core {
    /// Lets readers and subscribers see the log as it is.
    pub(crate) fn show(&self) {
        let damage = Arc::clone(&self.publish.borrow().damage);
        let mut published = self.published(&damage);
        // Those who follow are woken by what is new, and not by every look.
        self.publish.send_if_modified(|known| {
            let new = !known.same(&published);
            // What was shown before is let go of when nobody waits for it.
            std::mem::swap(known, &mut published);
            new
        });
    }

    /// What is to be seen now; `damage` is what was, and is not copied anew as long as it is the same.
    fn published(&self, damage: &Arc<Vec<Damage>>) -> Published {
        let same = damage.iter().eq(self.damage.iter().chain(&self.refused));
        let anew = || Arc::new([self.damage.as_slice(), &self.refused].concat());
        Published {
            state: Arc::clone(self.log.state()),
            arrivals: self.arrivals.count(),
            damage: if same { Arc::clone(damage) } else { anew() },
            lost: self.lost,
            seals: self.seals,
        }
    }

    /// Folds what was staged and is durable now, lets readers see it, and answers. A small group is folded while
    /// readers wait: the state that was shown is let go of meanwhile, so what changes of it is not copied unless
    /// somebody else holds it; and whoever appended is answered before, since a look at the state waits for it.
    pub(crate) fn fold_and_show(&mut self, waiting: Vec<Waiting>) {
        let answer = || {
            for Waiting { reply, events } in waiting {
                let _ = reply.send(Ok(events));
            }
        };
        if weight(self.log.staged()) > FOLD_MAX {
            self.log.fold_staged();
            self.show();
            return answer();
        }
        let (publish, mut other) = (self.publish.clone(), None);
        publish.send_modify(|known| {
            let shown = std::mem::replace(&mut known.state, Arc::clone(&self.nothing));
            if !Arc::ptr_eq(&shown, self.log.state()) {
                other = Some(shown);
            }
            let folded = catch_unwind(AssertUnwindSafe(|| {
                answer();
                self.log.fold_staged();
            }));
            match folded {
                Ok(()) => *known = self.published(&known.damage),
                Err(panic) => {
                    known.state = self.log.earlier_state();
                    resume_unwind(panic);
                }
            }
        });
        drop(other);
    }
}

/// About how long it takes to fold `events`, as [`FOLD_MAX`] counts.
fn weight(events: &[Arc<Event>]) -> usize {
    let dear = |event: &Arc<Event>| match &event.operation {
        Operation::DependencyAdded { .. }
        | Operation::DependencyRemoved { .. }
        | Operation::ProseEdited { .. } => FOLD_DEAR,
        _ => 1,
    };
    events.iter().map(dear).sum()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Role, Store};

    /// The list of damage was copied at each append.
    #[tokio::test]
    async fn damage_is_not_copied_for_each_append() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::create(dir.path().join("store")).unwrap();
        let run = store.create_run("main").await.unwrap();
        let damage = |offset| Damage { path: "x".into(), offset, reason: "hit".to_owned() };
        let hit = move |offset| {
            move |core: &mut Core| {
                core.refused.push(damage(offset));
                core.show();
                Arc::clone(&core.publish.borrow().damage)
            }
        };
        let first = run.query(hit(1)).await.unwrap();
        run.agent("ada", Role::Human).add("work").await.unwrap();
        let shown = |core: &mut Core| {
            core.show();
            Arc::clone(&core.publish.borrow().damage)
        };
        assert!(Arc::ptr_eq(&first, &run.query(shown).await.unwrap()));
        assert_eq!(run.query(hit(2)).await.unwrap().len(), 2);
        assert_eq!(run.damage().len(), 2);
    }
}
