//! Selective replay and undoing, on random histories and on small ones.

use std::collections::BTreeSet;
use std::sync::Arc;

use proptest::prelude::*;
use tress_engine::diff::difference;
use tress_engine::{Draft, Fate, Log, UndoError, When, Without, admit};
use tress_model::operation::{ProseField, ProseTarget, Splice, TodoEdit};
use tress_model::{
    Author, Dot, Event, Operation, ReplicaId, Role, Segment, State, StoreId, TodoId,
};

use crate::history::{merged, play, steps};

const NOW: u64 = 10_000_000;

/// A log of the same events, in which `left_out` have no effect.
fn without(segments: &[Segment], left_out: BTreeSet<Dot>) -> Log {
    let mut log = Log::new().leaving_out(Arc::new(left_out));
    let admission = log.admit_all(segments.iter().cloned(), None);
    assert!(admission.rejected.is_empty() && admission.waiting == 0);
    log
}

fn append(log: &mut Log, author: &Author, operations: Vec<Operation>) -> Vec<Arc<Event>> {
    let draft = |operation| Draft { author: author.clone(), occurred: None, operation };
    let drafts = operations.into_iter().map(draft).collect();
    let (replica, store) = (ReplicaId([77; 16]), StoreId([7; 16]));
    let prepared = log.prepare(replica, store, drafts, NOW).expect("valid operations");
    let events = prepared.events().to_vec();
    log.commit(prepared);
    events
}

/// The todo, section … that an operation is about, as the diff names it.
fn about(event: &Event) -> Option<TodoId> {
    event.operation.todo()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    #[test]
    fn selective_replay_of_nothing_is_the_identity(history in steps(4, 60)) {
        let (_, segments) = play(4, &history);
        let whole = merged(&segments);
        let selection = whole.select(&[]).expect("nothing is looked for");
        prop_assert!(selection.left_out.is_empty() && selection.fates.is_empty());
        prop_assert_eq!(selection.state.root(), whole.state().root());
        prop_assert_eq!(without(&segments, selection.left_out).state().root(), whole.state().root());
    }

    /// What nobody has seen can be left out as if it had never been.
    #[test]
    fn selective_replay_of_independent_events_equals_the_run_without_them(
        history in steps(4, 60),
        mute in 1_usize..4,
    ) {
        let spoken: Vec<_> = history
            .into_iter()
            .filter(|step| !matches!(step, crate::history::Step::Exchange { from, .. } if *from == mute))
            .collect();
        let (team, segments) = play(4, &spoken);
        let mute = team[mute].id;
        let whole = merged(&segments);
        let events = whole.events().iter().map(|event| event.dot);
        let chosen: Vec<_> = events.filter(|dot| dot.replica == mute).map(Without::Event).collect();
        let selection = whole.select(&chosen).expect("they are here");
        let rest: Vec<_> = segments.iter().filter(|s| s.replica != mute).cloned().collect();
        let never = merged(&rest);
        // Two may add the same todo without having seen each other; then others may depend on it.
        prop_assume!(selection.left_out.len() == chosen.len());
        let differs = difference(&selection.state, never.state(), (NOW, NOW));
        prop_assert!(differs.is_empty(), "{:#?}", differs);
    }

    /// The plan, a log that leaves the same out, and one that learns of it event by event agree.
    #[test]
    fn a_path_is_what_its_selection_said_whatever_the_order_of_delivery(
        history in steps(4, 60),
        agent in 0_u8..4,
        chunk in 1_usize..7,
    ) {
        let (_, segments) = play(4, &history);
        let whole = merged(&segments);
        let agent = Without::Agent(format!("agent-{agent}"));
        let selection = whole.select(&[agent]).expect("an agent needs not be here");
        let at_once = without(&segments, selection.left_out.clone());
        prop_assert_eq!(at_once.state().root(), selection.state.root());
        let mut slowly = Log::new().leaving_out(Arc::new(selection.left_out.clone()));
        for part in segments.rchunks(chunk) {
            slowly.admit_all(part.iter().cloned(), None);
        }
        prop_assert_eq!(slowly.state().root(), selection.state.root());
        // Whatever has an effect has not lost what it rests on.
        for event in whole.events().iter().filter(|e| !selection.left_out.contains(&e.dot)) {
            let on = event.operation.rests_on();
            prop_assert!(on.is_none_or(|on| !selection.left_out.contains(&on)));
        }
        // To leave it out once more changes nothing.
        let again = at_once.select(&[]).expect("nothing is looked for");
        prop_assert_eq!(&again.left_out, &selection.left_out);
        prop_assert!(again.fates.is_empty());
    }

    #[test]
    fn a_moment_is_what_is_left_when_everything_after_it_is_left_out(
        history in steps(3, 40),
        at in any::<prop::sample::Index>(),
    ) {
        let (_, segments) = play(3, &history);
        let whole = merged(&segments);
        if whole.events().is_empty() {
            return Ok(());
        }
        let event = at.get(whole.events());
        let when = When::Event(event.dot);
        let selection = whole.select(&[Without::After(when.clone())]).expect("it is here");
        let version = whole.version_at(&when).expect("it is here");
        let state = whole.state_at(&version).expect("it is here");
        prop_assert_eq!(selection.state.root(), state.root());
        prop_assert_eq!(selection.after, whole.version().events() - version.events());
    }

    /// Whatever is undone, the operations are valid, and no other todo changes by them.
    #[test]
    fn undoing_touches_only_what_the_event_touched(
        history in steps(3, 60),
        at in any::<prop::sample::Index>(),
    ) {
        let (_, segments) = play(3, &history);
        let whole = merged(&segments);
        if whole.events().is_empty() {
            return Ok(());
        }
        let event = Arc::clone(at.get(whole.events()));
        let Ok(planned) = whole.undo(event.dot, "a mistake", NOW) else { return Ok(()) };
        let author = Author::new("ada", Role::Human);
        for operation in &planned {
            prop_assert!(admit::check(&author, operation).is_ok(), "{:?}", operation);
            prop_assert!(operation.todo().is_none_or(|todo| about(&event) == Some(todo)));
        }
        let mut log = whole.clone();
        append(&mut log, &author, planned);
        for (id, before) in &whole.state().todos {
            if about(&event) != Some(*id) {
                prop_assert_eq!(Some(before), log.state().todo(*id));
            }
        }
        prop_assert_eq!(log.undo(event.dot, "again", NOW), Err(UndoError::Already));
    }
}

