//! `fsck`: everything read again, every chain checked, every damage told; and repaired, if asked.

use std::path::{Path, PathBuf};

use clap::Args;
use serde::Serialize;
use tress::{Checked, DocumentsError, Error, Found, Item, Segment, Store, StoreError, Stretch};

use crate::context::Context;
use crate::failure::Failure;
use crate::output::Tone;
use crate::words::{clean, count};

/// Read everything again, and list every damage
#[derive(Debug, Args)]
#[command(after_help = "\
It checks every frame, every hash chain, the causes of every event, the root of every checkpoint,
and the documents. Damage is never skipped silently: the exit code is 6. Without --repair it
changes nothing.

A repair changes no journal. It notes which bytes are to be passed over, keeps a copy of them in
.tress/quarantine, and gives back everything else. What was lost is listed, event by event, and
stays known as lost until --from brings it back.

Examples:
  tress fsck
  tress fsck --repair
  tress fsck --from ../copy/.tress      fill what was lost from another copy of the store
  tress fsck --from backup.tressrun     or from a run file (see tress export run)")]
pub(crate) struct Fsck {
    /// Pass over what is damaged, and give back everything else
    #[arg(long)]
    repair: bool,
    /// Repair, and bring lost events back from this store or run file
    #[arg(long, value_name = "PATH")]
    from: Option<PathBuf>,
}

#[derive(Serialize)]
struct Report {
    store: String,
    runs: Vec<RunReport>,
    damage: Vec<Place>,
    /// Whether what is listed was passed over, so that everything else is back.
    repaired: bool,
    /// Whether a repair was asked for.
    #[serde(skip)]
    repairing: bool,
    /// Copies of what was passed over.
    kept: Vec<String>,
    /// The file that says what a store is, where it was made anew.
    #[serde(skip_serializing_if = "Option::is_none")]
    made_anew: Option<String>,
}

#[derive(Default, Serialize)]
struct RunReport {
    run: String,
    events: u64,
    seals: usize,
    replicas: usize,
    checkpoints: usize,
    /// Events that can be read and wait for lost ones.
    behind: u64,
    /// Events of other places that wait for events which have not come in yet.
    waiting: u64,
    /// What is lost, and was not known to be.
    lost: Vec<Stretch>,
    /// What an earlier repair gave up.
    lost_before: Vec<Stretch>,
    /// What was brought back.
    filled: Vec<Stretch>,
}

#[derive(Serialize)]
struct Place {
    run: String,
    file: String,
    /// Where in the file, in bytes, where that is known.
    offset: Option<u64>,
    reason: String,
    /// The events that were there, where what is around says so.
    events: Option<Stretch>,
}

/// Does `fsck`.
pub(crate) async fn run(context: &Context, fsck: &Fsck) -> Result<(), Failure> {
    context.no_at()?;
    let repair = fsck.repair || fsck.from.is_some();
    let unread = file_damage(&context.dir()?, repair)?;
    let store = context.store()?;
    let mut report = Report {
        store: store.dir().display().to_string(),
        runs: Vec::new(),
        damage: Vec::new(),
        repaired: repair,
        repairing: repair,
        kept: Vec::new(),
        made_anew: None,
    };
    if let Some(reason) = unread {
        let file = store.dir().join("store").display().to_string();
        report.made_anew = Some(file.clone());
        report.kept.push(store.dir().join("quarantine").join("store").display().to_string());
        report.damage.push(Place { run: String::new(), file, offset: None, reason, events: None });
    }
    let source = match &fsck.from {
        Some(path) => Some(Source::open(path)?),
        None => None,
    };
    for name in store.runs()? {
        let _busy = context.out.busy(&format!("checking {name}"));
        look(&store, &name, repair, source.as_ref(), &mut report);
    }
    let busy = context.out.busy("checking the documents");
    documents(context, &store, repair, &mut report);
    drop(busy);
    answer(context, &report)
}

/// Why the file that says what a store is cannot be read; a repair has made it anew then. Without a repair
/// that is an error, since nothing else can be looked at.
fn file_damage(dir: &Path, repair: bool) -> Result<Option<String>, Failure> {
    let error = match Store::open(dir) {
        Err(Error::Store(error @ StoreError::Damaged(_))) => error,
        _ => return Ok(None),
    };
    if repair {
        return Ok(Store::repair_file(dir)?.then(|| error.to_string()));
    }
    let hint = "`tress fsck --repair` makes this file anew and keeps the damaged one in \
                .tress/quarantine; the todos are in other files, and are checked then";
    Err(Failure::from(error).hint(hint))
}

