//! Three-way merges of small files.

#![expect(clippy::indexing_slicing, reason = "a value that is missing fails the test")]

use proptest::prelude::*;
use tress::formats::merge::{MergeError, Merged, Side, merge};
use tress::formats::{ProblemKind, beads};
use tress_model::Rule;

const A: &str = r#"{"id":"a","title":"A","status":"open","priority":2,"issue_type":"task","created_at":"2026-01-01T00:00:00Z","updated_at":"2026-01-01T00:00:00Z"}"#;

/// The line with the given replacements, updated on that day of January.
fn line(day: u8, changes: &[(&str, &str)]) -> String {
    let updated = format!("\"updated_at\":\"2026-01-{day:02}T00:00:00Z\"");
    let mut text = A.replace("\"updated_at\":\"2026-01-01T00:00:00Z\"", &updated);
    for (from, to) in changes {
        assert!(text.contains(from), "{from} is not in {text}");
        text = text.replace(from, to);
    }
    text
}

fn file(lines: &[&str]) -> String {
    lines.iter().map(|line| format!("{line}\n")).collect()
}

fn merged(base: &str, ours: &str, theirs: &str) -> Merged {
    merge(base.as_bytes(), ours.as_bytes(), theirs.as_bytes()).expect("they can be merged")
}

/// Merges, asserts that the result is symmetric and settled, and gives it.
#[track_caller]
fn settled(base: &str, ours: &str, theirs: &str) -> String {
    let text = |base: &str, ours: &str, theirs: &str| {
        String::from_utf8(merged(base, ours, theirs).bytes).expect("it is UTF-8")
    };
    let result = text(base, ours, theirs);
    assert_eq!(result, text(base, theirs, ours), "the sides swapped");
    assert_eq!(result, text(base, &result, theirs), "again with theirs");
    assert_eq!(result, text(base, ours, &result), "again with ours");
    assert_eq!(result, text(base, &result, &result), "both merged");
    assert_eq!(result, text(&result, &result, &result), "nothing to merge");
    result
}

#[test]
fn what_one_side_changed_comes_out_byte_for_byte() {
    let strange = r#"{ "zeta" : 1.50, "id":"a" , "title":"\u0041","status":"open"}"#;
    let other = line(1, &[("\"a\"", "\"b\"")]);
    let base = file(&[A, &other]);
    let ours = file(&[strange, &other]);
    assert_eq!(settled(&base, &ours, &base), ours);
    let theirs = file(&[A, &line(3, &[("\"a\"", "\"b\""), ("\"A\"", "\"B\"")])]);
    let both = settled(&base, &ours, &theirs);
    assert_eq!(both, file(&[strange, theirs.lines().nth(1).expect("a line")]));
    assert_eq!(settled("", "", &theirs), theirs);
    assert_eq!(settled("", "", ""), "");
}

/// An editor on one side had changed every line end, and the merged file had both kinds.
#[test]
fn where_one_side_changed_how_lines_end_all_lines_end_so() {
    let (other, edited) = (line(1, &[("\"a\"", "\"b\"")]), line(2, &[("\"A\"", "\"AA\"")]));
    let base = file(&[A, &other]);
    let ours = file(&[&edited, &other]);
    let theirs = file(&[A, &other, &line(1, &[("\"a\"", "\"c\"")])]).replace('\n', "\r\n");
    let result = settled(&base, &ours, &theirs);
    let wanted = file(&[&edited, &other, &line(1, &[("\"a\"", "\"c\"")])]).replace('\n', "\r\n");
    assert_eq!(result, wanted);
}

/// A tool that failed while it wrote left an empty file on one side, and the merge deleted all.
#[test]
fn a_side_that_lost_every_line_deletes_nothing() {
    let base = file(&[A, &line(1, &[("\"a\"", "\"b\"")])]);
    assert_eq!(settled(&base, "", &base), base);
    assert_eq!(settled(&base, "", ""), "", "both meant it");
    let theirs = file(&[&line(2, &[("\"A\"", "\"AA\"")]), &line(1, &[("\"a\"", "\"b\"")])]);
    assert_eq!(settled(&base, "", &theirs), theirs);
    let report = merged(&base, "", &theirs).report;
    let [problem] = report.problems.as_slice() else { panic!("{:?}", report.problems) };
    assert_eq!((problem.side, problem.problem.kind), (Side::Ours, ProblemKind::Inexact));
    assert!(problem.problem.message.contains("not whole"), "{problem:?}");
}

