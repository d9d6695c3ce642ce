//! The rules of the fold at their edges: claims that ended, removals that lost, fields of the
//! design. One test for each rule as a whole is in `main.rs`.

use tress_engine::Rejection;
use tress_model::limits::ENDED_CLAIMS_MAX;
use tress_model::operation::{
    EdgeKind, ProseField, ProseTarget, Severity, Splice, TodoEdit, Verdict,
};
use tress_model::{Dot, Operation, Role, Rule, Status, TodoId};

use super::invariants::Watch;
use super::{Side, added, claimed, done, draft, to_integrate, two_sides, verdict};

fn released(todo: TodoId, token: Dot) -> Operation {
    Operation::Released { todo, token, reason: String::new() }
}

fn deleted(todo: TodoId) -> Operation {
    Operation::Deleted { todo, reason: String::new() }
}

fn reopened(todo: TodoId) -> Operation {
    Operation::Reopened { todo, reason: String::new() }
}

fn note(todo: TodoId) -> Operation {
    Operation::NoteAdded { todo, text: "still needed".to_owned(), layout: None }
}

fn section(heading: &str, level: u8, position: u32, body: &str) -> Operation {
    Operation::SectionAdded {
        section: "s".to_owned(),
        heading: heading.to_owned(),
        level,
        position,
        body: body.to_owned(),
    }
}

fn section_edited(at: u32, insert: &str) -> Operation {
    Operation::ProseEdited {
        target: ProseTarget::Section("s".to_owned()),
        splices: vec![Splice { at, delete: 0, insert: insert.to_owned() }],
    }
}

fn section_removed() -> Operation {
    Operation::SectionRemoved { section: "s".to_owned() }
}

fn requirement(section: &str, text: &str, kind: &str, criticality: Severity) -> Operation {
    Operation::RequirementAdded {
        requirement: "R1".to_owned(),
        section: section.to_owned(),
        text: text.to_owned(),
        kind: kind.to_owned(),
        criticality,
    }
}

fn requirement_removed() -> Operation {
    Operation::RequirementRemoved { requirement: "R1".to_owned() }
}

fn design_rule(text: &str, criticality: Severity) -> Operation {
    Operation::DesignRuleAdded { rule: "D1".to_owned(), text: text.to_owned(), criticality }
}

fn design_rule_removed() -> Operation {
    Operation::DesignRuleRemoved { rule: "D1".to_owned() }
}

impl Side {
    /// Appends as a person.
    fn says(&mut self, now: u64, agent: &str, operation: Operation) -> Dot {
        self.append(now, draft(agent, Role::Human, operation))
    }

    /// Appends as an implementer.
    fn works(&mut self, now: u64, agent: &str, operation: Operation) -> Dot {
        self.append(now, draft(agent, Role::Implementer, operation))
    }

    /// Each entry of the ledger: rule, and the agent that lost.
    fn told(&self) -> Vec<(Rule, String)> {
        let ledger = self.log.state().ledger.iter();
        ledger.map(|entry| (entry.rule, entry.agent.to_string())).collect()
    }

    fn details(&self) -> String {
        let details: Vec<_> =
            self.log.state().ledger.iter().map(|entry| entry.detail.as_str()).collect();
        details.join("\n")
    }
}

/// Both sides learn of each other and must agree.
fn meet(left: &mut Side, right: &mut Side) {
    left.learn(right);
    right.learn(left);
    assert_eq!(left.log.state().root(), right.log.state().root());
}

/// Of claims that had ended only the last was known: work under an older one was taken.
#[test]
fn work_under_any_claim_whose_end_was_seen_is_stale() {
    let (mut left, mut right, todo) = two_sides();
    let first = left.works(200, "worker", claimed(todo));
    right.learn(&left);
    left.works(210, "worker", released(todo, first));
    let second = left.works(220, "worker", claimed(todo));
    left.works(230, "worker", released(todo, second));
    left.works(240, "worker", done(todo, first));
    assert_eq!(left.status(todo, 300), Status::Open);
    assert_eq!(left.rules(), [Rule::StaleToken]);
    // Who had seen neither end has done the work all the same.
    right.works(250, "worker", done(todo, first));
    meet(&mut left, &mut right);
    assert_eq!(left.status(todo, 300), Status::InReview);
}

