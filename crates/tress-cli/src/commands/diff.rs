//! `diff`: what differs between two runs, or two moments.

mod view;

use clap::Args;
use tress::diff::{Difference, Fact, ItemDifference, Presence, TodoDifference, Value};
use tress::state::FindError;
use tress::{Millis, Status, Store, TodoId, difference};

use self::view::{Counts, DiffView, SideView, WholeView};
use crate::context::{Context, Moment, find};
use crate::failure::Failure;
use crate::output::{Output, Tone};
use crate::time::{ago, rfc3339};
use crate::words::{Names, count, item, lines, phrases, quoted, short};

/// Say what differs between two runs, or two moments of a run
#[derive(Debug, Args)]
#[command(after_help = "\
Contents are compared, not events: two runs that came to the same by different ways differ in
nothing. A and B are each one of
  NAME        the run NAME, as it is
  WHEN        the current run then: an event id, checkpoint, version, time, or `2h ago`
  RUN@WHEN    another run then
A run beats a checkpoint of the same name; `@NAME` means the moment.

Examples:
  tress diff before-refactor               from that checkpoint to now
  tress diff \"2h ago\" \"1h ago\" --stat      how much was done in that hour
  tress diff main try-2                    what the other run has otherwise
  tress diff main@one try-2@one --todo t-7f3a --prose")]
pub(crate) struct Diff {
    /// A run, a moment of the current run, or RUN@WHEN
    #[arg(value_name = "A")]
    from: String,
    /// The same (default: the current run as it is, or at --at)
    #[arg(value_name = "B")]
    to: Option<String>,
    /// Only what is about this todo
    #[arg(long, value_name = "ID")]
    todo: Option<String>,
    /// Only how much differs
    #[arg(long)]
    stat: bool,
    /// Show which lines of texts differ
    #[arg(long, conflicts_with = "stat")]
    prose: bool,
}

/// One of the two sides, and how it was named.
struct Side {
    moment: Moment,
    when: Option<String>,
}

/// Does `diff`.
pub(crate) async fn run(context: &Context, args: &Diff) -> Result<(), Failure> {
    if args.to.is_some() && context.global.at.is_some() {
        return Err(Failure::usage("B names a moment already").hint("leave --at out, or B"));
    }
    let (store, now) = (context.store()?, tress::now());
    let from = side(context, &store, &args.from, now).await?;
    let to = match &args.to {
        Some(to) => side(context, &store, to, now).await?,
        None => {
            let run = context.open_run(&store, &context.global.run).await?;
            let when = context.global.at.clone();
            Side { moment: context.moment_of(run, when.as_deref(), now).await?, when }
        }
    };
    let at = (from.moment.now, to.moment.now);
    let mut found = difference(&from.moment.state, &to.moment.state, at);
    if let Some(text) = &args.todo {
        restrict(&mut found, wanted(&from.moment, &to.moment, text)?);
    }
    let names = Names { from: &from.moment.state, to: &to.moment.state };
    // The oldest first, as one wrote them down.
    let created = |id| names.side(id).todo(id).map(|todo| todo.created_at);
    found.todos.sort_by_key(|todo| created(todo.todo));
    if context.out.json() {
        let view = DiffView {
            from: from.view(),
            to: to.view(),
            differs: !found.is_empty(),
            counts: counts(&found).into_iter().collect(),
            whole: (!args.stat).then(|| WholeView::new(&names, &found)),
        };
        return context.out.data(&view);
    }
    let header = format!("{} -> {}", from.say(now), to.say(now));
    let mut told = vec![context.out.paint(Tone::Dim, &header)];
    match (found.is_empty(), args.stat) {
        (true, _) => told.push("nothing differs".to_owned()),
        (false, true) => told.extend(stat(&found)),
        (false, false) => told.extend(text(&context.out, &names, &found, args.prose)),
    }
    context.out.text(&told.join("\n"))
}

