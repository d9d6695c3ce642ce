//! Checking a run to its last byte, repairing it, and filling what was lost.
//!
//! A check reads everything, behind damage too, and admits it to a fresh log. What is damaged, what
//! does not fit, and what then waits for events that are nowhere, is told piece by piece. A repair
//! changes no journal: it notes what is to be passed over and what was lost with it
//! ([`tress_store::Repair`]), after which everything else is read again. Filling brings lost events
//! back from wherever they are whole; the hash chain says whether they are the right ones.
//!
//! What can go wrong: somebody appends meanwhile. A repair holds the run's lock and checks again
//! under it; plain appends go to the ends of journals that are not damaged there.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::Arc;

use tress_engine::Log;
use tress_model::event::{Hashed, Hole};
use tress_model::ids::{Dot, EventId, ReplicaId, StoreId};
use tress_model::{Segment, State};
use tress_store::naming::Owners;
use tress_store::{Content, Damage, Examined, Piece, Repair, RunStore};

use crate::error::Error;
use crate::store::Store;

/// How often a plan is made better: each time something more is passed over or given up.
const ROUNDS_MAX: usize = 10_000;

/// Events of one replica.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, serde::Serialize)]
pub struct Stretch {
    /// The replica that wrote them.
    pub replica: ReplicaId,
    /// The number of the first.
    pub first: u64,
    /// The number of the last.
    pub last: u64,
}

/// One thing that is not as it was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// Where.
    pub path: PathBuf,
    /// Where in it, in bytes, where that is known.
    pub offset: Option<u64>,
    /// What is wrong.
    pub reason: String,
    /// The events that were there, where what is around says so.
    pub events: Option<Stretch>,
}

/// What a check of a run found.
#[derive(Debug, Clone)]
pub struct Checked {
    /// The run.
    pub run: String,
    /// The state of all that can be read, as it is or as it would be after a repair.
    pub state: Arc<State>,
    /// How many events there are. Lost ones do not count.
    pub events: u64,
    /// How many seals there are.
    pub seals: usize,
    /// How many checkpoints were recomputed.
    pub checkpoints: usize,
    /// What is damaged.
    pub damage: Vec<Found>,
    /// What is lost by that.
    pub lost: Vec<Stretch>,
    /// What was lost before, by the word of an earlier repair.
    pub lost_before: Vec<Stretch>,
    /// How many events can be read and wait for lost ones; a repair gives them back.
    pub behind: u64,
    /// How many events of other places wait for others that have not come in yet. That is no damage.
    pub waiting: u64,
}

impl Checked {
    /// Whether everything is as it was written.
    pub fn is_clean(&self) -> bool {
        self.damage.is_empty() && self.lost.is_empty() && self.behind == 0
    }
}

impl Store {
    /// Checks a run: every frame, every chain, every cause, every checkpoint. Linear in the run.
    ///
    /// # Errors
    /// When its journals cannot be read at all.
    pub fn check_run(&self, name: &str) -> Result<Checked, Error> {
        let mut files = self.files().run(name, false)?;
        Ok(Check::of(&mut files, &Owners::new())?.checked())
    }

    /// Passes over what is damaged in a run, and gives back everything else. Changes no journal;
    /// what is passed over is copied to `quarantine/`. `source` has segments of a copy, where there is
    /// one: of a journal whose header was hit, they say whose it is. Gives what was found before, and
    /// the names of the copies.
    ///
    /// # Errors
    /// When the run cannot be read at all, or the repair cannot be written; nothing was changed then.
    pub fn repair_run(
        &self,
        name: &str,
        source: &[Segment],
    ) -> Result<(Checked, Vec<PathBuf>), Error> {
        let mut files = self.files().run(name, false)?;
        let lock = files.lock()?;
        let mut files_now = self.files().run(name, false)?;
        let check = Check::of(&mut files_now, &owners(source))?;
        let repair = check.repair(&files, self.files().host().now())?;
        if !repair.skips.is_empty() || !repair.holes.is_empty() {
            files.repair(&repair)?;
        }
        drop(lock);
        let kept = repair.skips.into_iter().filter_map(|skip| skip.kept).collect();
        Ok((check.checked(), kept))
    }