/// A claim that its agent had taken anew was forgotten, and counted as one that never ended.
#[test]
fn a_claim_that_was_renewed_by_claiming_again_has_ended() {
    let (mut left, _, todo) = two_sides();
    let first = left.works(200, "worker", claimed(todo));
    let second = left.works(210, "worker", claimed(todo));
    left.works(220, "worker", released(todo, second));
    left.works(230, "worker", done(todo, first));
    assert_eq!(left.status(todo, 300), Status::Open);
    assert_eq!(left.rules(), [Rule::StaleToken]);
}

/// Who had given its claim back, and said afterwards that the work was done, took the todo from
/// whoever had claimed it since.
#[test]
fn work_under_a_claim_that_was_given_back_takes_nothing_from_a_later_holder() {
    let (mut left, mut right, todo) = two_sides();
    let first = left.works(200, "slow", claimed(todo));
    left.works(210, "slow", released(todo, first));
    right.learn(&left);
    let second = right.works(300, "next", claimed(todo));
    left.works(310, "slow", done(todo, first));
    meet(&mut left, &mut right);
    let state = left.log.state();
    let claim = state.todo(todo).and_then(|todo| todo.claim.as_deref()).expect("a claim");
    assert_eq!(claim.token, second);
    assert_eq!(left.told(), [(Rule::StaleToken, "slow".to_owned())]);
}

/// A lost claim counts as ended for who had seen the winner, also when the winner is gone.
#[test]
fn work_under_a_claim_that_lost_knowingly_is_stale() {
    let (mut left, mut right, todo) = two_sides();
    let winner = left.works(200, "early", claimed(todo));
    let lost = right.works(210, "late", claimed(todo));
    meet(&mut left, &mut right);
    left.works(300, "early", released(todo, winner));
    right.learn(&left);
    right.works(310, "late", done(todo, lost));
    assert_eq!(right.status(todo, 400), Status::Open);
    let stale = (Rule::StaleToken, "late".to_owned());
    assert_eq!(right.told(), [(Rule::FirstClaim, "late".to_owned()), stale]);
}

/// As many claims that ended are remembered as the limit says; an older one counts as known.
#[test]
fn claims_that_ended_are_remembered_up_to_the_limit() {
    for (ends, taken) in [(ENDED_CLAIMS_MAX, true), (ENDED_CLAIMS_MAX + 1, false)] {
        let (mut left, mut right, todo) = two_sides();
        let first = left.works(200, "worker", claimed(todo));
        right.learn(&left);
        left.works(201, "worker", released(todo, first));
        for number in 1..ends as u64 {
            let token = left.works(200 + number * 10, "worker", claimed(todo));
            left.works(205 + number * 10, "worker", released(todo, token));
        }
        right.works(9000, "worker", done(todo, first));
        left.learn(&right);
        assert_eq!(left.status(todo, 9100) == Status::InReview, taken, "{ends} ends");
    }
}

/// With a friend to hand in the work after the claim had ended, an agent could verify its own work.
#[test]
fn whoever_held_a_claim_that_ended_cannot_verify_what_was_done_under_it() {
    let (mut left, mut right, todo) = two_sides();
    let token = left.works(200, "worker", claimed(todo));
    right.learn(&left);
    left.works(210, "worker", released(todo, token));
    let completion = right.works(300, "friend", done(todo, token));
    left.learn(&right);
    let verify = verdict(todo, completion, Verdict::Pass);
    left.append(400, draft("worker", Role::Verifier, verify));
    assert_eq!(left.status(todo, 500), Status::InReview);
    assert_eq!(left.rules(), [Rule::DoneMeansVerified]);
}

