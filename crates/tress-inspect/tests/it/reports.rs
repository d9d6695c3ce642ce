//! Findings as lines and as SARIF; what other tools report.

use std::collections::{BTreeMap, BTreeSet};

use tress_inspect::junit::read_junit;
use tress_inspect::lcov::{of_file, read_lcov, share_covered};
use tress_inspect::sarif::sarif;
use tress_inspect::{Finding, Severity};

#[test]
fn a_finding_is_one_line_and_comes_back_from_it() {
    for finding in [
        Finding::new("stub-call", Severity::Error, "src/a.rs", 12, "todo! (and more) stands here"),
        Finding::new(
            "unreferenced",
            Severity::Warning,
            "C:/x: y/a b.py",
            1,
            "nothing uses it: 3: it",
        ),
        Finding::new("a", Severity::Error, "a", 1, ""),
    ] {
        let line = finding.to_string();
        assert!(!line.contains('\n'));
        assert_eq!(line.parse::<Finding>().unwrap(), finding, "{line}");
    }
    assert_eq!(
        Finding::new("r", Severity::Error, "p", 0, "two\nlines").to_string(),
        "p:1: two lines (r)"
    );
    for line in [
        "",
        "a: b (c)",
        "a:x: b (c)",
        "a:1: b",
        "a:0: b (c)",
        ":1: b (c)",
        "a:1: b (c d)",
        "note: a (b)",
    ] {
        assert!(line.parse::<Finding>().is_err(), "{line}");
    }
}

#[test]
fn sarif_has_what_readers_of_it_ask_for() {
    let findings = [
        Finding::new("b-rule", Severity::Error, "src/a b.rs", 3, "x \"y\"").about("A::f").column(5),
        Finding::new("a-rule", Severity::Warning, "b.py", 1, "z"),
    ];
    let log: serde_json::Value = serde_json::from_str(&sarif("1.2.3", &findings)).unwrap();
    assert_eq!(log["version"], "2.1.0");
    let run = &log["runs"][0];
    assert_eq!(run["tool"]["driver"]["name"], "tress");
    let result = &run["results"][0];
    assert_eq!(
        (&result["ruleId"], &result["ruleIndex"], &result["level"]),
        (&"b-rule".into(), &1.into(), &"error".into())
    );
    let place = &result["locations"][0]["physicalLocation"];
    assert_eq!(place["artifactLocation"]["uri"], "src/a%20b.rs");
    assert_eq!(
        (&place["region"]["startLine"], &place["region"]["startColumn"]),
        (&3.into(), &5.into())
    );
    assert_eq!(result["locations"][0]["logicalLocations"][0]["fullyQualifiedName"], "A::f");
    assert_eq!(run["tool"]["driver"]["rules"][1]["id"], "b-rule");
    assert_eq!(
        serde_json::from_str::<serde_json::Value>(&sarif("1", &[])).unwrap()["runs"][0]["results"],
        serde_json::json!([])
    );
}

#[test]
fn junit_reports_are_read_in_their_dialects() {
    let xml = r#"<?xml version="1.0"?><!-- <testcase name="no"/> -->
<testsuites><testsuite name="s" tests="5">
<testcase classname="pkg.T" name="passes" time="0.1"/>
<testcase name="fails &lt;hard&gt; &#65;" classname="pkg.T"><failure message="a > b"><![CDATA[</testcase> <error/>]]></failure></testcase>
<testcase name='errs'><error/><system-out>x</system-out></testcase>
<testcase name="skips"><skipped/></testcase>
<testcase name="also passes"></testcase>
</testsuite></testsuites>"#;
    let report = read_junit(xml).unwrap();
    assert_eq!(report.tests, 5);
    assert_eq!(report.failed, ["pkg.T.fails <hard> A"]);
    assert_eq!(report.errors, ["errs"]);
    assert_eq!(report.skipped, ["skips"]);
    assert_eq!(report.passed, ["pkg.T.passes", "also passes"]);
    assert_eq!(read_junit("<testsuite tests='0'/>").unwrap().tests, 0);
    assert_eq!(read_junit("<html></html>"), None);
    assert_eq!(read_junit("<testsuite><testcase name=\"a\"><failure").unwrap().tests, 1);
}

#[test]
fn coverage_is_joined_and_asked_for_changed_lines() {
    let text = "TN:\nSF:/home/x/src/a.rs\nDA:1,3\nDA:2,0\nDA:3,1.5e3,abc\nDA:x,1\nend_of_record\nDA:9,1\nSF:/home/x/src/a.rs\nDA:2,1\nDA:4,0\nend_of_record\n";
    let coverage = read_lcov(text);
    let file = of_file(&coverage, "src/a.rs").unwrap();
    assert_eq!(file.covered, BTreeSet::from([1, 2, 3]));
    assert_eq!(file.missed, BTreeSet::from([4]));
    assert_eq!(of_file(&coverage, "c/a.rs"), None);
    let changed = |lines: &[usize]| {
        BTreeMap::from([("src/a.rs".to_owned(), lines.iter().copied().collect::<BTreeSet<_>>())])
    };
    assert_eq!(share_covered(&coverage, &changed(&[3, 4, 7])), Some(0.5));
    assert_eq!(share_covered(&coverage, &changed(&[7])), None);
}