/// A log in which two replicas know everything of each other.
struct Team {
    log: Log,
    clock: u64,
}

impl Team {
    fn new() -> Self {
        Self { log: Log::new(), clock: 1000 }
    }

    fn does(&mut self, name: &str, operation: Operation) -> Dot {
        self.clock += 10;
        let replica = ReplicaId([name.bytes().next().unwrap_or(0); 16]);
        let author = Author::new(name, Role::Human);
        let draft = Draft { author, occurred: None, operation };
        let prepared = self.log.prepare(replica, StoreId([1; 16]), vec![draft], self.clock);
        let prepared = prepared.expect("a valid operation");
        let dot = prepared.events()[0].dot;
        self.log.commit(prepared);
        dot
    }

    fn undo(&mut self, dot: Dot) -> Result<(), UndoError> {
        let planned = self.log.undo(dot, "a mistake", self.clock)?;
        for operation in planned {
            self.does("ada", operation);
        }
        Ok(())
    }

    fn state(&self) -> &State {
        self.log.state()
    }
}

fn added(todo: TodoId) -> Operation {
    Operation::TodoAdded {
        todo,
        external_id: None,
        title: "one".to_owned(),
        edits: Vec::new(),
        prose: vec![(ProseField::Description, "Parse numbers.".to_owned())],
        labels: Vec::new(),
        layout: None,
    }
}

fn splice(todo: TodoId, at: u32, delete: u32, insert: &str) -> Operation {
    let target = ProseTarget::Todo(todo, ProseField::Description);
    let insert = insert.to_owned();
    Operation::ProseEdited { target, splices: vec![Splice { at, delete, insert }] }
}

/// Places are counted in the text that an author saw, also where part of it is left out.
#[test]
fn who_wrote_behind_a_left_out_text_keeps_the_place() {
    let todo = TodoId::from_external("one");
    let mut team = Team::new();
    team.does("ada", added(todo));
    team.does("bob", splice(todo, 6, 0, "all the "));
    team.does("eve", splice(todo, 21, 0, " and words"));
    let text =
        |state: &State| state.todo(todo).expect("it is there").prose(ProseField::Description);
    assert_eq!(text(team.state()), "Parse all the numbers and words.");
    let selection = team.log.select(&[Without::Agent("bob".to_owned())]).expect("bob is here");
    assert_eq!(text(&selection.state), "Parse numbers and words.");
    // What a left-out edit deleted is there, and what others put in its place stands beside it.
    let mut team = Team::new();
    team.does("ada", added(todo));
    team.does("bob", splice(todo, 6, 7, ""));
    team.does("eve", splice(todo, 6, 0, "words"));
    assert_eq!(text(team.state()), "Parse words.");
    let selection = team.log.select(&[Without::Agent("bob".to_owned())]).expect("bob is here");
    assert!(text(&selection.state).contains("words") && text(&selection.state).contains("numbers"));
}