/// A deletion that lost had ended the claim all the same, and the agent at work was turned away.
#[test]
fn a_deletion_that_loses_ends_no_claim() {
    for (delete_at, report_at) in [(300, 400), (400, 300)] {
        let (mut left, mut right, todo) = two_sides();
        let token = left.works(200, "worker", claimed(todo));
        right.learn(&left);
        left.says(delete_at, "ada", deleted(todo));
        let progress = Operation::ProgressReported {
            todo,
            token,
            percent: 50,
            message: String::new(),
            next_milestone: None,
        };
        right.works(report_at, "worker", progress);
        meet(&mut left, &mut right);
        assert_eq!(left.status(todo, 500), Status::InProgress);
        assert_eq!(left.told(), [(Rule::EditBeatsDelete, "ada".to_owned())]);
        let state = left.log.state();
        assert_eq!(state.todo(todo).map(|todo| todo.percent()), Some(50));
    }
}

/// The oracle of claims took a deletion that had lost for the end of the claim which it had put aside, where
/// the very event that beat it ended that claim: twice in 25,000 simulated worlds.
#[test]
fn a_claim_that_comes_back_and_ends_at_once_was_not_ended_by_the_deletion() {
    let unclaimed = |todo| Operation::CompletionClaimed {
        todo,
        token: None,
        commit: None,
        to_integrate: false,
        implementation: String::new(),
        tests: String::new(),
        integration: String::new(),
    };
    // Somebody finishes it without having known of the claim, who held it goes on.
    let (mut left, mut right, todo) = two_sides();
    let token = left.works(200, "worker", claimed(todo));
    left.says(300, "ada", deleted(todo));
    right.works(400, "other", unclaimed(todo));
    let (percent, message, next_milestone) = (50, String::new(), None);
    let report = Operation::ProgressReported { todo, token, percent, message, next_milestone };
    left.works(500, "worker", report);
    meet(&mut left, &mut right);
    let told =
        [(Rule::EditBeatsDelete, "ada".to_owned()), (Rule::FinishedWorkHolds, "worker".to_owned())];
    assert_eq!(left.told(), told, "whoever had not seen the work may go on reporting");
    let found = Watch::all(left.log.events()).err();
    assert_eq!(found, None);
    // Somebody who knew of the claim and not of the deletion gives it back, and then finishes it.
    let (mut left, mut right, todo) = two_sides();
    let token = left.works(200, "worker", claimed(todo));
    right.learn(&left);
    left.says(300, "ada", deleted(todo));
    right.says(400, "bob", released(todo, token));
    right.works(500, "worker", done(todo, token));
    meet(&mut left, &mut right);
    let told = [(Rule::EditBeatsDelete, "ada".to_owned()), (Rule::StaleToken, "worker".to_owned())];
    assert_eq!(left.told(), told, "who had seen the release may not go on");
    let found = Watch::all(left.log.events()).err();
    assert_eq!(found, None);
}

/// A claim that a deletion ended stays ended when somebody reopens the todo knowing of both.
#[test]
fn a_reopening_brings_no_claim_back() {
    let (mut left, _, todo) = two_sides();
    left.works(200, "worker", claimed(todo));
    left.says(300, "ada", deleted(todo));
    left.says(400, "ada", reopened(todo));
    left.says(500, "ada", note(todo));
    assert_eq!(left.status(todo, 600), Status::Open);
}

/// A reopening kept a todo from a concurrent deletion only where it was the earlier of the two.
#[test]
fn a_reopening_beats_a_deletion_whichever_is_earlier() {
    for (delete_at, reopen_at) in [(300, 400), (400, 300)] {
        let (mut left, mut right, todo) = two_sides();
        let close = Operation::Closed { todo, reason: String::new() };
        left.says(200, "ada", close);
        right.learn(&left);
        left.says(delete_at, "ada", deleted(todo));
        right.says(reopen_at, "bob", reopened(todo));
        meet(&mut left, &mut right);
        assert_eq!(left.status(todo, 500), Status::Open);
        assert_eq!(left.told(), [(Rule::EditBeatsDelete, "ada".to_owned())]);
    }
}

/// A reopening that took away a status word of another system was said to have had no effect.
#[test]
fn a_reopening_that_clears_a_stage_has_an_effect() {
    let (mut left, _, todo) = two_sides();
    let edits = vec![TodoEdit::Stage(Some("deferred".to_owned()))];
    left.says(200, "ada", Operation::TodoEdited { todo, edits });
    left.says(300, "ada", reopened(todo));
    assert_eq!(left.status(todo, 400), Status::Open);
    assert_eq!(left.rules(), []);
}