    /// Brings back lost events of a run that `source` has. Gives what came back.
    ///
    /// # Errors
    /// When the run cannot be read, or what comes back cannot be written.
    pub fn fill_run(&self, name: &str, source: &[Segment]) -> Result<Vec<Stretch>, Error> {
        let files = self.files().run(name, false)?;
        let lock = files.lock()?;
        let mut files = self.files().run(name, false)?;
        let check = Check::of(&mut files, &owners(source))?;
        let filled = check.filled(source);
        files.fill(&filled)?;
        drop(lock);
        let stretch = |s: &Segment| Stretch { replica: s.replica, first: s.first, last: s.last() };
        Ok(filled.iter().map(stretch).collect())
    }

    /// All events of a run that can be read, in whatever state it is: to fill holes elsewhere.
    ///
    /// # Errors
    /// When its journals cannot be read at all.
    pub fn segments_of(&self, name: &str) -> Result<Vec<Segment>, Error> {
        let mut files = self.files().run(name, false)?;
        let check = Check::of(&mut files, &Owners::new())?;
        Ok(check.segments().map(|(_, segment)| segment.clone()).collect())
    }
}

/// Whose the replicas of `segments` are.
fn owners(segments: &[Segment]) -> Owners {
    segments.iter().map(|segment| (segment.replica, segment.store)).collect()
}

/// Where a piece is: which journal, which piece of it. Shared pieces are in no journal of the run.
type At = Option<(usize, usize)>;

struct Check {
    run: String,
    examined: Vec<Examined>,
    shared: Vec<Segment>,
    shared_damage: Vec<Damage>,
    /// Pieces that are whole, and fit nothing.
    unfit: BTreeMap<(usize, usize), String>,
    known: Vec<Hole>,
    planned: Vec<Hole>,
    /// Replicas whose journal here is only short, or says nothing of whose it is. What it lacks is told as lost and
    /// can be filled, and is never given up: who has it sends it, in the next sync.
    awaited: BTreeSet<ReplicaId>,
    /// With everything that a repair gives back.
    log: Log,
    /// Events that wait as it is.
    behind: u64,
    /// The replicas that this place made.
    native: BTreeSet<ReplicaId>,
}

impl Check {
    /// `owners` is what is known from elsewhere of whose journals they are.
    fn of(files: &mut RunStore, owners: &Owners) -> Result<Self, Error> {
        let left_out = files.origin().map(|origin| Arc::new(origin.left_out.clone()));
        let shared = files.shared()?;
        let mut check = Self {
            run: files.name().to_owned(),
            examined: files.examine(owners)?,
            shared: shared.segments.into_iter().map(Hashed::into_segment).collect(),
            shared_damage: shared.damage,
            unfit: BTreeMap::new(),
            known: files.holes()?.to_vec(),
            planned: Vec::new(),
            awaited: BTreeSet::new(),
            log: Log::new().keeping(files.strands()),
            behind: 0,
            native: BTreeSet::new(),
        };
        let replicas = check.examined.iter().map(|one| one.replica);
        check.native = replicas.filter(|&replica| files.is_native(replica)).collect();
        check.awaited = check.awaited();
        let left_out = left_out.unwrap_or_default();
        for round in 0..ROUNDS_MAX {
            let holes = check.known.iter().chain(&check.planned).copied().collect();
            let log = Log::new().leaving_out(Arc::clone(&left_out)).with_holes(holes);
            let mut log = log.keeping(check.log.strands());
            let segments = check.segments().map(|(_, segment)| segment.clone());
            let admission = log.admit_all(segments, None);
            check.log = log;
            if round == 0 {
                check.behind = check.log.waiting().map(|s| s.records.len() as u64).sum();
            }
            let mut better = false;
            for (segment, reason) in admission.rejected {
                better |= check.pass_over(&segment, &reason.to_string());
            }
            if !better && !check.go_on_behind() {
                break;
            }
        }
        Ok(check)
    }