/// What `text` names: a run, a moment of the current run, or `RUN@WHEN`.
async fn side(context: &Context, store: &Store, text: &str, now: Millis) -> Result<Side, Failure> {
    let text = text.trim();
    let runs = store.runs()?;
    let known = |name: &str| runs.iter().any(|run| run == name);
    let current = context.global.run.as_str();
    let (run, when) = match text.split_once('@') {
        Some(("", when)) => (current, Some(when)),
        Some((run, when)) if known(run) => (run, Some(when)),
        _ if known(text) => (text, None),
        _ => (current, Some(text)),
    };
    let opened = context.open_run(store, run).await?;
    let moment = context.moment_of(opened, when, now).await.map_err(|failure| {
        if !failure.is_not_found() {
            return failure;
        }
        let what = short(when.unwrap_or_default(), 60);
        let runs: Vec<String> = runs.iter().map(|run| short(run, 64)).collect();
        let message = if text.contains('@') {
            format!("{what:?} is no moment of the run {run}")
        } else {
            format!("{what:?} is no run of this store, and no moment of the run {run}")
        };
        Failure::not_found(message).hint(format!(
            "runs: {}; a moment is a checkpoint (`tress checkpoints`), an event id (`tress log`), \
             a version, or a time such as `2h ago`",
            runs.join(", ")
        ))
    })?;
    Ok(Side { moment, when: when.map(str::to_owned) })
}

impl Side {
    fn view(&self) -> SideView {
        SideView {
            run: self.moment.run.name().to_owned(),
            when: self.when.clone(),
            at: rfc3339(self.moment.now),
            events: self.moment.state.events(),
            version: self.moment.state.version.to_string(),
        }
    }

    /// `main at one (12 events, 2h ago)`.
    fn say(&self, now: Millis) -> String {
        let run = self.moment.run.name();
        let events = count(self.moment.state.events(), "event");
        match &self.when {
            None => format!("{run} ({events})"),
            Some(when) if self.moment.state.last.is_none() => {
                format!("{run} at {} (before its first event)", short(when, 40))
            }
            Some(when) => {
                let ago = ago(self.moment.now, now);
                format!("{run} at {} ({events}, {ago})", short(when, 40))
            }
        }
    }
}

/// The todo that `text` names on one of the sides.
fn wanted(from: &Moment, to: &Moment, text: &str) -> Result<TodoId, Failure> {
    match to.state.find(text) {
        Err(FindError::Unknown(_)) if from.state.find(text).is_ok() => {
            find(&from.state, text).map(|todo| todo.id)
        }
        _ => find(&to.state, text).map(|todo| todo.id),
    }
}

fn restrict(found: &mut Difference, id: TodoId) {
    found.todos.retain(|todo| todo.todo == id);
    found.design.retain(|item| item.todo == Some(id));
    found.team.retain(|item| item.todo == Some(id));
    found.ledger.added.retain(|entry| entry.todo == Some(id));
    found.ledger.gone.retain(|entry| entry.todo == Some(id));
}