/// Checks one run, and repairs it if that is wanted.
fn look(store: &Store, name: &str, repair: bool, source: Option<&Source>, report: &mut Report) {
    let copy = source.map(|source| source.segments(name));
    let checked = if repair {
        let copy = copy.as_ref().and_then(|copy| copy.as_ref().ok()).map(Vec::as_slice);
        store.repair_run(name, copy.unwrap_or_default()).map(|(checked, kept)| {
            report.kept.extend(kept.into_iter().map(|path| path.display().to_string()));
            checked
        })
    } else {
        store.check_run(name)
    };
    let failed = |error: Error, report: &mut Report| {
        let dir = store.dir().join("runs").join(name);
        let file = dir.display().to_string();
        let reason = error.to_string();
        report.damage.push(Place {
            run: name.to_owned(),
            file,
            offset: None,
            reason,
            events: None,
        });
    };
    let checked = match checked {
        Ok(checked) => checked,
        Err(error) => return failed(error, report),
    };
    let mut run = RunReport::from(&checked);
    report.damage.extend(checked.damage.into_iter().map(|found| Place::new(name, found)));
    if let Some(copy) = copy {
        match copy.and_then(|segments| store.fill_run(name, &segments)) {
            Ok(filled) => run.filled = filled,
            Err(error) => failed(error, report),
        }
    }
    if repair {
        // What is there now, with everything that came back.
        match store.check_run(name) {
            Ok(now) => {
                let RunReport { filled, lost, .. } = run;
                let kept = now.lost_before.clone();
                let mut lost: Vec<Stretch> =
                    lost.into_iter().filter(|lost| kept.contains(lost)).collect();
                let before = kept.into_iter().filter(|known| !lost.contains(known)).collect();
                // What others have is not given up.
                lost.extend(now.lost.iter().copied());
                run = RunReport { filled, lost, lost_before: before, ..RunReport::from(&now) };
                // What a repair cannot help with is still there.
                report.repaired &= now.damage.is_empty();
            }
            Err(error) => failed(error, report),
        }
    }
    report.runs.push(run);
}

/// Looks at the documents, and has damaged ones made anew.
fn documents(context: &Context, store: &Store, repair: bool, report: &mut Report) {
    let file = store.dir().join("documents").display().to_string();
    let reason = match store.check_documents() {
        Ok(_) => return,
        Err(Error::Documents(DocumentsError::Busy)) => {
            let said = "another process has the documents open; they were not looked at";
            return context.out.warn(said);
        }
        Err(error) => error.to_string(),
    };
    let place = Place { run: String::new(), file, offset: None, reason, events: None };
    report.damage.push(place);
    if repair {
        match store.renew_documents() {
            Ok(aside) => report.kept.extend(aside.map(|path| path.display().to_string())),
            Err(error) => {
                report.repaired = false;
                context.out.warn(&format!("the documents could not be moved aside: {error}"));
            }
        }
    }
}

fn answer(context: &Context, report: &Report) -> Result<(), Failure> {
    let lost: u64 = report.runs.iter().flat_map(|run| &run.lost).map(events_of).sum();
    let number = match (report.damage.len(), lost) {
        (0, lost) => count(lost, "lost event"),
        (places, 0) => count(places, "damaged place"),
        (places, lost) => {
            format!("{} and {}", count(places, "damaged place"), count(lost, "lost event"))
        }
    };
    if report.damage.is_empty() && lost == 0 || report.repaired {
        return context.out.answer(report, || text(context, report));
    }
    let hint = if report.repairing {
        "what is listed is elsewhere: sync with the store that this one was copied from, or fill it \
         with `tress fsck --from PATH`"
    } else if report.runs.iter().any(|run| run.behind > 0) {
        "`tress fsck --repair` gives back what can be read; --from PATH fills the rest from a copy"
    } else {
        "`tress fsck --repair` passes over it; --from PATH fills what was lost from a copy"
    };
    if context.out.json() {
        let mut places: Vec<String> = report.damage.iter().map(line).collect();
        if places.is_empty() {
            places.extend(report.runs.iter().flat_map(|run| &run.lost).map(stretch));
        }
        let failure = Failure::damaged(format!("{number}: {}", places.join("; ")));
        return Err(failure.hint(hint).details(report));
    }
    context.out.text(&text(context, report))?;
    Err(Failure::damaged(format!("{number} in {}", report.store)).hint(hint))
}