/// The edit was without effect when it was the later of the two.
#[test]
fn an_edit_keeps_a_section_whose_removal_had_not_seen_it() {
    for (remove_at, edit_at) in [(200, 300), (300, 200)] {
        for edit in [section_edited(4, " and new"), section("Other", 1, 0, "body")] {
            let (mut left, mut right, _) = two_sides();
            left.says(150, "ada", section("Heading", 1, 0, "body"));
            right.learn(&left);
            left.says(remove_at, "ada", section_removed());
            assert!(left.log.state().design.sections.is_empty());
            right.says(edit_at, "bob", edit.clone());
            meet(&mut left, &mut right);
            let section = &left.log.state().design.sections["s"];
            let kept = (section.body.text(), section.heading.clone());
            let kept = (kept.0.as_str(), kept.1.as_str());
            assert!(matches!(kept, ("body and new", "Heading") | ("body", "Other")), "{kept:?}");
            assert_eq!(left.told(), [(Rule::EditBeatsDelete, "ada".to_owned())]);
        }
    }
}

/// Requirements and design rules went when they were removed, whatever had changed meanwhile.
#[test]
fn a_change_keeps_a_requirement_and_a_rule_whose_removal_had_not_seen_it() {
    for (remove_at, change_at) in [(200, 300), (300, 200)] {
        let (mut left, mut right, _) = two_sides();
        left.says(150, "ada", requirement("s", "old", "functional", Severity::Low));
        left.says(151, "ada", design_rule("old", Severity::Low));
        right.learn(&left);
        left.says(remove_at, "ada", requirement_removed());
        left.says(remove_at + 1, "ada", design_rule_removed());
        right.says(change_at, "bob", requirement("s", "new", "functional", Severity::Low));
        right.says(change_at + 1, "bob", design_rule("new", Severity::Low));
        meet(&mut left, &mut right);
        let design = &left.log.state().design;
        assert_eq!(design.requirements["R1"].text, "new");
        assert_eq!(design.rules["D1"].text, "new");
        let lost = (Rule::EditBeatsDelete, "ada".to_owned());
        assert_eq!(left.told(), [lost.clone(), lost]);
    }
}

#[test]
fn two_who_remove_the_same_part_of_the_design_agree() {
    let (mut left, mut right, _) = two_sides();
    left.says(150, "ada", section("Heading", 1, 0, "body"));
    left.says(151, "ada", requirement("s", "text", "functional", Severity::Low));
    left.says(152, "ada", design_rule("text", Severity::Low));
    right.learn(&left);
    let removals = [section_removed(), requirement_removed(), design_rule_removed()];
    for (number, removal) in (0..).zip(removals) {
        left.says(200 + number, "ada", removal.clone());
        right.says(300 + number, "bob", removal);
    }
    meet(&mut left, &mut right);
    let design = &left.log.state().design;
    assert!(design.sections.is_empty() && design.requirements.is_empty());
    assert!(design.rules.is_empty());
    assert_eq!(left.rules(), []);
    // Who had seen one of the two removals edits what is not there.
    left.says(400, "ada", section_edited(0, "late"));
    left.says(401, "ada", section_removed());
    assert_eq!(left.rules(), [Rule::Precondition, Rule::Precondition]);
    assert!(left.log.state().design.sections.is_empty());
}

/// An edit that had seen one of two removals, and not the other, brings nothing back.
#[test]
fn a_removal_that_was_seen_holds_beside_one_that_was_not() {
    let (mut left, mut right, _) = two_sides();
    let mut third = Side::new(3);
    left.says(150, "ada", section("Heading", 1, 0, "body"));
    right.learn(&left);
    third.learn(&left);
    left.says(200, "ada", section_removed());
    right.says(210, "bob", section_removed());
    third.learn(&left);
    third.says(300, "eve", section_edited(0, "late"));
    third.learn(&right);
    assert!(third.log.state().design.sections.is_empty());
    let lost = (Rule::EditBeatsDelete, "bob".to_owned());
    assert_eq!(third.told(), [lost, (Rule::Precondition, "eve".to_owned())]);
}