    /// All segments that can be read and fit.
    fn segments(&self) -> impl Iterator<Item = (At, &Segment)> {
        let named = self.examined.iter().enumerate().filter(|(_, one)| !one.is_nameless());
        let pieces = named.flat_map(|(journal, one)| {
            let pieces = one.pieces.iter().enumerate();
            pieces.map(move |(piece, found)| ((journal, piece), found))
        });
        let own = pieces.filter_map(|(at, piece)| match &piece.content {
            Content::Segment(segment) if !self.unfit.contains_key(&at) => Some((Some(at), segment)),
            _ => None,
        });
        self.shared.iter().map(|segment| (None, segment)).chain(own)
    }

    /// Takes note that `segment` does not fit. Whether that was news.
    fn pass_over(&mut self, segment: &Segment, reason: &str) -> bool {
        let found: Vec<_> =
            self.segments().filter(|(_, s)| *s == segment).filter_map(|(at, _)| at).collect();
        let last = segment.last();
        let reason = format!("events {} to {last}: {reason}", segment.first);
        self.unfit.extend(found.iter().map(|&at| (at, reason.clone())));
        !found.is_empty()
    }

    /// Whether something was lost here. Otherwise what waits is of other places, and what it waits
    /// for has not come in yet: what this place writes cites only what it has.
    fn anything_lost(&self) -> bool {
        let mut native = self.log.waiting().map(|segment| segment.replica);
        let native = native.any(|replica| self.native.contains(&replica));
        native || self.bad().any(|(journal, ..)| !journal.is_nameless())
    }

    fn awaited(&self) -> BTreeSet<ReplicaId> {
        let damaged = |replica: ReplicaId| {
            let mut bad = self.bad().filter(|(journal, ..)| !journal.is_nameless());
            bad.any(|(journal, ..)| journal.replica == replica)
        };
        let short = self.examined.iter().filter(|one| self.cut_short(one).is_some());
        let short = short.map(|one| one.replica).filter(|&replica| !damaged(replica));
        let nameless = self.examined.iter().filter(|one| one.is_nameless());
        short.chain(nameless.map(|one| one.replica)).collect()
    }

    /// Plans to go on behind what is nowhere. Whether there was anything.
    fn go_on_behind(&mut self) -> bool {
        let lost = self.anything_lost();
        let is_lost = |replica| lost || self.awaited.contains(&replica);
        let mut holes: BTreeSet<Hole> = BTreeSet::new();
        let end = |replica| self.log.version().get(replica);
        let mut waiting: BTreeSet<ReplicaId> = BTreeSet::new();
        for segment in self.log.waiting() {
            let next = end(segment.replica) + 1;
            // Of each replica the first that waits: the others wait for it, too.
            if waiting.insert(segment.replica) && segment.first > next && is_lost(segment.replica) {
                holes.insert(Hole {
                    replica: segment.replica,
                    store: segment.store,
                    first: next,
                    last: segment.first - 1,
                    end: Some(segment.previous),
                });
            }
        }
        if holes.is_empty() {
            let records = self.log.waiting().flat_map(|segment| &segment.records);
            for cause in records.flat_map(|record| &record.learned) {
                let next = end(cause.replica) + 1;
                // What waits itself is not lost.
                let waits = waiting.contains(&cause.replica);
                if cause.number >= next && !waits && is_lost(cause.replica) {
                    let store = self.store_of(cause.replica);
                    let (replica, last) = (cause.replica, cause.number);
                    holes.insert(Hole { replica, store, first: next, last, end: None });
                }
            }
        }
        if holes.is_empty() && self.log.waiting_segments() == 0 {
            for one in &self.examined {
                let next = end(one.replica) + 1;
                if one.reached >= next {
                    let (replica, store) = (one.replica, self.store_of(one.replica));
                    let last = one.reached;
                    holes.insert(Hole { replica, store, first: next, last, end: None });
                }
            }
        }
        // Of several that begin alike, the shortest: what is behind it may be there.
        let before = self.planned.len();
        for hole in holes {
            let same = |old: &Hole| (old.replica, old.first) == (hole.replica, hole.first);
            if !self.planned.iter().skip(before).any(same) && !self.planned.contains(&hole) {
                self.planned.push(hole);
            }
        }
        self.planned.len() > before
    }

    fn store_of(&self, replica: ReplicaId) -> StoreId {
        let of = self.examined.iter().filter(|one| one.replica == replica);
        of.filter_map(|one| one.store).next().unwrap_or(StoreId([0; 16]))
    }