fn counts(found: &Difference) -> [(&'static str, Counts); 4] {
    let of = |presences: &mut dyn Iterator<Item = Presence>| {
        presences.fold(Counts::default(), |mut counts, presence| {
            match presence {
                Presence::Added => counts.added += 1,
                Presence::Changed => counts.changed += 1,
                Presence::Gone => counts.gone += 1,
            }
            counts
        })
    };
    let (added, gone) = (found.ledger.added.len(), found.ledger.gone.len());
    [
        ("todos", of(&mut found.todos.iter().map(|todo| todo.presence))),
        ("design", of(&mut found.design.iter().map(|item| item.presence))),
        ("team", of(&mut found.team.iter().map(|item| item.presence))),
        ("conflicts", Counts { added, changed: 0, gone }),
    ]
}

fn stat(found: &Difference) -> Vec<String> {
    let some = counts(found).into_iter().filter(|(_, counts)| *counts != Counts::default());
    let line = |(name, counts): (&str, Counts)| {
        let parts = [(counts.added, "new"), (counts.changed, "changed"), (counts.gone, "gone")];
        let parts = parts.into_iter().filter(|(number, _)| *number > 0);
        let parts: Vec<String> = parts.map(|(number, what)| format!("{number} {what}")).collect();
        format!("{name:<10} {}", parts.join(", "))
    };
    some.map(line).collect()
}

/// The difference in lines, under headings.
fn text(out: &Output, names: &Names<'_>, found: &Difference, prose: bool) -> Vec<String> {
    let mut told = Vec::new();
    let heading = |told: &mut Vec<String>, text: &str| {
        told.extend([String::new(), out.paint(Tone::Strong, text)]);
    };
    if !found.todos.is_empty() {
        heading(&mut told, "todos");
        for presence in [Presence::Added, Presence::Changed, Presence::Gone] {
            let these = found.todos.iter().filter(|todo| todo.presence == presence);
            these.for_each(|todo| told.extend(todo_lines(out, names, todo, prose)));
        }
    }
    for (name, items) in [("design", &found.design), ("team", &found.team)] {
        if !items.is_empty() {
            heading(&mut told, name);
            items.iter().for_each(|item| told.extend(item_lines(out, names, item, prose)));
        }
    }
    let ledger = [(Presence::Added, &found.ledger.added), (Presence::Gone, &found.ledger.gone)];
    if ledger.iter().any(|(_, entries)| !entries.is_empty()) {
        heading(&mut told, "conflicts decided");
        for (presence, entry) in ledger.iter().flat_map(|(p, e)| e.iter().map(|e| (*p, e))) {
            let todo = entry.todo.map(|todo| format!(" {}", names.name(todo))).unwrap_or_default();
            let head = format!("{} {}{todo}", mark(out, presence), entry.rule);
            let lost = format!("{} lost: {}", short(&entry.agent, 40), short(&entry.detail, 200));
            told.extend(wrapped(out, &head, &[lost]));
        }
    }
    told
}

fn mark(out: &Output, presence: Presence) -> String {
    match presence {
        Presence::Added => out.paint(Tone::Good, "+"),
        Presence::Changed => out.paint(Tone::Busy, "~"),
        Presence::Gone => out.paint(Tone::Bad, "-"),
    }
}

fn todo_lines(out: &Output, names: &Names<'_>, todo: &TodoDifference, prose: bool) -> Vec<String> {
    let id = todo.todo;
    let title = names.side(id).todo(id).map(|todo| quoted(&todo.title)).unwrap_or_default();
    let head = format!("{} {} {title}", mark(out, todo.presence), names.name(id));
    let reason = todo.facts.iter().find(|fact| fact.field == tress::diff::Field::Deleted);
    let phrases = match todo.presence {
        Presence::Changed => phrases(out, names, id, &todo.facts),
        Presence::Added => beginning(names, id, todo, out),
        Presence::Gone => match reason.and_then(|fact| fact.after.as_ref()) {
            Some(Value::Text(why)) if !why.is_empty() => {
                vec![format!("deleted: {}", short(why, 80))]
            }
            Some(_) => vec!["deleted".to_owned()],
            None => Vec::new(),
        },
    };
    let mut told = wrapped(out, &head, &phrases);
    if prose && todo.presence == Presence::Changed {
        told.extend(prose_lines(out, &todo.facts));
    }
    told
}

/// Where a todo that is new stands.
fn beginning(names: &Names<'_>, id: TodoId, found: &TodoDifference, out: &Output) -> Vec<String> {
    use tress::diff::Field as F;
    let usual = |fact: &&Fact| match (fact.field, &fact.after) {
        (F::Kind, Some(Value::Text(kind))) => kind != "task",
        (F::Status, Some(Value::Status(status))) => *status != Status::Open,
        (F::Priority, Some(Value::Number(priority))) => *priority != 2,
        (field, _) => matches!(field, F::Holder | F::Assignee | F::Label | F::Edge),
    };
    let facts: Vec<Fact> = found.facts.iter().filter(usual).cloned().collect();
    phrases(out, names, id, &facts)
}

fn item_lines(out: &Output, names: &Names<'_>, found: &ItemDifference, prose: bool) -> Vec<String> {
    let (name, phrases) = item(names, found);
    let mut told = wrapped(out, &format!("{} {name}", mark(out, found.presence)), &phrases);
    if prose && found.presence == Presence::Changed {
        told.extend(prose_lines(out, &found.facts));
    }
    told
}

fn prose_lines(out: &Output, facts: &[Fact]) -> Vec<String> {
    facts.iter().filter(|fact| fact.field.is_prose()).flat_map(|fact| lines(out, fact)).collect()
}

/// `head: one; two; three`, in as many lines as the room asks for.
fn wrapped(out: &Output, head: &str, phrases: &[String]) -> Vec<String> {
    let room = out.columns().unwrap_or(usize::MAX);
    let mut told = Vec::new();
    let mut line = head.to_owned();
    let mut used = width(head);
    for (index, phrase) in phrases.iter().enumerate() {
        let join = if index == 0 { ": " } else { "; " };
        if used + join.len() + width(phrase) > room && used > 4 {
            told.push(format!("{line}{}", join.trim_end()));
            line = format!("    {phrase}");
            used = 4 + width(phrase);
        } else {
            line = format!("{line}{join}{phrase}");
            used += join.len() + width(phrase);
        }
    }
    told.push(line);
    told
}

/// How many characters of a text are shown: all but the colours.
fn width(text: &str) -> usize {
    let mut colour = false;
    let shown = text.chars().filter(|&c| {
        let was = colour;
        colour = if colour { c != 'm' } else { c == '\u{1b}' };
        !was && !colour
    });
    shown.count()
}