#[test]
fn a_section_that_is_added_again_is_there_again() {
    let (mut left, _, _) = two_sides();
    left.says(150, "ada", section("Heading", 1, 0, "body"));
    left.says(200, "ada", section_removed());
    left.says(300, "ada", section("Anew", 2, 3, "other"));
    let section = &left.log.state().design.sections["s"];
    assert_eq!((section.heading.as_str(), section.body.text().as_str()), ("Anew", "other"));
    assert_eq!(left.rules(), []);
}

/// Concurrent changes of a section's level and place, and of a requirement's section, kind and
/// criticality, left no entry.
#[test]
fn every_field_of_the_design_that_two_wrote_at_once_is_in_the_ledger() {
    let (mut left, mut right, _) = two_sides();
    left.says(150, "ada", section("Heading", 1, 1, "body"));
    left.says(151, "ada", requirement("s", "text", "functional", Severity::Low));
    left.says(152, "ada", design_rule("text", Severity::Low));
    right.learn(&left);
    left.says(200, "ada", section("Heading", 2, 7, "body"));
    left.says(201, "ada", requirement("t", "text", "security", Severity::High));
    left.says(202, "ada", design_rule("text", Severity::High));
    right.says(300, "bob", section("Heading", 3, 8, "body"));
    right.says(301, "bob", requirement("u", "text", "speed", Severity::Critical));
    right.says(302, "bob", design_rule("text", Severity::Critical));
    meet(&mut left, &mut right);
    assert!(left.told().iter().all(|told| *told == (Rule::FieldMerge, "ada".to_owned())));
    let details = left.details();
    for wanted in [
        "the level of s was written by two at once; the later holds, the other was 2",
        "the place of s was written by two at once; the later holds, the other was 7",
        "the section of requirement R1 was written by two at once; the later holds, the other was \"t\"",
        "the kind of requirement R1 was written by two at once; the later holds, the other was \"security\"",
        "the criticality of requirement R1 was written by two at once; the later holds, the other was High",
        "the criticality of design rule D1 was written by two at once; the later holds, the other was High",
    ] {
        assert!(details.contains(wanted), "{wanted} is not in:\n{details}");
    }
    assert_eq!(left.rules().len(), 6, "one entry for each field that really differs:\n{details}");
}

/// Of two who had written the same value only the first was told when a third replaced it.
#[test]
fn all_who_wrote_the_value_that_was_replaced_are_told() {
    let (mut left, mut right, todo) = two_sides();
    let mut third = Side::new(3);
    third.learn(&left);
    let title = |text: &str| {
        let edits = vec![TodoEdit::Title(text.to_owned())];
        Operation::TodoEdited { todo, edits }
    };
    left.says(200, "ada", title("same"));
    right.says(210, "bob", title("same"));
    third.learn(&left);
    third.says(300, "eve", title("other"));
    third.learn(&right);
    assert_eq!(third.told(), [(Rule::FieldMerge, "bob".to_owned())]);
}

#[test]
fn an_acknowledged_loss_is_told_and_others_are_not() {
    let (mut left, mut right, todo) = two_sides();
    let edge = |kind| Operation::DependencyRemoved { todo, on: todo, kind };
    left.says(200, "ada", edge(EdgeKind::Blocks));
    left.says(210, "ada", edge(EdgeKind::Blocks));
    let event = left.log.state().ledger[0].loser;
    right.learn(&left);
    right.says(300, "ada", Operation::LossAcknowledged { event });
    // A late event takes its place before the entries; they are found all the same.
    left.works(150, "worker", to_integrate(todo, Dot::new(left.replica, 77)));
    meet(&mut left, &mut right);
    let told: Vec<_> = left.log.state().ledger.iter().map(|e| (e.loser == event, e.told)).collect();
    assert_eq!(told.iter().filter(|told| told.1).count(), 1);
    assert!(told.iter().all(|(acknowledged, told)| acknowledged == told), "{told:?}");
}