    /// The lost events, of those in holes for which `wanted` holds.
    fn lost(&self, wanted: impl Fn(Dot) -> bool) -> Vec<Stretch> {
        let dots: BTreeSet<Dot> = self.log.lost().map(|event| event.dot).collect();
        let mut stretches: Vec<Stretch> = Vec::new();
        for dot in dots.into_iter().filter(|&dot| wanted(dot)) {
            match stretches.last_mut() {
                Some(last) if last.replica == dot.replica && last.last + 1 == dot.number => {
                    last.last = dot.number;
                }
                _ => {
                    let Dot { replica, number } = dot;
                    stretches.push(Stretch { replica, first: number, last: number });
                }
            }
        }
        stretches
    }

    fn checked(&self) -> Checked {
        let checks = self.log.check_checkpoints();
        let known = |dot: Dot| self.known.iter().any(|hole| hole.contains(dot));
        let mut damage = self.damage();
        let left = self.log.waiting().map(|segment| segment.records.len() as u64).sum();
        let differ = checks.iter().filter(|check| check.differs());
        damage.extend(differ.map(|check| Found {
            path: PathBuf::from(&self.run),
            offset: None,
            reason: format!("the checkpoint {} does not come out as it was taken", check.name),
            events: None,
        }));
        let pieces = self.examined.iter().flat_map(|one| &one.pieces);
        let seals = pieces.filter(|piece| matches!(piece.content, Content::Seal(_))).count();
        Checked {
            run: self.run.clone(),
            state: Arc::clone(self.log.state()),
            events: self.log.events().iter().filter(|event| !event.is_lost()).count() as u64,
            seals,
            checkpoints: checks.len(),
            damage,
            lost: self.lost(|dot| !known(dot)),
            lost_before: self.lost(known),
            behind: if left > 0 { 0 } else { self.behind },
            waiting: left,
        }
    }

    fn damage(&self) -> Vec<Found> {
        let shared = self.shared_damage.iter().map(|damage| Found {
            path: damage.path.clone(),
            offset: Some(damage.offset),
            reason: format!("{} (of another run: check that)", damage.reason),
            events: None,
        });
        let bad = self.bad().map(|(journal, index, piece, reason)| {
            let path = journal.dir.join(format!("{:06}.log", piece.file));
            let events = around(journal, index);
            Found { path, offset: Some(piece.from), reason, events }
        });
        shared
            .chain(bad)
            .chain(self.examined.iter().filter_map(|one| self.cut_short(one)))
            .collect()
    }

    /// Where a journal of another place ends before what that had written, and nothing else says so.
    fn cut_short(&self, one: &Examined) -> Option<Found> {
        let Examined { replica, reached: last, .. } = *one;
        let end = one.pieces.last();
        let ends_badly = end.is_some_and(|end| matches!(end.content, Content::Bad { .. }));
        if self.native.contains(&replica) || one.is_nameless() || ends_badly {
            return None;
        }
        let of = self.segments().filter(|(_, segment)| segment.replica == replica);
        let first = of.map(|(_, segment)| segment.last()).max().unwrap_or(0) + 1;
        let known = self.known.iter().any(|hole| hole.contains(Dot::new(replica, last)));
        let (file, offset) = end.map_or((1, 0), |end| (end.file, end.to));
        let path = one.dir.join(format!("{file:06}.log"));
        let reason =
            "it ends here, and went on where it was copied from: sync with that, or --from";
        let events = Some(Stretch { replica, first, last });
        let found = Found { path, offset: Some(offset), reason: reason.to_owned(), events };
        (first <= last && !known).then_some(found)
    }

    /// The pieces that are damaged or do not fit, with the reason.
    fn bad(&self) -> impl Iterator<Item = (&Examined, usize, &Piece, String)> {
        self.examined.iter().enumerate().flat_map(move |(journal, one)| {
            one.pieces.iter().enumerate().filter_map(move |(index, piece)| {
                let reason = match &piece.content {
                    Content::Bad { reason, .. } if one.is_nameless() => {
                        format!(
                            "{reason}; whose journal it is stands nowhere else: a copy may say it"
                        )
                    }
                    Content::Bad { reason, .. } => reason.clone(),
                    _ => self.unfit.get(&(journal, index))?.clone(),
                };
                Some((one, index, piece, reason))
            })
        })
    }