#[test]
fn a_closing_is_not_undone_by_a_later_edit() {
    let ours = line(2, &[("open", "closed")]);
    let theirs = line(3, &[("open", "in_progress"), ("\"A\"", "\"AA\"")]);
    let result = settled(&file(&[A]), &file(&[&ours]), &file(&[&theirs]));
    let wanted = line(3, &[("open", "closed"), ("\"A\"", "\"AA\"")]);
    assert_eq!(result, file(&[&wanted]));
    let report = merged(&file(&[A]), &file(&[&ours]), &file(&[&theirs])).report;
    let [decision] = report.decisions.as_slice() else { panic!("{:?}", report.decisions) };
    assert_eq!((decision.rule, decision.kept), (Rule::ClosedStaysClosed, Side::Ours));
    assert_eq!(decision.detail, "closed of ours holds; theirs had in_progress");
}

#[test]
fn two_closings_agree_and_the_later_gives_the_reason() {
    let close = |day, reason: &str| {
        let to = format!("\"closed\",\"close_reason\":\"{reason}\"");
        line(day, &[("\"open\"", &to)])
    };
    let (early, late) = (close(2, "done"), close(3, "no need"));
    let result = settled(&file(&[A]), &file(&[&late]), &file(&[&early]));
    assert_eq!(result, file(&[&late]));
}

#[test]
fn a_tombstone_stays_and_keeps_what_others_said() {
    let ours = line(2, &[("open", "tombstone")]);
    let theirs = line(3, &[("\"A\"", "\"AA\"")]);
    let result = settled(&file(&[A]), &file(&[&ours]), &file(&[&theirs]));
    assert_eq!(result, file(&[&line(3, &[("open", "tombstone"), ("\"A\"", "\"AA\"")])]));
}

#[test]
fn of_two_values_the_later_holds_and_the_other_is_told() {
    let ours = line(3, &[("\"priority\":2", "\"priority\":0")]);
    let theirs = line(2, &[("\"priority\":2", "\"priority\":1"), ("task", "bug")]);
    let result = settled(&file(&[A]), &file(&[&ours]), &file(&[&theirs]));
    let wanted = line(3, &[("\"priority\":2", "\"priority\":0"), ("task", "bug")]);
    assert_eq!(result, file(&[&wanted]));
    let report = merged(&file(&[A]), &file(&[&ours]), &file(&[&theirs])).report;
    let [decision] = report.decisions.as_slice() else { panic!("{:?}", report.decisions) };
    assert_eq!((decision.rule, decision.field.as_deref()), (Rule::FieldMerge, Some("priority")));
    assert_eq!(decision.detail, "0 of ours holds; theirs had 1");
}

#[test]
fn an_edit_keeps_what_the_other_side_deleted() {
    let b = line(1, &[("\"a\"", "\"b\"")]);
    let base = file(&[A, &b]);
    let edited = line(2, &[("\"A\"", "\"AA\"")]);
    assert_eq!(settled(&base, &file(&[&b]), &file(&[&edited, &b])), file(&[&edited, &b]));
    let report = merged(&base, &file(&[&b]), &file(&[&edited, &b])).report;
    let [decision] = report.decisions.as_slice() else { panic!("{:?}", report.decisions) };
    assert_eq!((decision.rule, decision.kept), (Rule::EditBeatsDelete, Side::Theirs));
    // What nobody needs goes, and a touch alone needs nothing.
    assert_eq!(settled(&base, &file(&[&b]), &base), file(&[&b]));
    assert_eq!(settled(&base, &file(&[&b]), &file(&[&line(2, &[]), &b])), file(&[&b]));
    assert_eq!(merged(&base, &file(&[&b]), &base).report.deleted, 1);
}