/// Admission must refuse an event that claims to be earlier than what its author had seen.
#[test]
fn an_event_that_is_earlier_than_its_cause_is_refused() {
    let (mut left, mut right) = (Side::new(1), Side::new(2));
    left.says(500, "ada", added(TodoId::from_external("a")));
    right.learn(&left);
    right.says(600, "bob", added(TodoId::from_external("b")));
    for (millis, refused) in [(400, true), (500, true), (501, false)] {
        let mut forged = right.written.clone();
        forged[0].records[0].time.millis = millis;
        let mut log = left.log.clone();
        let admission = log.admit_all(forged, None);
        let reasons: Vec<_> = admission.rejected.iter().map(|(_, reason)| reason).collect();
        let before = matches!(reasons.as_slice(), [Rejection::BeforeCause { .. }]);
        assert_eq!(before, refused, "{millis}: {reasons:?}");
    }
}

/// Behind a snapshot the last event of each replica is known by its id, and so is a cause.
#[test]
fn a_cause_at_the_end_of_a_snapshot_is_compared() {
    let (mut left, mut right) = (Side::new(1), Side::new(2));
    left.says(100, "ada", added(TodoId::from_external("a")));
    right.learn(&left);
    right.says(200, "bob", added(TodoId::from_external("b")));
    let mut other = Side::new(1);
    other.says(100, "ada", added(TodoId::from_external("c")));
    let mut log = tress_engine::Log::from_snapshot(other.log.snapshot());
    let admission = log.admit_all(right.written.clone(), None);
    assert!(matches!(admission.rejected.as_slice(), [(_, Rejection::OtherCause { .. })]));
    let mut log = tress_engine::Log::from_snapshot(left.log.snapshot());
    assert_eq!(log.admit_all(right.written, None).admitted.len(), 1);
}

/// A log that began with a snapshot took a cause of which it did not know the id for what it said, and an
/// event as early as the last of the snapshot: the whole history refused both, and from then on the run
/// could not be read from its beginning any more.
#[test]
fn what_comes_from_outside_is_judged_alike_behind_a_snapshot() {
    let (mut left, mut right) = (Side::new(1), Side::new(2));
    left.says(100, "ada", added(TodoId::from_external("a")));
    right.learn(&left);
    right.says(900, "bob", added(TodoId::from_external("b")));
    left.says(500, "ada", added(TodoId::from_external("c")));
    let short = || tress_engine::Log::from_snapshot(left.log.snapshot());
    for forged in [false, true] {
        let mut segment = right.written[0].clone();
        if forged {
            segment.records[0].learned[0].mark = [9; 8];
        }
        let behind = short().admit(segment.clone(), Some(1000));
        assert!(matches!(behind.rejected.as_slice(), [(_, Rejection::Behind(_))]), "{forged}");
        let whole = left.log.clone().admit(segment, Some(1000));
        assert_eq!(whole.admitted.len(), usize::from(!forged), "the whole history tells");
    }
    // As early as the last event of the snapshot, which its author had seen.
    let mut third = Side::new(3);
    third.learn(&left);
    third.says(900, "eve", added(TodoId::from_external("d")));
    let mut segment = third.written[0].clone();
    segment.records[0].time = left.log.last_time();
    for mut log in [short(), left.log.clone()] {
        let refused = log.admit(segment.clone(), Some(1000)).rejected;
        assert!(matches!(refused.as_slice(), [(_, Rejection::BeforeCause { .. })]), "{refused:?}");
    }
}

/// The prose of a todo that was edited, too, keeps it from being deleted.
#[test]
fn prose_that_was_edited_keeps_its_todo() {
    let (mut left, mut right, todo) = two_sides();
    left.says(200, "ada", deleted(todo));
    let splices = vec![Splice { at: 0, delete: 0, insert: "more".to_owned() }];
    let target = ProseTarget::Todo(todo, ProseField::Notes);
    right.says(300, "bob", Operation::ProseEdited { target, splices });
    meet(&mut left, &mut right);
    assert_eq!(left.status(todo, 400), Status::Open);
}