/// Where lost events may be whole.
enum Source {
    Store(Store),
    File(Box<tress::RunFile>),
}

impl Source {
    fn open(path: &Path) -> Result<Self, Failure> {
        if path.is_dir() {
            let inside = path.join(tress::DIR);
            let dir = if inside.is_dir() { inside } else { path.to_owned() };
            return Ok(Self::Store(Store::open(dir)?));
        }
        let bytes = std::fs::read(path).map_err(|error| {
            Failure::invalid(format!("cannot read {}: {error}", path.display()))
        })?;
        Ok(Self::File(Box::new(tress::decode_run_file(path, &bytes)?)))
    }

    fn segments(&self, run: &str) -> Result<Vec<Segment>, Error> {
        match self {
            Self::Store(store) => store.segments_of(run),
            Self::File(file) => {
                let segments = file.items.iter().filter_map(Item::as_segment);
                Ok(segments.filter(|_| file.run == run).cloned().collect())
            }
        }
    }
}

impl From<&Checked> for RunReport {
    fn from(checked: &Checked) -> Self {
        Self {
            run: checked.run.clone(),
            events: checked.events,
            seals: checked.seals,
            replicas: checked.state.version.len(),
            checkpoints: checked.checkpoints,
            behind: checked.behind,
            waiting: checked.waiting,
            lost: checked.lost.clone(),
            lost_before: checked.lost_before.clone(),
            filled: Vec::new(),
        }
    }
}

impl Place {
    fn new(run: &str, found: Found) -> Self {
        let Found { path, offset, reason, events } = found;
        Self { run: run.to_owned(), file: path.display().to_string(), offset, reason, events }
    }
}

fn events_of(stretch: &Stretch) -> u64 {
    stretch.last - stretch.first + 1
}

fn stretch(stretch: &Stretch) -> String {
    let Stretch { replica, first, last } = stretch;
    if first == last {
        format!("event {first} of {replica}")
    } else {
        format!("events {first} to {last} of {replica}")
    }
}

fn line(place: &Place) -> String {
    let offset = place.offset.map_or(String::new(), |at| format!(" at byte {at}"));
    let events = place.events.as_ref().map_or(String::new(), |s| format!(" ({})", stretch(s)));
    format!("{}{offset}: {}{events}", clean(&place.file), clean(&place.reason))
}

fn text(context: &Context, report: &Report) -> String {
    let mut lines: Vec<String> = Vec::new();
    for run in &report.runs {
        let (events, seals) = (count(run.events, "event"), count(run.seals, "seal"));
        let (replicas, checkpoints) =
            (count(run.replicas, "replica"), count(run.checkpoints, "checkpoint"));
        lines.push(format!("{}: {events} by {replicas}, {seals}, {checkpoints}", run.run));
        let mut told = |what: &str, tone: Tone, stretches: &[Stretch]| {
            let words = stretches.iter().map(|s| format!("  {what}: {}", stretch(s)));
            lines.extend(words.map(|words| context.out.paint(tone, &words)));
        };
        told("brought back", Tone::Good, &run.filled);
        told("lost", Tone::Bad, &run.lost);
        told("lost before", Tone::Busy, &run.lost_before);
        if run.waiting > 0 {
            let waiting = count(run.waiting, "event");
            lines.push(format!("  {waiting} of other places wait for what has not come in yet"));
        }
        if run.behind > 0 {
            let behind = count(run.behind, "event");
            lines.push(format!("  {behind} behind the damage can be read, and wait for a repair"));
        }
    }
    lines.extend(report.damage.iter().map(|place| context.out.paint(Tone::Bad, &line(place))));
    let anew = report.made_anew.iter().map(|path| format!("made anew: {}", clean(path)));
    lines.extend(anew);
    lines.extend(report.kept.iter().map(|path| format!("kept: {}", clean(path))));
    let lost = report.runs.iter().any(|run| !run.lost.is_empty());
    match (report.damage.is_empty() && !lost, report.repaired) {
        (true, _) => lines.push("no damage".to_owned()),
        (false, true) if report.damage.len() == 1 && report.made_anew.is_some() => {
            lines.push("repaired: nothing is lost".to_owned());
        }
        (false, true) => {
            lines.push("repaired: it is passed over, and everything else is there".to_owned());
        }
        (false, false) => {}
    }
    lines.join("\n")
}