    fn repair(&self, files: &RunStore, at: tress_model::Millis) -> Result<Repair, Error> {
        let skips: Result<Vec<_>, _> = self
            .bad()
            .filter(|(journal, ..)| !journal.is_nameless())
            .map(|(journal, _, piece, reason)| {
                let skip = files.set_aside(journal, piece)?;
                Ok::<_, Error>(tress_store::Skip { reason, ..skip })
            })
            .collect();
        // What is given up is not asked for again, and what comes behind it would not fit: of other places' replicas
        // that is no end that is only known by a mark.
        let is_end = |hole: &Hole| {
            let mut of = self.examined.iter().filter(|one| one.replica == hole.replica);
            hole.end.is_none() && of.any(|one| one.reached == hole.last)
        };
        let given_up = |hole: &&Hole| {
            let native = self.native.contains(&hole.replica);
            !self.awaited.contains(&hole.replica) && (native || !is_end(hole))
        };
        let holes = self.planned.iter().filter(given_up).copied().collect();
        Ok(Repair { at, skips: skips?, holes })
    }

    /// The lost events that `source` has, each stretch cut to what is lost.
    fn filled(&self, source: &[Segment]) -> Vec<Segment> {
        let lost = self.lost(|_| true);
        let overlaps = |segment: &&Segment| {
            let of = lost.iter().filter(|lost| lost.replica == segment.replica);
            of.clone().any(|lost| lost.first <= segment.last() && segment.first <= lost.last)
        };
        let useful: Vec<&Segment> = source.iter().filter(overlaps).collect();
        let holes = self.known.iter().chain(&self.planned).copied().collect();
        let mut log = Log::new().with_holes(holes).keeping(self.log.strands());
        let ours = self.segments().map(|(_, segment)| segment.clone());
        // Only what continues the chains on both sides comes in.
        log.admit_all(ours.chain(useful.iter().map(|&segment| segment.clone())), None);
        let mut filled = Vec::new();
        for segment in useful {
            for lost in lost.iter().filter(|lost| lost.replica == segment.replica) {
                filled.extend(cut(&log, segment, lost));
            }
        }
        filled
    }
}

/// Of `segment`, the events that were lost and are in `log` now.
fn cut(log: &Log, segment: &Segment, lost: &Stretch) -> Option<Segment> {
    let (first, last) = (segment.first.max(lost.first), segment.last().min(lost.last));
    let there = |number| {
        let event = log.event(Dot::new(segment.replica, number));
        event.filter(|event| !event.is_lost()).map(|event| event.id)
    };
    if first > last || !(first..=last).all(|number| there(number).is_some()) {
        return None;
    }
    let previous = match first {
        1 => EventId::GENESIS,
        _ => log.event(Dot::new(segment.replica, first - 1))?.id,
    };
    let skip = usize::try_from(first - segment.first).ok()?;
    let take = usize::try_from(last - first + 1).ok()?;
    let records = segment.records.iter().skip(skip).take(take).cloned().collect();
    Some(Segment { first, previous, records, ..segment.clone() })
}

/// The events that were in the piece `index`, by those before and behind it.
fn around(journal: &Examined, index: usize) -> Option<Stretch> {
    let segment = |piece: &Piece| match &piece.content {
        Content::Segment(segment) => Some((segment.first, segment.last())),
        _ => None,
    };
    let own = journal.pieces.get(index).and_then(segment);
    let before = journal.pieces.iter().take(index).filter_map(segment).next_back();
    let behind = journal.pieces.iter().skip(index + 1).filter_map(segment).next();
    let first = own.map_or_else(|| before.map_or(1, |(_, last)| last + 1), |(first, _)| first);
    let last = match (own, behind) {
        (Some((_, last)), _) => last,
        (None, Some((first, _))) => first.checked_sub(1)?,
        (None, None) => journal.reached,
    };
    (first <= last).then_some(Stretch { replica: journal.replica, first, last })
}