/// Of two segments that begin alike and wait for their causes the later to arrive was kept, and
/// with the other went events that nobody would send again; or, where the longer one was tried
/// first, it waited for ever for what waited for the shorter one.
#[test]
fn segments_that_begin_alike_wait_beside_each_other() {
    let (mut left, mut right) = (Side::new(1), Side::new(2));
    left.says(100, "ada", added(TodoId::from_external("a")));
    right.learn(&left);
    right.says(200, "bob", added(TodoId::from_external("b")));
    left.learn(&right);
    left.says(300, "ada", added(TodoId::from_external("c")));
    right.learn(&left);
    right.says(400, "bob", added(TodoId::from_external("d")));
    let mut long = right.written[0].clone();
    long.records.extend(right.written[1].records.iter().cloned());
    for order in [[&long, &right.written[0]], [&right.written[0], &long]] {
        let mut log = tress_engine::Log::new();
        for segment in order {
            log.admit(segment.clone(), None);
        }
        log.admit_all(left.written.clone(), None);
        assert!(!log.has_waiting());
        assert_eq!(log.state().root(), right.log.state().root());
    }
}

/// A rollback took back work whose acceptance its author had not seen, and the verifier, who could
/// believe that it was completed, was not told.
#[test]
fn a_verifier_is_told_when_unseen_work_was_rolled_back() {
    for (pass_at, back_at) in [(300, 400), (400, 300)] {
        let (mut left, mut right, todo) = two_sides();
        let token = left.works(200, "worker", claimed(todo));
        let completion = left.works(210, "worker", done(todo, token));
        right.learn(&left);
        let pass = verdict(todo, completion, Verdict::Pass);
        left.append(pass_at, draft("judge", Role::Verifier, pass));
        let (what, reason) = ("all".to_owned(), String::new());
        right.says(back_at, "ada", Operation::RolledBack { todo, what, reason });
        meet(&mut left, &mut right);
        assert_ne!(left.status(todo, 500), Status::Completed);
        let ledger = &left.log.state().ledger;
        assert_eq!(ledger.iter().map(|entry| &*entry.agent).collect::<Vec<_>>(), ["judge"]);
    }
}

/// An integration that ended the claim of another was missing from the list of integrations: its
/// own entry in the ledger, against that claim, was taken for one against itself.
#[test]
fn an_integration_that_ends_a_claim_is_on_the_list() {
    let (mut left, _, todo) = two_sides();
    let token = left.works(200, "worker", claimed(todo));
    let completion = left.works(210, "worker", to_integrate(todo, token));
    let pass = verdict(todo, completion, Verdict::Pass);
    left.append(220, draft("judge", Role::Verifier, pass));
    let later = 300 + tress_model::limits::LEASE_DEFAULT;
    let other = left.works(later, "late", claimed(todo));
    let commit = "c0ffee".to_owned();
    left.says(later + 10, "ada", Operation::Integrated { todo, completion, commit });
    let ledger = &left.log.state().ledger;
    assert!(ledger.iter().any(|entry| entry.loser == other), "{ledger:?}");
    let integrations = &left.log.state().team.integrations;
    assert_eq!(integrations.iter().map(|one| one.completion).collect::<Vec<_>>(), [completion]);
}

/// Work that was completed, and had not to be integrated for that, stopped counting when somebody
/// integrated it after the todo had been closed as well.
#[test]
fn completed_work_goes_on_counting_when_it_is_integrated_later() {
    let (mut left, _, todo) = two_sides();
    let token = left.works(200, "worker", claimed(todo));
    let completion = left.works(210, "worker", done(todo, token));
    let pass = verdict(todo, completion, Verdict::Pass);
    left.append(220, draft("judge", Role::Verifier, pass));
    left.says(230, "ada", Operation::Closed { todo, reason: "enough".to_owned() });
    let commit = "c0ffee".to_owned();
    left.says(240, "ada", Operation::Integrated { todo, completion, commit });
    let kept = left.log.state().todo(todo).and_then(|todo| todo.completed().cloned());
    assert!(kept.is_some_and(|kept| kept.integrated.is_some()));
}