#[test]
fn what_depends_on_a_left_out_event_goes_by_the_stated_rule() {
    let (one, two) = (TodoId::from_external("one"), TodoId::from_external("two"));
    let mut team = Team::new();
    team.does("ada", added(one));
    let token = team.does("bob", Operation::Claimed { todo: one, lease: None, scope: Vec::new() });
    let progress = team.does(
        "bob",
        Operation::ProgressReported {
            todo: one,
            token,
            percent: 10,
            message: String::new(),
            next_milestone: None,
        },
    );
    team.does("bob", added(two));
    let edge = team.does(
        "ada",
        Operation::DependencyAdded {
            todo: one,
            on: two,
            external_id: None,
            kind: tress_model::operation::EdgeKind::Blocks,
            layout: None,
        },
    );
    let closed = team.does("bob", Operation::Closed { todo: one, reason: String::new() });
    let reopened = team.does("eve", Operation::Reopened { todo: one, reason: String::new() });
    let note = Operation::NoteAdded { todo: one, text: "kept".to_owned(), layout: None };
    let noted = team.does("eve", note);
    let fate = |without: Without, dot: Dot| {
        let selection = team.log.select(&[without]).expect("it is here");
        selection.fates.into_iter().find(|(event, _)| event.dot == dot).map(|(_, fate)| fate)
    };
    let claim = || Without::Event(token);
    assert_eq!(fate(claim(), token), Some(Fate::Chosen));
    assert_eq!(fate(claim(), progress), Some(Fate::RestsOn(token)));
    assert_eq!(fate(claim(), closed), None, "a closing stands by itself");
    assert!(matches!(fate(Without::Todo(two), edge), Some(Fate::Gone(_))));
    let undone = fate(Without::Event(closed), reopened);
    assert!(matches!(undone, Some(Fate::NoEffect { .. })), "{undone:?}");
    assert_eq!(fate(Without::Agent("bob".to_owned()), noted), None);
    let missing = Without::Event(Dot::new(ReplicaId([9; 16]), 1));
    assert!(team.log.select(&[missing]).is_err());
}

#[test]
fn each_kind_of_event_is_undone_or_says_why_not() {
    let (one, two) = (TodoId::from_external("one"), TodoId::from_external("two"));
    let mut team = Team::new();
    let first = team.does("ada", added(one));
    let edit = |edit| Operation::TodoEdited { todo: one, edits: vec![edit] };
    let titled = team.does("bob", edit(TodoEdit::Title("two".to_owned())));
    let ranked = team.does("bob", edit(TodoEdit::Priority(0)));
    team.does("eve", edit(TodoEdit::Priority(1)));
    let labels =
        Operation::LabelsChanged { todo: one, added: vec!["x".to_owned()], removed: Vec::new() };
    let labelled = team.does("bob", labels);
    let noted = team
        .does("bob", Operation::NoteAdded { todo: one, text: "nonsense".to_owned(), layout: None });
    let wrote = team.does("bob", splice(one, 0, 5, "Read"));
    let closed = team.does("bob", Operation::Closed { todo: one, reason: "done".to_owned() });
    let lonely = team.does("bob", added(two));

    for dot in [titled, labelled, noted, wrote, closed, lonely] {
        assert_eq!(team.undo(dot), Ok(()), "{dot}");
        assert_eq!(team.undo(dot), Err(UndoError::Already), "{dot}");
    }
    let todo = team.state().todo(one).expect("it is there");
    assert_eq!((todo.title.as_str(), todo.priority), ("one", 1));
    assert!(todo.labels.is_empty() && todo.notes.is_empty() && !todo.finished());
    assert_eq!(todo.prose(ProseField::Description), "Parse numbers.");
    assert!(team.state().todo(two).is_some_and(|todo| todo.deletion().is_some()));
    assert_eq!(team.undo(ranked), Err(UndoError::NothingLeft), "eve has changed it since");
    assert!(matches!(team.undo(first), Err(UndoError::OthersBuilt { .. })));
    let reported = Operation::AgentReported { activity: "thinking".to_owned() };
    let reported = team.does("bob", reported);
    assert!(matches!(team.undo(reported), Err(UndoError::Final { .. })));
    let nowhere = Dot::new(ReplicaId([9; 16]), 1);
    assert_eq!(team.undo(nowhere), Err(UndoError::Unknown(nowhere)));
}

/// An undoing that is undone brings the effect back by an event of its own, and that one can be
/// undone in its turn; the first is undone once and for all.
#[test]
fn an_undoing_can_be_undone_and_that_again() {
    let one = TodoId::from_external("one");
    let mut team = Team::new();
    team.does("ada", added(one));
    let edit = Operation::TodoEdited { todo: one, edits: vec![TodoEdit::Title("two".to_owned())] };
    let mut last = team.does("bob", edit);
    let first = last;
    let latest_edit = |team: &Team| {
        let mut events = team.log.events().iter().rev();
        let edit = events.find(|e| matches!(e.operation, Operation::TodoEdited { .. }));
        edit.map(|event| event.dot).expect("the undoing edited the title")
    };
    for title in ["one", "two", "one", "two"] {
        assert_eq!(team.undo(last), Ok(()));
        assert_eq!(team.state().todo(one).map(|todo| todo.title.as_str()), Some(title));
        last = latest_edit(&team);
        assert_eq!(team.undo(first), Err(UndoError::Already));
    }
}