#[test]
fn lists_merge_item_by_item() {
    let with = |day, labels: &str, on: &[&str]| {
        let edge = |on: &&str| {
            format!("{{\"issue_id\":\"a\",\"depends_on_id\":\"{on}\",\"type\":\"blocks\"}}")
        };
        let edges: Vec<_> = on.iter().map(edge).collect();
        let more = format!("\"labels\":[{labels}],\"dependencies\":[{}]}}", edges.join(","));
        line(day, &[("Z\"}", &format!("Z\",{more}"))])
    };
    let base = with(1, r#""x","y""#, &["b", "c"]);
    let ours = with(2, r#""x","new""#, &["b", "d"]);
    let theirs = with(3, r#""x","y","z""#, &["c", "b", "e"]);
    let result = settled(&file(&[&base]), &file(&[&ours]), &file(&[&theirs]));
    assert_eq!(result, file(&[&with(3, r#""x","new","z""#, &["b", "d", "e"])]));
}

#[test]
fn texts_and_remarks_of_both_sides_are_kept_once() {
    let with = |day, text: &str, notes: &[&str]| {
        let note = |text: &&str| {
            format!(
                "{{\"author\":\"x\",\"text\":\"{text}\",\"created_at\":\"2026-01-0{day}T00:00:00Z\"}}"
            )
        };
        let notes: Vec<_> = notes.iter().map(note).collect();
        let more = format!("Z\",\"description\":\"{text}\",\"comments\":[{}]}}", notes.join(","));
        line(day, &[("Z\"}", &more)])
    };
    let base = with(1, "one\\ntwo\\nthree", &[]);
    let ours = with(2, "one\\ntwo\\nthree\\nfour", &["from us"]);
    let theirs = with(3, "zero\\none\\ntwo\\nthree", &["from them"]);
    let result = settled(&file(&[&base]), &file(&[&ours]), &file(&[&theirs]));
    assert!(result.contains("zero\\none\\ntwo\\nthree\\nfour"), "{result}");
    assert!(result.contains("from us") && result.contains("from them"), "{result}");
}

#[test]
fn both_may_add_the_same_issue() {
    let ours = line(2, &[("\"A\"", "\"mine\""), ("Z\"}", "Z\",\"description\":\"same\"}")]);
    let theirs = line(3, &[("Z\"}", "Z\",\"description\":\"same\",\"labels\":[\"l\"]}")]);
    let result = settled("", &file(&[&ours]), &file(&[&theirs]));
    assert_eq!(result, file(&[&theirs]));
}

#[test]
fn committed_conflicts_are_merged_and_their_markers_reported() {
    let ours = line(2, &[("open", "closed")]);
    let theirs = line(3, &[("\"A\"", "\"AA\"")]);
    let b = line(1, &[("\"a\"", "\"b\"")]);
    let torn =
        format!("<<<<<<< HEAD\n{ours}\n||||||| base\n{A}\n=======\n{theirs}\n>>>>>>> x\n{b}\n");
    let result = settled(&file(&[A, &b]), &torn, &file(&[A, &b]));
    assert_eq!(result, file(&[&line(3, &[("open", "closed"), ("\"A\"", "\"AA\"")]), &b]));
    let report = merged(&file(&[A, &b]), &torn, &file(&[A, &b])).report;
    let places: Vec<_> =
        report.problems.iter().map(|p| (p.side, p.problem.line, p.problem.kind)).collect();
    let marker = |line| (Side::Ours, line, ProblemKind::ConflictMarker);
    assert_eq!(places, [marker(1), marker(3), marker(5), marker(7)]);
}

#[test]
fn a_line_that_cannot_be_read_is_reported_and_is_no_deletion() {
    let b = line(1, &[("\"a\"", "\"b\"")]);
    let base = file(&[A, &b]);
    let cut = file(&[r#"{"id":"a","title":"#, &b]);
    assert_eq!(settled(&base, &cut, &base), base);
    // Nothing but a stray backslash is wrong with this one; what it says is kept.
    let stray = file(&[&line(2, &[("\"A\"", r#""\8""#)]), &b]);
    let result = settled(&base, &stray, &base);
    assert_eq!(result, file(&[&line(2, &[("\"A\"", r#""\\8""#)]), &b]));
    assert_eq!(merged(&base, &stray, &base).report.problems.len(), 1);
}

#[test]
fn lines_without_an_id_are_kept() {
    let note = r#"{"_type":"memory","key":"k","value":"v"}"#;
    let base = file(&[A]);
    assert_eq!(settled(&base, &file(&[A, note]), &base), file(&[A, note]));
}

#[test]
fn line_ends_and_order_are_kept() {
    let b = line(1, &[("\"a\"", "\"b\"")]);
    let c = line(1, &[("\"a\"", "\"c\"")]);
    let base = format!("{b}\r\n{A}");
    let ours = format!("{b}\r\n{A}\r\n{c}");
    let theirs = format!("{b}\r\n{}", line(2, &[("\"A\"", "\"AA\"")]));
    let wanted = format!("{b}\r\n{}\r\n{c}", line(2, &[("\"A\"", "\"AA\"")]));
    assert_eq!(settled(&base, &ours, &theirs), wanted);
    let sorted = settled(&file(&[A]), &file(&[A, &c]), &file(&[A, &b]));
    assert_eq!(sorted, file(&[A, &b, &c]));
}

#[test]
fn an_edge_that_closes_a_cycle_is_told() {
    let b = line(1, &[("\"a\"", "\"b\"")]);
    let edge = |from: &str, on: &str, line: &str| {
        let edge = format!(
            "Z\",\"dependencies\":[{{\"issue_id\":\"{from}\",\"depends_on_id\":\"{on}\",\"type\":\"blocks\"}}]}}"
        );
        line.replace("Z\"}", &edge)
    };
    let ours = file(&[&edge("a", "b", A), &b]);
    let theirs = file(&[A, &edge("b", "a", &b)]);
    let base = file(&[A, &b]);
    let result = settled(&base, &ours, &theirs);
    assert_eq!(result, file(&[&edge("a", "b", A), &edge("b", "a", &b)]));
    let report = merged(&base, &ours, &theirs).report;
    let rules: Vec<_> = report.decisions.iter().map(|decision| decision.rule).collect();
    assert_eq!(rules, [Rule::NoCycles]);
}

#[test]
fn fields_of_tress_merge_one_by_one() {
    let with = |day, tress: &str| line(day, &[("Z\"}", &format!("Z\",\"tress\":{tress}}}"))]);
    let base = with(1, r#"{"check":"make"}"#);
    let ours = with(2, r#"{"check":"make test"}"#);
    let theirs = with(3, r#"{"check":"make","files":["a.rs"]}"#);
    let result = settled(&file(&[&base]), &file(&[&ours]), &file(&[&theirs]));
    assert_eq!(result, file(&[&with(3, r#"{"check":"make test","files":["a.rs"]}"#)]));
}

#[test]
fn what_cannot_be_merged_is_refused() {
    let error = |theirs: &[u8]| merge(b"", A.as_bytes(), theirs).expect_err("it is refused");
    let view = b"{\n  \"run\": \"main\",\n  \"root\": \"x\",\n  \"todos\": []\n}\n";
    assert!(matches!(error(view), MergeError::View { side: Side::Theirs }));
    assert!(matches!(error(b"# A title\n\ntext\n"), MergeError::NotLines { side: Side::Theirs }));
    assert!(matches!(error(b"TRF1"), MergeError::Mixed));
}

/// A random issue: what it may say is little, so that sides often collide.
fn issue(id: &'static str) -> impl Strategy<Value = Option<String>> {
    let status = prop::sample::select(vec!["open", "in_progress", "closed", "tombstone"]);
    let title = prop::sample::select(vec!["A", "B", "C"]);
    let text = prop::sample::select(vec!["", "x", "x\\ny", "z\\nx", "y", "x y z", "x q z\\n"]);
    let labels = prop::sample::subsequence(vec!["\"k\"", "\"l\"", "\"m\""], 0..=3);
    let edges = prop::sample::subsequence(vec!["a", "b", "c"], 0..=3);
    let notes = prop::sample::subsequence(vec!["one", "two", "two"], 0..=3);
    let style = (1_u8..4, 0_u8..5, prop::bool::ANY);
    let fields = (status, title, text, labels, edges, notes, 0_u8..3, style);
    prop::option::weighted(0.9, fields).prop_map(move |fields| {
        let (status, title, text, labels, edges, notes, priority, (day, hour, spaced)) = fields?;
        let edge = |on| {
            let made = format!("2026-01-01T0{}:00:00Z", hour / 3);
            format!(
                r#"{{"issue_id":"{id}","depends_on_id":"{on}","type":"blocks","created_at":"{made}"}}"#
            )
        };
        let edges: Vec<String> = edges.into_iter().map(edge).collect();
        let note = |text| {
            format!(r#"{{"id":{hour},"author":"x","text":"{text}","created_at":"2026-01-01"}}"#)
        };
        let notes: Vec<String> = notes.into_iter().map(note).collect();
        let mut members = vec![
            ("id", format!("\"{id}\"")),
            ("title", format!("\"{title}\"")),
            ("description", format!("\"{text}\"")),
            ("status", format!("\"{status}\"")),
            ("priority", priority.to_string()),
            ("updated_at", format!("\"2026-01-0{day}T00:00:00Z\"")),
            ("labels", format!("[{}]", labels.join(","))),
            ("dependencies", format!("[{}]", edges.join(","))),
            ("comments", format!("[{}]", notes.join(","))),
        ];
        members.retain(|(name, value)| {
            let gone = *name == "updated_at" && hour == 4;
            value != "\"\"" && value != "[]" && !gone
        });
        let (comma, colon) = if spaced { (", ", ": ") } else { (",", ":") };
        let members: Vec<_> =
            members.iter().map(|(name, value)| format!("\"{name}\"{colon}{value}")).collect();
        Some(format!("{{{}}}\n", members.join(comma)))
    })
}

fn issues() -> impl Strategy<Value = String> {
    (issue("a"), issue("b"), issue("c"))
        .prop_map(|(a, b, c)| [a, b, c].into_iter().flatten().collect())
}

fn standing(file: &str, id: &str) -> Option<String> {
    let read = |line: &str| serde_json::from_str::<serde_json::Value>(line).expect("it is JSON");
    let issue = file.lines().map(read).find(|issue| issue["id"] == id)?;
    issue["status"].as_str().map(str::to_owned)
}

/// Issues without texts, now and then as a merge left them behind: two versions of each.
fn torn() -> impl Strategy<Value = String> {
    let text = |file: String| -> String {
        let text = |line: &str| {
            let mut issue: serde_json::Value = serde_json::from_str(line).expect("it is JSON");
            issue.as_object_mut().expect("an object").shift_remove("description");
            format!("{issue}\n")
        };
        file.lines().map(text).collect()
    };
    (issues(), issues(), 0..3).prop_map(move |(one, other, whole)| {
        let (one, other) = (text(one), text(other));
        if whole > 0 { one } else { format!("<<<<<<< a\n{one}=======\n{other}>>>>>>> b\n") }
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    #[test]
    fn merges_are_symmetric_and_settled(base in issues(), ours in issues(), theirs in issues()) {
        let result = settled(&base, &ours, &theirs);
        let kept = beads::import(&result).report;
        prop_assert_eq!(kept.read, result.lines().count());
    }

    #[test]
    fn merges_of_torn_files_are_settled_too(base in torn(), ours in torn(), theirs in torn()) {
        settled(&base, &ours, &theirs);
    }

    #[test]
    fn no_closure_and_no_issue_is_lost(base in issues(), ours in issues(), theirs in issues()) {
        let result = settled(&base, &ours, &theirs);
        let closed = |status: &str| matches!(status, "closed" | "tombstone");
        for id in ["a", "b", "c"] {
            let was = standing(&base, id);
            let (mine, other) = (standing(&ours, id), standing(&theirs, id));
            let is = standing(&result, id);
            if let (Some(was), Some(mine), Some(other)) = (&was, &mine, &other) {
                let one = (closed(mine) && other == was) || (closed(other) && mine == was);
                if one && !closed(was) {
                    prop_assert!(is.as_deref().is_some_and(closed), "{} is {:?}", id, is);
                }
            }
            if was.is_none() || (mine.is_some() && other.is_some()) {
                prop_assert!(is.is_some() || (mine.is_none() && other.is_none()), "{} is gone", id);
            }
        }
    }
}

/// A version that was cut lacks what stood behind the cut; nobody deleted that.
#[test]
fn what_a_torn_version_lacks_was_not_deleted() {
    let line =
        |id: usize| format!("{{\"id\":\"b-{id}\",\"title\":\"{id}\",\"status\":\"open\"}}\n");
    let base: String = (1..=6).map(line).collect();
    let cut = base.get(..base.len() / 2 + 9).unwrap_or_default();
    for torn in [cut, "{}\n"] {
        for (ours, theirs) in [(base.as_str(), torn), (torn, base.as_str())] {
            let merged =
                merge(base.as_bytes(), ours.as_bytes(), theirs.as_bytes()).expect("it merges");
            let text = String::from_utf8(merged.bytes).expect("it is text");
            assert!((1..=6).all(|id| text.contains(line(id).trim_end())), "{torn:?}: {text}");
        }
    }
}
